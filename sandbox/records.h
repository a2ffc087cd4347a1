#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/org.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// One key of a record as a client sent it.
struct InputField {
    std::string name;
    Cell value;
    /// `{"Account":{"Ext__c":"A1"}}`: the parent is named by one of its keys.
    struct Parent {
        std::string type;  ///< of `attributes`, where the reference may lead to several objects
        std::string key;
        Cell value;
    };
    std::optional<Parent> parent;
};

struct Input {
    std::string type;  ///< of `attributes`
    std::vector<InputField> fields;
    /// The field of that name, without regard to case; null: none.
    const InputField* find(std::string_view name) const;
};

/// A JSON record. Errors: Rejected with JSON_PARSER_ERROR.
Result<Input> parse_record(std::string_view json_text);

/// Body of /composite/sobjects.
struct InputBatch {
    bool all_or_none = false;
    std::vector<Input> records;
    std::vector<std::string> ids, fields;  ///< of a retrieve
};
Result<InputBatch> parse_batch(std::string_view json_text);

/// The org's locks, unless the call runs inside one that holds the write lock already.
std::shared_lock<std::shared_mutex> reading(const Org& org, const Call& call);
std::unique_lock<std::shared_mutex> writing(Org& org, const Call& call);

// All below: call under a lock of the org.

/// The object of that name if the connected user may see it; -1: none.
int object_named(const Org& org, std::string_view name);
/// The field of that name if the connected user may see it; -1: none.
int field_named(const Org& org, int object, std::string_view name);

/// INVALID_FIELD for a name that the object does not have, or the user may not see: found while a request is read, so
/// it fails as a whole. Nothing: all names are good.
std::optional<Error> unknown_name(const Org& org, int object, const Input& input);
/// What is to be written: names checked, parents named by a key looked up. `skip`: a field that is not taken over.
/// Errors: Rejected with INVALID_FIELD, DUPLICATE_EXTERNAL_ID, in Salesforce's words.
Result<Values> values_of(const Org& org, int object, const Input& input, std::string_view skip = {});
/// As values_of for one field: the reference field behind relationship `name` and the parent's id.
Result<std::pair<std::string, Cell>> parent_of(const Org& org, int object, std::string_view relationship,
                                               const InputField::Parent& parent);

/// Live rows whose field equals `value`; of Id, at most one. Rows of late commits count: a unique index knows them.
std::vector<std::int64_t> rows_with(const Org& org, int object, int field, std::string_view value);
/// The field that may be the key of an upsert: Id, an external id or a field with idLookup. -1: none of that name.
int key_field(const Org& org, int object, std::string_view name);

/// DUPLICATE_EXTERNAL_ID, naming the records that share a key.
Error several_records(const Org& org, int object, int field, const std::vector<std::int64_t>& rows);

/// `{"attributes":{…},"Id":…}` of the fields the user may see, or of `fields` of them.
std::string record_json(const Org& org, int object, std::int64_t row, std::string_view version,
                        const std::vector<int>& fields);
std::vector<int> visible_fields(const Org& org, int object);

/// Errors of a write as the answer of a single-record resource.
http::Answer write_error_answer(const WriteResult& result);
/// `{"id":…,"success":…,"errors":[…]}`, the form of collections. `created` adds that key.
std::string result_json(const WriteResult& result, bool with_created);
/// `CODE:message:Field1,Field2 --`, the form of bulk results.
std::string bulk_error(const WriteResult& result);

/// While it lives, what is written to `object` becomes visible only after the seconds a fault asks for.
class DelayedWrites {
public:
    DelayedWrites(Org& org, int object, std::int64_t seconds, std::int64_t usual_seconds);
    ~DelayedWrites();
    DelayedWrites(const DelayedWrites&) = delete;

private:
    Org& org_;
    int object_;
    std::int64_t seconds_, usual_seconds_;
};

}  // namespace lockstep::sandbox

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"

namespace lockstep::sandbox {

enum class Type {
    Id,
    Reference,
    String,
    Picklist,
    MultiPicklist,
    Combobox,
    Email,
    Phone,
    Url,
    TextArea,
    EncryptedString,
    Boolean,
    Int,
    Double,
    Currency,
    Percent,
    Date,
    DateTime,
    Time,
    Address,
    Location,
    Base64,
    AnyType,
};
/// The word of the wire for a type ("multipicklist"), and back.
const char* name(Type type);
std::optional<Type> type_named(std::string_view name);
/// Whether values of `type` are text in a Cell (ids, picklists and times are).
bool is_text(Type type);
/// Double, Currency and Percent: written in Java's way, rounded to the field's scale.
bool is_fractional(Type type);

struct PickValue {
    std::string value;
    std::string label;
    bool active = true;
    bool is_default = false;
};

/// A field as describe tells it (salesforce-api 5.3).
struct Field {
    std::string name;
    std::string label;
    Type type = Type::String;
    int length = 0, precision = 0, scale = 0, digits = 0;
    int byte_length = 0;  ///< 0: three bytes a character, as nearly everywhere
    bool nillable = true, createable = true, updateable = true, defaulted_on_create = false;
    bool filterable = true, sortable = true, groupable = true, aggregatable = true;
    bool permissionable = true, search_prefilterable = false, query_by_distance = false;
    bool custom = false, calculated = false, auto_number = false, external_id = false, unique = false,
         id_lookup = false;
    bool case_sensitive = false, name_field = false, restricted_picklist = false, html_formatted = false;
    bool cascade_delete = false, restricted_delete = false, name_pointing = false, polymorphic = false;
    bool derived = false;              ///< flags follow from the rules of 5.3, no recorded describe vouches for them
    bool removed = false;              ///< deleted by the admin: kept at its index, found by nobody
    bool history_tracked = false;      ///< each change is a row of the object's history
    std::string formula;               ///< of a formula field: as the admin wrote it (formula.h)
    bool blank_as_zero = false;        ///< of a formula field: blank numbers in it are 0
    std::string auto_number_format;    ///< "INV-{00000}"
    std::string compound_field;        ///< "Name", "MailingAddress"
    std::string relationship;          ///< "Account", "Owner"; empty: none
    std::string child_relationship;    ///< as the parent calls its children ("Contacts"); empty: not queryable
    bool deleted_with_parent = false;  ///< deleting the parent deletes this row (Account → Contact)
    std::string extra_type_info;       ///< "personname"
    std::string default_value;         ///< as text; empty: none
    std::string help;                  ///< inlineHelpText
    std::int64_t changed_at = 0;       ///< epoch seconds of the last change of its definition; 0: never
    std::vector<std::string> reference_to;
    std::vector<PickValue> picklist;

    bool is_formula() const { return calculated && !formula.empty(); }
};
/// Sets what Salesforce sets of a formula field (salesforce-api 5.3): calculated, of nobody to write, without default,
/// and 1,300 characters when it is text. Precondition: `formula` is set.
void make_formula(Field& field);
/// A field with the flags that Salesforce gives a nillable, writable field of `type` (salesforce-api 5.3): what an
/// admin gets who creates one. Length, precision and scale are the largest of the type unless given.
Field new_field(std::string name, Type type, int length = 0);
/// A field that the platform itself fills, as CreatedDate: nobody writes it, it is never null.
Field system_field(const char* name, const char* label, Type type, const char* user_relation = "");

struct ChildRelationship {
    std::string child_object, field, relationship;  ///< relationship empty: not queryable
    bool cascade_delete = false;
    bool restricted_delete = false;
};

struct RecordTypeInfo {
    std::string id, name, developer_name;
    bool active = true;
    bool is_default = false;
};

/// The object that holds the history of `object`: "LeadHistory", "OpportunityFieldHistory", "Visit__History".
std::string history_name(std::string_view object);

struct Object {
    std::string name, label, label_plural, key_prefix;  ///< key_prefix empty: none (history objects)
    bool custom = false, createable = true, updateable = true, deletable = true, undeletable = true, queryable = true;
    bool replicateable = true, retrieveable = true, searchable = true, mergeable = false, layoutable = true,
         triggerable = true;
    bool deep_cloneable = false, feed_enabled = false, mru_enabled = false, compact_layoutable = false,
         search_layoutable = false;
    /// Deleted rows never show in queryAll, only in the delete log (salesforce-api 18: contact roles, campaign
    /// members).
    bool deleted_rows_hidden = false;
    bool removed = false;  ///< deleted by the admin: kept at its index, found by nobody
    std::vector<Field> fields;
    std::vector<RecordTypeInfo> record_types;                           ///< without the master
    std::vector<std::pair<std::string, std::string>> supported_scopes;  ///< label, name

    /// Index of the field, without regard to case; -1: none.
    int find(std::string_view field) const;

private:
    friend class Schema;
    std::map<std::string, int, IgnoringCase> by_name_;
};

/// All objects of the org. Read from sandbox/objects (compiled in), extended while the org runs. An object's index and
/// a field's index never change; a removed or hidden field stays at its index.
class Schema {
public:
    /// The objects every org has. Cost: parses them anew, a few milliseconds.
    static Schema standard();
    Schema copy() const;
    int find(std::string_view object) const;  ///< without regard to case; -1: none
    int find_by_prefix(std::string_view key_prefix) const;
    /// Precondition: 0 <= object < size(). Removed objects can still be looked at.
    const Object& at(int object) const;
    int size() const;
    /// Fields of all objects that refer to `object`, ordered by child object and field.
    std::vector<ChildRelationship> children_of(int object) const;

    /// Gives system fields, OwnerId, Name and a free key prefix when they lack. Precondition: the name is free.
    int add_object(Object object);
    int add_field(int object, Field field);                   ///< precondition: the name is free in the object
    void change_field(int object, int field, Field changed);  ///< to retype, rename, remove …
    void change_object(int object, const Object& changed);    ///< flags and labels; fields and name stay

private:
    std::vector<std::unique_ptr<Object>> objects_;
    std::map<std::string, int, IgnoringCase> by_name_;
    std::map<std::string, int, std::less<>> by_prefix_;
};

/// One object of sandbox/objects (the format is told in tools/describe_to_objects.py), or of an org file in JSON.
/// Errors: Invalid, naming the object and what is wrong.
Result<Object> parse_object(std::string_view json_text);
/// The same form: parse_object reads back what this writes.
std::string object_json(const Object& object);
Result<Field> parse_field(std::string_view json_text);
std::string field_json(const Field& field);

/// Bodies of GET /sobjects and /sobjects/X/describe (all keys of salesforce-api 5.1 and 5.3, in their order).
/// `visible(object, field)` is the connected user's field-level security; field -1 asks for the object itself.
/// `api_version` is "60.0"; `instance_url` ("http://127.0.0.1:8080") starts the absolute links.
using Visible = std::function<bool(int object, int field)>;
std::string describe_global_json(const Schema& schema, const Visible& visible, std::string_view api_version);
std::string describe_json(const Schema& schema, int object, const Visible& visible, std::string_view api_version,
                          std::string_view instance_url = "https://localhost");
/// One item of describe global, which is also `objectDescribe` of GET /sobjects/X.
std::string describe_item_json(const Schema& schema, int object, std::string_view api_version);

}  // namespace lockstep::sandbox

#pragma once

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

struct PickValue {
    std::string value;
    std::string label;
    bool active = true;
    bool is_default = false;
};

/// A field as describe tells it. Flags follow salesforce-api 5.3; `derived` says that no recorded describe vouched for
/// them.
struct Field {
    std::string name;
    std::string label;
    Type type = Type::String;
    int length = 0, precision = 0, scale = 0, digits = 0;
    bool nillable = true, createable = true, updateable = true, defaulted_on_create = false;
    bool filterable = true, sortable = true, groupable = true, aggregatable = true;
    bool custom = false, calculated = false, auto_number = false, external_id = false, unique = false,
         id_lookup = false;
    bool case_sensitive = false, name_field = false, restricted_picklist = false, html_formatted = false;
    bool cascade_delete = false, restricted_delete = false, name_pointing = false, derived = false;
    std::string formula;          ///< text of a formula field
    std::string compound_field;   ///< "Name", "MailingAddress"
    std::string relationship;     ///< "Account", "Owner"; empty: none
    std::string extra_type_info;  ///< "personname"
    std::string default_value;    ///< as text; empty: none
    std::vector<std::string> reference_to;
    std::vector<PickValue> picklist;
};

struct ChildRelationship {
    std::string child_object, field, relationship;  ///< relationship empty: not queryable
    bool cascade_delete = false;
};

struct Object {
    std::string name, label, label_plural, key_prefix;  ///< key_prefix empty: none (history objects)
    bool custom = false, createable = true, updateable = true, deletable = true, undeletable = true, queryable = true;
    bool replicateable = true, retrieveable = true, searchable = true, mergeable = false, layoutable = true,
         triggerable = true;
    /// Deleted rows never show in queryAll, only in the delete log (salesforce-api 18: contact roles, campaign
    /// members).
    bool deleted_rows_hidden = false;
    std::vector<Field> fields;

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
    /// The objects every org has.
    static Schema standard();
    int find(std::string_view object) const;  ///< without regard to case; -1: none
    int find_by_prefix(std::string_view key_prefix) const;
    const Object& at(int object) const;
    int size() const;
    std::vector<ChildRelationship> children_of(int object) const;

    int add_object(Object object);  ///< gives system fields, Name and a free key prefix when they lack
    int add_field(int object, Field field);
    Field& field(int object, int field);  ///< to retype, hide …; callers hold Org's write lock

private:
    std::vector<std::unique_ptr<Object>> objects_;
    std::map<std::string, int, IgnoringCase> by_name_;
};

/// Bodies of GET /sobjects and /sobjects/X/describe (all keys of salesforce-api 5.1 and 5.3, in their order).
/// `visible(object, field)` is the connected user's field-level security; field -1 asks for the object itself.
using Visible = std::function<bool(int object, int field)>;
std::string describe_global_json(const Schema& schema, const Visible& visible, std::string_view api_version);
std::string describe_json(const Schema& schema, int object, const Visible& visible, std::string_view api_version);

}  // namespace lockstep::sandbox

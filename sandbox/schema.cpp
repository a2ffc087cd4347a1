#include "sandbox/schema.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/json.h"
#include "sandbox/values.h"

namespace lockstep::sandbox {

// Generated from sandbox/objects/*.json by cmake/embed.cmake.
std::span<const std::pair<std::string_view, std::string_view>> standard_objects();

namespace {

constexpr std::array<const char*, 23> kTypeNames = {
    "id",       "reference",       "string",   "picklist", "multipicklist", "combobox", "email",   "phone", "url",
    "textarea", "encryptedstring", "boolean",  "int",      "double",        "currency", "percent", "date",  "datetime",
    "time",     "address",         "location", "base64",   "anyType"};

struct FieldFlag {
    const char* name;
    bool Field::*member;
};
/// Flags that the files name in "on" and "off"; those with a letter in "f" are not here.
constexpr FieldFlag kFieldFlags[] = {
    {"aggregatable", &Field::aggregatable},
    {"filterable", &Field::filterable},
    {"groupable", &Field::groupable},
    {"sortable", &Field::sortable},
    {"permissionable", &Field::permissionable},
    {"searchPrefilterable", &Field::search_prefilterable},
    {"queryByDistance", &Field::query_by_distance},
    {"namePointing", &Field::name_pointing},
    {"polymorphicForeignKey", &Field::polymorphic},
    {"custom", &Field::custom},
    {"calculated", &Field::calculated},
    {"autoNumber", &Field::auto_number},
    {"externalId", &Field::external_id},
    {"unique", &Field::unique},
    {"caseSensitive", &Field::case_sensitive},
    {"nameField", &Field::name_field},
    {"restrictedPicklist", &Field::restricted_picklist},
    {"htmlFormatted", &Field::html_formatted},
    {"cascadeDelete", &Field::cascade_delete},
    {"restrictedDelete", &Field::restricted_delete},
    {"historyTracked", &Field::history_tracked},
};

struct ObjectFlag {
    const char* name;
    bool Object::*member;
};
constexpr ObjectFlag kObjectFlags[] = {
    {"createable", &Object::createable},
    {"updateable", &Object::updateable},
    {"deletable", &Object::deletable},
    {"undeletable", &Object::undeletable},
    {"queryable", &Object::queryable},
    {"replicateable", &Object::replicateable},
    {"retrieveable", &Object::retrieveable},
    {"searchable", &Object::searchable},
    {"layoutable", &Object::layoutable},
    {"triggerable", &Object::triggerable},
    {"mergeable", &Object::mergeable},
    {"deepCloneable", &Object::deep_cloneable},
    {"feedEnabled", &Object::feed_enabled},
    {"mruEnabled", &Object::mru_enabled},
    {"compactLayoutable", &Object::compact_layoutable},
    {"searchLayoutable", &Object::search_layoutable},
    {"custom", &Object::custom},
};

bool is_one_of(Type type, std::initializer_list<Type> types) {
    return std::find(types.begin(), types.end(), type) != types.end();
}

/// Flags that follow from type, length, targets and writability: `defaults` of tools/describe_to_objects.py.
void set_type_flags(Field& field) {
    const bool is_long = field.type == Type::Base64 || (field.type == Type::TextArea && field.length > 255);
    const bool compound = is_one_of(field.type, {Type::Address, Type::Location});
    const bool multi = field.type == Type::MultiPicklist;
    const std::size_t targets = field.reference_to.size();
    field.aggregatable = !is_long && !compound && !multi && field.type != Type::Boolean;
    field.filterable = !is_long && field.type != Type::EncryptedString;
    field.groupable = !is_long && !compound && !multi &&
                      !is_one_of(field.type, {Type::Double, Type::Currency, Type::Percent, Type::DateTime, Type::Time,
                                              Type::Combobox, Type::EncryptedString, Type::AnyType});
    field.sortable = !is_long && !compound && !multi;
    field.permissionable = field.nillable && field.createable && field.updateable;
    field.search_prefilterable = field.type == Type::Reference && field.nillable;
    field.query_by_distance = compound;
    field.name_pointing = field.polymorphic = targets > 1;
    if (field.formula.empty()) return;
    field.calculated = field.permissionable = true;
    field.search_prefilterable = false;
}

template <class Flags, class Thing>
Result<void> set_flags(const Flags& flags, Thing& thing, const json::object& from, const char* key, bool to) {
    const json::array* names = array_at(from, key);
    if (names == nullptr) return {};
    for (const json::value& name : *names) {
        const auto* found = std::find_if(std::begin(flags), std::end(flags), [&](const auto& flag) {
            return name.is_string() && name.as_string() == flag.name;
        });
        if (found == std::end(flags)) {
            return Error{.kind = Kind::Invalid,
                         .what = "There is no flag " + json::serialize(name) + ".",
                         .hint = "Flags have the names that describe gives them, as \"restrictedPicklist\"."};
        }
        thing.*(found->member) = to;
    }
    return {};
}

std::string text_or(const json::object& from, const char* key, std::string otherwise = {}) {
    return text_at(from, key).value_or(std::move(otherwise));
}

Result<PickValue> parse_pick(const json::value& from) {
    if (from.is_string()) {
        std::string value(from.as_string());
        const bool is_default = value.size() > 1 && value[0] == '*';
        if (is_default) value.erase(0, 1);
        return PickValue{.value = value, .label = value, .active = true, .is_default = is_default};
    }
    const json::array* parts = from.if_array();
    if (parts == nullptr || parts->size() < 2 || parts->size() > 3 ||
        !std::all_of(parts->begin(), parts->end(), [](const json::value& part) { return part.is_string(); })) {
        return Error{.kind = Kind::Invalid,
                     .what = "A picklist value is " + json::serialize(from) + ".",
                     .hint = "Write \"Value\", \"*Default value\" or [\"Value\", \"Label\"]."};
    }
    const std::string_view letters = parts->size() == 3 ? std::string_view((*parts)[2].as_string()) : "";
    return PickValue{.value = std::string((*parts)[0].as_string()),
                     .label = std::string((*parts)[1].as_string()),
                     .active = letters.find('i') == std::string_view::npos,
                     .is_default = letters.find('d') != std::string_view::npos};
}

Result<Field> field_from(const json::object& from) {
    Field field;
    field.name = text_or(from, "n");
    if (field.name.empty()) {
        return Error{.kind = Kind::Invalid, .what = "A field has no name.", .hint = "Give it \"n\"."};
    }
    const std::optional<Type> type = type_named(text_or(from, "t", "string"));
    if (!type) {
        return Error{.kind = Kind::Invalid,
                     .what = "The type of " + field.name + " is " + text_or(from, "t") + ".",
                     .hint = "Types are named as describe names them: \"string\", \"picklist\", \"datetime\"."};
    }
    field.type = *type;
    field.label = text_or(from, "l", field.name);
    const bool is_id = is_one_of(field.type, {Type::Id, Type::Reference});
    field.length = static_cast<int>(int_at(from, "len").value_or(is_id ? 18 : 0));
    field.precision = static_cast<int>(int_at(from, "p").value_or(0));
    field.scale = static_cast<int>(int_at(from, "s").value_or(0));
    field.digits = static_cast<int>(int_at(from, "d").value_or(0));
    field.byte_length = static_cast<int>(int_at(from, "bytes").value_or(0));
    const std::string letters = text_or(from, "f");
    const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
    field.createable = has('c');
    field.updateable = has('u');
    field.nillable = !has('!');
    field.defaulted_on_create = has('d');
    field.id_lookup = has('i');
    field.formula = text_or(from, "formula");
    field.blank_as_zero = bool_at(from, "zero").value_or(false);
    if (!field.formula.empty()) make_formula(field);
    if (const json::array* targets = array_at(from, "to")) {
        for (const json::value& target : *targets) {
            if (target.is_string()) field.reference_to.emplace_back(target.as_string());
        }
    }
    set_type_flags(field);
    TRY(set_flags(kFieldFlags, field, from, "on", true));
    TRY(set_flags(kFieldFlags, field, from, "off", false));
    field.relationship = text_or(from, "rel");
    field.child_relationship = text_or(from, "child");
    field.deleted_with_parent = bool_at(from, "cascade").value_or(false);
    field.compound_field = text_or(from, "in");
    field.extra_type_info = text_or(from, "x");
    field.default_value = text_or(from, "def");
    field.auto_number_format = text_or(from, "auto");
    field.help = text_or(from, "help");
    field.derived = bool_at(from, "derived").value_or(false);
    field.removed = bool_at(from, "removed").value_or(false);
    field.changed_at = int_at(from, "changed").value_or(0);
    if (const json::array* values = array_at(from, "pick")) {
        for (const json::value& value : *values) {
            PickValue pick = TRY(parse_pick(value));
            field.picklist.push_back(std::move(pick));
        }
    }
    return field;
}

json::object to_json(const Field& field) {
    json::object out{{"n", field.name}, {"l", field.label}, {"t", name(field.type)}};
    const auto number = [&](const char* key, int value, int implied) {
        if (value != implied) out[key] = value;
    };
    number("len", field.length, is_one_of(field.type, {Type::Id, Type::Reference}) ? 18 : 0);
    number("p", field.precision, 0);
    number("s", field.scale, 0);
    number("d", field.digits, 0);
    number("bytes", field.byte_length, 0);
    std::string letters;
    if (field.createable) letters += 'c';
    if (field.updateable) letters += 'u';
    if (!field.nillable) letters += '!';
    if (field.defaulted_on_create) letters += 'd';
    if (field.id_lookup) letters += 'i';
    out["f"] = letters;
    Field plain = field;
    for (const FieldFlag& flag : kFieldFlags) plain.*(flag.member) = false;
    set_type_flags(plain);
    json::array on;
    json::array off;
    for (const FieldFlag& flag : kFieldFlags) {
        if (field.*(flag.member) == plain.*(flag.member)) continue;
        (field.*(flag.member) ? on : off).emplace_back(flag.name);
    }
    if (!on.empty()) out["on"] = on;
    if (!off.empty()) out["off"] = off;
    if (!field.reference_to.empty()) out["to"] = json::value_from(field.reference_to);
    const auto text = [&](const char* key, const std::string& value) {
        if (!value.empty()) out[key] = value;
    };
    text("rel", field.relationship);
    text("child", field.child_relationship);
    if (field.deleted_with_parent) out["cascade"] = true;
    text("in", field.compound_field);
    text("x", field.extra_type_info);
    text("def", field.default_value);
    text("formula", field.formula);
    if (field.blank_as_zero) out["zero"] = true;
    text("auto", field.auto_number_format);
    text("help", field.help);
    if (field.derived) out["derived"] = true;
    if (field.removed) out["removed"] = true;
    if (field.changed_at != 0) out["changed"] = field.changed_at;
    json::array values;
    for (const PickValue& value : field.picklist) {
        values.push_back(json::array{value.value, value.label,
                                     std::string(value.active ? "" : "i") + (value.is_default ? "d" : "")});
    }
    if (!values.empty()) out["pick"] = values;
    return out;
}

Result<Object> object_from(const json::object& from) {
    Object object;
    object.name = text_or(from, "name");
    if (object.name.empty()) {
        return Error{.kind = Kind::Invalid, .what = "An object has no name.", .hint = "Give it \"name\"."};
    }
    object.label = text_or(from, "label", object.name);
    object.label_plural = text_or(from, "plural", object.label + "s");
    object.key_prefix = text_or(from, "prefix");
    TRY(set_flags(kObjectFlags, object, from, "on", true));
    TRY(set_flags(kObjectFlags, object, from, "off", false));
    object.deleted_rows_hidden = bool_at(from, "hidden").value_or(false);
    object.removed = bool_at(from, "removed").value_or(false);
    if (const json::array* scopes = array_at(from, "scopes")) {
        for (const json::value& scope : *scopes) {
            const json::array* pair = scope.if_array();
            if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) continue;
            object.supported_scopes.emplace_back((*pair)[0].as_string(), (*pair)[1].as_string());
        }
    }
    if (const json::array* fields = array_at(from, "fields")) {
        for (const json::value& field : *fields) {
            if (!field.is_object()) {
                return Error{.kind = Kind::Invalid,
                             .what = "A field of " + object.name + " is no JSON object.",
                             .hint = "Write {\"n\": name, \"t\": type, …}."};
            }
            Field parsed = TRY(field_from(field.as_object()));
            object.fields.push_back(std::move(parsed));
        }
    }
    return object;
}

Result<json::object> parse_to_object(std::string_view text) {
    json::value value = TRY(parse_json(text));
    if (!value.is_object()) {
        return Error{.kind = Kind::Invalid, .what = "The text is JSON, but no object.", .hint = "Write {…}."};
    }
    return std::move(value.as_object());
}

/// What every object that people create has in front of its own fields, and after.
void add_system_fields(Object& object) {
    const auto lacks = [&](const char* field_name) {
        return std::none_of(object.fields.begin(), object.fields.end(),
                            [&](const Field& field) { return equals_ignoring_case(field.name, field_name); });
    };
    std::vector<Field> front;
    if (lacks("Id")) front.push_back(system_field("Id", "Record ID", Type::Id));
    if (lacks("OwnerId")) {
        Field owner = system_field("OwnerId", "Owner ID", Type::Reference, "Owner");
        owner.createable = owner.updateable = true;
        owner.reference_to = {"Group", "User"};
        set_type_flags(owner);
        front.push_back(owner);
    }
    if (lacks("IsDeleted")) front.push_back(system_field("IsDeleted", "Deleted", Type::Boolean));
    const bool named =
        std::any_of(object.fields.begin(), object.fields.end(), [](const Field& field) { return field.name_field; });
    if (lacks("Name") && !named) {
        Field field = new_field("Name", Type::String, 80);
        field.label = object.label + " Name";
        field.name_field = field.id_lookup = true;
        front.push_back(field);
    }
    object.fields.insert(object.fields.begin(), front.begin(), front.end());
    const auto last = [&](const char* field_name, const char* label, Type type, const char* relation) {
        if (lacks(field_name)) object.fields.push_back(system_field(field_name, label, type, relation));
    };
    last("CreatedDate", "Created Date", Type::DateTime, "");
    last("CreatedById", "Created By ID", Type::Reference, "CreatedBy");
    last("LastModifiedDate", "Last Modified Date", Type::DateTime, "");
    last("LastModifiedById", "Last Modified By ID", Type::Reference, "LastModifiedBy");
    last("SystemModstamp", "System Modstamp", Type::DateTime, "");
}

}  // namespace

const char* name(Type type) {
    return kTypeNames.at(static_cast<std::size_t>(type));
}

std::optional<Type> type_named(std::string_view name) {
    for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
        if (equals_ignoring_case(kTypeNames[i], name)) return static_cast<Type>(i);
    }
    return std::nullopt;
}

bool is_text(Type type) {
    return !is_fractional(type) && !is_one_of(type, {Type::Boolean, Type::Int, Type::Date, Type::DateTime});
}

bool is_fractional(Type type) {
    return is_one_of(type, {Type::Double, Type::Currency, Type::Percent});
}

void make_formula(Field& field) {
    constexpr int text_length = 1300;
    field.createable = field.updateable = field.defaulted_on_create = false;
    field.nillable = field.type != Type::Boolean;
    field.unique = field.external_id = field.id_lookup = false;
    field.default_value.clear();
    if (field.type == Type::String) field.length = text_length;
    set_type_flags(field);
}

Field new_field(std::string name, Type type, int length) {
    struct Size {
        Type type;
        int length;
    };
    constexpr Size sizes[] = {{Type::Id, 18},        {Type::Reference, 18},       {Type::String, 255},
                              {Type::Picklist, 255}, {Type::Combobox, 255},       {Type::MultiPicklist, 4099},
                              {Type::Email, 80},     {Type::Phone, 40},           {Type::Url, 255},
                              {Type::TextArea, 255}, {Type::EncryptedString, 175}};
    Field field;
    field.label = name;
    field.custom = name.ends_with("__c");
    field.name = std::move(name);
    field.type = type;
    field.length = length;
    if (length == 0) {
        for (const Size& size : sizes) {
            if (size.type == type) field.length = size.length;
        }
    }
    if (is_fractional(type)) {
        field.precision = 18;
        field.scale = type == Type::Currency ? 2 : 0;
    }
    if (type == Type::Int) field.digits = 9;
    if (type == Type::Boolean) {
        field.nillable = false;
        field.defaulted_on_create = true;
        field.default_value = "false";
    }
    set_type_flags(field);
    return field;
}

Field system_field(const char* field_name, const char* label, Type type, const char* user_relation) {
    Field field = new_field(field_name, type);
    field.label = label;
    field.nillable = field.createable = field.updateable = false;
    field.defaulted_on_create = true;
    field.id_lookup = type == Type::Id;
    field.relationship = user_relation;
    if (*user_relation != '\0') field.reference_to = {"User"};
    set_type_flags(field);
    return field;
}

std::string history_name(std::string_view object) {
    if (object.ends_with("__c")) return std::string(object.substr(0, object.size() - 1)) + "History";
    return std::string(object) + (object == "Opportunity" ? "FieldHistory" : "History");
}

int Object::find(std::string_view field) const {
    const auto found = by_name_.find(field);
    return found == by_name_.end() ? -1 : found->second;
}

Schema Schema::standard() {
    Schema schema;
    for (const auto& [file, text] : standard_objects()) {
        Result<Object> object = parse_object(text);
        check(object.ok(), "sandbox/objects holds an object that can not be read");
        schema.add_object(std::move(*object));
    }
    return schema;
}

Schema Schema::copy() const {
    Schema copy;
    for (const auto& object : objects_) copy.objects_.push_back(std::make_unique<Object>(*object));
    copy.by_name_ = by_name_;
    copy.by_prefix_ = by_prefix_;
    return copy;
}

int Schema::find(std::string_view object) const {
    const auto found = by_name_.find(object);
    return found == by_name_.end() ? -1 : found->second;
}

int Schema::find_by_prefix(std::string_view key_prefix) const {
    const auto found = by_prefix_.find(key_prefix);
    return found == by_prefix_.end() ? -1 : found->second;
}

const Object& Schema::at(int object) const {
    return *objects_.at(static_cast<std::size_t>(object));
}

int Schema::size() const {
    return static_cast<int>(objects_.size());
}

std::vector<ChildRelationship> Schema::children_of(int object) const {
    const std::string& parent = at(object).name;
    std::vector<ChildRelationship> children;
    for (const auto& child : objects_) {
        if (child->removed) continue;
        for (const Field& field : child->fields) {
            const auto& targets = field.reference_to;
            if (field.removed || std::find(targets.begin(), targets.end(), parent) == targets.end()) continue;
            children.push_back({child->name, field.name, field.child_relationship, field.deleted_with_parent,
                                field.restricted_delete});
        }
    }
    std::sort(children.begin(), children.end(), [](const ChildRelationship& a, const ChildRelationship& b) {
        return std::tie(a.child_object, a.field) < std::tie(b.child_object, b.field);
    });
    return children;
}

int Schema::add_object(Object object) {
    check(find(object.name) < 0, "an object of this name exists already");
    const int index = size();
    if (object.name.ends_with("__c")) object.custom = true;
    if (object.custom) add_system_fields(object);
    if (object.key_prefix.empty() && object.custom) {
        constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for (std::size_t i = 0; object.key_prefix.empty() && i < digits.size() * digits.size(); ++i) {
            const std::string prefix{'a', digits[i / digits.size()], digits[i % digits.size()]};
            if (find_by_prefix(prefix) < 0) object.key_prefix = prefix;
        }
    }
    for (std::size_t i = 0; i < object.fields.size(); ++i) {
        if (!object.fields[i].removed) object.by_name_.emplace(object.fields[i].name, static_cast<int>(i));
    }
    if (!object.removed) by_name_.emplace(object.name, index);
    // LeadStatus and OpportunityStage share a prefix: the first one keeps it.
    if (!object.key_prefix.empty() && !object.removed) by_prefix_.emplace(object.key_prefix, index);
    objects_.push_back(std::make_unique<Object>(std::move(object)));
    return index;
}

int Schema::add_field(int object, Field field) {
    Object& place = *objects_.at(static_cast<std::size_t>(object));
    check(place.find(field.name) < 0, "a field of this name exists already");
    const int index = static_cast<int>(place.fields.size());
    if (!field.removed) place.by_name_.emplace(field.name, index);
    place.fields.push_back(std::move(field));
    return index;
}

void Schema::change_field(int object, int field, Field changed) {
    Object& place = *objects_.at(static_cast<std::size_t>(object));
    Field& old = place.fields.at(static_cast<std::size_t>(field));
    if (!old.removed) place.by_name_.erase(old.name);
    old = std::move(changed);
    if (!old.removed) place.by_name_.emplace(old.name, field);
}

void Schema::change_object(int object, const Object& changed) {
    Object& place = *objects_.at(static_cast<std::size_t>(object));
    std::vector<Field> fields = std::move(place.fields);
    auto by_name = std::move(place.by_name_);
    const std::string name = place.name;
    const std::string prefix = place.key_prefix;
    place = changed;
    place.fields = std::move(fields);
    place.by_name_ = std::move(by_name);
    place.name = name;
    place.key_prefix = prefix;
    if (place.removed) {
        by_name_.erase(name);
        if (find_by_prefix(prefix) == object) by_prefix_.erase(prefix);
    } else {
        by_name_.emplace(name, object);
        if (!prefix.empty()) by_prefix_.emplace(prefix, object);
    }
}

Result<Object> parse_object(std::string_view json_text) {
    const json::object from = TRY(parse_to_object(json_text));
    return object_from(from);
}

std::string object_json(const Object& object) {
    json::object out{
        {"name", object.name}, {"label", object.label}, {"plural", object.label_plural}, {"prefix", object.key_prefix}};
    const Object plain;
    json::array on;
    json::array off;
    for (const ObjectFlag& flag : kObjectFlags) {
        if (object.*(flag.member) == plain.*(flag.member)) continue;
        (object.*(flag.member) ? on : off).emplace_back(flag.name);
    }
    if (!on.empty()) out["on"] = on;
    if (!off.empty()) out["off"] = off;
    if (object.deleted_rows_hidden) out["hidden"] = true;
    if (object.removed) out["removed"] = true;
    json::array scopes;
    for (const auto& [label, scope] : object.supported_scopes) scopes.push_back(json::array{label, scope});
    if (!scopes.empty()) out["scopes"] = scopes;
    json::array fields;
    for (const Field& field : object.fields) fields.push_back(to_json(field));
    out["fields"] = fields;
    return json::serialize(out);
}

Result<Field> parse_field(std::string_view json_text) {
    const json::object from = TRY(parse_to_object(json_text));
    return field_from(from);
}

std::string field_json(const Field& field) {
    return json::serialize(to_json(field));
}

}  // namespace lockstep::sandbox

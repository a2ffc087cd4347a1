#include "sandbox/org_file.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/json.h"
#include "base/text.h"
#include "sandbox/settings.h"

// The one file that includes the TOML library.
#include <toml++/toml.h>

namespace lockstep::sandbox {
namespace {

/// A value of the file, TOML or JSON alike, with the line it began on.
struct Node {
    enum class Sort { Scalar, List, Table };
    Sort sort = Sort::Scalar;
    Cell scalar;
    std::vector<std::string> keys;  ///< Table: as items
    std::vector<Node> items;
    int line = 0;

    void add(std::string key, Node value) {
        keys.push_back(std::move(key));
        items.push_back(std::move(value));
    }
    std::vector<std::pair<const std::string&, const Node&>> members() const;
};

std::vector<std::pair<const std::string&, const Node&>> Node::members() const {
    std::vector<std::pair<const std::string&, const Node&>> list;
    list.reserve(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) list.emplace_back(keys[i], items[i]);
    return list;
}

template <class Value>
std::string printed(const Value& value) {
    std::ostringstream out;
    out << value;
    return out.str();
}

Node node_of(const toml::node& from) {
    Node node;
    node.line = static_cast<int>(from.source().begin.line);
    if (const auto* table = from.as_table()) {
        node.sort = Node::Sort::Table;
        for (const auto& [key, value] : *table) node.add(std::string(key.str()), node_of(value));
    } else if (const auto* list = from.as_array()) {
        node.sort = Node::Sort::List;
        for (const auto& item : *list) node.items.push_back(node_of(item));
    } else if (const auto* text = from.as_string()) {
        node.scalar = text->get();
    } else if (const auto* whole = from.as_integer()) {
        node.scalar = std::int64_t{whole->get()};
    } else if (const auto* number = from.as_floating_point()) {
        node.scalar = number->get();
    } else if (const auto* truth = from.as_boolean()) {
        node.scalar = truth->get();
    } else if (const auto* date = from.as_date()) {
        node.scalar = printed(date->get());
    } else if (const auto* time = from.as_time()) {
        node.scalar = printed(time->get()) + "Z";
    } else if (const auto* stamp = from.as_date_time()) {
        node.scalar = printed(stamp->get());
    }
    return node;
}

/// The line of every value of a valid JSON document, in the order of their beginnings. The JSON library tells none.
std::vector<int> json_lines(std::string_view text) {
    std::vector<int> lines;
    int line = 1;
    bool value_begins = true;
    std::vector<char> open;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') ++line;
        if (std::string_view(" \t\r\n").find(c) != std::string_view::npos) continue;
        const bool is_key = c == '"' && !open.empty() && open.back() == '{' && value_begins;
        if (c == '"') {
            if (!is_key) lines.push_back(line);
            for (++i; text[i] != '"'; ++i) i += text[i] == '\\' ? 1 : 0;
            value_begins = false;
        } else if (c == '{' || c == '[') {
            lines.push_back(line);
            open.push_back(c);
            value_begins = true;
        } else if (c == '}' || c == ']') {
            open.pop_back();
        } else if (c == ',') {
            value_begins = true;
        } else if (c != ':') {
            lines.push_back(line);
            while (i + 1 < text.size() && std::string_view(" \t\r\n,]}").find(text[i + 1]) == std::string_view::npos)
                ++i;
        }
    }
    return lines;
}

Node node_of(const json::value& from, const std::vector<int>& lines, std::size_t& next) {
    Node node;
    node.line = next < lines.size() ? lines[next] : 0;
    ++next;
    switch (from.kind()) {
        case json::kind::object:
            node.sort = Node::Sort::Table;
            for (const auto& [key, value] : from.get_object()) node.add(std::string(key), node_of(value, lines, next));
            break;
        case json::kind::array:
            node.sort = Node::Sort::List;
            for (const auto& item : from.get_array()) node.items.push_back(node_of(item, lines, next));
            break;
        case json::kind::string:
            node.scalar = std::string(from.get_string());
            break;
        case json::kind::int64:
            node.scalar = std::int64_t{from.get_int64()};
            break;
        case json::kind::uint64:
            node.scalar = static_cast<double>(from.get_uint64());
            break;
        case json::kind::double_:
            node.scalar = from.get_double();
            break;
        case json::kind::bool_:
            node.scalar = from.get_bool();
            break;
        case json::kind::null:
            break;
    }
    return node;
}

std::size_t values_in(const Node& node) {
    std::size_t count = 1;
    for (const auto& item : node.items) count += values_in(item);
    return count;
}

json::value json_of(const Node& node) {
    if (node.sort == Node::Sort::List) {
        json::array list;
        for (const auto& item : node.items) list.push_back(json_of(item));
        return list;
    }
    if (node.sort == Node::Sort::Table) {
        json::object object;
        for (const auto& [key, value] : node.members()) object[key] = json_of(value);
        return object;
    }
    if (const auto* text = std::get_if<std::string>(&node.scalar)) return json::value(*text);
    if (const auto* whole = std::get_if<std::int64_t>(&node.scalar)) return *whole;
    if (const auto* number = std::get_if<double>(&node.scalar)) return *number;
    if (const auto* truth = std::get_if<bool>(&node.scalar)) return *truth;
    return nullptr;
}

/// "Tier__c" → "Tier", "AnnualBudget__c" → "AnnualBudget", "Ship_to__c" → "Ship to".
std::string label_from(std::string name) {
    if (name.ends_with("__c")) name.resize(name.size() - 3);
    std::replace(name.begin(), name.end(), '_', ' ');
    return name;
}
std::string without_ending(const std::string& name) {
    return name.ends_with("__c") ? name.substr(0, name.size() - 3) : name;
}

}  // namespace

class OrgFileReader {
public:
    OrgFileReader(OrgFile& out) : out_(out) {}

    Result<void> read(const Node& root) {
        Table table(*this, root, "the file");
        if (const auto* org = table.node("org")) TRY(read_org(*org));
        if (const auto* counts = table.node("counts")) TRY(read_counts(*counts));
        if (const auto* settings = table.node("settings")) TRY(read_settings(*settings));
        out_.settings_json_ = json::serialize(settings_);
        for (const auto* object : TRY(tables(table, "objects"))) TRY(read_object(*object));
        for (const auto* field : TRY(tables(table, "fields"))) {
            const auto added = TRY(read_field(*field, true));
            out_.fields_.push_back(added);
        }
        if (const auto* rows = table.node("rows")) TRY(read_rows(*rows));
        return table.refuse_unknown();
    }

private:
    Error wrong(int line, const std::string& what, std::string hint) const {
        return out_.wrong(line, what, std::move(hint));
    }

    /// Takes values out of a table by key; what nobody took is unknown.
    class Table {
    public:
        Table(const OrgFileReader& reader, const Node& node, std::string what)
            : reader_(reader), node_(node), what_(std::move(what)) {}

        const Node* node(const char* key) {
            asked_.emplace_back(key);
            for (const auto& [name, value] : node_.members()) {
                if (name == key) return &value;
            }
            return nullptr;
        }
        template <class Value>
        Result<std::optional<Value>> scalar(const char* key, const char* kind) {
            const auto* found = node(key);
            if (!found) return std::optional<Value>();
            const auto* value = std::get_if<Value>(&found->scalar);
            if (!value || found->sort != Node::Sort::Scalar)
                return reader_.wrong(found->line, what_ + ": '" + key + "' must be " + kind,
                                     std::string("write ") + key +
                                         (std::is_same_v<Value, bool>          ? " = true or false"
                                          : std::is_same_v<Value, std::string> ? " = \"...\""
                                                                               : " = 1"));
            return std::optional<Value>(*value);
        }
        Result<std::optional<std::string>> text(const char* key) { return scalar<std::string>(key, "text"); }
        Result<std::optional<std::int64_t>> whole(const char* key, std::int64_t min) {
            auto number = TRY(scalar<std::int64_t>(key, "a whole number"));
            if (number && *number < min)
                return reader_.wrong(line(), what_ + ": '" + key + "' must be at least " + std::to_string(min),
                                     "choose a larger number");
            return number;
        }
        Result<bool> truth(const char* key) {
            const auto value = TRY(scalar<bool>(key, "true or false"));
            return value.value_or(false);
        }
        Result<std::string> required_text(const char* key) {
            auto value = TRY(text(key));
            if (!value || value->empty())
                return reader_.wrong(line(), what_ + " lacks '" + key + "'", std::string("add ") + key + " = \"...\"");
            return *value;
        }
        Result<void> refuse_unknown() const {
            if (node_.sort != Node::Sort::Table)
                return reader_.wrong(line(), what_ + " must be a table", "see the example in docs/sandbox.md");
            for (const auto& [name, value] : node_.members()) {
                if (std::find(asked_.begin(), asked_.end(), name) == asked_.end())
                    return reader_.wrong(value.line, what_ + " has no key '" + name + "'",
                                         "known keys: " + join(asked_, ", "));
            }
            return {};
        }
        int line() const { return node_.line; }

    private:
        const OrgFileReader& reader_;
        const Node& node_;
        std::string what_;
        std::vector<std::string> asked_;
    };

    Result<std::vector<const Node*>> tables(Table& table, const char* key) const {
        std::vector<const Node*> list;
        const auto* node = table.node(key);
        if (!node) return list;
        for (const auto& item : node->items) list.push_back(&item);
        const bool fits = node->sort == Node::Sort::List && std::all_of(list.begin(), list.end(), [](const Node* item) {
                              return item->sort == Node::Sort::Table;
                          });
        if (!fits)
            return wrong(node->line, std::string("'") + key + "' must be a list of tables",
                         std::string("begin each with [[") + key + "]]");
        return list;
    }

    Result<std::vector<const Node*>> texts(const Node& node, const std::string& what) const {
        std::vector<const Node*> list;
        for (const auto& item : node.items) list.push_back(&item);
        const bool fits = node.sort == Node::Sort::List && std::all_of(list.begin(), list.end(), [](const Node* item) {
                              return std::holds_alternative<std::string>(item->scalar);
                          });
        if (!fits) return wrong(node.line, what + " must be a list of texts", "write [\"one\", \"two\"]");
        return list;
    }

    Result<void> read_org(const Node& node) {
        Table table(*this, node, "[org]");
        out_.name_ = TRY(table.text("name"));
        const auto currency = TRY(table.text("currency"));
        if (currency && !is_currency_code(*currency))
            return wrong(node.line, "[org]: '" + *currency + "' is no currency", "write its ISO code: \"EUR\"");
        if (currency) settings_["currency"] = *currency;
        if (const auto* currencies = table.node("currencies")) {
            for (const auto* text : TRY(texts(*currencies, "[org]: 'currencies'"))) {
                auto currency = currency_of(std::get<std::string>(text->scalar));
                if (!currency.ok()) return wrong(text->line, currency.error().what, currency.error().hint);
                out_.currencies_.push_back(std::move(*currency));
            }
            out_.currencies_line_ = currencies->line;
        }
        out_.people_ = TRY(table.whole("people", 0));
        const auto seed = TRY(table.whole("seed", 0));
        if (seed) out_.seed_ = static_cast<std::uint64_t>(*seed);
        if (const auto* hidden = table.node("hidden")) {
            for (const auto* name : TRY(texts(*hidden, "[org]: 'hidden'")))
                out_.hidden_.push_back({std::get<std::string>(name->scalar), name->line});
        }
        if (const auto* tracked = table.node("tracked")) {
            for (const auto* name : TRY(texts(*tracked, "[org]: 'tracked'")))
                out_.tracked_.push_back({std::get<std::string>(name->scalar), name->line});
        }
        return table.refuse_unknown();
    }

    Result<void> read_counts(const Node& node) {
        for (const auto& [object, count] : node.members()) {
            const auto* number = std::get_if<std::int64_t>(&count.scalar);
            if (!number || *number < 0)
                return wrong(count.line, "[counts]: '" + object + "' must be a whole number",
                             "write " + object + " = 100");
            out_.counts_[object] = *number;
        }
        return {};
    }

    Result<void> read_settings(const Node& node) {
        const json::value given = json_of(node);
        out_.settings_line_ = node.line;
        const auto tried = SettingsBox(Settings{}).change(json::serialize(given));
        if (!tried.ok()) return wrong(node.line, "[settings]: " + tried.error().what, tried.error().hint);
        for (const auto& [name, value] : given.as_object()) settings_[name] = value;
        return {};
    }

    Result<void> read_object(const Node& node) {
        Table table(*this, node, "an object");
        OrgFile::ObjectToAdd added{.line = node.line};
        auto& object = added.object;
        object.name = TRY(table.required_text("name"));
        if (!object.name.ends_with("__c") || object.name.size() < 4)
            return wrong(node.line, "'" + object.name + "' is no name for a custom object",
                         "names of custom objects end in __c");
        object.custom = true;
        object.label = TRY(table.text("label")).value_or(label_from(object.name));
        object.label_plural = TRY(table.text("plural")).value_or(object.label + "s");
        object.key_prefix = TRY(table.text("key_prefix")).value_or("");
        if (!object.key_prefix.empty() && object.key_prefix.size() != 3)
            return wrong(node.line, "'" + object.key_prefix + "' is no key prefix",
                         "a key prefix has three characters");
        if (const auto format = TRY(table.text("name_format"))) {
            auto name = new_field("Name", Type::String, 80);
            name.label = object.label + " Number";
            name.name_field = name.id_lookup = true;
            number_by(name, *format);
            object.fields.push_back(std::move(name));
        }
        for (const auto* field : TRY(tables(table, "fields"))) {
            auto read = TRY(read_field(*field, false));
            read.object = object.name;
            added.fields.push_back(std::move(read));
        }
        TRY(table.refuse_unknown());
        out_.objects_.push_back(std::move(added));
        return {};
    }

    static void number_by(Field& field, const std::string& format) {
        field.auto_number = true;
        field.auto_number_format = format;
        field.createable = field.updateable = field.nillable = false;
        field.defaulted_on_create = true;
    }

    Result<OrgFile::FieldToAdd> read_field(const Node& node, bool names_object) {
        Table table(*this, node, "a field");
        OrgFile::FieldToAdd added{.line = node.line};
        if (names_object) added.object = TRY(table.required_text("object"));
        const auto name = TRY(table.required_text("name"));
        if (!name.ends_with("__c") || name.size() < 4)
            return wrong(node.line, "'" + name + "' is no name for a custom field",
                         "names of custom fields end in __c");
        const auto word = TRY(table.required_text("type"));
        const auto type = type_named(word);
        if (!type || *type == Type::Id || *type == Type::AnyType)
            return wrong(node.line, "'" + word + "' is no type of a field",
                         "types: string, textarea, picklist, multipicklist, email, phone, url, boolean, int, double, "
                         "currency, percent, date, datetime, time, reference");
        auto& field = added.field;
        field = new_field(name, *type, static_cast<int>(TRY(table.whole("length", 1)).value_or(0)));
        field.custom = true;
        field.label = TRY(table.text("label")).value_or(label_from(name));
        field.help = TRY(table.text("help")).value_or("");
        if (const auto precision = TRY(table.whole("precision", 1))) field.precision = static_cast<int>(*precision);
        if (const auto scale = TRY(table.whole("scale", 0))) field.scale = static_cast<int>(*scale);
        if (TRY(table.truth("required"))) field.nillable = false;
        field.unique = TRY(table.truth("unique"));
        field.external_id = TRY(table.truth("external_id"));
        // Platform rule: whatever is an external id can be found by it.
        field.id_lookup = field.external_id;
        field.case_sensitive = TRY(table.truth("case_sensitive"));
        field.restricted_picklist = TRY(table.truth("restricted"));
        TRY(read_default(table, field));
        TRY(read_values(table, field));
        TRY(read_reference(table, field));
        const auto formula = TRY(table.text("formula"));
        field.blank_as_zero = TRY(table.truth("blank_as_zero"));
        if (formula) {
            field.formula = *formula;
            make_formula(field);
        }
        if (const auto format = TRY(table.text("number_format"))) number_by(field, *format);
        added.hidden = TRY(table.truth("hidden"));
        field.history_tracked = TRY(table.truth("tracked"));
        TRY(table.refuse_unknown());
        return added;
    }

    Result<void> read_default(Table& table, Field& field) const {
        const auto* node = table.node("default");
        if (!node) return {};
        if (node->sort != Node::Sort::Scalar)
            return wrong(node->line, "a default must be one value", "write default = \"...\", 1 or true");
        field.default_value = plain_text(Type::String, node->scalar);
        if (const auto* truth = std::get_if<bool>(&node->scalar)) field.default_value = *truth ? "true" : "false";
        if (const auto* whole = std::get_if<std::int64_t>(&node->scalar)) field.default_value = std::to_string(*whole);
        if (const auto* number = std::get_if<double>(&node->scalar)) field.default_value = to_text(*number);
        field.defaulted_on_create = true;
        return {};
    }

    Result<void> read_values(Table& table, Field& field) const {
        const auto* node = table.node("values");
        const bool picks =
            field.type == Type::Picklist || field.type == Type::MultiPicklist || field.type == Type::Combobox;
        if (!node) return {};
        if (!picks) return wrong(node->line, "only picklists have values", "type = \"picklist\" or \"multipicklist\"");
        for (const auto* value : TRY(texts(*node, "'values'"))) {
            PickValue pick;
            pick.value = pick.label = std::get<std::string>(value->scalar);
            pick.is_default = pick.value == field.default_value;
            field.picklist.push_back(std::move(pick));
        }
        return {};
    }

    Result<void> read_reference(Table& table, Field& field) const {
        const auto* to = table.node("to");
        const auto relationship = TRY(table.text("relationship"));
        const auto children = TRY(table.text("children"));
        const bool cascade = TRY(table.truth("cascade"));
        if (field.type != Type::Reference) {
            if (to || relationship || children || cascade)
                return wrong(table.line(), field.name + " is no reference", "write type = \"reference\"");
            return {};
        }
        if (!to) return wrong(table.line(), field.name + " lacks 'to'", "name the object: to = \"Account\"");
        if (const auto* one = std::get_if<std::string>(&to->scalar)) {
            field.reference_to = {*one};
        } else {
            for (const auto* target : TRY(texts(*to, "'to'")))
                field.reference_to.push_back(std::get<std::string>(target->scalar));
        }
        const auto with_ending = [](const std::string& name) { return name.ends_with("__r") ? name : name + "__r"; };
        field.relationship = with_ending(relationship.value_or(without_ending(field.name)));
        if (children) field.child_relationship = with_ending(*children);
        field.polymorphic = field.name_pointing = field.reference_to.size() > 1;
        if (cascade) {
            field.cascade_delete = field.deleted_with_parent = true;
            field.nillable = false;
        }
        return {};
    }

    Result<void> read_rows(const Node& node) {
        if (node.sort != Node::Sort::Table)
            return wrong(node.line, "'rows' must be tables by object", "begin each row with [[rows.Account]]");
        for (const auto& [object, rows] : node.members()) {
            TRY(read_rows_of(object, rows));
        }
        return {};
    }

    Result<void> read_rows_of(const std::string& object, const Node& rows) {
        if (rows.sort != Node::Sort::List)
            return wrong(rows.line, "the rows of " + object + " must be a list",
                         "begin each row with [[rows." + object + "]], with two brackets");
        for (const auto& row : rows.items) TRY(read_row(object, row));
        return {};
    }

    Result<void> read_row(const std::string& object, const Node& node) {
        if (node.sort != Node::Sort::Table)
            return wrong(node.line, "a row of " + object + " must be a table", "write { Name = \"...\" }");
        OrgFile::RowOfFile row{.object = object, .line = node.line};
        for (const auto& [name, value] : node.members()) {
            if (value.sort != Node::Sort::Scalar)
                return wrong(value.line, join({name, object}, " of ") + " must be one value",
                             "write a list as \"a;b\"");
            if (name != "_ref") {
                row.values.emplace_back(name, value.scalar);
            } else if (const auto* ref = std::get_if<std::string>(&value.scalar)) {
                row.ref = "@" + *ref;
            } else {
                return wrong(value.line, "'_ref' must be text", "write _ref = \"acme\"");
            }
        }
        out_.rows_.push_back(std::move(row));
        return {};
    }

    OrgFile& out_;
    json::object settings_;  ///< of [org] and [settings]; the latter wins
};

Error OrgFile::wrong(int line, const std::string& what, std::string hint) const {
    return Error{
        .kind = Kind::Invalid, .what = file_ + ":" + std::to_string(line) + ": " + what, .hint = std::move(hint)};
}

Result<OrgFile> OrgFile::read(const std::filesystem::path& file) {
    OrgFile out;
    out.file_ = file.string();
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream bytes;
    if (!stream || !(bytes << stream.rdbuf()))
        return Error{.kind = Kind::NotFound,
                     .what = "The org file '" + out.file_ + "' can not be read",
                     .hint = "--org takes the path of a TOML or JSON file that is not empty"};
    const auto text = bytes.str();
    Node root;
    if (equals_ignoring_case(file.extension().string(), ".json")) {
        const auto parsed = parse_json(text);
        if (!parsed.ok()) return out.wrong(1, "no JSON: " + parsed.error().what, "a tool like jq shows where");
        const auto lines = json_lines(text);
        std::size_t next = 0;
        root = node_of(*parsed, lines, next);
        if (values_in(root) != lines.size())
            return out.wrong(1, "a key stands twice in one object", "keep one of them");
    } else {
        auto parsed = toml::parse_result();
        try {
            parsed = toml::parse(text);
        } catch (const toml::parse_error& error) {
            return out.wrong(static_cast<int>(error.source().begin.line), std::string(error.description()),
                             "see toml.io for the syntax");
        }
        root = node_of(parsed);
    }
    TRY(OrgFileReader(out).read(root));
    return out;
}

void OrgFile::adjust(OrgOptions& options) const {
    if (people_) options.people = *people_;
    if (seed_) options.seed = *seed_;
    for (const auto& [object, count] : counts_) options.counts[object] = count;
}

Result<void> OrgFile::add_fields(Org& org, int object, const std::vector<FieldToAdd>& fields) const {
    for (const auto& added : fields) {
        const auto& known = org.schema().at(object);
        if (known.find(added.field.name) >= 0)
            return wrong(added.line, known.name + " has a field " + added.field.name + " already",
                         "choose another name");
        for (const auto& target : added.field.reference_to) {
            if (org.schema().find(target) < 0)
                return wrong(added.line,
                             added.field.name + " refers to '" + target + "', which is no object of this org",
                             "declare it under [[objects]], or check the spelling");
        }
        if (const auto trackable = org.can_track(object, added.field); !trackable.ok())
            return wrong(added.line, trackable.error().what, trackable.error().hint);
        const int field = org.add_field(object, added.field);
        if (added.hidden) org.set_visible(object, field, false);
    }
    return {};
}

Result<std::pair<int, int>> OrgFile::find(const Org& org, const Named& named) const {
    const auto point = named.name.find('.');
    const int object = org.schema().find(named.name.substr(0, point));
    const int field =
        object < 0 || point == std::string::npos ? -1 : org.schema().at(object).find(named.name.substr(point + 1));
    if (object < 0 || (field < 0 && point != std::string::npos))
        return wrong(named.line, "'" + named.name + "' is no object or field of this org",
                     "write Object or Object.Field");
    return std::pair(object, field);
}

Result<void> OrgFile::check_formulas(const Org& org, int object, const std::vector<FieldToAdd>& fields) const {
    for (const auto& added : fields) {
        const auto error = org.formula_error(object, org.schema().at(object).find(added.field.name));
        if (error) return wrong(added.line, added.field.name + ": " + error->what, error->hint);
    }
    return {};
}

Result<void> OrgFile::hide(Org& org) const {
    for (const auto& hidden : hidden_) {
        const auto [object, field] = TRY(find(org, hidden));
        org.set_visible(object, field, false);
    }
    return {};
}

Result<void> OrgFile::track(Org& org) const {
    for (const auto& tracked : tracked_) {
        const auto [object, index] = TRY(find(org, tracked));
        if (index < 0)
            return wrong(tracked.line, "'" + tracked.name + "' is no field", "write Object.Field, as Lead.Status");
        Field field = org.schema().at(object).fields[index];
        field.history_tracked = true;
        if (const auto trackable = org.can_track(object, field); !trackable.ok())
            return wrong(tracked.line, trackable.error().what, trackable.error().hint);
        org.change_field(object, index, std::move(field));
    }
    return {};
}

Result<LoadReport> OrgFile::apply(Org& org) const {
    std::vector<RowToLoad> rows;
    {
        const auto lock = org.write_lock();
        // Objects first, then their fields: two objects may refer to each other.
        std::vector<int> made;
        for (const auto& added : objects_) {
            if (org.schema().find(added.object.name) >= 0)
                return wrong(added.line, "the org has an object " + added.object.name + " already",
                             "its fields can be declared under [[fields]]");
            if (!added.object.key_prefix.empty() && org.schema().find_by_prefix(added.object.key_prefix) >= 0)
                return wrong(added.line, "the key prefix " + added.object.key_prefix + " is taken",
                             "leave it out to get a free one");
            made.push_back(org.add_object(added.object));
        }
        for (std::size_t i = 0; i < made.size(); ++i) TRY(add_fields(org, made[i], objects_[i].fields));
        for (const auto& added : fields_) {
            const int object = org.schema().find(added.object);
            if (object < 0)
                return wrong(added.line, "'" + added.object + "' is no object of this org",
                             "declare it under [[objects]], or check the spelling");
            TRY(add_fields(org, object, {added}));
        }
        // Formulas may use each other, in any order.
        for (std::size_t i = 0; i < made.size(); ++i) TRY(check_formulas(org, made[i], objects_[i].fields));
        for (const auto& added : fields_) TRY(check_formulas(org, org.schema().find(added.object), {added}));
        TRY(track(org));
        if (!currencies_.empty()) {
            if (const auto made = org.make_currencies(currencies_); !made.ok())
                return wrong(currencies_line_, made.error().what, made.error().hint);
        }
        for (const auto& row : rows_) {
            const int object = org.schema().find(row.object);
            if (object < 0)
                return wrong(row.line, "'" + row.object + "' is no object of this org",
                             "declare it under [[objects]], or check the spelling");
            RowToLoad loaded{.place = file_ + ":" + std::to_string(row.line), .object = object, .ref = row.ref};
            for (const auto& [name, value] : row.values) {
                const int field = org.schema().at(object).find(name);
                if (field < 0)
                    return wrong(row.line, row.object + " has no field '" + name + "'",
                                 "declare it under [[fields]], or check the spelling");
                const auto* text = std::get_if<std::string>(&value);
                const bool is_link =
                    text && text->starts_with('@') && org.schema().at(object).fields[field].type == Type::Reference;
                if (is_link) {
                    loaded.links.emplace_back(name, *text);
                } else {
                    loaded.values.emplace_back(name, value);
                }
            }
            rows.push_back(std::move(loaded));
        }
        const int organization = org.schema().find("Organization");
        if (name_ && organization >= 0) {
            const auto named =
                org.update(organization, org.organization_id(), {{"Name", *name_}}, org.integration_user_id());
            if (!named.ok())
                return wrong(1, "the organization can not be named '" + *name_ + "': " + named.errors.front().message,
                             "choose another name");
        }
    }
    auto report = load_rows(org, std::move(rows), org.integration_user_id());
    if (!report.refused.empty())
        return Error{.kind = Kind::Invalid,
                     .what = report.refused.front().place + ": " + report.refused.front().reason,
                     .hint = "correct the row; nothing of this org should be used"};
    const auto lock = org.write_lock();
    TRY(hide(org));
    return report;
}

}  // namespace lockstep::sandbox

#include "sandbox/tooling.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "sandbox/records.h"
#include "sandbox/soql_grammar.h"
#include "sandbox/values.h"

namespace lockstep::sandbox {
namespace {

/// A column's value as text to compare and as JSON to show.
struct Shown {
    std::string text, json;
    bool null = false;
};
using Row = std::map<std::string, Shown, IgnoringCase>;

Shown text(const std::string& value) {
    return value.empty() ? Shown{"", "null", true} : Shown{value, json_text(value), false};
}
Shown truth(bool value) {
    const std::string word = value ? "true" : "false";
    return {word, word, false};
}
Shown number(std::int64_t value) {
    return {std::to_string(value), std::to_string(value), false};
}
Shown moment(std::int64_t seconds) {
    return seconds == 0 ? Shown{"", "null", true} : text(wire_time({seconds}));
}

/// "ns" of "ns__Score__c".
std::string namespace_of(const std::string& name) {
    const auto first = name.find("__");
    const auto second = first == std::string::npos ? first : name.find("__", first + 2);
    return second == std::string::npos ? "" : name.substr(0, first);
}
/// "Score" of "ns__Score__c".
std::string developer_name(const std::string& name) {
    std::string bare = name;
    if (const auto prefix = namespace_of(name); !prefix.empty()) bare.erase(0, prefix.size() + 2);
    if (bare.ends_with("__c")) bare.erase(bare.size() - 3);
    return bare;
}

/// A type as Setup words it: "Text(255)", "Lookup(Account)", "Formula (Number)".
std::string data_type(const Field& field) {
    const auto sized = [&](const char* word, int size) { return std::string(word) + "(" + std::to_string(size) + ")"; };
    const auto precise = [&](const char* word) {
        return std::string(word) + "(" + std::to_string(field.precision - field.scale) + ", " +
               std::to_string(field.scale) + ")";
    };
    if (field.auto_number) return "Auto Number";
    switch (field.type) {
        case Type::Id:
            return "Lookup()";
        case Type::Reference:
            return "Lookup(" + join(field.reference_to, ",") + ")";
        case Type::Boolean:
            return "Checkbox";
        case Type::Picklist:
            return "Picklist";
        case Type::MultiPicklist:
            return "Picklist (Multi-Select)";
        case Type::Double:
            return precise("Number");
        case Type::Currency:
            return precise("Currency");
        case Type::Percent:
            return precise("Percent");
        case Type::Int:
            return "Number(" + std::to_string(field.digits) + ", 0)";
        case Type::Date:
            return "Date";
        case Type::DateTime:
            return "Date/Time";
        case Type::Time:
            return "Time";
        case Type::Email:
            return "Email";
        case Type::Phone:
            return "Phone";
        case Type::Url:
            return sized("URL", field.length);
        case Type::TextArea:
            return field.length > 255 ? sized("Long Text Area", field.length) : sized("Text Area", field.length);
        case Type::Address:
            return "Address";
        case Type::Location:
            return "Geolocation";
        case Type::EncryptedString:
            return sized("Text (Encrypted)", field.length);
        default:
            return field.name_field && !field.createable ? "Name" : sized("Text", field.length);
    }
}

Row entity_row(const Org& org, int object) {
    const Object& described = org.schema().at(object);
    const char* models[] = {"Private", "Read", "ReadWrite", "ControlledByParent"};
    return {{"Id", text("000000000000000AAA")},
            {"DurableId", text(described.name)},
            {"QualifiedApiName", text(described.name)},
            {"DeveloperName", text(developer_name(described.name))},
            {"NamespacePrefix", text(namespace_of(described.name))},
            {"MasterLabel", text(described.label)},
            {"Label", text(described.label)},
            {"PluralLabel", text(described.label_plural)},
            {"KeyPrefix", text(described.key_prefix)},
            {"LastModifiedDate", moment(0)},
            {"InternalSharingModel", text(models[static_cast<int>(org.sharing(object))])},
            {"IsCustomizable", truth(described.layoutable || described.custom)},
            {"IsQueryable", truth(described.queryable)},
            {"IsReplicateable", truth(described.replicateable)},
            {"IsRetrieveable", truth(described.retrieveable)},
            {"IsSearchable", truth(described.searchable)},
            {"IsTriggerable", truth(described.triggerable)},
            {"IsLayoutable", truth(described.layoutable)},
            {"IsEverCreatable", truth(described.createable)},
            {"IsEverUpdatable", truth(described.updateable)},
            {"IsEverDeletable", truth(described.deletable)},
            {"IsDeprecatedAndHidden", truth(false)},
            {"IsCustomSetting", truth(false)}};
}

Row field_row(const Org& org, int object, int index) {
    const Object& described = org.schema().at(object);
    const Field& field = described.fields[static_cast<std::size_t>(index)];
    // A custom field's number outlives its name; a standard field's name never changes.
    const std::string durable = described.name + "." + org.durable_field_id(object, index);
    Shown targets{"", "{\"referenceTo\":" + json_list(field.reference_to) + "}", false};
    if (field.reference_to.empty()) targets.json = "{\"referenceTo\":null}";
    return {{"Id", text("000000000000000AAA")},
            {"DurableId", text(durable)},
            {"QualifiedApiName", text(field.name)},
            {"DeveloperName", text(developer_name(field.name))},
            {"NamespacePrefix", text(namespace_of(field.name))},
            {"MasterLabel", text(field.label)},
            {"Label", text(field.label)},
            {"EntityDefinitionId", text(described.name)},
            {"DataType", text(field.calculated ? "Formula (" + data_type(field) + ")" : data_type(field))},
            {"ValueTypeId", text(name(field.type))},
            {"Length", number(field.length)},
            {"Precision", number(field.precision)},
            {"Scale", number(field.scale)},
            {"ExtraTypeInfo", text(field.extra_type_info)},
            {"Description", text(field.help)},
            {"IsCalculated", truth(field.calculated)},
            {"IsNameField", truth(field.name_field)},
            {"IsNillable", truth(field.nillable)},
            {"IsIndexed", truth(field.id_lookup || field.external_id || field.unique)},
            {"IsFieldHistoryTracked", truth(field.history_tracked)},
            {"IsApiFilterable", truth(field.filterable)},
            {"IsApiSortable", truth(field.sortable)},
            {"IsApiGroupable", truth(field.groupable)},
            {"IsCompound", truth(field.type == Type::Address || field.type == Type::Location)},
            {"IsHtmlFormatted", truth(field.html_formatted)},
            {"IsPolymorphicForeignKey", truth(field.polymorphic)},
            {"IsSearchPrefilterable", truth(field.search_prefilterable)},
            {"RelationshipName", text(field.relationship)},
            {"ReferenceTo", std::move(targets)},
            {"LastModifiedDate", moment(field.changed_at)}};
}

/// One condition: a column, of the row itself or of its entity, and what it may be.
struct Wanted {
    bool of_entity = false;
    std::string column;
    std::vector<std::string> values;
    bool like = false;

    bool fits(const Row& row) const {
        const auto found = row.find(column);
        return found != row.end() && std::any_of(values.begin(), values.end(), [&](const std::string& value) {
                   return like ? soql::like(fold(found->second.text), fold(value))
                               : equals_ignoring_case(found->second.text, value);
               });
    }
};

Error rejected(const char* code, std::string what) {
    return Error{.kind = Kind::Rejected, .what = std::move(what), .code = code};
}

/// A query over the two objects, its names checked.
class Selection {
public:
    static Result<Selection> of(std::string_view soql, const Org& org) {
        const auto statement = TRY(soql::parse(soql));
        Selection made;
        const std::string object = statement.from.names.empty() ? "" : statement.from.names.back();
        made.fields_ = equals_ignoring_case(object, "FieldDefinition");
        if (!made.fields_ && !equals_ignoring_case(object, "EntityDefinition"))
            return rejected("INVALID_TYPE", "sObject type '" + object +
                                                "' is not supported. If you are attempting to use a custom object, be "
                                                "sure to append the '__c' after the entity name. Please reference your "
                                                "WSDL or the describe call for the appropriate names.");
        if (!statement.order_by.empty() || !statement.group_by.empty() || statement.offset)
            return rejected("MALFORMED_QUERY", "ORDER BY, GROUP BY and OFFSET are not supported for this entity");
        made.known_entity_ = entity_row(org, 0);
        if (made.fields_) made.known_ = field_row(org, 0, 0);
        made.limit_ = statement.limit.value_or(records_max);
        for (const auto& item : statement.items) {
            if (item.kind != soql::Item::Kind::Operand || !item.operand.functions.empty())
                return rejected("MALFORMED_QUERY", "only fields can be selected from this entity");
            TRY(made.select(item.operand.path));
        }
        if (statement.where) TRY(made.where(*statement.where));
        const bool filtered = std::any_of(made.wanted_.begin(), made.wanted_.end(), [](const Wanted& wanted) {
            const bool names_entity = wanted.of_entity && (equals_ignoring_case(wanted.column, "QualifiedApiName") ||
                                                           equals_ignoring_case(wanted.column, "DurableId"));
            return !wanted.like && (names_entity || equals_ignoring_case(wanted.column, "EntityDefinitionId") ||
                                    (!wanted.of_entity && equals_ignoring_case(wanted.column, "DurableId")));
        });
        if (made.fields_ && !filtered)
            return rejected("MALFORMED_QUERY",
                            "When retrieving results with FieldDefinition, the query must be filtered by a reified "
                            "column: EntityDefinitionId, EntityDefinition.QualifiedApiName or DurableId");
        return made;
    }

    /// Body of the answer. Call under a lock.
    std::string answer(const Org& org, std::string_view version) const {
        std::string records;
        std::int64_t count = 0;
        const auto take = [&](const Row& row, const Row& entity) {
            const bool fits = std::all_of(wanted_.begin(), wanted_.end(), [&](const Wanted& wanted) {
                return wanted.fits(wanted.of_entity ? entity : row);
            });
            if (!fits || count >= limit_) return;
            if (count++ > 0) records += ',';
            append(row, entity, version, records);
        };
        for (int object = 0; object < org.schema().size(); ++object) {
            const Object& described = org.schema().at(object);
            if (described.removed) continue;
            const Row entity = entity_row(org, object);
            if (!fields_) {
                take(entity, entity);
                continue;
            }
            // Fields are many: those of entities that are not asked for are not even looked at.
            const bool asked = std::all_of(wanted_.begin(), wanted_.end(), [&](const Wanted& wanted) {
                return !wanted.of_entity || wanted.fits(entity);
            });
            for (int field = 0; asked && field < static_cast<int>(described.fields.size()); ++field)
                if (!described.fields[static_cast<std::size_t>(field)].removed)
                    take(field_row(org, object, field), entity);
        }
        const std::string total = std::to_string(count);
        return "{\"size\":" + total + ",\"totalSize\":" + total + ",\"done\":true,\"queryLocator\":null," +
               "\"entityTypeName\":\"" + kind() + "\",\"records\":[" + records + "]}";
    }

private:
    static constexpr std::int64_t records_max = 2000;

    const char* kind() const { return fields_ ? "FieldDefinition" : "EntityDefinition"; }

    /// The column behind a path, and whether it is the entity's. Errors: INVALID_FIELD.
    Result<std::pair<bool, std::string>> resolve(const soql::Path& path) const {
        std::vector<std::string> names = path.names;
        if (names.size() > 1 && equals_ignoring_case(names.front(), kind())) names.erase(names.begin());
        const bool of_entity = fields_ && names.size() == 2 && equals_ignoring_case(names.front(), "EntityDefinition");
        const Row& known = of_entity || !fields_ ? known_entity_ : known_;
        const auto found = known.find(names.back());
        if ((names.size() > 1 && !of_entity) || found == known.end())
            return rejected("INVALID_FIELD", "No such column '" + join(path.names, ".") + "' on entity '" + kind() +
                                                 "'. If you are attempting to use a custom field, be sure to append "
                                                 "the '__c' after the custom field name.");
        return std::pair(of_entity, found->first);
    }
    Result<void> select(const soql::Path& path) {
        auto column = TRY(resolve(path));
        (column.first ? of_entity_ : columns_).push_back(std::move(column.second));
        return {};
    }
    Result<void> where(const soql::Condition& condition) {
        if (condition.kind == soql::Condition::Kind::And) {
            for (const auto& part : condition.parts) TRY(where(part));
            return {};
        }
        const bool simple =
            condition.kind == soql::Condition::Kind::Compare && condition.select.empty() &&
            condition.left.functions.empty() &&
            (condition.op == soql::Op::Equal || condition.op == soql::Op::In || condition.op == soql::Op::Like);
        if (!simple)
            return rejected("MALFORMED_QUERY",
                            "only conditions with =, IN and LIKE, joined by AND, are supported for "
                            "this entity");
        auto column = TRY(resolve(condition.left.path));
        Wanted wanted{column.first, std::move(column.second), {}, condition.op == soql::Op::Like};
        for (const auto& value : condition.values) {
            if (value.kind != soql::Literal::Kind::String)
                wanted.values.push_back(value.kind == soql::Literal::Kind::Null ? "" : value.text);
            else
                wanted.values.push_back(wanted.like ? soql::unescape_pattern(value.text) : soql::unescape(value.text));
        }
        wanted_.push_back(std::move(wanted));
        return {};
    }
    static void append_attributes(const char* type, const std::string& durable, std::string_view version,
                                  std::string& out) {
        out += std::string("{\"attributes\":{\"type\":\"") + type + "\",\"url\":\"/services/data/v" +
               std::string(version) + "/tooling/sobjects/" + type + "/" + durable + "\"}";
    }
    void append(const Row& row, const Row& entity, std::string_view version, std::string& out) const {
        append_attributes(kind(), row.at("DurableId").text, version, out);
        for (const auto& column : columns_) append_raw_member(out, column, row.at(column).json);
        if (!of_entity_.empty()) {
            std::string parent;
            append_attributes("EntityDefinition", entity.at("DurableId").text, version, parent);
            for (const auto& column : of_entity_) append_raw_member(parent, column, entity.at(column).json);
            append_raw_member(out, "EntityDefinition", parent + "}");
        }
        out += '}';
    }

    bool fields_ = false;
    Row known_, known_entity_;  ///< any row: for the names of its columns
    std::vector<std::string> columns_, of_entity_;
    std::vector<Wanted> wanted_;
    std::int64_t limit_ = records_max;
};

}  // namespace

http::Answer Tooling::query(const Call& call) {
    const auto lock = reading(org_, call);
    const auto selection = Selection::of(call.request.query("q"), org_);
    if (!selection.ok()) return error_answer(selection.error());
    return json_answer(200, selection->answer(org_, call.version));
}

}  // namespace lockstep::sandbox

#include <algorithm>
#include <array>

#include "sandbox/schema.h"
#include "sandbox/values.h"

namespace lockstep::sandbox {

namespace {

constexpr std::string_view kMasterRecordType = "012000000000000AAA";

/// Writes an object's members one by one, in the order the caller gives them.
class Members {
public:
    explicit Members(std::string& out) : out_(out) { out_ += '{'; }
    void end() { out_ += '}'; }
    std::string& key(std::string_view name) {
        if (!first_) out_ += ',';
        first_ = false;
        ((out_ += '"') += name) += "\":";
        return out_;
    }
    void truth(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
    void number(std::string_view name, int value) { key(name) += std::to_string(value); }
    void text(std::string_view name, std::string_view value) { append_json_text(key(name), value); }
    void text_or_null(std::string_view name, std::string_view value) {
        if (value.empty()) {
            null(name);
        } else {
            text(name, value);
        }
    }
    void null(std::string_view name) { key(name) += "null"; }
    void raw(std::string_view name, std::string_view value) { key(name) += value; }

private:
    std::string& out_;
    bool first_ = true;
};

std::string_view soap_type(Type type) {
    switch (type) {
        case Type::Id:
        case Type::Reference:
            return "tns:ID";
        case Type::Boolean:
            return "xsd:boolean";
        case Type::Int:
            return "xsd:int";
        case Type::Double:
        case Type::Currency:
        case Type::Percent:
            return "xsd:double";
        case Type::Date:
            return "xsd:date";
        case Type::DateTime:
            return "xsd:dateTime";
        case Type::Time:
            return "xsd:time";
        case Type::Address:
            return "urn:address";
        case Type::Location:
            return "urn:location";
        case Type::Base64:
            return "xsd:base64Binary";
        case Type::AnyType:
            return "xsd:anyType";
        default:
            return "xsd:string";
    }
}

int byte_length(const Field& field) {
    if (field.byte_length != 0) return field.byte_length;
    if (field.type == Type::Id || field.type == Type::Reference) return field.length;
    return field.length * 3;
}

void append_picklist(std::string& out, const Field& field) {
    out += '[';
    for (const PickValue& value : field.picklist) {
        if (&value != field.picklist.data()) out += ',';
        Members members(out);
        members.truth("active", value.active);
        members.truth("defaultValue", value.is_default);
        members.text("label", value.label);
        members.null("validFor");
        members.text("value", value.value);
        members.end();
    }
    out += ']';
}

void append_texts(std::string& out, const std::vector<std::string>& texts) {
    out += '[';
    for (const std::string& text : texts) {
        if (&text != texts.data()) out += ',';
        append_json_text(out, text);
    }
    out += ']';
}

/// Keys in alphabetical order, as recorded.
void append_field(std::string& out, const Field& field) {
    Members members(out);
    members.truth("aggregatable", field.aggregatable);
    members.truth("aiPredictionField", false);
    members.truth("autoNumber", field.auto_number);
    members.number("byteLength", byte_length(field));
    members.truth("calculated", field.calculated);
    members.text_or_null("calculatedFormula", field.formula);
    members.truth("cascadeDelete", field.cascade_delete);
    members.truth("caseSensitive", field.case_sensitive);
    members.text_or_null("compoundFieldName", field.compound_field);
    members.null("controllerName");
    members.truth("createable", field.createable);
    members.truth("custom", field.custom);
    if (field.type == Type::Boolean) {
        members.truth("defaultValue", field.default_value == "true");
    } else {
        members.text_or_null("defaultValue", field.default_value);
    }
    members.null("defaultValueFormula");
    members.truth("defaultedOnCreate", field.defaulted_on_create);
    members.truth("dependentPicklist", false);
    members.truth("deprecatedAndHidden", false);
    members.number("digits", field.digits);
    members.truth("displayLocationInDecimal", false);
    members.truth("encrypted", field.type == Type::EncryptedString);
    members.truth("externalId", field.external_id);
    members.text_or_null("extraTypeInfo", field.extra_type_info);
    members.truth("filterable", field.filterable);
    members.null("filteredLookupInfo");
    members.truth("formulaTreatNullNumberAsZero", field.blank_as_zero);
    members.truth("groupable", field.groupable);
    members.truth("highScaleNumber", false);
    members.truth("htmlFormatted", field.html_formatted);
    members.truth("idLookup", field.id_lookup);
    members.text_or_null("inlineHelpText", field.help);
    members.text("label", field.label);
    members.number("length", field.length);
    members.null("mask");
    members.null("maskType");
    members.text("name", field.name);
    members.truth("nameField", field.name_field);
    members.truth("namePointing", field.name_pointing);
    members.truth("nillable", field.nillable);
    members.truth("permissionable", field.permissionable);
    append_picklist(members.key("picklistValues"), field);
    members.truth("polymorphicForeignKey", field.polymorphic);
    members.number("precision", field.precision);
    members.truth("queryByDistance", field.query_by_distance);
    members.null("referenceTargetField");
    append_texts(members.key("referenceTo"), field.reference_to);
    members.text_or_null("relationshipName", field.relationship);
    members.null("relationshipOrder");
    members.truth("restrictedDelete", field.restricted_delete);
    members.truth("restrictedPicklist", field.restricted_picklist);
    members.number("scale", field.scale);
    members.truth("searchPrefilterable", field.search_prefilterable);
    members.text("soapType", soap_type(field.type));
    members.truth("sortable", field.sortable);
    members.text("type", name(field.type));
    members.truth("unique", field.unique);
    members.truth("updateable", field.updateable);
    members.truth("writeRequiresMasterRead", false);
    members.end();
}

void append_child(std::string& out, const ChildRelationship& child) {
    Members members(out);
    members.truth("cascadeDelete", child.cascade_delete);
    members.text("childSObject", child.child_object);
    members.truth("deprecatedAndHidden", false);
    members.text("field", child.field);
    members.raw("junctionIdListNames", "[]");
    members.raw("junctionReferenceTo", "[]");
    members.text_or_null("relationshipName", child.relationship);
    members.truth("restrictedDelete", child.restricted_delete);
    members.end();
}

void append_record_type(std::string& out, const RecordTypeInfo& info, const std::string& base, bool is_master) {
    Members members(out);
    members.truth("active", info.active);
    members.truth("available", info.active);
    members.truth("defaultRecordTypeMapping", info.is_default);
    members.text("developerName", info.developer_name);
    members.truth("master", is_master);
    members.text("name", info.name);
    members.text("recordTypeId", info.id);
    std::string& urls = members.key("urls");
    Members links(urls);
    links.text("layout", base + "/describe/layouts/" + info.id);
    links.end();
    members.end();
}

void append_record_types(std::string& out, const Object& object, const std::string& base) {
    out += '[';
    // Objects without layouts of their own (contact roles) have not even the master.
    if (object.layoutable && object.search_layoutable) {
        bool has_default = false;
        for (const RecordTypeInfo& info : object.record_types) {
            append_record_type(out, info, base, false);
            out += ',';
            has_default = has_default || info.is_default;
        }
        append_record_type(out, {std::string(kMasterRecordType), "Master", "Master", true, !has_default}, base, true);
    }
    out += ']';
}

std::string base_url(const Object& object, std::string_view api_version) {
    return "/services/data/v" + std::string(api_version) + "/sobjects/" + object.name;
}

void append_urls(std::string& out, const Object& object, const std::string& base, std::string_view instance_url) {
    Members links(out);
    if (object.layoutable) links.text("compactLayouts", base + "/describe/compactLayouts");
    links.text("rowTemplate", base + "/{ID}");
    if (object.layoutable && object.search_layoutable) {
        links.text("approvalLayouts", base + "/describe/approvalLayouts");
    }
    if (!instance_url.empty()) {
        const std::string place(instance_url);
        links.text("uiDetailTemplate", place + "/{ID}");
        links.text("uiEditTemplate", place + "/{ID}/e");
    }
    if (object.layoutable && object.search_layoutable) links.text("listviews", base + "/listviews");
    links.text("describe", base + "/describe");
    if (!instance_url.empty()) links.text("uiNewRecord", std::string(instance_url) + "/" + object.key_prefix + "/e");
    if (object.layoutable) {
        links.text("quickActions", base + "/quickActions");
        links.text("layouts", base + "/describe/layouts");
    }
    links.text("sobject", base);
    links.end();
}

struct FullParts {
    const std::vector<ChildRelationship>* children;
    const std::vector<const Field*>* fields;
    std::string_view instance_url;
};

/// The item of describe global, and with `full` the full describe: the same keys and more among them, alphabetically.
void append_object(std::string& out, const Object& object, std::string_view api_version, const FullParts* full) {
    const std::string base = base_url(object, api_version);
    Members members(out);
    if (full != nullptr) members.raw("actionOverrides", "[]");
    members.truth("activateable", false);
    members.null("associateEntityType");
    members.null("associateParentEntity");
    if (full != nullptr) {
        std::string& list = members.key("childRelationships");
        list += '[';
        for (const ChildRelationship& child : *full->children) {
            if (&child != full->children->data()) list += ',';
            append_child(list, child);
        }
        list += ']';
        members.truth("compactLayoutable", object.compact_layoutable);
    }
    members.truth("createable", object.createable);
    members.truth("custom", object.custom);
    members.truth("customSetting", false);
    members.truth("deepCloneable", object.deep_cloneable);
    if (full != nullptr) members.null("defaultImplementation");
    members.truth("deletable", object.deletable);
    members.truth("deprecatedAndHidden", false);
    if (full != nullptr) {
        members.null("extendedBy");
        members.null("extendsInterfaces");
    }
    members.truth("feedEnabled", object.feed_enabled);
    if (full != nullptr) {
        std::string& list = members.key("fields");
        list += '[';
        for (std::size_t i = 0; i < full->fields->size(); ++i) {
            if (i > 0) list += ',';
            append_field(list, *(*full->fields)[i]);
        }
        list += ']';
    }
    members.truth("hasSubtypes", false);
    if (full != nullptr) {
        members.null("implementedBy");
        members.null("implementsInterfaces");
    }
    members.truth("isInterface", false);
    members.truth("isSubtype", false);
    members.text_or_null("keyPrefix", object.key_prefix);
    members.text("label", object.label);
    members.text("labelPlural", object.label_plural);
    members.truth("layoutable", object.layoutable);
    if (full != nullptr) {
        members.null("listviewable");
        members.null("lookupLayoutable");
    }
    members.truth("mergeable", object.mergeable);
    members.truth("mruEnabled", object.mru_enabled);
    members.text("name", object.name);
    if (full != nullptr) {
        members.raw("namedLayoutInfos", "[]");
        members.null("networkScopeFieldName");
    }
    members.truth("queryable", object.queryable);
    if (full != nullptr) append_record_types(members.key("recordTypeInfos"), object, base);
    members.truth("replicateable", object.replicateable);
    members.truth("retrieveable", object.retrieveable);
    if (full != nullptr) members.truth("searchLayoutable", object.search_layoutable);
    members.truth("searchable", object.searchable);
    if (full != nullptr) {
        members.text("sobjectDescribeOption", "FULL");
        std::string& list = members.key("supportedScopes");
        list += '[';
        for (const auto& [label, scope] : object.supported_scopes) {
            if (list.back() != '[') list += ',';
            Members pair(list);
            pair.text("label", label);
            pair.text("name", scope);
            pair.end();
        }
        list += ']';
    }
    members.truth("triggerable", object.triggerable);
    members.truth("undeletable", object.undeletable);
    members.truth("updateable", object.updateable);
    append_urls(members.key("urls"), object, base, full != nullptr ? full->instance_url : std::string_view{});
    members.end();
}

}  // namespace

std::string describe_item_json(const Schema& schema, int object, std::string_view api_version) {
    std::string out;
    append_object(out, schema.at(object), api_version, nullptr);
    return out;
}

std::string describe_global_json(const Schema& schema, const Visible& visible, std::string_view api_version) {
    std::vector<int> objects;
    for (int i = 0; i < schema.size(); ++i) {
        if (!schema.at(i).removed && visible(i, -1)) objects.push_back(i);
    }
    std::sort(objects.begin(), objects.end(),
              [&](int a, int b) { return IgnoringCase{}(schema.at(a).name, schema.at(b).name); });
    std::string out = R"({"encoding":"UTF-8","maxBatchSize":200,"sobjects":[)";
    for (const int object : objects) {
        if (object != objects.front()) out += ',';
        append_object(out, schema.at(object), api_version, nullptr);
    }
    return out + "]}";
}

std::string describe_json(const Schema& schema, int object, const Visible& visible, std::string_view api_version,
                          std::string_view instance_url) {
    const Object& described = schema.at(object);
    std::vector<const Field*> fields;
    for (std::size_t i = 0; i < described.fields.size(); ++i) {
        const bool shown = !described.fields[i].removed && visible(object, static_cast<int>(i));
        if (shown) fields.push_back(&described.fields[i]);
    }
    std::vector<ChildRelationship> children = schema.children_of(object);
    std::erase_if(children, [&](const ChildRelationship& child) {
        const int at = schema.find(child.child_object);
        return !visible(at, -1) || !visible(at, schema.at(at).find(child.field));
    });
    const FullParts full{&children, &fields, instance_url};
    std::string out;
    append_object(out, described, api_version, &full);
    return out;
}

}  // namespace lockstep::sandbox

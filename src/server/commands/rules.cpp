#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "server/commands/as_json.h"
#include "server/commands/commands.h"
#include "store/catalog.h"

namespace lockstep::server {

namespace {

const char* role_name(sync::Role role) {
    switch (role) {
        case sync::Role::Reference:
            return "reference";
        case sync::Role::Company:
            return "company";
        case sync::Role::Person:
            return "person";
        case sync::Role::Opportunity:
            return "opportunity";
        case sync::Role::ContactRole:
            return "contact role";
    }
    return "";
}

/// The describe of the other object that becomes a person; null when there is none, or it is not known yet.
const record::Object* partner(const sync::Rules& rules, const sync::ObjectRules& object,
                              const store::Catalog& catalog) {
    if (object.role != sync::Role::Person) return nullptr;
    for (const sync::ObjectRules& candidate : rules.objects()) {
        if (candidate.role != sync::Role::Person || candidate.salesforce == object.salesforce) continue;
        const store::MirrorObject* const known = catalog.find(candidate.salesforce);
        return known == nullptr ? nullptr : &known->object;
    }
    return nullptr;
}

Result<int> check_rules(Context& context, const sync::Rules& rules, const std::string& object) {
    Line* const line = TRY(context.parts.line());
    std::vector<sync::RuleFinding> findings = TRY(check_org(line->connector, rules));
    if (!object.empty()) {
        std::erase_if(findings, [&](const auto& finding) { return !equals_ignoring_case(finding.object, object); });
    }
    json::array array;
    std::vector<std::vector<std::string>> rows;
    for (const sync::RuleFinding& finding : findings) {
        array.push_back(json::object{{"object", finding.object},
                                     {"field", as_json(finding.field)},
                                     {"origin", finding.origin},
                                     {"what", finding.what},
                                     {"hint", as_json(finding.hint)},
                                     {"fatal", finding.fatal}});
        rows.push_back({finding.fatal ? "problem" : "warning", finding.object, finding.field, finding.what,
                        finding.hint, finding.origin});
    }
    context.out.document(to_pretty(json::object{{"findings", std::move(array)}}));
    context.out.table({"", "object", "field", "finding", "what to do", "rule"}, rows,
                      {.none = "the rules fit the org"});
    return std::ranges::any_of(findings, &sync::RuleFinding::fatal) ? kPartly : kDone;
}

}  // namespace

Result<int> rules(Context& context, const RulesOptions& options) {
    const sync::Rules* const rules = TRY(context.parts.rules());
    if (!options.object.empty() && rules->find(options.object) == nullptr) {
        return Error{.kind = Kind::NotFound,
                     .what = fmt::format("there are no rules for {}", options.object),
                     .hint = "lockstep rules lists the objects that have some"};
    }
    if (options.check) return check_rules(context, *rules, options.object);

    // With a catalog the rules of fields that no file names are known too.
    std::optional<store::Catalog> catalog;
    if (const auto db = context.parts.database(); db) {
        (*db)->read([&](store::Connection& connection) { catalog = store::Catalog::read(connection); });
    }
    json::array objects;
    std::vector<std::vector<std::string>> rows;
    for (const sync::ObjectRules& object : rules->objects()) {
        if (!options.object.empty() && !equals_ignoring_case(object.salesforce, options.object)) continue;
        const store::MirrorObject* const known = catalog ? catalog->find(object.salesforce) : nullptr;
        const std::vector<sync::FieldRule> fields =
            known != nullptr ? sync::effective_rules(object, known->object, partner(*rules, object, *catalog))
                             : object.fields;
        json::array array;
        for (const sync::FieldRule& field : fields) {
            array.push_back(json::object{{"field", field.salesforce},
                                         {"way", sync::name(field.way)},
                                         {"ours", field.ours},
                                         {"blank", sync::name(field.blank)},
                                         {"winner", sync::name(field.winner)},
                                         {"rule", field.origin}});
            if (options.object.empty()) continue;
            rows.push_back({field.salesforce, sync::name(field.way), field.ours, sync::name(field.blank),
                            sync::name(field.winner), field.origin});
        }
        if (options.object.empty()) {
            rows.push_back({object.salesforce, role_name(object.role), sync::name(object.winner),
                            object.required ? "yes" : "no", std::to_string(fields.size()), object.origin});
        }
        objects.push_back(json::object{{"object", object.salesforce},
                                       {"becomes", role_name(object.role)},
                                       {"winner", sync::name(object.winner)},
                                       {"required", object.required},
                                       {"needed", json::value_from(object.needed)},
                                       {"origin", object.origin},
                                       {"fields", std::move(array)}});
    }
    context.out.document(to_pretty(json::object{{"objects", std::move(objects)}}));
    if (options.object.empty()) {
        context.out.table({"object", "becomes", "winner", "required", "field rules", "file"}, rows);
        context.out.line();
        context.out.line(context.out.styled(
            "lockstep rules OBJECT shows its fields. Objects that become a reference or an opportunity are read whole.",
            Output::Style::Dim));
        return kDone;
    }
    context.out.table({"Salesforce", "way", "ours", "a blank there", "winner", "rule"}, rows,
                      {.none = "every readable field is kept under its own name"});
    return kDone;
}

}  // namespace lockstep::server

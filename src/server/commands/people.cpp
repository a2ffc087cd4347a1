#include <fmt/format.h>

#include <array>
#include <map>

#include "api/views.h"
#include "base/check.h"
#include "base/text.h"
#include "people/people.h"
#include "server/commands/as_json.h"
#include "server/commands/commands.h"
#include "store/log.h"

namespace lockstep::server {

namespace {

using api::PersonView;

json::object opportunity_json(const api::OpportunityInfo& info) {
    return {{"id", info.id},
            {"name", as_json(info.name)},
            {"stage", as_json(info.stage)},
            {"type", as_json(info.type)},
            {"amount", as_json(info.amount)},
            {"currency", as_json(info.currency)},
            {"expected_revenue", as_json(info.expected_revenue)},
            {"probability", as_json(info.probability)},
            {"close_date", as_json(info.close_date)},
            {"closed", info.closed},
            {"won", info.won},
            {"role", as_json(info.role)},
            {"primary", info.primary},
            {"owner", as_json(info.owner)},
            {"account", as_json(info.account)},
            {"updated", as_json(info.updated)}};
}

json::object fields_json(const std::vector<PersonView::Field>& fields) {
    json::object object;
    for (const PersonView::Field& field : fields) object[field.column] = as_json(field.value);
    return object;
}

json::value owner_json(const std::optional<PersonView::Owner>& owner) {
    if (!owner) return nullptr;
    return json::object{{"id", owner->id},
                        {"name", as_json(owner->name)},
                        {"email", as_json(owner->email)},
                        {"title", as_json(owner->title)},
                        {"phone", as_json(owner->phone)}};
}

json::object person_json(const PersonView& view) {
    json::array identities, opportunities, totals;
    for (const PersonView::Identity& identity : view.identities) {
        identities.push_back(json::object{
            {"id", identity.crm_id}, {"object", identity.object}, {"how", identity.how}, {"live", identity.live}});
    }
    for (const api::OpportunityInfo& info : view.opportunities) opportunities.push_back(opportunity_json(info));
    for (const api::OpportunityTotal& total : view.totals) {
        totals.push_back(json::object{{"currency", as_json(total.currency)},
                                      {"count", total.count},
                                      {"amount", total.amount},
                                      {"expected_revenue", total.expected_revenue}});
    }
    return {{"id", view.id},
            {"sfdc_type", as_json(view.sfdc_type)},
            {"unsubscribed", view.unsubscribed},
            {"fields", fields_json(view.fields)},
            {"company", fields_json(view.company)},
            {"sales_owner", owner_json(view.sales_owner)},
            {"account_owner", owner_json(view.account_owner)},
            {"identities", std::move(identities)},
            {"opportunities", std::move(opportunities)},
            {"totals", std::move(totals)}};
}

std::string shown(const record::Value& value) {
    const record::Cell& cell = value.cell();
    if (cell.is_null()) return "";
    switch (cell.form()) {
        case record::Form::Boolean:
            return cell.as_boolean() ? "yes" : "no";
        case record::Form::Timestamp:
            return local_text(cell.as_timestamp());
        default:
            return record::to_text(cell);
    }
}

std::string yes(bool holds) {
    return holds ? "yes" : "";
}

std::string money_or_blank(const std::optional<double>& amount) {
    return amount ? money(*amount) : "";
}

const std::vector<std::string> kOpportunityColumns{"name",   "stage",      "type",    "amount", "currency", "expected",
                                                   "prob %", "close date", "closed",  "won",    "role",     "primary",
                                                   "owner",  "account",    "updated", "id"};

std::vector<std::string> opportunity_row(const api::OpportunityInfo& info) {
    return {info.name,
            info.stage,
            info.type,
            money_or_blank(info.amount),
            info.currency,
            money_or_blank(info.expected_revenue),
            info.probability ? to_text(*info.probability) : "",
            info.close_date ? to_string(*info.close_date) : "",
            yes(info.closed),
            yes(info.won),
            info.role,
            yes(info.primary),
            info.owner,
            info.account,
            info.updated ? local_text(*info.updated) : "",
            info.id};
}

std::string text_of(const std::vector<PersonView::Field>& fields, std::string_view column) {
    for (const PersonView::Field& field : fields) {
        if (field.column == column) return record::to_text(field.value.cell());
    }
    return "";
}

std::string owner_line(const std::optional<PersonView::Owner>& owner) {
    if (!owner) return "";
    std::string line = owner->name.empty() ? owner->id : owner->name;
    for (const std::string* part : {&owner->title, &owner->email, &owner->phone}) {
        if (!part->empty()) line += ", " + *part;
    }
    return line;
}

void print_fields(Output& out, const std::vector<PersonView::Field>& fields) {
    std::vector<std::pair<std::string, std::string>> pairs;
    pairs.reserve(fields.size());
    for (const PersonView::Field& field : fields) {
        pairs.emplace_back(field.label.empty() ? field.column : field.label, shown(field.value));
    }
    out.pairs(pairs);
}

void print_person(Output& out, const PersonView& view) {
    const std::string name =
        std::string(trim(text_of(view.fields, "first_name") + " " + text_of(view.fields, "last_name")));
    const std::string email = text_of(view.fields, "email");
    std::string title = out.styled(name.empty() ? "(no name)" : name, Output::Style::Bold);
    if (!email.empty()) title += "  <" + email + ">";
    title += fmt::format("  person {}", view.id);
    if (!view.sfdc_type.empty()) title += ", Salesforce " + view.sfdc_type;
    if (view.unsubscribed) title += ", " + out.styled("unsubscribed", Output::Style::Warn);
    out.line(title);

    out.heading("Person");
    print_fields(out, view.fields);
    out.heading("Company");
    if (view.company.empty()) out.line(out.styled("none", Output::Style::Dim));
    print_fields(out, view.company);
    out.heading("Owners");
    if (!view.sales_owner && !view.account_owner) out.line(out.styled("none", Output::Style::Dim));
    out.pairs({{"sales owner", owner_line(view.sales_owner)}, {"account owner", owner_line(view.account_owner)}});
    out.heading("Salesforce records");
    std::vector<std::vector<std::string>> rows;
    for (const PersonView::Identity& identity : view.identities) {
        rows.push_back({identity.crm_id, identity.object, identity.how, identity.live ? "yes" : "no"});
    }
    out.table({"id", "object", "how", "live"}, rows);

    out.heading("Opportunity Info");
    rows.clear();
    for (const api::OpportunityInfo& info : view.opportunities) rows.push_back(opportunity_row(info));
    out.table(kOpportunityColumns, rows);
    for (const api::OpportunityTotal& total : view.totals) {
        const std::string code = total.currency.empty() ? "" : " " + total.currency;
        out.line(fmt::format("total  {}: {}{}, expected {}{}", counted(total.count, "Opportunity"), money(total.amount),
                             code, money(total.expected_revenue), code));
    }
}

/// People named by an id or an address. Errors: NotFound.
Result<std::vector<std::int64_t>> named_people(store::Connection& db, const std::string& who) {
    std::vector<std::int64_t> ids = people::find_people(db, who);
    if (!ids.empty()) return ids;
    return Error{.kind = Kind::NotFound,
                 .what = fmt::format("there is no person \"{}\" here", who),
                 .hint = "give an e-mail address, a Salesforce id (00Q… or 003…), or the number of a person"};
}

struct ActivityName {
    int type;
    const char* name;
};
constexpr std::array kActivityNames{
    ActivityName{12, "New Lead"},           ActivityName{13, "Change Data Value"},
    ActivityName{21, "Convert Lead"},       ActivityName{23, "Change Owner"},
    ActivityName{31, "SFDC Merge Leads"},   ActivityName{32, "Merge Leads"},
    ActivityName{34, "Add to Opportunity"}, ActivityName{35, "Remove from Opportunity"},
    ActivityName{36, "Update Opportunity"}, ActivityName{37, "Delete Lead"},
};

std::string activity_name(int type) {
    for (const ActivityName& known : kActivityNames) {
        if (known.type == type) return known.name;
    }
    return std::to_string(type);
}

std::string plain(const json::value& value) {
    if (value.is_null()) return "(empty)";
    if (value.is_string()) return std::string(value.get_string());
    return json::serialize(value);
}

/// Attributes as people read them: "Role: Decision Maker, Is Primary: true"; changes as "StageName: A → B".
/// The primary record has a column of its own.
std::string attributes_line(const std::string& text, const std::string& primary) {
    const Result<json::value> parsed = parse_json(text);
    if (!parsed || !parsed->is_object()) return text;
    std::vector<std::string> parts;
    for (const auto& [name, value] : parsed->get_object()) {
        if (value.is_string() && value.get_string() == primary) continue;
        if (!value.is_array()) {
            parts.push_back(std::string(name) + ": " + plain(value));
            continue;
        }
        for (const json::value& item : value.get_array()) {
            const json::object* const change = item.if_object();
            if (change == nullptr) {
                parts.push_back(std::string(name) + ": " + plain(item));
                continue;
            }
            std::vector<std::string> words;
            for (const auto& [key, inner] : *change) words.push_back(plain(inner));
            if (words.size() == 3) {
                parts.push_back(words.at(0) + ": " + words.at(1) + " → " + words.at(2));
            } else {
                parts.push_back(join(words, " "));
            }
        }
    }
    return join(parts, ", ");
}

json::value parsed_or_null(const std::string& text) {
    Result<json::value> parsed = parse_json(text.empty() ? "{}" : text);
    return parsed ? std::move(*parsed) : json::value(nullptr);
}

}  // namespace

Result<int> person(Context& context, const std::string& who) {
    store::Database* const db = TRY(context.parts.database());
    const sync::Rules* const rules = TRY(context.parts.rules());
    std::vector<PersonView> views;
    Result<std::vector<std::int64_t>> ids = std::vector<std::int64_t>();
    db->read([&](store::Connection& connection) {
        views.clear();
        ids = named_people(connection, who);
        if (!ids) return;
        for (const std::int64_t id : *ids) {
            if (auto view = api::person(connection, id, rules->settings())) views.push_back(std::move(*view));
        }
    });
    TRY(std::move(ids));
    json::array people;
    for (const PersonView& view : views) people.push_back(person_json(view));
    context.out.document(to_pretty(json::object{{"people", std::move(people)}}));
    for (std::size_t i = 0; i < views.size(); ++i) {
        if (i > 0) context.out.line();
        print_person(context.out, views.at(i));
    }
    if (views.size() > 1) {
        context.out.line();
        context.out.line(fmt::format("{} people share \"{}\"", views.size(), who));
    }
    return kDone;
}

Result<int> activities(Context& context, const ActivitiesOptions& options) {
    store::Database* const db = TRY(context.parts.database());
    const sync::Rules* const rules = TRY(context.parts.rules());
    Result<std::vector<std::int64_t>> ids = std::vector<std::int64_t>();
    std::vector<store::LoggedActivity> logged;
    std::map<std::string, std::string> opportunity_names;
    db->read([&](store::Connection& connection) {
        ids = named_people(connection, options.who);
        if (!ids || ids->size() != 1) return;
        logged = store::activities_of(connection, ids->front(), options.type, options.rows_max);
        for (const api::OpportunityInfo& info : api::opportunities_of(connection, ids->front(), rules->settings())) {
            opportunity_names[info.id] = info.name;
        }
    });
    const std::vector<std::int64_t> found = TRY(std::move(ids));
    if (found.size() > 1) {
        std::vector<std::string> numbers;
        numbers.reserve(found.size());
        for (const std::int64_t id : found) numbers.push_back(std::to_string(id));
        return Error{.kind = Kind::Invalid,
                     .what = fmt::format("{} people share \"{}\"", found.size(), options.who),
                     .hint = "name one of them by number: " + join(numbers, ", ")};
    }
    json::array array;
    std::vector<std::vector<std::string>> rows;
    for (const store::LoggedActivity& entry : logged) {
        const store::Activity& activity = entry.activity;
        array.push_back(json::object{{"id", entry.id},
                                     {"position", entry.position},
                                     {"type", activity.type},
                                     {"name", activity_name(activity.type)},
                                     {"at", to_string(activity.at)},
                                     {"primary", as_json(activity.primary)},
                                     {"class", store::name(activity.cls)},
                                     {"attributes", parsed_or_null(activity.attributes)}});
        const auto name = opportunity_names.find(activity.primary);
        rows.push_back({local_text(activity.at), activity_name(activity.type),
                        name == opportunity_names.end() ? activity.primary : name->second,
                        attributes_line(activity.attributes, activity.primary),
                        activity.cls == store::Class::CatchUp ? "catch-up" : ""});
    }
    context.out.document(to_pretty(json::object{{"person", found.front()}, {"activities", std::move(array)}}));
    context.out.table({"when", "activity", "about", "details", ""}, rows,
                      {.none = "no activities", .blank_columns = false, .cell_width_max = 100});
    if (static_cast<int>(rows.size()) == options.rows_max) {
        context.out.line(fmt::format("the newest {}; --limit shows more", rows.size()));
    }
    return kDone;
}

Result<int> opportunities(Context& context, const OpportunitiesOptions& options) {
    store::Database* const db = TRY(context.parts.database());
    const sync::Rules* const rules = TRY(context.parts.rules());
    const sync::Settings& settings = rules->settings();
    Output& out = context.out;
    std::vector<api::OpportunityInfo> all;
    std::vector<api::OrphanGroup> groups;
    std::vector<api::Orphan> orphans;
    std::vector<api::AccountStage> sums;
    db->read([&](store::Connection& connection) {
        if (options.by_account_and_stage) {
            sums = api::opportunities_by_account_and_stage(connection, settings);
        } else if (options.orphans) {
            groups = api::orphan_groups(connection, settings);
            orphans = api::orphans(connection, settings, options.rows_max);
        } else {
            all = api::opportunities(connection, settings, options.rows_max);
        }
    });

    json::array array, group_array;
    std::vector<std::vector<std::string>> rows, group_rows;
    if (options.by_account_and_stage) {
        for (const api::AccountStage& sum : sums) {
            array.push_back(json::object{{"account", as_json(sum.account)},
                                         {"stage", as_json(sum.stage)},
                                         {"currency", as_json(sum.currency)},
                                         {"count", sum.count},
                                         {"amount", sum.amount}});
            rows.push_back({sum.account.empty() ? "(no account)" : sum.account, sum.stage, with_thousands(sum.count),
                            money(sum.amount), sum.currency});
        }
        out.document(to_pretty(json::object{{"groups", std::move(array)}}));
        out.table({"account", "stage", "count", "amount", "currency"}, rows,
                  {.none = "no opportunities", .blank_columns = false});
        return kDone;
    }
    if (options.orphans) {
        for (const api::OrphanGroup& group : groups) {
            group_array.push_back(json::object{{"reason", group.reason},
                                               {"currency", as_json(group.currency)},
                                               {"count", group.count},
                                               {"amount", group.amount}});
            group_rows.push_back({group.reason, with_thousands(group.count), money(group.amount), group.currency});
        }
        for (const api::Orphan& orphan : orphans) {
            array.push_back(json::object{{"id", orphan.id},
                                         {"name", as_json(orphan.name)},
                                         {"stage", as_json(orphan.stage)},
                                         {"amount", as_json(orphan.amount)},
                                         {"currency", as_json(orphan.currency)},
                                         {"account", as_json(orphan.account)},
                                         {"owner", as_json(orphan.owner)},
                                         {"reason", orphan.reason}});
            rows.push_back({orphan.name, orphan.stage, money_or_blank(orphan.amount), orphan.currency, orphan.account,
                            orphan.owner, orphan.reason, orphan.id});
        }
        out.document(to_pretty(json::object{{"groups", std::move(group_array)}, {"opportunities", std::move(array)}}));
        out.table({"reason", "count", "amount", "currency"}, group_rows,
                  {.none = "every opportunity has a person", .blank_columns = false});
        if (!rows.empty()) {
            out.line();
            out.table({"name", "stage", "amount", "currency", "account", "owner", "reason", "id"}, rows,
                      {.blank_columns = false});
        }
    } else {
        for (const api::OpportunityInfo& info : all) {
            array.push_back(opportunity_json(info));
            rows.push_back({info.name, info.stage, money_or_blank(info.amount), info.currency,
                            info.probability ? to_text(*info.probability) : "",
                            info.close_date ? to_string(*info.close_date) : "", info.account, info.owner,
                            info.updated ? local_text(*info.updated) : "", info.id});
        }
        out.document(to_pretty(json::object{{"opportunities", std::move(array)}}));
        out.table({"name", "stage", "amount", "currency", "prob %", "close date", "account", "owner", "updated", "id"},
                  rows, {.none = "no opportunities", .blank_columns = false});
    }
    if (static_cast<int>(rows.size()) == options.rows_max) {
        out.line(fmt::format("the first {}; --limit shows more", rows.size()));
    }
    return kDone;
}

}  // namespace lockstep::server

#include <algorithm>
#include <utility>

#include "base/sfid.h"
#include "store/migrations.h"
#include "sync/cycle.h"
#include "sync/tables.h"

namespace lockstep::sync {

void make_tables(store::Database& db) {
    static const std::vector<store::Migration> migrations{
        {.version = 1, .statements = {"CREATE TABLE IF NOT EXISTS keyset (id {text} PRIMARY KEY)"}},
        {.version = 2,
         .statements = {
             "CREATE TABLE IF NOT EXISTS formula_state (object {text} NOT NULL, field {text} NOT NULL, formula {text} "
             "NOT NULL, freshness {text} NOT NULL, as_of {timestamp} NOT NULL, stale {boolean} NOT NULL, "
             "PRIMARY KEY (object, field))"}}};
    store::migrate(db, "sync", migrations);
}

namespace {

/// One database is one org: what was loaded from another is never mixed with this one's (reliability F41).
Result<void> check_org(Work& work) {
    std::optional<std::string> pinned;
    std::string known_currency;
    work.db.read([&](store::Connection& db) {
        pinned = store::setting(db, "organization.id");
        known_currency = store::setting(db, "currency.default").value_or("");
    });
    // Every login tells its organization, so that a known one costs no call; its facts are read again once a process.
    const bool known = pinned && work.connector.session().identity_url().find("/" + *pinned + "/") != std::string::npos;
    if (known && work.org_is_read) return {};
    const salesforce::Org org = TRY(work.connector.org());
    work.org_is_read = true;
    if (pinned && *pinned != org.organization_id) {
        return Error{.kind = Kind::Conflict,
                     .what = "This database belongs to the organization " + *pinned + ", but the login leads to " +
                             org.organization_id + " (" + org.name + ")",
                     .hint = "connect to the right org, or use another --data folder for this one"};
    }
    // What was told once does not become wrong because it can not be asked at the moment.
    const std::string currency = org.default_currency.empty() ? known_currency : org.default_currency;
    const std::pair<const char*, std::string> facts[] = {{"organization.id", org.organization_id},
                                                         {"organization.name", org.name},
                                                         {"organization.time_zone", org.time_zone},
                                                         {"currency.default", currency},
                                                         {"currency.multi", org.multi_currency ? "true" : "false"}};
    bool changed = false;
    work.db.read([&](store::Connection& db) {
        for (const auto& [name, value] : facts) changed |= store::setting(db, name).value_or("") != value;
    });
    if (!changed) return {};
    work.write([&](store::Transaction& tx) {
        for (const auto& [name, value] : facts) store::save_setting(tx, name, value);
    });
    return {};
}

std::string listed(const std::vector<std::string>& names) {
    return join(names, ", ");
}

/// Reads the columns of rows we had before a field joined. Nothing changed in Salesforce, so it is catch-up, and only
/// rows with a value need to come. What is not done now is done by a later cycle. Formulas are read by their own step.
Result<void> fill(Work& work, const store::MirrorObject& object) {
    std::vector<std::string> late;
    for (const store::MirrorField& field : object.fields) {
        if (field.live && !field.filled && field.field.formula.empty()) late.push_back(field.field.name);
    }
    for (const std::string& field : late) {
        std::vector<std::string> names{"Id", field};
        if (object.object.has("SystemModstamp")) names.insert(names.begin() + 1, "SystemModstamp");
        add_life_fields(work, object, names);
        const store::PageShape shape = store::shape_of(object, names);
        TRY(run_step(work, object.object.name, "back-fill", [&](store::Step& step) -> Result<void> {
            salesforce::Selection selection = selection_of(object, shape);
            const record::Field& described = *object.object.find(field);
            const bool always_filled = described.form == record::Form::Boolean;
            if (described.filterable && !always_filled) selection.condition = field + " != null";
            return work.connector.read(selection, [&](salesforce::Page&& page) -> Result<void> {
                Heard heard;
                work.write([&](store::Transaction& tx) {
                    const record::Batch rows = known_rows(tx.db(), shape, page.rows, nullptr);
                    heard =
                        apply_page(work, tx, shape, rows, store::Class::CatchUp, {.step = step.id, .call = page.call});
                });
                step.updated += heard.updated;
                tell(work.report, heard);
                return {};
            });
        }));
        if (work.report.steps.back().status != store::StepStatus::Succeeded) continue;
        work.catalog.mark_filled(work.db, object.object.name, field);
    }
    return {};
}

/// What bringing one object's description home found.
struct SchemaNews {
    std::vector<std::string> told;
    std::optional<Error> trouble;  ///< the first; the others' objects were gone on with
    bool described = false;        ///< at least one description came
};

/// The object's description, unless it is known to be as it was when it was last taken home.
Result<std::optional<record::Object>> description_of(Work& work, const std::string& object) {
    salesforce::Findings* const found = work.findings(object);
    if (found != nullptr && found->no_object) {
        return Error{.kind = Kind::NotFound, .what = "The sync user can not see the object " + object};
    }
    if (found != nullptr && found->description) return std::exchange(found->description, std::nullopt);
    // A query that fails may know of a change before the description's stamp does.
    const bool answered = found != nullptr && (found->changes || found->too_many_changes ||
                                               work.cursor(object).state != store::ObjectCursor::State::Following);
    if (answered && found->same_description) return std::optional<record::Object>();
    record::Object described = TRY(work.connector.describe(object));
    return std::optional<record::Object>(std::move(described));
}

Result<void> take_description(Work& work, const ObjectRules& rules, SchemaNews& news) {
    const auto trouble = [&](Error error) {
        if (!news.trouble) news.trouble = std::move(error);
    };
    Result<std::optional<record::Object>> given = description_of(work, rules.salesforce);
    if (given.ok() && !*given) return {};
    work.descriptions.erase(rules.salesforce);
    if (!given.ok()) {
        if (ends_the_cycle(given.error())) return given.error();
        if (given.error().kind != Kind::NotFound) {
            trouble(given.error());
        } else if (rules.required) {
            trouble({.kind = Kind::NotFound,
                     .what = "The sync user can not see the object " + rules.salesforce,
                     .hint = "give its profile or permission set read access to " + rules.salesforce,
                     .code = "OBJECT_NOT_VISIBLE"});
        }
        return {};
    }
    const record::Object& described = **given;
    std::vector<std::string> hidden;
    for (const RuleFinding& finding : check_rules(rules, described, nullptr)) {
        if (finding.fatal) hidden.push_back(finding.field);
    }
    if (!hidden.empty()) {
        if (!rules.required) return {};
        trouble({.kind = Kind::Rejected,
                 .what = "The sync user can not read " + rules.salesforce + "." + listed(hidden) +
                         ", and the sync can not work without it",
                 .hint = "grant read access by field-level security",
                 .code = "REQUIRED_FIELD_HIDDEN"});
        return {};
    }
    const bool known = work.catalog.find(rules.salesforce) != nullptr;
    const store::SchemaNews changes = work.catalog.take(work.db, described);
    news.described = true;
    salesforce::Findings* const found = work.findings(rules.salesforce);
    if (found != nullptr && found->described && !found->same_description) {
        work.descriptions[rules.salesforce] = {.changed = *found->described, .came_ms = work.world.clock.mono_ms()};
    }
    if (!known || changes.empty()) return {};
    // What the survey brought has the columns of before.
    if (found != nullptr) found->changes.reset();
    const auto tell = [&](const std::vector<std::string>& fields, const char* what) {
        if (!fields.empty()) news.told.push_back(rules.salesforce + ": " + what + " " + listed(fields));
    };
    tell(changes.added, "new field");
    tell(changes.unreadable, "no longer readable");
    tell(changes.readable_again, "readable again");
    tell(changes.changed, "changed");
    if (!changes.changed.empty()) work.formula_indexes.clear();  // a fresh column has no index
    return {};
}

}  // namespace

Result<void> sync_schema(Work& work) {
    SchemaNews news;
    TRY(run_step(work, "", "sync schema", [&](store::Step& step) -> Result<void> {
        TRY(check_org(work));
        TRY(survey(work));
        for (const ObjectRules& rules : work.rules.objects()) TRY(take_description(work, rules, news));
        for (const ObjectRules& rules : work.rules.objects()) {
            if (rules.role != Role::Company && rules.role != Role::Person) continue;
            if (!news.described && work.pairs.contains(rules.salesforce)) continue;
            Pairs pairs = pair_up(work.db, work.fields, rules, work.catalog, work.rules);
            news.told.insert(news.told.end(), pairs.notes.begin(), pairs.notes.end());
            work.pairs.insert_or_assign(rules.salesforce, std::move(pairs));
        }
        for (const std::string& sentence : news.told) work.watcher.note(sentence);
        step.detail = join(news.told, "; ");
        if (news.trouble) return *news.trouble;
        return {};
    }));
    for (const ObjectRules& rules : work.rules.objects()) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        if (object == nullptr) continue;
        if (work.cursor(object->object.name).state != store::ObjectCursor::State::Following) continue;
        TRY(fill(work, *object));
    }
    return {};
}

}  // namespace lockstep::sync

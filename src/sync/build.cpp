#include <algorithm>

#include "people/tables.h"
#include "sync/cycle.h"

namespace lockstep::sync {

using record::Batch;
using record::Cell;
using store::params;
using State = store::ObjectCursor::State;

namespace {

constexpr std::int64_t kPageRows = 10'000;

/// A page of the mirror, in the shape it was heard in.
Batch mirror_page(store::Connection& db, const store::MirrorObject& object, const store::PageShape& shape,
                  std::int64_t after, std::int64_t& last) {
    std::string sql = "SELECT ls_row";
    for (const std::string& column : shape.columns()) sql += ", " + store::quoted(column);
    sql +=
        " FROM " + store::quoted(object.table) + " WHERE ls_row > ? ORDER BY ls_row LIMIT " + std::to_string(kPageRows);
    Batch page(shape.forms());
    db.query(sql, params(Cell::integer(after)), [&](std::span<const Cell> row) {
        last = row[0].as_integer();
        const auto cells = page.add_row();
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const Cell& cell = row[i + 1];
            const bool text = cell.form() == record::Form::Text && !cell.is_null();
            cells[i] = text ? Cell::text(page.keep(cell.as_text())) : cell;
        }
        return true;
    });
    return page;
}

/// The fields people and companies are made of; the rest of the row stays where it is.
store::PageShape shape_for_people(const store::MirrorObject& object, const Pairs& pairs) {
    std::vector<std::string> names{"Id"};
    const auto add = [&](const std::string& field) {
        if (object.object.has(field) && std::ranges::find(names, field) == names.end()) names.push_back(field);
    };
    for (const char* const field :
         {"SystemModstamp", "IsDeleted", "MasterRecordId", "IsConverted", "ConvertedContactId"}) {
        add(field);
    }
    for (const Pairs::Pair& pair : pairs.fields) add(object.object.find(pair.rule.salesforce)->name);
    return store::shape_of(object, names);
}

/// Everybody of one object, page by page; the place moves in each page's transaction.
Result<void> build_people_of(Work& work, const store::MirrorObject& object) {
    const std::string part = to_lower(object.object.name);
    if (work.built(part)) return {};
    return run_step(work, object.object.name, "build people", [&](store::Step& step) -> Result<void> {
        const Pairs& pairs = work.pairs.find(object.object.name)->second;
        const store::PageShape shape = shape_for_people(object, pairs);
        std::int64_t place = 0;
        work.watcher.load_progress(object.object.name, 0, 0, "building people");
        work.db.read([&](store::Connection& db) {
            const auto saved = store::setting(db, "build." + part);
            if (saved) place = parse_int(*saved).value_or(0);
        });
        for (;;) {
            std::int64_t last = place;
            Batch page;
            work.db.read([&](store::Connection& db) { page = mirror_page(db, object, shape, place, last); });
            store::MirrorChanges changes;
            changes.rows.resize(page.rows());
            for (std::size_t i = 0; i < page.rows(); ++i)
                changes.rows[i] = {.kind = store::RowChange::Kind::New, .heard = i};
            PeopleOutcome outcome;
            work.write([&](store::Transaction& tx) {
                people::Writer writer(tx, people::Writer::Mode::Build, store::Class::CatchUp, {.step = step.id});
                outcome = PeopleSync(pairs, object).apply(writer, shape, page, changes);
                store::save_setting(tx, "build." + part, page.rows() == 0 ? "done" : std::to_string(last));
            });
            step.created += outcome.created;
            step.updated += outcome.updated;
            work.report.people += outcome.people;
            work.report.companies += outcome.companies;
            work.watcher.load_progress(object.object.name, step.created, 0, "building people");
            if (page.rows() == 0) return {};
            place = last;
        }
    });
}

}  // namespace

Result<void> build(Work& work) {
    if (work.built("links")) return {};
    const auto loaded = [&](std::string_view object) {
        const store::MirrorObject* const found = work.catalog.find(object);
        return found != nullptr && work.cursor(found->object.name).state == State::Following;
    };
    // Contacts come before leads, so that a converted lead finds the contact it became.
    for (const Role role : {Role::Company, Role::Person}) {
        std::vector<const store::MirrorObject*> objects;
        for (const ObjectRules& rules : work.rules.objects()) {
            if (rules.role != role) continue;
            if (!loaded(rules.salesforce)) return {};
            objects.insert(objects.begin(), work.catalog.find(rules.salesforce));
        }
        for (const store::MirrorObject* const object : objects) TRY(build_people_of(work, *object));
    }
    if (!loaded("Opportunity") || !loaded("OpportunityContactRole")) return {};
    return run_step(work, "OpportunityContactRole", "build links", [&](store::Step& step) -> Result<void> {
        // The indexes of the two tables that are filled here are built once, afterwards.
        people::drop_link_indexes(work.db);
        store::drop_activity_indexes(work.db);
        LinkBuild built;
        work.write([&](store::Transaction& tx) {
            built = build_links(tx, work.catalog, {.step = step.id});
            store::save_setting(tx, "build.links", "unindexed");
        });
        people::make_indexes(work.db);
        store::make_activity_indexes(work.db);
        work.write([&](store::Transaction& tx) { store::save_setting(tx, "build.links", "done"); });
        step.created = built.links;
        work.report.activities += built.activities;
        step.detail = std::to_string(built.activities) + " activities; " + std::to_string(built.missing) +
                      " references to records not visible";
        return {};
    });
}

}  // namespace lockstep::sync

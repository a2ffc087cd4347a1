#include <algorithm>
#include <utility>

#include "base/text.h"
#include "sync/cycle.h"

namespace lockstep::sync {

using record::Batch;
using record::Cell;
using record::Form;
using store::Class;
using store::params;
using store::RowChange;

namespace {

constexpr std::int64_t kDay = 86'400;
/// How often descriptions come whole though they tell of no change, and composite calls are tried again.
constexpr std::int64_t kDescribeMs = 3'600'000;
constexpr std::int64_t kSurveyRestMs = 900'000;
/// An absence is looked into this often before it is only reported (a parent may be hidden from us for good).
constexpr int kRepairTries = 3;
constexpr int kRepairIdsMax = 2'000;

/// A save that changed nothing but the stamps: new timestamp, no field of interest (domain 4.3, Skipped).
bool only_stamps(const store::PageShape& shape, const RowChange& change) {
    return std::ranges::all_of(change.fields, [&](int column) {
        const std::string& field = shape.fields[static_cast<std::size_t>(column)]->field.name;
        return column != shape.is_deleted && record::is_system_field(field) &&
               !equals_ignoring_case(field, "MasterRecordId");
    });
}

bool truth(const Batch& page, std::size_t row, int column) {
    return column >= 0 && page.row(row)[static_cast<std::size_t>(column)].is_true();
}

Heard count(const store::PageShape& shape, const Batch& page, const store::MirrorChanges& changes) {
    Heard heard;
    for (const RowChange& change : changes.rows) {
        const bool deleted = truth(page, change.heard, shape.is_deleted);
        switch (change.kind) {
            case RowChange::Kind::New:
                ++(deleted ? heard.skipped : heard.created);
                break;
            case RowChange::Kind::Updated: {
                const bool was_deleted = truth(changes.before, change.before, shape.is_deleted);
                if (deleted && !was_deleted) {
                    ++heard.deleted;
                } else {
                    ++(only_stamps(shape, change) ? heard.skipped : heard.updated);
                }
                break;
            }
            case RowChange::Kind::Same:
                break;
        }
    }
    return heard;
}

Role role_of(const Work& work, const store::MirrorObject& object) {
    const ObjectRules* const rules = work.rules.find(object.object.name);
    return rules == nullptr ? Role::Reference : rules->role;
}

}  // namespace

void tell(CycleReport& report, const Heard& heard) {
    report.activities += heard.activities;
    report.people += heard.people;
    report.companies += heard.companies;
}

Heard apply_page(Work& work, store::Transaction& tx, const store::PageShape& shape, const Batch& page, Class cls,
                 const store::Cause& cause) {
    const store::MirrorChanges changes = store::hear(tx, shape, page, cls, cause);
    Heard heard = count(shape, page, changes);
    const store::MirrorObject& object = *shape.object;
    const Role role = role_of(work, object);
    OpportunitySync opportunities(tx, work.catalog, work.rules.settings(), cls, cause);
    const auto built = [&](std::string_view part) {
        return store::setting(tx.db(), "build." + std::string(part)) == "done";
    };
    if (role == Role::Company || role == Role::Person) {
        if (!built(to_lower(object.object.name))) return heard;
        people::Writer writer(tx, people::Writer::Mode::Follow, cls, cause);
        PeopleSync people(work.pairs.find(object.object.name)->second, object);
        const PeopleOutcome outcome = people.apply(writer, shape, page, changes);
        heard.people = outcome.people;
        heard.companies = outcome.companies;
        if (built("links")) opportunities.contacts_changed(outcome.contacts_to_settle);
    } else if (role == Role::Opportunity && built("links")) {
        opportunities.opportunities_heard(shape, page, changes);
    } else if (role == Role::ContactRole && built("links")) {
        opportunities.roles_heard(shape, page, changes);
    }
    heard.activities = opportunities.activities();
    return heard;
}

Heard apply_gone(Work& work, store::Transaction& tx, const store::MirrorObject& object,
                 const std::vector<std::string>& ids, Class cls, const store::Cause& cause) {
    Heard heard;
    const std::vector<store::DeadRow> dead = store::bury(tx, object, ids, cls, cause);
    if (dead.empty()) return heard;
    heard.deleted = static_cast<std::int64_t>(dead.size());
    OpportunitySync opportunities(tx, work.catalog, work.rules.settings(), cls, cause);
    const bool links = store::setting(tx.db(), "build.links") == "done";
    switch (role_of(work, object)) {
        case Role::Company:
        case Role::Person: {
            people::Writer writer(tx, people::Writer::Mode::Follow, cls, cause);
            PeopleSync people(work.pairs.find(object.object.name)->second, object);
            const PeopleOutcome outcome = people.gone(writer, dead);
            if (links) opportunities.contacts_changed(outcome.contacts_to_settle);
            break;
        }
        case Role::Opportunity:
            if (links) opportunities.opportunities_gone(dead);
            break;
        case Role::ContactRole:
            if (links) opportunities.roles_gone(dead);
            break;
        case Role::Reference:
            break;
    }
    heard.activities = opportunities.activities();
    return heard;
}

namespace {

/// What changed since the watermark. Without a stamp to go by: all of it.
salesforce::Selection changes_of(const Work& work, const store::MirrorObject& object, const store::PageShape& shape,
                                 const store::ObjectCursor& cursor) {
    salesforce::Selection selection = selection_of(object, shape);
    if (!selection.stamp.empty()) selection.since = cursor.watermark->plus(-work.rules.settings().overlap_s);
    return selection;
}

/// After a long absence the change is large enough to be worth a count, and perhaps a bulk job.
bool long_away(const salesforce::Selection& selection, Timestamp now) {
    return selection.since && now.seconds - selection.since->seconds > kDay;
}

Result<void> pull_updates(Work& work, const store::MirrorObject& object, store::Step& step,
                          store::ObjectCursor& cursor) {
    salesforce::Findings* const found = work.findings(object.object.name);
    const bool surveyed = found != nullptr && found->changes;
    const store::PageShape shape = store::full_shape(object);
    const Timestamp now = surveyed ? found->asked_at : work.salesforce_now();
    const auto take = [&](salesforce::Page&& page) -> Result<void> {
        Heard heard;
        store::ObjectCursor after = cursor;
        work.write([&](store::Transaction& tx) {
            heard = apply_page(work, tx, shape, page.rows, Class::News, {.step = step.id, .call = page.call});
            // Pages come in the order of their stamps: all that is older than the last row has been applied.
            if (page.rows.rows() > 0 && shape.modstamp >= 0) {
                const Cell& last = page.rows.row(page.rows.rows() - 1)[static_cast<std::size_t>(shape.modstamp)];
                if (!last.is_null()) after.watermark = std::max(*cursor.watermark, std::min(last.as_timestamp(), now));
            }
            store::save_cursor(tx, after);
            note_odd_cells(tx, shape, page, step);
        });
        cursor = after;
        step.created += heard.created;
        step.updated += heard.updated;
        step.deleted += heard.deleted;
        step.skipped += heard.skipped;
        step.failed += static_cast<std::int64_t>(page.odd.size());
        tell(work.report, heard);
        return {};
    };
    if (surveyed) {
        salesforce::Page page = std::move(*found->changes);
        found->changes.reset();
        if (page.rows.rows() > 0) TRY(take(std::move(page)));
        cursor.watermark = std::max(*cursor.watermark, now);
        return {};
    }
    salesforce::Selection selection = changes_of(work, object, shape, cursor);
    if (selection.since) selection.until = now.plus(1);
    if (long_away(selection, now) && TRY(work.connector.count(selection)) >= work.rules.settings().bulk_from_rows) {
        const store::ObjectCursor before = cursor;
        TRY(work.connector.read_bulk(
            selection, {},
            [&](salesforce::Page&& page, const salesforce::BulkPosition&) {
                cursor.watermark = before.watermark;  // bulk pages come in any order
                return take(std::move(page));
            },
            work.options.bulk));
    } else {
        TRY(work.connector.read(selection, take));
    }
    cursor.watermark = std::max(*cursor.watermark, now);
    return {};
}

/// Ids that Salesforce has against ids that we have: the only way to find deletions once the delete log is gone.
Result<void> compare_key_sets(Work& work, const store::MirrorObject& object, store::Step& step) {
    work.write([&](store::Transaction& tx) { tx.db().run("DELETE FROM keyset", {}); });
    const std::vector<std::string> id_only{"Id"};
    salesforce::Selection selection = selection_of(object, store::shape_of(object, id_only));
    selection.deleted_too = false;
    selection.stamp.clear();
    const auto keep = [&](const salesforce::Page& page) {
        work.write([&](store::Transaction& tx) {
            Batch ids({Form::Text});
            for (std::size_t i = 0; i < page.rows.rows(); ++i) ids.add_row()[0] = page.rows.row(i)[0];
            tx.db().run_each("INSERT INTO keyset (id) VALUES (?) ON CONFLICT DO NOTHING", ids);
        });
        return Result<void>();
    };
    if (TRY(work.connector.count(selection)) >= work.rules.settings().bulk_from_rows) {
        TRY(work.connector.read_bulk(
            selection, {}, [&](salesforce::Page&& page, const salesforce::BulkPosition&) { return keep(page); }));
    } else {
        TRY(work.connector.read(selection, keep));
    }

    std::vector<std::string> missing;
    std::int64_t live = 0;
    work.db.read([&](store::Connection& db) {
        const std::string table = store::quoted(object.table);
        const std::string alive = object.find("IsDeleted") != nullptr ? " NOT m.isdeleted" : " 1 = 1";
        live = db.integer("SELECT count(*) FROM " + table + " m WHERE" + alive).value_or(0);
        db.query("SELECT m.id FROM " + table + " m WHERE" + alive +
                     " AND NOT EXISTS (SELECT 1 FROM keyset k WHERE k.id = m.id) ORDER BY m.id",
                 {}, [&](std::span<const Cell> row) {
                     missing.emplace_back(row[0].as_text());
                     return true;
                 });
    });
    const auto gone = static_cast<std::int64_t>(missing.size());
    if (gone > std::max<std::int64_t>(100, live / 50) && !work.options.accept_disappearances) {
        return Error{.kind = Kind::Rejected,
                     .what = with_thousands(gone) + " of " + with_thousands(live) + " " + object.object.name +
                             " records are gone from Salesforce, or hidden from us; nothing was deleted here",
                     .hint =
                         "check the sync user's sight; if they are really gone, run lockstep sync --once "
                         "--accept-disappearances",
                     .code = "MASS_DISAPPEARANCE"};
    }
    // What the bin still shows is heard with its last word; what is nowhere is gone where nothing else can hide it.
    const store::PageShape shape = store::full_shape(object);
    std::vector<std::string> found;
    TRY(work.connector.read_by_ids(selection_of(object, shape), missing, [&](salesforce::Page&& page) -> Result<void> {
        Heard heard;
        work.write([&](store::Transaction& tx) {
            heard = apply_page(work, tx, shape, page.rows, Class::CatchUp, {.step = step.id, .call = page.call});
        });
        for (std::size_t i = 0; i < page.rows.rows(); ++i) {
            found.push_back(record::to_text(page.rows.row(i)[static_cast<std::size_t>(shape.id)]));
        }
        step.deleted += heard.deleted;
        tell(work.report, heard);
        return {};
    }));
    std::ranges::sort(found);
    std::erase_if(missing, [&](const std::string& id) { return std::ranges::binary_search(found, id); });
    work.write([&](store::Transaction& tx) {
        if (!object.object.undeletable) {
            step.deleted +=
                apply_gone(work, tx, object, missing, Class::CatchUp, {.step = step.id, .call = "key-set comparison"})
                    .deleted;
            return;
        }
        for (const std::string& id : missing) {
            store::add_error(tx,
                             {.at = tx.now(),
                              .object = object.object.name,
                              .record = id,
                              .operation = step.operation,
                              .code = "MISSING",
                              .message = "The record is in neither Salesforce's answer nor its recycle bin: purged, or "
                                         "no longer shared with us; it is kept as it was",
                              .hint = "open it in Salesforce as the sync user",
                              .step = step.id});
        }
    });
    return {};
}

/// The delete log is read from here on; it wants windows longer than a minute.
Timestamp deletes_since(const Work& work, const store::ObjectCursor& cursor, Timestamp now) {
    const Timestamp since = cursor.deletes_watermark.value_or(*cursor.watermark).plus(-work.rules.settings().overlap_s);
    return std::min(since, now.plus(-120));
}

bool has_delete_log(const store::MirrorObject& object, const ObjectRules& rules) {
    return object.object.replicateable && rules.role != Role::Reference;
}

Result<void> pull_deletes(Work& work, const store::MirrorObject& object, store::Step& step,
                          store::ObjectCursor& cursor) {
    salesforce::Findings* const found = work.findings(object.object.name);
    const bool surveyed = found != nullptr && found->deleted;
    const Timestamp now = surveyed ? found->asked_at : work.salesforce_now();
    const Result<salesforce::Deleted> deleted =
        surveyed ? Result<salesforce::Deleted>(std::move(*found->deleted))
                 : work.connector.deleted(object.object.name, deletes_since(work, cursor, now), now);
    if (surveyed) found->deleted.reset();
    if (!deleted.ok()) {
        if (deleted.error().code != "INVALID_REPLICATION_DATE") return deleted.error();
        work.watcher.note(object.object.name + ": the delete log does not reach back far enough; comparing all ids");
        TRY(compare_key_sets(work, object, step));
        cursor.deletes_watermark = now;
        return {};
    }
    std::vector<std::string> ids;
    for (const salesforce::Deleted::Row& row : deleted->rows) ids.push_back(row.id);
    if (!ids.empty()) {
        Heard heard;
        work.write([&](store::Transaction& tx) {
            heard = apply_gone(work, tx, object, ids, Class::News, {.step = step.id, .call = "deleted"});
        });
        step.deleted += heard.deleted;
        tell(work.report, heard);
    }
    cursor.deletes_watermark = std::min(deleted->covered, now);
    return {};
}

}  // namespace

Result<void> survey(Work& work) {
    work.found.clear();
    const std::int64_t now_ms = work.world.clock.mono_ms();
    if (!work.rules.settings().composite || now_ms < work.no_survey_before_ms) return {};
    const Timestamp now = work.connector.session().server_time_about_now();
    std::vector<salesforce::Question> questions;
    for (const ObjectRules& rules : work.rules.objects()) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        if (object == nullptr) continue;  // never described: it is, by itself, and then loaded
        salesforce::Question question{.object = object->object.name};
        // Whether a changed right makes a description a changed one is Salesforce's secret: now and then it comes
        // whole.
        const auto known = work.descriptions.find(question.object);
        if (known != work.descriptions.end() && now_ms - known->second.came_ms < kDescribeMs) {
            question.described = known->second.changed;
        }
        const store::ObjectCursor cursor = work.cursor(question.object);
        if (cursor.state == store::ObjectCursor::State::Following) {
            salesforce::Selection selection = changes_of(work, *object, store::full_shape(*object), cursor);
            if (!long_away(selection, now)) question.changes = std::move(selection);
            if (has_delete_log(*object, rules)) question.deleted_since = deletes_since(work, cursor, now);
        }
        questions.push_back(std::move(question));
    }
    if (questions.empty()) return {};
    Result<std::vector<salesforce::Findings>> found = work.connector.survey(questions);
    if (!found.ok()) {
        const Error& error = found.error();
        if (error.kind == Kind::Throttled || error.kind == Kind::Cancelled) return error;
        // If the org is away altogether, the next call says so.
        work.no_survey_before_ms = now_ms + (error.kind == Kind::Unavailable ? kSurveyRestMs : kDescribeMs);
        work.watcher.note("The org did not answer a composite call (" + error.what + "); objects are asked one by one");
        return {};
    }
    for (std::size_t i = 0; i < questions.size(); ++i) {
        work.found.insert_or_assign(questions[i].object, std::move((*found)[i]));
    }
    return {};
}

Result<void> follow_object(Work& work, const store::MirrorObject& object, const ObjectRules& rules) {
    store::ObjectCursor cursor = work.cursor(object.object.name);
    const bool with_deletes = has_delete_log(object, rules);
    bool pulled = false;
    TRY(run_step(work, object.object.name, "pull updates", [&](store::Step& step) -> Result<void> {
        TRY(pull_updates(work, object, step, cursor));
        if (!with_deletes) cursor.complete_as_of = cursor.watermark;
        work.at_end_of_step([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
        pulled = true;
        return {};
    }));
    if (!pulled || !with_deletes) return {};
    return run_step(work, object.object.name, "pull deletes", [&](store::Step& step) -> Result<void> {
        TRY(pull_deletes(work, object, step, cursor));
        cursor.complete_as_of = cursor.watermark;
        work.at_end_of_step([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
        return {};
    });
}

Result<void> repair_parents(Work& work) {
    std::map<std::string, std::vector<std::string>> wanted;
    work.db.read([&](store::Connection& db) {
        db.query(
            "SELECT DISTINCT parent, parent_id FROM missing_parent WHERE tries < ? ORDER BY parent, parent_id LIMIT " +
                std::to_string(kRepairIdsMax),
            params(Cell::integer(kRepairTries)), [&](std::span<const Cell> row) {
                wanted[record::to_text(row[0])].push_back(record::to_text(row[1]));
                return true;
            });
    });
    // Bindings can not be captured, so the pair is taken apart by hand.
    for (const auto& entry : wanted) {
        const std::string& parent = entry.first;
        const std::vector<std::string>& ids = entry.second;
        const store::MirrorObject* const object = work.catalog.find(parent);
        if (object == nullptr) continue;
        TRY(run_step(work, parent, "repair parents", [&](store::Step& step) -> Result<void> {
            const store::PageShape shape = store::full_shape(*object);
            TRY(work.connector.read_by_ids(
                selection_of(*object, shape), ids, [&](salesforce::Page&& page) -> Result<void> {
                    Heard heard;
                    work.write([&](store::Transaction& tx) {
                        heard =
                            apply_page(work, tx, shape, page.rows, Class::News, {.step = step.id, .call = page.call});
                    });
                    step.created += heard.created;
                    step.updated += heard.updated;
                    tell(work.report, heard);
                    return {};
                }));
            work.write([&](store::Transaction& tx) {
                for (const std::string& id : ids) {
                    tx.db().run("UPDATE missing_parent SET tries = tries + 1 WHERE parent = ? AND parent_id = ?",
                                params(Cell::text(parent), Cell::text(id)));
                }
            });
            step.skipped = static_cast<std::int64_t>(ids.size()) - step.created - step.updated;
            return {};
        }));
    }
    return {};
}

}  // namespace lockstep::sync

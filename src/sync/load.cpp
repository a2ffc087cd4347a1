#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sync/cycle.h"

namespace lockstep::sync {

using State = store::ObjectCursor::State;

namespace {

/// Stands where the next page's locator would, once the last page is in.
const std::string kEnd = "end";

std::string index_setting(const std::string& object) {
    return "index." + to_lower(object);
}

void clear_table(Work& work, const store::MirrorObject& object) {
    work.write([&](store::Transaction& tx) { tx.db().run("DELETE FROM " + store::quoted(object.table), {}); });
}

/// Remembers how much is expected, and from when on changes are left to the cycles after the load.
void begin_load(Work& work, std::int64_t expected, store::ObjectCursor& cursor) {
    cursor.load_expected = expected;
    cursor.state = State::Loading;
    cursor.load_started = work.salesforce_now();
}

bool is_of_one_object(const Error& error) {
    return error.kind == Kind::Rejected || error.kind == Kind::NotFound || error.kind == Kind::BadReply;
}

}  // namespace

/// The pages of a first load, from either API, into the table; the place to go on from moves in the same transaction.
class Loads::Loader {
public:
    Loader(Work& work, const store::MirrorObject& object, store::Step& step, store::ObjectCursor& cursor)
        : work_(work), shape_(store::full_shape(object)), object_(object), step_(step), cursor_(cursor) {}

    const store::PageShape& shape() const { return shape_; }

    Result<void> take(const salesforce::Page& page, const std::string& next_locator) {
        const auto rows = static_cast<std::int64_t>(page.rows.rows());
        store::ObjectCursor after = cursor_;
        after.load_rows += rows;
        after.load_locator = next_locator;
        work_.write([&](store::Transaction& tx) {
            if (rows > 0) store::append_page(tx, shape_, page.rows, {.step = step_.id, .call = page.call});
            store::save_cursor(tx, after);
            note_odd_cells(tx, shape_, page, step_);
        });
        cursor_ = after;
        step_.failed += static_cast<std::int64_t>(page.odd.size());
        work_.watcher.load_progress(object_.object.name, cursor_.load_rows, cursor_.load_expected, "loading");
        return {};
    }

private:
    Work& work_;
    store::PageShape shape_;
    const store::MirrorObject& object_;
    store::Step& step_;
    store::ObjectCursor& cursor_;
};

void note_odd_cells(store::Transaction& tx, const store::PageShape& shape, const salesforce::Page& page,
                    const store::Step& step) {
    for (const salesforce::Page::Odd& odd : page.odd) {
        const record::Field& field = shape.fields[static_cast<std::size_t>(odd.column)]->field;
        store::add_error(tx, {.at = tx.now(),
                              .object = shape.object->object.name,
                              .record = record::to_text(page.rows.row(odd.row)[static_cast<std::size_t>(shape.id)]),
                              .operation = step.operation,
                              .code = "VALUE_NOT_READABLE",
                              .message = field.name + " came as \"" + odd.text + "\", which " + odd.reason,
                              .hint = "look at the field in Salesforce; it is empty here until it is right there",
                              .step = step.id});
    }
}

Result<void> Loads::ask() {
    Work& work = work_;
    std::vector<std::pair<const store::MirrorObject*, store::ObjectCursor>> unasked;
    for (const ObjectRules& rules : work.rules.objects()) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        if (object == nullptr) continue;
        store::ObjectCursor cursor = work.cursor(object->object.name);
        if (cursor.state == State::Never) unasked.emplace_back(object, std::move(cursor));
    }
    if (unasked.empty()) return {};
    return run_step(work, "", "ask for loads", [&](store::Step& step) -> Result<void> {
        std::vector<std::string> names;
        for (const auto& [object, cursor] : unasked) names.push_back(object->object.name);
        const auto counts = work.connector.approximate_counts(names);
        // The figures are a convenience, and a right of their own is needed to see them.
        if (!counts.ok() && !is_of_one_object(counts.error()) && counts.error().kind != Kind::Denied) {
            return counts.error();
        }
        for (auto& [object, cursor] : unasked) {
            std::optional<std::int64_t> noted;
            if (counts.ok() && counts->contains(object->object.name)) noted = counts->at(object->object.name);
            const Result<void> asked = ask_for(*object, noted, cursor);
            if (asked.ok()) {
                work.write([&, kept = &cursor](store::Transaction& tx) { store::save_cursor(tx, *kept); });
                if (!cursor.load_job.empty()) step.detail += (step.detail.empty() ? "" : ", ") + object->object.name;
                continue;
            }
            // What is wrong with one object is met again by its own step, which tells it.
            if (!is_of_one_object(asked.error())) return asked.error();
        }
        return {};
    });
}

Result<void> Loads::ask_for(const store::MirrorObject& object, std::optional<std::int64_t> rows,
                            store::ObjectCursor& cursor) {
    const salesforce::Selection selection = selection_of(object, store::full_shape(object));
    if (!rows) rows = TRY(work_.connector.count(selection));
    begin_load(work_, *rows, cursor);
    if (*rows < work_.rules.settings().bulk_from_rows) return {};
    return start_job(object, cursor);
}

Result<void> Loads::start_job(const store::MirrorObject& object, store::ObjectCursor& cursor) {
    cursor.load_job = TRY(work_.connector.start_bulk(selection_of(object, store::full_shape(object))));
    fresh_jobs_[object.object.name] = cursor.load_job;
    return {};
}

salesforce::BulkReader Loads::reader_of(const store::MirrorObject& object, const store::ObjectCursor& cursor) {
    const auto fresh = fresh_jobs_.find(object.object.name);
    const salesforce::BulkPosition position{.job = cursor.load_job,
                                            .locator = cursor.load_locator,
                                            .rows_read = cursor.load_rows,
                                            .fresh = fresh != fresh_jobs_.end() && fresh->second == cursor.load_job};
    return work_.connector.open_bulk(selection_of(object, store::full_shape(object)), position, work_.options.bulk);
}

/// Has the bulk result of the next object come in.
void Loads::open_behind(const store::MirrorObject& object) {
    if (!work_.options.bulk.ahead || opened_) return;
    bool behind = false;
    for (const ObjectRules& rules : work_.rules.objects()) {
        const store::MirrorObject* const next = work_.catalog.find(rules.salesforce);
        if (next == nullptr) continue;
        if (behind) {
            const store::ObjectCursor cursor = work_.cursor(next->object.name);
            if (cursor.state == State::Loading && !cursor.load_job.empty() && cursor.load_locator != kEnd) {
                opened_.emplace(Opened{cursor.load_job, reader_of(*next, cursor)});
                return;
            }
        }
        behind = behind || next == &object;
    }
}

Result<void> Loads::read_by_bulk(const store::MirrorObject& object, Loader& loader, store::ObjectCursor& cursor) {
    if (cursor.load_locator == kEnd) {
        work_.connector.remove_bulk(cursor.load_job);  // the process that read it died before it could
        return {};
    }
    if (cursor.load_job.empty()) {
        TRY(start_job(object, cursor));
        work_.write([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
    }
    std::optional<Opened> opened;
    if (opened_ && opened_->job == cursor.load_job) opened = std::exchange(opened_, std::nullopt);
    if (!opened) opened.emplace(Opened{cursor.load_job, reader_of(object, cursor)});
    while (auto came = opened->reader.next()) {
        salesforce::BulkReader::Taken taken = TRY(*std::move(came));
        TRY(loader.take(taken.page, taken.after.locator.empty() ? kEnd : taken.after.locator));
        opened->reader.take_back(std::move(taken.page.rows));
    }
    work_.connector.remove_bulk(cursor.load_job);
    return {};
}

Result<void> Loads::read_all(const store::MirrorObject& object, store::Step& step, store::ObjectCursor& cursor) {
    Loader loader(work_, object, step, cursor);
    const bool by_bulk = !cursor.load_job.empty() || cursor.load_expected >= work_.rules.settings().bulk_from_rows;
    if (!by_bulk) {
        clear_table(work_, object);
        cursor.load_rows = 0;
        return work_.connector.read(selection_of(object, loader.shape()),
                                    [&](salesforce::Page&& page) { return loader.take(page, ""); });
    }
    // A job lives seven days; one that is gone is made again, and what it had brought is read again. Once: a job that
    // fails every time has a reason of its own.
    Result<void> outcome = read_by_bulk(object, loader, cursor);
    if (!outcome.ok() && outcome.error().code == "BULK_JOB_LOST") {
        work_.watcher.note(object.object.name + ": " + outcome.error().what + "; starting its load again");
        work_.connector.remove_bulk(cursor.load_job);
        clear_table(work_, object);
        cursor.load_job.clear();
        cursor.load_locator.clear();
        cursor.load_rows = 0;
        cursor.load_started = work_.salesforce_now();
        outcome = read_by_bulk(object, loader, cursor);
    }
    return outcome;
}

Result<void> Loads::load(const store::MirrorObject& object) {
    Work& work = work_;
    return run_step(work, object.object.name, "first load", [&](store::Step& step) -> Result<void> {
        store::ObjectCursor cursor = work.cursor(object.object.name);
        work.watcher.load_progress(object.object.name, cursor.load_rows, cursor.load_expected, "asking");
        if (cursor.state == State::Never) {
            const std::int64_t rows = TRY(work.connector.count(selection_of(object, store::full_shape(object))));
            begin_load(work, rows, cursor);
            work.write([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
        }
        TRY(read_all(object, step, cursor));
        open_behind(object);
        work.watcher.load_progress(object.object.name, cursor.load_rows, cursor.load_expected, "indexing");
        store::finish_load(work.db, object);
        cursor.state = State::Following;
        cursor.watermark = cursor.load_started;
        cursor.deletes_watermark = cursor.load_started;
        cursor.complete_as_of = cursor.load_started;
        cursor.load_job.clear();
        cursor.load_locator.clear();
        work.at_end_of_step([cursor](store::Transaction& tx) {
            store::save_cursor(tx, cursor);
            store::save_setting(tx, index_setting(cursor.object), "due");
        });
        step.created = cursor.load_rows;
        return {};
    });
}

Result<void> Loads::index() {
    Work& work = work_;
    std::vector<std::pair<const store::MirrorObject*, const ObjectRules*>> due;
    work.db.read([&](store::Connection& db) {
        for (const ObjectRules& rules : work.rules.objects()) {
            const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
            if (object != nullptr && store::setting(db, index_setting(object->object.name)) == "due")
                due.emplace_back(object, &rules);
        }
    });
    if (due.empty()) return {};
    return run_step(work, "", "build indexes", [&](store::Step& step) -> Result<void> {
        for (const auto& [object, rules] : due) {
            if (!rules->indexed.empty()) step.detail += (step.detail.empty() ? "" : ", ") + object->object.name;
            work.watcher.load_progress(object->object.name, 0, 0, "indexing");
            store::build_mirror_indexes(work.db, *object, rules->indexed);
            work.write([&, built = object](store::Transaction& tx) {
                store::save_setting(tx, index_setting(built->object.name), "done");
            });
        }
        return {};
    });
}

}  // namespace lockstep::sync

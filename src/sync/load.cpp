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

/// The pages of a first load, from either API, into the table; the place to go on from moves in the same transaction.
class Loader {
public:
    Loader(Work& work, const store::MirrorObject& object, store::Step& step, store::ObjectCursor& cursor)
        : work_(work), shape_(store::full_shape(object)), object_(object), step_(step), cursor_(cursor) {}

    const store::PageShape& shape() const { return shape_; }

    Result<void> take(salesforce::Page&& page, const std::string& next_locator) {
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

Result<void> load_by_bulk(Work& work, const store::MirrorObject& object, Loader& loader, store::ObjectCursor& cursor) {
    if (cursor.load_locator == kEnd) return {};
    work.connector.on_bulk_job = [&](const std::string& job) {
        cursor.load_job = job;
        work.write([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
    };
    const salesforce::BulkPosition position{cursor.load_job, cursor.load_locator, cursor.load_rows};
    Result<void> outcome = work.connector.read_bulk(
        selection_of(object, loader.shape()), position,
        [&](salesforce::Page&& page, const salesforce::BulkPosition& after) {
            return loader.take(std::move(page), after.locator.empty() ? kEnd : after.locator);
        },
        work.options.bulk);
    work.connector.on_bulk_job = nullptr;
    return outcome;
}

Result<void> read_all(Work& work, const store::MirrorObject& object, store::Step& step, store::ObjectCursor& cursor) {
    Loader loader(work, object, step, cursor);
    const bool by_bulk = !cursor.load_job.empty() || cursor.load_expected >= work.rules.settings().bulk_from_rows;
    if (!by_bulk) {
        clear_table(work, object);
        cursor.load_rows = 0;
        return work.connector.read(selection_of(object, loader.shape()),
                                   [&](salesforce::Page&& page) { return loader.take(std::move(page), ""); });
    }
    // A job lives seven days; one that is gone is made again, and what it had brought is read again. Once: a job that
    // fails every time has a reason of its own.
    Result<void> outcome = load_by_bulk(work, object, loader, cursor);
    if (!outcome.ok() && outcome.error().code == "BULK_JOB_LOST") {
        work.watcher.note(object.object.name + ": " + outcome.error().what + "; starting its load again");
        clear_table(work, object);
        cursor.load_job.clear();
        cursor.load_locator.clear();
        cursor.load_rows = 0;
        cursor.load_started = work.salesforce_now();
        outcome = load_by_bulk(work, object, loader, cursor);
    }
    return outcome;
}

/// Asks how much there is, and remembers from when on changes are left to the cycles after the load.
Result<void> begin_load(Work& work, const salesforce::Selection& selection, store::ObjectCursor& cursor) {
    cursor.load_expected = TRY(work.connector.count(selection));
    cursor.state = State::Loading;
    cursor.load_started = work.salesforce_now();
    return {};
}

Result<void> ask_for_load(Work& work, const store::MirrorObject& object, store::ObjectCursor& cursor) {
    const salesforce::Selection selection = selection_of(object, store::full_shape(object));
    TRY(begin_load(work, selection, cursor));
    if (cursor.load_expected < work.rules.settings().bulk_from_rows) return {};
    cursor.load_job = TRY(work.connector.start_bulk(selection));
    return {};
}

}  // namespace

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

Result<void> ask_for_loads(Work& work) {
    std::vector<std::pair<const store::MirrorObject*, store::ObjectCursor>> unasked;
    for (const ObjectRules& rules : work.rules.objects()) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        if (object == nullptr) continue;
        store::ObjectCursor cursor = work.cursor(object->object.name);
        if (cursor.state == State::Never) unasked.emplace_back(object, std::move(cursor));
    }
    if (unasked.empty()) return {};
    return run_step(work, "", "ask for loads", [&](store::Step& step) -> Result<void> {
        for (auto& [object, cursor] : unasked) {
            const Result<void> asked = ask_for_load(work, *object, cursor);
            if (asked.ok()) {
                work.write([&, kept = &cursor](store::Transaction& tx) { store::save_cursor(tx, *kept); });
                if (!cursor.load_job.empty()) step.detail += (step.detail.empty() ? "" : ", ") + object->object.name;
                continue;
            }
            // What is wrong with one object is met again by its own step, which tells it.
            const Kind kind = asked.error().kind;
            if (kind != Kind::Rejected && kind != Kind::NotFound && kind != Kind::BadReply) return asked.error();
        }
        return {};
    });
}

Result<void> load_object(Work& work, const store::MirrorObject& object) {
    return run_step(work, object.object.name, "first load", [&](store::Step& step) -> Result<void> {
        store::ObjectCursor cursor = work.cursor(object.object.name);
        work.watcher.load_progress(object.object.name, cursor.load_rows, cursor.load_expected, "asking");
        if (cursor.state == State::Never) {
            TRY(begin_load(work, selection_of(object, store::full_shape(object)), cursor));
            work.write([&](store::Transaction& tx) { store::save_cursor(tx, cursor); });
        }
        TRY(read_all(work, object, step, cursor));
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

Result<void> index_loaded(Work& work) {
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

#include "store/journal.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace lockstep::store {

namespace {

constexpr std::int64_t kHourSeconds = 3600;
constexpr std::array kStatuses{StepStatus::Running, StepStatus::Succeeded, StepStatus::Failed, StepStatus::Incomplete,
                               StepStatus::Stopped};
constexpr std::array kStates{ObjectCursor::State::Never, ObjectCursor::State::Loading, ObjectCursor::State::Following};
constexpr std::array kForms{Form::Text, Form::Boolean, Form::Integer, Form::Real, Form::Timestamp, Form::Date};

std::string text_of(const Cell& cell) {
    return cell.is_null() ? std::string() : std::string(cell.as_text());
}

std::optional<Timestamp> moment_of(const Cell& cell) {
    if (cell.is_null()) return std::nullopt;
    return cell.as_timestamp();
}

Cell moment(std::optional<Timestamp> at) {
    return at ? Cell::timestamp(*at) : Cell::null(Form::Timestamp);
}

/// The one of `choices` whose name is `word`; the first one for a word of another version.
template <class Choices>
auto named(const Choices& choices, const std::string& word) {
    for (const auto choice : choices) {
        if (word == name(choice)) return choice;
    }
    return choices.front();
}

/// The value whose to_text() is `text`.
Value parse_value(const std::string& text, Form form) {
    if (text.empty()) return Value(Cell::null(form));
    switch (form) {
        case Form::Text:
            return Value::of(text);
        case Form::Boolean:
            return Value(Cell::boolean(text == "true"));
        case Form::Integer:
            return Value(Cell::integer(parse_int(text).value_or(0)));
        case Form::Real:
            return Value(Cell::real(parse_double(text).value_or(0)));
        case Form::Timestamp:
            return Value(Cell::timestamp(parse_timestamp(text).value_or(Timestamp{})));
        case Form::Date:
            return Value(Cell::date(parse_date(text).value_or(Date{})));
    }
    return {};
}

constexpr const char* kSelectCursor =
    "SELECT object, state, watermark, deletes_watermark, load_started, load_job, load_locator, load_rows, "
    "load_expected, complete_as_of FROM object_cursor ";

std::vector<ObjectCursor> select_cursors(Connection& db, const std::string& rest, std::span<const Cell> parameters) {
    std::vector<ObjectCursor> cursors;
    db.query(kSelectCursor + rest, parameters, [&](std::span<const Cell> row) {
        cursors.push_back({.object = text_of(row[0]),
                           .state = named(kStates, text_of(row[1])),
                           .watermark = moment_of(row[2]),
                           .deletes_watermark = moment_of(row[3]),
                           .load_started = moment_of(row[4]),
                           .load_job = text_of(row[5]),
                           .load_locator = text_of(row[6]),
                           .load_rows = row[7].as_integer(),
                           .load_expected = row[8].as_integer(),
                           .complete_as_of = moment_of(row[9])});
        return true;
    });
    return cursors;
}

std::vector<Step> select_steps(Connection& db, const std::string& rest, std::span<const Cell> parameters) {
    std::vector<Step> found;
    db.query(
        "SELECT id, cycle, object, operation, status, started, ended, created, updated, deleted, failed, skipped, "
        "calls, detail FROM step_history " +
            rest,
        parameters, [&](std::span<const Cell> row) {
            found.push_back({.id = row[0].as_integer(),
                             .cycle = row[1].as_integer(),
                             .object = text_of(row[2]),
                             .operation = text_of(row[3]),
                             .status = named(kStatuses, text_of(row[4])),
                             .started = row[5].as_timestamp(),
                             .ended = moment_of(row[6]),
                             .created = row[7].as_integer(),
                             .updated = row[8].as_integer(),
                             .deleted = row[9].as_integer(),
                             .failed = row[10].as_integer(),
                             .skipped = row[11].as_integer(),
                             .calls = row[12].as_integer(),
                             .detail = text_of(row[13])});
            return true;
        });
    return found;
}

}  // namespace

const char* name(StepStatus status) {
    switch (status) {
        case StepStatus::Running:
            return "in process";
        case StepStatus::Succeeded:
            return "succeeded";
        case StepStatus::Failed:
            return "failed";
        case StepStatus::Incomplete:
            return "incomplete";
        case StepStatus::Stopped:
            return "stopped";
    }
    return "in process";
}

const char* name(ObjectCursor::State state) {
    switch (state) {
        case ObjectCursor::State::Never:
            return "never";
        case ObjectCursor::State::Loading:
            return "loading";
        case ObjectCursor::State::Following:
            return "following";
    }
    return "never";
}

std::int64_t begin_step(Transaction& tx, std::int64_t cycle, std::string_view object, std::string_view operation) {
    const std::int64_t id = tx.take_ids("step", 1);
    tx.db().run(
        "INSERT INTO step_history (id, cycle, object, operation, status, started, created, updated, deleted, "
        "failed, skipped, calls) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0)",
        params(Cell::integer(id), Cell::integer(cycle), Cell::text(object), Cell::text(operation),
               Cell::text(name(StepStatus::Running)), Cell::timestamp(tx.now())));
    return id;
}

void save_step(Transaction& tx, const Step& step) {
    const std::int64_t rows = tx.db().run(
        "UPDATE step_history SET cycle = ?, object = ?, operation = ?, status = ?, started = ?, ended = ?, created = "
        "?, "
        "updated = ?, deleted = ?, failed = ?, skipped = ?, calls = ?, detail = ? WHERE id = ?",
        params(Cell::integer(step.cycle), Cell::text(step.object), Cell::text(step.operation),
               Cell::text(name(step.status)), Cell::timestamp(step.started), moment(step.ended),
               Cell::integer(step.created), Cell::integer(step.updated), Cell::integer(step.deleted),
               Cell::integer(step.failed), Cell::integer(step.skipped), Cell::integer(step.calls),
               Cell::text(step.detail), Cell::integer(step.id)));
    check(rows == 1, "a step is saved that was never begun");
}

std::int64_t next_cycle(Transaction& tx) {
    return tx.take_ids("cycle", 1);
}

std::vector<Step> steps(Connection& db, int rows_max, std::int64_t cycle) {
    if (cycle == 0) return select_steps(db, "ORDER BY id DESC LIMIT ?", params(Cell::integer(rows_max)));
    return select_steps(db, "WHERE cycle = ? ORDER BY id DESC LIMIT ?",
                        params(Cell::integer(cycle), Cell::integer(rows_max)));
}

void close_abandoned_steps(Transaction& tx) {
    tx.db().run("UPDATE step_history SET status = ?, ended = ?, detail = COALESCE(detail, ?) WHERE status = ?",
                params(Cell::text(name(StepStatus::Incomplete)), Cell::timestamp(tx.now()),
                       Cell::text("The program ended during this step."), Cell::text(name(StepStatus::Running))));
}

namespace {

/// The setting with the last step collapse_idle_cycles has looked at.
constexpr const char* kCollapsed = "history.collapsed";

/// Whether a step succeeded, brought nothing and has nothing to tell.
bool is_idle(const Step& step) {
    return step.status == StepStatus::Succeeded && step.detail.empty() &&
           step.created + step.updated + step.deleted + step.failed + step.skipped == 0;
}

/// An unbroken run of idle cycles of one day, and the rows of its steps.
struct IdleRun {
    Step row;
    std::int64_t first_step = 0, cycles = 0;

    bool takes(const Step& first_of_cycle) const {
        return cycles > 0 && day_of(row.started) == day_of(first_of_cycle.started);
    }
    void add(std::span<const Step> cycle) {
        if (cycles++ == 0) {
            row = {.operation = kIdleCycles, .status = StepStatus::Succeeded, .started = cycle.front().started};
            first_step = cycle.front().id;
        }
        for (const Step& step : cycle) row.calls += step.calls;
        row.id = cycle.back().id;
        row.cycle = cycle.back().cycle;
        row.ended = cycle.back().ended;
    }
    void save(Transaction& tx) {
        if (cycles == 0) return;
        row.detail = with_thousands(cycles) + (cycles == 1 ? " cycle" : " cycles") + " found nothing new";
        tx.db().run("DELETE FROM step_history WHERE id >= ? AND id < ?",
                    params(Cell::integer(first_step), Cell::integer(row.id)));
        save_step(tx, row);
        cycles = 0;
    }
    /// Goes on with the run that ended at the newest step up to `last_seen`, if that is one.
    static IdleRun before(Connection& db, std::int64_t last_seen) {
        IdleRun run;
        const std::vector<Step> newest =
            select_steps(db, "WHERE id <= ? ORDER BY id DESC LIMIT 1", params(Cell::integer(last_seen)));
        if (newest.empty() || newest.front().operation != kIdleCycles) return run;
        run.row = newest.front();
        run.first_step = run.row.id;
        std::string count = run.row.detail.substr(0, run.row.detail.find(' '));
        std::erase(count, ',');
        run.cycles = parse_int(count).value_or(1);
        return run;
    }
};

}  // namespace

bool collapse_idle_cycles(Transaction& tx, Timestamp before, int steps_max) {
    const std::int64_t seen = parse_int(setting(tx.db(), kCollapsed).value_or("")).value_or(0);
    const std::vector<Step> found = select_steps(tx.db(), "WHERE id > ? ORDER BY id LIMIT ?",
                                                 params(Cell::integer(seen), Cell::integer(steps_max)));
    const bool full = std::ssize(found) == steps_max;
    IdleRun run = IdleRun::before(tx.db(), seen);
    std::int64_t last = seen;
    const std::span<const Step> all(found);
    for (std::size_t from = 0, to = 0; from < all.size(); from = to) {
        while (to < all.size() && all[to].cycle == all[from].cycle) ++to;
        const std::span<const Step> cycle = all.subspan(from, to - from);
        // What is cut off is seen whole the next time, unless it alone is more than can be seen.
        if (full && to == all.size() && from > 0) break;
        if (cycle.back().started >= before || cycle.back().status == StepStatus::Running) break;
        last = cycle.back().id;
        const bool idle = std::ranges::all_of(cycle, is_idle) && !(full && from == 0 && to == all.size());
        if (!idle || !run.takes(cycle.front())) run.save(tx);
        if (idle) run.add(cycle);
    }
    run.save(tx);
    if (last != seen) save_setting(tx, kCollapsed, std::to_string(last));
    return full && last != seen;
}

std::int64_t prune_history(Transaction& tx, Timestamp before, Timestamp log_before, int rows_max) {
    const std::int64_t steps = tx.db().run(
        "DELETE FROM step_history WHERE id IN (SELECT id FROM step_history WHERE started < ? AND status <> ? AND "
        "(created + updated + deleted + skipped = 0 OR started < ?) ORDER BY id LIMIT ?)",
        params(Cell::timestamp(before), Cell::text(name(StepStatus::Running)), Cell::timestamp(log_before),
               Cell::integer(rows_max)));
    const std::int64_t errors = tx.db().run(
        "DELETE FROM sync_error WHERE id IN (SELECT id FROM sync_error WHERE resolved < ? ORDER BY id LIMIT ?)",
        params(Cell::timestamp(before), Cell::integer(rows_max)));
    return steps + errors;
}

void add_error(Transaction& tx, const SyncError& error) {
    tx.db().run(
        "INSERT INTO sync_error (id, at, object, record, operation, code, message, hint, step, resolved) VALUES "
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params(Cell::integer(tx.take_ids("sync_error", 1)), Cell::timestamp(error.at), Cell::text(error.object),
               Cell::text(error.record), Cell::text(error.operation), Cell::text(error.code), Cell::text(error.message),
               Cell::text(error.hint), Cell::integer(error.step), moment(error.resolved)));
}

void resolve_errors(Transaction& tx, std::string_view object, std::string_view record, std::string_view operation) {
    std::vector<Cell> parameters = params(Cell::timestamp(tx.now()), Cell::text(operation));
    std::string sql = "UPDATE sync_error SET resolved = ? WHERE resolved IS NULL AND operation = ?";
    // An empty text is kept as none: errors of the schema have no object, those of whole steps no record.
    for (const auto& [column, value] : {std::pair("object", object), std::pair("record", record)}) {
        if (value.empty()) {
            sql += std::string(" AND ") + column + " IS NULL";
        } else {
            sql += std::string(" AND ") + column + " = ?";
            parameters.push_back(Cell::text(value));
        }
    }
    tx.db().run(sql, parameters);
}

std::vector<SyncError> errors(Connection& db, int rows_max, bool open_only) {
    const std::string sql =
        std::string("SELECT id, at, object, record, operation, code, message, hint, step, resolved FROM sync_error ") +
        (open_only ? "WHERE resolved IS NULL " : "") + "ORDER BY id DESC LIMIT ?";
    std::vector<SyncError> found;
    db.query(sql, params(Cell::integer(rows_max)), [&](std::span<const Cell> row) {
        found.push_back({.id = row[0].as_integer(),
                         .at = row[1].as_timestamp(),
                         .object = text_of(row[2]),
                         .record = text_of(row[3]),
                         .operation = text_of(row[4]),
                         .code = text_of(row[5]),
                         .message = text_of(row[6]),
                         .hint = text_of(row[7]),
                         .step = row[8].as_integer(),
                         .resolved = moment_of(row[9])});
        return true;
    });
    return found;
}

std::optional<ObjectCursor> object_cursor(Connection& db, std::string_view object) {
    std::vector<ObjectCursor> found = select_cursors(db, "WHERE object = ?", params(Cell::text(object)));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

std::vector<ObjectCursor> object_cursors(Connection& db) {
    return select_cursors(db, "ORDER BY object", {});
}

void save_cursor(Transaction& tx, const ObjectCursor& cursor) {
    tx.db().run(
        "INSERT INTO object_cursor (object, state, watermark, deletes_watermark, load_started, load_job, load_locator, "
        "load_rows, load_expected, complete_as_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (object) DO "
        "UPDATE "
        "SET state = excluded.state, watermark = excluded.watermark, deletes_watermark = excluded.deletes_watermark, "
        "load_started = excluded.load_started, load_job = excluded.load_job, load_locator = excluded.load_locator, "
        "load_rows = excluded.load_rows, load_expected = excluded.load_expected, complete_as_of = "
        "excluded.complete_as_of",
        params(Cell::text(cursor.object), Cell::text(name(cursor.state)), moment(cursor.watermark),
               moment(cursor.deletes_watermark), moment(cursor.load_started), Cell::text(cursor.load_job),
               Cell::text(cursor.load_locator), Cell::integer(cursor.load_rows), Cell::integer(cursor.load_expected),
               moment(cursor.complete_as_of)));
}

std::optional<std::string> setting(Connection& db, std::string_view name) {
    // A setting saved as an empty text is there, though its text is null.
    const std::optional<Value> found = db.value("SELECT value FROM setting WHERE name = ?", params(Cell::text(name)));
    if (!found) return std::nullopt;
    return record::to_text(found->cell());
}

void save_setting(Transaction& tx, std::string_view name, std::string_view value) {
    tx.db().run(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params(Cell::text(name), Cell::text(value)));
}

std::optional<std::string> sealed_secret(Connection& db, std::string_view name) {
    const std::optional<std::string> found =
        db.text("SELECT sealed FROM secret WHERE name = ?", params(Cell::text(name)));
    if (!found) return std::nullopt;
    std::optional<std::string> bytes = from_base64(*found);
    if (!bytes) {
        throw Failure("The secret \"" + std::string(name) + "\" is damaged", "enter it again: lockstep connect");
    }
    return bytes;
}

void save_sealed_secret(Transaction& tx, std::string_view name, std::string_view sealed) {
    const std::string text = to_base64(sealed);  // sealed bytes may hold NUL, which text columns do not take
    tx.db().run(
        "INSERT INTO secret (name, sealed) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sealed = "
        "excluded.sealed",
        params(Cell::text(name), Cell::text(text)));
}

void remove_secret(Transaction& tx, std::string_view name) {
    tx.db().run("DELETE FROM secret WHERE name = ?", params(Cell::text(name)));
}

void count_calls(Transaction& tx, Timestamp at, std::int64_t calls) {
    const Timestamp hour = {at.seconds - at.seconds % kHourSeconds};
    tx.db().run(
        "INSERT INTO api_calls (hour, calls) VALUES (?, ?) ON CONFLICT (hour) DO UPDATE SET calls = "
        "api_calls.calls + excluded.calls",
        params(Cell::timestamp(hour), Cell::integer(calls)));
}

std::int64_t calls_since(Connection& db, Timestamp since) {
    return db
        .integer("SELECT COALESCE(sum(calls), 0) FROM api_calls WHERE hour > ?",
                 params(Cell::timestamp(since.plus(-kHourSeconds))))
        .value_or(0);
}

void hold(Transaction& tx, const Held& held) {
    const std::string theirs = record::to_text(held.theirs.cell());
    tx.db().run(
        "INSERT INTO held (object, record, field, reason, theirs, theirs_form, since) VALUES (?, ?, ?, ?, ?, ?, ?) ON "
        "CONFLICT (object, record, field) DO UPDATE SET reason = excluded.reason, theirs = excluded.theirs, "
        "theirs_form "
        "= excluded.theirs_form",
        params(Cell::text(held.object), Cell::text(held.record), Cell::text(held.field), Cell::text(held.reason),
               Cell::text(theirs), Cell::text(record::name(held.theirs.cell().form())), Cell::timestamp(held.since)));
}

void unhold(Transaction& tx, std::string_view object, std::string_view record, std::string_view field) {
    tx.db().run("DELETE FROM held WHERE object = ? AND record = ? AND field = ?",
                params(Cell::text(object), Cell::text(record), Cell::text(field)));
}

std::vector<Held> held_fields(Connection& db, std::string_view object, std::string_view record) {
    std::vector<Held> found;
    db.query(
        "SELECT object, record, field, reason, theirs, theirs_form, since FROM held WHERE object = ? AND record = ? "
        "ORDER BY field",
        params(Cell::text(object), Cell::text(record)), [&](std::span<const Cell> row) {
            Form form = Form::Text;
            for (const Form one : kForms) {
                if (text_of(row[5]) == record::name(one)) form = one;
            }
            found.push_back({.object = text_of(row[0]),
                             .record = text_of(row[1]),
                             .field = text_of(row[2]),
                             .reason = text_of(row[3]),
                             .theirs = parse_value(text_of(row[4]), form),
                             .since = row[6].as_timestamp()});
            return true;
        });
    return found;
}

}  // namespace lockstep::store

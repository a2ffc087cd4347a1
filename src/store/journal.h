#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"
#include "store/log.h"

namespace lockstep::store {

// What the sync did and where it stands: step history, record errors, cursors of objects, API calls, sealed secrets and
// settings. All plain tables that other tools may read.

enum class StepStatus {
    Running,
    Succeeded,
    Failed,
    Incomplete,  ///< its process died
    Stopped,     ///< a person, or the system, asked the process to stop: no error
};
/// "in process", "succeeded", "failed", "incomplete" (domain 4.3), "stopped"
const char* name(StepStatus status);

/// One step of a cycle: an operation on an object (domain 4.2, 4.3).
struct Step {
    std::int64_t id = 0, cycle = 0;
    std::string object, operation;  ///< "Opportunity", "pull updates"
    StepStatus status = StepStatus::Running;
    Timestamp started;
    std::optional<Timestamp> ended;
    std::int64_t created = 0, updated = 0, deleted = 0, failed = 0, skipped = 0;
    std::int64_t calls = 0;  ///< API calls
    std::string detail;      ///< why it failed, in a sentence; else what is worth telling
};
/// Opens a step; returns its id.
std::int64_t begin_step(Transaction& tx, std::int64_t cycle, std::string_view object, std::string_view operation);
void save_step(Transaction& tx, const Step& step);
std::int64_t next_cycle(Transaction& tx);
/// Newest first.
std::vector<Step> steps(Connection& db, int rows_max, std::int64_t cycle = 0);
/// Steps a killed process left running become incomplete.
void close_abandoned_steps(Transaction& tx);

/// The operation of a row that stands for cycles in which nothing happened: `cycle` is the last of them, `started` and
/// `ended` enclose them, `calls` is their sum, and `detail` tells how many they were.
inline constexpr const char* kIdleCycles = "idle cycles";
/// Steps of cycles that began before `before` and found nothing become one row for each unbroken run of such cycles
/// within a UTC day. Looks at `steps_max` steps that were not looked at before; returns whether there may be more.
bool collapse_idle_cycles(Transaction& tx, Timestamp before, int steps_max);
/// Removes steps that began before `before`, and errors that were resolved before it; at most `rows_max` of each.
/// Steps that brought something are the cause of rows of the change log, and stay until `log_before`. Returns how many
/// rows.
std::int64_t prune_history(Transaction& tx, Timestamp before, Timestamp log_before, int rows_max);

/// A record, or a whole step, that failed, with Salesforce's words.
struct SyncError {
    std::int64_t id = 0;
    Timestamp at;
    std::string object, record, operation;  ///< record empty: the whole step ("job level")
    std::string code, message, hint;
    std::int64_t step = 0;
    std::optional<Timestamp> resolved;  ///< it went well later
};
void add_error(Transaction& tx, const SyncError& error);
/// Marks open errors of a record (or of an object's step, with an empty record) as resolved.
void resolve_errors(Transaction& tx, std::string_view object, std::string_view record, std::string_view operation);
std::vector<SyncError> errors(Connection& db, int rows_max, bool open_only);

/// Where reading an object stands. Moves in the transaction that applied what was read (reliability 4.1.5).
struct ObjectCursor {
    std::string object;
    enum class State { Never, Loading, Following } state = State::Never;
    std::optional<Timestamp> watermark;          ///< everything stamped before it was read at least once
    std::optional<Timestamp> deletes_watermark;  ///< the delete log was read up to here
    std::optional<Timestamp> load_started;       ///< server time when the running or last load began
    std::string load_job;                        ///< bulk job, empty: REST
    std::string load_locator;                    ///< next page to fetch
    std::int64_t load_rows = 0, load_expected = 0;
    std::optional<Timestamp> complete_as_of;  ///< last moment for which a whole pass succeeded
};
std::optional<ObjectCursor> object_cursor(Connection& db, std::string_view object);
std::vector<ObjectCursor> object_cursors(Connection& db);
void save_cursor(Transaction& tx, const ObjectCursor& cursor);
const char* name(ObjectCursor::State state);

/// Settings and facts by name: "organization.id", "organization.name", "currency.default", "connection.url", …
std::optional<std::string> setting(Connection& db, std::string_view name);
void save_setting(Transaction& tx, std::string_view name, std::string_view value);

/// Sealed bytes (base/crypto.h) by name. The seal's place is the name, so rows can not be swapped.
std::optional<std::string> sealed_secret(Connection& db, std::string_view name);
void save_sealed_secret(Transaction& tx, std::string_view name, std::string_view sealed);
void remove_secret(Transaction& tx, std::string_view name);

/// API calls an hour, for the budget and `status`.
void count_calls(Transaction& tx, Timestamp at, std::int64_t calls);
std::int64_t calls_since(Connection& db, Timestamp since);

/// A field whose heard value was not taken over (design section 1, Pairs).
struct Held {
    std::string object, record, field, reason;
    Value theirs;
    Timestamp since;
};
void hold(Transaction& tx, const Held& held);
void unhold(Transaction& tx, std::string_view object, std::string_view record, std::string_view field);
std::vector<Held> held_fields(Connection& db, std::string_view object, std::string_view record);

}  // namespace lockstep::store

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/world.h"
#include "store/database.h"

namespace lockstep::store {

/// Somebody changed it now, or we only came to know it now (design section 1; nothing that is catch-up may fire a
/// trigger).
enum class Class { News, CatchUp };
/// "news", "catch-up"
const char* name(Class cls);

/// Where a change came from: enough to explain a value later.
struct Cause {
    std::int64_t step = 0;  ///< row of step_history; 0: none
    std::string call;       ///< the API call that brought it: "query page 3", "bulk job 750… from MTAwMDA"
    std::string rule;       ///< "rules/lead.toml:9"; empty: none
};

enum class ChangeKind { Insert, Update, Delete, Undelete, Snapshot };
const char* name(ChangeKind kind);

/// One row of the change log: what happened to one record (or, for Snapshot, to a page of a first load).
struct Change {
    std::string table;   ///< "crm_opportunity", "person"
    std::string record;  ///< Salesforce id, or our id in decimal; for Snapshot "first..last"
    ChangeKind kind = ChangeKind::Update;
    Class cls = Class::News;
    Cause cause;
    /// Column → before, after. For Snapshot: {"rows": [null, n]}. Foreign keys always (design section 1).
    struct Field {
        std::string column;
        Value before, after;
    };
    std::vector<Field> fields;
};

/// One entry of a person's history.
struct Activity {
    std::int64_t person = 0;
    int type = 0;            ///< domain 16.1: 34 Add to Opportunity, 35 Remove from Opportunity, 36 Update Opportunity
    Timestamp at;            ///< when it happened, which for imported history is not when we learnt of it
    std::string primary;     ///< the record it is about: the opportunity's Salesforce id
    std::string attributes;  ///< a JSON object with the names of domain 16.1
    Class cls = Class::News;
};

/// The transaction a unit of work runs in: its session, and what it adds to the two logs.
///
/// Staged changes and activities get their positions in one UPDATE of `log_head` as the last step before COMMIT, so
/// that the order of positions is the order of commits on every engine and a follower never skips one. Activities get
/// the position of the transaction's last change, or one of their own when it changed nothing else: positions of the
/// change log grow, but may leave some out.
class Transaction {
public:
    explicit Transaction(Connection& connection, World& world) : connection_(connection), world_(world) {}
    Connection& db() { return connection_; }
    /// When this transaction says it happened: fixed at its start.
    Timestamp now() const { return now_; }

    void stage(Change change);
    void stage(Activity activity);
    /// Takes the next position at once and logs `change` under it; the log stays locked until COMMIT. For loads, whose
    /// rows carry the position.
    std::int64_t log_now(const Change& change);
    /// `count` fresh ids of `counter` ("person", "activity", "company"), the first one returned. Dense, never reused.
    std::int64_t take_ids(std::string_view counter, std::int64_t count);

    /// Called by Database::write.
    void start();
    void flush();
    bool staged() const { return !changes_.empty() || !activities_.empty(); }

private:
    std::int64_t take_positions(std::int64_t count);  ///< the first of them

    Connection& connection_;
    World& world_;
    Timestamp now_;
    std::vector<Change> changes_;
    std::vector<Activity> activities_;
};

/// A change as a follower reads it. Its values went through JSON: timestamps and dates come back as text, whole numbers
/// as Integer.
struct LoggedChange {
    std::int64_t position = 0;
    Timestamp at;
    Change change;
};

/// Changes after `position`, oldest first, at most `rows_max`.
/// Errors: NotFound with code CHANGES_PRUNED – rows behind `position` were removed for their age: who follows the log
/// has missed them and must start from the tables as they are, at last_position().
Result<std::vector<LoggedChange>> changes_after(Connection& db, std::int64_t position, int rows_max);
/// Changes of one record, newest first, at most `rows_max`.
std::vector<LoggedChange> changes_of(Connection& db, std::string_view table, std::string_view record, int rows_max);
/// The change at `position`.
std::optional<LoggedChange> change_at(Connection& db, std::int64_t position);
std::int64_t last_position(Connection& db);

/// Removes the oldest rows of the change log, as long as they were written before `before` and at most `rows_max`;
/// activities stay. Returns how many. The rows that are kept have no gap among them: where the clock was set back, an
/// old row behind a younger one waits for it.
std::int64_t prune_log(Transaction& tx, Timestamp before, int rows_max);
/// All rows of the change log up to this position were removed for their age; 0: none was.
std::int64_t pruned_position(Connection& db);

/// A follower's place in the log; lives in the database of its effect and moves in its transaction.
std::int64_t follower_position(Connection& db, std::string_view follower);
void move_follower(Transaction& tx, std::string_view follower, std::int64_t position);

/// Activities of one person, newest first (by `at`, then id), at most `rows_max`; type 0: all types.
struct LoggedActivity {
    std::int64_t id = 0, position = 0;
    Activity activity;
};
std::vector<LoggedActivity> activities_of(Connection& db, std::int64_t person, int type, int rows_max);

/// The indexes of the activity log: who fills it with a history of millions drops them before and makes them after.
void drop_activity_indexes(Database& db);
void make_activity_indexes(Database& db);

}  // namespace lockstep::store

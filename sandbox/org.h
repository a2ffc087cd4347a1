#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/world.h"
#include "sandbox/schema.h"

namespace lockstep::sandbox {

/// A field's value: nothing, boolean, integer (also Date as days and DateTime as epoch seconds), double, text (ids are
/// 18 characters).
using Cell = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

struct WriteError {
    std::string code;     ///< "REQUIRED_FIELD_MISSING"
    std::string message;  ///< as Salesforce words it
    std::vector<std::string> fields;
};
/// The outcome of writing one record: `errors` empty means it happened.
struct WriteResult {
    std::string id;
    bool created = false;
    std::vector<WriteError> errors;
    bool ok() const { return errors.empty(); }
};
/// Field name → value to write. Cells are coerced to the field's type as salesforce-api 6 says (text to numbers and
/// dates).
using Values = std::vector<std::pair<std::string, Cell>>;

struct DeletedRow {
    std::string id;
    Timestamp at;
};

struct OrgOptions {
    std::int64_t people =
        1000;  ///< leads and contacts together; accounts, opportunities and roles follow (see generate.h)
    std::uint64_t seed = 1;
    std::string org_file;            ///< TOML or JSON: objects, fields, rows, settings; see docs/sandbox.md
    std::string load_dir;            ///< folder of <Object>.csv files to insert at start
    std::string state_file;          ///< edits survive a restart here; empty: in memory only
    std::optional<Timestamp> start;  ///< the org's clock at start; default: now. Generated rows lie before it
};

/// A Salesforce org in memory.
///
/// Rows of a generated org that nobody edited are computed from (seed, object, row); only edits and new rows are
/// stored, so that ten million rows cost a few hundred MB at most. A row is named by (object, row): its index in
/// creation order, in one to one correspondence with its id.
///
/// Thread rules: hold `read_lock()` while reading and `write_lock()` while writing; no member locks by itself. Readers
/// run in parallel. Transactions are one call; nothing half-written is ever visible.
class Org {
public:
    explicit Org(OrgOptions options);  ///< throws Failure with a hint for a bad org file
    ~Org();

    std::shared_lock<std::shared_mutex> read_lock() const;
    std::unique_lock<std::shared_mutex> write_lock();

    const Schema& schema() const;
    Schema& schema_for_change();
    Timestamp now() const;  ///< the org's clock: real time plus what `move_clock` added
    void move_clock(std::int64_t seconds);
    const std::string& organization_id() const;
    const std::string& integration_user_id() const;  ///< the connected user

    // Reading.
    std::int64_t rows(
        int object) const;  ///< rows ever made, deleted and purged ones included: valid indices are [0, rows)
    std::string id_of(int object, std::int64_t row) const;
    std::optional<std::int64_t> row_of(int object, std::string_view id18) const;
    enum class Life { Live, InBin, Gone };
    Life life(int object, std::int64_t row) const;
    /// One field of one row; compound fields (Address, Name of people) are composed. Cost: constant, no allocation for
    /// numbers.
    Cell value(int object, std::int64_t row, int field) const;
    Timestamp modstamp(int object, std::int64_t row) const;
    /// Rows that may have SystemModstamp >= `since`, ascending: edited and new ones when `since` lies after generation,
    /// so that an incremental query costs the size of the change. Rows whose late visibility has not come yet are left
    /// out.
    std::vector<std::int64_t> rows_modified_since(int object, Timestamp since) const;
    bool visible_yet(int object, std::int64_t row) const;
    /// Rows whose reference field holds `id18` (an index kept per reference field of edited rows, computed for
    /// generated ones).
    std::vector<std::int64_t> rows_referring(int object, int field, std::string_view id18) const;

    // Writing. `actor` is a user id; audit fields, derived fields (Name, IsClosed, ExpectedRevenue …), required fields,
    // lengths, picklists, references and unique fields are handled here, in the order and words of salesforce-api 6.
    WriteResult insert(int object, const Values& values, std::string_view actor);
    WriteResult update(int object, std::string_view id, const Values& values, std::string_view actor);
    WriteResult remove(int object, std::string_view id, std::string_view actor);  ///< into the bin, with its cascade
    WriteResult undelete(int object, std::string_view id, std::string_view actor);
    WriteResult purge(int object, std::string_view id);  ///< out of the bin, for ever
    /// Makes every later write of `object` visible to queries only after `seconds`, though stamped at once (late
    /// commits).
    void delay_visibility(int object, std::int64_t seconds);

    // The delete log (salesforce-api 11).
    std::vector<DeletedRow> deleted_between(int object, Timestamp start, Timestamp end) const;
    Timestamp earliest_delete_log() const;
    void purge_delete_log(Timestamp before);

    // The connected user's sight.
    bool visible(int object, int field) const;  ///< field -1: the object
    void set_visible(int object, int field, bool visible);

    /// One step of the org's own life at `now`: leads arrive and are worked, opportunities walk their stages (see
    /// alive.h).
    void live(Random& random, int changes);

    /// A summary for /sandbox/state: rows per object, edits stored, bytes used.
    std::string summary_json() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sandbox

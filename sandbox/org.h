#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/world.h"
#include "sandbox/schema.h"
#include "sandbox/values.h"

namespace lockstep::sandbox {

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
    /// Leads and contacts together; what is done with them follows (see generate.h).
    std::int64_t people = 1000;
    std::map<std::string, std::int64_t> counts;  ///< rows of single objects, where they should not follow from `people`
    std::uint64_t seed = 1;
    std::string org_file;    ///< TOML or JSON: objects, fields, rows, settings; applied by org_file.h, not by Org
    std::string load_dir;    ///< folder of <Object>.csv files to insert at start; likewise
    std::string state_file;  ///< edits survive a restart here; empty: in memory only
    std::optional<Timestamp> start;  ///< the org's clock at start; default: now. Generated rows lie before it
    Clock* clock = nullptr;          ///< null: the system clock. Must outlive the org
};

struct ConvertedLead {
    std::string account_id, contact_id, opportunity_id;  ///< opportunity_id empty: none was made
    std::vector<WriteError> errors;
    bool ok() const { return errors.empty(); }
};

/// A Salesforce org in memory.
///
/// Rows of a generated org that nobody edited are computed from (seed, object, row); only edits and new rows are
/// stored, so that ten million rows cost a few hundred MB at most. A row is named by (object, row): its index in
/// creation order, in one to one correspondence with its id.
///
/// What readers see of a row with a late commit (`delay_visibility`) is its state before; of a new one, nothing.
///
/// Thread rules: hold `read_lock()` while reading and `write_lock()` while writing; no member locks by itself. Readers
/// run in parallel. Each write call is one transaction; nothing half-written is ever visible.
class Org {
public:
    /// Throws Failure with a hint when the state file belongs to another org or can not be read or written.
    explicit Org(OrgOptions options);
    ~Org();
    struct Impl;  ///< org_data.h

    std::shared_lock<std::shared_mutex> read_lock() const;
    std::unique_lock<std::shared_mutex> write_lock();

    const OrgOptions& options() const;
    /// Whether a state file was read: org file and load folder were applied by an earlier process and must not be
    /// again.
    bool restored() const;
    const Schema& schema() const;
    Timestamp now() const;  ///< the org's clock: real time plus what `move_clock` added
    Timestamp start() const;
    void move_clock(std::int64_t seconds);
    const std::string& organization_id() const;
    const std::string& integration_user_id() const;  ///< the connected user

    // Changes to the schema; see Schema for the rules. Rows that exist hold null in a new field (false in a boolean one
    // unless its default is true) and keep their stamps.
    int add_object(Object object);
    int add_field(int object, Field field);
    void change_field(int object, int field, Field changed);
    void change_object(int object, const Object& changed);
    /// Whether `field` of `object` may have its history tracked, where it asks for that: Lead, Contact, Account,
    /// Opportunity and custom objects, at most 20 fields each, none that is computed.
    /// Errors: Invalid – it may not.
    Result<void> can_track(int object, const Field& field) const;
    /// Why the formula of the field can not be reckoned; it reads as null then. Nothing for all other fields. For what
    /// is not to come so far there is check_change.
    std::optional<Error> formula_error(int object, int field) const;
    /// Whether all formulas that can be reckoned now, and those that `change` adds, could be after it.
    ///
    /// Cost: some milliseconds; `change` is done to a copy of the schema.
    /// Errors: Invalid, in Salesforce's words, with the field's name in front of it unless `change` wrote its formula.
    Result<void> check_change(const std::function<void(Schema&)>& change) const;

    // Reading. `row` must be in [0, rows(object)).
    /// Rows ever made, deleted and purged ones included.
    std::int64_t rows(int object) const;
    std::int64_t live_rows(int object) const;
    std::string id_of(int object, std::int64_t row) const;
    std::optional<std::int64_t> row_of(int object, std::string_view id18) const;
    /// Gone: purged, or deleted in an object that hides its deleted rows, or never committed.
    enum class Life { Live, InBin, Gone };
    Life life(int object, std::int64_t row) const;
    /// One field of one row; compound fields (addresses, Name of people) are composed, formulas computed. A lookup to a
    /// row that was deleted reads as null. Cost: constant, no allocation for numbers.
    Cell value(int object, std::int64_t row, int field) const;
    /// The field written straight to a buffer, as append_csv_cell and append_json_cell would. Projection is faster
    /// where several fields of many rows are wanted.
    void append_csv(int object, std::int64_t row, int field, std::string& out) const;
    void append_json(int object, std::int64_t row, int field, std::string& out) const;
    Timestamp modstamp(int object, std::int64_t row) const;
    /// Rows, deleted ones included, with SystemModstamp >= `since`, ascending. Cost: the size of the answer when
    /// `since` lies after generation or up to 15 days before it (the first such call reads the object once); else all
    /// rows.
    std::vector<std::int64_t> rows_modified_since(int object, Timestamp since) const;
    /// False while the row's creation waits for its late commit: queries must not show it (`shown` asks for sight too).
    bool visible_yet(int object, std::int64_t row) const;
    /// Rows, deleted ones included, whose reference field holds `id18`, ascending. Cost: the size of the answer; the
    /// first call for a field reads the object once.
    std::vector<std::int64_t> rows_referring(int object, int field, std::string_view id18) const;
    /// Rows, deleted ones included, whose text field equals `text` without regard to case (exactly where the field is
    /// case-sensitive), ascending. For keys of upsert and equality filters. Cost as above.
    std::vector<std::int64_t> rows_equal(int object, int field, std::string_view text) const;

    // Writing. `actor` is a user id; audit fields, derived fields (Name, IsClosed, ExpectedRevenue …), required fields,
    // lengths, picklists, references and unique fields are handled here, in the order and words of salesforce-api 6.
    // A record that never existed is INVALID_CROSS_REFERENCE_KEY, a deleted one ENTITY_IS_DELETED; the HTTP layer words
    // them for its resource. All errors of the first check that fails are told.
    WriteResult insert(int object, const Values& values, std::string_view actor);
    WriteResult update(int object, std::string_view id, const Values& values, std::string_view actor);
    WriteResult remove(int object, std::string_view id, std::string_view actor);  ///< into the bin, with its cascade
    WriteResult undelete(int object, std::string_view id, std::string_view actor);
    WriteResult purge(int object, std::string_view id);  ///< out of the bin, for ever
    /// The same for all of an object that was deleted before `before`; how many those were, without their cascades.
    std::int64_t purge_bin(int object, Timestamp before);
    /// Losers are deleted and name the winner as their master, their children move to it (salesforce-api 18). At most
    /// two losers; Account, Contact and Lead.
    /// `moved`, where given, gets the ids of the children that moved.
    WriteResult merge(int object, std::string_view winner, const std::vector<std::string>& losers,
                      const Values& winner_values, std::string_view actor, std::vector<std::string>* moved = nullptr);
    struct Conversion {
        std::string account_id, contact_id;  ///< empty: make one. A contact without an account_id brings its own
        std::string opportunity_id;          ///< empty: make one, if with_opportunity
        std::string opportunity_name;        ///< empty: the company's name
        std::string owner_id;                ///< of what is made; empty: the lead's owner
        bool with_opportunity = true;
        bool overwrite_lead_source = false;  ///< of a contact that exists
        std::string converted_status = "Closed - Converted";
    };
    ConvertedLead convert_lead(std::string_view lead_id, const Conversion& how, std::string_view actor);
    /// Makes every later write of `object` visible to readers only after `seconds`, though stamped at once (late
    /// commits). 0 ends it.
    void delay_visibility(int object, std::int64_t seconds);

    /// Several writes as one: undone together unless `commit()` is called. Not nested; hold the write lock all along.
    class Transaction {
    public:
        explicit Transaction(Org& org);
        ~Transaction();
        Transaction(const Transaction&) = delete;
        void commit();

    private:
        Org& org_;
        bool open_ = true;
    };

    // The delete log (salesforce-api 11).
    /// Rows deleted in [start, end) and still deleted, in order of deletion.
    std::vector<DeletedRow> deleted_between(int object, Timestamp start, Timestamp end) const;
    Timestamp earliest_delete_log() const;  ///< 15 days ago, or later after a purge
    void purge_delete_log(Timestamp before);

    // The connected user's sight of objects and fields.
    bool visible(int object, int field) const;  ///< field -1: the object
    void set_visible(int object, int field, bool visible);

    // The connected user's sight of records (org_sight.cpp): what it owns, what those below it in the role hierarchy
    // own, what is shared with it, and what the object's sharing opens to all. A private opportunity is seen by its
    // owner and those above only. Records that have no owner follow those they are details of. All of it costs nothing
    // while nothing is private.
    enum class Sharing { Private, Read, ReadWrite, ByParent };
    struct Rights {
        bool create = true, edit = true, remove = true;
        bool view_all = false, modify_all = false;  ///< whatever the sharing
    };
    Sharing sharing(int object) const;
    void set_sharing(int object, Sharing sharing);
    const Rights& rights(int object) const;
    void set_rights(int object, const Rights& rights);
    /// Shares a record with the connected user, to read or to edit as well. Precondition: the row exists.
    void share(int object, std::int64_t row, bool edit);
    void unshare(int object, std::int64_t row);
    bool sees(int object, std::int64_t row) const;
    bool may_edit(int object, std::int64_t row) const;
    /// Whether readers see the row: it is committed, and the connected user may see it.
    bool shown(int object, std::int64_t row) const { return visible_yet(object, row) && sees(object, row); }

    // Several currencies (org_currency.cpp).
    struct Currency {
        std::string iso;  ///< "EUR"
        double rate = 1;  ///< how many of it one of the corporate currency is worth
    };
    /// Makes the org one of several currencies, the first of them its corporate one: CurrencyType, DatedConversionRate,
    /// CurrencyIsoCode wherever there is money. Generated rows get theirs by their account.
    /// Errors: Invalid – the org has several already, or the list names one twice, a rate that is not above 0, or a
    /// corporate rate that is not 1.
    Result<void> make_currencies(const std::vector<Currency>& currencies);
    /// An amount in the currency of record `row`, in that of the connected user. Opportunities take the dated rate of
    /// their close date where there is one.
    double converted(int object, std::int64_t row, double amount) const;

    /// The id that a field keeps under whatever name it has: "00N…" of a custom one, its name else.
    std::string durable_field_id(int object, int field) const;

    /// One step of the org's own life at `now`: leads arrive and are worked, opportunities walk their stages (see
    /// alive.h).
    void live(Random& random, int changes);

    /// A summary for /sandbox/state: rows per object, edits stored, bytes used.
    std::string summary_json() const;

private:
    friend class Projection;
    std::unique_ptr<Impl> impl_;
};

/// Some fields of one object, resolved once and written for many rows: the road of bulk results and query pages.
///
/// Cost: some 25 ns a field of generated rows. Lives no longer than the org; use it under the read lock, by one thread
/// or many.
class Projection {
public:
    Projection(const Org& org, int object, const std::vector<int>& fields);
    ~Projection();
    Projection(Projection&&) noexcept;

    /// The row's cells, each in quotes, between delimiters; no line end.
    void append_csv(std::int64_t row, std::string& out, char delimiter = ',') const;
    /// `"Id":"001…","Name":"Acme"`: canonical names, no braces.
    void append_json(std::int64_t row, std::string& out) const;

private:
    struct Plan;
    std::unique_ptr<Plan> plan_;
};

}  // namespace lockstep::sandbox

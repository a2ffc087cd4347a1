#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sandbox/formula.h"
#include "sandbox/generate.h"
#include "sandbox/org.h"

/// What Org is made of; for org*.cpp only. Start with Table: how a row is kept.
namespace lockstep::sandbox {

constexpr std::int64_t kDaySeconds = 86400;
/// Keys of an address in JSON, and how the names of the fields end that it is made of.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kAddressParts = {{
    {"city", "City"},
    {"country", "Country"},
    {"geocodeAccuracy", "GeocodeAccuracy"},
    {"latitude", "Latitude"},
    {"longitude", "Longitude"},
    {"postalCode", "PostalCode"},
    {"state", "State"},
    {"street", "Street"},
}};
constexpr std::int64_t kBinSeconds = 15 * kDaySeconds;  ///< recycle bin and delete log (salesforce-api 17)

/// One state of a stored row. Of a generated row it holds the fields that somebody wrote; the others are computed
/// still.
struct Version {
    Cells cells;
    std::int64_t stamp = 0;  ///< SystemModstamp
    Org::Life life = Org::Life::Live;
    std::int64_t deleted_at = 0;
    std::int64_t batch = 0;       ///< the delete that threw it away: what went together comes back together
    std::int64_t visible_at = 0;  ///< readers see `before` until then
    std::unique_ptr<Version> before;

    Version() = default;
    Version(Version&&) = default;
    Version& operator=(Version&&) = default;
    Version clone() const;
};

/// How a field's value comes about.
enum class Source {
    Stored,  ///< written cell, else generated, else null
    OwnId,
    IsDeleted,
    Modstamp,
    PersonName,  ///< FirstName LastName
    Address,     ///< JSON of its parts
    Formula,     ///< reckoned when it is read
    Member,      ///< of a campaign member: its person's field
    Rollup,      ///< of a campaign: counts and sums over members and opportunities
    Photo,
    LastActivity,  ///< LastActivityDate, HasOpenActivity, HasOverdueTask: of tasks and events
    OpenActivity,
    OverdueTask,
    Archived,  ///< of a task or an event: it is long past
};
constexpr bool follows_activities(Source source) {
    return source == Source::LastActivity || source == Source::OpenActivity || source == Source::OverdueTask;
}
struct FieldPlan {
    Source source = Source::Stored;
    const Column* column = nullptr;  ///< what generated rows hold; null: nothing
    Type type = Type::String;
    bool unset_truth = false;                   ///< a boolean that nobody wrote
    bool weak = false;                          ///< a lookup that reads as null once its target is deleted
    bool indexed = false;                       ///< key of upserts or unique: edited rows are found by its value
    std::vector<int> parts;                     ///< of PersonName and Address
    const formula::Program* formula = nullptr;  ///< of Formula; null: it does not compile
};

/// Where the rows of one object are.
struct Table {
    std::optional<RowIds> ids;
    std::int64_t generated = 0;  ///< rows [0, generated) are computed unless in `edited`
    std::vector<bool> touched;   ///< bit per generated row: is in `edited`
    std::unordered_map<std::int64_t, Version> edited;
    std::deque<Version> fresh;         ///< rows [generated, …)
    std::vector<FieldPlan> plans;      ///< by field index
    std::vector<bool> hidden;          ///< by field index: the connected user may not see it
    std::vector<int> tracked;          ///< fields whose changes are rows of the object's history
    std::vector<int> activity_fields;  ///< of Task and Event: references to what they are about
    bool object_hidden = false;
    // Sight of the connected user; nobody looks at it while Impl::anything_private is false.
    Org::Sharing sharing = Org::Sharing::ReadWrite;
    Org::Rights rights;
    std::unordered_map<std::int64_t, bool> shares;  ///< row → whether to edit as well
    int owner_field = -1, private_field = -1;
    std::vector<int> parent_fields;  ///< references whose targets a row is a detail of

    std::int64_t delay = 0;              ///< seconds until new writes become visible
    std::int64_t live_delta = 0;         ///< live rows more than at generation, new ones included
    bool any_deleted = false;            ///< a row was deleted since generation
    std::int64_t latest_visible_at = 0;  ///< when the last late commit becomes visible

    // Indexes over stored rows. Entries may be stale: whoever follows one checks the row. Those of generated rows are
    // made when first asked for.
    std::vector<std::pair<std::int64_t, std::int64_t>> by_stamp;                     ///< (stamp, row), ascending
    std::vector<std::pair<std::int64_t, std::int64_t>> deletions;                    ///< (deleted_at, row), ascending
    std::map<std::pair<int, std::int64_t>, std::vector<std::int64_t>> by_reference;  ///< (field, packed target) → rows
    std::map<int, std::unordered_multimap<std::string, std::int64_t>> by_text;       ///< field → folded text → rows

    struct Recent {
        std::int64_t stamp, row;
        bool deleted;
    };
    struct Generated {
        bool scanned = false;
        std::vector<Recent> recent;  ///< stamped in the last 15 days before start, ascending
        std::int64_t dead = 0;
        /// Rows that refer to a target: rows[first[t] … first[t+1]) for target row t.
        struct Inverse {
            std::vector<std::uint32_t> first, rows;
        };
        std::map<std::pair<int, int>, Inverse> inverse;     ///< (field, target object)
        std::map<int, std::vector<std::uint64_t>> by_text;  ///< field → (hash of folded text, row), sorted
    };
    mutable Generated lazy;

    std::int64_t rows() const { return generated + static_cast<std::int64_t>(fresh.size()); }
    const Version* latest(std::int64_t row) const;
};

/// Whose eyes: readers see committed states, writers build on the latest one.
enum class Sight { Readers, Writer };

struct Org::Impl {
    explicit Impl(OrgOptions options);
    ~Impl();

    OrgOptions options;
    std::unique_ptr<Clock> own_clock;
    Clock* clock;
    std::int64_t offset = 0;  ///< seconds from the clock to the org's time
    Timestamp start;
    bool restored = false;
    Schema schema;
    formula::Formulas formulas;  ///< of `schema`
    std::unique_ptr<Generator> generator;
    std::vector<std::unique_ptr<Table>> tables;
    std::map<std::string, std::vector<int>, std::less<>> objects_by_prefix;
    std::string organization_id, integration_user_id;
    std::int64_t last_batch = 0;
    bool anything_deleted = false;  ///< since generation, in any object: else no lookup reads as null
    std::int64_t log_purged_before = 0;
    mutable std::shared_mutex mutex;
    mutable std::mutex lazy_mutex;                         ///< guards every Table::lazy, and users_below
    bool anything_private = false;                         ///< else every record is seen and edited by all
    mutable std::optional<std::vector<bool>> users_below;  ///< by row of User: it or somebody below the connected user

    // Activities (org_activity.cpp). Records that a task or an event was written about since generation; all others
    // show what was generated, which no index over tasks has to be made for.
    std::unordered_set<std::int64_t> active;
    bool is_active(int object, std::int64_t row) const {
        return !active.empty() && active.count(pack(object, row)) != 0;
    }
    void note_activity(int object, std::int64_t row);
    Cell activity_value(int object, std::int64_t row, int field, Sight sight) const;
    bool archived(int object, std::int64_t row, Sight sight) const;

    // Sight (org_sight.cpp).
    bool may(int object, std::int64_t row, bool edit, int depth = 0) const;
    bool owned_by_us(int object, std::int64_t row) const;
    void note_privacy();

    // Reading (org.cpp).
    std::int64_t now() const { return clock->now().seconds + offset; }
    Table& table(int object) { return *tables[static_cast<std::size_t>(object)]; }
    const Table& table(int object) const { return *tables[static_cast<std::size_t>(object)]; }
    /// The facts of a generated row; until this thread asks for another one. Callers read several fields of a row, one
    /// after the other, so the last one is kept.
    const Generator::Place& generated_row(int object, std::int64_t row) const;
    const Version* seen(const Table& table, std::int64_t row, bool& invisible) const;
    const Version* version(const Table& table, std::int64_t row, Sight sight) const;
    bool is_live(int object, std::int64_t row, Sight sight) const;
    Life life(int object, std::int64_t row, Sight sight) const;
    std::int64_t deleted_at(int object, std::int64_t row, Sight sight) const;
    std::int64_t modstamp(int object, std::int64_t row, Sight sight) const;
    Cell read(int object, std::int64_t row, int field, Sight sight) const;
    /// As stored: lookups to deleted rows included, nothing composed.
    Cell read_raw(int object, std::int64_t row, int field, Sight sight) const;
    Cell formula_value(int object, std::int64_t row, const FieldPlan& plan, Sight sight) const;
    Cell generated_cell(const Column& column, Type type, const Facts& facts, int object, std::int64_t row) const;
    bool weak_target_dead(const FieldPlan& plan, const Cell& reference, Sight sight) const;
    std::optional<std::int64_t> resolve(std::string_view id18) const;  ///< packed reference to a row that exists
    std::string id_of_packed(std::int64_t reference) const;
    std::vector<std::int64_t> referring(int object, int field, std::int64_t target, Sight sight) const;
    std::vector<std::int64_t> equal(int object, int field, std::string_view text, Sight sight) const;
    const Table::Generated& scanned(int object) const;
    const Table::Generated::Inverse& inverse(int object, int field, int target) const;
    const std::vector<std::uint64_t>& text_hashes(int object, int field) const;
    std::vector<std::int64_t> modified_since(int object, std::int64_t since) const;
    /// (deleted at, row) of what was deleted in [from, to) and still is, ascending; `from` at most 15 days ago.
    std::vector<std::pair<std::int64_t, std::int64_t>> deletions(int object, std::int64_t from, std::int64_t to) const;

    // Schema.
    void plan_fields(int object);
    void compile_formulas();  ///< after each change of the schema
    void extend_formulas();   ///< after a change that only added to it
    void plan_formulas();
    void add_table(int object);
    int add_object(Object object);
    int add_field(int object, Field field);
    void change_field(int object, int field, Field changed);
    void change_object(int object, const Object& changed);
    /// Makes the object that holds the history of a custom object, when a field of it is tracked.
    void make_history_object(int object);
    void set_visible(int object, int field, bool visible);
    void note_record_types();
    /// Makes the rows of CurrencyType the values of the currency fields.
    void note_currencies();
    /// Gives a custom object its CurrencyIsoCode, in an org of several currencies.
    void add_currency_field(int object);
    /// The code that a user's new records get; null in an org of one currency.
    Cell default_currency(std::string_view user) const;

    // Changing rows: the only ways to do it. Undone by roll_back, written to the journal by commit.
    std::int64_t add_row(int object, Version version);
    void set_version(int object, std::int64_t row, Version version);
    /// The same for readers who see it only from `visible_at` on; 0: at once.
    std::int64_t store_new(int object, Version version, std::int64_t visible_at);
    void store(int object, std::int64_t row, Version version, std::int64_t visible_at);
    /// The latest state to build on: a copy, or the generated one with nothing written.
    Version copy_latest(int object, std::int64_t row) const;
    void index(int object, std::int64_t row, const Version& version, const Version* old);
    void index_text(int object, int field);
    struct Undo {
        int object;
        std::int64_t row;
        bool added;
        std::optional<Version> before;  ///< of a row that was not added: its stored state, or nothing
    };
    std::vector<Undo> undo;
    bool in_transaction = false;
    void roll_back(std::size_t to);
    void commit();
    /// Runs `write`, which returns whether it succeeded, as one transaction or as a part of the open one.
    template <class Write>
    void transact(Write write) {
        const std::size_t from = undo.size();
        if (!write()) {
            roll_back(from);
        } else if (!in_transaction) {
            commit();
        }
    }

    // State file (org_journal.cpp).
    std::FILE* journal = nullptr;
    void open_journal();
    void write_line(const std::string& line);
    void journal_rows();
    void replay_line(std::string_view line);
};

/// One write of one record (org_write.cpp): values on their way from what the caller said to what is stored.
class Draft {
public:
    Draft(Org::Impl& org, int object, std::int64_t row, std::string_view actor);

    int find(std::string_view field) const { return described().find(field); }
    const Object& described() const { return org.schema.at(object); }
    bool is_new() const { return row < 0; }
    Cell old(int field) const;
    Cell get(int field) const;
    Cell get(std::string_view field) const { return get(find(field)); }
    std::string text(std::string_view field) const;
    void set(int field, Cell cell);
    void set(std::string_view field, Cell cell) { set(find(field), std::move(cell)); }
    bool given(std::string_view field) const { return given_.count(find(field)) != 0; }
    /// Whether the write moves the field to another value.
    bool changes(std::string_view field) const;
    void fail(std::string code, std::string message, std::vector<std::string> fields = {});

    Org::Impl& org;
    int object;
    std::int64_t row;  ///< -1: a new one
    std::string actor;
    std::map<int, Cell> values;
    std::set<int> given_;  ///< fields that the caller named
    std::vector<WriteError> errors;
};

// History (org_history.cpp).
/// What a write moved: to be told by rows of history once it is stored.
struct HistoryOf {
    struct Change {
        int field;
        Cell before, after;
    };
    std::vector<Change> tracked;
    bool created = false;
    bool snapshot = false;  ///< an OpportunityHistory row is due
    Cell amount_before, close_before;
};
/// Reads what the draft changes; for an opportunity it also notes in the draft which row will tell of its amount and
/// close date. Call after derive_fields and before the draft is stored.
HistoryOf history_of(Draft& draft);
/// Adds the rows. `row` is stored.
void add_history(Org::Impl& org, int object, std::int64_t row, const HistoryOf& history, std::string_view actor);
/// One row of an event that is no field's change: "created", "leadConverted", "contactMerged". Nothing when no field of
/// the object is tracked.
void add_history_event(Org::Impl& org, int object, std::int64_t row, const char* event, std::string_view actor);
bool is_history(const Object& object);

// Rules of single objects (org_rules.cpp).
void check_rules(Draft& draft);               ///< after the general checks, before unique keys
void derive_fields(Draft& draft);             ///< fields that follow from others
void after_save(Draft& draft, bool created);  ///< what a save does to other rows
/// What it does to other rows that a record was deleted or came back.
void after_life_change(Org::Impl& org, int object, std::int64_t row, std::string_view actor);

// Building blocks of writes that are more than one record's (org_write.cpp).
WriteResult insert_record(Org::Impl& org, int object, const Values& values, std::string_view actor);
WriteResult update_record(Org::Impl& org, int object, std::int64_t row, const Values& values, std::string_view actor);
/// Sets fields without checks or rules, as the platform itself does; the stamps are SystemModstamp and, with an actor,
/// LastModified as well.
void set_fields(Org::Impl& org, int object, std::int64_t row, const std::vector<std::pair<std::string, Cell>>& fields,
                std::string_view actor);
void delete_row(Org::Impl& org, int object, std::int64_t row, std::int64_t batch, std::string_view actor, bool cascade);

}  // namespace lockstep::sandbox

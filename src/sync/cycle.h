#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "people/people.h"
#include "store/catalog.h"
#include "store/journal.h"
#include "store/mirror.h"
#include "sync/engine.h"
#include "sync/opportunity_sync.h"
#include "sync/people_sync.h"

namespace lockstep::sync {

/// What the steps of a cycle share. Private to this folder.
struct Work {
    store::Database& db;
    salesforce::Connector& connector;
    const Rules& rules;
    World& world;
    Watcher& watcher;
    const store::Lease& lease;
    Engine::Options options;

    std::int64_t cycle = 0;
    CycleReport report;
    store::Catalog catalog;
    people::Fields fields;
    std::map<std::string, Pairs, IgnoringCase> pairs;  ///< of companies and people, by Salesforce object
    std::set<std::string> formula_indexes;             ///< "crm_contact.accountid": made, or found, by this process
    bool org_is_read = false;                          ///< its facts are in the settings, as of this process
    /// What this cycle's survey found, by object; what was made use of is taken out.
    std::map<std::string, salesforce::Findings, IgnoringCase> found;
    /// Descriptions that were good, as of this process: the moment to ask with, and when they last came whole.
    struct Description {
        Timestamp changed;
        std::int64_t came_ms = 0;
    };
    std::map<std::string, Description, IgnoringCase> descriptions;
    std::int64_t no_survey_before_ms = 0;  ///< of the monotonic clock: the org did not answer the last one
    store::Step* step = nullptr;           ///< the running one
    bool step_is_open = false;             ///< its row is in the history
    std::vector<std::function<void(store::Transaction&)>> closings;

    /// A transaction of this cycle: fenced by the lease. `work` may run again from its start. The first one of a step
    /// also opens the step's row in the history, so that a step with nothing to do costs one commit.
    void write(const std::function<void(store::Transaction&)>& work);
    /// Has `closing` run in the transaction that closes the current step, if the step succeeds.
    void at_end_of_step(std::function<void(store::Transaction&)> closing) { closings.push_back(std::move(closing)); }
    /// Salesforce's clock as of its latest answer; a cycle has asked for the schema before it asks for the time.
    Timestamp salesforce_now() const;
    store::ObjectCursor cursor(std::string_view object);
    /// Whether people (or links) stand, so that changes are brought on to them. Until then they wait in the mirror.
    bool built(std::string_view part);
    /// Null: the survey tells nothing of this object.
    salesforce::Findings* findings(std::string_view object);
};

/// Errors after which no other step can do better.
bool ends_the_cycle(const Error& error);

/// Runs `body` as a step of the cycle: opens its row of the history, counts its calls, closes it by its outcome.
/// Returns only errors that end the cycle (credentials, quota, connection, a lost lease); others fail the step.
Result<void> run_step(Work& work, std::string_view object, std::string_view operation,
                      const std::function<Result<void>(store::Step&)>& body);

/// Asks about all known objects at once: did their descriptions change, which records did, which were deleted. What is
/// found waits in Work::found; what is not is asked for object by object, so that nothing depends on it.
Result<void> survey(Work& work);
/// Reads the describes, brings tables and pairs in line, and reads the values of fields that are new in tables that
/// have rows already.
Result<void> sync_schema(Work& work);
/// The first loads of a cycle, as one stream: while the table of one object is finished, the next one's pages are on
/// their way.
class Loads {
public:
    explicit Loads(Work& work) : work_(work) {}
    /// Begins the loads of all objects that were never loaded: starts their bulk jobs, so that Salesforce prepares all
    /// results side by side and not one while we wait for it.
    Result<void> ask();
    Result<void> load(const store::MirrorObject& object);
    /// Builds the indexes of tables whose load has finished. They come after the last load, so that while rows arrive
    /// the database does nothing but take them.
    Result<void> index();

private:
    class Loader;
    Result<void> ask_for(const store::MirrorObject& object, std::optional<std::int64_t> rows,
                         store::ObjectCursor& cursor);
    Result<void> start_job(const store::MirrorObject& object, store::ObjectCursor& cursor);
    Result<void> read_by_bulk(const store::MirrorObject& object, Loader& loader, store::ObjectCursor& cursor);
    Result<void> read_all(const store::MirrorObject& object, store::Step& step, store::ObjectCursor& cursor);
    salesforce::BulkReader reader_of(const store::MirrorObject& object, const store::ObjectCursor& cursor);
    void open_behind(const store::MirrorObject& object);

    Work& work_;
    std::map<std::string, std::string> fresh_jobs_;  ///< made by this cycle, by object
    struct Opened {
        std::string job;
        salesforce::BulkReader reader;
    };
    std::optional<Opened> opened_;  ///< is on its way
};
Result<void> follow_object(Work& work, const store::MirrorObject& object, const ObjectRules& rules);
/// Builds companies, people and links from the mirror as far as their objects are loaded; goes on where it stopped.
Result<void> build(Work& work);
/// Asks for records others point at and we have not got.
Result<void> repair_parents(Work& work);
/// Brings formulas in line with what they are made of. Comes last, for it follows what the cycle has logged: of each
/// object with formulas over other records it is a follower of the change log, "formulas of Contact".
///
/// Finds the rows whose formulas a logged change can have changed, and reads those formulas of those rows; what they
/// cause has the class of the change. Reads a whole column where a formula is new, changed, or only now trackable
/// (catch-up), and once a day, after midnight of the org's time zone, where it is not exact: news, unless a day was
/// missed. Without such work it makes no call and no step.
Result<void> follow_formulas(Work& work);

/// Once a day: removes what has become too old of the change log and the history (settings `log.keep_days` and
/// `history.keep_days`), in transactions of some 50 ms, for some seconds at most; what is left is for the next cycle.
void prune(Work& work);

/// Applies a page of heard records: mirror, then people or links, in one transaction of the caller's. `cls` is the
/// class of everything it causes.
struct Heard {
    std::int64_t created = 0, updated = 0, deleted = 0, skipped = 0, activities = 0;
    std::int64_t people = 0, companies = 0;  ///< new ones
};
/// Adds what hearing caused beside the records themselves to the cycle's report.
void tell(CycleReport& report, const Heard& heard);
Heard apply_page(Work& work, store::Transaction& tx, const store::PageShape& shape, const record::Batch& page,
                 store::Class cls, const store::Cause& cause);
/// Buries records that are gone and brings their death on to people and links.
Heard apply_gone(Work& work, store::Transaction& tx, const store::MirrorObject& object,
                 const std::vector<std::string>& ids, store::Class cls, const store::Cause& cause);

/// Keeps the cells of a page that were no value of their type as errors of their records, with what came.
void note_odd_cells(store::Transaction& tx, const store::PageShape& shape, const salesforce::Page& page,
                    const store::Step& step);
salesforce::Selection selection_of(const store::MirrorObject& object, const store::PageShape& shape);
/// Adds what tells whether a person's record lives: a page of some columns without them would bring the dead back.
void add_life_fields(const Work& work, const store::MirrorObject& object, std::vector<std::string>& fields);
/// The rows of a page of some columns that the mirror has; a record it has not got yet comes whole, with its object's
/// own reading. With `among` (sorted ls_rows): only those, and only where they are not in the bin. The result points
/// into the page.
record::Batch known_rows(store::Connection& db, const store::PageShape& shape, const record::Batch& page,
                         const std::vector<std::int64_t>* among);

}  // namespace lockstep::sync

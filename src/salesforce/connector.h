#pragma once

// Start here: reads one Salesforce org.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "record/batch.h"
#include "record/object.h"
#include "salesforce/session.h"

namespace lockstep::salesforce {

/// The org and the user we are.
struct Org {
    std::string organization_id, name, instance;
    std::string time_zone;         ///< "America/Los_Angeles": where the org's day begins
    std::string default_currency;  ///< "USD"; empty: not known
    std::string currency_trouble;  ///< why it is not known
    bool multi_currency = false;
    bool is_sandbox = false;
    std::string user_id, username;
};

/// An entry of describeGlobal.
struct ObjectBrief {
    std::string name, label;
    bool custom = false, queryable = false;
};

/// One verified page: its rows are whole, its header and count are what Salesforce said, every cell parsed to its
/// column's form. Cells that could not be parsed are null and listed.
struct Page {
    record::Batch rows;
    std::string call;  ///< where it came from, for explain: "query page 3", "bulk job 750… page 2"
    /// Bulk: the locator of the next page; empty: this was the last one.
    std::string next_locator;
    struct Odd {
        std::size_t row;
        int column;
        std::string text;    ///< as it came, cut at 200 bytes
        std::string reason;  ///< "is not a date"
    };
    std::vector<Odd> odd;
    std::int64_t bytes = 0;  ///< of the body, decoded
};

/// Takes pages in order; returning an error stops the reading with that error.
using PageSink = std::function<Result<void>(Page&& page)>;

/// What to read of an object: fields by API name, Id first. Where `since` is set: rows with SystemModstamp in
/// [since, until), ordered by (SystemModstamp, Id).
struct Selection {
    std::string object;
    std::vector<record::Field> fields;
    std::optional<Timestamp> since, until;
    bool deleted_too = false;  ///< queryAll
    std::string condition;     ///< further SOQL condition, from configuration; empty: none
    std::string stamp = "SystemModstamp";
};

/// A bulk job and how far its result was read: all that is needed to go on after a crash.
struct BulkPosition {
    std::string job;      ///< empty: no job made yet
    std::string locator;  ///< of the next page to read; empty: the first
    std::int64_t rows_read = 0;
    /// The job was made by this process: a result that does not fit is an answer gone wrong, not an old job.
    bool fresh = false;
};

/// The result of one bulk job, page by page; made by Connector::open_bulk. Used by one thread; the session it reads by
/// must outlive it. Destruction waits for the call that is under way.
class BulkReader {
public:
    struct Taken {
        Page page;
        BulkPosition after;
    };
    /// Nothing: the last page was given, or an error. Errors: as Connector::read_bulk.
    std::optional<Result<Taken>> next();
    /// Takes back the memory of rows that were used, for pages to come.
    void take_back(record::Batch rows);

    BulkReader(BulkReader&&) noexcept;
    BulkReader& operator=(BulkReader&&) noexcept;
    ~BulkReader();

private:
    friend class Connector;
    struct State;
    explicit BulkReader(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// Ids that vanished, from /deleted.
struct Deleted {
    struct Row {
        std::string id;
        Timestamp at;
    };
    std::vector<Row> rows;
    Timestamp covered;  ///< use as the next start (salesforce-api 11)
};

/// What a survey asks of one object.
struct Question {
    std::string object;
    /// Its description: whole, or only if it changed since the moment an earlier survey told (Findings::described).
    std::optional<Timestamp> described;
    /// Its records: a selection with its fields and its `since`, up to now: `until` does not apply.
    std::optional<Selection> changes;
    /// Its delete log from here to now.
    std::optional<Timestamp> deleted_since;
};

/// What a survey found out. What is absent was not asked, or came in no usable form: ask for it by its own verb.
struct Findings {
    bool same_description = false;  ///< as it was at `Question::described`
    bool no_object = false;         ///< there is none, or the user may not see it
    std::optional<record::Object> description;
    /// What to ask with the next time; nothing: not told, or so young that the same second may bring another change.
    std::optional<Timestamp> described;
    std::optional<Page> changes;
    bool too_many_changes = false;  ///< more than a survey carries
    std::optional<Deleted> deleted;
    /// Server time before which nothing can be missing in `changes` but what its transaction still hid.
    Timestamp asked_at;
};

/// Reads what one Salesforce org holds and what changed in it. Knows nothing of our store.
///
/// Every page is verified before anybody sees it: body complete, content type right, JSON or CSV parses, count and
/// header as announced. A page that fails verification is fetched again (bounded), then BadReply.
/// Not thread-safe: one Connector per sync loop. Errors of all verbs: those of Session::get.
class Connector {
public:
    explicit Connector(Session& session) : session_(session) {}

    Session& session() { return session_; }
    Result<Org> org();
    Result<std::vector<ObjectBrief>> objects();
    /// Errors: NotFound – no such object, or the user may not see it.
    Result<record::Object> describe(std::string_view object);
    /// Versions the org serves, newest last; needs no login.
    Result<std::vector<std::string>> versions();
    /// SELECT COUNT() with the selection's window and condition. One call.
    Result<std::int64_t> count(const Selection& selection);
    /// About how many live records of each object the org has, hidden ones included, as Salesforce has it noted down:
    /// the figure may be hours old, and an object that is new or empty may be missing (salesforce-api 10). One call,
    /// however many records there are.
    Result<std::map<std::string, std::int64_t, IgnoringCase>> approximate_counts(
        const std::vector<std::string>& objects);

    /// Reads a selection over REST in pages of at most 2000 rows, by (SystemModstamp, Id) keys, so that an expired
    /// query locator costs one more call and no row. A select too long for a URL is read in column groups joined on Id
    /// and SystemModstamp (rows whose stamp moved between the groups are read again, and come last in their page). A
    /// row saved while the query runs may come with a stamp behind the window; it comes once. The selection names Id
    /// first, and has an empty `stamp` where the object has none: then it has no window and is read in order of Id.
    Result<void> read(const Selection& selection, const PageSink& sink);
    /// Reads a selection by Bulk 2.0. Goes on at `position` (the caller keeps it beside what it applied); a job that
    /// is gone, failed or expired is an error Rejected with code "BULK_JOB_LOST" after which the caller starts a new
    /// job. Fetching, reading and using pages go on side by side. Pages are sized to about `page_bytes`. The job is
    /// removed when the sink has taken its last page.
    struct BulkOptions {
        /// Some of them are in memory at once: fetched, waiting, read, written. Keeps the tool under 128 MB.
        std::size_t page_bytes = 8u << 20;
        std::int64_t first_page_rows = 10'000;  ///< until the width of a row is known
        bool ahead = true;  ///< false: all on the caller's thread, for runs that must repeat exactly
        std::int64_t poll_first_ms = 50, poll_max_ms = 10'000;
        std::int64_t stuck_after_ms = 30 * 60 * 1000;  ///< without progress: job is aborted, BULK_JOB_LOST
    };
    Result<void> read_bulk(const Selection& selection, BulkPosition position,
                           const std::function<Result<void>(Page&& page, const BulkPosition& after)>& sink,
                           const BulkOptions& options);
    Result<void> read_bulk(const Selection& selection, BulkPosition position,
                           const std::function<Result<void>(Page&& page, const BulkPosition& after)>& sink) {
        return read_bulk(selection, std::move(position), sink, BulkOptions());
    }
    /// The same for a job that exists, page by page: its result is on its way from now on, while the caller is still
    /// busy with another.
    BulkReader open_bulk(Selection selection, BulkPosition position, const BulkOptions& options);
    /// Has Salesforce begin with a bulk job that open_bulk will read, so that it prepares several side by side. Returns
    /// its id, to be remembered before its result is read. One call.
    Result<std::string> start_bulk(const Selection& selection);
    /// Removes a job whose result is of no more use; Salesforce would keep it for seven days. One call, and nothing is
    /// lost when it fails.
    void remove_bulk(const std::string& job);

    /// Asks about many objects in as few calls as can be: composite calls, each with up to 25 parts of which 5 are
    /// queries, and each counted as one. One Findings a question, in their order. Meant for what is mostly nothing: at
    /// most 500 records an object are brought.
    ///
    /// A part that fails, or whose answer can not be verified, makes only its own finding absent.
    /// Errors: beside those of all verbs, whichever the org answers to composite calls it does not serve.
    Result<std::vector<Findings>> survey(const std::vector<Question>& questions);

    /// The delete log between two server times. Errors: Rejected with code INVALID_REPLICATION_DATE – the log does not
    /// reach back that far: compare key sets instead.
    Result<Deleted> deleted(std::string_view object, Timestamp since, Timestamp until);
    /// Whole records by id, in any order, missing ones absent; deleted ones included. The window does not apply, the
    /// condition does. One page, and one call for each column group, per 200 ids.
    Result<void> read_by_ids(const Selection& selection, const std::vector<std::string>& ids, const PageSink& sink);

private:
    Session& session_;
};

}  // namespace lockstep::salesforce

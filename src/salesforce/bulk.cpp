// Reading by Bulk API 2.0 jobs: Connector::read_bulk (salesforce-api 12; reliability 4.1, F32 to F34).

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/ahead.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sfid.h"
#include "base/text.h"
#include "salesforce/connector.h"
#include "salesforce/fetch.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

using Options = Connector::BulkOptions;
using Taken = BulkReader::Taken;

constexpr const char* kSumWrong = "ROWS_DO_NOT_ADD_UP";
constexpr std::int64_t kPageRowsMin = 200;
constexpr std::int64_t kPageRowsMax = 250'000;  // about where Salesforce itself cuts
constexpr std::int64_t kGrowthMax = 4;          // from page to page: the next rows may be wider

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply, .what = std::move(what), .hint = "the page is asked for again"};
}

Error job_lost(const std::string& job, std::string_view why) {
    return {.kind = Kind::Rejected,
            .what = fmt::format("Salesforce's bulk job {} gives no result: {}", job, why),
            .hint = "a new job is started",
            .code = "BULK_JOB_LOST"};
}

/// As the resource of a job tells.
struct Job {
    std::string id, state, error;
    std::int64_t rows = 0;
    bool tells_rows = false;
};

Result<Job> parse_job(std::string_view body) {
    const json::value parsed = TRY(parse_json(body));
    const json::object* told = parsed.if_object();
    const auto id = told == nullptr ? std::nullopt : normalize_id(text_at(*told, "id").value_or(""));
    const auto state = told == nullptr ? std::nullopt : text_at(*told, "state");
    if (!id || !state) return bad_reply("The answer about a bulk job lacks its id or its state");
    Job job{.id = *id, .state = *state, .error = text_at(*told, "errorMessage").value_or("")};
    const auto rows = int_at(*told, "numberRecordsProcessed");
    job.tells_rows = rows.has_value();
    job.rows = rows.value_or(0);
    return job;
}

/// A failure that starting over would meet again keeps Salesforce's own code, so that the caller describes anew.
Error job_failed(const Job& job) {
    const std::string why = job.error.empty() ? "it was " + to_lower(job.state) : job.error;
    Error error = job_lost(job.id, why);
    for (const std::string_view code : {"INVALID_FIELD", "INVALID_TYPE", "MALFORMED_QUERY"}) {
        if (job.error.find(code) == std::string::npos) continue;
        error.code = code;
        error.hint = "the object's description is read again";
    }
    return error;
}

/// Whether an error about a job means that it, or its result, is no more.
bool is_gone(const Error& error) {
    return error.kind == Kind::NotFound || error.code == "INVALIDJOB" || error.code == "INVALIDJOBSTATE";
}

/// A page as it came: its header is verified, its rows are not yet read.
struct Unread {
    std::string body, locator;  ///< locator of the next page; empty: this is the last
    std::int64_t rows = 0;
};

/// Memory of pages that were used, for the next ones: faulting new memory in costs as much as reading a page into it.
class Spares {
public:
    void take_back(record::Batch rows) {
        std::string memory = rows.take_memory();
        const std::lock_guard lock(mutex_);
        if (bodies_.size() < kKept) bodies_.push_back(std::move(memory));
        if (rows_.size() < kKept) rows_.push_back(std::move(rows));
    }
    std::string body() { return taken(bodies_); }
    record::Batch rows() { return taken(rows_); }

private:
    static constexpr std::size_t kKept = 2;
    template <class T>
    T taken(std::vector<T>& from) {
        const std::lock_guard lock(mutex_);
        if (from.empty()) return {};
        T one = std::move(from.back());
        from.pop_back();
        return one;
    }
    std::mutex mutex_;
    std::vector<std::string> bodies_;
    std::vector<record::Batch> rows_;
};

/// How many rows make a page of the size wanted, going by a page that had `rows` in `bytes`.
std::int64_t fitting_rows(std::int64_t rows, std::size_t bytes, std::int64_t rows_max, const Options& options) {
    if (rows < kPageRowsMin || bytes == 0) return rows_max;
    const std::int64_t fitting =
        rows * static_cast<std::int64_t>(options.page_bytes) / static_cast<std::int64_t>(bytes);
    return std::clamp(std::min(fitting, rows_max * kGrowthMax), kPageRowsMin, kPageRowsMax);
}

/// Fetches the pages of a finished job one by one.
class Fetcher {
public:
    Fetcher(Session& session, const Options& options, Spares& spares, BulkPosition position, std::int64_t rows_max)
        : session_(session), options_(options), spares_(spares), position_(std::move(position)), rows_max_(rows_max) {}

    /// Rows of the next page.
    std::int64_t rows_max() const { return rows_max_; }
    /// Nothing: the last page was given, or an error.
    std::optional<Result<Unread>> next() {
        if (ended_) return std::nullopt;
        Result<Unread> page = fetch_page([](Unread&& whole) -> Result<Unread> { return std::move(whole); });
        ended_ = !page.ok() || page->locator.empty();
        if (page.ok()) {
            position_.locator = page->locator;
            rows_max_ = fitting_rows(page->rows, page->body.size(), rows_max_, options_);
        }
        return page;
    }
    /// The same page until `read(Unread&&)` finds it whole, at most three times.
    template <class Read>
    auto fetch_page(Read read) -> decltype(read(Unread())) {
        std::string path = fmt::format("/jobs/query/{}/results?maxRecords={}", position_.job, rows_max_);
        if (!position_.locator.empty()) path += "&locator=" + url_encode(position_.locator);
        return fetch_by(
            session_,
            [&] {
                std::string memory = spares_.body();
                memory.reserve(options_.page_bytes + options_.page_bytes / 8);
                return session_.get(path, {{"Accept", "text/csv"}}, std::move(memory));
            },
            [&](http::Response&& answer) -> decltype(read(Unread())) { return read(TRY(unread(std::move(answer)))); });
    }

private:
    Result<Unread> unread(http::Response&& answer) const {
        const auto announced = parse_int(answer.header("Sforce-NumberOfRecords"));
        const std::string locator(answer.header("Sforce-Locator"));
        if (!announced || *announced < 0)
            return bad_reply("A page of a bulk result does not tell how many rows it has");
        // "null" marks the last page. No header at all is a broken answer: taking it for the end would lose the rest.
        if (locator.empty() || locator == position_.locator) {
            return bad_reply("A page of a bulk result does not tell where the next one is");
        }
        return Unread{.body = std::move(answer.body), .locator = locator == "null" ? "" : locator, .rows = *announced};
    }

    Session& session_;
    const Options& options_;
    Spares& spares_;
    BulkPosition position_;
    std::int64_t rows_max_;
    bool ended_ = false;
};

/// Reads the pages of a finished job one by one, each verified. While one is read, the next is fetched.
class Pages {
public:
    Pages(Session& session, const Selection& selection, const Options& options, const Job& job, BulkPosition position)
        : session_(session),
          selection_(selection),
          options_(options),
          job_(job),
          position_(std::move(position)),
          rows_max_(std::clamp(options.first_page_rows, kPageRowsMin, kPageRowsMax)) {}

    /// Nothing: the last page was given, or an error.
    std::optional<Result<Taken>> next() {
        if (ended_) return std::nullopt;
        Result<Taken> fetched = options_.ahead ? page() : careful_page();
        if (!fetched.ok()) {
            ended_ = true;
            return Result<Taken>(told(fetched.error()));
        }
        position_ = fetched->after;
        ended_ = fetched->page.next_locator.empty();
        position_.fresh = true;  // its columns fit
        ++number_;
        return fetched;
    }

    /// Takes back the memory of rows that were used. From any thread.
    void take_back(record::Batch rows) { spares_.take_back(std::move(rows)); }

private:
    Result<Taken> page() {
        if (!fetcher_) {
            fetcher_.emplace(session_, options_, spares_, position_, rows_max_);
            ahead_.emplace([this](const std::stop_token& stop) -> std::optional<Result<Unread>> {
                if (stop.stop_requested()) return std::nullopt;
                return fetcher_->next();
            });
        }
        std::optional<Result<Unread>> came = ahead_->next();
        check(came.has_value(), "a bulk result goes on behind its last page");
        Result<Taken> read_page = came->ok() ? read(std::move(**came)) : Result<Taken>(came->error());
        if (read_page.ok() || !may_be_whole_when_smaller(read_page.error())) return read_page;
        // What was fetched ahead belongs to a page that was not whole.
        ahead_.reset();
        rows_max_ = fetcher_->rows_max();
        fetcher_.reset();
        return careful_page();
    }

    /// Fetches and reads again, and then in smaller pieces, until the page comes through whole.
    Result<Taken> careful_page() {
        while (true) {
            Fetcher fetcher(session_, options_, spares_, position_, rows_max_);
            Result<Taken> fetched = fetcher.fetch_page([&](Unread&& unread) { return read(std::move(unread)); });
            if (fetched.ok()) {
                const Page& page = fetched->page;
                rows_max_ = fitting_rows(static_cast<std::int64_t>(page.rows.rows()),
                                         static_cast<std::size_t>(page.bytes), rows_max_, options_);
                return fetched;
            }
            if (!may_be_whole_when_smaller(fetched.error()) || rows_max_ <= kPageRowsMin) return fetched;
            rows_max_ = std::max(rows_max_ / 8, kPageRowsMin);
        }
    }

    static bool may_be_whole_when_smaller(const Error& error) {
        return error.kind == Kind::BadReply && error.code != kSumWrong;
    }

    Result<Taken> read(Unread&& unread) {
        Taken fetched{.after = position_};
        fetched.page.rows = spares_.rows();
        fetched.page.call = fmt::format("bulk job {} page {}", position_.job, number_);
        fetched.page.next_locator = unread.locator;
        TRY(parse_bulk_page(std::move(unread.body), selection_.fields, unread.rows, fetched.page));
        fetched.after.locator = fetched.page.next_locator;
        fetched.after.rows_read += unread.rows;
        fetched.after.fresh = false;
        const bool last = fetched.page.next_locator.empty();
        if (job_.tells_rows && (last ? fetched.after.rows_read != job_.rows : fetched.after.rows_read > job_.rows)) {
            Error error =
                bad_reply(fmt::format("its pages have {} rows, though it told {}", fetched.after.rows_read, job_.rows));
            error.code = kSumWrong;
            return error;
        }
        return fetched;
    }

    Error told(const Error& error) const {
        if (is_gone(error)) return job_lost(position_.job, "its result is no longer there");
        if (error.code == "INVALID_QUERY_LOCATOR") return job_lost(position_.job, "it does not know our place in it");
        // A job made before an object's fields changed has other columns for good.
        if (!position_.fresh && error.kind == Kind::BadReply) return job_lost(position_.job, error.what);
        // Each page was what it announced, so that fetching again would not show which one was wrong.
        if (error.code == kSumWrong) return job_lost(position_.job, error.what);
        return error;
    }

    Session& session_;
    const Selection& selection_;
    const Options& options_;
    const Job job_;
    BulkPosition position_;
    std::int64_t rows_max_;
    int number_ = 1;
    bool ended_ = false;
    Spares spares_;
    std::optional<Fetcher> fetcher_;
    std::optional<Ahead<Result<Unread>>> ahead_;
};

Result<Job> create_job(Session& session, const Selection& selection) {
    std::string body = R"({"operation":")";
    body += selection.deleted_too ? "queryAll" : "query";
    // Without an order Salesforce may cut the work into chunks that run side by side.
    body += R"(","query":)" + record::quoted_json(to_soql(selection, false));
    body += R"(,"contentType":"CSV","columnDelimiter":"COMMA","lineEnding":"LF"})";
    const http::Response answer = TRY(session.post("/jobs/query", body));
    return parse_job(answer.body);
}

/// Waits for the job's end.
Result<Job> finished_job(Session& session, const std::string& id, const Options& options) {
    std::int64_t pause_ms = options.poll_first_ms;
    std::int64_t idle_ms = 0;
    Job before;
    while (true) {
        Result<Job> asked =
            fetch(session, "/jobs/query/" + id, {}, [](http::Response&& answer) { return parse_job(answer.body); });
        if (!asked.ok()) return is_gone(asked.error()) ? job_lost(id, "it is no longer there") : asked.error();
        const Job& job = *asked;
        if (job.state == "JobComplete") return asked;
        if (job.state == "Failed" || job.state == "Aborted") return job_failed(job);
        const bool moved = job.state != before.state || job.rows != before.rows;
        idle_ms = moved ? 0 : idle_ms;
        if (idle_ms >= options.stuck_after_ms) {
            // Whether it can be aborted makes no difference to us: it is given up either way.
            (void)session.patch("/jobs/query/" + id, R"({"state":"Aborted"})");
            return job_lost(id, "it made no progress for " + to_duration(idle_ms));
        }
        before = job;
        TRY(session.pause(pause_ms));
        idle_ms += pause_ms;
        pause_ms = std::min(pause_ms + pause_ms / 2, options.poll_max_ms);
    }
}

}  // namespace

struct BulkReader::State {
    State(Session& session, Selection selection, BulkPosition position, const Options& options)
        : session(session), selection(std::move(selection)), position(std::move(position)), options(options) {}

    std::optional<Result<Taken>> next() {
        // Rows but no locator: the last page was read.
        if (ended || (!pages && position.rows_read > 0 && position.locator.empty())) return std::nullopt;
        if (!pages) {
            Result<Job> job = finished_job(session, position.job, options);
            ended = !job.ok();
            if (!job.ok()) return Result<Taken>(job.error());
            pages.emplace(session, selection, options, *job, std::move(position));
        }
        return pages->next();
    }

    Session& session;
    const Selection selection;
    BulkPosition position;
    const Options options;
    bool ended = false;
    std::optional<Pages> pages;
    std::optional<Ahead<Result<Taken>>> helper;  // last, for it uses the others
};

BulkReader::BulkReader(std::unique_ptr<State> state) : state_(std::move(state)) {
    if (!state_->options.ahead) return;
    state_->helper.emplace([&state = *state_](const std::stop_token& stop) -> std::optional<Result<Taken>> {
        if (stop.stop_requested()) return std::nullopt;
        return state.next();
    });
}
BulkReader::BulkReader(BulkReader&&) noexcept = default;
BulkReader& BulkReader::operator=(BulkReader&&) noexcept = default;
BulkReader::~BulkReader() = default;

std::optional<Result<Taken>> BulkReader::next() {
    return state_->helper ? state_->helper->next() : state_->next();
}

void BulkReader::take_back(record::Batch rows) {
    // Only pages that were given can come back, so there are pages.
    state_->pages->take_back(std::move(rows));
}

Result<std::string> Connector::start_bulk(const Selection& selection) {
    Job job = TRY(create_job(session_, selection));
    return std::move(job.id);
}

BulkReader Connector::open_bulk(Selection selection, BulkPosition position, const BulkOptions& options) {
    check(!position.job.empty(), "a bulk result is read of a job that exists");
    return BulkReader(
        std::make_unique<BulkReader::State>(session_, std::move(selection), std::move(position), options));
}

Result<void> Connector::read_bulk(const Selection& selection, BulkPosition position,
                                  const std::function<Result<void>(Page&& page, const BulkPosition& after)>& sink,
                                  const BulkOptions& options) {
    if (position.job.empty()) {
        position.job = TRY(create_job(session_, selection)).id;
        position.fresh = true;
    }
    const std::string job = position.job;
    BulkReader reader(std::make_unique<BulkReader::State>(session_, selection, std::move(position), options));
    while (auto came = reader.next()) {
        Taken taken = TRY(*std::move(came));
        TRY(sink(std::move(taken.page), taken.after));
        // What the sink left, that is; mostly all of it.
        reader.take_back(std::move(taken.page.rows));  // NOLINT(bugprone-use-after-move)
    }
    remove_bulk(job);
    return {};
}

void Connector::remove_bulk(const std::string& job) {
    const auto removed = session_.remove("/jobs/query/" + job);
    if (!removed.ok()) log::debug("a bulk job was not removed", {{"job", job}, {"why", name(removed.error().kind)}});
}

}  // namespace lockstep::salesforce

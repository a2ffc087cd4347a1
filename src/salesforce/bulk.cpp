// Reading by Bulk API 2.0 jobs: Connector::read_bulk (salesforce-api 12; reliability 4.1, F32 to F34).

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/ahead.h"
#include "base/check.h"
#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "salesforce/connector.h"
#include "salesforce/fetch.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

using Options = Connector::BulkOptions;

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

struct Fetched {
    Page page;
    BulkPosition after;
};

/// Fetches the pages of a finished job one by one, each verified.
class Pages {
public:
    Pages(Session& session, const Selection& selection, const Options& options, const Job& job, BulkPosition position,
          bool resumed)
        : session_(session),
          selection_(selection),
          options_(options),
          job_(job),
          position_(std::move(position)),
          resumed_(resumed),
          rows_max_(std::clamp(options.first_page_rows, kPageRowsMin, kPageRowsMax)) {}

    /// Nothing: the last page was given, or an error.
    std::optional<Result<Fetched>> next() {
        if (ended_) return std::nullopt;
        Result<Fetched> fetched = page();
        // A page that does not come through whole may come in smaller pieces.
        while (!fetched.ok() && fetched.error().kind == Kind::BadReply && fetched.error().code != kSumWrong &&
               rows_max_ > kPageRowsMin) {
            rows_max_ = std::max(rows_max_ / 8, kPageRowsMin);
            fetched = page();
        }
        if (!fetched.ok()) {
            ended_ = true;
            return Result<Fetched>(told(fetched.error()));
        }
        position_ = fetched->after;
        ended_ = fetched->page.next_locator.empty();
        resumed_ = false;
        ++number_;
        fit_to(fetched->page);
        return fetched;
    }

private:
    Result<Fetched> page() {
        std::string path = fmt::format("/jobs/query/{}/results?maxRecords={}", position_.job, rows_max_);
        if (!position_.locator.empty()) path += "&locator=" + url_encode(position_.locator);
        return fetch(session_, path, {{"Accept", "text/csv"}},
                     [&](http::Response&& answer) { return read(std::move(answer)); });
    }

    Result<Fetched> read(http::Response&& answer) const {
        const auto announced = parse_int(answer.header("Sforce-NumberOfRecords"));
        const std::string locator(answer.header("Sforce-Locator"));
        if (!announced || *announced < 0)
            return bad_reply("A page of a bulk result does not tell how many rows it has");
        // "null" marks the last page. No header at all is a broken answer: taking it for the end would lose the rest.
        if (locator.empty() || locator == position_.locator) {
            return bad_reply("A page of a bulk result does not tell where the next one is");
        }
        Fetched fetched{.after = position_};
        fetched.page.call = fmt::format("bulk job {} page {}", position_.job, number_);
        if (locator != "null") fetched.page.next_locator = locator;
        TRY(parse_bulk_page(std::move(answer.body), selection_.fields, *announced, fetched.page));
        fetched.after.locator = fetched.page.next_locator;
        fetched.after.rows_read += *announced;
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
        if (resumed_ && error.kind == Kind::BadReply) return job_lost(position_.job, error.what);
        // Each page was what it announced, so that fetching again would not show which one was wrong.
        if (error.code == kSumWrong) return job_lost(position_.job, error.what);
        return error;
    }

    void fit_to(const Page& page) {
        const auto rows = static_cast<std::int64_t>(page.rows.rows());
        if (rows < kPageRowsMin || page.bytes <= 0) return;
        const std::int64_t fitting = rows * static_cast<std::int64_t>(options_.page_bytes) / page.bytes;
        rows_max_ = std::clamp(std::min(fitting, rows_max_ * kGrowthMax), kPageRowsMin, kPageRowsMax);
    }

    Session& session_;
    const Selection& selection_;
    const Options& options_;
    const Job job_;
    BulkPosition position_;
    bool resumed_;  ///< no page of a job made earlier was read yet
    std::int64_t rows_max_;
    int number_ = 1;
    bool ended_ = false;
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

/// Waits for the job's end. `rows` follows what its status tells.
Result<Job> finished_job(Session& session, const std::string& id, const Options& options, std::int64_t& rows) {
    std::int64_t pause_ms = options.poll_first_ms;
    std::int64_t idle_ms = 0;
    Job before;
    while (true) {
        Result<Job> asked =
            fetch(session, "/jobs/query/" + id, {}, [](http::Response&& answer) { return parse_job(answer.body); });
        if (!asked.ok()) return is_gone(asked.error()) ? job_lost(id, "it is no longer there") : asked.error();
        const Job& job = *asked;
        rows = job.rows;
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

Result<void> Connector::read_bulk(const Selection& selection, BulkPosition position,
                                  const std::function<Result<void>(Page&& page, const BulkPosition& after)>& sink,
                                  const BulkOptions& options) {
    // Rows but no locator: the last page was read.
    if (position.rows_read > 0 && position.locator.empty()) return {};
    const bool resumed = !position.job.empty();
    if (!resumed) {
        position.job = TRY(create_job(session_, selection)).id;
        if (on_bulk_job) on_bulk_job(position.job);
    }
    const Job job = TRY(finished_job(session_, position.job, options, bulk_rows_));

    // Fetching, decoding and parsing of the next page go on while the sink works; what is left for this thread is what
    // the rows are wanted for.
    Pages pages(session_, selection, options, job, std::move(position), resumed);
    std::optional<Ahead<Result<Fetched>>> helper;
    if (options.ahead) {
        helper.emplace([&](const std::stop_token& stop) -> std::optional<Result<Fetched>> {
            if (stop.stop_requested()) return std::nullopt;
            return pages.next();
        });
    }
    while (auto fetched = helper ? helper->next() : pages.next()) {
        Fetched next = TRY(*std::move(fetched));
        TRY(sink(std::move(next.page), next.after));
    }
    return {};
}

}  // namespace lockstep::salesforce

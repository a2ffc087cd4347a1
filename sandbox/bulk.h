#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/world.h"
#include "sandbox/org.h"
#include "sandbox/rest.h"
#include "sandbox/settings.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// Bulk API 2.0: jobs that query or write many records.
///
/// A job is done once `job_ms` after its submission have passed: by `run_due`, or by the first look at it after that,
/// whichever comes first. Which rows a query found is fixed then; their values are read when a page is sent, in blocks
/// of about 1 MiB under the org's read lock, so that a result of any size costs the memory of a block.
///
/// Thread-safe; takes the org's locks itself. Source: salesforce-api 12 and 13.
class Bulk {
public:
    Bulk(Org& org, Rest& rest, const SettingsBox& settings, World& world);
    ~Bulk();

    http::Answer create_query(const Call& call);
    http::Answer list_queries(const Call& call);
    http::Answer query_job(const Call& call);
    http::Answer change_query(const Call& call);
    http::Answer remove_query(const Call& call);
    http::Answer query_results(const Call& call);
    http::Answer result_pages(const Call& call);

    http::Answer create_ingest(const Call& call);
    http::Answer list_ingests(const Call& call);
    http::Answer ingest_job(const Call& call);
    http::Answer upload(const Call& call);
    http::Answer change_ingest(const Call& call);
    http::Answer remove_ingest(const Call& call);
    http::Answer successful_results(const Call& call);
    http::Answer failed_results(const Call& call);
    http::Answer unprocessed_records(const Call& call);

    /// Does the jobs that are due. Returns milliseconds to the next one; nothing: no job waits.
    std::optional<std::int64_t> run_due();
    /// Object a job is about; empty: no such job.
    std::string object_of(std::string_view job_id);
    /// The text of a job's creation → the object it is about; empty when it can not be told.
    static std::string object_of_creation(std::string_view body);

    struct Used {
        std::int64_t query_jobs = 0, batches = 0;
    };
    Used used_today();

private:
    struct Found;
    struct QueryOutcome;
    struct IngestOutcome;
    struct QueryJob;
    struct IngestJob;

    template <class Job>
    std::shared_ptr<Job> find(const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs,
                              std::string_view id);
    template <class Job>
    void keep(std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs, std::shared_ptr<Job> job);
    template <class Job>
    http::Answer list(const Call& call, const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs);
    template <class Job>
    http::Answer remove(const Call& call, std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs);
    template <class Job>
    http::Answer show(const Call& call, const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs);
    template <class Tell>
    http::Answer ended_result(const Call& call, Tell tell);
    std::string new_id();
    /// Moves the job on by the time that passed, and does its work when that is due.
    template <class Job>
    void progress(Job& job);
    QueryOutcome run(const QueryJob& job);
    IngestOutcome run(const IngestJob& job);

    Org& org_;
    Rest& rest_;
    const SettingsBox& settings_;
    World& world_;

    std::mutex mutex_;  ///< guards what follows; a job has a lock of its own, taken after this one or without it
    std::map<std::string, std::shared_ptr<QueryJob>, std::less<>> queries_;  ///< shared with transfers that run
    std::map<std::string, std::shared_ptr<IngestJob>, std::less<>> ingests_;
    std::int64_t jobs_made_ = 0;
    std::vector<Timestamp> query_jobs_at_, batches_at_;
};

}  // namespace lockstep::sandbox

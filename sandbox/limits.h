#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "base/time.h"

namespace lockstep::sandbox {

/// The org's API calls of the last 24 hours, rolling, against a daily maximum.
///
/// Thread-safe. Cost: constant a call; at most 1441 counters are kept, one a minute.
/// Source: salesforce-api 17.
class Quota {
public:
    /// Counts one call unless the day's calls are used up; says whether it may go on. A refused call is not counted.
    bool take(Timestamp now, std::int64_t max);
    std::int64_t used(Timestamp now);
    /// Pretends that `calls` calls were made this minute; to bring an org close to its limit.
    void spend(Timestamp now, std::int64_t calls);
    void reset();

private:
    void forget_old(Timestamp now);

    std::mutex mutex_;
    std::map<std::int64_t, std::int64_t> calls_by_minute_;
    std::int64_t used_ = 0;
};

/// What /limits tells, beside the daily calls.
struct LimitsShown {
    std::int64_t api_max = 0, api_used = 0;
    std::int64_t query_jobs_max = 0, query_jobs_used = 0;
    std::int64_t batches_max = 0, batches_used = 0;
};
/// Body of GET /limits: each limit with Max and Remaining.
std::string limits_json(const LimitsShown& shown);
/// "api-usage=133/15000". Clients match it from end to end, so nothing may follow.
std::string limit_info(std::int64_t used, std::int64_t max);

}  // namespace lockstep::sandbox

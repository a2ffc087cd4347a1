#include "sandbox/limits.h"

#include <algorithm>

#include "sandbox/wire.h"

namespace lockstep::sandbox {
namespace {

constexpr std::int64_t day_minutes = 24 * 60;

}  // namespace

bool Quota::take(Timestamp now, std::int64_t max) {
    const std::scoped_lock lock(mutex_);
    forget_old(now);
    if (used_ >= max) return false;
    ++calls_by_minute_[now.seconds / 60];
    ++used_;
    return true;
}

std::int64_t Quota::used(Timestamp now) {
    const std::scoped_lock lock(mutex_);
    forget_old(now);
    return used_;
}

void Quota::spend(Timestamp now, std::int64_t calls) {
    const std::scoped_lock lock(mutex_);
    forget_old(now);
    calls_by_minute_[now.seconds / 60] += calls;
    used_ += calls;
}

void Quota::reset() {
    const std::scoped_lock lock(mutex_);
    calls_by_minute_.clear();
    used_ = 0;
}

void Quota::forget_old(Timestamp now) {
    const std::int64_t oldest = now.seconds / 60 - day_minutes;
    while (!calls_by_minute_.empty() && calls_by_minute_.begin()->first <= oldest) {
        used_ -= calls_by_minute_.begin()->second;
        calls_by_minute_.erase(calls_by_minute_.begin());
    }
}

std::string limits_json(const LimitsShown& shown) {
    struct Limit {
        const char* name;
        std::int64_t max, used;
    };
    // Only the first group is counted here; the rest stands for features of the platform that this org never uses.
    const Limit limits[] = {
        {"ConcurrentAsyncGetReportInstances", 200, 0},
        {"DailyApiRequests", shown.api_max, shown.api_used},
        {"DailyBulkApiBatches", shown.batches_max, shown.batches_used},
        {"DailyBulkV2QueryFileStorageMB", 976562, 0},
        {"DailyBulkV2QueryJobs", shown.query_jobs_max, shown.query_jobs_used},
        {"DailyDeliveredPlatformEvents", 10000, 0},
        {"DailyStreamingApiEvents", 10000, 0},
        {"DataStorageMB", 1073, 0},
        {"FileStorageMB", 1073, 0},
        {"HourlyPublishedPlatformEvents", 50000, 0},
        {"MassEmail", 5000, 0},
        {"PermissionSets", 1500, 0},
        {"SingleEmail", 5000, 0},
    };
    std::string body = "{";
    for (const auto& limit : limits) {
        append_raw_member(body, limit.name,
                          "{\"Max\":" + std::to_string(limit.max) + ",\"Remaining\":" +
                              std::to_string(std::max<std::int64_t>(0, limit.max - limit.used)) + "}");
    }
    return body + "}";
}

std::string limit_info(std::int64_t used, std::int64_t max) {
    return "api-usage=" + std::to_string(used) + "/" + std::to_string(max);
}

}  // namespace lockstep::sandbox

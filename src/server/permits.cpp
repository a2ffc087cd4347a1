#include "server/permits.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "store/journal.h"

namespace lockstep::server {

DurablePermits::DurablePermits(store::Database& db, World& world, Options options, std::function<bool()> stopping)
    : db_(db), world_(world), options_(options), stopping_(std::move(stopping)) {}

DurablePermits::~DurablePermits() {
    try {
        settle();
    } catch (const std::exception& problem) {
        // The count stays too high by less than a block: the safe side.
        log::warn("API calls were not given back", {{"why", problem.what()}});
    }
}

Result<void> DurablePermits::take(std::int64_t calls) {
    const std::lock_guard lock(mutex_);
    if (stopping_ && stopping_()) {
        return Error{.kind = Kind::Cancelled,
                     .what = "Lockstep was asked to stop",
                     .hint = "the next run goes on from the last page that was kept"};
    }
    if (use_ && use_->max > 0) {
        const std::int64_t limit = use_->max * options_.share_percent / 100;
        const std::int64_t now_ms = world_.clock.mono_ms();
        if (use_->used + use_->since + calls <= limit) {
            probe_at_ms_.reset();
        } else if (probe_at_ms_ && now_ms >= *probe_at_ms_) {
            probe_at_ms_ = now_ms + options_.probe_every_s * 1000;
        } else {
            if (!probe_at_ms_) probe_at_ms_ = now_ms + options_.probe_every_s * 1000;
            return Error{
                .kind = Kind::Throttled,
                .what = fmt::format("{} of the org's {} API calls of 24 hours are used, and Lockstep stops at {} %",
                                    with_thousands(use_->used + use_->since), with_thousands(use_->max),
                                    options_.share_percent),
                .hint = "it goes on when calls are free again; api_share_percent in lockstep.toml sets the share",
                .retry_after_s = (*probe_at_ms_ - now_ms + 999) / 1000};
        }
    }
    if (ahead_ < calls) {
        const std::int64_t block = std::max(options_.block_calls, calls - ahead_);
        Timestamp at;
        db_.write([&](store::Transaction& tx) {
            at = tx.now();
            store::count_calls(tx, at, block);
        });
        counted_at_ = at;
        ahead_ += block;
    }
    ahead_ -= calls;
    if (use_) use_->since += calls;
    return {};
}

void DurablePermits::told(std::int64_t used, std::int64_t max) {
    const std::lock_guard lock(mutex_);
    use_ = Use{.used = used, .max = max};
}

void DurablePermits::settle() {
    const std::lock_guard lock(mutex_);
    if (ahead_ == 0) return;
    db_.write([&](store::Transaction& tx) { store::count_calls(tx, counted_at_, -ahead_); });
    ahead_ = 0;
}

}  // namespace lockstep::server

#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "base/world.h"
#include "salesforce/session.h"
#include "store/database.h"

namespace lockstep::server {

/// Grants API calls and counts them in the journal before they are made, so that a killed process can not forget calls
/// it spent.
///
/// Calls are counted in blocks ahead: one small transaction every `block_calls` calls, not one each. What was counted
/// and not used is given back by settle() and at the end; after a kill the count is at most one block too high.
///
/// Grants nothing once the org's use, as Salesforce last told it, reaches `share_percent` of its daily maximum. Then
/// one call every `probe_every_s` is let through, because only an answer can tell that the use has gone down again.
///
/// Thread rules: any thread. Not inside a transaction of the same thread.
class DurablePermits : public salesforce::Permits {
public:
    struct Options {
        int share_percent = 80;
        std::int64_t block_calls = 100;
        std::int64_t probe_every_s = 900;
    };
    /// `stopping`: asked before each call; true refuses it (Cancelled), which ends a cycle after its current page.
    DurablePermits(store::Database& db, World& world, Options options, std::function<bool()> stopping);
    ~DurablePermits() override;

    /// Errors: Throttled – the share is spent; Cancelled – stopping.
    Result<void> take(std::int64_t calls) override;
    void told(std::int64_t used, std::int64_t max) override;
    /// Gives back what is counted and not used. Cost: one transaction, or nothing.
    void settle();

private:
    store::Database& db_;
    World& world_;
    const Options options_;
    const std::function<bool()> stopping_;
    std::mutex mutex_;
    std::int64_t ahead_ = 0;  ///< counted, not yet used
    Timestamp counted_at_;    ///< when the last block was counted: its rest goes back to that hour
    struct Use {
        std::int64_t used = 0, max = 0, since = 0;  ///< since: ours after Salesforce told
    };
    std::optional<Use> use_;
    std::optional<std::int64_t> probe_at_ms_;
};

}  // namespace lockstep::server

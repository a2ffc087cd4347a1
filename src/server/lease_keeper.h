#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "server/stop.h"
#include "store/database.h"
#include "store/lease.h"

namespace lockstep::server {

/// Holds the lease of the sync for as long as it lives, renewing it from a thread of its own: a page or an index may
/// take longer to write than a lease lasts. When the lease is lost it asks the process to stop; what is written
/// afterwards is refused by the lease's guard.
class LeaseKeeper {
public:
    /// `command`: "serve", for the sentence others read. Errors: Conflict – somebody else holds it.
    static Result<std::unique_ptr<LeaseKeeper>> claim(store::Database& db, const std::string& command,
                                                      StopSignal& stop);
    ~LeaseKeeper();
    LeaseKeeper(const LeaseKeeper&) = delete;
    LeaseKeeper& operator=(const LeaseKeeper&) = delete;

    const store::Lease& lease() const { return lease_; }
    bool lost() const { return lost_; }

private:
    LeaseKeeper(store::Database& db, store::Lease lease, StopSignal& stop);
    void renew(const std::stop_token& ending);
    store::Database& db_;
    store::Lease lease_;
    StopSignal& stop_;
    std::atomic<bool> lost_ = false;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread renewer_;
};

}  // namespace lockstep::server

#include "server/lease_keeper.h"

#include <chrono>
#include <exception>
#include <utility>

#include "base/log.h"

namespace lockstep::server {

Result<std::unique_ptr<LeaseKeeper>> LeaseKeeper::claim(store::Database& db, const std::string& command,
                                                        StopSignal& stop) {
    store::Lease lease = TRY(store::Lease::claim(db, "sync", store::this_process(command)));
    return std::unique_ptr<LeaseKeeper>(new LeaseKeeper(db, std::move(lease), stop));
}

LeaseKeeper::LeaseKeeper(store::Database& db, store::Lease lease, StopSignal& stop)
    : db_(db), lease_(std::move(lease)), stop_(stop) {
    renewer_ = std::jthread([this](const std::stop_token& ending) { renew(ending); });
}

LeaseKeeper::~LeaseKeeper() {
    renewer_.request_stop();
    renewer_.join();
    if (lost_) return;
    try {
        lease_.release(db_);
    } catch (const std::exception& problem) {
        log::warn("the lease was not given back; it ends by itself", {{"why", problem.what()}});
    }
}

void LeaseKeeper::renew(const std::stop_token& ending) {
    std::unique_lock lock(mutex_);
    while (!ending.stop_requested()) {
        wake_.wait_for(lock, ending, std::chrono::seconds(store::Lease::kSeconds / 3), [] { return false; });
        if (ending.stop_requested()) return;
        try {
            if (lease_.renew(db_)) continue;
            lost_ = true;
            stop_.ask();
            return;
        } catch (const std::exception& problem) {
            // The database may be back at the next turn; if not, the cycle's own writes tell the user.
            log::warn("the lease was not renewed", {{"why", problem.what()}});
        }
    }
}

}  // namespace lockstep::server

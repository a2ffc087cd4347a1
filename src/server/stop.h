#pragma once

#include <atomic>
#include <csignal>
#include <thread>

#include "base/world.h"

namespace lockstep::server {

/// Hears SIGINT, SIGTERM and SIGHUP for as long as it lives, and wakes whoever waits on the clock. A second signal ends
/// the process at once, which is safe: what is not committed is read again.
///
/// Make it before any other thread: threads inherit that these signals are blocked.
class StopSignal {
public:
    explicit StopSignal(Clock& clock);
    ~StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;

    bool asked() const { return asked_; }
    /// As a signal would, from inside.
    void ask();

private:
    void listen();
    Clock& clock_;
    std::atomic<bool> asked_ = false;
    std::atomic<bool> ending_ = false;
    sigset_t signals_{};
    sigset_t before_{};
    std::thread listener_;
};

}  // namespace lockstep::server

#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"

namespace lockstep {

/// The wall clock, a monotonic clock, and waiting.
class Clock {
public:
    virtual ~Clock() = default;
    virtual Timestamp now() = 0;
    /// Monotonic milliseconds from an arbitrary start.
    virtual std::int64_t mono_ms() = 0;
    /// Returns after `ms`, or earlier when `wake()` was called from any thread. A wake between two waits of a thread
    /// ends the second at once; every waiting thread hears each wake.
    virtual void wait_ms(std::int64_t ms) = 0;
    virtual void wake() = 0;
};

class Random {
public:
    virtual ~Random() = default;
    virtual std::uint64_t next() = 0;
    /// Uniform in [0, bound); bound > 0.
    std::uint64_t below(std::uint64_t bound);
    /// Uniform in [0, 1).
    double unit();
};

/// Everything a loop takes from outside apart from its collaborators. `crash_point(name)` does nothing in production;
/// the simulator and the crash tests end the process, or throw, there.
struct World {
    Clock& clock;
    Random& random;
    std::function<void(const char*)> crash_point = [](const char*) {};
};

/// The real clock, and a generator of the system's random numbers; both may be used from any thread.
std::unique_ptr<Clock> system_clock();
std::unique_ptr<Random> system_random();
/// A clock that only moves when told to, or by wait_ms, which returns at once; and a generator fixed by its seed (the
/// same numbers on every machine).
class ManualClock : public Clock {
public:
    explicit ManualClock(Timestamp start) : ms_(start.seconds * 1000) {}
    Timestamp now() override { return {ms_ / 1000}; }
    std::int64_t mono_ms() override { return ms_; }
    void wait_ms(std::int64_t ms) override { ms_ += ms; }
    void wake() override {}
    void advance_s(std::int64_t s) { ms_ += s * 1000; }

private:
    std::int64_t ms_;
};
std::unique_ptr<Random> seeded_random(std::uint64_t seed);

/// A 64-bit mix of `value`: the same on every machine, good enough to derive data from (seed, index); not
/// cryptographic.
constexpr std::uint64_t mix64(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace lockstep

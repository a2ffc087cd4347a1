#include "base/world.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/crypto.h"

namespace lockstep {

namespace {

class SystemClock : public Clock {
public:
    Timestamp now() override {
        const auto since = std::chrono::system_clock::now().time_since_epoch();
        return {std::chrono::floor<std::chrono::seconds>(since).count()};
    }

    std::int64_t mono_ms() override {
        const auto since = std::chrono::steady_clock::now().time_since_epoch();
        return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
    }

    void wait_ms(std::int64_t ms) override {
        constexpr std::int64_t year_ms = 366LL * 86400 * 1000;  // keeps the deadline far from overflow
        const auto end =
            std::chrono::steady_clock::now() + std::chrono::milliseconds(std::clamp(ms, std::int64_t{0}, year_ms));
        std::unique_lock lock(waiters_.mutex);
        std::uint64_t& heard = waiters_.heard[std::this_thread::get_id()];
        waiters_.changed.wait_until(lock, end, [&] { return heard != waiters_.wakes; });
        heard = waiters_.wakes;
    }

    void wake() override {
        const std::lock_guard lock(waiters_.mutex);
        ++waiters_.wakes;
        waiters_.changed.notify_all();
    }

private:
    struct Waiters {
        std::mutex mutex;
        std::condition_variable changed;
        std::uint64_t wakes = 0;
        // How many wakes each thread has returned for. A single flag would lose a wake that falls between a loop's
        // look at its work and its wait while another loop takes the flag. References into a map stay valid.
        std::map<std::thread::id, std::uint64_t> heard;
    };
    Waiters waiters_;
};

class SystemRandom : public Random {
public:
    std::uint64_t next() override {
        const std::string bytes = random_bytes(sizeof(std::uint64_t));
        std::uint64_t value = 0;
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
};

/// xoshiro256** 1.0 (Blackman and Vigna, public domain), its state filled by splitmix64 as they advise.
class SeededRandom : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) {
        for (std::uint64_t& word : state_) {
            word = mix64(seed);
            seed += 0x9e3779b97f4a7c15ULL;
        }
    }

    std::uint64_t next() override {
        auto& s = state_;
        const std::uint64_t result = std::rotl(s[1] * 5, 7) * 9;
        const std::uint64_t shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = std::rotl(s[3], 45);
        return result;
    }

private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace

std::uint64_t Random::below(std::uint64_t bound) {
    check(bound > 0, "below(0) has no answer");
    // The high half of a 128-bit product (Lemire, 2019); the few products that would favour small results are refused.
    const std::uint64_t favoured = (0 - bound) % bound;
    for (;;) {
        const auto product = static_cast<unsigned __int128>(next()) * bound;
        if (static_cast<std::uint64_t>(product) >= favoured) return static_cast<std::uint64_t>(product >> 64);
    }
}

double Random::unit() {
    return static_cast<double>(next() >> 11) * 0x1p-53;
}

std::unique_ptr<Clock> system_clock() {
    return std::make_unique<SystemClock>();
}

std::unique_ptr<Random> system_random() {
    return std::make_unique<SystemRandom>();
}

std::unique_ptr<Random> seeded_random(std::uint64_t seed) {
    return std::make_unique<SeededRandom>(seed);
}

}  // namespace lockstep

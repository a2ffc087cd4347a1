#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace lockstep {

/// Makes values one step ahead of their user, on a thread of its own: while one is used, the next is made.
///
/// `make` gives the next value, or nothing at the end. It runs on the helper thread only, one call at a time, and never
/// when a value waits to be taken. What it throws is thrown by the `next()` that would have returned its value; after
/// that, as after the end, it is not called again. Destruction asks a running `make` to stop through its token, waits
/// for it, and drops what it made.
///
/// Thread rules: one user. Cost: one thread for the life of the object, at most two values alive.
template <class T>
class Ahead {
public:
    using Make = std::function<std::optional<T>(std::stop_token)>;

    explicit Ahead(Make make) : make_(std::move(make)), thread_([this](const std::stop_token& stop) { run(stop); }) {}
    Ahead(const Ahead&) = delete;
    Ahead& operator=(const Ahead&) = delete;
    ~Ahead() = default;  // thread_ goes first, being last: it is asked to stop and joined

    /// The next value, waiting for it if need be; nothing at the end.
    std::optional<T> next() {
        std::unique_lock lock(shared_.mutex);
        shared_.changed.wait(lock, [this] { return shared_.made || shared_.ended; });
        if (shared_.error) std::rethrow_exception(std::exchange(shared_.error, nullptr));
        std::optional<T> value = std::exchange(shared_.made, std::nullopt);
        shared_.changed.notify_all();
        return value;
    }

private:
    void run(const std::stop_token& stop) {
        while (true) {
            {
                std::unique_lock lock(shared_.mutex);
                if (!shared_.changed.wait(lock, stop, [this] { return !shared_.made; })) return;
            }
            // Returned from both paths, for g++ 12 at -O1 drops the blank value that a throwing assignment leaves.
            std::exception_ptr error;
            std::optional<T> value = [&]() -> std::optional<T> {
                try {
                    return make_(stop);
                } catch (...) {
                    error = std::current_exception();
                    return std::nullopt;
                }
            }();
            const std::lock_guard lock(shared_.mutex);
            shared_.made = std::move(value);
            shared_.error = error;
            shared_.ended = !shared_.made.has_value();
            shared_.changed.notify_all();
            if (shared_.ended) return;
        }
    }

    struct Shared {
        std::mutex mutex;
        std::condition_variable_any changed;
        std::optional<T> made;  // waits to be taken
        std::exception_ptr error;
        bool ended = false;
    };
    Make make_;
    Shared shared_;
    std::jthread thread_;
};

}  // namespace lockstep

#include "base/ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

namespace lockstep {
namespace {

TEST(Ahead, gives_the_values_in_order_and_then_the_end) {
    int made = 0;
    Ahead<int> numbers([&](const std::stop_token&) { return made < 100 ? std::optional(made++) : std::nullopt; });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(numbers.next(), i);
    EXPECT_EQ(numbers.next(), std::nullopt);
    EXPECT_EQ(numbers.next(), std::nullopt);
}

TEST(Ahead, makes_the_next_value_while_one_is_used_and_none_beyond_it) {
    std::atomic<int> begun = 0;
    Ahead<int> numbers([&](const std::stop_token&) {
        const int number = ++begun;
        begun.notify_all();
        return std::optional(number);
    });
    EXPECT_EQ(numbers.next(), 1);
    // The second is made without anybody asking for it.
    for (int seen = begun; seen < 2; seen = begun) begun.wait(seen);
    EXPECT_EQ(begun, 2);
    EXPECT_EQ(numbers.next(), 2);
    EXPECT_LE(begun, 3);
}

TEST(Ahead, throws_what_the_maker_threw_in_its_turn_and_ends) {
    int made = 0;
    Ahead<int> numbers([&](const std::stop_token&) -> std::optional<int> {
        if (made == 2) throw std::runtime_error("disk full");
        return made++;
    });
    EXPECT_EQ(numbers.next(), 0);
    EXPECT_EQ(numbers.next(), 1);
    EXPECT_THROW(numbers.next(), std::runtime_error);
    EXPECT_EQ(numbers.next(), std::nullopt);
    EXPECT_EQ(made, 2);
}

TEST(Ahead, stops_a_running_maker_and_waits_for_it_when_it_goes_away) {
    std::atomic<bool> running = false;
    std::atomic<bool> finished = false;
    {
        Ahead<int> numbers([&](const std::stop_token& stop) -> std::optional<int> {
            running = true;
            running.notify_all();
            std::mutex mutex;
            std::condition_variable_any never;
            std::unique_lock lock(mutex);
            never.wait(lock, stop, [] { return false; });
            finished = true;
            return 1;
        });
        running.wait(false);
    }
    EXPECT_TRUE(finished);
}

TEST(Ahead, goes_away_with_a_value_that_nobody_took) {
    std::atomic<int> made = 0;
    {
        Ahead<std::unique_ptr<int>> numbers([&](const std::stop_token&) {
            ++made;
            made.notify_all();
            return std::optional(std::make_unique<int>(1));
        });
        made.wait(0);
    }
    EXPECT_EQ(made, 1);
}

}  // namespace
}  // namespace lockstep

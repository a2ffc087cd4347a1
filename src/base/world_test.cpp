#include "base/world.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <latch>
#include <thread>

#include "base/check.h"

namespace lockstep {
namespace {

constexpr std::int64_t kForever = 1LL << 50;

TEST(SystemClock, both_clocks_run_forward) {
    const auto clock = system_clock();
    EXPECT_GT(clock->now(), *parse_timestamp("2024-01-01T00:00:00Z"));
    const std::int64_t before = clock->mono_ms();
    clock->wait_ms(3);
    EXPECT_GE(clock->mono_ms(), before + 2);  // both ends are cut to milliseconds
    clock->wait_ms(-5);
}

TEST(SystemClock, a_wake_ends_the_wait_of_every_thread) {
    // Often enough that the wake comes before, between and after the two begin to wait.
    for (int round = 0; round < 200; ++round) {
        const auto clock = system_clock();
        std::latch ready(3);
        const auto wait = [&] {
            ready.arrive_and_wait();
            clock->wait_ms(kForever);
        };
        std::thread first(wait);
        std::thread second(wait);
        ready.arrive_and_wait();
        for (int yields = 0; yields < round % 10; ++yields) std::this_thread::yield();
        clock->wake();
        first.join();
        second.join();
    }
}

TEST(SystemClock, a_wake_between_two_waits_ends_the_second_at_once) {
    const auto clock = system_clock();
    clock->wait_ms(0);
    clock->wake();
    clock->wait_ms(kForever);
    const std::int64_t before = clock->mono_ms();
    clock->wait_ms(2);  // heard: this one lasts
    EXPECT_GE(clock->mono_ms(), before + 1);
}

TEST(ManualClock, moves_only_when_told_or_waited_on) {
    ManualClock clock(Timestamp{100});
    clock.wait_ms(1500);
    EXPECT_EQ(clock.now(), Timestamp{101});
    clock.advance_s(10);
    EXPECT_EQ(clock.mono_ms(), 111500);
}

TEST(World, crash_points_do_nothing_unless_set) {
    ManualClock clock(Timestamp{0});
    const auto random = seeded_random(1);
    const World world{clock, *random};
    EXPECT_NO_THROW(world.crash_point("anywhere"));
}

TEST(Random, mix64_is_splitmix64) {
    EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafULL);
    EXPECT_EQ(mix64(0x9e3779b97f4a7c15ULL), 0x6e789e6aa1b965f4ULL);
}

TEST(Random, a_seed_gives_the_same_numbers_on_every_machine) {
    // As rand_xoshiro's Xoshiro256StarStar::seed_from_u64(0) gives them.
    const auto random = seeded_random(0);
    for (const std::uint64_t number : {11091344671253066420ULL, 13793997310169335082ULL, 1900383378846508768ULL}) {
        EXPECT_EQ(random->next(), number);
    }
}

TEST(Random, the_system_does_not_repeat_itself) {
    const auto random = system_random();
    EXPECT_NE(random->next(), random->next());
    EXPECT_NE(system_random()->next(), system_random()->next());
}

TEST(Random, every_result_below_the_bound_is_as_likely) {
    const auto random = seeded_random(7);
    std::array<int, 6> counts{};
    for (int i = 0; i < 60000; ++i) ++counts[random->below(6)];
    for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
}

TEST(Random, products_that_would_favour_small_results_are_refused) {
    struct Scripted : Random {
        std::uint64_t next() override { return calls++ == 0 ? 0 : 1ULL << 63; }
        int calls = 0;
    } random;
    EXPECT_EQ(random.below(3), 1u);
    EXPECT_EQ(random.calls, 2);
}

RC_GTEST_PROP(Random, below_and_unit_stay_in_their_range, (std::uint64_t seed)) {
    const auto random = seeded_random(seed);
    const std::uint64_t bound = *rc::gen::positive<std::uint64_t>();
    RC_ASSERT(random->below(bound) < bound);
    RC_ASSERT(random->below(1) == 0u);
    const double unit = random->unit();
    RC_ASSERT(unit >= 0.0 && unit < 1.0);
}

TEST(Random, the_largest_unit_is_below_one) {
    struct Largest : Random {
        std::uint64_t next() override { return ~0ULL; }
    } random;
    EXPECT_LT(random.unit(), 1.0);
    EXPECT_THROW(random.below(0), Bug);
}

}  // namespace
}  // namespace lockstep

#include "server/permits.h"

#include <gtest/gtest.h>

#include <memory>

#include "store/journal.h"
#include "tests/support/process.h"

namespace lockstep::server {
namespace {

struct PermitsTest : testing::Test {
    support::TempFolder folder;
    ManualClock clock{Timestamp{1'800'000'000}};
    std::unique_ptr<Random> random = seeded_random(1);
    World world{clock, *random};
    std::unique_ptr<store::Database> db = store::Database::open((folder.path() / "lockstep.db").string(), world);

    std::int64_t counted() {
        std::int64_t calls = 0;
        db->read(
            [&](store::Connection& connection) { calls = store::calls_since(connection, clock.now().plus(-86'400)); });
        return calls;
    }
};

TEST_F(PermitsTest, calls_are_counted_in_blocks_before_they_are_made) {
    DurablePermits permits(*db, world, {.block_calls = 10}, {});
    EXPECT_TRUE(permits.take(1).ok());
    EXPECT_EQ(counted(), 10);
    for (int i = 0; i < 9; ++i) EXPECT_TRUE(permits.take(1).ok());
    EXPECT_EQ(counted(), 10);
    EXPECT_TRUE(permits.take(1).ok());
    EXPECT_EQ(counted(), 20);
}

TEST_F(PermitsTest, what_was_not_used_is_given_back_once) {
    DurablePermits permits(*db, world, {.block_calls = 10}, {});
    EXPECT_TRUE(permits.take(3).ok());
    permits.settle();
    EXPECT_EQ(counted(), 3);
    permits.settle();
    EXPECT_EQ(counted(), 3);
    EXPECT_TRUE(permits.take(1).ok());
    EXPECT_EQ(counted(), 13);
}

TEST_F(PermitsTest, the_end_of_the_process_gives_back_too) {
    {
        DurablePermits permits(*db, world, {.block_calls = 10}, {});
        EXPECT_TRUE(permits.take(4).ok());
    }
    EXPECT_EQ(counted(), 4);
}

TEST_F(PermitsTest, more_calls_than_a_block_are_counted_whole) {
    DurablePermits permits(*db, world, {.block_calls = 10}, {});
    EXPECT_TRUE(permits.take(25).ok());
    EXPECT_EQ(counted(), 25);
}

TEST_F(PermitsTest, the_share_of_the_org_is_kept_and_the_error_says_how_long_to_wait) {
    DurablePermits permits(*db, world, {.share_percent = 80}, {});
    permits.told(798, 1000);
    EXPECT_TRUE(permits.take(2).ok());
    const auto refused = permits.take(1);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, Kind::Throttled);
    EXPECT_EQ(refused.error().retry_after_s, 900);
}

TEST_F(PermitsTest, after_the_wait_one_call_may_ask_whether_the_use_has_gone_down) {
    DurablePermits permits(*db, world, {.share_percent = 80, .probe_every_s = 60}, {});
    permits.told(900, 1000);
    EXPECT_FALSE(permits.take(1).ok());
    clock.advance_s(59);
    EXPECT_FALSE(permits.take(1).ok());
    clock.advance_s(1);
    EXPECT_TRUE(permits.take(1).ok());
    EXPECT_FALSE(permits.take(1).ok());  // the answer to the first has not come
    permits.told(500, 1000);
    EXPECT_TRUE(permits.take(1).ok());
    EXPECT_TRUE(permits.take(1).ok());
}

TEST_F(PermitsTest, nothing_is_granted_and_nothing_counted_while_stopping) {
    bool stopping = false;
    DurablePermits permits(*db, world, {}, [&] { return stopping; });
    stopping = true;
    const auto refused = permits.take(1);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, Kind::Cancelled);
    EXPECT_EQ(counted(), 0);
}

}  // namespace
}  // namespace lockstep::server

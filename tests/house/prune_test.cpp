// What becomes too old is removed by the cycles themselves, and nothing else is.
#include <gtest/gtest.h>

#include "store/journal.h"
#include "store/log.h"
#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

constexpr std::int64_t kDay = 86'400;

class Pruning : public testing::TestWithParam<store::Engine> {};
INSTANTIATE_TEST_SUITE_P(, Pruning, testing::Values(store::Engine::Sqlite, store::Engine::Postgres),
                         [](const auto& info) { return info.param == store::Engine::Sqlite ? "sqlite" : "postgres"; });

TEST_P(Pruning, the_change_log_is_kept_as_long_as_configured_and_activities_for_ever) {
    House house({.engine = GetParam(), .people = 60});
    house.rules_for_change().settings().log_keep_days = 10;
    house.cycle();
    const std::string account = *house.reader().text("SELECT id FROM crm_account WHERE NOT isdeleted ORDER BY id");
    const auto count = [&](const std::string& sql) { return house.reader().integer(sql).value_or(-1); };
    const std::int64_t rows = count("SELECT count(*) FROM change_log");
    const std::int64_t activities = count("SELECT count(*) FROM activity");
    ASSERT_GT(rows, 0);
    ASSERT_GT(activities, 0);

    house.pass(9 * kDay);
    house.edit("Account", account, {{"Name", std::string("Renamed")}});
    house.cycle();
    EXPECT_EQ(count("SELECT count(*) FROM change_log WHERE position <= " + std::to_string(rows)), rows);
    EXPECT_EQ(store::pruned_position(house.reader()), 0);

    house.pass(2 * kDay);
    house.cycle();
    EXPECT_EQ(count("SELECT count(*) FROM change_log WHERE record = '" + account + "'"), 1);
    EXPECT_GE(store::pruned_position(house.reader()), rows);
    EXPECT_FALSE(store::changes_after(house.reader(), 0, 10).ok());
    EXPECT_TRUE(store::changes_after(house.reader(), store::pruned_position(house.reader()), 10).ok());
    EXPECT_EQ(count("SELECT count(*) FROM activity"), activities);
    EXPECT_EQ(house.differences(), std::vector<std::string>());

    // Where a value came from is told where it is known, and that it is too old to be known elsewhere.
    const auto explained = api::explain(house.reader(), house.rules(), "Account", account);
    ASSERT_TRUE(explained.ok());
    for (const api::FieldExplanation& field : explained->fields) {
        const char* const kind = field.field == "Name" ? "update" : field.field == "CreatedDate" ? "pruned" : nullptr;
        if (kind != nullptr) {
            EXPECT_EQ(field.kind, kind) << field.field;
        }
    }
    EXPECT_EQ(api::status(house.db(), house.world().clock.now()).log_pruned, store::pruned_position(house.reader()));
}

TEST_P(Pruning, that_takes_long_goes_on_after_the_next_cycle) {
    House house({.engine = GetParam()});
    house.rules_for_change().settings().log_keep_days = 10;
    house.cycle();
    house.db().write([](store::Transaction& tx) {
        for (int i = 0; i < 5000; ++i) tx.stage(store::Change{.table = "thing", .record = "a"});
    });
    house.pass(20 * kDay);
    // Each transaction takes a second, so that a cycle has the time for one of them.
    house.world().crash_point = [&](const char*) { house.pass(1); };
    std::vector<std::int64_t> left;
    for (int i = 0; i < 20 && (left.empty() || left.back() > 0); ++i) {
        house.cycle();
        left.push_back(
            house.reader().integer("SELECT count(*) FROM change_log WHERE table_name = 'thing'").value_or(-1));
    }
    EXPECT_GT(left.size(), 2U);
    EXPECT_GT(left.front(), 0);
    EXPECT_EQ(left.back(), 0);
}

TEST_P(Pruning, idle_cycles_collapse_after_a_day_and_the_history_of_the_last_one_stays_whole) {
    House house({.engine = GetParam(), .people = 30});
    house.rules_for_change().settings().history_keep_days = 4;
    const std::int64_t loaded = house.cycle().cycle;
    for (int i = 0; i < 5; ++i) house.cycle();
    house.pass(kDay + 3600);
    house.cycle();
    const auto shown = [&] { return store::steps(house.reader(), 1000); };
    std::int64_t idle = 0, of_load = 0, whole = 0;
    for (const store::Step& step : shown()) {
        if (step.operation == store::kIdleCycles) {
            ++idle;
            EXPECT_EQ(step.detail, "5 cycles found nothing new");
        } else {
            ++(step.cycle == loaded ? of_load : whole);
        }
    }
    EXPECT_EQ(idle, 1);
    EXPECT_GT(of_load, 10);
    EXPECT_GT(whole, 10);

    // Older than the history is kept, only what the log names as a cause stays.
    house.pass(5 * kDay);
    house.cycle();
    for (const store::Step& step : shown()) {
        const bool young = house.world().clock.now().seconds - step.started.seconds < 4 * kDay;
        EXPECT_TRUE(young || step.created + step.updated + step.deleted + step.skipped > 0)
            << step.operation << " of cycle " << step.cycle;
    }
    EXPECT_FALSE(store::steps(house.reader(), 10, loaded).empty());
}

}  // namespace
}  // namespace lockstep::tests

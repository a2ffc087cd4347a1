#include "store/log.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

class ChangeLog : public OnBothEngines {
protected:
    std::vector<LoggedChange> after(std::int64_t position, int rows_max = 1000) {
        std::vector<LoggedChange> changes;
        db->read([&](Connection& session) { changes = changes_after(session, position, rows_max).value(); });
        return changes;
    }
    Change change(const std::string& record) { return Change{.table = "thing", .record = record}; }
};
INSTANTIATE_TEST_SUITE_P(, ChangeLog, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

TEST_P(ChangeLog, a_staged_change_is_told_whole) {
    db->write([&](Transaction& tx) {
        tx.stage(Change{.table = "crm_opportunity",
                        .record = "006000000000001AAA",
                        .kind = ChangeKind::Delete,
                        .cls = Class::CatchUp,
                        .cause = {.step = 7, .call = "query page 3", .rule = "rules/opportunity.toml:9"},
                        .fields = {{"stagename", Value::of("Prospecting \"1\""), Value()},
                                   {"amount", Value(), Value(Cell::real(0.5))},
                                   {"rows", Value(), Value(Cell::integer(3))},
                                   {"isdeleted", Value(Cell::boolean(false)), Value(Cell::boolean(true))},
                                   {"closedate", Value(), Value(Cell::date({20781}))}}});
        clock.advance_s(100);  // a transaction happens at its start
    });
    const auto changes = after(0);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].position, 1);
    EXPECT_EQ(changes[0].at, Timestamp{1795509000});
    const Change& told = changes[0].change;
    EXPECT_EQ(told.table, "crm_opportunity");
    EXPECT_EQ(told.record, "006000000000001AAA");
    EXPECT_EQ(told.kind, ChangeKind::Delete);
    EXPECT_EQ(told.cls, Class::CatchUp);
    EXPECT_EQ(told.cause.step, 7);
    EXPECT_EQ(told.cause.call, "query page 3");
    EXPECT_EQ(told.cause.rule, "rules/opportunity.toml:9");
    ASSERT_EQ(told.fields.size(), 5U);
    EXPECT_EQ(told.fields[0].column, "stagename");
    EXPECT_EQ(told.fields[0].before, Value::of("Prospecting \"1\""));
    EXPECT_TRUE(told.fields[0].after.is_null());
    EXPECT_EQ(told.fields[1].after, Value(Cell::real(0.5)));
    EXPECT_EQ(told.fields[2].after, Value(Cell::integer(3)));
    EXPECT_EQ(told.fields[3].after, Value(Cell::boolean(true)));
    EXPECT_EQ(told.fields[4].after, Value::of("2026-11-24"));
    EXPECT_EQ(value("SELECT fields FROM change_log"),
              R"({"stagename": ["Prospecting \"1\"", null], "amount": [null, 0.5], "rows": [null, 3], )"
              R"("isdeleted": [false, true], "closedate": [null, "2026-11-24"]})");
}

TEST_P(ChangeLog, every_kind_of_change_comes_back_as_itself) {
    const std::vector<ChangeKind> kinds{ChangeKind::Insert, ChangeKind::Update, ChangeKind::Delete,
                                        ChangeKind::Undelete, ChangeKind::Snapshot};
    db->write([&](Transaction& tx) {
        for (const ChangeKind kind : kinds) {
            Change one = change("a");
            one.kind = kind;
            tx.stage(one);
        }
    });
    std::vector<ChangeKind> told;
    for (const LoggedChange& one : after(0)) told.push_back(one.change.kind);
    EXPECT_EQ(told, kinds);
}

TEST_P(ChangeLog, pruning_takes_the_oldest_rows_and_tells_a_follower_behind_them) {
    const auto write_one = [&](const std::string& record) {
        db->write([&](Transaction& tx) {
            tx.stage(change(record));
            tx.stage(Activity{.person = 1, .type = 34, .at = tx.now(), .primary = "006", .attributes = "{}"});
        });
    };
    for (const char* const record : {"a", "b", "c"}) write_one(record);
    clock.advance_s(1000);
    for (const char* const record : {"d", "e"}) write_one(record);

    const Timestamp between = clock.now().plus(-10);
    const auto prune = [&](Timestamp before, int rows_max) {
        std::int64_t removed = -1;
        db->write([&](Transaction& tx) { removed = prune_log(tx, before, rows_max); });
        return removed;
    };
    EXPECT_EQ(prune(between.plus(-1000), 10), 0);
    EXPECT_EQ(prune(between, 2), 2);
    EXPECT_EQ(prune(between, 2), 1);
    EXPECT_EQ(prune(between, 2), 0);
    EXPECT_EQ(lines("SELECT record FROM change_log ORDER BY position"), (std::vector<std::string>{"d", "e"}));
    EXPECT_EQ(value("SELECT count(*) FROM activity"), "5");

    const auto session = db->connect();
    EXPECT_EQ(pruned_position(*session), 3);
    EXPECT_EQ(changes_after(*session, 3, 10).value().size(), 2U);
    const auto behind = changes_after(*session, 2, 10);
    ASSERT_FALSE(behind.ok());
    EXPECT_EQ(behind.error().kind, Kind::NotFound);
    EXPECT_EQ(behind.error().code, "CHANGES_PRUNED");
    EXPECT_NE(behind.error().hint, "");
    // When all is gone, positions go on, and who has read to the end has missed nothing.
    EXPECT_EQ(prune(clock.now().plus(1), 10), 2);
    EXPECT_EQ(changes_after(*session, 5, 10).value().size(), 0U);
    write_one("f");
    EXPECT_EQ(changes_after(*session, 5, 10).value().front().position, 6);
}

TEST_P(ChangeLog, pruning_leaves_no_gap_where_the_clock_was_set_back) {
    const Timestamp start = clock.now();
    const auto write_one = [&] { db->write([&](Transaction& tx) { tx.stage(change("a")); }); };
    clock.advance_s(500);
    write_one();
    clock.advance_s(-500);
    write_one();
    std::int64_t removed = -1;
    db->write([&](Transaction& tx) { removed = prune_log(tx, start.plus(100), 10); });
    EXPECT_EQ(removed, 0);
    EXPECT_EQ(after(0).size(), 2U);
}

TEST_P(ChangeLog, positions_go_on_over_transactions_and_pages) {
    for (int i = 0; i < 5; ++i) {
        db->write([&](Transaction& tx) {
            tx.stage(change("a"));
            tx.stage(change("b"));
        });
    }
    EXPECT_EQ(after(0).size(), 10U);
    const auto page = after(3, 2);
    ASSERT_EQ(page.size(), 2U);
    EXPECT_EQ(page[0].position, 4);
    EXPECT_EQ(page[1].position, 5);
    EXPECT_TRUE(after(10).empty());
    db->read([](Connection& session) {
        EXPECT_EQ(last_position(session), 10);
        EXPECT_EQ(change_at(session, 4)->change.record, "b");
        EXPECT_EQ(change_at(session, 11), std::nullopt);
        const auto newest = changes_of(session, "thing", "a", 3);
        ASSERT_EQ(newest.size(), 3U);
        EXPECT_EQ(newest[0].position, 9);
        EXPECT_EQ(newest[2].position, 5);
        EXPECT_TRUE(changes_of(session, "other", "a", 3).empty());
    });
}

TEST_P(ChangeLog, a_position_taken_at_once_comes_before_those_staged) {
    db->write([&](Transaction& tx) {
        tx.stage(change("staged"));
        EXPECT_EQ(tx.log_now(change("now")), 1);
        EXPECT_EQ(tx.log_now(change("now too")), 2);
    });
    const auto changes = after(0);
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[2].change.record, "staged");
}

TEST_P(ChangeLog, a_transaction_that_stages_nothing_takes_no_position) {
    db->write([](Transaction& tx) {
        EXPECT_FALSE(tx.staged());
        tx.take_ids("x", 1);
    });
    EXPECT_EQ(value("SELECT position FROM log_head"), "0");
}

TEST_P(ChangeLog, ids_are_dense_and_each_counter_has_its_own) {
    db->write([](Transaction& tx) {
        EXPECT_EQ(tx.take_ids("person", 1), 1);
        EXPECT_EQ(tx.take_ids("person", 10), 2);
        EXPECT_EQ(tx.take_ids("company", 1), 1);
    });
    db->write([](Transaction& tx) { EXPECT_EQ(tx.take_ids("person", 1), 12); });
}

TEST_P(ChangeLog, activities_carry_the_position_of_their_change) {
    const auto activity = [](std::int64_t person, int type, std::int64_t at) {
        return Activity{
            .person = person, .type = type, .at = {at}, .primary = "006", .attributes = R"({"Role": "Buyer"})"};
    };
    db->write([&](Transaction& tx) {
        tx.stage(change("a"));
        tx.stage(activity(1, 34, 50));
        tx.stage(activity(1, 36, 70));
        tx.stage(activity(2, 34, 60));
        tx.stage(change("b"));
    });
    db->write([&](Transaction& tx) {
        Activity imported = activity(1, 36, 40);
        imported.cls = Class::CatchUp;
        tx.stage(imported);
    });
    db->read([](Connection& session) {
        const auto all = activities_of(session, 1, 0, 10);
        ASSERT_EQ(all.size(), 3U);
        EXPECT_EQ(all[0].activity.at, Timestamp{70});
        EXPECT_EQ(all[0].position, 2);
        EXPECT_EQ(all[0].activity.primary, "006");
        EXPECT_EQ(all[0].activity.attributes, R"({"Role": "Buyer"})");
        EXPECT_EQ(all[2].activity.at, Timestamp{40});
        EXPECT_EQ(all[2].activity.cls, Class::CatchUp);
        EXPECT_EQ(all[2].position, 3);  // of its own: a follower that had read up to 2 finds it
        const auto updates = activities_of(session, 1, 36, 1);
        ASSERT_EQ(updates.size(), 1U);
        EXPECT_EQ(updates[0].id, all[0].id);
    });
}

TEST_P(ChangeLog, a_follower_keeps_its_place) {
    db->read([](Connection& session) { EXPECT_EQ(follower_position(session, "lists"), 0); });
    db->write([](Transaction& tx) { move_follower(tx, "lists", 5); });
    db->write([](Transaction& tx) { move_follower(tx, "lists", 9); });
    db->read([](Connection& session) {
        EXPECT_EQ(follower_position(session, "lists"), 9);
        EXPECT_EQ(follower_position(session, "sales"), 0);
    });
}

TEST_P(ChangeLog, a_change_of_nothing_is_a_bug) {
    EXPECT_THROW(db->write([](Transaction& tx) { tx.stage(Change{.table = "", .record = "a"}); }), Bug);
    EXPECT_THROW(db->write([](Transaction& tx) { tx.stage(Change{.table = "thing", .record = ""}); }), Bug);
}

// The follower polls while writers of several "processes" commit. If a position could become visible before a lower
// one, the follower would step over the lower one and never come back.
TEST_P(ChangeLog, a_follower_sees_every_position_once_and_in_order_while_writers_race) {
    constexpr int writers = 4;
    constexpr int transactions = 60;
    std::atomic<int> running = writers;
    std::vector<std::thread> threads;
    for (int writer = 0; writer < writers; ++writer) {
        threads.emplace_back([&, writer] {
            {
                RealWorld real;
                const auto mine = Database::open(location, real.world);
                for (int i = 0; i < transactions; ++i) {
                    mine->write([&](Transaction& tx) {
                        const std::string record = std::to_string(writer) + "/" + std::to_string(i);
                        const bool loads = i % 5 == 0;
                        if (loads) tx.log_now(change(record + "/0"));
                        for (int k = loads ? 1 : 0; k < 1 + i % 3; ++k)
                            tx.stage(change(record + "/" + std::to_string(k)));
                    });
                }
            }
            --running;
        });
    }
    RealWorld real;
    const auto mine = Database::open(location, real.world);
    const auto session = mine->connect();
    std::vector<LoggedChange> seen;
    for (bool more = true; more;) {
        more = running > 0;  // asked before reading: what was committed by then is read below
        for (std::int64_t cursor = seen.empty() ? 0 : seen.back().position;;) {
            const auto page = changes_after(*session, cursor, 7).value();
            if (page.empty()) break;
            cursor = page.back().position;
            seen.insert(seen.end(), page.begin(), page.end());
        }
    }
    for (std::thread& thread : threads) thread.join();

    const auto all = after(0, 1'000'000);
    ASSERT_EQ(seen.size(), all.size());
    std::vector<std::string> records;
    for (std::size_t i = 0; i < seen.size(); ++i) {
        ASSERT_EQ(seen[i].position, static_cast<std::int64_t>(i) + 1);
        records.push_back(seen[i].change.record);
    }
    std::size_t expected = 0;
    for (int i = 0; i < transactions; ++i)
        expected += static_cast<std::size_t>(writers * std::max(1 + i % 3, i % 5 == 0 ? 1 : 0));
    EXPECT_EQ(records.size(), expected);
    // The rows of one transaction stand together.
    for (std::size_t i = 0; i + 1 < records.size(); ++i) {
        const auto unit = [&](std::size_t at) { return records[at].substr(0, records[at].rfind('/')); };
        if (records[i].back() == '0' && i + 1 < records.size() && records[i + 1].back() != '0') {
            EXPECT_EQ(unit(i), unit(i + 1)) << i;
        }
    }
    std::ranges::sort(records);
    EXPECT_EQ(std::ranges::adjacent_find(records), records.end());
}

}  // namespace

}  // namespace lockstep::store

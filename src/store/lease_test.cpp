#include "store/lease.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

class Leases : public OnBothEngines {
protected:
    /// On PostgreSQL the server's clock counts, so the row is aged instead.
    void let_pass_s(int seconds) {
        clock.advance_s(seconds);
        if (GetParam() == Engine::Sqlite) return;
        run("UPDATE lease SET expires_at = expires_at - interval '" + std::to_string(seconds) + " seconds'");
    }
    Lease claim(const std::string& owner) {
        Result<Lease> lease = Lease::claim(*db, "sync", owner);
        if (!lease.ok()) throw std::runtime_error(to_string(lease.error()));
        return *lease;
    }
};
INSTANTIATE_TEST_SUITE_P(, Leases, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

TEST_P(Leases, a_live_lease_is_refused_to_others_who_learn_who_has_it) {
    claim("lockstep serve, process 4711 on myhost");
    const Result<Lease> second = Lease::claim(*db, "sync", "lockstep sync");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().kind, Kind::Conflict);
    EXPECT_NE(second.error().what.find("lockstep serve, process 4711 on myhost, since 20"), std::string::npos)
        << second.error().what;
    EXPECT_TRUE(Lease::claim(*db, "mail", "lockstep sync").ok()) << "other work is another lease";
}

TEST_P(Leases, an_expired_lease_is_taken_over_with_a_higher_token_and_the_old_owner_is_fenced_off) {
    Lease first = claim("one");
    let_pass_s(Lease::kSeconds - 2);
    EXPECT_FALSE(Lease::claim(*db, "sync", "two").ok());
    let_pass_s(4);
    Lease second = claim("two");
    EXPECT_GT(second.token(), first.token());
    EXPECT_FALSE(first.renew(*db));
    const std::string said = failure_of([&] {
        db->write([&](Transaction& tx) {
            first.guard(tx);
            tx.take_ids("x", 1);
        });
    });
    EXPECT_NE(said.find("taken over by another program"), std::string::npos) << said;
    EXPECT_EQ(value("SELECT count(*) FROM counter WHERE name = 'x'"), "0");
    EXPECT_THROW(db->write([&](Transaction& tx) { first.guard(tx); }), LeaseLost);
    db->write([&](Transaction& tx) { second.guard(tx); });
    first.release(*db);  // of no effect
    EXPECT_TRUE(second.renew(*db));
}

TEST_P(Leases, a_renewed_lease_lasts_on) {
    Lease lease = claim("one");
    for (int i = 0; i < 3; ++i) {
        let_pass_s(Lease::kSeconds - 5);
        EXPECT_TRUE(lease.renew(*db));
    }
    EXPECT_FALSE(Lease::claim(*db, "sync", "two").ok());
}

TEST_P(Leases, a_released_lease_is_free_at_once) {
    Lease first = claim("one");
    first.release(*db);
    EXPECT_GT(claim("two").token(), first.token());
}

TEST_P(Leases, the_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once) {
    const std::string place = location;
    db.reset();  // a session must not be used on both sides of a fork
    const pid_t child = fork();
    if (child == 0) {
        RealWorld real;
        World standing{clock, *real.random};
        const auto mine = Database::open(place, standing);
        _exit(Lease::claim(*mine, "sync", "the dead one").ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    db = Database::open(place, world);
    EXPECT_EQ(value("SELECT owner FROM lease"), "the dead one");
    EXPECT_EQ(claim("one").token(), 2);
}

TEST_P(Leases, a_process_of_another_machine_or_a_living_one_is_never_taken_for_dead) {
    claim("one");
    run("UPDATE lease SET machine = 'elsewhere', process = 999999999");
    EXPECT_FALSE(Lease::claim(*db, "sync", "two").ok());
}

TEST_P(Leases, a_process_id_that_was_given_to_another_process_is_seen_through) {
    claim("one");
    run("UPDATE lease SET started = '1'");
    EXPECT_TRUE(Lease::claim(*db, "sync", "two").ok());
}

TEST_P(Leases, racing_claimers_get_distinct_tokens) {
    constexpr int claimers = 4;
    constexpr int rounds = 25;
    std::mutex mutex;
    std::vector<std::int64_t> tokens;
    std::vector<std::thread> threads;
    for (int i = 0; i < claimers; ++i) {
        threads.emplace_back([&] {
            RealWorld real;
            const auto mine = Database::open(location, real.world);
            for (int won = 0; won < rounds;) {
                Result<Lease> lease = Lease::claim(*mine, "sync", "somebody");
                if (!lease.ok()) continue;
                ++won;
                {
                    const std::lock_guard lock(mutex);
                    tokens.push_back(lease->token());
                }
                lease->release(*mine);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(tokens.size(), static_cast<std::size_t>(claimers * rounds));
    // Noted while the lease was held, so they stand in order as well.
    for (std::size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], static_cast<std::int64_t>(i) + 1);
}

TEST_P(Leases, a_process_tells_who_it_is) {
    const std::string name = this_process("serve");
    EXPECT_TRUE(name.starts_with("lockstep serve, process " + std::to_string(getpid()) + " on ")) << name;
}

}  // namespace

}  // namespace lockstep::store

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

enum class Mode { Following, Loading };

class Crash : public ::testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(, Crash, ::testing::Values(Mode::Following, Mode::Loading),
                         [](const auto& info) { return info.param == Mode::Loading ? "loading" : "following"; });

/// Commits units of three log rows and one counter, each unit with text of its own size, until it is killed. Says a
/// byte after each commit.
[[noreturn]] void write_for_ever(const std::string& location, Mode mode, int told) {
    RealWorld real;
    const auto db = Database::open(location, real.world);
    const auto loading = mode == Mode::Loading ? db->load_mode() : nullptr;
    for (int unit = 1;; ++unit) {
        db->write([&](Transaction& tx) {
            const std::int64_t number = tx.take_ids("unit", 1);
            for (int i = 0; i < 3; ++i) {
                tx.stage(
                    Change{.table = "thing",
                           .record = std::to_string(number),
                           .fields = {{"text", Value(),
                                       Value::of(std::string(static_cast<std::size_t>(number * 997 % 50'000), 'x'))}}});
            }
        });
        if (unit % 40 == 0) db->checkpoint();
        if (write(told, "+", 1) != 1) _exit(1);
    }
}

// The disk itself is not cut off here: what is tested is that a process may die between any two writes.
TEST_P(Crash, a_killed_writer_leaves_whole_transactions_and_all_that_were_told) {
    TemporaryFolder folder;
    const std::string location = folder.file("lockstep.db");
    std::int64_t units = 0;
    for (int round = 0; round < 6; ++round) {
        std::array<int, 2> pipe_ends{};
        ASSERT_EQ(pipe(pipe_ends.data()), 0);
        const pid_t child = fork();
        if (child == 0) {
            close(pipe_ends[0]);
            write_for_ever(location, GetParam(), pipe_ends[1]);
        }
        close(pipe_ends[1]);
        std::int64_t told = 0;
        std::array<char, 1> byte{};
        while (told < 17 + 23 * round && read(pipe_ends[0], byte.data(), 1) == 1) ++told;
        kill(child, SIGKILL);
        while (read(pipe_ends[0], byte.data(), 1) == 1) ++told;
        close(pipe_ends[0]);
        ASSERT_EQ(waitpid(child, nullptr, 0), child);

        RealWorld real;
        const auto db = Database::open(location, real.world);
        db->read([&](Connection& session) {
            EXPECT_EQ(session.text("PRAGMA integrity_check"), "ok");
            const std::int64_t now = session.integer("SELECT last FROM counter WHERE name = 'unit'").value_or(0);
            EXPECT_GE(now, units + told) << "what was committed is there";
            EXPECT_LE(now, units + told + 1) << "at most one commit was not told";
            EXPECT_EQ(session.integer("SELECT count(*) FROM change_log"), 3 * now);
            EXPECT_EQ(last_position(session), 3 * now);
            EXPECT_EQ(session.integer("SELECT count(DISTINCT record) FROM change_log"), now);
            units = now;
        });
    }
}

TEST(CrashPoint, a_crash_before_the_commit_saves_nothing_and_one_after_it_everything) {
    TemporaryFolder folder;
    RealWorld real;
    std::string crash_at;
    real.world.crash_point = [&](const char* name) {
        if (crash_at == name) throw std::runtime_error("crash");
    };
    const auto db = Database::open(folder.file("lockstep.db"), real.world);
    const auto take = [&] { db->write([](Transaction& tx) { tx.take_ids("x", 1); }); };
    const auto taken = [&] { return db->connect()->integer("SELECT last FROM counter WHERE name = 'x'").value_or(0); };
    crash_at = "store: before commit";
    EXPECT_THROW(take(), std::runtime_error);
    EXPECT_EQ(taken(), 0);
    crash_at = "store: after commit";
    EXPECT_THROW(take(), std::runtime_error);
    EXPECT_EQ(taken(), 1);
}

}  // namespace

}  // namespace lockstep::store

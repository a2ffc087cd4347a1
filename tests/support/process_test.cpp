#include "tests/support/process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <stdexcept>

namespace lockstep::support {
namespace {

TEST(Process, a_program_gives_what_it_wrote_and_its_number) {
    const Ended ended = run({.program = "sh", .arguments = {"-c", "cat; echo no >&2; exit 3"}, .input = "yes"});
    EXPECT_EQ(ended.out, "yes");
    EXPECT_EQ(ended.err, "no\n");
    EXPECT_EQ(ended.exit_code, 3);
}

TEST(Process, lines_are_read_while_it_runs_and_a_signal_ends_it) {
    Process process({.program = "sh", .arguments = {"-c", "echo one; echo two; exec cat /dev/zero >/dev/null"}});
    EXPECT_EQ(process.read_line(), "one");
    EXPECT_EQ(process.read_line_with("tw"), "two");
    process.send_signal(SIGTERM);
    const Ended ended = process.wait();
    EXPECT_EQ(ended.exit_code, -1);
    EXPECT_EQ(ended.signal, SIGTERM);
}

TEST(Process, output_larger_than_a_pipe_does_not_block_it) {
    const Ended ended =
        run({.program = "sh", .arguments = {"-c", "head -c 1000000 /dev/zero >&2; head -c 300000 /dev/zero"}});
    EXPECT_EQ(ended.out.size(), 300'000U);
    EXPECT_EQ(ended.err.size(), 1'000'000U);
}

TEST(Process, a_line_that_never_comes_is_an_error_that_shows_what_came) {
    Process process({.program = "sh", .arguments = {"-c", "echo started; exit 1"}});
    process.read_line();
    try {
        process.read_line();
        FAIL() << "there is no second line";
    } catch (const std::runtime_error& error) {
        EXPECT_NE(std::string(error.what()).find("started"), std::string::npos);
    }
}

TEST(Process, the_environment_is_ours_with_changes) {
    const Ended ended = run({.program = "sh",
                             .arguments = {"-c", "echo \"$LOCKSTEP_X:${HOME-unset}:${PATH:+set}\""},
                             .environment = {{"LOCKSTEP_X", "1"}, {"HOME", ""}}});
    EXPECT_EQ(ended.out, "1:unset:set\n");
}

TEST(TempFolder, it_goes_with_all_that_is_in_it) {
    std::filesystem::path path;
    {
        const TempFolder folder;
        path = folder.path();
        std::filesystem::create_directory(path / "inner");
        std::ofstream(path / "inner" / "file") << "x";
        EXPECT_TRUE(std::filesystem::exists(path / "inner" / "file"));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace lockstep::support

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/text.h"
#include "server/cli.h"
#include "tests/support/process.h"

namespace lockstep::server {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

std::string script(const std::string& shell) {
    std::ostringstream out, err;
    const auto clock = system_clock();
    const auto random = system_random();
    World world{*clock, *random};
    EXPECT_EQ(run("lockstep", {"completion", shell}, {.out = out, .err = err}, world), 0) << err.str();
    EXPECT_EQ(err.str(), "");
    return out.str();
}

/// What bash offers for a command line, the last word of which is being typed.
std::vector<std::string> offered(const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) line += " '" + word + "'";
    const std::string program = script("bash") + "COMP_WORDS=(" + line +
                                ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) +
                                "\n_lockstep\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n";
    const support::Ended ended = support::run({.program = "bash", .arguments = {"-c", program}});
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
    std::vector<std::string> answers = split(ended.out, '\n');
    std::erase(answers, "");
    return answers;
}

TEST(Completion, in_bash_offers_commands_options_and_what_fits_behind_them) {
    EXPECT_THAT(offered({"lockstep", "s"}), UnorderedElementsAre("sync", "serve", "status", "schema"));
    EXPECT_THAT(offered({"lockstep", ""}), Contains("opportunities"));
    EXPECT_THAT(offered({"lockstep", ""}), Each(Not(StartsWith("-"))));
    EXPECT_THAT(offered({"lockstep", "--d"}), UnorderedElementsAre("--data", "--database"));
    EXPECT_THAT(offered({"lockstep", "sync", "--"}), Contains("--accept-disappearances"));
    EXPECT_THAT(offered({"lockstep", "sync", "--"}), Contains("--json"));
    EXPECT_THAT(offered({"lockstep", "--data", "/x", "serve", "--in"}), UnorderedElementsAre("--interval"));
    EXPECT_THAT(offered({"lockstep", "explain", "Le"}), UnorderedElementsAre("Lead", "LeadStatus"));
    EXPECT_THAT(offered({"lockstep", "explain", "Lead", "--a"}), UnorderedElementsAre("--all"));
    EXPECT_THAT(offered({"lockstep", "completion", ""}), UnorderedElementsAre("bash", "zsh"));
    EXPECT_THAT(offered({"lockstep", "serve", "--interval", ""}), IsEmpty());
    EXPECT_THAT(offered({"lockstep", "--data", "/et"}), Contains("/etc"));
    EXPECT_THAT(offered({"lockstep", "--key-file", "/etc/pass"}), Contains("/etc/passwd"));
}

TEST(Completion, in_zsh_describes_every_command_and_option) {
    const std::string zsh = script("zsh");
    EXPECT_THAT(zsh, StartsWith("#compdef lockstep\n"));
    EXPECT_THAT(zsh, HasSubstr("'status:Where the sync stands\\: objects, counts, errors, API calls.'"));
    EXPECT_THAT(zsh, HasSubstr("'--data[Folder of key, database and settings]:DIR:_files -/'"));
    EXPECT_THAT(zsh, HasSubstr("'--once["));
    EXPECT_THAT(zsh, HasSubstr(":(User Group "));
}

TEST(Completion, of_another_shell_is_wrong_usage) {
    std::ostringstream out, err;
    const auto clock = system_clock();
    const auto random = system_random();
    World world{*clock, *random};
    EXPECT_EQ(run("lockstep", {"completion", "fish"}, {.out = out, .err = err}, world), 2);
    EXPECT_THAT(err.str(), HasSubstr("lockstep completion --help"));
}

}  // namespace
}  // namespace lockstep::server

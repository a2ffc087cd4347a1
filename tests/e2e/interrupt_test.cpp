// A person who stops the tool, or types into it: real processes, real signals, a real terminal.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "base/json.h"
#include "tests/e2e/output.h"
#include "tests/support/process.h"
#include "tests/support/sandbox.h"

namespace lockstep {
namespace {

using support::Ended;
using support::OnTerminal;
using support::Sandbox;
using testing::HasSubstr;
using testing::Not;

std::int64_t number(const json::value& value) {
    return value.to_number<std::int64_t>();
}

/// A data folder, and the tool as it is called there.
struct Installation {
    support::TempFolder folder;

    support::Start start(const std::vector<std::string>& arguments) const {
        support::Start start{.program = support::built("lockstep"),
                             .arguments = {"--data", (folder.path() / "data").string()},
                             .environment = {{"LOCKSTEP_DATA", ""},
                                             {"LOCKSTEP_DATABASE", ""},
                                             {"LOCKSTEP_KEY_FILE", ""},
                                             {"LOCKSTEP_CLIENT_SECRET", ""}}};
        start.arguments.insert(start.arguments.end(), arguments.begin(), arguments.end());
        return start;
    }
    json::value asked(std::vector<std::string> arguments, int exit_code = 0) const {
        arguments.emplace_back("--json");
        const Ended ended = support::run(start(arguments));
        EXPECT_EQ(ended.exit_code, exit_code) << ended.out << ended.err;
        return parsed(ended.out);
    }
    support::Start connecting(const Sandbox& org) const {
        return start({"connect", "--url", org.url(), "--client-id", org.client_id()});
    }
};

/// How often a call of this kind and status was received.
int calls(Sandbox& org, const std::string& kind, int status) {
    int found = 0;
    const json::value listed = parsed(org.admin("GET", "/sandbox/calls?limit=10000"));
    for (const json::value& call : listed.at("calls").as_array()) {
        found += text(call.at("kind")) == kind && number(call.at("status")) == status ? 1 : 0;
    }
    return found;
}

/// Waits until the org has refused a call of this kind.
void wait_for_refusal(Sandbox& org, const std::string& kind) {
    constexpr int kTries = 10'000;
    for (int i = 0; i < kTries; ++i) {
        if (calls(org, kind, 503) > 0) return;
    }
    FAIL() << "no " << kind << " was ever refused";
}

struct Interrupt : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, Interrupt, testing::Values(SIGINT, SIGTERM),
                         [](const auto& info) { return info.param == SIGINT ? "sigint" : "sigterm"; });

TEST_P(Interrupt, during_a_first_load_is_no_error_and_the_next_run_goes_on_from_the_last_committed_page) {
    Sandbox org({"--people", "100", "--count", "Contact=12000"});
    const Installation tool;
    support::Start connecting = tool.connecting(org);
    connecting.environment["LOCKSTEP_CLIENT_SECRET"] = org.client_secret();
    ASSERT_EQ(support::run(connecting).exit_code, 0);

    // The first page of the contacts comes; for the second the tool waits, as long as it is let.
    org.admin("POST", "/sandbox/faults",
              R"({"kind":"http_503","path":"/jobs/query/*/results","after":1,"retry_after":20})");
    support::Process loading(tool.start({"sync", "--once"}));
    wait_for_refusal(org, "bulk_results");
    loading.send_signal(GetParam());
    const Ended stopped = loading.wait(15);
    EXPECT_EQ(stopped.exit_code, 130) << stopped.out << stopped.err;
    EXPECT_THAT(stopped.err, HasSubstr("asked to stop"));
    EXPECT_THAT(stopped.err, HasSubstr("\nhint: "));

    EXPECT_TRUE(tool.asked({"errors", "--all"}).at("errors").as_array().empty());
    const json::value steps = tool.asked({"history"}).at("steps");
    const json::value& last = steps.at(0);
    EXPECT_EQ(text(last.at("object")), "Contact");
    EXPECT_EQ(text(last.at("status")), "stopped");
    std::int64_t kept = 0;
    const json::value status = tool.asked({"status"});
    EXPECT_EQ(number(status.at("open_errors")), 0);
    for (const json::value& object : status.at("objects").as_array()) {
        if (text(object.at("object")) == "Contact") kept = number(object.at("load_rows"));
    }
    EXPECT_EQ(kept, 10'000);

    org.admin("DELETE", "/sandbox/faults");
    org.admin("DELETE", "/sandbox/calls");
    const json::value cycle = tool.asked({"sync", "--once"});
    EXPECT_FALSE(cycle.at("failed").as_bool());
    EXPECT_EQ(calls(org, "bulk_results", 200), 1);  // the second page, and the first one not again
    const json::value after = tool.asked({"status"});
    for (const json::value& object : after.at("objects").as_array()) {
        if (text(object.at("object")) != "Contact") continue;
        EXPECT_EQ(text(object.at("state")), "following");
        EXPECT_GE(number(object.at("rows")), 12'000);
    }
}

/// A person at a terminal, asked for the secret.
struct Prompt : testing::Test {
    Sandbox org{{"--people", "20"}};
    Installation tool;
    static constexpr const char* kQuestion = "Client secret (not shown): ";
};

TEST_F(Prompt, does_not_show_the_secret_that_is_typed) {
    OnTerminal terminal(tool.connecting(org));
    terminal.read_until(kQuestion);
    EXPECT_FALSE(terminal.echoes());
    terminal.type(org.client_secret() + "\n");
    const Ended ended = terminal.wait();
    EXPECT_EQ(ended.exit_code, 0) << ended.out;
    EXPECT_THAT(ended.out, HasSubstr("connected to"));
    EXPECT_THAT(ended.out, Not(HasSubstr(org.client_secret())));
    EXPECT_TRUE(terminal.echoes());
}

TEST_F(Prompt, leaves_the_terminal_as_it_was_when_it_is_stopped) {
    for (const bool by_key : {true, false}) {
        OnTerminal terminal(tool.connecting(org));
        terminal.read_until(kQuestion);
        EXPECT_FALSE(terminal.echoes());
        terminal.type("half-a-secret");
        if (by_key) terminal.type("\x03");
        if (!by_key) terminal.send_signal(SIGTERM);
        const Ended ended = terminal.wait();
        EXPECT_EQ(ended.exit_code, 130) << ended.out;
        EXPECT_THAT(ended.out, HasSubstr("nothing was stored"));
        EXPECT_THAT(ended.out, Not(HasSubstr("half-a-secret")));
        EXPECT_TRUE(terminal.echoes());
        EXPECT_FALSE(std::filesystem::exists(tool.folder.path() / "data"));
    }
}

TEST_F(Prompt, that_is_answered_with_nothing_tells_other_ways) {
    OnTerminal terminal(tool.connecting(org));
    terminal.read_until(kQuestion);
    terminal.type("\n");
    const Ended ended = terminal.wait();
    EXPECT_EQ(ended.exit_code, 2) << ended.out;
    EXPECT_THAT(ended.out, HasSubstr("--client-secret-file"));
    EXPECT_TRUE(terminal.echoes());
}

}  // namespace
}  // namespace lockstep

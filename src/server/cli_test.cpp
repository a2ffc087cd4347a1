#include "server/cli.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"
#include "tests/support/process.h"

namespace lockstep::server {
namespace {

struct CliTest : testing::Test {
    support::TempFolder folder;
    ManualClock clock{Timestamp{1'800'000'000}};
    std::unique_ptr<Random> random = seeded_random(1);
    World world{clock, *random};
    std::ostringstream out, err;

    int call(const std::vector<std::string>& arguments) {
        out.str("");
        err.str("");
        return run("lockstep", arguments, {.out = out, .err = err}, world);
    }
    std::string data() const { return (folder.path() / "data").string(); }
};

TEST_F(CliTest, help_names_every_command_and_ends_well) {
    EXPECT_EQ(call({"--help"}), kDone);
    for (const char* const command :
         {"connect", "disconnect", "doctor", "sync", "serve", "status", "history", "errors", "person", "activities",
          "opportunities", "explain", "rules", "schema", "completion"}) {
        EXPECT_NE(out.str().find(std::string("\n  ") + command), std::string::npos) << command;
        std::ostringstream help;
        EXPECT_EQ(run("lockstep", {command, "--help"}, {.out = help, .err = err}, world), kDone);
        EXPECT_NE(help.str().find(std::string("lockstep ") + command), std::string::npos) << help.str();
    }
    EXPECT_EQ(err.str(), "");
}

TEST_F(CliTest, version_is_one_line) {
    EXPECT_EQ(call({"--version"}), kDone);
    EXPECT_TRUE(out.str().starts_with("lockstep ")) << out.str();
}

TEST_F(CliTest, a_command_that_does_not_exist_is_named) {
    EXPECT_EQ(call({"--data", "x", "synch"}), kUsage);
    EXPECT_EQ(err.str(), "lockstep: There is no command \"synch\"\nhint: lockstep --help lists the commands\n");
}

TEST_F(CliTest, no_command_is_a_wrong_usage) {
    EXPECT_EQ(call({}), kUsage);
    EXPECT_NE(err.str().find("No command was given"), std::string::npos);
}

TEST_F(CliTest, a_missing_argument_points_to_the_help_of_its_command) {
    EXPECT_EQ(call({"person"}), kUsage);
    EXPECT_NE(err.str().find("lockstep person --help"), std::string::npos) << err.str();
}

TEST_F(CliTest, options_of_every_command_work_before_and_after_it) {
    EXPECT_EQ(call({"--data", data(), "--json", "status"}), kNotConnected);
    const std::string before = out.str();
    EXPECT_EQ(call({"status", "--json", "--data", data()}), kNotConnected);
    EXPECT_EQ(out.str(), before);
    EXPECT_EQ(parse_json(before).value().at("error").at("kind").as_string(), "denied");
}

TEST_F(CliTest, a_wrong_usage_is_json_too_when_that_was_asked_for) {
    EXPECT_EQ(call({"person", "--json"}), kUsage);
    EXPECT_EQ(parse_json(out.str()).value().at("error").at("kind").as_string(), "invalid");
    EXPECT_EQ(err.str(), "");
}

TEST_F(CliTest, looking_where_nothing_is_makes_nothing) {
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"status"},
                                               {"person", "a@b.c"},
                                               {"sync", "--once"},
                                               {"serve"},
                                               {"history"},
                                               {"errors"},
                                               {"disconnect"},
                                               {"schema"},
                                               {"opportunities"},
                                               {"activities", "1"},
                                               {"explain", "Lead", "00Q000000000001AAA"}}) {
        std::vector<std::string> arguments{"--data", data()};
        arguments.insert(arguments.end(), command.begin(), command.end());
        EXPECT_EQ(call(arguments), kNotConnected) << command.front();
        EXPECT_NE(err.str().find("lockstep connect"), std::string::npos) << command.front();
    }
    EXPECT_FALSE(std::filesystem::exists(data()));
}

TEST_F(CliTest, rules_are_shown_without_a_database) {
    EXPECT_EQ(call({"--data", data(), "rules", "lead", "--json"}), kDone);
    const json::value parsed = parse_json(out.str()).value();
    ASSERT_EQ(parsed.at("objects").as_array().size(), 1U);
    const json::value& lead = parsed.at("objects").at(0);
    EXPECT_EQ(lead.at("object").as_string(), "Lead");
    EXPECT_EQ(lead.at("winner").as_string(), "ours");
    EXPECT_EQ(lead.at("fields").at(0).at("field").as_string(), "Email");
    EXPECT_EQ(lead.at("fields").at(0).at("ours").as_string(), "email");
    EXPECT_EQ(call({"--data", data(), "rules", "Nothing"}), kNotFound);
}

TEST_F(CliTest, the_doctor_of_an_empty_place_says_what_to_do) {
    EXPECT_EQ(call({"--data", data(), "doctor", "--json"}), kPartly);
    const json::value parsed = parse_json(out.str()).value();
    EXPECT_EQ(parsed.at("worst").as_string(), "problem");
    EXPECT_NE(json::serialize(parsed).find("lockstep connect"), std::string::npos);
}

TEST_F(CliTest, a_connection_needs_an_address_and_a_way_to_log_in) {
    EXPECT_EQ(call({"--data", data(), "connect", "--client-id", "x"}), kUsage);
    EXPECT_NE(err.str().find("--url"), std::string::npos) << err.str();
    EXPECT_EQ(call({"--data", data(), "connect", "--url", "sandbox", "--client-id", "x", "--username", "a@b.c"}),
              kUsage);
    EXPECT_NE(err.str().find("--private-key-file"), std::string::npos) << err.str();
    EXPECT_EQ(call({"--data", data(), "connect", "--url", "sandbox", "--client-id", "x", "--client-secret-file",
                    (folder.path() / "absent").string()}),
              kUsage);
    EXPECT_NE(err.str().find("absent"), std::string::npos) << err.str();
}

}  // namespace
}  // namespace lockstep::server

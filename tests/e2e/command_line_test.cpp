// The command line against real processes: what scripts rely on (docs/scripting.md).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/json.h"
#include "base/text.h"
#include "tests/e2e/output.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/sandbox.h"

namespace lockstep {
namespace {

using support::Ended;
using support::Sandbox;
using testing::HasSubstr;
using testing::Not;

/// A small org and a data folder of its own.
struct CommandLine : testing::Test {
    Sandbox org{{"--people", "200"}};
    support::TempFolder folder;
    std::string database;  ///< of the environment; empty: the file in the data folder

    std::string data() const { return (folder.path() / "data").string(); }
    support::Start started(const std::vector<std::string>& arguments) const {
        support::Start start{
            .program = support::built("lockstep"),
            .arguments = {"--data", data()},
            .environment = {{"LOCKSTEP_DATA", ""}, {"LOCKSTEP_DATABASE", database}, {"LOCKSTEP_KEY_FILE", ""}}};
        start.arguments.insert(start.arguments.end(), arguments.begin(), arguments.end());
        return start;
    }
    Ended lockstep(const std::vector<std::string>& arguments) const { return support::run(started(arguments)); }
    /// The document of a command that went well.
    json::value asked(std::vector<std::string> arguments) const {
        arguments.emplace_back("--json");
        const Ended ended = lockstep(arguments);
        EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err;
        return parsed(ended.out);
    }
    /// The error of a command that ended with `exit_code`.
    json::value refused(std::vector<std::string> arguments, int exit_code) const {
        arguments.emplace_back("--json");
        const Ended ended = lockstep(arguments);
        EXPECT_EQ(ended.exit_code, exit_code) << ended.out << ended.err;
        const json::value document = parsed(ended.out);
        const bool told = document.is_object() && document.as_object().contains("error");
        EXPECT_TRUE(told) << ended.out;
        return told ? document.at("error") : json::value();
    }
    Ended connect_to(const Sandbox& target, const std::vector<std::string>& more = {}) const {
        support::Start start = started({"connect", "--url", target.url(), "--client-id", target.client_id()});
        start.arguments.insert(start.arguments.end(), more.begin(), more.end());
        start.environment["LOCKSTEP_CLIENT_SECRET"] = target.client_secret();
        return support::run(start);
    }
    void connect() const {
        const Ended ended = connect_to(org);
        ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err;
    }
    void load() const {
        connect();
        const Ended ended = lockstep({"sync", "--once"});
        ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err;
    }
    /// Live rows of each object, as the org itself counts them.
    std::map<std::string, std::int64_t> rows_of_org() {
        std::map<std::string, std::int64_t> rows;
        const json::value objects = parsed(org.admin("GET", "/sandbox/objects"));
        for (const json::value& object : objects.at("objects").as_array()) {
            rows[text(object.at("name"))] = object.at("rows").to_number<std::int64_t>();
        }
        return rows;
    }
    std::string some_opportunity() const {
        return text(asked({"opportunities", "--limit", "1"}).at("opportunities").at(0).at("id"));
    }
};

TEST_F(CommandLine, connecting_tells_which_org_and_user_the_credentials_lead_to) {
    const Ended ended = connect_to(org, {"--json"});
    ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err;
    const json::value document = parsed(ended.out);
    const json::value state = parsed(org.admin("GET", "/sandbox/state"));
    EXPECT_EQ(text(document.at("organization").at("id")), text(state.at("organization_id")));
    EXPECT_EQ(text(document.at("user")), text(state.at("username")));
    for (const json::value& finding : document.at("findings").as_array()) {
        EXPECT_FALSE(finding.at("fatal").as_bool()) << json::serialize(finding);
    }
    EXPECT_EQ(ended.err, "");
}

TEST_F(CommandLine, the_first_sync_brings_every_record_the_org_has) {
    load();
    std::map<std::string, std::int64_t> rows = rows_of_org();
    const json::value status = asked({"status"});
    std::size_t seen = 0;
    for (const json::value& object : status.at("objects").as_array()) {
        EXPECT_EQ(text(object.at("state")), "following");
        const std::int64_t live =
            object.at("rows").to_number<std::int64_t>() - object.at("deleted_rows").to_number<std::int64_t>();
        EXPECT_EQ(live, rows[text(object.at("object"))]) << json::serialize(object);
        seen += rows.contains(text(object.at("object"))) ? 1 : 0;
    }
    EXPECT_GE(seen, 6U);
    EXPECT_GT(status.at("people").to_number<std::int64_t>(), 150);
    EXPECT_GT(status.at("links").to_number<std::int64_t>(), 0);
    EXPECT_EQ(status.at("activities"), status.at("links"));
    EXPECT_EQ(status.at("open_errors").to_number<std::int64_t>(), 0);
    EXPECT_GT(status.at("calls_24h").to_number<std::int64_t>(), 0);
    EXPECT_EQ(text(status.at("organization").at("url")), org.url());
}

TEST_F(CommandLine, before_the_first_sync_everything_is_empty_and_nothing_fails) {
    connect();
    EXPECT_EQ(asked({"status"}).at("people").to_number<std::int64_t>(), 0);
    EXPECT_TRUE(asked({"opportunities"}).at("opportunities").as_array().empty());
    EXPECT_TRUE(asked({"opportunities", "--orphans"}).at("groups").as_array().empty());
    EXPECT_TRUE(asked({"opportunities", "--by-account-stage"}).at("groups").as_array().empty());
    EXPECT_TRUE(asked({"history"}).at("steps").as_array().empty());
    EXPECT_TRUE(asked({"errors"}).at("errors").as_array().empty());
    EXPECT_TRUE(asked({"schema"}).at("objects").as_array().empty());
    EXPECT_EQ(text(asked({"doctor"}).at("worst")), "warning");
    refused({"person", "1"}, 6);
    refused({"explain", "Lead", "00Q000000000001AAA"}, 6);
    for (const char* const command : {"status", "opportunities", "history", "errors", "schema"}) {
        EXPECT_EQ(lockstep({command}).exit_code, 0) << command;
    }
}

TEST_F(CommandLine, the_calls_counted_are_the_calls_the_org_received) {
    load();
    const json::value used = parsed(org.admin("GET", "/sandbox/state")).at("api_calls").at("used");
    EXPECT_EQ(asked({"status"}).at("calls_24h"), used);
}

TEST_F(CommandLine, a_later_cycle_brings_what_changed_and_explain_tells_where_it_came_from) {
    load();
    const std::string id = some_opportunity();
    org.admin("PATCH", "/sandbox/records/Opportunity/" + id,
              R"({"values":{"Amount":123456.5,"StageName":"Closed Won"}})");
    const json::value cycle = asked({"sync", "--once"});
    EXPECT_FALSE(cycle.at("first_load").as_bool());
    EXPECT_FALSE(cycle.at("failed").as_bool());
    EXPECT_EQ(cycle.at("updated").to_number<std::int64_t>(), 1);

    const json::value shown = asked({"opportunities", "--limit", "1"}).at("opportunities").at(0);
    EXPECT_EQ(text(shown.at("id")), id);
    EXPECT_EQ(shown.at("amount").to_number<double>(), 123456.5);
    EXPECT_EQ(text(shown.at("stage")), "Closed Won");
    EXPECT_TRUE(shown.at("won").as_bool());

    const json::value explanation = asked({"explain", "Opportunity", id});
    EXPECT_EQ(text(explanation.at("id")), id);
    bool told = false;
    for (const json::value& field : explanation.at("fields").as_array()) {
        if (text(field.at("field")) != "StageName") continue;
        told = true;
        EXPECT_EQ(text(field.at("theirs")), "Closed Won");
        EXPECT_EQ(text(field.at("base")), "Closed Won");
        EXPECT_EQ(field.at("cycle"), cycle.at("cycle"));
        EXPECT_EQ(text(field.at("kind")), "update");
        EXPECT_NE(text(field.at("call")), "null");
    }
    EXPECT_TRUE(told) << json::serialize(explanation);
}

TEST_F(CommandLine, a_person_is_found_by_address_by_salesforce_id_and_by_number) {
    load();
    const std::string created = org.admin(
        "POST", "/sandbox/records/Lead",
        R"({"values":{"LastName":"Ødegård","FirstName":"Nora","Company":"Nordlys AS","Email":"nora@nordlys.example"}})");
    const std::string id = text(parsed(created).at("id"));
    ASSERT_EQ(lockstep({"sync", "--once"}).exit_code, 0);

    const json::value people = asked({"person", "NORA@nordlys.example"}).at("people");
    ASSERT_EQ(people.as_array().size(), 1U);
    const json::value& person = people.at(0);
    EXPECT_EQ(text(person.at("fields").at("last_name")), "Ødegård");
    EXPECT_EQ(text(person.at("company").at("name")), "Nordlys AS");
    EXPECT_EQ(text(person.at("sfdc_type")), "Lead");
    EXPECT_EQ(text(person.at("identities").at(0).at("id")), id);
    EXPECT_TRUE(person.at("identities").at(0).at("live").as_bool());
    EXPECT_EQ(asked({"person", id}).at("people"), people);
    EXPECT_EQ(asked({"person", id.substr(0, 15)}).at("people"), people);
    EXPECT_EQ(asked({"person", text(person.at("id"))}).at("people"), people);
    EXPECT_THAT(lockstep({"person", id}).out, HasSubstr("Nora Ødegård"));
}

TEST_F(CommandLine, a_role_given_to_a_contact_shows_on_the_person_and_in_their_activities) {
    load();
    const std::string opportunity = some_opportunity();
    const json::value account =
        parsed(org.admin("POST", "/sandbox/records/Account", R"({"values":{"Name":"Fjord Ltd"}})"));
    const json::value contact =
        parsed(org.admin("POST", "/sandbox/records/Contact",
                         R"({"values":{"LastName":"Berg","Email":"berg@fjord.example","AccountId":")" +
                             text(account.at("id")) + R"("}})"));
    const json::value role = parsed(org.admin("POST", "/sandbox/records/OpportunityContactRole",
                                              R"({"values":{"OpportunityId":")" + opportunity + R"(","ContactId":")" +
                                                  text(contact.at("id")) + R"(","Role":"Decision Maker"}})"));
    ASSERT_EQ(lockstep({"sync", "--once"}).exit_code, 0);

    const json::value person = asked({"person", "berg@fjord.example"}).at("people").at(0);
    ASSERT_EQ(person.at("opportunities").as_array().size(), 1U) << json::serialize(person);
    const json::value& info = person.at("opportunities").at(0);
    EXPECT_EQ(text(info.at("id")), opportunity);
    EXPECT_EQ(text(info.at("role")), "Decision Maker");
    EXPECT_EQ(person.at("totals").at(0).at("amount"), info.at("amount"));
    EXPECT_EQ(text(person.at("company").at("name")), "Fjord Ltd");

    json::value activities = asked({"activities", "berg@fjord.example", "--type", "34"}).at("activities");
    ASSERT_EQ(activities.as_array().size(), 1U);
    EXPECT_EQ(text(activities.at(0).at("name")), "Add to Opportunity");
    EXPECT_EQ(text(activities.at(0).at("primary")), opportunity);
    EXPECT_EQ(text(activities.at(0).at("class")), "news");

    org.admin("DELETE", "/sandbox/records/OpportunityContactRole/" + text(role.at("id")));
    // Salesforce's log of deletions knows whole minutes only.
    org.admin("POST", "/sandbox/clock", R"({"seconds":60})");
    ASSERT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
    EXPECT_TRUE(asked({"person", "berg@fjord.example"}).at("people").at(0).at("opportunities").as_array().empty());
    activities = asked({"activities", "berg@fjord.example"}).at("activities");
    EXPECT_EQ(text(activities.at(0).at("name")), "Remove from Opportunity");
}

TEST_F(CommandLine, sums_by_account_and_stage_add_up_to_all_opportunities) {
    load();
    const json::value all = asked({"opportunities", "--limit", "100000"}).at("opportunities");
    double amount = 0;
    for (const json::value& opportunity : all.as_array()) {
        if (!opportunity.at("amount").is_null()) amount += opportunity.at("amount").to_number<double>();
    }
    std::int64_t count = 0;
    double sum = 0;
    const json::value groups = asked({"opportunities", "--by-account-stage"}).at("groups");
    for (const json::value& group : groups.as_array()) {
        count += group.at("count").to_number<std::int64_t>();
        sum += group.at("amount").to_number<double>();
    }
    EXPECT_EQ(count, std::ssize(all.as_array()));
    EXPECT_EQ(count, rows_of_org()["Opportunity"]);
    EXPECT_NEAR(sum, amount, 0.01);
    EXPECT_GT(sum, 0);
}

TEST_F(CommandLine, orphans_are_counted_by_reason_and_listed) {
    load();
    const json::value document = asked({"opportunities", "--orphans", "--limit", "100000"});
    std::int64_t counted = 0;
    for (const json::value& group : document.at("groups").as_array()) {
        EXPECT_NE(text(group.at("reason")), "");
        counted += group.at("count").to_number<std::int64_t>();
    }
    EXPECT_GT(counted, 0);
    EXPECT_EQ(counted, std::ssize(document.at("opportunities").as_array()));
}

TEST_F(CommandLine, history_tells_each_step_and_errors_are_none_after_a_good_cycle) {
    load();
    const json::value steps = asked({"history", "--cycles", "1"}).at("steps");
    bool loaded = false;
    for (const json::value& step : steps.as_array()) {
        EXPECT_EQ(text(step.at("status")), "succeeded") << json::serialize(step);
        if (text(step.at("object")) == "Lead" && text(step.at("operation")) == "first load") {
            loaded = true;
            EXPECT_GT(step.at("created").to_number<std::int64_t>(), 0);
        }
    }
    EXPECT_TRUE(loaded);
    EXPECT_TRUE(asked({"errors", "--all"}).at("errors").as_array().empty());
}

TEST_F(CommandLine, a_field_the_admin_adds_is_kept_without_a_word_of_configuration) {
    load();
    org.admin("POST", "/sandbox/objects/Opportunity/fields", R"({"name":"Region__c","type":"string","length":40})");
    const std::string id = some_opportunity();
    org.admin("PATCH", "/sandbox/records/Opportunity/" + id, R"({"values":{"Region__c":"North"}})");
    ASSERT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
    bool known = false;
    const json::value schema = asked({"schema", "opportunity"});
    for (const json::value& field : schema.at("fields").as_array()) {
        if (text(field.at("name")) == "Region__c") known = field.at("live").as_bool() && field.at("custom").as_bool();
    }
    EXPECT_TRUE(known);
    bool held = false;
    const json::value explanation = asked({"explain", "Opportunity", id});
    for (const json::value& field : explanation.at("fields").as_array()) {
        if (text(field.at("field")) == "Region__c") held = text(field.at("base")) == "North";
    }
    EXPECT_TRUE(held);
}

TEST_F(CommandLine, a_formula_has_a_label_that_tells_how_far_it_can_be_relied_on) {
    load();
    org.admin("POST", "/sandbox/objects/Opportunity/fields",
              R"j({"name":"Industry__c","type":"string","formula":"TEXT(Account.Industry)"})j");
    ASSERT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
    const std::string id = some_opportunity();
    const auto label_of = [](const json::value& told, const char* name, const char* field) {
        for (const json::value& one : told.at("fields").as_array()) {
            if (text(one.at(name)) != field) continue;
            return one.at("freshness").is_null() ? std::string() : text(one.at("freshness").at("label"));
        }
        return std::string("no such field");
    };
    const json::value schema = asked({"schema", "Opportunity"});
    EXPECT_EQ(label_of(schema, "name", "Industry__c"), "exact");
    EXPECT_EQ(label_of(schema, "name", "LastViewedDate"), "not trackable");
    EXPECT_EQ(label_of(schema, "name", "Amount"), "");
    const json::value explanation = asked({"explain", "Opportunity", id, "--all"});
    EXPECT_EQ(label_of(explanation, "field", "Industry__c"), "exact");
    EXPECT_EQ(label_of(explanation, "field", "Amount"), "");
    EXPECT_THAT(lockstep({"schema", "Opportunity"}).out, testing::HasSubstr("formula, exact"));
    EXPECT_THAT(lockstep({"explain", "Opportunity", id, "--all"}).out,
                testing::HasSubstr("not trackable: it is about what the sync user has viewed"));
}

TEST_F(CommandLine, a_login_by_key_works_like_one_by_secret) {
    const Ended ended =
        support::run(started({"connect", "--url", org.url(), "--client-id", org.client_id(), "--username",
                              org.username(), "--private-key-file", org.jwt_key_file(), "--json"}));
    ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err;
    EXPECT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
}

TEST_F(CommandLine, the_secret_is_read_from_a_file_or_standard_input) {
    const std::string file = (folder.path() / "secret.txt").string();
    std::ofstream(file) << org.client_secret() << "\n";
    EXPECT_EQ(lockstep({"connect", "--url", org.url(), "--client-id", org.client_id(), "--client-secret-file", file})
                  .exit_code,
              0);
    support::Start piped =
        started({"connect", "--url", org.url(), "--client-id", org.client_id(), "--client-secret-file", "-"});
    piped.input = org.client_secret() + "\n";
    EXPECT_EQ(support::run(piped).exit_code, 0);
}

TEST_F(CommandLine, a_healthy_installation_gets_a_clean_bill) {
    load();
    const json::value document = asked({"doctor"});
    EXPECT_NE(text(document.at("worst")), "problem");
    std::vector<std::string> areas;
    for (const json::value& finding : document.at("findings").as_array()) {
        if (text(finding.at("level")) == "ok") areas.push_back(text(finding.at("area")));
    }
    for (const char* const area : {"rules", "database", "durability", "master key", "credentials", "API version",
                                   "organization", "rights", "clock", "API calls", "sync"}) {
        EXPECT_THAT(areas, testing::Contains(area)) << json::serialize(document);
    }
}

TEST_F(CommandLine, an_org_that_does_not_tell_its_currency_is_connected_and_the_doctor_says_what_is_missing) {
    const auto currency_told = [&] {
        return text(parsed(connect_to(org, {"--json"}).out).at("organization").at("currency"));
    };
    EXPECT_EQ(currency_told(), "USD");
    org.admin("POST", "/sandbox/faults", R"({"kind":"answer","path":"/services/Soap","status":403})");
    EXPECT_EQ(currency_told(), "");
    const json::value document = asked({"doctor"});
    const auto& findings = document.at("findings").as_array();
    const auto* found = std::ranges::find_if(
        findings, [](const json::value& finding) { return text(finding.at("area")) == "currency"; });
    ASSERT_NE(found, findings.end()) << json::serialize(document);
    EXPECT_EQ(text(found->at("level")), "warning");
    EXPECT_THAT(text(found->at("what")), testing::StartsWith("unknown; amounts are shown without a code"));
}

TEST_F(CommandLine, a_hidden_field_the_sync_needs_is_found_by_connect_doctor_and_rules) {
    org.admin("PATCH", "/sandbox/objects/Opportunity/fields/StageName", R"({"visible":false})");
    const Ended connected = connect_to(org, {"--json"});
    EXPECT_EQ(connected.exit_code, 1) << connected.out << connected.err;
    EXPECT_THAT(connected.out, HasSubstr("StageName"));
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"doctor"}, {"rules", "--check"}}) {
        const Ended ended = lockstep(command);
        EXPECT_EQ(ended.exit_code, 1) << ended.out;
        EXPECT_THAT(ended.out, HasSubstr("StageName"));
    }
    org.admin("PATCH", "/sandbox/objects/Opportunity/fields/StageName", R"({"visible":true})");
    EXPECT_EQ(lockstep({"rules", "--check"}).exit_code, 0);
}

TEST_F(CommandLine, a_wrong_secret_is_refused_and_nothing_is_stored) {
    support::Start start = started({"connect", "--url", org.url(), "--client-id", org.client_id(), "--json"});
    start.environment["LOCKSTEP_CLIENT_SECRET"] = "wrong-secret-of-the-test";
    const Ended ended = support::run(start);
    EXPECT_EQ(ended.exit_code, 3) << ended.out;
    EXPECT_EQ(text(parsed(ended.out).at("error").at("kind")), "denied");
    EXPECT_THAT(ended.out + ended.err, Not(HasSubstr("wrong-secret-of-the-test")));
    refused({"sync", "--once"}, 3);
}

TEST_F(CommandLine, an_org_that_can_not_be_reached_is_told_apart_from_one_that_refuses) {
    connect();
    org.stop();
    const json::value error = refused({"sync", "--once"}, 4);
    EXPECT_EQ(text(error.at("kind")), "unavailable");
    EXPECT_NE(text(error.at("hint")), "");
    EXPECT_EQ(connect_to(org).exit_code, 4);
}

TEST_F(CommandLine, a_spent_quota_ends_a_sync_with_the_number_for_later) {
    connect();
    org.admin("POST", "/sandbox/quota", R"({"used":99990})");
    EXPECT_EQ(text(refused({"sync", "--once"}, 4).at("kind")), "throttled");
}

TEST_F(CommandLine, looking_is_possible_while_the_org_is_away) {
    load();
    org.stop();
    EXPECT_FALSE(asked({"opportunities"}).at("opportunities").as_array().empty());
    EXPECT_GT(asked({"status"}).at("people").to_number<std::int64_t>(), 0);
}

TEST_F(CommandLine, a_second_process_is_told_who_is_at_work) {
    connect();
    support::Process serving(started({"serve", "--interval", "60", "--json"}));
    serving.read_line();  // the first cycle is done, and the lease held
    const json::value error = refused({"sync", "--once"}, 5);
    EXPECT_EQ(text(error.at("kind")), "conflict");
    EXPECT_THAT(text(error.at("what")), HasSubstr("process " + std::to_string(serving.id())));
    refused({"serve"}, 5);
    EXPECT_EQ(lockstep({"status"}).exit_code, 0);
    serving.send_signal(SIGTERM);
    EXPECT_EQ(serving.wait().exit_code, 0);
    EXPECT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
}

TEST_F(CommandLine, a_follower_tells_each_cycle_in_a_line_and_stops_when_asked) {
    load();
    support::Process serving(started({"serve", "--interval", "1"}));
    EXPECT_THAT(serving.read_line_with("cycle"), HasSubstr("nothing new"));
    const std::string id = some_opportunity();
    org.admin("PATCH", "/sandbox/records/Opportunity/" + id, R"({"values":{"Amount":77}})");
    const std::string line = serving.read_line_with("changed");
    EXPECT_THAT(line, HasSubstr("1 opportunity changed"));
    EXPECT_THAT(line, HasSubstr("calls)"));
    serving.send_signal(SIGINT);
    const Ended ended = serving.wait();
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    EXPECT_THAT(ended.out, HasSubstr("stopped"));
}

TEST_F(CommandLine, a_follower_names_a_command_that_shows_what_came_and_it_works) {
    load();
    org.admin("POST", "/sandbox/alive", R"({"changes":40})");
    const Ended served = lockstep({"serve", "--cycles", "1", "--suggest"});
    ASSERT_EQ(served.exit_code, 0) << served.err;
    const std::size_t at = served.out.find("try: ");
    ASSERT_NE(at, std::string::npos) << served.out;
    const std::string command = served.out.substr(at + 5, served.out.find('\n', at) - at - 5);
    const Ended tried = support::run({.program = "sh", .arguments = {"-c", command}});
    EXPECT_EQ(tried.exit_code, 0) << command << "\n" << tried.err;
    EXPECT_NE(tried.out, "");
}

TEST_F(CommandLine, a_follower_waits_for_an_org_that_went_away_and_stops_at_once) {
    load();
    org.stop();
    support::Process serving(started({"serve", "--interval", "1"}));
    serving.read_line_with("following");
    serving.send_signal(SIGTERM);
    EXPECT_EQ(serving.wait(10).exit_code, 0);
}

TEST_F(CommandLine, what_does_not_exist_is_not_found) {
    load();
    EXPECT_EQ(text(refused({"person", "nobody@nowhere.example"}, 6).at("kind")), "not_found");
    refused({"activities", "nobody@nowhere.example"}, 6);
    refused({"explain", "Lead", "00Q000000000001AAA"}, 6);
    refused({"explain", "Nothing", "00Q000000000001AAA"}, 6);
    refused({"schema", "Nothing"}, 6);
    refused({"rules", "Nothing"}, 6);
}

TEST_F(CommandLine, a_database_takes_no_second_organization) {
    load();
    const Sandbox other({"--people", "50", "--seed", "2"});
    const Ended ended = connect_to(other, {"--json"});
    EXPECT_EQ(ended.exit_code, 5) << ended.out;
    const json::value error = parsed(ended.out).at("error");
    EXPECT_EQ(text(error.at("kind")), "conflict");
    EXPECT_THAT(text(error.at("hint")), HasSubstr("--data"));
    EXPECT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
}

TEST_F(CommandLine, a_key_that_others_may_read_is_refused) {
    connect();
    std::filesystem::permissions(folder.path() / "data" / "master.key", std::filesystem::perms(0644));
    EXPECT_EQ(text(refused({"sync", "--once"}, 3).at("kind")), "denied");
    EXPECT_EQ(connect_to(org).exit_code, 3);
    EXPECT_EQ(lockstep({"doctor"}).exit_code, 1);
}

TEST_F(CommandLine, a_lost_key_is_told_as_such_and_connecting_again_helps) {
    connect();
    std::filesystem::remove(folder.path() / "data" / "master.key");
    EXPECT_THAT(text(refused({"sync", "--once"}, 3).at("what")), HasSubstr("master.key"));
    connect();
    EXPECT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
}

TEST_F(CommandLine, after_a_disconnect_nothing_reaches_the_org_and_all_that_was_read_stays) {
    load();
    EXPECT_FALSE(asked({"disconnect"}).at("connected").as_bool());
    refused({"sync", "--once"}, 3);
    EXPECT_GT(asked({"status"}).at("people").to_number<std::int64_t>(), 0);
    connect();
    EXPECT_EQ(lockstep({"sync", "--once"}).exit_code, 0);
}

TEST_F(CommandLine, neither_secret_nor_token_stands_in_any_file_or_output) {
    const Ended connected = connect_to(org, {"--verbose"});
    ASSERT_EQ(connected.exit_code, 0);
    const std::string organization = text(parsed(org.admin("GET", "/sandbox/state")).at("organization_id"));
    const std::string token_start = organization.substr(0, 15) + "!";  // how every token of this org begins
    std::string written = connected.out + connected.err;
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"sync", "--once", "--verbose"},
                                               {"sync", "--once", "--json"},
                                               {"doctor", "--verbose"},
                                               {"status"},
                                               {"status", "--json"},
                                               {"history"},
                                               {"errors", "--all"}}) {
        const Ended ended = lockstep(command);
        EXPECT_EQ(ended.exit_code, 0) << ended.err;
        written += ended.out + ended.err;
    }
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data())) {
        if (!entry.is_regular_file()) continue;
        std::stringstream bytes;
        bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
        written += bytes.str();
        ++files;
    }
    EXPECT_GE(files, 2);
    EXPECT_EQ(written.find(org.client_secret()), std::string::npos);
    EXPECT_EQ(written.find(token_start), std::string::npos);
    EXPECT_NE(written.find(organization), std::string::npos);  // the search would have found it
    const auto mode = std::filesystem::status(folder.path() / "data" / "master.key").permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_read);
}

TEST_F(CommandLine, a_postgresql_database_gives_the_same_answers) {
    load();
    const std::string id = some_opportunity();
    const json::value opportunities = asked({"opportunities"});
    const json::value groups = asked({"opportunities", "--by-account-stage"});
    const json::value orphans = asked({"opportunities", "--orphans"});
    const json::value people = asked({"person", "7"});
    const json::value schema = asked({"schema", "Opportunity"}).at("fields").at(0).at("column");

    tests::PostgresServer& server = tests::PostgresServer::instance();
    database = server.url(server.fresh_schema());
    load();
    EXPECT_THAT(text(asked({"status"}).at("database")), HasSubstr("postgres"));
    EXPECT_EQ(asked({"opportunities"}), opportunities);
    EXPECT_EQ(asked({"opportunities", "--by-account-stage"}), groups);
    EXPECT_EQ(asked({"opportunities", "--orphans"}), orphans);
    EXPECT_EQ(asked({"person", "7"}), people);
    EXPECT_EQ(asked({"schema", "Opportunity"}).at("fields").at(0).at("column"), schema);
    org.admin("PATCH", "/sandbox/records/Opportunity/" + id, R"({"values":{"Amount":77}})");
    EXPECT_EQ(asked({"sync", "--once"}).at("updated").to_number<std::int64_t>(), 1);
    EXPECT_EQ(asked({"opportunities", "--limit", "1"}).at("opportunities").at(0).at("amount").to_number<double>(), 77);
    support::Process serving(started({"serve", "--interval", "60", "--json"}));
    serving.read_line();
    refused({"sync", "--once"}, 5);
}

TEST_F(CommandLine, text_for_people_names_the_org_and_shows_tables) {
    load();
    const Ended status = lockstep({"status"});
    EXPECT_EQ(status.exit_code, 0);
    EXPECT_THAT(status.out, HasSubstr("Opportunity"));
    EXPECT_THAT(status.out, HasSubstr("following"));
    EXPECT_THAT(status.out, Not(HasSubstr("\033[")));  // no terminal, no colours
    const Ended missing = lockstep({"person", "nobody@nowhere.example"});
    EXPECT_EQ(missing.exit_code, 6);
    EXPECT_EQ(missing.out, "");
    EXPECT_TRUE(missing.err.starts_with("lockstep: ")) << missing.err;
    EXPECT_THAT(missing.err, HasSubstr("\nhint: "));
}

}  // namespace
}  // namespace lockstep

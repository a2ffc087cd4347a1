// What a cycle costs when nothing happens, and that asking about everything at once loses nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "store/journal.h"
#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

using testing::HasSubstr;

/// Calls of the data API by what they ask, of one cycle.
struct Seen {
    int composite = 0, describe = 0, other = 0;
    std::string bodies;
};

Seen calls_of_a_cycle(House& house) {
    Seen seen;
    house.wire = [&](const http::Request& request) -> std::optional<Error> {
        if (request.target.ends_with("/composite")) {
            ++seen.composite;
            seen.bodies += request.body;
        } else if (request.target.ends_with("/describe")) {
            ++seen.describe;
        } else {
            ++seen.other;
        }
        return std::nullopt;
    };
    house.cycle();
    house.wire = nullptr;
    return seen;
}

TEST(IdleCycle, costs_two_calls_for_all_objects_and_each_has_its_steps) {
    House house({.people = 100});
    house.cycle();
    house.cycle();
    const auto before = house.session().calls_made();
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(house.session().calls_made() - before, 2);
    EXPECT_EQ(report.calls, 2);
    EXPECT_EQ(report.steps.front().calls, 2);  // the schema step asks for all
    int updates = 0, deletes = 0;
    for (const store::Step& step : report.steps) {
        EXPECT_EQ(step.status, store::StepStatus::Succeeded);
        updates += step.operation == "pull updates" ? 1 : 0;
        deletes += step.operation == "pull deletes" ? 1 : 0;
    }
    EXPECT_EQ(updates, std::ssize(house.rules().objects()));
    EXPECT_EQ(deletes, 5);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(IdleCycle, that_asks_one_by_one_costs_a_call_for_each_question) {
    House house({.people = 100, .composite = false});
    house.cycle();
    const Seen seen = calls_of_a_cycle(house);
    EXPECT_EQ(seen.composite, 0);
    EXPECT_EQ(seen.describe, std::ssize(house.rules().objects()));
    EXPECT_EQ(seen.other, std::ssize(house.rules().objects()) + 5);
}

TEST(IdleCycle, asks_for_descriptions_only_if_they_changed_and_whole_once_an_hour) {
    House house({.people = 30});
    house.cycle();
    EXPECT_THAT(calls_of_a_cycle(house).bodies, testing::Not(HasSubstr("If-Modified-Since")));
    const std::string bodies = calls_of_a_cycle(house).bodies;
    std::ptrdiff_t conditions = 0;
    for (std::size_t at = bodies.find("If-Modified-Since"); at != std::string::npos;
         at = bodies.find("If-Modified-Since", at + 1)) {
        ++conditions;
    }
    EXPECT_EQ(conditions, std::ssize(house.rules().objects()));
    house.pass(3600);
    EXPECT_THAT(calls_of_a_cycle(house).bodies, testing::Not(HasSubstr("If-Modified-Since")));
    house.restart();
    EXPECT_THAT(calls_of_a_cycle(house).bodies, testing::Not(HasSubstr("If-Modified-Since")));
}

TEST(Survey, brings_what_changed_without_a_further_call) {
    House house({.people = 60});
    house.cycle();
    const std::string account = house.create("Account", {{"Name", std::string("Fjord")}});
    const std::string contact = house.create("Contact", {{"LastName", std::string("Berg")}, {"AccountId", account}});
    const auto role = house.reader().text("SELECT id FROM crm_opportunitycontactrole WHERE NOT isdeleted ORDER BY id");
    house.remove("OpportunityContactRole", *role);
    house.pass(60);
    const Seen seen = calls_of_a_cycle(house);
    EXPECT_EQ(seen.composite, 2);
    EXPECT_EQ(seen.describe + seen.other, 0);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
    EXPECT_TRUE(house.person_id(contact));
    const auto explained = api::explain(house.reader(), house.rules(), "Account", account);
    ASSERT_TRUE(explained.ok());
    EXPECT_EQ(explained->fields.front().call, "composite query");
}

TEST(Survey, leaves_what_is_too_much_to_pages_of_its_own) {
    House house;
    house.cycle();
    for (int i = 0; i < 700; ++i) house.create("Account", {{"Name", "Account " + std::to_string(i)}});
    const Seen seen = calls_of_a_cycle(house);
    EXPECT_EQ(seen.describe, 0);
    EXPECT_EQ(seen.other, 1);
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account"), 700);
}

TEST(Survey, serves_a_new_field_in_the_same_cycle) {
    House house({.people = 40});
    house.cycle();
    house.cycle();
    house.add_field("Account", {.name = "Region__c", .type = sandbox::Type::String, .length = 20});
    const std::string account = house.create("Account", {{"Name", std::string("A")}, {"Region__c", std::string("N")}});
    const sync::CycleReport report = house.cycle();
    EXPECT_THAT(report.steps.front().detail, HasSubstr("Region__c"));
    EXPECT_EQ(house.reader().text("SELECT region__c FROM crm_account WHERE id = '" + account + "'"), "N");
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(Survey, that_meets_a_hidden_field_fails_for_that_object_only_and_it_is_described_anew) {
    House house({.people = 40});
    house.cycle();
    house.cycle();
    house.hide("Contact", "Department");
    const std::string account = house.create("Account", {{"Name", std::string("Fjord")}});
    const std::string contact = house.create("Contact", {{"LastName", std::string("Berg")}, {"AccountId", account}});
    // As where a description does not count a right among its changes: it claims to be the same.
    house.spoil = [](const http::Request& request, http::Response& response) {
        if (!request.target.ends_with("/composite")) return;
        const std::string described = R"({"body":{"actionOverrides")";
        for (std::size_t at = response.body.find(described); at != std::string::npos;
             at = response.body.find(described, at + 1)) {
            const std::size_t end = response.body.find(R"(,"httpHeaders")", at);
            response.body.replace(at, end - at, R"({"body":null)");
            const std::size_t status = response.body.find(R"("httpStatusCode":200)", at);
            response.body.replace(status, 20, R"("httpStatusCode":304)");
        }
    };
    const Seen seen = calls_of_a_cycle(house);
    EXPECT_EQ(seen.describe, 1);
    EXPECT_EQ(seen.other, 1);
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account WHERE name = 'Fjord'"), 1);
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_contact WHERE id = '" + contact + "'"), 1);
    EXPECT_EQ(house.open_errors().size(), 0U);
}

TEST(Survey, tells_that_an_object_is_hidden_in_every_cycle_and_goes_on_when_it_is_back) {
    House house({.people = 40});
    house.cycle();
    house.hide("Opportunity", "StageName");
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(house.try_cycle());
        const auto errors = house.open_errors();
        const bool told = std::ranges::any_of(errors, [](const store::SyncError& error) {
            return error.code == "REQUIRED_FIELD_HIDDEN" &&
                   error.message.find("Opportunity.StageName") != std::string::npos;
        });
        EXPECT_TRUE(told) << "cycle " << i;
    }
    house.hide("Opportunity", "StageName", false);
    house.cycle();
    EXPECT_EQ(house.open_errors().size(), 0U);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(Survey, is_given_up_for_a_while_where_the_org_does_not_answer_it) {
    House house({.people = 40});
    house.cycle();
    house.admin("POST", "/sandbox/faults",
                R"({"kind":"answer","path":"/composite","status":404,"headers":{"Content-Type":"application/json"},)"
                R"("body":"[{\"errorCode\":\"NOT_FOUND\",\"message\":\"The requested resource does not exist\"}]"})");
    EXPECT_EQ(calls_of_a_cycle(house).composite, 1);
    EXPECT_THAT(house.notes(), testing::Contains(HasSubstr("one by one")));
    house.create("Account", {{"Name", std::string("Fjord")}});
    EXPECT_EQ(calls_of_a_cycle(house).composite, 0);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
    house.admin("DELETE", "/sandbox/faults");
    house.pass(3600);
    EXPECT_EQ(calls_of_a_cycle(house).composite, 2);
}

TEST(Survey, after_a_long_absence_leaves_the_changes_to_readings_of_their_own) {
    House house({.people = 60});
    house.cycle();
    house.create("Account", {{"Name", std::string("Fjord")}});
    house.pass(2 * 86'400);
    const Seen seen = calls_of_a_cycle(house);
    EXPECT_GT(seen.other, 10);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
    EXPECT_EQ(calls_of_a_cycle(house).other, 0);
}

}  // namespace
}  // namespace lockstep::tests

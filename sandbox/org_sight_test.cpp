#include <gtest/gtest.h>

#include <filesystem>

#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

/// An org whose salesperson Nina and connected user each have records.
struct Office : Box {
    explicit Office(ServiceOptions options = Box::empty()) : Box(std::move(options)) {}

    std::string nina() {
        const auto users = Box::object(get("/sandbox/users")).at("users").as_array();
        return std::string(users.at(kFirst).at("id").as_string());
    }
    std::string make(const std::string& object, const std::string& values) {
        const auto answer =
            send("POST", "/sandbox/records/" + object, R"({"as":")" + nina() + R"(","values":)" + values + "}");
        EXPECT_EQ(answer.status, 201) << answer.body;
        return std::string(Box::object(answer).at("id").as_string());
    }
    void set(const std::string& object, const std::string& body) {
        const auto answer = send("PATCH", "/sandbox/objects/" + object, body);
        ASSERT_EQ(answer.status, 204) << answer.body;
    }
    std::int64_t count(const std::string& from) {
        const auto answer = get("~/queryAll?q=" + encoded("SELECT COUNT() FROM " + from));
        EXPECT_EQ(answer.status, 200) << answer.body;
        return Box::object(answer).at("totalSize").as_int64();
    }
    static constexpr std::size_t kFirst = 3;
};

constexpr const char* kDeal = R"({"Name":"Deal","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":5})";

TEST(Sight, of_a_private_object_ends_at_what_one_owns_and_what_is_shared) {
    Office office;
    const std::string lead = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    const auto own = office.send("POST", "~/sobjects/Lead", R"({"LastName":"Own","Company":"Acme"})");
    EXPECT_EQ(office.count("Lead"), 2);
    office.set("Lead", R"({"sharing":"private"})");
    EXPECT_EQ(office.count("Lead"), 1);
    EXPECT_EQ(office.get("~/sobjects/Lead/" + lead).status, 404);
    EXPECT_EQ(office.get("~/sobjects/Lead/" + std::string(Box::object(own).at("id").as_string())).status, 200);
    EXPECT_NE(office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"1"})").status, 204);
    EXPECT_EQ(office.send("GET", "~/composite/sobjects/Lead?ids=" + lead + "&fields=Id").body, "[null]");
    const std::string record = "/sandbox/records/Lead/" + lead;
    ASSERT_EQ(office.send("POST", record + "/share").status, 204);
    EXPECT_EQ(office.count("Lead"), 2);
    EXPECT_EQ(office.get("~/sobjects/Lead/" + lead).status, 200);
    const auto refused = office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"1"})");
    EXPECT_NE(refused.body.find("INSUFFICIENT_ACCESS_OR_READONLY"), std::string::npos) << refused.body;
    ASSERT_EQ(office.send("POST", record + "/share", R"({"edit":true})").status, 204);
    EXPECT_EQ(office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"1"})").status, 204);
    ASSERT_EQ(office.send("POST", record + "/unshare").status, 204);
    EXPECT_EQ(office.count("Lead"), 1);
    office.set("Lead", R"({"sharing":"read"})");
    EXPECT_EQ(office.get("~/sobjects/Lead/" + lead).status, 200);
    EXPECT_NE(office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"2"})").status, 204);
    office.set("Lead", R"({"sharing":"private","view_all":true})");
    EXPECT_EQ(office.count("Lead"), 2);
    EXPECT_NE(office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"2"})").status, 204);
    office.set("Lead", R"({"modify_all":true})");
    EXPECT_EQ(office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"2"})").status, 204);
}

TEST(Sight, of_updated_deleted_and_bulk_is_the_same_as_of_queries) {
    Office office;
    const std::string lead = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    const std::string gone = office.make("Lead", R"({"LastName":"Gone","Company":"Acme"})");
    office.clock.advance_s(300);
    ASSERT_EQ(office.send("DELETE", "/sandbox/records/Lead/" + gone).status, 200);
    office.clock.advance_s(300);
    const auto window = [&](const char* what) {
        return office
            .get(std::string("~/sobjects/Lead/") + what + "?start=2026-11-23T23:00:00Z&end=2026-11-24T00:09:00Z")
            .body;
    };
    EXPECT_NE(window("updated").find(lead), std::string::npos);
    EXPECT_NE(window("deleted").find(gone), std::string::npos);
    office.set("Lead", R"({"sharing":"private"})");
    EXPECT_EQ(window("updated").find(lead), std::string::npos);
    EXPECT_EQ(window("deleted").find(gone), std::string::npos);
    const auto job =
        Box::object(office.send("POST", "~/jobs/query", R"({"operation":"query","query":"SELECT Id FROM Lead"})"));
    office.service.step();
    auto result = office.get("~/jobs/query/" + std::string(job.at("id").as_string()) + "/results");
    EXPECT_EQ(Box::text(result).find(lead), std::string::npos);
}

TEST(Sight, follows_the_role_hierarchy) {
    Office office;
    office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    office.set("Lead", R"({"sharing":"private"})");
    EXPECT_EQ(office.count("Lead"), 0);
    const auto roles =
        Box::object(office.get("~/query?q=" + Box::encoded("SELECT Id FROM UserRole WHERE Name = 'CEO'")));
    const std::string top(roles.at("records").at(0).at("Id").as_string());
    const std::string us = office.service.org().integration_user_id();
    ASSERT_EQ(
        office.send("PATCH", "/sandbox/records/User/" + us, R"({"values":{"UserRoleId":")" + top + R"("}})").status,
        200);
    EXPECT_EQ(office.count("Lead"), 1) << "the CEO sees what salespeople own";
}

TEST(Sight, of_a_private_opportunity_is_its_owner_s_with_all_that_hangs_on_it) {
    Office office;
    const std::string account = office.make("Account", R"({"Name":"Acme"})");
    const std::string contact = office.make("Contact", R"({"LastName":"Bell","AccountId":")" + account + R"("})");
    const std::string deal = office.make("Opportunity", kDeal);
    office.make("OpportunityContactRole", R"({"OpportunityId":")" + deal + R"(","ContactId":")" + contact + R"("})");
    EXPECT_EQ(office.count("Opportunity"), 1);
    ASSERT_EQ(office
                  .send("PATCH", "/sandbox/records/Opportunity/" + deal,
                        R"({"as":")" + office.nina() + R"(","values":{"IsPrivate":true}})")
                  .status,
              200);
    for (const char* object : {"Opportunity", "OpportunityContactRole", "OpportunityHistory"}) {
        EXPECT_EQ(office.count(object), 0) << object;
    }
    EXPECT_EQ(office.count("Contact"), 1);
}

TEST(Sight, of_contacts_and_activities_follows_what_they_belong_to) {
    Office office;
    const std::string account = office.make("Account", R"({"Name":"Acme"})");
    office.make("Contact", R"({"LastName":"Bell","AccountId":")" + account + R"("})");
    office.make("Task", R"({"Subject":"Call","WhatId":")" + account + R"(","OwnerId":")" + office.nina() + R"("})");
    office.set("Contact", R"({"sharing":"parent"})");
    EXPECT_EQ(office.count("Contact"), 1);
    EXPECT_EQ(office.count("Task"), 1);
    office.set("Account", R"({"sharing":"private"})");
    EXPECT_EQ(office.count("Contact"), 0);
    EXPECT_EQ(office.count("Task"), 0);
    const auto parent = Box::object(office.get("~/query?q=" + Box::encoded("SELECT COUNT() FROM Account")));
    EXPECT_EQ(parent.at("totalSize"), json::value(0));
    ASSERT_EQ(office.send("POST", "/sandbox/records/Account/" + account + "/share").status, 204);
    EXPECT_EQ(office.count("Contact"), 1);
    EXPECT_EQ(office.count("Task"), 1);
}

TEST(Sight, hides_the_fields_of_a_parent_one_may_not_see_but_not_its_id) {
    Office office;
    const std::string account = office.make("Account", R"({"Name":"Acme"})");
    office.make("Contact", R"({"LastName":"Bell","AccountId":")" + account + R"("})");
    office.set("Account", R"({"sharing":"private"})");
    const auto rows =
        Box::object(office.get("~/query?q=" + Box::encoded("SELECT AccountId, Account.Name FROM Contact")));
    const auto& record = rows.at("records").at(0).as_object();
    EXPECT_EQ(record.at("AccountId"), json::value(account));
    EXPECT_EQ(record.at("Account"), nullptr);
}

TEST(Sight, of_rights_keeps_the_connected_user_from_creating_editing_and_deleting) {
    Office office;
    const std::string lead = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    office.set("Lead", R"({"create":false,"edit":false,"delete":false})");
    for (const auto& answer : {office.send("POST", "~/sobjects/Lead", R"({"LastName":"X","Company":"Y"})"),
                               office.send("PATCH", "~/sobjects/Lead/" + lead, R"({"Phone":"1"})"),
                               office.send("DELETE", "~/sobjects/Lead/" + lead)}) {
        EXPECT_NE(answer.body.find("INSUFFICIENT_ACCESS_OR_READONLY"), std::string::npos) << answer.body;
    }
    EXPECT_EQ(office.send("PATCH", "/sandbox/records/Lead/" + lead, R"({"values":{"Phone":"1"}})").status, 200)
        << "the org's own people may";
    EXPECT_EQ(office.send("PATCH", "/sandbox/objects/Lead", R"({"sharing":"nobody"})").status, 400);
    EXPECT_EQ(office.send("PATCH", "/sandbox/objects/Lead").status, 400);
}

TEST(Sight, keeps_the_connected_user_from_naming_what_it_does_not_see) {
    Office office;
    const std::string account = office.make("Account", R"({"Name":"Acme"})");
    office.set("Account", R"({"sharing":"private"})");
    const auto refused =
        office.send("POST", "~/sobjects/Contact", R"({"LastName":"Bell","AccountId":")" + account + R"("})");
    EXPECT_NE(refused.body.find("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"), std::string::npos) << refused.body;
    ASSERT_EQ(office.send("POST", "/sandbox/records/Account/" + account + "/share").status, 204);
    EXPECT_EQ(
        office.send("POST", "~/sobjects/Contact", R"({"LastName":"Bell","AccountId":")" + account + R"("})").status,
        201);
}

TEST(Sight, of_merge_conversion_and_undelete_asks_for_the_rights_that_they_need) {
    Office office;
    const std::string winner = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    const std::string loser = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    const std::string gone = office.make("Lead", R"({"LastName":"Gone","Company":"Acme"})");
    const std::string account = office.make("Account", R"({"Name":"Acme"})");
    ASSERT_EQ(office.send("DELETE", "/sandbox/records/Lead/" + gone).status, 200);
    Org& org = office.service.org();
    const std::string us = org.integration_user_id();
    const auto lock = org.write_lock();
    const int leads = org.schema().find("Lead");
    const int accounts = org.schema().find("Account");
    const auto code = [](const std::vector<WriteError>& errors) { return errors.empty() ? "" : errors.at(0).code; };
    org.set_rights(leads, {.remove = false});
    EXPECT_EQ(code(org.merge(leads, winner, {loser}, {}, us).errors), "INSUFFICIENT_ACCESS_OR_READONLY");
    EXPECT_EQ(code(org.undelete(leads, gone, us).errors), "INSUFFICIENT_ACCESS_OR_READONLY");
    org.set_rights(leads, {.edit = false});
    EXPECT_EQ(code(org.convert_lead(winner, {}, us).errors), "INSUFFICIENT_ACCESS_OR_READONLY");
    org.set_rights(leads, {});
    org.set_sharing(accounts, Org::Sharing::Read);
    EXPECT_EQ(code(org.convert_lead(winner, {.account_id = account}, us).errors), "INSUFFICIENT_ACCESS_OR_READONLY");
    org.set_sharing(accounts, Org::Sharing::Private);
    EXPECT_EQ(code(org.convert_lead(winner, {.account_id = account}, us).errors),
              "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY");
    org.set_sharing(accounts, Org::Sharing::ReadWrite);
    EXPECT_EQ(code(org.merge(leads, winner, {loser}, {}, us).errors), "");
    EXPECT_EQ(code(org.undelete(leads, gone, us).errors), "");
    EXPECT_EQ(code(org.convert_lead(winner, {.account_id = account}, us).errors), "");
}

TEST(Sight, survives_a_restart) {
    const auto file = std::filesystem::temp_directory_path() / ("sight_" + std::to_string(getpid()) + ".state");
    std::filesystem::remove(file);
    ServiceOptions options = Box::empty();
    options.org.state_file = file.string();
    {
        Office office(options);
        const std::string lead = office.make("Lead", R"({"LastName":"Bell","Company":"Acme"})");
        office.make("Lead", R"({"LastName":"Cole","Company":"Acme"})");
        office.set("Lead", R"({"sharing":"private","create":false})");
        ASSERT_EQ(office.send("POST", "/sandbox/records/Lead/" + lead + "/share").status, 204);
    }
    {
        Office office(options);
        EXPECT_EQ(office.count("Lead"), 1);
        EXPECT_NE(office.send("POST", "~/sobjects/Lead", R"({"LastName":"X","Company":"Y"})").status, 201);
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace lockstep::sandbox

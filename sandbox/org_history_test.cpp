#include <gtest/gtest.h>

#include <filesystem>

#include "base/text.h"
#include "sandbox/org.h"
#include "sandbox/service_testing.h"
#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

constexpr const char* kDeal =
    R"({"Name":"Deal","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":1000,"Probability":10})";

void edit(Box& box, const std::string& object, const std::string& id, const std::string& body) {
    box.clock.advance_s(60);
    const auto answer = box.send("PATCH", "~/sobjects/" + object + "/" + id, body);
    EXPECT_EQ(answer.status, 204) << answer.body;
}
/// The rows of a query as CSV without quotes; lines end in "\n".
std::string rows(Box& box, const std::string& soql) {
    const auto lock = box.service.org().read_lock();
    const auto query = Query::prepare(soql, box.service.org(), {.all_rows = true});
    if (!query.ok()) return query.error().what;
    std::string out;
    const auto found = run_query(*query, box.service.org());
    found->append_csv_rows(box.service.org(), 0, found->records(), out);
    std::erase(out, '"');
    return out;
}
void track(Box& box, const std::string& object, const std::string& field) {
    const auto answer = box.send("PATCH", "/sandbox/objects/" + object + "/fields/" + field, R"({"tracked":true})");
    ASSERT_EQ(answer.status, 204) << answer.body;
}

TEST(History, of_an_opportunity_gets_a_row_for_each_new_state_and_none_for_other_edits) {
    Box box(Box::empty());
    const std::string deal = box.create("Opportunity", kDeal);
    edit(box, "Opportunity", deal, R"({"NextStep":"Call"})");
    edit(box, "Opportunity", deal, R"({"StageName":"Closed Won"})");
    edit(box, "Opportunity", deal, R"({"Amount":2500,"CloseDate":"2027-01-15"})");
    edit(box, "Opportunity", deal, R"({"Amount":2500})");
    EXPECT_EQ(rows(box,
                   "SELECT StageName, Amount, CloseDate, Probability, ForecastCategory, ExpectedRevenue, PrevAmount, "
                   "PrevCloseDate, CreatedDate FROM OpportunityHistory WHERE OpportunityId = '" +
                       deal + "' ORDER BY CreatedDate"),
              "Prospecting,1000.0,2026-12-31,10.0,Pipeline,100.0,,,2026-11-24T00:00:00.000Z\n"
              "Closed Won,1000.0,2026-12-31,100.0,Closed,1000.0,,,2026-11-24T00:02:00.000Z\n"
              "Closed Won,2500.0,2027-01-15,100.0,Closed,2500.0,1000.0,2026-12-31,2026-11-24T00:03:00.000Z\n");
    const std::string last = trim(rows(box, "SELECT Id FROM OpportunityHistory WHERE PrevAmount = 1000")).data();
    EXPECT_EQ(last.substr(0, 3), "008");
    EXPECT_EQ(rows(box, "SELECT LastAmountChangedHistoryId, LastCloseDateChangedHistoryId FROM Opportunity"),
              last.substr(0, 18) + "," + last.substr(0, 18) + "\n");
    EXPECT_EQ(rows(box, "SELECT (SELECT StageName FROM OpportunityHistories) FROM Opportunity").find("No such"),
              std::string::npos);
}

TEST(History, tells_of_tracked_fields_only_and_of_a_lookup_by_name_and_by_id) {
    Box box(Box::empty());
    track(box, "Lead", "Status");
    track(box, "Lead", "OwnerId");
    track(box, "Lead", "Description");
    const std::string lead = box.create("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    const std::string owner = box.service.org().integration_user_id();
    const std::string users = box.get("/sandbox/users").body;
    const std::string ada =
        std::string(Box::object(box.get("~/query?q=" + Box::encoded("SELECT Id FROM User WHERE Name = 'Ada Admin'")))
                        .at("records")
                        .as_array()
                        .at(0)
                        .as_object()
                        .at("Id")
                        .as_string());
    edit(box, "Lead", lead, R"({"Phone":"555"})");
    edit(box, "Lead", lead, R"({"Status":"Working - Contacted","Description":"long"})");
    edit(box, "Lead", lead, R"({"OwnerId":")" + ada + R"("})");
    EXPECT_EQ(rows(box, "SELECT Field, DataType, OldValue, NewValue FROM LeadHistory WHERE LeadId = '" + lead + "'"),
              "created,,,\n"
              "Description,Text,,\n"
              "Status,DynamicEnum,Open - Not Contacted,Working - Contacted\n"
              "OwnerId,Text,Lockstep Integration,Ada Admin\n"
              "OwnerId,EntityId," +
                  owner + "," + ada + "\n");
    EXPECT_EQ(rows(box, "SELECT COUNT() FROM ContactHistory"), "");
    const std::string history = trim(rows(box, "SELECT Id FROM LeadHistory LIMIT 1")).data();
    EXPECT_EQ(history.substr(0, 3), "017");
}

TEST(History, is_neither_written_nor_deleted_by_anybody_but_goes_with_its_record) {
    Box box(Box::empty());
    const std::string deal = box.create("Opportunity", kDeal);
    const std::string id = rows(box, "SELECT Id FROM OpportunityHistory").substr(0, 18);
    for (const auto& [method, target] : {std::pair{"DELETE", "~/sobjects/OpportunityHistory/" + id},
                                         {"PATCH", "~/sobjects/OpportunityHistory/" + id},
                                         {"POST", std::string("~/sobjects/OpportunityHistory")}}) {
        const auto answer = box.send(method, target, std::string_view(method) == "DELETE" ? "" : "{\"Amount\":1}");
        EXPECT_GE(answer.status, 400) << method;
    }
    EXPECT_EQ(rows(box, "SELECT Amount, IsDeleted FROM OpportunityHistory"), "1000.0,false\n");
    EXPECT_EQ(box.send("DELETE", "~/sobjects/Opportunity/" + deal).status, 204);
    EXPECT_EQ(rows(box, "SELECT Amount, IsDeleted FROM OpportunityHistory"), "1000.0,true\n");
    EXPECT_EQ(box.send("POST", "/sandbox/records/Opportunity/" + deal + "/undelete").status, 200);
    EXPECT_EQ(rows(box, "SELECT Amount, IsDeleted FROM OpportunityHistory"), "1000.0,false\n");
}

TEST(History, of_a_custom_object_is_an_object_of_its_own) {
    Box box(Box::empty());
    ASSERT_EQ(
        box.send("POST", "/sandbox/objects", R"({"name":"Visit__c","fields":[{"name":"Score__c","type":"double"}]})")
            .status,
        201);
    EXPECT_NE(rows(box, "SELECT Id FROM Visit__History").find("is not supported"), std::string::npos);
    track(box, "Visit__c", "Score__c");
    const std::string visit = box.create("Visit__c", R"({"Score__c":1})");
    edit(box, "Visit__c", visit, R"({"Score__c":2})");
    EXPECT_EQ(rows(box, "SELECT Field, DataType, OldValue, NewValue, ParentId FROM Visit__History"),
              "created,,,," + visit + "\nScore__c,Double,1.0,2.0," + visit + "\n");
    EXPECT_EQ(Box::object(box.get("~/sobjects/Visit__History/describe")).at("createable"), json::value(false));
}

TEST(History, can_not_be_had_of_objects_that_keep_none_of_computed_fields_and_of_more_than_twenty) {
    Box box(Box::empty());
    const auto refusal = [&](const std::string& object, const std::string& field) {
        return box.send("PATCH", "/sandbox/objects/" + object + "/fields/" + field, R"({"tracked":true})").body;
    };
    EXPECT_NE(refusal("Task", "Status").find("is not kept"), std::string::npos);
    EXPECT_NE(refusal("Account", "BillingAddress").find("is computed"), std::string::npos);
    for (int i = 0; i < 20; ++i) {
        const std::string name = "F" + std::to_string(i) + "__c";
        ASSERT_EQ(box.send("POST", "/sandbox/objects/Lead/fields",
                           R"({"name":")" + name + R"(","type":"string","tracked":true})")
                      .status,
                  201);
    }
    EXPECT_NE(refusal("Lead", "Status").find("20 fields"), std::string::npos);
}

TEST(History, tells_of_conversion_and_merge_and_goes_with_the_loser) {
    Box box(Box::empty());
    track(box, "Lead", "Status");
    track(box, "Contact", "Phone");
    const std::string lead = box.create("Lead", R"({"LastName":"Bell","Company":"Acme"})");
    ASSERT_EQ(box.send("POST", "/sandbox/records/Lead/" + lead + "/convert", R"({"with_opportunity":false})").status,
              200);
    EXPECT_EQ(rows(box, "SELECT Field, NewValue FROM LeadHistory"),
              "created,\nStatus,Closed - Converted\nleadConverted,\n");
    const std::string one = box.create("Contact", R"({"LastName":"Bell"})");
    const std::string two = box.create("Contact", R"({"LastName":"Bell"})");
    ASSERT_EQ(box.send("POST", "/sandbox/records/Contact/" + one + "/merge", R"({"losers":[")" + two + R"("]})").status,
              200);
    EXPECT_EQ(rows(box, "SELECT Field, IsDeleted FROM ContactHistory WHERE ContactId = '" + one + "'"),
              "created,false\ncontactMerged,false\n");
    EXPECT_EQ(rows(box, "SELECT Field, IsDeleted FROM ContactHistory WHERE ContactId = '" + two + "'"),
              "created,true\n");
}

TEST(History, survives_a_restart_and_goes_on) {
    const auto file = std::filesystem::temp_directory_path() / ("history_" + std::to_string(getpid()) + ".state");
    std::filesystem::remove(file);
    ServiceOptions options = Box::empty();
    options.org.state_file = file.string();
    std::string deal;
    {
        Box box(options);
        ASSERT_EQ(box.send("POST", "/sandbox/objects",
                           R"({"name":"Visit__c","fields":[{"name":"Score__c",)"
                           R"("type":"double","tracked":true}]})")
                      .status,
                  201);
        deal = box.create("Opportunity", kDeal);
        box.create("Visit__c", R"({"Score__c":1})");
    }
    {
        Box box(options);
        edit(box, "Opportunity", deal, R"({"Amount":7})");
        EXPECT_EQ(rows(box, "SELECT Amount FROM OpportunityHistory"), "1000.0\n7.0\n");
        EXPECT_EQ(rows(box, "SELECT Field FROM Visit__History"), "created\n");
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace lockstep::sandbox

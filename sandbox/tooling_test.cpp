#include "sandbox/tooling.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

json::array records(Box& box, const std::string& soql) {
    const auto answer = box.get("~/tooling/query?q=" + Box::encoded(soql));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Box::object(answer).at("records").as_array();
}
std::string refusal(Box& box, const std::string& soql) {
    const auto answer = box.get("~/tooling/query?q=" + Box::encoded(soql));
    EXPECT_EQ(answer.status, 400) << answer.body;
    return std::string(Box::parse(answer.body).at(0).at("errorCode").as_string());
}
/// The one field of Lead that `where` finds: its API name and its DurableId; "" for none.
std::string found(Box& box, const std::string& where) {
    const auto rows = records(box,
                              "SELECT QualifiedApiName, DurableId FROM FieldDefinition WHERE "
                              "EntityDefinition.QualifiedApiName = 'Lead' AND " +
                                  where);
    EXPECT_LE(rows.size(), 1U);
    if (rows.empty()) return "";
    return std::string(rows.at(0).at("QualifiedApiName").as_string()) + " " +
           std::string(rows.at(0).at("DurableId").as_string());
}

TEST(Tooling, tells_of_fields_with_their_entity) {
    Box box(Box::empty());
    const auto rows = records(box,
                              "SELECT QualifiedApiName, Label, DataType, IsFieldHistoryTracked, RelationshipName, "
                              "NamespacePrefix, EntityDefinition.QualifiedApiName, EntityDefinition.KeyPrefix FROM "
                              "FieldDefinition WHERE EntityDefinitionId = 'Opportunity' AND QualifiedApiName IN "
                              "('AccountId', 'Amount')");
    ASSERT_EQ(rows.size(), 2U);
    const auto& account = rows.at(0).as_object();
    EXPECT_EQ(account.at("QualifiedApiName"), "AccountId");
    EXPECT_EQ(account.at("DataType"), "Lookup(Account)");
    EXPECT_EQ(account.at("RelationshipName"), "Account");
    EXPECT_EQ(account.at("NamespacePrefix"), nullptr);
    EXPECT_EQ(account.at("IsFieldHistoryTracked"), json::value(false));
    EXPECT_EQ(account.at("EntityDefinition").at("QualifiedApiName"), "Opportunity");
    EXPECT_EQ(account.at("EntityDefinition").at("KeyPrefix"), "006");
    EXPECT_EQ(rows.at(1).at("DataType"), "Currency(16, 2)");
    EXPECT_EQ(rows.at(1).at("attributes").at("type"), "FieldDefinition");
}

TEST(Tooling, tells_a_renamed_field_from_a_hidden_and_from_a_deleted_one) {
    Box box(Box::empty());
    const std::string field = "/sandbox/objects/Lead/fields/";
    ASSERT_EQ(box.send("POST", "/sandbox/objects/Lead/fields", R"({"name":"Score__c","type":"double"})").status, 201);
    const std::string before = found(box, "QualifiedApiName = 'Score__c'");
    EXPECT_TRUE(before.starts_with("Score__c Lead.00N")) << before;
    box.clock.advance_s(60);
    ASSERT_EQ(box.send("PATCH", field + "Score__c", R"({"name":"Points__c"})").status, 204);
    EXPECT_EQ(found(box, "QualifiedApiName = 'Score__c'"), "");
    const std::string renamed = found(box, "QualifiedApiName = 'Points__c'");
    EXPECT_EQ(renamed.substr(10), before.substr(9)) << "the same field under another name";
    EXPECT_EQ(
        records(box, "SELECT LastModifiedDate FROM FieldDefinition WHERE DurableId = '" + renamed.substr(10) + "'")
            .at(0)
            .at("LastModifiedDate"),
        "2026-11-24T00:01:00.000+0000");
    const auto described = [&] { return box.get("~/sobjects/Lead/describe").body.find("Points__c"); };
    EXPECT_NE(described(), std::string::npos);
    ASSERT_EQ(box.send("PATCH", field + "Points__c", R"({"visible":false})").status, 204);
    EXPECT_EQ(described(), std::string::npos);
    EXPECT_EQ(found(box, "QualifiedApiName = 'Points__c'"), renamed);
    ASSERT_EQ(box.send("DELETE", field + "Points__c").status, 204);
    EXPECT_EQ(found(box, "QualifiedApiName = 'Points__c'"), "");
    ASSERT_EQ(box.send("POST", field + "Points__c/undelete").status, 204);
    EXPECT_EQ(found(box, "QualifiedApiName = 'Points__c'"), renamed);
    ASSERT_EQ(box.send("PATCH", field + "Points__c", R"({"type":"string","length":20})").status, 204);
    EXPECT_EQ(records(box,
                      "SELECT DataType FROM FieldDefinition WHERE EntityDefinitionId = 'Lead' AND "
                      "QualifiedApiName LIKE 'Point%'")
                  .at(0)
                  .at("DataType"),
              "Text(20)");
}

TEST(Tooling, keeps_a_renamed_field_s_values) {
    Box box(Box::empty());
    ASSERT_EQ(box.send("POST", "/sandbox/objects/Lead/fields", R"({"name":"Score__c","type":"double"})").status, 201);
    ASSERT_EQ(box.send("POST", "~/sobjects/Lead", R"({"LastName":"Bell","Company":"Acme","Score__c":5})").status, 201);
    ASSERT_EQ(box.send("PATCH", "/sandbox/objects/Lead/fields/Score__c", R"({"name":"Points__c"})").status, 204);
    const auto rows = Box::object(box.get("~/query?q=" + Box::encoded("SELECT Points__c FROM Lead")));
    EXPECT_EQ(rows.at("records").at(0).at("Points__c"), json::value(5.0));
    EXPECT_EQ(box.send("PATCH", "/sandbox/objects/Lead/fields/Phone", R"({"name":"Fon__c"})").status, 400);
    EXPECT_EQ(box.send("POST", "/sandbox/objects/Lead/fields/Score__c/undelete").status, 404);
    ASSERT_EQ(box.send("POST", "/sandbox/objects/Lead/fields", R"({"name":"Score__c","type":"double"})").status, 201);
    EXPECT_EQ(box.send("PATCH", "/sandbox/objects/Lead/fields/Score__c", R"({"name":"Points__c"})").status, 409);
}

TEST(Tooling, keeps_what_fits_of_a_field_that_gets_another_type) {
    Box box(Box::empty());
    const std::string field = "/sandbox/objects/Lead/fields/";
    ASSERT_EQ(box.send("POST", "/sandbox/objects/Lead/fields", R"({"name":"Score__c","type":"string"})").status, 201);
    for (const char* score : {"12", "many"}) {
        ASSERT_EQ(box.send("POST", "~/sobjects/Lead",
                           std::string(R"({"LastName":"Bell","Company":"Acme","Score__c":")") + score + "\"}")
                      .status,
                  201);
    }
    ASSERT_EQ(box.send("PATCH", field + "Score__c", R"({"type":"double","precision":10,"scale":1})").status, 204);
    const auto rows = Box::object(box.get("~/query?q=" + Box::encoded("SELECT Score__c FROM Lead ORDER BY Score__c")));
    EXPECT_EQ(rows.at("records").at(0).at("Score__c"), nullptr);
    EXPECT_EQ(rows.at("records").at(1).at("Score__c"), json::value(12.0));
    const auto described = Box::object(box.get("~/sobjects/Lead/describe"));
    for (const auto& one : described.at("fields").as_array()) {
        if (one.at("name") != "Score__c") continue;
        EXPECT_EQ(one.at("type"), "double");
        EXPECT_EQ(one.at("length"), json::value(0));
        EXPECT_EQ(one.at("precision"), json::value(10));
    }
    EXPECT_EQ(box.send("PATCH", field + "Phone", R"({"type":"double"})").status, 400);
    EXPECT_EQ(box.send("PATCH", field + "Score__c", R"({"type":"reference","reference_to":["Account"]})").status, 400);
    EXPECT_EQ(box.send("PATCH", field + "Score__c", R"({"type":"thing"})").status, 400);
}

TEST(Tooling, lists_entities_hidden_ones_too) {
    Box box(Box::empty());
    ASSERT_EQ(box.send("PATCH", "/sandbox/objects/Lead", R"({"visible":false,"sharing":"private"})").status, 204);
    const auto rows = records(box,
                              "SELECT QualifiedApiName, Label, InternalSharingModel FROM EntityDefinition WHERE "
                              "QualifiedApiName = 'lead'");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows.at(0).at("InternalSharingModel"), "Private");
    EXPECT_GT(records(box, "SELECT DurableId FROM EntityDefinition").size(), 20U);
    EXPECT_EQ(records(box, "SELECT DurableId FROM EntityDefinition LIMIT 3").size(), 3U);
}

TEST(Tooling, refuses_what_the_platform_refuses) {
    Box box(Box::empty());
    EXPECT_EQ(refusal(box, "SELECT QualifiedApiName FROM FieldDefinition"), "MALFORMED_QUERY");
    EXPECT_EQ(refusal(box, "SELECT Id FROM FieldDefinition WHERE QualifiedApiName = 'X'"), "MALFORMED_QUERY");
    const std::string of_lead = " FROM FieldDefinition WHERE EntityDefinitionId = 'Lead'";
    EXPECT_EQ(refusal(box, "SELECT Nothing" + of_lead), "INVALID_FIELD");
    EXPECT_EQ(refusal(box, "SELECT Id" + of_lead + " OR Label = 'X'"), "MALFORMED_QUERY");
    EXPECT_EQ(refusal(box, "SELECT Id" + of_lead + " AND Label != 'X'"), "MALFORMED_QUERY");
    EXPECT_EQ(refusal(box, "SELECT Id" + of_lead + " ORDER BY Label"), "MALFORMED_QUERY");
    EXPECT_EQ(refusal(box, "SELECT COUNT(Id)" + of_lead), "MALFORMED_QUERY");
    EXPECT_EQ(refusal(box, "SELECT Id FROM SandboxProcess"), "INVALID_TYPE");
    EXPECT_EQ(refusal(box, "SELECT FROM"), "MALFORMED_QUERY");
}

}  // namespace
}  // namespace lockstep::sandbox

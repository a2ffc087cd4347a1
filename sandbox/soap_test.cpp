#include "sandbox/soap.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

/// What stands between the first <name> and its end; "nil" for a nil one.
std::string within(const std::string& xml, const std::string& name) {
    if (xml.find("<" + name + " xsi:nil=\"true\"/>") != std::string::npos) return "nil";
    const auto from = xml.find("<" + name + ">");
    if (from == std::string::npos) return "";
    const auto at = from + name.size() + 2;
    return xml.substr(at, xml.find("</" + name + ">", at) - at);
}

http::Answer send(Box& box, const std::string& body, const std::string& session) {
    return box.send("POST", "/services/Soap/u/62.0",
                    R"(<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" )"
                    R"(xmlns:p="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">)"
                    "<s:Header><p:SessionHeader><p:sessionId>" +
                        session + "</p:sessionId></p:SessionHeader></s:Header><s:Body>" + body +
                        "</s:Body></s:Envelope>",
                    {{"Content-Type", "text/xml"}, {"Authorization", ""}});
}
std::string soap(Box& box, const std::string& body) {
    const auto answer = send(box, body, box.token);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.body;
}

std::string lead(Box& box, const std::string& name = "Bell") {
    return box.create("Lead", R"({"LastName":")" + name + R"(","Company":"Acme","LeadSource":"Web"})");
}
json::value field(Box& box, const std::string& object, const std::string& id, const std::string& name) {
    return Box::object(box.get("~/sobjects/" + object + "/" + id + "?fields=" + name)).at(name);
}
std::string login(const std::string& user, const std::string& password) {
    return "<p:login><p:username>" + user + "</p:username><p:password>" + password + "</p:password></p:login>";
}

TEST(Soap, logs_in_with_the_password_alone_or_with_the_token_behind_it) {
    Box box(Box::empty());
    const Credentials& who = box.service.credentials();
    for (const std::string& password : {who.password, who.password + who.security_token}) {
        const auto answer = send(box, login(who.username, password), "");
        ASSERT_EQ(answer.status, 200) << answer.body;
        EXPECT_EQ(within(answer.body, "userName"), who.username);
        EXPECT_EQ(within(answer.body, "passwordExpired"), "false");
        EXPECT_TRUE(within(answer.body, "serverUrl").starts_with("http://org.test/services/Soap/u/62.0/00D"));
        const std::string before = box.token;
        box.token = within(answer.body, "sessionId");
        EXPECT_NE(box.token, before);
        EXPECT_EQ(box.get("~/limits").status, 200);
    }
    const auto calls = Box::object(box.get("/sandbox/calls"));
    for (const auto& call : calls.at("calls").as_array()) {
        EXPECT_TRUE(call.at("kind") != "soap" || call.at("counted") == json::value(false));
    }
}

TEST(Soap, refuses_a_wrong_password_and_one_without_the_token_where_the_org_asks_for_it) {
    Box box(Box::empty());
    const Credentials& who = box.service.credentials();
    auto answer = send(box, login(who.username, "wrong"), "");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(within(answer.body, "sf:exceptionCode"), "INVALID_LOGIN");
    EXPECT_NE(answer.body.find("sf:LoginFault"), std::string::npos);
    EXPECT_EQ(within(answer.body, "faultstring"),
              "INVALID_LOGIN: Invalid username, password, security token; or user locked out.");
    ASSERT_EQ(box.send("PATCH", "/sandbox/settings", R"({"security_token":true})").status, 200);
    answer = send(box, login(who.username, who.password), "");
    EXPECT_EQ(within(answer.body, "sf:exceptionCode"), "LOGIN_MUST_USE_SECURITY_TOKEN");
    EXPECT_EQ(send(box, login(who.username, who.password + who.security_token), "").status, 200);
}

TEST(Soap, ends_a_session_on_logout) {
    Box box(Box::empty());
    EXPECT_NE(soap(box, "<p:logout/>").find("logoutResponse"), std::string::npos);
    EXPECT_EQ(box.get("~/limits").status, 401);
    const auto answer = send(box, "<p:getServerTimestamp/>", box.token);
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(within(answer.body, "sf:exceptionCode"), "INVALID_SESSION_ID");
}

TEST(Soap, tells_the_org_s_time) {
    Box box(Box::empty());
    EXPECT_EQ(within(soap(box, "<p:getServerTimestamp/>"), "timestamp"), "2026-11-24T00:00:00.000Z");
}

TEST(Soap, merges_losers_into_the_master_with_its_new_values_and_names_what_moved) {
    Box box(Box::empty());
    const std::string winner = box.create("Contact", R"({"LastName":"Bell","Phone":"1","Fax":"2"})");
    const std::string loser = box.create("Contact", R"({"LastName":"Bell"})");
    const std::string task = box.create("Task", R"({"Subject":"Call","WhoId":")" + loser + R"("})");
    const std::string xml =
        soap(box, "<p:merge><p:request><p:masterRecord xsi:type=\"p:sObject\"><p:type>Contact</p:type><p:Id>" + winner +
                      "</p:Id><p:Phone>9</p:Phone><p:fieldsToNull>Fax</p:fieldsToNull></p:masterRecord>"
                      "<p:recordToMergeIds>" +
                      loser + "</p:recordToMergeIds></p:request></p:merge>");
    EXPECT_EQ(within(xml, "success"), "true");
    EXPECT_EQ(within(xml, "id"), winner);
    EXPECT_EQ(within(xml, "mergedRecordIds"), loser);
    EXPECT_EQ(within(xml, "updatedRelatedIds"), task);
    EXPECT_EQ(field(box, "Contact", winner, "Phone"), "9");
    EXPECT_EQ(field(box, "Contact", winner, "Fax"), nullptr);
    EXPECT_EQ(field(box, "Task", task, "WhoId"), json::value(winner));
    EXPECT_EQ(box.get("~/sobjects/Contact/" + loser).status, 404);
}

TEST(Soap, tells_of_a_merge_that_fails_in_its_result_and_faults_where_the_object_is_unknown) {
    Box box(Box::empty());
    const auto merge = [&](const std::string& type, const std::string& id) {
        return send(box,
                    "<p:merge><p:request><p:masterRecord><p:type>" + type + "</p:type><p:Id>" + id +
                        "</p:Id></p:masterRecord><p:recordToMergeIds>" + id +
                        "</p:recordToMergeIds></p:request></p:merge>",
                    box.token);
    };
    const std::string alone = lead(box);
    const auto answer = merge("Lead", alone);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(within(answer.body, "success"), "false");
    EXPECT_EQ(within(answer.body, "statusCode"), "INVALID_ARGUMENT");
    const auto unknown = merge("Nothing", alone);
    EXPECT_EQ(unknown.status, 500);
    EXPECT_EQ(within(unknown.body, "sf:exceptionCode"), "INVALID_TYPE");
}

std::string convert(Box& box, const std::string& lead_id, const std::string& more,
                    const std::string& status = "Closed - Converted") {
    return soap(box, "<p:convertLead><p:leadConverts><p:convertedStatus>" + status + "</p:convertedStatus><p:leadId>" +
                         lead_id + "</p:leadId>" + more + "</p:leadConverts></p:convertLead>");
}

TEST(Soap, converts_a_lead_into_a_new_account_contact_and_opportunity) {
    Box box(Box::empty());
    const std::string id = lead(box);
    const std::string xml = convert(box, id, "<p:opportunityName>Big</p:opportunityName>");
    EXPECT_EQ(within(xml, "success"), "true");
    EXPECT_EQ(within(xml, "leadId"), id);
    EXPECT_EQ(field(box, "Account", within(xml, "accountId"), "Name"), "Acme");
    EXPECT_EQ(field(box, "Contact", within(xml, "contactId"), "LastName"), "Bell");
    EXPECT_EQ(field(box, "Opportunity", within(xml, "opportunityId"), "Name"), "Big");
    EXPECT_EQ(field(box, "Lead", id, "ConvertedContactId"), json::value(within(xml, "contactId")));
}

TEST(Soap, converts_a_lead_into_an_existing_account_without_an_opportunity) {
    Box box(Box::empty());
    const std::string account = box.create("Account", R"({"Name":"Acme"})");
    const std::string xml =
        convert(box, lead(box),
                "<p:accountId>" + account + "</p:accountId><p:doNotCreateOpportunity>true</p:doNotCreateOpportunity>");
    EXPECT_EQ(within(xml, "accountId"), account);
    EXPECT_EQ(within(xml, "opportunityId"), "nil");
    EXPECT_EQ(field(box, "Contact", within(xml, "contactId"), "AccountId"), json::value(account));
}

TEST(Soap, converts_a_lead_into_an_existing_contact_and_its_account) {
    Box box(Box::empty());
    const std::string account = box.create("Account", R"({"Name":"Acme"})");
    const std::string contact =
        box.create("Contact", R"({"LastName":"Bell","LeadSource":"Other","AccountId":")" + account + R"("})");
    const std::string xml = convert(box, lead(box),
                                    "<p:contactId>" + contact +
                                        "</p:contactId>"
                                        "<p:overwriteLeadSource>true</p:overwriteLeadSource>");
    EXPECT_EQ(within(xml, "accountId"), account);
    EXPECT_EQ(within(xml, "contactId"), contact);
    EXPECT_EQ(field(box, "Contact", contact, "LeadSource"), "Web");
    const std::string other = box.create("Account", R"({"Name":"Bell"})");
    const std::string refused =
        convert(box, lead(box), "<p:accountId>" + other + "</p:accountId><p:contactId>" + contact + "</p:contactId>");
    EXPECT_EQ(within(refused, "success"), "false");
    EXPECT_EQ(within(refused, "statusCode"), "INVALID_CROSS_REFERENCE_KEY");
}

TEST(Soap, refuses_to_convert_twice_or_into_a_status_that_is_none_of_conversion) {
    Box box(Box::empty());
    const std::string id = lead(box);
    EXPECT_EQ(within(convert(box, id, "", "Working - Contacted"), "statusCode"), "INVALID_STATUS");
    EXPECT_EQ(within(convert(box, id, ""), "success"), "true");
    EXPECT_EQ(within(convert(box, id, ""), "statusCode"), "CANNOT_UPDATE_CONVERTED_LEAD");
}

TEST(Soap, brings_back_what_lies_in_the_bin_and_empties_it) {
    Box box(Box::empty());
    const std::string one = lead(box);
    const std::string two = lead(box, "Cole");
    for (const std::string& id : {one, two}) ASSERT_EQ(box.send("DELETE", "~/sobjects/Lead/" + id).status, 204);
    std::string xml = soap(box, "<p:undelete><p:ids>" + one + "</p:ids></p:undelete>");
    EXPECT_EQ(within(xml, "success"), "true");
    EXPECT_EQ(box.get("~/sobjects/Lead/" + one).status, 200);
    EXPECT_EQ(within(soap(box, "<p:undelete><p:ids>" + one + "</p:ids></p:undelete>"), "statusCode"),
              "UNDELETE_FAILED");
    xml = soap(box, "<p:emptyRecycleBin><p:ids>" + two + "</p:ids></p:emptyRecycleBin>");
    EXPECT_EQ(within(xml, "id"), two);
    const auto left = Box::object(box.get("~/queryAll?q=" + Box::encoded("SELECT Id FROM Lead")));
    EXPECT_EQ(left.at("totalSize"), json::value(1));
    EXPECT_EQ(within(soap(box, "<p:undelete><p:ids>" + two + "</p:ids></p:undelete>"), "success"), "false");
    EXPECT_EQ(within(soap(box, "<p:undelete><p:ids>x</p:ids></p:undelete>"), "statusCode"), "INVALID_ID_FIELD");
    std::string many = "<p:undelete>";
    for (int i = 0; i < 201; ++i) many += "<p:ids>" + one + "</p:ids>";
    const auto refused = send(box, many + "</p:undelete>", box.token);
    EXPECT_EQ(refused.status, 500);
    EXPECT_EQ(within(refused.body, "sf:exceptionCode"), "EXCEEDED_ID_LIMIT");
}

}  // namespace
}  // namespace lockstep::sandbox

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

json::array records(Box& box, const std::string& soql) {
    const auto answer = box.get("~/query?q=" + Box::encoded(soql));
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Box::object(answer).at("records").as_array();
}
void make(Box& box, const std::string& list = R"(["EUR","USD 1.25","GBP 0.8"])") {
    const auto answer = box.send("POST", "/sandbox/currencies", R"({"currencies":)" + list + "}");
    ASSERT_EQ(answer.status, 204) << answer.body;
}
std::string deal(Box& box, const std::string& more) {
    return box.create("Opportunity",
                      R"({"Name":"D","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":100)" + more + "}");
}

TEST(Currencies, show_nowhere_in_an_org_of_one) {
    Box box;
    EXPECT_EQ(box.get("~/sobjects/Opportunity/describe").body.find("CurrencyIsoCode"), std::string::npos);
    EXPECT_EQ(box.get("~/query?q=" + Box::encoded("SELECT Id FROM CurrencyType")).status, 400);
    const auto rows =
        records(box, "SELECT Amount, convertCurrency(Amount) c FROM Opportunity WHERE Amount > 0 LIMIT 1");
    EXPECT_EQ(rows.at(0).at("Amount"), rows.at(0).at("c"));
}

TEST(Currencies, are_told_with_their_rates_and_borne_by_every_record_with_money) {
    Box box;
    make(box);
    const auto types = records(box,
                               "SELECT IsoCode, ConversionRate, DecimalPlaces, IsActive, IsCorporate FROM "
                               "CurrencyType ORDER BY IsoCode");
    ASSERT_EQ(types.size(), 3U);
    EXPECT_EQ(types.at(0).at("IsoCode"), "EUR");
    EXPECT_EQ(types.at(0).at("IsCorporate"), json::value(true));
    EXPECT_EQ(types.at(2).at("ConversionRate"), json::value(1.25));
    EXPECT_EQ(types.at(2).at("IsCorporate"), json::value(false));
    std::set<std::string> codes;
    for (const auto& row : records(box, "SELECT CurrencyIsoCode FROM Opportunity"))
        codes.insert(std::string(row.at("CurrencyIsoCode").as_string()));
    EXPECT_TRUE(codes.count("EUR"));
    EXPECT_GT(codes.size(), 1U);
    for (const auto& row : records(box,
                                   "SELECT CurrencyIsoCode, Account.CurrencyIsoCode FROM Opportunity WHERE "
                                   "AccountId != null"))
        EXPECT_EQ(row.at("CurrencyIsoCode"), row.at("Account").at("CurrencyIsoCode"));
    for (const char* object : {"Lead", "Contact", "Campaign", "CampaignMember", "Task", "OpportunityHistory", "User"})
        EXPECT_TRUE(records(box, std::string("SELECT Id FROM ") + object + " WHERE CurrencyIsoCode = null").empty())
            << object;
    EXPECT_EQ(records(box, "SELECT DefaultCurrencyIsoCode FROM User LIMIT 1").at(0).at("DefaultCurrencyIsoCode"),
              "EUR");
}

TEST(Currencies, of_new_records_are_the_user_s_unless_given_and_must_be_active) {
    Box box;
    make(box);
    const std::string id = deal(box, "");
    EXPECT_EQ(
        records(box, "SELECT CurrencyIsoCode FROM Opportunity WHERE Id = '" + id + "'").at(0).at("CurrencyIsoCode"),
        "EUR");
    EXPECT_EQ(records(box, "SELECT CurrencyIsoCode FROM OpportunityHistory WHERE OpportunityId = '" + id + "'")
                  .at(0)
                  .at("CurrencyIsoCode"),
              "EUR");
    const auto refused = box.send("PATCH", "~/sobjects/Opportunity/" + id, R"({"CurrencyIsoCode":"SEK"})");
    EXPECT_NE(refused.body.find("RESTRICTED_PICKLIST"), std::string::npos) << refused.body;
    ASSERT_EQ(box.send("POST", "~/sobjects/CurrencyType",
                       R"({"IsoCode":"SEK","ConversionRate":11.5,"DecimalPlaces":2,"IsActive":true})")
                  .status,
              201);
    EXPECT_EQ(box.send("PATCH", "~/sobjects/Opportunity/" + id, R"({"CurrencyIsoCode":"SEK"})").status, 204);
    const auto generated = [&] {
        return records(box, "SELECT Id, CurrencyIsoCode FROM Opportunity WHERE Id != '" + id + "' ORDER BY Id");
    };
    const json::array before = generated();
    const auto pound = records(box, "SELECT Id FROM CurrencyType WHERE IsoCode = 'GBP'");
    ASSERT_EQ(box.send("PATCH", "~/sobjects/CurrencyType/" + std::string(pound.at(0).at("Id").as_string()),
                       R"({"IsActive":false})")
                  .status,
              204);
    EXPECT_EQ(generated(), before) << "what is there keeps its currency";
    EXPECT_NE(box.send("PATCH", "~/sobjects/Opportunity/" + id, R"({"CurrencyIsoCode":"GBP"})").body.find("PICKLIST"),
              std::string::npos);
    EXPECT_NE(box.send("POST", "~/sobjects/CurrencyType",
                       R"({"IsoCode":"SEK","ConversionRate":11.5,"DecimalPlaces":2,"IsActive":true})")
                  .body.find("DUPLICATE_VALUE"),
              std::string::npos);
    EXPECT_NE(box.send("POST", "~/sobjects/CurrencyType",
                       R"({"IsoCode":"NOK","ConversionRate":0,"DecimalPlaces":2,"IsActive":true})")
                  .body.find("greater than zero"),
              std::string::npos);
    ASSERT_EQ(box.send("POST", "/sandbox/objects", R"({"name":"Visit__c"})").status, 201);
    EXPECT_NE(box.get("~/sobjects/Visit__c/describe").body.find("CurrencyIsoCode"), std::string::npos);
}

TEST(Currencies, are_converted_to_the_user_s_by_the_rate_or_by_that_of_the_close_date) {
    Box box;
    make(box);
    const std::string id = deal(box, R"(,"CurrencyIsoCode":"USD")");
    const auto converted = [&] {
        return records(box, "SELECT convertCurrency(Amount) c FROM Opportunity WHERE Id = '" + id + "'").at(0).at("c");
    };
    EXPECT_EQ(converted(), json::value(80.0));
    for (const char* rate : {R"({"IsoCode":"USD","StartDate":"2026-12-01","ConversionRate":2})",
                             R"({"IsoCode":"USD","StartDate":"2027-01-01","ConversionRate":4})"}) {
        ASSERT_EQ(box.send("POST", "~/sobjects/DatedConversionRate", rate).status, 201);
    }
    EXPECT_EQ(converted(), json::value(50.0));
    const auto dated = records(box, "SELECT StartDate, NextStartDate FROM DatedConversionRate ORDER BY StartDate");
    EXPECT_EQ(dated.at(0).at("NextStartDate"), "2027-01-01");
    EXPECT_EQ(dated.at(1).at("NextStartDate"), "9999-12-31");
}

TEST(Currencies, are_refused_twice_over_with_a_corporate_rate_and_in_a_wrong_form) {
    Box box;
    const auto refusal = [&](const std::string& list) {
        const auto answer = box.send("POST", "/sandbox/currencies", R"({"currencies":)" + list + "}");
        EXPECT_EQ(answer.status, 400) << answer.body;
        return std::string(Box::object(answer).at("error").as_string());
    };
    EXPECT_NE(refusal("[]").find("corporate"), std::string::npos);
    EXPECT_NE(refusal(R"(["EUR 2"])").find("corporate"), std::string::npos);
    EXPECT_NE(refusal(R"(["EUR","EUR 2"])").find("twice"), std::string::npos);
    EXPECT_NE(refusal(R"(["EUR","USD 0"])").find("above 0"), std::string::npos);
    EXPECT_NE(refusal(R"(["Euro"])").find("no currency"), std::string::npos);
    EXPECT_NE(refusal(R"(["EUR","USD one"])").find("no currency"), std::string::npos);
    make(box);
    EXPECT_NE(refusal(R"(["EUR"])").find("already"), std::string::npos);
}

TEST(Currencies, survive_a_restart) {
    const auto file = std::filesystem::temp_directory_path() / ("currency_" + std::to_string(getpid()) + ".state");
    std::filesystem::remove(file);
    ServiceOptions options = Box::small();
    options.org.state_file = file.string();
    std::string before;
    const std::string all =
        "~/query?q=" + Box::encoded("SELECT Id, CurrencyIsoCode, convertCurrency(Amount) FROM Opportunity");
    {
        Box box(options);
        make(box);
        ASSERT_EQ(box.send("POST", "/sandbox/objects", R"({"name":"Visit__c"})").status, 201);
        before = box.get(all).body;
    }
    {
        Box box(options);
        EXPECT_EQ(box.get(all).body, before);
        EXPECT_NE(box.get("~/sobjects/Visit__c/describe").body.find("CurrencyIsoCode"), std::string::npos);
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace lockstep::sandbox

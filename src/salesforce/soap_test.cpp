#include "salesforce/soap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "salesforce/testing.h"

namespace lockstep::salesforce {
namespace {

using testing::FakeOrg;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPath = "/services/Soap/u/60.0";

http::Response xml(int status, std::string body) {
    return {.status = status, .headers = {{"Content-Type", "text/xml;charset=UTF-8"}}, .body = std::move(body)};
}

std::string answer_with(const std::string& currency, const std::string& several) {
    return R"(<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Header><LimitInfoHeader/></soapenv:Header><soapenv:Body><getUserInfoResponse><result><currencySymbol xsi:nil="true"/>)" +
           currency + "<organizationId>00D1a000000H3O9</organizationId><organizationMultiCurrency>" + several +
           "</organizationMultiCurrency><organizationName>Tom &amp; Co</organizationName>"
           "<userId>0051a000000H3O9AAK</userId></result></getUserInfoResponse></soapenv:Body></soapenv:Envelope>";
}
const std::string kEuro = "<orgDefaultCurrencyIsoCode>EUR</orgDefaultCurrencyIsoCode>";
const std::string kNone = R"(<orgDefaultCurrencyIsoCode xsi:nil="true"/>)";

http::Response fault(const std::string& code, const std::string& words) {
    return xml(
        500,
        R"(<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:)" +
            code + "</faultcode><faultstring>" + code + ": " + words +
            "</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>");
}

TEST(UserInfo, is_asked_with_the_token_in_the_envelope_and_nowhere_else) {
    FakeOrg org;
    org.on(kPath, xml(200, answer_with(kEuro, "false")));
    const auto info = user_info(org.session());
    ASSERT_TRUE(info.ok()) << to_string(info.error());
    EXPECT_EQ(info->default_currency, "EUR");
    EXPECT_FALSE(info->multi_currency);
    EXPECT_EQ(info->organization_id, "00D1a000000H3O9EAK");
    EXPECT_EQ(info->user_id, "0051a000000H3O9AAK");
    ASSERT_EQ(org.calls.size(), 1u);
    EXPECT_EQ(org.calls[0].method, "POST");
    EXPECT_EQ(org.calls[0].target, kPath);
    EXPECT_EQ(org.calls[0].body, user_info_envelope("00D!token1"));
    EXPECT_THAT(org.calls[0].body, HasSubstr("<sf:sessionId>00D!token1</sf:sessionId>"));
    EXPECT_EQ(org.calls[0].header("SOAPAction"), "\"\"");
    EXPECT_EQ(org.calls[0].header("Authorization"), "");
    EXPECT_EQ(org.permits.taken, 1);
}

TEST(UserInfo, tells_no_currency_of_an_org_of_several_or_that_has_none_to_tell) {
    for (const auto& [currency, several] : {std::pair(kEuro, "true"), std::pair(kNone, "true"),
                                            std::pair(kNone, "false"), std::pair(std::string(), "false")}) {
        const auto info = parse_user_info(answer_with(currency, several));
        ASSERT_TRUE(info.ok()) << to_string(info.error());
        EXPECT_EQ(info->default_currency, "");
        EXPECT_EQ(info->multi_currency, several == std::string("true"));
    }
}

TEST(UserInfo, renews_an_expired_token_once_and_asks_again_with_the_new_one) {
    FakeOrg org;
    const auto expired = fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session");
    org.on_each(kPath, {expired, xml(200, answer_with(kEuro, "false"))});
    ASSERT_TRUE(user_info(org.session()).ok());
    EXPECT_EQ(org.logins.size(), 2u);
    EXPECT_THAT(org.calls.back().body, HasSubstr("00D!token2"));

    FakeOrg other;
    other.on(kPath, expired);
    EXPECT_EQ(user_info(other.session()).error().kind, Kind::Denied);
    EXPECT_EQ(other.logins.size(), 2u);
    EXPECT_EQ(other.calls.size(), 2u);
}

TEST(UserInfo, passes_faults_on_and_repeats_only_what_passes) {
    struct Case {
        const char* code;
        Kind kind;
        std::size_t calls;
    };
    for (const Case& c :
         {Case{"API_DISABLED_FOR_ORG", Kind::Denied, 1}, Case{"INVALID_OPERATION", Kind::Rejected, 1},
          Case{"REQUEST_LIMIT_EXCEEDED", Kind::Throttled, 1}, Case{"UNKNOWN_EXCEPTION", Kind::Unavailable, 5},
          Case{"SERVER_UNAVAILABLE", Kind::Unavailable, 5}}) {
        FakeOrg org;
        org.on(kPath, fault(c.code, "of your token 00D!token1"));
        const Error error = user_info(org.session()).error();
        EXPECT_EQ(error.kind, c.kind) << c.code;
        EXPECT_EQ(error.code, c.code);
        EXPECT_THAT(to_string(error), Not(HasSubstr("00D!token1")));
        EXPECT_EQ(org.calls.size(), c.calls) << c.code;
        EXPECT_EQ(org.logins.size(), 1u);
    }
}

TEST(UserInfo, asks_again_when_an_answer_is_cut_and_takes_none_that_makes_no_sense) {
    const std::string whole = answer_with(kEuro, "false");
    FakeOrg org;
    org.on_each(kPath, {xml(200, whole.substr(0, whole.size() / 2)), testing::page_of_html(503), xml(200, whole)});
    EXPECT_TRUE(user_info(org.session()).ok());
    EXPECT_EQ(org.calls.size(), 3u);

    for (const std::string& body :
         {std::string(), std::string("<a/>"), answer_with(kEuro, "perhaps"),
          answer_with("<orgDefaultCurrencyIsoCode>euro</orgDefaultCurrencyIsoCode>", "false"),
          fault("UNKNOWN_EXCEPTION", "x").body,
          R"(<!DOCTYPE a [<!ENTITY c "EUR">]>)" +
              answer_with("<orgDefaultCurrencyIsoCode>&c;</orgDefaultCurrencyIsoCode>", "false")}) {
        EXPECT_EQ(parse_user_info(body).error().kind, Kind::BadReply) << body;
    }
}

TEST(UserInfo, envelope_holds_any_token_as_text_and_is_told_from_all_others) {
    const std::string plain = user_info_envelope("00D!abc._-");
    EXPECT_TRUE(is_user_info_envelope(plain));
    const std::string nasty =
        user_info_envelope("x</sf:sessionId></sf:SessionHeader></soapenv:Header><soapenv:Body><sf:delete/>&amp;");
    EXPECT_TRUE(is_user_info_envelope(nasty));
    EXPECT_THAT(nasty, Not(HasSubstr("<sf:delete")));
    const auto changed = [&](const std::string& what, const std::string& by) {
        std::string text = plain;
        return text.replace(text.find(what), what.size(), by);
    };
    for (const std::string& other :
         {std::string(), plain.substr(0, plain.size() - 1), plain + " ", plain + plain,
          changed("getUserInfo", "logout"), changed("00D!", "</sf:sessionId><sf:sessionId>"),
          changed("<sf:getUserInfo/>", "<sf:getUserInfo/><sf:delete/>"), changed("partner.soap", "enterprise.soap")}) {
        EXPECT_FALSE(is_user_info_envelope(other)) << other;
    }
}

}  // namespace
}  // namespace lockstep::salesforce

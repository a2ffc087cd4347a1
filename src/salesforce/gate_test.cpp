#include "salesforce/gate.h"

#include <gtest/gtest.h>

#include "base/check.h"
#include "salesforce/composite.h"
#include "salesforce/soap.h"
#include "salesforce/testing.h"

namespace lockstep::salesforce {
namespace {

struct Case {
    const char* method;
    const char* path;
    bool passes;
    std::string body = {};
};

std::string with_operation(std::string_view operation) {
    std::string body = user_info_envelope("00D!x");
    return body.replace(body.find("getUserInfo"), std::string_view("getUserInfo").size(), operation);
}

std::string composite(const std::vector<std::string>& paths) {
    std::vector<CompositePart> parts;
    for (const std::string& path : paths) parts.push_back({.path = path});
    return composite_body(parts);
}

std::string changed_composite(std::string_view from, std::string_view to) {
    std::string body = composite({"/services/data/v60.0/sobjects/Lead/describe"});
    return body.replace(body.find(from), from.size(), to);
}

const Case kCases[] = {
    {"GET", "/services/data", true},
    {"GET", "/services/data/", true},
    {"GET", "/services/data/v60.0", true},
    {"GET", "/services/data/v60.0/sobjects", true},
    {"GET", "/services/data/v60.0/sobjects/Account/describe", true},
    {"GET", "/services/data/v60.0/sobjects/Lead/deleted/?start=2026-01-01T00%3A00%3A00Z&end=x", true},
    {"GET", "/services/data/v60.0/query?q=SELECT+Id+FROM+Lead", true},
    {"GET", "/services/data/v60.0/query/01gD0000002HU6KIAW-2000", true},
    {"GET", "/services/data/v60.0/queryAll?q=SELECT+Id+FROM+Lead", true},
    {"GET", "/services/data/v60.0/limits", true},
    {"GET", "/services/data/v60.0/jobs/query/750Tn000004ZoR3IAK/results?maxRecords=10&locator=MTAwMDA", true},
    {"GET", "/services/oauth2/userinfo", true},
    {"POST", "/services/oauth2/token", true},
    {"POST", "/services/data/v60.0/jobs/query", true},
    {"PATCH", "/services/data/v60.0/jobs/query/750Tn000004ZoR3IAK", true},
    {"DELETE", "/services/data/v60.0/jobs/query/750Tn000004ZoR3", true},

    // Writes, in each of their forms.
    {"POST", "/services/data/v60.0/sobjects/Account", false},
    {"PATCH", "/services/data/v60.0/sobjects/Account/001D000000IqhSLIAZ", false},
    {"DELETE", "/services/data/v60.0/sobjects/Account/001D000000IqhSLIAZ", false},
    {"POST", "/services/data/v60.0/composite", false},
    // A composite call: nothing but GETs, each of which passes by itself.
    {"POST", "/services/data/v60.0/composite", true, composite({"/services/data/v60.0/sobjects/Lead/describe"})},
    {"POST", "/services/data/v60.0/composite", true,
     composite({"/services/data/v60.0/query?q=SELECT%20Id%20FROM%20Lead", "/services/data/v60.0/sobjects"})},
    {"POST", "/services/data/v60.0/composite", false, composite({})},
    {"POST", "/services/data/v60.0/composite", false, composite({"/services/data/v60.0/tooling/executeAnonymous"})},
    {"POST", "/services/data/v60.0/composite", false,
     composite({"/services/data/v60.0/sobjects", "/services/apexrest/run"})},
    {"POST", "/services/data/v60.0/composite", false, composite({"/services/data/v60.0/query?q=@{part0.id}"})},
    {"POST", "/services/data/v60.0/composite", false, composite({"/services/data/v60.0/query?q=a b"})},
    {"POST", "/services/data/v60.0/composite", false, composite({"/services/data/v60.0/sobjects?_HttpMethod=POST"})},
    {"POST", "/services/data/v60.0/composite", false, composite({"/services/data/v60.0/composite"})},
    {"POST", "/services/data/v60.0/composite", false, changed_composite("GET", "POST")},
    {"POST", "/services/data/v60.0/composite", false, changed_composite("GET", "DELETE")},
    {"POST", "/services/data/v60.0/composite", false,
     changed_composite(R"("method":"GET")", R"("method":"POST","method":"GET")")},
    {"POST", "/services/data/v60.0/composite", false,
     changed_composite(R"("method":"GET")", R"("method":"GET","body":{"Name":"x"})")},
    {"POST", "/services/data/v60.0/composite", false, changed_composite(R"("allOrNone":false)", R"("allOrNone":true)")},
    {"POST", "/services/data/v60.0/composite", false, changed_composite("]}", "]} ")},
    {"POST", "/services/data/v60.0/composite?_HttpMethod=GET", false,
     composite({"/services/data/v60.0/sobjects/Lead/describe"})},
    {"POST", "/services/data/v60.0/composite/batch", false, composite({"/services/data/v60.0/sobjects/Lead/describe"})},
    {"POST", "/services/data/v60.0/composite/sobjects", false},
    {"GET", "/services/data/v60.0/composite/sobjects/Account", false},
    {"POST", "/services/data/v60.0/jobs/ingest", false},
    {"PUT", "/services/data/v60.0/jobs/ingest/750Tn000004ZoR3IAK/batches", false},
    {"POST", "/services/async/60.0/job", false},

    // SOAP: one question, in one form.
    {"POST", "/services/Soap/u/60.0", true, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/u/60.0", false},
    {"POST", "/services/Soap/u/60.0", false, "{}"},
    {"POST", "/services/Soap/u/60.0", false, user_info_envelope("00D!x") + " "},
    {"POST", "/services/Soap/u/60.0", false, with_operation("delete")},
    {"POST", "/services/Soap/u/60.0", false, with_operation("logout")},
    {"POST", "/services/Soap/u/60.0", false, with_operation("getUserInfo/><sf:create")},
    {"POST", "/services/Soap/u/v60.0", false, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/u/60.0/00D1a000000H3O9", false, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/u/60.0?_HttpMethod=GET", false, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/c/60.0", false, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/m/60.0", false, user_info_envelope("00D!x")},
    {"POST", "/services/Soap/class/Mine", false, user_info_envelope("00D!x")},
    {"PUT", "/services/Soap/u/60.0", false, user_info_envelope("00D!x")},
    {"GET", "/services/Soap/u/60.0", false},

    {"POST", "/services/data/v60.0/query?q=SELECT+Id+FROM+Lead", false},
    {"PUT", "/services/data/v60.0/jobs/query/750Tn000004ZoR3IAK", false},
    {"PATCH", "/services/data/v60.0/jobs/query", false},
    {"DELETE", "/services/data/v60.0/jobs/query/", false},
    {"PATCH", "/services/data/v60.0/jobs/query/750Tn000004ZoR3IAK/results", false},
    {"get", "/services/data", false},
    {"HEAD", "/services/data", false},

    // GETs that do something, or end a session.
    {"GET", "/services/data/v60.0/tooling/executeAnonymous/?anonymousBody=delete+x%3B", false},
    {"GET", "/services/apexrest/run", false},
    {"GET", "/services/oauth2/revoke?token=x", false},
    {"GET", "/services/data/v60.0/sobjects/Account?_HttpMethod=POST", false},
    {"GET", "/services/data/v60.0/query?q=x&%5fhttpmethod=PATCH", false},
    {"POST", "/services/data/v60.0/jobs/query?_HttpMethod=DELETE", false},

    // Paths that are not what they seem.
    {"GET", "/services/data/v60.0/sobjects/../composite", false},
    {"GET", "/services/data/v60.0/sobjects/%2e%2e/composite", false},
    {"GET", "/services/data/v60.0/sobjects//Account", false},
    {"PATCH", "/services/data/v60.0/jobs/query/..", false},
    {"PATCH", "/services/data/v60.0/jobs/query/../../sobjects/Account/001D000000IqhSLIAZ", false},
    {"GET", "https://evil.example/services/data", false},
    {"GET", "//evil.example/services/data", false},
    {"GET", "/services/data/60.0/sobjects", false},
    {"GET", "/services/data/v60.0/sobjects/A#x", false},
    {"GET", "/services/data/v60.0/query?q=a b", false},
    {"GET", "/services/data\r\nX: y", false},
    {"GET", "@evil.example/services/data", false},
    {"GET", "", false},
};

TEST(Gate, lets_reading_pass_and_nothing_else) {
    for (const Case& c : kCases)
        EXPECT_EQ(may_send(c.method, c.path, c.body), c.passes) << c.method << " " << c.path << " " << c.body;
}

TEST(Gate, stops_a_call_of_the_session_before_anything_is_sent) {
    testing::FakeOrg org;
    EXPECT_THROW((void)org.session().post("/sobjects/Account", R"({"Name":"x"})"), Bug);
    EXPECT_THROW((void)org.session().patch("/sobjects/Account/001D000000IqhSLIAZ", "{}"), Bug);
    EXPECT_THROW((void)org.session().remove("/sobjects/Account/001D000000IqhSLIAZ"), Bug);
    EXPECT_THROW((void)org.session().get("/services/apexrest/run"), Bug);
    EXPECT_THROW((void)org.session().post("/services/Soap/u/60.0", with_operation("delete")), Bug);
    EXPECT_TRUE(org.logins.empty());
    EXPECT_TRUE(org.calls.empty());
}

}  // namespace
}  // namespace lockstep::salesforce

#include "salesforce/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "base/check.h"
#include "base/crypto.h"
#include "base/json.h"
#include "salesforce/testing.h"

namespace lockstep::salesforce {
namespace {

using ::testing::ElementsAre;
using testing::FakeOrg;
using ::testing::HasSubstr;
using testing::json;
using testing::page_of_html;
using testing::refusal;

const http::Response kGood = json(200, R"({"ok":true})");
http::Response expired() {
    return refusal(401, "INVALID_SESSION_ID", "Session expired or invalid");
}

http::Response with(http::Response answer, const std::string& name, const std::string& value) {
    answer.headers[name] = value;
    return answer;
}

/// The only error of a GET that is answered with `answer` for ever.
Error error_of(FakeOrg& org, const http::Response& answer) {
    org.on("/limits", answer);
    const auto result = org.session().get("/limits");
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
}

// ---- Calls ----

TEST(Session, logs_in_first_and_sends_the_token_with_our_name) {
    FakeOrg org;
    org.on("/limits", kGood);
    ASSERT_TRUE(org.session().get("/limits").ok());
    ASSERT_EQ(org.logins.size(), 1u);
    EXPECT_EQ(org.logins[0].body, "grant_type=client_credentials&client_id=key&client_secret=s3cret-canary");
    ASSERT_EQ(org.calls.size(), 1u);
    EXPECT_EQ(org.calls[0].target, "/services/data/v60.0/limits");
    EXPECT_EQ(org.calls[0].header("Authorization"), "Bearer 00D!token1");
    EXPECT_EQ(org.calls[0].header("Sforce-Call-Options"), "client=Lockstep");
    EXPECT_EQ(org.session().calls_made(), 1);
    EXPECT_EQ(org.session().instance_url(), "https://acme.my.salesforce.com");
}

TEST(Session, uses_a_kept_token_without_a_login) {
    FakeOrg org;
    org.tokens.token = Token{.access_token = "00D!kept", .instance_url = "https://acme.my.salesforce.com"};
    org.on("/limits", kGood);
    ASSERT_TRUE(org.session().get("/limits").ok());
    EXPECT_TRUE(org.logins.empty());
    EXPECT_EQ(org.calls[0].header("Authorization"), "Bearer 00D!kept");
}

TEST(Session, keeps_a_new_token_before_it_is_used) {
    FakeOrg org;
    bool kept_before_use = false;
    org.on("/limits", {[&](const http::Request&) {
               kept_before_use = org.tokens.token && org.tokens.token->access_token == "00D!token1";
               return kGood;
           }});
    ASSERT_TRUE(org.session().get("/limits").ok());
    EXPECT_TRUE(kept_before_use);
}

TEST(Session, does_not_use_a_token_that_could_not_be_kept) {
    struct FullDisk : testing::MemoryTokens {
        void save(const Token&) override { throw Failure("disk full", "make room"); }
    } disk;
    FakeOrg org;
    Session session(org.credentials, *org.sender, disk, org.permits, org.world, org.options);
    EXPECT_THROW((void)session.get("/limits"), Failure);
    EXPECT_TRUE(org.calls.empty());
}

TEST(Session, renews_an_expired_token_and_replays_the_call_once) {
    FakeOrg org;
    org.on_each("/limits", {expired(), kGood});
    ASSERT_TRUE(org.session().get("/limits").ok());
    EXPECT_EQ(org.logins.size(), 2u);
    ASSERT_EQ(org.calls.size(), 2u);
    EXPECT_EQ(org.calls[1].header("Authorization"), "Bearer 00D!token2");
    EXPECT_TRUE(org.clock.waits.empty());
}

TEST(Session, replays_a_post_too_when_the_token_had_expired_because_nothing_was_done) {
    FakeOrg org;
    org.on_each("/jobs/query", {expired(), kGood});
    ASSERT_TRUE(org.session().post("/jobs/query", R"({"operation":"query"})").ok());
    ASSERT_EQ(org.calls.size(), 2u);
    EXPECT_EQ(org.calls[1].body, R"({"operation":"query"})");
    EXPECT_EQ(org.calls[1].header("Content-Type"), "application/json");
}

TEST(Session, gives_up_when_a_fresh_token_is_refused_too) {
    FakeOrg org;
    const Error error = error_of(org, expired());
    EXPECT_EQ(error.kind, Kind::Denied);
    EXPECT_EQ(error.code, "INVALID_SESSION_ID");
    EXPECT_EQ(org.logins.size(), 2u);
    EXPECT_EQ(org.calls.size(), 2u);
}

TEST(Session, takes_a_bad_token_page_of_userinfo_for_an_expired_session) {
    FakeOrg org;
    auto bad = page_of_html(403);
    bad.body = "Bad_OAuth_Token";
    org.on_each("/userinfo", {bad, kGood});
    EXPECT_TRUE(org.session().get("/services/oauth2/userinfo").ok());
    EXPECT_EQ(org.logins.size(), 2u);
}

TEST(Session, logs_in_again_when_the_org_has_moved_and_follows_the_login_not_the_redirect) {
    FakeOrg org;
    http::Response moved{.status = 302, .headers = {{"Location", "https://evil.example/"}}};
    org.on_each("/limits", {moved, kGood});
    EXPECT_TRUE(org.session().get("/limits").ok());
    EXPECT_EQ(org.logins.size(), 2u);
    FakeOrg lost;
    const Error error = error_of(lost, moved);
    EXPECT_EQ(error.kind, Kind::BadReply);
    EXPECT_EQ(lost.calls.size(), 2u);
}

TEST(Session, asks_for_one_token_when_eight_threads_find_it_expired) {
    FakeOrg org;
    org.tokens.token = Token{.access_token = "00D!old", .instance_url = "https://acme.my.salesforce.com"};
    org.on("/limits", {[](const http::Request& request) {
               return request.header("Authorization") == "Bearer 00D!old" ? expired() : kGood;
           }});
    Session& session = org.session();
    std::barrier start(8);
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        threads.reserve(8);
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                if (session.get("/limits").ok()) ++good;
            });
        }
    }
    EXPECT_EQ(good, 8);
    EXPECT_EQ(org.logins.size(), 1u);
    EXPECT_EQ(org.tokens.saves, 1);
}

TEST(Session, asks_once_for_all_threads_when_the_login_is_refused) {
    FakeOrg org;
    org.on_login = [](const http::Request&) {
        return json(400, R"({"error":"invalid_grant","error_description":"inactive user"})");
    };
    Session& session = org.session();
    std::barrier start(8);
    std::atomic<int> denied = 0;
    {
        std::vector<std::jthread> threads;
        threads.reserve(8);
        for (int i = 0; i < 8; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                const auto result = session.get("/limits");
                if (!result.ok() && result.error().kind == Kind::Denied) ++denied;
            });
        }
    }
    EXPECT_EQ(denied, 8);
    EXPECT_EQ(org.logins.size(), 1u);
}

TEST(Session, leaves_a_refused_login_alone_for_half_a_minute) {
    FakeOrg org;
    org.on_login = [](const http::Request&) {
        return json(400, R"({"error":"invalid_grant","error_description":"inactive user"})");
    };
    EXPECT_FALSE(org.session().get("/limits").ok());
    EXPECT_FALSE(org.session().get("/limits").ok());
    EXPECT_EQ(org.logins.size(), 1u);
    EXPECT_FALSE(org.session().log_in().ok());  // a person asks
    EXPECT_EQ(org.logins.size(), 2u);
    org.clock.advance_s(31);
    EXPECT_FALSE(org.session().get("/limits").ok());
    EXPECT_EQ(org.logins.size(), 3u);
}

// ---- Trouble ----

TEST(Session, tries_again_after_passing_trouble_waiting_longer_each_time) {
    for (const int status : {500, 502, 503, 504, 429, 420, 408}) {
        FakeOrg org;
        const auto busy = json(status, "[]");
        org.on_each("/limits", {busy, busy, busy, kGood});
        EXPECT_TRUE(org.session().get("/limits").ok()) << status;
        ASSERT_EQ(org.clock.waits.size(), 3u) << status;
        std::int64_t longest = org.options.backoff_first_ms;
        for (const std::int64_t wait : org.clock.waits) {
            EXPECT_GE(wait, longest / 2);
            EXPECT_LE(wait, longest);
            longest *= 2;
        }
    }
}

TEST(Session, gives_up_on_trouble_that_stays_and_says_what_it_is) {
    struct Case {
        http::Response answer;
        Kind kind;
        const char* words;
    };
    const Case cases[] = {
        {refusal(503, "SERVER_UNAVAILABLE", "Server unavailable"), Kind::Unavailable, "503, SERVER_UNAVAILABLE"},
        {page_of_html(503), Kind::Unavailable, "503"},
        {refusal(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. ErrorId 1-2"), Kind::Unavailable,
         "ErrorId 1-2"},
        {json(429, "[]"), Kind::Throttled, "less often"},
        {page_of_html(200), Kind::BadReply, "a web page instead of data"},
        {{.status = 200, .body = "x"}, Kind::BadReply, "instead of application/json"},
        {testing::csv("Id\n", 0, "null"), Kind::BadReply, "\"text/csv\" instead of application/json"},
        {refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."),
         Kind::Throttled, "at once"},
    };
    for (const Case& c : cases) {
        FakeOrg org;
        const Error error = error_of(org, c.answer);
        EXPECT_EQ(error.kind, c.kind) << error.what;
        EXPECT_THAT(error.what, HasSubstr(c.words));
        EXPECT_FALSE(error.hint.empty()) << error.what;
        EXPECT_EQ(org.calls.size(), 5u) << error.what;
        EXPECT_EQ(org.logins.size(), 1u);
    }
}

TEST(Session, tries_a_broken_connection_again_and_a_wrong_address_not) {
    struct Broken : http::Sender {
        Kind kind = Kind::Unavailable;
        std::string code;
        int sent = 0;
        Result<http::Response> send(const http::Request&, const http::Limits&) override {
            ++sent;
            return Error{.kind = kind, .what = "no", .code = code};
        }
        Result<http::Response> stream(const http::Request& r, const http::BodySink&, const http::Limits& l) override {
            return send(r, l);
        }
    } sender;
    FakeOrg org;
    org.tokens.token = Token{.access_token = "00D!kept", .instance_url = "https://acme.my.salesforce.com"};
    Session session(org.credentials, sender, org.tokens, org.permits, org.world, org.options);
    EXPECT_EQ(session.get("/limits").error().kind, Kind::Unavailable);
    EXPECT_EQ(sender.sent, 5);
    sender.kind = Kind::BadReply;  // a body that was cut
    EXPECT_EQ(session.get("/limits").error().kind, Kind::BadReply);
    EXPECT_EQ(sender.sent, 10);
    sender.code = "BODY_TOO_LARGE";  // it would be no smaller the next time
    EXPECT_EQ(session.get("/limits").error().kind, Kind::BadReply);
    EXPECT_EQ(sender.sent, 11);
    sender.kind = Kind::Invalid;
    EXPECT_EQ(session.get("/limits").error().kind, Kind::Invalid);
    EXPECT_EQ(sender.sent, 12);
}

TEST(Session, waits_as_long_as_it_is_asked_to) {
    FakeOrg org;
    org.headers_of_all = {{"Date", "Tue, 24 Nov 2026 09:00:00 GMT"}};
    org.on_each("/limits", {with(json(503, "[]"), "Retry-After", "7"),
                            with(json(429, "[]"), "Retry-After", "Tue, 24 Nov 2026 09:00:20 GMT"), kGood});
    EXPECT_TRUE(org.session().get("/limits").ok());
    ASSERT_EQ(org.clock.waits.size(), 2u);
    EXPECT_GE(org.clock.waits[0], 7'000);
    EXPECT_LE(org.clock.waits[0], 7'250);
    // The skew was taken when the second answer came, so that the date counts from the server's nine o'clock.
    EXPECT_GE(org.clock.waits[1], 20'000);
    EXPECT_LE(org.clock.waits[1], 20'500);
}

TEST(Session, leaves_a_long_wait_to_the_caller) {
    FakeOrg org;
    const Error error = error_of(org, with(json(503, "[]"), "Retry-After", "3600"));
    EXPECT_EQ(error.kind, Kind::Unavailable);
    EXPECT_EQ(error.retry_after_s, 3600);
    EXPECT_EQ(org.calls.size(), 1u);
    EXPECT_TRUE(org.clock.waits.empty());
}

TEST(Session, makes_no_further_call_when_the_days_calls_are_used_up) {
    FakeOrg org;
    const Error error = error_of(org, refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."));
    EXPECT_EQ(error.kind, Kind::Throttled);
    EXPECT_EQ(error.code, "REQUEST_LIMIT_EXCEEDED");
    EXPECT_EQ(error.retry_after_s, 900);
    EXPECT_EQ(org.calls.size(), 1u);
}

TEST(Session, rests_briefly_when_too_many_calls_run_at_once) {
    FakeOrg org;
    org.on_each("/limits", {refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), kGood});
    EXPECT_TRUE(org.session().get("/limits").ok());
    ASSERT_EQ(org.clock.waits.size(), 1u);
    EXPECT_GE(org.clock.waits[0], 2'000);
    EXPECT_LE(org.clock.waits[0], 2'500);
}

TEST(Session, stops_waiting_when_asked_to_and_not_when_merely_woken) {
    FakeOrg org;
    struct Woken : testing::WaitClock {
        void wait_ms(std::int64_t ms) override { WaitClock::wait_ms(std::min<std::int64_t>(ms, 100)); }
    } clock;
    int asked = 0;
    org.options.stopping = [&] { return ++asked > 3; };
    World world{.clock = clock, .random = *org.random};
    Session session(org.credentials, *org.sender, org.tokens, org.permits, world, org.options);
    org.on("/limits", json(503, "[]"));
    EXPECT_EQ(session.get("/limits").error().kind, Kind::Cancelled);
    EXPECT_EQ(org.calls.size(), 1u);  // woken three times before the wait was over, it did not ask again
    EXPECT_EQ(clock.waits.size(), 3u);
}

TEST(Session, passes_refusals_on_with_salesforces_code_and_words) {
    struct Case {
        int status;
        const char *code, *message;
        Kind kind;
        const char* words;
    };
    const Case cases[] = {
        {403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner", Kind::Denied,
         "not enabled"},
        {403, "INSUFFICIENT_ACCESS", "no", Kind::Denied, "INSUFFICIENT_ACCESS: no"},
        {403, "FUNCTIONALITY_NOT_ENABLED", "x", Kind::Denied, "x"},
        {404, "NOT_FOUND", "The requested resource does not exist", Kind::NotFound, "does not exist"},
        {400, "INVALID_FIELD",
         R"(\nSELECT Nope FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nope' on entity 'Account'.)",
         Kind::Rejected, "(INVALID_FIELD: No such column 'Nope' on entity 'Account'.)"},
        {400, "INVALID_TYPE", "sObject type 'X' is not supported.", Kind::Rejected, "INVALID_TYPE"},
        {400, "QUERY_TIMEOUT", "Your query request was running for too long.", Kind::Rejected, "too long"},
        {410, "GONE", "x", Kind::Rejected, "GONE"},
        {414, "URI_TOO_LONG", "x", Kind::Rejected, "URI_TOO_LONG"},
    };
    for (const Case& c : cases) {
        FakeOrg org;
        const Error error = error_of(org, refusal(c.status, c.code, c.message));
        EXPECT_EQ(error.kind, c.kind) << c.code;
        EXPECT_EQ(error.code, c.code);
        EXPECT_THAT(error.what, HasSubstr(c.words));
        EXPECT_EQ(error.what.find('\n'), std::string::npos);
        EXPECT_EQ(org.calls.size(), 1u) << c.code;
    }
}

// ---- Budget and time ----

TEST(Session, takes_a_permit_for_each_call_that_goes_out) {
    FakeOrg org;
    org.on_each("/limits", {json(503, "[]"), expired(), kGood});
    EXPECT_TRUE(org.session().get("/limits").ok());
    EXPECT_EQ(org.permits.taken, 3);
    org.permits.allowed = 3;
    EXPECT_EQ(org.session().get("/limits").error().kind, Kind::Throttled);
    EXPECT_EQ(org.calls.size(), 3u);
}

TEST(Session, tells_the_stricter_of_the_limits_in_the_header) {
    struct Case {
        const char* header;
        std::int64_t used, max;  ///< max 0: nothing is told
    };
    const Case cases[] = {
        {"api-usage=133/15000", 133, 15000},
        {"api-usage=133/15000; per-app-api-usage=17/250(appName=sample-connected-app)", 17, 250},
        {"api-usage=14990/15000; per-app-api-usage=17/250(appName=x)", 14990, 15000},
        {"api-usage=15200/15000", 15200, 15000},  // the limit is soft
        {"api-usage=0/15000", 1, 15000},          // we made one ourselves
        {"", 0, 0},
        {"api-usage=", 0, 0},
        {"api-usage=5", 0, 0},
        {"api-usage=x/15000", 0, 0},
        {"api-usage=-5/15000", 0, 0},
        {"api-usage=5/0", 0, 0},
        {"api-usage=900000000/15000", 0, 0},
        {"something=1/2", 0, 0},
    };
    for (const Case& c : cases) {
        FakeOrg org;
        org.on("/limits", with(kGood, "Sforce-Limit-Info", c.header));
        ASSERT_TRUE(org.session().get("/limits").ok());
        const auto quota = org.session().quota();
        ASSERT_EQ(quota.has_value(), c.max != 0) << c.header;
        EXPECT_EQ(org.permits.figures.size(), c.max != 0 ? 1u : 0u) << c.header;
        if (c.max == 0) continue;
        EXPECT_EQ(quota->used, c.used) << c.header;
        EXPECT_EQ(quota->max, c.max) << c.header;
        EXPECT_THAT(org.permits.figures, ElementsAre(std::pair(c.used, c.max)));
    }
}

TEST(Session, knows_the_servers_time_and_how_far_ours_is_off) {
    FakeOrg org;
    EXPECT_EQ(org.session().server_time(), std::nullopt);
    org.on("/limits", with(kGood, "Date", "Tue, 24 Nov 2026 10:00:00 GMT"));
    ASSERT_TRUE(org.session().get("/limits").ok());
    EXPECT_EQ(org.session().server_time(), parse_timestamp("2026-11-24T10:00:00Z"));
    EXPECT_EQ(org.session().clock_skew_s(), 3600);
}

// ---- Logging in ----

TEST(Login, takes_addresses_of_salesforce_and_of_this_machine_only) {
    struct Case {
        const char* url;
        bool fits_jwt, fits_client;
    };
    const Case cases[] = {
        {"https://login.salesforce.com", true, false},
        {"https://test.salesforce.com/", true, false},
        {"https://acme.my.salesforce.com", true, true},
        {"https://acme--dev.sandbox.my.salesforce.com", true, true},
        {"https://ACME.my.salesforce.com", true, true},
        {"https://acme.my.salesforce.mil", true, true},
        {"http://127.0.0.1:8080", true, true},
        {"http://localhost:8080", true, true},
        {"http://[::1]:8080", true, true},
        {"http://acme.my.salesforce.com", false, false},
        {"https://acme.lightning.force.com", false, false},
        {"https://salesforce.com.evil.example", false, false},
        {"https://evilsalesforce.com", false, false},
        {"https://login.salesforce.com@evil.example", false, false},
        {"https://evil.example/login.salesforce.com", false, false},
        {"https://login.salesforce.com:444", false, false},
        {"http://127.0.0.1.evil.example", false, false},
        {"http://127.0.0.1:80800", false, false},
        {"login.salesforce.com", false, false},
        {"", false, false},
    };
    FakeOrg org;
    for (const Case& c : cases) {
        for (const bool jwt : {true, false}) {
            Credentials credentials{
                .method = jwt ? Credentials::Method::JwtBearer : Credentials::Method::ClientCredentials,
                .login_url = c.url};
            bool fits = true;
            try {
                Session session(credentials, *org.sender, org.tokens, org.permits, org.world, org.options);
            } catch (const Failure& failure) {
                fits = false;
                EXPECT_THAT(failure.hint, HasSubstr("My Domain"));
            }
            EXPECT_EQ(fits, jwt ? c.fits_jwt : c.fits_client) << c.url << (jwt ? " jwt" : " client");
        }
    }
}

TEST(Login, sends_no_token_to_an_instance_that_is_not_salesforces) {
    for (const char* instance :
         {"https://evil.example", "http://acme.my.salesforce.com", "https://acme.my.salesforce.com.evil.example",
          "http://127.0.0.1:1", "", "https://u@acme.my.salesforce.com"}) {
        FakeOrg org;
        org.instance = instance;
        const auto result = org.session().get("/limits");
        ASSERT_FALSE(result.ok()) << instance;
        EXPECT_EQ(result.error().kind, Kind::Denied);
        EXPECT_TRUE(org.calls.empty());
        EXPECT_EQ(org.tokens.saves, 0);
        // Nor to one that was kept by somebody else's hand.
        FakeOrg kept;
        kept.tokens.token = Token{.access_token = "00D!kept", .instance_url = instance};
        kept.on("/limits", kGood);
        EXPECT_TRUE(kept.session().get("/limits").ok());
        EXPECT_EQ(kept.calls[0].header("Authorization"), "Bearer 00D!token1");
    }
}

TEST(Login, says_what_to_change_when_it_is_refused) {
    struct Case {
        const char *code, *words, *hint;
        Kind kind = Kind::Denied;
    };
    const Case cases[] = {
        {"invalid_client_id", "client identifier invalid", "consumer key in Setup > App Manager"},
        {"invalid_client", "invalid client credentials", "consumer key and secret"},
        {"invalid_grant", "user hasn't approved this consumer", "pre-authorise"},
        {"invalid_grant", "no client credentials user enabled", "user it runs as"},
        {"invalid_grant", "request not supported on this domain", "My Domain"},
        {"invalid_grant", "audience is invalid", "https://test.salesforce.com for a sandbox"},
        {"invalid_grant", "ip restricted", "IP"},
        {"invalid_grant", "inactive user", "Setup > Users"},
        {"invalid_grant", "authentication failure", "Login History"},
        {"unsupported_grant_type", "grant type not supported", "flow"},
        {"inactive_org", "", "Salesforce"},
        {"rate_limit_exceeded", "login rate exceeded", "far too often", Kind::Throttled},
    };
    for (const Case& c : cases) {
        FakeOrg org;
        org.on_login = [&](const http::Request&) {
            return json(400, std::string(R"({"error":")") + c.code + R"(","error_description":")" + c.words + "\"}");
        };
        const auto result = org.session().log_in();
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().kind, c.kind) << c.code;
        EXPECT_EQ(result.error().code, c.code);
        EXPECT_THAT(result.error().hint, HasSubstr(c.hint)) << c.words;
        EXPECT_EQ(org.logins.size(), 1u);
    }
    FakeOrg org;
    org.on_login = [](const http::Request&) {
        return json(400, R"({"error":"invalid_client_id","error_description":"client identifier invalid"})");
    };
    EXPECT_EQ(org.session().log_in().error().what,
              "Salesforce refused the client id and secret (invalid_client_id: client identifier invalid)");
}

TEST(Login, forgets_the_kept_token_when_it_is_refused_and_keeps_it_when_salesforce_is_down) {
    FakeOrg org;
    org.tokens.token = Token{.access_token = "00D!old", .instance_url = "https://acme.my.salesforce.com"};
    org.on_login = [](const http::Request&) { return json(503, "[]"); };
    org.on("/limits", expired());
    EXPECT_EQ(org.session().get("/limits").error().kind, Kind::Unavailable);
    EXPECT_EQ(org.logins.size(), 5u);  // the token call is tried again like any other
    EXPECT_EQ(org.tokens.forgets, 0);
    org.on_login = [](const http::Request&) {
        return json(400, R"({"error":"invalid_grant","error_description":"expired access/refresh token"})");
    };
    EXPECT_EQ(org.session().get("/limits").error().kind, Kind::Denied);
    EXPECT_EQ(org.tokens.forgets, 1);
}

TEST(Login, refuses_an_answer_that_is_no_token) {
    for (const char* body : {"", "[]", "{}", R"({"access_token":""})",
                             R"({"access_token":"a\nb","instance_url":"https://acme.my.salesforce.com"})"}) {
        FakeOrg org;
        org.on_login = [&](const http::Request&) { return json(200, body); };
        EXPECT_EQ(org.session().log_in().error().kind, Kind::BadReply) << body;
    }
    FakeOrg org;
    org.on_login = [](const http::Request&) { return page_of_html(200); };
    EXPECT_EQ(org.session().log_in().error().kind, Kind::BadReply);
    org.on_login = [](const http::Request&) { return page_of_html(404); };
    EXPECT_EQ(org.session().log_in().error().kind, Kind::BadReply);
}

class JwtLogin : public ::testing::Test {
protected:
    static const RsaKeyPair& keys() {
        static const RsaKeyPair pair = make_rsa_key_pair();
        return pair;
    }
    JwtLogin() {
        org.credentials = {.method = Credentials::Method::JwtBearer,
                           .login_url = "https://login.salesforce.com/",
                           .client_id = "key",
                           .username = "sync@acme.example",
                           .private_key_pem = keys().private_pem};
    }
    /// The claims of an assertion whose signature is good.
    static json::object claims(const http::Request& login) {
        const std::string mark = "&assertion=";
        EXPECT_TRUE(login.body.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"));
        const auto parts = split(login.body.substr(login.body.find(mark) + mark.size()), '.');
        EXPECT_EQ(parts.size(), 3u);
        EXPECT_TRUE(verify_rs256(keys().public_pem, parts[0] + "." + parts[1], from_base64(parts[2]).value_or("")));
        EXPECT_EQ(from_base64(parts[0]), R"({"alg":"RS256","typ":"JWT"})");
        return parse_json(*from_base64(parts[1]))->get_object();
    }
    FakeOrg org;
};

TEST_F(JwtLogin, signs_who_we_are_for_three_minutes) {
    ASSERT_TRUE(org.session().log_in().ok());
    ASSERT_EQ(org.logins.size(), 1u);
    const json::object told = claims(org.logins[0]);
    EXPECT_EQ(text_at(told, "iss"), "key");
    EXPECT_EQ(text_at(told, "sub"), "sync@acme.example");
    EXPECT_EQ(text_at(told, "aud"), "https://login.salesforce.com");
    EXPECT_EQ(int_at(told, "exp"), org.clock.now().seconds + 180);
}

TEST_F(JwtLogin, tries_once_more_by_the_servers_clock_when_ours_is_off) {
    org.headers_of_all = {{"Date", "Tue, 24 Nov 2026 10:00:00 GMT"}};
    org.on_login = [&](const http::Request& login) {
        const auto server = parse_timestamp("2026-11-24T10:00:00Z")->seconds;
        const auto exp = *int_at(claims(login), "exp");
        return exp > server && exp <= server + 300
                   ? org.token("00D!late")
                   : json(400, R"({"error":"invalid_grant","error_description":"invalid assertion"})");
    };
    ASSERT_TRUE(org.session().log_in().ok());
    EXPECT_EQ(org.logins.size(), 2u);
    ASSERT_TRUE(org.session().log_in().ok());  // the skew is known now
    EXPECT_EQ(org.logins.size(), 3u);
}

TEST_F(JwtLogin, does_not_try_again_when_the_clock_is_right) {
    org.headers_of_all = {{"Date", to_http_date(org.clock.now())}};
    org.on_login = [&](const http::Request&) {
        return json(400, R"({"error":"invalid_grant","error_description":"invalid assertion"})");
    };
    const auto result = org.session().log_in();
    EXPECT_EQ(org.logins.size(), 1u);
    EXPECT_EQ(result.error().what,
              "Salesforce refused the signed login of sync@acme.example (invalid_grant: invalid assertion)");
    EXPECT_THAT(result.error().hint, HasSubstr("clock"));
}

TEST_F(JwtLogin, tells_of_a_key_that_can_not_be_read) {
    org.credentials.private_key_pem = "no key";
    EXPECT_EQ(org.session().log_in().error().kind, Kind::Invalid);
    EXPECT_TRUE(org.logins.empty());
}

TEST(Login, leaves_secrets_out_of_errors) {
    FakeOrg org;
    org.on_login = [](const http::Request& login) {
        return json(400, R"({"error":"invalid_client","error_description":"got )" + login.body + "\"}");
    };
    const std::string login_error = to_string(org.session().log_in().error());
    EXPECT_EQ(login_error.find("s3cret-canary"), std::string::npos) << login_error;
    FakeOrg other;
    other.on("/limits", {[](const http::Request& call) {
                 return refusal(400, "X", "you sent " + std::string(call.header("Authorization")));
             }});
    const std::string call_error = to_string(other.session().get("/limits").error());
    EXPECT_EQ(call_error.find("00D!token1"), std::string::npos) << call_error;
}

TEST(Session, refuses_an_api_version_that_is_none) {
    FakeOrg org;
    for (const char* version : {"", "60", "v60.0", "60.0/../x", "6.0"}) {
        org.options.api_version = version;
        EXPECT_THROW(Session(org.credentials, *org.sender, org.tokens, org.permits, org.world, org.options), Failure)
            << version;
    }
}

}  // namespace
}  // namespace lockstep::salesforce

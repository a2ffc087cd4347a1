#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/world.h"
#include "http/send.h"
#include "salesforce/connector.h"
#include "salesforce/session.h"

// What the tests of this folder share: a Salesforce that answers as a test says.

namespace lockstep::salesforce::testing {

inline http::Response json(int status, std::string body) {
    return {.status = status, .headers = {{"Content-Type", "application/json;charset=UTF-8"}}, .body = std::move(body)};
}
inline http::Response refusal(int status, std::string_view code, std::string_view message) {
    return json(status, "[{\"message\":\"" + std::string(message) + "\",\"errorCode\":\"" + std::string(code) + "\"}]");
}
inline http::Response page_of_html(int status) {
    return {.status = status, .headers = {{"Content-Type", "text/html;charset=UTF-8"}}, .body = "<html>Down</html>"};
}
/// A page of a bulk result: `locator` "null" ends it.
inline http::Response csv(std::string body, std::int64_t rows, std::string locator) {
    return {.headers = {{"Content-Type", "text/csv"},
                        {"Sforce-NumberOfRecords", std::to_string(rows)},
                        {"Sforce-Locator", std::move(locator)}},
            .body = std::move(body)};
}

/// Keeps the time of waits instead of waiting.
class WaitClock : public ManualClock {
public:
    WaitClock() : ManualClock({1'795'510'800}) {}  // 2026-11-24T09:00:00Z
    void wait_ms(std::int64_t ms) override {
        waits.push_back(ms);
        ManualClock::wait_ms(ms);
    }
    std::vector<std::int64_t> waits;
};

class MemoryTokens : public TokenKeeper {
public:
    std::optional<Token> load() override { return token; }
    void save(const Token& saved) override {
        token = saved;
        ++saves;
    }
    void forget() override {
        token.reset();
        ++forgets;
    }
    std::optional<Token> token;
    int saves = 0, forgets = 0;
};

class CountingPermits : public Permits {
public:
    Result<void> take(std::int64_t calls) override {
        if (taken + calls > allowed)
            return Error{.kind = Kind::Throttled, .what = "Our share is spent", .retry_after_s = 60};
        taken += calls;
        return {};
    }
    void told(std::int64_t used, std::int64_t max) override { figures.emplace_back(used, max); }
    std::int64_t taken = 0, allowed = 1'000'000;
    std::vector<std::pair<std::int64_t, std::int64_t>> figures;
};

/// An org of one session. Token calls give tokens 1, 2, … unless `on_login` answers; data calls go to the first of
/// `rules` whose text is in the decoded target, each with its answers in order, the last one for ever.
class FakeOrg {
public:
    using Answer = std::function<http::Response(const http::Request&)>;

    FakeOrg() : sender(http::loopback_sender([this](const http::Request& request) { return handle(request); })) {}

    Session& session() {
        if (!session_) session_ = std::make_unique<Session>(credentials, *sender, tokens, permits, world, options);
        return *session_;
    }
    Connector connector() { return Connector(session()); }

    void on(std::string part, std::vector<Answer> answers) {
        rules.emplace_back(Rule{std::move(part), std::move(answers)});
    }
    void on(std::string part, http::Response answer) {
        on(std::move(part), {[answer = std::move(answer)](const http::Request&) { return answer; }});
    }
    void on_each(std::string part, std::vector<http::Response> answers) {
        std::vector<Answer> calls;
        calls.reserve(answers.size());
        for (auto& answer : answers)
            calls.push_back([answer = std::move(answer)](const http::Request&) { return answer; });
        on(std::move(part), std::move(calls));
    }
    /// Decoded targets of the data calls so far.
    std::vector<std::string> targets() const {
        std::vector<std::string> out;
        for (const auto& call : calls) out.push_back(url_decode(call.target));
        return out;
    }

    WaitClock clock;
    std::unique_ptr<Random> random = seeded_random(1);
    World world{.clock = clock, .random = *random};
    MemoryTokens tokens;
    CountingPermits permits;
    Credentials credentials{
        .login_url = "https://acme.my.salesforce.com", .client_id = "key", .client_secret = "s3cret-canary"};
    Session::Options options{.api_version = "60.0"};
    std::function<http::Response(const http::Request&)> on_login;
    std::string instance = "https://acme.my.salesforce.com";
    http::Headers headers_of_all;  ///< added to each answer
    std::vector<http::Request> logins, calls;
    std::unique_ptr<http::Sender> sender;

    http::Response token(const std::string& access_token) const {
        return json(200, R"({"access_token":")" + access_token + R"(","instance_url":")" + instance +
                             R"(","id":"https://login.salesforce.com/id/00D1a000000H3O9EAK/0051a000000H3O9AAK",)"
                             R"("token_type":"Bearer","issued_at":"1278448832702"})");
    }

private:
    struct Rule {
        std::string part;
        std::vector<Answer> answers;
        std::size_t used = 0;
    };

    http::Response handle(const http::Request& request) {
        const std::lock_guard lock(mutex_);
        http::Response answer = answer_to(request);
        answer.headers.insert(headers_of_all.begin(), headers_of_all.end());
        return answer;
    }
    http::Response answer_to(const http::Request& request) {
        if (request.target.starts_with("/services/oauth2/token")) {
            logins.push_back(request);
            return on_login ? on_login(request) : token("00D!token" + std::to_string(logins.size()));
        }
        calls.push_back(request);
        const std::string target = url_decode(request.target);
        for (Rule& rule : rules) {
            if (target.find(rule.part) == std::string::npos) continue;
            const Answer& answer = rule.answers[std::min(rule.used, rule.answers.size() - 1)];
            ++rule.used;
            return answer(request);
        }
        return refusal(404, "NOT_FOUND", "The requested resource does not exist");
    }

    std::mutex mutex_;
    std::vector<Rule> rules;
    std::unique_ptr<Session> session_;
};

}  // namespace lockstep::salesforce::testing

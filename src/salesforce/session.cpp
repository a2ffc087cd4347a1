#include "salesforce/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "salesforce/answer.h"
#include "salesforce/gate.h"
#include "salesforce/login.h"
#include "salesforce/soap.h"

namespace lockstep::salesforce {

namespace {

using Next = Verdict::Next;

constexpr std::int64_t kDayMs = 24 * 3600 * 1000;
/// A refused login is not asked again by every call that finds no token: the user may be locked by it.
constexpr std::int64_t kLoginRestMs = 30'000;
/// An assertion that is refused is tried once more only where another moment of issue can make a difference.
constexpr std::int64_t kSkewThatMattersS = 30;
/// A longer wait than so many times our longest is the caller's to plan.
constexpr std::int64_t kPatience = 2;

/// Below that the body makes its own as fast.
constexpr std::size_t kMemoryWorthUsing = 64u << 10;

/// Salesforce itself gives a request ten minutes, and may prepare a query for two without sending a byte.
constexpr http::Limits kLimits{.total_timeout_ms = 600'000, .slow_for_s = 130};

class UnlimitedPermits : public Permits {
public:
    Result<void> take(std::int64_t) override { return {}; }
    void told(std::int64_t, std::int64_t) override {}
};

void cut_out(std::string& text, std::string_view secret) {
    if (secret.size() < 4) return;
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret)) {
        text.replace(at, secret.size(), "…");
    }
}

bool is_api_version(std::string_view text) {
    return text.size() == 4 && text.ends_with(".0") && parse_int(text.substr(0, 2)).value_or(0) >= 10;
}

}  // namespace

Permits& unlimited_permits() {
    static UnlimitedPermits permits;
    return permits;
}

Session::Session(Credentials credentials, http::Sender& sender, TokenKeeper& tokens, Permits& permits, World& world,
                 Options options)
    : credentials_(std::move(credentials)),
      options_(std::move(options)),
      sender_(sender),
      tokens_(tokens),
      permits_(permits),
      world_(world),
      started_ms_(world.clock.mono_ms()) {
    const auto login_url = checked_login_url(credentials_);
    if (!login_url.ok()) throw Failure(login_url.error().what, login_url.error().hint);
    if (!is_api_version(options_.api_version)) {
        throw Failure(fmt::format("\"{}\" is no API version", options_.api_version), "write it like 62.0");
    }
    check(options_.tries_max > 0 && options_.stopping, "a session tries at least once and can be asked to stop");
}

Result<http::Response> Session::get(std::string_view path, const http::Headers& headers, std::string memory) {
    return call("GET", path, headers, {}, options_.tries_max, std::move(memory));
}

Result<http::Response> Session::post(std::string_view path, std::string_view json_body) {
    return call("POST", path, {}, json_body, options_.tries_max);
}

Result<http::Response> Session::patch(std::string_view path, std::string_view json_body) {
    return call("PATCH", path, {}, json_body, options_.tries_max);
}

Result<http::Response> Session::remove(std::string_view path) {
    return call("DELETE", path, {}, {}, 1);
}

// ---- Calls ----

Result<http::Response> Session::call(std::string_view method, std::string_view path, const http::Headers& headers,
                                     std::string_view json_body, int tries_max, std::string memory) {
    const std::string place = path.starts_with("/services/")
                                  ? std::string(path)
                                  : fmt::format("/services/data/v{}{}", options_.api_version, path);
    http::Request request{
        .method = std::string(method), .target = place, .headers = headers, .body = std::string(json_body)};
    request.headers.insert({{"Accept", "application/json"}, {"Sforce-Call-Options", "client=Lockstep"}});
    if (!json_body.empty()) request.headers.insert({"Content-Type", "application/json"});
    return call(
        std::move(request),
        [](http::Request& unsigned_request, const std::string& access_token) {
            unsigned_request.headers["Authorization"] = "Bearer " + access_token;
        },
        tries_max, std::move(memory));
}

Result<http::Response> Session::ask_user_info() {
    http::Request request{
        .method = "POST",
        .target = fmt::format("/services/Soap/u/{}", options_.api_version),
        .headers = {{"Accept", "text/xml"}, {"Content-Type", "text/xml; charset=UTF-8"}, {"SOAPAction", "\"\""}}};
    return call(
        std::move(request),
        [](http::Request& unsigned_request, const std::string& access_token) {
            unsigned_request.body = user_info_envelope(access_token);
        },
        options_.tries_max);
}

Result<http::Response> Session::call(http::Request request,
                                     void (*sign)(http::Request&, const std::string& access_token), int tries_max,
                                     std::string memory) {
    const std::string place = std::exchange(request.target, {});
    const std::string type = request.headers.at("Accept");
    // Before the login already, for what is never sent needs no token either.
    sign(request, "");
    check(may_send(request.method, place, request.body), "Lockstep only reads: this call is not on the list of gate.h");

    bool fresh = false;  // the token was renewed for this call
    Token token = TRY(token_other_than({}));
    for (int tries = 1;;) {
        TRY(permits_.take(1));
        request.target = token.instance_url + place;
        sign(request, token.access_token);
        check(may_send(request.method, place, request.body), "signing a call does not turn it into another one");
        {
            const std::lock_guard lock(state_.mutex);
            ++state_.calls;
        }
        Result<http::Response> answer = exchange(request, memory);
        Verdict verdict = judge(answer, type, world_.clock.now().plus(clock_skew_s()));
        if (verdict.next == Next::Use) return answer;
        if (verdict.next == Next::LogIn && !fresh) {
            // The call was not carried out, so a replay is safe whatever it is; once, for a fresh token that is refused
            // too means that something else is wrong.
            fresh = true;
            token = TRY(token_other_than(token.access_token));
            continue;
        }
        if (verdict.next != Next::TryAgain || tries == tries_max ||
            verdict.wait_ms > kPatience * options_.backoff_max_ms) {
            return without_secrets(std::move(verdict.error), token.access_token);
        }
        log::debug("salesforce call repeated", {{"tries", tries}, {"why", name(verdict.error.kind)}});
        TRY(back_off(tries, verdict.wait_ms));
        ++tries;
    }
}

Result<http::Response> Session::get_open(std::string_view path) {
    check(may_send("GET", path), "Lockstep only reads: this call is not on the list of gate.h");
    http::Request request{.target = TRY(checked_login_url(credentials_)) + std::string(path)};
    request.headers = {{"Accept", "application/json"}, {"Sforce-Call-Options", "client=Lockstep"}};
    for (int tries = 1;; ++tries) {
        Result<http::Response> answer = exchange(request);
        Verdict verdict = judge(answer, "application/json", world_.clock.now());
        if (verdict.next == Next::Use) return answer;
        if (verdict.next != Next::TryAgain || tries == options_.tries_max) return verdict.error;
        TRY(back_off(tries, verdict.wait_ms));
    }
}

Result<http::Response> Session::exchange(const http::Request& request, std::string& memory) {
    if (memory.capacity() < kMemoryWorthUsing) return exchange(request);
    memory.clear();
    const auto keep = [&](std::string_view piece) {
        memory += piece;
        return true;
    };
    Result<http::Response> answer = sender_.stream(request, keep, kLimits);
    if (!answer.ok()) return answer;
    note(*answer);
    if (answer->body.empty()) answer->body = std::move(memory);
    return answer;
}

Result<http::Response> Session::exchange(const http::Request& request) {
    Result<http::Response> answer = sender_.send(request, kLimits);
    if (answer.ok()) note(*answer);
    return answer;
}

void Session::note(const http::Response& answer) {
    if (const auto at = parse_http_date(answer.header("Date"))) {
        const std::lock_guard lock(state_.mutex);
        state_.server_time = at;
        state_.skew_s = at->seconds - world_.clock.now().seconds;
    }
    note_quota(answer.header("Sforce-Limit-Info"));
}

void Session::note_quota(std::string_view limit_info) {
    auto told = parse_limit_info(limit_info);
    if (!told) return;
    {
        const std::lock_guard lock(state_.mutex);
        // A header that knows of fewer calls than we made ourselves is late or wrong.
        const bool within_a_day = world_.clock.mono_ms() - started_ms_ < kDayMs;
        if (within_a_day) told->used = std::max(told->used, state_.calls);
        state_.quota = told;
    }
    permits_.told(told->used, told->max);
}

Result<void> Session::back_off(int tries, std::int64_t asked_ms) {
    const std::int64_t doubled = options_.backoff_first_ms << std::min(tries - 1, 20);
    const std::int64_t longest = std::min(doubled, options_.backoff_max_ms);
    double share = 0;
    {
        const std::lock_guard lock(state_.mutex);
        share = world_.random.unit();
    }
    // Half of the wait is fixed and half is chance, so that clients that failed together do not come back together.
    // What Salesforce asked for is never undercut.
    const auto jitter = static_cast<std::int64_t>(share * static_cast<double>(longest) / 2);
    return pause(asked_ms > 0 ? asked_ms + jitter : longest / 2 + jitter);
}

Result<void> Session::pause(std::int64_t ms) {
    // The clock's wait ends early when anybody is woken; that is no reason to ask Salesforce sooner.
    const std::int64_t end = world_.clock.mono_ms() + ms;
    for (std::int64_t left = ms; left > 0; left = end - world_.clock.mono_ms()) {
        if (options_.stopping()) {
            return Error{.kind = Kind::Cancelled,
                         .what = "Lockstep was asked to stop while it waited for Salesforce",
                         .hint = "the next run goes on from the last page that was kept"};
        }
        world_.clock.wait_ms(left);
    }
    return {};
}

Error Session::without_secrets(Error error, std::string_view token) const {
    for (std::string* text : {&error.what, &error.hint, &error.code}) {
        cut_out(*text, token);
        cut_out(*text, credentials_.client_secret);
    }
    return error;
}

// ---- Tokens ----

Result<Token> Session::token_other_than(std::string_view stale) {
    std::int64_t logins = 0;
    {
        const std::lock_guard lock(state_.mutex);
        if (state_.token && state_.token->access_token != stale) return *state_.token;
        logins = state_.logins;
    }
    const std::lock_guard one_at_a_time(login_.mutex);
    {
        const std::lock_guard lock(state_.mutex);
        // Somebody logged in while we waited for our turn: what came of it is our answer too.
        const bool just_done = state_.logins != logins;
        const bool resting = state_.login_error && state_.login_error->kind != Kind::Unavailable &&
                             world_.clock.mono_ms() - state_.login_error_ms < kLoginRestMs;
        if (state_.login_error && (just_done || resting)) return *state_.login_error;
        if (state_.token && state_.token->access_token != stale) return *state_.token;
    }
    if (!std::exchange(login_.loaded, true)) {
        const auto kept = tokens_.load();
        if (kept && kept->access_token != stale && is_fit_instance(kept->instance_url, credentials_.login_url)) {
            const std::lock_guard lock(state_.mutex);
            state_.token = kept;
            return *kept;
        }
    }
    return renew();
}

Result<Token> Session::log_in() {
    const std::lock_guard one_at_a_time(login_.mutex);
    login_.loaded = true;
    return renew();
}

/// Call with login_.mutex held.
Result<Token> Session::renew() {
    Result<Token> token = ask_for_token();
    // Durable before its first use: a process killed in between must not lose the only valid token.
    if (token.ok()) tokens_.save(*token);
    if (!token.ok() && token.error().kind == Kind::Denied) tokens_.forget();
    const std::lock_guard lock(state_.mutex);
    ++state_.logins;
    if (token.ok() || token.error().kind == Kind::Denied) state_.token.reset();
    state_.login_error.reset();
    if (token.ok()) {
        state_.token = *token;
        log::info("salesforce login", {{"instance", token->instance_url}});
    } else if (token.error().kind != Kind::Cancelled) {
        state_.login_error = token.error();
        state_.login_error_ms = world_.clock.mono_ms();
    }
    return token;
}

Result<Token> Session::ask_for_token() {
    const std::string login_url = TRY(checked_login_url(credentials_));
    bool corrected = false;  // the clock, by the answer to a refused assertion
    for (int tries = 1;;) {
        const Timestamp now = world_.clock.now().plus(clock_skew_s());
        const http::Request request = TRY(token_request(credentials_, login_url, now));
        const Result<http::Response> answer = exchange(request);
        if (answer.ok() && answer->status >= 400 && answer->status < 429 && answer->status != 408) {
            const bool stale_clock =
                std::abs(world_.clock.now().plus(clock_skew_s()).seconds - now.seconds) >= kSkewThatMattersS;
            if (credentials_.method == Credentials::Method::JwtBearer && stale_clock && !corrected) {
                corrected = true;
                continue;
            }
            return without_secrets(login_refusal(credentials_, *answer), {});
        }
        Verdict verdict = judge(answer, "application/json", now);
        if (verdict.next == Next::Use) return parse_token(answer->body, login_url);
        if (verdict.next != Next::TryAgain || tries == options_.tries_max ||
            verdict.wait_ms > kPatience * options_.backoff_max_ms) {
            return without_secrets(std::move(verdict.error), {});
        }
        TRY(back_off(tries, verdict.wait_ms));
        ++tries;
    }
}

// ---- What is known ----

std::optional<Timestamp> Session::server_time() const {
    const std::lock_guard lock(state_.mutex);
    return state_.server_time;
}

std::int64_t Session::clock_skew_s() const {
    const std::lock_guard lock(state_.mutex);
    return state_.skew_s;
}

std::optional<Session::Quota> Session::quota() const {
    const std::lock_guard lock(state_.mutex);
    return state_.quota;
}

std::int64_t Session::calls_made() const {
    const std::lock_guard lock(state_.mutex);
    return state_.calls;
}

std::string Session::instance_url() const {
    const std::lock_guard lock(state_.mutex);
    return state_.token ? state_.token->instance_url : "";
}

std::string Session::identity_url() const {
    const std::lock_guard lock(state_.mutex);
    return state_.token ? state_.token->identity_url : "";
}

}  // namespace lockstep::salesforce

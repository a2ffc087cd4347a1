#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/world.h"
#include "http/send.h"

namespace lockstep::salesforce {

/// How we prove who we are (salesforce-api 2.2).
struct Credentials {
    enum class Method { ClientCredentials, JwtBearer } method = Method::ClientCredentials;
    /// "https://login.salesforce.com", "https://test.salesforce.com", a My Domain, or a sandbox org on loopback.
    std::string login_url;
    std::string client_id;
    std::string client_secret;    ///< ClientCredentials
    std::string username;         ///< JwtBearer
    std::string private_key_pem;  ///< JwtBearer
};

struct Token {
    std::string access_token;
    std::string instance_url;  ///< where data calls go; pinned for the life of the token
    std::string identity_url;  ///< ends in organization id and user id
    Timestamp issued_at;
};

/// Keeps the current token where it survives a restart. A token is durable before its first use, so that a killed
/// process does not lose a rotated one. Called by Session under its lock.
class TokenKeeper {
public:
    virtual ~TokenKeeper() = default;
    virtual std::optional<Token> load() = 0;
    virtual void save(const Token& token) = 0;
    virtual void forget() = 0;
};

/// Permission to spend API calls, taken before they are made (reliability 4.4). Called from any thread.
class Permits {
public:
    virtual ~Permits() = default;
    /// Errors: Throttled – the configured share of the org's daily calls is spent; retry_after_s says for how long.
    virtual Result<void> take(std::int64_t calls) = 0;
    /// What Salesforce says of the org's use: used and maximum of the rolling day. Not called for a figure that makes
    /// no sense; `used` is never less than what the session itself has spent. Of an org-wide and an app's own limit,
    /// the one with less left is told.
    virtual void told(std::int64_t used, std::int64_t max) = 0;
};
/// Grants everything and forgets; for tools and tests.
Permits& unlimited_permits();

/// An authenticated line to one org.
///
/// Gets a token when it has none, renews it once for all threads when a call finds it expired, replays that call once,
/// retries what is retryable (429, 5xx, connection trouble, cut or foreign answers, concurrent-request limits) with
/// jittered back-off, and reads server time and quota from each answer. Tokens and secrets are sent to the login host
/// and the instance only, and stand in no error and no log line.
///
/// Lockstep only reads: a call that is not on the list of gate.h is a Bug, thrown before anything is sent.
///
/// Thread rules: any thread.
class Session {
public:
    struct Options {
        std::string api_version = "62.0";
        int tries_max = 5;
        std::int64_t backoff_first_ms = 500, backoff_max_ms = 30'000;
        /// Asked before each wait and whenever the clock is woken; true ends the call with Cancelled.
        std::function<bool()> stopping = [] { return false; };
    };
    /// Throws Failure when the login address or the API version can not be one of Salesforce.
    Session(Credentials credentials, http::Sender& sender, TokenKeeper& tokens, Permits& permits, World& world,
            Options options);

    /// `path` is below /services/data/vNN.0, or absolute ("/services/…"). Headers of our own are added; the answer has
    /// the type of the Accept header (application/json unless given), or no body.
    /// Errors: Denied – credentials refused, revoked, or lacking a right (with what to ask the admin for);
    ///         Throttled – daily quota spent, or throttled beyond our patience;
    ///         Unavailable – not reachable, 5xx to the end; BadReply – cut, HTML or otherwise no answer of the API;
    ///         NotFound, Rejected – with Salesforce's code and words; Cancelled – we are stopping.
    /// `memory` is where the body goes, when its caller has some to spare: what it holds is thrown away.
    Result<http::Response> get(std::string_view path, const http::Headers& headers = {}, std::string memory = {});
    Result<http::Response> post(std::string_view path, std::string_view json_body);
    Result<http::Response> patch(std::string_view path, std::string_view json_body);
    /// Tried once, without a wait: what is removed is of no more use to us, so that nobody minds when it stays.
    Result<http::Response> remove(std::string_view path);
    /// SOAP's getUserInfo, read by soap.h: the token stands in the body, the answer is text/xml. Errors as above.
    Result<http::Response> ask_user_info();
    /// A GET that needs no login, at the login host.
    Result<http::Response> get_open(std::string_view path);

    /// Forces a login: the credentials test of `connect` and `doctor`.
    Result<Token> log_in();
    /// Waits on the world's clock. Errors: Cancelled.
    Result<void> pause(std::int64_t ms);
    /// Server time of the latest answer (its Date header); nothing before the first one. Local clocks bound no window.
    std::optional<Timestamp> server_time() const;
    /// Server time minus local time at the latest answer, in seconds.
    std::int64_t clock_skew_s() const;
    /// Server time as this machine's clock makes it out: good enough to ask by, never to be remembered.
    Timestamp server_time_about_now() const { return world_.clock.now().plus(clock_skew_s()); }
    /// The world's monotonic clock, to measure how long an answer took.
    std::int64_t mono_ms() const { return world_.clock.mono_ms(); }
    struct Quota {
        std::int64_t used = 0, max = 0;
    };
    std::optional<Quota> quota() const;
    std::int64_t calls_made() const;  ///< API calls since construction, the token's not counted
    const std::string& api_version() const { return options_.api_version; }
    std::string instance_url() const;  ///< empty before the first login
    std::string identity_url() const;  ///< likewise

private:
    Result<http::Response> call(std::string_view method, std::string_view path, const http::Headers& headers,
                                std::string_view json_body, int tries_max, std::string memory = {});
    /// Completes `request`, whose target is host-relative and which `sign` gives the token, and makes the call.
    Result<http::Response> call(http::Request request, void (*sign)(http::Request&, const std::string& access_token),
                                int tries_max, std::string memory = {});
    Result<Token> token_other_than(std::string_view stale);
    Result<Token> renew();
    Result<Token> ask_for_token();
    /// Leaves `memory` as it is when the answer's body does not use it.
    Result<http::Response> exchange(const http::Request& request, std::string& memory);
    Result<http::Response> exchange(const http::Request& request);
    void note(const http::Response& answer);
    void note_quota(std::string_view limit_info);
    Result<void> back_off(int tries, std::int64_t asked_ms);
    Error without_secrets(Error error, std::string_view token) const;

    const Credentials credentials_;
    const Options options_;
    http::Sender& sender_;
    TokenKeeper& tokens_;
    Permits& permits_;
    World& world_;
    const std::int64_t started_ms_;

    struct State {
        mutable std::mutex mutex;
        std::optional<Token> token;
        std::int64_t logins = 0;           ///< finished ones, whatever came of them
        std::optional<Error> login_error;  ///< of the latest login
        std::int64_t login_error_ms = 0;
        std::optional<Timestamp> server_time;
        std::int64_t skew_s = 0;
        std::int64_t calls = 0;
        std::optional<Quota> quota;
    };
    State state_;
    /// Held through a login, so that all who find the token expired wait for one answer.
    struct Login {
        std::mutex mutex;
        bool loaded = false;  ///< the keeper was asked
    };
    Login login_;
};

}  // namespace lockstep::salesforce

#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/org.h"
#include "sandbox/settings.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// How the one connected app and its user prove who they are.
struct Credentials {
    std::string username;  ///< of the connected user
    std::string password;
    std::string security_token;  ///< may follow the password, and must where the org asks for it; empty: there is none
    std::string client_id;
    std::string client_secret;
    std::string jwt_public_key_pem;  ///< empty: no JWT is accepted
};

/// Sessions of the API: gives them for a proof of identity, knows them again, ends them.
///
/// Thread-safe; takes the org's read_lock() itself, so call it without one.
/// Source: salesforce-api 2.
class OAuth {
public:
    OAuth(const Org& org, const SettingsBox& settings, Credentials credentials);

    /// POST /services/oauth2/token: client_credentials (secrets in the body or as HTTP Basic), JWT bearer, password.
    http::Answer token(const Call& call);
    http::Answer revoke(const Call& call);
    http::Answer introspect(const Call& call);
    http::Answer userinfo(const Call& call);
    http::Answer identity(const Call& call);

    /// Opens a session for user name and password, the security token behind it. Returns its token.
    /// Errors: Denied with `code` INVALID_LOGIN, or LOGIN_MUST_USE_SECURITY_TOKEN – the token is lacking.
    Result<std::string> log_in(std::string_view username, std::string_view password);
    /// The user of a session that is alive; using it keeps it alive.
    std::optional<std::string> user_of(std::string_view token);
    /// The token of "Authorization: Bearer …" or "OAuth …"; nothing: there is no such header.
    static std::optional<std::string> token_of(const http::Request& request);
    void end(std::string_view token);
    void end_all();
    const Credentials& credentials() const { return credentials_; }

private:
    struct Session {
        Timestamp opened, used;
    };
    Timestamp now() const;
    /// The code of the fault; empty: the proof is good.
    std::string log_in_refusal(std::string_view username, std::string_view password) const;
    std::string new_session();
    http::Answer open_session(const Call& call, std::string_view scope);
    std::string refusal_of_jwt(std::string_view assertion) const;

    const Org& org_;
    const SettingsBox& settings_;
    const Credentials credentials_;
    std::mutex mutex_;
    std::map<std::string, Session, std::less<>> sessions_;  ///< by token; all belong to the connected user
};

}  // namespace lockstep::sandbox

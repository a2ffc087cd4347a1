#include "sandbox/oauth.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

constexpr std::size_t sessions_max = 10'000;

http::Answer refused(std::string_view error, std::string_view description, int status = 400) {
    std::string body = "{";
    append_member(body, "error", error);
    append_member(body, "error_description", description);
    auto answer = json_answer(status, body + "}");
    answer.headers["Cache-Control"] = "no-cache, no-store";
    answer.headers["Pragma"] = "no-cache";
    return answer;
}

http::Answer html_refusal(int status, const char* text) {
    http::Answer answer;
    answer.status = status;
    answer.headers["Content-Type"] = "text/html;charset=UTF-8";
    answer.body = text;
    return answer;
}

/// 96 characters of [A-Za-z0-9._], which is what command line tools insist on.
std::string new_secret() {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    std::string secret = random_bytes(96);
    for (char& c : secret) c = alphabet[static_cast<unsigned char>(c) % alphabet.size()];
    return secret;
}

std::optional<std::string> from_base64url(std::string_view text) {
    std::string plain(text);
    std::replace(plain.begin(), plain.end(), '-', '+');
    std::replace(plain.begin(), plain.end(), '_', '/');
    while (plain.size() % 4 != 0) plain += '=';
    return from_base64(plain);
}

/// What the org knows of its connected user.
struct Person {
    std::string id, username, name, first_name, last_name, email, alias, time_zone, locale, language;
    std::int64_t utc_offset_ms = 0;
    Timestamp modified;
};

Person person_of(const Org& org, const std::string& id) {
    Person person{.id = id};
    const int user = org.schema().find("User");
    const auto row = user < 0 ? std::nullopt : org.row_of(user, id);
    if (!row) return person;
    const auto text = [&](const char* name, const char* otherwise) -> std::string {
        const int field = org.schema().at(user).find(name);
        const Cell cell = field < 0 ? Cell() : org.value(user, *row, field);
        const auto* found = std::get_if<std::string>(&cell);
        return found && !found->empty() ? *found : otherwise;
    };
    person.username = text("Username", "");
    person.name = text("Name", "");
    person.first_name = text("FirstName", "");
    person.last_name = text("LastName", "");
    person.email = text("Email", "");
    person.alias = text("Alias", "");
    person.time_zone = text("TimeZoneSidKey", "GMT");
    // Standard time, as recorded; the zones an org is generated with.
    if (person.time_zone == "America/Los_Angeles") person.utc_offset_ms = -28'800'000;
    person.locale = text("LocaleSidKey", "en_US");
    person.language = text("LanguageLocaleKey", "en_US");
    person.modified = org.modstamp(user, *row);
    return person;
}

}  // namespace

OAuth::OAuth(const Org& org, const SettingsBox& settings, Credentials credentials)
    : org_(org), settings_(settings), credentials_(std::move(credentials)) {}

Timestamp OAuth::now() const {
    const auto lock = org_.read_lock();
    return org_.now();
}

http::Answer OAuth::token(const Call& call) {
    if (call.method != "POST") return refused("invalid_request", "must use HTTP POST");
    auto form = form_fields(call.request.body);
    if (const auto header = call.request.header("Authorization"); starts_with_ignoring_case(header, "Basic ")) {
        const auto pair = from_base64(trim(header.substr(6)));
        const std::size_t colon = pair ? pair->find(':') : std::string::npos;
        if (colon == std::string::npos) return refused("invalid_client", "invalid client credentials");
        form["client_id"] = url_decode(pair->substr(0, colon), false);
        form["client_secret"] = url_decode(pair->substr(colon + 1), false);
    }
    const auto client_refusal = [&]() -> std::optional<http::Answer> {
        if (form["client_id"] != credentials_.client_id)
            return refused("invalid_client_id", "client identifier invalid");
        if (form["client_secret"] != credentials_.client_secret)
            return refused("invalid_client", "invalid client credentials");
        return std::nullopt;
    };
    const std::string& grant = form["grant_type"];
    if (grant == "client_credentials") {
        if (auto refusal = client_refusal()) return *refusal;
        return open_session(call, "api");
    }
    if (grant == "password") {
        if (auto refusal = client_refusal()) return *refusal;
        if (!log_in_refusal(form["username"], form["password"]).empty())
            return refused("invalid_grant", "authentication failure");
        return open_session(call, "");
    }
    if (grant == "urn:ietf:params:oauth:grant-type:jwt-bearer") {
        const std::string refusal = refusal_of_jwt(form["assertion"]);
        if (refusal == "client identifier invalid") return refused("invalid_client_id", refusal);
        if (!refusal.empty()) return refused("invalid_grant", refusal);
        return open_session(call, "api");
    }
    return refused("unsupported_grant_type", "grant type not supported");
}

std::string OAuth::log_in_refusal(std::string_view username, std::string_view password) const {
    if (!equals_ignoring_case(username, credentials_.username)) return "INVALID_LOGIN";
    if (password == credentials_.password + credentials_.security_token) return "";
    if (password != credentials_.password) return "INVALID_LOGIN";
    return settings_.get().security_token ? "LOGIN_MUST_USE_SECURITY_TOKEN" : "";
}

Result<std::string> OAuth::log_in(std::string_view username, std::string_view password) {
    const std::string refusal = log_in_refusal(username, password);
    if (refusal.empty()) return new_session();
    Error error{.kind = Kind::Denied, .what = "Invalid username, password, security token; or user locked out."};
    error.code = refusal;
    return error;
}

std::string OAuth::new_session() {
    const Timestamp at = now();
    std::string token = org_.organization_id().substr(0, 15) + "!" + new_secret();
    {
        const std::scoped_lock lock(mutex_);
        if (sessions_.size() >= sessions_max) {
            const auto by_use = [](const auto& a, const auto& b) { return a.second.used < b.second.used; };
            sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), by_use));
        }
        sessions_[token] = {at, at};
    }
    return token;
}

http::Answer OAuth::open_session(const Call& call, std::string_view scope) {
    const Timestamp at = now();
    const std::string token = new_session();
    // On the platform this link leads to the login host. Here it must lead back to us, or clients that follow it would
    // leave the machine.
    const std::string id = call.host_url + "/id/" + org_.organization_id() + "/" + org_.integration_user_id();
    const std::string issued_at = std::to_string(at.seconds * 1000);
    std::string body = "{";
    append_member(body, "access_token", token);
    append_member(body, "instance_url", call.host_url);
    append_member(body, "id", id);
    append_member(body, "token_type", "Bearer");
    append_member(body, "issued_at", issued_at);
    append_member(body, "signature", to_base64(hmac_sha256(credentials_.client_secret, id + issued_at)));
    if (!scope.empty()) append_member(body, "scope", scope);
    auto answer = json_answer(200, body + "}");
    answer.headers["Cache-Control"] = "no-cache, no-store";
    answer.headers["Pragma"] = "no-cache";
    return answer;
}

std::string OAuth::refusal_of_jwt(std::string_view assertion) const {
    const auto parts = split(assertion, '.');
    if (parts.size() != 3) return "invalid assertion";
    const auto header_text = from_base64url(parts[0]);
    const auto claims_text = from_base64url(parts[1]);
    const auto signature = from_base64url(parts[2]);
    if (!header_text || !claims_text || !signature) return "invalid assertion";
    const auto header = parse_json(*header_text);
    const auto parsed = parse_json(*claims_text);
    if (!header.ok() || !header->is_object() || !parsed.ok() || !parsed->is_object()) return "invalid assertion";
    const json::object& claims = parsed->as_object();
    if (text_at(header->as_object(), "alg") != "RS256") return "invalid assertion";
    if (text_at(claims, "iss") != credentials_.client_id) return "client identifier invalid";
    const std::string_view signed_part = assertion.substr(0, parts[0].size() + 1 + parts[1].size());
    if (credentials_.jwt_public_key_pem.empty() ||
        !verify_rs256(credentials_.jwt_public_key_pem, signed_part, *signature))
        return "invalid assertion";
    const auto expires = double_at(claims, "exp");
    if (!expires) return "invalid assertion";
    // Some clients give milliseconds. No limit on how far ahead: they also mix seconds with milliseconds.
    const double seconds = *expires > 1e11 ? *expires / 1000 : *expires;
    if (seconds < static_cast<double>(now().seconds)) return "invalid assertion";
    // The audience is not compared: clients name login hosts, this host, each with and without a trailing slash.
    if (!text_at(claims, "aud") && !array_at(claims, "aud")) return "audience is invalid";
    if (!equals_ignoring_case(text_at(claims, "sub").value_or(""), credentials_.username))
        return "user hasn't approved this consumer";
    return "";
}

http::Answer OAuth::revoke(const Call& call) {
    std::string token = call.request.query("token");
    if (token.empty()) token = form_fields(call.request.body)["token"];
    const std::scoped_lock lock(mutex_);
    if (sessions_.erase(token) == 0) {
        http::Answer answer;
        answer.status = 400;
        answer.headers["Content-Type"] = "application/x-www-form-urlencoded";
        answer.body = "error=unsupported_token_type&error_description=this+token+type+is+not+supported";
        return answer;
    }
    return empty_answer(200);
}

http::Answer OAuth::introspect(const Call& call) {
    auto form = form_fields(call.request.body);
    if (form["client_id"] != credentials_.client_id || form["client_secret"] != credentials_.client_secret)
        return refused("invalid_client", "invalid client credentials", 401);
    const bool alive = user_of(form["token"]).has_value();
    std::string body = "{";
    append_raw_member(body, "active", alive ? "true" : "false");
    if (alive) {
        append_member(body, "scope", "api");
        append_member(body, "client_id", credentials_.client_id);
        append_member(body, "username", credentials_.username);
        append_member(body, "sub", call.host_url + "/id/" + org_.organization_id() + "/" + org_.integration_user_id());
        append_member(body, "token_type", "access_token");
    }
    return json_answer(200, body + "}");
}

http::Answer OAuth::userinfo(const Call& call) {
    const auto token = token_of(call.request);
    const auto user = token ? user_of(*token) : std::nullopt;
    if (!user) return html_refusal(403, token ? "Bad_OAuth_Token" : "Missing_OAuth_Token");
    const auto lock = org_.read_lock();
    const Person person = person_of(org_, *user);
    json::object body = {
        {"sub", call.host_url + "/id/" + org_.organization_id() + "/" + person.id},
        {"user_id", person.id},
        {"organization_id", org_.organization_id()},
        {"preferred_username", credentials_.username},
        {"nickname", person.alias},
        {"name", person.name},
        {"email", person.email},
        {"email_verified", true},
        {"given_name", person.first_name},
        {"family_name", person.last_name},
        {"zoneinfo", person.time_zone},
        {"photos",
         {{"picture", call.host_url + "/profilephoto/005/F"}, {"thumbnail", call.host_url + "/profilephoto/005/T"}}},
        {"profile", call.host_url + "/" + person.id},
        {"picture", call.host_url + "/profilephoto/005/F"},
        {"address", json::object()},
        {"urls", {{"rest", call.host_url + "/services/data/v{version}/"}}},
        {"active", true},
        {"user_type", "STANDARD"},
        {"language", person.language},
        {"locale", person.locale},
        {"utcOffset", person.utc_offset_ms},
        {"updated_at", to_string(person.modified)},
        {"is_app_installed", true},
    };
    return json_answer(200, json::serialize(body));
}

http::Answer OAuth::identity(const Call& call) {
    auto token = token_of(call.request);
    if (!token && call.request.has_query("oauth_token")) token = call.request.query("oauth_token");
    if (!token) return html_refusal(403, "Missing_OAuth_Token");
    const auto user = user_of(*token);
    if (!user) return html_refusal(403, "Bad_OAuth_Token");
    if (call.args.at(0).substr(0, 15) != org_.organization_id().substr(0, 15)) return html_refusal(403, "Wrong_Org");
    if (call.args.at(1).substr(0, 15) != user->substr(0, 15)) return not_found();
    const auto lock = org_.read_lock();
    const Person person = person_of(org_, *user);
    const std::string org15 = org_.organization_id().substr(0, 15);
    const std::string data = call.host_url + "/services/data/v{version}/";
    json::object body = {
        {"id", call.host_url + "/id/" + org_.organization_id() + "/" + person.id},
        {"asserted_user", true},
        {"user_id", person.id},
        {"organization_id", org_.organization_id()},
        {"username", credentials_.username},
        {"nick_name", person.alias},
        {"display_name", person.name},
        {"email", person.email},
        {"email_verified", true},
        {"first_name", person.first_name},
        {"last_name", person.last_name},
        {"timezone", person.time_zone},
        {"photos",
         {{"picture", call.host_url + "/profilephoto/005/F"}, {"thumbnail", call.host_url + "/profilephoto/005/T"}}},
        {"addr_street", nullptr},
        {"addr_city", nullptr},
        {"addr_state", nullptr},
        {"addr_country", nullptr},
        {"addr_zip", nullptr},
        {"mobile_phone", nullptr},
        {"mobile_phone_verified", false},
        {"status", {{"created_date", nullptr}, {"body", nullptr}}},
        {"urls",
         {{"enterprise", call.host_url + "/services/Soap/c/{version}/" + org15},
          {"metadata", call.host_url + "/services/Soap/m/{version}/" + org15},
          {"partner", call.host_url + "/services/Soap/u/{version}/" + org15},
          {"rest", data},
          {"sobjects", data + "sobjects/"},
          {"search", data + "search/"},
          {"query", data + "query/"},
          {"recent", data + "recent/"},
          {"profile", call.host_url + "/" + person.id}}},
        {"active", true},
        {"user_type", "STANDARD"},
        {"language", person.language},
        {"locale", person.locale},
        {"utcOffset", person.utc_offset_ms},
        {"last_modified_date", wire_time(person.modified)},
        {"is_app_installed", true},
    };
    return json_answer(200, json::serialize(body));
}

std::optional<std::string> OAuth::user_of(std::string_view token) {
    const Timestamp at = now();
    const std::int64_t timeout_s = settings_.get().session_timeout_s;
    const std::scoped_lock lock(mutex_);
    const auto found = sessions_.find(token);
    if (found == sessions_.end()) return std::nullopt;
    if (at.seconds - found->second.used.seconds >= timeout_s) {
        sessions_.erase(found);
        return std::nullopt;
    }
    found->second.used = at;
    return org_.integration_user_id();
}

std::optional<std::string> OAuth::token_of(const http::Request& request) {
    const std::string_view header = request.header("Authorization");
    for (const std::string_view scheme : {"Bearer ", "OAuth "})
        if (starts_with_ignoring_case(header, scheme)) return std::string(trim(header.substr(scheme.size())));
    return std::nullopt;
}

void OAuth::end(std::string_view token) {
    const std::scoped_lock lock(mutex_);
    const auto found = sessions_.find(token);
    if (found != sessions_.end()) sessions_.erase(found);
}

void OAuth::end_all() {
    const std::scoped_lock lock(mutex_);
    sessions_.clear();
}

}  // namespace lockstep::sandbox

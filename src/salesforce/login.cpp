#include "salesforce/login.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "salesforce/answer.h"

namespace lockstep::salesforce {

namespace {

using Method = Credentials::Method;

constexpr std::int64_t kAssertionLifeS = 180;  // Salesforce refuses more than some 3 to 5 minutes

struct Origin {
    std::string scheme, host, port;
    bool loopback = false;
    std::string url() const { return scheme + "://" + host + (port.empty() ? "" : ":" + port); }
};

bool is_loopback(std::string_view host) {
    if (host == "localhost" || host == "[::1]") return true;
    return host.starts_with("127.") &&
           std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

/// Scheme, host and port of an address without user, path or query.
std::optional<Origin> parse_origin(std::string_view url) {
    if (url.ends_with('/')) url.remove_suffix(1);
    Origin origin;
    const std::size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) return std::nullopt;
    origin.scheme = to_lower(url.substr(0, scheme));
    std::string_view rest = url.substr(scheme + 3);
    const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
    if (bracket == std::string_view::npos) return std::nullopt;
    const std::size_t colon = rest.find(':', bracket);
    origin.host = to_lower(rest.substr(0, colon));
    if (colon != std::string_view::npos) {
        origin.port = rest.substr(colon + 1);
        const auto port = parse_int(origin.port);
        if (!port || *port < 1 || *port > 65535) return std::nullopt;
    }
    const bool v6 = origin.host.starts_with('[');
    const bool plain = !origin.host.empty() && std::ranges::all_of(origin.host, [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               (v6 && (c == ':' || c == '[' || c == ']'));
    });
    if (!plain) return std::nullopt;
    origin.loopback = is_loopback(origin.host);
    if (origin.scheme != "https" && !(origin.scheme == "http" && origin.loopback)) return std::nullopt;
    return origin;
}

bool is_under(std::string_view host, std::string_view domain) {
    return host == domain || (host.ends_with(domain) && host[host.size() - domain.size() - 1] == '.');
}

/// Domains of Salesforce's API hosts: the public cloud, the one of the US government, the one in China.
bool is_salesforce(const Origin& origin) {
    constexpr std::array<std::string_view, 4> domains = {"salesforce.com", "salesforce.mil", "sfcrmproducts.cn",
                                                         "cloudforce.com"};
    return origin.scheme == "https" && origin.port.empty() &&
           std::ranges::any_of(domains, [&](std::string_view domain) { return is_under(origin.host, domain); });
}

bool is_shared_login(const Origin& origin) {
    return origin.host == "login.salesforce.com" || origin.host == "test.salesforce.com";
}

/// What a person can do about a refusal, by OAuth's code and a piece of its description (empty: any).
struct Advice {
    std::string_view code, piece, hint;
};
constexpr std::array kAdvice{
    Advice{"invalid_client_id", "", "check the connected app's consumer key in Setup > App Manager"},
    Advice{
        "invalid_client", "",
        "check the connected app's consumer key and secret in Setup > App Manager; a new app needs up to ten minutes"},
    Advice{
        "invalid_grant", "user hasn't approved",
        "pre-authorise the user: in the connected app's policies choose 'Admin approved users are pre-authorized' and "
        "add the user's profile or permission set"},
    Advice{"invalid_grant", "not authorized",
           "add the user's profile or permission set to the connected app in Setup > Manage Connected Apps"},
    Advice{"invalid_grant", "no client credentials user",
           "in the connected app enable the client credentials flow and choose the user it runs as"},
    Advice{"invalid_grant", "not supported on this domain",
           "use the org's My Domain address (https://….my.salesforce.com) as login address"},
    Advice{
        "invalid_grant", "audience",
        "use https://login.salesforce.com for production, https://test.salesforce.com for a sandbox, or the My Domain"},
    Advice{"invalid_grant", "ip restricted",
           "allow this machine's address in the connected app's IP relaxation, or in the profile's login IP ranges"},
    Advice{"invalid_grant", "inactive", "activate or unfreeze the integration user in Setup > Users"},
    Advice{"invalid_grant", "assertion",
           "check that this machine's clock is right, that the connected app has our certificate, and the user name"},
    Advice{"invalid_grant", "",
           "check the integration user and the connected app's policies; Setup > Login History "
           "tells why a login failed"},
    Advice{"inactive_user", "", "activate or unfreeze the integration user in Setup > Users"},
    Advice{"inactive_org", "", "the org itself is locked or expired: ask Salesforce"},
    Advice{"unsupported_grant_type", "", "enable the flow in the connected app's OAuth settings"},
};

Result<std::string> assertion(const Credentials& credentials, const std::string& audience, Timestamp now) {
    const json::object claims = {{"iss", credentials.client_id},
                                 {"sub", credentials.username},
                                 {"aud", audience},
                                 {"exp", now.seconds + kAssertionLifeS}};
    const std::string head =
        to_base64url(R"({"alg":"RS256","typ":"JWT"})") + "." + to_base64url(json::serialize(claims));
    const std::string signature = TRY(sign_rs256(credentials.private_key_pem, head));
    return head + "." + to_base64url(signature);
}

}  // namespace

Result<std::string> checked_login_url(const Credentials& credentials) {
    const auto origin = parse_origin(credentials.login_url);
    if (!origin || !(origin->loopback || is_salesforce(*origin))) {
        return Error{
            .kind = Kind::Invalid,
            .what = fmt::format("\"{}\" is no login address of Salesforce", to_valid_utf8(credentials.login_url)),
            .hint =
                "use the org's My Domain, https://NAME.my.salesforce.com, as Setup > My Domain shows it; not "
                "the lightning.force.com address of the browser"};
    }
    if (credentials.method == Method::ClientCredentials && is_shared_login(*origin)) {
        return Error{.kind = Kind::Invalid,
                     .what = fmt::format("{} does not take client credentials", origin->host),
                     .hint = "use the org's My Domain, https://NAME.my.salesforce.com, as Setup > My Domain shows it"};
    }
    return origin->url();
}

Result<http::Request> token_request(const Credentials& credentials, const std::string& login_url, Timestamp now) {
    http::Request request{.method = "POST", .target = login_url + "/services/oauth2/token"};
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Accept", "application/json"}};
    if (credentials.method == Method::ClientCredentials) {
        request.body = "grant_type=client_credentials&client_id=" + url_encode(credentials.client_id) +
                       "&client_secret=" + url_encode(credentials.client_secret);
    } else {
        const std::string signed_text = TRY(assertion(credentials, login_url, now));
        request.body = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + signed_text;
    }
    return request;
}

Result<Token> parse_token(std::string_view body, const std::string& login_url) {
    const Error unusable{.kind = Kind::BadReply,
                         .what = "The answer to our login holds no token",
                         .hint = "check the login address: it must be one of Salesforce"};
    const auto parsed = parse_json(body);
    if (!parsed.ok() || !parsed->is_object()) return unusable;
    const json::object& fields = parsed->get_object();
    Token token;
    token.access_token = text_at(fields, "access_token").value_or("");
    token.identity_url = text_at(fields, "id").value_or("");
    const bool printable = std::ranges::all_of(token.access_token, [](char c) { return c > ' ' && c < 0x7F; });
    if (token.access_token.empty() || !printable) return unusable;
    const std::string instance = text_at(fields, "instance_url").value_or("");
    if (!is_fit_instance(instance, login_url)) {
        return Error{.kind = Kind::Denied,
                     .what = fmt::format("The login named \"{}\" as the org's address, which is not Salesforce's",
                                         to_valid_utf8(instance.substr(0, 200))),
                     .hint = "check the login address; our token was not sent there"};
    }
    token.instance_url = parse_origin(instance)->url();
    if (const auto issued = text_at(fields, "issued_at"))
        token.issued_at.seconds = parse_int(*issued).value_or(0) / 1000;
    return token;
}

bool is_fit_instance(std::string_view instance_url, std::string_view login_url) {
    const auto instance = parse_origin(instance_url);
    const auto login = parse_origin(login_url);
    if (!instance || !login) return false;
    return login->loopback ? instance->loopback : is_salesforce(*instance);
}

Error login_refusal(const Credentials& credentials, const http::Response& answer) {
    std::string code, words;
    if (const auto parsed = parse_json(answer.body); parsed.ok() && parsed->is_object()) {
        code = text_at(parsed->get_object(), "error").value_or("");
        words = text_at(parsed->get_object(), "error_description").value_or("");
    }
    if (code.empty()) {
        return {.kind = Kind::BadReply,
                .what = fmt::format("The login address answered {} without Salesforce's reason", answer.status),
                .hint = "check the login address: it must be one of Salesforce"};
    }
    const bool client = credentials.method == Method::ClientCredentials;
    const std::string reason = words.empty() ? code : code + ": " + words;
    Error error{.kind = Kind::Denied,
                .what = client ? fmt::format("Salesforce refused the client id and secret ({})", in_a_line(reason))
                               : fmt::format("Salesforce refused the signed login of {} ({})", credentials.username,
                                             in_a_line(reason)),
                .code = code};
    const std::string folded = to_lower(words);
    for (const Advice& advice : kAdvice) {
        if (advice.code != code || folded.find(advice.piece) == std::string::npos) continue;
        error.hint = advice.hint;
        break;
    }
    if (code == "rate_limit_exceeded") {
        error.kind = Kind::Throttled;
        error.what = fmt::format("Salesforce allows no more logins for now ({})", in_a_line(reason));
        error.hint = "another program logs in with this user far too often; see Setup > Login History";
        error.retry_after_s = 3600;
    }
    return error;
}

}  // namespace lockstep::salesforce

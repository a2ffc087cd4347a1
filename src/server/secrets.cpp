#include "server/secrets.h"

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/log.h"
#include "store/journal.h"

namespace lockstep::server {

namespace {

// Names of rows, and places of their seals.
constexpr std::string_view kCredentials = "credentials";
constexpr std::string_view kToken = "token";

std::optional<std::string> sealed(store::Database& db, std::string_view name) {
    std::optional<std::string> bytes;
    db.read([&](store::Connection& connection) { bytes = store::sealed_secret(connection, name); });
    return bytes;
}

void keep(store::Database& db, const MasterKey& key, std::string_view name, const json::object& secret) {
    const std::string bytes = key.seal(json::serialize(secret), name);
    db.write([&](store::Transaction& tx) { store::save_sealed_secret(tx, name, bytes); });
}

}  // namespace

Result<std::optional<salesforce::Credentials>> Secrets::credentials() {
    const auto bytes = sealed(db_, kCredentials);
    if (!bytes) return std::optional<salesforce::Credentials>();
    const Result<std::string> text = key_.open(*bytes, kCredentials);
    if (!text) {
        return Error{.kind = Kind::Denied,
                     .what = "the stored credentials can not be opened with this master key",
                     .hint = "bring the key back that was used to store them, or run lockstep connect again"};
    }
    const json::value parsed = TRY(parse_json(*text));
    const json::object& object = parsed.as_object();
    salesforce::Credentials credentials;
    credentials.method = text_at(object, "method") == "jwt" ? salesforce::Credentials::Method::JwtBearer
                                                            : salesforce::Credentials::Method::ClientCredentials;
    credentials.login_url = text_at(object, "login_url").value_or("");
    credentials.client_id = text_at(object, "client_id").value_or("");
    credentials.client_secret = text_at(object, "client_secret").value_or("");
    credentials.username = text_at(object, "username").value_or("");
    credentials.private_key_pem = text_at(object, "private_key").value_or("");
    return std::optional(credentials);
}

void Secrets::save(const salesforce::Credentials& credentials) {
    const bool jwt = credentials.method == salesforce::Credentials::Method::JwtBearer;
    keep(db_, key_, kCredentials,
         {{"method", jwt ? "jwt" : "client_credentials"},
          {"login_url", credentials.login_url},
          {"client_id", credentials.client_id},
          {"client_secret", credentials.client_secret},
          {"username", credentials.username},
          {"private_key", credentials.private_key_pem}});
}

std::optional<salesforce::Token> Secrets::load() {
    const auto bytes = sealed(db_, kToken);
    if (!bytes) return {};
    const Result<std::string> text = key_.open(*bytes, kToken);
    if (!text) {
        log::warn("the stored token can not be opened; a new one is asked for");
        return {};
    }
    const Result<json::value> parsed = parse_json(*text);
    if (!parsed || !parsed->is_object()) return {};
    const json::object& object = parsed->as_object();
    salesforce::Token token;
    token.access_token = text_at(object, "access_token").value_or("");
    token.instance_url = text_at(object, "instance_url").value_or("");
    token.identity_url = text_at(object, "identity_url").value_or("");
    token.issued_at = {int_at(object, "issued_at").value_or(0)};
    if (token.access_token.empty()) return {};
    return token;
}

void Secrets::save(const salesforce::Token& token) {
    keep(db_, key_, kToken,
         {{"access_token", token.access_token},
          {"instance_url", token.instance_url},
          {"identity_url", token.identity_url},
          {"issued_at", token.issued_at.seconds}});
}

void Secrets::forget() {
    db_.write([&](store::Transaction& tx) { store::remove_secret(tx, kToken); });
}

void Secrets::forget_all(store::Database& db) {
    db.write([&](store::Transaction& tx) {
        store::remove_secret(tx, kToken);
        store::remove_secret(tx, kCredentials);
    });
}

}  // namespace lockstep::server

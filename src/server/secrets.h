#pragma once

#include <optional>

#include "base/crypto.h"
#include "base/result.h"
#include "salesforce/session.h"
#include "store/database.h"

namespace lockstep::server {

/// Credentials and token, sealed by the master key, in the database. Both are durable when a call returns.
///
/// Thread rules: any thread. Not inside a transaction of the same thread.
class Secrets : public salesforce::TokenKeeper {
public:
    Secrets(store::Database& db, const MasterKey& key) : db_(db), key_(key) {}

    /// Nothing: none are stored. Errors: Denied – sealed by another key, or changed.
    Result<std::optional<salesforce::Credentials>> credentials();
    void save(const salesforce::Credentials& credentials);

    /// A token that can not be opened counts as none: a new one costs one call.
    std::optional<salesforce::Token> load() override;
    void save(const salesforce::Token& token) override;
    void forget() override;  ///< the token

    static void forget_all(store::Database& db);

private:
    store::Database& db_;
    const MasterKey& key_;
};

}  // namespace lockstep::server

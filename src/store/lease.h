#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/result.h"
#include "store/database.h"

namespace lockstep::store {

/// Thrown by a transaction whose lease went to another: the work stops, and nothing of the transaction is saved.
class LeaseLost : public Failure {
    using Failure::Failure;
};

/// The right to do a piece of work ("sync"), held in a row with a fencing token that grows with each owner
/// (reliability 6.2). Expiry is judged by the database's clock on PostgreSQL and by the machine's on SQLite, where all
/// processes share it.
class Lease {
public:
    static constexpr int kSeconds = 30;
    /// Errors: Conflict – somebody else holds it; the sentence names the owner (program, process, host) and since when.
    /// A lease whose owner is a dead process of this host is taken over at once.
    static Result<Lease> claim(Database& db, std::string_view work, const std::string& owner);
    /// False: lost; stop at once.
    bool renew(Database& db);
    /// First statement of every transaction of the work: throws LeaseLost when the lease is not ours any more.
    void guard(Transaction& tx) const;
    void release(Database& db);
    std::int64_t token() const { return token_; }

private:
    Lease(std::string work, std::string owner, std::int64_t token)
        : work_(std::move(work)), owner_(std::move(owner)), token_(token) {}
    std::string work_, owner_;
    std::int64_t token_ = 0;
};

/// "lockstep serve, process 4711 on myhost": what claim() shows to others.
std::string this_process(std::string_view command);

}  // namespace lockstep::store

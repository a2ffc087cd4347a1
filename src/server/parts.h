#pragma once

// Start here: everything a command is made of, built in one place.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/result.h"
#include "base/world.h"
#include "http/send.h"
#include "salesforce/connector.h"
#include "salesforce/session.h"
#include "server/permits.h"
#include "server/secrets.h"
#include "store/database.h"
#include "sync/rules.h"

namespace lockstep::server {

inline constexpr const char* kVersion = "0.1.0";

/// Where an installation keeps its things.
struct Place {
    std::filesystem::path data;      ///< folder: lockstep.toml, rules/, and, unless named otherwise, key and database
    std::string database;            ///< path of a SQLite file, or postgres://…
    std::filesystem::path key_file;  ///< the master key

    bool is_file() const;  ///< the database is a file of ours
};
/// Fills what the command line left empty: the folder from LOCKSTEP_DATA, else ~/.local/share/lockstep; the database
/// from LOCKSTEP_DATABASE, else lockstep.db in the folder; the key from LOCKSTEP_KEY_FILE, else master.key there.
Place complete(Place named);

/// An authenticated line to one org, with all it stands on.
struct Line {
    /// `tokens` and `permits` must outlive it. `stopping` may be empty: never.
    Line(salesforce::Credentials credentials, salesforce::TokenKeeper& tokens, salesforce::Permits& permits,
         World& world, const std::string& api_version, std::function<bool()> stopping);

    std::unique_ptr<http::Sender> sender;
    salesforce::Session session;
    salesforce::Connector connector;
};

/// Builds the parts of one installation when they are first asked for, so that a command opens only what it needs.
///
/// Thread rules: one thread builds; what is built follows its own rules.
class Parts {
public:
    Parts(Place place, World& world) : place_(std::move(place)), world_(world) {}

    const Place& place() const { return place_; }
    World& world() { return world_; }

    /// Errors: Denied with code NOT_CONNECTED – there is none yet. Throws Failure as store::Database::open does.
    Result<store::Database*> database();
    /// Makes folder (mode 0700) and database where they do not exist.
    store::Database& create_database();
    /// Errors: Invalid – a rules or settings file is wrong.
    Result<sync::Rules*> rules();
    /// Errors: Denied – no key there, unless `create`; or others may read it.
    enum class KeyUse { MustExist, Create };
    Result<MasterKey*> key(KeyUse use);
    Result<Secrets*> secrets(KeyUse use);

    /// Asked before each API call; true ends the work after its current page. Set it before line().
    void stop_when(std::function<bool()> stopping) { stopping_ = std::move(stopping); }
    DurablePermits& permits();
    /// The line of the stored credentials. Errors: those above; Denied with code NOT_CONNECTED – none are stored.
    Result<Line*> line();

private:
    store::Database& open_database();
    Place place_;
    World& world_;
    std::function<bool()> stopping_;
    // In the order of their dependence: the last one dies first.
    std::optional<sync::Rules> rules_;
    std::unique_ptr<store::Database> database_;
    std::optional<MasterKey> key_;
    std::optional<Secrets> secrets_;
    std::optional<DurablePermits> permits_;
    std::unique_ptr<Line> line_;
};

/// Error of a command that needs a connection where there is none; says how to make one.
Error not_connected(const std::string& what);

/// Holds the rules against what the connected user sees of the org: one describe an object. Findings in the order of
/// the rules; a required object that is not visible is a fatal finding.
/// Errors: those of Connector::describe but NotFound.
Result<std::vector<sync::RuleFinding>> check_org(salesforce::Connector& connector, const sync::Rules& rules);

}  // namespace lockstep::server

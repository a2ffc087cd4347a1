#pragma once

// Start here: what each `lockstep` command takes. A command answers with the number the process ends with, or an error.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/output.h"
#include "server/parts.h"
#include "sync/formulas.h"

namespace lockstep::server {

struct Context {
    Parts& parts;
    Output& out;
    /// How this program was called, with the place when it is not the default one: what suggestions begin with.
    std::string program;
    World& world() { return parts.world(); }
};

/// "exact", "as of 2026-11-24 10:01: it depends on the day (TODAY)".
std::string words(const sync::FieldFreshness& fresh);

struct ConnectOptions {
    std::string url, client_id, client_secret, client_secret_file, username, private_key_file;
};
/// Tests the credentials, then stores them sealed. Errors: Denied, Unavailable, …; Conflict – another organization.
Result<int> connect(Context& context, const ConnectOptions& options);
Result<int> disconnect(Context& context);

struct SyncOptions {
    bool accept_disappearances = false;
};
/// One cycle. Errors: Conflict – another process syncs, and those of Engine::cycle.
Result<int> sync_once(Context& context, const SyncOptions& options);

struct ServeOptions {
    std::optional<int> interval_s;
    int cycles_max = 0;  ///< 0: until stopped
    bool suggest = false;
};
/// Cycle after cycle until a signal. Errors: as sync_once; an org that can not be reached is tried again.
Result<int> serve(Context& context, const ServeOptions& options);

Result<int> status(Context& context);
Result<int> person(Context& context, const std::string& who);
struct ActivitiesOptions {
    std::string who;
    int type = 0;
    int rows_max = 50;
};
Result<int> activities(Context& context, const ActivitiesOptions& options);
struct OpportunitiesOptions {
    bool orphans = false;
    bool by_account_and_stage = false;
    int rows_max = 50;
};
Result<int> opportunities(Context& context, const OpportunitiesOptions& options);
Result<int> history(Context& context, int cycles);
struct ErrorsOptions {
    bool all = false;
    int rows_max = 50;
};
Result<int> errors(Context& context, const ErrorsOptions& options);
struct ExplainOptions {
    std::string object, id;
    bool all = false;
};
Result<int> explain(Context& context, const ExplainOptions& options);
struct RulesOptions {
    std::string object;
    bool check = false;
};
Result<int> rules(Context& context, const RulesOptions& options);
Result<int> schema(Context& context, const std::string& object);
Result<int> doctor(Context& context);

}  // namespace lockstep::server

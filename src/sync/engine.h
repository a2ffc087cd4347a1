#pragma once

// Start here: one cycle of the sync.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/world.h"
#include "salesforce/connector.h"
#include "store/database.h"
#include "store/journal.h"
#include "store/lease.h"
#include "sync/rules.h"

namespace lockstep::sync {

/// Follows what a cycle does, for progress displays. Calls come from the thread that runs the cycle.
class Watcher {
public:
    virtual ~Watcher() = default;
    /// A first load moves: rows so far, rows expected (0: unknown), and where it is: "asking", "loading", "indexing".
    virtual void load_progress(const std::string& object, std::int64_t rows, std::int64_t expected,
                               const char* phase) = 0;
    virtual void step_done(const store::Step& step) = 0;
    /// A sentence worth telling: a new field, a renewed token, a wait.
    virtual void note(const std::string& sentence) = 0;
};

struct CycleReport {
    std::int64_t cycle = 0;
    bool first_load = false;  ///< at least one object was loaded for the first time
    std::vector<store::Step> steps;
    std::int64_t calls = 0;
    std::int64_t ms = 0;
    std::int64_t people = 0, companies = 0;  ///< new ones of ours
    std::int64_t activities = 0;
    /// Records of Salesforce that are new, changed or deleted here; people and companies are none.
    std::int64_t created() const;
    std::int64_t updated() const;
    std::int64_t deleted() const;
    bool failed() const;  ///< some step failed; the others were done
};

/// Keeps our copy of one org in step: a cycle reads the schema, then each object in the order of the rules (parents
/// first), loads what was never loaded, reads what changed since, applies it, and repairs missing parents.
///
/// A failing object fails its step and never the others'; what was read of it before the failure is kept, and its
/// watermark does not move. Killed at any moment, the next cycle goes on from the last committed page.
/// Thread rules: one cycle at a time, under the lease "sync".
class Engine {
public:
    struct Options {
        /// Deletes what is gone even where it is much at once; otherwise that stops the object and asks.
        bool accept_disappearances = false;
        salesforce::Connector::BulkOptions bulk = {};
    };
    Engine(store::Database& db, salesforce::Connector& connector, const Rules& rules, World& world, Watcher& watcher,
           const store::Lease& lease, Options options);
    ~Engine();

    /// One cycle. Errors (nothing was done, or the rest was abandoned): Denied, Throttled, Unavailable, BadReply from
    /// Salesforce; Conflict – this database belongs to another organization, or the lease was lost.
    Result<CycleReport> cycle();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sync

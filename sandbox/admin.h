#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/world.h"
#include "sandbox/bulk.h"
#include "sandbox/faults.h"
#include "sandbox/limits.h"
#include "sandbox/oauth.h"
#include "sandbox/org.h"
#include "sandbox/rest.h"
#include "sandbox/settings.h"

namespace lockstep::sandbox {

/// One API request that was answered.
struct LoggedCall {
    std::int64_t number = 0;
    Timestamp at;
    std::string method;
    std::string target;  ///< path and query; tokens are left out
    std::string kind;    ///< the route: "query", "describe", "bulk_results"; empty: none fitted
    int status = 0;
    std::int64_t ms = 0;
    std::vector<std::string> faults;  ///< kinds of those that fired
    bool counted = false;             ///< against the quota
};

/// The calls received: the last 10,000 of them, and how many there were of each kind.
///
/// Thread-safe.
class CallLog {
public:
    void add(LoggedCall call);
    void clear();
    /// `{"total":…,"counts":{…},"calls":[…]}`: the calls numbered above `after`, at most `calls_max`, oldest first.
    std::string to_json(std::int64_t after, std::int64_t calls_max);
    std::string counts_json();

private:
    std::mutex mutex_;
    std::deque<LoggedCall> calls_;
    std::map<std::string, std::int64_t> counts_;
    std::int64_t total_ = 0;
};

/// What the admin of the org can reach; all of it is owned by the service.
struct AdminReach {
    Org& org;
    World& world;
    SettingsBox& settings;
    Quota& quota;
    Faults& faults;
    OAuth& oauth;
    Rest& rest;
    Bulk& bulk;
    CallLog& calls;
    std::mutex& random_mutex;  ///< guards world.random
};

/// /sandbox/…: turns the knobs of the org that a real one has no API for. No session, no quota, no faults.
///
/// Thread-safe; takes the org's locks itself. Described in docs/sandbox.md.
class Admin {
public:
    explicit Admin(AdminReach reach) : reach_(reach) {}
    /// Errors are `{"error":"one sentence","hint":"…"}`.
    http::Answer handle(const http::Request& request);

private:
    struct Route;
    static const std::vector<Route>& routes();

    using Args = std::vector<std::string>;
    http::Answer help(const http::Request&, const Args&);
    http::Answer state(const http::Request&, const Args&);
    http::Answer settings(const http::Request&, const Args&);
    http::Answer change_settings(const http::Request&, const Args&);
    http::Answer move_clock(const http::Request&, const Args&);
    http::Answer calls(const http::Request&, const Args&);
    http::Answer forget_calls(const http::Request&, const Args&);
    http::Answer faults(const http::Request&, const Args&);
    http::Answer fault_kinds(const http::Request&, const Args&);
    http::Answer add_faults(const http::Request&, const Args&);
    http::Answer clear_faults(const http::Request&, const Args&);
    http::Answer remove_fault(const http::Request&, const Args&);
    http::Answer users(const http::Request&, const Args&);
    http::Answer objects(const http::Request&, const Args&);
    http::Answer add_object(const http::Request&, const Args&);
    http::Answer change_object(const http::Request&, const Args&);
    http::Answer add_field(const http::Request&, const Args&);
    http::Answer change_field(const http::Request&, const Args&);
    http::Answer remove_field(const http::Request&, const Args&);
    http::Answer restore_field(const http::Request&, const Args&);
    http::Answer make_currencies(const http::Request&, const Args&);
    http::Answer create_record(const http::Request&, const Args&);
    http::Answer show_record(const http::Request&, const Args&);
    http::Answer edit_record(const http::Request&, const Args&);
    http::Answer delete_record(const http::Request&, const Args&);
    http::Answer act_on_record(const http::Request&, const Args&);
    http::Answer live(const http::Request&, const Args&);
    http::Answer delay(const http::Request&, const Args&);
    http::Answer purge_bin(const http::Request&, const Args&);
    http::Answer purge_log(const http::Request&, const Args&);
    http::Answer end_sessions(const http::Request&, const Args&);
    http::Answer close_locators(const http::Request&, const Args&);
    http::Answer use_quota(const http::Request&, const Args&);

    AdminReach reach_;
};

}  // namespace lockstep::sandbox

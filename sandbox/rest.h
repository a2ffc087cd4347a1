#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/org.h"
#include "sandbox/records.h"
#include "sandbox/settings.h"
#include "sandbox/soql.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// How late writes become visible: what was planned for each object, and hence up to when a reader has seen everything.
///
/// Guarded by the org's lock: change it under the write lock, read it under the read lock.
class Lateness {
public:
    /// From `now` on, writes of `object` become visible `seconds` later; 0 ends that.
    void plan(int object, Timestamp now, std::int64_t seconds);
    /// One write at `now` becomes visible `seconds` later.
    void note(int object, Timestamp now, std::int64_t seconds);
    std::int64_t planned(int object) const;
    /// No write stamped before this moment is still to come into sight.
    Timestamp settled_before(int object, Timestamp now) const;

private:
    struct Window {
        Timestamp from;
        std::optional<Timestamp> to;  ///< nothing: still open
        std::int64_t seconds = 0;
    };
    std::map<int, std::vector<Window>> windows_;
};

/// The REST resources that deal with one object at a time: describe, records, queries, replication, limits.
///
/// Thread-safe; each member takes the org's lock it needs. Source: salesforce-api 1, 3, 5, 6, 7, 11.
class Rest {
public:
    Rest(Org& org, const SettingsBox& settings);

    http::Answer versions(const Call& call);
    http::Answer resources(const Call& call);

    http::Answer describe_global(const Call& call);
    http::Answer basic_info(const Call& call);
    http::Answer describe(const Call& call);

    http::Answer create(const Call& call);
    http::Answer read(const Call& call);
    http::Answer update(const Call& call);
    http::Answer remove(const Call& call);
    /// /sobjects/X/{field}/{value}, and /sobjects/X/{id}/{relationship}: the same shape of path.
    http::Answer read_by_key(const Call& call);
    http::Answer upsert(const Call& call);
    http::Answer remove_by_key(const Call& call);

    http::Answer query(const Call& call);
    http::Answer query_all(const Call& call);
    http::Answer query_more(const Call& call);

    http::Answer updated(const Call& call);
    http::Answer deleted(const Call& call);
    http::Answer record_count(const Call& call);

    // For collections: one record each, under the caller's write lock.
    WriteResult create_one(const Call& call, int object, const Input& input);
    WriteResult update_one(const Call& call, int object, const Input& input);
    WriteResult upsert_one(const Call& call, int object, int key, const Input& input);
    WriteResult remove_one(const Call& call, std::string_view id);

    Lateness& lateness() { return lateness_; }
    /// Object a query locator belongs to; empty: unknown.
    std::string object_of_locator(std::string_view locator);
    void close_locators();

private:
    struct OpenQuery {
        ResultSet rows;
        std::string object;
        Timestamp used;
        std::int64_t opened = 0;  ///< order of opening
    };
    http::Answer run(const Call& call, bool all_rows);
    std::string page(const Call& call, const ResultSet& rows, std::int64_t from, std::int64_t rows_max,
                     const std::string& locator);
    std::string open_locator(std::shared_ptr<OpenQuery> open);
    /// 304 when the client has this version of `body` already, else 200 with Last-Modified and ETag.
    http::Answer versioned(const Call& call, const std::string& what, std::string body);
    struct Found {
        int object = -1;
        std::int64_t row = -1;
    };
    /// The live record of /sobjects/X/{id}; otherwise the answer that says why not.
    std::optional<http::Answer> find_by_id(const std::string& object, const std::string& id, bool for_reading,
                                           Found& found) const;
    http::Answer read_found(const Call& call, const Found& found) const;
    http::Answer update_found(const Call& call, const Found& found, const Input& input);
    http::Answer remove_found(const Call& call, const Found& found);
    http::Answer related(const Call& call, const Found& found, const std::string& relationship);
    http::Answer several(const Call& call, int object, const std::vector<std::int64_t>& rows) const;
    struct Window {
        int object = -1;
        Timestamp start, end, now;
    };
    std::optional<http::Answer> replication_window(const Call& call, Timestamp earliest, Window& window) const;
    bool lock_fails(const Call& call, std::string_view id, WriteResult& result) const;
    DelayedWrites delayed(const Call& call, int object);

    Org& org_;
    const SettingsBox& settings_;
    Lateness lateness_;

    std::mutex queries_mutex_;
    std::map<std::string, std::shared_ptr<OpenQuery>, std::less<>> queries_;  ///< by locator; a reader may outlive it
    std::int64_t queries_opened_ = 0;

    std::mutex versions_mutex_;
    struct Version {
        std::string etag;
        Timestamp changed;
    };
    std::map<std::string, Version> described_;  ///< what each describe looked like when last asked
};

}  // namespace lockstep::sandbox

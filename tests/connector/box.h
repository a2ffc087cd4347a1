#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/send.h"
#include "http/serve.h"
#include "salesforce/connector.h"
#include "sandbox/service.h"

// A sandbox org and our connector, joined without a socket. What is read is compared with what the org itself holds.

namespace lockstep::connector_test {

/// Moves only by waiting; threads may share it. Each wait lets the org do what is due.
class SharedClock : public Clock {
public:
    explicit SharedClock(Timestamp start) : ms_(start.seconds * 1000) {}
    Timestamp now() override { return {ms_ / 1000}; }
    std::int64_t mono_ms() override { return ms_; }
    void wait_ms(std::int64_t ms) override {
        ms_ += ms;
        on_wait();
    }
    void wake() override {}
    std::function<void()> on_wait = [] {};

private:
    std::atomic<std::int64_t> ms_;
};

class NoKeeper : public salesforce::TokenKeeper {
public:
    std::optional<salesforce::Token> load() override { return std::nullopt; }
    void save(const salesforce::Token&) override { ++saves; }
    void forget() override {}
    std::atomic<int> saves = 0;
};

/// Hands requests to the org as the network sender would, cut and dropped answers included.
class DirectSender : public http::Sender {
public:
    explicit DirectSender(sandbox::Service& service) : service_(service) {}
    Result<http::Response> send(const http::Request& request, const http::Limits& limits) override;
    Result<http::Response> stream(const http::Request& request, const http::BodySink&, const http::Limits& l) override {
        return send(request, l);
    }

private:
    sandbox::Service& service_;
};

class Box {
public:
    static constexpr Timestamp start{1'795'478'400};  ///< 2026-11-24T00:00:00Z

    static sandbox::ServiceOptions small() {
        sandbox::ServiceOptions options;
        options.org.people = 400;
        options.org.start = start;
        options.settings.job_ms = 0;
        return options;
    }
    explicit Box(sandbox::ServiceOptions options = small());

    /// POST /sandbox… with a JSON body; fails the test when it is refused.
    void admin(const std::string& method, const std::string& path, const std::string& body = {});
    void fault(const std::string& body) { admin("POST", "/sandbox/faults", body); }
    /// Faults that have fired so far, as the admin tells them.
    std::string faults();

    /// Ids of the rows of `object` that are neither deleted nor gone.
    std::set<std::string> live_ids(const std::string& object);
    /// Inserts rows with `LastName` and what else `values` says, all in this second. Returns their ids.
    std::vector<std::string> insert(const std::string& object, int count, const sandbox::Values& values);

    /// Every field the connector can read of an object.
    salesforce::Selection selection(const std::string& object);

    SharedClock clock{start};
    std::unique_ptr<Random> random = seeded_random(7);
    World world{.clock = clock, .random = *random};
    sandbox::Service service;
    DirectSender sender{service};
    NoKeeper tokens;
    std::unique_ptr<Random> session_random = seeded_random(8);
    World session_world{.clock = clock, .random = *session_random};
    salesforce::Session session;
    salesforce::Connector connector{session};
};

/// Rows as text, by id: what a reader took in.
struct Taken {
    std::vector<std::string> ids;
    std::vector<std::string> rows;
    std::size_t odd = 0;
    void add(const salesforce::Page& page);
    salesforce::PageSink sink() {
        return [this](salesforce::Page&& page) -> Result<void> {
            add(page);
            return {};
        };
    }
    std::set<std::string> id_set() const { return {ids.begin(), ids.end()}; }
    std::vector<std::string> sorted_rows() const;
};

salesforce::Credentials credentials_of(const sandbox::Service& service, std::string url);

}  // namespace lockstep::connector_test

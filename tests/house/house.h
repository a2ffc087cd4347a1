#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/views.h"
#include "base/world.h"
#include "salesforce/connector.h"
#include "sandbox/service.h"
#include "store/database.h"
#include "store/lease.h"
#include "sync/engine.h"
#include "tests/support/process.h"

namespace lockstep::tests {

/// A whole house in one process: a sandbox org, and a Lockstep that keeps in step with it, on one clock that moves when
/// told to. The verbs of the org come first, then ours; each fails the test when it fails.
class House : private sync::Watcher {
public:
    struct Setup {
        store::Engine engine = store::Engine::Sqlite;
        std::int64_t people = 0;  ///< of the generated org; 0: users and settings only
        std::uint64_t seed = 1;
        std::string rules_dir;  ///< folder with lockstep.toml and rules/ of its own
        std::int64_t bulk_from_rows = 10'000;
        std::size_t bulk_page_bytes = 8u << 20;
        bool composite = true;
    };
    House() : House(Setup{}) {}
    explicit House(const Setup& setup);
    ~House() override;

    using Field = std::pair<std::string, sandbox::Cell>;
    std::string create(std::string_view object, const std::vector<Field>& fields);
    void edit(std::string_view object, const std::string& id, const std::vector<Field>& fields);
    void remove(std::string_view object, const std::string& id);
    void undelete(std::string_view object, const std::string& id);
    void purge(std::string_view object, const std::string& id);
    void add_field(std::string_view object, sandbox::Field field);
    void hide(std::string_view object, std::string_view field, bool hidden = true);
    /// POST to an admin resource of the sandbox: faults, settings.
    void admin(const std::string& method, const std::string& path, const std::string& json = {});
    std::string user(std::size_t index);  ///< id of a user of the org
    sandbox::Org& org() { return service_->org(); }
    void pass(std::int64_t seconds) { clock_.advance_s(seconds); }

    /// A minute passes, then a cycle runs.
    sync::CycleReport cycle();
    /// The same, for cycles that may fail: whether all of it went well.
    bool try_cycle();
    /// The same, for cycles that are to fail as a whole.
    Error failing_cycle();
    /// Ends the process, so to speak: nothing of ours is open any more.
    void close();
    /// A new process on the same data: parts are built afresh.
    void restart();

    store::Database& db() { return *db_; }
    store::Connection& reader();
    const sync::Rules& rules() const { return *rules_; }
    sync::Rules& rules_for_change() { return *rules_; }
    World& world() { return world_; }
    salesforce::Session& session() { return *session_; }
    /// The person of a Salesforce id; fails the test when there is none.
    api::PersonView person(const std::string& crm_id);
    std::optional<std::int64_t> person_id(const std::string& crm_id);
    /// "34 {…}" of a person's activities about opportunities, oldest first.
    std::vector<std::string> history(const std::string& crm_id);
    std::vector<store::SyncError> open_errors();
    const std::vector<std::string>& notes() const { return notes_; }
    /// Every row and field of our mirror against the org, both ways; returns what differs, empty: equal.
    std::vector<std::string> differences();
    /// What goes wrong on the wire, at the answer to a request whose target contains the text.
    std::function<std::optional<Error>(const http::Request&)> wire;
    /// Changes an answer on its way.
    std::function<void(const http::Request&, http::Response&)> spoil;
    /// How often the faults set through `admin` came to pass.
    std::int64_t faults_fired();

private:
    void load_progress(const std::string&, std::int64_t, std::int64_t, const char*) override {}
    void step_done(const store::Step&) override {}
    void note(const std::string& sentence) override { notes_.push_back(sentence); }
    std::string actor();
    int object(std::string_view name);

    class Wire;
    class Tokens;
    Setup setup_;
    ManualClock clock_;
    std::unique_ptr<Random> random_;
    World world_;
    support::TempFolder folder_;
    std::unique_ptr<sandbox::Service> service_;
    std::unique_ptr<Wire> sender_;
    std::unique_ptr<Tokens> tokens_;
    std::string location_;
    std::unique_ptr<store::Database> db_;
    std::unique_ptr<store::Connection> reader_;
    std::optional<store::Lease> lease_;
    std::optional<sync::Rules> rules_;
    std::unique_ptr<salesforce::Session> session_;
    std::unique_ptr<salesforce::Connector> connector_;
    std::unique_ptr<sync::Engine> engine_;
    std::vector<std::string> notes_;
};

}  // namespace lockstep::tests

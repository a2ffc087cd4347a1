#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>

#include "base/json.h"
#include "base/text.h"
#include "bench/figures.h"
#include "bench/org.h"
#include "bench/program.h"
#include "tests/support/postgres.h"

namespace lockstep::bench {

namespace {

namespace fs = std::filesystem;

constexpr double kGrowthMax = 1.2;
constexpr int kChanges = 1'000;
constexpr int kApartS = 3'600;  // the org's clock between two cycles: none reads again what the one before heard

struct Cycles {
    std::vector<double> ms;
    std::int64_t rows = 0;     ///< of the org
    std::int64_t changed = 0;  ///< records, in all cycles together
};

/// A house of one org and one database, in step.
class Standing {
public:
    Standing(const Options& options, const Org::Rows& size, const std::string& database)
        : org_(size), tool_(fs::path(options.folder) / "installation", database, 0) {
        make_usual(org_);
        tool_.connect(org_, org_.url());
        tool_.run({"sync", "--once"});
        later();
        // What was generated as changed in the last minutes before the load comes again, once.
        tool_.run({"sync", "--once"});
        for (const std::string& object : kMainObjects) cycles_.rows += org_.rows(object);
    }

    /// The same thousand changes to one org and to the other would not exist: each has those its people make.
    void turn(int changes) {
        later();
        org_.admin("POST", "/sandbox/alive", fmt::format(R"({{"changes":{}}})", changes));
        const json::value cycle = parse_json(tool_.run({"sync", "--once", "--json"}).out).value();
        const json::object& told = cycle.as_object();
        const auto count = [&](const char* key) { return int_at(told, key).value_or(0); };
        const std::int64_t changed = count("created") + count("updated") + count("deleted");
        if (changed == 0) throw std::runtime_error("a cycle brought none of the changes");
        cycles_.changed += changed;
        cycles_.ms.push_back(static_cast<double>(count("ms")));
    }

    const Cycles& cycles() const { return cycles_; }

private:
    void later() { org_.admin("POST", "/sandbox/clock", fmt::format(R"({{"seconds":{}}})", kApartS)); }
    Org org_;
    Installation tool_;
    Cycles cycles_;
};

void tell(const Options& options, const std::string& engine, const std::function<std::string()>& database,
          const Sink& found) {
    const int turns = options.quick ? 1 : 3 * options.runs;
    const int changes = options.quick ? 50 : kChanges;
    const Org::Rows small{.people = options.quick ? 300 : 12'000,
                          .opportunities = options.quick ? 500 : 40'000,
                          .roles = options.quick ? 600 : 46'000};
    const Org::Rows large{
        .people = small.people * 20, .opportunities = small.opportunities * 20, .roles = small.roles * 20};
    std::vector<Cycles> all;
    for (const Org::Rows& size : {small, large}) {
        Standing standing(options, size, database());
        for (int i = 0; i < turns; ++i) standing.turn(changes);
        all.push_back(standing.cycles());
    }
    const auto figure = [&](const std::string& name, double value, const char* unit) {
        return Figure{.bench = "cycle", .name = engine + ", " + name, .value = value, .unit = unit};
    };
    for (const Cycles& cycles : all) {
        const std::string org = "org of " + with_thousands(cycles.rows) + ": ";
        found(figure(org + "records changed a cycle", static_cast<double>(cycles.changed) / turns, "rows"));
        found(figure(org + "a cycle", median(cycles.ms), "ms"));
    }
    Figure growth =
        figure("the large org's cycle against the small one's", median(all[1].ms) / median(all[0].ms), "times");
    if (!options.quick) growth.at_most = kGrowthMax;
    found(growth);
}

}  // namespace

void cycle(const Options& options, const Sink& found) {
    if (options.engines != Engines::Postgres)
        tell(
            options, "sqlite", [] { return std::string(); }, found);
    if (options.engines != Engines::Sqlite) {
        const auto fresh = [] {
            tests::PostgresServer& server = tests::PostgresServer::instance(tests::PostgresServer::Purpose::Measuring);
            return server.url(server.fresh_schema());
        };
        tell(options, "postgres", fresh, found);
    }
}

}  // namespace lockstep::bench

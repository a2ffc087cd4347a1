#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include "base/json.h"
#include "base/text.h"
#include "bench/figures.h"
#include "bench/naive.h"
#include "bench/org.h"
#include "bench/program.h"
#include "bench/recording.h"
#include "tests/support/postgres.h"

namespace lockstep::bench {

namespace {

namespace fs = std::filesystem;

constexpr double kPeakMbMax = 128;

/// One first load by the tool.
struct Loaded {
    double load_s = 0;    ///< from the start of the process until the last object was loaded and indexed
    double answer_s = 0;  ///< until a person's opportunity totals were answered
    double cpu_s = 0;
    double peak_mb = 0;
    std::int64_t rows = 0;  ///< of the main objects
    std::int64_t people = 0, links = 0;
};

std::int64_t number_at(const json::object& object, std::string_view key) {
    return int_at(object, key).value_or(0);
}

/// What the steps of a cycle created, by operation and object.
std::int64_t created(const json::value& cycle, std::string_view operation, const std::string& object) {
    std::int64_t sum = 0;
    for (const json::value& step : cycle.at("steps").as_array()) {
        const json::object& told = step.as_object();
        if (text_at(told, "operation") == operation && text_at(told, "object") == object)
            sum += number_at(told, "created");
    }
    return sum;
}

/// Someone with opportunities: the contact of a role in the middle of the table.
std::string someone(Org& org) {
    const json::value answer =
        parse_json(org.ask("GET", "/query?q=" +
                                      url_encode("SELECT ContactId FROM OpportunityContactRole WHERE "
                                                 "Contact.IsDeleted = false AND Opportunity.IsDeleted = false LIMIT 1"))
                       .body)
            .value();
    return text_at(answer.at("records").as_array().at(0).as_object(), "ContactId").value();
}

/// When the last object was loaded: the tool tells each step as it is done.
double loaded_at(const Ran& ran) {
    double at = 0;
    for (const Ran::Line& line : ran.err) {
        if (line.text.find(" first load ") != std::string::npos) at = line.at_s;
    }
    if (at == 0) throw std::runtime_error("the tool told of no first load");
    return at;
}

struct Place {
    std::string name;      ///< "sqlite"
    std::string database;  ///< location; empty: a file
    fs::path folder;
    std::int64_t bulk_from_rows = 0;
};

Loaded load_once(const Place& place, Org& org, const std::string& url) {
    Installation tool(place.folder, place.database, place.bulk_from_rows);
    tool.connect(org, url);
    const std::string person = someone(org);
    const Ran ran = tool.run({"sync", "--once"});
    Loaded loaded{
        .load_s = loaded_at(ran), .cpu_s = ran.cpu_seconds, .peak_mb = static_cast<double>(ran.peak_kb) / 1024};
    const Ran asked = tool.run({"person", person, "--json"});
    loaded.answer_s = ran.seconds + asked.seconds;

    // What was measured has to have happened.
    const json::value view = parse_json(asked.out).value();
    if (view.at("people").as_array().at(0).at("totals").as_array().empty())
        throw std::runtime_error("a person with opportunities has no totals");
    const json::value cycle = parse_json(tool.run({"history", "--cycles", "1", "--json"}).out).value();
    for (const std::string& object : kMainObjects) {
        const std::int64_t came = created(cycle, "first load", object);
        const std::int64_t there = org.rows(object);
        if (came != there) throw std::runtime_error(fmt::format("{} of {} rows of {} came", came, there, object));
        loaded.rows += came;
        loaded.people += object == "Contact" || object == "Lead" ? created(cycle, "build people", object) : 0;
        loaded.links += created(cycle, "build links", object);
    }
    return loaded;
}

/// Figures of several loads of one kind; the naive loader's seconds are 0 where it was not run.
void tell(const Sink& found, const std::string& name, const std::vector<Loaded>& loads, double naive_s, double aim) {
    const auto middle = [&](auto value) {
        std::vector<double> values;
        values.reserve(loads.size());
        for (const Loaded& load : loads) values.push_back(value(load));
        return median(std::move(values));
    };
    const auto rows = static_cast<double>(loads.front().rows);
    const double load_s = middle([](const Loaded& load) { return load.load_s; });
    const double peak_mb = std::ranges::max(loads, {}, &Loaded::peak_mb).peak_mb;
    const auto figure = [&](const std::string& what, double value, const char* unit) {
        return Figure{.bench = "load", .name = name + ": " + what, .value = value, .unit = unit};
    };
    found(figure("rows a second", rows / load_s, "rows/s"));
    if (naive_s > 0) {
        Figure times = figure("times as fast as the naive loader", naive_s / load_s, "times");
        if (aim > 0) times.at_least = aim;
        found(times);
    }
    found(
        figure("until totals of a person are answered", middle([](const Loaded& load) { return load.answer_s; }), "s"));
    found(figure("processor time of the tool", middle([](const Loaded& load) { return load.cpu_s; }), "s"));
    Figure peak = figure("most memory of the tool", peak_mb, "MB");
    peak.at_most = kPeakMbMax;
    found(peak);
}

void tell_rows(const Sink& found, const Loaded& loaded) {
    found({.bench = "load", .name = "rows loaded", .value = static_cast<double>(loaded.rows), .unit = "rows"});
    found({.bench = "load", .name = "people built", .value = static_cast<double>(loaded.people), .unit = "rows"});
    found({.bench = "load", .name = "links built", .value = static_cast<double>(loaded.links), .unit = "rows"});
}

/// The engines to load into; the server of PostgreSQL stays up while this lives.
std::vector<Place> places(const Options& options) {
    const fs::path folder = fs::path(options.folder) / "installation";
    const std::int64_t bulk_from_rows = options.quick ? 100 : 0;
    std::vector<Place> all;
    if (options.engines != Engines::Postgres) {
        all.push_back({.name = "sqlite", .database = "", .folder = folder, .bulk_from_rows = bulk_from_rows});
    }
    if (options.engines != Engines::Sqlite) {
        all.push_back({.name = "postgres", .database = "?", .folder = folder, .bulk_from_rows = bulk_from_rows});
    }
    return all;
}

/// A place with a fresh database.
Place fresh(Place place) {
    if (place.database.empty()) return place;
    tests::PostgresServer& server = tests::PostgresServer::instance(tests::PostgresServer::Purpose::Measuring);
    place.database = server.url(server.fresh_schema());
    return place;
}

double naively(const Place& place, const Options& options, const std::vector<Recorded>& recorded) {
    if (place.database.empty()) return load_naively(fs::path(options.folder) / "naive.db", recorded);
    return copy_naively(fresh(place).database, recorded, Columns::Typed);
}

void load_rows(const Options& options, const Org::Rows& size, const Sink& found) {
    Org org(size);
    make_usual(org);
    bool told = false;
    for (const char* const order : {"plain", "shuffled"}) {
        org.admin("PATCH", "/sandbox/settings", fmt::format(R"({{"bulk_order":"{}"}})", order));
        const std::vector<Recorded> recorded = record(org, fs::path(options.folder) / "recorded");
        const Replay replay(org, recorded);
        for (const Place& place : places(options)) {
            // In turns, so that a busy moment of the machine does not fall on one of them alone.
            std::vector<double> naive, text_copy;
            std::vector<Loaded> from_org, from_file;
            for (int run = 0; run < options.runs; ++run) {
                naive.push_back(naively(place, options, recorded));
                if (!place.database.empty()) {
                    text_copy.push_back(copy_naively(fresh(place).database, recorded, Columns::Text));
                }
                from_org.push_back(load_once(fresh(place), org, org.url()));
                from_file.push_back(load_once(fresh(place), org, replay.url()));
            }
            const double naive_s = median(naive);
            const bool in_order = std::string_view(order) == "plain";
            const bool file = place.database.empty();
            const std::string name = place.name + (in_order ? ", in order" : ", shuffled");
            if (!std::exchange(told, true)) tell_rows(found, from_org.front());
            found({.bench = "load",
                   .name = name + ": rows a second of the naive loader",
                   .value = static_cast<double>(from_org.front().rows) / naive_s,
                   .unit = "rows/s"});
            if (!text_copy.empty()) {
                found({.bench = "load",
                       .name = name + ": rows a second of COPY into columns of text",
                       .value = static_cast<double>(from_org.front().rows) / median(text_copy),
                       .unit = "rows/s"});
            }
            tell(found, name + ", from the sandbox", from_org, naive_s, options.quick ? 0 : 1.5);
            tell(found, name + ", from a file", from_file, naive_s, options.quick ? 0 : file ? 2 : 1.5);
        }
    }
    std::error_code ignored;
    fs::remove_all(fs::path(options.folder) / "recorded", ignored);
}

void load_many(const Options& options, const Sink& found) {
    Org org({.people = 3'000'000, .opportunities = 12'000'000, .roles = 14'500'000});
    make_usual(org);
    org.admin("PATCH", "/sandbox/settings", R"({"bulk_order":"shuffled"})");
    for (const Place& place : places(options)) {
        const Loaded loaded = load_once(fresh(place), org, org.url());
        const std::string name = fmt::format("{}, {} rows", place.name, with_thousands(loaded.rows));
        tell(found, name, {loaded}, 0, 0);
    }
}

}  // namespace

void load(const Options& options, const Sink& found) {
    if (options.quick) return load_rows(options, {.people = 600, .opportunities = 2'000, .roles = 2'400}, found);
    load_rows(options, {.people = 300'000, .opportunities = 1'000'000, .roles = 1'200'000}, found);
    if (options.many) load_many(options, found);
}

}  // namespace lockstep::bench

#include "server/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/text.h"

namespace lockstep::server {

namespace {

constexpr std::int64_t kRedrawMs = 100;

/// Counts of one object over all steps of a cycle, in the order of the steps.
struct Counts {
    std::string object;
    std::int64_t created = 0, updated = 0, deleted = 0, failed = 0, skipped = 0, calls = 0;
    std::int64_t built = 0;  ///< people, companies or links made of it by a first load
    std::string trouble;
};

std::string object_name(const store::Step& step) {
    if (!step.object.empty()) return step.object;
    return step.operation == "sync schema" ? "schema" : "all objects";
}

/// What a first load makes of an object's records.
std::string_view built_of(std::string_view object) {
    if (object == "Account") return "company";
    return object == "OpportunityContactRole" ? "link" : "person";
}

std::vector<Counts> by_object(const sync::CycleReport& report) {
    std::vector<Counts> all;
    for (const store::Step& step : report.steps) {
        auto found = std::ranges::find(all, object_name(step), &Counts::object);
        if (found == all.end()) found = all.insert(all.end(), Counts{.object = object_name(step)});
        (step.operation.starts_with("build ") ? found->built : found->created) += step.created;
        found->updated += step.updated;
        found->deleted += step.deleted;
        found->failed += step.failed;
        found->skipped += step.skipped;
        found->calls += step.calls;
        if (step.status == store::StepStatus::Failed) {
            found->trouble += fmt::format("{}{}: {}", found->trouble.empty() ? "" : "; ", step.operation, step.detail);
        }
    }
    return all;
}

bool is_main(std::string_view object) {
    static constexpr std::array<std::string_view, 5> kMain{"Account", "Lead", "Contact", "Opportunity",
                                                           "OpportunityContactRole"};
    return std::ranges::find(kMain, object) != kMain.end();
}

std::string count_or_blank(std::int64_t count) {
    return count == 0 ? "" : with_thousands(count);
}

json::object step_object(const store::Step& step) {
    return {{"cycle", step.cycle},
            {"object", step.object},
            {"operation", step.operation},
            {"status", store::name(step.status)},
            {"started", to_string(step.started)},
            {"ended", step.ended ? json::value(to_string(*step.ended)) : json::value(nullptr)},
            {"created", step.created},
            {"updated", step.updated},
            {"deleted", step.deleted},
            {"failed", step.failed},
            {"skipped", step.skipped},
            {"calls", step.calls},
            {"detail", step.detail}};
}

/// Rows a second; 0 while there are too few to tell.
std::int64_t rate_of(std::int64_t rows, std::int64_t ms) {
    constexpr std::int64_t kRowsThatTell = 500;
    return rows < kRowsThatTell || ms <= 0 ? 0 : rows * 1000 / ms;
}

/// What one step did, for a line of its own: "20,000 new, 3 failed".
std::string did(const store::Step& step) {
    std::vector<std::string> parts;
    if (step.created > 0) parts.push_back(with_thousands(step.created) + " new");
    if (step.updated > 0) parts.push_back(with_thousands(step.updated) + " updated");
    if (step.deleted > 0) parts.push_back(with_thousands(step.deleted) + " deleted");
    if (step.skipped > 0) parts.push_back(with_thousands(step.skipped) + " skipped");
    if (step.failed > 0) parts.push_back(with_thousands(step.failed) + " failed");
    if (!parts.empty()) return join(parts, ", ");
    return step.detail.empty() ? "nothing new" : step.detail;
}

}  // namespace

std::string brought(const sync::CycleReport& report) {
    const std::vector<Counts> objects = by_object(report);
    std::vector<std::string> parts;
    const auto tell = [&](const char* word, std::int64_t Counts::*count) {
        std::vector<std::string> names;
        std::int64_t others = 0;
        for (const Counts& object : objects) {
            if (object.*count == 0) continue;
            // A first load brings some of everything; what people look for comes first there.
            if (report.first_load && !is_main(object.object)) {
                others += object.*count;
            } else {
                names.push_back(counted(object.*count, object.object));
            }
        }
        if (others > 0) names.push_back(counted(others, names.empty() ? "record" : "other record"));
        if (!names.empty()) parts.push_back(join(names, ", ") + " " + word);
    };
    tell("changed", &Counts::updated);
    tell(report.first_load ? "loaded" : "added", &Counts::created);
    tell("deleted", &Counts::deleted);
    tell("failed", &Counts::failed);
    std::vector<std::string> names;
    std::int64_t links = 0;
    for (const Counts& object : objects) links += built_of(object.object) == "link" ? object.built : 0;
    const bool built = std::ranges::any_of(objects, [](const Counts& object) { return object.built > 0; });
    // Later cycles tell of records; the people that come with them are told by `lockstep person`.
    if (built && report.companies > 0) names.push_back(counted(report.companies, "company"));
    if (built && report.people > 0) names.push_back(counted(report.people, "person"));
    if (links > 0) names.push_back(counted(links, "link"));
    if (!names.empty()) parts.push_back(join(names, ", ") + " built");
    if (report.activities > 0) parts.push_back(counted(report.activities, "activity"));
    return parts.empty() ? "nothing new" : join(parts, "; ");
}

void print_summary(Output& out, const sync::CycleReport& report) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::pair<std::string, std::string>> troubles;
    for (const Counts& object : by_object(report)) {
        const std::string built = object.built == 0 ? "" : counted(object.built, built_of(object.object));
        rows.push_back({object.object, count_or_blank(object.created), count_or_blank(object.updated),
                        count_or_blank(object.deleted), count_or_blank(object.skipped), count_or_blank(object.failed),
                        count_or_blank(object.calls), built});
        if (!object.trouble.empty()) troubles.emplace_back(object.object, object.trouble);
    }
    out.table({"object", "new", "updated", "deleted", "skipped", "failed", "calls", "built of it"}, rows,
              {.none = "no steps were taken", .blank_columns = false});
    for (const auto& [object, trouble] : troubles) {
        out.line(out.styled("failed", Output::Style::Bad) + "  " + object + ": " + trouble);
    }
    out.line();
    out.line(fmt::format("cycle {}: {} in {}, {}{}", report.cycle, brought(report), to_duration(report.ms),
                         report.calls == 1 ? "1 API call" : with_thousands(report.calls) + " API calls",
                         troubles.empty() ? "" : "; see lockstep errors"));
}

std::string step_json(const store::Step& step) {
    return json::serialize(step_object(step));
}

std::string cycle_json(const sync::CycleReport& report) {
    json::array steps;
    for (const store::Step& step : report.steps) steps.push_back(step_object(step));
    return json::serialize(json::object{{"cycle", report.cycle},
                                        {"first_load", report.first_load},
                                        {"failed", report.failed()},
                                        {"created", report.created()},
                                        {"updated", report.updated()},
                                        {"deleted", report.deleted()},
                                        {"people", report.people},
                                        {"companies", report.companies},
                                        {"activities", report.activities},
                                        {"calls", report.calls},
                                        {"ms", report.ms},
                                        {"steps", std::move(steps)}});
}

std::string load_line(const std::string& object, std::int64_t rows, std::int64_t expected, std::int64_t rows_per_s,
                      const std::string& phase) {
    std::string line = fmt::format("{:<24}", object);
    if (phase != "loading" && phase != "building people") return line + phase;
    if (phase != "loading") line += phase + "  ";
    line += with_thousands(rows);
    if (expected > 0) {
        const std::int64_t share = std::min<std::int64_t>(100, rows * 100 / expected);
        line += fmt::format(" of {}  {} %", with_thousands(expected), share);
    } else {
        line += " rows";
    }
    if (rows_per_s <= 0) return line;
    line += fmt::format("  {} rows/s", with_thousands(rows_per_s));
    if (expected > rows) line += fmt::format("  {} left", to_duration((expected - rows) * 1000 / rows_per_s));
    return line;
}

void Progress::load_progress(const std::string& object, std::int64_t rows, std::int64_t expected, const char* phase) {
    const std::int64_t now_ms = clock_.mono_ms();
    auto [found, first] = loads_.try_emplace(object, Load{.started_ms = now_ms, .rows_at_start = rows});
    Load& load = found->second;
    load.rows = rows;
    load.expected = expected;
    const bool new_phase = load.phase != phase;
    load.phase = phase;
    if (!out_.err_terminal().is_terminal || out_.json()) return;
    if (!first && !new_phase && now_ms - drawn_at_ms_ < kRedrawMs) return;
    const std::int64_t ms = now_ms - load.started_ms;
    const std::int64_t rate = rate_of(rows - load.rows_at_start, ms);
    const std::string line = load_line(object, rows, expected, rate, load.phase);
    out_.progress("\r\033[K" + line.substr(0, out_.err_terminal().columns));
    drawn_ = true;
    drawn_at_ms_ = now_ms;
}

void Progress::step_done(const store::Step& step) {
    const bool failed = step.status == store::StepStatus::Failed;
    // The next step of an object has a clock of its own.
    std::optional<Load> load;
    if (const auto found = loads_.find(step.object); found != loads_.end()) load = std::move(found->second);
    if (step.object.empty()) loads_.clear();
    loads_.erase(step.object);
    const bool stopped = step.status == store::StepStatus::Stopped;
    const bool quiet = step.created + step.updated + step.deleted + step.failed == 0 && !failed && !stopped;
    if (detail_ == Detail::Quiet && !load && !failed) return;
    // On a terminal the reader watches: only what happened is told. A file of lines tells all.
    if (quiet && out_.err_terminal().is_terminal) return;
    std::string line = fmt::format("{:<24}{:<16}", object_name(step), step.operation);
    line += failed    ? out_.styled_err("failed: ", Output::Style::Bad) + step.detail
            : stopped ? std::string("stopped")
                      : did(step);
    if (load) {
        const std::int64_t ms = clock_.mono_ms() - load->started_ms;
        line += "  " + to_duration(ms);
        const std::int64_t rate = rate_of(load->rows - load->rows_at_start, ms);
        if (rate > 0 && !stopped) line += fmt::format("  {} rows/s", with_thousands(rate));
    }
    print(line);
}

void Progress::note(const std::string& sentence) {
    print(out_.styled_err(sentence, Output::Style::Dim));
}

void Progress::clear() {
    if (drawn_) out_.progress("\r\033[K");
    drawn_ = false;
}

void Progress::print(const std::string& line) {
    if (out_.json()) return;
    clear();
    out_.progress(line + "\n");
}

}  // namespace lockstep::server

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/views.h"
#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "server/commands/commands.h"
#include "server/lease_keeper.h"
#include "server/report.h"
#include "server/stop.h"
#include "store/journal.h"
#include "store/log.h"
#include "sync/engine.h"

namespace lockstep::server {

namespace {

/// Waits after a cycle that could not reach Salesforce: doubled from the first to the last.
constexpr std::int64_t kRetryFirstS = 5;
constexpr std::int64_t kRetryMaxS = 300;

Error lease_lost() {
    return {.kind = Kind::Conflict,
            .what = "another process has taken over the sync of this data",
            .hint = "let one process sync; nothing was written after the other one began"};
}

/// Outcome of a cycle that ran to its end.
int outcome(const sync::CycleReport& report) {
    const bool failed_records =
        std::ranges::any_of(report.steps, [](const store::Step& step) { return step.failed > 0; });
    return report.failed() || failed_records ? kPartly : kDone;
}

/// A command that shows a record the last cycle changed.
std::string suggestion(store::Connection& db, std::int64_t since, std::int64_t turn, const sync::Settings& settings) {
    constexpr int kLooked = 200;
    std::optional<std::string> opportunity, person_id, email;
    // Changes of the last cycle are never too old to be there.
    const auto changes = store::changes_after(db, since, kLooked);
    for (const store::LoggedChange& logged : changes.ok() ? *changes : std::vector<store::LoggedChange>()) {
        const store::Change& change = logged.change;
        if (change.kind == store::ChangeKind::Snapshot) continue;
        if (change.table == "crm_opportunity") opportunity = change.record;
        if (change.table == "person") person_id = change.record;
    }
    if (person_id) {
        const auto view = api::person(db, parse_int(*person_id).value_or(0), settings);
        if (view) {
            const auto field = std::ranges::find(view->fields, "email", &api::PersonView::Field::column);
            if (field != view->fields.end()) email = record::to_text(field->value.cell());
        }
    }
    static constexpr std::array kAlways{"opportunities --orphans", "history", "status"};
    const auto index = static_cast<std::size_t>(turn);
    std::vector<std::string> choices;
    if (opportunity) choices.push_back("explain Opportunity " + *opportunity);
    if (person_id) choices.push_back("person " + email.value_or(*person_id));
    if (person_id) choices.push_back("activities " + *person_id);
    // Now and then something that needs no record.
    if (choices.empty() || index % 4 == 0) return kAlways.at(index / 4 % kAlways.size());
    return choices.at(index % choices.size());
}

std::int64_t log_end(store::Database& db) {
    std::int64_t position = 0;
    db.read([&](store::Connection& connection) { position = store::last_position(connection); });
    return position;
}

void tell_cycle(Context& context, const sync::CycleReport& report) {
    Output& out = context.out;
    out.document_line(cycle_json(report));
    std::string line =
        fmt::format("{}  cycle {}: {} ({}, {} {})", local_clock(context.world().clock.now()), report.cycle,
                    brought(report), to_duration(report.ms), report.calls, report.calls == 1 ? "call" : "calls");
    out.line(line);
    for (const store::Step& step : report.steps) {
        if (step.status != store::StepStatus::Failed) continue;
        out.line(fmt::format("          {} {} {}: {}", out.styled("failed", Output::Style::Bad), step.object,
                             step.operation, step.detail));
    }
}

void tell_trouble(Context& context, const Error& error, std::int64_t wait_s) {
    Output& out = context.out;
    out.document_line(json::serialize(json::object{
        {"error",
         {{"kind", name(error.kind)}, {"what", error.what}, {"hint", error.hint}, {"retry_after_s", wait_s}}}}));
    out.line(fmt::format("{}  {}; next try in {}", local_clock(context.world().clock.now()),
                         out.styled(error.what, Output::Style::Warn), to_duration(wait_s * 1000)));
}

/// Whether a cycle that failed with it is worth trying again without a person doing something.
bool passes_by_itself(Kind kind) {
    return kind == Kind::Throttled || kind == Kind::Unavailable || kind == Kind::BadReply;
}

}  // namespace

Result<int> sync_once(Context& context, const SyncOptions& options) {
    Parts& parts = context.parts;
    StopSignal stop(context.world().clock);
    parts.stop_when([&] { return stop.asked(); });
    store::Database* const db = TRY(parts.database());
    const sync::Rules* const rules = TRY(parts.rules());
    Line* const line = TRY(parts.line());
    const std::unique_ptr<LeaseKeeper> keeper = TRY(LeaseKeeper::claim(*db, "sync", stop));

    Progress progress(context.out, context.world().clock, Progress::Detail::Full);
    sync::Engine engine(*db, line->connector, *rules, context.world(), progress, keeper->lease(),
                        {.accept_disappearances = options.accept_disappearances});
    const Result<sync::CycleReport> report = engine.cycle();
    progress.clear();
    parts.permits().settle();
    if (keeper->lost()) return lease_lost();
    if (!report) return report.error();
    context.out.document(cycle_json(*report));
    print_summary(context.out, *report);
    // A signal that came when all was done changes nothing.
    return outcome(*report);
}

Result<int> serve(Context& context, const ServeOptions& options) {
    Parts& parts = context.parts;
    Clock& clock = context.world().clock;
    StopSignal stop(clock);
    parts.stop_when([&] { return stop.asked(); });
    store::Database* const db = TRY(parts.database());
    const sync::Rules* const rules = TRY(parts.rules());
    Line* const line = TRY(parts.line());
    const std::unique_ptr<LeaseKeeper> keeper = TRY(LeaseKeeper::claim(*db, "serve", stop));

    const std::int64_t interval_s = options.interval_s ? *options.interval_s : rules->settings().interval_s;
    Progress progress(context.out, clock, Progress::Detail::Quiet);
    sync::Engine engine(*db, line->connector, *rules, context.world(), progress, keeper->lease(), {});
    std::string org;
    db->read([&](store::Connection& connection) {
        org = store::setting(connection, "organization.name").value_or("the org");
    });
    context.out.line(
        fmt::format("following {} every {}; Ctrl-C stops after the current page", org, to_duration(interval_s * 1000)));

    std::int64_t retry_s = kRetryFirstS;
    for (int cycles = 0; !stop.asked();) {
        std::int64_t wait_s = interval_s;
        const std::int64_t before = log_end(*db);
        try {
            const Result<sync::CycleReport> report = engine.cycle();
            progress.clear();
            parts.permits().settle();
            if (report) {
                retry_s = kRetryFirstS;
                tell_cycle(context, *report);
                if (options.suggest && !context.out.json()) {
                    db->read([&](store::Connection& connection) {
                        const auto next = suggestion(connection, before, report->cycle, rules->settings());
                        if (!next.empty())
                            context.out.line(context.out.styled("          try: " + context.program + " " + next,
                                                                Output::Style::Dim));
                    });
                }
            } else if (stop.asked()) {
                break;
            } else if (passes_by_itself(report.error().kind)) {
                wait_s = std::max(report.error().retry_after_s, retry_s);
                retry_s = std::min(retry_s * 2, kRetryMaxS);
                tell_trouble(context, report.error(), wait_s);
            } else {
                return report.error();
            }
        } catch (const Failure& failure) {
            // The unit of work is abandoned; what it read is read again.
            if (keeper->lost()) break;
            wait_s = retry_s;
            retry_s = std::min(retry_s * 2, kRetryMaxS);
            tell_trouble(context, {.kind = Kind::Unavailable, .what = failure.what(), .hint = failure.hint}, wait_s);
        }
        if (++cycles == options.cycles_max) break;
        db->checkpoint();
        if (!stop.asked()) clock.wait_ms(wait_s * 1000);
    }
    if (keeper->lost()) return lease_lost();
    context.out.line(fmt::format("{}  stopped", local_clock(clock.now())));
    return kDone;
}

}  // namespace lockstep::server

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/views.h"
#include "base/check.h"
#include "base/text.h"
#include "server/commands/as_json.h"
#include "server/commands/commands.h"
#include "server/report.h"
#include "store/catalog.h"
#include "store/journal.h"

namespace lockstep::server {

namespace {

std::string when(const std::optional<Timestamp>& at) {
    return at ? local_text(*at) : "";
}

std::string count_or_blank(std::int64_t count) {
    return count == 0 ? "" : with_thousands(count);
}

/// A cycle takes a few dozen steps; so many rows hold as many cycles as are asked for.
constexpr int kStepsOfACycle = 80;

}  // namespace

Result<int> status(Context& context) {
    store::Database* const db = TRY(context.parts.database());
    const api::Status status = api::status(*db, context.world().clock.now());
    Output& out = context.out;

    json::array objects;
    std::vector<std::vector<std::string>> rows;
    for (const api::ObjectStatus& object : status.objects) {
        objects.push_back(json::object{{"object", object.object},
                                       {"state", object.state},
                                       {"rows", object.rows},
                                       {"deleted_rows", object.deleted_rows},
                                       {"watermark", as_json(object.watermark)},
                                       {"complete_as_of", as_json(object.complete_as_of)},
                                       {"load_rows", object.load_rows},
                                       {"load_expected", object.load_expected}});
        std::string state = object.state;
        if (object.load_expected > 0 && state == "loading") {
            state += fmt::format(" {} %", object.load_rows * 100 / object.load_expected);
        }
        rows.push_back({object.object, state, with_thousands(object.rows), count_or_blank(object.deleted_rows),
                        when(object.complete_as_of)});
    }
    json::value last = nullptr;
    if (status.last_step) last = parse_json(step_json(*status.last_step)).value();
    out.document(to_pretty(json::object{{"organization",
                                         {{"id", as_json(status.organization_id)},
                                          {"name", as_json(status.organization_name)},
                                          {"url", as_json(status.url)}}},
                                        {"database", status.database},
                                        {"bytes", status.bytes},
                                        {"objects", std::move(objects)},
                                        {"people", status.people},
                                        {"companies", status.companies},
                                        {"links", status.links},
                                        {"activities", status.activities},
                                        {"log_position", status.log_position},
                                        {"log_pruned", status.log_pruned},
                                        {"open_errors", status.open_errors},
                                        {"calls_24h", status.calls_24h},
                                        {"last_step", std::move(last)}}));

    if (status.organization_id.empty()) {
        out.line(out.styled("not connected", Output::Style::Warn) + "  lockstep connect makes the connection");
    } else {
        out.line(fmt::format("{}  {}  {}", out.styled(status.organization_name, Output::Style::Bold),
                             status.organization_id, status.url));
    }
    out.line(fmt::format("{}, {}", status.database, to_bytes(status.bytes)));
    out.line();
    out.table({"object", "state", "rows", "deleted", "complete as of"}, rows,
              {.none = "nothing was read yet: lockstep sync --once"});
    out.line();
    std::string last_line;
    if (status.last_step) {
        const store::Step& step = *status.last_step;
        last_line = fmt::format("{}  cycle {}, {} {}, {}", local_text(step.ended.value_or(step.started)), step.cycle,
                                step.object, step.operation, store::name(step.status));
    }
    const std::string log_start =
        status.log_pruned == 0 ? "" : "  kept from " + with_thousands(status.log_pruned + 1) + " on";
    out.pairs({{"people", with_thousands(status.people)},
               {"companies", with_thousands(status.companies)},
               {"opportunity links", with_thousands(status.links)},
               {"activities", with_thousands(status.activities)},
               {"change log", with_thousands(status.log_position) + log_start},
               {"API calls in 24 hours", with_thousands(status.calls_24h)},
               {"last step", last_line},
               {"open errors",
                status.open_errors == 0
                    ? "none"
                    : out.styled(with_thousands(status.open_errors), Output::Style::Bad) + "  see lockstep errors"}});
    return kDone;
}

Result<int> history(Context& context, int cycles) {
    store::Database* const db = TRY(context.parts.database());
    std::vector<store::Step> steps;
    db->read([&](store::Connection& connection) { steps = store::steps(connection, cycles * kStepsOfACycle); });
    std::set<std::int64_t, std::greater<>> shown;
    for (const store::Step& step : steps) shown.insert(step.cycle);
    const auto oldest = std::next(shown.begin(), std::min<std::ptrdiff_t>(cycles, std::ssize(shown)));
    shown.erase(oldest, shown.end());
    std::erase_if(steps, [&](const store::Step& step) { return !shown.contains(step.cycle); });

    json::array array;
    std::vector<std::vector<std::string>> rows;
    for (const store::Step& step : steps) {
        array.push_back(parse_json(step_json(step)).value());
        rows.push_back({std::to_string(step.cycle), local_text(step.started),
                        step.ended ? local_clock(*step.ended) : "", step.object, step.operation,
                        store::name(step.status), count_or_blank(step.created), count_or_blank(step.updated),
                        count_or_blank(step.deleted), count_or_blank(step.failed), count_or_blank(step.skipped),
                        count_or_blank(step.calls), step.detail});
    }
    context.out.document(to_pretty(json::object{{"steps", std::move(array)}}));
    context.out.table({"cycle", "started", "ended", "object", "operation", "status", "new", "updated", "deleted",
                       "failed", "skipped", "calls", "detail"},
                      rows, {.none = "no cycle has run yet", .blank_columns = false, .cell_width_max = 80});
    return kDone;
}

Result<int> errors(Context& context, const ErrorsOptions& options) {
    store::Database* const db = TRY(context.parts.database());
    std::vector<store::SyncError> found;
    db->read([&](store::Connection& connection) { found = store::errors(connection, options.rows_max, !options.all); });
    json::array array;
    Output& out = context.out;
    for (const store::SyncError& error : found) {
        array.push_back(json::object{{"id", error.id},
                                     {"at", to_string(error.at)},
                                     {"level", error.record.empty() ? "job" : "record"},
                                     {"object", error.object},
                                     {"record", as_json(error.record)},
                                     {"operation", error.operation},
                                     {"code", as_json(error.code)},
                                     {"message", error.message},
                                     {"hint", as_json(error.hint)},
                                     {"step", error.step},
                                     {"resolved", as_json(error.resolved)}});
        out.line(fmt::format("{}  {} {} {}{}", local_text(error.at), out.styled(error.object, Output::Style::Bold),
                             error.record.empty() ? "whole step" : error.record, error.operation,
                             error.resolved ? "  (resolved " + local_text(*error.resolved) + ")" : ""));
        out.line("    " + (error.code.empty() ? "" : error.code + ": ") + error.message);
        if (!error.hint.empty()) out.line(out.styled("    " + error.hint, Output::Style::Dim));
    }
    out.document(to_pretty(json::object{{"errors", std::move(array)}}));
    if (found.empty()) out.line(options.all ? "No errors are known." : "No open errors.");
    if (static_cast<int>(found.size()) == options.rows_max) {
        out.line(fmt::format("the newest {}; --limit shows more", found.size()));
    }
    return kDone;
}

std::string words(const sync::FieldFreshness& fresh) {
    std::string text = record::name(fresh.freshness);
    if (fresh.freshness == record::Freshness::AsOf && fresh.as_of) text += " " + local_text(*fresh.as_of);
    return fresh.reason.empty() ? text : text + ": " + fresh.reason;
}

namespace {

Result<int> one_object(Context& context, const store::MirrorObject& object, const sync::FreshnessByField& fresh) {
    json::array array;
    std::vector<std::vector<std::string>> rows;
    for (const store::MirrorField& field : object.fields) {
        const auto found = fresh.find(field.field.name);
        const auto label = found == fresh.end() ? std::nullopt : std::optional(found->second);
        array.push_back(json::object{{"name", field.field.name},
                                     {"label", field.field.label},
                                     {"type", field.field.type},
                                     {"form", record::name(field.field.form)},
                                     {"column", field.column},
                                     {"custom", field.field.custom},
                                     {"calculated", field.field.calculated},
                                     {"live", field.live},
                                     {"known_since", to_string(field.known_since)},
                                     {"unreadable_since", as_json(field.unreadable_since)},
                                     {"filled", field.filled},
                                     {"freshness", as_json(label)}});
        std::vector<std::string> notes;
        if (field.field.custom) notes.emplace_back("custom");
        if (field.field.calculated) notes.emplace_back(field.field.formula.empty() ? "calculated" : "formula");
        if (label) notes.push_back(words(*label));
        if (!field.live) notes.emplace_back("not readable since " + when(field.unreadable_since));
        if (!field.filled) notes.emplace_back("older rows are not filled yet");
        rows.push_back({field.field.name, field.field.label, field.field.type, field.column,
                        record::name(field.field.form), join(notes, ", ")});
    }
    context.out.document(to_pretty(json::object{{"object", object.object.name},
                                                {"label", object.object.label},
                                                {"table", object.table},
                                                {"fields", std::move(array)}}));
    context.out.line(
        fmt::format("{}  table {}", context.out.styled(object.object.name, Output::Style::Bold), object.table));
    context.out.table({"field", "label", "type", "column", "kept as", "notes"}, rows);
    return kDone;
}

}  // namespace

Result<int> schema(Context& context, const std::string& name) {
    store::Database* const db = TRY(context.parts.database());
    std::optional<store::Catalog> catalog;
    db->read([&](store::Connection& connection) { catalog = store::Catalog::read(connection); });
    if (!name.empty()) {
        const store::MirrorObject* const object = catalog->find(name);
        if (object == nullptr) {
            return Error{.kind = Kind::NotFound,
                         .what = fmt::format("the object {} is not among those that are read", name),
                         .hint = "lockstep schema lists them"};
        }
        sync::FreshnessByField fresh;
        db->read([&](store::Connection& connection) {
            fresh = sync::freshness_of(connection, *catalog, object->object.name);
        });
        return one_object(context, *object, fresh);
    }
    json::array array;
    std::vector<std::vector<std::string>> rows;
    for (const store::MirrorObject& object : catalog->objects()) {
        const auto unreadable = std::ranges::count_if(object.fields, [](const auto& field) { return !field.live; });
        const auto custom = std::ranges::count_if(object.fields, [](const auto& field) { return field.field.custom; });
        array.push_back(json::object{{"object", object.object.name},
                                     {"label", object.object.label},
                                     {"table", object.table},
                                     {"fields", object.fields.size()},
                                     {"custom_fields", custom},
                                     {"unreadable_fields", unreadable}});
        rows.push_back({object.object.name, object.object.label, object.table, std::to_string(object.fields.size()),
                        count_or_blank(custom), count_or_blank(unreadable)});
    }
    context.out.document(to_pretty(json::object{{"objects", std::move(array)}}));
    context.out.table({"object", "label", "table", "fields", "custom", "unreadable"}, rows,
                      {.none = "nothing was read yet: lockstep sync --once"});
    return kDone;
}

}  // namespace lockstep::server

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "api/views.h"
#include "base/check.h"
#include "base/text.h"
#include "server/commands/as_json.h"
#include "server/commands/commands.h"

namespace lockstep::server {

namespace {

using api::FieldExplanation;

/// Cut, so that three of them fit side by side.
constexpr std::size_t kShownCharacters = 28;

std::string shown(const record::Value& value) {
    if (value.is_null()) return "–";
    std::string text = record::to_text(value.cell());
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    if (length_in_characters(text) > kShownCharacters) {
        std::size_t end = 0;
        for (std::size_t characters = 0; characters < kShownCharacters; ++characters) {
            ++end;
            while (end < text.size() && (static_cast<unsigned char>(text.at(end)) & 0xC0U) == 0x80U) ++end;
        }
        text = text.substr(0, end) + "…";
    }
    return value.cell().form() == record::Form::Text ? "\"" + text + "\"" : text;
}

bool has_something(const FieldExplanation& field) {
    return !field.theirs.is_null() || !field.base.is_null() || (field.ours && !field.ours->is_null()) ||
           !field.held_reason.empty();
}

/// What a value that equals Salesforce's is shown as, so that differences stand out.
constexpr const char* kSame = "=";

std::string shown_beside(const record::Value& value, const record::Value& theirs) {
    return value == theirs ? kSame : shown(value);
}

std::string set_by(const FieldExplanation& field) {
    if (field.kind == "pruned") return "older than the change log";
    if (field.position == 0) return "";
    std::string text = field.cycle > 0 ? fmt::format("cycle {}, ", field.cycle) : "";
    if (!field.call.empty()) text += field.call + ", ";
    return text + fmt::format("log {}", field.position);
}

json::object field_json(const FieldExplanation& field) {
    return {{"field", field.field},
            {"column", field.column},
            {"theirs", as_json(field.theirs)},
            {"base", as_json(field.base)},
            {"ours", field.ours ? as_json(*field.ours) : json::value(nullptr)},
            {"ours_column", as_json(field.ours_column)},
            {"verdict", as_json(field.verdict)},
            {"reason", as_json(field.reason)},
            {"rule", as_json(field.rule)},
            {"held_reason", as_json(field.held_reason)},
            {"position", field.position},
            {"at", as_json(field.at)},
            {"cycle", field.cycle},
            {"call", as_json(field.call)},
            {"kind", as_json(field.kind)},
            {"freshness", as_json(field.freshness)}};
}

}  // namespace

Result<int> explain(Context& context, const ExplainOptions& options) {
    store::Database* const db = TRY(context.parts.database());
    const sync::Rules* const rules = TRY(context.parts.rules());
    std::optional<Result<api::Explanation>> found;
    db->read([&](store::Connection& connection) {
        found.emplace(api::explain(connection, *rules, options.object, options.id));
    });
    const api::Explanation explanation = TRY(std::move(*found));
    Output& out = context.out;

    json::array array;
    std::vector<std::vector<std::string>> rows;
    std::map<std::string, std::vector<std::string>> stale;  // fields that are not exact, by why
    std::size_t hidden = 0;
    for (const FieldExplanation& field : explanation.fields) {
        if (!options.all && !has_something(field)) {
            ++hidden;
            continue;
        }
        array.push_back(field_json(field));
        std::string verdict = field.verdict;
        if (!field.reason.empty()) verdict += ": " + field.reason;
        if (!field.held_reason.empty()) verdict += ", held: " + field.held_reason;
        rows.push_back({field.field, shown(field.theirs), shown_beside(field.base, field.theirs),
                        field.ours ? shown_beside(*field.ours, field.theirs) : std::string(), field.ours_column,
                        verdict, field.rule, field.at ? local_text(*field.at) : "", set_by(field),
                        field.freshness ? record::name(field.freshness->freshness) : ""});
        if (field.freshness && !field.freshness->reason.empty()) stale[words(*field.freshness)].push_back(field.field);
    }
    json::value person = nullptr;
    if (explanation.person) person = *explanation.person;
    out.document(to_pretty(json::object{{"object", explanation.object},
                                        {"id", explanation.id},
                                        {"name", as_json(explanation.name)},
                                        {"deleted", explanation.deleted},
                                        {"person", std::move(person)},
                                        {"fields", std::move(array)}}));

    std::string title = fmt::format("{} {}", out.styled(explanation.object, Output::Style::Bold), explanation.id);
    if (!explanation.name.empty()) title += "  " + explanation.name;
    if (explanation.person) title += fmt::format("  person {}", *explanation.person);
    if (explanation.deleted) title += "  " + out.styled("deleted in Salesforce", Output::Style::Warn);
    out.line(title);
    out.table({"field", "theirs", "base", "ours", "kept in", "verdict", "rule", "since", "by", "formula"}, rows,
              {.blank_columns = false});
    out.line();
    out.line(
        out.styled("theirs: what Salesforce last said; base: what we took note of; ours: what we hold; =: the same.",
                   Output::Style::Dim));
    for (const auto& [why, fields] : stale) out.line(out.styled(join(fields, ", ") + ": " + why, Output::Style::Dim));
    if (hidden > 0)
        out.line(
            out.styled(fmt::format("{} empty fields are not shown; --all shows them.", hidden), Output::Style::Dim));
    return kDone;
}

}  // namespace lockstep::server

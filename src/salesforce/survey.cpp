// Asking about all objects at once: Connector::survey (salesforce-api 3, 10.2, 11; reliability 4.1).

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "salesforce/answer.h"
#include "salesforce/composite.h"
#include "salesforce/connector.h"
#include "salesforce/fetch.h"
#include "salesforce/query.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

/// What changed in a few minutes fits in; much more is better read by pages of its own.
constexpr int kRowsMax = 500;
/// A description stamped so short before it was read may have changed again in the same second.
constexpr std::int64_t kSettledS = 2;

enum class About { Description, Changes, Deletions };

struct Part {
    std::size_t question;
    About about;
    CompositePart ask;
};

class Survey {
public:
    Survey(Session& session, const std::vector<Question>& questions)
        : session_(session),
          questions_(questions),
          now_(session.server_time_about_now()),
          findings_(questions.size()) {}

    Result<std::vector<Findings>> run() {
        std::vector<Part> call;
        std::size_t queries = 0;
        for (std::size_t i = 0; i < questions_.size(); ++i) {
            std::vector<Part> parts = parts_of(i);
            const auto more = static_cast<std::size_t>(std::ranges::count(parts, About::Changes, &Part::about));
            // What belongs to an object is asked at one time.
            if (call.size() + parts.size() > kCompositePartsMax || queries + more > kCompositeQueriesMax) {
                TRY(ask(std::exchange(call, {})));
                queries = 0;
            }
            queries += more;
            std::ranges::move(parts, std::back_inserter(call));
        }
        if (!call.empty()) TRY(ask(call));
        return std::move(findings_);
    }

private:
    std::string absolute(std::string_view path) const {
        return fmt::format("/services/data/v{}{}", session_.api_version(), path);
    }

    std::vector<Part> parts_of(std::size_t index) {
        const Question& question = questions_[index];
        std::vector<Part> parts;
        if (!is_api_name(question.object)) return parts;
        parts.push_back({.question = index,
                         .about = About::Description,
                         .ask = {.path = absolute("/sobjects/" + question.object + "/describe"),
                                 .only_since = question.described}});
        if (question.changes) {
            // One whose fields need several queries is read by itself.
            const auto path = one_query(session_, *question.changes, kRowsMax);
            findings_[index].too_many_changes = !path;
            if (path) parts.push_back({.question = index, .about = About::Changes, .ask = {.path = absolute(*path)}});
        }
        if (question.deleted_since) {
            parts.push_back({.question = index,
                             .about = About::Deletions,
                             .ask = {.path = absolute(deleted_path(question.object, *question.deleted_since, now_))}});
        }
        return parts;
    }

    Result<void> ask(const std::vector<Part>& parts) {
        std::vector<CompositePart> asks;
        for (const Part& part : parts) asks.push_back(part.ask);
        const std::string body = composite_body(asks);
        const std::int64_t began_ms = session_.mono_ms();
        auto answers = TRY(fetch_by(
            session_, [&] { return session_.post("/composite", body); },
            [&](http::Response&& answer) { return parse_composite(answer.body, parts.size()); }));
        // The answer's Date may be as much later than the queries as the whole call took.
        constexpr std::int64_t second_ms = 1000;
        const std::int64_t took_s = (session_.mono_ms() - began_ms + second_ms - 1) / second_ms;
        const auto answered = session_.server_time();
        for (std::size_t i = 0; i < parts.size(); ++i) {
            Findings& found = findings_[parts[i].question];
            if (answered) found.asked_at = answered->plus(-took_s);
            const Result<void> taken = take(parts[i], std::move(answers[i]), answered.has_value(), found);
            if (!taken.ok()) {
                log::debug("a part of a composite call is asked for again",
                           {{"object", questions_[parts[i].question].object}, {"why", name(taken.error().kind)}});
            }
        }
        return {};
    }

    Result<void> take(const Part& part, http::Response&& answer, bool has_time, Findings& found) {
        const Question& question = questions_[part.question];
        if (part.about == About::Description && answer.status == 304 && question.described) {
            found.same_description = true;
            found.described = question.described;
            return {};
        }
        const Verdict verdict = judge(answer, "application/json", now_);
        if (verdict.next != Verdict::Next::Use) {
            found.no_object =
                found.no_object || (part.about == About::Description && verdict.error.kind == Kind::NotFound);
            return verdict.error;
        }
        switch (part.about) {
            case About::Description: {
                record::Object object = TRY(parse_describe(answer.body));
                if (!equals_ignoring_case(object.name, question.object)) {
                    return Error{.kind = Kind::BadReply, .what = "Another object was described"};
                }
                found.description = std::move(object);
                const auto changed = parse_http_date(answer.header("Last-Modified"));
                if (changed && has_time && *changed <= found.asked_at.plus(-kSettledS)) found.described = changed;
                return {};
            }
            case About::Changes: {
                if (!has_time) return Error{.kind = Kind::BadReply, .what = "Salesforce does not tell the time"};
                auto page = TRY(read_one_query(session_, *question.changes, kRowsMax, answer.body));
                found.too_many_changes = !page;
                if (!page) return {};
                page->call = "composite query";
                found.changes = std::move(page);
                return {};
            }
            case About::Deletions:
                found.deleted = TRY(parse_deleted(answer.body, *question.deleted_since));
                return {};
        }
        return {};
    }

    Session& session_;
    const std::vector<Question>& questions_;
    const Timestamp now_;
    std::vector<Findings> findings_;
};

}  // namespace

Result<std::vector<Findings>> Connector::survey(const std::vector<Question>& questions) {
    return Survey(session_, questions).run();
}

}  // namespace lockstep::salesforce

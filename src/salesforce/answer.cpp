#include "salesforce/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/text.h"
#include "salesforce/soap.h"

namespace lockstep::salesforce {

namespace {

using Next = Verdict::Next;

constexpr std::int64_t kQuotaPauseS = 15 * 60;     // the rolling day frees calls slowly (reliability 4.4)
constexpr std::int64_t kConcurrentWaitMs = 2'000;  // a slot is freed when some call of 20 s or more ends
constexpr std::size_t kWordsBytesMax = 300;

struct Refusal {
    std::string code, words;
};

/// The first entry of Salesforce's error array; empty when the body is something else.
Refusal refusal_in(std::string_view body) {
    const auto parsed = parse_json(body);
    if (!parsed.ok()) return {};
    const json::value* entry = &*parsed;
    if (entry->is_array()) {
        if (entry->get_array().empty()) return {};
        entry = &entry->get_array().front();
    }
    if (!entry->is_object()) return {};
    return {text_at(entry->get_object(), "errorCode").value_or(""),
            text_at(entry->get_object(), "message").value_or("")};
}

Refusal fault_in(std::string_view body) {
    const auto fault = parse_soap_fault(body);
    if (!fault) return {};
    // The words begin with the code once more.
    std::string_view words = fault->words;
    if (words.starts_with(fault->code + ": ")) words.remove_prefix(fault->code.size() + 2);
    return {fault->code, std::string(words)};
}

/// How a refusal is passed on, by Salesforce's code.
struct Known {
    std::string_view code;
    Kind kind;
    std::string_view hint;
};
constexpr std::array kKnown{
    Known{"API_DISABLED_FOR_ORG", Kind::Denied,
          "give the integration user the permission 'API Enabled', and check that the org's edition has the API"},
    Known{"API_CURRENTLY_DISABLED", Kind::Denied, "give the integration user the permission 'API Enabled'"},
    Known{"FUNCTIONALITY_NOT_ENABLED", Kind::Denied, "enable the feature in Setup, or leave the object out"},
    Known{"INSUFFICIENT_ACCESS", Kind::Denied, "give the integration user read access in its permission set"},
    Known{"FORBIDDEN", Kind::Denied, "give the integration user read access in its permission set"},
    Known{"TXN_SECURITY_NO_ACCESS", Kind::Denied, "exempt the integration user from the transaction security policy"},
    Known{"TXN_SECURITY_METERING_ERROR", Kind::Denied,
          "exempt the integration user from the transaction security policy"},
    Known{"INVALID_FIELD", Kind::Rejected,
          "a field was removed or hidden from our user; its description is read again"},
    Known{"INVALID_TYPE", Kind::Rejected, "the object was removed or hidden from our user"},
    Known{"QUERY_TIMEOUT", Kind::Rejected, "ask for a shorter time, or by a bulk job"},
    Known{"OPERATION_TOO_LARGE", Kind::Rejected, "ask for a shorter time, or by a bulk job"},
    Known{"GONE", Kind::Rejected, "Salesforce has retired this API version: set a newer api_version"},
    Known{"UNSUPPORTED_API_VERSION", Kind::Rejected, "set an api_version the org serves"},
};

Error refused(const http::Response& answer, const Refusal& refusal) {
    Error error{.kind = answer.status == 404   ? Kind::NotFound
                        : answer.status == 403 ? Kind::Denied
                                               : Kind::Rejected,
                .code = refusal.code};
    if (const auto* known = std::ranges::find(kKnown, std::string_view(refusal.code), &Known::code);
        known != kKnown.end()) {
        error.kind = known->kind;
        error.hint = known->hint;
    }
    if (answer.status == 410) error.hint = "Salesforce has retired this API version: set a newer api_version";
    if (answer.status == 410 && error.code.empty()) error.code = "GONE";
    error.what = refusal.code.empty()
                     ? fmt::format("Salesforce refused the call with status {}", answer.status)
                     : fmt::format("Salesforce refused the call ({}: {})", refusal.code, in_a_line(refusal.words));
    return error;
}

/// Retry-After, in seconds or as a date; 0: none.
std::int64_t retry_after_s(const http::Response& answer, Timestamp now) {
    const std::string_view text = trim(answer.header("Retry-After"));
    if (const auto seconds = parse_int(text)) return std::clamp<std::int64_t>(*seconds, 0, 86'400);
    const auto until = parse_http_date(text);
    return until ? std::clamp<std::int64_t>(until->seconds - now.seconds, 0, 86'400) : 0;
}

Verdict over_limit(const Refusal& refusal, std::int64_t asked_s) {
    // Only a limit on what runs at this moment passes soon. Anything else is taken for the day's quota: asking again
    // would make it worse.
    if (refusal.words.find("Concurrent") != std::string::npos) {
        return {.next = Next::TryAgain,
                .error = {.kind = Kind::Throttled,
                          .what = fmt::format("Salesforce runs too many calls of this org at once ({})",
                                              in_a_line(refusal.words)),
                          .hint = "other integrations of the org hold long calls; it passes by itself",
                          .code = refusal.code,
                          .retry_after_s = std::max<std::int64_t>(asked_s, 60)},
                .wait_ms = std::max(kConcurrentWaitMs, asked_s * 1000)};
    }
    return {.next = Next::GiveUp,
            .error = {.kind = Kind::Throttled,
                      .what = fmt::format("The org's API calls of the last 24 hours are used up ({})",
                                          in_a_line(refusal.words)),
                      .hint = "see Setup > Company Information for the limit; it frees up hour by hour",
                      .code = refusal.code,
                      .retry_after_s = asked_s > 0 ? asked_s : kQuotaPauseS}};
}

Verdict session_lost(const http::Response& answer, const Refusal& refusal) {
    return {
        .next = Next::LogIn,
        .error = {.kind = Kind::Denied,
                  .what = fmt::format("Salesforce refuses our session though it is fresh ({})",
                                      refusal.code.empty() ? fmt::format("status {}", answer.status) : refusal.code),
                  .hint = "check the connected app's session and IP policies, and that the user may use the API",
                  .code = refusal.code}};
}

Verdict busy(const http::Response& answer, const Refusal& refusal, std::int64_t asked_s) {
    const bool throttled = answer.status == 429 || answer.status == 420;
    const std::string reason =
        refusal.code.empty() ? "" : fmt::format(", {}: {}", refusal.code, in_a_line(refusal.words));
    return {
        .next = Next::TryAgain,
        .error = {.kind = throttled ? Kind::Throttled : Kind::Unavailable,
                  .what = throttled ? fmt::format("Salesforce asks us to call less often (status {}{})", answer.status,
                                                  reason)
                                    : fmt::format("Salesforce is not available (status {}{})", answer.status, reason),
                  .hint = "it is tried again by itself; status.salesforce.com tells of maintenance",
                  .code = refusal.code,
                  .retry_after_s = asked_s},
        .wait_ms = asked_s * 1000};
}

/// "text/csv" of "text/csv;charset=UTF-8".
std::string media_type(const http::Response& answer) {
    const std::string_view type = answer.header("Content-Type");
    return to_lower(trim(type.substr(0, type.find(';'))));
}

Verdict judge_success(const http::Response& answer, std::string_view type_wanted) {
    if (answer.status == 204 || answer.status == 304) return {};
    const std::string type = media_type(answer);
    if (type == type_wanted) return {};
    const bool page = type == "text/html";
    return {.next = Next::TryAgain,
            .error = {.kind = Kind::BadReply,
                      .what = page ? std::string("Salesforce answered with a web page instead of data")
                                   : fmt::format("Salesforce answered with \"{}\" instead of {}",
                                                 to_valid_utf8(type.substr(0, 60)), type_wanted),
                      .hint = "it may be in maintenance; status.salesforce.com tells"}};
}

}  // namespace

Verdict judge(const Result<http::Response>& answer, std::string_view type_wanted, Timestamp now) {
    if (!answer.ok()) {
        // A transfer that broke off says nothing about the next one; a wrong address or too large an answer does.
        const bool passes = answer.error().kind == Kind::Unavailable ||
                            (answer.error().kind == Kind::BadReply && answer.error().code.empty());
        return {.next = passes ? Next::TryAgain : Next::GiveUp, .error = answer.error()};
    }
    const int status = answer->status;
    if ((status >= 200 && status < 300) || status == 304) return judge_success(*answer, type_wanted);
    const bool soap = type_wanted == "text/xml";
    const Refusal refusal = soap ? fault_in(answer->body) : refusal_in(answer->body);
    const std::int64_t asked_s = retry_after_s(*answer, now);
    // The sender follows no redirect, for it would carry the token along. A moved org names its new address at login.
    if (status >= 301 && status <= 308) {
        return {.next = Next::LogIn,
                .error = {.kind = Kind::BadReply,
                          .what = fmt::format("Salesforce sends us to another address (status {})", status),
                          .hint = "the org's My Domain may have changed: connect again with the new address"}};
    }
    if (status == 401) return session_lost(*answer, refusal);
    if (soap && refusal.code == "INVALID_SESSION_ID") return session_lost(*answer, refusal);
    if (status == 403 && answer->body.find("Bad_OAuth_Token") != std::string::npos)
        return session_lost(*answer, refusal);
    if (refusal.code == "REQUEST_LIMIT_EXCEEDED") return over_limit(refusal, asked_s);
    // Every fault of SOAP has status 500: the code tells whether it passes.
    const bool final_fault =
        soap && !refusal.code.empty() && refusal.code != "UNKNOWN_EXCEPTION" && refusal.code != "SERVER_UNAVAILABLE";
    if (final_fault) return {.next = Next::GiveUp, .error = refused(*answer, refusal)};
    if (status == 429 || status == 420 || status == 408 || status >= 500) return busy(*answer, refusal, asked_s);
    return {.next = Next::GiveUp, .error = refused(*answer, refusal)};
}

std::optional<Session::Quota> parse_limit_info(std::string_view header) {
    std::optional<Session::Quota> strictest;
    for (const std::string& part : split(header, ';')) {
        const std::string_view text = trim(part);
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos || !text.substr(0, equals).ends_with("api-usage")) continue;
        std::string_view figures = text.substr(equals + 1);
        figures = figures.substr(0, figures.find('('));
        const std::size_t slash = figures.find('/');
        if (slash == std::string_view::npos) continue;
        const auto used = parse_int(figures.substr(0, slash));
        const auto max = parse_int(figures.substr(slash + 1));
        // The limit is soft, so `used` may be beyond it for a while, but not by far.
        if (!used || !max || *used < 0 || *max < 1 || *used / 2 > *max) continue;
        if (!strictest || *max - *used < strictest->max - strictest->used) strictest = {.used = *used, .max = *max};
    }
    return strictest;
}

std::string in_a_line(std::string_view words) {
    if (const std::size_t place = words.find("ERROR at Row:"); place != std::string_view::npos) {
        const std::size_t line_end = words.find('\n', place);
        if (line_end != std::string_view::npos) words.remove_prefix(line_end + 1);
    }
    std::string line;
    const std::string valid = to_valid_utf8(words.substr(0, 4 * kWordsBytesMax));
    for (const char c : valid) {
        const bool blank = static_cast<unsigned char>(c) <= ' ' || c == 0x7F;
        if (blank && (line.empty() || line.back() == ' ')) continue;
        line += blank ? ' ' : c;
    }
    if (line.ends_with(' ')) line.pop_back();
    if (line.size() > kWordsBytesMax) line = to_valid_utf8(line.substr(0, kWordsBytesMax)) + "…";
    return line;
}

}  // namespace lockstep::salesforce

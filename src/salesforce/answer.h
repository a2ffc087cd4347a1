#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "salesforce/session.h"

namespace lockstep::salesforce {

// What an answer of Salesforce means (salesforce-api 2.5, 3, 16). Pure functions.

/// What to do after a call.
struct Verdict {
    enum class Next {
        Use,       ///< the answer is one, of the type asked for
        LogIn,     ///< the token is not good any more
        TryAgain,  ///< trouble that passes
        GiveUp,
    } next = Next::Use;
    Error error;               ///< unless Use; for LogIn: what it is when a fresh token does not help
    std::int64_t wait_ms = 0;  ///< TryAgain: at least so long
};
/// `type_wanted`: "application/json" or "text/csv", or "text/xml" for SOAP. `now`: to read a Retry-After that is a
/// date.
Verdict judge(const Result<http::Response>& answer, std::string_view type_wanted, Timestamp now);

/// The stricter of the limits that Sforce-Limit-Info tells: "api-usage=133/15000; per-app-api-usage=17/250(appName=x)".
/// Nothing when there is none that makes sense.
std::optional<Session::Quota> parse_limit_info(std::string_view header);

/// `words` of Salesforce for use in a sentence: one line, at most 300 bytes, and of a SOQL error only the reason.
std::string in_a_line(std::string_view words);

}  // namespace lockstep::salesforce

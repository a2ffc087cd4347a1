#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sandbox/schema.h"
#include "sandbox/soql_grammar.h"

namespace lockstep::sandbox::soql {

/// Whole numbers in [low, high): a literal day is a range of one day, a literal second a range of one second, a moment
/// between two seconds an empty one, LAST_MONTH a range of days.
struct Range {
    std::int64_t low = 0, high = 0;
};

/// What a literal means for a field of `type` (Date: days; DateTime: epoch seconds), seen at `now` by users who live
/// in UTC, whose weeks begin on Sunday and whose fiscal year is the calendar's (salesforce-api 8). Nothing: the literal
/// is of another type, or no day of the calendar.
std::optional<Range> range_of(const Literal& literal, Type type, Timestamp now);
/// "17:30:00.000Z" of any spelling of a time; nothing: 25:00 and the like.
std::optional<std::string> canonical_time(std::string_view text);

}  // namespace lockstep::sandbox::soql

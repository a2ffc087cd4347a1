#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// A moment: whole seconds since 1970-01-01T00:00:00Z. Salesforce stamps have no finer resolution.
struct Timestamp {
    std::int64_t seconds = 0;
    auto operator<=>(const Timestamp&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 misreads it
    Timestamp plus(std::int64_t s) const { return {seconds + s}; }
};

/// A calendar day without a zone: days since 1970-01-01, proleptic Gregorian.
struct Date {
    std::int32_t days = 0;
    auto operator<=>(const Date&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// "2026-11-24T08:30:00Z". Years outside 0001..9999 print with their sign and as many digits as they need, at least
/// four; parsing refuses them.
std::string to_string(Timestamp at);
/// "2026-11-24".
std::string to_string(Date day);

/// ISO 8601 with `T` or a blank between day and time, optional fraction (cut, never rounded), and a zone: Z, ±hh:mm,
/// ±hhmm; without one it is UTC. Nothing may follow. Impossible days (2026-02-30, month 00)
/// and times (24:00:00, a second 60) are refused.
std::optional<Timestamp> parse_timestamp(std::string_view text);
/// "2026-11-24" and nothing else.
std::optional<Date> parse_date(std::string_view text);
/// The `Date` header of HTTP: "Tue, 24 Nov 2026 08:30:00 GMT", and nothing else; the weekday must be right.
std::optional<Timestamp> parse_http_date(std::string_view text);
std::string to_http_date(Timestamp at);

struct CivilDate {
    int year = 1970;
    int month = 1;
    int day = 1;
};
CivilDate civil(Date day);
/// Precondition: the day exists.
Date from_civil(CivilDate civil);
/// The UTC day of `at`.
Date day_of(Timestamp at);
/// Midnight UTC of `day`.
Timestamp start_of(Date day);

}  // namespace lockstep

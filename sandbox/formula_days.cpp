#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "base/time.h"
#include "sandbox/formula_program.h"

// Dates, datetimes and times. Users of the org live in UTC.
namespace lockstep::sandbox::formula {

namespace {

std::int64_t days_of(std::int64_t seconds) {
    return day_of(Timestamp{seconds}).days;
}
std::int64_t seconds_within(std::int64_t seconds) {
    return seconds - days_of(seconds) * day_seconds;
}
CivilDate civil_of(std::int64_t days) {
    return civil(Date{static_cast<std::int32_t>(days)});
}
std::int64_t days_at(int year, int month, int day) {
    return from_civil({year, month, day}).days;
}
int last_day(int year, int month) {
    const std::int64_t next = month == 12 ? days_at(year + 1, 1, 1) : days_at(year, month + 1, 1);
    return static_cast<int>(next - days_at(year, month, 1));
}
/// Nothing for a day there is not: 2023-02-29.
std::optional<std::int64_t> checked_days(std::int64_t year, std::int64_t month, std::int64_t day) {
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) return std::nullopt;
    if (day > last_day(static_cast<int>(year), static_cast<int>(month))) return std::nullopt;
    return days_at(static_cast<int>(year), static_cast<int>(month), static_cast<int>(day));
}

/// Up to `most` digits at `at`; moves past them.
std::optional<std::int64_t> digits(std::string_view text, std::size_t& at, std::size_t least, std::size_t most) {
    std::int64_t number = 0;
    std::size_t count = 0;
    for (; at < text.size() && count < most && text[at] >= '0' && text[at] <= '9'; ++at, ++count)
        number = number * 10 + (text[at] - '0');
    return count < least ? std::nullopt : std::optional(number);
}
bool skip(std::string_view text, std::size_t& at, char c) {
    const bool is_there = at < text.size() && text[at] == c;
    at += is_there ? 1 : 0;
    return is_there;
}

/// "17:30:00" at `at`, in seconds; moves past it.
std::optional<std::int64_t> read_clock(std::string_view text, std::size_t& at) {
    const auto hour = digits(text, at, 1, 2);
    if (!hour || !skip(text, at, ':')) return std::nullopt;
    const auto minute = digits(text, at, 1, 2);
    if (!minute || !skip(text, at, ':')) return std::nullopt;
    const auto second = digits(text, at, 1, 2);
    if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    return (*hour * 60 + *minute) * 60 + *second;
}

template <class Reckon>
Value of_day(Evaluator& at, const Node& call, Reckon reckon) {
    const auto days = at.whole(call.parts[0]);
    if (!days) return {};
    return Decimal(std::int64_t{reckon(*days)});
}

}  // namespace

std::optional<DayText> read_day(std::string_view text) {
    std::size_t at = 0;
    const auto year = digits(text, at, 4, 4);
    if (!year || !skip(text, at, '-')) return std::nullopt;
    const auto month = digits(text, at, 1, 2);
    if (!month || !skip(text, at, '-')) return std::nullopt;
    const auto day = digits(text, at, 1, 2);
    if (!day) return std::nullopt;
    const auto days = checked_days(*year, *month, *day);
    return days ? std::optional(DayText{*days, at}) : std::nullopt;
}

std::string time_text(std::int64_t milliseconds) {
    const std::int64_t seconds = milliseconds / 1000;
    return fmt::format("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, milliseconds % 1000);
}

namespace {

// --- Now ---

Value today(Evaluator& at, const Node&) {
    return days_of(at.rows().now());
}
Value now(Evaluator& at, const Node&) {
    return at.rows().now();
}
Value time_now(Evaluator& at, const Node&) {
    return seconds_within(at.rows().now()) * 1000;
}

// --- Made of something else ---

Value date(Evaluator& at, const Node& call) {
    const auto year = at.number(call.parts[0]);
    const auto month = at.number(call.parts[1]);
    const auto day = at.number(call.parts[2]);
    if (!year || !month || !day) return {};
    const auto days = checked_days(year->to_whole(), month->to_whole(), day->to_whole());
    return days ? Value(*days) : at.fail();
}

Result<Sort> one_of(const Node& call, std::initializer_list<Sort> sorts, Sort gives) {
    const bool fits = std::find(sorts.begin(), sorts.end(), call.parts[0].sort) != sorts.end();
    if (!fits) return wrong_argument(call);
    return gives;
}

Result<Sort> check_date_value(Node& call) {
    return one_of(call, {Sort::DateTime, Sort::Text}, Sort::Date);
}
Value date_value(Evaluator& at, const Node& call) {
    if (call.parts[0].sort == Sort::DateTime) {
        const auto seconds = at.whole(call.parts[0]);
        return seconds ? Value(days_of(*seconds)) : Value();
    }
    const std::string text = at.text(call.parts[0]);
    if (text.empty()) return {};
    const auto read = read_day(text);
    return read ? Value(read->days) : at.fail();
}

Result<Sort> check_datetime_value(Node& call) {
    return one_of(call, {Sort::DateTime, Sort::Text, Sort::Date}, Sort::DateTime);
}
Value datetime_value(Evaluator& at, const Node& call) {
    if (call.parts[0].sort == Sort::Text) {
        const std::string text = at.text(call.parts[0]);
        if (text.empty()) return {};
        const auto day = read_day(text);
        std::size_t from = day ? day->length : 0;
        if (!day || !skip(text, from, ' ')) return at.fail();
        const auto clock = read_clock(text, from);
        return clock ? Value(day->days * day_seconds + *clock) : at.fail();
    }
    const auto moment = at.whole(call.parts[0]);
    if (!moment) return {};
    return call.parts[0].sort == Sort::Date ? *moment * day_seconds : *moment;
}

Result<Sort> check_time_value(Node& call) {
    return one_of(call, {Sort::DateTime, Sort::Text, Sort::Time}, Sort::Time);
}
Value time_value(Evaluator& at, const Node& call) {
    if (call.parts[0].sort == Sort::Text) {
        const std::string text = at.text(call.parts[0]);
        if (text.empty()) return {};
        std::size_t from = 0;
        const auto clock = read_clock(text, from);
        std::optional<std::int64_t> rest = 0;
        if (clock && skip(text, from, '.')) rest = digits(text, from, 3, 3);
        if (!clock || !rest || from != text.size()) return at.fail();
        return *clock * 1000 + *rest;
    }
    const auto moment = at.whole(call.parts[0]);
    if (!moment) return {};
    return call.parts[0].sort == Sort::Time ? *moment : seconds_within(*moment) * 1000;
}

Result<Sort> check_add_months(Node& call) {
    if (call.parts[1].sort != Sort::Number) return wrong_argument(call);
    return one_of(call, {Sort::DateTime, Sort::Date}, call.parts[0].sort);
}
/// The last day of a month stays the last one; other days stay themselves where the month has them.
Value add_months(Evaluator& at, const Node& call) {
    constexpr std::int64_t months_max = 120'000;
    const auto moment = at.whole(call.parts[0]);
    const auto more = at.number(call.parts[1]);
    if (!moment || !more) return moment ? Value(*moment) : Value();
    const bool is_date = call.parts[0].sort == Sort::Date;
    const CivilDate from = civil_of(is_date ? *moment : days_of(*moment));
    const std::int64_t months =
        std::int64_t{from.year} * 12 + from.month - 1 + std::clamp(more->to_whole(), -months_max, months_max);
    if (months < 12) return at.fail();
    const auto year = static_cast<int>(months / 12);
    const int month = static_cast<int>(months % 12) + 1;
    if (year > 9999) return at.fail();
    const int last = last_day(year, month);
    const bool was_last = from.day == last_day(from.year, from.month);
    const std::int64_t days = days_at(year, month, was_last ? last : std::min(from.day, last));
    return is_date ? days : days * day_seconds + seconds_within(*moment);
}

// --- Parts of a date ---

Value year(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t days) { return civil_of(days).year; });
}
Value month(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t days) { return civil_of(days).month; });
}
Value day(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t days) { return civil_of(days).day; });
}
/// From 0, Sunday.
std::int64_t day_of_week(std::int64_t days) {
    return ((days + 4) % 7 + 7) % 7;
}
Value weekday(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t days) { return day_of_week(days) + 1; });
}
std::int64_t day_of_year(std::int64_t days) {
    return days - days_at(civil_of(days).year, 1, 1) + 1;
}
Value day_in_year(Evaluator& at, const Node& call) {
    return of_day(at, call, day_of_year);
}

Result<Sort> check_iso(Node& call) {
    return one_of(call, {Sort::Date, Sort::DateTime}, Sort::Number);
}
/// The Thursday of the week of a date or datetime: what year it lies in decides.
std::int64_t thursday(const Node& part, std::int64_t moment) {
    const std::int64_t days = part.sort == Sort::DateTime ? days_of(moment) : moment;
    return days - (day_of_week(days) + 6) % 7 + 3;
}
Value iso_week(Evaluator& at, const Node& call) {
    return of_day(at, call,
                  [&](std::int64_t moment) { return (day_of_year(thursday(call.parts[0], moment)) - 1) / 7 + 1; });
}
Value iso_year(Evaluator& at, const Node& call) {
    return of_day(at, call, [&](std::int64_t moment) { return civil_of(thursday(call.parts[0], moment)).year; });
}

// --- Parts of a time ---

Value hour(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t time) { return time / 3'600'000; });
}
Value minute(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t time) { return time / 60'000 % 60; });
}
Value second(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t time) { return time / 1000 % 60; });
}
Value millisecond(Evaluator& at, const Node& call) {
    return of_day(at, call, [](std::int64_t time) { return time % 1000; });
}

// --- Seconds ---

Result<Sort> check_timestamp(Node& call) {
    return one_of(call, {Sort::Date, Sort::DateTime, Sort::Time}, Sort::Number);
}
Value timestamp(Evaluator& at, const Node& call) {
    const Sort sort = call.parts[0].sort;
    return of_day(at, call, [&](std::int64_t moment) {
        return sort == Sort::Date ? moment * day_seconds : sort == Sort::Time ? moment / 1000 : moment;
    });
}
Value from_timestamp(Evaluator& at, const Node& call) {
    const auto seconds = at.number(call.parts[0]);
    if (!seconds) return {};
    const std::int64_t whole = seconds->to_whole();
    return is_day_in_range(whole / day_seconds) ? Value(whole) : at.fail();
}

Result<Sort> check_duration(Node& call) {
    const Node& first = call.parts[0];
    if (call.parts.size() == 1) {
        if (first.sort != Sort::Number) return wrong_type(call, {Sort::Number}, first);
        return Sort::Text;
    }
    const Node& second = call.parts[1];
    if (first.sort == Sort::Null || second.sort == Sort::Null) return Sort::Text;
    if (first.sort != Sort::Number && first.sort != Sort::Time && first.sort != Sort::DateTime)
        return wrong_type(call, {Sort::Number, Sort::Time, Sort::DateTime}, first);
    const Sort wanted = first.sort == Sort::Number ? Sort::Boolean : first.sort;
    if (second.sort != wanted) return wrong_type(call, {wanted}, second);
    return Sort::Text;
}
Value duration(Evaluator& at, const Node& call) {
    const Node& first = call.parts[0];
    std::int64_t seconds = 0;
    bool with_days = false;
    if (first.sort == Sort::Number) {
        const auto number = at.number(first);
        if (!number) return {};
        seconds = number->to_whole();
        with_days = call.parts.size() > 1 && at.truth(call.parts[1]).value_or(false);
    } else {
        const auto from = at.whole(first);
        const auto to = at.whole(call.parts[1]);
        if (!from || !to) return {};
        with_days = first.sort == Sort::DateTime;
        seconds = with_days ? *to - *from : (*to - *from) / 1000;
    }
    seconds = std::abs(seconds);
    if (!with_days) return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return fmt::format("{}:{:02}:{:02}:{:02}", seconds / day_seconds, seconds / 3600 % 24, seconds / 60 % 60,
                       seconds % 60);
}

constexpr std::array functions = {
    Function{"TODAY", "", 0, 0, Sort::Date, today, nullptr, false},
    Function{"NOW", "", 0, 0, Sort::DateTime, now, nullptr, false},
    Function{"TIMENOW", "", 0, 0, Sort::Time, time_now, nullptr, false},
    Function{"DATE", "NNN", 3, 3, Sort::Date, date, nullptr, false},
    Function{"DATEVALUE", nullptr, 1, 1, Sort::Date, date_value, check_date_value, false},
    Function{"DATETIMEVALUE", nullptr, 1, 1, Sort::DateTime, datetime_value, check_datetime_value, false},
    Function{"TIMEVALUE", nullptr, 1, 1, Sort::Time, time_value, check_time_value, false},
    Function{"ADDMONTHS", nullptr, 2, 2, Sort::Date, add_months, check_add_months, false},
    Function{"YEAR", "D", 1, 1, Sort::Number, year, nullptr, false},
    Function{"MONTH", "D", 1, 1, Sort::Number, month, nullptr, false},
    Function{"DAY", "D", 1, 1, Sort::Number, day, nullptr, false},
    Function{"WEEKDAY", "D", 1, 1, Sort::Number, weekday, nullptr, false},
    Function{"DAYOFYEAR", "D", 1, 1, Sort::Number, day_in_year, nullptr, false},
    Function{"ISOWEEK", nullptr, 1, 1, Sort::Number, iso_week, check_iso, false},
    Function{"ISOYEAR", nullptr, 1, 1, Sort::Number, iso_year, check_iso, false},
    Function{"HOUR", "C", 1, 1, Sort::Number, hour, nullptr, false},
    Function{"MINUTE", "C", 1, 1, Sort::Number, minute, nullptr, false},
    Function{"SECOND", "C", 1, 1, Sort::Number, second, nullptr, false},
    Function{"MILLISECOND", "C", 1, 1, Sort::Number, millisecond, nullptr, false},
    Function{"UNIXTIMESTAMP", nullptr, 1, 1, Sort::Number, timestamp, check_timestamp, false},
    Function{"FROMUNIXTIME", "N", 1, 1, Sort::DateTime, from_timestamp, nullptr, false},
    Function{"FORMATDURATION", nullptr, 1, 2, Sort::Text, duration, check_duration, false},
};

}  // namespace

FunctionList day_functions() {
    return {functions.data(), functions.size()};
}

}  // namespace lockstep::sandbox::formula

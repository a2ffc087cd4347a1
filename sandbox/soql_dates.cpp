#include "sandbox/soql_dates.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace lockstep::sandbox::soql {
namespace {

constexpr std::int64_t day_seconds = 86'400;
// Keeps every date a literal can name within what Date and CivilDate hold.
constexpr std::int64_t years_max = 4000;

enum class Unit { Day, Week, Month, Quarter, Year };

/// First day of the period `offset` periods from the one of `today`.
std::int64_t period_start(Unit unit, std::int64_t offset, Date today) {
    auto day = civil(today);
    std::int64_t months = day.year * 12LL + day.month - 1;
    switch (unit) {
        case Unit::Day:
            return today.days + offset;
        case Unit::Week: {
            // 1970-01-01 was a Thursday; weeks begin on Sunday.
            const std::int64_t weekday = ((today.days + 4) % 7 + 7) % 7;
            return today.days - weekday + 7 * offset;
        }
        case Unit::Month:
            months += offset;
            break;
        case Unit::Quarter:
            months = months / 3 * 3 + 3 * offset;
            break;
        case Unit::Year:
            months = months / 12 * 12 + 12 * offset;
            break;
    }
    const auto month = (months % 12 + 12) % 12;
    day.year = static_cast<int>((months - month) / 12);
    day.month = static_cast<int>(month) + 1;
    day.day = 1;
    return from_civil(day).days;
}

Unit unit_named(std::string_view name) {
    if (name.find("WEEK") != name.npos) return Unit::Week;
    if (name.find("MONTH") != name.npos) return Unit::Month;
    if (name.find("QUARTER") != name.npos) return Unit::Quarter;
    if (name.find("YEAR") != name.npos) return Unit::Year;
    return Unit::Day;
}

std::int64_t count_max(Unit unit) {
    switch (unit) {
        case Unit::Day:
            return years_max * 365;
        case Unit::Week:
            return years_max * 52;
        case Unit::Month:
            return years_max * 12;
        case Unit::Quarter:
            return years_max * 4;
        case Unit::Year:
            return years_max;
    }
    return 0;
}

Range days_of(std::string_view name, std::int64_t count, Date today) {
    const auto unit = unit_named(name);
    const auto periods = [&](std::int64_t from, std::int64_t to) {
        return Range{period_start(unit, from, today), period_start(unit, to, today)};
    };
    if (name == "TODAY") return periods(0, 1);
    if (name == "YESTERDAY") return periods(-1, 0);
    if (name == "TOMORROW") return periods(1, 2);
    if (name == "LAST_90_DAYS" || name == "NEXT_90_DAYS") count = 90;
    count = std::min(count, count_max(unit));
    if (name.ends_with("_AGO")) return periods(-count, -count + 1);
    const bool counted = name.find("_N_") != name.npos || name.find("_90_") != name.npos;
    if (!counted) count = 1;
    if (name.starts_with("THIS_")) return periods(0, 1);
    if (name.starts_with("NEXT_")) return periods(1, 1 + count);
    // The last n days run on until today, the last n weeks, months … end before the present one.
    return unit == Unit::Day ? periods(-count, 1) : periods(-count, 0);
}

bool has_fraction(std::string_view text) {
    const auto point = text.find('.');
    if (point == text.npos) return false;
    const auto end = text.find_first_not_of("0123456789", point + 1);
    return text.substr(point + 1, end - point - 1).find_first_not_of('0') != text.npos;
}

}  // namespace

std::optional<Range> range_of(const Literal& literal, Type type, Timestamp now) {
    switch (literal.kind) {
        case Literal::Kind::DateName: {
            auto range = days_of(literal.text, literal.count, day_of(now));
            if (type == Type::DateTime) range = {range.low * day_seconds, range.high * day_seconds};
            return range;
        }
        case Literal::Kind::Date: {
            const auto day = type == Type::Date ? parse_date(literal.text) : std::nullopt;
            if (!day) return std::nullopt;
            return Range{day->days, day->days + 1};
        }
        case Literal::Kind::DateTime: {
            const auto at = type == Type::DateTime ? parse_timestamp(literal.text) : std::nullopt;
            if (!at) return std::nullopt;
            if (has_fraction(literal.text)) return Range{at->seconds + 1, at->seconds + 1};
            return Range{at->seconds, at->seconds + 1};
        }
        default:
            return std::nullopt;
    }
}

std::optional<std::string> canonical_time(std::string_view text) {
    const auto part = [&](std::size_t at, std::int64_t bound) -> bool {
        const auto number = parse_int(text.substr(at, 2));
        return number && *number < bound;
    };
    if (text.size() < 8 || !part(0, 24) || !part(3, 60) || !part(6, 60)) return std::nullopt;
    std::string millis = "000";
    if (text.size() > 8 && text[8] == '.') {
        for (std::size_t i = 0; i < 3 && 9 + i < text.size() && text[9 + i] != 'Z' && text[9 + i] != 'z'; ++i)
            millis[i] = text[9 + i];
    }
    return std::string(text.substr(0, 8)) + "." + millis + "Z";
}

}  // namespace lockstep::sandbox::soql

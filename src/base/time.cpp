#include "base/time.h"

#include <fmt/format.h>

#include <array>

#include "base/check.h"

namespace lockstep {

namespace {

constexpr std::int64_t kDaySeconds = 86400;
constexpr std::array<std::string_view, 7> kWeekdays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct LongDate {
    std::int64_t year;
    int month;
    int day;
};

// Both from "chrono-Compatible Low-Level Date Algorithms" (Howard Hinnant): years start in March, so that the leap day
// comes last; an era is 400 years.
constexpr LongDate civil_from_days(std::int64_t days) {
    days += 719468;
    const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const std::int64_t day_of_era = days - era * 146097;
    const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t march_month = (5 * day_of_year + 2) / 153;
    const int month = static_cast<int>(march_month < 10 ? march_month + 3 : march_month - 9);
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
            static_cast<int>(day_of_year - (153 * march_month + 2) / 5 + 1)};
}

constexpr std::int64_t days_from_civil(std::int64_t year, int month, int day) {
    year -= month <= 2 ? 1 : 0;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

constexpr bool is_leap(std::int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

constexpr int days_in(std::int64_t year, int month) {
    constexpr std::array<int, 12> lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : lengths[static_cast<std::size_t>(month - 1)];
}

/// A moment cut into days since 1970 and seconds of that day.
struct Moment {
    std::int64_t days;
    int seconds;
};

constexpr Moment cut(Timestamp at) {
    std::int64_t days = at.seconds / kDaySeconds;
    std::int64_t seconds = at.seconds % kDaySeconds;
    if (seconds < 0) {
        --days;
        seconds += kDaySeconds;
    }
    return {days, static_cast<int>(seconds)};
}

/// Appends `value`, 0..99, as two digits.
void append_two(std::string& out, int value) {
    out += static_cast<char>('0' + value / 10);
    out += static_cast<char>('0' + value % 10);
}

void append_date(std::string& out, std::int64_t days) {
    const LongDate date = civil_from_days(days);
    if (date.year >= 1 && date.year <= 9999) {
        append_two(out, static_cast<int>(date.year / 100));
        append_two(out, static_cast<int>(date.year % 100));
    } else {
        out += fmt::format("{:+05}", date.year);
    }
    out += '-';
    append_two(out, date.month);
    out += '-';
    append_two(out, date.day);
}

void append_clock(std::string& out, int seconds) {
    append_two(out, seconds / 3600);
    out += ':';
    append_two(out, seconds / 60 % 60);
    out += ':';
    append_two(out, seconds % 60);
}

/// Reads a text from its front; after the first mismatch `good` stays false.
struct Scanner {
    std::string_view rest;
    bool good = true;

    int digits(std::size_t count) {
        int value = 0;
        if (rest.size() < count) good = false;
        for (std::size_t i = 0; good && i < count; ++i) {
            const char c = rest[i];
            good = c >= '0' && c <= '9';
            value = value * 10 + (c - '0');
        }
        if (good) rest.remove_prefix(count);
        return good ? value : 0;
    }
    bool skip(char c) {
        if (!rest.starts_with(c)) return false;
        rest.remove_prefix(1);
        return true;
    }
    void expect(char c) {
        if (!skip(c)) good = false;
    }

    /// Days since 1970-01-01 of "2026-11-24".
    std::int64_t date() {
        const int year = digits(4);
        expect('-');
        const int month = digits(2);
        expect('-');
        const int day = digits(2);
        good = good && year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= days_in(year, month);
        return good ? days_from_civil(year, month, day) : 0;
    }
    /// Seconds of the day of "08:30:00".
    int clock() {
        const int hour = digits(2);
        expect(':');
        const int minute = digits(2);
        expect(':');
        const int second = digits(2);
        good = good && hour < 24 && minute < 60 && second < 60;
        return hour * 3600 + minute * 60 + second;
    }
    /// Skips ".123"; a point without digits is wrong.
    void fraction() {
        if (!skip('.')) return;
        digits(1);
        while (good && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') rest.remove_prefix(1);
    }
    /// Seconds east of Greenwich of "", "Z", "+01:30" or "-0130".
    int zone() {
        if (rest.empty() || skip('Z')) return 0;
        const bool west = skip('-');
        if (!west) expect('+');
        const int hours = digits(2);
        skip(':');
        const int minutes = digits(2);
        good = good && hours < 24 && minutes < 60;
        const int seconds = hours * 3600 + minutes * 60;
        return west ? -seconds : seconds;
    }
};

}  // namespace

std::string to_string(Timestamp at) {
    const Moment moment = cut(at);
    std::string out;
    out.reserve(20);
    append_date(out, moment.days);
    out += 'T';
    append_clock(out, moment.seconds);
    out += 'Z';
    return out;
}

std::string to_string(Date day) {
    std::string out;
    append_date(out, day.days);
    return out;
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
    Scanner scanner{text};
    const std::int64_t days = scanner.date();
    if (!scanner.skip(' ')) scanner.expect('T');
    const int seconds = scanner.clock();
    scanner.fraction();
    const int zone = scanner.zone();
    if (!scanner.good || !scanner.rest.empty()) return std::nullopt;
    return Timestamp{days * kDaySeconds + seconds - zone};
}

std::optional<Date> parse_date(std::string_view text) {
    Scanner scanner{text};
    const std::int64_t days = scanner.date();
    if (!scanner.good || !scanner.rest.empty()) return std::nullopt;
    return Date{static_cast<std::int32_t>(days)};
}

std::optional<Timestamp> parse_http_date(std::string_view text) {
    constexpr std::size_t size = std::string_view("Tue, 24 Nov 2026 08:30:00 GMT").size();
    if (text.size() != size) return std::nullopt;
    Scanner scanner{text.substr(5)};
    const int day = scanner.digits(2);
    scanner.expect(' ');
    int month = 1;
    while (month <= 12 && !scanner.rest.starts_with(kMonths[static_cast<std::size_t>(month - 1)])) ++month;
    if (!scanner.good || month > 12) return std::nullopt;
    scanner.rest.remove_prefix(3);
    scanner.expect(' ');
    const int year = scanner.digits(4);
    scanner.expect(' ');
    const int seconds = scanner.clock();
    if (!scanner.good || year < 1 || day < 1 || day > days_in(year, month)) return std::nullopt;
    const Timestamp at{days_from_civil(year, month, day) * kDaySeconds + seconds};
    // Printing it again also checks the weekday and the fixed words around it.
    if (to_http_date(at) != text) return std::nullopt;
    return at;
}

std::string to_http_date(Timestamp at) {
    const Moment moment = cut(at);
    const LongDate date = civil_from_days(moment.days);
    std::string out(kWeekdays[static_cast<std::size_t>(((moment.days + 4) % 7 + 7) % 7)]);  // 1970 began on a Thursday
    out += fmt::format(", {:02} {} {:04} ", date.day, kMonths[static_cast<std::size_t>(date.month - 1)], date.year);
    append_clock(out, moment.seconds);
    out += " GMT";
    return out;
}

CivilDate civil(Date day) {
    const LongDate date = civil_from_days(day.days);
    return {static_cast<int>(date.year), date.month, date.day};
}

Date from_civil(CivilDate civil) {
    check(civil.month >= 1 && civil.month <= 12 && civil.day >= 1 && civil.day <= days_in(civil.year, civil.month),
          "from_civil needs a day that exists");
    const std::int64_t days = days_from_civil(civil.year, civil.month, civil.day);
    check(days == static_cast<std::int32_t>(days), "a Date reaches some 5.8 million years around 1970");
    return {static_cast<std::int32_t>(days)};
}

Date day_of(Timestamp at) {
    const std::int64_t days = cut(at).days;
    check(days == static_cast<std::int32_t>(days), "a Date reaches some 5.8 million years around 1970");
    return {static_cast<std::int32_t>(days)};
}

Timestamp start_of(Date day) {
    return {day.days * kDaySeconds};
}

}  // namespace lockstep

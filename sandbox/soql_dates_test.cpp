#include "sandbox/soql_dates.h"

#include <gtest/gtest.h>

namespace lockstep::sandbox::soql {
namespace {

/// "first day .. last day" of a date name, seen on Thursday 2024-02-29.
std::string days(const char* name, std::int64_t count = 0) {
    const auto range =
        range_of({Literal::Kind::DateName, name, count}, Type::Date, *parse_timestamp("2024-02-29T23:59:59Z"));
    if (!range) return "no days";
    return to_string(Date{static_cast<std::int32_t>(range->low)}) + " .. " +
           to_string(Date{static_cast<std::int32_t>(range->high - 1)});
}

TEST(SoqlDates, names_stand_for_whole_days_weeks_months_quarters_and_years) {
    struct Case {
        const char* name;
        std::int64_t count;
        const char* range;
    };
    const Case cases[] = {
        {"TODAY", 0, "2024-02-29 .. 2024-02-29"},
        {"YESTERDAY", 0, "2024-02-28 .. 2024-02-28"},
        {"TOMORROW", 0, "2024-03-01 .. 2024-03-01"},
        {"THIS_WEEK", 0, "2024-02-25 .. 2024-03-02"},
        {"LAST_WEEK", 0, "2024-02-18 .. 2024-02-24"},
        {"NEXT_WEEK", 0, "2024-03-03 .. 2024-03-09"},
        {"THIS_MONTH", 0, "2024-02-01 .. 2024-02-29"},
        {"LAST_MONTH", 0, "2024-01-01 .. 2024-01-31"},
        {"NEXT_MONTH", 0, "2024-03-01 .. 2024-03-31"},
        {"THIS_QUARTER", 0, "2024-01-01 .. 2024-03-31"},
        {"LAST_QUARTER", 0, "2023-10-01 .. 2023-12-31"},
        {"NEXT_FISCAL_QUARTER", 0, "2024-04-01 .. 2024-06-30"},
        {"THIS_YEAR", 0, "2024-01-01 .. 2024-12-31"},
        {"LAST_FISCAL_YEAR", 0, "2023-01-01 .. 2023-12-31"},
        {"NEXT_YEAR", 0, "2025-01-01 .. 2025-12-31"},
        {"LAST_90_DAYS", 0, "2023-12-01 .. 2024-02-29"},
        {"NEXT_90_DAYS", 0, "2024-03-01 .. 2024-05-29"},
        {"LAST_N_DAYS", 1, "2024-02-28 .. 2024-02-29"},
        {"NEXT_N_DAYS", 2, "2024-03-01 .. 2024-03-02"},
        {"N_DAYS_AGO", 60, "2023-12-31 .. 2023-12-31"},
        {"LAST_N_WEEKS", 2, "2024-02-11 .. 2024-02-24"},
        {"N_WEEKS_AGO", 2, "2024-02-11 .. 2024-02-17"},
        {"NEXT_N_MONTHS", 11, "2024-03-01 .. 2025-01-31"},
        {"LAST_N_MONTHS", 14, "2022-12-01 .. 2024-01-31"},
        {"N_MONTHS_AGO", 12, "2023-02-01 .. 2023-02-28"},
        {"N_QUARTERS_AGO", 1, "2023-10-01 .. 2023-12-31"},
        {"LAST_N_QUARTERS", 4, "2023-01-01 .. 2023-12-31"},
        {"LAST_N_YEARS", 2, "2022-01-01 .. 2023-12-31"},
        {"NEXT_N_FISCAL_YEARS", 1, "2025-01-01 .. 2025-12-31"},
        {"N_FISCAL_YEARS_AGO", 24, "2000-01-01 .. 2000-12-31"},
    };
    for (const auto& c : cases) EXPECT_EQ(days(c.name, c.count), c.range) << c.name << ":" << c.count;
}

TEST(SoqlDates, any_number_of_years_stays_within_the_calendar) {
    EXPECT_NE(days("LAST_N_YEARS", INT64_MAX), "no days");
    EXPECT_NE(days("N_DAYS_AGO", INT64_MAX), "no days");
    EXPECT_NE(days("NEXT_N_QUARTERS", INT64_MAX), "no days");
}

TEST(SoqlDates, a_moment_between_two_seconds_is_an_empty_range) {
    const auto range = [](const char* text) {
        return range_of({Literal::Kind::DateTime, text}, Type::DateTime, Timestamp{0}).value();
    };
    EXPECT_EQ(range("1970-01-01T00:00:10Z").low, 10);
    EXPECT_EQ(range("1970-01-01T00:00:10Z").high, 11);
    EXPECT_EQ(range("1970-01-01T00:00:10.000000Z").high, 11);
    EXPECT_EQ(range("1970-01-01T01:00:10.250+01:00").low, 11);
    EXPECT_EQ(range("1970-01-01T01:00:10.250+01:00").high, 11);
    const auto days_of_stamps = range_of({Literal::Kind::DateName, "TODAY"}, Type::DateTime, Timestamp{86'400 * 3 + 5});
    EXPECT_EQ(days_of_stamps->low, 86'400 * 3);
    EXPECT_EQ(days_of_stamps->high, 86'400 * 4);
}

TEST(SoqlDates, literals_of_another_type_mean_nothing) {
    EXPECT_FALSE(range_of({Literal::Kind::Date, "2024-01-01"}, Type::DateTime, Timestamp{0}));
    EXPECT_FALSE(range_of({Literal::Kind::DateTime, "2024-01-01T00:00:00Z"}, Type::Date, Timestamp{0}));
    EXPECT_FALSE(range_of({Literal::Kind::Date, "2024-02-30"}, Type::Date, Timestamp{0}));
    EXPECT_FALSE(range_of({Literal::Kind::String, "2024-01-01"}, Type::Date, Timestamp{0}));
    EXPECT_EQ(canonical_time("17:30:00Z"), "17:30:00.000Z");
    EXPECT_EQ(canonical_time("17:30:00.5"), "17:30:00.500Z");
    EXPECT_FALSE(canonical_time("25:00:00Z"));
}

}  // namespace
}  // namespace lockstep::sandbox::soql

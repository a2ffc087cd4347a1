#include "base/zone.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

std::string day(std::string_view zone, const char* at) {
    const auto found = day_in(zone, *parse_timestamp(at));
    return found ? to_string(*found) : "";
}

TEST(DayIn, a_zone_begins_at_its_own_midnight_in_summer_and_winter) {
    EXPECT_EQ(day("America/Los_Angeles", "2026-11-24T07:59:59Z"), "2026-11-23");
    EXPECT_EQ(day("America/Los_Angeles", "2026-11-24T08:00:00Z"), "2026-11-24");
    EXPECT_EQ(day("America/Los_Angeles", "2026-07-01T06:59:59Z"), "2026-06-30");
    EXPECT_EQ(day("America/Los_Angeles", "2026-07-01T07:00:00Z"), "2026-07-01");
    EXPECT_EQ(day("Pacific/Kiritimati", "2026-11-24T10:00:00Z"), "2026-11-25");
    EXPECT_EQ(day("Asia/Kolkata", "1969-12-31T18:30:00Z"), "1970-01-01");
    EXPECT_EQ(day("GMT", "2026-11-24T23:59:59Z"), "2026-11-24");
}

TEST(DayIn, an_unknown_zone_has_no_day) {
    EXPECT_EQ(day_in("Mars/Olympus", {0}), std::nullopt);
    EXPECT_EQ(day_in("", {0}), std::nullopt);
    EXPECT_EQ(day_in("../../etc/passwd", {0}), std::nullopt);
}

}  // namespace
}  // namespace lockstep

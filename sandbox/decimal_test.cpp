#include "sandbox/decimal.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace lockstep::sandbox {
namespace {

Decimal dec(const char* text) {
    return Decimal::parse(text).value();
}
std::string text(const Decimal& value) {
    return value.is_too_big() ? "too big" : value.to_string();
}

TEST(Decimal, reads_and_writes_plain_numbers) {
    EXPECT_EQ(text(dec("-12.500")), "-12.5");
    EXPECT_EQ(text(dec("+3")), "3");
    EXPECT_EQ(text(dec(".5")), "0.5");
    EXPECT_EQ(text(dec("1e3")), "1000");
    EXPECT_EQ(text(dec("125E-5")), "0.00125");
    EXPECT_EQ(text(dec("0.000")), "0");
    EXPECT_EQ(text(dec("123456789012345678901234567890123456785")), "123456789012345678901234567890123456790");
    EXPECT_EQ(text(dec("99999999999999999999999999999999999999.6")), "100000000000000000000000000000000000000");
    for (const char* no : {"", " 1", "1 ", "1,000", "--1", "1.2.3", "e5", "1e", "abc", "."})
        EXPECT_FALSE(Decimal::parse(no)) << no;
}

TEST(Decimal, doubles_are_what_they_read_as) {
    EXPECT_EQ(text(Decimal::of(0.1)), "0.1");
    EXPECT_EQ(text(Decimal::of(0.1) + Decimal::of(0.2)), "0.3");
    EXPECT_EQ(text(Decimal::of(-1e15)), "-1000000000000000");
    EXPECT_EQ(text(Decimal::of(1e300)), "too big");
    EXPECT_EQ(text(Decimal::of(std::nan(""))), "too big");
    EXPECT_EQ(dec("1234.56").to_double(), 1234.56);
    EXPECT_EQ(dec("0.3333333333333333333333333333").to_double(), 1.0 / 3);
}

TEST(Decimal, reckons_to_38_digits_rounded_half_up) {
    EXPECT_EQ(text(Decimal(1) / Decimal(3)), "0.33333333333333333333333333333333333333");
    EXPECT_EQ(text(Decimal(2) / Decimal(3)), "0.66666666666666666666666666666666666667");
    EXPECT_EQ(text(Decimal(6) / Decimal(3)), "2");
    EXPECT_EQ(text(dec("12345678901234567890123456789") * dec("1000000000.5")),
              "12345678907407407340740740734061728395");
    EXPECT_EQ(text(dec("1e38") + dec("1e-60")), "100000000000000000000000000000000000000");
    EXPECT_EQ(text(remainder(dec("-101"), dec("10"))), "-1");
    EXPECT_EQ(text(remainder(dec("100.5"), dec("-10"))), "0.5");
    EXPECT_EQ(text(remainder(dec("1e40"), dec("7"))), "4");
}

TEST(Decimal, what_is_too_big_stays_so_and_what_is_too_small_is_nothing) {
    const Decimal big = dec("1e63") * Decimal(100);
    EXPECT_TRUE(big.is_too_big());
    EXPECT_TRUE((big - big).is_too_big());
    EXPECT_TRUE((big * Decimal(0)).is_too_big());
    EXPECT_TRUE(big.rounded(2, Decimal::Rounding::HalfUp).is_too_big());
    EXPECT_TRUE(Decimal(1000).exponential().is_too_big());
    EXPECT_EQ(text(dec("1e-40") * dec("1e-40")), "0");
    EXPECT_EQ(text(Decimal(-1000).exponential()), "0");
}

TEST(Decimal, rounds_in_six_ways) {
    using enum Decimal::Rounding;
    EXPECT_EQ(text(dec("1.005").rounded(2, HalfUp)), "1.01");
    EXPECT_EQ(text(dec("-2.5").rounded(0, HalfUp)), "-3");
    EXPECT_EQ(text(dec("2.5").rounded(0, HalfDown)), "2");
    EXPECT_EQ(text(dec("2.51").rounded(0, HalfDown)), "3");
    EXPECT_EQ(text(dec("-1.1").rounded(0, Up)), "-2");
    EXPECT_EQ(text(dec("-1.9").rounded(0, Down)), "-1");
    EXPECT_EQ(text(dec("-1.9").rounded(0, Ceiling)), "-1");
    EXPECT_EQ(text(dec("-1.1").rounded(0, Floor)), "-2");
    EXPECT_EQ(text(dec("1e-50").rounded(2, Up)), "0.01");
    EXPECT_EQ(text(dec("1e-50").rounded(2, HalfUp)), "0");
    EXPECT_EQ(text(dec("123456").rounded(-2, HalfUp)), "123500");
    EXPECT_EQ(text(dec("7").rounded(-2, HalfUp)), "0");
    EXPECT_EQ(text(dec("7").rounded(-100, HalfUp)), "0");
    EXPECT_EQ(text(dec("123.456").with_digits(4, HalfUp)), "123.5");
}

TEST(Decimal, whole_parts_are_cut) {
    EXPECT_EQ(dec("1.9").to_whole(), 1);
    EXPECT_EQ(dec("-1.9").to_whole(), -1);
    EXPECT_EQ(dec("1e5").to_whole(), 100000);
    EXPECT_EQ(dec("1e60").to_whole(), INT64_MAX);
    EXPECT_EQ(dec("-1e60").to_whole(), -INT64_MAX);
    EXPECT_EQ(dec("1e-60").to_whole(), 0);
}

TEST(Decimal, functions_are_nothing_where_they_are_not_defined) {
    EXPECT_EQ(text(*Decimal(16).square_root()), "4");
    EXPECT_FALSE(Decimal(-1).square_root());
    EXPECT_EQ(text(*Decimal(100).common_log()), "2");
    EXPECT_FALSE(Decimal(0).common_log());
    EXPECT_FALSE(Decimal(-1).natural_log());
    EXPECT_EQ(text(Decimal(36).natural_log()->exponential().rounded(20, Decimal::Rounding::HalfUp)), "36");
    EXPECT_EQ(text(*Decimal(2).to_power(Decimal(10))), "1024");
    EXPECT_EQ(text(*Decimal(2).to_power(Decimal(-2))), "0.25");
    EXPECT_EQ(text(*Decimal(0).to_power(Decimal(0))), "1");
    EXPECT_FALSE(Decimal(0).to_power(Decimal(-1)));
    EXPECT_FALSE(Decimal(-8).to_power(dec("0.5")));
    EXPECT_EQ(text(Decimal(27).to_power(Decimal(1) / Decimal(3))->rounded(20, Decimal::Rounding::HalfUp)), "3");
    EXPECT_TRUE(Decimal(64).to_power(Decimal(64))->is_too_big());
    EXPECT_EQ(text(*Decimal(2).to_power(Decimal(-1000000))), "0");
}

RC_GTEST_PROP(Decimal, sums_and_products_of_small_numbers_are_exact, (std::int32_t a, std::int32_t b)) {
    const Decimal cents(100);
    const Decimal x = Decimal(a) / cents;
    const Decimal y = Decimal(b) / cents;
    RC_ASSERT((x + y) * cents == Decimal(std::int64_t{a} + b));
    RC_ASSERT(x * y * cents * cents == Decimal(std::int64_t{a} * b));
    RC_ASSERT(Decimal::parse(x.to_string()) == x);
    RC_ASSERT(Decimal::of(x.to_double()) == x);
    if (b != 0) RC_ASSERT(remainder(x, y) * cents == Decimal(std::int64_t{a} % b));
}

}  // namespace
}  // namespace lockstep::sandbox

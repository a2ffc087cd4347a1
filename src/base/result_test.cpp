#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "base/check.h"

namespace lockstep {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return Error{.kind = Kind::Invalid, .what = "odd", .code = "ODD"};
    return number / 2;
}

Result<std::string> quarter(int number) {
    const int once = TRY(half(number));
    const int twice = TRY(half(once));
    return std::to_string(twice);
}

Result<void> check_even(int number) {
    TRY(half(number));
    return {};
}

TEST(Result, try_takes_the_value_or_returns_the_error) {
    EXPECT_EQ(quarter(8).value(), "2");
    ASSERT_FALSE(quarter(6).ok());
    EXPECT_EQ(quarter(6).error().code, "ODD");
    EXPECT_TRUE(check_even(2).ok());
    EXPECT_EQ(check_even(3).error().what, "odd");
}

TEST(Result, try_moves_values_that_can_not_be_copied) {
    const auto make = [] { return Result<std::unique_ptr<int>>(std::make_unique<int>(7)); };
    const auto use = [&]() -> Result<int> {
        const std::unique_ptr<int> owned = TRY(make());
        return *owned;
    };
    EXPECT_EQ(*use(), 7);
}

TEST(Result, reading_the_wrong_side_throws) {
    EXPECT_THROW(half(1).value(), std::bad_variant_access);
    EXPECT_THROW(half(2).error(), std::bad_variant_access);
}

TEST(Error, prints_as_one_line_with_its_hint) {
    EXPECT_EQ(to_string(Error{.what = "no such list"}), "no such list");
    EXPECT_EQ(to_string(Error{.what = "no such\nlist", .hint = "see\r\nlists"}), "no such list (see  lists)");
}

TEST(Error, every_kind_has_its_own_word) {
    std::set<std::string> words;
    for (int kind = 0; kind <= static_cast<int>(Kind::Cancelled); ++kind) words.insert(name(static_cast<Kind>(kind)));
    EXPECT_EQ(words, (std::set<std::string>{"invalid", "not_found", "denied", "throttled", "unavailable", "bad_reply",
                                            "rejected", "conflict", "cancelled"}));
}

TEST(Check, throws_a_bug_when_it_does_not_hold) {
    EXPECT_NO_THROW(check(true, "fine"));
    EXPECT_THROW(check(false, "broken"), Bug);
}

}  // namespace
}  // namespace lockstep

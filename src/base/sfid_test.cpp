#include "base/sfid.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/text.h"

namespace lockstep {
namespace {

TEST(RecordId, fifteen_characters_get_the_suffix_salesforce_gives_them) {
    EXPECT_EQ(normalize_id("001D000000IqhSL"), "001D000000IqhSLIAZ");
    EXPECT_EQ(normalize_id("012000000000000"), "012000000000000AAA");
}

TEST(RecordId, eighteen_characters_in_any_case_are_repaired_from_their_suffix) {
    EXPECT_EQ(normalize_id("001d000000iqhsliaz"), "001D000000IqhSLIAZ");
    EXPECT_EQ(normalize_id("001D000000IQHSLIAZ"), "001D000000IqhSLIAZ");
}

TEST(RecordId, anything_else_is_no_id) {
    for (const char* text : {"", "001", "001D000000IqhS", "001D000000IqhSLI", "001D000000IqhS-", "001D000000IqhSL9AA",
                             "0010000000000009AA"}) {
        EXPECT_EQ(normalize_id(text), std::nullopt) << text;
    }
}

RC_GTEST_PROP(RecordId, case_lost_on_the_way_comes_back_from_the_suffix, ()) {
    const auto id15 = *rc::gen::container<std::string>(
        15, rc::gen::oneOf(rc::gen::inRange('0', ':'), rc::gen::inRange('A', '['), rc::gen::inRange('a', '{')));
    const std::optional<std::string> id18 = normalize_id(id15);
    RC_ASSERT(id18 == id15 + id_suffix(id15));
    RC_ASSERT(normalize_id(*id18) == id18);
    RC_ASSERT(normalize_id(to_lower(*id18)) == id18);
}

}  // namespace
}  // namespace lockstep

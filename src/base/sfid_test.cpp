#include "base/sfid.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace lockstep

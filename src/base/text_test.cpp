#include "base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <limits>
#include <map>

#include "base/check.h"

namespace lockstep {
namespace {

using namespace std::string_literals;

TEST(Text, lower_case_and_comparisons_touch_ascii_only) {
    EXPECT_EQ(to_lower("LastModifiedDate É"), "lastmodifieddate É");
    EXPECT_TRUE(equals_ignoring_case("Lead", "LEAD"));
    EXPECT_FALSE(equals_ignoring_case("Lead", "Leads"));
    EXPECT_FALSE(equals_ignoring_case("É", "é"));
    EXPECT_TRUE(starts_with_ignoring_case("Bearer x", "BEARER "));
    EXPECT_FALSE(starts_with_ignoring_case("Bear", "Bearer"));
}

TEST(Text, a_map_ordered_without_case_finds_every_spelling) {
    std::map<std::string, int, IgnoringCase> fields = {{"Email", 1}, {"LastName", 2}};
    EXPECT_EQ(fields.find(std::string_view("LASTNAME"))->second, 2);
    EXPECT_FALSE(fields.emplace("eMail", 3).second);
}

TEST(Fold, makes_equal_what_differs_in_case_only) {
    EXPECT_EQ(fold("STRASSE"), fold("Straße"));
    EXPECT_EQ(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
    EXPECT_EQ(fold("ÅNGSTRÖM"), "ångström");
    EXPECT_NE(fold("resume"), fold("résumé"));
    EXPECT_EQ(fold("a\0B É"s), "a\0b é"s);
}

TEST(Fold, treats_invalid_utf8_as_ascii) {
    EXPECT_EQ(fold("ABC\xFF É"), "abc\xFF É");
}

TEST(Utf8, is_checked_as_unicode_defines_it) {
    for (const char* text :
         {"", "plain", "é", "€", "😀", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF", "eight bytes é"}) {
        EXPECT_TRUE(is_valid_utf8(text)) << text;
        EXPECT_EQ(to_valid_utf8(text), text);
    }
    for (const char* text : {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                             "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xC3", "eight bytes \xFF"}) {
        EXPECT_FALSE(is_valid_utf8(text)) << text;
    }
    EXPECT_TRUE(is_valid_utf8("a\0b"s));
}

TEST(Utf8, invalid_sequences_and_nul_are_replaced_one_by_one) {
    EXPECT_EQ(to_valid_utf8("a\0b"s), "a\uFFFDb");
    EXPECT_EQ(to_valid_utf8("a\xFFz"), "a\uFFFDz");
    EXPECT_EQ(to_valid_utf8("\xE2\x82|"), "\uFFFD|");
    EXPECT_EQ(to_valid_utf8("\xF0\x9F\x98"), "\uFFFD");
    // The example of Unicode 3.9, table 3-8.
    EXPECT_EQ(to_valid_utf8("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
              "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
}

RC_GTEST_PROP(Utf8, repaired_text_is_valid_and_stays_as_it_is, ()) {
    const auto text = *rc::gen::container<std::string>(rc::gen::element(
        'a', '\0', '\x7F', '\x80', '\x9F', '\xA0', '\xBF', '\xC2', '\xE0', '\xED', '\xF0', '\xF4', '\xFF'));
    const std::string repaired = to_valid_utf8(text);
    RC_ASSERT(is_valid_utf8(repaired));
    RC_ASSERT(to_valid_utf8(repaired) == repaired);
    RC_ASSERT(fold(fold(repaired)) == fold(repaired));
}

TEST(Text, length_counts_characters) {
    EXPECT_EQ(length_in_characters(""), 0u);
    EXPECT_EQ(length_in_characters("aé€😀"), 4u);
}

TEST(Text, trim_split_and_join) {
    EXPECT_EQ(trim(" \t a b\r\n"), "a b");
    EXPECT_EQ(trim(" \n"), "");
    EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
    EXPECT_EQ(split("", ','), std::vector<std::string>{""});
    EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
    EXPECT_EQ(join({}, ", "), "");
}

TEST(Number, whole_numbers_are_read_whole_or_not_at_all) {
    EXPECT_EQ(parse_int("-42"), -42);
    EXPECT_EQ(parse_int("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
    for (const char* text : {"", " 1", "1 ", "+1", "1.0", "0x1", "9223372036854775808", "-"}) {
        EXPECT_EQ(parse_int(text), std::nullopt) << text;
    }
}

TEST(Number, doubles_are_read_whole_or_not_at_all) {
    EXPECT_EQ(parse_double("9.9213206E7"), 99213206.0);
    EXPECT_EQ(parse_double("-0.5"), -0.5);
    for (const char* text :
         {"", "nan", "inf", "-inf", "NaN", "infinity", "1e400", "0x1p3", " 1", "1 ", "1,5", "+1", "1e"}) {
        EXPECT_EQ(parse_double(text), std::nullopt) << text;
    }
}

TEST(Number, doubles_print_as_short_as_they_can) {
    const std::pair<double, const char*> cases[] = {{5000, "5000"},
                                                    {0.1, "0.1"},
                                                    {-0.0, "-0"},
                                                    {1e5, "100000"},
                                                    {999999999999999, "999999999999999"},
                                                    {1e15, "1e+15"},
                                                    {1e-7, "1e-07"},
                                                    {1.5e300, "1.5e+300"},
                                                    {123456.789, "123456.789"},
                                                    {0.1 + 0.2, "0.30000000000000004"}};
    for (const auto& [value, text] : cases) EXPECT_EQ(to_text(value), text);
}

RC_GTEST_PROP(Number, every_double_reads_back_as_itself, (std::uint64_t bits)) {
    const auto value = std::bit_cast<double>(bits);
    RC_PRE(value - value == 0);  // finite
    const std::optional<double> read = parse_double(to_text(value));
    RC_ASSERT(read.has_value());
    RC_ASSERT(std::bit_cast<std::uint64_t>(*read) == bits);
}

TEST(Number, thousands_are_separated) {
    const std::pair<std::int64_t, const char*> cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {1234567, "1,234,567"},
        {-100, "-100"},
        {-1000, "-1,000"},
        {std::numeric_limits<std::int64_t>::min(), "-9,223,372,036,854,775,808"}};
    for (const auto& [value, text] : cases) EXPECT_EQ(with_thousands(value), text);
}

TEST(Number, durations_are_cut_to_two_units) {
    const std::pair<std::int64_t, const char*> cases[] = {
        {0, "0 ms"},
        {850, "850 ms"},
        {1000, "1 s"},
        {1590, "1.5 s"},
        {12900, "12 s"},
        {59999, "59 s"},
        {60000, "1 min"},
        {200000, "3 min 20 s"},
        {7500000, "2 h 5 min"},
        {7200000, "2 h"},
        {273600000, "3 d 4 h"},
        {-200000, "-3 min 20 s"},
        {std::numeric_limits<std::int64_t>::min(), "-106751991167 d 7 h"}};
    for (const auto& [ms, text] : cases) EXPECT_EQ(to_duration(ms), text);
}

TEST(Number, sizes_are_cut_to_one_unit) {
    const std::pair<std::uint64_t, const char*> cases[] = {{0, "0 B"},
                                                           {1023, "1023 B"},
                                                           {1024, "1 KiB"},
                                                           {1536, "1.5 KiB"},
                                                           {64ULL << 20, "64 MiB"},
                                                           {(1ULL << 30) - 1, "1023 MiB"},
                                                           {std::numeric_limits<std::uint64_t>::max(), "15 EiB"}};
    for (const auto& [bytes, text] : cases) EXPECT_EQ(to_bytes(bytes), text);
}

TEST(Url, encodes_all_but_unreserved_characters) {
    EXPECT_EQ(url_encode("aZ09-._~"), "aZ09-._~");
    EXPECT_EQ(url_encode("a b+c/é&="), "a%20b%2Bc%2F%C3%A9%26%3D");
}

TEST(Url, decodes_and_leaves_bad_escapes_as_they_are) {
    EXPECT_EQ(url_decode("a%20b+c%2B"), "a b c+");
    EXPECT_EQ(url_decode("a+b", false), "a+b");
    EXPECT_EQ(url_decode("%c3%A9"), "é");
    EXPECT_EQ(url_decode("100%"), "100%");
    EXPECT_EQ(url_decode("%4"), "%4");
    EXPECT_EQ(url_decode("%zz%4g%41"), "%zz%4gA");
}

RC_GTEST_PROP(Url, encode_then_decode_is_identity, (const std::string& text, bool plus_is_blank)) {
    RC_ASSERT(url_decode(url_encode(text), plus_is_blank) == text);
}

TEST(Base64, has_the_test_vectors_of_rfc_4648) {
    const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xFB\xFF", "+/8="}};
    for (const auto& [bytes, text] : cases) EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(to_base64url("\xFB\xFF"), "-_8");
}

TEST(Base64, is_read_in_both_alphabets_with_or_without_padding) {
    for (const char* text : {"+/8=", "+/8", "-_8=", "-_8"}) EXPECT_EQ(from_base64(text), "\xFB\xFF") << text;
    for (const char* text :
         {"Z", "Zg=", "Zg===", "Zm9v=", "Zh==", "+_8=", "Zm 9v", "Zm9v\n", "Zg==Zg==", "Z*==", "="}) {
        EXPECT_EQ(from_base64(text), std::nullopt) << text;
    }
}

RC_GTEST_PROP(Base64, print_then_parse_is_identity, (const std::string& bytes)) {
    RC_ASSERT(from_base64(to_base64(bytes)) == bytes);
    RC_ASSERT(from_base64(to_base64url(bytes)) == bytes);
}

TEST(Hex, is_lower_case) {
    EXPECT_EQ(to_hex("\x00\x0F\xAB"s), "000fab");
    EXPECT_EQ(to_hex(""), "");
}

TEST(Table, aligns_words_left_and_numbers_right) {
    EXPECT_EQ(format_table({"object", "rows", "note"}, {{"Lead", "1,234", "é"}, {"Account", "-5.5", ""}, {"X"}}),
              "object    rows  note\n"
              "-------  -----  ----\n"
              "Lead     1,234  é   \n"
              "Account   -5.5      \n"
              "X                   \n");
}

TEST(Table, a_word_among_numbers_keeps_the_column_left) {
    EXPECT_EQ(format_table({"value"}, {{"1"}, {"none"}}),
              "value\n"
              "-----\n"
              "1    \n"
              "none \n");
}

TEST(Table, long_cells_end_in_an_ellipsis_and_control_characters_are_blanks) {
    EXPECT_EQ(format_table({"a"}, {{"éééé"}, {"ééééé"}, {"\x1B[2"}, {"\u009B2"}, {"x\ny\u0085"}, {"\xFF"}}, 4),
              "a   \n"
              "----\n"
              "éééé\n"
              "ééé…\n"
              " [2 \n"
              " 2  \n"
              "x y \n"
              "\uFFFD   \n");
    EXPECT_EQ(format_table({"ab"}, {}, 1), "…\n-\n");
    EXPECT_THROW(format_table({"ab"}, {}, 0), Bug);
}

TEST(Table, without_rows_shows_its_header) {
    EXPECT_EQ(format_table({"a", "bc"}, {}), "a  bc\n-  --\n");
}

}  // namespace
}  // namespace lockstep

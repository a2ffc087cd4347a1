#include "base/json.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <bit>
#include <cstdio>

namespace lockstep {
namespace {

json::value read(std::string_view text) {
    return parse_json(text).value();
}

/// The error of `text`, or "fine".
std::string what_of(std::string_view text, std::size_t depth_max = 64) {
    const Result<json::value> value = parse_json(text, depth_max);
    if (value.ok()) return "fine";
    EXPECT_EQ(value.error().kind, Kind::BadReply);
    return value.error().what;
}

TEST(Json, reads_every_kind_of_value) {
    EXPECT_EQ(json::serialize(read(R"( {"a":[1,-2,3.5,true,false,null,"x\u00e9\ud83d\ude00"],"b":{}} )")),
              "{\"a\":[1,-2,3.5E0,true,false,null,\"xé😀\"],\"b\":{}}");
    EXPECT_EQ(read("7"), json::value(7));
}

TEST(Json, the_last_of_equal_names_wins) {
    EXPECT_EQ(int_at(read(R"({"a":1,"b":2,"a":3})").as_object(), "a"), 3);
}

TEST(Json, a_number_that_does_not_fit_is_read_as_double) {
    EXPECT_TRUE(read("9223372036854775807").is_int64());
    EXPECT_TRUE(read("9223372036854775808").is_uint64());
    EXPECT_EQ(read("18446744073709551616"), json::value(18446744073709551616.0));
    EXPECT_EQ(read("-9223372036854775809"), json::value(-9223372036854775809.0));
    EXPECT_EQ(read("1e-400"), json::value(0.0));
}

TEST(Json, errors_give_line_and_column) {
    EXPECT_EQ(what_of("{\"a\":1,\n\"b\":x}").substr(0, 37), "JSON is wrong at line 2, column 5: sy");
    EXPECT_EQ(what_of("[1] x"), "JSON is wrong at line 1, column 5: something follows its end");
    EXPECT_EQ(what_of("[1]\n\n[2]"), "JSON is wrong at line 3, column 1: something follows its end");
}

TEST(Json, what_is_not_json_is_refused) {
    for (const char* text : {"",
                             " ",
                             "{",
                             "[1,",
                             "\"a",
                             "tru",
                             "nul",
                             "-",
                             "1.",
                             "[1,]",
                             "{\"a\"}",
                             "{\"a\":1,}",
                             "{a:1}",
                             "'a'",
                             "// c\n1",
                             "1 /* c */",
                             "01",
                             "+1",
                             ".5",
                             "NaN",
                             "Infinity",
                             "1e999",
                             "-1e999",
                             "\"\t\"",
                             "\"\\x\"",
                             "\"\\ud800\"",
                             "\"\xFF\"",
                             "\"\xC0\xAF\"",
                             "\"\xED\xA0\x80\"",
                             "{\"\xE2\x82\":1}",
                             "<html>",
                             "\xEF\xBB\xBF{}"}) {
        EXPECT_NE(what_of(text), "fine") << text;
    }
    EXPECT_NE(what_of(std::string_view("[1]\0", 4)), "fine");
}

TEST(Json, depth_is_limited) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_EQ(what_of(nested(64)), "fine");
    EXPECT_NE(what_of(nested(65)), "fine");
    EXPECT_EQ(what_of("{\"a\":{}}", 2), "fine");
    EXPECT_NE(what_of("{\"a\":{}}", 1), "fine");
    EXPECT_NE(what_of(std::string(1000000, '[')), "fine");
}

RC_GTEST_PROP(Json, every_double_survives_print_and_parse, (std::uint64_t bits)) {
    const auto number = std::bit_cast<double>(bits);
    RC_PRE(number - number == 0);  // finite
    RC_ASSERT(read(json::serialize(json::value(number))).as_double() == number);
}

TEST(Json, seventeen_digits_are_read_exactly) {
    for (const double number :
         {123456.78901234567, 0.30000000000000004, 9007199254740993.5e-3, 1.7976931348623157e308}) {
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%.17g", number);
        EXPECT_EQ(read(text.data()).as_double(), number) << text.data();
    }
}

TEST(JsonMembers, give_the_value_of_the_type_asked_for_or_nothing) {
    const json::value value = read(
        R"({"text":"x","int":5,"whole":5000.0,"broken":0.5,"large":18446744073709551615,"far":1e300,"yes":true,"none":null,
            "list":[1],"map":{"a":1}})");
    const json::object& object = value.as_object();
    EXPECT_EQ(text_at(object, "text"), "x");
    EXPECT_EQ(int_at(object, "int"), 5);
    EXPECT_EQ(int_at(object, "whole"), 5000);
    EXPECT_EQ(double_at(object, "int"), 5.0);
    EXPECT_EQ(double_at(object, "broken"), 0.5);
    EXPECT_EQ(double_at(object, "large"), 18446744073709551615.0);
    EXPECT_EQ(bool_at(object, "yes"), true);
    EXPECT_EQ(array_at(object, "list")->size(), 1u);
    EXPECT_EQ(object_at(object, "map")->size(), 1u);

    for (const char* key : {"broken", "large", "far"}) EXPECT_EQ(int_at(object, key), std::nullopt) << key;
    for (const char* key : {"absent", "none"}) {
        EXPECT_EQ(text_at(object, key), std::nullopt);
        EXPECT_EQ(int_at(object, key), std::nullopt);
        EXPECT_EQ(double_at(object, key), std::nullopt);
        EXPECT_EQ(bool_at(object, key), std::nullopt);
        EXPECT_EQ(array_at(object, key), nullptr);
        EXPECT_EQ(object_at(object, key), nullptr);
    }
    EXPECT_EQ(text_at(object, "int"), std::nullopt);
    EXPECT_EQ(int_at(object, "text"), std::nullopt);
    EXPECT_EQ(double_at(object, "yes"), std::nullopt);
    EXPECT_EQ(bool_at(object, "int"), std::nullopt);
    EXPECT_EQ(array_at(object, "map"), nullptr);
    EXPECT_EQ(object_at(object, "list"), nullptr);
}

TEST(Json, pretty_text_is_indented_and_keeps_the_order_of_keys) {
    const json::value value = read(R"({"z":[1,{"k":"a\"b"}],"a":{},"e":[],"n":null})");
    EXPECT_EQ(to_pretty(value),
              "{\n"
              "  \"z\": [\n"
              "    1,\n"
              "    {\n"
              "      \"k\": \"a\\\"b\"\n"
              "    }\n"
              "  ],\n"
              "  \"a\": {},\n"
              "  \"e\": [],\n"
              "  \"n\": null\n"
              "}");
    EXPECT_EQ(read(to_pretty(value)), value);
    EXPECT_EQ(to_pretty("x"), "\"x\"");
}

}  // namespace
}  // namespace lockstep

#include "sandbox/values.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <map>

#include "base/text.h"
#include "base/time.h"

namespace lockstep::sandbox {
namespace {

std::string java(double value) {
    std::string out;
    append_double(out, value);
    return out;
}

std::string hundredths(std::int64_t value) {
    std::array<char, 32> room{};
    return {room.data(), write_hundredths(room.data(), value)};
}

TEST(Values, doubles_are_written_as_java_writes_them) {
    // salesforce-api 4.2 and C.2.
    const std::pair<double, const char*> cases[] = {
        {0, "0.0"},
        {-0.0, "0.0"},
        {3, "3.0"},
        {0.25, "0.25"},
        {-12.5, "-12.5"},
        {950000.5, "950000.5"},
        {9999999.5, "9999999.5"},
        {10000000, "1.0E7"},
        {90000000, "9.0E7"},
        {99213206, "9.9213206E7"},
        {16147805824397.0, "1.6147805824397E13"},
        {0.001, "0.001"},
        {0.0005, "5.0E-4"},
        {-0.00012345, "-1.2345E-4"},
        {123456.789, "123456.789"},
    };
    for (const auto& [value, text] : cases) EXPECT_EQ(java(value), text);
}

RC_GTEST_PROP(Values, hundredths_are_written_like_the_double_they_stand_for, ()) {
    const std::int64_t value = *rc::gen::inRange<std::int64_t>(-1'000'000'000'000, 1'000'000'000'000);
    RC_ASSERT(hundredths(value) == java(static_cast<double>(value) / 100));
}

RC_GTEST_PROP(Values, a_written_double_reads_back_as_itself, (double value)) {
    const std::optional<double> read = parse_double(java(value));
    RC_ASSERT(read.has_value());
    RC_ASSERT(*read == value);
}

RC_GTEST_PROP(Values, moments_are_written_as_base_time_writes_them, ()) {
    const std::int64_t seconds = *rc::gen::inRange<std::int64_t>(-62'000'000'000, 250'000'000'000);
    std::array<char, 64> room{};
    const std::string text(room.data(), write_datetime(room.data(), seconds, "Z"));
    std::string expected = to_string(Timestamp{seconds});
    expected.insert(expected.size() - 1, ".000");
    RC_ASSERT(text == expected);
}

TEST(Values, a_datetime_ends_in_plus_0000_in_json_and_in_z_in_csv) {
    std::string json;
    append_json_cell(json, Type::DateTime, Cell{std::int64_t{1435269274}});
    EXPECT_EQ(json, "\"2015-06-25T21:54:34.000+0000\"");
    std::string csv;
    append_csv_cell(csv, Type::DateTime, Cell{std::int64_t{1435269274}});
    EXPECT_EQ(csv, "\"2015-06-25T21:54:34.000Z\"");
}

TEST(Values, csv_cells_stand_in_quotes_and_null_is_empty) {
    std::string out;
    append_csv_cell(out, Type::String, Cell{std::string("say \"hi\"\nthere")});
    append_csv_cell(out, Type::String, Cell{});
    append_csv_cell(out, Type::Boolean, Cell{true});
    append_csv_cell(out, Type::Currency, Cell{5.0});
    append_csv_cell(out, Type::Date, Cell{std::int64_t{0}});
    EXPECT_EQ(out, "\"say \"\"hi\"\"\nthere\"\"\"\"true\"\"5.0\"\"1970-01-01\"");
}

TEST(Values, json_text_escapes_quotes_and_control_characters) {
    std::string out;
    append_json_text(out, "a\"b\\c\n\t\x01 ü");
    EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\t\\u0001 ü\"");
}

Cell coerced(Type type, const Cell& cell, int scale = 2) {
    Field field = new_field("F", type);
    field.scale = scale;
    return std::get<Cell>(coerce(field, cell));
}
std::string refused(Type type, const Cell& cell) {
    const auto result = coerce(new_field("F", type), cell);
    const auto* why = std::get_if<NotCoercible>(&result);
    return why == nullptr ? "accepted" : why->instance;
}
Cell text(const char* value) {
    return std::string(value);
}

TEST(Values, text_becomes_the_type_of_its_field) {
    EXPECT_EQ(coerced(Type::Boolean, text("true")), Cell{true});
    EXPECT_EQ(coerced(Type::Boolean, text("0")), Cell{false});
    EXPECT_EQ(coerced(Type::Boolean, Cell{std::int64_t{1}}), Cell{true});
    EXPECT_EQ(coerced(Type::Int, text(" 42 ")), Cell{std::int64_t{42}});
    EXPECT_EQ(coerced(Type::Currency, text("12.345")), Cell{12.35});
    EXPECT_EQ(coerced(Type::Currency, text("1.005")), Cell{1.01});
    EXPECT_EQ(coerced(Type::Currency, text("9.9213206E7")), Cell{99213206.0});
    EXPECT_EQ(coerced(Type::Percent, Cell{std::int64_t{50}}), Cell{50.0});
    EXPECT_EQ(coerced(Type::Date, text("2020-11-16")), Cell{std::int64_t{18582}});
    EXPECT_EQ(coerced(Type::Date, text("2020-11-16T23:30:00-05:00")), Cell{std::int64_t{18582}});
    EXPECT_EQ(coerced(Type::DateTime, text("2020-11-16T10:00:00+0100")), Cell{std::int64_t{1605517200}});
    EXPECT_EQ(coerced(Type::Time, text("17:30:00")), text("17:30:00.000Z"));
    EXPECT_EQ(coerced(Type::Reference, text("001D000000IqhSL")), text("001D000000IqhSLIAZ"));
}

TEST(Values, text_is_trimmed_and_nothing_of_it_is_null) {
    EXPECT_EQ(coerced(Type::String, text("  Acme \t")), text("Acme"));
    EXPECT_EQ(coerced(Type::String, text("   ")), Cell{});
    EXPECT_EQ(coerced(Type::String, text("a\x01z")), text("az"));
    EXPECT_EQ(coerced(Type::Date, text("")), Cell{});
    EXPECT_EQ(coerced(Type::Currency, text("")), Cell{});
}

TEST(Values, what_is_no_value_of_the_type_is_refused_by_its_java_name) {
    EXPECT_EQ(refused(Type::Currency, text("abc")), "double");
    EXPECT_EQ(refused(Type::Int, text("1.5")), "int");
    EXPECT_EQ(refused(Type::Int, Cell{true}), "int");
    EXPECT_EQ(refused(Type::Boolean, text("perhaps")), "boolean");
    EXPECT_EQ(refused(Type::Date, text("16.11.2020")), "date");
    EXPECT_EQ(refused(Type::DateTime, text("2020-11-16 what")), "datetime");
    EXPECT_EQ(refused(Type::Time, text("25:00:00")), "time");
}

TEST(Values, choices_of_a_multi_select_stand_in_the_order_of_their_definition) {
    Field field = new_field("F", Type::MultiPicklist);
    field.picklist = {{"red", "Red"}, {"green", "Green"}, {"blue", "Blue"}};
    EXPECT_EQ(std::get<Cell>(coerce(field, text("blue; red;blue"))), text("red;blue"));
}

RC_GTEST_PROP(Values, packed_cells_hold_what_was_last_set, ()) {
    Cells cells;
    std::map<int, Cell> expected;
    const int steps = *rc::gen::inRange(0, 60);
    for (int i = 0; i < steps; ++i) {
        const int field = *rc::gen::inRange(0, 12);
        const Cell cell = *rc::gen::oneOf(rc::gen::just(Cell{}), rc::gen::map<bool>([](bool v) { return Cell{v}; }),
                                          rc::gen::map<std::int64_t>([](std::int64_t v) { return Cell{v}; }),
                                          rc::gen::map<double>([](double v) { return Cell{v}; }),
                                          rc::gen::map<std::string>([](std::string v) { return Cell{std::move(v)}; }));
        cells.set(field, cell);
        expected[field] = cell;
    }
    for (int field = 0; field < 12; ++field) {
        const auto found = expected.find(field);
        RC_ASSERT(cells.has(field) == (found != expected.end()));
        if (found != expected.end()) {
            RC_ASSERT(to_cell(*cells.view(field)) == found->second);
        }
    }
    RC_ASSERT(cells.all().size() == expected.size());
}

}  // namespace
}  // namespace lockstep::sandbox

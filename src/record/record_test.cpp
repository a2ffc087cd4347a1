#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "record/batch.h"
#include "record/object.h"
#include "record/value.h"

namespace lockstep::record {

namespace {

std::string json_of(const Cell& cell) {
    std::string out;
    append_json(out, cell);
    return out;
}

TEST(Cell, text_of_length_zero_is_null) {
    EXPECT_TRUE(Cell::text("").is_null());
    EXPECT_FALSE(Cell::text(" ").is_null());
    EXPECT_EQ(Cell::text(""), Cell::null(Form::Text));
    EXPECT_EQ(Cell(), Cell::null(Form::Text));
}

TEST(Cell, cells_are_equal_when_form_and_value_are) {
    EXPECT_EQ(Cell::text(std::string("abc")), Cell::text("abc"));
    EXPECT_NE(Cell::text("abc"), Cell::text("abd"));
    EXPECT_NE(Cell::text("1"), Cell::integer(1));
    EXPECT_NE(Cell::boolean(true), Cell::integer(1));
    EXPECT_NE(Cell::null(Form::Integer), Cell::null(Form::Text));
    EXPECT_NE(Cell::null(Form::Integer), Cell::integer(0));
    EXPECT_EQ(Cell::real(0.0), Cell::real(-0.0));
    EXPECT_NE(Cell::real(0.1), Cell::real(std::nextafter(0.1, 1)));
    EXPECT_NE(Cell::timestamp({5}), Cell::timestamp({6}));
    EXPECT_EQ(Cell::date({-3}), Cell::date({-3}));
}

TEST(Cell, a_number_that_is_none_equals_itself_so_that_it_never_looks_changed) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(Cell::real(none), Cell::real(none));
}

TEST(Cell, values_are_shown_in_one_way) {
    EXPECT_EQ(to_text(Cell::null(Form::Real)), "");
    EXPECT_EQ(to_text(Cell::text("a\"b")), "a\"b");
    EXPECT_EQ(to_text(Cell::boolean(false)), "false");
    EXPECT_EQ(to_text(Cell::integer(-7)), "-7");
    EXPECT_EQ(to_text(Cell::real(7500)), "7500");
    EXPECT_EQ(to_text(Cell::real(0.1)), "0.1");
    EXPECT_EQ(to_text(Cell::date({20781})), "2026-11-24");
    EXPECT_EQ(to_text(Cell::timestamp({1795509000})), "2026-11-24T08:30:00Z");
}

TEST(Cell, json_has_numbers_and_truth_values_bare_and_the_rest_quoted) {
    EXPECT_EQ(json_of(Cell()), "null");
    EXPECT_EQ(json_of(Cell::boolean(true)), "true");
    EXPECT_EQ(json_of(Cell::integer(7500)), "7500");
    EXPECT_EQ(json_of(Cell::real(0.5)), "0.5");
    EXPECT_EQ(json_of(Cell::date({20781})), "\"2026-11-24\"");
    EXPECT_EQ(json_of(Cell::text("say \"hi\"\\\n\r\t\x01 \xC3\xA4")),
              "\"say \\\"hi\\\"\\\\\\n\\r\\t\\u0001 \xC3\xA4\"");
}

TEST(Value, owns_its_text) {
    std::string text = "short";
    const Value value{Cell::text(text)};
    text = "other";
    EXPECT_EQ(value.cell().as_text(), "short");
}

TEST(Value, short_and_long_text_survive_copies_and_moves) {
    for (const std::string& text : {std::string("short"), std::string(100, 'x')}) {
        Value first = Value::of(text);
        Value copy = first;
        Value moved = std::move(first);
        EXPECT_EQ(copy.cell().as_text(), text);
        EXPECT_EQ(moved.cell().as_text(), text);
        Value assigned = Value::of("before");
        assigned = std::move(moved);
        EXPECT_EQ(assigned.cell().as_text(), text);
        copy = Value(Cell::integer(3));
        EXPECT_EQ(copy.cell(), Cell::integer(3));
        copy = assigned;
        EXPECT_EQ(copy, assigned);
        const Value& itself = assigned;
        assigned = itself;
        EXPECT_EQ(assigned.cell().as_text(), text);
    }
}

TEST(Value, a_growing_vector_keeps_every_text) {
    std::vector<Value> values;
    for (int i = 0; i < 200; ++i) values.push_back(Value::of(std::to_string(i)));
    for (int i = 0; i < 200; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)].cell().as_text(), std::to_string(i));
}

TEST(Value, what_was_moved_from_is_null) {
    Value value = Value::of("text");
    const Value taken = std::move(value);
    EXPECT_TRUE(value.is_null());  // NOLINT(bugprone-use-after-move): that is the question
    EXPECT_FALSE(taken.is_null());
}

TEST(Batch, rows_begin_as_nulls_of_their_forms) {
    Batch batch({Form::Text, Form::Date});
    batch.add_row()[1] = Cell::date({1});
    batch.add_row();
    ASSERT_EQ(batch.rows(), 2U);
    EXPECT_EQ(batch.row(0)[1], Cell::date({1}));
    EXPECT_EQ(batch.row(1)[1], Cell::null(Form::Date));
    batch.drop_last_row();
    EXPECT_EQ(batch.rows(), 1U);
    EXPECT_EQ(Batch().rows(), 0U);
}

TEST(Batch, kept_text_stays_where_it_is_while_the_batch_grows_and_moves) {
    Batch batch({Form::Text});
    for (int i = 0; i < 50'000; ++i) batch.add_row()[0] = Cell::text(batch.keep("text " + std::to_string(i)));
    const std::string large(1'000'000, 'y');
    batch.add_row()[0] = Cell::text(batch.keep(large));
    batch.add_row()[0] = Cell::text(batch.keep("after"));
    const char* const place = batch.row(7)[0].as_text().data();
    const Batch moved = std::move(batch);
    EXPECT_EQ(moved.row(7)[0].as_text().data(), place);
    for (std::size_t i = 0; i < 50'000; ++i) ASSERT_EQ(moved.row(i)[0].as_text(), "text " + std::to_string(i));
    EXPECT_EQ(moved.row(50'000)[0].as_text(), large);
    EXPECT_EQ(moved.row(50'001)[0].as_text(), "after");
}

TEST(Batch, an_adopted_buffer_is_not_copied) {
    Batch batch({Form::Text});
    std::string page(1000, 'p');
    const char* const place = page.data();
    const std::string_view kept = batch.adopt(std::move(page));
    EXPECT_EQ(kept.data(), place);
    EXPECT_EQ(batch.bytes(), 1000U);
}

TEST(Batch, a_cleared_or_moved_from_batch_can_be_filled_again) {
    Batch batch({Form::Text});
    for (const std::size_t size : {std::size_t{10}, std::size_t{600'000}, std::size_t{20}}) {
        batch.add_row()[0] = Cell::text(batch.keep(std::string(size, 'a')));
    }
    batch.clear();
    EXPECT_EQ(batch.rows(), 0U);
    EXPECT_EQ(batch.bytes(), 0U);
    for (int i = 0; i < 100'000; ++i) batch.add_row()[0] = Cell::text(batch.keep(std::to_string(i)));
    EXPECT_EQ(batch.row(99'999)[0].as_text(), "99999");
    const Batch taken = std::move(batch);
    batch = Batch({Form::Text});
    batch.add_row()[0] = Cell::text(batch.keep("again"));
    EXPECT_EQ(batch.row(0)[0].as_text(), "again");
    EXPECT_EQ(taken.rows(), 100'000U);
}

TEST(Batch, gives_the_memory_of_its_page_back_for_the_next_one) {
    Batch batch({Form::Text});
    std::string page(1000, 'p');
    const char* const place = page.data();
    batch.add_row()[0] = Cell::text(batch.adopt(std::move(page)));
    batch.adopt("a small one");
    std::string memory = batch.take_memory();
    EXPECT_EQ(memory.data(), place);
    EXPECT_EQ(memory, "");
    EXPECT_GE(memory.capacity(), 1000U);
    EXPECT_EQ(batch.rows(), 0U);
    EXPECT_EQ(batch.bytes(), 0U);
    EXPECT_EQ(batch.take_memory(), "") << "it has none twice";
}

TEST(Object, every_plain_salesforce_type_has_a_form_and_the_compound_ones_none) {
    EXPECT_EQ(form_of("id"), Form::Text);
    EXPECT_EQ(form_of("multipicklist"), Form::Text);
    EXPECT_EQ(form_of("boolean"), Form::Boolean);
    EXPECT_EQ(form_of("int"), Form::Integer);
    EXPECT_EQ(form_of("currency"), Form::Real);
    EXPECT_EQ(form_of("percent"), Form::Real);
    EXPECT_EQ(form_of("datetime"), Form::Timestamp);
    EXPECT_EQ(form_of("date"), Form::Date);
    for (const char* const type : {"address", "location", "base64", "anyType", "complexvalue", "json", ""}) {
        EXPECT_EQ(form_of(type), std::nullopt) << type;
    }
}

TEST(Object, fields_are_found_without_regard_to_case) {
    Object object;
    object.fields.push_back({.name = "StageName"});
    ASSERT_NE(object.find("stagename"), nullptr);
    EXPECT_EQ(object.find("STAGENAME")->name, "StageName");
    EXPECT_FALSE(object.has("Stage"));
    EXPECT_TRUE(is_system_field("systemmodstamp"));
    EXPECT_FALSE(is_system_field("OwnerId"));
}

}  // namespace

}  // namespace lockstep::record

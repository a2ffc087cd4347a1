#include "base/csv.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <memory>

#include "base/check.h"

namespace lockstep::csv {
namespace {

using Row = std::vector<std::string>;
using namespace std::string_literals;

/// A copy of `text` with nothing around it, so that a sanitizer sees every byte read beyond it.
struct Exact {
    explicit Exact(std::string_view text) : bytes(new char[text.size()]), size(text.size()) {
        std::memcpy(bytes.get(), text.data(), size);
    }
    operator std::string_view() const { return {bytes.get(), size}; }
    std::unique_ptr<char[]> bytes;
    std::size_t size;
};

struct Outcome {
    std::vector<Row> rows;
    std::string error;  // empty when there was none
    bool ended_with_line_end = true;
    bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view text, char delimiter = ',') {
    const Exact exact(text);
    Reader reader(exact, delimiter);
    Outcome outcome;
    std::vector<std::string_view> cells;
    for (;;) {
        const Result<bool> more = reader.next(cells);
        EXPECT_EQ(reader.rows(), static_cast<std::int64_t>(outcome.rows.size() + (more.ok() && *more ? 1 : 0)));
        if (!more.ok()) {
            EXPECT_EQ(more.error().kind, Kind::BadReply);
            EXPECT_EQ(reader.next(cells).error().what, more.error().what);  // and it stays there
            outcome.error = more.error().what;
        }
        if (!more.ok() || !*more) break;
        outcome.rows.emplace_back(cells.begin(), cells.end());
    }
    outcome.ended_with_line_end = reader.ended_with_line_end();
    return outcome;
}

std::string shown(const Outcome& outcome) {
    std::string text;
    for (const Row& row : outcome.rows) {
        for (const std::string& cell : row) text += "<" + cell + ">";
        text += ";";
    }
    return text + outcome.error;
}

/// The same grammar one character at a time, as plainly as it can be written.
Outcome read_slowly(std::string_view text) {
    enum class At { CellStart, Plain, Quoted, AfterQuote } at = At::CellStart;
    Outcome outcome;
    Row row;
    std::string cell;
    std::size_t opened = 0;
    bool row_open = false;
    const auto fail = [&](std::size_t byte, const char* why) {
        outcome.error =
            "CSV row " + std::to_string(outcome.rows.size() + 1) + ", byte " + std::to_string(byte) + ": " + why;
        return outcome;
    };
    const auto end_row = [&] {
        row.push_back(cell);
        outcome.rows.push_back(row);
        row.clear();
        cell.clear();
        at = At::CellStart;
        row_open = false;
    };
    std::size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
    for (; i < text.size(); ++i) {
        const char c = text[i];
        const bool line_end = c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
        outcome.ended_with_line_end = false;
        row_open = true;
        if (at == At::Quoted) {
            if (c != '"') {
                cell += c;
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                cell += '"';
                ++i;
            } else {
                at = At::AfterQuote;
            }
        } else if (c == ',') {
            row.push_back(cell);
            cell.clear();
            at = At::CellStart;
        } else if (line_end) {
            if (c == '\r') ++i;
            end_row();
            outcome.ended_with_line_end = true;
        } else if (at == At::AfterQuote) {
            return fail(i, "text follows a closing quote");
        } else if (c == '"' && at == At::CellStart) {
            opened = i;
            at = At::Quoted;
        } else if (c == '"') {
            return fail(i, "a quote stands inside a cell that is not quoted");
        } else {
            cell += c;
            at = At::Plain;
        }
    }
    if (at == At::Quoted) return fail(opened, "the text ends inside the quotes opened here");
    if (row_open) end_row();
    return outcome;
}

TEST(Csv, corpus) {
    struct Case {
        std::string input;
        std::string expected;
    };
    const Case corpus[] = {
        // Plain cells
        {"", ""},
        {"a", "<a>;"},
        {"a\n", "<a>;"},
        {"a,b\nc,d\n", "<a><b>;<c><d>;"},
        {"a,b\r\nc,d\r\n", "<a><b>;<c><d>;"},
        {"a,b\nc,d", "<a><b>;<c><d>;"},
        {"a,,\n", "<a><><>;"},
        {",", "<><>;"},
        {"a,", "<a><>;"},
        {"\n", "<>;"},
        {"\r\n", "<>;"},
        {"a\n\nb\n", "<a>;<>;<b>;"},
        {"a,b\n1\n1,2,3\n", "<a><b>;<1>;<1><2><3>;"},
        {" a , b \n", "< a >< b >;"},
        {"é,日本\n", "<é><日本>;"},
        // Carriage returns that end no line
        {"a\rb\n", "<a\rb>;"},
        {"a\r", "<a\r>;"},
        {"a\r\r\n", "<a\r>;"},
        {"\r,a\n", "<\r><a>;"},
        // Quoted cells
        {"\"\"", "<>;"},
        {"\"\"\n", "<>;"},
        {"\"a\",\"b\"\n\"c\",\"d\"\n", "<a><b>;<c><d>;"},
        {"\"a\",\"b\"\r\n", "<a><b>;"},
        {"\"a\",b,\"c\"", "<a><b><c>;"},
        {"\"a\",", "<a><>;"},
        {"\"a,b\"\n", "<a,b>;"},
        {"\"a\nb\"\n", "<a\nb>;"},
        {"\"a\r\nb\"\r\n", "<a\r\nb>;"},
        {"\"a\r\"\n", "<a\r>;"},
        {"\" a \"\n", "< a >;"},
        // Doubled quotes
        {"\"\"\"\"\n", "<\">;"},
        {"\"a\"\"b\"\n", "<a\"b>;"},
        {"\"\"\"a\"\"\"\n", "<\"a\">;"},
        {"\"\"\"\"\"\"\n", "<\"\">;"},
        {"\"a\"\"\",\"\"\"b\",\"c\"\n\"d\"\n", "<a\"><\"b><c>;<d>;"},
        // Byte order mark
        {"\xEF\xBB\xBF", ""},
        {"\xEF\xBB\xBF\"Id\"\n\"1\"\n", "<Id>;<1>;"},
        {"a\n\xEF\xBB\xBF"
         "b\n",
         "<a>;<\xEF\xBB\xBF"
         "b>;"},
        // As Salesforce's Bulk API 2.0 writes results
        {"\"Id\",\"Name\",\"Description\"\n\"001D000000IqhSLIAZ\",\"Bell \"\"B\"\" Ltd\",\"\"\n",
         "<Id><Name><Description>;<001D000000IqhSLIAZ><Bell \"B\" Ltd><>;"},
        // Errors
        {"\"", "CSV row 1, byte 0: the text ends inside the quotes opened here"},
        {"a\n\"b\",\"c", "<a>;CSV row 2, byte 6: the text ends inside the quotes opened here"},
        {"\"a\"\"", "CSV row 1, byte 0: the text ends inside the quotes opened here"},
        {"\"a\"\"\n\"b\"\n", "CSV row 1, byte 6: text follows a closing quote"},
        {"a\"b\n", "CSV row 1, byte 1: a quote stands inside a cell that is not quoted"},
        {"a\nb,c \"d\"\n", "<a>;CSV row 2, byte 6: a quote stands inside a cell that is not quoted"},
        {" \"a\"\n", "CSV row 1, byte 1: a quote stands inside a cell that is not quoted"},
        {"\"a\"b\n", "CSV row 1, byte 3: text follows a closing quote"},
        {"\"a\" \n", "CSV row 1, byte 3: text follows a closing quote"},
        {"\"a\"\rb\n", "CSV row 1, byte 3: text follows a closing quote"},
        {"\"a\"\r", "CSV row 1, byte 3: text follows a closing quote"},
        {"\xEF\xBB\xBF"
         "a\"\n",
         "CSV row 1, byte 4: a quote stands inside a cell that is not quoted"},
    };
    for (const Case& each : corpus) EXPECT_EQ(shown(read(each.input)), each.expected) << each.input;
}

TEST(Csv, nul_is_text_like_any_other_byte) {
    EXPECT_EQ(read("a\0b,\"c\0d\"\n"s).rows, (std::vector<Row>{{"a\0b"s, "c\0d"s}}));
}

TEST(Csv, other_delimiters_leave_commas_alone) {
    EXPECT_EQ(shown(read("a,b;\"c;d\";e\n", ';')), "<a,b><c;d><e>;");
    EXPECT_EQ(shown(read("a\tb\n", '\t')), "<a><b>;");
    for (const char wrong : {'"', '\n', '\r'}) EXPECT_THROW(Reader("a", wrong), Bug);
}

TEST(Csv, knows_whether_the_text_ended_with_a_line_end) {
    for (const char* text : {"", "a\n", "a\r\n", "\"a\"\n"}) EXPECT_TRUE(read(text).ended_with_line_end) << text;
    for (const char* text : {"a", "a\nb", "\"a\"", "a,", "a\r"}) EXPECT_FALSE(read(text).ended_with_line_end) << text;
}

TEST(Csv, cells_without_doubled_quotes_are_views_into_the_text) {
    const std::string text = "\"plain\",bare,\"dou\"\"bled\"\n";
    Reader reader(text);
    std::vector<std::string_view> cells;
    ASSERT_TRUE(*reader.next(cells));
    const auto is_inside = [&](std::string_view cell) {
        return cell.data() >= text.data() && cell.data() < text.data() + text.size();
    };
    EXPECT_TRUE(is_inside(cells[0]));
    EXPECT_TRUE(is_inside(cells[1]));
    EXPECT_FALSE(is_inside(cells[2]));
}

TEST(Csv, cells_of_every_length_end_where_they_should) {
    for (std::size_t length = 0; length < 200; ++length) {
        const std::string cell(length, 'x');
        const std::string quoted = "\"" + cell + "\"";
        const std::string marked = "\"" + cell + "\"\"\"";
        const Outcome outcome = read(fmt::format("{0},{1},{2}\n{2},{1},{0}", cell, quoted, marked));
        EXPECT_EQ(outcome.rows, (std::vector<Row>{{cell, cell, cell + "\""}, {cell + "\"", cell, cell}})) << length;
        EXPECT_EQ(outcome.error, "") << length;
    }
}

RC_GTEST_PROP(Csv, print_then_parse_is_identity, ()) {
    const auto cell =
        rc::gen::container<std::string>(rc::gen::element('"', '"', ',', '\n', '\r', 'a', ' ', '\0', '\xEF'));
    const auto rows = *rc::gen::container<std::vector<Row>>(rc::gen::nonEmpty(rc::gen::container<Row>(cell)));
    std::string text;
    for (const Row& row : rows) append_row(text, {row.begin(), row.end()});
    const Outcome outcome = read(text);
    RC_ASSERT(outcome.error.empty());
    RC_ASSERT(outcome.rows == rows);
    RC_ASSERT(outcome.ended_with_line_end);
}

RC_GTEST_PROP(Csv, reads_as_the_slow_reader_does_whatever_the_text, ()) {
    // Mostly text that goes wrong early, and some that goes on for long.
    const auto piece =
        rc::gen::element<std::string>("\"", "\"", ",", "\n", "\r\n", "\r", "a", "\"\"", "\"bc\"", "\"d\",",
                                      ",\"e\"\"f\"\n", "\"a long cell, longer than a register\",");
    std::string text;
    for (const std::string& each : *rc::gen::container<std::vector<std::string>>(piece)) text += each;
    Outcome slow = read_slowly(text);
    const Outcome fast = read(text);
    if (!slow.error.empty()) slow.ended_with_line_end = fast.ended_with_line_end;  // says nothing after an error
    RC_ASSERT(shown(fast) == shown(slow));
    RC_ASSERT(fast == slow);
}

TEST(Csv, prints_every_cell_quoted) {
    std::string text;
    append_row(text, {"Id", "say \"hi\"", "", "a,b\n"});
    append_row(text, {""});
    EXPECT_EQ(text, "\"Id\",\"say \"\"hi\"\"\",\"\",\"a,b\n\"\n\"\"\n");
}

}  // namespace
}  // namespace lockstep::csv

#include "server/output.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"

namespace lockstep::server {
namespace {

struct OutputTest : testing::Test {
    std::ostringstream out, err;
};

TEST_F(OutputTest, a_table_that_fits_is_a_table) {
    Output output(out, err, {.out = {.is_terminal = true, .columns = 40}});
    output.table({"name", "rows"}, {{"Lead", "12"}, {"Contact", "1,234"}});
    EXPECT_EQ(out.str(), "name      rows\n-------  -----\nLead        12\nContact  1,234\n");
}

TEST_F(OutputTest, a_table_too_wide_for_the_terminal_becomes_blocks) {
    Output output(out, err, {.out = {.is_terminal = true, .columns = 12}});
    output.table({"name", "rows"}, {{"Lead", "12"}, {"Contact", ""}});
    EXPECT_EQ(out.str(), "name  Lead\nrows  12\n\nname  Contact\n");
}

TEST_F(OutputTest, a_table_in_a_pipe_stays_a_table_however_wide) {
    Output output(out, err, {.out = {.columns = 5}});
    output.table({"name", "rows"}, {{"Contact", "1"}});
    EXPECT_EQ(out.str(), "name     rows\n-------  ----\nContact     1\n");
}

TEST_F(OutputTest, an_error_is_a_sentence_and_a_hint) {
    Output(out, err, {}).error({.kind = Kind::NotFound, .what = "there is no person \"x\"", .hint = "give an id"});
    EXPECT_EQ(err.str(), "lockstep: There is no person \"x\"\nhint: give an id\n");
    EXPECT_EQ(out.str(), "");
}

TEST_F(OutputTest, an_error_in_json_is_the_one_document) {
    Output output(out, err, {.json = true});
    output.line("not shown");
    output.error({.kind = Kind::Conflict, .what = "Another process syncs", .hint = "stop it"});
    const json::value parsed = parse_json(out.str()).value();
    EXPECT_EQ(parsed.at("error").at("kind").as_string(), name(Kind::Conflict));
    EXPECT_EQ(parsed.at("error").at("what").as_string(), "Another process syncs");
    EXPECT_EQ(parsed.at("error").at("hint").as_string(), "stop it");
    EXPECT_EQ(err.str(), "");
}

TEST_F(OutputTest, colours_are_used_only_where_they_are_seen) {
    EXPECT_EQ(Output(out, err, {}).styled("x", Output::Style::Bad), "x");
    EXPECT_EQ(Output(out, err, {.out = {.colours = true}}).styled("x", Output::Style::Bad), "\033[31mx\033[0m");
}

TEST(ExitCodes, each_kind_of_error_has_the_number_of_the_contract) {
    EXPECT_EQ(exit_code(Kind::Invalid), 2);
    EXPECT_EQ(exit_code(Kind::Denied), 3);
    EXPECT_EQ(exit_code(Kind::Throttled), 4);
    EXPECT_EQ(exit_code(Kind::Unavailable), 4);
    EXPECT_EQ(exit_code(Kind::BadReply), 4);
    EXPECT_EQ(exit_code(Kind::Conflict), 5);
    EXPECT_EQ(exit_code(Kind::NotFound), 6);
    EXPECT_EQ(exit_code(Kind::Rejected), 1);
    EXPECT_EQ(exit_code(Kind::Cancelled), 130);
}

TEST(Money, it_has_two_decimals_and_thousands) {
    EXPECT_EQ(money(0), "0.00");
    EXPECT_EQ(money(12'500), "12,500.00");
    EXPECT_EQ(money(-1'234'567.891), "-1,234,567.89");
    EXPECT_EQ(money(1e19), "10000000000000000000.00");
}

TEST(Counted, objects_have_the_words_people_use) {
    EXPECT_EQ(counted(1, "OpportunityContactRole"), "1 role");
    EXPECT_EQ(counted(2000, "Opportunity"), "2,000 opportunities");
    EXPECT_EQ(counted(3, "Visit__c"), "3 Visit__c");
}

}  // namespace
}  // namespace lockstep::server

#include "server/report.h"

#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"

namespace lockstep::server {
namespace {

store::Step step(const std::string& object, const std::string& operation) {
    return {.object = object,
            .operation = operation,
            .status = store::StepStatus::Succeeded,
            .started = {1'800'000'000},
            .ended = Timestamp{1'800'000'001}};
}

TEST(Brought, a_cycle_is_told_in_the_words_of_people) {
    sync::CycleReport report{.activities = 7};
    report.steps = {step("Lead", "pull updates"), step("Opportunity", "pull updates"),
                    step("OpportunityContactRole", "pull updates")};
    report.steps[0].updated = 3;
    report.steps[1].updated = 5;
    report.steps[2].created = 2;
    EXPECT_EQ(brought(report), "3 leads, 5 opportunities changed; 2 roles added; 7 activities");
}

TEST(Brought, one_of_a_kind_is_told_in_the_singular) {
    sync::CycleReport report{.activities = 1};
    report.steps = {step("Opportunity", "pull updates"), step("Contact", "pull deletes")};
    report.steps[0].updated = 1;
    report.steps[1].deleted = 1;
    EXPECT_EQ(brought(report), "1 opportunity changed; 1 contact deleted; 1 activity");
}

TEST(Brought, people_built_by_a_first_load_are_not_counted_as_records) {
    sync::CycleReport report{.first_load = true, .people = 2000, .companies = 1910, .activities = 4};
    report.steps = {step("Account", "first load"),   step("Lead", "first load"),
                    step("Account", "build people"), step("Lead", "build people"),
                    step("Contact", "build people"), step("OpportunityContactRole", "build links")};
    report.steps[0].created = 10;
    report.steps[1].created = 2000;
    report.steps[2].created = 10;
    report.steps[3].created = 1900;
    report.steps[4].created = 100;
    report.steps[5].created = 4;
    EXPECT_EQ(brought(report),
              "10 accounts, 2,000 leads loaded; 1,910 companies, 2,000 people, 4 links built; 4 activities");
}

TEST(Brought, a_later_cycle_tells_of_records_and_not_of_the_people_they_brought) {
    sync::CycleReport report{.people = 2, .companies = 2};
    report.steps = {step("Lead", "pull updates")};
    report.steps[0].created = 2;
    EXPECT_EQ(brought(report), "2 leads added");
    EXPECT_EQ(report.created(), 2);
}

TEST(Brought, a_quiet_cycle_says_so) {
    sync::CycleReport report;
    report.steps = {step("", "sync schema"), step("Lead", "pull updates")};
    report.steps[1].skipped = 3;
    EXPECT_EQ(brought(report), "nothing new");
}

TEST(Summary, a_step_that_failed_is_told_with_its_reason) {
    sync::CycleReport report{.cycle = 12};
    report.steps = {step("Opportunity", "pull updates")};
    report.steps[0].status = store::StepStatus::Failed;
    report.steps[0].detail = "the answer was cut";
    std::ostringstream out, err;
    Output output(out, err, {});
    print_summary(output, report);
    EXPECT_NE(out.str().find("Opportunity: pull updates: the answer was cut"), std::string::npos) << out.str();
    EXPECT_NE(out.str().find("see lockstep errors"), std::string::npos) << out.str();
}

TEST(CycleJson, it_holds_every_step_with_its_counts) {
    sync::CycleReport report{
        .cycle = 12, .first_load = true, .calls = 9, .ms = 400, .people = 90, .companies = 20, .activities = 7};
    report.steps = {step("Lead", "pull updates"), step("Contact", "first load"), step("Contact", "build people")};
    report.steps[0].updated = 3;
    report.steps[1].created = 100;
    report.steps[2].created = 90;
    report.steps[2].updated = 10;
    const json::value parsed = parse_json(cycle_json(report)).value();
    EXPECT_EQ(parsed.at("cycle").as_int64(), 12);
    EXPECT_EQ(parsed.at("updated").as_int64(), 3);
    EXPECT_EQ(parsed.at("created").as_int64(), 100);  // records, not the people made of them
    EXPECT_EQ(parsed.at("people").as_int64(), 90);
    EXPECT_EQ(parsed.at("companies").as_int64(), 20);
    EXPECT_EQ(parsed.at("calls").as_int64(), 9);
    EXPECT_FALSE(parsed.at("failed").as_bool());
    const json::value& first = parsed.at("steps").at(0);
    EXPECT_EQ(first.at("object").as_string(), "Lead");
    EXPECT_EQ(first.at("status").as_string(), "succeeded");
    EXPECT_EQ(first.at("started").as_string(), to_string(Timestamp{1'800'000'000}));
}

TEST(LoadLine, it_tells_rows_share_speed_and_time_left) {
    EXPECT_EQ(load_line("Lead", 12'400, 20'000, 7'600, "loading"),
              "Lead                    12,400 of 20,000  62 %  7,600 rows/s  1 s left");
    EXPECT_EQ(load_line("Lead", 12'400, 0, 0, "loading"), "Lead                    12,400 rows");
    EXPECT_EQ(load_line("Lead", 0, 0, 0, "asking"), "Lead                    asking");
}

struct ProgressTest : testing::Test {
    std::ostringstream out, err;
    ManualClock clock{Timestamp{1'800'000'000}};
};

TEST_F(ProgressTest, without_a_terminal_each_step_is_one_plain_line) {
    Output output(out, err, {});
    Progress progress(output, clock, Progress::Detail::Full);
    progress.load_progress("Lead", 0, 2000, "loading");
    clock.advance_s(2);
    progress.load_progress("Lead", 2000, 2000, "loading");
    store::Step done = step("Lead", "first load");
    done.created = 2000;
    progress.step_done(done);
    EXPECT_EQ(err.str(), "Lead                    first load      2,000 new  2 s  1,000 rows/s\n");
    EXPECT_EQ(out.str(), "");
}

TEST_F(ProgressTest, on_a_terminal_the_running_line_is_drawn_over_and_taken_away) {
    Output output(out, err, {.err = {.is_terminal = true, .columns = 30}});
    {
        Progress progress(output, clock, Progress::Detail::Full);
        progress.load_progress("Lead", 5, 200, "loading");
        progress.load_progress("Lead", 6, 200, "loading");  // too soon to draw again
    }
    EXPECT_EQ(err.str(), "\r\033[KLead                    5 of 2\r\033[K");
}

TEST_F(ProgressTest, json_mode_shows_no_progress) {
    Output output(out, err, {.json = true, .err = {.is_terminal = true}});
    Progress progress(output, clock, Progress::Detail::Full);
    progress.load_progress("Lead", 5, 200, "loading");
    progress.step_done(step("Lead", "first load"));
    EXPECT_EQ(err.str() + out.str(), "");
}

}  // namespace
}  // namespace lockstep::server

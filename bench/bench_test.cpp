#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/json.h"
#include "bench/figures.h"
#include "tests/support/process.h"

namespace lockstep::bench {
namespace {

/// The figures of a quick run, by bench and name. Their times mean nothing; their counts do.
std::map<std::string, double> quick_figures(const std::string& bench, const std::string& engine) {
    const support::TempFolder folder;
    const support::Ended ended = support::run(
        {.program = support::built("lockstep-bench"),
         .arguments = {bench, "--quick", "--json", "--engine", engine, "--folder", folder.path().string()}},
        240);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    std::map<std::string, double> figures;
    const auto parsed = parse_json(ended.out);
    if (!parsed || !parsed->is_array()) {
        ADD_FAILURE() << ended.out;
        return figures;
    }
    for (const json::value& figure : parsed->get_array()) {
        figures[text_at(figure.as_object(), "name").value_or("")] = figure.at("value").to_number<double>();
    }
    return figures;
}

TEST(QuickBench, load_brings_all_rows_of_the_org_from_sandbox_and_file_in_both_orders) {
    for (const std::string engine : {"sqlite", "postgres"}) {
        const auto figures = quick_figures("load", engine);
        // Each role is a link; those of opportunities the org has in its bin are never shown.
        const double roles = figures.at("links built");
        EXPECT_EQ(figures.at("rows loaded"), 600 + 100 + 2'000 + roles) << engine;
        EXPECT_GT(roles, 2'200) << engine;
        EXPECT_LE(roles, 2'400) << engine;
        EXPECT_GT(figures.at("people built"), 500) << engine;
        for (const char* const order : {", in order", ", shuffled"}) {
            for (const char* const source : {", from the sandbox", ", from a file"}) {
                const std::string name = engine + order + source;
                EXPECT_GT(figures.at(name + ": rows a second"), 0);
                EXPECT_GT(figures.at(name + ": times as fast as the naive loader"), 0);
                EXPECT_GT(figures.at(name + ": most memory of the tool"), 1);
            }
        }
    }
}

TEST(QuickBench, cycle_hears_the_changes_of_a_small_and_a_large_org) {
    for (const std::string engine : {"sqlite", "postgres"}) {
        const auto figures = quick_figures("cycle", engine);
        int orgs = 0;
        for (const auto& [name, value] : figures) {
            if (name.find("records changed") == std::string::npos) continue;
            ++orgs;
            EXPECT_GT(value, 10) << name;
            EXPECT_LT(value, 200) << name;
        }
        EXPECT_EQ(orgs, 2);
    }
}

TEST(QuickBench, sandbox_sends_its_results_to_a_client_that_throws_them_away) {
    const auto figures = quick_figures("sandbox", "sqlite");
    EXPECT_GT(figures.at("Opportunity, plain: size of the result"), 0.1);
    EXPECT_EQ(figures.at("Opportunity, plain: size of the result"),
              figures.at("Opportunity, shuffled: size of the result"));
}

TEST(Figures, tell_when_an_aim_is_missed) {
    Figure figure{.bench = "load", .name = "x", .value = 1.25, .unit = "times"};
    EXPECT_EQ(as_line(figure).find("aim"), std::string::npos);
    figure.at_least = 1.5;
    EXPECT_NE(as_line(figure).find("(aim: at least 1.50)  MISSED"), std::string::npos);
    figure.at_least.reset();
    figure.at_most = 1.3;
    EXPECT_EQ(as_line(figure).find("MISSED"), std::string::npos);
    EXPECT_EQ(as_json({figure}),
              R"([{"bench":"load","name":"x","value":1.25E0,"unit":"times","at_most":1.3E0,"met":true}])");
}

TEST(Figures, take_the_middle_of_what_was_measured) {
    EXPECT_EQ(median({3, 1, 2}), 2);
    EXPECT_EQ(median({4, 1}), 1);
    EXPECT_EQ(median({5}), 5);
}

}  // namespace
}  // namespace lockstep::bench

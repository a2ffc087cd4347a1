#include "sync/decide.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/text.h"

namespace lockstep::sync {
namespace {

using record::Cell;

/// Every way, winner and blank habit against every pattern of three values; "" is empty, letters are values.
std::string table_of_all_cases() {
    std::vector<std::vector<std::string>> rows;
    for (const Way way : {Way::Both, Way::In, Way::Out, Way::None}) {
        for (const Winner winner : {Winner::Ours, Winner::Theirs}) {
            for (const Blank blank : {Blank::Clear, Blank::Keep}) {
                for (const char* const base : {"", "a"}) {
                    for (const char* const theirs : {"", "a", "b"}) {
                        for (const char* const ours : {"", "a", "b", "c"}) {
                            const FieldRule rule{.salesforce = "F",
                                                 .way = way,
                                                 .ours = "f",
                                                 .blank = blank,
                                                 .winner = winner,
                                                 .origin = ""};
                            const Decision decision =
                                decide(rule, Cell::text(base), Cell::text(theirs), Cell::text(ours));
                            const auto shown = [](const char* value) { return *value == 0 ? "(empty)" : value; };
                            rows.push_back({name(way), name(winner), name(blank), shown(base), shown(theirs),
                                            shown(ours), name(decision.verdict), decision.conflict ? "conflict" : "-",
                                            decision.reason});
                        }
                    }
                }
            }
        }
    }
    return format_table({"way", "winner", "blank", "base", "theirs", "ours", "verdict", "log", "because"}, rows, 100);
}

TEST(Decide, every_case_is_as_the_golden_table_says) {
    const std::string file = std::string(LOCKSTEP_SOURCE_DIR) + "/tests/golden/decide.txt";
    const std::string now = table_of_all_cases();
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(file) << now;
    std::ifstream in(file);
    std::ostringstream golden;
    golden << in.rdbuf();
    EXPECT_EQ(golden.str(), now) << "UPDATE_GOLDEN=1 writes the table anew; read the difference as a reviewer would";
}

rc::Gen<Way> any_way() {
    return rc::gen::element(Way::Both, Way::In, Way::Out, Way::None);
}

RC_GTEST_PROP(Decide, swapping_the_sides_and_mirroring_the_rule_mirrors_the_verdict, ()) {
    const auto value = [] { return *rc::gen::element<std::string>("a", "b", "c"); };
    const Way way = *any_way();
    const Winner winner = *rc::gen::element(Winner::Ours, Winner::Theirs);
    const std::string base = value(), theirs = value(), ours = value();
    const FieldRule rule{
        .salesforce = "F", .way = way, .ours = "f", .blank = Blank::Clear, .winner = winner, .origin = ""};
    FieldRule mirrored = rule;
    mirrored.way = way == Way::In ? Way::Out : way == Way::Out ? Way::In : way;
    mirrored.winner = winner == Winner::Ours ? Winner::Theirs : Winner::Ours;
    const Decision one = decide(rule, Cell::text(base), Cell::text(theirs), Cell::text(ours));
    const Decision two = decide(mirrored, Cell::text(base), Cell::text(ours), Cell::text(theirs));
    const auto mirror = [](Verdict verdict) {
        switch (verdict) {
            case Verdict::Pull:
                return Verdict::Push;
            case Verdict::Push:
                return Verdict::Pull;
            case Verdict::Hold:
                return Verdict::KeepOurs;
            case Verdict::KeepOurs:
                return Verdict::Hold;
            case Verdict::InStep:
                return Verdict::InStep;
        }
        return verdict;
    };
    // A rule that moves nothing holds theirs even when both changed: there is nothing to mirror in that.
    if (way == Way::None) return;
    RC_ASSERT(two.verdict == mirror(one.verdict));
    RC_ASSERT(two.conflict == one.conflict);
}

RC_GTEST_PROP(Decide, hearing_the_same_again_after_a_pull_changes_nothing, ()) {
    const auto value = [] { return *rc::gen::element<std::string>("", "a", "b", "c"); };
    const FieldRule rule{.salesforce = "F",
                         .way = *any_way(),
                         .ours = "f",
                         .blank = *rc::gen::element(Blank::Clear, Blank::Keep),
                         .winner = *rc::gen::element(Winner::Ours, Winner::Theirs),
                         .origin = ""};
    const std::string base = value(), theirs = value();
    std::string ours = value();
    const Decision first = decide(rule, Cell::text(base), Cell::text(theirs), Cell::text(ours));
    if (first.verdict == Verdict::Pull) ours = theirs;
    const Decision second = decide(rule, Cell::text(theirs), Cell::text(theirs), Cell::text(ours));
    RC_ASSERT(second.verdict != Verdict::Pull);
}

}  // namespace
}  // namespace lockstep::sync

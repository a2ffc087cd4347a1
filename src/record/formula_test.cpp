#include "record/formula.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/text.h"

namespace lockstep::record {
namespace {

using testing::HasSubstr;
using What = Formula::Influence::What;

std::vector<std::string> paths_of(const Formula& formula) {
    std::vector<std::string> paths;
    for (const Formula::Path& path : formula.paths) paths.push_back(to_string(path));
    return paths;
}

/// What the golden file says of a formula below its own line, where \n stands for a line break.
std::string told_of(const std::string& line) {
    std::string text = line;
    for (std::size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;) text.replace(at, 2, "\n");
    const Result<Formula> formula = read_formula(text);
    if (!formula.ok()) return "error    " + formula.error().what + "\n";
    std::string out = "paths    " + join(paths_of(*formula), ", ") + "\n";
    std::vector<std::string> influences;
    for (const Formula::Influence& influence : formula->influences) influences.push_back(influence.name);
    if (!influences.empty()) out += "depends  " + join(influences, ", ") + "\n";
    out += std::string("label    ") + name(formula->freshness());
    if (!formula->reason().empty()) out += ": " + formula->reason();
    return out + "\n";
}

TEST(Formula, each_of_the_golden_file_is_read_as_it_says) {
    const std::string file = std::string(LOCKSTEP_SOURCE_DIR) + "/tests/golden/formulas.txt";
    std::ifstream in(file);
    std::ostringstream golden;
    golden << in.rdbuf();
    std::string now;
    int formulas = 0;
    for (const std::string& line : split(golden.str(), '\n')) {
        // The heading of the file is its first lines; later ones stand above a group.
        if (line.starts_with("#")) now += (formulas > 0 ? "\n" : "") + line + "\n";
        if (!line.starts_with("formula  ")) continue;
        ++formulas;
        now += "\n" + line + "\n" + told_of(line.substr(9));
    }
    EXPECT_GE(formulas, 60);
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(file) << now;
    EXPECT_EQ(golden.str(), now) << "UPDATE_GOLDEN=1 writes the file anew from its lines \"formula\"; read the "
                                    "difference as a reviewer would";
}

TEST(Formula, names_are_one_whatever_their_case) {
    const auto formula = read_formula("if(account.INDUSTRY = Account.Industry, today(), TODAY())");
    ASSERT_TRUE(formula.ok());
    EXPECT_THAT(paths_of(*formula), testing::ElementsAre("account.INDUSTRY"));
    EXPECT_THAT(formula->influences, testing::ElementsAre(Formula::Influence{What::Day, "today"}));
}

TEST(Formula, that_can_not_be_read_tells_the_place_in_characters) {
    const auto formula = read_formula("\"Größe\" & Amount ]");
    ASSERT_FALSE(formula.ok());
    EXPECT_EQ(formula.error().kind, Kind::Invalid);
    EXPECT_THAT(formula.error().what, HasSubstr("At character 18"));
    EXPECT_THAT(formula.error().what, HasSubstr("\"]\""));
    EXPECT_NE(formula.error().hint, "");
}

TEST(Formula, nested_beyond_all_measure_is_refused_and_not_followed) {
    const auto formula = read_formula(std::string(100'000, '(') + "1" + std::string(100'000, ')'));
    ASSERT_FALSE(formula.ok());
    EXPECT_THAT(formula.error().what, HasSubstr("nested too deeply"));
    EXPECT_TRUE(read_formula(std::string(300, '(') + "1" + std::string(300, ')')).ok());
}

TEST(Formula, the_worst_of_several_influences_is_the_label) {
    const auto formula = read_formula("IF(TODAY() > CloseDate, $User.Alias, $Label.Late)");
    ASSERT_TRUE(formula.ok());
    EXPECT_EQ(formula->freshness(), Freshness::NotTrackable);
    EXPECT_THAT(formula->reason(), HasSubstr("$User.Alias"));
}

// ---- Laws ----

/// A random formula and the paths that were put into it, in order, each once.
struct Made {
    std::string text;
    std::vector<std::string> paths;
};

class Maker {
public:
    std::string expression(int depth) {
        static const std::vector<std::string> operators{"+", "-",  "*",  "/",  "^", "&",  "&&", "||",
                                                        "=", "==", "<>", "!=", "<", "<=", ">",  ">="};
        std::string out = operand(depth);
        for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
            out += blank() + *rc::gen::elementOf(operators) + blank() + operand(depth);
        }
        return out;
    }
    std::vector<std::string> paths;

private:
    static std::string blank() { return *rc::gen::element<std::string>("", " ", "\n", "/* ) \" */", "\t "); }
    std::string operand(int depth) {
        switch (*rc::gen::inRange(0, depth > 0 ? 7 : 4)) {
            case 0:
                return *rc::gen::element<std::string>("1", "0.5", ".25", "1e3", "-7", "TRUE", "null");
            case 1:
                return *rc::gen::element<std::string>("\"a, b)\"", "'it\\'s'", "\"\"", "\"Account.Name\"", "'\"'");
            case 2:
            case 3:
                return path();
            case 4:
                return "(" + blank() + expression(depth - 1) + blank() + ")";
            case 5:
                return "!" + operand(depth - 1);
            default: {
                std::string out = *rc::gen::element<std::string>("IF", "case", "Max", "TEXT") + blank() + "(";
                for (int i = *rc::gen::inRange(1, 4); i > 0; --i) out += expression(depth - 1) + (i > 1 ? "," : "");
                return out + ")";
            }
        }
    }
    std::string path() {
        std::string out;
        for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
            out += *rc::gen::element<std::string>("Account.", "Owner:User.", "Parent__r.", "ns__X__r.");
        }
        out += *rc::gen::element<std::string>("Name", "Amount", "Region__c", "ns__Y1__c");
        if (std::ranges::find(paths, out) == paths.end()) paths.push_back(out);
        return out;
    }
};

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        out += c == '&'    ? "&amp;"
               : c == '"'  ? "&quot;"
               : c == '\'' ? "&#39;"
               : c == '<'  ? "&lt;"
               : c == '>'  ? "&gt;"
                           : std::string(1, c);
    }
    return out;
}

RC_GTEST_PROP(Formula, exactly_the_fields_that_were_put_in_are_found, ()) {
    Maker maker;
    const std::string text = maker.expression(3);
    const Result<Formula> formula = read_formula(text);
    RC_ASSERT(formula.ok());
    RC_ASSERT(paths_of(*formula) == maker.paths);
    const Result<Formula> again = read_formula(escaped(text));
    RC_ASSERT(again.ok());
    RC_ASSERT(paths_of(*again) == maker.paths);
}

RC_GTEST_PROP(Formula, any_bytes_are_read_or_refused, (const std::string& text)) {
    const Result<Formula> formula = read_formula(text);
    const bool told = formula.ok() || !formula.error().what.empty();
    RC_ASSERT(told);
}

RC_GTEST_PROP(Formula, a_cut_formula_is_read_or_refused, ()) {
    Maker maker;
    const std::string text = escaped(maker.expression(3));
    const Result<Formula> formula = read_formula(text.substr(0, *rc::gen::inRange<std::size_t>(0, text.size() + 1)));
    const bool told = formula.ok() || !formula.error().what.empty();
    RC_ASSERT(told);
}

}  // namespace
}  // namespace lockstep::record

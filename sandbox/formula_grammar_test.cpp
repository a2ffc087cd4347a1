#include "sandbox/formula_grammar.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

namespace lockstep::sandbox::formula {
namespace {

std::string printed(const std::string& source) {
    const auto tree = parse(source);
    return tree.ok() ? to_string(*tree) : "! " + tree.error().what;
}

TEST(FormulaGrammar, operators_bind_as_in_salesforce) {
    EXPECT_EQ(printed("1 + 2 * 3 + 4 / 2"), "((1 + (2 * 3)) + (4 / 2))");
    EXPECT_EQ(printed("2 * 2 ^ 3"), "((2 * 2) ^ 3)");
    EXPECT_EQ(printed("-2 ^ 2"), "(-(2) ^ 2)");
    EXPECT_EQ(printed("1 - 2 - 3 & \"x\""), "(((1 - 2) - 3) & \"x\")");
    EXPECT_EQ(printed("a = 1 && b <> 2 || ! c"), "OR(AND((a = 1), (b <> 2)), NOT(c))");
    EXPECT_EQ(printed("a == 1 != b"), "((a = 1) <> b)");
    EXPECT_EQ(printed("1 + 2 >= 3 = true"), "(((1 + 2) >= 3) = TRUE)");
    EXPECT_EQ(printed("NOT(a) = b"), "(NOT(a) = b)");
    EXPECT_EQ(printed("+ - 1"), "+(-(1))");
}

TEST(FormulaGrammar, names_know_no_case_and_comments_and_line_breaks_stand_anywhere) {
    EXPECT_EQ(printed("if(/* x */ nUll,\n\ttrue , FALSE)"), "IF(NULL, TRUE, FALSE)");
    EXPECT_EQ(printed("Owner:User.Name & $User.Id & a__r.b__c"), "((Owner:User.Name & $User.Id) & a__r.b__c)");
    EXPECT_EQ(printed("TODAY()"), "TODAY()");
    EXPECT_EQ(printed("(((1.50)))"), "1.50");
}

TEST(FormulaGrammar, texts_are_in_either_quotes) {
    EXPECT_EQ(printed(R"('a "b" \'c\' \\ \n \t')"), R"("a \"b\" 'c' \\ \n \t")");
    EXPECT_EQ(parse(R"("a\"b")")->text, "a\"b");
    EXPECT_EQ(printed("\"a\nb\""), "! Syntax error. Missing '\"'");
}

TEST(FormulaGrammar, what_is_wrong_is_told) {
    EXPECT_EQ(printed(""), "! Syntax error. Found end of formula");
    EXPECT_EQ(printed("1 +"), "! Syntax error. Found end of formula");
    EXPECT_EQ(printed("IF(1"), "! Syntax error. Missing ')'");
    EXPECT_EQ(printed("IF(1 2)"), "! Syntax error. Missing ')'");
    EXPECT_EQ(printed("IF(1,,2)"), "! Syntax error. Found ','");
    EXPECT_EQ(printed("NOT(a, b)"), "! Syntax error. Missing ')'");
    EXPECT_EQ(printed("1)"), "! Syntax error. Extra ')'");
    EXPECT_EQ(printed("1."), "! Syntax error. Extra '.'");
    EXPECT_EQ(printed("a b"), "! Syntax error. Extra b");
    EXPECT_EQ(printed("\"\\q\""), "! Syntax error. Found '\\'");
    EXPECT_EQ(printed(std::string(5001, ' ')),
              "! Formula is too long (5,001 characters). Maximum length is 5,000 characters");
    EXPECT_EQ(printed(std::string(4999, ' ') + "1"), "1");
}

rc::Gen<Expression> leaf() {
    return rc::gen::oneOf(
        rc::gen::just(Expression{Expression::Kind::Null, "", {}}),
        rc::gen::map(rc::gen::element<std::string>("TRUE", "FALSE"),
                     [](std::string text) {
                         return Expression{Expression::Kind::Truth, std::move(text), {}};
                     }),
        rc::gen::map(rc::gen::element<std::string>("0", "12", "1.50"),
                     [](std::string text) {
                         return Expression{Expression::Kind::Number, std::move(text), {}};
                     }),
        rc::gen::map(rc::gen::element<std::string>("Name", "A__r.B__c", "Owner:User.Name", "$User.Id"),
                     [](std::string text) {
                         return Expression{Expression::Kind::Field, std::move(text), {}};
                     }),
        rc::gen::map(rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab \"'\\\n\r\t/*é"))),
                     [](std::string text) {
                         return Expression{Expression::Kind::Text, std::move(text), {}};
                     }));
}

Expression grown(int levels) {
    if (levels == 0 || *rc::gen::inRange(0, 4) == 0) return *leaf();
    const auto of = [&](std::string name, int parts) {
        Expression made{Expression::Kind::Call, std::move(name), {}};
        for (int i = 0; i < parts; ++i) made.parts.push_back(grown(levels - 1));
        return made;
    };
    switch (*rc::gen::inRange(0, 3)) {
        case 0:
            return of(*rc::gen::element<std::string>("+", "-", "*", "/", "^", "&", "=", "<>", "<", "<=", ">", ">="), 2);
        case 1:
            return of(*rc::gen::element<std::string>("-", "+", "NOT"), 1);
        default:
            return of(*rc::gen::element<std::string>("IF", "AND", "OR", "TODAY", "LEFT"), *rc::gen::inRange(0, 4));
    }
}

RC_GTEST_PROP(FormulaGrammar, what_is_printed_reads_as_the_same_tree, ()) {
    const Expression tree = grown(5);
    const auto read = parse(to_string(tree));
    RC_ASSERT(read.ok());
    RC_ASSERT(*read == tree);
}

RC_GTEST_PROP(FormulaGrammar, any_text_is_read_or_refused, (const std::vector<int>& choices)) {
    constexpr std::array pieces = {"(", ")", ",", "\"", "'", "\\", "IF", "NOT",
                                   " ", "1", ".", "+",  "-", "&",  "=",  "a__r.b"};
    std::string text;
    for (const int choice : choices) text += pieces.at(static_cast<std::size_t>(std::abs(choice % 16)));
    const auto read = parse(text);
    if (!read.ok()) RC_ASSERT(!read.error().what.empty());
}

}  // namespace
}  // namespace lockstep::sandbox::formula

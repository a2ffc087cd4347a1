#include "sandbox/soql_grammar.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/world.h"

namespace lockstep::sandbox::soql {
namespace {

/// Random statements: every construct of the grammar, nested a little.
class Maker {
public:
    explicit Maker(std::uint64_t seed) : random_(seeded_random(seed)) {}

    Statement statement(int depth = 0) {
        Statement s;
        const auto items = 1 + below(3);
        for (std::uint64_t i = 0; i < items; ++i) s.items.push_back(item(depth));
        s.from.names = {one_of({"Account", "Order", "Group", "Widget__c"})};
        if (depth > 0 && chance()) s.from.names = {"a", "Contacts"};
        if (chance()) s.alias = "a";
        if (chance()) s.more_from.push_back({path(), "b"});
        if (chance()) s.scope = "mine";
        if (chance()) s.where = condition(depth, 0);
        if (chance()) s.with = one_of({"SECURITY_ENFORCED", "USER_MODE"});
        if (chance()) {
            s.grouping = static_cast<Statement::Grouping>(1 + below(3));
            for (std::uint64_t i = 0; i <= below(2); ++i) s.group_by.push_back(operand());
        }
        if (chance()) s.having = condition(depth, 0);
        for (std::uint64_t i = below(3); i > 0; --i)
            s.order_by.push_back({operand(), below(2) == 0, static_cast<OrderKey::Nulls>(below(3))});
        if (chance()) s.limit = static_cast<std::int64_t>(below(100'000));
        if (chance()) s.offset = static_cast<std::int64_t>(below(3000));
        if (chance()) s.purposes = {one_of({"FOR VIEW", "FOR REFERENCE", "UPDATE TRACKING"})};
        s.all_rows = below(9) == 0;
        return s;
    }

private:
    std::uint64_t below(std::uint64_t bound) { return random_->below(bound); }
    bool chance() { return below(3) == 0; }
    std::string one_of(std::initializer_list<const char*> words) { return *(words.begin() + below(words.size())); }
    Path path() {
        Path p;
        for (std::uint64_t i = 0; i <= below(3); ++i)
            p.names.push_back(one_of({"Id", "Name", "Owner", "Size__c", "x_9"}));
        return p;
    }
    Operand operand() {
        Operand o;
        if (chance()) o.functions.push_back(one_of({"COUNT", "MIN", "toLabel", "FORMAT", "CALENDAR_YEAR"}));
        if (!o.functions.empty() && chance()) o.functions.push_back("convertTimezone");
        const bool all = o.functions == std::vector<std::string>{"COUNT"} && chance();
        if (!all) o.path = path();
        return o;
    }
    Literal literal() {
        switch (below(9)) {
            case 0:
                return {Literal::Kind::Null, "NULL"};
            case 1:
                return {Literal::Kind::Boolean, one_of({"TRUE", "FALSE"})};
            case 2:
                return {Literal::Kind::Number, one_of({"0", "-1", "+3.50", ".5", "1e9", "2.5E-3"})};
            case 3:
                return {Literal::Kind::String, one_of({"", "abc", R"(it\'s)", R"(\\ \u00e9 \_ \%)", "a\nb", "ä"})};
            case 4:
                return {Literal::Kind::Date, "2024-02-29"};
            case 5:
                return {Literal::Kind::DateTime,
                        one_of({"2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123+01:00", "2024-01-01T00:00:00-0800"})};
            case 6:
                return {Literal::Kind::Time, one_of({"17:30:00.000Z", "17:30:00Z"})};
            case 7:
                if (chance()) return {Literal::Kind::DateName, one_of({"TODAY", "LAST_90_DAYS", "THIS_FISCAL_YEAR"})};
                return {Literal::Kind::DateName, one_of({"LAST_N_DAYS", "N_WEEKS_AGO", "NEXT_N_FISCAL_QUARTERS"}),
                        static_cast<std::int64_t>(below(500))};
            default:
                return {Literal::Kind::Currency, one_of({"USD5000", "EUR12.50"})};
        }
    }
    Condition condition(int depth, int level) {
        Condition c;
        if (level < 3 && chance()) {
            c.kind = static_cast<Condition::Kind>(below(3));
            const auto parts = c.kind == Condition::Kind::Not ? 1 : 2 + below(2);
            for (std::uint64_t i = 0; i < parts; ++i) c.parts.push_back(condition(depth, level + 1));
            return c;
        }
        c.left = operand();
        c.op = static_cast<Op>(below(11));
        if ((c.op == Op::In || c.op == Op::NotIn) && depth == 0 && chance()) {
            c.select.push_back(statement(1));
            return c;
        }
        const auto values = c.op >= Op::In ? 1 + below(3) : 1;
        for (std::uint64_t i = 0; i < values; ++i) c.values.push_back(literal());
        return c;
    }
    Item item(int depth) {
        Item item;
        switch (depth > 0 ? 9 : below(10)) {
            case 0:
                item.kind = Item::Kind::Child;
                item.child.push_back(statement(1));
                break;
            case 1:
                item.kind = Item::Kind::Fields;
                item.fields = one_of({"ALL", "STANDARD", "CUSTOM"});
                break;
            case 2:
                item.kind = Item::Kind::TypeOf;
                item.type_of.relationship = "What";
                item.type_of.when.push_back({"Account", {path(), path()}});
                item.type_of.when.push_back({"Opportunity", {path()}});
                if (chance()) item.type_of.otherwise.push_back(path());
                break;
            default:
                item.operand = operand();
                if (chance()) item.alias = "total";
        }
        return item;
    }

    std::unique_ptr<Random> random_;
};

RC_GTEST_PROP(SoqlGrammar, parsing_what_was_printed_gives_the_same_tree, (std::uint64_t seed)) {
    for (std::uint64_t i = 0; i < 20; ++i) {
        const auto statement = Maker(mix64(seed) + i).statement();
        const auto text = to_string(statement);
        const auto parsed = parse(text);
        if (!parsed.ok()) RC_FAIL(text + parsed.error().what);
        RC_ASSERT(*parsed == statement);
        RC_ASSERT(to_string(*parsed) == text);
    }
}

RC_GTEST_PROP(SoqlGrammar, no_text_breaks_the_parser, (std::uint64_t seed, std::uint16_t cut, std::uint16_t at)) {
    auto text = to_string(Maker(mix64(seed)).statement());
    text.erase(at % text.size(), cut % 7);
    text.insert(at % (text.size() + 1), 1, "()',.:<>\\x0\xff "[cut % 13]);
    const auto parsed = parse(text);
    // What still parses must print and parse again; what does not must say why.
    if (parsed.ok()) {
        const auto again = parse(to_string(*parsed));
        RC_ASSERT(again.ok());
        RC_ASSERT(*again == *parsed);
    } else {
        RC_ASSERT(parsed.error().code == "MALFORMED_QUERY");
    }
}

std::string error_of(std::string_view text) {
    const auto parsed = parse(text);
    return parsed.ok() ? "no error" : parsed.error().what;
}

TEST(SoqlGrammar, keywords_are_read_in_any_case_and_over_lines) {
    const auto parsed = parse(
        "select id,\n\tName from ACCOUNT a where (name like 'x%' or NOT a.B__c>=1)\r\n order by name desc nulls last "
        "limit 5 offset 2");
    ASSERT_TRUE(parsed.ok()) << parsed.error().what;
    EXPECT_EQ(to_string(*parsed),
              "SELECT id, Name FROM ACCOUNT a WHERE name LIKE 'x%' OR (NOT a.B__c >= 1) ORDER BY name DESC NULLS LAST "
              "LIMIT 5 OFFSET 2");
}

TEST(SoqlGrammar, errors_point_at_their_place_in_the_words_of_the_platform) {
    EXPECT_EQ(error_of("SELECT Id FORM Account"),
              "\nSELECT Id FORM Account\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FORM'");
    EXPECT_EQ(
        error_of("SELECT Id FROM Account WHERE"),
        "\nSELECT Id FROM Account WHERE\n                            ^\nERROR at Row:1:Column:29\nunexpected token: "
        "'<EOF>'");
    EXPECT_EQ(
        error_of("SELECT Id\nFROM Account\nWHERE A = 1 AND B = 2 OR C = 3"),
        "\nWHERE A = 1 AND B = 2 OR C = 3\n                      ^\nERROR at Row:3:Column:23\nunexpected token: 'OR'");
    EXPECT_EQ(error_of("SELECT Id FROM Account WHERE Name = 'Smith"),
              "line 1:42 mismatched character '<EOF>' expecting '''");
    EXPECT_EQ(error_of("SELECT Id FROM A WHERE CreatedDate > 2024-01-01T00:00:00 01:00"),
              "line 1:56 no viable alternative at character ' '");
    EXPECT_EQ(error_of("SELECT Id FROM A WHERE Name = 'a\\qb'"), "Illegal escape: \\q");
    EXPECT_EQ(error_of(""), "SOQL statements cannot be empty or null");
    EXPECT_EQ(error_of("SELECT * FROM A"),
              "\nSELECT * FROM A\n       ^\nERROR at Row:1:Column:8\nunexpected token: '*'");
    EXPECT_EQ(
        error_of("SELECT Id FROM A WHERE Id = :id"),
        "\nSELECT Id FROM A WHERE Id = :id\n                            ^\nERROR at Row:1:Column:29\nBind variables "
        "only allowed in Apex code");
    EXPECT_EQ(
        error_of("SELECT Id FROM A LIMIT -1"),
        "\nSELECT Id FROM A LIMIT -1\n                       ^\nERROR at Row:1:Column:24\nunexpected token: '-1'");
}

TEST(SoqlGrammar, a_long_line_is_cut_around_the_caret) {
    std::string text = "SELECT ";
    for (int i = 0; i < 40; ++i) text += "Field" + std::to_string(i) + "__c, ";
    text += "* FROM Account";
    const auto parsed = parse(text);
    ASSERT_FALSE(parsed.ok());
    const auto& what = parsed.error().what;
    const auto caret = what.find('^');
    const auto line_end = what.find('\n', 1);
    EXPECT_LT(line_end, 100U);
    EXPECT_EQ(what[1 + (caret - line_end - 1)], '*') << what;
    EXPECT_NE(what.find("ERROR at Row:1:Column:" + std::to_string(text.find('*') + 1)), std::string::npos) << what;
}

TEST(SoqlGrammar, escapes_become_their_characters) {
    EXPECT_EQ(unescape(R"(it\'s \"a\" \\ \n\t\u00e9 50\%)"), "it's \"a\" \\ \n\té 50%");
    EXPECT_EQ(unescape_pattern(R"(50\% a\_b \\ %_)"), R"(50\% a\_b \\ %_)");
}

TEST(SoqlGrammar, size_and_depth_have_bounds) {
    EXPECT_NE(error_of("SELECT Id FROM A WHERE " + std::string(60'000, '(')).find("nested too deeply"),
              std::string::npos);
    std::string nots = "SELECT Id FROM A WHERE ";
    for (int i = 0; i < 20'000; ++i) nots += "NOT ";
    EXPECT_NE(error_of(nots).find("nested too deeply"), std::string::npos);
    EXPECT_NE(error_of("SELECT Id FROM A WHERE Name = '" + std::string(100'000, 'x') + "'").find("100,000 characters"),
              std::string::npos);
    std::string wide = "SELECT Id FROM A WHERE Id = '1'";
    for (int i = 0; i < 5'000; ++i) wide += " OR Id = '1'";
    EXPECT_TRUE(parse(wide).ok());
}

}  // namespace
}  // namespace lockstep::sandbox::soql

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// SOQL as text and as a tree, without any knowledge of the org (salesforce-api 8). Names are as they were written;
/// keywords, functions and date names are in their canonical spelling. Every node knows the byte it began at, for the
/// caret of a later error; positions do not count when trees are compared.
namespace lockstep::sandbox::soql {

/// Bounds that keep any text from costing more than it is worth.
constexpr std::size_t query_bytes_max = 100'000;
constexpr int nesting_depth_max = 100;

struct At {
    std::size_t byte = 0;
    bool operator==(const At&) const { return true; }
};

struct Path {
    std::vector<std::string> names;
    At at;
    bool operator==(const Path&) const = default;
};

/// A field, or functions around one: FORMAT(MIN(CloseDate)) has functions {"FORMAT", "MIN"}. COUNT() has no names.
struct Operand {
    std::vector<std::string> functions;
    Path path;
    At at;
    bool operator==(const Operand&) const = default;
};

struct Literal {
    enum class Kind {
        Null,
        Boolean,
        Number,
        String,
        Date,
        DateTime,
        Time,
        DateName,  ///< TODAY, LAST_N_DAYS:n with n in `count`
        Currency,  ///< USD5000
    };
    Kind kind = Kind::Null;
    std::string text;  ///< as written; of a string what stands between the quotes, escapes and all
    std::int64_t count = 0;
    At at;
    bool operator==(const Literal&) const = default;
};

enum class Op { Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Like, In, NotIn, Includes, Excludes };

struct Statement;

struct Condition {
    enum class Kind { And, Or, Not, Compare };
    Kind kind = Kind::Compare;
    std::vector<Condition> parts;  ///< And, Or: two and more; Not: one
    Operand left;
    Op op = Op::Equal;
    std::vector<Literal> values;    ///< one, but for In, NotIn, Includes, Excludes
    std::vector<Statement> select;  ///< IN (SELECT …): one, and no values
    At at;
    bool operator==(const Condition&) const = default;
};

struct TypeOf {
    struct Branch {
        std::string object;
        std::vector<Path> fields;
        At at;
        bool operator==(const Branch&) const = default;
    };
    std::string relationship;
    std::vector<Branch> when;
    std::vector<Path> otherwise;
    bool operator==(const TypeOf&) const = default;
};

struct Item {
    enum class Kind { Operand, Child, TypeOf, Fields };
    Kind kind = Kind::Operand;
    Operand operand;
    std::string alias;
    std::vector<Statement> child;  ///< Child: one
    TypeOf type_of;
    std::string fields;  ///< Fields: "ALL", "STANDARD", "CUSTOM"
    At at;
    bool operator==(const Item&) const = default;
};

struct OrderKey {
    enum class Nulls { Unsaid, First, Last };
    Operand operand;
    bool descending = false;
    Nulls nulls = Nulls::Unsaid;
    bool operator==(const OrderKey&) const = default;
};

struct FromAlias {
    Path path;  ///< c.Account
    std::string alias;
    bool operator==(const FromAlias&) const = default;
};

struct Statement {
    enum class Grouping { None, Plain, Rollup, Cube };
    std::vector<Item> items;
    Path from;  ///< an object; in a child select the relationship
    std::string alias;
    std::vector<FromAlias> more_from;
    std::string scope;  ///< of USING SCOPE
    std::optional<Condition> where;
    std::string with;  ///< SECURITY_ENFORCED, USER_MODE, SYSTEM_MODE
    Grouping grouping = Grouping::None;
    std::vector<Operand> group_by;
    std::optional<Condition> having;
    std::vector<OrderKey> order_by;
    std::optional<std::int64_t> limit, offset;
    At limit_at, offset_at;
    std::vector<std::string> purposes;  ///< "FOR VIEW", "UPDATE TRACKING"
    bool all_rows = false;
    At at;
    bool operator==(const Statement&) const = default;
};

/// Errors: Rejected, code MALFORMED_QUERY, in Salesforce's words (salesforce-api 7).
Result<Statement> parse(std::string_view text);
/// One line; parse(to_string(s)) == s.
std::string to_string(const Statement& statement);
std::string to_string(const Operand& operand);
std::string to_string(const Path& path);

/// The text a string literal stands for. Escapes were checked by parse.
std::string unescape(std::string_view between_quotes);
/// The same for LIKE: the result has \_ \% \\ for the plain characters, everything else as it is.
std::string unescape_pattern(std::string_view between_quotes);
/// Whether `text` is like a pattern of unescape_pattern, letter by letter: `%` any run, `_` one character, `\` takes
/// the next byte as it is. Backtracks to the last `%` only, which suffices.
bool like(std::string_view text, std::string_view pattern);

/// What Salesforce answers about a place in a query: the line (a window of it when it is long), a caret, row, column
/// and `message`.
Error error_at(std::string_view text, At at, const char* code, const std::string& message);

}  // namespace lockstep::sandbox::soql

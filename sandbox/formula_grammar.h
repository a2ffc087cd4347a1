#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// Formulas as text and as a tree, without any knowledge of the org.
///
/// The grammar is the one Salesforce published with its formula engine (github.com/salesforce/formula-engine). One of
/// its rules surprises: `^` binds weaker than `*` and `/`, so 2*2^3 is 64.
namespace lockstep::sandbox::formula {

/// Bounds that keep any text from costing more than it is worth. Depth counts brackets, calls and operators.
constexpr std::size_t source_characters_max = 5000;
constexpr int depth_max = 500;

struct Expression {
    enum class Kind { Null, Truth, Number, Text, Field, Call };
    Kind kind = Kind::Null;
    /// Truth: "TRUE" or "FALSE". Number: its digits. Text: what it stands for, escapes resolved. Field: the path as
    /// written. Call: the function's name in capitals, or an operator: + - * / ^ & = <> < <= > >=; && || ! == != are
    /// told as AND, OR, NOT, =, <>. A minus or plus with one part is a sign.
    std::string text;
    std::vector<Expression> parts;
    bool operator==(const Expression&) const = default;
};

/// Errors: Invalid, in the words of Salesforce's formula editor: "Syntax error. Missing ')'", "Syntax error. Found
/// 'x'", "Syntax error. Extra ')'", "Formula is too long (…)".
Result<Expression> parse(std::string_view source);
/// One line, every operation in brackets; parse(to_string(e)) == e.
std::string to_string(const Expression& expression);

}  // namespace lockstep::sandbox::formula

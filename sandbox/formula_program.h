#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "sandbox/decimal.h"
#include "sandbox/formula.h"

/// What the checker hands to the evaluator: a tree whose names are indexes and whose sorts are known; for formula*.cpp
/// only.
namespace lockstep::sandbox::formula {

enum class Sort { Null, Boolean, Number, Text, Date, DateTime, Time, Picklist, MultiPicklist };
/// As Salesforce's messages say it: "DateTime".
const char* name(Sort sort);

/// A value of a sort that the program knows: Date in days, DateTime in epoch seconds, Time in milliseconds of the day.
/// Text is never empty: "" is nothing.
using Value = std::variant<std::monostate, bool, std::int64_t, Decimal, std::string>;

struct Hop {
    int field = -1;   ///< the reference
    int target = -1;  ///< the object it must lead to
};
/// From the row of the formula, or from what a global variable stands for, to a field.
struct Route {
    enum class Start { Record, User, Organization, Origin };
    Start start = Start::Record;
    std::vector<Hop> hops;
    int object = -1;
    int field = -1;
    Type type = Type::String;
    bool is_formula = false;
    bool zero_when_blank = false;
    std::string name;  ///< as written
};

struct Function;
class Pattern;

struct Node {
    enum class Kind { Constant, Field, Call };
    Kind kind = Kind::Constant;
    Sort sort = Sort::Null;
    Value constant;
    Route route;
    const Function* function = nullptr;
    std::vector<Node> parts;
    std::shared_ptr<const Pattern> pattern;  ///< of a REGEX with a constant; shared by copies of the node

    bool is_constant_text() const { return kind == Kind::Constant && sort == Sort::Text; }
};

class Program {
public:
    Node root;
    Field field;                                ///< what the value becomes; its picklist and formula text are left out
    std::vector<std::pair<int, int>> formulas;  ///< formula fields it uses
    int characters = 0;                         ///< with the formulas it uses written out
    int depth = 0;                              ///< likewise
    bool is_html = false;
};

/// Reckons one program for one row. Whatever fails makes the whole formula fail, except what is not asked for (the
/// other branch of an IF).
class Evaluator {
public:
    Evaluator(const Rows& rows, Spot spot) : rows_(rows), spot_(spot), work_(own_work_) {}
    Evaluator(const Evaluator&) = delete;

    Value value(const Node& node);
    // The same, known to be of a sort.
    std::optional<bool> truth(const Node& node);
    std::optional<std::int64_t> whole(const Node& node);  ///< Date, DateTime, Time
    std::optional<Decimal> number(const Node& node);
    std::string text(const Node& node);  ///< nothing is ""

    /// Makes the formula fail; what is returned does not matter then.
    Value fail() {
        failed_ = true;
        return {};
    }
    bool failed() const { return failed_; }
    Value of_number(const Decimal& number) { return number.is_too_big() ? fail() : Value(number); }
    /// Fails when the text is longer than texts may be.
    Value of_text(std::string text);
    /// Counts work, in bytes of text; fails when one value takes too much of it.
    bool spend(std::size_t bytes);
    const Rows& rows() const { return rows_; }

private:
    /// For a formula that another one uses.
    Evaluator(const Evaluator& user, Spot spot) : rows_(user.rows_), spot_(spot), work_(user.work_) {}
    Value read(const Route& route);
    std::optional<Spot> follow(const Route& route) const;

    const Rows& rows_;
    Spot spot_;
    bool failed_ = false;
    std::size_t own_work_ = 0;
    std::size_t& work_;
};

constexpr std::size_t text_bytes_max = 32'768;
constexpr std::size_t work_bytes_max = 10'000'000;

/// A function or operator of the language.
struct Function {
    const char* name;
    /// Sorts of the arguments: B boolean, N number, T text, D date, S datetime, C time. The last one repeats where
    /// `most` is -1. Null: `check` looks at the arguments itself, picklists among them.
    const char* takes;
    int least;
    int most;
    Sort gives;  ///< what `check` says, if there is one
    Value (*value)(Evaluator& at, const Node& call);
    Result<Sort> (*check)(Node& call);  ///< null: none; `takes` was checked
    bool is_html;
};

/// By name in capitals; null: there is none. `is_elsewhere`: Salesforce has it, but not in formula fields.
const Function* function_named(std::string_view name);
bool is_elsewhere(std::string_view name);

// The tables, by what the functions are about.
struct FunctionList {
    const Function* first;
    std::size_t count;
};
FunctionList logic_functions();  ///< formula_logic.cpp: operators, conditions, blanks, picklists
FunctionList math_functions();   ///< formula_math.cpp
FunctionList text_functions();   ///< formula_text.cpp
FunctionList day_functions();    ///< formula_days.cpp: dates, datetimes, times

// Errors, in Salesforce's words.
Error wrong(std::string what, std::string hint = {});
/// "Incorrect parameter type for function 'AND()'. Expected Boolean, received Text". A picklist where none may be has
/// an error of its own.
Error wrong_type(const Node& call, std::initializer_list<Sort> expected, const Node& received);
/// "Incorrect argument type for function 'CASE()'."
Error wrong_argument(const Node& call);
/// "Incorrect number of parameters for function 'IF()'. Expected 3, received 2"
Error wrong_count(const Function& function, int expected, std::size_t received);

inline bool is_null(const Value& value) {
    return value.index() == 0;
}

// Days and times, for several of the files.
struct DayText {
    std::int64_t days = 0;
    std::size_t length = 0;  ///< what was read of the text
};
std::optional<DayText> read_day(std::string_view text);
std::string time_text(std::int64_t milliseconds);  ///< "17:30:00.000"
constexpr std::int64_t day_milliseconds = 86'400'000;
constexpr std::int64_t day_seconds = 86'400;
/// 0001-01-01 to 9999-12-31.
inline bool is_day_in_range(std::int64_t days) {
    return days >= -719'162 && days <= 2'932'896;
}

}  // namespace lockstep::sandbox::formula

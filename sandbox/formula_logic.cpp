#include <algorithm>
#include <array>

#include "base/time.h"
#include "sandbox/formula_program.h"

// Operators, conditions, blanks and picklists.
namespace lockstep::sandbox::formula {

namespace {

bool is_picklist(const Node& node) {
    return node.sort == Sort::Picklist || node.sort == Sort::MultiPicklist;
}

/// For functions that look at their arguments themselves.
Result<void> refuse_picklists(const Node& call, std::size_t from = 0) {
    for (std::size_t i = from; i < call.parts.size(); ++i) {
        if (is_picklist(call.parts[i])) return wrong_type(call, {}, call.parts[i]);
    }
    return {};
}

/// The sort two parts share; nothing: none.
std::optional<Sort> common(Sort a, Sort b) {
    if (a == Sort::Null) return b;
    if (b == Sort::Null || a == b) return a;
    return std::nullopt;
}

// --- Plus and minus ---

struct Sum {
    Sort left, right, gives;
};

Result<Sort> check_sum(const Node& call, std::initializer_list<Sum> allowed) {
    TRY(refuse_picklists(call));
    const Node& left = call.parts[0];
    if (call.parts.size() == 1) {
        if (left.sort != Sort::Number) return wrong_type(call, {Sort::Number}, left);
        return Sort::Number;
    }
    const Node& right = call.parts[1];
    if (left.sort == Sort::Null || right.sort == Sort::Null) return Sort::Null;
    bool known_left = false;
    for (const Sum& sum : allowed) {
        if (sum.left == left.sort && sum.right == right.sort) return sum.gives;
        known_left = known_left || sum.left == left.sort;
    }
    if (left.sort == Sort::Text && known_left) return wrong_type(call, {Sort::Text}, right);
    if (left.sort == Sort::Time && right.sort == Sort::Time) return wrong_argument(call);
    const bool moments = (right.sort == Sort::Date || right.sort == Sort::DateTime) &&
                         (right.sort == left.sort || left.sort == Sort::Number);
    if (moments) return wrong_type(call, {Sort::Number}, right);
    return wrong_type(call, {Sort::Number, Sort::Date, Sort::DateTime}, known_left ? right : left);
}

Result<Sort> check_plus(Node& call) {
    using enum Sort;
    return check_sum(call, {{Number, Number, Number},
                            {Number, Date, Date},
                            {Number, DateTime, DateTime},
                            {Date, Number, Date},
                            {DateTime, Number, DateTime},
                            {Time, Number, Time},
                            {Text, Text, Text}});
}

Result<Sort> check_minus(Node& call) {
    using enum Sort;
    return check_sum(call, {{Number, Number, Number},
                            {Date, Number, Date},
                            {Date, Date, Number},
                            {DateTime, Number, DateTime},
                            {DateTime, DateTime, Number},
                            {Time, Number, Time},
                            {Time, Time, Number}});
}

std::int64_t within_day(std::int64_t milliseconds) {
    return (milliseconds % day_milliseconds + day_milliseconds) % day_milliseconds;
}

/// A moment and so much more: whole days on a date, days to the second on a datetime, milliseconds on a time.
Value later(Evaluator& at, Sort sort, std::int64_t moment, const Decimal& more) {
    constexpr std::int64_t days_max = 10'000'000;
    if (sort == Sort::Time) return within_day(moment + more.to_whole() % day_milliseconds);
    if (compare(more, days_max) > 0 || compare(more, -days_max) < 0) return at.fail();
    if (sort == Sort::Date) {
        const std::int64_t days = moment + more.to_whole();
        return is_day_in_range(days) ? Value(days) : at.fail();
    }
    const std::int64_t seconds =
        moment + (more * Decimal(day_seconds)).rounded(0, Decimal::Rounding::HalfUp).to_whole();
    return is_day_in_range(day_of(Timestamp{seconds}).days) ? Value(seconds) : at.fail();
}

Value add_up(Evaluator& at, const Node& call, bool minus) {
    const Node& left = call.parts[0];
    if (call.parts.size() == 1) {
        const auto number = at.number(left);
        if (!number) return {};
        return minus ? -*number : *number;
    }
    const Node& right = call.parts[1];
    if (call.sort == Sort::Null) return {};
    if (left.sort == Sort::Text) return at.of_text(at.text(left) + at.text(right));
    if (left.sort == Sort::Number && right.sort == Sort::Number) {
        const auto a = at.number(left);
        const auto b = at.number(right);
        if (!a || !b) return {};
        return at.of_number(minus ? *a - *b : *a + *b);
    }
    if (left.sort == Sort::Number) {
        const auto more = at.number(left);
        const auto moment = at.whole(right);
        if (!more || !moment) return {};
        return later(at, right.sort, *moment, *more);
    }
    const auto moment = at.whole(left);
    if (right.sort == Sort::Number) {
        const auto more = at.number(right);
        if (!more || !moment) return {};
        return later(at, left.sort, *moment, minus ? -*more : *more);
    }
    const auto earlier = at.whole(right);
    if (!moment || !earlier) return {};
    if (left.sort == Sort::Time) return Decimal(within_day(*moment - *earlier));
    const Decimal difference(*moment - *earlier);
    return left.sort == Sort::DateTime ? difference / Decimal(day_seconds) : difference;
}

Value plus(Evaluator& at, const Node& call) {
    return add_up(at, call, false);
}
Value minus(Evaluator& at, const Node& call) {
    return add_up(at, call, true);
}

// --- Comparisons ---

Result<Sort> check_equality(Node& call) {
    TRY(refuse_picklists(call));
    if (!common(call.parts[0].sort, call.parts[1].sort)) return wrong_type(call, {call.parts[0].sort}, call.parts[1]);
    return Sort::Boolean;
}

Result<Sort> check_order(Node& call) {
    TRY(check_equality(call));
    for (const Node& part : call.parts) {
        if (part.sort == Sort::Boolean) return wrong_type(call, {Sort::Number, Sort::Date, Sort::DateTime}, part);
    }
    return Sort::Boolean;
}

/// -1, 0, 1; nothing where one of them is nothing.
std::optional<int> order(const Value& a, const Value& b) {
    if (is_null(a) || is_null(b) || a.index() != b.index()) return std::nullopt;
    return a < b ? -1 : b < a ? 1 : 0;
}

/// Text that is blank equals blank text; whatever else is nothing equals nothing, not even that.
std::optional<bool> equal(const Value& a, const Value& b, bool as_text) {
    if (as_text && (is_null(a) || is_null(b))) return is_null(a) == is_null(b);
    const auto ordered = order(a, b);
    return ordered ? std::optional(*ordered == 0) : std::nullopt;
}

Value told(std::optional<bool> truth) {
    return truth ? Value(*truth) : Value();
}

bool compares_text(const Node& a, const Node& b) {
    return a.sort == Sort::Text || b.sort == Sort::Text;
}

Value equals(Evaluator& at, const Node& call) {
    const Value left = at.value(call.parts[0]);
    return told(equal(left, at.value(call.parts[1]), compares_text(call.parts[0], call.parts[1])));
}

Value differs(Evaluator& at, const Node& call) {
    const Value same = equals(at, call);
    return is_null(same) ? Value() : Value(!std::get<bool>(same));
}

template <class Holds>
Value ordered(Evaluator& at, const Node& call, Holds holds) {
    const Value left = at.value(call.parts[0]);
    const auto found = order(left, at.value(call.parts[1]));
    return found ? Value(holds(*found)) : Value();
}
Value less(Evaluator& at, const Node& call) {
    return ordered(at, call, [](int order) { return order < 0; });
}
Value less_or_equal(Evaluator& at, const Node& call) {
    return ordered(at, call, [](int order) { return order <= 0; });
}
Value greater(Evaluator& at, const Node& call) {
    return ordered(at, call, [](int order) { return order > 0; });
}
Value greater_or_equal(Evaluator& at, const Node& call) {
    return ordered(at, call, [](int order) { return order >= 0; });
}

// --- Conditions: nothing is not true ---

Value all_of(Evaluator& at, const Node& call) {
    return std::all_of(call.parts.begin(), call.parts.end(),
                       [&](const Node& part) { return at.truth(part).value_or(false); });
}
Value any_of(Evaluator& at, const Node& call) {
    return std::any_of(call.parts.begin(), call.parts.end(),
                       [&](const Node& part) { return at.truth(part).value_or(false); });
}
Value negation(Evaluator& at, const Node& call) {
    const auto truth = at.truth(call.parts[0]);
    return truth ? Value(!*truth) : Value();
}

Result<Sort> check_if(Node& call) {
    TRY(refuse_picklists(call));
    if (call.parts[0].sort != Sort::Boolean) return wrong_type(call, {Sort::Boolean}, call.parts[0]);
    const auto sort = common(call.parts[1].sort, call.parts[2].sort);
    if (!sort) return wrong_type(call, {call.parts[1].sort}, call.parts[2]);
    return *sort;
}
Value choose(Evaluator& at, const Node& call) {
    return at.value(call.parts[at.truth(call.parts[0]).value_or(false) ? 1 : 2]);
}

Result<Sort> check_case(Node& call) {
    const auto count = static_cast<int>(call.parts.size());
    if (count < 4 || count % 2 != 0) return wrong_count(*call.function, 4 + (count - 4) / 2 * 2, call.parts.size());
    const bool picks = call.parts[0].sort == Sort::Picklist;
    TRY(refuse_picklists(call, picks ? 1 : 0));
    if (std::any_of(call.parts.begin(), call.parts.end(), [](const Node& part) { return part.sort == Sort::Boolean; }))
        return wrong_argument(call);
    Sort key = picks ? Sort::Text : call.parts[0].sort;
    Sort result = Sort::Null;
    for (std::size_t i = 1; i < call.parts.size(); ++i) {
        const bool is_key = i % 2 != 0 && i + 1 < call.parts.size();
        if (is_key && picks && !call.parts[i].is_constant_text())
            return wrong("Incorrect parameter type for function 'CASE()'. Expected Text Literal, received " +
                         std::string(name(call.parts[i].sort)));
        Sort& shared = is_key ? key : result;
        const auto sort = common(shared, call.parts[i].sort);
        if (!sort) return wrong_type(call, {shared}, call.parts[i]);
        shared = *sort;
    }
    return result;
}
Value choose_case(Evaluator& at, const Node& call) {
    const Node& asked = call.parts[0];
    const Value key = at.value(asked);
    const bool is_pick = asked.sort == Sort::Picklist;
    std::size_t i = 1;
    for (; i + 1 < call.parts.size(); i += 2) {
        const bool as_text = is_pick || compares_text(asked, call.parts[i]);
        if (equal(key, at.value(call.parts[i]), as_text).value_or(false)) return at.value(call.parts[i + 1]);
    }
    return at.value(call.parts[i]);
}

// --- Blanks ---

Result<Sort> check_blank(Node& call) {
    if (call.parts[0].sort == Sort::Boolean) return wrong_argument(call);
    return Sort::Boolean;
}
Value is_blank(Evaluator& at, const Node& call) {
    return is_null(at.value(call.parts[0]));
}
/// Text is never null, only blank.
Value is_nothing(Evaluator& at, const Node& call) {
    return is_null(at.value(call.parts[0])) && call.parts[0].sort != Sort::Text;
}

Result<Sort> check_otherwise(Node& call) {
    TRY(refuse_picklists(call));
    if (call.parts[0].sort == Sort::Boolean) return wrong_argument(call);
    const auto sort = common(call.parts[0].sort, call.parts[1].sort);
    if (!sort) return wrong_type(call, {call.parts[0].sort}, call.parts[1]);
    return *sort;
}
Value blank_value(Evaluator& at, const Node& call) {
    Value found = at.value(call.parts[0]);
    return is_null(found) ? at.value(call.parts[1]) : found;
}
Value null_value(Evaluator& at, const Node& call) {
    Value found = at.value(call.parts[0]);
    return is_null(found) && call.sort != Sort::Text ? at.value(call.parts[1]) : found;
}

// --- Picklists ---

Result<Sort> check_picked(Node& call, Sort wanted) {
    const Node& field = call.parts[0];
    if (field.sort != wanted) {
        if (!is_picklist(field)) return wrong_type(call, {wanted}, field);
        return wrong_type(call, {}, field);
    }
    if (!call.parts[1].is_constant_text())
        return wrong("Incorrect parameter type for function '" + std::string(call.function->name) +
                     "()'. Expected Text Literal, received " + name(call.parts[1].sort));
    return Sort::Boolean;
}
Result<Sort> check_is_picked(Node& call) {
    return check_picked(call, Sort::Picklist);
}
Result<Sort> check_includes(Node& call) {
    return check_picked(call, Sort::MultiPicklist);
}

Value is_picked(Evaluator& at, const Node& call) {
    return at.text(call.parts[0]) == at.text(call.parts[1]);
}
Value includes(Evaluator& at, const Node& call) {
    const std::string values = ";" + at.text(call.parts[0]) + ";";
    const std::string wanted = at.text(call.parts[1]);
    return !wanted.empty() && values.find(";" + wanted + ";") != std::string::npos;
}

constexpr std::array functions = {
    Function{"+", nullptr, 1, 2, Sort::Null, plus, check_plus, false},
    Function{"-", nullptr, 1, 2, Sort::Null, minus, check_minus, false},
    Function{"=", nullptr, 2, 2, Sort::Boolean, equals, check_equality, false},
    Function{"<>", nullptr, 2, 2, Sort::Boolean, differs, check_equality, false},
    Function{"<", nullptr, 2, 2, Sort::Boolean, less, check_order, false},
    Function{"<=", nullptr, 2, 2, Sort::Boolean, less_or_equal, check_order, false},
    Function{">", nullptr, 2, 2, Sort::Boolean, greater, check_order, false},
    Function{">=", nullptr, 2, 2, Sort::Boolean, greater_or_equal, check_order, false},
    Function{"AND", "B", 1, -1, Sort::Boolean, all_of, nullptr, false},
    Function{"OR", "B", 1, -1, Sort::Boolean, any_of, nullptr, false},
    Function{"NOT", "B", 1, 1, Sort::Boolean, negation, nullptr, false},
    Function{"IF", nullptr, 3, 3, Sort::Null, choose, check_if, false},
    Function{"CASE", nullptr, 0, -1, Sort::Null, choose_case, check_case, false},
    Function{"ISBLANK", nullptr, 1, 1, Sort::Boolean, is_blank, check_blank, false},
    Function{"ISNULL", nullptr, 1, 1, Sort::Boolean, is_nothing, check_blank, false},
    Function{"BLANKVALUE", nullptr, 2, 2, Sort::Null, blank_value, check_otherwise, false},
    Function{"NULLVALUE", nullptr, 2, 2, Sort::Null, null_value, check_otherwise, false},
    Function{"ISPICKVAL", nullptr, 2, 2, Sort::Boolean, is_picked, check_is_picked, false},
    Function{"INCLUDES", nullptr, 2, 2, Sort::Boolean, includes, check_includes, false},
};

}  // namespace

FunctionList logic_functions() {
    return {functions.data(), functions.size()};
}

}  // namespace lockstep::sandbox::formula

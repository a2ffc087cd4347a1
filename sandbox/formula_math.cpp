#include <algorithm>
#include <array>

#include "sandbox/formula_program.h"

namespace lockstep::sandbox::formula {

namespace {

using Rounding = Decimal::Rounding;

/// With two numbers of which one is nothing the result is nothing.
template <class Reckon>
Value of_two(Evaluator& at, const Node& call, Reckon reckon) {
    const auto a = at.number(call.parts[0]);
    const auto b = at.number(call.parts[1]);
    if (!a || !b) return {};
    return reckon(*a, *b);
}
template <class Reckon>
Value of_one(Evaluator& at, const Node& call, Reckon reckon) {
    const auto number = at.number(call.parts[0]);
    if (!number) return {};
    return reckon(*number);
}
Value defined(Evaluator& at, const std::optional<Decimal>& number) {
    return number ? at.of_number(*number) : at.fail();
}

Value times(Evaluator& at, const Node& call) {
    return of_two(at, call, [&](const Decimal& a, const Decimal& b) { return at.of_number(a * b); });
}
Value divided(Evaluator& at, const Node& call) {
    return of_two(at, call,
                  [&](const Decimal& a, const Decimal& b) { return b.sign() == 0 ? at.fail() : at.of_number(a / b); });
}
Value power(Evaluator& at, const Node& call) {
    return of_two(at, call, [&](const Decimal& a, const Decimal& b) { return defined(at, a.to_power(b)); });
}
Value modulo(Evaluator& at, const Node& call) {
    return of_two(at, call, [&](const Decimal& a, const Decimal& b) {
        return b.sign() == 0 ? at.fail() : at.of_number(remainder(a, b));
    });
}

Value absolute(Evaluator& at, const Node& call) {
    return of_one(at, call, [](const Decimal& number) { return Value(number.sign() < 0 ? -number : number); });
}
Value square_root(Evaluator& at, const Node& call) {
    return of_one(at, call, [&](const Decimal& number) { return defined(at, number.square_root()); });
}
Value exponential(Evaluator& at, const Node& call) {
    return of_one(at, call, [&](const Decimal& number) { return at.of_number(number.exponential()); });
}
Value natural_log(Evaluator& at, const Node& call) {
    return of_one(at, call, [&](const Decimal& number) { return defined(at, number.natural_log()); });
}
Value common_log(Evaluator& at, const Node& call) {
    return of_one(at, call, [&](const Decimal& number) { return defined(at, number.common_log()); });
}

/// To whole numbers. The digits that thirds lost are given back before: CEILING(6/11*11) is 6.
Value to_whole(Evaluator& at, const Node& call, Rounding how) {
    constexpr int digits = 33;
    return of_one(at, call, [&](const Decimal& number) {
        return at.of_number(number.with_digits(digits, Rounding::HalfDown).rounded(0, how));
    });
}
// CEILING and FLOOR go by the magnitude, as in a spreadsheet; MCEILING and MFLOOR by the number line.
Value ceiling(Evaluator& at, const Node& call) {
    return to_whole(at, call, Rounding::Up);
}
Value floor(Evaluator& at, const Node& call) {
    return to_whole(at, call, Rounding::Down);
}
Value ceiling_of_line(Evaluator& at, const Node& call) {
    return to_whole(at, call, Rounding::Ceiling);
}
Value floor_of_line(Evaluator& at, const Node& call) {
    return to_whole(at, call, Rounding::Floor);
}

Value to_places(Evaluator& at, const Node& call, Rounding how) {
    constexpr std::int64_t places_max = 100;
    const auto number = at.number(call.parts[0]);
    const auto places = call.parts.size() > 1 ? at.number(call.parts[1]) : Decimal();
    if (!number || !places) return {};
    const auto whole = std::clamp(places->to_whole(), -places_max, places_max);
    return at.of_number(number->rounded(static_cast<int>(whole), how));
}
Value round(Evaluator& at, const Node& call) {
    return to_places(at, call, Rounding::HalfUp);
}
Value truncate(Evaluator& at, const Node& call) {
    return to_places(at, call, Rounding::Down);
}

/// Nothing among the numbers makes nothing of them all.
Value furthest(Evaluator& at, const Node& call, int direction) {
    std::optional<Decimal> best;
    for (const Node& part : call.parts) {
        const auto number = at.number(part);
        if (!number) return {};
        if (!best || compare(*number, *best) == direction) best = number;
    }
    return best ? Value(*best) : Value();
}
Value maximum(Evaluator& at, const Node& call) {
    return furthest(at, call, 1);
}
Value minimum(Evaluator& at, const Node& call) {
    return furthest(at, call, -1);
}

Value pi(Evaluator&, const Node&) {
    return *Decimal::parse("3.14159265358979323846264338327950288");
}

constexpr std::array functions = {
    Function{"*", "NN", 2, 2, Sort::Number, times, nullptr, false},
    Function{"/", "NN", 2, 2, Sort::Number, divided, nullptr, false},
    Function{"^", "NN", 2, 2, Sort::Number, power, nullptr, false},
    Function{"MOD", "NN", 2, 2, Sort::Number, modulo, nullptr, false},
    Function{"ABS", "N", 1, 1, Sort::Number, absolute, nullptr, false},
    Function{"SQRT", "N", 1, 1, Sort::Number, square_root, nullptr, false},
    Function{"EXP", "N", 1, 1, Sort::Number, exponential, nullptr, false},
    Function{"LN", "N", 1, 1, Sort::Number, natural_log, nullptr, false},
    Function{"LOG", "N", 1, 1, Sort::Number, common_log, nullptr, false},
    Function{"CEILING", "N", 1, 1, Sort::Number, ceiling, nullptr, false},
    Function{"FLOOR", "N", 1, 1, Sort::Number, floor, nullptr, false},
    Function{"MCEILING", "N", 1, 1, Sort::Number, ceiling_of_line, nullptr, false},
    Function{"MFLOOR", "N", 1, 1, Sort::Number, floor_of_line, nullptr, false},
    Function{"ROUND", "NN", 2, 2, Sort::Number, round, nullptr, false},
    Function{"TRUNC", "NN", 1, 2, Sort::Number, truncate, nullptr, false},
    Function{"MAX", "N", 1, -1, Sort::Number, maximum, nullptr, false},
    Function{"MIN", "N", 1, -1, Sort::Number, minimum, nullptr, false},
    Function{"PI", "", 0, 0, Sort::Number, pi, nullptr, false},
};

}  // namespace

FunctionList math_functions() {
    return {functions.data(), functions.size()};
}

}  // namespace lockstep::sandbox::formula

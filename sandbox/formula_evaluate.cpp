#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/time.h"
#include "sandbox/formula_program.h"

// One program for one row.
namespace lockstep::sandbox::formula {

namespace {

constexpr std::int64_t origin_seconds = -2'208'988'800;  ///< 1900-01-01, $System.OriginDateTime

/// Milliseconds of the day from "17:30:00.000Z".
std::optional<std::int64_t> milliseconds_of(std::string_view time) {
    const auto two = [&](std::size_t at) { return parse_int(time.substr(at, 2)).value_or(0); };
    if (time.size() < 12) return std::nullopt;
    return ((two(0) * 60 + two(3)) * 60 + two(6)) * 1000 + parse_int(time.substr(9, 3)).value_or(0);
}

Value value_of(Type type, Cell cell) {
    if (const auto* text = std::get_if<std::string>(&cell)) {
        if (text->empty()) return {};
        if (type == Type::Time) {
            const auto time = milliseconds_of(*text);
            return time ? Value(*time) : Value();
        }
        // Formulas know ids in their short form; CASESAFEID gives the long one.
        constexpr std::size_t short_id = 15;
        if ((type == Type::Id || type == Type::Reference) && text->size() > short_id) return text->substr(0, short_id);
        return std::move(std::get<std::string>(cell));
    }
    if (const auto* truth = std::get_if<bool>(&cell)) return *truth;
    if (sandbox::is_null(cell)) return type == Type::Boolean ? Value(false) : Value();
    const auto* whole = std::get_if<std::int64_t>(&cell);
    if (whole != nullptr && (type == Type::Date || type == Type::DateTime)) return *whole;
    const Decimal number = whole != nullptr ? Decimal(*whole) : Decimal::of(std::get<double>(cell));
    // Formulas see 20% as 0.2.
    return type == Type::Percent ? number * Decimal::of(0.01) : number;
}

/// The value as the field holds it; null where it does not fit.
Cell cell_of(const Field& field, const Value& value) {
    switch (field.type) {
        case Type::Boolean: {
            const auto* truth = std::get_if<bool>(&value);
            return truth != nullptr && *truth;
        }
        case Type::Double:
        case Type::Currency:
        case Type::Percent: {
            const auto* number = std::get_if<Decimal>(&value);
            if (number == nullptr) return {};
            const Decimal told = field.type == Type::Percent ? *number * Decimal(100) : *number;
            const Decimal rounded = told.rounded(field.scale, Decimal::Rounding::HalfUp);
            const auto bound = Decimal(10).to_power(Decimal(field.precision - field.scale));
            const bool fits = !rounded.is_too_big() && (field.precision == 0 || compare(rounded, *bound) < 0) &&
                              (field.precision == 0 || compare(-rounded, *bound) < 0);
            return fits ? Cell(rounded.to_double()) : Cell();
        }
        case Type::Date:
        case Type::DateTime:
            if (const auto* moment = std::get_if<std::int64_t>(&value)) return *moment;
            return {};
        case Type::Time:
            if (const auto* time = std::get_if<std::int64_t>(&value)) return time_text(*time) + "Z";
            return {};
        default: {
            const auto* text = std::get_if<std::string>(&value);
            if (text == nullptr || text->empty()) return {};
            const auto most = static_cast<std::size_t>(std::max(field.length, 1));
            if (text->size() <= most) return *text;
            std::size_t characters = 0;
            std::size_t end = 0;
            for (; end < text->size(); ++end) {
                const bool begins = (static_cast<unsigned char>((*text)[end]) & 0xC0U) != 0x80U;
                if (begins && characters++ == most) break;
            }
            return text->substr(0, end);
        }
    }
}

}  // namespace

Value Evaluator::value(const Node& node) {
    switch (node.kind) {
        case Node::Kind::Constant:
            return node.constant;
        case Node::Kind::Field:
            return read(node.route);
        case Node::Kind::Call:
            break;
    }
    // Once failed, nothing is reckoned any more: the answer is known.
    if (failed_) return {};
    return node.function->value(*this, node);
}

std::optional<bool> Evaluator::truth(const Node& node) {
    const Value found = value(node);
    const auto* truth = std::get_if<bool>(&found);
    return truth == nullptr ? std::nullopt : std::optional(*truth);
}

std::optional<std::int64_t> Evaluator::whole(const Node& node) {
    const Value found = value(node);
    const auto* whole = std::get_if<std::int64_t>(&found);
    return whole == nullptr ? std::nullopt : std::optional(*whole);
}

std::optional<Decimal> Evaluator::number(const Node& node) {
    const Value found = value(node);
    const auto* number = std::get_if<Decimal>(&found);
    return number == nullptr ? std::nullopt : std::optional(*number);
}

std::string Evaluator::text(const Node& node) {
    Value found = value(node);
    auto* text = std::get_if<std::string>(&found);
    return text == nullptr ? std::string() : std::move(*text);
}

Value Evaluator::of_text(std::string text) {
    if (text.empty() || !spend(text.size())) return {};
    if (text.size() > text_bytes_max) return fail();
    return text;
}

bool Evaluator::spend(std::size_t bytes) {
    work_ += bytes;
    if (work_ > work_bytes_max) failed_ = true;
    return !failed_;
}

std::optional<Spot> Evaluator::follow(const Route& route) const {
    Spot at = spot_;
    if (route.start == Route::Start::User) at = rows_.user();
    if (route.start == Route::Start::Organization) at = rows_.organization();
    for (const Hop& hop : route.hops) {
        const Cell id = rows_.read(at, hop.field);
        const auto* text = std::get_if<std::string>(&id);
        const auto next = text == nullptr ? std::nullopt : rows_.find(*text);
        if (!next || next->object != hop.target) return std::nullopt;
        at = *next;
    }
    return at;
}

Value Evaluator::read(const Route& route) {
    if (route.start == Route::Start::Origin) return origin_seconds;
    Value found;
    if (const auto at = follow(route)) {
        if (!route.is_formula) {
            found = value_of(route.type, rows_.read(*at, route.field));
        } else if (const Program* program = rows_.program(route.object, route.field)) {
            // Formulas that use each other hand on what they reckoned, not what their fields show of it.
            Evaluator other(*this, *at);
            found = other.value(program->root);
            if (other.failed()) return fail();
        } else {
            return fail();
        }
    }
    if (is_null(found) && route.type == Type::Boolean) return false;
    if (is_null(found) && route.zero_when_blank) return Decimal();
    return found;
}

bool is_html(const Program& program) {
    return program.is_html;
}

Cell evaluate(const Program& program, const Rows& rows, Spot spot) {
    Evaluator evaluator(rows, spot);
    Value value = evaluator.value(program.root);
    if (evaluator.failed()) value = {};
    return cell_of(program.field, value);
}

}  // namespace lockstep::sandbox::formula

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/time.h"
#include "sandbox/soql_compiled.h"

// Reading a path and deciding one comparison: what happens for every row.
namespace lockstep::sandbox::soql {
namespace {

// ---- reading values ----

Cell day_part(Function function, Type type, std::int64_t number) {
    const bool is_stamp = type == Type::DateTime;
    const Date day = is_stamp ? day_of(Timestamp{number}) : Date{static_cast<std::int32_t>(number)};
    const auto parts = civil(day);
    const auto day_in_year = day.days - from_civil({parts.year, 1, 1}).days;  // from 0
    switch (function) {
        case Function::CalendarMonth:
            return std::int64_t{parts.month};
        case Function::CalendarQuarter:
            return std::int64_t{(parts.month - 1) / 3 + 1};
        case Function::CalendarYear:
            return std::int64_t{parts.year};
        case Function::DayInMonth:
            return std::int64_t{parts.day};
        case Function::DayInWeek:
            return std::int64_t{((day.days + 4) % 7 + 7) % 7 + 1};
        case Function::DayInYear:
            return std::int64_t{day_in_year + 1};
        case Function::DayOnly:
            return std::int64_t{day.days};
        case Function::HourInDay:
            return (number - start_of(day).seconds) / 3600;
        case Function::WeekInMonth:
            return std::int64_t{(parts.day - 1) / 7 + 1};
        case Function::WeekInYear:
            return std::int64_t{day_in_year / 7 + 1};
        default:
            return number;
    }
}

/// Values as the page layouts of an English (United States) user show them.
std::string formatted(Type type, const Cell& cell) {
    const auto day_text = [](Date day) {
        const auto parts = civil(day);
        return std::to_string(parts.month) + "/" + std::to_string(parts.day) + "/" + std::to_string(parts.year);
    };
    if (const auto* number = std::get_if<std::int64_t>(&cell)) {
        if (type == Type::Date) return day_text(Date{static_cast<std::int32_t>(*number)});
        if (type == Type::DateTime) {
            const auto day = day_of(Timestamp{*number});
            const auto minute = (*number - start_of(day).seconds) / 60;
            const auto hour = minute / 60;
            const auto minutes = std::to_string(minute % 60);
            return day_text(day) + ", " + std::to_string((hour + 11) % 12 + 1) + ":" + (minutes.size() < 2 ? "0" : "") +
                   minutes + (hour < 12 ? " AM" : " PM");
        }
        return with_thousands(*number);
    }
    if (const auto* number = std::get_if<double>(&cell)) {
        const bool is_money = type == Type::Currency;
        const auto places = is_money ? 100.0 : 1000.0;
        const auto whole = std::trunc(std::abs(*number));
        const auto fraction = static_cast<int>(std::lround((std::abs(*number) - whole) * places));
        auto text = with_thousands(static_cast<std::int64_t>(whole) + (fraction >= places ? 1 : 0));
        auto digits = std::to_string(static_cast<int>(places) + fraction % static_cast<int>(places)).substr(1);
        if (!is_money) {
            while (!digits.empty() && digits.back() == '0') digits.pop_back();
        }
        if (!digits.empty()) text += "." + digits;
        return (*number < 0 ? "-" : "") + std::string(is_money ? "$" : "") + text + (type == Type::Percent ? "%" : "");
    }
    return plain_text(type, cell);
}

std::string label_of(const Field& field, const std::string& value) {
    std::string labels;
    for (const auto& part : split(value, ';')) {
        const auto known = std::find_if(field.picklist.begin(), field.picklist.end(),
                                        [&](const PickValue& pick) { return pick.value == part; });
        if (!labels.empty()) labels += ';';
        labels += known == field.picklist.end() || known->label.empty() ? part : known->label;
    }
    return labels;
}

Cell apply(const Org& org, const Value& value, Place end, std::int64_t row, Cell cell) {
    auto type = value.field_type;
    for (auto function = value.functions.rbegin(); function != value.functions.rend(); ++function) {
        if (is_null(cell)) return cell;
        switch (*function) {
            case Function::Same:
                break;
            case Function::ConvertCurrency:
                if (const auto* amount = std::get_if<double>(&cell)) cell = org.converted(end.object, row, *amount);
                break;
            case Function::Format:
                cell = formatted(type, cell);
                type = Type::String;
                break;
            case Function::ToLabel:
                if (const auto* text = std::get_if<std::string>(&cell))
                    cell = label_of(org.schema().at(end.object).fields[end.field], *text);
                type = Type::String;
                break;
            default:
                if (const auto* number = std::get_if<std::int64_t>(&cell)) cell = day_part(*function, type, *number);
                type = *function == Function::DayOnly ? Type::Date : Type::Int;
        }
    }
    return cell;
}

Place place_on(const std::vector<Place>& places, int object) {
    const auto found =
        std::find_if(places.begin(), places.end(), [&](const Place& place) { return place.object == object; });
    return found == places.end() ? Place{} : *found;
}

// ---- comparing text ----

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}
unsigned char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<unsigned char>(c - 'A' + 'a') : static_cast<unsigned char>(c);
}

/// Orders raw text against folded text; no allocation for ASCII.
int compare_folded(std::string_view raw, std::string_view folded) {
    if (!is_ascii(raw)) return fold(raw).compare(folded);
    const auto common = std::min(raw.size(), folded.size());
    for (std::size_t i = 0; i < common; ++i) {
        const auto a = lower(raw[i]);
        const auto b = static_cast<unsigned char>(folded[i]);
        if (a != b) return a < b ? -1 : 1;
    }
    return raw.size() == folded.size() ? 0 : raw.size() < folded.size() ? -1 : 1;
}

int compare(const std::string& raw, const std::string& constant, bool exact) {
    return exact ? raw.compare(constant) : compare_folded(raw, constant);
}

bool has_member(std::string_view set, const std::string& folded) {
    while (true) {
        const auto end = set.find(';');
        if (compare_folded(set.substr(0, end), folded) == 0) return true;
        if (end == set.npos) return false;
        set.remove_prefix(end + 1);
    }
}

std::optional<double> number_in(const Cell& cell) {
    if (const auto* number = std::get_if<double>(&cell)) return *number;
    if (const auto* whole = std::get_if<std::int64_t>(&cell)) return static_cast<double>(*whole);
    return std::nullopt;
}

bool equals_any(const Test& test, const Cell& cell) {
    switch (test.sort) {
        case Test::Sort::Text:
        case Test::Sort::Id: {
            const auto* text = std::get_if<std::string>(&cell);
            if (!text) return false;
            const bool exact = test.sort == Test::Sort::Id || test.left.case_sensitive;
            const auto found = std::lower_bound(
                test.texts.begin(), test.texts.end(), *text,
                [&](const std::string& constant, const std::string& raw) { return compare(raw, constant, exact) > 0; });
            return found != test.texts.end() && compare(*text, *found, exact) == 0;
        }
        case Test::Sort::Truth: {
            const auto* truth = std::get_if<bool>(&cell);
            return truth && test.truth[*truth ? 1 : 0];
        }
        case Test::Sort::Whole: {
            const auto* number = std::get_if<std::int64_t>(&cell);
            return number && std::any_of(test.ranges.begin(), test.ranges.end(), [&](const Range& range) {
                       return *number >= range.low && *number < range.high;
                   });
        }
        case Test::Sort::Number: {
            const auto number = number_in(cell);
            return number && std::binary_search(test.numbers.begin(), test.numbers.end(), *number);
        }
        case Test::Sort::Set: {
            const auto* text = std::get_if<std::string>(&cell);
            return text && std::any_of(test.sets.begin(), test.sets.end(), [&](const auto& members) {
                       return std::all_of(members.begin(), members.end(),
                                          [&](const std::string& member) { return has_member(*text, member); });
                   });
        }
    }
    return false;
}

template <class Number>
bool ordered(Op op, const Number& value, const Number& low, const Number& high) {
    switch (op) {
        case Op::Less:
            return value < low;
        case Op::LessEqual:
            return value < high;
        case Op::Greater:
            return value >= high;
        default:
            return value >= low;
    }
}

bool ordered(Op op, int comparison) {
    switch (op) {
        case Op::Less:
            return comparison < 0;
        case Op::LessEqual:
            return comparison <= 0;
        case Op::Greater:
            return comparison > 0;
        default:
            return comparison >= 0;
    }
}

bool in_order(const Test& test, const Cell& cell) {
    if (test.sort == Test::Sort::Whole) {
        const auto* number = std::get_if<std::int64_t>(&cell);
        return number && !test.ranges.empty() &&
               ordered(test.op, *number, test.ranges.front().low, test.ranges.front().high);
    }
    if (test.sort == Test::Sort::Number) {
        const auto number = number_in(cell);
        if (!number || test.numbers.empty()) return false;
        const auto constant = test.numbers.front();
        return ordered(test.op, *number < constant ? -1 : *number > constant ? 1 : 0);
    }
    const auto* text = std::get_if<std::string>(&cell);
    const bool exact = test.sort == Test::Sort::Id || test.left.case_sensitive;
    return text && !test.texts.empty() && ordered(test.op, compare(*text, test.texts.front(), exact));
}

}  // namespace

std::optional<Spot> spot_of(const Org& org, std::string_view id18) {
    if (id18.size() != 18) return std::nullopt;
    const int object = org.schema().find_by_prefix(id18.substr(0, 3));
    if (object < 0) return std::nullopt;
    const auto row = org.row_of(object, id18);
    if (!row) return std::nullopt;
    return Spot{object, *row};
}

std::optional<Spot> follow(const Org& org, const Hop& hop, Spot spot) {
    const auto from = place_on(hop.from, spot.object);
    if (from.field < 0) return std::nullopt;
    const auto cell = org.value(from.object, spot.row, from.field);
    const auto* id = std::get_if<std::string>(&cell);
    auto target = id ? spot_of(org, *id) : std::nullopt;
    // Of a record that one may not see, the id is all there is to know.
    return target && org.sees(target->object, target->row) ? target : std::nullopt;
}

Cell read(const Org& org, const Value& value, Spot spot) {
    for (const auto& hop : value.hops) {
        const auto next = follow(org, hop, spot);
        if (!next) return {};
        spot = *next;
    }
    if (value.object_name) return org.schema().at(spot.object).name;
    const auto end = place_on(value.ends, spot.object);
    if (end.field < 0) return {};
    auto cell = org.value(end.object, spot.row, end.field);
    return value.functions.empty() ? cell : apply(org, value, end, spot.row, std::move(cell));
}

bool Test::matches(const Cell& cell) const {
    switch (op) {
        case Op::Equal:
        case Op::In:
        case Op::Includes:
            return is_null(cell) ? with_null : equals_any(*this, cell);
        case Op::NotEqual:
        case Op::NotIn:
        case Op::Excludes:
            return is_null(cell) ? !with_null : !equals_any(*this, cell);
        case Op::Like: {
            const auto* text = std::get_if<std::string>(&cell);
            return text && !texts.empty() && like(left.case_sensitive ? *text : fold(*text), texts.front());
        }
        default:
            return in_order(*this, cell);
    }
}

}  // namespace lockstep::sandbox::soql

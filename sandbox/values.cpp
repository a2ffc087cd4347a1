#include "sandbox/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/csv.h"
#include "base/sfid.h"
#include "base/text.h"
#include "base/time.h"

namespace lockstep::sandbox {

namespace {

constexpr std::int64_t kDaySeconds = 86400;

/// "00" to "99", one after the other.
constexpr std::array<char, 200> make_pairs() {
    std::array<char, 200> pairs{};
    for (std::size_t i = 0; i < 100; ++i) {
        pairs[2 * i] = static_cast<char>('0' + i / 10);
        pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return pairs;
}
constexpr std::array<char, 200> kPairs = make_pairs();

char* write_pair(char* at, std::size_t value) {
    std::memcpy(at, kPairs.data() + 2 * value, 2);
    return at + 2;
}

char* write_text(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

/// Scientific notation as Java writes it, from digits without point and the power of ten of the first one.
void append_scientific(std::string& out, std::string_view digits, int exponent) {
    out += digits[0];
    out += '.';
    if (digits.size() > 1) {
        out += digits.substr(1);
    } else {
        out += '0';
    }
    out += 'E';
    out += std::to_string(exponent);
}

std::optional<std::string> parse_time_of_day(std::string_view text) {
    // hh:mm:ss[.fff][Z]
    if (text.ends_with('Z')) text.remove_suffix(1);
    const std::optional<Timestamp> at = parse_timestamp("1970-01-01T" + std::string(text) + "Z");
    if (!at || text.size() < 8) return std::nullopt;
    std::string fraction = text.size() > 9 ? std::string(text.substr(9)) : "";
    fraction.resize(3, '0');
    return std::string(text.substr(0, 8)) + "." + fraction + "Z";
}

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
}

std::string clean_text(std::string_view text) {
    std::string clean(trim(text));
    std::erase_if(clean, is_control);
    return clean;
}

Cell text_cell(std::string text) {
    if (text.empty()) return {};
    return text;
}

/// Values of a multi-select picklist stand in the order of their definition; unknown ones last, as they came.
std::string in_definition_order(const Field& field, const std::string& text) {
    std::vector<std::string> parts = split(text, ';');
    for (std::string& part : parts) part = std::string(trim(part));
    std::erase_if(parts, [](const std::string& part) { return part.empty(); });
    const auto place = [&](const std::string& part) {
        const auto found = std::find_if(field.picklist.begin(), field.picklist.end(),
                                        [&](const PickValue& value) { return value.value == part; });
        return found - field.picklist.begin();
    };
    std::stable_sort(parts.begin(), parts.end(),
                     [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
    parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
    return join(parts, ";");
}

double round_half_up(double value, int scale) {
    if (std::abs(value) >= 1e15 || scale > 15) return value;
    const double unit = std::pow(10.0, scale);
    const double scaled = value * unit;
    if (std::abs(scaled) >= 9e15) return value;
    // The nudge repairs products as 1.005 * 100 = 100.49999999999999.
    return std::round(scaled + std::copysign(std::abs(scaled) * 1e-15, scaled)) / unit;
}

std::variant<Cell, NotCoercible> coerce_text(const Field& field, const Cell& cell) {
    std::string text = clean_text(plain_text(field.type, cell));
    if (const auto* number = std::get_if<std::int64_t>(&cell)) text = std::to_string(*number);
    if (const auto* truth = std::get_if<bool>(&cell)) text = *truth ? "true" : "false";
    if (field.type == Type::Id || field.type == Type::Reference) {
        if (const std::optional<std::string> id = normalize_id(text)) text = *id;
    }
    if (field.type == Type::MultiPicklist) text = in_definition_order(field, text);
    if (field.type == Type::Time && !text.empty()) {
        const std::optional<std::string> time = parse_time_of_day(text);
        if (!time) return NotCoercible{"time"};
        text = *time;
    }
    return text_cell(std::move(text));
}

std::variant<Cell, NotCoercible> coerce_boolean(const Cell& cell) {
    if (std::holds_alternative<bool>(cell)) return cell;
    const std::string text = to_lower(trim(plain_text(Type::Double, cell)));
    if (text == "true" || text == "1" || text == "1.0") return Cell{true};
    if (text == "false" || text == "0" || text == "0.0") return Cell{false};
    return NotCoercible{"boolean"};
}

std::variant<Cell, NotCoercible> coerce_number(const Field& field, const Cell& cell) {
    const bool whole = field.type == Type::Int;
    const NotCoercible refused{whole ? "int" : "double"};
    double number = 0;
    if (const auto* integer = std::get_if<std::int64_t>(&cell)) {
        if (whole) return cell;
        number = static_cast<double>(*integer);
    } else if (const auto* given = std::get_if<double>(&cell)) {
        number = *given;
    } else if (const auto* text = std::get_if<std::string>(&cell)) {
        const std::string_view trimmed = trim(*text);
        if (trimmed.empty()) return Cell{};
        const std::optional<double> parsed = parse_double(trimmed);
        if (!parsed) return refused;
        number = *parsed;
    } else {
        return refused;
    }
    if (!whole) return Cell{round_half_up(number, field.scale)};
    if (number != std::floor(number) || std::abs(number) > 9e15) return refused;
    return Cell{static_cast<std::int64_t>(number)};
}

std::variant<Cell, NotCoercible> coerce_moment(const Field& field, const Cell& cell) {
    const bool day_only = field.type == Type::Date;
    const NotCoercible refused{day_only ? "date" : "datetime"};
    if (std::holds_alternative<std::int64_t>(cell)) return cell;
    const auto* given = std::get_if<std::string>(&cell);
    if (given == nullptr) return refused;
    const std::string_view text = trim(*given);
    if (text.empty()) return Cell{};
    if (const std::optional<Date> day = parse_date(text)) {
        return Cell{day_only ? std::int64_t{day->days} : start_of(*day).seconds};
    }
    const std::optional<Timestamp> at = parse_timestamp(text);
    if (!at) return refused;
    if (!day_only) return Cell{at->seconds};
    // The time part is cut as it is written, whatever its zone.
    const std::optional<Date> day = parse_date(text.substr(0, 10));
    if (!day) return refused;
    return Cell{std::int64_t{day->days}};
}

}  // namespace

CellView view(const Cell& cell) {
    return std::visit(
        [](const auto& value) -> CellView {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
                return std::string_view(value);
            } else {
                return value;
            }
        },
        cell);
}

Cell to_cell(const CellView& view) {
    return std::visit(
        [](const auto& value) -> Cell {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
                return std::string(value);
            } else {
                return value;
            }
        },
        view);
}

void append_double(std::string& out, double value) {
    if (!std::isfinite(value) || value == 0) {
        out += "0.0";  // no field holds anything that is not a number
        return;
    }
    if (value == std::floor(value) && std::abs(value) < 1e7) {
        std::array<char, 24> text{};
        out.append(text.data(), write_int(text.data(), static_cast<std::int64_t>(value)));
        out += ".0";
        return;
    }
    std::array<char, 40> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), std::abs(value), std::chars_format::scientific);
    std::string_view written(text.data(), static_cast<std::size_t>(end.ptr - text.data()));
    const std::size_t e = written.find('e');
    int exponent = 0;
    const std::size_t exponent_at = written[e + 1] == '+' ? e + 2 : e + 1;
    std::from_chars(written.data() + exponent_at, written.data() + written.size(), exponent);
    std::string digits(1, written[0]);
    if (e > 2) digits += written.substr(2, e - 2);
    if (value < 0) out += '-';
    const double size = std::abs(value);
    if (size >= 1e7 || size < 1e-3) {
        append_scientific(out, digits, exponent);
    } else if (exponent < 0) {
        out += "0.";
        out.append(static_cast<std::size_t>(-exponent - 1), '0');
        out += digits;
    } else {
        const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
        if (digits.size() < whole + 1) digits.resize(whole + 1, '0');
        out += std::string_view(digits).substr(0, whole);
        out += '.';
        out += std::string_view(digits).substr(whole);
    }
}

char* write_hundredths(char* at, std::int64_t hundredths) {
    if (hundredths < 0) {
        *at++ = '-';
        hundredths = -hundredths;
    }
    const std::int64_t whole = hundredths / 100;
    const auto rest = static_cast<std::size_t>(hundredths % 100);
    char* point = nullptr;
    char* end = nullptr;
    int exponent = 0;
    if (whole < 10'000'000) {
        point = write_int(at, whole);
        end = point;
        *end++ = '.';
    } else {
        // One digit before the point: shift the others behind it.
        std::array<char, 24> digits{};
        char* last = write_int(digits.data(), whole);
        exponent = static_cast<int>(last - digits.data()) - 1;
        *at = digits[0];
        point = at + 1;
        *point = '.';
        end = write_text(point + 1, std::string_view(digits.data() + 1, static_cast<std::size_t>(exponent)));
    }
    end = write_pair(end, rest);
    while (end[-1] == '0' && end - 1 > point + 1) --end;
    if (exponent > 0) {
        *end++ = 'E';
        end = write_int(end, exponent);
    }
    return end;
}

char* write_int(char* at, std::int64_t value) {
    return std::to_chars(at, at + 24, value).ptr;
}

char* write_date(char* at, std::int64_t days) {
    const std::int64_t shifted = days + 719468;
    const std::int64_t last_year = 2932896;  // 9999-12-31
    if (shifted < 0 || days > last_year) return write_text(at, to_string(Date{static_cast<std::int32_t>(days)}));
    // "chrono-Compatible Low-Level Date Algorithms" (Howard Hinnant), in 32 bits for speed.
    const auto z = static_cast<std::uint32_t>(shifted);
    const std::uint32_t era = z / 146097;
    const std::uint32_t day_of_era = z - era * 146097;
    const std::uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::uint32_t march_month = (5 * day_of_year + 2) / 153;
    const std::uint32_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
    const std::uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    const std::uint32_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    at = write_pair(at, year / 100);
    at = write_pair(at, year % 100);
    *at++ = '-';
    at = write_pair(at, month);
    *at++ = '-';
    return write_pair(at, day);
}

char* write_datetime(char* at, std::int64_t seconds, std::string_view zone) {
    const std::int64_t days = floor_div(seconds, kDaySeconds);
    const auto rest = static_cast<std::uint32_t>(seconds - days * kDaySeconds);
    at = write_date(at, days);
    *at++ = 'T';
    at = write_pair(at, rest / 3600);
    *at++ = ':';
    at = write_pair(at, rest / 60 % 60);
    *at++ = ':';
    at = write_pair(at, rest % 60);
    at = write_text(at, ".000");
    return write_text(at, zone);
}

void append_json_text(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    out += '"';
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') [[likely]]
            continue;
        out += text.substr(from, i - from);
        from = i + 1;
        out += '\\';
        switch (c) {
            case '"':
                out += '"';
                break;
            case '\\':
                out += '\\';
                break;
            case '\n':
                out += 'n';
                break;
            case '\r':
                out += 'r';
                break;
            case '\t':
                out += 't';
                break;
            case '\b':
                out += 'b';
                break;
            case '\f':
                out += 'f';
                break;
            default:
                out += "u00";
                out += hex[c >> 4U];
                out += hex[c & 15U];
        }
    }
    out += text.substr(from);
    out += '"';
}

namespace {

/// Numbers, truth values and moments; text is the caller's.
void append_plain(std::string& out, Type type, const CellView& cell, std::string_view zone) {
    std::array<char, 48> text{};
    char* end = text.data();
    if (const auto* truth = std::get_if<bool>(&cell)) {
        out += *truth ? "true" : "false";
        return;
    }
    if (const auto* number = std::get_if<double>(&cell)) {
        append_double(out, *number);
        return;
    }
    const std::int64_t number = std::get<std::int64_t>(cell);
    if (is_fractional(type)) {
        append_double(out, static_cast<double>(number));
        return;
    }
    if (type == Type::Date) {
        end = write_date(end, number);
    } else if (type == Type::DateTime) {
        end = write_datetime(end, number, zone);
    } else {
        end = write_int(end, number);
    }
    out.append(text.data(), end);
}

}  // namespace

void append_json_cell(std::string& out, Type type, const CellView& cell) {
    if (cell.index() == 0) {
        out += "null";
    } else if (const auto* text = std::get_if<std::string_view>(&cell)) {
        if (type == Type::Address || type == Type::Location) {
            out += *text;
        } else {
            append_json_text(out, *text);
        }
    } else if (type == Type::Date || type == Type::DateTime) {
        out += '"';
        append_plain(out, type, cell, "+0000");
        out += '"';
    } else {
        append_plain(out, type, cell, "+0000");
    }
}

void append_json_cell(std::string& out, Type type, const Cell& cell) {
    append_json_cell(out, type, view(cell));
}

void append_csv_cell(std::string& out, Type type, const CellView& cell) {
    if (const auto* text = std::get_if<std::string_view>(&cell)) {
        csv::append_quoted(out, *text);
        return;
    }
    out += '"';
    if (cell.index() != 0) append_plain(out, type, cell, "Z");
    out += '"';
}

void append_csv_cell(std::string& out, Type type, const Cell& cell) {
    append_csv_cell(out, type, view(cell));
}

std::string plain_text(Type type, const Cell& cell) {
    if (const auto* text = std::get_if<std::string>(&cell)) return *text;
    std::string out;
    if (!is_null(cell)) append_plain(out, type, view(cell), "Z");
    return out;
}

std::variant<Cell, NotCoercible> coerce(const Field& field, const Cell& cell) {
    if (is_null(cell)) return Cell{};
    if (is_text(field.type)) return coerce_text(field, cell);
    if (field.type == Type::Boolean) {
        if (const auto* text = std::get_if<std::string>(&cell); text != nullptr && trim(*text).empty()) return Cell{};
        return coerce_boolean(cell);
    }
    if (field.type == Type::Date || field.type == Type::DateTime) return coerce_moment(field, cell);
    return coerce_number(field, cell);
}

namespace {

// A packed cell: field (2 bytes), kind (1 byte: the index of Cell), payload: bool 1 byte, numbers 8, text 4 + size.
constexpr std::size_t kHead = 3;

std::size_t payload_size(const char* payload, std::uint8_t kind) {
    switch (kind) {
        case 0:
            return 0;
        case 1:
            return 1;
        case 2:
        case 3:
            return 8;
        default: {
            std::uint32_t size = 0;
            std::memcpy(&size, payload, 4);
            return 4 + std::size_t{size};
        }
    }
}

CellView read_payload(const char* payload, std::uint8_t kind) {
    switch (kind) {
        case 0:
            return {};
        case 1:
            return *payload != 0;
        case 2: {
            std::int64_t number = 0;
            std::memcpy(&number, payload, 8);
            return number;
        }
        case 3: {
            double number = 0;
            std::memcpy(&number, payload, 8);
            return number;
        }
        default:
            return std::string_view(payload + 4, payload_size(payload, kind) - 4);
    }
}

/// Calls `visit(field, kind, offset of the head, size with head)` until it returns true.
template <class Visit>
void walk(const std::string& packed, Visit visit) {
    for (std::size_t at = 0; at < packed.size();) {
        std::uint16_t field = 0;
        std::memcpy(&field, packed.data() + at, 2);
        const auto kind = static_cast<std::uint8_t>(packed[at + 2]);
        const std::size_t size = kHead + payload_size(packed.data() + at + kHead, kind);
        if (visit(static_cast<int>(field), kind, at, size)) return;
        at += size;
    }
}

}  // namespace

std::optional<CellView> Cells::view(int field) const {
    std::optional<CellView> found;
    walk(packed_, [&](int at_field, std::uint8_t kind, std::size_t at, std::size_t) {
        if (at_field != field) return false;
        found = read_payload(packed_.data() + at + kHead, kind);
        return true;
    });
    return found;
}

bool Cells::has(int field) const {
    return view(field).has_value();
}

void Cells::set(int field, const Cell& cell) {
    walk(packed_, [&](int at_field, std::uint8_t, std::size_t at, std::size_t size) {
        if (at_field == field) packed_.erase(at, size);
        return at_field == field;
    });
    const auto short_field = static_cast<std::uint16_t>(field);
    packed_.append(reinterpret_cast<const char*>(&short_field), 2);
    packed_ += static_cast<char>(cell.index());
    const auto append_bytes = [&](const auto& value) {
        packed_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    if (const auto* truth = std::get_if<bool>(&cell)) packed_ += static_cast<char>(*truth ? 1 : 0);
    if (const auto* integer = std::get_if<std::int64_t>(&cell)) append_bytes(*integer);
    if (const auto* number = std::get_if<double>(&cell)) append_bytes(*number);
    if (const auto* text = std::get_if<std::string>(&cell)) {
        append_bytes(static_cast<std::uint32_t>(text->size()));
        packed_ += *text;
    }
}

std::vector<std::pair<int, Cell>> Cells::all() const {
    std::vector<std::pair<int, Cell>> cells;
    walk(packed_, [&](int field, std::uint8_t kind, std::size_t at, std::size_t) {
        cells.emplace_back(field, to_cell(read_payload(packed_.data() + at + kHead, kind)));
        return false;
    });
    return cells;
}

}  // namespace lockstep::sandbox

#include "record/value.h"

#include <bit>
#include <utility>

#include "base/text.h"

namespace lockstep::record {

const char* name(Form form) {
    switch (form) {
        case Form::Text:
            return "text";
        case Form::Boolean:
            return "boolean";
        case Form::Integer:
            return "integer";
        case Form::Real:
            return "real";
        case Form::Timestamp:
            return "timestamp";
        case Form::Date:
            return "date";
    }
    return "text";
}

Cell Cell::text(std::string_view text) {
    Cell cell(Form::Text, text.empty());
    cell.text_ = text.data();
    cell.size_ = static_cast<std::uint32_t>(text.size());
    return cell;
}

Cell Cell::boolean(bool value) {
    Cell cell(Form::Boolean, false);
    cell.integer_ = value ? 1 : 0;
    return cell;
}

Cell Cell::integer(std::int64_t value) {
    Cell cell(Form::Integer, false);
    cell.integer_ = value;
    return cell;
}

Cell Cell::real(double value) {
    Cell cell(Form::Real, false);
    cell.real_ = value;
    return cell;
}

Cell Cell::timestamp(Timestamp at) {
    Cell cell(Form::Timestamp, false);
    cell.integer_ = at.seconds;
    return cell;
}

Cell Cell::date(Date day) {
    Cell cell(Form::Date, false);
    cell.integer_ = day.days;
    return cell;
}

bool Cell::operator==(const Cell& other) const {
    if (form_ != other.form_ || null_ != other.null_) return false;
    if (null_) return true;
    switch (form_) {
        case Form::Text:
            return as_text() == other.as_text();
        case Form::Real:
            return real_ == other.real_ ||
                   std::bit_cast<std::uint64_t>(real_) == std::bit_cast<std::uint64_t>(other.real_);
        default:
            return integer_ == other.integer_;
    }
}

Value::Value(Cell cell) : cell_(cell) {
    if (cell.form() == Form::Text && !cell.is_null()) {
        text_ = cell.as_text();
        point_at_own_text();
    }
}

// Moving a short string moves its bytes, so a moved value must point at its own text again.
Value::Value(Value&& other) noexcept : text_(std::move(other.text_)), cell_(other.cell_) {
    point_at_own_text();
    other.cell_ = Cell();
}

Value& Value::operator=(const Value& other) {
    if (this != &other) *this = Value(other);
    return *this;
}

Value& Value::operator=(Value&& other) noexcept {
    text_ = std::move(other.text_);
    cell_ = other.cell_;
    point_at_own_text();
    other.cell_ = Cell();
    return *this;
}

void Value::point_at_own_text() {
    if (cell_.form() == Form::Text && !cell_.is_null()) cell_ = Cell::text(text_);
}

std::string to_text(const Cell& cell) {
    if (cell.is_null()) return {};
    switch (cell.form()) {
        case Form::Text:
            return std::string(cell.as_text());
        case Form::Boolean:
            return cell.as_boolean() ? "true" : "false";
        case Form::Integer:
            return std::to_string(cell.as_integer());
        case Form::Real:
            return lockstep::to_text(cell.as_real());
        case Form::Timestamp:
            return to_string(cell.as_timestamp());
        case Form::Date:
            return to_string(cell.as_date());
    }
    return {};
}

std::string quoted_json(std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += "\\u00";
                    out += kHex[static_cast<unsigned char>(c) >> 4];
                    out += kHex[static_cast<unsigned char>(c) & 15];
                } else {
                    out += c;
                }
        }
    }
    return out += '"';
}

void append_json(std::string& out, const Cell& cell) {
    if (cell.is_null()) {
        out += "null";
    } else if (cell.form() == Form::Boolean || cell.form() == Form::Integer || cell.form() == Form::Real) {
        out += to_text(cell);
    } else {
        out += quoted_json(to_text(cell));
    }
}

}  // namespace lockstep::record

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace lockstep::record {

/// How a value is kept and compared. Salesforce's two dozen field types fall into these six (form_of in object.h).
/// Numbers without decimals are Integer, amounts are Real (Salesforce itself computes in doubles), ids are Text.
enum class Form : std::uint8_t { Text, Boolean, Integer, Real, Timestamp, Date };
/// "text", "boolean", …
const char* name(Form form);

/// A value, or its absence (null), without owning its text: 16 bytes, trivially copied. Whoever hands out a Cell says
/// how long its text lives. Salesforce knows no empty text, so text of length 0 is null.
class Cell {
public:
    Cell() : Cell(Form::Text, true) {}
    static Cell null(Form form) { return Cell(form, true); }
    static Cell text(std::string_view text);  ///< length 0 makes a null
    static Cell boolean(bool value);
    static Cell integer(std::int64_t value);
    static Cell real(double value);
    static Cell timestamp(Timestamp at);
    static Cell date(Date day);

    Form form() const { return form_; }
    bool is_null() const { return null_; }
    /// The value. Precondition: not null and of that form.
    std::string_view as_text() const { return {text_, size_}; }
    bool as_boolean() const { return integer_ != 0; }
    /// A boolean that is there and true; an absent one is not.
    bool is_true() const { return !null_ && as_boolean(); }
    std::int64_t as_integer() const { return integer_; }
    double as_real() const { return real_; }
    Timestamp as_timestamp() const { return {integer_}; }
    Date as_date() const { return {static_cast<std::int32_t>(integer_)}; }

    /// Same form, and both null or equal: bytes of text, bits of numbers except that 0.0 equals -0.0.
    bool operator==(const Cell& other) const;

private:
    Cell(Form form, bool null) : integer_(0), form_(form), null_(null) {}
    union {
        std::int64_t integer_;  ///< also Boolean (0, 1), Timestamp (epoch seconds), Date (days)
        double real_;
        const char* text_;
    };
    std::uint32_t size_ = 0;
    Form form_;
    bool null_;
};

/// A Cell that owns its text.
class Value {
public:
    Value() = default;
    explicit Value(Cell cell);
    static Value of(std::string_view text) { return Value(Cell::text(text)); }
    Value(const Value& other) : Value(other.cell_) {}
    Value(Value&& other) noexcept;
    Value& operator=(const Value& other);
    Value& operator=(Value&& other) noexcept;
    ~Value() = default;

    /// Valid while this value lives and is not assigned to.
    const Cell& cell() const { return cell_; }
    bool is_null() const { return cell_.is_null(); }
    bool operator==(const Value& other) const { return cell_ == other.cell_; }

private:
    void point_at_own_text();
    std::string text_;
    Cell cell_;
};

/// The one way values are shown to people and in logs of changes: "true", "7500", "0.5", "2026-11-24",
/// "2026-11-24T08:30:00Z"; null is "".
std::string to_text(const Cell& cell);
/// As a JSON literal: null, true, 7500, "text" (escaped), "2026-11-24".
void append_json(std::string& out, const Cell& cell);
std::string quoted_json(std::string_view text);

}  // namespace lockstep::record

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sandbox/schema.h"

namespace lockstep::sandbox {

/// A field's value: nothing, boolean, integer (also Date as days and DateTime as epoch seconds), double, text. Ids are
/// 18 characters; times "17:30:00.000Z"; an address is the text of its JSON object.
using Cell = std::variant<std::monostate, bool, std::int64_t, double, std::string>;
inline bool is_null(const Cell& cell) {
    return cell.index() == 0;
}
/// A cell whose text somebody else keeps.
using CellView = std::variant<std::monostate, bool, std::int64_t, double, std::string_view>;
CellView view(const Cell& cell);
Cell to_cell(const CellView& view);

/// `value` as Java's Double.toString writes it (salesforce-api 4.2, C.2): "3.0", "9.9213206E7", "5.0E-4".
void append_double(std::string& out, double value);
/// The same text for hundredths of a unit, several times faster: 1234 → "12.34". Returns the end of what it wrote (at
/// most 24 bytes).
char* write_hundredths(char* at, std::int64_t hundredths);
char* write_int(char* at, std::int64_t value);
/// "2026-11-24"; at most 16 bytes.
char* write_date(char* at, std::int64_t days);
/// "2026-11-24T08:30:00.000" and then the zone: "Z" in CSV, "+0000" in JSON; at most 40 bytes.
char* write_datetime(char* at, std::int64_t seconds, std::string_view zone);

/// `text` as a JSON string with its quotes.
void append_json_text(std::string& out, std::string_view text);
/// A cell of type `type` as a JSON value (salesforce-api 4.2, REST column).
void append_json_cell(std::string& out, Type type, const CellView& cell);
void append_json_cell(std::string& out, Type type, const Cell& cell);
/// A cell as bulk results hold it: always in quotes, null is "" (salesforce-api 4.2 and 12.2).
void append_csv_cell(std::string& out, Type type, const CellView& cell);
void append_csv_cell(std::string& out, Type type, const Cell& cell);
/// The cell as plain text, as in CSV but neither quoted nor escaped; null is "".
std::string plain_text(Type type, const Cell& cell);

/// Why a value can not become one of a field's type.
struct NotCoercible {
    std::string instance;  ///< "double", "date": as the message of salesforce-api 6 says it
};
/// `cell` as a value of `type`: text to numbers, truth values, dates (a time part is cut) and stamps, 15-character ids
/// to 18; text is trimmed and cleared of control characters, "" is null. Fractional numbers are rounded half up to
/// `scale`. Integers given for Date and DateTime are days and epoch seconds. Ids that are none stay as they are.
std::variant<Cell, NotCoercible> coerce(const Field& field, const Cell& cell);

/// Some fields of a row, packed: field index → cell. Reading scans, which for the few dozen fields of a row beats any
/// tree, and a million rows cost little more than their text.
class Cells {
public:
    /// The cell of `field`; nothing when it was never set (a field set to null has a null cell). The view lives until
    /// the next change.
    std::optional<CellView> view(int field) const;
    bool has(int field) const;
    void set(int field, const Cell& cell);
    std::vector<std::pair<int, Cell>> all() const;
    std::size_t bytes() const { return packed_.capacity(); }

private:
    std::string packed_;
};

}  // namespace lockstep::sandbox

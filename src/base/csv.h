#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep::csv {

/// Reads RFC 4180 text (comma or another delimiter, LF or CRLF, quotes doubled inside quotes, line breaks inside
/// quotes, an optional byte order mark) from a buffer that outlives the reader.
///
/// An empty line is a row of one empty cell. A carriage return that is not followed by a line feed is text.
///
/// Cost: one pass, vectorised search for the next delimiter; cells without quotes inside are views into the buffer,
/// others are unescaped into a scratch area that lives until the next row.
class Reader {
public:
    explicit Reader(std::string_view text, char delimiter = ',');

    /// The next row, or an empty optional-like `false` at the end. Cells stay valid until the next call.
    /// Errors: BadReply when the text ends inside quotes, a quote stands inside an unquoted cell, or text follows a
    /// closing quote, naming row (from 1) and byte (from 0). The reader stays where it is: asking again gives the same
    /// error.
    Result<bool> next(std::vector<std::string_view>& cells);

    /// Whether the text ended exactly after a line end: a cut file mostly does not.
    bool ended_with_line_end() const { return ended_with_line_end_; }
    /// Rows returned so far, the header included.
    std::int64_t rows() const { return rows_; }

private:
    void undouble(std::vector<std::string_view>& cells);

    std::string_view text_;
    std::size_t at_ = 0;
    char delimiter_;
    std::int64_t rows_ = 0;
    bool ended_with_line_end_ = true;
    std::vector<std::size_t> doubled_;  // cells of this row that hold doubled quotes
    std::string scratch_;
};

/// Appends `cell` quoted, quotes doubled.
void append_quoted(std::string& out, std::string_view cell);
/// Appends a row: every cell quoted, separated by commas, ended by LF. The form of Salesforce's bulk results.
void append_row(std::string& out, const std::vector<std::string_view>& cells);

}  // namespace lockstep::csv

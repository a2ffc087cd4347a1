#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// ASCII only, which is what API names, header names and keywords are made of.
std::string to_lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
/// Orders names the way equals_ignoring_case compares them; for std::map keyed by API names.
struct IgnoringCase {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const;
};

/// Full Unicode case folding of valid UTF-8 ("STRASSE" and "Straße" are equal); invalid input is folded as ASCII.
std::string fold(std::string_view text);
bool is_valid_utf8(std::string_view text);
/// Replaces each invalid byte sequence (as browsers cut them: Unicode 3.9, maximal subparts) and NUL by U+FFFD.
std::string to_valid_utf8(std::string_view text);
/// Code points, not bytes; assumes valid UTF-8.
std::size_t length_in_characters(std::string_view text);

/// `text` without ASCII white space around it.
std::string_view trim(std::string_view text);
/// The parts between separators, empty ones too; one part more than there are separators.
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view between);
bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

/// The whole of `text` as a number, else nothing: no blanks, no '+', and it must fit. parse_double accepts
/// "9.9213206E7"; it refuses "nan" and "inf".
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);
/// Shortest text that reads back as the same double; whole numbers below 1e15 have no fraction: "5000", "0.1".
std::string to_text(double value);
/// "1,234,567"
std::string with_thousands(std::int64_t value);
/// A duration for people, cut to two units: "850 ms", "1.5 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
std::string to_duration(std::int64_t milliseconds);
/// A size for people in powers of 1024, cut: "850 B", "1.5 KiB", "64 MiB".
std::string to_bytes(std::uint64_t bytes);

/// Keeps what RFC 3986 calls unreserved and writes each other byte as %XX: right for any part of a URL and for forms.
std::string url_encode(std::string_view text);
/// Decodes %XX and, when `plus_is_blank`, '+'. A bad escape stays as it is.
std::string url_decode(std::string_view text, bool plus_is_blank = true);

std::string to_base64(std::string_view bytes);     ///< padded
std::string to_base64url(std::string_view bytes);  ///< not padded, as in JWT
/// Reads both alphabets (not mixed), with or without padding; nothing for anything else, line breaks included.
std::optional<std::string> from_base64(std::string_view text);
std::string to_hex(std::string_view bytes);  ///< lower case

/// Lines of equal width for a terminal: header, rule, rows; columns separated by two blanks, numbers (when every cell
/// of a column that is not blank reads as one, "1,234" too) right-aligned, width counted in characters. Cells longer
/// than `cell_width_max` end in "…". Line breaks and other control characters show as blanks.
std::string format_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                         std::size_t cell_width_max = 48);

}  // namespace lockstep

#include "base/text.h"

#include <fmt/format.h>
#include <sodium.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"

namespace lockstep {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// Bytes at the start of `text` that are ASCII.
std::size_t ascii_prefix(std::string_view text) {
    std::size_t at = 0;
    for (; at + 8 <= text.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + at, 8);
        if ((word & 0x8080808080808080ULL) != 0) break;
    }
    while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
    return at;
}

struct Sequence {
    std::size_t size;
    bool valid;
};

/// The UTF-8 sequence at the start of `text`, which is not empty. An invalid one has the size of its maximal subpart
/// (Unicode 3.9, table 3-7), so that what follows it is read afresh.
Sequence first_sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {1, true};
    std::size_t size = 0;
    if (lead >= 0xC2 && lead <= 0xDF) size = 2;
    if (lead >= 0xE0 && lead <= 0xEF) size = 3;
    if (lead >= 0xF0 && lead <= 0xF4) size = 4;
    if (size == 0) return {1, false};
    // The second byte alone rules out overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (text.size() < 2 || byte(1) < least || byte(1) > most) return {1, false};
    for (std::size_t i = 2; i < size; ++i) {
        if (text.size() <= i || (byte(i) & 0xC0) != 0x80) return {i, false};
    }
    return {size, true};
}

std::string to_base64_as(std::string_view bytes, int variant) {
    std::string out(sodium_base64_ENCODED_LEN(bytes.size(), variant), '\0');
    sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      variant);
    out.pop_back();  // the terminating NUL
    return out;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// "12" or "1.5": one decimal below 10, cut, and none when it is zero.
std::string with_one_decimal(std::uint64_t whole, std::uint64_t tenths) {
    return whole < 10 && tenths > 0 ? fmt::format("{}.{}", whole, tenths) : fmt::format("{}", whole);
}

/// `cell` as it is safe to show on one line of a terminal, at most `width_max` characters.
std::string shown(const std::string& cell, std::size_t width_max) {
    const std::string text = to_valid_utf8(cell);
    std::string out;
    std::size_t cut_at = 0;  // where the ellipsis goes
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = first_sequence(std::string_view(text).substr(at)).size;
        const auto first = static_cast<unsigned char>(text[at]);
        const bool control = first < 0x20 || first == 0x7F ||
                             (first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0);  // U+0080..U+009F
        if (width + 1 == width_max) cut_at = out.size();
        if (width == width_max) {
            out.resize(cut_at);
            out += kEllipsis;
            return out;
        }
        if (control) {
            out += ' ';
        } else {
            out.append(text, at, size);
        }
        ++width;
        at += size;
    }
    return out;
}

/// Whether `cell` reads as a number, thousands separators allowed.
bool is_number(std::string_view cell) {
    std::string digits(cell);
    std::erase(digits, ',');
    return parse_double(digits).has_value();
}

}  // namespace

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool IgnoringCase::operator()(std::string_view a, std::string_view b) const {
    return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

std::string fold(std::string_view text) {
    if (ascii_prefix(text) == text.size()) return to_lower(text);
    utf8proc_uint8_t* folded = nullptr;
    const utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                               static_cast<utf8proc_ssize_t>(text.size()), &folded, UTF8PROC_CASEFOLD);
    if (size < 0) return to_lower(text);
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(folded, &std::free);
    return {reinterpret_cast<const char*>(folded), static_cast<std::size_t>(size)};
}

bool is_valid_utf8(std::string_view text) {
    for (;;) {
        text.remove_prefix(ascii_prefix(text));
        if (text.empty()) return true;
        const Sequence sequence = first_sequence(text);
        if (!sequence.valid) return false;
        text.remove_prefix(sequence.size);
    }
}

std::string to_valid_utf8(std::string_view text) {
    if (text.find('\0') == std::string_view::npos && is_valid_utf8(text)) return std::string(text);
    std::string out;
    out.reserve(text.size() + 16);
    while (!text.empty()) {
        const Sequence sequence = first_sequence(text);
        out += sequence.valid && text[0] != '\0' ? text.substr(0, sequence.size) : kReplacement;
        text.remove_prefix(sequence.size);
    }
    return out;
}

std::size_t length_in_characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n\f\v";
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.emplace_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
    std::string out;
    for (const std::string& part : parts) {
        if (&part != &parts.front()) out += between;
        out += part;
    }
    return out;
}

std::optional<std::int64_t> parse_int(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<double> parse_double(std::string_view text) {
    double value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::string to_text(double value) {
    std::array<char, 32> buffer{};
    char* const last = buffer.data() + buffer.size();
    const bool whole = std::abs(value) < 1e15 && std::trunc(value) == value;
    const auto [end, problem] = whole ? std::to_chars(buffer.data(), last, value, std::chars_format::fixed)
                                      : std::to_chars(buffer.data(), last, value);
    check(problem == std::errc{}, "a double has at most 24 characters");
    return {buffer.data(), end};
}

std::string with_thousands(std::int64_t value) {
    std::string text = std::to_string(value);
    const std::size_t first_digit = value < 0 ? 1 : 0;
    for (std::size_t at = text.size(); at > first_digit + 3;) {
        at -= 3;
        text.insert(at, 1, ',');
    }
    return text;
}

std::string to_duration(std::int64_t milliseconds) {
    const bool negative = milliseconds < 0;
    const auto ms = negative ? 0 - static_cast<std::uint64_t>(milliseconds) : static_cast<std::uint64_t>(milliseconds);
    const std::uint64_t s = ms / 1000;
    struct Unit {
        const char* large;
        const char* small;
        std::uint64_t large_s;
        std::uint64_t small_s;
    };
    constexpr Unit units[] = {{"d", "h", 86400, 3600}, {"h", "min", 3600, 60}, {"min", "s", 60, 1}};
    std::string text;
    if (ms < 1000) {
        text = fmt::format("{} ms", ms);
    } else if (s < 60) {
        text = with_one_decimal(s, ms % 1000 / 100) + " s";
    } else {
        const Unit& unit = *std::ranges::find_if(units, [&](const Unit& u) { return s >= u.large_s; });
        text = fmt::format("{} {}", s / unit.large_s, unit.large);
        const std::uint64_t rest = s % unit.large_s / unit.small_s;
        if (rest > 0) text += fmt::format(" {} {}", rest, unit.small);
    }
    return negative ? "-" + text : text;
}

std::string to_bytes(std::uint64_t bytes) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    std::uint64_t whole = bytes;
    std::uint64_t rest = 0;  // of 1024
    for (; whole >= 1024; ++unit) {
        rest = whole % 1024;
        whole /= 1024;
    }
    return with_one_decimal(whole, rest * 10 / 1024) + " " + units[unit];
}

std::string url_encode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    constexpr std::string_view kept = "-._~";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const char l = lower(c);
        if ((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || kept.find(c) != std::string_view::npos) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

std::string url_decode(std::string_view text, bool plus_is_blank) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            out += text[i] == '+' && plus_is_blank ? ' ' : text[i];
        }
    }
    return out;
}

std::string to_base64(std::string_view bytes) {
    return to_base64_as(bytes, sodium_base64_VARIANT_ORIGINAL);
}

std::string to_base64url(std::string_view bytes) {
    return to_base64_as(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

std::optional<std::string> from_base64(std::string_view text) {
    const bool padded = text.ends_with('=');
    const bool url_safe = text.find_first_of("-_") != std::string_view::npos;
    const int variant = url_safe ? padded ? sodium_base64_VARIANT_URLSAFE : sodium_base64_VARIANT_URLSAFE_NO_PADDING
                        : padded ? sodium_base64_VARIANT_ORIGINAL
                                 : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    std::string out(text.size() / 4 * 3 + 3, '\0');
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr,
                          &size, &end, variant) != 0 ||
        end != text.data() + text.size()) {
        return std::nullopt;
    }
    out.resize(size);
    return out;
}

std::string to_hex(std::string_view bytes) {
    std::string out(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    out.pop_back();  // the terminating NUL
    return out;
}

std::string format_table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                         std::size_t cell_width_max) {
    check(cell_width_max > 0, "a table needs room for its cells");
    struct Column {
        std::size_t width = 0;
        bool numbers = false;  // at least one, and nothing but numbers and blanks
        bool words = false;
    };
    std::vector<std::vector<std::string>> lines;
    lines.push_back(header);
    lines.insert(lines.end(), rows.begin(), rows.end());
    std::vector<Column> columns(std::ranges::max(lines, {}, &std::vector<std::string>::size).size());
    for (std::size_t l = 0; l < lines.size(); ++l) {
        lines[l].resize(columns.size());
        for (std::size_t c = 0; c < columns.size(); ++c) {
            std::string& cell = lines[l][c];
            if (l > 0 && !trim(cell).empty()) (is_number(cell) ? columns[c].numbers : columns[c].words) = true;
            cell = shown(cell, cell_width_max);
            columns[c].width = std::max(columns[c].width, length_in_characters(cell));
        }
    }
    std::vector<std::string> rule;
    rule.reserve(columns.size());
    for (const Column& column : columns) rule.emplace_back(column.width, '-');
    lines.insert(lines.begin() + 1, std::move(rule));

    std::string out;
    for (const std::vector<std::string>& line : lines) {
        for (std::size_t c = 0; c < columns.size(); ++c) {
            const std::string padding(columns[c].width - length_in_characters(line[c]), ' ');
            const bool right = columns[c].numbers && !columns[c].words;
            if (c > 0) out += "  ";
            out += right ? padding + line[c] : line[c] + padding;
        }
        out += '\n';
    }
    return out;
}

}  // namespace lockstep

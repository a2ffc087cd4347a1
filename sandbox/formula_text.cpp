#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cwchar>

// Bounds what one match may try, to about a millisecond; it then fails as too complex.
#define BOOST_REGEX_MAX_STATE_COUNT 100000
#include <boost/regex.hpp>

#include "base/sfid.h"
#include "base/text.h"
#include "base/time.h"
#include "sandbox/formula_program.h"

namespace lockstep::sandbox::formula {

namespace {

std::wstring wide(std::string_view text) {
    std::wstring out;
    for (std::size_t at = 0; at < text.size();) {
        utf8proc_int32_t point = 0;
        const auto* from = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
        const auto read = utf8proc_iterate(from, static_cast<utf8proc_ssize_t>(text.size() - at), &point);
        at += read > 0 ? static_cast<std::size_t>(read) : 1;
        out += static_cast<wchar_t>(read > 0 ? point : 0xFFFD);
    }
    return out;
}

void append_point(std::string& out, utf8proc_int32_t point) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto size = utf8proc_encode_char(point, bytes.data());
    out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

std::string narrow(std::wstring_view text) {
    std::string out;
    for (const wchar_t point : text) append_point(out, static_cast<utf8proc_int32_t>(point));
    return out;
}

}  // namespace

/// A regular expression, matched against the whole of a text. Points of Unicode are its characters.
class Pattern {
public:
    /// Errors: Invalid, with the library's words.
    static Result<std::shared_ptr<const Pattern>> of(std::string_view text) {
        auto made = std::make_shared<Pattern>();
        try {
            made->regex_.assign(wide(text), boost::regex::perl);
        } catch (const std::runtime_error& error) {
            return wrong("The regular expression can not be read: " + std::string(error.what()));
        }
        return std::shared_ptr<const Pattern>(std::move(made));
    }
    /// Nothing when the match takes too many steps.
    std::optional<bool> matches(std::string_view text) const {
        try {
            return boost::regex_match(wide(text), regex_);
        } catch (const std::runtime_error&) {
            return std::nullopt;
        }
    }

private:
    boost::wregex regex_;
};

namespace {

// --- Parts of a text, counted in characters ---

/// How many characters a number asks for.
std::size_t count_of(const Decimal& number) {
    return static_cast<std::size_t>(std::max<std::int64_t>(number.to_whole(), 0));
}

/// The byte at which character number `characters` begins; the end when there are fewer.
std::size_t byte_at(std::string_view text, std::size_t characters) {
    std::size_t at = 0;
    for (; at < text.size(); ++at) {
        const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
        if (begins && characters-- == 0) break;
    }
    return at;
}

Value left(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    const auto count = at.number(call.parts[1]);
    if (!count) return {};
    return at.of_text(text.substr(0, byte_at(text, count_of(*count))));
}
Value right(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    const auto count = at.number(call.parts[1]);
    if (!count) return {};
    const std::size_t all = length_in_characters(text);
    const std::size_t wanted = std::min(count_of(*count), all);
    return at.of_text(text.substr(byte_at(text, all - wanted)));
}
Value middle(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    const auto start = at.number(call.parts[1]);
    const auto count = at.number(call.parts[2]);
    if (!start || !count) return {};
    const std::size_t from = byte_at(text, std::max<std::size_t>(count_of(*start), 1) - 1);
    const std::string rest = text.substr(from);
    return at.of_text(rest.substr(0, byte_at(rest, count_of(*count))));
}
Value length(Evaluator& at, const Node& call) {
    return Decimal(static_cast<std::int64_t>(length_in_characters(at.text(call.parts[0]))));
}
Value find(Evaluator& at, const Node& call) {
    const std::string wanted = at.text(call.parts[0]);
    const std::string text = at.text(call.parts[1]);
    const auto start = call.parts.size() > 2 ? at.number(call.parts[2]) : Decimal(1);
    if (wanted.empty() || text.empty()) return Decimal();
    const std::size_t from = byte_at(text, std::max<std::size_t>(count_of(start.value_or(1)), 1) - 1);
    const std::size_t found = text.find(wanted, from);
    if (found == std::string::npos) return Decimal();
    return Decimal(static_cast<std::int64_t>(length_in_characters(std::string_view(text).substr(0, found))) + 1);
}
Value substitute(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    const std::string old = at.text(call.parts[1]);
    const std::string fresh = at.text(call.parts[2]);
    if (old.empty()) return at.of_text(text);
    std::string out;
    std::size_t from = 0;
    for (std::size_t found = text.find(old); found != std::string::npos; found = text.find(old, from)) {
        out.append(text, from, found - from).append(fresh);
        from = found + old.size();
        if (out.size() > text_bytes_max) return at.fail();
    }
    return at.of_text(out.append(text, from));
}
Value trimmed(Evaluator& at, const Node& call) {
    return at.of_text(std::string(trim(at.text(call.parts[0]))));
}

Value padded(Evaluator& at, const Node& call, bool in_front) {
    const std::string text = at.text(call.parts[0]);
    const auto count = at.number(call.parts[1]);
    const std::string padding = call.parts.size() > 2 ? at.text(call.parts[2]) : " ";
    if (!count || text.empty() || padding.empty()) return {};
    const std::size_t wanted = count_of(*count);
    const std::size_t have = length_in_characters(text);
    if (wanted <= have) return at.of_text(text.substr(0, byte_at(text, wanted)));
    if (wanted > text_bytes_max) return at.fail();
    std::string fill;
    for (std::size_t times = (wanted - have) / length_in_characters(padding) + 1; times > 0; --times) fill += padding;
    fill.resize(byte_at(fill, wanted - have));
    return at.of_text(in_front ? fill + text : text + fill);
}
Value padded_left(Evaluator& at, const Node& call) {
    return padded(at, call, true);
}
Value padded_right(Evaluator& at, const Node& call) {
    return padded(at, call, false);
}
Value reversed(Evaluator& at, const Node& call) {
    std::wstring text = wide(at.text(call.parts[0]));
    std::reverse(text.begin(), text.end());
    return at.of_text(narrow(text));
}

Value concatenated(Evaluator& at, const Node& call) {
    std::string text = at.text(call.parts[0]);
    return at.of_text(std::move(text) + at.text(call.parts[1]));
}

// --- What is in a text: blank contains only blank, and of a blank text nothing is known ---

template <class Holds>
Value looked_for(Evaluator& at, const Node& call, Holds holds) {
    const std::string text = at.text(call.parts[0]);
    const std::string wanted = at.text(call.parts[1]);
    if (wanted.empty()) return true;
    if (text.empty()) return {};
    return holds(text, wanted);
}
Value contains(Evaluator& at, const Node& call) {
    return looked_for(at, call, [](const std::string& text, const std::string& wanted) {
        return text.find(wanted) != std::string::npos;
    });
}
Value begins(Evaluator& at, const Node& call) {
    return looked_for(at, call,
                      [](const std::string& text, const std::string& wanted) { return text.starts_with(wanted); });
}

Result<Sort> check_regex(Node& call) {
    if (call.parts[1].is_constant_text()) {
        const auto* text = std::get_if<std::string>(&call.parts[1].constant);
        call.pattern = TRY(Pattern::of(text == nullptr ? "" : *text));
    }
    return Sort::Boolean;
}
Value regex(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    std::shared_ptr<const Pattern> pattern = call.pattern;
    if (!pattern) {
        auto made = Pattern::of(at.text(call.parts[1]));
        if (!made.ok()) return at.fail();
        pattern = std::move(made.value());
    }
    constexpr std::size_t match_cost = 100'000;
    if (!at.spend(match_cost)) return {};
    const auto matches = pattern->matches(text);
    return matches ? Value(*matches) : at.fail();
}

// --- Letters ---

template <class Change>
Value changed(Evaluator& at, const Node& call, Change change) {
    const std::wstring text = wide(at.text(call.parts[0]));
    std::string out;
    for (const wchar_t point : text) change(out, static_cast<utf8proc_int32_t>(point));
    return at.of_text(std::move(out));
}
void append_upper(std::string& out, utf8proc_int32_t point) {
    constexpr utf8proc_int32_t sharp_s = 0xDF;
    if (point == sharp_s) {
        out += "SS";
    } else {
        append_point(out, utf8proc_toupper(point));
    }
}
Value upper(Evaluator& at, const Node& call) {
    return changed(at, call, append_upper);
}
Value lower(Evaluator& at, const Node& call) {
    return changed(at, call,
                   [](std::string& out, utf8proc_int32_t point) { append_point(out, utf8proc_tolower(point)); });
}
Value capitalized(Evaluator& at, const Node& call) {
    bool in_word = false;
    return changed(at, call, [&](std::string& out, utf8proc_int32_t point) {
        append_point(out, in_word ? utf8proc_tolower(point) : utf8proc_totitle(point));
        const auto category = utf8proc_category(point);
        in_word = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
    });
}
Value character(Evaluator& at, const Node& call) {
    const auto number = at.number(call.parts[0]);
    const std::int64_t point = number ? number->to_whole() : 0;
    if (point <= 0 || !utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(std::min<std::int64_t>(point, 0x110000))))
        return {};
    std::string out;
    append_point(out, static_cast<utf8proc_int32_t>(point));
    return at.of_text(std::move(out));
}
Value code(Evaluator& at, const Node& call) {
    const std::wstring text = wide(at.text(call.parts[0]));
    if (text.empty()) return {};
    return Decimal(static_cast<std::int64_t>(text.front()));
}

// --- To text and back ---

Result<Sort> check_text(Node& call) {
    const Node& part = call.parts[0];
    switch (part.sort) {
        case Sort::Null:
        case Sort::Number:
        case Sort::Date:
        case Sort::DateTime:
        case Sort::Time:
        case Sort::Picklist:
            return Sort::Text;
        default:
            return wrong_type(call, {Sort::Number, Sort::Date, Sort::DateTime, Sort::Picklist}, part);
    }
}
Value text_of(Evaluator& at, const Node& call) {
    const Node& part = call.parts[0];
    Value value = at.value(part);
    if (is_null(value) || part.sort == Sort::Picklist) return value;
    if (const auto* number = std::get_if<Decimal>(&value)) return number->to_string();
    const auto moment = std::get<std::int64_t>(value);
    if (part.sort == Sort::Time) return time_text(moment);
    if (part.sort == Sort::Date) return to_string(Date{static_cast<std::int32_t>(moment)});
    std::string text = to_string(Timestamp{moment});
    std::replace(text.begin(), text.end(), 'T', ' ');
    return text;
}

Value number_of(Evaluator& at, const Node& call) {
    const std::string text = at.text(call.parts[0]);
    if (text.empty()) return {};
    const auto number = Decimal::parse(text);
    return number ? at.of_number(*number) : at.fail();
}
Value is_number(Evaluator& at, const Node& call) {
    return Decimal::parse(at.text(call.parts[0])).has_value();
}

Value long_id(Evaluator& at, const Node& call) {
    std::string text = at.text(call.parts[0]);
    if (auto id = normalize_id(text)) text = std::move(*id);
    return at.of_text(std::move(text));
}

// --- What the page shows ---

Value line_break(Evaluator&, const Node&) {
    return std::string("<br>");
}

Result<Sort> check_link(Node& call) {
    const auto* url = std::get_if<std::string>(&call.parts[0].constant);
    if (url != nullptr && starts_with_ignoring_case(trim(*url), "javascript:"))
        return wrong("Incorrect argument value for function 'HYPERLINK()'. Javascript is not allowed.");
    return Sort::Text;
}
Value link(Evaluator& at, const Node& call) {
    const std::string url = at.text(call.parts[0]);
    const std::string label = at.text(call.parts[1]);
    const std::string target = call.parts.size() > 2 ? at.text(call.parts[2]) : "_blank";
    return at.of_text("<a href=\"" + url + "\" target=\"" + target + "\">" + label + "</a>");
}
Value image(Evaluator& at, const Node& call) {
    std::string out = "<img src=\"" + at.text(call.parts[0]) + "\" alt=\"" + at.text(call.parts[1]) + "\"";
    if (call.parts.size() > 2) {
        const auto pixels = [&](std::size_t part) {
            return part < call.parts.size() ? at.number(call.parts[part]).value_or(0).to_string() + "px" : "auto";
        };
        out += " style=\"height:" + pixels(2) + "; width:" + pixels(3) + ";\"";
    }
    return at.of_text(out + " border=\"0\"/>");
}

constexpr std::array functions = {
    Function{"&", "TT", 2, 2, Sort::Text, concatenated, nullptr, false},
    Function{"LEFT", "TN", 2, 2, Sort::Text, left, nullptr, false},
    Function{"RIGHT", "TN", 2, 2, Sort::Text, right, nullptr, false},
    Function{"MID", "TNN", 3, 3, Sort::Text, middle, nullptr, false},
    Function{"LEN", "T", 1, 1, Sort::Number, length, nullptr, false},
    Function{"FIND", "TTN", 2, 3, Sort::Number, find, nullptr, false},
    Function{"SUBSTITUTE", "TTT", 3, 3, Sort::Text, substitute, nullptr, false},
    Function{"TRIM", "T", 1, 1, Sort::Text, trimmed, nullptr, false},
    Function{"LPAD", "TNT", 2, 3, Sort::Text, padded_left, nullptr, false},
    Function{"RPAD", "TNT", 2, 3, Sort::Text, padded_right, nullptr, false},
    Function{"REVERSE", "T", 1, 1, Sort::Text, reversed, nullptr, false},
    Function{"CONTAINS", "TT", 2, 2, Sort::Boolean, contains, nullptr, false},
    Function{"BEGINS", "TT", 2, 2, Sort::Boolean, begins, nullptr, false},
    Function{"REGEX", "TT", 2, 2, Sort::Boolean, regex, check_regex, false},
    // The second argument is a locale. Texts of the org are in none, so that it changes nothing.
    Function{"UPPER", "TT", 1, 2, Sort::Text, upper, nullptr, false},
    Function{"LOWER", "TT", 1, 2, Sort::Text, lower, nullptr, false},
    Function{"INITCAP", "T", 1, 1, Sort::Text, capitalized, nullptr, false},
    Function{"CHR", "N", 1, 1, Sort::Text, character, nullptr, false},
    Function{"ASCII", "T", 1, 1, Sort::Number, code, nullptr, false},
    Function{"TEXT", nullptr, 1, 1, Sort::Text, text_of, check_text, false},
    Function{"VALUE", "T", 1, 1, Sort::Number, number_of, nullptr, false},
    Function{"ISNUMBER", "T", 1, 1, Sort::Boolean, is_number, nullptr, false},
    Function{"CASESAFEID", "T", 1, 1, Sort::Text, long_id, nullptr, false},
    Function{"BR", "", 0, 0, Sort::Text, line_break, nullptr, true},
    Function{"HYPERLINK", "TTT", 2, 3, Sort::Text, link, check_link, true},
    Function{"IMAGE", "TTNN", 2, 4, Sort::Text, image, nullptr, true},
};

}  // namespace

FunctionList text_functions() {
    return {functions.data(), functions.size()};
}

}  // namespace lockstep::sandbox::formula

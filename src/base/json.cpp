#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace lockstep {

namespace {

/// Builds the value as boost::json::parser does, except that doubles are read by std::from_chars: the parser of 1.81
/// is off in the last place for numbers of more than 15 digits, and a number must survive print and parse.
struct Handler {
    static constexpr std::size_t max_object_size = json::object::max_size();
    static constexpr std::size_t max_array_size = json::array::max_size();
    static constexpr std::size_t max_key_size = json::string::max_size();
    static constexpr std::size_t max_string_size = json::string::max_size();

    using Text = json::string_view;
    using Problem = json::error_code;
    json::value_stack values;

    Handler() { values.reset(); }

    bool on_document_begin(Problem&) { return true; }
    bool on_document_end(Problem&) { return true; }
    bool on_object_begin(Problem&) { return true; }
    bool on_object_end(std::size_t count, Problem&) {
        values.push_object(count);
        return true;
    }
    bool on_array_begin(Problem&) { return true; }
    bool on_array_end(std::size_t count, Problem&) {
        values.push_array(count);
        return true;
    }
    bool on_key_part(Text part, std::size_t, Problem&) {
        values.push_chars(part);
        return true;
    }
    bool on_key(Text part, std::size_t, Problem&) {
        values.push_key(part);
        return true;
    }
    bool on_string_part(Text part, std::size_t, Problem&) {
        values.push_chars(part);
        return true;
    }
    bool on_string(Text part, std::size_t, Problem&) {
        values.push_string(part);
        return true;
    }
    bool on_number_part(Text, Problem&) { return true; }
    bool on_int64(std::int64_t number, Text, Problem&) {
        values.push_int64(number);
        return true;
    }
    bool on_uint64(std::uint64_t number, Text, Problem&) {
        values.push_uint64(number);
        return true;
    }
    // The whole number is in `text`, because the document is given in one piece.
    bool on_double(double near, Text text, Problem& problem) {
        double exact = 0;
        const std::errc misread = std::from_chars(text.data(), text.data() + text.size(), exact).ec;
        if (misread != std::errc{}) exact = near;  // out of range: 0 or infinite
        if (!std::isfinite(exact)) {
            problem = json::make_error_code(json::error::exponent_overflow);
            return false;
        }
        values.push_double(exact);
        return true;
    }
    bool on_bool(bool truth, Problem&) {
        values.push_bool(truth);
        return true;
    }
    bool on_null(Problem&) {
        values.push_null();
        return true;
    }
    bool on_comment_part(Text, Problem&) { return true; }
    bool on_comment(Text, Problem&) { return true; }
};

void append_pretty(std::string& out, const json::value& value, const std::string& line_start) {
    const std::string inner = line_start + "  ";
    if (const json::object* object = value.if_object(); object != nullptr && !object->empty()) {
        const char* before = "{";
        for (const auto& [key, member] : *object) {
            out += before + inner + json::serialize(key) + ": ";
            append_pretty(out, member, inner);
            before = ",";
        }
        out += line_start + "}";
    } else if (const json::array* array = value.if_array(); array != nullptr && !array->empty()) {
        const char* before = "[";
        for (const json::value& element : *array) {
            out += before + inner;
            append_pretty(out, element, inner);
            before = ",";
        }
        out += line_start + "]";
    } else if (const double* number = value.if_double(); number != nullptr && std::isfinite(*number)) {
        // Boost writes 7.5E3; a fraction keeps a double one for whoever reads it back.
        const std::string text = to_text(*number);
        out += text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
    } else {
        out += json::serialize(value);
    }
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::size_t depth_max) {
    json::parse_options options;
    options.max_depth = depth_max;
    json::basic_parser<Handler> parser(options);
    json::error_code problem;
    const std::size_t size = parser.write_some(false, text.data(), text.size(), problem);
    if (problem || size < text.size()) {
        const std::string_view before = text.substr(0, size);
        const auto line = std::ranges::count(before, '\n') + 1;
        const std::size_t column = size - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
        return Error{.kind = Kind::BadReply,
                     .what = fmt::format("JSON is wrong at line {}, column {}: {}", line, column,
                                         problem ? problem.message() : "something follows its end")};
    }
    return parser.handler().values.release();
}

std::optional<std::string> text_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return std::string(value->get_string());
}

std::optional<std::int64_t> int_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_int64()) return value->get_int64();
    constexpr double exact_max = 9007199254740992;  // 2^53
    if (value->is_double() && std::trunc(value->get_double()) == value->get_double() &&
        std::abs(value->get_double()) <= exact_max) {
        return static_cast<std::int64_t>(value->get_double());
    }
    return std::nullopt;  // a uint64 in a json::value is always beyond int64
}

std::optional<double> double_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

std::optional<bool> bool_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_bool()) return std::nullopt;
    return value->get_bool();
}

const json::array* array_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? nullptr : value->if_array();
}

const json::object* object_at(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr ? nullptr : value->if_object();
}

std::string to_pretty(const json::value& value) {
    std::string out;
    append_pretty(out, value, "\n");
    return out;
}

}  // namespace lockstep

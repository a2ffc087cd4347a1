#pragma once

// The one header that brings in Boost.JSON. Include it from .cpp files only; headers of ours name no JSON types.
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

namespace json = boost::json;

/// Parses one JSON document: at most `depth_max` deep, UTF-8 checked, nothing after it, numbers that do not fit are
/// read as doubles. The last of several members with one name wins. Errors: BadReply with line and column (in bytes),
/// also for a number beyond double.
Result<json::value> parse_json(std::string_view text, std::size_t depth_max = 64);

/// The text, number, truth value at `key`; nothing when the key is absent, null or of another type. int_at takes 5000.0
/// for 5000.
std::optional<std::string> text_at(const json::object& object, std::string_view key);
std::optional<std::int64_t> int_at(const json::object& object, std::string_view key);
std::optional<double> double_at(const json::object& object, std::string_view key);
std::optional<bool> bool_at(const json::object& object, std::string_view key);
const json::array* array_at(const json::object& object, std::string_view key);
const json::object* object_at(const json::object& object, std::string_view key);

/// Two-space indent, keys in the order they were put in.
std::string to_pretty(const json::value& value);

}  // namespace lockstep

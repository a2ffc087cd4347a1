#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/json.h"

namespace lockstep {

/// What a program printed as JSON; fails the test when it is none.
inline json::value parsed(const std::string& text) {
    Result<json::value> value = parse_json(text);
    EXPECT_TRUE(value.ok()) << text;
    return value.ok() ? *value : json::value();
}

inline std::string text(const json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

}  // namespace lockstep

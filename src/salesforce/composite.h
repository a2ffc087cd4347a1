#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "http/message.h"

namespace lockstep::salesforce {

// The composite resource: up to 25 questions, 5 of them queries, in one API call (salesforce-api 10.2). Pure functions.

inline constexpr std::size_t kCompositePartsMax = 25;
inline constexpr std::size_t kCompositeQueriesMax = 5;

/// A GET within a composite call.
struct CompositePart {
    std::string path;                     ///< host-relative, percent-encoded: "/services/data/v62.0/query?q=…"
    std::optional<Timestamp> only_since;  ///< If-Modified-Since
    bool operator==(const CompositePart&) const = default;
};

/// The body of the call. The parts do not depend on each other: one that fails fails alone.
std::string composite_body(std::span<const CompositePart> parts);
/// The parts of a `body` that composite_body made; nothing for any other.
std::optional<std::vector<CompositePart>> composite_parts(std::string_view body);
/// The answers of a 2xx body, in the order of the parts, as if each had come by itself.
/// Errors: BadReply – not one answer a part.
Result<std::vector<http::Response>> parse_composite(std::string_view body, std::size_t parts);

}  // namespace lockstep::salesforce

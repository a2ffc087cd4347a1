#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"

namespace lockstep::http {

/// Header fields; names compare without regard to case, one value a name (the last one wins).
using Headers = std::map<std::string, std::string, IgnoringCase>;

struct Request {
    std::string method = "GET";
    /// Client side: the absolute URL. Server side: path and query as received, "/services/data?x=1".
    std::string target;
    Headers headers;
    std::string body;

    /// Server side helpers. `path()` is percent-encoded as received and has doubled slashes folded; `query(name)` is
    /// decoded.
    std::string path() const;
    std::string query(std::string_view name) const;
    bool has_query(std::string_view name) const;
    std::string_view header(std::string_view name) const;
};

struct Response {
    int status = 200;
    Headers headers;
    std::string body;
    std::string_view header(std::string_view name) const;
};

}  // namespace lockstep::http

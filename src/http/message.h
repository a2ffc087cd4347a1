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

    /// The path of `target`, percent-encoded as received, doubled slashes folded: "/services/data".
    std::string path() const;
    /// The first value of the query parameter `name`, decoded; empty when there is none. Names are compared decoded.
    std::string query(std::string_view name) const;
    bool has_query(std::string_view name) const;
    /// Empty when there is none, as when its value is empty. Valid while `headers` is unchanged.
    std::string_view header(std::string_view name) const;
};

struct Response {
    int status = 200;
    Headers headers;
    std::string body;
    std::string_view header(std::string_view name) const;
};

/// Path and query of an absolute URL or of a target as received: "https://host/a?b=1" and "/a?b=1" both give "/a?b=1",
/// "https://host" gives "/". A fragment is cut.
std::string origin_form(std::string_view target);

/// Whether `name` may name a header field and `value` be its text: neither can end the line or start another.
bool is_header_field(std::string_view name, std::string_view value);

/// Whether an Accept-Encoding field allows gzip: named, and not with q=0.
bool accepts_gzip(std::string_view accept_encoding);

}  // namespace lockstep::http

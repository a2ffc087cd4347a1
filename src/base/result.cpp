#include "base/result.h"

#include <algorithm>

namespace lockstep {

const char* name(Kind kind) {
    switch (kind) {
        case Kind::Invalid:
            return "invalid";
        case Kind::NotFound:
            return "not_found";
        case Kind::Denied:
            return "denied";
        case Kind::Throttled:
            return "throttled";
        case Kind::Unavailable:
            return "unavailable";
        case Kind::BadReply:
            return "bad_reply";
        case Kind::Rejected:
            return "rejected";
        case Kind::Conflict:
            return "conflict";
        case Kind::Cancelled:
            return "cancelled";
    }
    return "unknown";
}

std::string to_string(const Error& error) {
    std::string line = error.what;
    if (!error.hint.empty()) line += " (" + error.hint + ")";
    std::ranges::replace(line, '\r', ' ');
    std::ranges::replace(line, '\n', ' ');
    return line;
}

}  // namespace lockstep

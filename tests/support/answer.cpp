#include "tests/support/answer.h"

#include <string>
#include <utility>

namespace lockstep::support {

Result<http::Response> received(http::Answer answer) {
    if (answer.drop) {
        return Error{.kind = Kind::Unavailable, .what = "The connection was closed without an answer"};
    }
    http::Response response{
        .status = answer.status, .headers = std::move(answer.headers), .body = std::move(answer.body)};
    if (answer.pieces) {
        std::string piece;
        for (bool more = true; more; response.body += piece) {
            piece.clear();
            more = answer.pieces(piece);
        }
    }
    const std::int64_t cut = answer.cut_after_bytes;
    if (cut >= 0 && static_cast<std::size_t>(cut) < response.body.size()) {
        return Error{.kind = Kind::BadReply, .what = "The answer was cut"};
    }
    return response;
}

}  // namespace lockstep::support

#pragma once

#include <string>
#include <string_view>

#include "salesforce/session.h"

namespace lockstep::salesforce {

/// Fetches `path` and reads its answer, until the reading finds it whole, at most three times: an answer can be of the
/// right type and still be cut or wrong, and the second one mostly is not.
///
/// `read(http::Response&&)` returns a Result; its BadReply means "not whole". Errors of the session are not repeated
/// here: it has been patient already.
template <class Read>
auto fetch(Session& session, std::string_view path, const http::Headers& headers, Read read)
    -> decltype(read(http::Response())) {
    constexpr int kTriesMax = 3;
    constexpr std::int64_t kPauseMs = 200;
    for (int tries = 1;; ++tries) {
        http::Response answer = TRY(session.get(path, headers));
        auto result = read(std::move(answer));
        if (result.ok() || result.error().kind != Kind::BadReply || tries == kTriesMax) return result;
        TRY(session.pause(kPauseMs * tries));
    }
}

}  // namespace lockstep::salesforce

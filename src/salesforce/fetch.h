#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "salesforce/session.h"

namespace lockstep::salesforce {

/// Asks and reads the answer, until the reading finds it whole, at most three times: an answer can be of the right type
/// and still be cut or wrong, and the second one mostly is not.
///
/// `ask()` makes one call of `session`. `read(http::Response&&)` returns a Result; its BadReply means "not whole".
/// Errors of the session are not repeated here: it has been patient already.
template <class Ask, class Read>
auto fetch_by(Session& session, Ask ask, Read read) -> decltype(read(http::Response())) {
    constexpr int kTriesMax = 3;
    constexpr std::int64_t kPauseMs = 200;
    for (int tries = 1;; ++tries) {
        http::Response answer = TRY(ask());
        auto result = read(std::move(answer));
        if (result.ok() || result.error().kind != Kind::BadReply || tries == kTriesMax) return result;
        TRY(session.pause(kPauseMs * tries));
    }
}

/// fetch_by with a GET of `path`.
template <class Read>
auto fetch(Session& session, std::string_view path, const http::Headers& headers, Read read)
    -> decltype(read(http::Response())) {
    return fetch_by(
        session, [&] { return session.get(path, headers); }, std::move(read));
}

}  // namespace lockstep::salesforce

#pragma once

#include <string>

#include "base/time.h"

namespace lockstep::sandbox {

struct Certificate {
    std::string certificate_pem;
    std::string private_key_pem;
};

/// A certificate of its own authority for localhost, 127.0.0.1 and `host`, good from a day before `now` for a year.
/// Throws Failure when the library can not make one.
Certificate make_certificate(const std::string& host, Timestamp now);

}  // namespace lockstep::sandbox

#pragma once

#include "base/result.h"
#include "http/message.h"
#include "http/serve.h"

namespace lockstep::support {

/// What a client makes of an answer that comes over no wire: pieces joined, a cut body or a dropped line as the error
/// the network sender tells.
Result<http::Response> received(http::Answer answer);

}  // namespace lockstep::support

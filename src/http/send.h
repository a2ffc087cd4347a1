#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace lockstep::http {

/// Limits of one exchange. A transfer slower than `slow_bytes_per_s` for `slow_for_s` is given up.
struct Limits {
    long connect_timeout_ms = 10'000;
    long total_timeout_ms = 120'000;
    long slow_bytes_per_s = 100;
    long slow_for_s = 30;
    std::size_t body_bytes_max = 64u << 20;
};

/// Takes pieces of a body as they arrive, decoded; returning false abandons the transfer.
using BodySink = std::function<bool(std::string_view piece)>;

/// Sends HTTP requests and gives whole, verified answers.
///
/// A body that is shorter than its length, misses its last chunk, or whose gzip is cut, is an error (BadReply), never a
/// short answer. Redirects are not followed; TLS is verified and has no switch to turn that off; plain http is refused
/// unless the host is a loopback address. Connections are kept and reused. Asks for gzip and decodes it.
///
/// Thread rules: any thread, calls are independent.
class Sender {
public:
    virtual ~Sender() = default;
    /// Errors: Unavailable – no connection, timeout, name or TLS trouble (the sentence says which);
    ///         BadReply – cut or undecodable body, or larger than allowed.
    /// An answer of any status, 500 included, is a value.
    virtual Result<Response> send(const Request& request, const Limits& limits = {}) = 0;
    /// As send, but a 2xx body goes to `sink` piece by piece and is not kept; other bodies are in the answer.
    virtual Result<Response> stream(const Request& request, const BodySink& sink, const Limits& limits = {}) = 0;
};

/// Over the network, with libcurl. `ca_file`: an additional certificate authority, for tests and private hosts.
std::unique_ptr<Sender> network_sender(std::string user_agent, std::string ca_file = {});

using Handler = std::function<Response(const Request&)>;
/// Calls `handler` in this process, no socket: for tests that need no wire.
std::unique_ptr<Sender> loopback_sender(Handler handler);

}  // namespace lockstep::http

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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
    /// Of the body as sent and as decoded, each; of `stream` as well.
    std::size_t body_bytes_max = 64u << 20;
    /// Whether to ask for a compressed answer. Unset: yes over a network, where it is 5 to 7 times faster, and no on
    /// this machine, where it only costs time.
    std::optional<bool> gzip;
};

/// Takes pieces of a body as they arrive, decoded; returning false abandons the transfer.
using BodySink = std::function<bool(std::string_view piece)>;

/// Sends HTTP requests and gives whole, verified answers.
///
/// A body that is shorter than its length, misses its last chunk, or whose gzip is cut, is an error (BadReply), never a
/// short answer; so is a 2xx answer that does not say where its body ends. Redirects are not followed; TLS is verified
/// and has no switch to turn that off; plain http is refused unless the host is a loopback address. Connections are
/// kept and reused. Asks for gzip and decodes it: the answer then has no Content-Encoding and no Content-Length.
///
/// A request reaches the server at most once, except GET and HEAD, which are asked again when a kept connection turns
/// out to be closed: after an error, a POST may have been acted on, but never twice.
///
/// Thread rules: any thread, calls are independent.
class Sender {
public:
    virtual ~Sender() = default;
    /// `request.target` is an absolute http or https URL without a user name. Content-Length, Transfer-Encoding and
    /// Expect are ours to say and may not be among the headers.
    ///
    /// Errors: Unavailable – no connection, timeout, name or TLS trouble (the sentence says which);
    ///         BadReply – cut or undecodable body, or one larger than allowed (code BODY_TOO_LARGE);
    ///         Invalid – not a URL we may use (plain http to another machine), or a header that is none.
    /// An answer of any status, 500 included, is a value.
    virtual Result<Response> send(const Request& request, const Limits& limits = {}) = 0;
    /// As send, but a 2xx body goes to `sink` piece by piece and is not kept; other bodies are in the answer. Pieces
    /// that came before an error were part of a body that can not be trusted: throw them away. What `sink` throws
    /// comes out of stream.
    ///
    /// Errors: as send; Cancelled – `sink` returned false.
    virtual Result<Response> stream(const Request& request, const BodySink& sink, const Limits& limits = {}) = 0;
    /// Sends all of `requests`, at most `parallel_max` at a time. Answers are in the order of the requests; one that
    /// fails does not stop the others. This default sends them one after the other.
    virtual std::vector<Result<Response>> send_all(std::span<const Request> requests, const Limits& limits = {},
                                                   int parallel_max = 8);
};

/// Over the network, with libcurl, HTTP/1.1. `ca_file`: an additional certificate authority (PEM), for tests and
/// private hosts. Proxies named in the environment (https_proxy, no_proxy) are used, except for loopback hosts.
std::unique_ptr<Sender> network_sender(std::string user_agent, std::string ca_file = {});

using Handler = std::function<Response(const Request&)>;
/// Calls `handler` in this process, no socket: for tests that need no wire. The handler sees what a server would:
/// path and query. What it throws comes out of the call.
std::unique_ptr<Sender> loopback_sender(Handler handler);

}  // namespace lockstep::http

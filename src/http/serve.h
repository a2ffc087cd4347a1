#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http/message.h"

namespace lockstep::http {

/// What a handler answers with. Exactly one of `body` and `pieces` is used.
///
/// `pieces` is called until it returns false, on the server's pool, one call at a time, and no thread is held between
/// the calls. `piece` comes empty, with the memory of the one before; what it holds is sent at once, also the last
/// time; left empty, there is nothing to send yet, and it is asked again after 50 ms: an event stream needs no thread
/// to wait on. The body is sent chunked, so that a result of any size needs the memory of one piece. When it throws,
/// the connection is closed without the last chunk, so that the client sees a cut. It is not called again once the
/// client is gone, and is destroyed then.
///
/// Content-Length, Transfer-Encoding and Connection are the server's to say; the handler's are left out.
struct Answer {
    int status = 200;
    Headers headers;
    std::string body;
    std::function<bool(std::string& piece)> pieces;
    /// Faults, for a server that plays one: close the connection after this many bytes of the encoded body (-1: never),
    /// wait before answering, and whether to close without any answer (after the wait).
    std::int64_t cut_after_bytes = -1;
    std::int64_t delay_ms = 0;
    bool drop = false;
};

using AnswerHandler = std::function<Answer(const Request&)>;

struct ServeOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;  ///< 0: any free one
    int threads = 8;         ///< handlers running at once
    std::size_t header_bytes_max = 32u << 10;
    std::size_t body_bytes_max = 160u << 20;  ///< of a request, as sent and as decoded, each
    int header_timeout_s = 10;                ///< a header is whole this long after its first byte
    int idle_timeout_s = 60;                  ///< between requests, and while a client takes none of an answer
    std::string tls_certificate_pem;          ///< both set: https
    std::string tls_private_key_pem;
    /// Compress answers of at least this size when the client accepts gzip; 0 turns it off. What is packed already
    /// (images, archives) and event streams are left alone.
    std::size_t gzip_from_bytes = 1024;
};

/// An HTTP/1.1 server (Boost.Beast): asynchronous accept, blocking handlers on a pool, keep-alive, hard limits on
/// header, body and time. Request bodies in gzip are decoded before the handler sees them (without Content-Encoding and
/// Content-Length). An exception of a handler becomes a 500 without details. HEAD is answered by the handler, and its
/// body is left out. A body has to arrive with at least 1 KiB a second.
///
/// Refused before a handler sees it: 400 – not HTTP, framed in two ways (Content-Length and Transfer-Encoding),
/// folded headers, damaged gzip; 413 – body too large; 414 – request line over 16 KiB; 415 – body packed as anything
/// but gzip; 417 – expects anything but 100-continue; 431 – header too large.
///
/// Destruction stops accepting, closes idle connections, waits for running handlers, and gives their answers a second
/// to leave.
///
/// Thread rules: the handler is called from several threads at once.
class Server {
public:
    /// Throws Failure when the port can not be opened, or the certificate and its key can not be used.
    Server(ServeOptions options, AnswerHandler handler);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::uint16_t port() const;
    std::string url() const;  ///< "http://127.0.0.1:40123"
    /// Connections accepted since the start.
    std::uint64_t connections_count() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::http

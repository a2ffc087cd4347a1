#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "http/message.h"

namespace lockstep::http {

/// What a handler answers with. Exactly one of `body` and `pieces` is used. `pieces` is called until it returns false,
/// on the connection's thread; the body is then sent chunked, so that a result of any size needs the memory of one
/// piece.
struct Answer {
    int status = 200;
    Headers headers;
    std::string body;
    std::function<bool(std::string& piece)> pieces;
    /// Faults, for a server that plays one: close the connection after this many bytes of the encoded body (-1: never),
    /// wait before answering, and whether to close without any answer.
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
    std::size_t body_bytes_max = 160u << 20;
    int header_timeout_s = 10;
    int idle_timeout_s = 60;
    std::string tls_certificate_pem;  ///< both set: https
    std::string tls_private_key_pem;
    /// Compress answers of at least this size when the client accepts gzip; 0 turns it off.
    std::size_t gzip_from_bytes = 1024;
};

/// An HTTP/1.1 server (Boost.Beast): asynchronous accept, blocking handlers on a pool, keep-alive, hard limits on
/// header, body and time. Request bodies in gzip are decoded before the handler sees them. An exception of a handler
/// becomes a 500 without details. Destruction stops accepting, closes idle connections, and waits for running handlers.
class Server {
public:
    /// Throws Failure when the port can not be opened.
    Server(ServeOptions options, AnswerHandler handler);
    ~Server();
    Server(const Server&) = delete;

    std::uint16_t port() const;
    std::string url() const;  ///< "http://127.0.0.1:40123"

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::http

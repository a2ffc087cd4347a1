#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

// What the tests of this folder share: bytes on a socket, which no well-behaved client or server would send, and
// certificates.

namespace lockstep::http::testing {

/// A connection to a port of this machine that sends what it is told.
class RawClient {
public:
    explicit RawClient(std::uint16_t port);
    ~RawClient();
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void send(std::string_view bytes);
    /// Everything up to the end of the connection.
    std::string read_all();
    /// What came up to and including `mark`; less when the connection ends before it.
    std::string read_to(std::string_view mark);

private:
    int socket_;
    std::string unread_;
};

/// Sends `bytes` and reads to the end of the connection.
std::string ask_raw(std::uint16_t port, std::string_view bytes);

/// Answers each connection, one after the other, with `answer` once its request header has come, and closes it.
class RawServer {
public:
    explicit RawServer(std::string answer);
    ~RawServer();
    RawServer(const RawServer&) = delete;
    RawServer& operator=(const RawServer&) = delete;
    std::string url() const;

private:
    void serve(const std::string& answer) const;
    int listener_;
    std::uint16_t port_;
    std::thread thread_;
};

/// A port of this machine with nobody behind it, and one that never takes another connection.
std::uint16_t unused_port();
class FullPort {
public:
    FullPort();
    ~FullPort();
    FullPort(const FullPort&) = delete;
    FullPort& operator=(const FullPort&) = delete;
    std::uint16_t port() const { return port_; }

private:
    static constexpr int kFillers = 4;
    int listener_;
    int fillers_[kFillers];
    std::uint16_t port_;
};

/// A gate that threads wait at until it is opened, once and for all. Waiting gives up after ten seconds, so that a
/// broken test fails and does not hang.
class Gate {
public:
    void open();
    [[nodiscard]] bool wait();

private:
    std::mutex mutex_;
    std::condition_variable opened_;
    bool is_open_ = false;
};

/// A certificate that is its own authority, for `names` ("IP:127.0.0.1,DNS:localhost"), valid from `from_s` to `to_s`
/// seconds from now; and a file with it.
struct Certificate {
    std::string certificate_pem;
    std::string private_key_pem;
};
Certificate make_certificate(const std::string& names, long from_s = -3600, long to_s = 3600);

class TemporaryFile {
public:
    explicit TemporaryFile(std::string_view text);
    ~TemporaryFile();
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

}  // namespace lockstep::http::testing

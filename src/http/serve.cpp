#include "http/serve.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "base/gzip.h"
#include "base/log.h"
#include "base/text.h"
#include "base/world.h"

namespace lockstep::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::ip::tcp;
using beast::error_code;
using PlainStream = beast::basic_stream<tcp, asio::io_context::executor_type>;
using TlsStream = beast::ssl_stream<PlainStream>;
using Socket = PlainStream::socket_type;
using Parser = wire::request_parser<wire::string_body>;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kRequestLineBytesMax = 16u << 10;
constexpr std::size_t kReadBytes = 16u << 10;
constexpr std::size_t kWriteBytesMax = 4u << 20;  // of one write call; asio's own bound is 64 KiB
constexpr std::size_t kBodyBytesPerSecondMin = 1024;
constexpr seconds kLinger{1};          // for a client to read an answer it did not wait for
constexpr seconds kShutdownGrace{1};   // for answers under way at destruction
constexpr milliseconds kAskAgain{50};  // for a piece that was not there yet
constexpr std::string_view kHeaderEnd = "\r\n\r\n";

// ---- Answers, ready for the wire ----

/// How a body is told from what follows it.
enum class Framing { None, Length, Chunks, Close };

/// An answer with its header as text and its body encoded.
struct Reply {
    std::string head;
    std::string body;
    std::function<bool(std::string&)> pieces;
    Framing framing = Framing::None;
    bool is_gzip = false;  // of `pieces`; a body is packed already
    bool keeps_alive = false;
    bool drains = false;  // the request was not read to its end
    std::int64_t cut_after_bytes = -1;
    std::int64_t delay_ms = 0;
    bool drop = false;
};

/// What the shape of a reply depends on.
struct Asked {
    bool is_head = false;
    bool is_http_1_0 = false;
    bool accepts_gzip = false;
    bool keeps_alive = false;
};

Answer refusal(int status, std::string_view message) {
    return {
        .status = status,
        .headers = {{"Content-Type", "application/json"}},
        .body = R"({"error":{"code":")" + std::to_string(status) + R"(","message":")" + std::string(message) + "\"}}"};
}

bool is_worth_packing(const Headers& headers) {
    const auto given = headers.find("Content-Type");
    if (given == headers.end()) return true;
    const std::string_view type = trim(std::string_view(given->second).substr(0, given->second.find(';')));
    if (equals_ignoring_case(type, "text/event-stream")) return false;  // each event has to leave at once
    if (starts_with_ignoring_case(type, "text/")) return true;
    const std::string lower = to_lower(type);
    return std::ranges::any_of(std::array{"json", "javascript", "xml"},
                               [&](const char* word) { return lower.find(word) != std::string::npos; });
}

/// Headers that are not a handler's to say.
bool is_ours(std::string_view header) {
    constexpr std::array<std::string_view, 3> kOurs = {"Content-Length", "Transfer-Encoding", "Connection"};
    return std::ranges::any_of(kOurs, [&](std::string_view our) { return equals_ignoring_case(our, header); });
}

std::string head_of(const Answer& answer, const Reply& reply, Clock& clock) {
    std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " ";
    head += std::string_view(wire::obsolete_reason(wire::int_to_status(static_cast<unsigned>(answer.status))));
    head += "\r\n";
    const auto add = [&head](std::string_view name, std::string_view value) {
        head.append(name).append(": ").append(value).append("\r\n");
    };
    for (const auto& [name, value] : answer.headers) {
        check(is_header_field(name, value), "a handler answered with a header that is none");
        if (!is_ours(name)) add(name, value);
    }
    if (!answer.headers.contains("Date")) add("Date", to_http_date(clock.now()));
    if (reply.framing == Framing::Length) add("Content-Length", std::to_string(reply.body.size()));
    if (reply.framing == Framing::Chunks) add("Transfer-Encoding", "chunked");
    add("Connection", reply.keeps_alive ? "keep-alive" : "close");
    return head + "\r\n";
}

Reply to_reply(Answer answer, const Asked& asked, std::size_t gzip_from_bytes, Clock& clock) {
    Reply reply{.keeps_alive = asked.keeps_alive,
                .cut_after_bytes = answer.cut_after_bytes,
                .delay_ms = answer.delay_ms,
                .drop = answer.drop};
    check(answer.status >= 200 && answer.status <= 599, "a handler answered with a status that is none");
    const bool has_body = answer.status != 204 && answer.status != 304;
    const bool may_pack =
        gzip_from_bytes != 0 && !answer.headers.contains("Content-Encoding") && is_worth_packing(answer.headers);
    const bool packs = has_body && may_pack && asked.accepts_gzip && !asked.is_head;
    if (has_body && may_pack) answer.headers.try_emplace("Vary", "Accept-Encoding");

    if (has_body && answer.pieces) {
        reply.pieces = std::move(answer.pieces);
        reply.framing = asked.is_http_1_0 ? Framing::Close : Framing::Chunks;
        reply.keeps_alive = reply.keeps_alive && reply.framing == Framing::Chunks;
        reply.is_gzip = packs;
        if (packs) answer.headers["Content-Encoding"] = "gzip";
    } else if (has_body) {
        reply.framing = Framing::Length;
        const bool packs_body = packs && answer.body.size() >= gzip_from_bytes;
        reply.body = packs_body ? gzip(answer.body) : std::move(answer.body);
        if (packs_body) answer.headers["Content-Encoding"] = "gzip";
    }
    reply.head = head_of(answer, reply, clock);
    if (asked.is_head) {
        reply.body.clear();
        reply.pieces = nullptr;
    }
    return reply;
}

/// Packs the pieces of one body, fast rather than small.
class Deflater {
public:
    Deflater() {
        check(deflateInit2(&stream_, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
              "zlib could not start");
    }
    ~Deflater() { deflateEnd(&stream_); }
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;

    /// Appends to `out` what is ready after `piece`; everything when it is the last.
    void pack(std::string_view piece, bool is_last, std::string& out) {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
        stream_.avail_in = static_cast<uInt>(piece.size());
        do {
            const std::size_t filled = out.size();
            out.resize(filled + std::max<std::size_t>(piece.size() / 4, kReadBytes));
            stream_.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
            stream_.avail_out = static_cast<uInt>(out.size() - filled);
            deflate(&stream_, is_last ? Z_FINISH : Z_NO_FLUSH);
            const bool is_full = stream_.avail_out == 0;
            out.resize(out.size() - stream_.avail_out);
            if (!is_full) return;
        } while (true);
    }

private:
    z_stream stream_{};
};

// ---- Requests, checked ----

/// What is wrong with the bytes of a header that the parser would let pass: a second server in front of us could read
/// the same bytes as another request. Empty when nothing is.
std::string_view fault_of(std::string_view head) {
    for (std::size_t i = 0; i < head.size(); ++i) {
        if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return "A line does not end in CR LF";
        if (head[i] == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) return "A line does not end in CR LF";
        if (head[i] == '\0') return "The header holds a zero byte";
        if (i > 0 && head[i - 1] == '\n' && (head[i] == ' ' || head[i] == '\t'))
            return "A header goes on over two lines";
    }
    return {};
}

std::string_view fault_of(const wire::fields& fields, bool is_http_1_0) {
    const auto lines = fields.count(wire::field::transfer_encoding);
    if (lines > 0 && fields.count(wire::field::content_length) > 0) return "The body is framed in two ways";
    if (lines > 1 || (lines == 1 && is_http_1_0)) return "Transfer-Encoding can not be used so";
    if (lines == 1 && !equals_ignoring_case(std::string_view(fields[wire::field::transfer_encoding]), "chunked")) {
        return "No Transfer-Encoding but chunked is known";
    }
    const auto hosts = fields.count(wire::field::host);
    if (hosts > 1 || (hosts == 0 && !is_http_1_0)) return "There has to be one Host header";
    return {};
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

struct Refused {
    int status;
    std::string_view why;
};

/// Whether `ec` says that nobody is there to be answered, rather than that what came is no HTTP.
bool is_gone(error_code ec) {
    return ec == wire::error::partial_message || ec == wire::error::end_of_stream ||
           ec.category() != error_code(wire::error::bad_chunk).category();
}

Refused refused_for(error_code ec) {
    if (ec == wire::error::body_limit) return {413, "The body is larger than allowed"};
    if (ec == wire::error::header_limit) return {431, "The header is larger than allowed"};
    return {400, "This is not an HTTP/1.1 request"};
}

// ---- The server ----

class Connection;

/// What the connections share: the handler, the limits, and two kinds of threads. One I/O thread does all that touches
/// a socket; the pool does what may block or takes time: handlers, pieces, packing.
struct Core {
    Core(ServeOptions options_in, AnswerHandler handler_in);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    void listen();
    void accept();
    void open(Socket socket);
    void close(const std::shared_ptr<Connection>& connection);
    Reply answer(Request request, const Asked& asked);

    const ServeOptions options;
    const AnswerHandler handler;
    const std::unique_ptr<Clock> clock = system_clock();
    std::optional<asio::ssl::context> tls;

    std::atomic<std::uint64_t> accepted = 0;
    std::atomic<bool> is_stopping = false;

    // What the destructor waits for.
    std::mutex mutex;
    std::condition_variable changed;
    int running = 0;             // guarded by mutex: jobs on the pool
    std::size_t open_count = 0;  // guarded by mutex: the size of `connections`

    asio::io_context io{1};
    // The I/O thread stays also while all there is to do is done on the pool.
    asio::executor_work_guard<asio::io_context::executor_type> io_stays{io.get_executor()};
    tcp::acceptor acceptor{io};
    asio::steady_timer accept_again{io};
    std::unordered_set<std::shared_ptr<Connection>> connections;  // touched on the I/O thread only
    asio::thread_pool workers;
    std::thread io_thread;
};

/// One connection. Everything but the jobs it gives to the pool happens on the I/O thread.
class Connection {
public:
    virtual ~Connection() = default;
    virtual void start() = 0;
    enum class Stop { WhenAnswered, Now };
    virtual void stop(Stop how) = 0;
};

/// Owned by the server's set while it is open, and by the operation under way, which may end after that.
template <class Stream>
class ConnectionOver final : public Connection, public std::enable_shared_from_this<ConnectionOver<Stream>> {
public:
    template <class... Arguments>
    explicit ConnectionOver(Core& server, Arguments&&... arguments)
        : server_(server), stream_(std::forward<Arguments>(arguments)...), delay_(server.io) {}

    void start() override {
        error_code ignored;
        socket().set_option(tcp::no_delay(true), ignored);
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            tcp_stream().expires_after(seconds(server_.options.header_timeout_s));
            stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](error_code ec) {
                if (ec) return self->close();
                self->read_request();
            });
        } else {
            read_request();
        }
    }

    void stop(Stop how) override {
        if (how == Stop::Now || is_reading_ || is_delayed_) close();
    }

private:
    PlainStream& tcp_stream() {
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            return stream_.next_layer();
        } else {
            return stream_;
        }
    }
    Socket& socket() { return tcp_stream().socket(); }

    // -- reading --

    void read_request() {
        if (server_.is_stopping) return close();
        is_reading_ = true;
        header_started_ = false;
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(server_.options.header_bytes_max));
        parser_->body_limit(server_.options.body_bytes_max);
        read_header();
    }

    // The header is collected here and not by Beast, whose parser no longer knows how the bytes were laid out.
    void read_header() {
        const std::string_view bytes = buffered();
        const std::size_t end = bytes.find(kHeaderEnd, scanned_);
        const std::size_t line_bytes = std::min(bytes.find('\n'), bytes.size());
        const std::size_t head_bytes = end == std::string_view::npos ? bytes.size() : end + kHeaderEnd.size();
        // Most likely a TLS client that took this for an https port: tell it at once.
        if (!bytes.empty() && !is_letter(bytes.front())) return refuse(400, "This is not an HTTP/1.1 request");
        if (line_bytes > kRequestLineBytesMax) return refuse(414, "The address is larger than allowed");
        if (head_bytes > server_.options.header_bytes_max) return refuse(431, "The header is larger than allowed");
        if (end != std::string_view::npos) {
            scanned_ = 0;
            return take_header(bytes.substr(0, head_bytes));
        }
        scanned_ = bytes.size() - std::min(bytes.size(), kHeaderEnd.size() - 1);
        if (bytes.empty()) {
            tcp_stream().expires_after(seconds(server_.options.idle_timeout_s));
        } else if (!header_started_) {
            header_started_ = true;
            tcp_stream().expires_after(seconds(server_.options.header_timeout_s));
        }
        stream_.async_read_some(buffer_.prepare(kReadBytes),
                                [self = this->shared_from_this()](error_code ec, std::size_t count) {
                                    if (ec) return self->close();
                                    self->buffer_.commit(count);
                                    self->read_header();
                                });
    }

    std::string_view buffered() const {
        const auto bytes = buffer_.cdata();
        return {static_cast<const char*>(bytes.data()), bytes.size()};
    }

    void take_header(std::string_view head) {
        if (const std::string_view fault = fault_of(head); !fault.empty()) return refuse(400, fault);
        error_code ec;
        buffer_.consume(parser_->put(asio::const_buffer(head.data(), head.size()), ec));
        if (ec) {
            const Refused refused = refused_for(ec);
            return refuse(refused.status, refused.why);
        }
        const auto& message = parser_->get();
        if (const std::string_view fault = fault_of(message, message.version() < 11); !fault.empty()) {
            return refuse(400, fault);
        }
        const std::string_view expected(message[wire::field::expect]);
        if (!expected.empty() && !equals_ignoring_case(expected, "100-continue")) {
            return refuse(417, "Only 100-continue can be expected");
        }
        parser_->eager(true);
        body_started_ = std::chrono::steady_clock::now();
        body_bytes_ = 0;
        if (expected.empty() || parser_->is_done()) return read_body();
        static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        write({asio::const_buffer(kContinue.data(), kContinue.size())}, &ConnectionOver::read_body);
    }

    void read_body() {
        if (parser_->is_done()) return run_handler();
        const seconds earned(server_.options.header_timeout_s + body_bytes_ / kBodyBytesPerSecondMin);
        const auto idle = std::chrono::steady_clock::now() + seconds(server_.options.idle_timeout_s);
        tcp_stream().expires_at(std::min(idle, body_started_ + earned));
        wire::async_read_some(stream_, buffer_, *parser_,
                              [self = this->shared_from_this()](error_code ec, std::size_t count) {
                                  self->body_bytes_ += count;
                                  if (!ec) return self->read_body();
                                  if (is_gone(ec)) return self->close();
                                  const Refused refused = refused_for(ec);
                                  self->refuse(refused.status, refused.why);
                              });
    }

    // -- answering --

    void run_handler() {
        is_reading_ = false;
        tcp_stream().expires_never();
        auto message = parser_->release();
        const Asked asked{.is_head = message.method() == wire::verb::head,
                          .is_http_1_0 = message.version() < 11,
                          .accepts_gzip = accepts_gzip(std::string_view(message[wire::field::accept_encoding])),
                          .keeps_alive = message.keep_alive()};
        Request request{.method = std::string(message.method_string()), .target = std::string(message.target())};
        for (const auto& line : message) {
            request.headers.insert_or_assign(std::string(line.name_string()), std::string(line.value()));
        }
        request.body = std::move(message.body());
        run_on_pool(
            [this, request = std::move(request), asked]() mutable { return server_.answer(std::move(request), asked); },
            [this](Reply reply) { deliver(std::move(reply)); });
    }

    void refuse(int status, std::string_view why) {
        is_reading_ = false;
        Reply reply = to_reply(refusal(status, why), {}, 0, *server_.clock);
        reply.drains = true;
        deliver(std::move(reply));
    }

    void deliver(Reply reply) {
        reply_ = std::move(reply);
        if (reply_.delay_ms <= 0) return send_reply();
        wait(milliseconds(reply_.delay_ms), &ConnectionOver::send_reply);
    }

    void send_reply() {
        if (reply_.drop) {
            error_code ignored;
            socket().set_option(asio::socket_base::linger(true, 0), ignored);  // a reset, as of a server that died
            return close();
        }
        const asio::const_buffer head = asio::buffer(reply_.head);
        if (reply_.pieces) {
            sent_bytes_ = 0;
            if (reply_.is_gzip) deflater_.emplace();
            return write({head}, &ConnectionOver::make_piece);
        }
        const bool is_cut = is_cut_within(reply_.body.size());
        const std::size_t count = is_cut ? static_cast<std::size_t>(reply_.cut_after_bytes) : reply_.body.size();
        write({head, asio::const_buffer(reply_.body.data(), count)},
              is_cut ? &ConnectionOver::close : &ConnectionOver::finish);
    }

    bool is_cut_within(std::size_t bytes) const {
        return reply_.cut_after_bytes >= 0 && static_cast<std::uint64_t>(reply_.cut_after_bytes) <= bytes;
    }

    /// A piece of the body, encoded.
    struct Piece {
        bool is_last = false;
        bool failed = false;
    };

    void make_piece() {
        if (server_.is_stopping) return close();
        run_on_pool([this] { return next_piece(); }, [this](Piece piece) { send_piece(piece); });
    }

    Piece next_piece() {
        try {
            piece_.clear();
            const bool is_last = !reply_.pieces(piece_);
            if (deflater_) {
                packed_.clear();
                deflater_->pack(piece_, is_last, packed_);
            }
            return {.is_last = is_last};
        } catch (const std::exception& e) {
            log::error("an answer was cut, for its next piece could not be made", {{"cause", e.what()}});
        } catch (...) {
            log::error("an answer was cut, for its next piece could not be made");
        }
        return {.failed = true};
    }

    void send_piece(Piece piece) {
        if (piece.failed) return close();
        const std::string& bytes = deflater_ ? packed_ : piece_;
        const bool is_cut = is_cut_within(sent_bytes_ + bytes.size());
        const std::size_t count =
            is_cut ? static_cast<std::size_t>(reply_.cut_after_bytes) - sent_bytes_ : bytes.size();
        if (piece_.empty() && !piece.is_last && !is_cut) return wait(kAskAgain, &ConnectionOver::make_piece);
        sent_bytes_ += count;
        // An empty chunk would end the body.
        chunk_head_ = bytes.empty() || reply_.framing != Framing::Chunks ? "" : to_hex_number(bytes.size()) + "\r\n";
        std::string_view tail = chunk_head_.empty() ? "" : "\r\n";
        if (piece.is_last && reply_.framing == Framing::Chunks) tail = bytes.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n";
        if (is_cut) tail = "";
        write({asio::buffer(chunk_head_), asio::const_buffer(bytes.data(), count),
               asio::const_buffer(tail.data(), tail.size())},
              is_cut          ? &ConnectionOver::close
              : piece.is_last ? &ConnectionOver::finish
                              : &ConnectionOver::make_piece);
    }

    static std::string to_hex_number(std::size_t value) {
        std::array<char, 16> digits{};
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
        return {digits.data(), end};
    }

    void finish() {
        deflater_.reset();
        piece_ = {};
        packed_ = {};
        const bool goes_on = reply_.keeps_alive && !server_.is_stopping && reply_.cut_after_bytes < 0;
        const bool drains = reply_.drains;
        reply_ = {};
        if (goes_on) return read_request();
        tcp_stream().expires_after(kLinger);
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            if (!drains) {
                stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->close(); });
                return;
            }
        }
        if (!drains) return close();
        // Closing now would reset the connection over what the client still sends, and could take our answer with it.
        error_code ignored;
        socket().shutdown(Socket::shutdown_send, ignored);
        drain();
    }

    void drain() {
        buffer_.clear();
        tcp_stream().async_read_some(buffer_.prepare(kReadBytes),
                                     [self = this->shared_from_this()](error_code ec, std::size_t) {
                                         if (ec) return self->close();
                                         self->drain();
                                     });
    }

    /// Nothing may be sent after what was written: a cut, an error of the socket, or the end. What was written arrives:
    /// it ends in FIN, not in a reset that could overtake it.
    void close() {
        if (is_closed_) return;
        is_closed_ = true;
        delay_.cancel();
        error_code ignored;
        socket().close(ignored);
        server_.close(this->shared_from_this());
    }

    // -- helpers --

    using Step = void (ConnectionOver::*)();

    void wait(milliseconds time, Step then) {
        if (server_.is_stopping) return close();
        is_delayed_ = true;
        delay_.expires_after(time);
        delay_.async_wait([self = this->shared_from_this(), then](error_code ec) {
            self->is_delayed_ = false;
            if (!ec && !self->is_closed_) (self.get()->*then)();
        });
    }

    // Three buffers also where two would do: asio keeps a used-up first one of two in its sequence, which Beast's TLS
    // stream takes for the end of the work.
    using Buffers = std::array<asio::const_buffer, 3>;

    void write(const Buffers& buffers, Step then) {
        asio::async_write(
            stream_, buffers,
            [this](error_code ec, std::size_t) -> std::size_t {
                if (ec) return 0;
                // Any progress earns the time for some more.
                tcp_stream().expires_after(seconds(server_.options.idle_timeout_s));
                return kWriteBytesMax;
            },
            [self = this->shared_from_this(), then, all = asio::buffer_size(buffers)](error_code ec,
                                                                                      std::size_t count) {
                if (ec || count != all) return self->close();
                (self.get()->*then)();
            });
    }

    /// Runs `work` on the pool and hands what it returns to `then` on the I/O thread, unless the connection was closed.
    template <class Work, class Then>
    void run_on_pool(Work work, Then then) {
        {
            const std::lock_guard lock(server_.mutex);
            ++server_.running;
        }
        asio::post(server_.workers, [self = this->shared_from_this(), work = std::move(work), then]() mutable {
            Core& server = self->server_;
            auto made = work();
            asio::post(server.io, [self = std::move(self), made = std::move(made), then]() mutable {
                if (!self->is_closed_) then(std::move(made));
            });
            const std::lock_guard lock(server.mutex);
            --server.running;
            server.changed.notify_all();
        });
    }

    Core& server_;
    Stream stream_;
    beast::flat_buffer buffer_;
    std::optional<Parser> parser_;
    asio::steady_timer delay_;
    std::size_t scanned_ = 0;
    bool header_started_ = false;
    std::chrono::steady_clock::time_point body_started_;
    std::size_t body_bytes_ = 0;
    bool is_reading_ = true;
    bool is_delayed_ = false;
    bool is_closed_ = false;

    Reply reply_;
    std::optional<Deflater> deflater_;
    std::string piece_;
    std::string packed_;
    std::string chunk_head_;
    std::size_t sent_bytes_ = 0;
};

Core::Core(ServeOptions options_in, AnswerHandler handler_in)
    : options(std::move(options_in)),
      handler(std::move(handler_in)),
      workers(static_cast<std::size_t>(std::max(options.threads, 1))) {
    if (!options.tls_certificate_pem.empty() || !options.tls_private_key_pem.empty()) {
        try {
            tls.emplace(asio::ssl::context::tls_server);
            tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                             asio::ssl::context::no_tlsv1_1);
            tls->use_certificate_chain(asio::buffer(options.tls_certificate_pem));
            tls->use_private_key(asio::buffer(options.tls_private_key_pem), asio::ssl::context::pem);
        } catch (const boost::system::system_error& e) {
            throw Failure("The TLS certificate and its key can not be used: " + e.code().message(),
                          "both have to be PEM, the certificate first, and belong together");
        }
    }
    listen();
    accept();
    io_thread = std::thread([this] { io.run(); });
}

void Core::listen() {
    try {
        tcp::resolver resolver(io);
        const auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive);
        const tcp::endpoint endpoint = found.begin()->endpoint();
        acceptor.open(endpoint.protocol());
        acceptor.set_option(tcp::acceptor::reuse_address(true));
        acceptor.bind(endpoint);
        acceptor.listen();
    } catch (const boost::system::system_error& e) {
        throw Failure("Port " + std::to_string(options.port) + " of " + options.host +
                          " can not be opened: " + e.code().message(),
                      "choose another port, or stop the program that has it");
    }
}

void Core::accept() {
    acceptor.async_accept(io.get_executor(), [this](error_code ec, Socket socket) {
        if (is_stopping || ec == asio::error::operation_aborted) return;
        if (!ec) {
            open(std::move(socket));
            return accept();
        }
        // Out of file descriptors, most likely: some come back when connections end.
        log::warn("a connection could not be accepted", {{"cause", ec.message()}});
        accept_again.expires_after(milliseconds(50));
        accept_again.async_wait([this](error_code cancelled) {
            if (!cancelled) accept();
        });
    });
}

void Core::open(Socket socket) {
    ++accepted;
    std::shared_ptr<Connection> connection;
    if (tls) {
        connection = std::make_shared<ConnectionOver<TlsStream>>(*this, PlainStream(std::move(socket)), *tls);
    } else {
        connection = std::make_shared<ConnectionOver<PlainStream>>(*this, std::move(socket));
    }
    connections.insert(connection);
    {
        const std::lock_guard lock(mutex);
        ++open_count;
    }
    connection->start();
}

void Core::close(const std::shared_ptr<Connection>& connection) {
    connections.erase(connection);
    const std::lock_guard lock(mutex);
    open_count = connections.size();
    changed.notify_all();
}

/// On the pool: from a request as received to a reply.
Reply Core::answer(Request request, const Asked& asked) {
    const auto reply_to = [&](Answer answer) {
        return to_reply(std::move(answer), asked, options.gzip_from_bytes, *clock);
    };
    try {
        const std::string_view coding = request.header("Content-Encoding");
        if (equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "x-gzip")) {
            Result<std::string> body = gunzip(request.body, options.body_bytes_max);
            if (!body.ok()) return reply_to(refusal(400, "The gzip body is cut, damaged or larger than allowed"));
            request.body = std::move(body).value();
            request.headers.erase("Content-Encoding");
            request.headers.erase("Content-Length");
        } else if (!coding.empty() && !equals_ignoring_case(coding, "identity")) {
            return reply_to(refusal(415, "Only gzip can be unpacked"));
        }
        return reply_to(handler(request));
    } catch (const std::exception& e) {
        log::error("a request failed", {{"method", request.method}, {"path", request.path()}, {"cause", e.what()}});
    } catch (...) {
        log::error("a request failed", {{"method", request.method}, {"path", request.path()}});
    }
    return reply_to(refusal(500, "The server failed to answer; its log says why"));
}

Core::~Core() {
    is_stopping = true;
    const auto stop_all = [this](Connection::Stop how) {
        asio::post(io, [this, how] {
            error_code ignored;
            acceptor.close(ignored);
            accept_again.cancel();
            const auto open_now = connections;  // stopping takes them out of the set
            for (const auto& connection : open_now) connection->stop(how);
        });
    };
    stop_all(Connection::Stop::WhenAnswered);
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return running == 0; });
    const auto all_closed = [this] { return open_count == 0; };
    if (!changed.wait_for(lock, kShutdownGrace, all_closed)) {
        stop_all(Connection::Stop::Now);
        changed.wait(lock, all_closed);
    }
    lock.unlock();
    io_stays.reset();
    io_thread.join();
    workers.join();
}

}  // namespace

struct Server::Impl : Core {
    using Core::Core;
};

Server::Server(ServeOptions options, AnswerHandler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

Server::~Server() = default;

std::uint16_t Server::port() const {
    return impl_->acceptor.local_endpoint().port();
}

std::string Server::url() const {
    const bool is_v6 = impl_->options.host.find(':') != std::string::npos;
    const std::string host = is_v6 ? "[" + impl_->options.host + "]" : impl_->options.host;
    return (impl_->tls ? "https://" : "http://") + host + ":" + std::to_string(port());
}

std::uint64_t Server::connections_count() const {
    return impl_->accepted;
}

}  // namespace lockstep::http

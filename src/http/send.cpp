#include "http/send.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/gzip.h"
#include "base/text.h"

namespace lockstep::http {

namespace {

template <auto Free>
struct FreeWith {
    template <class T>
    void operator()(T* pointer) const {
        Free(pointer);
    }
};
using Easy = std::unique_ptr<CURL, FreeWith<curl_easy_cleanup>>;
using Url = std::unique_ptr<CURLU, FreeWith<curl_url_cleanup>>;
using HeaderList = std::unique_ptr<curl_slist, FreeWith<curl_slist_free_all>>;

constexpr std::size_t kInflateBytes = 256u << 10;
constexpr std::size_t kIdleHandlesMax = 32;

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
    check((curl_easy_setopt)(handle, option, value) == CURLE_OK, "libcurl lacks an option this program needs");
}

// ---- Where a request goes ----

/// A parsed URL. libcurl is handed the same parse, so that what was checked is what is connected to.
struct Destination {
    Url url;
    std::string scheme;
    std::string host;  // "[::1]" keeps its brackets
    std::string name;  // host and, where it is given, port: how errors name it
    bool is_loopback = false;
};

std::string part(CURLU* url, CURLUPart which) {
    char* text = nullptr;
    if (curl_url_get(url, which, &text, 0) != CURLUE_OK) return {};
    std::string copy(text);
    curl_free(text);
    return copy;
}

bool is_loopback(const std::string& host) {
    if (equals_ignoring_case(host, "localhost")) return true;  // libcurl never asks a name server for it
    in_addr v4{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6{};
    return host.size() > 2 && host.front() == '[' &&
           inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/// The URL up to its query, for an error: queries carry people's data.
std::string without_query(std::string_view url) {
    return std::string(url.substr(0, url.find_first_of("?#")));
}

Result<Destination> destination_of(const Request& request) {
    Destination to{.url = Url(curl_url())};
    const bool is_url = request.target.find('\0') == std::string::npos &&
                        curl_url_set(to.url.get(), CURLUPART_URL, request.target.c_str(),
                                     CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    to.scheme = part(to.url.get(), CURLUPART_SCHEME);
    to.host = part(to.url.get(), CURLUPART_HOST);
    if (!is_url || (to.scheme != "http" && to.scheme != "https")) {
        return Error{.kind = Kind::Invalid,
                     .what = "\"" + without_query(request.target) + "\" is not a web address",
                     .hint = "write it as https://host/path, without a user name"};
    }
    to.name = to.host;
    if (const std::string port = part(to.url.get(), CURLUPART_PORT); !port.empty()) to.name += ":" + port;
    to.is_loopback = is_loopback(to.host);
    if (to.scheme == "http" && !to.is_loopback) {
        return Error{.kind = Kind::Invalid,
                     .what = "Plain http to " + to.name + " is refused: others could read and change it on its way",
                     .hint = "write https; http is for this machine only"};
    }
    return to;
}

/// Headers that follow from the body.
bool is_ours(std::string_view header) {
    constexpr std::array<std::string_view, 3> kOurs = {"Content-Length", "Transfer-Encoding", "Expect"};
    return std::ranges::any_of(kOurs, [&](std::string_view our) { return equals_ignoring_case(our, header); });
}

Result<HeaderList> header_list(const Request& request, bool ask_gzip) {
    HeaderList list;
    const auto add = [&list](std::string name, std::string_view rest) {
        curl_slist* longer = curl_slist_append(list.get(), name.append(rest).c_str());
        check(longer != nullptr, "no memory for a header");
        (void)list.release();
        list.reset(longer);
    };
    for (const auto& [name, value] : request.headers) {
        if (is_ours(name) || !is_header_field(name, value)) {
            return Error{
                .kind = Kind::Invalid,
                .what = "\"" + to_valid_utf8(name.substr(0, 40)) + "\" can not be sent as a header",
                .hint = is_ours(name) ? "leave it out, it is set from the body" : "a header is one line of text"};
        }
        // A blank value has a notation of its own: "Name:" would mean "leave this header out".
        add(name, trim(value).empty() ? ";" : ": " + value);
    }
    if (!request.headers.contains("Content-Type")) add("Content-Type:", "");
    if (!request.headers.contains("Accept")) add("Accept:", " */*");
    if (ask_gzip && !request.headers.contains("Accept-Encoding")) add("Accept-Encoding:", " gzip");
    // Waiting for "100 Continue" costs a second with servers that do not know it.
    add("Expect:", "");
    return list;
}

// ---- Handles and their connections ----

/// Handles at rest with the connections they hold open. A handle serves one origin, so that taking the one used last
/// for it finds a warm connection.
class HandlePool {
public:
    Easy take(const std::string& origin) {
        const std::lock_guard lock(mutex_);
        const auto found =
            std::find_if(idle_.rbegin(), idle_.rend(), [&](const Idle& i) { return i.origin == origin; });
        if (found == idle_.rend()) return Easy(curl_easy_init());
        Easy handle = std::move(found->handle);
        idle_.erase(std::next(found).base());
        return handle;
    }

    void give_back(std::string origin, Easy handle) {
        Easy oldest;  // closes its connections after the lock is gone
        const std::lock_guard lock(mutex_);
        idle_.push_back({std::move(origin), std::move(handle)});
        if (idle_.size() <= kIdleHandlesMax) return;
        oldest = std::move(idle_.front().handle);
        idle_.erase(idle_.begin());
    }

private:
    struct Idle {
        std::string origin;
        Easy handle;
    };
    std::mutex mutex_;
    std::vector<Idle> idle_;  // guarded by mutex_; least recently used first
};

// ---- What comes back ----

/// Inflates gzip piece by piece.
///
/// libcurl's own decoding takes a gzip stream that stops early for a whole one, when the length or the last chunk
/// around it is right.
class Inflater {
public:
    Inflater() { check(inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK, "zlib could not start"); }
    ~Inflater() { inflateEnd(&stream_); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    /// Whether what came so far is one or more whole members.
    bool ended() const { return ended_; }

    /// Gives what `bytes` inflate to, in pieces, to `take(piece) -> bool`. False when the bytes are damaged; stops
    /// without complaint when `take` returns false.
    template <class Take>
    bool inflate(std::string_view bytes, Take&& take) {
        stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        stream_.avail_in = static_cast<uInt>(bytes.size());
        do {
            if (ended_ && stream_.avail_in > 0) {
                inflateReset(&stream_);
                ended_ = false;
            }
            stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
            stream_.avail_out = static_cast<uInt>(piece_.size());
            const int state = ::inflate(&stream_, Z_NO_FLUSH);
            if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) return false;
            ended_ = state == Z_STREAM_END;
            const std::size_t made = piece_.size() - stream_.avail_out;
            if (made > 0 && !take(std::string_view(piece_.data(), made))) return true;
        } while (stream_.avail_in > 0 || stream_.avail_out == 0);
        return true;
    }

private:
    z_stream stream_{};
    bool ended_ = false;
    std::string piece_ = std::string(kInflateBytes, '\0');
};

/// One answer as it arrives. libcurl calls take_header and take_body; false from them ends the transfer, and finish()
/// says why.
class Arrival {
public:
    Arrival(const Request& request, const Limits& limits, const BodySink* sink, const std::string& from)
        : limits_(limits), sink_(sink), from_(from), is_head_(request.method == "HEAD") {}

    bool header_done() const { return header_done_; }
    const std::string& from() const { return from_; }

    bool take_header(std::string_view line) {
        if (line.starts_with("HTTP/")) return begin_block(line);
        if (header_done_) return true;  // trailers
        line = trim(line);
        if (line.empty()) return response_.status < 200 || end_header();
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) return true;
        response_.headers.insert_or_assign(std::string(line.substr(0, colon)),
                                           std::string(trim(line.substr(colon + 1))));
        return true;
    }

    bool take_body(std::string_view bytes) {
        received_ += bytes.size();
        if (received_ > limits_.body_bytes_max) return too_large();
        if (!streams_) {
            response_.body += bytes;
            return true;
        }
        if (!inflater_) return give(bytes);
        if (!inflater_->inflate(bytes, [this](std::string_view piece) { return give(piece); })) {
            return fail(Kind::BadReply, "The gzip body of " + from_ + " is damaged", "try again");
        }
        return !error_;
    }

    /// Runs `step`, keeping what it throws: nothing may be thrown through libcurl.
    template <class Step>
    bool guard(Step&& step) {
        try {
            return step();
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
    }

    /// What we ourselves ended the transfer for.
    const std::optional<Error>& error() const {
        if (thrown_) std::rethrow_exception(thrown_);
        return error_;
    }

    /// Call after libcurl found nothing wrong.
    Result<Response> finish() {
        if (!header_done_) {
            return Error{.kind = Kind::BadReply,
                         .what = "The answer of " + from_ + " was cut within its header",
                         .hint = "try again"};
        }
        if (!is_gzip_) return std::move(response_);
        if (inflater_) {
            if (!inflater_->ended()) {
                return Error{
                    .kind = Kind::BadReply, .what = "The gzip body of " + from_ + " was cut", .hint = "try again"};
            }
        } else {
            Result<std::string> body = gunzip(response_.body, limits_.body_bytes_max);
            if (!body.ok()) {
                return Error{.kind = Kind::BadReply,
                             .what = "The answer of " + from_ + " can not be read: " + body.error().what,
                             .hint = "try again",
                             .code = body.error().code};
            }
            response_.body = std::move(body).value();
        }
        response_.headers.erase("Content-Encoding");
        response_.headers.erase("Content-Length");
        return std::move(response_);
    }

private:
    /// A block of headers starts: "100 Continue" and the like come before the one that counts.
    bool begin_block(std::string_view status_line) {
        const std::size_t blank = std::min(status_line.find(' '), status_line.size() - 1);
        response_ = {.status = static_cast<int>(parse_int(status_line.substr(blank + 1, 3)).value_or(0))};
        header_done_ = false;
        return true;
    }

    bool end_header() {
        header_done_ = true;
        const int status = response_.status;
        if (is_head_ || status == 204 || status == 304) return true;
        const bool is_success = status >= 200 && status <= 299;
        const auto length = parse_int(response_.header("Content-Length"));
        const bool is_chunked = equals_ignoring_case(response_.header("Transfer-Encoding"), "chunked");
        if (is_success && !length && !is_chunked) {
            return fail(Kind::BadReply,
                        "The answer of " + from_ + " does not say where it ends, so a cut would not show",
                        "its server, or a proxy before it, has to send Content-Length or chunks");
        }
        if (length && static_cast<std::uint64_t>(*length) > limits_.body_bytes_max) return too_large();

        const std::string_view coding = response_.header("Content-Encoding");
        is_gzip_ = equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "x-gzip");
        if (!is_gzip_ && !coding.empty() && !equals_ignoring_case(coding, "identity")) {
            return fail(Kind::BadReply,
                        "The answer of " + from_ + " is packed as " + to_valid_utf8(coding.substr(0, 40)),
                        "only gzip was asked for");
        }
        streams_ = sink_ != nullptr && is_success;
        if (streams_ && is_gzip_) inflater_.emplace();
        if (!streams_ && length && !is_chunked) response_.body.reserve(static_cast<std::size_t>(*length));
        return true;
    }

    bool give(std::string_view piece) {
        given_ += piece.size();
        if (given_ > limits_.body_bytes_max) return too_large();
        if ((*sink_)(piece)) return true;
        return fail(Kind::Cancelled, "The transfer from " + from_ + " was abandoned by its reader", "");
    }

    bool too_large() {
        fail(Kind::BadReply,
             "The answer of " + from_ + " is larger than the " + to_bytes(limits_.body_bytes_max) + " allowed",
             "ask for less at once");
        error_->code = "BODY_TOO_LARGE";
        return false;
    }

    bool fail(Kind kind, std::string what, std::string hint) {
        error_ = Error{.kind = kind, .what = std::move(what), .hint = std::move(hint)};
        return false;
    }

    const Limits& limits_;
    const BodySink* sink_;
    const std::string& from_;
    bool is_head_;
    bool header_done_ = false;
    bool streams_ = false;
    bool is_gzip_ = false;
    std::size_t received_ = 0;
    std::size_t given_ = 0;
    std::optional<Inflater> inflater_;
    Response response_;
    std::optional<Error> error_;
    std::exception_ptr thrown_;
};

std::size_t on_header(char* bytes, std::size_t, std::size_t count, void* arrival) {
    auto& to = *static_cast<Arrival*>(arrival);
    return to.guard([&] { return to.take_header({bytes, count}); }) ? count : 0;
}

std::size_t on_body(char* bytes, std::size_t, std::size_t count, void* arrival) {
    auto& to = *static_cast<Arrival*>(arrival);
    return to.guard([&] { return to.take_body({bytes, count}); }) ? count : 0;
}

/// How often a request may be put on a wire. libcurl repeats one by itself when a kept connection turns out to be
/// closed, also a POST that the server may have acted on before it died.
struct Attempts {
    int made = 0;
    int max = 1;
};

int on_attempt(void* attempts, char*, char*, int, int) {
    auto& count = *static_cast<Attempts*>(attempts);
    return ++count.made > count.max ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

// ---- Errors for people ----

std::string in_time(std::int64_t milliseconds) {
    return "within " + to_duration(milliseconds);
}

/// What a trouble of the network is called: what follows the host's name, and the hint.
struct Trouble {
    std::string what;
    std::string hint;
};

Trouble timeout(CURL* handle, const Arrival& arrival, const Limits& limits) {
    curl_off_t first_byte_us = 0;
    curl_off_t total_us = 0;
    curl_off_t sendable_us = 0;
    curl_easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &sendable_us);
    curl_easy_getinfo(handle, CURLINFO_STARTTRANSFER_TIME_T, &first_byte_us);
    curl_easy_getinfo(handle, CURLINFO_TOTAL_TIME_T, &total_us);
    const std::string hint = "try again; when it happens often, look at the network or raise the time allowed";
    if (sendable_us == 0) return {"did not accept a connection " + in_time(limits.connect_timeout_ms), hint};
    if (total_us / 1000 < limits.total_timeout_ms) {
        return {"sent fewer than " + std::to_string(limits.slow_bytes_per_s) + " bytes a second for " +
                    to_duration(limits.slow_for_s * 1000),
                hint};
    }
    return {
        (arrival.header_done() ? "did not finish its answer " : "did not answer ") + in_time(limits.total_timeout_ms),
        hint};
}

Trouble distrust(CURL* handle, const char* detail) {
    long verdict = 0;  // an X509_V_ERR of OpenSSL; 0 and 1 (none reached): the chain is good and the name is not
    curl_easy_getinfo(handle, CURLINFO_SSL_VERIFYRESULT, &verdict);
    if (verdict == 0 || verdict == 1) {
        return {"showed a certificate that is for another name", "check the address; somebody may be in between"};
    }
    std::string_view reason = detail;
    if (const auto colon = reason.rfind(": "); colon != std::string_view::npos) reason.remove_prefix(colon + 2);
    return {"showed a certificate that is not trusted: " + std::string(reason),
            "if its authority is a private one, name that authority's certificate file in the settings"};
}

Trouble trouble_of(CURLcode code, CURL* handle, const Arrival& arrival, const Limits& limits, const char* detail) {
    long os_error = 0;
    curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &os_error);
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
            return {"could not be found by its name", "check the address, and that this machine is online"};
        case CURLE_COULDNT_RESOLVE_PROXY:
            return {"could not be reached: the proxy's name is not known", "check https_proxy"};
        case CURLE_COULDNT_CONNECT:
            if (os_error == ECONNREFUSED) {
                return {"refused the connection", "check that the server runs and the port is right"};
            }
            return {"could not be reached: " +
                        std::string(os_error != 0 ? std::strerror(static_cast<int>(os_error)) : detail),
                    "check the address, and that this machine is online"};
        case CURLE_OPERATION_TIMEDOUT:
            return timeout(handle, arrival, limits);
        case CURLE_PEER_FAILED_VERIFICATION:
            return distrust(handle, detail);
        case CURLE_SSL_CONNECT_ERROR:
            return {"could not agree on encryption: " + std::string(detail), "check that the port speaks https"};
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_ABORTED_BY_CALLBACK:  // the kept connection was closed, and asking again could do the work twice
            return {"broke off the connection before it answered",
                    "try again; whether it acted on the request is not known"};
        default:
            return {"could not be spoken to: " + std::string(*detail != '\0' ? detail : curl_easy_strerror(code)),
                    "try again"};
    }
}

/// `ca_file`: the additional authority, where there is one.
Error explain(CURLcode code, CURL* handle, const Arrival& arrival, const Limits& limits, const char* detail,
              const std::string& ca_file) {
    const std::string& host = arrival.from();
    const bool is_cut = code == CURLE_PARTIAL_FILE ||
                        (arrival.header_done() && (code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING));
    if (is_cut) {
        curl_off_t received = 0;
        curl_easy_getinfo(handle, CURLINFO_SIZE_DOWNLOAD_T, &received);
        return {.kind = Kind::BadReply,
                .what = "The answer of " + host + " was cut after " + to_bytes(static_cast<std::uint64_t>(received)),
                .hint = "try again"};
    }
    if (code == CURLE_SSL_CACERT_BADFILE && ca_file.empty()) {
        return {.kind = Kind::Unavailable,
                .what = "This machine has no list of certificate authorities to check " + host + " against",
                .hint = "install the package ca-certificates"};
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return {.kind = Kind::Invalid,
                .what = "The file of the additional certificate authority can not be read",
                .hint = "it has to be a PEM file this user may read"};
    }
    constexpr std::array kUnreadable = {CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL};
    const bool is_unreadable = arrival.header_done() || std::ranges::find(kUnreadable, code) != kUnreadable.end();
    Trouble trouble = trouble_of(code, handle, arrival, limits, detail);
    return {.kind = is_unreadable && code != CURLE_OPERATION_TIMEDOUT ? Kind::BadReply : Kind::Unavailable,
            .what = host + " " + trouble.what,
            .hint = std::move(trouble.hint)};
}

// ---- The sender ----

class NetworkSender final : public Sender {
public:
    NetworkSender(std::string user_agent, std::string ca_file)
        : user_agent_(std::move(user_agent)), ca_file_(std::move(ca_file)) {
        static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
        check(started == CURLE_OK, "libcurl could not start");
    }

    Result<Response> send(const Request& request, const Limits& limits) override {
        return exchange(request, limits, nullptr);
    }

    Result<Response> stream(const Request& request, const BodySink& sink, const Limits& limits) override {
        return exchange(request, limits, &sink);
    }

    // Threads and not curl's multi interface: inflating is most of the work, and this way it is shared out too.
    std::vector<Result<Response>> send_all(std::span<const Request> requests, const Limits& limits,
                                           int parallel_max) override {
        std::vector<std::optional<Result<Response>>> answers(requests.size());
        std::atomic<std::size_t> next = 0;
        const auto lane = [&] {
            for (std::size_t i = next++; i < requests.size(); i = next++) answers[i] = send(requests[i], limits);
        };
        std::vector<std::future<void>> lanes;  // their destructors wait
        const std::size_t lanes_count = std::min<std::size_t>(requests.size(), std::max(parallel_max, 1));
        for (std::size_t i = 1; i < lanes_count; ++i) lanes.push_back(std::async(std::launch::async, lane));
        lane();
        for (std::future<void>& other : lanes) other.get();

        std::vector<Result<Response>> in_order;
        in_order.reserve(answers.size());
        for (auto& answer : answers) in_order.push_back(*std::move(answer));
        return in_order;
    }

private:
    Result<Response> exchange(const Request& request, const Limits& limits, const BodySink* sink) {
        const Destination to = TRY(destination_of(request));
        const HeaderList headers = TRY(header_list(request, limits.gzip.value_or(!to.is_loopback)));
        if (!is_header_field(request.method, "")) {
            return Error{.kind = Kind::Invalid, .what = "The request has no usable method", .hint = "GET is one"};
        }
        const std::string origin = to.scheme + "://" + to.name;
        Arrival arrival(request, limits, sink, to.name);
        Easy handle = pool_.take(origin);
        check(handle != nullptr, "libcurl could not start");
        CURL* curl = handle.get();
        std::array<char, CURL_ERROR_SIZE> detail{};
        const bool may_repeat = request.method == "GET" || request.method == "HEAD";
        Attempts attempts{.max = may_repeat ? 6 : 1};  // libcurl itself stops after six

        set(curl, CURLOPT_ERRORBUFFER, detail.data());
        set(curl, CURLOPT_CURLU, to.url.get());
        set(curl, CURLOPT_HTTPHEADER, headers.get());
        set(curl, CURLOPT_HEADERFUNCTION, &on_header);
        set(curl, CURLOPT_HEADERDATA, &arrival);
        set(curl, CURLOPT_WRITEFUNCTION, &on_body);
        set(curl, CURLOPT_WRITEDATA, &arrival);
        set(curl, CURLOPT_PREREQFUNCTION, &on_attempt);
        set(curl, CURLOPT_PREREQDATA, &attempts);
        set_method(curl, request);
        set_limits(curl, limits);
        set_connection(curl, to);

        const CURLcode code = curl_easy_perform(curl);
        std::optional<Error> error = arrival.error();
        if (!error && code != CURLE_OK) error = explain(code, curl, arrival, limits, detail.data(), ca_file_);
        // A handle whose transfer failed has no connection worth keeping, and may be in a state it does not leave.
        if (error) return *std::move(error);
        curl_easy_reset(curl);  // forgets the options, which point into this frame, and keeps the connections
        pool_.give_back(origin, std::move(handle));
        return arrival.finish();
    }

    static void set_method(CURL* curl, const Request& request) {
        const std::string& method = request.method;
        const bool sends_length = method == "POST" || method == "PUT" || method == "PATCH" || !request.body.empty();
        if (method == "HEAD") {
            set(curl, CURLOPT_NOBODY, 1L);
        } else if (sends_length) {
            set(curl, CURLOPT_POST, 1L);
            set(curl, CURLOPT_POSTFIELDS, request.body.data());
            set(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        } else {
            set(curl, CURLOPT_HTTPGET, 1L);
        }
        if (method != "HEAD") set(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    }

    static void set_limits(CURL* curl, const Limits& limits) {
        set(curl, CURLOPT_CONNECTTIMEOUT_MS, limits.connect_timeout_ms);
        set(curl, CURLOPT_TIMEOUT_MS, limits.total_timeout_ms);
        set(curl, CURLOPT_LOW_SPEED_LIMIT, limits.slow_bytes_per_s);
        set(curl, CURLOPT_LOW_SPEED_TIME, limits.slow_for_s);
        set(curl, CURLOPT_BUFFERSIZE, 256L << 10);
        set(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
    }

    void set_connection(CURL* curl, const Destination& to) const {
        set(curl, CURLOPT_USERAGENT, user_agent_.c_str());
        set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        set(curl, CURLOPT_FOLLOWLOCATION, 0L);
        set(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        set(curl, CURLOPT_HTTP_CONTENT_DECODING, 0L);
        set(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        set(curl, CURLOPT_NOSIGNAL, 1L);
        set(curl, CURLOPT_TCP_KEEPALIVE, 1L);
        set(curl, CURLOPT_MAXCONNECTS, 2L);
        if (to.is_loopback) set(curl, CURLOPT_PROXY, "");

        set(curl, CURLOPT_SSL_VERIFYPEER, 1L);
        set(curl, CURLOPT_SSL_VERIFYHOST, 2L);
        set(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        // The system's authorities stay: libcurl reads them from its CAPATH, and CAINFO is in addition to that.
        if (!ca_file_.empty()) set(curl, CURLOPT_CAINFO, ca_file_.c_str());
    }

    std::string user_agent_;
    std::string ca_file_;
    HandlePool pool_;
};

}  // namespace

std::vector<Result<Response>> Sender::send_all(std::span<const Request> requests, const Limits& limits,
                                               int /*parallel_max*/) {
    std::vector<Result<Response>> answers;
    answers.reserve(requests.size());
    for (const Request& request : requests) answers.push_back(send(request, limits));
    return answers;
}

std::unique_ptr<Sender> network_sender(std::string user_agent, std::string ca_file) {
    return std::make_unique<NetworkSender>(std::move(user_agent), std::move(ca_file));
}

}  // namespace lockstep::http

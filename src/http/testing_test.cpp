// Named _test so that it becomes part of the test program only.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/crypto.h"
#include "http/testing.h"

namespace lockstep::http::testing {

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int connect_to(std::uint16_t port, int flags = 0) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    const sockaddr_in address = loopback(port);
    const int connected = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    check(connected == 0 || (flags & SOCK_NONBLOCK) != 0, "the port does not answer");
    return socket;
}

std::pair<int, std::uint16_t> listen_somewhere(int backlog) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    check(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0, "no port could be bound");
    check(::listen(listener, backlog) == 0, "no port could be opened");
    check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0, "the port has no name");
    return {listener, ntohs(address.sin_port)};
}

void send_to(int socket, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;  // the other side has heard enough
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

bool read_more(int socket, std::string& into) {
    std::array<char, 4096> piece{};
    const ssize_t count = ::recv(socket, piece.data(), piece.size(), 0);
    if (count <= 0) return false;
    into.append(piece.data(), static_cast<std::size_t>(count));
    return true;
}

}  // namespace

RawClient::RawClient(std::uint16_t port) : socket_(connect_to(port)) {}

RawClient::~RawClient() {
    ::close(socket_);
}

void RawClient::send(std::string_view bytes) {
    send_to(socket_, bytes);
}

std::string RawClient::read_all() {
    while (read_more(socket_, unread_)) {
    }
    return std::exchange(unread_, {});
}

std::string RawClient::read_to(std::string_view mark) {
    while (unread_.find(mark) == std::string::npos) {
        if (!read_more(socket_, unread_)) return std::exchange(unread_, {});
    }
    const std::size_t end = unread_.find(mark) + mark.size();
    std::string text = unread_.substr(0, end);
    unread_.erase(0, end);
    return text;
}

std::string ask_raw(std::uint16_t port, std::string_view bytes) {
    RawClient client(port);
    client.send(bytes);
    return client.read_all();
}

RawServer::RawServer(std::string answer) {
    std::tie(listener_, port_) = listen_somewhere(8);
    thread_ = std::thread([this, answer = std::move(answer)] { serve(answer); });
}

RawServer::~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
}

std::string RawServer::url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/";
}

void RawServer::serve(const std::string& answer) const {
    for (int socket = 0; (socket = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(socket)) {
        std::string request;
        while (request.find("\r\n\r\n") == std::string::npos && read_more(socket, request)) {
        }
        send_to(socket, answer);
    }
}

std::uint16_t unused_port() {
    const auto [listener, port] = listen_somewhere(1);
    ::close(listener);
    return port;
}

// The kernel drops what asks for a connection when the queue is full.
FullPort::FullPort() {
    std::tie(listener_, port_) = listen_somewhere(0);
    for (int& filler : fillers_) filler = connect_to(port_, SOCK_NONBLOCK);
}

FullPort::~FullPort() {
    for (const int filler : fillers_) ::close(filler);
    ::close(listener_);
}

void Gate::open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
}

bool Gate::wait() {
    std::unique_lock lock(mutex_);
    return opened_.wait_for(lock, std::chrono::seconds(10), [this] { return is_open_; });
}

Certificate make_certificate(const std::string& names, long from_s, long to_s) {
    const RsaKeyPair keys = make_rsa_key_pair();
    const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(keys.private_pem.data(), -1), BIO_free);
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
    X509_set_version(made.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), to_s);
    X509_set_pubkey(made.get(), key.get());
    X509_NAME* name = X509_get_subject_name(made.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(made.get(), name);
    const std::pair<int, std::string> extensions[] = {{NID_subject_alt_name, names},
                                                      {NID_basic_constraints, "critical,CA:TRUE"}};
    for (const auto& [kind, value] : extensions) {
        const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
            X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()), X509_EXTENSION_free);
        X509_add_ext(made.get(), extension.get(), -1);
    }
    check(X509_sign(made.get(), key.get(), EVP_sha256()) > 0, "the certificate could not be signed");

    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_X509(out.get(), made.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);
    return {std::string(text, static_cast<std::size_t>(size)), keys.private_pem};
}

TemporaryFile::TemporaryFile(std::string_view text) : path_("/tmp/lockstep-http-XXXXXX") {
    const int file = ::mkstemp(path_.data());
    check(file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "no file");
    ::close(file);
}

TemporaryFile::~TemporaryFile() {
    ::unlink(path_.c_str());
}

}  // namespace lockstep::http::testing

#include "http/send.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>

#include "base/gzip.h"
#include "http/serve.h"
#include "http/testing.h"

namespace lockstep::http {
namespace {

using testing::FullPort;
using testing::Gate;
using testing::make_certificate;
using testing::RawServer;
using testing::TemporaryFile;
using testing::unused_port;

std::string local(std::uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port) + "/";
}

/// Text that packs well but not absurdly: lines of a CSV.
std::string lines(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) text += "00Q" + std::to_string(i * 7919) + ",Acme,Open\n";
    text.resize(bytes);
    return text;
}

/// Sends a request both ways, send and stream, which have to agree on what is wrong.
class Send : public ::testing::Test {
protected:
    void expect_error(const Request& request, Kind kind, std::string_view words, const Limits& limits = {}) {
        const Result<Response> sent = sender->send(request, limits);
        ASSERT_FALSE(sent.ok()) << "send gave " << sent.value().status;
        EXPECT_EQ(sent.error().kind, kind) << to_string(sent.error());
        EXPECT_NE(sent.error().what.find(words), std::string::npos) << to_string(sent.error());
        EXPECT_FALSE(sent.error().hint.empty()) << sent.error().what;

        const Result<Response> streamed = sender->stream(
            request, [](std::string_view) { return true; }, limits);
        ASSERT_FALSE(streamed.ok()) << "stream gave " << streamed.value().status;
        EXPECT_EQ(streamed.error().kind, kind) << to_string(streamed.error());
        EXPECT_NE(streamed.error().what.find(words), std::string::npos) << to_string(streamed.error());
    }

    std::unique_ptr<Sender> sender = network_sender("lockstep-test");
};

Server answering(const Answer& answer, ServeOptions options = {}) {
    return Server(std::move(options), [answer](const Request&) { return answer; });
}

// ---- What is sent, and what comes back ----

TEST_F(Send, a_request_arrives_as_it_was_given) {
    Request heard;
    Server server({}, [&](const Request& request) {
        heard = request;
        return Answer{.status = 201, .headers = {{"X-Limit", "5/100"}}, .body = "made"};
    });
    const auto response = sender->send({.method = "PATCH",
                                        .target = server.url() + "/a//b?x=1%202",
                                        .headers = {{"Content-Type", "application/json"}, {"X-Blank", ""}},
                                        .body = "{}"});
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(response->status, 201);
    EXPECT_EQ(response->header("x-limit"), "5/100");
    EXPECT_EQ(response->body, "made");
    EXPECT_EQ(heard.method, "PATCH");
    EXPECT_EQ(heard.target, "/a//b?x=1%202");
    EXPECT_EQ(heard.header("content-type"), "application/json");
    EXPECT_EQ(heard.header("user-agent"), "lockstep-test");
    EXPECT_TRUE(heard.headers.contains("X-Blank"));
    EXPECT_FALSE(heard.headers.contains("Expect"));
    EXPECT_EQ(heard.body, "{}");
}

TEST_F(Send, every_method_carries_its_body_or_none) {
    Server server({}, [](const Request& request) { return Answer{.body = request.method + " " + request.body}; });
    for (const char* method : {"GET", "DELETE", "OPTIONS"}) {
        const auto response = sender->send({.method = method, .target = server.url()});
        ASSERT_TRUE(response.ok()) << to_string(response.error());
        EXPECT_EQ(response->body, method + std::string(" "));
    }
    for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
        const auto empty = sender->send({.method = method, .target = server.url()});
        ASSERT_TRUE(empty.ok()) << to_string(empty.error());
        EXPECT_EQ(empty->body, method + std::string(" "));
        const auto full = sender->send({.method = method, .target = server.url(), .body = "x"});
        ASSERT_TRUE(full.ok()) << to_string(full.error());
        EXPECT_EQ(full->body, method + std::string(" x"));
    }
    const auto head = sender->send({.method = "HEAD", .target = server.url()});
    ASSERT_TRUE(head.ok()) << to_string(head.error());
    EXPECT_EQ(head->body, "");
    EXPECT_EQ(head->header("Content-Length"), "5");
}

TEST_F(Send, an_answer_of_any_status_is_a_value) {
    for (const int status : {204, 304, 400, 404, 500, 503}) {
        Server server = answering({.status = status, .body = status < 400 ? "" : "why"});
        const auto response = sender->send({.target = server.url()});
        ASSERT_TRUE(response.ok()) << status << " " << to_string(response.error());
        EXPECT_EQ(response->status, status);
        EXPECT_EQ(response->body, status < 400 ? "" : "why");
    }
}

TEST_F(Send, a_redirect_is_an_answer_and_not_followed) {
    std::atomic<int> asked = 0;
    Server server({}, [&](const Request&) {
        ++asked;
        return Answer{.status = 302, .headers = {{"Location", "/elsewhere"}}};
    });
    const auto response = sender->send({.target = server.url()});
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->status, 302);
    EXPECT_EQ(response->header("Location"), "/elsewhere");
    EXPECT_EQ(asked, 1);
}

TEST_F(Send, only_the_last_block_of_headers_counts) {
    RawServer server(
        "HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n"
        "HTTP/1.1 200 OK\r\nX-Name: first\r\nx-name: second\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nok\r\n0\r\nX-Trailer: late\r\n\r\n");
    const auto response = sender->send({.target = server.url()});
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->header("X-Early"), "");
    EXPECT_EQ(response->header("X-Name"), "second");
    EXPECT_EQ(response->header("X-Trailer"), "");
    EXPECT_EQ(response->body, "ok");
}

TEST_F(Send, a_large_body_arrives_whole_by_length_and_by_chunks_packed_and_plain) {
    const std::string body = lines(3'000'000);
    Server server({}, [&](const Request& request) {
        if (!request.has_query("pieces")) return Answer{.body = body};
        return Answer{.pieces = [&body, at = std::size_t{0}](std::string& piece) mutable {
            piece = body.substr(at, 100'001);
            at += piece.size();
            return at < body.size();
        }};
    });
    for (const bool gzip : {false, true}) {
        for (const char* query : {"/", "/?pieces"}) {
            const Limits limits{.gzip = gzip};
            const auto sent = sender->send({.target = server.url() + query}, limits);
            ASSERT_TRUE(sent.ok()) << to_string(sent.error());
            EXPECT_TRUE(sent->body == body);
            EXPECT_EQ(sent->header("Content-Encoding"), "");

            std::string got;
            const auto streamed = sender->stream(
                {.target = server.url() + query}, [&](std::string_view piece) { return got += piece, true; }, limits);
            ASSERT_TRUE(streamed.ok()) << to_string(streamed.error());
            EXPECT_TRUE(got == body);
            EXPECT_EQ(streamed->body, "");
            EXPECT_EQ(streamed->header("Content-Encoding"), "");
        }
    }
}

TEST_F(Send, gzip_is_asked_for_when_told_and_not_on_this_machine_by_default) {
    Server server(
        {}, [](const Request& request) { return Answer{.body = std::string(request.header("Accept-Encoding"))}; });
    EXPECT_EQ(sender->send({.target = server.url()})->body, "");
    EXPECT_EQ(sender->send({.target = server.url()}, {.gzip = false})->body, "");
    EXPECT_EQ(sender->send({.target = server.url()}, {.gzip = true})->body, "gzip");
}

TEST_F(Send, the_body_of_a_refusal_is_in_the_answer_of_stream_too) {
    Server server = answering({.status = 400, .body = "[{\"errorCode\":\"MALFORMED_QUERY\"}]"});
    int pieces = 0;
    const auto response = sender->stream({.target = server.url()}, [&](std::string_view) { return ++pieces, true; });
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->body, "[{\"errorCode\":\"MALFORMED_QUERY\"}]");
    EXPECT_EQ(pieces, 0);
}

TEST_F(Send, a_sink_that_returns_false_abandons_the_transfer) {
    Server server = answering({.body = lines(1'000'000)});
    for (const bool gzip : {false, true}) {
        int pieces = 0;
        const auto response =
            sender->stream({.target = server.url()}, [&](std::string_view) { return ++pieces, false; }, {.gzip = gzip});
        ASSERT_FALSE(response.ok());
        EXPECT_EQ(response.error().kind, Kind::Cancelled);
        EXPECT_EQ(pieces, 1);
    }
}

TEST_F(Send, what_a_sink_throws_comes_out_and_the_sender_goes_on) {
    Server server = answering({.body = "body"});
    EXPECT_THROW((void)sender->stream({.target = server.url()},
                                      [](std::string_view) -> bool { throw std::runtime_error("disk full"); }),
                 std::runtime_error);
    EXPECT_EQ(sender->send({.target = server.url()})->body, "body");
}

// ---- Connections ----

TEST_F(Send, connections_are_kept_and_reused) {
    Server server = answering({.body = "ok"});
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(sender->send({.method = "POST", .target = server.url()}).ok());
    EXPECT_EQ(server.connections_count(), 1u);
}

TEST_F(Send, a_post_is_never_repeated_when_a_kept_connection_breaks) {
    std::atomic<int> posts = 0;
    Server server({}, [&](const Request& request) {
        if (request.method == "POST") ++posts;
        return Answer{.drop = request.method == "POST"};
    });
    for (const char* body : {"", "{}"}) {
        posts = 0;
        ASSERT_TRUE(sender->send({.target = server.url()}).ok());
        const auto response = sender->send({.method = "POST", .target = server.url(), .body = body});
        ASSERT_FALSE(response.ok());
        EXPECT_EQ(response.error().kind, Kind::Unavailable);
        EXPECT_NE(response.error().hint.find("not known"), std::string::npos) << to_string(response.error());
        EXPECT_EQ(posts, 1);
    }
}

TEST_F(Send, a_get_is_asked_again_when_a_kept_connection_breaks) {
    std::atomic<int> gets = 0;
    Server server({}, [&](const Request&) { return Answer{.body = "ok", .drop = ++gets == 2}; });
    ASSERT_TRUE(sender->send({.target = server.url()}).ok());
    const auto response = sender->send({.target = server.url()});
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(gets, 3);
    EXPECT_EQ(server.connections_count(), 2u);
}

TEST_F(Send, many_threads_share_one_sender) {
    Server server({}, [](const Request& request) { return Answer{.body = request.query("i") + lines(50'000)}; });
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        threads.reserve(8);
        for (int t = 0; t < 8; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < 25; ++i) {
                    const std::string mark = std::to_string(t * 1000 + i);
                    const auto response = sender->send({.target = server.url() + "/?i=" + mark}, {.gzip = i % 2 == 0});
                    if (!response.ok() || response->body != mark + lines(50'000)) ++wrong;
                }
            });
        }
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_LE(server.connections_count(), 8u);
}

TEST_F(Send, send_all_keeps_the_order_and_the_bound_and_goes_on_after_errors) {
    std::mutex mutex;
    int inside = 0;
    int inside_max = 0;
    Gate four_inside;
    Server server({}, [&](const Request& request) {
        {
            const std::lock_guard lock(mutex);
            inside_max = std::max(inside_max, ++inside);
            if (inside == 4) four_inside.open();
        }
        const bool met = four_inside.wait();  // the first four have to be here at the same time
        const std::lock_guard lock(mutex);
        --inside;
        return Answer{.status = met ? 200 : 500, .body = request.query("i"), .drop = request.query("i") == "7"};
    });
    std::vector<Request> requests;
    requests.reserve(20);
    for (int i = 0; i < 20; ++i) requests.push_back({.target = server.url() + "/?i=" + std::to_string(i)});
    const auto answers = sender->send_all(requests, {}, 4);
    ASSERT_EQ(answers.size(), 20u);
    for (int i = 0; i < 20; ++i) {
        if (i == 7) {
            ASSERT_FALSE(answers[i].ok());
            EXPECT_EQ(answers[i].error().kind, Kind::Unavailable);
            continue;
        }
        ASSERT_TRUE(answers[i].ok()) << i << " " << to_string(answers[i].error());
        EXPECT_EQ(answers[i]->status, 200);
        EXPECT_EQ(answers[i]->body, std::to_string(i));
    }
    EXPECT_EQ(inside_max, 4);
    EXPECT_TRUE(sender->send_all({}).empty());
}

// ---- Errors: no connection ----

TEST_F(Send, a_port_with_nobody_behind_it_refuses) {
    const std::uint16_t port = unused_port();
    expect_error({.target = local(port)}, Kind::Unavailable, "127.0.0.1:" + std::to_string(port) + " refused");
}

TEST_F(Send, a_host_that_does_not_exist_is_named) {
    expect_error({.target = "https://nosuch.invalid/"}, Kind::Unavailable, "nosuch.invalid",
                 {.connect_timeout_ms = 3000, .total_timeout_ms = 3000});
}

TEST_F(Send, a_port_that_takes_no_connection_times_out) {
    const FullPort full;
    expect_error({.target = local(full.port())}, Kind::Unavailable, "did not accept a connection within 100 ms",
                 {.connect_timeout_ms = 100});
}

TEST_F(Send, a_server_that_does_not_answer_in_time_is_given_up) {
    Server server = answering({.body = "late", .delay_ms = 60'000});
    expect_error({.target = server.url()}, Kind::Unavailable, "did not answer within 100 ms",
                 {.total_timeout_ms = 100});
}

TEST_F(Send, a_body_that_does_not_end_in_time_is_given_up) {
    Gate done;
    Server server({}, [&](const Request&) {
        return Answer{.pieces = [&, first = true](std::string& piece) mutable {
            piece = "first";
            return std::exchange(first, false) || !done.wait();
        }};
    });
    expect_error({.target = server.url()}, Kind::Unavailable, "did not finish its answer within 200 ms",
                 {.total_timeout_ms = 200});
    done.open();
}

TEST_F(Send, a_body_that_comes_too_slowly_is_given_up) {
    Gate done;
    Server server({}, [&](const Request&) {
        return Answer{.pieces = [&, first = true](std::string& piece) mutable {
            piece = "first";
            return std::exchange(first, false) || !done.wait();
        }};
    });
    const auto response = sender->send({.target = server.url()}, {.slow_bytes_per_s = 1000, .slow_for_s = 1});
    done.open();
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().kind, Kind::Unavailable);
    EXPECT_NE(response.error().what.find("fewer than 1000 bytes a second for 1 s"), std::string::npos)
        << response.error().what;
}

TEST_F(Send, a_server_that_closes_without_an_answer_is_unavailable) {
    Server server = answering({.drop = true});
    expect_error({.target = server.url()}, Kind::Unavailable, "broke off the connection before it answered");
    RawServer silent("");
    expect_error({.target = silent.url()}, Kind::Unavailable, "broke off the connection before it answered");
}

// ---- Errors: a body that can not be trusted ----

TEST_F(Send, a_body_shorter_than_its_length_is_cut) {
    for (const std::int64_t at : {0, 1, 99'999}) {
        Server server = answering({.body = lines(100'000), .cut_after_bytes = at});
        expect_error({.target = server.url()}, Kind::BadReply, "was cut");
    }
}

TEST_F(Send, a_body_without_its_last_chunk_is_cut) {
    const Answer whole{.pieces = [at = 0](std::string& piece) mutable {
        piece = lines(1000);
        return ++at < 3;
    }};
    for (const std::int64_t at : {0, 1, 1000, 2500, 3000}) {
        Answer cut = whole;
        cut.cut_after_bytes = at;
        Server server = answering(cut);
        expect_error({.target = server.url()}, Kind::BadReply, "was cut");
    }
    Answer later = whole;
    later.cut_after_bytes = 3001;
    Server server = answering(later);
    EXPECT_EQ(sender->send({.target = server.url()})->body, lines(1000) + lines(1000) + lines(1000));
}

TEST_F(Send, a_cut_within_a_header_is_no_short_answer) {
    for (const char* text : {"HTTP/1.1 200 OK\r\nContent-Ty", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nX: y\r\n"}) {
        RawServer server(text);
        expect_error({.target = server.url()}, Kind::BadReply, "was cut");
    }
}

TEST_F(Send, a_body_that_does_not_say_where_it_ends_is_refused_when_the_answer_is_a_success) {
    RawServer success("HTTP/1.1 200 OK\r\n\r\nId,Name\n");
    expect_error({.target = success.url()}, Kind::BadReply, "does not say where it ends");
    RawServer refusal("HTTP/1.0 503 Busy\r\n\r\nlater");
    const auto response = sender->send({.target = refusal.url()});
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(response->status, 503);
    EXPECT_EQ(response->body, "later");
}

TEST_F(Send, gzip_that_is_cut_is_found_though_its_length_and_chunks_are_right) {
    const std::string packed = gzip(lines(300'000));
    for (const std::size_t keep :
         {packed.size() - 1, packed.size() - 8, packed.size() / 2, std::size_t{10}, std::size_t{0}}) {
        const std::string cut = packed.substr(0, keep);
        Server by_length = answering({.headers = {{"Content-Encoding", "gzip"}}, .body = cut});
        expect_error({.target = by_length.url()}, Kind::BadReply, "cut");
        Server by_chunks = answering({.headers = {{"Content-Encoding", "gzip"}}, .pieces = [cut](std::string& piece) {
                                          piece = cut;
                                          return false;
                                      }});
        expect_error({.target = by_chunks.url()}, Kind::BadReply, "cut");
    }
}

TEST_F(Send, damaged_gzip_and_garbage_after_it_are_found) {
    std::string damaged = gzip(lines(300'000));
    damaged[damaged.size() - 6] ^= 1;  // its checksum
    for (const std::string& body :
         {damaged, gzip("whole") + "garbage", std::string("no gzip at all, but long enough")}) {
        Server server = answering({.headers = {{"Content-Encoding", "gzip"}}, .body = body});
        expect_error({.target = server.url()}, Kind::BadReply, server.url().substr(7));
    }
}

TEST_F(Send, several_gzip_members_are_one_body) {
    Server server = answering({.headers = {{"Content-Encoding", "gzip"}}, .body = gzip("one ") + gzip("two")});
    std::string got;
    EXPECT_EQ(sender->send({.target = server.url()})->body, "one two");
    ASSERT_TRUE(
        sender->stream({.target = server.url()}, [&](std::string_view piece) { return got += piece, true; }).ok());
    EXPECT_EQ(got, "one two");
}

TEST_F(Send, a_packing_nobody_asked_for_is_refused) {
    Server server = answering({.headers = {{"Content-Encoding", "br"}}, .body = "????"});
    expect_error({.target = server.url()}, Kind::BadReply, "packed as br");
}

TEST_F(Send, a_body_larger_than_allowed_is_refused_by_length_and_by_chunks) {
    const Limits limits{.body_bytes_max = 1000};
    Server by_length = answering({.body = lines(1001)});
    expect_error({.target = by_length.url()}, Kind::BadReply, "larger than", limits);
    EXPECT_EQ(sender->send({.target = by_length.url()}, limits).error().code, "BODY_TOO_LARGE");
    Server by_chunks = answering({.pieces = [](std::string& piece) {
        piece = lines(600);
        return true;
    }});
    expect_error({.target = by_chunks.url()}, Kind::BadReply, "larger than", limits);
    EXPECT_EQ(sender->send({.target = by_chunks.url()}, limits).error().code, "BODY_TOO_LARGE");
    Server fits = answering({.body = lines(1000)});
    EXPECT_TRUE(sender->send({.target = fits.url()}, limits).ok());
}

TEST_F(Send, a_bomb_is_refused_before_it_goes_off) {
    const std::string bomb = gzip(std::string(100u << 20, '0'));
    Server server = answering({.headers = {{"Content-Encoding", "gzip"}}, .body = bomb});
    const Limits limits{.body_bytes_max = 1u << 20};
    ASSERT_LT(bomb.size(), limits.body_bytes_max);
    expect_error({.target = server.url()}, Kind::BadReply, "larger than", limits);
    EXPECT_EQ(sender->send({.target = server.url()}, limits).error().code, "BODY_TOO_LARGE");
    std::size_t seen = 0;
    const auto response = sender->stream(
        {.target = server.url()}, [&](std::string_view piece) { return seen += piece.size(), true; }, limits);
    EXPECT_FALSE(response.ok());
    EXPECT_LE(seen, limits.body_bytes_max);
}

TEST_F(Send, what_is_no_http_is_a_bad_reply) {
    RawServer server("SSH-2.0-OpenSSH_9.2\r\n");
    expect_error({.target = server.url()}, Kind::BadReply, server.url().substr(7, 9));
}

// ---- Errors: a request we do not send ----

TEST_F(Send, plain_http_leaves_this_machine_never) {
    // All of these would reach the server if they were tried.
    Server server = answering({.body = "reached"});
    const std::string port = ":" + std::to_string(server.port());
    for (const std::string& target : {"http://0.0.0.0" + port, "http://[::ffff:127.0.0.1]" + port, "http://0" + port,
                                      "HTTP://127.0.0.1.example.com" + port, "http://127.0.0.1@0.0.0.0" + port}) {
        const auto response = sender->send({.target = target});
        ASSERT_FALSE(response.ok()) << target;
        EXPECT_EQ(response.error().kind, Kind::Invalid) << target;
        EXPECT_FALSE(response.error().hint.empty());
    }
    EXPECT_EQ(server.connections_count(), 0u);
    for (const std::string& target : {"http://localhost" + port, "http://127.0.0.1" + port}) {
        EXPECT_EQ(sender->send({.target = target})->body, "reached") << target;
    }
}

TEST_F(Send, what_is_no_web_address_is_refused) {
    for (const char* target : {"", "/path", "ftp://127.0.0.1/", "file:///etc/passwd", "https://",
                               "https://user@host.invalid/", "https://host .invalid/", "https://host.invalid:99999/"}) {
        const auto response = sender->send({.target = target});
        ASSERT_FALSE(response.ok()) << target;
        EXPECT_EQ(response.error().kind, Kind::Invalid) << target << ": " << to_string(response.error());
    }
    const auto secret = sender->send({.target = "ftp://host.invalid/?token=secret"});
    EXPECT_EQ(secret.error().what.find("secret"), std::string::npos);
}

TEST_F(Send, a_header_or_method_that_would_change_the_request_is_refused) {
    Server server = answering({.body = "ok"});
    const Request bad[] = {
        {.target = server.url(), .headers = {{"X-Name", "a\r\nHost: other"}}},
        {.target = server.url(), .headers = {{"X Name", "a"}}},
        {.target = server.url(), .headers = {{"content-length", "3"}}},
        {.target = server.url(), .headers = {{"Transfer-Encoding", "chunked"}}},
        {.method = "GET / HTTP/1.1\r\nX:", .target = server.url()},
        {.method = "", .target = server.url()},
    };
    for (const Request& request : bad) {
        const auto response = sender->send(request);
        ASSERT_FALSE(response.ok());
        EXPECT_EQ(response.error().kind, Kind::Invalid) << to_string(response.error());
    }
    EXPECT_EQ(server.connections_count(), 0u);
}

// ---- TLS ----

Server tls_server(const testing::Certificate& certificate) {
    return answering({.body = lines(2'000'000)}, {.tls_certificate_pem = certificate.certificate_pem,
                                                  .tls_private_key_pem = certificate.private_key_pem});
}

TEST_F(Send, a_certificate_of_a_known_authority_for_the_right_name_is_trusted) {
    const auto certificate = make_certificate("IP:127.0.0.1,DNS:localhost");
    const TemporaryFile authority(certificate.certificate_pem);
    Server server = tls_server(certificate);
    ASSERT_TRUE(server.url().starts_with("https://"));
    sender = network_sender("lockstep-test", authority.path());
    for (int i = 0; i < 3; ++i) {
        const auto response = sender->send({.target = server.url()}, {.gzip = i == 1});
        ASSERT_TRUE(response.ok()) << to_string(response.error());
        EXPECT_TRUE(response->body == lines(2'000'000));
    }
    EXPECT_EQ(server.connections_count(), 1u);
}

TEST_F(Send, a_certificate_of_an_unknown_authority_is_not_trusted) {
    Server server = tls_server(make_certificate("IP:127.0.0.1"));
    expect_error({.target = server.url()}, Kind::Unavailable, "certificate that is not trusted");
}

TEST_F(Send, a_certificate_for_another_name_is_not_trusted) {
    const auto certificate = make_certificate("DNS:other.example");
    const TemporaryFile authority(certificate.certificate_pem);
    Server server = tls_server(certificate);
    sender = network_sender("lockstep-test", authority.path());
    expect_error({.target = server.url()}, Kind::Unavailable, "certificate that is for another name");
}

TEST_F(Send, an_expired_certificate_is_not_trusted) {
    const auto certificate = make_certificate("IP:127.0.0.1", -7200, -3600);
    const TemporaryFile authority(certificate.certificate_pem);
    Server server = tls_server(certificate);
    sender = network_sender("lockstep-test", authority.path());
    expect_error({.target = server.url()}, Kind::Unavailable, "expired");
}

TEST_F(Send, https_to_a_port_that_speaks_http_says_so) {
    Server server = answering({.body = "plain"});
    expect_error({.target = "https" + server.url().substr(4)}, Kind::Unavailable, "could not agree on encryption");
}

TEST_F(Send, an_authority_file_that_is_missing_is_our_mistake) {
    Server server = tls_server(make_certificate("IP:127.0.0.1"));
    sender = network_sender("lockstep-test", "/nowhere/ca.pem");
    expect_error({.target = server.url()}, Kind::Invalid, "additional certificate authority");
}

// ---- Without a wire ----

TEST(Loopback, a_handler_sees_and_gives_what_it_would_over_a_wire) {
    const auto sender = loopback_sender([](const Request& request) {
        return Response{.status = request.has_query("bad") ? 400 : 200, .body = request.target + lines(40'000)};
    });
    EXPECT_EQ(sender->send({.target = "https://host.example/a?x=1"})->body, "/a?x=1" + lines(40'000));
    EXPECT_EQ(sender->send({.method = "HEAD", .target = "https://host.example/a"})->body, "");

    std::string got;
    const auto streamed =
        sender->stream({.target = "https://host.example"}, [&](std::string_view piece) { return got += piece, true; });
    EXPECT_EQ(streamed->body, "");
    EXPECT_EQ(got, "/" + lines(40'000));
    EXPECT_EQ(sender->stream({.target = "https://host.example/?bad"}, [](std::string_view) { return true; })->body,
              "/?bad" + lines(40'000));

    EXPECT_EQ(sender->stream({.target = "https://h/"}, [](std::string_view) { return false; }).error().kind,
              Kind::Cancelled);
    EXPECT_EQ(sender->send({.target = "https://h/"}, {.body_bytes_max = 10}).error().kind, Kind::BadReply);
    const std::vector<Request> two = {{.target = "https://h/1"}, {.target = "https://h/2"}};
    const auto answers = sender->send_all(two);
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0]->body, "/1" + lines(40'000));
    EXPECT_EQ(answers[1]->body, "/2" + lines(40'000));
}

}  // namespace
}  // namespace lockstep::http

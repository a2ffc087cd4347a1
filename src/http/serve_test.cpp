#include "http/serve.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "base/check.h"
#include "base/gzip.h"
#include "base/log.h"
#include "http/send.h"
#include "http/testing.h"

namespace lockstep::http {
namespace {

using testing::ask_raw;
using testing::Gate;
using testing::RawClient;

/// Tells what the handler heard.
Answer echo(const Request& request) {
    return {.headers = {{"X-Path", request.path()}}, .body = request.method + "|" + request.body};
}

int status_of(std::string_view answer) {
    return answer.starts_with("HTTP/1.1 ") ? static_cast<int>(parse_int(answer.substr(9, 3)).value_or(0)) : 0;
}

std::string_view body_of(std::string_view answer) {
    return answer.substr(std::min(answer.find("\r\n\r\n") + 4, answer.size()));
}

std::string post(std::string_view headers, std::string_view body) {
    return "POST / HTTP/1.1\r\nHost: h\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

// ---- Requests ----

TEST(Serve, a_chunked_request_is_put_together) {
    Server server({}, echo);
    const std::string answer = ask_raw(server.port(), post("Transfer-Encoding: chunked\r\nConnection: close\r\n",
                                                           "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"));
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_EQ(body_of(answer), "POST|abcde");
}

TEST(Serve, a_request_may_come_byte_by_byte_and_two_may_come_at_once) {
    Server server({}, echo);
    RawClient client(server.port());
    for (const char c : post("Content-Length: 3\r\n", "abc")) client.send({&c, 1});
    EXPECT_TRUE(client.read_to("POST|abc").ends_with("POST|abc"));
    client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const std::string answers = client.read_all();
    EXPECT_LT(answers.find("X-Path: /1"), answers.find("X-Path: /2"));
    EXPECT_NE(answers.find("X-Path: /2"), std::string::npos);
    EXPECT_EQ(server.connections_count(), 1u);
}

TEST(Serve, a_client_that_expects_100_continue_is_told_to_go_on) {
    Server server({.body_bytes_max = 100}, echo);
    RawClient client(server.port());
    client.send(post("Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n", ""));
    EXPECT_EQ(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    EXPECT_EQ(body_of(client.read_all()), "POST|abc");
    EXPECT_EQ(status_of(ask_raw(server.port(), post("Content-Length: 101\r\nExpect: 100-continue\r\n", ""))), 413);
    EXPECT_EQ(status_of(ask_raw(server.port(), post("Content-Length: 3\r\nExpect: the-best\r\n", ""))), 417);
}

TEST(Serve, a_gzip_request_is_unpacked) {
    Server server({.body_bytes_max = 1u << 20}, [](const Request& request) {
        return Answer{.body = request.body + "|" + std::string(request.header("Content-Encoding"))};
    });
    const auto sender = network_sender("test");
    const auto send = [&](std::string body, std::string coding = "gzip") {
        const auto response = sender->send({.method = "POST",
                                            .target = server.url(),
                                            .headers = {{"Content-Encoding", std::move(coding)}},
                                            .body = std::move(body)});
        return response.ok() ? *response : Response{.status = 0, .body = response.error().what};
    };
    EXPECT_EQ(send(gzip("people")).body, "people|");
    EXPECT_EQ(send("people", "identity").body, "people|identity");
    EXPECT_EQ(send("no gzip, but long enough to be one").status, 400);
    EXPECT_EQ(send(gzip("people").substr(0, 15)).status, 400);
    EXPECT_EQ(send(gzip(std::string(100u << 20, '0'))).status, 400);  // a bomb
    EXPECT_EQ(send("people", "br").status, 415);
}

TEST(Serve, a_request_framed_in_two_ways_or_written_oddly_is_refused) {
    std::atomic<int> heard = 0;
    Server server({}, [&](const Request&) { return ++heard, Answer{}; });
    const std::string cases[] = {
        post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
        post("Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", "abc"),
        post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        post("Content-Length: 3, 4\r\n", "abcd"),
        post("Content-Length: +3\r\n", "abc"),
        post("Content-Length: -1\r\n", "abc"),
        post("Content-Length: 99999999999999999999999\r\n", "abc"),
        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        post("X-Folded: a\r\n b\r\nContent-Length: 0\r\n", ""),
        post("Content-Length : 3\r\n", "abc"),
        post("X-Bare: a\nContent-Length: 3\r\n", "abc"),
        post("X-Zero: a" + std::string(1, '\0') + "b\r\nContent-Length: 0\r\n", ""),
        post("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "fffffffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    };
    for (const std::string& request : cases) {
        const std::string answer = ask_raw(server.port(), request);
        EXPECT_EQ(status_of(answer), 400) << request << "\n-> " << answer;
        EXPECT_NE(answer.find("Connection: close"), std::string::npos) << request;
    }
    EXPECT_EQ(heard, 0);
}

TEST(Serve, what_is_too_large_is_refused_by_name) {
    Server server({.header_bytes_max = 24u << 10, .body_bytes_max = 1000}, echo);
    const auto get = [](std::size_t path, std::size_t header) {
        return "GET /" + std::string(path, 'a') +
               " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX: " + std::string(header, 'b') + "\r\n\r\n";
    };
    EXPECT_EQ(status_of(ask_raw(server.port(), get(10'000, 10'000))), 200);
    EXPECT_EQ(status_of(ask_raw(server.port(), get(17'000, 0))), 414);
    EXPECT_EQ(status_of(ask_raw(server.port(), get(40'000, 0))), 414);
    EXPECT_EQ(status_of(ask_raw(server.port(), get(0, 25'000))), 431);
    EXPECT_EQ(status_of(ask_raw(server.port(), post("Content-Length: 1001\r\n", ""))), 413);
    const std::string chunk = "1f4\r\n" + std::string(500, 'c') + "\r\n";
    EXPECT_EQ(status_of(ask_raw(server.port(), post("Transfer-Encoding: chunked\r\n", chunk + chunk + chunk))), 413);

    // A client in the middle of a large body reads the refusal, and no reset.
    const auto refused =
        network_sender("test")->send({.method = "POST", .target = server.url(), .body = std::string(20u << 20, 'x')});
    ASSERT_TRUE(refused.ok()) << to_string(refused.error());
    EXPECT_EQ(refused->status, 413);
}

TEST(Serve, a_client_that_dawdles_is_let_go) {
    Server server({.header_timeout_s = 1, .idle_timeout_s = 1}, echo);
    RawClient idle(server.port());
    RawClient in_header(server.port());
    RawClient in_body(server.port());
    in_header.send("GET / HTTP/1.1\r\nHo");
    in_body.send(post("Content-Length: 10\r\n", "abc"));
    EXPECT_EQ(idle.read_all(), "");
    EXPECT_EQ(in_header.read_all(), "");
    EXPECT_EQ(in_body.read_all(), "");
}

// ---- Answers ----

TEST(Serve, an_answer_is_packed_when_it_is_worth_it_and_the_client_can_unpack_it) {
    Server server({.gzip_from_bytes = 1000}, [](const Request& request) {
        return Answer{.headers = {{"Content-Type", request.query("type")}},
                      .body = std::string(request.has_query("small") ? 999 : 1000, 'x')};
    });
    const auto packed = [&](const std::string& target, const std::string& accept) {
        return ask_raw(server.port(), "GET " + target +
                                          " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAccept-Encoding: " + accept +
                                          "\r\n\r\n")
                   .find("Content-Encoding: gzip") != std::string::npos;
    };
    EXPECT_TRUE(packed("/?type=text/csv", "gzip, br"));
    EXPECT_TRUE(packed("/?type=application/json%3Bcharset%3DUTF-8", "gzip"));
    EXPECT_FALSE(packed("/?type=text/csv", "gzip;q=0"));
    EXPECT_FALSE(packed("/?type=text/csv", "br"));
    EXPECT_FALSE(packed("/?type=text/csv&small", "gzip"));
    EXPECT_FALSE(packed("/?type=image/png", "gzip"));
    EXPECT_FALSE(packed("/?type=text/event-stream", "gzip"));
    Server never({.gzip_from_bytes = 0}, [](const Request&) { return Answer{.body = std::string(5000, 'x')}; });
    EXPECT_EQ(ask_raw(never.port(), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n")
                  .find("Content-Encoding"),
              std::string::npos);
}

TEST(Serve, head_is_answered_without_a_body) {
    std::atomic<int> pieces = 0;
    Server server({}, [&](const Request& request) {
        if (!request.has_query("pieces")) return Answer{.body = std::string(5000, 'x')};
        return Answer{.pieces = [&](std::string&) { return ++pieces, false; }};
    });
    for (const char* target : {"/", "/?pieces"}) {
        const std::string answer =
            ask_raw(server.port(), std::string("HEAD ") + target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        EXPECT_EQ(status_of(answer), 200);
        EXPECT_EQ(body_of(answer), "");
        EXPECT_EQ(answer.find("Content-Length: 5000") != std::string::npos, std::string_view(target) == "/");
    }
    EXPECT_EQ(pieces, 0);
}

TEST(Serve, an_http_1_0_client_gets_pieces_without_chunks) {
    Server server({}, [](const Request&) {
        return Answer{.pieces = [at = 0](std::string& piece) mutable {
            piece = "piece ";
            return ++at < 3;
        }};
    });
    const std::string answer = ask_raw(server.port(), "GET / HTTP/1.0\r\n\r\n");
    EXPECT_EQ(body_of(answer), "piece piece piece ");
    EXPECT_EQ(answer.find("chunked"), std::string::npos);
}

TEST(Serve, a_piece_leaves_before_the_next_is_made) {
    Gate heard;
    Server server({}, [&](const Request&) {
        return Answer{.headers = {{"Content-Type", "text/event-stream"}},
                      .pieces = [&, at = 0](std::string& piece) mutable {
                          if (at == 1 && !heard.wait()) throw std::runtime_error("the client heard nothing");
                          piece = "event " + std::to_string(at);
                          return ++at < 2;
                      }};
    });
    RawClient client(server.port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    client.read_to("event 0");
    heard.open();
    EXPECT_TRUE(client.read_all().ends_with("event 1\r\n0\r\n\r\n"));
}

TEST(Serve, an_answer_that_waits_for_its_next_piece_holds_no_thread) {
    std::atomic<bool> happened = false;
    Server server({.threads = 1}, [&](const Request& request) {
        if (request.path() == "/happen") return happened = true, Answer{};
        return Answer{.pieces = [&](std::string& piece) {
            if (happened) piece = "it happened";
            return !happened;
        }};
    });
    RawClient listener(server.port());
    listener.send("GET /events HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    listener.read_to("\r\n\r\n");
    EXPECT_TRUE(network_sender("test")->send({.target = server.url() + "/happen"}, {.total_timeout_ms = 5000}).ok());
    EXPECT_EQ(listener.read_all(), "b\r\nit happened\r\n0\r\n\r\n");
}

TEST(Serve, pieces_are_destroyed_when_the_client_is_gone) {
    auto alive = std::make_shared<int>();
    const std::weak_ptr<int> watched = alive;
    Gate gone;
    {
        Server server({}, [&](const Request&) {
            return Answer{.pieces = [owned = std::exchange(alive, nullptr), &gone](std::string& piece) {
                if (!gone.wait()) return false;
                piece.assign(1u << 20, 'x');
                return true;  // would never end
            }};
        });
        {
            RawClient client(server.port());
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            client.read_to("\r\n\r\n");
        }
        gone.open();
        while (!watched.expired()) std::this_thread::yield();
    }
    EXPECT_TRUE(watched.expired());
}

TEST(Serve, what_a_handler_throws_becomes_a_500_without_details) {
    log::set_level(log::Level::Off);
    Server server({}, [](const Request& request) -> Answer {
        if (request.has_query("odd")) throw 42;
        if (request.has_query("header")) return {.headers = {{"X-Name", "a\r\nSet-Cookie: b"}}};
        if (request.has_query("status")) return {.status = 20};
        throw Failure("the table person is gone", "restore it");
    });
    const auto sender = network_sender("test");
    for (const char* query : {"/", "/?odd", "/?header", "/?status"}) {
        const auto response = sender->send({.target = server.url() + query});
        ASSERT_TRUE(response.ok()) << to_string(response.error());
        EXPECT_EQ(response->status, 500);
        EXPECT_EQ(response->header("Content-Type"), "application/json");
        EXPECT_EQ(response->body.find("person"), std::string::npos) << response->body;
    }
    EXPECT_EQ(server.connections_count(), 1u);  // one bad request does not cost the connection
    log::set_level(log::Level::Warn);
}

TEST(Serve, what_a_piece_throws_is_a_cut_for_the_client) {
    log::set_level(log::Level::Off);
    Server server({}, [](const Request&) {
        return Answer{.pieces = [at = 0](std::string& piece) mutable {
            if (++at == 3) throw std::runtime_error("disk gone");
            piece = "piece";
            return true;
        }};
    });
    const auto response = network_sender("test")->send({.target = server.url()});
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().kind, Kind::BadReply);
    log::set_level(log::Level::Warn);
}

TEST(Serve, a_delay_holds_no_handler) {
    // One thread, and three answers that wait together.
    Server server({.threads = 1}, [](const Request& request) {
        return Answer{.body = request.query("i"), .delay_ms = request.has_query("late") ? 60'000 : 0};
    });
    RawClient late(server.port());
    late.send("GET /?late HTTP/1.1\r\nHost: h\r\n\r\n");
    RawClient later(server.port());
    later.send("GET /?late HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto response =
        network_sender("test")->send({.target = server.url() + "/?i=now"}, {.total_timeout_ms = 5000});
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(response->body, "now");
}

// ---- Start and end ----

TEST(Serve, a_port_in_use_is_a_failure_with_a_hint) {
    Server server({}, echo);
    try {
        Server second({.port = server.port()}, echo);
        FAIL() << "two servers on one port";
    } catch (const Failure& failure) {
        EXPECT_NE(std::string(failure.what()).find(std::to_string(server.port())), std::string::npos) << failure.what();
        EXPECT_FALSE(failure.hint.empty());
    }
    EXPECT_THROW(Server({.tls_certificate_pem = "no pem", .tls_private_key_pem = "nor this"}, echo), Failure);
}

TEST(Serve, destruction_waits_for_a_running_handler_and_its_answer) {
    Gate entered;
    Gate may_leave;
    std::atomic<bool> left = false;
    auto server = std::make_unique<Server>(ServeOptions{}, [&](const Request& request) {
        if (!request.has_query("slow")) return Answer{};
        entered.open();
        const bool in_time = may_leave.wait();
        left = true;
        return Answer{.status = in_time ? 200 : 500, .body = "finished"};
    });
    const auto sender = network_sender("test");
    const std::string url = server->url();
    RawClient idle(server->port());
    auto answer = std::async(std::launch::async, [&] { return sender->send({.target = url + "/?slow"}); });
    ASSERT_TRUE(entered.wait());
    auto ended = std::async(std::launch::async, [&] {
        server.reset();
        return left.load();
    });
    EXPECT_EQ(idle.read_all(), "");                       // idle connections are closed at once
    while (sender->send({.target = url}).ok()) continue;  // nobody is let in any more
    may_leave.open();
    EXPECT_TRUE(ended.get());
    const auto response = answer.get();
    ASSERT_TRUE(response.ok()) << to_string(response.error());
    EXPECT_EQ(response->body, "finished");
}

TEST(Serve, destruction_does_not_wait_for_a_client_that_reads_nothing) {
    auto server = std::make_unique<Server>(ServeOptions{}, [](const Request&) {
        return Answer{.pieces = [](std::string& piece) {
            piece.assign(1u << 20, 'x');
            return true;
        }};
    });
    RawClient client(server->port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.read_to("\r\n\r\n");
    const auto before = std::chrono::steady_clock::now();
    server.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

TEST(Serve, destruction_drops_answers_that_were_told_to_wait) {
    auto server = std::make_unique<Server>(ServeOptions{}, [](const Request&) { return Answer{.delay_ms = 60'000}; });
    RawClient client(server->port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    server.reset();
    EXPECT_EQ(client.read_all(), "");
}

}  // namespace
}  // namespace lockstep::http

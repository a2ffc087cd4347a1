#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/world.h"
#include "sandbox/service.h"

namespace lockstep::sandbox {

/// A service without a socket, on a clock that stands still, and a client with a session. For tests.
class Box {
public:
    static constexpr Timestamp start{1'795'478'400};  ///< 2026-11-24T00:00:00Z
    explicit Box(ServiceOptions options = small()) : service(at_start(std::move(options)), world) { log_in(); }

    static ServiceOptions small() {
        ServiceOptions options;
        options.org.people = 40;
        options.settings.job_ms = 0;
        return options;
    }

    /// Users and settings only.
    static ServiceOptions empty() {
        ServiceOptions options = small();
        options.org.people = 0;
        return options;
    }

    void log_in() {
        const auto answer = send("POST", "/services/oauth2/token",
                                 "grant_type=client_credentials&client_id=" + service.credentials().client_id +
                                     "&client_secret=" + service.credentials().client_secret,
                                 {{"Content-Type", "application/x-www-form-urlencoded"}});
        token = text_at(parse(answer.body).as_object(), "access_token").value();
    }

    /// `~` at the start of `target` stands for /services/data/v62.0. Headers that are given win over the usual ones.
    http::Answer send(std::string method, std::string target, std::string body = {}, http::Headers headers = {}) {
        if (!target.empty() && target.front() == '~') target = "/services/data/v62.0" + target.substr(1);
        http::Request request{.method = std::move(method), .target = std::move(target), .body = std::move(body)};
        request.headers = std::move(headers);
        if (!token.empty()) request.headers.try_emplace("Authorization", "Bearer " + token);
        request.headers.try_emplace("Host", "org.test");
        if (!request.body.empty()) request.headers.try_emplace("Content-Type", "application/json");
        return service.handle(request);
    }
    http::Answer get(std::string target) { return send("GET", std::move(target)); }

    /// Makes a record and returns its id; `values` is a JSON object.
    std::string create(const std::string& object, std::string values) {
        const auto answer = send("POST", "~/sobjects/" + object, std::move(values));
        EXPECT_EQ(answer.status, 201) << answer.body;
        return std::string(Box::object(answer).at("id").as_string());
    }

    static json::value parse(std::string_view text) { return parse_json(text).value(); }
    static json::object object(const http::Answer& answer) { return parse(answer.body).as_object(); }
    /// The whole body, also of an answer in pieces.
    static std::string text(http::Answer& answer) {
        if (!answer.pieces) return answer.body;
        std::string all, piece;
        for (bool more = true; more; all += piece) {
            piece.clear();
            more = answer.pieces(piece);
        }
        return all;
    }
    /// `text` as a query parameter's value.
    static std::string encoded(std::string_view text) { return url_encode(text); }

    ManualClock clock{start};
    std::unique_ptr<Random> random = seeded_random(7);
    World world{clock, *random};
    Service service;
    std::string token;

private:
    static ServiceOptions at_start(ServiceOptions options) {
        if (!options.org.start) options.org.start = start;
        return options;
    }
};

}  // namespace lockstep::sandbox

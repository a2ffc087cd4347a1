#include "tests/connector/box.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "record/value.h"
#include "tests/support/answer.h"

namespace lockstep::connector_test {

Result<http::Response> DirectSender::send(const http::Request& request, const http::Limits& limits) {
    http::Request received = request;
    received.target = http::origin_form(request.target);
    http::Response response = TRY(support::received(service_.handle(received)));
    if (response.body.size() > limits.body_bytes_max)
        return Error{.kind = Kind::BadReply, .what = "The answer is too large"};
    return response;
}

salesforce::Credentials credentials_of(const sandbox::Service& service, std::string url) {
    return {.login_url = std::move(url),
            .client_id = service.credentials().client_id,
            .client_secret = service.credentials().client_secret};
}

Box::Box(sandbox::ServiceOptions options)
    : service(std::move(options), world),
      session(credentials_of(service, "http://127.0.0.1"), sender, tokens, salesforce::unlimited_permits(),
              session_world, {}) {
    clock.on_wait = [this] { service.step(); };
}

void Box::admin(const std::string& method, const std::string& path, const std::string& body) {
    const auto answer = service.handle(
        {.method = method, .target = path, .headers = {{"Content-Type", "application/json"}}, .body = body});
    ASSERT_LT(answer.status, 300) << path << " " << answer.body;
}

std::string Box::faults() {
    return service.handle({.target = "/sandbox/faults"}).body;
}

std::set<std::string> Box::live_ids(const std::string& object) {
    const auto lock = service.org().read_lock();
    const int index = service.org().schema().find(object);
    // Tasks and events of long ago show in queryAll only.
    const int archived = service.org().schema().at(index).find("IsArchived");
    std::set<std::string> ids;
    for (std::int64_t row = 0; row < service.org().rows(index); ++row) {
        if (archived >= 0 && service.org().value(index, row, archived) == sandbox::Cell{true}) continue;
        if (service.org().life(index, row) == sandbox::Org::Life::Live) ids.insert(service.org().id_of(index, row));
    }
    return ids;
}

std::vector<std::string> Box::insert(const std::string& object, int count, const sandbox::Values& values) {
    const auto lock = service.org().write_lock();
    sandbox::Org& org = service.org();
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i) {
        const auto written = org.insert(org.schema().find(object), values, org.integration_user_id());
        EXPECT_TRUE(written.ok()) << (written.ok() ? "" : written.errors[0].message);
        ids.push_back(written.id);
    }
    return ids;
}

salesforce::Selection Box::selection(const std::string& object) {
    auto described = connector.describe(object);
    EXPECT_TRUE(described.ok()) << (described.ok() ? "" : described.error().what);
    return {.object = object, .fields = described->fields};
}

void Taken::add(const salesforce::Page& page) {
    odd += page.odd.size();
    for (std::size_t i = 0; i < page.rows.rows(); ++i) {
        const auto cells = page.rows.row(i);
        ids.push_back(to_text(cells[0]));
        std::string row;
        for (const auto& cell : cells) row += to_text(cell) + "|";
        rows.push_back(std::move(row));
    }
}

std::vector<std::string> Taken::sorted_rows() const {
    std::vector<std::string> sorted = rows;
    std::ranges::sort(sorted);
    return sorted;
}

}  // namespace lockstep::connector_test

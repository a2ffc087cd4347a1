#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/connector/box.h"

namespace lockstep::connector_test {
namespace {

using salesforce::BulkPosition;
using salesforce::Page;
using ::testing::HasSubstr;

/// The org behind a socket on this machine. Real sockets, a clock that does not make tests wait.
class NetworkBox {
public:
    NetworkBox()
        : service(options(), world),
          server({},
                 [this](const http::Request& request) {
                     service.step();
                     return service.handle(request);
                 }),
          session(credentials_of(service, server.url()), *sender, tokens, salesforce::unlimited_permits(),
                  session_world, {}) {
        clock.on_wait = [this] { service.step(); };
    }
    static sandbox::ServiceOptions options() {
        auto options = Box::small();
        options.org.people = 2'000;
        return options;
    }
    void fault(const std::string& body) {
        const auto answer = service.handle({.method = "POST", .target = "/sandbox/faults", .body = body});
        ASSERT_LT(answer.status, 300) << answer.body;
    }

    SharedClock clock{Box::start};
    std::unique_ptr<Random> random = seeded_random(7);
    std::unique_ptr<Random> session_random = seeded_random(8);
    World world{.clock = clock, .random = *random};
    World session_world{.clock = clock, .random = *session_random};
    sandbox::Service service;
    http::Server server;
    NoKeeper tokens;
    std::unique_ptr<http::Sender> sender = http::network_sender("lockstep-test");
    salesforce::Session session;
    salesforce::Connector connector{session};
};

TEST(ConnectorOverTcp, reads_by_query_and_by_bulk_through_cut_and_dropped_connections) {
    NetworkBox box;
    const auto described = box.connector.describe("Contact");
    ASSERT_TRUE(described.ok()) << to_string(described.error());
    const salesforce::Selection selection{.object = "Contact", .fields = described->fields};
    for (const char* fault :
         {"", R"({"kind":"cut_body","count":2,"after":1,"bytes":300})", R"({"kind":"drop","count":2,"after":1})",
          R"({"kind":"html","count":1,"after":1})", R"({"kind":"expired_token","count":1,"after":1})"}) {
        Taken by_query, by_bulk;
        if (*fault != 0) box.fault(fault);
        const auto read = box.connector.read(selection, by_query.sink());
        ASSERT_TRUE(read.ok()) << fault << to_string(read.error());
        if (*fault != 0) box.fault(fault);
        const auto bulk = box.connector.read_bulk(selection, {}, [&](Page&& page, const BulkPosition&) -> Result<void> {
            by_bulk.add(page);
            return {};
        });
        ASSERT_TRUE(bulk.ok()) << fault << to_string(bulk.error());
        EXPECT_GT(by_query.ids.size(), 500u);
        EXPECT_EQ(by_query.sorted_rows(), by_bulk.sorted_rows()) << fault;
    }
    EXPECT_GE(box.session.quota()->used, box.session.calls_made());
}

TEST(ConnectorOverTcp, says_so_when_nobody_listens) {
    auto box = std::make_unique<NetworkBox>();
    auto credentials = credentials_of(box->service, "http://127.0.0.1:1");
    salesforce::Session session(credentials, *box->sender, box->tokens, salesforce::unlimited_permits(),
                                box->session_world, {});
    const auto token = session.log_in();
    EXPECT_EQ(token.error().kind, Kind::Unavailable);
    EXPECT_THAT(token.error().what, HasSubstr("127.0.0.1:1"));
}

}  // namespace
}  // namespace lockstep::connector_test

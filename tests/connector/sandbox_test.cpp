#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/text.h"
#include "salesforce/soap.h"
#include "tests/connector/box.h"

namespace lockstep::connector_test {
namespace {

using salesforce::BulkPosition;
using salesforce::Connector;
using salesforce::Page;
using ::testing::HasSubstr;

/// In pages of some 200 rows.
Result<void> read_bulk(Box& box, const salesforce::Selection& selection, Taken& taken) {
    const auto sink = [&](Page&& page, const BulkPosition&) -> Result<void> {
        taken.add(page);
        return {};
    };
    return box.connector.read_bulk(selection, {}, sink, {.page_bytes = 1000, .first_page_rows = 200});
}

// ---- What is there is read, by both ways alike ----

TEST(ConnectorAndSandbox, reads_every_object_alike_by_query_and_by_bulk) {
    Box box;
    const auto objects = box.connector.objects();
    ASSERT_TRUE(objects.ok()) << objects.error().what;
    for (const char* object : {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "User",
                               "Campaign", "CampaignMember", "Task", "Event"}) {
        ASSERT_TRUE(std::ranges::any_of(*objects, [&](const auto& brief) { return brief.name == object; })) << object;
        const auto selection = box.selection(object);
        Taken by_query, by_bulk;
        const auto read = box.connector.read(selection, by_query.sink());
        ASSERT_TRUE(read.ok()) << object << ": " << to_string(read.error());
        const auto bulk = read_bulk(box, selection, by_bulk);
        ASSERT_TRUE(bulk.ok()) << object << ": " << to_string(bulk.error());
        EXPECT_EQ(by_query.sorted_rows(), by_bulk.sorted_rows()) << object;
        EXPECT_EQ(by_query.id_set(), box.live_ids(object)) << object;
        EXPECT_EQ(by_query.odd + by_bulk.odd, 0u) << object;
        EXPECT_EQ(*box.connector.count(selection), static_cast<std::int64_t>(by_query.ids.size())) << object;
    }
}

TEST(ConnectorAndSandbox, tells_the_org_its_versions_and_its_quota) {
    Box box;
    const auto org = box.connector.org();
    ASSERT_TRUE(org.ok()) << to_string(org.error());
    EXPECT_EQ(org->organization_id, box.service.org().organization_id());
    EXPECT_EQ(org->user_id, box.service.org().integration_user_id());
    EXPECT_EQ(org->username, box.service.credentials().username);
    EXPECT_FALSE(org->name.empty());
    EXPECT_FALSE(org->multi_currency);
    EXPECT_EQ(org->default_currency, "USD");
    const auto versions = box.connector.versions();
    ASSERT_TRUE(versions.ok());
    EXPECT_EQ(versions->front(), "40.0");
    EXPECT_EQ(versions->back(), "64.0");
    ASSERT_TRUE(box.connector.objects().ok());  // the latest answer that tells the quota
    ASSERT_TRUE(box.session.quota().has_value());
    EXPECT_EQ(box.session.quota()->max, 100'000);
    EXPECT_GT(box.session.quota()->used, 0);
    EXPECT_LE(box.session.quota()->used, box.session.calls_made());  // SOAP's answers do not tell
    EXPECT_EQ(box.session.server_time(), box.clock.now());
    EXPECT_EQ(box.tokens.saves, 1);
}

TEST(ConnectorAndSandbox, tells_the_orgs_own_currency_also_with_a_session_that_has_ended) {
    Box box;
    box.admin("PATCH", "/sandbox/settings", R"({"currency":"EUR"})");
    ASSERT_TRUE(box.session.log_in().ok());
    box.admin("DELETE", "/sandbox/sessions");
    const auto info = salesforce::user_info(box.session);
    ASSERT_TRUE(info.ok()) << to_string(info.error());
    EXPECT_EQ(info->default_currency, "EUR");
    EXPECT_EQ(info->organization_id, box.service.org().organization_id());
    EXPECT_EQ(info->user_id, box.service.org().integration_user_id());
    EXPECT_EQ(box.tokens.saves, 2);

    box.fault(R"({"kind":"cut_text","path":"/services/Soap","count":2})");
    EXPECT_EQ(box.connector.org()->default_currency, "EUR");
    box.fault(R"({"kind":"answer","path":"/services/Soap","status":403})");
    const auto org = box.connector.org();
    ASSERT_TRUE(org.ok()) << to_string(org.error());
    EXPECT_EQ(org->default_currency, "");
    EXPECT_THAT(org->currency_trouble, HasSubstr("403"));
}

TEST(ConnectorAndSandbox, reads_thousands_of_rows_of_one_second_once_each) {
    Box box;
    const Timestamp now = box.clock.now();
    const auto ids = box.insert("Lead", 5'000, {{"LastName", std::string("Tie")}, {"Company", std::string("Acme")}});
    for (const char* fault :
         {"", R"({"kind":"locator_expired"})", R"({"kind":"locator_expired","after":1,"count":1})"}) {
        if (*fault != 0) box.fault(fault);
        auto selection = box.selection("Lead");
        selection.since = now;
        selection.until = now.plus(1);
        Taken taken;
        const auto read = box.connector.read(selection, taken.sink());
        ASSERT_TRUE(read.ok()) << to_string(read.error());
        EXPECT_EQ(taken.ids.size(), 5'000u);
        EXPECT_EQ(taken.id_set(), std::set<std::string>(ids.begin(), ids.end()));
        EXPECT_TRUE(std::ranges::is_sorted(taken.ids));
        box.admin("DELETE", "/sandbox/faults");
    }
}

TEST(ConnectorAndSandbox, pages_by_keys_through_many_seconds_without_a_gap) {
    auto options = Box::small();
    options.settings.query_page_rows = 200;
    Box box(options);
    box.fault(R"({"kind":"locator_expired","probability":0.5})");
    const auto selection = box.selection("Contact");
    Taken taken;
    ASSERT_TRUE(box.connector.read(selection, taken.sink()).ok());
    EXPECT_EQ(taken.id_set(), box.live_ids("Contact"));
    EXPECT_EQ(taken.ids.size(), taken.id_set().size());
}

TEST(ConnectorAndSandbox, joins_the_columns_of_an_object_too_wide_for_a_url) {
    Box box;
    for (int i = 0; i < 700; ++i) {
        box.admin("POST", "/sandbox/objects/Lead/fields",
                  R"({"name":"A_field_with_a_rather_long_name_)" + std::to_string(1000 + i) +
                      R"(__c","type":"string","length":20})");
    }
    box.insert("Lead", 3,
               {{"LastName", std::string("Wide")},
                {"Company", std::string("Acme")},
                {"A_field_with_a_rather_long_name_1699__c", std::string("last")}});
    const auto selection = box.selection("Lead");
    ASSERT_GT(selection.fields.size(), 700u);
    Taken by_query, by_bulk, by_ids;
    const auto read = box.connector.read(selection, by_query.sink());
    ASSERT_TRUE(read.ok()) << to_string(read.error());
    ASSERT_TRUE(read_bulk(box, selection, by_bulk).ok());
    EXPECT_EQ(by_query.sorted_rows(), by_bulk.sorted_rows());
    EXPECT_TRUE(std::ranges::any_of(by_query.rows, [](const std::string& row) { return row.ends_with("|last|"); }));
    ASSERT_TRUE(box.connector.read_by_ids(selection, by_query.ids, by_ids.sink()).ok());
    EXPECT_EQ(by_ids.sorted_rows(), by_query.sorted_rows());
}

TEST(ConnectorAndSandbox, reads_by_ids_what_there_is_deleted_rows_too) {
    Box box;
    auto ids = box.insert("Lead", 450, {{"LastName", std::string("X")}, {"Company", std::string("Acme")}});
    box.admin("DELETE", "/sandbox/records/Lead/" + ids[7]);
    ids.push_back("00Q000000000000AAA");
    Taken taken;
    const auto calls = box.session.calls_made();
    ASSERT_TRUE(box.connector.read_by_ids(box.selection("Lead"), ids, taken.sink()).ok());
    ids.pop_back();
    EXPECT_EQ(taken.id_set(), std::set<std::string>(ids.begin(), ids.end()));
    EXPECT_EQ(box.session.calls_made() - calls, 1 + 3);  // a describe, and a call for 200 ids
}

TEST(ConnectorAndSandbox, finds_deleted_rows_in_queries_and_in_the_delete_log) {
    Box box;
    const auto ids = box.insert("Lead", 3, {{"LastName", std::string("X")}, {"Company", std::string("Acme")}});
    box.clock.wait_ms(120'000);
    const Timestamp before = box.clock.now();
    box.admin("DELETE", "/sandbox/records/Lead/" + ids[1]);
    box.clock.wait_ms(180'000);
    const auto deleted = box.connector.deleted("Lead", before, box.clock.now());
    ASSERT_TRUE(deleted.ok()) << to_string(deleted.error());
    ASSERT_EQ(deleted->rows.size(), 1u);
    EXPECT_EQ(deleted->rows[0].id, ids[1]);
    EXPECT_GE(deleted->covered, before);

    auto selection = box.selection("Lead");
    selection.since = before;
    Taken without, with;
    ASSERT_TRUE(box.connector.read(selection, without.sink()).ok());
    EXPECT_TRUE(without.ids.empty());
    selection.deleted_too = true;
    ASSERT_TRUE(box.connector.read(selection, with.sink()).ok());
    EXPECT_EQ(with.ids, std::vector<std::string>{ids[1]});

    box.admin("POST", "/sandbox/delete-log/purge", R"({"before":")" + to_string(box.clock.now()) + "\"}");
    EXPECT_EQ(box.connector.deleted("Lead", before, box.clock.now().plus(120)).error().code,
              "INVALID_REPLICATION_DATE");
}

TEST(ConnectorAndSandbox, stands_removed_and_hidden_fields_and_objects) {
    Box box;
    const auto selection = box.selection("Lead");
    box.admin("PATCH", "/sandbox/objects/Lead/fields/Email", R"({"visible":false})");
    Taken taken;
    EXPECT_EQ(box.connector.read(selection, taken.sink()).error().code, "INVALID_FIELD");
    EXPECT_EQ(read_bulk(box, selection, taken).error().code, "INVALID_FIELD");
    EXPECT_EQ(box.connector.describe("Lead")->find("Email"), nullptr);
    ASSERT_TRUE(box.connector.read(box.selection("Lead"), taken.sink()).ok());
    box.admin("PATCH", "/sandbox/objects/Lead", R"({"visible":false})");
    EXPECT_EQ(box.connector.describe("Lead").error().kind, Kind::NotFound);
    EXPECT_EQ(box.connector.read(selection, taken.sink()).error().code, "INVALID_TYPE");
}

// ---- Faults that pass: the same rows as without them ----

struct Passing {
    const char* fault;
    bool query = true, bulk = true;
};
const Passing kPassing[] = {
    {R"({"kind":"expired_token","count":1,"after":1})"},
    {R"({"kind":"expired_token","count":1,"after":3})"},
    {R"({"kind":"http_500","count":3,"after":1})"},
    {R"({"kind":"http_503","count":2,"after":2,"retry_after":3})"},
    {R"({"kind":"html","count":2,"after":1})"},
    {R"({"kind":"html","count":2,"after":1,"status":503})"},
    {R"({"kind":"drop","count":2,"after":1})"},
    {R"({"kind":"concurrent","count":2,"after":1})"},
    {R"({"kind":"latency","count":2,"ms":1000})"},
    {R"({"kind":"cut_body","count":3,"after":1,"bytes":500})"},
    {R"({"kind":"cut_text","count":2,"after":2,"bytes":700})"},
    {R"({"kind":"wrong_row_count","count":1,"rows":1})"},
    {R"({"kind":"wrong_row_count","count":1,"rows":-1,"after":1})"},
    {R"({"kind":"wrong_row_count","count":2,"after":1})"},
    {R"({"kind":"wrong_row_count","count":5,"after":1})", true, false},
    {R"({"kind":"missing_field","count":2,"value":"Email"})", true, false},
    {R"({"kind":"limit_header_missing"})"},
    {R"({"kind":"limit_header_wrong"})"},
    {R"({"kind":"limit_header_wrong","value":"nonsense"})"},
    {R"({"kind":"date_skew","seconds":7200})"},
    {R"({"kind":"date_skew","seconds":-7200})"},
    {R"({"kind":"locator_expired","count":1,"after":1})", true, false},
    {R"({"kind":"locator_expired","path":"/query*"})", true, false},
};

class PassingFault : public ::testing::TestWithParam<Passing> {};

TEST_P(PassingFault, costs_no_row_and_gives_none_twice) {
    auto options = Box::small();
    options.org.people = 2'000;
    options.settings.query_page_rows = 200;
    Box box(options);
    const auto selection = box.selection("Lead");
    const auto truth = box.live_ids("Lead");
    ASSERT_GT(truth.size(), 600u);
    for (const bool bulk : {false, true}) {
        if (bulk ? !GetParam().bulk : !GetParam().query) continue;
        box.fault(GetParam().fault);
        Taken taken;
        const auto read = bulk ? read_bulk(box, selection, taken) : box.connector.read(selection, taken.sink());
        ASSERT_TRUE(read.ok()) << to_string(read.error());
        EXPECT_EQ(taken.id_set(), truth) << (bulk ? "bulk" : "query");
        EXPECT_EQ(taken.ids.size(), truth.size()) << (bulk ? "bulk" : "query");
        EXPECT_EQ(taken.odd, 0u);
        EXPECT_THAT(box.faults(), Not(HasSubstr(R"("fired":0)"))) << (bulk ? "bulk" : "query");
        box.admin("DELETE", "/sandbox/faults");
    }
}

INSTANTIATE_TEST_SUITE_P(Faults, PassingFault, ::testing::ValuesIn(kPassing),
                         [](const auto& info) { return "number_" + std::to_string(info.index); });

// ---- Faults that stay: an error that says so, and nothing wrong given out ----

struct Staying {
    const char* fault;
    Kind kind;
    const char* code;
    bool query = true, bulk = true;
};
const Staying kStaying[] = {
    {R"({"kind":"throttle"})", Kind::Throttled, "REQUEST_LIMIT_EXCEEDED"},
    {R"({"kind":"concurrent"})", Kind::Throttled, "REQUEST_LIMIT_EXCEEDED"},
    {R"({"kind":"http_503"})", Kind::Unavailable, "SERVER_UNAVAILABLE"},
    {R"({"kind":"http_503","retry_after":7200})", Kind::Unavailable, "SERVER_UNAVAILABLE"},
    {R"({"kind":"html"})", Kind::BadReply, ""},
    {R"({"kind":"drop"})", Kind::Unavailable, ""},
    {R"({"kind":"cut_body"})", Kind::BadReply, ""},
    {R"({"kind":"cut_text"})", Kind::BadReply, ""},
    {R"({"kind":"expired_token"})", Kind::Denied, "INVALID_SESSION_ID"},
    {R"({"kind":"wrong_row_count","rows":-1})", Kind::BadReply, "", true, false},
    {R"({"kind":"missing_field","value":"Email"})", Kind::BadReply, "", true, false},
    {R"({"kind":"query_timeout"})", Kind::Rejected, "QUERY_TIMEOUT"},
    {R"({"kind":"job_failed","value":"Query failed"})", Kind::Rejected, "BULK_JOB_LOST", false, true},
    {R"({"kind":"job_aborted"})", Kind::Rejected, "BULK_JOB_LOST", false, true},
    {R"({"kind":"job_stuck"})", Kind::Rejected, "BULK_JOB_LOST", false, true},
    {R"({"kind":"result_expired"})", Kind::Rejected, "BULK_JOB_LOST", false, true},
};

class StayingFault : public ::testing::TestWithParam<Staying> {};

TEST_P(StayingFault, is_an_error_and_gives_nothing_wrong) {
    Box box;
    const auto selection = box.selection("Lead");
    for (const bool bulk : {false, true}) {
        if (bulk ? !GetParam().bulk : !GetParam().query) continue;
        box.fault(GetParam().fault);
        Taken taken;
        const auto calls = box.session.calls_made();
        const auto read = bulk ? read_bulk(box, selection, taken) : box.connector.read(selection, taken.sink());
        ASSERT_FALSE(read.ok());
        EXPECT_EQ(read.error().kind, GetParam().kind) << to_string(read.error());
        EXPECT_EQ(read.error().code, GetParam().code) << to_string(read.error());
        EXPECT_FALSE(read.error().hint.empty() && GetParam().kind == Kind::Throttled);
        EXPECT_TRUE(taken.ids.empty());
        const bool throttled = std::string_view(GetParam().fault).find("throttle") != std::string_view::npos;
        // No storm; a stuck job is polled for half an hour.
        EXPECT_LE(box.session.calls_made() - calls, throttled ? 1 : 400);
        box.admin("DELETE", "/sandbox/faults");
    }
}

INSTANTIATE_TEST_SUITE_P(Faults, StayingFault, ::testing::ValuesIn(kStaying),
                         [](const auto& info) { return "number_" + std::to_string(info.index); });

TEST(ConnectorAndSandbox, is_stopped_by_the_daily_quota_at_once) {
    Box box;
    const auto selection = box.selection("Lead");
    box.admin("POST", "/sandbox/quota", R"({"used":100000})");
    Taken taken;
    const auto calls = box.session.calls_made();
    EXPECT_EQ(box.connector.read(selection, taken.sink()).error().kind, Kind::Throttled);
    EXPECT_EQ(box.session.calls_made() - calls, 1);
}

TEST(ConnectorAndSandbox, logs_in_again_when_its_session_was_ended) {
    Box box;
    const auto selection = box.selection("Lead");
    box.admin("DELETE", "/sandbox/sessions");
    Taken taken;
    ASSERT_TRUE(box.connector.read(selection, taken.sink()).ok());
    EXPECT_EQ(box.tokens.saves, 2);
    box.fault(R"({"kind":"token_refused","value":"inactive user"})");
    box.admin("DELETE", "/sandbox/sessions");
    const auto read = box.connector.read(selection, taken.sink());
    EXPECT_EQ(read.error().kind, Kind::Denied);
    EXPECT_THAT(read.error().hint, HasSubstr("Setup > Users"));
}

TEST(ConnectorAndSandbox, proves_itself_by_a_signature_though_clocks_differ) {
    const RsaKeyPair keys = make_rsa_key_pair();
    auto options = Box::small();
    options.credentials.jwt_public_key_pem = keys.public_pem;
    Box box(options);
    salesforce::Credentials who{.method = salesforce::Credentials::Method::JwtBearer,
                                .login_url = "http://127.0.0.1",
                                .client_id = box.service.credentials().client_id,
                                .username = box.service.credentials().username,
                                .private_key_pem = keys.private_pem};
    for (const std::int64_t skew_s : {0, 3600, -3600}) {
        SharedClock clock(box.clock.now().plus(skew_s));
        World world{.clock = clock, .random = *box.session_random};
        salesforce::Session session(who, box.sender, box.tokens, salesforce::unlimited_permits(), world, {});
        const auto token = session.log_in();
        ASSERT_TRUE(token.ok()) << skew_s << ": " << to_string(token.error());
        EXPECT_EQ(session.clock_skew_s(), -skew_s);
    }
    who.username = "nobody@acme.example";
    salesforce::Session session(who, box.sender, box.tokens, salesforce::unlimited_permits(), box.session_world, {});
    EXPECT_EQ(session.log_in().error().kind, Kind::Denied);
}

// ---- Bulk results and restarts ----

TEST(ConnectorAndSandbox, goes_on_with_a_bulk_result_where_it_was_killed) {
    auto options = Box::small();
    options.settings.bulk_shuffled = true;
    Box box(options);
    box.insert("Lead", 3'000, {{"LastName", std::string("X")}, {"Company", std::string("Acme")}});
    const auto selection = box.selection("Lead");
    const auto truth = box.live_ids("Lead");
    const Connector::BulkOptions small{.page_bytes = 1000, .first_page_rows = 300};
    for (int kill_after = 0; kill_after < 6; ++kill_after) {
        Taken taken;
        BulkPosition kept{.job = *box.connector.start_bulk(selection)};
        int pages = 0;
        const auto sink = [&](Page&& page, const BulkPosition& after) -> Result<void> {
            if (pages++ == kill_after) return Error{.kind = Kind::Cancelled, .what = "killed"};
            taken.add(page);
            kept = after;
            return {};
        };
        const auto first = box.connector.read_bulk(selection, kept, sink, small);
        ASSERT_EQ(first.error().kind, Kind::Cancelled);
        box.clock.wait_ms(1000);
        // Between the two lives of the process the result stays the same, though the org does not.
        box.insert("Lead", 1, {{"LastName", std::string("Later")}, {"Company", std::string("Acme")}});
        const auto second = box.connector.read_bulk(selection, kept, sink, small);
        ASSERT_TRUE(second.ok()) << to_string(second.error());
        EXPECT_EQ(taken.ids.size(), truth.size() + static_cast<std::size_t>(kill_after));
        EXPECT_EQ(taken.id_set().size(), taken.ids.size());
    }
}

TEST(ConnectorAndSandbox, reads_an_object_without_rows) {
    Box box;
    box.admin("POST", "/sandbox/objects",
              R"({"name":"Visit__c","fields":[{"name":"Note__c","type":"string","length":80}]})");
    const auto selection = box.selection("Visit__c");
    Taken taken;
    EXPECT_TRUE(box.connector.read(selection, taken.sink()).ok());
    EXPECT_TRUE(read_bulk(box, selection, taken).ok());
    EXPECT_EQ(*box.connector.count(selection), 0);
    EXPECT_TRUE(taken.ids.empty());
}

}  // namespace
}  // namespace lockstep::connector_test

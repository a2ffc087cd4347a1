#include "salesforce/connector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "salesforce/testing.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {
namespace {

using record::Field;
using record::Form;
using ::testing::ElementsAre;
using testing::FakeOrg;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::refusal;

Field field(std::string name, Form form = Form::Text) {
    return {.name = std::move(name), .form = form};
}
const Field kStamp = field("SystemModstamp", Form::Timestamp);

Selection leads() {
    return {.object = "Lead",
            .fields = {field("Id"), kStamp, field("Email")},
            .since = parse_timestamp("2026-11-24T08:00:00Z"),
            .until = parse_timestamp("2026-11-24T09:00:00Z")};
}

/// One page of a query: rows of id and time of the day.
struct Row {
    std::string id, at, email = "x";
};
http::Response page(std::int64_t total, const std::string& next, const std::vector<Row>& rows) {
    std::string body = R"({"totalSize":)" + std::to_string(total) + R"(,"done":)" + (next.empty() ? "true" : "false");
    if (!next.empty()) body += R"(,"nextRecordsUrl":"/services/data/v60.0/query/)" + next + "\"";
    body += R"(,"records":[)";
    for (const Row& row : rows) {
        if (&row != &rows.front()) body += ',';
        body += R"({"attributes":{"type":"Lead"},"Id":")" + row.id + R"(","SystemModstamp":"2026-11-24T)" + row.at +
                R"(.000+0000","Email":")" + row.email + R"("})";
    }
    return testing::json(200, body + "]}");
}
http::Response count_of(std::int64_t count) {
    return page(count, "", {});
}

struct Seen {
    std::vector<std::string> ids;
    std::vector<std::string> calls;
    int pages = 0;
    PageSink sink() {
        return [this](Page&& page) -> Result<void> {
            ++pages;
            calls.push_back(page.call);
            for (std::size_t i = 0; i < page.rows.rows(); ++i) ids.emplace_back(page.rows.row(i)[0].as_text());
            return {};
        };
    }
};

// ---- Reading by query ----

TEST(Read, follows_the_pages_of_a_query) {
    FakeOrg org;
    org.on("/query/01g1-2", page(3, "", {{"003", "08:30:00"}}));
    org.on("/query?q=", page(3, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
    Seen seen;
    ASSERT_TRUE(org.connector().read(leads(), seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001", "002", "003"));
    EXPECT_THAT(seen.calls, ElementsAre("query page 1", "query page 2"));
    EXPECT_EQ(
        org.targets()[0],
        "/services/data/v60.0/query?q=SELECT Id,SystemModstamp,Email FROM Lead WHERE "
        "SystemModstamp>=2026-11-24T08:00:00Z AND SystemModstamp<2026-11-24T09:00:00Z ORDER BY SystemModstamp,Id");
}

TEST(Read, asks_for_deleted_rows_where_they_are_wanted) {
    FakeOrg org;
    org.on("/queryAll?q=", page(0, "", {}));
    Selection selection = leads();
    selection.deleted_too = true;
    Seen seen;
    EXPECT_TRUE(org.connector().read(selection, seen.sink()).ok());
    EXPECT_EQ(seen.pages, 1);
}

TEST(Read, goes_on_by_keys_when_the_locator_is_lost) {
    FakeOrg org;
    org.on("/query/01g1-2", refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"));
    org.on("Id>'002'", page(1, "", {{"003", "08:20:00"}}));
    org.on("/query?q=", page(3, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
    Seen seen;
    ASSERT_TRUE(org.connector().read(leads(), seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001", "002", "003"));
    EXPECT_THAT(org.targets().back(), HasSubstr("((SystemModstamp=2026-11-24T08:20:00Z AND Id>'002') OR "
                                                "SystemModstamp>2026-11-24T08:20:00Z)"));
    EXPECT_EQ(org.calls.size(), 3u);
}

TEST(Read, goes_on_by_ids_where_an_object_has_no_stamp) {
    FakeOrg org;
    org.on("/query/01g1-2", refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"));
    org.on("Id>'002'", page(1, "", {{"003", "08:20:00"}}));
    org.on("FROM X ORDER BY Id", page(3, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
    Seen seen;
    const Selection selection{.object = "X", .fields = {field("Id"), field("Email")}, .stamp = ""};
    ASSERT_TRUE(org.connector().read(selection, seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001", "002", "003"));
}

TEST(Read, does_not_trust_the_place_of_a_row_that_was_saved_while_the_query_ran) {
    // The query ran at nine. Row 004 stood at 08:30 then, was saved at nine, and is shown with that stamp. Going on
    // behind it would skip 005.
    FakeOrg org;
    org.headers_of_all = {{"Date", "Tue, 24 Nov 2026 09:00:00 GMT"}};
    org.on("/query/01g1-2", page(5, "01g1-4", {{"003", "08:20:00"}, {"004", "09:00:01"}}));
    org.on("/query/01g1-4", refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"));
    org.on("Id>'003'", page(3, "", {{"005", "08:40:00"}, {"004", "09:00:01"}, {"006", "09:00:02"}}));
    org.on("/query?q=", page(5, "01g1-2", {{"001", "08:00:00"}, {"002", "08:10:00"}}));
    Selection selection = leads();
    selection.until = parse_timestamp("2026-11-24T10:00:00Z");
    Seen seen;
    ASSERT_TRUE(org.connector().read(selection, seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001", "002", "003", "004", "005", "006"));  // 004 once
}

TEST(Read, fetches_a_page_again_that_is_not_whole) {
    FakeOrg org;
    const auto whole = page(1, "", {{"001", "08:10:00"}});
    auto cut = whole;
    cut.body.resize(cut.body.size() / 2);
    org.on_each("/query?q=", {cut, page(2, "", {{"001", "08:10:00"}}), whole});
    Seen seen;
    ASSERT_TRUE(org.connector().read(leads(), seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001"));
    EXPECT_EQ(org.calls.size(), 3u);
}

TEST(Read, gives_nothing_of_a_page_that_stays_wrong) {
    for (const auto& wrong : {page(2, "", {{"001", "08:10:00"}}), page(0, "", {{"001", "08:10:00"}}),
                              page(1, "01g1-1", {}), page(1, "../../composite", {{"001", "08:10:00"}})}) {
        FakeOrg org;
        org.on("/query?q=", wrong);
        Seen seen;
        const auto read = org.connector().read(leads(), seen.sink());
        ASSERT_FALSE(read.ok());
        EXPECT_EQ(read.error().kind, Kind::BadReply) << read.error().what;
        EXPECT_EQ(seen.pages, 0);
        EXPECT_EQ(org.calls.size(), 3u);
    }
}

TEST(Read, goes_on_by_keys_when_a_later_page_stays_wrong) {
    FakeOrg org;
    org.on("/query/01g1-2", page(4, "", {{"003", "08:30:00"}}));  // the first page announced three
    org.on("Id>'002'", page(1, "", {{"003", "08:30:00"}}));
    org.on("/query?q=", page(3, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
    Seen seen;
    ASSERT_TRUE(org.connector().read(leads(), seen.sink()).ok());
    EXPECT_THAT(seen.ids, ElementsAre("001", "002", "003"));
}

TEST(Read, accepts_fewer_rows_than_announced_only_if_there_are_fewer_now) {
    for (const std::int64_t now : {3, 4}) {
        FakeOrg org;
        org.on("COUNT()", count_of(now));
        org.on("/query/01g1-2", page(4, "", {{"003", "08:30:00"}}));
        org.on("/query?q=", page(4, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
        Seen seen;
        const auto read = org.connector().read(leads(), seen.sink());
        EXPECT_EQ(read.ok(), now == 3);
        if (read.ok()) continue;
        EXPECT_EQ(read.error().kind, Kind::BadReply);
        EXPECT_THAT(seen.ids, ElementsAre("001", "002"));  // not the page that ends a result with a hole
    }
}

TEST(Read, passes_on_that_a_field_is_gone) {
    FakeOrg org;
    org.on("/query?q=", refusal(400, "INVALID_FIELD", "No such column 'Email' on entity 'Lead'."));
    Seen seen;
    const auto read = org.connector().read(leads(), seen.sink());
    EXPECT_EQ(read.error().kind, Kind::Rejected);
    EXPECT_EQ(read.error().code, "INVALID_FIELD");
}

TEST(Read, stops_with_the_sinks_error) {
    FakeOrg org;
    org.on("/query?q=", page(3, "01g1-2", {{"001", "08:10:00"}, {"002", "08:20:00"}}));
    const auto read = org.connector().read(
        leads(), [](Page&&) -> Result<void> { return Error{.kind = Kind::Conflict, .what = "lease lost"}; });
    EXPECT_EQ(read.error().what, "lease lost");
    EXPECT_EQ(org.calls.size(), 1u);
}

TEST(Read, gives_the_columns_asked_for_though_it_reads_the_stamp_too) {
    FakeOrg org;
    org.on("SELECT Id,SystemModstamp,Email FROM", page(1, "", {{"001", "08:10:00", "a@b.c"}}));
    Selection selection = leads();
    selection.fields = {field("Id"), field("Email")};
    std::vector<std::string> cells;
    ASSERT_TRUE(org.connector()
                    .read(selection,
                          [&](Page&& page) -> Result<void> {
                              for (const auto& cell : page.rows.row(0)) cells.push_back(to_text(cell));
                              return {};
                          })
                    .ok());
    EXPECT_THAT(cells, ElementsAre("001", "a@b.c"));
    selection.fields = {field("Id"), field("Email"), kStamp};
    cells.clear();
    ASSERT_TRUE(org.connector()
                    .read(selection,
                          [&](Page&& page) -> Result<void> {
                              for (const auto& cell : page.rows.row(0)) cells.push_back(to_text(cell));
                              return {};
                          })
                    .ok());
    EXPECT_THAT(cells, ElementsAre("001", "a@b.c", "2026-11-24T08:10:00Z"));
}

// ---- Column groups ----

/// An object of 800 text fields with long names, whose rows can change between two calls.
class WideOrg : public FakeOrg {
public:
    struct Record {
        std::string id;
        std::int64_t stamp;
    };
    WideOrg() {
        selection.object = "Wide__c";
        selection.fields = {field("Id"), kStamp};
        for (int i = 0; i < 800; ++i) {
            selection.fields.push_back(field("A_field_with_a_rather_long_name_" + std::to_string(1000 + i) + "__c"));
        }
        const Answer answer = [this](const http::Request& request) { return query(request.query("q")); };
        on("/query?q=", std::vector<Answer>{answer});
        on("/queryAll?q=", std::vector<Answer>{answer});
    }
    std::vector<Record> records;
    std::function<void()> between = [] {};  ///< runs before each answer
    Selection selection;

private:
    http::Response query(const std::string& soql) {
        between();
        EXPECT_LE(calls.back().target.size() + instance.size(), 16'384u);
        const auto columns = split(soql.substr(7, soql.find(" FROM") - 7), ',');
        std::string rows;
        int count = 0;
        for (const Record& record : records) {
            if (soql.find("Id IN (") != std::string::npos && soql.find(record.id) == std::string::npos) continue;
            rows += rows.empty() ? "{" : ",{";
            for (const std::string& column : columns) {
                if (&column != &columns.front()) rows += ',';
                rows += "\"" + column + "\":\"";
                rows += column == "Id"               ? record.id
                        : column == "SystemModstamp" ? to_string(Timestamp{record.stamp})
                                                     : column.substr(32, 4) + "@" + std::to_string(record.stamp);
                rows += '"';
            }
            rows += '}';
            ++count;
        }
        return testing::json(200,
                             R"({"totalSize":)" + std::to_string(count) + R"(,"done":true,"records":[)" + rows + "]}");
    }
};

/// Every cell of every row must be of its row's one state.
PageSink check_states(int& rows) {
    return [&rows](Page&& page) -> Result<void> {
        for (std::size_t i = 0; i < page.rows.rows(); ++i, ++rows) {
            const auto cells = page.rows.row(i);
            for (std::size_t c = 2; c < cells.size(); ++c) {
                EXPECT_EQ(to_text(cells[c]),
                          std::to_string(998 + c) + "@" + std::to_string(cells[1].as_timestamp().seconds));
            }
        }
        return {};
    };
}

TEST(ReadInGroups, joins_the_columns_of_a_select_too_long_for_a_url) {
    WideOrg org;
    org.records = {{"a01", 1000}, {"a02", 1000}, {"a03", 1005}};
    int rows = 0;
    ASSERT_TRUE(org.connector().read(org.selection, check_states(rows)).ok());
    EXPECT_EQ(rows, 3);
    EXPECT_GE(org.calls.size(), 3u);
    EXPECT_LE(org.calls.size(), 4u);
}

TEST(ReadInGroups, reads_a_row_again_that_changed_between_two_groups) {
    WideOrg org;
    org.records = {{"a01", 1000}, {"a02", 1000}, {"a03", 1005}};
    org.between = [&] {
        if (org.calls.size() == 2) org.records[1].stamp = 2000;
    };
    int rows = 0;
    ASSERT_TRUE(org.connector().read(org.selection, check_states(rows)).ok());
    EXPECT_EQ(rows, 3);
}

TEST(ReadInGroups, leaves_out_a_row_that_was_deleted_between_two_groups) {
    WideOrg org;
    org.records = {{"a01", 1000}, {"a02", 1000}, {"a03", 1005}};
    org.between = [&] {
        if (org.calls.size() == 2) org.records.erase(org.records.begin());
    };
    int rows = 0;
    ASSERT_TRUE(org.connector().read(org.selection, check_states(rows)).ok());
    EXPECT_EQ(rows, 2);
}

TEST(ReadInGroups, gives_up_on_a_row_that_changes_all_the_time) {
    WideOrg org;
    org.records = {{"a01", 1000}};
    org.between = [&] { ++org.records[0].stamp; };
    int rows = 0;
    const auto read = org.connector().read(org.selection, check_states(rows));
    EXPECT_EQ(read.error().kind, Kind::BadReply);
    EXPECT_EQ(read.error().what, "1 record of Wide__c changed each time they were read");
    EXPECT_EQ(rows, 0);
}

TEST(ReadByIds, joins_groups_too_and_leaves_missing_rows_out) {
    WideOrg org;
    for (int i = 0; i < 250; ++i) org.records.push_back({"a" + std::to_string(1000 + i), i});
    std::vector<std::string> ids(300);
    for (int i = 0; i < 300; ++i) ids[static_cast<std::size_t>(i)] = "a" + std::to_string(1000 + i);
    int rows = 0;
    ASSERT_TRUE(org.connector().read_by_ids(org.selection, ids, check_states(rows)).ok());
    EXPECT_EQ(rows, 250);
    EXPECT_THAT(org.targets()[0], HasSubstr("/queryAll?q="));
}

// ---- Bulk ----

/// Plays one job whose result is `rows` rows of two columns.
class BulkOrg : public FakeOrg {
public:
    explicit BulkOrg(int rows_in) : rows(rows_in) {
        on("/results?", std::vector<Answer>{[this](const http::Request& request) { return spoil(results(request)); }});
        on("/jobs/query/750Tn000004ZoR3IAK", std::vector<Answer>{[this](const http::Request& request) {
               if (request.method == "DELETE") {
                   ++removals;
                   return removal;
               }
               if (request.method == "PATCH") aborted = true;
               const std::string state = polls++ < polls_needed ? "InProgress" : end_state;
               return testing::json(200, R"({"id":"750Tn000004ZoR3IAK","state":")" + state +
                                             R"(","numberRecordsProcessed":)" + std::to_string(told.value_or(rows)) +
                                             R"(,"errorMessage":")" + error_message + R"("})");
           }});
        on("/jobs/query", std::vector<Answer>{[this](const http::Request& request) {
               if (request.method != "POST") return refusal(404, "NOT_FOUND", "The requested resource does not exist");
               jobs.emplace_back("750Tn000004ZoR3IAK");
               return testing::json(200, R"({"id":"750Tn000004ZoR3IAK","state":"UploadComplete"})");
           }});
        selection = {.object = "Opportunity", .fields = {field("Id"), field("Amount", Form::Real)}};
    }
    int rows;
    std::optional<int> told;  ///< numberRecordsProcessed, where it differs
    int polls = 0, polls_needed = 0;
    std::string end_state = "JobComplete", error_message;
    bool aborted = false;
    int removals = 0;
    http::Response removal{.status = 204, .headers = {}, .body = ""};
    std::function<http::Response(http::Response)> spoil = [](http::Response answer) { return answer; };
    Selection selection;
    std::vector<std::int64_t> page_rows;  ///< maxRecords of each results call

    struct Read {
        Result<void> result;
        std::vector<std::string> ids;
        std::vector<BulkPosition> positions;
    };
    Read read(BulkPosition from = {}, int pages_max = 1000, const Connector::BulkOptions& how = {}) {
        Read read;
        Connector reader = connector();
        read.result = reader.read_bulk(
            selection, std::move(from),
            [&](Page&& page, const BulkPosition& after) -> Result<void> {
                if (pages_max-- == 0) return Error{.kind = Kind::Cancelled, .what = "killed"};
                for (std::size_t i = 0; i < page.rows.rows(); ++i) read.ids.push_back(to_text(page.rows.row(i)[0]));
                read.positions.push_back(after);
                EXPECT_EQ(page.next_locator, after.locator);
                return {};
            },
            how);
        return read;
    }
    std::vector<std::string> jobs;

private:
    http::Response results(const http::Request& request) {
        EXPECT_EQ(request.header("Accept"), "text/csv");
        const auto from = parse_int(request.query("locator")).value_or(0);
        const auto most = *parse_int(request.query("maxRecords"));
        page_rows.push_back(most);
        const auto end = std::min<std::int64_t>(rows, from + most);
        std::string body = "\"Id\",\"Amount\"\n";
        for (auto i = from; i < end; ++i) body += "\"" + std::to_string(i) + "\",\"1.0\"\n";
        return testing::csv(std::move(body), end - from, end == rows ? "null" : std::to_string(end));
    }
};

TEST(ReadBulk, makes_a_job_waits_for_it_and_reads_its_pages_in_order) {
    for (const bool ahead : {true, false}) {
        BulkOrg org(60'000);
        org.polls_needed = 3;
        const auto read = org.read({}, 1000, {.ahead = ahead});
        ASSERT_TRUE(read.result.ok()) << read.result.error().what;
        ASSERT_EQ(read.ids.size(), 60'000u);
        for (int i = 0; i < 60'000; ++i) ASSERT_EQ(read.ids[static_cast<std::size_t>(i)], std::to_string(i));
        EXPECT_THAT(org.jobs, ElementsAre("750Tn000004ZoR3IAK"));
        EXPECT_EQ(org.calls[0].body, R"({"operation":"query","query":"SELECT Id,Amount FROM Opportunity",)"
                                     R"("contentType":"CSV","columnDelimiter":"COMMA","lineEnding":"LF"})");
        EXPECT_THAT(org.clock.waits, ElementsAre(50, 75, 112));
        EXPECT_EQ(read.positions.back().rows_read, 60'000);
        EXPECT_EQ(read.positions.back().locator, "");
    }
}

TEST(ReadBulk, has_a_job_s_result_come_in_before_it_is_asked_for) {
    for (const bool ahead : {true, false}) {
        BulkOrg org(20'000);
        Connector reader = org.connector();
        const std::string job = *reader.start_bulk(org.selection);
        EXPECT_EQ(org.calls.size(), 1u);
        BulkReader opened = reader.open_bulk(org.selection, {.job = job, .fresh = true}, {.ahead = ahead});
        std::size_t rows = 0;
        while (auto came = opened.next()) {
            ASSERT_TRUE(came->ok());
            rows += (*came)->page.rows.rows();
            opened.take_back(std::move((*came)->page.rows));
        }
        EXPECT_EQ(rows, 20'000u);
        EXPECT_FALSE(opened.next().has_value());
        EXPECT_EQ(org.jobs.size(), 1u);
    }
}

TEST(ReadBulk, an_opened_result_that_is_not_read_is_given_up_quietly) {
    BulkOrg org(60'000);
    Connector reader = org.connector();
    const BulkReader opened = reader.open_bulk(org.selection, {.job = "750Tn000004ZoR3IAK"}, {});
}

TEST(ReadBulk, sizes_pages_to_the_bytes_asked_for) {
    BulkOrg org(400'000);
    const auto read = org.read({}, 1000, {.page_bytes = 1 << 20});
    ASSERT_TRUE(read.result.ok());
    ASSERT_GE(org.page_rows.size(), 4u);
    EXPECT_EQ(org.page_rows[0], 10'000);
    EXPECT_EQ(org.page_rows[1], 40'000);  // it grows fourfold at most
    EXPECT_NEAR(static_cast<double>(org.page_rows[2]), (1 << 20) / 14.5, 10'000);
}

TEST(ReadBulk, removes_the_job_when_its_last_page_was_taken_and_not_before) {
    for (const bool ahead : {true, false}) {
        BulkOrg org(30'000);
        const auto cut = org.read({}, 1, {.ahead = ahead});
        EXPECT_FALSE(cut.result.ok());
        EXPECT_EQ(org.removals, 0);
        ASSERT_TRUE(org.read(cut.positions.back(), 1000, {.ahead = ahead}).result.ok());
        EXPECT_EQ(org.removals, 1);
        EXPECT_EQ(org.calls.back().method, "DELETE");
    }
}

TEST(ReadBulk, does_not_mind_when_the_job_can_not_be_removed) {
    for (const int status : {500, 503, 404, 403}) {
        BulkOrg org(100);
        org.removal = refusal(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred");
        EXPECT_TRUE(org.read().result.ok()) << status;
        EXPECT_EQ(org.removals, 1) << status;  // and it is not tried for long
        EXPECT_THAT(org.clock.waits, IsEmpty()) << status;
    }
}

TEST(ReadBulk, gives_an_empty_result_as_one_page_of_no_rows) {
    BulkOrg org(0);
    const auto read = org.read();
    EXPECT_TRUE(read.result.ok());
    EXPECT_EQ(read.positions.size(), 1u);
    EXPECT_THAT(read.ids, IsEmpty());
}

TEST(ReadBulk, goes_on_where_it_was_killed_and_gives_each_row_once) {
    for (int pages = 0; pages < 4; ++pages) {
        BulkOrg org(60'000);
        auto first = org.read({}, pages);
        const bool killed = !first.result.ok();
        const BulkPosition kept = first.positions.empty() ? BulkPosition{.job = org.jobs[0]} : first.positions.back();
        const auto second = org.read(kept);
        ASSERT_TRUE(second.result.ok());
        first.ids.insert(first.ids.end(), second.ids.begin(), second.ids.end());
        std::ranges::sort(first.ids);
        EXPECT_EQ(first.ids.size(), 60'000u);
        EXPECT_TRUE(std::ranges::adjacent_find(first.ids) == first.ids.end());
        EXPECT_EQ(org.jobs.size(), 1u);
        EXPECT_EQ(killed, pages < 3);
    }
}

TEST(ReadBulk, fetches_a_bad_page_again) {
    const std::function<void(http::Response&)> ways[] = {
        [](http::Response& answer) { answer.body.resize(answer.body.size() / 2); },
        [](http::Response& answer) { answer.headers.erase("Sforce-Locator"); },
        [](http::Response& answer) { answer.headers.erase("Sforce-NumberOfRecords"); },
        [](http::Response& answer) { answer.headers["Sforce-NumberOfRecords"] = "7"; },
        [](http::Response& answer) { answer.body.insert(0, "\"Amount\",\"Id\"\n"); },
        [](http::Response& answer) { answer = testing::page_of_html(200); },
        [](http::Response& answer) { answer = testing::json(503, "[]"); },
        [](http::Response& answer) { answer = refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"); },
    };
    for (const auto& way : ways) {
        BulkOrg org(25'000);
        int pages = 0;
        org.spoil = [&](http::Response answer) {
            if (++pages == 2) way(answer);
            return answer;
        };
        const auto read = org.read();
        ASSERT_TRUE(read.result.ok()) << read.result.error().what;
        EXPECT_EQ(read.ids.size(), 25'000u);
        EXPECT_EQ(org.jobs.size(), 1u);
    }
}

TEST(ReadBulk, never_takes_a_missing_locator_for_the_end) {
    BulkOrg org(25'000);
    org.spoil = [](http::Response answer) {
        answer.headers.erase("Sforce-Locator");
        return answer;
    };
    const auto read = org.read();
    EXPECT_EQ(read.result.error().kind, Kind::BadReply);
    EXPECT_THAT(read.ids, IsEmpty());
}

TEST(ReadBulk, asks_for_smaller_pages_when_large_ones_do_not_come_through) {
    BulkOrg org(3'000);
    org.spoil = [&](http::Response answer) {
        if (answer.body.size() > 20'000) answer.body.resize(20'000);
        return answer;
    };
    const auto read = org.read();
    ASSERT_TRUE(read.result.ok()) << read.result.error().what;
    EXPECT_EQ(read.ids.size(), 3'000u);
}

TEST(ReadBulk, tells_that_a_job_is_lost_so_that_a_new_one_is_made) {
    struct Case {
        const char* words;
        std::function<void(BulkOrg&)> arrange;
        BulkPosition from;
        const char* code = "BULK_JOB_LOST";
    };
    const BulkPosition kept{.job = "750Tn000004ZoR3IAK", .locator = "10000", .rows_read = 10'000};
    const Case cases[] = {
        {"went wrong", [](BulkOrg& o) { o.end_state = "Failed", o.error_message = "something went wrong"; }, {}},
        {"it was aborted", [](BulkOrg& o) { o.end_state = "Aborted"; }, {}},
        {"No such column",
         [](BulkOrg& o) { o.end_state = "Failed", o.error_message = "INVALID_FIELD: No such column 'X'"; },
         {},
         "INVALID_FIELD"},
        {"no longer there", [](BulkOrg&) {}, {.job = "750Tn000004ZoR4IAK"}},
        {"no longer there",
         [](BulkOrg& o) {
             o.spoil = [](auto) { return refusal(404, "NOT_FOUND", "The requested resource does not exist"); };
         },
         kept},
        {"no longer there", [](BulkOrg& o) { o.spoil = [](auto) { return refusal(400, "INVALIDJOBSTATE", "x"); }; },
         kept},
        {"other columns", [](BulkOrg& o) { o.selection.fields.push_back(field("New__c")); }, kept},
        {"60001", [](BulkOrg& o) { o.told = 60'001; }, {}},
        {"59999", [](BulkOrg& o) { o.told = 59'999; }, {}},
        {"no progress for 30 min", [](BulkOrg& o) { o.polls_needed = 1'000'000; }, {}},
    };
    for (const Case& c : cases) {
        BulkOrg org(60'000);
        c.arrange(org);
        const auto read = org.read(c.from);
        ASSERT_FALSE(read.result.ok()) << c.words;
        EXPECT_EQ(read.result.error().kind, Kind::Rejected) << read.result.error().what;
        EXPECT_EQ(read.result.error().code, c.code);
        EXPECT_THAT(read.result.error().what, HasSubstr(c.words));
        EXPECT_LT(read.ids.size() + static_cast<std::size_t>(c.from.rows_read), 60'000u);
        EXPECT_EQ(org.aborted, std::string_view(c.words).starts_with("no progress"));
    }
}

TEST(ReadBulk, passes_on_what_can_not_be_read_in_bulk) {
    FakeOrg org;
    org.on("/jobs/query", refusal(400, "INVALIDENTITY", "Entity 'X' is not supported by the Bulk API."));
    const auto read = org.connector().read_bulk({.object = "X", .fields = {field("Id")}}, {},
                                                [](Page&&, const BulkPosition&) -> Result<void> { return {}; });
    EXPECT_EQ(read.error().code, "INVALIDENTITY");
}

TEST(ReadBulk, reads_nothing_more_of_a_result_that_was_read_to_its_end) {
    BulkOrg org(60'000);
    EXPECT_TRUE(org.read({.job = "750Tn000004ZoR3IAK", .rows_read = 60'000}).result.ok());
    EXPECT_THAT(org.page_rows, IsEmpty());
    EXPECT_EQ(org.polls, 0);
    EXPECT_EQ(org.removals, 1);
}

// ---- The delete log ----

std::string log_of(const std::string& entries, const std::string& earliest, const std::string& covered) {
    return R"({"deletedRecords":[)" + entries + R"(],"earliestDateAvailable":")" + earliest +
           R"(","latestDateCovered":")" + covered + "\"}";
}
const Timestamp kEight = *parse_timestamp("2026-11-24T08:00:30Z"), kNine = *parse_timestamp("2026-11-24T09:00:30Z");

TEST(DeleteLog, is_asked_in_whole_minutes_and_tells_how_far_it_reaches) {
    FakeOrg org;
    org.on("/sobjects/Lead/deleted/",
           testing::json(200, log_of(R"({"id":"00Q1a000000H3O9","deletedDate":"2026-11-24T08:07:19.000+0000"})",
                                     "2026-11-10T00:00:00.000+0000", "2026-11-24T08:58:00.000+0000")));
    const auto deleted = org.connector().deleted("Lead", kEight, kNine);
    ASSERT_TRUE(deleted.ok()) << deleted.error().what;
    EXPECT_THAT(org.targets()[0], HasSubstr("start=2026-11-24T08:00:00Z&end=2026-11-24T09:00:00Z"));
    ASSERT_EQ(deleted->rows.size(), 1u);
    EXPECT_EQ(deleted->rows[0].id, "00Q1a000000H3O9EAK");
    EXPECT_EQ(to_string(deleted->rows[0].at), "2026-11-24T08:07:19Z");
    EXPECT_EQ(to_string(deleted->covered), "2026-11-24T08:58:00Z");
}

TEST(DeleteLog, is_asked_for_more_than_a_minute_always) {
    FakeOrg org;
    org.on("/deleted/", testing::json(200, log_of("", "2026-11-10T00:00:00.000+0000", "2026-11-24T08:00:00.000+0000")));
    EXPECT_TRUE(org.connector().deleted("Lead", kEight, kEight.plus(5)).ok());
    EXPECT_THAT(org.targets()[0], HasSubstr("start=2026-11-24T07:58:00Z&end=2026-11-24T08:00:00Z"));
}

TEST(DeleteLog, that_does_not_reach_back_is_an_error_whoever_notices) {
    FakeOrg org;
    org.on_each("/deleted/",
                {refusal(400, "INVALID_REPLICATION_DATE", "start date is too old"),
                 testing::json(200, log_of("", "2026-11-24T08:30:00.000+0000", "2026-11-24T09:00:00.000+0000"))});
    for (int i = 0; i < 2; ++i) {
        const auto deleted = org.connector().deleted("Lead", kEight, kNine);
        ASSERT_FALSE(deleted.ok());
        EXPECT_EQ(deleted.error().kind, Kind::Rejected);
        EXPECT_EQ(deleted.error().code, "INVALID_REPLICATION_DATE");
    }
}

TEST(DeleteLog, is_read_in_halves_when_it_is_too_long) {
    FakeOrg org;
    const auto half = [](const char* id, const char* covered) {
        return testing::json(
            200, log_of(std::string(R"({"id":")") + id + R"(","deletedDate":"2026-11-24T08:07:19.000+0000"})",
                        "2026-11-10T00:00:00.000+0000", covered));
    };
    org.on_each("/deleted/",
                {refusal(400, "EXCEEDED_ID_LIMIT", "x"), half("00Q1a000000H3O1", "2026-11-24T08:30:00.000+0000"),
                 half("00Q1a000000H3O2", "2026-11-24T08:55:00.000+0000"), refusal(400, "EXCEEDED_ID_LIMIT", "x"),
                 half("00Q1a000000H3O1", "2026-11-24T08:20:00.000+0000")});
    const auto both = org.connector().deleted("Lead", kEight, kNine);
    ASSERT_TRUE(both.ok());
    EXPECT_EQ(both->rows.size(), 2u);
    EXPECT_EQ(to_string(both->covered), "2026-11-24T08:55:00Z");
    // A first half that is not covered to its end hides what lies in between.
    const auto one = org.connector().deleted("Lead", kEight, kNine);
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->rows.size(), 1u);
    EXPECT_EQ(to_string(one->covered), "2026-11-24T08:20:00Z");
}

TEST(DeleteLog, is_refused_when_it_makes_no_sense) {
    for (
        const char* body :
        {"[]", "{}", R"({"deletedRecords":[]})",
         R"({"deletedRecords":[{"id":"x","deletedDate":"2026-11-24T08:07:19.000+0000"}],"earliestDateAvailable":"2026-11-10T00:00:00.000+0000","latestDateCovered":"2026-11-24T08:07:00.000+0000"})"}) {
        FakeOrg org;
        org.on("/deleted/", testing::json(200, body));
        EXPECT_EQ(org.connector().deleted("Lead", kEight, kNine).error().kind, Kind::BadReply) << body;
    }
}

// ---- The org and its objects ----

const char* const kOrganization =
    R"({"totalSize":1,"done":true,"records":[{"Id":"00D1a000000H3O9EAK","Name":"Acme","InstanceName":"EU44","IsSandbox":true,"TimeZoneSidKey":"Europe/Berlin"}]})";
const char* const kUser = R"({"totalSize":1,"done":true,"records":[{"Username":"sync@acme.example"}]})";

TEST(Org, is_told_with_the_user_and_its_currency) {
    FakeOrg org;
    org.on("FROM Organization", testing::json(200, kOrganization));
    org.on("FROM User WHERE (Id = '0051a000000H3O9AAK')", testing::json(200, kUser));
    org.on("/sobjects/CurrencyType/describe", testing::json(200, R"({"name":"CurrencyType","fields":[]})"));
    org.on("FROM CurrencyType", testing::json(200, R"({"totalSize":1,"done":true,"records":[{"IsoCode":"EUR"}]})"));
    const auto told = org.connector().org();
    ASSERT_TRUE(told.ok()) << told.error().what;
    EXPECT_EQ(told->organization_id, "00D1a000000H3O9EAK");
    EXPECT_EQ(told->name, "Acme");
    EXPECT_EQ(told->instance, "EU44");
    EXPECT_TRUE(told->is_sandbox);
    EXPECT_EQ(told->user_id, "0051a000000H3O9AAK");
    EXPECT_EQ(told->username, "sync@acme.example");
    EXPECT_TRUE(told->multi_currency);
    EXPECT_EQ(told->default_currency, "EUR");
}

TEST(Org, has_one_currency_when_there_is_no_object_for_them) {
    FakeOrg org;
    org.on(
        "/services/Soap/u/60.0",
        {.headers = {{"Content-Type", "text/xml;charset=UTF-8"}},
         .body =
             R"(<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><getUserInfoResponse><result><orgDefaultCurrencyIsoCode>USD</orgDefaultCurrencyIsoCode><organizationId>00D1a000000H3O9EAK</organizationId><organizationMultiCurrency>false</organizationMultiCurrency><userId>0051a000000H3O9AAK</userId></result></getUserInfoResponse></e:Body></e:Envelope>)"});
    org.on("FROM Organization", testing::json(200, kOrganization));
    org.on("FROM User", testing::json(200, kUser));
    const auto told = org.connector().org();
    ASSERT_TRUE(told.ok()) << told.error().what;
    EXPECT_FALSE(told->multi_currency);
    EXPECT_EQ(told->default_currency, "USD");
    EXPECT_EQ(told->currency_trouble, "");
}

TEST(Org, is_told_without_its_currency_when_soap_fails_in_whatever_way) {
    for (const http::Response& answer :
         {refusal(403, "API_DISABLED_FOR_ORG", "no SOAP here"), testing::page_of_html(503),
          http::Response{.headers = {{"Content-Type", "text/xml"}}, .body = "<nonsense/>"}}) {
        FakeOrg org;
        org.on("FROM Organization", testing::json(200, kOrganization));
        org.on("FROM User", testing::json(200, kUser));
        org.on("/services/Soap/u/60.0", answer);
        const auto told = org.connector().org();
        ASSERT_TRUE(told.ok()) << told.error().what;
        EXPECT_EQ(told->default_currency, "");
        EXPECT_NE(told->currency_trouble, "");
    }
}

TEST(Org, asks_who_we_are_when_the_login_did_not_tell) {
    FakeOrg org;
    org.tokens.token = Token{.access_token = "00D!kept", .instance_url = "https://acme.my.salesforce.com"};
    org.on("FROM Organization", testing::json(200, kOrganization));
    org.on("/userinfo", testing::json(200, R"({"user_id":"0051a000000H3O9AAK"})"));
    org.on("FROM User", testing::json(200, kUser));
    const auto told = org.connector().org();
    ASSERT_TRUE(told.ok()) << told.error().what;
    EXPECT_EQ(told->username, "sync@acme.example");
}

TEST(Connector, lists_and_describes_objects) {
    FakeOrg org;
    org.on("/sobjects/Lead/describe", testing::json(200, R"({"name":"Lead","fields":[{"name":"Id","type":"id"}]})"));
    org.on("/sobjects",
           testing::json(
               200, R"({"sobjects":[{"name":"Lead","label":"Lead","queryable":true},{"name":"X__c","custom":true}]})"));
    const auto objects = org.connector().objects();
    ASSERT_TRUE(objects.ok());
    ASSERT_EQ(objects->size(), 2u);
    EXPECT_TRUE((*objects)[0].queryable);
    EXPECT_TRUE((*objects)[1].custom);
    EXPECT_EQ((*objects)[1].label, "X__c");
    EXPECT_EQ(org.connector().describe("Lead")->fields.size(), 1u);
}

TEST(Connector, knows_no_object_that_salesforce_does_not_know) {
    FakeOrg org;
    EXPECT_EQ(org.connector().describe("Nope").error().kind, Kind::NotFound);
    EXPECT_EQ(org.connector().describe("../composite").error().kind, Kind::NotFound);
    EXPECT_EQ(org.connector().deleted("Lead/x", kEight, kNine).error().kind, Kind::NotFound);
}

TEST(Connector, lists_versions_without_a_login_newest_last) {
    FakeOrg org;
    org.on("/services/data", testing::json(200, R"([{"version":"64.0"},{"version":"9.0"},{"version":"62.0"}])"));
    EXPECT_THAT(*org.connector().versions(), ElementsAre("9.0", "62.0", "64.0"));
    EXPECT_THAT(org.logins, IsEmpty());
    EXPECT_EQ(org.calls[0].header("Authorization"), "");
}

TEST(Connector, counts) {
    FakeOrg org;
    org.on("COUNT() FROM Lead WHERE SystemModstamp>=", count_of(17));
    EXPECT_EQ(*org.connector().count(leads()), 17);
}

TEST(Connector, tells_about_how_many_records_objects_have) {
    FakeOrg org;
    org.on("/limits/recordCount?sObjects=Lead,Account,Empty__c",
           testing::json(200, R"({"sObjects":[{"count":3000000000,"name":"Lead"},{"count":2,"name":"Account"}]})"));
    const auto counts = *org.connector().approximate_counts({"Lead", "Account", "Empty__c"});
    EXPECT_EQ(counts.size(), 2U);
    EXPECT_EQ(counts.at("lead"), 3'000'000'000);
    EXPECT_EQ(counts.at("Account"), 2);
}

TEST(Connector, takes_no_broken_counts) {
    for (const char* const body : {R"({})", R"({"sObjects":[{"name":"Lead"}]})", R"({"sObjects":[7]})"}) {
        FakeOrg org;
        org.on("/limits/recordCount", testing::json(200, body));
        EXPECT_EQ(org.connector().approximate_counts({"Lead"}).error().kind, Kind::BadReply) << body;
    }
}

}  // namespace
}  // namespace lockstep::salesforce

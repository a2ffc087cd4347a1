#include "sandbox/bulk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/csv.h"
#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows rows_of(const std::string& text, char delimiter = ',') {
    Rows rows;
    csv::Reader reader(text, delimiter);
    std::vector<std::string_view> cells;
    for (auto more = reader.next(cells); more.value(); more = reader.next(cells))
        rows.emplace_back(cells.begin(), cells.end());
    EXPECT_TRUE(text.empty() || reader.ended_with_line_end());
    return rows;
}

/// Runs a bulk query and joins its pages; each page must hold what it announces, under one header.
class BulkClient {
public:
    explicit BulkClient(Box& box) : box_(box) {}

    std::string job(const std::string& soql, const std::string& more = "") {
        const auto answer =
            box_.send("POST", "~/jobs/query",
                      json::serialize(json::object{{"operation", "query"}, {"query", soql}}).insert(1, more));
        return std::string(Box::object(answer).at("id").as_string());
    }
    /// All rows without their header. `page_rows` 0: as many as the server likes.
    Rows read(const std::string& job, std::int64_t page_rows = 0, char delimiter = ',') {
        Rows all;
        for (std::string locator; locator != "null";) {
            std::string target = "~/jobs/query/" + job + "/results?";
            if (page_rows > 0) target += "maxRecords=" + std::to_string(page_rows) + "&";
            if (!locator.empty()) target += "locator=" + locator;
            auto answer = box_.get(target);
            EXPECT_EQ(answer.status, 200) << answer.body;
            if (answer.status != 200) return all;
            const Rows page = rows_of(Box::text(answer), delimiter);
            EXPECT_EQ(answer.headers.at("Sforce-NumberOfRecords"), std::to_string(page.size() - 1));
            if (page_rows > 0) {
                EXPECT_LE(page.size() - 1, static_cast<std::size_t>(page_rows));
            }
            all.insert(all.end(), page.begin() + 1, page.end());
            locator = answer.headers.at("Sforce-Locator");
        }
        return all;
    }

private:
    Box& box_;
};

Rows sorted(Rows rows) {
    std::sort(rows.begin(), rows.end());
    return rows;
}

class BulkQuery : public testing::Test {
protected:
    BulkQuery() : box(options()), client(box) {}
    static ServiceOptions options() {
        ServiceOptions made = Box::small();
        made.org.people = 900;
        return made;
    }
    Box box;
    BulkClient client;
    const std::string soql = "SELECT Id, Name, Email, Account.Name, CreatedDate FROM Contact";
};

TEST_F(BulkQuery, pages_of_any_size_joined_are_the_whole_result) {
    const Rows whole = client.read(client.job(soql));
    ASSERT_GT(whole.size(), 200U);
    const auto rest = Box::object(box.get("~/query?q=" + Box::encoded("SELECT COUNT() FROM Contact")));
    EXPECT_EQ(static_cast<std::int64_t>(whole.size()), rest.at("totalSize").as_int64());
    const auto rows = static_cast<std::int64_t>(whole.size());
    const std::string job = client.job(soql);
    for (const std::int64_t page : {std::int64_t(7), std::int64_t(64), std::int64_t(100), rows - 1, rows, rows + 1})
        EXPECT_EQ(client.read(job, page), whole) << page;
    ASSERT_EQ(box.send("PATCH", "/sandbox/settings", R"({"bulk_page_rows":50})").status, 200);
    EXPECT_EQ(client.read(job), whole);
}

TEST_F(BulkQuery, shuffled_has_the_same_rows_in_one_other_order_for_every_page_size) {
    const Rows plain = client.read(client.job(soql));
    const Rows by_name = client.read(client.job(soql + " ORDER BY Name, Id"));
    ASSERT_EQ(box.send("PATCH", "/sandbox/settings", R"({"bulk_order":"shuffled"})").status, 200);
    const std::string job = client.job(soql);
    const Rows shuffled = client.read(job);
    EXPECT_NE(shuffled, plain);
    EXPECT_EQ(sorted(shuffled), sorted(plain));
    for (const std::int64_t page : {7, 63, 64, 65, 500}) EXPECT_EQ(client.read(job, page), shuffled) << page;
    EXPECT_NE(client.read(client.job(soql)), shuffled) << "each job has an order of its own";
    EXPECT_EQ(client.read(client.job(soql + " ORDER BY Name, Id")), by_name) << "ORDER BY is honoured";
    // A literal that looks like a clause is none.
    EXPECT_EQ(client.read(client.job("SELECT Id FROM Contact WHERE Name != 'x ORDER BY y'")).size(), plain.size());
}

TEST_F(BulkQuery, holds_what_it_announced_while_its_rows_are_edited_and_deleted) {
    const std::string job = client.job(soql);
    auto answer = box.get("~/jobs/query/" + job + "/results");
    const std::string announced = answer.headers.at("Sforce-NumberOfRecords");
    const Rows whole = client.read(job);
    for (std::size_t i = 0; i < whole.size(); i += 3)
        EXPECT_EQ(box.send("DELETE", "~/sobjects/Contact/" + whole[i][0]).status, 204);
    EXPECT_EQ(std::to_string(rows_of(Box::text(answer)).size() - 1), announced);
    EXPECT_LT(client.read(client.job(soql)).size(), whole.size());
}

TEST_F(BulkQuery, is_sent_while_others_write) {
    const std::string job = client.job(soql);
    std::jthread writer([this] {
        for (int i = 0; i < 50; ++i)
            box.service.handle({.method = "POST", .target = "/sandbox/alive", .body = R"({"changes":10})"});
    });
    const Rows first = client.read(job, 97);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(client.read(job, 50).size(), first.size());
}

TEST(BulkJobs, that_are_due_are_done_without_being_looked_at) {
    ServiceOptions options = Box::small();
    options.settings.job_ms = 2000;
    Box box(options);
    const auto made = Box::object(box.send("POST", "~/jobs/ingest", R"({"object":"Lead","operation":"insert"})"));
    const std::string job(made.at("id").as_string());
    box.send("PUT", "~/jobs/ingest/" + job + "/batches", "LastName,Company\nBulk,Acme\n",
             {{"Content-Type", "text/csv"}});
    box.send("PATCH", "~/jobs/ingest/" + job, R"({"state":"UploadComplete"})");
    const auto leads = [&] {
        return Box::object(box.get("~/query?q=" +
                                   Box::encoded("SELECT COUNT() FROM Lead WHERE LastName = 'Bulk'")))["totalSize"]
            .as_int64();
    };
    const auto state = [&] {
        return std::string(Box::object(box.get("~/jobs/ingest/" + job)).at("state").as_string());
    };
    EXPECT_EQ(box.service.step(), 250) << "called again soon enough for what else is due";
    EXPECT_EQ(state(), "UploadComplete");
    box.clock.advance_s(1);
    box.service.step();
    EXPECT_EQ(state(), "InProgress");
    EXPECT_EQ(leads(), 0);
    box.clock.advance_s(1);
    box.service.step();
    EXPECT_EQ(leads(), 1);
    EXPECT_EQ(state(), "JobComplete");
}

TEST(BulkIngest, refuses_text_that_is_no_utf8_as_a_whole) {
    Box box;
    const auto made = Box::object(box.send("POST", "~/jobs/ingest", R"({"object":"Account","operation":"insert"})"));
    const std::string job(made.at("id").as_string());
    box.send("PUT", "~/jobs/ingest/" + job + "/batches",
             "Name\nBr\xfc"
             "cke\n",
             {{"Content-Type", "text/csv"}});
    box.send("PATCH", "~/jobs/ingest/" + job, R"({"state":"UploadComplete"})");
    const auto done = Box::object(box.get("~/jobs/ingest/" + job));
    EXPECT_EQ(done.at("state"), "Failed");
    EXPECT_EQ(done.at("errorMessage"), "InvalidBatch : The data is not UTF-8");
}

TEST(BulkIngest, brings_back_what_was_put_in) {
    Box box;
    BulkClient client(box);
    ASSERT_EQ(box.send("POST", "/sandbox/objects", R"({"name":"Trip__c","fields":[
        {"name":"Key__c","type":"string","length":30,"external_id":true,"unique":true},
        {"name":"Note__c","type":"textarea","length":2000},
        {"name":"Size__c","type":"double","precision":10,"scale":2},
        {"name":"On__c","type":"date"}]})")
                  .status,
              201);
    const std::string odd[] = {"plain", "with \"quotes\"", "tab\tinside", "Straße, Öl; 漢字", "two\nlines",
                               "#NA",   "'; DROP",         "a,b;c|d"};
    constexpr int rows = 2500;
    std::map<std::string, std::vector<std::string>> sent;
    std::string upload = "Key__c\tNote__c\tSize__c\tOn__c\tName\r\n";
    for (int i = 0; i < rows; ++i) {
        std::vector<std::string> cells = {"K" + std::to_string(i), odd[i % std::size(odd)], to_text(i * 0.25),
                                          to_string(Date{20000 + i}), "Trip " + std::to_string(i)};
        for (std::size_t c = 0; c < cells.size(); ++c) {
            if (c > 0) upload += '\t';
            csv::append_quoted(upload, cells[c]);
        }
        upload += "\r\n";
        sent[cells[0]] = cells;
    }
    // The same key once more: that row fails, the others do not.
    upload += "K7\tx\t1\t\tTwin\r\n";
    const auto made = Box::object(
        box.send("POST", "~/jobs/ingest",
                 R"({"object":"Trip__c","operation":"insert","columnDelimiter":"TAB","lineEnding":"CRLF"})"));
    const std::string job(made.at("id").as_string());
    ASSERT_EQ(box.send("PUT", "~/jobs/ingest/" + job + "/batches", upload, {{"Content-Type", "text/csv"}}).status, 201);
    ASSERT_EQ(box.send("PATCH", "~/jobs/ingest/" + job, R"({"state":"UploadComplete"})").status, 200);
    const auto done = Box::object(box.get("~/jobs/ingest/" + job));
    EXPECT_EQ(done.at("state"), "JobComplete");
    EXPECT_EQ(done.at("numberRecordsProcessed").as_int64(), rows + 1);
    EXPECT_EQ(done.at("numberRecordsFailed").as_int64(), 1);

    auto succeeded = box.get("~/jobs/ingest/" + job + "/successfulResults");
    const Rows results = rows_of(Box::text(succeeded), '\t');
    ASSERT_EQ(results.size(), rows + 1U);
    EXPECT_EQ(results[0],
              (std::vector<std::string>{"sf__Id", "sf__Created", "Key__c", "Note__c", "Size__c", "On__c", "Name"}));
    std::map<std::string, std::string> ids;
    for (std::size_t i = 1; i < results.size(); ++i) ids[results[i][2]] = results[i][0];

    auto failures = box.get("~/jobs/ingest/" + job + "/failedResults");
    const Rows failed = rows_of(Box::text(failures), '\t');
    ASSERT_EQ(failed.size(), 2U);
    EXPECT_EQ(failed[1][1].substr(0, 16), "DUPLICATE_VALUE:");
    EXPECT_EQ(failed[1][2], "K7");

    Rows got = client.read(client.job("SELECT Id, Key__c, Note__c, Size__c, On__c, Name FROM Trip__c"));
    ASSERT_EQ(got.size(), static_cast<std::size_t>(rows));
    for (const auto& row : got) {
        const auto& cells = sent.at(row[1]);
        EXPECT_EQ(row[0], ids[row[1]]);
        EXPECT_EQ(row[2], cells[1]);
        EXPECT_EQ(parse_double(row[3]), parse_double(cells[2]));
        EXPECT_EQ(row[4], cells[3]);
        EXPECT_EQ(row[5], cells[4]);
    }
}

TEST(BulkIngest, lists_results_in_no_particular_order_when_told_so) {
    Box box;
    ASSERT_EQ(box.send("PATCH", "/sandbox/settings", R"({"bulk_order":"shuffled"})").status, 200);
    const auto made = Box::object(box.send("POST", "~/jobs/ingest", R"({"object":"Account","operation":"insert"})"));
    const std::string job(made.at("id").as_string());
    std::string upload = "Name\n";
    std::vector<std::string> names;
    for (int i = 100; i < 200; ++i) {
        names.push_back("Co " + std::to_string(i));
        upload += names.back() + "\n";
    }
    box.send("PUT", "~/jobs/ingest/" + job + "/batches", upload, {{"Content-Type", "text/csv"}});
    box.send("PATCH", "~/jobs/ingest/" + job, R"({"state":"UploadComplete"})");
    auto answer = box.get("~/jobs/ingest/" + job + "/successfulResults");
    std::vector<std::string> listed;
    const Rows rows = rows_of(Box::text(answer));
    for (std::size_t i = 1; i < rows.size(); ++i) listed.push_back(rows[i][2]);
    EXPECT_NE(listed, names);
    std::sort(listed.begin(), listed.end());
    EXPECT_EQ(listed, names);
}

}  // namespace
}  // namespace lockstep::sandbox

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "salesforce/composite.h"
#include "salesforce/connector.h"
#include "salesforce/testing.h"

namespace lockstep::salesforce {
namespace {

using ::testing::ElementsAre;
using testing::FakeOrg;
using ::testing::HasSubstr;
using testing::json;
using testing::refusal;

record::Field field(std::string name, record::Form form = record::Form::Text) {
    return {.name = std::move(name), .form = form};
}

constexpr Timestamp kSince{1'795'508'000};

/// An org that answers each part of a composite call by itself.
class CompositeOrg : public FakeOrg {
public:
    CompositeOrg() {
        headers_of_all["Date"] = to_http_date(clock.now());
        on("/composite", std::vector<Answer>{[this](const http::Request& request) {
               if (whole) return *whole;
               const auto parts = composite_parts(request.body).value();
               sizes.push_back(parts.size());
               clock.advance_s(seconds);
               std::string body = "{\"compositeResponse\":[";
               for (std::size_t i = 0; i < parts.size(); ++i) {
                   asked.push_back(url_decode(parts[i].path));
                   const http::Response answer = answer_to(parts[i]);
                   body += std::string(i > 0 ? "," : "") + "{\"body\":" + (answer.body.empty() ? "null" : answer.body) +
                           R"(,"httpHeaders":{"Last-Modified":")" + to_http_date(changed) + R"("},"httpStatusCode":)" +
                           std::to_string(answer.status) + R"(,"referenceId":"part)" + std::to_string(i) + "\"}";
               }
               return json(200, body + "]}");
           }});
    }
    http::Response answer_to(const CompositePart& part) {
        const std::string path = url_decode(part.path);
        for (const auto& [text, answer] : answers)
            if (path.find(text) != std::string::npos) return answer;
        if (path.ends_with("/describe")) {
            if (part.only_since && *part.only_since >= changed) return {.status = 304, .headers = {}, .body = ""};
            const std::size_t name = path.find("/sobjects/") + 10;
            return json(200, R"({"name":")" + path.substr(name, path.rfind('/') - name) +
                                 R"(","label":"L","fields":[{"name":"Id","type":"id"}]})");
        }
        if (path.find("/deleted/") != std::string::npos) {
            return json(200, R"({"deletedRecords":[{"id":"0011a000000H3O9AAK","deletedDate":"2026-11-24T08:50:00Z"}],)"
                             R"("earliestDateAvailable":"2026-11-01T00:00:00Z",)"
                             R"("latestDateCovered":"2026-11-24T08:59:00Z"})");
        }
        return json(200, R"({"totalSize":1,"done":true,"records":[{"Id":"0011a000000H3O9AAK",)"
                         R"("SystemModstamp":"2026-11-24T08:45:00.000+0000"}]})");
    }
    static Question question(const std::string& object, bool with_deletes = false) {
        Question all{.object = object};
        all.changes = Selection{.object = object,
                                .fields = {field("Id"), field("SystemModstamp", record::Form::Timestamp)},
                                .since = kSince};
        if (with_deletes) all.deleted_since = kSince;
        return all;
    }
    std::vector<Findings> survey(const std::vector<Question>& questions) {
        auto found = connector().survey(questions);
        EXPECT_TRUE(found.ok()) << to_string(found.error());
        return found.ok() ? std::move(found).value() : std::vector<Findings>();
    }
    std::vector<std::size_t> sizes;  ///< parts of each call
    std::vector<std::string> asked;
    std::vector<std::pair<std::string, http::Response>> answers;  ///< to parts whose path has the text
    std::optional<http::Response> whole;                          ///< instead of all
    Timestamp changed{1'795'000'000};
    std::int64_t seconds = 0;  ///< how long an answer takes
};

TEST(Survey, asks_everything_of_an_object_in_one_call_and_of_many_objects_in_few) {
    CompositeOrg org;
    std::vector<Question> questions;
    for (int i = 0; i < 7; ++i) questions.push_back(CompositeOrg::question("Obj" + std::to_string(i), true));
    const auto found = org.survey(questions);
    EXPECT_THAT(org.sizes, ElementsAre(15, 6));  // five queries a call
    ASSERT_EQ(found.size(), 7U);
    for (int i = 0; i < 7; ++i) {
        const Findings& one = found[static_cast<std::size_t>(i)];
        ASSERT_TRUE(one.description && one.changes && one.deleted) << i;
        EXPECT_EQ(one.description->name, "Obj" + std::to_string(i));
        EXPECT_EQ(one.changes->rows.rows(), 1U);
        EXPECT_EQ(one.changes->call, "composite query");
        EXPECT_EQ(one.deleted->covered, parse_timestamp("2026-11-24T08:59:00Z"));
    }
    EXPECT_THAT(org.asked[1], HasSubstr("SELECT Id,SystemModstamp FROM Obj0 WHERE SystemModstamp>=2026-11-24T08:13:20Z "
                                        "ORDER BY SystemModstamp,Id LIMIT 500"));
    EXPECT_THAT(org.asked[2], HasSubstr("/sobjects/Obj0/deleted/?start=2026-11-24T08:13:00Z&end=2026-11-24T09:00:00Z"));
    EXPECT_EQ(org.permits.taken, 2);
}

TEST(Survey, asks_no_more_than_25_parts_a_call) {
    CompositeOrg org;
    std::vector<Question> questions(30);
    for (int i = 0; i < 30; ++i) questions[static_cast<std::size_t>(i)].object = "Obj" + std::to_string(i);
    EXPECT_EQ(org.survey(questions).size(), 30U);
    EXPECT_THAT(org.sizes, ElementsAre(25, 5));
}

TEST(Survey, that_fails_in_one_part_answers_the_others) {
    CompositeOrg org;
    org.answers = {
        {"FROM A ", refusal(400, "INVALID_FIELD", "No such column")},
        {"/B/describe", refusal(404, "NOT_FOUND", "The requested resource does not exist")},
        {"FROM B ", json(200, R"({"totalSize":5,"done":true,"records":[]})")},
        {"/C/deleted", refusal(400, "INVALID_REPLICATION_DATE", "too old")},
        {"/C/describe", json(200, R"({"name":"Another","fields":[]})")},
        {"FROM C ", refusal(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred")},
    };
    const auto found = org.survey({CompositeOrg::question("A", true), CompositeOrg::question("B", true),
                                   CompositeOrg::question("C", true), CompositeOrg::question("D", true)});
    ASSERT_EQ(found.size(), 4U);
    EXPECT_TRUE(found[0].description && !found[0].changes && found[0].deleted);
    EXPECT_TRUE(!found[1].description && found[1].no_object && !found[1].changes && found[1].deleted);
    EXPECT_TRUE(!found[2].description && !found[2].no_object && !found[2].changes && !found[2].deleted);
    EXPECT_TRUE(found[3].description && found[3].changes && found[3].deleted);
    for (const Findings& one : found) EXPECT_FALSE(one.too_many_changes);
}

TEST(Survey, brings_a_description_only_if_it_changed) {
    CompositeOrg org;
    const auto first = org.survey({{.object = "A"}});
    ASSERT_TRUE(first[0].description);
    ASSERT_EQ(first[0].described, org.changed);
    const auto second = org.survey({{.object = "A", .described = first[0].described}});
    EXPECT_TRUE(second[0].same_description && !second[0].description);
    EXPECT_EQ(second[0].described, org.changed);
    org.changed = org.changed.plus(5);
    const auto third = org.survey({{.object = "A", .described = second[0].described}});
    EXPECT_TRUE(!third[0].same_description && third[0].description);
    EXPECT_EQ(third[0].described, org.changed);
}

TEST(Survey, does_not_trust_the_stamp_of_a_description_that_changed_just_now) {
    CompositeOrg org;
    org.changed = org.clock.now().plus(-1);
    const auto found = org.survey({{.object = "A"}});
    EXPECT_TRUE(found[0].description);
    EXPECT_FALSE(found[0].described);
}

TEST(Survey, tells_a_time_before_which_its_queries_can_not_have_run) {
    CompositeOrg org;
    org.seconds = 7;  // the answer's Date may be as old as its last second
    const auto found = org.survey({CompositeOrg::question("A")});
    EXPECT_EQ(found[0].asked_at, parse_http_date(org.headers_of_all["Date"])->plus(-7));
}

TEST(Survey, brings_no_changes_where_nobody_tells_the_time) {
    CompositeOrg org;
    org.headers_of_all.clear();
    const auto found = org.survey({CompositeOrg::question("A", true)});
    EXPECT_TRUE(found[0].description && !found[0].changes);
}

TEST(Survey, leaves_many_records_to_a_reading_of_their_own) {
    std::string records;
    for (int i = 0; i < 500; ++i) {
        records += std::string(i > 0 ? "," : "") + R"({"Id":"a)" + std::to_string(1000 + i) +
                   R"(","SystemModstamp":"2026-11-24T08:45:00.000+0000"})";
    }
    for (const bool by_page : {false, true}) {
        CompositeOrg org;
        const std::string head =
            by_page ? R"({"totalSize":501,"done":false,"nextRecordsUrl":"/x",)" : R"({"totalSize":500,"done":true,)";
        org.answers = {{"FROM A ", json(200, head + R"("records":[)" + records + "]}")}};
        const auto found = org.survey({CompositeOrg::question("A")});
        EXPECT_TRUE(found[0].too_many_changes && !found[0].changes);
    }
}

TEST(Survey, leaves_a_selection_too_long_for_one_query_to_a_reading_of_its_own) {
    CompositeOrg org;
    Question wide = CompositeOrg::question("A", true);
    for (int i = 0; i < 900; ++i)
        wide.changes->fields.push_back(field("A_rather_long_name_of_a_field_" + std::to_string(i)));
    const auto found = org.survey({wide});
    EXPECT_TRUE(found[0].too_many_changes && !found[0].changes && found[0].description && found[0].deleted);
    EXPECT_THAT(org.sizes, ElementsAre(2));
}

TEST(Survey, that_is_not_answered_whole_is_asked_again_and_then_told) {
    CompositeOrg org;
    org.whole = json(200, R"({"compositeResponse":[]})");
    const auto found = org.connector().survey({CompositeOrg::question("A")});
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().kind, Kind::BadReply);
    EXPECT_EQ(org.calls.size(), 3U);
}

TEST(Survey, that_the_org_does_not_serve_ends_with_its_word_for_it) {
    CompositeOrg org;
    org.whole = refusal(404, "NOT_FOUND", "The requested resource does not exist");
    EXPECT_EQ(org.connector().survey({CompositeOrg::question("A")}).error().kind, Kind::NotFound);
}

TEST(Composite, takes_apart_only_what_it_put_together) {
    const std::vector<CompositePart> parts{{.path = "/services/data/v60.0/query?q=a%22b"},
                                           {.path = "/x", .only_since = Timestamp{1'795'000'000}}};
    const std::string body = composite_body(parts);
    EXPECT_EQ(composite_parts(body), parts);
    EXPECT_TRUE(parse_json(body).ok());
    for (const char* const other : {"", "{}", "[]", R"({"compositeRequest":[{}]})", R"({"compositeRequest":[1]})"}) {
        EXPECT_FALSE(composite_parts(other)) << other;
    }
    std::string changed = body;
    changed.replace(changed.find("GMT"), 3, "UTC");
    EXPECT_FALSE(composite_parts(changed));
}

TEST(Composite, reads_answers_in_the_order_of_their_parts_and_no_others) {
    const auto answer = [](std::string_view name) {
        return R"({"body":[1.5,"ü"],"httpHeaders":{"ETag":"\"x\""},"httpStatusCode":200,"referenceId":")" +
               std::string(name) + "\"}";
    };
    const auto whole = [](const std::string& list) { return "{\"compositeResponse\":[" + list + "]}"; };
    const auto good = parse_composite(whole(answer("part0") + "," + answer("part1")), 2);
    ASSERT_TRUE(good.ok());
    EXPECT_EQ(good->at(1).body, R"([1.5E0,"ü"])");
    EXPECT_EQ(good->at(1).header("etag"), "\"x\"");
    for (const std::string& bad :
         {whole(answer("part0")), whole(answer("part1") + "," + answer("part0")), std::string("{}"), std::string("[]"),
          whole("1,2"), whole(R"({"httpStatusCode":200,"referenceId":"part0"},)" + answer("part1"))}) {
        const auto read = parse_composite(bad, 2);
        ASSERT_FALSE(read.ok()) << bad;
        EXPECT_EQ(read.error().kind, Kind::BadReply);
    }
}

}  // namespace
}  // namespace lockstep::salesforce

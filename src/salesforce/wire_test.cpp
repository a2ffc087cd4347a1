#include "salesforce/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/check.h"
#include "base/csv.h"

namespace lockstep::salesforce {
namespace {

using record::Batch;
using record::Cell;
using record::Field;
using record::Form;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Field field(std::string name, Form form = Form::Text) {
    return {.name = std::move(name), .form = form};
}

/// A row as people see it, columns separated by bars; "NULL" for a null.
std::string shown(const Page& page, std::size_t row) {
    std::string out;
    for (const Cell& cell : page.rows.row(row)) {
        if (!out.empty()) out += '|';
        out += cell.is_null() ? "NULL" : to_text(cell);
    }
    return out;
}

// ---- Cells ----

TEST(ParseCell, reads_each_form_as_salesforce_writes_it) {
    struct Case {
        Form form;
        const char* text;
        const char* value;  ///< "!": refused
    };
    const Case cases[] = {
        {Form::Text, "Acme", "Acme"},
        {Form::Text, "", "NULL"},
        {Form::Text, "#N/A", "#N/A"},
        {Form::Text, " padded ", " padded "},
        {Form::Text, "Grüße", "Grüße"},
        {Form::Text, "\xC3", "!"},
        {Form::Boolean, "true", "true"},
        {Form::Boolean, "false", "false"},
        {Form::Boolean, "", "NULL"},
        {Form::Boolean, "yes", "!"},
        {Form::Boolean, "True", "!"},
        {Form::Integer, "39000", "39000"},
        {Form::Integer, "-1", "-1"},
        {Form::Integer, "3.9E4", "39000"},
        {Form::Integer, "3.0", "3"},
        {Form::Integer, "1.5", "!"},
        {Form::Integer, "1.0E300", "!"},
        {Form::Integer, "", "NULL"},
        {Form::Integer, "x", "!"},
        {Form::Real, "9.9213206E7", "99213206"},
        {Form::Real, "1.6147805824397E13", "16147805824397"},
        {Form::Real, "5.0E-4", "5e-04"},
        {Form::Real, "-0.25", "-0.25"},
        {Form::Real, "0.0", "0"},
        {Form::Real, "", "NULL"},
        {Form::Real, "NaN", "!"},
        {Form::Real, "1,5", "!"},
        {Form::Date, "2020-11-16", "2020-11-16"},
        {Form::Date, "0001-01-01", "0001-01-01"},
        {Form::Date, "", "NULL"},
        {Form::Date, "2020-02-30", "!"},
        {Form::Date, "16.11.2020", "!"},
        {Form::Timestamp, "2015-06-25T21:54:34.000+0000", "2015-06-25T21:54:34Z"},
        {Form::Timestamp, "2023-10-22T06:25:12.000Z", "2023-10-22T06:25:12Z"},
        {Form::Timestamp, "", "NULL"},
        {Form::Timestamp, "2023-10-22", "!"},
        {Form::Timestamp, "1730962800000", "!"},
    };
    for (const Case& c : cases) {
        Batch batch({c.form});
        Cell cell;
        const bool good = parse_cell(c.text, c.form, batch, cell);
        EXPECT_EQ(good, std::string_view(c.value) != "!") << c.text;
        EXPECT_EQ(cell.form(), c.form) << c.text;
        EXPECT_EQ(cell.is_null() ? "NULL" : to_text(cell), good ? c.value : "NULL") << c.text;
    }
}

RC_GTEST_PROP(ParseCell, reads_back_each_number_it_prints, (double number)) {
    RC_PRE(std::isfinite(number));
    Batch batch({Form::Real});
    Cell cell;
    RC_ASSERT(parse_cell(lockstep::to_text(number), Form::Real, batch, cell));
    RC_ASSERT(cell.as_real() == number);
}

// ---- Queries ----

const std::vector<Field> kContact{field("Id"), field("LastName"), field("Active__c", Form::Boolean),
                                  field("Amount__c", Form::Real), field("SystemModstamp", Form::Timestamp)};

std::string answer(const std::string& frame, const std::string& records) {
    return "{" + frame + R"(,"records":[)" + records + "]}";
}
const std::string kDone = R"("totalSize":1,"done":true)";
const std::string kRow =
    R"({"attributes":{"type":"Contact","url":"/x"},"Id":"003D000000QyWpqIAF","LastName":null,"Active__c":true,)"
    R"("Amount__c":9.0E7,"SystemModstamp":"2015-06-25T21:54:34.000+0000"})";

TEST(ParseQuery, reads_records_into_typed_rows) {
    Page page;
    const auto frame = parse_query(answer(kDone, kRow), kContact, page);
    ASSERT_TRUE(frame.ok()) << frame.error().what;
    EXPECT_EQ(frame->total, 1);
    EXPECT_TRUE(frame->done);
    EXPECT_EQ(shown(page, 0), "003D000000QyWpqIAF|NULL|true|90000000|2015-06-25T21:54:34Z");
    EXPECT_TRUE(page.odd.empty());
    EXPECT_GT(page.bytes, 0);
}

TEST(ParseQuery, finds_fields_whatever_their_order_and_case) {
    Page page;
    const auto frame =
        parse_query(answer(kDone, R"({"SYSTEMMODSTAMP":null,"amount__c":1,"active__c":false,"lastname":"x","ID":"1"})"),
                    kContact, page);
    ASSERT_TRUE(frame.ok()) << frame.error().what;
    EXPECT_EQ(shown(page, 0), "1|x|false|1|NULL");
}

TEST(ParseQuery, refuses_an_answer_that_is_not_whole) {
    const std::string lacking = R"({"Id":"1","LastName":"x","Active__c":true,"SystemModstamp":null})";
    const std::string cases[] = {
        "",
        "[]",
        R"([{"message":"x","errorCode":"Y"}])",
        R"({"totalSize":1,"done":true})",
        R"({"done":true,"records":[]})",
        R"({"totalSize":1,"records":[]})",
        R"({"totalSize":"1","done":true,"records":[]})",
        answer(R"("totalSize":1,"done":false)", kRow),
        answer(R"("totalSize":1,"done":true,"nextRecordsUrl":"/x")", kRow),
        answer(kDone, "null"),
        answer(kDone, lacking),
        answer(kDone, kRow).substr(0, 100),
    };
    for (const std::string& text : cases) {
        Page page;
        const auto frame = parse_query(text, kContact, page);
        ASSERT_FALSE(frame.ok()) << text;
        EXPECT_EQ(frame.error().kind, Kind::BadReply) << text;
    }
    Page page;
    EXPECT_THAT(parse_query(answer(kDone, lacking), kContact, page).error().what, HasSubstr("lacks Amount__c"));
}

TEST(ParseQuery, makes_a_value_of_the_wrong_form_null_and_tells) {
    Page page;
    const auto frame = parse_query(
        answer(kDone, R"({"Id":"1","LastName":12,"Active__c":"maybe","Amount__c":"12.5","SystemModstamp":{"a":1}})"),
        kContact, page);
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(shown(page, 0), "1|12|NULL|12.5|NULL");
    ASSERT_EQ(page.odd.size(), 2u);
    EXPECT_EQ(page.odd[0].column, 2);
    EXPECT_EQ(page.odd[0].text, "maybe");
    EXPECT_EQ(page.odd[0].reason, "is not a boolean");
    EXPECT_EQ(page.odd[1].column, 4);
}

TEST(ParseQuery, repairs_text_that_is_none_and_tells) {
    for (const std::string bad : {"A\\u0000B", "A\xFF\x42"}) {
        Page page;
        const auto frame = parse_query(answer(kDone, R"({"Id":"1","LastName":")" + bad + R"("})"),
                                       {field("Id"), field("LastName")}, page);
        ASSERT_TRUE(frame.ok()) << frame.error().what;
        EXPECT_EQ(shown(page, 0), "1|A\uFFFDB");
        ASSERT_EQ(page.odd.size(), 1u);
        EXPECT_EQ(page.odd[0].row, 0u);
    }
}

// ---- Bulk pages ----

const std::vector<Field> kBulk{field("Id"), field("Name"), field("Amount", Form::Real), field("CloseDate", Form::Date)};
const std::string kHeader = "\"Id\",\"Name\",\"Amount\",\"CloseDate\"\n";

TEST(ParseBulkPage, reads_rows_with_quotes_and_line_breaks) {
    Page page;
    const auto parsed = parse_bulk_page(kHeader +
                                            "\"1\",\"He said \"\"yes\"\",\nthen left\",\"9.0E7\",\"2026-01-31\"\n"
                                            "\"2\",\"\",\"\",\"\"\n",
                                        kBulk, 2, page);
    ASSERT_TRUE(parsed.ok()) << parsed.error().what;
    EXPECT_EQ(shown(page, 0), "1|He said \"yes\",\nthen left|90000000|2026-01-31");
    EXPECT_EQ(shown(page, 1), "2|NULL|NULL|NULL");
    EXPECT_TRUE(page.odd.empty());
}

TEST(ParseBulkPage, reads_the_looser_forms_of_csv) {
    for (const std::string text : {"\xEF\xBB\xBFid,NAME,amount,closedate\n1,Acme,5,2026-01-31\n",
                                   "Id,Name,Amount,CloseDate\r\n\"1\",Acme,5.0,\"2026-01-31\"\r\n"}) {
        Page page;
        const auto parsed = parse_bulk_page(text, kBulk, 1, page);
        ASSERT_TRUE(parsed.ok()) << parsed.error().what;
        EXPECT_EQ(shown(page, 0), "1|Acme|5|2026-01-31");
    }
}

TEST(ParseBulkPage, refuses_a_page_that_is_not_whole) {
    struct Case {
        std::string body;
        std::int64_t announced;
        const char* words;
    };
    const std::string row = "\"1\",\"Acme\",\"5.0\",\"2026-01-31\"\n";
    const Case cases[] = {
        {"", 0, "is empty"},
        {"<html>Down</html>", 0, "other columns"},
        {"\"Name\",\"Id\",\"Amount\",\"CloseDate\"\n" + row, 1, "other columns"},
        {"\"Id\",\"Name\",\"Amount\"\n", 0, "other columns"},
        {kHeader + row, 2, "1 rows, though 2 were announced"},
        {kHeader + row + row, 1, "2 rows, though 1 were announced"},
        {kHeader + "\"1\",\"Acme\",\"5.0\"\n", 1, "3 cells instead of 4"},
        {kHeader + "\"1\",\"Acme\",\"5.0\",\"2026-01-31\",\"x\"\n", 1, "5 cells instead of 4"},
        {kHeader + "\"1\",\"Ac", 1, "inside the quotes"},
        {kHeader + "\"1\",\"Acme\",\"5.0\",\"2026-01-31\"", 1, "ends within a row"},
        {kHeader + "\"1\",\"Ac\"me\",\"5.0\",\"2026-01-31\"\n", 1, "follows a closing quote"},
    };
    for (const Case& c : cases) {
        Page page;
        const auto parsed = parse_bulk_page(c.body, kBulk, c.announced, page);
        ASSERT_FALSE(parsed.ok()) << c.body;
        EXPECT_EQ(parsed.error().kind, Kind::BadReply);
        EXPECT_THAT(parsed.error().what, HasSubstr(c.words));
    }
}

TEST(ParseBulkPage, refuses_every_cut_of_a_page) {
    const std::string whole = kHeader + "\"1\",\"He said \"\"yes\"\"\",\"5.0\",\"2026-01-31\"\n\"2\",\"\",\"\",\"\"\n";
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Page page;
        EXPECT_FALSE(parse_bulk_page(whole.substr(0, size), kBulk, 2, page).ok()) << size;
    }
}

TEST(ParseBulkPage, tells_of_odd_cells_and_keeps_the_row) {
    Page page;
    const auto parsed = parse_bulk_page(kHeader + std::string("\"1\",\"A\0B\",\"dear\",\"31.1.2026\"\n", 29) +
                                            "\"2\",\"C\xFF\",\"1.0\",\"\"\n\"3\",\"good\",\"\",\"\"\n",
                                        kBulk, 3, page);
    ASSERT_TRUE(parsed.ok()) << parsed.error().what;
    EXPECT_EQ(shown(page, 0), "1|A\uFFFDB|NULL|NULL");
    EXPECT_EQ(shown(page, 1), "2|C\uFFFD|1|NULL");
    EXPECT_EQ(shown(page, 2), "3|good|NULL|NULL");
    ASSERT_EQ(page.odd.size(), 4u);
    EXPECT_EQ(page.odd[1].text, "dear");
    EXPECT_EQ(page.odd[1].reason, "is not a real");
    EXPECT_EQ(page.odd[3].row, 1u);
}

TEST(ParseBulkPage, cuts_long_odd_text_between_characters) {
    std::string text = "x";
    while (text.size() < 300) text += "ü";
    Page page;
    ASSERT_TRUE(parse_bulk_page("\"Amount\"\n\"" + text + "\"\n", {field("Amount", Form::Real)}, 1, page).ok());
    ASSERT_EQ(page.odd.size(), 1u);
    EXPECT_EQ(page.odd[0].text, text.substr(0, 199));
}

RC_GTEST_PROP(ParseBulkPage, reads_back_any_text, (const std::vector<std::string>& names)) {
    std::string body = "\"Name\",\"Id\"\n";
    for (const std::string& name : names) csv::append_row(body, {name, "1"});
    Page page;
    RC_ASSERT(parse_bulk_page(body, {field("Name"), field("Id")}, static_cast<std::int64_t>(names.size()), page).ok());
    for (std::size_t i = 0; i < names.size(); ++i) {
        RC_ASSERT(to_text(page.rows.row(i)[0]) == to_valid_utf8(names[i]));
    }
}

// ---- Describe ----

TEST(ParseDescribe, keeps_what_a_value_can_have) {
    const auto object = parse_describe(R"({"name":"Contact","label":"Contact","keyPrefix":"003","custom":false,
        "queryable":true,"retrieveable":true,"replicateable":true,"undeletable":true,"fields":[
        {"name":"Id","label":"Contact ID","type":"id","length":18,"nillable":false,"filterable":true},
        {"name":"AccountId","type":"reference","length":18,"relationshipName":"Account","referenceTo":["Account"],"createable":true},
        {"name":"MailingAddress","type":"address"},
        {"name":"Photo__c","type":"base64"},
        {"name":"Old__c","type":"string","deprecatedAndHidden":true},
        {"name":"Score__c","type":"double","precision":18,"scale":2,"custom":true,"calculated":true,"calculatedFormula":"A + B"},
        {"name":"Count__c","type":"int","digits":9},
        {"name":"Ext__c","type":"string","length":80,"unique":true,"externalId":true,"updateable":true,"autoNumber":true},
        {"name":"Notes__c","type":"textarea","filterable":false}]})");
    ASSERT_TRUE(object.ok()) << object.error().what;
    EXPECT_EQ(object->key_prefix, "003");
    EXPECT_TRUE(object->replicateable);
    std::vector<std::string> names;
    for (const Field& f : object->fields) names.push_back(f.name + ":" + name(f.form));
    EXPECT_THAT(names, ElementsAre("Id:text", "AccountId:text", "Score__c:real", "Count__c:integer", "Ext__c:text",
                                   "Notes__c:text"));
    EXPECT_EQ(object->find("accountid")->reference_to, std::vector<std::string>{"Account"});
    EXPECT_EQ(object->find("AccountId")->relationship, "Account");
    EXPECT_TRUE(object->find("Score__c")->calculated);
    EXPECT_EQ(object->find("Score__c")->formula, "A + B");
    EXPECT_EQ(object->find("Score__c")->scale, 2);
    EXPECT_EQ(object->find("Count__c")->precision, 9);
    EXPECT_TRUE(object->find("Ext__c")->unique && object->find("Ext__c")->external_id &&
                object->find("Ext__c")->auto_number);
    EXPECT_FALSE(object->find("Notes__c")->filterable);
    EXPECT_FALSE(object->find("Id")->nillable);
}

TEST(ParseDescribe, refuses_what_describes_nothing) {
    for (const char* text : {"", "[]", "{}", R"({"name":"X"})", R"({"name":"X","fields":[{}]})",
                             R"({"name":"X","fields":[{"name":"Y"}]})", R"({"name":"X","fields":["Y"]})"}) {
        EXPECT_EQ(parse_describe(text).error().kind, Kind::BadReply) << text;
    }
}

// ---- SOQL ----

TEST(Soql, is_written_from_a_selection) {
    const Timestamp from = *parse_timestamp("2026-11-24T08:00:00Z"), to = *parse_timestamp("2026-11-24T09:00:00Z");
    Selection lead{.object = "Lead", .fields = {field("Id"), field("Email")}};
    EXPECT_EQ(to_soql(lead, false), "SELECT Id,Email FROM Lead");
    EXPECT_EQ(to_soql(lead, true), "SELECT Id,Email FROM Lead ORDER BY SystemModstamp,Id");
    lead.since = from;
    lead.until = to;
    lead.condition = "IsConverted = false OR Rating = 'Hot'";
    const std::string window = "SystemModstamp>=2026-11-24T08:00:00Z AND SystemModstamp<2026-11-24T09:00:00Z";
    const std::string filter = "(IsConverted = false OR Rating = 'Hot')";
    EXPECT_EQ(to_soql(lead, false), "SELECT Id,Email FROM Lead WHERE " + window + " AND " + filter);
    EXPECT_EQ(to_soql(lead, Query{}), "SELECT COUNT() FROM Lead WHERE " + window + " AND " + filter);
    EXPECT_EQ(
        to_soql(lead, Query{.fields = {field("Id")}, .ordered = true, .after = Key{from, "00Q1"}, .rows_max = 10}),
        "SELECT Id FROM Lead WHERE ((SystemModstamp=2026-11-24T08:00:00Z AND Id>'00Q1') OR "
        "SystemModstamp>2026-11-24T08:00:00Z) AND SystemModstamp<2026-11-24T09:00:00Z AND " +
            filter + " ORDER BY SystemModstamp,Id LIMIT 10");
    EXPECT_EQ(to_soql(lead, Query{.fields = {field("Id")}, .ids = {"1", "it's"}}),
              "SELECT Id FROM Lead WHERE Id IN ('1','it\\'s') AND " + filter);

    const Selection share{.object = "X__c", .fields = {field("Id")}, .stamp = ""};
    EXPECT_EQ(
        to_soql(share, Query{.fields = share.fields, .ordered = true, .after = Key{{}, "a00"}, .upto = Key{{}, "a09"}}),
        "SELECT Id FROM X__c WHERE Id>'a00' AND Id<='a09' ORDER BY Id");
}

TEST(Soql, names_are_never_anything_else) {
    Selection bad{.object = "Lead WHERE Id", .fields = {field("Id")}};
    EXPECT_THROW(to_soql(bad, false), Bug);
    bad = {.object = "Lead", .fields = {field("Id, Email FROM Lead --")}};
    EXPECT_THROW(to_soql(bad, false), Bug);
    bad = {.object = "Lead", .fields = {field("Id")}, .stamp = "x y"};
    EXPECT_THROW(to_soql(bad, false), Bug);
    bad = {.object = "Lead", .fields = {field("Id")}, .since = Timestamp{0}, .stamp = ""};
    EXPECT_THROW(to_soql(bad, false), Bug);
}

TEST(Soql, quotes_text) {
    EXPECT_EQ(soql_quoted("O'Neil \\ \"x\"\n\r\t"), "'O\\'Neil \\\\ \\\"x\\\"\\n\\r\\t'");
    EXPECT_EQ(soql_datetime(Timestamp{0}), "1970-01-01T00:00:00Z");
}

}  // namespace
}  // namespace lockstep::salesforce

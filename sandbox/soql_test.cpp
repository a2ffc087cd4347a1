#include "sandbox/soql.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/alive.h"
#include "sandbox/soql_grammar.h"

namespace lockstep::sandbox {
namespace {

const Timestamp noon = *parse_timestamp("2024-03-15T12:00:00Z");  // a Friday

OrgOptions options(std::int64_t people, Clock& clock) {
    OrgOptions options;
    options.people = people;
    options.start = noon;
    options.clock = &clock;
    return options;
}

/// An org whose every row the test knows: three accounts, their contacts, and a custom object with a field of each
/// type.
struct TinyOrg {
    ManualClock clock{noon};
    Org org{options(0, clock)};
    std::map<std::string, std::string> id;  ///< by the names the tests use

    TinyOrg() {
        const auto lock = org.write_lock();
        Object widget;
        widget.name = "Widget__c";
        widget.label = "Widget";
        widget.label_plural = "Widgets";
        widget.custom = true;
        const int object = org.add_object(widget);
        const auto add = [&](const char* name, Type type, int length = 0) {
            auto field = new_field(name, type, length);
            field.custom = true;
            return field;
        };
        org.add_field(object, add("Text__c", Type::String));
        auto exact = add("Exact__c", Type::String);
        exact.case_sensitive = exact.external_id = exact.id_lookup = exact.unique = true;
        org.add_field(object, exact);
        auto long_text = add("Long__c", Type::TextArea, 32000);
        org.add_field(object, long_text);
        org.add_field(object, add("Whole__c", Type::Int));
        auto number = add("Number__c", Type::Double);
        number.scale = 3;
        org.add_field(object, number);
        org.add_field(object, add("Money__c", Type::Currency));
        org.add_field(object, add("Flag__c", Type::Boolean));
        org.add_field(object, add("Day__c", Type::Date));
        org.add_field(object, add("Moment__c", Type::DateTime));
        org.add_field(object, add("Clock__c", Type::Time));
        auto colors = add("Colors__c", Type::MultiPicklist);
        for (const char* color : {"red", "green", "blue"}) colors.picklist.push_back({color, color});
        org.add_field(object, colors);
        auto grade = add("Grade__c", Type::Picklist);
        grade.picklist = {{"a", "Excellent"}, {"b", "Good"}};
        org.add_field(object, grade);
        auto parent = add("Account__c", Type::Reference);
        parent.reference_to = {"Account"};
        parent.relationship = "Account__r";
        parent.child_relationship = "Widgets__r";
        org.add_field(object, parent);

        make("acme", "Account",
             {{"Name", std::string("Acme")},
              {"Industry", std::string("Banking")},
              {"NumberOfEmployees", std::int64_t{50}},
              {"AnnualRevenue", 1.5e7}});
        make("bell", "Account", {{"Name", std::string("bell & sons")}, {"NumberOfEmployees", std::int64_t{7}}});
        make("cafe", "Account",
             {{"Name", std::string("Café Zürich")}, {"Industry", std::string("Retail")}, {"ParentId", id["acme"]}});
        make("ann", "Contact",
             {{"LastName", std::string("Ann")},
              {"FirstName", std::string("Mary")},
              {"AccountId", id["acme"]},
              {"Email", std::string("ann@acme.example")}});
        make("bob", "Contact", {{"LastName", std::string("Bob")}, {"AccountId", id["acme"]}});
        make("cid", "Contact", {{"LastName", std::string("Cid")}, {"AccountId", id["cafe"]}});
        make("dot", "Contact", {{"LastName", std::string("Dot")}});
        make("lea", "Lead", {{"LastName", std::string("Lea")}, {"Company", std::string("Lea Ltd")}});
        const int group = org.schema().find("Group");
        id["me"] = org.integration_user_id();
        id["queue"] = org.id_of(group, 0);
        make("queued", "Lead",
             {{"LastName", std::string("Queued")}, {"Company", std::string("Q")}, {"OwnerId", id["queue"]}});
        make("full", "Widget__c",
             {{"Name", std::string("full")},
              {"Text__c", std::string("It's 50% \\ _x_")},
              {"Exact__c", std::string("AbC")},
              {"Long__c", std::string("long")},
              {"Whole__c", std::int64_t{-3}},
              {"Number__c", 0.125},
              {"Money__c", 1e7},
              {"Flag__c", true},
              {"Day__c", std::string("2024-03-14")},
              {"Moment__c", std::string("2024-03-14T23:59:59Z")},
              {"Clock__c", std::string("17:30:00.000Z")},
              {"Colors__c", std::string("red;blue")},
              {"Grade__c", std::string("a")},
              {"Account__c", id["acme"]}});
        make("empty", "Widget__c", {{"Name", std::string("empty")}});
        make("other", "Widget__c",
             {{"Name", std::string("other")},
              {"Text__c", std::string("straße")},
              {"Exact__c", std::string("abc")},
              {"Whole__c", std::int64_t{12}},
              {"Number__c", 12.5},
              {"Money__c", 9.99},
              {"Day__c", std::string("2024-03-15")},
              {"Moment__c", std::string("2024-03-15T08:00:00Z")},
              {"Clock__c", std::string("08:00:00.000Z")},
              {"Colors__c", std::string("red;green;blue")},
              {"Grade__c", std::string("b")},
              {"Account__c", id["cafe"]}});
    }

    void make(const std::string& name, const std::string& object, const Values& values) {
        const auto made = org.insert(org.schema().find(object), values, org.integration_user_id());
        ASSERT_TRUE(made.ok()) << name << ": " << (made.errors.empty() ? "" : made.errors.front().message);
        id[name] = made.id;
        clock.advance_s(60);
    }

    /// `$acme` in a query stands for the id of the row of that name; ids in answers are replaced by `$acme` again.
    std::string with_ids(std::string text) const {
        for (const auto& [name, value] : id) replace(text, "$" + name, value);
        return text;
    }
    std::string with_names(std::string text) const {
        for (const auto& [name, value] : id) replace(text, value, "$" + name);
        return text;
    }
    static void replace(std::string& text, const std::string& what, const std::string& by) {
        for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
            text.replace(at, what.size(), by);
    }

    Result<ResultSet> ask(const std::string& soql, bool all_rows = false) const {
        const auto lock = org.read_lock();
        const auto query = TRY(Query::prepare(with_ids(soql), org, {.all_rows = all_rows}));
        return run_query(query, org);
    }
    /// CSV without quotes and header, a count, or an error's code with the last line of its text. `json`: as REST
    /// shows.
    std::string told(const std::string& soql, bool all_rows = false, bool json = false) const {
        const auto rows = ask(soql, all_rows);
        if (!rows.ok())
            return rows.error().code + ": " + with_names(rows.error().what.substr(rows.error().what.rfind('\n') + 1)) +
                   "\n";
        const auto lock = org.read_lock();
        if (rows->kind() == ResultSet::Kind::Count) return "count " + std::to_string(rows->total_size()) + "\n";
        std::string out;
        if (json) {
            rows->append_json_records(org, 0, rows->records(), "60.0", out);
            out += "\n";
        } else {
            rows->append_csv_rows(org, 0, rows->records(), out);
            replace(out, "\",\"", " | ");
            replace(out, "\"", "");
        }
        return with_names(out);
    }
};

/// testdata/soql.test: a query, a line of dashes, what it tells, an empty line. `all ` before a query asks queryAll,
/// `json ` for the JSON form. UPDATE_GOLDEN=1 writes what is told now.
TEST(Soql, queries_of_the_table_tell_what_it_says) {
    const std::string path = LOCKSTEP_SOURCE_DIR "/sandbox/testdata/soql.test";
    TinyOrg tiny;
    {
        const auto lock = tiny.org.write_lock();
        tiny.make("gone", "Contact", {{"LastName", std::string("Gone")}, {"AccountId", tiny.id["acme"]}});
        ASSERT_TRUE(
            tiny.org.remove(tiny.org.schema().find("Contact"), tiny.id["gone"], tiny.org.integration_user_id()).ok());
    }
    std::ifstream file(path);
    ASSERT_TRUE(file) << path;
    std::string line;
    std::string actual;
    std::string expected;
    int queries = 0;
    while (std::getline(file, line)) {
        if (line.empty() || line.front() == '#') {
            actual += line + "\n";
            expected += line + "\n";
            continue;
        }
        std::string soql = line;
        while (std::getline(file, line) && line != "----") soql += "\n" + line;
        std::string told;
        while (std::getline(file, line) && !line.empty()) told += line + "\n";
        auto asked = soql;
        const bool all = asked.starts_with("all ");
        if (all) asked.erase(0, 4);
        const bool json = asked.starts_with("json ");
        if (json) asked.erase(0, 5);
        const auto now = tiny.told(asked, all, json);
        EXPECT_EQ(now, told) << soql;
        actual.append(soql).append("\n----\n").append(now).append("\n");
        ++queries;
    }
    EXPECT_GT(queries, 50);
    if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path) << actual;
}

TEST(Soql, errors_carry_the_code_and_the_text_of_the_platform) {
    TinyOrg tiny;
    const auto error = [&](const std::string& soql) {
        const auto rows = tiny.ask(soql);
        return rows.ok() ? Error{} : rows.error();
    };
    EXPECT_EQ(error("SELECT Nope FROM Account").code, "INVALID_FIELD");
    EXPECT_EQ(
        error("SELECT Nope FROM Account").what,
        "\nSELECT Nope FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nope' on entity 'Account'. If "
        "you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please "
        "reference your WSDL or the describe call for the appropriate names.");
    EXPECT_EQ(error("select count() from XYZZY").code, "INVALID_TYPE");
    EXPECT_EQ(
        error("select count() from XYZZY").what,
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not "
        "supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
        "Please reference your WSDL or the describe call for the appropriate names.");
    EXPECT_EQ(
        error("SELECT Foo.Name FROM Account").what,
        "\nSELECT Foo.Name FROM Account\n       ^\nERROR at Row:1:Column:8\nDidn't understand relationship 'Foo' in "
        "field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom "
        "relationship name. Please reference your WSDL or the describe call for the appropriate names.");
    EXPECT_EQ(error("SELECT Id FROM Account OFFSET 2001").code, "NUMBER_OUTSIDE_VALID_RANGE");
    EXPECT_EQ(error("SELECT Id, id FROM Account").what, "duplicate field selected: Id");
    EXPECT_EQ(error("SELECT Id FROM Account WHERE Id = 'abc'").code, "INVALID_QUERY_FILTER_OPERATOR");
}

TEST(Soql, a_hidden_field_is_an_unknown_one_and_a_hidden_object_an_unknown_type) {
    TinyOrg tiny;
    const int contact = tiny.org.schema().find("Contact");
    {
        const auto lock = tiny.org.write_lock();
        tiny.org.set_visible(contact, tiny.org.schema().at(contact).find("Email"), false);
        tiny.org.set_visible(tiny.org.schema().find("Lead"), -1, false);
    }
    for (const auto* soql : {"SELECT Email FROM Contact", "SELECT Id FROM Contact WHERE Email = 'x'",
                             "SELECT Id FROM Contact ORDER BY Email", "SELECT COUNT(Email) FROM Contact"}) {
        const auto rows = tiny.ask(soql);
        ASSERT_FALSE(rows.ok()) << soql;
        EXPECT_EQ(rows.error().code, "INVALID_FIELD") << soql;
    }
    EXPECT_EQ(tiny.ask("SELECT Id FROM Lead").error().code, "INVALID_TYPE");
    const auto all = tiny.told("SELECT FIELDS(ALL) FROM Contact LIMIT 1", false, true);
    EXPECT_EQ(all.find("\"Email\""), std::string::npos);
    EXPECT_NE(all.find("\"LastName\":\"Ann\""), std::string::npos);
}

TEST(Soql, rows_of_a_late_commit_show_when_their_time_has_come) {
    TinyOrg tiny;
    const int contact = tiny.org.schema().find("Contact");
    {
        const auto lock = tiny.org.write_lock();
        tiny.org.delay_visibility(contact, 600);
        tiny.make("late", "Contact", {{"LastName", std::string("Late")}});
    }
    const auto since = "SELECT LastName FROM Contact WHERE SystemModstamp >= " + to_string(noon);
    EXPECT_EQ(tiny.told("SELECT COUNT() FROM Contact"), "count 4\n");
    EXPECT_EQ(tiny.told(since).find("Late"), std::string::npos);
    tiny.clock.advance_s(600);
    EXPECT_EQ(tiny.told("SELECT COUNT() FROM Contact"), "count 5\n");
    EXPECT_NE(tiny.told(since).find("Late"), std::string::npos);
}

TEST(Soql, archived_tasks_show_in_query_all_only) {
    TinyOrg tiny;
    {
        const auto lock = tiny.org.write_lock();
        const std::int64_t long_ago = day_of(tiny.org.now()).days - 366;
        tiny.make("old", "Task",
                  {{"Subject", std::string("Old")}, {"Status", std::string("Completed")}, {"ActivityDate", long_ago}});
        tiny.make("new", "Task", {{"Subject", std::string("New")}, {"ActivityDate", long_ago}});
    }
    EXPECT_EQ(tiny.told("SELECT Subject FROM Task"), "New\n");
    EXPECT_EQ(tiny.told("SELECT Subject FROM Task", true), "Old\nNew\n");
}

TEST(Soql, a_pinned_result_reads_values_when_a_page_is_written_and_leaves_out_what_was_deleted) {
    TinyOrg tiny;
    auto rows = tiny.ask("SELECT LastName FROM Contact ORDER BY LastName");
    ASSERT_TRUE(rows.ok());
    const int contact = tiny.org.schema().find("Contact");
    const auto lock = tiny.org.write_lock();
    ASSERT_TRUE(
        tiny.org.update(contact, tiny.id["ann"], {{"LastName", std::string("Zoe")}}, tiny.org.integration_user_id())
            .ok());
    ASSERT_TRUE(tiny.org.remove(contact, tiny.id["bob"], tiny.org.integration_user_id()).ok());
    tiny.make("new", "Contact", {{"LastName", std::string("New")}});
    EXPECT_EQ(rows->total_size(), 4);
    std::string out;
    EXPECT_EQ(rows->append_csv_rows(tiny.org, 0, 2, out), 1);
    EXPECT_EQ(rows->append_csv_rows(tiny.org, 2, 2, out), 2);
    EXPECT_EQ(out, "\"Zoe\"\n\"Cid\"\n\"Dot\"\n");
}

TEST(Soql, csv_takes_the_delimiter_and_the_line_end_that_were_asked_for) {
    TinyOrg tiny;
    auto rows = tiny.ask("SELECT id, account.name FROM Contact WHERE Id = '$ann'");
    ASSERT_TRUE(rows.ok());
    const auto lock = tiny.org.read_lock();
    auto out = rows->csv_header({.delimiter = '|', .crlf = true});
    rows->append_csv_rows(tiny.org, 0, 10, out, {.delimiter = '|', .crlf = true});
    EXPECT_EQ(tiny.with_names(out), "\"Id\"|\"Account.Name\"\r\n\"$ann\"|\"Acme\"\r\n");
    EXPECT_EQ(rows->id(tiny.org, 0), tiny.id["ann"]);
    EXPECT_EQ(rows->value(tiny.org, 0, 1), Cell(std::string("Acme")));
}

TEST(Soql, bulk_refuses_what_the_platform_refuses) {
    TinyOrg tiny;
    const auto refusal = [&](const std::string& soql) {
        const auto lock = tiny.org.read_lock();
        const auto query = Query::prepare(soql, tiny.org);
        EXPECT_TRUE(query.ok()) << soql << query.error().what;
        const auto error = query->bulk_refusal();
        return error ? error->what : std::string();
    };
    EXPECT_EQ(refusal("SELECT Id, Account.Name FROM Contact WHERE Email = null ORDER BY Id LIMIT 5"), "");
    EXPECT_EQ(refusal("SELECT MailingAddress FROM Contact"), "Selecting compound data not supported in Bulk Query");
    for (const auto* soql : {"SELECT COUNT() FROM Contact", "SELECT COUNT(Id) FROM Contact",
                             "SELECT AccountId FROM Contact GROUP BY AccountId", "SELECT Id FROM Contact OFFSET 1",
                             "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
                             "SELECT TYPEOF Owner WHEN User THEN Email END FROM Lead"})
        EXPECT_NE(refusal(soql), "") << soql;
}

TEST(Soql, a_query_stops_when_its_time_is_over) {
    ManualClock clock(noon);
    Org org(options(20'000, clock));
    const auto lock = org.read_lock();
    const auto query = Query::prepare("SELECT Id FROM Lead WHERE Company LIKE '%x%'", org);
    ASSERT_TRUE(query.ok());
    int looks = 0;
    const auto rows = run_query(*query, org, [&] { return ++looks == 2; });
    ASSERT_FALSE(rows.ok());
    EXPECT_EQ(rows.error().code, "QUERY_TIMEOUT");
    EXPECT_EQ(looks, 2);
}

TEST(Soql, more_groups_than_a_page_holds_are_refused) {
    ManualClock clock(noon);
    Org org(options(10'000, clock));
    const auto lock = org.read_lock();
    const auto many = Query::prepare("SELECT Email, COUNT(Id) FROM Lead GROUP BY Email", org);
    ASSERT_TRUE(many.ok()) << many.error().what;
    EXPECT_EQ(run_query(*many, org).error().code, "EXCEEDED_ID_LIMIT");
    const auto few = Query::prepare("SELECT Email, COUNT(Id) FROM Lead GROUP BY Email LIMIT 2000", org);
    EXPECT_EQ(run_query(*few, org)->total_size(), 2000);
}

TEST(Soql, explain_tells_the_road_that_is_taken) {
    ManualClock clock(noon);
    Org org(options(2'000, clock));
    const auto lock = org.read_lock();
    const auto road = [&](const std::string& soql) {
        const auto query = Query::prepare(soql, org);
        return query.ok() ? query->explain_json(org) : query.error().what;
    };
    const auto id = org.id_of(org.schema().find("Contact"), 10);
    EXPECT_NE(road("SELECT Id FROM Contact WHERE Id = '" + id + "'").find("\"cardinality\":1,\"fields\":[\"Id\"],"),
              std::string::npos);
    EXPECT_NE(road("SELECT Id FROM Contact WHERE Title = 'x'").find("TableScan"), std::string::npos);
    EXPECT_NE(road("SELECT Id FROM Contact WHERE SystemModstamp > " + to_string(noon)).find("\"cardinality\":0,"),
              std::string::npos);
    EXPECT_NE(road("SELECT Id FROM Contact WHERE Id > '" + id + "'").find("Index"), std::string::npos);
}

TEST(Soql, column_metadata_tells_types_and_what_is_joined) {
    TinyOrg tiny;
    const auto lock = tiny.org.read_lock();
    const auto metadata = [&](const std::string& soql) {
        const auto query = Query::prepare(soql, tiny.org);
        return query.ok() ? query->column_metadata_json(tiny.org) : query.error().what;
    };
    EXPECT_EQ(
        metadata("SELECT id, Account.Name FROM Contact"),
        R"({"columnMetadata":[{"aggregate":false,"apexType":"Id","booleanType":false,"columnName":"Id","custom":false,)"
        R"("displayName":"Id","foreignKeyName":null,"insertable":false,"joinColumns":[],"numberType":false,)"
        R"("textType":true,"updatable":false},{"aggregate":false,"apexType":"String","booleanType":false,)"
        R"("columnName":"Account","custom":false,"displayName":"Account","foreignKeyName":null,"insertable":false,)"
        R"("joinColumns":[{"aggregate":false,"apexType":"String","booleanType":false,"columnName":"Name",)"
        R"("custom":false,"displayName":"Name","foreignKeyName":null,"insertable":true,"joinColumns":[],)"
        R"("numberType":false,"textType":true,"updatable":true}],"numberType":false,"textType":false,)"
        R"("updatable":false}],"entityName":"Contact","groupBy":false,"idSelected":true,"keyPrefix":"003"})");
    const auto groups = metadata("SELECT AccountId, COUNT(Id), MAX(CreatedDate) last FROM Contact GROUP BY AccountId");
    EXPECT_NE(groups.find(R"("aggregate":true,"apexType":"Integer","booleanType":false,"columnName":"expr0")"),
              std::string::npos)
        << groups;
    EXPECT_NE(groups.find(R"("groupBy":true,"idSelected":false)"), std::string::npos);
    EXPECT_NE(metadata("SELECT (SELECT Id FROM Contacts) FROM Account").find(R"("aggregate":true)"), std::string::npos);
}

TEST(Soql, a_prepared_query_tells_its_object_columns_and_text) {
    TinyOrg tiny;
    const auto lock = tiny.org.read_lock();
    const auto query = Query::prepare("select name, account.owner.name from contact c where c.email=null", tiny.org);
    ASSERT_TRUE(query.ok()) << query.error().what;
    EXPECT_EQ(tiny.org.schema().at(query->object()).name, "Contact");
    ASSERT_EQ(query->columns().size(), 2U);
    EXPECT_EQ(query->columns()[1].name, "Account.Owner.Name");
    EXPECT_EQ(query->columns()[1].steps, (std::vector<std::string>{"Account", "Owner", "Name"}));
    EXPECT_EQ(query->text(), "SELECT name, account.owner.name FROM contact c WHERE c.email = NULL");
    EXPECT_EQ(ResultSet().total_size(), 0);
}

// ---- the planner against an evaluator that knows no indexes ----

/// Evaluates a statement's condition on one row by reading the grammar's tree, the slow and plain way.
class Naive {
public:
    Naive(const Org& org, int object) : org_(org), object_(object) {}

    bool holds(const soql::Condition& c, std::int64_t row) const {
        switch (c.kind) {
            case soql::Condition::Kind::And:
                return std::all_of(c.parts.begin(), c.parts.end(), [&](const auto& part) { return holds(part, row); });
            case soql::Condition::Kind::Or:
                return std::any_of(c.parts.begin(), c.parts.end(), [&](const auto& part) { return holds(part, row); });
            case soql::Condition::Kind::Not:
                return !holds(c.parts.front(), row);
            case soql::Condition::Kind::Compare:
                break;
        }
        return compare(c, read(c.left.path.names, object_, row));
    }

    Cell read(std::vector<std::string> names, int object, std::int64_t row) const {
        while (names.size() > 1) {
            const auto& fields = org_.schema().at(object).fields;
            const auto field = std::find_if(fields.begin(), fields.end(),
                                            [&](const Field& f) { return f.relationship == names.front(); });
            const auto id = org_.value(object, row, static_cast<int>(field - fields.begin()));
            if (is_null(id)) return {};
            object = org_.schema().find_by_prefix(std::get<std::string>(id).substr(0, 3));
            row = *org_.row_of(object, std::get<std::string>(id));
            names.erase(names.begin());
        }
        return org_.value(object, row, org_.schema().at(object).find(names.front()));
    }

private:
    /// Text of a value and of a literal in one comparable form; ordered as the values are.
    static std::string form(const Cell& cell) {
        if (const auto* text = std::get_if<std::string>(&cell)) return normalize_id(*text) ? *text : fold(*text);
        if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "TRUE" : "FALSE";
        const auto* whole = std::get_if<std::int64_t>(&cell);
        return whole ? padded(static_cast<double>(*whole)) : padded(std::get<double>(cell));
    }
    static std::string padded(double number) {
        char text[64];
        std::snprintf(text, sizeof text, "%030.6f", number + 1e12);
        return text;
    }
    static std::string form(const soql::Literal& literal) {
        switch (literal.kind) {
            case soql::Literal::Kind::Number:
                return padded(*parse_double(literal.text));
            case soql::Literal::Kind::DateTime:
                return padded(static_cast<double>(parse_timestamp(literal.text)->seconds));
            case soql::Literal::Kind::Date:
                return padded(parse_date(literal.text)->days);
            case soql::Literal::Kind::Boolean:
                return literal.text;
            default: {
                const auto text = soql::unescape(literal.text);
                const auto id = normalize_id(text);
                return id ? *id : fold(text);
            }
        }
    }
    static bool like(std::string_view text, std::string_view pattern) {
        if (pattern.empty()) return text.empty();
        if (pattern[0] == '%') {
            for (std::size_t i = 0; i <= text.size(); ++i) {
                if (like(text.substr(i), pattern.substr(1))) return true;
            }
            return false;
        }
        return !text.empty() && (pattern[0] == '_' || pattern[0] == text[0]) && like(text.substr(1), pattern.substr(1));
    }
    static bool compare(const soql::Condition& c, const Cell& cell) {
        const bool null = is_null(cell);
        const bool any = std::any_of(c.values.begin(), c.values.end(), [&](const soql::Literal& literal) {
            if (literal.kind == soql::Literal::Kind::Null) return null;
            return !null && form(cell) == form(literal);
        });
        switch (c.op) {
            case soql::Op::Equal:
            case soql::Op::In:
                return any;
            case soql::Op::NotEqual:
            case soql::Op::NotIn:
                return !any;
            case soql::Op::Like:
                return !null && like(form(cell), form(c.values.front()));
            case soql::Op::Less:
                return !null && form(cell) < form(c.values.front());
            case soql::Op::LessEqual:
                return !null && form(cell) <= form(c.values.front());
            case soql::Op::Greater:
                return !null && form(cell) > form(c.values.front());
            case soql::Op::GreaterEqual:
                return !null && form(cell) >= form(c.values.front());
            default:
                return false;
        }
    }

    const Org& org_;
    int object_;
};

/// Random conditions on contacts and opportunities whose constants mostly occur in the org.
class ConditionMaker {
public:
    ConditionMaker(const Org& org, const std::string& object, std::uint64_t seed)
        : org_(org), object_(org.schema().find(object)), random_(seeded_random(seed)) {}

    std::string condition(int depth = 0) {
        const auto drawn = below(10);
        if (depth < 3 && drawn < 3) return "(" + condition(depth + 1) + " AND " + condition(depth + 1) + ")";
        if (depth < 3 && drawn < 5) return "(" + condition(depth + 1) + " OR " + condition(depth + 1) + ")";
        if (depth < 3 && drawn == 5) return "(NOT " + condition(depth + 1) + ")";
        if (drawn == 6) return resume();
        return comparison();
    }
    std::string order() {
        static const char* const keys[] = {"Id",
                                           "Id DESC",
                                           "SystemModstamp, Id",
                                           "CreatedDate DESC, Id",
                                           "Name, Id",
                                           "Name DESC",
                                           "Account.Name NULLS LAST, Name",
                                           "LastModifiedDate, Name DESC"};
        return keys[below(std::size(keys))];
    }
    std::uint64_t below(std::uint64_t bound) { return random_->below(bound); }

private:
    struct Choice {
        const char* path;
        const char* ops;  ///< one letter each: = ! < l(ess or equal) > g(reater or equal) L(IKE) i(n) n(ot in)
    };
    std::string resume() {
        const auto at = stamp();
        return "(SystemModstamp > " + at + " OR (SystemModstamp = " + at + " AND Id > " + value_of("Id") + "))";
    }
    std::string stamp() {
        const auto from = Timestamp{org_.start().seconds - static_cast<std::int64_t>(below(40 * 86'400))};
        return below(2) == 0 ? to_string(from) : std::get<1>(row_value("SystemModstamp"));
    }
    std::string comparison() {
        static const Choice choices[] = {{"Id", "=!<l>gin"},
                                         {"AccountId", "=!>in"},
                                         {"OwnerId", "=!in"},
                                         {"Name", "=!<l>gLin"},
                                         {"Account.Name", "=!<gLi"},
                                         {"SystemModstamp", "=<l>gi"},
                                         {"LastModifiedDate", ">g="},
                                         {"CreatedDate", "<l>g"},
                                         {"IsDeleted", "=!"},
                                         {"Account.Owner.Name", "=!L"},
                                         {"Account.NumberOfEmployees", "=<l>gin"},
                                         {"Account.ParentId", "=!"},
                                         {"Owner.IsActive", "=!"}};
        const auto& choice = choices[below(std::size(choices))];
        const std::string ops = choice.ops;
        const std::string path = choice.path;
        switch (ops[below(ops.size())]) {
            case '=':
                return path + " = " + value_of(path);
            case '!':
                return path + " != " + value_of(path);
            case '<':
                return path + " < " + ordered(path);
            case 'l':
                return path + " <= " + ordered(path);
            case '>':
                return path + " > " + ordered(path);
            case 'g':
                return path + " >= " + ordered(path);
            case 'L':
                return path + " LIKE " + pattern(path);
            case 'i':
                return path + " IN (" + value_of(path) + ", " + value_of(path) + ")";
            default:
                return path + " NOT IN (" + value_of(path) + ", " + value_of(path) + ")";
        }
    }
    std::string ordered(const std::string& path) {
        auto value = value_of(path);
        while (value == "NULL") value = value_of(path);
        return value;
    }
    std::string pattern(const std::string& path) {
        const auto value = std::get<1>(row_value(path));
        auto text = value == "NULL" ? std::string("'a'") : value;
        text = text.substr(1, text.size() - 2);
        if (text.find('\\') != std::string::npos) return "'%a_'";
        const auto from = below(text.size());
        const auto part = text.substr(from, 1 + below(5));
        // Bytes of a cut character would not be the text of any query.
        return is_valid_utf8(part) && !part.empty() ? "'%" + part + "%'" : "'_%'";
    }
    std::string value_of(const std::string& path) { return std::get<1>(row_value(path)); }
    /// The path's value on some row, as a literal.
    std::pair<Cell, std::string> row_value(const std::string& path) {
        const auto row = static_cast<std::int64_t>(below(static_cast<std::uint64_t>(org_.rows(object_))));
        const auto cell = Naive(org_, object_).read(split(path, '.'), object_, row);
        return {cell, literal(path, cell)};
    }
    static std::string literal(const std::string& path, const Cell& cell) {
        if (is_null(cell)) return "NULL";
        if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "true" : "false";
        if (const auto* whole = std::get_if<std::int64_t>(&cell))
            return path.ends_with("Date") || path.ends_with("stamp") ? to_string(Timestamp{*whole})
                                                                     : std::to_string(*whole);
        if (const auto* number = std::get_if<double>(&cell)) return to_text(*number);
        std::string text = "'";
        for (const char c : std::get<std::string>(cell)) {
            if (c == '\'' || c == '\\') text += '\\';
            text += c;
        }
        return text + "'";
    }

    const Org& org_;
    int object_;
    std::unique_ptr<Random> random_;
};

/// A generated org in which people have worked for a while.
const Org& lively_org() {
    static ManualClock clock(noon);
    static Org* org = [] {
        auto* made = new Org(options(600, clock));  // lives as long as the program: every property reads it
        const auto lock = made->write_lock();
        const auto random = seeded_random(7);
        for (int i = 0; i < 60; ++i) {
            live(*made, *random, 10);
            clock.advance_s(60);
        }
        return made;
    }();
    return *org;
}

std::vector<std::string> ids_found(const Org& org, const std::string& soql, bool all_rows) {
    const auto query = Query::prepare(soql, org, {.all_rows = all_rows});
    if (!query.ok()) RC_FAIL(soql + "\n" + query.error().what);
    const auto rows = run_query(*query, org);
    if (!rows.ok()) RC_FAIL(soql + "\n" + rows.error().what);
    std::vector<std::string> ids;
    for (std::int64_t at = 0; at < rows->records(); ++at) ids.push_back(rows->id(org, at));
    return ids;
}

RC_GTEST_PROP(SoqlPlan, finds_the_rows_that_a_scan_without_indexes_finds, (std::uint64_t seed)) {
    const auto& org = lively_org();
    const auto lock = org.read_lock();
    const std::string object = seed % 2 == 0 ? "Contact" : "Opportunity";
    const bool all_rows = seed % 3 == 0;
    const int index = org.schema().find(object);
    ConditionMaker maker(org, object, mix64(seed));
    for (int i = 0; i < 10; ++i) {
        const auto soql = "SELECT Id FROM " + object + " WHERE " + maker.condition();
        const auto parsed = soql::parse(soql);
        if (!parsed.ok()) RC_FAIL(soql + parsed.error().what);
        std::vector<std::string> expected;
        for (std::int64_t row = 0; row < org.rows(index); ++row) {
            const auto life = org.life(index, row);
            const bool shows = life == Org::Life::Live || (all_rows && life == Org::Life::InBin);
            if (shows && Naive(org, index).holds(*parsed->where, row)) expected.push_back(org.id_of(index, row));
        }
        const auto found = ids_found(org, soql, all_rows);
        if (found != expected)
            RC_FAIL(soql + " finds " + std::to_string(found.size()) + " rows, a scan " +
                    std::to_string(expected.size()));
    }
}

RC_GTEST_PROP(SoqlPlan, limit_and_offset_cut_the_ordered_rows, (std::uint64_t seed)) {
    const auto& org = lively_org();
    const auto lock = org.read_lock();
    ConditionMaker maker(org, "Contact", mix64(seed));
    const auto soql = "SELECT Id FROM Contact WHERE " + maker.condition() + " ORDER BY " + maker.order();
    const auto whole = ids_found(org, soql, false);
    const auto offset = maker.below(30);
    const auto limit = maker.below(50);
    const auto part =
        ids_found(org, soql + " LIMIT " + std::to_string(limit) + " OFFSET " + std::to_string(offset), false);
    std::vector<std::string> expected;
    for (auto i = offset; i < std::min<std::uint64_t>(whole.size(), offset + limit); ++i) expected.push_back(whole[i]);
    if (part != expected) RC_FAIL(soql);
}

TEST(SoqlPlan, order_by_puts_rows_in_the_order_of_their_keys) {
    const auto& org = lively_org();
    const auto lock = org.read_lock();
    const int object = org.schema().find("Contact");
    const Naive naive(org, object);
    const auto key = [&](const std::string& id, const char* path) {
        return naive.read(split(path, '.'), object, *org.row_of(object, id));
    };
    const auto text = [&](const Cell& cell) {
        return is_null(cell) ? std::string() : fold(std::get<std::string>(cell));
    };
    const auto by_name = ids_found(org, "SELECT Id FROM Contact ORDER BY Account.Name NULLS LAST, Name DESC", false);
    ASSERT_GT(by_name.size(), 200U);
    for (std::size_t i = 1; i < by_name.size(); ++i) {
        const auto a = key(by_name[i - 1], "Account.Name");
        const auto b = key(by_name[i], "Account.Name");
        ASSERT_TRUE(is_null(b) || !is_null(a));
        if (!is_null(a) && !is_null(b)) {
            ASSERT_LE(text(a), text(b));
        }
        if (text(a) == text(b)) {
            ASSERT_GE(text(key(by_name[i - 1], "Name")), text(key(by_name[i], "Name")));
        }
    }
    const auto by_stamp = ids_found(org, "SELECT Id FROM Contact ORDER BY SystemModstamp DESC, Id", false);
    for (std::size_t i = 1; i < by_stamp.size(); ++i) {
        const auto a = std::get<std::int64_t>(key(by_stamp[i - 1], "SystemModstamp"));
        const auto b = std::get<std::int64_t>(key(by_stamp[i], "SystemModstamp"));
        ASSERT_TRUE(a > b || (a == b && by_stamp[i - 1] < by_stamp[i]));
    }
}

TEST(SoqlPlan, pages_of_any_size_make_up_the_whole) {
    ManualClock clock(noon);
    Org org(options(14'000, clock));
    const auto lock = org.read_lock();
    for (const auto* soql : {"SELECT Id, Name FROM Contact", "SELECT Id FROM Contact WHERE Name LIKE '%a%'",
                             "SELECT Id FROM Contact ORDER BY Name", "SELECT Id FROM Contact ORDER BY Id DESC"}) {
        const auto query = Query::prepare(soql, org);
        ASSERT_TRUE(query.ok()) << query.error().what;
        const auto rows = run_query(*query, org);
        ASSERT_TRUE(rows.ok());
        ASSERT_GT(rows->total_size(), 4096);
        std::string whole;
        EXPECT_EQ(rows->append_csv_rows(org, 0, rows->total_size() + 10, whole), rows->total_size());
        std::string pieces;
        const auto random = seeded_random(3);
        for (std::int64_t from = 0; from < rows->total_size();) {
            const auto count = static_cast<std::int64_t>(1 + random->below(999));
            from += rows->append_csv_rows(org, from, count, pieces);
        }
        EXPECT_EQ(pieces, whole) << soql;
    }
}

}  // namespace
}  // namespace lockstep::sandbox

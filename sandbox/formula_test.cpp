#include "sandbox/formula.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/text.h"
#include "sandbox/org_file.h"
#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

const Timestamp noon = *parse_timestamp("2024-03-15T12:00:00Z");

/// An org of the objects, fields and rows that an org file tells.
class Fixture {
public:
    explicit Fixture(const std::string& org_file) {
        OrgOptions options;
        options.people = 0;
        options.start = noon;
        options.clock = &clock;
        org = std::make_unique<Org>(options);
        std::string name = (std::filesystem::temp_directory_path() / "formula_XXXXXX").string();
        const std::filesystem::path folder = mkdtemp(name.data());
        std::ofstream(folder / "org.toml") << org_file;
        const auto read = OrgFile::read(folder / "org.toml");
        std::filesystem::remove_all(folder);
        EXPECT_TRUE(read.ok()) << read.error().what;
        const auto report = read->apply(*org);
        EXPECT_TRUE(report.ok()) << report.error().what;
    }

    int object(const std::string& name) const { return org->schema().find(name); }
    int field(const std::string& object_name, const std::string& name) const {
        return org->schema().at(object(object_name)).find(name);
    }
    std::int64_t row(const std::string& object_name, const std::string& name) const {
        const int at = object(object_name);
        for (std::int64_t row = 0; at >= 0 && row < org->rows(at); ++row) {
            if (org->value(at, row, field(object_name, "Name")) == Cell(name)) return row;
        }
        ADD_FAILURE() << "no " << object_name << " " << name;
        return 0;
    }
    /// What the admin is told who adds the field; "" when it is there.
    std::string add(const std::string& object_name, const Field& wanted) {
        const int at = object(object_name);
        const auto fits = org->check_change([&](Schema& schema) { schema.add_field(at, wanted); });
        if (!fits.ok()) return fits.error().what;
        org->add_field(at, wanted);
        return "";
    }
    std::string add(const std::string& object_name, const std::string& name, Type type, const std::string& text) {
        return add(object_name, formula(name, type, text));
    }
    static Field formula(const std::string& name, Type type, const std::string& text) {
        Field made = new_field(name, type);
        made.formula = text;
        make_formula(made);
        return made;
    }
    std::string told(const std::string& object_name, const std::string& name, const std::string& field_name) const {
        const int at = field(object_name, field_name);
        return plain_text(org->schema().at(object(object_name)).fields[static_cast<std::size_t>(at)].type,
                          org->value(object(object_name), row(object_name, name), at));
    }
    std::string rows(const std::string& soql) const {
        const auto query = Query::prepare(soql, *org);
        if (!query.ok()) return query.error().what;
        std::string out;
        const auto found = run_query(*query, *org);
        found->append_csv_rows(*org, 0, found->records(), out);
        return out;
    }
    void write(const std::string& object_name, const std::string& name, const Values& values) {
        const auto id = org->id_of(object(object_name), row(object_name, name));
        EXPECT_TRUE(org->update(object(object_name), id, values, org->integration_user_id()).ok());
    }

    ManualClock clock{noon};
    std::unique_ptr<Org> org;
};

/// "number scale=2 zero Widget__c full" of testdata/formulas.test.
struct Head {
    Field field;
    std::string object, row;
};

std::optional<Head> read_head(const std::string& line, int number) {
    const std::map<std::string, Type> types = {
        {"text", Type::String},      {"number", Type::Double}, {"currency", Type::Currency}, {"percent", Type::Percent},
        {"checkbox", Type::Boolean}, {"date", Type::Date},     {"datetime", Type::DateTime}, {"time", Type::Time}};
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (types.count(word) == 0) return std::nullopt;
    Head head;
    head.field = new_field("Case" + std::to_string(number) + "__c", types.at(word));
    if (head.field.type == Type::Double) head.field.scale = 6;
    while (words >> word) {
        if (word.starts_with("scale=")) {
            head.field.scale = static_cast<int>(parse_int(word.substr(6)).value_or(0));
        } else if (word == "zero") {
            head.field.blank_as_zero = true;
        } else {
            break;
        }
    }
    head.object = word;
    std::getline(words >> std::ws, head.row);
    return head;
}

TEST(Formula, fields_of_the_table_tell_what_it_says) {
    const std::string path = LOCKSTEP_SOURCE_DIR "/sandbox/testdata/formulas.test";
    std::ifstream file(path);
    ASSERT_TRUE(file) << path;
    std::string actual;
    std::string given;
    std::string line;
    while (std::getline(file, line) && line != "====") {
        actual += line + "\n";
        given += line + "\n";
    }
    actual += "====\n";
    Fixture org(given);
    int cases = 0;
    while (std::getline(file, line)) {
        if (line.empty() || line.front() == '#') {
            actual += line + "\n";
            continue;
        }
        auto head = read_head(line, ++cases);
        ASSERT_TRUE(head) << line;
        actual += line + "\n";
        std::string text;
        while (std::getline(file, line) && line != "----") text += (text.empty() ? "" : "\n") + line;
        std::string expected;
        std::getline(file, expected);
        head->field.formula = text;
        make_formula(head->field);
        const std::string refused = org.add(head->object, head->field);
        std::string told = refused.empty() ? org.told(head->object, head->row, head->field.name) : "! " + refused;
        if (told.empty()) told = "(blank)";
        EXPECT_EQ(told, expected) << text;
        actual.append(text).append("\n----\n").append(told).append("\n");
    }
    EXPECT_GT(cases, 150);
    if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path) << actual;
}

const char* const small = R"toml(
[[objects]]
name = "Box__c"
fields = [
  { name = "Size__c", type = "double", scale = 2 },
  { name = "Text__c", type = "string" },
  { name = "Account__c", type = "reference", to = "Account" },
  { name = "Owned__c", type = "reference", to = "Account", children = "Boxes", cascade = true },
  { name = "Double__c", type = "double", scale = 1, formula = "Size__c * 2" },
  { name = "Firm__c", type = "string", formula = "Account__r.Name & '/' & Owned__r.Name" },
  { name = "Age__c", type = "double", formula = "TODAY() - DATEVALUE(CreatedDate)" },
  { name = "Small__c", type = "boolean", formula = "Size__c < 2" },
]
[[rows.Account]]
_ref = "acme"
Name = "Acme"
[[rows.Account]]
_ref = "bell"
Name = "Bell"
[[rows.Box__c]]
Name = "one"
Size__c = 1.25
Account__c = "@acme"
Owned__c = "@bell"
[[rows.Box__c]]
Name = "two"
Size__c = 2
Owned__c = "@acme"
[[rows.Box__c]]
Name = "three"
Owned__c = "@acme"
)toml";

TEST(Formula, queries_select_filter_and_sort_by_what_is_reckoned) {
    const Fixture org(small);
    EXPECT_EQ(org.rows("SELECT Name, Double__c, Firm__c, Small__c FROM Box__c ORDER BY Double__c DESC NULLS LAST"),
              "\"two\",\"4.0\",\"/Acme\",\"false\"\n\"one\",\"2.5\",\"Acme/Bell\",\"true\"\n"
              "\"three\",\"\",\"/Acme\",\"false\"\n");
    EXPECT_EQ(org.rows("SELECT Name FROM Box__c WHERE Double__c > 2.4 AND Firm__c LIKE '%acme%' AND Small__c = true"),
              "\"one\"\n");
    EXPECT_EQ(org.rows("SELECT Name FROM Box__c WHERE Age__c = 0 AND Double__c = null"), "\"three\"\n");
    EXPECT_EQ(org.rows("SELECT SUM(Double__c) total, COUNT(Firm__c) FROM Box__c"), "\"6.5\",\"3\"\n");
}

TEST(Formula, a_value_follows_what_it_is_reckoned_from_and_moves_no_stamp) {
    Fixture org(small);
    const std::string stamp = org.told("Box__c", "one", "SystemModstamp");
    org.clock.advance_s(2 * 86'400);
    org.write("Account", "Acme", {{"Name", std::string("Acme Inc")}});
    EXPECT_EQ(org.told("Box__c", "one", "Firm__c"), "Acme Inc/Bell");
    EXPECT_EQ(org.told("Box__c", "one", "Age__c"), "2.0");
    EXPECT_EQ(org.told("Box__c", "one", "SystemModstamp"), stamp);
}

TEST(Formula, what_a_deleted_row_held_is_blank) {
    Fixture org(small);
    const int accounts = org.object("Account");
    ASSERT_TRUE(
        org.org->remove(accounts, org.org->id_of(accounts, org.row("Account", "Bell")), org.org->integration_user_id())
            .ok());
    // The box went with it into the bin, and still names it.
    EXPECT_EQ(org.told("Box__c", "one", "Firm__c"), "Acme/");
    ASSERT_TRUE(
        org.org->remove(accounts, org.org->id_of(accounts, org.row("Account", "Acme")), org.org->integration_user_id())
            .ok());
    EXPECT_EQ(org.told("Box__c", "one", "Firm__c"), "/");
}

TEST(Formula, fields_that_are_hidden_from_the_connected_user_are_seen_by_formulas) {
    Fixture org(small);
    org.org->set_visible(org.object("Box__c"), org.field("Box__c", "Size__c"), false);
    org.org->set_visible(org.object("Account"), -1, false);
    EXPECT_EQ(org.rows("SELECT Double__c, Firm__c FROM Box__c WHERE Name = 'one'"), "\"2.5\",\"Acme/Bell\"\n");
    org.org->set_visible(org.object("Box__c"), org.field("Box__c", "Double__c"), false);
    EXPECT_NE(org.rows("SELECT Double__c FROM Box__c").find("No such column"), std::string::npos);
}

TEST(Formula, nobody_writes_a_formula_field) {
    Fixture org(small);
    const int boxes = org.object("Box__c");
    const auto result =
        org.org->update(boxes, org.org->id_of(boxes, 0), {{"Double__c", Cell{1.0}}}, org.org->integration_user_id());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.errors.front().code, "INVALID_FIELD_FOR_INSERT_UPDATE");
}

TEST(Formula, describe_tells_a_formula_field_as_salesforce_does) {
    Fixture org(small);
    Field zero = Fixture::formula("Zero__c", Type::Currency, "Size__c + 1");
    zero.blank_as_zero = true;
    ASSERT_EQ(org.add("Box__c", zero), "");
    ASSERT_EQ(org.add("Box__c", "Link__c", Type::String, "HYPERLINK('/x', 'x')"), "");
    const auto all = [](int, int) { return true; };
    const std::string json = describe_json(org.org->schema(), org.object("Box__c"), all, "62.0");
    const auto told = [&](const std::string& name, const std::string& member) {
        const std::size_t field = json.find("\"name\":\"" + name + "\"");
        const std::size_t from = json.rfind("{\"aggregatable\"", field);
        const std::size_t to = json.find("\"writeRequiresMasterRead\"", field);
        return json.substr(from, to - from).find(member) != std::string::npos;
    };
    for (const char* member :
         {"\"calculated\":true", "\"createable\":false", "\"updateable\":false", "\"nillable\":true",
          "\"filterable\":true", "\"sortable\":true", "\"permissionable\":true", "\"defaultedOnCreate\":false",
          "\"type\":\"currency\"", "\"calculatedFormula\":\"Size__c + 1\"", "\"formulaTreatNullNumberAsZero\":true"})
        EXPECT_TRUE(told("Zero__c", member)) << member;
    EXPECT_TRUE(told("Double__c", "\"formulaTreatNullNumberAsZero\":false"));
    EXPECT_TRUE(told("Small__c", "\"nillable\":false"));
    EXPECT_TRUE(told("Firm__c", "\"length\":1300"));
    EXPECT_TRUE(told("Firm__c", "\"htmlFormatted\":false"));
    EXPECT_TRUE(told("Link__c", "\"htmlFormatted\":true"));
}

TEST(Formula, a_field_keeps_its_formula_in_the_form_of_the_schema_files) {
    Field field = Fixture::formula("Zero__c", Type::Currency, "Size__c + 1");
    field.blank_as_zero = true;
    const auto read = parse_field(field_json(field));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(field_json(*read), field_json(field));
    EXPECT_TRUE(read->is_formula());
    EXPECT_TRUE(read->blank_as_zero);
    const auto written = parse_field(R"({"n":"X__c","t":"double","f":"cu","formula":"1"})");
    ASSERT_TRUE(written.ok());
    EXPECT_TRUE(written->is_formula());
    EXPECT_FALSE(written->createable || written->updateable);
}

TEST(Formula, fields_of_other_types_can_not_be_formulas) {
    Fixture org(small);
    EXPECT_EQ(org.add("Box__c", "X__c", Type::Picklist, "\"a\""), "A formula field can not be of type picklist.");
}

TEST(Formula, formulas_must_not_use_each_other_in_a_circle) {
    Fixture org(small);
    const int boxes = org.object("Box__c");
    ASSERT_EQ(org.add("Box__c", "A__c", Type::Double, "Double__c + 1"), "");
    ASSERT_EQ(org.add("Box__c", "B__c", Type::Double, "A__c + 1"), "");
    const std::string circle =
        "Formula cannot use another formula field that directly or indirectly refers to itself. ";
    EXPECT_EQ(org.add("Box__c", "C__c", Type::Double, "C__c"), circle + "C__c");
    const Field changed = Fixture::formula("A__c", Type::Double, "B__c");
    const int at = org.field("Box__c", "A__c");
    const auto fits = org.org->check_change([&](Schema& schema) { schema.change_field(boxes, at, changed); });
    ASSERT_FALSE(fits.ok());
    EXPECT_TRUE(fits.error().what.starts_with(circle)) << fits.error().what;
    // Whoever forces it gets blanks.
    org.org->change_field(boxes, at, changed);
    EXPECT_EQ(org.told("Box__c", "one", "A__c"), "");
    EXPECT_EQ(org.told("Box__c", "one", "B__c"), "");
    EXPECT_TRUE(org.org->formula_error(boxes, at)->what.starts_with(circle));
}

TEST(Formula, what_a_formula_uses_is_not_taken_from_it) {
    Fixture org(small);
    const int boxes = org.object("Box__c");
    const int size = org.field("Box__c", "Size__c");
    Field gone = org.org->schema().at(boxes).fields[static_cast<std::size_t>(size)];
    gone.removed = true;
    const auto fits = org.org->check_change([&](Schema& schema) { schema.change_field(boxes, size, gone); });
    ASSERT_FALSE(fits.ok());
    EXPECT_EQ(fits.error().what, "Box__c.Double__c: Field Size__c does not exist. Check spelling.");
    ASSERT_EQ(org.add("Box__c", "More__c", Type::Double, "Double__c + 1"), "");
    org.org->change_field(boxes, size, gone);
    EXPECT_EQ(org.told("Box__c", "one", "Double__c"), "");
    EXPECT_EQ(org.org->formula_error(boxes, org.field("Box__c", "More__c"))->what,
              "Error in referenced formula Double__c, Field Size__c does not exist. Check spelling.");
    // A formula that is broken already stands in nobody's way.
    EXPECT_EQ(org.add("Box__c", "Other__c", Type::Double, "1"), "");
    org.org->add_field(boxes, new_field("Size__c", Type::Double));
    EXPECT_FALSE(org.org->formula_error(boxes, org.field("Box__c", "More__c")));
}

TEST(Formula, formulas_survive_a_restart) {
    std::string name = (std::filesystem::temp_directory_path() / "formula_XXXXXX").string();
    const std::filesystem::path folder = mkdtemp(name.data());
    OrgOptions options;
    options.people = 20;
    options.start = noon;
    options.state_file = folder / "state";
    Field field = Fixture::formula("Twice__c", Type::Double, "Account.NumberOfEmployees * 2");
    field.blank_as_zero = true;
    std::string before;
    {
        Org org(options);
        const int contacts = org.schema().find("Contact");
        const int at = org.add_field(contacts, field);
        org.append_csv(contacts, 0, at, before);
    }
    const Org org(options);
    const int contacts = org.schema().find("Contact");
    std::string after;
    org.append_csv(contacts, 0, org.schema().at(contacts).find("Twice__c"), after);
    EXPECT_EQ(after, before);
    EXPECT_NE(after, "\"\"");
    std::filesystem::remove_all(folder);
}

TEST(Formula, the_objects_every_org_has_are_without_a_broken_one) {
    EXPECT_TRUE(formula::Formulas(Schema::standard()).broken().empty());
}

// --- No formula takes the org down ---

TEST(Formula, what_formulas_become_when_written_out_is_bounded) {
    Fixture org(small);
    ASSERT_EQ(org.add("Box__c", "F0__c", Type::Double, "Size__c + Size__c"), "");
    std::string told;
    int i = 1;
    for (; i < 20 && told.empty(); ++i) {
        const std::string other = "F" + std::to_string(i - 1) + "__c";
        told = org.add("Box__c", "F" + std::to_string(i) + "__c", Type::Double, other + "+" + other);
    }
    EXPECT_LT(i, 15);
    EXPECT_TRUE(told.starts_with("Compiled formula is too big to execute (")) << told;
}

TEST(Formula, long_texts_end_a_formula) {
    Fixture org(small);
    std::string text = "\"aa\"";
    for (int i = 0; i < 100; ++i) text = "SUBSTITUTE(" + text + ",\"a\",\"aa\")";
    ASSERT_EQ(org.add("Box__c", "Long__c", Type::Double, "LEN(" + text + ")"), "");
    EXPECT_EQ(org.told("Box__c", "one", "Long__c"), "");
    ASSERT_EQ(org.add("Box__c", "Pad__c", Type::Double, "LEN(LPAD(\"a\", 1000000000))"), "");
    EXPECT_EQ(org.told("Box__c", "one", "Pad__c"), "");
    ASSERT_EQ(org.add("Box__c", "Fits__c", Type::Double, "LEN(LPAD(\"a\", 32000))"), "");
    EXPECT_EQ(org.told("Box__c", "one", "Fits__c"), "32000.0");
}

TEST(Formula, a_regular_expression_that_never_ends_is_given_up) {
    Fixture org(small);
    ASSERT_EQ(org.add("Box__c", "Slow__c", Type::String,
                      "IF(REGEX(LPAD(\"b\", 3000, \"a\"), \"(a+)+(a+)+(a+)+c\"), \"yes\", \"no\")"),
              "");
    EXPECT_EQ(org.told("Box__c", "one", "Slow__c"), "");
}

TEST(Formula, what_one_value_costs_is_bounded) {
    Fixture org(small);
    const auto many = [](const std::string& part, int times) {
        std::string text = part;
        for (int i = 1; i < times; ++i) text += " && " + part;
        return text;
    };
    ASSERT_EQ(org.add("Box__c", "Some__c", Type::Boolean, many("REGEX(Name, \"[a-z]+\")", 90)), "");
    EXPECT_EQ(org.told("Box__c", "one", "Some__c"), "true");
    ASSERT_EQ(org.add("Box__c", "Many__c", Type::Boolean, many("REGEX(Name, \"[a-z]+\")", 110)), "");
    EXPECT_EQ(org.told("Box__c", "one", "Many__c"), "false");
    ASSERT_EQ(org.add("Box__c", "Texts__c", Type::Boolean, many("LEN(LPAD(Name, 32000)) > 1", 160)), "");
    ASSERT_EQ(org.add("Box__c", "More__c", Type::Boolean, "Texts__c && Texts__c"), "");
    EXPECT_EQ(org.told("Box__c", "one", "Texts__c"), "true");
    EXPECT_EQ(org.told("Box__c", "one", "More__c"), "false");
}

TEST(Formula, depth_is_bounded) {
    Fixture org(small);
    const auto repeated = [](const std::string& text, int times) {
        std::string out;
        for (int i = 0; i < times; ++i) out += text;
        return out;
    };
    const std::string refused = "The formula is nested too deeply.";
    EXPECT_EQ(org.add("Box__c", "A__c", Type::Double, repeated("(", 2000) + "1" + repeated(")", 2000)), refused);
    EXPECT_EQ(org.add("Box__c", "A__c", Type::Double, repeated("-", 3000) + "1"), refused);
    EXPECT_EQ(org.add("Box__c", "A__c", Type::Boolean, repeated("!", 3000) + "TRUE"), refused);
    EXPECT_EQ(org.add("Box__c", "A__c", Type::Double, "1" + repeated("+1", 2000)), refused);
    EXPECT_EQ(org.add("Box__c", "A__c", Type::Double, "1" + repeated("+1", 450)), "");
    EXPECT_EQ(org.told("Box__c", "one", "A__c"), "451.0");
    EXPECT_EQ(org.add("Box__c", "B__c", Type::Double, repeated("ABS(", 300) + "A__c" + repeated(")", 300)), "");
    EXPECT_EQ(org.told("Box__c", "one", "B__c"), "451.0");
    EXPECT_EQ(org.add("Box__c", "C__c", Type::Double, repeated("ABS(", 300) + "B__c" + repeated(")", 300)), refused);
}

TEST(Formula, chains_of_formulas_are_bounded) {
    Fixture org(small);
    std::string told;
    const int boxes = org.object("Box__c");
    for (int i = 0; i < 1100; ++i)
        org.org->add_field(boxes, Fixture::formula("F" + std::to_string(i) + "__c", Type::Double,
                                                   i == 0 ? "1" : "F" + std::to_string(i - 1) + "__c"));
    EXPECT_EQ(org.told("Box__c", "one", "F900__c"), "1.0");
    EXPECT_EQ(org.told("Box__c", "one", "F1099__c"), "");
}

}  // namespace
}  // namespace lockstep::sandbox

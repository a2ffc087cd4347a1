#include "sandbox/org_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

struct File {
    std::filesystem::path path;
    File(const std::string& ending, const std::string& text) {
        std::string name = (std::filesystem::temp_directory_path() / "org_XXXXXX").string();
        path = std::filesystem::path(mkdtemp(name.data())) / ("org" + ending);
        std::ofstream(path) << text;
    }
    ~File() { std::filesystem::remove_all(path.parent_path()); }
    File(const File&) = delete;
};

OrgOptions nobody() {
    OrgOptions options;
    options.people = 0;
    options.start = parse_timestamp("2024-03-15T12:00:00Z");
    return options;
}

std::string rows(const Org& org, const std::string& soql) {
    const auto lock = org.read_lock();
    const auto query = Query::prepare(soql, org);
    if (!query.ok()) return query.error().what;
    std::string out;
    const auto found = run_query(*query, org);
    found->append_csv_rows(org, 0, found->records(), out);
    return out;
}

const char* const whole = R"(
[org]
name = "Acme Europe"
currency = "EUR"
people = 40
seed = 5
hidden = ["Lead.Fax", "Task"]
[counts]
Opportunity = 7
[settings]
quota = 15000
bulk_order = "shuffled"

[[objects]]
name = "Project__c"
label = "Project"
plural = "Projects"
name_format = "P-{0000}"
fields = [
  { name = "Code__c", type = "string", length = 20, external_id = true, unique = true, required = true },
  { name = "Account__c", type = "reference", to = "Account", children = "Projects" },
  { name = "Task__c", type = "reference", to = "Step__c" },
  { name = "Budget__c", type = "currency", precision = 10, scale = 2 },
  { name = "Due__c", type = "date" },
  { name = "At__c", type = "datetime" },
  { name = "Share__c", type = "percent" },
  { name = "Count__c", type = "int" },
  { name = "Mail__c", type = "email" },
  { name = "Call__c", type = "phone" },
  { name = "Page__c", type = "url" },
  { name = "Clock__c", type = "time" },
  { name = "Notes__c", type = "textarea", length = 32000 },
  { name = "Open__c", type = "boolean", default = true },
  { name = "Size__c", type = "picklist", values = ["S", "M", "L"], default = "M", restricted = true },
  { name = "Tags__c", type = "multipicklist", values = ["x", "y"] },
  { name = "Industry__c", type = "string", formula = "TEXT(Account__r.Industry) & Later__c" },
  { name = "Later__c", type = "string", formula = "''" },
  { name = "Secret__c", type = "string", hidden = true },
]
[[objects]]
name = "Step__c"
fields = [{ name = "Project__c", type = "reference", to = "Project__c", children = "Steps", cascade = true }]

[[fields]]
object = "Lead"
name = "Tier__c"
type = "picklist"
values = ["Gold", "Silver"]

[[rows.Contact]]
LastName = "Bell"
AccountId = "@acme"
[[rows.Account]]
_ref = "acme"
Name = "Acme"
Industry = "Banking"
NumberOfEmployees = 12
[[rows.Project__c]]
_ref = "one"
Code__c = "A1"
Account__c = "@acme"
Budget__c = 12.5
Due__c = 2024-05-01
At__c = 2024-05-01T10:00:00Z
Tags__c = "y;x"
[[rows.Step__c]]
Name = "first"
Project__c = "@one"
)";

TEST(OrgFile, declares_objects_fields_rows_and_settings) {
    const File file(".toml", whole);
    const auto read = OrgFile::read(file.path);
    ASSERT_TRUE(read.ok()) << read.error().what;
    auto options = nobody();
    read->adjust(options);
    EXPECT_EQ(options.people, 40);
    EXPECT_EQ(options.seed, 5U);
    EXPECT_EQ(options.counts.at("Opportunity"), 7);
    EXPECT_NE(read->settings_json().find("\"currency\":\"EUR\""), std::string::npos);
    EXPECT_NE(read->settings_json().find("\"quota\":15000"), std::string::npos);
    Org org(options);
    const auto report = read->apply(org);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_EQ(report->inserted_rows(), 4);
    EXPECT_EQ(rows(org, "SELECT Name FROM Organization"), "\"Acme Europe\"\n");
    EXPECT_EQ(rows(org,
                   "SELECT LastName, Account.NumberOfEmployees FROM Contact WHERE LastName = 'Bell' AND "
                   "Account.Name = 'Acme' AND CreatedDate >= 2024-03-15T12:00:00Z"),
              "\"Bell\",\"12\"\n");
    EXPECT_EQ(rows(org,
                   "SELECT Code__c, Account__r.Name, Budget__c, Due__c, At__c, Open__c, Size__c, Industry__c, "
                   "(SELECT Name FROM Steps__r) FROM Project__c"),
              "\"A1\",\"Acme\",\"12.5\",\"2024-05-01\",\"2024-05-01T10:00:00.000Z\",\"true\",\"M\",\"Banking\",\"\"\n");
    EXPECT_EQ(rows(org, "SELECT Name FROM Project__c").substr(0, 4), "\"P-0");
    EXPECT_EQ(rows(org, "SELECT Id FROM Lead WHERE Tier__c = 'Gold'"), "");
    for (const auto* hidden : {"SELECT Secret__c FROM Project__c", "SELECT Fax FROM Lead", "SELECT Id FROM Task"})
        EXPECT_NE(rows(org, hidden).find("ERROR at Row"), std::string::npos) << hidden;
    const auto lock = org.write_lock();
    const auto unfit =
        org.insert(org.schema().find("Project__c"), {{"Code__c", std::string("A2")}, {"Size__c", std::string("XXL")}},
                   org.integration_user_id());
    EXPECT_FALSE(unfit.ok());
}

TEST(OrgFile, tracks_fields_and_gives_the_org_several_currencies) {
    const File file(".toml", R"(
[org]
tracked = ["Lead.Status"]
currencies = ["EUR", "USD 1.25"]
[[fields]]
object = "Lead"
name = "Tier__c"
type = "string"
tracked = true
[[rows.Lead]]
LastName = "Ann"
Company = "Acme"
)");
    const auto read = OrgFile::read(file.path);
    ASSERT_TRUE(read.ok()) << read.error().what;
    Org org(nobody());
    const auto report = read->apply(org);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_EQ(rows(org, "SELECT Field FROM LeadHistory"), "\"created\"\n");
    EXPECT_EQ(rows(org, "SELECT CurrencyIsoCode FROM Lead"), "\"EUR\"\n");
    EXPECT_EQ(rows(org, "SELECT ConversionRate FROM CurrencyType WHERE IsCorporate = false"), "\"1.25\"\n");
    const auto lock = org.write_lock();
    const int lead = org.schema().find("Lead");
    EXPECT_TRUE(org.schema().at(lead).fields[org.schema().at(lead).find("Tier__c")].history_tracked);
}

TEST(OrgFile, may_be_written_in_json) {
    const File file(".json", R"({
  "org": {"name": "J", "hidden": []},
  "fields": [{"object": "Lead", "name": "Score__c", "type": "double", "scale": 1}],
  "rows": {"Lead": [{"LastName": "Ann", "Company": "Acme", "Score__c": 2.5, "Phone": null}]}
})");
    const auto read = OrgFile::read(file.path);
    ASSERT_TRUE(read.ok()) << read.error().what;
    Org org(nobody());
    const auto report = read->apply(org);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_EQ(rows(org, "SELECT LastName, Score__c FROM Lead"), "\"Ann\",\"2.5\"\n");
}

TEST(OrgFile, errors_name_the_line_and_what_to_do) {
    struct Case {
        const char* ending;
        const char* text;
        const char* what;  ///< after the path
    };
    const Case cases[] = {
        {".toml", "[org]\nnam = \"x\"\n", ":2: [org] has no key 'nam'"},
        {".toml", "[org]\ncurrencies = [\"EUR\", \"eur 2\"]\n", ":2: \"eur 2\" is no currency"},
        {".toml", "[org]\npeople = \"many\"\n", ":2: [org]: 'people' must be a whole number"},
        {".toml", "[org]\ncurrency = \"eur\"\n", ":1: [org]: 'eur' is no currency"},
        {".toml", "[orgs]\n", ":1: the file has no key 'orgs'"},
        {".toml", "a = [\n", ":"},
        {".toml", "\n[settings]\nquoat = 5\n", ":2: [settings]: The setting \"quoat\" does not exist"},
        {".toml", "[[objects]]\nname = \"Thing\"\n", ":1: 'Thing' is no name for a custom object"},
        {".toml", "[[fields]]\nobject = \"Lead\"\nname = \"X__c\"\ntype = \"strin\"\n",
         ":1: 'strin' is no type of a field"},
        {".toml", "[[fields]]\nobject = \"Lead\"\nname = \"X__c\"\n", ":1: a field lacks 'type'"},
        {".toml", "[[fields]]\nobject = \"Leed\"\nname = \"X__c\"\ntype = \"int\"\n",
         ":1: 'Leed' is no object of this org"},
        {".toml", "[[fields]]\nobject = \"Lead\"\nname = \"X__c\"\ntype = \"reference\"\nto = \"Nope\"\n",
         ":1: X__c refers to 'Nope', which is no object of this org"},
        {".toml", "[[fields]]\nobject = \"Lead\"\nname = \"X__c\"\ntype = \"string\"\nformula = \"Nam\"\n",
         ":1: X__c: Field Nam does not exist. Check spelling."},
        {".toml", "[[objects]]\nname = \"A__c\"\n[[objects]]\nname = \"A__c\"\n",
         ":3: the org has an object A__c already"},
        {".toml", "[[rows.Lead]]\nLastName = \"x\"\n",
         ":1: REQUIRED_FIELD_MISSING: Required fields are missing: [Company]"},
        {".toml", "[[rows.Lead]]\nLastNam = \"x\"\n", ":1: Lead has no field 'LastNam'"},
        {".toml", "[[rows.Contact]]\nLastName = \"x\"\nAccountId = \"@nobody\"\n",
         ":1: AccountId refers to '@nobody', which names no row; check the spelling"},
        {".toml", "[org]\nhidden = [\"Lead.Nope\"]\n", ":2: 'Lead.Nope' is no object or field of this org"},
        {".toml", "[org]\ntracked = [\"Lead.Nope\"]\n", ":2: 'Lead.Nope' is no object or field of this org"},
        {".toml", "[org]\ntracked = [\"Lead\"]\n", ":2: 'Lead' is no field"},
        {".toml", "[org]\ntracked = [\"Task.Status\"]\n", ":2: The history of Task is not kept."},
        {".toml", "[org]\ncurrencies = [\"EUR 2\"]\n", ":2: The first currency is the corporate one"},
        {".json", "{\"org\":\n {\"name\": \"x\",\n \"x}\": [1, {\"a\": \"b\"}]}}", ":3: [org] has no key 'x}'"},
        {".json", "{\"org\": 1", ":1: no JSON: "},
        {".json", "{\"org\": {\"name\": \"a\", \"name\": \"b\"}}", ":1: a key stands twice in one object"},
    };
    for (const auto& c : cases) {
        const File file(c.ending, c.text);
        auto read = OrgFile::read(file.path);
        Error error;
        if (read.ok()) {
            Org org(nobody());
            const auto report = read->apply(org);
            ASSERT_FALSE(report.ok()) << c.text;
            error = report.error();
        } else {
            error = read.error();
        }
        const auto expected = file.path.string() + c.what;
        EXPECT_EQ(error.what.substr(0, expected.size()), expected) << c.text;
        EXPECT_FALSE(error.hint.empty()) << c.text;
    }
}

TEST(OrgFile, a_file_that_is_not_there_is_an_error) {
    EXPECT_EQ(OrgFile::read("/nonexistent/org.toml").error().kind, Kind::NotFound);
}

}  // namespace
}  // namespace lockstep::sandbox

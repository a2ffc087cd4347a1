#include "sandbox/load_dir.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "load_dir_XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }
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
    EXPECT_TRUE(query.ok()) << query.error().what;
    std::string out;
    const auto found = run_query(*query, org);
    found->append_csv_rows(org, 0, found->records(), out);
    return out;
}

TEST(LoadDir, files_are_inserted_so_that_references_hold_whatever_their_order) {
    const Folder folder;
    folder.write("Contact.csv",
                 "_ref,LastName,Account._ref,ReportsTo._ref\nbob,Bob,acme,ann\nann,\"Ann, \"\"A\"\"\",acme,\n");
    folder.write("Account.csv", "_ref,Name,ParentId._ref\nsub,Sub,acme\nacme,Acme,\n");
    folder.write("OpportunityContactRole.csv",
                 "Opportunity._ref,Contact._ref,Role,IsPrimary\ndeal,bob,Evaluator,true\n");
    folder.write("Opportunity.csv",
                 "_ref,Name,StageName,CloseDate,Amount,Account._ref\ndeal,Deal,Prospecting,2024-05-01,12.5,acme\n");
    Org org(nobody());
    const auto report = load_dir(org, folder.path);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_TRUE(report->refused.empty()) << to_string(*report);
    EXPECT_EQ(report->inserted_rows(), 6);
    EXPECT_EQ(rows(org, "SELECT Name, Parent.Name FROM Account ORDER BY Name"), "\"Acme\",\"\"\n\"Sub\",\"Acme\"\n");
    EXPECT_EQ(rows(org, "SELECT LastName, Account.Name, ReportsTo.LastName FROM Contact ORDER BY LastName"),
              "\"Ann, \"\"A\"\"\",\"Acme\",\"\"\n\"Bob\",\"Acme\",\"Ann, \"\"A\"\"\"\n");
    EXPECT_EQ(rows(org, "SELECT Opportunity.Name, Contact.LastName, Role, IsPrimary FROM OpportunityContactRole"),
              "\"Deal\",\"Bob\",\"Evaluator\",\"true\"\n");
}

TEST(LoadDir, an_export_loads_as_it_is) {
    const Folder folder;
    folder.write("Account.csv",
                 "\xEF\xBB\xBFId,Name,CreatedDate\r\n0015g00000AAAAAAA4,Acme,2020-01-01T00:00:00.000Z\r\n");
    folder.write("Contact.csv", "Id,LastName,AccountId\r\n0035g00000AAAAAAA4,Ann,0015g00000AAAAAAA4\r\n");
    Org org(nobody());
    const auto report = load_dir(org, folder.path);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_TRUE(report->refused.empty()) << to_string(*report);
    EXPECT_EQ(report->notes,
              std::vector<std::string>{"Account.csv: column CreatedDate can not be written and was left out"});
    EXPECT_EQ(rows(org, "SELECT LastName, Account.Name FROM Contact"), "\"Ann\",\"Acme\"\n");
}

TEST(LoadDir, a_circle_of_references_is_closed_by_an_update) {
    const Folder folder;
    folder.write("Account.csv", "_ref,Name,ParentId._ref\na,A,b\nb,B,a\n");
    Org org(nobody());
    const auto report = load_dir(org, folder.path);
    ASSERT_TRUE(report.ok()) << report.error().what;
    // The org may refuse the circle itself; nothing may be lost silently.
    const auto names = rows(org, "SELECT Name FROM Account ORDER BY Name");
    EXPECT_EQ(names, "\"A\"\n\"B\"\n");
    const auto parents = rows(org, "SELECT Name, Parent.Name FROM Account WHERE ParentId != null ORDER BY Name");
    EXPECT_EQ(static_cast<std::size_t>(std::count(parents.begin(), parents.end(), '\n')) + report->refused.size(), 2U)
        << to_string(*report);
}

TEST(LoadDir, a_refused_row_is_told_with_its_place_and_takes_its_dependents_with_it) {
    const Folder folder;
    folder.write("Account.csv", "_ref,Name\nbad,\ngood,Good\n");
    folder.write("Contact.csv", "_ref,LastName,Account._ref\nx,X,bad\ny,Y,good\nz,Z,nowhere\ny,Again,good\nv,,good\n");
    Org org(nobody());
    const auto report = load_dir(org, folder.path);
    ASSERT_TRUE(report.ok()) << report.error().what;
    EXPECT_EQ(report->inserted_rows(), 2);
    std::map<std::string, std::string> reasons;
    for (const auto& refused : report->refused) reasons[refused.place] = refused.reason;
    EXPECT_EQ(reasons["Account.csv:2"], "REQUIRED_FIELD_MISSING: Required fields are missing: [Name]");
    EXPECT_EQ(reasons["Contact.csv:2"], "AccountId refers to 'bad', which was refused");
    EXPECT_EQ(reasons["Contact.csv:4"], "AccountId refers to 'nowhere', which names no row; check the spelling");
    EXPECT_EQ(reasons["Contact.csv:5"], "the name 'y' is taken by Contact.csv:3; choose another");
    EXPECT_EQ(reasons["Contact.csv:6"], "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName]");
    EXPECT_EQ(reasons.size(), 5U);
    EXPECT_NE(to_string(*report, 2).find("5 rows refused:\n"), std::string::npos);
}

TEST(LoadDir, what_can_not_be_understood_inserts_nothing) {
    struct Case {
        const char* file;
        const char* text;
        const char* what;
    };
    const Case cases[] = {
        {"Acount.csv", "Name\nx\n", "Acount.csv: no object 'Acount' in this org"},
        {"Account.csv", "Nam\nx\n", "Account.csv:1: no field 'Nam' on Account"},
        {"Account.csv", "Name,Phone\nx\n", "Account.csv:2: 1 cells where the header has 2"},
        {"Account.csv", "Name._ref\nx\n", "Account.csv:1: Name of Account refers to no other object"},
        {"Account.csv", "Name\n\"x\n", "Account.csv:2: "},
    };
    for (const auto& c : cases) {
        const Folder folder;
        folder.write(c.file, c.text);
        folder.write("Contact.csv", "LastName\nAnn\n");
        Org org(nobody());
        const auto report = load_dir(org, folder.path);
        ASSERT_FALSE(report.ok()) << c.what;
        EXPECT_EQ(report.error().what.substr(0, std::string(c.what).size()), c.what);
        EXPECT_FALSE(report.error().hint.empty());
        EXPECT_EQ(rows(org, "SELECT Id FROM Contact"), "");
    }
}

TEST(LoadDir, a_folder_without_files_is_an_error) {
    const Folder folder;
    Org org(nobody());
    EXPECT_EQ(load_dir(org, folder.path).error().kind, Kind::NotFound);
    EXPECT_EQ(load_dir(org, folder.path / "missing").error().kind, Kind::NotFound);
}

}  // namespace
}  // namespace lockstep::sandbox

#include "sync/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lockstep::sync {
namespace {

using testing::HasSubstr;

class Files : public testing::Test {
protected:
    Files() {
        std::string name = (std::filesystem::temp_directory_path() / "lockstep-rules-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
        dir = name;
        std::filesystem::create_directory(dir / "rules");
    }
    ~Files() override { std::filesystem::remove_all(dir); }
    void write(const std::string& file, const std::string& text) { std::ofstream(dir / file) << text; }
    Error fault() {
        const auto rules = Rules::read(dir.string());
        if (rules.ok()) {
            ADD_FAILURE() << "the files were taken";
            return {};
        }
        return rules.error();
    }
    std::filesystem::path dir;
};

record::Field field(const std::string& name, record::Form form = record::Form::Text, bool custom = false) {
    record::Field made{
        .name = name, .label = name, .type = form == record::Form::Real ? "double" : "string", .form = form};
    made.custom = custom;
    made.updateable = true;
    return made;
}

using RulesFiles = Files;

TEST_F(RulesFiles, the_defaults_come_parents_first) {
    const auto rules = Rules::read(dir.string());
    ASSERT_TRUE(rules.ok()) << to_string(rules.error());
    std::vector<std::string> order;
    for (const ObjectRules& object : rules->objects()) order.push_back(object.salesforce);
    EXPECT_THAT(order, testing::ElementsAre("User", "Group", "RecordType", "LeadStatus", "OpportunityStage", "Account",
                                            "Lead", "Contact", "Opportunity", "OpportunityContactRole"));
    EXPECT_EQ(rules->find("lead")->winner, Winner::Ours);
    EXPECT_EQ(rules->find("Contact")->winner, Winner::Theirs);
    EXPECT_EQ(rules->settings().interval_s, 300);
    EXPECT_EQ(rules->settings().overlap_s, 600);
}

TEST_F(RulesFiles, a_field_s_rule_knows_its_file_and_line) {
    write("rules/lead.toml",
          "[object]\nsalesforce = \"Lead\"\nbecomes = \"person\"\nfields = [\n  [\"Email\", \"<->\", \"email\"],\n]\n");
    const auto rules = Rules::read(dir.string());
    ASSERT_TRUE(rules.ok()) << to_string(rules.error());
    const FieldRule& rule = rules->find("Lead")->fields.at(0);
    EXPECT_EQ(rule.way, Way::Both);
    EXPECT_EQ(rule.blank, Blank::Clear);
    EXPECT_THAT(rule.origin, HasSubstr("rules/lead.toml:5"));
}

TEST_F(RulesFiles, settings_of_the_folder_win) {
    write("lockstep.toml",
          "[sync]\ninterval_s = 5\n[opportunity]\ncurrency = \"relabel\"\nactivity_fields = [\"Fiscal\"]\n");
    const auto rules = Rules::read(dir.string());
    ASSERT_TRUE(rules.ok()) << to_string(rules.error());
    EXPECT_EQ(rules->settings().interval_s, 5);
    EXPECT_EQ(rules->settings().currency, "relabel");
    EXPECT_THAT(rules->settings().activity_fields, testing::ElementsAre("Fiscal"));
    EXPECT_EQ(rules->settings().overlap_s, 600);
}

struct BadFile {
    const char* file;
    const char* text;
    const char* words;
};

TEST_F(RulesFiles, mistakes_are_told_with_file_line_and_what_to_write) {
    const BadFile bad[] = {
        {"rules/lead.toml", "[object\n", "rules/lead.toml:1"},
        {"rules/lead.toml", "# nothing\n", "there is no [object]"},
        {"rules/lead.toml", "[object]\nbecomes = \"person\"\n", "which Salesforce object"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\nbecomes = \"animal\"\n", "animal"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\nwinner = \"me\"\n", "no winner"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\ncolour = \"red\"\n",
         "lead.toml:3: \"colour\" is not a known key"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\nfields = [\n[\"Email\", \"=>\", \"email\"]]\n",
         "lead.toml:4: \"=>\" is not a way"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\nfields = [\n[\"Email\", \"->\", \"email\", \"wipe\"]]\n",
         "wipe"},
        {"rules/lead.toml", "[object]\nsalesforce = \"Lead\"\nfields = [\n[\"Email\"]]\n", "three or four parts"},
        {"rules/lead.toml",
         "[object]\nsalesforce = \"Lead\"\nfields = [\n[\"A\", \"->\", \"a\"],\n[\"a\", \"->\", \"b\"]]\n",
         "lead.toml:5: a has a rule already"},
        {"rules/mine.toml", "[object]\nsalesforce = \"Lead\"\n", "has a rules file already"},
        {"lockstep.toml", "[sync]\ninterval_s = 0\n", "lockstep.toml:2: interval_s"},
        {"lockstep.toml", "[sync]\nintervall_s = 5\n", "intervall_s"},
        {"lockstep.toml", "[opportunity]\ncurrency = \"gold\"\n", "gold"},
    };
    for (const BadFile& file : bad) {
        write(file.file, file.text);
        const Error error = fault();
        EXPECT_EQ(error.kind, Kind::Invalid);
        EXPECT_THAT(error.what, HasSubstr(file.words));
        EXPECT_NE(error.hint, "") << error.what;
        std::filesystem::remove(dir / file.file);
    }
}

TEST(EffectiveRules, custom_fields_come_in_by_their_own_name_and_unseen_ones_rest) {
    ObjectRules rules{.salesforce = "Lead", .role = Role::Person, .winner = Winner::Ours};
    rules.fields.push_back({.salesforce = "Email", .way = Way::Both, .ours = "email", .origin = "rules/lead.toml:5"});
    rules.fields.push_back({.salesforce = "Hidden", .way = Way::Both, .ours = "hidden", .origin = "rules/lead.toml:6"});
    const record::Object lead{.name = "Lead",
                              .fields = {field("Id"), field("Email"), field("Tier__c", record::Form::Text, true),
                                         field("Rank__c", record::Form::Text, true)}};
    const record::Object contact{
        .name = "Contact",
        .fields = {field("Tier__c", record::Form::Text, true), field("Rank__c", record::Form::Real, true)}};
    const auto effective = effective_rules(rules, lead, &contact);
    ASSERT_EQ(effective.size(), 3U);
    EXPECT_EQ(effective[0].ours, "email");
    EXPECT_EQ(effective[1].ours, "tier__c");
    EXPECT_EQ(effective[1].way, Way::In);
    EXPECT_EQ(effective[1].origin, "default");
    EXPECT_EQ(effective[2].ours, "lead_rank__c");
}

TEST(CheckRules, tells_hidden_unwritable_and_clashing_fields) {
    ObjectRules rules{.salesforce = "Lead", .role = Role::Person, .needed = {"Status"}, .origin = "rules/lead.toml"};
    rules.fields.push_back({.salesforce = "Gone", .way = Way::In, .ours = "gone", .origin = "rules/lead.toml:5"});
    rules.fields.push_back({.salesforce = "Fixed", .way = Way::Both, .ours = "fixed", .origin = "rules/lead.toml:6"});
    record::Object lead{.name = "Lead", .fields = {field("Fixed"), field("Rank__c", record::Form::Text, true)}};
    lead.fields[0].updateable = false;
    const record::Object contact{.name = "Contact", .fields = {field("Rank__c", record::Form::Real, true)}};
    const auto findings = check_rules(rules, lead, &contact);
    ASSERT_EQ(findings.size(), 4U);
    EXPECT_TRUE(findings[0].fatal);
    EXPECT_EQ(findings[0].field, "Status");
    EXPECT_EQ(findings[1].field, "Gone");
    EXPECT_EQ(findings[2].field, "Fixed");
    EXPECT_THAT(findings[3].what, HasSubstr("each gets a field of its own"));
    for (const RuleFinding& finding : findings) EXPECT_NE(finding.hint, "");
}

}  // namespace
}  // namespace lockstep::sync

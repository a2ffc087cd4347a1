#include "sandbox/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

bool everything(int, int) {
    return true;
}

std::string read(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

json::object described(const Schema& schema, const char* object, const Visible& visible = everything) {
    return parse_json(describe_json(schema, schema.find(object), visible, "60.0"))->as_object();
}

/// One line of testdata/recorded_flags.txt, as tools/describe_to_objects.py writes it.
std::string flags_line(std::string_view object, const json::object& field) {
    std::vector<std::string> words = {std::string(object) + "." + std::string(field.at("name").as_string()),
                                      std::string(field.at("type").as_string()),
                                      std::string(field.at("soapType").as_string())};
    std::vector<std::string> flags;
    for (const auto& [key, value] : field) {
        if (value.is_bool() && value.as_bool()) flags.emplace_back(key);
    }
    std::sort(flags.begin(), flags.end());
    words.insert(words.end(), flags.begin(), flags.end());
    for (const char* key : {"byteLength", "digits", "length", "precision", "scale"}) {
        const std::int64_t size = field.at(key).to_number<std::int64_t>();
        if (size != 0) words.push_back(std::string(key) + "=" + std::to_string(size));
    }
    for (const char* key : {"compoundFieldName", "defaultValue", "extraTypeInfo", "relationshipName"}) {
        if (field.at(key).is_string()) words.push_back(std::string(key) + "=" + std::string(field.at(key).as_string()));
    }
    words.push_back("targets=" + std::to_string(field.at("referenceTo").as_array().size()));
    words.push_back("values=" + std::to_string(field.at("picklistValues").as_array().size()));
    return join(words, " ");
}

std::vector<std::string> recorded_lines() {
    std::vector<std::string> lines = split(read(LOCKSTEP_SOURCE_DIR "/sandbox/testdata/recorded_flags.txt"), '\n');
    std::erase(lines, "");
    return lines;
}

TEST(Schema, our_describe_has_every_flag_of_the_recorded_ones) {
    const Schema schema = Schema::standard();
    const std::vector<std::string> lines = recorded_lines();
    ASSERT_GT(lines.size(), 270U);
    std::map<std::string, std::string> ours;
    for (const char* object : {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Event"}) {
        const json::object description = described(schema, object);
        for (const json::value& field : description.at("fields").as_array()) {
            const std::string line = flags_line(object, field.as_object());
            ours[line.substr(0, line.find(' '))] = line;
        }
    }
    for (const std::string& line : lines) EXPECT_EQ(ours[line.substr(0, line.find(' '))], line);
}

TEST(Schema, the_checked_in_flags_are_those_of_the_recordings) {
    const std::filesystem::path recordings = LOCKSTEP_SOURCE_DIR "/../shared/fixtures/describe";
    std::vector<std::string> lines = recorded_lines();
    ASSERT_FALSE(lines.empty());
    const Schema schema = Schema::standard();
    for (const char* object : {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Event"}) {
        const std::filesystem::path file = recordings / (std::string(object) + ".describe.json");
        // Without the recordings their checked-in digest stands for them: every field of it must exist.
        const json::object recorded =
            std::filesystem::exists(file) ? parse_json(read(file))->as_object() : described(schema, object);
        for (const json::value& field : recorded.at("fields").as_array()) {
            const std::string name(field.as_object().at("name").as_string());
            if (name.find("__") != std::string::npos) continue;
            const std::string line = flags_line(object, field.as_object());
            const auto found = std::find(lines.begin(), lines.end(), line);
            if (found != lines.end()) lines.erase(found);
        }
    }
    EXPECT_EQ(lines, std::vector<std::string>{});
}

std::vector<std::string> keys(const json::object& object) {
    std::vector<std::string> names;
    for (const auto& [key, value] : object) names.emplace_back(key);
    return names;
}

TEST(Schema, a_full_describe_has_the_keys_of_version_59_in_their_order) {
    const json::object lead = described(Schema::standard(), "Lead");
    const std::string expected =
        "actionOverrides activateable associateEntityType associateParentEntity childRelationships compactLayoutable "
        "createable custom customSetting deepCloneable defaultImplementation deletable deprecatedAndHidden extendedBy "
        "extendsInterfaces feedEnabled fields hasSubtypes implementedBy implementsInterfaces isInterface isSubtype "
        "keyPrefix label labelPlural layoutable listviewable lookupLayoutable mergeable mruEnabled name "
        "namedLayoutInfos "
        "networkScopeFieldName queryable recordTypeInfos replicateable retrieveable searchLayoutable searchable "
        "sobjectDescribeOption supportedScopes triggerable undeletable updateable urls";
    EXPECT_EQ(join(keys(lead), " "), expected);
    const std::vector<std::string> field = keys(lead.at("fields").as_array()[0].as_object());
    EXPECT_EQ(field.size(), 57U);
    EXPECT_TRUE(std::is_sorted(field.begin(), field.end()));
    EXPECT_EQ(join(keys(lead.at("childRelationships").as_array()[0].as_object()), " "),
              "cascadeDelete childSObject deprecatedAndHidden field junctionIdListNames junctionReferenceTo "
              "relationshipName restrictedDelete");
}

TEST(Schema, describe_global_lists_visible_objects_by_name_with_the_keys_of_version_52) {
    const Schema schema = Schema::standard();
    const int hidden = schema.find("Campaign");
    const auto visible = [&](int object, int) { return object != hidden; };
    const json::object global = parse_json(describe_global_json(schema, visible, "60.0"))->as_object();
    EXPECT_EQ(global.at("maxBatchSize").as_int64(), 200);
    std::vector<std::string> names;
    for (const json::value& object : global.at("sobjects").as_array()) {
        names.emplace_back(object.as_object().at("name").as_string());
    }
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end(), IgnoringCase{}));
    EXPECT_EQ(std::count(names.begin(), names.end(), "Campaign"), 0);
    EXPECT_EQ(std::count(names.begin(), names.end(), "CampaignMember"), 1);
    EXPECT_EQ(static_cast<int>(names.size()), schema.size() - 1);
    EXPECT_EQ(join(keys(global.at("sobjects").as_array()[0].as_object()), " "),
              "activateable associateEntityType associateParentEntity createable custom customSetting deepCloneable "
              "deletable deprecatedAndHidden feedEnabled hasSubtypes isInterface isSubtype keyPrefix label labelPlural "
              "layoutable mergeable mruEnabled name queryable replicateable retrieveable searchable triggerable "
              "undeletable updateable urls");
}

TEST(Schema, a_hidden_field_is_missing_from_describe_with_its_child_relationship) {
    const Schema schema = Schema::standard();
    const int contact = schema.find("Contact");
    const int account_id = schema.at(contact).find("AccountId");
    const auto visible = [&](int object, int field) { return object != contact || field != account_id; };
    const json::object description = described(schema, "Contact", visible);
    for (const json::value& field : description.at("fields").as_array()) {
        EXPECT_NE(field.as_object().at("name").as_string(), "AccountId");
    }
    const json::object account = described(schema, "Account", visible);
    for (const json::value& child : account.at("childRelationships").as_array()) {
        EXPECT_NE(child.as_object().at("relationshipName"), json::value("Contacts"));
    }
}

TEST(Schema, parents_know_their_children_and_which_die_with_them) {
    const Schema schema = Schema::standard();
    std::map<std::string, ChildRelationship> children;
    for (const ChildRelationship& child : schema.children_of(schema.find("Account"))) {
        children[child.child_object + "." + child.field] = child;
    }
    EXPECT_EQ(children["Contact.AccountId"].relationship, "Contacts");
    EXPECT_TRUE(children["Contact.AccountId"].cascade_delete);
    EXPECT_TRUE(children["Opportunity.AccountId"].cascade_delete);
    EXPECT_EQ(children["Account.ParentId"].relationship, "ChildAccounts");
    EXPECT_FALSE(children["Account.ParentId"].cascade_delete);
}

TEST(Schema, names_are_found_without_regard_to_case) {
    const Schema schema = Schema::standard();
    EXPECT_EQ(schema.find("opportunitycontactrole"), schema.find("OpportunityContactRole"));
    EXPECT_GE(schema.at(schema.find("LEAD")).find("lastname"), 0);
    EXPECT_EQ(schema.find("Nothing"), -1);
    EXPECT_EQ(schema.find_by_prefix("00Q"), schema.find("Lead"));
}

TEST(Schema, a_custom_object_gets_system_fields_a_name_and_a_prefix_of_its_own) {
    Schema schema = Schema::standard();
    Object object;
    object.name = "Project__c";
    object.label = "Project";
    object.fields.push_back(new_field("Code__c", Type::String, 20));
    const int first = schema.add_object(object);
    object.name = "Task__c";
    const int second = schema.add_object(object);
    for (const char* field : {"Id", "OwnerId", "IsDeleted", "Name", "Code__c", "CreatedDate", "CreatedById",
                              "LastModifiedDate", "LastModifiedById", "SystemModstamp"}) {
        EXPECT_GE(schema.at(first).find(field), 0) << field;
    }
    EXPECT_EQ(schema.at(first).key_prefix, "a00");
    EXPECT_EQ(schema.at(second).key_prefix, "a01");
    EXPECT_TRUE(schema.at(first).custom);
}

TEST(Schema, a_removed_field_is_found_by_nobody_and_its_name_is_free_again) {
    Schema schema = Schema::standard();
    const int lead = schema.find("Lead");
    const int tier = schema.add_field(lead, new_field("Tier__c", Type::String));
    Field gone = schema.at(lead).fields[static_cast<std::size_t>(tier)];
    gone.removed = true;
    schema.change_field(lead, tier, gone);
    EXPECT_EQ(schema.at(lead).find("Tier__c"), -1);
    EXPECT_EQ(schema.add_field(lead, new_field("Tier__c", Type::Double)), tier + 1);
    EXPECT_EQ(described(schema, "Lead").at("fields").as_array().size(), static_cast<std::size_t>(tier) + 1);
}

TEST(Schema, every_object_reads_back_from_what_it_writes) {
    const Schema schema = Schema::standard();
    for (int object = 0; object < schema.size(); ++object) {
        const std::string text = object_json(schema.at(object));
        const Result<Object> again = parse_object(text);
        ASSERT_TRUE(again.ok()) << schema.at(object).name;
        EXPECT_EQ(object_json(*again), text);
    }
}

TEST(Schema, an_object_that_can_not_be_read_says_what_is_wrong) {
    const std::pair<const char*, const char*> cases[] = {
        {"[]", "The text is JSON, but no object."},
        {"{}", "An object has no name."},
        {R"({"name":"X","fields":[{"n":"A","t":"blob"}]})", "The type of A is blob."},
        {R"({"name":"X","fields":[{"t":"string"}]})", "A field has no name."},
        {R"({"name":"X","fields":[7]})", "A field of X is no JSON object."},
        {R"({"name":"X","on":["shiny"]})", "There is no flag \"shiny\"."},
        {R"({"name":"X","fields":[{"n":"A","t":"picklist","pick":[7]}]})", "A picklist value is 7."},
    };
    for (const auto& [text, what] : cases) {
        const Result<Object> object = parse_object(text);
        ASSERT_FALSE(object.ok()) << text;
        EXPECT_EQ(object.error().what, what);
        EXPECT_FALSE(object.error().hint.empty());
    }
}

TEST(Schema, a_new_field_has_the_flags_of_its_type) {
    EXPECT_EQ(new_field("A__c", Type::String).length, 255);
    EXPECT_TRUE(new_field("A__c", Type::String).custom);
    const Field flag = new_field("B__c", Type::Boolean);
    EXPECT_FALSE(flag.nillable);
    EXPECT_TRUE(flag.defaulted_on_create);
    const Field note = new_field("C__c", Type::TextArea, 32000);
    EXPECT_FALSE(note.filterable || note.sortable || note.groupable);
    EXPECT_FALSE(new_field("D__c", Type::DateTime).groupable);
    EXPECT_EQ(new_field("E__c", Type::Currency).scale, 2);
}

}  // namespace
}  // namespace lockstep::sandbox

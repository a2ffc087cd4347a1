#include "sandbox/org.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

using std::int64_t;

const Timestamp kStart = *parse_timestamp("2026-11-24T12:00:00Z");

Cell text(const std::string& value) {
    return value;
}
int64_t day(const char* iso) {
    return parse_date(iso)->days;
}

/// An org with a clock of its own, spoken to by names.
class OrgTest : public testing::Test {
protected:
    OrgTest() : OrgTest(0) {}
    explicit OrgTest(int64_t people) {
        options_.people = people;
        options_.start = kStart;
        options_.clock = &clock_;
        org_ = std::make_unique<Org>(options_);
    }

    int object(const std::string& name) const { return org_->schema().find(name); }
    int field(const std::string& name, const std::string& field_name) const {
        return org_->schema().at(object(name)).find(field_name);
    }
    const std::string& actor() const { return org_->integration_user_id(); }
    int64_t row(const std::string& name, const std::string& id) const { return org_->row_of(object(name), id).value(); }

    std::string insert(const std::string& name, const Values& values) {
        const WriteResult result = org_->insert(object(name), values, actor());
        EXPECT_TRUE(result.ok()) << name << ": " << (result.ok() ? "" : result.errors[0].message);
        EXPECT_TRUE(result.created);
        return result.id;
    }
    void update(const std::string& name, const std::string& id, const Values& values) {
        const WriteResult result = org_->update(object(name), id, values, actor());
        EXPECT_TRUE(result.ok()) << name << ": " << (result.ok() ? "" : result.errors[0].message);
    }
    void remove(const std::string& name, const std::string& id) {
        EXPECT_TRUE(org_->remove(object(name), id, actor()).ok());
    }
    Cell get(const std::string& name, const std::string& id, const std::string& field_name) const {
        return org_->value(object(name), row(name, id), field(name, field_name));
    }
    std::string said(const std::string& name, const std::string& id, const std::string& field_name) const {
        const Field& described =
            org_->schema().at(object(name)).fields[static_cast<std::size_t>(field(name, field_name))];
        return plain_text(described.type, get(name, id, field_name));
    }
    Org::Life life(const std::string& name, const std::string& id) const {
        return org_->life(object(name), row(name, id));
    }
    /// "CODE: message [fields]" of the first error; "ok" without one.
    static std::string told(const WriteResult& result) {
        if (result.ok()) return "ok";
        const WriteError& error = result.errors[0];
        return error.code + ": " + error.message + (error.fields.empty() ? "" : " [" + join(error.fields, ",") + "]");
    }
    std::string refusal(const std::string& name, const Values& values) {
        return told(org_->insert(object(name), values, actor()));
    }
    std::string update_refusal(const std::string& name, const std::string& id, const Values& values) {
        return told(org_->update(object(name), id, values, actor()));
    }
    std::vector<std::string> deleted(const std::string& name, int64_t from = -3600, int64_t to = 3600) {
        std::vector<std::string> ids;
        for (const DeletedRow& entry :
             org_->deleted_between(object(name), org_->now().plus(from), org_->now().plus(to))) {
            ids.push_back(entry.id);
        }
        return ids;
    }

    Values lead(const std::string& name = "Bell") const {
        return {{"LastName", text(name)}, {"Company", text("Acme")}};
    }
    Values deal(const std::string& stage = "Prospecting") const {
        return {{"Name", text("Deal")}, {"StageName", text(stage)}, {"CloseDate", text("2026-12-31")}};
    }

    ManualClock clock_{kStart};
    OrgOptions options_;
    std::unique_ptr<Org> org_;
};

class PopulatedOrgTest : public OrgTest {
protected:
    PopulatedOrgTest() : OrgTest(2000) {}
};

// --- Creating.

TEST_F(OrgTest, a_new_record_has_audit_fields_an_owner_and_defaults) {
    const std::string id =
        insert("Lead", {{"lastname", text("  Bell ")}, {"Company", text("Acme")}, {"Email", text("")}});
    EXPECT_EQ(get("Lead", id, "Id"), text(id));
    EXPECT_EQ(get("Lead", id, "LastName"), text("Bell"));
    EXPECT_EQ(get("Lead", id, "Email"), Cell{});
    EXPECT_EQ(get("Lead", id, "Name"), text("Bell"));
    EXPECT_EQ(get("Lead", id, "OwnerId"), text(actor()));
    EXPECT_EQ(get("Lead", id, "Status"), text("Open - Not Contacted"));
    EXPECT_EQ(get("Lead", id, "IsConverted"), Cell{false});
    EXPECT_EQ(get("Lead", id, "IsDeleted"), Cell{false});
    for (const char* stamp : {"CreatedDate", "LastModifiedDate", "SystemModstamp"}) {
        EXPECT_EQ(get("Lead", id, stamp), Cell{kStart.seconds}) << stamp;
    }
    EXPECT_EQ(get("Lead", id, "CreatedById"), text(actor()));
    EXPECT_EQ(org_->live_rows(object("Lead")), 1);
}

TEST_F(OrgTest, a_name_of_people_and_an_address_are_composed) {
    Values values = lead("Bell");
    values.insert(values.end(), {{"FirstName", text("Ada")}, {"City", text("Köln")}, {"Latitude", text("50.9")}});
    const std::string id = insert("Lead", values);
    EXPECT_EQ(get("Lead", id, "Name"), text("Ada Bell"));
    EXPECT_EQ(get("Lead", id, "Address"),
              text(R"({"city":"Köln","country":null,"geocodeAccuracy":null,"latitude":50.9,"longitude":null,)"
                   R"("postalCode":null,"state":null,"street":null})"));
    EXPECT_EQ(get("Lead", insert("Lead", lead()), "Address"), Cell{});
}

TEST_F(OrgTest, an_update_stamps_even_when_nothing_changes) {
    const std::string id = insert("Lead", lead());
    clock_.advance_s(60);
    const WriteResult result =
        org_->update(object("Lead"), id, {{"Company", text("Acme")}}, org_->id_of(object("User"), 2));
    EXPECT_TRUE(result.ok());
    EXPECT_FALSE(result.created);
    EXPECT_EQ(result.id, id);
    EXPECT_EQ(get("Lead", id, "CreatedDate"), Cell{kStart.seconds});
    EXPECT_EQ(get("Lead", id, "LastModifiedDate"), Cell{kStart.seconds + 60});
    EXPECT_EQ(get("Lead", id, "SystemModstamp"), Cell{kStart.seconds + 60});
    EXPECT_EQ(get("Lead", id, "LastModifiedById"), text(org_->id_of(object("User"), 2)));
}

TEST_F(OrgTest, fifteen_characters_and_lower_case_find_a_record_too) {
    const std::string id = insert("Lead", lead());
    update("Lead", id.substr(0, 15), {{"Title", text("CEO")}});
    update("Lead", to_lower(id), {{"City", text("Bonn")}});
    EXPECT_EQ(get("Lead", id, "Title"), text("CEO"));
    EXPECT_EQ(get("Lead", id, "City"), text("Bonn"));
}

// --- Every error, in the words of salesforce-api 6, 16 and 18.

TEST_F(OrgTest, an_unknown_field_is_no_column) {
    EXPECT_EQ(refusal("Lead", {{"Nope", text("x")}}), "INVALID_FIELD: No such column 'Nope' on sobject of type Lead");
}

TEST_F(OrgTest, a_value_of_another_type_can_not_be_deserialized) {
    EXPECT_EQ(refusal("Opportunity", {{"Amount", text("abc")}}),
              "JSON_PARSER_ERROR: Cannot deserialize instance of double from VALUE_STRING value abc or request may be "
              "missing a required field at [line:1, column:2]");
    EXPECT_EQ(
        refusal("Opportunity", {{"CloseDate", Cell{true}}}),
        "JSON_PARSER_ERROR: Cannot deserialize instance of date from VALUE_TRUE value true or request may be missing "
        "a required field at [line:1, column:2]");
}

TEST_F(OrgTest, fields_that_nobody_writes_are_named_together) {
    EXPECT_EQ(
        refusal("Lead", {{"CreatedDate", text("2020-01-01T00:00:00Z")}, {"Name", text("x")}}),
        "INVALID_FIELD_FOR_INSERT_UPDATE: Unable to create/update fields: Name, CreatedDate. Please check the security "
        "settings of this field and verify that it is read/write for your profile or permission set. "
        "[Name,CreatedDate]");
    EXPECT_EQ(refusal("Lead", {{"Id", text("00Q000000000001AAA")}}),
              "INVALID_FIELD_FOR_INSERT_UPDATE: cannot specify Id in an insert call [Id]");
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}});
    const std::string deal_id = insert("Opportunity", deal());
    EXPECT_NE(
        update_refusal("Opportunity", deal_id, {{"ContactId", text(contact)}}).find("create/update fields: ContactId"),
        std::string::npos);
}

TEST_F(OrgTest, required_fields_are_named_together) {
    EXPECT_EQ(refusal("Lead", {{"FirstName", text("Ada")}}),
              "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName, Company] [LastName,Company]");
    EXPECT_EQ(refusal("Opportunity", {{"Name", text("x")}, {"StageName", text(" ")}}),
              "REQUIRED_FIELD_MISSING: Required fields are missing: [StageName, CloseDate] [StageName,CloseDate]");
    const std::string id = insert("Lead", lead());
    EXPECT_EQ(update_refusal("Lead", id, {{"LastName", Cell{}}}),
              "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName] [LastName]");
    EXPECT_EQ(get("Lead", id, "LastName"), text("Bell"));
}

TEST_F(OrgTest, text_is_measured_in_characters) {
    const std::string fits(120, 'x');
    std::string wide;
    for (int i = 0; i < 40; ++i) wide += "ü";
    Values values = lead();
    values.emplace_back("FirstName", text(wide));
    EXPECT_EQ(refusal("Lead", values), "ok");
    values.back().second = text(wide + "!");
    EXPECT_EQ(refusal("Lead", values),
              "STRING_TOO_LONG: First Name: data value too large: " + wide + "! (max length=40) [FirstName]");
}

TEST_F(OrgTest, only_restricted_picklists_refuse_a_value) {
    Values values = lead();
    values.emplace_back("LeadSource", text("Carrier pigeon"));
    EXPECT_EQ(refusal("Lead", values), "ok");
    values = lead();
    values.emplace_back("CleanStatus", text("Spotless"));
    EXPECT_EQ(
        refusal("Lead", values),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST: Clean Status: bad value for restricted picklist field: Spotless "
        "[CleanStatus]");
}

TEST_F(OrgTest, a_reference_needs_an_id_of_the_right_kind_that_leads_somewhere) {
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}});
    EXPECT_EQ(refusal("Contact", {{"LastName", text("x")}, {"AccountId", text(contact)}}),
              "MALFORMED_ID: Account ID: id value of incorrect type: " + contact + " [AccountId]");
    EXPECT_EQ(refusal("Contact", {{"LastName", text("x")}, {"AccountId", text("acme")}}),
              "MALFORMED_ID: Account ID: id value of incorrect type: acme [AccountId]");
    EXPECT_EQ(refusal("Contact", {{"LastName", text("x")}, {"AccountId", text("001D000000IqhSLIAZ")}}),
              "INVALID_CROSS_REFERENCE_KEY: invalid cross reference id [AccountId]");
    const std::string account = insert("Account", {{"Name", text("Acme")}});
    remove("Account", account);
    EXPECT_EQ(refusal("Contact", {{"LastName", text("x")}, {"AccountId", text(account)}}),
              "ENTITY_IS_DELETED: entity is deleted [AccountId]");
}

TEST_F(OrgTest, an_owner_is_an_active_user_or_a_queue_of_the_object) {
    const std::string retired = org_->id_of(object("User"), org_->rows(object("User")) - 1);
    Values values = lead();
    values.emplace_back("OwnerId", text(retired));
    EXPECT_EQ(refusal("Lead", values), "INACTIVE_OWNER_OR_USER: operation performed with inactive user [" +
                                           retired.substr(0, 15) + "] as owner of lead");
    values.back().second = text(org_->id_of(object("Group"), 0));
    EXPECT_EQ(refusal("Lead", values), "ok");
    EXPECT_EQ(refusal("Contact", {{"LastName", text("x")}, {"OwnerId", values.back().second}}),
              "MALFORMED_ID: Owner ID: id value of incorrect type: " + org_->id_of(object("Group"), 0) + " [OwnerId]");
}

TEST_F(OrgTest, an_email_looks_like_one) {
    for (const char* bad :
         {"bell", "@acme.example", "a b@acme.example", "a@acme", "a@b@acme.example", "a..b@acme.example"}) {
        Values values = lead();
        values.emplace_back("Email", text(bad));
        EXPECT_EQ(refusal("Lead", values),
                  std::string("INVALID_EMAIL_ADDRESS: Email: invalid email address: ") + bad + " [Email]");
    }
    for (const char* good : {"a@acme.example", "o'brien+x@mail.acme.example", "jörg@köln.example"}) {
        Values values = lead();
        values.emplace_back("Email", text(good));
        EXPECT_EQ(refusal("Lead", values), "ok") << good;
    }
}

TEST_F(OrgTest, a_number_keeps_to_the_digits_of_its_field) {
    Values values = deal();
    values.emplace_back("Amount", text("1E16"));
    EXPECT_EQ(refusal("Opportunity", values),
              "NUMBER_OUTSIDE_VALID_RANGE: Amount: value outside of valid range on numeric field: 1.0E16 [Amount]");
    values.back() = {"Probability", text("1000")};
    EXPECT_EQ(refusal("Opportunity", values).substr(0, 26), "NUMBER_OUTSIDE_VALID_RANGE");
    Values many = lead();
    many.emplace_back("NumberOfEmployees", Cell{int64_t{100'000'000}});
    EXPECT_EQ(refusal("Lead", many),
              "NUMBER_OUTSIDE_VALID_RANGE: Employees: value outside of valid range on numeric field: 100000000 "
              "[NumberOfEmployees]");
}

TEST_F(OrgTest, a_unique_key_is_held_once_without_regard_to_case_until_its_holder_is_deleted) {
    Field key = new_field("Key__c", Type::String, 20);
    key.external_id = key.unique = key.id_lookup = true;
    org_->add_field(object("Lead"), key);
    Values values = lead();
    values.emplace_back("Key__c", text("A1"));
    const std::string first = insert("Lead", values);
    values.back().second = text("a1");
    EXPECT_EQ(refusal("Lead", values),
              "DUPLICATE_VALUE: duplicate value found: Key__c duplicates value on record with id: " +
                  first.substr(0, 15) + " [Key__c]");
    EXPECT_EQ(update_refusal("Lead", first, {{"Key__c", text("a1")}}), "ok");
    remove("Lead", first);
    EXPECT_EQ(refusal("Lead", values), "ok");
}

TEST_F(OrgTest, the_first_failing_check_wins) {
    // Unknown column, then type, then writability, then required, length, reference.
    Values values = {{"AccountId", text("x")}, {"FirstName", text(std::string(41, 'x'))}};
    const auto code = [&] { return refusal("Contact", values).substr(0, refusal("Contact", values).find(':')); };
    EXPECT_EQ(code(), "REQUIRED_FIELD_MISSING");
    values.emplace_back("CreatedDate", text("2020-01-01T00:00:00Z"));
    EXPECT_EQ(code(), "INVALID_FIELD_FOR_INSERT_UPDATE");
    values.emplace_back("Birthdate", text("yesterday"));
    EXPECT_EQ(code(), "JSON_PARSER_ERROR");
    values.emplace_back("Nope", text("x"));
    EXPECT_EQ(code(), "INVALID_FIELD");
    values = {{"LastName", text("x")}, {"AccountId", text("x")}, {"FirstName", text(std::string(41, 'x'))}};
    EXPECT_EQ(code(), "STRING_TOO_LONG");
}

TEST_F(OrgTest, what_is_not_there_can_not_be_written) {
    EXPECT_EQ(update_refusal("Lead", "00Q000000000001AAA", {}),
              "INVALID_CROSS_REFERENCE_KEY: invalid cross reference id");
    EXPECT_EQ(update_refusal("Lead", "what", {}), "MALFORMED_ID: malformed id what [Id]");
    const std::string id = insert("Lead", lead());
    remove("Lead", id);
    EXPECT_EQ(update_refusal("Lead", id, {{"City", text("Bonn")}}), "ENTITY_IS_DELETED: entity is deleted");
    EXPECT_EQ(told(org_->remove(object("Lead"), id, actor())), "ENTITY_IS_DELETED: entity is deleted");
}

TEST_F(OrgTest, settings_can_not_be_created_nor_users_deleted) {
    EXPECT_EQ(refusal("LeadStatus", {{"MasterLabel", text("x")}}),
              "INVALID_TYPE_FOR_OPERATION: entity type LeadStatus does not support create");
    EXPECT_EQ(told(org_->remove(object("User"), org_->id_of(object("User"), 5), actor())),
              "INVALID_TYPE_FOR_OPERATION: entity type User does not support delete");
    EXPECT_EQ(told(org_->update(object("OpportunityStage"), org_->id_of(object("OpportunityStage"), 0), {}, actor())),
              "INVALID_TYPE_FOR_OPERATION: entity type OpportunityStage does not support update");
}

// --- Rules of single objects.

TEST_F(OrgTest, a_stage_brings_its_probability_and_forecast) {
    Values values = deal("Proposal/Price Quote");
    values.emplace_back("Amount", text("1000"));
    const std::string id = insert("Opportunity", values);
    EXPECT_EQ(get("Opportunity", id, "Probability"), Cell{75.0});
    EXPECT_EQ(get("Opportunity", id, "ExpectedRevenue"), Cell{750.0});
    EXPECT_EQ(get("Opportunity", id, "IsClosed"), Cell{false});
    EXPECT_EQ(get("Opportunity", id, "ForecastCategoryName"), text("Pipeline"));
    EXPECT_EQ(get("Opportunity", id, "FiscalYear"), Cell{int64_t{2026}});
    EXPECT_EQ(get("Opportunity", id, "FiscalQuarter"), Cell{int64_t{4}});
    EXPECT_EQ(get("Opportunity", id, "Fiscal"), text("2026 4"));
    EXPECT_EQ(get("Opportunity", id, "LastStageChangeDate"), Cell{});
    clock_.advance_s(10);
    update("Opportunity", id, {{"StageName", text("Closed Won")}});
    EXPECT_EQ(get("Opportunity", id, "Probability"), Cell{100.0});
    EXPECT_EQ(get("Opportunity", id, "ExpectedRevenue"), Cell{1000.0});
    EXPECT_EQ(get("Opportunity", id, "IsClosed"), Cell{true});
    EXPECT_EQ(get("Opportunity", id, "IsWon"), Cell{true});
    EXPECT_EQ(get("Opportunity", id, "ForecastCategory"), text("Closed"));
    EXPECT_EQ(get("Opportunity", id, "LastStageChangeDate"), Cell{kStart.seconds + 10});
    update("Opportunity", id, {{"StageName", text("Closed Lost")}, {"Probability", Cell{5.0}}});
    EXPECT_EQ(get("Opportunity", id, "Probability"), Cell{5.0});
    EXPECT_EQ(get("Opportunity", id, "IsWon"), Cell{false});
    EXPECT_EQ(get("Opportunity", id, "ForecastCategoryName"), text("Omitted"));
}

TEST_F(OrgTest, a_deal_is_pushed_when_its_close_moves_to_a_later_month) {
    const std::string id = insert("Opportunity", deal());
    update("Opportunity", id, {{"CloseDate", text("2026-12-30")}});
    EXPECT_EQ(get("Opportunity", id, "PushCount"), Cell{int64_t{0}});
    update("Opportunity", id, {{"CloseDate", text("2027-01-15")}});
    EXPECT_EQ(get("Opportunity", id, "PushCount"), Cell{int64_t{1}});
    EXPECT_EQ(get("Opportunity", id, "CloseDate"), Cell{day("2027-01-15")});
}

TEST_F(OrgTest, a_contact_given_at_creation_becomes_the_primary_role) {
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}});
    Values values = deal();
    values.emplace_back("ContactId", text(contact));
    const std::string id = insert("Opportunity", values);
    const auto roles =
        org_->rows_referring(object("OpportunityContactRole"), field("OpportunityContactRole", "OpportunityId"), id);
    ASSERT_EQ(roles.size(), 1U);
    const std::string role = org_->id_of(object("OpportunityContactRole"), roles[0]);
    EXPECT_EQ(get("OpportunityContactRole", role, "ContactId"), text(contact));
    EXPECT_EQ(get("OpportunityContactRole", role, "IsPrimary"), Cell{true});
    EXPECT_EQ(get("Opportunity", id, "ContactId"), text(contact));
}

TEST_F(OrgTest, one_primary_role_takes_over_from_the_other) {
    const std::string ada = insert("Contact", {{"LastName", text("Bell")}});
    const std::string bob = insert("Contact", {{"LastName", text("Cole")}});
    const std::string id = insert("Opportunity", deal());
    const std::string first = insert(
        "OpportunityContactRole", {{"OpportunityId", text(id)}, {"ContactId", text(ada)}, {"IsPrimary", Cell{true}}});
    clock_.advance_s(5);
    const std::string second = insert(
        "OpportunityContactRole", {{"OpportunityId", text(id)}, {"ContactId", text(bob)}, {"IsPrimary", Cell{true}}});
    EXPECT_EQ(get("OpportunityContactRole", first, "IsPrimary"), Cell{false});
    EXPECT_EQ(get("OpportunityContactRole", first, "SystemModstamp"), Cell{kStart.seconds + 5});
    EXPECT_EQ(get("OpportunityContactRole", second, "IsPrimary"), Cell{true});
    EXPECT_EQ(get("Opportunity", id, "ContactId"), text(bob));
    EXPECT_EQ(get("Opportunity", id, "SystemModstamp"), Cell{kStart.seconds});
    update("OpportunityContactRole", second, {{"IsPrimary", Cell{false}}});
    EXPECT_EQ(get("Opportunity", id, "ContactId"), Cell{});
}

TEST_F(OrgTest, an_opportunity_shows_the_contact_of_its_primary_role_only_while_that_lives) {
    const std::string ada = insert("Contact", {{"LastName", text("Bell")}});
    const std::string bob = insert("Contact", {{"LastName", text("Cole")}});
    const std::string id = insert("Opportunity", deal());
    const auto role_of = [&](const std::string& contact, bool primary) {
        return insert("OpportunityContactRole",
                      {{"OpportunityId", text(id)}, {"ContactId", text(contact)}, {"IsPrimary", Cell{primary}}});
    };
    const int roles = object("OpportunityContactRole"), contacts = object("Contact");
    const std::string first = role_of(ada, true);
    const std::string second = role_of(bob, false);
    EXPECT_TRUE(org_->remove(roles, second, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "ContactId"), text(ada));

    // A contact takes its roles along, into the bin and out of it.
    EXPECT_TRUE(org_->remove(contacts, ada, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "ContactId"), Cell{});
    EXPECT_TRUE(org_->undelete(contacts, ada, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "ContactId"), text(ada));

    // A role that comes back when another has taken its place is not the primary one any more.
    EXPECT_TRUE(org_->remove(contacts, ada, actor()).ok());
    const std::string third = role_of(bob, true);
    EXPECT_TRUE(org_->undelete(contacts, ada, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "ContactId"), text(bob));
    EXPECT_EQ(get("OpportunityContactRole", first, "IsPrimary"), Cell{false});
    EXPECT_EQ(get("OpportunityContactRole", third, "IsPrimary"), Cell{true});

    EXPECT_TRUE(org_->remove(roles, third, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "ContactId"), Cell{});
}

TEST_F(OrgTest, a_new_address_forgets_that_the_old_one_bounced) {
    const std::string id = insert("Contact", {{"LastName", text("Bell")}, {"Email", text("a@acme.example")}});
    update("Contact", id, {{"EmailBouncedReason", text("550 unknown")}, {"EmailBouncedDate", Cell{kStart.seconds}}});
    EXPECT_EQ(get("Contact", id, "IsEmailBounced"), Cell{true});
    update("Contact", id, {{"Email", text("b@acme.example")}});
    EXPECT_EQ(get("Contact", id, "EmailBouncedReason"), Cell{});
    EXPECT_EQ(get("Contact", id, "IsEmailBounced"), Cell{false});
}

TEST_F(OrgTest, a_person_is_in_a_campaign_once_and_its_status_is_one_of_the_campaigns) {
    const std::string campaign = insert("Campaign", {{"Name", text("Fair")}});
    const std::string person = insert("Lead", lead());
    const Values values = {{"CampaignId", text(campaign)}, {"LeadId", text(person)}, {"Status", text("Sent")}};
    const std::string member = insert("CampaignMember", values);
    EXPECT_EQ(get("CampaignMember", member, "HasResponded"), Cell{false});
    EXPECT_EQ(get("CampaignMember", member, "LastName"), text("Bell"));
    EXPECT_EQ(get("CampaignMember", member, "CompanyOrAccount"), text("Acme"));
    EXPECT_EQ(get("CampaignMember", member, "LeadOrContactId"), text(person));
    EXPECT_EQ(refusal("CampaignMember", values), "DUPLICATE_VALUE: Already a campaign member.");
    EXPECT_EQ(refusal("CampaignMember", {{"CampaignId", text(campaign)}}).substr(0, 25), "FIELD_INTEGRITY_EXCEPTION");
    update("CampaignMember", member, {{"Status", text("Responded")}});
    EXPECT_EQ(get("CampaignMember", member, "HasResponded"), Cell{true});
    EXPECT_EQ(get("CampaignMember", member, "FirstRespondedDate"), Cell{int64_t{day_of(kStart).days}});
    update("CampaignMember", member, {{"Status", text("Nonsense")}});
    EXPECT_EQ(get("CampaignMember", member, "Status"), text("Sent"));
    EXPECT_EQ(get("Campaign", campaign, "NumberOfLeads"), Cell{int64_t{1}});
}

TEST_F(OrgTest, a_task_closes_with_its_status_and_a_lead_is_related_to_nothing) {
    const std::string account = insert("Account", {{"Name", text("Acme")}});
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"AccountId", text(account)}});
    const std::string person = insert("Lead", lead());
    const std::string task = insert("Task", {{"Subject", text("Call")}, {"WhoId", text(contact)}});
    EXPECT_EQ(get("Task", task, "Status"), text("Not Started"));
    EXPECT_EQ(get("Task", task, "Priority"), text("Normal"));
    EXPECT_EQ(get("Task", task, "AccountId"), text(account));
    EXPECT_EQ(get("Task", task, "IsClosed"), Cell{false});
    update("Task", task, {{"Status", text("Completed")}, {"Priority", text("High")}});
    EXPECT_EQ(get("Task", task, "IsClosed"), Cell{true});
    EXPECT_EQ(get("Task", task, "IsHighPriority"), Cell{true});
    EXPECT_EQ(get("Task", task, "CompletedDateTime"), Cell{kStart.seconds});
    EXPECT_EQ(refusal("Task", {{"WhoId", text(person)}, {"WhatId", text(account)}}).substr(0, 25),
              "FIELD_INTEGRITY_EXCEPTION");
}

TEST_F(OrgTest, an_event_ends_after_its_minutes) {
    const std::string event = insert("Event", {{"Subject", text("Meeting")},
                                               {"StartDateTime", text("2026-12-01T23:30:00Z")},
                                               {"DurationInMinutes", Cell{int64_t{60}}}});
    EXPECT_EQ(said("Event", event, "EndDateTime"), "2026-12-02T00:30:00.000Z");
    EXPECT_EQ(said("Event", event, "ActivityDateTime"), "2026-12-01T23:30:00.000Z");
    EXPECT_EQ(said("Event", event, "ActivityDate"), "2026-12-01");
    EXPECT_EQ(said("Event", event, "EndDate"), "2026-12-02");
}

TEST_F(OrgTest, a_custom_record_is_named_by_its_id_or_its_number) {
    Object project;
    project.name = "Project__c";
    const int projects = org_->add_object(project);
    const std::string plain = insert("Project__c", {});
    EXPECT_EQ(get("Project__c", plain, "Name"), text(plain.substr(0, 15)));
    EXPECT_EQ(get("Project__c", insert("Project__c", {{"Name", text("Bridge")}}), "Name"), text("Bridge"));
    Object invoice;
    invoice.name = "Invoice__c";
    Field number = new_field("Name", Type::String, 80);
    number.name_field = number.auto_number = true;
    number.createable = number.updateable = false;
    number.auto_number_format = "INV-{0000}";
    invoice.fields.push_back(number);
    org_->add_object(invoice);
    EXPECT_EQ(get("Invoice__c", insert("Invoice__c", {}), "Name"), text("INV-0001"));
    EXPECT_EQ(get("Invoice__c", insert("Invoice__c", {}), "Name"), text("INV-0002"));
    EXPECT_EQ(org_->schema().find_by_prefix("a00"), projects);
}

TEST_F(OrgTest, a_formula_is_reckoned_when_it_is_read) {
    Field formula = new_field("Industry__c", Type::String);
    formula.formula = "TEXT(Account.Industry)";
    make_formula(formula);
    org_->add_field(object("Contact"), formula);
    const std::string account = insert("Account", {{"Name", text("Acme")}, {"Industry", text("Media")}});
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"AccountId", text(account)}});
    EXPECT_EQ(get("Contact", contact, "Industry__c"), text("Media"));
    clock_.advance_s(60);
    update("Account", account, {{"Industry", text("Energy")}});
    EXPECT_EQ(get("Contact", contact, "Industry__c"), text("Energy"));
    EXPECT_EQ(get("Contact", contact, "SystemModstamp"), Cell{kStart.seconds});
    EXPECT_EQ(update_refusal("Contact", contact, {{"Industry__c", text("x")}}).substr(0, 31),
              "INVALID_FIELD_FOR_INSERT_UPDATE");
}

TEST_F(OrgTest, a_record_type_shows_in_the_describe_of_its_object) {
    const auto types = [&] {
        std::string names;
        for (const RecordTypeInfo& info : org_->schema().at(object("Lead")).record_types)
            names += info.developer_name + " ";
        return names;
    };
    EXPECT_EQ(types(), "");
    const std::string id =
        insert("RecordType",
               {{"Name", text("Event lead")}, {"DeveloperName", text("Event_Lead")}, {"SobjectType", text("Lead")}});
    EXPECT_EQ(types(), "Event_Lead ");
    EXPECT_EQ(org_->schema().at(object("Lead")).record_types[0].id, id);
}

// --- Deleting.

TEST_F(OrgTest, a_deleted_account_takes_its_contacts_and_deals_along_and_brings_them_back) {
    const std::string account = insert("Account", {{"Name", text("Acme")}});
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"AccountId", text(account)}});
    const std::string stray = insert("Contact", {{"LastName", text("Gone before")}, {"AccountId", text(account)}});
    Values values = deal();
    values.emplace_back("AccountId", text(account));
    const std::string id = insert("Opportunity", values);
    const std::string role =
        insert("OpportunityContactRole", {{"OpportunityId", text(id)}, {"ContactId", text(contact)}});
    remove("Contact", stray);
    clock_.advance_s(30);
    remove("Account", account);
    EXPECT_EQ(life("Account", account), Org::Life::InBin);
    EXPECT_EQ(life("Contact", contact), Org::Life::InBin);
    EXPECT_EQ(life("Opportunity", id), Org::Life::InBin);
    EXPECT_EQ(life("OpportunityContactRole", role), Org::Life::Gone);
    EXPECT_EQ(get("Contact", contact, "IsDeleted"), Cell{true});
    EXPECT_EQ(get("Contact", contact, "SystemModstamp"), Cell{kStart.seconds + 30});
    EXPECT_EQ(get("Contact", contact, "AccountId"), text(account));
    EXPECT_EQ(deleted("OpportunityContactRole"), std::vector<std::string>{role});
    EXPECT_EQ(deleted("Contact").size(), 2U);
    EXPECT_EQ(org_->live_rows(object("Contact")), 0);

    clock_.advance_s(30);
    EXPECT_TRUE(org_->undelete(object("Account"), account, actor()).ok());
    EXPECT_EQ(life("Contact", contact), Org::Life::Live);
    EXPECT_EQ(life("Opportunity", id), Org::Life::Live);
    EXPECT_EQ(life("OpportunityContactRole", role), Org::Life::Live);
    EXPECT_EQ(life("Contact", stray), Org::Life::InBin);
    EXPECT_EQ(get("Contact", contact, "SystemModstamp"), Cell{kStart.seconds + 60});
    EXPECT_EQ(deleted("Contact"), std::vector<std::string>{stray});
    EXPECT_EQ(deleted("Account"), std::vector<std::string>{});
}

TEST_F(OrgTest, a_lookup_to_a_deleted_record_reads_as_null_until_it_is_back) {
    const std::string campaign = insert("Campaign", {{"Name", text("Fair")}});
    Values values = deal();
    values.emplace_back("CampaignId", text(campaign));
    const std::string id = insert("Opportunity", values);
    const int link = field("Opportunity", "CampaignId");
    EXPECT_EQ(org_->rows_referring(object("Opportunity"), link, campaign).size(), 1U);
    clock_.advance_s(10);
    remove("Campaign", campaign);
    EXPECT_EQ(life("Opportunity", id), Org::Life::Live);
    EXPECT_EQ(get("Opportunity", id, "CampaignId"), Cell{});
    EXPECT_TRUE(org_->rows_referring(object("Opportunity"), link, campaign).empty());
    EXPECT_EQ(get("Opportunity", id, "SystemModstamp"), Cell{kStart.seconds});
    EXPECT_TRUE(org_->undelete(object("Campaign"), campaign, actor()).ok());
    EXPECT_EQ(get("Opportunity", id, "CampaignId"), text(campaign));
}

TEST_F(OrgTest, the_bin_is_emptied_by_hand_or_after_fifteen_days) {
    const std::string first = insert("Lead", lead());
    const std::string second = insert("Lead", lead());
    EXPECT_EQ(told(org_->undelete(object("Lead"), first, actor())),
              "UNDELETE_FAILED: entity is not in the recycle bin");
    EXPECT_EQ(told(org_->purge(object("Lead"), first)), "INVALID_ID_FIELD: entity is not in the recycle bin");
    remove("Lead", first);
    remove("Lead", second);
    EXPECT_TRUE(org_->purge(object("Lead"), first).ok());
    EXPECT_EQ(life("Lead", first), Org::Life::Gone);
    EXPECT_EQ(told(org_->undelete(object("Lead"), first, actor())),
              "UNDELETE_FAILED: entity is not in the recycle bin");
    EXPECT_EQ(deleted("Lead").size(), 2U);
    org_->move_clock(15 * 86400 + 1);
    EXPECT_EQ(life("Lead", second), Org::Life::Gone);
    EXPECT_EQ(deleted("Lead", -16 * 86400).size(), 0U);
}

TEST_F(OrgTest, the_bin_is_emptied_of_all_that_lies_in_it_long_enough) {
    const std::string account = insert("Account", {{"Name", text("Acme")}});
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"AccountId", text(account)}});
    remove("Account", account);
    clock_.advance_s(600);
    const std::string late = insert("Account", {{"Name", text("Bell")}});
    remove("Account", late);
    EXPECT_EQ(org_->purge_bin(object("Account"), org_->now().plus(-300)), 1);
    EXPECT_EQ(life("Account", account), Org::Life::Gone);
    EXPECT_EQ(life("Contact", contact), Org::Life::Gone) << "it went with its account";
    EXPECT_EQ(life("Account", late), Org::Life::InBin);
    EXPECT_EQ(org_->purge_bin(object("Account"), org_->now()), 0) << "the end is exclusive";
    EXPECT_EQ(org_->purge_bin(object("Account"), org_->now().plus(1)), 1);
    EXPECT_EQ(deleted("Account"), (std::vector<std::string>{account, late})) << "the log is another thing";
}

TEST_F(OrgTest, roles_can_not_be_undeleted) {
    EXPECT_EQ(told(org_->undelete(object("OpportunityContactRole"), "00K000000000001AAA", actor())),
              "INVALID_TYPE_FOR_OPERATION: entity type OpportunityContactRole does not support undelete");
}

TEST_F(OrgTest, a_restricted_lookup_keeps_its_target) {
    Field parent = new_field("Lead__c", Type::Reference);
    parent.reference_to = {"Lead"};
    parent.restricted_delete = true;
    org_->add_field(object("Contact"), parent);
    const std::string person = insert("Lead", lead());
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"Lead__c", text(person)}});
    EXPECT_EQ(told(org_->remove(object("Lead"), person, actor())),
              "DELETE_FAILED: Your attempt to delete " + person +
                  " could not be completed because it is associated with the following contacts.: " + contact);
    remove("Contact", contact);
    remove("Lead", person);
}

TEST_F(OrgTest, the_delete_log_forgets_what_is_purged_from_it) {
    const std::string early = insert("Lead", lead());
    remove("Lead", early);
    EXPECT_EQ(org_->earliest_delete_log(), org_->now().plus(-15 * 86400));
    clock_.advance_s(600);
    const std::string late = insert("Lead", lead());
    remove("Lead", late);
    EXPECT_EQ(deleted("Lead"), (std::vector<std::string>{early, late}));
    EXPECT_EQ(deleted("Lead", -3600, 0), std::vector<std::string>{early}) << "the end is exclusive";
    org_->purge_delete_log(org_->now().plus(-300));
    EXPECT_EQ(org_->earliest_delete_log(), org_->now().plus(-300));
    EXPECT_EQ(deleted("Lead"), std::vector<std::string>{late});
}

TEST_F(PopulatedOrgTest, generated_rows_of_the_bin_are_in_the_delete_log_until_they_are_undeleted) {
    const int contacts = object("Contact");
    const auto log = org_->deleted_between(contacts, kStart.plus(-20 * 86400), kStart);
    ASSERT_FALSE(log.empty());
    for (const DeletedRow& entry : log) {
        EXPECT_EQ(life("Contact", entry.id), Org::Life::InBin);
        EXPECT_EQ(get("Contact", entry.id, "SystemModstamp"), Cell{entry.at.seconds});
    }
    const int64_t live = org_->live_rows(contacts);
    EXPECT_EQ(live, org_->rows(contacts) - static_cast<int64_t>(log.size()));
    EXPECT_TRUE(org_->undelete(contacts, log[0].id, actor()).ok());
    EXPECT_EQ(org_->deleted_between(contacts, kStart.plus(-20 * 86400), kStart).size(), log.size() - 1);
    EXPECT_EQ(org_->live_rows(contacts), live + 1);
    EXPECT_GE(org_->purge_bin(contacts, kStart.plus(1)), static_cast<int64_t>(log.size()) - 1);
    EXPECT_EQ(life("Contact", log[1].id), Org::Life::Gone);
    EXPECT_EQ(life("Contact", log[0].id), Org::Life::Live);
}

// --- Merge and conversion.

TEST_F(OrgTest, a_merge_moves_children_to_the_winner_and_names_it_in_the_losers) {
    const std::string winner = insert("Account", {{"Name", text("Acme")}});
    const std::string loser = insert("Account", {{"Name", text("ACME Inc")}});
    const std::string contact = insert("Contact", {{"LastName", text("Bell")}, {"AccountId", text(loser)}});
    clock_.advance_s(10);
    const WriteResult result = org_->merge(object("Account"), winner, {loser}, {{"Phone", text("1")}}, actor());
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result.id, winner);
    EXPECT_EQ(get("Account", winner, "Phone"), text("1"));
    EXPECT_EQ(life("Account", loser), Org::Life::InBin);
    EXPECT_EQ(get("Account", loser, "MasterRecordId"), text(winner));
    EXPECT_EQ(life("Contact", contact), Org::Life::Live);
    EXPECT_EQ(get("Contact", contact, "AccountId"), text(winner));
    EXPECT_EQ(get("Contact", contact, "SystemModstamp"), Cell{kStart.seconds + 10});
    EXPECT_TRUE(org_->undelete(object("Account"), loser, actor()).ok());
    EXPECT_EQ(get("Account", loser, "MasterRecordId"), Cell{});
    EXPECT_EQ(told(org_->merge(object("Account"), winner, {winner}, {}, actor())).substr(0, 16), "INVALID_ARGUMENT");
    EXPECT_EQ(told(org_->merge(object("Account"), winner, {}, {}, actor())).substr(0, 16), "INVALID_ARGUMENT");
    EXPECT_EQ(told(org_->merge(object("Opportunity"), winner, {loser}, {}, actor())),
              "INVALID_TYPE_FOR_OPERATION: entity type Opportunity does not support merge");
}

TEST_F(OrgTest, a_converted_lead_leaves_an_account_a_contact_and_a_deal_and_is_read_only) {
    Values values = lead();
    values.insert(values.end(),
                  {{"FirstName", text("Ada")}, {"Email", text("a@acme.example")}, {"City", text("Bonn")}});
    const std::string id = insert("Lead", values);
    const std::string campaign = insert("Campaign", {{"Name", text("Fair")}});
    const std::string member = insert("CampaignMember", {{"CampaignId", text(campaign)}, {"LeadId", text(id)}});
    const ConvertedLead made = org_->convert_lead(id, {}, actor());
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(get("Account", made.account_id, "Name"), text("Acme"));
    EXPECT_EQ(get("Contact", made.contact_id, "Name"), text("Ada Bell"));
    EXPECT_EQ(get("Contact", made.contact_id, "MailingCity"), text("Bonn"));
    EXPECT_EQ(get("Opportunity", made.opportunity_id, "ContactId"), text(made.contact_id));
    EXPECT_EQ(said("Opportunity", made.opportunity_id, "CloseDate"), "2026-12-31");
    EXPECT_EQ(get("Lead", id, "IsConverted"), Cell{true});
    EXPECT_EQ(get("Lead", id, "Status"), text("Closed - Converted"));
    EXPECT_EQ(get("Lead", id, "ConvertedContactId"), text(made.contact_id));
    EXPECT_EQ(get("CampaignMember", member, "ContactId"), text(made.contact_id));
    EXPECT_EQ(get("CampaignMember", member, "LeadId"), text(id));
    EXPECT_EQ(update_refusal("Lead", id, {{"City", text("x")}}),
              "CANNOT_UPDATE_CONVERTED_LEAD: cannot reference converted lead");
    EXPECT_EQ(org_->convert_lead(id, {}, actor()).errors.at(0).code, "CANNOT_UPDATE_CONVERTED_LEAD");
    Org::Conversion how;
    how.converted_status = "Open - Not Contacted";
    EXPECT_EQ(org_->convert_lead(insert("Lead", lead()), how, actor()).errors.at(0).message,
              "invalid convertedStatus: Open - Not Contacted");
}

TEST_F(OrgTest, a_conversion_that_fails_leaves_nothing_behind) {
    const std::string id = insert("Lead", lead());
    Org::Conversion how;
    how.opportunity_name = std::string(200, 'x');
    EXPECT_EQ(org_->convert_lead(id, how, actor()).errors.at(0).code, "STRING_TOO_LONG");
    EXPECT_EQ(org_->rows(object("Account")), 0);
    EXPECT_EQ(org_->rows(object("Contact")), 0);
    EXPECT_EQ(get("Lead", id, "IsConverted"), Cell{false});
}

// --- Transactions, sight, late commits.

TEST_F(PopulatedOrgTest, a_transaction_that_is_not_committed_never_was) {
    const std::string before = org_->summary_json();
    const int leads = object("Lead");
    const std::string first = org_->id_of(leads, 3);
    const std::string name = said("Lead", first, "LastName");
    {
        const std::unique_lock lock = org_->write_lock();
        Org::Transaction transaction(*org_);
        update("Lead", first, {{"LastName", text("Changed")}});
        insert("Lead", lead());
        remove("Account", org_->id_of(object("Account"), 5));
        EXPECT_EQ(said("Lead", first, "LastName"), "Changed");
    }
    EXPECT_EQ(said("Lead", first, "LastName"), name);
    EXPECT_EQ(org_->live_rows(object("Account")),
              org_->rows(object("Account")) -
                  static_cast<int64_t>(
                      org_->deleted_between(object("Account"), kStart.plus(-20 * 86400), kStart.plus(5)).size()));
    EXPECT_TRUE(org_->rows_modified_since(leads, kStart).empty());
    EXPECT_EQ(parse_json(before)->as_object().at("stored_rows"),
              parse_json(org_->summary_json())->as_object().at("stored_rows"));
    Org::Transaction kept(*org_);
    update("Lead", first, {{"LastName", text("Changed")}});
    kept.commit();
    EXPECT_EQ(said("Lead", first, "LastName"), "Changed");
}

TEST_F(OrgTest, a_hidden_field_does_not_exist_for_the_connected_user) {
    const int leads = object("Lead");
    org_->set_visible(leads, field("Lead", "Phone"), false);
    EXPECT_FALSE(org_->visible(leads, field("Lead", "Phone")));
    EXPECT_TRUE(org_->visible(leads, field("Lead", "Email")));
    Values values = lead();
    values.emplace_back("Phone", text("1"));
    EXPECT_EQ(refusal("Lead", values), "INVALID_FIELD: No such column 'Phone' on sobject of type Lead");
    org_->set_visible(leads, field("Lead", "Phone"), true);
    EXPECT_EQ(refusal("Lead", values), "ok");
    org_->set_visible(leads, -1, false);
    EXPECT_FALSE(org_->visible(leads, -1));
    EXPECT_FALSE(org_->visible(leads, field("Lead", "Email")));
}

TEST_F(OrgTest, a_late_commit_is_stamped_at_once_and_seen_later) {
    const int leads = object("Lead");
    const std::string old = insert("Lead", lead("Old"));
    clock_.advance_s(100);
    org_->delay_visibility(leads, 30);
    update("Lead", old, {{"LastName", text("New")}});
    const std::string fresh = insert("Lead", lead("Fresh"));
    clock_.advance_s(10);
    EXPECT_FALSE(org_->visible_yet(leads, row("Lead", fresh)));
    EXPECT_TRUE(org_->visible_yet(leads, row("Lead", old)));
    EXPECT_EQ(said("Lead", old, "LastName"), "Old");
    EXPECT_EQ(org_->modstamp(leads, row("Lead", old)), kStart);
    EXPECT_EQ(org_->live_rows(leads), 1);
    EXPECT_TRUE(org_->rows_modified_since(leads, kStart.plus(50)).empty());
    EXPECT_EQ(org_->rows_modified_since(leads, kStart), std::vector<int64_t>{row("Lead", old)});
    EXPECT_EQ(org_->rows_equal(leads, field("Lead", "LastName"), "new").size(), 0U);
    clock_.advance_s(20);
    EXPECT_EQ(said("Lead", old, "LastName"), "New");
    EXPECT_EQ(org_->modstamp(leads, row("Lead", old)), kStart.plus(100));
    EXPECT_TRUE(org_->visible_yet(leads, row("Lead", fresh)));
    EXPECT_EQ(org_->live_rows(leads), 2);
    EXPECT_EQ(org_->rows_modified_since(leads, kStart.plus(50)).size(), 2U);
    remove("Lead", old);
    EXPECT_EQ(life("Lead", old), Org::Life::Live);
    EXPECT_TRUE(deleted("Lead").empty());
    clock_.advance_s(30);
    EXPECT_EQ(life("Lead", old), Org::Life::InBin);
    EXPECT_EQ(deleted("Lead"), std::vector<std::string>{old});
    org_->delay_visibility(leads, 0);
    EXPECT_TRUE(org_->visible_yet(leads, row("Lead", insert("Lead", lead()))));
}

TEST_F(PopulatedOrgTest, a_late_commit_of_a_generated_row_shows_the_generated_one_meanwhile) {
    const int leads = object("Lead");
    const std::string id = org_->id_of(leads, 7);
    const std::string name = said("Lead", id, "LastName");
    const Timestamp stamp = org_->modstamp(leads, 7);
    org_->delay_visibility(leads, 30);
    update("Lead", id, {{"LastName", text("Late")}});
    update("Lead", id, {{"City", text("Later")}});
    EXPECT_EQ(said("Lead", id, "LastName"), name);
    EXPECT_EQ(org_->modstamp(leads, 7), stamp);
    clock_.advance_s(30);
    EXPECT_EQ(said("Lead", id, "LastName"), "Late");
    EXPECT_EQ(said("Lead", id, "City"), "Later");
}

// --- Fields and objects that come while the org runs.

TEST_F(PopulatedOrgTest, a_new_field_is_null_in_rows_that_exist_and_touches_no_stamp) {
    const int leads = object("Lead");
    const std::string id = org_->id_of(leads, 1);
    const Timestamp stamp = org_->modstamp(leads, 1);
    Field tier = new_field("Tier__c", Type::Picklist);
    tier.default_value = "Gold";
    org_->add_field(leads, tier);
    org_->add_field(leads, new_field("Vip__c", Type::Boolean));
    EXPECT_EQ(get("Lead", id, "Tier__c"), Cell{});
    EXPECT_EQ(get("Lead", id, "Vip__c"), Cell{false});
    EXPECT_EQ(org_->modstamp(leads, 1), stamp);
    EXPECT_TRUE(org_->rows_modified_since(leads, kStart).empty());
    EXPECT_EQ(get("Lead", insert("Lead", lead()), "Tier__c"), text("Gold"));
    update("Lead", id, {{"Tier__c", text("Silver")}, {"Vip__c", text("true")}});
    EXPECT_EQ(get("Lead", id, "Tier__c"), text("Silver"));
    EXPECT_EQ(get("Lead", id, "Vip__c"), Cell{true});
}

TEST_F(OrgTest, a_field_that_becomes_a_key_finds_what_was_written_before) {
    const int code = org_->add_field(object("Lead"), new_field("Code__c", Type::String, 20));
    Values values = lead();
    values.emplace_back("Code__c", text("K7"));
    const std::string id = insert("Lead", values);
    Field key = org_->schema().at(object("Lead")).fields[static_cast<std::size_t>(code)];
    key.external_id = key.unique = true;
    org_->change_field(object("Lead"), code, key);
    EXPECT_EQ(org_->rows_equal(object("Lead"), code, "k7"), std::vector<int64_t>{row("Lead", id)});
    EXPECT_EQ(refusal("Lead", values).substr(0, 15), "DUPLICATE_VALUE");
}

// --- Finding rows.

TEST_F(PopulatedOrgTest, rows_are_found_by_a_text_whatever_its_case_edited_or_generated) {
    const int contacts = object("Contact");
    for (const char* name : {"Email", "Name", "MailingCity"}) {
        const int at = field("Contact", name);
        for (int64_t start = 0; start < 40; ++start) {
            const Cell wanted = org_->value(contacts, start, at);
            if (is_null(wanted)) continue;
            std::vector<int64_t> expected;
            for (int64_t r = 0; r < org_->rows(contacts); ++r) {
                if (org_->value(contacts, r, at) == wanted) expected.push_back(r);
            }
            std::string shouted = std::get<std::string>(wanted);
            for (char& c : shouted) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
            EXPECT_EQ(org_->rows_equal(contacts, at, shouted), expected) << shouted;
        }
    }
    const std::string moved = org_->id_of(contacts, 3);
    const std::string old = said("Contact", moved, "Email");
    update("Contact", moved, {{"Email", text("new@moved.example")}});
    const std::vector<int64_t> at_old = org_->rows_equal(contacts, field("Contact", "Email"), old);
    EXPECT_EQ(std::count(at_old.begin(), at_old.end(), 3), 0);
    EXPECT_EQ(org_->rows_equal(contacts, field("Contact", "Email"), "NEW@moved.example"), std::vector<int64_t>{3});
    EXPECT_EQ(org_->rows_equal(contacts, field("Contact", "Id"), moved), std::vector<int64_t>{3});
}

TEST_F(PopulatedOrgTest, rows_are_found_by_what_they_refer_to_edited_or_generated) {
    const int deals = object("Opportunity");
    const auto scan = [&](int at, const std::string& id) {
        std::vector<int64_t> rows;
        for (int64_t r = 0; r < org_->rows(deals); ++r) {
            if (org_->value(deals, r, at) == text(id)) rows.push_back(r);
        }
        return rows;
    };
    update("Opportunity", org_->id_of(deals, 11), {{"AccountId", text(org_->id_of(object("Account"), 2))}});
    Values values = deal();
    values.emplace_back("AccountId", text(org_->id_of(object("Account"), 2)));
    insert("Opportunity", values);
    for (int64_t account = 0; account < 30; ++account) {
        const std::string id = org_->id_of(object("Account"), account);
        const int at = field("Opportunity", "AccountId");
        EXPECT_EQ(org_->rows_referring(deals, at, id), scan(at, id));
    }
    for (int64_t user = 0; user < 10; ++user) {
        const std::string id = org_->id_of(object("User"), user);
        const int at = field("Opportunity", "OwnerId");
        EXPECT_EQ(org_->rows_referring(deals, at, id), scan(at, id));
    }
    EXPECT_TRUE(org_->rows_referring(deals, field("Opportunity", "AccountId"), "001000000000000AAA").empty());
}

/// Random edits against an org; what rows_modified_since and rows_referring answer equals what a scan finds.
RC_GTEST_PROP(OrgProperty, an_index_finds_what_a_scan_finds_after_any_edits, ()) {
    ManualClock clock(kStart);
    OrgOptions options;
    options.people = 120;
    options.seed = *rc::gen::arbitrary<std::uint64_t>();
    options.start = kStart;
    options.clock = &clock;
    Org org(options);
    const std::string actor = org.integration_user_id();
    const char* names[] = {"Lead", "Contact", "Opportunity", "Account"};
    const int steps = *rc::gen::inRange(0, 40);
    for (int i = 0; i < steps; ++i) {
        const int object =
            org.schema().find(*rc::gen::elementOf(std::vector<std::string>(std::begin(names), std::end(names))));
        const int64_t row = *rc::gen::inRange<int64_t>(0, org.rows(object));
        const std::string id = org.id_of(object, row);
        switch (*rc::gen::inRange(0, 7)) {
            case 0:
                org.remove(object, id, actor);
                break;
            case 1:
                org.undelete(object, id, actor);
                break;
            case 2:
                org.purge(object, id);
                break;
            case 3:
                org.delay_visibility(object, *rc::gen::elementOf(std::vector<int64_t>{0, 20}));
                break;
            case 4:
                org.insert(
                    org.schema().find("Contact"),
                    {{"LastName", text("New")}, {"AccountId", text(org.id_of(org.schema().find("Account"), row % 20))}},
                    actor);
                break;
            case 5: {
                Org::Transaction transaction(org);
                org.update(object, id, {{"Description", text("undone")}}, actor);
                if (*rc::gen::arbitrary<bool>()) transaction.commit();
                break;
            }
            default:
                org.update(object, id, {{"Description", text("edited")}}, actor);
        }
        clock.advance_s(*rc::gen::inRange(0, 15));
    }
    const int64_t since =
        *rc::gen::elementOf(std::vector<int64_t>{kStart.seconds - 30 * 86400, kStart.seconds - 86400, kStart.seconds,
                                                 kStart.seconds + 40, kStart.seconds + 200});
    for (const char* name : names) {
        const int object = org.schema().find(name);
        std::vector<int64_t> expected;
        int64_t live = 0;
        for (int64_t row = 0; row < org.rows(object); ++row) {
            if (!org.visible_yet(object, row)) continue;
            if (org.modstamp(object, row).seconds >= since) expected.push_back(row);
            live += org.life(object, row) == Org::Life::Live ? 1 : 0;
        }
        RC_ASSERT(org.rows_modified_since(object, {since}) == expected);
        RC_ASSERT(org.live_rows(object) == live);
    }
    const int contacts = org.schema().find("Contact");
    const int link = org.schema().at(contacts).find("AccountId");
    for (int64_t account = 0; account < org.rows(org.schema().find("Account")); ++account) {
        const std::string id = org.id_of(org.schema().find("Account"), account);
        std::vector<int64_t> expected;
        for (int64_t row = 0; row < org.rows(contacts); ++row) {
            if (org.visible_yet(contacts, row) && org.value(contacts, row, link) == text(id)) expected.push_back(row);
        }
        RC_ASSERT(org.rows_referring(contacts, link, id) == expected);
    }
}

TEST_F(PopulatedOrgTest, a_projection_writes_what_the_values_say) {
    // Fields of other rows are read in between.
    Field formula = new_field("Owner_Name__c", Type::String);
    formula.formula = "TEXT(Account.Industry)";
    make_formula(formula);
    org_->add_field(object("Opportunity"), formula);
    org_->add_field(object("Opportunity"), new_field("Late__c", Type::Currency));
    update("Opportunity", org_->id_of(object("Opportunity"), 5),
           {{"Name", text("Say \"hi\"\n")}, {"Amount", Cell{12.5}}});
    insert("Opportunity", deal());
    remove("Campaign", org_->id_of(object("Campaign"), 2));
    for (const char* name : {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole"}) {
        const int at = object(name);
        std::vector<int> fields;
        for (std::size_t i = org_->schema().at(at).fields.size(); i > 0; --i) fields.push_back(static_cast<int>(i) - 1);
        const Projection projection(*org_, at, fields);
        for (int64_t r = 0; r < org_->rows(at); ++r) {
            std::string csv;
            std::string csv_by_field;
            std::string json;
            std::string expected_csv;
            std::string expected_json;
            projection.append_csv(r, csv, ';');
            projection.append_json(r, json);
            for (const int f : fields) {
                const Field& described = org_->schema().at(at).fields[static_cast<std::size_t>(f)];
                if (f != fields.front()) (expected_csv += ';', csv_by_field += ';', expected_json += ',');
                append_csv_cell(expected_csv, described.type, org_->value(at, r, f));
                org_->append_csv(at, r, f, csv_by_field);
                expected_json += "\"" + described.name + "\":";
                org_->append_json(at, r, f, expected_json);
            }
            ASSERT_EQ(csv, expected_csv);
            ASSERT_EQ(csv, csv_by_field);
            ASSERT_EQ(json, expected_json);
        }
    }
}

// --- State that survives.

class StateTest : public OrgTest {
protected:
    StateTest() : OrgTest(200) {
        folder_ =
            std::filesystem::temp_directory_path() / ("lockstep-state-" + std::to_string(getpid()) + "-" +
                                                      testing::UnitTest::GetInstance()->current_test_info()->name());
        std::filesystem::create_directories(folder_);
        options_.state_file = (folder_ / "state").string();
        options_.people = 200;
        reopen();
    }
    ~StateTest() override { std::filesystem::remove_all(folder_); }
    void reopen() {
        org_.reset();
        org_ = std::make_unique<Org>(options_);
    }
    std::string file_text() const {
        std::ostringstream out;
        out << std::ifstream(options_.state_file).rdbuf();
        return out.str();
    }
    /// All that a client could see.
    std::string everything() const {
        std::string out = to_string(org_->now());
        for (int at = 0; at < org_->schema().size(); ++at) {
            if (org_->schema().at(at).removed) continue;
            out += describe_json(
                org_->schema(), at, [&](int o, int f) { return org_->visible(o, f); }, "60.0");
            std::vector<int> fields;
            for (std::size_t i = 0; i < org_->schema().at(at).fields.size(); ++i) fields.push_back(static_cast<int>(i));
            const Projection projection(*org_, at, fields);
            for (int64_t r = 0; r < org_->rows(at); ++r) {
                projection.append_csv(r, out);
                out += std::to_string(static_cast<int>(org_->life(at, r))) + (org_->visible_yet(at, r) ? "v\n" : "h\n");
            }
            for (const DeletedRow& entry : org_->deleted_between(at, kStart.plus(-20 * 86400), kStart.plus(86400)))
                out += entry.id;
            out += std::to_string(org_->live_rows(at));
        }
        return out + to_string(org_->earliest_delete_log());
    }
    std::filesystem::path folder_;
};

TEST_F(StateTest, edits_settings_and_schema_survive_a_restart) {
    EXPECT_FALSE(org_->restored());
    Field key = new_field("Key__c", Type::String, 20);
    key.external_id = key.unique = true;
    const int at = org_->add_field(object("Lead"), key);
    Object project;
    project.name = "Project__c";
    org_->add_object(project);
    Values values = lead();
    values.emplace_back("Key__c", text("A1"));
    const std::string kept = insert("Lead", values);
    insert("Project__c", {{"Name", text("Bridge")}});
    clock_.advance_s(60);
    update("Opportunity", org_->id_of(object("Opportunity"), 3),
           {{"Amount", Cell{0.1 + 0.2}}, {"StageName", text("Closed Won")}});
    remove("Account", org_->id_of(object("Account"), 1));
    const std::string back = org_->id_of(object("Account"), 4);
    remove("Account", back);
    EXPECT_TRUE(org_->undelete(object("Account"), back, actor()).ok());
    const std::string gone = insert("Lead", lead());
    remove("Lead", gone);
    EXPECT_TRUE(org_->purge(object("Lead"), gone).ok());
    org_->set_visible(object("Contact"), field("Contact", "Phone"), false);
    org_->set_visible(object("Campaign"), -1, false);
    insert("RecordType", {{"Name", text("Fair")}, {"DeveloperName", text("Fair")}, {"SobjectType", text("Lead")}});
    org_->move_clock(3600);
    Field renamed = org_->schema().at(object("Lead")).fields[static_cast<std::size_t>(at)];
    renamed.label = "The key";
    org_->change_field(object("Lead"), at, renamed);
    Object shut = org_->schema().at(object("Project__c"));
    shut.label = "Undertaking";
    org_->change_object(object("Project__c"), shut);
    org_->purge_delete_log(org_->now().plus(-86400));
    org_->delay_visibility(object("Contact"), 50);
    update("Contact", org_->id_of(object("Contact"), 0), {{"LastName", text("Late")}});
    insert("Contact", {{"LastName", text("Later")}});
    const std::string before = everything();
    reopen();
    EXPECT_TRUE(org_->restored());
    EXPECT_EQ(everything(), before);
    EXPECT_EQ(refusal("Lead", values).substr(0, 15), "DUPLICATE_VALUE");
    clock_.advance_s(100);
    EXPECT_EQ(said("Contact", org_->id_of(object("Contact"), 0), "LastName"), "Late");
    const std::string next = insert("Lead", lead());
    EXPECT_NE(next, kept);
    const std::string after = everything();
    reopen();
    EXPECT_EQ(everything(), after);
}

TEST_F(StateTest, a_torn_last_line_is_as_if_never_written) {
    insert("Lead", lead("Whole"));
    const std::string before = everything();
    const std::string whole = file_text();
    insert("Lead", lead("Torn"));
    const std::string both = file_text();
    for (const std::size_t cut : {whole.size() + 1, whole.size() + 40, both.size() - 1}) {
        org_.reset();
        std::ofstream(options_.state_file) << both.substr(0, cut);
        reopen();
        EXPECT_EQ(everything(), before) << cut;
        EXPECT_EQ(file_text(), whole);
    }
    insert("Lead", lead("Again"));
    reopen();
    EXPECT_EQ(said("Lead", org_->id_of(object("Lead"), org_->rows(object("Lead")) - 1), "LastName"), "Again");
}

TEST_F(StateTest, a_state_file_of_another_org_is_refused_with_a_hint) {
    org_.reset();
    OrgOptions other = options_;
    other.seed = 2;
    try {
        const Org org(other);
        FAIL() << "it was accepted";
    } catch (const Failure& failure) {
        EXPECT_NE(std::string(failure.what()).find("200 people with seed 1"), std::string::npos) << failure.what();
        EXPECT_FALSE(failure.hint.empty());
    }
    other = options_;
    other.counts["Lead"] = 7;
    EXPECT_THROW(Org{other}, Failure);
    other = options_;
    other.start = kStart.plus(1);
    EXPECT_THROW(Org{other}, Failure);
}

TEST_F(StateTest, a_state_file_that_makes_no_sense_is_refused) {
    insert("Lead", lead());
    const std::string whole = file_text();
    org_.reset();
    std::ofstream(options_.state_file) << "what is this?\n";
    EXPECT_THROW(Org{options_}, Failure);
    std::ofstream(options_.state_file) << whole << "{\"rows\":[{\"o\":\"Nothing\",\"r\":0}]}\n";
    EXPECT_THROW(Org{options_}, Failure);
    options_.state_file = (folder_ / "no" / "such" / "folder").string();
    EXPECT_THROW(Org{options_}, Failure);
}

TEST_F(StateTest, a_rolled_back_transaction_leaves_no_trace_in_the_file) {
    const std::string before = file_text();
    {
        Org::Transaction transaction(*org_);
        insert("Lead", lead());
    }
    EXPECT_EQ(refusal("Lead", {}).substr(0, 8), "REQUIRED");
    EXPECT_EQ(file_text(), before);
}

TEST_F(StateTest, the_org_of_a_restart_starts_where_the_first_one_did) {
    options_.start.reset();
    options_.state_file = (folder_ / "second").string();
    reopen();
    const Timestamp start = org_->start();
    clock_.advance_s(5000);
    reopen();
    EXPECT_EQ(org_->start(), start);
    EXPECT_EQ(org_->now(), start.plus(5000));
}

TEST_F(PopulatedOrgTest, the_summary_counts_rows_and_edits) {
    update("Lead", org_->id_of(object("Lead"), 0), {{"City", text("Bonn")}});
    const int64_t made = org_->rows(object("Lead"));
    insert("Lead", lead());
    const json::object summary = parse_json(org_->summary_json())->as_object();
    EXPECT_EQ(summary.at("now").as_string(), "2026-11-24T12:00:00Z");
    EXPECT_GT(summary.at("stored_bytes").as_int64(), 0);
    for (const json::value& entry : summary.at("objects").as_array()) {
        if (entry.as_object().at("name").as_string() != "Lead") continue;
        EXPECT_EQ(entry.as_object().at("rows").as_int64(), made + 1);
        EXPECT_EQ(entry.as_object().at("edited").as_int64(), 1);
        EXPECT_EQ(entry.as_object().at("added").as_int64(), 1);
    }
}

}  // namespace
}  // namespace lockstep::sandbox

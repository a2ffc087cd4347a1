// Leads, contacts and accounts become people and companies, and stay in step with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

std::string field(const std::vector<api::PersonView::Field>& fields, std::string_view column) {
    for (const api::PersonView::Field& one : fields) {
        if (one.column == column) return record::to_text(one.value.cell());
    }
    return "";
}

class People : public testing::TestWithParam<store::Engine> {
protected:
    People() : house({.engine = GetParam()}) {}
    std::string lead(const std::string& email, const std::string& company = "Acme") {
        return house.create("Lead", {{"LastName", std::string("Doe")},
                                     {"FirstName", std::string("Jo")},
                                     {"Company", company},
                                     {"Email", email},
                                     {"Industry", std::string("Energy")}});
    }
    std::int64_t people() {
        return house.reader().integer("SELECT count(*) FROM person WHERE merged_into IS NULL").value_or(-1);
    }
    void convert(const std::string& lead_id, const std::string& account, const std::string& contact) {
        const auto lock = house.org().write_lock();
        const auto done = house.org().convert_lead(
            lead_id, {.account_id = account, .contact_id = contact, .opportunity_name = "", .with_opportunity = false},
            house.org().integration_user_id());
        ASSERT_TRUE(done.errors.empty()) << done.errors.front().message;
    }
    House house;
};

TEST_P(People, a_lead_is_a_person_with_a_company_of_their_own) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    const api::PersonView person = house.person(id);
    EXPECT_EQ(person.sfdc_type, "Lead");
    EXPECT_EQ(field(person.fields, "email"), "jo@acme.test");
    EXPECT_EQ(field(person.fields, "first_name"), "Jo");
    EXPECT_EQ(field(person.company, "name"), "Acme");
    EXPECT_EQ(field(person.company, "industry"), "Energy");
    EXPECT_TRUE(person.sales_owner.has_value());
}

TEST_P(People, a_contact_has_the_company_of_their_account_and_follows_it) {
    const std::string account = house.create("Account", {{"Name", std::string("Acme")}});
    const std::string other = house.create("Account", {{"Name", std::string("Bell")}});
    const std::string contact = house.create("Contact", {{"LastName", std::string("Doe")}, {"AccountId", account}});
    house.cycle();
    EXPECT_EQ(field(house.person(contact).company, "name"), "Acme");
    house.edit("Account", account, {{"Name", std::string("Acme Corp")}});
    house.cycle();
    EXPECT_EQ(field(house.person(contact).company, "name"), "Acme Corp");
    house.edit("Contact", contact, {{"AccountId", other}});
    house.cycle();
    EXPECT_EQ(field(house.person(contact).company, "name"), "Bell");
}

TEST_P(People, an_edit_in_salesforce_arrives_with_its_log_row_and_rule) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    house.edit("Lead", id, {{"Email", std::string("jo@new.test")}, {"Industry", std::string("Banking")}});
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(report.updated(), 1);
    const api::PersonView person = house.person(id);
    EXPECT_EQ(field(person.fields, "email"), "jo@new.test");
    EXPECT_EQ(field(person.company, "industry"), "Banking");
    EXPECT_EQ(house.person_id("JO@NEW.TEST"), person.id);
    EXPECT_EQ(house.person_id("jo@acme.test"), std::nullopt);
    const auto changes = store::changes_of(house.reader(), "person", std::to_string(person.id), 10);
    ASSERT_FALSE(changes.empty());
    EXPECT_EQ(changes[0].change.cls, store::Class::News);
    EXPECT_THAT(changes[0].change.cause.rule, testing::StartsWith("rules/lead.toml"));
    EXPECT_THAT(changes[0].change.cause.call, testing::HasSubstr("query"));
}

TEST_P(People, explain_tells_the_log_row_call_time_and_rule_that_set_a_field) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    house.edit("Lead", id, {{"Phone", std::string("555-1")}});
    house.cycle();
    const auto explained = api::explain(house.reader(), house.rules(), "lead", id.substr(0, 15));
    ASSERT_TRUE(explained.ok());
    std::map<std::string, api::FieldExplanation> fields;
    for (const api::FieldExplanation& one : explained->fields) fields[one.field] = one;
    EXPECT_EQ(fields["Phone"].kind, "update");
    EXPECT_EQ(fields["Phone"].cycle, 2);
    EXPECT_EQ(fields["Phone"].ours_column, "person.phone");
    EXPECT_THAT(fields["Phone"].rule, testing::StartsWith("rules/lead.toml:"));
    EXPECT_THAT(fields["Phone"].call, testing::HasSubstr("query"));
    // What came with the first load is told by the page that brought it; a reference that did not change still is.
    for (const char* const field : {"Email", "OwnerId"}) {
        EXPECT_EQ(fields[field].kind, "snapshot") << field;
        EXPECT_EQ(fields[field].cycle, 1) << field;
        EXPECT_LT(fields[field].position, fields["Phone"].position) << field;
    }
    EXPECT_FALSE(api::explain(house.reader(), house.rules(), "Lead", "00Q000000000000AAA").ok());
    EXPECT_FALSE(api::explain(house.reader(), house.rules(), "Leads", id).ok());
    EXPECT_FALSE(api::explain(house.reader(), house.rules(), "Lead", "nonsense").ok());
}

TEST_P(People, an_edit_of_ours_is_not_overwritten_by_a_change_of_another_field) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    const std::int64_t person = *house.person_id(id);
    house.db().write([&](store::Transaction& tx) {
        tx.db().run("UPDATE person SET phone = '555-9' WHERE id = ?", store::params(record::Cell::integer(person)));
    });
    house.edit("Lead", id, {{"Title", std::string("CEO")}});
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "phone"), "555-9");
    EXPECT_EQ(field(house.person(id).fields, "title"), "CEO");
    const auto explained = api::explain(house.reader(), house.rules(), "Lead", id);
    ASSERT_TRUE(explained.ok());
    for (const api::FieldExplanation& one : explained->fields) {
        if (one.field == "Phone") {
            EXPECT_EQ(one.verdict, "push");
        } else if (one.field == "Title") {
            EXPECT_EQ(one.verdict, "in step");
        }
    }
}

TEST_P(People, both_sides_changed_a_lead_and_ours_wins_with_theirs_held) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    const std::int64_t person = *house.person_id(id);
    house.db().write([&](store::Transaction& tx) {
        tx.db().run("UPDATE person SET phone = '555-9' WHERE id = ?", store::params(record::Cell::integer(person)));
    });
    house.edit("Lead", id, {{"Phone", std::string("555-1")}});
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "phone"), "555-9");
    const auto held = store::held_fields(house.reader(), "Lead", id);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0].field, "Phone");
    EXPECT_EQ(record::to_text(held[0].theirs.cell()), "555-1");
}

TEST_P(People, both_sides_changed_a_contact_and_salesforce_wins_with_ours_in_the_log) {
    const std::string id = house.create("Contact", {{"LastName", std::string("Doe")}});
    house.cycle();
    const std::int64_t person = *house.person_id(id);
    house.db().write([&](store::Transaction& tx) {
        tx.db().run("UPDATE person SET phone = '555-9' WHERE id = ?", store::params(record::Cell::integer(person)));
    });
    house.edit("Contact", id, {{"Phone", std::string("555-1")}});
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "phone"), "555-1");
    const auto changes = store::changes_of(house.reader(), "person", std::to_string(person), 1);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(record::to_text(changes[0].change.fields[0].before.cell()), "555-9");
}

TEST_P(People, a_blank_clears_where_the_rule_says_clear_and_is_held_where_it_says_keep) {
    const std::string id = lead("jo@acme.test");
    house.edit("Lead", id, {{"LeadSource", std::string("Web")}, {"Title", std::string("CEO")}});
    house.cycle();
    house.edit("Lead", id, {{"LeadSource", sandbox::Cell()}, {"Title", sandbox::Cell()}});
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "source"), "Web");
    EXPECT_EQ(field(house.person(id).fields, "title"), "");
    ASSERT_EQ(store::held_fields(house.reader(), "Lead", id).size(), 1U);
}

TEST_P(People, a_deleted_lead_keeps_its_person_and_comes_back_to_the_same) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    const std::int64_t person = *house.person_id(id);
    house.remove("Lead", id);
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "sfdc_is_deleted"), "true");
    EXPECT_EQ(field(house.person(id).fields, "email"), "jo@acme.test");
    house.undelete("Lead", id);
    house.cycle();
    EXPECT_EQ(house.person_id(id), person);
    EXPECT_EQ(field(house.person(id).fields, "sfdc_is_deleted"), "false");
    EXPECT_EQ(people(), 1);
}

TEST_P(People, a_lead_deleted_before_the_first_load_is_nobody) {
    const std::string id = lead("jo@acme.test");
    house.remove("Lead", id);
    house.cycle();
    EXPECT_EQ(house.person_id(id), std::nullopt);
    EXPECT_EQ(people(), 0);
}

TEST_P(People, a_converted_lead_and_its_contact_are_one_person_from_the_first_load_on) {
    const std::string account = house.create("Account", {{"Name", std::string("Acme")}});
    const std::string contact = house.create("Contact", {{"LastName", std::string("Doe")}, {"AccountId", account}});
    const std::string id = lead("jo@acme.test");
    convert(id, account, contact);
    house.cycle();
    EXPECT_EQ(people(), 1);
    EXPECT_EQ(house.person_id(id), house.person_id(contact));
    EXPECT_EQ(house.person(id).sfdc_type, "Contact");
}

TEST_P(People, a_conversion_into_a_new_contact_keeps_the_person) {
    const std::string id = lead("jo@acme.test");
    house.cycle();
    const std::int64_t person = *house.person_id(id);
    convert(id, "", "");
    house.cycle();
    EXPECT_EQ(people(), 1);
    const api::PersonView view = house.person(id);
    EXPECT_EQ(view.id, person);
    EXPECT_EQ(view.sfdc_type, "Contact");
    EXPECT_EQ(view.identities.size(), 2U);
    EXPECT_EQ(field(view.company, "name"), "Acme");
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST_P(People, a_conversion_into_a_known_contact_makes_two_people_one) {
    const std::string account = house.create("Account", {{"Name", std::string("Acme")}});
    const std::string contact = house.create("Contact", {{"LastName", std::string("Doe")}, {"AccountId", account}});
    const std::string id = lead("jo@acme.test");
    house.cycle();
    EXPECT_EQ(people(), 2);
    const std::int64_t person = *house.person_id(contact);
    convert(id, account, contact);
    house.cycle();
    EXPECT_EQ(people(), 1);
    EXPECT_EQ(house.person_id(id), person);
    EXPECT_EQ(house.person(id).sfdc_type, "Contact");
}

TEST_P(People, a_merge_moves_the_loser_s_opportunities_without_a_word) {
    const std::string account = house.create("Account", {{"Name", std::string("Acme")}});
    const std::string winner = house.create("Contact", {{"LastName", std::string("Win")}, {"AccountId", account}});
    const std::string loser = house.create("Contact", {{"LastName", std::string("Lose")}, {"AccountId", account}});
    const std::string deal = house.create("Opportunity", {{"Name", std::string("Deal")},
                                                          {"AccountId", account},
                                                          {"StageName", std::string("Prospecting")},
                                                          {"CloseDate", std::string("2026-12-31")}});
    house.create("OpportunityContactRole", {{"OpportunityId", deal}, {"ContactId", loser}});
    house.cycle();
    {
        const auto lock = house.org().write_lock();
        const auto merged = house.org().merge(house.org().schema().find("Contact"), winner, {loser}, {},
                                              house.org().integration_user_id());
        ASSERT_TRUE(merged.ok());
    }
    house.cycle();
    EXPECT_EQ(people(), 1);
    EXPECT_EQ(house.person_id(loser), house.person_id(winner));
    EXPECT_EQ(house.person(winner).opportunities.size(), 1U);
    EXPECT_EQ(house.history(winner).size(), 1U) << testing::PrintToString(house.history(winner));
}

TEST_P(People, a_custom_field_both_objects_share_is_one_field_only_if_the_types_agree) {
    house.add_field("Lead",
                    {.name = "Tier__c", .label = "Tier", .type = sandbox::Type::String, .length = 20, .custom = true});
    house.add_field("Contact",
                    {.name = "Tier__c", .label = "Tier", .type = sandbox::Type::String, .length = 20, .custom = true});
    house.add_field("Lead",
                    {.name = "Rank__c", .label = "Rank", .type = sandbox::Type::String, .length = 20, .custom = true});
    house.add_field(
        "Contact", {.name = "Rank__c", .label = "Rank", .type = sandbox::Type::Double, .precision = 5, .custom = true});
    const std::string id = lead("jo@acme.test");
    house.edit("Lead", id, {{"Tier__c", std::string("Gold")}, {"Rank__c", std::string("first")}});
    const std::string contact =
        house.create("Contact", {{"LastName", std::string("Roe")}, {"Tier__c", std::string("Tin")}, {"Rank__c", 2.0}});
    house.cycle();
    EXPECT_EQ(field(house.person(id).fields, "tier__c"), "Gold");
    EXPECT_EQ(field(house.person(contact).fields, "tier__c"), "Tin");
    EXPECT_EQ(field(house.person(id).fields, "lead_rank__c"), "first");
    EXPECT_EQ(field(house.person(contact).fields, "contact_rank__c"), "2");
}

INSTANTIATE_TEST_SUITE_P(Engines, People, testing::Values(store::Engine::Sqlite, store::Engine::Postgres),
                         [](const auto& info) {
                             return info.param == store::Engine::Sqlite ? "SQLite" : "PostgreSQL";
                         });

}  // namespace
}  // namespace lockstep::tests

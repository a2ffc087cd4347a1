// The rows of domain.md 15.1, on both engines. The halves about filters and triggers come with smart lists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class OpportunityLink : public testing::TestWithParam<store::Engine> {
protected:
    OpportunityLink() : house({.engine = GetParam()}) {
        account = house.create("Account", {{"Name", "Acme"}});
        contact = house.create(
            "Contact", {{"LastName", "Doe"}, {"FirstName", "Jo"}, {"Email", "jo@acme.test"}, {"AccountId", account}});
    }
    std::string opportunity(double amount, const std::string& stage = "Prospecting") {
        return house.create("Opportunity", {{"Name", "Deal"},
                                            {"AccountId", account},
                                            {"StageName", stage},
                                            {"CloseDate", "2026-12-31"},
                                            {"Amount", amount}});
    }
    std::string role(const std::string& opportunity, const std::string& contact_id, bool primary = false,
                     const std::string& name = "Decision Maker") {
        return house.create(
            "OpportunityContactRole",
            {{"OpportunityId", opportunity}, {"ContactId", contact_id}, {"Role", name}, {"IsPrimary", primary}});
    }
    std::string told(const std::string& opportunity, bool primary, const std::string& name = "Decision Maker") {
        return R"({"Oppty ID":")" + opportunity + R"(","Is Primary":)" + (primary ? "true" : "false") + R"(,"Role":")" +
               name + R"("})";
    }
    House house;
    std::string account, contact;
};

TEST_P(OpportunityLink, an_opportunity_without_a_role_is_stored_and_belongs_to_nobody) {
    const std::string deal = opportunity(5000);
    house.cycle();
    EXPECT_THAT(house.person(contact).opportunities, IsEmpty());
    EXPECT_THAT(house.history(contact), IsEmpty());
    const auto orphans = api::orphans(house.reader(), house.rules().settings(), 10);
    ASSERT_EQ(orphans.size(), 1U);
    EXPECT_EQ(orphans[0].id, deal);
    EXPECT_EQ(orphans[0].reason, "no contact role");
}

TEST_P(OpportunityLink, a_role_that_is_added_ties_the_person_and_tells_it) {
    const std::string deal = opportunity(5000);
    house.cycle();
    role(deal, contact, true);
    house.cycle();
    const api::PersonView person = house.person(contact);
    ASSERT_EQ(person.opportunities.size(), 1U);
    EXPECT_EQ(person.opportunities[0].id, deal);
    EXPECT_EQ(person.opportunities[0].role, "Decision Maker");
    EXPECT_TRUE(person.opportunities[0].primary);
    EXPECT_EQ(person.opportunities[0].account, "Acme");
    ASSERT_EQ(person.totals.size(), 1U);
    EXPECT_EQ(person.totals[0].count, 1);
    EXPECT_EQ(person.totals[0].amount, 5000);
    EXPECT_EQ(person.totals[0].currency, "USD");
    EXPECT_THAT(house.history(contact), ElementsAre("34 " + told(deal, true)));
    EXPECT_THAT(api::orphans(house.reader(), house.rules().settings(), 10), IsEmpty());
}

TEST_P(OpportunityLink, a_role_that_was_there_at_the_first_load_is_told_too_as_catch_up) {
    const std::string deal = opportunity(5000);
    role(deal, contact, true);
    house.cycle();
    EXPECT_EQ(house.person(contact).opportunities.size(), 1U);
    EXPECT_THAT(house.history(contact), ElementsAre("34 " + told(deal, true)));
    const auto activities = store::activities_of(house.reader(), *house.person_id(contact), 34, 10);
    ASSERT_EQ(activities.size(), 1U);
    EXPECT_EQ(activities[0].activity.cls, store::Class::CatchUp);
}

TEST_P(OpportunityLink, the_indexes_dropped_for_the_first_load_are_there_after_it) {
    role(opportunity(5000), contact, true);
    house.cycle();
    const char* const sql = GetParam() == store::Engine::Sqlite ? "SELECT count(*) FROM sqlite_master WHERE name = ?"
                                                                : "SELECT count(*) FROM pg_class WHERE relname = ?";
    for (const char* const index : {"activity_person", "activity_type", "link_by_person", "link_by_opportunity",
                                    "identity_by_person", "person_by_email"}) {
        EXPECT_GT(house.reader().integer(sql, store::params(record::Cell::text(index))).value_or(0), 0) << index;
    }
}

TEST_P(OpportunityLink, a_role_that_is_removed_unties_the_person_and_the_history_stays) {
    const std::string deal = opportunity(5000);
    const std::string tie = role(deal, contact, true);
    house.cycle();
    house.remove("OpportunityContactRole", tie);
    house.cycle();
    const api::PersonView person = house.person(contact);
    EXPECT_THAT(person.opportunities, IsEmpty());
    EXPECT_THAT(person.totals, IsEmpty());
    EXPECT_THAT(house.history(contact), ElementsAre("34 " + told(deal, true), "35 " + told(deal, true)));
}

TEST_P(OpportunityLink, a_changed_amount_is_told_to_every_linked_person_once) {
    const std::string other = house.create("Contact", {{"LastName", "Roe"}, {"AccountId", account}});
    const std::string deal = opportunity(5000);
    role(deal, contact, true);
    role(deal, other);
    role(deal, other, false, "Evaluator");  // two roles of one person are one tie
    house.cycle();
    house.edit("Opportunity", deal, {{"Amount", 7500.0}});
    house.cycle();
    for (const std::string& person : {contact, other}) {
        const auto updates = store::activities_of(house.reader(), *house.person_id(person), 36, 10);
        ASSERT_EQ(updates.size(), 1U) << person;
        EXPECT_THAT(updates[0].activity.attributes,
                    testing::HasSubstr(R"({"attribute":"Amount","old":5000,"new":7500})"));
        EXPECT_EQ(updates[0].activity.cls, store::Class::News);
    }
    EXPECT_EQ(house.person(contact).totals[0].amount, 7500);
}

TEST_P(OpportunityLink, a_changed_role_or_primary_flag_is_an_update) {
    const std::string deal = opportunity(5000);
    const std::string tie = role(deal, contact);
    house.cycle();
    house.edit("OpportunityContactRole", tie, {{"Role", std::string("Evaluator")}, {"IsPrimary", true}});
    house.cycle();
    const auto history = house.history(contact);
    ASSERT_EQ(history.size(), 2U) << testing::PrintToString(history);
    EXPECT_THAT(history[1],
                testing::AllOf(testing::StartsWith("36 "),
                               testing::HasSubstr(R"("attribute":"Role","old":"Decision Maker","new":"Evaluator")"),
                               testing::HasSubstr(R"("attribute":"Is Primary","old":false,"new":true)")));
}

TEST_P(OpportunityLink, a_deleted_opportunity_is_untied_everywhere_and_comes_back_with_an_undelete) {
    const std::string deal = opportunity(5000);
    role(deal, contact, true);
    house.cycle();
    house.remove("Opportunity", deal);
    house.cycle();
    EXPECT_THAT(house.person(contact).opportunities, IsEmpty());
    EXPECT_THAT(house.history(contact), ElementsAre("34 " + told(deal, true), "35 " + told(deal, true)));
    house.undelete("Opportunity", deal);
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST_P(OpportunityLink, a_deleted_contact_keeps_the_person_and_drops_the_link) {
    const std::string deal = opportunity(5000);
    role(deal, contact, true);
    house.cycle();
    house.remove("Contact", contact);
    house.cycle();
    const api::PersonView person = house.person(contact);
    EXPECT_THAT(person.opportunities, IsEmpty());
    EXPECT_THAT(house.history(contact), ElementsAre("34 " + told(deal, true), "35 " + told(deal, true)));
}

TEST_P(OpportunityLink, a_custom_field_is_there_with_the_next_cycle_and_stays_when_it_is_hidden) {
    const std::string deal = opportunity(5000);
    house.cycle();
    house.add_field(
        "Opportunity",
        {.name = "Region__c", .label = "Region", .type = sandbox::Type::String, .length = 40, .custom = true});
    house.edit("Opportunity", deal, {{"Region__c", std::string("North")}});
    house.cycle();
    EXPECT_EQ(house.reader().text("SELECT region__c FROM crm_opportunity"), "North");
    house.hide("Opportunity", "Region__c");
    house.cycle();
    EXPECT_EQ(house.reader().text("SELECT region__c FROM crm_opportunity"), "North");
    const auto explained = api::explain(house.reader(), house.rules(), "Opportunity", deal);
    ASSERT_TRUE(explained.ok());
    bool seen = false;
    for (const api::FieldExplanation& field : explained->fields) {
        if (field.field != "Region__c") continue;
        seen = true;
        EXPECT_THAT(field.reason, testing::StartsWith("no longer readable since"));
    }
    EXPECT_TRUE(seen);
}

TEST_P(OpportunityLink, a_new_field_with_values_in_old_rows_is_filled_without_news) {
    const std::string deal = opportunity(5000);
    role(deal, contact);
    house.cycle();
    house.add_field("Opportunity",
                    {.name = "Tier__c", .label = "Tier", .type = sandbox::Type::String, .length = 40, .custom = true});
    house.hide("Opportunity", "Tier__c");
    house.edit("Opportunity", deal, {{"Tier__c", std::string("Gold")}});
    house.cycle();
    house.pass(3600);  // the change has left the overlap
    house.hide("Opportunity", "Tier__c", false);
    house.cycle();
    EXPECT_EQ(house.reader().text("SELECT tier__c FROM crm_opportunity"), "Gold");
    for (const auto& activity : store::activities_of(house.reader(), *house.person_id(contact), 36, 10)) {
        EXPECT_EQ(activity.activity.cls, store::Class::CatchUp) << activity.activity.attributes;
    }
}

TEST_P(OpportunityLink, an_amount_keeps_the_code_of_its_row) {
    house.add_field("Opportunity",
                    {.name = "CurrencyIsoCode", .label = "Currency", .type = sandbox::Type::Picklist, .length = 3});
    const std::string euro = opportunity(100);
    house.edit("Opportunity", euro, {{"CurrencyIsoCode", std::string("EUR")}});
    const std::string dollar = opportunity(50);
    role(euro, contact);
    role(dollar, contact);
    house.cycle();
    const api::PersonView person = house.person(contact);
    ASSERT_EQ(person.totals.size(), 2U);
    EXPECT_EQ(person.totals[0].currency, "EUR");
    EXPECT_EQ(person.totals[0].amount, 100);
    EXPECT_EQ(person.totals[1].currency, "USD");
    EXPECT_EQ(person.totals[1].amount, 50);
    house.rules_for_change().settings().currency = "relabel";  // the original's habit
    ASSERT_EQ(house.person(contact).totals.size(), 1U);
    EXPECT_EQ(house.person(contact).totals[0].currency, "USD");
    EXPECT_EQ(house.person(contact).totals[0].amount, 150);
}

TEST_P(OpportunityLink, a_role_whose_contact_is_hidden_is_an_orphan_with_that_reason) {
    const std::string deal = opportunity(5000);
    house.cycle();
    role(deal, contact);
    house.remove("Contact", contact);
    house.purge("Contact", contact);
    house.cycle();
    const auto orphans = api::orphans(house.reader(), house.rules().settings(), 10);
    ASSERT_EQ(orphans.size(), 1U);
    EXPECT_NE(orphans[0].reason, "");
}

TEST_P(OpportunityLink, a_role_heard_before_its_contact_repairs_the_missing_parent) {
    const std::string deal = opportunity(5000);
    house.cycle();
    // The contact commits late: it is stamped before the cycle, and seen only after it.
    {
        const auto lock = house.org().write_lock();
        house.org().delay_visibility(house.org().schema().find("Contact"), 90);
    }
    const std::string late = house.create("Contact", {{"LastName", "Late"}, {"AccountId", account}});
    role(deal, late);
    house.cycle();
    house.cycle();
    EXPECT_EQ(house.person(late).opportunities.size(), 1U);
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Engines, OpportunityLink, testing::Values(store::Engine::Sqlite, store::Engine::Postgres),
                         [](const auto& info) {
                             return info.param == store::Engine::Sqlite ? "SQLite" : "PostgreSQL";
                         });

}  // namespace
}  // namespace lockstep::tests

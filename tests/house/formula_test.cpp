// Formulas are never stamped: what they are made of changes, and our copy must follow in the same cycle all the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "store/catalog.h"
#include "sync/formulas.h"
#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

using record::Freshness;
using testing::HasSubstr;
using Strings = std::vector<std::string>;

std::string text(const char* value) {
    return value;
}

/// A house with a small tree: corporation ← region ← branch; a contact and an opportunity of the branch.
class FormulaHouse {
public:
    explicit FormulaHouse(const House::Setup& setup) : house(setup) {
        corporation = account("Corporation", "");
        region = account("Region", corporation);
        branch = account("Branch", region);
        contact = person("Doe", branch);
        deal = house.create("Opportunity", {{"Name", text("Deal")},
                                            {"StageName", text("Prospecting")},
                                            {"CloseDate", std::int64_t{20'800}},
                                            {"AccountId", branch}});
        settle();
    }

    /// What was saved leaves the overlap, so that rows do not come again, formulas and all, for another reason.
    void settle() { house.pass(3600); }

    std::string account(const std::string& name, const std::string& parent) {
        std::vector<House::Field> fields{{"Name", name}, {"Industry", text("Media")}};
        if (!parent.empty()) fields.emplace_back("ParentId", parent);
        return house.create("Account", fields);
    }
    std::string person(const std::string& name, const std::string& account) {
        return house.create("Contact", {{"LastName", name}, {"AccountId", account}});
    }
    void formula(const char* object, const char* name, const char* text, sandbox::Type type = sandbox::Type::String) {
        const bool words = type == sandbox::Type::String;
        const bool number = type == sandbox::Type::Double;
        house.add_field(object, {.name = name,
                                 .label = name,
                                 .type = type,
                                 .length = words ? 1300 : 0,
                                 .precision = number ? 18 : 0,
                                 .scale = number ? 2 : 0,
                                 .createable = false,
                                 .updateable = false,
                                 .custom = true,
                                 .calculated = true,
                                 .formula = text});
    }
    void change_formula(const char* object, const char* name, const char* text) {
        const auto lock = house.org().write_lock();
        const int index = house.org().schema().find(object);
        const int field = house.org().schema().at(index).find(name);
        sandbox::Field changed = house.org().schema().at(index).fields[static_cast<std::size_t>(field)];
        changed.formula = text;
        house.org().change_field(index, field, changed);
    }
    std::string value(const std::string& column, const std::string& table, const std::string& id) {
        return house.reader()
            .text("SELECT " + column + " FROM " + table + " WHERE id = ?", store::params(record::Cell::text(id)))
            .value_or("");
    }
    /// The newest log row of a record.
    store::LoggedChange last_change(const std::string& table, const std::string& id) {
        const auto changes = store::changes_of(house.reader(), table, id, 1);
        if (changes.empty()) throw std::runtime_error("nothing was logged of " + id);
        return changes.front();
    }
    sync::FieldFreshness freshness(const char* object, const char* field) {
        const auto all = sync::freshness_of(house.reader(), store::Catalog::read(house.reader()), object);
        const auto found = all.find(field);
        if (found == all.end()) throw std::runtime_error(std::string(field) + " has no label");
        return found->second;
    }
    static const store::Step* step(const sync::CycleReport& report, const char* object) {
        for (const store::Step& step : report.steps) {
            if (step.operation == "formulas" && step.object == object) return &step;
        }
        return nullptr;
    }
    static int steps(const sync::CycleReport& report) {
        return static_cast<int>(std::ranges::count(report.steps, std::string("formulas"), &store::Step::operation));
    }
    /// Has describes tell another formula than the org works with.
    void tell(const std::string& formula, const std::string& instead) {
        // Each description is asked for whole: the org knows of no change in it.
        house.rules_for_change().settings().composite = false;
        house.spoil = [formula, instead](const http::Request& request, http::Response& response) {
            if (request.target.find("/describe") == std::string::npos) return;
            const std::string from = "\"calculatedFormula\":\"" + formula + "\"";
            const std::size_t at = response.body.find(from);
            if (at == std::string::npos) return;
            response.body.replace(at, from.size(), "\"calculatedFormula\":\"" + instead + "\"");
        };
    }
    /// A cycle in which no formula can be read anew.
    void cycle_without_re_reading() {
        house.wire = [](const http::Request& request) -> std::optional<Error> {
            if (request.target.find("Id+IN+(") == std::string::npos) return std::nullopt;
            return Error{.kind = Kind::BadReply, .what = "The wire failed"};
        };
        EXPECT_FALSE(house.try_cycle());
        house.wire = nullptr;
    }
    void expect_in_step() { EXPECT_EQ(house.differences(), Strings()); }

    House house;
    std::string corporation, region, branch, contact, deal;
};

class Formulas : public testing::TestWithParam<store::Engine>, public FormulaHouse {
protected:
    Formulas() : FormulaHouse({.engine = GetParam()}) {}
};

TEST_P(Formulas, of_children_follow_a_changed_parent_in_the_same_cycle) {
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    formula("Opportunity", "Industry__c", "TEXT(Account.Industry)");
    const std::string other = person("Roe", corporation);
    settle();
    house.cycle();
    const std::int64_t untouched = store::last_position(house.reader());
    house.edit("Account", branch, {{"Industry", text("Energy")}});
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Energy");
    EXPECT_EQ(value("industry__c", "crm_opportunity", deal), "Energy");
    expect_in_step();
    EXPECT_EQ(steps(report), 2);
    ASSERT_NE(step(report, "Contact"), nullptr);
    EXPECT_EQ(step(report, "Contact")->calls, 1);
    EXPECT_EQ(step(report, "Contact")->updated, 1);
    const store::LoggedChange logged = last_change("crm_contact", contact);
    EXPECT_GT(logged.position, untouched);
    EXPECT_EQ(logged.change.kind, store::ChangeKind::Update);
    EXPECT_EQ(logged.change.cls, store::Class::News);
    EXPECT_EQ(logged.change.cause.step, step(report, "Contact")->id);
    EXPECT_THAT(logged.change.cause.call, HasSubstr("query"));
    bool told = false;
    for (const store::Change::Field& field : logged.change.fields) {
        if (field.column != "industry__c") continue;
        told = true;
        EXPECT_EQ(record::to_text(field.before.cell()), "Media");
        EXPECT_EQ(record::to_text(field.after.cell()), "Energy");
    }
    EXPECT_TRUE(told);
    // The person holds the value as well, by the rule of its field.
    const api::PersonView person = house.person(contact);
    EXPECT_TRUE(std::ranges::any_of(person.fields, [](const api::PersonView::Field& field) {
        return field.column == "industry__c" && record::to_text(field.value.cell()) == "Energy";
    }));
    EXPECT_EQ(store::changes_of(house.reader(), "crm_contact", other, 9).size(), 0U);
}

TEST_P(Formulas, cost_no_call_while_nothing_they_are_made_of_changes) {
    house.cycle();
    const std::int64_t plain = house.cycle().calls;
    house.edit("Account", branch, {{"Phone", text("555-1")}});
    const std::int64_t edited = house.cycle().calls;
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    formula("Contact", "Plain__c", "LastName");
    house.cycle();
    const sync::CycleReport idle = house.cycle();
    EXPECT_EQ(idle.calls, plain);
    EXPECT_EQ(steps(idle), 0);
    house.edit("Account", branch, {{"Phone", text("555-2")}});
    const sync::CycleReport other = house.cycle();
    EXPECT_EQ(other.calls, edited);
    EXPECT_EQ(steps(other), 0);
    // A child that comes after its parent changed was read with the new value.
    house.edit("Account", branch, {{"Industry", text("Energy")}});
    house.remove("Contact", contact);
    house.remove("Opportunity", deal);
    house.cycle();
    house.edit("Account", branch, {{"Industry", text("Retail")}});
    person("New", branch);
    const sync::CycleReport late = house.cycle();
    EXPECT_EQ(steps(late), 0);
    expect_in_step();
}

TEST_P(Formulas, reach_over_five_levels_and_hear_of_each) {
    formula("Opportunity", "Top__c", "Account.Parent.Parent.Owner.Manager.Title");
    const std::string boss = house.user(0), second = house.user(1);
    house.edit("User", boss, {{"Title", text("Chief")}});
    house.edit("User", second, {{"Title", text("Vice")}});
    const std::string owner = house.user(2);
    house.edit("User", owner, {{"ManagerId", boss}});
    house.edit("Account", corporation, {{"OwnerId", owner}});
    house.cycle();
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "Chief");
    EXPECT_EQ(freshness("Opportunity", "Top__c").freshness, Freshness::Exact);
    house.edit("User", boss, {{"Title", text("Chairman")}});
    EXPECT_EQ(steps(house.cycle()), 1);
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "Chairman");
    house.edit("User", owner, {{"ManagerId", second}});
    house.cycle();
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "Vice");
    house.edit("Account", corporation, {{"OwnerId", boss}});
    house.cycle();
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "");
    house.edit("Account", corporation, {{"OwnerId", owner}});
    house.edit("Account", region, {{"ParentId", sandbox::Cell()}});
    house.cycle();
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "");
    house.edit("Account", branch, {{"ParentId", corporation}});
    house.edit("Account", corporation, {{"ParentId", region}});
    house.edit("Account", region, {{"OwnerId", owner}});
    house.cycle();
    EXPECT_EQ(value("top__c", "crm_opportunity", deal), "Vice");
    expect_in_step();
}

TEST_P(Formulas, of_formulas_are_followed_through_to_what_is_stored) {
    formula("Account", "Above__c", "TEXT(Parent.Industry)");
    formula("Account", "Own__c", "TEXT(Industry)");
    formula("Contact", "Above__c", "Account.Above__c");
    formula("Contact", "Twice__c", "Above__c");
    formula("Contact", "Own__c", "Account.Own__c");
    house.cycle();
    house.edit("Account", region, {{"Industry", text("Energy")}});
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(value("above__c", "crm_account", branch), "Energy");
    EXPECT_EQ(value("above__c", "crm_contact", contact), "Energy");
    EXPECT_EQ(value("twice__c", "crm_contact", contact), "Energy");
    EXPECT_EQ(value("own__c", "crm_contact", contact), "Media");
    EXPECT_EQ(step(report, "Contact")->calls, 1);
    house.edit("Account", branch, {{"Industry", text("Retail")}});
    house.cycle();
    EXPECT_EQ(value("own__c", "crm_contact", contact), "Retail");
    for (const char* const field : {"Above__c", "Twice__c", "Own__c"}) {
        EXPECT_EQ(freshness("Contact", field).freshness, Freshness::Exact) << field;
    }
    expect_in_step();
}

TEST_P(Formulas, notice_a_parent_that_is_deleted_and_one_that_comes_back) {
    formula("Contact", "Boss__c", "ReportsTo.Title");
    const std::string boss =
        house.create("Contact", {{"LastName", text("Boss")}, {"AccountId", corporation}, {"Title", text("Chief")}});
    house.edit("Contact", contact, {{"ReportsToId", boss}});
    house.cycle();
    EXPECT_EQ(value("boss__c", "crm_contact", contact), "Chief");
    house.remove("Contact", boss);
    house.cycle();
    EXPECT_EQ(value("boss__c", "crm_contact", contact), "");
    expect_in_step();
    house.undelete("Contact", boss);
    house.cycle();
    EXPECT_EQ(value("boss__c", "crm_contact", contact), "Chief");
    expect_in_step();
}

TEST_P(Formulas, follow_a_row_to_another_parent_with_the_row) {
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    house.edit("Account", corporation, {{"Industry", text("Energy")}});
    house.cycle();
    house.edit("Contact", contact, {{"AccountId", corporation}});
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(steps(report), 0);
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Energy");
    house.edit("Account", branch, {{"Industry", text("Retail")}});
    EXPECT_EQ(steps(house.cycle()), 0);
    expect_in_step();
}

TEST_P(Formulas, have_the_class_of_their_parent_s_change) {
    formula("Contact", "Industry__c", "TEXT(Account.Rating)");
    house.hide("Account", "Rating");
    house.cycle();
    const sync::FieldFreshness hidden = freshness("Contact", "Industry__c");
    EXPECT_EQ(hidden.freshness, Freshness::AsOf);
    EXPECT_EQ(hidden.reason, "Account.Rating is hidden from the sync user");
    EXPECT_TRUE(hidden.as_of.has_value());
    // Somebody changed the account now: what is hidden may have changed.
    house.edit("Account", branch, {{"Rating", text("Hot")}});
    house.cycle();
    EXPECT_EQ(last_change("crm_contact", contact).change.cls, store::Class::News);
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Hot");
    house.hide("Account", "Rating", false);
    house.pass(3600);
    house.cycle();
    EXPECT_EQ(value("rating", "crm_account", branch), "Hot");
    EXPECT_EQ(freshness("Contact", "Industry__c").freshness, Freshness::Exact);
    expect_in_step();
}

TEST_P(Formulas, of_opportunities_make_no_activity_unless_asked_for) {
    formula("Opportunity", "Industry__c", "TEXT(Account.Industry)");
    house.create("OpportunityContactRole", {{"OpportunityId", deal}, {"ContactId", contact}});
    house.cycle();
    const Strings before = house.history(contact);
    house.edit("Account", branch, {{"Industry", text("Energy")}});
    house.cycle();
    EXPECT_EQ(house.history(contact), before);
    house.rules_for_change().settings().activity_fields = {"Industry__c"};
    house.edit("Account", branch, {{"Industry", text("Retail")}});
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(report.activities, 1);
    ASSERT_EQ(house.history(contact).size(), before.size() + 1);
    EXPECT_THAT(house.history(contact).back(), HasSubstr(R"("old":"Energy","new":"Retail")"));
}

TEST_P(Formulas, that_depend_on_the_day_are_read_once_after_midnight_of_the_org) {
    // Rating changes without a word about it, as a day does.
    formula("Contact", "Days__c", "TEXT(Account.Rating)");
    tell("TEXT(Account.Rating)", "TEXT(TODAY() - CreatedDate)");
    house.cycle();  // 02:01 in Los Angeles
    const sync::FieldFreshness first = freshness("Contact", "Days__c");
    EXPECT_EQ(first.freshness, Freshness::AsOf);
    EXPECT_THAT(first.reason, HasSubstr("TODAY"));
    house.edit("Account", branch, {{"Rating", text("Hot")}});
    house.pass(21 * 3600);
    EXPECT_EQ(steps(house.cycle()), 0);
    EXPECT_EQ(value("days__c", "crm_contact", contact), "");
    house.pass(3600);
    const sync::CycleReport report = house.cycle();
    ASSERT_EQ(steps(report), 1);
    EXPECT_EQ(step(report, "Contact")->calls, 1);
    EXPECT_EQ(value("days__c", "crm_contact", contact), "Hot");
    EXPECT_EQ(last_change("crm_contact", contact).change.cls, store::Class::News);
    EXPECT_GT(*freshness("Contact", "Days__c").as_of, first.as_of->plus(21 * 3600));
    house.pass(3600);
    EXPECT_EQ(steps(house.cycle()), 0);
    // A change from a day nobody looked is no news.
    house.edit("Account", branch, {{"Rating", text("Cold")}});
    house.pass(3 * 86'400);
    house.cycle();
    EXPECT_EQ(value("days__c", "crm_contact", contact), "Cold");
    EXPECT_EQ(last_change("crm_contact", contact).change.cls, store::Class::CatchUp);
}

TEST_P(Formulas, that_are_new_or_changed_are_read_as_a_whole_without_news) {
    house.cycle();
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    const sync::CycleReport added = house.cycle();
    EXPECT_EQ(steps(added), 1);
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Media");
    EXPECT_EQ(last_change("crm_contact", contact).change.cls, store::Class::CatchUp);
    change_formula("Contact", "Industry__c", "Account.Phone");
    const sync::CycleReport changed = house.cycle();
    EXPECT_EQ(steps(changed), 1);
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "");
    EXPECT_EQ(last_change("crm_contact", contact).change.cls, store::Class::CatchUp);
    EXPECT_EQ(steps(house.cycle()), 0);
    house.edit("Account", branch, {{"Phone", text("555-1")}});
    house.cycle();
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "555-1");
    expect_in_step();
    const store::Catalog catalog = store::Catalog::read(house.reader());
    for (const store::MirrorField& field : catalog.find("Contact")->fields) EXPECT_TRUE(field.filled) << field.column;
}

TEST_P(Formulas, of_a_reading_that_failed_are_told_and_made_good_later) {
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    house.cycle();
    house.edit("Account", branch, {{"Industry", text("Energy")}});
    cycle_without_re_reading();
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Media");
    EXPECT_THAT(freshness("Contact", "Industry__c").reason, HasSubstr("its last reading failed"));
    house.cycle();
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Energy");
    EXPECT_EQ(freshness("Contact", "Industry__c").freshness, Freshness::Exact);
    EXPECT_TRUE(house.open_errors().empty());
    expect_in_step();
}

TEST_P(Formulas, are_read_as_a_whole_when_the_log_they_follow_was_pruned) {
    formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    house.cycle();
    house.edit("Account", branch, {{"Industry", text("Energy")}});
    cycle_without_re_reading();
    house.db().write([](store::Transaction& tx) {
        while (store::prune_log(tx, tx.now().plus(1), 1'000) > 0) {
        }
    });
    settle();
    house.cycle();
    EXPECT_EQ(value("industry__c", "crm_contact", contact), "Energy");
    EXPECT_EQ(freshness("Contact", "Industry__c").freshness, Freshness::Exact);
    expect_in_step();
    const sync::CycleReport report = house.cycle();
    EXPECT_EQ(steps(report), 0) << "it follows the log again";
}

TEST_P(Formulas, tell_how_far_they_can_be_relied_on) {
    formula("Contact", "Campaign__c", "TEXT(Account.Rating)");
    tell("TEXT(Account.Rating)", "$User.Alias");
    formula("Contact", "Own__c", "LastName");
    formula("Account", "Above__c", "TEXT(Parent.Industry)");
    formula("Contact", "Above__c", "Account.Above__c");
    house.add_field("Account", {.name = "Odd__c",
                                .label = "Odd",
                                .type = sandbox::Type::String,
                                .length = 80,
                                .createable = false,
                                .updateable = false,
                                .custom = true,
                                .calculated = true});
    house.cycle();
    EXPECT_EQ(freshness("Contact", "Campaign__c").freshness, Freshness::NotTrackable);
    EXPECT_THAT(freshness("Contact", "Campaign__c").reason, HasSubstr("$User.Alias"));
    EXPECT_EQ(freshness("Contact", "Own__c").freshness, Freshness::Exact);
    EXPECT_EQ(freshness("Contact", "Own__c").reason, "");
    EXPECT_EQ(freshness("Account", "LastActivityDate").freshness, Freshness::NotTrackable);
    EXPECT_EQ(freshness("Account", "LastViewedDate").freshness, Freshness::NotTrackable);
    EXPECT_EQ(freshness("Account", "Odd__c").freshness, Freshness::NotTrackable);
    house.spoil = nullptr;
    tell("TEXT(Parent.Industry)", "Parent.Industry +");
    house.cycle();
    EXPECT_EQ(freshness("Account", "Above__c").freshness, Freshness::NotTrackable);
    EXPECT_THAT(freshness("Account", "Above__c").reason, HasSubstr("ends at character"));
    EXPECT_THAT(freshness("Contact", "Above__c").reason, testing::StartsWith("by Account.Above__c: The formula"));
    const auto all = sync::freshness_of(house.reader(), store::Catalog::read(house.reader()), "Contact");
    EXPECT_FALSE(all.contains("LastName"));
    EXPECT_TRUE(sync::freshness_of(house.reader(), store::Catalog::read(house.reader()), "Nothing").empty());
}

TEST_P(Formulas, are_found_over_an_index) {
    formula("Contact", "Boss__c", "ReportsTo.Title");
    house.cycle();
    const char* const sql = GetParam() == store::Engine::Sqlite
                                ? "SELECT count(*) FROM sqlite_master WHERE name = 'crm_contact$reportstoid'"
                                : "SELECT count(*) FROM pg_indexes WHERE indexname = 'crm_contact$reportstoid' AND "
                                  "schemaname = current_schema()";
    EXPECT_EQ(house.reader().integer(sql), 1);
}

INSTANTIATE_TEST_SUITE_P(Engines, Formulas, testing::Values(store::Engine::Sqlite, store::Engine::Postgres),
                         [](const auto& info) {
                             return info.param == store::Engine::Sqlite ? "SQLite" : "PostgreSQL";
                         });

TEST(FormulasOfMany, are_read_the_way_that_costs_fewest_calls) {
    FormulaHouse it({});
    it.formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    for (int i = 0; i < 1500; ++i) it.person("P" + std::to_string(i), it.branch);
    it.settle();
    it.house.cycle();
    it.house.edit("Account", it.branch, {{"Industry", text("Energy")}});
    const sync::CycleReport whole = it.house.cycle();
    ASSERT_NE(it.step(whole, "Contact"), nullptr);
    EXPECT_EQ(it.step(whole, "Contact")->calls, 1);  // one page of the whole object, not eight by id
    EXPECT_EQ(it.step(whole, "Contact")->updated, 1501);
    it.expect_in_step();
    // From so many rows on an object is read by bulk job.
    it.house.rules_for_change().settings().bulk_from_rows = 1000;
    it.house.edit("Account", it.branch, {{"Industry", text("Retail")}});
    const sync::CycleReport bulk = it.house.cycle();
    EXPECT_EQ(it.step(bulk, "Contact")->updated, 1501);
    it.expect_in_step();
}

TEST(FormulasOfALoad, know_of_changes_between_the_load_of_a_row_and_that_of_its_parent) {
    FormulaHouse it({});
    it.house.add_field("Account", {.name = "Main__c",
                                   .label = "Main Contact",
                                   .type = sandbox::Type::Reference,
                                   .length = 18,
                                   .custom = true,
                                   .relationship = "Main__r",
                                   .reference_to = {"Contact"}});
    it.formula("Account", "Main_Title__c", "Main__r.Title");
    it.house.edit("Account", it.branch, {{"Main__c", it.contact}});
    it.settle();
    // Accounts are loaded before contacts, so that the contact's change is in no log row: it comes with its load.
    bool edited = false;
    it.house.spoil = [&](const http::Request& request, http::Response&) {
        if (edited || request.target.find("FROM+Account+ORDER") == std::string::npos) return;
        edited = true;
        it.house.edit("Contact", it.contact, {{"Title", text("Buyer")}});
    };
    const sync::CycleReport report = it.house.cycle();
    EXPECT_TRUE(edited);
    it.house.spoil = nullptr;
    EXPECT_EQ(it.value("main_title__c", "crm_account", it.branch), "Buyer");
    ASSERT_NE(it.step(report, "Account"), nullptr);
    EXPECT_EQ(it.last_change("crm_account", it.branch).change.cls, store::Class::CatchUp);
    it.expect_in_step();
}

TEST(FormulasOfTheDead, do_not_bring_their_people_back) {
    FormulaHouse it({});
    it.house.cycle();
    it.house.remove("Contact", it.contact);
    it.house.cycle();
    it.formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    it.house.add_field("Contact", {.name = "Tier__c", .label = "Tier", .type = sandbox::Type::Boolean, .custom = true});
    it.house.cycle();
    it.house.edit("Account", it.branch, {{"Industry", text("Energy")}});
    it.house.cycle();
    EXPECT_EQ(it.house.reader().integer("SELECT count(*) FROM identity WHERE crm_id = ? AND live",
                                        store::params(record::Cell::text(it.contact))),
              0);
    it.expect_in_step();
}

/// Each exact formula of each row here against what the org answers to a query; empty: equal.
Strings exact_formulas_that_differ(House& house) {
    Strings found;
    const store::Catalog catalog = store::Catalog::read(house.reader());
    salesforce::Connector connector(house.session());
    for (const store::MirrorObject& object : catalog.objects()) {
        const sync::FreshnessByField labels = sync::freshness_of(house.reader(), catalog, object.object.name);
        salesforce::Selection selection{.object = object.object.name, .fields = {*object.object.find("Id")}};
        selection.stamp.clear();
        std::string sql = "SELECT id";
        for (const store::MirrorField& field : object.fields) {
            const auto label = labels.find(field.field.name);
            if (field.field.formula.empty() || label == labels.end()) continue;
            if (label->second.freshness != Freshness::Exact) continue;
            selection.fields.push_back(field.field);
            sql += ", " + store::quoted(field.column);
        }
        if (selection.fields.size() == 1) continue;
        std::map<std::string, Strings> ours;
        house.reader().query(sql + " FROM " + object.table, {}, [&](std::span<const record::Cell> row) {
            Strings& values = ours[record::to_text(row[0])];
            for (const record::Cell& cell : row.subspan(1)) values.push_back(record::to_text(cell));
            return true;
        });
        const auto read = connector.read(selection, [&](salesforce::Page&& page) -> Result<void> {
            for (std::size_t i = 0; i < page.rows.rows(); ++i) {
                const auto row = page.rows.row(i);
                const std::string id = record::to_text(row[0]);
                for (std::size_t f = 1; f < row.size(); ++f) {
                    const std::string theirs = record::to_text(row[f]);
                    const std::string here = ours.contains(id) ? ours[id][f - 1] : "(no row)";
                    if (theirs == here) continue;
                    found.push_back(object.object.name + " " + id + "." + selection.fields[f].name + ": theirs \"" +
                                    theirs + "\", here \"" + here + "\"");
                }
            }
            return {};
        });
        if (!read.ok()) throw std::runtime_error(to_string(read.error()));
    }
    if (found.size() > 20) found.resize(20);
    return found;
}

/// Whatever people do in an org with formulas over five objects, and whatever the wire does, after a cycle that went
/// well each exact formula is what the org answers. The org reckons, Lockstep only reads what the formulas say.
class FormulasOfALivingOrg : public testing::TestWithParam<int> {};

TEST_P(FormulasOfALivingOrg, are_the_org_s_after_every_cycle_that_went_well) {
    using sandbox::Type;
    const auto seed = static_cast<std::uint64_t>(GetParam());
    const auto random = seeded_random(seed * 6007 + 5);
    FormulaHouse it({.people = 80, .seed = seed, .bulk_from_rows = seed % 2 == 0 ? 30 : 10'000});
    SCOPED_TRACE("seed " + std::to_string(seed));
    struct Made {
        const char *object, *name, *text;
        Type type = Type::String;
    };
    const Made formulas[] = {
        {"Account", "F0__c", R"(TEXT(Parent.Industry) & "/" & Owner.Title)"},
        {"Account", "F1__c", "BLANKVALUE(NumberOfEmployees, 0) + 2 * BLANKVALUE(Parent.NumberOfEmployees, 0)",
         Type::Double},
        {"Account", "F2__c", R"(IF(ISBLANK(ParentId), "top", Parent.Owner.Manager.Title))"},
        {"Contact", "F3__c", R"(BLANKVALUE(TEXT(Account.Industry), "none") & " / " & Account.Name /* Account.Site */)"},
        {"Contact", "F4__c", "Account.F1__c / 2", Type::Double},
        {"Contact", "F5__c", "AND(NOT(ISBLANK(ReportsToId)), ReportsTo.Account.Owner.Title = Account.Owner.Title)",
         Type::Boolean},
        {"Contact", "F6__c", "F3__c & \"; \" & Title"},
        {"Lead", "F7__c", "Owner:User.Title & CreatedBy.Title"},
        {"Lead", "F8__c", "TEXT(ConvertedAccount.Industry)"},
        {"Opportunity", "F9__c", R"(CASE(Account.Parent.Parent.Industry, "Media", 1, 'Energy', 2, 3) * Amount)",
         Type::Double},
        {"Opportunity", "F10__c", "Account.F2__c"},
        {"Opportunity", "F11__c", "IF(IsWon, UPPER(Owner.Manager.Title), LOWER(Owner.Title))"},
        {"OpportunityContactRole", "F12__c", "TEXT(Opportunity.Account.Industry) & TEXT(Role)"},
        {"OpportunityContactRole", "F13__c", "Contact.ReportsTo.Title"},
        {"Opportunity", "Open_Days__c", "TODAY() - DATEVALUE(CreatedDate)", Type::Double},
        {"Contact", "Reader__c", "$User.LastName & TEXT(NOW())"},
    };
    for (const Made& made : formulas) it.formula(made.object, made.name, made.text, made.type);
    const auto some = [&](const char* object) {
        const auto lock = it.house.org().read_lock();
        const int index = it.house.org().schema().find(object);
        for (int tries = 0; tries < 50; ++tries) {
            const auto rows = static_cast<std::uint64_t>(it.house.org().rows(index));
            const auto row = static_cast<std::int64_t>(random->below(rows));
            if (it.house.org().life(index, row) == sandbox::Org::Life::Live) return it.house.org().id_of(index, row);
        }
        return std::string();
    };
    const auto try_edit = [&](const char* object, const std::string& id, const House::Field& field) {
        try {
            it.house.edit(object, id, {field});
        } catch (const std::runtime_error&) {
            return;  // what the org refuses does not happen
        }
    };
    const char* const words[] = {"Media", "Energy", "Retail", "Banking"};
    for (int round = 0; round < 10; ++round) {
        for (std::uint64_t edits = random->below(12); edits > 0; --edits) {
            const std::string word = words[random->below(4)];
            switch (random->below(8)) {
                case 0:
                case 1:
                    try_edit("Account", some("Account"), {"Industry", word});
                    break;
                case 2:
                    try_edit("Account", some("Account"), {"ParentId", some("Account")});
                    break;
                case 3:
                    try_edit("Account", some("Account"),
                             {"NumberOfEmployees", static_cast<std::int64_t>(random->below(1000))});
                    break;
                case 4:
                    try_edit("User", some("User"), {"Title", word});
                    break;
                case 5:
                    try_edit("User", some("User"), {"ManagerId", some("User")});
                    break;
                case 6:
                    try_edit("Contact", some("Contact"), {"ReportsToId", some("Contact")});
                    break;
                default:
                    try_edit("Account", some("Account"), {"OwnerId", some("User")});
            }
        }
        if (random->below(2) == 0) {
            const auto lock = it.house.org().write_lock();
            it.house.org().live(*random, static_cast<int>(random->below(20)));
        }
        it.house.pass(static_cast<std::int64_t>(random->below(3000)));
        const std::uint64_t odds = round < 6 ? random->below(8) : 0;
        it.house.wire = [&, odds](const http::Request& request) -> std::optional<Error> {
            if (odds == 0 || request.target.find("/services/data") == std::string::npos) return std::nullopt;
            if (random->below(100) >= odds) return std::nullopt;
            return Error{.kind = random->below(2) == 0 ? Kind::Unavailable : Kind::BadReply, .what = "The wire failed"};
        };
        if (random->below(4) == 0) it.house.restart();
        const bool went_well = it.house.try_cycle();
        it.house.wire = nullptr;
        if (!went_well) continue;
        EXPECT_EQ(exact_formulas_that_differ(it.house), Strings()) << "round " << round;
        if (testing::Test::HasFailure()) return;
    }
    it.house.cycle();
    EXPECT_EQ(exact_formulas_that_differ(it.house), Strings());
    for (const Made& made : formulas) {
        const bool exact = made.name[0] == 'F';
        const sync::FieldFreshness label = it.freshness(made.object, made.name);
        EXPECT_EQ(label.freshness == Freshness::Exact, exact) << made.object << "." << made.name << label.reason;
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, FormulasOfALivingOrg, testing::Range(1, 5));

TEST(FormulasAndKill, at_any_commit_of_a_re_reading_lose_nothing) {
    FormulaHouse it({});
    it.formula("Contact", "Industry__c", "TEXT(Account.Industry)");
    it.formula("Opportunity", "Above__c", "TEXT(Account.Parent.Industry)");
    it.house.cycle();
    int deaths = 0;
    for (int commit = 1; commit <= 60; ++commit) {
        const std::string round = std::to_string(commit);
        it.house.edit("Account", it.branch, {{"Industry", "Energy " + round}});
        it.house.edit("Account", it.region, {{"Industry", "Retail " + round}});
        it.change_formula("Opportunity", "Above__c",
                          commit % 2 == 0 ? "TEXT(Account.Parent.Industry)" : "TEXT(Account.Parent.Parent.Industry)");
        it.settle();
        it.house.close();
        const pid_t child = ::fork();
        if (child == 0) {
            it.house.restart();
            bool reading = false;
            it.house.wire = [&](const http::Request& request) -> std::optional<Error> {
                reading = reading || request.target.find("Id+IN+(") != std::string::npos;
                return std::nullopt;
            };
            it.house.world().crash_point = [&, seen = 0](const char*) mutable {
                if (reading && ++seen == commit) ::kill(::getpid(), SIGKILL);
            };
            it.house.try_cycle();
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        it.house.restart();
        it.house.cycle();
        ASSERT_EQ(it.house.differences(), Strings()) << "killed after commit " << commit;
        if (!WIFSIGNALED(status)) break;
        ++deaths;
    }
    EXPECT_GE(deaths, 4);
}

}  // namespace
}  // namespace lockstep::tests

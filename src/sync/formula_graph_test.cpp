#include "sync/formula_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>

#include "base/text.h"

namespace lockstep::sync {
namespace {

using record::Cell;
using record::Field;
using record::Freshness;
using record::Value;
using store::Change;
using store::ChangeKind;
using testing::ElementsAre;
using testing::HasSubstr;

Field field(const std::string& name, const std::string& type = "string") {
    return {.name = name, .label = name, .type = type, .form = *record::form_of(type)};
}
Field reference(const std::string& name, const std::string& relationship, std::vector<std::string> to) {
    Field made = field(name, "reference");
    made.relationship = relationship;
    made.reference_to = std::move(to);
    return made;
}
Field formula(const std::string& name, const std::string& text, const std::string& type = "string") {
    Field made = field(name, type);
    made.calculated = true;
    made.formula = text;
    return made;
}

/// A catalog of a few objects; each test adds what it asks about.
class Graph : public testing::Test {
protected:
    Graph() {
        objects_["User"] = {field("Name"), field("Title"), reference("ManagerId", "Manager", {"User"})};
        objects_["Group"] = {field("Name")};
        objects_["RecordType"] = {field("Name"), field("DeveloperName")};
        objects_["Account"] = {field("Name"),
                               field("Industry"),
                               field("AnnualRevenue", "currency"),
                               field("CurrencyIsoCode"),
                               field("LastActivityDate", "date"),
                               field("BillingCity"),
                               field("BillingCountry"),
                               field("Place__Latitude__s", "double"),
                               reference("ParentId", "Parent", {"Account"}),
                               reference("OwnerId", "Owner", {"User"}),
                               reference("CampaignId", "Campaign", {"Campaign"})};
        objects_["Lead"] = {field("Name"), field("Amount__c", "currency"),
                            reference("OwnerId", "Owner", {"Group", "User"}),
                            reference("RecordTypeId", "RecordType", {"RecordType"}),
                            reference("Account__c", "Account__r", {"Account"})};
        std::filesystem::remove(path_);
    }
    ~Graph() override {
        database_.reset();
        std::filesystem::remove(path_);
    }

    void add(const std::string& object, Field one) { objects_[object].push_back(std::move(one)); }

    FormulaGraph& graph() {
        if (graph_) return *graph_;
        database_ = store::Database::open(path_.string(), world_);
        for (const auto& [name, fields] : objects_) {
            record::Object described{.name = name, .label = name, .fields = {field("Id", "id")}};
            described.fields.insert(described.fields.end(), fields.begin(), fields.end());
            catalog_.take(*database_, described);
        }
        const FormulaGraph::Scope scope{
            .followed = [this](const store::MirrorObject& object) { return object.object.name != not_loaded; },
            .multi_currency = multi_currency};
        return graph_.emplace(catalog_, scope);
    }
    FormulaGraph::Label label(const std::string& object, const std::string& name) {
        const store::MirrorObject& mirror = *mirrored(object);
        const auto found = graph().label(mirror, *mirror.find(name));
        if (!found) throw std::runtime_error(name + " has no label");
        return *found;
    }
    const store::MirrorObject* mirrored(const std::string& object) {
        graph();
        return catalog_.find(object);
    }
    const FormulaGraph::Target& target(const std::string& object) {
        for (const FormulaGraph::Target& one : graph().targets()) {
            if (one.object->object.name == object) return one;
        }
        throw std::runtime_error(object + " has no formulas");
    }
    /// "account__c>crm_account: industry ownerid", one a route.
    std::vector<std::string> routes(const std::string& object) {
        std::vector<std::string> told;
        for (const FormulaGraph::Route& route : target(object).routes) {
            std::string line;
            for (const FormulaGraph::Hop& hop : route.hops) {
                line += (line.empty() ? "" : "/") + hop.reference->column + ">" + hop.to->table;
            }
            line += ":";
            for (const auto& [column, formulas] : route.by_column) line += " " + column;
            if (!route.by_any.empty()) line += " *";
            told.push_back(line);
        }
        return told;
    }

    std::string not_loaded;
    bool multi_currency = false;

private:
    ManualClock clock_{{1'795'510'800}};
    std::unique_ptr<Random> random_ = seeded_random(1);
    World world_{.clock = clock_, .random = *random_};
    std::filesystem::path path_ =
        std::filesystem::temp_directory_path() / ("lockstep-graph-" + std::to_string(::getpid()) + ".db");
    std::map<std::string, std::vector<Field>> objects_;
    std::unique_ptr<store::Database> database_;
    store::Catalog catalog_;
    std::optional<FormulaGraph> graph_;
};

TEST_F(Graph, a_path_is_a_route_to_each_object_on_it) {
    add("Lead", formula("F__c", "Account__r.Owner.Title & account__R.industry & Name"));
    EXPECT_EQ(label("Lead", "F__c").freshness, Freshness::Exact);
    EXPECT_THAT(routes("Lead"), ElementsAre("account__c>crm_account: industry ownerid",
                                            "account__c>crm_account/ownerid>crm_user: title"));
}

TEST_F(Graph, a_formula_over_its_own_row_needs_no_route_but_counts_for_others) {
    add("Account", formula("Own__c", "UPPER(Industry) & OwnerId"));
    add("Lead", formula("F__c", "Account__r.Own__c"));
    EXPECT_TRUE(target("Account").routes.empty());
    EXPECT_THAT(routes("Lead"), ElementsAre("account__c>crm_account: industry ownerid"));
    EXPECT_EQ(label("Lead", "F__c").freshness, Freshness::Exact);
}

TEST_F(Graph, a_reference_to_several_objects_is_followed_to_each_or_to_the_type_that_is_asked_for) {
    add("Lead", formula("Any__c", "Owner.Name"));
    add("Lead", formula("User__c", "Owner:User.Title"));
    add("Lead", formula("Queue__c", "Owner:Queue.Name"));
    add("Lead", formula("Title__c", "Owner.Title"));
    add("Lead", formula("Odd__c", "Owner:Account.Name"));
    EXPECT_THAT(routes("Lead"), ElementsAre("ownerid>crm_group: name", "ownerid>crm_user: name title"));
    for (const char* const name : {"Any__c", "User__c", "Queue__c", "Title__c"}) {
        EXPECT_EQ(label("Lead", name).freshness, Freshness::Exact) << name << label("Lead", name).reason;
    }
    EXPECT_EQ(label("Lead", "Odd__c").reason, "Lead.OwnerId never refers to Account");
}

TEST_F(Graph, what_is_hidden_or_not_mirrored_makes_a_formula_as_of) {
    not_loaded = "Group";
    add("Lead", formula("Hidden__c", "Account__r.Secret__c"));
    add("Lead", formula("Own__c", "Secret__c"));
    add("Lead", formula("Link__c", "Region__r.Name"));
    add("Lead", formula("Campaign__c", "Account__r.Campaign.Name"));
    add("Lead", formula("Queue__c", "Owner:Queue.Name"));
    for (const char* const name : {"Hidden__c", "Own__c", "Link__c", "Campaign__c", "Queue__c"}) {
        EXPECT_EQ(label("Lead", name).freshness, Freshness::AsOf) << name;
    }
    EXPECT_EQ(label("Lead", "Hidden__c").reason, "Account.Secret__c is hidden from the sync user");
    EXPECT_EQ(label("Lead", "Own__c").reason, "Lead.Secret__c is hidden from the sync user");
    EXPECT_EQ(label("Lead", "Link__c").reason, "Lead shows the sync user no relationship Region__r");
    EXPECT_EQ(label("Lead", "Campaign__c").reason, "Campaign is not mirrored");
    EXPECT_EQ(label("Lead", "Queue__c").reason, "Group is not loaded yet");
    // Any change of the account may be the hidden field's.
    EXPECT_THAT(routes("Lead"), ElementsAre("account__c>crm_account: campaignid *"));
}

TEST_F(Graph, compound_fields_are_their_parts) {
    add("Lead", formula("City__c", "ISBLANK(Account__r.BillingAddress)", "boolean"));
    add("Lead", formula("Far__c", "DISTANCE(Account__r.Place__c, GEOLOCATION(1, 2), 'km')", "double"));
    EXPECT_THAT(routes("Lead"), ElementsAre("account__c>crm_account: billingcity billingcountry place__latitude__s"));
    EXPECT_EQ(label("Lead", "Far__c").freshness, Freshness::Exact);
}

TEST_F(Graph, formulas_that_go_in_a_circle_are_not_trackable) {
    add("Account", formula("A__c", "Parent.B__c"));
    add("Account", formula("B__c", "A__c"));
    EXPECT_EQ(label("Account", "B__c").freshness, Freshness::NotTrackable);
    EXPECT_THAT(label("Account", "B__c").reason, HasSubstr("it refers to itself"));
}

TEST_F(Graph, a_weakness_is_told_with_the_path_that_leads_to_it) {
    add("Account", formula("Days__c", "TODAY() - LastActivityDate", "double"));
    add("Account", formula("Age__c", "TODAY() - CreatedDate", "double"));
    add("Account", field("CreatedDate", "datetime"));
    add("Lead", formula("Age__c", "Account__r.Parent.Age__c", "double"));
    add("Lead", formula("Type__c", "$RecordType.DeveloperName"));
    EXPECT_EQ(label("Account", "Days__c").freshness, Freshness::NotTrackable);
    EXPECT_THAT(label("Account", "Days__c").reason, HasSubstr("by LastActivityDate: it follows tasks"));
    EXPECT_EQ(label("Lead", "Age__c").freshness, Freshness::AsOf);
    EXPECT_EQ(label("Lead", "Age__c").reason, "by Account__r.Parent.Age__c: it depends on the day (TODAY)");
    EXPECT_EQ(label("Lead", "Type__c").freshness, Freshness::Exact);
}

TEST_F(Graph, amounts_of_other_records_are_converted_where_there_are_several_currencies) {
    add("Lead", formula("Theirs__c", "Account__r.AnnualRevenue", "currency"));
    add("Lead", formula("Own__c", "Amount__c * 2", "currency"));
    multi_currency = true;
    EXPECT_EQ(label("Lead", "Theirs__c").freshness, Freshness::AsOf);
    EXPECT_THAT(label("Lead", "Theirs__c").reason, HasSubstr("currency rates"));
    EXPECT_EQ(label("Lead", "Own__c").freshness, Freshness::Exact);
    EXPECT_THAT(routes("Lead"), ElementsAre("account__c>crm_account: annualrevenue currencyisocode"));
}

TEST_F(Graph, fields_that_behave_like_formulas_have_labels_too) {
    Field roll_up = field("Total__c", "currency");
    roll_up.calculated = true;
    Field unseen = field("Unseen__c");
    unseen.calculated = true;
    add("Account", roll_up);
    add("Account", unseen);
    add("Account", field("ConvertedAmount", "currency"));
    add("Account", field("LastViewedDate", "datetime"));
    EXPECT_EQ(label("Account", "Total__c").freshness, Freshness::Exact);
    for (const char* const name : {"Unseen__c", "ConvertedAmount", "LastViewedDate", "LastActivityDate"}) {
        EXPECT_EQ(label("Account", name).freshness, Freshness::NotTrackable) << name;
    }
    EXPECT_EQ(graph().label(*mirrored("Account"), *mirrored("Account")->find("Industry")), std::nullopt);
}

TEST_F(Graph, a_change_touches_the_formulas_that_are_made_of_it) {
    add("Lead", formula("A__c", "Account__r.Industry"));
    add("Lead", formula("B__c", "Account__r.Owner.Title"));
    add("Lead", formula("C__c", "Account__r.Secret__c"));
    const FormulaGraph::Route& route = target("Lead").routes.front();
    ASSERT_EQ(route.hops.size(), 1U);
    const auto touched = [&](ChangeKind kind, const char* column, const char* before, const char* after,
                             const char* table = "crm_account") {
        const FormulaGraph::Formulas found = FormulaGraph::Target::touched(
            route, Change{.table = table,
                          .record = "001",
                          .kind = kind,
                          .fields = {{column, Value(Cell::text(before)), Value(Cell::text(after))}}});
        return std::vector<std::size_t>(found.begin(), found.end());
    };
    EXPECT_THAT(touched(ChangeKind::Update, "industry", "a", "b"), ElementsAre(0, 2));
    EXPECT_THAT(touched(ChangeKind::Update, "ownerid", "a", "b"), ElementsAre(1, 2));
    EXPECT_THAT(touched(ChangeKind::Update, "ownerid", "a", "a"), ElementsAre(2));
    EXPECT_THAT(touched(ChangeKind::Update, "name", "a", "b"), ElementsAre(2));
    EXPECT_THAT(touched(ChangeKind::Delete, "name", "a", "a"), ElementsAre(0, 1, 2));
    EXPECT_THAT(touched(ChangeKind::Undelete, "name", "a", "a"), ElementsAre(0, 1, 2));
    EXPECT_THAT(touched(ChangeKind::Insert, "name", "", "a"), ElementsAre(0, 1, 2));
    EXPECT_THAT(touched(ChangeKind::Snapshot, "rows", "", "a"), ElementsAre());
    EXPECT_THAT(touched(ChangeKind::Update, "industry", "a", "b", "crm_lead"), ElementsAre());
}

}  // namespace
}  // namespace lockstep::sync

#include "sandbox/generate.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {
namespace {

using std::int64_t;

constexpr const char* kComputed[] = {
    "Account", "Contact", "Lead",          "Opportunity", "OpportunityContactRole", "OpportunityHistory",
    "Task",    "Event",   "CampaignMember"};

const Timestamp kStart = *parse_timestamp("2026-11-24T12:00:00Z");

OrgOptions options(int64_t people, std::uint64_t seed = 1) {
    OrgOptions made;
    made.people = people;
    made.seed = seed;
    made.start = kStart;
    return made;
}

/// Reads an org by names.
class Look {
public:
    explicit Look(const Org& org) : org_(org) {}
    int object(const char* name) const { return org_.schema().find(name); }
    int64_t rows(const char* name) const { return org_.rows(object(name)); }
    Cell cell(const char* name, int64_t row, const char* field) const {
        const int at = object(name);
        return org_.value(at, row, org_.schema().at(at).find(field));
    }
    std::string text(const char* name, int64_t row, const char* field) const {
        const int at = object(name);
        const int place = org_.schema().at(at).find(field);
        return plain_text(org_.schema().at(at).fields[static_cast<std::size_t>(place)].type,
                          org_.value(at, row, place));
    }
    int64_t number(const char* name, int64_t row, const char* field) const {
        return std::get<int64_t>(cell(name, row, field));
    }
    bool live(const char* name, int64_t row) const { return org_.life(object(name), row) == Org::Life::Live; }
    /// The row that a reference leads to; -1: the field is null.
    int64_t target(const char* name, int64_t row, const char* field, const char* to) const {
        const std::string id = text(name, row, field);
        if (id.empty()) return -1;
        const std::optional<int64_t> found = org_.row_of(object(to), id);
        EXPECT_TRUE(found.has_value()) << name << "." << field << " " << id;
        return found.value_or(-1);
    }

private:
    const Org& org_;
};

std::string all_text(const Org& org, const char* name) {
    const int object = org.schema().find(name);
    std::vector<int> fields;
    for (std::size_t i = 0; i < org.schema().at(object).fields.size(); ++i) fields.push_back(static_cast<int>(i));
    const Projection projection(org, object, fields);
    std::string out;
    for (int64_t row = 0; row < org.rows(object); ++row) {
        projection.append_csv(row, out);
        out += '\n';
    }
    return out;
}

RC_GTEST_PROP(RowIds, every_row_has_an_id_that_leads_back_to_it, ()) {
    const RowIds ids("006", "Opportunity", *rc::gen::arbitrary<std::uint64_t>());
    const int64_t row = *rc::gen::inRange<int64_t>(0, 20'000'000);
    const std::string id = ids.of(row);
    RC_ASSERT(id.size() == 18U);
    RC_ASSERT(id.starts_with("006"));
    RC_ASSERT(id.substr(15) == id_suffix(id.substr(0, 15)));
    RC_ASSERT(ids.row_of(id) == std::optional<int64_t>(row));
    RC_ASSERT(id < ids.of(row + 1));
    RC_ASSERT(!RowIds("001", "Account", 1).row_of(id).has_value());
}

TEST(Generator, an_org_has_the_rows_its_people_make) {
    const std::map<std::string, int64_t> counts = generated_counts(options(300'000));
    EXPECT_EQ(counts.at("Lead"), 150'000);
    EXPECT_EQ(counts.at("Contact"), 150'000);
    EXPECT_EQ(counts.at("Account"), 50'000);
    EXPECT_EQ(counts.at("Opportunity"), 150'000);
    EXPECT_EQ(counts.at("OpportunityContactRole"), 180'000);
    EXPECT_EQ(counts.at("OpportunityHistory"), 450'000);
    EXPECT_EQ(counts.at("Task"), 450'000);
    EXPECT_EQ(counts.at("Event"), 75'000);
    EXPECT_EQ(counts.at("Campaign"), 84);
    EXPECT_EQ(counts.at("CampaignMember"), 360'000);
    OrgOptions wide = options(300'000);
    wide.counts = {{"Opportunity", 1'000'000}, {"OpportunityContactRole", 1'200'000}};
    EXPECT_EQ(generated_counts(wide).at("Opportunity"), 1'000'000);
    EXPECT_EQ(generated_counts(wide).at("Contact"), 150'000);
    EXPECT_EQ(generated_counts(wide).at("OpportunityContactRole"), 1'200'000);
}

TEST(Generator, an_org_without_people_has_users_and_settings_only) {
    const Org org(options(0));
    const Look look(org);
    for (const char* object : kComputed) EXPECT_EQ(look.rows(object), 0) << object;
    EXPECT_EQ(look.rows("Campaign"), 0);
    EXPECT_EQ(look.rows("Organization"), 1);
    EXPECT_GE(look.rows("User"), 25);
    EXPECT_EQ(look.rows("Group"), 3);
    EXPECT_EQ(look.rows("OpportunityStage"), 10);
    EXPECT_EQ(look.rows("LeadStatus"), 4);
    EXPECT_EQ(look.text("User", 0, "LastName"), "Automated Process");
    EXPECT_EQ(look.text("User", kIntegrationUserRow, "Id"), org.integration_user_id());
    EXPECT_EQ(look.text("Organization", 0, "Id"), org.organization_id());
    int64_t inactive = 0;
    for (int64_t row = 0; row < look.rows("User"); ++row) inactive += look.cell("User", row, "IsActive") == Cell{false};
    EXPECT_EQ(inactive, kInactiveSales);
}

TEST(Generator, the_same_seed_gives_the_same_org_and_another_seed_another) {
    const Org org(options(400));
    const Org again(options(400));
    const Org other(options(400, 2));
    for (const char* object : kComputed) {
        EXPECT_EQ(all_text(org, object), all_text(again, object)) << object;
        EXPECT_NE(all_text(org, object), all_text(other, object)) << object;
    }
    EXPECT_NE(org.organization_id(), other.organization_id());
}

TEST(Generator, rows_are_dated_before_the_start_and_touched_after_they_were_made) {
    const Org org(options(6000));
    const Look look(org);
    const int64_t start = org.start().seconds;
    for (const char* object : kComputed) {
        if (std::string_view(object) == "OpportunityHistory") continue;  // is never modified
        std::map<int64_t, int> same_second;
        for (int64_t row = 0; row < look.rows(object); ++row) {
            const int64_t created = look.number(object, row, "CreatedDate");
            const int64_t modified = look.number(object, row, "LastModifiedDate");
            const int64_t system = look.number(object, row, "SystemModstamp");
            ASSERT_GE(created, start - 3 * 365 * 86400) << object << row;
            ASSERT_LE(created, modified) << object << row;
            ASSERT_LE(modified, system) << object << row;
            ASSERT_LT(system, start) << object << row;
            ASSERT_EQ(system, org.modstamp(look.object(object), row).seconds);
            ++same_second[system];
        }
        int most = 0;
        for (const auto& [second, rows] : same_second) most = std::max(most, rows);
        EXPECT_GE(most, 10) << object << ": bulk loads and mass updates share seconds";
    }
}

TEST(Generator, references_lead_to_rows_that_are_live_and_older) {
    const Org org(options(6000));
    const Look look(org);
    for (int64_t row = 0; row < look.rows("Contact"); ++row) {
        const int64_t account = look.target("Contact", row, "AccountId", "Account");
        if (account < 0) continue;
        ASSERT_LE(look.number("Account", account, "CreatedDate"), look.number("Contact", row, "CreatedDate"));
        if (look.live("Contact", row)) {
            ASSERT_TRUE(look.live("Account", account)) << row;
        }
        const int64_t boss = look.target("Contact", row, "ReportsToId", "Contact");
        if (boss >= 0) {
            ASSERT_EQ(look.target("Contact", boss, "AccountId", "Account"), account);
        }
    }
    for (int64_t row = 0; row < look.rows("Opportunity"); ++row) {
        const int64_t account = look.target("Opportunity", row, "AccountId", "Account");
        if (account >= 0) {
            ASSERT_LE(look.number("Account", account, "CreatedDate"), look.number("Opportunity", row, "CreatedDate"));
            if (look.live("Opportunity", row)) {
                ASSERT_TRUE(look.live("Account", account)) << row;
            }
        }
        const int64_t owner = look.target("Opportunity", row, "OwnerId", "User");
        ASSERT_GE(owner, kFirstSalesRow);
        const int64_t campaign = look.target("Opportunity", row, "CampaignId", "Campaign");
        if (campaign >= 0) {
            ASSERT_LT(campaign, look.rows("Campaign"));
        }
    }
}

TEST(Generator, an_opportunity_has_at_most_one_primary_role_and_shows_its_contact) {
    const Org org(options(6000));
    const Look look(org);
    std::map<int64_t, int64_t> primary;
    std::map<int64_t, int> roles;
    int64_t own = 0;
    for (int64_t row = 0; row < look.rows("OpportunityContactRole"); ++row) {
        const int64_t deal = look.target("OpportunityContactRole", row, "OpportunityId", "Opportunity");
        const int64_t contact = look.target("OpportunityContactRole", row, "ContactId", "Contact");
        ++roles[deal];
        if (look.live("OpportunityContactRole", row)) {
            ASSERT_TRUE(look.live("Opportunity", deal) && look.live("Contact", contact));
        }
        ASSERT_GE(look.number("OpportunityContactRole", row, "CreatedDate"),
                  look.number("Opportunity", deal, "CreatedDate"));
        own += look.cell("Opportunity", deal, "AccountId") == look.cell("Contact", contact, "AccountId");
        if (look.cell("OpportunityContactRole", row, "IsPrimary") == Cell{true}) {
            ASSERT_TRUE(primary.emplace(deal, contact).second) << "two primary roles on " << deal;
        }
    }
    const int64_t deals = look.rows("Opportunity");
    EXPECT_NEAR(static_cast<double>(deals - static_cast<int64_t>(roles.size())) / static_cast<double>(deals), 0.2,
                0.02);
    EXPECT_GT(own, look.rows("OpportunityContactRole") * 85 / 100);
    for (int64_t row = 0; row < deals; ++row) {
        const int64_t shown = look.target("Opportunity", row, "ContactId", "Contact");
        const auto found = primary.find(row);
        const bool contact_live = found != primary.end() && look.live("Contact", found->second);
        ASSERT_EQ(shown, contact_live ? found->second : -1) << row;
    }
}

TEST(Generator, a_converted_lead_points_to_a_contact_of_its_name_its_account_and_a_deal_of_that_account) {
    const Org org(options(20000));
    const Look look(org);
    int64_t converted = 0;
    int64_t with_deal = 0;
    std::set<int64_t> contacts;
    for (int64_t row = 0; row < look.rows("Lead"); ++row) {
        if (look.cell("Lead", row, "IsConverted") != Cell{true}) {
            ASSERT_EQ(look.cell("Lead", row, "ConvertedContactId"), Cell{});
            continue;
        }
        ++converted;
        const int64_t contact = look.target("Lead", row, "ConvertedContactId", "Contact");
        ASSERT_GE(contact, 0);
        ASSERT_TRUE(contacts.insert(contact).second) << "two leads became contact " << contact;
        ASSERT_EQ(look.text("Lead", row, "Name"), look.text("Contact", contact, "Name"));
        ASSERT_EQ(look.text("Lead", row, "Email"), look.text("Contact", contact, "Email"));
        ASSERT_EQ(look.text("Lead", row, "ConvertedAccountId"), look.text("Contact", contact, "AccountId"));
        ASSERT_EQ(look.text("Lead", row, "Status"), "Closed - Converted");
        ASSERT_LE(look.number("Lead", row, "CreatedDate"), look.number("Contact", contact, "CreatedDate"));
        ASSERT_LE(look.number("Contact", contact, "CreatedDate") / 86400, look.number("Lead", row, "ConvertedDate"));
        const int64_t deal = look.target("Lead", row, "ConvertedOpportunityId", "Opportunity");
        if (deal < 0) continue;
        ++with_deal;
        ASSERT_EQ(look.text("Opportunity", deal, "AccountId"), look.text("Lead", row, "ConvertedAccountId"));
    }
    EXPECT_NEAR(static_cast<double>(converted) / static_cast<double>(look.rows("Lead")), 0.05, 0.005);
    EXPECT_NEAR(static_cast<double>(with_deal) / static_cast<double>(converted), 0.7, 0.08);
}

TEST(Generator, stages_carry_the_probability_of_their_stage_and_closed_deals_lie_in_the_past) {
    const Org org(options(6000));
    const Look look(org);
    std::map<std::string, int64_t> stages;
    for (int64_t row = 0; row < look.rows("OpportunityStage"); ++row) {
        stages[look.text("OpportunityStage", row, "MasterLabel")] = row;
    }
    int64_t open = 0;
    std::vector<double> logs;
    for (int64_t row = 0; row < look.rows("Opportunity"); ++row) {
        const int64_t stage = stages.at(look.text("Opportunity", row, "StageName"));
        const std::pair<const char*, const char*> same[] = {{"Probability", "DefaultProbability"},
                                                            {"IsClosed", "IsClosed"},
                                                            {"IsWon", "IsWon"},
                                                            {"ForecastCategory", "ForecastCategory"},
                                                            {"ForecastCategoryName", "ForecastCategoryName"}};
        for (const auto& [field, of_stage] : same) {
            ASSERT_EQ(look.cell("Opportunity", row, field), look.cell("OpportunityStage", stage, of_stage)) << field;
        }
        const bool closed = look.cell("Opportunity", row, "IsClosed") == Cell{true};
        open += closed ? 0 : 1;
        if (closed) {
            ASSERT_LE(look.number("Opportunity", row, "CloseDate"), day_of(kStart).days);
        }
        const CivilDate day = civil(Date{static_cast<std::int32_t>(look.number("Opportunity", row, "CloseDate"))});
        ASSERT_EQ(look.number("Opportunity", row, "FiscalYear"), day.year);
        ASSERT_EQ(look.number("Opportunity", row, "FiscalQuarter"), (day.month + 2) / 3);
        const Cell amount = look.cell("Opportunity", row, "Amount");
        if (is_null(amount)) continue;
        const double expected =
            std::get<double>(amount) * std::get<double>(look.cell("Opportunity", row, "Probability")) / 100;
        ASSERT_NEAR(std::get<double>(look.cell("Opportunity", row, "ExpectedRevenue")), expected, 0.0051);
        logs.push_back(std::log(std::get<double>(amount)));
    }
    EXPECT_GT(open, look.rows("Opportunity") / 20);
    double mean = 0;
    for (const double log : logs) mean += log / static_cast<double>(logs.size());
    EXPECT_NEAR(mean, std::log(18000), 0.1);
}

TEST(Generator, an_opportunity_fills_thirty_fields) {
    const Org org(options(2000));
    const int object = org.schema().find("Opportunity");
    std::set<std::string> filled;
    for (int64_t row = 0; row < org.rows(object); ++row) {
        for (std::size_t i = 0; i < org.schema().at(object).fields.size(); ++i) {
            if (!is_null(org.value(object, row, static_cast<int>(i))))
                filled.insert(org.schema().at(object).fields[i].name);
        }
    }
    EXPECT_GE(filled.size(), 30U);
}

TEST(Generator, values_keep_to_the_lengths_and_picklists_of_their_fields) {
    const Org org(options(3000));
    for (const char* name : kComputed) {
        const int object = org.schema().find(name);
        for (std::size_t i = 0; i < org.schema().at(object).fields.size(); ++i) {
            const Field& field = org.schema().at(object).fields[i];
            std::set<std::string> allowed;
            // A combobox takes any text.
            if (field.type == Type::Picklist) {
                for (const PickValue& value : field.picklist) allowed.insert(value.value);
            }
            for (int64_t row = 0; row < org.rows(object); ++row) {
                const Cell cell = org.value(object, row, static_cast<int>(i));
                const auto* text = std::get_if<std::string>(&cell);
                if (text == nullptr || field.type == Type::Address) continue;
                ASSERT_TRUE(is_valid_utf8(*text));
                ASSERT_LE(length_in_characters(*text), static_cast<std::size_t>(field.length)) << field.name << *text;
                if (!allowed.empty()) {
                    ASSERT_TRUE(allowed.count(*text) != 0) << field.name << ": " << *text;
                }
            }
        }
    }
}

TEST(Generator, required_fields_are_filled) {
    const Org org(options(3000));
    std::vector<std::string> names(std::begin(kComputed), std::end(kComputed));
    for (const char* name : {"User", "Group", "RecordType", "LeadStatus", "OpportunityStage", "Organization",
                             "Campaign", "CampaignMemberStatus", "UserRole"}) {
        names.emplace_back(name);
    }
    for (const std::string& name : names) {
        const int object = org.schema().find(name);
        for (std::size_t i = 0; i < org.schema().at(object).fields.size(); ++i) {
            if (org.schema().at(object).fields[i].nillable) continue;
            for (int64_t row = 0; row < org.rows(object); ++row) {
                ASSERT_FALSE(is_null(org.value(object, row, static_cast<int>(i))))
                    << name << "." << org.schema().at(object).fields[i].name << " " << row;
            }
        }
    }
}

TEST(Generator, mail_goes_nowhere_and_some_leads_are_in_a_queue) {
    const Org org(options(6000));
    const Look look(org);
    int64_t queued = 0;
    int64_t without = 0;
    for (int64_t row = 0; row < look.rows("Lead"); ++row) {
        const std::string email = look.text("Lead", row, "Email");
        without += email.empty();
        if (!email.empty()) {
            ASSERT_TRUE(email.ends_with(".example")) << email;
        }
        queued += look.text("Lead", row, "OwnerId").starts_with("00G");
    }
    EXPECT_GT(queued, look.rows("Lead") / 20);
    EXPECT_GT(without, 0);
    EXPECT_LT(without, look.rows("Lead") / 10);
}

TEST(Generator, a_small_share_lies_in_the_bin_with_its_children) {
    const Org org(options(20000));
    const Look look(org);
    int64_t in_bin = 0;
    for (const char* object : {"Account", "Contact", "Lead", "Opportunity"}) {
        for (int64_t row = 0; row < look.rows(object); ++row) {
            if (look.live(object, row)) continue;
            ++in_bin;
            ASSERT_EQ(org.life(look.object(object), row), Org::Life::InBin);
            ASSERT_EQ(look.cell(object, row, "IsDeleted"), Cell{true});
            ASSERT_GE(look.number(object, row, "SystemModstamp"), kStart.seconds - 15 * 86400);
        }
    }
    EXPECT_GT(in_bin, 40);
    EXPECT_LT(in_bin, 1000);
    const int account = look.object("Account");
    const int contact = look.object("Contact");
    const int link = org.schema().at(contact).find("AccountId");
    for (int64_t row = 0; row < org.rows(account); ++row) {
        if (look.live("Account", row)) continue;
        for (const int64_t child : org.rows_referring(contact, link, org.id_of(account, row))) {
            ASSERT_FALSE(look.live("Contact", child));
        }
    }
}

TEST(Generator, the_counts_may_be_odd) {
    // Corners of the arithmetic between objects: parents without children, children without parents, single rows.
    for (const auto& counts : std::vector<std::map<std::string, int64_t>>{
             {{"Lead", 0}, {"Contact", 7}, {"Account", 0}, {"Opportunity", 3}, {"OpportunityContactRole", 11}},
             {{"Lead", 100}, {"Contact", 1}, {"Account", 1}, {"Opportunity", 1}, {"OpportunityContactRole", 1}},
             {{"Lead", 3}, {"Contact", 0}, {"Account", 5}, {"Opportunity", 9}, {"OpportunityContactRole", 9}},
             {{"Lead", 41}, {"Contact", 13}, {"Account", 9}, {"Opportunity", 0}, {"OpportunityContactRole", 5}},
             {{"Lead", 1}, {"Contact", 500}, {"Account", 499}, {"Opportunity", 13}, {"OpportunityContactRole", 400}},
             {{"Lead", 5}, {"Task", 700}, {"Event", 3}, {"CampaignMember", 1000}},
             {{"Contact", 3}, {"Task", 1}, {"Event", 90}, {"Campaign", 1}, {"CampaignMember", 1000}},
             {{"Account", 3}, {"Task", 10}, {"Campaign", 0}, {"CampaignMember", 10}}}) {
        OrgOptions odd = options(0);
        odd.counts = counts;
        const Org org(odd);
        const Look look(org);
        for (const char* object : kComputed) {
            EXPECT_FALSE(look.rows(object) > 0 && all_text(org, object).empty());
        }
        for (int64_t row = 0; row < look.rows("OpportunityContactRole"); ++row) {
            EXPECT_GE(look.target("OpportunityContactRole", row, "OpportunityId", "Opportunity"), 0);
            EXPECT_GE(look.target("OpportunityContactRole", row, "ContactId", "Contact"), 0);
        }
    }
}

int64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    int64_t pages = 0;
    int64_t resident = 0;
    file >> pages >> resident;
    return resident * 4096;
}

TEST(Generator, tasks_and_events_are_about_live_people_and_deals_and_belong_to_their_account) {
    const Org org(options(6000));
    const Look look(org);
    const std::pair<const char*, const char*> targets[] = {
        {"003", "Contact"}, {"00Q", "Lead"}, {"001", "Account"}, {"006", "Opportunity"}};
    for (const char* object : {"Task", "Event"}) {
        std::map<std::string, int64_t> about;
        int64_t overdue = 0;
        for (int64_t row = 0; row < look.rows(object); ++row) {
            const std::string who = look.text(object, row, "WhoId");
            const std::string what = look.text(object, row, "WhatId");
            ASSERT_FALSE(who.empty() && what.empty()) << object << row;
            ASSERT_FALSE(who.starts_with("00Q") && !what.empty()) << "a lead is related to nothing else";
            ++about[who.empty() ? "nobody" : who.substr(0, 3)];
            ++about[what.empty() ? "nothing" : what.substr(0, 3)];
            for (const char* field : {"WhoId", "WhatId"}) {
                for (const auto& [prefix, target_object] : targets) {
                    if (!look.text(object, row, field).starts_with(prefix)) continue;
                    const int64_t target = look.target(object, row, field, target_object);
                    // What was done with a lead is older than the contact it became.
                    ASSERT_TRUE(std::string_view(target_object) == "Contact" ||
                                look.number(target_object, target, "CreatedDate") <=
                                    look.number(object, row, "CreatedDate"));
                    if (look.live(object, row)) {
                        ASSERT_TRUE(look.live(target_object, target)) << object << row << field;
                    }
                    if (std::string_view(target_object) == "Opportunity") {
                        ASSERT_EQ(look.text(object, row, "AccountId"), look.text("Opportunity", target, "AccountId"));
                    }
                    if (std::string_view(target_object) == "Lead") {
                        ASSERT_EQ(look.cell("Lead", target, "IsConverted"), Cell{false});
                    }
                }
            }
            if (std::string_view(object) != "Task") continue;
            const bool closed = look.text("Task", row, "Status") == "Completed";
            ASSERT_EQ(look.cell("Task", row, "IsClosed"), Cell{closed});
            ASSERT_EQ(is_null(look.cell("Task", row, "CompletedDateTime")), !closed);
            ASSERT_EQ(look.cell("Task", row, "IsHighPriority"), Cell{look.text("Task", row, "Priority") == "High"});
            overdue += !closed && look.number("Task", row, "ActivityDate") < day_of(kStart).days;
        }
        for (const char* kind : {"003", "00Q", "001", "006"}) {
            EXPECT_GT(about[kind], look.rows(object) / 50) << kind;
        }
        EXPECT_TRUE(std::string_view(object) == "Event" || overdue > look.rows("Task") / 100);
    }
    for (int64_t row = 0; row < look.rows("Event"); ++row) {
        const int64_t begin = look.number("Event", row, "StartDateTime");
        const int64_t end = look.number("Event", row, "EndDateTime");
        ASSERT_EQ(begin + look.number("Event", row, "DurationInMinutes") * 60, end);
        ASSERT_EQ(look.number("Event", row, "ActivityDate"), begin / 86400);
    }
}

TEST(Generator, nobody_is_in_a_campaign_twice_and_statuses_are_those_of_the_campaign) {
    const Org org(options(6000));
    const Look look(org);
    std::map<std::pair<std::string, std::string>, bool> statuses;
    for (int64_t row = 0; row < look.rows("CampaignMemberStatus"); ++row) {
        statuses[{look.text("CampaignMemberStatus", row, "CampaignId"),
                  look.text("CampaignMemberStatus", row, "Label")}] =
            look.cell("CampaignMemberStatus", row, "HasResponded") == Cell{true};
    }
    std::set<std::pair<std::string, std::string>> people;
    std::map<std::string, int64_t> sizes;
    int64_t converted = 0;
    for (int64_t row = 0; row < look.rows("CampaignMember"); ++row) {
        const std::string campaign = look.text("CampaignMember", row, "CampaignId");
        const int64_t lead = look.target("CampaignMember", row, "LeadId", "Lead");
        const int64_t contact = look.target("CampaignMember", row, "ContactId", "Contact");
        ASSERT_TRUE(lead >= 0 || contact >= 0);
        const auto status = statuses.find({campaign, look.text("CampaignMember", row, "Status")});
        ASSERT_NE(status, statuses.end()) << look.text("CampaignMember", row, "Status");
        ASSERT_EQ(look.cell("CampaignMember", row, "HasResponded"), Cell{status->second});
        ASSERT_EQ(is_null(look.cell("CampaignMember", row, "FirstRespondedDate")), !status->second);
        if (!look.live("CampaignMember", row)) continue;
        ++sizes[campaign];
        if (lead >= 0) {
            ASSERT_TRUE(look.live("Lead", lead));
            ASSERT_TRUE(people.emplace(campaign, look.text("CampaignMember", row, "LeadId")).second);
            ASSERT_EQ(look.text("CampaignMember", row, "ContactId"), look.text("Lead", lead, "ConvertedContactId"));
            converted += contact >= 0;
        }
        if (contact >= 0) {
            ASSERT_TRUE(look.live("Contact", contact));
            ASSERT_TRUE(people.emplace(campaign, look.text("CampaignMember", row, "ContactId")).second);
        }
        ASSERT_EQ(look.text("CampaignMember", row, "Name"),
                  lead >= 0 ? look.text("Lead", lead, "Name") : look.text("Contact", contact, "Name"));
    }
    EXPECT_GT(converted, 50);
    EXPECT_EQ(sizes.size(), static_cast<std::size_t>(look.rows("Campaign")));
    for (int64_t row = 0; row < look.rows("Campaign"); ++row) {
        ASSERT_EQ(look.number("Campaign", row, "NumberOfLeads") + look.number("Campaign", row, "NumberOfContacts") -
                      look.number("Campaign", row, "NumberOfConvertedLeads"),
                  sizes[look.text("Campaign", row, "Id")]);
    }
}

TEST(Generator, an_opportunitys_history_leads_to_what_it_is_now) {
    const Org org(options(6000));
    const Look look(org);
    std::map<int64_t, std::vector<int64_t>> of;
    for (int64_t row = 0; row < look.rows("OpportunityHistory"); ++row) {
        of[look.target("OpportunityHistory", row, "OpportunityId", "Opportunity")].push_back(row);
    }
    ASSERT_EQ(of.size(), static_cast<std::size_t>(look.rows("Opportunity")));
    int64_t longest = 0;
    for (const auto& [deal, rows] : of) {
        longest = std::max(longest, static_cast<int64_t>(rows.size()));
        ASSERT_EQ(look.number("OpportunityHistory", rows.front(), "CreatedDate"),
                  look.number("Opportunity", deal, "CreatedDate"));
        for (const char* field :
             {"StageName", "Amount", "CloseDate", "Probability", "ForecastCategory", "ExpectedRevenue", "IsDeleted"}) {
            ASSERT_EQ(look.cell("OpportunityHistory", rows.back(), field), look.cell("Opportunity", deal, field))
                << field;
        }
        ASSERT_EQ(look.cell("OpportunityHistory", rows.front(), "PrevAmount"), Cell{});
        for (std::size_t i = 1; i < rows.size(); ++i) {
            const auto cell = [&look, &rows = rows](std::size_t at, const char* field) {
                return look.cell("OpportunityHistory", rows[at], field);
            };
            ASSERT_LE(cell(i - 1, "CreatedDate"), cell(i, "CreatedDate"));
            const bool same = cell(i - 1, "StageName") == cell(i, "StageName") &&
                              cell(i - 1, "Amount") == cell(i, "Amount") &&
                              cell(i - 1, "CloseDate") == cell(i, "CloseDate");
            ASSERT_FALSE(same) << "a row that changes nothing";
            const bool moved = cell(i - 1, "CloseDate") != cell(i, "CloseDate");
            ASSERT_EQ(cell(i, "PrevCloseDate"), moved ? cell(i - 1, "CloseDate") : Cell{});
            const bool revalued = cell(i - 1, "Amount") != cell(i, "Amount");
            ASSERT_EQ(cell(i, "PrevAmount"), revalued ? cell(i - 1, "Amount") : Cell{});
        }
    }
    EXPECT_EQ(longest, 5);
}

TEST(Generator, some_people_want_no_mail_and_a_lead_and_its_contact_agree_about_it) {
    const Org org(options(6000));
    const Look look(org);
    int64_t opted_out = 0;
    int64_t bounced = 0;
    for (int64_t row = 0; row < look.rows("Lead"); ++row) {
        opted_out += look.cell("Lead", row, "HasOptedOutOfEmail") == Cell{true};
        bounced += !is_null(look.cell("Lead", row, "EmailBouncedReason"));
        const int64_t contact = look.target("Lead", row, "ConvertedContactId", "Contact");
        if (contact < 0) continue;
        for (const char* field : {"HasOptedOutOfEmail", "HasOptedOutOfFax", "DoNotCall"}) {
            ASSERT_EQ(look.cell("Lead", row, field), look.cell("Contact", contact, field)) << field;
        }
    }
    EXPECT_GT(opted_out, look.rows("Lead") / 40);
    EXPECT_LT(opted_out, look.rows("Lead") / 8);
    EXPECT_GT(bounced, 5);
}

TEST(Generator, ten_million_rows_cost_a_bit_each_until_somebody_looks_for_changes) {
    const int64_t before = resident_bytes();
    OrgOptions huge = options(0);
    huge.counts = {{"Lead", 2'000'000},
                   {"Contact", 2'000'000},
                   {"Account", 600'000},
                   {"Opportunity", 2'500'000},
                   {"OpportunityContactRole", 2'900'000},
                   {"Task", 3'000'000},
                   {"CampaignMember", 2'500'000}};
    const Org org(huge);
    const std::unique_ptr<Random> random = seeded_random(7);
    std::size_t read = 0;
    for (int i = 0; i < 1000; ++i) {
        const int object = org.schema().find(kComputed[static_cast<std::size_t>(i) % std::size(kComputed)]);
        if (org.rows(object) == 0) continue;
        const auto row = static_cast<int64_t>(random->below(static_cast<std::uint64_t>(org.rows(object))));
        for (std::size_t field = 0; field < org.schema().at(object).fields.size(); ++field) {
            read += is_null(org.value(object, row, static_cast<int>(field))) ? 0 : 1;
        }
    }
    EXPECT_GT(read, 10'000U);
    EXPECT_LT(resident_bytes() - before, int64_t{64} << 20);
    const int deals = org.schema().find("Opportunity");
    EXPECT_FALSE(org.rows_modified_since(deals, kStart.plus(-3600)).empty());
    EXPECT_LT(resident_bytes() - before, int64_t{256} << 20);
}

}  // namespace
}  // namespace lockstep::sandbox

#include "sandbox/alive.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

const Timestamp noon = *parse_timestamp("2024-03-15T12:00:00Z");

struct World {
    ManualClock clock{noon};
    Org org;
    explicit World(std::int64_t people) : org(options(people, clock)) {}

    static OrgOptions options(std::int64_t people, Clock& clock) {
        OrgOptions options;
        options.people = people;
        options.seed = 11;
        options.start = noon;
        options.clock = &clock;
        return options;
    }
    LifeReport work(int minutes, int changes_per_minute, std::uint64_t seed) {
        LifeReport sum;
        const auto random = seeded_random(seed);
        const auto lock = org.write_lock();
        for (int i = 0; i < minutes; ++i) {
            clock.advance_s(60);
            const auto report = live(org, *random, changes_per_minute);
            sum.done += report.done;
            sum.refused += report.refused;
        }
        return sum;
    }
    std::string rows(const std::string& soql) {
        const auto lock = org.read_lock();
        const auto query = Query::prepare(soql, org, {.all_rows = true});
        EXPECT_TRUE(query.ok()) << query.error().what;
        const auto found = run_query(*query, org);
        std::string out;
        found->append_csv_rows(org, 0, found->records(), out);
        return out;
    }
    std::int64_t count(const std::string& from) {
        const auto lock = org.read_lock();
        const auto query = Query::prepare("SELECT COUNT() FROM " + from, org);
        EXPECT_TRUE(query.ok()) << query.error().what;
        return run_query(*query, org)->total_size();
    }
};

TEST(Alive, every_change_is_one_the_org_accepts) {
    for (const std::uint64_t seed : {1, 2, 3}) {
        World world(600);
        const auto report = world.work(100, 50, seed);
        EXPECT_EQ(report.done, 5000);
        EXPECT_EQ(report.refused, 0);
    }
}

TEST(Alive, every_kind_of_change_happens) {
    World world(600);
    const auto stamp = to_string(noon);
    const auto leads = world.count("Lead");
    const auto roles = world.count("OpportunityContactRole");
    const auto members = world.count("CampaignMember");
    world.work(200, 30, 2);
    EXPECT_GT(world.count("CampaignMember"), members);
    EXPECT_GT(world.count("CampaignMember WHERE CreatedDate <= " + stamp + " AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("Task WHERE CreatedDate > " + stamp + " AND TaskSubtype = 'Call' AND IsClosed = true"), 0);
    EXPECT_GT(world.count("Task WHERE CreatedDate > " + stamp + " AND WhatId != null AND IsClosed = false"), 0);
    EXPECT_GT(world.count("Task WHERE CreatedDate <= " + stamp + " AND CompletedDateTime > " + stamp), 0);
    EXPECT_GT(world.count("Event WHERE CreatedDate > " + stamp), 0);
    EXPECT_GT(world.count("Lead WHERE HasOptedOutOfEmail = true AND LastModifiedDate > " + stamp), 0);
    const auto merged = " WHERE MasterRecordId != null AND SystemModstamp > " + stamp;
    EXPECT_FALSE(world.rows("SELECT Id FROM Contact" + merged).empty());
    EXPECT_GT(world.count("Contact WHERE CreatedDate <= " + stamp +
                          " AND Id IN (SELECT ConvertedContactId FROM Lead "
                          "WHERE ConvertedDate >= " +
                          to_string(day_of(noon)) + ")"),
              0);
    EXPECT_GT(world.count("Lead"), leads);
    EXPECT_GT(world.count("Lead WHERE CreatedDate > " + stamp + " AND Status != 'Open - Not Contacted'"), 0);
    EXPECT_GT(world.count("Lead WHERE IsConverted = true AND ConvertedDate >= " + to_string(day_of(noon))), 0);
    EXPECT_GT(world.count("Lead WHERE CreatedDate <= " + stamp + " AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("Contact WHERE CreatedDate <= " + stamp + " AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("Account WHERE CreatedDate <= " + stamp + " AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("Opportunity WHERE CreatedDate > " + stamp + " AND StageName != 'Prospecting'"), 0);
    EXPECT_GT(world.count("Opportunity WHERE IsWon = true AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("Opportunity WHERE StageName = 'Closed Lost' AND LastModifiedDate > " + stamp), 0);
    EXPECT_GT(world.count("OpportunityContactRole"), roles);
    EXPECT_GT(world.count("OpportunityContactRole WHERE CreatedDate > " + stamp + " AND IsPrimary = true"), 0);
    const auto lock = world.org.read_lock();
    for (const auto* object : {"Lead", "Contact", "Opportunity", "OpportunityContactRole"}) {
        const auto deleted =
            world.org.deleted_between(world.org.schema().find(object), noon, world.clock.now().plus(1));
        EXPECT_FALSE(deleted.empty()) << object;
    }
}

TEST(Alive, references_of_live_rows_lead_to_live_rows) {
    World world(300);
    world.work(200, 30, 3);
    const auto& org = world.org;
    const auto lock = org.read_lock();
    std::int64_t followed = 0;
    for (const auto* name :
         {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task", "Event", "CampaignMember"}) {
        const int object = org.schema().find(name);
        const auto& fields = org.schema().at(object).fields;
        for (std::int64_t row = 0; row < org.rows(object); ++row) {
            if (org.life(object, row) != Org::Life::Live) continue;
            for (std::size_t i = 0; i < fields.size(); ++i) {
                // What a lead became, or was merged into, is remembered even when that is deleted.
                const bool remembers = fields[i].name.starts_with("Converted") || fields[i].name == "MasterRecordId";
                if (fields[i].type != Type::Reference || remembers) continue;
                const auto cell = org.value(object, row, static_cast<int>(i));
                if (is_null(cell)) continue;
                const auto& id = std::get<std::string>(cell);
                const int target = org.schema().find_by_prefix(id.substr(0, 3));
                ASSERT_GE(target, 0) << name << "." << fields[i].name << " = " << id;
                const auto target_row = org.row_of(target, id);
                ASSERT_TRUE(target_row) << name << "." << fields[i].name << " = " << id;
                EXPECT_EQ(org.life(target, *target_row), Org::Life::Live)
                    << name << "." << fields[i].name << " = " << id;
                ++followed;
            }
        }
    }
    EXPECT_GT(followed, 1000);
    const int role = org.schema().find("OpportunityContactRole");
    std::map<std::string, int> primaries;
    for (std::int64_t row = 0; row < org.rows(role); ++row) {
        if (org.life(role, row) != Org::Life::Live) continue;
        const auto primary = org.value(role, row, org.schema().at(role).find("IsPrimary"));
        if (std::get<bool>(primary))
            ++primaries[std::get<std::string>(org.value(role, row, org.schema().at(role).find("OpportunityId")))];
    }
    for (const auto& [opportunity, count] : primaries) EXPECT_EQ(count, 1) << opportunity;
    const int member = org.schema().find("CampaignMember");
    const auto text = [&](std::int64_t row, const char* field) {
        const Cell cell = org.value(member, row, org.schema().at(member).find(field));
        return is_null(cell) ? std::string() : std::get<std::string>(cell);
    };
    std::set<std::pair<std::string, std::string>> memberships;
    for (std::int64_t row = 0; row < org.rows(member); ++row) {
        if (org.life(member, row) != Org::Life::Live) continue;
        for (const char* key : {"LeadId", "ContactId"}) {
            if (text(row, key).empty()) continue;
            EXPECT_TRUE(memberships.emplace(text(row, "CampaignId"), text(row, key)).second)
                << text(row, key) << " is in " << text(row, "CampaignId") << " twice";
        }
    }
}

TEST(Alive, every_edit_moves_system_modstamp_so_that_an_incremental_query_hears_it) {
    World world(600);
    world.work(5, 20, 4);
    const auto before = world.clock.now();
    std::map<std::string, std::string> old;
    const auto all = "SELECT Id, Status, Phone, MobilePhone, Title, Rating, IsDeleted, IsConverted FROM Lead";
    const auto by_id = [](const std::string& csv) {
        std::map<std::string, std::string> lines;
        std::size_t at = 0;
        while (at < csv.size()) {
            const auto end = csv.find('\n', at);
            lines[csv.substr(at, 20)] = csv.substr(at, end - at);
            at = end + 1;
        }
        return lines;
    };
    const auto then = by_id(world.rows(all));
    world.work(20, 20, 5);
    const auto now = by_id(world.rows(all));
    const auto heard = by_id(world.rows(std::string(all) + " WHERE SystemModstamp > " + to_string(before)));
    std::int64_t changed = 0;
    for (const auto& [id, line] : now) {
        const auto known = then.find(id);
        if (known != then.end() && known->second == line) continue;
        EXPECT_TRUE(heard.count(id)) << line;
        ++changed;
    }
    EXPECT_GT(changed, 50);
}

TEST(Alive, edits_are_made_by_named_salespeople_and_arrivals_by_automation) {
    World world(600);
    world.work(50, 20, 6);
    const auto stamp = to_string(noon);
    EXPECT_EQ(world.count("Lead WHERE CreatedDate > " + stamp + " AND CreatedBy.Name != 'Automated Process'"), 0);
    EXPECT_EQ(
        world.count("Opportunity WHERE LastModifiedDate > " + stamp + " AND LastModifiedBy.UserType != 'Standard'"), 0);
    const auto names = world.rows("SELECT LastModifiedBy.Name FROM Contact WHERE LastModifiedDate > " + stamp);
    std::set<std::string> people;
    for (std::size_t at = 0; at < names.size(); at = names.find('\n', at) + 1)
        people.insert(names.substr(at, names.find('\n', at) - at));
    EXPECT_GT(people.size(), 5U);
}

TEST(Alive, the_same_seed_makes_the_same_changes) {
    World one(300);
    World two(300);
    World three(300);
    one.work(20, 20, 7);
    two.work(20, 20, 7);
    three.work(20, 20, 8);
    const auto all = "SELECT Id, Name, StageName, Amount, CloseDate, LastModifiedById FROM Opportunity";
    EXPECT_EQ(one.rows(all), two.rows(all));
    EXPECT_NE(one.rows(all), three.rows(all));
}

TEST(Alive, an_empty_org_fills_with_leads_that_become_the_rest) {
    World world(0);
    world.work(200, 20, 9);
    EXPECT_GT(world.count("Lead"), 300);
    EXPECT_GT(world.count("Contact"), 0);
    EXPECT_GT(world.count("Opportunity"), 0);
}

}  // namespace
}  // namespace lockstep::sandbox

// A sandbox org lives by a seed, the wire fails by it, processes end by it; our copy must be the org's whenever a cycle
// went well. The long form is ./dev sim.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "base/text.h"
#include "store/journal.h"
#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

int number_of(const char* variable, int otherwise) {
    const char* const wanted = std::getenv(variable);
    return wanted == nullptr ? otherwise : static_cast<int>(parse_int(wanted).value_or(otherwise));
}

/// Contact id → opportunities it has a living role in, asked of the org alone.
std::map<std::string, std::set<std::string>> ties_in_the_org(sandbox::Org& org) {
    std::map<std::string, std::set<std::string>> ties;
    const auto lock = org.read_lock();
    const sandbox::Schema& schema = org.schema();
    const int roles = schema.find("OpportunityContactRole");
    const int opportunities = schema.find("Opportunity");
    const int contacts = schema.find("Contact");
    const auto text = [&](std::int64_t row, const char* field) {
        const sandbox::Cell cell = org.value(roles, row, schema.at(roles).find(field));
        const auto* const found = std::get_if<std::string>(&cell);
        return found == nullptr ? std::string() : *found;
    };
    const auto lives = [&](int object, const std::string& id) {
        const auto row = org.row_of(object, id);
        return row && org.life(object, *row) == sandbox::Org::Life::Live;
    };
    for (std::int64_t row = 0; row < org.rows(roles); ++row) {
        if (org.life(roles, row) != sandbox::Org::Life::Live) continue;
        const std::string contact = text(row, "ContactId"), opportunity = text(row, "OpportunityId");
        if (lives(opportunities, opportunity) && lives(contacts, contact)) ties[contact].insert(opportunity);
    }
    return ties;
}

void expect_ties_are_the_org_s(House& house) {
    std::map<std::int64_t, std::set<std::string>> expected, found;
    for (const auto& [contact, opportunities] : ties_in_the_org(house.org())) {
        const auto person = house.person_id(contact);
        ASSERT_TRUE(person) << contact << " has opportunities and is nobody";
        expected[*person].insert(opportunities.begin(), opportunities.end());
    }
    house.reader().query(
        "SELECT DISTINCT l.person, o.id FROM opportunity_link l JOIN crm_opportunity o ON o.ls_row = "
        "l.opportunity WHERE l.live",
        {}, [&](std::span<const record::Cell> row) {
            found[row[0].as_integer()].insert(record::to_text(row[1]));
            return true;
        });
    EXPECT_EQ(expected, found);
}

/// What people were told adds up to what is: added minus removed is the number of living roles.
void expect_history_adds_up(House& house) {
    const auto count = [&](const char* sql) { return house.reader().integer(sql).value_or(0); };
    EXPECT_EQ(
        count("SELECT count(*) FROM activity WHERE type = 34") - count("SELECT count(*) FROM activity WHERE type = 35"),
        count("SELECT count(*) FROM opportunity_link WHERE live"));
}

class Simulation : public testing::TestWithParam<int> {};

TEST_P(Simulation, our_copy_is_the_org_s_after_every_cycle_that_went_well) {
    const auto seed = static_cast<std::uint64_t>(GetParam());
    const auto random = seeded_random(seed * 7919 + 1);
    House house({.people = 120 + static_cast<std::int64_t>(seed % 5) * 40,
                 .seed = seed,
                 .bulk_from_rows = seed % 2 == 0 ? 50 : 10'000,
                 .composite = seed % 3 != 0});
    SCOPED_TRACE("seed " + std::to_string(seed));
    for (int round = 0; round < 8; ++round) {
        {
            const auto lock = house.org().write_lock();
            house.org().live(*random, static_cast<int>(random->below(60)));
        }
        house.pass(static_cast<std::int64_t>(random->below(1200)));
        // Some calls of the first cycles fail as wires do; a cycle that gives up is followed by another.
        const std::uint64_t odds = round < 5 ? 1 + random->below(12) : 0;
        house.wire = [&, odds](const http::Request& request) -> std::optional<Error> {
            if (odds == 0 || request.target.find("/services/data") == std::string::npos) return std::nullopt;
            if (random->below(100) >= odds) return std::nullopt;
            return Error{.kind = random->below(2) == 0 ? Kind::Unavailable : Kind::BadReply, .what = "The wire failed"};
        };
        if (random->below(4) == 0) house.restart();
        const bool went_well = house.try_cycle();
        house.wire = nullptr;
        if (!went_well) continue;
        const auto differences = house.differences();
        EXPECT_TRUE(differences.empty()) << testing::PrintToString(differences);
        expect_ties_are_the_org_s(house);
        expect_history_adds_up(house);
        if (testing::Test::HasFailure()) return;
    }
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
    const sync::CycleReport idle = house.cycle();
    EXPECT_EQ(idle.created() + idle.updated() + idle.deleted() + idle.activities, 0);
}

const int kFrom = number_of("LOCKSTEP_SIM_FROM", 1);
INSTANTIATE_TEST_SUITE_P(Seeds, Simulation, testing::Range(kFrom, kFrom + number_of("LOCKSTEP_SIM_SEEDS", 6)),
                         [](const auto& info) { return "seed_" + std::to_string(info.param); });

}  // namespace
}  // namespace lockstep::tests

#include "sandbox/alive.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>

#include "base/time.h"
#include "sandbox/generate.h"
#include "sandbox/generate_words.h"

namespace lockstep::sandbox {
namespace {

constexpr int picks_max = 40;  // tries to find a row that fits
constexpr std::int64_t newest_rows = 500;

struct Step {
    std::string_view stage;
    int next_percent, lost_percent;
};
// The open stages in their order; after the last one an opportunity is won.
constexpr std::array funnel = {Step{"Prospecting", 70, 12},          Step{"Qualification", 66, 16},
                               Step{"Needs Analysis", 68, 14},       Step{"Value Proposition", 66, 14},
                               Step{"Id. Decision Makers", 68, 12},  Step{"Perception Analysis", 66, 14},
                               Step{"Proposal/Price Quote", 64, 18}, Step{"Negotiation/Review", 68, 20}};
constexpr std::string_view won = "Closed Won";
constexpr std::string_view lost = "Closed Lost";

class Team {
public:
    Team(Org& org, Random& random)
        : org_(org),
          random_(random),
          user_(org.schema().find("User")),
          account_(org.schema().find("Account")),
          contact_(org.schema().find("Contact")),
          lead_(org.schema().find("Lead")),
          opportunity_(org.schema().find("Opportunity")),
          role_(org.schema().find("OpportunityContactRole")),
          task_(org.schema().find("Task")),
          event_(org.schema().find("Event")),
          campaign_(org.schema().find("Campaign")),
          member_(org.schema().find("CampaignMember")),
          member_status_(org.schema().find("CampaignMemberStatus")),
          automation_(org.id_of(user_, 0)) {
        for (auto row = kFirstSalesRow; row < std::min(kFirstSalesRow + kActiveSales, org.rows(user_)); ++row) {
            if (truth(user_, row, "IsActive")) salespeople_.push_back(org.id_of(user_, row));
        }
        if (salespeople_.empty()) salespeople_.push_back(org.integration_user_id());
    }

    LifeReport live(int changes) {
        for (int i = 0; i < changes; ++i) change();
        return report_;
    }

private:
    struct Deed {
        int weight;
        bool (Team::*does)();  ///< false: nothing to do it to
    };

    void change() {
        static constexpr std::array deeds = {Deed{80, &Team::lead_arrives},      Deed{160, &Team::work_lead},
                                             Deed{15, &Team::convert_lead},      Deed{9, &Team::add_contact},
                                             Deed{80, &Team::edit_contact},      Deed{40, &Team::edit_account},
                                             Deed{50, &Team::open_opportunity},  Deed{150, &Team::move_opportunity},
                                             Deed{90, &Team::edit_opportunity},  Deed{40, &Team::add_role},
                                             Deed{20, &Team::change_role},       Deed{12, &Team::remove_role},
                                             Deed{45, &Team::score_lead},        Deed{60, &Team::log_activity},
                                             Deed{30, &Team::plan_task},         Deed{40, &Team::finish_task},
                                             Deed{20, &Team::plan_meeting},      Deed{30, &Team::join_campaign},
                                             Deed{20, &Team::answer_campaign},   Deed{2, &Team::merge},
                                             Deed{3, &Team::delete_lead},        Deed{1, &Team::delete_contact},
                                             Deed{2, &Team::delete_opportunity}, Deed{1, &Team::undelete}};
        auto drawn = static_cast<int>(random_.below(1000));
        for (const auto& deed : deeds) {
            drawn -= deed.weight;
            if (drawn >= 0) continue;
            if (!(this->*deed.does)()) lead_arrives();
            return;
        }
    }

    // ---- chance ----

    bool chance(int percent) { return random_.below(100) < static_cast<std::uint64_t>(percent); }
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(high - low + 1)));
    }
    template <class List>
    auto& one_of(const List& list) {
        return *(std::begin(list) + static_cast<std::ptrdiff_t>(random_.below(std::size(list))));
    }
    std::string word(const std::string_view& from) { return std::string(from); }
    std::string phone() {
        return "+1 555 " + std::to_string(between(100, 999)) + "-" + std::to_string(between(1000, 9999));
    }
    double amount() {
        // As generated: log-normal around 18,000; the sum of twelve even numbers is close to normal.
        double normal = -6;
        for (int i = 0; i < 12; ++i) normal += random_.unit();
        return std::round(18'000 * std::exp(0.9 * normal) / 50) * 50;
    }
    std::int64_t day_in(std::int64_t low, std::int64_t high) { return day_of(org_.now()).days + between(low, high); }

    // ---- reading ----

    int field(int object, std::string_view name) const { return org_.schema().at(object).find(name); }
    Cell cell(int object, std::int64_t row, std::string_view name) const {
        const int index = field(object, name);
        return index < 0 ? Cell() : org_.value(object, row, index);
    }
    std::string text(int object, std::int64_t row, std::string_view name) const {
        const auto value = cell(object, row, name);
        const auto* found = std::get_if<std::string>(&value);
        return found ? *found : std::string();
    }
    bool truth(int object, std::int64_t row, std::string_view name) const {
        const auto value = cell(object, row, name);
        const auto* found = std::get_if<bool>(&value);
        return found && *found;
    }
    bool lives(int object, std::int64_t row) const { return org_.life(object, row) == Org::Life::Live; }

    /// A live row for which `fits`; nothing when chance finds none.
    template <class Fits>
    std::optional<std::int64_t> pick(int object, Fits fits) {
        const auto rows = org_.rows(object);
        if (rows == 0) return std::nullopt;
        for (int i = 0; i < picks_max; ++i) {
            const auto low = chance(50) ? std::max<std::int64_t>(0, rows - newest_rows) : 0;
            const auto row = between(low, rows - 1);
            if (lives(object, row) && fits(row)) return row;
        }
        return std::nullopt;
    }
    std::optional<std::int64_t> pick(int object) {
        return pick(object, [](std::int64_t) { return true; });
    }
    std::optional<std::int64_t> open_lead() {
        return pick(lead_, [&](std::int64_t row) { return !truth(lead_, row, "IsConverted"); });
    }
    std::optional<std::int64_t> running_opportunity() {
        return pick(opportunity_, [&](std::int64_t row) { return !truth(opportunity_, row, "IsClosed"); });
    }

    const std::string& salesperson() { return one_of(salespeople_); }
    std::string owner(int object, std::int64_t row) {
        auto id = text(object, row, "OwnerId");
        const bool works = std::find(salespeople_.begin(), salespeople_.end(), id) != salespeople_.end();
        return works ? id : salesperson();
    }

    // ---- writing ----

    bool count(bool ok) {
        ++(ok ? report_.done : report_.refused);
        return true;
    }
    bool update(int object, std::int64_t row, const Values& values, const std::string& actor) {
        return count(org_.update(object, org_.id_of(object, row), values, actor).ok());
    }
    bool remove(int object, std::optional<std::int64_t> row) {
        return row && count(org_.remove(object, org_.id_of(object, *row), owner(object, *row)).ok());
    }

    // ---- deeds ----

    std::string email(std::string_view first, std::string_view last) {
        return std::string(first) + "." + std::string(last) + std::to_string(between(1, 999)) + "@" +
               std::string(one_of(words::kCompanyFirst).ascii) + ".example";
    }
    Values new_person() {
        const auto& first = one_of(words::kFirst);
        const auto& last = one_of(words::kLast);
        return {{"FirstName", word(first.text)},           {"LastName", word(last.text)},
                {"Title", word(one_of(words::kTitles))},   {"Phone", phone()},
                {"Email", email(first.ascii, last.ascii)}, {"OwnerId", salesperson()}};
    }

    bool lead_arrives() {
        auto values = new_person();
        values.emplace_back("Company", word(one_of(words::kCompanyFirst).text) + " " +
                                           word(one_of(words::kCompanySecond).text) + word(one_of(words::kLegalForms)));
        values.emplace_back("LeadSource", word(one_of(words::kLeadSources)));
        values.emplace_back("Industry", word(one_of(words::kIndustries)));
        values.emplace_back("Status", word(words::kLeadStatuses[0]));
        return count(org_.insert(lead_, values, automation_).ok());
    }

    bool work_lead() {
        const auto row = open_lead();
        if (!row) return false;
        const auto status = text(lead_, *row, "Status");
        Values values;
        if (status == words::kLeadStatuses[0]) {
            values.emplace_back("Status", word(words::kLeadStatuses[1]));
        } else if (status == words::kLeadStatuses[1] && random_.below(12) == 0) {
            values.emplace_back("Status", word(words::kLeadStatuses[3]));
        } else {
            switch (random_.below(9)) {
                case 0:
                    values.emplace_back("HasOptedOutOfEmail", true);
                    break;
                case 1:
                case 5:
                    values.emplace_back("Phone", phone());
                    break;
                case 3:
                case 4:
                    values.emplace_back("Title", word(one_of(words::kTitles)));
                    break;
                case 2:
                    values.emplace_back("Rating", word(one_of(words::kRatings)));
                    break;
                default:
                    values.emplace_back("MobilePhone", phone());
                    break;
            }
        }
        return update(lead_, *row, values, owner(lead_, *row));
    }

    bool convert_lead() {
        // What comes of a lead belongs to its owner, who must be one who still works here.
        const auto row = pick(lead_, [&](std::int64_t candidate) {
            const auto id = text(lead_, candidate, "OwnerId");
            return !truth(lead_, candidate, "IsConverted") &&
                   text(lead_, candidate, "Status") == words::kLeadStatuses[1] &&
                   std::find(salespeople_.begin(), salespeople_.end(), id) != salespeople_.end();
        });
        if (!row) return false;
        Org::Conversion how;
        how.with_opportunity = random_.below(3) < 2;
        if (random_.below(5) == 0) {
            const auto contact =
                pick(contact_, [&](std::int64_t at) { return !text(contact_, at, "AccountId").empty(); });
            if (contact) how.account_id = text(contact_, *contact, "AccountId");
            if (contact && random_.below(2) == 0) how.contact_id = org_.id_of(contact_, *contact);
        }
        return count(org_.convert_lead(org_.id_of(lead_, *row), how, owner(lead_, *row)).ok());
    }

    bool score_lead() {
        const auto row = open_lead();
        return row && update(lead_, *row, {{"Rating", word(one_of(words::kRatings))}}, automation_);
    }

    bool add_contact() {
        const auto account = pick(account_);
        if (!account) return false;
        auto values = new_person();
        values.emplace_back("AccountId", org_.id_of(account_, *account));
        values.emplace_back("Department", word(one_of(words::kDepartments)));
        return count(org_.insert(contact_, values, owner(account_, *account)).ok());
    }

    bool edit_contact() {
        const auto row = pick(contact_);
        if (!row) return false;
        Values values;
        switch (random_.below(5)) {
            case 0:
                values.emplace_back("Phone", phone());
                break;
            case 3:
                values.emplace_back("HasOptedOutOfEmail", !truth(contact_, *row, "HasOptedOutOfEmail"));
                break;
            case 1:
                values.emplace_back("Department", word(one_of(words::kDepartments)));
                break;
            case 2:
                values.emplace_back("Email", email(one_of(words::kFirst).ascii, one_of(words::kLast).ascii));
                break;
            default:
                values.emplace_back("Title", word(one_of(words::kTitles)));
                break;
        }
        return update(contact_, *row, values, owner(contact_, *row));
    }

    bool edit_account() {
        const auto row = pick(account_);
        if (!row) return false;
        Values values;
        switch (random_.below(5)) {
            case 0:
                values.emplace_back("Industry", word(one_of(words::kIndustries)));
                break;
            case 1:
                values.emplace_back("NumberOfEmployees", between(5, 20'000));
                break;
            case 2:
                values.emplace_back("AnnualRevenue", static_cast<double>(between(1, 900)) * 1e6);
                break;
            case 3:
                values.emplace_back("Phone", phone());
                break;
            default:
                values.emplace_back("BillingStreet",
                                    std::to_string(between(1, 400)) + " " + word(one_of(words::kStreets)));
                break;
        }
        return update(account_, *row, values, owner(account_, *row));
    }

    bool open_opportunity() {
        const auto contact =
            pick(contact_, [&](std::int64_t row) { return !text(contact_, row, "AccountId").empty(); });
        if (!contact) return false;
        const auto account = text(contact_, *contact, "AccountId");
        const auto account_row = org_.row_of(account_, account);
        const auto actor = owner(contact_, *contact);
        auto name = account_row ? text(account_, *account_row, "Name") + " " : std::string();
        name += word(one_of(words::kProducts));
        const Values values = {{"Name", name},
                               {"AccountId", account},
                               {"ContactId", org_.id_of(contact_, *contact)},
                               {"StageName", word(funnel.front().stage)},
                               {"Amount", amount()},
                               {"CloseDate", day_in(30, 150)},
                               {"Type", word(one_of(words::kOpportunityTypes))},
                               {"LeadSource", word(one_of(words::kLeadSources))},
                               {"OwnerId", actor}};
        return count(org_.insert(opportunity_, values, actor).ok());
    }

    bool move_opportunity() {
        const auto row = running_opportunity();
        if (!row) return false;
        const auto stage = text(opportunity_, *row, "StageName");
        const auto at = std::find_if(funnel.begin(), funnel.end(), [&](const Step& s) { return s.stage == stage; });
        Values values;
        if (at == funnel.end()) {
            // A stage of the admin's own: back to the beginning.
            values.emplace_back("StageName", word(funnel.front().stage));
        } else if (const auto drawn = static_cast<int>(random_.below(100)); drawn < at->next_percent) {
            auto next = at + (chance(10) ? 2 : 1);
            if (next > funnel.end()) next = funnel.end();
            values.emplace_back("StageName", word(next == funnel.end() ? won : next->stage));
            if (next == funnel.end()) values.emplace_back("CloseDate", day_in(0, 0));
        } else if (drawn < at->next_percent + at->lost_percent) {
            values.emplace_back("StageName", word(lost));
            values.emplace_back("CloseDate", day_in(0, 0));
        } else {
            values.emplace_back("CloseDate", later_close(*row));
        }
        return update(opportunity_, *row, values, owner(opportunity_, *row));
    }
    std::int64_t later_close(std::int64_t row) {
        const auto close = cell(opportunity_, row, "CloseDate");
        const auto* day = std::get_if<std::int64_t>(&close);
        return std::max(day ? *day : 0, std::int64_t{day_of(org_.now()).days}) + between(14, 42);
    }

    bool edit_opportunity() {
        const auto row = running_opportunity();
        if (!row) return false;
        Values values;
        switch (random_.below(3)) {
            case 0:
                values.emplace_back("Amount", amount());
                break;
            case 1:
                values.emplace_back("CloseDate", later_close(*row));
                break;
            default:
                values.emplace_back("NextStep", word(one_of(words::kNextSteps)));
                break;
        }
        return update(opportunity_, *row, values, owner(opportunity_, *row));
    }

    bool add_role() {
        const auto row = running_opportunity();
        const auto account = row ? text(opportunity_, *row, "AccountId") : std::string();
        if (account.empty()) return false;
        const auto id = org_.id_of(opportunity_, *row);
        std::vector<std::string> taken;
        for (const auto role : org_.rows_referring(role_, field(role_, "OpportunityId"), id)) {
            if (lives(role_, role)) taken.push_back(text(role_, role, "ContactId"));
        }
        std::vector<std::string> free;
        for (const auto contact : org_.rows_referring(contact_, field(contact_, "AccountId"), account)) {
            auto contact_id = org_.id_of(contact_, contact);
            const bool is_taken = std::find(taken.begin(), taken.end(), contact_id) != taken.end();
            if (lives(contact_, contact) && !is_taken) free.push_back(std::move(contact_id));
        }
        if (free.empty()) return false;
        const Values values = {{"OpportunityId", id},
                               {"ContactId", one_of(free)},
                               {"Role", word(one_of(words::kRoles))},
                               {"IsPrimary", taken.empty()}};
        return count(org_.insert(role_, values, owner(opportunity_, *row)).ok());
    }

    bool change_role() {
        const auto row = pick(role_);
        if (!row) return false;
        Values values;
        if (chance(25) && !truth(role_, *row, "IsPrimary")) {
            values.emplace_back("IsPrimary", true);
        } else {
            values.emplace_back("Role", word(one_of(words::kRoles)));
        }
        return update(role_, *row, values, salesperson());
    }

    /// A lead or a contact to do something with; nothing when there is none.
    struct Somebody {
        int object;
        std::int64_t row;
    };
    std::optional<Somebody> somebody() {
        if (chance(50)) {
            if (const auto lead = open_lead()) return Somebody{lead_, *lead};
        }
        if (const auto contact = pick(contact_)) return Somebody{contact_, *contact};
        return std::nullopt;
    }

    bool log_activity() {
        const auto who = somebody();
        if (!who) return false;
        const auto actor = owner(who->object, who->row);
        const bool call = chance(60);
        Values values = {{"WhoId", org_.id_of(who->object, who->row)},
                         {"Subject", call ? word(one_of(words::kCallSubjects)) : word(one_of(words::kMailSubjects))},
                         {"TaskSubtype", std::string(call ? "Call" : "Email")},
                         {"Type", std::string(call ? "Call" : "Email")},
                         {"Status", std::string("Completed")},
                         {"ActivityDate", day_in(0, 0)},
                         {"Description", word(one_of(words::kActivityNotes))},
                         {"OwnerId", actor}};
        if (call) {
            values.emplace_back("CallType", std::string("Outbound"));
            values.emplace_back("CallDurationInSeconds", between(20, 1500));
            values.emplace_back("CallDisposition", word(one_of(words::kCallResults)));
        }
        return count(org_.insert(task_, values, actor).ok());
    }

    bool plan_task() {
        const auto row = running_opportunity();
        if (!row) return false;
        const auto actor = owner(opportunity_, *row);
        Values values = {{"WhatId", org_.id_of(opportunity_, *row)},
                         {"Subject", word(one_of(words::kTaskSubjects))},
                         {"Priority", word(one_of(words::kTaskPriorities))},
                         {"ActivityDate", day_in(1, 14)},
                         {"OwnerId", actor}};
        const auto contact = text(opportunity_, *row, "ContactId");
        if (!contact.empty()) values.emplace_back("WhoId", contact);
        return count(org_.insert(task_, values, actor).ok());
    }

    bool finish_task() {
        const auto row = pick(task_, [&](std::int64_t at) { return !truth(task_, at, "IsClosed"); });
        return row && update(task_, *row, {{"Status", std::string("Completed")}}, owner(task_, *row));
    }

    bool plan_meeting() {
        const auto row = pick(contact_);
        if (!row) return false;
        const auto actor = owner(contact_, *row);
        constexpr std::int64_t half_hour = 1800;
        const auto start = day_in(1, 20) * 48 * half_hour + between(16, 34) * half_hour;
        const Values values = {
            {"WhoId", org_.id_of(contact_, *row)},      {"Subject", word(one_of(words::kEventSubjects))},
            {"Location", word(one_of(words::kPlaces))}, {"StartDateTime", start},
            {"DurationInMinutes", between(1, 4) * 30},  {"OwnerId", actor}};
        return count(org_.insert(event_, values, actor).ok());
    }

    bool join_campaign() {
        const auto campaign = pick(campaign_, [&](std::int64_t at) { return truth(campaign_, at, "IsActive"); });
        const auto who = somebody();
        if (!campaign || !who) return false;
        const std::string campaign_id = org_.id_of(campaign_, *campaign);
        const std::string id = org_.id_of(who->object, who->row);
        const char* key = who->object == lead_ ? "LeadId" : "ContactId";
        for (const auto row : org_.rows_referring(member_, field(member_, key), id)) {
            if (lives(member_, row) && text(member_, row, "CampaignId") == campaign_id) return false;
        }
        return count(org_.insert(member_, {{"CampaignId", campaign_id}, {key, id}}, automation_).ok());
    }

    bool answer_campaign() {
        const auto row = pick(member_);
        if (!row) return false;
        std::vector<std::string> labels;
        const auto campaign = text(member_, *row, "CampaignId");
        for (const auto at : org_.rows_referring(member_status_, field(member_status_, "CampaignId"), campaign)) {
            if (lives(member_status_, at)) labels.push_back(text(member_status_, at, "Label"));
        }
        return !labels.empty() && update(member_, *row, {{"Status", one_of(labels)}}, automation_);
    }

    bool merge() {
        if (chance(50)) {
            const auto winner = open_lead();
            const auto name = winner ? text(lead_, *winner, "LastName") : std::string();
            const auto loser = pick(lead_, [&](std::int64_t row) {
                return row != winner && text(lead_, row, "LastName") == name && !truth(lead_, row, "IsConverted");
            });
            if (winner && loser) return merge(lead_, *winner, *loser);
        }
        const auto winner = pick(contact_, [&](std::int64_t row) { return !text(contact_, row, "AccountId").empty(); });
        if (!winner) return false;
        const auto account = text(contact_, *winner, "AccountId");
        for (const auto row : org_.rows_referring(contact_, field(contact_, "AccountId"), account)) {
            if (row != *winner && lives(contact_, row)) return merge(contact_, *winner, row);
        }
        return false;
    }
    bool merge(int object, std::int64_t winner, std::int64_t loser) {
        return count(
            org_.merge(object, org_.id_of(object, winner), {org_.id_of(object, loser)}, {}, owner(object, winner))
                .ok());
    }

    bool remove_role() { return remove(role_, pick(role_)); }
    bool delete_lead() { return remove(lead_, open_lead()); }
    bool delete_contact() { return remove(contact_, pick(contact_)); }
    bool delete_opportunity() { return remove(opportunity_, running_opportunity()); }

    bool undelete() {
        constexpr std::int64_t look_back = 2000;
        for (const int object : {lead_, opportunity_, contact_}) {
            const auto rows = org_.rows(object);
            for (int i = 0; i < picks_max && rows > 0; ++i) {
                const auto row = between(std::max<std::int64_t>(0, rows - look_back), rows - 1);
                if (org_.life(object, row) == Org::Life::InBin)
                    return count(org_.undelete(object, org_.id_of(object, row), salesperson()).ok());
            }
        }
        return false;
    }

    Org& org_;
    Random& random_;
    int user_, account_, contact_, lead_, opportunity_, role_, task_, event_, campaign_, member_, member_status_;
    std::string automation_;
    std::vector<std::string> salespeople_;
    LifeReport report_;
};

}  // namespace

LifeReport live(Org& org, Random& random, int changes) {
    return Team(org, random).live(changes);
}

void Org::live(Random& random, int changes) {
    sandbox::live(*this, random, changes);
}

}  // namespace lockstep::sandbox

#include <algorithm>
#include <iterator>

#include "sandbox/generate.h"
#include "sandbox/generate_words.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;

constexpr int64_t kDay = 86400;

/// Collects rows of one object after the other; ids of rows made before are known by their number.
class Rows {
public:
    Rows(const OrgOptions& options, Timestamp start, const Schema& schema)
        : options_(options), start_(start.seconds), schema_(schema) {}

    std::string id(const char* object, int64_t row) const {
        const std::string& prefix = schema_.at(schema_.find(object)).key_prefix;
        return RowIds(prefix, object, options_.seed).of(row);
    }
    void add(const char* object, Values values, int64_t days_before_start) {
        rows_.push_back({object, std::move(values), start_ - days_before_start * kDay - 3600});
    }
    std::vector<StandingRow> take() { return std::move(rows_); }
    int64_t start() const { return start_; }
    std::uint64_t seed() const { return options_.seed; }

private:
    const OrgOptions& options_;
    int64_t start_;
    const Schema& schema_;
    std::vector<StandingRow> rows_;
};

using std::string;

void add_organization(Rows& rows) {
    rows.add("Organization",
             {{"Name", string("Sandbox Company")},
              {"Country", string("US")},
              {"PrimaryContact", string("Ada Admin")},
              {"DefaultLocaleSidKey", string("en_US")},
              {"TimeZoneSidKey", string("America/Los_Angeles")},
              {"LanguageLocaleKey", string("en_US")},
              {"ReceivesInfoEmails", true},
              {"ReceivesAdminInfoEmails", true},
              {"FiscalYearStartMonth", int64_t{1}},
              {"DefaultAccountAccess", string("Edit")},
              {"DefaultContactAccess", string("ControlledByParent")},
              {"DefaultOpportunityAccess", string("Edit")},
              {"DefaultLeadAccess", string("ReadEditTransfer")},
              {"DefaultCaseAccess", string("ReadEditTransfer")},
              {"DefaultCalendarAccess", string("HideDetailsInsert")},
              {"DefaultPricebookAccess", string("ReadSelect")},
              {"DefaultCampaignAccess", string("All")},
              {"UiSkin", string("Theme3")},
              {"SignupCountryIsoCode", string("US")},
              {"NumKnowledgeService", int64_t{2}},
              {"OrganizationType", string("Developer Edition")},
              {"InstanceName", string("SBX1")},
              {"IsSandbox", false},
              {"WebToCaseDefaultOrigin", string("Web")},
              {"MonthlyPageViewsUsed", int64_t{0}},
              {"MonthlyPageViewsEntitlement", int64_t{0}}},
             1200);
}

struct Somebody {
    string first, last, title, type, profile;
    bool active = true;
    int role = -1;
};

/// Not bytes: names hold letters of more than one.
string first_characters(const string& text, std::size_t count) {
    std::size_t end = 0;
    for (; end < text.size() && count > 0; --count) {
        do ++end;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
    }
    return text.substr(0, end);
}

void add_user(Rows& rows, const Somebody& who, int64_t number) {
    const string alias =
        (who.first.empty() ? string("a") : first_characters(who.first, 1)) + first_characters(who.last, 4);
    const string name = "user" + std::to_string(number) + "@" + "sandbox" + std::to_string(rows.seed()) + ".example";
    Values values{{"Username", name},
                  {"LastName", who.last},
                  {"Email", name},
                  {"Alias", alias},
                  {"CommunityNickname", "user" + std::to_string(number)},
                  {"IsActive", who.active},
                  {"TimeZoneSidKey", string("America/Los_Angeles")},
                  {"LocaleSidKey", string("en_US")},
                  {"EmailEncodingKey", string("UTF-8")},
                  {"LanguageLocaleKey", string("en_US")},
                  {"ProfileId", rows.id("Profile", who.profile == "System Administrator" ? 0
                                                   : who.profile == "Standard User"      ? 1
                                                                                         : 2)},
                  {"UserType", who.type},
                  {"DigestFrequency", string("D")},
                  {"DefaultGroupNotificationFrequency", string("N")},
                  {"ReceivesInfoEmails", false},
                  {"ForecastEnabled", who.role >= 0}};
    if (!who.first.empty()) values.emplace_back("FirstName", who.first);
    if (!who.title.empty()) values.emplace_back("Title", who.title);
    if (who.role >= 0) values.emplace_back("UserRoleId", rows.id("UserRole", who.role));
    if (who.active && who.type == "Standard") values.emplace_back("LastLoginDate", rows.start() - number * 7200);
    rows.add("User", std::move(values), 1190 - number * 3);
}

void add_users(Rows& rows) {
    struct Profile {
        const char* name;
        const char* type;
    };
    for (const Profile& profile : {Profile{"System Administrator", "Standard"},
                                   {"Standard User", "Standard"},
                                   {"Integration User", "Standard"}}) {
        rows.add("Profile", {{"Name", string(profile.name)}, {"UserType", string(profile.type)}}, 1200);
    }
    const char* roles[] = {"CEO", "VP Sales", "Sales Manager East", "Sales Manager West", "Sales Rep", "Marketing"};
    for (std::size_t i = 0; i < std::size(roles); ++i) {
        string developer_name(roles[i]);
        std::replace(developer_name.begin(), developer_name.end(), ' ', '_');
        Values values{{"Name", string(roles[i])},
                      {"DeveloperName", developer_name},
                      {"OpportunityAccessForAccountOwner", string("Edit")}};
        if (i > 0) values.emplace_back("ParentRoleId", rows.id("UserRole", i < 3 ? 0 : 1));
        rows.add("UserRole", std::move(values), 1199);
    }
    add_user(rows, {"", "Automated Process", "", "AutomatedProcess", "Integration User"}, 0);
    add_user(rows, {"Lockstep", "Integration", "", "Standard", "Integration User"}, kIntegrationUserRow);
    add_user(rows, {"Ada", "Admin", "Salesforce Administrator", "Standard", "System Administrator"}, kAdminRow);
    for (int64_t i = 0; i < kActiveSales + kInactiveSales; ++i) {
        const std::uint64_t h = mix64(rows.seed() ^ mix64(static_cast<std::uint64_t>(i) + 4711));
        // Steps that share no factor with the number of names, so that nobody is named twice.
        const auto first =
            static_cast<std::size_t>(h % 7 + static_cast<std::uint64_t>(i) * 3) % std::size(words::kFirst);
        const auto last =
            static_cast<std::size_t>(h / 7 % 5 + static_cast<std::uint64_t>(i) * 5) % std::size(words::kLast);
        add_user(rows,
                 {string(words::kFirst[first].text), string(words::kLast[last].text),
                  i % 6 == 0 ? "Sales Manager" : "Account Executive", "Standard", "Standard User", i < kActiveSales,
                  i % 6 == 0 ? 2 + static_cast<int>(i / 6 % 2) : 4},
                 kFirstSalesRow + i);
    }
}

void add_queues(Rows& rows) {
    const char* names[] = {"Inbound Leads", "Partner Leads", "EMEA Leads"};
    static_assert(std::size(names) == kQueues);
    for (std::size_t i = 0; i < std::size(names); ++i) {
        string developer_name(names[i]);
        std::replace(developer_name.begin(), developer_name.end(), ' ', '_');
        rows.add("Group",
                 {{"Name", string(names[i])},
                  {"DeveloperName", developer_name},
                  {"Type", string("Queue")},
                  {"Email", "queue" + std::to_string(i) + "@sandbox.example"},
                  {"OwnerId", rows.id("Organization", 0)}},
                 1100);
        rows.add("QueueSobject",
                 {{"QueueId", rows.id("Group", static_cast<int64_t>(i))}, {"SobjectType", string("Lead")}}, 1100);
    }
}

void add_picklists(Rows& rows) {
    for (const char* type : {"Customer", "Partner"}) {
        rows.add("RecordType",
                 {{"Name", string(type)},
                  {"DeveloperName", string(type)},
                  {"SobjectType", string("Account")},
                  {"IsActive", true}},
                 1150);
    }
    int64_t order = 0;
    for (const std::string_view status : words::kLeadStatuses) {
        ++order;
        rows.add("LeadStatus",
                 {{"MasterLabel", string(status)},
                  {"ApiName", string(status)},
                  {"SortOrder", order},
                  {"IsDefault", order == 1},
                  {"IsConverted", status == "Closed - Converted"}},
                 1200);
    }
    order = 0;
    for (const words::Stage& stage : words::kStages) {
        rows.add("OpportunityStage",
                 {{"MasterLabel", string(stage.name)},
                  {"ApiName", string(stage.name)},
                  {"IsActive", true},
                  {"SortOrder", ++order},
                  {"IsClosed", stage.closed},
                  {"IsWon", stage.won},
                  {"ForecastCategory", string(stage.forecast)},
                  {"ForecastCategoryName", string(stage.forecast_name)},
                  {"DefaultProbability", static_cast<double>(stage.probability)}},
                 1200);
    }
}

void add_campaigns(Rows& rows, int64_t campaigns) {
    constexpr std::string_view topics[] = {"Spring Launch", "Customer Day", "Newsletter", "Industry Forum"};
    constexpr auto kinds = static_cast<int64_t>(std::size(words::kCampaignKinds));
    constexpr auto topic_count = static_cast<int64_t>(std::size(topics));
    for (int64_t i = 0; i < campaigns; ++i) {
        const int64_t age = campaign_age_days(i, campaigns);
        const Date begin = day_of({rows.start() - age * kDay});
        const words::CampaignKind& kind = words::kCampaignKinds[i % kinds];
        string name =
            string(topics[i / kinds % topic_count]) + " " + string(kind.type) + " " + std::to_string(civil(begin).year);
        if (campaigns > kinds * topic_count) name += " #" + std::to_string(i + 1);
        rows.add("Campaign",
                 {{"Name", name},
                  {"Type", string(kind.type)},
                  {"Status", string(age > 60 ? "Completed" : "In Progress")},
                  {"StartDate", int64_t{begin.days}},
                  {"EndDate", int64_t{begin.days} + 14},
                  {"BudgetedCost", 1000.0 * static_cast<double>(5 + i)},
                  {"ActualCost", 900.0 * static_cast<double>(5 + i)},
                  {"ExpectedResponse", 5.0},
                  {"NumberSent", 200.0 * static_cast<double>(i + 1)},
                  {"IsActive", age <= 60},
                  {"OwnerId", rows.id("User", kFirstSalesRow + i % kActiveSales)}},
                 age + 30);
        for (int64_t nth = 0; nth < kind.status_count; ++nth) {
            const words::MemberStatus& status = words::kMemberStatuses[kind.statuses[nth]];
            rows.add("CampaignMemberStatus",
                     {{"CampaignId", rows.id("Campaign", i)},
                      {"Label", string(status.label)},
                      {"SortOrder", nth + 1},
                      {"IsDefault", nth == 0},
                      {"HasResponded", status.responded}},
                     age + 30);
        }
    }
}

}  // namespace

std::vector<StandingRow> standing_rows(const OrgOptions& options, Timestamp start, const Schema& schema) {
    Rows rows(options, start, schema);
    add_organization(rows);
    add_users(rows);
    add_queues(rows);
    add_picklists(rows);
    add_campaigns(rows, generated_counts(options).at("Campaign"));
    return rows.take();
}

}  // namespace lockstep::sandbox

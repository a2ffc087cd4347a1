#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/text.h"
#include "base/time.h"
#include "sandbox/org_data.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;

/// The row of a settings object whose `field` holds `text`; nothing when there is none.
std::optional<int64_t> settings_row(const Org::Impl& org, const char* object_name, const char* field,
                                    const std::string& text) {
    const int object = org.schema.find(object_name);
    const int at = object < 0 ? -1 : org.schema.at(object).find(field);
    if (at < 0) return std::nullopt;
    for (int64_t row = 0; row < org.table(object).rows(); ++row) {
        if (!org.is_live(object, row, Sight::Writer)) continue;
        const Cell cell = org.read(object, row, at, Sight::Writer);
        if (!is_null(cell) && equals_ignoring_case(std::get<std::string>(cell), text)) return row;
    }
    return std::nullopt;
}

Cell cell_of(const Org::Impl& org, int object, int64_t row, const char* field) {
    const int at = org.schema.at(object).find(field);
    return at < 0 ? Cell{} : org.read(object, row, at, Sight::Writer);
}

// --- Opportunity (salesforce-api 18).

void apply_stage(Draft& draft) {
    const int stages = draft.org.schema.find("OpportunityStage");
    const std::optional<int64_t> stage =
        settings_row(draft.org, "OpportunityStage", "MasterLabel", draft.text("StageName"));
    const auto of_stage = [&](const char* field) { return stage ? cell_of(draft.org, stages, *stage, field) : Cell{}; };
    if (draft.changes("StageName")) {
        if (!draft.given("Probability")) {
            draft.set("Probability", stage ? of_stage("DefaultProbability") : Cell{0.0});
        }
        if (!draft.given("ForecastCategoryName")) {
            draft.set("ForecastCategoryName", stage ? of_stage("ForecastCategoryName") : Cell{std::string("Pipeline")});
        }
        if (!draft.is_new()) draft.set("LastStageChangeDate", draft.org.now());
        draft.set("IsClosed", of_stage("IsClosed") == Cell{true});
        draft.set("IsWon", of_stage("IsWon") == Cell{true});
    }
    constexpr std::pair<std::string_view, std::string_view> api_names[] = {
        {"Best Case", "BestCase"}, {"Commit", "Forecast"}, {"Most Likely", "MostLikely"}};
    std::string category = draft.text("ForecastCategoryName");
    for (const auto& [label, api_name] : api_names) {
        if (category == label) category = std::string(api_name);
    }
    if (draft.changes("ForecastCategoryName")) draft.set("ForecastCategory", category);
}

void derive_opportunity(Draft& draft) {
    apply_stage(draft);
    const Cell amount = draft.get("Amount");
    const Cell probability = draft.get("Probability");
    Cell expected;
    if (!is_null(amount) && !is_null(probability)) {
        expected = std::round(std::get<double>(amount) * std::get<double>(probability)) / 100;
    }
    draft.set("ExpectedRevenue", expected);
    const Cell close = draft.get("CloseDate");
    if (!is_null(close)) {
        const CivilDate day = civil(Date{static_cast<std::int32_t>(std::get<int64_t>(close))});
        const int quarter = (day.month + 2) / 3;
        draft.set("FiscalYear", int64_t{day.year});
        draft.set("FiscalQuarter", int64_t{quarter});
        draft.set("Fiscal", std::to_string(day.year) + " " + std::to_string(quarter));
    }
    if (draft.is_new()) {
        draft.set("PushCount", int64_t{0});
    } else if (draft.changes("CloseDate") && draft.get("IsClosed") == Cell{false}) {
        // A deal is pushed when its close moves into a later month.
        const auto month = [](const Cell& cell) {
            if (is_null(cell)) return 0;
            const CivilDate day = civil(Date{static_cast<std::int32_t>(std::get<int64_t>(cell))});
            return day.year * 12 + day.month;
        };
        const Cell pushed = draft.get("PushCount");
        const int64_t count = is_null(pushed) ? 0 : std::get<int64_t>(pushed);
        if (month(close) > month(draft.old(draft.find("CloseDate")))) draft.set("PushCount", count + 1);
    }
}

void add_primary_role(Draft& draft) {
    const Cell contact = draft.get("ContactId");
    if (is_null(contact) || !draft.given("ContactId")) return;
    const int roles = draft.org.schema.find("OpportunityContactRole");
    const std::string id = draft.org.table(draft.object).ids->of(draft.row);
    WriteResult made = insert_record(draft.org, roles,
                                     {{"OpportunityId", id}, {"ContactId", contact}, {"IsPrimary", true}}, draft.actor);
    for (WriteError& error : made.errors) draft.errors.push_back(std::move(error));
}

/// At most one role of an opportunity is primary, and the opportunity's ContactId shows whose.
void keep_one_primary(Draft& draft) {
    Org::Impl& org = draft.org;
    const std::optional<int64_t> deal = org.resolve(draft.text("OpportunityId"));
    if (!deal) return;
    const bool primary = draft.get("IsPrimary") == Cell{true};
    bool another = false;
    for (const int64_t row : org.referring(draft.object, draft.find("OpportunityId"), *deal, Sight::Writer)) {
        if (row == draft.row || !org.is_live(draft.object, row, Sight::Writer)) continue;
        if (cell_of(org, draft.object, row, "IsPrimary") != Cell{true}) continue;
        another = !primary;
        if (primary) set_fields(org, draft.object, row, {{"IsPrimary", false}}, draft.actor);
    }
    const Cell contact = primary ? draft.get("ContactId") : Cell{};
    const bool shown = cell_of(org, packed_object(*deal), packed_row(*deal), "ContactId") == contact;
    if (!shown && !another) set_fields(org, packed_object(*deal), packed_row(*deal), {{"ContactId", contact}}, "");
}

/// An opportunity shows no contact of a role that is gone, and shows it again when the role comes back, unless another
/// role has become the primary one.
void follow_primary(Org::Impl& org, int object, int64_t row, std::string_view actor) {
    const Object& role = org.schema.at(object);
    const Cell place = org.read(object, row, role.find("OpportunityId"), Sight::Writer);
    const std::optional<int64_t> deal =
        std::holds_alternative<std::string>(place) ? org.resolve(std::get<std::string>(place)) : std::nullopt;
    if (!deal || !org.is_live(packed_object(*deal), packed_row(*deal), Sight::Writer)) return;
    std::optional<int64_t> primary;
    for (const int64_t at : org.referring(object, role.find("OpportunityId"), *deal, Sight::Writer)) {
        if (at == row || !org.is_live(object, at, Sight::Writer)) continue;
        if (cell_of(org, object, at, "IsPrimary") == Cell{true}) primary = at;
    }
    if (org.is_live(object, row, Sight::Writer) && cell_of(org, object, row, "IsPrimary") == Cell{true}) {
        if (primary) set_fields(org, object, row, {{"IsPrimary", false}}, actor);
        if (!primary) primary = row;
    }
    const Cell contact = primary ? cell_of(org, object, *primary, "ContactId") : Cell{};
    if (cell_of(org, packed_object(*deal), packed_row(*deal), "ContactId") == contact) return;
    set_fields(org, packed_object(*deal), packed_row(*deal), {{"ContactId", contact}}, "");
}

// --- People.

void derive_person(Draft& draft) {
    if (draft.changes("Email") && !draft.is_new()) {
        for (const char* field : {"EmailBouncedReason", "EmailBouncedDate"}) {
            if (!draft.given(field) && draft.find(field) >= 0) draft.set(field, {});
        }
    }
    if (draft.find("IsEmailBounced") >= 0 && (draft.is_new() || draft.changes("EmailBouncedReason"))) {
        draft.set("IsEmailBounced", !is_null(draft.get("EmailBouncedReason")));
    }
    if (draft.described().name == "Lead" && draft.is_new() && !draft.given("IsUnreadByOwner")) {
        draft.set("IsUnreadByOwner", true);
    }
}

// --- Campaigns and their members.

void check_member(Draft& draft) {
    if (!draft.is_new()) return;
    const bool lead = !is_null(draft.get("LeadId"));
    const bool contact = !is_null(draft.get("ContactId"));
    if (lead == contact) {
        draft.fail("FIELD_INTEGRITY_EXCEPTION", "a campaign member is either a lead or a contact",
                   {"LeadId", "ContactId"});
        return;
    }
    const char* field = lead ? "LeadId" : "ContactId";
    const std::optional<int64_t> person = draft.org.resolve(draft.text(field));
    if (!person) return;
    for (const int64_t row : draft.org.referring(draft.object, draft.find(field), *person, Sight::Writer)) {
        const bool same = cell_of(draft.org, draft.object, row, "CampaignId") == draft.get("CampaignId");
        if (same && draft.org.is_live(draft.object, row, Sight::Writer)) {
            draft.fail("DUPLICATE_VALUE", "Already a campaign member.");
            return;
        }
    }
}

void derive_member(Draft& draft) {
    Org::Impl& org = draft.org;
    const int statuses = org.schema.find("CampaignMemberStatus");
    const std::optional<int64_t> campaign = org.resolve(draft.text("CampaignId"));
    if (statuses < 0 || !campaign) return;
    std::optional<int64_t> chosen;
    std::optional<int64_t> fallback;
    const int link = org.schema.at(statuses).find("CampaignId");
    for (const int64_t row : org.referring(statuses, link, *campaign, Sight::Writer)) {
        if (!org.is_live(statuses, row, Sight::Writer)) continue;
        if (cell_of(org, statuses, row, "Label") == draft.get("Status")) chosen = row;
        if (cell_of(org, statuses, row, "IsDefault") == Cell{true}) fallback = row;
    }
    if (!chosen) chosen = fallback;
    if (!chosen) return;
    draft.set("Status", cell_of(org, statuses, *chosen, "Label"));
    const bool responded = cell_of(org, statuses, *chosen, "HasResponded") == Cell{true};
    draft.set("HasResponded", responded);
    if (responded && is_null(draft.get("FirstRespondedDate"))) {
        draft.set("FirstRespondedDate", int64_t{day_of({org.now()}).days});
    }
}

void add_member_statuses(Draft& draft) {
    const int statuses = draft.org.schema.find("CampaignMemberStatus");
    if (statuses < 0) return;
    const std::string id = draft.org.table(draft.object).ids->of(draft.row);
    for (const bool responded : {false, true}) {
        insert_record(draft.org, statuses,
                      {{"CampaignId", id},
                       {"Label", std::string(responded ? "Responded" : "Sent")},
                       {"SortOrder", int64_t{responded ? 2 : 1}},
                       {"IsDefault", !responded},
                       {"HasResponded", responded}},
                      draft.actor);
    }
}

// --- Activities.

void check_activity(Draft& draft) {
    const std::string who = draft.text("WhoId");
    if (who.empty() || is_null(draft.get("WhatId"))) return;
    const int object = draft.org.schema.find_by_prefix(who.substr(0, 3));
    if (object < 0 || draft.org.schema.at(object).name != "Lead") return;
    draft.fail("FIELD_INTEGRITY_EXCEPTION", "Related To ID: a lead can not be related to another record", {"WhatId"});
}

/// The account an activity counts for: of what it is related to, else of whom.
Cell account_of_activity(const Draft& draft) {
    for (const char* field : {"WhatId", "WhoId"}) {
        const std::optional<int64_t> target = draft.org.resolve(draft.text(field));
        if (!target) continue;
        const int object = packed_object(*target);
        if (draft.org.schema.at(object).name == "Account") return draft.get(field);
        Cell account = cell_of(draft.org, object, packed_row(*target), "AccountId");
        if (!is_null(account)) return account;
    }
    return {};
}

void derive_task(Draft& draft) {
    draft.set("AccountId", account_of_activity(draft));
    const bool closed = draft.text("Status") == "Completed";
    const bool was_closed = !draft.is_new() && draft.old(draft.find("IsClosed")) == Cell{true};
    draft.set("IsClosed", closed);
    draft.set("IsHighPriority", draft.text("Priority") == "High");
    if (closed && !was_closed) draft.set("CompletedDateTime", draft.org.now());
    if (!closed) draft.set("CompletedDateTime", {});
}

void derive_event(Draft& draft) {
    draft.set("AccountId", account_of_activity(draft));
    // Two names of one moment; the one that was written wins.
    if (draft.changes("StartDateTime"))
        draft.set("ActivityDateTime", draft.get("StartDateTime"));
    else if (draft.changes("ActivityDateTime"))
        draft.set("StartDateTime", draft.get("ActivityDateTime"));
    const Cell begin = draft.get("StartDateTime");
    if (is_null(begin)) return;
    const int64_t at = std::get<int64_t>(begin);
    const Cell minutes = draft.get("DurationInMinutes");
    const Cell end = draft.get("EndDateTime");
    int64_t until = at;
    if (draft.given("EndDateTime") && !is_null(end)) {
        until = std::get<int64_t>(end);
    } else if (!is_null(minutes)) {
        until = at + std::get<int64_t>(minutes) * 60;
    }
    draft.set("EndDateTime", until);
    draft.set("DurationInMinutes", (until - at) / 60);
    draft.set("ActivityDate", int64_t{day_of({at}).days});
    draft.set("EndDate", int64_t{day_of({until}).days});
}

void derive_record_type(Draft& draft) {
    if (draft.is_new()) draft.set("IsActive", true);
}

void show_record_types(Draft& draft) {
    draft.org.note_record_types();
}

// --- Currencies.

void check_currency(Draft& draft) {
    const Cell rate = draft.get("ConversionRate");
    if (!is_null(rate) && std::get<double>(rate) <= 0) {
        draft.fail("FIELD_INTEGRITY_EXCEPTION", "Conversion Rate must be greater than zero", {"ConversionRate"});
    }
    const bool corporate = draft.find("IsCorporate") >= 0 && draft.get("IsCorporate") == Cell{true};
    if (corporate && rate != Cell{1.0}) {
        draft.fail("FIELD_INTEGRITY_EXCEPTION", "the rate of the corporate currency is 1", {"ConversionRate"});
    }
    if (!draft.is_new() || draft.described().name != "CurrencyType") return;
    if (settings_row(draft.org, "CurrencyType", "IsoCode", draft.text("IsoCode"))) {
        draft.fail("DUPLICATE_VALUE", "the org has the currency " + draft.text("IsoCode") + " already", {"IsoCode"});
    }
}

void show_currencies(Draft& draft) {
    draft.org.note_currencies();
}

/// Each rate holds until the day before the next one of its currency.
void chain_rates(Draft& draft) {
    Org::Impl& org = draft.org;
    const auto start = [&](int64_t row) { return std::get<int64_t>(cell_of(org, draft.object, row, "StartDate")); };
    std::vector<int64_t> rows;
    for (int64_t row = 0; row < org.table(draft.object).rows(); ++row) {
        if (cell_of(org, draft.object, row, "IsoCode") == draft.get("IsoCode")) rows.push_back(row);
    }
    std::sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return start(a) < start(b); });
    const int64_t never = from_civil(CivilDate{9999, 12, 31}).days;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const int64_t next = i + 1 < rows.size() ? start(rows[i + 1]) : never;
        if (cell_of(org, draft.object, rows[i], "NextStartDate") == Cell{next}) continue;
        set_fields(org, draft.object, rows[i], {{"NextStartDate", next}}, "");
    }
}

struct Rule {
    const char* object;
    void (*check)(Draft&);
    void (*derive)(Draft&);
    void (*after_insert)(Draft&);
    void (*after_save)(Draft&);
};
constexpr Rule kRules[] = {
    {"Opportunity", nullptr, derive_opportunity, add_primary_role, nullptr},
    {"OpportunityContactRole", nullptr, nullptr, nullptr, keep_one_primary},
    {"Lead", nullptr, derive_person, nullptr, nullptr},
    {"Contact", nullptr, derive_person, nullptr, nullptr},
    {"Campaign", nullptr, nullptr, add_member_statuses, nullptr},
    {"CampaignMember", check_member, derive_member, nullptr, nullptr},
    {"RecordType", nullptr, derive_record_type, nullptr, show_record_types},
    {"Task", check_activity, derive_task, nullptr, nullptr},
    {"Event", check_activity, derive_event, nullptr, nullptr},
    {"CurrencyType", check_currency, nullptr, nullptr, show_currencies},
    {"DatedConversionRate", check_currency, nullptr, nullptr, chain_rates},
};

const Rule* rule_of(const Draft& draft) {
    const auto* found = std::find_if(std::begin(kRules), std::end(kRules),
                                     [&](const Rule& rule) { return draft.described().name == rule.object; });
    return found == std::end(kRules) ? nullptr : found;
}

}  // namespace

void check_rules(Draft& draft) {
    const Rule* rule = rule_of(draft);
    if (rule != nullptr && rule->check != nullptr) rule->check(draft);
}

void derive_fields(Draft& draft) {
    const Rule* rule = rule_of(draft);
    if (rule != nullptr && rule->derive != nullptr) rule->derive(draft);
}

void after_save(Draft& draft, bool created) {
    const Rule* rule = rule_of(draft);
    if (rule == nullptr) return;
    if (created && rule->after_insert != nullptr) rule->after_insert(draft);
    if (rule->after_save != nullptr) rule->after_save(draft);
}

void after_life_change(Org::Impl& org, int object, std::int64_t row, std::string_view actor) {
    if (org.schema.at(object).name == "OpportunityContactRole") follow_primary(org, object, row, actor);
}

}  // namespace lockstep::sandbox

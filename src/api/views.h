#pragma once

// What people ask Lockstep, answered from our database: the command line and the web app show the same answers.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/journal.h"
#include "store/log.h"
#include "sync/formulas.h"
#include "sync/rules.h"

namespace lockstep::api {

/// A row of the Opportunity Info table (domain 11).
struct OpportunityInfo {
    std::string id, name, stage, type, account, owner, role, currency;
    std::optional<double> amount, expected_revenue, probability;
    std::optional<Date> close_date;
    bool closed = false, won = false, primary = false;
    std::optional<Timestamp> updated;
};

/// Sums of one currency code; codes are never added up.
struct OpportunityTotal {
    std::string currency;
    std::int64_t count = 0;
    double amount = 0, expected_revenue = 0;
};

struct PersonView {
    std::int64_t id = 0;
    struct Field {
        std::string column, label;
        record::Value value;
    };
    std::vector<Field> fields;   ///< person's own, nulls left out
    std::vector<Field> company;  ///< of their company, nulls left out
    struct Owner {
        std::string id, name, email, title, phone;
    };
    std::optional<Owner> sales_owner, account_owner;
    struct Identity {
        std::string crm_id, object, how;
        bool live = true;
    };
    std::vector<Identity> identities;
    std::string sfdc_type;  ///< "Lead", "Contact", or empty
    std::vector<OpportunityInfo> opportunities;
    std::vector<OpportunityTotal> totals;
    bool unsubscribed = false;
};
/// Nothing: no such person.
std::optional<PersonView> person(store::Connection& db, std::int64_t id, const sync::Settings& settings);
std::vector<OpportunityInfo> opportunities_of(store::Connection& db, std::int64_t person,
                                              const sync::Settings& settings);

/// Opportunities without a living link to a person.
struct Orphan {
    std::string id, name, stage, account, owner, currency;
    std::optional<double> amount;
    std::string reason;  ///< "no contact role", "contact not visible", …
};
struct OrphanGroup {
    std::string reason, currency;
    std::int64_t count = 0;
    double amount = 0;
};
std::vector<OrphanGroup> orphan_groups(store::Connection& db, const sync::Settings& settings);
std::vector<Orphan> orphans(store::Connection& db, const sync::Settings& settings, int rows_max);
/// All live opportunities, newest change first.
std::vector<OpportunityInfo> opportunities(store::Connection& db, const sync::Settings& settings, int rows_max);
/// Count and sum by account and stage, for checks against other sources.
struct AccountStage {
    std::string account, stage, currency;
    std::int64_t count = 0;
    double amount = 0;
};
std::vector<AccountStage> opportunities_by_account_and_stage(store::Connection& db, const sync::Settings& settings);

/// One field of a record, with all that decided its value.
struct FieldExplanation {
    std::string field, column;
    record::Value theirs;               ///< what Salesforce last said, taken over or not
    record::Value base;                 ///< the mirror
    std::optional<record::Value> ours;  ///< nothing: the field has no pair with us
    std::string ours_column;            ///< "person.email"
    std::string verdict, reason, rule;
    std::int64_t position = 0;  ///< log row that set it; 0: none known
    std::optional<Timestamp> at;
    std::string call, kind;  ///< the API call that brought it; "insert", "update", "snapshot"; "pruned": row too old
    std::int64_t cycle = 0;
    std::string held_reason;  ///< not taken over, and why
    /// How far the value can be relied on, of formulas and what behaves like them; nothing of any other field.
    std::optional<sync::FieldFreshness> freshness;
};
struct Explanation {
    std::string object, id, name;
    bool deleted = false;
    std::optional<std::int64_t> person;
    std::vector<FieldExplanation> fields;
};
/// Errors: NotFound – no such object or record in the mirror, with the nearest thing to do.
Result<Explanation> explain(store::Connection& db, const sync::Rules& rules, std::string_view object,
                            std::string_view id);

/// Where the sync stands.
struct ObjectStatus {
    std::string object, state;
    std::int64_t rows = 0, deleted_rows = 0;
    std::optional<Timestamp> watermark, complete_as_of;
    std::int64_t load_rows = 0, load_expected = 0;
};
struct Status {
    std::string organization_id, organization_name, url, database;
    std::vector<ObjectStatus> objects;
    std::int64_t people = 0, companies = 0, links = 0, activities = 0, log_position = 0, log_pruned = 0,
                 open_errors = 0;
    std::optional<store::Step> last_step;
    std::int64_t calls_24h = 0;
    std::uint64_t bytes = 0;
};
/// `now`: the end of the 24 hours whose API calls are counted.
Status status(store::Database& db, Timestamp now);

}  // namespace lockstep::api

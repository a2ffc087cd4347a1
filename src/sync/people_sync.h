#pragma once

#include <map>
#include <string>
#include <vector>

#include "people/people.h"
#include "store/catalog.h"
#include "store/mirror.h"
#include "sync/rules.h"

namespace lockstep::sync {

/// What hearing people did to them: the counters of a step, and what others have to follow up.
struct PeopleOutcome {
    std::int64_t created = 0, updated = 0;
    std::int64_t people = 0, companies = 0;  ///< new ones; a lead brings a company of its own
    /// Contacts that began or ceased to be somebody's living record: their opportunity links must be settled again.
    std::vector<std::string> contacts_to_settle;
};

/// The pairs of one Salesforce object: which of its fields become which of ours.
struct Pairs {
    const ObjectRules* rules = nullptr;
    struct Pair {
        FieldRule rule;
        std::string table, column;  ///< "person"/"company", "email"
        record::Form form = record::Form::Text;
    };
    std::vector<Pair> fields;
    std::vector<std::string> notes;  ///< rules that are not used because their types do not fit, in words
};

/// Works out the pairs of an object from its rules and describe, and adds the columns of ours they need.
Pairs pair_up(store::Database& db, people::Fields& fields, const ObjectRules& rules, const store::Catalog& catalog,
              const Rules& all);

/// Brings heard accounts, leads and contacts to companies and people. The same code builds everybody after the first
/// load (from pages of the mirror, each row new) and follows single changes; every field goes through decide().
class PeopleSync {
public:
    PeopleSync(const Pairs& pairs, const store::MirrorObject& object) : pairs_(pairs), object_(object) {}

    /// Applies a page. Leads: an unconverted one is a person of its own; a converted one is its contact's person; a
    /// merged one its master's. Contacts: tied to the account's company. Deleted records never heard before are
    /// nobody; a known person stays and is marked.
    PeopleOutcome apply(people::Writer& writer, const store::PageShape& shape, const record::Batch& page,
                        const store::MirrorChanges& changes);
    /// Records that are gone without a last word (delete log, key-set comparison).
    PeopleOutcome gone(people::Writer& writer, const std::vector<store::DeadRow>& rows);

private:
    struct Page;
    PeopleOutcome apply_companies(Page& page);
    PeopleOutcome apply_people(Page& page);
    void create_companies(Page& page, const std::vector<std::size_t>& rows, PeopleOutcome& outcome);
    void create_people(Page& page, const std::vector<std::size_t>& rows, PeopleOutcome& outcome);
    std::vector<record::Value> our_values(Page& page, const std::string& table, std::int64_t id);
    bool follow(Page& page, const store::RowChange& change, std::int64_t person, std::int64_t company, bool everything);
    void tie_converted(Page& page, std::size_t row, const people::Identity* known, PeopleOutcome& outcome);
    bool tie_merged(Page& page, std::size_t row, const people::Identity* known, PeopleOutcome& outcome);

    const Pairs& pairs_;
    const store::MirrorObject& object_;
};

}  // namespace lockstep::sync

#pragma once

// Start here: the only writer of people, companies, identities and consent.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/database.h"
#include "store/log.h"

namespace lockstep::people {

using record::Batch;
using record::Cell;
using record::Form;
using record::Value;

/// A field of ours: a column of `person` or `company`.
struct OurField {
    std::string table;   ///< "person", "company"
    std::string column;  ///< "email", "region__c"
    std::string label;   ///< "Email Address"
    Form form = Form::Text;
    std::string origin;  ///< "standard", or the Salesforce fields it was made for: "Lead.Region__c"
};

/// The columns of person and company. Standard ones always exist; others are added when a rule asks for them and are
/// never dropped.
class Fields {
public:
    static Fields read(store::Connection& db);
    const OurField* find(std::string_view table, std::string_view column) const;
    const std::vector<OurField>& all() const { return fields_; }
    /// Adds the column unless it exists; a clash of forms is a Failure that names both.
    void ensure(store::Database& db, const OurField& field);

private:
    std::vector<OurField> fields_;
};

/// Who an id of Salesforce is with us.
struct Identity {
    std::int64_t person = 0;
    std::string object;  ///< "Lead", "Contact"
    bool live = true;    ///< the record exists in Salesforce and is this person's
};
/// Identities of `crm_ids`; unknown ones are absent. Cost: one index look-up an id.
std::unordered_map<std::string, Identity> identities(store::Connection& db, std::span<const std::string_view> crm_ids);
/// Company ids of accounts; unknown ones are absent.
std::unordered_map<std::string, std::int64_t> companies_of(store::Connection& db,
                                                           std::span<const std::string_view> account_ids);

/// How an identity came to be: "loaded", "created", "converted", "merged".
struct Tie {
    std::string crm_id;
    std::int64_t person = 0;
    std::string object;
    bool live = true;
    std::string how;
};

/// Writes people and companies inside a transaction, with their log rows.
///
/// In a build (the first load, or after it for pages of the mirror) one Snapshot row a page is logged; otherwise one
/// row a person or company.
class Writer {
public:
    enum class Mode { Build, Follow };
    Writer(store::Transaction& tx, Mode mode, store::Class cls, store::Cause cause)
        : tx_(tx), mode_(mode), cls_(cls), cause_(std::move(cause)) {}

    /// Inserts rows whose first column is `id`. `columns` name the batch's columns, "id" first.
    void add(std::string_view table, const std::vector<std::string>& columns, const Batch& rows);
    /// Sets columns of one row; `changes` carry before and after. Nothing to do for an empty list.
    void update(std::string_view table, std::int64_t id, const std::vector<store::Change::Field>& changes,
                std::string_view rule);
    /// New identities, in bulk.
    void tie(const std::vector<Tie>& ties);
    /// Points an existing or new identity at `person`.
    void retie(const Tie& tie);
    /// The record is gone from Salesforce, or is back: the person stays.
    void set_live(std::string_view crm_id, bool live);
    /// `loser` becomes `winner`: identities and opportunity links move, the loser is kept with `merged_into`.
    void unite(std::int64_t loser, std::int64_t winner);

    /// Consent belongs to the address: the latest statement counts.
    void set_consent(std::string_view email, bool opted_out, std::string_view source, Timestamp at);

    store::Transaction& tx() { return tx_; }
    Mode mode() const { return mode_; }
    store::Class cls() const { return cls_; }
    const store::Cause& cause() const { return cause_; }

private:
    store::Transaction& tx_;
    Mode mode_;
    store::Class cls_;
    store::Cause cause_;
};

/// Finds a person by our id, by any Salesforce id (15 or 18 characters) it ever had, or by e-mail address (without
/// regard to case; several people may share one: all are returned, oldest first). Merged people lead to their winner.
std::vector<std::int64_t> find_people(store::Connection& db, std::string_view text);

}  // namespace lockstep::people

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "record/object.h"
#include "sync/decide.h"

namespace lockstep::sync {

/// What an object becomes with us.
enum class Role {
    Reference,    ///< mirrored only: users, queues, stages, …
    Company,      ///< Account
    Person,       ///< Lead, Contact
    Opportunity,  ///< Opportunity
    ContactRole,  ///< OpportunityContactRole
};

/// One rules file: an object, what it becomes, and the fields it names.
struct ObjectRules {
    std::string salesforce;  ///< "Lead"
    Role role = Role::Reference;
    Winner winner = Winner::Theirs;
    bool required = true;              ///< a missing object stops the sync with a hint; false: skipped
    std::vector<FieldRule> fields;     ///< as written
    std::vector<std::string> needed;   ///< fields without which the sync can not work (domain 2.6)
    std::vector<std::string> indexed;  ///< mirror columns with an index of their own
    std::string origin;                ///< "rules/lead.toml"
};

/// Settings of lockstep.toml the sync reads; each has its default, unit and sentence in config/lockstep.toml.
struct Settings {
    std::int64_t interval_s = 300;
    std::int64_t overlap_s = 600;
    std::int64_t bulk_from_rows = 10'000;
    bool composite = true;
    std::int64_t log_keep_days = 400;
    std::int64_t history_keep_days = 90;
    int api_share_percent = 80;
    std::string api_version = "62.0";
    /// "keep": an amount is shown under its own row's code. "relabel": under the org's default code, as the original
    /// does (domain 6.6).
    std::string currency = "keep";
    /// Opportunity fields that make an Update Opportunity activity although they are formulas, roll-ups or system
    /// fields.
    std::vector<std::string> activity_fields;
};

/// The sync table: one ObjectRules an object, in the order of a cycle (parents first).
class Rules {
public:
    /// The rules Lockstep comes with (config/rules), each overridden by a file of the same name in `dir`/rules, and
    /// `dir`/lockstep.toml over config/lockstep.toml. Errors: Invalid, naming file, line and what to write instead:
    /// unknown key, unknown object, field given twice, unknown way.
    static Result<Rules> read(const std::string& dir);
    const std::vector<ObjectRules>& objects() const { return objects_; }
    const ObjectRules* find(std::string_view object) const;
    const Settings& settings() const { return settings_; }
    Settings& settings() { return settings_; }

private:
    std::vector<ObjectRules> objects_;
    Settings settings_;
};

/// The rule of each described field of an object: the file's, else the default of domain 7.2 (custom fields map to a
/// field of ours with their own name, read only). Fields of mirrored-only objects have none. `other` is the object that
/// shares our table (Lead and Contact), or null: a name they share becomes one field of ours only if the forms agree;
/// otherwise each gets its own ("lead_region__c").
std::vector<FieldRule> effective_rules(const ObjectRules& rules, const record::Object& described,
                                       const record::Object* other);

/// A finding of `rules --check`.
struct RuleFinding {
    std::string object, field, origin;
    std::string what, hint;
    bool fatal = false;  ///< the sync can not run like this
};
/// Holds rules against a describe: fields that do not exist, needed fields that are hidden, types that do not fit.
std::vector<RuleFinding> check_rules(const ObjectRules& rules, const record::Object& described,
                                     const record::Object* other);

}  // namespace lockstep::sync

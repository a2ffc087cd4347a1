#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/load_dir.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// What `--org FILE` says about an org, in TOML or, when the file's name ends in .json, in JSON of the same shape:
///
///     [org]
///     name = "Acme Europe"              # Organization.Name
///     currency = "EUR"                  # the org's one currency
///     currencies = ["EUR", "USD 1.08"]  # or several, the corporate one first, with what one of it is worth
///     people = 5000                     # leads and contacts to generate; seed = 7 fixes which
///     hidden = ["Lead.Phone", "Task"]   # what the connected user can not see
///     tracked = ["Lead.Status"]         # fields whose changes are rows of history
///     [counts]
///     Opportunity = 200                 # generated rows of single objects
///     [settings]
///     quota = 15000                     # any of settings.h
///
///     [[objects]]
///     name = "Project__c"               # label, plural, key_prefix; name_format = "P-{0000}" numbers its records
///     fields = [
///       { name = "Code__c", type = "string", length = 20, external_id = true, unique = true },
///       { name = "Account__c", type = "reference", to = "Account", children = "Projects" },
///     ]
///     [[fields]]                        # on an object that exists
///     object = "Lead"
///     name = "Tier__c"
///     type = "picklist"
///     values = ["Gold", "Silver"]
///
///     [[rows.Account]]
///     _ref = "acme"                     # a name for other rows to use
///     Name = "Acme"
///     [[rows.Contact]]
///     LastName = "Bell"
///     AccountId = "@acme"
///
/// Keys of a field: name, type (the words of describe), label, help, length, precision, scale, required, unique,
/// external_id, case_sensitive, values, restricted, default, to, relationship, children, cascade, formula (as in
/// Salesforce), blank_as_zero, number_format, hidden, tracked.
class OrgFile {
public:
    /// Errors: Invalid or NotFound, with file, line and what to do. Unknown keys are refused.
    static Result<OrgFile> read(const std::filesystem::path& file);

    /// Puts counts, people and seed where the org's constructor looks for them.
    void adjust(OrgOptions& options) const;
    /// A JSON object for SettingsBox::change, the org's currency among it; "{}" when the file has none.
    const std::string& settings_json() const { return settings_json_; }
    int settings_line() const { return settings_line_; }

    /// Adds objects, fields and rows, hides what is to be hidden, names the organization. Not for an org that was
    /// restored from a state file: it holds all of this already.
    ///
    /// Errors: Invalid – an object or field that exists or that a reference needs and nobody declares, a formula that
    /// Salesforce would refuse, or a row that the org refuses: the first one, with its line. The org is then half made
    /// and of no use.
    Result<LoadReport> apply(Org& org) const;

private:
    struct FieldToAdd {
        std::string object;
        Field field;
        bool hidden = false;
        int line = 0;
    };
    struct ObjectToAdd {
        Object object;
        std::vector<FieldToAdd> fields;
        int line = 0;
    };
    struct RowOfFile {
        std::string object, ref;
        Values values;
        int line = 0;
    };
    struct Named {
        std::string name;  ///< Object or Object.Field
        int line = 0;
    };
    friend class OrgFileReader;

    Error wrong(int line, const std::string& what, std::string hint) const;
    Result<void> add_fields(Org& org, int object, const std::vector<FieldToAdd>& fields) const;
    Result<std::pair<int, int>> find(const Org& org, const Named& named) const;  ///< field -1: the object
    Result<void> check_formulas(const Org& org, int object, const std::vector<FieldToAdd>& fields) const;
    Result<void> hide(Org& org) const;
    Result<void> track(Org& org) const;

    std::string file_;
    std::optional<std::int64_t> people_;
    std::optional<std::uint64_t> seed_;
    std::map<std::string, std::int64_t> counts_;
    std::optional<std::string> name_;
    std::string settings_json_ = "{}";
    int settings_line_ = 0;
    std::vector<ObjectToAdd> objects_;
    std::vector<FieldToAdd> fields_;
    std::vector<RowOfFile> rows_;
    std::vector<Named> hidden_, tracked_;
    std::vector<Org::Currency> currencies_;
    int currencies_line_ = 0;
};

}  // namespace lockstep::sandbox

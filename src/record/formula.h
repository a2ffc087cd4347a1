#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lockstep::record {

/// How far our copy of a field can be relied on between two savings of its row.
enum class Freshness {
    Exact,         ///< whatever can change it is heard of
    AsOf,          ///< right when it was last read as a whole; read anew once a day
    NotTrackable,  ///< right when its row was last read, and nothing tells when that ends
};
/// "exact", "as of", "not trackable"
const char* name(Freshness freshness);

/// What a formula field is made from. Nothing is evaluated: all we need to know is what could change the value.
struct Formula {
    /// A relationship, or at the end of a path a field: "Account"; "Owner" of type "User" as written in Owner:User.
    struct Step {
        std::string name, type;
        bool operator==(const Step&) const = default;
    };
    /// `Account.Owner.Name` has three steps, `Amount` of the own record one. $RecordType.Name stands for
    /// RecordType.Name.
    using Path = std::vector<Step>;
    /// Each once (without regard to case), in the order of their first mention.
    std::vector<Path> paths;

    /// Something other than records that the value depends on.
    struct Influence {
        enum class What {
            Day,      ///< TODAY()
            Moment,   ///< NOW(), TIMENOW()
            Rates,    ///< CURRENCYRATE()
            SetUp,    ///< $Label, $Organization, $CustomMetadata, …: changed by an administrator, tells nobody
            User,     ///< $User, $Profile, $Setup, …: differs for each reader; we see the sync user's
            Unknown,  ///< a function or a global we have no word about
        } what;
        std::string name;  ///< as written: "TODAY", "$User.Id"
        bool operator==(const Influence&) const = default;
    };
    std::vector<Influence> influences;  ///< each once, in the order of their first mention

    /// As far as the formula itself tells; its fields may be worse.
    Freshness freshness() const;
    /// Why it is not exact: "it depends on the day (TODAY)"; of several reasons the worst. Empty: it is.
    std::string reason() const;
};

/// Reads a formula as describe tells it (`calculatedFormula`): plain, or with its operators and quotes as HTML
/// entities. Both kinds of quotes, backslash escapes, /* comments */, names without regard to case, any function.
/// Takes everything Salesforce takes and a little more: types and numbers of arguments are Salesforce's to check.
/// Errors: Invalid – with the place, counted in characters from 1, and what stands there.
Result<Formula> read_formula(std::string_view text);

/// "Account.Owner:User.Name"
std::string to_string(const Formula::Path& path);

}  // namespace lockstep::record

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "record/formula.h"
#include "store/catalog.h"
#include "store/log.h"

namespace lockstep::sync {

/// Which formula fields change with which other records.
///
/// Made from describes alone: each formula is read, its paths are followed through the reference fields of mirrored
/// objects, and formulas it refers to are followed through to the fields they are made of. A formula over its own row
/// needs no route: whatever changes it stamps the row, and the row is then read with its formulas.
///
/// Points into the catalog it was made from. Making it costs about 10 µs a formula.
class FormulaGraph {
public:
    struct Scope {
        /// Whether changes of a mirrored object are heard.
        std::function<bool(const store::MirrorObject& object)> followed;
        /// Amounts of other records are converted, by rates that tell nobody when they change.
        bool multi_currency = false;
    };
    FormulaGraph(const store::Catalog& catalog, const Scope& scope);

    struct Label {
        record::Freshness freshness = record::Freshness::Exact;
        std::string reason;  ///< why it is not exact, with the path that leads there; empty: it is
        bool operator==(const Label&) const = default;
    };
    struct Formula {
        const store::MirrorField* field = nullptr;
        Label label;
    };
    /// From a row to the row its reference field names.
    struct Hop {
        const store::MirrorObject* from = nullptr;
        const store::MirrorField* reference = nullptr;
        const store::MirrorObject* to = nullptr;
    };
    using Formulas = std::set<std::size_t>;  ///< places in Target::formulas
    /// From the rows of a target, hop by hop, to the rows of another object that formulas depend on.
    struct Route {
        std::vector<Hop> hops;
        std::map<std::string, Formulas> by_column;  ///< of the last hop's object: an update of it changes these
        Formulas by_any;                            ///< any update changes these: what they depend on is hidden
        Formulas all;                               ///< its coming, going or coming back changes these
        const store::MirrorObject& source() const { return *hops.back().to; }
    };
    struct Target {
        const store::MirrorObject* object = nullptr;
        std::vector<Formula> formulas;  ///< live fields with a formula's text
        std::vector<Route> routes;
        /// What one logged change of a route's source does.
        static Formulas touched(const Route& route, const store::Change& change);
    };
    /// Objects with formulas, in the order of the catalog.
    const std::vector<Target>& targets() const { return targets_; }

    /// The label of a formula, a roll-up, or a field that behaves like a formula without being marked so; nothing for
    /// any other.
    std::optional<Label> label(const store::MirrorObject& object, const store::MirrorField& field);

private:
    /// Something a formula depends on: a column of the object the hops lead to (none: of its own row, which counts for
    /// formulas that refer to it), or (null) anything of it.
    struct Dependency {
        std::vector<Hop> hops;
        const store::MirrorField* field = nullptr;
    };
    struct Analysis {
        bool done = false;  ///< false while it is being worked out: who meets it then has gone in a circle
        Label label;
        std::vector<Dependency> dependencies;
    };
    const Analysis& analyze(const store::MirrorObject& object, const store::MirrorField& field);
    class Walk;

    const store::Catalog& catalog_;
    Scope scope_;
    std::map<const store::MirrorField*, Analysis> analyses_;
    std::vector<Target> targets_;
};

}  // namespace lockstep::sync

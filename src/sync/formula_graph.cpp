#include "sync/formula_graph.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace lockstep::sync {

using record::Form;
using record::Freshness;
using store::MirrorField;
using store::MirrorObject;

namespace {

/// Fields Salesforce works out when they are read, without marking them as calculated and without a stamp.
struct Drifting {
    std::string_view field;
    std::string_view reason;
};
constexpr std::array kDrifting{
    Drifting{"LastActivityDate", "it follows tasks and events, which do not stamp the row"},
    Drifting{"LastViewedDate", "it is about what the sync user has viewed"},
    Drifting{"LastReferencedDate", "it is about what the sync user has viewed"},
    Drifting{"HasOpenActivity", "it follows tasks and events, which do not stamp the row"},
    Drifting{"HasOverdueTask", "it follows tasks and the day, which do not stamp the row"},
};
constexpr std::string_view kByRates = "it is converted by currency rates, which tell nobody when they change";

std::string_view drift_of(const record::Field& field) {
    const auto* const found = std::ranges::find_if(
        kDrifting, [&](const Drifting& one) { return equals_ignoring_case(one.field, field.name); });
    if (found != kDrifting.end()) return found->reason;
    const bool converted = field.type == "currency" && starts_with_ignoring_case(field.name, "Converted");
    return converted && !field.custom ? kByRates : std::string_view();
}

/// A roll-up summarises its details into a number or a day, and its row is stamped whenever that is done.
bool may_be_roll_up(const record::Field& field) {
    return field.form == Form::Real || field.form == Form::Integer || field.form == Form::Date ||
           field.form == Form::Timestamp;
}

const MirrorField* live(const MirrorObject& object, std::string_view name) {
    const MirrorField* const found = object.find(name);
    return found != nullptr && found->live ? found : nullptr;
}

/// The parts a compound field is seen in: Location__c in Location__Latitude__s, BillingAddress in BillingCity.
std::vector<const MirrorField*> parts_of(const MirrorObject& object, std::string_view compound) {
    std::string stem(compound);
    std::vector<std::string_view> ends;
    const std::string lower = to_lower(stem);
    if (lower.ends_with("__c")) {
        stem.resize(stem.size() - 1);
        ends = {"Latitude__s",   "Longitude__s", "Street__s",     "City__s",
                "PostalCode__s", "StateCode__s", "CountryCode__s"};
    } else if (lower.ends_with("address")) {
        stem.resize(stem.size() - std::string_view("address").size());
        ends = {"Street",    "City",        "State",    "PostalCode", "Country",
                "StateCode", "CountryCode", "Latitude", "Longitude",  "GeocodeAccuracy"};
    }
    std::vector<const MirrorField*> parts;
    for (const std::string_view end : ends) {
        if (const MirrorField* const part = live(object, stem + std::string(end))) parts.push_back(part);
    }
    return parts;
}

void worsen(FormulaGraph::Label& label, Freshness freshness, std::string_view reason) {
    if (freshness <= label.freshness) return;
    label.freshness = freshness;
    label.reason = reason;
}

std::string key_of(const std::vector<FormulaGraph::Hop>& hops) {
    std::string key;
    for (const FormulaGraph::Hop& hop : hops) key += hop.reference->column + ">" + hop.to->table + "/";
    return key;
}

}  // namespace

/// Follows the paths of one formula.
class FormulaGraph::Walk {
public:
    Walk(FormulaGraph& graph, Analysis& analysis) : graph_(graph), analysis_(analysis) {}

    void follow(const MirrorObject& object, const record::Formula::Path& path) {
        path_ = &path;
        hops_.clear();
        step(object, 0);
    }

private:
    void step(const MirrorObject& object, std::size_t at) {
        if (at + 1 == path_->size()) {
            field(object, (*path_)[at].name);
        } else {
            relationship(object, at);
        }
    }

    void field(const MirrorObject& object, const std::string& name) {
        const MirrorField* const found = live(object, name);
        if (found != nullptr) return depend_on(object, *found);
        const std::vector<const MirrorField*> parts = parts_of(object, name);
        for (const MirrorField* const part : parts) depend_on(object, *part);
        if (!parts.empty()) return;
        as_of(object.object.name + "." + name + " is hidden from the sync user");
        add(nullptr);
    }

    void depend_on(const MirrorObject& object, const MirrorField& found) {
        const Analysis& behind = graph_.analyze(object, found);
        if (!behind.done) return worsen(analysis_.label, Freshness::NotTrackable, "it refers to itself");
        const bool own = hops_.empty();
        const std::string where = "by " + record::to_string(*path_) + ": " + behind.label.reason;
        worsen(analysis_.label, behind.label.freshness, where);
        for (const Dependency& further : behind.dependencies) {
            Dependency whole{.hops = hops_, .field = further.field};
            whole.hops.insert(whole.hops.end(), further.hops.begin(), further.hops.end());
            analysis_.dependencies.push_back(std::move(whole));
        }
        // What is fully known through its parts needs no look at its own value, which shows less digits than count.
        const bool through = !found.field.formula.empty() && behind.label.freshness == Freshness::Exact;
        if (!through) add(&found);
        if (own || found.field.type != "currency" || !graph_.scope_.multi_currency) return;
        as_of("by " + record::to_string(*path_) + ": " + std::string(kByRates));
        if (const MirrorField* const code = live(object, "CurrencyIsoCode")) add(code);
    }

    void relationship(const MirrorObject& object, std::size_t at) {
        const record::Formula::Step& wanted = (*path_)[at];
        const auto found = std::ranges::find_if(object.fields, [&](const MirrorField& one) {
            return one.live && !one.field.reference_to.empty() &&
                   equals_ignoring_case(one.field.relationship, wanted.name);
        });
        if (found == object.fields.end()) {
            as_of(object.object.name + " shows the sync user no relationship " + wanted.name);
            add(nullptr);
            return;
        }
        add(&*found);
        // A reference to several objects is asked for a type in most formulas; a queue is a group there.
        const std::string type = equals_ignoring_case(wanted.type, "Queue") ? "Group" : wanted.type;
        const std::string& next = (*path_)[at + 1].name;
        std::vector<const MirrorObject*> mirrored, fitting;
        for (const std::string& name : found->field.reference_to) {
            if (!type.empty() && !equals_ignoring_case(type, name)) continue;
            const MirrorObject* const to = graph_.catalog_.find(name);
            if (to == nullptr) {
                as_of(name + " is not mirrored");
            } else if (!graph_.scope_.followed(*to)) {
                as_of(name + " is not loaded yet");
            } else {
                mirrored.push_back(to);
                if (knows(*to, next)) fitting.push_back(to);
            }
        }
        // Of several objects only some may have the field; if none has, it is hidden, and each is asked to say so.
        for (const MirrorObject* const to : fitting.empty() ? mirrored : fitting) {
            hops_.push_back({.from = &object, .reference = &*found, .to = to});
            step(*to, at + 1);
            hops_.pop_back();
        }
        const bool nowhere = std::ranges::none_of(found->field.reference_to, [&](const auto& name) {
            return type.empty() || equals_ignoring_case(type, name);
        });
        if (nowhere) as_of(object.object.name + "." + found->field.name + " never refers to " + wanted.type);
    }

    static bool knows(const MirrorObject& object, std::string_view name) {
        return std::ranges::any_of(object.fields,
                                   [&](const MirrorField& one) {
                                       return one.live && (equals_ignoring_case(one.field.name, name) ||
                                                           equals_ignoring_case(one.field.relationship, name));
                                   }) ||
               !parts_of(object, name).empty();
    }

    void as_of(const std::string& reason) { worsen(analysis_.label, Freshness::AsOf, reason); }

    void add(const MirrorField* field) { analysis_.dependencies.push_back({.hops = hops_, .field = field}); }

    FormulaGraph& graph_;
    Analysis& analysis_;
    const record::Formula::Path* path_ = nullptr;
    std::vector<Hop> hops_;
};

const FormulaGraph::Analysis& FormulaGraph::analyze(const MirrorObject& object, const MirrorField& field) {
    const auto [place, fresh] = analyses_.try_emplace(&field);
    Analysis& analysis = place->second;  // a map's values stay where they are
    if (!fresh) return analysis;
    const record::Field& described = field.field;
    if (described.formula.empty()) {
        const std::string_view drift = drift_of(described);
        if (!drift.empty()) {
            worsen(analysis.label, Freshness::NotTrackable, drift);
        } else if (described.calculated && !may_be_roll_up(described)) {
            worsen(analysis.label, Freshness::NotTrackable, "Salesforce does not show what it is made from");
        }
    } else {
        const Result<record::Formula> formula = record::read_formula(described.formula);
        if (!formula.ok()) {
            worsen(analysis.label, Freshness::NotTrackable, formula.error().what);
        } else {
            worsen(analysis.label, formula->freshness(), formula->reason());
            Walk walk(*this, analysis);
            for (const record::Formula::Path& path : formula->paths) walk.follow(object, path);
        }
    }
    analysis.done = true;
    return analysis;
}

FormulaGraph::FormulaGraph(const store::Catalog& catalog, const Scope& scope) : catalog_(catalog), scope_(scope) {
    for (const MirrorObject& object : catalog.objects()) {
        Target target{.object = &object};
        std::map<std::string, Route> routes;
        for (const MirrorField& field : object.fields) {
            if (!field.live || field.field.formula.empty()) continue;
            const Analysis& analysis = analyze(object, field);
            const std::size_t place = target.formulas.size();
            target.formulas.push_back({.field = &field, .label = analysis.label});
            for (const Dependency& dependency : analysis.dependencies) {
                if (dependency.hops.empty()) continue;  // the row is read anew when it changes itself
                Route& route = routes[key_of(dependency.hops)];
                route.hops = dependency.hops;
                route.all.insert(place);
                if (dependency.field == nullptr) {
                    route.by_any.insert(place);
                } else {
                    route.by_column[dependency.field->column].insert(place);
                }
            }
        }
        if (target.formulas.empty()) continue;
        for (auto& [key, route] : routes) target.routes.push_back(std::move(route));
        targets_.push_back(std::move(target));
    }
}

FormulaGraph::Formulas FormulaGraph::Target::touched(const Route& route, const store::Change& change) {
    if (change.table != route.source().table) return {};
    switch (change.kind) {
        case store::ChangeKind::Snapshot:
            return {};
        case store::ChangeKind::Insert:
        case store::ChangeKind::Delete:
        case store::ChangeKind::Undelete:
            return route.all;
        case store::ChangeKind::Update:
            break;
    }
    Formulas touched = route.by_any;
    for (const store::Change::Field& field : change.fields) {
        if (field.before == field.after) continue;  // references are logged always
        const auto found = route.by_column.find(field.column);
        if (found != route.by_column.end()) touched.insert(found->second.begin(), found->second.end());
    }
    return touched;
}

std::optional<FormulaGraph::Label> FormulaGraph::label(const MirrorObject& object, const MirrorField& field) {
    const record::Field& described = field.field;
    const bool stored = described.formula.empty() && !described.calculated && drift_of(described).empty();
    if (stored) return std::nullopt;
    return analyze(object, field).label;
}

}  // namespace lockstep::sync

#include <algorithm>

#include "sandbox/org_data.h"

/// Formula fields of the org: compiled when the schema changes, reckoned when they are read.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

/// The org as formulas see it.
class OrgRows : public formula::Rows {
public:
    OrgRows(const Org::Impl& org, Sight sight) : org_(org), sight_(sight) {}

    Cell read(formula::Spot spot, int field) const override { return org_.read(spot.object, spot.row, field, sight_); }
    const formula::Program* program(int object, int field) const override { return org_.formulas.find(object, field); }
    std::optional<formula::Spot> find(std::string_view id) const override {
        const std::optional<int64_t> target = org_.resolve(id);
        if (!target || !org_.is_live(packed_object(*target), packed_row(*target), sight_)) return std::nullopt;
        return formula::Spot{packed_object(*target), packed_row(*target)};
    }
    int64_t now() const override { return org_.now(); }
    formula::Spot user() const override { return spot_of(org_.integration_user_id); }
    formula::Spot organization() const override { return spot_of(org_.organization_id); }

private:
    formula::Spot spot_of(std::string_view id) const {
        const int64_t packed = org_.resolve(id).value();
        return {packed_object(packed), packed_row(packed)};
    }

    const Org::Impl& org_;
    Sight sight_;
};

}  // namespace

void Org::Impl::compile_formulas() {
    formulas = formula::Formulas(schema);
    plan_formulas();
}

void Org::Impl::extend_formulas() {
    formulas.extend(schema);
    plan_formulas();
}

void Org::Impl::plan_formulas() {
    for (int object = 0; object < schema.size(); ++object) {
        std::vector<FieldPlan>& plans = table(object).plans;
        for (std::size_t at = 0; at < plans.size(); ++at) {
            if (plans[at].source != Source::Formula) continue;
            const int field = static_cast<int>(at);
            plans[at].formula = formulas.find(object, field);
            const bool is_html = plans[at].formula != nullptr && formula::is_html(*plans[at].formula);
            if (schema.at(object).fields[at].html_formatted == is_html) continue;
            Field shown = schema.at(object).fields[at];
            shown.html_formatted = is_html;
            schema.change_field(object, field, std::move(shown));
        }
    }
}

Cell Org::Impl::formula_value(int object, int64_t row, const FieldPlan& plan, Sight sight) const {
    if (plan.formula != nullptr) return formula::evaluate(*plan.formula, OrgRows(*this, sight), {object, row});
    return plan.type == Type::Boolean ? Cell{false} : Cell{};
}

std::optional<Error> Org::formula_error(int object, int field) const {
    return impl_->formulas.error(object, field);
}

Result<void> Org::check_change(const std::function<void(Schema&)>& change) const {
    Schema changed = schema().copy();
    change(changed);
    const formula::Formulas formulas(changed);
    std::optional<Error> of_others;
    for (const auto& [object, field] : formulas.broken()) {
        const Field& after = changed.at(object).fields[static_cast<std::size_t>(field)];
        const bool was_there =
            object < schema().size() && static_cast<std::size_t>(field) < schema().at(object).fields.size();
        const Field* before = was_there ? &schema().at(object).fields[static_cast<std::size_t>(field)] : nullptr;
        const bool is_same = before != nullptr && before->formula == after.formula && before->type == after.type;
        if (is_same && impl_->formulas.find(object, field) == nullptr) continue;
        Error error = *formulas.error(object, field);
        if (!is_same) return error;
        error.what = changed.at(object).name + "." + after.name + ": " + error.what;
        error.hint = "its formula uses what is to be changed; change or delete it first";
        if (!of_others) of_others = error;
    }
    if (of_others) return *of_others;
    return {};
}

}  // namespace lockstep::sandbox

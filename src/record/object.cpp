#include "record/object.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace lockstep::record {

namespace {

struct TypeForm {
    std::string_view type;
    Form form;
};

constexpr std::array kForms{
    TypeForm{"id", Form::Text},
    TypeForm{"reference", Form::Text},
    TypeForm{"string", Form::Text},
    TypeForm{"picklist", Form::Text},
    TypeForm{"multipicklist", Form::Text},
    TypeForm{"combobox", Form::Text},
    TypeForm{"email", Form::Text},
    TypeForm{"phone", Form::Text},
    TypeForm{"url", Form::Text},
    TypeForm{"textarea", Form::Text},
    TypeForm{"encryptedstring", Form::Text},
    TypeForm{"time", Form::Text},
    TypeForm{"boolean", Form::Boolean},
    TypeForm{"int", Form::Integer},
    TypeForm{"long", Form::Integer},
    TypeForm{"double", Form::Real},
    TypeForm{"currency", Form::Real},
    TypeForm{"percent", Form::Real},
    TypeForm{"datetime", Form::Timestamp},
    TypeForm{"date", Form::Date},
};

constexpr std::array<std::string_view, 14> kSystemFields{
    "Id",
    "IsDeleted",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
    "LastActivityDate",
    "LastViewedDate",
    "LastReferencedDate",
    "MasterRecordId",
    "HasOpenActivity",
    "HasOverdueTask",
    "PushCount",
};

}  // namespace

const Field* Object::find(std::string_view field) const {
    const auto found =
        std::ranges::find_if(fields, [&](const Field& f) { return equals_ignoring_case(f.name, field); });
    return found == fields.end() ? nullptr : &*found;
}

std::optional<Form> form_of(std::string_view salesforce_type) {
    const auto* const found = std::ranges::find(kForms, salesforce_type, &TypeForm::type);
    if (found == kForms.end()) return std::nullopt;
    return found->form;
}

bool is_system_field(std::string_view field) {
    return std::ranges::any_of(kSystemFields, [&](std::string_view name) { return equals_ignoring_case(name, field); });
}

}  // namespace lockstep::record

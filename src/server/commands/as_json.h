#pragma once

#include "base/json.h"
#include "record/value.h"
#include "sync/formulas.h"

namespace lockstep::server {

// Values of ours as JSON. For .cpp files only, as base/json.h is.

inline json::value as_json(const record::Cell& cell) {
    if (cell.is_null()) return nullptr;
    switch (cell.form()) {
        case record::Form::Boolean:
            return cell.as_boolean();
        case record::Form::Integer:
            return cell.as_integer();
        case record::Form::Real:
            return cell.as_real();
        default:
            return json::value(record::to_text(cell));
    }
}
inline json::value as_json(const record::Value& value) {
    return as_json(value.cell());
}
inline json::value as_json(const std::string& text) {
    return text.empty() ? json::value(nullptr) : json::value(text);
}
template <class Moment>
json::value as_json(const std::optional<Moment>& moment) {
    return moment ? json::value(to_string(*moment)) : json::value(nullptr);
}
inline json::value as_json(const std::optional<double>& number) {
    return number ? json::value(*number) : json::value(nullptr);
}

/// {"label": "as of", "as_of": "2026-11-24T09:01:00Z", "reason": "it depends on the day (TODAY)"}
inline json::value as_json(const std::optional<sync::FieldFreshness>& fresh) {
    if (!fresh) return nullptr;
    return json::object{{"label", record::name(fresh->freshness)},
                        {"as_of", as_json(fresh->as_of)},
                        {"reason", as_json(fresh->reason)}};
}

}  // namespace lockstep::server

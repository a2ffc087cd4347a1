#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// Salesforce record ids. 15 characters, case-sensitive; the 18-character form adds three that repair lost case.
/// Source: salesforce-api 4.1, verified against recorded ids.

/// The three characters that make `id15` an 18-character id. Precondition: 15 characters of [0-9A-Za-z].
std::string id_suffix(std::string_view id15);
/// `id` in its 18-character form: 15 characters get their suffix, 18 characters have their case repaired from it;
/// nothing when it is no id at all.
std::optional<std::string> normalize_id(std::string_view id);

}  // namespace lockstep

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"
#include "base/time.h"
#include "record/formula.h"
#include "store/catalog.h"
#include "store/database.h"

namespace lockstep::sync {

/// How far our copy of a field can be relied on, for people.
struct FieldFreshness {
    record::Freshness freshness = record::Freshness::Exact;
    std::string reason;              ///< why it is not exact; empty: it is
    std::optional<Timestamp> as_of;  ///< AsOf: when all rows were last read; nothing: not yet
};
using FreshnessByField = std::map<std::string, FieldFreshness, IgnoringCase>;

/// The formulas and roll-ups of an object, and the fields that behave like formulas; all others are exact by nature and
/// left out, as are fields that are no longer readable. Empty for an object that is not mirrored.
FreshnessByField freshness_of(store::Connection& db, const store::Catalog& catalog, std::string_view object);

}  // namespace lockstep::sync

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "salesforce/connector.h"

namespace lockstep::salesforce {

// Reading a selection with one query, for a caller that sends it with others in one call.

/// The path, below /services/data/vNN.0, of one query for the first `rows_max` rows of `selection` in their order;
/// nothing when its fields need several queries. Blanks are %20, which means the same everywhere.
std::optional<std::string> one_query(Session& session, const Selection& selection, int rows_max);
/// The page in a 2xx answer to it, verified as each page is. Nothing: there are, or may be, more rows than that.
/// Errors: BadReply.
Result<std::optional<Page>> read_one_query(Session& session, const Selection& selection, int rows_max,
                                           std::string_view body);

}  // namespace lockstep::salesforce

#pragma once

#include "store/database.h"

namespace lockstep::sync {

/// keyset(id): the ids an object has in Salesforce, while they are compared with ours.
/// formula_state(object, field, …): when a formula's column was last read as a whole, and whether it must be again.
/// Re-runnable.
void make_tables(store::Database& db);

}  // namespace lockstep::sync

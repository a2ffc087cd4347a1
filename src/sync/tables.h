#pragma once

#include "store/database.h"

namespace lockstep::sync {

/// keyset(id): the ids an object has in Salesforce, while they are compared with ours. Re-runnable.
void make_tables(store::Database& db);

}  // namespace lockstep::sync

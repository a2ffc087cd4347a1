#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"

namespace lockstep::store {

/// One version of the schema of a part ("store", "people", …): the statements that lead to it from the version before.
///
/// Statements may name types by form, so that one text serves both engines: {text}, {boolean}, {integer}, {real},
/// {timestamp}, {date}; {text} compares bytes on both. Each statement commits on its own and a version is recorded
/// after its last one, so a statement must do no harm when it is run again: CREATE … IF NOT EXISTS, INSERT … ON
/// CONFLICT DO NOTHING. An `ALTER TABLE t ADD COLUMN c …` is left out when the column is there.
struct Migration {
    int version = 0;
    std::vector<std::string> statements;
};

/// Brings `part` up to date. Several processes may do so at once. Versions ascend.
/// Throws Failure when the database has a newer version of the part than `migrations` knows.
void migrate(Database& db, std::string_view part, std::span<const Migration> migrations);

/// `statement` with the types of the engine in place of {text}, {integer}, …
std::string with_types(std::string_view statement, Dialect dialect);

/// Names of the columns of a table, in order; empty: there is no such table.
std::vector<std::string> table_columns(Connection& db, std::string_view table);

/// `name` in lower case, made to fit into the 63 bytes PostgreSQL keeps of a name: a longer one is cut and ends in a
/// hash of the whole, so that two long names never become one.
std::string short_name(std::string_view name);

/// The tables of src/store. Run by Database::open.
void migrate_store(Database& db);

}  // namespace lockstep::store

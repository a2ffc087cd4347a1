#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/recording.h"

namespace lockstep::bench {

/// What a first program that loads these files would do, and well: one thread, one prepared statement a table, a row a
/// statement, bound without copies, committed every 50,000 rows; text columns, the Id as text primary key, write-ahead
/// log with 8 KB pages, synchronous=FULL, a cache of 256 MB, and the log moved into the file at the end. Reads the rows
/// from their files. Returns the seconds it took; the file is removed.
double load_naively(const std::filesystem::path& database, const std::vector<Recorded>& recorded);

/// The same question to PostgreSQL, where a row a statement would be a caricature: COPY of the CSV as it is, into a
/// table with its primary key, one transaction a table. Its columns have the types of their values, as ours have; or
/// are all text, which spares the server from reading dates and numbers. The tables are dropped.
enum class Columns { Typed, Text };
double copy_naively(const std::string& url, const std::vector<Recorded>& recorded, Columns columns);

}  // namespace lockstep::bench

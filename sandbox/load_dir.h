#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// A record that does not exist yet; others can refer to it by its name.
struct RowToLoad {
    std::string place;  ///< "Account.csv:12", for people
    int object = -1;
    std::string ref;  ///< its own name; empty: nobody refers to it
    Values values;
    std::vector<std::pair<std::string, std::string>> links;  ///< reference field → name of the record it refers to
};

struct LoadReport {
    std::map<std::string, std::int64_t> inserted;  ///< rows of each object
    struct Refused {
        std::string place, object,
            reason;  ///< reason: "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName]"
    };
    std::vector<Refused> refused;
    std::vector<std::string> notes;  ///< sentences about columns left out

    std::int64_t inserted_rows() const;
};
/// A few lines for a terminal: rows of each object, then the first `refused_max` refusals.
std::string to_string(const LoadReport& report, std::size_t refused_max = 10);

/// Inserts the rows so that each comes after those it refers to, as `actor`. Rows that refer to each other in a circle
/// are inserted without an optional reference, which an update then sets. A reference field of `values` that holds the
/// name of one of the rows becomes a link.
///
/// Rows fail one by one; whoever refers to a refused row is refused with it. Takes the org's write lock.
/// Cost: one pass; all rows in memory.
LoadReport load_rows(Org& org, std::vector<RowToLoad> rows, std::string_view actor);

/// Inserts every <Object>.csv of a folder: the header holds API names; a column `_ref` (or `Id`, as exports have it)
/// names the row, and `Account._ref` or `AccountId._ref` refers to a row by its name. A reference column may hold such
/// a name, too, so that the files of an export load as they are. Empty cells are null. Columns that nobody can write
/// are left out with a note.
///
/// Errors: NotFound – no such folder, or no CSV file in it; Invalid – a file is named after no object, a column names
/// no field, a file is no CSV, with file, line and what to do. Nothing was inserted then.
Result<LoadReport> load_dir(Org& org, const std::filesystem::path& dir);

}  // namespace lockstep::sandbox

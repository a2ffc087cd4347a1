#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/catalog.h"
#include "store/database.h"
#include "store/log.h"

namespace lockstep::store {

/// What one heard record did to the mirror.
struct RowChange {
    enum class Kind { New, Updated, Same };
    Kind kind = Kind::Same;
    std::size_t heard = 0;    ///< its row in the page
    std::int64_t row = 0;     ///< ls_row
    std::size_t before = 0;   ///< its row in MirrorChanges::before; New: none
    std::vector<int> fields;  ///< columns of the page that differ; New: all that are not null
};

struct MirrorChanges {
    /// One a row of the page. Of a repeated id the newest row counts (of equals the last), the others are Same.
    std::vector<RowChange> rows;
    Batch before;  ///< old rows: the columns of the page, then ls_row
};

/// The fields of a page, in its column order.
struct PageShape {
    const MirrorObject* object = nullptr;
    std::vector<const MirrorField*> fields;
    int id = -1, modstamp = -1, is_deleted = -1;  ///< columns of Id, SystemModstamp, IsDeleted; -1: not in the page
    std::vector<Form> forms() const;
    std::vector<std::string> columns() const;
    /// The page's column of a field, by API name without regard to case; -1: not in the page.
    int column(std::string_view field) const;
};
/// All live fields of the object. Id comes first.
PageShape full_shape(const MirrorObject& object);
PageShape shape_of(const MirrorObject& object, std::span<const std::string> fields);

/// Compares a page of heard records with the mirror and moves the mirror: new rows are inserted, differing columns
/// updated. A heard row older than the mirror's (SystemModstamp) changes nothing. One log row a changed record is
/// staged, in the order of the page: an update with before and after, references always; of a new record its references
/// and Name; a row heard deleted or alive again as Delete or Undelete. Rows inserted here have no ls_position.
/// Precondition: finish_load has run, be it on an empty table. Cost: one index look-up a record and one update a
/// changed one.
MirrorChanges hear(Transaction& tx, const PageShape& shape, const Batch& page, Class cls, const Cause& cause);

/// Marks rows deleted (IsDeleted = true where the object has it, else the row is removed and its last values stay in
/// the log), with their log rows. Unknown, repeated and dead ids are passed over. Returns the rows that were live
/// before.
struct DeadRow {
    std::string id;
    std::int64_t row = 0;
};
std::vector<DeadRow> bury(Transaction& tx, const MirrorObject& object, std::span<const std::string> ids, Class cls,
                          const Cause& cause);

/// Appends a page of a first load to a table that has no unique index yet, with one Snapshot row in the log; returns
/// its position. An empty page is no event. Cost: the engine's bulk path; see docs/performance.md.
std::int64_t append_page(Transaction& tx, const PageShape& shape, const Batch& page, const Cause& cause);
/// Ends a first load: drops repeats of an id (the newest SystemModstamp stays, ties by arrival) and builds the unique
/// index. Fastest within the LoadMode of the load. Re-runnable.
void finish_load(Database& db, const MirrorObject& object);

}  // namespace lockstep::store

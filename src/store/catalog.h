#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "record/object.h"
#include "store/database.h"
#include "store/log.h"

namespace lockstep::store {

/// A Salesforce field and its place with us.
struct MirrorField {
    record::Field field;
    std::string column;  ///< API name in lower case
    /// Live: in the current describe. Unreadable: was there once; the column and its values stay, frozen.
    bool live = true;
    std::optional<Timestamp> unreadable_since;
    Timestamp known_since;
    /// A field that joined a table which already had rows is filled in the background; until then old rows hold null.
    bool filled = true;

    bool operator==(const MirrorField&) const = default;
};

/// A Salesforce object and its table.
struct MirrorObject {
    record::Object object;                                 ///< fields: the live ones, in the order of the describe
    std::string table;                                     ///< "crm_opportunity"
    std::vector<MirrorField> fields;                       ///< all ever known
    const MirrorField* find(std::string_view name) const;  ///< without regard to case

    bool operator==(const MirrorObject&) const = default;
};

/// What a describe changed.
struct SchemaNews {
    /// Field names. `changed`: the form changed (a new label, length or right is taken over without a word).
    std::vector<std::string> added, unreadable, readable_again, changed;
    /// Fields without a column, at every take: an object keeps its first 1,200, because a table of PostgreSQL has no
    /// room for more. System fields and references come first. To choose others, hide fields from the sync user.
    std::vector<std::string> left_out;
    bool empty() const { return added.empty() && unreadable.empty() && readable_again.empty() && changed.empty(); }
};

/// Salesforce objects, their fields, and where their values are. Sync writes it; everybody reads it.
///
/// Table `catalog_object(name, …)` and `catalog_field(object, name, …)` hold it; the mirror table of an object is made
/// from it. Each mirror table has, besides one column a field: `ls_row` (dense integer key), `ls_position` (log
/// position of the row's arrival) and, on `id`, a unique index that exists once the first load has finished. On SQLite,
/// where moments are epoch seconds, `crm_opportunity_readable` is a view of the table that shows them in ISO 8601.
///
/// A row holds some 500 filled text fields on PostgreSQL (its pages are 8 KB); one with more is refused when it comes.
class Catalog {
public:
    static Catalog read(Connection& db);
    const MirrorObject* find(std::string_view object) const;  ///< without regard to case
    const std::vector<MirrorObject>& objects() const { return objects_; }

    /// Brings table and catalog in line with a describe: creates the table, adds columns, marks what is no longer
    /// readable. Never drops a column or a value. A field whose form changed gets a fresh column; the old one is kept
    /// as `name__v1`. Re-runnable after a crash at any point.
    SchemaNews take(Database& db, const record::Object& described);
    /// Old rows now hold the values of a field that joined late.
    void mark_filled(Database& db, std::string_view object, std::string_view field);

private:
    std::vector<MirrorObject> objects_;
};

/// Builds the indexes of a mirror table beyond `id`, once its first load has finished, and tells the engine's planner
/// of the table. Nothing but speed depends on them. Fields the org does not show are passed over. Re-runnable.
void build_mirror_indexes(Database& db, const MirrorObject& object, const std::vector<std::string>& indexed_fields);
/// Builds the index of one field if the table has none. Cost: a look where it has.
void ensure_mirror_index(Database& db, const MirrorObject& object, const std::string& field);

}  // namespace lockstep::store

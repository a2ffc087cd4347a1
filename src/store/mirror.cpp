#include "store/mirror.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/migrations.h"

namespace lockstep::store {

namespace {

constexpr const char* kRow = "ls_row";
constexpr const char* kPosition = "ls_position";
// Updates of more distinct sets of columns than this are widened, so that few statements do.
constexpr std::size_t kExactUpdatesMax = 24;

bool is_reference(const MirrorField& field) {
    return !field.field.reference_to.empty();
}

bool is_name(const MirrorField& field) {
    return equals_ignoring_case(field.field.name, "Name");
}

PageShape shape_from(const MirrorObject& object, std::vector<const MirrorField*> fields) {
    PageShape shape;
    shape.object = &object;
    shape.fields = std::move(fields);
    shape.id = shape.column("Id");
    shape.modstamp = shape.column("SystemModstamp");
    shape.is_deleted = shape.column("IsDeleted");
    return shape;
}

void check_page(const PageShape& shape, const Batch& page) {
    check(shape.object != nullptr && shape.id >= 0, "a page of a mirror has no Id");
    check(page.columns() == shape.fields.size(), "a page has other columns than its shape");
}

const Cell& cell(const Batch& batch, std::size_t row, int column) {
    return batch.row(row)[static_cast<std::size_t>(column)];
}

std::string_view id_of(const PageShape& shape, const Batch& page, std::size_t row) {
    const Cell& id = cell(page, row, shape.id);
    check(!id.is_null() && id.form() == Form::Text, "a heard record has no Id");
    return id.as_text();
}

/// A heard row is older than one that is known.
bool is_older(const Cell& heard, const Cell& known) {
    return !heard.is_null() && !known.is_null() && heard.as_timestamp() < known.as_timestamp();
}

/// Finds the row of the page that speaks for each id: the newest, of equals the last.
class Speakers {
public:
    Speakers(const PageShape& shape, const Batch& page) {
        by_id_.reserve(page.rows());
        ids_.reserve(page.rows());
        for (std::size_t row = 0; row < page.rows(); ++row) {
            const auto [found, fresh] = by_id_.try_emplace(id_of(shape, page, row), row);
            if (fresh) {
                ids_.push_back(found->first);
            } else if (shape.modstamp < 0 ||
                       !is_older(cell(page, row, shape.modstamp), cell(page, found->second, shape.modstamp))) {
                found->second = row;
            }
        }
    }
    std::size_t speaker(std::string_view id) const { return by_id_.at(id); }
    const std::vector<std::string_view>& ids() const { return ids_; }

private:
    std::unordered_map<std::string_view, std::size_t> by_id_;
    std::vector<std::string_view> ids_;  // in order of appearance
};

std::vector<int> differing_columns(std::span<const Cell> before, std::span<const Cell> heard) {
    std::vector<int> columns;
    for (std::size_t i = 0; i < heard.size(); ++i) {
        if (before[i] != heard[i]) columns.push_back(static_cast<int>(i));
    }
    return columns;
}

std::vector<int> filled_columns(std::span<const Cell> heard) {
    std::vector<int> columns;
    for (std::size_t i = 0; i < heard.size(); ++i) {
        if (!heard[i].is_null()) columns.push_back(static_cast<int>(i));
    }
    return columns;
}

/// What each row of the page does to the mirror; rows of new records have no ls_row yet.
std::vector<RowChange> compare(const PageShape& shape, const Batch& page, const Batch& before) {
    const Speakers speakers(shape, page);
    const std::size_t row_column = shape.fields.size();
    std::unordered_map<std::string_view, std::size_t> known;
    known.reserve(before.rows());
    for (std::size_t row = 0; row < before.rows(); ++row) known.emplace(id_of(shape, before, row), row);

    std::vector<RowChange> changes(page.rows());
    for (std::size_t row = 0; row < page.rows(); ++row) {
        RowChange& change = changes[row];
        change.heard = row;
        const std::string_view id = id_of(shape, page, row);
        const auto found = known.find(id);
        const bool speaks = speakers.speaker(id) == row;
        if (found == known.end()) {
            if (!speaks) continue;
            change.kind = RowChange::Kind::New;
            change.fields = filled_columns(page.row(row));
            continue;
        }
        change.before = found->second;
        change.row = before.row(change.before)[row_column].as_integer();
        if (!speaks) continue;
        if (shape.modstamp >= 0 &&
            is_older(cell(page, row, shape.modstamp), cell(before, change.before, shape.modstamp))) {
            continue;
        }
        change.fields = differing_columns(before.row(change.before), page.row(row));
        if (!change.fields.empty()) change.kind = RowChange::Kind::Updated;
    }
    return changes;
}

void insert_new(Transaction& tx, const PageShape& shape, const Batch& page, std::vector<RowChange>& changes) {
    Batch rows(shape.forms());
    std::vector<RowChange*> fresh;
    for (RowChange& change : changes) {
        if (change.kind == RowChange::Kind::New) fresh.push_back(&change);
    }
    if (fresh.empty()) return;
    rows.reserve_rows(fresh.size());
    const std::int64_t first = tx.take_ids(shape.object->table, static_cast<std::int64_t>(fresh.size()));
    std::int64_t next = first;
    for (RowChange* const change : fresh) {
        change->row = next++;
        std::ranges::copy(page.row(change->heard), rows.add_row().begin());
    }
    const std::vector<Connection::Constant> constants{{kRow, Value(Cell::integer(first)), 1}};
    tx.db().insert_rows(shape.object->table, shape.columns(), rows, constants);
}

using Columns = std::vector<int>;
using RowsByColumns = std::map<Columns, std::vector<const RowChange*>>;

/// Groups updates by the columns they set. Records of a page often change in a thousand different combinations; those
/// that few share are put together and set all columns of all of them, which costs the row nothing: it is written
/// whole anyway. Only references keep to themselves, because their indexes would be touched.
RowsByColumns group_updates(const PageShape& shape, const std::vector<RowChange>& changes) {
    RowsByColumns exact;
    for (const RowChange& change : changes) {
        if (change.kind == RowChange::Kind::Updated) exact[change.fields].push_back(&change);
    }
    if (exact.size() <= kExactUpdatesMax) return exact;

    std::vector<std::pair<std::size_t, const Columns*>> by_use;
    by_use.reserve(exact.size());
    for (const auto& [columns, rows] : exact) by_use.emplace_back(rows.size(), &columns);
    std::ranges::stable_sort(by_use, std::greater<>(), &std::pair<std::size_t, const Columns*>::first);

    struct Wide {
        std::vector<bool> columns;
        std::vector<const RowChange*> rows;
    };
    std::map<Columns, Wide> wide;  // by the references that change
    for (std::size_t i = kExactUpdatesMax; i < by_use.size(); ++i) {
        const auto group = exact.find(*by_use[i].second);
        Columns references;
        std::ranges::copy_if(group->first, std::back_inserter(references),
                             [&](int column) { return is_reference(*shape.fields[static_cast<std::size_t>(column)]); });
        Wide& joined = wide[references];
        joined.columns.resize(shape.fields.size());
        for (const int column : group->first) joined.columns[static_cast<std::size_t>(column)] = true;
        joined.rows.insert(joined.rows.end(), group->second.begin(), group->second.end());
        exact.erase(group);
    }
    for (auto& [references, joined] : wide) {
        Columns columns;
        for (std::size_t i = 0; i < joined.columns.size(); ++i) {
            if (joined.columns[i]) columns.push_back(static_cast<int>(i));
        }
        auto& rows = exact[columns];
        rows.insert(rows.end(), joined.rows.begin(), joined.rows.end());
    }
    return exact;
}

void update_changed(Transaction& tx, const PageShape& shape, const Batch& page, const std::vector<RowChange>& changes) {
    for (const auto& [columns, rows] : group_updates(shape, changes)) {
        std::string sql = "UPDATE " + quoted(shape.object->table) + " SET ";
        std::vector<Form> forms;
        for (const int column : columns) {
            const MirrorField& field = *shape.fields[static_cast<std::size_t>(column)];
            sql += (forms.empty() ? "" : ", ") + quoted(field.column) + " = ?";
            forms.push_back(field.field.form);
        }
        sql += std::string(" WHERE ") + kRow + " = ?";
        forms.push_back(Form::Integer);
        Batch parameters(std::move(forms));
        parameters.reserve_rows(rows.size());
        for (const RowChange* const change : rows) {
            const std::span<Cell> values = parameters.add_row();
            for (std::size_t i = 0; i < columns.size(); ++i) values[i] = cell(page, change->heard, columns[i]);
            values.back() = Cell::integer(change->row);
        }
        tx.db().run_each(sql, parameters);
    }
}

ChangeKind kind_of(const PageShape& shape, const RowChange& change, const Batch& page) {
    if (change.kind == RowChange::Kind::New) return ChangeKind::Insert;
    if (shape.is_deleted < 0 || std::ranges::count(change.fields, shape.is_deleted) == 0) return ChangeKind::Update;
    const Cell& deleted = cell(page, change.heard, shape.is_deleted);
    return deleted.is_true() ? ChangeKind::Delete : ChangeKind::Undelete;
}

/// The log tells of a new record who it belongs to and its name; its other values are in the mirror, or in the changes
/// that came after.
std::vector<Change::Field> fields_to_log(const PageShape& shape, const RowChange& change, const Batch& page,
                                         const Batch& before) {
    std::vector<Change::Field> fields;
    const bool fresh = change.kind == RowChange::Kind::New;
    std::size_t next = 0;  // in change.fields, which ascend
    for (std::size_t i = 0; i < shape.fields.size(); ++i) {
        const MirrorField& field = *shape.fields[i];
        const bool differs = next < change.fields.size() && change.fields[next] == static_cast<int>(i);
        if (differs) ++next;
        const Cell& after = page.row(change.heard)[i];
        if (fresh) {
            if (differs && (is_reference(field) || is_name(field))) {
                fields.push_back({field.column, Value(Cell::null(after.form())), Value(after)});
            }
            continue;
        }
        const Cell& old = before.row(change.before)[i];
        if (differs || (is_reference(field) && !after.is_null())) {
            fields.push_back({field.column, Value(old), Value(after)});
        }
    }
    return fields;
}

void log_changes(Transaction& tx, const PageShape& shape, const Batch& page, const MirrorChanges& moved, Class cls,
                 const Cause& cause) {
    for (const RowChange& change : moved.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        tx.stage(Change{.table = shape.object->table,
                        .record = std::string(id_of(shape, page, change.heard)),
                        .kind = kind_of(shape, change, page),
                        .cls = cls,
                        .cause = cause,
                        .fields = fields_to_log(shape, change, page, moved.before)});
    }
}

}  // namespace

std::vector<Form> PageShape::forms() const {
    std::vector<Form> all;
    all.reserve(fields.size());
    for (const MirrorField* const field : fields) all.push_back(field->field.form);
    return all;
}

std::vector<std::string> PageShape::columns() const {
    std::vector<std::string> all;
    all.reserve(fields.size());
    for (const MirrorField* const field : fields) all.push_back(field->column);
    return all;
}

int PageShape::column(std::string_view field) const {
    const auto found = std::ranges::find_if(
        fields, [&](const MirrorField* one) { return equals_ignoring_case(one->field.name, field); });
    return found == fields.end() ? -1 : static_cast<int>(found - fields.begin());
}

PageShape full_shape(const MirrorObject& object) {
    std::vector<const MirrorField*> fields;
    for (const MirrorField& field : object.fields) {
        if (field.live) fields.push_back(&field);
    }
    std::stable_partition(fields.begin(), fields.end(),
                          [](const MirrorField* field) { return equals_ignoring_case(field->field.name, "Id"); });
    return shape_from(object, std::move(fields));
}

PageShape shape_of(const MirrorObject& object, std::span<const std::string> names) {
    std::vector<const MirrorField*> fields;
    for (const std::string& name : names) {
        fields.push_back(object.find(name));
        if (fields.back() == nullptr) {
            throw Failure("The mirror of " + object.object.name + " has no field " + name,
                          "check its spelling, and that the sync user may read it");
        }
    }
    return shape_from(object, std::move(fields));
}

MirrorChanges hear(Transaction& tx, const PageShape& shape, const Batch& page, Class cls, const Cause& cause) {
    check_page(shape, page);
    MirrorChanges moved;
    std::vector<std::string> columns = shape.columns();
    std::vector<Form> forms = shape.forms();
    columns.emplace_back(kRow);
    forms.push_back(Form::Integer);
    const Speakers speakers(shape, page);
    moved.before = tx.db().rows_by_key(shape.object->table, "id", speakers.ids(), columns, forms);
    moved.rows = compare(shape, page, moved.before);
    insert_new(tx, shape, page, moved.rows);
    update_changed(tx, shape, page, moved.rows);
    log_changes(tx, shape, page, moved, cls, cause);
    return moved;
}

std::vector<DeadRow> bury(Transaction& tx, const MirrorObject& object, std::span<const std::string> ids, Class cls,
                          const Cause& cause) {
    // Columns that were once readable count as well: the last values known are worth keeping in the log.
    std::vector<std::string> columns{kRow, "id"};
    std::vector<Form> forms{Form::Integer, Form::Text};
    std::vector<const MirrorField*> fields;
    const MirrorField* const is_deleted = object.find("IsDeleted");
    std::size_t deleted_column = 0;
    for (const MirrorField& field : object.fields) {
        if (field.column == "id") continue;
        if (is_deleted != nullptr && &field != is_deleted && !is_reference(field)) continue;
        if (&field == is_deleted) deleted_column = columns.size();
        columns.push_back(field.column);
        forms.push_back(field.field.form);
        fields.push_back(&field);
    }
    std::vector<std::string_view> keys(ids.begin(), ids.end());
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    const Batch known = tx.db().rows_by_key(object.table, "id", keys, columns, forms);

    std::vector<DeadRow> dead;
    Batch rows({Form::Integer});
    for (std::size_t row = 0; row < known.rows(); ++row) {
        const std::span<const Cell> old = known.row(row);
        if (is_deleted != nullptr && old[deleted_column].is_true()) continue;
        dead.push_back({std::string(old[1].as_text()), old[0].as_integer()});
        rows.add_row()[0] = old[0];
        Change change{.table = object.table,
                      .record = dead.back().id,
                      .kind = ChangeKind::Delete,
                      .cls = cls,
                      .cause = cause,
                      .fields = {}};
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const Cell& before = old[i + 2];
            if (fields[i] == is_deleted) {
                change.fields.push_back({fields[i]->column, Value(before), Value(Cell::boolean(true))});
            } else if (!before.is_null()) {
                // A row that is marked keeps its values; one that is removed leaves them here.
                const Cell after = is_deleted != nullptr ? before : Cell::null(before.form());
                change.fields.push_back({fields[i]->column, Value(before), Value(after)});
            }
        }
        tx.stage(std::move(change));
    }
    const std::string sql = is_deleted != nullptr ? "UPDATE " + quoted(object.table) + " SET " +
                                                        quoted(is_deleted->column) + " = TRUE WHERE ls_row = ?"
                                                  : "DELETE FROM " + quoted(object.table) + " WHERE ls_row = ?";
    if (!dead.empty()) tx.db().run_each(sql, rows);
    return dead;
}

std::int64_t append_page(Transaction& tx, const PageShape& shape, const Batch& page, const Cause& cause) {
    check_page(shape, page);
    const std::size_t count = page.rows();
    if (count == 0) return last_position(tx.db());
    const std::int64_t first = tx.take_ids(shape.object->table, static_cast<std::int64_t>(count));
    const Change snapshot{
        .table = shape.object->table,
        .record = std::string(id_of(shape, page, 0)) + ".." + std::string(id_of(shape, page, count - 1)),
        .kind = ChangeKind::Snapshot,
        .cls = Class::CatchUp,
        .cause = cause,
        .fields = {{"rows", Value(), Value(Cell::integer(static_cast<std::int64_t>(count)))}}};
    const std::int64_t position = tx.log_now(snapshot);
    const std::vector<Connection::Constant> constants{{kRow, Value(Cell::integer(first)), 1},
                                                      {kPosition, Value(Cell::integer(position)), 0}};
    tx.db().insert_rows(shape.object->table, shape.columns(), page, constants);
    return position;
}

void finish_load(Database& db, const MirrorObject& object) {
    const std::string table = quoted(object.table);
    const std::string unique = quoted(short_name(object.table + "$id"));
    const std::string helper = quoted(short_name(object.table + "$repeats"));
    const std::string build = "CREATE UNIQUE INDEX IF NOT EXISTS " + unique + " ON " + table + " (id)";
    try {
        // Mostly no id comes twice, and then this is all: looking for repeats first would sort the ids once more.
        db.define(build);
    } catch (const EngineFailure& failure) {
        if (failure.cause != EngineFailure::Cause::Duplicate) throw;
        db.define("CREATE INDEX IF NOT EXISTS " + helper + " ON " + table + " (id)");
        const MirrorField* const stamp = object.find("SystemModstamp");
        const std::string newest =
            stamp == nullptr ? "" : "(" + quoted(stamp->column) + " IS NULL), " + quoted(stamp->column) + " DESC, ";
        db.write([&](Transaction& tx) {
            tx.db().run("DELETE FROM " + table +
                            " WHERE ls_row IN (SELECT ls_row FROM (SELECT ls_row, row_number() OVER (PARTITION BY id "
                            "ORDER BY " +
                            newest + "ls_row DESC) AS place FROM " + table + " WHERE id IN (SELECT id FROM " + table +
                            " GROUP BY id HAVING count(*) > 1)) AS repeats WHERE place > 1)",
                        {});
        });
        db.define(build);
    }
    db.define("DROP INDEX IF EXISTS " + helper);
}

}  // namespace lockstep::store

#include "store/log.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "store/journal.h"

namespace lockstep::store {

namespace {

using record::append_json;
using record::quoted_json;

const std::vector<std::string> kChangeColumns{"position", "at",   "table_name", "record", "kind",
                                              "class",    "step", "call",       "rule",   "fields"};
const std::vector<Form> kChangeForms{Form::Integer, Form::Timestamp, Form::Text, Form::Text, Form::Text,
                                     Form::Text,    Form::Integer,   Form::Text, Form::Text, Form::Text};
/// The setting that keeps pruned_position().
constexpr const char* kPruned = "log.pruned";
constexpr const char* kSelectChange =
    "SELECT position, at, table_name, record, kind, class, step, call, rule, fields FROM change_log ";

const std::vector<std::string> kActivityColumns{"id",       "person",     "type",  "at",
                                                "position", "primary_id", "class", "attributes"};
const std::vector<Form> kActivityForms{Form::Integer, Form::Integer, Form::Integer, Form::Timestamp,
                                       Form::Integer, Form::Text,    Form::Text,    Form::Text};

std::string text_of(const Cell& cell) {
    return cell.is_null() ? std::string() : std::string(cell.as_text());
}

Class class_of(const Cell& cell) {
    return text_of(cell) == name(Class::CatchUp) ? Class::CatchUp : Class::News;
}

ChangeKind kind_of(const Cell& cell) {
    const std::string word = text_of(cell);
    for (const ChangeKind kind :
         {ChangeKind::Insert, ChangeKind::Update, ChangeKind::Delete, ChangeKind::Undelete, ChangeKind::Snapshot}) {
        if (word == name(kind)) return kind;
    }
    throw Failure("The change log has an entry of an unknown kind: " + word,
                  "it was written by another version; use that one");
}

/// {"stagename": ["Prospecting", "Closed Won"], "amount": [5000, null]}
void append_fields(std::string& out, const std::vector<Change::Field>& fields) {
    const char* before = "{";
    for (const Change::Field& field : fields) {
        out += before;
        out += quoted_json(field.column);
        out += ": [";
        append_json(out, field.before.cell());
        out += ", ";
        append_json(out, field.after.cell());
        out += ']';
        before = ", ";
    }
    out += fields.empty() ? "{}" : "}";
}

Value value_of(const json::value& value) {
    if (value.is_bool()) return Value(Cell::boolean(value.get_bool()));
    if (value.is_int64()) return Value(Cell::integer(value.get_int64()));
    if (value.is_number()) return Value(Cell::real(value.to_number<double>()));
    if (value.is_string()) return Value(Cell::text({value.get_string().data(), value.get_string().size()}));
    return Value();
}

std::vector<Change::Field> parse_fields(std::string_view text) {
    std::vector<Change::Field> fields;
    if (text.empty()) return fields;
    const Result<json::value> parsed = parse_json(text);
    const json::object* const object = parsed.ok() ? parsed->if_object() : nullptr;
    if (object == nullptr) {
        throw Failure("An entry of the change log can not be read", "the database was changed by hand, or is damaged");
    }
    fields.reserve(object->size());
    for (const auto& [column, pair] : *object) {
        const json::array* const values = pair.if_array();
        if (values == nullptr || values->size() != 2) continue;
        fields.push_back({std::string(column), value_of((*values)[0]), value_of((*values)[1])});
    }
    return fields;
}

void add_change_row(Batch& batch, std::int64_t position, Timestamp at, const Change& change) {
    std::string fields;
    append_fields(fields, change.fields);
    const std::span<Cell> row = batch.add_row();
    row[0] = Cell::integer(position);
    row[1] = Cell::timestamp(at);
    row[2] = Cell::text(batch.keep(change.table));
    row[3] = Cell::text(batch.keep(change.record));
    row[4] = Cell::text(name(change.kind));
    row[5] = Cell::text(name(change.cls));
    row[6] = Cell::integer(change.cause.step);
    row[7] = Cell::text(batch.keep(change.cause.call));
    row[8] = Cell::text(batch.keep(change.cause.rule));
    row[9] = Cell::text(batch.keep(fields));
}

LoggedChange read_change(std::span<const Cell> row) {
    LoggedChange logged;
    logged.position = row[0].as_integer();
    logged.at = row[1].as_timestamp();
    logged.change.table = text_of(row[2]);
    logged.change.record = text_of(row[3]);
    logged.change.kind = kind_of(row[4]);
    logged.change.cls = class_of(row[5]);
    logged.change.cause = {.step = row[6].as_integer(), .call = text_of(row[7]), .rule = text_of(row[8])};
    logged.change.fields = parse_fields(row[9].is_null() ? std::string_view() : row[9].as_text());
    return logged;
}

std::vector<LoggedChange> select_changes(Connection& db, const std::string& rest, std::span<const Cell> parameters) {
    std::vector<LoggedChange> changes;
    db.query(kSelectChange + rest, parameters, [&](std::span<const Cell> row) {
        changes.push_back(read_change(row));
        return true;
    });
    return changes;
}

void check_loggable(const Change& change) {
    check(!change.table.empty() && !change.record.empty(), "a change of the log names no table or no record");
}

}  // namespace

const char* name(Class cls) {
    return cls == Class::CatchUp ? "catch-up" : "news";
}

const char* name(ChangeKind kind) {
    switch (kind) {
        case ChangeKind::Insert:
            return "insert";
        case ChangeKind::Update:
            return "update";
        case ChangeKind::Delete:
            return "delete";
        case ChangeKind::Undelete:
            return "undelete";
        case ChangeKind::Snapshot:
            return "snapshot";
    }
    return "update";
}

void Transaction::start() {
    now_ = world_.clock.now();
    changes_.clear();
    activities_.clear();
}

void Transaction::stage(Change change) {
    check_loggable(change);
    changes_.push_back(std::move(change));
}

void Transaction::stage(Activity activity) {
    activities_.push_back(std::move(activity));
}

std::int64_t Transaction::take_ids(std::string_view counter, std::int64_t count) {
    check(count >= 0, "a negative number of ids is taken");
    const std::optional<std::int64_t> last = connection_.integer(
        "INSERT INTO counter (name, last) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET last = "
        "counter.last + excluded.last RETURNING last",
        params(Cell::text(counter), Cell::integer(count)));
    check(last.has_value(), "a counter gave no number");
    return *last - count + 1;
}

std::int64_t Transaction::take_positions(std::int64_t count) {
    const std::optional<std::int64_t> last = connection_.integer(
        "UPDATE log_head SET position = position + ? RETURNING position", params(Cell::integer(count)));
    if (!last) throw Failure("The head of the change log is missing", "restore the database from a backup");
    return *last - count + 1;
}

std::int64_t Transaction::log_now(const Change& change) {
    check_loggable(change);
    const std::int64_t position = take_positions(1);
    Batch row(kChangeForms);
    add_change_row(row, position, now_, change);
    connection_.insert_rows("change_log", kChangeColumns, row);
    return position;
}

void Transaction::flush() {
    if (!staged()) return;
    const auto activities = static_cast<std::int64_t>(activities_.size());
    std::int64_t activity = activities > 0 ? take_ids("activity", activities) : 0;
    // From here to COMMIT nobody else gets a position, so a position that can be seen has all lower ones below it. A
    // transaction of activities only takes one, too: a follower that has read up to here would otherwise miss them.
    const std::int64_t count = std::max<std::int64_t>(1, static_cast<std::int64_t>(changes_.size()));
    const std::int64_t first = take_positions(count);
    if (!changes_.empty()) {
        Batch rows(kChangeForms);
        rows.reserve_rows(changes_.size());
        std::int64_t position = first;
        for (const Change& change : changes_) add_change_row(rows, position++, now_, change);
        connection_.insert_rows("change_log", kChangeColumns, rows);
    }
    if (!activities_.empty()) {
        Batch rows(kActivityForms);
        rows.reserve_rows(activities_.size());
        for (const Activity& entry : activities_) {
            const std::span<Cell> row = rows.add_row();
            row[0] = Cell::integer(activity++);
            row[1] = Cell::integer(entry.person);
            row[2] = Cell::integer(entry.type);
            row[3] = Cell::timestamp(entry.at);
            row[4] = Cell::integer(first + count - 1);
            row[5] = Cell::text(entry.primary);
            row[6] = Cell::text(name(entry.cls));
            row[7] = Cell::text(entry.attributes);
        }
        connection_.insert_rows("activity", kActivityColumns, rows);
    }
    changes_.clear();
    activities_.clear();
}

Result<std::vector<LoggedChange>> changes_after(Connection& db, std::int64_t position, int rows_max) {
    std::vector<LoggedChange> changes = select_changes(db, "WHERE position > ? ORDER BY position LIMIT ?",
                                                       params(Cell::integer(position), Cell::integer(rows_max)));
    // Asked for after the rows: rows that vanish in between are told as missed, never left out.
    const std::int64_t pruned = pruned_position(db);
    if (position >= pruned) return changes;
    return Error{.kind = Kind::NotFound,
                 .what = "The change log no longer has what happened after position " + std::to_string(position) +
                         "; it begins after " + std::to_string(pruned),
                 .hint = "start again from the data as it is now; [log] keep_days in lockstep.toml keeps more",
                 .code = "CHANGES_PRUNED"};
}

std::vector<LoggedChange> changes_of(Connection& db, std::string_view table, std::string_view record, int rows_max) {
    return select_changes(db, "WHERE record = ? AND table_name = ? ORDER BY position DESC LIMIT ?",
                          params(Cell::text(record), Cell::text(table), Cell::integer(rows_max)));
}

std::optional<LoggedChange> change_at(Connection& db, std::int64_t position) {
    std::vector<LoggedChange> found = select_changes(db, "WHERE position = ?", params(Cell::integer(position)));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
}

std::int64_t last_position(Connection& db) {
    return db.integer("SELECT position FROM log_head").value_or(0);
}

std::int64_t prune_log(Transaction& tx, Timestamp before, int rows_max) {
    std::int64_t rows = 0, last = 0;
    // Positions grow with time but for clocks that were set back, so that no index on the time is needed.
    tx.db().query("SELECT position, at FROM change_log ORDER BY position LIMIT ?", params(Cell::integer(rows_max)),
                  [&](std::span<const Cell> row) {
                      if (row[1].as_timestamp() >= before) return false;
                      last = row[0].as_integer();
                      ++rows;
                      return true;
                  });
    if (rows == 0) return 0;
    tx.db().run("DELETE FROM change_log WHERE position <= ?", params(Cell::integer(last)));
    save_setting(tx, kPruned, std::to_string(last));
    return rows;
}

std::int64_t pruned_position(Connection& db) {
    return parse_int(setting(db, kPruned).value_or("")).value_or(0);
}

std::int64_t follower_position(Connection& db, std::string_view follower) {
    return db.integer("SELECT position FROM follower WHERE name = ?", params(Cell::text(follower))).value_or(0);
}

void move_follower(Transaction& tx, std::string_view follower, std::int64_t position) {
    tx.db().run(
        "INSERT INTO follower (name, position) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = "
        "excluded.position",
        params(Cell::text(follower), Cell::integer(position)));
}

std::vector<LoggedActivity> activities_of(Connection& db, std::int64_t person, int type, int rows_max) {
    std::vector<Cell> parameters = params(Cell::integer(person));
    std::string sql =
        "SELECT id, person, type, at, position, primary_id, class, attributes FROM activity WHERE person = ?";
    if (type != 0) {
        sql += " AND type = ?";
        parameters.push_back(Cell::integer(type));
    }
    sql += " ORDER BY at DESC, id DESC LIMIT ?";
    parameters.push_back(Cell::integer(rows_max));
    std::vector<LoggedActivity> entries;
    db.query(sql, parameters, [&](std::span<const Cell> row) {
        LoggedActivity logged{.id = row[0].as_integer(), .position = row[4].as_integer(), .activity = {}};
        logged.activity = {.person = row[1].as_integer(),
                           .type = static_cast<int>(row[2].as_integer()),
                           .at = row[3].as_timestamp(),
                           .primary = text_of(row[5]),
                           .attributes = text_of(row[7]),
                           .cls = class_of(row[6])};
        entries.push_back(std::move(logged));
        return true;
    });
    return entries;
}

void drop_activity_indexes(Database& db) {
    for (const char* const index : {"activity_person", "activity_type"}) {
        db.define(std::string("DROP INDEX IF EXISTS ") + index);
    }
}

void make_activity_indexes(Database& db) {
    db.define("CREATE INDEX IF NOT EXISTS activity_person ON activity (person, type, at)");
    db.define("CREATE INDEX IF NOT EXISTS activity_type ON activity (type, at, person)");
}

}  // namespace lockstep::store

#include "store/catalog.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "store/migrations.h"

namespace lockstep::store {

namespace {

// PostgreSQL takes 1,600 columns a table, counting dropped ones; the rest is room for fields that change their type.
constexpr std::size_t kFieldsMax = 1200;

const std::vector<std::string> kFieldColumns{
    "object",      "name",         "place",        "column_name", "label",    "type",
    "form",        "length",       "digits",       "decimals",    "nillable", "calculated",
    "auto_number", "createable",   "updateable",   "filterable",  "custom",   "is_unique",
    "external_id", "relationship", "reference_to", "formula",     "live",     "unreadable_since",
    "known_since", "filled"};
const std::vector<Form> kFieldForms{
    Form::Text,    Form::Text,    Form::Integer,   Form::Text,      Form::Text,    Form::Text,    Form::Text,
    Form::Integer, Form::Integer, Form::Integer,   Form::Boolean,   Form::Boolean, Form::Boolean, Form::Boolean,
    Form::Boolean, Form::Boolean, Form::Boolean,   Form::Boolean,   Form::Boolean, Form::Text,    Form::Text,
    Form::Text,    Form::Boolean, Form::Timestamp, Form::Timestamp, Form::Boolean};

constexpr std::array kForms{Form::Text, Form::Boolean, Form::Integer, Form::Real, Form::Timestamp, Form::Date};

std::string text_of(const Cell& cell) {
    return cell.is_null() ? std::string() : std::string(cell.as_text());
}

Form form_named(std::string_view word) {
    const auto* const found = std::ranges::find_if(kForms, [&](Form form) { return word == record::name(form); });
    if (found == kForms.end()) {
        throw Failure("The catalog knows a field of an unknown form: " + std::string(word),
                      "it was written by another version; use that one");
    }
    return *found;
}

MirrorField read_field(std::span<const Cell> row) {
    MirrorField known;
    record::Field& field = known.field;
    field.name = text_of(row[1]);
    known.column = text_of(row[3]);
    field.label = text_of(row[4]);
    field.type = text_of(row[5]);
    field.form = form_named(text_of(row[6]));
    field.length = static_cast<int>(row[7].as_integer());
    field.precision = static_cast<int>(row[8].as_integer());
    field.scale = static_cast<int>(row[9].as_integer());
    field.nillable = row[10].as_boolean();
    field.calculated = row[11].as_boolean();
    field.auto_number = row[12].as_boolean();
    field.createable = row[13].as_boolean();
    field.updateable = row[14].as_boolean();
    field.filterable = row[15].as_boolean();
    field.custom = row[16].as_boolean();
    field.unique = row[17].as_boolean();
    field.external_id = row[18].as_boolean();
    field.relationship = text_of(row[19]);
    if (!row[20].is_null()) field.reference_to = split(row[20].as_text(), ',');
    field.formula = text_of(row[21]);
    known.live = row[22].as_boolean();
    if (!row[23].is_null()) known.unreadable_since = row[23].as_timestamp();
    known.known_since = row[24].as_timestamp();
    known.filled = row[25].as_boolean();
    return known;
}

void add_field_row(Batch& batch, const std::string& object, std::int64_t place, const MirrorField& known) {
    const record::Field& field = known.field;
    const std::string targets = join(field.reference_to, ",");
    const std::span<Cell> row = batch.add_row();
    row[0] = Cell::text(object);
    row[1] = Cell::text(field.name);
    row[2] = Cell::integer(place);
    row[3] = Cell::text(known.column);
    row[4] = Cell::text(field.label);
    row[5] = Cell::text(field.type);
    row[6] = Cell::text(record::name(field.form));
    row[7] = Cell::integer(field.length);
    row[8] = Cell::integer(field.precision);
    row[9] = Cell::integer(field.scale);
    row[10] = Cell::boolean(field.nillable);
    row[11] = Cell::boolean(field.calculated);
    row[12] = Cell::boolean(field.auto_number);
    row[13] = Cell::boolean(field.createable);
    row[14] = Cell::boolean(field.updateable);
    row[15] = Cell::boolean(field.filterable);
    row[16] = Cell::boolean(field.custom);
    row[17] = Cell::boolean(field.unique);
    row[18] = Cell::boolean(field.external_id);
    row[19] = Cell::text(field.relationship);
    row[20] = Cell::text(batch.keep(targets));
    row[21] = Cell::text(field.formula);
    row[22] = Cell::boolean(known.live);
    if (known.unreadable_since) row[23] = Cell::timestamp(*known.unreadable_since);
    row[24] = Cell::timestamp(known.known_since);
    row[25] = Cell::boolean(known.filled);
}

/// The fields of `described` that get a column.
record::Object within_limits(const record::Object& described, std::vector<std::string>& left_out) {
    record::Object kept = described;
    if (kept.fields.size() <= kFieldsMax) return kept;
    // The fields the sync itself lives on stay, wherever the describe has them.
    std::stable_partition(kept.fields.begin(), kept.fields.end(), [](const record::Field& field) {
        return record::is_system_field(field.name) || !field.reference_to.empty();
    });
    for (std::size_t i = kFieldsMax; i < kept.fields.size(); ++i) left_out.push_back(kept.fields[i].name);
    kept.fields.resize(kFieldsMax);
    return kept;
}

/// A column of the old form, set aside under another name.
struct Retired {
    std::string column, kept_as;
};

/// What the catalog will say, and how the table gets there.
struct Plan {
    MirrorObject object;
    std::vector<Retired> retired;
    SchemaNews news;
};

MirrorField* find_field(std::vector<MirrorField>& fields, std::string_view name) {
    const auto found = std::ranges::find_if(
        fields, [&](const MirrorField& known) { return equals_ignoring_case(known.field.name, name); });
    return found == fields.end() ? nullptr : &*found;
}

std::string retired_suffix(const std::vector<MirrorField>& fields, const std::string& name) {
    for (int version = 1;; ++version) {
        std::string suffix = "__v" + std::to_string(version);
        const bool taken = std::ranges::any_of(
            fields, [&](const MirrorField& known) { return equals_ignoring_case(known.field.name, name + suffix); });
        if (!taken) return suffix;
    }
}

/// `known` is what the catalog says now, an empty object when it knows nothing.
Plan plan_for(const MirrorObject& known, const record::Object& described, bool has_rows, Timestamp now) {
    Plan plan;
    plan.object.object = within_limits(described, plan.news.left_out);
    plan.object.table = known.table.empty() ? short_name("crm_" + described.name) : known.table;
    std::vector<MirrorField> old = known.fields;
    for (const record::Field& field : plan.object.object.fields) {
        MirrorField fresh{.field = field, .column = short_name(field.name), .known_since = now, .filled = !has_rows};
        MirrorField* const before = find_field(old, field.name);
        if (before == nullptr) {
            plan.news.added.push_back(field.name);
        } else if (before->field.form != field.form) {
            const std::string suffix = retired_suffix(old, before->field.name);
            plan.news.changed.push_back(field.name);
            plan.retired.push_back({before->column, short_name(before->field.name + suffix)});
            before->column = plan.retired.back().kept_as;
            before->field.name += suffix;
            if (before->live) before->unreadable_since = now;
            before->live = false;
        } else {
            fresh.known_since = before->known_since;
            fresh.column = before->column;
            fresh.filled = before->filled;
            if (!before->live) {
                plan.news.readable_again.push_back(field.name);
                fresh.filled = !has_rows;  // its values stood still meanwhile
            }
            old.erase(old.begin() + (before - old.data()));
        }
        plan.object.fields.push_back(std::move(fresh));
    }
    for (MirrorField& gone : old) {
        if (gone.live) {
            plan.news.unreadable.push_back(gone.field.name);
            gone.live = false;
            gone.unreadable_since = now;
        }
        plan.object.fields.push_back(std::move(gone));
    }
    return plan;
}

std::string column_definition(const MirrorField& field, Dialect dialect) {
    std::string out = quoted(field.column) + " " + dialect.type(field.field.form);
    if (field.field.form == Form::Text) out += dialect.collate();
    return out;
}

std::string create_table(const MirrorObject& object, Dialect dialect) {
    // PostgreSQL gets the key after the first load, with the other indexes. Pages filled to 80 % leave room for new
    // versions of rows next to the old ones (spec/physical.md, recommendation 15).
    const bool sqlite = dialect.engine == Engine::Sqlite;
    std::string sql = "CREATE TABLE IF NOT EXISTS " + quoted(object.table) + " (ls_row ";
    sql += dialect.type(Form::Integer);
    sql += sqlite ? " PRIMARY KEY" : " NOT NULL";
    sql += std::string(", ls_position ") + dialect.type(Form::Integer);
    for (const MirrorField& field : object.fields) sql += ", " + column_definition(field, dialect);
    return sql + (sqlite ? ")" : ") WITH (fillfactor = 80)");
}

// Neither a table nor a field has a '$' in its name, so no two indexes meet.
std::string index_name(const MirrorObject& object, const std::string& column) {
    return short_name(object.table + "$" + column);
}

std::string readable_name(const MirrorObject& object) {
    return object.table + "_readable";
}

std::string create_readable_view(const MirrorObject& object, Dialect dialect) {
    std::string sql = "CREATE VIEW IF NOT EXISTS " + quoted(readable_name(object)) + " AS SELECT ls_row";
    for (const MirrorField& field : object.fields) {
        const std::string column = quoted(field.column);
        const Form form = field.field.form;
        const bool moment = form == Form::Timestamp || form == Form::Date;
        sql += ", " + (moment ? dialect.iso(column, form) + " AS " + column : column);
    }
    return sql + " FROM " + quoted(object.table);
}

/// Makes the table hold every column of the plan. Looks at what is there, so it can be run again after any crash.
void shape_table(Database& db, const Plan& plan, const std::vector<std::string>& columns) {
    const Dialect dialect = db.dialect();
    const MirrorObject& object = plan.object;
    const bool sqlite = dialect.engine == Engine::Sqlite;

    std::set<std::string> there(columns.begin(), columns.end());
    std::vector<std::string> changes;
    for (const Retired& retired : plan.retired) {
        if (there.contains(retired.kept_as)) continue;  // renamed before a crash
        changes.push_back("RENAME COLUMN " + quoted(retired.column) + " TO " + quoted(retired.kept_as));
        there.erase(retired.column);
        there.insert(retired.kept_as);
    }
    for (const MirrorField& field : object.fields) {
        if (!there.contains(field.column)) changes.push_back("ADD COLUMN " + column_definition(field, dialect));
    }

    if (columns.empty()) {
        db.define(create_table(object, dialect));
    } else if (!changes.empty()) {
        if (sqlite) db.define("DROP VIEW IF EXISTS " + quoted(readable_name(object)));
        // An index would follow its column and keep the name the fresh one needs.
        for (const Retired& retired : plan.retired) {
            db.define("DROP INDEX IF EXISTS " + quoted(index_name(object, retired.column)));
        }
        for (const std::string& change : changes) db.define("ALTER TABLE " + quoted(object.table) + " " + change);
    }
    // PostgreSQL shows timestamps as such; SQLite keeps seconds, and this view shows them as people read them.
    if (sqlite) db.define(create_readable_view(object, dialect));
}

void save(Transaction& tx, const MirrorObject& object) {
    const record::Object& told = object.object;
    Connection& db = tx.db();
    db.run("DELETE FROM catalog_field WHERE object = ?", params(Cell::text(told.name)));
    db.run("DELETE FROM catalog_object WHERE name = ?", params(Cell::text(told.name)));
    db.run(
        "INSERT INTO catalog_object (name, table_name, label, key_prefix, custom, queryable, retrieveable, "
        "replicateable, undeletable) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params(Cell::text(told.name), Cell::text(object.table), Cell::text(told.label), Cell::text(told.key_prefix),
               Cell::boolean(told.custom), Cell::boolean(told.queryable), Cell::boolean(told.retrieveable),
               Cell::boolean(told.replicateable), Cell::boolean(told.undeletable)));
    Batch rows(kFieldForms);
    std::int64_t place = 0;
    for (const MirrorField& field : object.fields) add_field_row(rows, told.name, place++, field);
    db.insert_rows("catalog_field", kFieldColumns, rows);
}

}  // namespace

const MirrorField* MirrorObject::find(std::string_view name) const {
    const auto found = std::ranges::find_if(
        fields, [&](const MirrorField& known) { return equals_ignoring_case(known.field.name, name); });
    return found == fields.end() ? nullptr : &*found;
}

Catalog Catalog::read(Connection& db) {
    Catalog catalog;
    db.query(
        "SELECT name, table_name, label, key_prefix, custom, queryable, retrieveable, replicateable, undeletable "
        "FROM catalog_object ORDER BY name",
        {}, [&](std::span<const Cell> row) {
            MirrorObject& known = catalog.objects_.emplace_back();
            record::Object& object = known.object;
            object.name = text_of(row[0]);
            known.table = text_of(row[1]);
            object.label = text_of(row[2]);
            object.key_prefix = text_of(row[3]);
            object.custom = row[4].as_boolean();
            object.queryable = row[5].as_boolean();
            object.retrieveable = row[6].as_boolean();
            object.replicateable = row[7].as_boolean();
            object.undeletable = row[8].as_boolean();
            return true;
        });
    const std::string sql =
        "SELECT " + join(kFieldColumns, ", ") + " FROM catalog_field WHERE object = ? ORDER BY place";
    for (MirrorObject& known : catalog.objects_) {
        db.query(sql, params(Cell::text(known.object.name)), [&](std::span<const Cell> row) {
            known.fields.push_back(read_field(row));
            if (known.fields.back().live) known.object.fields.push_back(known.fields.back().field);
            return true;
        });
    }
    return catalog;
}

const MirrorObject* Catalog::find(std::string_view object) const {
    const auto found = std::ranges::find_if(
        objects_, [&](const MirrorObject& known) { return equals_ignoring_case(known.object.name, object); });
    return found == objects_.end() ? nullptr : &*found;
}

SchemaNews Catalog::take(Database& db, const record::Object& described) {
    check(described.has("Id"), "a described object has no Id");
    const MirrorObject* const found = find(described.name);
    const MirrorObject known = found != nullptr ? *found : MirrorObject{};
    const std::string table = found != nullptr ? known.table : short_name("crm_" + described.name);

    std::vector<std::string> columns;
    bool has_rows = false;
    db.read([&](Connection& session) {
        columns = table_columns(session, table);
        has_rows = !columns.empty() && session.integer("SELECT 1 FROM " + quoted(table) + " LIMIT 1").has_value();
    });

    Plan plan;
    bool same = false;
    const auto plan_at = [&](Timestamp now) {
        plan = plan_for(known, described, has_rows, now);
        same = plan.object == known;
    };
    // The moment only matters for what differs, so a plan made at any time tells whether something does.
    plan_at({});
    if (!same) {
        shape_table(db, plan, columns);
        db.write([&](Transaction& tx) {
            plan_at(tx.now());
            save(tx, plan.object);
        });
    }
    if (found == nullptr) {
        const auto after = std::ranges::find_if(
            objects_, [&](const MirrorObject& other) { return other.object.name > plan.object.object.name; });
        objects_.insert(after, std::move(plan.object));
    } else {
        objects_[static_cast<std::size_t>(found - objects_.data())] = std::move(plan.object);
    }
    return std::move(plan.news);
}

void Catalog::mark_filled(Database& db, std::string_view object, std::string_view field) {
    const MirrorObject* const known = find(object);
    check(known != nullptr && known->find(field) != nullptr, "a field the catalog does not know was filled");
    const std::string& name = known->find(field)->field.name;
    db.write([&](Transaction& tx) {
        tx.db().run("UPDATE catalog_field SET filled = ? WHERE object = ? AND name = ?",
                    params(Cell::boolean(true), Cell::text(known->object.name), Cell::text(name)));
    });
    find_field(objects_[static_cast<std::size_t>(known - objects_.data())].fields, name)->filled = true;
}

void build_mirror_indexes(Database& db, const MirrorObject& object, const std::vector<std::string>& indexed_fields) {
    for (const std::string& name : indexed_fields) {
        const MirrorField* const field = object.find(name);
        if (field == nullptr) continue;  // not readable in this org
        db.define("CREATE INDEX IF NOT EXISTS " + quoted(index_name(object, field->column)) + " ON " +
                  quoted(object.table) + " (" + quoted(field->column) + ")");
    }
    if (db.engine() == Engine::Postgres) {
        db.define("CREATE UNIQUE INDEX IF NOT EXISTS " + quoted(index_name(object, "ls_row")) + " ON " +
                  quoted(object.table) + " (ls_row)");
    }
    db.define("ANALYZE " + quoted(object.table));
}

void ensure_mirror_index(Database& db, const MirrorObject& object, const std::string& field) {
    const MirrorField* const found = object.find(field);
    check(found != nullptr, "an index is wanted over a field the catalog does not know");
    const char* const sql = db.engine() == Engine::Sqlite
                                ? "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?"
                                : "SELECT 1 FROM pg_indexes WHERE schemaname = current_schema() AND indexname = ?";
    bool there = false;
    const std::string name = index_name(object, found->column);
    db.read([&](Connection& session) { there = session.integer(sql, params(Cell::text(name))).has_value(); });
    if (!there) build_mirror_indexes(db, object, {field});
}

}  // namespace lockstep::store

#include "people/people.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/sfid.h"
#include "base/text.h"
#include "store/migrations.h"

namespace lockstep::people {

using store::params;

namespace {

Form form_named(std::string_view word) {
    for (const Form form : {Form::Text, Form::Boolean, Form::Integer, Form::Real, Form::Timestamp, Form::Date}) {
        if (word == record::name(form)) return form;
    }
    throw Bug("a field of ours has a form nobody knows");
}

/// A merged person leads to their winner; chains are short.
std::int64_t winner_of(store::Connection& db, std::int64_t person) {
    for (int hops = 0; hops < 32; ++hops) {
        const auto next = db.integer("SELECT merged_into FROM person WHERE id = ?", params(Cell::integer(person)));
        if (!next) return person;
        person = *next;
    }
    throw Bug("merged people lead in a circle");
}

}  // namespace

Fields Fields::read(store::Connection& db) {
    Fields fields;
    db.query("SELECT table_name, column_name, label, form, origin FROM our_field ORDER BY table_name, column_name", {},
             [&](std::span<const Cell> row) {
                 fields.fields_.push_back({.table = record::to_text(row[0]),
                                           .column = record::to_text(row[1]),
                                           .label = record::to_text(row[2]),
                                           .form = form_named(row[3].as_text()),
                                           .origin = record::to_text(row[4])});
                 return true;
             });
    return fields;
}

const OurField* Fields::find(std::string_view table, std::string_view column) const {
    const auto found = std::ranges::find_if(
        fields_, [&](const OurField& field) { return field.table == table && field.column == column; });
    return found == fields_.end() ? nullptr : &*found;
}

void Fields::ensure(store::Database& db, const OurField& field) {
    if (const OurField* const known = find(field.table, field.column); known != nullptr) {
        if (known->form == field.form) return;
        throw Failure(field.table + "." + field.column + " holds " + record::name(known->form) + ", but " +
                          field.origin + " is " + record::name(field.form),
                      "map " + field.origin + " to a field of another name in its rules file");
    }
    // The column comes first: a crash in between leaves a column nobody knows, which the next run finds again.
    std::vector<std::string> columns;
    db.read([&](store::Connection& connection) { columns = store::table_columns(connection, field.table); });
    if (std::ranges::find(columns, field.column) == columns.end()) {
        db.define("ALTER TABLE " + store::quoted(field.table) + " ADD COLUMN " + store::quoted(field.column) + " " +
                  db.dialect().type(field.form));
    }
    db.write([&](store::Transaction& tx) {
        tx.db().run("INSERT INTO our_field (table_name, column_name, label, form, origin) VALUES (?, ?, ?, ?, ?)",
                    params(Cell::text(field.table), Cell::text(field.column), Cell::text(field.label),
                           Cell::text(record::name(field.form)), Cell::text(field.origin)));
    });
    fields_.push_back(field);
}

std::unordered_map<std::string, Identity> identities(store::Connection& db, std::span<const std::string_view> crm_ids) {
    std::unordered_map<std::string, Identity> found;
    if (crm_ids.empty()) return found;
    static const std::vector<std::string> columns{"crm_id", "person", "object", "live"};
    static const std::vector<Form> forms{Form::Text, Form::Integer, Form::Text, Form::Boolean};
    const Batch rows = db.rows_by_key("identity", "crm_id", crm_ids, columns, forms);
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        const auto row = rows.row(i);
        found[record::to_text(row[0])] = {row[1].as_integer(), record::to_text(row[2]), row[3].as_boolean()};
    }
    return found;
}

std::unordered_map<std::string, std::int64_t> companies_of(store::Connection& db,
                                                           std::span<const std::string_view> account_ids) {
    std::unordered_map<std::string, std::int64_t> found;
    if (account_ids.empty()) return found;
    static const std::vector<std::string> columns{"crm_id", "id"};
    static const std::vector<Form> forms{Form::Text, Form::Integer};
    const Batch rows = db.rows_by_key("company", "crm_id", account_ids, columns, forms);
    for (std::size_t i = 0; i < rows.rows(); ++i) found[record::to_text(rows.row(i)[0])] = rows.row(i)[1].as_integer();
    return found;
}

void Writer::add(std::string_view table, const std::vector<std::string>& columns, const Batch& rows) {
    if (rows.rows() == 0) return;
    tx_.db().insert_rows(table, columns, rows);
    if (mode_ == Mode::Build) {
        const auto last = static_cast<std::int64_t>(rows.rows()) - 1;
        tx_.stage({.table = std::string(table),
                   .record = record::to_text(rows.row(0)[0]) + ".." + record::to_text(rows.row(rows.rows() - 1)[0]),
                   .kind = store::ChangeKind::Snapshot,
                   .cls = cls_,
                   .cause = cause_,
                   .fields = {{"rows", Value(Cell::null(Form::Integer)), Value(Cell::integer(last + 1))}}});
        return;
    }
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        const auto row = rows.row(i);
        store::Change change{.table = std::string(table),
                             .record = record::to_text(row[0]),
                             .kind = store::ChangeKind::Insert,
                             .cls = cls_,
                             .cause = cause_,
                             .fields = {}};
        for (std::size_t column = 1; column < columns.size(); ++column) {
            if (row[column].is_null() || columns[column] == "email_folded") continue;
            change.fields.push_back({columns[column], Value(Cell::null(row[column].form())), Value(row[column])});
        }
        tx_.stage(std::move(change));
    }
}

void Writer::update(std::string_view table, std::int64_t id, const std::vector<store::Change::Field>& changes,
                    std::string_view rule) {
    if (changes.empty()) return;
    std::string sql = "UPDATE " + store::quoted(table) + " SET ";
    std::vector<Cell> parameters;
    std::string folded;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        sql += (i > 0 ? ", " : "") + store::quoted(changes[i].column) + " = ?";
        parameters.push_back(changes[i].after.cell());
        if (table == "person" && changes[i].column == "email") {
            folded = fold(record::to_text(changes[i].after.cell()));
            sql += ", email_folded = ?";
            parameters.push_back(Cell::text(folded));
        }
    }
    parameters.push_back(Cell::integer(id));
    tx_.db().run(sql + " WHERE id = ?", parameters);
    store::Cause cause = cause_;
    cause.rule = rule;
    tx_.stage({.table = std::string(table),
               .record = std::to_string(id),
               .kind = store::ChangeKind::Update,
               .cls = cls_,
               .cause = std::move(cause),
               .fields = changes});
}

void Writer::tie(const std::vector<Tie>& ties) {
    if (ties.empty()) return;
    static const std::vector<std::string> columns{"crm_id", "person", "object", "live", "how"};
    Batch rows({Form::Text, Form::Integer, Form::Text, Form::Boolean, Form::Text});
    for (const Tie& tie : ties) {
        const auto row = rows.add_row();
        row[0] = Cell::text(tie.crm_id);
        row[1] = Cell::integer(tie.person);
        row[2] = Cell::text(tie.object);
        row[3] = Cell::boolean(tie.live);
        row[4] = Cell::text(tie.how);
    }
    const std::vector<store::Connection::Constant> since{{"since", Value(Cell::timestamp(tx_.now()))}};
    tx_.db().insert_rows("identity", columns, rows, since);
}

void Writer::retie(const Tie& tie) {
    const auto before =
        tx_.db().integer("SELECT person FROM identity WHERE crm_id = ?", params(Cell::text(tie.crm_id)));
    tx_.db().run(
        "INSERT INTO identity (crm_id, person, object, live, how, since) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (crm_id) DO UPDATE SET person = excluded.person, object = excluded.object, "
        "live = excluded.live, how = excluded.how, since = excluded.since",
        params(Cell::text(tie.crm_id), Cell::integer(tie.person), Cell::text(tie.object), Cell::boolean(tie.live),
               Cell::text(tie.how), Cell::timestamp(tx_.now())));
    tx_.stage({.table = "identity",
               .record = tie.crm_id,
               .kind = before ? store::ChangeKind::Update : store::ChangeKind::Insert,
               .cls = cls_,
               .cause = cause_,
               .fields = {{"person", Value(before ? Cell::integer(*before) : Cell::null(Form::Integer)),
                           Value(Cell::integer(tie.person))},
                          {"how", Value(Cell::null(Form::Text)), Value::of(tie.how)}}});
}

void Writer::set_live(std::string_view crm_id, bool live) {
    const std::int64_t changed = tx_.db().run("UPDATE identity SET live = ? WHERE crm_id = ? AND live <> ?",
                                              params(Cell::boolean(live), Cell::text(crm_id), Cell::boolean(live)));
    if (changed == 0) return;
    tx_.stage({.table = "identity",
               .record = std::string(crm_id),
               .kind = store::ChangeKind::Update,
               .cls = cls_,
               .cause = cause_,
               .fields = {{"live", Value(Cell::boolean(!live)), Value(Cell::boolean(live))}}});
}

void Writer::unite(std::int64_t loser, std::int64_t winner) {
    check(loser != winner, "a person can not be merged into themselves");
    const std::vector<Cell> both = params(Cell::integer(winner), Cell::integer(loser));
    tx_.db().run("UPDATE identity SET person = ? WHERE person = ?", both);
    tx_.db().run("UPDATE opportunity_link SET person = ? WHERE person = ?", both);
    tx_.db().run("UPDATE activity SET person = ? WHERE person = ?", both);
    update("person", loser, {{"merged_into", Value(Cell::null(Form::Integer)), Value(Cell::integer(winner))}}, "");
}

void Writer::set_consent(std::string_view email, bool opted_out, std::string_view source, Timestamp at) {
    const std::string address = fold(email);
    const char* const state = opted_out ? "out" : "in";
    const std::int64_t changed = tx_.db().run(
        "INSERT INTO consent (address, kind, state, source, at) VALUES (?, 'email', ?, ?, ?) "
        "ON CONFLICT (address, kind) DO UPDATE SET state = excluded.state, source = excluded.source, at = excluded.at "
        "WHERE consent.state <> excluded.state AND consent.at <= excluded.at",
        params(Cell::text(address), Cell::text(state), Cell::text(source), Cell::timestamp(at)));
    if (changed == 0 || mode_ == Mode::Build) return;
    tx_.stage({.table = "consent",
               .record = address,
               .kind = store::ChangeKind::Update,
               .cls = cls_,
               .cause = cause_,
               .fields = {{"state", Value(Cell::null(Form::Text)), Value::of(state)}}});
}

std::vector<std::int64_t> find_people(store::Connection& db, std::string_view text) {
    std::vector<std::int64_t> people;
    const std::string wanted(trim(text));
    const auto add = [&](std::int64_t person) {
        const std::int64_t winner = winner_of(db, person);
        if (std::ranges::find(people, winner) == people.end()) people.push_back(winner);
    };
    const auto number = parse_int(wanted);
    const auto id = normalize_id(wanted);
    if (number && db.integer("SELECT id FROM person WHERE id = ?", params(Cell::integer(*number)))) {
        add(*number);
    } else if (id) {
        const auto person = db.integer("SELECT person FROM identity WHERE crm_id = ?", params(Cell::text(*id)));
        if (person) add(*person);
    } else {
        const std::string folded = fold(wanted);
        std::vector<std::int64_t> found;
        db.query("SELECT id FROM person WHERE email_folded = ? ORDER BY id", params(Cell::text(folded)),
                 [&](std::span<const Cell> row) {
                     found.push_back(row[0].as_integer());
                     return true;
                 });
        for (const std::int64_t person : found) add(person);
    }
    return people;
}

}  // namespace lockstep::people

#include "store/database.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/migrations.h"

namespace lockstep::store {

std::unique_ptr<Database> Database::open(const std::string& location, World& world) {
    const bool postgres = location.starts_with("postgres://") || location.starts_with("postgresql://");
    std::unique_ptr<Database> db = postgres ? open_postgres(location, world) : open_sqlite(location, world);
    migrate_store(*db);
    return db;
}

const char* Dialect::type(Form form) const {
    const bool sqlite = engine == Engine::Sqlite;
    switch (form) {
        case Form::Text:
            return "TEXT";
        case Form::Boolean:
            return "BOOLEAN";
        case Form::Integer:
            return sqlite ? "INTEGER" : "BIGINT";
        case Form::Real:
            return "DOUBLE PRECISION";
        case Form::Timestamp:
            return sqlite ? "TIMESTAMP" : "TIMESTAMPTZ";
        case Form::Date:
            return "DATE";
    }
    return "TEXT";
}

const char* Dialect::collate() const {
    return engine == Engine::Sqlite ? "" : " COLLATE \"C\"";
}

std::string Dialect::json_text(std::string_view text_expression) const {
    const std::string text(text_expression);
    if (engine == Engine::Sqlite) return "json_quote(" + text + ")";
    return "COALESCE(to_json((" + text + ")::text)::text, 'null')";
}

std::string Dialect::iso(std::string_view expression, Form form) const {
    check(form == Form::Timestamp || form == Form::Date, "only timestamps and dates have an ISO 8601 text");
    const std::string moment(expression);
    if (engine == Engine::Sqlite) {
        const char* const format = form == Form::Date ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ";
        return std::string("strftime('") + format + "', " + moment + ", 'unixepoch')";
    }
    if (form == Form::Date) return "to_char(" + moment + ", 'YYYY-MM-DD')";
    return "to_char((" + moment + ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
}

std::string Quoted::operator()(std::string_view name) const {
    check(!name.empty(), "a name in SQL is empty");
    check(name.find('\0') == std::string_view::npos, "a name in SQL has a NUL");
    std::string out = "\"";
    for (const char c : to_lower(name)) {
        if (c == '"') out += '"';
        out += c;
    }
    return out += '"';
}

std::optional<Value> Connection::value(std::string_view sql, std::span<const Cell> parameters) {
    std::optional<Value> found;
    query(sql, parameters, [&](std::span<const Cell> row) {
        found = Value(row[0]);
        return false;
    });
    return found;
}

std::optional<std::int64_t> Connection::integer(std::string_view sql, std::span<const Cell> parameters) {
    const std::optional<Value> found = value(sql, parameters);
    if (!found || found->is_null()) return std::nullopt;
    return coerce(found->cell(), Form::Integer).as_integer();
}

std::optional<std::string> Connection::text(std::string_view sql, std::span<const Cell> parameters) {
    const std::optional<Value> found = value(sql, parameters);
    if (!found || found->is_null()) return std::nullopt;
    return record::to_text(found->cell());
}

std::vector<std::vector<Value>> Connection::rows(std::string_view sql, std::span<const Cell> parameters,
                                                 std::span<const Form> forms) {
    std::vector<std::vector<Value>> all;
    query(
        sql, parameters,
        [&](std::span<const Cell> row) {
            auto& kept = all.emplace_back();
            kept.reserve(row.size());
            for (const Cell& cell : row) kept.emplace_back(cell);
            return true;
        },
        forms);
    return all;
}

Cell coerce(const Cell& cell, Form form) {
    if (cell.is_null()) return Cell::null(form);
    if (cell.form() == form) return cell;
    switch (form) {
        case Form::Integer:
            switch (cell.form()) {
                case Form::Boolean:
                    return Cell::integer(cell.as_boolean() ? 1 : 0);
                case Form::Timestamp:
                    return Cell::integer(cell.as_timestamp().seconds);
                case Form::Date:
                    return Cell::integer(start_of(cell.as_date()).seconds);
                case Form::Real:
                    if (std::trunc(cell.as_real()) == cell.as_real() && std::abs(cell.as_real()) < 9e18) {
                        return Cell::integer(static_cast<std::int64_t>(cell.as_real()));
                    }
                    break;
                default:
                    break;
            }
            break;
        case Form::Real:
            if (cell.form() == Form::Integer) return Cell::real(static_cast<double>(cell.as_integer()));
            break;
        case Form::Boolean:
            if (cell.form() == Form::Integer) return Cell::boolean(cell.as_integer() != 0);
            break;
        case Form::Timestamp:
            if (cell.form() == Form::Integer) return Cell::timestamp({cell.as_integer()});
            if (cell.form() == Form::Date) return Cell::timestamp(start_of(cell.as_date()));
            break;
        case Form::Date:
            if (cell.form() == Form::Integer) return Cell::date(day_of({cell.as_integer()}));
            if (cell.form() == Form::Timestamp) return Cell::date(day_of(cell.as_timestamp()));
            break;
        case Form::Text:
            break;
    }
    throw Bug(std::string("a query returned ") + record::name(cell.form()) + " where " + record::name(form) +
              " was asked for");
}

}  // namespace lockstep::store

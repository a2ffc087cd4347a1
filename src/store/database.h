#pragma once

// Start here: the two engines behind one face.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/world.h"
#include "record/batch.h"
#include "record/value.h"

namespace lockstep::store {

using record::Batch;
using record::Cell;
using record::Form;
using record::Value;

enum class Engine { Sqlite, Postgres };

/// The few things the engines spell differently. One SQL text serves both; where it can not, it asks here.
struct Dialect {
    Engine engine = Engine::Sqlite;
    /// Column type of a form (design: typed storage). Tables that insert_rows fills use these and no others. SQLite
    /// keeps timestamps and dates (midnight UTC) as epoch seconds and booleans as 0 and 1; the type name tells the
    /// form.
    const char* type(Form form) const;
    /// ` COLLATE "C"` on PostgreSQL, nothing on SQLite, for text that is compared or sorted.
    const char* collate() const;
    /// An SQL expression that is `text_expression` as a JSON string literal, null as `null`.
    std::string json_text(std::string_view text_expression) const;
    /// An SQL expression for the text of a timestamp or date column in ISO 8601 ("2026-11-24T08:30:00Z").
    std::string iso(std::string_view expression, Form form) const;
};

/// Quotes a name for SQL; the only way a name that is not a literal of ours gets into a statement. Lower-cases it, so
/// that unquoted use finds it on both engines. Throws Bug for an empty name or one with a NUL.
struct Quoted {
    std::string operator()(std::string_view name) const;
};
/// An object, because a function would lose to std::quoted wherever a std::string is passed.
inline constexpr Quoted quoted;

/// One session. Statements use `?` for parameters, in order; both engines get the same text. Parameter and result
/// cells carry the form of their column: a timestamp is Form::Timestamp on either engine.
///
/// Errors: throws Failure (database gone, disk full, locked beyond the wait) and Bug (SQL that does not parse).
/// Thread rules: one thread at a time.
class Connection {
public:
    virtual ~Connection() = default;
    virtual Engine engine() const = 0;
    Dialect dialect() const { return {engine()}; }

    /// Runs statements without parameters, separated by semicolons.
    virtual void run(std::string_view sql) = 0;
    /// Runs one statement; returns how many rows it changed.
    virtual std::int64_t run(std::string_view sql, std::span<const Cell> parameters) = 0;
    /// Runs one statement once for each row of `parameters`; returns how many rows changed in all. Cost: one prepared
    /// statement; on PostgreSQL one round trip per 500 rows (pipelined).
    virtual std::int64_t run_each(std::string_view sql, const Batch& parameters) = 0;

    /// Takes rows one by one; cells live until it returns, and it must not use this session. Returning false ends the
    /// query (on PostgreSQL the rest still crosses the wire: use LIMIT).
    using RowSink = std::function<bool(std::span<const Cell> row)>;
    /// The forms of result columns come from their declared types. On SQLite an expression has none: give `forms` for
    /// queries that compute something else than text, integers and reals, or that return timestamps or booleans from
    /// expressions. Holds one row in memory, not the result.
    virtual void query(std::string_view sql, std::span<const Cell> parameters, const RowSink& sink,
                       std::span<const Form> forms = {}) = 0;

    /// Appends rows to a table, as fast as the engine can: a virtual table over the batch on SQLite, COPY BINARY on
    /// PostgreSQL. `columns` names the batch's columns; `constants` are further columns with one value for all rows.
    /// Forms must be those of the columns; text must be valid UTF-8 without NUL (to_valid_utf8), which PostgreSQL
    /// refuses.
    struct Constant {
        std::string column;
        Value value;
        std::int64_t step = 0;  ///< an Integer value that grows by `step` with each row
    };
    virtual void insert_rows(std::string_view table, std::span<const std::string> columns, const Batch& rows,
                             std::span<const Constant> constants = {}) = 0;

    /// Rows of `table` whose `key` is one of `keys` (text), as a batch with `columns` of `forms`; rows come in any
    /// order, missing keys are absent. Cost: an index look-up a key; one statement on PostgreSQL.
    virtual Batch rows_by_key(std::string_view table, std::string_view key, std::span<const std::string_view> keys,
                              std::span<const std::string> columns, std::span<const Form> forms) = 0;

    // Small helpers on top of query().
    std::optional<Value> value(std::string_view sql, std::span<const Cell> parameters = {});
    std::optional<std::int64_t> integer(std::string_view sql, std::span<const Cell> parameters = {});
    std::optional<std::string> text(std::string_view sql, std::span<const Cell> parameters = {});
    /// The whole result as values; for results known to be small.
    std::vector<std::vector<Value>> rows(std::string_view sql, std::span<const Cell> parameters = {},
                                         std::span<const Form> forms = {});
};

/// Parameters in a call: `params(Cell::text(id), Cell::integer(3))`.
template <class... Cells>
std::vector<Cell> params(Cells... cells) {
    return {cells...};
}

class Transaction;

/// A database of ours: one SQLite file or one PostgreSQL schema, one org.
///
/// Thread rules: any thread; `write` runs one transaction at a time within the process (SQLite has one writer anyway;
/// PostgreSQL writers of other processes run beside it).
class Database {
public:
    /// `location`: the path of a SQLite file, or postgres://… . Creates the file, brings the schema up to date (each
    /// migration step is one transaction of its own and can be re-run), and refuses a schema newer than this program.
    /// Throws Failure with a hint: not a database, no right to write, server not reachable, newer schema.
    static std::unique_ptr<Database> open(const std::string& location, World& world);
    virtual ~Database() = default;

    virtual Engine engine() const = 0;
    Dialect dialect() const { return {engine()}; }
    /// A new session for reading; sees committed data only.
    virtual std::unique_ptr<Connection> connect() = 0;
    /// Runs `work` with one consistent snapshot of the data.
    virtual void read(const std::function<void(Connection&)>& work) = 0;
    /// Runs `work` in one durable transaction and commits what it staged (see Transaction). `work` may run again from
    /// its start when the engine asks for it (busy, serialisation), so it has no side effects but on the database.
    /// An exception rolls back and passes on.
    virtual void write(const std::function<void(Transaction&)>& work) = 0;
    /// Runs DDL and other statements that can not share a transaction with data changes. One statement a call.
    virtual void define(std::string_view ddl) = 0;

    /// Bulk loading into tables nobody reads yet. On SQLite the session uses a rollback journal when no other
    /// session is open (pages are then written once), commits like any other, and the file is back in WAL mode when the
    /// returned guard dies. On PostgreSQL commits do not wait for the disk: a server that dies may undo the last of
    /// them, whole and in order.
    class LoadMode {
    public:
        virtual ~LoadMode() = default;
    };
    virtual std::unique_ptr<LoadMode> load_mode() = 0;
    /// Moves WAL pages into the file when that is due; called between units of work, never inside one.
    virtual void checkpoint() = 0;
    /// Bytes on disk, for status.
    virtual std::uint64_t bytes() = 0;
    /// "lockstep.db (SQLite)" or "postgres://host/db" without its password: for people.
    virtual std::string description() const = 0;
};

}  // namespace lockstep::store

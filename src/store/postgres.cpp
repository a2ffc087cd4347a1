// The only file that knows PostgreSQL.

#include <endian.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/log.h"
#include "store/migrations.h"

namespace lockstep::store {

namespace {

// Types by their numbers, which are the same in every server.
enum Oid_ : Oid {
    kBool = 16,
    kInt8 = 20,
    kInt2 = 21,
    kInt4 = 23,
    kText = 25,
    kOid = 26,
    kFloat4 = 700,
    kFloat8 = 701,
    kTextArray = 1009,
    kDate = 1082,
    kTimestamp = 1114,
    kTimestamptz = 1184,
    kNumeric = 1700,
    kVoid = 2278,
    kJsonb = 3802,
};

constexpr std::int64_t kEpochDays = 10957;  // 2000-01-01, from which PostgreSQL counts
constexpr std::int64_t kEpochSeconds = kEpochDays * 86400;
constexpr std::int64_t kMicros = 1'000'000;
constexpr std::size_t kPipelineRows = 500;
constexpr std::size_t kKeysMax = 10'000;
constexpr std::size_t kCopyBytes = 256u << 10;
constexpr std::size_t kIdleReadersMax = 4;
constexpr int kAttempts = 8;

struct CloseResult {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, CloseResult>;
struct CloseSession {
    void operator()(PGconn* session) const { PQfinish(session); }
};
using SessionHandle = std::unique_ptr<PGconn, CloseSession>;

// ---- Binary values -------------------------------------------------------------------------------------------------

void append_int16(std::string& out, std::int16_t value) {
    const std::uint16_t big = htobe16(static_cast<std::uint16_t>(value));
    out.append(reinterpret_cast<const char*>(&big), sizeof big);
}
void append_int32(std::string& out, std::int32_t value) {
    const std::uint32_t big = htobe32(static_cast<std::uint32_t>(value));
    out.append(reinterpret_cast<const char*>(&big), sizeof big);
}
void append_int64(std::string& out, std::int64_t value) {
    const std::uint64_t big = htobe64(static_cast<std::uint64_t>(value));
    out.append(reinterpret_cast<const char*>(&big), sizeof big);
}
std::int16_t read_int16(const char* from) {
    std::uint16_t big = 0;
    std::memcpy(&big, from, sizeof big);
    return static_cast<std::int16_t>(be16toh(big));
}
std::int32_t read_int32(const char* from) {
    std::uint32_t big = 0;
    std::memcpy(&big, from, sizeof big);
    return static_cast<std::int32_t>(be32toh(big));
}
std::int64_t read_int64(const char* from) {
    std::uint64_t big = 0;
    std::memcpy(&big, from, sizeof big);
    return static_cast<std::int64_t>(be64toh(big));
}

std::int64_t floor_seconds(std::int64_t micros) {
    return micros >= 0 ? micros / kMicros : -((-micros + kMicros - 1) / kMicros);
}

/// Appends a value without its length. Not for null.
void append_value(std::string& out, const Cell& cell) {
    switch (cell.form()) {
        case Form::Text:
            out += cell.as_text();
            break;
        case Form::Boolean:
            out += cell.as_boolean() ? '\1' : '\0';
            break;
        case Form::Integer:
            append_int64(out, cell.as_integer());
            break;
        case Form::Real:
            append_int64(out, std::bit_cast<std::int64_t>(cell.as_real()));
            break;
        case Form::Timestamp:
            append_int64(out, (cell.as_timestamp().seconds - kEpochSeconds) * kMicros);
            break;
        case Form::Date:
            append_int32(out, static_cast<std::int32_t>(cell.as_date().days - kEpochDays));
            break;
    }
}

/// Appends a value with its length before it, as COPY and arrays have it.
void append_sized(std::string& out, const Cell& cell) {
    if (cell.is_null()) {
        append_int32(out, -1);
        return;
    }
    switch (cell.form()) {
        case Form::Text:
            append_int32(out, static_cast<std::int32_t>(cell.as_text().size()));
            break;
        case Form::Boolean:
            append_int32(out, 1);
            break;
        case Form::Date:
            append_int32(out, 4);
            break;
        default:
            append_int32(out, 8);
    }
    append_value(out, cell);
}

Oid type_of(Form form) {
    switch (form) {
        case Form::Text:
            return kText;
        case Form::Boolean:
            return kBool;
        case Form::Integer:
            return kInt8;
        case Form::Real:
            return kFloat8;
        case Form::Timestamp:
            return kTimestamptz;
        case Form::Date:
            return kDate;
    }
    return kText;
}

/// Sums of bigint are numeric: base 10,000 digits, a weight and a sign.
Cell read_numeric(const char* bytes) {
    const int digits = read_int16(bytes);
    const int weight = read_int16(bytes + 2);
    const int sign = static_cast<std::uint16_t>(read_int16(bytes + 4));
    constexpr int negative = 0x4000;
    double real = 0;
    __int128 whole = 0;
    bool exact = digits <= weight + 1 && weight < 6;  // no digits after the point, and far from overflow
    for (int i = 0; i < std::max(digits, exact ? weight + 1 : 0); ++i) {
        const int digit = i < digits ? read_int16(bytes + 8 + 2 * i) : 0;
        if (exact) whole = whole * 10000 + digit;
        real += digit * std::pow(10000.0, weight - i);
    }
    if (sign == negative) {
        real = -real;
        whole = -whole;
    }
    constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
    if (exact && whole <= max && whole >= -max) return Cell::integer(static_cast<std::int64_t>(whole));
    return Cell::real(real);
}

/// A value of a result. Text points into the result.
Cell read_cell(const PGresult* result, int row, int column, std::optional<Form> form) {
    const Oid type = PQftype(result, column);
    const char* const bytes = PQgetvalue(result, row, column);
    const auto size = static_cast<std::size_t>(PQgetlength(result, row, column));
    const bool null = PQgetisnull(result, row, column) != 0;
    Cell cell;
    switch (type) {
        case kBool:
            cell = null ? Cell::null(Form::Boolean) : Cell::boolean(*bytes != 0);
            break;
        case kInt2:
            cell = null ? Cell::null(Form::Integer) : Cell::integer(read_int16(bytes));
            break;
        case kInt4:
            cell = null ? Cell::null(Form::Integer) : Cell::integer(read_int32(bytes));
            break;
        case kOid:
            cell = null ? Cell::null(Form::Integer) : Cell::integer(static_cast<std::uint32_t>(read_int32(bytes)));
            break;
        case kInt8:
            cell = null ? Cell::null(Form::Integer) : Cell::integer(read_int64(bytes));
            break;
        case kFloat4:
            cell = null ? Cell::null(Form::Real)
                        : Cell::real(std::bit_cast<float>(static_cast<std::uint32_t>(read_int32(bytes))));
            break;
        case kFloat8:
            cell = null ? Cell::null(Form::Real) : Cell::real(std::bit_cast<double>(read_int64(bytes)));
            break;
        case kNumeric:
            cell = null ? Cell::null(Form::Real) : read_numeric(bytes);
            break;
        case kTimestamp:
        case kTimestamptz:
            cell = null ? Cell::null(Form::Timestamp)
                        : Cell::timestamp({floor_seconds(read_int64(bytes)) + kEpochSeconds});
            break;
        case kDate:
            cell =
                null ? Cell::null(Form::Date) : Cell::date({static_cast<std::int32_t>(read_int32(bytes) + kEpochDays)});
            break;
        case kJsonb:
            cell = null ? Cell() : Cell::text({bytes + 1, size - 1});  // a version byte comes first
            break;
        case kVoid:
            break;
        default:
            cell = null ? Cell() : Cell::text({bytes, size});  // text and its kin, json, names, enums
    }
    return form ? coerce(cell, *form) : cell;
}

/// Parameters of one statement in the shape libpq wants them.
class Parameters {
public:
    void set(std::span<const Cell> cells) {
        bytes_.clear();
        offsets_.clear();
        for (const Cell& cell : cells) {
            offsets_.push_back(bytes_.size());
            if (!cell.is_null()) append_value(bytes_, cell);
        }
        offsets_.push_back(bytes_.size());
        types_.clear();
        values_.clear();
        lengths_.clear();
        formats_.assign(cells.size(), 1);
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const Cell& cell = cells[i];
            // A null without a form (Cell()) takes the type of its place.
            types_.push_back(cell.is_null() && cell.form() == Form::Text ? 0 : type_of(cell.form()));
            values_.push_back(cell.is_null() ? nullptr : bytes_.data() + offsets_[i]);
            lengths_.push_back(static_cast<int>(offsets_[i + 1] - offsets_[i]));
        }
    }
    int count() const { return static_cast<int>(values_.size()); }
    const Oid* types() const { return types_.data(); }
    const char* const* values() const { return values_.data(); }
    const int* lengths() const { return lengths_.data(); }
    const int* formats() const { return formats_.data(); }

private:
    std::string bytes_;
    std::vector<std::size_t> offsets_;
    std::vector<Oid> types_;
    std::vector<const char*> values_;
    std::vector<int> lengths_, formats_;
};

/// `sql` with $1, $2, … for its question marks, those in literals, names and comments left alone.
std::string numbered(std::string_view sql, std::size_t parameters) {
    std::string out;
    out.reserve(sql.size() + 16);
    std::size_t count = 0;
    for (std::size_t at = 0; at < sql.size();) {
        const char c = sql[at];
        std::size_t end = at + 1;
        if (c == '\'' || c == '"') {
            end = std::min(sql.find(c, at + 1), sql.size() - 1) + 1;
        } else if (sql.substr(at, 2) == "--") {
            end = std::min(sql.find('\n', at), sql.size());
        } else if (sql.substr(at, 2) == "/*") {
            end = std::min(sql.find("*/", at + 2), sql.size() - 2) + 2;
        } else if (c == '?') {
            out += '$' + std::to_string(++count);
            at = end;
            continue;
        }
        out += sql.substr(at, end - at);
        at = end;
    }
    if (count != parameters) {
        throw Bug("a statement has another number of parameters than values: " + std::string(sql));
    }
    return out;
}

// ---- Errors --------------------------------------------------------------------------------------------------------

/// Throws what SQLSTATE `state` means for the caller.
[[noreturn]] void fail(std::string_view state, const std::string& said, std::string_view sql) {
    using Cause = EngineFailure::Cause;
    const std::string_view cls = state.substr(0, 2);
    const std::string saved = "nothing of this step was saved";
    if (state == "40001" || state == "40P01") {
        throw EngineFailure(Cause::Again, "The database gave up a step because another program was in its way: " + said,
                            saved);
    }
    if (state == "55P03") {
        throw EngineFailure(Cause::Again, "Another program keeps rows of the database locked: " + said,
                            "stop the program that holds the lock, then try again");
    }
    if (cls == "08" || cls == "57" || state == "25P03" || state.empty()) {
        throw EngineFailure(Cause::Lost, "The connection to the database was lost: " + said,
                            "check that the server is running");
    }
    if (state == "23505" || state == "42P07" || state == "42710" || state == "42P06") {
        throw EngineFailure(Cause::Duplicate, "The database refused a row: " + said, saved);
    }
    if (cls == "23") throw EngineFailure(Cause::Other, "The database refused a row: " + said, saved);
    if (state == "42501" || cls == "28") {
        throw EngineFailure(Cause::Other, "The database user lacks a right: " + said,
                            "grant it, or use another user in the address of the database");
    }
    if (cls == "53") {
        throw EngineFailure(Cause::Other, "The database server has run out of something: " + said,
                            "free some space or memory on the server");
    }
    if (state == "54000" || state == "54011") {
        throw EngineFailure(Cause::Other, "A row is too large for PostgreSQL: " + said,
                            "hide some of the object's fields from the sync user");
    }
    if (cls == "22") {
        throw EngineFailure(Cause::Other, "The database refused a value: " + said,
                            "text must be UTF-8 without NUL, numbers must fit their columns");
    }
    if (cls == "XX" || cls == "58") {
        throw EngineFailure(Cause::Other, "The database server reports an error of its own: " + said,
                            "look into its log");
    }
    throw Bug(said + " in: " + std::string(sql));
}

std::string one_line(const char* message) {
    std::string line(trim(message != nullptr ? message : ""));
    std::ranges::replace(line, '\n', ' ');
    return line;
}

class PostgresConnection final : public Connection {
public:
    /// How the session's transactions begin.
    enum class Access { Read, Write };

    PostgresConnection(SessionHandle session, std::string schema, Access access)
        : session_(std::move(session)), schema_(std::move(schema)), access_(access) {}

    Engine engine() const override { return Engine::Postgres; }

    void run(std::string_view sql) override {
        const InCall call(busy_);
        Unit unit(*this);
        execute(std::string(sql));
        unit.done();
    }

    std::int64_t run(std::string_view sql, std::span<const Cell> parameters) override {
        const InCall call(busy_);
        Unit unit(*this);
        parameters_.set(parameters);
        const std::string text = numbered(sql, parameters.size());
        const ResultHandle result(PQexecParams(session_.get(), text.c_str(), parameters_.count(), parameters_.types(),
                                               parameters_.values(), parameters_.lengths(), parameters_.formats(), 1));
        expect(result.get(), sql);
        const std::int64_t rows = parse_int(PQcmdTuples(result.get())).value_or(0);
        unit.done();
        return rows;
    }

    std::int64_t run_each(std::string_view sql, const Batch& parameters) override {
        const InCall call(busy_);
        if (parameters.rows() == 0) return 0;
        Unit unit(*this);
        const std::string text = numbered(sql, parameters.columns());
        std::vector<Oid> types;
        for (const Form form : parameters.forms()) types.push_back(type_of(form));
        // The nameless statement lives until the next one is prepared, so nothing stays behind in the session.
        const ResultHandle prepared(
            PQprepare(session_.get(), "", text.c_str(), static_cast<int>(types.size()), types.data()));
        expect(prepared.get(), sql);
        std::int64_t changed = 0;
        for (std::size_t from = 0; from < parameters.rows(); from += kPipelineRows) {
            changed += run_pipeline(sql, parameters, from, std::min(from + kPipelineRows, parameters.rows()));
        }
        unit.done();
        return changed;
    }

    void query(std::string_view sql, std::span<const Cell> parameters, const RowSink& sink,
               std::span<const Form> forms) override {
        const InCall call(busy_);
        Unit unit(*this);
        parameters_.set(parameters);
        const std::string text = numbered(sql, parameters.size());
        if (PQsendQueryParams(session_.get(), text.c_str(), parameters_.count(), parameters_.types(),
                              parameters_.values(), parameters_.lengths(), parameters_.formats(), 1) == 0) {
            fail("08006", one_line(PQerrorMessage(session_.get())), sql);
        }
        PQsetSingleRowMode(session_.get());
        {
            const Drained drained(session_.get());
            read_rows(sql, sink, forms);
        }
        unit.done();
    }

    void insert_rows(std::string_view table, std::span<const std::string> columns, const Batch& rows,
                     std::span<const Constant> constants) override {
        check(columns.size() == rows.columns(), "insert_rows has another number of names than columns");
        if (rows.rows() == 0) return;
        const InCall call(busy_);
        Unit unit(*this);
        std::string sql = "COPY " + quoted(table) + " (";
        for (std::size_t i = 0; i < columns.size(); ++i) sql += (i == 0 ? "" : ", ") + quoted(columns[i]);
        for (const Constant& constant : constants) sql += ", " + quoted(constant.column);
        sql += ") FROM STDIN (FORMAT binary)";
        const ResultHandle begun(PQexec(session_.get(), sql.c_str()));
        if (PQresultStatus(begun.get()) != PGRES_COPY_IN) fail_with(begun.get(), sql);
        copy(rows, constants, sql);
        const ResultHandle ended(PQgetResult(session_.get()));
        const Drained drained(session_.get());
        expect(ended.get(), sql);
        unit.done();
    }

    Batch rows_by_key(std::string_view table, std::string_view key, std::span<const std::string_view> keys,
                      std::span<const std::string> columns, std::span<const Form> forms) override {
        check(columns.size() == forms.size(), "rows_by_key has another number of forms than columns");
        const InCall call(busy_);
        Unit unit(*this);
        std::string sql;
        for (const std::string& column : columns) sql += (sql.empty() ? "SELECT " : ", ") + quoted(column);
        sql += " FROM " + quoted(table) + " WHERE " + quoted(key) + " = ANY($1)";
        Batch found(std::vector<Form>(forms.begin(), forms.end()));
        found.reserve_rows(keys.size());
        for (std::size_t from = 0; from < keys.size(); from += kKeysMax) {
            select_by_keys(sql, keys.subspan(from, std::min(kKeysMax, keys.size() - from)), found);
        }
        unit.done();
        return found;
    }

    // For PostgresDatabase.

    /// Each transaction says all it needs, so a session may be anybody's before and after (a pooler's, too).
    /// `loads`: the commit does not wait for the disk. A server that dies loses the last moments as a whole, the place
    /// to go on from among them.
    void begin(bool loads = false) {
        const bool reads = access_ == Access::Read;
        execute(std::string("BEGIN ISOLATION LEVEL ") +
                (reads ? "REPEATABLE READ READ ONLY" : "READ COMMITTED READ WRITE") + "; SET LOCAL search_path TO " +
                quoted(schema_) +
                "; SET LOCAL timezone TO 'UTC'; SET LOCAL lock_timeout TO '30s'; SET LOCAL statement_timeout TO 0; "
                "SET LOCAL idle_in_transaction_session_timeout TO '300s'" +
                (loads ? "; SET LOCAL synchronous_commit TO off" : ""));
        in_unit_ = true;
    }

    void commit() {
        in_unit_ = false;
        const ResultHandle result(PQexec(session_.get(), "COMMIT"));
        if (PQstatus(session_.get()) == CONNECTION_BAD) {
            // Running the work again could do it twice: only what is saved can tell, and the next unit reads that.
            throw EngineFailure(EngineFailure::Cause::Other,
                                "The connection to the database was lost while a step was being saved",
                                "check that the server is running; whether the step was saved shows when it goes on");
        }
        expect(result.get(), "COMMIT");
        // A transaction that failed before and went on regardless ends in a ROLLBACK.
        if (std::string_view(PQcmdStatus(result.get())) != "COMMIT") {
            throw EngineFailure(EngineFailure::Cause::Other,
                                "The database has given up this step after an earlier error",
                                "nothing of this step was saved");
        }
    }

    void roll_back() noexcept {
        in_unit_ = false;
        if (alive() && PQtransactionStatus(session_.get()) != PQTRANS_IDLE) PQclear(PQexec(session_.get(), "ROLLBACK"));
    }

    bool alive() const { return session_ && PQstatus(session_.get()) == CONNECTION_OK; }

private:
    /// A transaction around a statement that stands alone.
    class Unit {
    public:
        explicit Unit(PostgresConnection& owner) : owner_(owner), ours_(!owner.in_unit_) {
            if (ours_) owner_.begin();
        }
        ~Unit() {
            if (ours_ && !done_) owner_.roll_back();
        }
        Unit(const Unit&) = delete;
        Unit& operator=(const Unit&) = delete;
        void done() {
            if (ours_) owner_.commit();
            done_ = true;
        }

    private:
        PostgresConnection& owner_;
        bool ours_;
        bool done_ = false;
    };

    /// Takes what is left of a result, so that the session can go on.
    class Drained {
    public:
        explicit Drained(PGconn* session) : session_(session) {}
        ~Drained() {
            while (PGresult* const rest = PQgetResult(session_)) {
                const bool stuck = PQresultStatus(rest) == PGRES_COPY_IN;
                PQclear(rest);
                if (stuck || PQstatus(session_) == CONNECTION_BAD) return;
            }
        }
        Drained(const Drained&) = delete;
        Drained& operator=(const Drained&) = delete;

    private:
        PGconn* session_;
    };

    void execute(const std::string& sql) {
        const ResultHandle result(PQexec(session_.get(), sql.c_str()));
        expect(result.get(), sql);
    }

    void expect(const PGresult* result, std::string_view sql) {
        const ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_SINGLE_TUPLE) {
            fail_with(result, sql);
        }
    }

    [[noreturn]] void fail_with(const PGresult* result, std::string_view sql) {
        const char* const state = result != nullptr ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
        const char* const primary = result != nullptr ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : nullptr;
        if (!alive()) fail("08006", one_line(PQerrorMessage(session_.get())), sql);
        if (state != nullptr && std::string_view(state) == "25006") {
            check(access_ == Access::Write, "a reading session was asked to write");
            fail("08006", "the server has become a read-only copy", sql);
        }
        fail(state != nullptr ? state : "XX000",
             primary != nullptr ? primary : one_line(PQerrorMessage(session_.get())), sql);
    }

    void read_rows(std::string_view sql, const RowSink& sink, std::span<const Form> forms) {
        std::vector<Cell> row;
        for (;;) {
            const ResultHandle result(PQgetResult(session_.get()));
            if (!result) return;
            expect(result.get(), sql);
            const int columns = PQnfields(result.get());
            check(forms.empty() || forms.size() == static_cast<std::size_t>(columns),
                  "a query has another number of columns than forms");
            row.resize(static_cast<std::size_t>(columns));
            for (int at = 0; at < PQntuples(result.get()); ++at) {
                for (std::size_t i = 0; i < row.size(); ++i) {
                    row[i] = read_cell(result.get(), at, static_cast<int>(i),
                                       forms.empty() ? std::nullopt : std::optional(forms[i]));
                }
                if (!sink(row)) return;
            }
        }
    }

    std::int64_t run_pipeline(std::string_view sql, const Batch& parameters, std::size_t from, std::size_t to) {
        PGconn* const session = session_.get();
        check(PQenterPipelineMode(session) == 1, "a session can not begin a pipeline");
        for (std::size_t row = from; row < to; ++row) {
            parameters_.set(parameters.row(row));
            if (PQsendQueryPrepared(session, "", parameters_.count(), parameters_.values(), parameters_.lengths(),
                                    parameters_.formats(), 1) == 0) {
                fail("08006", one_line(PQerrorMessage(session)), sql);
            }
        }
        PQpipelineSync(session);
        std::int64_t changed = 0;
        ResultHandle failed;
        // Each statement answers with a result and a null, the end of the pipeline with a result of its own.
        for (bool synced = false; !synced;) {
            ResultHandle result(PQgetResult(session));
            if (!result) {
                if (!alive()) break;
                continue;
            }
            switch (PQresultStatus(result.get())) {
                case PGRES_PIPELINE_SYNC:
                    synced = true;
                    break;
                case PGRES_PIPELINE_ABORTED:
                    break;
                case PGRES_COMMAND_OK:
                case PGRES_TUPLES_OK:
                    changed += parse_int(PQcmdTuples(result.get())).value_or(0);
                    break;
                default:
                    if (!failed) failed = std::move(result);
            }
        }
        PQexitPipelineMode(session);
        if (failed || !alive()) fail_with(failed.get(), sql);
        return changed;
    }

    void copy(const Batch& rows, std::span<const Constant> constants, std::string_view sql) {
        static constexpr char kSignature[] = "PGCOPY\n\377\r\n";
        std::string bytes(kSignature, sizeof kSignature);  // with its final NUL
        append_int32(bytes, 0);
        append_int32(bytes, 0);
        const auto fields = static_cast<std::int16_t>(rows.columns() + constants.size());
        const auto send = [&] {
            if (PQputCopyData(session_.get(), bytes.data(), static_cast<int>(bytes.size())) != 1) {
                fail("08006", one_line(PQerrorMessage(session_.get())), sql);
            }
            bytes.clear();
        };
        bytes.reserve(kCopyBytes + (kCopyBytes >> 2));
        for (std::size_t at = 0; at < rows.rows(); ++at) {
            append_int16(bytes, fields);
            for (const Cell& cell : rows.row(at)) append_sized(bytes, cell);
            for (const Constant& constant : constants) {
                const Cell& first = constant.value.cell();
                append_sized(bytes, constant.step == 0 ? first
                                                       : Cell::integer(first.as_integer() +
                                                                       constant.step * static_cast<std::int64_t>(at)));
            }
            if (bytes.size() >= kCopyBytes) send();
        }
        append_int16(bytes, -1);
        send();
        if (PQputCopyEnd(session_.get(), nullptr) != 1) {
            fail("08006", one_line(PQerrorMessage(session_.get())), sql);
        }
    }

    void select_by_keys(const std::string& sql, std::span<const std::string_view> keys, Batch& found) {
        std::string array;
        append_int32(array, 1);  // dimensions
        append_int32(array, 0);  // no nulls
        append_int32(array, static_cast<std::int32_t>(kText));
        append_int32(array, static_cast<std::int32_t>(keys.size()));
        append_int32(array, 1);  // the first index
        for (const std::string_view key : keys) {
            append_int32(array, static_cast<std::int32_t>(key.size()));
            array += key;
        }
        const Oid type = kTextArray;
        const char* const value = array.data();
        const int length = static_cast<int>(array.size());
        const int binary = 1;
        const ResultHandle result(PQexecParams(session_.get(), sql.c_str(), 1, &type, &value, &length, &binary, 1));
        expect(result.get(), sql);
        for (int at = 0; at < PQntuples(result.get()); ++at) {
            const std::span<Cell> row = found.add_row();
            for (std::size_t i = 0; i < row.size(); ++i) {
                row[i] = read_cell(result.get(), at, static_cast<int>(i), found.forms()[i]);
                if (row[i].form() == Form::Text && !row[i].is_null()) row[i] = Cell::text(found.keep(row[i].as_text()));
            }
        }
    }

    SessionHandle session_;
    std::string schema_;
    Access access_;
    Parameters parameters_;
    bool busy_ = false;
    bool in_unit_ = false;
};

/// Where the server is, from an address of ours: what libpq does not know (`schema`) is taken out.
struct Place {
    std::vector<std::pair<std::string, std::string>> options;
    std::string schema = "lockstep";
    std::string host, database;
};

Place parse_place(const std::string& url) {
    Place place;
    std::string ours = url;
    if (const std::size_t question = url.find('?'); question != std::string::npos) {
        ours = url.substr(0, question);
        std::vector<std::string> kept;
        for (const std::string& pair : split(std::string_view(url).substr(question + 1), '&')) {
            if (pair.starts_with("schema=")) {
                place.schema = to_lower(url_decode(pair.substr(7), false));
            } else if (!pair.empty()) {
                kept.push_back(pair);
            }
        }
        if (!kept.empty()) ours += "?" + join(kept, "&");
    }
    char* problem = nullptr;
    PQconninfoOption* const parsed = PQconninfoParse(ours.c_str(), &problem);
    if (parsed == nullptr) {
        const std::string said = one_line(problem);
        PQfreemem(problem);
        throw Failure("The address of the database can not be read: " + said,
                      "write it like postgres://user@host/database?schema=lockstep");
    }
    for (const PQconninfoOption* option = parsed; option->keyword != nullptr; ++option) {
        if (option->val != nullptr) place.options.emplace_back(option->keyword, option->val);
    }
    PQconninfoFree(parsed);
    const auto value = [&](std::string_view keyword) {
        const auto found = std::ranges::find(place.options, keyword, &std::pair<std::string, std::string>::first);
        return found == place.options.end() ? std::string() : found->second;
    };
    place.host = value("host").empty() || value("host").starts_with('/') ? "localhost" : value("host");
    place.database = value("dbname");
    // Defaults for what the address leaves open: find out within seconds that a server is gone, and never write to a
    // copy that is being retired.
    for (const auto& [keyword, preset] : {std::pair{"connect_timeout", "10"},
                                          {"tcp_user_timeout", "30000"},
                                          {"keepalives_idle", "30"},
                                          {"target_session_attrs", "read-write"},
                                          {"application_name", "lockstep"}}) {
        if (value(keyword).empty()) place.options.emplace_back(keyword, preset);
    }
    // Passwords and people's data do not cross a network in the clear. For a checked certificate: sslmode=verify-full.
    const bool near = place.host == "localhost" || place.host == "127.0.0.1" || place.host == "::1";
    if (!near && value("sslmode").empty()) place.options.emplace_back("sslmode", "require");
    if (place.schema.empty() || place.schema.size() > 63) {
        throw Failure("The schema in the address of the database is empty or too long",
                      "leave it out: ?schema=lockstep");
    }
    return place;
}

class PostgresDatabase final : public Database {
public:
    PostgresDatabase(const std::string& url, World& world) : place_(parse_place(url)), world_(world) { make_schema(); }

    Engine engine() const override { return Engine::Postgres; }

    std::unique_ptr<Connection> connect() override { return open_session(PostgresConnection::Access::Read); }

    void read(const std::function<void(Connection&)>& work) override {
        std::unique_ptr<PostgresConnection> session = begin_reading();
        try {
            work(*session);
            session->commit();
        } catch (...) {
            session->roll_back();
            give_back(std::move(session));
            throw;
        }
        give_back(std::move(session));
    }

    void write(const std::function<void(Transaction&)>& work) override {
        const Turn turn(writer_);
        again_and_again([&] {
            PostgresConnection& session = writing_session();
            session.begin(loads_ > 0);
            try {
                Transaction transaction(session, world_);
                transaction.start();
                work(transaction);
                transaction.flush();
                world_.crash_point("store: before commit");
                session.commit();
            } catch (...) {
                session.roll_back();
                throw;
            }
        });
        world_.crash_point("store: after commit");
    }

    void define(std::string_view ddl) override {
        const Turn turn(writer_);
        again_and_again([&] { writing_session().run(ddl, {}); });
    }

    std::unique_ptr<LoadMode> load_mode() override { return std::make_unique<Loading>(loads_); }
    void checkpoint() override {}

    std::uint64_t bytes() override {
        std::int64_t sum = 0;
        read([&](Connection& session) {
            sum = session
                      .integer(
                          "SELECT COALESCE(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN "
                          "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relkind = 'r'",
                          params(Cell::text(place_.schema)))
                      .value_or(0);
        });
        return static_cast<std::uint64_t>(sum);
    }

    std::string description() const override { return "postgres://" + place_.host + "/" + place_.database; }

private:
    std::unique_ptr<PostgresConnection> open_session(PostgresConnection::Access access) {
        std::vector<const char*> keywords;
        std::vector<const char*> values;
        for (const auto& [keyword, value] : place_.options) {
            // A reader is content with a copy.
            if (access == PostgresConnection::Access::Read && keyword == "target_session_attrs") continue;
            keywords.push_back(keyword.c_str());
            values.push_back(value.c_str());
        }
        keywords.push_back("client_encoding");
        values.push_back("UTF8");
        keywords.push_back(nullptr);
        values.push_back(nullptr);
        SessionHandle session(PQconnectdbParams(keywords.data(), values.data(), 0));
        if (PQstatus(session.get()) != CONNECTION_OK) {
            throw EngineFailure(
                EngineFailure::Cause::Lost,
                "The database " + description() + " can not be reached: " + one_line(PQerrorMessage(session.get())),
                "check that the server runs, and its address, user and password");
        }
        // Notices ("already exists, skipping") are of no use to our readers.
        PQsetNoticeProcessor(
            session.get(), [](void*, const char*) {}, nullptr);
        return std::make_unique<PostgresConnection>(std::move(session), place_.schema, access);
    }

    PostgresConnection& writing_session() {
        if (!writer_.session || !writer_.session->alive()) {
            writer_.session.reset();
            writer_.session = open_session(PostgresConnection::Access::Write);
        }
        return *writer_.session;
    }

    /// Runs a whole unit of work again when the server gave it up or went away. Its waits grow, and are not in step
    /// with those of others.
    template <class Work>
    void again_and_again(const Work& work) {
        for (int attempt = 1;; ++attempt) {
            try {
                work();
                return;
            } catch (const EngineFailure& failure) {
                const bool lost = failure.cause == EngineFailure::Cause::Lost;
                if ((!lost && failure.cause != EngineFailure::Cause::Again) || attempt == kAttempts) throw;
                if (lost) writer_.session.reset();
                log::info("a database step is run again", {{"attempt", attempt}, {"error", failure.what()}});
            }
            const std::uint64_t longest = 10ULL << attempt;
            world_.clock.wait_ms(static_cast<std::int64_t>(longest / 2 + world_.random.below(longest)));
        }
    }

    void make_schema() {
        const Turn turn(writer_);
        writer_.session = open_session(PostgresConnection::Access::Write);  // once: a wrong address is told at once
        again_and_again([&] {
            PostgresConnection& session = writing_session();
            const bool there =
                session.integer("SELECT 1 FROM pg_namespace WHERE nspname = ?", params(Cell::text(place_.schema)))
                    .has_value();
            if (there) return;
            try {
                session.run("CREATE SCHEMA IF NOT EXISTS " + quoted(place_.schema));
            } catch (const EngineFailure& failure) {
                if (failure.cause != EngineFailure::Cause::Duplicate) throw;  // made by another process meanwhile
            }
        });
    }

    /// A reading session whose transaction has begun; idle ones may have died with the server.
    std::unique_ptr<PostgresConnection> begin_reading() {
        for (;;) {
            std::unique_ptr<PostgresConnection> session;
            {
                const std::lock_guard lock(readers_.mutex);
                if (!readers_.idle.empty()) {
                    session = std::move(readers_.idle.back());
                    readers_.idle.pop_back();
                }
            }
            const bool reused = session != nullptr;
            if (!reused) session = open_session(PostgresConnection::Access::Read);
            try {
                session->begin();
                return session;
            } catch (const EngineFailure& failure) {
                if (!reused || failure.cause != EngineFailure::Cause::Lost) throw;
            }
        }
    }

    void give_back(std::unique_ptr<PostgresConnection> session) {
        const std::lock_guard lock(readers_.mutex);
        if (session->alive() && readers_.idle.size() < kIdleReadersMax) readers_.idle.push_back(std::move(session));
    }

    class Loading final : public LoadMode {
    public:
        explicit Loading(std::atomic<int>& loads) : loads_(loads) { ++loads_; }
        ~Loading() override { --loads_; }

    private:
        std::atomic<int>& loads_;
    };

    Place place_;
    World& world_;
    std::atomic<int> loads_ = 0;
    Writer<PostgresConnection> writer_;
    Readers<PostgresConnection> readers_;
};

}  // namespace

std::unique_ptr<Database> open_postgres(const std::string& url, World& world) {
    return std::make_unique<PostgresDatabase>(url, world);
}

}  // namespace lockstep::store

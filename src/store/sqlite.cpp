// The only file that knows SQLite.

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/log.h"

namespace lockstep::store {

namespace {

namespace fs = std::filesystem;

// A random update dirties a whole page, twice in WAL mode, and a load writes fewer, larger pages faster: 16 KB is
// within a few per cent of the best of both (spec/physical.md, rows 15 and 17).
constexpr int kPageBytes = 16384;
// In pages: a size in KB would be reckoned with the page size before the file is read. Larger ones load more slowly.
constexpr int kWriterCachePages = 1024;
// While an index is built, its sorter has as much: lists that fit into the processor's cache are sorted nearly twice as
// fast as lists of the writer's size, and merging more of them costs little.
constexpr int kSorterCachePages = 256;
constexpr int kReaderCachePages = 512;
constexpr std::int64_t kBusyMs = 10'000;
constexpr std::size_t kStatementsMax = 64;
constexpr std::size_t kIdleReadersMax = 4;
constexpr std::int64_t kCheckpointBytes = 8 << 20;         // checkpoint() does nothing below
constexpr std::int64_t kForcedCheckpointBytes = 96 << 20;  // write() moves pages itself when nobody called checkpoint()
constexpr std::int64_t kWalBytesMax = 256 << 20;           // the WAL is cut back above
constexpr std::int64_t kDaySeconds = 86400;
// Columns of the table over a batch; more than a mirror table ever has.
constexpr int kBatchColumns = 1600;

std::int64_t floor_days(std::int64_t seconds) {
    return seconds >= 0 ? seconds / kDaySeconds : -((-seconds + kDaySeconds - 1) / kDaySeconds);
}

struct CloseStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using StatementHandle = std::unique_ptr<sqlite3_stmt, CloseStatement>;

/// Throws what `code` means for the caller. `db` may be null.
[[noreturn]] void fail(sqlite3* db, int code, const std::string& file, std::string_view sql) {
    using Cause = EngineFailure::Cause;
    const std::string said = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    const std::string name = fs::path(file).filename().string();
    switch (code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw EngineFailure(Cause::Again, "Another program has kept " + name + " locked for more than 10 seconds",
                                "close the program that writes to it, then try again");
        case SQLITE_FULL:
            throw EngineFailure(Cause::Other, "The disk that holds " + name + " is full",
                                "free some space; nothing of this step was saved");
        case SQLITE_IOERR:
            throw EngineFailure(Cause::Other, "The disk that holds " + name + " reports an error: " + said,
                                "check the disk; nothing of this step was saved");
        case SQLITE_CORRUPT:
            throw EngineFailure(Cause::Other, "The file " + name + " is damaged: " + said, "restore it from a backup");
        case SQLITE_NOTADB:
            throw EngineFailure(Cause::Other, file + " is not a database",
                                "give the path of a Lockstep database, or of a file that does not exist yet");
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            throw EngineFailure(Cause::Other, "No right to write to " + file + " (" + said + ")",
                                "change the owner or the rights of the file and its folder");
        case SQLITE_CANTOPEN:
            throw EngineFailure(Cause::Other, file + " can not be opened as a database",
                                "check that its folder exists and that you may write to it");
        case SQLITE_NOMEM:
            throw std::bad_alloc();
        case SQLITE_CONSTRAINT: {
            const bool duplicate = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                                   code == SQLITE_CONSTRAINT_ROWID;
            throw EngineFailure(duplicate ? Cause::Duplicate : Cause::Other, "The database refused a row: " + said,
                                "nothing of this step was saved; if it happens again, report it");
        }
        case SQLITE_TOOBIG:
            throw EngineFailure(Cause::Other, "A value is too large for the database", "shorten it");
        default:
            throw Bug(said + " in: " + std::string(sql));
    }
}

/// The form a declared column type stands for; nothing when there is none (an expression).
std::optional<Form> form_of_type(const char* type) {
    if (type == nullptr) return std::nullopt;
    const std::string_view name(type);
    const auto is = [&](std::string_view prefix) { return starts_with_ignoring_case(name, prefix); };
    if (is("TEXT") || is("VARCHAR") || is("CHAR") || is("CLOB")) return Form::Text;
    if (is("TIMESTAMP") || is("DATETIME")) return Form::Timestamp;
    if (is("BOOL")) return Form::Boolean;
    if (is("INT") || is("BIGINT") || is("SMALLINT")) return Form::Integer;
    if (is("DATE")) return Form::Date;
    if (is("REAL") || is("DOUBLE") || is("FLOAT")) return Form::Real;
    return std::nullopt;
}

Cell read_cell(sqlite3_stmt* statement, int column, std::optional<Form> form) {
    const int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) return Cell::null(form.value_or(Form::Text));
    if (!form) form = type == SQLITE_INTEGER ? Form::Integer : type == SQLITE_FLOAT ? Form::Real : Form::Text;
    switch (*form) {
        case Form::Text: {
            const auto* const text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
            return Cell::text({text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column))});
        }
        case Form::Boolean:
            return Cell::boolean(sqlite3_column_int64(statement, column) != 0);
        case Form::Integer:
            return Cell::integer(sqlite3_column_int64(statement, column));
        case Form::Real:
            return Cell::real(sqlite3_column_double(statement, column));
        case Form::Timestamp:
            return Cell::timestamp({sqlite3_column_int64(statement, column)});
        case Form::Date:
            return Cell::date({static_cast<std::int32_t>(floor_days(sqlite3_column_int64(statement, column)))});
    }
    return Cell::null(*form);
}

/// What SQLite keeps for a cell that is not text: the one place that says how booleans, stamps and days are stored.
std::int64_t stored_integer(const Cell& cell) {
    switch (cell.form()) {
        case Form::Boolean:
            return cell.as_boolean() ? 1 : 0;
        case Form::Timestamp:
            return cell.as_timestamp().seconds;
        case Form::Date:
            return std::int64_t{cell.as_date().days} * kDaySeconds;
        default:
            return cell.as_integer();
    }
}

class SqliteConnection final : public Connection {
public:
    struct Options {
        bool writes = false;
        int cache_pages = kReaderCachePages;
    };

    SqliteConnection(std::string file, Options options, Clock& clock, std::atomic<int>& sessions)
        : file_(std::move(file)), writes_(options.writes), clock_(clock), sessions_(sessions) {
        ++sessions_;
        const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                          (options.writes ? SQLITE_OPEN_CREATE : 0);
        const int code = sqlite3_open_v2(file_.c_str(), &db_, flags, nullptr);
        try {
            if (code != SQLITE_OK) fail(db_, code, file_, "open");
            sqlite3_busy_handler(db_, &SqliteConnection::on_busy, this);
            // A misspelt "name" must be an error, never a text.
            sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
            sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
            sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
            execute("PRAGMA foreign_keys = OFF; PRAGMA cache_size = " + std::to_string(options.cache_pages));
            if (options.writes) prepare_for_writing();
            if (!options.writes) execute("PRAGMA query_only = ON");
        } catch (...) {
            close();
            throw;
        }
    }
    ~SqliteConnection() override { close(); }
    SqliteConnection(const SqliteConnection&) = delete;
    SqliteConnection& operator=(const SqliteConnection&) = delete;

    Engine engine() const override { return Engine::Sqlite; }

    void run(std::string_view sql) override {
        const InCall call(busy_);
        execute(sql);
    }

    std::int64_t run(std::string_view sql, std::span<const Cell> parameters) override {
        const InCall call(busy_);
        const sqlite3_int64 before = sqlite3_total_changes64(db_);
        const Use statement(*this, sql);
        bind_all(statement, parameters, sql);
        while (step(statement, sql)) {
        }
        return sqlite3_total_changes64(db_) - before;
    }

    std::int64_t run_each(std::string_view sql, const Batch& parameters) override {
        const InCall call(busy_);
        const sqlite3_int64 before = sqlite3_total_changes64(db_);
        const Use statement(*this, sql);
        for (std::size_t row = 0; row < parameters.rows(); ++row) {
            bind_all(statement, parameters.row(row), sql);
            while (step(statement, sql)) {
            }
            sqlite3_reset(statement);
        }
        return sqlite3_total_changes64(db_) - before;
    }

    void query(std::string_view sql, std::span<const Cell> parameters, const RowSink& sink,
               std::span<const Form> forms) override {
        const InCall call(busy_);
        const Use statement(*this, sql);
        bind_all(statement, parameters, sql);
        if (!step(statement, sql)) return;
        // Only now: the first step prepares the statement anew when the schema has changed since.
        const int columns = sqlite3_column_count(statement);
        check(forms.empty() || forms.size() == static_cast<std::size_t>(columns),
              "a query has another number of columns than forms");
        std::vector<std::optional<Form>> kinds(static_cast<std::size_t>(columns));
        for (int i = 0; i < columns; ++i) {
            const auto at = static_cast<std::size_t>(i);
            kinds[at] = forms.empty() ? form_of_type(sqlite3_column_decltype(statement, i)) : forms[at];
        }
        std::vector<Cell> row(kinds.size());
        do {
            for (std::size_t i = 0; i < row.size(); ++i) row[i] = read_cell(statement, static_cast<int>(i), kinds[i]);
            if (!sink(row)) return;
        } while (step(statement, sql));
    }

    void insert_rows(std::string_view table, std::span<const std::string> columns, const Batch& rows,
                     std::span<const Constant> constants) override {
        check(columns.size() == rows.columns(), "insert_rows has another number of names than columns");
        check(columns.size() <= static_cast<std::size_t>(kBatchColumns), "a batch has too many columns");
        if (rows.rows() == 0) return;
        const InCall call(busy_);
        std::string names;
        std::string values;
        const auto add = [&](std::string_view name, const std::string& value) {
            const char* const before = names.empty() ? "" : ", ";
            names += before + quoted(name);
            values += before + value;
        };
        for (std::size_t i = 0; i < columns.size(); ++i) add(columns[i], "c" + std::to_string(i));
        std::vector<Cell> parameters;
        for (const Constant& constant : constants) {
            parameters.push_back(constant.value.cell());
            const std::string parameter = "?" + std::to_string(parameters.size());
            if (constant.step == 0) {
                add(constant.column, parameter);
            } else {
                add(constant.column, parameter + " + rowid * " + std::to_string(constant.step));
            }
        }
        // A row that is refused ends the whole unit of work anyway. Undoing this statement alone would need a copy of
        // each page it changes, in a file.
        const std::string sql =
            "INSERT OR ROLLBACK INTO " + quoted(table) + " (" + names + ") SELECT " + values + " FROM ls_batch";
        source_ = &rows;
        const Use statement(*this, sql);
        bind_all(statement, parameters, sql);
        while (step(statement, sql)) {
        }
        source_ = nullptr;
    }

    Batch rows_by_key(std::string_view table, std::string_view key, std::span<const std::string_view> keys,
                      std::span<const std::string> columns, std::span<const Form> forms) override {
        check(columns.size() == forms.size(), "rows_by_key has another number of forms than columns");
        const InCall call(busy_);
        std::string sql;
        for (const std::string& column : columns) sql += (sql.empty() ? "SELECT " : ", ") + quoted(column);
        sql += " FROM " + quoted(table) + " WHERE " + quoted(key) + " = ?";
        Batch found(std::vector<Form>(forms.begin(), forms.end()));
        found.reserve_rows(keys.size());
        const Use statement(*this, sql);
        for (const std::string_view wanted : keys) {
            bind_all(statement, params(Cell::text(wanted)), sql);
            while (step(statement, sql)) {
                const std::span<Cell> row = found.add_row();
                for (std::size_t i = 0; i < row.size(); ++i) {
                    row[i] = read_cell(statement, static_cast<int>(i), forms[i]);
                    if (forms[i] == Form::Text && !row[i].is_null()) row[i] = Cell::text(found.keep(row[i].as_text()));
                }
            }
            sqlite3_reset(statement);
        }
        return found;
    }

    // For SqliteDatabase.

    void begin(const char* how) {
        execute(how);
        in_unit_ = true;
    }
    void commit() {
        if (sqlite3_get_autocommit(db_) != 0) abandoned();
        // A failed COMMIT (disk full, busy) leaves the transaction open for roll_back.
        execute("COMMIT");
        in_unit_ = false;
    }
    void roll_back() noexcept {
        in_unit_ = false;
        if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
    }

    void set_cache(int pages) { execute("PRAGMA cache_size = " + std::to_string(pages)); }

    /// Runs statements and forgets their rows.
    void execute(std::string_view sql) {
        while (!sql.empty()) {
            const char* rest = nullptr;
            const StatementHandle statement = prepare(sql, 0, &rest);
            if (statement) {
                while (step(statement.get(), sql)) {
                }
            }
            sql.remove_prefix(static_cast<std::size_t>(rest - sql.data()));
        }
    }

    /// Changes the journal, waiting for others at most `wait_ms`; returns the mode the file has then, empty on error.
    std::string set_journal(const char* mode, std::int64_t wait_ms) {
        busy_ms_ = wait_ms;
        std::string now;
        const std::string sql = std::string("PRAGMA journal_mode = ") + mode;
        const StatementHandle statement = prepare(sql, 0, nullptr);
        const int code = sqlite3_step(statement.get());
        if (code == SQLITE_ROW) now = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
        busy_ms_ = kBusyMs;
        return now;
    }

    struct WalState {
        std::int64_t bytes = 0, moved_bytes = 0;
    };
    /// Nothing: another session was in the way.
    std::optional<WalState> checkpoint(int mode) {
        int pages = 0;
        int moved = 0;
        const int code = sqlite3_wal_checkpoint_v2(db_, "main", mode, &pages, &moved);
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED) return std::nullopt;
        if (code != SQLITE_OK) fail(db_, code, file_, "checkpoint");
        return WalState{std::int64_t{pages} * kPageBytes, std::int64_t{moved} * kPageBytes};
    }

    /// Bytes in the WAL after this session's last commit.
    std::int64_t wal_bytes() const { return wal_bytes_.load(); }
    void forget_wal() { wal_bytes_ = 0; }

private:
    struct Cached {
        std::string sql;
        StatementHandle statement;
    };

    /// A statement from the cache, reset when done.
    class Use {
    public:
        Use(SqliteConnection& owner, std::string_view sql) : statement_(owner.cached(sql)) {}
        ~Use() {
            sqlite3_reset(statement_);
            sqlite3_clear_bindings(statement_);
        }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        operator sqlite3_stmt*() const { return statement_; }  // NOLINT(google-explicit-constructor)

    private:
        sqlite3_stmt* statement_;
    };

    StatementHandle prepare(std::string_view sql, unsigned flags, const char** rest) {
        sqlite3_stmt* statement = nullptr;
        const int code = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), flags, &statement, rest);
        if (code != SQLITE_OK) fail(db_, code, file_, sql);
        return StatementHandle(statement);
    }

    sqlite3_stmt* cached(std::string_view sql) {
        if (const auto found = index_.find(sql); found != index_.end()) {
            cache_.splice(cache_.begin(), cache_, found->second);
            return cache_.front().statement.get();
        }
        StatementHandle statement = prepare(sql, SQLITE_PREPARE_PERSISTENT, nullptr);
        check(statement != nullptr, "an SQL statement is empty");
        cache_.push_front({std::string(sql), std::move(statement)});
        index_.emplace(cache_.front().sql, cache_.begin());
        if (cache_.size() > kStatementsMax) {
            index_.erase(cache_.back().sql);
            cache_.pop_back();
        }
        return cache_.front().statement.get();
    }

    /// True: there is a row.
    bool step(sqlite3_stmt* statement, std::string_view sql) {
        if (in_unit_ && sqlite3_get_autocommit(db_) != 0) abandoned();
        const int code = sqlite3_step(statement);
        if (code == SQLITE_ROW) return true;
        if (code != SQLITE_DONE) {
            source_ = nullptr;
            check(writes_ || (code & 0xff) != SQLITE_READONLY, "a reading session was asked to write");
            fail(db_, code, file_, sql);
        }
        return false;
    }

    // SQLite rolls a transaction back by itself when the disk fails. What came after in the same unit of work would be
    // saved without it.
    [[noreturn]] void abandoned() const {
        throw EngineFailure(EngineFailure::Cause::Other, "The database has given up this step after an earlier error",
                            "nothing of this step was saved");
    }

    void bind_all(sqlite3_stmt* statement, std::span<const Cell> cells, std::string_view sql) {
        if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != cells.size()) {
            throw Bug("a statement has another number of parameters than values: " + std::string(sql));
        }
        for (std::size_t i = 0; i < cells.size(); ++i) bind(statement, static_cast<int>(i) + 1, cells[i]);
    }

    static void bind(sqlite3_stmt* statement, int place, const Cell& cell) {
        if (cell.is_null()) {
            sqlite3_bind_null(statement, place);
        } else if (cell.form() == Form::Text) {
            const std::string_view text = cell.as_text();
            sqlite3_bind_text(statement, place, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
        } else if (cell.form() == Form::Real) {
            sqlite3_bind_double(statement, place, cell.as_real());
        } else {
            sqlite3_bind_int64(statement, place, stored_integer(cell));
        }
    }

    void prepare_for_writing() {
        // Only an empty file takes the page size.
        execute("PRAGMA page_size = " + std::to_string(kPageBytes));
        if (const std::string mode = set_journal("WAL", kBusyMs); mode != "wal") {
            // An empty answer is an error: read something to learn which.
            execute("SELECT count(*) FROM sqlite_master");
            throw EngineFailure(EngineFailure::Cause::Other, file_ + " can not be switched to write-ahead logging",
                                "put it on a local disk, and close other programs that use it");
        }
        // Deleted values of people are overwritten where that costs no extra writes.
        execute("PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST; PRAGMA analysis_limit = 1000");
        sqlite3_wal_hook(db_, &SqliteConnection::on_wal_commit, this);
        make_batch_table();
    }

    void close() {
        if (db_ == nullptr) return;
        index_.clear();
        cache_.clear();
        sqlite3_close(db_);
        db_ = nullptr;
        --sessions_;
    }

    // Somebody else has the lock. Waits by our clock, so that a test need not.
    static int on_busy(void* owner, int count) {
        auto& self = *static_cast<SqliteConnection*>(owner);
        static constexpr std::array<std::int64_t, 8> kWaits{1, 2, 5, 10, 15, 20, 25, 50};
        const std::int64_t now = self.clock_.mono_ms();
        if (count == 0) self.busy_since_ms_ = now;
        const std::int64_t wait = kWaits[std::min<std::size_t>(static_cast<std::size_t>(count), kWaits.size() - 1)];
        if (now - self.busy_since_ms_ + wait > self.busy_ms_) return 0;
        self.clock_.wait_ms(wait);
        return 1;
    }

    // Takes the place of the automatic checkpoint, which would run inside somebody's commit.
    static int on_wal_commit(void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteConnection*>(self)->wal_bytes_ = std::int64_t{pages} * kPageBytes;
        return SQLITE_OK;
    }

    // The table `ls_batch`: the rows of *source_, columns c0, c1, … It exists only in this session, never in the file.
    // One INSERT … SELECT from it costs no binding and one step for all rows.
    struct BatchTable {
        sqlite3_vtab base;
        SqliteConnection* owner;
    };
    struct BatchCursor {
        sqlite3_vtab_cursor base;
        const Batch* rows;
        std::size_t at;
        const Cell* cells;
    };
    void make_batch_table();

    std::string file_;
    bool writes_;
    Clock& clock_;
    std::atomic<int>& sessions_;
    std::int64_t busy_ms_ = kBusyMs;
    std::int64_t busy_since_ms_ = 0;
    sqlite3* db_ = nullptr;
    std::list<Cached> cache_;  // most recently used first
    std::unordered_map<std::string_view, std::list<Cached>::iterator> index_;
    const Batch* source_ = nullptr;
    std::atomic<std::int64_t> wal_bytes_ = 0;
    bool busy_ = false;
    bool in_unit_ = false;
};

void SqliteConnection::make_batch_table() {
    static const sqlite3_module kModule = [] {
        sqlite3_module module{};
        module.xConnect = [](sqlite3* db, void* owner, int, const char* const*, sqlite3_vtab** table, char**) {
            std::string sql;
            for (int i = 0; i < kBatchColumns; ++i) sql += (i == 0 ? "CREATE TABLE x(c" : ",c") + std::to_string(i);
            const int code = sqlite3_declare_vtab(db, (sql + ")").c_str());
            if (code != SQLITE_OK) return code;
            auto* const made = new BatchTable{{}, static_cast<SqliteConnection*>(owner)};
            *table = &made->base;
            return SQLITE_OK;
        };
        module.xDisconnect = [](sqlite3_vtab* table) {
            delete reinterpret_cast<BatchTable*>(table);
            return SQLITE_OK;
        };
        module.xBestIndex = [](sqlite3_vtab*, sqlite3_index_info*) { return SQLITE_OK; };
        module.xOpen = [](sqlite3_vtab*, sqlite3_vtab_cursor** cursor) {
            *cursor = &(new BatchCursor{})->base;
            return SQLITE_OK;
        };
        module.xClose = [](sqlite3_vtab_cursor* cursor) {
            delete reinterpret_cast<BatchCursor*>(cursor);
            return SQLITE_OK;
        };
        module.xFilter = [](sqlite3_vtab_cursor* base, int, const char*, int, sqlite3_value**) {
            auto* const cursor = reinterpret_cast<BatchCursor*>(base);
            cursor->rows = reinterpret_cast<BatchTable*>(base->pVtab)->owner->source_;
            if (cursor->rows == nullptr) return SQLITE_ERROR;
            cursor->at = 0;
            cursor->cells = cursor->rows->rows() > 0 ? cursor->rows->row(0).data() : nullptr;
            return SQLITE_OK;
        };
        module.xNext = [](sqlite3_vtab_cursor* base) {
            auto* const cursor = reinterpret_cast<BatchCursor*>(base);
            ++cursor->at;
            cursor->cells += cursor->rows->columns();
            return SQLITE_OK;
        };
        module.xEof = [](sqlite3_vtab_cursor* base) {
            const auto* const cursor = reinterpret_cast<BatchCursor*>(base);
            return cursor->at < cursor->rows->rows() ? 0 : 1;
        };
        module.xColumn = [](sqlite3_vtab_cursor* base, sqlite3_context* context, int column) {
            const auto* const cursor = reinterpret_cast<BatchCursor*>(base);
            if (static_cast<std::size_t>(column) >= cursor->rows->columns()) return SQLITE_RANGE;
            const Cell& cell = cursor->cells[column];
            if (cell.is_null()) {
                sqlite3_result_null(context);
            } else if (cell.form() == Form::Text) {
                const std::string_view text = cell.as_text();
                sqlite3_result_text(context, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
            } else if (cell.form() == Form::Real) {
                sqlite3_result_double(context, cell.as_real());
            } else {
                sqlite3_result_int64(context, stored_integer(cell));
            }
            return SQLITE_OK;
        };
        module.xRowid = [](sqlite3_vtab_cursor* base, sqlite3_int64* row) {
            *row = static_cast<sqlite3_int64>(reinterpret_cast<const BatchCursor*>(base)->at);
            return SQLITE_OK;
        };
        return module;
    }();
    const int code = sqlite3_create_module_v2(db_, "ls_batch", &kModule, this, nullptr);
    if (code != SQLITE_OK) fail(db_, code, file_, "ls_batch");
}

class SqliteDatabase final : public Database {
public:
    SqliteDatabase(std::string file, World& world) : file_(std::move(file)), world_(world) {
        if (!create_file()) refuse_foreign_file();
        writer_.session = std::make_unique<SqliteConnection>(
            file_, SqliteConnection::Options{.writes = true, .cache_pages = kWriterCachePages}, world_.clock,
            sessions_);
    }
    ~SqliteDatabase() override {
        checkpointer_.session.reset();
        readers_.idle.clear();
        writer_.session.reset();
    }

    Engine engine() const override { return Engine::Sqlite; }

    std::unique_ptr<Connection> connect() override { return open_reader(); }

    void read(const std::function<void(Connection&)>& work) override {
        std::unique_ptr<SqliteConnection> session = take_reader();
        session->begin("BEGIN");
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
        SqliteConnection& session = *writer_.session;
        session.begin("BEGIN IMMEDIATE");
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
        if (session.wal_bytes() > kForcedCheckpointBytes) move_wal(session);
        world_.crash_point("store: after commit");
    }

    void define(std::string_view ddl) override {
        const Turn turn(writer_);
        const bool sorts =
            starts_with_ignoring_case(ddl, "CREATE INDEX") || starts_with_ignoring_case(ddl, "CREATE UNIQUE INDEX");
        if (!sorts) {
            writer_.session->run(ddl, {});
            return;
        }
        writer_.session->set_cache(kSorterCachePages);
        try {
            writer_.session->run(ddl, {});
        } catch (...) {
            writer_.session->set_cache(kWriterCachePages);
            throw;
        }
        writer_.session->set_cache(kWriterCachePages);
    }

    std::unique_ptr<LoadMode> load_mode() override {
        const Turn turn(writer_);
        if (loads_++ == 0) {
            {
                const std::lock_guard lock(checkpointer_.mutex);
                checkpointer_.session.reset();
            }
            {
                const std::lock_guard lock(readers_.mutex);
                readers_.idle.clear();
            }
            // Leaving WAL mode needs the file for ourselves. Whoever else has it open (another program, too) keeps it
            // in WAL mode, and the load is merely slower.
            if (sessions_ == 1 && writer_.session->set_journal("TRUNCATE", 0) == "truncate") {
                writer_.session->forget_wal();
            }
        }
        return std::make_unique<Loading>(*this);
    }

    void checkpoint() override {
        const std::int64_t bytes = writer_.session->wal_bytes();
        if (bytes < kCheckpointBytes) return;
        {
            const std::lock_guard lock(checkpointer_.mutex);
            if (loads_ > 0) return;
            if (!checkpointer_.session) {
                checkpointer_.session = std::make_unique<SqliteConnection>(
                    file_, SqliteConnection::Options{.writes = true, .cache_pages = kReaderCachePages}, world_.clock,
                    sessions_);
            }
            move_wal(*checkpointer_.session);
        }
        if (bytes > kWalBytesMax) {
            // Readers may have kept the WAL from starting over. Cutting it waits for writers and readers.
            const Turn turn(writer_);
            if (writer_.session->checkpoint(SQLITE_CHECKPOINT_TRUNCATE)) writer_.session->forget_wal();
        }
    }

    std::uint64_t bytes() override {
        std::uint64_t sum = 0;
        for (const char* const suffix : {"", "-wal", "-journal"}) {
            std::error_code missing;
            const std::uintmax_t size = fs::file_size(file_ + suffix, missing);
            if (!missing) sum += size;
        }
        return sum;
    }

    std::string description() const override { return fs::path(file_).filename().string() + " (SQLite)"; }

private:
    struct Checkpointer {
        std::mutex mutex;
        std::unique_ptr<SqliteConnection> session;
    };

    class Loading final : public LoadMode {
    public:
        explicit Loading(SqliteDatabase& db) : db_(db) {}
        ~Loading() override { db_.end_load(); }

    private:
        SqliteDatabase& db_;
    };

    void end_load() noexcept {
        try {
            const Turn turn(writer_);
            if (--loads_ > 0) return;
            if (writer_.session->set_journal("WAL", kBusyMs) != "wal") {
                log::warn("the database stays in rollback mode until it is opened again", {{"file", file_}});
            }
        } catch (const std::exception& error) {
            log::warn("leaving the load mode failed", {{"error", error.what()}});
        }
    }

    /// Our file holds data of people, so it is made for its owner only; SQLite gives its companions the same rights.
    /// False: there is one.
    bool create_file() const {
        if (fs::is_directory(file_)) {
            throw Failure(file_ + " is a folder",
                          "give the path of a file in it: " + (fs::path(file_) / "lockstep.db").string());
        }
        const int handle = ::open(file_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (handle >= 0) {
            ::close(handle);
            return true;
        }
        // A file that exists is left to SQLite: closing a handle of ours would drop the locks of its other sessions.
        if (errno == EEXIST) return false;
        const std::string folder = fs::absolute(file_).parent_path().string();
        if (errno == ENOENT) {
            throw Failure("The folder " + folder + " does not exist", "create it: mkdir -p " + folder);
        }
        throw Failure("No right to create a file in " + folder + " (" + std::strerror(errno) + ")",
                      "choose another place, or change the rights of the folder");
    }

    void refuse_foreign_file() {
        const std::unique_ptr<SqliteConnection> session = open_reader();
        const std::int64_t tables =
            session->integer("SELECT count(*) FROM sqlite_master WHERE type = 'table'").value_or(0);
        const std::int64_t ours =
            session->integer("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'").value_or(0);
        if (tables > 0 && ours == 0) {
            throw Failure(file_ + " is the database of another program",
                          "give the path of a Lockstep database, or of a file that does not exist yet");
        }
    }

    std::unique_ptr<SqliteConnection> open_reader() {
        return std::make_unique<SqliteConnection>(file_, SqliteConnection::Options{}, world_.clock, sessions_);
    }

    std::unique_ptr<SqliteConnection> take_reader() {
        {
            const std::lock_guard lock(readers_.mutex);
            if (!readers_.idle.empty()) {
                std::unique_ptr<SqliteConnection> session = std::move(readers_.idle.back());
                readers_.idle.pop_back();
                return session;
            }
        }
        return open_reader();
    }

    void give_back(std::unique_ptr<SqliteConnection> session) {
        const std::lock_guard lock(readers_.mutex);
        if (loads_ == 0 && readers_.idle.size() < kIdleReadersMax) readers_.idle.push_back(std::move(session));
    }

    void move_wal(SqliteConnection& session) {
        const std::optional<SqliteConnection::WalState> state = session.checkpoint(SQLITE_CHECKPOINT_PASSIVE);
        // The next commit starts the WAL over.
        if (state && state->bytes == state->moved_bytes) writer_.session->forget_wal();
    }

    std::string file_;
    World& world_;
    std::atomic<int> sessions_ = 0;
    std::atomic<int> loads_ = 0;
    Writer<SqliteConnection> writer_;
    Checkpointer checkpointer_;
    Readers<SqliteConnection> readers_;
};

}  // namespace

std::unique_ptr<Database> open_sqlite(const std::string& path, World& world) {
    if (path.empty() || path == ":memory:") {
        throw Failure("A database of Lockstep is a file", "give a path: lockstep.db");
    }
    return std::make_unique<SqliteDatabase>(path, world);
}

}  // namespace lockstep::store

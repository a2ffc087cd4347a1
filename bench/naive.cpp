#include "bench/naive.h"

#include <libpq-fe.h>
#include <sqlite3.h>

#include <fstream>
#include <memory>
#include <stdexcept>

#include "base/csv.h"
#include "base/text.h"
#include "bench/program.h"

namespace lockstep::bench {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kCommitRows = 50'000;
constexpr std::size_t kStridesAtOnce = 32;

/// Reads the recorded rows in pieces of whole rows, into one buffer.
class Pieces {
public:
    explicit Pieces(const Recorded& recorded) : recorded_(recorded), file_(recorded.file, std::ios::binary) {}
    bool next(std::string& piece) {
        const std::size_t places = recorded_.starts.size();
        if (at_ + 1 >= places) return false;
        const std::size_t end = std::min(at_ + kStridesAtOnce, places - 1);
        piece.resize(static_cast<std::size_t>(recorded_.starts[end] - recorded_.starts[at_]));
        if (!file_.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
            throw std::runtime_error("a recorded page is cut");
        }
        at_ = end;
        return true;
    }

private:
    const Recorded& recorded_;
    std::ifstream file_;
    std::size_t at_ = 0;
};

const char* typed(record::Form form) {
    switch (form) {
        case record::Form::Boolean:
            return "BOOLEAN";
        case record::Form::Integer:
            return "BIGINT";
        case record::Form::Real:
            return "DOUBLE PRECISION";
        case record::Form::Timestamp:
            return "TIMESTAMPTZ";
        case record::Form::Date:
            return "DATE";
        case record::Form::Text:
            break;
    }
    return "TEXT";
}

/// With columns of text only, or of the types their values are of.
std::string table_of(const Recorded& recorded, bool with_types) {
    std::string columns;
    for (const record::Field& field : recorded.fields) {
        columns += (columns.empty() ? "\"" : ", \"") + field.name + "\" " + (with_types ? typed(field.form) : "TEXT") +
                   (field.name == "Id" ? " PRIMARY KEY" : "");
    }
    return "CREATE TABLE \"naive_" + recorded.object + "\" (" + columns + ")";
}

struct CloseSqlite {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Sqlite = std::unique_ptr<sqlite3, CloseSqlite>;
using Statement = std::unique_ptr<sqlite3_stmt, CloseSqlite>;

void run(sqlite3* db, const std::string& sql) {
    if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        throw std::runtime_error(std::string("the naive loader: ") + sqlite3_errmsg(db));
    }
}

void insert_all(sqlite3* db, const Recorded& recorded) {
    run(db, table_of(recorded, false));
    std::string places;
    for (std::size_t i = 0; i < recorded.fields.size(); ++i) places += i == 0 ? "?" : ", ?";
    const std::string sql = "INSERT INTO \"naive_" + recorded.object + "\" VALUES (" + places + ")";
    sqlite3_stmt* prepared = nullptr;
    sqlite3_prepare_v3(db, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    const Statement statement(prepared);
    Pieces pieces(recorded);
    std::vector<std::string_view> cells;
    std::int64_t rows = 0;
    run(db, "BEGIN");
    for (std::string piece; pieces.next(piece);) {
        csv::Reader reader(piece);
        while (true) {
            const Result<bool> more = reader.next(cells);
            if (!more) throw std::runtime_error(more.error().what);
            if (!*more) break;
            for (std::size_t i = 0; i < cells.size(); ++i) {
                const int place = static_cast<int>(i) + 1;
                if (cells[i].empty()) {
                    sqlite3_bind_null(prepared, place);
                } else {
                    sqlite3_bind_text(prepared, place, cells[i].data(), static_cast<int>(cells[i].size()),
                                      SQLITE_STATIC);
                }
            }
            if (sqlite3_step(prepared) != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(db));
            sqlite3_reset(prepared);
            if (++rows % kCommitRows == 0) run(db, "COMMIT; BEGIN");
        }
    }
    run(db, "COMMIT");
    if (rows != recorded.rows) throw std::runtime_error("the naive loader lost rows of " + recorded.object);
}

void remove_database(const fs::path& database) {
    for (const char* const suffix : {"", "-wal", "-shm"}) fs::remove(database.string() + suffix);
}

struct ClosePostgres {
    void operator()(PGconn* db) const { PQfinish(db); }
};

void run(PGconn* db, const std::string& sql, ExecStatusType wanted = PGRES_COMMAND_OK) {
    PGresult* const result = PQexec(db, sql.c_str());
    const bool done = PQresultStatus(result) == wanted;
    PQclear(result);
    if (!done) throw std::runtime_error(std::string("the naive loader: ") + PQerrorMessage(db));
}

}  // namespace

double load_naively(const fs::path& database, const std::vector<Recorded>& recorded) {
    remove_database(database);
    const double from = now_s();
    {
        sqlite3* opened = nullptr;
        sqlite3_open_v2(database.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        nullptr);
        const Sqlite db(opened);
        run(opened,
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = "
            "-262144");
        for (const Recorded& one : recorded) insert_all(opened, one);
        run(opened, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    const double seconds = seconds_since(from);
    remove_database(database);
    return seconds;
}

double copy_naively(const std::string& url, const std::vector<Recorded>& recorded, Columns columns) {
    const std::size_t schema = url.find("&schema=");
    const std::string server = url.substr(0, schema);
    const std::unique_ptr<PGconn, ClosePostgres> db(PQconnectdb(server.c_str()));
    if (PQstatus(db.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(db.get()));
    const double from = now_s();
    for (const Recorded& one : recorded) {
        run(db.get(), "BEGIN");
        run(db.get(), table_of(one, columns == Columns::Typed));
        run(db.get(),
            "COPY \"naive_" + one.object + "\" FROM STDIN (FORMAT csv, FORCE_NULL (\"" +
                join(names_of(one.fields), "\", \"") + "\"))",
            PGRES_COPY_IN);
        Pieces pieces(one);
        for (std::string piece; pieces.next(piece);) {
            if (PQputCopyData(db.get(), piece.data(), static_cast<int>(piece.size())) != 1) {
                throw std::runtime_error(PQerrorMessage(db.get()));
            }
        }
        if (PQputCopyEnd(db.get(), nullptr) != 1) throw std::runtime_error(PQerrorMessage(db.get()));
        while (PGresult* const result = PQgetResult(db.get())) {
            const bool done = PQresultStatus(result) == PGRES_COMMAND_OK;
            PQclear(result);
            if (!done) throw std::runtime_error(std::string("the naive loader: ") + PQerrorMessage(db.get()));
        }
        run(db.get(), "COMMIT");
    }
    const double seconds = seconds_since(from);
    for (const Recorded& one : recorded) run(db.get(), "DROP TABLE \"naive_" + one.object + "\"");
    return seconds;
}

}  // namespace lockstep::bench

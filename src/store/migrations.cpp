#include "store/migrations.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/crypto.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/log.h"

namespace lockstep::store {

namespace {

constexpr std::size_t kNameBytesMax = 63;  // what PostgreSQL keeps of a name

constexpr std::array kTypes{
    std::pair{std::string_view("{text}"), Form::Text},
    std::pair{std::string_view("{boolean}"), Form::Boolean},
    std::pair{std::string_view("{integer}"), Form::Integer},
    std::pair{std::string_view("{real}"), Form::Real},
    std::pair{std::string_view("{timestamp}"), Form::Timestamp},
    std::pair{std::string_view("{date}"), Form::Date},
};

// What is written here is what a fresh database gets and what an old one is led through: a version that was released
// is never edited, only followed by the next.
const std::vector<Migration>& store_migrations() {
    static const std::vector<Migration> kMigrations{
        {1,
         {
             // The change log and who follows it.
             "CREATE TABLE IF NOT EXISTS log_head (only_row {integer} PRIMARY KEY, position {integer} NOT NULL)",
             "INSERT INTO log_head (only_row, position) VALUES (1, 0) ON CONFLICT DO NOTHING",
             R"(CREATE TABLE IF NOT EXISTS change_log (
                    position {integer} PRIMARY KEY, at {timestamp} NOT NULL, table_name {text} NOT NULL,
                    record {text} NOT NULL, kind {text} NOT NULL, class {text} NOT NULL, step {integer} NOT NULL,
                    call {text}, rule {text}, fields {text}))",
             "CREATE INDEX IF NOT EXISTS change_log_record ON change_log (record, position)",
             "CREATE TABLE IF NOT EXISTS follower (name {text} PRIMARY KEY, position {integer} NOT NULL)",
             R"(CREATE TABLE IF NOT EXISTS activity (
                    id {integer} PRIMARY KEY, person {integer} NOT NULL, type {integer} NOT NULL,
                    at {timestamp} NOT NULL, position {integer} NOT NULL, primary_id {text}, class {text} NOT NULL,
                    attributes {text}))",
             "CREATE INDEX IF NOT EXISTS activity_person ON activity (person, type, at)",
             "CREATE INDEX IF NOT EXISTS activity_type ON activity (type, at, person)",
             "CREATE TABLE IF NOT EXISTS counter (name {text} PRIMARY KEY, last {integer} NOT NULL)",
             "CREATE TABLE IF NOT EXISTS lease (work {text} PRIMARY KEY, owner {text}, token {integer} NOT NULL, "
             "since {timestamp}, expires_at {timestamp} NOT NULL, machine {text}, process {integer}, started {text})",

             // Salesforce objects and their places.
             R"(CREATE TABLE IF NOT EXISTS catalog_object (
                    name {text} PRIMARY KEY, table_name {text} NOT NULL, label {text}, key_prefix {text},
                    custom {boolean} NOT NULL, queryable {boolean} NOT NULL, retrieveable {boolean} NOT NULL,
                    replicateable {boolean} NOT NULL, undeletable {boolean} NOT NULL))",
             R"(CREATE TABLE IF NOT EXISTS catalog_field (
                    object {text} NOT NULL, name {text} NOT NULL, place {integer} NOT NULL, column_name {text} NOT NULL,
                    label {text}, type {text} NOT NULL, form {text} NOT NULL, length {integer} NOT NULL,
                    digits {integer} NOT NULL, decimals {integer} NOT NULL, nillable {boolean} NOT NULL,
                    calculated {boolean} NOT NULL, auto_number {boolean} NOT NULL, createable {boolean} NOT NULL,
                    updateable {boolean} NOT NULL, filterable {boolean} NOT NULL, custom {boolean} NOT NULL,
                    is_unique {boolean} NOT NULL, external_id {boolean} NOT NULL, relationship {text},
                    reference_to {text}, formula {text}, live {boolean} NOT NULL, unreadable_since {timestamp},
                    known_since {timestamp} NOT NULL, filled {boolean} NOT NULL, PRIMARY KEY (object, name)))",

             // What the sync did and where it stands.
             R"(CREATE TABLE IF NOT EXISTS step_history (
                    id {integer} PRIMARY KEY, cycle {integer} NOT NULL, object {text}, operation {text},
                    status {text} NOT NULL, started {timestamp} NOT NULL, ended {timestamp},
                    created {integer} NOT NULL, updated {integer} NOT NULL, deleted {integer} NOT NULL,
                    failed {integer} NOT NULL, skipped {integer} NOT NULL, calls {integer} NOT NULL, detail {text}))",
             "CREATE INDEX IF NOT EXISTS step_history_cycle ON step_history (cycle)",
             R"(CREATE TABLE IF NOT EXISTS sync_error (
                    id {integer} PRIMARY KEY, at {timestamp} NOT NULL, object {text}, record {text}, operation {text},
                    code {text}, message {text}, hint {text}, step {integer} NOT NULL, resolved {timestamp}))",
             "CREATE INDEX IF NOT EXISTS sync_error_record ON sync_error (object, record)",
             R"(CREATE TABLE IF NOT EXISTS object_cursor (
                    object {text} PRIMARY KEY, state {text} NOT NULL, watermark {timestamp},
                    deletes_watermark {timestamp}, load_started {timestamp}, load_job {text}, load_locator {text},
                    load_rows {integer} NOT NULL, load_expected {integer} NOT NULL, complete_as_of {timestamp}))",
             "CREATE TABLE IF NOT EXISTS setting (name {text} PRIMARY KEY, value {text})",
             "CREATE TABLE IF NOT EXISTS secret (name {text} PRIMARY KEY, sealed {text} NOT NULL)",
             "CREATE TABLE IF NOT EXISTS api_calls (hour {timestamp} PRIMARY KEY, calls {integer} NOT NULL)",
             R"(CREATE TABLE IF NOT EXISTS held (
                    object {text} NOT NULL, record {text} NOT NULL, field {text} NOT NULL, reason {text}, theirs {text},
                    theirs_form {text} NOT NULL, since {timestamp} NOT NULL, PRIMARY KEY (object, record, field)))",
         }},
    };
    return kMigrations;
}

/// Two processes that make the same table at once can meet inside PostgreSQL; the second then finds it made.
void define(Database& db, const std::string& statement) {
    try {
        db.define(statement);
    } catch (const EngineFailure& failure) {
        if (failure.cause != EngineFailure::Cause::Duplicate) throw;
        db.define(statement);
    }
}

/// The table and column of `ALTER TABLE t ADD COLUMN c …`; nothing for other statements.
std::optional<std::pair<std::string, std::string>> added_column(const std::string& statement) {
    const std::vector<std::string> words = split(statement, ' ');
    if (words.size() < 7 || !equals_ignoring_case(words[0], "alter") || !equals_ignoring_case(words[1], "table") ||
        !equals_ignoring_case(words[3], "add") || !equals_ignoring_case(words[4], "column")) {
        return std::nullopt;
    }
    return std::pair{words[2], words[5]};
}

bool is_done(Database& db, const std::string& statement) {
    const auto added = added_column(statement);
    if (!added) return false;
    bool done = false;
    db.read([&](Connection& session) {
        done = std::ranges::count(table_columns(session, added->first), to_lower(added->second)) > 0;
    });
    return done;
}

}  // namespace

void migrate(Database& db, std::string_view part, std::span<const Migration> migrations) {
    const Dialect dialect = db.dialect();
    bool fresh = false;
    db.read([&](Connection& session) { fresh = table_columns(session, "schema_version").empty(); });
    if (fresh) {
        define(db, with_types("CREATE TABLE IF NOT EXISTS schema_version (part {text} NOT NULL, version {integer} NOT "
                              "NULL, at {timestamp} NOT NULL, PRIMARY KEY (part, version))",
                              dialect));
    }
    std::int64_t version = 0;
    db.read([&](Connection& session) {
        version = session.integer("SELECT max(version) FROM schema_version WHERE part = ?", params(Cell::text(part)))
                      .value_or(0);
    });
    const int known = migrations.empty() ? 0 : migrations.back().version;
    if (version > known) {
        throw Failure(db.description() + " was written by a newer Lockstep (schema " + std::to_string(version) +
                          ", this program knows " + std::to_string(known) + ")",
                      "use the newer program, or restore a backup from before the upgrade");
    }
    for (const Migration& migration : migrations) {
        if (migration.version <= version) continue;
        std::vector<std::string> statements;
        for (const std::string& statement : migration.statements) {
            if (!is_done(db, statement)) statements.push_back(with_types(statement, dialect));
        }
        // SQLite makes a whole version in one transaction, which is faster than one a statement; other engines do not
        // mix definitions with data.
        const bool together = dialect.engine == Engine::Sqlite;
        if (!together) {
            for (const std::string& statement : statements) define(db, statement);
        }
        db.write([&](Transaction& tx) {
            if (together) {
                for (const std::string& statement : statements) tx.db().run(statement);
            }
            tx.db().run("INSERT INTO schema_version (part, version, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        params(Cell::text(part), Cell::integer(migration.version), Cell::timestamp(tx.now())));
        });
    }
}

std::string with_types(std::string_view statement, Dialect dialect) {
    std::string out(statement);
    for (const auto& [name, form] : kTypes) {
        std::string type = dialect.type(form);
        if (form == Form::Text) type += dialect.collate();
        for (std::size_t at = out.find(name); at != std::string::npos; at = out.find(name, at + type.size())) {
            out.replace(at, name.size(), type);
        }
    }
    return out;
}

std::vector<std::string> table_columns(Connection& db, std::string_view table) {
    const char* const sql = db.engine() == Engine::Sqlite
                                ? "SELECT name FROM pragma_table_info(?) ORDER BY cid"
                                : "SELECT column_name::text FROM information_schema.columns WHERE table_schema = "
                                  "current_schema() AND table_name = ? ORDER BY ordinal_position";
    std::vector<std::string> names;
    db.query(sql, params(Cell::text(to_lower(table))), [&](std::span<const Cell> row) {
        names.emplace_back(row[0].as_text());
        return true;
    });
    return names;
}

std::string short_name(std::string_view name) {
    std::string lower = to_lower(name);
    if (lower.size() <= kNameBytesMax) return lower;
    const std::string mark = "_" + to_hex(sha256(lower)).substr(0, 8);
    return lower.substr(0, kNameBytesMax - mark.size()) + mark;
}

void migrate_store(Database& db) {
    migrate(db, "store", store_migrations());
}

}  // namespace lockstep::store

#include "store/database.h"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/check.h"
#include "store/migrations.h"
#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

class Databases : public OnBothEngines {
protected:
    void make_table(const std::string& name = "thing") {
        db->define(
            with_types("CREATE TABLE " + name +
                           " (id {text}, yes {boolean}, count {integer}, share {real}, at {timestamp}, day {date})",
                       db->dialect()));
    }
    const std::vector<std::string> columns{"id", "yes", "count", "share", "at", "day"};
    const std::vector<Form> forms{Form::Text, Form::Boolean, Form::Integer, Form::Real, Form::Timestamp, Form::Date};

    Batch things(const std::vector<std::string>& ids) {
        Batch batch(forms);
        for (const std::string& id : ids) {
            const auto row = batch.add_row();
            row[0] = Cell::text(batch.keep(id));
            row[2] = Cell::integer(static_cast<std::int64_t>(batch.rows()));
        }
        return batch;
    }
    void insert(const Batch& batch, std::span<const Connection::Constant> constants = {}) {
        db->write([&](Transaction& tx) {
            std::vector<std::string> names = columns;
            for (const auto& constant : constants) std::erase(names, constant.column);
            tx.db().insert_rows("thing", names, batch, constants);
        });
    }
};
INSTANTIATE_TEST_SUITE_P(, Databases, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

Batch one_row_of_everything() {
    Batch batch({Form::Text, Form::Boolean, Form::Integer, Form::Real, Form::Timestamp, Form::Date});
    const auto row = batch.add_row();
    row[0] = Cell::text("Grüße, \"O'Neill\" ?1 \xF0\x9F\x98\x80");
    row[1] = Cell::boolean(true);
    row[2] = Cell::integer(std::numeric_limits<std::int64_t>::min());
    row[3] = Cell::real(-0.1);
    row[4] = Cell::timestamp({-1});
    row[5] = Cell::date({-1});
    batch.add_row();
    const auto last = batch.add_row();
    last[0] = Cell::text("z");
    last[1] = Cell::boolean(false);
    last[2] = Cell::integer(std::numeric_limits<std::int64_t>::max());
    last[3] = Cell::real(5000);
    last[4] = Cell::timestamp({253402300799});  // the end of the year 9999
    last[5] = Cell::date({2932896});
    return batch;
}

TEST_P(Databases, values_of_every_form_come_back_as_they_went_in_by_every_way) {
    make_table();
    const Batch batch = one_row_of_everything();
    insert(batch);
    db->write([&](Transaction& tx) {
        tx.db().run_each("INSERT INTO thing (id, yes, count, share, at, day) VALUES (?, ?, ?, ?, ?, ?)", batch);
        for (std::size_t row = 0; row < batch.rows(); ++row) {
            tx.db().run("INSERT INTO thing (id, yes, count, share, at, day) VALUES (?, ?, ?, ?, ?, ?)", batch.row(row));
        }
    });
    db->read([&](Connection& session) {
        const auto rows = session.rows("SELECT id, yes, count, share, at, day FROM thing");
        ASSERT_EQ(rows.size(), 9U);
        for (std::size_t row = 0; row < rows.size(); ++row) {
            for (std::size_t i = 0; i < forms.size(); ++i) {
                EXPECT_EQ(rows[row][i].cell(), batch.row(row % 3)[i]) << "row " << row << ", " << columns[i];
            }
        }
        const std::vector<std::string_view> keys{"z", "nobody"};
        const Batch found = session.rows_by_key("thing", "id", keys, columns, forms);
        ASSERT_EQ(found.rows(), 3U);
        for (std::size_t i = 0; i < forms.size(); ++i) EXPECT_EQ(found.row(0)[i], batch.row(2)[i]) << columns[i];
    });
}

TEST_P(Databases, rows_can_be_found_by_the_value_of_every_form) {
    make_table();
    const Batch batch = one_row_of_everything();
    insert(batch);
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::vector<Cell> parameter{batch.row(2)[i]};
        EXPECT_EQ(value("SELECT id FROM thing WHERE " + columns[i] + " = ?", parameter), "z") << columns[i];
    }
}

TEST_P(Databases, an_inserted_constant_is_the_same_in_each_row_or_grows_by_its_step) {
    make_table();
    Batch batch({Form::Text});
    for (const char* const id : {"a", "b", "c"}) batch.add_row()[0] = Cell::text(id);
    const std::vector<std::string> names{"id"};
    const std::vector<Connection::Constant> constants{{"count", Value(Cell::integer(40)), 2},
                                                      {"day", Value(Cell::date({7}))}};
    db->write([&](Transaction& tx) { tx.db().insert_rows("thing", names, batch, constants); });
    EXPECT_EQ(lines("SELECT id, count, day FROM thing ORDER BY id"),
              (std::vector<std::string>{"a|40|1970-01-08", "b|42|1970-01-08", "c|44|1970-01-08"}));
}

TEST_P(Databases, an_expression_has_the_form_it_is_asked_for) {
    make_table();
    insert(things({"a", "b"}));
    run("UPDATE thing SET at = at, yes = TRUE, share = 2.5");
    db->read([&](Connection& session) {
        const std::vector<Form> asked{Form::Integer, Form::Real, Form::Boolean, Form::Integer};
        const auto rows = session.rows("SELECT count(*), sum(count), count(*) > 1, sum(share) FROM thing", {}, asked);
        EXPECT_EQ(rows[0][0].cell(), Cell::integer(2));
        EXPECT_EQ(rows[0][1].cell(), Cell::real(3));
        EXPECT_EQ(rows[0][2].cell(), Cell::boolean(true));
        EXPECT_EQ(rows[0][3].cell(), Cell::integer(5));
        EXPECT_EQ(session.integer("SELECT sum(count) FROM thing"), 3);
        EXPECT_EQ(session.integer("SELECT max(count) FROM thing WHERE id = 'nobody'"), std::nullopt);
        EXPECT_EQ(session.text("SELECT id FROM thing WHERE id = 'nobody'"), std::nullopt);
        EXPECT_EQ(session.text("SELECT '?' || id /* what? */ FROM thing WHERE id = ? -- why?", params(Cell::text("b"))),
                  "?b");
    });
}

TEST_P(Databases, text_is_compared_and_sorted_by_its_bytes) {
    make_table();
    insert(things({"b", "B", "a", "ä", "A", "_", "Z"}));
    EXPECT_EQ(lines("SELECT id FROM thing ORDER BY id"), (std::vector<std::string>{"A", "B", "Z", "_", "a", "b", "ä"}));
    EXPECT_EQ(value("SELECT count(*) FROM thing WHERE id < ?", params(Cell::text("a"))), "4");
}

TEST_P(Databases, names_are_quoted_in_lower_case) {
    EXPECT_EQ(quoted("StageName"), "\"stagename\"");
    EXPECT_EQ(quoted(std::string("a\"b")), "\"a\"\"b\"");
    EXPECT_THROW(quoted(""), Bug);
    EXPECT_THROW(quoted(std::string_view("a\0b", 3)), Bug);
    db->define("CREATE TABLE " + quoted("Order") + " (" + quoted("Select") + " " + db->dialect().type(Form::Integer) +
               ")");
    run("INSERT INTO " + quoted("ORDER") + " VALUES (3)");
    EXPECT_EQ(value("SELECT " + quoted("SELECT") + " FROM " + quoted("order")), "3");
}

TEST_P(Databases, json_and_iso_expressions_read_the_same_on_both_engines) {
    make_table();
    insert(one_row_of_everything());
    const Dialect dialect = db->dialect();
    EXPECT_EQ(
        lines("SELECT " + dialect.json_text("id") + ", " + dialect.iso("at", Form::Timestamp) + ", " +
              dialect.iso("day", Form::Date) + " FROM thing"),
        (std::vector<std::string>{"\"Grüße, \\\"O'Neill\\\" ?1 \xF0\x9F\x98\x80\"|1969-12-31T23:59:59Z|1969-12-31",
                                  "null|-|-", "\"z\"|9999-12-31T23:59:59Z|9999-12-31"}));
}

TEST_P(Databases, statements_say_how_many_rows_they_changed) {
    make_table();
    insert(things({"a", "b", "c"}));
    db->write([&](Transaction& tx) {
        EXPECT_EQ(tx.db().run("UPDATE thing SET count = 9 WHERE id <> ?", params(Cell::text("a"))), 2);
        EXPECT_EQ(tx.db().run("DELETE FROM thing WHERE id = 'nobody'", {}), 0);
        Batch each({Form::Integer, Form::Text});
        for (int i = 0; i < 1203; ++i) {  // more than one pipeline of PostgreSQL
            const auto row = each.add_row();
            row[0] = Cell::integer(i);
            row[1] = Cell::text(i % 2 == 0 ? "a" : "nobody");
        }
        EXPECT_EQ(tx.db().run_each("UPDATE thing SET count = ? WHERE id = ?", each), 602);
    });
    EXPECT_EQ(value("SELECT count FROM thing WHERE id = 'a'"), "1202");
}

TEST_P(Databases, a_sink_may_end_a_query_and_the_session_goes_on) {
    make_table();
    insert(things({"a", "b", "c"}));
    db->read([&](Connection& session) {
        int seen = 0;
        session.query("SELECT id FROM thing ORDER BY id", {}, [&](std::span<const Cell>) { return ++seen < 2; });
        EXPECT_EQ(seen, 2);
        EXPECT_EQ(session.integer("SELECT count(*) FROM thing"), 3);
        EXPECT_THROW(session.query("SELECT id FROM thing", {},
                                   [](std::span<const Cell>) -> bool { throw std::runtime_error("enough"); }),
                     std::runtime_error);
        EXPECT_EQ(session.integer("SELECT count(*) FROM thing"), 3);
    });
}

TEST_P(Databases, a_sink_that_uses_its_own_session_is_a_bug) {
    db->read([&](Connection& session) {
        EXPECT_THROW(session.query("SELECT 1", {},
                                   [&](std::span<const Cell>) {
                                       session.integer("SELECT 2");
                                       return true;
                                   }),
                     Bug);
    });
}

TEST_P(Databases, wrong_sql_is_a_bug) {
    EXPECT_THROW(value("SELECT nothing FROM nowhere"), Bug);
    EXPECT_THROW(value("SELEC 1"), Bug);
    EXPECT_THROW(value("SELECT position FROM log_head WHERE position = ?"), Bug);
    EXPECT_THROW(value("SELECT 1", params(Cell::integer(1))), Bug);
    EXPECT_THROW(value("SELECT \"misspelt\" FROM log_head"), Bug);
    EXPECT_THROW(db->write([&](Transaction&) { db->write([](Transaction&) {}); }), Bug);
}

TEST_P(Databases, an_exception_undoes_a_transaction_and_passes_on) {
    make_table();
    EXPECT_THROW(db->write([&](Transaction& tx) {
        tx.db().run("INSERT INTO thing (id) VALUES ('a')");
        tx.stage(Change{.table = "thing", .record = "a"});
        throw std::runtime_error("enough");
    }),
                 std::runtime_error);
    EXPECT_EQ(value("SELECT count(*) FROM thing"), "0");
    EXPECT_EQ(value("SELECT position FROM log_head"), "0");
    run("INSERT INTO thing (id) VALUES ('b')");
    EXPECT_EQ(value("SELECT id FROM thing"), "b");
}

TEST_P(Databases, a_failed_statement_undoes_its_transaction_even_when_the_work_goes_on) {
    make_table();
    db->define("CREATE UNIQUE INDEX thing_id ON thing (id)");
    insert(things({"a"}));
    const std::string said = failure_of(
        [&] { db->write([&](Transaction& tx) { tx.db().run("INSERT INTO thing (id) VALUES ('b'), ('a')"); }); });
    EXPECT_NE(said.find("refused a row"), std::string::npos) << said;
    EXPECT_EQ(value("SELECT count(*) FROM thing"), "1");
}

TEST_P(Databases, a_read_sees_one_moment) {
    make_table();
    db->read([&](Connection& session) {
        EXPECT_EQ(session.integer("SELECT count(*) FROM thing"), 0);
        std::thread([&] { insert(things({"a"})); }).join();
        EXPECT_EQ(session.integer("SELECT count(*) FROM thing"), 0);
    });
    EXPECT_EQ(value("SELECT count(*) FROM thing"), "1");
}

TEST_P(Databases, a_reading_session_can_not_write) {
    make_table();
    const auto session = db->connect();
    EXPECT_THROW(session->run("INSERT INTO thing (id) VALUES ('a')"), Bug);
    EXPECT_EQ(session->integer("SELECT count(*) FROM thing"), 0);
    insert(things({"a"}));
    EXPECT_EQ(session->integer("SELECT count(*) FROM thing"), 1);
}

TEST_P(Databases, columns_added_later_are_seen_by_statements_made_before) {
    make_table();
    insert(things({"a"}));
    const auto session = db->connect();
    EXPECT_EQ(session->rows("SELECT * FROM thing").at(0).size(), 6U);
    db->define(with_types("ALTER TABLE thing ADD COLUMN later {timestamp}", db->dialect()));
    db->write([](Transaction& tx) { tx.db().run("UPDATE thing SET later = ?", params(Cell::timestamp({86400}))); });
    const auto rows = session->rows("SELECT * FROM thing");
    ASSERT_EQ(rows.at(0).size(), 7U);
    EXPECT_EQ(rows[0][6].cell(), Cell::timestamp({86400}));
}

TEST_P(Databases, load_mode_writes_durably_and_leaves_the_database_as_it_was) {
    make_table();
    {
        const auto loading = db->load_mode();
        insert(things({"a", "b"}));
        EXPECT_EQ(value("SELECT count(*) FROM thing"), "2");  // reading meanwhile works, too
        insert(things({"c"}));
    }
    insert(things({"d"}));
    db.reset();
    db = Database::open(location, world);
    EXPECT_EQ(value("SELECT count(*) FROM thing"), "4");
    EXPECT_GT(db->bytes(), 0U);
}

TEST_P(Databases, opening_again_changes_nothing) {
    const auto tables = [&] { return lines("SELECT part, version FROM schema_version ORDER BY part, version"); };
    const auto before = tables();
    const auto second = Database::open(location, world);
    EXPECT_EQ(tables(), before);
}

TEST_P(Databases, migrations_go_on_from_where_a_crash_left_them) {
    std::vector<Migration> migrations{
        {1, {"CREATE TABLE IF NOT EXISTS other (id {integer} PRIMARY KEY)"}},
        {2, {"ALTER TABLE other ADD COLUMN note {text}", "CREATE INDEX IF NOT EXISTS other_note ON other (note)"}}};
    migrate(*db, "other", std::span(migrations).first(1));
    // A program that died after its second statement and before it could note the version.
    db->define(with_types("ALTER TABLE other ADD COLUMN note {text}", db->dialect()));
    migrate(*db, "other", migrations);
    migrate(*db, "other", migrations);
    EXPECT_EQ(value("SELECT count(*) FROM schema_version WHERE part = 'other'"), "2");
    run("INSERT INTO other (id, note) VALUES (1, 'x')");
    EXPECT_EQ(value("SELECT note FROM other"), "x");
}

TEST_P(Databases, two_programs_can_make_the_schema_at_once) {
    const std::string place =
        GetParam() == Engine::Sqlite ? folder.file("second.db") : fresh_location(GetParam(), folder);
    std::vector<std::thread> threads;
    std::atomic<int> opened = 0;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            RealWorld real;
            const auto mine = Database::open(place, real.world);
            mine->write([](Transaction& tx) { tx.take_ids("x", 1); });
            ++opened;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(opened, 3);
}

TEST_P(Databases, a_schema_of_a_newer_program_is_refused) {
    run("INSERT INTO schema_version (part, version, at) SELECT part, 99, at FROM schema_version WHERE part = 'store' "
        "AND "
        "version = 1");
    db.reset();
    const std::string said = failure_of([&] { Database::open(location, world); });
    EXPECT_NE(said.find("newer Lockstep (schema 99"), std::string::npos) << said;
    EXPECT_NE(said.find("restore a backup"), std::string::npos) << said;
}

TEST_P(Databases, long_names_stay_distinct_within_what_postgresql_keeps) {
    EXPECT_EQ(short_name("crm_Opportunity"), "crm_opportunity");
    const std::string one = short_name(std::string(70, 'x') + "a");
    const std::string two = short_name(std::string(70, 'x') + "b");
    EXPECT_EQ(one.size(), 63U);
    EXPECT_NE(one, two);
}

// ---- What one engine has
// ---------------------------------------------------------------------------------------------

class SqliteFile : public ::testing::Test {
protected:
    TemporaryFolder folder;
    ManualClock clock{Timestamp{1795509000}};
    std::unique_ptr<Random> random = seeded_random(7);
    World world{clock, *random};
    const std::string location = folder.file("lockstep.db");
};

TEST_F(SqliteFile, a_file_of_something_else_is_refused_and_left_alone) {
    std::ofstream(location) << std::string(4096, 'x');
    EXPECT_NE(failure_of([&] { Database::open(location, world); }).find("is not a database"), std::string::npos);

    const std::string foreign = folder.file("foreign.db");
    ASSERT_EQ(std::system(("sqlite3 " + foreign + " 'CREATE TABLE music (track)'").c_str()), 0);
    std::stringstream before;
    before << std::ifstream(foreign).rdbuf();
    EXPECT_NE(failure_of([&] { Database::open(foreign, world); }).find("another program"), std::string::npos);
    std::stringstream after;
    after << std::ifstream(foreign).rdbuf();
    EXPECT_EQ(before.str(), after.str());
}

TEST_F(SqliteFile, a_place_where_no_file_can_be_is_refused_with_a_hint) {
    EXPECT_NE(failure_of([&] { Database::open(folder.file("none/lockstep.db"), world); }).find("mkdir -p"),
              std::string::npos);
    EXPECT_NE(failure_of([&] { Database::open(folder.file(""), world); }).find("is a folder"), std::string::npos);
    EXPECT_NE(failure_of([&] { Database::open(":memory:", world); }).find("is a file"), std::string::npos);
    const std::string denied = failure_of([&] { Database::open("/sys/lockstep.db", world); });
    EXPECT_NE(denied.find("No right to create a file in /sys"), std::string::npos) << denied;
}

TEST_F(SqliteFile, the_file_is_for_its_owner_only_and_describes_itself) {
    const auto db = Database::open(location, world);
    struct stat status {};
    ASSERT_EQ(stat(location.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    EXPECT_EQ(db->description(), "lockstep.db (SQLite)");
}

TEST_F(SqliteFile, a_lock_that_lasts_too_long_is_a_failure) {
    const auto db = Database::open(location, world);
    const auto other = Database::open(location, world);
    db->write([&](Transaction& tx) {
        tx.take_ids("x", 1);
        const std::string said = failure_of([&] { other->write([](Transaction& later) { later.take_ids("x", 1); }); });
        EXPECT_NE(said.find("kept lockstep.db locked for more than 10 seconds"), std::string::npos) << said;
    });
    other->write([](Transaction& tx) { tx.take_ids("x", 1); });
}

TEST_F(SqliteFile, a_full_disk_undoes_the_transaction) {
    const auto db = Database::open(location, world);
    const std::string said = failure_of([&] {
        db->write([](Transaction& tx) {
            tx.db().run("PRAGMA max_page_count = 1");
            const std::string text(100'000, 'x');
            for (int i = 0; i < 100; ++i) {
                const std::string name = std::to_string(i);
                tx.db().run("INSERT INTO setting (name, value) VALUES (?, ?)",
                            params(Cell::text(name), Cell::text(text)));
            }
        });
    });
    EXPECT_NE(said.find("is full"), std::string::npos) << said;
    EXPECT_NE(said.find("nothing of this step was saved"), std::string::npos) << said;
    EXPECT_EQ(db->connect()->integer("SELECT count(*) FROM setting"), 0);
}

TEST_F(SqliteFile, work_that_goes_on_after_the_disk_failed_saves_nothing) {
    const auto db = Database::open(location, world);
    const std::string said = failure_of([&] {
        db->write([](Transaction& tx) {
            tx.db().run("PRAGMA max_page_count = 1");
            const std::string text(1'000'000, 'x');
            EXPECT_NE(failure_of([&] {
                          tx.db().run("INSERT INTO setting (name, value) VALUES ('a', ?)", params(Cell::text(text)));
                      }),
                      "");
            tx.db().run("INSERT INTO setting (name, value) VALUES ('b', 'c')");
        });
    });
    EXPECT_EQ(db->connect()->integer("SELECT count(*) FROM setting WHERE name = 'a'"), 0);
    // Either the statement alone was undone and the rest is whole, or all of it.
    EXPECT_EQ(db->connect()->integer("SELECT count(*) FROM setting"), said.empty() ? 1 : 0) << said;
}

TEST_F(SqliteFile, the_log_ahead_is_moved_into_the_file_when_asked) {
    const auto db = Database::open(location, world);
    const std::string text(1'000'000, 'x');
    for (int i = 0; i < 12; ++i) {
        db->write([&](Transaction& tx) {
            const std::string name = std::to_string(i);
            tx.db().run("INSERT INTO setting (name, value) VALUES (?, ?)", params(Cell::text(name), Cell::text(text)));
        });
    }
    EXPECT_LT(std::filesystem::file_size(location), 4'000'000U);
    db->checkpoint();
    EXPECT_GT(std::filesystem::file_size(location), 12'000'000U);
    EXPECT_EQ(db->connect()->integer("SELECT count(*) FROM setting"), 12);
}

TEST_F(SqliteFile, load_mode_does_without_the_log_ahead_unless_somebody_else_reads) {
    const auto db = Database::open(location, world);
    const std::string text(1'000'000, 'x');
    const auto fill = [&](const std::string& name) {
        db->write([&](Transaction& tx) {
            tx.db().run("INSERT INTO setting (name, value) VALUES (?, ?)", params(Cell::text(name), Cell::text(text)));
        });
    };
    const auto ahead = [&] {
        std::error_code none;
        const auto size = std::filesystem::file_size(location + "-wal", none);
        return none ? 0 : size;
    };
    {
        const auto loading = db->load_mode();
        fill("a");
        EXPECT_EQ(ahead(), 0U);
        EXPECT_GT(std::filesystem::file_size(location), 1'000'000U);
    }
    {
        const auto reader = db->connect();
        EXPECT_EQ(reader->integer("SELECT count(*) FROM setting"), 1);
        const auto loading = db->load_mode();
        fill("b");
        EXPECT_GT(ahead(), 1'000'000U);
        EXPECT_EQ(reader->integer("SELECT count(*) FROM setting"), 2);
    }
}

TEST_F(SqliteFile, other_programs_can_read_it_while_we_run) {
    const auto db = Database::open(location, world);
    db->write([](Transaction& tx) { tx.db().run("INSERT INTO setting (name, value) VALUES ('a', 'b')"); });
    const std::string out = folder.file("out");
    ASSERT_EQ(
        std::system(("sqlite3 " + location + " 'PRAGMA integrity_check; SELECT value FROM setting' > " + out).c_str()),
        0);
    std::stringstream said;
    said << std::ifstream(out).rdbuf();
    EXPECT_EQ(said.str(), "ok\nb\n");
}

class PostgresPlace : public ::testing::Test {
protected:
    ManualClock clock{Timestamp{1795509000}};
    std::unique_ptr<Random> random = seeded_random(7);
    World world{clock, *random};
    std::string fresh() {
        tests::PostgresServer& server = tests::PostgresServer::instance();
        return server.url(server.fresh_schema());
    }
};

TEST_F(PostgresPlace, a_server_that_can_not_be_reached_is_refused_with_a_hint) {
    const std::string said =
        failure_of([&] { Database::open("postgres:///shop?host=/nowhere&user=x&password=secret", world); });
    EXPECT_NE(said.find("postgres://localhost/shop can not be reached"), std::string::npos) << said;
    EXPECT_NE(said.find("check that the server runs"), std::string::npos) << said;
    EXPECT_EQ(said.find("secret"), std::string::npos) << said;
    EXPECT_NE(failure_of([&] { Database::open("postgres://host/db?nonsense=1", world); }).find("can not be read"),
              std::string::npos);
}

TEST_F(PostgresPlace, text_with_a_nul_is_refused) {
    const auto db = Database::open(fresh(), world);
    const std::string text("a\0b", 3);
    EXPECT_NE(failure_of([&] {
                  db->write([&](Transaction& tx) {
                      tx.db().run("INSERT INTO setting (name, value) VALUES ('a', ?)", params(Cell::text(text)));
                  });
              }).find("UTF-8 without NUL"),
              std::string::npos);
}

TEST_F(PostgresPlace, a_transaction_whose_connection_is_lost_is_run_again) {
    const auto db = Database::open(fresh(), world);
    const auto other = Database::open(fresh(), world);
    int runs = 0;
    db->write([&](Transaction& tx) {
        const std::int64_t session = tx.db().integer("SELECT pg_backend_pid()").value();
        tx.db().run("INSERT INTO setting (name, value) VALUES ('a', 'b')");
        tx.stage(Change{.table = "setting", .record = "a"});
        if (++runs == 1)
            other->connect()->integer("SELECT pg_terminate_backend(?::int)::int", params(Cell::integer(session)));
    });
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(db->connect()->integer("SELECT count(*) FROM change_log"), 1);
    // Sessions that idled when the server closed them are replaced.
    db->read([](Connection& session) { session.integer("SELECT 1"); });
    other->connect()->integer(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND "
        "backend_type = 'client backend'");
    db->read([](Connection& session) { EXPECT_EQ(session.integer("SELECT count(*) FROM setting"), 1); });
    db->write([](Transaction& tx) { tx.take_ids("x", 1); });
}

TEST_F(PostgresPlace, a_deadlock_is_resolved_by_running_one_of_the_two_again) {
    const std::string place = fresh();
    RealWorld mine;
    RealWorld theirs;
    const auto one = Database::open(place, mine.world);
    const auto two = Database::open(place, theirs.world);
    std::atomic<int> runs = 0;
    std::atomic<int> first_steps = 0;
    const auto cross = [&](Database& db, const char* first, const char* second) {
        db.write([&](Transaction& tx) {
            ++runs;
            tx.take_ids(first, 1);
            // Both hold their first row before either asks for its second; a repeated run does not wait.
            ++first_steps;
            while (first_steps < 2) std::this_thread::yield();
            tx.take_ids(second, 1);
        });
    };
    one->write([](Transaction& tx) {
        tx.take_ids("a", 1);
        tx.take_ids("b", 1);
    });
    std::thread other([&] { cross(*two, "b", "a"); });
    cross(*one, "a", "b");
    other.join();
    EXPECT_GE(runs, 3);
    EXPECT_EQ(one->connect()->integer("SELECT sum(last) FROM counter"), 6);
}

TEST_F(PostgresPlace, a_unit_of_work_leaves_nothing_in_its_session) {
    const auto db = Database::open(fresh(), world);
    db->write([](Transaction& tx) {
        Batch rows({Form::Text, Form::Text});
        const auto row = rows.add_row();
        row[0] = Cell::text("a");
        row[1] = Cell::text("b");
        tx.db().run_each("INSERT INTO setting (name, value) VALUES (?, ?)", rows);
    });
    db->write([](Transaction& tx) {
        EXPECT_EQ(tx.db().integer("SELECT count(*) FROM pg_prepared_statements"), 0);
        EXPECT_EQ(tx.db().text("SELECT reset_val FROM pg_settings WHERE name = 'search_path'"), "\"$user\", public");
    });
}

}  // namespace

}  // namespace lockstep::store

#include "store/mirror.h"

#include <algorithm>
#include <map>
#include <random>

#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

/// "006" and a number, as an 18-character id.
std::string id_of(int number) {
    std::string digits = std::to_string(number);
    return "006" + std::string(12 - digits.size(), '0') + digits + "AAA";
}

class Mirror : public OnBothEngines {
protected:
    void SetUp() override {
        OnBothEngines::SetUp();
        take(object_of("Opportunity",
                       {"Id:id", "IsDeleted:boolean", "Name:string", "StageName:picklist", "Amount:currency",
                        "CloseDate:date", "AccountId:reference:Account", "SystemModstamp:datetime"}));
    }
    void take(const record::Object& object) {
        Catalog catalog;
        db->read([&](Connection& session) { catalog = Catalog::read(session); });
        catalog.take(*db, object);
        mirror = *catalog.find(object.name);
        shape = full_shape(mirror);
    }
    void finish() {
        finish_load(*db, mirror);
        build_mirror_indexes(*db, mirror, {"AccountId", "SystemModstamp"});
    }

    /// What a record says; fields are written as in `Name=Acme`.
    struct Heard {
        int number = 0;
        std::map<std::string, std::string> fields;
        std::int64_t stamp = 100;
        bool deleted = false;
    };
    Batch page(const std::vector<Heard>& records) { return page_of(shape, records); }
    static Batch page_of(const PageShape& of, const std::vector<Heard>& records) {
        Batch batch(of.forms());
        for (const Heard& heard : records) {
            const auto row = batch.add_row();
            row[static_cast<std::size_t>(of.id)] = Cell::text(batch.keep(id_of(heard.number)));
            if (of.modstamp >= 0) row[static_cast<std::size_t>(of.modstamp)] = Cell::timestamp({heard.stamp});
            if (of.is_deleted >= 0) row[static_cast<std::size_t>(of.is_deleted)] = Cell::boolean(heard.deleted);
            for (const auto& [name, text] : heard.fields) {
                for (std::size_t i = 0; i < of.fields.size(); ++i) {
                    if (of.fields[i]->field.name != name) continue;
                    row[i] = of.fields[i]->field.form == Form::Real ? Cell::real(std::stod(text))
                                                                    : Cell::text(batch.keep(text));
                }
            }
        }
        return batch;
    }
    MirrorChanges hear_now(const std::vector<Heard>& records, Class cls = Class::News) {
        MirrorChanges moved;
        const Batch batch = page(records);
        db->write([&](Transaction& tx) { moved = hear(tx, shape, batch, cls, {.step = 5, .call = "query"}); });
        return moved;
    }
    void append(const std::vector<Heard>& records) {
        const Batch batch = page(records);
        db->write([&](Transaction& tx) { append_page(tx, shape, batch, {.call = "bulk page"}); });
    }
    std::vector<LoggedChange> log_after(std::int64_t position) {
        std::vector<LoggedChange> changes;
        db->read([&](Connection& session) { changes = changes_after(session, position, 1'000'000).value(); });
        return changes;
    }
    /// "update 006…: stagename Open > Won; accountid 001 > 001"
    static std::string told(const LoggedChange& logged) {
        std::string text = std::string(name(logged.change.kind)) + " " + logged.change.record + ":";
        for (const auto& field : logged.change.fields) {
            text += " " + field.column + " " + record::to_text(field.before.cell()) + ">" +
                    record::to_text(field.after.cell());
        }
        return text;
    }
    std::vector<std::string> told_after(std::int64_t position) {
        std::vector<std::string> all;
        for (const LoggedChange& logged : log_after(position)) all.push_back(told(logged));
        return all;
    }

    MirrorObject mirror;
    PageShape shape;
};
INSTANTIATE_TEST_SUITE_P(, Mirror, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

using Kind = RowChange::Kind;

TEST_P(Mirror, a_shape_has_the_id_first_and_knows_its_columns) {
    EXPECT_EQ(shape.columns(), (std::vector<std::string>{"id", "isdeleted", "name", "stagename", "amount", "closedate",
                                                         "accountid", "systemmodstamp"}));
    EXPECT_EQ(shape.id, 0);
    EXPECT_EQ(shape.is_deleted, 1);
    EXPECT_EQ(shape.modstamp, 7);
    const std::vector<std::string> some{"stagename", "ID"};
    const PageShape narrow = shape_of(mirror, some);
    EXPECT_EQ(narrow.id, 1);
    EXPECT_EQ(narrow.modstamp, -1);
    EXPECT_EQ(narrow.forms(), (std::vector<Form>{Form::Text, Form::Text}));
    const std::vector<std::string> unknown{"Id", "Nonsense"};
    EXPECT_NE(failure_of([&] { shape_of(mirror, unknown); }).find("has no field Nonsense"), std::string::npos);
}

TEST_P(Mirror, a_new_record_is_inserted_and_told_by_its_name_and_references) {
    finish();
    const MirrorChanges moved =
        hear_now({{1, {{"Name", "Acme"}, {"StageName", "Open"}, {"AccountId", "001A"}}}}, Class::CatchUp);
    ASSERT_EQ(moved.rows.size(), 1U);
    EXPECT_EQ(moved.rows[0].kind, Kind::New);
    EXPECT_EQ(moved.rows[0].row, 1);
    EXPECT_EQ(moved.rows[0].fields, (std::vector<int>{0, 1, 2, 3, 6, 7}));
    EXPECT_EQ(
        lines(
            "SELECT ls_row, ls_position, id, name, stagename, amount, accountid, systemmodstamp FROM crm_opportunity"),
        (std::vector<std::string>{"1|-|" + id_of(1) + "|Acme|Open|-|001A|1970-01-01T00:01:40Z"}));
    EXPECT_EQ(told_after(0), (std::vector<std::string>{"insert " + id_of(1) + ": name >Acme accountid >001A"}));
    const LoggedChange logged = log_after(0)[0];
    EXPECT_EQ(logged.change.table, "crm_opportunity");
    EXPECT_EQ(logged.change.cls, Class::CatchUp);
    EXPECT_EQ(logged.change.cause.step, 5);
    EXPECT_EQ(logged.change.cause.call, "query");
}

TEST_P(Mirror, what_differs_is_updated_and_told_with_before_and_after_and_references_always) {
    finish();
    hear_now({{1, {{"Name", "Acme"}, {"StageName", "Open"}, {"Amount", "5"}, {"AccountId", "001A"}}}});
    const MirrorChanges moved = hear_now({{1, {{"Name", "Acme"}, {"StageName", "Won"}, {"AccountId", "001A"}}, 200}});
    ASSERT_EQ(moved.rows.size(), 1U);
    EXPECT_EQ(moved.rows[0].kind, Kind::Updated);
    EXPECT_EQ(moved.rows[0].fields, (std::vector<int>{3, 4, 7}));
    EXPECT_EQ(moved.before.row(moved.rows[0].before)[3], Cell::text("Open"));
    EXPECT_EQ(lines("SELECT ls_row, name, stagename, amount FROM crm_opportunity"),
              (std::vector<std::string>{"1|Acme|Won|-"}));
    EXPECT_EQ(told_after(1),
              (std::vector<std::string>{"update " + id_of(1) +
                                        ": stagename Open>Won amount 5> accountid 001A>001A systemmodstamp "
                                        "1970-01-01T00:01:40Z>1970-01-01T00:03:20Z"}));
}

TEST_P(Mirror, hearing_the_same_again_changes_nothing_and_tells_nothing) {
    finish();
    const std::vector<Heard> records{{1, {{"Name", "A"}}}, {2, {{"Amount", "0.1"}}}, {3, {}}};
    hear_now(records);
    const MirrorChanges moved = hear_now(records);
    for (const RowChange& row : moved.rows) {
        EXPECT_EQ(row.kind, Kind::Same);
        EXPECT_EQ(row.row, static_cast<std::int64_t>(row.heard) + 1);
    }
    EXPECT_EQ(log_after(0).size(), 3U);
}

TEST_P(Mirror, a_page_that_comes_late_changes_nothing) {
    finish();
    hear_now({{1, {{"Name", "new"}}, 200}});
    EXPECT_EQ(hear_now({{1, {{"Name", "old"}}, 199}}).rows[0].kind, Kind::Same);
    EXPECT_EQ(value("SELECT name FROM crm_opportunity"), "new");
    EXPECT_EQ(hear_now({{1, {{"Name", "same second"}}, 200}}).rows[0].kind, Kind::Updated);
}

TEST_P(Mirror, of_a_repeated_id_in_a_page_the_newest_counts_and_of_equals_the_last) {
    finish();
    const MirrorChanges moved = hear_now({{1, {{"Name", "a"}}, 100},
                                          {2, {{"Name", "x"}}, 300},
                                          {1, {{"Name", "b"}}, 200},
                                          {1, {{"Name", "c"}}, 200},
                                          {2, {{"Name", "y"}}, 200}});
    std::vector<Kind> kinds;
    for (const RowChange& row : moved.rows) kinds.push_back(row.kind);
    EXPECT_EQ(kinds, (std::vector<Kind>{Kind::Same, Kind::New, Kind::Same, Kind::New, Kind::Same}));
    EXPECT_EQ(lines("SELECT id, name FROM crm_opportunity ORDER BY id"),
              (std::vector<std::string>{id_of(1) + "|c", id_of(2) + "|x"}));
}

TEST_P(Mirror, fields_a_page_leaves_out_stay) {
    finish();
    hear_now({{1, {{"Name", "Acme"}, {"StageName", "Open"}, {"AccountId", "001A"}}, 200}});
    const std::vector<std::string> some{"Id", "StageName"};
    const PageShape narrow = shape_of(mirror, some);
    const Batch batch = page_of(narrow, {{1, {{"StageName", "Won"}}}});
    db->write([&](Transaction& tx) { hear(tx, narrow, batch, Class::News, {}); });
    EXPECT_EQ(lines("SELECT name, stagename, accountid FROM crm_opportunity"),
              (std::vector<std::string>{"Acme|Won|001A"}));
}

TEST_P(Mirror, a_deleted_record_that_is_heard_alive_was_undeleted) {
    finish();
    hear_now({{1, {{"AccountId", "001A"}}}});
    hear_now({{1, {{"AccountId", "001A"}}, 200, true}});
    hear_now({{1, {{"AccountId", "001A"}}, 300}});
    hear_now({{2, {{"Name", "born dead"}}, 100, true}});
    const auto told = told_after(1);
    ASSERT_EQ(told.size(), 3U);
    EXPECT_TRUE(told[0].starts_with("delete " + id_of(1) + ": isdeleted false>true accountid 001A>001A")) << told[0];
    EXPECT_TRUE(told[1].starts_with("undelete " + id_of(1) + ": isdeleted true>false")) << told[1];
    EXPECT_EQ(told[2], "insert " + id_of(2) + ": name >born dead");
}

TEST_P(Mirror, burying_marks_living_rows_and_passes_over_dead_and_unknown_ones) {
    finish();
    hear_now({{1, {{"Name", "A"}, {"AccountId", "001A"}}}, {2, {}}, {3, {}, 100, true}});
    const std::vector<std::string> ids{id_of(1), id_of(3), id_of(9), id_of(1), id_of(2)};
    std::vector<DeadRow> dead;
    const auto bury_now = [&] {
        db->write([&](Transaction& tx) { dead = bury(tx, mirror, ids, Class::News, {.call = "deleted"}); });
    };
    bury_now();
    ASSERT_EQ(dead.size(), 2U);
    std::ranges::sort(dead, {}, &DeadRow::row);
    EXPECT_EQ(dead[0].id, id_of(1));
    EXPECT_EQ(dead[0].row, 1);
    EXPECT_EQ(dead[1].id, id_of(2));
    EXPECT_EQ(value("SELECT count(*) FROM crm_opportunity WHERE isdeleted = TRUE"), "3");
    EXPECT_EQ(value("SELECT name FROM crm_opportunity WHERE ls_row = 1"), "A");
    auto told = told_after(3);
    std::ranges::sort(told);
    EXPECT_EQ(told, (std::vector<std::string>{"delete " + id_of(1) + ": isdeleted false>true accountid 001A>001A",
                                              "delete " + id_of(2) + ": isdeleted false>true"}));
    bury_now();
    EXPECT_TRUE(dead.empty());
    EXPECT_EQ(log_after(3).size(), 2U);
}

TEST_P(Mirror, an_object_without_a_bin_loses_the_row_and_the_log_keeps_its_values) {
    take(object_of("Status__c", {"Id:id", "Name:string", "Ready__c:boolean"}));
    finish_load(*db, mirror);
    hear_now({{1, {{"Name", "A"}}}});
    const std::vector<std::string> ids{id_of(1)};
    db->write([&](Transaction& tx) { EXPECT_EQ(bury(tx, mirror, ids, Class::News, {}).size(), 1U); });
    EXPECT_EQ(value("SELECT count(*) FROM crm_status__c"), "0");
    EXPECT_EQ(told_after(1), (std::vector<std::string>{"delete " + id_of(1) + ": name A>"}));
}

TEST_P(Mirror, a_loaded_page_is_told_once_and_its_rows_carry_the_position) {
    append({{3, {{"Name", "C"}}}, {1, {{"Name", "A"}}}});
    append({{2, {{"Name", "B"}}}});
    EXPECT_EQ(lines("SELECT ls_row, ls_position, name FROM crm_opportunity ORDER BY ls_row"),
              (std::vector<std::string>{"1|1|C", "2|1|A", "3|2|B"}));
    const auto logged = log_after(0);
    ASSERT_EQ(logged.size(), 2U);
    EXPECT_EQ(told(logged[0]), "snapshot " + id_of(3) + ".." + id_of(1) + ": rows >2");
    EXPECT_EQ(logged[0].change.cls, Class::CatchUp);
    EXPECT_EQ(logged[0].change.cause.call, "bulk page");
}

TEST_P(Mirror, an_empty_page_of_a_load_is_no_event) {
    append({});
    EXPECT_TRUE(log_after(0).empty());
    EXPECT_EQ(value("SELECT count(*) FROM crm_opportunity"), "0");
}

TEST_P(Mirror, the_end_of_a_load_keeps_the_newest_of_each_id_and_of_equals_the_last_to_arrive) {
    append({{1, {{"Name", "old"}}, 100}, {2, {{"Name", "only"}}}, {3, {{"Name", "newest"}}, 300}});
    append({{1, {{"Name", "first"}}, 200}, {1, {{"Name", "last"}}, 200}, {3, {{"Name", "older"}}, 200}});
    Batch unstamped = page({{2, {{"Name", "no stamp"}}}});
    unstamped.drop_last_row();
    const auto row = unstamped.add_row();
    const std::string id = id_of(2);
    row[0] = Cell::text(id);
    db->write([&](Transaction& tx) { append_page(tx, shape, unstamped, {}); });
    finish();
    EXPECT_EQ(lines("SELECT id, name FROM crm_opportunity ORDER BY id"),
              (std::vector<std::string>{id_of(1) + "|last", id_of(2) + "|only", id_of(3) + "|newest"}));
    finish();
    EXPECT_EQ(value("SELECT count(*) FROM crm_opportunity"), "3");
    EXPECT_NE(failure_of([&] { run("INSERT INTO crm_opportunity (ls_row, id) VALUES (99, '" + id_of(1) + "')"); }), "");
    EXPECT_EQ(hear_now({{3, {{"Name", "newest"}}, 300}, {4, {}}}).rows[1].row, 8) << "row numbers go on";
}

TEST_P(Mirror, a_load_that_was_cut_short_while_it_looked_for_repeats_can_be_ended_again) {
    append({{1, {{"Name", "a"}}}, {1, {{"Name", "b"}}}});
    db->define("CREATE INDEX \"crm_opportunity$repeats\" ON crm_opportunity (id)");
    finish();
    EXPECT_EQ(lines("SELECT name FROM crm_opportunity"), (std::vector<std::string>{"b"}));
}

TEST_P(Mirror, a_load_in_shuffled_pages_with_repeats_equals_hearing_the_records_one_by_one) {
    std::mt19937 numbers(11);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same test each time
    std::vector<Heard> records;
    for (int i = 0; i < 3000; ++i) {
        const int stamp = static_cast<int>(numbers() % 50);
        records.push_back({static_cast<int>(numbers() % 2000),
                           {{"Name", "n" + std::to_string(i)}, {"Amount", std::to_string(numbers() % 100)}},
                           stamp});
    }
    for (std::size_t from = 0; from < records.size(); from += 700) {
        append({records.begin() + static_cast<std::ptrdiff_t>(from),
                records.begin() + static_cast<std::ptrdiff_t>(std::min(from + 700, records.size()))});
    }
    finish();
    const std::string content = "SELECT id, name, amount, systemmodstamp FROM crm_opportunity ORDER BY id";
    const auto loaded = lines(content);
    run("DELETE FROM crm_opportunity");
    for (std::size_t from = 0; from < records.size(); from += 500) {
        hear_now({records.begin() + static_cast<std::ptrdiff_t>(from),
                  records.begin() + static_cast<std::ptrdiff_t>(std::min(from + 500, records.size()))});
    }
    EXPECT_EQ(lines(content), loaded);
}

// Many records that change in many different ways: the updates are put together, and still each row gets its own
// values.
TEST_P(Mirror, every_combination_of_changed_fields_is_written_right) {
    finish();
    const std::vector<std::string> names{"Name", "StageName", "Amount", "AccountId"};
    std::vector<Heard> before;
    std::vector<Heard> after;
    for (int i = 0; i < 64; ++i) {
        std::map<std::string, std::string> fields{
            {"Name", "n"}, {"StageName", "s"}, {"Amount", "1"}, {"AccountId", "001"}};
        before.push_back({i, fields});
        const int mask = i % 16;
        for (int bit = 0; bit < 4; ++bit) {
            const std::string& name = names[static_cast<std::size_t>(bit)];
            if ((mask >> bit & 1) != 0) fields[name] = std::to_string(i + 100);
        }
        if (i >= 32) fields.erase("Amount");
        after.push_back({i, fields, i % 3 == 0 ? 100 : 200});
    }
    hear_now(before);
    std::vector<std::string> expected;
    for (const Heard& heard : after) {
        const auto text = [&](const std::string& name) {
            return heard.fields.contains(name) ? heard.fields.at(name) : std::string("-");
        };
        expected.push_back(id_of(heard.number) + "|" + text("Name") + "|" + text("StageName") + "|" + text("Amount") +
                           "|" + text("AccountId"));
    }
    std::ranges::sort(expected);
    const MirrorChanges moved = hear_now(after);
    EXPECT_EQ(lines("SELECT id, name, stagename, amount, accountid FROM crm_opportunity ORDER BY id"), expected);
    std::int64_t changed = 0;
    for (const RowChange& row : moved.rows) changed += row.kind == Kind::Updated ? 1 : 0;
    EXPECT_EQ(static_cast<std::int64_t>(log_after(64).size()), changed);
}

TEST_P(Mirror, a_page_of_another_shape_or_without_ids_is_a_bug) {
    finish();
    Batch narrow({Form::Text});
    narrow.add_row()[0] = Cell::text("006");
    EXPECT_THROW(db->write([&](Transaction& tx) { hear(tx, shape, narrow, Class::News, {}); }), Bug);
    Batch nameless(shape.forms());
    nameless.add_row();
    EXPECT_THROW(db->write([&](Transaction& tx) { hear(tx, shape, nameless, Class::News, {}); }), Bug);
    EXPECT_THROW(db->write([&](Transaction& tx) { append_page(tx, shape, nameless, {}); }), Bug);
}

}  // namespace

}  // namespace lockstep::store

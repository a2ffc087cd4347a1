#include "store/catalog.h"

#include <algorithm>

#include "store/migrations.h"
#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

using record::Object;

class Catalogs : public OnBothEngines {
protected:
    Catalog read_catalog() {
        Catalog catalog;
        db->read([&](Connection& session) { catalog = Catalog::read(session); });
        return catalog;
    }
    SchemaNews take(const Object& object) {
        Catalog catalog = read_catalog();
        return catalog.take(*db, object);
    }
    std::vector<std::string> columns(const std::string& table) {
        std::vector<std::string> names;
        db->read([&](Connection& session) { names = table_columns(session, table); });
        return names;
    }
    const Object opportunity =
        object_of("Opportunity", {"Id:id", "Name:string", "StageName:picklist", "Amount:currency", "CloseDate:date",
                                  "AccountId:reference:Account", "IsClosed:boolean", "SystemModstamp:datetime"});
    static Object without(Object object, const std::string& field) {
        std::erase_if(object.fields, [&](const record::Field& one) { return one.name == field; });
        return object;
    }
    static Object with_type(Object object, const std::string& field, const std::string& type) {
        for (record::Field& one : object.fields) {
            if (one.name != field) continue;
            one.type = type;
            one.form = record::form_of(type).value();
        }
        return object;
    }
};
INSTANTIATE_TEST_SUITE_P(, Catalogs, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

TEST_P(Catalogs, an_object_gets_a_table_and_comes_back_as_it_was_described) {
    Object described = opportunity;
    described.label = "Deal";
    described.key_prefix = "006";
    described.custom = true;
    described.undeletable = false;
    described.replicateable = false;
    record::Field& amount = described.fields[3];
    amount = {.name = "Amount",
              .label = "Betrag",
              .type = "currency",
              .form = Form::Real,
              .length = 1,
              .precision = 18,
              .scale = 2,
              .nillable = false,
              .calculated = true,
              .auto_number = true,
              .createable = true,
              .updateable = true,
              .filterable = false,
              .custom = true,
              .unique = true,
              .external_id = true,
              .relationship = "Sum",
              .reference_to = {"Lead", "Contact"},
              .formula = "1 + 1"};
    const SchemaNews news = take(described);
    EXPECT_EQ(news.added.size(), 8U);
    EXPECT_EQ(columns("crm_opportunity"),
              (std::vector<std::string>{"ls_row", "ls_position", "id", "name", "stagename", "amount", "closedate",
                                        "accountid", "isclosed", "systemmodstamp"}));
    const Catalog catalog = read_catalog();
    const MirrorObject* const known = catalog.find("OPPORTUNITY");
    ASSERT_NE(known, nullptr);
    EXPECT_EQ(known->object, described);
    EXPECT_EQ(known->table, "crm_opportunity");
    ASSERT_NE(known->find("stagename"), nullptr);
    EXPECT_EQ(known->find("StageName")->column, "stagename");
    EXPECT_TRUE(known->find("StageName")->live);
    EXPECT_TRUE(known->find("StageName")->filled);
    EXPECT_EQ(known->find("StageName")->known_since, Timestamp{1795509000});
    EXPECT_EQ(known->find("Nothing"), nullptr);
    EXPECT_EQ(catalog.find("Lead"), nullptr);
    EXPECT_EQ(lines("SELECT Id, StageName FROM crm_Opportunity").size(), 0U) << "unquoted names find it";
}

TEST_P(Catalogs, the_same_describe_again_is_no_news) {
    take(opportunity);
    clock.advance_s(1000);
    EXPECT_TRUE(take(opportunity).empty());
    EXPECT_EQ(read_catalog().find("Opportunity")->find("Name")->known_since, Timestamp{1795509000});
}

TEST_P(Catalogs, what_take_made_of_it_is_what_read_finds) {
    Catalog catalog;
    for (const Object& object :
         {object_of("Lead", {"Id:id"}), opportunity, object_of("Account", {"Id:id", "Name:string"})}) {
        catalog.take(*db, object);
    }
    catalog.take(*db, without(opportunity, "Amount"));
    EXPECT_EQ(catalog.objects(), read_catalog().objects());
}

TEST_P(Catalogs, a_new_field_joins_unfilled_where_there_are_rows_and_filled_where_not) {
    take(without(opportunity, "Amount"));
    EXPECT_EQ(take(opportunity).added, (std::vector<std::string>{"Amount"}));
    EXPECT_TRUE(read_catalog().find("Opportunity")->find("Amount")->filled);

    run("INSERT INTO crm_opportunity (ls_row, id) VALUES (1, '006')");
    Object more = opportunity;
    more.fields.push_back({.name = "Region__c", .label = "Region", .type = "string"});
    EXPECT_EQ(take(more).added, (std::vector<std::string>{"Region__c"}));
    Catalog catalog = read_catalog();
    EXPECT_FALSE(catalog.find("Opportunity")->find("Region__c")->filled);
    EXPECT_EQ(value("SELECT count(*) FROM crm_opportunity WHERE region__c IS NULL"), "1");
    catalog.mark_filled(*db, "opportunity", "region__C");
    EXPECT_TRUE(catalog.find("Opportunity")->find("Region__c")->filled);
    EXPECT_TRUE(read_catalog().find("Opportunity")->find("Region__c")->filled);
    EXPECT_THROW(catalog.mark_filled(*db, "Opportunity", "Nothing"), Bug);
}

TEST_P(Catalogs, a_field_that_can_not_be_read_any_more_keeps_its_values_and_may_come_back) {
    take(opportunity);
    run("INSERT INTO crm_opportunity (ls_row, id, amount) VALUES (1, '006', 7)");
    clock.advance_s(1000);
    EXPECT_EQ(take(without(opportunity, "Amount")).unreadable, (std::vector<std::string>{"Amount"}));
    {
        const Catalog catalog = read_catalog();
        const MirrorField* const amount = catalog.find("Opportunity")->find("Amount");
        ASSERT_NE(amount, nullptr);
        EXPECT_FALSE(amount->live);
        EXPECT_EQ(amount->unreadable_since, Timestamp{1795510000});
        EXPECT_FALSE(catalog.find("Opportunity")->object.has("Amount"));
    }
    clock.advance_s(1000);
    EXPECT_TRUE(take(without(opportunity, "Amount")).empty());
    EXPECT_EQ(value("SELECT amount FROM crm_opportunity"), "7");
    EXPECT_EQ(take(opportunity).readable_again, (std::vector<std::string>{"Amount"}));
    const Catalog catalog = read_catalog();
    EXPECT_EQ(catalog.find("Opportunity")->object, opportunity);
    EXPECT_EQ(catalog.find("Opportunity")->find("Amount")->known_since, Timestamp{1795509000});
    EXPECT_EQ(catalog.find("Opportunity")->find("Amount")->unreadable_since, std::nullopt);
    EXPECT_FALSE(catalog.find("Opportunity")->find("Amount")->filled) << "its values stood still meanwhile";
}

TEST_P(Catalogs, a_field_of_another_form_gets_a_fresh_column_and_the_old_values_are_kept) {
    take(opportunity);
    run("INSERT INTO crm_opportunity (ls_row, id, stagename) VALUES (1, '006', 'Open')");
    build_mirror_indexes(*db, *read_catalog().find("Opportunity"), {"StageName"});
    EXPECT_EQ(take(with_type(opportunity, "StageName", "datetime")).changed, (std::vector<std::string>{"StageName"}));
    EXPECT_EQ(lines("SELECT stagename, stagename__v1 FROM crm_opportunity"), (std::vector<std::string>{"-|Open"}));
    run("UPDATE crm_opportunity SET stagename__v1 = 'Won'");
    EXPECT_EQ(take(with_type(opportunity, "StageName", "int")).changed, (std::vector<std::string>{"StageName"}));
    EXPECT_EQ(lines("SELECT stagename, stagename__v2, stagename__v1 FROM crm_opportunity"),
              (std::vector<std::string>{"-|-|Won"}));
    const Catalog catalog = read_catalog();
    const MirrorObject& known = *catalog.find("Opportunity");
    EXPECT_EQ(known.find("StageName")->field.form, Form::Integer);
    EXPECT_FALSE(known.find("StageName")->filled);
    EXPECT_EQ(known.find("StageName__v1")->field.form, Form::Text);
    EXPECT_FALSE(known.find("StageName__v2")->live);
    for (int again = 0; again < 2; ++again) ensure_mirror_index(*db, known, "StageName");
    EXPECT_THROW(ensure_mirror_index(*db, known, "Nothing"), Bug);
    run("UPDATE crm_opportunity SET stagename = 3");
    EXPECT_EQ(value("SELECT stagename FROM crm_opportunity WHERE stagename = 3"), "3");
}

// Each statement that changes the table may be the last one before a crash; the catalog is written after them.
TEST_P(Catalogs, a_take_that_was_cut_short_is_finished_by_the_next) {
    take(opportunity);
    run("INSERT INTO crm_opportunity (ls_row, id, stagename) VALUES (1, '006', 'Open')");
    if (GetParam() == Engine::Sqlite) db->define("DROP VIEW crm_opportunity_readable");
    db->define("ALTER TABLE crm_opportunity RENAME COLUMN stagename TO stagename__v1");
    Object next = with_type(opportunity, "StageName", "datetime");
    next.fields.push_back({.name = "Region__c", .label = "Region", .type = "string"});
    EXPECT_EQ(take(next).changed, (std::vector<std::string>{"StageName"}));
    EXPECT_EQ(lines("SELECT stagename, stagename__v1, region__c FROM crm_opportunity"),
              (std::vector<std::string>{"-|Open|-"}));
    EXPECT_TRUE(take(next).empty());

    // A table without a word in the catalog.
    db->define(with_types("CREATE TABLE crm_lead (ls_row {integer}, ls_position {integer}, id {text})", db->dialect()));
    take(object_of("Lead", {"Id:id", "Email:email"}));
    run("INSERT INTO crm_lead (ls_row, id, email) VALUES (1, '00Q', 'a@b.c')");
    EXPECT_EQ(value("SELECT email FROM crm_lead"), "a@b.c");
}

TEST_P(Catalogs, an_object_with_too_many_fields_keeps_those_the_sync_lives_on) {
    Object wide = object_of("Wide__c", {"Id:id"});
    for (int i = 0; i < 1300; ++i) wide.fields.push_back({.name = "F" + std::to_string(i) + "__c", .type = "string"});
    wide.fields.push_back(opportunity.fields[5]);  // AccountId
    wide.fields.push_back(opportunity.fields[7]);  // SystemModstamp
    const SchemaNews news = take(wide);
    EXPECT_EQ(news.left_out.size(), 103U);
    EXPECT_EQ(news.left_out.back(), "F1299__c");
    const Catalog catalog = read_catalog();
    const MirrorObject& known = *catalog.find("Wide__c");
    EXPECT_EQ(known.object.fields.size(), 1200U);
    EXPECT_TRUE(known.object.has("SystemModstamp"));
    EXPECT_TRUE(known.object.has("AccountId"));
    EXPECT_TRUE(take(wide).empty());
    EXPECT_EQ(take(wide).left_out.size(), 103U);

    // A page of all its columns goes in and is found again.
    finish_load(*db, known);
    const PageShape shape = full_shape(known);
    Batch page(shape.forms());
    const auto row = page.add_row();
    row[0] = Cell::text("a0B000000000001AAA");
    for (std::size_t i = 1; i < 300; ++i) {
        if (row[i].form() == Form::Text) row[i] = Cell::text("value");
    }
    db->write([&](Transaction& tx) { hear(tx, shape, page, Class::News, {}); });
    db->write([&](Transaction& tx) {
        EXPECT_EQ(hear(tx, shape, page, Class::News, {}).rows.at(0).kind, RowChange::Kind::Same);
    });
}

TEST_P(Catalogs, objects_with_very_long_names_have_tables_of_their_own) {
    const std::string start = "averylongnamespace__ThisIsAVeryLongNameOfAnObjectFor";
    take(object_of(start + "LeftHands__c", {"Id:id"}));
    take(object_of(start + "LeftFeet__c", {"Id:id"}));
    const Catalog catalog = read_catalog();
    ASSERT_EQ(catalog.objects().size(), 2U);
    EXPECT_NE(catalog.objects()[0].table, catalog.objects()[1].table);
    for (const MirrorObject& object : catalog.objects()) EXPECT_EQ(columns(object.table).size(), 3U);
}

class SqliteCatalog : public Catalogs {};
INSTANTIATE_TEST_SUITE_P(, SqliteCatalog, ::testing::Values(Engine::Sqlite), engine_name);

TEST_P(SqliteCatalog, a_view_shows_moments_as_people_read_them) {
    take(opportunity);
    db->write([](Transaction& tx) {
        tx.db().run(
            "INSERT INTO crm_opportunity (ls_row, id, amount, closedate, systemmodstamp) VALUES (1, '006', 7.5, ?, ?)",
            params(Cell::date({20781}), Cell::timestamp({1795509000})));
    });
    EXPECT_EQ(lines("SELECT id, amount, closedate, systemmodstamp FROM crm_opportunity_readable"),
              (std::vector<std::string>{"006|7.5|2026-11-24|2026-11-24T08:30:00Z"}));
    EXPECT_EQ(value("SELECT systemmodstamp + closedate FROM crm_opportunity"), "3590987400");
    Object more = opportunity;
    more.fields.push_back({.name = "Signed__c", .type = "date", .form = Form::Date});
    take(more);
    EXPECT_EQ(value("SELECT signed__c FROM crm_opportunity_readable"), "");
}

}  // namespace

}  // namespace lockstep::store

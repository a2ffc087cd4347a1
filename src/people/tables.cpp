#include "people/tables.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "people/people.h"
#include "store/migrations.h"

namespace lockstep::people {

namespace {

struct Standard {
    const char* table;
    const char* column;
    const char* label;
    Form form;
};

// Labels are those the original shows to its users (domain 2.2, 2.3, 7.2); "SFDC Type" of a company is called Account
// Type, because one label for two things confuses.
constexpr std::array kStandard{
    Standard{"person", "email", "Email Address", Form::Text},
    Standard{"person", "first_name", "First Name", Form::Text},
    Standard{"person", "last_name", "Last Name", Form::Text},
    Standard{"person", "salutation", "Salutation", Form::Text},
    Standard{"person", "title", "Job Title", Form::Text},
    Standard{"person", "phone", "Phone Number", Form::Text},
    Standard{"person", "mobile_phone", "Mobile Phone Number", Form::Text},
    Standard{"person", "fax", "Fax Number", Form::Text},
    Standard{"person", "street", "Address", Form::Text},
    Standard{"person", "city", "City", Form::Text},
    Standard{"person", "state", "State", Form::Text},
    Standard{"person", "postal_code", "Postal Code", Form::Text},
    Standard{"person", "country", "Country", Form::Text},
    Standard{"person", "notes", "Person Notes", Form::Text},
    Standard{"person", "source", "Person Source", Form::Text},
    Standard{"person", "lead_status", "Status", Form::Text},
    Standard{"person", "rating", "Rating", Form::Text},
    Standard{"person", "birthdate", "Date of Birth", Form::Date},
    Standard{"person", "owner", "Sales Owner", Form::Text},
    Standard{"person", "sfdc_created_at", "SFDC Created Date", Form::Timestamp},
    Standard{"person", "sfdc_is_deleted", "SFDC Is Deleted", Form::Boolean},
    Standard{"person", "sfdc_is_converted", "SFDC Is Converted", Form::Boolean},
    Standard{"person", "sfdc_converted_on", "SFDC Converted Date", Form::Date},
    Standard{"company", "name", "Company Name", Form::Text},
    Standard{"company", "site", "Site", Form::Text},
    Standard{"company", "main_phone", "Main Phone", Form::Text},
    Standard{"company", "account_type", "Account Type", Form::Text},
    Standard{"company", "billing_street", "Billing Address", Form::Text},
    Standard{"company", "billing_city", "Billing City", Form::Text},
    Standard{"company", "billing_state", "Billing State", Form::Text},
    Standard{"company", "billing_postal_code", "Billing Postal Code", Form::Text},
    Standard{"company", "billing_country", "Billing Country", Form::Text},
    Standard{"company", "annual_revenue", "Annual Revenue", Form::Real},
    Standard{"company", "employees", "Num Employees", Form::Integer},
    Standard{"company", "industry", "Industry", Form::Text},
    Standard{"company", "sic_code", "SIC Code", Form::Text},
    Standard{"company", "website", "Website", Form::Text},
    Standard{"company", "notes", "Company Notes", Form::Text},
    Standard{"company", "owner", "Account Owner", Form::Text},
    Standard{"company", "sfdc_is_deleted", "SFDC Is Deleted", Form::Boolean},
};

std::string table_with_fields(std::string_view table, const std::string& own_columns) {
    std::string ddl = "CREATE TABLE IF NOT EXISTS " + std::string(table) + " (" + own_columns;
    for (const Standard& field : kStandard) {
        if (table == field.table) ddl += ", " + std::string(field.column) + " {" + record::name(field.form) + "}";
    }
    return ddl + ")";
}

std::vector<store::Migration> migrations() {
    store::Migration first{
        .version = 1,
        .statements = {
            table_with_fields("person",
                              "id {integer} PRIMARY KEY, company {integer}, merged_into {integer}, "
                              "email_folded {text}"),
            table_with_fields("company", "id {integer} PRIMARY KEY, crm_id {text}"),
            "CREATE UNIQUE INDEX IF NOT EXISTS company_by_crm_id ON company (crm_id)",
            "CREATE TABLE IF NOT EXISTS identity (crm_id {text} PRIMARY KEY, person {integer} NOT NULL, object {text} "
            "NOT "
            "NULL, live {boolean} NOT NULL, how {text} NOT NULL, since {timestamp} NOT NULL)",
            "CREATE TABLE IF NOT EXISTS consent (address {text} NOT NULL, kind {text} NOT NULL, state {text} NOT NULL, "
            "source {text} NOT NULL, at {timestamp} NOT NULL, PRIMARY KEY (address, kind))",
            "CREATE TABLE IF NOT EXISTS opportunity_link (role {integer} PRIMARY KEY, opportunity {integer} NOT NULL, "
            "person {integer} NOT NULL, live {boolean} NOT NULL)",
            "CREATE TABLE IF NOT EXISTS missing_parent (child {text} NOT NULL, child_id {text} NOT NULL, parent {text} "
            "NOT "
            "NULL, parent_id {text} NOT NULL, tries {integer} NOT NULL, since {timestamp} NOT NULL, "
            "PRIMARY KEY (child, child_id, parent))",
            "CREATE TABLE IF NOT EXISTS our_field (table_name {text} NOT NULL, column_name {text} NOT NULL, label "
            "{text} "
            "NOT NULL, form {text} NOT NULL, origin {text} NOT NULL, PRIMARY KEY (table_name, column_name))",
        }};
    for (const Standard& field : kStandard) {
        first.statements.push_back(
            std::string("INSERT INTO our_field (table_name, column_name, label, form, origin) VALUES "
                        "('") +
            field.table + "', '" + field.column + "', '" + field.label + "', '" + record::name(field.form) +
            "', 'standard') ON CONFLICT DO NOTHING");
    }
    return {std::move(first)};
}

}  // namespace

void make_tables(store::Database& db) {
    store::migrate(db, "people", migrations());
}

void make_indexes(store::Database& db) {
    db.define("CREATE INDEX IF NOT EXISTS person_by_email ON person (email_folded)");
    db.define("CREATE INDEX IF NOT EXISTS person_by_company ON person (company)");
    db.define("CREATE INDEX IF NOT EXISTS identity_by_person ON identity (person)");
    db.define("CREATE INDEX IF NOT EXISTS link_by_person ON opportunity_link (person, opportunity)");
    db.define("CREATE INDEX IF NOT EXISTS link_by_opportunity ON opportunity_link (opportunity, person)");
}

void drop_link_indexes(store::Database& db) {
    for (const char* const index : {"link_by_person", "link_by_opportunity"}) {
        db.define(std::string("DROP INDEX IF EXISTS ") + index);
    }
}

}  // namespace lockstep::people

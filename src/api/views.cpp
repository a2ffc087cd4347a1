#include "api/views.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/sfid.h"
#include "base/text.h"
#include "people/people.h"
#include "store/catalog.h"

namespace lockstep::api {

using record::Cell;
using record::Form;
using record::Value;
using store::params;

namespace {

/// Which columns of a mirror table exist: what the sync user never saw has none.
class Columns {
public:
    Columns(const store::Catalog& catalog, std::string_view object) : object_(catalog.find(object)) {}
    bool table() const { return object_ != nullptr; }
    bool has(std::string_view field) const { return object_ != nullptr && object_->find(field) != nullptr; }
    /// "o.amount", or NULL.
    std::string of(const std::string& alias, std::string_view field) const {
        return has(field) ? alias + "." + store::quoted(object_->find(field)->column) : "NULL";
    }

private:
    const store::MirrorObject* object_;
};

std::string text(const Cell& cell) {
    return record::to_text(cell);
}
std::optional<double> number(const Cell& cell) {
    if (cell.is_null()) return std::nullopt;
    return cell.form() == Form::Integer ? static_cast<double>(cell.as_integer()) : cell.as_real();
}

/// The code an amount is shown under: its own, else the org's one; "relabel" shows the org's always (domain 6.6).
class Currency {
public:
    Currency(store::Connection& db, const sync::Settings& settings)
        : default_(store::setting(db, "currency.default").value_or("")), relabel_(settings.currency == "relabel") {}
    std::string of(const Cell& own) const { return own.is_null() || relabel_ ? default_ : text(own); }

private:
    std::string default_;
    bool relabel_;
};

/// SELECT list and joins of an opportunity, and how its row is read.
class OpportunityQuery {
public:
    OpportunityQuery(store::Connection& db, const sync::Settings& settings)
        : catalog_(store::Catalog::read(db)),
          opportunity_(catalog_, "Opportunity"),
          account_(catalog_, "Account"),
          user_(catalog_, "User"),
          currency_(db, settings) {}

    bool possible() const { return opportunity_.table(); }
    bool has(std::string_view field) const { return opportunity_.has(field); }
    std::string column(std::string_view field) const { return opportunity_.of("o", field); }
    std::string account_name() const { return account_.table() ? account_.of("a", "Name") : "NULL"; }
    std::string owner_name() const { return user_.table() ? user_.of("u", "Name") : "NULL"; }
    std::string joins() const {
        std::string joins;
        if (account_.table() && has("AccountId")) joins += " LEFT JOIN crm_account a ON a.id = o.accountid";
        if (user_.table() && has("OwnerId")) joins += " LEFT JOIN crm_user u ON u.id = o.ownerid";
        return joins;
    }
    std::string columns() const {
        return column("Id") + ", " + column("Name") + ", " + column("StageName") + ", " + column("Type") + ", " +
               account_name() + ", " + owner_name() + ", " + column("CurrencyIsoCode") + ", " + column("Amount") +
               ", " + column("ExpectedRevenue") + ", " + column("Probability") + ", " + column("CloseDate") + ", " +
               column("IsClosed") + ", " + column("IsWon") + ", " + column("LastModifiedDate");
    }
    static constexpr std::size_t kColumns = 14;
    OpportunityInfo read(std::span<const Cell> row) const {
        OpportunityInfo info;
        info.id = text(row[0]);
        info.name = text(row[1]);
        info.stage = text(row[2]);
        info.type = text(row[3]);
        info.account = text(row[4]);
        info.owner = text(row[5]);
        info.currency = currency_.of(row[6]);
        info.amount = number(row[7]);
        info.expected_revenue = number(row[8]);
        info.probability = number(row[9]);
        if (!row[10].is_null()) info.close_date = row[10].as_date();
        info.closed = row[11].is_true();
        info.won = row[12].is_true();
        if (!row[13].is_null()) info.updated = row[13].as_timestamp();
        return info;
    }
    const Currency& currency() const { return currency_; }
    const store::Catalog& catalog() const { return catalog_; }

private:
    store::Catalog catalog_;
    Columns opportunity_, account_, user_;
    Currency currency_;
};

std::optional<PersonView::Owner> owner(store::Connection& db, const store::Catalog& catalog,
                                       const std::string& user_id) {
    if (user_id.empty()) return std::nullopt;
    PersonView::Owner owner;
    owner.id = user_id;
    const Columns user(catalog, "User");
    // A queue owns a lead without being anybody: the owner fields stay empty (domain 6.1).
    if (!user.table()) return owner;
    bool found = false;
    db.query("SELECT " + user.of("u", "Name") + ", " + user.of("u", "Email") + ", " + user.of("u", "Title") + ", " +
                 user.of("u", "Phone") + " FROM crm_user u WHERE u.id = ?",
             params(Cell::text(user_id)), [&](std::span<const Cell> row) {
                 owner.name = text(row[0]);
                 owner.email = text(row[1]);
                 owner.title = text(row[2]);
                 owner.phone = text(row[3]);
                 found = true;
                 return false;
             });
    if (found) return owner;
    const Columns group(catalog, "Group");
    if (group.table()) {
        const auto name = db.text("SELECT " + group.of("g", "Name") + " FROM crm_group g WHERE g.id = ?",
                                  params(Cell::text(user_id)));
        if (name) owner.name = *name + " (queue)";
    }
    return owner;
}

std::vector<PersonView::Field> fields_of(store::Connection& db, const people::Fields& fields, const std::string& table,
                                         std::int64_t id) {
    std::vector<const people::OurField*> columns;
    std::string sql = "SELECT id";
    for (const people::OurField& field : fields.all()) {
        if (field.table != table) continue;
        columns.push_back(&field);
        sql += ", " + store::quoted(field.column);
    }
    std::vector<PersonView::Field> found;
    db.query(sql + " FROM " + table + " WHERE id = ?", params(Cell::integer(id)), [&](std::span<const Cell> row) {
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (row[i + 1].is_null()) continue;
            found.push_back({columns[i]->column, columns[i]->label, Value(row[i + 1])});
        }
        return false;
    });
    return found;
}

std::string value_of(const std::vector<PersonView::Field>& fields, std::string_view column) {
    for (const PersonView::Field& field : fields) {
        if (field.column == column) return text(field.value.cell());
    }
    return {};
}

std::vector<OpportunityTotal> totals_of(const std::vector<OpportunityInfo>& opportunities) {
    std::map<std::string, OpportunityTotal> by_code;
    for (const OpportunityInfo& info : opportunities) {
        OpportunityTotal& total = by_code[info.currency];
        total.currency = info.currency;
        ++total.count;
        total.amount += info.amount.value_or(0);
        total.expected_revenue += info.expected_revenue.value_or(0);
    }
    std::vector<OpportunityTotal> totals;
    totals.reserve(by_code.size());
    for (auto& [code, total] : by_code) totals.push_back(std::move(total));
    return totals;
}

}  // namespace

std::vector<OpportunityInfo> opportunities_of(store::Connection& db, std::int64_t person,
                                              const sync::Settings& settings) {
    std::vector<OpportunityInfo> found;
    const OpportunityQuery query(db, settings);
    const Columns role(query.catalog(), "OpportunityContactRole");
    if (!query.possible() || !role.table()) return found;
    // Several roles on one opportunity are one row: the primary one speaks, else the oldest.
    std::unordered_map<std::string, std::size_t> seen;
    db.query("SELECT " + query.columns() + ", " + role.of("r", "Role") +
                 ", r.isprimary FROM opportunity_link l "
                 "JOIN crm_opportunity o ON o.ls_row = l.opportunity JOIN crm_opportunitycontactrole r ON r.ls_row = "
                 "l.role" +
                 query.joins() + " WHERE l.person = ? AND l.live ORDER BY " +
                 (query.has("CloseDate") ? "o.closedate DESC, " : std::string()) + "o.id, r.ls_row",
             params(Cell::integer(person)), [&](std::span<const Cell> row) {
                 OpportunityInfo info = query.read(row);
                 info.role = text(row[OpportunityQuery::kColumns]);
                 info.primary = row[OpportunityQuery::kColumns + 1].is_true();
                 const auto [place, fresh] = seen.emplace(info.id, found.size());
                 if (fresh) {
                     found.push_back(std::move(info));
                 } else if (info.primary && !found[place->second].primary) {
                     found[place->second] = std::move(info);
                 }
                 return true;
             });
    return found;
}

std::optional<PersonView> person(store::Connection& db, std::int64_t id, const sync::Settings& settings) {
    PersonView view;
    view.id = id;
    std::optional<std::int64_t> company;
    bool exists = false;
    db.query("SELECT company FROM person WHERE id = ?", params(Cell::integer(id)), [&](std::span<const Cell> row) {
        exists = true;
        if (!row[0].is_null()) company = row[0].as_integer();
        return false;
    });
    if (!exists) return std::nullopt;
    const store::Catalog catalog = store::Catalog::read(db);
    const people::Fields fields = people::Fields::read(db);
    view.fields = fields_of(db, fields, "person", id);
    if (company) view.company = fields_of(db, fields, "company", *company);
    db.query("SELECT crm_id, object, how, live FROM identity WHERE person = ? ORDER BY live DESC, since, crm_id",
             params(Cell::integer(id)), [&](std::span<const Cell> row) {
                 view.identities.push_back({text(row[0]), text(row[1]), text(row[2]), row[3].is_true()});
                 return true;
             });
    for (const PersonView::Identity& identity : view.identities) {
        if (identity.live && view.sfdc_type != "Contact") view.sfdc_type = identity.object;
    }
    if (view.sfdc_type.empty() && !view.identities.empty()) view.sfdc_type = view.identities.front().object;
    view.sales_owner = owner(db, catalog, value_of(view.fields, "owner"));
    // Account owner fields are for contacts only (domain 6.5).
    if (view.sfdc_type == "Contact") view.account_owner = owner(db, catalog, value_of(view.company, "owner"));
    view.opportunities = opportunities_of(db, id, settings);
    view.totals = totals_of(view.opportunities);
    const std::string address = fold(value_of(view.fields, "email"));
    view.unsubscribed = !address.empty() && db.text("SELECT state FROM consent WHERE address = ? AND kind = 'email'",
                                                    params(Cell::text(address))) == "out";
    return view;
}

namespace {

/// Why an opportunity has no living link, most telling first.
std::string orphan_reason_sql() {
    return "CASE WHEN NOT EXISTS (SELECT 1 FROM crm_opportunitycontactrole r WHERE r.opportunityid = o.id AND NOT "
           "r.isdeleted) THEN 'no contact role' "
           "WHEN EXISTS (SELECT 1 FROM missing_parent m JOIN crm_opportunitycontactrole r ON r.id = m.child_id WHERE "
           "r.opportunityid = o.id AND m.parent = 'Contact') THEN 'contact not visible' "
           "ELSE 'contact deleted' END";
}

std::string orphans_where() {
    return " WHERE NOT o.isdeleted AND NOT EXISTS (SELECT 1 FROM opportunity_link l WHERE l.opportunity = o.ls_row AND "
           "l.live)";
}

}  // namespace

std::vector<Orphan> orphans(store::Connection& db, const sync::Settings& settings, int rows_max) {
    std::vector<Orphan> found;
    const OpportunityQuery query(db, settings);
    if (!query.possible() || !Columns(query.catalog(), "OpportunityContactRole").table()) return found;
    db.query("SELECT " + query.columns() + ", " + orphan_reason_sql() + " FROM crm_opportunity o" + query.joins() +
                 orphans_where() + " ORDER BY o.id LIMIT ?",
             params(Cell::integer(rows_max)), [&](std::span<const Cell> row) {
                 const OpportunityInfo info = query.read(row);
                 found.push_back({info.id, info.name, info.stage, info.account, info.owner, info.currency, info.amount,
                                  text(row[OpportunityQuery::kColumns])});
                 return true;
             });
    return found;
}

std::vector<OrphanGroup> orphan_groups(store::Connection& db, const sync::Settings& settings) {
    std::vector<OrphanGroup> groups;
    const OpportunityQuery query(db, settings);
    if (!query.possible() || !Columns(query.catalog(), "OpportunityContactRole").table()) return groups;
    db.query("SELECT reason, code, count(*), sum(amount) FROM (SELECT " + orphan_reason_sql() + " AS reason, " +
                 query.column("CurrencyIsoCode") + " AS code, " + query.column("Amount") +
                 " AS amount FROM crm_opportunity o" + orphans_where() +
                 ") q GROUP BY reason, code ORDER BY reason, code",
             {}, [&](std::span<const Cell> row) {
                 groups.push_back(
                     {text(row[0]), query.currency().of(row[1]), row[2].as_integer(), number(row[3]).value_or(0)});
                 return true;
             });
    return groups;
}

std::vector<OpportunityInfo> opportunities(store::Connection& db, const sync::Settings& settings, int rows_max) {
    std::vector<OpportunityInfo> found;
    const OpportunityQuery query(db, settings);
    if (!query.possible()) return found;
    db.query("SELECT " + query.columns() + " FROM crm_opportunity o" + query.joins() +
                 " WHERE NOT o.isdeleted ORDER BY o.systemmodstamp DESC, o.id LIMIT ?",
             params(Cell::integer(rows_max)), [&](std::span<const Cell> row) {
                 found.push_back(query.read(row));
                 return true;
             });
    return found;
}

std::vector<AccountStage> opportunities_by_account_and_stage(store::Connection& db, const sync::Settings& settings) {
    std::vector<AccountStage> found;
    const OpportunityQuery query(db, settings);
    if (!query.possible()) return found;
    db.query("SELECT account, stage, code, count(*), sum(amount) FROM (SELECT " + query.account_name() +
                 " AS account, " + query.column("StageName") + " AS stage, " + query.column("CurrencyIsoCode") +
                 " AS code, " + query.column("Amount") + " AS amount FROM crm_opportunity o" + query.joins() +
                 " WHERE NOT o.isdeleted) q GROUP BY account, stage, code ORDER BY account, stage, code",
             {}, [&](std::span<const Cell> row) {
                 found.push_back({text(row[0]), text(row[1]), query.currency().of(row[2]), row[3].as_integer(),
                                  number(row[4]).value_or(0)});
                 return true;
             });
    return found;
}

namespace {

/// What a pair's other side is: where the value of ours lives, for a record of the mirror.
struct OurSide {
    std::int64_t person = 0, company = 0;
    bool company_is_own = false;
};

OurSide our_side(store::Connection& db, const sync::ObjectRules& rules, const std::string& id) {
    OurSide side;
    if (rules.role == sync::Role::Company) {
        side.company = db.integer("SELECT id FROM company WHERE crm_id = ?", params(Cell::text(id))).value_or(0);
    } else if (rules.role == sync::Role::Person) {
        side.person = db.integer("SELECT person FROM identity WHERE crm_id = ?", params(Cell::text(id))).value_or(0);
        db.query("SELECT c.id, c.crm_id FROM person p JOIN company c ON c.id = p.company WHERE p.id = ?",
                 params(Cell::integer(side.person)), [&](std::span<const Cell> row) {
                     side.company = row[0].as_integer();
                     side.company_is_own = row[1].is_null();
                     return false;
                 });
    }
    return side;
}

/// The newest log rows that set each column of a record, and the one it arrived with.
struct Origins {
    std::map<std::string, store::LoggedChange> by_column;
    std::optional<store::LoggedChange> arrival;
};

Origins origins_of(store::Connection& db, const std::string& table, const std::string& id) {
    Origins origins;
    for (store::LoggedChange& logged : store::changes_of(db, table, id, 10'000)) {
        if (logged.change.kind == store::ChangeKind::Insert && !origins.arrival) origins.arrival = logged;
        for (const store::Change::Field& field : logged.change.fields) {
            // References stand in every row, changed or not.
            if (!(field.before == field.after)) origins.by_column.emplace(field.column, logged);
        }
    }
    if (!origins.arrival) {
        const auto position =
            db.integer("SELECT ls_position FROM " + store::quoted(table) + " WHERE id = ?", params(Cell::text(id)));
        if (position) origins.arrival = store::change_at(db, *position);
    }
    return origins;
}

}  // namespace

Result<Explanation> explain(store::Connection& db, const sync::Rules& rules, std::string_view object,
                            std::string_view id_text) {
    const store::Catalog catalog = store::Catalog::read(db);
    const store::MirrorObject* const mirror = catalog.find(object);
    if (mirror == nullptr) {
        std::string known;
        for (const store::MirrorObject& one : catalog.objects()) known += (known.empty() ? "" : ", ") + one.object.name;
        return Error{.kind = Kind::NotFound,
                     .what = "There is no object " + std::string(object) + " here",
                     .hint = known.empty() ? "run lockstep sync --once first" : "known objects: " + known};
    }
    const auto id = normalize_id(id_text);
    if (!id) {
        return Error{.kind = Kind::NotFound,
                     .what = "\"" + std::string(id_text) + "\" is no Salesforce id",
                     .hint = "an id has 15 or 18 letters and digits, like 006000000000001AAA"};
    }
    Explanation explanation;
    explanation.object = mirror->object.name;
    explanation.id = *id;

    std::string sql = "SELECT ls_row";
    for (const store::MirrorField& field : mirror->fields) sql += ", " + store::quoted(field.column);
    std::vector<Value> values;
    db.query(sql + " FROM " + store::quoted(mirror->table) + " WHERE id = ?", params(Cell::text(*id)),
             [&](std::span<const Cell> row) {
                 for (const Cell& cell : row.subspan(1)) values.emplace_back(cell);
                 return false;
             });
    if (values.empty()) {
        return Error{.kind = Kind::NotFound,
                     .what = "There is no " + mirror->object.name + " " + *id + " here",
                     .hint = "if Salesforce shows it to the sync user, the next cycle brings it: lockstep sync --once"};
    }

    const Origins origins = origins_of(db, mirror->table, *id);
    const bool log_pruned = store::pruned_position(db) > 0;
    const sync::FreshnessByField fresh = sync::freshness_of(db, catalog, mirror->object.name);
    std::vector<sync::FieldRule> effective;
    OurSide side;
    if (const sync::ObjectRules* const object_rules = rules.find(mirror->object.name); object_rules != nullptr) {
        const record::Object* twin = nullptr;
        for (const sync::ObjectRules& other : rules.objects()) {
            if (other.role != sync::Role::Person || object_rules->role != sync::Role::Person) continue;
            const store::MirrorObject* const found = catalog.find(other.salesforce);
            if (found != nullptr && found != mirror) twin = &found->object;
        }
        effective = sync::effective_rules(*object_rules, mirror->object, twin);
        side = our_side(db, *object_rules, *id);
        if (side.person != 0) explanation.person = side.person;
    }
    std::map<std::string, store::Held, IgnoringCase> held;
    for (store::Held& one : store::held_fields(db, mirror->object.name, *id)) held[one.field] = std::move(one);

    for (std::size_t i = 0; i < mirror->fields.size(); ++i) {
        const store::MirrorField& field = mirror->fields[i];
        FieldExplanation told;
        told.field = field.field.name;
        told.column = field.column;
        told.base = values[i];
        told.theirs = values[i];
        if (const auto found = fresh.find(field.field.name); found != fresh.end()) told.freshness = found->second;
        if (field.column == "name") explanation.name = text(values[i].cell());
        if (field.column == "isdeleted") explanation.deleted = values[i].cell().is_true();
        if (const auto found = held.find(field.field.name); found != held.end()) {
            told.theirs = found->second.theirs;
            told.held_reason = found->second.reason;
        }
        const auto changed = origins.by_column.find(field.column);
        const store::LoggedChange* const origin = changed != origins.by_column.end() ? &changed->second
                                                  : origins.arrival                  ? &*origins.arrival
                                                                                     : nullptr;
        if (origin != nullptr) {
            told.position = origin->position;
            told.at = origin->at;
            told.call = origin->change.cause.call;
            told.kind = store::name(origin->change.kind);
            told.cycle = db.integer("SELECT cycle FROM step_history WHERE id = ?",
                                    params(Cell::integer(origin->change.cause.step)))
                             .value_or(0);
        } else if (log_pruned) {
            told.kind = "pruned";
        }
        if (!field.live) {
            told.reason = "no longer readable" +
                          (field.unreadable_since ? " since " + to_string(*field.unreadable_since) : std::string());
        }
        const auto rule = std::ranges::find_if(
            effective, [&](const sync::FieldRule& r) { return equals_ignoring_case(r.salesforce, field.field.name); });
        if (rule != effective.end()) {
            told.rule = rule->origin;
            std::string table = side.person == 0 ? "company" : "person", column = rule->ours;
            if (side.person != 0 && column.starts_with("company.")) {
                table = "company";
                column = column.substr(8);
            }
            const bool derived = table == "person" && (column == "company" || column == "unsubscribed");
            const std::int64_t row = table == "person" ? side.person : side.company;
            const bool ours_exists =
                row != 0 && !derived && (table == "person" || side.person == 0 || side.company_is_own);
            if (ours_exists) {
                told.ours_column = table + "." + column;
                db.query("SELECT " + store::quoted(column) + " FROM " + table + " WHERE id = ?",
                         params(Cell::integer(row)), [&](std::span<const Cell> cells) {
                             told.ours = Value(cells[0]);
                             return false;
                         });
            }
            if (told.ours) {
                const sync::Decision decision =
                    sync::decide(*rule, told.base.cell(), told.theirs.cell(), told.ours->cell());
                told.verdict = sync::name(decision.verdict);
                told.reason = told.held_reason.empty() ? decision.reason : told.held_reason;
            } else if (derived) {
                told.ours_column = column == "company" ? "person's company" : "consent of the e-mail address";
            }
        }
        explanation.fields.push_back(std::move(told));
    }
    return explanation;
}

Status status(store::Database& database, Timestamp now) {
    Status status;
    status.database = database.description();
    status.bytes = database.bytes();
    database.read([&](store::Connection& db) {
        status.organization_id = store::setting(db, "organization.id").value_or("");
        status.organization_name = store::setting(db, "organization.name").value_or("");
        status.url = store::setting(db, "connection.url").value_or("");
        const store::Catalog catalog = store::Catalog::read(db);
        for (const store::MirrorObject& object : catalog.objects()) {
            ObjectStatus one;
            one.object = object.object.name;
            const std::string table = store::quoted(object.table);
            one.rows = db.integer("SELECT count(*) FROM " + table).value_or(0);
            if (object.find("IsDeleted") != nullptr) {
                one.deleted_rows = db.integer("SELECT count(*) FROM " + table + " WHERE isdeleted").value_or(0);
            }
            if (const auto cursor = store::object_cursor(db, object.object.name); cursor) {
                one.state = store::name(cursor->state);
                one.watermark = cursor->watermark;
                one.complete_as_of = cursor->complete_as_of;
                one.load_rows = cursor->load_rows;
                one.load_expected = cursor->load_expected;
            }
            status.objects.push_back(std::move(one));
        }
        const auto count = [&](const char* sql) { return db.integer(sql).value_or(0); };
        status.people = count("SELECT count(*) FROM person WHERE merged_into IS NULL");
        status.companies = count("SELECT count(*) FROM company");
        status.links = count("SELECT count(*) FROM opportunity_link WHERE live");
        status.activities = count("SELECT count(*) FROM activity");
        status.log_position = store::last_position(db);
        status.log_pruned = store::pruned_position(db);
        status.open_errors = count("SELECT count(*) FROM sync_error WHERE resolved IS NULL");
        constexpr std::int64_t kDayS = 86'400;
        status.calls_24h = store::calls_since(db, now.plus(-kDayS));
        const auto steps = store::steps(db, 1);
        if (!steps.empty()) status.last_step = steps.front();
    });
    return status;
}

}  // namespace lockstep::api

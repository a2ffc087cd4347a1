#include "sync/opportunity_sync.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/text.h"
#include "people/people.h"

namespace lockstep::sync {

using record::Batch;
using record::Cell;
using record::Form;
using record::Value;
using store::params;
using store::RowChange;

namespace {

constexpr int kAdded = 34, kRemoved = 35, kUpdated = 36;  // domain 16.1

Timestamp stamp_of(const store::PageShape& shape, const Batch& page, std::size_t row, Timestamp otherwise) {
    if (shape.modstamp < 0) return otherwise;
    const Cell& cell = page.row(row)[static_cast<std::size_t>(shape.modstamp)];
    return cell.is_null() ? otherwise : cell.as_timestamp();
}

/// {"attribute":"Amount","old":5000,"new":7500}
std::string change_json(std::string_view attribute, const Cell& before, const Cell& after) {
    std::string out = "{\"attribute\":" + record::quoted_json(attribute) + ",\"old\":";
    record::append_json(out, before);
    out += ",\"new\":";
    record::append_json(out, after);
    return out + "}";
}

std::string update_attributes(std::string_view opportunity, const std::string& changes) {
    return "{\"Oppty ID\":" + record::quoted_json(opportunity) + ",\"changes\":[" + changes + "]}";
}

}  // namespace

/// A contact role as the mirror holds it.
struct OpportunitySync::RoleRow {
    std::int64_t row = 0;
    std::string id, opportunity, contact;
    Value role;
    bool primary = false, deleted = false;
};

std::string role_attributes(std::string_view opportunity, bool primary, const Cell& role) {
    std::string out =
        "{\"Oppty ID\":" + record::quoted_json(opportunity) + ",\"Is Primary\":" + (primary ? "true" : "false");
    if (!role.is_null()) out += ",\"Role\":" + record::quoted_json(role.as_text());  // empty attributes are left out
    return out + "}";
}

bool OpportunitySync::has(std::string_view object) const {
    return catalog_.find(object) != nullptr;
}

namespace {

/// Role is the one column of contact roles an org may hide without stopping the sync.
bool role_is_readable(const store::Catalog& catalog) {
    const store::MirrorObject* const object = catalog.find("OpportunityContactRole");
    return object != nullptr && object->find("Role") != nullptr;
}

}  // namespace

bool OpportunitySync::makes_activity(const record::Field& field) const {
    const bool asked_for = std::ranges::any_of(
        settings_.activity_fields, [&](const std::string& name) { return equals_ignoring_case(name, field.name); });
    // Opportunity.ContactId follows the primary role, and the role tells its own change.
    const bool told_by_role = equals_ignoring_case(field.name, "ContactId");
    return asked_for || (!field.calculated && !told_by_role && !record::is_system_field(field.name));
}

void OpportunitySync::tell(std::int64_t person, int type, Timestamp at, std::string_view opportunity,
                           std::string attributes) {
    tx_.stage(store::Activity{.person = person,
                              .type = type,
                              .at = at,
                              .primary = std::string(opportunity),
                              .attributes = std::move(attributes),
                              .cls = cls_});
    ++activities_;
}

void OpportunitySync::opportunities_heard(const store::PageShape& shape, const Batch& page,
                                          const store::MirrorChanges& changes) {
    std::vector<std::string> came_or_went;
    for (const RowChange& change : changes.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        const auto cells = page.row(change.heard);
        const std::string id(cells[static_cast<std::size_t>(shape.id)].as_text());
        const Timestamp at = stamp_of(shape, page, change.heard, tx_.now());
        if (change.kind == RowChange::Kind::New) {
            came_or_went.push_back(id);  // a role may have come before its opportunity
            continue;
        }
        std::string told;
        for (const int column : change.fields) {
            if (column == shape.is_deleted) {
                came_or_went.push_back(id);
                continue;
            }
            const record::Field& field = shape.fields[static_cast<std::size_t>(column)]->field;
            if (!makes_activity(field)) continue;
            const auto index = static_cast<std::size_t>(column);
            told += (told.empty() ? "" : ",") +
                    change_json(field.name, changes.before.row(change.before)[index], cells[index]);
        }
        if (told.empty()) continue;
        std::vector<std::int64_t> people;
        tx_.db().query("SELECT DISTINCT person FROM opportunity_link WHERE opportunity = ? AND live ORDER BY person",
                       params(Cell::integer(change.row)), [&](std::span<const Cell> row) {
                           people.push_back(row[0].as_integer());
                           return true;
                       });
        const std::string attributes = update_attributes(id, told);
        for (const std::int64_t person : people) tell(person, kUpdated, at, id, attributes);
    }
    settle_of_opportunities(came_or_went, tx_.now());
}

void OpportunitySync::roles_heard(const store::PageShape& shape, const Batch& page,
                                  const store::MirrorChanges& changes) {
    const int opportunity = shape.column("OpportunityId");
    const int contact = shape.column("ContactId");
    const int role = shape.column("Role");
    const int primary = shape.column("IsPrimary");
    std::vector<RoleRow> roles;
    for (const RowChange& change : changes.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        const auto cells = page.row(change.heard);
        const auto text = [&](int column) {
            return column < 0 ? std::string() : record::to_text(cells[static_cast<std::size_t>(column)]);
        };
        const auto truth = [&](int column) { return column >= 0 && cells[static_cast<std::size_t>(column)].is_true(); };
        RoleRow row{.row = change.row,
                    .id = text(shape.id),
                    .opportunity = text(opportunity),
                    .contact = text(contact),
                    .role = role < 0 ? Value(Cell::null(Form::Text)) : Value(cells[static_cast<std::size_t>(role)]),
                    .primary = truth(primary),
                    .deleted = truth(shape.is_deleted)};
        // A changed role or primary flag of a living link is an update of the person's opportunity.
        std::string told;
        for (const int column : change.kind == RowChange::Kind::Updated ? change.fields : std::vector<int>()) {
            if (column != role && column != primary) continue;
            const auto index = static_cast<std::size_t>(column);
            told += (told.empty() ? "" : ",") + change_json(column == role ? "Role" : "Is Primary",
                                                            changes.before.row(change.before)[index], cells[index]);
        }
        if (!told.empty() && !row.deleted) {
            const auto person = tx_.db().integer("SELECT person FROM opportunity_link WHERE role = ? AND live",
                                                 params(Cell::integer(change.row)));
            if (person) {
                tell(*person, kUpdated, stamp_of(shape, page, change.heard, tx_.now()), row.opportunity,
                     update_attributes(row.opportunity, told));
            }
        }
        roles.push_back(std::move(row));
    }
    // All roles of a page are settled at one moment: its newest stamp.
    Timestamp newest{0};
    for (const RowChange& change : changes.rows) {
        if (change.kind != RowChange::Kind::Same) {
            newest = std::max(newest, stamp_of(shape, page, change.heard, tx_.now()));
        }
    }
    settle(std::move(roles), newest);
}

void OpportunitySync::roles_gone(const std::vector<store::DeadRow>& rows) {
    std::vector<std::string_view> ids;
    ids.reserve(rows.size());
    for (const store::DeadRow& row : rows) ids.push_back(row.id);
    settle(roles_where("id", ids), tx_.now());
}

void OpportunitySync::opportunities_gone(const std::vector<store::DeadRow>& rows) {
    std::vector<std::string> ids;
    ids.reserve(rows.size());
    for (const store::DeadRow& row : rows) ids.push_back(row.id);
    settle_of_opportunities(ids, tx_.now());
}

void OpportunitySync::contacts_changed(std::span<const std::string> contacts) {
    const std::vector<std::string_view> ids(contacts.begin(), contacts.end());
    settle(roles_where("contactid", ids), tx_.now());
}

void OpportunitySync::settle_of_opportunities(const std::vector<std::string>& ids, Timestamp at) {
    const std::vector<std::string_view> views(ids.begin(), ids.end());
    settle(roles_where("opportunityid", views), at);
}

std::vector<OpportunitySync::RoleRow> OpportunitySync::roles_where(std::string_view field,
                                                                   std::span<const std::string_view> ids) {
    std::vector<RoleRow> roles;
    if (ids.empty() || !has("OpportunityContactRole")) return roles;
    std::vector<std::string> columns{"ls_row", "id", "opportunityid", "contactid", "isprimary", "isdeleted"};
    std::vector<Form> forms{Form::Integer, Form::Text, Form::Text, Form::Text, Form::Boolean, Form::Boolean};
    if (role_is_readable(catalog_)) {
        columns.emplace_back("role");
        forms.push_back(Form::Text);
    }
    const Batch rows = tx_.db().rows_by_key("crm_opportunitycontactrole", field, ids, columns, forms);
    roles.reserve(rows.rows());
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        const auto row = rows.row(i);
        roles.push_back({.row = row[0].as_integer(),
                         .id = record::to_text(row[1]),
                         .opportunity = record::to_text(row[2]),
                         .contact = record::to_text(row[3]),
                         .role = row.size() > 6 ? Value(row[6]) : Value(Cell::null(Form::Text)),
                         .primary = row[4].is_true(),
                         .deleted = row[5].is_true()});
    }
    return roles;
}

void OpportunitySync::settle(std::vector<RoleRow> roles, Timestamp at) {
    if (roles.empty() || !has("Opportunity")) return;
    std::ranges::sort(roles, {}, &RoleRow::row);
    std::vector<std::string_view> opportunity_ids, contact_ids;
    for (const RoleRow& role : roles) {
        if (!role.opportunity.empty()) opportunity_ids.push_back(role.opportunity);
        if (!role.contact.empty()) contact_ids.push_back(role.contact);
    }
    for (auto* const ids : {&opportunity_ids, &contact_ids}) {
        std::ranges::sort(*ids);
        ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
    }
    struct Opportunity {
        std::int64_t row = 0;
        bool deleted = false;
    };
    static const std::vector<std::string> columns{"id", "ls_row", "isdeleted"};
    static const std::vector<Form> forms{Form::Text, Form::Integer, Form::Boolean};
    std::unordered_map<std::string, Opportunity> opportunities;
    const Batch found = tx_.db().rows_by_key("crm_opportunity", "id", opportunity_ids, columns, forms);
    for (std::size_t i = 0; i < found.rows(); ++i) {
        const auto row = found.row(i);
        opportunities[record::to_text(row[0])] = {row[1].as_integer(), row[2].is_true()};
    }
    const auto people = people::identities(tx_.db(), contact_ids);

    for (const RoleRow& role : roles) {
        const auto opportunity = opportunities.find(role.opportunity);
        const auto person = people.find(role.contact);
        const bool opportunity_known = opportunity != opportunities.end();
        const bool person_known = person != people.end();
        for (const auto& [known, parent, parent_id] : {std::tuple(opportunity_known, "Opportunity", role.opportunity),
                                                       std::tuple(person_known, "Contact", role.contact)}) {
            if (known || role.deleted || parent_id.empty()) {
                tx_.db().run(
                    "DELETE FROM missing_parent WHERE child = 'OpportunityContactRole' AND child_id = ? AND "
                    "parent = ?",
                    params(Cell::text(role.id), Cell::text(parent)));
            } else {
                tx_.db().run(
                    "INSERT INTO missing_parent (child, child_id, parent, parent_id, tries, since) "
                    "VALUES ('OpportunityContactRole', ?, ?, ?, 0, ?) ON CONFLICT (child, child_id, parent) DO "
                    "UPDATE SET parent_id = excluded.parent_id",
                    params(Cell::text(role.id), Cell::text(parent), Cell::text(parent_id), Cell::timestamp(tx_.now())));
            }
        }

        struct Link {
            std::int64_t opportunity = 0, person = 0;
            bool live = false, exists = false;
        };
        Link before;
        tx_.db().query("SELECT opportunity, person, live FROM opportunity_link WHERE role = ?",
                       params(Cell::integer(role.row)), [&](std::span<const Cell> row) {
                           before = {row[0].as_integer(), row[1].as_integer(), row[2].as_boolean(), true};
                           return false;
                       });
        Link after = before;
        if (opportunity_known && person_known) {
            after = {opportunity->second.row, person->second.person,
                     !role.deleted && !opportunity->second.deleted && person->second.live, true};
        } else {
            after.live = false;
        }
        if (!after.exists) continue;
        const bool same = before.exists && before.live == after.live && before.person == after.person &&
                          before.opportunity == after.opportunity;
        if (same) continue;
        tx_.db().run(
            "INSERT INTO opportunity_link (role, opportunity, person, live) VALUES (?, ?, ?, ?) ON CONFLICT (role) "
            "DO UPDATE SET opportunity = excluded.opportunity, person = excluded.person, live = excluded.live",
            params(Cell::integer(role.row), Cell::integer(after.opportunity), Cell::integer(after.person),
                   Cell::boolean(after.live)));
        tx_.stage({.table = "opportunity_link",
                   .record = role.id,
                   .kind = before.exists ? store::ChangeKind::Update : store::ChangeKind::Insert,
                   .cls = cls_,
                   .cause = cause_,
                   .fields = {{"opportunity", Value(Cell::integer(before.opportunity)),
                               Value(Cell::integer(after.opportunity))},
                              {"person", Value(Cell::integer(before.person)), Value(Cell::integer(after.person))},
                              {"live", Value(Cell::boolean(before.live)), Value(Cell::boolean(after.live))}}});
        const std::string attributes = role_attributes(role.opportunity, role.primary, role.role.cell());
        const bool moved = before.exists && before.live && after.live &&
                           (before.person != after.person || before.opportunity != after.opportunity);
        if (before.live && (!after.live || moved)) tell(before.person, kRemoved, at, role.opportunity, attributes);
        if (after.live && (!before.live || moved)) tell(after.person, kAdded, at, role.opportunity, attributes);
    }
}

LinkBuild build_links(store::Transaction& tx, const store::Catalog& catalog, const store::Cause& cause) {
    store::Connection& db = tx.db();
    const store::Dialect dialect = db.dialect();
    LinkBuild built;
    db.run("DELETE FROM opportunity_link", {});
    db.run("DELETE FROM missing_parent WHERE child = 'OpportunityContactRole'", {});
    // A re-run tells the same history again, so the first one's goes.
    db.run("DELETE FROM activity WHERE type = 34 AND class = 'catch-up'", {});
    built.links = db.run(
        "INSERT INTO opportunity_link (role, opportunity, person, live) "
        "SELECT r.ls_row, o.ls_row, i.person, (NOT r.isdeleted AND NOT o.isdeleted AND i.live) "
        "FROM crm_opportunitycontactrole r JOIN crm_opportunity o ON o.id = r.opportunityid "
        "JOIN identity i ON i.crm_id = r.contactid ORDER BY r.ls_row",
        {});
    // A role with a link has both of its parents; the others are few.
    for (const auto& [parent, field, table, key] : {std::tuple("Opportunity", "opportunityid", "crm_opportunity", "id"),
                                                    std::tuple("Contact", "contactid", "identity", "crm_id")}) {
        built.missing +=
            db.run(std::string("INSERT INTO missing_parent (child, child_id, parent, parent_id, tries, since) "
                               "SELECT 'OpportunityContactRole', r.id, '") +
                       parent + "', r." + field +
                       ", 0, ? FROM crm_opportunitycontactrole r WHERE NOT "
                       "r.isdeleted AND r." +
                       field +
                       " IS NOT NULL AND NOT EXISTS (SELECT 1 FROM opportunity_link l WHERE l.role = r.ls_row) "
                       "AND NOT EXISTS (SELECT 1 FROM " +
                       table + " t WHERE t." + key + " = r." + field + ")",
                   params(Cell::timestamp(tx.now())));
    }
    const std::int64_t count = db.integer("SELECT count(*) FROM opportunity_link WHERE live").value_or(0);
    if (count == 0) return built;
    const std::int64_t first = tx.take_ids("activity", count);
    const std::int64_t position =
        tx.log_now({.table = "opportunity_link",
                    .record = "all",
                    .kind = store::ChangeKind::Snapshot,
                    .cls = store::Class::CatchUp,
                    .cause = cause,
                    .fields = {{"rows", Value(Cell::null(Form::Integer)), Value(Cell::integer(built.links))}}});
    const std::string role = role_is_readable(catalog) ? "CASE WHEN r.role IS NULL THEN '' ELSE ',\"Role\":' || " +
                                                             dialect.json_text("r.role") + " END"
                                                       : "''";
    built.activities = db.run(
        "INSERT INTO activity (id, person, type, at, position, primary_id, class, attributes) "
        "SELECT ? + row_number() OVER (ORDER BY l.role) - 1, l.person, 34, r.createddate, ?, r.opportunityid, "
        "'catch-up', "
        "'{\"Oppty ID\":' || " +
            dialect.json_text("r.opportunityid") +
            " || ',\"Is Primary\":' || CASE WHEN r.isprimary THEN 'true' ELSE 'false' END || " + role +
            " || '}' FROM opportunity_link l JOIN crm_opportunitycontactrole r ON r.ls_row = l.role WHERE l.live",
        params(Cell::integer(first), Cell::integer(position)));
    return built;
}

}  // namespace lockstep::sync

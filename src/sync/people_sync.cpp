#include "sync/people_sync.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "store/journal.h"

namespace lockstep::sync {

using people::Tie;
using record::Batch;
using record::Cell;
using record::Form;
using record::Value;
using store::params;
using store::RowChange;

namespace {

constexpr std::string_view kCompanyPrefix = "company.";

/// Where rules may point besides plain columns: the person's company by account id, and consent of their address.
constexpr std::string_view kCompanyOfAccount = "company";
constexpr std::string_view kUnsubscribed = "unsubscribed";

}  // namespace

Pairs pair_up(store::Database& db, people::Fields& fields, const ObjectRules& rules, const store::Catalog& catalog,
              const Rules& all) {
    Pairs pairs;
    pairs.rules = &rules;
    const store::MirrorObject* const object = catalog.find(rules.salesforce);
    if (object == nullptr) return pairs;
    const record::Object* other = nullptr;
    for (const ObjectRules& twin : all.objects()) {
        if (rules.role != Role::Person || twin.role != Role::Person || twin.salesforce == rules.salesforce) continue;
        const store::MirrorObject* const found = catalog.find(twin.salesforce);
        if (found != nullptr) other = &found->object;
    }
    for (const FieldRule& rule : effective_rules(rules, object->object, other)) {
        const record::Field& field = *object->object.find(rule.salesforce);
        Pairs::Pair pair{.rule = rule,
                         .table = rules.role == Role::Company ? "company" : "person",
                         .column = rule.ours,
                         .form = field.form};
        const bool special = pair.table == "person" && (rule.ours == kCompanyOfAccount || rule.ours == kUnsubscribed);
        if (!special) {
            if (pair.table == "person" && rule.ours.starts_with(kCompanyPrefix)) {
                pair.table = "company";
                pair.column = rule.ours.substr(kCompanyPrefix.size());
            }
            const people::OurField* const ours = fields.find(pair.table, pair.column);
            if (ours != nullptr && ours->form != field.form) {
                pairs.notes.push_back(rule.origin + ": " + object->object.name + "." + field.name + " is a " +
                                      field.type + " and does not fit " + pair.table + "." + pair.column +
                                      ", which holds " + record::name(ours->form) + "; its rule is not used");
                continue;
            }
            fields.ensure(db, {.table = pair.table,
                               .column = pair.column,
                               .label = field.label,
                               .form = field.form,
                               .origin = object->object.name + "." + field.name});
        }
        pairs.fields.push_back(std::move(pair));
    }
    return pairs;
}

/// One page on its way to people, with what was looked up for it.
struct PeopleSync::Page {
    people::Writer& writer;
    const store::PageShape& shape;
    const Batch& rows;
    const store::MirrorChanges& changes;

    int master = -1, converted = -1, converted_contact = -1, account = -1, email = -1;
    std::vector<int> pair_columns;  ///< page column of each pair; -1: not in this page
    std::unordered_map<std::string, std::int64_t> companies;
    std::unordered_map<std::string, people::Identity> identities;

    store::Connection& db() { return writer.tx().db(); }
    std::string_view id(std::size_t row) const { return rows.row(row)[static_cast<std::size_t>(shape.id)].as_text(); }
    const Cell& cell(std::size_t row, int column) const { return rows.row(row)[static_cast<std::size_t>(column)]; }
    bool truth(std::size_t row, int column) const { return column >= 0 && cell(row, column).is_true(); }
    std::string_view text(std::size_t row, int column) const {
        return column < 0 || cell(row, column).is_null() ? std::string_view() : cell(row, column).as_text();
    }
    bool deleted(std::size_t row) const { return truth(row, shape.is_deleted); }
    Timestamp stamp(std::size_t row) const {
        const bool has = shape.modstamp >= 0 && !cell(row, shape.modstamp).is_null();
        return has ? cell(row, shape.modstamp).as_timestamp() : writer.tx().now();
    }
    const people::Identity* known(std::string_view crm_id) const {
        const auto found = identities.find(std::string(crm_id));
        return found == identities.end() ? nullptr : &found->second;
    }
};

PeopleOutcome PeopleSync::apply(people::Writer& writer, const store::PageShape& shape, const Batch& page,
                                const store::MirrorChanges& changes) {
    Page work{.writer = writer, .shape = shape, .rows = page, .changes = changes};
    work.master = shape.column("MasterRecordId");
    work.converted = shape.column("IsConverted");
    work.converted_contact = shape.column("ConvertedContactId");
    for (const Pairs::Pair& pair : pairs_.fields) {
        const int column = shape.column(pair.rule.salesforce);
        work.pair_columns.push_back(column);
        if (pair.table == "person" && pair.column == kCompanyOfAccount) work.account = column;
        if (pair.table == "person" && pair.column == "email") work.email = column;
    }
    return pairs_.rules->role == Role::Company ? apply_companies(work) : apply_people(work);
}

PeopleOutcome PeopleSync::apply_companies(Page& page) {
    PeopleOutcome outcome;
    std::vector<std::string_view> ids;
    for (const RowChange& change : page.changes.rows) {
        if (change.kind != RowChange::Kind::Same) ids.push_back(page.id(change.heard));
    }
    page.companies = people::companies_of(page.db(), ids);
    std::vector<std::size_t> fresh;
    for (const RowChange& change : page.changes.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        const auto known = page.companies.find(std::string(page.id(change.heard)));
        if (known == page.companies.end()) {
            if (!page.deleted(change.heard)) fresh.push_back(change.heard);
        } else if (follow(page, change, 0, known->second, false)) {
            ++outcome.updated;
        }
    }
    create_companies(page, fresh, outcome);
    return outcome;
}

void PeopleSync::create_companies(Page& page, const std::vector<std::size_t>& rows, PeopleOutcome& outcome) {
    if (rows.empty()) return;
    std::vector<std::string> columns{"id", "crm_id"};
    std::vector<Form> forms{Form::Integer, Form::Text};
    std::vector<int> sources;
    for (std::size_t i = 0; i < pairs_.fields.size(); ++i) {
        const Pairs::Pair& pair = pairs_.fields[i];
        if (page.pair_columns[i] < 0 || pair.rule.way == Way::Out || pair.rule.way == Way::None) continue;
        columns.push_back(pair.column);
        forms.push_back(pair.form);
        sources.push_back(page.pair_columns[i]);
    }
    Batch batch(forms);
    std::int64_t next = page.writer.tx().take_ids("company", static_cast<std::int64_t>(rows.size()));
    for (const std::size_t row : rows) {
        const auto cells = batch.add_row();
        cells[0] = Cell::integer(next++);
        cells[1] = Cell::text(page.id(row));
        for (std::size_t i = 0; i < sources.size(); ++i) cells[i + 2] = page.cell(row, sources[i]);
    }
    page.writer.add("company", columns, batch);
    outcome.created += static_cast<std::int64_t>(rows.size());
    outcome.companies += static_cast<std::int64_t>(rows.size());
    if (page.writer.mode() == people::Writer::Mode::Build) return;
    // Contacts that came before their account find their company now.
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::vector<std::int64_t> waiting;
        page.db().query(
            "SELECT p.id FROM crm_contact c JOIN identity i ON i.crm_id = c.id JOIN person p ON p.id = i.person "
            "WHERE c.accountid = ? AND i.live AND p.company IS NULL",
            params(Cell::text(page.id(rows[i]))), [&](std::span<const Cell> found) {
                waiting.push_back(found[0].as_integer());
                return true;
            });
        for (const std::int64_t person : waiting) {
            page.writer.update("person", person,
                               {{"company", Value(Cell::null(Form::Integer)), Value(batch.row(i)[0])}}, "");
        }
    }
}

PeopleOutcome PeopleSync::apply_people(Page& page) {
    PeopleOutcome outcome;
    std::vector<std::string_view> ids, accounts;
    for (const RowChange& change : page.changes.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        ids.push_back(page.id(change.heard));
        for (const int column : {page.master, page.converted_contact}) {
            if (const auto other = page.text(change.heard, column); !other.empty()) ids.push_back(other);
        }
        if (const auto account = page.text(change.heard, page.account); !account.empty()) accounts.push_back(account);
    }
    std::ranges::sort(accounts);
    accounts.erase(std::unique(accounts.begin(), accounts.end()), accounts.end());
    page.identities = people::identities(page.db(), ids);
    page.companies = people::companies_of(page.db(), accounts);

    const bool contacts = equals_ignoring_case(object_.object.name, "Contact");
    std::vector<std::size_t> fresh;
    for (const RowChange& change : page.changes.rows) {
        if (change.kind == RowChange::Kind::Same) continue;
        const std::size_t row = change.heard;
        const std::string id(page.id(row));
        const people::Identity* const known = page.known(id);
        if (page.deleted(row)) {
            if (tie_merged(page, row, known, outcome)) continue;
            if (known == nullptr || !known->live) continue;
            if (follow(page, change, known->person, 0, false)) ++outcome.updated;
            page.writer.set_live(id, false);
            if (contacts) outcome.contacts_to_settle.push_back(id);
            continue;
        }
        if (page.truth(row, page.converted)) {
            tie_converted(page, row, known, outcome);
            continue;
        }
        if (known == nullptr) {
            fresh.push_back(row);
            continue;
        }
        const bool back = !known->live;
        // A contact that a conversion tied before it was heard, or that came back, is compared as a whole.
        const bool everything = back || change.kind == RowChange::Kind::New;
        if (back) page.writer.set_live(id, true);
        if (follow(page, change, known->person, 0, everything)) ++outcome.updated;
        if (contacts && everything) outcome.contacts_to_settle.push_back(id);
    }
    create_people(page, fresh, outcome);
    if (contacts && page.writer.mode() == people::Writer::Mode::Follow) {
        for (const std::size_t row : fresh) outcome.contacts_to_settle.emplace_back(page.id(row));
    }
    return outcome;
}

void PeopleSync::create_people(Page& page, const std::vector<std::size_t>& rows, PeopleOutcome& outcome) {
    if (rows.empty()) return;
    const auto count = static_cast<std::int64_t>(rows.size());
    std::vector<std::string> person_columns{"id", "company", "email_folded"}, company_columns{"id"};
    std::vector<Form> person_forms{Form::Integer, Form::Integer, Form::Text}, company_forms{Form::Integer};
    std::vector<int> person_sources, company_sources;
    int opted_out = -1;
    for (std::size_t i = 0; i < pairs_.fields.size(); ++i) {
        const Pairs::Pair& pair = pairs_.fields[i];
        const int source = page.pair_columns[i];
        if (source < 0 || pair.rule.way == Way::Out || pair.rule.way == Way::None) continue;
        if (pair.table == "company") {
            company_columns.push_back(pair.column);
            company_forms.push_back(pair.form);
            company_sources.push_back(source);
        } else if (pair.column == kUnsubscribed) {
            opted_out = source;
        } else if (pair.column != kCompanyOfAccount) {
            person_columns.push_back(pair.column);
            person_forms.push_back(pair.form);
            person_sources.push_back(source);
        }
    }
    // A lead brings its own company; a contact's is its account's.
    const bool own_company = !company_sources.empty();
    std::int64_t person = page.writer.tx().take_ids("person", count);
    std::int64_t company = own_company ? page.writer.tx().take_ids("company", count) : 0;
    Batch people(person_forms), companies(company_forms);
    std::vector<Tie> ties;
    ties.reserve(rows.size());
    for (const std::size_t row : rows) {
        const auto cells = people.add_row();
        cells[0] = Cell::integer(person);
        if (own_company) {
            cells[1] = Cell::integer(company);
            const auto company_cells = companies.add_row();
            company_cells[0] = Cell::integer(company++);
            for (std::size_t i = 0; i < company_sources.size(); ++i) {
                company_cells[i + 1] = page.cell(row, company_sources[i]);
            }
        } else if (const auto account = page.text(row, page.account); !account.empty()) {
            const auto found = page.companies.find(std::string(account));
            if (found != page.companies.end()) cells[1] = Cell::integer(found->second);
        }
        if (const auto email = page.text(row, page.email); !email.empty()) {
            cells[2] = Cell::text(people.keep(fold(email)));
            if (page.truth(row, opted_out)) {
                page.writer.set_consent(email, true, object_.object.name + " " + std::string(page.id(row)),
                                        page.stamp(row));
            }
        }
        for (std::size_t i = 0; i < person_sources.size(); ++i) cells[i + 3] = page.cell(row, person_sources[i]);
        ties.push_back({.crm_id = std::string(page.id(row)),
                        .person = person++,
                        .object = object_.object.name,
                        .live = true,
                        .how = page.writer.mode() == people::Writer::Mode::Build ? "loaded" : "created"});
    }
    page.writer.add("company", company_columns, companies);
    page.writer.add("person", person_columns, people);
    page.writer.tie(ties);
    outcome.created += count;
    outcome.people += count;
    outcome.companies += static_cast<std::int64_t>(companies.rows());
}

/// Our values of all pairs that live in `table`, in the order of the pairs; null for the others.
std::vector<Value> PeopleSync::our_values(Page& page, const std::string& table, std::int64_t id) {
    std::vector<Value> values(pairs_.fields.size());
    std::vector<std::size_t> places;
    std::string sql = "SELECT id";
    for (std::size_t i = 0; i < pairs_.fields.size(); ++i) {
        const Pairs::Pair& pair = pairs_.fields[i];
        values[i] = Value(Cell::null(pair.form));
        if (pair.table != table ||
            (table == "person" && (pair.column == kCompanyOfAccount || pair.column == kUnsubscribed))) {
            continue;
        }
        places.push_back(i);
        sql += ", " + store::quoted(pair.column);
    }
    page.db().query(sql + " FROM " + table + " WHERE id = ?", params(Cell::integer(id)),
                    [&](std::span<const Cell> row) {
                        for (std::size_t i = 0; i < places.size(); ++i) values[places[i]] = Value(row[i + 1]);
                        return false;
                    });
    return values;
}

/// Decides each pair the change touched (or each pair there is, when `everything`) and takes over what is pulled.
bool PeopleSync::follow(Page& page, const RowChange& change, std::int64_t person, std::int64_t company,
                        bool everything) {
    const std::unordered_set<int> touched(change.fields.begin(), change.fields.end());
    const bool has_before = change.kind == RowChange::Kind::Updated;
    struct Target {
        std::string table;
        std::int64_t id = 0;
        std::vector<store::Change::Field> changes;
        std::string rule;
        std::vector<Value> ours;  ///< by pair; empty until they are needed
    };
    Target targets[2]{{.table = "person", .id = person}, {.table = "company", .id = company}};
    const std::string id(page.id(change.heard));
    // A lead's own company is found through the person; a contact's belongs to the account and is not its to change.
    if (person != 0 && company == 0) {
        const auto own = page.db().integer(
            "SELECT c.id FROM person p JOIN company c ON c.id = p.company WHERE p.id = ? AND c.crm_id IS NULL",
            params(Cell::integer(person)));
        targets[1].id = own.value_or(0);
    }

    for (std::size_t i = 0; i < pairs_.fields.size(); ++i) {
        const Pairs::Pair& pair = pairs_.fields[i];
        const int column = page.pair_columns[i];
        if (column < 0 || (!everything && !touched.contains(column))) continue;
        const Cell& theirs = page.cell(change.heard, column);
        const Cell base = has_before ? page.changes.before.row(change.before)[static_cast<std::size_t>(column)]
                                     : Cell::null(theirs.form());
        if (pair.table == "person" && pair.column == kUnsubscribed) {
            const auto email = page.text(change.heard, page.email);
            if (!email.empty()) {
                page.writer.set_consent(email, page.truth(change.heard, column), object_.object.name + " " + id,
                                        page.stamp(change.heard));
            }
            continue;
        }
        Target& target = targets[pair.table == "company" ? 1 : 0];
        if (target.id == 0) continue;
        if (pair.table == "person" && pair.column == kCompanyOfAccount) {
            const auto ours =
                page.db().integer("SELECT company FROM person WHERE id = ?", params(Cell::integer(person)));
            const auto found = page.companies.find(record::to_text(theirs));
            const Cell before = ours ? Cell::integer(*ours) : Cell::null(Form::Integer);
            const Cell after = found == page.companies.end() ? Cell::null(Form::Integer) : Cell::integer(found->second);
            if (before == after) continue;
            target.changes.push_back({"company", Value(before), Value(after)});
            target.rule = pair.rule.origin;
            continue;
        }
        if (target.ours.empty()) target.ours = our_values(page, pair.table, target.id);
        const Value& ours = target.ours[i];
        const Decision decision = decide(pair.rule, base, theirs, ours.cell());
        if (decision.verdict == Verdict::Pull) {
            target.changes.push_back({pair.column, ours, Value(theirs)});
            target.rule = pair.rule.origin;
        }
        const bool lost = decision.verdict == Verdict::Hold || (decision.conflict && decision.verdict == Verdict::Push);
        if (lost) {
            store::hold(page.writer.tx(), {.object = object_.object.name,
                                           .record = id,
                                           .field = pair.rule.salesforce,
                                           .reason = decision.reason,
                                           .theirs = Value(theirs),
                                           .since = page.writer.tx().now()});
        } else {
            store::unhold(page.writer.tx(), object_.object.name, id, pair.rule.salesforce);
        }
    }
    for (const Target& target : targets) {
        page.writer.update(target.table, target.id, target.changes,
                           target.changes.size() == 1 ? target.rule : pairs_.rules->origin);
    }
    return !targets[0].changes.empty() || !targets[1].changes.empty();
}

void PeopleSync::tie_converted(Page& page, std::size_t row, const people::Identity* known, PeopleOutcome& outcome) {
    const std::string lead(page.id(row));
    const std::string contact(page.text(row, page.converted_contact));
    if (contact.empty()) return;
    const people::Identity* const target = page.known(contact);
    const std::string& name = object_.object.name;
    if (known == nullptr && target != nullptr) {
        page.writer.retie(
            {.crm_id = lead, .person = target->person, .object = name, .live = false, .how = "converted"});
    } else if (known != nullptr && target == nullptr) {
        // The contact has not been heard yet: it will find its person here.
        page.writer.retie(
            {.crm_id = contact, .person = known->person, .object = "Contact", .live = true, .how = "converted"});
        page.writer.retie({.crm_id = lead, .person = known->person, .object = name, .live = false, .how = "converted"});
        page.writer.update("person", known->person,
                           {{"sfdc_is_converted", Value(Cell::boolean(false)), Value(Cell::boolean(true))}}, "");
        ++outcome.updated;
    } else if (known != nullptr && known->person != target->person) {
        page.writer.unite(known->person, target->person);
        page.writer.retie(
            {.crm_id = lead, .person = target->person, .object = name, .live = false, .how = "converted"});
        outcome.contacts_to_settle.push_back(contact);
        ++outcome.updated;
    } else if (known != nullptr && known->live) {
        page.writer.set_live(lead, false);
    }
}

bool PeopleSync::tie_merged(Page& page, std::size_t row, const people::Identity* known, PeopleOutcome& outcome) {
    const std::string master(page.text(row, page.master));
    if (master.empty()) return false;
    const people::Identity* const winner = page.known(master);
    if (winner == nullptr) return false;
    const std::string loser(page.id(row));
    if (known != nullptr && known->person != winner->person) {
        page.writer.unite(known->person, winner->person);
        ++outcome.updated;
    }
    page.writer.retie(
        {.crm_id = loser, .person = winner->person, .object = object_.object.name, .live = false, .how = "merged"});
    // The loser's roles are not settled: the merge moves them to the master, whose links `unite` has moved already, and
    // nobody was added to or removed from anything (domain 6.6).
    return true;
}

PeopleOutcome PeopleSync::gone(people::Writer& writer, const std::vector<store::DeadRow>& rows) {
    PeopleOutcome outcome;
    std::vector<std::string_view> ids;
    ids.reserve(rows.size());
    for (const store::DeadRow& row : rows) ids.push_back(row.id);
    const std::vector<store::Change::Field> mark{
        {"sfdc_is_deleted", Value(Cell::boolean(false)), Value(Cell::boolean(true))}};
    if (pairs_.rules->role == Role::Company) {
        for (const auto& [id, company] : people::companies_of(writer.tx().db(), ids)) {
            writer.update("company", company, mark, "");
            ++outcome.updated;
        }
        return outcome;
    }
    for (const auto& [id, identity] : people::identities(writer.tx().db(), ids)) {
        if (!identity.live) continue;
        writer.set_live(id, false);
        writer.update("person", identity.person, mark, "");
        outcome.contacts_to_settle.push_back(id);
        ++outcome.updated;
    }
    return outcome;
}

}  // namespace lockstep::sync

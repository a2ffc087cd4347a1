#include "sandbox/org.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/org_data.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kAddressParts = {{
    {"city", "City"},
    {"country", "Country"},
    {"geocodeAccuracy", "GeocodeAccuracy"},
    {"latitude", "Latitude"},
    {"longitude", "Longitude"},
    {"postalCode", "PostalCode"},
    {"state", "State"},
    {"street", "Street"},
}};

std::uint64_t text_hash(std::string_view text) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return mix64(hash);
}

/// What is compared when a field's text is looked for.
std::string key_text(const Field& field, const std::string& text) {
    return field.case_sensitive ? text : fold(text);
}

/// The facts of the row that this thread looked at last: callers read several fields of a row, one after the other.
const Generator::Place& place_of(const Generator& generator, int object, int64_t row) {
    struct Last {
        std::uint64_t generator = 0;
        int object = -1;
        int64_t row = -1;
        Generator::Place place;
    };
    thread_local Last last;
    if (last.generator != generator.serial() || last.object != object || last.row != row) {
        last.generator = 0;
        generator.fill(object, row, last.place);
        last.generator = generator.serial();
        last.object = object;
        last.row = row;
    }
    return last.place;
}

const Facts& facts_of(const Generator& generator, int object, int64_t row) {
    return place_of(generator, object, row).facts();
}

std::string_view picked(const Column& column, int64_t index) {
    return column.choices[static_cast<std::size_t>(index)];
}

enum class Form { Csv, Json };

/// Room a generated cell may need, escapes aside.
constexpr std::size_t kCellMax = kTextMax + 64;

/// Writes what `column` holds: bare, as in CSV between the quotes. Returns `at` for null.
char* write_plain(const Org::Impl& org, const Column& column, const Facts& facts, int64_t row, const RowIds& own_ids,
                  char* at, std::string_view zone) {
    if (column.kind == Column::Kind::Text) return column.text(facts, at);
    if (column.kind == Column::Kind::OwnId) return own_ids.write(at, row);
    const int64_t number = column.number(facts);
    if (number == Column::kNull) return at;
    switch (column.kind) {
        case Column::Kind::Choice: {
            const std::string_view text = picked(column, number);
            std::memcpy(at, text.data(), text.size());
            return at + text.size();
        }
        case Column::Kind::Bool: {
            const std::string_view text = number != 0 ? "true" : "false";
            std::memcpy(at, text.data(), text.size());
            return at + text.size();
        }
        case Column::Kind::Int:
            return write_int(at, number);
        case Column::Kind::Hundredths:
            return write_hundredths(at, number);
        case Column::Kind::Millionths: {
            std::string text;
            append_double(text, static_cast<double>(number) / 1e6);
            std::memcpy(at, text.data(), text.size());
            return at + text.size();
        }
        case Column::Kind::Date:
            return write_date(at, number);
        case Column::Kind::DateTime:
            return write_datetime(at, number, zone);
        default:
            return org.table(packed_object(number)).ids->write(at, packed_row(number));
    }
}

/// Doubles the quotes in [from, end) in place; returns the new end.
char* double_quotes(char* from, char* end) {
    auto* quote = static_cast<char*>(std::memchr(from, '"', static_cast<std::size_t>(end - from)));
    while (quote != nullptr) {
        std::memmove(quote + 1, quote, static_cast<std::size_t>(end - quote));
        ++end;
        from = quote + 2;
        quote = static_cast<char*>(std::memchr(from, '"', static_cast<std::size_t>(end - from)));
    }
    return end;
}

bool needs_quotes_in_json(Column::Kind kind) {
    return kind != Column::Kind::Bool && kind != Column::Kind::Int && kind != Column::Kind::Hundredths &&
           kind != Column::Kind::Millionths;
}

void append_generated_json(const Org::Impl& org, const Column& column, const Facts& facts, int64_t row,
                           const RowIds& own_ids, std::string& out) {
    std::array<char, kCellMax> room;
    char* end = write_plain(org, column, facts, row, own_ids, room.data(), "+0000");
    const std::string_view text(room.data(), static_cast<std::size_t>(end - room.data()));
    if (text.empty()) {
        out += "null";
    } else if (!needs_quotes_in_json(column.kind)) {
        out += text;
    } else {
        append_json_text(out, text);
    }
}

}  // namespace

Version Version::clone() const {
    Version copy;
    copy.cells = cells;
    copy.stamp = stamp;
    copy.life = life;
    copy.deleted_at = deleted_at;
    copy.batch = batch;
    copy.visible_at = visible_at;
    if (before) copy.before = std::make_unique<Version>(before->clone());
    return copy;
}

const Version* Table::latest(int64_t row) const {
    if (row >= generated) return &fresh[static_cast<std::size_t>(row - generated)];
    if (!touched[static_cast<std::size_t>(row)]) return nullptr;
    return &edited.find(row)->second;
}

// --- Schema.

void Org::Impl::add_table(int object) {
    auto made = std::make_unique<Table>();
    const Object& described = schema.at(object);
    const std::string prefix = described.key_prefix.empty() ? "017" : described.key_prefix;
    made->ids.emplace(prefix, described.name, options.seed);
    made->generated = generator ? generator->rows(object) : 0;
    made->touched.resize(static_cast<std::size_t>(made->generated));
    objects_by_prefix[prefix].push_back(object);
    tables.push_back(std::move(made));
    plan_fields(object);
}

void Org::Impl::plan_fields(int object) {
    Table& place = table(object);
    const Object& described = schema.at(object);
    const bool of_member = described.name == "CampaignMember";
    place.plans.clear();
    for (const Field& field : described.fields) {
        FieldPlan plan;
        plan.type = field.type;
        plan.unset_truth = field.default_value == "true";
        if (place.generated > 0) plan.column = generator->column(object, field.name);
        if (field.type == Type::Id) plan.source = Source::OwnId;
        if (field.name == "IsDeleted") plan.source = Source::IsDeleted;
        if (field.name == "SystemModstamp") plan.source = Source::Modstamp;
        if (field.name == "PhotoUrl" && !field.createable) plan.source = Source::Photo;
        if (field.calculated && !field.formula.empty()) plan.source = Source::Formula;
        if (field.name_field && field.extra_type_info == "personname" && !field.createable) {
            plan.source = Source::PersonName;
            plan.parts = {described.find("FirstName"), described.find("LastName")};
        }
        if (field.type == Type::Address) {
            plan.source = Source::Address;
            for (const auto& [key, ending] : kAddressParts) {
                int part = -1;
                for (std::size_t i = 0; i < described.fields.size(); ++i) {
                    const Field& other = described.fields[i];
                    if (other.compound_field == field.name && other.name.ends_with(ending)) part = static_cast<int>(i);
                }
                plan.parts.push_back(part);
            }
        }
        const bool derived_here = !field.createable && !field.updateable && plan.source == Source::Stored;
        if (of_member && derived_here && !field.name.starts_with("Created") && !field.name.starts_with("LastMod") &&
            field.name != "HasResponded" && field.name != "FirstRespondedDate") {
            plan.source = Source::Member;
        }
        const bool counts = field.name.starts_with("NumberOf") || field.name.starts_with("Amount");
        if (described.name == "Campaign" && derived_here && counts) plan.source = Source::Rollup;
        const auto& targets = field.reference_to;
        const bool to_users_only = targets == std::vector<std::string>{"User"};
        plan.weak = field.type == Type::Reference && !field.deleted_with_parent && !to_users_only &&
                    field.name != "MasterRecordId" && !field.name.starts_with("Converted");
        plan.indexed =
            plan.source == Source::Stored && !field.removed &&
            (field.id_lookup || field.external_id || field.unique || field.name_field || field.type == Type::Email);
        place.plans.push_back(std::move(plan));
    }
    place.hidden.resize(place.plans.size());
}

int Org::Impl::add_object(Object object) {
    const int index = schema.add_object(std::move(object));
    add_table(index);
    return index;
}

int Org::Impl::add_field(int object, Field field) {
    const int index = schema.add_field(object, std::move(field));
    plan_fields(object);
    return index;
}

void Org::Impl::change_field(int object, int field, Field changed) {
    schema.change_field(object, field, std::move(changed));
    plan_fields(object);
    table(object).by_text.erase(field);
    if (table(object).plans[static_cast<std::size_t>(field)].indexed) index_text(object, field);
}

void Org::Impl::change_object(int object, const Object& changed) {
    schema.change_object(object, changed);
    plan_fields(object);
}

void Org::Impl::note_record_types() {
    const int types = schema.find("RecordType");
    std::map<std::string, std::vector<RecordTypeInfo>> by_object;
    for (int64_t row = 0; row < table(types).rows(); ++row) {
        const auto text = [&](const char* field) {
            return plain_text(Type::String, read(types, row, schema.at(types).find(field), Sight::Readers));
        };
        const Cell active = read(types, row, schema.at(types).find("IsActive"), Sight::Readers);
        auto& infos = by_object[text("SobjectType")];
        infos.push_back({.id = table(types).ids->of(row),
                         .name = text("Name"),
                         .developer_name = text("DeveloperName"),
                         .active = active == Cell{true},
                         .is_default = infos.empty()});
    }
    for (const auto& [object_name, infos] : by_object) {
        const int object = schema.find(object_name);
        if (object < 0) continue;
        Object changed = schema.at(object);
        changed.record_types = infos;
        schema.change_object(object, changed);
    }
}

// --- Reading one row.

const Version* Org::Impl::seen(const Table& place, int64_t row, bool& invisible) const {
    const Version* version = place.latest(row);
    invisible = false;
    if (version == nullptr || version->visible_at == 0) return version;
    const int64_t at = now();
    while (version != nullptr && version->visible_at > at) version = version->before.get();
    invisible = version == nullptr;
    return version;
}

const Version* Org::Impl::version(const Table& place, int64_t row, Sight sight) const {
    if (sight == Sight::Writer) return place.latest(row);
    bool invisible = false;
    const Version* version = seen(place, row, invisible);
    // A row that is not there yet is only asked for by those who made it; they see what they wrote.
    return invisible ? place.latest(row) : version;
}

int64_t Org::Impl::deleted_at(int object, int64_t row, Sight sight) const {
    if (const Version* at = version(table(object), row, sight)) return at->life == Life::Live ? 0 : at->deleted_at;
    return generator->stamps(object, row).deleted;
}

bool Org::Impl::is_live(int object, int64_t row, Sight sight) const {
    if (const Version* at = version(table(object), row, sight)) return at->life == Life::Live;
    return generator->stamps(object, row).deleted == 0;
}

Org::Life Org::Impl::life(int object, int64_t row, Sight sight) const {
    const Version* at = version(table(object), row, sight);
    if (at != nullptr && at->life == Life::Gone) return Life::Gone;
    const int64_t deleted = deleted_at(object, row, sight);
    if (deleted == 0) return Life::Live;
    if (schema.at(object).deleted_rows_hidden || now() - deleted > kBinSeconds) return Life::Gone;
    return Life::InBin;
}

int64_t Org::Impl::modstamp(int object, int64_t row, Sight sight) const {
    if (const Version* at = version(table(object), row, sight)) return at->stamp;
    return place_of(*generator, object, row).stamps().system;
}

std::string Org::Impl::id_of_packed(int64_t reference) const {
    return table(packed_object(reference)).ids->of(packed_row(reference));
}

std::optional<int64_t> Org::Impl::resolve(std::string_view id18) const {
    if (id18.size() != 18) return std::nullopt;
    const auto objects = objects_by_prefix.find(id18.substr(0, 3));
    if (objects == objects_by_prefix.end()) return std::nullopt;
    for (const int object : objects->second) {
        const std::optional<int64_t> row = table(object).ids->row_of(id18);
        if (row && *row < table(object).rows()) return pack(object, *row);
    }
    return std::nullopt;
}

Cell Org::Impl::generated_cell(const Column& column, Type type, const Facts& facts, int object, int64_t row) const {
    if (column.kind == Column::Kind::OwnId) return table(object).ids->of(row);
    if (column.kind == Column::Kind::Text) {
        std::array<char, kTextMax> room;
        char* end = column.text(facts, room.data());
        if (end == room.data()) return {};
        return std::string(room.data(), end);
    }
    const int64_t number = column.number(facts);
    if (number == Column::kNull) return {};
    switch (column.kind) {
        case Column::Kind::Choice: {
            const std::string_view text = picked(column, number);
            if (text.empty()) return {};
            return std::string(text);
        }
        case Column::Kind::Bool:
            return number != 0;
        case Column::Kind::Hundredths:
            return static_cast<double>(number) / 100;
        case Column::Kind::Millionths:
            return static_cast<double>(number) / 1e6;
        case Column::Kind::Row:
            return id_of_packed(number);
        default:
            break;
    }
    if (is_fractional(type)) return static_cast<double>(number);
    return number;
}

Cell Org::Impl::read_raw(int object, int64_t row, int field, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    if (const Version* at = version(place, row, sight)) {
        if (const std::optional<CellView> cell = at->cells.view(field)) return to_cell(*cell);
    }
    if (row < place.generated && plan.column != nullptr) {
        return generated_cell(*plan.column, plan.type, facts_of(*generator, object, row), object, row);
    }
    if (plan.type == Type::Boolean) return plan.unset_truth;
    return {};
}

bool Org::Impl::weak_target_dead(const FieldPlan& plan, const Cell& reference, Sight sight) const {
    if (!plan.weak) return false;
    const auto* id = std::get_if<std::string>(&reference);
    const std::optional<int64_t> target = id != nullptr ? resolve(*id) : std::nullopt;
    if (!target || !table(packed_object(*target)).any_deleted) return false;
    return !is_live(packed_object(*target), packed_row(*target), sight);
}

namespace {

std::string person_name(const Org::Impl& org, int object, int64_t row, const FieldPlan& plan, Sight sight) {
    std::string full;
    for (const int part : plan.parts) {
        if (part < 0) continue;
        const Cell cell = org.read(object, row, part, sight);
        if (is_null(cell)) continue;
        if (!full.empty()) full += ' ';
        full += std::get<std::string>(cell);
    }
    return full;
}

Cell address(const Org::Impl& org, int object, int64_t row, const FieldPlan& plan, Sight sight) {
    std::string out = "{";
    bool any = false;
    for (std::size_t i = 0; i < plan.parts.size(); ++i) {
        const int part = plan.parts[i];
        if (i > 0) out += ',';
        ((out += '"') += kAddressParts[i].first) += "\":";
        const Cell cell = part < 0 ? Cell{} : org.read(object, row, part, sight);
        any = any || !is_null(cell);
        append_json_cell(out, part < 0 ? Type::String : org.table(object).plans[static_cast<std::size_t>(part)].type,
                         cell);
    }
    if (!any) return {};
    return out + "}";
}

/// Follows "Account.Industry" from the row; null where the path ends early or names nothing.
Cell follow(const Org::Impl& org, int object, int64_t row, std::string_view path, Sight sight, int depth = 0) {
    const std::size_t dot = path.find('.');
    const Object& described = org.schema.at(object);
    if (dot == std::string_view::npos) {
        const int field = described.find(trim(path));
        const bool endless = depth > 10;  // formulas that refer to each other
        if (field < 0 || endless) return {};
        const FieldPlan& plan = org.table(object).plans[static_cast<std::size_t>(field)];
        if (plan.source == Source::Formula) {
            return follow(org, object, row, described.fields[static_cast<std::size_t>(field)].formula, sight,
                          depth + 1);
        }
        return org.read(object, row, field, sight);
    }
    const std::string_view relation = trim(path.substr(0, dot));
    for (std::size_t i = 0; i < described.fields.size(); ++i) {
        if (!equals_ignoring_case(described.fields[i].relationship, relation)) continue;
        const Cell id = org.read(object, row, static_cast<int>(i), sight);
        if (is_null(id)) return {};
        const std::optional<int64_t> target = org.resolve(std::get<std::string>(id));
        if (!target) return {};
        return follow(org, packed_object(*target), packed_row(*target), path.substr(dot + 1), sight, depth);
    }
    return {};
}

/// A campaign member shows its person's fields.
Cell member_field(const Org::Impl& org, int object, int64_t row, const Field& field, Sight sight) {
    const Object& described = org.schema.at(object);
    const auto own = [&](const char* name) {
        const int at = described.find(name);
        return at < 0 ? Cell{} : org.read_raw(object, row, at, sight);
    };
    const Cell contact = own("ContactId");
    const Cell person = is_null(contact) ? own("LeadId") : contact;
    const std::optional<int64_t> target = is_null(person) ? std::nullopt : org.resolve(std::get<std::string>(person));
    if (!target) return field.type == Type::Boolean ? Cell{false} : Cell{};
    const int person_object = packed_object(*target);
    const Object& person_described = org.schema.at(person_object);
    const bool is_contact = person_described.name == "Contact";
    if (field.name == "LeadOrContactId") return person;
    if (field.name == "Type") return std::string(person_described.name);
    std::string name = field.name;
    if (name == "LeadOrContactOwnerId") name = "OwnerId";
    if (name == "CompanyOrAccount") name = is_contact ? "Account.Name" : "Company";
    if (is_contact &&
        (name == "Street" || name == "City" || name == "State" || name == "PostalCode" || name == "Country")) {
        name = "Mailing" + name;
    }
    const Cell cell = follow(org, person_object, packed_row(*target), name, sight);
    return is_null(cell) && field.type == Type::Boolean ? Cell{false} : cell;
}

Cell rollup(const Org::Impl& org, int object, int64_t row, const Field& field, Sight sight) {
    const int64_t campaign = pack(object, row);
    const auto count = [&](const char* child, const char* wanted, const char* sum) {
        const int child_object = org.schema.find(child);
        const int link = child_object < 0 ? -1 : org.schema.at(child_object).find("CampaignId");
        double total = 0;
        if (link < 0) return total;
        const Object& described = org.schema.at(child_object);
        for (const int64_t at : org.referring(child_object, link, campaign, sight)) {
            if (!org.is_live(child_object, at, sight)) continue;
            const auto cell = [&](const char* name) {
                const int place = described.find(name);
                return place < 0 ? Cell{} : org.read_raw(child_object, at, place, sight);
            };
            const Cell chosen = *wanted == '\0' ? Cell{true} : cell(wanted);
            if (is_null(chosen) || chosen == Cell{false}) continue;
            const Cell amount = *sum == '\0' ? Cell{1.0} : cell(sum);
            if (const auto* number = std::get_if<double>(&amount)) total += *number;
        }
        return total;
    };
    double total = 0;
    if (field.name == "NumberOfLeads") total = count("CampaignMember", "LeadId", "");
    if (field.name == "NumberOfContacts") total = count("CampaignMember", "ContactId", "");
    if (field.name == "NumberOfResponses") total = count("CampaignMember", "HasResponded", "");
    if (field.name == "NumberOfOpportunities") total = count("Opportunity", "", "");
    if (field.name == "NumberOfWonOpportunities") total = count("Opportunity", "IsWon", "");
    if (field.name == "AmountAllOpportunities") total = count("Opportunity", "", "Amount");
    if (field.name == "AmountWonOpportunities") total = count("Opportunity", "IsWon", "Amount");
    if (field.type == Type::Int) return static_cast<int64_t>(total);
    return std::get<Cell>(coerce(field, Cell{total}));
}

}  // namespace

Cell Org::Impl::read(int object, int64_t row, int field, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const auto described = [&]() -> const Field& { return schema.at(object).fields[static_cast<std::size_t>(field)]; };
    switch (plan.source) {
        case Source::OwnId:
            return place.ids->of(row);
        case Source::IsDeleted:
            return !is_live(object, row, sight);
        case Source::Modstamp:
            return modstamp(object, row, sight);
        case Source::PersonName: {
            if (row < place.generated && version(place, row, sight) == nullptr && plan.column != nullptr) break;
            std::string full = person_name(*this, object, row, plan, sight);
            if (full.empty()) return {};
            return full;
        }
        case Source::Address:
            return address(*this, object, row, plan, sight);
        case Source::Formula:
            return follow(*this, object, row, described().formula, sight);
        case Source::Member:
            return member_field(*this, object, row, described(), sight);
        case Source::Rollup:
            return rollup(*this, object, row, described(), sight);
        case Source::Photo:
            return "/services/images/photo/" + place.ids->of(row).substr(0, 15);
        case Source::Stored:
            break;
    }
    Cell cell = read_raw(object, row, field, sight);
    if (weak_target_dead(plan, cell, sight)) return {};
    return cell;
}

// --- Finding rows.

const Table::Generated& Org::Impl::scanned(int object) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    Table::Generated& lazy = place.lazy;
    if (lazy.scanned) return lazy;
    const int64_t recent = start.seconds - kBinSeconds;
    for (int64_t row = 0; row < place.generated; ++row) {
        const Stamps at = generator->stamps(object, row);
        if (at.deleted != 0) ++lazy.dead;
        if (at.system >= recent) lazy.recent.push_back({at.system, row, at.deleted != 0});
    }
    std::sort(lazy.recent.begin(), lazy.recent.end(), [](const Table::Recent& a, const Table::Recent& b) {
        return std::tie(a.stamp, a.row) < std::tie(b.stamp, b.row);
    });
    lazy.scanned = true;
    return lazy;
}

const Table::Generated::Inverse& Org::Impl::inverse(int object, int field, int target) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    const auto [found, is_new] = place.lazy.inverse.try_emplace({field, target});
    Table::Generated::Inverse& inverse = found->second;
    if (!is_new) return inverse;
    const Column& column = *place.plans[static_cast<std::size_t>(field)].column;
    std::vector<std::uint32_t> target_of(static_cast<std::size_t>(place.generated), UINT32_MAX);
    inverse.first.assign(static_cast<std::size_t>(table(target).rows()) + 1, 0);
    Generator::Place facts;
    for (std::size_t row = 0; row < target_of.size(); ++row) {
        generator->fill(object, static_cast<int64_t>(row), facts);
        const int64_t reference = column.number(facts.facts());
        if (reference == Column::kNull || packed_object(reference) != target) continue;
        target_of[row] = static_cast<std::uint32_t>(packed_row(reference));
        ++inverse.first[target_of[row] + 1];
    }
    std::partial_sum(inverse.first.begin(), inverse.first.end(), inverse.first.begin());
    inverse.rows.resize(inverse.first.back());
    std::vector<std::uint32_t> next(inverse.first.begin(), inverse.first.end() - 1);
    for (std::size_t row = 0; row < target_of.size(); ++row) {
        if (target_of[row] != UINT32_MAX) inverse.rows[next[target_of[row]]++] = static_cast<std::uint32_t>(row);
    }
    return inverse;
}

const std::vector<std::uint64_t>& Org::Impl::text_hashes(int object, int field) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    const auto [found, is_new] = place.lazy.by_text.try_emplace(field);
    std::vector<std::uint64_t>& hashes = found->second;
    if (!is_new) return hashes;
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    Generator::Place facts;
    hashes.reserve(static_cast<std::size_t>(place.generated));
    for (int64_t row = 0; row < place.generated; ++row) {
        generator->fill(object, row, facts);
        const Cell cell = generated_cell(*plan.column, plan.type, facts.facts(), object, row);
        if (is_null(cell)) continue;
        const std::uint64_t hash = text_hash(key_text(described, plain_text(plan.type, cell)));
        hashes.push_back((hash & 0xffffffff00000000ULL) | static_cast<std::uint64_t>(row));
    }
    std::sort(hashes.begin(), hashes.end());
    return hashes;
}

namespace {

void sort_unique(std::vector<int64_t>& rows) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
}

}  // namespace

std::vector<int64_t> Org::Impl::modified_since(int object, int64_t since) const {
    const Table& place = table(object);
    std::vector<int64_t> rows;
    const auto take = [&](int64_t row) {
        bool invisible = false;
        const Version* at = seen(place, row, invisible);
        if (!invisible && (at == nullptr || at->stamp >= since)) rows.push_back(row);
    };
    if (place.generated > 0 && since <= start.seconds) {
        if (since >= start.seconds - kBinSeconds) {
            const auto& recent = scanned(object).recent;
            auto from = std::lower_bound(recent.begin(), recent.end(), since,
                                         [](const Table::Recent& at, int64_t stamp) { return at.stamp < stamp; });
            for (; from != recent.end(); ++from) take(from->row);
        } else {
            for (int64_t row = 0; row < place.generated; ++row) {
                if (generator->stamps(object, row).system >= since) take(row);
            }
        }
    }
    auto from = std::lower_bound(place.by_stamp.begin(), place.by_stamp.end(), std::pair{since, int64_t{-1}});
    for (; from != place.by_stamp.end(); ++from) {
        if (from->second < place.rows() && place.latest(from->second) != nullptr) {
            bool invisible = false;
            const Version* at = seen(place, from->second, invisible);
            if (at != nullptr && at->stamp >= since) rows.push_back(from->second);
        }
    }
    sort_unique(rows);
    return rows;
}

std::vector<int64_t> Org::Impl::referring(int object, int field, int64_t target, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const std::string id = id_of_packed(target);
    std::vector<int64_t> rows;
    const auto take_if_equal = [&](int64_t row) {
        bool invisible = false;
        if (sight == Sight::Readers) seen(place, row, invisible);
        if (!invisible && read_raw(object, row, field, sight) == Cell{id}) rows.push_back(row);
    };
    if (place.generated > 0 && plan.column != nullptr && plan.column->kind == Column::Kind::Row) {
        const auto& map = inverse(object, field, packed_object(target));
        const auto at = static_cast<std::size_t>(packed_row(target));
        for (std::size_t i = at + 1 < map.first.size() ? map.first[at] : map.rows.size();
             at + 1 < map.first.size() && i < map.first[at + 1]; ++i) {
            const int64_t row = map.rows[i];
            if (place.latest(row) == nullptr) {
                rows.push_back(row);
            } else {
                take_if_equal(row);
            }
        }
    }
    const auto stored = place.by_reference.find({field, target});
    if (stored != place.by_reference.end()) {
        for (const int64_t row : stored->second) {
            if (row < place.rows() && place.latest(row) != nullptr) take_if_equal(row);
        }
    }
    sort_unique(rows);
    return rows;
}

std::vector<int64_t> Org::Impl::equal(int object, int field, std::string_view text, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    const std::string wanted = key_text(described, std::string(text));
    std::vector<int64_t> rows;
    const auto take_if_equal = [&](int64_t row) {
        bool invisible = false;
        if (sight == Sight::Readers) seen(place, row, invisible);
        if (invisible) return;
        const Cell cell = read(object, row, field, sight);
        if (!is_null(cell) && key_text(described, plain_text(plan.type, cell)) == wanted) rows.push_back(row);
    };
    if (plan.source == Source::OwnId) {
        const std::optional<std::string> id = normalize_id(text);
        const std::optional<int64_t> row = id ? place.ids->row_of(*id) : std::nullopt;
        if (row && *row < place.rows()) take_if_equal(*row);
        return rows;
    }
    if (place.generated > 0 && plan.column != nullptr) {
        const auto& hashes = text_hashes(object, field);
        const std::uint64_t hash = text_hash(wanted) & 0xffffffff00000000ULL;
        for (auto at = std::lower_bound(hashes.begin(), hashes.end(), hash);
             at != hashes.end() && (*at & 0xffffffff00000000ULL) == hash; ++at) {
            take_if_equal(static_cast<int64_t>(*at & 0xffffffffULL));
        }
    }
    if (plan.indexed) {
        if (const auto index = place.by_text.find(field); index != place.by_text.end()) {
            const auto [first, last] = index->second.equal_range(wanted);
            for (auto at = first; at != last; ++at) {
                if (at->second < place.rows() && place.latest(at->second) != nullptr) take_if_equal(at->second);
            }
        }
    } else {
        for (const auto& [row, version] : place.edited) take_if_equal(row);
        for (int64_t row = place.generated; row < place.rows(); ++row) take_if_equal(row);
    }
    sort_unique(rows);
    return rows;
}

// --- Changing rows.

Version Org::Impl::copy_latest(int object, int64_t row) const {
    const Table& place = table(object);
    if (const Version* at = place.latest(row)) return at->clone();
    const Stamps at = generator->stamps(object, row);
    Version version;
    version.stamp = at.system;
    version.deleted_at = at.deleted;
    if (at.deleted != 0) version.life = Life::InBin;
    return version;
}

void Org::Impl::index_text(int object, int field) {
    Table& place = table(object);
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    auto& index = place.by_text[field];
    const auto add = [&](int64_t row, const Version& version) {
        const std::optional<CellView> cell = version.cells.view(field);
        if (!cell || cell->index() == 0) return;
        index.emplace(key_text(described, plain_text(described.type, to_cell(*cell))), row);
    };
    for (const auto& [row, version] : place.edited) add(row, version);
    for (std::size_t i = 0; i < place.fresh.size(); ++i) {
        add(place.generated + static_cast<int64_t>(i), place.fresh[i]);
    }
}

void Org::Impl::index(int object, int64_t row, const Version& version, const Version* old) {
    Table& place = table(object);
    if (old == nullptr || old->stamp != version.stamp) {
        // Stamps come in order unless the clock was moved back or a log is replayed.
        const std::pair<int64_t, int64_t> stamped{version.stamp, row};
        auto place_of_stamp = place.by_stamp.end();
        if (!place.by_stamp.empty() && stamped < place.by_stamp.back()) {
            place_of_stamp = std::upper_bound(place.by_stamp.begin(), place.by_stamp.end(), stamped);
        }
        place.by_stamp.insert(place_of_stamp, stamped);
    }
    // Forgets states that nobody can see any more, once they are the larger part.
    if (place.by_stamp.size() > 2 * (place.edited.size() + place.fresh.size()) + 10'000) {
        std::erase_if(place.by_stamp, [&](const auto& at) {
            if (at.second >= place.rows()) return true;
            for (const Version* state = place.latest(at.second); state != nullptr; state = state->before.get()) {
                if (state->stamp == at.first) return false;
            }
            return true;
        });
    }
    if (version.life != Life::Live && (old == nullptr || old->deleted_at != version.deleted_at)) {
        place.any_deleted = true;
        const std::pair<int64_t, int64_t> entry{version.deleted_at, row};
        place.deletions.insert(std::upper_bound(place.deletions.begin(), place.deletions.end(), entry), entry);
    }
    for (const auto& [field, cell] : version.cells.all()) {
        const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
        const bool reference = plan.type == Type::Reference;
        if ((!reference && !plan.indexed) || is_null(cell)) continue;
        if (old != nullptr) {
            const std::optional<CellView> before = old->cells.view(field);
            if (before && *before == view(cell)) continue;
        }
        if (reference) {
            const std::optional<int64_t> target = resolve(std::get<std::string>(cell));
            if (target) place.by_reference[{field, *target}].push_back(row);
        } else {
            const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
            place.by_text[field].emplace(key_text(described, plain_text(described.type, cell)), row);
        }
    }
}

int64_t Org::Impl::add_row(int object, Version version) {
    const int64_t delay = table(object).delay;
    return store_new(object, std::move(version), delay > 0 ? now() + delay : 0);
}

void Org::Impl::set_version(int object, int64_t row, Version version) {
    const int64_t delay = table(object).delay;
    store(object, row, std::move(version), delay > 0 ? now() + delay : 0);
}

int64_t Org::Impl::store_new(int object, Version version, int64_t visible_at) {
    Table& place = table(object);
    const int64_t row = place.rows();
    version.visible_at = visible_at;
    place.latest_visible_at = std::max(place.latest_visible_at, visible_at);
    place.live_delta += version.life == Life::Live ? 1 : 0;
    place.fresh.push_back(std::move(version));
    undo.push_back({object, row, true, std::nullopt});
    index(object, row, place.fresh.back(), nullptr);
    return row;
}

void Org::Impl::store(int object, int64_t row, Version version, int64_t visible_at) {
    Table& place = table(object);
    const Version* stored = place.latest(row);
    Version old = copy_latest(object, row);
    undo.push_back({object, row, false, stored != nullptr ? std::optional(stored->clone()) : std::nullopt});
    place.live_delta += (version.life == Life::Live ? 1 : 0) - (old.life == Life::Live ? 1 : 0);
    index(object, row, version, &old);
    version.visible_at = visible_at;
    version.before = nullptr;
    if (visible_at > 0) {
        place.latest_visible_at = std::max(place.latest_visible_at, visible_at);
        if (old.visible_at <= now()) old.before = nullptr;  // nobody sees past it
        version.before = std::make_unique<Version>(std::move(old));
    }
    if (row >= place.generated) {
        place.fresh[static_cast<std::size_t>(row - place.generated)] = std::move(version);
    } else {
        place.touched[static_cast<std::size_t>(row)] = true;
        place.edited[row] = std::move(version);
    }
}

void Org::Impl::roll_back(std::size_t to) {
    while (undo.size() > to) {
        Undo last = std::move(undo.back());
        undo.pop_back();
        Table& place = table(last.object);
        const bool was_live = place.latest(last.row)->life == Life::Live;
        if (last.added) {
            place.fresh.pop_back();
            place.live_delta -= was_live ? 1 : 0;
            continue;
        }
        if (last.before) {
            const bool is_live_again = last.before->life == Life::Live;
            place.live_delta += (is_live_again ? 1 : 0) - (was_live ? 1 : 0);
            if (last.row >= place.generated) {
                place.fresh[static_cast<std::size_t>(last.row - place.generated)] = std::move(*last.before);
            } else {
                place.edited[last.row] = std::move(*last.before);
            }
        } else {
            place.edited.erase(last.row);
            place.touched[static_cast<std::size_t>(last.row)] = false;
            const bool is_live_again = generator->stamps(last.object, last.row).deleted == 0;
            place.live_delta += (is_live_again ? 1 : 0) - (was_live ? 1 : 0);
        }
    }
}

void Org::Impl::commit() {
    if (journal != nullptr && !undo.empty()) journal_rows();
    undo.clear();
}

// --- The org.

Org::Impl::Impl(OrgOptions given) : options(std::move(given)) {
    clock = options.clock;
    if (clock == nullptr) {
        own_clock = system_clock();
        clock = own_clock.get();
    }
    start = options.start.value_or(clock->now());
    offset = start.seconds - clock->now().seconds;
}

Org::Impl::~Impl() {
    if (journal != nullptr) std::fclose(journal);
}

Org::Org(OrgOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
    impl_->open_journal();
}

Org::~Org() = default;

std::shared_lock<std::shared_mutex> Org::read_lock() const {
    return std::shared_lock(impl_->mutex);
}

std::unique_lock<std::shared_mutex> Org::write_lock() {
    return std::unique_lock(impl_->mutex);
}

const OrgOptions& Org::options() const {
    return impl_->options;
}

bool Org::restored() const {
    return impl_->restored;
}

const Schema& Org::schema() const {
    return impl_->schema;
}

Timestamp Org::now() const {
    return {impl_->now()};
}

Timestamp Org::start() const {
    return impl_->start;
}

const std::string& Org::organization_id() const {
    return impl_->organization_id;
}

const std::string& Org::integration_user_id() const {
    return impl_->integration_user_id;
}

int64_t Org::rows(int object) const {
    return impl_->table(object).rows();
}

int64_t Org::live_rows(int object) const {
    const Table& place = impl_->table(object);
    int64_t live = place.generated + place.live_delta;
    if (place.generated > 0) live -= impl_->scanned(object).dead;
    // Late commits count once they are there; their stamps are recent, so few entries are looked at.
    const int64_t at = impl_->now();
    for (auto entry = place.by_stamp.rbegin(); entry != place.by_stamp.rend() && place.latest_visible_at > at;
         ++entry) {
        if (entry->second >= place.rows()) continue;
        const Version* latest = place.latest(entry->second);
        if (latest == nullptr || latest->stamp != entry->first || latest->visible_at <= at) continue;
        bool invisible = false;
        const Version* seen = impl_->seen(place, entry->second, invisible);
        const bool shown = !invisible && seen->life == Life::Live;
        live += (shown ? 1 : 0) - (latest->life == Life::Live ? 1 : 0);
    }
    return live;
}

std::string Org::id_of(int object, int64_t row) const {
    return impl_->table(object).ids->of(row);
}

std::optional<int64_t> Org::row_of(int object, std::string_view id18) const {
    const std::optional<int64_t> row = impl_->table(object).ids->row_of(id18);
    if (!row || *row >= rows(object)) return std::nullopt;
    return row;
}

Org::Life Org::life(int object, int64_t row) const {
    bool invisible = false;
    impl_->seen(impl_->table(object), row, invisible);
    return invisible ? Life::Gone : impl_->life(object, row, Sight::Readers);
}

Cell Org::value(int object, int64_t row, int field) const {
    return impl_->read(object, row, field, Sight::Readers);
}

Timestamp Org::modstamp(int object, int64_t row) const {
    return {impl_->modstamp(object, row, Sight::Readers)};
}

std::vector<int64_t> Org::rows_modified_since(int object, Timestamp since) const {
    return impl_->modified_since(object, since.seconds);
}

bool Org::visible_yet(int object, int64_t row) const {
    bool invisible = false;
    impl_->seen(impl_->table(object), row, invisible);
    return !invisible;
}

std::vector<int64_t> Org::rows_referring(int object, int field, std::string_view id18) const {
    const std::optional<int64_t> target = impl_->resolve(id18);
    if (!target) return {};
    const FieldPlan& plan = impl_->table(object).plans[static_cast<std::size_t>(field)];
    if (impl_->weak_target_dead(plan, Cell{std::string(id18)}, Sight::Readers)) return {};
    return impl_->referring(object, field, *target, Sight::Readers);
}

std::vector<int64_t> Org::rows_equal(int object, int field, std::string_view text) const {
    return impl_->equal(object, field, text, Sight::Readers);
}

std::vector<DeletedRow> Org::deleted_between(int object, Timestamp from, Timestamp to) const {
    const Table& place = impl_->table(object);
    const int64_t first = std::max(from.seconds, earliest_delete_log().seconds);
    std::vector<std::pair<int64_t, int64_t>> found;
    const auto take = [&](int64_t at, int64_t row) {
        bool invisible = false;
        const Version* state = impl_->seen(place, row, invisible);
        const bool still = state == nullptr || (state->life != Life::Live && state->deleted_at == at);
        if (!invisible && still) found.emplace_back(at, row);
    };
    if (place.generated > 0 && first <= impl_->start.seconds) {
        for (const Table::Recent& entry : impl_->scanned(object).recent) {
            if (entry.deleted && entry.stamp >= first && entry.stamp < to.seconds) take(entry.stamp, entry.row);
        }
    }
    auto entry = std::lower_bound(place.deletions.begin(), place.deletions.end(), std::pair{first, int64_t{-1}});
    for (; entry != place.deletions.end() && entry->first < to.seconds; ++entry) {
        if (entry->second < place.rows() && place.latest(entry->second) != nullptr) take(entry->first, entry->second);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::vector<DeletedRow> rows;
    rows.reserve(found.size());
    for (const auto& [at, row] : found) rows.push_back({id_of(object, row), {at}});
    return rows;
}

Timestamp Org::earliest_delete_log() const {
    return {std::max(impl_->now() - kBinSeconds, impl_->log_purged_before)};
}

bool Org::visible(int object, int field) const {
    const Table& place = impl_->table(object);
    const Object& described = impl_->schema.at(object);
    if (described.removed || place.object_hidden) return false;
    if (field < 0) return true;
    const auto at = static_cast<std::size_t>(field);
    return at < place.hidden.size() && !place.hidden[at] && !described.fields[at].removed;
}

void Org::append_csv(int object, int64_t row, int field, std::string& out) const {
    const Table& place = impl_->table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const bool computed = row < place.generated && plan.column != nullptr && !plan.weak && place.latest(row) == nullptr;
    if (!computed) {
        append_csv_cell(out, plan.type, value(object, row, field));
        return;
    }
    std::array<char, 2 * kCellMax> room;
    const Facts& facts = facts_of(*impl_->generator, object, row);
    char* end = write_plain(*impl_, *plan.column, facts, row, *place.ids, room.data(), "Z");
    end = double_quotes(room.data(), end);
    out += '"';
    out.append(room.data(), end);
    out += '"';
}

void Org::append_json(int object, int64_t row, int field, std::string& out) const {
    const Table& place = impl_->table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const bool computed = row < place.generated && plan.column != nullptr && !plan.weak && place.latest(row) == nullptr;
    if (!computed) {
        append_json_cell(out, plan.type, value(object, row, field));
        return;
    }
    append_generated_json(*impl_, *plan.column, facts_of(*impl_->generator, object, row), row, *place.ids, out);
}

std::string Org::summary_json() const {
    json::array objects;
    std::size_t bytes = 0;
    int64_t stored = 0;
    for (int object = 0; object < impl_->schema.size(); ++object) {
        const Table& place = impl_->table(object);
        if (impl_->schema.at(object).removed) continue;
        bytes += place.touched.size() / 8 + (place.by_stamp.size() + place.deletions.size()) * 16;
        for (const auto& [row, version] : place.edited) bytes += version.cells.bytes() + sizeof(version) + 32;
        for (const Version& version : place.fresh) bytes += version.cells.bytes() + sizeof(version);
        const auto changed = static_cast<int64_t>(place.edited.size());
        const auto made = static_cast<int64_t>(place.fresh.size());
        stored += changed + made;
        objects.push_back({{"name", impl_->schema.at(object).name},
                           {"rows", place.rows()},
                           {"live", live_rows(object)},
                           {"edited", changed},
                           {"added", made}});
    }
    return json::serialize(json::object{{"now", to_string(now())},
                                        {"seed", impl_->options.seed},
                                        {"stored_rows", stored},
                                        {"stored_bytes", bytes},
                                        {"objects", objects}});
}

// --- Projection.

struct Projection::Plan {
    struct Part {
        int field;
        const FieldPlan* plan;
        std::string json_key;  ///< `"Name":`
    };
    const Org& org;
    const Org::Impl& impl;
    int object;
    const Table& table;
    std::vector<Part> parts;
};

Projection::Projection(const Org& org, int object, std::vector<int> fields) {
    const Org::Impl& impl = *org.impl_;
    const Table& table = impl.table(object);
    plan_ = std::make_unique<Plan>(Plan{org, impl, object, table, {}});
    for (const int field : fields) {
        std::string key;
        append_json_text(key, impl.schema.at(object).fields[static_cast<std::size_t>(field)].name);
        plan_->parts.push_back({field, &table.plans[static_cast<std::size_t>(field)], key + ":"});
    }
}

Projection::~Projection() = default;
Projection::Projection(Projection&&) noexcept = default;

void Projection::append_csv(int64_t row, std::string& out, char delimiter) const {
    const Plan& plan = *plan_;
    if (row >= plan.table.generated || plan.table.latest(row) != nullptr) {
        for (const Plan::Part& part : plan.parts) {
            if (&part != plan.parts.data()) out += delimiter;
            append_csv_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
        return;
    }
    constexpr std::size_t room_size = 16 * 1024;
    std::array<char, room_size> room;
    char* at = room.data();
    const char* const full = room.data() + room.size() - 2 * kCellMax;
    const Facts& facts = facts_of(*plan.impl.generator, plan.object, row);
    for (const Plan::Part& part : plan.parts) {
        if (&part != plan.parts.data()) *at++ = delimiter;
        *at++ = '"';
        const Column* column = part.plan->column;
        if (column != nullptr && !part.plan->weak) {
            char* const cell = at;
            at = write_plain(plan.impl, *column, facts, row, *plan.table.ids, at, "Z");
            if (column->kind == Column::Kind::Text || column->kind == Column::Kind::Choice)
                at = double_quotes(cell, at);
            *at++ = '"';
        } else if (column != nullptr) {
            const int64_t target = column->number(facts);
            const bool dead = target != Column::kNull && plan.impl.table(packed_object(target)).any_deleted &&
                              !plan.impl.is_live(packed_object(target), packed_row(target), Sight::Readers);
            if (target != Column::kNull && !dead) {
                at = plan.impl.table(packed_object(target)).ids->write(at, packed_row(target));
            }
            *at++ = '"';
        } else if (part.plan->source == Source::Stored) {
            const std::string_view unset = part.plan->type != Type::Boolean ? ""
                                           : part.plan->unset_truth         ? "true"
                                                                            : "false";
            std::memcpy(at, unset.data(), unset.size());
            at += unset.size();
            *at++ = '"';
        } else {
            out.append(room.data(), at - 1);
            at = room.data();
            append_csv_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
        if (at >= full) {
            out.append(room.data(), at);
            at = room.data();
        }
    }
    out.append(room.data(), at);
}

void Projection::append_json(int64_t row, std::string& out) const {
    const Plan& plan = *plan_;
    const bool computed = row < plan.table.generated && plan.table.latest(row) == nullptr;
    for (const Plan::Part& part : plan.parts) {
        if (&part != plan.parts.data()) out += ',';
        out += part.json_key;
        if (computed && part.plan->column != nullptr && !part.plan->weak) {
            append_generated_json(plan.impl, *part.plan->column, facts_of(*plan.impl.generator, plan.object, row), row,
                                  *plan.table.ids, out);
        } else {
            append_json_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
    }
}

}  // namespace lockstep::sandbox

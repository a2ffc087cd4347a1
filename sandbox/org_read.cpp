#include <algorithm>
#include <array>

#include "base/text.h"
#include "sandbox/org_data.h"

/// From a row as it is kept to the value of a field.
namespace lockstep::sandbox {

using std::int64_t;

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

const Generator::Place& Org::Impl::generated_row(int object, int64_t row) const {
    struct Last {
        std::uint64_t generator = 0;
        int object = -1;
        int64_t row = -1;
        Generator::Place place;
    };
    thread_local Last last;
    if (last.generator != generator->serial() || last.object != object || last.row != row) {
        last.generator = 0;
        generator->fill(object, row, last.place);
        last.generator = generator->serial();
        last.object = object;
        last.row = row;
    }
    return last.place;
}

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
    return generated_row(object, row).stamps().system;
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
            const std::string_view text = column.choice(number);
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
        return generated_cell(*plan.column, plan.type, generated_row(object, row).facts(), object, row);
    }
    if (plan.type == Type::Boolean) return plan.unset_truth;
    return {};
}

bool Org::Impl::weak_target_dead(const FieldPlan& plan, const Cell& reference, Sight sight) const {
    if (!plan.weak || !anything_deleted) return false;
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
Cell follow(const Org::Impl& org, int object, int64_t row, std::string_view path, Sight sight) {
    const std::size_t dot = path.find('.');
    const Object& described = org.schema.at(object);
    if (dot == std::string_view::npos) {
        const int field = described.find(path);
        return field < 0 ? Cell{} : org.read(object, row, field, sight);
    }
    const std::string_view relation = path.substr(0, dot);
    for (std::size_t i = 0; i < described.fields.size(); ++i) {
        if (!equals_ignoring_case(described.fields[i].relationship, relation)) continue;
        const Cell id = org.read(object, row, static_cast<int>(i), sight);
        if (is_null(id)) return {};
        const std::optional<int64_t> target = org.resolve(std::get<std::string>(id));
        if (!target) return {};
        return follow(org, packed_object(*target), packed_row(*target), path.substr(dot + 1), sight);
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
    Cell person = is_null(contact) ? own("LeadId") : contact;
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

/// A number of a campaign: its live children whose `wanted` fields all hold something, counted or, with `sum`, added
/// up.
double total_of(const Org::Impl& org, int64_t campaign, const char* child, std::initializer_list<const char*> wanted,
                const char* sum, Sight sight) {
    const int object = org.schema.find(child);
    const int link = object < 0 ? -1 : org.schema.at(object).find("CampaignId");
    if (link < 0) return 0;
    const Table& place = org.table(object);
    std::vector<int> conditions;
    for (const char* name : wanted) conditions.push_back(org.schema.at(object).find(name));
    const int addend = sum == nullptr ? -1 : org.schema.at(object).find(sum);
    double total = 0;
    for (const int64_t row : org.referring(object, link, campaign, sight)) {
        // Campaigns have thousands of members, and nearly all of them are as generated: no cells are made for those.
        const Facts* facts = nullptr;
        if (row < place.generated && place.latest(row) == nullptr) {
            const Generator::Place& at = org.generated_row(object, row);
            if (at.stamps().deleted != 0) continue;
            facts = &at.facts();
        } else if (!org.is_live(object, row, sight)) {
            continue;
        }
        const auto column = [&](int field) { return place.plans[static_cast<std::size_t>(field)].column; };
        const bool counts = std::all_of(conditions.begin(), conditions.end(), [&](int field) {
            if (facts != nullptr) {
                const int64_t number = column(field)->number(*facts);
                return number != Column::kNull && number != 0;
            }
            const Cell cell = org.read_raw(object, row, field, sight);
            return !is_null(cell) && cell != Cell{false};
        });
        if (!counts) continue;
        if (addend < 0) {
            total += 1;
        } else if (facts != nullptr) {
            const int64_t hundredths = column(addend)->number(*facts);
            if (hundredths != Column::kNull) total += static_cast<double>(hundredths) / 100;
        } else {
            const Cell amount = org.read_raw(object, row, addend, sight);
            if (const auto* number = std::get_if<double>(&amount)) total += *number;
        }
    }
    return total;
}

Cell rollup(const Org::Impl& org, int object, int64_t row, const Field& field, Sight sight) {
    struct Kind {
        const char* field;
        const char* child;
        std::initializer_list<const char*> wanted;
        const char* sum;
    };
    // A member that is a lead and a contact is a lead that was converted.
    static const Kind kinds[] = {
        {"NumberOfLeads", "CampaignMember", {"LeadId"}, nullptr},
        {"NumberOfConvertedLeads", "CampaignMember", {"LeadId", "ContactId"}, nullptr},
        {"NumberOfContacts", "CampaignMember", {"ContactId"}, nullptr},
        {"NumberOfResponses", "CampaignMember", {"HasResponded"}, nullptr},
        {"NumberOfOpportunities", "Opportunity", {}, nullptr},
        {"NumberOfWonOpportunities", "Opportunity", {"IsWon"}, nullptr},
        {"AmountAllOpportunities", "Opportunity", {}, "Amount"},
        {"AmountWonOpportunities", "Opportunity", {"IsWon"}, "Amount"},
    };
    double total = 0;
    for (const Kind& kind : kinds) {
        if (field.name == kind.field) {
            total = total_of(org, pack(object, row), kind.child, kind.wanted, kind.sum, sight);
        }
    }
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
            return formula_value(object, row, plan, sight);
        case Source::Member:
            return member_field(*this, object, row, described(), sight);
        case Source::Rollup:
            return rollup(*this, object, row, described(), sight);
        case Source::Photo:
            return "/services/images/photo/" + place.ids->of(row).substr(0, 15);
        case Source::LastActivity:
        case Source::OpenActivity:
        case Source::OverdueTask:
            return activity_value(object, row, field, sight);
        case Source::Archived:
            return archived(object, row, sight);
        case Source::Stored:
            break;
    }
    Cell cell = read_raw(object, row, field, sight);
    if (weak_target_dead(plan, cell, sight)) return {};
    return cell;
}

}  // namespace lockstep::sandbox

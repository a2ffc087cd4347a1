#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/org_data.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;

WriteResult failed(std::string id, std::string code, std::string message, std::vector<std::string> fields = {}) {
    return {std::move(id), false, {{std::move(code), std::move(message), std::move(fields)}}};
}

/// What JSON calls a value, as Salesforce's parser words its errors.
std::string json_kind(const Cell& cell) {
    if (const auto* truth = std::get_if<bool>(&cell)) return *truth ? "VALUE_TRUE" : "VALUE_FALSE";
    if (std::holds_alternative<int64_t>(cell)) return "VALUE_NUMBER_INT";
    if (std::holds_alternative<double>(cell)) return "VALUE_NUMBER_FLOAT";
    return "VALUE_STRING";
}

bool is_email(std::string_view text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos || at == 0 || at > 64) return false;
    const std::string_view local = text.substr(0, at);
    const std::string_view domain = text.substr(at + 1);
    const auto dots_are_single = [](std::string_view part) {
        return !part.starts_with('.') && !part.ends_with('.') && part.find("..") == std::string_view::npos;
    };
    if (!dots_are_single(local) || !dots_are_single(domain)) return false;
    if (domain.find('.') == std::string_view::npos || domain.find('@') != std::string_view::npos) return false;
    const auto is_bad = [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 ||
               std::string_view("()<>[]:;,\\\"").find(c) != std::string_view::npos;
    };
    if (std::any_of(text.begin(), text.end(), is_bad)) return false;
    return std::all_of(domain.begin(), domain.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               static_cast<unsigned char>(c) >= 0x80;
    });
}

const Field& field_at(const Draft& draft, int field) {
    return draft.described().fields[static_cast<std::size_t>(field)];
}

// --- The checks, in Salesforce's order (salesforce-api 6). Each tells all its errors; the first that has any ends it.

/// Sight is the connected user's: the org's own people write what is hidden from it.
bool is_hidden(const Draft& draft, int field) {
    return draft.actor == draft.org.integration_user_id &&
           draft.org.table(draft.object).hidden[static_cast<std::size_t>(field)];
}

void check_columns(Draft& draft, const Values& given) {
    for (const auto& [name, cell] : given) {
        const int field = draft.find(name);
        if (field < 0 || is_hidden(draft, field)) {
            draft.fail("INVALID_FIELD", "No such column '" + name + "' on sobject of type " + draft.described().name);
        }
    }
}

void take_values(Draft& draft, const Values& given) {
    for (const auto& [name, cell] : given) {
        const int field = draft.find(name);
        const Field& described = field_at(draft, field);
        std::variant<Cell, NotCoercible> coerced = coerce(described, cell);
        if (const auto* refused = std::get_if<NotCoercible>(&coerced)) {
            draft.fail("JSON_PARSER_ERROR", "Cannot deserialize instance of " + refused->instance + " from " +
                                                json_kind(cell) + " value " + plain_text(described.type, cell) +
                                                " or request may be missing a required field at [line:1, column:2]");
            continue;
        }
        Cell value = std::get<Cell>(std::move(coerced));
        if (described.type == Type::Boolean && is_null(value)) value = false;
        draft.values[field] = std::move(value);
        draft.given_.insert(field);
    }
}

void check_writable(Draft& draft) {
    std::vector<std::string> refused;
    for (const int field : draft.given_) {
        const Field& described = field_at(draft, field);
        if (described.type == Type::Id && draft.is_new()) {
            draft.fail("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", {described.name});
            return;
        }
        const bool writable = draft.is_new() ? described.createable : described.updateable;
        if (!writable || described.calculated) refused.push_back(described.name);
    }
    if (refused.empty()) return;
    draft.fail("INVALID_FIELD_FOR_INSERT_UPDATE",
               "Unable to create/update fields: " + join(refused, ", ") +
                   ". Please check the security settings of this field and verify that it is read/write for your "
                   "profile or permission set.",
               refused);
}

WriteError unseen(const Org::Impl& org, int object, int64_t row) {
    return {"INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
            "insufficient access rights on cross-reference id: " + org.table(object).ids->of(row).substr(0, 15),
            {}};
}

/// What the connected user may not do to a record; nothing: it may. The org's own people may do everything.
std::optional<WriteError> access_refusal(const Org::Impl& org, int object, int64_t row, bool right,
                                         std::string_view actor) {
    if (actor != org.integration_user_id) return std::nullopt;
    if (row >= 0 && !org.may(object, row, false)) return unseen(org, object, row);
    const bool allowed = org.table(object).rights.modify_all || (right && (row < 0 || org.may(object, row, true)));
    if (allowed) return std::nullopt;
    return WriteError{"INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", {}};
}

void check_access(Draft& draft) {
    const Org::Rights& rights = draft.org.table(draft.object).rights;
    const bool right = draft.is_new() ? rights.create : rights.edit;
    if (std::optional<WriteError> refusal = access_refusal(draft.org, draft.object, draft.row, right, draft.actor)) {
        draft.errors.push_back(std::move(*refusal));
        return;
    }
    if (draft.is_new()) return;
    if (!draft.org.is_live(draft.object, draft.row, Sight::Writer)) {
        draft.fail("ENTITY_IS_DELETED", "entity is deleted");
    } else if (draft.described().name == "Lead" && draft.old(draft.find("IsConverted")) == Cell{true}) {
        draft.fail("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead");
    }
}

void set_defaults(Draft& draft) {
    if (!draft.is_new()) return;
    for (std::size_t i = 0; i < draft.described().fields.size(); ++i) {
        const Field& field = draft.described().fields[i];
        const int index = static_cast<int>(i);
        const auto given = draft.values.find(index);
        const bool wanted = given == draft.values.end() || (!field.nillable && is_null(given->second));
        if (field.removed || field.calculated || !wanted) continue;
        if (!field.default_value.empty()) {
            const auto value = coerce(field, Cell{field.default_value});
            if (const auto* cell = std::get_if<Cell>(&value)) draft.values[index] = *cell;
        } else if (field.type == Type::Boolean && field.createable) {
            draft.values[index] = false;
        } else if (field.name == "CurrencyIsoCode" && field.createable) {
            draft.values[index] = draft.org.default_currency(draft.actor);
        } else if (field.name == "OwnerId" && field.defaulted_on_create) {
            draft.values[index] = draft.actor;
        }
    }
}

void check_required(Draft& draft) {
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < draft.described().fields.size(); ++i) {
        const Field& field = draft.described().fields[i];
        const int index = static_cast<int>(i);
        if (field.nillable || field.removed || !field.createable || field.auto_number) continue;
        const bool touched = draft.is_new() ? !field.defaulted_on_create : draft.values.count(index) != 0;
        const bool emptied = draft.given_.count(index) != 0;
        // A custom object's text Name is its id when nobody gives one.
        const bool names_itself = field.name_field && draft.described().custom && draft.is_new();
        if ((touched || emptied) && !names_itself && is_null(draft.get(index))) missing.push_back(field.name);
    }
    if (missing.empty()) return;
    draft.fail("REQUIRED_FIELD_MISSING", "Required fields are missing: [" + join(missing, ", ") + "]", missing);
}

void check_lengths(Draft& draft) {
    for (const auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        const auto* text = std::get_if<std::string>(&cell);
        const bool limited = field.length > 0 && field.type != Type::Reference && field.type != Type::Base64;
        if (text == nullptr || !limited) continue;
        if (length_in_characters(*text) <= static_cast<std::size_t>(field.length)) continue;
        draft.fail(
            "STRING_TOO_LONG",
            field.label + ": data value too large: " + *text + " (max length=" + std::to_string(field.length) + ")",
            {field.name});
    }
}

void check_picklists(Draft& draft) {
    for (auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        auto* text = std::get_if<std::string>(&cell);
        if (text == nullptr || !field.restricted_picklist || field.picklist.empty()) continue;
        const bool multi = field.type == Type::MultiPicklist;
        std::vector<std::string> parts = multi ? split(*text, ';') : std::vector<std::string>{*text};
        for (std::string& part : parts) {
            const auto found = std::find_if(field.picklist.begin(), field.picklist.end(), [&](const PickValue& value) {
                return value.active && equals_ignoring_case(value.value, part);
            });
            if (found == field.picklist.end()) {
                draft.fail("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                           field.label + ": bad value for restricted picklist field: " + part, {field.name});
            } else {
                part = found->value;
            }
        }
        *text = join(parts, ";");
    }
}

void check_owner(Draft& draft, const Field& field, int64_t owner) {
    const Org::Impl& org = draft.org;
    const int object = packed_object(owner);
    const Object& described = org.schema.at(object);
    if (described.name == "User") {
        const Cell active = org.read(object, packed_row(owner), described.find("IsActive"), Sight::Writer);
        if (active == Cell{true}) return;
        const std::string id = org.id_of_packed(owner).substr(0, 15);
        draft.fail("INACTIVE_OWNER_OR_USER", "operation performed with inactive user [" + id + "] as owner of " +
                                                 to_lower(draft.described().name));
        return;
    }
    if (described.name != "Group") return;
    const int links = org.schema.find("QueueSobject");
    const Object& link = org.schema.at(links);
    for (const int64_t row : org.referring(links, link.find("QueueId"), owner, Sight::Writer)) {
        const Cell type = org.read(links, row, link.find("SobjectType"), Sight::Writer);
        if (type == Cell{draft.described().name}) return;
    }
    draft.fail("FIELD_INTEGRITY_EXCEPTION", "Queue not associated with this SObject type", {field.name});
}

void check_references(Draft& draft) {
    const Org::Impl& org = draft.org;
    for (const auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        const auto* id = std::get_if<std::string>(&cell);
        if (field.type != Type::Reference || id == nullptr) continue;
        if (!draft.is_new() && draft.old(index) == cell) continue;
        const bool is_id = normalize_id(*id) == *id;
        const int object = is_id ? org.schema.find_by_prefix(id->substr(0, 3)) : -1;
        const auto& targets = field.reference_to;
        const bool fits = object >= 0 && (targets.empty() || std::find(targets.begin(), targets.end(),
                                                                       org.schema.at(object).name) != targets.end());
        // An object this org does not have: nothing can be said about the id but that it leads nowhere.
        const bool foreign = is_id && object < 0 && std::any_of(targets.begin(), targets.end(), [&](const auto& name) {
                                 return org.schema.find(name) < 0;
                             });
        if (!fits && !foreign) {
            draft.fail("MALFORMED_ID", field.label + ": id value of incorrect type: " + *id, {field.name});
            continue;
        }
        const std::optional<int64_t> target = org.resolve(*id);
        if (!target) {
            draft.fail("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", {field.name});
        } else if (!org.is_live(packed_object(*target), packed_row(*target), Sight::Writer)) {
            draft.fail("ENTITY_IS_DELETED", "entity is deleted", {field.name});
        } else if (draft.actor == org.integration_user_id &&
                   !org.may(packed_object(*target), packed_row(*target), false)) {
            draft.errors.push_back(unseen(org, packed_object(*target), packed_row(*target)));
        } else if (field.name == "OwnerId") {
            check_owner(draft, field, *target);
        }
    }
}

void check_emails(Draft& draft) {
    for (const auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        const auto* text = std::get_if<std::string>(&cell);
        if (field.type != Type::Email || text == nullptr || is_email(*text)) continue;
        draft.fail("INVALID_EMAIL_ADDRESS", field.label + ": invalid email address: " + *text, {field.name});
    }
}

void check_ranges(Draft& draft) {
    for (const auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        double limit = 0;
        if (is_fractional(field.type) && field.precision > 0) limit = std::pow(10.0, field.precision - field.scale);
        if (field.type == Type::Int && field.digits > 0) limit = std::pow(10.0, field.digits);
        if (limit == 0 || is_null(cell)) continue;
        const auto* whole = std::get_if<int64_t>(&cell);
        const double number = whole != nullptr ? static_cast<double>(*whole) : std::get<double>(cell);
        if (std::abs(number) < limit) continue;
        draft.fail("NUMBER_OUTSIDE_VALID_RANGE",
                   field.label + ": value outside of valid range on numeric field: " + plain_text(field.type, cell),
                   {field.name});
    }
}

void check_unique(Draft& draft) {
    for (const auto& [index, cell] : draft.values) {
        const Field& field = field_at(draft, index);
        if (!field.unique || is_null(cell)) continue;
        for (const int64_t row : draft.org.equal(draft.object, index, plain_text(field.type, cell), Sight::Writer)) {
            if (row == draft.row || !draft.org.is_live(draft.object, row, Sight::Writer)) continue;
            draft.fail("DUPLICATE_VALUE",
                       "duplicate value found: " + field.name + " duplicates value on record with id: " +
                           draft.org.table(draft.object).ids->of(row).substr(0, 15),
                       {field.name});
            break;
        }
    }
}

/// Names of records that are not people: the id of a nameless custom record, the number of an auto-numbered one.
void name_new_record(Draft& draft, int64_t row) {
    for (std::size_t i = 0; i < draft.described().fields.size(); ++i) {
        const Field& field = draft.described().fields[i];
        const int index = static_cast<int>(i);
        if (field.auto_number) {
            std::string format = field.auto_number_format.empty() ? "{00000}" : field.auto_number_format;
            const std::size_t open = format.find('{');
            const std::size_t close = format.find('}');
            std::string number = std::to_string(row + 1);
            if (open != std::string::npos && close != std::string::npos && close > open) {
                const std::size_t width = close - open - 1;
                if (number.size() < width) number.insert(0, width - number.size(), '0');
                format.replace(open, close - open + 1, number);
            } else {
                format += number;
            }
            draft.values[index] = format;
        } else if (field.name_field && draft.described().custom && is_null(draft.get(index))) {
            draft.values[index] = draft.org.table(draft.object).ids->of(row).substr(0, 15);
        }
    }
}

void save(Draft& draft) {
    Org::Impl& org = draft.org;
    const int64_t at = org.now();
    Version version;
    if (draft.is_new()) {
        draft.set("CreatedDate", at);
        draft.set("CreatedById", draft.actor);
        name_new_record(draft, org.table(draft.object).rows());
    } else {
        version = org.copy_latest(draft.object, draft.row);
    }
    draft.set("LastModifiedDate", at);
    draft.set("LastModifiedById", draft.actor);
    derive_fields(draft);
    const HistoryOf history = history_of(draft);
    for (const auto& [field, cell] : draft.values) {
        const Source source = org.table(draft.object).plans[static_cast<std::size_t>(field)].source;
        // What is computed when read is never stored; a null that is unset anyway needs no room in a new row.
        if (source != Source::Stored) continue;
        if (draft.is_new() && is_null(cell) && field_at(draft, field).type != Type::Boolean) continue;
        version.cells.set(field, cell);
    }
    version.stamp = at;
    if (draft.is_new()) {
        draft.row = org.add_row(draft.object, std::move(version));
    } else {
        org.set_version(draft.object, draft.row, std::move(version));
    }
    add_history(org, draft.object, draft.row, history, draft.actor);
}

WriteResult write_record(Org::Impl& org, int object, int64_t row, const Values& given, std::string_view actor) {
    Draft draft(org, object, row, actor);
    const bool created = draft.is_new();
    using Check = void (*)(Draft&);
    constexpr Check checks[] = {check_writable,   check_access, check_required, check_lengths, check_picklists,
                                check_references, check_emails, check_ranges,   check_rules,   check_unique};
    check_columns(draft, given);
    if (draft.errors.empty()) take_values(draft, given);
    for (const Check check : checks) {
        if (!draft.errors.empty()) break;
        // Defaults are the platform's: only what the caller gave is checked for writability.
        if (check == check_required) set_defaults(draft);
        check(draft);
    }
    if (draft.errors.empty()) {
        save(draft);
        after_save(draft, created);
    }
    WriteResult result{"", created, std::move(draft.errors)};
    if (draft.row >= 0 && (result.ok() || !created)) result.id = org.table(object).ids->of(draft.row);
    if (!result.ok()) result.created = false;
    return result;
}

struct Found {
    int64_t row = -1;
    WriteResult refusal;
};

/// The row of `id`, or why nothing can be done with it.
Found find_record(const Org::Impl& org, int object, std::string_view id) {
    const std::optional<std::string> id18 = normalize_id(id);
    if (!id18) return {-1, failed(std::string(id), "MALFORMED_ID", "malformed id " + std::string(id), {"Id"})};
    const std::optional<int64_t> row = org.table(object).ids->row_of(*id18);
    if (!row || *row >= org.table(object).rows() || org.schema.at(object).removed) {
        return {-1, failed(*id18, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")};
    }
    return {*row, {}};
}

Found find_live(const Org::Impl& org, int object, std::string_view id) {
    Found found = find_record(org, object, id);
    if (found.row >= 0 && !org.is_live(object, found.row, Sight::Writer)) {
        return {-1, failed(org.table(object).ids->of(found.row), "ENTITY_IS_DELETED", "entity is deleted")};
    }
    return found;
}

WriteResult not_supported(const Org::Impl& org, int object, const char* operation) {
    return failed("", "INVALID_TYPE_FOR_OPERATION",
                  "entity type " + org.schema.at(object).name + " does not support " + operation);
}

/// Of two people who became one, one membership of a campaign is left. Whether `row`, whose person is about to become
/// the one that `field` names by `person`, was such a second one; then it is deleted.
bool drop_second_membership(Org::Impl& org, int object, int64_t row, int field, int64_t person, int64_t batch,
                            std::string_view actor) {
    const Object& described = org.schema.at(object);
    if (described.name != "CampaignMember" || field < 0) return false;
    const int campaign = described.find("CampaignId");
    const Cell wanted = org.read_raw(object, row, campaign, Sight::Writer);
    for (const int64_t other : org.referring(object, field, person, Sight::Writer)) {
        const bool same = other != row && org.is_live(object, other, Sight::Writer) &&
                          org.read_raw(object, other, campaign, Sight::Writer) == wanted;
        if (!same) continue;
        delete_row(org, object, row, batch, actor, true);
        return true;
    }
    return false;
}

struct Child {
    int object, field;
    bool cascade, restricted;
};
std::vector<Child> children_of(const Org::Impl& org, int parent) {
    std::vector<Child> children;
    for (const ChildRelationship& child : org.schema.children_of(parent)) {
        const int object = org.schema.find(child.child_object);
        children.push_back(
            {object, org.schema.at(object).find(child.field), child.cascade_delete, child.restricted_delete});
    }
    return children;
}

std::optional<WriteError> delete_hindrance(const Org::Impl& org, int object, int64_t row) {
    for (const Child& child : children_of(org, object)) {
        if (!child.restricted) continue;
        for (const int64_t at : org.referring(child.object, child.field, pack(object, row), Sight::Writer)) {
            if (!org.is_live(child.object, at, Sight::Writer)) continue;
            return WriteError{"DELETE_FAILED",
                              "Your attempt to delete " + org.table(object).ids->of(row) +
                                  " could not be completed because it is associated with the following " +
                                  to_lower(org.schema.at(child.object).label_plural) +
                                  ".: " + org.table(child.object).ids->of(at),
                              {}};
        }
    }
    return std::nullopt;
}

/// Applies `change` to what was deleted together with the row: its children of the same delete, and theirs.
template <class Change>
void with_cascade(Org::Impl& org, int object, int64_t row, const Change& change) {
    const Version state = org.copy_latest(object, row);
    std::vector<std::pair<int, int64_t>> children;
    for (const Child& child : children_of(org, object)) {
        if (!child.cascade) continue;
        for (const int64_t at : org.referring(child.object, child.field, pack(object, row), Sight::Writer)) {
            const Version other = org.copy_latest(child.object, at);
            const bool together =
                other.life != Org::Life::Live && other.batch == state.batch && other.deleted_at == state.deleted_at;
            if (together) children.emplace_back(child.object, at);
        }
    }
    change(object, row);
    for (const auto& [child_object, at] : children) {
        // A row may hang on two parents that went together.
        if (org.copy_latest(child_object, at).life == Org::Life::InBin) with_cascade(org, child_object, at, change);
    }
}

}  // namespace

Draft::Draft(Org::Impl& org_in, int object_in, int64_t row_in, std::string_view actor_in)
    : org(org_in), object(object_in), row(row_in), actor(actor_in) {}

Cell Draft::old(int field) const {
    if (field < 0 || row < 0) return {};
    return org.read(object, row, field, Sight::Writer);
}

Cell Draft::get(int field) const {
    const auto written = values.find(field);
    return written != values.end() ? written->second : old(field);
}

std::string Draft::text(std::string_view field) const {
    const int at = find(field);
    if (at < 0) return {};
    return plain_text(field_at(*this, at).type, get(at));
}

void Draft::set(int field, Cell cell) {
    if (field >= 0) values[field] = std::move(cell);
}

bool Draft::changes(std::string_view field) const {
    const int at = find(field);
    const auto written = values.find(at);
    return written != values.end() && (is_new() || written->second != old(at));
}

void Draft::fail(std::string code, std::string message, std::vector<std::string> fields) {
    errors.push_back({std::move(code), std::move(message), std::move(fields)});
}

WriteResult insert_record(Org::Impl& org, int object, const Values& values, std::string_view actor) {
    return write_record(org, object, -1, values, actor);
}

WriteResult update_record(Org::Impl& org, int object, int64_t row, const Values& values, std::string_view actor) {
    return write_record(org, object, row, values, actor);
}

void set_fields(Org::Impl& org, int object, int64_t row, const std::vector<std::pair<std::string, Cell>>& fields,
                std::string_view actor) {
    const Object& described = org.schema.at(object);
    Version version = org.copy_latest(object, row);
    const auto set = [&](std::string_view name, const Cell& cell) {
        const int field = described.find(name);
        if (field >= 0) version.cells.set(field, cell);
    };
    HistoryOf history;
    for (const auto& [name, cell] : fields) {
        const int field = described.find(name);
        const std::vector<int>& tracked = org.table(object).tracked;
        if (!actor.empty() && std::find(tracked.begin(), tracked.end(), field) != tracked.end()) {
            Cell before = org.read_raw(object, row, field, Sight::Writer);
            if (before != cell) history.tracked.push_back({field, std::move(before), cell});
        }
        set(name, cell);
    }
    if (!actor.empty()) {
        version.stamp = org.now();
        set("LastModifiedDate", version.stamp);
        set("LastModifiedById", std::string(actor));
    }
    org.set_version(object, row, std::move(version));
    add_history(org, object, row, history, actor);
}

void delete_row(Org::Impl& org, int object, int64_t row, int64_t batch, std::string_view actor, bool cascade) {
    // Found before the row goes: afterwards lookups to it read as null.
    std::vector<std::pair<int, int64_t>> children;
    for (const Child& child : cascade ? children_of(org, object) : std::vector<Child>{}) {
        if (!child.cascade) continue;
        for (const int64_t at : org.referring(child.object, child.field, pack(object, row), Sight::Writer)) {
            children.emplace_back(child.object, at);
        }
    }
    Version version = org.copy_latest(object, row);
    version.life = Org::Life::InBin;
    version.deleted_at = version.stamp = org.now();
    version.batch = batch;
    const Object& described = org.schema.at(object);
    if (const int field = described.find("LastModifiedDate"); field >= 0) version.cells.set(field, version.stamp);
    if (const int field = described.find("LastModifiedById"); field >= 0) version.cells.set(field, std::string(actor));
    org.set_version(object, row, std::move(version));
    for (const auto& [child, at] : children) {
        if (org.is_live(child, at, Sight::Writer)) delete_row(org, child, at, batch, actor, true);
    }
    after_life_change(org, object, row, actor);
}

WriteResult Org::insert(int object, const Values& values, std::string_view actor) {
    if (!impl_->schema.at(object).createable) return not_supported(*impl_, object, "create");
    WriteResult result;
    impl_->transact([&] {
        result = insert_record(*impl_, object, values, actor);
        return result.ok();
    });
    return result;
}

WriteResult Org::update(int object, std::string_view id, const Values& values, std::string_view actor) {
    if (!impl_->schema.at(object).updateable) return not_supported(*impl_, object, "update");
    const Found found = find_record(*impl_, object, id);
    if (found.row < 0) return found.refusal;
    WriteResult result;
    impl_->transact([&] {
        result = update_record(*impl_, object, found.row, values, actor);
        return result.ok();
    });
    return result;
}

WriteResult Org::remove(int object, std::string_view id, std::string_view actor) {
    if (!impl_->schema.at(object).deletable) return not_supported(*impl_, object, "delete");
    const Found found = find_live(*impl_, object, id);
    if (found.row < 0) return found.refusal;
    WriteResult result{id_of(object, found.row), false, {}};
    if (std::optional<WriteError> refusal =
            access_refusal(*impl_, object, found.row, impl_->table(object).rights.remove, actor)) {
        result.errors.push_back(std::move(*refusal));
        return result;
    }
    if (std::optional<WriteError> hindrance = delete_hindrance(*impl_, object, found.row)) {
        result.errors.push_back(std::move(*hindrance));
        return result;
    }
    impl_->transact([&] {
        delete_row(*impl_, object, found.row, ++impl_->last_batch, actor, true);
        return true;
    });
    return result;
}

WriteResult Org::undelete(int object, std::string_view id, std::string_view actor) {
    if (!impl_->schema.at(object).undeletable) return not_supported(*impl_, object, "undelete");
    const Found found = find_record(*impl_, object, id);
    if (found.row < 0) return found.refusal;
    WriteResult result{id_of(object, found.row), false, {}};
    if (impl_->life(object, found.row, Sight::Writer) != Life::InBin) {
        result.errors.push_back({"UNDELETE_FAILED", "entity is not in the recycle bin", {}});
        return result;
    }
    if (std::optional<WriteError> refusal =
            access_refusal(*impl_, object, found.row, impl_->table(object).rights.remove, actor)) {
        result.errors.push_back(std::move(*refusal));
        return result;
    }
    impl_->transact([&] {
        std::vector<std::pair<int, int64_t>> back;
        with_cascade(*impl_, object, found.row, [&](int at_object, int64_t row) {
            back.emplace_back(at_object, row);
            Version version = impl_->copy_latest(at_object, row);
            version.life = Life::Live;
            version.deleted_at = version.batch = 0;
            version.stamp = impl_->now();
            const Object& described = impl_->schema.at(at_object);
            const auto set = [&](const char* name, const Cell& cell) {
                const int field = described.find(name);
                if (field >= 0) version.cells.set(field, cell);
            };
            set("LastModifiedDate", version.stamp);
            set("LastModifiedById", std::string(actor));
            // A merge's loser is a record of its own again.
            set("MasterRecordId", {});
            impl_->set_version(at_object, row, std::move(version));
        });
        for (const auto& [at_object, row] : back) after_life_change(*impl_, at_object, row, actor);
        return true;
    });
    return result;
}

namespace {

void purge_row(Org::Impl& org, int object, int64_t row) {
    with_cascade(org, object, row, [&](int at_object, int64_t at) {
        Version version = org.copy_latest(at_object, at);
        version.life = Org::Life::Gone;
        org.set_version(at_object, at, std::move(version));
    });
}

}  // namespace

WriteResult Org::purge(int object, std::string_view id) {
    const Found found = find_record(*impl_, object, id);
    if (found.row < 0) return found.refusal;
    WriteResult result{id_of(object, found.row), false, {}};
    if (impl_->life(object, found.row, Sight::Writer) != Life::InBin) {
        result.errors.push_back({"INVALID_ID_FIELD", "entity is not in the recycle bin", {}});
        return result;
    }
    impl_->transact([&] {
        purge_row(*impl_, object, found.row);
        return true;
    });
    return result;
}

int64_t Org::purge_bin(int object, Timestamp before) {
    int64_t purged = 0;
    impl_->transact([&] {
        for (const auto& [at, row] : impl_->deletions(object, now().seconds - kBinSeconds, before.seconds)) {
            if (impl_->life(object, row, Sight::Writer) != Life::InBin) continue;
            purge_row(*impl_, object, row);
            ++purged;
        }
        return true;
    });
    return purged;
}

WriteResult Org::merge(int object, std::string_view winner, const std::vector<std::string>& losers,
                       const Values& winner_values, std::string_view actor, std::vector<std::string>* moved) {
    const Object& described = impl_->schema.at(object);
    if (!described.mergeable) return not_supported(*impl_, object, "merge");
    const Found kept = find_live(*impl_, object, winner);
    if (kept.row < 0) return kept.refusal;
    const std::string kept_id = id_of(object, kept.row);
    if (losers.empty() || losers.size() > 2) {
        return failed(kept_id, "INVALID_ARGUMENT", "merge takes one or two records to merge into the master");
    }
    std::vector<int64_t> gone;
    for (const std::string& loser : losers) {
        const Found found = find_live(*impl_, object, loser);
        if (found.row < 0) return found.refusal;
        if (found.row == kept.row) {
            return failed(kept_id, "INVALID_ARGUMENT", "a record can not be merged with itself: " + kept_id);
        }
        if (std::optional<WriteError> refusal =
                access_refusal(*impl_, object, found.row, impl_->table(object).rights.remove, actor)) {
            return {kept_id, false, {std::move(*refusal)}};
        }
        gone.push_back(found.row);
    }
    WriteResult result;
    impl_->transact([&] {
        result = update_record(*impl_, object, kept.row, winner_values, actor);
        if (!result.ok()) return false;
        const int64_t batch = ++impl_->last_batch;
        for (const int64_t loser : gone) {
            for (const Child& child : children_of(*impl_, object)) {
                const Object& children = impl_->schema.at(child.object);
                const std::string& field = children.fields[static_cast<std::size_t>(child.field)].name;
                if (field == "MasterRecordId") continue;
                for (const int64_t row :
                     impl_->referring(child.object, child.field, pack(object, loser), Sight::Writer)) {
                    if (!impl_->is_live(child.object, row, Sight::Writer)) continue;
                    if (is_history(children)) {  // told of a record that is no more
                        delete_row(*impl_, child.object, row, batch, actor, false);
                        continue;
                    }
                    if (drop_second_membership(*impl_, child.object, row, child.field, pack(object, kept.row), batch,
                                               actor)) {
                        continue;
                    }
                    set_fields(*impl_, child.object, row, {{field, kept_id}}, actor);
                    if (moved != nullptr) moved->push_back(id_of(child.object, row));
                }
            }
            delete_row(*impl_, object, loser, batch, actor, false);
            set_fields(*impl_, object, loser, {{"MasterRecordId", kept_id}}, "");
        }
        add_history_event(*impl_, object, kept.row, (to_lower(described.name) + "Merged").c_str(), actor);
        return true;
    });
    return result;
}

ConvertedLead Org::convert_lead(std::string_view lead_id, const Conversion& how, std::string_view actor) {
    ConvertedLead converted;
    const int leads = impl_->schema.find("Lead");
    const Found found = find_live(*impl_, leads, lead_id);
    if (found.row < 0) {
        converted.errors = found.refusal.errors;
        return converted;
    }
    impl_->transact([&] {
        const Object& lead = impl_->schema.at(leads);
        const auto cell = [&](const char* name) {
            const int field = lead.find(name);
            return field < 0 ? Cell{} : impl_->read(leads, found.row, field, Sight::Writer);
        };
        const auto refuse = [&](std::string code, std::string message) {
            converted.errors.push_back({std::move(code), std::move(message), {}});
            return false;
        };
        if (cell("IsConverted") == Cell{true}) {
            return refuse("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead");
        }
        if (auto refusal = access_refusal(*impl_, leads, found.row, impl_->table(leads).rights.edit, actor)) {
            converted.errors = {std::move(*refusal)};
            return false;
        }
        const int statuses = impl_->schema.find("LeadStatus");
        bool known = false;
        for (int64_t row = 0; row < rows(statuses); ++row) {
            const Object& described = schema().at(statuses);
            known = known || (value(statuses, row, described.find("ApiName")) == Cell{how.converted_status} &&
                              value(statuses, row, described.find("IsConverted")) == Cell{true});
        }
        if (!known) return refuse("INVALID_STATUS", "invalid convertedStatus: " + how.converted_status);

        const Cell owner = cell("OwnerId");
        const std::optional<int64_t> owner_row =
            is_null(owner) ? std::nullopt : impl_->resolve(std::get<std::string>(owner));
        const bool owned_by_user = owner_row && schema().at(packed_object(*owner_row)).name == "User";
        const Cell new_owner = !how.owner_id.empty() ? Cell{how.owner_id}
                               : owned_by_user       ? owner
                                                     : Cell{std::string(actor)};
        const auto make = [&](const char* object_name, const Values& wanted, std::string& id) {
            const int object = impl_->schema.find(object_name);
            Values values;
            for (const auto& [name, value] : wanted) {
                const int field = impl_->schema.at(object).find(name);
                const bool there = field >= 0 && !is_null(value) && visible(object, field);
                if (there) values.emplace_back(name, value);
            }
            WriteResult made = insert_record(*impl_, object, values, actor);
            converted.errors = made.errors;
            id = made.id;
            return made.ok();
        };
        const auto existing = [&](const char* object_name, const std::string& id) -> std::optional<int64_t> {
            const int object = impl_->schema.find(object_name);
            const Found named = find_live(*impl_, object, id);
            if (named.row < 0) {
                converted.errors = named.refusal.errors;
                return std::nullopt;
            }
            if (auto refusal = access_refusal(*impl_, object, named.row, impl_->table(object).rights.edit, actor)) {
                converted.errors = {std::move(*refusal)};
                return std::nullopt;
            }
            return named.row;
        };
        const int contacts = impl_->schema.find("Contact");
        converted.account_id = how.account_id;
        converted.contact_id = how.contact_id;
        converted.opportunity_id = how.opportunity_id;
        if (!how.account_id.empty() && !existing("Account", how.account_id)) return false;
        if (!how.opportunity_id.empty() && !existing("Opportunity", how.opportunity_id)) return false;
        if (!how.contact_id.empty()) {
            const std::optional<int64_t> contact_row = existing("Contact", how.contact_id);
            if (!contact_row) return false;
            const Cell account =
                impl_->read(contacts, *contact_row, impl_->schema.at(contacts).find("AccountId"), Sight::Writer);
            if (converted.account_id.empty() && !is_null(account))
                converted.account_id = std::get<std::string>(account);
            if (is_null(account) || std::get<std::string>(account) != normalize_id(converted.account_id)) {
                return refuse("INVALID_CROSS_REFERENCE_KEY", "the contact does not belong to the account");
            }
            if (how.overwrite_lead_source) {
                set_fields(*impl_, contacts, *contact_row, {{"LeadSource", cell("LeadSource")}}, actor);
            }
        }
        const bool have_account =
            !converted.account_id.empty() || make("Account",
                                                  {{"Name", cell("Company")},
                                                   {"BillingStreet", cell("Street")},
                                                   {"BillingCity", cell("City")},
                                                   {"BillingState", cell("State")},
                                                   {"BillingPostalCode", cell("PostalCode")},
                                                   {"BillingCountry", cell("Country")},
                                                   {"Phone", cell("Phone")},
                                                   {"Website", cell("Website")},
                                                   {"Industry", cell("Industry")},
                                                   {"AnnualRevenue", cell("AnnualRevenue")},
                                                   {"NumberOfEmployees", cell("NumberOfEmployees")},
                                                   {"AccountSource", cell("LeadSource")},
                                                   {"OwnerId", new_owner}},
                                                  converted.account_id);
        if (!have_account) return false;
        const bool have_contact = !converted.contact_id.empty() || make("Contact",
                                                                        {{"AccountId", Cell{converted.account_id}},
                                                                         {"Salutation", cell("Salutation")},
                                                                         {"FirstName", cell("FirstName")},
                                                                         {"LastName", cell("LastName")},
                                                                         {"Title", cell("Title")},
                                                                         {"Email", cell("Email")},
                                                                         {"Phone", cell("Phone")},
                                                                         {"MobilePhone", cell("MobilePhone")},
                                                                         {"Fax", cell("Fax")},
                                                                         {"MailingStreet", cell("Street")},
                                                                         {"MailingCity", cell("City")},
                                                                         {"MailingState", cell("State")},
                                                                         {"MailingPostalCode", cell("PostalCode")},
                                                                         {"MailingCountry", cell("Country")},
                                                                         {"LeadSource", cell("LeadSource")},
                                                                         {"Description", cell("Description")},
                                                                         {"OwnerId", new_owner}},
                                                                        converted.contact_id);
        if (!have_contact) return false;
        if (how.with_opportunity && converted.opportunity_id.empty()) {
            const std::string name =
                how.opportunity_name.empty() ? plain_text(Type::String, cell("Company")) + "-" : how.opportunity_name;
            // Salesforce closes it at the end of the current quarter.
            CivilDate day = civil(day_of({impl_->now()}));
            const int next_quarter_month = (day.month - 1) / 3 * 3 + 4;
            const CivilDate next_quarter =
                next_quarter_month > 12 ? CivilDate{day.year + 1, 1, 1} : CivilDate{day.year, next_quarter_month, 1};
            if (!make("Opportunity",
                      {{"Name", Cell{name}},
                       {"AccountId", Cell{converted.account_id}},
                       {"ContactId", Cell{converted.contact_id}},
                       {"StageName", Cell{std::string("Prospecting")}},
                       {"CloseDate", Cell{int64_t{from_civil(next_quarter).days} - 1}},
                       {"LeadSource", cell("LeadSource")},
                       {"OwnerId", new_owner}},
                      converted.opportunity_id)) {
                return false;
            }
        }
        const std::string lead_id18 = id_of(leads, found.row);
        const Cell deal = converted.opportunity_id.empty() ? Cell{} : Cell{converted.opportunity_id};
        set_fields(*impl_, leads, found.row,
                   {{"IsConverted", true},
                    {"Status", how.converted_status},
                    {"ConvertedDate", int64_t{day_of({impl_->now()}).days}},
                    {"ConvertedAccountId", converted.account_id},
                    {"ConvertedContactId", converted.contact_id},
                    {"ConvertedOpportunityId", deal},
                    {"IsUnreadByOwner", false}},
                   actor);
        add_history_event(*impl_, leads, found.row, "leadConverted", actor);
        // Memberships gain the contact, tasks and events move to it (salesforce-api 18).
        const std::optional<int64_t> contact = impl_->resolve(converted.contact_id);
        const int64_t batch = ++impl_->last_batch;
        const auto hand_over = [&](const char* object_name, const char* from, const char* to) {
            const int object = impl_->schema.find(object_name);
            if (object < 0) return;
            const int field = impl_->schema.at(object).find(from);
            for (const int64_t row : impl_->referring(object, field, pack(leads, found.row), Sight::Writer)) {
                if (!impl_->is_live(object, row, Sight::Writer)) continue;
                if (contact && drop_second_membership(*impl_, object, row, impl_->schema.at(object).find("ContactId"),
                                                      *contact, batch, actor)) {
                    continue;
                }
                set_fields(*impl_, object, row, {{to, converted.contact_id}}, actor);
            }
        };
        hand_over("CampaignMember", "LeadId", "ContactId");
        hand_over("Task", "WhoId", "WhoId");
        hand_over("Event", "WhoId", "WhoId");
        return true;
    });
    if (!converted.ok()) return {{}, {}, {}, std::move(converted.errors)};
    return converted;
}

Org::Transaction::Transaction(Org& org) : org_(org) {
    check(!org.impl_->in_transaction, "transactions of an org are not nested");
    org.impl_->in_transaction = true;
}

void Org::Transaction::commit() {
    check(open_, "a transaction is committed once");
    open_ = false;
    org_.impl_->in_transaction = false;
    org_.impl_->commit();
}

Org::Transaction::~Transaction() {
    if (!open_) return;
    org_.impl_->in_transaction = false;
    org_.impl_->roll_back(0);
}

}  // namespace lockstep::sandbox

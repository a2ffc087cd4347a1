#include <algorithm>

#include "sandbox/org_data.h"

/// History: a row of OpportunityHistory for each state of an opportunity, and a row for each change of a field that is
/// tracked. Nobody writes these rows but the platform.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

/// What a history row calls the type of the field.
const char* data_type(const Field& field) {
    switch (field.type) {
        case Type::Picklist:
        case Type::Combobox:
            return "DynamicEnum";
        case Type::MultiPicklist:
            return "MultiEnum";
        case Type::Boolean:
            return "Boolean";
        case Type::Int:
            return "Integer";
        case Type::Double:
            return "Double";
        case Type::Currency:
            return "Currency";
        case Type::Percent:
            return "Percent";
        case Type::Date:
            return "DateOnly";
        case Type::DateTime:
            return "DateTime";
        case Type::Email:
            return "Email";
        case Type::Phone:
            return "Phone";
        case Type::Url:
            return "Url";
        case Type::Reference:
            return "EntityId";
        default:
            return "Text";
    }
}

/// A value as OldValue and NewValue hold it. Long texts and multi-select picklists are known to have changed, not how.
Cell told(const Field& field, const Cell& cell) {
    const bool untold = field.type == Type::MultiPicklist || (field.type == Type::TextArea && field.length > 255);
    if (untold || is_null(cell)) return {};
    if (field.type == Type::Date || field.type == Type::DateTime) return plain_text(field.type, cell);
    return cell;
}

/// The name of the record that a reference leads to; null when it leads to none.
Cell name_of(const Org::Impl& org, const Cell& reference) {
    const auto* id = std::get_if<std::string>(&reference);
    const std::optional<int64_t> target = id != nullptr ? org.resolve(*id) : std::nullopt;
    if (!target) return {};
    const std::vector<Field>& fields = org.schema.at(packed_object(*target)).fields;
    const auto named = std::find_if(fields.begin(), fields.end(), [](const Field& field) { return field.name_field; });
    if (named == fields.end()) return {};
    return org.read(packed_object(*target), packed_row(*target), static_cast<int>(named - fields.begin()),
                    Sight::Writer);
}

void add_row(Org::Impl& org, int history, int parent_object, const std::vector<std::pair<const char*, Cell>>& cells,
             std::string_view actor) {
    const Object& described = org.schema.at(history);
    Version version;
    version.stamp = org.now();
    const auto set = [&](const char* name, const Cell& cell) {
        const int field = described.find(name);
        if (field >= 0 && !is_null(cell)) version.cells.set(field, cell);
    };
    for (const auto& [name, cell] : cells) set(name, cell);
    set("CreatedDate", version.stamp);
    set("CreatedById", std::string(actor));
    // Nobody reads of a change before they can read the change.
    const int64_t delay = org.table(parent_object).delay;
    org.store_new(history, std::move(version), delay > 0 ? org.now() + delay : 0);
}

/// The field of a history object that refers to its parent.
const char* parent_field(const Object& parent) {
    constexpr std::pair<std::string_view, const char*> standard[] = {
        {"Account", "AccountId"}, {"Contact", "ContactId"}, {"Lead", "LeadId"}, {"Opportunity", "OpportunityId"}};
    for (const auto& [object, field] : standard) {
        if (parent.name == object) return field;
    }
    return "ParentId";
}

void add_change(Org::Impl& org, int object, int64_t row, const std::string& field, const char* type, const Cell& before,
                const Cell& after, std::string_view actor) {
    const Object& parent = org.schema.at(object);
    const int history = org.schema.find(history_name(parent.name));
    if (history < 0) return;
    Cell type_cell;
    if (*type != '\0') type_cell = std::string(type);
    add_row(org, history, object,
            {{parent_field(parent), org.table(object).ids->of(row)},
             {"Field", field},
             {"DataType", type_cell},
             {"OldValue", before},
             {"NewValue", after}},
            actor);
}

constexpr const char* kSnapshotFields[] = {"StageName", "Amount", "CloseDate", "Probability", "ForecastCategory"};

void add_snapshot(Org::Impl& org, int object, int64_t row, const HistoryOf& history, std::string_view actor) {
    std::vector<std::pair<const char*, Cell>> cells = {{"OpportunityId", org.table(object).ids->of(row)},
                                                       {"PrevAmount", history.amount_before},
                                                       {"PrevCloseDate", history.close_before}};
    const Object& described = org.schema.at(object);
    const auto copy = [&](const char* name) {
        const int field = described.find(name);
        if (field >= 0) cells.emplace_back(name, org.read_raw(object, row, field, Sight::Writer));
    };
    for (const char* name : kSnapshotFields) copy(name);
    copy("ExpectedRevenue");
    copy("CurrencyIsoCode");
    add_row(org, org.schema.find("OpportunityHistory"), object, cells, actor);
}

}  // namespace

bool is_history(const Object& object) {
    return object.name.ends_with("History") && !object.createable;
}

HistoryOf history_of(Draft& draft) {
    HistoryOf history;
    const Table& place = draft.org.table(draft.object);
    history.created = draft.is_new() && !place.tracked.empty();
    for (const int field : draft.is_new() ? std::vector<int>{} : place.tracked) {
        const auto written = draft.values.find(field);
        if (written == draft.values.end()) continue;
        Cell before = draft.old(field);
        if (before != written->second) history.tracked.push_back({field, std::move(before), written->second});
    }
    if (draft.described().name != "Opportunity") return history;
    history.snapshot = std::any_of(std::begin(kSnapshotFields), std::end(kSnapshotFields),
                                   [&](const char* field) { return draft.changes(field); });
    if (draft.is_new() || !history.snapshot) return history;
    const Table& rows = draft.org.table(draft.org.schema.find("OpportunityHistory"));
    const auto note = [&](const char* field, const char* link, Cell& before) {
        if (!draft.changes(field)) return;
        before = draft.old(draft.find(field));
        draft.set(link, rows.ids->of(rows.rows()));
    };
    note("Amount", "LastAmountChangedHistoryId", history.amount_before);
    note("CloseDate", "LastCloseDateChangedHistoryId", history.close_before);
    return history;
}

void add_history(Org::Impl& org, int object, int64_t row, const HistoryOf& history, std::string_view actor) {
    if (history.snapshot) add_snapshot(org, object, row, history, actor);
    if (history.created) add_history_event(org, object, row, "created", actor);
    for (const HistoryOf::Change& change : history.tracked) {
        const Field field = org.schema.at(object).fields[static_cast<std::size_t>(change.field)];
        // A lookup is told twice: by the names of its targets and by their ids.
        if (field.type == Type::Reference) {
            add_change(org, object, row, field.name, "Text", name_of(org, change.before), name_of(org, change.after),
                       actor);
        }
        add_change(org, object, row, field.name, data_type(field), told(field, change.before),
                   told(field, change.after), actor);
    }
}

void add_history_event(Org::Impl& org, int object, int64_t row, const char* event, std::string_view actor) {
    if (!org.table(object).tracked.empty()) add_change(org, object, row, event, "", {}, {}, actor);
}

Result<void> Org::can_track(int object, const Field& field) const {
    if (!field.history_tracked) return {};
    const Object& described = schema().at(object);
    const auto refuse = [](std::string what, std::string hint) {
        return Error{.kind = Kind::Invalid, .what = std::move(what), .hint = std::move(hint)};
    };
    if (!described.custom && schema().find(history_name(described.name)) < 0)
        return refuse("The history of " + described.name + " is not kept.",
                      "track fields of Lead, Contact, Account, Opportunity or of a custom object");
    if (field.calculated || field.auto_number || field.type == Type::Address)
        return refuse("The field " + field.name + " is computed, so its history can not be tracked.",
                      "track the fields that it is made of");
    constexpr auto tracked_max = 20;
    const auto others = std::count_if(described.fields.begin(), described.fields.end(), [&](const Field& other) {
        return other.history_tracked && !other.removed && other.name != field.name;
    });
    if (others >= tracked_max)
        return refuse("20 fields of " + described.name + " are tracked already, and that is the most.",
                      "stop tracking another field first");
    return {};
}

void Org::Impl::make_history_object(int object) {
    const Object& parent = schema.at(object);
    const std::string name = history_name(parent.name);
    if (!parent.custom || table(object).tracked.empty() || schema.find(name) >= 0) return;
    Object made;
    made.name = name;
    made.label = parent.label + " History";
    made.label_plural = made.label;
    made.createable = made.updateable = made.deletable = made.undeletable = false;
    made.searchable = made.layoutable = made.triggerable = false;
    made.supported_scopes = {{"All " + made.label, "everything"}};
    Field link = system_field("ParentId", "Parent ID", Type::Reference, "Parent");
    link.reference_to = {parent.name};
    link.child_relationship = "Histories";
    link.deleted_with_parent = true;
    made.fields = {system_field("Id", "Record ID", Type::Id),
                   system_field("IsDeleted", "Deleted", Type::Boolean),
                   link,
                   system_field("CreatedById", "Created By ID", Type::Reference, "CreatedBy"),
                   system_field("CreatedDate", "Created Date", Type::DateTime),
                   system_field("Field", "Changed Field", Type::Picklist),
                   system_field("DataType", "Datatype", Type::Picklist),
                   system_field("OldValue", "Old Value", Type::AnyType),
                   system_field("NewValue", "New Value", Type::AnyType)};
    for (std::size_t i = 6; i < made.fields.size(); ++i) made.fields[i].nillable = true;
    for (std::size_t i = 5; i < made.fields.size(); ++i) made.fields[i].defaulted_on_create = false;
    add_object(std::move(made));
}

}  // namespace lockstep::sandbox

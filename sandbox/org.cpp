#include "sandbox/org.h"

#include <algorithm>

#include "base/json.h"
#include "sandbox/org_data.h"

namespace lockstep::sandbox {

using std::int64_t;

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

std::vector<std::pair<int64_t, int64_t>> Org::Impl::deletions(int object, int64_t from, int64_t to) const {
    const Table& place = table(object);
    std::vector<std::pair<int64_t, int64_t>> found;
    const auto take = [&](int64_t at, int64_t row) {
        bool invisible = false;
        const Version* state = seen(place, row, invisible);
        const bool still = state == nullptr || (state->life != Life::Live && state->deleted_at == at);
        if (!invisible && still) found.emplace_back(at, row);
    };
    if (place.generated > 0 && from <= start.seconds) {
        for (const Table::Recent& entry : scanned(object).recent) {
            if (entry.deleted && entry.stamp >= from && entry.stamp < to) take(entry.stamp, entry.row);
        }
    }
    auto entry = std::lower_bound(place.deletions.begin(), place.deletions.end(), std::pair{from, int64_t{-1}});
    for (; entry != place.deletions.end() && entry->first < to; ++entry) {
        if (entry->second < place.rows() && place.latest(entry->second) != nullptr) take(entry->first, entry->second);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

std::vector<DeletedRow> Org::deleted_between(int object, Timestamp from, Timestamp to) const {
    std::vector<DeletedRow> rows;
    const int64_t first = std::max(from.seconds, earliest_delete_log().seconds);
    for (const auto& [at, row] : impl_->deletions(object, first, to.seconds)) {
        if (sees(object, row)) rows.push_back({id_of(object, row), {at}});
    }
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

std::string Org::durable_field_id(int object, int field) const {
    const Object& described = schema().at(object);
    const Field& at = described.fields.at(static_cast<std::size_t>(field));
    return at.custom ? RowIds("00N", described.name, impl_->options.seed).of(field).substr(0, 15) : at.name;
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

// --- Schema and what each field takes its value from.

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
    place.tracked.clear();
    place.activity_fields.clear();
    place.parent_fields.clear();
    place.owner_field = described.find("OwnerId");
    place.private_field = described.name == "Opportunity" ? described.find("IsPrivate") : -1;
    for (const Field& field : described.fields) {
        if (field.history_tracked && !field.removed) place.tracked.push_back(static_cast<int>(place.plans.size()));
        if (field.type == Type::Reference && field.deleted_with_parent && !field.removed) {
            place.parent_fields.push_back(static_cast<int>(place.plans.size()));
        }
        FieldPlan plan;
        plan.type = field.type;
        plan.unset_truth = field.default_value == "true";
        if (place.generated > 0) plan.column = generator->column(object, field.name);
        if (field.type == Type::Id) plan.source = Source::OwnId;
        if (field.name == "IsDeleted") plan.source = Source::IsDeleted;
        if (field.name == "SystemModstamp") plan.source = Source::Modstamp;
        if (field.name == "PhotoUrl" && !field.createable) plan.source = Source::Photo;
        if (field.is_formula()) plan.source = Source::Formula;
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
        const bool activity = described.name == "Task" || described.name == "Event";
        if (activity && field.name == "IsArchived") plan.source = Source::Archived;
        if (activity && (field.name == "WhoId" || field.name == "WhatId" || field.name == "AccountId")) {
            place.activity_fields.push_back(static_cast<int>(place.plans.size()));
        }
        if (derived_here && field.name == "LastActivityDate") plan.source = Source::LastActivity;
        if (derived_here && field.name == "HasOpenActivity") plan.source = Source::OpenActivity;
        if (derived_here && field.name == "HasOverdueTask") plan.source = Source::OverdueTask;
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
    make_history_object(index);
    add_currency_field(index);
    extend_formulas();
    return index;
}

int Org::Impl::add_field(int object, Field field) {
    const int index = schema.add_field(object, std::move(field));
    plan_fields(object);
    make_history_object(object);
    extend_formulas();
    return index;
}

namespace {

/// What is stored in a field that gets another type: what fits is kept, the rest is lost, as on the platform.
void retype(Version& version, int field, const Field& before, const Field& after) {
    const std::optional<CellView> stored = version.cells.view(field);
    if (stored && stored->index() != 0) {
        const std::string text = plain_text(before.type, to_cell(*stored));
        const auto fitting = coerce(after, Cell{text});
        const auto* cell = std::get_if<Cell>(&fitting);
        version.cells.set(field, cell != nullptr ? *cell : Cell{});
    }
    if (version.before) retype(*version.before, field, before, after);
}

}  // namespace

void Org::Impl::change_field(int object, int field, Field changed) {
    const Field before = schema.at(object).fields.at(static_cast<std::size_t>(field));
    changed.changed_at = std::max(changed.changed_at, before.changed_at);
    if (before.type != changed.type) {
        for (auto& [row, version] : table(object).edited) retype(version, field, before, changed);
        for (Version& version : table(object).fresh) retype(version, field, before, changed);
    }
    schema.change_field(object, field, std::move(changed));
    plan_fields(object);
    compile_formulas();
    table(object).by_text.erase(field);
    if (table(object).plans[static_cast<std::size_t>(field)].indexed) index_text(object, field);
    make_history_object(object);
}

void Org::Impl::change_object(int object, const Object& changed) {
    schema.change_object(object, changed);
    plan_fields(object);
    compile_formulas();
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

}  // namespace lockstep::sandbox

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/check.h"
#include "base/json.h"
#include "sandbox/org_data.h"

/// How an org comes to be: built from its options, or again from a state file. That file is a journal of JSON lines: a
/// header that says which org it is of, then one line for each transaction (the rows it changed, as they are after it)
/// and each change of schema or settings. A line that was cut by a crash is as if never written.
namespace lockstep::sandbox {

namespace {

using std::int64_t;

constexpr int64_t kFormat = 1;

json::value to_json(const Cell& cell) {
    return std::visit(
        [](const auto& value) -> json::value {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
                return nullptr;
            } else {
                return json::value(value);
            }
        },
        cell);
}

Cell from_json(const json::value& value) {
    if (value.is_bool()) return value.as_bool();
    if (value.is_int64()) return value.as_int64();
    if (value.is_double()) return value.as_double();
    if (value.is_string()) return std::string(value.as_string());
    return {};
}

[[noreturn]] void fail_reading(const std::string& file, const std::string& why) {
    throw Failure("The state file " + file + " can not be used: " + why + ".",
                  "Name another file with --state, or delete this one to start afresh.");
}

std::string read_file(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return {};
    std::ostringstream text;
    text << in.rdbuf();
    return std::move(text).str();
}

json::object header_of(const OrgOptions& options, Timestamp start, int64_t offset) {
    json::object counts;
    for (const auto& [object, count] : options.counts) counts[object] = count;
    return {{"lockstep_sandbox_state", kFormat},
            {"seed", static_cast<int64_t>(options.seed)},
            {"people", options.people},
            {"counts", counts},
            {"start", start.seconds},
            {"offset", offset}};
}

/// Makes the org of the header out of these options, or throws.
void adopt_header(Org::Impl& org, const json::value& parsed) {
    const std::string& file = org.options.state_file;
    const json::object* header = parsed.if_object();
    const int64_t format = header != nullptr ? int_at(*header, "lockstep_sandbox_state").value_or(0) : 0;
    if (format != kFormat) fail_reading(file, "it was not written by this version of lockstep-sandbox");
    const std::optional<int64_t> start = int_at(*header, "start");
    const std::optional<int64_t> offset = int_at(*header, "offset");
    if (!start || !offset) fail_reading(file, "its first line is incomplete");
    if (org.options.start && org.options.start->seconds != *start) {
        fail_reading(file, "it belongs to an org that started at " + to_string(Timestamp{*start}));
    }
    org.start = {*start};
    org.offset = *offset;
    json::object expected = header_of(org.options, org.start, org.offset);
    if (expected != *header) {
        fail_reading(file, "it belongs to an org of " + std::to_string(int_at(*header, "people").value_or(0)) +
                               " people with seed " + std::to_string(int_at(*header, "seed").value_or(0)) +
                               " and counts " + json::serialize(*object_at(*header, "counts")));
    }
}

void build(Org::Impl& org) {
    org.schema = Schema::standard();
    org.generator = std::make_unique<Generator>(org.schema, org.options, org.start);
    for (int object = 0; object < org.schema.size(); ++object) org.add_table(object);
    const int users = org.schema.find("User");
    org.organization_id = org.table(org.schema.find("Organization")).ids->of(0);
    org.integration_user_id = org.table(users).ids->of(kIntegrationUserRow);
    const std::string admin = org.table(users).ids->of(kAdminRow);
    for (const StandingRow& row : standing_rows(org.options, org.start, org.schema)) {
        const int object = org.schema.find(row.object);
        const Object& described = org.schema.at(object);
        Version version;
        version.stamp = row.created;
        const auto set = [&](const std::string& name, const Cell& cell) {
            const int field = described.find(name);
            if (field < 0) return;
            const auto coerced = coerce(described.fields[static_cast<std::size_t>(field)], cell);
            if (const auto* value = std::get_if<Cell>(&coerced)) version.cells.set(field, *value);
        };
        for (const auto& [name, cell] : row.values) set(name, cell);
        set("CreatedDate", row.created);
        set("CreatedById", admin);
        set("LastModifiedDate", row.created);
        set("LastModifiedById", admin);
        org.store_new(object, std::move(version), 0);
    }
    org.undo.clear();
    org.note_record_types();
    org.compile_formulas();
}

json::object image(const Org::Impl& org, int object, int64_t row) {
    const Version& version = *org.table(object).latest(row);
    const Object& described = org.schema.at(object);
    json::object cells;
    for (const auto& [field, cell] : version.cells.all()) {
        cells[described.fields[static_cast<std::size_t>(field)].name] = to_json(cell);
    }
    json::object out{{"o", described.name}, {"r", row}, {"s", version.stamp}, {"c", std::move(cells)}};
    const auto number = [&](const char* key, int64_t value) {
        if (value != 0) out[key] = value;
    };
    number("l", static_cast<int64_t>(version.life));
    number("d", version.deleted_at);
    number("b", version.batch);
    number("v", version.visible_at);
    return out;
}

int object_named(const Org::Impl& org, std::string_view name) {
    const int object = org.schema.find(name);
    check(object >= 0, "the state file names an object that does not exist");
    return object;
}

void replay_row(Org::Impl& org, const json::object& from) {
    const int object = object_named(org, text_at(from, "o").value_or(""));
    const int64_t row = int_at(from, "r").value_or(-1);
    const Object& described = org.schema.at(object);
    Version version;
    version.stamp = int_at(from, "s").value_or(0);
    version.life = static_cast<Org::Life>(int_at(from, "l").value_or(0));
    version.deleted_at = int_at(from, "d").value_or(0);
    version.batch = int_at(from, "b").value_or(0);
    const int64_t visible_at = int_at(from, "v").value_or(0);
    org.last_batch = std::max(org.last_batch, version.batch);
    for (const auto& [name, cell] : from.at("c").as_object()) {
        const int field = described.find(std::string_view(name));
        if (field >= 0) version.cells.set(field, from_json(cell));
    }
    check(row >= 0 && row <= org.table(object).rows(), "the state file skips a row");
    if (row == org.table(object).rows()) {
        org.store_new(object, std::move(version), visible_at);
    } else {
        org.store(object, row, std::move(version), visible_at);
    }
}

Field field_of(const json::value& from) {
    Result<Field> field = parse_field(json::serialize(from));
    check(field.ok(), "the state file holds a field that can not be read");
    return std::move(*field);
}

Object object_of(const json::value& from) {
    Result<Object> object = parse_object(json::serialize(from));
    check(object.ok(), "the state file holds an object that can not be read");
    return std::move(*object);
}

json::value parsed(const std::string& text) {
    return std::move(*parse_json(text));
}

}  // namespace

void Org::Impl::replay_line(std::string_view line) {
    const Result<json::value> read = parse_json(line);
    check(read.ok() && read->is_object(), "the state file holds a line that is no JSON object");
    const json::object& entry = read->as_object();
    if (const json::array* rows = array_at(entry, "rows")) {
        for (const json::value& row : *rows) replay_row(*this, row.as_object());
        undo.clear();
    } else if (const std::optional<int64_t> moved = int_at(entry, "clock")) {
        offset = *moved;
    } else if (const json::object* object = object_at(entry, "object")) {
        add_object(object_of(*object));
    } else if (const json::object* field = object_at(entry, "field")) {
        add_field(object_named(*this, field->at("object").as_string()), field_of(field->at("field")));
    } else if (const json::object* changed = object_at(entry, "change_field")) {
        const int at = object_named(*this, changed->at("object").as_string());
        change_field(at, static_cast<int>(changed->at("index").as_int64()), field_of(changed->at("field")));
    } else if (const json::object* altered = object_at(entry, "change_object")) {
        change_object(static_cast<int>(altered->at("index").as_int64()), object_of(altered->at("object")));
    } else if (const json::array* sight = array_at(entry, "sight")) {
        const int at = static_cast<int>(sight->at(0).as_int64());
        set_visible(at, static_cast<int>(sight->at(1).as_int64()), sight->at(2).as_bool());
    } else if (const json::array* shared = array_at(entry, "sharing")) {
        table(object_named(*this, shared->at(0).as_string())).sharing = static_cast<Sharing>(shared->at(1).as_int64());
    } else if (const json::array* rights = array_at(entry, "rights")) {
        table(object_named(*this, rights->at(0).as_string())).rights = {
            rights->at(1).as_bool(), rights->at(2).as_bool(), rights->at(3).as_bool(), rights->at(4).as_bool(),
            rights->at(5).as_bool()};
    } else if (const json::array* share = array_at(entry, "share")) {
        Table& place = table(object_named(*this, share->at(0).as_string()));
        place.shares.erase(share->at(1).as_int64());
        if (share->at(2).is_bool()) place.shares[share->at(1).as_int64()] = share->at(2).as_bool();
    } else if (const json::array* currencies = array_at(entry, "currencies")) {
        std::vector<std::string> codes;
        for (const json::value& code : *currencies) codes.emplace_back(code.as_string());
        generator->set_currencies(std::move(codes));
    } else if (const json::array* delay = array_at(entry, "delay")) {
        table(object_named(*this, delay->at(0).as_string())).delay = delay->at(1).as_int64();
    } else if (const std::optional<int64_t> purged = int_at(entry, "log_purged")) {
        log_purged_before = *purged;
    } else {
        check(false, "the state file holds a line of an unknown kind");
    }
}

void Org::Impl::open_journal() {
    const std::string& file = options.state_file;
    const std::string text = file.empty() ? std::string{} : read_file(file);
    std::size_t good = text.find('\n') == std::string::npos ? 0 : text.find('\n') + 1;
    if (good > 0) {
        const Result<json::value> header = parse_json(std::string_view(text).substr(0, good - 1));
        adopt_header(*this, header.ok() ? *header : json::value{});
        restored = true;
    }
    build(*this);
    if (file.empty()) return;
    while (good > 0) {
        const std::size_t end = text.find('\n', good);
        if (end == std::string::npos) break;  // torn: the process died while it wrote
        try {
            replay_line(std::string_view(text).substr(good, end - good));
        } catch (const std::exception& error) {
            fail_reading(file, "the line at byte " + std::to_string(good) + " makes no sense (" + error.what() + ")");
        }
        good = end + 1;
    }
    note_record_types();
    if (schema.find("CurrencyType") >= 0) note_currencies();
    note_privacy();
    if (good > 0) std::filesystem::resize_file(file, good);
    journal = std::fopen(file.c_str(), good > 0 ? "ab" : "wb");
    if (journal == nullptr) {
        throw Failure("The state file " + file + " can not be written: " + std::strerror(errno) + ".",
                      "Check that its folder exists and may be written to.");
    }
    if (good == 0) write_line(json::serialize(header_of(options, start, offset)));
}

void Org::Impl::write_line(const std::string& line) {
    if (journal == nullptr) return;
    const bool written = std::fwrite(line.data(), 1, line.size(), journal) == line.size() &&
                         std::fputc('\n', journal) != EOF && std::fflush(journal) == 0;
    if (written) return;
    throw Failure("The state file " + options.state_file + " can not be written: " + std::strerror(errno) + ".",
                  "Free space on its disk and start again; edits since then are not in it.");
}

void Org::Impl::journal_rows() {
    json::array rows;
    std::set<std::pair<int, int64_t>> done;
    // In order of first touch, so that new rows come in the order of their numbers.
    for (const Undo& entry : undo) {
        if (done.emplace(entry.object, entry.row).second) rows.push_back(image(*this, entry.object, entry.row));
    }
    write_line(json::serialize(json::object{{"rows", std::move(rows)}}));
}

void Org::Impl::set_visible(int object, int field, bool visible) {
    Table& place = table(object);
    if (field < 0) {
        place.object_hidden = !visible;
    } else {
        place.hidden.at(static_cast<std::size_t>(field)) = !visible;
    }
}

// --- What the journal remembers beside rows.

void Org::move_clock(int64_t seconds) {
    impl_->offset += seconds;
    impl_->write_line(json::serialize(json::object{{"clock", impl_->offset}}));
}

int Org::add_object(Object object) {
    const int index = impl_->add_object(std::move(object));
    impl_->write_line(json::serialize(json::object{{"object", parsed(object_json(schema().at(index)))}}));
    return index;
}

int Org::add_field(int object, Field field) {
    field.changed_at = impl_->now();
    const json::value text = parsed(field_json(field));
    const int index = impl_->add_field(object, std::move(field));
    impl_->write_line(
        json::serialize(json::object{{"field", json::object{{"object", schema().at(object).name}, {"field", text}}}}));
    return index;
}

void Org::change_field(int object, int field, Field changed) {
    changed.changed_at = impl_->now();
    const json::value text = parsed(field_json(changed));
    impl_->change_field(object, field, std::move(changed));
    impl_->write_line(json::serialize(json::object{
        {"change_field", json::object{{"object", schema().at(object).name}, {"index", field}, {"field", text}}}}));
}

void Org::change_object(int object, const Object& changed) {
    impl_->change_object(object, changed);
    Object plain = changed;
    plain.fields.clear();
    impl_->write_line(json::serialize(
        json::object{{"change_object", json::object{{"index", object}, {"object", parsed(object_json(plain))}}}}));
}

void Org::delay_visibility(int object, int64_t seconds) {
    impl_->table(object).delay = seconds;
    impl_->write_line(json::serialize(json::object{{"delay", json::array{schema().at(object).name, seconds}}}));
}

void Org::purge_delete_log(Timestamp before) {
    impl_->log_purged_before = std::max(impl_->log_purged_before, before.seconds);
    impl_->write_line(json::serialize(json::object{{"log_purged", impl_->log_purged_before}}));
}

void Org::set_sharing(int object, Sharing sharing) {
    impl_->table(object).sharing = sharing;
    impl_->note_privacy();
    impl_->write_line(json::serialize(
        json::object{{"sharing", json::array{schema().at(object).name, static_cast<int64_t>(sharing)}}}));
}

void Org::set_rights(int object, const Rights& rights) {
    impl_->table(object).rights = rights;
    impl_->write_line(
        json::serialize(json::object{{"rights", json::array{schema().at(object).name, rights.create, rights.edit,
                                                            rights.remove, rights.view_all, rights.modify_all}}}));
}

void Org::share(int object, int64_t row, bool edit) {
    impl_->table(object).shares[row] = edit;
    impl_->write_line(json::serialize(json::object{{"share", json::array{schema().at(object).name, row, edit}}}));
}

void Org::unshare(int object, int64_t row) {
    impl_->table(object).shares.erase(row);
    impl_->write_line(json::serialize(json::object{{"share", json::array{schema().at(object).name, row, nullptr}}}));
}

void Org::set_visible(int object, int field, bool visible) {
    impl_->set_visible(object, field, visible);
    impl_->write_line(json::serialize(json::object{{"sight", json::array{object, field, visible}}}));
}

}  // namespace lockstep::sandbox

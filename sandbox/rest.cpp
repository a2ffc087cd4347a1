#include "sandbox/rest.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/sfid.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

constexpr std::size_t locators_max = 10;  // of one user
constexpr std::int64_t day_s = 86'400;

Timestamp floor_to_minute(Timestamp at) {
    return {at.seconds - ((at.seconds % 60) + 60) % 60};
}

/// "Winter '24" for 59.
std::string season(int version) {
    static const char* const names[] = {"Spring", "Summer", "Winter"};
    // Version 59 is the winter release of 2024, and there are three a year.
    return std::string(names[version % 3]) + " '" + std::to_string((version - 20) / 3 + 11);
}

http::Answer no_such_key(const std::string& segment) {
    return error_answer(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + segment);
}

std::string new_locator(std::int64_t number) {
    constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::string id = "01gD0000000000000000";
    id.resize(15);
    for (std::size_t at = id.size(); number > 0 && at > 8; number /= 62) id[--at] = digits[number % 62];
    return id + id_suffix(id);
}

Timestamp last_modified(const Org& org, int object, std::int64_t row) {
    const int field = org.schema().at(object).find("LastModifiedDate");
    if (field >= 0)
        if (const Cell cell = org.value(object, row, field); const auto* at = std::get_if<std::int64_t>(&cell))
            return {*at};
    return org.modstamp(object, row);
}

bool sends_json(const http::Request& request) {
    const std::string_view type = request.header("Content-Type");
    return type.empty() || starts_with_ignoring_case(type, "application/json");
}

http::Answer wrong_media() {
    return error_answer(415, "UNSUPPORTED_MEDIA_TYPE", "Content type is not supported: send application/json.");
}

WriteResult failed(const Error& error) {
    WriteResult result;
    result.errors.push_back({error.code, error.what, {}});
    return result;
}

}  // namespace

// ---- lateness

void Lateness::plan(int object, Timestamp now, std::int64_t seconds) {
    auto& windows = windows_[object];
    for (auto& window : windows)
        if (!window.to) window.to = now;
    std::erase_if(windows, [&](const Window& w) { return w.to && w.to->seconds + w.seconds < now.seconds; });
    if (seconds > 0) windows.push_back({now, std::nullopt, seconds});
}

void Lateness::note(int object, Timestamp now, std::int64_t seconds) {
    auto& windows = windows_[object];
    std::erase_if(windows, [&](const Window& w) { return w.to && w.to->seconds + w.seconds < now.seconds; });
    windows.push_back({now, now, seconds});
}

std::int64_t Lateness::planned(int object) const {
    const auto found = windows_.find(object);
    if (found == windows_.end()) return 0;
    for (const auto& window : found->second)
        if (!window.to) return window.seconds;
    return 0;
}

Timestamp Lateness::settled_before(int object, Timestamp now) const {
    Timestamp settled = now;
    const auto found = windows_.find(object);
    if (found == windows_.end()) return settled;
    for (const auto& window : found->second) {
        const Timestamp oldest_hidden = std::max(window.from, now.plus(-window.seconds));
        if (oldest_hidden <= window.to.value_or(now)) settled = std::min(settled, oldest_hidden);
    }
    return settled;
}

// ---- versions and resources

Rest::Rest(Org& org, const SettingsBox& settings) : org_(org), settings_(settings) {}

http::Answer Rest::versions(const Call&) {
    const Settings settings = settings_.get();
    std::string body = "[";
    for (int version = settings.version_min; version <= settings.version_max; ++version) {
        const std::string number = std::to_string(version) + ".0";
        if (body.size() > 1) body += ',';
        body += '{';
        append_member(body, "label", season(version));
        append_member(body, "url", "/services/data/v" + number);
        append_member(body, "version", number);
        body += '}';
    }
    return json_answer(200, body + "]");
}

http::Answer Rest::resources(const Call& call) {
    std::string body = "{";
    for (const char* name : {"sobjects", "query", "queryAll", "limits", "composite", "jobs"})
        append_member(body, name, call.base() + "/" + name);
    append_member(body, "identity", call.host_url + "/id/" + org_.organization_id() + "/" + org_.integration_user_id());
    return json_answer(200, body + "}");
}

// ---- describe

http::Answer Rest::versioned(const Call& call, const std::string& what, std::string body) {
    const std::string etag = to_hex(sha256(body)).substr(0, 16);
    Timestamp now;
    {
        const auto lock = reading(org_, call);
        now = org_.now();
    }
    Version version;
    {
        const std::scoped_lock lock(versions_mutex_);
        constexpr std::size_t remembered_max = 5000;
        if (described_.size() > remembered_max) described_.clear();
        const auto [at, is_new] = described_.try_emplace(call.version + " " + call.host_url + " " + what);
        if (is_new) at->second = {etag, now};
        // Two changes within a second must not share a stamp, or the second would never be fetched.
        else if (at->second.etag != etag)
            at->second = {etag, std::max(now, at->second.changed.plus(1))};
        version = at->second;
    }
    const std::string_view none_match = call.request.header("If-None-Match");
    const auto modified_since = parse_http_date(call.request.header("If-Modified-Since"));
    const bool same = none_match.empty() ? modified_since && *modified_since >= version.changed
                                         : none_match.find(etag) != std::string_view::npos;
    auto answer = same ? empty_answer(304) : json_answer(200, std::move(body));
    answer.headers["ETag"] = "\"" + etag + "\"";
    answer.headers["Last-Modified"] = to_http_date(version.changed);
    return answer;
}

http::Answer Rest::describe_global(const Call& call) {
    std::string body;
    {
        const auto lock = reading(org_, call);
        body = describe_global_json(
            org_.schema(), [&](int object, int field) { return org_.visible(object, field); }, call.version);
    }
    return versioned(call, "", std::move(body));
}

http::Answer Rest::describe(const Call& call) {
    std::string body;
    {
        const auto lock = reading(org_, call);
        const int object = object_named(org_, call.args.at(0));
        if (object < 0) return not_found();
        body = describe_json(
            org_.schema(), object, [&](int o, int f) { return org_.visible(o, f); }, call.version, call.host_url);
    }
    return versioned(call, to_lower(call.args.at(0)), std::move(body));
}

http::Answer Rest::basic_info(const Call& call) {
    const auto lock = reading(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    std::vector<int> shown;
    for (const char* name : {"Id", "Name"})
        if (const int field = field_named(org_, object, name); field >= 0) shown.push_back(field);
    std::string recent = "[";
    int left = 5;
    for (std::int64_t row = org_.rows(object) - 1; row >= 0 && left > 0; --row) {
        if (org_.life(object, row) != Org::Life::Live || !org_.shown(object, row)) continue;
        recent += (recent.size() > 1 ? "," : "") + record_json(org_, object, row, call.version, shown);
        --left;
    }
    std::string body = "{";
    append_raw_member(body, "objectDescribe", describe_item_json(org_.schema(), object, call.version));
    append_raw_member(body, "recentItems", recent + "]");
    return json_answer(200, body + "}");
}

// ---- records

std::optional<http::Answer> Rest::find_by_id(const std::string& object_name, const std::string& id, bool for_reading,
                                             Found& found) const {
    found.object = object_named(org_, object_name);
    if (found.object < 0) return not_found();
    const auto id18 = normalize_id(id);
    if (!id18) return no_such_key(id);
    const auto row = org_.row_of(found.object, *id18);
    if (!row || !org_.shown(found.object, *row)) return not_found();
    if (org_.life(found.object, *row) != Org::Life::Live) {
        if (for_reading || org_.life(found.object, *row) == Org::Life::Gone) return not_found();
        return error_answer(
            {.status = 404, .code = "ENTITY_IS_DELETED", .message = "entity is deleted", .has_fields = true});
    }
    found.row = *row;
    return std::nullopt;
}

bool Rest::lock_fails(const Call& call, std::string_view id, WriteResult& result) const {
    if (call.fault_rows <= 0) return false;
    result.id = std::string(id);
    result.errors.push_back({"UNABLE_TO_LOCK_ROW",
                             "unable to obtain exclusive access to this record or 1 records: " +
                                 (id.empty() ? "000000000000000AAA" : std::string(id)),
                             {}});
    return true;
}

DelayedWrites Rest::delayed(const Call& call, int object) {
    if (call.delayed_write_s > 0) lateness_.note(object, org_.now(), call.delayed_write_s);
    return {org_, object, call.delayed_write_s, lateness_.planned(object)};
}

WriteResult Rest::create_one(const Call& call, int object, const Input& input) {
    WriteResult result;
    if (lock_fails(call, "", result)) return result;
    if (input.find("Id")) {
        result.errors.push_back({"INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", {"Id"}});
        return result;
    }
    const auto values = values_of(org_, object, input);
    if (!values.ok()) return failed(values.error());
    const auto late = delayed(call, object);
    return org_.insert(object, *values, call.user);
}

WriteResult Rest::update_one(const Call& call, int object, const Input& input) {
    const InputField* given = input.find("Id");
    const auto* text = given ? std::get_if<std::string>(&given->value) : nullptr;
    const auto id = text ? normalize_id(*text) : std::nullopt;
    if (!id) return failed({.what = "Id not specified in an update call", .code = "MISSING_ARGUMENT"});
    WriteResult result;
    if (lock_fails(call, *id, result)) return result;
    const auto values = values_of(org_, object, input, "Id");
    if (!values.ok()) return failed(values.error());
    const auto late = delayed(call, object);
    result = org_.update(object, *id, *values, call.user);
    if (!result.ok()) result.id = *id;
    return result;
}

WriteResult Rest::upsert_one(const Call& call, int object, int key, const Input& input) {
    const Field& field = org_.schema().at(object).fields[key];
    const InputField* given = input.find(field.name);
    const std::string value = given ? plain_text(field.type, given->value) : std::string();
    WriteResult result;
    result.created = true;
    std::vector<std::int64_t> rows;
    if (!value.empty()) rows = rows_with(org_, object, key, value);
    if (rows.size() > 1) return failed(several_records(org_, object, key, rows));
    const std::string id = rows.empty() ? std::string() : org_.id_of(object, rows.front());
    if (lock_fails(call, id, result)) return result;
    if (rows.empty() && value.empty() && field.type != Type::Id) {
        result.errors.push_back({"MISSING_ARGUMENT", field.name + " not specified", {}});
        return result;
    }
    if (rows.empty() && !value.empty() && field.type == Type::Id) {
        result.errors.push_back({"INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", {}});
        return result;
    }
    // A found record keeps its key; a new one gets it.
    const auto values = values_of(org_, object, input, rows.empty() && field.type != Type::Id ? "" : field.name);
    if (!values.ok()) return failed(values.error());
    const auto late = delayed(call, object);
    result = rows.empty() ? org_.insert(object, *values, call.user) : org_.update(object, id, *values, call.user);
    result.created = rows.empty();
    if (!rows.empty()) result.id = id;
    return result;
}

WriteResult Rest::remove_one(const Call& call, std::string_view id) {
    const auto id18 = normalize_id(id);
    if (!id18) return failed({.what = "malformed id " + std::string(id), .code = "MALFORMED_ID"});
    const int object = org_.schema().find_by_prefix(id18->substr(0, 3));
    if (object < 0 || !org_.visible(object, -1))
        return failed({.what = "invalid cross reference id", .code = "INVALID_CROSS_REFERENCE_KEY"});
    WriteResult result;
    if (lock_fails(call, *id18, result)) return result;
    const auto late = delayed(call, object);
    result = org_.remove(object, *id18, call.user);
    result.id = *id18;
    return result;
}

http::Answer Rest::create(const Call& call) {
    if (!sends_json(call.request)) return wrong_media();
    const auto lock = writing(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    const auto input = parse_record(call.request.body);
    if (!input.ok()) return error_answer(input.error());
    if (const auto unknown = unknown_name(org_, object, *input)) return error_answer(*unknown);
    const WriteResult result = create_one(call, object, *input);
    if (!result.ok()) return write_error_answer(result);
    auto answer = json_answer(201, "{\"id\":\"" + result.id + "\",\"success\":true,\"errors\":[]}");
    answer.headers["Location"] = call.base() + "/sobjects/" + org_.schema().at(object).name + "/" + result.id;
    return answer;
}

http::Answer Rest::read_found(const Call& call, const Found& found) const {
    const Timestamp modified = last_modified(org_, found.object, found.row);
    if (const auto since = parse_http_date(call.request.header("If-Modified-Since")); since && modified <= *since)
        return empty_answer(304);
    if (const auto since = parse_http_date(call.request.header("If-Unmodified-Since")); since && modified > *since)
        return error_answer(412, "PRECONDITION_FAILED", "The record was modified after the given time");
    const std::string asked = call.request.query("fields");
    if (asked.empty())
        return json_answer(
            200, record_json(org_, found.object, found.row, call.version, visible_fields(org_, found.object)));
    const Object& object = org_.schema().at(found.object);
    if (asked.find('.') != std::string::npos) {
        // Fields of parents: what a query does.
        const std::string id = org_.id_of(found.object, found.row);
        const std::string with_id = equals_ignoring_case(split(asked, ',').front(), "Id") ? asked : "Id," + asked;
        const auto query = Query::prepare("SELECT " + with_id + " FROM " + object.name + " WHERE Id = '" + id + "'",
                                          org_, {.all_rows = true});
        if (!query.ok()) return error_answer(query.error());
        const auto rows = run_query(*query, org_);
        if (!rows.ok()) return error_answer(rows.error());
        std::string body;
        rows->append_json_records(org_, 0, 1, call.version, body);
        return json_answer(200, std::move(body));
    }
    std::vector<int> fields;
    const auto add = [&](int field) {
        if (std::find(fields.begin(), fields.end(), field) == fields.end()) fields.push_back(field);
    };
    for (const auto& part : split(asked, ',')) {
        const std::string_view name = trim(part);
        const int field = field_named(org_, found.object, name);
        if (field < 0)
            return error_answer(400, "INVALID_FIELD",
                                "No such column '" + std::string(name) + "' on sobject of type " + object.name);
        add(field);
    }
    add(object.find("Id"));
    return json_answer(200, record_json(org_, found.object, found.row, call.version, fields));
}

http::Answer Rest::read(const Call& call) {
    const auto lock = reading(org_, call);
    Found found;
    if (auto refusal = find_by_id(call.args.at(0), call.args.at(1), true, found)) return *refusal;
    return read_found(call, found);
}

http::Answer Rest::update_found(const Call& call, const Found& found, const Input& input) {
    const std::string id = org_.id_of(found.object, found.row);
    if (const auto since = parse_http_date(call.request.header("If-Unmodified-Since"));
        since && last_modified(org_, found.object, found.row) > *since)
        return error_answer(412, "PRECONDITION_FAILED", "The record was modified after the given time");
    if (const auto unknown = unknown_name(org_, found.object, input)) return error_answer(*unknown);
    const auto values = values_of(org_, found.object, input);
    WriteResult result;
    if (!values.ok()) {
        result = failed(values.error());
    } else if (!lock_fails(call, id, result)) {
        const auto late = delayed(call, found.object);
        result = org_.update(found.object, id, *values, call.user);
    }
    return result.ok() ? empty_answer(204) : write_error_answer(result);
}

http::Answer Rest::update(const Call& call) {
    if (!sends_json(call.request)) return wrong_media();
    const auto lock = writing(org_, call);
    Found found;
    if (auto refusal = find_by_id(call.args.at(0), call.args.at(1), false, found)) return *refusal;
    const auto input = parse_record(call.request.body);
    if (!input.ok()) return error_answer(input.error());
    if (input->find("Id"))
        return error_answer(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.");
    return update_found(call, found, *input);
}

http::Answer Rest::remove_found(const Call& call, const Found& found) {
    const std::string id = org_.id_of(found.object, found.row);
    const WriteResult result = remove_one(call, id);
    return result.ok() ? empty_answer(204) : write_error_answer(result);
}

http::Answer Rest::remove(const Call& call) {
    const auto lock = writing(org_, call);
    Found found;
    if (auto refusal = find_by_id(call.args.at(0), call.args.at(1), false, found)) return *refusal;
    return remove_found(call, found);
}

http::Answer Rest::several(const Call& call, int object, const std::vector<std::int64_t>& rows) const {
    std::vector<std::string> urls;
    urls.reserve(rows.size());
    for (const auto row : rows)
        urls.push_back(call.base() + "/sobjects/" + org_.schema().at(object).name + "/" + org_.id_of(object, row));
    return json_answer(300, json_list(urls));
}

http::Answer Rest::related(const Call& call, const Found& found, const std::string& relationship) {
    const Object& object = org_.schema().at(found.object);
    for (const int i : visible_fields(org_, found.object)) {
        if (object.fields[i].relationship.empty() || !equals_ignoring_case(object.fields[i].relationship, relationship))
            continue;
        const Cell cell = org_.value(found.object, found.row, i);
        const auto* id = std::get_if<std::string>(&cell);
        const int parent = id && id->size() >= 3 ? org_.schema().find_by_prefix(id->substr(0, 3)) : -1;
        const auto row = parent < 0 ? std::nullopt : org_.row_of(parent, *id);
        if (!row || !org_.visible(parent, -1)) return not_found();
        return read_found(call, {parent, *row});
    }
    for (const auto& child : org_.schema().children_of(found.object)) {
        if (child.relationship.empty() || !equals_ignoring_case(child.relationship, relationship)) continue;
        const int child_object = object_named(org_, child.child_object);
        if (child_object < 0) break;
        const std::vector<int> shown = visible_fields(org_, child_object);
        std::vector<std::string> names;
        names.reserve(shown.size());
        for (const int i : shown) names.push_back(org_.schema().at(child_object).fields[i].name);
        const std::string asked = call.request.query("fields");
        const auto query =
            Query::prepare("SELECT " + (asked.empty() ? join(names, ",") : asked) + " FROM " + child.child_object +
                               " WHERE " + child.field + " = '" + org_.id_of(found.object, found.row) + "'",
                           org_);
        if (!query.ok()) return error_answer(query.error());
        auto rows = run_query(*query, org_);
        if (!rows.ok()) return error_answer(rows.error());
        return json_answer(200, page(call, *rows, 0, rows->records(), ""));
    }
    return not_found();
}

http::Answer Rest::read_by_key(const Call& call) {
    const auto lock = reading(org_, call);
    Found found;
    found.object = object_named(org_, call.args.at(0));
    if (found.object < 0) return not_found();
    const int key = key_field(org_, found.object, call.args.at(1));
    if (key < 0) {
        if (!normalize_id(call.args.at(1))) return no_such_key(call.args.at(1));
        if (auto refusal = find_by_id(call.args.at(0), call.args.at(1), true, found)) return *refusal;
        return related(call, found, call.args.at(2));
    }
    auto rows = rows_with(org_, found.object, key, call.args.at(2));
    std::erase_if(rows, [&](std::int64_t row) { return !org_.shown(found.object, row); });
    if (rows.empty()) return not_found();
    if (rows.size() > 1) return several(call, found.object, rows);
    found.row = rows.front();
    return read_found(call, found);
}

http::Answer Rest::upsert(const Call& call) {
    if (!sends_json(call.request)) return wrong_media();
    const auto lock = writing(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    const int key = key_field(org_, object, call.args.at(1));
    if (key < 0) return no_such_key(call.args.at(1));
    const Field& field = org_.schema().at(object).fields[key];
    auto input = parse_record(call.request.body);
    if (!input.ok()) return error_answer(input.error());
    if (input->find(field.name))
        return error_answer(400, "INVALID_FIELD",
                            "The field " + field.name + " should not be specified in the sobject data.");
    if (const auto unknown = unknown_name(org_, object, *input)) return error_answer(*unknown);
    const auto rows = rows_with(org_, object, key, call.args.at(2));
    if (rows.size() > 1) return several(call, object, rows);
    if (rows.empty() && (field.type == Type::Id || equals_ignoring_case(call.request.query("updateOnly"), "true")))
        return not_found();
    const bool tells_created = parse_int(call.version.substr(0, 2)).value_or(0) >= 46;
    if (!rows.empty()) {
        auto answer = update_found(call, {object, rows.front()}, *input);
        if (answer.status != 204 || !tells_created) return answer;
        return json_answer(200, "{\"id\":\"" + org_.id_of(object, rows.front()) +
                                    "\",\"success\":true,\"errors\":[],\"created\":false}");
    }
    input->fields.push_back({.name = field.name, .value = Cell(call.args.at(2))});
    const WriteResult result = create_one(call, object, *input);
    if (!result.ok()) return write_error_answer(result);
    auto answer = json_answer(201, "{\"id\":\"" + result.id + "\",\"success\":true,\"errors\":[]" +
                                       (tells_created ? ",\"created\":true}" : "}"));
    answer.headers["Location"] = call.base() + "/sobjects/" + org_.schema().at(object).name + "/" + result.id;
    return answer;
}

http::Answer Rest::remove_by_key(const Call& call) {
    const auto lock = writing(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    const int key = key_field(org_, object, call.args.at(1));
    if (key < 0) return no_such_key(call.args.at(1));
    const auto rows = rows_with(org_, object, key, call.args.at(2));
    if (rows.empty()) return not_found();
    if (rows.size() > 1) return several(call, object, rows);
    return remove_found(call, {object, rows.front()});
}

// ---- queries

std::string Rest::page(const Call& call, const ResultSet& rows, std::int64_t from, std::int64_t rows_max,
                       const std::string& locator) {
    const std::int64_t records = rows.records();
    const std::int64_t next = std::min(records, from + rows_max);
    std::string body = "{\"totalSize\":" + std::to_string(rows.total_size());
    body += next >= records ? ",\"done\":true" : ",\"done\":false";
    if (next < records)
        append_member(body, "nextRecordsUrl", call.base() + "/query/" + locator + "-" + std::to_string(next));
    body += ",\"records\":[";
    rows.append_json_records(org_, from, next - from, call.version, body);
    return body + "]}";
}

namespace {

std::int64_t page_rows(const Call& call, std::int64_t rows_max) {
    const std::string options = to_lower(call.request.header("Sforce-Query-Options"));
    const std::size_t at = options.find("batchsize=");
    if (at == std::string::npos) return rows_max;
    const auto digits = std::string_view(options).substr(at + 10);
    const auto asked = parse_int(trim(digits.substr(0, digits.find(','))));
    return asked ? std::min(rows_max, std::clamp<std::int64_t>(*asked, 200, 2000)) : rows_max;
}

}  // namespace

std::string Rest::open_locator(std::shared_ptr<OpenQuery> open) {
    const std::scoped_lock lock(queries_mutex_);
    while (queries_.size() >= locators_max) {
        queries_.erase(std::min_element(queries_.begin(), queries_.end(), [](const auto& a, const auto& b) {
            return a.second->opened < b.second->opened;
        }));
    }
    open->opened = ++queries_opened_;
    std::string locator = new_locator(queries_opened_);
    queries_[locator] = std::move(open);
    return locator;
}

http::Answer Rest::run(const Call& call, bool all_rows) {
    const bool explain = call.request.has_query("explain");
    const std::string text = call.request.query(explain ? "explain" : "q");
    if (trim(text).empty()) return error_answer(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null");
    const std::int64_t rows_max = page_rows(call, settings_.get().query_page_rows);
    const auto lock = reading(org_, call);
    const auto query = Query::prepare(text, org_, {.all_rows = all_rows});
    if (!query.ok()) return error_answer(query.error());
    if (explain) return json_answer(200, query->explain_json(org_));
    if (equals_ignoring_case(call.request.query("columns"), "true"))
        return json_answer(200, query->column_metadata_json(org_));
    auto rows = run_query(*query, org_);
    if (!rows.ok()) return error_answer(rows.error());
    if (rows->records() <= rows_max) return json_answer(200, page(call, *rows, 0, rows_max, ""));
    auto open = std::make_shared<OpenQuery>();
    open->rows = std::move(*rows);
    open->object = org_.schema().at(query->object()).name;
    open->used = org_.now();
    const std::string locator = open_locator(open);
    return json_answer(200, page(call, open->rows, 0, rows_max, locator));
}

http::Answer Rest::query(const Call& call) {
    return run(call, false);
}
http::Answer Rest::query_all(const Call& call) {
    return run(call, true);
}

http::Answer Rest::query_more(const Call& call) {
    const auto lost = [] { return error_answer(400, "INVALID_QUERY_LOCATOR", "invalid query locator"); };
    const std::string& given = call.args.at(0);
    const std::size_t dash = given.rfind('-');
    if (dash == std::string::npos) return lost();
    const auto from = parse_int(std::string_view(given).substr(dash + 1));
    const auto locator = normalize_id(given.substr(0, dash));
    if (!locator || !from) return lost();
    const Settings settings = settings_.get();
    const auto lock = reading(org_, call);
    std::shared_ptr<OpenQuery> open;
    {
        const std::scoped_lock queries_lock(queries_mutex_);
        const auto found = queries_.find(*locator);
        if (found == queries_.end()) return lost();
        if (org_.now().seconds - found->second->used.seconds >= settings.locator_idle_s) {
            queries_.erase(found);
            return lost();
        }
        open = found->second;
        open->used = org_.now();
    }
    if (*from < 0 || *from > open->rows.records()) return lost();
    return json_answer(200, page(call, open->rows, *from, page_rows(call, settings.query_page_rows), *locator));
}

std::string Rest::object_of_locator(std::string_view locator) {
    const auto id = normalize_id(locator.substr(0, locator.rfind('-')));
    const std::scoped_lock lock(queries_mutex_);
    const auto found = id ? queries_.find(*id) : queries_.end();
    return found == queries_.end() ? std::string() : found->second->object;
}

void Rest::close_locators() {
    const std::scoped_lock lock(queries_mutex_);
    queries_.clear();
}

// ---- replication and counts

std::optional<http::Answer> Rest::replication_window(const Call& call, Timestamp earliest, Window& window) const {
    window.object = object_named(org_, call.args.at(0));
    if (window.object < 0) return not_found();
    const Object& object = org_.schema().at(window.object);
    if (!object.replicateable)
        return error_answer(400, "INVALID_TYPE", "sObject type '" + object.name + "' is not replicateable");
    const auto refuse = [](std::string text) { return error_answer(400, "INVALID_REPLICATION_DATE", std::move(text)); };
    const auto start = parse_timestamp(call.request.query("start"));
    const auto end = parse_timestamp(call.request.query("end"));
    if (!start || !end) return refuse("start and end must be dates with a time and a zone");
    if (end->seconds - start->seconds <= 60) return refuse("start date must be before end date");
    window.now = org_.now();
    window.start = floor_to_minute(*start);
    window.end = floor_to_minute(std::min({*end, window.now, lateness_.settled_before(window.object, window.now)}));
    if (window.start < floor_to_minute(earliest)) return refuse("startDate before org replication enabled date");
    if (*start > window.now) return refuse("start date must not be in the future");
    return std::nullopt;
}

namespace {

constexpr std::size_t replicated_ids_max = 600'000;

http::Answer too_many_ids() {
    return error_answer(400, "EXCEEDED_ID_LIMIT", "The result set is too large: choose a smaller range of dates");
}

}  // namespace

http::Answer Rest::updated(const Call& call) {
    const auto lock = reading(org_, call);
    Window window;
    if (auto refusal = replication_window(call, org_.now().plus(-30 * day_s), window)) return *refusal;
    std::vector<std::pair<Timestamp, std::int64_t>> rows;
    for (const auto row : org_.rows_modified_since(window.object, window.start)) {
        const Timestamp at = org_.modstamp(window.object, row);
        if (at < window.start || at >= window.end) continue;
        if (org_.life(window.object, row) == Org::Life::Live && org_.shown(window.object, row))
            rows.emplace_back(at, row);
    }
    if (rows.size() > replicated_ids_max) return too_many_ids();
    std::sort(rows.begin(), rows.end());
    std::string body = "{\"ids\":[";
    for (const auto& [at, row] : rows)
        body += (body.back() == '[' ? "\"" : ",\"") + org_.id_of(window.object, row) + "\"";
    body += "]";
    append_member(body, "latestDateCovered", wire_time(std::max(window.start, window.end)));
    return json_answer(200, body + "}");
}

http::Answer Rest::deleted(const Call& call) {
    const auto lock = reading(org_, call);
    Window window;
    const Timestamp earliest = org_.earliest_delete_log();
    if (auto refusal = replication_window(call, earliest, window)) return *refusal;
    const auto rows = org_.deleted_between(window.object, window.start, window.end);
    if (rows.size() > replicated_ids_max) return too_many_ids();
    std::string body = "{\"deletedRecords\":[";
    for (const auto& row : rows) {
        if (body.back() != '[') body += ',';
        body += '{';
        append_member(body, "id", row.id);
        append_member(body, "deletedDate", wire_time(row.at));
        body += '}';
    }
    body += "]";
    append_member(body, "earliestDateAvailable", wire_time(floor_to_minute(earliest)));
    append_member(body, "latestDateCovered", wire_time(std::max(window.start, window.end)));
    return json_answer(200, body + "}");
}

http::Answer Rest::record_count(const Call& call) {
    const auto lock = reading(org_, call);
    std::vector<std::string> names;
    for (const auto& name : split(call.request.query("sObjects"), ','))
        if (!trim(name).empty()) names.emplace_back(trim(name));
    if (names.empty())
        for (int object = 0; object < org_.schema().size(); ++object) names.push_back(org_.schema().at(object).name);
    std::string body = "{\"sObjects\":[";
    for (const auto& name : names) {
        const int object = object_named(org_, name);
        const std::int64_t count = object < 0 ? 0 : org_.live_rows(object);
        if (count == 0) continue;  // the platform leaves empty objects out
        if (body.back() != '[') body += ',';
        body += "{\"count\":" + std::to_string(count);
        append_member(body, "name", org_.schema().at(object).name);
        body += '}';
    }
    return json_answer(200, body + "]}");
}

}  // namespace lockstep::sandbox

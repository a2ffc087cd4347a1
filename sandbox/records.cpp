#include "sandbox/records.h"

#include <algorithm>

#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

Error rejected(const char* code, std::string what) {
    return Error{.kind = Kind::Rejected, .what = std::move(what), .code = code};
}

Result<Cell> cell_of(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null:
            return Cell();
        case json::kind::bool_:
            return Cell(value.as_bool());
        case json::kind::int64:
            return Cell(value.as_int64());
        case json::kind::uint64:
            return Cell(static_cast<double>(value.as_uint64()));
        case json::kind::double_:
            return Cell(value.as_double());
        case json::kind::string:
            return Cell(std::string(value.as_string()));
        default:
            return rejected("JSON_PARSER_ERROR",
                            "Cannot deserialize instance of a field from START_ARRAY value [ or request may be missing "
                            "a required field at [line:1, column:1]");
    }
}

Result<Input> input_of(const json::object& object) {
    Input input;
    for (const auto& [key, value] : object) {
        if (key == "attributes") {
            if (value.is_object()) input.type = text_at(value.as_object(), "type").value_or("");
            continue;
        }
        InputField field{.name = std::string(key)};
        if (const json::object* parent = value.if_object()) {
            field.parent.emplace();
            for (const auto& [parent_key, parent_value] : *parent) {
                if (parent_key == "attributes") {
                    if (parent_value.is_object())
                        field.parent->type = text_at(parent_value.as_object(), "type").value_or("");
                    continue;
                }
                field.parent->key = std::string(parent_key);
                field.parent->value = TRY(cell_of(parent_value));
            }
        } else {
            field.value = TRY(cell_of(value));
        }
        input.fields.push_back(std::move(field));
    }
    return input;
}

Result<json::value> parse_body(std::string_view text) {
    auto parsed = parse_json(text);
    if (!parsed.ok() || !parsed->is_object())
        return rejected("JSON_PARSER_ERROR", parsed.ok()
                                                 ? "The request body must be a JSON object at [line:1, column:1]"
                                                 : parsed.error().what);
    return parsed;
}

Error no_such_column(const Org& org, int object, std::string_view name) {
    return rejected("INVALID_FIELD",
                    "No such column '" + std::string(name) + "' on sobject of type " + org.schema().at(object).name);
}

/// The visible reference field that leads to the parents called `relationship`; -1: none.
int reference_field(const Org& org, int object, std::string_view relationship) {
    const auto& fields = org.schema().at(object).fields;
    for (int i = 0; i < static_cast<int>(fields.size()); ++i)
        if (!fields[i].removed && !fields[i].relationship.empty() && org.visible(object, i) &&
            equals_ignoring_case(fields[i].relationship, relationship))
            return i;
    return -1;
}

bool may_be_key(const Field& field) {
    return field.type == Type::Id || field.external_id || field.id_lookup;
}

}  // namespace

const InputField* Input::find(std::string_view name) const {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const InputField& field) { return equals_ignoring_case(field.name, name); });
    return found == fields.end() ? nullptr : &*found;
}

Result<Input> parse_record(std::string_view json_text) {
    const auto parsed = TRY(parse_body(json_text));
    return input_of(parsed.as_object());
}

Result<InputBatch> parse_batch(std::string_view json_text) {
    const auto parsed = TRY(parse_body(json_text));
    const json::object& body = parsed.as_object();
    InputBatch batch;
    batch.all_or_none = bool_at(body, "allOrNone").value_or(false);
    const auto take_texts = [&](const char* key, std::vector<std::string>& into) {
        if (const json::array* list = array_at(body, key))
            for (const auto& value : *list)
                if (value.is_string()) into.emplace_back(value.as_string());
    };
    take_texts("ids", batch.ids);
    take_texts("fields", batch.fields);
    if (const json::array* records = array_at(body, "records")) {
        for (const auto& record : *records) {
            if (!record.is_object())
                return rejected("JSON_PARSER_ERROR", "Each of records must be a JSON object at [line:1, column:1]");
            auto input = TRY(input_of(record.as_object()));
            batch.records.push_back(std::move(input));
        }
    }
    return batch;
}

std::shared_lock<std::shared_mutex> reading(const Org& org, const Call& call) {
    return call.locked ? std::shared_lock<std::shared_mutex>() : org.read_lock();
}

std::unique_lock<std::shared_mutex> writing(Org& org, const Call& call) {
    return call.locked ? std::unique_lock<std::shared_mutex>() : org.write_lock();
}

int object_named(const Org& org, std::string_view name) {
    const int object = org.schema().find(name);
    return object >= 0 && org.visible(object, -1) ? object : -1;
}

int field_named(const Org& org, int object, std::string_view name) {
    const int field = org.schema().at(object).find(name);
    return field >= 0 && org.visible(object, field) ? field : -1;
}

int key_field(const Org& org, int object, std::string_view name) {
    const int field = field_named(org, object, name);
    return field >= 0 && may_be_key(org.schema().at(object).fields[field]) ? field : -1;
}

std::vector<std::int64_t> rows_with(const Org& org, int object, int field, std::string_view value) {
    std::vector<std::int64_t> rows;
    const Field& key = org.schema().at(object).fields[field];
    if (key.type == Type::Id) {
        const auto id = normalize_id(value);
        const auto row = id ? org.row_of(object, *id) : std::nullopt;
        if (row) rows.push_back(*row);
    } else if (is_text(key.type)) {
        rows = org.rows_equal(object, field, trim(value));
    } else {
        // A numeric external id: rare, and small orgs only, so the rows are looked at one by one.
        const auto wanted = coerce(key, Cell(std::string(value)));
        const Cell* cell = std::get_if<Cell>(&wanted);
        for (std::int64_t row = 0; cell && row < org.rows(object); ++row)
            if (org.value(object, row, field) == *cell) rows.push_back(row);
    }
    std::erase_if(rows, [&](std::int64_t row) { return org.life(object, row) != Org::Life::Live; });
    return rows;
}

Error several_records(const Org& org, int object, int field, const std::vector<std::int64_t>& rows) {
    std::string ids;
    for (const auto row : rows) ids += (ids.empty() ? "" : ", ") + org.id_of(object, row);
    return rejected("DUPLICATE_EXTERNAL_ID", org.schema().at(object).fields[field].name +
                                                 ": more than one record found for external id field: [" + ids + "]");
}

Result<std::pair<std::string, Cell>> parent_of(const Org& org, int object, std::string_view relationship,
                                               const InputField::Parent& parent) {
    const int field = reference_field(org, object, relationship);
    if (field < 0) return no_such_column(org, object, relationship);
    const Field& reference = org.schema().at(object).fields[field];
    std::vector<std::string> targets = reference.reference_to;
    if (!parent.type.empty()) targets = {parent.type};
    for (const auto& target : targets) {
        const int parent_object = object_named(org, target);
        const int key = parent_object < 0 ? -1 : key_field(org, parent_object, parent.key);
        if (key < 0) continue;
        const Field& key_described = org.schema().at(parent_object).fields[key];
        const std::string text = plain_text(key_described.type, parent.value);
        const auto rows = rows_with(org, parent_object, key, text);
        if (rows.size() == 1)
            return std::pair<std::string, Cell>(reference.name, org.id_of(parent_object, rows.front()));
        if (rows.empty())
            return rejected("INVALID_FIELD", "Foreign key external ID: " + to_lower(text) + " not found for field " +
                                                 key_described.name + " in entity " +
                                                 org.schema().at(parent_object).name);
        return several_records(org, parent_object, key, rows);
    }
    return no_such_column(org, object, relationship);
}

std::optional<Error> unknown_name(const Org& org, int object, const Input& input) {
    for (const auto& field : input.fields) {
        const bool known = field.parent ? reference_field(org, object, field.name) >= 0
                                        : field_named(org, object, field.name) >= 0 ||
                                              (is_null(field.value) && reference_field(org, object, field.name) >= 0);
        if (!known) return no_such_column(org, object, field.name);
    }
    return std::nullopt;
}

Result<Values> values_of(const Org& org, int object, const Input& input, std::string_view skip) {
    Values values;
    for (const auto& field : input.fields) {
        if (!skip.empty() && equals_ignoring_case(field.name, skip)) continue;
        if (field.parent) {
            auto parent = TRY(parent_of(org, object, field.name, *field.parent));
            values.push_back(std::move(parent));
            continue;
        }
        int index = field_named(org, object, field.name);
        // `"Account":null` takes the parent away.
        if (index < 0 && is_null(field.value)) index = reference_field(org, object, field.name);
        if (index < 0) return no_such_column(org, object, field.name);
        values.emplace_back(org.schema().at(object).fields[index].name, field.value);
    }
    return values;
}

std::vector<int> visible_fields(const Org& org, int object) {
    std::vector<int> fields;
    const Object& described = org.schema().at(object);
    for (int i = 0; i < static_cast<int>(described.fields.size()); ++i)
        if (!described.fields[i].removed && org.visible(object, i)) fields.push_back(i);
    return fields;
}

std::string record_json(const Org& org, int object, std::int64_t row, std::string_view version,
                        const std::vector<int>& fields) {
    const std::string& name = org.schema().at(object).name;
    std::string out = "{\"attributes\":{\"type\":\"" + name + "\",\"url\":\"/services/data/v" + std::string(version) +
                      "/sobjects/" + name + "/" + org.id_of(object, row) + "\"}";
    if (!fields.empty()) {
        out += ',';
        Projection(org, object, fields).append_json(row, out);
    }
    return out + "}";
}

http::Answer write_error_answer(const WriteResult& result) {
    std::string body = "[";
    int status = 400;
    for (const auto& error : result.errors) {
        if (body.size() > 1) body += ',';
        body += '{';
        append_member(body, "message", error.message);
        append_member(body, "errorCode", error.code);
        append_raw_member(body, "fields", json_list(error.fields));
        body += '}';
        if (error.code == "ENTITY_IS_DELETED" || error.code == "NOT_FOUND") status = 404;
    }
    return json_answer(status, body + "]");
}

std::string result_json(const WriteResult& result, bool with_created) {
    std::string out = "{";
    if (!result.id.empty()) append_member(out, "id", result.id);
    append_raw_member(out, "success", result.ok() ? "true" : "false");
    std::string errors = "[";
    for (const auto& error : result.errors) {
        if (errors.size() > 1) errors += ',';
        errors += '{';
        append_member(errors, "statusCode", error.code);
        append_member(errors, "message", error.message);
        append_raw_member(errors, "fields", json_list(error.fields));
        errors += '}';
    }
    append_raw_member(out, "errors", errors + "]");
    if (with_created) append_raw_member(out, "created", result.created ? "true" : "false");
    return out + "}";
}

std::string bulk_error(const WriteResult& result) {
    std::string out;
    for (const auto& error : result.errors) {
        if (!out.empty()) out += ';';
        out += error.code + ":" + error.message + ":" + join(error.fields, ",") + " --";
    }
    return out;
}

DelayedWrites::DelayedWrites(Org& org, int object, std::int64_t seconds, std::int64_t usual_seconds)
    : org_(org), object_(object), seconds_(seconds), usual_seconds_(usual_seconds) {
    if (seconds_ > 0) org_.delay_visibility(object_, seconds_);
}

DelayedWrites::~DelayedWrites() {
    if (seconds_ > 0) org_.delay_visibility(object_, usual_seconds_);
}

}  // namespace lockstep::sandbox

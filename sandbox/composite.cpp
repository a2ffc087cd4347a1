#include "sandbox/composite.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/records.h"

namespace lockstep::sandbox {
namespace {

constexpr std::size_t records_max = 200;
constexpr std::size_t parts_max = 25;
constexpr std::size_t query_parts_max = 5;  // of a composite request, collections among them
constexpr std::size_t retrieved_max = 2000;
constexpr const char* rolled_back =
    "Record rolled back because not all records were valid and the request was using AllOrNone header";
constexpr const char* transaction_gone =
    "The transaction was rolled back since another operation in the same transaction failed.";

http::Answer too_many(std::size_t max) {
    return error_answer(
        400, "EXCEEDED_ID_LIMIT",
        "record limit reached. cannot submit more than " + std::to_string(max) + " records into this call");
}

bool wants_all_or_none(const Call& call) {
    return equals_ignoring_case(call.request.query("allOrNone"), "true");
}

/// Results as an answer; when one failed and all or none was asked for, the others are told as rolled back.
http::Answer results_answer(std::vector<WriteResult> results, bool all_or_none, bool tells_created) {
    const bool any_failed = std::any_of(results.begin(), results.end(), [](const auto& r) { return !r.ok(); });
    std::string body = "[";
    for (auto& result : results) {
        if (all_or_none && any_failed && result.ok()) {
            if (result.created) result.id.clear();
            result.errors.push_back({"ALL_OR_NONE_OPERATION_ROLLED_BACK", rolled_back, {}});
        }
        body += (body.size() > 1 ? "," : "") + result_json(result, tells_created);
    }
    return json_answer(200, body + "]");
}

/// The value at `path` ("id", "records[0].Id") of `value`; null: there is none.
const json::value* value_at(const json::value& value, std::string_view path) {
    const json::value* at = &value;
    while (at && !path.empty()) {
        if (path.front() == '.') path.remove_prefix(1);
        if (path.front() == '[') {
            const std::size_t close = path.find(']');
            if (close == std::string_view::npos || !at->is_array()) return nullptr;
            const auto index = parse_int(path.substr(1, close - 1));
            const json::array& list = at->as_array();
            if (!index || *index < 0 || *index >= static_cast<std::int64_t>(list.size())) return nullptr;
            at = &list[static_cast<std::size_t>(*index)];
            path.remove_prefix(close + 1);
        } else {
            const std::size_t end = std::min(path.find_first_of(".["), path.size());
            if (!at->is_object()) return nullptr;
            at = at->as_object().if_contains(path.substr(0, end));
            path.remove_prefix(end);
        }
    }
    return at;
}

/// Replaces each `@{reference.path}` of `text`. Errors: Invalid, naming the reference that leads nowhere.
Result<std::string> resolved(std::string_view text, const json::object& bodies) {
    std::string out;
    while (!text.empty()) {
        const std::size_t open = text.find("@{");
        out += text.substr(0, open);
        if (open == std::string_view::npos) break;
        const std::size_t close = text.find('}', open);
        if (close == std::string_view::npos) {
            out += text.substr(open);
            break;
        }
        const std::string_view reference = text.substr(open + 2, close - open - 2);
        const std::size_t end = std::min(reference.find_first_of(".["), reference.size());
        const json::value* body = bodies.if_contains(reference.substr(0, end));
        const json::value* value = body ? value_at(*body, reference.substr(end)) : nullptr;
        if (!value || value->is_object() || value->is_array())
            return Error{.what = "Invalid reference specified. No value for " + std::string(reference) + " found",
                         .code = "PROCESSING_HALTED"};
        out += value->is_string() ? std::string(value->as_string()) : json::serialize(*value);
        text.remove_prefix(close + 1);
    }
    return out;
}

Result<json::value> resolved(const json::value& value, const json::object& bodies) {
    if (const json::string* text = value.if_string()) {
        const std::string plain = TRY(resolved(std::string_view(*text), bodies));
        return json::value(plain);
    }
    if (const json::object* object = value.if_object()) {
        json::object out;
        for (const auto& [key, inner] : *object) out[key] = TRY(resolved(inner, bodies));
        return json::value(out);
    }
    if (const json::array* array = value.if_array()) {
        json::array out;
        for (const auto& inner : *array) {
            auto item = TRY(resolved(inner, bodies));
            out.push_back(std::move(item));
        }
        return json::value(out);
    }
    return value;
}

/// One subrequest as a request. The target may hold raw blanks and lack its host or /services/data.
http::Request part_of(const json::object& part, const Call& whole) {
    http::Request request;
    request.method = text_at(part, "method").value_or("GET");
    std::string url = text_at(part, "url").value_or("");
    if (starts_with_ignoring_case(url, whole.host_url)) url.erase(0, whole.host_url.size());
    if (!url.empty() && url.front() == 'v') url = "/services/data/" + url;
    std::string target;
    for (const char c : url) target += c == ' ' ? std::string("%20") : std::string(1, c);
    request.target = std::move(target);
    request.headers["Content-Type"] = "application/json";
    if (const json::object* headers = object_at(part, "httpHeaders"))
        for (const auto& [name, value] : *headers)
            if (value.is_string()) request.headers[std::string(name)] = std::string(value.as_string());
    for (const char* key : {"body", "richInput"})
        if (const json::value* body = part.if_contains(key); body && !body->is_null())
            request.body = json::serialize(*body);
    return request;
}

/// The text of a part's answer as JSON text: `null` when it is empty.
std::string body_of(const http::Answer& answer) {
    return answer.body.empty() ? "null" : answer.body;
}

}  // namespace

Composite::Composite(Org& org, Rest& rest, Dispatch dispatch)
    : org_(org), rest_(rest), dispatch_(std::move(dispatch)) {}

// ---- collections

http::Answer Composite::write(const Call& call, const InputBatch& batch, int only_object, bool tells_created,
                              const WriteOne& write_one) {
    if (batch.records.size() > records_max) return too_many(records_max);
    std::vector<int> objects;
    for (const auto& record : batch.records) {
        const int object = only_object >= 0 ? only_object : object_named(org_, record.type);
        if (object < 0)
            return error_answer(400, "INVALID_TYPE", "sObject type '" + record.type + "' is not supported.");
        if (const auto unknown = unknown_name(org_, object, record)) return error_answer(*unknown);
        objects.push_back(object);
    }
    // Inside a composite request the transaction is that of the whole.
    std::optional<Org::Transaction> transaction;
    if (batch.all_or_none && !call.locked) transaction.emplace(org_);
    std::vector<WriteResult> results;
    bool all_good = true;
    for (std::size_t i = 0; i < batch.records.size(); ++i) {
        Call one = call;
        one.fault_rows = static_cast<std::int64_t>(i) < call.fault_rows ? 1 : 0;
        results.push_back(write_one(one, objects[i], batch.records[i]));
        all_good = all_good && results.back().ok();
    }
    if (transaction && all_good) transaction->commit();
    return results_answer(std::move(results), batch.all_or_none, tells_created);
}

http::Answer Composite::create(const Call& call) {
    const auto batch = parse_batch(call.request.body);
    if (!batch.ok()) return error_answer(batch.error());
    const auto lock = writing(org_, call);
    return write(call, *batch, -1, false, [this](const Call& one, int object, const Input& input) {
        return rest_.create_one(one, object, input);
    });
}

http::Answer Composite::update(const Call& call) {
    const auto batch = parse_batch(call.request.body);
    if (!batch.ok()) return error_answer(batch.error());
    const auto lock = writing(org_, call);
    return write(call, *batch, -1, false, [this](const Call& one, int object, const Input& input) {
        return rest_.update_one(one, object, input);
    });
}

http::Answer Composite::upsert(const Call& call) {
    const auto batch = parse_batch(call.request.body);
    if (!batch.ok()) return error_answer(batch.error());
    const auto lock = writing(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    const int key = key_field(org_, object, call.args.at(1));
    if (key < 0)
        return error_answer(404, "NOT_FOUND",
                            "Provided external ID field does not exist or is not accessible: " + call.args.at(1));
    return write(call, *batch, object, true, [this, key](const Call& one, int of, const Input& input) {
        return rest_.upsert_one(one, of, key, input);
    });
}

http::Answer Composite::remove(const Call& call) {
    std::vector<std::string> ids;
    for (const auto& id : split(call.request.query("ids"), ','))
        if (!trim(id).empty()) ids.emplace_back(trim(id));
    if (ids.size() > records_max) return too_many(records_max);
    const bool all_or_none = wants_all_or_none(call);
    const auto lock = writing(org_, call);
    std::optional<Org::Transaction> transaction;
    if (all_or_none && !call.locked) transaction.emplace(org_);
    std::vector<WriteResult> results;
    bool all_good = true;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        Call one = call;
        one.fault_rows = static_cast<std::int64_t>(i) < call.fault_rows ? 1 : 0;
        results.push_back(rest_.remove_one(one, ids[i]));
        all_good = all_good && results.back().ok();
    }
    if (transaction && all_good) transaction->commit();
    return results_answer(std::move(results), all_or_none, false);
}

http::Answer Composite::retrieve(const Call& call) {
    std::vector<std::string> ids, names;
    if (call.method == "POST") {
        auto batch = parse_batch(call.request.body);
        if (!batch.ok()) return error_answer(batch.error());
        ids = std::move(batch->ids);
        names = std::move(batch->fields);
    } else {
        ids = split(call.request.query("ids"), ',');
        names = split(call.request.query("fields"), ',');
    }
    if (ids.size() > retrieved_max) return too_many(retrieved_max);
    const auto lock = reading(org_, call);
    const int object = object_named(org_, call.args.at(0));
    if (object < 0) return not_found();
    std::vector<int> fields;
    for (const auto& name : names) {
        if (trim(name).empty()) continue;
        const int field = field_named(org_, object, trim(name));
        if (field < 0)
            return error_answer(400, "INVALID_FIELD",
                                "No such column '" + name + "' on sobject of type " + org_.schema().at(object).name);
        fields.push_back(field);
    }
    if (fields.empty()) return error_answer(400, "INVALID_FIELD", "fields must name at least one field");
    if (const int id = org_.schema().at(object).find("Id"); std::find(fields.begin(), fields.end(), id) == fields.end())
        fields.push_back(id);
    std::string body = "[";
    for (const auto& id : ids) {
        if (body.size() > 1) body += ',';
        const auto id18 = normalize_id(trim(id));
        const auto row = id18 ? org_.row_of(object, *id18) : std::nullopt;
        const bool there = row && org_.life(object, *row) == Org::Life::Live && org_.shown(object, *row);
        body += there ? record_json(org_, object, *row, call.version, fields) : "null";
    }
    return json_answer(200, body + "]");
}

// ---- requests within a request

http::Answer Composite::composite(const Call& call) {
    const auto parsed = parse_json(call.request.body);
    const json::array* parts =
        parsed.ok() && parsed->is_object() ? array_at(parsed->as_object(), "compositeRequest") : nullptr;
    if (!parts)
        return error_answer(400, "JSON_PARSER_ERROR",
                            parsed.ok() ? "compositeRequest is missing" : parsed.error().what);
    if (parts->size() > parts_max)
        return error_answer(400, "INVALID_INPUT", "Limit of 25 operations in one composite request exceeded.");
    std::set<std::string> references;
    std::size_t queries = 0;
    for (const auto& part : *parts) {
        const auto reference = part.is_object() ? text_at(part.as_object(), "referenceId") : std::nullopt;
        if (!reference) return error_answer(400, "INVALID_INPUT", "Each operation needs a referenceId.");
        if (!references.insert(*reference).second)
            return error_answer(400, "INVALID_INPUT", "The referenceId " + *reference + " is used more than once.");
        const std::string url = text_at(part.as_object(), "url").value_or("");
        for (const char* kind : {"/query", "/queryAll", "/composite/sobjects"}) {
            const std::size_t at = url.find(kind);
            if (at == std::string::npos) continue;
            const std::string_view rest = std::string_view(url).substr(at + std::string_view(kind).size());
            if (!rest.empty() && rest.front() != '?' && rest.front() != '/') continue;
            ++queries;
            break;
        }
    }
    if (queries > query_parts_max)
        return error_answer(400, "INVALID_INPUT", "Limit of 5 queries in one composite request exceeded.");
    const bool all_or_none = bool_at(parsed->as_object(), "allOrNone").value_or(false);

    struct Part {
        std::string reference;
        http::Answer answer;
    };
    std::vector<Part> done;
    json::object bodies;  // by reference, of those that succeeded
    bool failed = false;
    {
        std::unique_lock<std::shared_mutex> lock;
        std::optional<Org::Transaction> transaction;
        Call whole = call;
        if (all_or_none && !call.locked) {
            lock = org_.write_lock();
            transaction.emplace(org_);
            whole.locked = true;
        }
        for (const auto& value : *parts) {
            const json::object& part = value.as_object();
            const std::string reference = *text_at(part, "referenceId");
            if (failed && all_or_none) {
                done.push_back({reference, error_answer(400, "PROCESSING_HALTED", transaction_gone)});
                continue;
            }
            const auto ready = resolved(json::value(part), bodies);
            http::Answer answer =
                ready.ok() ? dispatch_(part_of(ready->as_object(), whole), whole, false) : error_answer(ready.error());
            const bool good = answer.status < 400 && answer.status != 300;
            failed = failed || !good;
            if (good)
                if (auto body = parse_json(answer.body); body.ok()) bodies[reference] = *body;
            done.push_back({reference, std::move(answer)});
        }
        if (transaction && !failed) transaction->commit();
    }
    if (failed && all_or_none)
        for (auto& part : done)
            if (part.answer.status < 400) part.answer = error_answer(400, "PROCESSING_HALTED", transaction_gone);
    std::string body = "{\"compositeResponse\":[";
    for (const auto& part : done) {
        if (body.back() != '[') body += ',';
        std::string headers = "{";
        for (const char* name : {"ETag", "Last-Modified", "Location"})
            if (const auto found = part.answer.headers.find(name); found != part.answer.headers.end())
                append_member(headers, name, found->second);
        body += '{';
        append_raw_member(body, "body", body_of(part.answer));
        append_raw_member(body, "httpHeaders", headers + "}");
        append_raw_member(body, "httpStatusCode", std::to_string(part.answer.status));
        append_member(body, "referenceId", part.reference);
        body += '}';
    }
    return json_answer(200, body + "]}");
}

http::Answer Composite::batch(const Call& call) {
    const auto parsed = parse_json(call.request.body);
    const json::array* parts =
        parsed.ok() && parsed->is_object() ? array_at(parsed->as_object(), "batchRequests") : nullptr;
    if (!parts)
        return error_answer(400, "JSON_PARSER_ERROR", parsed.ok() ? "batchRequests is missing" : parsed.error().what);
    if (parts->size() > parts_max)
        return error_answer(400, "INVALID_INPUT", "Limit of 25 operations in one batch request exceeded.");
    const bool halt = bool_at(parsed->as_object(), "haltOnError").value_or(false);
    bool failed = false;
    bool counts = false;  // the first part is the call that was counted already
    std::string results = "[";
    for (const auto& part : *parts) {
        if (results.size() > 1) results += ',';
        if (failed && halt) {
            results +=
                "{\"statusCode\":412,\"result\":[{\"errorCode\":\"BATCH_PROCESSING_HALTED\",\"message\":\"Batch "
                "processing halted per request\"}]}";
            continue;
        }
        const http::Answer answer =
            part.is_object() ? dispatch_(part_of(part.as_object(), call), call, std::exchange(counts, true))
                             : error_answer(400, "JSON_PARSER_ERROR", "Each of batchRequests must be an object");
        failed = failed || answer.status >= 400;
        results += "{\"statusCode\":" + std::to_string(answer.status) + ",\"result\":" + body_of(answer) + "}";
    }
    return json_answer(200,
                       "{\"hasErrors\":" + std::string(failed ? "true" : "false") + ",\"results\":" + results + "]}");
}

}  // namespace lockstep::sandbox

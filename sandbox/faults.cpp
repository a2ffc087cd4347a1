#include "sandbox/faults.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "base/time.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {
namespace {

constexpr const char* unexpected_error =
    "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345 (-1234567890)";
constexpr const char* maintenance_page =
    "<html><head><title>Maintenance</title></head><body><h1>We are down for maintenance.</h1>"
    "<p>Sorry for the inconvenience. We'll be back shortly.</p></body></html>";

const FaultKind* kind_named(std::string_view name) {
    const auto& kinds = fault_kinds();
    const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const FaultKind& k) { return k.name == name; });
    return found == kinds.end() ? nullptr : &*found;
}

bool matches_path(const Fault& fault, std::string_view path) {
    if (fault.path.empty()) return true;
    const auto fits = [&](std::string_view text) {
        return fault.path.find('*') == std::string::npos ? text.substr(0, fault.path.size()) == fault.path
                                                         : matches_glob(fault.path, text);
    };
    if (fits(path)) return true;
    constexpr std::string_view data = "/services/data/v";
    if (path.substr(0, data.size()) != data) return false;
    const std::size_t tail = path.find('/', data.size());
    return tail != std::string_view::npos && fits(path.substr(tail));
}

Error bad_fault(std::string what) {
    return Error{.kind = Kind::Invalid,
                 .what = std::move(what),
                 .hint = "GET /sandbox/faults/kinds lists the kinds and what each of them does"};
}

Result<Fault> read_fault(const json::value& value) {
    const json::object* given = value.if_object();
    if (!given) return bad_fault("A fault must be a JSON object.");
    Fault fault;
    const auto read_int = [](const json::value& v, std::optional<std::int64_t>& into) {
        if (!v.is_int64()) return false;
        into = v.as_int64();
        return true;
    };
    const auto read_text = [](const json::value& v, std::string& into) {
        if (!v.is_string()) return false;
        into = std::string(v.as_string());
        return true;
    };
    for (const auto& [key, v] : *given) {
        bool good = true;
        std::optional<std::int64_t> after;
        if (key == "kind")
            good = read_text(v, fault.kind);
        else if (key == "path")
            good = read_text(v, fault.path);
        else if (key == "method")
            good = read_text(v, fault.method);
        else if (key == "object")
            good = read_text(v, fault.object);
        else if (key == "value")
            good = read_text(v, fault.value);
        else if (key == "body")
            good = read_text(v, fault.body);
        else if (key == "count")
            good = v.is_null() || read_int(v, fault.count);
        else if (key == "ms")
            good = read_int(v, fault.ms);
        else if (key == "bytes")
            good = read_int(v, fault.bytes);
        else if (key == "seconds")
            good = read_int(v, fault.seconds);
        else if (key == "rows")
            good = read_int(v, fault.rows);
        else if (key == "status")
            good = read_int(v, fault.status);
        else if (key == "retry_after")
            good = read_int(v, fault.retry_after);
        else if (key == "after") {
            good = read_int(v, after);
            fault.after = after.value_or(0);
        } else if (key == "probability") {
            good = v.is_number();
            if (good) fault.probability = v.to_number<double>();
            good = good && fault.probability >= 0 && fault.probability <= 1;
        } else if (key == "headers") {
            good = v.is_object();
            if (good)
                for (const auto& [name, text] : v.as_object())
                    good = good && read_text(text, fault.headers[std::string(name)]);
        } else {
            return bad_fault("A fault has no key \"" + std::string(key) + "\".");
        }
        if (!good) return bad_fault("The value of \"" + std::string(key) + "\" does not fit.");
    }
    if (!kind_named(fault.kind)) return bad_fault("There is no fault of kind \"" + fault.kind + "\".");
    if (fault.kind == "missing_field" && fault.value.empty())
        return bad_fault("A fault of kind \"missing_field\" needs \"value\": the field to leave out.");
    return fault;
}

/// Where the JSON value that starts at `at` ends.
std::size_t end_of_value(std::string_view text, std::size_t at) {
    int depth = 0;
    bool in_text = false;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (in_text) {
            if (c == '\\')
                ++at;
            else if (c == '"')
                in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            ++depth;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return at;
            --depth;
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return at;
}

/// Leaves out each `"name":value`. Text surgery, because parsing and printing would change how numbers are spelt.
std::string without_member(std::string text, std::string_view name) {
    const std::string key = "\"" + std::string(name) + "\":";
    for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at)) {
        std::size_t end = end_of_value(text, at + key.size());
        if (end < text.size() && text[end] == ',')
            ++end;
        else if (at > 0 && text[at - 1] == ',')
            --at;
        text.erase(at, end - at);
    }
    return text;
}

/// Ends the body after `bytes`, with a proper end of the message: only the content shows that something is missing.
void cut_text(http::Answer& answer, std::int64_t bytes) {
    if (!answer.pieces) {
        if (bytes < 0) bytes = static_cast<std::int64_t>(answer.body.size() / 2);
        answer.body.resize(std::min<std::size_t>(answer.body.size(), static_cast<std::size_t>(bytes)));
        return;
    }
    const auto left = std::make_shared<std::int64_t>(bytes < 0 ? 1000 : bytes);  // owned by the copies of the function
    answer.pieces = [inner = std::move(answer.pieces), left](std::string& piece) {
        if (*left <= 0 || !inner(piece)) return false;
        piece.resize(std::min<std::size_t>(piece.size(), static_cast<std::size_t>(*left)));
        *left -= static_cast<std::int64_t>(piece.size());
        return true;
    };
}

void change_row_count(http::Answer& answer, std::int64_t by) {
    if (const auto header = answer.headers.find("Sforce-NumberOfRecords"); header != answer.headers.end()) {
        header->second = std::to_string(parse_int(header->second).value_or(0) + by);
        return;
    }
    constexpr std::string_view key = "\"totalSize\":";
    const std::size_t at = answer.body.find(key);
    if (at == std::string::npos) return;
    const std::size_t from = at + key.size();
    const std::size_t end = end_of_value(answer.body, from);
    const std::int64_t rows = parse_int(std::string_view(answer.body).substr(from, end - from)).value_or(0);
    answer.body.replace(from, end - from, std::to_string(rows + by));
}

/// Loses the last of the results, or turns their order around.
void spoil_results(http::Answer& answer, std::string_view how) {
    auto parsed = parse_json(answer.body);
    if (!parsed.ok() || !parsed->is_array() || parsed->as_array().empty()) return;
    json::array& results = parsed->as_array();
    if (how == "reordered")
        std::reverse(results.begin(), results.end());
    else
        results.pop_back();
    answer.body = json::serialize(*parsed);
}

}  // namespace

const std::vector<FaultKind>& fault_kinds() {
    static const std::vector<FaultKind> kinds = {
        {"throttle", Stage::Instead, Trait::Data, "403 REQUEST_LIMIT_EXCEEDED, as if the day's calls were used up"},
        {"concurrent", Stage::Instead, Trait::Data,
         "403 REQUEST_LIMIT_EXCEEDED, as if too many long calls ran at once"},
        {"http_500", Stage::Instead, Trait::None, "500 UNKNOWN_EXCEPTION; nothing was done"},
        {"http_503", Stage::Instead, Trait::None, "503 SERVER_UNAVAILABLE; retry_after (seconds) gives the header"},
        {"html", Stage::Instead, Trait::None, "a maintenance page in HTML; status (200)"},
        {"answer", Stage::Instead, Trait::None, "any answer: status (200), headers, body"},
        {"drop", Stage::Instead, Trait::None, "the connection closes without an answer; nothing was done"},
        {"error_before_write", Stage::Instead, Trait::Write, "500 UNKNOWN_EXCEPTION; nothing was written"},
        {"expired_token", Stage::Instead, Trait::Data, "401 INVALID_SESSION_ID; the session really ends"},
        {"token_refused", Stage::Instead, Trait::Token,
         "400 invalid_grant; value (authentication failure) is the text"},
        {"query_timeout", Stage::Instead, Trait::Query, "400 QUERY_TIMEOUT"},
        {"describe_denied", Stage::Instead, Trait::Describe,
         "403 INSUFFICIENT_ACCESS; status (403), 404 reads NOT_FOUND"},
        {"locator_expired", Stage::Instead, Trait::Locator, "400 INVALID_QUERY_LOCATOR"},
        {"result_expired", Stage::Instead, Trait::Results, "404 NOT_FOUND for the results of a bulk job"},
        {"replication_date", Stage::Instead, Trait::Replication,
         "400 INVALID_REPLICATION_DATE, as after a purge of the log"},
        {"late_visibility", Stage::Handling, Trait::Write,
         "what the call writes is stamped now, but seen by queries only after seconds (600)"},
        {"lock_row", Stage::Handling, Trait::Write, "UNABLE_TO_LOCK_ROW for the first rows (1) records of the call"},
        {"job_failed", Stage::Handling, Trait::JobCreation,
         "the created job ends as Failed; value is its errorMessage"},
        {"job_aborted", Stage::Handling, Trait::JobCreation, "the created job ends as Aborted"},
        {"job_stuck", Stage::Handling, Trait::JobCreation, "the created job stays InProgress for ever"},
        {"latency", Stage::After, Trait::None, "the answer comes ms (1000) milliseconds later"},
        {"error_after_write", Stage::After, Trait::Write, "500 UNKNOWN_EXCEPTION, though everything was written"},
        {"drop_after_write", Stage::After, Trait::Write,
         "everything was written, then the connection closes unanswered"},
        {"cut_body", Stage::After, Trait::None, "the connection closes after bytes (20) of the body as sent"},
        {"cut_text", Stage::After, Trait::None,
         "the body ends after bytes (half of it), but properly: only rows are missing"},
        {"wrong_row_count", Stage::After, Trait::Rows, "the number of rows told is wrong by rows (1)"},
        {"missing_field", Stage::After, Trait::Record, "records lack the field named by value, as if never asked for"},
        {"wrong_results", Stage::After, Trait::Collections,
         "one result is lost; with value reordered: the order is wrong"},
        {"limit_header_wrong", Stage::After, Trait::Data, "Sforce-Limit-Info says value (api-usage=0/1)"},
        {"limit_header_missing", Stage::After, Trait::Data, "Sforce-Limit-Info is absent"},
        {"date_skew", Stage::After, Trait::None, "the Date header is off by seconds (3600)"},
    };
    return kinds;
}

bool matches_glob(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

Result<std::vector<std::int64_t>> Faults::add(std::string_view json_text) {
    const auto parsed = TRY(parse_json(json_text));
    const json::array one = {parsed};
    const json::array& list = parsed.is_array() ? parsed.as_array() : one;
    std::vector<Fault> read;
    for (const auto& value : list) {
        auto fault = TRY(read_fault(value));
        read.push_back(std::move(fault));
    }
    const std::scoped_lock lock(mutex_);
    std::vector<std::int64_t> numbers;
    for (auto& fault : read) {
        fault.number = next_number_++;
        numbers.push_back(fault.number);
        faults_.push_back(std::move(fault));
    }
    return numbers;
}

void Faults::clear() {
    const std::scoped_lock lock(mutex_);
    faults_.clear();
}

bool Faults::remove(std::int64_t number) {
    const std::scoped_lock lock(mutex_);
    return std::erase_if(faults_, [&](const Fault& fault) { return fault.number == number; }) > 0;
}

bool Faults::empty() {
    const std::scoped_lock lock(mutex_);
    return faults_.empty();
}

std::string Faults::to_json() {
    const std::scoped_lock lock(mutex_);
    json::array list;
    for (const auto& fault : faults_) {
        json::object shown = {{"number", fault.number}, {"kind", fault.kind}};
        const auto add_text = [&](const char* key, const std::string& text) {
            if (!text.empty()) shown[key] = text;
        };
        const auto add_int = [&](const char* key, const std::optional<std::int64_t>& value) {
            if (value) shown[key] = *value;
        };
        add_text("path", fault.path);
        add_text("method", fault.method);
        add_text("object", fault.object);
        add_int("count", fault.count);
        if (fault.probability < 1) shown["probability"] = fault.probability;
        if (fault.after > 0) shown["after"] = fault.after;
        add_int("ms", fault.ms);
        add_int("bytes", fault.bytes);
        add_int("seconds", fault.seconds);
        add_int("rows", fault.rows);
        add_int("status", fault.status);
        add_int("retry_after", fault.retry_after);
        add_text("value", fault.value);
        add_text("body", fault.body);
        if (!fault.headers.empty()) {
            json::object headers;
            for (const auto& [name, value] : fault.headers) headers[name] = value;
            shown["headers"] = std::move(headers);
        }
        shown["matched"] = fault.matched;
        shown["fired"] = fault.fired;
        list.push_back(std::move(shown));
    }
    return json::serialize(json::object{{"faults", std::move(list)}});
}

Stage stage_of(const Fault& fault) {
    return kind_named(fault.kind)->stage;
}

std::vector<Fault> Faults::fire(const Asked& asked, Random& random) {
    const std::scoped_lock lock(mutex_);
    std::vector<Fault> fired;
    bool replaced = false;
    const auto try_one = [&](Fault& fault, const FaultKind& kind) {
        if (kind.where != Trait::None && !any_of(asked.traits, kind.where)) return;
        if (!fault.method.empty() && !equals_ignoring_case(fault.method, asked.method)) return;
        if (!fault.object.empty() && !equals_ignoring_case(fault.object, asked.object)) return;
        if (!matches_path(fault, asked.path)) return;
        if (fault.count && fault.fired >= *fault.count) return;
        if (++fault.matched <= fault.after) return;
        if (fault.probability < 1 && random.unit() >= fault.probability) return;
        ++fault.fired;
        fired.push_back(fault);
        replaced = replaced || kind.stage == Stage::Instead;
    };
    for (const Stage stage : {Stage::Instead, Stage::Handling, Stage::After}) {
        for (auto& fault : faults_) {
            const FaultKind& kind = *kind_named(fault.kind);
            if (kind.stage != stage) continue;
            // What was answered instead of being carried out can not be carried out differently, nor be undone after.
            const bool needs_the_deed = stage != Stage::After || any_of(kind.where, Trait::Write | Trait::Rows);
            if (replaced && needs_the_deed) continue;
            try_one(fault, kind);
        }
    }
    return fired;
}

http::Answer answer_of(const Fault& fault) {
    const std::string_view kind = fault.kind;
    const int status = static_cast<int>(fault.status.value_or(0));
    http::Answer answer;
    if (kind == "throttle") {
        answer = error_answer(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    } else if (kind == "concurrent") {
        answer =
            error_answer(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.");
    } else if (kind == "http_500" || kind == "error_before_write") {
        answer = error_answer(500, "UNKNOWN_EXCEPTION", unexpected_error);
    } else if (kind == "http_503") {
        answer = error_answer(503, "SERVER_UNAVAILABLE", "Server unavailable");
    } else if (kind == "html") {
        answer.status = status ? status : 200;
        answer.headers["Content-Type"] = "text/html";
        answer.body = maintenance_page;
    } else if (kind == "answer") {
        answer.status = status ? status : 200;
        answer.headers = fault.headers;
        answer.body = fault.body;
    } else if (kind == "drop") {
        answer.drop = true;
    } else if (kind == "expired_token") {
        answer = error_answer(401, "INVALID_SESSION_ID", "Session expired or invalid");
    } else if (kind == "token_refused") {
        std::string body = "{";
        append_member(body, "error", "invalid_grant");
        append_member(body, "error_description", fault.value.empty() ? "authentication failure" : fault.value);
        answer = json_answer(400, body + "}");
    } else if (kind == "query_timeout") {
        answer = error_answer(400, "QUERY_TIMEOUT", "Your query request was running for too long.");
    } else if (kind == "describe_denied") {
        answer = status == 404 ? not_found()
                               : error_answer(status ? status : 403, "INSUFFICIENT_ACCESS",
                                              "The user doesn't have sufficient privilege to perform the operation");
    } else if (kind == "locator_expired") {
        answer = error_answer(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    } else if (kind == "result_expired") {
        answer = not_found();
    } else {
        check(kind == "replication_date", "a fault that answers instead has an answer");
        answer = error_answer(400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date");
    }
    if (fault.retry_after) answer.headers["Retry-After"] = std::to_string(*fault.retry_after);
    return answer;
}

void spoil(const Fault& fault, http::Answer& answer) {
    const std::string_view kind = fault.kind;
    if (kind == "latency") {
        answer.delay_ms += fault.ms.value_or(1000);
    } else if (kind == "error_after_write") {
        auto headers = std::move(answer.headers);
        headers.erase("Location");
        answer = error_answer(500, "UNKNOWN_EXCEPTION", unexpected_error);
        answer.headers.merge(headers);
    } else if (kind == "drop_after_write") {
        answer.drop = true;
    } else if (kind == "cut_body") {
        answer.cut_after_bytes = fault.bytes.value_or(20);
    } else if (kind == "cut_text") {
        cut_text(answer, fault.bytes.value_or(-1));
    } else if (kind == "wrong_row_count") {
        change_row_count(answer, fault.rows.value_or(1));
    } else if (kind == "missing_field") {
        answer.body = without_member(std::move(answer.body), fault.value);
    } else if (kind == "wrong_results") {
        spoil_results(answer, fault.value);
    } else if (kind == "limit_header_wrong") {
        answer.headers["Sforce-Limit-Info"] = fault.value.empty() ? "api-usage=0/1" : fault.value;
    } else if (kind == "limit_header_missing") {
        answer.headers.erase("Sforce-Limit-Info");
    } else if (kind == "date_skew") {
        const auto date = parse_http_date(answer.headers["Date"]);
        answer.headers["Date"] = to_http_date(date.value_or(Timestamp{}).plus(fault.seconds.value_or(3600)));
    }
}

}  // namespace lockstep::sandbox

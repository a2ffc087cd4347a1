#include "bench/org.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/json.h"
#include "base/text.h"
#include "salesforce/wire.h"

namespace lockstep::bench {

const std::vector<std::string> kMainObjects{"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole"};

namespace {

namespace fs = std::filesystem;

support::Start start_of(const Org::Rows& rows) {
    support::Start start{.program = support::built("lockstep-sandbox"),
                         .arguments = {"--port", "0", "--ready-json", "--people", std::to_string(rows.people)}};
    const auto count = [&](const char* object, std::int64_t wanted) {
        if (wanted == 0) return;
        start.arguments.insert(start.arguments.end(), {"--count", object + ("=" + std::to_string(wanted))});
    };
    count("Opportunity", rows.opportunities);
    count("OpportunityContactRole", rows.roles);
    return start;
}

json::value parsed(const std::string& text) {
    Result<json::value> value = parse_json(text);
    if (!value) throw std::runtime_error("no JSON: " + text.substr(0, 200));
    return std::move(*value);
}

std::string text_of(const json::value& value, std::string_view key) {
    return text_at(value.as_object(), key).value_or("");
}

}  // namespace

Org::Org(const Rows& rows) : sender_(http::network_sender("lockstep-bench")), process_(start_of(rows)) {
    const json::value ready = parsed(process_.read_line());
    url_ = text_of(ready, "url");
    client_id_ = text_of(ready, "client_id");
    client_secret_ = text_of(ready, "client_secret");
    const auto answer = sender_->send(
        {.method = "POST",
         .target = url_ + "/services/oauth2/token",
         .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
         .body = "grant_type=client_credentials&client_id=" + client_id_ + "&client_secret=" + client_secret_});
    if (!answer) throw std::runtime_error("the sandbox gave no token: " + to_string(answer.error()));
    token_ = text_of(parsed(answer->body), "access_token");
}

std::string Org::admin(const std::string& method, const std::string& path, const std::string& body) {
    auto answer = sender_->send(
        {.method = method, .target = url_ + path, .headers = {{"Content-Type", "application/json"}}, .body = body});
    if (!answer) throw std::runtime_error("the sandbox did not answer: " + to_string(answer.error()));
    if (answer->status >= 300) throw std::runtime_error(path + ": " + answer->body);
    return std::move(answer->body);
}

http::Response Org::ask(const std::string& method, const std::string& path, const std::string& body) {
    auto answer =
        sender_->send({.method = method,
                       .target = url_ + "/services/data/v" + kVersion + path,
                       .headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer " + token_}},
                       .body = body});
    if (!answer) throw std::runtime_error("the sandbox did not answer: " + to_string(answer.error()));
    if (answer->status >= 300) throw std::runtime_error(path + ": " + answer->body);
    return std::move(*answer);
}

std::int64_t Org::rows(const std::string& object) {
    const json::value answer = parsed(ask("GET", "/queryAll?q=" + url_encode("SELECT COUNT() FROM " + object)).body);
    return int_at(answer.as_object(), "totalSize").value_or(-1);
}

std::vector<std::string> names_of(const std::vector<record::Field>& fields) {
    std::vector<std::string> names;
    names.reserve(fields.size());
    for (const record::Field& field : fields) names.push_back(field.name);
    return names;
}

std::vector<record::Field> Org::fields(const std::string& object) {
    auto described = salesforce::parse_describe(ask("GET", "/sobjects/" + object + "/describe").body);
    if (!described) throw std::runtime_error(to_string(described.error()));
    std::stable_partition(described->fields.begin(), described->fields.end(),
                          [](const record::Field& field) { return field.name == "Id"; });
    return std::move(described->fields);
}

void Org::hide(const std::string& object, std::size_t fields_max, const std::vector<std::string>& first_of_all) {
    std::vector<std::string> visible = names_of(fields(object));
    const auto hide_one = [&](const std::string& field) {
        admin("PATCH", "/sandbox/objects/" + object + "/fields/" + field, R"({"visible":false})");
        std::erase(visible, field);
    };
    for (const std::string& field : first_of_all) {
        if (visible.size() > fields_max && std::ranges::find(visible, field) != visible.end()) hide_one(field);
    }
    if (visible.size() > fields_max) throw std::runtime_error(object + " still shows too many fields");
}

std::string Org::bulk_job(const std::string& object) {
    const std::string soql = "SELECT " + join(names_of(fields(object)), ",") + " FROM " + object;
    const std::string body =
        json::serialize(json::object{{"operation", "queryAll"}, {"query", soql}, {"contentType", "CSV"}});
    std::string id = text_of(parsed(ask("POST", "/jobs/query", body).body), "id");
    while (true) {
        const std::string state = text_of(parsed(ask("GET", "/jobs/query/" + id).body), "state");
        if (state == "JobComplete") return id;
        if (state == "Failed" || state == "Aborted") throw std::runtime_error("a bulk job of the sandbox " + state);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void make_usual(Org& org) {
    constexpr std::size_t kUsualFields = 30;
    org.hide("Opportunity", kUsualFields,
             {"LastStageChangeDate", "FiscalQuarter", "FiscalYear", "Fiscal", "LastViewedDate", "LastReferencedDate",
              "HasOpenActivity", "HasOverdueTask", "LastAmountChangedHistoryId", "LastCloseDateChangedHistoryId",
              "PushCount", "LastActivityDate", "ForecastCategoryName"});
}

Installation::Installation(fs::path folder, std::string database, std::int64_t bulk_from_rows)
    : folder_(std::move(folder)), database_(std::move(database)) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    if (database_.empty()) database_ = (folder_ / "lockstep.db").string();
    if (bulk_from_rows > 0) {
        std::ofstream(folder_ / "lockstep.toml") << "[sync]\nbulk_from_rows = " << bulk_from_rows << "\n";
    }
}

Installation::~Installation() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

void Installation::connect(const Org& org, const std::string& url) {
    std::ofstream(folder_ / "secret") << org.client_secret();
    run({"connect", "--url", url, "--client-id", org.client_id(), "--client-secret-file",
         (folder_ / "secret").string()});
}

Ran Installation::run(const std::vector<std::string>& arguments) {
    support::Start start{.program = support::built("lockstep"),
                         .arguments = {"--data", folder_.string(), "--database", database_},
                         .environment = {{"LOCKSTEP_DATA", ""},
                                         {"LOCKSTEP_DATABASE", ""},
                                         {"LOCKSTEP_KEY_FILE", ""},
                                         {"LOCKSTEP_CLIENT_SECRET", ""}}};
    start.arguments.insert(start.arguments.end(), arguments.begin(), arguments.end());
    return run_watched(start);
}

}  // namespace lockstep::bench

#include "sandbox/service.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <thread>

#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

/// Ids in the order they were first seen: a golden file calls them <1>, <2> …, so that it reads the same whatever the
/// org calls its records.
class Ids {
public:
    std::string hide(const std::string& text) {
        static const std::regex token_like("00D[0-9A-Za-z]{12}![0-9A-Za-z._]+");
        const std::string shown = std::regex_replace(text, token_like, "<token>");
        constexpr std::size_t id_size = 18;
        std::string out;
        for (std::size_t at = 0; at < shown.size();) {
            const std::string id = shown.substr(at, id_size);
            if (id.size() < id_size || normalize_id(id) != id) {
                out += shown[at++];
                continue;
            }
            const auto [known, is_new] = names_.try_emplace(id, "<" + std::to_string(names_.size() + 1) + ">");
            if (is_new) ids_[known->second] = id;
            out += known->second;
            at += id_size;
        }
        // Some texts carry the first 15 characters only.
        for (const auto& [id, name] : names_) {
            std::string short_name = name;
            short_name += "15";
            out = replaced(std::move(out), id.substr(0, 15), short_name);
        }
        return out;
    }
    std::string reveal(std::string text) const {
        for (const auto& [name, id] : ids_) text = replaced(std::move(text), name, id);
        return text;
    }

private:
    std::map<std::string, std::string> names_, ids_;
};

std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// One request of a golden file and the answer it stands for.
struct Exchange {
    std::string comment, request, answer;
};

std::vector<Exchange> exchanges_of(const std::string& text) {
    std::vector<Exchange> all;
    Exchange now;
    bool in_answer = false;
    for (const auto& line : split(text, '\n')) {
        if (line == "====") {
            all.push_back(std::exchange(now, {}));
            in_answer = false;
        } else if (line == "----") {
            in_answer = true;
        } else if (in_answer) {
            now.answer += line + "\n";
        } else if (now.request.empty() && (line.empty() || line.front() == '#')) {
            now.comment += line + "\n";
        } else {
            now.request += line + "\n";
        }
    }
    return all;
}

std::string ask(Box& box, Ids& ids, const std::string& request) {
    std::string method, target, body;
    http::Headers headers;
    static const std::regex header_line("([A-Za-z-]+): (.*)");
    const std::string& username = box.service.credentials().username;
    const std::string revealed = replaced(replaced(ids.reveal(request), "$username", username), "$token", box.token);
    for (const auto& line : split(revealed, '\n')) {
        std::smatch match;
        if (method.empty()) {
            method = line.substr(0, line.find(' '));
            target = line.substr(line.find(' ') + 1);
        } else if (body.empty() && std::regex_match(line, match, header_line)) {
            headers[match[1]] = match[2];
        } else if (!line.empty() || !body.empty()) {
            body += (body.empty() ? "" : "\n") + line;
        }
    }
    while (!body.empty() && body.back() == '\n') body.pop_back();
    if (const auto type = headers.find("Content-Type"); type != headers.end() && type->second == "text/csv")
        body += '\n';
    // Blanks and quotes of a query stand readable in the file.
    if (const std::size_t mark = target.find('?'); mark != std::string::npos)
        for (std::size_t at = mark; at < target.size(); ++at)
            if (target[at] == ' ') target[at] = '+';
    if (const auto given = headers.find("Authorization"); given != headers.end() && given->second == "none")
        given->second.clear();
    auto answer = box.send(method, target, body, headers);
    std::string told = answer.drop ? "dropped\n" : std::to_string(answer.status) + "\n";
    if (answer.delay_ms > 0) told += "after " + std::to_string(answer.delay_ms) + " ms\n";
    if (answer.cut_after_bytes >= 0) told += "cut after " + std::to_string(answer.cut_after_bytes) + " bytes\n";
    for (const char* name : {"Allow", "Location", "Retry-After", "Sforce-Limit-Info", "Sforce-Locator",
                             "Sforce-NumberOfRecords", "WWW-Authenticate"})
        if (const auto found = answer.headers.find(name); found != answer.headers.end())
            told += std::string(name) + ": " + found->second + "\n";
    const std::string text = answer.drop ? "" : Box::text(answer);
    const std::string type = answer.headers.contains("Content-Type") ? answer.headers.at("Content-Type") : "";
    if (!text.empty() && !starts_with_ignoring_case(type, "application/json")) told += "Content-Type: " + type + "\n";
    told += text;
    if (told.back() != '\n') told += '\n';
    return ids.hide(replaced(std::move(told), username, "$username"));
}

class Calls : public testing::TestWithParam<const char*> {};

// Each file under testdata/calls is a conversation with one org. UPDATE_GOLDEN=1 writes what the org answers now.
TEST_P(Calls, are_answered_as_written_down) {
    const auto file =
        std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "sandbox/testdata/calls" / (std::string(GetParam()) + ".txt");
    const bool update = std::getenv("UPDATE_GOLDEN") != nullptr;
    Box box;
    Ids ids;
    std::string written;
    auto exchanges = exchanges_of(read(file));
    ASSERT_FALSE(exchanges.empty()) << file;
    for (auto& exchange : exchanges) {
        const std::string told = ask(box, ids, exchange.request);
        if (!update) {
            EXPECT_EQ(told, exchange.answer) << exchange.comment << exchange.request;
        }
        written += exchange.comment + exchange.request + "----\n" + told + "====\n";
    }
    if (update) std::ofstream(file, std::ios::binary) << written;
}

INSTANTIATE_TEST_SUITE_P(Sandbox, Calls,
                         testing::Values("oauth", "versions", "records", "keys", "queries", "replication", "composite",
                                         "bulk_query", "bulk_ingest", "limits", "soap", "faults", "admin", "formulas"),
                         [](const auto& info) { return std::string(info.param); });

// ---- what no file of conversations can show

std::string jwt(const RsaKeyPair& pair, const std::string& claims) {
    const std::string unsigned_part = to_base64url(R"({"alg":"RS256"})") + "." + to_base64url(claims);
    return unsigned_part + "." + to_base64url(sign_rs256(pair.private_pem, unsigned_part).value());
}

class Jwt : public testing::Test {
protected:
    static const RsaKeyPair& pair() {
        static const RsaKeyPair made = make_rsa_key_pair();
        return made;
    }
    Jwt() : box(with_key()) {}
    static ServiceOptions with_key() {
        ServiceOptions options = Box::small();
        options.credentials.jwt_public_key_pem = pair().public_pem;
        return options;
    }
    std::string claims(std::int64_t expires, const std::string& issuer = "3MVG9LockstepSandbox") {
        return "{\"iss\":\"" + issuer + "\",\"sub\":\"" + box.service.credentials().username +
               "\",\"aud\":\"https://login.salesforce.com/\",\"exp\":" + std::to_string(expires) + "}";
    }
    std::string granted(const std::string& assertion) {
        const auto answer =
            box.send("POST", "/services/oauth2/token",
                     "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + assertion,
                     {{"Content-Type", "application/x-www-form-urlencoded"}});
        const auto body = Box::object(answer);
        return answer.status == 200
                   ? "granted"
                   : text_at(body, "error").value_or("") + ": " + text_at(body, "error_description").value_or("");
    }
    Box box;
};

TEST_F(Jwt, signed_by_the_orgs_key_gives_a_session) {
    EXPECT_EQ(granted(jwt(pair(), claims(Box::start.seconds + 180))), "granted");
    // The Salesforce CLI gives milliseconds.
    EXPECT_EQ(granted(jwt(pair(), claims(Box::start.seconds * 1000 + 300))), "granted");
}

TEST_F(Jwt, is_refused_when_expired_changed_or_foreign) {
    EXPECT_EQ(granted(jwt(pair(), claims(Box::start.seconds - 1))), "invalid_grant: invalid assertion");
    EXPECT_EQ(granted(jwt(make_rsa_key_pair(), claims(Box::start.seconds + 180))), "invalid_grant: invalid assertion");
    EXPECT_EQ(granted(jwt(pair(), claims(Box::start.seconds + 180, "somebody"))),
              "invalid_client_id: client identifier invalid");
    std::string changed = jwt(pair(), claims(Box::start.seconds + 180));
    changed[changed.size() / 2] = changed[changed.size() / 2] == 'A' ? 'B' : 'A';
    EXPECT_NE(granted(changed), "granted");
    EXPECT_EQ(granted("a.b"), "invalid_grant: invalid assertion");
}

TEST(Session, ends_when_unused_for_the_timeout_and_lives_while_used) {
    Box box;
    for (int i = 0; i < 3; ++i) {
        box.clock.advance_s(7000);
        EXPECT_EQ(box.get("~/limits").status, 200);
    }
    box.clock.advance_s(7200);
    const auto answer = box.get("~/limits");
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.body, R"([{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}])");
}

TEST(Quota, counts_the_last_24_hours_and_refuses_beyond) {
    ServiceOptions options = Box::small();
    options.settings.quota = 3;
    options.settings.session_timeout_s = 1'000'000;
    Box box(options);
    for (int i = 1; i <= 3; ++i) {
        const auto answer = box.get("~/limits/recordCount?sObjects=Lead");
        EXPECT_EQ(answer.headers.at("Sforce-Limit-Info"), "api-usage=" + std::to_string(i) + "/3");
        box.clock.advance_s(3600);
    }
    EXPECT_EQ(box.get("~/limits").status, 403);
    box.clock.advance_s(21 * 3600 + 60);  // a day and a minute after the first call
    EXPECT_EQ(box.get("~/limits").status, 200);
    EXPECT_EQ(box.get("~/limits").status, 403);
}

TEST(Quota, counts_a_composite_request_as_one_call_whatever_it_asks) {
    Box box;
    const auto used = [&] { return Box::object(box.get("/sandbox/state")).at("api_calls").at("used").as_int64(); };
    const std::string window = "?start=2026-11-20T00:00:00Z&end=2026-11-23T00:00:00Z";
    const auto part = [&](const std::string& what) {
        return R"({"method":"GET","referenceId":")" + what + R"(","url":"/services/data/v62.0/sobjects/Lead/)" + what +
               window + "\"}";
    };
    const std::int64_t before = used();
    const auto answer = Box::object(
        box.send("POST", "~/composite", R"({"compositeRequest":[)" + part("updated") + "," + part("deleted") + "]}"));
    for (const auto& one : answer.at("compositeResponse").as_array())
        EXPECT_EQ(one.at("httpStatusCode"), json::value(200)) << one;
    EXPECT_EQ(used(), before + 1);
}

TEST(Describe, is_sent_again_only_after_the_schema_changed) {
    Box box;
    const auto first = box.get("~/sobjects/Lead/describe");
    ASSERT_EQ(first.status, 200);
    const std::string stamp = first.headers.at("Last-Modified"), etag = first.headers.at("ETag");
    const auto again = [&](const char* header, const std::string& value) {
        return box.send("GET", "~/sobjects/Lead/describe", "", {{header, value}});
    };
    EXPECT_EQ(again("If-Modified-Since", stamp).status, 304);
    EXPECT_EQ(again("If-Modified-Since", stamp).body, "");
    EXPECT_EQ(again("If-None-Match", etag).status, 304);
    // Within the same second.
    ASSERT_EQ(box.send("PATCH", "/sandbox/objects/Lead/fields/Phone", R"({"visible":false})").status, 204);
    const auto changed = again("If-Modified-Since", stamp);
    EXPECT_EQ(changed.status, 200);
    EXPECT_EQ(changed.body.find("\"name\":\"Phone\""), std::string::npos);
    EXPECT_EQ(again("If-None-Match", etag).status, 200);
    EXPECT_EQ(again("If-Modified-Since", changed.headers.at("Last-Modified")).status, 304);
}

TEST(Describe, tells_of_every_object_that_can_be_seen) {
    Box box;
    const auto all = Box::object(box.get("~/sobjects"));
    EXPECT_EQ(all.at("encoding"), "UTF-8");
    const auto sees = [](const json::object& global, std::string_view name) {
        const json::array& objects = global.at("sobjects").as_array();
        return std::any_of(objects.begin(), objects.end(),
                           [&](const auto& object) { return object.at("name").as_string() == name; });
    };
    for (const char* name : {"Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "User"}) {
        EXPECT_TRUE(sees(all, name)) << name;
        const auto one = Box::object(box.get("~/sobjects/" + to_lower(name)));
        EXPECT_EQ(one.at("objectDescribe").at("name").as_string(), name);
        EXPECT_EQ(one.at("recentItems").at(0).at("attributes").at("type").as_string(), name);
        const auto described = Box::object(box.get("~/sobjects/" + std::string(name) + "/describe"));
        EXPECT_GT(described.at("fields").as_array().size(), 10U) << name;
        // Every field that is told can be asked for.
        std::string names;
        for (const auto& field : described.at("fields").as_array())
            names += (names.empty() ? "" : ",") + std::string(field.at("name").as_string());
        const auto rows = box.get("~/query?q=" + Box::encoded("SELECT " + names + " FROM " + name + " LIMIT 2"));
        EXPECT_EQ(rows.status, 200) << rows.body;
        const auto id = std::string(one.at("recentItems").at(0).at("Id").as_string());
        EXPECT_EQ(box.get("~/sobjects/" + std::string(name) + "/" + id).status, 200);
    }
    ASSERT_EQ(box.send("PATCH", "/sandbox/objects/Lead", R"({"visible":false})").status, 204);
    EXPECT_FALSE(sees(Box::object(box.get("~/sobjects")), "Lead"));
}

TEST(Handbook, names_every_knob) {
    Box box;
    const std::string handbook = read(std::filesystem::path(LOCKSTEP_SOURCE_DIR) / "docs/sandbox.md");
    const auto names = [&](const std::string& what) { return handbook.find(what) != std::string::npos; };
    const json::object kinds = Box::object(box.get("/sandbox/faults/kinds"));
    for (const auto& kind : kinds.at("kinds").as_array())
        EXPECT_TRUE(names("`" + std::string(kind.at("kind").as_string()) + "`")) << kind.at("kind");
    const json::object settings = Box::object(box.get("/sandbox/settings"));
    for (const auto& [setting, value] : settings) EXPECT_TRUE(names("`" + std::string(setting) + "`")) << setting;
    const json::object help = Box::object(box.get("/sandbox"));
    for (const auto& route : help.at("routes").as_array()) {
        const std::string path(route.at("path").as_string());
        EXPECT_TRUE(names(path.substr(0, path.find("/{}")))) << path;
    }
}

TEST(Query, pages_joined_are_the_whole_and_rows_changed_meanwhile_show_it) {
    ServiceOptions options = Box::small();
    options.settings.query_page_rows = 7;
    options.org.people = 60;
    Box box(options);
    const std::string soql = Box::encoded("SELECT Id FROM Contact ORDER BY Id");
    std::vector<std::string> ids;
    auto page = Box::object(box.get("~/query?q=" + soql));
    const std::int64_t total = page["totalSize"].as_int64();
    ASSERT_GT(total, 7);
    for (;;) {
        EXPECT_EQ(page["totalSize"].as_int64(), total);
        for (const auto& record : page["records"].as_array()) ids.emplace_back(record.at("Id").as_string());
        if (page["done"].as_bool()) break;
        page = Box::object(box.get(std::string(page["nextRecordsUrl"].as_string())));
    }
    EXPECT_FALSE(page.contains("nextRecordsUrl"));
    EXPECT_EQ(static_cast<std::int64_t>(ids.size()), total);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), ids.size());
}

TEST(Query, locators_die_of_age_and_of_number) {
    ServiceOptions options = Box::small();
    options.settings.query_page_rows = 5;
    Box box(options);
    const auto open = [&] {
        const auto page = Box::object(box.get("~/query?q=" + Box::encoded("SELECT Id FROM Contact")));
        return std::string(page.at("nextRecordsUrl").as_string());
    };
    const std::string first = open();
    EXPECT_EQ(box.get(first).status, 200);
    for (int i = 0; i < 9; ++i) open();
    EXPECT_EQ(box.get(first).status, 200);
    const std::string last = open();
    EXPECT_EQ(box.get(first).body, R"([{"message":"invalid query locator","errorCode":"INVALID_QUERY_LOCATOR"}])");
    box.clock.advance_s(899);
    EXPECT_EQ(box.get(last).status, 200);
    box.clock.advance_s(900);
    EXPECT_EQ(box.get(last).status, 400);
}

TEST(Replication, covers_only_what_can_not_change_any_more) {
    Box box;
    const auto updated = [&](const char* start, const char* end) {
        return Box::object(
            box.get("~/sobjects/Lead/updated?start=" + Box::encoded(start) + "&end=" + Box::encoded(end)));
    };
    ASSERT_EQ(box.send("POST", "/sandbox/late", R"({"object":"Lead","seconds":600})").status, 204);
    box.clock.advance_s(3600);
    const auto made = Box::object(box.send("POST", "~/sobjects/Lead", R"({"LastName":"Late","Company":"Late"})"));
    box.clock.advance_s(120);
    const std::string id(made.at("id").as_string());
    const std::string from = to_string(Box::start.plus(3000)), to = to_string(Box::start.plus(90'000));
    auto seen = updated(from.c_str(), to.c_str());
    // 120 seconds after the write, stamps of the last 600 seconds may still be hidden.
    EXPECT_EQ(seen["latestDateCovered"], "2026-11-24T00:52:00.000+0000");
    EXPECT_TRUE(seen["ids"].as_array().empty());
    EXPECT_EQ(box.get("~/sobjects/Lead/" + id).status, 404);
    box.clock.advance_s(1200);
    seen = updated("2026-11-24T00:52:00Z", to.c_str());
    ASSERT_EQ(seen["ids"].as_array().size(), 1U);
    EXPECT_EQ(seen["ids"].as_array()[0], json::value(id));
    EXPECT_EQ(box.get("~/sobjects/Lead/" + id).status, 200);
}

TEST(Service, answers_many_threads_at_once) {
    Box box;
    const auto count = [&](const std::string& what) {
        return Box::object(box.get("~/query?q=" + Box::encoded("SELECT COUNT() FROM " + what)))["totalSize"].as_int64();
    };
    const auto job = Box::object(box.send(
        "POST", "~/jobs/query", R"({"operation":"query","query":"SELECT Id, Name, Account.Name FROM Contact"})"));
    const std::string results = "~/jobs/query/" + std::string(job.at("id").as_string()) + "/results";
    constexpr int rounds = 20;
    const auto work = [&](int thread) {
        for (int i = 0; i < rounds; ++i) {
            const std::string name = "T" + std::to_string(thread) + "-" + std::to_string(i);
            const auto made = box.send("POST", "~/sobjects/Account", R"({"Name":")" + name + "\"}");
            EXPECT_EQ(made.status, 201) << made.body;
            auto page = box.get(results);
            EXPECT_EQ(page.status, 200);
            Box::text(page);
            EXPECT_EQ(box.get("~/sobjects/Contact/describe").status, 200);
            EXPECT_EQ(box.get("~/sobjects/Account/" + std::string(Box::object(made).at("id").as_string())).status, 200);
            EXPECT_EQ(count("Account WHERE Name = '" + name + "'"), 1);
            EXPECT_EQ(box.get("~/query?q=" + Box::encoded("SELECT Id FROM Contact WHERE Account.Name != 'x' AND "
                                                          "SystemModstamp > 2026-11-01T00:00:00Z"))
                          .status,
                      200);
            EXPECT_EQ(box.send("POST", "/sandbox/alive", R"({"changes":2})").status, 200);
        }
    };
    {
        std::vector<std::jthread> threads;
        threads.reserve(4);
        for (int i = 0; i < 4; ++i) threads.emplace_back(work, i);
    }
    EXPECT_EQ(count("Account WHERE Name LIKE 'T_-%'"), 4 * rounds);
}

TEST(Service, keeps_its_own_people_busy_when_told_to) {
    Box box;
    const auto stamp = [&] {
        return Box::object(box.get(
                   "~/query?q=" +
                   Box::encoded("SELECT COUNT() FROM Lead WHERE SystemModstamp > 2026-11-24T00:00:00Z")))["totalSize"]
                   .as_int64() +
               Box::object(box.get(
                   "~/query?q=" +
                   Box::encoded(
                       "SELECT COUNT() FROM Opportunity WHERE SystemModstamp > 2026-11-24T00:00:00Z")))["totalSize"]
                   .as_int64() +
               Box::object(
                   box.get("~/query?q=" +
                           Box::encoded(
                               "SELECT COUNT() FROM Contact WHERE SystemModstamp > 2026-11-24T00:00:00Z")))["totalSize"]
                   .as_int64();
    };
    EXPECT_EQ(stamp(), 0);
    ASSERT_EQ(box.send("PATCH", "/sandbox/settings", R"({"alive":60})").status, 200);
    box.clock.advance_s(30);
    EXPECT_LE(box.service.step(), 1000);
    EXPECT_GT(stamp(), 0);
}

}  // namespace
}  // namespace lockstep::sandbox

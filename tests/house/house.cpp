#include "tests/house/house.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/json.h"
#include "base/text.h"
#include "people/people.h"
#include "store/catalog.h"
#include "tests/support/answer.h"
#include "tests/support/postgres.h"

namespace lockstep::tests {

namespace {

constexpr Timestamp kStart{1'795'510'800};  // 2026-11-24T09:00:00Z

}  // namespace

class House::Wire : public http::Sender {
public:
    explicit Wire(House& house) : house_(house) {}
    Result<http::Response> send(const http::Request& request, const http::Limits&) override {
        if (house_.wire) {
            if (auto error = house_.wire(request); error) return *error;
        }
        http::Request seen = request;
        const std::size_t path = seen.target.find('/', seen.target.find("//") + 2);
        seen.target = path == std::string::npos ? "/" : seen.target.substr(path);
        http::Answer answer = house_.service_->handle(seen);
        house_.clock_.wait_ms(answer.delay_ms);
        Result<http::Response> response = support::received(std::move(answer));
        if (response.ok()) response->headers["Date"] = to_http_date(house_.org().now());
        if (response.ok() && house_.spoil) house_.spoil(request, *response);
        return response;
    }
    Result<http::Response> stream(const http::Request& request, const http::BodySink& sink,
                                  const http::Limits& limits) override {
        http::Response response = TRY(send(request, limits));
        if (response.status >= 200 && response.status < 300) {
            if (!sink(response.body)) return Error{.kind = Kind::Cancelled, .what = "The reader stopped"};
            response.body.clear();
        }
        return response;
    }

private:
    House& house_;
};

class House::Tokens : public salesforce::TokenKeeper {
public:
    std::optional<salesforce::Token> load() override { return token_; }
    void save(const salesforce::Token& token) override { token_ = token; }
    void forget() override { token_.reset(); }

private:
    std::optional<salesforce::Token> token_;
};

House::House(const Setup& setup)
    : setup_(setup), clock_(kStart), random_(seeded_random(setup.seed)), world_{.clock = clock_, .random = *random_} {
    sandbox::ServiceOptions options;
    options.org.people = setup.people;
    options.org.seed = setup.seed;
    options.org.start = kStart;
    options.org.clock = &clock_;
    service_ = std::make_unique<sandbox::Service>(options, world_);
    sender_ = std::make_unique<Wire>(*this);
    tokens_ = std::make_unique<Tokens>();
    if (setup.engine == store::Engine::Sqlite) {
        location_ = (folder_.path() / "lockstep.db").string();
    } else {
        PostgresServer& server = PostgresServer::instance();
        location_ = server.url(server.fresh_schema());
    }
    restart();
}

House::~House() = default;

void House::close() {
    engine_.reset();
    connector_.reset();
    session_.reset();
    if (lease_) lease_->release(*db_);
    lease_.reset();
    reader_.reset();
    db_.reset();
}

void House::restart() {
    close();
    db_ = store::Database::open(location_, world_);
    auto rules = sync::Rules::read(setup_.rules_dir.empty() ? folder_.path().string() : setup_.rules_dir);
    if (!rules.ok()) throw std::runtime_error(to_string(rules.error()));
    rules_ = std::move(rules).value();
    rules_->settings().bulk_from_rows = setup_.bulk_from_rows;
    rules_->settings().composite = setup_.composite;
    auto lease = store::Lease::claim(*db_, "sync", store::this_process("test"));
    if (!lease.ok()) throw std::runtime_error(to_string(lease.error()));
    lease_.emplace(std::move(lease).value());
    const sandbox::Credentials& known = service_->credentials();
    session_ = std::make_unique<salesforce::Session>(salesforce::Credentials{.login_url = "http://127.0.0.1",
                                                                             .client_id = known.client_id,
                                                                             .client_secret = known.client_secret,
                                                                             .username = "",
                                                                             .private_key_pem = ""},
                                                     *sender_, *tokens_, salesforce::unlimited_permits(), world_,
                                                     salesforce::Session::Options{});
    connector_ = std::make_unique<salesforce::Connector>(*session_);
    engine_ = std::make_unique<sync::Engine>(
        *db_, *connector_, *rules_, world_, static_cast<sync::Watcher&>(*this), *lease_,
        sync::Engine::Options{.bulk = {.page_bytes = setup_.bulk_page_bytes, .first_page_rows = 25, .ahead = false}});
}

// A salesperson: the connected user's sight is narrower than what people in the org may write.
std::string House::actor() {
    const int users = object("User");
    const int type = org().schema().at(users).find("UserType");
    const int active = org().schema().at(users).find("IsActive");
    for (std::int64_t row = 0; row < org().rows(users); ++row) {
        const bool standard = org().value(users, row, type) == sandbox::Cell(std::string("Standard"));
        const bool works = org().value(users, row, active) == sandbox::Cell(true);
        std::string id = org().id_of(users, row);
        if (standard && works && id != org().integration_user_id()) return id;
    }
    throw std::runtime_error("the org has no salesperson");
}

int House::object(std::string_view name) {
    const int index = org().schema().find(name);
    if (index < 0) throw std::runtime_error("the org has no object " + std::string(name));
    return index;
}

namespace {

void expect_done(const sandbox::WriteResult& result, std::string_view what) {
    if (!result.ok()) throw std::runtime_error(std::string(what) + ": " + result.errors.front().message);
}

}  // namespace

std::string House::create(std::string_view name, const std::vector<Field>& fields) {
    const auto lock = org().write_lock();
    const sandbox::WriteResult result = org().insert(object(name), fields, actor());
    expect_done(result, name);
    return result.id;
}

void House::edit(std::string_view name, const std::string& id, const std::vector<Field>& fields) {
    const auto lock = org().write_lock();
    expect_done(org().update(object(name), id, fields, actor()), name);
}

void House::remove(std::string_view name, const std::string& id) {
    const auto lock = org().write_lock();
    expect_done(org().remove(object(name), id, actor()), name);
}

void House::undelete(std::string_view name, const std::string& id) {
    const auto lock = org().write_lock();
    expect_done(org().undelete(object(name), id, actor()), name);
}

void House::purge(std::string_view name, const std::string& id) {
    const auto lock = org().write_lock();
    expect_done(org().purge(object(name), id), name);
}

void House::add_field(std::string_view name, sandbox::Field field) {
    const auto lock = org().write_lock();
    org().add_field(object(name), std::move(field));
}

void House::hide(std::string_view name, std::string_view field, bool hidden) {
    const auto lock = org().write_lock();
    const int index = object(name);
    org().set_visible(index, org().schema().at(index).find(field), !hidden);
}

void House::admin(const std::string& method, const std::string& path, const std::string& json) {
    http::Request request{
        .method = method, .target = path, .headers = {{"Content-Type", "application/json"}}, .body = json};
    const http::Answer answer = service_->handle(request);
    if (answer.status >= 300) throw std::runtime_error(path + ": " + answer.body);
}

std::int64_t House::faults_fired() {
    const http::Answer answer =
        service_->handle({.method = "GET", .target = "/sandbox/faults", .headers = {}, .body = ""});
    const auto listed = parse_json(answer.body);
    std::int64_t fired = 0;
    for (const json::value& fault : *array_at(listed->as_object(), "faults")) {
        fired += int_at(fault.as_object(), "fired").value_or(0);
    }
    return fired;
}

std::string House::user(std::size_t index) {
    const auto lock = org().read_lock();
    return org().id_of(object("User"), static_cast<std::int64_t>(index));
}

sync::CycleReport House::cycle() {
    clock_.advance_s(60);
    if (!lease_->renew(*db_)) throw std::runtime_error("the lease was lost");
    Result<sync::CycleReport> report = engine_->cycle();
    if (!report.ok()) throw std::runtime_error("the cycle failed: " + to_string(report.error()));
    for (const store::Step& step : report->steps) {
        if (step.status == store::StepStatus::Failed) {
            ADD_FAILURE() << step.object << ", " << step.operation << ": " << step.detail;
        }
    }
    return std::move(report).value();
}

bool House::try_cycle() {
    clock_.advance_s(60);
    if (!lease_->renew(*db_)) throw std::runtime_error("the lease was lost");
    const Result<sync::CycleReport> report = engine_->cycle();
    return report.ok() && !report->failed();
}

Error House::failing_cycle() {
    clock_.advance_s(60);
    if (!lease_->renew(*db_)) throw std::runtime_error("the lease was lost");
    const Result<sync::CycleReport> report = engine_->cycle();
    if (!report.ok()) return report.error();
    for (const store::SyncError& error : open_errors()) {
        if (error.record.empty()) return {.what = error.message, .hint = error.hint, .code = error.code};
    }
    throw std::runtime_error("the cycle was to fail and did not");
}

store::Connection& House::reader() {
    if (!reader_) reader_ = db_->connect();
    return *reader_;
}

std::optional<std::int64_t> House::person_id(const std::string& crm_id) {
    const auto found = people::find_people(reader(), crm_id);
    if (found.empty()) return std::nullopt;
    return found.front();
}

api::PersonView House::person(const std::string& crm_id) {
    const auto id = person_id(crm_id);
    if (!id) throw std::runtime_error("nobody is " + crm_id);
    return *api::person(reader(), *id, rules_->settings());
}

std::vector<std::string> House::history(const std::string& crm_id) {
    std::vector<std::string> lines;
    const auto id = person_id(crm_id);
    if (!id) return lines;
    for (const store::LoggedActivity& one : store::activities_of(reader(), *id, 0, 1000)) {
        lines.push_back(std::to_string(one.activity.type) + " " + one.activity.attributes);
    }
    std::ranges::reverse(lines);
    return lines;
}

std::vector<store::SyncError> House::open_errors() {
    return store::errors(reader(), 1000, true);
}

namespace {

/// A value of the org in the words of ours.
std::string words(const sandbox::Cell& cell, sandbox::Type type) {
    if (const bool* const truth = std::get_if<bool>(&cell)) return *truth ? "true" : "false";
    if (const auto* const number = std::get_if<std::int64_t>(&cell)) {
        if (type == sandbox::Type::Date) return to_string(Date{static_cast<std::int32_t>(*number)});
        if (type == sandbox::Type::DateTime) return to_string(Timestamp{*number});
        return std::to_string(*number);
    }
    if (const double* const number = std::get_if<double>(&cell)) return to_text(*number);
    if (const auto* const text = std::get_if<std::string>(&cell)) return *text;
    return {};
}

bool is_gone(const sandbox::Org& org, const sandbox::Field& lookup, const std::string& id) {
    for (const std::string& target : lookup.reference_to) {
        const int object = org.schema().find(target);
        if (object < 0) continue;
        const auto row = org.row_of(object, id);
        if (row && org.life(object, *row) != sandbox::Org::Life::Live) return true;
    }
    return false;
}

/// Fields that follow other rows, whose changes do not stamp this one: an opportunity's contact its primary role, the
/// rest tasks and events. No poll can follow them.
bool moves_without_stamp(const std::string& object, std::string_view field) {
    if (field == "ContactId") return object == "Opportunity";
    return field == "LastActivityDate" || field == "HasOpenActivity" || field == "HasOverdueTask";
}

}  // namespace

std::vector<std::string> House::differences() {
    std::vector<std::string> found;
    const store::Catalog catalog = store::Catalog::read(reader());
    const auto lock = org().read_lock();
    for (const store::MirrorObject& mirror : catalog.objects()) {
        const int index = object(mirror.object.name);
        const sandbox::Object& described = org().schema().at(index);
        std::map<std::string, std::vector<std::string>> ours;
        std::string sql = "SELECT id";
        std::vector<int> fields;
        for (const store::MirrorField& field : mirror.fields) {
            if (!field.live) continue;
            fields.push_back(described.find(field.field.name));
            sql += ", " + store::quoted(field.column);
        }
        reader().query(sql + " FROM " + mirror.table, {}, [&](std::span<const record::Cell> row) {
            std::vector<std::string>& values = ours[record::to_text(row[0])];
            for (const record::Cell& cell : row.subspan(1)) values.push_back(record::to_text(cell));
            return true;
        });
        for (std::int64_t row = 0; row < org().rows(index); ++row) {
            const sandbox::Org::Life life = org().life(index, row);
            const std::string id = org().id_of(index, row);
            const auto mine = ours.find(id);
            if (life != sandbox::Org::Life::Live) {
                const bool alive_here =
                    mine != ours.end() &&
                    std::ranges::any_of(mirror.fields, [&](const auto& field) { return field.column == "isdeleted"; });
                if (alive_here) {
                    const auto dead =
                        reader().integer("SELECT count(*) FROM " + mirror.table + " WHERE id = ? AND isdeleted",
                                         store::params(record::Cell::text(id)));
                    if (dead != 1) found.push_back(mirror.object.name + " " + id + " lives here and is deleted there");
                }
                if (mine != ours.end()) ours.erase(mine);
                continue;
            }
            if (mine == ours.end()) {
                found.push_back(mirror.object.name + " " + id + " is missing here");
                continue;
            }
            for (std::size_t i = 0; i < fields.size(); ++i) {
                const sandbox::Field& field = described.fields[static_cast<std::size_t>(fields[i])];
                if (moves_without_stamp(mirror.object.name, field.name)) continue;
                const std::string theirs = words(org().value(index, row, fields[i]), field.type);
                // A lookup whose target was deleted reads as empty there, without a new stamp; we keep whose it was.
                if (theirs.empty() && !field.reference_to.empty() && is_gone(org(), field, mine->second[i])) continue;
                if (theirs != mine->second[i]) {
                    found.push_back(mirror.object.name + " " + id + "." + field.name + ": theirs \"" + theirs +
                                    "\", here \"" + mine->second[i] + "\"");
                }
            }
            ours.erase(mine);
        }
        for (const auto& [id, values] : ours)
            found.push_back(mirror.object.name + " " + id + " is here and never was there");
    }
    if (found.size() > 20) found.resize(20);
    return found;
}

}  // namespace lockstep::tests

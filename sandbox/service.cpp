#include "sandbox/service.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/text.h"
#include "sandbox/admin.h"
#include "sandbox/alive.h"
#include "sandbox/bulk.h"
#include "sandbox/composite.h"
#include "sandbox/faults.h"
#include "sandbox/limits.h"
#include "sandbox/load_dir.h"
#include "sandbox/org_file.h"
#include "sandbox/records.h"
#include "sandbox/rest.h"
#include "sandbox/soap.h"
#include "sandbox/tooling.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {
namespace {

constexpr const char* unexpected_error =
    "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-54321 (1234567890)";

/// Where the object a call is about can be read from.
enum class About { Nothing, Path, Query, Locator, Job, JobBody };

struct Route {
    const char* method;
    const char* pattern;  ///< without /services/data/vNN.0 when it needs a version
    const char* kind;     ///< in the log of calls
    Trait traits;
    About about;
    std::function<http::Answer(const Call&)> handler;
    bool versioned = true;
    bool composable = true;  ///< may be a part of a composite request
};

/// Path and query for the log: whoever reads it shall not find sessions there.
std::string without_tokens(const std::string& target) {
    const std::size_t mark = target.find('?');
    if (mark == std::string::npos) return target;
    std::string out = target.substr(0, mark);
    char sign = '?';
    for (const auto& pair : split(std::string_view(target).substr(mark + 1), '&')) {
        if (starts_with_ignoring_case(pair, "oauth_token=") || starts_with_ignoring_case(pair, "token=")) continue;
        out += sign + pair;
        sign = '&';
    }
    return out;
}

/// 62 for "v62.0"; nothing: it is no version.
std::optional<int> version_of(std::string_view part) {
    if (part.size() != 5 || part[0] != 'v' || part.substr(3) != ".0") return std::nullopt;
    const auto number = parse_int(part.substr(1, 2));
    return number && *number >= 10 ? std::optional<int>(static_cast<int>(*number)) : std::nullopt;
}

[[noreturn]] void give_up(const Error& error) {
    throw Failure(error.what, error.hint);
}

/// Reads the org file, if there is one, and lets it have its say in `options`.
std::optional<OrgFile> read_org_file(OrgOptions& options) {
    if (options.org_file.empty()) return std::nullopt;
    auto file = OrgFile::read(options.org_file);
    if (!file.ok()) give_up(file.error());
    file->adjust(options);
    return std::move(*file);
}

OrgOptions with_clock(OrgOptions options, World& world) {
    if (!options.clock) options.clock = &world.clock;
    return options;
}

Credentials complete(Credentials credentials, const Org& org) {
    if (!credentials.username.empty()) return credentials;
    const auto lock = org.read_lock();
    const int users = org.schema().find("User");
    const auto row = users < 0 ? std::nullopt : org.row_of(users, org.integration_user_id());
    const int field = row ? org.schema().at(users).find("Username") : -1;
    if (field >= 0) credentials.username = plain_text(Type::String, org.value(users, *row, field));
    if (credentials.username.empty()) credentials.username = "integration@sandbox.example";
    return credentials;
}

}  // namespace

struct Service::Impl {
    Impl(ServiceOptions options, World& outside)
        : world(outside),
          org_file(read_org_file(options.org)),
          org(with_clock(std::move(options.org), outside)),
          settings(options.settings),
          oauth(org, settings, complete(std::move(options.credentials), org)),
          soap(org, settings, oauth, quota),
          rest(org, settings),
          tooling(org),
          bulk(org, rest, settings, outside),
          composite(org, rest,
                    [this](const auto& part, const auto& whole, bool counts) { return run_part(part, whole, counts); }),
          admin({org, outside, settings, quota, faults, oauth, rest, bulk, calls, random_mutex}),
          admin_key(std::move(options.admin_key)),
          url(std::move(options.url)),
          routes(make_routes()),
          lived_ms(outside.clock.mono_ms()) {
        if (org_file)
            if (const auto changed = settings.change(org_file->settings_json()); !changed.ok())
                give_up(changed.error());
        if (!org.restored()) fill();
    }

    World& world;
    std::optional<OrgFile> org_file;
    Org org;
    std::string loaded;
    SettingsBox settings;
    Quota quota;
    Faults faults;
    CallLog calls;
    OAuth oauth;
    Soap soap;
    Rest rest;
    Tooling tooling;
    Bulk bulk;
    Composite composite;
    std::mutex random_mutex;  ///< world.random is not thread-safe; taken after the org's lock
    Admin admin;
    const std::string admin_key;
    std::mutex url_mutex;
    std::string url;
    const std::vector<Route> routes;
    std::int64_t lived_ms;  ///< up to when the org's own people have made their changes; of step() only

    void fill();
    std::vector<Route> make_routes();
    struct Matched {
        const Route* route = nullptr;
        std::string allowed;  ///< methods of routes that fit but for the method
        std::optional<http::Answer> refusal;
    };
    Matched match(const http::Request& request, Call& call) const;
    std::string object_asked(const Route& route, const Call& call);
    http::Answer run_part(const http::Request& part, const Call& whole, bool counts);
    http::Answer answer(const http::Request& request, LoggedCall& logged);
    http::Answer carry_out(const Route& route, Call& call, LoggedCall& logged);
    http::Answer limits(const Call& call);
    std::string host_url(const http::Request& request);
    Timestamp now() {
        const auto lock = org.read_lock();
        return org.now();
    }
};

/// Puts into the org what its file and the load folder hold.
void Service::Impl::fill() {
    const auto take = [this](Result<LoadReport> report) {
        if (!report.ok()) give_up(report.error());
        loaded += to_string(*report);
    };
    if (org_file) take(org_file->apply(org));
    if (const std::string& dir = org.options().load_dir; !dir.empty()) take(load_dir(org, dir));
}

std::vector<Route> Service::Impl::make_routes() {
    using enum About;
    using T = Trait;
    const auto of = [](auto& part, auto member) {
        return [&part, member](const Call& call) { return (part.*member)(call); };
    };
    const T read = T::Data, write = T::Data | T::Write;
    std::vector<Route> table = {
        {"GET", "/services/data", "versions", T::None, Nothing, of(rest, &Rest::versions), false},
        {"GET", "/services/oauth2/token", "token", T::Token, Nothing, of(oauth, &OAuth::token), false},
        {"POST", "/services/oauth2/token", "token", T::Token, Nothing, of(oauth, &OAuth::token), false},
        {"GET", "/services/oauth2/revoke", "revoke", T::None, Nothing, of(oauth, &OAuth::revoke), false},
        {"POST", "/services/oauth2/revoke", "revoke", T::None, Nothing, of(oauth, &OAuth::revoke), false},
        {"POST", "/services/oauth2/introspect", "introspect", T::None, Nothing, of(oauth, &OAuth::introspect), false},
        {"GET", "/services/oauth2/userinfo", "userinfo", T::None, Nothing, of(oauth, &OAuth::userinfo), false},
        {"POST", "/services/oauth2/userinfo", "userinfo", T::None, Nothing, of(oauth, &OAuth::userinfo), false},
        {"GET", "/id/{}/{}", "identity", T::None, Nothing, of(oauth, &OAuth::identity), false},
        {"POST", "/services/Soap/u/{}", "soap", T::Soap, Nothing, of(soap, &Soap::carry_out), false},
        {"POST", "/services/Soap/u/{}/{}", "soap", T::Soap, Nothing, of(soap, &Soap::carry_out), false},

        {"GET", "/", "resources", read, Nothing, of(rest, &Rest::resources)},
        {"GET", "/limits", "limits", read, Nothing, [this](const Call& call) { return limits(call); }},
        {"GET", "/limits/recordCount", "record_count", read, Nothing, of(rest, &Rest::record_count)},

        {"GET", "/query", "query", read | T::Query | T::Rows | T::Record, Query, of(rest, &Rest::query)},
        {"GET", "/queryAll", "query_all", read | T::Query | T::Rows | T::Record, Query, of(rest, &Rest::query_all)},
        {"GET", "/query/{}", "query_more", read | T::Locator | T::Rows | T::Record, Locator,
         of(rest, &Rest::query_more)},
        {"GET", "/queryAll/{}", "query_more", read | T::Locator | T::Rows | T::Record, Locator,
         of(rest, &Rest::query_more)},

        {"GET", "/tooling/query", "tooling_query", read | T::Describe, Nothing, of(tooling, &Tooling::query)},
        {"GET", "/sobjects", "describe_global", read | T::Describe, Nothing, of(rest, &Rest::describe_global)},
        {"GET", "/sobjects/{}", "basic_info", read | T::Describe, Path, of(rest, &Rest::basic_info)},
        {"GET", "/sobjects/{}/describe", "describe", read | T::Describe, Path, of(rest, &Rest::describe)},
        {"GET", "/sobjects/{}/updated", "updated", read | T::Replication, Path, of(rest, &Rest::updated)},
        {"GET", "/sobjects/{}/deleted", "deleted", read | T::Replication, Path, of(rest, &Rest::deleted)},
        {"POST", "/sobjects/{}", "create", write, Path, of(rest, &Rest::create)},
        {"POST", "/sobjects/{}/Id", "create", write, Path, of(rest, &Rest::create)},
        {"GET", "/sobjects/{}/{}", "read", read | T::Record, Path, of(rest, &Rest::read)},
        {"PATCH", "/sobjects/{}/{}", "update", write, Path, of(rest, &Rest::update)},
        {"DELETE", "/sobjects/{}/{}", "delete", write, Path, of(rest, &Rest::remove)},
        {"GET", "/sobjects/{}/{}/{}", "read_by_key", read | T::Record, Path, of(rest, &Rest::read_by_key)},
        {"PATCH", "/sobjects/{}/{}/{}", "upsert", write, Path, of(rest, &Rest::upsert)},
        {"DELETE", "/sobjects/{}/{}/{}", "delete_by_key", write, Path, of(rest, &Rest::remove_by_key)},

        {"POST", "/composite/sobjects", "create_many", write | T::Collections, Nothing,
         of(composite, &Composite::create)},
        {"PATCH", "/composite/sobjects", "update_many", write | T::Collections, Nothing,
         of(composite, &Composite::update)},
        {"DELETE", "/composite/sobjects", "delete_many", write | T::Collections, Nothing,
         of(composite, &Composite::remove)},
        {"GET", "/composite/sobjects/{}", "retrieve", read | T::Collections | T::Record, Path,
         of(composite, &Composite::retrieve)},
        {"POST", "/composite/sobjects/{}", "retrieve", read | T::Collections | T::Record, Path,
         of(composite, &Composite::retrieve)},
        {"PATCH", "/composite/sobjects/{}/{}", "upsert_many", write | T::Collections, Path,
         of(composite, &Composite::upsert)},
        {"POST", "/composite", "composite", write, Nothing, of(composite, &Composite::composite), true, false},
        {"POST", "/composite/batch", "batch", write, Nothing, of(composite, &Composite::batch), true, false},

        {"GET", "/jobs/query", "bulk_query_list", read, Nothing, of(bulk, &Bulk::list_queries)},
        {"POST", "/jobs/query", "bulk_query", read | T::Query | T::JobCreation, JobBody, of(bulk, &Bulk::create_query)},
        {"GET", "/jobs/query/{}", "bulk_query_poll", read, Job, of(bulk, &Bulk::query_job)},
        {"PATCH", "/jobs/query/{}", "bulk_query_abort", read, Job, of(bulk, &Bulk::change_query)},
        {"DELETE", "/jobs/query/{}", "bulk_query_delete", read, Job, of(bulk, &Bulk::remove_query)},
        {"GET", "/jobs/query/{}/results", "bulk_results", read | T::Results | T::Rows | T::Locator, Job,
         of(bulk, &Bulk::query_results)},
        {"GET", "/jobs/query/{}/resultPages", "bulk_result_pages", read | T::Results, Job,
         of(bulk, &Bulk::result_pages)},
        {"GET", "/jobs/ingest", "ingest_list", read, Nothing, of(bulk, &Bulk::list_ingests)},
        {"POST", "/jobs/ingest", "ingest", read | T::JobCreation, JobBody, of(bulk, &Bulk::create_ingest)},
        {"GET", "/jobs/ingest/{}", "ingest_poll", read, Job, of(bulk, &Bulk::ingest_job)},
        {"PUT", "/jobs/ingest/{}/batches", "ingest_upload", write, Job, of(bulk, &Bulk::upload)},
        {"PATCH", "/jobs/ingest/{}", "ingest_close", write, Job, of(bulk, &Bulk::change_ingest)},
        {"DELETE", "/jobs/ingest/{}", "ingest_delete", read, Job, of(bulk, &Bulk::remove_ingest)},
        {"GET", "/jobs/ingest/{}/successfulResults", "ingest_results", read | T::Results, Job,
         of(bulk, &Bulk::successful_results)},
        {"GET", "/jobs/ingest/{}/failedResults", "ingest_results", read | T::Results, Job,
         of(bulk, &Bulk::failed_results)},
        {"GET", "/jobs/ingest/{}/unprocessedrecords", "ingest_results", read | T::Results, Job,
         of(bulk, &Bulk::unprocessed_records)},
    };
    // Jobs take the org's lock themselves, and could not run inside a transaction of a composite request.
    for (auto& route : table)
        if (std::string_view(route.pattern).substr(0, 5) == "/jobs" || !route.versioned) route.composable = false;
    return table;
}

std::string Service::Impl::host_url(const http::Request& request) {
    const std::scoped_lock lock(url_mutex);
    const std::string_view host = request.header("Host");
    if (host.empty()) return url;
    return url.substr(0, url.find("://")) + "://" + std::string(host);
}

Service::Impl::Matched Service::Impl::match(const http::Request& request, Call& call) const {
    std::vector<std::string> parts = path_parts(request.path());
    const bool versioned =
        parts.size() >= 3 && equals_ignoring_case(parts[0], "services") && equals_ignoring_case(parts[1], "data");
    Matched matched;
    if (versioned) {
        const auto version = version_of(parts[2]);
        const Settings at = settings.get();
        if (!version || *version > at.version_max) {
            matched.refusal = not_found();
            return matched;
        }
        if (*version < at.version_min) {
            matched.refusal = error_answer(410, "GONE", "The requested resource is no longer available");
            return matched;
        }
        call.version = std::to_string(*version) + ".0";
        parts.erase(parts.begin(), parts.begin() + 3);
    }
    for (const auto& route : routes) {
        if (route.versioned != versioned) continue;
        std::vector<std::string> args;
        if (!fits(route.pattern, parts, args)) continue;
        if (call.method == route.method) {
            call.args = std::move(args);
            matched.route = &route;
            return matched;
        }
        if (matched.allowed.find(route.method) == std::string::npos)
            matched.allowed += (matched.allowed.empty() ? "" : ",") + std::string(route.method);
    }
    return matched;
}

std::string Service::Impl::object_asked(const Route& route, const Call& call) {
    switch (route.about) {
        case About::Path:
            return call.args.at(0);
        case About::Query:
            return Bulk::object_of_creation("{\"query\":" + json_text(call.request.query("q")) + "}");
        case About::Locator:
            return rest.object_of_locator(call.args.at(0));
        case About::Job:
            return bulk.object_of(call.args.at(0));
        case About::JobBody:
            return Bulk::object_of_creation(call.request.body);
        case About::Nothing:
            break;
    }
    return "";
}

http::Answer Service::Impl::limits(const Call& call) {
    const Bulk::Used used = bulk.used_today();
    const auto lock = reading(org, call);
    return json_answer(200, limits_json({.api_max = settings.get().quota,
                                         .api_used = quota.used(org.now()),
                                         .query_jobs_max = 10'000,
                                         .query_jobs_used = used.query_jobs,
                                         .batches_max = 15'000,
                                         .batches_used = used.batches}));
}

http::Answer Service::Impl::run_part(const http::Request& part, const Call& whole, bool counts) {
    Call call{.request = part,
              .method = part.method,
              .host_url = whole.host_url,
              .user = whole.user,
              .fault_rows = whole.fault_rows,
              .delayed_write_s = whole.delayed_write_s,
              .locked = whole.locked};
    auto matched = match(part, call);
    if (matched.refusal) return *matched.refusal;
    if (!matched.route || !matched.route->composable) return not_found();
    // The whole request was one call already; the first part of a batch is that one.
    if (counts && !quota.take(now(), settings.get().quota))
        return error_answer(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    return matched.route->handler(call);
}

http::Answer Service::Impl::carry_out(const Route& route, Call& call, LoggedCall& logged) {
    if (any_of(route.traits, Trait::Data)) {
        const auto token = OAuth::token_of(call.request);
        if (!token) {
            auto answer = error_answer(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE");
            answer.headers["WWW-Authenticate"] = "Token";
            return answer;
        }
        const auto user = oauth.user_of(*token);
        if (!user) return error_answer(401, "INVALID_SESSION_ID", "Session expired or invalid");
        call.user = *user;
        if (!quota.take(now(), settings.get().quota))
            return error_answer(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
        logged.counted = true;
    }
    if (any_of(route.traits, Trait::Soap)) {
        if (auto refusal = soap.refusal(call)) return *refusal;
        logged.counted = !call.user.empty();
    }
    try {
        return route.handler(call);
    } catch (const std::exception& error) {
        log::error("a request failed", {{"kind", route.kind}, {"why", error.what()}});
        return error_answer(500, "UNKNOWN_EXCEPTION", unexpected_error);
    }
}

http::Answer Service::Impl::answer(const http::Request& request, LoggedCall& logged) {
    Call call{.request = request, .method = request.method, .host_url = host_url(request)};
    if (call.method == "HEAD") call.method = "GET";
    if (call.method == "POST" && request.has_query("_HttpMethod")) call.method = request.query("_HttpMethod");
    constexpr std::size_t target_bytes_max = 16'384;
    if (request.target.size() > target_bytes_max) return error_answer(414, "URI_TOO_LONG", "The URI is too long");
    auto matched = match(request, call);
    if (matched.refusal) return *matched.refusal;
    if (!matched.route) {
        if (matched.allowed.empty()) return not_found();
        auto answer = error_answer(405, "METHOD_NOT_ALLOWED",
                                   "HTTP Method '" + call.method + "' not allowed. Allowed are " + matched.allowed);
        answer.headers["Allow"] = matched.allowed;
        return answer;
    }
    const Route& route = *matched.route;
    logged.kind = route.kind;
    if (!std::all_of(call.args.begin(), call.args.end(), is_valid_utf8)) return not_found();

    std::vector<Fault> fired;
    if (!faults.empty()) {
        Trait traits = route.traits;
        // The first page of a bulk result has no locator that could have expired.
        if (any_of(traits, Trait::Results) && !request.has_query("locator"))
            traits = Trait(unsigned(traits) & ~unsigned(Trait::Locator));
        const std::string object = object_asked(route, call);
        const std::string path = request.path();
        const std::scoped_lock lock(random_mutex);
        fired = faults.fire({.method = call.method, .path = path, .object = object, .traits = traits}, world.random);
    }
    std::optional<http::Answer> instead;
    for (const auto& fault : fired) {
        logged.faults.push_back(fault.kind);
        if (stage_of(fault) == Stage::Instead) instead = answer_of(fault);
        if (fault.kind == "expired_token")
            if (const auto token = OAuth::token_of(request)) oauth.end(*token);
        if (fault.kind == "late_visibility") call.delayed_write_s = fault.seconds.value_or(600);
        if (fault.kind == "lock_row") call.fault_rows = fault.rows.value_or(1);
        if (fault.kind == "job_failed" || fault.kind == "job_aborted" || fault.kind == "job_stuck") {
            call.job_fate = fault.kind;
            call.job_fate_text = fault.value;
        }
    }
    http::Answer answer = instead ? std::move(*instead) : carry_out(route, call, logged);
    const Timestamp at = now();
    answer.headers.try_emplace("Date", to_http_date(at));
    if (any_of(route.traits, Trait::Data) && answer.status != 401)
        answer.headers["Sforce-Limit-Info"] = limit_info(quota.used(at), settings.get().quota);
    for (const auto& fault : fired)
        if (stage_of(fault) == Stage::After) spoil(fault, answer);
    return answer;
}

Service::Service(ServiceOptions options, World& world) : impl_(std::make_unique<Impl>(std::move(options), world)) {}
Service::~Service() = default;

http::Answer Service::handle(const http::Request& request) {
    const auto parts = path_parts(request.path());
    if (!parts.empty() && equals_ignoring_case(parts.front(), "sandbox")) {
        if (!impl_->admin_key.empty() && request.header("X-Sandbox-Key") != impl_->admin_key) {
            std::string body = "{";
            append_member(body, "error",
                          "This org listens beyond loopback, so its admin resources need the admin key.");
            append_member(body, "hint", "send the header X-Sandbox-Key with the key printed at start");
            return json_answer(403, body + "}");
        }
        return impl_->admin.handle(request);
    }
    const std::int64_t started_ms = impl_->world.clock.mono_ms();
    LoggedCall logged{.method = request.method, .target = without_tokens(request.target)};
    http::Answer answer = impl_->answer(request, logged);
    const Timestamp at = impl_->now();
    answer.headers.try_emplace("Date", to_http_date(at));
    answer.headers.try_emplace("Cache-Control", "no-cache,must-revalidate,max-age=0,no-store,private");
    answer.headers.try_emplace("Expires", "Thu, 01 Jan 1970 00:00:00 GMT");
    answer.headers.try_emplace("Vary", "Accept-Encoding");
    if (request.header("X-PrettyPrint") == "1" &&
        starts_with_ignoring_case(answer.headers["Content-Type"], "application/json"))
        answer.body = pretty_json(answer.body);
    if (answer.headers["Content-Type"].empty()) answer.headers.erase("Content-Type");
    if (request.method == "HEAD") {
        answer.body.clear();
        answer.pieces = nullptr;
    }
    logged.at = at;
    logged.status = answer.drop ? 0 : answer.status;
    logged.ms = impl_->world.clock.mono_ms() - started_ms;
    log::debug("call",
               {{"method", logged.method}, {"kind", logged.kind}, {"status", logged.status}, {"ms", logged.ms}});
    impl_->calls.add(std::move(logged));
    return answer;
}

std::int64_t Service::step() {
    constexpr std::int64_t idle_ms = 250;
    std::int64_t next_ms = std::min(idle_ms, impl_->bulk.run_due().value_or(idle_ms));
    const std::int64_t rate = impl_->settings.get().alive_per_minute;
    const std::int64_t now_ms = impl_->world.clock.mono_ms();
    if (rate == 0) {
        impl_->lived_ms = now_ms;
        return next_ms;
    }
    constexpr std::int64_t minute_ms = 60'000;
    constexpr std::int64_t changes_max = 1000;  // at once; a process that slept does not make up for all of it
    const std::int64_t changes = (now_ms - impl_->lived_ms) * rate / minute_ms;
    if (changes > 0) {
        const auto lock = impl_->org.write_lock();
        const std::scoped_lock random_lock(impl_->random_mutex);
        live(impl_->org, impl_->world.random, static_cast<int>(std::min(changes, changes_max)));
        impl_->lived_ms = changes > changes_max ? now_ms : impl_->lived_ms + changes * minute_ms / rate;
    }
    return std::clamp<std::int64_t>(minute_ms / rate, 1, next_ms);
}

const std::string& Service::loaded() const {
    return impl_->loaded;
}
Org& Service::org() {
    return impl_->org;
}
Faults& Service::faults() {
    return impl_->faults;
}
SettingsBox& Service::settings() {
    return impl_->settings;
}
const Credentials& Service::credentials() const {
    return impl_->oauth.credentials();
}
void Service::set_url(std::string url) {
    const std::scoped_lock lock(impl_->url_mutex);
    impl_->url = std::move(url);
}

}  // namespace lockstep::sandbox

#include "server/parts.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "people/tables.h"

namespace lockstep::server {

namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

fs::path default_data() {
    if (const std::string named = from_environment("LOCKSTEP_DATA"); !named.empty()) return named;
    if (const std::string home = from_environment("XDG_DATA_HOME"); !home.empty()) return fs::path(home) / "lockstep";
    const std::string home = from_environment("HOME");
    return home.empty() ? fs::path("lockstep-data") : fs::path(home) / ".local" / "share" / "lockstep";
}

}  // namespace

bool Place::is_file() const {
    return !database.starts_with("postgres://") && !database.starts_with("postgresql://");
}

Place complete(Place named) {
    if (named.data.empty()) named.data = default_data();
    if (named.database.empty()) named.database = from_environment("LOCKSTEP_DATABASE");
    if (named.database.empty()) named.database = (named.data / "lockstep.db").string();
    if (named.key_file.empty()) named.key_file = from_environment("LOCKSTEP_KEY_FILE");
    if (named.key_file.empty()) named.key_file = named.data / "master.key";
    return named;
}

Line::Line(salesforce::Credentials credentials, salesforce::TokenKeeper& tokens, salesforce::Permits& permits,
           World& world, const std::string& api_version, std::function<bool()> stopping)
    : sender(http::network_sender(std::string("lockstep/") + kVersion)),
      session(std::move(credentials), *sender, tokens, permits, world,
              {.api_version = api_version, .stopping = stopping ? std::move(stopping) : [] { return false; }}),
      connector(session) {}

Error not_connected(const std::string& what) {
    return {.kind = Kind::Denied,
            .what = what,
            .hint = "connect first: lockstep connect --url https://your-domain.my.salesforce.com --client-id ID",
            .code = "NOT_CONNECTED"};
}

Result<store::Database*> Parts::database() {
    if (!database_ && place_.is_file() && !fs::exists(place_.database)) {
        return not_connected(fmt::format("there is no database at {} yet", place_.database));
    }
    return &open_database();
}

store::Database& Parts::create_database() {
    if (!fs::exists(place_.data)) {
        std::error_code problem;
        fs::create_directories(place_.data, problem);
        if (!problem) fs::permissions(place_.data, fs::perms::owner_all, problem);
        if (problem) {
            throw Failure(fmt::format("can not make the folder {}: {}", place_.data.string(), problem.message()),
                          "name another one with --data");
        }
    }
    return open_database();
}

store::Database& Parts::open_database() {
    if (!database_) {
        auto opened = store::Database::open(place_.database, world_);
        people::make_tables(*opened);
        database_ = std::move(opened);
    }
    return *database_;
}

Result<sync::Rules*> Parts::rules() {
    if (!rules_) {
        sync::Rules read = TRY(sync::Rules::read(place_.data.string()));
        rules_ = std::move(read);
    }
    return &*rules_;
}

Result<MasterKey*> Parts::key(KeyUse use) {
    if (!key_) {
        if (use == KeyUse::MustExist && !fs::exists(place_.key_file)) {
            return Error{.kind = Kind::Denied,
                         .what = fmt::format("the master key {} is missing", place_.key_file.string()),
                         .hint = "bring it back from your backup, or run lockstep connect again to make a new one"};
        }
        MasterKey opened = TRY(MasterKey::open_or_create(place_.key_file));
        key_.emplace(std::move(opened));
    }
    return &*key_;
}

Result<Secrets*> Parts::secrets(KeyUse use) {
    if (!secrets_) {
        MasterKey* const opened = TRY(key(use));
        secrets_.emplace(open_database(), *opened);
    }
    return &*secrets_;
}

DurablePermits& Parts::permits() {
    if (!permits_) {
        const int share = rules_ ? rules_->settings().api_share_percent : sync::Settings().api_share_percent;
        permits_.emplace(open_database(), world_, DurablePermits::Options{.share_percent = share}, stopping_);
    }
    return *permits_;
}

Result<Line*> Parts::line() {
    if (line_) return line_.get();
    TRY(database());
    const sync::Rules* const rules_used = TRY(rules());
    Secrets* const kept = TRY(secrets(KeyUse::MustExist));
    std::optional<salesforce::Credentials> credentials = TRY(kept->credentials());
    if (!credentials) return not_connected("no credentials are stored");
    line_ = std::make_unique<Line>(std::move(*credentials), *kept, permits(), world_,
                                   rules_used->settings().api_version, stopping_);
    return line_.get();
}

Result<std::vector<sync::RuleFinding>> check_org(salesforce::Connector& connector, const sync::Rules& rules) {
    std::map<std::string, record::Object> described;
    std::vector<sync::RuleFinding> findings;
    for (const sync::ObjectRules& object : rules.objects()) {
        Result<record::Object> answer = connector.describe(object.salesforce);
        if (answer) {
            described.emplace(object.salesforce, std::move(*answer));
        } else if (answer.error().kind != Kind::NotFound) {
            return answer.error();
        } else {
            findings.push_back({.object = object.salesforce,
                                .origin = object.origin,
                                .what = fmt::format("the connected user can not see {}", object.salesforce),
                                .hint = "ask the Salesforce admin for read access to it",
                                .fatal = object.required});
        }
    }
    for (const sync::ObjectRules& object : rules.objects()) {
        const auto own = described.find(object.salesforce);
        if (own == described.end()) continue;
        const record::Object* other = nullptr;  // the other one that becomes a person
        for (const sync::ObjectRules& candidate : rules.objects()) {
            if (object.role != sync::Role::Person || candidate.role != sync::Role::Person || &candidate == &object)
                continue;
            if (const auto found = described.find(candidate.salesforce); found != described.end())
                other = &found->second;
        }
        for (sync::RuleFinding& finding : sync::check_rules(object, own->second, other)) {
            findings.push_back(std::move(finding));
        }
    }
    return findings;
}

}  // namespace lockstep::server

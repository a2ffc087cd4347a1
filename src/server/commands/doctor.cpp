#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "api/views.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "server/commands/commands.h"
#include "store/journal.h"

namespace lockstep::server {

namespace {

namespace fs = std::filesystem;

enum class Level { Ok, Warning, Problem };
const char* name(Level level) {
    switch (level) {
        case Level::Ok:
            return "ok";
        case Level::Warning:
            return "warning";
        case Level::Problem:
            return "problem";
    }
    return "";
}

struct Finding {
    Level level = Level::Ok;
    std::string area, what, hint;
};

constexpr std::uint64_t kSpaceLow = 5ull << 30, kSpaceTooLow = 512ull << 20;
constexpr std::int64_t kSkewNoticedS = 30, kSkewBadS = 300;
constexpr std::int64_t kQuotaNoticedPercent = 60;

/// Goes on as far as it can: each look may leave out those that need what it did not find.
class Doctor {
public:
    explicit Doctor(Context& context) : context_(context), parts_(context.parts) {}

    std::vector<Finding> look() {
        folder();
        if (const auto read = parts_.rules(); !read) {
            problem("rules", read.error());
            return std::move(findings_);
        }
        add(Level::Ok, "rules", fmt::format("rules of {} objects are read", parts_.rules().value()->objects().size()));
        const auto db = parts_.database();
        if (!db) {
            problem("database", db.error());
            return std::move(findings_);
        }
        database(**db);
        key();
        const auto line = parts_.line();
        if (!line) {
            problem("credentials", line.error());
            return std::move(findings_);
        }
        org(**db, **line);
        sync_state(**db);
        parts_.permits().settle();
        return std::move(findings_);
    }

private:
    void add(Level level, const char* area, std::string what, std::string hint = {}) {
        findings_.push_back({level, area, std::move(what), std::move(hint)});
    }
    void problem(const char* area, const Error& error) { add(Level::Problem, area, error.what, error.hint); }

    void folder() {
        const fs::path& data = parts_.place().data;
        std::error_code trouble;
        if (!fs::is_directory(data, trouble)) {
            add(Level::Warning, "folder", fmt::format("{} does not exist yet", data.string()),
                "lockstep connect makes it");
            return;
        }
        const fs::space_info space = fs::space(data, trouble);
        const std::string left = trouble ? "" : to_bytes(space.available);
        if (trouble) {
            add(Level::Problem, "disk", fmt::format("{} can not be looked at: {}", data.string(), trouble.message()),
                "check the rights of the folder");
        } else if (space.available < kSpaceTooLow) {
            add(Level::Problem, "disk", fmt::format("only {} are free in {}", left, data.string()), "free some space");
        } else if (space.available < kSpaceLow) {
            add(Level::Warning, "disk", fmt::format("{} are free in {}", left, data.string()),
                "a first load needs about as much as the org stores");
        } else {
            add(Level::Ok, "disk", fmt::format("{} are free in {}", left, data.string()));
        }
    }

    void database(store::Database& db) {
        add(Level::Ok, "database", fmt::format("{}, {}", db.description(), to_bytes(db.bytes())));
        const auto connection = db.connect();
        if (db.engine() == store::Engine::Sqlite) {
            const std::string journal = connection->text("PRAGMA journal_mode").value_or("");
            const std::int64_t synchronous = connection->integer("PRAGMA synchronous").value_or(-1);
            const bool durable = synchronous >= 2;  // 2 is FULL, 3 EXTRA
            add(durable ? Level::Ok : Level::Problem, "durability",
                fmt::format("journal {}, synchronous {}", journal, durable ? "full" : std::to_string(synchronous)),
                durable ? "" : "a crash of the machine may lose commits; this is a mistake of this program");
            return;
        }
        const bool fsync = connection->text("SHOW fsync") == "on";
        const bool commits = connection->text("SHOW synchronous_commit") != "off";
        add(fsync && commits ? Level::Ok : Level::Problem, "durability",
            fmt::format("PostgreSQL has fsync {} and synchronous_commit {}", fsync ? "on" : "off",
                        commits ? "on" : "off"),
            fsync && commits ? "" : "turn both on: after a crash, commits may be lost");
    }

    void key() {
        if (const auto opened = parts_.key(Parts::KeyUse::MustExist); !opened) {
            problem("master key", opened.error());
            return;
        }
        add(Level::Ok, "master key", fmt::format("{} is readable by its owner only", parts_.place().key_file.string()));
    }

    void org(store::Database& db, Line& line) {
        if (const auto token = line.session.log_in(); !token) {
            problem("credentials", token.error());
            return;
        }
        add(Level::Ok, "credentials", "the login works");
        const std::string& wanted = line.session.api_version();
        if (const auto versions = line.connector.versions(); !versions) {
            problem("API version", versions.error());
        } else if (std::ranges::find(*versions, wanted) == versions->end()) {
            add(Level::Problem, "API version", fmt::format("the org does not serve version {}", wanted),
                versions->empty()
                    ? ""
                    : fmt::format("set api_version in lockstep.toml; it serves up to {}", versions->back()));
        } else {
            add(Level::Ok, "API version", fmt::format("{} is served, the newest is {}", wanted, versions->back()));
        }
        same_org(db, line);
        rights(line);
        const std::int64_t skew = line.session.clock_skew_s();
        const std::int64_t off = skew < 0 ? -skew : skew;
        const Level level = off >= kSkewBadS ? Level::Problem : off >= kSkewNoticedS ? Level::Warning : Level::Ok;
        add(level, "clock",
            off < 2 ? "this machine and Salesforce agree on the time"
                    : fmt::format("this machine is {} {} Salesforce", to_duration(off * 1000),
                                  skew > 0 ? "behind" : "ahead of"),
            level == Level::Ok ? "" : "let the machine keep its time by NTP; logins by key fail when clocks differ");
        quota(line);
    }

    void same_org(store::Database& db, Line& line) {
        const auto org = line.connector.org();
        if (!org) {
            problem("organization", org.error());
            return;
        }
        std::optional<std::string> pinned;
        db.read([&](store::Connection& connection) { pinned = store::setting(connection, "organization.id"); });
        if (pinned && *pinned != org->organization_id) {
            add(Level::Problem, "organization",
                fmt::format("the database belongs to {}, the credentials lead to {}", *pinned, org->organization_id),
                "connect to the organization of this database, or name another folder with --data");
            return;
        }
        add(Level::Ok, "organization", fmt::format("{} ({}) as {}", org->name, org->organization_id, org->username));
        if (org->default_currency.empty()) {
            add(Level::Warning, "currency",
                fmt::format("unknown; amounts are shown without a code ({})", org->currency_trouble),
                "let the integration user call the SOAP API: 'API Enabled', and no policy against SOAP");
        }
    }

    void rights(Line& line) {
        const sync::Rules& rules = *parts_.rules().value();
        const auto found = check_org(line.connector, rules);
        if (!found) {
            problem("rights", found.error());
            return;
        }
        for (const sync::RuleFinding& finding : *found) {
            add(finding.fatal ? Level::Problem : Level::Warning, "rights", finding.what, finding.hint);
        }
        if (std::ranges::none_of(*found, &sync::RuleFinding::fatal)) {
            add(Level::Ok, "rights", "the objects and fields the sync can not do without are readable");
        }
    }

    void quota(Line& line) {
        const auto quota = line.session.quota();
        if (!quota || quota->max <= 0) {
            add(Level::Warning, "API calls", "Salesforce did not say how many calls are used");
            return;
        }
        const int share = parts_.rules().value()->settings().api_share_percent;
        const std::int64_t percent = quota->used * 100 / quota->max;
        const std::string what = fmt::format("{} of {} in 24 hours are used ({} %); Lockstep stops at {} %",
                                             with_thousands(quota->used), with_thousands(quota->max), percent, share);
        if (percent >= share) {
            add(Level::Problem, "API calls", what, "wait until calls are free again, or find out who else uses them");
        } else if (percent >= kQuotaNoticedPercent) {
            add(Level::Warning, "API calls", what, "a longer interval_s in lockstep.toml costs fewer calls");
        } else {
            add(Level::Ok, "API calls", what);
        }
    }

    void sync_state(store::Database& db) {
        const api::Status status = api::status(db, context_.world().clock.now());
        if (status.open_errors > 0) {
            add(Level::Warning, "errors", fmt::format("{} errors are open", with_thousands(status.open_errors)),
                "lockstep errors lists them");
        }
        std::optional<Timestamp> oldest;
        for (const api::ObjectStatus& object : status.objects) {
            if (!object.complete_as_of) {
                add(Level::Warning, "sync", fmt::format("{} was not read to its end yet", object.object),
                    "lockstep sync --once goes on with it");
                return;
            }
            if (!oldest || *object.complete_as_of < *oldest) oldest = object.complete_as_of;
        }
        if (!oldest) {
            add(Level::Warning, "sync", "nothing was read yet", "lockstep sync --once makes the first load");
            return;
        }
        const std::int64_t age_s = context_.world().clock.now().seconds - oldest->seconds;
        add(Level::Ok, "sync",
            fmt::format("all objects are complete as of {} ago", to_duration(std::max<std::int64_t>(0, age_s) * 1000)));
    }

    Context& context_;
    Parts& parts_;
    std::vector<Finding> findings_;
};

}  // namespace

Result<int> doctor(Context& context) {
    const std::vector<Finding> findings = Doctor(context).look();
    Output& out = context.out;
    json::array array;
    Level worst = Level::Ok;
    std::size_t width = 0;
    for (const Finding& finding : findings) width = std::max(width, finding.area.size());
    for (const Finding& finding : findings) {
        worst = std::max(worst, finding.level);
        array.push_back(json::object{
            {"level", name(finding.level)}, {"area", finding.area}, {"what", finding.what}, {"hint", finding.hint}});
        const auto style = finding.level == Level::Ok        ? Output::Style::Good
                           : finding.level == Level::Warning ? Output::Style::Warn
                                                             : Output::Style::Bad;
        out.line(fmt::format("{}  {:<{}}  {}", out.styled(fmt::format("{:<7}", name(finding.level)), style),
                             finding.area, width, finding.what));
        if (!finding.hint.empty())
            out.line(fmt::format("{:<{}}{}", "", width + 11, out.styled(finding.hint, Output::Style::Dim)));
    }
    out.document(to_pretty(json::object{{"worst", name(worst)}, {"findings", std::move(array)}}));
    return worst == Level::Problem ? kPartly : kDone;
}

}  // namespace lockstep::server

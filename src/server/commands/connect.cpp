#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"
#include "server/commands/commands.h"
#include "store/journal.h"

namespace lockstep::server {

namespace {

using salesforce::Credentials;

/// Holds a token in memory while credentials are tried: nothing is stored before they are known to work.
class TrialTokens : public salesforce::TokenKeeper {
public:
    std::optional<salesforce::Token> load() override { return token_; }
    void save(const salesforce::Token& token) override { token_ = token; }
    void forget() override { token_.reset(); }

private:
    std::optional<salesforce::Token> token_;
};

/// What people have at hand - a word, a domain, a page's address copied from the browser - to where logins go.
std::string login_url(const std::string& named) {
    std::string url(trim(named));
    if (equals_ignoring_case(url, "production")) return "https://login.salesforce.com";
    if (equals_ignoring_case(url, "sandbox")) return "https://test.salesforce.com";
    const std::size_t scheme = url.find("://");
    if (scheme == std::string::npos) return login_url("https://" + url);
    const std::size_t path = url.find_first_of("/?#", scheme + 3);
    url = url.substr(0, path);
    // Pages of the user interface live on hosts of their own, where no login by programs is served.
    for (const std::string_view page : {".lightning.force.com", ".my.salesforce-setup.com"}) {
        if (url.ends_with(page)) url = url.substr(0, url.size() - page.size()) + ".my.salesforce.com";
    }
    return url;
}

Result<std::string> read_file(const std::string& path, const char* what) {
    if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return Error{.kind = Kind::Invalid,
                     .what = fmt::format("the file of the {} can not be read: {}", what, path),
                     .hint = "check the path and its rights"};
    }
    return std::string(std::istreambuf_iterator<char>(file), {});
}

/// While it lives the terminal of standard input does not show what is typed, and signals that would end the process
/// are only taken note of, so that the terminal is always left as it was found.
class HiddenTyping {
public:
    HiddenTyping() {
        if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDERR_FILENO) == 0) return;
        if (::tcgetattr(STDIN_FILENO, &shown_) != 0) return;
        signalled = 0;
        struct sigaction note {};
        note.sa_handler = [](int) { signalled = 1; };
        sigset_t ending;
        sigemptyset(&ending);
        for (std::size_t i = 0; i < kEnding.size(); ++i) {
            sigaddset(&ending, kEnding.at(i));
            ::sigaction(kEnding.at(i), &note, &before_.at(i));
        }
        // They come through in line() only, where nothing is between the look at them and the wait.
        ::pthread_sigmask(SIG_BLOCK, &ending, &mask_);
        termios hidden = shown_;
        hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        hidden.c_cc[VSUSP] = _POSIX_VDISABLE;  // a shell in between would show what is typed after the return
        possible_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
        changed_ = true;
    }
    ~HiddenTyping() {
        if (!changed_) return;
        ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown_);
        ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
        for (std::size_t i = 0; i < kEnding.size(); ++i) ::sigaction(kEnding.at(i), &before_.at(i), nullptr);
    }
    HiddenTyping(const HiddenTyping&) = delete;
    HiddenTyping& operator=(const HiddenTyping&) = delete;

    /// Whether there is a terminal.
    bool possible() const { return possible_; }
    /// The next line. Errors: Cancelled – a signal came.
    Result<std::string> line() {
        std::string typed;
        std::array<char, 512> piece{};
        while (typed.find('\n') == std::string::npos) {
            pollfd terminal{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
            const int ready = ::ppoll(&terminal, 1, nullptr, &mask_);
            if (signalled != 0) {
                return Error{.kind = Kind::Cancelled,
                             .what = "stopped; nothing was stored",
                             .hint = "lockstep connect asks again"};
            }
            if (ready < 0) continue;
            const ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
            if (count <= 0) break;
            typed.append(piece.data(), static_cast<std::size_t>(count));
        }
        return std::string(trim(typed.substr(0, typed.find('\n'))));
    }

private:
    static constexpr std::array kEnding{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static inline volatile std::sig_atomic_t signalled = 0;
    termios shown_{};
    sigset_t mask_{};
    std::array<struct sigaction, kEnding.size()> before_{};
    bool possible_ = false, changed_ = false;
};

/// Asks on the terminal without showing what is typed; empty when there is no terminal. Errors: Cancelled.
Result<std::string> ask_in_secret(const char* question) {
    HiddenTyping hidden;
    if (!hidden.possible()) return std::string();
    std::cerr << question << std::flush;
    Result<std::string> typed = hidden.line();
    std::cerr << "\n";
    return typed;
}

Result<std::string> client_secret(const ConnectOptions& options) {
    if (!options.client_secret.empty()) return options.client_secret;
    if (!options.client_secret_file.empty()) {
        const std::string text = TRY(read_file(options.client_secret_file, "client secret"));
        return std::string(trim(text));
    }
    if (const char* const named = std::getenv("LOCKSTEP_CLIENT_SECRET"); named != nullptr && *named != '\0') {
        return std::string(named);
    }
    const std::string typed = TRY(ask_in_secret("Client secret (not shown): "));
    if (!typed.empty()) return typed;
    return Error{.kind = Kind::Invalid,
                 .what = "no client secret was given",
                 .hint = "use --client-secret-file FILE (- reads standard input), or LOCKSTEP_CLIENT_SECRET"};
}

Result<Credentials> credentials_from(const ConnectOptions& options) {
    Credentials credentials;
    credentials.login_url = login_url(options.url);
    credentials.client_id = options.client_id;
    if (options.username.empty() && options.private_key_file.empty()) {
        credentials.client_secret = TRY(client_secret(options));
        return credentials;
    }
    if (options.username.empty() || options.private_key_file.empty()) {
        return Error{.kind = Kind::Invalid,
                     .what = "a login by key needs --username and --private-key-file",
                     .hint = "give both, or neither to log in by client secret"};
    }
    credentials.method = Credentials::Method::JwtBearer;
    credentials.username = options.username;
    credentials.private_key_pem = TRY(read_file(options.private_key_file, "private key"));
    return credentials;
}

/// The login hosts shared by all customers know no client credentials: Salesforce says "request not supported on this
/// domain" then, which tells people nothing.
Error explained(Error error, const Credentials& credentials) {
    const bool shared_host = credentials.login_url == "https://login.salesforce.com" ||
                             credentials.login_url == "https://test.salesforce.com";
    if (error.kind == Kind::Denied && shared_host && credentials.method == Credentials::Method::ClientCredentials) {
        error.hint =
            "a login by client secret needs the org's own address: --url https://your-domain.my.salesforce.com";
    }
    return error;
}

Result<void> check_version(salesforce::Connector& connector, const std::string& wanted) {
    const std::vector<std::string> served = TRY(connector.versions());
    if (std::ranges::find(served, wanted) != served.end()) return {};
    return Error{.kind = Kind::Invalid,
                 .what = fmt::format("this org does not serve API version {}", wanted),
                 .hint = served.empty() ? "check the address"
                                        : fmt::format("set api_version in lockstep.toml; it serves {} to {}",
                                                      served.front(), served.back())};
}

Result<void> check_same_org(store::Database& db, const salesforce::Org& org) {
    std::optional<std::string> pinned, name;
    db.read([&](store::Connection& connection) {
        pinned = store::setting(connection, "organization.id");
        name = store::setting(connection, "organization.name");
    });
    if (!pinned || *pinned == org.organization_id) return {};
    return Error{.kind = Kind::Conflict,
                 .what = fmt::format("this database belongs to {} ({}), and these credentials lead to {} ({})",
                                     name.value_or("another organization"), *pinned, org.name, org.organization_id),
                 .hint = "name another folder with --data for the other organization; one database holds one org",
                 .code = "OTHER_ORGANIZATION"};
}

void store_connection(Parts& parts, Secrets& secrets, const Credentials& credentials,
                      const std::optional<salesforce::Token>& token, const salesforce::Org& org) {
    parts.create_database().write([&](store::Transaction& tx) {
        const bool jwt = credentials.method == Credentials::Method::JwtBearer;
        store::save_setting(tx, "connection.url", credentials.login_url);
        store::save_setting(tx, "connection.method", jwt ? "jwt" : "client_credentials");
        store::save_setting(tx, "connection.user", org.username);
        store::save_setting(tx, "organization.id", org.organization_id);
        store::save_setting(tx, "organization.name", org.name);
        // What was told before does not become wrong because it can not be asked now.
        if (!org.default_currency.empty()) store::save_setting(tx, "currency.default", org.default_currency);
    });
    secrets.save(credentials);
    if (token) secrets.save(*token);
}

}  // namespace

Result<int> connect(Context& context, const ConnectOptions& options) {
    Parts& parts = context.parts;
    Output& out = context.out;
    const Credentials credentials = TRY(credentials_from(options));
    const sync::Rules* const rules = TRY(parts.rules());
    store::Database& db = parts.create_database();
    // Before the network: a key that can not be used must not cost a login.
    Secrets* const secrets = TRY(parts.secrets(Parts::KeyUse::Create));

    TrialTokens tokens;
    const std::string& version = rules->settings().api_version;
    Line line(credentials, tokens, parts.permits(), context.world(), version, {});
    if (const auto token = line.session.log_in(); !token) return explained(token.error(), credentials);
    TRY(check_version(line.connector, version));
    const salesforce::Org org = TRY(line.connector.org());
    TRY(check_same_org(db, org));
    const std::vector<sync::RuleFinding> findings = TRY(check_org(line.connector, *rules));
    store_connection(parts, *secrets, credentials, tokens.load(), org);

    const bool fatal = std::ranges::any_of(findings, &sync::RuleFinding::fatal);
    json::array listed;
    for (const sync::RuleFinding& finding : findings) {
        listed.push_back(json::object{{"object", finding.object},
                                      {"field", finding.field},
                                      {"what", finding.what},
                                      {"hint", finding.hint},
                                      {"fatal", finding.fatal}});
    }
    out.document(to_pretty(json::object{{"connected", true},
                                        {"organization",
                                         {{"id", org.organization_id},
                                          {"name", org.name},
                                          {"instance", org.instance},
                                          {"is_sandbox", org.is_sandbox},
                                          {"currency", org.default_currency},
                                          {"multi_currency", org.multi_currency}}},
                                        {"user", org.username},
                                        {"url", credentials.login_url},
                                        {"api_version", version},
                                        {"findings", std::move(listed)}}));
    out.line(fmt::format("{} {} ({}) as {}", out.styled("connected to", Output::Style::Good), org.name,
                         org.organization_id, org.username));
    out.pairs(
        {{"address", credentials.login_url},
         {"API version", version},
         {"currency", org.default_currency + (org.multi_currency ? " and others" : "")},
         {"data", parts.place().data.string()},
         {"database", db.description()},
         {"master key", parts.place().key_file.string() + "  (keep a copy: without it the credentials are lost)"}});
    for (const sync::RuleFinding& finding : findings) {
        const auto style = finding.fatal ? Output::Style::Bad : Output::Style::Warn;
        out.line(out.styled(finding.fatal ? "problem" : "warning", style) + "  " + finding.what);
        if (!finding.hint.empty()) out.line("         " + finding.hint);
    }
    out.line();
    out.line(fatal ? "Next: have the problems solved, then " + context.program + " doctor"
                   : "Next: " + context.program + " sync --once");
    return fatal ? kPartly : kDone;
}

Result<int> disconnect(Context& context) {
    store::Database* const db = TRY(context.parts.database());
    Secrets::forget_all(*db);
    context.out.document(to_pretty(json::object{{"connected", false}}));
    context.out.line("The credentials and the token are forgotten; what was read stays.");
    context.out.line(
        "To end access on the other side too, revoke it in Salesforce: Setup, Connected Apps OAuth Usage.");
    return kDone;
}

}  // namespace lockstep::server

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/check.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "http/serve.h"
#include "sandbox/certificate.h"
#include "sandbox/service.h"

namespace {

using namespace lockstep;
using namespace lockstep::sandbox;

struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8300;
    std::int64_t people = 1000;
    std::uint64_t seed = 1;
    std::string org_file, load_dir, state_file, start;
    std::int64_t alive_per_minute = 0;
    std::vector<std::string> counts, settings;
    bool tls = false, ready_json = false, verbose = false;
};

/// A file only its owner can read; it is removed with this object unless it is to stay.
class PrivateFile {
public:
    /// Throws Failure when the file can not be written.
    static PrivateFile temporary(const std::string& kind, const std::string& text) {
        std::string path = (std::filesystem::temp_directory_path() / ("lockstep-sandbox-" + kind + "-XXXXXX")).string();
        const int file = mkstemp(path.data());
        write(file, path, text);
        return {path, true};
    }
    static PrivateFile kept(const std::string& path, const std::string& text) {
        write(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), path, text);
        return {path, false};
    }
    static PrivateFile existing(const std::string& path) { return {path, false}; }
    PrivateFile(PrivateFile&& other) noexcept
        : path_(std::move(other.path_)), goes_(std::exchange(other.goes_, false)) {}
    PrivateFile& operator=(PrivateFile&&) = delete;
    ~PrivateFile() {
        if (goes_) unlink(path_.c_str());
    }
    const std::string& path() const { return path_; }

private:
    PrivateFile(std::string path, bool goes) : path_(std::move(path)), goes_(goes) {}
    static void write(int file, const std::string& path, const std::string& text) {
        const bool written = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
        if (file >= 0) close(file);
        if (!written) throw Failure("The file " + path + " can not be written.", "check its folder's permissions");
    }
    std::string path_;
    bool goes_;
};

std::optional<std::string> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The key that signs JWTs, where its private half lies. Kept beside the state file, so that a restarted org knows its
/// clients again; without one it lives as long as the process.
struct JwtKey {
    RsaKeyPair pair;
    PrivateFile file;
};

JwtKey jwt_key(const std::string& state_file) {
    const std::string path = state_file + ".jwt.pem", public_path = state_file + ".jwt.pub.pem";
    if (!state_file.empty()) {
        const auto secret = read_file(path), known = read_file(public_path);
        if (secret && known) return {{*secret, *known}, PrivateFile::existing(path)};
    }
    RsaKeyPair pair = make_rsa_key_pair();
    if (state_file.empty()) return {pair, PrivateFile::temporary("jwt", pair.private_pem)};
    PrivateFile::kept(public_path, pair.public_pem);
    return {pair, PrivateFile::kept(path, pair.private_pem)};
}

/// Secrets that follow from the key: the same again after a restart with the same state file.
Credentials credentials_of(const RsaKeyPair& pair) {
    const auto derived = [&](const char* what, std::size_t digits) {
        return to_hex(hmac_sha256(pair.private_pem, what)).substr(0, digits);
    };
    return {.username = "",
            .password = derived("password", 20),
            .security_token = derived("security token", 24),
            .client_id = "3MVG9" + derived("client id", 40),
            .client_secret = derived("client secret", 64),
            .jwt_public_key_pem = pair.public_pem};
}

bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Settings settings_of(const Options& options) {
    json::object given;
    for (const auto& setting : options.settings) {
        const std::size_t equals = setting.find('=');
        const std::string name = setting.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
        const auto parsed = parse_json(value);
        given[name] = parsed.ok() ? *parsed : json::value(value);
    }
    if (options.alive_per_minute > 0) given["alive"] = options.alive_per_minute;
    SettingsBox box({});
    if (const auto changed = box.change(json::serialize(given)); !changed.ok())
        throw Failure(changed.error().what, "docs/sandbox.md lists the settings");
    return box.get();
}

OrgOptions org_options_of(const Options& options) {
    OrgOptions org{.people = options.people,
                   .seed = options.seed,
                   .org_file = options.org_file,
                   .load_dir = options.load_dir,
                   .state_file = options.state_file};
    for (const auto& count : options.counts) {
        const std::size_t equals = count.find('=');
        const auto rows = equals == std::string::npos ? std::nullopt : parse_int(count.substr(equals + 1));
        if (!rows || *rows < 0)
            throw Failure("--count takes OBJECT=N, not " + count + ".", "for example --count Task=500");
        org.counts[count.substr(0, equals)] = *rows;
    }
    if (!options.start.empty()) {
        org.start = parse_timestamp(options.start);
        if (!org.start)
            throw Failure("--start takes a time, not " + options.start + ".", "for example 2026-11-24T08:00:00Z");
    }
    return org;
}

void print_ready(const Options& options, const Service& service, const http::Server& server, const JwtKey& key,
                 const std::string& ca_file, const std::string& admin_key) {
    const Credentials& who = service.credentials();
    if (options.ready_json) {
        json::object ready = {{"url", server.url()},
                              {"username", who.username},
                              {"password", who.password},
                              {"security_token", who.security_token},
                              {"client_id", who.client_id},
                              {"client_secret", who.client_secret},
                              {"jwt_key_file", key.file.path()},
                              {"pid", getpid()}};
        if (!ca_file.empty()) ready["ca_file"] = ca_file;
        if (!admin_key.empty()) ready["admin_key"] = admin_key;
        std::cout << json::serialize(ready) << std::endl;
        return;
    }
    const std::string& url = server.url();
    const std::string ca = ca_file.empty() ? "" : " --cacert " + ca_file;
    const std::string admin = admin_key.empty() ? "" : " -H 'X-Sandbox-Key: " + admin_key + "'";
    std::cout << service.loaded() << "A Salesforce org listens on " << url << "\n\n"
              << "  user name      " << who.username << "\n  password       " << who.password << "\n  client id      "
              << who.client_id << "\n  client secret  " << who.client_secret << "\n  JWT key file   " << key.file.path()
              << "\n";
    if (!ca_file.empty()) std::cout << "  CA file        " << ca_file << "\n";
    if (!admin_key.empty()) std::cout << "  admin key      " << admin_key << "\n";
    std::cout << "\nTry\n"
              << "  TOKEN=$(curl -s" << ca << " " << url
              << "/services/oauth2/token -d grant_type=client_credentials \\\n"
              << "      -d client_id=" << who.client_id << " -d client_secret=" << who.client_secret
              << " | jq -r .access_token)\n"
              << "  curl -s" << ca << " -H \"Authorization: Bearer $TOKEN\" -G " << url
              << "/services/data/v62.0/query \\\n      --data-urlencode 'q=SELECT Id, Name, Email FROM Lead LIMIT 3'\n"
              << "  curl -s" << ca << admin << " " << url << "/sandbox/state\n"
              << "  curl -s" << ca << admin << " " << url << "/sandbox            # every knob of this org\n\n"
              << "Ctrl-C stops it.\n"
              << std::flush;
}

/// Steps the service until a signal asks to stop. Signals are taken here and nowhere else: they are blocked in every
/// thread, so no handler has to be safe against what it interrupts.
void run_until_stopped(Service& service, const sigset_t& signals) {
    for (;;) {
        const std::int64_t wait_ms = service.step();
        const timespec timeout{.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1'000'000};
        const int signal = sigtimedwait(&signals, nullptr, &timeout);
        if (signal == SIGINT || signal == SIGTERM) return;
    }
}

int serve(const Options& options) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    if (options.verbose) log::set_level(log::Level::Debug);

    const auto clock = system_clock();
    const auto random = seeded_random(options.seed);
    World world{*clock, *random};
    const JwtKey key = jwt_key(options.state_file);
    const std::string admin_key = is_loopback(options.host) ? "" : to_hex(random_bytes(16));
    Service service({.org = org_options_of(options),
                     .settings = settings_of(options),
                     .credentials = credentials_of(key.pair),
                     .admin_key = admin_key},
                    world);
    http::ServeOptions listen{.host = options.host, .port = options.port};
    std::optional<PrivateFile> ca_file;
    if (options.tls) {
        Certificate certificate = make_certificate(options.host, clock->now());
        ca_file.emplace(PrivateFile::temporary("ca", certificate.certificate_pem));
        listen.tls_certificate_pem = std::move(certificate.certificate_pem);
        listen.tls_private_key_pem = std::move(certificate.private_key_pem);
    }
    const http::Server server(listen, [&](const http::Request& request) { return service.handle(request); });
    service.set_url(server.url());
    print_ready(options, service, server, key, ca_file ? ca_file->path() : "", admin_key);
    run_until_stopped(service, signals);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{
        "A Salesforce org on your laptop: REST, Bulk API 2.0 and OAuth as the platform speaks them, with generated\n"
        "people and opportunities, and knobs under /sandbox that a real org does not have.\n"};
    app.get_formatter()->column_width(32);
    app.add_option("--port", options.port, "port to listen on; 0 takes any free one")->capture_default_str();
    app.add_option("--host", options.host, "address to listen on; beyond loopback, /sandbox needs a key")
        ->capture_default_str();
    app.add_option("--people", options.people, "leads and contacts to generate; accounts and opportunities follow")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--seed", options.seed, "which people: the same seed gives the same org")->capture_default_str();
    app.add_option("--count", options.counts, "rows of one object, OBJECT=N; may be repeated");
    app.add_option("--start", options.start, "the org's clock at start, 2026-11-24T08:00:00Z; default now");
    app.add_option("--org", options.org_file, "TOML or JSON file: objects, fields, rows, settings")
        ->check(CLI::ExistingFile);
    app.add_option("--load", options.load_dir, "folder of OBJECT.csv files to insert")->check(CLI::ExistingDirectory);
    app.add_option("--state", options.state_file, "file that keeps edits and secrets over a restart");
    app.add_option("--alive", options.alive_per_minute, "changes a minute that the org's own people make")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--set", options.settings,
                   "a setting, NAME=VALUE: quota=1000, bulk_order=shuffled; may be repeated");
    app.add_flag("--tls", options.tls, "serve https with a certificate made at start");
    app.add_flag("--ready-json", options.ready_json, "print one line of JSON when it listens: url, secrets, pid");
    app.add_flag("--verbose", options.verbose, "log each call to standard error");
    app.footer(
        "\nExamples\n"
        "  lockstep-sandbox --people 10000 --alive 60\n"
        "  lockstep-sandbox --port 0 --org tests/small.toml --ready-json\n"
        "docs/sandbox.md tells the rest.");
    CLI11_PARSE(app, argc, argv);
    try {
        return serve(options);
    } catch (const Failure& failure) {
        std::cerr << "lockstep-sandbox: " << failure.what() << (failure.hint.empty() ? "" : " (" + failure.hint + ")")
                  << "\n";
    } catch (const std::exception& error) {
        std::cerr << "lockstep-sandbox: " << error.what() << "\n";
    }
    return 1;
}

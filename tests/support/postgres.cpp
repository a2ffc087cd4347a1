#include "tests/support/postgres.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace lockstep::tests {

namespace {

namespace fs = std::filesystem;

constexpr const char* kHint = " (install what tests need: ./dev setup)";

/// The folder of initdb and pg_ctl: Debian keeps them out of PATH, one folder a version.
std::optional<fs::path> find_programs() {
    std::vector<fs::path> folders;
    std::error_code missing;
    for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", missing)) {
        folders.push_back(version.path() / "bin");
    }
    std::ranges::sort(folders, std::greater<>());
    std::stringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
    for (std::string folder; std::getline(path, folder, ':');) folders.emplace_back(folder);
    for (const fs::path& folder : folders) {
        if (fs::exists(folder / "initdb", missing) && fs::exists(folder / "pg_ctl", missing)) return folder;
    }
    return std::nullopt;
}

constexpr const char* kForTests = " -c fsync=off -c full_page_writes=off -c shared_buffers=64MB";
constexpr const char* kForMeasuring = "";

/// PostgreSQL refuses to run as root.
const passwd* unprivileged_user() {
    for (const char* const name : {"postgres", "nobody"}) {
        if (const passwd* const user = getpwnam(name)) return user;
    }
    return nullptr;
}

/// Runs a program to its end; output goes to `log`.
bool run(const fs::path& program, const std::vector<std::string>& arguments, const fs::path& log) {
    const pid_t child = fork();
    if (child == 0) {
        const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        std::vector<char*> words{const_cast<char*>(program.c_str())};
        for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
        words.push_back(nullptr);
        execv(program.c_str(), words.data());
        _exit(127);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The keeper: starts the server, says "+" or "-" and why, waits for the end of its parent, cleans up.
[[noreturn]] void keep(const fs::path& programs, const fs::path& folder, const std::string& settings, int life,
                       int answer) {
    setsid();  // an interrupt at the terminal is for the test program; what follows from it, we see
    std::signal(SIGPIPE, SIG_IGN);
    const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
    if (chdir(folder.c_str()) != 0) _exit(1);

    const std::string data = folder / "data";
    const fs::path log = folder / "log";
    const std::string options =
        "-c listen_addresses= -c unix_socket_directories=" + folder.string() + " -c max_connections=60" + settings;
    const bool up = run(programs / "initdb",
                        {"-D", data, "--no-sync", "-A", "trust", "-U", "lockstep", "-E", "UTF8", "--locale=C.UTF-8",
                         "--locale-provider=icu", "--icu-locale=en-US"},
                        log) &&
                    run(programs / "pg_ctl", {"-D", data, "-w", "-t", "60", "-l", log, "-o", options, "start"}, log);
    std::string word = "+";
    if (!up) {
        std::stringstream said;
        said << "-" << std::ifstream(log).rdbuf();
        word = said.str();
    }
    if (write(answer, word.data(), word.size()) < 0) word.clear();
    close(answer);

    char byte = 0;
    while (read(life, &byte, 1) < 0 && errno == EINTR) {
    }
    run(programs / "pg_ctl", {"-D", data, "-w", "-m", "immediate", "stop"}, log);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    _exit(0);
}

}  // namespace

PostgresServer& PostgresServer::instance(Purpose purpose) {
    static PostgresServer server(purpose);
    return server;
}

PostgresServer::PostgresServer(Purpose purpose) {
    const std::optional<fs::path> programs = find_programs();
    if (!programs) throw std::runtime_error(std::string("PostgreSQL is not installed") + kHint);
    const passwd* const user = geteuid() == 0 ? unprivileged_user() : nullptr;
    if (geteuid() == 0 && user == nullptr) throw std::runtime_error("no unprivileged user to run PostgreSQL as");

    folder_ = (fs::temp_directory_path() / "lockstep-pg-XXXXXX").string();
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("no temporary folder can be made");
    if (user != nullptr && chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) {
        throw std::runtime_error("the temporary folder can not be given to " + std::string(user->pw_name));
    }
    std::array<int, 2> life{};
    std::array<int, 2> answer{};
    if (pipe2(life.data(), O_CLOEXEC) != 0 || pipe2(answer.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe can be made");
    }
    keeper_ = fork();
    if (keeper_ == 0) {
        close(life[1]);
        close(answer[0]);
        if (user != nullptr && (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
            _exit(1);
        }
        keep(*programs, folder_, purpose == Purpose::Testing ? kForTests : kForMeasuring, life[0], answer[1]);
    }
    close(life[0]);
    close(answer[1]);
    life_ = life[1];
    std::string word;
    std::array<char, 4096> part{};
    for (ssize_t size = 0; (size = read(answer[0], part.data(), part.size())) > 0;) {
        word.append(part.data(), static_cast<std::size_t>(size));
    }
    close(answer[0]);
    if (!word.starts_with('+')) throw std::runtime_error("PostgreSQL does not start: " + word + kHint);
}

PostgresServer::~PostgresServer() {
    close(life_);
    if (keeper_ > 0) waitpid(keeper_, nullptr, 0);
}

std::string PostgresServer::url(std::string_view schema) const {
    return "postgres:///postgres?host=" + folder_ + "&user=lockstep&schema=" + std::string(schema);
}

std::string PostgresServer::fresh_schema() {
    return "test_" + std::to_string(++schemas_);
}

}  // namespace lockstep::tests

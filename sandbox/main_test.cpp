#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "http/send.h"

namespace lockstep::sandbox {
namespace {

/// lockstep-sandbox as a process of its own, on any free port.
class Process {
public:
    explicit Process(std::vector<std::string> arguments) {
        int out[2];
        EXPECT_EQ(pipe(out), 0);
        arguments.insert(arguments.begin(), LOCKSTEP_BINARY_DIR "/lockstep-sandbox");
        std::vector<char*> argv;
        argv.reserve(arguments.size() + 1);
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        pid_ = fork();
        if (pid_ == 0) {
            dup2(out[1], STDOUT_FILENO);
            close(out[0]);
            close(out[1]);
            if (const int null = open("/dev/null", O_WRONLY); null >= 0) dup2(null, STDERR_FILENO);
            execv(argv[0], argv.data());
            _exit(127);
        }
        close(out[1]);
        char c = 0;
        while (read(out[0], &c, 1) == 1 && c != '\n') line_ += c;
        close(out[0]);
        if (const auto parsed = parse_json(line_); parsed.ok() && parsed->is_object()) ready = parsed->as_object();
    }
    ~Process() {
        if (pid_ > 0) stop();
    }
    /// Asks it to stop; gives its exit status.
    int stop(int signal = SIGTERM) {
        kill(pid_, signal);
        int status = 0;
        waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    int exit_status() {
        int status = 0;
        waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    std::string text(const char* key) const { return text_at(ready, key).value_or(""); }
    const std::string& first_line() const { return line_; }

    json::object ready;

private:
    pid_t pid_ = -1;
    std::string line_;
};

class Client {
public:
    explicit Client(const Process& process)
        : process_(process), sender_(http::network_sender("main_test", process.text("ca_file"))) {
        const auto answer = send("POST", "/services/oauth2/token",
                                 "grant_type=client_credentials&client_id=" + process.text("client_id") +
                                     "&client_secret=" + process.text("client_secret"),
                                 "application/x-www-form-urlencoded");
        const auto body = parse_json(answer.body);
        if (body.ok()) token_ = text_at(body->as_object(), "access_token").value_or("");
    }
    bool logged_in() const { return !token_.empty(); }
    http::Response send(std::string method, const std::string& path, std::string body = {},
                        std::string type = "application/json") {
        http::Request request{
            .method = std::move(method), .target = process_.text("url") + path, .body = std::move(body)};
        if (!token_.empty()) request.headers["Authorization"] = "Bearer " + token_;
        if (!request.body.empty()) request.headers["Content-Type"] = std::move(type);
        auto answer = sender_->send(request);
        EXPECT_TRUE(answer.ok()) << (answer.ok() ? "" : to_string(answer.error()));
        return answer.ok() ? *answer : http::Response{.status = 0};
    }
    std::int64_t count(const std::string& what) {
        const auto answer = send("GET", "/services/data/v62.0/query?q=" + url_encode("SELECT COUNT() FROM " + what));
        const auto body = parse_json(answer.body);
        return body.ok() && body->is_object() ? int_at(body->as_object(), "totalSize").value_or(-1) : -1;
    }

private:
    const Process& process_;
    std::unique_ptr<http::Sender> sender_;
    std::string token_;
};

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "sandbox-test-XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

TEST(Program, says_where_it_listens_and_answers_there_until_told_to_stop) {
    Process process({"--port", "0", "--people", "60", "--count", "Task=0", "--ready-json"});
    ASSERT_FALSE(process.ready.empty()) << process.first_line();
    const std::string key_file = process.text("jwt_key_file");
    struct stat about {};
    ASSERT_EQ(stat(key_file.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600U);

    Client client(process);
    ASSERT_TRUE(client.logged_in());
    EXPECT_EQ(client.count("Task"), 0);
    EXPECT_GT(client.count("Lead"), 0);
    // A page in pieces, through a real socket.
    const auto job = client.send("POST", "/services/data/v62.0/jobs/query",
                                 R"({"operation":"query","query":"SELECT Id FROM Lead"})");
    const std::string id = text_at(parse_json(job.body)->as_object(), "id").value();
    ASSERT_EQ(client.send("PATCH", "/sandbox/settings", R"({"job_ms":0})").status, 200);
    const auto results = client.send("GET", "/services/data/v62.0/jobs/query/" + id + "/results");
    EXPECT_EQ(results.status, 200);
    EXPECT_EQ(results.header("Sforce-NumberOfRecords"), std::to_string(client.count("Lead")));
    EXPECT_EQ(std::count(results.body.begin(), results.body.end(), '\n'), client.count("Lead") + 1);

    EXPECT_EQ(process.stop(SIGINT), 0);
    EXPECT_FALSE(std::filesystem::exists(key_file));
}

TEST(Program, serves_https_with_a_certificate_it_made) {
    Process process({"--port", "0", "--people", "20", "--tls", "--ready-json"});
    ASSERT_EQ(process.text("url").substr(0, 8), "https://");
    Client client(process);
    ASSERT_TRUE(client.logged_in());
    EXPECT_EQ(client.send("GET", "/services/data/v62.0/limits").status, 200);
    EXPECT_EQ(process.stop(), 0);
}

TEST(Program, keeps_edits_and_secrets_beside_its_state) {
    const TemporaryFolder folder;
    const std::string state = (folder.path / "org.state").string();
    std::string secret;
    {
        Process process({"--port", "0", "--people", "20", "--state", state, "--ready-json"});
        secret = process.text("client_secret");
        Client client(process);
        EXPECT_EQ(client.send("POST", "/services/data/v62.0/sobjects/Account", R"({"Name":"Kept"})").status, 201);
        EXPECT_EQ(process.stop(), 0);
    }
    Process process({"--port", "0", "--people", "20", "--state", state, "--ready-json"});
    EXPECT_EQ(process.text("client_secret"), secret);
    Client client(process);
    EXPECT_EQ(client.count("Account WHERE Name = 'Kept'"), 1);
}

TEST(Program, guards_its_knobs_when_it_listens_beyond_loopback) {
    Process process({"--port", "0", "--host", "0.0.0.0", "--people", "20", "--ready-json"});
    ASSERT_FALSE(process.ready.empty());
    const std::string url = process.text("url");
    const std::string port = url.substr(url.rfind(':'));
    const auto sender = http::network_sender("main_test");
    http::Request request{.target = "http://127.0.0.1" + port + "/sandbox/state"};
    EXPECT_EQ(sender->send(request)->status, 403);
    request.headers["X-Sandbox-Key"] = process.text("admin_key");
    EXPECT_EQ(sender->send(request)->status, 200);
}

TEST(Program, refuses_what_it_can_not_do) {
    EXPECT_NE(Process({"--people", "many"}).exit_status(), 0);
    EXPECT_EQ(Process({"--port", "0", "--count", "Task"}).exit_status(), 1);
    EXPECT_EQ(Process({"--port", "0", "--set", "colour=red"}).exit_status(), 1);
    EXPECT_EQ(Process({"--port", "0", "--start", "soon"}).exit_status(), 1);
}

}  // namespace
}  // namespace lockstep::sandbox

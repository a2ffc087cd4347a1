#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace lockstep::support {

namespace {

struct Pipe {
    int read = -1, write = -1;
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        read = ends[0];
        write = ends[1];
    }
};

/// In the child: becomes the program. Only calls that are safe after fork.
[[noreturn]] void become(const Start& start, char** arguments, char** environment, int in, int out, int err) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvpe(start.program.c_str(), arguments, environment);
    ::_exit(127);
}

std::vector<std::string> environment_of(const Start& start) {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        if (!start.environment.contains(text.substr(0, text.find('=')))) all.push_back(text);
    }
    for (const auto& [name, value] : start.environment) {
        if (!value.empty()) all.push_back(name + "=" + value);
    }
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

/// Writes `input` to a program that may end before it has read it all.
void feed(int descriptor, const std::string& input) {
    std::size_t done = 0;
    while (done < input.size()) {
        const ssize_t written = ::write(descriptor, input.data() + done, input.size() - done);
        if (written < 0) break;
        done += static_cast<std::size_t>(written);
    }
    ::close(descriptor);
}

}  // namespace

Child start_child(const Start& start) {
    std::vector<std::string> arguments{start.program};
    arguments.insert(arguments.end(), start.arguments.begin(), start.arguments.end());
    std::vector<std::string> environment = environment_of(start);
    std::vector<char*> argument_pointers = pointers(arguments);
    std::vector<char*> environment_pointers = pointers(environment);
    const Pipe in, out, err;
    const pid_t id = ::fork();
    if (id < 0) throw std::runtime_error("no process for " + start.program);
    if (id == 0) become(start, argument_pointers.data(), environment_pointers.data(), in.read, out.write, err.write);
    for (const int end : {in.read, out.write, err.write}) ::close(end);
    return {.id = id, .in = in.write, .out = out.read, .err = err.read};
}

Process::Process(const Start& start) : program_(start.program) {
    ::signal(SIGPIPE, SIG_IGN);
    const Child child = start_child(start);
    id_ = child.id;
    reader_ = std::thread([this, child] { read_all(child.out, child.err); });
    feed(child.in, start.input);
}

Process::~Process() {
    if (!reaped_) {
        ::kill(id_, SIGKILL);
        ::waitpid(id_, nullptr, 0);
    }
    reader_.join();
}

void Process::read_all(int out, int err) {
    std::array<pollfd, 2> ends{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
    std::array<char, 16384> piece{};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        if (::poll(ends.data(), ends.size(), -1) < 0) continue;
        for (std::size_t i = 0; i < ends.size(); ++i) {
            if (ends.at(i).fd < 0 || ends.at(i).revents == 0) continue;
            const ssize_t count = ::read(ends.at(i).fd, piece.data(), piece.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) {
                ::close(ends.at(i).fd);
                ends.at(i).fd = -1;
                continue;
            }
            const std::lock_guard lock(mutex_);
            (i == 0 ? out_ : err_).append(piece.data(), static_cast<std::size_t>(count));
            grown_.notify_all();
        }
    }
    const std::lock_guard lock(mutex_);
    closed_ = true;
    grown_.notify_all();
}

std::runtime_error Process::trouble(std::string_view what) {
    return std::runtime_error(program_ + " " + std::string(what) + "\nstandard output:\n" + out_ +
                              "\nstandard error:\n" + err_);
}

std::string Process::read_line(int limit_s) {
    std::unique_lock lock(mutex_);
    const auto whole = [&] { return out_.find('\n', out_taken_) != std::string::npos; };
    const bool in_time = grown_.wait_for(lock, std::chrono::seconds(limit_s), [&] { return whole() || closed_; });
    if (!in_time) throw trouble("wrote no line in time");
    if (!whole()) throw trouble("ended before it wrote another line");
    const std::size_t end = out_.find('\n', out_taken_);
    std::string line = out_.substr(out_taken_, end - out_taken_);
    out_taken_ = end + 1;
    return line;
}

std::string Process::read_line_with(std::string_view text, int limit_s) {
    while (true) {
        std::string line = read_line(limit_s);
        if (line.find(text) != std::string::npos) return line;
    }
}

void Process::send_signal(int signal) {
    ::kill(id_, signal);
}

Ended Process::wait(int limit_s) {
    std::unique_lock lock(mutex_);
    if (!grown_.wait_for(lock, std::chrono::seconds(limit_s), [&] { return closed_; }))
        throw trouble("did not end in time");
    int status = 0;
    ::waitpid(id_, &status, 0);
    reaped_ = true;
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .out = out_,
            .err = err_};
}

Ended run(const Start& start, int limit_s) {
    return Process(start).wait(limit_s);
}

OnTerminal::OnTerminal(const Start& start) : program_(start.program) {
    std::vector<std::string> arguments{start.program};
    arguments.insert(arguments.end(), start.arguments.begin(), start.arguments.end());
    std::vector<std::string> environment = environment_of(start);
    std::vector<char*> argument_pointers = pointers(arguments);
    std::vector<char*> environment_pointers = pointers(environment);
    if (::openpty(&ours_, &theirs_, nullptr, nullptr, nullptr) != 0) throw std::runtime_error("no terminal");
    for (const int end : {ours_, theirs_}) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    id_ = ::fork();
    if (id_ < 0) throw std::runtime_error("no process for " + start.program);
    if (id_ == 0) {
        ::setsid();
        ::ioctl(theirs_, TIOCSCTTY, 0);
        become(start, argument_pointers.data(), environment_pointers.data(), theirs_, theirs_, theirs_);
    }
    alive_ = static_cast<int>(::syscall(SYS_pidfd_open, id_, 0));
    if (alive_ < 0) throw trouble("can not be watched");
}

OnTerminal::~OnTerminal() {
    if (!reaped_) {
        ::kill(id_, SIGKILL);
        ::waitpid(id_, nullptr, 0);
    }
    for (const int end : {ours_, theirs_, alive_}) ::close(end);
}

std::runtime_error OnTerminal::trouble(std::string_view what) const {
    return std::runtime_error(program_ + " " + std::string(what) + "\nshown:\n" + shown_);
}

bool OnTerminal::read_more(int limit_s) {
    std::array<pollfd, 2> ends{pollfd{ours_, POLLIN, 0}, pollfd{alive_, POLLIN, 0}};
    const int ready = ::poll(ends.data(), ends.size(), limit_s * 1000);
    if (ready == 0) throw trouble("did nothing in time");
    if ((ends[0].revents & POLLIN) == 0) return false;
    std::array<char, 4096> piece{};
    const ssize_t count = ::read(ours_, piece.data(), piece.size());
    if (count > 0) shown_.append(piece.data(), static_cast<std::size_t>(count));
    return count > 0;
}

void OnTerminal::read_until(std::string_view text, int limit_s) {
    while (shown_.find(text) == std::string::npos) {
        if (!read_more(limit_s)) throw trouble("ended before it showed \"" + std::string(text) + "\"");
    }
}

void OnTerminal::type(std::string_view keys) const {
    if (::write(ours_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) throw trouble("takes no keys");
}

void OnTerminal::send_signal(int signal) const {
    ::kill(id_, signal);
}

bool OnTerminal::echoes() const {
    termios state{};
    if (::tcgetattr(theirs_, &state) != 0) throw trouble("has no terminal");
    return (state.c_lflag & static_cast<tcflag_t>(ECHO)) != 0;
}

Ended OnTerminal::wait(int limit_s) {
    while (read_more(limit_s)) continue;
    int status = 0;
    ::waitpid(id_, &status, 0);
    reaped_ = true;
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .out = shown_,
            .err = ""};
}

TempFolder::TempFolder() {
    // Memory where there is some: a test does not wait for the disk to acknowledge each commit.
    const std::filesystem::path memory = "/dev/shm";
    const bool usable = ::access(memory.c_str(), W_OK) == 0;
    std::string name = ((usable ? memory : std::filesystem::temp_directory_path()) / "lockstep-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
    path_ = name;
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string built(std::string_view program) {
    return std::string(LOCKSTEP_BINARY_DIR) + "/" + std::string(program);
}

}  // namespace lockstep::support

#include "bench/program.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>

#include "base/text.h"

namespace lockstep::bench {

namespace {

// Often enough that a peak near the end is seen, seldom enough that it costs nothing.
constexpr int kLookMs = 20;

/// A child that is killed and reaped whatever happens.
class Watched {
public:
    explicit Watched(const support::Start& start) : child_(support::start_child(start)) { ::close(child_.in); }
    ~Watched() {
        if (child_.id <= 0) return;
        ::kill(child_.id, SIGKILL);
        ::waitpid(child_.id, nullptr, 0);
    }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

    const support::Child& child() const { return child_; }
    int wait(rusage& used) {
        int status = 0;
        ::wait4(child_.id, &status, 0, &used);
        child_.id = -1;
        return status;
    }

private:
    support::Child child_;
};

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void take_lines(std::string& rest, double at_s, std::vector<Ran::Line>& lines) {
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
        lines.push_back({at_s, rest.substr(0, end)});
        rest.erase(0, end + 1);
    }
}

}  // namespace

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_since(double from) {
    return now_s() - from;
}

std::int64_t peak_kb(int id) {
    std::ifstream status("/proc/" + std::to_string(id) + "/status");
    for (std::string line; std::getline(status, line);) {
        if (!line.starts_with("VmHWM:")) continue;
        const std::string_view text = trim(std::string_view(line).substr(6));
        return parse_int(text.substr(0, text.find(' '))).value_or(0);
    }
    return 0;
}

Ran run_watched(const support::Start& start, int limit_s) {
    Ran ran;
    std::string rest;
    const double from = now_s();
    Watched watched(start);
    std::array<pollfd, 2> ends{pollfd{watched.child().out, POLLIN, 0}, pollfd{watched.child().err, POLLIN, 0}};
    std::array<char, 16384> piece{};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        ::poll(ends.data(), ends.size(), kLookMs);
        ran.peak_kb = std::max(ran.peak_kb, peak_kb(watched.child().id));
        if (seconds_since(from) > limit_s) throw std::runtime_error(start.program + " did not end in time");
        for (std::size_t i = 0; i < ends.size(); ++i) {
            if (ends.at(i).fd < 0 || ends.at(i).revents == 0) continue;
            const ssize_t count = ::read(ends.at(i).fd, piece.data(), piece.size());
            if (count <= 0) {
                ::close(ends.at(i).fd);
                ends.at(i).fd = -1;
            } else if (i == 0) {
                ran.out.append(piece.data(), static_cast<std::size_t>(count));
            } else {
                rest.append(piece.data(), static_cast<std::size_t>(count));
                take_lines(rest, seconds_since(from), ran.err);
            }
        }
    }
    rusage used{};
    const int status = watched.wait(used);
    ran.seconds = seconds_since(from);
    ran.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::string said = ran.out;
        for (const Ran::Line& line : ran.err) said += line.text + "\n";
        throw std::runtime_error(start.program + " failed:\n" + said + rest);
    }
    return ran;
}

}  // namespace lockstep::bench

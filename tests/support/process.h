#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lockstep::support {

/// How a program is started. `environment` is added to ours; an empty value takes a variable away.
struct Start {
    std::string program;
    std::vector<std::string> arguments;
    std::map<std::string, std::string> environment;
    std::string input;  ///< all it reads from standard input
};

/// How a program ended.
struct Ended {
    int exit_code = -1;  ///< -1: by a signal
    int signal = 0;
    std::string out, err;
};

/// A child process and our ends of its pipes. Whoever started it closes them, and reaps it.
struct Child {
    pid_t id = -1;
    int in = -1, out = -1, err = -1;
};
/// Starts a program that dies with the process that started it; `start.input` is left to the caller. Throws
/// std::runtime_error when there can be no process.
Child start_child(const Start& start);

/// A running program of ours or of the system. What it writes is read as it comes, so that it never waits for us; it is
/// killed when this object dies, and with the test that started it.
///
/// Errors: throws std::runtime_error, with all that was written so far, when the program can not be started, when it
/// ends before it wrote what is waited for, or at the time limit.
class Process {
public:
    static constexpr int kLimitS = 60;
    explicit Process(const Start& start);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t id() const { return id_; }
    /// The next line of its standard output, without the line end.
    std::string read_line(int limit_s = kLimitS);
    /// Waits for a line of its standard output that contains `text`; returns it.
    std::string read_line_with(std::string_view text, int limit_s = kLimitS);
    void send_signal(int signal);
    Ended wait(int limit_s = kLimitS);

private:
    void read_all(int out, int err);
    std::runtime_error trouble(std::string_view what);
    const std::string program_;
    pid_t id_ = -1;
    bool reaped_ = false;
    std::mutex mutex_;
    std::condition_variable grown_;
    std::string out_, err_;
    std::size_t out_taken_ = 0;
    bool closed_ = false;
    std::thread reader_;
};

/// Runs a program to its end.
Ended run(const Start& start, int limit_s = Process::kLimitS);

/// A program on a terminal of its own, as a person would run it: what it shows, what is typed, and whether typing
/// shows. Killed when this object dies.
///
/// Errors: throws std::runtime_error, with all that was shown so far, as Process does.
class OnTerminal {
public:
    explicit OnTerminal(const Start& start);
    ~OnTerminal();
    OnTerminal(const OnTerminal&) = delete;
    OnTerminal& operator=(const OnTerminal&) = delete;

    /// Waits until `text` has been shown.
    void read_until(std::string_view text, int limit_s = Process::kLimitS);
    /// Types keys: "\n" ends a line, "\x03" is Ctrl-C.
    void type(std::string_view keys) const;
    void send_signal(int signal) const;
    /// Whether the terminal shows what is typed.
    bool echoes() const;
    /// `out` is all that was shown.
    Ended wait(int limit_s = Process::kLimitS);

private:
    /// More of what is shown, or nothing when the program has ended.
    bool read_more(int limit_s);
    std::runtime_error trouble(std::string_view what) const;
    const std::string program_;
    int ours_ = -1, theirs_ = -1;  ///< ends of the pseudo-terminal; its own is kept open to be looked at
    pid_t id_ = -1;
    int alive_ = -1;  ///< pidfd
    bool reaped_ = false;
    std::string shown_;
};

/// A fresh folder that goes with this object.
class TempFolder {
public:
    TempFolder();
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

/// The path of a program of this build: "lockstep", "lockstep-sandbox".
std::string built(std::string_view program);

}  // namespace lockstep::support

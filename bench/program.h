#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process.h"

namespace lockstep::bench {

/// How a program of ours ran.
struct Ran {
    double seconds = 0;        ///< from its start to its end
    double cpu_seconds = 0;    ///< of all its threads, in and out of the kernel
    std::int64_t peak_kb = 0;  ///< the most memory it had at once (VmHWM)
    std::string out;           ///< standard output
    struct Line {
        double at_s = 0;  ///< after its start
        std::string text;
    };
    std::vector<Line> err;  ///< standard error, each line when it came
};

/// Runs a program to its end and watches it. Throws std::runtime_error when it ends with anything but 0, with what it
/// wrote, or when it takes longer than `limit_s`.
Ran run_watched(const support::Start& start, int limit_s = 3600);

/// Seconds since `from`, of a clock that never jumps.
double seconds_since(double from);
double now_s();
/// The most memory process `id` had at once so far; 0 once it is gone.
std::int64_t peak_kb(int id);

}  // namespace lockstep::bench

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::bench {

/// What one measurement found.
struct Figure {
    std::string bench;  ///< "load"
    std::string name;   ///< "sqlite, shuffled: load, times the naive loader"
    double value = 0;
    std::string unit;  ///< "rows/s", "ms", "MB", "times", "rows"
    /// What it should be: at least, or at most, that much. Nothing: it is only told.
    std::optional<double> at_least, at_most;
    bool met() const { return (!at_least || value >= *at_least) && (!at_most || value <= *at_most); }
};

/// "load     sqlite, in order: …        312,000 rows/s" with the aim behind it, where there is one.
std::string as_line(const Figure& figure);
/// An array of objects with the members of Figure, one a line.
std::string as_json(const std::vector<Figure>& figures);

enum class Engines { Both, Sqlite, Postgres };

struct Options {
    bool quick = false;  ///< small numbers: shows that everything works, tells nothing about speed
    bool many = false;   ///< also the run with thirty million rows
    int runs = 3;        ///< of each thing measured; the median counts
    Engines engines = Engines::Both;
    std::string folder;  ///< on the disk that is meant: databases and recorded pages lie here while they are needed
};

/// Takes figures as they are found.
using Sink = std::function<void(Figure figure)>;

/// The middle one; of an even number the smaller of the two. `values` is not empty.
double median(std::vector<double> values);

// The benches. They throw std::runtime_error when a program fails or a count is not what it has to be.

/// The first load into an empty database, from the sandbox and from recorded pages, beside a naive loader.
void load(const Options& options, const Sink& found);
/// A cycle with a thousand changes, in a small org and in one twenty times its size.
void cycle(const Options& options, const Sink& found);
/// How fast the sandbox gives its bulk results to a client that throws them away.
void sandbox(const Options& options, const Sink& found);

}  // namespace lockstep::bench

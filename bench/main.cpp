// Start here: measures what is promised about speed. Every ratio is taken in one run on one machine.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "bench/figures.h"

namespace {

using namespace lockstep;
using namespace lockstep::bench;

struct Bench {
    const char* name;
    const char* what;
    void (*run)(const Options&, const Sink&);
};
constexpr Bench kBenches[] = {
    {"load", "the first load, beside a naive loader", load},
    {"cycle", "a cycle with 1,000 changes, in a small org and in a large one", cycle},
    {"sandbox", "how fast the sandbox gives its bulk results", sandbox},
};

constexpr const char* kUsage = R"(./dev bench [NAME…] [OPTIONS]     one line a figure; all without a NAME
  --json           one array of objects instead of lines
  --quick          small numbers, seconds: shows that everything works, tells nothing about speed
  --long           also a load of 30 million rows
  --runs N         of each thing measured, the median counts (3)
  --engine NAME    sqlite or postgres; both without it
  --folder FOLDER  where databases and recorded pages lie meanwhile, on the disk that is meant (build/bench)
)";

struct Asked {
    Options options;
    bool json = false;
    std::vector<std::string> names;
};

/// Nothing: the words are not understood.
std::optional<Asked> understand(const std::vector<std::string>& words) {
    Asked asked;
    asked.options.folder = "build/bench";
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const bool takes_value = word == "--runs" || word == "--engine" || word == "--folder";
        if (takes_value && i + 1 == words.size()) return std::nullopt;
        if (word == "--json") {
            asked.json = true;
        } else if (word == "--quick") {
            asked.options.quick = true;
            asked.options.runs = 1;
        } else if (word == "--long") {
            asked.options.many = true;
        } else if (word == "--runs") {
            asked.options.runs = static_cast<int>(parse_int(words[++i]).value_or(0));
        } else if (word == "--engine") {
            const std::string& engine = words[++i];
            if (engine != "sqlite" && engine != "postgres") return std::nullopt;
            asked.options.engines = engine == "sqlite" ? Engines::Sqlite : Engines::Postgres;
        } else if (word == "--folder") {
            asked.options.folder = words[++i];
        } else if (word.starts_with("-")) {
            return std::nullopt;
        } else {
            asked.names.push_back(word);
        }
    }
    for (const std::string& name : asked.names) {
        if (std::ranges::none_of(kBenches, [&](const Bench& bench) { return name == bench.name; })) return std::nullopt;
    }
    if (asked.options.runs < 1) return std::nullopt;
    return asked;
}

}  // namespace

int main(int count, char** arguments) {
    const auto asked = understand({arguments + 1, arguments + count});
    if (!asked) {
        std::cerr << kUsage << "Names:\n";
        for (const Bench& bench : kBenches) std::cerr << "  " << bench.name << "\t" << bench.what << "\n";
        return 2;
    }
    std::vector<Figure> figures;
    const auto found = [&](Figure figure) {
        if (!asked->json) std::cout << as_line(figure) << std::endl;
        figures.push_back(std::move(figure));
    };
    try {
        std::filesystem::create_directories(asked->options.folder);
        for (const Bench& bench : kBenches) {
            const bool wanted =
                asked->names.empty() || std::ranges::find(asked->names, bench.name) != asked->names.end();
            if (wanted) bench.run(asked->options, found);
        }
    } catch (const std::exception& error) {
        std::cerr << "the bench ended early: " << error.what() << "\n";
        return 1;
    }
    if (asked->json) std::cout << as_json(figures) << std::endl;
    return 0;
}

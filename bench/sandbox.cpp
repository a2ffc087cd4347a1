#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/text.h"
#include "bench/figures.h"
#include "bench/org.h"
#include "bench/program.h"

namespace lockstep::bench {

namespace {

/// curl reads `url` and throws it away; bytes a second.
double read_away(const std::string& url, const std::string& token, double& bytes) {
    const Ran ran =
        run_watched({.program = "curl",
                     .arguments = {"-sS", "--fail", "-o", "/dev/null", "-H", "Authorization: Bearer " + token, "-w",
                                   "%{size_download} %{time_total}", url}});
    const std::vector<std::string> words = split(trim(ran.out), ' ');
    if (words.size() != 2) throw std::runtime_error("curl told no sizes: " + ran.out);
    bytes = parse_double(words[0]).value_or(0);
    const double seconds = parse_double(words[1]).value_or(0);
    if (bytes < 1 || seconds <= 0) throw std::runtime_error("curl read nothing: " + ran.out);
    return bytes / seconds;
}

}  // namespace

void sandbox(const Options& options, const Sink& found) {
    constexpr double kMega = 1e6;
    const std::int64_t people = options.quick ? 600 : 300'000;
    const std::int64_t rows = options.quick ? 2'000 : 1'000'000;
    Org org({.people = people, .opportunities = rows, .roles = rows});
    make_usual(org);
    for (const char* const order : {"plain", "shuffled"}) {
        org.admin("PATCH", "/sandbox/settings", fmt::format(R"({{"bulk_order":"{}"}})", order));
        for (const char* const object : {"Opportunity", "OpportunityContactRole", "Contact"}) {
            const std::string page = org.url() + "/services/data/v" + Org::kVersion + "/jobs/query/" +
                                     org.bulk_job(object) + "/results?maxRecords=" + std::to_string(rows);
            std::vector<double> speeds;
            speeds.reserve(static_cast<std::size_t>(options.runs));
            double bytes = 0;
            for (int run = 0; run < options.runs; ++run) speeds.push_back(read_away(page, org.token(), bytes));
            const std::string name = fmt::format("{}, {}", object, order);
            found({.bench = "sandbox", .name = name + ": size of the result", .value = bytes / kMega, .unit = "MB"});
            found({.bench = "sandbox", .name = name, .value = median(speeds) / kMega, .unit = "MB/s"});
        }
    }
}

}  // namespace lockstep::bench

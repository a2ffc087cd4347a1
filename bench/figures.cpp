#include "bench/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/json.h"
#include "base/text.h"

namespace lockstep::bench {

namespace {

std::string number(double value) {
    if (std::abs(value) >= 1000) return with_thousands(static_cast<std::int64_t>(std::llround(value)));
    return fmt::format("{:.{}f}", value, std::abs(value) >= 100 ? 0 : 2);
}

}  // namespace

std::string as_line(const Figure& figure) {
    std::string line =
        fmt::format("{:<8} {:<58} {:>12} {}", figure.bench, figure.name, number(figure.value), figure.unit);
    if (figure.at_least) line += fmt::format("  (aim: at least {})", number(*figure.at_least));
    if (figure.at_most) line += fmt::format("  (aim: at most {})", number(*figure.at_most));
    if (!figure.met()) line += "  MISSED";
    return line;
}

std::string as_json(const std::vector<Figure>& figures) {
    std::string text = "[";
    for (const Figure& figure : figures) {
        json::object object{
            {"bench", figure.bench}, {"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
        if (figure.at_least) object["at_least"] = *figure.at_least;
        if (figure.at_most) object["at_most"] = *figure.at_most;
        object["met"] = figure.met();
        text += (text.size() > 1 ? ",\n " : "") + json::serialize(object);
    }
    return text + "]";
}

double median(std::vector<double> values) {
    check(!values.empty(), "a median of nothing");
    std::ranges::sort(values);
    return values[(values.size() - 1) / 2];
}

}  // namespace lockstep::bench

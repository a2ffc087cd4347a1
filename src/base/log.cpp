#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

namespace lockstep::log {

namespace {

spdlog::logger& logger() {
    // Never destroyed: a thread may still log while the program ends.
    static spdlog::logger* const shared = [] {
        auto* made = new spdlog::logger("lockstep", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_formatter(
            std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%SZ %v", spdlog::pattern_time_type::utc));
        made->set_level(spdlog::level::warn);
        return made;
    }();
    return *shared;
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
}

/// Appends `text` so that it stays on its line; inside quotes, quotes and backslashes are escaped too.
void append_escaped(std::string& out, std::string_view text, bool in_quotes) {
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (is_control(c)) {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
            if (in_quotes && (c == '"' || c == '\\')) out += '\\';
            out += c;
        }
    }
}

void append_value(std::string& out, std::string_view value) {
    const bool plain = !value.empty() && std::ranges::none_of(value, [](char c) {
        return c == ' ' || c == '"' || c == '=' || is_control(c);
    });
    if (plain) {
        out += value;
        return;
    }
    out += '"';
    append_escaped(out, value, true);
    out += '"';
}

void write(spdlog::level::level_enum level, std::string_view word, std::string_view message,
           std::initializer_list<Field> fields) {
    if (!logger().should_log(level)) return;
    std::string line(word);
    line += ' ';
    append_escaped(line, message, false);
    for (const Field& field : fields) {
        line += ' ';
        line += field.name;
        line += '=';
        append_value(line, field.value);
    }
    logger().log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void set_level(Level level) {
    constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                    spdlog::level::err, spdlog::level::off};
    logger().set_level(levels[static_cast<std::size_t>(level)]);
}

void debug(std::string_view message, std::initializer_list<Field> fields) {
    write(spdlog::level::debug, "debug", message, fields);
}
void info(std::string_view message, std::initializer_list<Field> fields) {
    write(spdlog::level::info, "info", message, fields);
}
void warn(std::string_view message, std::initializer_list<Field> fields) {
    write(spdlog::level::warn, "warn", message, fields);
}
void error(std::string_view message, std::initializer_list<Field> fields) {
    write(spdlog::level::err, "error", message, fields);
}

}  // namespace lockstep::log

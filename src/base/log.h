#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace lockstep::log {

/// A named field of a log line. Never a token, a password, or the value of a person's field.
struct Field {
    Field(std::string_view name_in, std::string_view text) : name(name_in), value(text) {}
    Field(std::string_view name_in, const char* text) : name(name_in), value(text) {}
    Field(std::string_view name_in, const std::string& text) : name(name_in), value(text) {}
    template <class Number, class = decltype(std::to_string(std::declval<Number>()))>
    Field(std::string_view name_in, Number number) : name(name_in), value(std::to_string(number)) {}
    std::string name;
    std::string value;
};

enum class Level { Debug, Info, Warn, Error, Off };
/// Lines go to standard error, one an event: "2026-11-24T08:30:00Z warn message name=value". Values with blanks, quotes
/// or '=' stand in quotes; line breaks are escaped. From any thread. Default level: Warn.
void set_level(Level level);

void debug(std::string_view message, std::initializer_list<Field> fields = {});
void info(std::string_view message, std::initializer_list<Field> fields = {});
void warn(std::string_view message, std::initializer_list<Field> fields = {});
void error(std::string_view message, std::initializer_list<Field> fields = {});

}  // namespace lockstep::log

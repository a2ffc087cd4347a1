#include "http/message.h"

#include <algorithm>
#include <optional>

namespace lockstep::http {

namespace {

std::string_view field(const Headers& headers, std::string_view name) {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view{} : std::string_view(found->second);
}

std::optional<std::string> query_value(std::string_view target, std::string_view name) {
    target = target.substr(0, target.find('#'));
    const std::size_t mark = target.find('?');
    if (mark == std::string_view::npos) return std::nullopt;
    std::string_view rest = target.substr(mark + 1);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('&'), rest.size());
        const std::string_view pair = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (url_decode(pair.substr(0, equals)) != name) continue;
        return url_decode(pair.substr(std::min(equals + 1, pair.size())));
    }
    return std::nullopt;
}

bool is_token_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

}  // namespace

std::string Request::path() const {
    std::string folded;
    for (const char c : origin_form(target)) {
        if (c == '?') break;
        if (c != '/' || !folded.ends_with('/')) folded += c;
    }
    return folded;
}

std::string Request::query(std::string_view name) const {
    return query_value(target, name).value_or("");
}

bool Request::has_query(std::string_view name) const {
    return query_value(target, name).has_value();
}

std::string_view Request::header(std::string_view name) const {
    return field(headers, name);
}

std::string_view Response::header(std::string_view name) const {
    return field(headers, name);
}

std::string origin_form(std::string_view target) {
    target = target.substr(0, target.find('#'));
    if (!target.starts_with('/')) {
        const std::size_t scheme = target.substr(0, target.find('?')).find("://");
        if (scheme == std::string_view::npos) return std::string(target);
        const std::size_t start = target.find_first_of("/?", scheme + 3);
        target.remove_prefix(std::min(start, target.size()));
    }
    return target.starts_with('/') ? std::string(target) : "/" + std::string(target);
}

bool is_header_field(std::string_view name, std::string_view value) {
    return !name.empty() && std::ranges::all_of(name, is_token_character) &&
           std::ranges::none_of(value, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool accepts_gzip(std::string_view accept_encoding) {
    for (const std::string& offer : split(accept_encoding, ',')) {
        const std::vector<std::string> parts = split(offer, ';');
        if (parts.empty() || !equals_ignoring_case(trim(parts[0]), "gzip")) continue;
        if (parts.size() == 1) return true;
        const std::string_view quality = trim(parts[1]);
        return !starts_with_ignoring_case(quality, "q=") || parse_double(quality.substr(2)).value_or(0) > 0;
    }
    return false;
}

}  // namespace lockstep::http

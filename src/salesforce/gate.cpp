#include "salesforce/gate.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/text.h"
#include "salesforce/composite.h"
#include "salesforce/soap.h"

namespace lockstep::salesforce {

namespace {

struct Allowed {
    std::string_view method;
    /// {v} is a version ("v60.0"), {n} one without its letter, {id} an id, a closing {…} one segment or more, or none.
    std::string_view shape;
    bool (*fits_body)(std::string_view body) = nullptr;  ///< null: any
};

bool is_composite_of_reads(std::string_view body) {
    const auto parts = composite_parts(body);
    // "@{…}" would be replaced by something of another part's answer.
    return parts && !parts->empty() && std::ranges::all_of(*parts, [](const CompositePart& part) {
               return part.path.find("@{") == std::string::npos && may_send("GET", part.path);
           });
}

constexpr std::array kAllowed{
    Allowed{"POST", "/services/oauth2/token"},
    Allowed{"GET", "/services/oauth2/userinfo"},
    Allowed{"POST", "/services/Soap/u/{n}", is_user_info_envelope},
    Allowed{"GET", "/services/data"},
    Allowed{"GET", "/services/data/{v}"},
    Allowed{"GET", "/services/data/{v}/limits/{…}"},
    Allowed{"GET", "/services/data/{v}/sobjects/{…}"},
    Allowed{"GET", "/services/data/{v}/query/{…}"},
    Allowed{"GET", "/services/data/{v}/queryAll/{…}"},
    Allowed{"POST", "/services/data/{v}/composite", is_composite_of_reads},
    Allowed{"GET", "/services/data/{v}/jobs/query/{…}"},
    Allowed{"POST", "/services/data/{v}/jobs/query"},
    Allowed{"PATCH", "/services/data/{v}/jobs/query/{id}"},
    Allowed{"DELETE", "/services/data/{v}/jobs/query/{id}"},
};

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_version_number(std::string_view text) {
    return text.size() > 2 && text.ends_with(".0") &&
           std::ranges::all_of(text.substr(0, text.size() - 2), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_version(std::string_view text) {
    return text.starts_with('v') && is_version_number(text.substr(1));
}

/// Letters of API names, ids and locators, so that nothing can climb out of its folder: no dot, no escape.
bool is_plain(std::string_view text) {
    return !text.empty() &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
}

bool is_id(std::string_view text) {
    return (text.size() == 15 || text.size() == 18) && std::ranges::all_of(text, is_alphanumeric);
}

bool fits(std::string_view shape, const std::vector<std::string>& segments) {
    const std::vector<std::string> wanted = split(shape, '/');
    const bool open = wanted.back() == "{…}";
    const std::size_t fixed = wanted.size() - (open ? 1 : 0);
    if (segments.size() < fixed || (!open && segments.size() > fixed)) return false;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::string_view want = i < fixed ? std::string_view(wanted[i]) : "{…}";
        const bool good = want == "{v}"    ? is_version(segments[i])
                          : want == "{n}"  ? is_version_number(segments[i])
                          : want == "{id}" ? is_id(segments[i])
                          : want == "{…}"  ? is_plain(segments[i])
                                           : segments[i] == want;
        if (!good) return false;
    }
    return true;
}

bool names_another_method(std::string_view query) {
    return std::ranges::any_of(split(query, '&'), [](const std::string& pair) {
        return equals_ignoring_case(url_decode(pair.substr(0, pair.find('='))), "_HttpMethod");
    });
}

}  // namespace

bool may_send(std::string_view method, std::string_view path, std::string_view body) {
    // Blanks, controls and backslashes have no place in a URL; a mark would hide what stands behind it.
    if (std::ranges::any_of(path, [](char c) { return c <= ' ' || c == '\\' || c == '#' || c == 0x7F; })) return false;
    const std::size_t mark = path.find('?');
    if (mark != std::string_view::npos && names_another_method(path.substr(mark + 1))) return false;
    std::string_view plain = path.substr(0, mark);
    if (plain.size() > 1 && plain.ends_with('/')) plain.remove_suffix(1);
    const std::vector<std::string> segments = split(plain, '/');
    return std::ranges::any_of(kAllowed, [&](const Allowed& allowed) {
        return method == allowed.method && fits(allowed.shape, segments) &&
               (allowed.fits_body == nullptr || allowed.fits_body(body));
    });
}

}  // namespace lockstep::salesforce

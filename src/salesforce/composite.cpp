#include "salesforce/composite.h"

#include <fmt/format.h>

#include "base/json.h"
#include "record/value.h"

namespace lockstep::salesforce {

namespace {

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply, .what = std::move(what), .hint = "the questions are asked one by one instead"};
}

std::string reference(std::size_t index) {
    return "part" + std::to_string(index);
}

}  // namespace

std::string composite_body(std::span<const CompositePart> parts) {
    std::string body = R"({"allOrNone":false,"compositeRequest":[)";
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i > 0) body += ',';
        body += R"({"method":"GET","url":)" + record::quoted_json(parts[i].path);
        if (parts[i].only_since) {
            body += R"(,"httpHeaders":{"If-Modified-Since":)" +
                    record::quoted_json(to_http_date(*parts[i].only_since)) + "}";
        }
        body += R"(,"referenceId":")" + reference(i) + "\"}";
    }
    return body + "]}";
}

std::optional<std::vector<CompositePart>> composite_parts(std::string_view body) {
    const auto parsed = parse_json(body);
    const json::object* const whole = parsed.ok() ? parsed->if_object() : nullptr;
    const json::array* const list = whole == nullptr ? nullptr : array_at(*whole, "compositeRequest");
    if (list == nullptr) return std::nullopt;
    std::vector<CompositePart> parts;
    for (const json::value& entry : *list) {
        const json::object* const told = entry.if_object();
        const auto path = told == nullptr ? std::nullopt : text_at(*told, "url");
        if (!path) return std::nullopt;
        const json::object* const headers = object_at(*told, "httpHeaders");
        const auto since = headers == nullptr ? std::nullopt : text_at(*headers, "If-Modified-Since");
        parts.push_back({.path = *path, .only_since = since ? parse_http_date(*since) : std::nullopt});
    }
    // Whatever else stands in it - another method, a body, a second member of one name - makes another text.
    if (composite_body(parts) != body) return std::nullopt;
    return parts;
}

Result<std::vector<http::Response>> parse_composite(std::string_view body, std::size_t parts) {
    const json::value parsed = TRY(parse_json(body));
    const json::array* const list = parsed.is_object() ? array_at(parsed.get_object(), "compositeResponse") : nullptr;
    if (list == nullptr || list->size() != parts) {
        return bad_reply(fmt::format("The answer to {} questions in one call has {} answers", parts,
                                     list == nullptr ? 0 : list->size()));
    }
    std::vector<http::Response> answers;
    for (const json::value& entry : *list) {
        const json::object* const told = entry.if_object();
        const auto status = told == nullptr ? std::nullopt : int_at(*told, "httpStatusCode");
        const auto name = told == nullptr ? std::nullopt : text_at(*told, "referenceId");
        const json::value* const content = told == nullptr ? nullptr : told->if_contains("body");
        if (!status || !name || *name != reference(answers.size()) || content == nullptr) {
            return bad_reply("An answer within one call lacks its status, its name or its content");
        }
        http::Response& answer = answers.emplace_back(
            http::Response{.status = static_cast<int>(*status), .headers = {{"Content-Type", "application/json"}}});
        if (!content->is_null()) answer.body = json::serialize(*content);
        if (const json::object* const headers = object_at(*told, "httpHeaders")) {
            for (const auto& [header, value] : *headers) {
                if (value.is_string()) answer.headers[std::string(header)] = std::string(value.get_string());
            }
        }
    }
    return answers;
}

}  // namespace lockstep::salesforce

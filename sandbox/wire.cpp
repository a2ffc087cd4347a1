#include "sandbox/wire.h"

#include "base/json.h"
#include "base/text.h"

namespace lockstep::sandbox {

http::Answer json_answer(int status, std::string body) {
    http::Answer answer;
    answer.status = status;
    answer.headers["Content-Type"] = "application/json;charset=UTF-8";
    answer.body = std::move(body);
    return answer;
}

http::Answer empty_answer(int status) {
    http::Answer answer;
    answer.status = status;
    return answer;
}

http::Answer error_answer(const ApiError& error) {
    std::string body = "[{";
    append_member(body, "message", error.message);
    append_member(body, "errorCode", error.code);
    if (error.has_fields) append_raw_member(body, "fields", json_list(error.fields));
    return json_answer(error.status, body + "}]");
}

http::Answer error_answer(int status, std::string code, std::string message) {
    return error_answer(ApiError{.status = status, .code = std::move(code), .message = std::move(message)});
}

http::Answer error_answer(const Error& error) {
    const bool gone = error.code == "NOT_FOUND" || error.code == "ENTITY_IS_DELETED";
    return error_answer(gone ? 404 : 400, error.code.empty() ? "UNKNOWN_EXCEPTION" : error.code, error.what);
}

http::Answer not_found() {
    return error_answer(404, "NOT_FOUND", "The requested resource does not exist");
}

std::string json_text(std::string_view text) {
    return json::serialize(json::string(is_valid_utf8(text) ? std::string(text) : to_valid_utf8(text)));
}

std::string wire_time(Timestamp at) {
    std::string text = to_string(at);  // "…T21:54:34Z"
    text.pop_back();
    return text + ".000+0000";
}

void append_member(std::string& out, std::string_view key, std::string_view text) {
    append_raw_member(out, key, json_text(text));
}

void append_raw_member(std::string& out, std::string_view key, std::string_view raw) {
    if (!out.empty() && out.back() != '{' && out.back() != '[') out += ',';
    out += '"';
    out += key;
    out += "\":";
    out += raw;
}

std::string json_list(const std::vector<std::string>& texts) {
    std::string out = "[";
    for (const auto& text : texts) out += (out.size() > 1 ? "," : "") + json_text(text);
    return out + "]";
}

std::vector<std::string> path_parts(std::string_view path) {
    std::vector<std::string> parts;
    for (const auto& part : split(path, '/'))
        if (!part.empty()) parts.push_back(url_decode(part, false));
    return parts;
}

bool fits(std::string_view pattern, const std::vector<std::string>& parts, std::vector<std::string>& args) {
    std::vector<std::string> taken;
    std::size_t at = 0;
    for (const auto& wanted : split(pattern, '/')) {
        if (wanted.empty()) continue;
        if (at == parts.size()) return false;
        if (wanted == "{}")
            taken.push_back(parts[at]);
        else if (!equals_ignoring_case(wanted, parts[at]))
            return false;
        ++at;
    }
    if (at != parts.size()) return false;
    args.insert(args.end(), taken.begin(), taken.end());
    return true;
}

std::string pretty_json(std::string_view compact) {
    std::string out;
    std::vector<char> open;  // '{' and '[' around the place we are at
    std::size_t depth = 0;   // of objects only: arrays do not indent
    const auto new_line = [&] { out += "\n" + std::string(2 * depth, ' '); };
    bool in_text = false;
    for (std::size_t i = 0; i < compact.size(); ++i) {
        const char c = compact[i];
        if (in_text) {
            out += c;
            if (c == '\\')
                out += compact[++i];
            else if (c == '"')
                in_text = false;
            continue;
        }
        const bool empty = i + 1 < compact.size() && (compact[i + 1] == '}' || compact[i + 1] == ']');
        switch (c) {
            case '{':
            case '[':
                out += c;
                if (empty) {
                    out += ' ';
                    out += compact[++i];
                    break;
                }
                open.push_back(c);
                if (c == '[') {
                    out += ' ';
                } else {
                    ++depth;
                    new_line();
                }
                break;
            case '}':
                --depth;
                new_line();
                out += c;
                open.pop_back();
                break;
            case ']':
                out += " ]";
                open.pop_back();
                break;
            case ':':
                out += " : ";
                break;
            case ',':
                out += c;
                if (!open.empty() && open.back() == '[')
                    out += ' ';
                else
                    new_line();
                break;
            case '"':
                in_text = true;
                [[fallthrough]];
            default:
                out += c;
        }
    }
    return out;
}

http::Headers form_fields(std::string_view body) {
    http::Headers fields;
    for (const auto& pair : split(body, '&')) {
        const std::size_t equals = pair.find('=');
        if (pair.empty()) continue;
        fields[url_decode(pair.substr(0, equals))] =
            equals == std::string::npos ? std::string() : url_decode(pair.substr(equals + 1));
    }
    return fields;
}

}  // namespace lockstep::sandbox

#include "sandbox/settings.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

struct Number {
    const char* name;
    std::int64_t Settings::*member;
    std::int64_t min;
};
constexpr Number numbers[] = {
    {"quota", &Settings::quota, 0},
    {"session_timeout", &Settings::session_timeout_s, 1},
    {"job_ms", &Settings::job_ms, 0},
    {"bulk_page_rows", &Settings::bulk_page_rows, 1},
    {"query_page_rows", &Settings::query_page_rows, 1},
    {"alive", &Settings::alive_per_minute, 0},
    {"locator_idle", &Settings::locator_idle_s, 1},
};

}  // namespace

bool is_currency_code(std::string_view text) {
    return text.size() == 3 && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

Result<Org::Currency> currency_of(std::string_view text) {
    const std::string_view code = text.substr(0, text.find(' '));
    const std::string_view rest = trim(text.substr(code.size()));
    const auto rate = rest.empty() ? std::optional<double>(1) : parse_double(rest);
    if (!is_currency_code(code) || !rate)
        return Error{.kind = Kind::Invalid,
                     .what = "\"" + std::string(text) + "\" is no currency.",
                     .hint =
                         "write its ISO code and how many of it one of the corporate currency is worth: "
                         "\"USD 1.0843\""};
    return Org::Currency{std::string(code), *rate};
}

Settings SettingsBox::get() const {
    const std::scoped_lock lock(mutex_);
    return settings_;
}

Result<void> SettingsBox::change(std::string_view json_text) {
    const auto parsed = TRY(parse_json(json_text));
    const auto refuse = [](std::string_view name) {
        return Error{.kind = Kind::Invalid,
                     .what = "The setting \"" + std::string(name) + "\" does not exist, or its value does not fit.",
                     .hint = "GET /sandbox/settings shows each setting with its value"};
    };
    if (!parsed.is_object()) return refuse("");
    Settings changed = get();
    for (const auto& [name, value] : parsed.as_object()) {
        bool known = false;
        for (const auto& number : numbers) {
            if (name != number.name) continue;
            if (!value.is_int64() || value.as_int64() < number.min) return refuse(name);
            changed.*number.member = value.as_int64();
            known = true;
        }
        if (known) continue;
        if (name == "bulk_order" && (value == "plain" || value == "shuffled")) {
            changed.bulk_shuffled = value == "shuffled";
        } else if (name == "bulk_gzip" && value.is_bool()) {
            changed.bulk_gzip = value.as_bool();
        } else if (name == "security_token" && value.is_bool()) {
            changed.security_token = value.as_bool();
        } else if (name == "currency" && value.is_string() && is_currency_code(value.as_string())) {
            changed.currency = value.as_string();
        } else if (name == "api_versions" && value.is_array() && value.as_array().size() == 2 &&
                   value.at(0).is_int64() && value.at(1).is_int64() && 20 <= value.at(0).as_int64() &&
                   value.at(0).as_int64() <= value.at(1).as_int64() && value.at(1).as_int64() <= 99) {
            changed.version_min = static_cast<int>(value.at(0).as_int64());
            changed.version_max = static_cast<int>(value.at(1).as_int64());
        } else {
            return refuse(name);
        }
    }
    const std::scoped_lock lock(mutex_);
    settings_ = changed;
    return {};
}

std::string SettingsBox::to_json() const {
    const Settings settings = get();
    json::object shown;
    for (const auto& number : numbers) shown[number.name] = settings.*number.member;
    shown["bulk_order"] = settings.bulk_shuffled ? "shuffled" : "plain";
    shown["bulk_gzip"] = settings.bulk_gzip;
    shown["security_token"] = settings.security_token;
    shown["currency"] = settings.currency;
    shown["api_versions"] = json::array{settings.version_min, settings.version_max};
    return json::serialize(shown);
}

}  // namespace lockstep::sandbox

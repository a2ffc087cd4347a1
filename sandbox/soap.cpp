#include "sandbox/soap.h"

#include <pugixml.hpp>
#include <sstream>
#include <string>

#include "base/text.h"

namespace lockstep::sandbox {
namespace {

constexpr const char* envelope_namespace = "http://schemas.xmlsoap.org/soap/envelope/";
constexpr const char* partner_namespace = "urn:partner.soap.sforce.com";
constexpr const char* fault_namespace = "urn:fault.partner.soap.sforce.com";

/// Clients choose their prefixes; nothing here is told apart by its namespace.
std::string_view local_name(const pugi::xml_node& node) {
    const std::string_view name = node.name();
    return name.substr(name.find(':') + 1);  // npos + 1 is 0
}

pugi::xml_node child(const pugi::xml_node& parent, std::string_view name) {
    return parent.find_child([&](const pugi::xml_node& node) { return local_name(node) == name; });
}

/// An empty answer, its root declared.
pugi::xml_node envelope(pugi::xml_document& document) {
    auto declaration = document.append_child(pugi::node_declaration);
    declaration.append_attribute("version") = "1.0";
    declaration.append_attribute("encoding") = "UTF-8";
    auto root = document.append_child("soapenv:Envelope");
    root.append_attribute("xmlns:soapenv") = envelope_namespace;
    return root;
}

http::Answer xml_answer(int status, const pugi::xml_document& document) {
    std::ostringstream body;
    document.save(body, "", pugi::format_raw);
    http::Answer answer;
    answer.status = status;
    answer.headers["Content-Type"] = "text/xml;charset=UTF-8";
    answer.body = body.str();
    return answer;
}

http::Answer fault(const std::string& code, const std::string& text, bool with_detail = true) {
    pugi::xml_document document;
    auto root = envelope(document);
    root.append_attribute("xmlns:sf") = fault_namespace;
    root.append_attribute("xmlns:xsi") = "http://www.w3.org/2001/XMLSchema-instance";
    auto fault = root.append_child("soapenv:Body").append_child("soapenv:Fault");
    fault.append_child("faultcode").text().set(code.c_str());
    const std::string plain = code.substr(code.find(':') + 1);
    fault.append_child("faultstring").text().set((with_detail ? plain + ": " + text : text).c_str());
    if (with_detail) {
        auto detail = fault.append_child("detail").append_child("sf:UnexpectedErrorFault");
        detail.append_attribute("xsi:type") = "sf:UnexpectedErrorFault";
        detail.append_child("sf:exceptionCode").text().set(plain.c_str());
        detail.append_child("sf:exceptionMessage").text().set(text.c_str());
    }
    return xml_answer(500, document);
}

/// Faults of the envelope, not of the operation, carry no detail.
http::Answer client_fault(const std::string& text) {
    return fault("soapenv:Client", text, false);
}

/// 62 for "62.0", as for "62".
std::optional<std::int64_t> version_of(std::string_view text) {
    if (text.ends_with(".0")) text.remove_suffix(2);
    return parse_int(text);
}

std::string symbol_of(const std::string& currency) {
    if (currency == "USD") return "$";
    if (currency == "EUR") return "€";
    if (currency == "GBP") return "£";
    return currency;
}

}  // namespace

std::optional<http::Answer> Soap::refusal(Call& call) {
    pugi::xml_document document;
    // No DOCTYPE is needed, and entities beyond XML's own five are never resolved.
    const auto parsed = document.load_buffer(call.request.body.data(), call.request.body.size(),
                                             pugi::parse_default | pugi::parse_doctype, pugi::encoding_utf8);
    if (!parsed) return client_fault(std::string("The envelope can not be read: ") + parsed.description());
    for (const auto& node : document)
        if (node.type() == pugi::node_doctype) return client_fault("DTD is not supported by SOAP");
    const auto root = child(document, "Envelope");
    const auto body = child(root, "Body");
    if (!body) return client_fault("The envelope has no body");
    const auto operation = body.find_child([](const auto& node) { return node.type() == pugi::node_element; });
    if (local_name(operation) != "getUserInfo")
        return client_fault("No operation available for request {" + std::string(partner_namespace) + "}" +
                            std::string(local_name(operation)) + ", please check the WSDL for the service.");
    const auto version = version_of(call.args.at(0));
    const Settings at = settings_.get();
    if (!version || *version < at.version_min || *version > at.version_max)
        return fault("sf:UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL");
    const auto session = child(child(child(root, "Header"), "SessionHeader"), "sessionId");
    const auto user = oauth_.user_of(trim(session.text().get()));
    if (!user) return fault("sf:INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session");
    const auto now = [&] {
        const auto lock = org_.read_lock();
        return org_.now();
    };
    if (!quota_.take(now(), at.quota)) return fault("sf:REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    call.user = *user;
    return std::nullopt;
}

http::Answer Soap::user_info(const Call& call) {
    const Settings settings = settings_.get();
    pugi::xml_document document;
    auto root = envelope(document);
    root.append_attribute("xmlns") = partner_namespace;
    root.append_attribute("xmlns:xsi") = "http://www.w3.org/2001/XMLSchema-instance";
    const auto lock = org_.read_lock();

    auto limit = root.append_child("soapenv:Header").append_child("LimitInfoHeader").append_child("limitInfo");
    limit.append_child("current").text().set(std::to_string(quota_.used(org_.now())).c_str());
    limit.append_child("limit").text().set(std::to_string(settings.quota).c_str());
    limit.append_child("type").text().set("API REQUESTS");

    auto result = root.append_child("soapenv:Body").append_child("getUserInfoResponse").append_child("result");
    const auto add = [&](const char* name, const std::string& value) {
        auto element = result.append_child(name);
        if (value.empty())
            element.append_attribute("xsi:nil") = "true";
        else
            element.text().set(value.c_str());
    };
    const auto field_of = [&](const char* object, const std::string& id, const char* name) -> std::string {
        const int at = org_.schema().find(object);
        const auto row = at < 0 ? std::nullopt : org_.row_of(at, id);
        const int field = row ? org_.schema().at(at).find(name) : -1;
        if (field < 0) return "";
        const Cell cell = org_.value(at, *row, field);
        const auto* text = std::get_if<std::string>(&cell);
        return text == nullptr ? "" : *text;
    };
    const auto of_user = [&](const char* name) { return field_of("User", call.user, name); };
    // In an org of several currencies none of them is the only one, and each user has one of their own.
    const bool several = org_.schema().find("CurrencyType") >= 0;

    // The order is the WSDL's; clients count on it.
    add("accessibilityMode", "false");
    add("chatterExternal", "false");
    add("currencySymbol", several ? "" : symbol_of(settings.currency));
    add("orgAttachmentFileSizeLimit", "26214400");
    add("orgDefaultCurrencyIsoCode", several ? "" : settings.currency);
    add("orgDefaultCurrencyLocale", "");
    add("orgDisallowHtmlAttachments", "false");
    add("orgHasPersonAccounts", "false");
    add("organizationId", org_.organization_id());
    add("organizationMultiCurrency", several ? "true" : "false");
    add("organizationName", field_of("Organization", org_.organization_id(), "Name"));
    add("profileId", of_user("ProfileId"));
    add("roleId", of_user("UserRoleId"));
    add("sessionSecondsValid", std::to_string(settings.session_timeout_s));
    add("userDefaultCurrencyIsoCode", "");
    add("userEmail", of_user("Email"));
    add("userFullName", of_user("Name"));
    add("userId", call.user);
    add("userLanguage", of_user("LanguageLocaleKey"));
    add("userLocale", of_user("LocaleSidKey"));
    add("userName", oauth_.credentials().username);
    add("userTimeZone", of_user("TimeZoneSidKey"));
    add("userType", of_user("UserType"));
    add("userUiSkin", "Theme3");
    return xml_answer(200, document);
}

}  // namespace lockstep::sandbox

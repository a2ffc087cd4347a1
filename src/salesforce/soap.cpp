#include "salesforce/soap.h"

#include <algorithm>
#include <pugixml.hpp>
#include <utility>

#include "base/sfid.h"
#include "base/text.h"
#include "salesforce/fetch.h"

namespace lockstep::salesforce {

namespace {

constexpr std::string_view kBeforeToken =
    R"(<?xml version="1.0" encoding="UTF-8"?>)"
    R"(<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:partner.soap.sforce.com">)"
    "<soapenv:Header><sf:CallOptions><sf:client>Lockstep</sf:client></sf:CallOptions>"
    "<sf:SessionHeader><sf:sessionId>";
constexpr std::string_view kAfterToken =
    "</sf:sessionId></sf:SessionHeader></soapenv:Header><soapenv:Body><sf:getUserInfo/></soapenv:Body>"
    "</soapenv:Envelope>";

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply,
            .what = std::move(what),
            .hint = "try again; when it stays, tell the makers of Lockstep"};
}

std::string_view without_prefix(std::string_view name) {
    return name.substr(name.find(':') + 1);  // npos + 1 is 0
}

/// Prefixes are the sender's choice, so names are compared without them.
pugi::xml_node child(const pugi::xml_node& parent, std::string_view name) {
    return parent.find_child([&](const pugi::xml_node& node) { return without_prefix(node.name()) == name; });
}

std::string text(const pugi::xml_node& parent, std::string_view name) {
    return std::string(trim(child(parent, name).text().get()));
}

/// The first element in the body of an envelope; none: `xml` is no envelope. It lives as long as `document`. A DOCTYPE
/// is passed over and its entities are not resolved: pugixml knows XML's own five only.
pugi::xml_node read_body(std::string_view xml, pugi::xml_document& document) {
    if (!document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8)) return {};
    return child(child(document, "Envelope"), "Body").find_child([](const pugi::xml_node& node) {
        return node.type() == pugi::node_element;
    });
}

bool is_currency_code(std::string_view text) {
    return text.size() == 3 && std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

Result<UserInfo> user_info(Session& session) {
    return fetch_by(
        session, [&] { return session.ask_user_info(); },
        [](http::Response&& answer) { return parse_user_info(answer.body); });
}

std::string user_info_envelope(std::string_view token) {
    std::string envelope(kBeforeToken);
    for (const char c : token) {
        if (c == '<') {
            envelope += "&lt;";
        } else if (c == '>') {
            envelope += "&gt;";
        } else if (c == '&') {
            envelope += "&amp;";
        } else {
            envelope += c;
        }
    }
    return envelope.append(kAfterToken);
}

bool is_user_info_envelope(std::string_view body) {
    if (body.size() < kBeforeToken.size() + kAfterToken.size()) return false;
    if (!body.starts_with(kBeforeToken) || !body.ends_with(kAfterToken)) return false;
    body.remove_prefix(kBeforeToken.size());
    body.remove_suffix(kAfterToken.size());
    // Without a '<' it is text for every parser: it can close no element and open none.
    return body.find_first_of("<>") == std::string_view::npos;
}

Result<UserInfo> parse_user_info(std::string_view xml) {
    pugi::xml_document document;
    const pugi::xml_node answer = read_body(xml, document);
    const pugi::xml_node told = child(answer, "result");
    if (without_prefix(answer.name()) != "getUserInfoResponse" || !told)
        return bad_reply("Salesforce's answer about our user can not be read");
    const auto organization = normalize_id(text(told, "organizationId"));
    const auto user = normalize_id(text(told, "userId"));
    const std::string several = text(told, "organizationMultiCurrency");
    if (!organization || !user || (several != "true" && several != "false"))
        return bad_reply("Salesforce's answer about our user lacks its organization, its user or its currencies");
    UserInfo info{.organization_id = *organization, .user_id = *user, .multi_currency = several == "true"};
    if (info.multi_currency) return info;
    info.default_currency = text(told, "orgDefaultCurrencyIsoCode");
    if (!info.default_currency.empty() && !is_currency_code(info.default_currency))
        return bad_reply("Salesforce tells a currency that is no ISO code");
    return info;
}

std::optional<SoapFault> parse_soap_fault(std::string_view xml) {
    pugi::xml_document document;
    const pugi::xml_node fault = read_body(xml, document);
    if (without_prefix(fault.name()) != "Fault") return std::nullopt;
    return SoapFault{.code = std::string(without_prefix(text(fault, "faultcode"))),
                     .words = text(fault, "faultstring")};
}

}  // namespace lockstep::salesforce

#include "sandbox/soap.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/sfid.h"
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

http::Answer fault(const std::string& code, const std::string& text, bool with_detail = true,
                   const char* kind = "sf:UnexpectedErrorFault") {
    pugi::xml_document document;
    auto root = envelope(document);
    root.append_attribute("xmlns:sf") = fault_namespace;
    root.append_attribute("xmlns:xsi") = "http://www.w3.org/2001/XMLSchema-instance";
    auto fault = root.append_child("soapenv:Body").append_child("soapenv:Fault");
    fault.append_child("faultcode").text().set(code.c_str());
    const std::string plain = code.substr(code.find(':') + 1);
    fault.append_child("faultstring").text().set((with_detail ? plain + ": " + text : text).c_str());
    if (with_detail) {
        auto detail = fault.append_child("detail").append_child(kind);
        detail.append_attribute("xsi:type") = kind;
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

/// The fault of a login carries another detail, and its code no prefix.
http::Answer login_fault(const std::string& code, const std::string& text) {
    return fault(code, text, true, "sf:LoginFault");
}

std::string symbol_of(const std::string& currency) {
    if (currency == "USD") return "$";
    if (currency == "EUR") return "€";
    if (currency == "GBP") return "£";
    return currency;
}

/// A request whose envelope could be read.
struct Envelope {
    pugi::xml_document document;
    pugi::xml_node header, operation;
    std::string fault;  ///< why it could not; empty: it could

    explicit Envelope(std::string_view body) {
        // No DOCTYPE is needed, and entities beyond XML's own five are never resolved.
        const auto parsed = document.load_buffer(body.data(), body.size(), pugi::parse_default | pugi::parse_doctype,
                                                 pugi::encoding_utf8);
        if (!parsed) fault = std::string("The envelope can not be read: ") + parsed.description();
        for (const auto& node : document)
            if (node.type() == pugi::node_doctype) fault = "DTD is not supported by SOAP";
        const auto root = child(document, "Envelope");
        const auto inside = child(root, "Body");
        if (fault.empty() && !inside) fault = "The envelope has no body";
        header = child(root, "Header");
        operation = inside.find_child([](const auto& node) { return node.type() == pugi::node_element; });
    }
};

bool is_nil(const pugi::xml_node& node) {
    return std::any_of(node.attributes_begin(), node.attributes_end(), [](const pugi::xml_attribute& attribute) {
        const std::string_view name = attribute.name();
        return name.substr(name.find(':') + 1) == "nil" && attribute.as_bool();
    });
}
std::string text_of(const pugi::xml_node& parent, std::string_view name) {
    const auto node = child(parent, name);
    return is_nil(node) ? "" : std::string(trim(node.text().get()));
}
bool truth_of(const pugi::xml_node& parent, std::string_view name) {
    const std::string text = text_of(parent, name);
    return text == "true" || text == "1";
}
std::vector<pugi::xml_node> all(const pugi::xml_node& parent, std::string_view name) {
    std::vector<pugi::xml_node> found;
    for (const auto& node : parent)
        if (local_name(node) == name) found.push_back(node);
    return found;
}
std::string id_of(const pugi::xml_node& node) {
    const std::string text(trim(node.text().get()));
    return normalize_id(text).value_or(text);
}

/// An answer to fill with results.
class Reply {
public:
    explicit Reply(const std::string& operation) {
        auto root = envelope(document_);
        root.append_attribute("xmlns") = partner_namespace;
        root.append_attribute("xmlns:xsi") = "http://www.w3.org/2001/XMLSchema-instance";
        header_ = root.append_child("soapenv:Header");
        response_ = root.append_child("soapenv:Body").append_child((operation + "Response").c_str());
    }
    void tell_usage(std::int64_t used, std::int64_t limit) {
        auto info = header_.append_child("LimitInfoHeader").append_child("limitInfo");
        info.append_child("current").text().set(std::to_string(used).c_str());
        info.append_child("limit").text().set(std::to_string(limit).c_str());
        info.append_child("type").text().set("API REQUESTS");
    }
    pugi::xml_node result() { return response_.append_child("result"); }
    http::Answer answer() const { return xml_answer(200, document_); }

private:
    pugi::xml_document document_;
    pugi::xml_node header_, response_;
};

/// An empty value is nil.
void add(pugi::xml_node parent, const char* name, const std::string& value) {
    auto element = parent.append_child(name);
    if (value.empty())
        element.append_attribute("xsi:nil") = "true";
    else
        element.text().set(value.c_str());
}

void add_errors(pugi::xml_node result, const std::vector<WriteError>& errors) {
    for (const auto& error : errors) {
        auto element = result.append_child("errors");
        for (const auto& field : error.fields) element.append_child("fields").text().set(field.c_str());
        element.append_child("message").text().set(error.message.c_str());
        element.append_child("statusCode").text().set(error.code.c_str());
    }
}

// ---- operations; each takes the request's operation element and fills the reply

constexpr std::size_t records_max = 200;
constexpr std::size_t merges_max = 10;

struct Operation {
    const char* name;
    /// Nothing: it was carried out.
    std::optional<http::Answer> (*carry_out)(Org& org, const std::string& user, const pugi::xml_node& request,
                                             Reply& reply);
};

std::optional<http::Answer> too_many(std::size_t records, std::size_t most) {
    if (records <= most) return std::nullopt;
    return fault("sf:EXCEEDED_ID_LIMIT",
                 "record limit reached. cannot submit more than " + std::to_string(most) + " records into this call");
}

/// The object an id is of, for calls that name records by id alone; -1: none that the user sees.
int object_of_id(const Org& org, const std::string& id) {
    const int object = id.size() < 3 ? -1 : org.schema().find_by_prefix(id.substr(0, 3));
    return object >= 0 && org.visible(object, -1) ? object : -1;
}

std::optional<http::Answer> merge(Org& org, const std::string& user, const pugi::xml_node& call, Reply& reply) {
    const auto requests = all(call, "request");
    if (auto refusal = too_many(requests.size(), merges_max)) return refusal;
    const auto lock = org.write_lock();
    for (const auto& request : requests) {
        const auto master = child(request, "masterRecord");
        const int object = org.schema().find(text_of(master, "type"));
        if (object < 0 || !org.visible(object, -1))
            return fault("sf:INVALID_TYPE", "sObject type '" + text_of(master, "type") + "' is not supported.");
        Values values;
        for (const auto& node : master) {
            const std::string name(local_name(node));
            if (node.type() != pugi::node_element || name == "type" || name == "Id") continue;
            if (name == "fieldsToNull")
                values.emplace_back(std::string(trim(node.text().get())), Cell{});
            else
                values.emplace_back(name, is_nil(node) ? Cell{} : Cell{std::string(node.text().get())});
        }
        std::vector<std::string> losers, moved;
        for (const auto& node : all(request, "recordToMergeIds")) losers.push_back(id_of(node));
        const WriteResult merged = org.merge(object, id_of(child(master, "Id")), losers, values, user, &moved);
        auto result = reply.result();
        add_errors(result, merged.errors);
        add(result, "id", merged.ok() ? merged.id : "");
        for (const auto& loser : merged.ok() ? losers : std::vector<std::string>{})
            result.append_child("mergedRecordIds").text().set(loser.c_str());
        add(result, "success", merged.ok() ? "true" : "false");
        std::sort(moved.begin(), moved.end());
        moved.erase(std::unique(moved.begin(), moved.end()), moved.end());
        for (const auto& id : moved) result.append_child("updatedRelatedIds").text().set(id.c_str());
    }
    return std::nullopt;
}

std::optional<http::Answer> convert_lead(Org& org, const std::string& user, const pugi::xml_node& call, Reply& reply) {
    const auto conversions = all(call, "leadConverts");
    if (auto refusal = too_many(conversions.size(), records_max)) return refusal;
    const auto lock = org.write_lock();
    for (const auto& asked : conversions) {
        const auto id = [&](const char* name) {
            const std::string text = text_of(asked, name);
            return normalize_id(text).value_or(text);
        };
        Org::Conversion how;
        how.account_id = id("accountId");
        how.contact_id = id("contactId");
        how.opportunity_id = id("opportunityId");
        how.owner_id = id("ownerId");
        how.opportunity_name = text_of(asked, "opportunityName");
        how.with_opportunity = !truth_of(asked, "doNotCreateOpportunity");
        how.overwrite_lead_source = truth_of(asked, "overwriteLeadSource");
        how.converted_status = text_of(asked, "convertedStatus");
        const std::string lead = id("leadId");
        const ConvertedLead converted = org.convert_lead(lead, how, user);
        auto result = reply.result();
        add(result, "accountId", converted.account_id);
        add(result, "contactId", converted.contact_id);
        add_errors(result, converted.errors);
        add(result, "leadId", lead);
        add(result, "opportunityId", converted.opportunity_id);
        add(result, "success", converted.ok() ? "true" : "false");
    }
    return std::nullopt;
}

/// undelete and emptyRecycleBin: `act` on each of the ids.
template <class Act>
std::optional<http::Answer> for_ids(Org& org, const pugi::xml_node& call, Reply& reply, const Act& act) {
    const auto ids = all(call, "ids");
    if (auto refusal = too_many(ids.size(), records_max)) return refusal;
    const auto lock = org.write_lock();
    for (const auto& node : ids) {
        const std::string id = id_of(node);
        const int object = object_of_id(org, id);
        WriteResult done{id, false, {{"INVALID_ID_FIELD", "Invalid id: " + id, {}}}};
        if (object >= 0) done = act(object, id);
        auto result = reply.result();
        add_errors(result, done.errors);
        add(result, "id", done.ok() ? done.id : "");
        add(result, "success", done.ok() ? "true" : "false");
    }
    return std::nullopt;
}

std::optional<http::Answer> undelete(Org& org, const std::string& user, const pugi::xml_node& call, Reply& reply) {
    return for_ids(org, call, reply, [&](int object, const std::string& id) { return org.undelete(object, id, user); });
}

std::optional<http::Answer> empty_bin(Org& org, const std::string&, const pugi::xml_node& call, Reply& reply) {
    return for_ids(org, call, reply, [&](int object, const std::string& id) { return org.purge(object, id); });
}

std::optional<http::Answer> server_time(Org& org, const std::string&, const pugi::xml_node&, Reply& reply) {
    const auto lock = org.read_lock();
    std::string at = to_string(org.now());
    at.insert(at.size() - 1, ".000");
    add(reply.result(), "timestamp", at);
    return std::nullopt;
}

constexpr Operation operations[] = {{"merge", merge},
                                    {"convertLead", convert_lead},
                                    {"undelete", undelete},
                                    {"emptyRecycleBin", empty_bin},
                                    {"getServerTimestamp", server_time}};
constexpr const char* session_operations[] = {"login", "logout", "getUserInfo"};

const Operation* operation_named(std::string_view name) {
    const auto* found = std::find_if(std::begin(operations), std::end(operations),
                                     [&](const Operation& operation) { return name == operation.name; });
    return found == std::end(operations) ? nullptr : found;
}

std::string session_id(const Envelope& envelope) {
    return text_of(child(envelope.header, "SessionHeader"), "sessionId");
}

}  // namespace

std::optional<http::Answer> Soap::refusal(Call& call) {
    const Envelope envelope(call.request.body);
    if (!envelope.fault.empty()) return client_fault(envelope.fault);
    const auto name = local_name(envelope.operation);
    const bool known =
        operation_named(name) != nullptr ||
        std::find(std::begin(session_operations), std::end(session_operations), name) != std::end(session_operations);
    if (!known)
        return client_fault("No operation available for request {" + std::string(partner_namespace) + "}" +
                            std::string(name) + ", please check the WSDL for the service.");
    const auto version = version_of(call.args.at(0));
    const Settings at = settings_.get();
    if (!version || *version < at.version_min || *version > at.version_max)
        return fault("sf:UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL");
    if (name == "login") return std::nullopt;
    const auto user = oauth_.user_of(session_id(envelope));
    if (!user) return fault("sf:INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session");
    const auto now = [&] {
        const auto lock = org_.read_lock();
        return org_.now();
    };
    if (!quota_.take(now(), at.quota)) return fault("sf:REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    call.user = *user;
    return std::nullopt;
}

namespace {

void add_user_info(pugi::xml_node result, const Org& org, const std::string& user, const Settings& settings,
                   const std::string& username) {
    const auto field_of = [&](const char* object, const std::string& id, const char* name) -> std::string {
        const int at = org.schema().find(object);
        const auto row = at < 0 ? std::nullopt : org.row_of(at, id);
        const int field = row ? org.schema().at(at).find(name) : -1;
        if (field < 0) return "";
        const Cell cell = org.value(at, *row, field);
        const auto* text = std::get_if<std::string>(&cell);
        return text == nullptr ? "" : *text;
    };
    const auto of_user = [&](const char* name) { return field_of("User", user, name); };
    // In an org of several currencies none of them is the only one, and each user has one of their own.
    const bool several = org.schema().find("CurrencyType") >= 0;
    const bool person_accounts = org.schema().at(org.schema().find("Account")).find("IsPersonAccount") >= 0;

    // The order is the WSDL's; clients count on it.
    add(result, "accessibilityMode", "false");
    add(result, "chatterExternal", "false");
    add(result, "currencySymbol", several ? "" : symbol_of(settings.currency));
    add(result, "orgAttachmentFileSizeLimit", "26214400");
    add(result, "orgDefaultCurrencyIsoCode", several ? "" : settings.currency);
    add(result, "orgDefaultCurrencyLocale", "");
    add(result, "orgDisallowHtmlAttachments", "false");
    add(result, "orgHasPersonAccounts", person_accounts ? "true" : "false");
    add(result, "organizationId", org.organization_id());
    add(result, "organizationMultiCurrency", several ? "true" : "false");
    add(result, "organizationName", field_of("Organization", org.organization_id(), "Name"));
    add(result, "profileId", of_user("ProfileId"));
    add(result, "roleId", of_user("UserRoleId"));
    add(result, "sessionSecondsValid", std::to_string(settings.session_timeout_s));
    add(result, "userDefaultCurrencyIsoCode", several ? of_user("DefaultCurrencyIsoCode") : "");
    add(result, "userEmail", of_user("Email"));
    add(result, "userFullName", of_user("Name"));
    add(result, "userId", user);
    add(result, "userLanguage", of_user("LanguageLocaleKey"));
    add(result, "userLocale", of_user("LocaleSidKey"));
    add(result, "userName", username);
    add(result, "userTimeZone", of_user("TimeZoneSidKey"));
    add(result, "userType", of_user("UserType"));
    add(result, "userUiSkin", "Theme3");
}

}  // namespace

http::Answer Soap::carry_out(const Call& call) {
    const Envelope envelope(call.request.body);
    const std::string name(local_name(envelope.operation));
    const Settings settings = settings_.get();
    Reply reply(name);
    if (name == "login") {
        const std::string password = text_of(envelope.operation, "password");
        const auto session = oauth_.log_in(text_of(envelope.operation, "username"), password);
        if (!session.ok()) return login_fault(session.error().code, session.error().what);
        const auto lock = org_.read_lock();
        const std::string org15 = org_.organization_id().substr(0, 15);
        const std::string version = call.args.at(0);
        auto result = reply.result();
        add(result, "metadataServerUrl", call.host_url + "/services/Soap/m/" + version + "/" + org15);
        add(result, "passwordExpired", "false");
        add(result, "sandbox", "false");
        add(result, "serverUrl", call.host_url + "/services/Soap/u/" + version + "/" + org15);
        add(result, "sessionId", *session);
        add(result, "userId", org_.integration_user_id());
        add_user_info(result.append_child("userInfo"), org_, org_.integration_user_id(), settings,
                      oauth_.credentials().username);
        return reply.answer();
    }
    const auto used = [&] {
        const auto lock = org_.read_lock();
        return quota_.used(org_.now());
    };
    reply.tell_usage(used(), settings.quota);
    if (name == "logout") {
        oauth_.end(session_id(envelope));
    } else if (name == "getUserInfo") {
        const auto lock = org_.read_lock();
        add_user_info(reply.result(), org_, call.user, settings, oauth_.credentials().username);
    } else {
        const Operation* operation = operation_named(name);
        check(operation != nullptr, "refusal() let an unknown operation pass");
        if (auto refusal = operation->carry_out(org_, call.user, envelope.operation, reply)) return *refusal;
    }
    return reply.answer();
}

}  // namespace lockstep::sandbox

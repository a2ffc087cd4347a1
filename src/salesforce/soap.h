#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "salesforce/session.h"

namespace lockstep::salesforce {

// The one call of SOAP that Lockstep makes, getUserInfo of the partner API (salesforce-api 2.4): REST tells the
// currency of an org nowhere when it has only one.

struct UserInfo {
    std::string organization_id, user_id;  ///< 18 characters
    bool multi_currency = false;
    std::string default_currency;  ///< "USD"; empty: Salesforce tells none, as in orgs of several
};

/// One API call, a few when an answer is cut.
/// Errors: those of Session::get.
Result<UserInfo> user_info(Session& session);

// ---- Pure functions ----

/// The envelope that asks for getUserInfo. `token` stands in it as text, whatever it holds.
std::string user_info_envelope(std::string_view token);
/// Whether `body` is such an envelope, for whichever token, and nothing else.
bool is_user_info_envelope(std::string_view body);
/// A 2xx body. Errors: BadReply.
Result<UserInfo> parse_user_info(std::string_view xml);

struct SoapFault {
    std::string code;  ///< without its prefix: "INVALID_SESSION_ID"
    std::string words;
};
/// Nothing: `xml` is no fault.
std::optional<SoapFault> parse_soap_fault(std::string_view xml);

}  // namespace lockstep::salesforce

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "salesforce/session.h"

namespace lockstep::salesforce {

// Proving who we are (salesforce-api 2.1, 2.2): the request for a token and what its answer means. Pure functions.

/// "https://acme.my.salesforce.com" of an address that is one of Salesforce's login hosts, a My Domain, or on loopback.
/// Errors: Invalid – with the mistake people usually make.
Result<std::string> checked_login_url(const Credentials& credentials);
/// `now`: the server's time as far as it is known; an assertion is good for three minutes from there.
/// Errors: Invalid – the private key can not be read.
Result<http::Request> token_request(const Credentials& credentials, const std::string& login_url, Timestamp now);
/// A 2xx body. Errors: BadReply; Denied – the instance is at an address a token must not be sent to.
Result<Token> parse_token(std::string_view body, const std::string& login_url);
/// Whether data calls may go to `instance_url`: https at Salesforce, or loopback when we logged in at loopback.
bool is_fit_instance(std::string_view instance_url, std::string_view login_url);
/// A refusal's body, as an Error that says what to change. `code` is OAuth's word ("invalid_grant").
Error login_refusal(const Credentials& credentials, const http::Response& answer);

}  // namespace lockstep::salesforce

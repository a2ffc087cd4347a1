#pragma once

#include <string_view>

namespace lockstep::salesforce {

/// Whether a call may be sent to Salesforce at all. `path` is host-relative, with its query. Of SOAP and of composite
/// calls nothing passes but a `body` that soap.h or composite.h makes; elsewhere the body does not matter.
///
/// Lockstep only reads. Besides GETs of the data API that read, what passes is: asking for a token, asking by SOAP who
/// we are, making, aborting and deleting jobs of bulk queries, which no person of the org ever sees, and a composite
/// call of GETs each of which would pass by itself. All of it can be sent twice without harm, so whatever passes may
/// also be repeated when its outcome is unknown.
///
/// A GET is not harmless by itself: /tooling/executeAnonymous runs code, Apex REST does what its author likes,
/// /oauth2/revoke ends sessions, and `_HttpMethod` turns a call into another one. Hence a list of what is allowed.
bool may_send(std::string_view method, std::string_view path, std::string_view body = {});

}  // namespace lockstep::salesforce

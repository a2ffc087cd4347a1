#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "http/message.h"
#include "http/serve.h"

namespace lockstep::sandbox {

/// One request to the org's API as its handlers see it: route matched, session checked.
struct Call {
    const http::Request& request;
    std::string method;             ///< after `_HttpMethod`
    std::vector<std::string> args;  ///< the route's `{…}` parts, percent-decoded once, in order; the version left out
    std::string version;            ///< "62.0"; empty outside /services/data/vNN.0
    std::string host_url;           ///< "http://127.0.0.1:40123", no trailing slash
    std::string user;               ///< 18-character id of the session's user; empty when the route needs none
    std::int64_t fault_rows = 0;    ///< records of this call that must fail with UNABLE_TO_LOCK_ROW
    std::string job_fate;           ///< kind of the fault that the bulk job of this call must meet; empty: none
    std::string job_fate_text;      ///< its errorMessage
    bool result_expired = false;    ///< a fault wants bulk results of this call gone
    std::int64_t delayed_write_s = 0;  ///< a fault wants what this call writes to become visible so much later
    bool locked = false;               ///< part of a composite request that holds the org's write lock

    /// "/services/data/v62.0"
    std::string base() const { return "/services/data/v" + version; }
};

/// An error as the REST API words it: `[{"message":…,"errorCode":…,"fields":[…]}]`.
struct ApiError {
    int status = 400;
    std::string code;
    std::string message;
    bool has_fields = false;  ///< errors of record validation carry `fields`, possibly empty; all others do not
    std::vector<std::string> fields;
};

http::Answer json_answer(int status, std::string body);
/// No body: 204, 304, 201 of an upload.
http::Answer empty_answer(int status);
http::Answer error_answer(const ApiError& error);
http::Answer error_answer(int status, std::string code, std::string message);
/// An Error with one of the platform's codes: 404 for NOT_FOUND and ENTITY_IS_DELETED, else 400.
http::Answer error_answer(const Error& error);
http::Answer not_found();  ///< 404 NOT_FOUND, the text of the platform

/// `text` as a JSON string, quotes included.
std::string json_text(std::string_view text);
/// "2015-06-25T21:54:34.000+0000", the form of every datetime in REST answers.
std::string wire_time(Timestamp at);
/// Appends `"key":"text"`, with a comma in front unless `out` ends in a bracket.
void append_member(std::string& out, std::string_view key, std::string_view text);
/// As append_member; `raw` is JSON already.
void append_raw_member(std::string& out, std::string_view key, std::string_view raw);

/// `["a","b"]`
std::string json_list(const std::vector<std::string>& texts);

/// The parts of a percent-encoded path, each decoded once; doubled and trailing slashes leave no parts.
std::vector<std::string> path_parts(std::string_view path);
/// Whether `parts` fit `pattern` ("/sobjects/{}/describe"): fixed parts without regard to case, `{}` any one part,
/// which is appended to `args`.
bool fits(std::string_view pattern, const std::vector<std::string>& parts, std::vector<std::string>& args);
/// JSON text in the platform's pretty form: two blanks, `"key" : value`, `[ {`…`} ]`. Values stay as they are spelt.
std::string pretty_json(std::string_view compact);

/// The form fields of an application/x-www-form-urlencoded body.
http::Headers form_fields(std::string_view body);

}  // namespace lockstep::sandbox

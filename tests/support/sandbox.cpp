#include "tests/support/sandbox.h"

#include <csignal>
#include <memory>
#include <stdexcept>

#include "base/json.h"
#include "http/send.h"

namespace lockstep::support {

namespace {

Start start_of(const std::vector<std::string>& arguments) {
    Start start{.program = built("lockstep-sandbox"), .arguments = {"--port", "0", "--ready-json"}};
    start.arguments.insert(start.arguments.end(), arguments.begin(), arguments.end());
    return start;
}

std::string ask(const http::Request& request) {
    const auto sender = http::network_sender("lockstep-tests");
    const Result<http::Response> answer = sender->send(request);
    if (!answer) throw std::runtime_error("the sandbox did not answer: " + to_string(answer.error()));
    if (answer->status < 200 || answer->status > 299) {
        throw std::runtime_error("the sandbox answered " + std::to_string(answer->status) + ": " + answer->body);
    }
    return answer->body;
}

}  // namespace

Sandbox::Sandbox(const std::vector<std::string>& arguments) : process_(start_of(arguments)) {
    const Result<json::value> ready = parse_json(process_.read_line());
    if (!ready || !ready->is_object()) throw std::runtime_error("the sandbox did not say that it is ready");
    const json::object& object = ready->get_object();
    url_ = text_at(object, "url").value_or("");
    client_id_ = text_at(object, "client_id").value_or("");
    client_secret_ = text_at(object, "client_secret").value_or("");
    username_ = text_at(object, "username").value_or("");
    jwt_key_file_ = text_at(object, "jwt_key_file").value_or("");
}

std::string Sandbox::admin(const std::string& method, const std::string& path, const std::string& body) {
    return ask(
        {.method = method, .target = url_ + path, .headers = {{"Content-Type", "application/json"}}, .body = body});
}

std::string Sandbox::call(const std::string& method, const std::string& path, const std::string& body,
                          const std::string& token) {
    return ask({.method = method,
                .target = url_ + path,
                .headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer " + token}},
                .body = body});
}

void Sandbox::stop() {
    process_.send_signal(SIGTERM);
    process_.wait();
}

}  // namespace lockstep::support

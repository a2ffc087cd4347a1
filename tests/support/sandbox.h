#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process.h"

namespace lockstep::support {

/// A running `lockstep-sandbox` on a free port of this machine, ready to answer.
class Sandbox {
public:
    /// `arguments` come after those every test needs. Throws std::runtime_error as Process does.
    explicit Sandbox(const std::vector<std::string>& arguments = {});

    const std::string& url() const { return url_; }
    const std::string& client_id() const { return client_id_; }
    const std::string& client_secret() const { return client_secret_; }
    const std::string& username() const { return username_; }
    const std::string& jwt_key_file() const { return jwt_key_file_; }

    /// Asks its admin resources (docs/sandbox.md): admin("POST", "/sandbox/alive", R"({"changes":5})"). Returns the
    /// body; throws std::runtime_error for an answer that is not 2xx.
    std::string admin(const std::string& method, const std::string& path, const std::string& body = {});
    /// The same, without a word about the admin: any call to the org.
    std::string call(const std::string& method, const std::string& path, const std::string& body,
                     const std::string& token);
    /// Ends it: the org can not be reached any more.
    void stop();

private:
    Process process_;
    std::string url_, client_id_, client_secret_, username_, jwt_key_file_;
};

}  // namespace lockstep::support

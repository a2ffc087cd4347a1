#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/world.h"
#include "http/serve.h"
#include "sandbox/oauth.h"
#include "sandbox/org.h"
#include "sandbox/settings.h"

namespace lockstep::sandbox {

class Faults;

struct ServiceOptions {
    OrgOptions org;
    Settings settings;
    /// An empty username: that of the org's connected user.
    Credentials credentials{.username = "",
                            .password = "sandbox-password",
                            .security_token = "sandbox-token",
                            .client_id = "3MVG9LockstepSandbox",
                            .client_secret = "sandbox-secret",
                            .jwt_public_key_pem = ""};
    /// Scheme and host for links, unless the request's Host header says where it was sent to.
    std::string url = "http://127.0.0.1";
    /// When set, /sandbox/… asks for it in the header X-Sandbox-Key: for orgs that listen beyond loopback.
    std::string admin_key;
};

/// A Salesforce org that answers HTTP: start here.
///
/// Owns the org and everything around it: sessions, quota, faults, bulk jobs, the log of calls. A request passes, in
/// this order: its route, the faults planned for it, its session, the day's quota, its handler, and is noted in the
/// log.
///
/// Thread-safe. No socket: `handle` is all a server or a test needs.
class Service {
public:
    /// Throws Failure with a hint when the org file, the load folder or the state file can not be used.
    /// `world` must outlive the service; the org's clock is its clock plus what an admin moved it by.
    Service(ServiceOptions options, World& world);
    ~Service();
    Service(const Service&) = delete;

    http::Answer handle(const http::Request& request);
    /// Does what is due without a request: bulk jobs, the life of the org. Returns milliseconds until it should be
    /// called again.
    std::int64_t step();

    /// What the org file and the load folder brought, for people; empty: there was neither, or the org was restored.
    const std::string& loaded() const;
    Org& org();
    Faults& faults();
    SettingsBox& settings();
    const Credentials& credentials() const;
    /// Where the server listens: scheme and host of links.
    void set_url(std::string url);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sandbox

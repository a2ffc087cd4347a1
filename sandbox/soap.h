#pragma once

#include <optional>
#include <string_view>

#include "sandbox/limits.h"
#include "sandbox/oauth.h"
#include "sandbox/org.h"
#include "sandbox/settings.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// The partner API of SOAP: getUserInfo, which alone tells the currency of an org that has one.
///
/// Thread-safe; takes the org's read_lock() itself, so call it without one.
/// Source: salesforce-api 2.4, 2.5.
class Soap {
public:
    Soap(const Org& org, const SettingsBox& settings, OAuth& oauth, Quota& quota)
        : org_(org), settings_(settings), oauth_(oauth), quota_(quota) {}

    /// The fault that keeps `call` from being carried out: no envelope, no operation of ours, a version that is not
    /// served, no live session in its SessionHeader, the day's calls used up. Nothing: it may go on; then it has been
    /// counted against the quota and call.user is set.
    std::optional<http::Answer> refusal(Call& call);
    /// Of a call without refusal.
    http::Answer user_info(const Call& call);

private:
    const Org& org_;
    const SettingsBox& settings_;
    OAuth& oauth_;
    Quota& quota_;
};

}  // namespace lockstep::sandbox

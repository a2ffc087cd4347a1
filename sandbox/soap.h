#pragma once

#include <optional>
#include <string_view>

#include "sandbox/limits.h"
#include "sandbox/oauth.h"
#include "sandbox/org.h"
#include "sandbox/settings.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// The partner API of SOAP: what REST lacks. login, logout, getUserInfo (which alone tells the currency of an org that
/// has one), getServerTimestamp, merge, convertLead, undelete, emptyRecycleBin.
///
/// A record that fails is a result with its error, as on the platform; a fault answers a call that fails as a whole.
/// Thread-safe; takes the org's locks itself, so call it without one.
/// Source: salesforce-api 2.4, 2.5, 15, 18.
class Soap {
public:
    Soap(Org& org, const SettingsBox& settings, OAuth& oauth, Quota& quota)
        : org_(org), settings_(settings), oauth_(oauth), quota_(quota) {}

    /// The fault that keeps `call` from being carried out: no envelope, no operation of ours, a version that is not
    /// served, no live session in its SessionHeader, the day's calls used up. Nothing: it may go on; then it has been
    /// counted against the quota and call.user is set, but for a login, which needs no session and counts for nothing.
    std::optional<http::Answer> refusal(Call& call);
    /// Of a call without refusal. At most 200 records a call (10 merges); beyond, a fault.
    http::Answer carry_out(const Call& call);

private:
    Org& org_;
    const SettingsBox& settings_;
    OAuth& oauth_;
    Quota& quota_;
};

}  // namespace lockstep::sandbox

#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// What an admin may change while the org runs.
struct Settings {
    std::int64_t quota = 100'000;           ///< API calls in 24 hours
    std::int64_t session_timeout_s = 7200;  ///< since last use
    std::int64_t job_ms = 100;              ///< from a bulk job's submission to its end
    bool bulk_shuffled = false;             ///< rows of bulk results in an order of their own, as on the platform
    bool bulk_gzip = false;                 ///< bulk results are packed for clients that accept it
    std::int64_t bulk_page_rows = 250'000;  ///< rows of a bulk result page when the client names no maximum
    std::int64_t query_page_rows = 2000;    ///< rows of a query page at most
    std::int64_t locator_idle_s = 900;      ///< a query locator dies after so long without use
    std::int64_t alive_per_minute = 0;      ///< changes the org's own people make
    int version_min = 40;                   ///< API versions served
    int version_max = 64;
    std::string currency = "USD";  ///< the org's one currency
    bool security_token = false;   ///< passwords must be followed by the security token
};

/// Whether `text` has the form of an ISO 4217 code: three capitals.
bool is_currency_code(std::string_view text);

/// "USD 1.0843": a code and how many of it one of the corporate currency is worth; 1 when left out.
/// Errors: Invalid – it has another form.
Result<Org::Currency> currency_of(std::string_view text);

/// The settings and their lock.
class SettingsBox {
public:
    explicit SettingsBox(Settings start) : settings_(std::move(start)) {}
    Settings get() const;
    /// Changes what a JSON object names; nothing when any of it is wrong.
    /// Errors: Invalid – unknown name, or a value that does not fit.
    Result<void> change(std::string_view json_text);
    std::string to_json() const;

private:
    mutable std::mutex mutex_;
    Settings settings_;
};

}  // namespace lockstep::sandbox

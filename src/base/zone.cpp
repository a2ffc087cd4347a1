#include "base/zone.h"

#include <date/tz.h>

#include <chrono>
#include <exception>

namespace lockstep {

std::optional<Date> day_in(std::string_view zone, Timestamp at) {
    const date::time_zone* found = nullptr;
    try {
        found = date::locate_zone(zone);
    } catch (const std::exception&) {
        return std::nullopt;
    }
    const date::sys_seconds moment{std::chrono::seconds(at.seconds)};
    return Date{date::floor<date::days>(found->to_local(moment)).time_since_epoch().count()};
}

}  // namespace lockstep

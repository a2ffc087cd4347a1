#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace lockstep {

/// The day it is at `at` in a time zone of the tz database ("America/Los_Angeles"); nothing: no such zone here. Cost:
/// the first call of a zone reads its file. Any thread.
std::optional<Date> day_in(std::string_view zone, Timestamp at);

}  // namespace lockstep

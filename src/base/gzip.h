#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lockstep {

/// One gzip member of `bytes` (libdeflate); `level` 0 (stored) to 12 (smallest).
std::string gzip(std::string_view bytes, int level = 1);
/// Inflates a whole gzip body, of one member or several. Never takes much more than `bytes_max` of memory. Errors:
/// BadReply when it is cut, damaged, larger than `bytes_max`, or has trailing garbage.
Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max);

}  // namespace lockstep

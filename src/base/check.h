#pragma once

#include <stdexcept>
#include <string>

namespace lockstep {

/// A broken assumption of ours: only a mistake in this program can cause it.
class Bug : public std::logic_error {
    using std::logic_error::logic_error;
};

/// Abandons the unit of work (one request, one batch, one command) for a cause its immediate caller can do nothing
/// about: disk full, database gone, a reply that makes no sense. Carries the sentence and the hint a person will read.
class Failure : public std::runtime_error {
public:
    Failure(const std::string& what, std::string hint_text) : std::runtime_error(what), hint(std::move(hint_text)) {}
    std::string hint;
};

/// Throws Bug(why) unless `holds`.
inline void check(bool holds, const char* why) {
    if (!holds) [[unlikely]]
        throw Bug(why);
}

}  // namespace lockstep

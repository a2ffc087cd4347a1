#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "base/world.h"
#include "server/output.h"

namespace lockstep::server {

/// Runs the `lockstep` command line: reads the arguments, runs the command, tells errors. `arguments` without the
/// program's own name, which is `program`. Returns the number to end the process with (output.h); throws nothing.
struct Streams {
    std::ostream& out;
    std::ostream& err;
    Terminal out_terminal, err_terminal;
};
int run(const std::string& program, const std::vector<std::string>& arguments, const Streams& streams, World& world);

}  // namespace lockstep::server

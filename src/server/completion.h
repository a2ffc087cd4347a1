#pragma once

#include <string>
#include <vector>

namespace lockstep::server {

/// An option as a shell completes it.
struct OptionWord {
    std::string name, what;  ///< "--limit", its sentence
    std::string value;       ///< "FILE", "DIR" or another word for its value; empty: it takes none
};
/// A command as a shell completes it.
struct CommandWord {
    std::string name, what;
    std::vector<OptionWord> options;
    std::vector<std::string> first;  ///< what its first argument may be; empty: not known
};

/// Scripts that complete a `lockstep` command line, made from the commands themselves. `common` are the options that
/// every command takes. The one for bash is to be sourced; the one for zsh may also lie in a folder of $fpath.
std::string bash_completion(const std::vector<CommandWord>& commands, const std::vector<OptionWord>& common);
std::string zsh_completion(const std::vector<CommandWord>& commands, const std::vector<OptionWord>& common);

}  // namespace lockstep::server

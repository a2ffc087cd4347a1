#include "server/completion.h"

#include <fmt/format.h>

#include "base/text.h"

namespace lockstep::server {

namespace {

std::vector<std::string> names_of(const std::vector<OptionWord>& options) {
    std::vector<std::string> names;
    for (const OptionWord& option : options) names.push_back(option.name);
    return names;
}

/// A case pattern of the options that take a value of this kind; matches nothing when there is none.
std::string options_with(const std::vector<CommandWord>& commands, const std::vector<OptionWord>& common,
                         bool (*wanted)(const std::string& value)) {
    std::vector<std::string> names;
    const auto add = [&](const std::vector<OptionWord>& options) {
        for (const OptionWord& option : options) {
            if (wanted(option.value)) names.push_back(option.name);
        }
    };
    add(common);
    for (const CommandWord& command : commands) add(command.options);
    return names.empty() ? "''" : join(names, "|");
}

/// Text within single quotes of a specification of _arguments or _describe, where brackets and colons mean something.
std::string zsh_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
            out += c;
        }
    }
    return out;
}

std::string zsh_option(const OptionWord& option) {
    const std::string files = option.value == "DIR" ? "_files -/" : option.value == "FILE" ? "_files" : " ";
    const std::string value = option.value.empty() ? "" : ":" + zsh_text(option.value) + ":" + files;
    return fmt::format("'{}[{}]{}'", option.name, zsh_text(option.what), value);
}

}  // namespace

std::string bash_completion(const std::vector<CommandWord>& commands, const std::vector<OptionWord>& common) {
    const auto pattern = [&](bool (*wanted)(const std::string&)) { return options_with(commands, common, wanted); };
    std::vector<std::string> names;
    for (const CommandWord& command : commands) names.push_back(command.name);
    std::string out =
        "# Completes lockstep in bash. In ~/.bashrc:  source <(lockstep completion bash)\n"
        "_lockstep() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= at=0 i words\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case ${COMP_WORDS[i]} in\n";
    out += "            " + pattern([](const std::string& value) { return !value.empty(); }) + ") ((i++)) ;;\n";
    out +=
        "            -*) ;;\n"
        "            *) [ -n \"$command\" ] && ((at++)); [ -n \"$command\" ] || command=${COMP_WORDS[i]} ;;\n"
        "        esac\n"
        "    done\n"
        "    case $before in\n";
    out += "        " + pattern([](const std::string& value) { return value == "DIR"; }) +
           ") mapfile -t COMPREPLY < <(compgen -d -- \"$word\"); return ;;\n";
    out += "        " + pattern([](const std::string& value) { return value == "FILE"; }) +
           ") mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n";
    out += "        " +
           pattern([](const std::string& value) { return !value.empty() && value != "DIR" && value != "FILE"; }) +
           ") COMPREPLY=(); return ;;\n";
    out +=
        "    esac\n"
        "    case $command:$at:$word in\n";
    out += "        :*) words=\"" + join(names, " ") + "\" ;;\n";
    for (const CommandWord& command : commands) {
        if (!command.first.empty()) {
            out += fmt::format("        {}:0:[!-]*|{}:0:) words=\"{}\" ;;\n", command.name, command.name,
                               join(command.first, " "));
        }
        std::vector<std::string> options = names_of(command.options);
        if (!options.empty()) out += fmt::format("        {}:*) words=\"{}\" ;;\n", command.name, join(options, " "));
    }
    out +=
        "    esac\n"
        "    case $word in -*) words+=\" " +
        join(names_of(common), " ") +
        " --help\" ;; esac\n"
        "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
        "}\n"
        "complete -F _lockstep lockstep\n";
    return out;
}

std::string zsh_completion(const std::vector<CommandWord>& commands, const std::vector<OptionWord>& common) {
    std::string out =
        "#compdef lockstep\n"
        "# Completes lockstep in zsh. In ~/.zshrc, after compinit:  source <(lockstep completion zsh)\n"
        "_lockstep() {\n"
        "    local context state state_descr line\n"
        "    typeset -A opt_args\n"
        "    local -a commands common\n"
        "    commands=(\n";
    for (const CommandWord& command : commands) {
        out += fmt::format("        '{}:{}'\n", command.name, zsh_text(command.what));
    }
    out += "    )\n    common=(\n";
    for (const OptionWord& option : common) out += "        " + zsh_option(option) + "\n";
    out +=
        "        '(- *)--help[tell what it takes]'\n"
        "    )\n"
        "    _arguments -C $common '1:command:->command' '*::argument:->argument' && return\n"
        "    case $state in\n"
        "        command) _describe command commands ;;\n"
        "        argument)\n"
        "            case $words[1] in\n";
    for (const CommandWord& command : commands) {
        out += "                " + command.name + ") _arguments $common";
        for (const OptionWord& option : command.options) out += " \\\n                    " + zsh_option(option);
        if (!command.first.empty()) {
            out += " \\\n                    '1:" + std::string("argument") + ":(" + join(command.first, " ") + ")'";
        }
        out += " ;;\n";
    }
    out +=
        "            esac ;;\n"
        "    esac\n"
        "}\n"
        "if [ \"$funcstack[1]\" = _lockstep ]; then _lockstep \"$@\"; else compdef _lockstep lockstep; fi\n";
    return out;
}

}  // namespace lockstep::server

#include "server/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <ostream>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "server/commands/commands.h"
#include "server/completion.h"
#include "server/parts.h"
#include "store/lease.h"

namespace lockstep::server {

namespace {

constexpr const char* kOverview = R"(Lockstep keeps a marketing database and a Salesforce org in step.

Usage: lockstep COMMAND [OPTIONS]

Set up
  connect        test and store the credentials of a Salesforce org
  disconnect     forget credentials and token
  doctor         look for what is wrong or soon will be, and say what to do

Sync
  sync --once    one cycle: the first one loads everything, later ones what changed
  serve          cycle after cycle until stopped
  status         where the sync stands
  history        the steps of the latest cycles
  errors         records and steps that failed, with Salesforce's words

Look
  person         one person with company, owners and opportunities
  activities     what happened to one person
  opportunities  opportunities, those without a person, or sums by account and stage
  explain        why each value of a record is what it is

Rules
  rules          which fields travel which way, and who wins
  schema         the objects and fields that are kept, and in which tables

Shell
  completion     the script that completes commands and options in bash or zsh

Options of every command
  --data DIR       folder of key, database and settings
                   (LOCKSTEP_DATA; ~/.local/share/lockstep)
  --database DB    path of a SQLite file or postgres://user@host/db
                   (LOCKSTEP_DATABASE; DIR/lockstep.db)
  --key-file FILE  the master key that seals credentials
                   (LOCKSTEP_KEY_FILE; DIR/master.key)
  --json           one JSON document instead of text
  --verbose        tell on standard error what is being done
  -h, --help       lockstep COMMAND --help tells more
  --version

Ends with 0 done, 1 something failed, 2 wrong usage, 3 not connected or credentials refused, 4 Salesforce can not be
reached or is throttled, 5 another process works on this data, 6 not found, 7 database, disk or a mistake of ours,
130 stopped before the end.
)";

/// A range that is told when it is left, not in the help.
CLI::Validator in_range(int least, int most) {
    return CLI::Range(least, most).description("");
}

/// What the command line said.
struct Call {
    Place place;
    bool json = false, verbose = false;
    std::function<Result<int>(Context&)> command;
};

/// Declares all commands; what is chosen lands in `call`.
class Grammar {
public:
    explicit Grammar(Call& call)
        : call_(call), app_("Lockstep keeps a marketing database and a Salesforce org in step.", "lockstep") {
        app_.require_subcommand(1);
        app_.get_formatter()->column_width(34);
        app_.get_formatter()->label("REQUIRED", "(needed)");
        app_.get_formatter()->label("Positionals", "Arguments");
        app_.get_formatter()->label("Excludes", "not with");
        app_.set_version_flag("--version", fmt::format("lockstep {}", kVersion));
        app_.add_option("--data", call.place.data, "Folder of key, database and settings")->type_name("DIR");
        app_.add_option("--database", call.place.database, "Path of a SQLite file, or postgres://user@host/db")
            ->type_name("FILE");
        app_.add_option("--key-file", call.place.key_file, "The master key")->type_name("FILE");
        app_.add_flag("--json", call.json, "One JSON document instead of text");
        app_.add_flag("--verbose", call.verbose, "Tell on standard error what is being done");
        set_up_commands();
        sync_commands();
        look_commands();
        rules_commands();
        shell_commands();
    }
    CLI::App& app() { return app_; }

private:
    template <class Run>
    CLI::App* command(const char* name, const char* what, Run run, const char* footer = "") {
        CLI::App* const added = app_.add_subcommand(name, what);
        added->fallthrough();
        added->footer(std::string(footer) + (*footer != '\0' ? "\n" : "") +
                      "Options of every command, --data and --json among them: lockstep --help");
        added->callback([this, run] { call_.command = run; });
        return added;
    }

    void set_up_commands() {
        CLI::App* const connect_app = command(
            "connect", "Tests the credentials of a Salesforce org and stores them sealed.",
            [this](Context& context) { return connect(context, connect_); },
            "The secret may also come from LOCKSTEP_CLIENT_SECRET, or is asked for on a terminal. Arguments can be "
            "seen by\n"
            "other users of the machine: prefer the file or the variable.\n\n"
            "  lockstep connect --url https://acme.my.salesforce.com --client-id 3MVG… --client-secret-file "
            "secret.txt\n"
            "  lockstep connect --url production --client-id 3MVG… --username sync@acme.com --private-key-file "
            "key.pem\n");
        connect_app
            ->add_option("--url", connect_.url,
                         "My Domain of the org, or production (login.salesforce.com), or sandbox (test.salesforce.com)")
            ->type_name("URL")
            ->required();
        connect_app->add_option("--client-id", connect_.client_id, "Consumer key of the connected app")
            ->type_name("ID")
            ->required();
        connect_app->add_option("--client-secret", connect_.client_secret, "Consumer secret")->type_name("SECRET");
        connect_app
            ->add_option("--client-secret-file", connect_.client_secret_file,
                         "File with the consumer secret; - is standard input")
            ->type_name("FILE");
        connect_app->add_option("--username", connect_.username, "User to log in as by key (JWT)")->type_name("USER");
        connect_app
            ->add_option("--private-key-file", connect_.private_key_file, "Private key in PEM; - is standard input")
            ->type_name("FILE");
        command("disconnect", "Forgets credentials and token; what was read stays.", disconnect);
        command("doctor",
                "Looks for what is wrong or soon will be, and says what to do. Ends with 1 when there is a problem.",
                doctor);
    }

    void sync_commands() {
        CLI::App* const sync_app = command(
            "sync", "One cycle: the first one loads everything, later ones read what changed.",
            [this](Context& context) { return sync_once(context, sync_); },
            "A cycle that is stopped or killed goes on where it was at the next one.\n");
        sync_app->add_flag("--once", once_, "One cycle, then end (the default; serve goes on)");
        sync_app->add_flag("--accept-disappearances", sync_.accept_disappearances,
                           "Go on although a great part of an object's records vanished at once");
        CLI::App* const serve_app = command(
            "serve", "Cycle after cycle until Ctrl-C or SIGTERM, one line each.",
            [this](Context& context) { return serve(context, serve_); },
            "With --json each cycle is one line of JSON. A second signal ends the process at once; nothing is lost.\n");
        serve_app
            ->add_option("--interval", serve_.interval_s,
                         "Pause between two cycles (default: interval_s of lockstep.toml, 300)")
            ->type_name("SECONDS")
            ->check(in_range(1, 86'400));
        serve_app->add_option("--cycles", serve_.cycles_max, "End after so many cycles")
            ->type_name("N")
            ->check(in_range(1, 1'000'000));
        serve_app->add_flag("--suggest", serve_.suggest, "Name a command that shows something of what a cycle brought");
        command("status", "Where the sync stands: objects, counts, errors, API calls.", status);
        CLI::App* const history_app = command(
            "history", "The steps of the latest cycles, newest first.",
            [this](Context& context) { return history(context, cycles_); },
            "After a day, cycles that found nothing are one line together. Settings "
            "[history] and [log] tell how\nlong what is kept.\n");
        history_app->add_option("--cycles", cycles_, "How many cycles (default 3)")
            ->type_name("N")
            ->check(in_range(1, 10'000));
        CLI::App* const errors_app =
            command("errors", "Records and steps that failed, with Salesforce's words, newest first.",
                    [this](Context& context) { return errors(context, errors_); });
        errors_app->add_flag("--all", errors_.all, "Those that went well later, too");
        limit(errors_app, errors_.rows_max);
    }

    void look_commands() {
        CLI::App* const person_app =
            command("person", "One person with company, owners, Salesforce records and opportunities.",
                    [this](Context& context) { return person(context, who_); });
        person_app
            ->add_option("PERSON", who_, "E-mail address, Salesforce id of a lead or contact, or number of a person")
            ->type_name("")
            ->required();
        CLI::App* const activities_app = command("activities", "What happened to one person, newest first.",
                                                 [this](Context& context) { return activities(context, activities_); });
        activities_app
            ->add_option("PERSON", activities_.who,
                         "E-mail address, Salesforce id of a lead or contact, or number of a person")
            ->type_name("")
            ->required();
        activities_app
            ->add_option("--type", activities_.type,
                         "Only this type: 34 added to, 35 removed from, 36 update of an opportunity")
            ->type_name("N");
        limit(activities_app, activities_.rows_max);
        CLI::App* const opportunities_app =
            command("opportunities", "Opportunities, newest change first.",
                    [this](Context& context) { return opportunities(context, opportunities_); });
        CLI::Option* const orphans = opportunities_app->add_flag("--orphans", opportunities_.orphans,
                                                                 "Those without a living link to a person, and why");
        opportunities_app
            ->add_flag("--by-account-stage", opportunities_.by_account_and_stage, "Count and sum by account and stage")
            ->excludes(orphans);
        limit(opportunities_app, opportunities_.rows_max);
        CLI::App* const explain_app = command(
            "explain",
            "Why each value of a record is what it is: what Salesforce said, what we hold, and which rule decided.",
            [this](Context& context) { return explain(context, explain_); }, "  lockstep explain Lead 00Q…\n");
        explain_app->add_option("OBJECT", explain_.object, "Lead, Contact, Opportunity, …")->type_name("")->required();
        explain_app->add_option("ID", explain_.id, "Salesforce id of the record")->type_name("")->required();
        explain_app->add_flag("--all", explain_.all, "Fields without any value, too");
    }

    void rules_commands() {
        CLI::App* const rules_app = command(
            "rules", "Which fields travel which way, and who wins.",
            [this](Context& context) { return rules(context, rules_); },
            "Ways: -> from Salesforce to us, <- from us to Salesforce, <-> both, -- neither. Today nothing is written "
            "to\n"
            "Salesforce. Files DIR/rules/*.toml override the rules Lockstep comes with.\n");
        rules_app->add_option("OBJECT", rules_.object, "Show the fields of this object")->type_name("");
        rules_app->add_flag("--check", rules_.check,
                            "Hold the rules against the org; ends with 1 when the sync can not run like this");
        CLI::App* const schema_app = command("schema", "The objects and fields that are kept, and in which tables.",
                                             [this](Context& context) { return schema(context, object_); });
        schema_app->add_option("OBJECT", object_, "Show the fields of this object")->type_name("");
    }

    void shell_commands() {
        CLI::App* const completion_app = command(
            "completion", "The script that completes commands and options in your shell.",
            [this](Context& context) -> Result<int> {
                const bool zsh = shell_ == "zsh";
                const std::string script = zsh ? zsh_completion(command_words(), option_words(app_))
                                               : bash_completion(command_words(), option_words(app_));
                context.out.document(to_pretty(json::object{{"shell", shell_}, {"script", script}}));
                context.out.line(std::string_view(script).substr(0, script.size() - 1));
                return kDone;
            },
            "  bash, in ~/.bashrc:                  source <(lockstep completion bash)\n"
            "  zsh, in ~/.zshrc and after compinit: source <(lockstep completion zsh)\n");
        completion_app->add_option("SHELL", shell_, "bash or zsh")
            ->type_name("")
            ->required()
            ->check(CLI::IsMember({"bash", "zsh"}, CLI::ignore_case));
    }

    /// The options of `app` as a shell completes them; help is every command's.
    static std::vector<OptionWord> option_words(const CLI::App& app) {
        std::vector<OptionWord> words;
        for (const CLI::Option* const option : app.get_options()) {
            if (option->get_lnames().empty() || option->get_lnames().front() == "help") continue;
            const bool takes_value = option->get_type_size() > 0;
            words.push_back({.name = "--" + option->get_lnames().front(),
                             .what = option->get_description(),
                             .value = takes_value ? option->get_type_name() : ""});
        }
        return words;
    }
    std::vector<CommandWord> command_words() const {
        std::vector<CommandWord> words;
        for (const CLI::App* const one : app_.get_subcommands([](const CLI::App*) { return true; })) {
            CommandWord word{.name = one->get_name(), .what = one->get_description(), .options = option_words(*one)};
            const CLI::Option* const object = one->get_option_no_throw("OBJECT");
            const auto rules = object == nullptr ? Result<sync::Rules>(Error()) : sync::Rules::read("");
            if (rules.ok()) {
                for (const sync::ObjectRules& known : rules->objects()) word.first.push_back(known.salesforce);
            }
            if (word.name == "completion") word.first = {"bash", "zsh"};
            words.push_back(std::move(word));
        }
        return words;
    }

    static void limit(CLI::App* app, int& rows_max) {
        app->add_option("--limit", rows_max, "At most so many (default 50)")
            ->type_name("N")
            ->check(in_range(1, 1'000'000));
    }

    Call& call_;
    CLI::App app_;
    ConnectOptions connect_;
    SyncOptions sync_;
    bool once_ = false;
    ServeOptions serve_;
    int cycles_ = 3;
    ErrorsOptions errors_;
    std::string who_, object_, shell_;
    ActivitiesOptions activities_;
    OpportunitiesOptions opportunities_;
    ExplainOptions explain_;
    RulesOptions rules_;
};

/// The first argument that is no option and no value of one of ours: what was meant as the command.
std::string meant_command(const std::vector<std::string>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments.at(i);
        if (argument == "--data" || argument == "--database" || argument == "--key-file") {
            ++i;
        } else if (!argument.starts_with('-')) {
            return argument;
        }
    }
    return "";
}

/// What went wrong with the command line, in our words.
Error usage_error(const CLI::ParseError& problem, const CLI::App& app, const std::vector<std::string>& arguments) {
    const std::string meant = meant_command(arguments);
    const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
    const bool known =
        std::ranges::any_of(commands, [&](const CLI::App* command) { return command->get_name() == meant; });
    Error error{.kind = Kind::Invalid, .what = problem.what(), .hint = "lockstep --help lists the commands"};
    if (meant.empty()) {
        error.what = "no command was given";
    } else if (!known) {
        error.what = fmt::format("there is no command \"{}\"", meant);
    } else {
        error.hint = fmt::format("lockstep {} --help tells what it takes", meant);
    }
    return error;
}

/// "lockstep --data /srv/x": what a person types to reach the same installation.
std::string as_typed(const std::string& program, const Call& call) {
    std::string typed = program;
    if (!call.place.data.empty()) typed += " --data " + call.place.data.string();
    const std::string& database = call.place.database;
    const std::size_t host = database.find('@');
    const bool has_password = host != std::string::npos && database.substr(0, host).rfind(':') > database.find("://");
    if (!database.empty() && !has_password) {
        typed += " --database " + database;
    }
    if (!call.place.key_file.empty()) typed += " --key-file " + call.place.key_file.string();
    return typed;
}

int run_command(const Call& call, const std::string& typed, Output& output, World& world) {
    try {
        Parts parts(complete(call.place), world);
        Context context{parts, output, typed};
        const Result<int> ended = call.command(context);
        if (ended) return *ended;
        output.error(ended.error());
        return exit_code(ended.error().kind);
    } catch (const store::LeaseLost& lost) {
        output.error("conflict", lost.what(), lost.hint);
        return kLocked;
    } catch (const Failure& failure) {
        output.error("failure", failure.what(), failure.hint);
    } catch (const Bug& bug) {
        output.error("bug", std::string("a mistake of this program: ") + bug.what(),
                     "please report it with what you did");
    } catch (const std::exception& problem) {
        output.error("bug", std::string("an unexpected error: ") + problem.what(),
                     "please report it with what you did");
    }
    return kInternal;
}

}  // namespace

int run(const std::string& program, const std::vector<std::string>& arguments, const Streams& streams, World& world) {
    Call call;
    Grammar grammar(call);
    CLI::App& app = grammar.app();
    // CLI11 takes them from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
        app.parse(reversed);
    } catch (const CLI::CallForHelp&) {
        const auto chosen = app.get_subcommands();
        streams.out << (chosen.empty() ? std::string(kOverview) : chosen.front()->help("lockstep"));
        return kDone;
    } catch (const CLI::CallForVersion& version) {
        streams.out << version.what() << "\n";
        return kDone;
    } catch (const CLI::ParseError& problem) {
        const bool json = std::ranges::find(arguments, "--json") != arguments.end();
        Output output(streams.out, streams.err,
                      {.json = json, .out = streams.out_terminal, .err = streams.err_terminal});
        output.error(usage_error(problem, app, arguments));
        return kUsage;
    }
    if (call.verbose) log::set_level(log::Level::Debug);
    Output output(streams.out, streams.err,
                  {.json = call.json, .out = streams.out_terminal, .err = streams.err_terminal});
    return run_command(call, as_typed(program, call), output, world);
}

}  // namespace lockstep::server

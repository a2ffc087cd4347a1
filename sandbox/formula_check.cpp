#include <algorithm>
#include <array>

#include "base/text.h"
#include "sandbox/formula_grammar.h"
#include "sandbox/formula_program.h"

// From a tree to a program: names become indexes, every part has a sort.
namespace lockstep::sandbox::formula {

namespace {

constexpr std::size_t levels_max = 10;            ///< relationships in one path
constexpr int program_depth_max = 2 * depth_max;  ///< with the formulas used written out

/// How formula fields of other types are called by the error about them.
std::string described(const Field& field) {
    switch (field.type) {
        case Type::TextArea:
            return "Long Text Area";
        case Type::EncryptedString:
            return "Text (Encrypted)";
        case Type::Location:
            return "Geolocation";
        case Type::Address:
            return "Address";
        case Type::Base64:
            return "File";
        default:
            return sandbox::name(field.type);
    }
}

std::optional<Sort> sort_of(const Field& field) {
    constexpr int short_text_max = 255;
    switch (field.type) {
        case Type::TextArea:
            if (field.length > short_text_max) return std::nullopt;
            return Sort::Text;
        case Type::Id:
        case Type::Reference:
        case Type::String:
        case Type::Combobox:
        case Type::Email:
        case Type::Phone:
        case Type::Url:
            return Sort::Text;
        case Type::Picklist:
            return Sort::Picklist;
        case Type::MultiPicklist:
            return Sort::MultiPicklist;
        case Type::Boolean:
            return Sort::Boolean;
        case Type::Int:
        case Type::Double:
        case Type::Currency:
        case Type::Percent:
            return Sort::Number;
        case Type::Date:
            return Sort::Date;
        case Type::DateTime:
            return Sort::DateTime;
        case Type::Time:
            return Sort::Time;
        default:
            return std::nullopt;
    }
}

/// What a formula field of the type must give; nothing: there are none.
std::optional<Sort> sort_given(const Field& field) {
    constexpr std::array types{Type::String,  Type::Double, Type::Currency, Type::Percent,
                               Type::Boolean, Type::Date,   Type::DateTime, Type::Time};
    return std::ranges::find(types, field.type) == types.end() ? std::nullopt : sort_of(field);
}

Error no_field(std::string_view path, std::string hint = {}) {
    return wrong("Field " + std::string(path) + " does not exist. Check spelling.", std::move(hint));
}

Sort sort_of_letter(char letter) {
    switch (letter) {
        case 'B':
            return Sort::Boolean;
        case 'N':
            return Sort::Number;
        case 'D':
            return Sort::Date;
        case 'S':
            return Sort::DateTime;
        case 'C':
            return Sort::Time;
        default:
            return Sort::Text;
    }
}

}  // namespace

struct Formulas::Entry {
    bool running = false;
    bool cyclic = false;
    std::unique_ptr<const Program> program;
    std::optional<Error> error;
};

/// Compiles formulas, each after those it uses.
class Compiler {
public:
    Compiler(const Schema& schema, Formulas& formulas) : schema_(schema), formulas_(formulas) {}

    void all() {
        for (int object = 0; object < schema_.size(); ++object) {
            const Object& described = schema_.at(object);
            if (described.removed) continue;
            for (std::size_t field = 0; field < described.fields.size(); ++field) {
                const Field& at = described.fields[field];
                if (!at.removed && at.is_formula()) entry(object, static_cast<int>(field));
            }
        }
    }

private:
    Formulas::Entry& entry(int object, int field) {
        auto& entry = formulas_.entries_[{object, field}];
        if (entry) return *entry;
        entry = std::make_unique<Formulas::Entry>();
        Formulas::Entry& made = *entry;
        made.running = true;
        auto program = One(*this, object, schema_.at(object).fields[static_cast<std::size_t>(field)]).program();
        made.running = false;
        if (program.ok()) {
            made.program = std::move(program.value());
        } else {
            made.error = program.error();
            made.cyclic = made.error->code == cycle_code;
            made.error->code.clear();
        }
        return made;
    }

    /// One formula on its way.
    class One {
    public:
        One(Compiler& compiler, int object, const Field& field)
            : compiler_(compiler), schema_(compiler.schema_), object_(object), field_(field) {}

        Result<std::unique_ptr<const Program>> program() {
            const auto wanted = sort_given(field_);
            if (!wanted)
                return wrong(std::string("A formula field can not be of type ") + sandbox::name(field_.type) + ".",
                             "use string, double, currency, percent, boolean, date, datetime or time");
            const auto tree = TRY(parse(field_.formula));
            program_ = std::make_unique<Program>();
            program_->characters = static_cast<int>(to_string(tree).size());
            auto root = TRY(node(tree));
            TRY(take_as_value(root));
            if (root.sort != *wanted && root.sort != Sort::Null)
                return wrong(std::string("Formula result is data type (") + name(root.sort) +
                             "), incompatible with expected data type (" + name(*wanted) + ").");
            if (program_->characters > compiled_characters_max)
                return wrong("Compiled formula is too big to execute (" + with_thousands(program_->characters) +
                             " characters). Maximum size is " + with_thousands(compiled_characters_max) +
                             " characters");
            if (program_->depth > program_depth_max) return wrong("The formula is nested too deeply.");
            program_->root = std::move(root);
            program_->field = field_;
            program_->field.formula.clear();
            program_->field.picklist.clear();
            return std::unique_ptr<const Program>(std::move(program_));
        }

    private:
        Result<Node> node(const Expression& expression, int depth = 1) {
            program_->depth = std::max(program_->depth, depth);
            Node node;
            switch (expression.kind) {
                case Expression::Kind::Null:
                    break;
                case Expression::Kind::Truth:
                    node.sort = Sort::Boolean;
                    node.constant = expression.text == "TRUE";
                    break;
                case Expression::Kind::Number: {
                    node.sort = Sort::Number;
                    const auto number = Decimal::parse(expression.text);
                    if (!number || number->is_too_big())
                        return wrong("The value '" + expression.text + "' is not a valid number.");
                    node.constant = *number;
                    break;
                }
                case Expression::Kind::Text:
                    node.sort = Sort::Text;
                    if (!expression.text.empty()) node.constant = expression.text;
                    break;
                case Expression::Kind::Field:
                    return field(expression.text, depth);
                case Expression::Kind::Call:
                    return call(expression, depth);
            }
            return node;
        }

        // --- Functions ---

        Result<Node> call(const Expression& expression, int depth) {
            const Function* function = function_named(expression.text);
            if (function == nullptr) {
                if (is_elsewhere(expression.text))
                    return wrong("Function " + expression.text + " may not be used in this type of formula");
                return wrong("Unknown function " + expression.text + ". Check spelling.",
                             expression.text == "CURRENCYRATE" ? "the org has one currency only" : "");
            }
            Node made;
            made.kind = Node::Kind::Call;
            made.function = function;
            for (const Expression& part : expression.parts) {
                auto compiled = TRY(node(part, depth + 1));
                made.parts.push_back(std::move(compiled));
            }
            const auto count = static_cast<int>(made.parts.size());
            if (count < function->least) return wrong_count(*function, function->least, made.parts.size());
            if (function->most >= 0 && count > function->most)
                return wrong_count(*function, function->most, made.parts.size());
            if (function->takes != nullptr) TRY(check_parts(made));
            made.sort = function->gives;
            if (function->check != nullptr) made.sort = TRY(function->check(made));
            if (std::string_view(function->name) == "INCLUDES") TRY(check_included(made));
            program_->is_html = program_->is_html || function->is_html;
            return made;
        }

        static Result<void> check_parts(const Node& call) {
            const std::string_view takes = call.function->takes;
            for (std::size_t i = 0; i < call.parts.size(); ++i) {
                const Node& part = call.parts[i];
                const Sort wanted = sort_of_letter(takes[std::min(i, takes.size() - 1)]);
                if (part.sort != wanted && part.sort != Sort::Null) return wrong_type(call, {wanted}, part);
            }
            return {};
        }

        Result<void> check_included(const Node& call) const {
            const Route& route = call.parts[0].route;
            const Field& field = schema_.at(route.object).fields[static_cast<std::size_t>(route.field)];
            const auto* text = std::get_if<std::string>(&call.parts[1].constant);
            const bool known = std::any_of(field.picklist.begin(), field.picklist.end(), [&](const PickValue& value) {
                return text != nullptr && value.value == *text;
            });
            if (known || !field.restricted_picklist) return {};
            return wrong(
                "Incorrect parameter for function INCLUDES(). Text Literal must be a valid value for this "
                "multi-select picklist field.");
        }

        static Result<void> take_as_value(const Node& node) {
            if (node.sort != Sort::Picklist && node.sort != Sort::MultiPicklist) return {};
            return wrong_type(node, {}, node);
        }

        // --- Fields ---

        Result<Node> field(const std::string& path, int depth) {
            Node node;
            node.kind = Node::Kind::Field;
            node.route.name = path;
            TRY(resolve(node.route));
            if (node.route.start == Route::Start::Origin) {
                node.sort = Sort::DateTime;
                return node;
            }
            const Field& end = schema_.at(node.route.object).fields[static_cast<std::size_t>(node.route.field)];
            const auto sort = sort_of(end);
            if (!sort)
                return wrong("You referenced an unsupported field type called \"" + described(end) +
                             "\" using the following field: " + path);
            node.sort = *sort;
            node.route.type = end.type;
            node.route.zero_when_blank = field_.blank_as_zero && node.sort == Sort::Number;
            if (end.is_formula()) TRY(use(node.route, end, depth));
            return node;
        }

        /// A formula that uses the formula of another field.
        Result<void> use(Route& route, const Field& other, int depth) {
            route.is_formula = true;
            const Formulas::Entry& entry = compiler_.entry(route.object, route.field);
            if (entry.running || entry.cyclic) {
                Error cycle =
                    wrong("Formula cannot use another formula field that directly or indirectly refers to itself. " +
                          other.name);
                cycle.code = cycle_code;
                return cycle;
            }
            if (entry.error) return wrong("Error in referenced formula " + route.name + ", " + entry.error->what);
            program_->formulas.emplace_back(route.object, route.field);
            // A chain of formulas grows in depth without bound, else.
            program_->characters = std::min(program_->characters + entry.program->characters, INT32_MAX / 2);
            program_->depth = std::max(program_->depth, depth + entry.program->depth);
            return {};
        }

        Result<void> resolve(Route& route) const {
            std::vector<std::string> names = split(route.name, '.');
            route.object = object_;
            if (names.front().starts_with('$')) TRY(start(route, names));
            if (route.start == Route::Start::Origin) return {};
            if (route.hops.size() + names.size() - 1 > levels_max)
                return wrong("The path " + route.name + " goes over more than 10 relationships.");
            for (std::size_t i = 0; i + 1 < names.size(); ++i) TRY(hop(route, names[i]));
            route.field = schema_.at(route.object).find(names.back());
            if (route.field < 0) return no_field(route.name);
            return {};
        }

        /// The relationship `relation`, of which a polymorphic one names the object it is to lead to: "Owner:User".
        Result<void> hop(Route& route, std::string_view relation) const {
            const std::size_t colon = relation.find(':');
            const std::string_view name = relation.substr(0, colon);
            const Object& object = schema_.at(route.object);
            const auto found = std::find_if(object.fields.begin(), object.fields.end(), [&](const Field& field) {
                return !field.removed && field.type == Type::Reference && !field.relationship.empty() &&
                       equals_ignoring_case(field.relationship, name);
            });
            if (found == object.fields.end()) return no_field(route.name);
            const auto& targets = found->reference_to;
            std::string target = targets.empty() ? "" : targets.front();
            if (colon != std::string_view::npos) {
                target = relation.substr(colon + 1);
                if (equals_ignoring_case(target, "Queue")) target = "Group";
                const bool fits = std::any_of(targets.begin(), targets.end(), [&](const std::string& known) {
                    return equals_ignoring_case(known, target);
                });
                if (!fits)
                    return wrong(target + " is an invalid object type for the " + std::string(name) +
                                 " field. Check spelling.");
            } else if (targets.size() > 1) {
                return no_field(route.name,
                                "name the object as well, as in " + std::string(name) + ":" + targets.back() + ".Name");
            }
            const int to = schema_.find(target);
            if (to < 0) return no_field(route.name);
            route.hops.push_back({static_cast<int>(found - object.fields.begin()), to});
            route.object = to;
            return {};
        }

        /// Global variables: their first name becomes a start and relationships.
        Result<void> start(Route& route, std::vector<std::string>& names) const {
            struct Global {
                std::string_view name;
                Route::Start start;
                const char* object;
                const char* relation;
            };
            constexpr std::array globals = {
                Global{"$User", Route::Start::User, "User", ""},
                Global{"$Profile", Route::Start::User, "User", "Profile"},
                Global{"$UserRole", Route::Start::User, "User", "UserRole"},
                Global{"$Organization", Route::Start::Organization, "Organization", ""},
                Global{"$RecordType", Route::Start::Record, "", "RecordType"},
            };
            if (equals_ignoring_case(route.name, "$System.OriginDateTime")) {
                route.start = Route::Start::Origin;
                return {};
            }
            const auto found = std::find_if(globals.begin(), globals.end(), [&](const Global& global) {
                return equals_ignoring_case(global.name, names.front());
            });
            if (found == globals.end() || names.size() != 2)
                return no_field(route.name,
                                "the global variables here are $User, $Profile, $UserRole, $Organization, $RecordType "
                                "and $System.OriginDateTime");
            route.start = found->start;
            if (*found->object != '\0') route.object = schema_.find(found->object);
            names.erase(names.begin());
            if (*found->relation != '\0') TRY(hop(route, found->relation));
            return {};
        }

        Compiler& compiler_;
        const Schema& schema_;
        int object_;
        const Field& field_;
        std::unique_ptr<Program> program_;
    };

    static constexpr const char* cycle_code = "cycle";
    const Schema& schema_;
    Formulas& formulas_;
};

Formulas::Formulas() = default;
Formulas::Formulas(const Schema& schema) {
    Compiler(schema, *this).all();
}
void Formulas::extend(const Schema& schema) {
    std::erase_if(entries_, [](const auto& entry) { return entry.second->error.has_value(); });
    Compiler(schema, *this).all();
}
Formulas::~Formulas() = default;
Formulas::Formulas(Formulas&&) noexcept = default;
Formulas& Formulas::operator=(Formulas&&) noexcept = default;

const Program* Formulas::find(int object, int field) const {
    const auto found = entries_.find({object, field});
    return found == entries_.end() ? nullptr : found->second->program.get();
}

std::optional<Error> Formulas::error(int object, int field) const {
    const auto found = entries_.find({object, field});
    return found == entries_.end() ? std::nullopt : found->second->error;
}

std::vector<std::pair<int, int>> Formulas::broken() const {
    std::vector<std::pair<int, int>> places;
    for (const auto& [place, entry] : entries_) {
        if (entry->error) places.push_back(place);
    }
    return places;
}

// --- Names and errors ---

const char* name(Sort sort) {
    constexpr std::array names = {
        "Null", "Boolean", "Number", "Text", "Date", "DateTime", "Time", "Picklist", "Multi-Select Picklist"};
    return names.at(static_cast<std::size_t>(sort));
}

Error wrong(std::string what, std::string hint) {
    if (hint.empty()) hint = "formulas are written as in Salesforce; docs/sandbox.md says what is there";
    return Error{.kind = Kind::Invalid, .what = std::move(what), .hint = std::move(hint)};
}

namespace {

/// "function 'AND()'" or "operator '+'".
std::string described(const Function& function) {
    const char first = function.name[0];
    const bool is_function = first >= 'A' && first <= 'Z';
    return is_function ? std::string("function '") + function.name + "()'"
                       : std::string("operator '") + function.name + "'";
}

}  // namespace

Error wrong_type(const Node& call, std::initializer_list<Sort> expected, const Node& received) {
    const bool is_field = received.kind == Node::Kind::Field;
    if (is_field && received.sort == Sort::Picklist)
        return wrong("Field " + received.route.name +
                         " is a picklist field. Picklist fields are only supported in certain functions.",
                     "use ISPICKVAL, CASE or TEXT, as in TEXT(" + received.route.name + ")");
    if (is_field && received.sort == Sort::MultiPicklist)
        return wrong("Field " + received.route.name +
                         " is a multi-select picklist field. Multi-select picklist fields are only supported in "
                         "certain functions.",
                     "use INCLUDES, as in INCLUDES(" + received.route.name + ", \"one of its values\")");
    std::string list;
    for (const Sort sort : expected) {
        if (sort == received.sort) continue;
        if (!list.empty()) list += ", ";
        list += name(sort);
    }
    return wrong("Incorrect parameter type for " + described(*call.function) + ". Expected " + list + ", received " +
                 name(received.sort));
}

Error wrong_argument(const Node& call) {
    return wrong("Incorrect argument type for " + described(*call.function) + ".");
}

Error wrong_count(const Function& function, int expected, std::size_t received) {
    return wrong("Incorrect number of parameters for " + described(function) + ". Expected " +
                 std::to_string(expected) + ", received " + std::to_string(received));
}

const Function* function_named(std::string_view name) {
    for (const FunctionList list : {logic_functions(), text_functions(), math_functions(), day_functions()}) {
        for (std::size_t i = 0; i < list.count; ++i) {
            if (name == list.first[i].name) return list.first + i;
        }
    }
    return nullptr;
}

bool is_elsewhere(std::string_view name) {
    constexpr std::array<std::string_view, 12> others = {
        "ISCHANGED",      "ISNEW",        "ISCLONE", "PRIORVALUE", "VLOOKUP",      "GETSESSIONID",
        "PARENTGROUPVAL", "PREVGROUPVAL", "LINKTO",  "URLFOR",     "GETRECORDIDS", "REQUIRESCRIPT"};
    return std::find(others.begin(), others.end(), name) != others.end();
}

}  // namespace lockstep::sandbox::formula

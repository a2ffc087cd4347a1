#include "record/formula.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/text.h"

namespace lockstep::record {

namespace {

using What = Formula::Influence::What;

/// Beyond this nesting no formula of 5,000 bytes is honest, and our own stack is what it would use up.
constexpr int kDepthMax = 400;

// ---- What names mean ----

/// Functions whose value depends on their arguments only.
constexpr std::string_view kPlainFunctions =
    " ABS ACOS ADDMONTHS AND ASCII ASIN ATAN ATAN2 BEGINS BLANKVALUE BR CASE CASESAFEID CEILING CHR CONTAINS COS DATE "
    "DATETIMEVALUE DATEVALUE DAY DAYOFYEAR DISTANCE EXP FIND FLOOR FORMATDURATION FROMUNIXTIME GEOLOCATION HOUR "
    "HTMLENCODE HYPERLINK IF IFS IMAGE INCLUDES INITCAP ISBLANK ISNULL ISNUMBER ISOWEEK ISOYEAR ISPICKVAL JSENCODE "
    "JSINHTMLENCODE LEFT LEN LN LOG LOWER LPAD MAX MCEILING MFLOOR MID MILLISECOND MIN MINUTE MOD MONTH NOT NULLVALUE "
    "OR PI PICKLISTCOUNT REGEX REVERSE RIGHT ROUND RPAD SECOND SIN SQRT SUBSTITUTE TAN TEXT TIMEVALUE TRIM TRUNC "
    "UNIXTIMESTAMP UPPER URLENCODE URLFOR VALUE WEEKDAY YEAR ";

struct Meaning {
    std::string_view name;
    What what;
};
constexpr std::array kFunctions{
    Meaning{"TODAY", What::Day},          Meaning{"NOW", What::Moment},        Meaning{"TIMENOW", What::Moment},
    Meaning{"CURRENCYRATE", What::Rates}, Meaning{"GETSESSIONID", What::User},
};
constexpr std::array kGlobals{
    Meaning{"$User", What::User},          Meaning{"$Profile", What::User},         Meaning{"$UserRole", What::User},
    Meaning{"$Permission", What::User},    Meaning{"$Setup", What::User},           Meaning{"$Label", What::SetUp},
    Meaning{"$Organization", What::SetUp}, Meaning{"$CustomMetadata", What::SetUp}, Meaning{"$ObjectType", What::SetUp},
    Meaning{"$Resource", What::SetUp},
};

std::optional<What> meaning_of_function(const std::string& name) {
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (kPlainFunctions.find(" " + upper + " ") != std::string_view::npos) return std::nullopt;
    const auto* const found = std::ranges::find(kFunctions, upper, &Meaning::name);
    return found == kFunctions.end() ? What::Unknown : found->what;
}

std::optional<What> meaning_of_global(const Formula::Path& path) {
    const std::string& name = path.front().name;
    const auto last_is = [&](std::string_view last) { return equals_ignoring_case(path.back().name, last); };
    if (equals_ignoring_case(name, "$System") && last_is("OriginDateTime")) return std::nullopt;  // 1900-01-01
    if (equals_ignoring_case(name, "$Api")) return last_is("Session_ID") ? What::User : What::SetUp;
    const auto* const found =
        std::ranges::find_if(kGlobals, [&](const Meaning& global) { return equals_ignoring_case(global.name, name); });
    return found == kGlobals.end() ? What::Unknown : found->what;
}

// ---- Characters ----

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name_char(char c) {
    return (is_name_start(c) && c != '$') || is_digit(c);
}
bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

struct Entity {
    std::string_view name;
    std::string_view means;
};
constexpr std::array kEntities{
    Entity{"amp", "&"},   Entity{"lt", "<"},   Entity{"gt", ">"},
    Entity{"quot", "\""}, Entity{"apos", "'"}, Entity{"nbsp", " "},
};

/// What `&name;` stands for; nothing: no entity we know. Characters beyond ASCII stand in texts only, whose content
/// says nothing to us.
std::optional<std::string> meaning_of_entity(std::string_view name) {
    if (!name.starts_with('#')) {
        const auto* const found = std::ranges::find(kEntities, name, &Entity::name);
        if (found == kEntities.end()) return std::nullopt;
        return std::string(found->means);
    }
    const bool hex = name.starts_with("#x") || name.starts_with("#X");
    const std::string_view digits = name.substr(hex ? 2 : 1);
    int code = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
    if (fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    if (code == 0xA0) return " ";
    return std::string(1, code > 0 && code < 0x80 ? static_cast<char>(code) : '?');
}

std::string without_entities(std::string_view text) {
    constexpr std::size_t kEntityBytesMax = 10;
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == '&') {
            const std::size_t end = text.find(';', at);
            const bool near = end != std::string_view::npos && end - at <= kEntityBytesMax;
            if (const auto means = near ? meaning_of_entity(text.substr(at + 1, end - at - 1)) : std::nullopt) {
                out += *means;
                at = end + 1;
                continue;
            }
        }
        out += text[at++];
    }
    return out;
}

bool same_path(const Formula::Path& a, const Formula::Path& b) {
    return std::ranges::equal(a, b, [](const Formula::Step& x, const Formula::Step& y) {
        return equals_ignoring_case(x.name, y.name) && equals_ignoring_case(x.type, y.type);
    });
}

// ---- Grammar ----
//
//   expression: operand { operator operand }      operators bind as they like: we only collect names
//   operand:    { + | - | ! } ( number | text | ( expression ) | path | name ( [ expression { , expression } ] ) )
//   path:       step { . step }                    step: name [ : name ]

class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    Result<Formula> read() {
        TRY(expression(0));
        TRY(skip());
        if (at_ < text_.size()) return fault("is not expected here");
        return std::move(formula_);
    }

private:
    Error fault(std::string_view problem) const { return fault_at(at_, problem); }

    Error fault_at(std::size_t at, std::string_view problem) const {
        const auto place = length_in_characters(text_.substr(0, at)) + 1;
        if (at >= text_.size()) {
            return {.kind = Kind::Invalid,
                    .what = fmt::format("The formula ends at character {} where something is missing", place),
                    .hint = "look at the field in Salesforce's set-up"};
        }
        std::string there = to_valid_utf8(text_.substr(at, 20));
        std::ranges::replace_if(there, is_blank, ' ');
        return {.kind = Kind::Invalid,
                .what = fmt::format("At character {} of the formula \"{}\" {}", place, trim(there), problem),
                .hint = "look at the field in Salesforce's set-up"};
    }

    bool at_text(std::string_view what) const { return text_.substr(at_, what.size()) == what; }
    char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    /// Passes blanks and comments.
    Result<void> skip() {
        for (;;) {
            while (at_ < text_.size() && (is_blank(text_[at_]) || at_text("\xC2\xA0")))
                at_ += is_blank(text_[at_]) ? 1 : 2;
            if (!at_text("/*")) return {};
            const std::size_t end = text_.find("*/", at_ + 2);
            if (end == std::string_view::npos) return fault("opens a comment that does not end");
            at_ = end + 2;
        }
    }

    Result<void> expression(int depth) {
        if (depth > kDepthMax) return fault("is nested too deeply");
        TRY(operand(depth));
        for (;;) {
            TRY(skip());
            if (!take_operator()) return {};
            TRY(operand(depth));
        }
    }

    bool take_operator() {
        static constexpr std::array<std::string_view, 16> kOperators{"&&", "||", "==", "!=", "<>", "<=", ">=", "<",
                                                                     ">",  "=",  "+",  "-",  "*",  "/",  "^",  "&"};
        for (const std::string_view one : kOperators) {
            if (!at_text(one)) continue;
            at_ += one.size();
            return true;
        }
        return false;
    }

    Result<void> operand(int depth) {
        TRY(skip());
        while (here() == '+' || here() == '-' || (here() == '!' && !at_text("!="))) {
            ++at_;
            TRY(skip());
        }
        const char c = here();
        if (c == '"' || c == '\'') return text();
        if (is_digit(c) || c == '.') return number();
        if (is_name_start(c)) return name(depth);
        if (c != '(') return fault("is not expected here");
        ++at_;
        TRY(expression(depth + 1));
        return close();
    }

    Result<void> close() {
        TRY(skip());
        if (here() != ')') return fault("stands where a ) is missing");
        ++at_;
        return {};
    }

    Result<void> text() {
        const std::size_t begin = at_;
        const char quote = text_[at_++];
        for (; at_ < text_.size(); ++at_) {
            if (text_[at_] == quote) {
                ++at_;
                return {};
            }
            if (text_[at_] == '\\') ++at_;
        }
        return fault_at(begin, "opens a text that does not end");
    }

    Result<void> number() {
        const std::size_t begin = at_;
        const auto digits = [&] {
            const std::size_t from = at_;
            while (is_digit(here())) ++at_;
            return at_ - from;
        };
        std::size_t count = digits();
        if (here() == '.') {
            ++at_;
            count += digits();
        }
        if (count > 0 && (here() == 'e' || here() == 'E')) {
            const std::size_t mark = at_++;
            if (here() == '+' || here() == '-') ++at_;
            if (digits() == 0) at_ = mark;
        }
        if (count == 0 || is_name_start(here())) return fault_at(begin, "is no number");
        return {};
    }

    std::string word() {
        const std::size_t begin = at_++;
        while (is_name_char(here())) ++at_;
        return std::string(text_.substr(begin, at_ - begin));
    }

    Result<void> name(int depth) {
        Formula::Path path;
        for (;;) {
            Formula::Step& step = path.emplace_back();
            step.name = word();
            TRY(skip());
            if (here() == ':') {
                ++at_;
                TRY(skip());
                if (!is_name_start(here())) return fault("stands where a type is missing");
                step.type = word();
                TRY(skip());
            }
            if (here() != '.') break;
            ++at_;
            TRY(skip());
            // Records of $CustomMetadata and of $Label may begin with a digit.
            if (!is_name_start(here()) && !is_digit(here())) return fault("stands where a name is missing");
        }
        if (here() == '(' && path.size() == 1 && path.front().type.empty()) return call(path.front().name, depth);
        note(std::move(path));
        return {};
    }

    Result<void> call(const std::string& function, int depth) {
        if (const auto what = meaning_of_function(function)) note(*what, function);
        ++at_;
        TRY(skip());
        if (here() == ')') {
            ++at_;
            return {};
        }
        for (;;) {
            TRY(expression(depth + 1));
            TRY(skip());
            if (here() != ',') return close();
            ++at_;
        }
    }

    void note(What what, const std::string& name) {
        Formula::Influence influence{what, name};
        const bool known = std::ranges::any_of(formula_.influences, [&](const Formula::Influence& other) {
            return other.what == what && equals_ignoring_case(other.name, name);
        });
        if (!known) formula_.influences.push_back(std::move(influence));
    }

    void note(Formula::Path path) {
        static constexpr std::array<std::string_view, 3> kConstants{"TRUE", "FALSE", "NULL"};
        if (path.size() == 1 && std::ranges::any_of(kConstants, [&](std::string_view constant) {
                return equals_ignoring_case(constant, path[0].name);
            })) {
            return;
        }
        if (equals_ignoring_case(path.front().name, "$RecordType")) {
            path.front().name = "RecordType";
        } else if (path.front().name.starts_with('$')) {
            if (const auto what = meaning_of_global(path)) note(*what, to_string(path));
            return;
        }
        const bool known =
            std::ranges::any_of(formula_.paths, [&](const Formula::Path& other) { return same_path(other, path); });
        if (!known) formula_.paths.push_back(std::move(path));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    Formula formula_;
};

// ---- Freshness ----

Freshness freshness_of(What what) {
    return what == What::User || what == What::Unknown ? Freshness::NotTrackable : Freshness::AsOf;
}

const char* words_for(What what) {
    switch (what) {
        case What::Day:
            return "it depends on the day";
        case What::Moment:
            return "it depends on the time of day";
        case What::Rates:
            return "it depends on currency rates";
        case What::SetUp:
            return "it depends on the org's set-up";
        case What::User:
            return "it differs for each user, and this is what the sync user sees";
        case What::Unknown:
            return "it uses something Lockstep does not know";
    }
    return "";
}

}  // namespace

const char* name(Freshness freshness) {
    switch (freshness) {
        case Freshness::Exact:
            return "exact";
        case Freshness::AsOf:
            return "as of";
        case Freshness::NotTrackable:
            return "not trackable";
    }
    return "";
}

Freshness Formula::freshness() const {
    Freshness worst = Freshness::Exact;
    for (const Influence& influence : influences) worst = std::max(worst, freshness_of(influence.what));
    return worst;
}

std::string Formula::reason() const {
    const Freshness worst = freshness();
    for (const Influence& influence : influences) {
        if (freshness_of(influence.what) != worst) continue;
        return fmt::format("{} ({})", words_for(influence.what), influence.name);
    }
    return "";
}

Result<Formula> read_formula(std::string_view text) {
    Result<Formula> plain = Reader(text).read();
    // A semicolon ends each entity and is nothing of the language, so an escaped formula never reads as a plain one.
    if (plain.ok() || text.find(';') == std::string_view::npos) return plain;
    const std::string unescaped = without_entities(text);
    if (unescaped.size() == text.size()) return plain;
    return read_formula(unescaped);  // some tools escape what was escaped
}

std::string to_string(const Formula::Path& path) {
    std::string out;
    for (const Formula::Step& step : path) {
        if (!out.empty()) out += '.';
        out += step.name;
        if (!step.type.empty()) out += ":" + step.type;
    }
    return out;
}

}  // namespace lockstep::record

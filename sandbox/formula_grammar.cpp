#include "sandbox/formula_grammar.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace lockstep::sandbox::formula {
namespace {

struct Token {
    enum class Kind { End, Number, Text, Name, Sign };
    Kind kind = Kind::End;
    std::string text;    ///< Text: between the quotes, escapes resolved
    std::string source;  ///< as written, for errors
};

Error wrong(std::string what) {
    return Error{.kind = Kind::Invalid,
                 .what = std::move(what),
                 .hint = "formulas are written as in Salesforce; docs/sandbox.md says what is there"};
}
Error syntax_error(const std::string& what) {
    return wrong("Syntax error. " + what);
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '$';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_name_part(char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == ':' || c == '.' || c == '#';
}
bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(source) {}

    Result<Token> next() {
        TRY(skip());
        if (at_ == source_.size()) return Token{.source = "end of formula"};
        const char c = source_[at_];
        if (c == '"' || c == '\'') return text(c);
        const std::size_t from = at_;
        if (is_digit(c)) {
            digits();
            if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
                ++at_;
                digits();
            }
            return token(Token::Kind::Number, from);
        }
        if (is_letter(c)) {
            while (at_ < source_.size() && is_name_part(source_[at_])) ++at_;
            return token(Token::Kind::Name, from);
        }
        constexpr std::array pairs = {"==", "<>", "!=", "<=", ">=", "&&", "||"};
        for (const std::string_view pair : pairs) {
            if (source_.substr(at_).starts_with(pair)) {
                at_ += pair.size();
                return token(Token::Kind::Sign, from);
            }
        }
        constexpr std::string_view single = "()+-*/^&=<>!,.:;[]~";
        if (single.find(c) == std::string_view::npos) return syntax_error("Found '" + character() + "'");
        ++at_;
        return token(Token::Kind::Sign, from);
    }

private:
    Result<void> skip() {
        while (at_ < source_.size()) {
            if (is_blank(source_[at_])) {
                ++at_;
            } else if (source_.substr(at_).starts_with("/*")) {
                const std::size_t end = source_.find("*/", at_ + 2);
                if (end == std::string_view::npos) return syntax_error("Missing '*/'");
                at_ = end + 2;
            } else {
                break;
            }
        }
        return {};
    }
    void digits() {
        while (at_ < source_.size() && is_digit(source_[at_])) ++at_;
    }
    Token token(Token::Kind kind, std::size_t from) const {
        std::string text(source_.substr(from, at_ - from));
        return Token{kind, text, text};
    }
    /// The character here, all of its bytes.
    std::string character() const {
        std::size_t end = at_ + 1;
        while (end < source_.size() && (static_cast<unsigned char>(source_[end]) & 0xC0U) == 0x80U) ++end;
        return std::string(source_.substr(at_, end - at_));
    }
    Result<Token> text(char quote) {
        std::string out;
        const std::size_t from = at_;
        for (++at_; at_ < source_.size() && source_[at_] != quote; ++at_) {
            char c = source_[at_];
            if (c == '\n' || c == '\r') break;
            if (c == '\\') {
                constexpr std::string_view escapes = "nrt\"'\\";
                constexpr std::string_view meanings = "\n\r\t\"'\\";
                const char escaped = at_ + 1 < source_.size() ? source_[at_ + 1] : '\0';
                const std::size_t which = escapes.find(escaped);
                if (which == std::string_view::npos || escaped == '\0') return syntax_error("Found '\\'");
                c = meanings[which];
                ++at_;
            }
            out += c;
        }
        if (at_ == source_.size() || source_[at_] != quote) {
            return syntax_error(std::string("Missing '") + quote + "'");
        }
        ++at_;
        return Token{Token::Kind::Text, std::move(out), std::string(source_.substr(from, at_ - from))};
    }

    std::string_view source_;
    std::size_t at_ = 0;
};

struct Operator {
    std::string_view sign;
    std::string_view name;
    int level;  ///< binds the tighter the higher
};
constexpr std::array operators = {
    Operator{"||", "OR", 0}, Operator{"&&", "AND", 1}, Operator{"=", "=", 2}, Operator{"==", "=", 2},
    Operator{"<>", "<>", 2}, Operator{"!=", "<>", 2},  Operator{"<", "<", 3}, Operator{"<=", "<=", 3},
    Operator{">", ">", 3},   Operator{">=", ">=", 3},  Operator{"+", "+", 4}, Operator{"-", "-", 4},
    Operator{"&", "&", 4},   Operator{"^", "^", 5},    Operator{"*", "*", 6}, Operator{"/", "/", 6},
};

class Parser {
public:
    explicit Parser(std::string_view source) : lexer_(source) {}

    Result<Expression> whole() {
        TRY(advance());
        auto expression = TRY(operation(0));
        if (token_.kind != Token::Kind::End) {
            const bool is_name = token_.kind == Token::Kind::Name;
            return syntax_error("Extra " + (is_name ? token_.source : "'" + token_.source + "'"));
        }
        return std::move(expression.node);
    }

private:
    /// A tree and how deep it is: chains of operators make deep trees without deep brackets.
    struct Measured {
        Expression node;
        int depth = 1;
    };

    Result<void> advance() {
        token_ = TRY(lexer_.next());
        return {};
    }
    bool is_sign(std::string_view sign) const { return token_.kind == Token::Kind::Sign && token_.text == sign; }
    bool is_word(std::string_view word) const {
        return token_.kind == Token::Kind::Name && equals_ignoring_case(token_.text, word);
    }
    Error found() const {
        const bool is_end = token_.kind == Token::Kind::End;
        return syntax_error("Found " + (is_end ? token_.source : "'" + token_.source + "'"));
    }
    static Result<Measured> call(std::string name, std::vector<Measured> parts) {
        Measured made;
        made.node.kind = Expression::Kind::Call;
        made.node.text = std::move(name);
        for (Measured& part : parts) {
            made.depth = std::max(made.depth, part.depth + 1);
            made.node.parts.push_back(std::move(part.node));
        }
        if (made.depth > depth_max) return too_deep();
        return made;
    }
    static Error too_deep() { return wrong("The formula is nested too deeply."); }

    const Operator* here() const {
        const auto found = std::find_if(operators.begin(), operators.end(),
                                        [&](const Operator& known) { return is_sign(known.sign); });
        return found == operators.end() ? nullptr : found;
    }

    /// Operators of `level` and above, grouped from the left.
    Result<Measured> operation(int level) {
        auto left = TRY(signed_value());
        for (const Operator* found = here(); found != nullptr && found->level >= level; found = here()) {
            TRY(advance());
            std::vector<Measured> parts;
            parts.push_back(std::move(left));
            auto right = TRY(operation(found->level + 1));
            parts.push_back(std::move(right));
            left = TRY(call(std::string(found->name), std::move(parts)));
        }
        return left;
    }

    Result<Measured> signed_value() {
        const bool is_not = is_sign("!") || is_word("not");
        if (!is_not && !is_sign("-") && !is_sign("+")) return value();
        const std::string name = is_not ? "NOT" : token_.text;
        TRY(advance());
        TRY(enter());
        std::vector<Measured> parts;
        auto of = TRY(signed_value());
        parts.push_back(std::move(of));
        --nesting_;
        return call(name, std::move(parts));
    }

    Result<Measured> value() {
        Measured out;
        Expression& node = out.node;
        node.text = token_.text;
        switch (token_.kind) {
            case Token::Kind::Number:
                node.kind = Expression::Kind::Number;
                break;
            case Token::Kind::Text:
                node.kind = Expression::Kind::Text;
                break;
            case Token::Kind::Name:
                return named();
            case Token::Kind::Sign:
                if (is_sign("(")) return bracketed();
                return found();
            case Token::Kind::End:
                return found();
        }
        TRY(advance());
        return out;
    }

    Result<Measured> bracketed() {
        TRY(advance());
        TRY(enter());
        auto inner = TRY(operation(0));
        TRY(close());
        return inner;
    }
    Result<void> close() {
        if (!is_sign(")")) return syntax_error("Missing ')'");
        --nesting_;
        return advance();
    }
    Result<void> enter() {
        // Each level is some five calls deep here.
        constexpr int nesting_max = 400;
        if (++nesting_ > nesting_max) return too_deep();
        return {};
    }

    Result<Measured> named() {
        const std::string name = token_.text;
        Measured out;
        for (const std::string_view constant : {"TRUE", "FALSE", "NULL"}) {
            if (!is_word(constant)) continue;
            out.node.kind = constant == "NULL" ? Expression::Kind::Null : Expression::Kind::Truth;
            if (constant != "NULL") out.node.text = constant;
            TRY(advance());
            return out;
        }
        TRY(advance());
        if (!is_sign("(")) {
            out.node.kind = Expression::Kind::Field;
            out.node.text = name;
            return out;
        }
        TRY(advance());
        TRY(enter());
        std::vector<Measured> parts;
        while (!is_sign(")")) {
            if (!parts.empty()) {
                if (!is_sign(",")) return syntax_error("Missing ')'");
                TRY(advance());
            }
            auto part = TRY(operation(0));
            parts.push_back(std::move(part));
        }
        TRY(close());
        std::string upper = name;
        for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        return call(std::move(upper), std::move(parts));
    }

    Lexer lexer_;
    Token token_;
    int nesting_ = 0;
};

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        constexpr std::string_view special = "\n\r\t\"\\";
        constexpr std::string_view letters = "nrt\"\\";
        const std::size_t which = special.find(c);
        if (which == std::string_view::npos) {
            out += c;
        } else {
            (out += '\\') += letters[which];
        }
    }
    out += '"';
}

void append(std::string& out, const Expression& expression) {
    switch (expression.kind) {
        case Expression::Kind::Null:
            out += "NULL";
            return;
        case Expression::Kind::Text:
            append_quoted(out, expression.text);
            return;
        case Expression::Kind::Call:
            break;
        default:
            out += expression.text;
            return;
    }
    const auto& parts = expression.parts;
    const bool is_function = is_letter(expression.text.front());
    if (!is_function && parts.size() == 2) {
        out += '(';
        append(out, parts[0]);
        ((out += ' ') += expression.text) += ' ';
        append(out, parts[1]);
        out += ')';
        return;
    }
    // A sign stands before a bracket, so that two of them do not run together.
    out += expression.text;
    out += '(';
    for (const Expression& part : parts) {
        if (&part != parts.data()) out += ", ";
        append(out, part);
    }
    out += ')';
}

}  // namespace

Result<Expression> parse(std::string_view source) {
    const std::size_t characters = length_in_characters(source);
    if (characters > source_characters_max) {
        return wrong("Formula is too long (" + with_thousands(static_cast<std::int64_t>(characters)) +
                     " characters). Maximum length is " + with_thousands(source_characters_max) + " characters");
    }
    return Parser(source).whole();
}

std::string to_string(const Expression& expression) {
    std::string out;
    append(out, expression);
    return out;
}

}  // namespace lockstep::sandbox::formula

#include "sandbox/soql_grammar.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace lockstep::sandbox::soql {
namespace {

enum class Sort { End, Name, DateName, Number, String, Date, DateTime, Time, Sign };

struct Token {
    Sort sort = Sort::End;
    std::string_view text;  ///< of a string without its quotes
    At at;
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
bool is_name_byte(char c) {
    return is_letter(c) || is_digit(c) || c == '_';
}

struct Place {
    std::size_t row = 1, column = 1, line_start = 0, line_end = 0;
};

Place place_of(std::string_view text, At at) {
    const auto byte = std::min(at.byte, text.size());
    Place place;
    for (std::size_t i = 0; i < byte; ++i) {
        if (text[i] == '\n') {
            ++place.row;
            place.line_start = i + 1;
        }
    }
    place.column = byte - place.line_start + 1;
    place.line_end = std::min(text.find('\n', byte), text.size());
    return place;
}

Error malformed(std::string what) {
    return Error{.kind = Kind::Rejected, .what = std::move(what), .code = "MALFORMED_QUERY"};
}

// The lexer's own complaints carry no caret and count columns from 0, as its generator does.
Error lexical_error(std::string_view text, std::size_t byte, const std::string& message) {
    const auto place = place_of(text, {byte});
    return malformed("line " + std::to_string(place.row) + ":" + std::to_string(place.column - 1) + " " + message);
}

Error no_alternative(std::string_view text, std::size_t byte) {
    const auto character = byte < text.size() ? std::string(1, text[byte]) : std::string("<EOF>");
    return lexical_error(text, byte, "no viable alternative at character '" + character + "'");
}

class Lexer {
public:
    explicit Lexer(std::string_view text) : text_(text) {}

    Result<std::vector<Token>> tokens() {
        std::vector<Token> all;
        while (true) {
            while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
            if (at_ == text_.size()) break;
            auto token = TRY(next());
            all.push_back(token);
        }
        all.push_back({Sort::End, "<EOF>", {text_.size()}});
        return all;
    }

private:
    char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
    bool digits_at(std::size_t from, std::size_t count) const {
        if (from + count > text_.size()) return false;
        return std::all_of(text_.begin() + from, text_.begin() + from + count, is_digit);
    }
    void skip_digits() {
        while (is_digit(peek())) ++at_;
    }
    Token token_from(std::size_t begin, Sort sort) const { return {sort, text_.substr(begin, at_ - begin), {begin}}; }

    Result<Token> next() {
        const char c = peek();
        if (c == '\'') return string();
        if (is_letter(c)) return name();
        if (is_digit(c)) return number_or_time();
        if ((c == '-' || c == '+') && (is_digit(peek(1)) || (peek(1) == '.' && is_digit(peek(2))))) return number();
        if (c == '.' && is_digit(peek(1))) return number();
        const auto begin = at_;
        if ((c == '<' && (peek(1) == '=' || peek(1) == '>')) || (c == '>' && peek(1) == '=') ||
            (c == '!' && peek(1) == '=')) {
            at_ += 2;
            return token_from(begin, Sort::Sign);
        }
        if (std::string_view("(),.=<>:*").find(c) != std::string_view::npos && c != '\0') {
            ++at_;
            return token_from(begin, Sort::Sign);
        }
        return no_alternative(text_, at_);
    }

    Result<Token> string() {
        const auto begin = at_++;
        while (peek() != '\'') {
            if (at_ >= text_.size()) return lexical_error(text_, at_, "mismatched character '<EOF>' expecting '''");
            if (peek() == '\\') TRY(check_escape());
            ++at_;
        }
        ++at_;
        return Token{Sort::String, text_.substr(begin + 1, at_ - begin - 2), {begin}};
    }

    // Leaves at_ on the last byte of the escape.
    Result<void> check_escape() {
        const auto begin = at_++;
        if (at_ >= text_.size()) return lexical_error(text_, at_, "mismatched character '<EOF>' expecting '''");
        if (peek() == 'u' || peek() == 'U') {
            const auto hex = text_.substr(at_ + 1, 4);
            const bool is_hex = hex.size() == 4 && hex.find_first_not_of("0123456789abcdefABCDEF") == hex.npos;
            if (is_hex) {
                at_ += 4;
                return {};
            }
        } else if (std::string_view("'\"\\nNrRtTbBfF_%").find(peek()) != std::string_view::npos) {
            return {};
        }
        return malformed("Illegal escape: " + std::string(text_.substr(begin, 2)));
    }

    Result<Token> name() {
        const auto begin = at_;
        while (is_name_byte(peek())) ++at_;
        if (peek() == ':' && is_digit(peek(1))) {
            ++at_;
            skip_digits();
            return token_from(begin, Sort::DateName);
        }
        // An amount with its currency, USD5000.25: no path has a digit after its point.
        if (at_ - begin > 3 && peek() == '.' && is_digit(peek(1))) {
            ++at_;
            skip_digits();
        }
        return token_from(begin, Sort::Name);
    }

    Result<Token> number_or_time() {
        const auto begin = at_;
        if (digits_at(at_, 4) && peek(4) == '-' && digits_at(at_ + 5, 2) && peek(7) == '-' && digits_at(at_ + 8, 2)) {
            at_ += 10;
            if (peek() != 'T' && peek() != 't') return token_from(begin, Sort::Date);
            ++at_;
            TRY(time_of_day());
            TRY(zone());
            return token_from(begin, Sort::DateTime);
        }
        if (digits_at(at_, 2) && peek(2) == ':') {
            TRY(time_of_day());
            if (peek() == 'Z' || peek() == 'z') ++at_;
            return token_from(begin, Sort::Time);
        }
        return number();
    }

    Result<void> time_of_day() {
        for (int part = 0; part < 3; ++part) {
            for (int digit = 0; digit < 2; ++digit, ++at_) {
                if (!is_digit(peek())) return no_alternative(text_, at_);
            }
            if (part == 2) break;
            if (peek() != ':') return no_alternative(text_, at_);
            ++at_;
        }
        if (peek() == '.' && is_digit(peek(1))) {
            ++at_;
            skip_digits();
        }
        return {};
    }

    Result<void> zone() {
        if (peek() == 'Z' || peek() == 'z') {
            ++at_;
            return {};
        }
        if (peek() != '+' && peek() != '-') return no_alternative(text_, at_);
        ++at_;
        for (int digit = 0; digit < 4; ++digit, ++at_) {
            if (digit == 2 && peek() == ':') ++at_;
            if (!is_digit(peek())) return no_alternative(text_, at_);
        }
        return {};
    }

    Result<Token> number() {
        const auto begin = at_;
        if (peek() == '-' || peek() == '+') ++at_;
        skip_digits();
        if (peek() == '.' && is_digit(peek(1))) {
            ++at_;
            skip_digits();
        }
        const bool signed_exponent = (peek(1) == '-' || peek(1) == '+') && is_digit(peek(2));
        if ((peek() == 'e' || peek() == 'E') && (is_digit(peek(1)) || signed_exponent)) {
            at_ += signed_exponent ? 2 : 1;
            skip_digits();
        }
        if (is_letter(peek()) || peek() == '_') return no_alternative(text_, at_);
        return token_from(begin, Sort::Number);
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

constexpr std::string_view function_names =
    "COUNT COUNT_DISTINCT SUM AVG MIN MAX GROUPING toLabel FORMAT convertCurrency convertTimezone "
    "CALENDAR_MONTH CALENDAR_QUARTER CALENDAR_YEAR DAY_IN_MONTH DAY_IN_WEEK DAY_IN_YEAR DAY_ONLY "
    "FISCAL_MONTH FISCAL_QUARTER FISCAL_YEAR HOUR_IN_DAY WEEK_IN_MONTH WEEK_IN_YEAR";

// Words that can not name a field or stand as an alias; everything else may ("Order" and "Group" are objects).
constexpr std::string_view reserved = "SELECT FROM WHERE AND OR NOT LIKE IN NULL LIMIT";
constexpr std::string_view clause_words = "WHERE USING WITH GROUP HAVING ORDER LIMIT OFFSET FOR UPDATE ALL ROWS";
constexpr std::string_view plain_date_names =
    "YESTERDAY TODAY TOMORROW LAST_WEEK THIS_WEEK NEXT_WEEK LAST_MONTH THIS_MONTH NEXT_MONTH "
    "LAST_90_DAYS NEXT_90_DAYS THIS_QUARTER LAST_QUARTER NEXT_QUARTER THIS_YEAR LAST_YEAR NEXT_YEAR "
    "THIS_FISCAL_QUARTER LAST_FISCAL_QUARTER NEXT_FISCAL_QUARTER THIS_FISCAL_YEAR LAST_FISCAL_YEAR "
    "NEXT_FISCAL_YEAR";
constexpr std::string_view counted_date_names =
    "LAST_N_DAYS NEXT_N_DAYS N_DAYS_AGO LAST_N_WEEKS NEXT_N_WEEKS N_WEEKS_AGO LAST_N_MONTHS "
    "NEXT_N_MONTHS N_MONTHS_AGO LAST_N_QUARTERS NEXT_N_QUARTERS N_QUARTERS_AGO LAST_N_YEARS "
    "NEXT_N_YEARS N_YEARS_AGO LAST_N_FISCAL_QUARTERS NEXT_N_FISCAL_QUARTERS N_FISCAL_QUARTERS_AGO "
    "LAST_N_FISCAL_YEARS NEXT_N_FISCAL_YEARS N_FISCAL_YEARS_AGO";

/// The spelling of `word` in a list of words separated by blanks; empty: not among them.
std::string_view canonical(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const auto known = list.substr(0, list.find(' '));
        if (equals_ignoring_case(known, word)) return known;
        list.remove_prefix(std::min(list.size(), known.size() + 1));
    }
    return {};
}

struct Comparator {
    std::string_view sign;
    Op op;
};
constexpr std::array comparators = {Comparator{"=", Op::Equal},         Comparator{"!=", Op::NotEqual},
                                    Comparator{"<>", Op::NotEqual},     Comparator{"<", Op::Less},
                                    Comparator{"<=", Op::LessEqual},    Comparator{">", Op::Greater},
                                    Comparator{">=", Op::GreaterEqual}, Comparator{"LIKE", Op::Like}};

class Parser {
public:
    Parser(std::string_view text, std::vector<Token> tokens) : text_(text), tokens_(std::move(tokens)) {}

    Result<Statement> whole() {
        auto statement = TRY(select());
        if (peek().sort != Sort::End) return unexpected(peek());
        return statement;
    }

private:
    const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(next_ + ahead, tokens_.size() - 1)]; }
    const Token& take() {
        const auto& token = peek();
        if (next_ + 1 < tokens_.size()) ++next_;
        return token;
    }
    bool is_sign(std::string_view sign, std::size_t ahead = 0) const {
        return peek(ahead).sort == Sort::Sign && peek(ahead).text == sign;
    }
    bool is_word(std::string_view word, std::size_t ahead = 0) const {
        return peek(ahead).sort == Sort::Name && equals_ignoring_case(peek(ahead).text, word);
    }
    /// The next token's spelling in `list` when it is one of its words; empty: it is not.
    std::string_view word_among(std::string_view list) const {
        return peek().sort == Sort::Name ? canonical(list, peek().text) : std::string_view();
    }
    bool accept_sign(std::string_view sign) {
        if (!is_sign(sign)) return false;
        take();
        return true;
    }
    bool accept_word(std::string_view word) {
        if (!is_word(word)) return false;
        take();
        return true;
    }
    Error unexpected(const Token& token) const {
        return error_at(text_, token.at, "MALFORMED_QUERY", "unexpected token: '" + std::string(token.text) + "'");
    }
    Result<void> expect_sign(std::string_view sign) {
        if (!accept_sign(sign)) return unexpected(peek());
        return {};
    }
    Result<void> expect_word(std::string_view word) {
        if (!accept_word(word)) return unexpected(peek());
        return {};
    }
    Result<std::string> name() {
        if (peek().sort != Sort::Name || !word_among(reserved).empty()) return unexpected(peek());
        return std::string(take().text);
    }
    /// The name of an object may be any word.
    Result<std::string> any_name() {
        if (peek().sort != Sort::Name) return unexpected(peek());
        return std::string(take().text);
    }

    class Deeper {
    public:
        explicit Deeper(int& depth) : depth_(++depth) {}
        Deeper(const Deeper&) = delete;
        ~Deeper() { --depth_; }

    private:
        int& depth_;
    };
    Result<void> check_depth() const {
        if (depth_ > nesting_depth_max)
            return error_at(text_, peek().at, "MALFORMED_QUERY", "Query is nested too deeply");
        return {};
    }

    Result<Statement> select() {
        Deeper deeper(depth_);
        TRY(check_depth());
        Statement statement;
        statement.at = peek().at;
        TRY(expect_word("SELECT"));
        do {
            auto item = TRY(this->item());
            statement.items.push_back(std::move(item));
        } while (accept_sign(","));
        TRY(expect_word("FROM"));
        TRY(from(statement));
        if (accept_word("USING")) {
            TRY(expect_word("SCOPE"));
            statement.scope = TRY(any_name());
        }
        if (accept_word("WHERE")) statement.where = TRY(condition());
        if (accept_word("WITH")) TRY(with(statement));
        if (is_word("GROUP")) TRY(group_by(statement));
        if (accept_word("HAVING")) statement.having = TRY(condition());
        if (is_word("ORDER")) TRY(order_by(statement));
        if (accept_word("LIMIT")) {
            statement.limit_at = peek().at;
            statement.limit = TRY(whole_number());
        }
        if (accept_word("OFFSET")) {
            statement.offset_at = peek().at;
            statement.offset = TRY(whole_number());
        }
        TRY(purposes(statement));
        return statement;
    }

    Result<Item> item() {
        Item item;
        item.at = peek().at;
        if (accept_sign("(")) {
            item.kind = Item::Kind::Child;
            auto child = TRY(select());
            item.child.push_back(std::move(child));
            TRY(expect_sign(")"));
            return item;
        }
        if (is_word("FIELDS") && is_sign("(", 1)) {
            item.kind = Item::Kind::Fields;
            take();
            take();
            constexpr std::string_view groups = "ALL STANDARD CUSTOM";
            const auto group = word_among(groups);
            if (group.empty()) return unexpected(peek());
            take();
            item.fields = group;
            TRY(expect_sign(")"));
            return item;
        }
        if (is_word("TYPEOF") && peek(1).sort == Sort::Name && is_word("WHEN", 2)) {
            item.kind = Item::Kind::TypeOf;
            item.type_of = TRY(type_of());
            return item;
        }
        item.operand = TRY(operand());
        const auto& alias = peek();
        if (alias.sort == Sort::Name && !is_word("FROM")) {
            take();
            // Whatever stands here without a comma is most often a misspelt FROM.
            if (!is_sign(",") && !is_word("FROM")) return unexpected(alias);
            item.alias = alias.text;
        }
        return item;
    }

    Result<TypeOf> type_of() {
        TypeOf choice;
        TRY(expect_word("TYPEOF"));
        choice.relationship = TRY(any_name());
        while (is_word("WHEN")) {
            TypeOf::Branch branch;
            branch.at = peek(1).at;
            take();
            branch.object = TRY(any_name());
            TRY(expect_word("THEN"));
            branch.fields = TRY(paths());
            choice.when.push_back(std::move(branch));
        }
        if (accept_word("ELSE")) choice.otherwise = TRY(paths());
        TRY(expect_word("END"));
        return choice;
    }

    Result<std::vector<Path>> paths() {
        std::vector<Path> list;
        do {
            auto path = TRY(this->path());
            list.push_back(std::move(path));
        } while (accept_sign(","));
        return list;
    }

    Result<Path> path() {
        Path path;
        path.at = peek().at;
        auto first = TRY(name());
        path.names.push_back(std::move(first));
        while (accept_sign(".")) {
            auto next = TRY(any_name());
            path.names.push_back(std::move(next));
        }
        return path;
    }

    Result<Operand> operand() {
        Deeper deeper(depth_);
        TRY(check_depth());
        const auto at = peek().at;
        if (!is_sign("(", 1)) {
            Operand plain;
            plain.path = TRY(path());
            plain.at = at;
            return plain;
        }
        const auto function = word_among(function_names);
        if (function.empty()) return unexpected(peek(peek().sort == Sort::Name ? 1 : 0));
        take();
        take();
        Operand operand;
        if (is_sign(")") && function == "COUNT") {
            operand.path.at = at;
        } else {
            operand = TRY(this->operand());
        }
        TRY(expect_sign(")"));
        operand.functions.emplace(operand.functions.begin(), function);
        operand.at = at;
        return operand;
    }

    Result<void> from(Statement& statement) {
        statement.from.at = peek().at;
        do {
            auto part = TRY(any_name());
            statement.from.names.push_back(std::move(part));
        } while (accept_sign("."));
        statement.alias = TRY(table_alias());
        while (accept_sign(",")) {
            FromAlias more;
            more.path = TRY(path());
            more.alias = TRY(table_alias());
            if (more.alias.empty()) return unexpected(peek());
            statement.more_from.push_back(std::move(more));
        }
        return {};
    }

    Result<std::string> table_alias() {
        accept_word("AS");
        if (peek().sort != Sort::Name || !word_among(clause_words).empty()) return std::string();
        return std::string(take().text);
    }

    Result<void> with(Statement& statement) {
        constexpr std::string_view modes = "SECURITY_ENFORCED USER_MODE SYSTEM_MODE";
        const auto mode = word_among(modes);
        if (mode.empty()) return unexpected(peek());
        take();
        statement.with = mode;
        return {};
    }

    Result<std::vector<Operand>> operands() {
        std::vector<Operand> list;
        do {
            auto operand = TRY(this->operand());
            list.push_back(std::move(operand));
        } while (accept_sign(","));
        return list;
    }

    Result<void> group_by(Statement& statement) {
        take();
        TRY(expect_word("BY"));
        statement.grouping = Statement::Grouping::Plain;
        if ((is_word("ROLLUP") || is_word("CUBE")) && is_sign("(", 1)) {
            statement.grouping = is_word("CUBE") ? Statement::Grouping::Cube : Statement::Grouping::Rollup;
            take();
            take();
            statement.group_by = TRY(operands());
            return expect_sign(")");
        }
        statement.group_by = TRY(operands());
        return {};
    }

    Result<void> order_by(Statement& statement) {
        take();
        TRY(expect_word("BY"));
        do {
            OrderKey key;
            key.operand = TRY(operand());
            if (accept_word("DESC")) {
                key.descending = true;
            } else {
                accept_word("ASC");
            }
            if (accept_word("NULLS")) {
                const bool first = accept_word("FIRST");
                if (!first) TRY(expect_word("LAST"));
                key.nulls = first ? OrderKey::Nulls::First : OrderKey::Nulls::Last;
            }
            statement.order_by.push_back(std::move(key));
        } while (accept_sign(","));
        return {};
    }

    Result<std::int64_t> whole_number() {
        const auto number = peek().sort == Sort::Number ? parse_int(peek().text) : std::nullopt;
        if (!number || *number < 0) return unexpected(peek());
        take();
        return *number;
    }

    Result<void> purposes(Statement& statement) {
        while (accept_word("FOR")) {
            constexpr std::string_view words = "VIEW REFERENCE UPDATE";
            const auto word = word_among(words);
            if (word.empty()) return unexpected(peek());
            take();
            statement.purposes.push_back("FOR " + std::string(word));
        }
        if (accept_word("UPDATE")) {
            constexpr std::string_view words = "TRACKING VIEWSTAT";
            const auto word = word_among(words);
            if (word.empty()) return unexpected(peek());
            take();
            statement.purposes.push_back("UPDATE " + std::string(word));
        }
        if (accept_word("ALL")) {
            TRY(expect_word("ROWS"));
            statement.all_rows = true;
        }
        return {};
    }

    /// a AND b AND c, or a OR b OR c; never both on one level.
    Result<Condition> condition() {
        auto first = TRY(unary());
        const bool is_or = is_word("OR");
        if (!is_or && !is_word("AND")) return first;
        Condition chain;
        chain.kind = is_or ? Condition::Kind::Or : Condition::Kind::And;
        chain.at = first.at;
        chain.parts.push_back(std::move(first));
        while (accept_word(is_or ? "OR" : "AND")) {
            auto part = TRY(unary());
            chain.parts.push_back(std::move(part));
        }
        if (is_word("AND") || is_word("OR")) return unexpected(peek());
        return chain;
    }

    Result<Condition> unary() {
        Deeper deeper(depth_);
        TRY(check_depth());
        const auto at = peek().at;
        if (accept_sign("(")) {
            auto inner = TRY(condition());
            TRY(expect_sign(")"));
            return inner;
        }
        if (accept_word("NOT")) {
            Condition negation;
            negation.kind = Condition::Kind::Not;
            negation.at = at;
            auto inner = TRY(unary());
            negation.parts.push_back(std::move(inner));
            return negation;
        }
        return comparison();
    }

    Result<Condition> comparison() {
        Condition test;
        test.at = peek().at;
        test.left = TRY(operand());
        const auto& sign = peek();
        const auto found = std::find_if(comparators.begin(), comparators.end(), [&](const Comparator& known) {
            return (sign.sort == Sort::Sign || sign.sort == Sort::Name) && equals_ignoring_case(known.sign, sign.text);
        });
        if (found != comparators.end()) {
            take();
            test.op = found->op;
            auto value = TRY(literal());
            test.values.push_back(std::move(value));
            return test;
        }
        if (accept_word("IN")) {
            test.op = Op::In;
        } else if (is_word("NOT") && is_word("IN", 1)) {
            take();
            take();
            test.op = Op::NotIn;
        } else if (accept_word("INCLUDES")) {
            test.op = Op::Includes;
        } else if (accept_word("EXCLUDES")) {
            test.op = Op::Excludes;
        } else {
            return unexpected(sign);
        }
        if (is_sign(":")) return bind_variable();
        TRY(expect_sign("("));
        if (is_word("SELECT") && (test.op == Op::In || test.op == Op::NotIn)) {
            auto inner = TRY(select());
            test.select.push_back(std::move(inner));
        } else {
            do {
                auto value = TRY(literal());
                test.values.push_back(std::move(value));
            } while (accept_sign(","));
        }
        TRY(expect_sign(")"));
        return test;
    }

    Error bind_variable() const {
        return error_at(text_, peek().at, "MALFORMED_QUERY", "Bind variables only allowed in Apex code");
    }

    Result<Literal> literal() {
        if (is_sign(":")) return bind_variable();
        const auto& token = peek();
        Literal literal;
        literal.at = token.at;
        literal.text = token.text;
        switch (token.sort) {
            case Sort::String:
                literal.kind = Literal::Kind::String;
                break;
            case Sort::Number:
                literal.kind = Literal::Kind::Number;
                break;
            case Sort::Date:
                literal.kind = Literal::Kind::Date;
                break;
            case Sort::DateTime:
                literal.kind = Literal::Kind::DateTime;
                break;
            case Sort::Time:
                literal.kind = Literal::Kind::Time;
                break;
            case Sort::DateName: {
                const auto colon = token.text.find(':');
                const auto known = canonical(counted_date_names, token.text.substr(0, colon));
                const auto count = parse_int(token.text.substr(colon + 1));
                if (known.empty() || !count) return unexpected(token);
                literal = {Literal::Kind::DateName, std::string(known), *count, token.at};
                break;
            }
            case Sort::Name:
                if (!word_literal(token.text, literal)) return unexpected(token);
                break;
            case Sort::Sign:
            case Sort::End:
                return unexpected(token);
        }
        take();
        return literal;
    }

    static bool word_literal(std::string_view word, Literal& literal) {
        if (equals_ignoring_case(word, "NULL")) {
            literal.kind = Literal::Kind::Null;
            literal.text = "NULL";
            return true;
        }
        if (equals_ignoring_case(word, "TRUE") || equals_ignoring_case(word, "FALSE")) {
            literal.kind = Literal::Kind::Boolean;
            literal.text = equals_ignoring_case(word, "TRUE") ? "TRUE" : "FALSE";
            return true;
        }
        if (const auto known = canonical(plain_date_names, word); !known.empty()) {
            literal.kind = Literal::Kind::DateName;
            literal.text = known;
            return true;
        }
        if (word.size() > 3 && is_letter(word[1]) && is_letter(word[2]) && is_digit(word[3]) &&
            parse_double(word.substr(3))) {
            literal.kind = Literal::Kind::Currency;
            return true;
        }
        return false;
    }

    std::string_view text_;
    std::vector<Token> tokens_;
    std::size_t next_ = 0;
    int depth_ = 0;
};

class Printer {
public:
    std::string out;

    void statement(const Statement& s) {
        out += "SELECT ";
        list(s.items, [&](const Item& part) { item(part); });
        out += " FROM ";
        path(s.from);
        if (!s.alias.empty()) out += " " + s.alias;
        for (const auto& more : s.more_from) {
            out += ", ";
            path(more.path);
            out += " " + more.alias;
        }
        if (!s.scope.empty()) out += " USING SCOPE " + s.scope;
        if (s.where) {
            out += " WHERE ";
            condition(*s.where, false);
        }
        if (!s.with.empty()) out += " WITH " + s.with;
        if (s.grouping != Statement::Grouping::None) group_by(s);
        if (s.having) {
            out += " HAVING ";
            condition(*s.having, false);
        }
        if (!s.order_by.empty()) {
            out += " ORDER BY ";
            list(s.order_by, [&](const OrderKey& key) { order_key(key); });
        }
        if (s.limit) out += " LIMIT " + std::to_string(*s.limit);
        if (s.offset) out += " OFFSET " + std::to_string(*s.offset);
        for (const auto& purpose : s.purposes) out += " " + purpose;
        if (s.all_rows) out += " ALL ROWS";
    }

    void operand(const Operand& operand) {
        for (const auto& function : operand.functions) out += function + "(";
        path(operand.path);
        out.append(operand.functions.size(), ')');
    }

    void path(const Path& path) { out += join(path.names, "."); }

private:
    template <class Parts, class Print>
    void list(const Parts& parts, Print print) {
        bool first = true;
        for (const auto& part : parts) {
            if (!first) out += ", ";
            first = false;
            print(part);
        }
    }

    void item(const Item& item) {
        switch (item.kind) {
            case Item::Kind::Child:
                out += "(";
                statement(item.child.front());
                out += ")";
                return;
            case Item::Kind::Fields:
                out += "FIELDS(" + item.fields + ")";
                return;
            case Item::Kind::TypeOf:
                type_of(item.type_of);
                return;
            case Item::Kind::Operand:
                operand(item.operand);
                if (!item.alias.empty()) out += " " + item.alias;
        }
    }

    void type_of(const TypeOf& choice) {
        const auto print_path = [&](const Path& field) { path(field); };
        out += "TYPEOF " + choice.relationship;
        for (const auto& branch : choice.when) {
            out += " WHEN " + branch.object + " THEN ";
            list(branch.fields, print_path);
        }
        if (!choice.otherwise.empty()) {
            out += " ELSE ";
            list(choice.otherwise, print_path);
        }
        out += " END";
    }

    void group_by(const Statement& s) {
        out += " GROUP BY ";
        if (s.grouping == Statement::Grouping::Rollup) out += "ROLLUP(";
        if (s.grouping == Statement::Grouping::Cube) out += "CUBE(";
        list(s.group_by, [&](const Operand& part) { operand(part); });
        if (s.grouping != Statement::Grouping::Plain) out += ")";
    }

    void order_key(const OrderKey& key) {
        operand(key.operand);
        if (key.descending) out += " DESC";
        if (key.nulls == OrderKey::Nulls::First) out += " NULLS FIRST";
        if (key.nulls == OrderKey::Nulls::Last) out += " NULLS LAST";
    }

    void condition(const Condition& c, bool inside) {
        if (c.kind == Condition::Kind::Compare) return comparison(c);
        // A chain inside anything needs its parentheses: AND and OR have no precedence over each other.
        if (inside) out += "(";
        if (c.kind == Condition::Kind::Not) {
            out += "NOT ";
            condition(c.parts.front(), true);
        } else {
            for (std::size_t i = 0; i < c.parts.size(); ++i) {
                if (i) out += c.kind == Condition::Kind::And ? " AND " : " OR ";
                condition(c.parts[i], true);
            }
        }
        if (inside) out += ")";
    }

    void comparison(const Condition& c) {
        constexpr std::array words = {
            " = ", " != ", " < ", " <= ", " > ", " >= ", " LIKE ", " IN ", " NOT IN ", " INCLUDES ", " EXCLUDES "};
        operand(c.left);
        out += words.at(static_cast<std::size_t>(c.op));
        if (!c.select.empty()) {
            out += "(";
            statement(c.select.front());
            out += ")";
        } else if (c.op >= Op::In) {
            out += "(";
            list(c.values, [&](const Literal& value) { literal(value); });
            out += ")";
        } else {
            literal(c.values.front());
        }
    }

    void literal(const Literal& value) {
        const bool quoted = value.kind == Literal::Kind::String;
        if (quoted) out += "'";
        out += value.text;
        if (quoted) out += "'";
        // Names without a number have none of their own to print.
        if (value.kind == Literal::Kind::DateName && !canonical(counted_date_names, value.text).empty())
            out += ":" + std::to_string(value.count);
    }
};

void append_utf8(std::string& out, unsigned code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0 | code >> 6);
        out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
        out += static_cast<char>(0xE0 | code >> 12);
        out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
        out += static_cast<char>(0x80 | (code & 0x3F));
    }
}

std::string unescape(std::string_view raw, bool keep_pattern_escapes) {
    std::string out;
    out.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '\\' || i + 1 >= raw.size()) {
            out += raw[i];
            continue;
        }
        const char c = raw[++i];
        switch (c) {
            case 'n':
            case 'N':
                out += '\n';
                break;
            case 'r':
            case 'R':
                out += '\r';
                break;
            case 't':
            case 'T':
                out += '\t';
                break;
            case 'b':
            case 'B':
                out += '\b';
                break;
            case 'f':
            case 'F':
                out += '\f';
                break;
            case 'u':
            case 'U':
                append_utf8(out, static_cast<unsigned>(std::stoul(std::string(raw.substr(i + 1, 4)), nullptr, 16)));
                i += 4;
                break;
            case '_':
            case '%':
            case '\\':
                if (keep_pattern_escapes) out += '\\';
                [[fallthrough]];
            default:
                out += c;
        }
    }
    return to_valid_utf8(out);
}

// About one line of a terminal: enough to recognise the place in a query of a few hundred fields.
constexpr std::size_t window_bytes = 80;

}  // namespace

Result<Statement> parse(std::string_view text) {
    if (trim(text).empty()) return malformed("SOQL statements cannot be empty or null");
    if (text.size() > query_bytes_max)
        return malformed("SOQL statements cannot be longer than " + with_thousands(query_bytes_max) + " characters.");
    auto tokens = TRY(Lexer(text).tokens());
    return Parser(text, std::move(tokens)).whole();
}

std::string to_string(const Statement& statement) {
    Printer printer;
    printer.statement(statement);
    return printer.out;
}

std::string to_string(const Operand& operand) {
    Printer printer;
    printer.operand(operand);
    return printer.out;
}

std::string to_string(const Path& path) {
    return join(path.names, ".");
}

std::string unescape(std::string_view between_quotes) {
    return unescape(between_quotes, false);
}
std::string unescape_pattern(std::string_view between_quotes) {
    return unescape(between_quotes, true);
}

namespace {

std::size_t character_bytes(char first) {
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

bool like(std::string_view text, std::string_view pattern) {
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t run_pattern = std::string_view::npos;
    std::size_t run_text = 0;
    while (true) {
        if (p < pattern.size() && pattern[p] == '%') {
            run_pattern = ++p;
            run_text = t;
            continue;
        }
        if (t == text.size() && p == pattern.size()) return true;
        bool same = false;
        if (t < text.size() && p < pattern.size()) {
            if (pattern[p] == '_') {
                t = std::min(text.size(), t + character_bytes(text[t]));
                ++p;
                continue;
            }
            const bool escaped = pattern[p] == '\\' && p + 1 < pattern.size();
            same = text[t] == pattern[p + (escaped ? 1 : 0)];
            if (same) p += escaped ? 2 : 1;
        }
        if (same) {
            ++t;
            continue;
        }
        if (run_pattern == std::string_view::npos || run_text >= text.size()) return false;
        p = run_pattern;
        t = ++run_text;
    }
}

Error error_at(std::string_view text, At at, const char* code, const std::string& message) {
    const auto place = place_of(text, at);
    auto begin = place.line_start;
    auto end = place.line_end;
    const auto caret = begin + place.column - 1;
    if (end - begin > window_bytes) {
        if (caret - begin > window_bytes / 2) {
            begin = caret - window_bytes / 2;
            while (begin < caret && !is_blank(text[begin - 1]) && text[begin - 1] != ',') ++begin;
        }
        end = std::min(end, caret + window_bytes / 2);
    }
    std::string what = "\n";
    what += to_valid_utf8(text.substr(begin, end - begin));
    what += "\n";
    what.append(caret - begin, ' ');
    what += "^\nERROR at Row:" + std::to_string(place.row) + ":Column:" + std::to_string(place.column) + "\n" + message;
    return Error{.kind = Kind::Rejected, .what = std::move(what), .code = code};
}

}  // namespace lockstep::sandbox::soql

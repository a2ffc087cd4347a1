#include <algorithm>
#include <array>

#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/soql_compiled.h"
#include "sandbox/soql_dates.h"

namespace lockstep::sandbox::soql {
namespace {

// Bounds of the platform (salesforce-api 8).
constexpr std::size_t parent_levels_max = 5;
constexpr int child_selects_max = 20;
constexpr int semi_joins_max = 2;
constexpr std::int64_t offset_max = 2000;
constexpr std::int64_t all_fields_rows_max = 200;

constexpr const char* consult = " Please reference your WSDL or the describe call for the appropriate names.";

// What a polymorphic relationship shows of whatever stands behind it.
constexpr std::array name_fields = {"Id",        "Name",    "FirstName",  "LastName", "Type",
                                    "Email",     "Phone",   "Title",      "Alias",    "Username",
                                    "ProfileId", "Profile", "UserRoleId", "UserRole", "IsActive"};
bool is_name_field(std::string_view name) {
    return std::any_of(name_fields.begin(), name_fields.end(),
                       [&](const char* known) { return equals_ignoring_case(known, name); });
}

struct NamedFunction {
    std::string_view name;
    Function function;
    Type type;
};
constexpr std::array value_functions = {
    NamedFunction{"toLabel", Function::ToLabel, Type::String},
    NamedFunction{"FORMAT", Function::Format, Type::String},
    NamedFunction{"convertCurrency", Function::ConvertCurrency, Type::Currency},
    NamedFunction{"convertTimezone", Function::Same, Type::DateTime},
    NamedFunction{"CALENDAR_MONTH", Function::CalendarMonth, Type::Int},
    NamedFunction{"CALENDAR_QUARTER", Function::CalendarQuarter, Type::Int},
    NamedFunction{"CALENDAR_YEAR", Function::CalendarYear, Type::Int},
    NamedFunction{"DAY_IN_MONTH", Function::DayInMonth, Type::Int},
    NamedFunction{"DAY_IN_WEEK", Function::DayInWeek, Type::Int},
    NamedFunction{"DAY_IN_YEAR", Function::DayInYear, Type::Int},
    NamedFunction{"DAY_ONLY", Function::DayOnly, Type::Date},
    // The fiscal year of the org begins in January.
    NamedFunction{"FISCAL_MONTH", Function::CalendarMonth, Type::Int},
    NamedFunction{"FISCAL_QUARTER", Function::CalendarQuarter, Type::Int},
    NamedFunction{"FISCAL_YEAR", Function::CalendarYear, Type::Int},
    NamedFunction{"HOUR_IN_DAY", Function::HourInDay, Type::Int},
    NamedFunction{"WEEK_IN_MONTH", Function::WeekInMonth, Type::Int},
    NamedFunction{"WEEK_IN_YEAR", Function::WeekInYear, Type::Int},
};

struct NamedAggregate {
    std::string_view name;
    Aggregate::Kind kind;
};
constexpr std::array aggregate_functions = {NamedAggregate{"COUNT", Aggregate::Kind::Count},
                                            NamedAggregate{"COUNT_DISTINCT", Aggregate::Kind::CountDistinct},
                                            NamedAggregate{"SUM", Aggregate::Kind::Sum},
                                            NamedAggregate{"AVG", Aggregate::Kind::Avg},
                                            NamedAggregate{"MIN", Aggregate::Kind::Min},
                                            NamedAggregate{"MAX", Aggregate::Kind::Max},
                                            NamedAggregate{"GROUPING", Aggregate::Kind::Grouping}};

template <class Table>
auto named(const Table& table, std::string_view name) {
    return std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.name == name; });
}
bool is_aggregate(const Operand& operand) {
    return std::any_of(operand.functions.begin(), operand.functions.end(), [](const std::string& function) {
        return named(aggregate_functions, function) != aggregate_functions.end();
    });
}
bool is_count_of_all(const Operand& operand) {
    return operand.path.names.empty();
}

bool is_number(Type type) {
    return type == Type::Int || is_fractional(type);
}
bool is_day(Type type) {
    return type == Type::Date || type == Type::DateTime;
}
bool is_picklist(Type type) {
    return type == Type::Picklist || type == Type::MultiPicklist || type == Type::Combobox;
}

Test::Sort sort_of(Type type) {
    if (type == Type::Id || type == Type::Reference) return Test::Sort::Id;
    if (type == Type::Boolean) return Test::Sort::Truth;
    if (is_day(type)) return Test::Sort::Whole;
    if (is_number(type)) return Test::Sort::Number;
    return Test::Sort::Text;
}

/// The word for a type in "must be of type …".
const char* filter_type(Type type) {
    switch (sort_of(type)) {
        case Test::Sort::Id:
            return "ID";
        case Test::Sort::Truth:
            return "boolean";
        case Test::Sort::Whole:
            return type == Type::Date ? "date" : "dateTime";
        case Test::Sort::Number:
            return type == Type::Int ? "int" : "double";
        default:
            return type == Type::Time ? "time" : "string";
    }
}

bool same(const Value& a, const Value& b) {
    return a.name == b.name && a.functions == b.functions;
}

bool has_semi_join(const Condition& condition) {
    return !condition.select.empty() || std::any_of(condition.parts.begin(), condition.parts.end(), has_semi_join);
}

class Checker {
public:
    Checker(std::string_view text, const Org& org, QueryOptions options)
        : text_(text), org_(org), schema_(org.schema()), options_(options) {}

    /// `object` -1: the statement names its object itself.
    Result<std::shared_ptr<const CompiledQuery>> check(const Statement& statement, int object) {
        auto query = std::make_shared<CompiledQuery>();
        query_ = query.get();
        query_->source = text_;
        query_->statement = statement;
        query_->all_rows = options_.all_rows;
        query_->keep_lost = options_.keep_lost;
        if (statement.all_rows) return malformed(statement.at, "ALL ROWS not allowed in this context");
        query_->object = object >= 0 ? object : TRY(object_named(statement.from));
        if (object_archives()) query_->archived_field = this->object().find("IsArchived");
        TRY(aliases(statement));
        if (statement.where) TRY(where(*statement.where));
        TRY(scope(statement));
        TRY(bounds(statement));
        const bool aggregates = statement.grouping != Statement::Grouping::None || statement.having ||
                                std::any_of(statement.items.begin(), statement.items.end(), [](const Item& item) {
                                    return item.kind == Item::Kind::Operand && is_aggregate(item.operand);
                                });
        if (aggregates) {
            TRY(select_aggregates(statement));
        } else {
            TRY(select_rows(statement));
        }
        TRY(order(statement));
        return std::shared_ptr<const CompiledQuery>(std::move(query));
    }

    bool is_child_select = false;
    bool is_semi_join = false;

private:
    Error malformed(At at, const std::string& message) const { return error_at(text_, at, "MALFORMED_QUERY", message); }
    Error invalid_field(At at, const std::string& message) const {
        return error_at(text_, at, "INVALID_FIELD", message);
    }
    Error no_column(At at, std::string_view name, std::string_view entity) const {
        return invalid_field(at, "No such column '" + std::string(name) + "' on entity '" + std::string(entity) +
                                     "'. If you are attempting to use a custom field, be sure to append the '__c' "
                                     "after the custom field name." +
                                     consult);
    }

    const Object& object() const { return schema_.at(query_->object); }
    bool object_archives() const { return object().name == "Task" || object().name == "Event"; }
    bool aggregated() const { return query_->kind != ResultSet::Kind::Rows; }
    const Field& field_at(Place place) const { return schema_.at(place.object).fields[place.field]; }
    int visible_field(int object, std::string_view name) const {
        const int field = schema_.at(object).find(name);
        return field >= 0 && org_.visible(object, field) ? field : -1;
    }

    Result<int> object_named(const Path& path) const {
        const auto name = to_string(path);
        const int found = path.names.size() == 1 ? schema_.find(name) : -1;
        if (found < 0 || !org_.visible(found, -1))
            return error_at(text_, path.at, "INVALID_TYPE",
                            "sObject type '" + name +
                                "' is not supported. If you are attempting to use a custom object, be sure to append "
                                "the '__c' after the entity name." +
                                consult);
        if (!schema_.at(found).queryable)
            return Error{.kind = Kind::Rejected,
                         .what = "entity type " + schema_.at(found).name + " does not support query",
                         .code = "INVALID_TYPE_FOR_OPERATION"};
        return found;
    }

    Result<void> aliases(const Statement& statement) {
        for (const auto& more : statement.more_from) {
            auto path = without_alias(more.path);
            if (path.empty()) return malformed(more.path.at, "unexpected token: '" + to_string(more.path) + "'");
            std::vector<int> standing = {query_->object};
            for (const auto& name : path) TRY(hop(standing, name, to_string(more.path), more.path.at));
            aliases_.emplace_back(more.alias, std::move(path));
        }
        return {};
    }

    /// The names of a path from the object of the query on: without its alias, with those of parents written out.
    std::vector<std::string> without_alias(const Path& path) const {
        std::vector<std::string> names = path.names;
        const auto& first = names.front();
        for (const auto& [alias, prefix] : aliases_) {
            if (!equals_ignoring_case(alias, first)) continue;
            names.erase(names.begin());
            names.insert(names.begin(), prefix.begin(), prefix.end());
            return names;
        }
        const auto& alias = query_->statement.alias;
        const bool is_own = equals_ignoring_case(first, alias.empty() ? object().name : alias) ||
                            (equals_ignoring_case(first, object().name) && !has_relationship(first));
        if (is_own && names.size() > 1) names.erase(names.begin());
        return names;
    }
    bool has_relationship(std::string_view name) const {
        return std::any_of(object().fields.begin(), object().fields.end(), [&](const Field& field) {
            return !field.removed && equals_ignoring_case(field.relationship, name);
        });
    }

    /// Moves `standing` over the relationship `name`.
    Result<Hop> hop(std::vector<int>& standing, const std::string& name, const std::string& path, At at) const {
        Hop hop;
        std::vector<int> next;
        for (const int from : standing) {
            const auto& fields = schema_.at(from).fields;
            for (std::size_t i = 0; i < fields.size(); ++i) {
                const auto& field = fields[i];
                const int index = static_cast<int>(i);
                const bool is_it = !field.removed && !field.relationship.empty() &&
                                   equals_ignoring_case(field.relationship, name) && org_.visible(from, index);
                if (!is_it) continue;
                hop.name = field.relationship;
                hop.from.push_back({from, index});
                for (const auto& target : field.reference_to) {
                    const int object = schema_.find(target);
                    const bool known = object >= 0 && org_.visible(object, -1);
                    if (known && std::find(next.begin(), next.end(), object) == next.end()) next.push_back(object);
                }
                break;
            }
        }
        if (next.empty())
            return invalid_field(at, "Didn't understand relationship '" + name + "' in field path" +
                                         ". If you are attempting to use a custom relationship, be sure to append the "
                                         "'__r' after the custom relationship name." +
                                         consult);
        static_cast<void>(path);
        standing = std::move(next);
        return hop;
    }

    Result<Value> field(const Path& path) const {
        return field_from(path, without_alias(path), {query_->object}, false);
    }

    /// `any_of`: the record is one of several objects, of which only their common name fields can be asked.
    Result<Value> field_from(const Path& path, const std::vector<std::string>& names, std::vector<int> standing,
                             bool any_of) const {
        Value value;
        value.at = path.at;
        if (names.size() > parent_levels_max + 1)
            return malformed(path.at, "Field path '" + to_string(path) + "' goes over more than 5 relationships");
        for (std::size_t i = 0; i + 1 < names.size(); ++i) {
            auto step = TRY(hop(standing, names[i], to_string(path), path.at));
            value.name += step.name + ".";
            value.hops.push_back(std::move(step));
            any_of = standing.size() > 1;
        }
        const auto& last = names.back();
        if (any_of && equals_ignoring_case(last, "Type")) {
            value.object_name = true;
            for (const int at : standing) value.ends.push_back({at, -1});
            value.name += "Type";
            return value;
        }
        if (!any_of || is_name_field(last)) {
            for (const int at : standing) {
                const int index = visible_field(at, last);
                if (index >= 0) value.ends.push_back({at, index});
            }
        }
        if (value.ends.empty()) {
            // A field asked of a relationship field itself reads better as a wrong column of the object it leads to.
            return no_column(path.at, last, any_of ? "Name" : schema_.at(standing.front()).name);
        }
        const auto& field = field_at(value.ends.front());
        value.name += field.name;
        value.field_type = value.type = field.type;
        value.case_sensitive = field.case_sensitive || field.type == Type::Time;
        return value;
    }

    const Field* only_field(const Value& value) const {
        return value.object_name ? nullptr : &field_at(value.ends.front());
    }

    /// The operand's field with its functions, aggregates left out.
    Result<Value> value(const Operand& operand) const {
        auto result = TRY(field(operand.path));
        for (auto it = operand.functions.rbegin(); it != operand.functions.rend(); ++it) {
            const auto known = named(value_functions, *it);
            if (known == value_functions.end()) continue;
            if (!takes(known->function, result.type))
                return malformed(operand.at, "field '" + result.name + "' does not support function '" + *it + "'");
            result.functions.insert(result.functions.begin(), known->function);
            const bool keeps = known->function == Function::Same || known->function == Function::ConvertCurrency;
            if (!keeps) result.type = known->type;
        }
        result.at = operand.at;
        return result;
    }
    static bool takes(Function function, Type type) {
        switch (function) {
            case Function::ToLabel:
                return is_picklist(type);
            case Function::Format:
                return true;
            case Function::ConvertCurrency:
                return is_number(type);
            case Function::Same:
                return is_day(type);
            case Function::DayOnly:
            case Function::HourInDay:
                return type == Type::DateTime;
            default:
                return is_day(type);
        }
    }

    // --- WHERE and HAVING ---

    Result<void> where(const Condition& condition) {
        TRY(check_semi_joins(condition, true));
        query_->where = TRY(predicate(condition));
        return {};
    }

    Result<void> check_semi_joins(const Condition& condition, bool is_top) const {
        const bool is_chain_of_all = is_top && condition.kind == Condition::Kind::And;
        for (const auto& part : condition.parts) {
            if (!is_chain_of_all && has_semi_join(part))
                return malformed(condition.at,
                                 "Semi join sub-selects are only allowed at the top level WHERE expressions and not in "
                                 "nested WHERE expressions.");
            TRY(check_semi_joins(part, is_top));
        }
        return {};
    }

    Result<Predicate> predicate(const Condition& condition) {
        Predicate result;
        result.kind = condition.kind;
        if (condition.kind == Condition::Kind::Compare) {
            result.test = TRY(test(condition));
            return result;
        }
        for (const auto& part : condition.parts) {
            auto compiled = TRY(predicate(part));
            result.parts.push_back(std::move(compiled));
        }
        return result;
    }

    Result<Test> test(const Condition& condition) {
        Test test;
        test.op = condition.op;
        Type type = Type::String;
        if (aggregated()) {
            test.slot = TRY(slot_of(condition.left));
            type = query_->slot_type(test.slot);
            test.left.name = soql::to_string(condition.left);
        } else {
            if (is_aggregate(condition.left))
                return malformed(condition.at,
                                 "Aggregate functions are not allowed in WHERE: " + soql::to_string(condition.left));
            test.left = TRY(value(condition.left));
            type = test.left.type;
            const auto* field = only_field(test.left);
            const bool is_bulky = type == Type::Address || type == Type::Location || type == Type::Base64;
            if (is_bulky || (field && !field->filterable))
                return invalid_field(condition.at,
                                     "field '" + test.left.name + "' can not be filtered in a query call");
        }
        test.sort = sort_of(type);
        TRY(check_operator(condition, type));
        if (!condition.select.empty()) {
            TRY(semi_join(condition, test));
            return test;
        }
        if (condition.op == Op::Includes || condition.op == Op::Excludes) test.sort = Test::Sort::Set;
        if (condition.op == Op::Like) test.sort = Test::Sort::Text;
        for (const auto& literal : condition.values) TRY(constant(condition, literal, type, test));
        std::sort(test.texts.begin(), test.texts.end());
        std::sort(test.numbers.begin(), test.numbers.end());
        return test;
    }

    Result<void> check_operator(const Condition& condition, Type type) const {
        const auto op = condition.op;
        const bool orders = op >= Op::Less && op <= Op::GreaterEqual;
        const bool is_set = op == Op::Includes || op == Op::Excludes;
        bool fits = true;
        switch (sort_of(type)) {
            case Test::Sort::Truth:
                fits = !orders && !is_set && op != Op::Like;
                break;
            case Test::Sort::Whole:
            case Test::Sort::Number:
                fits = !is_set && op != Op::Like;
                break;
            case Test::Sort::Id:
                fits = !is_set;
                break;
            default:
                fits = type == Type::MultiPicklist ? !orders && op != Op::Like : !is_set;
                break;
        }
        if (fits) return {};
        const char* word = is_number(type) ? "number" : name(type);
        return error_at(text_, condition.at, "INVALID_QUERY_FILTER_OPERATOR",
                        std::string("invalid operator on ") + word + " field");
    }

    Error wrong_type(const Condition& condition, const Test& test, Type type) const {
        const auto sort = sort_of(type);
        const bool quoted = (sort == Test::Sort::Text && type != Type::Time) || sort == Test::Sort::Id;
        return invalid_field(condition.at, "value of filter criterion for field '" + last_name(test.left.name) +
                                               "' must be of type " + filter_type(type) + " and should " +
                                               (quoted ? "" : "not ") + "be enclosed in quotes");
    }
    static std::string last_name(const std::string& path) { return path.substr(path.rfind('.') + 1); }

    Result<void> constant(const Condition& condition, const Literal& literal, Type type, Test& test) const {
        if (literal.kind == Literal::Kind::Null) {
            test.with_null = true;
            return {};
        }
        const auto mismatch = [&] { return wrong_type(condition, test, type); };
        switch (test.sort) {
            case Test::Sort::Text:
                if (type == Type::Time && condition.op != Op::Like) {
                    const auto text = literal.kind == Literal::Kind::Time ? canonical_time(literal.text) : std::nullopt;
                    if (!text) return mismatch();
                    test.texts.push_back(*text);
                    return {};
                }
                if (literal.kind != Literal::Kind::String) return mismatch();
                return text_constant(literal, test);
            case Test::Sort::Set:
                if (literal.kind != Literal::Kind::String) return mismatch();
                return set_constant(literal, test);
            case Test::Sort::Id: {
                if (literal.kind != Literal::Kind::String) return mismatch();
                const auto text = unescape(literal.text);
                const auto id = normalize_id(text);
                if (text.empty()) {
                    test.with_null = true;
                } else if (!id) {
                    return error_at(text_, condition.at, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: " + text);
                } else {
                    test.texts.push_back(*id);
                }
                return {};
            }
            case Test::Sort::Truth:
                if (literal.kind != Literal::Kind::Boolean) return mismatch();
                test.truth[literal.text == "TRUE"] = true;
                return {};
            case Test::Sort::Number: {
                const bool fits = literal.kind == Literal::Kind::Number || literal.kind == Literal::Kind::Currency;
                if (!fits) return mismatch();
                auto digits = std::string_view(literal.text);
                if (literal.kind == Literal::Kind::Currency) digits.remove_prefix(3);
                if (digits.front() == '+') digits.remove_prefix(1);
                const auto number = parse_double(digits);
                if (!number) return mismatch();
                test.numbers.push_back(*number);
                return {};
            }
            case Test::Sort::Whole: {
                const auto range = range_of(literal, type, org_.now());
                if (!range) return mismatch();
                test.ranges.push_back(*range);
                return {};
            }
        }
        return {};
    }

    static Result<void> text_constant(const Literal& literal, Test& test) {
        auto text = test.op == Op::Like ? unescape_pattern(literal.text) : unescape(literal.text);
        if (text.empty()) {
            test.with_null = true;
            // LIKE '' can only mean the empty string, which is null.
            if (test.op == Op::Like) test.op = Op::Equal;
            return {};
        }
        test.texts.push_back(test.left.case_sensitive ? std::move(text) : fold(text));
        return {};
    }

    static Result<void> set_constant(const Literal& literal, Test& test) {
        std::vector<std::string> members;
        for (const auto& member : split(fold(unescape(literal.text)), ';')) {
            if (!member.empty()) members.push_back(member);
        }
        if (members.empty()) {
            test.with_null = true;
        } else {
            test.sets.push_back(std::move(members));
        }
        return {};
    }

    Result<void> semi_join(const Condition& condition, Test& test) {
        const auto& inner = condition.select.front();
        if (is_semi_join) return malformed(inner.at, "Nesting of semi join sub-selects is not supported");
        if (aggregated() || test.sort != Test::Sort::Id)
            return invalid_field(
                condition.at, "Semi join sub-selects can only query id fields, cannot use: '" + test.left.name + "'");
        if (static_cast<int>(query_->semi_joins.size()) >= semi_joins_max)
            return malformed(inner.at, "Maximum 2 semi join sub-selects are allowed.");
        // Rows in the bin take part in neither kind of sub-select.
        Checker checker(text_, org_, QueryOptions{});
        checker.is_semi_join = true;
        auto query = TRY(checker.check(inner, -1));
        const bool is_one_field = query->kind == ResultSet::Kind::Rows && query->column_values.size() == 1 &&
                                  query->column_values.front() &&
                                  sort_of(query->column_values.front()->type) == Test::Sort::Id;
        if (!is_one_field) {
            return malformed(inner.items.front().at,
                             "Semi join sub-selects can only query id fields, cannot use: '" +
                                 (query->columns.empty() ? std::string("COUNT()") : query->columns.front().name) + "'");
        }
        test.semi_join = static_cast<int>(query_->semi_joins.size());
        auto column = *query->column_values.front();
        query_->semi_joins.push_back({std::move(query), std::move(column)});
        return {};
    }

    Result<void> scope(const Statement& statement) {
        if (statement.scope.empty() || equals_ignoring_case(statement.scope, "everything")) return {};
        const int owner = visible_field(query_->object, "OwnerId");
        if (!equals_ignoring_case(statement.scope, "mine") || owner < 0)
            return malformed(statement.at, "Invalid scope '" + statement.scope + "' for " + object().name);
        Predicate mine;
        mine.test.sort = Test::Sort::Id;
        mine.test.left.ends = {{query_->object, owner}};
        mine.test.left.type = mine.test.left.field_type = Type::Reference;
        mine.test.left.name = "OwnerId";
        mine.test.texts = {org_.integration_user_id()};
        if (!query_->where) {
            query_->where = std::move(mine);
            return {};
        }
        Predicate both;
        both.kind = Condition::Kind::And;
        both.parts.push_back(std::move(*query_->where));
        both.parts.push_back(std::move(mine));
        query_->where = std::move(both);
        return {};
    }

    Result<void> bounds(const Statement& statement) {
        query_->limit = statement.limit;
        query_->offset = statement.offset.value_or(0);
        if (query_->offset > offset_max)
            return Error{.kind = Kind::Rejected,
                         .what = "Maximum SOQL offset allowed is 2000",
                         .code = "NUMBER_OUTSIDE_VALID_RANGE"};
        return {};
    }

    // --- SELECT of rows ---

    Result<void> select_rows(const Statement& statement) {
        int child_selects = 0;
        for (const auto& item : statement.items) {
            switch (item.kind) {
                case Item::Kind::Operand:
                    TRY(select_field(item));
                    break;
                case Item::Kind::Fields:
                    TRY(select_all(item, statement));
                    break;
                case Item::Kind::TypeOf:
                    TRY(select_type_of(item));
                    break;
                case Item::Kind::Child:
                    if (++child_selects > child_selects_max)
                        return malformed(item.at, "Only 20 child sub-selects are allowed in a query");
                    TRY(select_child(item));
                    break;
            }
        }
        return {};
    }

    static Error duplicate(const std::string& name) {
        return Error{.kind = Kind::Rejected, .what = "duplicate field selected: " + name, .code = "MALFORMED_QUERY"};
    }

    Result<void> select_field(const Item& item) {
        auto value = TRY(this->value(item.operand));
        const bool derives_day =
            std::any_of(value.functions.begin(), value.functions.end(), [](Function f) { return f > Function::Same; });
        if (derives_day) return malformed(item.at, "Field must be grouped or aggregated: " + value.name);
        if (!item.alias.empty() && value.functions.empty())
            return malformed(item.at, "only aggregate expressions use field aliasing");
        return add_field(std::move(value), item.alias);
    }

    Result<void> select_all(const Item& item, const Statement& statement) {
        if (item.fields != "STANDARD" && (!statement.limit || *statement.limit > all_fields_rows_max))
            return malformed(item.at, "The SOQL FIELDS function must have a LIMIT of at most 200");
        const auto& fields = object().fields;
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const int index = static_cast<int>(i);
            const bool wanted = item.fields == "ALL" || (item.fields == "CUSTOM") == fields[i].custom;
            if (fields[i].removed || !wanted || !org_.visible(query_->object, index)) continue;
            auto value = TRY(field_from(Path{{fields[i].name}, item.at}, {fields[i].name}, {query_->object}, false));
            TRY(add_field(std::move(value), ""));
        }
        return {};
    }

    Result<void> add_field(Value value, const std::string& alias) {
        QueryColumn column;
        column.name = alias.empty() ? value.name : alias;
        column.type = value.type;
        column.steps = alias.empty() ? split(value.name, '.') : std::vector<std::string>{alias};
        if (!value.object_name) {
            column.object = value.ends.front().object;
            column.field = value.ends.front().field;
        }
        TRY(add_output(query_->outputs, value, alias));
        query_->columns.push_back(std::move(column));
        query_->column_values.push_back(std::move(value));
        return {};
    }

    /// Puts a field where it stands in the nested record: parents are members that hold their fields.
    static Result<void> add_output(std::vector<Output>& outputs, const Value& value, const std::string& alias) {
        auto* members = &outputs;
        if (alias.empty()) {
            for (const auto& hop : value.hops) {
                auto found = std::find_if(members->begin(), members->end(), [&](const Output& output) {
                    return output.kind == Output::Kind::Parent && output.key == hop.name;
                });
                if (found == members->end()) {
                    Output parent;
                    parent.kind = Output::Kind::Parent;
                    parent.key = hop.name;
                    parent.hop = hop;
                    members->push_back(std::move(parent));
                    found = members->end() - 1;
                }
                members = &found->members;
            }
        }
        Output leaf;
        leaf.key = alias.empty() ? last_name(value.name) : alias;
        leaf.value = value;
        if (alias.empty()) leaf.value.hops.clear();
        const bool taken =
            std::any_of(members->begin(), members->end(), [&](const Output& output) { return output.key == leaf.key; });
        if (taken) return duplicate(alias.empty() ? value.name : alias);
        members->push_back(std::move(leaf));
        return {};
    }

    Result<void> select_type_of(const Item& item) {
        std::vector<int> targets = {query_->object};
        Output output;
        output.kind = Output::Kind::TypeOf;
        output.hop = TRY(hop(targets, item.type_of.relationship, item.type_of.relationship, item.at));
        output.key = output.hop.name;
        if (targets.size() < 2)
            return malformed(item.at, "TYPEOF is only supported on polymorphic relationships: " + output.key);
        for (const auto& when : item.type_of.when) {
            const int target = schema_.find(when.object);
            if (std::find(targets.begin(), targets.end(), target) == targets.end())
                return error_at(
                    text_, when.at, "INVALID_TYPE",
                    "sObject type '" + when.object + "' is not supported in relationship '" + output.key + "'");
            Output::Branch branch{.object = target};
            for (const auto& path : when.fields) {
                auto value = TRY(field_from(path, path.names, {target}, false));
                TRY(add_output(branch.members, value, ""));
            }
            output.branches.push_back(std::move(branch));
        }
        for (const auto& path : item.type_of.otherwise) {
            auto value = TRY(field_from(path, path.names, targets, true));
            TRY(add_output(output.members, value, ""));
        }
        return add_whole(std::move(output));
    }

    Result<void> select_child(const Item& item) {
        const auto& statement = item.child.front();
        if (is_child_select || is_semi_join)
            return malformed(item.at, "SOQL statements can not nest child sub-selects more than one level deep");
        auto names = statement.from.names;
        if (names.size() > 1) names = without_alias(statement.from);
        const auto name = join(names, ".");
        const auto children = schema_.children_of(query_->object);
        const auto found = std::find_if(children.begin(), children.end(), [&](const ChildRelationship& child) {
            return !child.relationship.empty() && equals_ignoring_case(child.relationship, name);
        });
        const int child = found == children.end() ? -1 : schema_.find(found->child_object);
        const int reference = child < 0 ? -1 : visible_field(child, found->field);
        if (reference < 0 || !org_.visible(child, -1))
            return error_at(text_, statement.from.at, "INVALID_TYPE",
                            "Didn't understand relationship '" + name +
                                "' in FROM part of query call. If you are attempting to use a custom relationship, be "
                                "sure to append the '__r' after the custom relationship name." +
                                consult);
        Output output;
        output.kind = Output::Kind::Child;
        output.key = found->relationship;
        output.child_field = reference;
        Checker checker(text_, org_, options_);
        checker.is_child_select = true;
        output.child = TRY(checker.check(statement, child));
        if (output.child->kind != ResultSet::Kind::Rows)
            return malformed(item.at, "Aggregate functions are not supported in child sub-selects");
        return add_whole(std::move(output));
    }

    Result<void> add_whole(Output output) {
        const auto& outputs = query_->outputs;
        if (std::any_of(outputs.begin(), outputs.end(), [&](const Output& o) { return o.key == output.key; }))
            return duplicate(output.key);
        QueryColumn column;
        column.name = output.key;
        column.type = Type::AnyType;
        column.aggregate = output.kind == Output::Kind::Child;
        column.steps = {output.key};
        query_->columns.push_back(std::move(column));
        query_->column_values.emplace_back();
        query_->outputs.push_back(std::move(output));
        return {};
    }

    // --- SELECT of groups ---

    Result<void> select_aggregates(const Statement& statement) {
        query_->kind = ResultSet::Kind::Aggregates;
        query_->grouping = statement.grouping;
        for (const auto& operand : statement.group_by) TRY(group_key(operand));
        const auto& first = statement.items.front();
        if (first.kind == Item::Kind::Operand && is_count_of_all(first.operand) && statement.items.size() == 1 &&
            first.alias.empty() && statement.grouping == Statement::Grouping::None && !statement.having) {
            query_->kind = ResultSet::Kind::Count;
            return {};
        }
        int unnamed = 0;
        for (const auto& item : statement.items) {
            if (item.kind != Item::Kind::Operand)
                return malformed(item.at, "Only fields and aggregate functions can be selected with GROUP BY");
            if (is_count_of_all(item.operand) && item.operand.functions.size() == 1)
                return malformed(item.at, "COUNT() must be the only item of the select list; use COUNT(Id)");
            const int slot = TRY(slot_of(item.operand));
            const bool has_name = item.operand.functions.empty();
            auto key = item.alias;
            if (key.empty() && has_name) key = last_name(query_->group_keys[slot].name);
            if (key.empty()) key = "expr" + std::to_string(unnamed++);
            if (std::any_of(query_->columns.begin(), query_->columns.end(),
                            [&](const QueryColumn& known) { return equals_ignoring_case(known.name, key); }))
                return malformed(item.at, "duplicate alias: " + key);
            QueryColumn column;
            column.name = key;
            column.type = query_->slot_type(slot);
            column.aggregate = !has_name;
            column.steps = {key};
            if (has_name && !query_->group_keys[slot].object_name) {
                column.object = query_->group_keys[slot].ends.front().object;
                column.field = query_->group_keys[slot].ends.front().field;
            }
            query_->columns.push_back(std::move(column));
            query_->column_values.emplace_back();
            query_->group_columns.push_back({key, slot});
        }
        if (statement.having) query_->having = TRY(predicate(*statement.having));
        return {};
    }

    Result<void> group_key(const Operand& operand) {
        if (is_aggregate(operand))
            return malformed(operand.at, "Grouped field should not be aggregated: " + soql::to_string(operand));
        auto key = TRY(value(operand));
        const auto* field = only_field(key);
        const bool derives_day =
            std::any_of(key.functions.begin(), key.functions.end(), [](Function f) { return f > Function::Same; });
        if (field && !field->groupable && !derives_day)
            return malformed(operand.at, "field '" + key.name + "' can not be grouped in a query call");
        if (query_->grouping != Statement::Grouping::Plain && query_->group_keys.size() >= 3)
            return malformed(operand.at, "ROLLUP and CUBE take at most 3 fields");
        query_->group_keys.push_back(std::move(key));
        return {};
    }

    /// Where the operand stands in a group row; adds the aggregate when it is new.
    Result<int> slot_of(const Operand& operand) {
        const auto keys = static_cast<int>(query_->group_keys.size());
        if (!is_aggregate(operand)) {
            auto wanted = TRY(value(operand));
            for (int i = 0; i < keys; ++i) {
                if (same(query_->group_keys[i], wanted)) return i;
            }
            return malformed(operand.at, "Field must be grouped or aggregated: " + wanted.name);
        }
        auto aggregate = TRY(this->aggregate(operand));
        for (std::size_t i = 0; i < query_->aggregates.size(); ++i) {
            const auto& known = query_->aggregates[i];
            const bool same_field = known.of && aggregate.of ? same(*known.of, *aggregate.of)
                                                             : known.of.has_value() == aggregate.of.has_value();
            if (known.kind == aggregate.kind && known.group_key == aggregate.group_key && same_field)
                return keys + static_cast<int>(i);
        }
        query_->aggregates.push_back(std::move(aggregate));
        return keys + static_cast<int>(query_->aggregates.size()) - 1;
    }

    Result<Aggregate> aggregate(const Operand& operand) {
        const auto function = std::find_if(operand.functions.begin(), operand.functions.end(), [](const auto& name) {
            return named(aggregate_functions, name) != aggregate_functions.end();
        });
        Aggregate result;
        result.kind = named(aggregate_functions, *function)->kind;
        if (is_count_of_all(operand)) return result;
        Operand inner = operand;
        // FORMAT(MIN(x)) formats what MIN found, which shows the same as the value itself.
        inner.functions.assign(function + 1, operand.functions.end());
        auto of = TRY(value(inner));
        if (result.kind == Aggregate::Kind::Grouping) {
            for (std::size_t i = 0; i < query_->group_keys.size(); ++i) {
                if (same(query_->group_keys[i], of)) result.group_key = static_cast<int>(i);
            }
            const bool folds =
                query_->grouping == Statement::Grouping::Rollup || query_->grouping == Statement::Grouping::Cube;
            if (result.group_key < 0 || !folds)
                return malformed(operand.at, "GROUPING needs a field of GROUP BY ROLLUP or CUBE: " + of.name);
            return result;
        }
        const bool is_key = std::any_of(query_->group_keys.begin(), query_->group_keys.end(),
                                        [&](const Value& key) { return same(key, of); });
        if (is_key) return malformed(operand.at, "Grouped field should not be aggregated: " + of.name);
        const auto* field = only_field(of);
        const bool counts = result.kind == Aggregate::Kind::Count || result.kind == Aggregate::Kind::CountDistinct;
        const bool adds = result.kind == Aggregate::Kind::Sum || result.kind == Aggregate::Kind::Avg;
        const bool bulky = of.type == Type::Address || of.type == Type::Location || of.type == Type::Base64;
        const bool fits = !bulky && (!adds || is_number(of.type)) &&
                          (counts || !field || field->aggregatable || is_number(of.type) || is_day(of.type));
        if (!fits)
            return malformed(operand.at, "field " + of.name + " does not support aggregate operator " + *function);
        if (!counts) result.type = result.kind == Aggregate::Kind::Avg ? Type::Double : of.type;
        result.of = std::move(of);
        return result;
    }

    // --- ORDER BY ---

    Result<void> order(const Statement& statement) {
        for (const auto& key : statement.order_by) {
            if (query_->kind == ResultSet::Kind::Count)
                return malformed(key.operand.at,
                                 "Ordered field must be grouped or aggregated: " + soql::to_string(key.operand));
            SortKey compiled;
            compiled.descending = key.descending;
            compiled.nulls_first =
                key.nulls == OrderKey::Nulls::Unsaid ? !key.descending : key.nulls == OrderKey::Nulls::First;
            if (aggregated()) {
                compiled.slot = TRY(slot_of(key.operand));
            } else {
                if (is_aggregate(key.operand))
                    return malformed(key.operand.at,
                                     "Ordered field must be grouped or aggregated: " + soql::to_string(key.operand));
                compiled.value = TRY(value(key.operand));
                const auto* field = only_field(compiled.value);
                if (field && !field->sortable)
                    return malformed(key.operand.at,
                                     "field '" + compiled.value.name + "' can not be sorted in a query call");
            }
            query_->order.push_back(std::move(compiled));
        }
        return {};
    }

    std::string_view text_;
    const Org& org_;
    const Schema& schema_;
    QueryOptions options_;
    CompiledQuery* query_ = nullptr;
    std::vector<std::pair<std::string, std::vector<std::string>>> aliases_;
};

}  // namespace

Result<std::shared_ptr<const CompiledQuery>> compile(std::string_view text, const Org& org, QueryOptions options) {
    const auto statement = TRY(parse(text));
    return Checker(text, org, options).check(statement, -1);
}

}  // namespace lockstep::sandbox::soql

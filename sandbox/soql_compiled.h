#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/org.h"
#include "sandbox/soql.h"
#include "sandbox/soql_dates.h"
#include "sandbox/soql_grammar.h"

/// What the checker hands to the runner: a statement whose names are indices of the schema.
namespace lockstep::sandbox::soql {

struct Place {
    int object = -1;
    int field = -1;
};

struct Spot {
    int object = -1;
    std::int64_t row = -1;
};

/// From a record to the one it refers to. A polymorphic path stands on one of several objects; each has its own field.
struct Hop {
    std::string name;  ///< "Owner"
    std::vector<Place> from;
};

enum class Function {
    ToLabel,
    Format,
    ConvertCurrency,
    Same,  ///< convertTimezone: the org's users live in UTC
    CalendarMonth,
    CalendarQuarter,
    CalendarYear,
    DayInMonth,
    DayInWeek,
    DayInYear,
    DayOnly,
    HourInDay,
    WeekInMonth,
    WeekInYear,
};

/// A field, near or behind references, with functions applied.
struct Value {
    std::vector<Hop> hops;
    std::vector<Place> ends;          ///< one for each object the path may end on
    bool object_name = false;         ///< Owner.Type: the name of the object the path ends on
    std::vector<Function> functions;  ///< outermost first
    Type field_type = Type::String;
    Type type = Type::String;  ///< after the functions
    bool case_sensitive = false;
    std::string name;  ///< canonical: "Account.Owner.Name"
    At at;

    bool is_plain() const { return hops.empty() && !object_name && functions.empty(); }
    bool is_field(int field) const { return is_plain() && ends.front().field == field; }
};

/// The record behind the reference; nothing when it is empty, or the record deleted, not yet visible or not for the
/// connected user to see.
std::optional<Spot> follow(const Org& org, const Hop& hop, Spot spot);
std::optional<Spot> spot_of(const Org& org, std::string_view id18);
Cell read(const Org& org, const Value& value, Spot spot);

/// One comparison, its constants in the form the values have.
struct Test {
    enum class Sort { Text, Id, Truth, Whole, Number, Set };
    Value left;
    int slot = -1;  ///< HAVING: which cell of the group row; `left` is unused then
    Op op = Op::Equal;
    Sort sort = Sort::Text;
    bool with_null = false;          ///< NULL (or '') is among the constants
    std::vector<std::string> texts;  ///< folded unless the field is case-sensitive; ids with 18 characters; sorted
    std::vector<Range> ranges;       ///< Whole
    std::vector<double> numbers;     ///< Number, sorted
    bool truth[2] = {false, false};  ///< Truth
    std::vector<std::vector<std::string>> sets;  ///< Includes, Excludes: each needs all of its members
    int semi_join = -1;                          ///< index into CompiledQuery::semi_joins

    /// Null takes part in comparisons as salesforce-api 8 says: != and NOT IN include it, order and LIKE do not.
    bool matches(const Cell& cell) const;
};

struct Predicate {
    Condition::Kind kind = Condition::Kind::Compare;
    std::vector<Predicate> parts;
    Test test;
};

struct Aggregate {
    enum class Kind { Count, CountDistinct, Sum, Avg, Min, Max, Grouping };
    Kind kind = Kind::Count;
    std::optional<Value> of;  ///< nothing: COUNT()
    int group_key = -1;       ///< Grouping
    Type type = Type::Int;
};

struct SortKey {
    Value value;
    int slot = -1;  ///< of the group row
    bool descending = false;
    bool nulls_first = true;
};

/// A member of a JSON record.
struct Output {
    enum class Kind { Value, Parent, Child, TypeOf };
    Kind kind = Kind::Value;
    std::string key;
    Value value;                  ///< Value; relative to the record it is a member of
    Hop hop;                      ///< Parent, TypeOf
    std::vector<Output> members;  ///< Parent; TypeOf: of objects without a branch
    struct Branch {
        int object = -1;
        std::vector<Output> members;
    };
    std::vector<Branch> branches;                ///< TypeOf
    std::shared_ptr<const CompiledQuery> child;  ///< Child; owned by this output, shared only so that outputs copy
    int child_field = -1;                        ///< Child: the field of the child object that refers to the record
};

}  // namespace lockstep::sandbox::soql

namespace lockstep::sandbox {

struct CompiledQuery {
    struct SemiJoin {
        std::shared_ptr<const CompiledQuery> query;
        soql::Value column;
    };
    struct GroupColumn {
        std::string key;
        int slot = 0;
    };

    std::string source;
    soql::Statement statement;
    int object = -1;
    bool all_rows = false;
    int archived_field = -1;  ///< Task and Event: rows where it is true show in queryAll only
    bool keep_lost = false;
    ResultSet::Kind kind = ResultSet::Kind::Rows;
    std::optional<soql::Predicate> where;
    std::vector<SemiJoin> semi_joins;
    std::vector<soql::SortKey> order;
    std::optional<std::int64_t> limit;
    std::int64_t offset = 0;

    std::vector<soql::Output> outputs;
    std::vector<QueryColumn> columns;
    std::vector<std::optional<soql::Value>> column_values;  ///< as columns; nothing for child selects and TYPEOF

    // Aggregates. A group row holds the group keys' cells, then the aggregates'.
    soql::Statement::Grouping grouping = soql::Statement::Grouping::None;
    std::vector<soql::Value> group_keys;
    std::vector<soql::Aggregate> aggregates;
    std::vector<GroupColumn> group_columns;
    std::optional<soql::Predicate> having;

    Type slot_type(int slot) const {
        const auto keys = static_cast<int>(group_keys.size());
        return slot < keys ? group_keys[slot].type : aggregates[slot - keys].type;
    }
};

namespace soql {

/// The checker: names become indices, literals constants.
Result<std::shared_ptr<const CompiledQuery>> compile(std::string_view text, const Org& org, QueryOptions options);

}  // namespace soql
}  // namespace lockstep::sandbox

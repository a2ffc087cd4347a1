#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// Answers true when a query has run for too long. Asked every few thousand rows, from the thread that runs the query.
using TooLate = std::function<bool()>;

struct QueryOptions {
    bool all_rows = false;  ///< queryAll: rows in the recycle bin too
    /// Bulk results: a row deleted after the run is still written, so that a page holds what was announced for it.
    bool keep_lost = false;
};

struct QueryColumn {
    std::string name;                ///< "Name", "Account.Owner.Name", "expr0", an alias, "Contacts" of a child select
    Type type = Type::String;        ///< of the value; Type::AnyType for a child select
    int object = -1, field = -1;     ///< the field behind it where there is just one (indices of the schema)
    bool aggregate = false;          ///< COUNT(Id) and the like, or a child select
    std::vector<std::string> steps;  ///< keys from the record to the value in JSON; the last one is the value's own
};

struct CompiledQuery;
class Query;
class ResultSet;
/// Finds the rows. Cost: the size of the answer, not of the org, for conditions on Id, a lower bound of SystemModstamp
/// (LastModifiedDate, CreatedDate), a reference or key field; else one scan over the object's rows. ORDER BY with LIMIT
/// keeps only the rows it needs. Call under org.read_lock().
/// Errors: Rejected with QUERY_TIMEOUT when `too_late` said so; EXCEEDED_ID_LIMIT beyond 2000 groups.
Result<ResultSet> run_query(const Query& query, const Org& org, const TooLate& too_late = {});

/// A statement checked against the org's schema and the connected user's sight: parsed, names resolved to their
/// canonical spelling, literals typed, predicates compiled. Immutable; a copy is one pointer.
///
/// Source of grammar, semantics and error texts: salesforce-api 7 and 8.
class Query {
public:
    /// Errors: Kind::Rejected with Salesforce's errorCode in `code` (MALFORMED_QUERY, INVALID_FIELD, INVALID_TYPE,
    /// INVALID_QUERY_FILTER_OPERATOR, NUMBER_OUTSIDE_VALID_RANGE …) and Salesforce's own text, caret and all, in
    /// `what`. Cost: grows with the statement only. Call under org.read_lock().
    static Result<Query> prepare(std::string_view text, const Org& org, QueryOptions options = {});

    int object() const;
    /// What Bulk API 2.0 can not run (salesforce-api 12.3), as the error its creation answers; nothing: it can.
    std::optional<Error> bulk_refusal() const;
    const std::vector<QueryColumn>& columns() const;
    /// The statement in one spelling of keywords and blanks; parses to the same statement.
    std::string text() const;
    /// Body of /query?q=…&columns=true.
    std::string column_metadata_json(const Org& org) const;
    /// Body of /query?explain=….
    std::string explain_json(const Org& org) const;

private:
    friend class ResultSet;
    friend Result<ResultSet> run_query(const Query& query, const Org& org, const TooLate& too_late);
    explicit Query(std::shared_ptr<const CompiledQuery> compiled);
    /// Shared by the Query and every ResultSet it produced: a locator outlives the request that opened it.
    std::shared_ptr<const CompiledQuery> compiled_;
};

struct CsvForm {
    char delimiter = ',';
    bool crlf = false;
};

/// The rows a query found. Which rows is fixed when it ran; their values are read when a page is written, so a row
/// edited meanwhile shows its new values and one deleted meanwhile is left out, as with Salesforce's locators.
///
/// Owns no lock: call each member that takes an Org under its read_lock(). Memory: one bit for each row the object ever
/// had, or 8 bytes a row when an order asks for it.
class ResultSet {
public:
    enum class Kind {
        Rows,
        Count,       ///< SELECT COUNT(): only total_size means something, and there are no records
        Aggregates,  ///< AggregateResult rows, computed when the query ran
    };
    ResultSet();  ///< No rows; for containers.
    ResultSet(ResultSet&&) noexcept;
    ResultSet& operator=(ResultSet&&) noexcept;
    ~ResultSet();

    Kind kind() const;
    std::int64_t total_size() const;  ///< after LIMIT and OFFSET
    /// Rows a page can hold: total_size, but 0 for Kind::Count.
    std::int64_t records() const;
    const Query& query() const;

    /// Appends records [from, from+count) as `{…},{…}` without the brackets around. `version` ("60.0") goes into
    /// attributes.url. Returns how many were written: fewer when rows vanished since or the end was reached.
    std::int64_t append_json_records(const Org& org, std::int64_t from, std::int64_t count, std::string_view version,
                                     std::string& out) const;
    /// The header row of a bulk result with its line end.
    std::string csv_header(CsvForm form = {}) const;
    /// Appends records as CSV rows, every value quoted. Returns how many were written.
    std::int64_t append_csv_rows(const Org& org, std::int64_t from, std::int64_t count, std::string& out,
                                 CsvForm form = {}) const;
    /// One value, for forms this face does not write (Bulk 1 XML, SOAP). Row `at` of the result, column of columns().
    /// Not for child selects. Cost: that of finding the row anew; prefer pages.
    Cell value(const Org& org, std::int64_t at, std::size_t column) const;
    /// The 18-character id of the row, empty for aggregates.
    std::string id(const Org& org, std::int64_t at) const;

private:
    friend Result<ResultSet> run_query(const Query& query, const Org& org, const TooLate& too_late);
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep::sandbox

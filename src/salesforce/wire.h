#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "record/batch.h"
#include "record/object.h"
#include "salesforce/connector.h"

namespace lockstep::salesforce {

// Salesforce's texts to records and back (salesforce-api 4.2, 5.3, 7, 12.2). Pure functions.

/// A describe's body. Fields without a plain value are left out. Errors: BadReply.
Result<record::Object> parse_describe(std::string_view json);
/// Records of a query answer appended to `page.rows` (columns = `fields`). A key that is absent is an error (BadReply):
/// absent is not null. Returns the answer's frame.
struct QueryFrame {
    std::int64_t total = 0;
    bool done = true;
    std::string next;  ///< path of the next page
    std::size_t rows = 0;
};
Result<QueryFrame> parse_query(std::string_view json, const std::vector<record::Field>& fields, Page& page);
/// A page of a bulk result; takes the body over, cells point into it. Errors: BadReply – header differs from `fields`,
/// wrong number of cells, body cut, or not `expected` rows.
Result<void> parse_bulk_page(std::string body, const std::vector<record::Field>& fields, std::int64_t expected,
                             Page& page);
/// One cell. False: the text is no value of that form; the cell is null then.
bool parse_cell(std::string_view text, record::Form form, record::Batch& batch, record::Cell& cell);

/// The start of its minute: the delete log knows no seconds.
Timestamp minute_of(Timestamp at);
/// The path below /services/data/vNN.0 that asks for the delete log between two moments. The log knows minutes only and
/// wants more than one between the two: the start is moved back to fit, which costs a few repeats.
std::string deleted_path(std::string_view object, Timestamp since, Timestamp until);
/// The two moments of that path.
std::pair<Timestamp, Timestamp> delete_log_window(Timestamp since, Timestamp until);
/// Its answer. Errors: BadReply; Rejected with code INVALID_REPLICATION_DATE – the log does not reach back to `since`.
Result<Deleted> parse_deleted(std::string_view json, Timestamp since);

/// SOQL of a selection, without paging: "SELECT … FROM … WHERE … ORDER BY SystemModstamp, Id".
std::string to_soql(const Selection& selection, bool ordered);
/// A row's place in the order by stamp and id.
struct Key {
    Timestamp stamp;  ///< means nothing for an object without a stamp
    std::string id;
};
/// What a query asks for beside its selection's object, stamp, window and condition.
struct Query {
    std::vector<record::Field> fields;  ///< empty: COUNT()
    bool ordered = false;
    std::optional<Key> after, upto;  ///< rows behind the one, up to and with the other
    std::vector<std::string> ids;    ///< these rows only, wherever their stamps lie: the window does not apply
    int rows_max = 0;                ///< 0: all
};
std::string to_soql(const Selection& selection, const Query& query);
/// Whether `text` can name an object or a field: letters, digits, underscores.
bool is_api_name(std::string_view text);
std::string soql_quoted(std::string_view text);
std::string soql_datetime(Timestamp at);

}  // namespace lockstep::salesforce

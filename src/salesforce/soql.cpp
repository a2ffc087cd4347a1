#include <algorithm>

#include "base/check.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

std::string fields_of(const Query& query) {
    if (query.fields.empty()) return "COUNT()";
    std::string out;
    for (const record::Field& field : query.fields) {
        check(is_api_name(field.name), "a field's name in a query is an API name");
        if (!out.empty()) out += ',';
        out += field.name;
    }
    return out;
}

/// Rows strictly on one side of a key, or on it: sign ">" with tie ">", or "<" with tie "<=".
std::string beside(const Selection& selection, const Key& key, std::string_view sign, std::string_view tie) {
    std::string id = "Id" + std::string(tie) + soql_quoted(key.id);
    if (selection.stamp.empty()) return id;
    const std::string stamp = soql_datetime(key.stamp);
    return "((" + selection.stamp + "=" + stamp + " AND " + id + ") OR " + selection.stamp + std::string(sign) + stamp +
           ")";
}

std::string among(const std::vector<std::string>& ids) {
    std::string out = "Id IN (";
    for (const std::string& id : ids) {
        if (&id != &ids.front()) out += ',';
        out += soql_quoted(id);
    }
    return out + ")";
}

std::vector<std::string> conditions(const Selection& selection, const Query& query) {
    std::vector<std::string> all;
    if (!query.ids.empty()) {
        all.push_back(among(query.ids));
    } else {
        check(!selection.stamp.empty() || (!selection.since && !selection.until), "a window needs a stamp");
        // Beyond the first page the key bounds the window from below.
        if (query.after) all.push_back(beside(selection, *query.after, ">", ">"));
        if (selection.since && !query.after) all.push_back(selection.stamp + ">=" + soql_datetime(*selection.since));
        if (query.upto) all.push_back(beside(selection, *query.upto, "<", "<="));
        if (selection.until) all.push_back(selection.stamp + "<" + soql_datetime(*selection.until));
    }
    if (!selection.condition.empty()) all.push_back("(" + selection.condition + ")");
    return all;
}

}  // namespace

bool is_api_name(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    });
}

std::string to_soql(const Selection& selection, bool ordered) {
    return to_soql(selection, Query{.fields = selection.fields, .ordered = ordered});
}

std::string to_soql(const Selection& selection, const Query& query) {
    check(is_api_name(selection.object), "an object's name in a query is an API name");
    check(selection.stamp.empty() || is_api_name(selection.stamp), "a stamp's name in a query is an API name");
    std::string out = "SELECT " + fields_of(query) + " FROM " + selection.object;
    const char* joint = " WHERE ";
    for (const std::string& condition : conditions(selection, query)) {
        out += joint + condition;
        joint = " AND ";
    }
    if (query.ordered) out += " ORDER BY " + (selection.stamp.empty() ? "" : selection.stamp + ",") + "Id";
    if (query.rows_max > 0) out += " LIMIT " + std::to_string(query.rows_max);
    return out;
}

std::string soql_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        switch (c) {
            case '\'':
                out += "\\'";
                break;
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                out += c;
        }
    }
    return out + "'";
}

std::string soql_datetime(Timestamp at) {
    return to_string(at);
}

}  // namespace lockstep::salesforce

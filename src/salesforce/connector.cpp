#include "salesforce/connector.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "salesforce/fetch.h"
#include "salesforce/soap.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply,
            .what = std::move(what),
            .hint = "try again; when it stays, tell the makers of Lockstep"};
}

Error no_such_object(std::string_view object) {
    return {.kind = Kind::NotFound,
            .what = fmt::format("\"{}\" is no name of an object", to_valid_utf8(object.substr(0, 80))),
            .hint = "use the API name, as in Setup > Object Manager"};
}

record::Field text_field(std::string name) {
    return {.name = std::move(name), .form = record::Form::Text};
}

/// The whole answer to a query of some rows that fit in a page, as text.
Result<std::vector<std::vector<std::string>>> query_rows(Session& session, const Selection& selection) {
    const auto read = [&](http::Response&& answer) -> Result<std::vector<std::vector<std::string>>> {
        Page page;
        const QueryFrame frame = TRY(parse_query(answer.body, selection.fields, page));
        if (!frame.done || static_cast<std::int64_t>(frame.rows) != frame.total) {
            return bad_reply(fmt::format("Salesforce announced {} rows of {} and gave {}", frame.total,
                                         selection.object, frame.rows));
        }
        std::vector<std::vector<std::string>> rows;
        for (std::size_t i = 0; i < page.rows.rows(); ++i) {
            auto& row = rows.emplace_back();
            for (const record::Cell& cell : page.rows.row(i)) row.push_back(to_text(cell));
        }
        return rows;
    };
    return fetch(session, "/query?q=" + url_encode(to_soql(selection, false)), {}, read);
}

/// The user's id, last segment of ".../id/00D…/005…".
std::optional<std::string> user_in(std::string_view identity_url) {
    const std::size_t slash = identity_url.rfind('/');
    return slash == std::string_view::npos ? std::nullopt : normalize_id(identity_url.substr(slash + 1));
}

}  // namespace

Result<Org> Connector::org() {
    Org org;
    const Selection organization{.object = "Organization",
                                 .fields = {text_field("Id"),
                                            text_field("Name"),
                                            text_field("InstanceName"),
                                            {.name = "IsSandbox", .form = record::Form::Boolean},
                                            text_field("TimeZoneSidKey")}};
    const auto rows = TRY(query_rows(session_, organization));
    if (rows.size() != 1)
        return bad_reply(fmt::format("The org tells of {} organizations instead of one", rows.size()));
    org.organization_id = rows[0][0];
    org.name = rows[0][1];
    org.instance = rows[0][2];
    org.is_sandbox = rows[0][3] == "true";
    org.time_zone = rows[0][4];

    // The login already told who we are. userinfo is asked only if it did not, for it needs a scope that an app made
    // for the API alone may lack.
    const auto user = user_in(session_.identity_url());
    if (user) {
        org.user_id = *user;
    } else {
        org.user_id =
            TRY(fetch(session_, "/services/oauth2/userinfo", {}, [](http::Response&& answer) -> Result<std::string> {
                const json::value parsed = TRY(parse_json(answer.body));
                const json::object* info = parsed.if_object();
                const auto id = info == nullptr ? std::nullopt : normalize_id(text_at(*info, "user_id").value_or(""));
                if (!id) return bad_reply("Salesforce does not tell which user we are");
                return *id;
            }));
    }
    const Selection self{
        .object = "User", .fields = {text_field("Username")}, .condition = "Id = " + soql_quoted(org.user_id)};
    const auto users = TRY(query_rows(session_, self));
    if (!users.empty()) org.username = users[0][0];

    // The object exists in orgs with several currencies only, and only there a currency is told by REST at all.
    // An only currency is told by SOAP, which our user may not be allowed to use: we can do without it.
    const auto currencies = describe("CurrencyType");
    if (!currencies.ok() && currencies.error().kind != Kind::NotFound) return currencies.error();
    org.multi_currency = currencies.ok();
    if (org.multi_currency) {
        const Selection corporate{
            .object = "CurrencyType", .fields = {text_field("IsoCode")}, .condition = "IsCorporate = true"};
        const auto codes = TRY(query_rows(session_, corporate));
        if (!codes.empty()) org.default_currency = codes[0][0];
    } else {
        const auto told = user_info(session_);
        if (!told.ok() && told.error().kind == Kind::Cancelled) return told.error();
        if (told.ok()) org.default_currency = told->default_currency;
        if (!told.ok()) org.currency_trouble = told.error().what;
    }
    if (org.default_currency.empty() && org.currency_trouble.empty())
        org.currency_trouble = "Salesforce does not tell the org's currency";
    return org;
}

Result<std::vector<ObjectBrief>> Connector::objects() {
    return fetch(session_, "/sobjects", {}, [](http::Response&& answer) -> Result<std::vector<ObjectBrief>> {
        const json::value parsed = TRY(parse_json(answer.body));
        const json::array* list = parsed.is_object() ? array_at(parsed.get_object(), "sobjects") : nullptr;
        if (list == nullptr) return bad_reply("The list of objects lacks its entries");
        std::vector<ObjectBrief> briefs;
        for (const json::value& entry : *list) {
            const json::object* told = entry.if_object();
            const auto name = told == nullptr ? std::nullopt : text_at(*told, "name");
            if (!name) return bad_reply("An entry of the list of objects has no name");
            briefs.push_back({.name = *name,
                              .label = text_at(*told, "label").value_or(*name),
                              .custom = bool_at(*told, "custom").value_or(false),
                              .queryable = bool_at(*told, "queryable").value_or(false)});
        }
        return briefs;
    });
}

Result<record::Object> Connector::describe(std::string_view object) {
    if (!is_api_name(object)) return no_such_object(object);
    return fetch(session_, fmt::format("/sobjects/{}/describe", object), {},
                 [](http::Response&& answer) { return parse_describe(answer.body); });
}

Result<std::vector<std::string>> Connector::versions() {
    const http::Response answer = TRY(session_.get_open("/services/data"));
    const json::value parsed = TRY(parse_json(answer.body));
    std::vector<std::string> versions;
    if (const json::array* list = parsed.if_array()) {
        for (const json::value& entry : *list) {
            const auto version = entry.is_object() ? text_at(entry.get_object(), "version") : std::nullopt;
            if (version) versions.push_back(*version);
        }
    }
    if (versions.empty()) return bad_reply("Salesforce does not tell the API versions it serves");
    std::ranges::sort(versions, {}, [](const std::string& text) { return parse_double(text).value_or(0); });
    return versions;
}

Result<std::int64_t> Connector::count(const Selection& selection) {
    const std::string path =
        (selection.deleted_too ? "/queryAll?q=" : "/query?q=") + url_encode(to_soql(selection, Query{}));
    return fetch(session_, path, {}, [](http::Response&& answer) -> Result<std::int64_t> {
        Page none;
        const QueryFrame frame = TRY(parse_query(answer.body, {}, none));
        return frame.total;
    });
}

Result<std::map<std::string, std::int64_t, IgnoringCase>> Connector::approximate_counts(
    const std::vector<std::string>& objects) {
    using Counts = std::map<std::string, std::int64_t, IgnoringCase>;
    const std::string path = fmt::format("/limits/recordCount?sObjects={}", fmt::join(objects, ","));
    return fetch(session_, path, {}, [](http::Response&& answer) -> Result<Counts> {
        const json::value parsed = TRY(parse_json(answer.body));
        const json::array* list = parsed.is_object() ? array_at(parsed.get_object(), "sObjects") : nullptr;
        if (list == nullptr) return bad_reply("The numbers of records lack their entries");
        Counts counts;
        for (const json::value& entry : *list) {
            const json::object* told = entry.if_object();
            const auto name = told == nullptr ? std::nullopt : text_at(*told, "name");
            const auto count = told == nullptr ? std::nullopt : int_at(*told, "count");
            if (!name || !count) return bad_reply("An entry of the numbers of records lacks its name or number");
            counts.emplace(*name, *count);
        }
        return counts;
    });
}

Result<Deleted> Connector::deleted(std::string_view object, Timestamp since, Timestamp until) {
    if (!is_api_name(object)) return no_such_object(object);
    const auto [start, end] = delete_log_window(since, until);
    auto whole = fetch(session_, deleted_path(object, since, until), {},
                       [&](http::Response&& answer) { return parse_deleted(answer.body, since); });
    const bool too_many = !whole.ok() && whole.error().code == "EXCEEDED_ID_LIMIT";
    constexpr std::int64_t shortest_s = 120;
    const Timestamp middle = minute_of(start.plus((end.seconds - start.seconds) / 2));
    if (!too_many || middle.seconds - start.seconds < shortest_s) return whole;
    Deleted first = TRY(deleted(object, start, middle));
    // Transactions in flight hold the log back: what lies behind such a place is not complete yet.
    if (first.covered < middle) return first;
    Deleted second = TRY(deleted(object, middle, end));
    first.rows.insert(first.rows.end(), second.rows.begin(), second.rows.end());
    first.covered = second.covered;
    return first;
}

}  // namespace lockstep::salesforce

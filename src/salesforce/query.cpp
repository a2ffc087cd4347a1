// Reading by REST queries: Connector::read and Connector::read_by_ids (salesforce-api 7, 19; reliability 4.1).

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "salesforce/connector.h"
#include "salesforce/fetch.h"
#include "salesforce/gate.h"
#include "salesforce/query.h"
#include "salesforce/wire.h"

namespace lockstep::salesforce {

namespace {

using record::Cell;
using record::Field;

constexpr int kPageRows = 2000;
constexpr std::size_t kIdsPerCall = 200;
/// Salesforce refuses a URI of more than 16,384 bytes. The host and the path before the query have their part of it.
constexpr std::size_t kQueryBytesMax = 15'900;
/// A transaction stamps its rows up to ten minutes before others see them.
constexpr std::int64_t kTransactionS = 600;
constexpr int kJoinTriesMax = 4;
constexpr int kChainsMax = 3;

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply, .what = std::move(what), .hint = "the object is read again from where it was"};
}

/// As url_encode, but leaves what a query may hold as it is and writes a blank as '+': a third shorter.
std::string encode_soql(std::string_view soql) {
    std::string out;
    out.reserve(soql.size() * 2);
    for (const char c : soql) {
        if (c == ' ') {
            out += '+';
        } else if (c == ',' || c == '\'' || c == '(' || c == ')' || c == '=' || c == ':') {
            out += c;
        } else {
            out += url_encode(std::string_view(&c, 1));
        }
    }
    return out;
}

std::string path_of(const Selection& selection, const Query& query, bool deleted_too) {
    return (deleted_too ? "/queryAll?q=" : "/query?q=") + encode_soql(to_soql(selection, query));
}

/// A verified page as it came, with the columns of one group.
struct Rows {
    Page page;
    QueryFrame frame;
};

/// What is known of a query from its earlier pages.
struct SoFar {
    std::optional<std::int64_t> total;
    std::int64_t given = 0;
};

class Reading {
public:
    Reading(Session& session, const Selection& selection) : session_(session), selection_(selection) {
        check(!selection.fields.empty() && selection.fields.front().name == "Id", "the first field read is Id");
        split_into_groups();
    }

    Result<void> all(const PageSink& sink) {
        return groups_.size() == 1 ? all_in_one_group(sink) : all_in_groups(sink);
    }

    Result<void> by_ids(const std::vector<std::string>& ids, const PageSink& sink) {
        for (std::size_t at = 0; at < ids.size(); at += kIdsPerCall) {
            const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(at);
            const auto count = static_cast<std::ptrdiff_t>(std::min(kIdsPerCall, ids.size() - at));
            Page page = empty_page();
            TRY(add_by_ids({begin, begin + count}, true, page));
            ++pages_;
            TRY(sink(std::move(page)));
        }
        return {};
    }

    std::optional<std::string> only_query(int rows_max) const {
        if (groups_.size() != 1) return std::nullopt;
        const Query query{.fields = groups_[0].fields, .ordered = true, .rows_max = rows_max};
        std::string path;
        for (const char c : path_of(selection_, query, selection_.deleted_too)) {
            path += c == '+' ? std::string("%20") : std::string(1, c);
        }
        if (path.size() > kQueryBytesMax) return std::nullopt;
        return path;
    }

    Result<std::optional<Page>> only_page(std::string_view body, int rows_max) {
        Rows rows = TRY(verified(body, groups_[0], {}));
        if (!rows.frame.done || rows.frame.rows >= static_cast<std::size_t>(rows_max)) return std::optional<Page>();
        std::optional<Page> whole;
        TRY(give(std::move(rows.page), std::nullopt, [&](Page&& page) -> Result<void> {
            whole.emplace(std::move(page));
            return {};
        }));
        return whole;
    }

private:
    /// Fields read by one query: Id, then the stamp, then some of the others.
    struct Group {
        std::vector<Field> fields;
        std::vector<int> columns;  ///< of the page given out, for each of `fields`; -1: not wanted there
    };

    // ---- Columns ----

    void split_into_groups() {
        int stamp_column = -1;
        for (std::size_t i = 1; i < selection_.fields.size(); ++i) {
            if (equals_ignoring_case(selection_.fields[i].name, selection_.stamp)) stamp_column = static_cast<int>(i);
        }
        const auto start_group = [&] {
            Group& group = groups_.emplace_back();
            const bool first = groups_.size() == 1;
            group.fields = {selection_.fields.front()};
            group.columns = {first ? 0 : -1};
            if (selection_.stamp.empty()) return;
            group.fields.push_back({.name = selection_.stamp, .form = record::Form::Timestamp});
            group.columns.push_back(first ? stamp_column : -1);
        };
        start_group();
        const std::size_t frame = longest_query_bytes();
        std::size_t bytes = frame;
        for (std::size_t i = 1; i < selection_.fields.size(); ++i) {
            if (static_cast<int>(i) == stamp_column) continue;
            const std::size_t more = selection_.fields[i].name.size() + 1;
            if (bytes + more > kQueryBytesMax && groups_.back().fields.size() > 2) {
                start_group();
                bytes = frame;
            }
            groups_.back().fields.push_back(selection_.fields[i]);
            groups_.back().columns.push_back(static_cast<int>(i));
            bytes += more;
        }
        same_columns_ = groups_.size() == 1;
        for (std::size_t i = 0; same_columns_ && i < groups_[0].columns.size(); ++i) {
            same_columns_ = groups_[0].columns[i] == static_cast<int>(i);
        }
    }

    /// Bytes of the longest query there can be, but for the fields that are shared out.
    std::size_t longest_query_bytes() const {
        const Key key{.id = std::string(18, '0')};
        const Query by_key{
            .fields = groups_[0].fields, .ordered = true, .after = key, .upto = key, .rows_max = kPageRows};
        const Query by_ids{.fields = groups_[0].fields, .ids = std::vector<std::string>(kIdsPerCall, key.id)};
        return std::max(path_of(selection_, by_key, true).size(), path_of(selection_, by_ids, true).size());
    }

    Page empty_page() const {
        std::vector<record::Form> forms;
        for (const Field& field : selection_.fields) forms.push_back(field.form);
        Page page{.rows = record::Batch(std::move(forms))};
        page.call = fmt::format("query page {}", pages_ + 1);
        return page;
    }

    /// Copies a row of a group's page to where its columns belong in the last row of `out`.
    static void place(const Group& group, const Page& from, std::size_t row, Page& out, std::span<Cell> cells) {
        const auto source = from.rows.row(row);
        for (std::size_t i = 0; i < source.size(); ++i) {
            const int column = group.columns[i];
            if (column < 0) continue;
            Cell& cell = cells[static_cast<std::size_t>(column)];
            cell = source[i];
            if (cell.form() == record::Form::Text && !cell.is_null()) cell = Cell::text(out.rows.keep(cell.as_text()));
        }
        for (const Page::Odd& odd : from.odd) {
            const int column = group.columns[static_cast<std::size_t>(odd.column)];
            if (odd.row != row || column < 0) continue;
            out.odd.push_back({.row = out.rows.rows() - 1, .column = column, .text = odd.text, .reason = odd.reason});
        }
    }

    Key key_of(const Page& page, std::size_t row) const {
        const auto cells = page.rows.row(row);
        Key key{.id = std::string(cells[0].as_text())};
        if (!selection_.stamp.empty()) key.stamp = cells[1].as_timestamp();
        return key;
    }

    // ---- Pages ----

    /// One page of a query, or of its continuation; `path` as given by us or, verified, by Salesforce.
    Result<Rows> page_at(const std::string& path, const Group& group, const SoFar& so_far = {}) {
        return fetch(session_, path, {}, [&](http::Response&& answer) -> Result<Rows> {
            Rows rows = TRY(verified(answer.body, group, so_far));
            const QueryFrame& frame = rows.frame;
            // The path comes from outside, and our token goes where it says.
            const bool good_next = frame.next.empty() || (frame.next.starts_with("/services/data/") &&
                                                          may_send("GET", frame.next) && frame.next != path);
            if (!good_next) return bad_reply("Salesforce names a next page that is none");
            return rows;
        });
    }

    Result<Rows> verified(std::string_view body, const Group& group, const SoFar& so_far) const {
        Rows rows;
        rows.frame = TRY(parse_query(body, group.fields, rows.page));
        const QueryFrame& frame = rows.frame;
        const std::int64_t given = so_far.given + static_cast<std::int64_t>(frame.rows);
        // Within the one answer of a short query nothing can move: it holds what it announces.
        const bool alone = !so_far.total && frame.done;
        if (frame.total != so_far.total.value_or(frame.total) || given > frame.total ||
            (alone && given < frame.total) || (frame.rows == 0 && !frame.done)) {
            return bad_reply(fmt::format("Salesforce announced {} rows of {} and gave {}",
                                         so_far.total.value_or(frame.total), selection_.object, given));
        }
        if (!all_have_keys(rows.page)) {
            return bad_reply(fmt::format("A record of {} came without Id or {}", selection_.object, selection_.stamp));
        }
        return rows;
    }

    /// All pages of a query of a few thousand rows at most; a lost locator starts it anew.
    Result<std::vector<Rows>> pages_of(const Query& query, const Group& group, bool deleted_too) {
        for (int tries = 1;; ++tries) {
            std::vector<Rows> pages;
            SoFar so_far;
            Result<Rows> page = page_at(path_of(selection_, query, deleted_too), group);
            while (page.ok()) {
                so_far.total = page->frame.total;
                so_far.given += static_cast<std::int64_t>(page->frame.rows);
                pages.push_back(std::move(page).value());
                if (pages.back().frame.done) return pages;
                page = page_at(pages.back().frame.next, group, so_far);
            }
            if (pages.empty() || !is_lost(page.error()) || tries == kChainsMax) return page.error();
        }
    }

    static bool is_lost(const Error& error) {
        return error.code == "INVALID_QUERY_LOCATOR" || error.kind == Kind::NotFound || error.kind == Kind::BadReply;
    }

    bool all_have_keys(const Page& page) const {
        for (std::size_t i = 0; i < page.rows.rows(); ++i) {
            const auto cells = page.rows.row(i);
            if (cells[0].is_null() || (!selection_.stamp.empty() && cells[1].is_null())) return false;
        }
        return true;
    }

    // ---- One group: pages as they come ----

    Result<void> all_in_one_group(const PageSink& sink) {
        for (bool finished = false; !finished;) finished = TRY(read_chain(sink));
        return {};
    }

    /// Reads on behind sure_, by one query and its locator. False: the locator was lost, and a further chain has to go
    /// on by keys. Each chain gives at least its first page, all of it sure, so that the number of chains is bounded.
    Result<bool> read_chain(const PageSink& sink) {
        const Group& group = groups_[0];
        const Query query{.fields = group.fields, .ordered = true, .after = sure_};
        Rows rows = TRY(page_at(path_of(selection_, query, selection_.deleted_too), group));
        const Timestamp begun = session_.server_time().value_or(Timestamp{});
        SoFar so_far{.total = rows.frame.total};
        for (bool first = true;; first = false) {
            const QueryFrame frame = rows.frame;
            so_far.given += static_cast<std::int64_t>(frame.rows);
            if (frame.done && so_far.given < frame.total) TRY(explain_shortfall(query.after, so_far, rows.page));
            TRY(give(std::move(rows.page), first ? std::nullopt : std::optional(begun), sink));
            if (frame.done) return true;
            Result<Rows> next = page_at(frame.next, group, so_far);
            if (!next.ok() && is_lost(next.error())) return false;
            rows = TRY(std::move(next));
        }
    }

    /// Over several pages, rows that were deleted, or saved anew and so moved behind the window, are missing for good
    /// reason: there are fewer of them now. Only if there are more than came, up to the last one that came, some were
    /// withheld.
    Result<void> explain_shortfall(const std::optional<Key>& after, const SoFar& so_far, const Page& last) {
        Query query{.after = after};
        if (last.rows.rows() > 0) query.upto = key_of(last, last.rows.rows() - 1);
        const std::string path = path_of(selection_, query, selection_.deleted_too);
        const std::int64_t now = TRY(fetch(session_, path, {}, [](http::Response&& answer) -> Result<std::int64_t> {
            Page none;
            const QueryFrame frame = TRY(parse_query(answer.body, {}, none));
            return frame.total;
        }));
        if (now <= so_far.given) return {};
        return bad_reply(fmt::format("Salesforce announced {} rows of {}, gave {}, and has {}", *so_far.total,
                                     selection_.object, so_far.given, now));
    }

    /// Hands a page on, and moves the place from where a lost chain is continued.
    ///
    /// A locator pins the list of rows but reads their values when a page is fetched, so that a row saved meanwhile
    /// shows a stamp far behind its place in the order: continuing from there would skip rows. Only stamps from before
    /// the query began, less the time a transaction may take, surely tell the place. Rows beyond are remembered, to be
    /// left out when they come again.
    Result<void> give(Page&& page, std::optional<Timestamp> begun, const PageSink& sink) {
        const std::size_t count = page.rows.rows();
        std::vector<bool> repeated(count, false);
        bool any_repeated = false;
        for (std::size_t i = 0; i < count; ++i) {
            Key key = key_of(page, i);
            repeated[i] = unsure_.contains({key.stamp.seconds, key.id});
            any_repeated = any_repeated || repeated[i];
            if (selection_.stamp.empty() || !begun || key.stamp < begun->plus(-kTransactionS)) {
                sure_ = std::move(key);
            } else {
                unsure_.insert({key.stamp.seconds, std::move(key.id)});
            }
        }
        if (same_columns_ && !any_repeated) {
            page.call = fmt::format("query page {}", ++pages_);
            return sink(std::move(page));
        }
        Page out = empty_page();
        out.bytes = page.bytes;
        for (std::size_t i = 0; i < count; ++i) {
            if (!repeated[i]) place(groups_[0], page, i, out, out.rows.add_row());
        }
        ++pages_;
        return sink(std::move(out));
    }

    // ---- Several groups: the first names the rows, the others follow page by page ----

    Result<void> all_in_groups(const PageSink& sink) {
        std::optional<Key> after;
        while (true) {
            // Each page is a query of its own, not a locator's: the rows between two keys can then be asked for in the
            // other groups.
            const Query query{.fields = groups_[0].fields, .ordered = true, .after = after, .rows_max = kPageRows};
            const Rows first = TRY(page_at(path_of(selection_, query, selection_.deleted_too), groups_[0]));
            if (first.frame.rows == 0) return {};
            const Key last = key_of(first.page, first.frame.rows - 1);
            Page out = empty_page();
            const std::vector<std::string> torn =
                TRY(join(first.page, {.after = after, .upto = last}, selection_.deleted_too, out));
            for (std::size_t at = 0; at < torn.size(); at += kIdsPerCall) {
                const auto begin = torn.begin() + static_cast<std::ptrdiff_t>(at);
                const auto count = static_cast<std::ptrdiff_t>(std::min(kIdsPerCall, torn.size() - at));
                TRY(add_by_ids({begin, begin + count}, selection_.deleted_too, out));
            }
            ++pages_;
            TRY(sink(std::move(out)));
            if (first.frame.done && first.frame.total < kPageRows) return {};
            after = last;
        }
    }

    /// Completes the rows of `first` by the other groups, as `query` finds them, and appends them to `out`. Returns the
    /// ids of those that changed in between, which are not appended.
    Result<std::vector<std::string>> join(const Page& first, Query query, bool deleted_too, Page& out) {
        struct Other {
            std::vector<Rows> pages;
            std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> place;  ///< page and row, by id
        };
        std::vector<Other> others(groups_.size() - 1);
        for (std::size_t g = 1; g < groups_.size(); ++g) {
            Other& other = others[g - 1];
            query.fields = groups_[g].fields;
            other.pages = TRY(pages_of(query, groups_[g], deleted_too));
            for (std::size_t p = 0; p < other.pages.size(); ++p) {
                const record::Batch& rows = other.pages[p].page.rows;
                for (std::size_t i = 0; i < rows.rows(); ++i) other.place.insert({rows.row(i)[0].as_text(), {p, i}});
                out.bytes += other.pages[p].page.bytes;
            }
        }
        out.bytes += first.bytes;
        std::vector<std::string> torn;
        for (std::size_t i = 0; i < first.rows.rows(); ++i) {
            const Key key = key_of(first, i);
            const bool whole = std::ranges::all_of(others, [&](const Other& other) {
                const auto found = other.place.find(key.id);
                return found != other.place.end() &&
                       key_of(other.pages[found->second.first].page, found->second.second).stamp == key.stamp;
            });
            if (!whole) {
                torn.push_back(key.id);
                continue;
            }
            const auto cells = out.rows.add_row();
            place(groups_[0], first, i, out, cells);
            for (std::size_t g = 1; g < groups_.size(); ++g) {
                const auto [p, row] = others[g - 1].place.at(key.id);
                place(groups_[g], others[g - 1].pages[p].page, row, out, cells);
            }
        }
        return torn;
    }

    /// Appends these rows to `out`, all columns of a row of one state. At most kIdsPerCall ids.
    Result<void> add_by_ids(std::vector<std::string> ids, bool deleted_too, Page& out) {
        for (int tries = 1; !ids.empty(); ++tries) {
            if (tries > kJoinTriesMax) {
                return bad_reply(fmt::format("{} {} of {} changed each time they were read", ids.size(),
                                             ids.size() == 1 ? "record" : "records", selection_.object));
            }
            const Query query{.fields = groups_[0].fields, .ids = ids};
            std::vector<std::string> torn;
            for (const Rows& first : TRY(pages_of(query, groups_[0], deleted_too))) {
                const std::vector<std::string> more = TRY(join(first.page, query, deleted_too, out));
                torn.insert(torn.end(), more.begin(), more.end());
            }
            ids = std::move(torn);
        }
        return {};
    }

    Session& session_;
    const Selection& selection_;
    std::vector<Group> groups_;
    bool same_columns_ = false;  ///< the only group's columns are the page's
    int pages_ = 0;
    std::optional<Key> sure_;                                ///< all rows up to here were given
    std::set<std::pair<std::int64_t, std::string>> unsure_;  ///< rows given that may lie behind sure_
};

}  // namespace

std::optional<std::string> one_query(Session& session, const Selection& selection, int rows_max) {
    return Reading(session, selection).only_query(rows_max);
}

Result<std::optional<Page>> read_one_query(Session& session, const Selection& selection, int rows_max,
                                           std::string_view body) {
    return Reading(session, selection).only_page(body, rows_max);
}

Result<void> Connector::read(const Selection& selection, const PageSink& sink) {
    return Reading(session_, selection).all(sink);
}

Result<void> Connector::read_by_ids(const Selection& selection, const std::vector<std::string>& ids,
                                    const PageSink& sink) {
    return Reading(session_, selection).by_ids(ids, sink);
}

}  // namespace lockstep::salesforce

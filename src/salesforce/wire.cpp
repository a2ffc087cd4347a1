#include "salesforce/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/csv.h"
#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"

namespace lockstep::salesforce {

namespace {

using record::Batch;
using record::Cell;
using record::Form;

constexpr std::size_t kOddTextBytesMax = 200;
constexpr std::int64_t kMinuteS = 60;
constexpr double kExactMax = 9007199254740992;  // 2^53: whole doubles beyond stand for several integers

Error bad_reply(std::string what) {
    return {.kind = Kind::BadReply,
            .what = std::move(what),
            .hint = "nothing of the answer was used; it is asked for again"};
}

std::optional<Timestamp> moment_at(const json::object& object, std::string_view key) {
    const auto text = text_at(object, key);
    return text ? parse_timestamp(*text) : std::nullopt;
}

std::optional<std::int64_t> whole(double number) {
    if (std::trunc(number) != number || std::abs(number) > kExactMax) return std::nullopt;
    return static_cast<std::int64_t>(number);
}

/// A cell of any form but Text. False: `text` is no value of `form`.
bool parse_plain(std::string_view text, Form form, Cell& cell) {
    cell = Cell::null(form);
    if (text.empty()) return true;
    switch (form) {
        case Form::Text:
            return false;
        case Form::Boolean:
            if (text != "true" && text != "false") return false;
            cell = Cell::boolean(text == "true");
            return true;
        case Form::Integer: {
            auto number = parse_int(text);
            // Numbers from 10^7 come as 3.9E7, those of roll-ups with a fraction of zero.
            if (!number) {
                const auto real = parse_double(text);
                if (real) number = whole(*real);
            }
            if (number) cell = Cell::integer(*number);
            return number.has_value();
        }
        case Form::Real: {
            const auto number = parse_double(text);
            if (number) cell = Cell::real(*number);
            return number.has_value();
        }
        case Form::Timestamp: {
            const auto at = parse_timestamp(text);
            if (at) cell = Cell::timestamp(*at);
            return at.has_value();
        }
        case Form::Date: {
            const auto day = parse_date(text);
            if (day) cell = Cell::date(*day);
            return day.has_value();
        }
    }
    return false;
}

std::string not_a(Form form) {
    const bool vowel = form == Form::Integer;
    return std::string("is not ") + (vowel ? "an " : "a ") + name(form);
}

/// `text` cut at 200 bytes, without half a character at its end.
std::string excerpt(std::string_view text) {
    const std::size_t whole_size = text.size();
    text = text.substr(0, kOddTextBytesMax);
    while (text.size() < whole_size && !text.empty() && !is_valid_utf8(text) && text.size() > kOddTextBytesMax - 4) {
        text.remove_suffix(1);
    }
    return to_valid_utf8(text);
}

std::vector<Form> forms_of(const std::vector<record::Field>& fields) {
    std::vector<Form> forms;
    forms.reserve(fields.size());
    for (const record::Field& field : fields) forms.push_back(field.form);
    return forms;
}

void note_odd(Page& page, int column, std::string_view text, std::string reason) {
    page.odd.push_back(
        {.row = page.rows.rows() - 1, .column = column, .text = excerpt(text), .reason = std::move(reason)});
}

/// A text that may hold what our database can not: it is repaired, and told.
void put_suspect_text(Page& page, int column, std::string_view text, Cell& cell) {
    if (text.find('\0') == std::string_view::npos && is_valid_utf8(text)) {
        cell = Cell::text(page.rows.keep(text));
        return;
    }
    cell = Cell::text(page.rows.keep(to_valid_utf8(text)));
    note_odd(page, column, text, "held bytes that are no text; they were replaced");
}

// ---- JSON ----

void put_json(Page& page, int column, const json::value& value, Form form, bool repaired, Cell& cell) {
    cell = Cell::null(form);
    if (value.is_null()) return;
    if (value.is_string()) {
        const std::string_view text = value.get_string();
        if (form == Form::Text) {
            put_suspect_text(page, column, text, cell);
            if (repaired && text.find("\uFFFD") != std::string_view::npos) {
                note_odd(page, column, text, "held bytes that are no text; they were replaced");
            }
        } else if (!parse_plain(text, form, cell)) {
            note_odd(page, column, text, not_a(form));
        }
        return;
    }
    if (value.is_bool() && form == Form::Boolean) {
        cell = Cell::boolean(value.get_bool());
        return;
    }
    if (value.is_number() && form == Form::Real) {
        cell = Cell::real(value.to_number<double>());
        return;
    }
    if (value.is_int64() && form == Form::Integer) {
        cell = Cell::integer(value.get_int64());
        return;
    }
    if (value.is_double() && form == Form::Integer) {
        if (const auto number = whole(value.get_double())) {
            cell = Cell::integer(*number);
            return;
        }
    }
    const std::string text = json::serialize(value);
    if (form == Form::Text && !value.is_structured()) {
        cell = Cell::text(page.rows.keep(text));
        return;
    }
    note_odd(page, column, text, not_a(form));
}

/// The members of a record in the order asked for, which is the order they come in; another order costs a search.
class Members {
public:
    explicit Members(const json::object& record) : record_(record), at_(record.begin()) {}
    const json::value* find(std::string_view field) {
        if (at_ != record_.end() && at_->key() == "attributes") ++at_;
        if (at_ != record_.end() && equals_ignoring_case(at_->key(), field)) return &(at_++)->value();
        const auto* const found = std::ranges::find_if(
            record_, [&](const auto& member) { return equals_ignoring_case(member.key(), field); });
        return found == record_.end() ? nullptr : &found->value();
    }

private:
    const json::object& record_;
    json::object::const_iterator at_;
};

}  // namespace

bool parse_cell(std::string_view text, Form form, Batch& batch, Cell& cell) {
    if (form != Form::Text) return parse_plain(text, form, cell);
    const bool good = text.find('\0') == std::string_view::npos && is_valid_utf8(text);
    cell = good ? Cell::text(batch.keep(text)) : Cell::null(form);
    return good;
}

Result<record::Object> parse_describe(std::string_view text) {
    const json::value parsed = TRY(parse_json(text));
    const json::object* whole_object = parsed.if_object();
    const json::array* list = whole_object == nullptr ? nullptr : array_at(*whole_object, "fields");
    const auto object_name = whole_object == nullptr ? std::nullopt : text_at(*whole_object, "name");
    if (list == nullptr || !object_name) return bad_reply("The description of an object lacks its name or its fields");
    const auto flag = [](const json::object& from, std::string_view key, bool otherwise = false) {
        return bool_at(from, key).value_or(otherwise);
    };
    const auto number = [](const json::object& from, std::string_view key) {
        return static_cast<int>(int_at(from, key).value_or(0));
    };

    record::Object object{.name = *object_name,
                          .label = text_at(*whole_object, "label").value_or(*object_name),
                          .key_prefix = text_at(*whole_object, "keyPrefix").value_or("")};
    object.custom = flag(*whole_object, "custom");
    object.queryable = flag(*whole_object, "queryable");
    object.retrieveable = flag(*whole_object, "retrieveable");
    object.replicateable = flag(*whole_object, "replicateable");
    object.undeletable = flag(*whole_object, "undeletable");
    for (const json::value& entry : *list) {
        const json::object* told = entry.if_object();
        const auto field_name = told == nullptr ? std::nullopt : text_at(*told, "name");
        const auto type = told == nullptr ? std::nullopt : text_at(*told, "type");
        if (!field_name || !type)
            return bad_reply(fmt::format("A field of {} is described without name or type", *object_name));
        const auto form = record::form_of(*type);
        if (!form || flag(*told, "deprecatedAndHidden")) continue;
        record::Field field{.name = *field_name,
                            .label = text_at(*told, "label").value_or(*field_name),
                            .type = *type,
                            .form = *form,
                            .length = number(*told, "length"),
                            .precision = std::max(number(*told, "precision"), number(*told, "digits")),
                            .scale = number(*told, "scale")};
        field.nillable = flag(*told, "nillable", true);
        field.calculated = flag(*told, "calculated");
        field.auto_number = flag(*told, "autoNumber");
        field.createable = flag(*told, "createable");
        field.updateable = flag(*told, "updateable");
        field.filterable = flag(*told, "filterable", true);
        field.custom = flag(*told, "custom");
        field.unique = flag(*told, "unique");
        field.external_id = flag(*told, "externalId");
        field.relationship = text_at(*told, "relationshipName").value_or("");
        field.formula = text_at(*told, "calculatedFormula").value_or("");
        if (const json::array* targets = array_at(*told, "referenceTo")) {
            for (const json::value& target : *targets) {
                if (target.is_string()) field.reference_to.emplace_back(target.get_string());
            }
        }
        object.fields.push_back(std::move(field));
    }
    return object;
}

Timestamp minute_of(Timestamp at) {
    return {at.seconds - ((at.seconds % kMinuteS) + kMinuteS) % kMinuteS};
}

std::pair<Timestamp, Timestamp> delete_log_window(Timestamp since, Timestamp until) {
    const Timestamp end = minute_of(until);
    return {std::min(minute_of(since), end.plus(-2 * kMinuteS)), end};
}

std::string deleted_path(std::string_view object, Timestamp since, Timestamp until) {
    const auto [start, end] = delete_log_window(since, until);
    return fmt::format("/sobjects/{}/deleted/?start={}&end={}", object, url_encode(to_string(start)),
                       url_encode(to_string(end)));
}

Result<Deleted> parse_deleted(std::string_view text, Timestamp since) {
    const json::value parsed = TRY(parse_json(text));
    const json::object* answer = parsed.if_object();
    const json::array* list = answer == nullptr ? nullptr : array_at(*answer, "deletedRecords");
    if (list == nullptr) return bad_reply("The delete log's answer lacks its records");
    const auto covered = moment_at(*answer, "latestDateCovered");
    const auto earliest = moment_at(*answer, "earliestDateAvailable");
    if (!covered || !earliest) return bad_reply("The delete log's answer does not tell what time it covers");
    if (*earliest > since) {
        return Error{.kind = Kind::Rejected,
                     .what = fmt::format("The delete log reaches back to {} only", to_string(*earliest)),
                     .hint = "what was deleted before is found by comparing all ids",
                     .code = "INVALID_REPLICATION_DATE"};
    }
    Deleted deleted{.covered = *covered};
    for (const json::value& entry : *list) {
        const json::object* record = entry.if_object();
        const auto id = record == nullptr ? std::nullopt : normalize_id(text_at(*record, "id").value_or(""));
        const auto at = record == nullptr ? std::nullopt : moment_at(*record, "deletedDate");
        if (!id || !at) return bad_reply("An entry of the delete log lacks its id or its time");
        deleted.rows.push_back({.id = *id, .at = *at});
    }
    return deleted;
}

Result<QueryFrame> parse_query(std::string_view text, const std::vector<record::Field>& fields, Page& page) {
    // One bad byte must not make a page unreadable for ever.
    const bool repaired = !is_valid_utf8(text);
    const std::string valid = repaired ? to_valid_utf8(text) : std::string();
    const json::value parsed = TRY(parse_json(repaired ? std::string_view(valid) : text));
    const json::object* answer = parsed.if_object();
    if (answer == nullptr) return bad_reply("The answer to a query is no object");
    const auto total = int_at(*answer, "totalSize");
    const auto done = bool_at(*answer, "done");
    const json::array* records = array_at(*answer, "records");
    if (!total || !done || records == nullptr)
        return bad_reply("The answer to a query lacks totalSize, done or records");
    QueryFrame frame{.total = *total,
                     .done = *done,
                     .next = text_at(*answer, "nextRecordsUrl").value_or(""),
                     .rows = records->size()};
    if (frame.done != frame.next.empty())
        return bad_reply("The answer to a query contradicts itself about a next page");

    if (page.rows.columns() == 0) page.rows = Batch(forms_of(fields));
    page.rows.reserve_rows(page.rows.rows() + records->size());
    page.bytes += static_cast<std::int64_t>(text.size());
    for (const json::value& entry : *records) {
        const json::object* record = entry.if_object();
        if (record == nullptr) return bad_reply("A record in the answer to a query is no object");
        const auto cells = page.rows.add_row();
        Members members(*record);
        for (std::size_t i = 0; i < fields.size(); ++i) {
            const json::value* value = members.find(fields[i].name);
            if (value == nullptr) {
                return bad_reply(fmt::format("A record lacks {}, which was asked for", fields[i].name));
            }
            put_json(page, static_cast<int>(i), *value, fields[i].form, repaired, cells[i]);
        }
    }
    return frame;
}

Result<void> parse_bulk_page(std::string body, const std::vector<record::Field>& fields, std::int64_t expected,
                             Page& page) {
    if (page.rows.columns() == 0) page.rows = Batch(forms_of(fields));
    page.bytes += static_cast<std::int64_t>(body.size());
    const std::string_view text = page.rows.adopt(std::move(body));
    const char* const text_end = text.data() + text.size();
    csv::Reader reader(text);
    std::vector<std::string_view> row;
    row.reserve(fields.size());

    if (!TRY(reader.next(row))) return bad_reply("A page of a bulk result is empty");
    const bool same = std::ranges::equal(row, fields, [](std::string_view cell, const record::Field& field) {
        return equals_ignoring_case(cell, field.name);
    });
    if (!same) return bad_reply("A page of a bulk result has other columns than were asked for");

    // Looked for once in the whole page, so that clean pages, which are nearly all, pay nothing for each cell.
    const bool clean = text.find('\0') == std::string_view::npos && is_valid_utf8(text);
    const std::int64_t rows_before = static_cast<std::int64_t>(page.rows.rows());
    page.rows.reserve_rows(page.rows.rows() +
                           static_cast<std::size_t>(std::clamp<std::int64_t>(expected, 0, 1'000'000)));
    while (TRY(reader.next(row))) {
        if (row.size() != fields.size()) {
            return bad_reply(fmt::format("Row {} of a bulk result has {} cells instead of {}", reader.rows(),
                                         row.size(), fields.size()));
        }
        const auto cells = page.rows.add_row();
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string_view cell = row[i];
            const Form form = fields[i].form;
            if (form != Form::Text) {
                if (!parse_plain(cell, form, cells[i])) note_odd(page, static_cast<int>(i), cell, not_a(form));
            } else if (!clean) {
                put_suspect_text(page, static_cast<int>(i), cell, cells[i]);
            } else {
                // Unescaped cells lie in the reader's scratch area, which the next row overwrites.
                const bool in_page = cell.data() >= text.data() && cell.data() < text_end;
                cells[i] = Cell::text(in_page ? cell : page.rows.keep(cell));
            }
        }
    }
    if (!reader.ended_with_line_end()) return bad_reply("A page of a bulk result ends within a row");
    const std::int64_t rows = static_cast<std::int64_t>(page.rows.rows()) - rows_before;
    if (rows != expected) {
        return bad_reply(fmt::format("A page of a bulk result has {} rows, though {} were announced", rows, expected));
    }
    return {};
}

}  // namespace lockstep::salesforce

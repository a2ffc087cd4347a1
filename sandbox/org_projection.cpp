#include <algorithm>
#include <array>
#include <cstring>

#include "sandbox/org_data.h"

/// Fields written straight to a buffer.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

/// Whether the field is as generated: nobody wrote the row, and no deletion can have emptied it.
bool is_computed(const Org::Impl& org, int object, const FieldPlan& plan, int64_t row) {
    const Table& place = org.table(object);
    return row < place.generated && plan.column != nullptr && !(plan.weak && org.anything_deleted) &&
           place.latest(row) == nullptr && !(follows_activities(plan.source) && org.is_active(object, row));
}

char* put(char* at, std::string_view text) {
    return std::copy(text.begin(), text.end(), at);
}

/// Room a generated cell may need, escapes aside.
constexpr std::size_t kCellMax = kTextMax + 64;

/// Writes what `column` holds: bare, as in CSV between the quotes. Returns `at` for null.
char* write_plain(const Org::Impl& org, const Column& column, const Facts& facts, int64_t row, const RowIds& own_ids,
                  char* at, std::string_view zone) {
    if (column.kind == Column::Kind::Text) return column.text(facts, at);
    if (column.kind == Column::Kind::OwnId) return own_ids.write(at, row);
    const int64_t number = column.number(facts);
    if (number == Column::kNull) return at;
    switch (column.kind) {
        case Column::Kind::Choice:
            return put(at, column.choice(number));
        case Column::Kind::Bool:
            return put(at, number != 0 ? "true" : "false");
        case Column::Kind::Int:
            return write_int(at, number);
        case Column::Kind::Hundredths:
            return write_hundredths(at, number);
        case Column::Kind::Millionths: {
            std::string text;
            append_double(text, static_cast<double>(number) / 1e6);
            return put(at, text);
        }
        case Column::Kind::Date:
            return write_date(at, number);
        case Column::Kind::DateTime:
            return write_datetime(at, number, zone);
        default:
            return org.table(packed_object(number)).ids->write(at, packed_row(number));
    }
}

/// Doubles the quotes in [from, end) in place; returns the new end.
char* double_quotes(char* from, char* end) {
    auto* quote = static_cast<char*>(std::memchr(from, '"', static_cast<std::size_t>(end - from)));
    while (quote != nullptr) {
        std::memmove(quote + 1, quote, static_cast<std::size_t>(end - quote));
        ++end;
        from = quote + 2;
        quote = static_cast<char*>(std::memchr(from, '"', static_cast<std::size_t>(end - from)));
    }
    return end;
}

bool needs_quotes_in_json(Column::Kind kind) {
    return kind != Column::Kind::Bool && kind != Column::Kind::Int && kind != Column::Kind::Hundredths &&
           kind != Column::Kind::Millionths;
}

void append_generated_json(const Org::Impl& org, const Column& column, const Facts& facts, int64_t row,
                           const RowIds& own_ids, std::string& out) {
    std::array<char, kCellMax> room;
    char* end = write_plain(org, column, facts, row, own_ids, room.data(), "+0000");
    const std::string_view text(room.data(), static_cast<std::size_t>(end - room.data()));
    if (text.empty()) {
        out += "null";
    } else if (!needs_quotes_in_json(column.kind)) {
        out += text;
    } else {
        append_json_text(out, text);
    }
}

}  // namespace

void Org::append_csv(int object, int64_t row, int field, std::string& out) const {
    const Table& place = impl_->table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const bool computed = is_computed(*impl_, object, plan, row);
    if (!computed) {
        append_csv_cell(out, plan.type, value(object, row, field));
        return;
    }
    std::array<char, 2 * kCellMax> room;
    const Facts& facts = impl_->generated_row(object, row).facts();
    char* end = write_plain(*impl_, *plan.column, facts, row, *place.ids, room.data(), "Z");
    end = double_quotes(room.data(), end);
    out += '"';
    out.append(room.data(), end);
    out += '"';
}

void Org::append_json(int object, int64_t row, int field, std::string& out) const {
    const Table& place = impl_->table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const bool computed = is_computed(*impl_, object, plan, row);
    if (!computed) {
        append_json_cell(out, plan.type, value(object, row, field));
        return;
    }
    append_generated_json(*impl_, *plan.column, impl_->generated_row(object, row).facts(), row, *place.ids, out);
}

struct Projection::Plan {
    struct Part {
        int field;
        const FieldPlan* plan;
        std::string json_key;  ///< `"Name":`
    };
    const Org& org;
    const Org::Impl& impl;
    int object;
    const Table& table;
    std::vector<Part> parts;
};

Projection::Projection(const Org& org, int object, const std::vector<int>& fields) {
    const Org::Impl& impl = *org.impl_;
    const Table& table = impl.table(object);
    plan_ = std::make_unique<Plan>(Plan{org, impl, object, table, {}});
    for (const int field : fields) {
        std::string key;
        append_json_text(key, impl.schema.at(object).fields[static_cast<std::size_t>(field)].name);
        plan_->parts.push_back({field, &table.plans[static_cast<std::size_t>(field)], key + ":"});
    }
}

Projection::~Projection() = default;
Projection::Projection(Projection&&) noexcept = default;

void Projection::append_csv(int64_t row, std::string& out, char delimiter) const {
    const Plan& plan = *plan_;
    if (row >= plan.table.generated || plan.table.latest(row) != nullptr) {
        for (const Plan::Part& part : plan.parts) {
            if (&part != plan.parts.data()) out += delimiter;
            append_csv_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
        return;
    }
    constexpr std::size_t room_size = 16 * 1024;
    std::array<char, room_size> room;
    char* at = room.data();
    const char* const full = room.data() + room.size() - 2 * kCellMax;
    // A place of our own: fields of other rows may be read while this one is written.
    Generator::Place place;
    plan.impl.generator->fill(plan.object, row, place);
    const Facts& facts = place.facts();
    for (const Plan::Part& part : plan.parts) {
        if (&part != plan.parts.data()) *at++ = delimiter;
        *at++ = '"';
        const bool moved = follows_activities(part.plan->source) && plan.impl.is_active(plan.object, row);
        const Column* column = moved ? nullptr : part.plan->column;
        if (column != nullptr && !part.plan->weak) {
            char* const cell = at;
            at = write_plain(plan.impl, *column, facts, row, *plan.table.ids, at, "Z");
            if (column->kind == Column::Kind::Text || column->kind == Column::Kind::Choice)
                at = double_quotes(cell, at);
            *at++ = '"';
        } else if (column != nullptr) {
            const int64_t target = column->number(facts);
            const bool dead = target != Column::kNull && plan.impl.table(packed_object(target)).any_deleted &&
                              !plan.impl.is_live(packed_object(target), packed_row(target), Sight::Readers);
            if (target != Column::kNull && !dead) {
                at = plan.impl.table(packed_object(target)).ids->write(at, packed_row(target));
            }
            *at++ = '"';
        } else if (part.plan->source == Source::Stored) {
            const std::string_view unset = part.plan->type != Type::Boolean ? ""
                                           : part.plan->unset_truth         ? "true"
                                                                            : "false";
            at = put(at, unset);
            *at++ = '"';
        } else {
            out.append(room.data(), at - 1);
            at = room.data();
            append_csv_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
        if (at >= full) {
            out.append(room.data(), at);
            at = room.data();
        }
    }
    out.append(room.data(), at);
}

void Projection::append_json(int64_t row, std::string& out) const {
    const Plan& plan = *plan_;
    const bool computed = row < plan.table.generated && plan.table.latest(row) == nullptr;
    Generator::Place place;
    if (computed) plan.impl.generator->fill(plan.object, row, place);
    for (const Plan::Part& part : plan.parts) {
        if (&part != plan.parts.data()) out += ',';
        out += part.json_key;
        if (computed && is_computed(plan.impl, plan.object, *part.plan, row)) {
            append_generated_json(plan.impl, *part.plan->column, place.facts(), row, *plan.table.ids, out);
        } else {
            append_json_cell(out, part.plan->type, plan.org.value(plan.object, row, part.field));
        }
    }
}

}  // namespace lockstep::sandbox

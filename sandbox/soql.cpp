#include "sandbox/soql.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "sandbox/soql_rows.h"

namespace lockstep::sandbox {

using soql::Output;
using soql::Runner;
using soql::Spot;

namespace {

/// Writes records of one page; keeps for its time what is the same for all rows.
class PageWriter {
public:
    PageWriter(const Org& org, std::string_view version) : org_(org), version_(version) {}

    /// `{"attributes":…,members}`.
    void record(const std::vector<Output>& outputs, Spot spot, std::string& out) {
        const auto& name = org_.schema().at(spot.object).name;
        out += R"({"attributes":{"type":")";
        out += name;
        out += R"(","url":")";
        append_url(spot, out);
        out += "\"}";
        for (const auto& part : parts(outputs, spot.object)) {
            out += ',';
            if (part.plain) {
                part.plain->append_json(spot.row, out);
            } else {
                member(*part.output, spot, out);
            }
        }
        out += '}';
    }

private:
    /// A run of plain fields in one projection, or one member of another kind.
    struct Part {
        std::optional<Projection> plain;
        const Output* output = nullptr;
    };
    struct Layout {
        const std::vector<Output>* outputs;
        int object;
        std::vector<Part> parts;
    };

    void append_url(Spot spot, std::string& out) const {
        out += "/services/data/v";
        out += version_;
        out += "/sobjects/";
        out += org_.schema().at(spot.object).name;
        out += '/';
        out += org_.id_of(spot.object, spot.row);
    }

    // A statement has a handful of layouts: the record's, its parents', its children's.
    const std::vector<Part>& parts(const std::vector<Output>& outputs, int object) {
        for (const auto& layout : layouts_) {
            if (layout->outputs == &outputs && layout->object == object) return layout->parts;
        }
        layouts_.push_back(std::make_unique<Layout>(Layout{&outputs, object, {}}));
        auto& parts = layouts_.back()->parts;
        std::vector<int> run;
        const auto end_run = [&] {
            if (run.empty()) return;
            parts.push_back({Projection(org_, object, run), nullptr});
            run.clear();
        };
        for (const auto& output : outputs) {
            const auto& value = output.value;
            const bool plain = output.kind == Output::Kind::Value && value.is_plain() && value.ends.size() == 1 &&
                               value.field_type != Type::Base64;
            if (plain) {
                run.push_back(value.ends.front().field);
                continue;
            }
            end_run();
            parts.push_back({std::nullopt, &output});
        }
        end_run();
        return parts;
    }

    void member(const Output& output, Spot spot, std::string& out) {
        append_json_text(out, output.key);
        out += ':';
        switch (output.kind) {
            case Output::Kind::Value:
                value(output.value, spot, out);
                break;
            case Output::Kind::Parent:
            case Output::Kind::TypeOf:
                parent(output, spot, out);
                break;
            case Output::Kind::Child:
                children(output, spot, out);
                break;
        }
    }

    void value(const soql::Value& value, Spot spot, std::string& out) const {
        const auto cell = soql::read(org_, value, spot);
        if (value.type != Type::Base64) return append_json_cell(out, value.type, cell);
        if (is_null(cell)) {
            out += "null";
            return;
        }
        out += '"';
        append_url(spot, out);
        out += "/" + value.name + '"';
    }

    void parent(const Output& output, Spot spot, std::string& out) {
        const auto target = soql::follow(org_, output.hop, spot);
        if (!target) {
            out += "null";
            return;
        }
        const auto branch = std::find_if(output.branches.begin(), output.branches.end(),
                                         [&](const Output::Branch& b) { return b.object == target->object; });
        record(branch == output.branches.end() ? output.members : branch->members, *target, out);
    }

    void children(const Output& output, Spot spot, std::string& out) {
        const auto& query = *output.child;
        const auto rows = runner(query).rows(
            org_.rows_referring(query.object, output.child_field, org_.id_of(spot.object, spot.row)));
        check(rows.ok(), "a child select has no deadline to miss");
        if (rows->size() == 0) {
            out += "null";
            return;
        }
        out += "{\"totalSize\":" + std::to_string(rows->size()) + ",\"done\":true,\"records\":[";
        bool first = true;
        rows->each(0, rows->size(), [&](std::int64_t row) {
            if (!first) out += ',';
            first = false;
            record(query.outputs, {query.object, row}, out);
        });
        out += "]}";
    }

    const Runner& runner(const CompiledQuery& query) {
        for (const auto& [known, runner] : runners_) {
            if (known == &query) return *runner;
        }
        auto started = Runner::start(query, org_, never_);
        check(started.ok(), "a child select has no deadline to miss");
        runners_.emplace_back(&query, std::make_unique<Runner>(std::move(*started)));
        return *runners_.back().second;
    }

    const Org& org_;
    std::string_view version_;
    TooLate never_;
    std::vector<std::unique_ptr<Layout>> layouts_;
    std::vector<std::pair<const CompiledQuery*, std::unique_ptr<Runner>>> runners_;
};

void end_csv_row(std::string& out, CsvForm form) {
    out += form.crlf ? "\r\n" : "\n";
}

void append_csv_text(std::string& out, std::string_view text) {
    append_csv_cell(out, Type::String, Cell(std::string(text)));
}

/// Neighbouring columns that are written at one go: fields of the record, fields of one parent, or a single value.
struct CsvPart {
    std::vector<soql::Hop> hops;
    std::vector<int> fields;
    int object = -1;
    std::optional<Projection> projection;
    const soql::Value* value = nullptr;  ///< without a projection; null: nothing a cell could show

    void append(const Org& org, Spot spot, char delimiter, std::string& out) const {
        if (!projection) {
            if (value) {
                append_csv_cell(out, value->type, soql::read(org, *value, spot));
            } else {
                out += "\"\"";
            }
            return;
        }
        std::optional<Spot> end = spot;
        for (std::size_t i = 0; end && i < hops.size(); ++i) end = soql::follow(org, hops[i], *end);
        // Where a reference leads to one of several objects, it may be another one than the field is of.
        if (end && end->object == object) return projection->append_csv(end->row, out, delimiter);
        for (std::size_t i = 0; i < fields.size(); ++i) {
            if (i) out += delimiter;
            out += "\"\"";
        }
    }
};

bool same_hops(const std::vector<soql::Hop>& a, const std::vector<soql::Hop>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const soql::Hop& x, const soql::Hop& y) { return x.name == y.name; });
}

std::vector<CsvPart> csv_parts(const Org& org, const CompiledQuery& query) {
    std::vector<CsvPart> parts;
    for (const auto& value : query.column_values) {
        const bool is_field = value && !value->object_name && value->functions.empty() && value->ends.size() == 1;
        if (!is_field) {
            parts.emplace_back();
            parts.back().value = value ? &*value : nullptr;
            continue;
        }
        const bool goes_on = !parts.empty() && !parts.back().fields.empty() &&
                             parts.back().object == value->ends.front().object &&
                             same_hops(parts.back().hops, value->hops);
        if (!goes_on) {
            parts.emplace_back();
            parts.back().hops = value->hops;
            parts.back().object = value->ends.front().object;
        }
        parts.back().fields.push_back(value->ends.front().field);
    }
    for (auto& part : parts) {
        if (!part.fields.empty()) part.projection.emplace(org, part.object, part.fields);
    }
    return parts;
}

Error bulk_error(std::string what) {
    return Error{.kind = Kind::Rejected, .what = std::move(what), .code = "API_ERROR"};
}

struct MetadataWords {
    const char* apex_type;
    bool is_text;
};
MetadataWords metadata_words(Type type) {
    switch (type) {
        case Type::Id:
        case Type::Reference:
            return {"Id", true};
        case Type::Boolean:
            return {"Boolean", false};
        case Type::Int:
            return {"Integer", false};
        case Type::Double:
        case Type::Currency:
        case Type::Percent:
            return {"Double", false};
        case Type::Date:
            return {"Date", false};
        case Type::DateTime:
            return {"Datetime", false};
        case Type::Time:
            return {"Time", false};
        case Type::Address:
            return {"Address", false};
        case Type::Location:
            return {"Location", false};
        case Type::Base64:
            return {"Blob", false};
        default:
            return {"String", true};
    }
}

struct MetadataColumn {
    std::string name;
    Type type = Type::String;
    const Field* field = nullptr;
    bool aggregate = false;
    std::vector<MetadataColumn> joined;
};

void append_metadata(const MetadataColumn& column, std::string& out) {
    const auto words = metadata_words(column.type);
    const bool is_number = column.type == Type::Int || is_fractional(column.type);
    const auto flag = [&](const char* key, bool on) {
        out += std::string("\"") + key + "\":" + (on ? "true" : "false") + ",";
    };
    out += '{';
    flag("aggregate", column.aggregate);
    out += std::string(R"("apexType":")") + words.apex_type + "\",";
    flag("booleanType", column.type == Type::Boolean);
    out += "\"columnName\":";
    append_json_text(out, column.name);
    out += ',';
    flag("custom", column.field && column.field->custom);
    out += "\"displayName\":";
    append_json_text(out, column.name);
    out += ",\"foreignKeyName\":";
    if (column.field && !column.field->relationship.empty()) {
        append_json_text(out, column.field->relationship);
    } else {
        out += "null";
    }
    out += ',';
    flag("insertable", column.field && column.field->createable);
    out += "\"joinColumns\":[";
    for (std::size_t i = 0; i < column.joined.size(); ++i) {
        if (i) out += ',';
        append_metadata(column.joined[i], out);
    }
    out += "],";
    flag("numberType", is_number);
    flag("textType", words.is_text && column.joined.empty());
    out += "\"updatable\":";
    out += column.field && column.field->updateable ? "true}" : "false}";
}

std::vector<MetadataColumn> metadata(const std::vector<Output>& outputs, const Schema& schema) {
    std::vector<MetadataColumn> columns;
    for (const auto& output : outputs) {
        MetadataColumn column;
        column.name = output.key;
        switch (output.kind) {
            case Output::Kind::Value:
                column.type = output.value.type;
                if (!output.value.object_name) {
                    const auto end = output.value.ends.front();
                    column.field = &schema.at(end.object).fields[end.field];
                }
                break;
            case Output::Kind::Parent:
                column.joined = metadata(output.members, schema);
                break;
            case Output::Kind::TypeOf:
                for (const auto& branch : output.branches) {
                    for (auto& joined : metadata(branch.members, schema)) column.joined.push_back(std::move(joined));
                }
                break;
            case Output::Kind::Child:
                column.aggregate = true;
                column.joined = metadata(output.child->outputs, schema);
                break;
        }
        columns.push_back(std::move(column));
    }
    return columns;
}

}  // namespace

// ---- Query ----

Query::Query(std::shared_ptr<const CompiledQuery> compiled) : compiled_(std::move(compiled)) {}

Result<Query> Query::prepare(std::string_view text, const Org& org, QueryOptions options) {
    auto compiled = TRY(soql::compile(text, org, options));
    return Query(std::move(compiled));
}

int Query::object() const {
    return compiled_->object;
}
const std::vector<QueryColumn>& Query::columns() const {
    return compiled_->columns;
}
std::string Query::text() const {
    return soql::to_string(compiled_->statement);
}

std::optional<Error> Query::bulk_refusal() const {
    if (compiled_->kind != ResultSet::Kind::Rows)
        return bulk_error("Aggregate queries and GROUP BY are not supported in Bulk Query");
    if (compiled_->statement.offset) return bulk_error("OFFSET is not supported in Bulk Query");
    for (const auto& output : compiled_->outputs) {
        if (output.kind == Output::Kind::Child)
            return bulk_error("Aggregate Relationships not supported in Bulk V2 Query with CSV content type");
        if (output.kind == Output::Kind::TypeOf) return bulk_error("TYPEOF is not supported in Bulk Query");
    }
    for (const auto& column : compiled_->columns) {
        if (column.type == Type::Address || column.type == Type::Location)
            return bulk_error("Selecting compound data not supported in Bulk Query");
        if (column.type == Type::Base64) return bulk_error("Binary fields cannot be selected in bulk queries");
    }
    return std::nullopt;
}

std::string Query::column_metadata_json(const Org& org) const {
    const auto& object = org.schema().at(compiled_->object);
    const bool grouped = compiled_->kind == ResultSet::Kind::Aggregates;
    std::vector<MetadataColumn> columns;
    if (grouped) {
        for (const auto& known : compiled_->columns) {
            MetadataColumn column{.name = known.name, .type = known.type, .aggregate = known.aggregate};
            if (known.field >= 0) column.field = &org.schema().at(known.object).fields[known.field];
            columns.push_back(std::move(column));
        }
    } else {
        columns = metadata(compiled_->outputs, org.schema());
    }
    std::string out = "{\"columnMetadata\":[";
    bool selects_id = false;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i) out += ',';
        append_metadata(columns[i], out);
        selects_id = selects_id || (columns[i].name == "Id" && !grouped);
    }
    out += "],\"entityName\":";
    append_json_text(out, object.name);
    out += std::string(",\"groupBy\":") + (grouped ? "true" : "false");
    out += std::string(",\"idSelected\":") + (selects_id ? "true" : "false") + ",\"keyPrefix\":";
    if (object.key_prefix.empty()) {
        out += "null";
    } else {
        append_json_text(out, object.key_prefix);
    }
    out += '}';
    return out;
}

std::string Query::explain_json(const Org& org) const {
    const auto& object = org.schema().at(compiled_->object);
    const TooLate never;
    auto runner = Runner::start(*compiled_, org, never);
    check(runner.ok(), "explain has no deadline to miss");
    const auto road = runner->road();
    const auto all = org.rows(compiled_->object);
    // The platform calls a plan selective below 1; a scan of everything costs more than that.
    const double share = all ? static_cast<double>(road.rows) / static_cast<double>(all) : 0;
    std::string out = "{\"plans\":[{\"cardinality\":" + std::to_string(road.rows) + ",\"fields\":[";
    for (std::size_t i = 0; i < road.fields.size(); ++i) {
        if (i) out += ',';
        append_json_text(out, road.fields[i]);
    }
    out += std::string("],\"leadingOperationType\":\"") + (road.indexed ? "Index" : "TableScan") + "\",\"notes\":[";
    if (!compiled_->all_rows) {
        out += R"({"description":"Not considering filter for optimization because unindexed","fields":["IsDeleted"],)";
        out += "\"tableEnumOrId\":";
        append_json_text(out, object.name);
        out += '}';
    }
    out += "],\"relativeCost\":";
    append_double(out, road.indexed ? share : 1 + share);
    out += ",\"sobjectCardinality\":" + std::to_string(all) + ",\"sobjectType\":";
    append_json_text(out, object.name);
    out += "}],\"sourceQuery\":";
    append_json_text(out, compiled_->source);
    out += '}';
    return out;
}

// ---- ResultSet ----

ResultSet::ResultSet() = default;
ResultSet::ResultSet(ResultSet&&) noexcept = default;
ResultSet& ResultSet::operator=(ResultSet&&) noexcept = default;
ResultSet::~ResultSet() = default;

ResultSet::Kind ResultSet::kind() const {
    return impl_ ? impl_->query.compiled_->kind : Kind::Rows;
}

std::int64_t ResultSet::total_size() const {
    return kind() == Kind::Count ? impl_->count : records();
}

std::int64_t ResultSet::records() const {
    if (!impl_) return 0;
    return kind() == Kind::Aggregates ? static_cast<std::int64_t>(impl_->groups.size()) : impl_->rows.size();
}

const Query& ResultSet::query() const {
    check(impl_ != nullptr, "an empty result set has no query");
    return impl_->query;
}

std::int64_t ResultSet::append_json_records(const Org& org, std::int64_t from, std::int64_t count,
                                            std::string_view version, std::string& out) const {
    std::int64_t written = 0;
    if (!impl_) return written;
    const auto& query = *impl_->query.compiled_;
    if (kind() == Kind::Aggregates) {
        for (auto at = from; at < std::min(records(), from + count); ++at) {
            out += written++ ? ",{" : "{";
            out += R"("attributes":{"type":"AggregateResult"})";
            for (const auto& column : query.group_columns) {
                out += ',';
                append_json_text(out, column.key);
                out += ':';
                append_json_cell(out, query.slot_type(column.slot), impl_->groups[at][column.slot]);
            }
            out += '}';
        }
        return written;
    }
    PageWriter writer(org, version);
    impl_->rows.each(from, count, [&](std::int64_t row) {
        if (!Runner::shows(query, org, row)) return;
        if (written++) out += ',';
        writer.record(query.outputs, {query.object, row}, out);
    });
    return written;
}

std::string ResultSet::csv_header(CsvForm form) const {
    std::string out;
    if (!impl_) return out;
    bool first = true;
    for (const auto& column : impl_->query.columns()) {
        if (!first) out += form.delimiter;
        first = false;
        append_csv_text(out, column.name);
    }
    end_csv_row(out, form);
    return out;
}

std::int64_t ResultSet::append_csv_rows(const Org& org, std::int64_t from, std::int64_t count, std::string& out,
                                        CsvForm form) const {
    std::int64_t written = 0;
    if (!impl_) return written;
    const auto& query = *impl_->query.compiled_;
    if (kind() == Kind::Aggregates) {
        for (auto at = from; at < std::min(records(), from + count); ++at, ++written) {
            bool first = true;
            for (const auto& column : query.group_columns) {
                if (!first) out += form.delimiter;
                first = false;
                append_csv_cell(out, query.slot_type(column.slot), impl_->groups[at][column.slot]);
            }
            end_csv_row(out, form);
        }
        return written;
    }
    const auto parts = csv_parts(org, query);
    impl_->rows.each(from, count, [&](std::int64_t row) {
        if (!query.keep_lost && !Runner::shows(query, org, row)) return;
        ++written;
        bool first = true;
        for (const auto& part : parts) {
            if (!first) out += form.delimiter;
            first = false;
            part.append(org, {query.object, row}, form.delimiter, out);
        }
        end_csv_row(out, form);
    });
    return written;
}

Cell ResultSet::value(const Org& org, std::int64_t at, std::size_t column) const {
    check(impl_ && at >= 0 && at < records() && column < impl_->query.columns().size(), "no such cell in the result");
    const auto& query = *impl_->query.compiled_;
    if (kind() == Kind::Aggregates) return impl_->groups[at][query.group_columns[column].slot];
    Cell cell;
    const auto& value = query.column_values[column];
    impl_->rows.each(at, 1, [&](std::int64_t row) {
        if (value && Runner::shows(query, org, row)) cell = soql::read(org, *value, {query.object, row});
    });
    return cell;
}

std::string ResultSet::id(const Org& org, std::int64_t at) const {
    std::string id;
    if (!impl_ || kind() != Kind::Rows) return id;
    impl_->rows.each(at, 1, [&](std::int64_t row) { id = org.id_of(impl_->query.object(), row); });
    return id;
}

Result<ResultSet> run_query(const Query& query, const Org& org, const TooLate& too_late) {
    const auto runner = TRY(Runner::start(*query.compiled_, org, too_late));
    ResultSet found;
    found.impl_ = std::make_unique<ResultSet::Impl>(ResultSet::Impl{.query = query});
    switch (query.compiled_->kind) {
        case ResultSet::Kind::Rows:
            found.impl_->rows = TRY(runner.rows());
            break;
        case ResultSet::Kind::Count:
            found.impl_->count = TRY(runner.count());
            break;
        case ResultSet::Kind::Aggregates:
            found.impl_->groups = TRY(runner.groups());
            break;
    }
    return found;
}

}  // namespace lockstep::sandbox

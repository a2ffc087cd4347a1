#include "sandbox/load_dir.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "base/csv.h"
#include "base/text.h"

namespace lockstep::sandbox {
namespace {

/// Rows in the order in which they can be inserted.
class Loader {
public:
    Loader(Org& org, std::vector<RowToLoad> rows, std::string_view actor)
        : org_(org), rows_(std::move(rows)), actor_(actor), states_(rows_.size()) {}

    LoadReport load() {
        name_rows();
        link_rows();
        for (std::size_t row = 0; row < rows_.size(); ++row) {
            if (states_[row].waits_for == 0) ready_.push_back(row);
        }
        std::size_t oldest = 0;
        while (true) {
            while (!ready_.empty()) {
                const auto row = ready_.front();
                ready_.pop_front();
                insert(row);
            }
            while (oldest < rows_.size() && states_[oldest].done) ++oldest;
            if (oldest == rows_.size()) break;
            break_circle(oldest);
        }
        for (const auto& [row, link] : postponed_) set_link(row, link);
        return std::move(report_);
    }

private:
    struct State {
        std::size_t waits_for = 0;  ///< links to rows not inserted yet
        bool done = false;
        std::string id;  ///< empty: not inserted, or refused
        std::vector<std::size_t> dependents;
    };

    const Object& object_of(std::size_t row) const { return org_.schema().at(rows_[row].object); }
    const Field* field_of(std::size_t row, const std::string& name) const {
        const int field = object_of(row).find(name);
        return field < 0 ? nullptr : &object_of(row).fields[field];
    }

    void refuse(std::size_t row, std::string reason) {
        states_[row].done = true;
        report_.refused.push_back({rows_[row].place, object_of(row).name, std::move(reason)});
        release_dependents(row);
    }

    void refuse(std::size_t row, const std::pair<std::string, std::string>& link, const char* why) {
        refuse(row, link.first + " refers to '" + link.second + "', which " + why);
    }

    void name_rows() {
        for (std::size_t row = 0; row < rows_.size(); ++row) {
            const auto& ref = rows_[row].ref;
            if (ref.empty()) continue;
            const auto [known, is_new] = by_ref_.try_emplace(ref, row);
            if (!is_new)
                refuse(row, "the name '" + ref + "' is taken by " + rows_[known->second].place + "; choose another");
        }
    }

    void link_rows() {
        for (std::size_t row = 0; row < rows_.size(); ++row) {
            auto& values = rows_[row].values;
            // A reference that holds a name instead of an id.
            for (auto it = values.begin(); it != values.end();) {
                const auto* field = field_of(row, it->first);
                const auto* text = std::get_if<std::string>(&it->second);
                const bool is_name = field && text && field->type == Type::Reference && by_ref_.count(*text) > 0;
                if (is_name) {
                    rows_[row].links.emplace_back(it->first, *text);
                    it = values.erase(it);
                } else {
                    ++it;
                }
            }
            for (const auto& [field, ref] : rows_[row].links) {
                const auto target = by_ref_.find(ref);
                if (target == by_ref_.end() || target->second == row) continue;
                if (states_[target->second].done) continue;
                states_[target->second].dependents.push_back(row);
                ++states_[row].waits_for;
            }
        }
    }

    void release_dependents(std::size_t row) {
        for (const auto dependent : states_[row].dependents) {
            if (--states_[dependent].waits_for == 0 && !states_[dependent].done) ready_.push_back(dependent);
        }
        states_[row].dependents.clear();
    }

    void insert(std::size_t row) {
        if (states_[row].done) return;
        auto values = rows_[row].values;
        for (const auto& link : rows_[row].links) {
            const auto& [field, ref] = link;
            const auto target = by_ref_.find(ref);
            if (target == by_ref_.end()) return refuse(row, link, "names no row; check the spelling");
            const auto& state = states_[target->second];
            if (!state.id.empty()) {
                values.emplace_back(field, state.id);
            } else if (state.done) {
                return refuse(row, link, "was refused");
            } else {
                postponed_.emplace_back(row, link);
            }
        }
        const auto result = org_.insert(rows_[row].object, values, actor_);
        if (!result.ok()) return refuse(row, reason(result));
        states_[row].done = true;
        states_[row].id = result.id;
        ++report_.inserted[object_of(row).name];
        release_dependents(row);
    }

    /// Every row left waits for another one that is left. Whichever can do without is inserted without.
    void break_circle(std::size_t oldest) {
        for (auto row = oldest; row < rows_.size(); ++row) {
            if (!states_[row].done && can_wait(row)) return insert(row);
        }
        for (auto row = oldest; row < rows_.size(); ++row) {
            if (!states_[row].done)
                return refuse(row, "refers to itself in a circle of required fields; no order of inserting exists");
        }
    }

    bool can_wait(std::size_t row) const {
        return std::all_of(rows_[row].links.begin(), rows_[row].links.end(), [&](const auto& link) {
            const auto target = by_ref_.find(link.second);
            const bool open = target != by_ref_.end() && !states_[target->second].done;
            const auto* field = field_of(row, link.first);
            return !open || (field && field->nillable && field->updateable);
        });
    }

    void set_link(std::size_t row, const std::pair<std::string, std::string>& link) {
        const auto& target = states_[by_ref_.at(link.second)];
        if (states_[row].id.empty()) return;
        auto why = "'" + link.second + "' was refused";
        if (!target.id.empty()) {
            const auto result = org_.update(rows_[row].object, states_[row].id, {{link.first, target.id}}, actor_);
            if (result.ok()) return;
            why = reason(result);
        }
        report_.refused.push_back({rows_[row].place, object_of(row).name,
                                   "inserted without " + link.first + " = '" + link.second + "': " + why});
    }

    static std::string reason(const WriteResult& result) {
        std::string text;
        for (const auto& error : result.errors) {
            if (!text.empty()) text += "; ";
            text += error.code + ": " + error.message;
        }
        return text;
    }

    Org& org_;
    std::vector<RowToLoad> rows_;
    std::string_view actor_;
    std::vector<State> states_;
    std::unordered_map<std::string, std::size_t> by_ref_;
    std::deque<std::size_t> ready_;
    std::vector<std::pair<std::size_t, std::pair<std::string, std::string>>> postponed_;
    LoadReport report_;
};

Error invalid(const std::string& place, const std::string& what, std::string hint) {
    return Error{.kind = Kind::Invalid, .what = place + ": " + what, .hint = std::move(hint)};
}

struct ColumnOfFile {
    enum class Use { Value, Ref, Link, None };
    Use use = Use::Value;
    std::string field;
};

Result<ColumnOfFile> column_named(const Object& object, std::string_view header, const std::string& place) {
    if (equals_ignoring_case(header, "_ref") || equals_ignoring_case(header, "Id"))
        return ColumnOfFile{ColumnOfFile::Use::Ref, ""};
    const bool is_link = header.ends_with("._ref");
    const auto name = header.substr(0, header.size() - (is_link ? 5 : 0));
    for (const auto& field : object.fields) {
        if (field.removed) continue;
        const bool is_it = equals_ignoring_case(field.name, name) ||
                           (is_link && !field.relationship.empty() && equals_ignoring_case(field.relationship, name));
        if (!is_it) continue;
        if (is_link && field.type != Type::Reference)
            return invalid(place, field.name + " of " + object.name + " refers to no other object",
                           "only reference fields take the ending ._ref");
        if (!field.createable) return ColumnOfFile{ColumnOfFile::Use::None, field.name};
        return ColumnOfFile{is_link ? ColumnOfFile::Use::Link : ColumnOfFile::Use::Value, field.name};
    }
    return invalid(place, "no field '" + std::string(name) + "' on " + object.name,
                   "the first row holds API names, as describe and the org file spell them");
}

Result<void> read_file(const Org& org, const std::filesystem::path& file, std::vector<RowToLoad>& rows,
                       std::vector<std::string>& notes) {
    const auto name = file.filename().string();
    const int object = org.schema().find(file.stem().string());
    if (object < 0)
        return invalid(name, "no object '" + file.stem().string() + "' in this org",
                       "name the file after an object, or declare the object in the org file");
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        return Error{.kind = Kind::NotFound, .what = name + " can not be read", .hint = "check its permissions"};
    std::ostringstream bytes;
    bytes << stream.rdbuf();
    const auto text = bytes.str();
    csv::Reader reader(text);
    std::vector<std::string_view> cells;
    std::vector<ColumnOfFile> columns;
    while (true) {
        // Rows are counted, not lines: a quoted cell may hold line breaks.
        const auto place = name + ":" + std::to_string(reader.rows() + 1);
        const auto more = reader.next(cells);
        if (!more.ok()) return invalid(place, more.error().what, "write it as RFC 4180 says");
        if (!*more) break;
        if (columns.empty()) {
            for (const auto header : cells) {
                const auto column = TRY(column_named(org.schema().at(object), trim(header), place));
                if (column.use == ColumnOfFile::Use::None)
                    notes.push_back(name + ": column " + column.field + " can not be written and was left out");
                columns.push_back(column);
            }
            continue;
        }
        if (cells.size() == 1 && cells.front().empty()) continue;  // an empty last line
        if (cells.size() != columns.size())
            return invalid(
                place, std::to_string(cells.size()) + " cells where the header has " + std::to_string(columns.size()),
                "a comma inside a value needs quotes around the value");
        RowToLoad row{.place = place, .object = object};
        for (std::size_t i = 0; i < cells.size(); ++i) {
            if (cells[i].empty()) continue;
            switch (columns[i].use) {
                case ColumnOfFile::Use::Ref:
                    row.ref = cells[i];
                    break;
                case ColumnOfFile::Use::Link:
                    row.links.emplace_back(columns[i].field, cells[i]);
                    break;
                case ColumnOfFile::Use::Value:
                    row.values.emplace_back(columns[i].field, std::string(cells[i]));
                    break;
                case ColumnOfFile::Use::None:
                    break;
            }
        }
        rows.push_back(std::move(row));
    }
    return {};
}

}  // namespace

std::int64_t LoadReport::inserted_rows() const {
    std::int64_t rows = 0;
    for (const auto& [object, count] : inserted) rows += count;
    return rows;
}

std::string to_string(const LoadReport& report, std::size_t refused_max) {
    const auto rows = [](std::int64_t count) { return with_thousands(count) + (count == 1 ? " row" : " rows"); };
    std::string text;
    for (const auto& [object, count] : report.inserted)
        text += rows(count).append(" of ").append(object) + " inserted\n";
    for (const auto& note : report.notes) text += note + "\n";
    if (!report.refused.empty()) text += rows(static_cast<std::int64_t>(report.refused.size())) + " refused:\n";
    for (std::size_t i = 0; i < std::min(refused_max, report.refused.size()); ++i)
        text += "  " + report.refused[i].place + ": " + report.refused[i].reason + "\n";
    return text;
}

LoadReport load_rows(Org& org, std::vector<RowToLoad> rows, std::string_view actor) {
    const auto lock = org.write_lock();
    return Loader(org, std::move(rows), actor).load();
}

Result<LoadReport> load_dir(Org& org, const std::filesystem::path& dir) {
    std::error_code failed;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(dir, failed)) {
        if (equals_ignoring_case(entry.path().extension().string(), ".csv")) files.push_back(entry.path());
    }
    if (failed || files.empty())
        return Error{.kind = Kind::NotFound,
                     .what = "No CSV files in '" + dir.string() + "'",
                     .hint = "--load takes a folder of files named after objects: Account.csv, Contact.csv, ..."};
    std::sort(files.begin(), files.end());
    std::vector<RowToLoad> rows;
    std::vector<std::string> notes;
    for (const auto& file : files) TRY(read_file(org, file, rows, notes));
    auto report = load_rows(org, std::move(rows), org.integration_user_id());
    report.notes.insert(report.notes.begin(), notes.begin(), notes.end());
    return report;
}

}  // namespace lockstep::sandbox

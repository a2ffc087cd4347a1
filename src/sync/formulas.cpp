#include "sync/formulas.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/zone.h"
#include "sync/cycle.h"
#include "sync/formula_graph.h"

namespace lockstep::sync {

using record::Batch;
using record::Cell;
using record::Freshness;
using store::Class;
using store::params;
using Target = FormulaGraph::Target;
using Route = FormulaGraph::Route;
using Formulas = FormulaGraph::Formulas;

namespace {

constexpr const char* kOperation = "formulas";
constexpr int kWindowRows = 1'000;           ///< of the log, read at once
constexpr std::size_t kSourcesMax = 20'000;  ///< changed records brought on in one step; the next one goes on
constexpr std::size_t kKeysPerQuery = 200;   ///< of our own database
constexpr std::size_t kIdsPerCall = 200;     ///< of Connector::read_by_ids
constexpr std::size_t kRowsPerCall = 2'000;  ///< of Connector::read
constexpr std::size_t kCallsOfABulkJob = 6;  ///< made, asked for, read and taken away
constexpr std::size_t kRowsPerChunk = 2'000;

// ---- What is remembered of each formula ----

/// A row of formula_state.
struct State {
    std::string formula;  ///< as it was when its column was last in order
    Freshness freshness = Freshness::Exact;
    Timestamp as_of;
    bool stale = false;  ///< all rows must be read anew
    bool known = false, changed = false;
};

Freshness freshness_named(std::string_view word) {
    for (const Freshness one : {Freshness::Exact, Freshness::AsOf}) {
        if (word == record::name(one)) return one;
    }
    return Freshness::NotTrackable;
}

std::map<std::string, State, IgnoringCase> read_states(store::Connection& db, std::string_view object) {
    std::map<std::string, State, IgnoringCase> states;
    db.query("SELECT field, formula, freshness, as_of, stale FROM formula_state WHERE object = ?",
             params(Cell::text(object)), [&](std::span<const Cell> row) {
                 State& state = states[record::to_text(row[0])];
                 state.formula = record::to_text(row[1]);
                 state.freshness = freshness_named(row[2].as_text());
                 state.as_of = row[3].as_timestamp();
                 state.stale = row[4].is_true();
                 state.known = true;
                 return true;
             });
    return states;
}

void save_state(store::Transaction& tx, std::string_view object, const std::string& field, const State& state) {
    tx.db().run(
        "INSERT INTO formula_state (object, field, formula, freshness, as_of, stale) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (object, field) DO UPDATE SET formula = excluded.formula, freshness = excluded.freshness, "
        "as_of = excluded.as_of, stale = excluded.stale",
        params(Cell::text(object), Cell::text(field), Cell::text(state.formula),
               Cell::text(record::name(state.freshness)), Cell::timestamp(state.as_of), Cell::boolean(state.stale)));
}

std::string follower_of(const Target& target) {
    return "formulas of " + target.object->object.name;
}

FormulaGraph graph_of(store::Connection& db, const store::Catalog& catalog) {
    std::set<std::string, IgnoringCase> followed;
    for (const store::ObjectCursor& cursor : store::object_cursors(db)) {
        if (cursor.state == store::ObjectCursor::State::Following) followed.insert(cursor.object);
    }
    FormulaGraph::Scope scope;
    scope.followed = [followed](const store::MirrorObject& object) { return followed.contains(object.object.name); };
    scope.multi_currency = store::setting(db, "currency.multi") == "true";
    return FormulaGraph(catalog, scope);
}

// ---- Which rows ----

/// Rows of a target (ls_row), and which of its formulas have to be read for them.
struct Affected {
    Formulas formulas;
    std::vector<std::int64_t> rows;

    void add(const Formulas& more_formulas, const std::vector<std::int64_t>& more_rows) {
        if (more_rows.empty()) return;
        formulas.insert(more_formulas.begin(), more_formulas.end());
        rows.insert(rows.end(), more_rows.begin(), more_rows.end());
    }
    void settle() {
        std::ranges::sort(rows);
        rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    }
    void leave_out(const std::vector<std::int64_t>& sorted) {
        std::erase_if(rows, [&](std::int64_t row) { return std::ranges::binary_search(sorted, row); });
    }
};

std::string marks(std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += i == 0 ? "?" : ", ?";
    return out;
}

/// `SELECT ls_row` with `keys` in place of the marks, some keys at a time; sorted, each row once.
template <class Key, class ToCell>
std::vector<std::int64_t> rows_where(store::Connection& db, const std::string& before, const std::string& after,
                                     const std::vector<Key>& keys, ToCell to_cell) {
    std::vector<std::int64_t> rows;
    for (std::size_t at = 0; at < keys.size(); at += kKeysPerQuery) {
        const std::size_t count = std::min(kKeysPerQuery, keys.size() - at);
        std::vector<Cell> cells;
        for (std::size_t i = 0; i < count; ++i) cells.push_back(to_cell(keys[at + i]));
        db.query(before + marks(count) + after, cells, [&](std::span<const Cell> row) {
            rows.push_back(row[0].as_integer());
            return true;
        });
    }
    std::ranges::sort(rows);
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    return rows;
}

Cell text_cell(const std::string& id) {
    return Cell::text(id);
}

/// Rows of the target from which the route leads to one of the source's `ids`: hop by hop backwards. Rows in the bin
/// are left out: their formulas rest, and they are read whole when they come back.
std::vector<std::int64_t> rows_along(store::Connection& db, const Route& route, const std::vector<std::string>& ids) {
    std::vector<std::int64_t> rows;
    for (std::size_t h = route.hops.size(); h-- > 0;) {
        const FormulaGraph::Hop& hop = route.hops[h];
        const std::string select = "SELECT ls_row FROM " + store::quoted(hop.from->table) + " WHERE " +
                                   store::quoted(hop.reference->column) + " IN (";
        const bool marked = h == 0 && hop.from->find("IsDeleted") != nullptr;
        const std::string alive = marked ? " AND NOT isdeleted" : "";
        if (h + 1 == route.hops.size()) {
            rows = rows_where(db, select, ")" + alive, ids, text_cell);
        } else {
            rows = rows_where(db, select + "SELECT id FROM " + store::quoted(hop.to->table) + " WHERE ls_row IN (",
                              "))" + alive, rows, &Cell::integer);
        }
    }
    return rows;
}

std::vector<std::string> ids_of(store::Connection& db, const std::string& table, std::span<const std::int64_t> rows) {
    std::vector<std::string> ids;
    for (std::size_t at = 0; at < rows.size(); at += kKeysPerQuery) {
        const auto some = rows.subspan(at, std::min(kKeysPerQuery, rows.size() - at));
        std::vector<Cell> cells;
        for (const std::int64_t row : some) cells.push_back(Cell::integer(row));
        db.query("SELECT id FROM " + store::quoted(table) + " WHERE ls_row IN (" + marks(some.size()) + ")", cells,
                 [&](std::span<const Cell> row) {
                     ids.emplace_back(row[0].as_text());
                     return true;
                 });
    }
    return ids;
}

// ---- What there is to do for one target ----

struct Plan {
    std::vector<State> states;  ///< beside Target::formulas
    std::int64_t position_before = 0, position = 0;
    bool more = false;  ///< the log goes on
    std::array<Affected, 2> by_class;
    std::array<Formulas, 2> whole_by_class;  ///< formulas whose whole column is read

    Affected& affected(Class cls) { return by_class[cls == Class::News ? 0 : 1]; }
    Formulas& whole(Class cls) { return whole_by_class[cls == Class::News ? 0 : 1]; }
    bool reads() const {
        return !by_class[0].rows.empty() || !by_class[1].rows.empty() || !whole_by_class[0].empty() ||
               !whole_by_class[1].empty();
    }
    void save(store::Transaction& tx, const Target& target) const {
        for (std::size_t i = 0; i < states.size(); ++i) {
            if (!states[i].changed) continue;
            save_state(tx, target.object->object.name, target.formulas[i].field->field.name, states[i]);
        }
        if (position != position_before) store::move_follower(tx, follower_of(target), position);
    }
    bool moves() const {
        return position != position_before || std::ranges::any_of(states, [](const State& one) { return one.changed; });
    }
};

class Planner {
public:
    Planner(store::Connection& db, const Target& target, const store::ObjectCursor& cursor, Timestamp now,
            std::int64_t overlap_s)
        : db_(db), target_(target), cursor_(cursor), now_(now), overlap_s_(overlap_s) {}

    Plan plan() {
        // Of an object loaded in this very cycle each formula is as new as the load.
        fresh_ = cursor_.watermark == cursor_.load_started;
        compare_states();
        if (!target_.routes.empty()) {
            read_log();
            if (!seeds_.empty()) seed();
        }
        for (Affected& affected : plan_.by_class) affected.settle();
        if (!plan_.more) choose_whole();
        return std::move(plan_);
    }

private:
    void compare_states() {
        auto known = read_states(db_, target_.object->object.name);
        for (std::size_t i = 0; i < target_.formulas.size(); ++i) {
            const FormulaGraph::Formula& formula = target_.formulas[i];
            State state = known[formula.field->field.name];
            const State before = state;
            if (!state.known) {
                state.as_of = cursor_.load_started.value_or(now_);
                state.stale = !fresh_;
                if (fresh_) seeds_.insert(i);
            } else if (state.formula != formula.field->field.formula ||
                       (state.freshness != formula.label.freshness &&
                        formula.label.freshness != Freshness::NotTrackable)) {
                state.stale = true;  // what was not heard of before may have happened
            }
            if (!formula.field->filled) state.stale = true;  // it joined late, or came back
            state.formula = formula.field->field.formula;
            state.freshness = formula.label.freshness;
            state.changed = !before.known || before.formula != state.formula || before.freshness != state.freshness ||
                            before.stale != state.stale;
            plan_.states.push_back(std::move(state));
        }
    }

    /// Changes of sources since the last time, and the rows they lead to.
    void read_log() {
        plan_.position_before = store::follower_position(db_, follower_of(target_));
        plan_.position = plan_.position_before > 0 ? plan_.position_before : first_position();
        struct Changed {
            Formulas formulas;
            std::vector<std::string> ids;
        };
        std::vector<std::array<Changed, 2>> changed(target_.routes.size());
        struct Inserted {
            std::int64_t position;
            std::string id;
        };
        std::vector<Inserted> inserted;
        std::int64_t newest = 0;
        std::size_t sources = 0;
        for (bool end = false; !end && !plan_.more;) {
            const auto window = store::changes_after(db_, plan_.position, kWindowRows);
            if (!window.ok()) return read_all_anew();
            for (const store::LoggedChange& logged : *window) {
                plan_.position = logged.position;
                const store::Change& change = logged.change;
                if (change.table == target_.object->table && change.kind == store::ChangeKind::Insert) {
                    inserted.push_back({logged.position, change.record});
                }
                for (std::size_t i = 0; i < target_.routes.size(); ++i) {
                    const Formulas touched = Target::touched(target_.routes[i], change);
                    if (touched.empty()) continue;
                    Changed& of_route = changed[i][change.cls == Class::News ? 0 : 1];
                    of_route.formulas.insert(touched.begin(), touched.end());
                    of_route.ids.push_back(change.record);
                    newest = logged.position;
                    ++sources;
                }
            }
            end = window->size() < static_cast<std::size_t>(kWindowRows);
            plan_.more = !end && sources >= kSourcesMax;
        }
        for (std::size_t i = 0; i < changed.size(); ++i) {
            for (std::size_t c = 0; c < 2; ++c) {
                if (changed[i][c].ids.empty()) continue;
                plan_.by_class[c].add(changed[i][c].formulas, rows_along(db_, target_.routes[i], changed[i][c].ids));
            }
        }
        // A row that came after its parents changed was read after them, formulas and all.
        std::vector<std::string> late;
        for (const Inserted& one : inserted) {
            if (one.position > newest) late.push_back(one.id);
        }
        if (late.empty() || newest == 0) return;
        const std::vector<std::int64_t> rows = rows_where(
            db_, "SELECT ls_row FROM " + store::quoted(target_.object->table) + " WHERE id IN (", ")", late, text_cell);
        for (Affected& affected : plan_.by_class) affected.leave_out(rows);
    }

    /// The log no longer has what happened since the last time.
    void read_all_anew() {
        for (State& state : plan_.states) state.stale = state.changed = true;
        plan_.position = store::last_position(db_);
    }

    /// Where a follower that is new begins: at the first page of its object's load, or here when all is read anew.
    std::int64_t first_position() {
        const auto loaded = fresh_ ? db_.integer("SELECT min(ls_position) FROM " + store::quoted(target_.object->table))
                                   : std::optional<std::int64_t>();
        return loaded ? *loaded : store::last_position(db_);
    }

    /// Objects are loaded side by side. What changed in a parent after the rows were read and before the parent was is
    /// in no log row: it came with the parent's load. Its stamp tells.
    void seed() {
        const Timestamp since = cursor_.load_started->plus(-overlap_s_);
        for (const Route& route : target_.routes) {
            const store::MirrorObject& source = route.source();
            Formulas formulas;
            std::ranges::set_intersection(route.all, seeds_, std::inserter(formulas, formulas.end()));
            if (formulas.empty()) continue;
            const store::MirrorField* stamp = source.find("SystemModstamp");
            if (stamp == nullptr) stamp = source.find("LastModifiedDate");
            std::string sql = "SELECT id FROM " + store::quoted(source.table);
            std::vector<Cell> cells;
            if (stamp != nullptr) {
                sql += " WHERE " + store::quoted(stamp->column) + " >= ?";
                cells.push_back(Cell::timestamp(since));
            }
            std::vector<std::string> ids;
            db_.query(sql, cells, [&](std::span<const Cell> row) {
                ids.emplace_back(row[0].as_text());
                return true;
            });
            plan_.affected(Class::CatchUp).add(formulas, rows_along(db_, route, ids));
        }
    }

    /// Columns to be read as a whole: what is stale, and what has not been read today though it changes by itself. What
    /// changed with the day that began is news; what changed on a day nobody looked is not.
    void choose_whole() {
        const std::string zone = store::setting(db_, "organization.time_zone").value_or("");
        const auto day = [&](Timestamp at) { return day_in(zone, at).value_or(day_of(at)); };
        for (std::size_t i = 0; i < plan_.states.size(); ++i) {
            const State& state = plan_.states[i];
            if (state.stale) {
                plan_.whole(Class::CatchUp).insert(i);
            } else if (state.freshness == Freshness::AsOf && day(state.as_of) < day(now_)) {
                const bool yesterday = day(now_).days - day(state.as_of).days == 1;
                plan_.whole(yesterday ? Class::News : Class::CatchUp).insert(i);
            }
        }
    }

    store::Connection& db_;
    const Target& target_;
    const store::ObjectCursor& cursor_;
    Timestamp now_;
    std::int64_t overlap_s_;
    bool fresh_ = false;
    Formulas seeds_;
    Plan plan_;
};

// ---- Reading ----

class Rereading {
public:
    Rereading(Work& work, const Target& target, store::Step& step) : work_(work), target_(target), step_(step) {}

    /// The formulas of some rows: by id, or with the whole object when that costs fewer calls.
    Result<void> some(const Affected& affected, Class cls) {
        if (affected.rows.empty()) return {};
        const std::size_t by_id = (affected.rows.size() + kIdsPerCall - 1) / kIdsPerCall;
        if (by_id > kCallsOfABulkJob) {  // a few calls are not worth a count
            const std::size_t rows = rows_in_all();
            const std::size_t as_whole =
                by_bulk(rows) ? kCallsOfABulkJob + rows / 50'000 : (rows + kRowsPerCall - 1) / kRowsPerCall;
            if (as_whole < by_id) return read(affected.formulas, cls, &affected.rows, by_bulk(rows));
        }
        const store::PageShape shape = shape_for(affected.formulas);
        const salesforce::Selection selection = selection_for(shape);
        for (std::size_t at = 0; at < affected.rows.size(); at += kRowsPerChunk) {
            const std::span<const std::int64_t> rows(affected.rows.data() + at,
                                                     std::min(kRowsPerChunk, affected.rows.size() - at));
            std::vector<std::string> ids;
            work_.db.read([&](store::Connection& db) { ids = ids_of(db, target_.object->table, rows); });
            TRY(work_.connector.read_by_ids(selection, ids, sink(shape, cls, &affected.rows)));
        }
        return {};
    }

    /// The formulas of all rows.
    Result<void> all(const Formulas& formulas, Class cls) {
        if (formulas.empty()) return {};
        return read(formulas, cls, nullptr, by_bulk(rows_in_all()));
    }

private:
    Result<void> read(const Formulas& formulas, Class cls, const std::vector<std::int64_t>* rows, bool bulk) {
        const store::PageShape shape = shape_for(formulas);
        const salesforce::Selection selection = selection_for(shape);
        const salesforce::PageSink take = sink(shape, cls, rows);
        if (!bulk) return work_.connector.read(selection, take);
        return work_.connector.read_bulk(
            selection, {},
            [&](salesforce::Page&& page, const salesforce::BulkPosition&) { return take(std::move(page)); },
            work_.options.bulk);
    }

    store::PageShape shape_for(const Formulas& formulas) const {
        std::vector<std::string> names{"Id"};
        for (const std::size_t place : formulas) names.push_back(target_.formulas[place].field->field.name);
        add_life_fields(work_, *target_.object, names);
        return store::shape_of(*target_.object, names);
    }

    /// Without a stamp: a formula moves none, and the mirror's must not run ahead of the rest of the row.
    static salesforce::Selection selection_for(const store::PageShape& shape) {
        salesforce::Selection selection = selection_of(*shape.object, shape);
        selection.stamp.clear();
        selection.deleted_too = false;
        return selection;
    }

    /// `shape` and `rows` live as long as the reading.
    salesforce::PageSink sink(const store::PageShape& shape, Class cls, const std::vector<std::int64_t>* rows) {
        return [this, &shape, cls, rows](salesforce::Page&& page) -> Result<void> {
            Heard heard;
            work_.write([&](store::Transaction& tx) {
                const Batch known = known_rows(tx.db(), shape, page.rows, rows);
                heard = apply_page(work_, tx, shape, known, cls, {.step = step_.id, .call = page.call});
                note_odd_cells(tx, shape, page, step_);
            });
            step_.updated += heard.updated;
            step_.failed += static_cast<std::int64_t>(page.odd.size());
            work_.report.activities += heard.activities;
            return {};
        };
    }

    std::size_t rows_in_all() {
        std::int64_t rows = 0;
        work_.db.read([&](store::Connection& db) {
            rows = db.integer("SELECT count(*) FROM " + store::quoted(target_.object->table)).value_or(0);
        });
        return static_cast<std::size_t>(rows);
    }
    bool by_bulk(std::size_t rows) const {
        return static_cast<std::int64_t>(rows) >= work_.rules.settings().bulk_from_rows;
    }

    Work& work_;
    const Target& target_;
    store::Step& step_;
};

/// Who is affected is found over these columns.
void ensure_indexes(Work& work, const Target& target) {
    for (const Route& route : target.routes) {
        for (const FormulaGraph::Hop& hop : route.hops) {
            if (!work.formula_indexes.insert(hop.from->table + "." + hop.reference->column).second) continue;
            store::ensure_mirror_index(work.db, *hop.from, hop.reference->field.name);
        }
    }
}

Result<void> carry_out(Work& work, const Target& target, Plan& plan, store::Step& step) {
    const Timestamp now = work.salesforce_now();
    Rereading rereading(work, target, step);
    for (const Class cls : {Class::News, Class::CatchUp}) TRY(rereading.some(plan.affected(cls), cls));
    for (const Class cls : {Class::News, Class::CatchUp}) {
        TRY(rereading.all(plan.whole(cls), cls));
        for (const std::size_t place : plan.whole(cls)) {
            State& state = plan.states[place];
            state.as_of = now;
            state.stale = false;
            state.changed = true;
        }
    }
    work.at_end_of_step([&](store::Transaction& tx) { plan.save(tx, target); });
    return {};
}

void mark_filled(Work& work, const Target& target, Plan& plan) {
    for (const std::size_t place : plan.whole(Class::CatchUp)) {
        const store::MirrorField& field = *target.formulas[place].field;
        if (!field.filled) work.catalog.mark_filled(work.db, target.object->object.name, field.field.name);
    }
}

}  // namespace

Result<void> follow_formulas(Work& work) {
    std::optional<FormulaGraph> graph;
    work.db.read([&](store::Connection& db) { graph.emplace(graph_of(db, work.catalog)); });
    std::vector<std::pair<const Target*, Plan>> quiet;  // nothing to read, but something to remember
    for (const Target& target : graph->targets()) {
        const store::ObjectCursor cursor = work.cursor(target.object->object.name);
        if (cursor.state != store::ObjectCursor::State::Following) continue;
        ensure_indexes(work, target);
        for (bool more = true; more;) {
            Plan plan;
            work.db.read([&](store::Connection& db) {
                plan = Planner(db, target, cursor, work.salesforce_now(), work.rules.settings().overlap_s).plan();
            });
            more = plan.more;
            if (!plan.reads()) {
                if (plan.moves() && more) work.write([&](store::Transaction& tx) { plan.save(tx, target); });
                if (plan.moves() && !more) quiet.emplace_back(&target, std::move(plan));
                continue;
            }
            TRY(run_step(work, target.object->object.name, kOperation,
                         [&](store::Step& step) { return carry_out(work, target, plan, step); }));
            const bool done = work.report.steps.back().status == store::StepStatus::Succeeded;
            more = more && done;
            if (done) mark_filled(work, target, plan);
        }
    }
    if (quiet.empty()) return {};
    work.write([&](store::Transaction& tx) {
        for (const auto& [target, plan] : quiet) plan.save(tx, *target);
    });
    return {};
}

FreshnessByField freshness_of(store::Connection& db, const store::Catalog& catalog, std::string_view object) {
    FreshnessByField found;
    const store::MirrorObject* const mirror = catalog.find(object);
    if (mirror == nullptr) return found;
    FormulaGraph graph = graph_of(db, catalog);
    const auto states = read_states(db, mirror->object.name);
    const auto failure = db.text(
        "SELECT message FROM sync_error WHERE object = ? AND operation = ? AND record IS NULL AND resolved IS NULL "
        "ORDER BY id DESC LIMIT 1",
        params(Cell::text(mirror->object.name), Cell::text(kOperation)));
    for (const store::MirrorField& field : mirror->fields) {
        const auto label = field.live ? graph.label(*mirror, field) : std::nullopt;
        if (!label) continue;
        FieldFreshness& fresh = found[field.field.name];
        fresh.freshness = label->freshness;
        fresh.reason = label->reason;
        const auto state = states.find(field.field.name);
        if (field.field.formula.empty()) continue;
        if (state != states.end()) fresh.as_of = state->second.as_of;
        if (fresh.freshness != Freshness::Exact) continue;
        if (state == states.end() || state->second.stale) {
            fresh.freshness = Freshness::AsOf;
            fresh.reason = "all its rows are still to be read";
        } else if (failure) {
            fresh.freshness = Freshness::AsOf;
            fresh.reason = "its last reading failed: " + *failure;
        } else {
            fresh.as_of.reset();
        }
    }
    return found;
}

}  // namespace lockstep::sync

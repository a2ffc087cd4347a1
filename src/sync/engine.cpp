#include "sync/engine.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "people/tables.h"
#include "sync/cycle.h"
#include "sync/tables.h"

namespace lockstep::sync {

namespace {

/// Over the steps that read records; others make people, companies and links of what was read.
std::int64_t sum(const std::vector<store::Step>& steps, std::int64_t store::Step::*counter) {
    std::int64_t total = 0;
    for (const store::Step& step : steps) {
        if (!step.operation.starts_with("build ")) total += step.*counter;
    }
    return total;
}

}  // namespace

std::int64_t CycleReport::created() const {
    return sum(steps, &store::Step::created);
}
std::int64_t CycleReport::updated() const {
    return sum(steps, &store::Step::updated);
}
std::int64_t CycleReport::deleted() const {
    return sum(steps, &store::Step::deleted);
}
bool CycleReport::failed() const {
    return std::ranges::any_of(steps, [](const store::Step& s) { return s.status == store::StepStatus::Failed; });
}

bool ends_the_cycle(const Error& error) {
    switch (error.kind) {
        case Kind::Denied:
        case Kind::Throttled:
        case Kind::Unavailable:
        case Kind::Conflict:
        case Kind::Cancelled:
            return true;
        default:
            return false;
    }
}

void Work::write(const std::function<void(store::Transaction&)>& work) {
    db.write([&](store::Transaction& tx) {
        lease.guard(tx);
        if (step != nullptr && !step_is_open) {
            step->id = store::begin_step(tx, cycle, step->object, step->operation);
            step->started = tx.now();
        }
        work(tx);
    });
    step_is_open = step != nullptr;
    world.crash_point("after commit");
}

Timestamp Work::salesforce_now() const {
    const auto now = connector.session().server_time();
    check(now.has_value(), "the time was asked for before Salesforce was");
    return *now;
}

store::ObjectCursor Work::cursor(std::string_view object) {
    std::optional<store::ObjectCursor> found;
    db.read([&](store::Connection& connection) { found = store::object_cursor(connection, object); });
    if (found) return *found;
    store::ObjectCursor fresh;
    fresh.object = object;
    return fresh;
}

bool Work::built(std::string_view part) {
    bool done = false;
    db.read([&](store::Connection& connection) {
        done = store::setting(connection, "build." + std::string(part)) == "done";
    });
    return done;
}

salesforce::Findings* Work::findings(std::string_view object) {
    const auto at = found.find(std::string(object));
    return at == found.end() ? nullptr : &at->second;
}

Result<void> run_step(Work& work, std::string_view object, std::string_view operation,
                      const std::function<Result<void>(store::Step&)>& body) {
    store::Step step{.cycle = work.cycle, .object = std::string(object), .operation = std::string(operation)};
    work.step = &step;
    work.step_is_open = false;
    work.closings.clear();
    const std::int64_t calls_before = work.connector.session().calls_made();
    const Result<void> outcome = body(step);
    step.calls = work.connector.session().calls_made() - calls_before;
    const bool stopped = !outcome.ok() && outcome.error().kind == Kind::Cancelled;
    step.status = outcome.ok() ? store::StepStatus::Succeeded
                  : stopped    ? store::StepStatus::Stopped
                               : store::StepStatus::Failed;
    if (stopped) step.detail = "asked to stop; the next cycle goes on from here";
    if (!outcome.ok() && !stopped) step.detail = outcome.error().what;
    work.write([&](store::Transaction& tx) {
        step.ended = tx.now();
        store::save_step(tx, step);
        if (outcome.ok()) {
            for (const auto& closing : work.closings) closing(tx);
            store::resolve_errors(tx, object, "", operation);
            return;
        }
        if (stopped) return;
        const Error& error = outcome.error();
        store::add_error(tx, {.at = tx.now(),
                              .object = std::string(object),
                              .record = "",
                              .operation = std::string(operation),
                              .code = error.code.empty() ? name(error.kind) : error.code,
                              .message = error.what,
                              .hint = error.hint,
                              .step = step.id});
    });
    work.step = nullptr;
    work.report.steps.push_back(step);
    work.report.calls += step.calls;
    work.watcher.step_done(step);
    if (!outcome.ok() && ends_the_cycle(outcome.error())) return outcome.error();
    return {};
}

/// Whether some object was never loaded to its end, in this org and by these rules.
bool anything_to_load(Work& work) {
    return std::ranges::any_of(work.rules.objects(), [&](const ObjectRules& rules) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        return object != nullptr && work.cursor(object->object.name).state != store::ObjectCursor::State::Following;
    });
}

struct Engine::Impl {
    Work work;
};

Engine::Engine(store::Database& db, salesforce::Connector& connector, const Rules& rules, World& world,
               Watcher& watcher, const store::Lease& lease, Options options)
    : impl_(new Impl{.work = {.db = db,
                              .connector = connector,
                              .rules = rules,
                              .world = world,
                              .watcher = watcher,
                              .lease = lease,
                              .options = options}}) {
    people::make_tables(db);
    make_tables(db);
}

Engine::~Engine() = default;

Result<CycleReport> Engine::cycle() {
    Work& work = impl_->work;
    const std::int64_t began = work.world.clock.mono_ms();
    work.report = {};
    work.db.read([&](store::Connection& connection) {
        work.catalog = store::Catalog::read(connection);
        work.fields = people::Fields::read(connection);
    });
    work.write([&](store::Transaction& tx) {
        store::close_abandoned_steps(tx);
        work.cycle = store::next_cycle(tx);
    });
    work.report.cycle = work.cycle;

    TRY(sync_schema(work));
    // A load and all that is built on it are written once, not twice; readers of the database wait a little longer.
    std::unique_ptr<store::Database::LoadMode> loading;
    if (anything_to_load(work)) loading = work.db.load_mode();
    Loads loads(work);
    TRY(loads.ask());
    for (const ObjectRules& rules : work.rules.objects()) {
        const store::MirrorObject* const object = work.catalog.find(rules.salesforce);
        if (object == nullptr) continue;  // its schema step has failed and said why
        if (work.cursor(object->object.name).state == store::ObjectCursor::State::Following) {
            TRY(follow_object(work, *object, rules));
        } else {
            work.report.first_load = true;
            TRY(loads.load(*object));
        }
    }
    TRY(loads.index());
    TRY(build(work));
    loading.reset();
    TRY(repair_parents(work));
    TRY(follow_formulas(work));
    work.report.ms = work.world.clock.mono_ms() - began;
    prune(work);
    return std::move(work.report);
}

salesforce::Selection selection_of(const store::MirrorObject& object, const store::PageShape& shape) {
    salesforce::Selection selection;
    selection.object = object.object.name;
    for (const store::MirrorField* const field : shape.fields) selection.fields.push_back(field->field);
    selection.deleted_too = object.object.has("IsDeleted");
    if (!object.object.has("SystemModstamp")) {
        selection.stamp = object.object.has("LastModifiedDate") ? "LastModifiedDate" : "";
    }
    return selection;
}

void add_life_fields(const Work& work, const store::MirrorObject& object, std::vector<std::string>& fields) {
    const ObjectRules* const rules = work.rules.find(object.object.name);
    if (rules == nullptr || rules->role != Role::Person) return;
    for (const char* const field : {"IsDeleted", "MasterRecordId", "IsConverted", "ConvertedContactId"}) {
        const bool there =
            std::ranges::any_of(fields, [&](const std::string& name) { return equals_ignoring_case(name, field); });
        if (!there && object.object.has(field)) fields.emplace_back(field);
    }
}

record::Batch known_rows(store::Connection& db, const store::PageShape& shape, const record::Batch& page,
                         const std::vector<std::int64_t>* among) {
    using record::Form;
    const auto id_at = [&](std::size_t row) { return page.row(row)[static_cast<std::size_t>(shape.id)].as_text(); };
    std::vector<std::string_view> ids;
    for (std::size_t i = 0; i < page.rows(); ++i) ids.push_back(id_at(i));
    const bool marked = shape.object->find("IsDeleted") != nullptr;
    std::vector<std::string> columns{"id", "ls_row"};
    std::vector<Form> forms{Form::Text, Form::Integer};
    if (marked) {
        columns.emplace_back("isdeleted");
        forms.push_back(Form::Boolean);
    }
    const record::Batch known = db.rows_by_key(shape.object->table, "id", ids, columns, forms);
    std::vector<std::string_view> wanted;
    for (std::size_t i = 0; i < known.rows(); ++i) {
        const auto row = known.row(i);
        if (among != nullptr) {
            if (marked && row[2].is_true()) continue;
            if (!std::ranges::binary_search(*among, row[1].as_integer())) continue;
        }
        wanted.push_back(row[0].as_text());
    }
    std::ranges::sort(wanted);
    record::Batch rows(page.forms());
    for (std::size_t i = 0; i < page.rows(); ++i) {
        if (std::ranges::binary_search(wanted, id_at(i))) std::ranges::copy(page.row(i), rows.add_row().begin());
    }
    return rows;
}

}  // namespace lockstep::sync

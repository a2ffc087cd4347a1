#include <algorithm>

#include "sandbox/org_data.h"

/// What tasks and events make of the records they are about, and what age makes of them.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

constexpr int64_t kArchivedAfterDays = 365;

/// Reads fields of one object by name.
class Reader {
public:
    Reader(const Org::Impl& org, int object, Sight sight) : org_(org), object_(object), sight_(sight) {}
    Cell cell(int64_t row, const char* name) const {
        const int field = org_.schema.at(object_).find(name);
        return field < 0 ? Cell{} : org_.read_raw(object_, row, field, sight_);
    }
    bool truth(int64_t row, const char* name) const { return cell(row, name) == Cell{true}; }
    std::optional<int64_t> number(int64_t row, const char* name) const {
        const Cell found = cell(row, name);
        const auto* number = std::get_if<int64_t>(&found);
        return number != nullptr ? std::optional(*number) : std::nullopt;
    }

private:
    const Org::Impl& org_;
    int object_;
    Sight sight_;
};

/// The field by which activities name a record of `object`. Accounts count what is about their people and deals too.
const char* link_to(const std::string& object) {
    if (object == "Account") return "AccountId";
    return object == "Lead" || object == "Contact" ? "WhoId" : "WhatId";
}

struct Activities {
    std::optional<int64_t> last_day;  ///< of the tasks that are done and the events that were
    bool open = false;                ///< a task to do, an event to come
    bool overdue = false;
};

Activities activities_of(const Org::Impl& org, int object, int64_t row, Sight sight) {
    Activities found;
    const int64_t today = day_of({org.now()}).days;
    for (const char* name : {"Task", "Event"}) {
        const int about = org.schema.find(name);
        if (about < 0) continue;
        const Reader reader(org, about, sight);
        const bool is_task = about == org.schema.find("Task");
        const int link = org.schema.at(about).find(link_to(org.schema.at(object).name));
        for (const int64_t at : org.referring(about, link, pack(object, row), sight)) {
            if (!org.is_live(about, at, sight)) continue;
            const std::optional<int64_t> day = reader.number(at, "ActivityDate");
            const bool done = is_task ? reader.truth(at, "IsClosed") : day && *day <= today;
            const bool ahead = is_task ? !done : day && *day >= today;
            found.open = found.open || ahead;
            found.overdue = found.overdue || (is_task && !done && day && *day < today);
            if (done && day) found.last_day = std::max(found.last_day.value_or(*day), *day);
        }
    }
    return found;
}

}  // namespace

Cell Org::Impl::activity_value(int object, int64_t row, int field, Sight sight) const {
    Cell generated = read_raw(object, row, field, sight);
    if (!is_active(object, row)) return generated;
    const Activities found = activities_of(*this, object, row, sight);
    switch (table(object).plans[static_cast<std::size_t>(field)].source) {
        case Source::LastActivity:
            // What is generated stands for activities too, older ones.
            if (!found.last_day) return generated;
            return is_null(generated) ? *found.last_day : std::max(std::get<int64_t>(generated), *found.last_day);
        case Source::OpenActivity:
            return found.open;
        case Source::OverdueTask:
            return found.overdue;
        default:
            return generated;
    }
}

bool Org::Impl::archived(int object, int64_t row, Sight sight) const {
    const Reader reader(*this, object, sight);
    const int64_t limit = day_of({now()}).days - kArchivedAfterDays;
    if (schema.at(object).name == "Event") {
        return reader.number(row, "EndDate").value_or(reader.number(row, "ActivityDate").value_or(limit)) < limit;
    }
    if (!reader.truth(row, "IsClosed")) return false;
    if (const std::optional<int64_t> due = reader.number(row, "ActivityDate")) return *due < limit;
    const std::optional<int64_t> created = reader.number(row, "CreatedDate");
    return created && day_of({*created}).days < limit;
}

void Org::Impl::note_activity(int object, int64_t row) {
    for (const int field : table(object).activity_fields) {
        const Cell cell = read_raw(object, row, field, Sight::Writer);
        const auto* id = std::get_if<std::string>(&cell);
        if (const auto target = id != nullptr ? resolve(*id) : std::nullopt) active.insert(*target);
    }
}

}  // namespace lockstep::sandbox

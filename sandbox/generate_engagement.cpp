#include "sandbox/generate_data.h"

/// Tasks, events and campaign members: what was done with the people.
namespace lockstep::sandbox::generate {

namespace {

/// Whom and what a task or an event is about; -1: nobody, nothing.
struct ActivityRow : Facts {
    int64_t lead, contact, opportunity, account;
    bool account_only;
    uint32_t kind;
    int64_t day;  ///< when it is due
    bool done;
};

/// One of the rows of `targets` that existed when this one of `rows` was made, mostly a recent one.
int64_t recent(int64_t row, int64_t rows, int64_t targets, uint64_t hash) {
    const int64_t known = std::max<int64_t>((row + 1) * targets / rows, 1);
    const double back = fraction(hash, 16);
    return known - 1 - static_cast<int64_t>(back * back * static_cast<double>(known));
}

/// Chooses what the activity is about; `core` comes back made after that and, when it was thrown away, gone with it.
void aim(const G& g, int64_t row, int64_t rows, G::Core& core, ActivityRow& out) {
    out.lead = out.contact = out.opportunity = out.account = -1;
    out.account_only = false;
    out.owner = G::owner(core.h);
    G::Core about{0, -1, -1, 0, 0};
    const uint64_t h = mix64(core.h ^ 0x61696d);
    const auto of_account = [&](const G::Core& target) {
        out.account = target.account;
        out.owner = G::owner(target.account >= 0 ? g.hash(1, target.account) : target.h);
    };
    const uint64_t share = h % 100;
    if (g.leads > 0 && (share < 40 || g.contacts == 0)) {
        const int64_t lead = recent(row, rows, g.leads, h);
        const G::LeadCore target = g.lead_core(lead);
        about = target;
        if (target.nth >= 0) {  // conversion hands its activities over
            out.contact = target.contact;
            out.account = target.account;
        } else {
            out.lead = lead;
        }
        out.owner = G::owner(target.h);
    } else if (g.opportunities > 0 && share < 70) {
        out.opportunity = recent(row, rows, g.opportunities, h);
        about = g.opportunity_core(out.opportunity);
        of_account(about);
        if (g.contacts > 0 && share < 65) {
            const int64_t contact = g.role_contact(out.opportunity, about, 0);
            const G::Core who = g.contact_core(contact);
            if (who.deleted == 0) out.contact = contact;
            about.created = std::max(about.created, who.created);
        }
    } else if (g.accounts > 0 && share >= 96) {
        out.account = recent(row, rows, g.accounts, h);
        out.account_only = true;
        about = g.account_core(out.account);
        out.owner = G::owner(about.h);
    } else if (g.contacts > 0) {
        out.contact = recent(row, rows, g.contacts, h);
        about = g.contact_core(out.contact);
        of_account(about);
    }
    core.created = std::max(core.created, about.created);
    if (about.deleted != 0) {
        core.created = std::max(about.created, std::min(core.created, g.oldest_deletion() - 1));
        core.deleted = about.deleted;
    } else {
        core.deleted = g.deletion(core.h, core.created, 320);
    }
}

/// When it is due, and whether it was done: nearly always, once that day is over.
void schedule(const G& g, ActivityRow& out, int64_t day, const Calendar& calendar) {
    out.day = day;
    out.done = day < g.today && (out.h2 >> 20) % 100 < 90;
    calendar.finish(out.at, out.row, out.h2, out.done ? std::max(day * kDay + 9 * 3600, out.at.created) : 0);
}

enum TaskKind : uint32_t { kToDo, kCall, kMail };

void fill_task(const G& g, int64_t row, ActivityRow& out) {
    G::Core core{g.hash(6, row), -1, -1, 0, 0};
    core.created = g.task_calendar.created(row, core.h);
    aim(g, row, g.tasks, core, out);
    begin(out, g, row, core);
    const uint64_t share = (out.h >> 8) % 10;
    out.kind = share < 4 ? kCall : share < 7 ? kMail : kToDo;
    const int64_t created_day = core.created / kDay;
    if (out.kind == kMail) {  // is logged when it was sent
        out.day = created_day;
        out.done = true;
        g.task_calendar.finish(out.at, row, out.h2, 0);
        return;
    }
    schedule(g, out, created_day + static_cast<int64_t>((out.h >> 14) % 14), g.task_calendar);
}

void fill_event(const G& g, int64_t row, ActivityRow& out) {
    G::Core core{g.hash(7, row), -1, -1, 0, 0};
    core.created = g.event_calendar.created(row, core.h);
    aim(g, row, g.events, core, out);
    begin(out, g, row, core);
    out.kind = static_cast<uint32_t>((out.h >> 8) % std::size(words::kEventSubjects));
    schedule(g, out, core.created / kDay + static_cast<int64_t>((out.h >> 14) % 20), g.event_calendar);
}

struct MemberRow : Facts {
    int64_t campaign, lead, contact;  ///< of a converted lead both; -1: none
    int status;                       ///< of words::kMemberStatuses
};

/// Which of the campaign's members are leads: of each sixteen the first so many.
int64_t leads_in_sixteen(const G& g) {
    return (16 * g.leads + (g.leads + g.contacts) / 2) / (g.leads + g.contacts);
}
int64_t leads_among(int64_t members, int64_t in_sixteen) {
    return members / 16 * in_sixteen + std::min(members % 16, in_sixteen);
}

/// Members of one kind are spread over all people of that kind, each in a stretch of its own, so that nobody is picked
/// twice.
struct Spread {
    const G& g;
    int64_t campaign, picks, people;
    uint64_t salt;
    int64_t step() const { return people / std::max<int64_t>(picks, 1); }
    int64_t offset() const { return static_cast<int64_t>(g.hash(salt, campaign) % static_cast<uint64_t>(people)); }
    int64_t place(int64_t pick) const {
        const uint64_t h = g.hash(salt + 1, campaign * 1'000'003 + pick);
        return pick * step() + static_cast<int64_t>(h % static_cast<uint64_t>(step()));
    }
    int64_t person(int64_t pick) const { return (offset() + place(pick)) % people; }
    bool holds(int64_t person) const {
        if (picks == 0 || step() == 0) return false;
        const int64_t at = (person - offset() + people) % people;
        const int64_t pick = at / step();
        return pick < picks && place(pick) == at;
    }
};

int64_t member_status(const words::CampaignKind& kind, uint64_t hash) {
    const uint64_t share = hash % 100;
    if (share < 50) return kind.statuses[0];
    return kind.statuses[1 + static_cast<int64_t>(hash >> 8) % (kind.status_count - 1)];
}

void fill_member(const G& g, int64_t row, MemberRow& out) {
    out.campaign = g.members_of.parent_of(row);
    const int64_t nth = row - g.members_of.first_child(out.campaign);
    const int64_t all = g.members_of.children(out.campaign);
    const int64_t in_sixteen = leads_in_sixteen(g);
    const int64_t lead_picks = leads_among(all, in_sixteen);
    const Spread leads{g, out.campaign, lead_picks, g.leads, 20};
    const Spread contacts{g, out.campaign, all - lead_picks, g.contacts, 22};
    G::Core core{g.hash(10, row), -1, -1, 0, 0};
    core.created = g.campaign_start(out.campaign) + static_cast<int64_t>((core.h >> 8) % (14 * kDay)) - 7 * kDay;
    G::Core person{0, -1, -1, 0, 0};
    out.lead = out.contact = -1;
    int64_t duplicate_since = 0;
    if (nth % 16 < in_sixteen) {
        out.lead = leads.person(leads_among(nth, in_sixteen));
        const G::LeadCore lead = g.lead_core(out.lead);
        person = lead;
        if (lead.nth >= 0) {
            out.contact = lead.contact;
            // Of a lead and a contact that became one, one membership is left.
            if (g.contacts > 0 && contacts.holds(lead.contact)) duplicate_since = lead.not_before;
        }
        out.owner = G::owner(lead.h);
    } else {
        out.contact = contacts.person(nth - leads_among(nth, in_sixteen));
        person = g.contact_core(out.contact);
        out.owner = G::owner(person.account >= 0 ? g.hash(1, person.account) : person.h);
    }
    core.created = std::min(std::max(core.created, person.created), g.member_calendar.limit());
    core.deleted = person.deleted != 0 ? person.deleted : g.deletion(core.h, core.created, 250);
    if (duplicate_since != 0) core.deleted = std::max(duplicate_since, core.created);
    if (core.deleted != 0) core.created = std::min(core.created, core.deleted);
    begin(out, g, row, core);
    g.member_calendar.finish(out.at, row, out.h2, 0);
    const auto kinds = static_cast<int64_t>(std::size(words::kCampaignKinds));
    out.status = static_cast<int>(member_status(words::kCampaignKinds[out.campaign % kinds], out.h2 >> 12));
}

// --- Writing fields.

template <class R>
std::vector<Column> about_columns() {
    return {
        number<R>("WhoId", Kind::Row,
                  [](const R& r) {
                      if (r.lead >= 0) return pack(r.g->lead, r.lead);
                      return r.contact >= 0 ? pack(r.g->contact, r.contact) : kNull;
                  }),
        number<R>("WhatId", Kind::Row,
                  [](const R& r) {
                      if (r.account_only) return pack(r.g->account, r.account);
                      return r.opportunity >= 0 ? pack(r.g->opportunity, r.opportunity) : kNull;
                  }),
        number<R>("AccountId", Kind::Row,
                  [](const R& r) { return r.account >= 0 ? pack(r.g->account, r.account) : kNull; }),
        number<R>("ActivityDate", Kind::Date, [](const R& r) { return r.day; }),
        choice<R>("Description", words::kActivityNotes,
                  [](const R& r) { return r.h2 % 3 != 0 ? pick(r.h, 28, std::size(words::kActivityNotes)) : kNull; }),
        text<R>("CurrencyIsoCode",
                [](const R& r, char* at) { return r.g->currencies.empty() ? at : put(at, r.g->currencies.front()); }),
        owner_column<R>(),
    };
}

std::string_view task_subject(const ActivityRow& r) {
    if (r.kind == kCall) return words::kCallSubjects[pick(r.h, 34, std::size(words::kCallSubjects))];
    if (r.kind == kMail) return words::kMailSubjects[pick(r.h, 34, std::size(words::kMailSubjects))];
    return words::kTaskSubjects[pick(r.h, 34, std::size(words::kTaskSubjects))];
}

std::vector<Column> task_columns() {
    using R = ActivityRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, about_columns<R>());
    append(
        columns,
        {
            text<R>("Subject", [](const R& r, char* at) { return put(at, task_subject(r)); }),
            choice<R>("Status", words::kTaskStatuses,
                      [](const R& r) -> int64_t {
                          if (r.done) return 2;
                          constexpr int64_t open[] = {0, 0, 0, 1, 3, 4};
                          return open[pick(r.h2, 28, std::size(open))];
                      }),
            choice<R>("Priority", words::kTaskPriorities,
                      [](const R& r) -> int64_t { return r.h2 % 8 == 0   ? 0
                                                         : r.h2 % 8 == 1 ? 2
                                                                         : 1; }),
            number<R>("IsHighPriority", Kind::Bool, [](const R& r) -> int64_t { return r.h2 % 8 == 0 ? 1 : 0; }),
            number<R>("IsClosed", Kind::Bool, [](const R& r) -> int64_t { return r.done ? 1 : 0; }),
            number<R>("CompletedDateTime", Kind::DateTime, [](const R& r) { return r.done ? r.at.modified : kNull; }),
            choice<R>("TaskSubtype", words::kTaskSubtypes, [](const R& r) { return int64_t{r.kind}; }),
            choice<R>("Type", words::kTaskTypes, [](const R& r) { return int64_t{r.kind}; }),
            number<R>("CallDurationInSeconds", Kind::Int,
                      [](const R& r) {
                          return r.kind == kCall && r.done ? static_cast<int64_t>(20 + (r.h >> 40) % 1500) : kNull;
                      }),
            choice<R>("CallDisposition", words::kCallResults,
                      [](const R& r) {
                          return r.kind == kCall && r.done ? pick(r.h2, 34, std::size(words::kCallResults)) : kNull;
                      }),
            text<R>("CallType",
                    [](const R& r, char* at) {
                        if (r.kind != kCall || !r.done) return at;
                        return put(at, r.h % 5 == 0 ? "Inbound" : "Outbound");
                    }),
        });
    return columns;
}

int64_t event_start(const ActivityRow& r) {
    return r.day * kDay + 8 * 3600 + static_cast<int64_t>((r.h >> 40) % 20) * 1800;
}
int64_t event_minutes(const ActivityRow& r) {
    return 30 * (1 + static_cast<int64_t>((r.h >> 46) % 4));
}

std::vector<Column> event_columns() {
    using R = ActivityRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, about_columns<R>());
    append(
        columns,
        {
            choice<R>("Subject", words::kEventSubjects, [](const R& r) { return int64_t{r.kind}; }),
            choice<R>("Type", words::kEventTypes, [](const R& r) { return int64_t{r.kind}; }),
            choice<R>("Location", words::kPlaces, [](const R& r) { return pick(r.h2, 28, std::size(words::kPlaces)); }),
            number<R>("StartDateTime", Kind::DateTime, [](const R& r) { return event_start(r); }),
            number<R>("ActivityDateTime", Kind::DateTime, [](const R& r) { return event_start(r); }),
            number<R>("EndDateTime", Kind::DateTime, [](const R& r) { return event_start(r) + event_minutes(r) * 60; }),
            number<R>("EndDate", Kind::Date,
                      [](const R& r) { return (event_start(r) + event_minutes(r) * 60) / kDay; }),
            number<R>("DurationInMinutes", Kind::Int, [](const R& r) { return event_minutes(r); }),
            text<R>("ShowAs", [](const R&, char* at) { return put(at, "Busy"); }),
            text<R>("GroupEventType", [](const R&, char* at) { return put(at, "0"); }),
            text<R>("EventSubtype", [](const R&, char* at) { return put(at, "Event"); }),
        });
    return columns;
}

std::vector<Column> member_columns() {
    using R = MemberRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns,
           {
               number<R>("CampaignId", Kind::Row, [](const R& r) { return pack(r.g->campaign, r.campaign); }),
               number<R>("LeadId", Kind::Row, [](const R& r) { return r.lead >= 0 ? pack(r.g->lead, r.lead) : kNull; }),
               number<R>("ContactId", Kind::Row,
                         [](const R& r) { return r.contact >= 0 ? pack(r.g->contact, r.contact) : kNull; }),
               text<R>("CurrencyIsoCode",
                       [](const R& r, char* at) {
                           return r.g->currencies.empty() ? at : put(at, r.g->currencies.front());
                       }),
               text<R>("Status", [](const R& r, char* at) { return put(at, words::kMemberStatuses[r.status].label); }),
               number<R>("HasResponded", Kind::Bool,
                         [](const R& r) -> int64_t { return words::kMemberStatuses[r.status].responded ? 1 : 0; }),
               number<R>("FirstRespondedDate", Kind::Date,
                         [](const R& r) {
                             return words::kMemberStatuses[r.status].responded ? r.at.modified / kDay : kNull;
                         }),
           });
    return columns;
}

}  // namespace

std::vector<Shape> engagement_shapes() {
    return {{&G::task, &G::tasks, task_columns(), construct<ActivityRow, fill_task>},
            {&G::event, &G::events, event_columns(), construct<ActivityRow, fill_event>},
            {&G::member, &G::members, member_columns(), construct<MemberRow, fill_member>}};
}

}  // namespace lockstep::sandbox::generate

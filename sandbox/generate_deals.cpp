#include "base/time.h"
#include "sandbox/generate_data.h"

/// Opportunities, their contact roles and their history.
namespace lockstep::sandbox::generate {

void fill_opportunity(const G& g, int64_t row, OpportunityRow& out) {
    const G::Core core = g.opportunity_core(row);
    begin(out, g, row, core);
    out.account = core.account;
    out.contact = core.contact;
    out.owner = G::owner(core.account >= 0 ? g.hash(1, core.account) : out.h);
    const uint64_t hs = mix64(out.h ^ 0x737461);
    const int64_t created_day = core.created / kDay;
    const double luck = fraction(hs, 0);
    const int64_t cycle = 20 + static_cast<int64_t>(luck * luck * 180);
    out.close_day = created_day + cycle;
    out.stage_changed = core.created;
    const uint64_t fate = (hs >> 16) & 1023U;
    if (out.close_day <= g.today && fate < 940) {
        out.stage = fate < 390 ? kWon : kLost;
        out.stage_changed = std::max(core.created, out.close_day * kDay + static_cast<int64_t>((hs >> 26) % kDay));
    } else {
        const int64_t age = std::min(g.today - created_day, cycle);
        const auto due = static_cast<uint32_t>(age * (kOpenStages - 1) / cycle);
        const auto behind = static_cast<uint32_t>((hs >> 26) % 3);
        out.stage = due > behind ? due - behind : 0;
        if (out.stage > 0) out.stage_changed += (g.opportunity_calendar.limit() - core.created) * out.stage / 9;
    }
    out.stage_changed = std::min(out.stage_changed, g.opportunity_calendar.limit());
    if (core.deleted != 0) out.stage_changed = std::min(out.stage_changed, core.deleted);
    g.opportunity_calendar.finish(out.at, row, out.h2, out.stage_changed);
    const uint64_t ha = mix64(out.h ^ 0x616d74);
    out.amount = g.amounts[ha & 4095U];
    if ((ha >> 12) % 5 == 0) out.amount += static_cast<int64_t>((ha >> 16) % 10000);
    if ((ha >> 32) % 1000 == 0) out.amount *= 100;  // the few deals that everybody talks about
    if (out.stage < 2 && (ha >> 44) % 8 == 0) out.amount = Column::kNull;
}

namespace {

void fill_role(const G& g, int64_t row, RoleRow& out) {
    out.opportunity = g.roles_of.parent_of(row);
    out.nth = row - g.roles_of.first_child(out.opportunity);
    const G::Core deal = g.opportunity_core(out.opportunity);
    out.contact = g.role_contact(out.opportunity, deal, out.nth);
    const G::Core contact = g.contact_core(out.contact);
    G::Core core{g.hash(5, row), -1, -1, std::max(deal.created, contact.created), 0};
    if (out.nth > 0) core.created += static_cast<int64_t>((core.h >> 8) % (5 * kDay));
    core.created = std::min(core.created, g.role_calendar.limit());
    core.deleted = deal.deleted != 0 ? deal.deleted : contact.deleted;
    if (core.deleted != 0) core.created = std::min(core.created, core.deleted);
    begin(out, g, row, core);
    g.role_calendar.finish(out.at, row, out.h2, 0);
    out.owner = G::owner(deal.account >= 0 ? g.hash(1, deal.account) : deal.h);
}

/// One state of an opportunity: what each history row tells.
struct HistoryRow : Facts {
    uint32_t stage;
    int64_t opportunity, amount, close_day;
    int64_t account;  ///< of the opportunity; -1: none
    uint64_t opportunity_hash;
    int64_t amount_before, close_before;  ///< kNull: as before
};

/// A story that ends with the deal as it is: stages in order, the amount and the close date corrected now and then.
void fill_history(const G& g, int64_t row, HistoryRow& out) {
    const int64_t opportunity = g.histories_of.parent_of(row);
    const int64_t nth = row - g.histories_of.first_child(opportunity);
    const int64_t last = g.histories_of.children(opportunity) - 1;
    OpportunityRow deal;
    fill_opportunity(g, opportunity, deal);
    const uint64_t h = mix64(deal.h ^ 0x686973);
    const uint32_t top = deal.stage == kLost  ? 1 + static_cast<uint32_t>(h % (kOpenStages - 1))
                         : deal.stage == kWon ? kOpenStages - 1
                                              : deal.stage;
    const auto stage_at = [&](int64_t step) {
        if (step == last) return deal.stage;
        return static_cast<uint32_t>(top * step / last);
    };
    struct State {
        int64_t amount, close_day;
    };
    State now{deal.amount, deal.close_day};
    // Backwards from how it is now; `before` is what the row replaced.
    State before = now;
    for (int64_t step = last; step >= nth; --step) {
        now = before;
        if (step == 0) break;
        const uint64_t luck = mix64(h + static_cast<uint64_t>(step));
        const bool same_stage = stage_at(step) == stage_at(step - 1);
        if (same_stage || luck % 4 == 0) before.close_day -= 7 + static_cast<int64_t>((luck >> 8) % 30);
        if (now.amount != kNull && (luck >> 16) % 3 == 0) {
            before.amount = now.amount / 100 * ((luck >> 24) % 2 == 0 ? 80 : 120);
        }
    }
    out.opportunity = opportunity;
    out.account = deal.account;
    out.opportunity_hash = deal.h;
    out.stage = stage_at(nth);
    out.amount = now.amount;
    out.close_day = now.close_day;
    out.amount_before = nth > 0 && before.amount != now.amount ? before.amount : kNull;
    out.close_before = nth > 0 && before.close_day != now.close_day ? before.close_day : kNull;
    out.owner = deal.owner;
    G::Core core{g.hash(11, row), -1, -1, deal.at.created, deal.at.deleted};
    const int64_t until = std::max(deal.stage == 0 ? deal.at.modified : deal.stage_changed, deal.at.created);
    if (last > 0) core.created += (until - deal.at.created) * nth / last;
    begin(out, g, row, core);
    out.at.modified = core.created;
    out.at.system = core.deleted != 0 ? core.deleted : core.created;
}

int64_t expected_revenue(int64_t amount, uint32_t stage) {
    return amount == kNull ? kNull : (amount * words::kStages[stage].probability + 50) / 100;
}

std::vector<Column> opportunity_columns() {
    using R = OpportunityRow;
    std::vector<Column> columns = system_columns<R>();
    const auto is_open = [](const R& r) { return r.stage < kOpenStages; };
    using Open = decltype(is_open);
    append(
        columns,
        {
            number<R>("AccountId", Kind::Row,
                      [](const R& r) { return r.account >= 0 ? pack(r.g->account, r.account) : kNull; }),
            number<R>("IsPrivate", Kind::Bool, [](const R&) -> int64_t { return 0; }),
            text<R>("Name",
                    [](const R& r, char* at) {
                        if (r.account >= 0) {
                            at = put(put_company(at, r.g->company(static_cast<uint64_t>(r.account))), " - ");
                        }
                        return put(at, words::kProducts[(r.h >> 24) % std::size(words::kProducts)]);
                    }),
            choice<R>(
                "Description", words::kOpportunityNotes,
                [](const R& r) { return r.h2 % 4 != 0 ? pick(r.h, 28, std::size(words::kOpportunityNotes)) : kNull; }),
            choice<R>("StageName", kStageNames, [](const R& r) { return int64_t{r.stage}; }),
            number<R>("Amount", Kind::Hundredths, [](const R& r) { return r.amount; }),
            number<R>("Probability", Kind::Hundredths,
                      [](const R& r) { return int64_t{words::kStages[r.stage].probability} * 100; }),
            number<R>("ExpectedRevenue", Kind::Hundredths,
                      [](const R& r) { return expected_revenue(r.amount, r.stage); }),
            number<R>("TotalOpportunityQuantity", Kind::Hundredths,
                      [](const R& r) { return static_cast<int64_t>(1 + (r.h2 >> 8) % 120) * 100; }),
            number<R>("CloseDate", Kind::Date, [](const R& r) { return r.close_day; }),
            choice<R>("Type", words::kOpportunityTypes,
                      [](const R& r) { return pick(r.h, 32, std::size(words::kOpportunityTypes)); }),
            choice<R>("NextStep", words::kNextSteps,
                      [](const R& r) { return Open{}(r) ? pick(r.h, 36, std::size(words::kNextSteps)) : kNull; }),
            choice<R>("LeadSource", words::kLeadSources,
                      [](const R& r) { return pick(r.h, 40, std::size(words::kLeadSources)); }),
            number<R>("IsClosed", Kind::Bool, [](const R& r) -> int64_t { return Open{}(r) ? 0 : 1; }),
            number<R>("IsWon", Kind::Bool, [](const R& r) -> int64_t { return r.stage == kWon ? 1 : 0; }),
            choice<R>("ForecastCategory", kForecasts, [](const R& r) { return int64_t{r.stage}; }),
            choice<R>("ForecastCategoryName", kForecastNames, [](const R& r) { return int64_t{r.stage}; }),
            number<R>("CampaignId", Kind::Row,
                      [](const R& r) {
                          if (r.g->campaigns == 0 || r.h2 % 20 >= 7) return kNull;
                          return pack(r.g->campaign, pick(r.h2, 24, static_cast<std::size_t>(r.g->campaigns)));
                      }),
            number<R>("PushCount", Kind::Int,
                      [](const R& r) -> int64_t { return r.h2 % 3 == 0 ? pick(r.h2, 40, 5) : 0; }),
            number<R>("LastStageChangeDate", Kind::DateTime,
                      [](const R& r) { return r.stage_changed != r.at.created ? r.stage_changed : kNull; }),
            number<R>("FiscalQuarter", Kind::Int,
                      [](const R& r) -> int64_t {
                          return (civil(Date{static_cast<std::int32_t>(r.close_day)}).month + 2) / 3;
                      }),
            number<R>("FiscalYear", Kind::Int,
                      [](const R& r) -> int64_t { return civil(Date{static_cast<std::int32_t>(r.close_day)}).year; }),
            text<R>("Fiscal",
                    [](const R& r, char* at) {
                        const CivilDate day = civil(Date{static_cast<std::int32_t>(r.close_day)});
                        at = put(write_int(at, day.year), " ");
                        return write_int(at, (day.month + 2) / 3);
                    }),
            number<R>("ContactId", Kind::Row,
                      [](const R& r) {
                          const G& g = *r.g;
                          if (g.roles == 0 || g.roles_of.children(r.row) == 0) return kNull;
                          const G::Core core{r.h, r.account, r.contact, r.at.created, r.at.deleted};
                          if (!g.has_primary(core)) return kNull;
                          const int64_t contact = g.role_contact(r.row, core, 0);
                          return g.contact_core(contact).deleted == 0 ? pack(g.contact, contact) : kNull;
                      }),
            number<R>("LastViewedDate", Kind::DateTime,
                      [](const R& r) { return r.h2 % 9 == 0 ? r.at.modified : kNull; }),
            number<R>("LastReferencedDate", Kind::DateTime,
                      [](const R& r) { return r.h2 % 9 == 0 ? r.at.modified : kNull; }),
            number<R>("HasOpenActivity", Kind::Bool,
                      [](const R& r) -> int64_t { return Open{}(r) && (r.h2 >> 12) % 3 == 0 ? 1 : 0; }),
            number<R>("HasOverdueTask", Kind::Bool,
                      [](const R& r) -> int64_t { return Open{}(r) && (r.h2 >> 12) % 9 == 0 ? 1 : 0; }),
            text<R>("CurrencyIsoCode", [](const R& r, char* at) { return put_currency_of(*r.g, r.account, r.h, at); }),
            owner_column<R>(),
            last_activity_column<R>(),
        });
    return columns;
}

std::vector<Column> role_columns() {
    using R = RoleRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns,
           {
               number<R>("OpportunityId", Kind::Row, [](const R& r) { return pack(r.g->opportunity, r.opportunity); }),
               number<R>("ContactId", Kind::Row, [](const R& r) { return pack(r.g->contact, r.contact); }),
               choice<R>("Role", words::kRoles,
                         [](const R& r) { return r.h % 12 != 0 ? pick(r.h, 8, std::size(words::kRoles)) : kNull; }),
               number<R>("IsPrimary", Kind::Bool,
                         [](const R& r) -> int64_t {
                             if (r.nth != 0) return 0;
                             const G::Core core{r.g->hash(4, r.opportunity), -1, -1, 0, 0};
                             return r.g->has_primary(core) ? 1 : 0;
                         }),
           });
    return columns;
}

std::vector<Column> history_columns() {
    using R = HistoryRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns,
           {
               number<R>("OpportunityId", Kind::Row, [](const R& r) { return pack(r.g->opportunity, r.opportunity); }),
               choice<R>("StageName", kStageNames, [](const R& r) { return int64_t{r.stage}; }),
               number<R>("Amount", Kind::Hundredths, [](const R& r) { return r.amount; }),
               number<R>("ExpectedRevenue", Kind::Hundredths,
                         [](const R& r) { return expected_revenue(r.amount, r.stage); }),
               number<R>("CloseDate", Kind::Date, [](const R& r) { return r.close_day; }),
               number<R>("Probability", Kind::Hundredths,
                         [](const R& r) { return int64_t{words::kStages[r.stage].probability} * 100; }),
               choice<R>("ForecastCategory", kForecasts, [](const R& r) { return int64_t{r.stage}; }),
               text<R>("CurrencyIsoCode",
                       [](const R& r, char* at) { return put_currency_of(*r.g, r.account, r.opportunity_hash, at); }),
               number<R>("PrevAmount", Kind::Hundredths, [](const R& r) { return r.amount_before; }),
               number<R>("PrevCloseDate", Kind::Date, [](const R& r) { return r.close_before; }),
           });
    return columns;
}

}  // namespace

std::vector<Shape> deal_shapes() {
    return {{&G::opportunity, &G::opportunities, opportunity_columns(), construct<OpportunityRow, fill_opportunity>},
            {&G::role, &G::roles, role_columns(), construct<RoleRow, fill_role>},
            {&G::history, &G::histories, history_columns(), construct<HistoryRow, fill_history>}};
}

}  // namespace lockstep::sandbox::generate

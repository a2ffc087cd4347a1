#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/world.h"
#include "sandbox/generate.h"
#include "sandbox/generate_words.h"

/// What Generator is made of; for generate*.cpp only. Start with Shape: how the rows of one object are computed.
namespace lockstep::sandbox {

struct Facts {
    const Generator::Impl* g;
    std::int64_t row;
    std::uint64_t h;  ///< independent bits of this row; h2 more of them
    std::uint64_t h2;
    Stamps at;
    std::int64_t owner;  ///< row of User
};

namespace generate {

using std::int64_t;
using std::uint64_t;

constexpr int64_t kDay = 86400;
constexpr int64_t kBinDays = 14;  // generated rows of the bin were deleted in the last so many days

/// Uniform in [0, 1) from 16 bits of `hash` at `shift`.
inline double fraction(uint64_t hash, int shift) {
    return static_cast<double>((hash >> shift) & 0xffffU) / 65536.0;
}

inline char* put(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
}

inline char* put_two_digits(char* at, uint64_t value) {
    *at++ = static_cast<char>('0' + value / 10 % 10);
    *at++ = static_cast<char>('0' + value % 10);
    return at;
}

/// Children spread over parents in order: blocks of parents own blocks of children, and within a block each parent has
/// its share by weight. So both directions are computed, not stored.
class Split {
public:
    Split(int64_t parents, int64_t children, std::span<const int> weights)
        : parents_(parents), children_(children), block_(static_cast<int64_t>(weights.size())) {
        bounds_.push_back(0);
        for (const int weight : weights) bounds_.push_back(bounds_.back() + weight);
    }
    int64_t first_child(int64_t parent) const {
        const int64_t block = parent / block_;
        return bound(block, parent - block * block_);
    }
    int64_t children(int64_t parent) const { return first_child(parent + 1) - first_child(parent); }
    int64_t parent_of(int64_t child) const {
        // The proportional guess is off by one block at most, because block bounds are rounded down.
        int64_t block = parents_ * child / children_ / block_;
        if (block_start(block + 1) <= child) ++block;
        int64_t parent = 0;
        while (parent + 1 < block_ && bound(block, parent + 1) <= child) ++parent;
        return std::min(block * block_ + parent, parents_ - 1);
    }

private:
    int64_t block_start(int64_t block) const { return std::min(block * block_, parents_) * children_ / parents_; }
    int64_t bound(int64_t block, int64_t parent) const {
        const int64_t start = block_start(block);
        const int64_t size = block_start(block + 1) - start;
        const int64_t in_block = std::min(block_, parents_ - block * block_);
        if (in_block <= 0) return children_;
        if (in_block < block_) return start + size * parent / in_block;
        return start + size * bounds_[static_cast<std::size_t>(parent)] / bounds_.back();
    }
    int64_t parents_, children_, block_;
    std::vector<int64_t> bounds_;
};

/// When the rows of an object were made and last touched.
class Calendar {
public:
    Calendar(int64_t rows, int64_t start, uint64_t salt) : rows_(rows), salt_(salt) {
        first_ = start - 3 * 365 * kDay;
        span_ = static_cast<double>(start - 3600 - first_);
        shift_ = rows < 4096 ? 6 : 10;
        blocks_ = static_cast<double>(std::max<int64_t>((rows + (int64_t{1} << shift_) - 1) >> shift_, 1));
        limit_ = start - 60;
        for (std::size_t i = 0; i < mass_updates_.size(); i += 8) {
            const uint64_t hash = mix64(salt ^ (0x6d617373 + i));
            mass_updates_[(i + hash) % mass_updates_.size()] =
                start - 30 * kDay - static_cast<int64_t>((hash >> 8) % (600 * kDay));
        }
    }
    /// Ascending in `row`. Ever faster; a quarter of the blocks is a bulk load of 200 rows a second.
    int64_t created(int64_t row, uint64_t hash) const {
        const int64_t block = row >> shift_;
        const int64_t place = row & ((int64_t{1} << shift_) - 1);
        const double from = moment(static_cast<double>(block));
        if (is_bulk(row)) return static_cast<int64_t>(from) + place / 200;
        const double to = moment(static_cast<double>(block + 1));
        const double step = (to - from) / static_cast<double>(int64_t{1} << shift_);
        return static_cast<int64_t>(from + step * (static_cast<double>(place) + fraction(hash, 48)));
    }
    bool is_bulk(int64_t row) const { return (mix64(salt_ ^ static_cast<uint64_t>(row >> shift_)) & 3U) == 0; }
    /// Fills modified and system from created and deleted.
    void finish(Stamps& at, int64_t row, uint64_t hash, int64_t not_before) const {
        at.modified = at.created;
        if ((hash & 255U) >= 100) {
            const double part = fraction(hash, 8);
            at.modified += static_cast<int64_t>(part * part * static_cast<double>(limit_ - at.created));
        }
        at.modified = std::max(at.modified, std::min(not_before, limit_));
        at.system = at.modified;
        const auto parts = static_cast<int64_t>(mass_updates_.size());
        const int64_t part = row * parts / rows_;
        const int64_t mass = mass_updates_[static_cast<std::size_t>(part)];
        if (mass != 0 && mass > at.modified) {
            at.system = mass + (row * parts - part * rows_) / parts / 200;
        } else if (((hash >> 24) & 15U) == 0) {
            at.system = std::min(limit_, at.modified + static_cast<int64_t>((hash >> 32) % kDay));
        }
        if (at.deleted != 0) {
            at.modified = std::min(at.modified, at.deleted);
            at.system = at.deleted;
        }
    }
    int64_t limit() const { return limit_; }

private:
    double moment(double block) const {
        const double part = block / blocks_;
        return static_cast<double>(first_) + span_ * part * (1.5 - 0.5 * part);
    }
    int64_t rows_, first_, limit_;
    uint64_t salt_;
    double span_, blocks_;
    int shift_;
    std::array<int64_t, 50> mass_updates_{};
};

struct Company {
    uint32_t first, second, third;
    int64_t layer;  ///< how often all names were used up before
    uint64_t h;
};

struct Person {
    uint64_t h;
    uint32_t first, last, city, title;
    Company company;
};

struct AccountRow : Facts {
    Company company;
    uint32_t city, industry;
    int64_t employees;
};
struct ContactRow : Facts {
    Person person;
    int64_t account;  ///< -1: none
};
struct LeadRow : Facts {
    Person person;
    uint32_t industry, status;
    bool converted;
    int64_t contact, account, opportunity;  ///< of the conversion; -1: none
    int64_t converted_day;
};
struct OpportunityRow : Facts {
    int64_t account;
    int64_t contact;  ///< the contact it was converted with; -1: none
    uint32_t stage;
    int64_t amount;  ///< hundredths; kNull: none
    int64_t close_day, stage_changed;
};
struct RoleRow : Facts {
    int64_t opportunity, contact, nth;
};

inline constexpr int kContactsPerAccount[] = {7, 5, 4, 3, 2, 1, 1, 1};
inline constexpr int kRolesPerOpportunity[] = {1, 0, 1, 2, 1, 3, 0, 1, 2, 1};
inline constexpr int kMembersPerCampaign[] = {9, 4, 14, 2, 6, 20, 1, 8};
/// Their sum is kHistoriesPerOpportunity a piece, so that each opportunity has one row at least.
inline constexpr int kHistorySteps[] = {1, 2, 3, 4, 5, 3, 2, 4};

constexpr auto make_stage_texts(std::string_view words::Stage::*member) {
    std::array<std::string_view, std::size(words::kStages)> texts{};
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = words::kStages[i].*member;
    return texts;
}
inline constexpr auto kStageNames = make_stage_texts(&words::Stage::name);
inline constexpr auto kForecasts = make_stage_texts(&words::Stage::forecast);
inline constexpr auto kForecastNames = make_stage_texts(&words::Stage::forecast_name);
inline constexpr uint32_t kWon = 8;
inline constexpr uint32_t kLost = 9;
inline constexpr uint32_t kOpenStages = 8;

}  // namespace generate

struct Generator::Impl {
    using int64_t = std::int64_t;
    using uint64_t = std::uint64_t;

    Impl(const Schema& schema, const OrgOptions& options, Timestamp start_at, std::map<std::string, int64_t> counts);

    uint64_t hash(uint64_t salt, int64_t row) const {
        return mix64(seed ^ mix64(salt * 0x100000001b3ULL + static_cast<uint64_t>(row)));
    }

    generate::Company company(uint64_t number) const {
        constexpr uint64_t names =
            std::size(words::kCompanyFirst) * std::size(words::kCompanySecond) * std::size(words::kCompanyThird);
        // A prime that divides no count of words: neighbours differ, nothing repeats before all names were used.
        const uint64_t at = (number * 1000003 + seed % names) % names;
        return {static_cast<uint32_t>(at % std::size(words::kCompanyFirst)),
                static_cast<uint32_t>(at / std::size(words::kCompanyFirst) % std::size(words::kCompanySecond)),
                static_cast<uint32_t>(at / std::size(words::kCompanyFirst) / std::size(words::kCompanySecond)),
                static_cast<int64_t>(number / names), mix64(seed ^ number)};
    }
    generate::Person person(uint64_t hash, uint64_t company_number, uint32_t city) const {
        const uint64_t h = mix64(hash ^ 0x70657273);
        return {h,
                static_cast<uint32_t>((h & 0xffffU) % std::size(words::kFirst)),
                static_cast<uint32_t>((h >> 16 & 0xffffU) % std::size(words::kLast)),
                city,
                static_cast<uint32_t>((h >> 32 & 0xffffU) % std::size(words::kTitles)),
                company(company_number)};
    }
    static uint32_t city(uint64_t hash) {
        return static_cast<uint32_t>(mix64(hash ^ 0x63) % std::size(words::kCities));
    }
    static int64_t owner(uint64_t hash) {
        const uint64_t h = mix64(hash ^ 0x6f776e);
        if ((h & 31U) == 0) return kFirstSalesRow + kActiveSales + static_cast<int64_t>((h >> 8) % kInactiveSales);
        return kFirstSalesRow + static_cast<int64_t>((h >> 8) % kActiveSales);
    }
    /// When a row with this hash was thrown away, if it was old enough; 0 when it was not. One in `one_in`.
    int64_t deletion(uint64_t hash, int64_t created, uint64_t one_in) const {
        if ((hash >> 40) % one_in != 0 || created >= oldest_deletion()) return 0;
        return start - 3600 - static_cast<int64_t>((mix64(hash) >> 8) % ((generate::kBinDays - 1) * generate::kDay));
    }
    int64_t oldest_deletion() const { return start - generate::kBinDays * generate::kDay; }

    struct Core {
        uint64_t h;
        int64_t account;  ///< -1: none
        int64_t contact;  ///< of a converted opportunity
        int64_t created, deleted;
    };
    Core account_core(int64_t row) const {
        Core core{hash(1, row), -1, -1, 0, 0};
        core.created = account_calendar.created(row, core.h);
        core.deleted = deletion(core.h, core.created, 384);
        return core;
    }
    /// A row made after its account and, when that was thrown away, before and with it.
    void follow_account(Core& core) const {
        if (core.account < 0) return;
        const Core owner_account = account_core(core.account);
        core.created = std::max(core.created, owner_account.created);
        if (owner_account.deleted == 0) return;
        core.created = std::min(core.created, oldest_deletion() - 1);
        core.deleted = owner_account.deleted;
    }
    Core contact_core(int64_t row) const {
        Core core{hash(2, row), -1, -1, 0, 0};
        if (accounts > 0 && core.h % 50 != 0) core.account = contacts_of.parent_of(row);
        core.created = contact_calendar.created(row, core.h);
        follow_account(core);
        if (core.deleted == 0) core.deleted = deletion(core.h, core.created, 256);
        return core;
    }

    // Conversions: each twentieth of the leads holds one that was converted, into the contact (and the opportunity) at
    // the same relative place.
    int64_t conversions() const { return contacts >= leads / 20 ? leads / 20 : 0; }
    static int64_t converted_place(int64_t nth, int64_t of, int64_t rows) { return (2 * nth + 1) * rows / (2 * of); }
    bool converts_to_opportunity(int64_t nth) const {
        return opportunities >= 2 * conversions() && (hash(9, nth) >> 40) % 10 < 7;
    }
    std::optional<Core> converted_contact(int64_t nth) const {
        const Core core = contact_core(converted_place(nth, conversions(), contacts));
        if (core.account < 0 || core.deleted != 0) return std::nullopt;
        return core;
    }

    Core opportunity_core(int64_t row) const {
        Core core{hash(4, row), -1, -1, 0, 0};
        core.created = opportunity_calendar.created(row, core.h);
        const int64_t all = conversions();
        if (all > 0 && opportunities >= 2 * all) {
            const int64_t nth = row * all / opportunities;
            if (nth < all && converted_place(nth, all, opportunities) == row && converts_to_opportunity(nth)) {
                if (const std::optional<Core> converted = converted_contact(nth)) {
                    core.account = converted->account;
                    core.contact = converted_place(nth, all, contacts);
                    core.created = std::max(core.created, converted->created);
                }
            }
        }
        if (core.account < 0 && accounts > 0 && core.h % 100 != 0) {
            // Any account that existed by then, so that old ones have more.
            const int64_t known = std::max<int64_t>((row + 1) * accounts / opportunities, 1);
            core.account = static_cast<int64_t>((core.h >> 8) % static_cast<uint64_t>(known));
        }
        follow_account(core);
        if (core.deleted == 0) core.deleted = deletion(core.h, core.created, 256);
        return core;
    }
    int64_t role_contact(int64_t opportunity_row, const Core& core, int64_t nth) const {
        if (nth == 0 && core.contact >= 0) return core.contact;
        const uint64_t h = mix64(core.h + static_cast<uint64_t>(nth) * 77);
        if (core.account >= 0 && h % 20 != 0) {
            const int64_t known = contacts_of.children(core.account);
            if (known > 0) {
                const auto shift = static_cast<int64_t>(core.h >> 33);
                return contacts_of.first_child(core.account) + (shift + nth) % known;
            }
        }
        const int64_t known = std::max<int64_t>((opportunity_row + 1) * contacts / opportunities, 1);
        return static_cast<int64_t>((h >> 8) % static_cast<uint64_t>(std::min(known, contacts)));
    }
    bool has_primary(const Core& core) const { return (core.h >> 20) % 10 < 8; }

    /// A lead; when it was converted, `account` and `contact` say into what.
    struct LeadCore : Core {
        int64_t nth;         ///< number of its conversion; -1: not converted
        int64_t not_before;  ///< when it was converted
    };
    LeadCore lead_core(int64_t row) const {
        LeadCore core{{hash(3, row), -1, -1, 0, 0}, -1, 0};
        core.created = lead_calendar.created(row, core.h);
        const int64_t nth = row / 20;
        if (nth < conversions() && row % 20 == static_cast<int64_t>(hash(8, nth) % 20)) {
            if (const std::optional<Core> contact_made = converted_contact(nth)) {
                core.nth = nth;
                core.contact = converted_place(nth, conversions(), contacts);
                core.account = contact_made->account;
                core.created = std::min(core.created, contact_made->created);
                core.not_before = contact_made->created;
                return core;
            }
        }
        core.deleted = deletion(core.h, core.created, 200);
        return core;
    }
    /// When campaign `nth` begins; they are spread over the org's three years.
    int64_t campaign_start(int64_t nth) const { return start - campaign_age_days(nth, campaigns) * generate::kDay; }

    int64_t start, today;
    uint64_t seed;
    int64_t accounts, contacts, leads, opportunities, roles, tasks, events, campaigns, members, histories;
    int account, contact, lead, opportunity, role, user, group, campaign, record_type, task, event, member, history;
    generate::Calendar account_calendar, contact_calendar, lead_calendar, opportunity_calendar, role_calendar,
        task_calendar, event_calendar, member_calendar;
    generate::Split contacts_of, roles_of, members_of, histories_of;
    std::array<int64_t, 4096> amounts{};
    std::vector<std::string> currencies;  ///< none: the org has one currency
};

namespace generate {

using G = Generator::Impl;

inline void begin(Facts& facts, const G& g, int64_t row, const G::Core& core) {
    facts.g = &g;
    facts.row = row;
    facts.h = core.h;
    facts.h2 = mix64(core.h ^ 0x32);
    facts.at.created = core.created;
    facts.at.deleted = core.deleted;
}

// --- Writing fields.

using Kind = Column::Kind;

template <class Row, class F>
Column number(std::string_view name, Kind kind, F) {
    return {.name = name, .kind = kind, .number = [](const Facts& facts) -> int64_t {
                return F{}(static_cast<const Row&>(facts));
            }};
}

template <class Row, class F>
Column text(std::string_view name, F) {
    return {.name = name, .kind = Kind::Text, .text = [](const Facts& facts, char* at) {
                return F{}(static_cast<const Row&>(facts), at);
            }};
}

template <class Row, class F>
Column choice(std::string_view name, std::span<const std::string_view> choices, F f) {
    Column column = number<Row>(name, Kind::Choice, f);
    column.choices = choices.data();
    return column;
}

/// 0-based index of one of `count` picks, from bits of `hash` at `shift`.
inline int64_t pick(uint64_t hash, int shift, std::size_t count) {
    return static_cast<int64_t>((hash >> shift) % count);
}

constexpr int64_t kNull = Column::kNull;

/// Three in five are in the first currency.
inline char* put_currency(const G& g, uint64_t hash, char* at) {
    if (g.currencies.empty()) return at;
    const uint64_t h = mix64(hash ^ 0x637572);
    const std::size_t others = g.currencies.size() - 1;
    return put(at, g.currencies[others == 0 || h % 5 < 3 ? 0 : 1 + (h >> 8) % others]);
}
/// The currency of the account that a row belongs to; `otherwise` a hash of its own.
inline char* put_currency_of(const G& g, int64_t account, uint64_t otherwise, char* at) {
    return put_currency(g, account >= 0 ? g.hash(1, account) : otherwise, at);
}

template <class Row>
std::vector<Column> system_columns() {
    return {
        {.name = "Id", .kind = Kind::OwnId},
        number<Row>("IsDeleted", Kind::Bool, [](const Row& r) -> int64_t { return r.at.deleted != 0 ? 1 : 0; }),
        number<Row>("CreatedDate", Kind::DateTime, [](const Row& r) { return r.at.created; }),
        number<Row>("CreatedById", Kind::Row,
                    [](const Row& r) { return pack(r.g->user, (r.h >> 60) < 6 ? kIntegrationUserRow : r.owner); }),
        number<Row>("LastModifiedDate", Kind::DateTime, [](const Row& r) { return r.at.modified; }),
        number<Row>("LastModifiedById", Kind::Row,
                    [](const Row& r) { return pack(r.g->user, (r.h2 >> 60) < 4 ? kAdminRow : r.owner); }),
        number<Row>("SystemModstamp", Kind::DateTime, [](const Row& r) { return r.at.system; }),
    };
}

template <class Row>
Column owner_column() {
    return number<Row>("OwnerId", Kind::Row, [](const Row& r) { return pack(r.g->user, r.owner); });
}

template <class Row>
Column last_activity_column() {
    return number<Row>("LastActivityDate", Kind::Date,
                       [](const Row& r) { return r.h2 % 10 < 6 ? r.at.modified / kDay : kNull; });
}

inline void append(std::vector<Column>& to, std::vector<Column> more) {
    to.insert(to.end(), more.begin(), more.end());
}

/// How the rows of one object are computed.
struct Shape {
    int G::*index;
    int64_t G::*rows;
    std::vector<Column> columns;
    /// Constructs the row's facts at `at`.
    void (*fill)(const G& g, int64_t row, std::byte* at);
};

std::vector<Shape> people_shapes();      ///< Account, Contact, Lead
std::vector<Shape> deal_shapes();        ///< Opportunity, its roles, its history
std::vector<Shape> engagement_shapes();  ///< Task, Event, CampaignMember

/// Writes the name of the company, as its account and its leads bear it.
char* put_company(char* at, const Company& company);
void fill_opportunity(const G& g, int64_t row, OpportunityRow& out);

/// Constructs a Row at `at` with `fill`.
template <class Row, void (*fill)(const G&, int64_t, Row&)>
void construct(const G& g, int64_t row, std::byte* at) {
    static_assert(sizeof(Row) <= Generator::Place::size);
    fill(g, row, *new (at) Row);
}

}  // namespace generate

}  // namespace lockstep::sandbox

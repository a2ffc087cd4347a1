#include "sandbox/generate.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <new>
#include <span>

#include "base/check.h"
#include "base/sfid.h"
#include "sandbox/generate_words.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;
using std::uint64_t;

constexpr int64_t kDay = 86400;
constexpr int64_t kBinDays = 14;  // generated rows of the bin were deleted in the last so many days
constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kCheckDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

uint64_t hash_text(std::string_view text) {
    uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return mix64(hash);
}

/// Uniform in [0, 1) from 16 bits of `hash` at `shift`.
double fraction(uint64_t hash, int shift) {
    return static_cast<double>((hash >> shift) & 0xffffU) / 65536.0;
}

char* put(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
}

char* put_two_digits(char* at, uint64_t value) {
    *at++ = static_cast<char>('0' + value / 10 % 10);
    *at++ = static_cast<char>('0' + value % 10);
    return at;
}

/// Two base-62 digits and which of them are upper-case letters.
struct DigitPair {
    char text[2];
    std::uint8_t upper;
};
constexpr std::size_t kBase = 62;
constexpr std::array<DigitPair, kBase * kBase> make_digit_pairs() {
    std::array<DigitPair, kBase * kBase> pairs{};
    const auto is_upper = [](std::size_t digit) { return digit >= 10 && digit < 36; };
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const std::size_t high = i / kBase;
        const std::size_t low = i % kBase;
        pairs[i] = {{kDigits[high], kDigits[low]},
                    static_cast<std::uint8_t>((is_upper(high) ? 1U : 0U) | (is_upper(low) ? 2U : 0U))};
    }
    return pairs;
}
constexpr auto kDigitPairs = make_digit_pairs();
constexpr uint64_t kBase2 = kBase * kBase;
constexpr uint64_t kBase5 = kBase2 * kBase2 * kBase;

bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

}  // namespace

RowIds::RowIds(std::string_view key_prefix, std::string_view object, uint64_t seed) {
    check(key_prefix.size() == 3, "an object with rows has a key prefix of three characters");
    const uint64_t pod = mix64(seed ^ 0x706f64);
    head_ = std::string(key_prefix) + kDigits[pod % kBase] + kDigits[pod / kBase % kBase] + '0';
    unsigned upper = 0;
    for (unsigned i = 0; i < 5; ++i) upper |= (is_upper(head_[i]) ? 1U : 0U) << i;
    head_check_ = kCheckDigits[upper];
    base_ = kBase5 + mix64(seed ^ hash_text(object)) % (kBase5 * 40);
}

char* RowIds::write(char* at, int64_t row) const {
    const uint64_t number = base_ + static_cast<uint64_t>(row);
    const uint64_t high = number / kBase5;
    const uint64_t low = number % kBase5;
    const DigitPair& a = kDigitPairs[high / kBase2 % kBase2];
    const DigitPair& b = kDigitPairs[high % kBase2];
    const DigitPair& c = kDigitPairs[low / (kBase2 * kBase)];
    const DigitPair& d = kDigitPairs[low / kBase % kBase2];
    const char e = kDigits[low % kBase];
    std::memcpy(at, head_.data(), 6);
    std::memcpy(at + 6, a.text, 2);
    std::memcpy(at + 8, b.text, 2);
    std::memcpy(at + 10, c.text, 2);
    std::memcpy(at + 12, d.text, 2);
    at[14] = e;
    at[15] = head_check_;
    at[16] = kCheckDigits[static_cast<unsigned>(a.upper) << 1U | static_cast<unsigned>(b.upper) << 3U];
    at[17] =
        kCheckDigits[static_cast<unsigned>(c.upper) | static_cast<unsigned>(d.upper) << 2U | (is_upper(e) ? 16U : 0U)];
    return at + 18;
}

std::string RowIds::of(int64_t row) const {
    std::array<char, 18> text{};
    write(text.data(), row);
    return {text.data(), text.size()};
}

std::optional<int64_t> RowIds::row_of(std::string_view id18) const {
    if (id18.size() != 18 || id18.substr(0, 6) != head_) return std::nullopt;
    uint64_t number = 0;
    for (const char c : id18.substr(6, 9)) {
        const std::size_t digit = kDigits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        number = number * kBase + digit;
    }
    if (number < base_) return std::nullopt;
    const auto row = static_cast<int64_t>(number - base_);
    if (of(row) != id18) return std::nullopt;
    return row;
}

std::map<std::string, int64_t> generated_counts(const OrgOptions& options) {
    const int64_t people = std::max<int64_t>(options.people, 0);
    std::map<std::string, int64_t> counts{{"Lead", people - people / 2},
                                          {"Contact", people / 2},
                                          {"Account", people / 6},
                                          {"Opportunity", people / 2},
                                          {"OpportunityContactRole", people / 2 * 6 / 5}};
    for (auto& [object, count] : counts) {
        const auto given = options.counts.find(object);
        if (given != options.counts.end()) count = std::max<int64_t>(given->second, 0);
    }
    // A role needs both its ends.
    if (counts["Contact"] == 0 || counts["Opportunity"] == 0) counts["OpportunityContactRole"] = 0;
    return counts;
}

struct Facts {
    const Generator::Impl* g;
    int64_t row;
    uint64_t h;  ///< independent bits of this row; h2 more of them
    uint64_t h2;
    Stamps at;
    int64_t owner;  ///< row of User
};

namespace {

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

double normal_quantile(double p) {
    // Rational approximation of Peter Acklam, central region and tails; exact to 1e-9.
    constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                            1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
    constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                            6.680131188771972e+01, -1.328068155288572e+01};
    constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                            -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
    constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
    const double low = 0.02425;
    if (p < low || p > 1 - low) {
        const double q = std::sqrt(-2 * std::log(std::min(p, 1 - p)));
        const double x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
                         ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
        return p < low ? x : -x;
    }
    const double q = p - 0.5;
    const double r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
           (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

constexpr int kContactsPerAccount[] = {7, 5, 4, 3, 2, 1, 1, 1};
constexpr int kRolesPerOpportunity[] = {1, 0, 1, 2, 1, 3, 0, 1, 2, 1};

constexpr auto make_stage_texts(std::string_view words::Stage::*member) {
    std::array<std::string_view, std::size(words::kStages)> texts{};
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = words::kStages[i].*member;
    return texts;
}
constexpr auto kStageNames = make_stage_texts(&words::Stage::name);
constexpr auto kForecasts = make_stage_texts(&words::Stage::forecast);
constexpr auto kForecastNames = make_stage_texts(&words::Stage::forecast_name);
constexpr uint32_t kWon = 8;
constexpr uint32_t kLost = 9;
constexpr uint32_t kOpenStages = 8;

}  // namespace

struct Generator::Impl {
    Impl(const Schema& schema, const OrgOptions& options, Timestamp start_at)
        : Impl(schema, options, start_at, generated_counts(options)) {}
    Impl(const Schema& schema, const OrgOptions& options, Timestamp start_at, std::map<std::string, int64_t> counts)
        : start(start_at.seconds),
          today(start / kDay),
          seed(mix64(options.seed ^ 0x6c6f636b73746570ULL)),
          accounts(counts["Account"]),
          contacts(counts["Contact"]),
          leads(counts["Lead"]),
          opportunities(counts["Opportunity"]),
          roles(counts["OpportunityContactRole"]),
          has_campaigns(options.people > 0 || !options.counts.empty()),
          account(schema.find("Account")),
          contact(schema.find("Contact")),
          lead(schema.find("Lead")),
          opportunity(schema.find("Opportunity")),
          role(schema.find("OpportunityContactRole")),
          user(schema.find("User")),
          group(schema.find("Group")),
          campaign(schema.find("Campaign")),
          record_type(schema.find("RecordType")),
          account_calendar(std::max<int64_t>(accounts, 1), start, mix64(seed ^ 1)),
          contact_calendar(std::max<int64_t>(contacts, 1), start, mix64(seed ^ 2)),
          lead_calendar(std::max<int64_t>(leads, 1), start, mix64(seed ^ 3)),
          opportunity_calendar(std::max<int64_t>(opportunities, 1), start, mix64(seed ^ 4)),
          role_calendar(std::max<int64_t>(roles, 1), start, mix64(seed ^ 5)),
          contacts_of(std::max<int64_t>(accounts, 1), std::max<int64_t>(contacts, 1), kContactsPerAccount),
          roles_of(std::max<int64_t>(opportunities, 1), std::max<int64_t>(roles, 1), kRolesPerOpportunity) {
        for (std::size_t i = 0; i < amounts.size(); ++i) {
            const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(amounts.size());
            const double amount = 18000 * std::exp(1.1 * normal_quantile(p));
            const double unit = amount < 10000 ? 50 : 500;
            amounts[i] = static_cast<int64_t>(std::max(std::round(amount / unit), 1.0) * unit) * 100;
        }
    }

    uint64_t hash(uint64_t salt, int64_t row) const {
        return mix64(seed ^ mix64(salt * 0x100000001b3ULL + static_cast<uint64_t>(row)));
    }

    Company company(uint64_t number) const {
        constexpr uint64_t names =
            std::size(words::kCompanyFirst) * std::size(words::kCompanySecond) * std::size(words::kCompanyThird);
        // A prime that divides no count of words: neighbours differ, nothing repeats before all names were used.
        const uint64_t at = (number * 1000003 + seed % names) % names;
        return {static_cast<uint32_t>(at % std::size(words::kCompanyFirst)),
                static_cast<uint32_t>(at / std::size(words::kCompanyFirst) % std::size(words::kCompanySecond)),
                static_cast<uint32_t>(at / std::size(words::kCompanyFirst) / std::size(words::kCompanySecond)),
                static_cast<int64_t>(number / names), mix64(seed ^ number)};
    }
    Person person(uint64_t hash, uint64_t company_number, uint32_t city) const {
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
        return start - 3600 - static_cast<int64_t>((mix64(hash) >> 8) % ((kBinDays - 1) * kDay));
    }
    int64_t oldest_deletion() const { return start - kBinDays * kDay; }

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

    int64_t start, today;
    uint64_t seed;
    int64_t accounts, contacts, leads, opportunities, roles;
    bool has_campaigns;
    int account, contact, lead, opportunity, role, user, group, campaign, record_type;
    Calendar account_calendar, contact_calendar, lead_calendar, opportunity_calendar, role_calendar;
    Split contacts_of, roles_of;
    std::array<int64_t, 4096> amounts{};
};

namespace {

using G = Generator::Impl;

void begin(Facts& facts, const G& g, int64_t row, const G::Core& core) {
    facts.g = &g;
    facts.row = row;
    facts.h = core.h;
    facts.h2 = mix64(core.h ^ 0x32);
    facts.at.created = core.created;
    facts.at.deleted = core.deleted;
}

void fill_account(const G& g, int64_t row, AccountRow& out) {
    const G::Core core = g.account_core(row);
    begin(out, g, row, core);
    g.account_calendar.finish(out.at, row, out.h2, 0);
    out.owner = G::owner(out.h);
    out.company = g.company(static_cast<uint64_t>(row));
    out.city = G::city(out.h);
    out.industry = static_cast<uint32_t>((out.h >> 16) % std::size(words::kIndustries));
    // From a handful to tens of thousands, most of them small.
    const double size = fraction(out.h, 20);
    out.employees = 3 + static_cast<int64_t>(size * size * size * size * 40000);
}

Person contact_person(const G& g, int64_t row, const G::Core& core) {
    const auto company = static_cast<uint64_t>(core.account >= 0 ? core.account : g.accounts + g.leads + row);
    const uint64_t place = core.account >= 0 && core.h % 8 != 0 ? g.hash(1, core.account) : core.h;
    return g.person(core.h, company, G::city(place));
}

void fill_contact(const G& g, int64_t row, ContactRow& out) {
    const G::Core core = g.contact_core(row);
    begin(out, g, row, core);
    g.contact_calendar.finish(out.at, row, out.h2, 0);
    out.account = core.account;
    out.owner = G::owner(core.account >= 0 ? g.hash(1, core.account) : out.h);
    out.person = contact_person(g, row, core);
}

void fill_lead(const G& g, int64_t row, LeadRow& out) {
    G::Core core{g.hash(3, row), -1, -1, 0, 0};
    core.created = g.lead_calendar.created(row, core.h);
    out.converted = false;
    out.contact = out.account = out.opportunity = -1;
    int64_t not_before = 0;
    bool named = false;
    const int64_t nth = row / 20;
    if (nth < g.conversions() && row % 20 == static_cast<int64_t>(g.hash(8, nth) % 20)) {
        if (const std::optional<G::Core> contact = g.converted_contact(nth)) {
            out.converted = named = true;
            out.contact = G::converted_place(nth, g.conversions(), g.contacts);
            out.account = contact->account;
            out.person = contact_person(g, out.contact, *contact);
            core.created = std::min(core.created, contact->created);
            not_before = contact->created;
            if (g.converts_to_opportunity(nth)) {
                const int64_t deal = G::converted_place(nth, g.conversions(), g.opportunities);
                const G::Core deal_core = g.opportunity_core(deal);
                if (deal_core.deleted == 0 && deal_core.contact == out.contact) out.opportunity = deal;
                not_before = std::max(not_before, deal_core.created);
            }
        }
    } else if (core.h % 32 == 0 && g.contacts > 0) {
        const auto twin = static_cast<int64_t>((core.h >> 8) % static_cast<uint64_t>(g.contacts));
        const G::Core contact = g.contact_core(twin);
        named = contact.account >= 0 && contact.deleted == 0;
        if (named) out.person = contact_person(g, twin, contact);
    }
    if (!out.converted) core.deleted = g.deletion(core.h, core.created, 200);
    begin(out, g, row, core);
    if (!named) {
        const bool known_company = g.accounts > 0 && out.h2 % 10 < 3;
        const int64_t company =
            known_company ? static_cast<int64_t>((out.h >> 8) % static_cast<uint64_t>(g.accounts)) : g.accounts + row;
        out.person = g.person(out.h, static_cast<uint64_t>(company), G::city(out.h));
    }
    out.converted_day = not_before / kDay;
    g.lead_calendar.finish(out.at, row, out.h2, not_before);
    out.owner = G::owner(out.h);
    out.industry = static_cast<uint32_t>((out.h >> 16) % std::size(words::kIndustries));
    const uint64_t state = (out.h2 >> 40) % 100;
    out.status = out.converted ? 2 : state < 45 ? 0 : state < 80 ? 1 : 3;
}

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

char* put_company(char* at, const Company& company) {
    const std::string_view first = words::kCompanyFirst[company.first].text;
    const std::string_view second = words::kCompanySecond[company.second].text;
    const bool quoted = (company.h >> 8) % 512 == 0;
    at = put(put(put(at, quoted ? "The \"" : ""), first), " ");
    at = put(put(put(at, second), quoted ? "\" " : " "), words::kCompanyThird[company.third].text);
    if (company.layer > 0) {
        const auto place = static_cast<std::size_t>(company.layer) % std::size(words::kCities);
        at = put(put(at, " "), words::kCities[place].city);
    }
    return put(at, words::kLegalForms[company.h & 15U]);
}

char* put_domain(char* at, const Company& company) {
    at = put(at, words::kCompanyFirst[company.first].ascii);
    at = put(at, words::kCompanySecond[company.second].ascii);
    at = put(at, words::kCompanyThird[company.third].ascii);
    if (company.layer > 0) at = write_int(at, company.layer);
    return put(at, ".example");
}

char* put_email(char* at, const Person& person) {
    const std::string_view first = words::kFirst[person.first].ascii;
    const bool initial = (person.h >> 48) % 10 < 3;
    at = put(at, initial ? first.substr(0, 1) : first);
    if (!initial) at = put(at, ".");
    at = put(put(at, words::kLast[person.last].ascii), "@");
    return put_domain(at, person.company);
}

/// Numbers of the range that is kept free for fiction.
char* put_phone(char* at, uint32_t city, uint64_t hash) {
    at = put_two_digits(put(put(at, words::kCities[city].dial), "555-01"), hash % 100);
    if ((hash >> 8) % 4 == 0) at = put_two_digits(put(at, " x2"), (hash >> 16) % 100);
    return at;
}

char* put_street(char* at, uint64_t hash) {
    at = put(write_int(at, 1 + static_cast<int64_t>(hash % 990)), " ");
    at = put(at, words::kStreets[(hash >> 16) % std::size(words::kStreets)]);
    return put(at, words::kUnits[(hash >> 24) % std::size(words::kUnits)]);
}

char* put_postal_code(char* at, uint32_t city, uint64_t hash) {
    at = put(at, words::kCities[city].postal_start);
    const std::string_view country = words::kCities[city].country;
    constexpr std::string_view letters = "ABDEFGHJLNPQRSTUWXYZ";
    if (country == "Canada" || country == "United Kingdom") {
        *at++ = static_cast<char>('0' + hash % 10);
        *at++ = letters[(hash >> 8) % letters.size()];
        *at++ =
            country == "Canada" ? static_cast<char>('0' + (hash >> 16) % 10) : letters[(hash >> 16) % letters.size()];
        return at;
    }
    return put_two_digits(at, hash % 100);
}

int64_t near(int degrees, uint64_t hash) {
    return degrees + static_cast<int64_t>(hash % 80000) - 40000;
}

/// 0-based index of one of `count` picks, from bits of `hash` at `shift`.
int64_t pick(uint64_t hash, int shift, std::size_t count) {
    return static_cast<int64_t>((hash >> shift) % count);
}

constexpr int64_t kNull = Column::kNull;

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

void append(std::vector<Column>& to, std::vector<Column> more) {
    to.insert(to.end(), more.begin(), more.end());
}

std::vector<Column> account_columns() {
    using R = AccountRow;
    std::vector<Column> columns = system_columns<R>();
    append(
        columns,
        {
            text<R>("Name", [](const R& r, char* at) { return put_company(at, r.company); }),
            choice<R>("Type", words::kAccountTypes,
                      [](const R& r) { return pick(r.h, 4, std::size(words::kAccountTypes)); }),
            number<R>("RecordTypeId", Kind::Row,
                      [](const R& r) {
                          const int64_t type = pick(r.h, 4, std::size(words::kAccountTypes));
                          return pack(r.g->record_type, type >= 5 ? 1 : 0);
                      }),
            number<R>("ParentId", Kind::Row,
                      [](const R& r) {
                          if (r.row == 0 || r.h2 % 33 != 0) return kNull;
                          const auto parent = static_cast<int64_t>((r.h2 >> 8) % static_cast<uint64_t>(r.row));
                          return r.g->account_core(parent).deleted == 0 ? pack(r.g->account, parent) : kNull;
                      }),
            text<R>("BillingStreet", [](const R& r, char* at) { return put_street(at, r.h2 >> 4); }),
            text<R>("BillingCity", [](const R& r, char* at) { return put(at, words::kCities[r.city].city); }),
            text<R>("BillingState", [](const R& r, char* at) { return put(at, words::kCities[r.city].state); }),
            text<R>("BillingPostalCode", [](const R& r, char* at) { return put_postal_code(at, r.city, r.h2 >> 12); }),
            text<R>("BillingCountry", [](const R& r, char* at) { return put(at, words::kCities[r.city].country); }),
            number<R>(
                "BillingLatitude", Kind::Millionths,
                [](const R& r) { return r.h % 2 == 0 ? near(words::kCities[r.city].latitude, r.h2 >> 8) : kNull; }),
            number<R>(
                "BillingLongitude", Kind::Millionths,
                [](const R& r) { return r.h % 2 == 0 ? near(words::kCities[r.city].longitude, r.h2 >> 16) : kNull; }),
            text<R>("ShippingStreet",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put_street(at, r.h2 >> 4) : at; }),
            text<R>("ShippingCity",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].city) : at; }),
            text<R>("ShippingState",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].state) : at; }),
            text<R>("ShippingPostalCode",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put_postal_code(at, r.city, r.h2 >> 12) : at; }),
            text<R>("ShippingCountry",
                    [](const R& r, char* at) { return r.h % 5 < 3 ? put(at, words::kCities[r.city].country) : at; }),
            text<R>("Phone", [](const R& r, char* at) { return put_phone(at, r.city, r.h >> 12); }),
            text<R>("Fax", [](const R& r,
                              char* at) { return r.h % 10 == 1 ? put_phone(at, r.city, (r.h >> 13) & ~0x300U) : at; }),
            text<R>("AccountNumber", [](const R& r, char* at) { return write_int(put(at, "A-"), 100000 + r.row); }),
            text<R>("Website", [](const R& r, char* at) { return put_domain(put(at, "https://www."), r.company); }),
            text<R>("Sic", [](const R& r, char* at) { return write_int(at, 1000 + int64_t{r.industry} * 271 % 9000); }),
            choice<R>("SicDesc", words::kSicDescriptions,
                      [](const R& r) { return static_cast<int64_t>(r.industry % std::size(words::kSicDescriptions)); }),
            choice<R>("Industry", words::kIndustries, [](const R& r) { return int64_t{r.industry}; }),
            number<R>("AnnualRevenue", Kind::Hundredths,
                      [](const R& r) {
                          const auto each = static_cast<int64_t>(90 + (r.h2 >> 20) % 160);  // thousands per head
                          return r.employees * each * 1000 * 100;
                      }),
            number<R>("NumberOfEmployees", Kind::Int, [](const R& r) { return r.employees; }),
            choice<R>("Ownership", words::kOwnerships,
                      [](const R& r) { return pick(r.h, 24, std::size(words::kOwnerships)); }),
            choice<R>("Rating", words::kRatings,
                      [](const R& r) { return r.h % 3 != 0 ? pick(r.h, 28, std::size(words::kRatings)) : kNull; }),
            choice<R>(
                "Description", words::kAccountNotes,
                [](const R& r) { return r.h2 % 2 == 0 ? pick(r.h, 32, std::size(words::kAccountNotes)) : kNull; }),
            text<R>("YearStarted",
                    [](const R& r, char* at) { return write_int(at, 1900 + static_cast<int64_t>(r.h2 % 124)); }),
            choice<R>("AccountSource", words::kLeadSources,
                      [](const R& r) { return pick(r.h, 36, std::size(words::kLeadSources)); }),
            choice<R>("CleanStatus", words::kCleanStatuses,
                      [](const R& r) { return pick(r.h2, 36, std::size(words::kCleanStatuses)); }),
            owner_column<R>(),
            last_activity_column<R>(),
        });
    return columns;
}

template <class R>
std::vector<Column> person_columns(std::string_view street, std::string_view city, std::string_view state,
                                   std::string_view postal_code, std::string_view country, std::string_view latitude,
                                   std::string_view longitude) {
    return {
        text<R>("LastName", [](const R& r, char* at) { return put(at, words::kLast[r.person.last].text); }),
        text<R>("FirstName", [](const R& r, char* at) { return put(at, words::kFirst[r.person.first].text); }),
        text<R>("Name",
                [](const R& r, char* at) {
                    at = put(put(at, words::kFirst[r.person.first].text), " ");
                    return put(at, words::kLast[r.person.last].text);
                }),
        choice<R>("Salutation", words::kSalutations,
                  [](const R& r) {
                      if (r.person.h % 3 == 0) return kNull;
                      return 2 * pick(r.person.h, 40, std::size(words::kSalutations) / 2) + r.person.first % 2;
                  }),
        choice<R>("Title", words::kTitles, [](const R& r) { return int64_t{r.person.title}; }),
        text<R>("Email",
                [](const R& r, char* at) { return (r.person.h >> 52) % 25 != 0 ? put_email(at, r.person) : at; }),
        text<R>("Phone", [](const R& r, char* at) { return put_phone(at, r.person.city, r.person.h >> 8); }),
        text<R>("MobilePhone",
                [](const R& r, char* at) {
                    return r.h % 5 < 3 ? put_phone(at, r.person.city, (r.person.h >> 20) & ~0x300U) : at;
                }),
        choice<R>("LeadSource", words::kLeadSources,
                  [](const R& r) { return pick(r.h, 30, std::size(words::kLeadSources)); }),
        text<R>(street, [](const R& r, char* at) { return put_street(at, r.person.h >> 4); }),
        text<R>(city, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].city); }),
        text<R>(state, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].state); }),
        text<R>(postal_code, [](const R& r, char* at) { return put_postal_code(at, r.person.city, r.person.h >> 12); }),
        text<R>(country, [](const R& r, char* at) { return put(at, words::kCities[r.person.city].country); }),
        number<R>(
            latitude, Kind::Millionths,
            [](const R& r) { return r.h % 3 == 0 ? near(words::kCities[r.person.city].latitude, r.h2 >> 8) : kNull; }),
        number<R>(longitude, Kind::Millionths,
                  [](const R& r) {
                      return r.h % 3 == 0 ? near(words::kCities[r.person.city].longitude, r.h2 >> 16) : kNull;
                  }),
        choice<R>("Description", words::kAccountNotes,
                  [](const R& r) { return r.h2 % 7 == 0 ? pick(r.h, 34, std::size(words::kAccountNotes)) : kNull; }),
        choice<R>("CleanStatus", words::kCleanStatuses,
                  [](const R& r) { return pick(r.h2, 36, std::size(words::kCleanStatuses)); }),
        last_activity_column<R>(),
    };
}

std::vector<Column> contact_columns() {
    using R = ContactRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, person_columns<R>("MailingStreet", "MailingCity", "MailingState", "MailingPostalCode",
                                      "MailingCountry", "MailingLatitude", "MailingLongitude"));
    append(columns,
           {
               number<R>("AccountId", Kind::Row,
                         [](const R& r) { return r.account >= 0 ? pack(r.g->account, r.account) : kNull; }),
               choice<R>("Department", words::kDepartments, [](const R& r) { return int64_t{r.person.title}; }),
               number<R>(
                   "Birthdate", Kind::Date,
                   [](const R& r) { return r.h2 % 5 == 0 ? static_cast<int64_t>((r.h >> 8) % 13000) - 3000 : kNull; }),
               number<R>("ReportsToId", Kind::Row,
                         [](const R& r) {
                             if (r.account < 0 || r.h2 % 4 != 0) return kNull;
                             const int64_t first = r.g->contacts_of.first_child(r.account);
                             const G::Core boss = r.g->contact_core(first);
                             const bool is_boss = first != r.row && boss.deleted == 0 && boss.account == r.account;
                             return is_boss ? pack(r.g->contact, first) : kNull;
                         }),
               choice<R>("EmailBouncedReason", words::kBounceReasons,
                         [](const R& r) {
                             return r.h2 % 100 == 7 && (r.person.h >> 52) % 25 != 0 ? pick(r.h, 40, 2) : kNull;
                         }),
               number<R>(
                   "EmailBouncedDate", Kind::DateTime,
                   [](const R& r) { return r.h2 % 100 == 7 && (r.person.h >> 52) % 25 != 0 ? r.at.modified : kNull; }),
               number<R>("IsEmailBounced", Kind::Bool,
                         [](const R& r) -> int64_t { return r.h2 % 100 == 7 && (r.person.h >> 52) % 25 != 0 ? 1 : 0; }),
               owner_column<R>(),
           });
    return columns;
}

std::vector<Column> lead_columns() {
    using R = LeadRow;
    std::vector<Column> columns = system_columns<R>();
    append(columns, person_columns<R>("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude"));
    append(
        columns,
        {
            text<R>("Company", [](const R& r, char* at) { return put_company(at, r.person.company); }),
            text<R>("Website",
                    [](const R& r, char* at) {
                        return r.h % 5 < 3 ? put_domain(put(at, "https://www."), r.person.company) : at;
                    }),
            choice<R>("Status", words::kLeadStatuses, [](const R& r) { return int64_t{r.status}; }),
            choice<R>("Industry", words::kIndustries,
                      [](const R& r) { return r.h % 4 != 0 ? int64_t{r.industry} : kNull; }),
            choice<R>("Rating", words::kRatings,
                      [](const R& r) { return r.h % 3 == 0 ? pick(r.h, 28, std::size(words::kRatings)) : kNull; }),
            number<R>("AnnualRevenue", Kind::Hundredths,
                      [](const R& r) {
                          return r.h % 2 == 0 ? static_cast<int64_t>(1 + (r.h2 >> 20) % 2000) * 50000 * 100 : kNull;
                      }),
            number<R>("NumberOfEmployees", Kind::Int,
                      [](const R& r) { return r.h % 2 == 0 ? static_cast<int64_t>(1 + (r.h2 >> 24) % 5000) : kNull; }),
            number<R>("OwnerId", Kind::Row,
                      [](const R& r) {
                          // A tenth waits in a queue for somebody to take it.
                          if (r.status == 0 && (r.h2 >> 8) % 5 == 0) return pack(r.g->group, pick(r.h2, 12, kQueues));
                          return pack(r.g->user, r.owner);
                      }),
            number<R>("IsConverted", Kind::Bool, [](const R& r) -> int64_t { return r.converted ? 1 : 0; }),
            number<R>("ConvertedDate", Kind::Date, [](const R& r) { return r.converted ? r.converted_day : kNull; }),
            number<R>("ConvertedAccountId", Kind::Row,
                      [](const R& r) { return r.converted ? pack(r.g->account, r.account) : kNull; }),
            number<R>("ConvertedContactId", Kind::Row,
                      [](const R& r) { return r.converted ? pack(r.g->contact, r.contact) : kNull; }),
            number<R>("ConvertedOpportunityId", Kind::Row,
                      [](const R& r) { return r.opportunity >= 0 ? pack(r.g->opportunity, r.opportunity) : kNull; }),
            number<R>("IsUnreadByOwner", Kind::Bool,
                      [](const R& r) -> int64_t { return r.status == 0 && r.h2 % 2 == 0 ? 1 : 0; }),
        });
    return columns;
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
                      [](const R& r) {
                          if (r.amount == kNull) return kNull;
                          return (r.amount * words::kStages[r.stage].probability + 50) / 100;
                      }),
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
                          if (!r.g->has_campaigns || r.h2 % 20 >= 7) return kNull;
                          return pack(r.g->campaign, pick(r.h2, 24, kCampaigns));
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

struct Shape {
    const char* object;
    int G::*index;
    int64_t G::*rows;
    std::vector<Column> columns;
};
const std::vector<Shape>& shapes() {
    static const std::vector<Shape> all = {
        {"Account", &G::account, &G::accounts, account_columns()},
        {"Contact", &G::contact, &G::contacts, contact_columns()},
        {"Lead", &G::lead, &G::leads, lead_columns()},
        {"Opportunity", &G::opportunity, &G::opportunities, opportunity_columns()},
        {"OpportunityContactRole", &G::role, &G::roles, role_columns()},
    };
    return all;
}

}  // namespace

Generator::Generator(const Schema& schema, const OrgOptions& options, Timestamp start)
    : impl_(std::make_unique<Impl>(schema, options, start)) {
    static std::atomic<uint64_t> serials{0};
    serial_ = ++serials;
}
Generator::~Generator() = default;

int64_t Generator::rows(int object) const {
    for (const Shape& shape : shapes()) {
        if (impl_.get()->*shape.index == object) return impl_.get()->*shape.rows;
    }
    return 0;
}

const Column* Generator::column(int object, std::string_view field) const {
    for (const Shape& shape : shapes()) {
        if (impl_.get()->*shape.index != object) continue;
        for (const Column& column : shape.columns) {
            if (column.name == field) return &column;
        }
    }
    return nullptr;
}

Stamps Generator::stamps(int object, int64_t row) const {
    Place place;
    fill(object, row, place);
    return place.facts().at;
}

const Stamps& Generator::Place::stamps() const {
    return facts().at;
}

void Generator::fill(int object, int64_t row, Place& place) const {
    static_assert(sizeof(LeadRow) <= sizeof(place.bytes_) && sizeof(OpportunityRow) <= sizeof(place.bytes_));
    const Impl& g = *impl_;
    if (object == g.opportunity) {
        fill_opportunity(g, row, *new (place.bytes_) OpportunityRow);
    } else if (object == g.role) {
        fill_role(g, row, *new (place.bytes_) RoleRow);
    } else if (object == g.contact) {
        fill_contact(g, row, *new (place.bytes_) ContactRow);
    } else if (object == g.lead) {
        fill_lead(g, row, *new (place.bytes_) LeadRow);
    } else {
        check(object == g.account, "rows of this object are not generated");
        fill_account(g, row, *new (place.bytes_) AccountRow);
    }
}

}  // namespace lockstep::sandbox

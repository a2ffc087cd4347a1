#include "sandbox/generate.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/sfid.h"
#include "sandbox/generate_data.h"

namespace lockstep::sandbox {

namespace {

using std::int64_t;
using std::uint64_t;

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kCheckDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

uint64_t hash_text(std::string_view text) {
    uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return mix64(hash);
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
    const bool populated = people > 0 || !options.counts.empty();
    std::map<std::string, int64_t> counts{{"Lead", people - people / 2},
                                          {"Contact", people / 2},
                                          {"Account", people / 6},
                                          {"Opportunity", people / 2},
                                          {"OpportunityContactRole", people / 2 * 6 / 5},
                                          {"Task", people * 3 / 2},
                                          {"Event", people / 4},
                                          {"Campaign", populated ? kCampaigns + people / 5000 : 0},
                                          {"CampaignMember", people * 6 / 5}};
    for (auto& [object, count] : counts) {
        const auto given = options.counts.find(object);
        if (given != options.counts.end()) count = std::max<int64_t>(given->second, 0);
    }
    // A role needs both its ends, a task somebody to be about, and nobody is in a campaign twice.
    if (counts["Contact"] == 0 || counts["Opportunity"] == 0) counts["OpportunityContactRole"] = 0;
    const int64_t somebody = counts["Lead"] + counts["Contact"];
    if (somebody == 0) counts["Task"] = counts["Event"] = 0;
    counts["CampaignMember"] = std::min(counts["CampaignMember"], counts["Campaign"] * somebody / 3);
    counts["OpportunityHistory"] = counts["Opportunity"] * kHistoriesPerOpportunity;
    return counts;
}

int64_t campaign_age_days(int64_t nth, int64_t campaigns) {
    return (campaigns - nth) * 1056 / std::max<int64_t>(campaigns, 1);
}

namespace {

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

}  // namespace

Generator::Impl::Impl(const Schema& schema, const OrgOptions& options, Timestamp start_at,
                      std::map<std::string, int64_t> counts)
    : start(start_at.seconds),
      today(start / generate::kDay),
      seed(mix64(options.seed ^ 0x6c6f636b73746570ULL)),
      accounts(counts["Account"]),
      contacts(counts["Contact"]),
      leads(counts["Lead"]),
      opportunities(counts["Opportunity"]),
      roles(counts["OpportunityContactRole"]),
      tasks(counts["Task"]),
      events(counts["Event"]),
      campaigns(counts["Campaign"]),
      members(counts["CampaignMember"]),
      histories(counts["OpportunityHistory"]),
      account(schema.find("Account")),
      contact(schema.find("Contact")),
      lead(schema.find("Lead")),
      opportunity(schema.find("Opportunity")),
      role(schema.find("OpportunityContactRole")),
      user(schema.find("User")),
      group(schema.find("Group")),
      campaign(schema.find("Campaign")),
      record_type(schema.find("RecordType")),
      task(schema.find("Task")),
      event(schema.find("Event")),
      member(schema.find("CampaignMember")),
      history(schema.find("OpportunityHistory")),
      account_calendar(std::max<int64_t>(accounts, 1), start, mix64(seed ^ 1)),
      contact_calendar(std::max<int64_t>(contacts, 1), start, mix64(seed ^ 2)),
      lead_calendar(std::max<int64_t>(leads, 1), start, mix64(seed ^ 3)),
      opportunity_calendar(std::max<int64_t>(opportunities, 1), start, mix64(seed ^ 4)),
      role_calendar(std::max<int64_t>(roles, 1), start, mix64(seed ^ 5)),
      task_calendar(std::max<int64_t>(tasks, 1), start, mix64(seed ^ 6)),
      event_calendar(std::max<int64_t>(events, 1), start, mix64(seed ^ 7)),
      member_calendar(std::max<int64_t>(members, 1), start, mix64(seed ^ 10)),
      contacts_of(std::max<int64_t>(accounts, 1), std::max<int64_t>(contacts, 1), generate::kContactsPerAccount),
      roles_of(std::max<int64_t>(opportunities, 1), std::max<int64_t>(roles, 1), generate::kRolesPerOpportunity),
      members_of(std::max<int64_t>(campaigns, 1), std::max<int64_t>(members, 1), generate::kMembersPerCampaign),
      histories_of(std::max<int64_t>(opportunities, 1), std::max<int64_t>(histories, 1), generate::kHistorySteps) {
    for (std::size_t i = 0; i < amounts.size(); ++i) {
        const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(amounts.size());
        const double amount = 18000 * std::exp(1.1 * normal_quantile(p));
        const double unit = amount < 10000 ? 50 : 500;
        amounts[i] = static_cast<int64_t>(std::max(std::round(amount / unit), 1.0) * unit) * 100;
    }
}

namespace {

using generate::Shape;

const std::vector<Shape>& shapes() {
    static const std::vector<Shape> all = [] {
        std::vector<Shape> made;
        for (std::vector<Shape> some :
             {generate::people_shapes(), generate::deal_shapes(), generate::engagement_shapes()}) {
            for (Shape& shape : some) made.push_back(std::move(shape));
        }
        return made;
    }();
    return all;
}

}  // namespace

Generator::Generator(const Schema& schema, const OrgOptions& options, Timestamp start)
    : impl_(std::make_unique<Impl>(schema, options, start, generated_counts(options))),
      shape_of_(static_cast<std::size_t>(schema.size()), nullptr) {
    static std::atomic<uint64_t> serials{0};
    serial_ = ++serials;
    for (const Shape& shape : shapes()) shape_of_[static_cast<std::size_t>(impl_.get()->*shape.index)] = &shape;
}
Generator::~Generator() = default;

const Shape* Generator::shape(int object) const {
    const auto at = static_cast<std::size_t>(object);
    return at < shape_of_.size() ? shape_of_[at] : nullptr;
}

void Generator::set_currencies(std::vector<std::string> codes) {
    impl_->currencies = std::move(codes);
}

int64_t Generator::rows(int object) const {
    const Shape* made = shape(object);
    return made == nullptr ? 0 : impl_.get()->*made->rows;
}

const Column* Generator::column(int object, std::string_view field) const {
    const Shape* made = shape(object);
    if (made == nullptr) return nullptr;
    const auto found = std::find_if(made->columns.begin(), made->columns.end(),
                                    [&](const Column& column) { return column.name == field; });
    return found == made->columns.end() ? nullptr : &*found;
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
    const Shape* made = shape(object);
    check(made != nullptr, "rows of this object are not generated");
    made->fill(*impl_, row, place.bytes_);
}

}  // namespace lockstep::sandbox

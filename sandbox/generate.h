#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "sandbox/org.h"
#include "sandbox/schema.h"
#include "sandbox/values.h"

namespace lockstep::sandbox {

/// An object's ids: key prefix, two characters of the seed's "instance", "0", and nine base-62 digits that count rows
/// up from a number of the seed. Ascending rows have ascending ids.
class RowIds {
public:
    RowIds(std::string_view key_prefix, std::string_view object, std::uint64_t seed);
    /// Writes the 18 characters; returns their end.
    char* write(char* at, std::int64_t row) const;
    std::string of(std::int64_t row) const;
    /// The row that would have this id; nothing when it belongs to another object or instance. May lie beyond the rows
    /// that exist.
    std::optional<std::int64_t> row_of(std::string_view id18) const;

private:
    std::string head_;  ///< the first six characters
    char head_check_;   ///< the check character of the first five
    std::uint64_t base_;
};

/// How many rows an org of `people` people has; each can be overridden by OrgOptions::counts.
///
///   Lead, Contact            half of the people each
///   Account                  people / 6, three contacts each on average, from one to seven
///   Opportunity              one per contact
///   OpportunityContactRole   1.2 per opportunity: 0 to 3 each, two in ten have none
///   OpportunityHistory       three per opportunity: 1 to 5 each, the last of them its present state; not overridden
///   Task, Event              1.5 and 0.25 per person: two in five about a lead, the rest about opportunities, their
///                            contacts, and accounts
///   Campaign                 24, and one more for each 5000 people
///   CampaignMember           1.2 per person; a campaign has from a sixteenth to 2.5 times the average, nobody is in
///                            one twice
///
/// What is believable about them: companies' people share their mail domain; 5% of the leads are converted and point to
/// a contact of the same name, its account and, mostly, an opportunity of that account; 3% more have the name and
/// address of a contact (duplicates); roles point to contacts of the opportunity's account but for 5%; stages follow
/// from the age of the deal and carry OpportunityStage's probabilities; amounts are log-normal around 18,000; rows are
/// created over the three years before `start`, ever faster, a quarter of them in bulk loads of 200 a second; an eighth
/// was touched by mass updates after its last edit; some 0.5% lie in the recycle bin, deleted in the last 14 days.
std::map<std::string, std::int64_t> generated_counts(const OrgOptions& options);

/// Days from the beginning of campaign `nth` of `campaigns` to the org's start.
std::int64_t campaign_age_days(std::int64_t nth, std::int64_t campaigns);
constexpr std::int64_t kHistoriesPerOpportunity = 3;

class Generator;
namespace generate {
struct Shape;
}

/// Facts of one row that its fields are written from. Opaque; made by Generator::fill.
struct Facts;
struct Stamps {
    std::int64_t created, modified, system;
    std::int64_t deleted;  ///< 0: not deleted
};

/// What one field of a generated row holds, and how to get it.
struct Column {
    enum class Kind {
        Text,    ///< `text`
        Choice,  ///< `number` is an index into `choices`
        Bool,    ///< `number` is 0 or 1
        Int,
        Hundredths,  ///< `number` is a hundredfold of the double
        Millionths,  ///< `number` is a millionfold of the double
        Date,
        DateTime,
        Row,  ///< `number` is a packed reference
        OwnId,
    };
    static constexpr std::int64_t kNull = INT64_MIN;

    std::string_view name;
    Kind kind = Kind::Text;
    /// The number, or kNull.
    std::int64_t (*number)(const Facts&) = nullptr;
    /// Writes at most kTextMax bytes and returns their end; `at` itself for null.
    char* (*text)(const Facts&, char* at) = nullptr;
    const std::string_view* choices = nullptr;
    std::string_view choice(std::int64_t index) const { return choices[static_cast<std::size_t>(index)]; }
};
constexpr std::size_t kTextMax = 1024;

/// A reference to a row, in one number: object and row.
constexpr std::int64_t pack(int object, std::int64_t row) {
    return (std::int64_t{object} << 48) | row;
}
constexpr int packed_object(std::int64_t reference) {
    return static_cast<int>(reference >> 48);
}
constexpr std::int64_t packed_row(std::int64_t reference) {
    return reference & ((std::int64_t{1} << 48) - 1);
}

/// Computes rows of the objects that `generated_counts` names (Campaign apart) from (seed, object, row).
///
/// Immutable after construction, so that threads may share it. Cost: 0.1 to 0.3 microseconds for the facts of a row,
/// some 10 to 30 ns for each field written from them.
class Generator {
public:
    Generator(const Schema& schema, const OrgOptions& options, Timestamp start);
    ~Generator();

    /// Rows of `object` that are computed; 0 for objects that are not.
    std::int64_t rows(int object) const;
    /// The column that fills a field; null when generated rows hold nothing there.
    const Column* column(int object, std::string_view field) const;

    /// The codes that CurrencyIsoCode of generated rows draws from; the first is the most frequent one. None until
    /// then: the field is null. Not while others read.
    void set_currencies(std::vector<std::string> codes);

    Stamps stamps(int object, std::int64_t row) const;

    /// Room for the facts of one row of any object.
    class Place {
    public:
        static constexpr std::size_t size = 448;
        const Facts& facts() const { return *reinterpret_cast<const Facts*>(bytes_); }
        const Stamps& stamps() const;

    private:
        friend class Generator;
        alignas(16) std::byte bytes_[size];
    };
    void fill(int object, std::int64_t row, Place& place) const;
    /// Differs between any two generators of the process.
    std::uint64_t serial() const { return serial_; }

    struct Impl;

private:
    const generate::Shape* shape(int object) const;  ///< null: rows of this object are not computed

    std::unique_ptr<Impl> impl_;
    std::vector<const generate::Shape*> shape_of_;  ///< by object
    std::uint64_t serial_;
};

/// Rows that every org has from its first day and that are stored, not computed: the organization, users (one
/// Automated Process, the integration user in row 1, an administrator, some twenty salespeople, five inactive ones),
/// roles, profiles, queues, record types of Account, lead statuses, opportunity stages; with people also campaigns.
struct StandingRow {
    std::string object;
    Values values;
    std::int64_t created = 0;
};
std::vector<StandingRow> standing_rows(const OrgOptions& options, Timestamp start, const Schema& schema);
constexpr std::int64_t kIntegrationUserRow = 1;
constexpr std::int64_t kAdminRow = 2;
constexpr std::int64_t kFirstSalesRow = 3;  ///< owners of records: these,
constexpr std::int64_t kActiveSales = 19;
constexpr std::int64_t kInactiveSales = 5;  ///< and, seldom, those after them
constexpr std::int64_t kQueues = 3;
constexpr std::int64_t kCampaigns = 24;  ///< of a small org

}  // namespace lockstep::sandbox

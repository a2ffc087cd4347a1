#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/soql_compiled.h"

namespace lockstep::sandbox::soql {

/// Rows of one object in an order: a list, or, for many rows in ascending order, one bit for each row of the object.
class RowSet {
public:
    RowSet() = default;
    /// Rows may be added in ascending order; `rows` is how many the object has.
    explicit RowSet(std::int64_t rows) : rows_(rows) {}
    explicit RowSet(std::vector<std::int64_t> in_order) : list_(std::move(in_order)) {}

    void add(std::int64_t row) {
        if (!bits_.empty()) {
            bits_[row / 64] |= std::uint64_t{1} << (row % 64);
            ++in_bits_;
            return;
        }
        list_.push_back(row);
        // Past one row in 64 the bits are smaller than the list.
        if (list_.size() > 4096 && static_cast<std::int64_t>(list_.size()) > rows_ / 64) to_bits();
    }
    /// After the last add.
    void finish();

    std::int64_t size() const { return bits_.empty() ? static_cast<std::int64_t>(list_.size()) : in_bits_; }
    /// Calls visit(row) for the rows at [from, from+count).
    template <class Visit>
    void each(std::int64_t from, std::int64_t count, Visit visit) const {
        const auto end = std::min(size(), from + std::max<std::int64_t>(count, 0));
        if (bits_.empty()) {
            for (auto at = std::max<std::int64_t>(from, 0); at < end; ++at) visit(list_[at]);
            return;
        }
        const auto block =
            std::upper_bound(before_block_.begin(), before_block_.end(), from) - before_block_.begin() - 1;
        auto at = before_block_[block];
        for (auto word = static_cast<std::size_t>(block) * block_words; at < end && word < bits_.size(); ++word) {
            for (auto rest = bits_[word]; rest && at < end; rest &= rest - 1, ++at) {
                if (at >= from) visit(static_cast<std::int64_t>(word) * 64 + __builtin_ctzll(rest));
            }
        }
    }

private:
    static constexpr std::size_t block_words = 64;
    void to_bits();

    std::int64_t rows_ = 0;
    std::vector<std::int64_t> list_;
    std::vector<std::uint64_t> bits_;
    std::int64_t in_bits_ = 0;
    std::vector<std::int64_t> before_block_;  ///< rows before each block of words
};

/// Runs one compiled statement. Lives for one call, under the read lock.
class Runner {
public:
    /// Sub-selects of IN run here. Both arguments must outlive the runner.
    static Result<Runner> start(const CompiledQuery& query, const Org& org, const TooLate& too_late);

    /// The rows in their order, after OFFSET and LIMIT. `among`: only these (ascending) can match.
    Result<RowSet> rows(std::optional<std::vector<std::int64_t>> among = std::nullopt) const;
    Result<std::int64_t> count() const;
    /// One row of cells for each group, keys first, after HAVING, ORDER BY, OFFSET and LIMIT.
    Result<std::vector<std::vector<Cell>>> groups() const;
    /// Whether the query may show the row at all: not deleted (unless it wants those), not awaiting its late commit.
    static bool shows(const CompiledQuery& query, const Org& org, std::int64_t row);
    /// "Index" or "TableScan", and the rows it will look at; for explain.
    struct Road {
        bool indexed = false;
        std::int64_t rows = 0;
        std::vector<std::string> fields;
    };
    Road road() const;

private:
    using Keys = std::vector<std::uint64_t>;  ///< sorted; a record is its object and row in one number
    struct Access {
        std::optional<std::vector<std::int64_t>> list;  ///< ascending
        std::int64_t low = 0, high = 0;                 ///< without a list: rows in [low, high)
    };
    enum class Rank { Rows, Equal, Reference, Stamp, None };

    Runner(const CompiledQuery& query, const Org& org, const TooLate& too_late)
        : query_(query), org_(org), too_late_(too_late) {}

    bool holds(const Test& test, Spot spot) const;
    bool matches(std::int64_t row) const;

    Access access() const;
    Rank rank(const Predicate& predicate) const;
    std::vector<Predicate>::const_iterator best_part(const Predicate& chain) const;
    void add_leading_fields(const Predicate& predicate, std::vector<std::string>& fields) const;
    std::vector<std::int64_t> candidates(const Predicate& predicate) const;
    std::optional<std::int64_t> stamp_floor(const Predicate& predicate) const;
    std::int64_t low_row(const Predicate& predicate) const;
    std::int64_t row_at_or_after(std::string_view id) const;
    bool is_own_field(const Test& test, std::string_view name) const;

    /// Calls visit(row) for matching rows of `access`, ascending or descending, until it answers false.
    template <class Visit>
    Result<void> scan(const Access& access, bool descending, Visit visit) const;
    Result<std::vector<std::int64_t>> sorted(const Access& access) const;
    bool sorts_by_whole_number() const;
    std::string sort_key(const std::vector<Cell>& cells) const;

    const CompiledQuery& query_;
    const Org& org_;
    const TooLate& too_late_;
    std::vector<Keys> semi_joins_;
};

}  // namespace lockstep::sandbox::soql

namespace lockstep::sandbox {

struct ResultSet::Impl {
    Query query;
    soql::RowSet rows;
    std::int64_t count = 0;                 ///< Kind::Count
    std::vector<std::vector<Cell>> groups;  ///< Kind::Aggregates
};

}  // namespace lockstep::sandbox

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/text.h"
#include "sandbox/soql_rows.h"

namespace lockstep::sandbox::soql {
namespace {

constexpr std::int64_t groups_shown_max = 2000;
// What grouping may keep in memory at once; real orgs stop much earlier.
constexpr std::size_t groups_max = 200'000;
constexpr std::size_t distinct_values_max = 30'000'000;
constexpr std::int64_t rows_between_clock_looks = 4096;
// Indexed values in one list beyond which a scan is cheaper.
constexpr std::size_t indexed_values_max = 200;
constexpr std::size_t indexed_semi_join_max = 2000;
// How far back before the org's start Org::rows_modified_since is cheap.
constexpr std::int64_t stamp_reach_seconds = 15LL * 86'400;

Error timeout() {
    return Error{.kind = Kind::Rejected,
                 .what = "Your query request was running for too long.",
                 .hint = "narrow the condition, or ask for fewer rows",
                 .code = "QUERY_TIMEOUT"};
}

std::optional<double> number_in(const Cell& cell) {
    if (const auto* number = std::get_if<double>(&cell)) return *number;
    if (const auto* whole = std::get_if<std::int64_t>(&cell)) return static_cast<double>(*whole);
    return std::nullopt;
}

// ---- keys for sorting and grouping ----

void append_big_endian(std::string& out, std::uint64_t bits) {
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift & 0xFF);
}
std::uint64_t ordered_bits(std::int64_t number) {
    return static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63);
}
std::uint64_t ordered_bits(double number) {
    std::uint64_t bits = 0;
    if (number == 0) number = 0;  // one zero, not two
    std::memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | (std::uint64_t{1} << 63);
}

/// Bytes whose order is the order of the cells: text without regard to case, ids exactly.
void append_sort_bytes(std::string& out, Type type, const Cell& cell, bool exact) {
    if (const auto* truth = std::get_if<bool>(&cell)) {
        out += *truth ? '\1' : '\0';
    } else if (const auto* number = std::get_if<double>(&cell)) {
        append_big_endian(out, ordered_bits(*number));
    } else if (const auto* whole = std::get_if<std::int64_t>(&cell)) {
        // A column of numbers may hold both kinds.
        append_big_endian(out, is_fractional(type) ? ordered_bits(static_cast<double>(*whole)) : ordered_bits(*whole));
    } else if (const auto* text = std::get_if<std::string>(&cell)) {
        out += exact || type == Type::Id || type == Type::Reference ? *text : fold(*text);
        out += '\0';
    }
}

void append_sort_key(std::string& out, const SortKey& key, Type type, bool exact, const Cell& cell) {
    if (is_null(cell)) {
        out += key.nulls_first ? '\0' : '\2';
        return;
    }
    out += '\1';
    const auto from = out.size();
    append_sort_bytes(out, type, cell, exact);
    if (key.descending) {
        for (auto i = from; i < out.size(); ++i) out[i] = static_cast<char>(~out[i]);
    }
}

void append_group_key(std::string& out, const Cell& cell) {
    out += static_cast<char>('0' + cell.index());
    if (const auto* text = std::get_if<std::string>(&cell)) {
        append_big_endian(out, text->size());
        out += *text;
    } else {
        append_sort_bytes(out, Type::String, cell, true);
    }
}

std::uint64_t hash_of(const Cell& cell) {
    std::string key;
    append_group_key(key, cell);
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return mix64(hash);
}

/// Distinct values as 64-bit hashes: two of ten million values collide once in some 400,000 runs.
class DistinctCount {
public:
    /// False: too many to keep.
    bool add(const Cell& cell) {
        hashes_.push_back(hash_of(cell));
        if (hashes_.size() >= compact_at_) {
            compact();
            compact_at_ = std::max<std::size_t>(1024, hashes_.size() * 2);
        }
        return hashes_.size() <= distinct_values_max;
    }
    std::int64_t count() {
        compact();
        return static_cast<std::int64_t>(hashes_.size());
    }

private:
    void compact() {
        std::sort(hashes_.begin(), hashes_.end());
        hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
    }
    std::vector<std::uint64_t> hashes_;
    std::size_t compact_at_ = 1024;
};

/// One aggregate of one group, as it grows.
class Accumulator {
public:
    bool add(const Aggregate& aggregate, const Cell& cell) {
        if (is_null(cell)) return true;
        ++count_;
        switch (aggregate.kind) {
            case Aggregate::Kind::CountDistinct:
                return distinct_.add(cell);
            case Aggregate::Kind::Sum:
            case Aggregate::Kind::Avg:
                if (const auto* whole = std::get_if<std::int64_t>(&cell)) whole_ += *whole;
                sum_ += number_in(cell).value_or(0);
                return true;
            case Aggregate::Kind::Min:
            case Aggregate::Kind::Max: {
                std::string key;
                append_sort_bytes(key, aggregate.of->type, cell, aggregate.of->case_sensitive);
                const bool better =
                    best_key_.empty() || (aggregate.kind == Aggregate::Kind::Min ? key < best_key_ : key > best_key_);
                if (better) {
                    best_key_ = std::move(key);
                    best_ = cell;
                }
                return true;
            }
            default:
                return true;
        }
    }
    Cell result(const Aggregate& aggregate) {
        switch (aggregate.kind) {
            case Aggregate::Kind::CountDistinct:
                return distinct_.count();
            case Aggregate::Kind::Sum:
                if (count_ == 0) return {};
                return aggregate.type == Type::Int ? Cell(whole_) : Cell(static_cast<double>(sum_));
            case Aggregate::Kind::Avg:
                if (count_ == 0) return {};
                return static_cast<double>(sum_ / static_cast<long double>(count_));
            case Aggregate::Kind::Min:
            case Aggregate::Kind::Max:
                return best_;
            default:
                return count_;
        }
    }
    void add_row() { ++count_; }

private:
    std::int64_t count_ = 0, whole_ = 0;
    long double sum_ = 0;  // amounts keep their cents over ten million rows
    DistinctCount distinct_;
    Cell best_;
    std::string best_key_;
};

struct Group {
    std::vector<Cell> keys;
    std::vector<Accumulator> accumulators;
};

/// Which keys each grouping set keeps: one set for GROUP BY, n+1 for ROLLUP, 2^n for CUBE.
std::vector<unsigned> grouping_sets(const CompiledQuery& query) {
    const auto keys = static_cast<unsigned>(query.group_keys.size());
    const unsigned all = (1U << keys) - 1;
    std::vector<unsigned> sets = {all};
    if (query.grouping == Statement::Grouping::Rollup) {
        for (unsigned kept = keys; kept-- > 0;) sets.push_back((1U << kept) - 1);
    } else if (query.grouping == Statement::Grouping::Cube) {
        for (unsigned set = all; set-- > 0;) sets.push_back(set);
    }
    return sets;
}

/// Whether a tree of conditions holds, each comparison decided by `decide`.
template <class Decide>
bool holds(const Predicate& predicate, const Decide& decide) {
    const auto part_holds = [&](const Predicate& part) { return holds(part, decide); };
    switch (predicate.kind) {
        case Condition::Kind::And:
            return std::all_of(predicate.parts.begin(), predicate.parts.end(), part_holds);
        case Condition::Kind::Or:
            return std::any_of(predicate.parts.begin(), predicate.parts.end(), part_holds);
        case Condition::Kind::Not:
            return !part_holds(predicate.parts.front());
        case Condition::Kind::Compare:
            return decide(predicate.test);
    }
    return false;
}

std::uint64_t key_of(Spot spot) {
    return static_cast<std::uint64_t>(spot.object) << 44 | static_cast<std::uint64_t>(spot.row);
}
std::int64_t row_in(std::uint64_t key) {
    return static_cast<std::int64_t>(key & ((std::uint64_t{1} << 44) - 1));
}

void sort_unique(std::vector<std::int64_t>& rows) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
}
std::vector<std::int64_t> merged(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
    std::vector<std::int64_t> both;
    both.reserve(a.size() + b.size());
    std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
    return both;
}

/// The `keep` smallest of the entries pushed, in order; all of them when there is no bound.
template <class Entry>
class Smallest {
public:
    explicit Smallest(std::optional<std::size_t> keep) : keep_(keep) {}
    void push(Entry entry) {
        if (!keep_) {
            entries_.push_back(std::move(entry));
        } else if (entries_.size() < *keep_) {
            entries_.push_back(std::move(entry));
            std::push_heap(entries_.begin(), entries_.end());
        } else if (*keep_ > 0 && entry < entries_.front()) {
            std::pop_heap(entries_.begin(), entries_.end());
            entries_.back() = std::move(entry);
            std::push_heap(entries_.begin(), entries_.end());
        }
    }
    std::vector<std::int64_t> rows() {
        std::sort(entries_.begin(), entries_.end());
        std::vector<std::int64_t> rows;
        rows.reserve(entries_.size());
        for (const auto& entry : entries_) rows.push_back(entry.second);
        return rows;
    }

private:
    std::optional<std::size_t> keep_;
    std::vector<Entry> entries_;
};

}  // namespace

void RowSet::to_bits() {
    bits_.resize(static_cast<std::size_t>(rows_ / 64 + 1));
    for (const auto row : list_) bits_[row / 64] |= std::uint64_t{1} << (row % 64);
    in_bits_ = static_cast<std::int64_t>(list_.size());
    list_ = {};
}

void RowSet::finish() {
    list_.shrink_to_fit();
    std::int64_t before = 0;
    for (std::size_t word = 0; word < bits_.size(); ++word) {
        if (word % block_words == 0) before_block_.push_back(before);
        before += __builtin_popcountll(bits_[word]);
    }
}

// ---- Runner ----

Result<Runner> Runner::start(const CompiledQuery& query, const Org& org, const TooLate& too_late) {
    Runner runner(query, org, too_late);
    for (const auto& join : query.semi_joins) {
        auto inner = TRY(start(*join.query, org, too_late));
        const auto rows = TRY(inner.rows());
        Keys keys;
        rows.each(0, rows.size(), [&](std::int64_t row) {
            const Spot spot{join.query->object, row};
            const auto cell = read(org, join.column, spot);
            const auto* id = std::get_if<std::string>(&cell);
            const auto target = id ? spot_of(org, *id) : std::nullopt;
            if (target) keys.push_back(key_of(*target));
        });
        std::sort(keys.begin(), keys.end());
        keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
        runner.semi_joins_.push_back(std::move(keys));
    }
    return runner;
}

bool Runner::shows(const CompiledQuery& query, const Org& org, std::int64_t row) {
    // A row that awaits its late commit reads as gone.
    const auto life = org.life(query.object, row);
    if (!org.sees(query.object, row)) return false;
    if (query.all_rows) return life != Org::Life::Gone;
    if (life != Org::Life::Live) return false;
    return query.archived_field < 0 || org.value(query.object, row, query.archived_field) != Cell(true);
}

bool Runner::matches(std::int64_t row) const {
    if (!shows(query_, org_, row)) return false;
    const Spot spot{query_.object, row};
    return !query_.where || soql::holds(*query_.where, [&](const Test& test) { return holds(test, spot); });
}

bool Runner::holds(const Test& test, Spot spot) const {
    if (test.semi_join < 0) return test.matches(read(org_, test.left, spot));
    std::optional<Spot> target = spot;
    if (!is_own_field(test, "Id")) {
        const auto cell = read(org_, test.left, spot);
        const auto* id = std::get_if<std::string>(&cell);
        target = id ? spot_of(org_, *id) : std::nullopt;
    }
    const auto& keys = semi_joins_[test.semi_join];
    const bool is_in = target && std::binary_search(keys.begin(), keys.end(), key_of(*target));
    return is_in == (test.op == Op::In);
}

bool Runner::is_own_field(const Test& test, std::string_view name) const {
    return test.left.is_plain() && !test.left.ends.empty() && test.left.name == name &&
           test.left.ends.front().object == query_.object;
}

// ---- the planner ----

Runner::Rank Runner::rank(const Predicate& predicate) const {
    switch (predicate.kind) {
        case Condition::Kind::And: {
            auto best = Rank::None;
            for (const auto& part : predicate.parts) best = std::min(best, rank(part));
            return best;
        }
        case Condition::Kind::Or: {
            auto worst = Rank::Rows;
            for (const auto& part : predicate.parts) worst = std::max(worst, rank(part));
            return worst;
        }
        case Condition::Kind::Not:
            return Rank::None;
        case Condition::Kind::Compare:
            break;
    }
    const auto& test = predicate.test;
    if (!test.left.is_plain()) return Rank::None;
    const auto& field = org_.schema().at(query_.object).fields[test.left.ends.front().field];
    const bool selects = (test.op == Op::Equal || test.op == Op::In) && !test.with_null;
    if (selects && test.sort == Test::Sort::Id) {
        const bool own = field.type == Type::Id;
        const auto values = test.semi_join < 0 ? test.texts.size() : semi_joins_[test.semi_join].size();
        if (own) return Rank::Rows;
        if (values <= (test.semi_join < 0 ? indexed_values_max : indexed_semi_join_max)) return Rank::Reference;
    }
    const bool is_key = field.id_lookup || field.external_id || field.unique || field.type == Type::Email;
    if (selects && test.sort == Test::Sort::Text && is_key && !field.calculated &&
        test.texts.size() <= indexed_values_max)
        return Rank::Equal;
    const auto floor = stamp_floor(predicate);
    if (floor && *floor >= org_.start().seconds - stamp_reach_seconds) return Rank::Stamp;
    return Rank::None;
}

std::vector<Predicate>::const_iterator Runner::best_part(const Predicate& chain) const {
    return std::min_element(chain.parts.begin(), chain.parts.end(),
                            [&](const Predicate& a, const Predicate& b) { return rank(a) < rank(b); });
}

std::vector<std::int64_t> Runner::candidates(const Predicate& predicate) const {
    const int object = query_.object;
    std::vector<std::int64_t> rows;
    if (rank(predicate) == Rank::Stamp && predicate.kind != Condition::Kind::Or)
        return org_.rows_modified_since(object, Timestamp{*stamp_floor(predicate)});
    if (predicate.kind == Condition::Kind::And) {
        return candidates(*best_part(predicate));
    }
    if (predicate.kind == Condition::Kind::Or) {
        for (const auto& part : predicate.parts) rows = merged(rows, candidates(part));
        return rows;
    }
    const auto& test = predicate.test;
    const int field = test.left.ends.front().field;
    const bool own_id = rank(predicate) == Rank::Rows;
    const auto add_record = [&](const std::string& id, std::optional<std::int64_t> row) {
        if (!own_id) {
            rows = merged(rows, org_.rows_referring(object, field, id));
        } else if (row) {
            rows.push_back(*row);
        }
    };
    if (test.semi_join >= 0) {
        for (const auto key : semi_joins_[test.semi_join]) {
            const auto target = static_cast<int>(key >> 44);
            if (own_id && target != object) continue;
            add_record(own_id ? std::string() : org_.id_of(target, row_in(key)), row_in(key));
        }
    } else if (rank(predicate) == Rank::Equal) {
        for (const auto& text : test.texts) rows = merged(rows, org_.rows_equal(object, field, text));
    } else {
        for (const auto& id : test.texts)
            add_record(id, own_id ? org_.row_of(object, id) : std::optional<std::int64_t>());
    }
    sort_unique(rows);
    return rows;
}

/// The earliest SystemModstamp a matching row can have. CreatedDate and LastModifiedDate never lie after it.
std::optional<std::int64_t> Runner::stamp_floor(const Predicate& predicate) const {
    switch (predicate.kind) {
        case Condition::Kind::And: {
            std::optional<std::int64_t> floor;
            for (const auto& part : predicate.parts) {
                const auto own = stamp_floor(part);
                if (own && (!floor || *own > *floor)) floor = own;
            }
            return floor;
        }
        case Condition::Kind::Or: {
            std::optional<std::int64_t> floor;
            for (const auto& part : predicate.parts) {
                const auto own = stamp_floor(part);
                if (!own) return std::nullopt;
                if (!floor || *own < *floor) floor = own;
            }
            return floor;
        }
        case Condition::Kind::Not:
            return std::nullopt;
        case Condition::Kind::Compare:
            break;
    }
    const auto& test = predicate.test;
    const bool is_stamp = is_own_field(test, "SystemModstamp") || is_own_field(test, "LastModifiedDate") ||
                          is_own_field(test, "CreatedDate");
    if (!is_stamp || test.with_null || test.ranges.empty()) return std::nullopt;
    switch (test.op) {
        case Op::Greater:
            return test.ranges.front().high;
        case Op::GreaterEqual:
            return test.ranges.front().low;
        case Op::Equal:
        case Op::In:
            return std::min_element(test.ranges.begin(), test.ranges.end(),
                                    [](const Range& a, const Range& b) { return a.low < b.low; })
                ->low;
        default:
            return std::nullopt;
    }
}

/// The first row a matching row can be: ids and rows have the same order.
std::int64_t Runner::low_row(const Predicate& predicate) const {
    std::int64_t low = 0;
    switch (predicate.kind) {
        case Condition::Kind::And:
            for (const auto& part : predicate.parts) low = std::max(low, low_row(part));
            return low;
        case Condition::Kind::Or:
            low = org_.rows(query_.object);
            for (const auto& part : predicate.parts) low = std::min(low, low_row(part));
            return low;
        case Condition::Kind::Not:
            return 0;
        case Condition::Kind::Compare:
            break;
    }
    const auto& test = predicate.test;
    const bool bounds = (test.op == Op::Greater || test.op == Op::GreaterEqual) && test.sort == Test::Sort::Id &&
                        !test.texts.empty() && is_own_field(test, "Id");
    return bounds ? row_at_or_after(test.texts.front()) : 0;
}

std::int64_t Runner::row_at_or_after(std::string_view id) const {
    std::int64_t low = 0;
    auto high = org_.rows(query_.object);
    while (low < high) {
        const auto middle = low + (high - low) / 2;
        if (org_.id_of(query_.object, middle) < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

Runner::Access Runner::access() const {
    Access access;
    access.high = org_.rows(query_.object);
    if (!query_.where) return access;
    if (rank(*query_.where) != Rank::None) {
        access.list = candidates(*query_.where);
    } else {
        access.low = low_row(*query_.where);
    }
    return access;
}

void Runner::add_leading_fields(const Predicate& predicate, std::vector<std::string>& fields) const {
    if (rank(predicate) == Rank::None) return;
    if (predicate.kind == Condition::Kind::Compare) {
        fields.push_back(predicate.test.left.name);
    } else if (predicate.kind == Condition::Kind::Or) {
        for (const auto& part : predicate.parts) add_leading_fields(part, fields);
    } else {
        add_leading_fields(*best_part(predicate), fields);
    }
}

Runner::Road Runner::road() const {
    Road road;
    const auto access = this->access();
    road.indexed = access.list || access.low > 0;
    if (query_.where) add_leading_fields(*query_.where, road.fields);
    road.rows = access.list ? static_cast<std::int64_t>(access.list->size()) : access.high - access.low;
    return road;
}

// ---- scanning ----

template <class Visit>
Result<void> Runner::scan(const Access& access, bool descending, Visit visit) const {
    const auto first = access.list ? 0 : access.low;
    const auto end = access.list ? static_cast<std::int64_t>(access.list->size()) : access.high;
    for (std::int64_t step = 0; step < end - first; ++step) {
        if (step % rows_between_clock_looks == rows_between_clock_looks - 1 && too_late_ && too_late_())
            return timeout();
        const auto at = descending ? end - 1 - step : first + step;
        const auto row = access.list ? (*access.list)[at] : at;
        if (matches(row) && !visit(row)) break;
    }
    return {};
}

Result<RowSet> Runner::rows(std::optional<std::vector<std::int64_t>> among) const {
    Access access;
    if (among) {
        access.list = std::move(among);
    } else {
        access = this->access();
    }
    const bool natural = query_.order.empty() ||
                         (query_.order.front().value.is_plain() && query_.order.front().value.field_type == Type::Id);
    const auto wanted = query_.limit.value_or(INT64_MAX);
    auto skip = query_.offset;
    if (!natural) {
        auto list = TRY(sorted(access));
        list.erase(list.begin(), list.begin() + std::min<std::int64_t>(skip, list.size()));
        if (static_cast<std::int64_t>(list.size()) > wanted) list.resize(static_cast<std::size_t>(wanted));
        return RowSet(std::move(list));
    }
    const bool descending = !query_.order.empty() && query_.order.front().descending;
    RowSet ascending(org_.rows(query_.object));
    std::vector<std::int64_t> downwards;
    std::int64_t found = 0;
    if (wanted > 0) {
        TRY(scan(access, descending, [&](std::int64_t row) {
            if (skip > 0) {
                --skip;
                return true;
            }
            if (descending) {
                downwards.push_back(row);
            } else {
                ascending.add(row);
            }
            return ++found != wanted;
        }));
    }
    if (descending) return RowSet(std::move(downwards));
    ascending.finish();
    return ascending;
}

Result<std::int64_t> Runner::count() const {
    std::int64_t count = 0;
    auto skip = query_.offset;
    if (query_.limit && *query_.limit == 0) return count;
    TRY(scan(access(), false, [&](std::int64_t) {
        if (skip > 0) {
            --skip;
            return true;
        }
        return ++count != query_.limit.value_or(-1);
    }));
    return count;
}

/// One key, a date or a number without fraction, ties in the order of ids: sixteen bytes a row instead of a string.
bool Runner::sorts_by_whole_number() const {
    const auto& keys = query_.order;
    const auto is_id = [](const SortKey& key) {
        return key.value.is_plain() && key.value.field_type == Type::Id && !key.descending;
    };
    const auto type = keys.front().value.type;
    const bool whole = type == Type::Date || type == Type::DateTime || type == Type::Int || type == Type::Boolean;
    return whole && (keys.size() == 1 || is_id(keys[1]));
}

Result<std::vector<std::int64_t>> Runner::sorted(const Access& access) const {
    // Sums stay far from overflow: offset has its own bound.
    const auto keep = query_.limit && *query_.limit < INT64_C(1) << 40
                          ? std::optional<std::size_t>(static_cast<std::size_t>(*query_.limit + query_.offset))
                          : std::nullopt;
    const int object = query_.object;
    if (sorts_by_whole_number()) {
        const auto& key = query_.order.front();
        const bool by_stamp = key.value.is_plain() && key.value.name == "SystemModstamp";
        Smallest<std::pair<std::uint64_t, std::int64_t>> smallest(keep);
        TRY(scan(access, false, [&](std::int64_t row) {
            const auto cell =
                by_stamp ? Cell(org_.modstamp(object, row).seconds) : read(org_, key.value, Spot{object, row});
            // Dates and whole numbers of records are far from the ends of the range, which stand for null.
            std::uint64_t bits = key.nulls_first ? 0 : UINT64_MAX;
            if (const auto* number = std::get_if<std::int64_t>(&cell)) bits = ordered_bits(*number);
            if (const auto* truth = std::get_if<bool>(&cell)) bits = ordered_bits(std::int64_t{*truth});
            if (!is_null(cell) && key.descending) bits = ~bits;
            smallest.push({bits, row});
            return true;
        }));
        return smallest.rows();
    }
    Smallest<std::pair<std::string, std::int64_t>> smallest(keep);
    TRY(scan(access, false, [&](std::int64_t row) {
        std::string bytes;
        for (const auto& key : query_.order)
            append_sort_key(bytes, key, key.value.type, key.value.case_sensitive,
                            read(org_, key.value, Spot{object, row}));
        smallest.push({std::move(bytes), row});
        return true;
    }));
    return smallest.rows();
}

// ---- grouping ----

Result<std::vector<std::vector<Cell>>> Runner::groups() const {
    const auto sets = grouping_sets(query_);
    const auto keys = query_.group_keys.size();
    std::unordered_map<std::string, std::size_t> known;
    std::vector<Group> groups;
    std::vector<unsigned> set_of_group;
    const auto new_group = [&](unsigned set, const std::vector<Cell>& cells) {
        Group group;
        for (std::size_t i = 0; i < keys; ++i) group.keys.push_back(set >> i & 1 ? cells[i] : Cell());
        group.accumulators.resize(query_.aggregates.size());
        groups.push_back(std::move(group));
        set_of_group.push_back(set);
    };
    // Without GROUP BY there is one group, even of no rows.
    if (query_.grouping == Statement::Grouping::None) new_group(0, {});
    bool fits = true;
    std::string key;
    TRY(scan(access(), false, [&](std::int64_t row) {
        const Spot spot{query_.object, row};
        std::vector<Cell> cells;
        for (const auto& group_key : query_.group_keys) cells.push_back(read(org_, group_key, spot));
        std::vector<Cell> values;
        for (const auto& aggregate : query_.aggregates)
            values.push_back(aggregate.of ? read(org_, *aggregate.of, spot) : Cell());
        for (const auto set : sets) {
            std::size_t at = 0;
            if (query_.grouping != Statement::Grouping::None) {
                key.assign(1, static_cast<char>(set));
                for (std::size_t i = 0; i < keys; ++i) {
                    if (set >> i & 1) append_group_key(key, cells[i]);
                }
                const auto [found, is_new] = known.try_emplace(key, groups.size());
                if (is_new) new_group(set, cells);
                at = found->second;
            }
            for (std::size_t i = 0; i < query_.aggregates.size(); ++i) {
                const auto& aggregate = query_.aggregates[i];
                if (!aggregate.of) {
                    groups[at].accumulators[i].add_row();
                } else {
                    fits = groups[at].accumulators[i].add(aggregate, values[i]) && fits;
                }
            }
        }
        fits = fits && groups.size() <= groups_max;
        return fits;
    }));
    if (!fits)
        return Error{.kind = Kind::Rejected,
                     .what = "Aggregate query has too many groups or distinct values",
                     .hint = "narrow the condition, or group by a field with fewer values",
                     .code = "OPERATION_TOO_LARGE"};

    std::vector<std::vector<Cell>> rows;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        auto row = std::move(groups[g].keys);
        for (std::size_t i = 0; i < query_.aggregates.size(); ++i) {
            const auto& aggregate = query_.aggregates[i];
            if (aggregate.kind == Aggregate::Kind::Grouping) {
                row.emplace_back(std::int64_t{set_of_group[g] >> aggregate.group_key & 1 ? 0 : 1});
            } else {
                row.push_back(groups[g].accumulators[i].result(aggregate));
            }
        }
        const auto holds_for_row = [&](const Test& test) { return test.matches(row[test.slot]); };
        if (!query_.having || soql::holds(*query_.having, holds_for_row)) rows.push_back(std::move(row));
    }

    // Groups come in the order of their keys unless the query says otherwise.
    std::vector<std::pair<std::string, std::size_t>> order;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::string bytes;
        for (const auto& sort_key : query_.order)
            append_sort_key(bytes, sort_key, query_.slot_type(sort_key.slot), false, rows[i][sort_key.slot]);
        for (std::size_t k = 0; k < keys; ++k)
            append_sort_key(bytes, SortKey{}, query_.group_keys[k].type, false, rows[i][k]);
        order.emplace_back(std::move(bytes), i);
    }
    std::sort(order.begin(), order.end());
    std::vector<std::vector<Cell>> shown;
    shown.reserve(order.size());
    for (const auto& entry : order) shown.push_back(std::move(rows[entry.second]));
    const auto skip = std::min<std::size_t>(static_cast<std::size_t>(query_.offset), shown.size());
    shown.erase(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(skip));
    if (query_.limit && static_cast<std::int64_t>(shown.size()) > *query_.limit)
        shown.resize(static_cast<std::size_t>(*query_.limit));
    if (static_cast<std::int64_t>(shown.size()) > groups_shown_max)
        return Error{.kind = Kind::Rejected,
                     .what =
                         "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a "
                         "single batch",
                     .code = "EXCEEDED_ID_LIMIT"};
    return shown;
}

}  // namespace lockstep::sandbox::soql

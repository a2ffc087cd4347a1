#include <algorithm>
#include <numeric>

#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/org_data.h"

/// Finding rows by what they hold, and changing them: indexes on one side, what keeps them right on the other.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

std::uint64_t text_hash(std::string_view text) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return mix64(hash);
}

/// What is compared when a field's text is looked for.
std::string key_text(const Field& field, const std::string& text) {
    return field.case_sensitive ? text : fold(text);
}
}  // namespace

// --- Finding rows.

const Table::Generated& Org::Impl::scanned(int object) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    Table::Generated& lazy = place.lazy;
    if (lazy.scanned) return lazy;
    const int64_t recent = start.seconds - kBinSeconds;
    for (int64_t row = 0; row < place.generated; ++row) {
        const Stamps at = generator->stamps(object, row);
        if (at.deleted != 0) ++lazy.dead;
        if (at.system >= recent) lazy.recent.push_back({at.system, row, at.deleted != 0});
    }
    std::sort(lazy.recent.begin(), lazy.recent.end(), [](const Table::Recent& a, const Table::Recent& b) {
        return std::tie(a.stamp, a.row) < std::tie(b.stamp, b.row);
    });
    lazy.scanned = true;
    return lazy;
}

const Table::Generated::Inverse& Org::Impl::inverse(int object, int field, int target) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    const auto [found, is_new] = place.lazy.inverse.try_emplace({field, target});
    Table::Generated::Inverse& inverse = found->second;
    if (!is_new) return inverse;
    const Column& column = *place.plans[static_cast<std::size_t>(field)].column;
    std::vector<std::uint32_t> target_of(static_cast<std::size_t>(place.generated), UINT32_MAX);
    inverse.first.assign(static_cast<std::size_t>(table(target).rows()) + 1, 0);
    Generator::Place facts;
    for (std::size_t row = 0; row < target_of.size(); ++row) {
        generator->fill(object, static_cast<int64_t>(row), facts);
        const int64_t reference = column.number(facts.facts());
        if (reference == Column::kNull || packed_object(reference) != target) continue;
        target_of[row] = static_cast<std::uint32_t>(packed_row(reference));
        ++inverse.first[target_of[row] + 1];
    }
    std::partial_sum(inverse.first.begin(), inverse.first.end(), inverse.first.begin());
    inverse.rows.resize(inverse.first.back());
    std::vector<std::uint32_t> next(inverse.first.begin(), inverse.first.end() - 1);
    for (std::size_t row = 0; row < target_of.size(); ++row) {
        if (target_of[row] != UINT32_MAX) inverse.rows[next[target_of[row]]++] = static_cast<std::uint32_t>(row);
    }
    return inverse;
}

const std::vector<std::uint64_t>& Org::Impl::text_hashes(int object, int field) const {
    const Table& place = table(object);
    const std::lock_guard guard(lazy_mutex);
    const auto [found, is_new] = place.lazy.by_text.try_emplace(field);
    std::vector<std::uint64_t>& hashes = found->second;
    if (!is_new) return hashes;
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    Generator::Place facts;
    hashes.reserve(static_cast<std::size_t>(place.generated));
    for (int64_t row = 0; row < place.generated; ++row) {
        generator->fill(object, row, facts);
        const Cell cell = generated_cell(*plan.column, plan.type, facts.facts(), object, row);
        if (is_null(cell)) continue;
        const std::uint64_t hash = text_hash(key_text(described, plain_text(plan.type, cell)));
        hashes.push_back((hash & 0xffffffff00000000ULL) | static_cast<std::uint64_t>(row));
    }
    std::sort(hashes.begin(), hashes.end());
    return hashes;
}

namespace {

void sort_unique(std::vector<int64_t>& rows) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
}

}  // namespace

std::vector<int64_t> Org::Impl::modified_since(int object, int64_t since) const {
    const Table& place = table(object);
    std::vector<int64_t> rows;
    const auto take = [&](int64_t row) {
        bool invisible = false;
        const Version* at = seen(place, row, invisible);
        if (!invisible && (at == nullptr || at->stamp >= since)) rows.push_back(row);
    };
    if (place.generated > 0 && since <= start.seconds) {
        if (since >= start.seconds - kBinSeconds) {
            const auto& recent = scanned(object).recent;
            auto from = std::lower_bound(recent.begin(), recent.end(), since,
                                         [](const Table::Recent& at, int64_t stamp) { return at.stamp < stamp; });
            for (; from != recent.end(); ++from) take(from->row);
        } else {
            for (int64_t row = 0; row < place.generated; ++row) {
                if (generator->stamps(object, row).system >= since) take(row);
            }
        }
    }
    auto from = std::lower_bound(place.by_stamp.begin(), place.by_stamp.end(), std::pair{since, int64_t{-1}});
    for (; from != place.by_stamp.end(); ++from) {
        if (from->second < place.rows() && place.latest(from->second) != nullptr) {
            bool invisible = false;
            const Version* at = seen(place, from->second, invisible);
            if (at != nullptr && at->stamp >= since) rows.push_back(from->second);
        }
    }
    sort_unique(rows);
    return rows;
}

std::vector<int64_t> Org::Impl::referring(int object, int field, int64_t target, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const std::string id = id_of_packed(target);
    std::vector<int64_t> rows;
    const auto take_if_equal = [&](int64_t row) {
        bool invisible = false;
        if (sight == Sight::Readers) seen(place, row, invisible);
        if (!invisible && read_raw(object, row, field, sight) == Cell{id}) rows.push_back(row);
    };
    if (place.generated > 0 && plan.column != nullptr && plan.column->kind == Column::Kind::Row) {
        const auto& map = inverse(object, field, packed_object(target));
        const auto at = static_cast<std::size_t>(packed_row(target));
        for (std::size_t i = at + 1 < map.first.size() ? map.first[at] : map.rows.size();
             at + 1 < map.first.size() && i < map.first[at + 1]; ++i) {
            const int64_t row = map.rows[i];
            if (place.latest(row) == nullptr) {
                rows.push_back(row);
            } else {
                take_if_equal(row);
            }
        }
    }
    const auto stored = place.by_reference.find({field, target});
    if (stored != place.by_reference.end()) {
        for (const int64_t row : stored->second) {
            if (row < place.rows() && place.latest(row) != nullptr) take_if_equal(row);
        }
    }
    sort_unique(rows);
    return rows;
}

std::vector<int64_t> Org::Impl::equal(int object, int field, std::string_view text, Sight sight) const {
    const Table& place = table(object);
    const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    const std::string wanted = key_text(described, std::string(text));
    std::vector<int64_t> rows;
    const auto take_if_equal = [&](int64_t row) {
        bool invisible = false;
        if (sight == Sight::Readers) seen(place, row, invisible);
        if (invisible) return;
        const Cell cell = read(object, row, field, sight);
        if (!is_null(cell) && key_text(described, plain_text(plan.type, cell)) == wanted) rows.push_back(row);
    };
    if (plan.source == Source::OwnId) {
        const std::optional<std::string> id = normalize_id(text);
        const std::optional<int64_t> row = id ? place.ids->row_of(*id) : std::nullopt;
        if (row && *row < place.rows()) take_if_equal(*row);
        return rows;
    }
    if (place.generated > 0 && plan.column != nullptr) {
        const auto& hashes = text_hashes(object, field);
        const std::uint64_t hash = text_hash(wanted) & 0xffffffff00000000ULL;
        for (auto at = std::lower_bound(hashes.begin(), hashes.end(), hash);
             at != hashes.end() && (*at & 0xffffffff00000000ULL) == hash; ++at) {
            take_if_equal(static_cast<int64_t>(*at & 0xffffffffULL));
        }
    }
    if (plan.indexed) {
        if (const auto index = place.by_text.find(field); index != place.by_text.end()) {
            const auto [first, last] = index->second.equal_range(wanted);
            for (auto at = first; at != last; ++at) {
                if (at->second < place.rows() && place.latest(at->second) != nullptr) take_if_equal(at->second);
            }
        }
    } else {
        for (const auto& [row, version] : place.edited) take_if_equal(row);
        for (int64_t row = place.generated; row < place.rows(); ++row) take_if_equal(row);
    }
    sort_unique(rows);
    return rows;
}

// --- Changing rows.

Version Org::Impl::copy_latest(int object, int64_t row) const {
    const Table& place = table(object);
    if (const Version* at = place.latest(row)) return at->clone();
    const Stamps at = generator->stamps(object, row);
    Version version;
    version.stamp = at.system;
    version.deleted_at = at.deleted;
    if (at.deleted != 0) version.life = Life::InBin;
    return version;
}

void Org::Impl::index_text(int object, int field) {
    Table& place = table(object);
    const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
    auto& index = place.by_text[field];
    const auto add = [&](int64_t row, const Version& version) {
        const std::optional<CellView> cell = version.cells.view(field);
        if (!cell || cell->index() == 0) return;
        index.emplace(key_text(described, plain_text(described.type, to_cell(*cell))), row);
    };
    for (const auto& [row, version] : place.edited) add(row, version);
    for (std::size_t i = 0; i < place.fresh.size(); ++i) {
        add(place.generated + static_cast<int64_t>(i), place.fresh[i]);
    }
}

void Org::Impl::index(int object, int64_t row, const Version& version, const Version* old) {
    Table& place = table(object);
    if (old == nullptr || old->stamp != version.stamp) {
        // Stamps come in order unless the clock was moved back or a log is replayed.
        const std::pair<int64_t, int64_t> stamped{version.stamp, row};
        auto place_of_stamp = place.by_stamp.end();
        if (!place.by_stamp.empty() && stamped < place.by_stamp.back()) {
            place_of_stamp = std::upper_bound(place.by_stamp.begin(), place.by_stamp.end(), stamped);
        }
        place.by_stamp.insert(place_of_stamp, stamped);
    }
    // Forgets states that nobody can see any more, once they are the larger part.
    if (place.by_stamp.size() > 2 * (place.edited.size() + place.fresh.size()) + 10'000) {
        std::erase_if(place.by_stamp, [&](const auto& at) {
            if (at.second >= place.rows()) return true;
            for (const Version* state = place.latest(at.second); state != nullptr; state = state->before.get()) {
                if (state->stamp == at.first) return false;
            }
            return true;
        });
    }
    if (version.life != Life::Live && (old == nullptr || old->deleted_at != version.deleted_at)) {
        place.any_deleted = anything_deleted = true;
        const std::pair<int64_t, int64_t> entry{version.deleted_at, row};
        place.deletions.insert(std::upper_bound(place.deletions.begin(), place.deletions.end(), entry), entry);
    }
    if (users_below && (place.ids->of(0).starts_with("005") || place.ids->of(0).starts_with("00E"))) {
        users_below.reset();  // the role hierarchy may be another now
    }
    for (const auto& [field, cell] : version.cells.all()) {
        const FieldPlan& plan = place.plans[static_cast<std::size_t>(field)];
        if (field == place.private_field && cell == Cell{true}) anything_private = true;
        const bool reference = plan.type == Type::Reference;
        if ((!reference && !plan.indexed) || is_null(cell)) continue;
        if (old != nullptr) {
            const std::optional<CellView> before = old->cells.view(field);
            if (before && *before == view(cell)) continue;
        }
        if (reference) {
            const std::optional<int64_t> target = resolve(std::get<std::string>(cell));
            if (target) place.by_reference[{field, *target}].push_back(row);
        } else {
            const Field& described = schema.at(object).fields[static_cast<std::size_t>(field)];
            place.by_text[field].emplace(key_text(described, plain_text(described.type, cell)), row);
        }
    }
}

int64_t Org::Impl::add_row(int object, Version version) {
    const int64_t delay = table(object).delay;
    return store_new(object, std::move(version), delay > 0 ? now() + delay : 0);
}

void Org::Impl::set_version(int object, int64_t row, Version version) {
    const int64_t delay = table(object).delay;
    store(object, row, std::move(version), delay > 0 ? now() + delay : 0);
}

int64_t Org::Impl::store_new(int object, Version version, int64_t visible_at) {
    Table& place = table(object);
    const int64_t row = place.rows();
    version.visible_at = visible_at;
    place.latest_visible_at = std::max(place.latest_visible_at, visible_at);
    place.live_delta += version.life == Life::Live ? 1 : 0;
    place.fresh.push_back(std::move(version));
    undo.push_back({object, row, true, std::nullopt});
    index(object, row, place.fresh.back(), nullptr);
    note_activity(object, row);
    return row;
}

void Org::Impl::store(int object, int64_t row, Version version, int64_t visible_at) {
    Table& place = table(object);
    const Version* stored = place.latest(row);
    Version old = copy_latest(object, row);
    undo.push_back({object, row, false, stored != nullptr ? std::optional(stored->clone()) : std::nullopt});
    place.live_delta += (version.life == Life::Live ? 1 : 0) - (old.life == Life::Live ? 1 : 0);
    index(object, row, version, &old);
    note_activity(object, row);
    version.visible_at = visible_at;
    version.before = nullptr;
    if (visible_at > 0) {
        place.latest_visible_at = std::max(place.latest_visible_at, visible_at);
        if (old.visible_at <= now()) old.before = nullptr;  // nobody sees past it
        version.before = std::make_unique<Version>(std::move(old));
    }
    if (row >= place.generated) {
        place.fresh[static_cast<std::size_t>(row - place.generated)] = std::move(version);
    } else {
        place.touched[static_cast<std::size_t>(row)] = true;
        place.edited[row] = std::move(version);
    }
    note_activity(object, row);  // it may be about somebody else than before
}

void Org::Impl::roll_back(std::size_t to) {
    while (undo.size() > to) {
        Undo last = std::move(undo.back());
        undo.pop_back();
        Table& place = table(last.object);
        const bool was_live = place.latest(last.row)->life == Life::Live;
        if (last.added) {
            place.fresh.pop_back();
            place.live_delta -= was_live ? 1 : 0;
            continue;
        }
        if (last.before) {
            const bool is_live_again = last.before->life == Life::Live;
            place.live_delta += (is_live_again ? 1 : 0) - (was_live ? 1 : 0);
            if (last.row >= place.generated) {
                place.fresh[static_cast<std::size_t>(last.row - place.generated)] = std::move(*last.before);
            } else {
                place.edited[last.row] = std::move(*last.before);
            }
        } else {
            place.edited.erase(last.row);
            place.touched[static_cast<std::size_t>(last.row)] = false;
            const bool is_live_again = generator->stamps(last.object, last.row).deleted == 0;
            place.live_delta += (is_live_again ? 1 : 0) - (was_live ? 1 : 0);
        }
    }
}

void Org::Impl::commit() {
    if (journal != nullptr && !undo.empty()) journal_rows();
    undo.clear();
}

}  // namespace lockstep::sandbox

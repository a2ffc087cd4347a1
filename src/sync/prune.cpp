#include <algorithm>

#include "sync/cycle.h"

namespace lockstep::sync {

namespace {

constexpr std::int64_t kDay = 86'400;
/// The setting that tells when all was last found young enough.
constexpr const char* kPrunedAt = "pruned.at";
/// A transaction keeps others waiting, and a cycle its followers; what is left over is done after the next cycle.
constexpr std::int64_t kTransactionMs = 50;
constexpr std::int64_t kPartMs = 700;
constexpr int kRowsFirst = 1'000, kRowsMin = 100, kRowsMax = 20'000;

/// Repeats `portion(transaction, rows at most)`, which tells whether there is more, each time in a transaction of its
/// own that is sized to what a transaction may take. At least one is done, so that each part of the work moves on in
/// each cycle. False: the time is up.
template <class Portion>
bool in_portions(Work& work, const Portion& portion) {
    Clock& clock = work.world.clock;
    const std::int64_t end_ms = clock.mono_ms() + kPartMs;
    int rows = kRowsFirst;
    for (bool more = true;;) {
        const std::int64_t began_ms = clock.mono_ms();
        work.write([&](store::Transaction& tx) { more = portion(tx, rows); });
        if (!more) return true;
        const std::int64_t now_ms = clock.mono_ms();
        if (now_ms >= end_ms) return false;
        const std::int64_t ms = now_ms - began_ms;
        if (ms > kTransactionMs) rows = std::max(rows / 2, kRowsMin);
        if (ms < kTransactionMs / 3) rows = std::min(rows * 2, kRowsMax);
    }
}

}  // namespace

void prune(Work& work) {
    const Timestamp now = work.world.clock.now();
    bool due = true;
    work.db.read([&](store::Connection& db) {
        const auto last = parse_timestamp(store::setting(db, kPrunedAt).value_or(""));
        // A moment in the future was written by a clock that has been set right since.
        due = !last || now >= last->plus(kDay) || now < *last;
    });
    if (!due) return;
    const Settings& settings = work.rules.settings();
    const Timestamp log_before = now.plus(-settings.log_keep_days * kDay);
    const Timestamp history_before = now.plus(-settings.history_keep_days * kDay);
    const bool collapsed = in_portions(
        work, [&](store::Transaction& tx, int rows) { return store::collapse_idle_cycles(tx, now.plus(-kDay), rows); });
    const bool forgotten = in_portions(work, [&](store::Transaction& tx, int rows) {
        return store::prune_history(tx, history_before, log_before, rows) >= rows;
    });
    const bool shortened = in_portions(
        work, [&](store::Transaction& tx, int rows) { return store::prune_log(tx, log_before, rows) == rows; });
    if (!collapsed || !forgotten || !shortened) return;
    work.write([&](store::Transaction& tx) { store::save_setting(tx, kPrunedAt, to_string(now)); });
}

}  // namespace lockstep::sync

#include "store/lease.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "store/log.h"

namespace lockstep::store {

namespace {

/// Who holds a lease, as its row says.
struct Holder {
    std::string owner, machine, started;
    std::int64_t token = 0, process = 0;
    std::optional<Timestamp> since;
};

std::string first_line(const std::string& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

/// One name for all processes that see each other's ids: this boot of this machine and, in a container, its own world
/// of processes. Host names would do neither.
std::string process_world() {
    std::array<char, 64> space{};
    const ssize_t size = readlink("/proc/self/ns/pid", space.data(), space.size());
    return first_line("/proc/sys/kernel/random/boot_id") + " " +
           std::string(space.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
}

/// When a process began, in ticks since boot; empty: not to be seen.
std::string start_of_process(std::int64_t process) {
    const std::string line = first_line("/proc/" + std::to_string(process) + "/stat");
    // The second field is the program's name in parentheses, and may hold anything.
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos) return {};
    const std::vector<std::string> fields = split(line.substr(name_end + 1), ' ');
    constexpr std::size_t start_field = 20;  // field 22 of proc(5); the blank before field 3 makes an empty one
    return fields.size() > start_field ? fields[start_field] : std::string();
}

/// True only when it is certain: the id is free, or now belongs to a process that began at another time.
bool is_dead(const Holder& holder) {
    if (holder.process <= 0 || holder.machine != process_world()) return false;
    if (kill(static_cast<pid_t>(holder.process), 0) != 0 && errno == ESRCH) return true;
    const std::string started = start_of_process(holder.process);
    return !started.empty() && started != holder.started;
}

Holder read_holder(Connection& db, std::string_view work) {
    Holder holder;
    db.query("SELECT owner, machine, started, token, process, since FROM lease WHERE work = ?",
             params(Cell::text(work)), [&](std::span<const Cell> row) {
                 holder.owner = record::to_text(row[0]);
                 holder.machine = record::to_text(row[1]);
                 holder.started = record::to_text(row[2]);
                 holder.token = row[3].as_integer();
                 if (!row[4].is_null()) holder.process = row[4].as_integer();
                 if (!row[5].is_null()) holder.since = row[5].as_timestamp();
                 return true;
             });
    return holder;
}

/// The moment `seconds` from now, as SQL: by the clock of the server, or by this machine's where the database is a file
/// that only its processes use.
std::string from_now(Transaction& tx, int seconds) {
    if (tx.db().engine() == Engine::Sqlite) return std::to_string(tx.now().plus(seconds).seconds);
    return "clock_timestamp() + interval '" + std::to_string(seconds) + " seconds'";
}

}  // namespace

Result<Lease> Lease::claim(Database& db, std::string_view work, const std::string& owner) {
    std::optional<std::int64_t> token;
    Holder holder;
    db.write([&](Transaction& tx) {
        Connection& session = tx.db();
        session.run("INSERT INTO lease (work, token, expires_at) VALUES (?, 0, ?) ON CONFLICT (work) DO NOTHING",
                    params(Cell::text(work), Cell::timestamp({})));
        holder = read_holder(session, work);
        const std::int64_t dead_token = is_dead(holder) ? holder.token : -1;
        const std::int64_t process = getpid();
        const std::string machine = process_world();
        const std::string started = start_of_process(process);
        token = session.integer("UPDATE lease SET owner = ?, token = token + 1, since = " + from_now(tx, 0) +
                                    ", expires_at = " + from_now(tx, kSeconds) +
                                    ", machine = ?, process = ?, started = ? WHERE work = ? AND (expires_at < " +
                                    from_now(tx, 0) + " OR token = ?) RETURNING token",
                                params(Cell::text(owner), Cell::text(machine), Cell::integer(process),
                                       Cell::text(started), Cell::text(work), Cell::integer(dead_token)));
        if (!token) holder = read_holder(session, work);
    });
    if (token) return Lease(std::string(work), owner, *token);
    std::string who = holder.owner.empty() ? "somebody" : holder.owner;
    if (holder.since) who += ", since " + to_string(*holder.since);
    return Error{.kind = Kind::Conflict,
                 .what = "The work \"" + std::string(work) + "\" is being done by " + who,
                 .hint = "stop that program, or wait " + std::to_string(kSeconds) + " seconds if its machine is down"};
}

bool Lease::renew(Database& db) {
    std::int64_t rows = 0;
    db.write([&](Transaction& tx) {
        rows = tx.db().run("UPDATE lease SET expires_at = " + from_now(tx, kSeconds) + " WHERE work = ? AND token = ?",
                           params(Cell::text(work_), Cell::integer(token_)));
    });
    return rows == 1;
}

void Lease::guard(Transaction& tx) const {
    // The shared lock makes a thief wait until this transaction has ended. SQLite has one writer anyway.
    const char* const lock = tx.db().engine() == Engine::Postgres ? " FOR SHARE" : "";
    const std::optional<std::int64_t> ours =
        tx.db().integer(std::string("SELECT token FROM lease WHERE work = ? AND token = ?") + lock,
                        params(Cell::text(work_), Cell::integer(token_)));
    if (ours) return;
    throw LeaseLost("The work \"" + work_ + "\" was taken over by another program",
                    "nothing of this step was saved; the other program goes on with it");
}

void Lease::release(Database& db) {
    db.write([&](Transaction& tx) {
        tx.db().run(
            "UPDATE lease SET expires_at = ?, owner = NULL, since = NULL, process = NULL WHERE work = ? AND "
            "token = ?",
            params(Cell::timestamp({}), Cell::text(work_), Cell::integer(token_)));
    });
}

std::string this_process(std::string_view command) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    return "lockstep " + std::string(command) + ", process " + std::to_string(getpid()) + " on " + host.data();
}

}  // namespace lockstep::store

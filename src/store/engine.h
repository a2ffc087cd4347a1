#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "store/database.h"

namespace lockstep::store {

// What the two engines share behind database.h. Only src/store includes it.

/// A Failure of an engine, with what the code above may do about it.
class EngineFailure : public Failure {
public:
    enum class Cause {
        Other,
        Duplicate,  ///< A unique index refused a row, or a table is there already.
        Again,      ///< The engine gave up this transaction; the same work may succeed if it is run again.
        Lost,       ///< The session is gone; nothing of its transaction was saved.
    };
    EngineFailure(Cause cause_in, const std::string& what, std::string hint_text)
        : Failure(what, std::move(hint_text)), cause(cause_in) {}
    Cause cause;
};

/// Marks a session as being in a call. A call within a call (a sink that uses the session it reads from) would work on
/// SQLite and break on PostgreSQL, so it is a Bug on both.
class InCall {
public:
    explicit InCall(bool& busy) : busy_(busy) {
        check(!busy, "a database session is used by the sink of its own query");
        busy_ = true;
    }
    ~InCall() { busy_ = false; }
    InCall(const InCall&) = delete;
    InCall& operator=(const InCall&) = delete;

private:
    bool& busy_;
};

/// The writing session and whose turn it is.
template <class Session>
struct Writer {
    std::mutex mutex;
    std::atomic<std::thread::id> holder;
    std::unique_ptr<Session> session;
};

/// The writing session, for one thread at a time. A transaction within a transaction is a Bug.
template <class Session>
class Turn {
public:
    explicit Turn(Writer<Session>& writer) : writer_(writer) {
        check(writer.holder.load() != std::this_thread::get_id(), "a transaction is begun inside a transaction");
        writer.mutex.lock();
        writer.holder = std::this_thread::get_id();
    }
    ~Turn() {
        writer_.holder = std::thread::id();
        writer_.mutex.unlock();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    Writer<Session>& writer_;
};

/// Sessions for reading that wait for the next reader.
template <class Session>
struct Readers {
    std::mutex mutex;
    std::vector<std::unique_ptr<Session>> idle;
};

/// `cell` in another form of the same value (7 as 7.0, 1 as true, epoch seconds as a timestamp or a date). Throws Bug
/// when there is none.
Cell coerce(const Cell& cell, Form form);

std::unique_ptr<Database> open_sqlite(const std::string& path, World& world);
std::unique_ptr<Database> open_postgres(const std::string& url, World& world);

}  // namespace lockstep::store

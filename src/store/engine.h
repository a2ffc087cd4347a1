#pragma once

#include <memory>
#include <string>

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

/// `cell` in another form of the same value (7 as 7.0, 1 as true, epoch seconds as a timestamp or a date). Throws Bug
/// when there is none.
Cell coerce(const Cell& cell, Form form);

std::unique_ptr<Database> open_sqlite(const std::string& path, World& world);
std::unique_ptr<Database> open_postgres(const std::string& url, World& world);

}  // namespace lockstep::store

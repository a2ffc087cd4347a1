#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/world.h"
#include "http/serve.h"

namespace lockstep::sandbox {

/// What a route is, to faults: a fault fires only where it can have an effect.
enum class Trait : unsigned {
    None = 0,
    Data = 1,            ///< needs a session and counts against the quota
    Write = 2,           ///< changes records
    Token = 4,           ///< gives a session
    Describe = 8,        ///< tells of objects and fields
    Query = 16,          ///< runs a query, or creates the job that will
    Locator = 32,        ///< goes on where an earlier answer ended
    Results = 64,        ///< gives results of a bulk job
    Rows = 128,          ///< says how many rows it gives
    JobCreation = 256,   ///< makes a bulk job
    Replication = 512,   ///< updated, deleted
    Collections = 1024,  ///< answers with one result for each of many records
    Record = 2048,       ///< answers with values of records in JSON
    Soap = 4096,         ///< needs a session in its envelope and counts against the quota
};
constexpr Trait operator|(Trait a, Trait b) {
    return Trait(unsigned(a) | unsigned(b));
}
constexpr bool any_of(Trait has, Trait asked) {
    return (unsigned(has) & unsigned(asked)) != 0;
}

/// One planned misbehaviour and how often it came to pass.
struct Fault {
    std::int64_t number = 0;
    std::string kind;
    std::string
        path;  ///< glob when it holds `*`, else a prefix; with or without /services/data/vNN.0; empty: every path
    std::string method;                 ///< empty: every method
    std::string object;                 ///< object the call is about, without regard to case; empty: any
    std::optional<std::int64_t> count;  ///< fires at most so often; nothing: always
    double probability = 1;
    std::int64_t after = 0;  ///< lets the first so many matching calls pass
    // Parameters; each kind reads those its description names.
    std::optional<std::int64_t> ms, bytes, seconds, rows, status, retry_after;
    std::string value;
    std::string body;
    http::Headers headers;

    std::int64_t matched = 0;
    std::int64_t fired = 0;
};

/// When a fault acts.
enum class Stage {
    Instead,   ///< the call is not carried out; the fault is the answer
    Handling,  ///< the call is carried out differently
    After,     ///< the call is carried out; its answer is spoilt
};

struct FaultKind {
    const char* name;
    Stage stage;
    Trait where;  ///< None: every call
    const char* what;
};
/// Every kind there is, for help and documentation.
const std::vector<FaultKind>& fault_kinds();

/// The faults in force.
///
/// Thread-safe.
class Faults {
public:
    /// Adds the fault, or the array of faults, of a JSON text; all or none. Returns their numbers.
    /// Errors: Invalid – naming the unknown kind, key, or value.
    Result<std::vector<std::int64_t>> add(std::string_view json_text);
    void clear();
    /// False: no fault has this number.
    bool remove(std::int64_t number);
    /// `{"faults":[…]}`, each with `matched` and `fired`.
    std::string to_json();

    struct Asked {
        std::string_view method, path, object;
        Trait traits = Trait::None;
    };
    /// The faults that fire for this call, counted. At most one of them has Stage::Instead, and then none has
    /// Stage::Handling: a fault that can not take effect is not counted.
    std::vector<Fault> fire(const Asked& asked, Random& random);
    bool empty();

private:
    std::mutex mutex_;
    std::vector<Fault> faults_;
    std::int64_t next_number_ = 1;
};

Stage stage_of(const Fault& fault);
/// The answer of a fault with Stage::Instead.
http::Answer answer_of(const Fault& fault);
/// Spoils `answer` as a fault with Stage::After does.
void spoil(const Fault& fault, http::Answer& answer);

/// `pattern` against `text`: `*` stands for any run of characters.
bool matches_glob(std::string_view pattern, std::string_view text);

}  // namespace lockstep::sandbox

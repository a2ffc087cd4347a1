#pragma once

#include <functional>

#include "sandbox/org.h"
#include "sandbox/rest.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// Requests that carry several: collections of records, dependent requests, independent ones.
///
/// Thread-safe; takes the org's lock. Source: salesforce-api 10.
class Composite {
public:
    /// Carries out one part of `whole` as a request of its own, without session check and faults. `counts`: it is one
    /// more call of the day; a part that is refused for that reason is answered with 403.
    using Dispatch = std::function<http::Answer(const http::Request& part, const Call& whole, bool counts)>;
    Composite(Org& org, Rest& rest, Dispatch dispatch);

    http::Answer create(const Call& call);
    http::Answer update(const Call& call);
    http::Answer upsert(const Call& call);
    http::Answer remove(const Call& call);
    http::Answer retrieve(const Call& call);

    http::Answer composite(const Call& call);
    http::Answer batch(const Call& call);

private:
    using WriteOne = std::function<WriteResult(const Call&, int object, const Input&)>;
    http::Answer write(const Call& call, const InputBatch& batch, int only_object, bool tells_created,
                       const WriteOne& write_one);

    Org& org_;
    Rest& rest_;
    Dispatch dispatch_;
};

}  // namespace lockstep::sandbox

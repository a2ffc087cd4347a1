#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/org.h"
#include "http/serve.h"

namespace lockstep::bench {

/// The bulk result of one object, fetched beforehand into a file.
struct Recorded {
    std::string object, job;            ///< the job's id is the one it had
    std::vector<record::Field> fields;  ///< the columns
    std::string header;                 ///< the header row as it came
    std::filesystem::path file;         ///< the rows, without it
    std::int64_t rows = 0;
    /// Where every kStride-th row starts, and the end of the file: the only places where a page may begin.
    static constexpr std::int64_t kStride = 256;
    std::vector<std::int64_t> starts;
};

/// Fetches all rows of the main objects into files in `folder`.
std::vector<Recorded> record(Org& org, const std::filesystem::path& folder);

/// Stands in for an org: bulk jobs are answered from recorded pages, all else is passed on to the org. What is measured
/// over it is the reader alone.
///
/// A job that selects other fields than were recorded is answered with an error.
class Replay {
public:
    Replay(const Org& org, const std::vector<Recorded>& recorded);
    std::string url() const { return server_->url(); }

private:
    http::Answer answer(const http::Request& request);
    http::Answer create_job(const std::string& body) const;
    http::Answer page(const Recorded& recorded, const http::Request& request) const;
    http::Answer pass_on(const http::Request& request);
    const Org& org_;
    const std::vector<Recorded>& recorded_;
    const std::unique_ptr<http::Sender> sender_;
    std::unique_ptr<http::Server> server_;
};

}  // namespace lockstep::bench

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/program.h"
#include "http/send.h"
#include "record/object.h"
#include "tests/support/process.h"

namespace lockstep::bench {

/// A `lockstep-sandbox` on a free port, as the benches need it.
///
/// Errors: throws std::runtime_error when it does not start or answers with an error.
class Org {
public:
    struct Rows {
        std::int64_t people = 0, opportunities = 0, roles = 0;  ///< 0: as they follow from the people
    };
    explicit Org(const Rows& rows);

    const std::string& url() const { return url_; }
    const std::string& client_id() const { return client_id_; }
    const std::string& client_secret() const { return client_secret_; }
    const std::string& token() const { return token_; }

    /// Asks an admin resource (docs/sandbox.md); returns the body.
    std::string admin(const std::string& method, const std::string& path, const std::string& body = {});
    /// Asks a data resource below /services/data/vNN.0 as the connected user.
    http::Response ask(const std::string& method, const std::string& path, const std::string& body = {});
    /// Rows of an object, those in the recycle bin too.
    std::int64_t rows(const std::string& object);

    /// Hides fields of an object, those at its end first, until the connected user sees `fields_max` at most.
    void hide(const std::string& object, std::size_t fields_max, const std::vector<std::string>& first_of_all);
    /// The fields of an object, Id first, in the order they are described in.
    std::vector<record::Field> fields(const std::string& object);
    /// Makes a bulk job of all rows and waits until it is done; returns its id.
    std::string bulk_job(const std::string& object);

    static constexpr const char* kVersion = "62.0";

private:
    const std::unique_ptr<http::Sender> sender_;
    support::Process process_;
    std::string url_, client_id_, client_secret_, token_;
};

std::vector<std::string> names_of(const std::vector<record::Field>& fields);

/// The objects that a load reads in bulk, parents first.
extern const std::vector<std::string> kMainObjects;
/// Hides fields of Opportunity until thirty are left: as many as one has in a usual org.
void make_usual(Org& org);

/// A Lockstep of its own: an empty database and a folder for its settings.
class Installation {
public:
    /// `folder` is emptied. `database`: a location as the tool takes it; empty: a file in the folder. `bulk_from_rows`:
    /// the setting of that name, unless it is 0.
    Installation(std::filesystem::path folder, std::string database, std::int64_t bulk_from_rows);
    ~Installation();
    Installation(const Installation&) = delete;
    Installation& operator=(const Installation&) = delete;

    /// Stores the credentials of `org`, which is reached at `url`.
    void connect(const Org& org, const std::string& url);
    /// Runs the tool. Throws as run_watched does.
    Ran run(const std::vector<std::string>& arguments);

private:
    std::filesystem::path folder_;
    std::string database_;
};

}  // namespace lockstep::bench

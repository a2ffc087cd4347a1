#pragma once

#include <string>
#include <string_view>

namespace lockstep::tests {

/// A PostgreSQL server of this program: started when first asked for, in a folder of its own under the temporary
/// folder, reachable by a Unix socket only. Its collation is American English, so that a text that
/// should compare by bytes and does not is found out. Under root it runs as an unprivileged user.
///
/// A small process beside the test program keeps it and removes it when the program ends, however it ends.
class PostgresServer {
public:
    /// Testing: small, and nothing waits for the disk. Measuring: as it comes, with the disk waited for.
    enum class Purpose { Testing, Measuring };
    /// The one server, for the purpose it was first asked for. Throws std::runtime_error with a hint when the programs
    /// of PostgreSQL are missing or fail.
    static PostgresServer& instance(Purpose purpose = Purpose::Testing);
    PostgresServer(const PostgresServer&) = delete;
    PostgresServer& operator=(const PostgresServer&) = delete;

    /// The location of `schema`, for Database::open; the schema need not exist.
    std::string url(std::string_view schema) const;
    /// A schema name nobody in this program has had yet.
    std::string fresh_schema();

private:
    explicit PostgresServer(Purpose purpose);
    ~PostgresServer();
    std::string folder_;
    int life_ = -1;  // the keeper ends when this closes
    int keeper_ = -1;
    int schemas_ = 0;
};

}  // namespace lockstep::tests

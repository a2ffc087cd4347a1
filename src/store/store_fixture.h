#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "base/world.h"
#include "store/catalog.h"
#include "store/database.h"
#include "store/log.h"
#include "store/mirror.h"
#include "tests/support/postgres.h"

namespace lockstep::store {

/// A folder that goes away with the object.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "lockstep-store-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder can be made");
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

/// A world of one thread: real time, so that waits for other threads are real.
struct RealWorld {
    std::unique_ptr<Clock> clock = system_clock();
    std::unique_ptr<Random> random = system_random();
    World world{*clock, *random};
};

inline std::string engine_name(const ::testing::TestParamInfo<Engine>& info) {
    return info.param == Engine::Sqlite ? "sqlite" : "postgres";
}

/// Where a database nobody has used yet can be made.
inline std::string fresh_location(Engine engine, const TemporaryFolder& folder) {
    if (engine == Engine::Sqlite) return folder.file("lockstep.db");
    tests::PostgresServer& server = tests::PostgresServer::instance();
    return server.url(server.fresh_schema());
}

/// A fresh database on each engine, and a clock that stands at 2026-11-24T08:30:00Z.
class OnBothEngines : public ::testing::TestWithParam<Engine> {
protected:
    void SetUp() override {
        location = fresh_location(GetParam(), folder);
        db = Database::open(location, world);
    }

    /// Runs statements in a transaction.
    void run(const std::string& sql) {
        db->write([&](Transaction& tx) { tx.db().run(sql); });
    }
    /// The first value of a query, as text.
    std::string value(const std::string& sql, std::span<const Cell> parameters = {}) {
        std::string found = "(no row)";
        db->read([&](Connection& session) {
            if (const auto cell = session.value(sql, parameters)) found = record::to_text(cell->cell());
        });
        return found;
    }
    /// A query's rows, cells joined by '|', nulls as "-".
    std::vector<std::string> lines(const std::string& sql) {
        std::vector<std::string> all;
        db->read([&](Connection& session) {
            session.query(sql, {}, [&](std::span<const Cell> row) {
                std::string line;
                for (const Cell& cell : row) {
                    line += (line.empty() ? "" : "|") + (cell.is_null() ? "-" : record::to_text(cell));
                }
                all.push_back(line);
                return true;
            });
        });
        return all;
    }

    TemporaryFolder folder;
    ManualClock clock{Timestamp{1795509000}};
    std::unique_ptr<Random> random = seeded_random(7);
    World world{clock, *random};
    std::string location;
    std::unique_ptr<Database> db;
};

/// The text of what `work` throws, " -- " and the hint; empty when it does not throw a Failure.
template <class Work>
std::string failure_of(const Work& work) {
    try {
        work();
    } catch (const Failure& failure) {
        return std::string(failure.what()) + " -- " + failure.hint;
    }
    return {};
}

/// A described object: fields as "Name:type", references as "AccountId:reference:Account".
inline record::Object object_of(const std::string& name, const std::vector<std::string>& fields) {
    record::Object object{.name = name, .label = name};
    for (const std::string& text : fields) {
        const std::vector<std::string> parts = split(text, ':');
        record::Field field{.name = parts.at(0), .label = parts.at(0), .type = parts.at(1)};
        field.form = record::form_of(field.type).value();
        if (parts.size() > 2) field.reference_to = {parts[2]};
        object.fields.push_back(std::move(field));
    }
    return object;
}

}  // namespace lockstep::store

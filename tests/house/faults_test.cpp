// What goes wrong between Salesforce and us: each fault is ridden out, or ends in a clear error; either way nothing is
// lost, and once it is over our copy is the org's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "sandbox/faults.h"
#include "tests/house/house.h"

namespace lockstep::tests {
namespace {

using testing::HasSubstr;

struct Fault {
    const char* name;
    const char* json;
    bool ridden_out;         ///< the same cycle ends well
    const char* words = "";  ///< else a part of the sentence for people
};

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
    return out << fault.name;
}

class FaultOnTheWire : public testing::TestWithParam<Fault> {
protected:
    static House::Setup setup(bool bulk, bool composite = true) {
        return {.people = bulk ? 1200 : 150,
                .seed = 11,
                .bulk_from_rows = bulk ? 20 : 10'000,
                .bulk_page_bytes = 4096,
                .composite = composite};
    }
    void suffer(House& house) {
        house.admin("POST", "/sandbox/faults", GetParam().json);
        if (GetParam().ridden_out) {
            EXPECT_TRUE(house.try_cycle()) << testing::PrintToString(messages(house));
            EXPECT_EQ(house.differences(), std::vector<std::string>());
        } else {
            const Error error = house.failing_cycle();
            EXPECT_THAT(error.what, HasSubstr(GetParam().words));
            EXPECT_NE(error.hint, "") << error.what;
        }
        EXPECT_GT(house.faults_fired(), 0) << "the fault never came to pass";
        house.admin("DELETE", "/sandbox/faults");
        house.cycle();
        EXPECT_EQ(house.differences(), std::vector<std::string>());
    }
    static std::vector<std::string> messages(House& house) {
        std::vector<std::string> all;
        for (const store::SyncError& error : house.open_errors()) all.push_back(error.object + ": " + error.message);
        return all;
    }
};

class FaultInALoad : public FaultOnTheWire {};
class FaultInABulkLoad : public FaultOnTheWire {};
class FaultWhileFollowing : public FaultOnTheWire {};
class FaultInASurvey : public FaultOnTheWire {};

TEST_P(FaultInALoad, loses_nothing) {
    House house(setup(false));
    suffer(house);
}

TEST_P(FaultInABulkLoad, loses_nothing) {
    House house(setup(true));
    suffer(house);
}

void live_a_while(House& house) {
    const auto random = seeded_random(5);
    const auto lock = house.org().write_lock();
    house.org().live(*random, 80);
}

TEST_P(FaultWhileFollowing, loses_nothing) {
    House house(setup(false, false));
    house.cycle();
    live_a_while(house);
    suffer(house);
}

TEST_P(FaultInASurvey, loses_nothing) {
    House house(setup(false));
    house.cycle();
    live_a_while(house);
    suffer(house);
}

constexpr Fault kWire[] = {
    {"busy_twice", R"({"kind":"http_503","path":"/query","count":2,"retry_after":2})", true},
    {"internal_error_once", R"({"kind":"http_500","path":"/query","count":1})", true},
    {"maintenance_page_once", R"({"kind":"html","path":"/query","count":1})", true},
    {"dropped_line_once", R"({"kind":"drop","path":"/query","count":1})", true},
    {"cut_body_once", R"({"kind":"cut_body","path":"/query","count":1,"bytes":30})", true},
    {"wrong_count_once", R"({"kind":"wrong_row_count","path":"/query","count":1})", true},
    {"session_ends", R"({"kind":"expired_token","path":"/query","count":1,"after":1})", true},
    {"concurrent_limit_once", R"({"kind":"concurrent","path":"/query","count":1})", true},
    {"slow", R"({"kind":"latency","path":"/query","ms":900})", true},
    {"limit_header_wrong", R"({"kind":"limit_header_wrong","value":"api-usage=nonsense"})", true},
    {"limit_header_missing", R"({"kind":"limit_header_missing"})", true},
    {"busy_for_ever", R"({"kind":"http_503"})", false, "503"},
    {"maintenance_page_for_ever", R"({"kind":"html","path":"/query"})", false, "web page"},
    {"day_s_calls_used_up", R"({"kind":"throttle"})", false, "calls"},
};
constexpr Fault kBulk[] = {
    {"job_fails_once", R"({"kind":"job_failed","object":"Contact","count":1})", true},
    {"job_is_aborted_once", R"({"kind":"job_aborted","object":"Contact","count":1})", true},
    {"job_is_stuck_once", R"({"kind":"job_stuck","object":"Contact","count":1})", true},
    {"result_expires", R"({"kind":"result_expired","count":1,"after":1})", true},
    {"page_has_too_few_rows_once", R"({"kind":"wrong_row_count","path":"/jobs/query","count":1})", true},
    {"page_is_cut_once", R"({"kind":"cut_body","path":"/jobs/query","method":"GET","count":1,"after":2,"bytes":100})",
     true},
    {"session_ends_between_pages", R"({"kind":"expired_token","path":"/jobs/query","count":1,"after":4})", true},
    {"every_job_fails", R"({"kind":"job_failed","object":"Contact"})", false, "job"},
};

// A composite call that does not work is replaced by calls that do.
constexpr Fault kSurvey[] = {
    {"busy_twice", R"({"kind":"http_503","path":"/composite","count":2,"retry_after":2})", true},
    {"maintenance_page_once", R"({"kind":"html","path":"/composite","count":1})", true},
    {"dropped_line_once", R"({"kind":"drop","path":"/composite","count":1})", true},
    {"cut_body_once", R"({"kind":"cut_body","path":"/composite","count":1,"bytes":300})", true},
    {"cut_text_once", R"({"kind":"cut_text","path":"/composite","count":1})", true},
    {"cut_text_for_ever", R"({"kind":"cut_text","path":"/composite"})", true},
    {"session_ends", R"({"kind":"expired_token","path":"/composite","count":1,"after":1})", true},
    {"busy_for_ever", R"({"kind":"http_503","path":"/composite"})", true},
    {"second_call_fails", R"({"kind":"http_500","path":"/composite","after":1})", true},
    {"not_served",
     R"({"kind":"answer","path":"/composite","status":404,"headers":{"Content-Type":"application/json"},)"
     R"("body":"[{\"errorCode\":\"NOT_FOUND\",\"message\":\"The requested resource does not exist\"}]"})",
     true},
    {"forbidden",
     R"({"kind":"answer","path":"/composite","status":403,"headers":{"Content-Type":"application/json"},)"
     R"("body":"[{\"errorCode\":\"API_DISABLED_FOR_ORG\",\"message\":\"The API is not enabled\"}]"})",
     true},
    {"everything_is_busy", R"({"kind":"http_503"})", false, "503"},
    {"day_s_calls_used_up", R"({"kind":"throttle","path":"/composite"})", false, "calls"},
};

std::string named(const testing::TestParamInfo<Fault>& info) {
    return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Wire, FaultInALoad, testing::ValuesIn(kWire), named);
INSTANTIATE_TEST_SUITE_P(Wire, FaultWhileFollowing, testing::ValuesIn(kWire), named);
INSTANTIATE_TEST_SUITE_P(Wire, FaultInASurvey, testing::ValuesIn(kSurvey), named);
INSTANTIATE_TEST_SUITE_P(Bulk, FaultInABulkLoad, testing::ValuesIn(kBulk), named);

TEST(WrongCredentials, are_told_with_what_to_check) {
    House house({.people = 20});
    house.admin("POST", "/sandbox/faults", R"({"kind":"token_refused"})");
    const Error error = house.failing_cycle();
    EXPECT_EQ(error.kind, Kind::Denied);
    EXPECT_NE(error.hint, "");
    house.admin("DELETE", "/sandbox/faults");
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

class BothWays : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(, BothWays, testing::Bool(),
                         [](const auto& info) { return info.param ? "by_composite_calls" : "one_by_one"; });

TEST_P(BothWays, late_commits_are_found_by_the_overlap) {
    House house({.people = 40, .composite = GetParam()});
    house.cycle();
    {
        const auto lock = house.org().write_lock();
        house.org().delay_visibility(house.org().schema().find("Account"), 420);
    }
    const std::string late = house.create("Account", {{"Name", std::string("Late")}});
    house.cycle();  // stamped already, not yet to be seen
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account WHERE name = 'Late'"), 0);
    for (int minute = 0; minute < 8; ++minute) house.cycle();
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account WHERE name = 'Late'"), 1);
}

TEST_P(BothWays, a_second_save_in_the_second_of_a_reading_is_found_by_the_overlap) {
    House house({.people = 40, .composite = GetParam()});
    const std::string account = house.create("Account", {{"Name", std::string("Before")}});
    house.cycle();
    house.edit("Account", account, {{"Name", std::string("First")}});
    // Between the reading and the second save the clock stands: the stamps are the same.
    bool saved = false;
    house.spoil = [&](const http::Request& request, http::Response&) {
        const bool read = (request.target + request.body).find("Account") != std::string::npos &&
                          (request.target + request.body).find("query") != std::string::npos;
        if (!read || std::exchange(saved, true)) return;
        house.edit("Account", account, {{"Name", std::string("Second")}});
    };
    house.pass(-60);  // the cycle passes them again
    house.cycle();
    house.spoil = nullptr;
    ASSERT_TRUE(saved);
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST_P(BothWays, many_rows_in_one_second_are_all_read) {
    House house({.composite = GetParam()});
    house.cycle();
    for (int i = 0; i < 4500; ++i) house.create("Account", {{"Name", "Account " + std::to_string(i)}});
    house.cycle();
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account"), 4500);
}

TEST(DeleteLog, that_does_not_reach_back_is_replaced_by_a_comparison_of_all_ids) {
    House house({.people = 60});
    house.cycle();
    const std::string role =
        *house.reader().text("SELECT id FROM crm_opportunitycontactrole WHERE NOT isdeleted ORDER BY id");
    house.remove("OpportunityContactRole", role);
    house.pass(86'400);
    {
        const auto lock = house.org().write_lock();
        house.org().purge_delete_log(house.org().now());
    }
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
    EXPECT_THAT(house.notes(), testing::Contains(HasSubstr("comparing all ids")));
}

TEST(MassDisappearance, stops_the_object_and_asks) {
    House house({.people = 600});
    house.cycle();
    std::vector<std::string> roles;
    house.reader().query("SELECT id FROM crm_opportunitycontactrole WHERE NOT isdeleted", {},
                         [&](std::span<const record::Cell> row) {
                             roles.push_back(record::to_text(row[0]));
                             return true;
                         });
    ASSERT_GT(roles.size(), 150U);
    for (const std::string& role : roles) house.remove("OpportunityContactRole", role);
    house.pass(86'400);
    {
        const auto lock = house.org().write_lock();
        house.org().purge_delete_log(house.org().now());
    }
    const Error error = house.failing_cycle();
    EXPECT_EQ(error.code, "MASS_DISAPPEARANCE");
    EXPECT_THAT(error.what, HasSubstr("nothing was deleted here"));
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_opportunitycontactrole WHERE NOT isdeleted"),
              static_cast<std::int64_t>(roles.size()));
}

TEST(HiddenField, that_the_sync_needs_stops_it_and_says_which) {
    House house({.people = 20});
    house.hide("Opportunity", "StageName");
    const Error error = house.failing_cycle();
    EXPECT_THAT(error.what, HasSubstr("Opportunity.StageName"));
    EXPECT_THAT(error.hint, HasSubstr("field-level security"));
    house.hide("Opportunity", "StageName", false);
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(OddValues, become_errors_of_their_record_and_stop_nothing) {
    House house({.people = 30});
    house.cycle();
    const std::string account = house.create("Account", {{"Name", std::string("Good")}});
    const std::string odd = house.create("Account", {{"Name", std::string("Odd")}});
    // The answer to the next query for accounts carries a number where a whole number belongs.
    house.spoil = [&](const http::Request& request, http::Response& response) {
        if ((request.target + request.body).find("FROM%20Account") == std::string::npos) return;
        const std::size_t at = response.body.find("\"NumberOfEmployees\":null");
        if (at != std::string::npos) response.body.replace(at, 24, "\"NumberOfEmployees\":\"many\"");
    };
    house.try_cycle();
    house.spoil = nullptr;
    const auto errors = house.open_errors();
    ASSERT_FALSE(errors.empty());
    EXPECT_EQ(errors[0].object, "Account");
    EXPECT_EQ(errors[0].code, "VALUE_NOT_READABLE");
    EXPECT_THAT(errors[0].message, HasSubstr("many"));
    EXPECT_EQ(house.reader().integer("SELECT count(*) FROM crm_account WHERE name IN ('Good', 'Odd')"), 2);
}

/// Runs a cycle in a process of its own that dies by SIGKILL when `deadly` says so; returns whether it died.
bool die_in_a_cycle(House& house, const std::function<void(House&)>& deadly) {
    house.close();
    const pid_t child = ::fork();
    if (child == 0) {
        house.restart();
        deadly(house);
        house.try_cycle();
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status);
}

/// Names of the indexes of our copy.
std::string indexes(House& house) {
    std::string names;
    house.reader().query("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name LIKE 'crm_%' ORDER BY name",
                         {}, [&](std::span<const record::Cell> row) {
                             names += std::string(row[0].as_text()) + " ";
                             return true;
                         });
    return names;
}

TEST(Load, asks_for_all_bulk_jobs_before_it_reads_the_first) {
    House house({.people = 1200, .seed = 6, .bulk_from_rows = 10});
    std::vector<std::string> order;
    house.spoil = [&](const http::Request& request, http::Response&) {
        if (request.method == "POST" && request.target.ends_with("/jobs/query")) order.emplace_back("job");
        if (request.target.find("/results") != std::string::npos) order.emplace_back("result");
    };
    house.cycle();
    const auto first_result = std::ranges::find(order, "result");
    EXPECT_EQ(std::count(order.begin(), first_result, "job"), std::ranges::count(order, "job"));
    EXPECT_GE(std::ranges::count(order, "job"), 5) << "accounts, leads, contacts, opportunities, roles";
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(Kill, after_any_commit_of_a_first_load_loses_nothing) {
    int deaths = 0;
    House whole({.people = 40, .seed = 3});
    whole.cycle();
    const std::string all_indexes = indexes(whole);
    EXPECT_THAT(all_indexes, HasSubstr("contactid"));
    for (int commit = 1; commit <= 120; ++commit) {
        House house(
            {.people = 40, .seed = 3, .bulk_from_rows = commit % 2 == 0 ? 10 : 10'000, .bulk_page_bytes = 2048});
        const bool died = die_in_a_cycle(house, [commit](House& child) {
            child.world().crash_point = [commit, seen = 0](const char*) mutable {
                if (++seen == commit) ::kill(::getpid(), SIGKILL);
            };
        });
        house.restart();
        house.cycle();
        ASSERT_EQ(house.differences(), std::vector<std::string>()) << "killed after commit " << commit;
        const auto adds_up = [&](const char* sql) { return house.reader().integer(sql).value_or(-1); };
        ASSERT_EQ(adds_up("SELECT count(*) FROM activity WHERE type = 34"),
                  adds_up("SELECT count(*) FROM opportunity_link WHERE live"))
            << "killed after commit " << commit;
        ASSERT_EQ(indexes(house), all_indexes) << "killed after commit " << commit;
        if (!died) break;
        ++deaths;
    }
    EXPECT_GE(deaths, 40);
}

TEST(Kill, again_and_again_in_the_same_data_loses_nothing) {
    House house({.people = 1500, .seed = 4, .bulk_from_rows = 10, .bulk_page_bytes = 4096});
    const auto random = seeded_random(9);
    int deaths = 0;
    for (int round = 0; round < 110; ++round) {
        const std::uint64_t commit = 1 + random->below(6);
        deaths += die_in_a_cycle(house, [commit](House& child) {
            child.world().crash_point = [commit, seen = std::uint64_t{0}](const char*) mutable {
                if (++seen == commit) ::kill(::getpid(), SIGKILL);
            };
        });
        if (round % 10 == 9) {
            const auto lock = house.org().write_lock();
            house.org().live(*random, 10);
        }
        house.pass(30);
    }
    EXPECT_GE(deaths, 100);
    house.restart();
    house.cycle();
    house.cycle();
    EXPECT_EQ(house.differences(), std::vector<std::string>());
}

TEST(Kill, in_the_middle_of_a_page_loses_nothing) {
    for (int request = 20; request <= 60; request += 4) {
        House house({.people = 1200, .seed = 6, .bulk_from_rows = 10, .bulk_page_bytes = 2048});
        die_in_a_cycle(house, [request](House& child) {
            child.spoil = [request, seen = 0](const http::Request&, http::Response& response) mutable {
                if (++seen != request) return;
                response.body.resize(response.body.size() / 2);
                ::kill(::getpid(), SIGKILL);
            };
        });
        house.restart();
        house.cycle();
        ASSERT_EQ(house.differences(), std::vector<std::string>()) << "killed at answer " << request;
    }
}

}  // namespace
}  // namespace lockstep::tests

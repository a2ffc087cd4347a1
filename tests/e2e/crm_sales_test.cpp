// Real data, dirt included: a converter makes an org of it, the Bulk API loads it, Lockstep reads it, and the numbers
// are those an independent script computes from the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "tests/support/process.h"
#include "tests/support/sandbox.h"

namespace lockstep {
namespace {

using support::built;
using support::Ended;
using support::run;
using support::Sandbox;
using support::TempFolder;
using testing::HasSubstr;

const std::filesystem::path kSource = LOCKSTEP_SOURCE_DIR;

/// The whole data set where it lies beside the project, else the part of it that is kept with the tests.
std::filesystem::path data_set() {
    const std::filesystem::path whole = kSource / "../shared/data/crm-sales";
    return std::filesystem::exists(whole / "sales_pipeline.csv") ? whole : kSource / "tests/data/crm-sales";
}

Ended python(const std::vector<std::string>& arguments) {
    std::vector<std::string> all{(kSource / "tools/crm_sales.py").string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run({.program = "python3", .arguments = all, .environment = {}, .input = ""}, 300);
}

struct Sum {
    std::int64_t count = 0;
    double amount = 0;
    bool operator==(const Sum&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Sum& sum) {
    return out << sum.count << " of " << sum.amount;
}

/// "account|stage" → count and sum, from the independent script.
std::map<std::string, Sum> expected_sums() {
    const Ended ended = run({.program = "awk",
                             .arguments = {"-f", (kSource / "tools/crm_sales_expected.awk").string(),
                                           (data_set() / "sales_pipeline.csv").string()},
                             .environment = {},
                             .input = ""});
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    std::map<std::string, Sum> sums;
    for (const std::string& line : split(ended.out, '\n')) {
        const auto parts = split(line, '|');
        if (parts.size() == 4) sums[parts[0] + "|" + parts[1]] = {*parse_int(parts[2]), *parse_double(parts[3])};
    }
    return sums;
}

TEST(RealData, arrives_with_the_numbers_of_its_file_and_what_could_not_be_linked_is_told) {
    const TempFolder folder;
    const Ended converted = python({"convert", data_set().string(), folder.path().string()});
    ASSERT_EQ(converted.exit_code, 0) << converted.err;
    EXPECT_THAT(converted.out, HasSubstr("rows refused"));

    Sandbox org({"--people", "0", "--org", (folder.path() / "org.toml").string()});
    const Ended loaded = python({"load", folder.path().string(), org.url(), org.client_id(), org.client_secret()});
    ASSERT_EQ(loaded.exit_code, 0) << loaded.out << loaded.err;

    const std::string data = (folder.path() / "data").string();
    const auto lockstep = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"--data", data, "--json"});
        Ended ended =
            run({.program = built("lockstep"), .arguments = std::move(arguments), .environment = {}, .input = ""}, 300);
        EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err;
        return parse_json(ended.out).value().as_object();
    };
    lockstep({"connect", "--url", org.url(), "--client-id", org.client_id(), "--client-secret", org.client_secret()});
    lockstep({"sync", "--once"});

    const std::map<std::string, Sum> expected = expected_sums();
    ASSERT_GT(expected.size(), 100U);
    std::map<std::string, Sum> ours;
    std::int64_t opportunities = 0, without_account = 0;
    const json::object by_stage = lockstep({"opportunities", "--by-account-stage"});
    for (const json::value& group : *array_at(by_stage, "groups")) {
        const json::object& one = group.as_object();
        const std::string account = text_at(one, "account").value_or("");
        const Sum sum{*int_at(one, "count"), double_at(one, "amount").value_or(0)};
        ours[account + "|" + *text_at(one, "stage")] = sum;
        opportunities += sum.count;
        if (account.empty()) without_account += sum.count;
    }
    EXPECT_EQ(ours, expected);
    EXPECT_GT(opportunities, 300);

    // Opportunities without an account have no contact role: they are the orphans, all of them.
    std::int64_t orphans = 0;
    const json::object without_people = lockstep({"opportunities", "--orphans"});
    for (const json::value& group : *array_at(without_people, "groups")) {
        EXPECT_EQ(text_at(group.as_object(), "reason"), "no contact role");
        orphans += *int_at(group.as_object(), "count");
    }
    EXPECT_EQ(orphans, without_account);
    EXPECT_GT(orphans, 0);
}

}  // namespace
}  // namespace lockstep

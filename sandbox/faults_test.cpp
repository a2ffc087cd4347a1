#include "sandbox/faults.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

TEST(Glob, star_stands_for_any_run_of_characters) {
    struct Case {
        const char *pattern, *text;
        bool fits;
    };
    for (const Case& c :
         {Case{"/a/*/c", "/a/b/c", true}, Case{"/a/*/c", "/a/b/d/c", true}, Case{"/a/*/c", "/a/c", false},
          Case{"*", "", true}, Case{"*x*", "axb", true}, Case{"*x*", "ab", false}, Case{"ab", "abc", false},
          Case{"a*b*c", "a1b2b3c", true}, Case{"**", "x", true}})
        EXPECT_EQ(matches_glob(c.pattern, c.text), c.fits) << c.pattern << " " << c.text;
}

class FaultList : public testing::Test {
protected:
    std::vector<std::string> fired(const Faults::Asked& asked) {
        std::vector<std::string> kinds;
        for (const auto& fault : faults.fire(asked, *random)) kinds.push_back(fault.kind);
        return kinds;
    }
    using Kinds = std::vector<std::string>;
    Faults faults;
    std::unique_ptr<Random> random = seeded_random(3);
    const Faults::Asked query{.method = "GET",
                              .path = "/services/data/v62.0/query",
                              .object = "Lead",
                              .traits = Trait::Data | Trait::Query | Trait::Rows};
    const Faults::Asked create{.method = "POST",
                               .path = "/services/data/v62.0/sobjects/Lead",
                               .object = "lead",
                               .traits = Trait::Data | Trait::Write};
};

TEST_F(FaultList, fires_where_method_path_object_and_kind_fit) {
    ASSERT_TRUE(faults
                    .add(R"([{"kind":"latency","path":"/query"},{"kind":"latency","path":"/services/data/v62.0/q*"},
        {"kind":"latency","method":"post"},{"kind":"latency","object":"LEAD"},{"kind":"latency","object":"Contact"},
        {"kind":"lock_row"},{"kind":"query_timeout","path":"/nothing"}])")
                    .ok());
    EXPECT_EQ(fired(query), (Kinds{"latency", "latency", "latency"}));
    EXPECT_EQ(fired(create), (Kinds{"lock_row", "latency", "latency"}));
}

TEST_F(FaultList, lets_some_pass_then_fires_as_often_as_told) {
    ASSERT_TRUE(faults.add(R"({"kind":"http_500","after":2,"count":3})").ok());
    std::string pattern;
    for (int i = 0; i < 8; ++i) pattern += fired(query).empty() ? '.' : 'x';
    EXPECT_EQ(pattern, "..xxx...");
}

TEST_F(FaultList, fires_by_chance_about_as_often_as_told) {
    ASSERT_TRUE(faults.add(R"({"kind":"drop","probability":0.25})").ok());
    int count = 0;
    for (int i = 0; i < 4000; ++i) count += fired(query).empty() ? 0 : 1;
    EXPECT_GT(count, 900);
    EXPECT_LT(count, 1100);
}

TEST_F(FaultList, counts_only_what_can_take_effect) {
    ASSERT_TRUE(
        faults
            .add(
                R"([{"kind":"lock_row"},{"kind":"http_500","count":1},{"kind":"drop"},{"kind":"error_after_write"},{"kind":"latency"}])")
            .ok());
    // The call is not carried out, so there is no write to spoil, and only one answer to give.
    EXPECT_EQ(fired(create), (Kinds{"http_500", "latency"}));
    EXPECT_EQ(fired(create), (Kinds{"drop", "latency"}));
}

TEST_F(FaultList, takes_all_of_a_list_or_none) {
    EXPECT_FALSE(faults.add(R"([{"kind":"drop"},{"kind":"nonsense"}])").ok());
    EXPECT_TRUE(faults.empty());
    const auto numbers = faults.add(R"([{"kind":"drop"},{"kind":"html"}])");
    ASSERT_TRUE(numbers.ok());
    EXPECT_EQ(*numbers, (std::vector<std::int64_t>{1, 2}));
    EXPECT_TRUE(faults.remove(1));
    EXPECT_FALSE(faults.remove(1));
    EXPECT_EQ(fired(query), Kinds{"html"});
    faults.clear();
    EXPECT_TRUE(faults.empty());
}

TEST(Spoilt, streams_are_cut_in_the_middle_of_a_piece) {
    http::Answer answer;
    answer.pieces = [left = 3](std::string& piece) mutable {
        piece = "abcdefghij";
        return left-- > 0;
    };
    Fault fault;
    fault.kind = "cut_text";
    fault.bytes = 14;
    spoil(fault, answer);
    EXPECT_EQ(Box::text(answer), "abcdefghijabcd");
}

TEST(Spoilt, a_field_vanishes_wherever_it_stands_and_whatever_it_holds) {
    const auto without = [](std::string body) {
        http::Answer answer{.body = std::move(body)};
        Fault fault;
        fault.kind = "missing_field";
        fault.value = "F";
        spoil(fault, answer);
        return answer.body;
    };
    EXPECT_EQ(without(R"({"F":1,"G":2})"), R"({"G":2})");
    EXPECT_EQ(without(R"({"G":2,"F":"a,\"b}"})"), R"({"G":2})");
    EXPECT_EQ(without(R"({"F":{"a":[1,2]},"G":1.5E7})"), R"({"G":1.5E7})");
    EXPECT_EQ(without(R"([{"F":null},{"F":true}])"), R"([{},{}])");
    EXPECT_EQ(without(R"({"FF":1})"), R"({"FF":1})");
}

TEST(FaultKinds, are_told_apart_and_described) {
    std::set<std::string> names;
    for (const auto& kind : fault_kinds()) {
        EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
        EXPECT_GT(std::string(kind.what).size(), 10U) << kind.name;
        Fault fault;
        fault.kind = kind.name;
        EXPECT_EQ(stage_of(fault), kind.stage);
        // Each kind that answers has its answer.
        if (kind.stage == Stage::Instead) {
            const auto answer = answer_of(fault);
            EXPECT_TRUE(answer.drop || answer.status >= 200) << kind.name;
        }
    }
    Box box;
    const auto shown = Box::object(box.get("/sandbox/faults/kinds"));
    EXPECT_EQ(shown.at("kinds").as_array().size(), names.size());
}

}  // namespace
}  // namespace lockstep::sandbox

#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "base/text.h"
#include "base/time.h"

namespace lockstep::log {
namespace {

/// What `act` writes to standard error at `level`.
template <class Act>
std::string written_at(Level level, Act act) {
    set_level(level);
    testing::internal::CaptureStderr();
    act();
    set_level(Level::Warn);
    return testing::internal::GetCapturedStderr();
}

void one_of_each() {
    debug("d");
    info("i");
    warn("w");
    error("e");
}

/// The last character of each line, which one_of_each() makes its level.
std::string levels(const std::string& lines) {
    std::string letters;
    for (const std::string& line : split(lines, '\n')) {
        if (!line.empty()) letters += line.back();
    }
    return letters;
}

TEST(Log, a_line_has_time_level_message_and_fields) {
    const std::string line = written_at(Level::Info, [] {
        info("push done", {{"object", "Lead"}, {"records", 200}, {"share", 0.5}});
    });
    EXPECT_EQ(line.substr(20), " info push done object=Lead records=200 share=0.500000\n");
    EXPECT_TRUE(parse_timestamp(line.substr(0, 20)).has_value()) << line;
}

TEST(Log, levels_below_the_one_set_are_silent) {
    EXPECT_EQ(levels(written_at(Level::Debug, one_of_each)), "diwe");
    EXPECT_EQ(levels(written_at(Level::Info, one_of_each)), "iwe");
    EXPECT_EQ(levels(written_at(Level::Warn, one_of_each)), "we");
    EXPECT_EQ(levels(written_at(Level::Error, one_of_each)), "e");
    EXPECT_EQ(levels(written_at(Level::Off, one_of_each)), "");
}

TEST(LogDeathTest, the_level_is_warn_until_it_is_set) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";  // a fresh process, where nothing was set
    const auto log_and_leave = [] {
        one_of_each();
        std::exit(0);
    };
    EXPECT_EXIT(log_and_leave(), testing::ExitedWithCode(0),
                testing::AllOf(testing::HasSubstr("warn w"), testing::Not(testing::HasSubstr("info i"))));
}

TEST(Log, the_level_is_a_word) {
    const std::string lines = written_at(Level::Debug, one_of_each);
    for (const char* word : {" debug d\n", " info i\n", " warn w\n", " error e\n"}) {
        EXPECT_THAT(lines, testing::HasSubstr(word));
    }
}

TEST(Log, values_that_would_be_misread_stand_in_quotes) {
    const std::string line = written_at(Level::Warn, [] {
        warn("m", {{"blank", "a b"},
                   {"quote", "say \"hi\"\\"},
                   {"empty", ""},
                   {"equals", std::string("a=b")},
                   {"path", "c:\\d"}});
    });
    EXPECT_EQ(line.substr(20),
              " warn m blank=\"a b\" quote=\"say \\\"hi\\\"\\\\\" empty=\"\" equals=\"a=b\" path=c:\\d\n");
}

TEST(Log, an_event_stays_on_one_line) {
    const std::string line = written_at(Level::Warn, [] { warn("a\nb {}", {{"v", "x\r\ny\x1B"}}); });
    EXPECT_EQ(line.substr(20), " warn a\\nb {} v=\"x\\x0d\\ny\\x1b\"\n");
}

TEST(Log, lines_of_several_threads_do_not_mix) {
    const std::string lines = written_at(Level::Warn, [] {
        std::vector<std::thread> threads;
        threads.reserve(4);
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([] {
                for (int n = 0; n < 50; ++n) warn("w");
            });
        }
        for (std::thread& thread : threads) thread.join();
    });
    EXPECT_EQ(levels(lines), std::string(200, 'w'));
    for (const std::string& line : split(lines, '\n')) EXPECT_TRUE(line.empty() || line.size() == 27) << line;
}

}  // namespace
}  // namespace lockstep::log

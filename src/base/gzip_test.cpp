#include "base/gzip.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/check.h"

namespace lockstep {
namespace {

constexpr std::size_t kRoom = 1 << 20;

std::string what_of(std::string_view bytes, std::size_t bytes_max = kRoom) {
    const Result<std::string> out = gunzip(bytes, bytes_max);
    if (out.ok()) return "fine";
    EXPECT_EQ(out.error().kind, Kind::BadReply);
    return out.error().what;
}

RC_GTEST_PROP(Gzip, inflates_to_what_was_deflated, (const std::string& bytes)) {
    const int level = *rc::gen::inRange(0, 13);
    RC_ASSERT(gunzip(gzip(bytes, level), kRoom).value() == bytes);
}

TEST(Gzip, compresses) {
    EXPECT_LT(gzip(std::string(100000, 'x')).size(), 1000u);
    EXPECT_THROW(gzip("x", 13), Bug);
}

TEST(Gunzip, takes_exactly_as_much_as_allowed) {
    const std::string body = gzip(std::string(1000, 'x'));
    EXPECT_EQ(what_of(body, 1000), "fine");
    EXPECT_EQ(what_of(body, 999), "a gzip body is larger than 999 B");
    EXPECT_EQ(what_of(gzip(""), 0), "fine");
    EXPECT_EQ(what_of(gzip("x"), 0), "a gzip body is larger than 0 B");
}

TEST(Gunzip, joins_members) {
    const std::string large(300000, 'b');
    EXPECT_EQ(gunzip(gzip("a") + gzip(large) + gzip(""), kRoom).value(), "a" + large);
    EXPECT_EQ(what_of(gzip("a") + gzip(large), 300000), "a gzip body is larger than 292 KiB");
}

TEST(Gunzip, refuses_a_cut_body_wherever_it_is_cut) {
    const std::string body = gzip("a body that is cut");
    for (std::size_t size = 0; size < body.size(); ++size) EXPECT_NE(what_of(body.substr(0, size)), "fine") << size;
}

TEST(Gunzip, refuses_damage_in_data_and_trailer) {
    const std::string body = gzip(std::string(1000, 'x') + "yz");
    for (const std::size_t at : {std::size_t{0}, std::size_t{2}, std::size_t{12}, body.size() - 6, body.size() - 1}) {
        std::string damaged = body;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
        EXPECT_EQ(what_of(damaged), "a gzip body is cut or damaged") << at;
    }
    EXPECT_EQ(what_of("this is no gzip body at all"), "a gzip body is cut or damaged");
}

TEST(Gunzip, refuses_garbage_after_the_end) {
    EXPECT_EQ(what_of(gzip("a") + "x"), "a gzip body has garbage after its end");
    EXPECT_EQ(what_of(gzip("a") + std::string(40, '\0')), "a gzip body has garbage after its end");
}

TEST(Gunzip, a_trailer_that_claims_gigabytes_costs_no_memory) {
    std::string body = gzip("small");
    for (std::size_t i = 1; i <= 4; ++i) body[body.size() - i] = '\xFF';
    EXPECT_EQ(what_of(body, std::size_t{1} << 40), "a gzip body is cut or damaged");
}

}  // namespace
}  // namespace lockstep

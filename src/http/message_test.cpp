#include "http/message.h"

#include <gtest/gtest.h>

namespace lockstep::http {
namespace {

TEST(Message, a_path_keeps_its_escapes_and_loses_doubled_slashes_and_the_query) {
    const std::pair<const char*, const char*> cases[] = {
        {"/services/data?q=a//b", "/services/data"},
        {"//services///data/", "/services/data/"},
        {"/a%2Fb%20c", "/a%2Fb%20c"},
        {"https://host.example:8443//a//b?c#d", "/a/b"},
        {"https://host.example?c=d", "/"},
        {"https://host.example", "/"},
        {"/go?to=https://other.example/x", "/go"},
    };
    for (const auto& [target, path] : cases) EXPECT_EQ(Request{.target = target}.path(), path) << target;
}

TEST(Message, a_query_value_is_decoded_and_the_first_of_its_name) {
    const Request request{.target = "/q?q=SELECT+Id%20FROM%20Lead&x=&flag&q=second&%6eame=a%26b&=odd#q=fragment"};
    EXPECT_EQ(request.query("q"), "SELECT Id FROM Lead");
    EXPECT_EQ(request.query("name"), "a&b");
    EXPECT_EQ(request.query("x"), "");
    EXPECT_EQ(request.query("absent"), "");
    EXPECT_TRUE(request.has_query("x"));
    EXPECT_TRUE(request.has_query("flag"));
    EXPECT_FALSE(request.has_query("absent"));
    EXPECT_FALSE(Request{.target = "/q"}.has_query(""));
}

TEST(Message, header_names_compare_without_regard_to_case) {
    const Request request{.headers = {{"Content-Type", "text/csv"}}};
    EXPECT_EQ(request.header("content-TYPE"), "text/csv");
    EXPECT_EQ(request.header("Accept"), "");
    EXPECT_EQ((Response{.headers = {{"Sforce-Locator", "null"}}}.header("sforce-locator")), "null");
}

TEST(Message, gzip_is_accepted_when_named_and_not_ruled_out) {
    EXPECT_TRUE(accepts_gzip("gzip"));
    EXPECT_TRUE(accepts_gzip("br, GZip;q=0.5, deflate"));
    EXPECT_FALSE(accepts_gzip("gzip;q=0"));
    EXPECT_FALSE(accepts_gzip("gzip; q=0.000, br"));
    EXPECT_FALSE(accepts_gzip("deflate, br"));
    EXPECT_FALSE(accepts_gzip(""));
}

TEST(Message, what_could_end_a_header_line_is_no_header) {
    EXPECT_TRUE(is_header_field("X-Name", "any text, even \xC3\xBC"));
    EXPECT_FALSE(is_header_field("", "value"));
    EXPECT_FALSE(is_header_field("Two words", "value"));
    EXPECT_FALSE(is_header_field("Name:", "value"));
    EXPECT_FALSE(is_header_field("Name", "value\r\nInjected: yes"));
    EXPECT_FALSE(is_header_field("Name", std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace lockstep::http

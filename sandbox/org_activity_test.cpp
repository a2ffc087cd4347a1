#include <gtest/gtest.h>

#include <filesystem>

#include "base/text.h"
#include "sandbox/service_testing.h"

namespace lockstep::sandbox {
namespace {

void edit(Box& box, const std::string& object, const std::string& id, const std::string& values) {
    EXPECT_EQ(box.send("PATCH", "~/sobjects/" + object + "/" + id, values).status, 204);
}
json::value field(Box& box, const std::string& object, const std::string& id, const std::string& name) {
    return Box::object(box.get("~/sobjects/" + object + "/" + id + "?fields=" + name)).at(name);
}
std::string quoted(const std::string& key, const std::string& value) {
    return "\"" + key + "\":\"" + value + "\"";
}

/// A deal of an account with a contact.
struct Deal : Box {
    explicit Deal(ServiceOptions options = Box::empty()) : Box(std::move(options)) {}
    std::string account = create("Account", R"({"Name":"Acme"})");
    std::string contact = create("Contact", R"({"LastName":"Bell",)" + quoted("AccountId", account) + "}");
    std::string id = create("Opportunity", R"({"Name":"Deal","StageName":"Prospecting","CloseDate":"2026-12-31",)" +
                                               quoted("AccountId", account) + "}");

    std::string task(const std::string& day, const std::string& status = "Completed") {
        return create("Task", "{" + quoted("WhoId", contact) + "," + quoted("WhatId", id) + "," +
                                  quoted("Status", status) + "," + quoted("ActivityDate", day) + "}");
    }
    json::value last(const std::string& object, const std::string& of) {
        return field(*this, object, of, "LastActivityDate");
    }
};

TEST(Activities, done_and_past_ones_make_the_last_activity_date_of_all_they_are_about) {
    Deal deal;
    const json::value stamp = field(deal, "Opportunity", deal.id, "SystemModstamp");
    EXPECT_EQ(deal.last("Opportunity", deal.id), nullptr);
    deal.clock.advance_s(60);
    const std::string first = deal.task("2026-11-20");
    const std::string second = deal.task("2026-11-22");
    deal.task("2026-11-23", "Not Started");
    EXPECT_EQ(deal.last("Opportunity", deal.id), "2026-11-22");
    EXPECT_EQ(deal.last("Contact", deal.contact), "2026-11-22");
    EXPECT_EQ(deal.last("Account", deal.account), "2026-11-22");
    EXPECT_EQ(field(deal, "Opportunity", deal.id, "SystemModstamp"), stamp) << "no stamp moves";
    ASSERT_EQ(deal.send("DELETE", "~/sobjects/Task/" + second).status, 204);
    EXPECT_EQ(deal.last("Contact", deal.contact), "2026-11-20");
    const std::string other = deal.create("Contact", R"({"LastName":"Cole"})");
    edit(deal, "Task", first, "{" + quoted("WhoId", other) + "}");
    EXPECT_EQ(deal.last("Contact", deal.contact), nullptr);
    EXPECT_EQ(deal.last("Contact", other), "2026-11-20");
    const auto rows = Box::object(
        deal.get("~/query?q=" + Box::encoded("SELECT Name FROM Contact WHERE LastActivityDate = 2026-11-20")));
    EXPECT_EQ(rows.at("totalSize"), json::value(1));
}

TEST(Activities, to_come_count_once_their_day_is_there) {
    Deal deal;
    deal.create("Event", "{" + quoted("WhoId", deal.contact) +
                             R"(,"StartDateTime":"2026-11-26T09:00:00Z","DurationInMinutes":30})");
    EXPECT_EQ(deal.last("Contact", deal.contact), nullptr);
    deal.clock.advance_s(2 * 86400);
    deal.log_in();
    EXPECT_EQ(deal.last("Contact", deal.contact), "2026-11-26");
}

TEST(Activities, that_are_open_or_overdue_show_on_the_opportunity) {
    Deal deal;
    const auto open = [&] { return field(deal, "Opportunity", deal.id, "HasOpenActivity").as_bool(); };
    const auto overdue = [&] { return field(deal, "Opportunity", deal.id, "HasOverdueTask").as_bool(); };
    EXPECT_FALSE(open());
    const std::string task = deal.task("2026-11-25", "Not Started");
    EXPECT_TRUE(open());
    EXPECT_FALSE(overdue());
    deal.clock.advance_s(2 * 86400);
    deal.log_in();
    EXPECT_TRUE(overdue());
    edit(deal, "Task", task, R"({"Status":"Completed"})");
    EXPECT_FALSE(open());
    EXPECT_FALSE(overdue());
}

TEST(Activities, of_generated_records_never_lie_before_what_was_generated) {
    Box box;
    const std::string all = "~/query?q=" + Box::encoded("SELECT Id, LastActivityDate FROM Contact ORDER BY Id");
    const auto before = Box::object(box.get(all)).at("records").as_array();
    for (const auto& row : before) {
        box.create("Task", "{" + quoted("WhoId", std::string(row.at("Id").as_string())) +
                               R"(,"Status":"Completed","ActivityDate":"2024-01-01"})");
    }
    const auto after = Box::object(box.get(all)).at("records").as_array();
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (before.at(i).at("LastActivityDate").is_null()) {
            EXPECT_GE(after.at(i).at("LastActivityDate").as_string(), "2024-01-01");
        } else {
            EXPECT_GE(after.at(i).at("LastActivityDate").as_string(), before.at(i).at("LastActivityDate").as_string());
        }
    }
}

TEST(Activities, are_archived_a_year_after_they_were_done) {
    Deal deal;
    const std::string done = deal.task("2026-11-20");
    const std::string open = deal.task("2026-11-20", "Not Started");
    const std::string met =
        deal.create("Event", "{" + quoted("WhatId", deal.id) +
                                 R"(,"StartDateTime":"2026-11-20T09:00:00Z","DurationInMinutes":30})");
    const auto count = [&](const std::string& resource, const std::string& from) {
        const auto answer = deal.get("~/" + resource + "?q=" + Box::encoded("SELECT COUNT() FROM " + from));
        return Box::object(answer).at("totalSize").as_int64();
    };
    EXPECT_EQ(count("query", "Task"), 2);
    deal.clock.advance_s(362 * 86400LL);
    deal.log_in();
    EXPECT_EQ(count("query", "Task"), 1);
    EXPECT_EQ(count("queryAll", "Task"), 2);
    EXPECT_EQ(count("queryAll", "Task WHERE IsArchived = true"), 1);
    EXPECT_EQ(count("query", "Event"), 0);
    EXPECT_EQ(field(deal, "Task", done, "IsArchived"), json::value(true));
    EXPECT_EQ(field(deal, "Task", open, "IsArchived"), json::value(false));
    EXPECT_EQ(field(deal, "Event", met, "IsArchived"), json::value(true));
    EXPECT_EQ(deal.last("Opportunity", deal.id), "2026-11-20") << "archived ones still count";
}

TEST(Activities, survive_a_restart) {
    const auto file = std::filesystem::temp_directory_path() / ("activity_" + std::to_string(getpid()) + ".state");
    std::filesystem::remove(file);
    ServiceOptions options = Box::empty();
    options.org.state_file = file.string();
    std::string contact;
    {
        Deal deal(options);
        deal.task("2026-11-20");
        contact = deal.contact;
    }
    {
        Box box(options);
        EXPECT_EQ(field(box, "Contact", contact, "LastActivityDate"), "2026-11-20");
    }
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace lockstep::sandbox

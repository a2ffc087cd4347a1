#include "store/journal.h"

#include "store/store_fixture.h"

namespace lockstep::store {

namespace {

class Journal : public OnBothEngines {
protected:
    void write(const std::function<void(Transaction&)>& work) { db->write(work); }
    template <class Read>
    auto read(const Read& work) {
        decltype(work(std::declval<Connection&>())) found{};
        db->read([&](Connection& session) { found = work(session); });
        return found;
    }
};
INSTANTIATE_TEST_SUITE_P(, Journal, ::testing::Values(Engine::Sqlite, Engine::Postgres), engine_name);

TEST_P(Journal, a_step_is_begun_saved_and_found_newest_first) {
    std::int64_t cycle = 0;
    std::int64_t first = 0;
    write([&](Transaction& tx) {
        cycle = next_cycle(tx);
        first = begin_step(tx, cycle, "Opportunity", "pull updates");
        begin_step(tx, next_cycle(tx), "Lead", "pull updates");
    });
    clock.advance_s(10);
    write([&](Transaction& tx) {
        save_step(tx, Step{.id = first,
                           .cycle = cycle,
                           .object = "Opportunity",
                           .operation = "pull updates",
                           .status = StepStatus::Failed,
                           .started = {1795509000},
                           .ended = tx.now(),
                           .created = 1,
                           .updated = 2,
                           .deleted = 3,
                           .failed = 4,
                           .skipped = 5,
                           .calls = 6,
                           .detail = "Salesforce was not reached."});
    });
    const auto all = read([](Connection& session) { return steps(session, 10); });
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].object, "Lead");
    EXPECT_EQ(all[0].status, StepStatus::Running);
    EXPECT_EQ(all[0].ended, std::nullopt);
    const auto of_cycle = read([&](Connection& session) { return steps(session, 10, cycle); });
    ASSERT_EQ(of_cycle.size(), 1U);
    const Step& step = of_cycle[0];
    EXPECT_EQ(step.status, StepStatus::Failed);
    EXPECT_EQ(step.started, Timestamp{1795509000});
    EXPECT_EQ(step.ended, Timestamp{1795509010});
    EXPECT_EQ(step.created + 10 * step.updated + 100 * step.deleted + 1000 * step.failed + 10000 * step.skipped +
                  100000 * step.calls,
              654321);
    EXPECT_EQ(step.detail, "Salesforce was not reached.");
    EXPECT_EQ(read([](Connection& session) { return steps(session, 1); }).size(), 1U);
}

TEST_P(Journal, a_step_that_was_never_begun_can_not_be_saved) {
    EXPECT_THROW(write([](Transaction& tx) { save_step(tx, Step{.id = 99}); }), Bug);
}

TEST_P(Journal, idle_cycles_become_one_row_a_run_and_day_and_others_stay_as_they_are) {
    // Cycles of three steps, one an hour from 08:30 on; cycle 4 brought something, 7 has something to tell.
    std::int64_t calls = 0;
    const auto cycle = [&](std::int64_t created, const std::string& detail) {
        write([&](Transaction& tx) {
            const std::int64_t number = next_cycle(tx);
            for (const char* const object : {"", "Account", "Lead"}) {
                Step step{.cycle = number,
                          .object = object,
                          .operation = "pull updates",
                          .status = StepStatus::Succeeded,
                          .started = tx.now(),
                          .ended = tx.now().plus(2),
                          .calls = ++calls};
                step.id = begin_step(tx, number, step.object, step.operation);
                if (step.object == "Lead") {
                    step.created = created;
                    step.detail = detail;
                }
                save_step(tx, step);
            }
        });
        clock.advance_s(3600);
    };
    for (int i = 1; i <= 30; ++i) cycle(i == 4 ? 5 : 0, i == 7 ? "new field Region__c" : "");
    const Timestamp before = clock.now().plus(-5 * 3600);  // all but the last five

    // Portions of a few steps give what one great one would.
    bool more = true;
    for (int rounds = 0; more; ++rounds) {
        ASSERT_LT(rounds, 40);
        write([&](Transaction& tx) { more = collapse_idle_cycles(tx, before, 7); });
    }
    const auto shown = lines(
        "SELECT cycle, operation, object, calls, detail FROM step_history WHERE object IS NULL OR object = 'Lead' "
        "ORDER BY id");
    const auto sum = [](std::int64_t from, std::int64_t to) {  // calls of the cycles from..to
        std::int64_t total = 0;
        for (std::int64_t step = 3 * from - 2; step <= 3 * to; ++step) total += step;
        return std::to_string(total);
    };
    const std::vector<std::string> expected{"3|idle cycles|-|" + sum(1, 3) + "|3 cycles found nothing new",
                                            "4|pull updates|-|10|-",
                                            "4|pull updates|Lead|12|-",
                                            "6|idle cycles|-|" + sum(5, 6) + "|2 cycles found nothing new",
                                            "7|pull updates|-|19|-",
                                            "7|pull updates|Lead|21|new field Region__c",
                                            "16|idle cycles|-|" + sum(8, 16) + "|9 cycles found nothing new",
                                            "25|idle cycles|-|" + sum(17, 25) + "|9 cycles found nothing new"};
    ASSERT_GE(shown.size(), expected.size());
    EXPECT_EQ(std::vector<std::string>(shown.begin(), shown.begin() + std::ssize(expected)), expected);
    EXPECT_EQ(shown.size(), expected.size() + 10);  // the youngest five are whole
    const auto first = read([](Connection& session) { return steps(session, 1, 16); }).front();
    EXPECT_EQ(first.started, Timestamp{1795509000 + 7 * 3600});
    EXPECT_EQ(first.ended, Timestamp{1795509000 + 15 * 3600 + 2});
    EXPECT_EQ(value("SELECT sum(calls) FROM step_history"), std::to_string(90 * 91 / 2));

    // The rest of the day joins what is there.
    write([&](Transaction& tx) { more = collapse_idle_cycles(tx, clock.now(), 1000); });
    EXPECT_FALSE(more);
    EXPECT_EQ(value("SELECT detail FROM step_history ORDER BY id DESC LIMIT 1"), "14 cycles found nothing new");
}

TEST_P(Journal, an_error_of_the_schema_which_has_no_object_is_resolved_like_any_other) {
    write([](Transaction& tx) {
        add_error(tx, {.at = tx.now(), .operation = "sync schema", .message = "hidden"});
        add_error(tx, {.at = tx.now(), .object = "Lead", .operation = "sync schema", .message = "another"});
    });
    write([](Transaction& tx) { resolve_errors(tx, "", "", "sync schema"); });
    EXPECT_EQ(lines("SELECT message FROM sync_error WHERE resolved IS NULL"), (std::vector<std::string>{"another"}));
}

TEST_P(Journal, a_cycle_that_failed_was_stopped_or_still_runs_is_not_idle) {
    for (const StepStatus status :
         {StepStatus::Failed, StepStatus::Stopped, StepStatus::Incomplete, StepStatus::Running}) {
        write([&](Transaction& tx) {
            const std::int64_t cycle = next_cycle(tx);
            const std::int64_t id = begin_step(tx, cycle, "Lead", "pull updates");
            save_step(tx, {.id = id, .cycle = cycle, .status = status, .started = tx.now()});
        });
    }
    bool more = true;
    write([&](Transaction& tx) { more = collapse_idle_cycles(tx, clock.now().plus(9), 100); });
    EXPECT_FALSE(more);
    EXPECT_EQ(value("SELECT count(*) FROM step_history"), "4");
}

TEST_P(Journal, old_steps_and_resolved_errors_are_pruned_and_causes_stay_as_long_as_the_log) {
    const auto step = [&](std::int64_t updated) {
        write([&](Transaction& tx) {
            Step one{.cycle = 1, .status = StepStatus::Succeeded, .started = tx.now(), .updated = updated};
            one.id = begin_step(tx, 1, "Lead", "pull updates");
            save_step(tx, one);
            add_error(tx, {.at = tx.now(), .object = "Lead", .record = "a", .operation = "open"});
            add_error(tx, {.at = tx.now(), .object = "Lead", .record = "b", .operation = "old", .resolved = tx.now()});
        });
        clock.advance_s(1000);
    };
    for (const std::int64_t updated : {1, 0, 1, 0, 0}) step(updated);
    const Timestamp start{1795509000};
    const auto prune = [&](int rows_max) {
        std::int64_t removed = 0;
        write([&](Transaction& tx) { removed = prune_history(tx, start.plus(3500), start.plus(500), rows_max); });
        return removed;
    };
    EXPECT_EQ(prune(1), 2);  // one of each
    EXPECT_EQ(prune(10), 5);
    EXPECT_EQ(prune(10), 0);
    EXPECT_EQ(lines("SELECT id FROM step_history ORDER BY id"), (std::vector<std::string>{"3", "5"}));
    EXPECT_EQ(value("SELECT count(*) FROM sync_error WHERE resolved IS NULL"), "5");
    EXPECT_EQ(value("SELECT count(*) FROM sync_error WHERE resolved IS NOT NULL"), "1");
}

TEST_P(Journal, steps_of_a_killed_process_become_incomplete_and_others_stay) {
    write([](Transaction& tx) {
        const std::int64_t done = begin_step(tx, 1, "Lead", "load");
        save_step(tx, Step{.id = done, .cycle = 1, .status = StepStatus::Succeeded, .started = tx.now()});
        begin_step(tx, 1, "Contact", "load");
    });
    write([](Transaction& tx) { close_abandoned_steps(tx); });
    const auto all = read([](Connection& session) { return steps(session, 10); });
    EXPECT_EQ(all[0].status, StepStatus::Incomplete);
    EXPECT_EQ(all[0].ended, Timestamp{1795509000});
    EXPECT_NE(all[0].detail, "");
    EXPECT_EQ(all[1].status, StepStatus::Succeeded);
    EXPECT_EQ(all[1].detail, "");
}

TEST_P(Journal, errors_stay_open_until_what_failed_goes_well) {
    const auto add = [&](const std::string& record, const std::string& operation) {
        write([&](Transaction& tx) {
            add_error(tx, SyncError{.at = tx.now(),
                                    .object = "Lead",
                                    .record = record,
                                    .operation = operation,
                                    .code = "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                                    .message = "Say why.",
                                    .hint = "Fill in the reason.",
                                    .step = 3});
        });
    };
    add("00Q1", "push updates");
    add("00Q2", "push updates");
    add("", "push updates");
    add("00Q1", "push inserts");
    const auto open = [&] { return read([](Connection& session) { return errors(session, 10, true); }); };
    ASSERT_EQ(open().size(), 4U);
    EXPECT_EQ(open()[3].record, "00Q1");
    EXPECT_EQ(open()[3].code, "FIELD_CUSTOM_VALIDATION_EXCEPTION");
    EXPECT_EQ(open()[3].message, "Say why.");
    EXPECT_EQ(open()[3].hint, "Fill in the reason.");
    EXPECT_EQ(open()[3].step, 3);
    write([](Transaction& tx) { resolve_errors(tx, "Lead", "00Q1", "push updates"); });
    EXPECT_EQ(open().size(), 3U);
    write([](Transaction& tx) { resolve_errors(tx, "Lead", "", "push updates"); });
    ASSERT_EQ(open().size(), 2U);
    EXPECT_EQ(open()[0].operation, "push inserts");
    EXPECT_EQ(open()[1].record, "00Q2");
    const auto all = read([](Connection& session) { return errors(session, 10, false); });
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[3].resolved, Timestamp{1795509000});
}

TEST_P(Journal, a_cursor_comes_back_as_it_was_saved) {
    EXPECT_EQ(read([](Connection& session) { return object_cursor(session, "Lead"); }), std::nullopt);
    ObjectCursor cursor{.object = "Lead",
                        .state = ObjectCursor::State::Loading,
                        .load_started = Timestamp{100},
                        .load_job = "750000000000001AAA",
                        .load_locator = "MTAwMDA",
                        .load_rows = 40000,
                        .load_expected = 1000000};
    write([&](Transaction& tx) { save_cursor(tx, cursor); });
    write([&](Transaction& tx) { save_cursor(tx, ObjectCursor{.object = "Account"}); });
    auto found = read([](Connection& session) { return object_cursor(session, "Lead"); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->state, ObjectCursor::State::Loading);
    EXPECT_EQ(found->watermark, std::nullopt);
    EXPECT_EQ(found->load_started, Timestamp{100});
    EXPECT_EQ(found->load_job, "750000000000001AAA");
    EXPECT_EQ(found->load_locator, "MTAwMDA");
    EXPECT_EQ(found->load_rows, 40000);
    EXPECT_EQ(found->load_expected, 1000000);

    cursor = {.object = "Lead",
              .state = ObjectCursor::State::Following,
              .watermark = Timestamp{200},
              .deletes_watermark = Timestamp{201},
              .complete_as_of = Timestamp{202}};
    write([&](Transaction& tx) { save_cursor(tx, cursor); });
    const auto all = read([](Connection& session) { return object_cursors(session); });
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].object, "Account");
    EXPECT_EQ(all[0].state, ObjectCursor::State::Never);
    EXPECT_EQ(all[1].state, ObjectCursor::State::Following);
    EXPECT_EQ(all[1].watermark, Timestamp{200});
    EXPECT_EQ(all[1].deletes_watermark, Timestamp{201});
    EXPECT_EQ(all[1].complete_as_of, Timestamp{202});
    EXPECT_EQ(all[1].load_job, "");
    EXPECT_EQ(all[1].load_started, std::nullopt);
}

TEST_P(Journal, settings_are_replaced_and_an_empty_one_is_not_a_missing_one) {
    const auto get = [&](const std::string& name) {
        return read([&](Connection& session) { return setting(session, name); });
    };
    EXPECT_EQ(get("currency.default"), std::nullopt);
    write([](Transaction& tx) { save_setting(tx, "currency.default", "EUR"); });
    EXPECT_EQ(get("currency.default"), "EUR");
    write([](Transaction& tx) { save_setting(tx, "currency.default", ""); });
    EXPECT_EQ(get("currency.default"), "");
}

TEST_P(Journal, sealed_bytes_come_back_whatever_they_are) {
    const std::string sealed("\0\xff'\"\n sealed", 12);
    const auto get = [&] { return read([](Connection& session) { return sealed_secret(session, "token"); }); };
    EXPECT_EQ(get(), std::nullopt);
    write([&](Transaction& tx) { save_sealed_secret(tx, "token", "old"); });
    write([&](Transaction& tx) { save_sealed_secret(tx, "token", sealed); });
    EXPECT_EQ(get(), sealed);
    run("UPDATE secret SET sealed = '?'");
    EXPECT_NE(failure_of([&] { get(); }).find("is damaged"), std::string::npos);
    write([](Transaction& tx) { remove_secret(tx, "token"); });
    EXPECT_EQ(get(), std::nullopt);
}

TEST_P(Journal, calls_are_counted_by_the_hour) {
    const Timestamp now{1795509000};  // half past
    write([&](Transaction& tx) {
        count_calls(tx, now.plus(-7200), 100);
        count_calls(tx, now, 3);
        count_calls(tx, now.plus(60), 4);
    });
    const auto since = [&](Timestamp at) {
        return read([&](Connection& session) { return calls_since(session, at); });
    };
    EXPECT_EQ(since(now.plus(-86400)), 107);
    EXPECT_EQ(since(now.plus(-600)), 7);
    EXPECT_EQ(since(now.plus(86400)), 0);
}

TEST_P(Journal, a_held_field_keeps_what_was_heard_and_since_when) {
    const std::vector<Value> values{Value::of("Closed \"Won\""),  Value(Cell::boolean(true)),
                                    Value(Cell::integer(-4)),     Value(Cell::real(0.1)),
                                    Value(Cell::date({20781})),   Value(Cell::timestamp({1795509000})),
                                    Value(Cell::null(Form::Date))};
    for (std::size_t i = 0; i < values.size(); ++i) {
        write([&](Transaction& tx) {
            hold(tx, Held{.object = "Lead",
                          .record = "00Q1",
                          .field = "F" + std::to_string(i),
                          .reason = "blocked",
                          .theirs = values[i],
                          .since = {100}});
        });
    }
    const auto held = [&] { return read([](Connection& session) { return held_fields(session, "Lead", "00Q1"); }); };
    ASSERT_EQ(held().size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(held()[i].theirs, values[i]) << i;
    write([](Transaction& tx) {
        hold(tx, Held{.object = "Lead",
                      .record = "00Q1",
                      .field = "F0",
                      .reason = "ask",
                      .theirs = Value::of("new"),
                      .since = {200}});
        unhold(tx, "Lead", "00Q1", "F1");
    });
    ASSERT_EQ(held().size(), values.size() - 1);
    EXPECT_EQ(held()[0].reason, "ask");
    EXPECT_EQ(held()[0].theirs, Value::of("new"));
    EXPECT_EQ(held()[0].since, Timestamp{100}) << "it has been held since then";
    EXPECT_EQ(held()[1].field, "F2");
}

}  // namespace

}  // namespace lockstep::store

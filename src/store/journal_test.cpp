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

/* A log that ran ahead is set back: by k of n, from the time that it has, not
 * before what rests on a record; and nothing is looser than it was. */
#include "gate_internal.h"
#include "gate_scene.h"
#include "witness_scene.h"

#define YEAR_NS (365 * 86400 * SECOND_NS)
enum { CAP = 70, REQUESTS = 71, A = 1, B = 2 };

static gate_scene scene;

static const sentinel_state *state(void) {
    return sentinel_gate_state(scene.context);
}

/* A start at a time that is ahead; then the clock is right again. */
static int64_t run_ahead(int64_t by_ns) {
    CHECK_OK(sentinel_gate_start(scene.context, 0, scene.now + by_ns));
    return state()->last_now_ns;
}

static void frame_set(uint16_t scope, uint32_t target, int64_t before_ns, unsigned operators) {
    scene_command_at(&scene, SENTINEL_COMMAND_RESUME, scope, target, before_ns);
    if ((operators & A) != 0) {
        frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    }
    if ((operators & B) != 0) {
        frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
}

static sentinel_status set_back(int64_t before_ns) {
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, before_ns, A | B);
    return scene_take(&scene);
}

/* Refused and recorded, at the time that the log has. */
static void check_refused(sentinel_status got, sentinel_status expected, int64_t last_ns) {
    CHECK_EQ(got, expected);
    CHECK_EQ(state()->last_now_ns, last_ns);
    CHECK(state()->halted != 0);
}

static void test_k_of_n_set_it_back_once(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    int64_t last_ns = run_ahead(10 * YEAR_NS);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED); /* the clock stepped back */
    check_refused(scene_resume(s, FIRM_ID), SENTINEL_POLICY_EXPIRED, last_ns);
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, last_ns, A);
    check_refused(scene_take(s), SENTINEL_POLICY_SIGNATURE, last_ns);
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, last_ns, 0);
    check_refused(scene_take(s), SENTINEL_POLICY_SIGNATURE, last_ns);
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, last_ns, A | B);
    CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now));
    s->now += SECOND_NS; /* it is of the time at which it is taken */
    CHECK_OK(scene_take(s));
    CHECK_EQ(state()->last_now_ns, s->now);
    CHECK_EQ(state()->relied_ns, s->now);
    CHECK_EQ(state()->halted, 0);
    const sentinel_record_header *made = &s->context->draft.header;
    CHECK_EQ(made->flags & SENTINEL_RECORD_CLOCK_SET, SENTINEL_RECORD_CLOCK_SET);
    CHECK_EQ(made->now_ns, s->now);
    order = scene_place(s);
    check_allowed(s, &order);
    uint64_t count = state()->record_count;
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, last_ns, A | B);
    s->sequences[SENTINEL_FRAME_COMMAND]--;
    ((sentinel_frame_header *)s->frame)->sequence--;
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SEQUENCE);  /* the number was taken */
    CHECK_EQ(set_back(last_ns), SENTINEL_POLICY_CLOCK); /* and the time is another */
    CHECK_EQ(state()->record_count, count + 2);
    CHECK_EQ(state()->halted, 0);
    scene_end(s);
}

static void test_it_names_the_firm_and_the_time_that_the_log_has(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    int64_t last_ns = run_ahead(YEAR_NS);
    check_refused(set_back(last_ns - 1), SENTINEL_POLICY_CLOCK, last_ns);
    check_refused(set_back(last_ns + 1), SENTINEL_POLICY_CLOCK, last_ns);
    check_refused(set_back(-1), SENTINEL_POLICY_EXPIRED, last_ns); /* sets nothing */
    frame_set(SENTINEL_SCOPE_NODE, AGENT_A, last_ns, A | B);
    check_refused(scene_take(s), SENTINEL_FORMAT_RANGE, last_ns);
    frame_set(SENTINEL_SCOPE_NODE, 9, last_ns, A | B);
    check_refused(scene_take(s), SENTINEL_POLICY_SCOPE, last_ns);
    frame_set(SENTINEL_SCOPE_NODE, FIRM_ID, last_ns, A | B);
    s->now += 60 * SECOND_NS; /* its end */
    check_refused(scene_take(s), SENTINEL_POLICY_EXPIRED, last_ns);
    int64_t right_ns = s->now;
    s->now = last_ns; /* nothing to set back */
    CHECK_EQ(set_back(last_ns), SENTINEL_POLICY_CLOCK);
    s->now = right_ns;
    CHECK_OK(set_back(last_ns));
    frame_set(SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT, s->now, A | B);
    CHECK_EQ(scene_take(s), SENTINEL_FORMAT_RANGE);
    scene_end(s);
}

static void test_not_before_the_last_record_that_something_rests_on(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    s->now += 10 * SECOND_NS;
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    int64_t signed_ns = s->now;
    int64_t last_ns = run_ahead(YEAR_NS);
    s->now = signed_ns - 1;
    check_refused(set_back(last_ns), SENTINEL_POLICY_CLOCK, last_ns);
    s->now = signed_ns;
    CHECK_OK(set_back(last_ns));
    last_ns = run_ahead(YEAR_NS); /* once more, and not before that */
    s->now = signed_ns - 1;
    check_refused(set_back(last_ns), SENTINEL_POLICY_CLOCK, last_ns);
    s->now = signed_ns;
    CHECK_OK(set_back(last_ns));
    scene_end(s);
}

static void act_order(void) {
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
}

static void act_request(void) {
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 1;
    order.message.text[0] = 'x';
    scene_sign(&scene, &order);
    CHECK_EQ(scene.outcome.verdict, SENTINEL_PENDING);
}

static void act_mark(void) {
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(scene_take(&scene));
}

static void act_beat(void) {
    CHECK_OK(scene_beat_take(&scene, AGENT_A, 1, 0));
}

static void act_drain(void) {
    scene_command(&scene, SENTINEL_COMMAND_DRAIN, AGENT_B);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_OK(scene_take(&scene));
}

static void act_authority(void) {
    scene_authority(&scene);
    CHECK_OK(scene_take(&scene));
}

static void act_policy(void) {
    scene_policy_rows(&scene);
    CHECK_OK(scene_load(&scene));
}

/* Whatever has an effect in the wrong time keeps the clock where it is. */
static void test_what_rests_on_the_wrong_time_keeps_it(void) {
    static void (*const acts[])(void) = {act_order, act_request,   act_mark,  act_beat,
                                         act_drain, act_authority, act_policy};
    gate_scene *s = &scene;
    for (unsigned i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        scene_begin(s);
        scene_policy_rows(s);
        s->build.policy.oversight[SENTINEL_ACTION_MESSAGE] = SENTINEL_OVERSIGHT_APPROVE;
        s->build.policy.approval_quorum = 1;
        s->build.policy.approval_ns = YEAR_NS;
        CHECK_OK(scene_load(s));
        int64_t right_ns = s->now;
        s->now = run_ahead(YEAR_NS);
        acts[i]();
        int64_t last_ns = state()->last_now_ns;
        s->now = right_ns;
        for (unsigned k = 0; k < SENTINEL_SEQUENCES; k++) {
            s->sequences[k] += 10;
        }
        check_refused(set_back(last_ns), SENTINEL_POLICY_CLOCK, last_ns);
        s->now = last_ns; /* once it has come, all is as it was */
        CHECK_OK(scene_resume(s, FIRM_ID));
        scene_end(s);
    }
}

/* It binds whatever its end is, and does not keep the clock; others look expired. */
static void test_a_halt_binds_where_the_log_is_ahead(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    int64_t right_ns = s->now;
    int64_t last_ns = run_ahead(YEAR_NS);
    scene_command(s, SENTINEL_COMMAND_DRAIN, AGENT_A);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    check_refused(scene_take(s), SENTINEL_POLICY_EXPIRED, last_ns);
    scene_command(s, SENTINEL_COMMAND_HALT, AGENT_A);
    check_refused(scene_take(s), SENTINEL_POLICY_SIGNATURE, last_ns); /* by nobody */
    CHECK_OK(scene_halt(s, AGENT_A));
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SEQUENCE); /* once */
    CHECK_EQ(state()->relied_ns, right_ns);
    CHECK_OK(set_back(last_ns));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_end(s);
}

static void make_mark(void) {
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
}

static void make_beat(void) {
    scene_beat(&scene, AGENT_A, 1, 0);
    frame_sign(&scene, KEY_AGENT_A, KEY_AGENT_A);
}

static void make_grant(void) {
    sentinel_ask ask;
    uint8_t signature64[64];
    witness_scene w = {.records = 100, .spend = 1};
    CHECK_OK(sentinel_gate_ask(scene.context, &ask, signature64, 0));
    sentinel_grant grant = witness_answer(&w, &ask);
    witness_frame(&scene, &grant);
}

/* An agent, a feeder or a witness that speaks before the clock is set back does
 * not keep it from being so; one nanosecond less is a clock that is held. */
static void test_only_people_are_heard_before_it_is_set(void) {
    static void (*const makes[])(void) = {make_mark, make_beat, make_grant};
    gate_scene *s = &scene;
    for (unsigned i = 0; i < 2 * sizeof makes / sizeof makes[0]; i++) {
        scene_begin(s);
        s->has_witness = i / 2 == 2;
        scene_authority(s);
        CHECK_OK(scene_take(s));
        int64_t right_ns = s->now;
        s->now = run_ahead(YEAR_NS);
        int64_t last_ns = s->now;
        makes[i / 2](); /* valid at the log's time */
        int is_held = i % 2 == 0;
        s->now = last_ns - SECOND_NS - !is_held;
        sentinel_status expected = is_held ? SENTINEL_OK : SENTINEL_POLICY_CLOCK;
        CHECK_EQ(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now), expected);
        CHECK_EQ(scene_take(s), expected);
        CHECK_EQ(state()->relied_ns, is_held ? last_ns : right_ns);
        s->now = right_ns;
        memset(s->sequences, 0, sizeof s->sequences);
        s->sequences[SENTINEL_FRAME_COMMAND] = 10;
        CHECK_EQ(set_back(last_ns), is_held ? SENTINEL_POLICY_CLOCK : SENTINEL_OK);
        scene_end(s);
    }
}

static void test_a_request_is_not_taken_back_before_it_is_set(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    s->build.policy.oversight[SENTINEL_ACTION_MESSAGE] = SENTINEL_OVERSIGHT_APPROVE;
    s->build.policy.approval_quorum = 1;
    s->build.policy.approval_ns = YEAR_NS;
    CHECK_OK(scene_load(s));
    act_request();
    int64_t right_ns = s->now;
    uint64_t id = state()->pending[0].action_id;
    int64_t last_ns = run_ahead(YEAR_NS / 2);
    CHECK_EQ(sentinel_gate_withdraw(s->context, NULL, &s->session, id, last_ns - SECOND_NS - 1),
             SENTINEL_POLICY_CLOCK);
    CHECK_EQ(state()->halted, SENTINEL_USAGE_STATE);
    CHECK_EQ(state()->pending_used, 1);
    CHECK_EQ(state()->relied_ns, right_ns);
    CHECK_OK(set_back(last_ns));
    CHECK_OK(sentinel_gate_withdraw(s->context, NULL, &s->session, id, s->now));
    CHECK_EQ(state()->pending_used, 0);
    scene_end(s);
}

/* Starts, halts, snapshots, refusals, denials and their summaries do not. */
static void test_what_has_no_effect_does_not(void) {
    static _Alignas(8) uint8_t snapshot[1 << 20];
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    s->build.policy.attempt_limit = 1;
    CHECK_OK(scene_load(s));
    int64_t right_ns = s->now;
    s->now = run_ahead(YEAR_NS);
    sentinel_order order = scene_place(s);
    order.place.quantity = decimal(1, 0); /* above the cap */
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP); /* only counted */
    s->frame[0] ^= 1;
    CHECK_EQ(scene_take(s), SENTINEL_FORMAT_MAGIC);
    s->frame[0] ^= 1;
    CHECK_OK(sentinel_gate_snapshot(s->context, NULL, snapshot, sizeof snapshot, s->now));
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    int64_t last_ns = state()->last_now_ns;
    s->now = right_ns;
    uint64_t count = state()->record_count;
    CHECK_OK(set_back(last_ns));
    CHECK_EQ(state()->record_count, count + 3); /* halt, summary, command */
    /* And the next interval of attempts does not begin in a year. */
    uint32_t node = sentinel_bundle_node(&sentinel_gate_view(s->context)->bundle, AGENT_A);
    CHECK_EQ(sentinel_view_agent(sentinel_gate_view(s->context), node)->attempts_since_ns,
             right_ns);
    s->now += SECOND_NS;
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    CHECK_EQ(s->outcome.recorded, 1);
    scene_end(s);
}

static void test_nobody_whose_key_had_ended_sets_it(void) {
    gate_scene *s = &scene;
    for (int past = 0; past < 2; past++) {
        scene_begin(s);
        s->operators_end_ns = s->now + YEAR_NS + 1 - past;
        scene_authority(s);
        CHECK_OK(scene_take(s));
        int64_t last_ns = run_ahead(YEAR_NS);
        sentinel_status status = set_back(last_ns);
        CHECK_EQ(status, past ? SENTINEL_POLICY_SIGNATURE : SENTINEL_OK);
        scene_end(s);
    }
}

/* ---- Nothing is looser --------------------------------------------------------- */

static void test_what_was_spent_stays_spent(void) {
    static const uint8_t kinds[] = {SENTINEL_RULE_DAILY_LIMIT, SENTINEL_RULE_ROLLING_CAP,
                                    SENTINEL_RULE_RATE_LIMIT};
    static const sentinel_reason reasons[] = {
        SENTINEL_REASON_DAILY_LIMIT, SENTINEL_REASON_ROLLING_CAP, SENTINEL_REASON_RATE_LIMIT};
    gate_scene *s = &scene;
    for (unsigned i = 0; i < 3; i++) {
        scene_begin(s);
        scene_policy_rows(s);
        int64_t bound = i == 2 ? 1 : INT64_C(60000000); /* one order's */
        if (i == 0) {
            add_bound(&s->build, CAP, 0, kinds[i], bound);
        } else {
            add_window(&s->build, CAP, 0, kinds[i], bound, 3600 * SECOND_NS);
        }
        CHECK_OK(scene_load(s));
        sentinel_order order = scene_place(s);
        check_allowed(s, &order);
        order = scene_place(s);
        check_denied(s, &order, reasons[i]);
        int64_t right_ns = s->now;
        s->now = run_ahead(YEAR_NS); /* here it would pass */
        order.place.quantity = decimal(1, 0);
        check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
        int64_t last_ns = state()->last_now_ns;
        s->now = right_ns + SECOND_NS;
        CHECK_OK(set_back(last_ns));
        order = scene_place(s);
        check_denied(s, &order, reasons[i]);
        scene_end(s);
    }
}

static void load_ends(void) {
    gate_scene *s = &scene;
    scene_policy_rows(s);
    s->build.policy.lease_ns = 3600 * SECOND_NS;
    sentinel_constraint *row = add_bound(&s->build, REQUESTS, 0, SENTINEL_RULE_APPROVAL, 0);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = 1;
    row->window_ns = 100 * SECOND_NS;
    CHECK_OK(scene_load(s));
    scene_command_at(s, SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0, s->now + 100 * SECOND_NS);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_OK(scene_take(s));
}

/* A drain, a request and a lease that end 100 seconds after the real time, and
 * a log that got as far as that, or one nanosecond less. */
static void check_ends(int ended) {
    static const struct {
        uint16_t scope;
        uint32_t target;
    } drains[] = {{SENTINEL_SCOPE_NODE, AGENT_B},
                  {SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_OKX},
                  {SENTINEL_SCOPE_INSTRUMENT, BTCUSDT}};
    gate_scene *s = &scene;
    scene_begin(s);
    load_ends();
    int64_t end_ns = s->now + 100 * SECOND_NS;
    sentinel_order order = scene_place(s);
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_PENDING);
    for (unsigned i = 0; i < 3; i++) {
        scene_command_at(s, SENTINEL_COMMAND_DRAIN, drains[i].scope, drains[i].target, end_ns);
        frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
        CHECK_OK(scene_take(s));
    }
    int64_t last_ns = run_ahead(end_ns - s->now - !ended);
    s->now += SECOND_NS;
    CHECK_OK(set_back(last_ns));
    const sentinel_view *view = sentinel_gate_view(s->context);
    const sentinel_stop_state *stops[] = {
        sentinel_view_node(view, sentinel_bundle_node(&view->bundle, AGENT_B)),
        sentinel_view_venue(view, SENTINEL_VENUE_OKX),
        sentinel_view_instrument(view, &view->bundle.instruments[0]),
    };
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(stops[i]->mode, ended ? SENTINEL_HALTED : SENTINEL_DRAINING);
        CHECK_EQ(stops[i]->until_ns, ended ? 0 : end_ns);
    }
    CHECK_EQ(state()->pending[0].expires_ns, ended ? s->now : end_ns);
    CHECK_EQ(state()->lease_until_ns, ended ? s->now : end_ns);
    check_denied(s, &order, ended ? SENTINEL_REASON_LEASE : SENTINEL_REASON_DRAINING);
    scene_end(s);
}

static void test_what_had_ended_stays_ended(void) {
    check_ends(1);
    check_ends(0);
}

static void test_the_state_is_restored_and_the_flag_is_of_commands_alone(void) {
    static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
    gate_scene *s = &scene;
    sentinel_record record;
    scene_begin(s);
    int64_t last_ns = run_ahead(YEAR_NS);
    CHECK_OK(set_back(last_ns));
    sentinel_record_header header = scene_last_record(s, bytes);
    CHECK_OK(sentinel_record_parse(&record, bytes, header.size_bytes));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    header = scene_last_record(s, bytes);
    header.flags |= SENTINEL_RECORD_CLOCK_SET;
    memcpy(bytes, &header, sizeof header);
    CHECK_EQ(sentinel_record_parse(&record, bytes, header.size_bytes), SENTINEL_FORMAT_RANGE);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_k_of_n_set_it_back_once);
    RUN(test_it_names_the_firm_and_the_time_that_the_log_has);
    RUN(test_not_before_the_last_record_that_something_rests_on);
    RUN(test_what_rests_on_the_wrong_time_keeps_it);
    RUN(test_a_halt_binds_where_the_log_is_ahead);
    RUN(test_only_people_are_heard_before_it_is_set);
    RUN(test_a_request_is_not_taken_back_before_it_is_set);
    RUN(test_what_has_no_effect_does_not);
    RUN(test_nobody_whose_key_had_ended_sets_it);
    RUN(test_what_was_spent_stays_spent);
    RUN(test_what_had_ended_stays_ended);
    RUN(test_the_state_is_restored_and_the_flag_is_of_commands_alone);
    return test_end();
}

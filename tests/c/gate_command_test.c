/* Commands that stop, drain and resume: how many operators each takes, what a
 * drain may not do to what is there, and that a refusal changes nothing. */
#include "gate_scene.h"

static gate_scene scene;

enum { HALT = SENTINEL_COMMAND_HALT, RESUME = SENTINEL_COMMAND_RESUME };
enum { DRAIN = SENTINEL_COMMAND_DRAIN, NODE = SENTINEL_SCOPE_NODE };
enum { VENUE = SENTINEL_SCOPE_VENUE, INSTRUMENT = SENTINEL_SCOPE_INSTRUMENT };

/* A command by this many operators. */
static sentinel_status command(uint16_t verb, uint16_t scope, uint32_t target, int64_t until_ns,
                               unsigned operators) {
    gate_scene *s = &scene;
    scene_command_at(s, verb, scope, target, until_ns);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (operators > 1) {
        frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
    return scene_take(s);
}

static const sentinel_stop_state *stop_at(uint16_t scope, uint32_t target) {
    const sentinel_view *view = sentinel_gate_view(scene.context);
    if (scope == VENUE) {
        return sentinel_view_venue(view, (uint16_t)target);
    }
    return scope == NODE
               ? sentinel_view_node(view, sentinel_bundle_node(&view->bundle, target))
               : sentinel_view_instrument(view, sentinel_bundle_instrument(&view->bundle, target));
}

/* It is refused, which is a record, and leaves the stop as it was. */
static void refused(uint16_t verb, uint16_t scope, uint32_t target, int64_t until_ns,
                    unsigned operators, sentinel_status expected) {
    const sentinel_state *state = sentinel_gate_state(scene.context);
    sentinel_stop_state before = *stop_at(scope, target);
    uint64_t records = state->record_count;
    CHECK_EQ(command(verb, scope, target, until_ns, operators), expected);
    CHECK_EQ(state->record_count, records + 1);
    CHECK_BYTES(&before, stop_at(scope, target), sizeof before);
}

static const struct {
    uint16_t scope;
    uint32_t target;
    sentinel_reason reason;
} scopes[] = {
    {NODE, FIRM_ID, SENTINEL_REASON_KILL_SWITCH},
    {NODE, AGENT_A, SENTINEL_REASON_KILL_SWITCH},
    {VENUE, SENTINEL_VENUE_BINANCE_SPOT, SENTINEL_REASON_VENUE_HALTED},
    {INSTRUMENT, BTCUSDT, SENTINEL_REASON_INSTRUMENT_HALTED},
};
#define SCOPES (sizeof scopes / sizeof *scopes)

static void test_one_operator_stops_and_two_lift(void) {
    gate_scene *s = &scene;
    for (size_t i = 0; i < SCOPES; i++) {
        scene_begin(s);
        uint16_t scope = scopes[i].scope;
        uint32_t target = scopes[i].target;
        sentinel_order order = scene_place(s);
        for (uint16_t verb = HALT; verb <= DRAIN; verb += DRAIN - HALT) {
            uint64_t record = sentinel_gate_state(s->context)->record_count;
            CHECK_OK(command(verb, scope, target, 0, 1));
            const sentinel_stop_state *stop = stop_at(scope, target);
            CHECK_EQ(stop->mode, verb == HALT ? SENTINEL_HALTED : SENTINEL_DRAINING);
            CHECK_EQ(stop->record, record);
            CHECK_EQ(stop->since_ns, s->now);
            CHECK_EQ(stop->severity, 2);
            CHECK_EQ(stop->cause, SENTINEL_CAUSE_OPERATOR);
            check_denied(s, &order, verb == HALT ? scopes[i].reason : SENTINEL_REASON_DRAINING);
            refused(RESUME, scope, target, 0, 1, SENTINEL_POLICY_SIGNATURE);
            check_denied(s, &order, verb == HALT ? scopes[i].reason : SENTINEL_REASON_DRAINING);
            CHECK_OK(command(RESUME, scope, target, 0, 2));
            CHECK_EQ(stop->mode, SENTINEL_RUNNING);
            CHECK_EQ(stop->record, 0);
        }
        check_allowed(s, &order);
        scene_end(s);
    }
}

static void test_a_drain_signs_cancels_and_a_halt_none(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    uint64_t placed = order.header.action_id;
    check_allowed(s, &order);
    for (size_t i = 0; i < SCOPES; i++) {
        sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
        cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
        cancel.cancel.target.action_id = placed;
        CHECK_OK(command(DRAIN, scopes[i].scope, scopes[i].target, s->now + SECOND_NS, 1));
        check_allowed(s, &cancel);
        sentinel_order again = scene_place(s);
        check_denied(s, &again, SENTINEL_REASON_DRAINING);
        cancel.header.action_id = ++s->id;
        s->now += SECOND_NS; /* the end */
        check_denied(s, &cancel, scopes[i].reason);
        CHECK_OK(command(RESUME, scopes[i].scope, scopes[i].target, 0, 2));
    }
    scene_end(s);
}

static void test_a_message_and_a_withdrawal_stop_too(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    for (uint16_t verb = HALT; verb <= DRAIN; verb += DRAIN - HALT) {
        CHECK_OK(command(verb, NODE, AGENT_A, 0, 1));
        sentinel_order message = scene_order(s, SENTINEL_ACTION_MESSAGE);
        message.message.text_size = 4;
        memcpy(message.message.text, "test", 4);
        check_denied(s, &message,
                     verb == HALT ? SENTINEL_REASON_KILL_SWITCH : SENTINEL_REASON_DRAINING);
        CHECK_OK(command(RESUME, NODE, AGENT_A, 0, 2));
    }
    scene_end(s);
}

static void test_what_is_halted_is_not_drained(void) {
    gate_scene *s = &scene;
    for (size_t i = 0; i < SCOPES; i++) {
        scene_begin(s);
        uint16_t scope = scopes[i].scope;
        uint32_t target = scopes[i].target;
        CHECK_OK(command(HALT, scope, target, 0, 1));
        refused(DRAIN, scope, target, 0, 1, SENTINEL_POLICY_STOPPED);
        refused(DRAIN, scope, target, s->now + 1, 2, SENTINEL_POLICY_STOPPED);
        CHECK_OK(command(RESUME, scope, target, 0, 2));
        CHECK_OK(command(DRAIN, scope, target, s->now + 5, 1));
        s->now += 5; /* the drain has ended: a halt */
        refused(DRAIN, scope, target, s->now + 1, 1, SENTINEL_POLICY_STOPPED);
        refused(DRAIN, scope, target, 0, 2, SENTINEL_POLICY_STOPPED);
        refused(RESUME, scope, target, 0, 1, SENTINEL_POLICY_SIGNATURE);
        refused(DRAIN, scope, target, s->now, 2, SENTINEL_POLICY_STOPPED); /* as late */
        CHECK_OK(command(HALT, scope, target, 0, 1));
        scene_end(s);
    }
}

static void test_one_operator_ends_a_drain_sooner_and_two_later(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    int64_t end = s->now + 100;
    for (size_t i = 0; i < SCOPES; i++) {
        uint16_t scope = scopes[i].scope;
        uint32_t target = scopes[i].target;
        CHECK_OK(command(DRAIN, scope, target, 0, 1));
        CHECK_OK(command(DRAIN, scope, target, end, 1));
        CHECK_OK(command(DRAIN, scope, target, end, 1));
        refused(DRAIN, scope, target, end + 1, 1, SENTINEL_POLICY_SIGNATURE);
        refused(DRAIN, scope, target, 0, 1, SENTINEL_POLICY_SIGNATURE);
        CHECK_OK(command(DRAIN, scope, target, end - 1, 1));
        CHECK_OK(command(DRAIN, scope, target, end, 2));
        CHECK_EQ(stop_at(scope, target)->until_ns, end);
        CHECK_OK(command(DRAIN, scope, target, 0, 2));
        CHECK_EQ(stop_at(scope, target)->until_ns, 0);
        CHECK_OK(command(DRAIN, scope, target, 1, 1)); /* late: a halt at once */
        CHECK_EQ(sentinel_stop_mode(stop_at(scope, target), s->now), SENTINEL_HALTED);
    }
    scene_end(s);
}

static void test_targets_that_are_not_there(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    for (uint16_t verb = HALT; verb <= DRAIN; verb++) {
        for (uint16_t scope = NODE; scope <= INSTRUMENT; scope++) {
            CHECK_EQ(command(verb, scope, 0, 0, 2), SENTINEL_POLICY_SCOPE);
            CHECK_EQ(command(verb, scope, 9999, 0, 2), SENTINEL_POLICY_SCOPE);
            CHECK_EQ(command(verb, scope, UINT32_MAX, 0, 2), SENTINEL_POLICY_SCOPE);
        }
        CHECK_OK(command(verb == DRAIN ? RESUME : verb, VENUE, SENTINEL_VENUE_COUNT - 1, 0, 2));
        CHECK_EQ(command(verb, VENUE, SENTINEL_VENUE_COUNT, 0, 2), SENTINEL_POLICY_SCOPE);
        CHECK_EQ(command(verb, VENUE, 0x10000 + SENTINEL_VENUE_BINANCE_SPOT, 0, 2),
                 SENTINEL_POLICY_SCOPE);
        CHECK_EQ(command(verb, NODE, BTCUSDT, 0, 2), SENTINEL_POLICY_SCOPE);
        CHECK_EQ(command(verb, INSTRUMENT, AGENT_A, 0, 2), SENTINEL_POLICY_SCOPE);
    }
    CHECK_EQ(command(DRAIN, NODE, FIRM_ID, -1, 2), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(command(HALT, NODE, FIRM_ID, 1, 2), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(command(RESUME, NODE, AGENT_A, 1, 2), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(command(RESUME, VENUE, SENTINEL_VENUE_OKX, 1, 2), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(command(RESUME, NODE, FIRM_ID, 1, 2), SENTINEL_POLICY_CLOCK); /* not the log's time */
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    scene_end(s);
}

/* The engine's own halt is lifted with the firm alone. */
static void test_resuming_a_venue_leaves_the_engine_halted(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_gate_halt(s->context, SENTINEL_USAGE_STATE, s->now);
    sentinel_order order = scene_place(s);
    for (size_t i = 1; i < SCOPES; i++) {
        CHECK_OK(command(RESUME, scopes[i].scope, scopes[i].target, 0, 2));
        check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    }
    CHECK_OK(command(DRAIN, NODE, FIRM_ID, 0, 2));
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    CHECK_OK(command(RESUME, NODE, FIRM_ID, 0, 2));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_stops_survive_a_new_policy(void) {
    gate_scene *s = &scene;
    for (size_t i = 0; i < SCOPES; i++) {
        scene_begin(s);
        CHECK_OK(command(HALT, scopes[i].scope, scopes[i].target, 0, 1));
        scene_policy_rows(s);
        CHECK_OK(scene_load(s));
        sentinel_order order = scene_place(s);
        check_denied(s, &order, scopes[i].reason);
        scene_end(s);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_one_operator_stops_and_two_lift);
    RUN(test_a_drain_signs_cancels_and_a_halt_none);
    RUN(test_a_message_and_a_withdrawal_stop_too);
    RUN(test_what_is_halted_is_not_drained);
    RUN(test_one_operator_ends_a_drain_sooner_and_two_later);
    RUN(test_targets_that_are_not_there);
    RUN(test_resuming_a_venue_leaves_the_engine_halted);
    RUN(test_stops_survive_a_new_policy);
    return test_end();
}

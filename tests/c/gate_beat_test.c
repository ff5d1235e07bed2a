/* Heartbeats at the gate: whose they are, what is overdue and who looks, what
 * begins anew, and that a replay finds every stop again. */
#include "gate_internal.h"
#include "gate_scene.h"

static gate_scene scene;

enum { SILENCE_S = 5, ITERATION_S = 3 };
#define SILENCE (SILENCE_S * SECOND_NS)
#define ITERATION (ITERATION_S * SECOND_NS)

static const sentinel_stop_state *stop_of(uint32_t id) {
    const sentinel_view *view = sentinel_gate_view(scene.context);
    return sentinel_view_node(view, sentinel_bundle_node(&view->bundle, id));
}

static const sentinel_agent_state *agent_of(uint32_t id) {
    const sentinel_view *view = sentinel_gate_view(scene.context);
    return sentinel_view_agent(view, sentinel_bundle_node(&view->bundle, id));
}

static uint64_t count(void) {
    return sentinel_gate_state(scene.context)->record_count;
}

/* An engine whose agents must beat, by a rule at the firm. */
static void begin(uint8_t mode) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    scene_beat_rule(s, 0, mode, SILENCE_S, ITERATION_S);
    CHECK_OK(scene_load(s));
}

static void check_stopped(uint32_t id, uint8_t mode, uint8_t cause) {
    CHECK_EQ(stop_of(id)->mode, mode);
    CHECK_EQ(stop_of(id)->cause, cause);
}

static sentinel_order message(void) {
    sentinel_order order = scene_order(&scene, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 4;
    memcpy(order.message.text, "test", 4);
    return order;
}

/* ---- Whose it is ------------------------------------------------------------- */

static void refused(sentinel_status status) {
    sentinel_agent_state before = *agent_of(AGENT_A);
    CHECK_EQ(scene_take(&scene), status);
    CHECK_BYTES(&before, agent_of(AGENT_A), sizeof before);
}

static void test_only_the_agents_own_key_beats_for_it(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    const uint32_t others[] = {KEY_AGENT_B, KEY_FEEDER, KEY_OPERATOR_A};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        scene_beat(s, AGENT_A, 1, 0);
        frame_sign(s, others[i], others[i]);
        refused(SENTINEL_POLICY_SIGNATURE);
    }
    scene_beat(s, AGENT_A, 1, 0);
    frame_sign(s, KEY_AGENT_B, KEY_AGENT_A); /* forged */
    refused(SENTINEL_POLICY_SIGNATURE);
    scene_beat(s, AGENT_A, 1, 0);
    refused(SENTINEL_POLICY_SIGNATURE); /* none */
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    frame_sign(s, KEY_AGENT_B, KEY_AGENT_B);
    refused(SENTINEL_POLICY_SIGNATURE); /* two */
    scene_beat(s, FIRM_ID, 1, 0);
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    refused(SENTINEL_POLICY_SIGNATURE);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    CHECK_EQ(agent_of(AGENT_A)->iterations, 1);
    CHECK_EQ(agent_of(AGENT_B)->beat_sequence, 0);
    refused(SENTINEL_POLICY_SEQUENCE); /* replayed */
    scene_end(s);
}

static void test_form_and_sequences_of_a_heartbeat(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    uint64_t *sequence = &s->sequences[SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_HEARTBEAT];
    CHECK_EQ(scene_beat_take(s, AGENT_A, 1, s->now + 1), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(scene_beat_take(s, AGENT_A, 1, -1), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(scene_beat_take(s, 0, 1, 0), SENTINEL_FORMAT_RANGE);
    scene_beat(s, AGENT_A, 1, 0);
    ((sentinel_frame_header *)s->frame)->issued_ns = 0; /* would not restore */
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    refused(SENTINEL_FORMAT_RANGE);
    scene_beat(s, AGENT_A, 1, 0);
    s->frame[sizeof(sentinel_frame_header) + sizeof(sentinel_feed) + 4] = 1;
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    refused(SENTINEL_FORMAT_RESERVED);
    scene_beat(s, AGENT_A, 1, 0);
    s->frame[sizeof(sentinel_frame_header) + 2] = 2; /* count */
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    refused(SENTINEL_FORMAT_LIMIT);
    CHECK_OK(scene_beat_take(s, AGENT_A, UINT64_MAX, s->now));
    /* Each agent counts for itself, over starts and resumptions too. */
    *sequence = 0;
    CHECK_OK(scene_beat_take(s, AGENT_B, 1, 0));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    *sequence = agent_of(AGENT_A)->beat_sequence - 1;
    CHECK_EQ(scene_beat_take(s, AGENT_A, 2, 0), SENTINEL_POLICY_SEQUENCE);
    CHECK_OK(scene_beat_take(s, AGENT_A, 2, 0));
    scene_policy_rows(s);
    s->build.nodes[2].id = 7777; /* agent B is away */
    CHECK_OK(scene_load(s));
    CHECK_EQ(scene_beat_take(s, AGENT_B, 9, 0), SENTINEL_POLICY_SCOPE);
    scene_end(s);
}

/* Later by its sequence, earlier by its time: no state that is refused when it
 * is restored, else no snapshot of the engine is good any more. */
static void test_a_heartbeat_issued_before_the_last_leaves_a_state_that_restores(void) {
    static _Alignas(64) uint8_t layout[1 << 16], kept[1 << 20];
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, s->now));
    int64_t first = s->now;
    s->now -= SECOND_NS;
    scene_beat(s, AGENT_A, 1, s->now - SECOND_NS);
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    s->now = first;
    CHECK_OK(scene_take(s));
    CHECK_EQ(agent_of(AGENT_A)->beat_ns, first - SECOND_NS);
    CHECK_EQ(agent_of(AGENT_A)->running_since_ns, first - SECOND_NS);
    const sentinel_view *view = sentinel_gate_view(s->context);
    CHECK(view->state->size_bytes <= sizeof kept);
    memcpy(kept, view->state, view->state->size_bytes);
    sentinel_view restored;
    CHECK_OK(sentinel_state_restore(&restored, &view->bundle, layout, sizeof layout, kept,
                                    view->state->size_bytes));
    scene_end(s);
}

/* ---- Who looks --------------------------------------------------------------- */

static void test_an_agent_that_has_not_beaten_is_refused_and_not_stopped(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    s->now += 100 * SILENCE;
    CHECK_OK(sentinel_gate_tick(s->context, s->now));
    sentinel_order order = message();
    check_denied(s, &order, SENTINEL_REASON_HEARTBEAT);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    CHECK_OK(scene_beat_take(s, AGENT_A, 0, 0));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_its_own_order_finds_it_one_past_the_deadline(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    s->now += SILENCE;
    sentinel_order order = message();
    check_allowed(s, &order);
    s->now += 1;
    order = message();
    uint64_t before = count();
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(count(), before + 2); /* the stop, then the refusal */
    check_stopped(AGENT_A, SENTINEL_HALTED, SENTINEL_CAUSE_HEARTBEAT);
    CHECK_EQ(stop_of(AGENT_A)->record, before);
    /* Nothing but k of n lifts it: not a heartbeat, not a start, not one. */
    CHECK_OK(scene_beat_take(s, AGENT_A, 2, 0));
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_command(s, SENTINEL_COMMAND_RESUME, AGENT_A);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    CHECK_OK(scene_resume(s, AGENT_A));
    check_denied(s, &order, SENTINEL_REASON_HEARTBEAT); /* it must beat first */
    CHECK_OK(scene_beat_take(s, AGENT_A, 3, 0));
    check_allowed(s, &order);
    scene_end(s);
}

/* A thread goes on beating for a loop that hangs, and nobody asks anything. */
static void test_a_hanging_loop_is_stopped_by_the_tick_while_its_thread_beats(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    int64_t began = s->now;
    CHECK_OK(scene_beat_take(s, AGENT_A, 7, began));
    while (s->now < began + ITERATION) {
        s->now += SECOND_NS;
        CHECK_OK(scene_beat_take(s, AGENT_A, 7, s->now)); /* it even says that it began anew */
        CHECK_OK(sentinel_gate_tick(s->context, s->now));
        CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    }
    uint64_t before = count();
    CHECK_OK(sentinel_gate_tick(s->context, s->now + 1));
    CHECK_EQ(count(), before + 1);
    check_stopped(AGENT_A, SENTINEL_HALTED, SENTINEL_CAUSE_PROGRESS);
    CHECK_EQ(stop_of(AGENT_B)->mode, SENTINEL_RUNNING);
    CHECK_OK(sentinel_gate_tick(s->context, s->now + 100 * SILENCE));
    CHECK_EQ(count(), before + 1); /* once */
    scene_end(s);
}

static void test_a_late_heartbeat_undoes_no_silence_and_one_that_waited_does(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    CHECK_OK(scene_beat_take(s, AGENT_B, 1, 0));
    s->now += SILENCE; /* issued in time, and taken long after */
    scene_beat(s, AGENT_B, 2, 0);
    frame_sign(s, KEY_AGENT_B, KEY_AGENT_B);
    s->now += SILENCE;
    CHECK_OK(scene_take(s));
    CHECK_EQ(stop_of(AGENT_B)->mode, SENTINEL_RUNNING);
    uint64_t before = count();
    uint64_t record;
    scene_beat(s, AGENT_A, 2, 0); /* issued too late */
    frame_sign(s, KEY_AGENT_A, KEY_AGENT_A);
    CHECK_OK(sentinel_gate_take(s->context, &record, s->frame, s->frame_size, s->now));
    CHECK_EQ(record, before + 1); /* behind the stop */
    check_stopped(AGENT_A, SENTINEL_HALTED, SENTINEL_CAUSE_HEARTBEAT);
    CHECK_EQ(stop_of(AGENT_A)->record, before);
    scene_end(s);
}

static void test_a_drain_by_silence_lets_cancels_through_and_becomes_a_halt(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    scene_beat_rule(s, 0, SENTINEL_HALTED, 2 * SILENCE_S, 0);
    scene_beat_rule(s, 1, SENTINEL_DRAINING, SILENCE_S, 0);
    CHECK_OK(scene_load(s));
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    sentinel_order order = scene_place(s);
    uint64_t placed = order.header.action_id;
    check_allowed(s, &order);
    s->now += SILENCE + 1;
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_DRAINING);
    check_stopped(AGENT_A, SENTINEL_DRAINING, SENTINEL_CAUSE_HEARTBEAT);
    sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
    cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
    cancel.cancel.target.action_id = placed;
    check_allowed(s, &cancel);
    s->now += SILENCE;
    cancel.header.action_id = ++s->id;
    check_denied(s, &cancel, SENTINEL_REASON_KILL_SWITCH);
    check_stopped(AGENT_A, SENTINEL_HALTED, SENTINEL_CAUSE_HEARTBEAT);
    scene_end(s);
}

/* ---- What is stopped anyway --------------------------------------------------- */

static void test_what_is_halted_from_above_is_left_and_must_beat_after_the_resume(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    CHECK_OK(scene_halt(s, FIRM_ID));
    s->now += SILENCE + 1;
    uint64_t before = count();
    CHECK_OK(sentinel_gate_tick(s->context, s->now));
    CHECK_EQ(count(), before);
    sentinel_order order = message();
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    CHECK_OK(scene_resume(s, FIRM_ID));
    CHECK_EQ(agent_of(AGENT_A)->beat_deadline_ns, 0);
    check_denied(s, &order, SENTINEL_REASON_HEARTBEAT);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    check_allowed(s, &order);
    /* Another agent's resume leaves this one's beats. */
    CHECK_OK(scene_resume(s, AGENT_B));
    CHECK_EQ(agent_of(AGENT_A)->beat_ns, s->now);
    /* An engine that halted itself looks after none. */
    sentinel_gate_halt(s->context, SENTINEL_INTERNAL, s->now);
    s->now += SILENCE + 1;
    before = count();
    CHECK_OK(sentinel_gate_tick(s->context, s->now));
    CHECK_EQ(count(), before);
    scene_end(s);
}

/* Frames that wait may hold the very heartbeat. */
static void test_an_order_that_the_control_page_stops_looks_at_nothing(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    s->now += SILENCE + 1;
    s->control.spool_submitted = 1;
    sentinel_order order = message();
    check_denied(s, &order, SENTINEL_REASON_CONTROL_STOP);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    s->control.spool_applied = 1;
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_end(s);
}

static void test_a_new_rule_asks_agents_that_beat_already_and_no_rule_asks_none(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0)); /* taken without any rule */
    CHECK_EQ(agent_of(AGENT_A)->beat_deadline_ns, 0);
    scene_policy_rows(s);
    scene_beat_rule(s, 1, SENTINEL_HALTED, SILENCE_S, ITERATION_S);
    CHECK_OK(scene_load(s));
    CHECK_EQ(agent_of(AGENT_A)->beat_deadline_ns, s->now + SILENCE);
    sentinel_order order = message();
    check_allowed(s, &order);
    CHECK_EQ(sentinel_gate_tick(NULL, 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_gate_tick(s->context, -1), SENTINEL_USAGE_ARGUMENT);
    scene_policy_rows(s);
    CHECK_OK(scene_load(s));
    s->now += 2 * SILENCE;
    CHECK_OK(sentinel_gate_tick(s->context, s->now));
    order = message();
    check_allowed(s, &order);
    scene_end(s);
}

/* ---- Replay ------------------------------------------------------------------ */

static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
static sentinel_record record;

static void read_record(uint64_t number) {
    sentinel_log_reader reader;
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, bytes, sizeof bytes));
    sentinel_log_reader_close(&reader);
}

/* A log must have the stop where it fell due, and nowhere else. */
static void test_replay_wants_the_stop_before_the_order_and_not_sooner(void) {
    gate_scene *s = &scene;
    begin(SENTINEL_HALTED);
    static _Alignas(8) uint8_t policy[16384];
    size_t policy_size = s->frame_size;
    memcpy(policy, s->frame, policy_size);
    CHECK_OK(scene_beat_take(s, AGENT_A, 1, 0));
    s->now += SILENCE + 1;
    sentinel_order order = message();
    uint64_t stop = count();
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    /* A second engine, up to the heartbeat. */
    uint64_t last = count();
    scene_context(s, s->ring, NULL);
    const char *difference = NULL;
    for (uint64_t i = 0; i < stop; i++) {
        read_record(i);
        int is_first = i == 2; /* the policy that the scene began with: without the rule */
        if (is_first) {
            scene_policy_rows(s);
            s->sequences[SENTINEL_FRAME_POLICY] = 0;
            int64_t now = s->now;
            s->now = START_NS;
            bundle_pack(&s->build);
            frame_begin(s, SENTINEL_FRAME_POLICY, s->build.frame + sizeof(sentinel_frame_header),
                        s->build.frame_size - 8 - sizeof(sentinel_frame_header), 1);
            frame_sign(s, KEY_POLICY, KEY_POLICY);
            s->now = now;
        }
        const void *bundle = i == 1 ? (void *)s->authority : is_first ? s->frame : policy;
        size_t size = i == 1 ? s->authority_size : is_first ? s->frame_size : policy_size;
        CHECK_OK(sentinel_gate_replay(s->context, &difference, &record, bundle, size));
    }
    read_record(stop + 1);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_ORDER);
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    CHECK(difference != NULL && strcmp(difference, "stop") == 0);
    read_record(stop);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_STOP);
    sentinel_auto_stop *made = (sentinel_auto_stop *)(uintptr_t)record.subject;
    sentinel_auto_stop right = *made;
    sentinel_record_header *header = (sentinel_record_header *)(uintptr_t)record.header;
    made->mode = SENTINEL_DRAINING;
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    *made = right;
    made->cause = SENTINEL_CAUSE_PROGRESS;
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    *made = right;
    header->now_ns -= 1; /* at the deadline */
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    header->now_ns += 1;
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    for (uint64_t i = stop; i < last; i++) {
        read_record(i);
        CHECK_OK(sentinel_gate_replay(s->context, &difference, &record, NULL, 0));
    }
    check_stopped(AGENT_A, SENTINEL_HALTED, SENTINEL_CAUSE_HEARTBEAT);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_only_the_agents_own_key_beats_for_it);
    RUN(test_form_and_sequences_of_a_heartbeat);
    RUN(test_a_heartbeat_issued_before_the_last_leaves_a_state_that_restores);
    RUN(test_an_agent_that_has_not_beaten_is_refused_and_not_stopped);
    RUN(test_its_own_order_finds_it_one_past_the_deadline);
    RUN(test_a_hanging_loop_is_stopped_by_the_tick_while_its_thread_beats);
    RUN(test_a_late_heartbeat_undoes_no_silence_and_one_that_waited_does);
    RUN(test_a_drain_by_silence_lets_cancels_through_and_becomes_a_halt);
    RUN(test_what_is_halted_from_above_is_left_and_must_beat_after_the_resume);
    RUN(test_an_order_that_the_control_page_stops_looks_at_nothing);
    RUN(test_a_new_rule_asks_agents_that_beat_already_and_no_rule_asks_none);
    RUN(test_replay_wants_the_stop_before_the_order_and_not_sooner);
    return test_end();
}

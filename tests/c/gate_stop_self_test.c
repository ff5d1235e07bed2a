/* Stops that the engine sets by itself: the record comes first, what is halted
 * keeps its cause, and only a resume lifts them. */
#include "gate_internal.h"
#include "gate_scene.h"

static gate_scene scene;
static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];
static sentinel_record record;

static const sentinel_stop_state *stop_of(uint32_t id) {
    const sentinel_view *view = sentinel_gate_view(scene.context);
    return sentinel_view_node(view, sentinel_bundle_node(&view->bundle, id));
}

static sentinel_auto_stop stop_made(uint32_t target, uint8_t mode) {
    return (sentinel_auto_stop){
        .scope = SENTINEL_SCOPE_NODE,
        .mode = mode,
        .cause = SENTINEL_CAUSE_REPORT,
        .target = target,
        .sequence = 7,
    };
}

static void read_record(uint64_t number) {
    sentinel_log_reader reader;
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, bytes, sizeof bytes));
    sentinel_log_reader_close(&reader);
}

static void test_record_first_and_two_operators_lift(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const sentinel_state *state = sentinel_gate_state(s->context);
    sentinel_auto_stop stop = stop_made(AGENT_A, SENTINEL_HALTED);
    uint64_t number = state->record_count;
    uint8_t frame[16] = {1, 2, 3};
    CHECK_OK(gate_auto_stop(s->context, &stop, frame, sizeof frame, s->now, 0));
    CHECK_EQ(state->record_count, number + 1);
    read_record(number);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_STOP);
    CHECK_EQ(record.header->subject_size, sizeof stop + sizeof frame);
    CHECK_BYTES(record.subject, &stop, sizeof stop);
    CHECK_BYTES(record.subject + sizeof stop, frame, sizeof frame);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_HALTED);
    CHECK_EQ(stop_of(AGENT_A)->cause, SENTINEL_CAUSE_REPORT);
    CHECK_EQ(stop_of(AGENT_A)->record, number);
    CHECK_EQ(stop_of(AGENT_A)->since_ns, s->now);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_command(s, SENTINEL_COMMAND_RESUME, AGENT_A);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    CHECK_OK(scene_resume(s, AGENT_A));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_what_is_halted_keeps_its_cause_and_a_drain_becomes_a_halt(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const sentinel_state *state = sentinel_gate_state(s->context);
    CHECK_OK(scene_halt(s, AGENT_A));
    sentinel_stop_state before = *stop_of(AGENT_A);
    uint64_t records = state->record_count;
    sentinel_auto_stop stop = stop_made(AGENT_A, SENTINEL_HALTED);
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0));
    stop.mode = SENTINEL_DRAINING;
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0));
    CHECK_EQ(state->record_count, records); /* nothing would change */
    CHECK_BYTES(&before, stop_of(AGENT_A), sizeof before);

    scene_command_at(s, SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, AGENT_B, s->now + SECOND_NS);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_OK(scene_take(s));
    before = *stop_of(AGENT_B);
    records = state->record_count;
    stop = stop_made(AGENT_B, SENTINEL_DRAINING);
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0));
    CHECK_BYTES(&before, stop_of(AGENT_B), sizeof before); /* its end stays */
    stop.mode = SENTINEL_HALTED;
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now + SECOND_NS, 0));
    CHECK_EQ(state->record_count, records); /* the drain has ended: it is halted */
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0));
    CHECK_EQ(state->record_count, records + 1);
    CHECK_EQ(stop_of(AGENT_B)->mode, SENTINEL_HALTED);
    CHECK_EQ(stop_of(AGENT_B)->until_ns, 0);
    scene_end(s);
}

static void test_no_such_node_and_too_much_behind_it(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    static const uint8_t frame[SENTINEL_SUBJECT_BYTES_MAX];
    sentinel_auto_stop stop = stop_made(4711, SENTINEL_HALTED);
    CHECK_EQ(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0), SENTINEL_POLICY_SCOPE);
    stop.target = AGENT_A;
    stop.scope = SENTINEL_SCOPE_VENUE;
    CHECK_EQ(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0), SENTINEL_POLICY_SCOPE);
    stop.scope = SENTINEL_SCOPE_NODE;
    size_t most = sizeof frame - sizeof stop;
    CHECK_EQ(gate_auto_stop(s->context, &stop, frame, most + 8, s->now, 0), SENTINEL_FORMAT_LIMIT);
    CHECK_EQ(gate_auto_stop(s->context, &stop, frame, 9, s->now, 0), SENTINEL_FORMAT_LIMIT);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    CHECK_OK(gate_auto_stop(s->context, &stop, frame, most, s->now, 0));
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_HALTED);
    scene_end(s);
}

/* A log may not say that the engine stopped what its state gives no cause for. */
static void test_replay_refuses_a_stop_without_its_cause(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    uint64_t number = sentinel_gate_state(s->context)->record_count;
    sentinel_auto_stop stop = stop_made(AGENT_A, SENTINEL_HALTED);
    CHECK_OK(gate_auto_stop(s->context, &stop, NULL, 0, s->now, 0));
    read_record(number);
    /* The same engine without the stop: it is lifted, and counted back. */
    CHECK_OK(scene_resume(s, AGENT_A));
    const char *difference = NULL;
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &record, NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    CHECK(difference != NULL && strcmp(difference, "stop") == 0);
    CHECK_EQ(stop_of(AGENT_A)->mode, SENTINEL_RUNNING);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_record_first_and_two_operators_lift);
    RUN(test_what_is_halted_keeps_its_cause_and_a_drain_becomes_a_halt);
    RUN(test_no_such_node_and_too_much_behind_it);
    RUN(test_replay_refuses_a_stop_without_its_cause);
    return test_end();
}

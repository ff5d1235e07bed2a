/* What a compromised agent, operator or host would try on the gate. Goal: no
 * one frame or file uses up what others need, nothing that was counted is
 * lost, and a replay believes nothing that it can check. Method: each test is
 * one attempt, on a whole engine in memory. */
#include "gate_scene.h"

static gate_scene scene;

/* ---- Frames ------------------------------------------------------------------- */

static void test_no_operator_uses_up_the_sequences(void) {
    scene_begin(&scene);
    scene.sequences[SENTINEL_FRAME_COMMAND] = UINT64_MAX - 1;
    CHECK_EQ(scene_halt(&scene, AGENT_B), SENTINEL_POLICY_SEQUENCE);
    uint64_t most = (uint64_t)scene.now + SENTINEL_FRAME_AHEAD_NS;
    scene.sequences[SENTINEL_FRAME_COMMAND] = most;
    CHECK_EQ(scene_halt(&scene, AGENT_B), SENTINEL_POLICY_SEQUENCE);
    scene.sequences[SENTINEL_FRAME_COMMAND] = most - 1;
    CHECK_OK(scene_halt(&scene, AGENT_B));
    scene.now++;
    CHECK_OK(scene_halt(&scene, FIRM_ID)); /* the next number, a moment later */
    sentinel_order order = scene_place(&scene);
    check_denied(&scene, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_end(&scene);
}

/* Issues a signed command ahead of the engine's clock. */
static sentinel_status halt_ahead(int64_t ahead_ns) {
    scene.now += ahead_ns;
    scene_command(&scene, SENTINEL_COMMAND_HALT, FIRM_ID);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    scene.now -= ahead_ns;
    return scene_take(&scene);
}

static void test_a_halt_gets_through_when_its_signers_clock_is_ahead(void) {
    scene_begin(&scene);
    CHECK_EQ(halt_ahead(SENTINEL_FRAME_AHEAD_NS + 1), SENTINEL_POLICY_EXPIRED);
    CHECK_OK(halt_ahead(SENTINEL_FRAME_AHEAD_NS));
    scene_end(&scene);
}

static void test_a_mark_of_the_future_is_refused(void) {
    scene_begin(&scene);
    scene.now++;
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
    scene.now--;
    CHECK_EQ(scene_take(&scene), SENTINEL_POLICY_EXPIRED);
    scene_end(&scene);
}

/* A bundle is kept when the check passes: then taking it must not pass alone. */
static void test_checking_a_frame_holds_the_clock_as_taking_it_does(void) {
    scene_begin(&scene);
    scene.now += SECOND_NS;
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    scene_feed(&scene, BTCUSDT, decimal(5000000, 2));
    scene.now -= SECOND_NS / 2;
    CHECK_OK(sentinel_gate_check(scene.context, scene.frame, scene.frame_size, scene.now));
    CHECK_OK(scene_take(&scene));
    scene_end(&scene);
}

/* ---- Policies ------------------------------------------------------------------ */

static uint64_t records(void) {
    return sentinel_gate_state(scene.context)->record_count;
}

static void test_counted_denials_outlive_the_agent(void) {
    scene_begin(&scene);
    scene_policy_rows(&scene);
    scene.build.policy.attempt_limit = 1;
    CHECK_OK(scene_load(&scene));
    for (unsigned i = 0; i < 3; i++) {
        sentinel_order order = scene_place(&scene);
        order.place.quantity = decimal(1, 0);
        check_denied(&scene, &order, SENTINEL_REASON_VALUE_CAP);
    }
    uint64_t before = records();
    scene_policy_rows(&scene);
    scene.build.nodes[1].id = AGENT_A + 100; /* agent A is gone */
    CHECK_OK(scene_load(&scene));
    CHECK_EQ(records(), before + 2); /* the summary, then the bundle */
    scene_end(&scene);
}

static void test_a_policy_does_not_lift_a_halt_by_giving_its_id_away(void) {
    scene_begin(&scene);
    CHECK_OK(scene_halt(&scene, FIRM_ID));
    scene_policy_rows(&scene);
    scene.build.nodes[0].id = FIRM_ID + 1;
    add_node(&scene.build, FIRM_ID, SENTINEL_NODE_AGENT, 0);
    CHECK_EQ(scene_load(&scene), SENTINEL_FORMAT_REFERENCE);
    scene_end(&scene);
}

static void test_a_policy_does_not_lift_a_halt_by_moving_the_agent(void) {
    scene_begin(&scene);
    scene_policy_rows(&scene);
    uint32_t group = add_node(&scene.build, 3000, SENTINEL_NODE_GROUP, 0);
    add_node(&scene.build, 3001, SENTINEL_NODE_AGENT, group);
    CHECK_OK(scene_load(&scene));
    CHECK_OK(scene_halt(&scene, 3000));
    scene_policy_rows(&scene);
    add_node(&scene.build, 3000, SENTINEL_NODE_GROUP, 0);
    add_node(&scene.build, 3001, SENTINEL_NODE_AGENT, 0);
    CHECK_EQ(scene_load(&scene), SENTINEL_FORMAT_REFERENCE);
    CHECK_OK(scene_halt(&scene, 3001)); /* halted itself, it may move */
    CHECK_OK(scene_load(&scene));
    scene_end(&scene);
}

/* ---- Keys --------------------------------------------------------------------- */

static void test_an_open_endpoint_needs_a_check_or_a_grant(void) {
    scene_begin(&scene);
    scene_policy_rows(&scene);
    scene.build.keys[0].flags = 0;
    scene.build.keys[0].products = 1u << SENTINEL_CONTRACT_SPOT;
    CHECK_OK(scene_load(&scene));
    sentinel_order order = scene_place(&scene);
    check_denied(&scene, &order, SENTINEL_REASON_KEY_NOT_GRANTED);
    scene_end(&scene);
}

static void test_what_binance_signs_always_expires(void) {
    scene_begin(&scene);
    scene_policy_rows(&scene);
    scene.build.keys[0].expiry_ms = 0;
    CHECK_OK(scene_load(&scene));
    sentinel_order order = scene_place(&scene);
    check_denied(&scene, &order, SENTINEL_REASON_UNSUPPORTED);
    scene_end(&scene);
}

static void test_the_newest_head_names_the_newest_record(void) {
    scene_begin(&scene);
    const sentinel_state *state = sentinel_gate_state(scene.context);
    sentinel_head head = {.epoch = state->epoch, .count = state->record_count};
    uint8_t signature[64];
    memcpy(head.engine_id32, scene.engine_id32, 32);
    memcpy(head.last_hash32, state->last_hash32, 32);
    CHECK_OK(sentinel_gate_sign_head(scene.context, signature, &head));
    head.last_hash32[0] ^= 1;
    CHECK_EQ(sentinel_gate_sign_head(scene.context, signature, &head), SENTINEL_USAGE_ARGUMENT);
    scene_end(&scene);
}

/* ---- Replay ------------------------------------------------------------------- */

static _Alignas(8) uint8_t kept[16][SENTINEL_RECORD_BYTES_MAX];
static sentinel_record parsed[16];

static void read_all(uint64_t count) {
    sentinel_log_reader reader;
    CHECK(count <= 16);
    CHECK_OK(sentinel_log_reader_open(&reader, scene.dir_fd, 0));
    for (uint64_t i = 0; i < count; i++) {
        CHECK_OK(sentinel_log_reader_next(&reader, &parsed[i], kept[i], sizeof kept[i]));
    }
    sentinel_log_reader_close(&reader);
}

/* Makes a record of the same parts under another header. */
static void forge(uint64_t number, sentinel_record_header header) {
    static _Alignas(8) uint8_t made[SENTINEL_RECORD_BYTES_MAX];
    uint8_t hash32[32];
    sentinel_outcome_part outcome;
    sentinel_record_parts parts = {.subject = parsed[number].subject,
                                   .results = parsed[number].results};
    if (parsed[number].outcome != NULL) {
        outcome = *parsed[number].outcome;
        if (header.verdict != SENTINEL_ALLOWED) {
            memset(outcome.signature_digest32, 0, 32);
        }
        parts.outcome = &outcome;
    }
    CHECK_OK(sentinel_record_build(made, sizeof made, hash32, &header, &parts));
    memcpy(kept[number], made, header.size_bytes);
    CHECK_OK(sentinel_record_parse(&parsed[number], kept[number], header.size_bytes));
}

/* Replays the scene's records 0 to 3, then the one after; without keys. */
static sentinel_status replay_next(const char **difference) {
    static _Alignas(8) uint8_t policy[65536];
    size_t policy_size = scene.frame_size;
    memcpy(policy, scene.frame, policy_size);
    scene_context(&scene, NULL, NULL);
    for (uint64_t i = 0; i < 4; i++) {
        const uint8_t *bundle = i == 1 ? scene.authority : i == 2 ? policy : NULL;
        size_t size = i == 1 ? scene.authority_size : i == 2 ? policy_size : 0;
        CHECK_OK(sentinel_gate_replay(scene.context, difference, &parsed[i], bundle, size));
    }
    return sentinel_gate_replay(scene.context, difference, &parsed[4], NULL, 0);
}

static void test_replay_refuses_a_time_that_goes_back(void) {
    const char *difference = NULL;
    scene_begin(&scene); /* the policy's frame stays in scene.frame */
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    read_all(5);
    sentinel_record_header header = *parsed[4].header;
    header.now_ns--;
    forge(4, header);
    CHECK_EQ(replay_next(&difference), SENTINEL_AUDIT_MISMATCH);
    CHECK(difference != NULL && strcmp(difference, "now") == 0);
    scene_end(&scene);
}

static void test_replay_refuses_a_held_time_that_is_another(void) {
    const char *difference = NULL;
    scene_begin(&scene);
    scene.now++;
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    read_all(5);
    sentinel_record_header header = *parsed[4].header;
    header.flags |= SENTINEL_RECORD_CLOCK_HELD; /* but the time moved on */
    forge(4, header);
    CHECK_EQ(replay_next(&difference), SENTINEL_AUDIT_MISMATCH);
    CHECK(difference != NULL && strcmp(difference, "now") == 0);
    scene_end(&scene);
}

/* Signed, and then the request could not be completed: charged, not denied. */
static void test_replay_knows_a_failure_after_signing_from_a_refusal(void) {
    const char *difference = NULL;
    scene_begin(&scene);
    sentinel_order order = scene_place(&scene);
    check_allowed(&scene, &order);
    read_all(5);
    sentinel_record_header header = *parsed[4].header;
    header.verdict = SENTINEL_FAILED;
    header.reason = SENTINEL_REASON_RENDER_FAILED;
    header.reasons[SENTINEL_REASON_RENDER_FAILED / 64] = UINT64_C(1)
                                                         << (SENTINEL_REASON_RENDER_FAILED % 64);
    forge(4, header);
    CHECK_OK(replay_next(&difference));
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_no_operator_uses_up_the_sequences);
    RUN(test_a_halt_gets_through_when_its_signers_clock_is_ahead);
    RUN(test_a_mark_of_the_future_is_refused);
    RUN(test_checking_a_frame_holds_the_clock_as_taking_it_does);
    RUN(test_counted_denials_outlive_the_agent);
    RUN(test_a_policy_does_not_lift_a_halt_by_giving_its_id_away);
    RUN(test_a_policy_does_not_lift_a_halt_by_moving_the_agent);
    RUN(test_an_open_endpoint_needs_a_check_or_a_grant);
    RUN(test_what_binance_signs_always_expires);
    RUN(test_the_newest_head_names_the_newest_record);
    RUN(test_replay_refuses_a_time_that_goes_back);
    RUN(test_replay_refuses_a_held_time_that_is_another);
    RUN(test_replay_knows_a_failure_after_signing_from_a_refusal);
    return test_end();
}

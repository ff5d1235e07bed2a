/* Acknowledgements. Goal: each command that was taken gives one, signed, of what
 * it did; nothing else does. Method: an engine that takes commands directly
 * (through the spool: engine_spool_test.c). */
#include "engine_ack.h"
#include "witness_scene.h"

static void test_a_command_is_acknowledged_with_what_it_did(void) {
    engine_begin();
    sentinel_signed_ack first, again;
    CHECK_EQ(sentinel_engine_ack(engine, &first), SENTINEL_USAGE_STATE);
    expect_allowed();
    int64_t usable = engine_state()->released.usable_until_ms[SENTINEL_VENUE_BINANCE_SPOT];
    CHECK(usable != 0);
    frame_command(SENTINEL_COMMAND_HALT);
    uint64_t record;
    CHECK_OK(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now));
    CHECK_OK(sentinel_engine_ack(engine, &first));
    expect_acknowledged(&first, record);
    CHECK_EQ(first.ack.verb, SENTINEL_COMMAND_HALT);
    CHECK_EQ(first.ack.scope, SENTINEL_SCOPE_NODE);
    CHECK_EQ(first.ack.target, FIRM_ID);
    CHECK_EQ(first.ack.now_ns, scene.now);
    CHECK_EQ(first.ack.epoch, engine_state()->epoch);
    CHECK_EQ(first.ack.usable_until_ms[SENTINEL_VENUE_BINANCE_SPOT], usable);
    CHECK(memcmp(first.ack.record_hash32, engine_state()->last_hash32, 32) == 0);
    /* What follows changes nothing, and a refused command is not acknowledged. */
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    frame_command(SENTINEL_COMMAND_RESUME);
    scene.frame[scene.frame_size - 1] ^= 1;
    CHECK_EQ(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now),
             SENTINEL_POLICY_SIGNATURE);
    CHECK_OK(sentinel_engine_ack(engine, &again));
    CHECK(memcmp(&first, &again, sizeof first) == 0);
    /* One of another engine, or of a record that is not there, is not signed. */
    sentinel_context *context = sentinel_engine_context(engine);
    again.ack.engine_id32[0] ^= 1;
    CHECK_EQ(sentinel_gate_sign_ack(context, again.signature64, &again.ack),
             SENTINEL_USAGE_ARGUMENT);
    again.ack = first.ack;
    again.ack.count = engine_state()->record_count;
    CHECK_OK(sentinel_gate_sign_ack(context, again.signature64, &again.ack));
    again.ack.count++;
    CHECK_EQ(sentinel_gate_sign_ack(context, again.signature64, &again.ack),
             SENTINEL_USAGE_ARGUMENT);
    /* Nor is a frame that is not the last command. */
    CHECK_EQ(sentinel_gate_acknowledge(context, &again.ack, scene.frame, scene.frame_size),
             SENTINEL_USAGE_ARGUMENT);
}

static void take_one(uint64_t *record) {
    CHECK_OK(sentinel_engine_take(engine, record, scene.frame, scene.frame_size, scene.now));
}

static void test_a_witness_confirms_before_it_is_acknowledged(void) {
    engine_begin();
    witness_scene witness = {.records = 10, .spend = INT64_MAX / 4};
    sentinel_signed_ack found;
    sentinel_ask ask;
    uint8_t signature64[64];
    uint64_t record, grant_record;
    scene.has_witness = 1;
    scene_authority(&scene);
    take_one(&record);
    frame_command(SENTINEL_COMMAND_HALT);
    take_one(&record);
    CHECK_EQ(sentinel_engine_ack(engine, &found), SENTINEL_USAGE_STATE);
    expect_denied(SENTINEL_REASON_KILL_SWITCH); /* it holds all the same */
    CHECK_OK(sentinel_gate_ask(sentinel_engine_context(engine), &ask, signature64, 0));
    sentinel_grant grant = witness_answer(&witness, &ask);
    witness_frame(&scene, &grant);
    take_one(&grant_record);
    CHECK_OK(sentinel_engine_ack(engine, &found));
    CHECK_EQ(found.ack.record, record);
    CHECK_EQ(found.ack.verb, SENTINEL_COMMAND_HALT);
    scene.has_witness = 0;
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_command_is_acknowledged_with_what_it_did);
    RUN(test_a_witness_confirms_before_it_is_acknowledged);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}

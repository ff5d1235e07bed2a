/* Replay: a log decided again gives the same records, with keys and without;
 * whatever differs is named. A snapshot continues as the log would have. */
#include "gate_scene.h"

static gate_scene scene;
static _Alignas(8) uint8_t records[64][SENTINEL_RECORD_BYTES_MAX];
static sentinel_record parsed[64];

/* Some of everything that can stand in a log. */
static uint64_t scene_play(gate_scene *s) {
    scene_begin(s);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE);
    s->now += SECOND_NS;
    scene_feed(s, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(scene_take(s));
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SEQUENCE); /* replayed: refused, recorded */
    order = scene_place(s);
    order.place.side = SENTINEL_SIDE_SELL;
    check_allowed(s, &order);
    sentinel_order cancel = scene_order(s, SENTINEL_ACTION_CANCEL);
    cancel.cancel.target.by = SENTINEL_TARGET_ACTION;
    cancel.cancel.target.action_id = order.header.action_id;
    check_allowed(s, &cancel);
    order = scene_place(s);
    order.place.quantity = decimal(1, 0);
    check_denied(s, &order, SENTINEL_REASON_VALUE_CAP);
    CHECK_OK(scene_halt(s, AGENT_A));
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    CHECK_OK(scene_resume(s, AGENT_A));
    scene_policy_rows(s);
    s->build.policy.attempt_limit = 1;
    add_window(&s->build, 70, 0, SENTINEL_RULE_RATE_LIMIT, 2, SECOND_NS);
    add_window(&s->build, 71, 1, SENTINEL_RULE_ROLLING_CAP, INT64_C(10000000000), SECOND_NS * 60);
    CHECK_OK(scene_load(s));
    for (unsigned i = 0; i < 4; i++) {
        order = scene_place(s);
        scene_sign(s, &order);
    }
    CHECK_EQ(s->outcome.reason, SENTINEL_REASON_RATE_LIMIT);
    s->now += 2 * SECOND_NS;
    order = scene_place(s);
    check_allowed(s, &order);
    s->now -= SECOND_NS / 2; /* held */
    order = scene_place(s);
    check_allowed(s, &order);
    s->now -= 3 * SECOND_NS; /* halts */
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    s->now += 10 * SECOND_NS;
    CHECK_OK(scene_resume(s, FIRM_ID));
    uint8_t odd[40] = {1};
    CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, odd, 33, s->now));
    s->now += 2 * SECOND_NS;
    order = scene_place(s);
    check_allowed(s, &order);
    CHECK_OK(sentinel_gate_flush(s->context, s->now));
    return sentinel_gate_state(s->context)->record_count;
}

static void read_all(gate_scene *s, uint64_t count) {
    sentinel_log_reader reader;
    CHECK(count <= 64);
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, 0));
    for (uint64_t i = 0; i < count; i++) {
        CHECK_OK(sentinel_log_reader_next(&reader, &parsed[i], records[i], sizeof records[i]));
    }
    sentinel_log_reader_close(&reader);
}

/* The frame that a BUNDLE record names: the authority, or a policy. */
typedef struct bundle_bytes {
    uint64_t record;
    size_t size;
    _Alignas(8) uint8_t bytes[16384];
} bundle_bytes;
static bundle_bytes bundles[4];
static unsigned bundle_count;

static void keep_bundle(gate_scene *s, uint64_t record) {
    bundle_bytes *kept = &bundles[bundle_count++];
    CHECK(s->frame_size <= sizeof kept->bytes);
    kept->record = record;
    kept->size = s->frame_size;
    memcpy(kept->bytes, s->frame, s->frame_size);
}

static const bundle_bytes *bundle_of(uint64_t record) {
    for (unsigned i = 0; i < bundle_count; i++) {
        if (bundles[i].record == record) {
            return &bundles[i];
        }
    }
    return NULL;
}

/* Makes the policies of scene_play again: they are the same bytes but for what
 * is signed at another time, so the log's own times are used. */
static void rebuild_bundles(gate_scene *s, uint64_t count) {
    bundle_count = 0;
    memcpy(bundles[0].bytes, s->authority, s->authority_size);
    bundles[0].size = s->authority_size;
    bundles[0].record = 1;
    bundle_count = 1;
    uint64_t sequence = 0;
    int64_t now = s->now;
    for (uint64_t i = 2; i < count; i++) {
        if (parsed[i].header->type != SENTINEL_RECORD_BUNDLE) {
            continue;
        }
        s->now = parsed[i].header->now_ns;
        scene_policy_rows(s);
        if (sequence > 0) {
            s->build.policy.attempt_limit = 1;
            add_window(&s->build, 70, 0, SENTINEL_RULE_RATE_LIMIT, 2, SECOND_NS);
            add_window(&s->build, 71, 1, SENTINEL_RULE_ROLLING_CAP, INT64_C(10000000000),
                       SECOND_NS * 60);
        }
        bundle_pack(&s->build);
        frame_begin(s, SENTINEL_FRAME_POLICY, s->build.frame + sizeof(sentinel_frame_header),
                    s->build.frame_size - 8 - sizeof(sentinel_frame_header), ++sequence);
        frame_sign(s, KEY_POLICY, KEY_POLICY);
        keep_bundle(s, i);
    }
    s->now = now;
}

static sentinel_status replay_one(gate_scene *s, const char **difference, uint64_t number) {
    const bundle_bytes *bundle = bundle_of(number);
    return sentinel_gate_replay(s->context, difference, &parsed[number],
                                bundle != NULL ? bundle->bytes : NULL,
                                bundle != NULL ? bundle->size : 0);
}

static void check_replays(gate_scene *s, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const char *difference = NULL;
        sentinel_status status = replay_one(s, &difference, i);
        if (status != SENTINEL_OK) {
            printf("    record %llu: %s: %s\n", (unsigned long long)i, sentinel_status_name(status),
                   difference != NULL ? difference : "");
        }
        CHECK_OK(status);
    }
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, count);
}

static void test_log_replays_bit_for_bit_with_keys_and_without(void) {
    gate_scene *s = &scene;
    uint64_t count = scene_play(s);
    read_all(s, count);
    rebuild_bundles(s, count);
    scene_context(s, s->ring, NULL);
    check_replays(s, count);
    scene_context(s, NULL, NULL);
    check_replays(s, count);
    scene_end(s);
}

/* Changes one field of a record that replay cannot have trusted, and expects
 * the difference to be named. The commitments are those of the changed parts,
 * so only deciding again can find it. */
static void check_differs(gate_scene *s, uint64_t number, size_t offset, const char *name) {
    scene_context(s, s->ring, NULL);
    for (uint64_t i = 0; i < number; i++) {
        CHECK_OK(replay_one(s, NULL, i));
    }
    records[number][offset] ^= 1;
    const char *difference = NULL;
    sentinel_status status = replay_one(s, &difference, number);
    records[number][offset] ^= 1;
    CHECK_EQ(status, SENTINEL_AUDIT_MISMATCH);
    CHECK(difference != NULL);
    if (name != NULL) {
        CHECK(strcmp(difference, name) == 0);
    }
}

static void test_every_changed_field_is_named(void) {
    gate_scene *s = &scene;
    uint64_t count = scene_play(s);
    read_all(s, count);
    rebuild_bundles(s, count);
    const uint64_t order = 4; /* the first signature */
    CHECK_EQ(parsed[order].header->type, SENTINEL_RECORD_ORDER);
    check_differs(s, order, offsetof(sentinel_record_header, number), "number");
    check_differs(s, order, offsetof(sentinel_record_header, epoch), "epoch");
    check_differs(s, order, offsetof(sentinel_record_header, prev_hash32) + 31, "previous hash");
    check_differs(s, order, offsetof(sentinel_record_header, verdict), "verdict");
    check_differs(s, order, offsetof(sentinel_record_header, reason), "reason");
    check_differs(s, order, offsetof(sentinel_record_header, key), "key");
    check_differs(s, order, offsetof(sentinel_record_header, key_counter), "key counter");
    check_differs(s, order, offsetof(sentinel_record_header, policy_hash32), "policy hash");
    check_differs(s, order, offsetof(sentinel_record_header, authority_hash32), "authority hash");
    check_differs(s, order, offsetof(sentinel_record_header, flags), "flags");
    check_differs(s, order, offsetof(sentinel_record_header, limit_hash32), "header");
    size_t results = sizeof(sentinel_record_header) + sizeof(sentinel_order_place);
    for (size_t byte = 0; byte < 8 * sizeof(sentinel_result); byte += 5) {
        if (byte < parsed[order].header->result_count * sizeof(sentinel_result)) {
            check_differs(s, order, results + byte, "results");
        }
    }
    size_t outcome = results + parsed[order].header->result_count * sizeof(sentinel_result);
    check_differs(s, order, outcome, "payload digest");
    scene_end(s);
}

static void test_a_missing_or_wrong_bundle_is_found(void) {
    gate_scene *s = &scene;
    uint64_t count = scene_play(s);
    read_all(s, count);
    rebuild_bundles(s, count);
    scene_context(s, s->ring, NULL);
    CHECK_OK(replay_one(s, NULL, 0));
    const char *difference = NULL;
    CHECK_EQ(sentinel_gate_replay(s->context, &difference, &parsed[1], NULL, 0),
             SENTINEL_AUDIT_MISMATCH);
    CHECK(strcmp(difference, "bundle is missing") == 0);
    CHECK_OK(replay_one(s, NULL, 1));
    CHECK(sentinel_gate_replay(s->context, &difference, &parsed[2], bundles[0].bytes,
                               bundles[0].size) != SENTINEL_OK);
    scene_end(s);
}

static void test_a_snapshot_goes_on_as_the_log_does(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    size_t policy_size = s->frame_size;
    static _Alignas(8) uint8_t policy[16384];
    scene_policy_rows(s);
    add_window(&s->build, 70, 0, SENTINEL_RULE_RATE_LIMIT, 3, SECOND_NS);
    CHECK_OK(scene_load(s));
    policy_size = s->frame_size;
    memcpy(policy, s->frame, policy_size);
    for (unsigned i = 0; i < 2; i++) {
        sentinel_order order = scene_place(s);
        check_allowed(s, &order);
    }
    uint64_t size = sentinel_gate_snapshot_bytes(s->context), number = 0;
    uint8_t *state = aligned_alloc(64, (size + 63) / 64 * 64);
    CHECK_EQ(sentinel_gate_snapshot(s->context, &number, state, size - 1, s->now),
             SENTINEL_USAGE_CAPACITY);
    CHECK_OK(sentinel_gate_snapshot(s->context, &number, state, size, s->now));
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_RATE_LIMIT);
    uint64_t count = sentinel_gate_state(s->context)->record_count;
    read_all(s, count);
    CHECK_EQ(parsed[number].header->type, SENTINEL_RECORD_SNAPSHOT);

    scene_context(s, s->ring, NULL);
    state[size - 1] ^= 1;
    CHECK_EQ(sentinel_gate_restore(s->context, &parsed[number], s->authority, s->authority_size,
                                   policy, policy_size, state, size),
             SENTINEL_AUDIT_SNAPSHOT);
    state[size - 1] ^= 1;
    CHECK_EQ(sentinel_gate_restore(s->context, &parsed[number - 1], s->authority, s->authority_size,
                                   policy, policy_size, state, size),
             SENTINEL_AUDIT_SNAPSHOT);
    CHECK_OK(sentinel_gate_restore(s->context, &parsed[number], s->authority, s->authority_size,
                                   policy, policy_size, state, size));
    for (uint64_t i = number + 1; i < count; i++) {
        CHECK_OK(sentinel_gate_replay(s->context, NULL, &parsed[i], NULL, 0));
    }
    CHECK_BYTES(sentinel_gate_state(s->context)->last_hash32, parsed[count - 1].hash32, 32);
    free(state);
    scene_end(s);
}

static void test_head_is_signed_by_the_identity_only_for_this_engine(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_head head = {.epoch = 1, .count = 4};
    memcpy(head.engine_id32, s->engine_id32, 32);
    memcpy(head.last_hash32, sentinel_gate_state(s->context)->last_hash32, 32);
    uint8_t signature64[64], digest32[32];
    CHECK_OK(sentinel_gate_sign_head(s->context, signature64, &head));
    hash_bytes(digest32, &head, sizeof head);
    CHECK_OK(sentinel_verify_frame(signature64, s->config.genesis.identity_key32,
                                   "sentinel-head-v1", digest32));
    head.count = 5; /* a record that was not made */
    CHECK_EQ(sentinel_gate_sign_head(s->context, signature64, &head), SENTINEL_USAGE_ARGUMENT);
    head.count = 4;
    head.engine_id32[0] ^= 1;
    CHECK_EQ(sentinel_gate_sign_head(s->context, signature64, &head), SENTINEL_USAGE_ARGUMENT);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_log_replays_bit_for_bit_with_keys_and_without);
    RUN(test_every_changed_field_is_named);
    RUN(test_a_missing_or_wrong_bundle_is_found);
    RUN(test_a_snapshot_goes_on_as_the_log_does);
    RUN(test_head_is_signed_by_the_identity_only_for_this_engine);
    return test_end();
}

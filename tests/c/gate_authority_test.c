/* Who may order what: k of n by power, and what a new authority bundle does to
 * keys, to halts and to commands that are half signed. */
#include "gate_scene.h"

static gate_scene scene;

enum { KEY_OPERATOR_C = 41, KEY_AGENT = 42, KEY_SPARE = 43, KEY_LAST = KEY_SPARE };
enum { OPERATOR = 1u << SENTINEL_POWER_OPERATOR, POLICY = 1u << SENTINEL_POWER_POLICY };

typedef struct authority_rows {
    sentinel_authority head;
    sentinel_authority_key rows[6];
} authority_rows;

static void add_row(authority_rows *a, uint32_t id, uint32_t key, uint32_t powers) {
    sentinel_authority_key *row = &a->rows[a->head.key_count++];
    *row = (sentinel_authority_key){
        .id = id, .powers = powers, .scheme = SENTINEL_PROOF_ED25519, .expires_ns = INT64_MAX};
    memcpy(row->public_key32, sentinel_keyring_find(scene.people, key)->public_key, 32);
}

/* Three operators, of whom two resume; an agent; a policy key; a feeder. */
static authority_rows three_operators(void) {
    authority_rows a = {.head = {.key_count = 0}};
    add_row(&a, KEY_POLICY, KEY_POLICY, POLICY);
    add_row(&a, KEY_OPERATOR_A, KEY_OPERATOR_A, OPERATOR);
    add_row(&a, KEY_OPERATOR_B, KEY_OPERATOR_B, OPERATOR);
    add_row(&a, KEY_FEEDER, KEY_FEEDER, 1u << SENTINEL_POWER_FEED_MARK);
    add_row(&a, KEY_OPERATOR_C, KEY_OPERATOR_C, OPERATOR);
    add_row(&a, KEY_AGENT, KEY_AGENT, 1u << SENTINEL_POWER_AGENT);
    a.rows[5].node = AGENT_A;
    a.head.threshold[SENTINEL_POWER_POLICY] = 1;
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 2;
    a.head.threshold[SENTINEL_POWER_FEED_MARK] = 1;
    a.head.threshold[SENTINEL_POWER_AGENT] = 1;
    return a;
}

static sentinel_status load(const authority_rows *a) {
    gate_scene *s = &scene;
    size_t size = sizeof a->head + a->head.key_count * sizeof a->rows[0];
    frame_begin(s, SENTINEL_FRAME_AUTHORITY, a, size, ++s->sequences[SENTINEL_FRAME_AUTHORITY]);
    frame_sign(s, KEY_ROOT, 0);
    return scene_take(s);
}

static void begin(void) {
    scene_begin(&scene);
    for (uint32_t key = KEY_OPERATOR_C; key <= KEY_LAST; key++) {
        scene_key(scene.people, key, SENTINEL_PURPOSE_AUTHORITY, SENTINEL_ALGORITHM_ED25519, 0);
    }
    authority_rows a = three_operators();
    CHECK_OK(load(&a));
}

static uint8_t firm_mode(void) {
    return sentinel_view_node(sentinel_gate_view(scene.context), 0)->mode;
}

/* What is in scene.frame is refused for this; one record says so, and nothing
 * else changes. */
static void refused(sentinel_status expected) {
    gate_scene *s = &scene;
    const sentinel_state *state = sentinel_gate_state(s->context);
    uint64_t number = state->record_count;
    uint64_t sequence = state->sequences[SENTINEL_FRAME_COMMAND];
    uint8_t mode = firm_mode();
    CHECK_EQ(scene_take(s), expected);
    CHECK_EQ(state->record_count, number + 1);
    CHECK_EQ(state->sequences[SENTINEL_FRAME_COMMAND], sequence);
    CHECK_EQ(firm_mode(), mode);
    sentinel_log_reader reader;
    sentinel_record record;
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, number));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    sentinel_log_reader_close(&reader);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_REFUSED);
    const sentinel_refused *told = (const sentinel_refused *)record.subject;
    uint8_t digest32[32];
    hash_bytes(digest32, s->frame, s->frame_size);
    CHECK_EQ(told->status, expected);
    CHECK_BYTES(told->digest32, digest32, 32);
}

static void sign_by(const uint32_t *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        frame_sign(&scene, keys[i], keys[i]);
    }
}

static void resume_by(uint32_t first, uint32_t second) {
    const uint32_t keys[] = {first, second};
    scene_command(&scene, SENTINEL_COMMAND_RESUME, FIRM_ID);
    sign_by(keys, second != 0 ? 2 : 1);
}

static void test_two_of_three_resume_one_cannot_and_the_agent_cannot(void) {
    static const uint32_t pairs[][2] = {{KEY_OPERATOR_A, KEY_OPERATOR_B},
                                        {KEY_OPERATOR_C, KEY_OPERATOR_A},
                                        {KEY_OPERATOR_B, KEY_OPERATOR_C}};
    static const uint32_t others[] = {KEY_AGENT, KEY_POLICY, KEY_FEEDER, KEY_ROOT};
    begin();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CHECK_OK(scene_halt(&scene, FIRM_ID));
        resume_by(pairs[i][0], 0);
        refused(SENTINEL_POLICY_SIGNATURE);
        resume_by(pairs[i][0], pairs[i][0]); /* one person twice */
        refused(SENTINEL_POLICY_SIGNATURE);
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
            resume_by(others[k], 0);
            refused(SENTINEL_POLICY_SIGNATURE);
            resume_by(pairs[i][0], others[k]);
            refused(SENTINEL_POLICY_SIGNATURE);
        }
        CHECK_EQ(firm_mode(), SENTINEL_HALTED);
        resume_by(pairs[i][0], pairs[i][1]);
        CHECK_OK(scene_take(&scene));
        CHECK_EQ(firm_mode(), SENTINEL_RUNNING);
    }
    scene_end(&scene);
}

static void test_k_of_n_counts_by_power(void) {
    begin();
    authority_rows a = three_operators();
    a.rows[0].powers |= OPERATOR; /* the policy key is a fourth operator */
    a.rows[1].powers |= POLICY;   /* operator A may sign policies as well */
    a.head.threshold[SENTINEL_POWER_POLICY] = 2;
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 3;
    CHECK_OK(load(&a));
    CHECK_OK(scene_halt(&scene, FIRM_ID));
    resume_by(KEY_OPERATOR_A, KEY_OPERATOR_B);
    refused(SENTINEL_POLICY_SIGNATURE);
    scene_policy_rows(&scene);
    CHECK_EQ(scene_load(&scene), SENTINEL_POLICY_SIGNATURE); /* by one */
    frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);      /* an operator alone */
    refused(SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(scene_load(&scene), SENTINEL_POLICY_SIGNATURE);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_OK(scene_take(&scene));
    CHECK_EQ(firm_mode(), SENTINEL_HALTED);
    resume_by(KEY_OPERATOR_C, KEY_POLICY);
    frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    CHECK_OK(scene_take(&scene));
    CHECK_EQ(firm_mode(), SENTINEL_RUNNING);
    scene_end(&scene);
}

static void test_a_bundle_has_k_from_1_to_n_and_distinct_keys(void) {
    begin();
    authority_rows a = three_operators();
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 3;
    CHECK_OK(load(&a));
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 4; /* one more than there are */
    CHECK_EQ(load(&a), SENTINEL_FORMAT_RANGE);
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 0;
    CHECK_EQ(load(&a), SENTINEL_FORMAT_RANGE);
    a = three_operators();
    memcpy(a.rows[4].public_key32, a.rows[1].public_key32, 32); /* A as a second person */
    CHECK_EQ(load(&a), SENTINEL_FORMAT_ORDER);
    a = three_operators();
    a.rows[5].powers |= OPERATOR; /* an agent that operates */
    CHECK_EQ(load(&a), SENTINEL_FORMAT_RANGE);
    scene_end(&scene);
}

/* Signed before the bundle, submitted behind it. */
static void half_signed(uint32_t key, uint32_t id) {
    scene_command(&scene, SENTINEL_COMMAND_RESUME, FIRM_ID);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(&scene, key, id);
}

static void test_a_revoked_or_replaced_key_no_longer_counts(void) {
    static _Alignas(8) uint8_t kept[4096];
    gate_scene *s = &scene;
    begin();
    CHECK_OK(scene_halt(s, FIRM_ID));
    for (int replaced = 0; replaced < 2; replaced++) {
        half_signed(KEY_OPERATOR_C, KEY_OPERATOR_C);
        size_t size = s->frame_size;
        memcpy(kept, s->frame, size);
        CHECK_OK(sentinel_gate_check(s->context, kept, size, s->now));
        authority_rows a = three_operators();
        if (replaced) { /* the same id, another key */
            memcpy(a.rows[4].public_key32, sentinel_keyring_find(s->people, KEY_SPARE)->public_key,
                   32);
        } else {
            memmove(&a.rows[4], &a.rows[5], sizeof a.rows[5]);
            a.head.key_count--;
        }
        CHECK_OK(load(&a));
        memcpy(s->frame, kept, size);
        s->frame_size = size;
        refused(SENTINEL_POLICY_SIGNATURE);
        resume_by(KEY_OPERATOR_C, 0); /* nor does a halt by it */
        refused(SENTINEL_POLICY_SIGNATURE);
        scene_command(s, SENTINEL_COMMAND_HALT, AGENT_A);
        frame_sign(s, KEY_OPERATOR_C, KEY_OPERATOR_C);
        refused(SENTINEL_POLICY_SIGNATURE);
        a = three_operators();
        CHECK_OK(load(&a));
    }
    resume_by(KEY_OPERATOR_A, KEY_OPERATOR_B);
    CHECK_OK(scene_take(s));
    scene_end(s);
}

static void test_a_key_counts_until_it_expires(void) {
    gate_scene *s = &scene;
    begin();
    CHECK_OK(scene_halt(s, FIRM_ID));
    authority_rows a = three_operators();
    a.rows[4].expires_ns = s->now + SECOND_NS;
    CHECK_OK(load(&a));
    half_signed(KEY_OPERATOR_C, KEY_OPERATOR_C);
    CHECK_OK(sentinel_gate_check(s->context, s->frame, s->frame_size, s->now + SECOND_NS - 1));
    s->now += SECOND_NS;
    refused(SENTINEL_POLICY_SIGNATURE);
    s->now -= SECOND_NS; /* a clock that is set back does not bring it back to life */
    refused(SENTINEL_POLICY_SIGNATURE);
    scene_end(s);
}

static void test_an_authority_is_taken_under_a_halt_and_lifts_none(void) {
    gate_scene *s = &scene;
    begin();
    CHECK_OK(scene_halt(s, FIRM_ID));
    sentinel_gate_halt(s->context, SENTINEL_USAGE_STATE, s->now);
    authority_rows a = three_operators();
    a.head.threshold[SENTINEL_POWER_OPERATOR] = 1;
    CHECK_OK(load(&a));
    CHECK_EQ(firm_mode(), SENTINEL_HALTED);
    CHECK_EQ(sentinel_gate_state(s->context)->halted, SENTINEL_USAGE_STATE);
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    resume_by(KEY_OPERATOR_C, 0);
    CHECK_OK(scene_take(s));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_replayed_reordered_expired_and_foreign_bundles_are_refused(void) {
    gate_scene *s = &scene;
    begin();
    const sentinel_state *state = sentinel_gate_state(s->context);
    authority_rows a = three_operators();
    CHECK_OK(load(&a));
    refused(SENTINEL_POLICY_SEQUENCE); /* the same again */
    uint8_t hash32[32];
    memcpy(hash32, state->authority_hash32, 32);
    s->sequences[SENTINEL_FRAME_AUTHORITY] -= 2;
    CHECK_EQ(load(&a), SENTINEL_POLICY_SEQUENCE);
    s->sequences[SENTINEL_FRAME_AUTHORITY] += 2;
    s->now += SECOND_NS;
    CHECK_OK(load(&a));
    memcpy(hash32, state->authority_hash32, 32);
    s->sequences[SENTINEL_FRAME_AUTHORITY]++;
    size_t size = sizeof a.head + a.head.key_count * sizeof a.rows[0];
    frame_begin(s, SENTINEL_FRAME_AUTHORITY, &a, size, s->sequences[SENTINEL_FRAME_AUTHORITY]);
    ((sentinel_frame_header *)s->frame)->engine_id32[0] ^= 1;
    frame_sign(s, KEY_ROOT, 0);
    refused(SENTINEL_POLICY_ENGINE);
    frame_begin(s, SENTINEL_FRAME_AUTHORITY, &a, size, s->sequences[SENTINEL_FRAME_AUTHORITY]);
    frame_sign(s, KEY_ROOT, 0);
    s->now += 60 * SECOND_NS;
    refused(SENTINEL_POLICY_EXPIRED);
    frame_begin(s, SENTINEL_FRAME_AUTHORITY, &a, size, s->sequences[SENTINEL_FRAME_AUTHORITY]);
    refused(SENTINEL_POLICY_SIGNATURE); /* by nobody */
    frame_sign(s, KEY_ROOT, 1);         /* there is no second root key */
    refused(SENTINEL_POLICY_SIGNATURE);
    CHECK_BYTES(hash32, state->authority_hash32, 32);
    scene_end(s);
}

static void test_a_root_of_several_needs_k(void) {
    gate_scene *s = &scene;
    scene_bare(s);
    scene_key(s->people, KEY_OPERATOR_C, SENTINEL_PURPOSE_AUTHORITY, SENTINEL_ALGORITHM_ED25519, 0);
    sentinel_genesis *genesis = &s->config.genesis;
    genesis->root_count = 3;
    genesis->root_threshold = 2;
    const uint32_t roots[] = {KEY_ROOT, KEY_OPERATOR_C, KEY_FEEDER};
    for (unsigned i = 0; i < 3; i++) {
        memcpy(genesis->root_keys[i], sentinel_keyring_find(s->people, roots[i])->public_key, 32);
    }
    CHECK_OK(sentinel_genesis_check(s->engine_id32, genesis, sizeof *genesis));
    sentinel_frame frame;
    for (unsigned first = 0; first < 3; first++) {
        for (unsigned second = 0; second < 4; second++) { /* 3: nobody */
            scene_authority(s);                           /* signed by root 0 */
            sentinel_frame_header *header = (sentinel_frame_header *)s->frame;
            memset(s->frame + header->size_bytes, 0, sizeof s->frame - header->size_bytes);
            s->frame_size = header->size_bytes + 8;
            frame_sign(s, roots[first], first);
            if (second < 3) {
                frame_sign(s, roots[second], second);
            }
            CHECK_OK(
                sentinel_frame_parse(&frame, s->frame, s->frame_size, SENTINEL_FRAME_AUTHORITY));
            CHECK_EQ(sentinel_frame_verify_root(&frame, genesis),
                     second < 3 && second != first ? SENTINEL_OK : SENTINEL_POLICY_SIGNATURE);
        }
    }
    scene_end(s);
}

/* A passkey's proof has its place in the layout, up to 1 KiB, and no effect. */
static void test_other_schemes_of_proof_parse_and_prove_nothing(void) {
    static const uint16_t sizes[] = {1, 7, 64, 65, SENTINEL_PROOF_BYTES_MAX};
    gate_scene *s = &scene;
    begin();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (uint16_t scheme = 0; scheme < 4; scheme++) {
            scene_command(s, SENTINEL_COMMAND_HALT, FIRM_ID);
            sentinel_frame_header *header = (sentinel_frame_header *)s->frame;
            uint32_t count = 1;
            memcpy(s->frame + header->size_bytes, &count, 4);
            sentinel_proof proof = {.key = KEY_OPERATOR_A, .scheme = scheme, .size = sizes[i]};
            memcpy(s->frame + s->frame_size, &proof, sizeof proof);
            memset(s->frame + s->frame_size + sizeof proof, 0x5a, sizes[i]);
            s->frame_size += sizeof proof + (sizes[i] + 7u) / 8 * 8;
            sentinel_frame frame;
            CHECK_OK(sentinel_frame_parse(&frame, s->frame, s->frame_size, SENTINEL_FRAME_COMMAND));
            refused(SENTINEL_POLICY_SIGNATURE);
        }
    }
    authority_rows a = three_operators();
    for (uint16_t scheme = 0; scheme < 4; scheme++) {
        a.rows[1].scheme = scheme;
        CHECK_EQ(load(&a), scheme == SENTINEL_PROOF_ED25519 ? SENTINEL_OK : SENTINEL_FORMAT_RANGE);
    }
    a = three_operators();
    for (size_t i = 0; i < sizeof a.rows[1].reserved1; i++) { /* the room of a passkey */
        a.rows[1].reserved1[i] = 1;
        CHECK_EQ(load(&a), SENTINEL_FORMAT_RESERVED);
        a.rows[1].reserved1[i] = 0;
    }
    scene_end(s);
}

static void test_sixteen_sign_and_one_more_does_not_fit(void) {
    gate_scene *s = &scene;
    begin();
    scene_command(s, SENTINEL_COMMAND_RESUME, FIRM_ID);
    for (uint32_t i = 0; i <= SENTINEL_PROOFS_MAX; i++) {
        frame_sign(s, KEY_OPERATOR_A, i + 1);
    }
    refused(SENTINEL_FORMAT_LIMIT);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_two_of_three_resume_one_cannot_and_the_agent_cannot);
    RUN(test_k_of_n_counts_by_power);
    RUN(test_a_bundle_has_k_from_1_to_n_and_distinct_keys);
    RUN(test_a_revoked_or_replaced_key_no_longer_counts);
    RUN(test_a_key_counts_until_it_expires);
    RUN(test_an_authority_is_taken_under_a_halt_and_lifts_none);
    RUN(test_replayed_reordered_expired_and_foreign_bundles_are_refused);
    RUN(test_a_root_of_several_needs_k);
    RUN(test_other_schemes_of_proof_parse_and_prove_nothing);
    RUN(test_sixteen_sign_and_one_more_does_not_fit);
    return test_end();
}

/* Freshness and time, cut off as well: what a witness is asked and answers, a
 * gap that operators accept, and a clock that they set back. */
#ifndef CRASH_FRESH_H
#define CRASH_FRESH_H

#include "crash_people.h"
#include "witness_scene.h"

/* The next of the kept frames is refused: it was taken. */
static const char *judge_taken_once(void) {
    frames_used = 0;
    (void)frame_use();
    frames_used = 0;
    EXPECT(engine_take() == SENTINEL_POLICY_SEQUENCE);
    return NULL;
}

/* An order with an id that is free. */
static sentinel_reason reason_now(void) {
    scene.id = agent_of(AGENT_A)->id_highest;
    return engine_sign()->reason;
}

/* Or taken, for it was not. */
static const char *judge_takes(void) {
    EXPECT(reason_now() == SENTINEL_REASON_ENGINE_HALTED);
    frames_used = 0;
    (void)frame_use();
    frames_used = 0;
    EXPECT(engine_take() == SENTINEL_OK);
    return NULL;
}

/* ---- A witness ------------------------------------------------------------------------- */

#define ANSWERS_MAX 8u

/* What the witness knew before, and behind each of its answers. It is another
 * machine: what it confirmed outlives the engine's process. */
typedef struct witness_book {
    unsigned count;
    witness_scene rows[ANSWERS_MAX];
} witness_book;

static witness_book *answers;

/* Of this test alone, so that a process that is killed can make it again. */
static void witness_key(sentinel_keyring *ring) {
    static const uint8_t seed32[32] = "a test key, of no other witness";
    sentinel_key_info info = {.id = KEY_WITNESS,
                              .purpose = SENTINEL_PURPOSE_AUTHORITY,
                              .algorithm = SENTINEL_ALGORITHM_ED25519};
    CHECK_OK(sentinel_keyring_import(ring, &info, seed32, sizeof seed32));
}

/* The answer to a question of now, in scene.frame. */
static void witness_ask(witness_scene *w) {
    sentinel_ask asked;
    uint8_t signature64[64];
    CHECK_OK(sentinel_gate_ask(sentinel_engine_context(engine), &asked, signature64, 0));
    sentinel_grant grant = witness_answer(w, &asked);
    witness_frame(&scene, &grant);
}

static void noted_round(void) {
    uint64_t record;
    unsigned index = answers->count++;
    CHECK(index < ANSWERS_MAX);
    answers->rows[index] = answers->rows[index - 1];
    witness_ask(&answers->rows[index]);
    note_frame(0, SENTINEL_FRAME_GRANT, scene.sequences[SENTINEL_FRAME_GRANT], 0);
    CHECK_OK(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now));
    note_frame(1, SENTINEL_FRAME_GRANT, scene.sequences[SENTINEL_FRAME_GRANT], record);
}

/* The authority has a witness, which confirmed a head. */
static void closed_witnessed(void) {
    made();
    if (answers == NULL) {
        answers = (witness_book *)syscall(SYS_mmap, NULL, sizeof *answers, PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    answers->count = 1;
    answers->rows[0] = (witness_scene){.records = 40, .spend = INT64_C(1) << 40};
    CHECK_OK(sentinel_keyring_remove(scene.people, KEY_WITNESS));
    witness_key(scene.people);
    scene.has_witness = 1;
    scene_authority(&scene);
    CHECK_OK(engine_take());
    witness_ask(&answers->rows[0]);
    CHECK_OK(engine_take());
    expect_allowed();
    engine_close();
}

/* In a process that is killed: the keys did not follow there. */
static void witness_begin(void) {
    answers->count = 1;
    CHECK_OK(sentinel_keyring_new(&scene.people));
    witness_key(scene.people);
}

static void run_witness(void) {
    witness_begin();
    CHECK_OK(engine_open());
    trace_arm();
    noted_round();
    noted_sign();
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
    noted_sign();
    noted_round();
    noted_sign();
    noted_round();
}

/* The log has each head that the witness knows, and a start needs a grant of
 * its own, which it gets: after an answer that was lost, too. */
static const char *judge_witness(unsigned count) {
    const sentinel_state *state = engine_state();
    const sentinel_grant_state *grant = &state->grant;
    note_steps rounds = steps_of(count, NOTE_FRAME, SENTINEL_FRAME_GRANT);
    uint64_t done =
        state->sequences[SENTINEL_FRAME_GRANT] - scene_before.sequences[SENTINEL_FRAME_GRANT];
    EXPECT(done >= rounds.told && done <= rounds.asked);
    const witness_scene *confirmed = &answers->rows[done];
    EXPECT(grant->count == confirmed->count && memcmp(grant->hash32, confirmed->hash32, 32) == 0);
    EXPECT(grant->epoch != state->epoch && reason_now() == SENTINEL_REASON_GRANT);
    witness_scene knows = answers->rows[rounds.asked];
    memcpy(scene.sequences, state->sequences, sizeof scene.sequences);
    int is_lost = done < rounds.asked;
    for (int i = 0; i <= is_lost; i++) {
        EXPECT(grant->epoch != state->epoch);
        witness_ask(&knows);
        EXPECT(engine_take() == SENTINEL_OK);
        EXPECT(grant->gap_to == 0 && state->halted == 0);
    }
    EXPECT(grant->epoch == state->epoch && grant->count == knows.count);
    return NULL;
}

/* ---- A gap ----------------------------------------------------------------------------- */

static struct {
    uint64_t to;
    uint8_t hash32[32];
} gap;

/* An old copy: the witness knows five records that are not there. */
static void closed_gap(void) {
    closed_witnessed();
    CHECK_OK(engine_open());
    witness_scene *w = &answers->rows[0];
    w->epoch += 4;
    w->count = engine_state()->record_count + 4;
    w->horizon = w->count + 10;
    memset(w->hash32, 0x5a, sizeof w->hash32);
    witness_ask(w);
    CHECK_OK(engine_take());
    CHECK_EQ(engine_state()->halted, SENTINEL_AUDIT_FRESHNESS);
    gap.to = w->count;
    memcpy(gap.hash32, w->hash32, sizeof gap.hash32);
    base_halted = SENTINEL_AUDIT_FRESHNESS;
    engine_close();
}

static void sign_gap(void) {
    sentinel_command accept = {.verb = SENTINEL_COMMAND_RESUME,
                               .scope = SENTINEL_SCOPE_ENGINE,
                               .reason_size = 4,
                               .record = gap.to};
    memcpy(accept.record_hash32, gap.hash32, sizeof gap.hash32);
    hash_bytes(accept.reason_digest32, "test", 4);
    frame_begin(&scene, SENTINEL_FRAME_COMMAND, &accept, sizeof accept,
                ++scene.sequences[SENTINEL_FRAME_COMMAND]);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    frame_keep();
}

static void run_gap(void) {
    witness_begin();
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_ENGINE_HALTED);
    noted_frame(SENTINEL_FRAME_COMMAND);
    noted_sign();
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_GRANT);
    noted_round();
    noted_sign();
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
}

/* It is accepted whole or not at all, and once. */
static const char *judge_gap(unsigned count) {
    const sentinel_state *state = engine_state();
    note_steps commands = steps_of(count, NOTE_FRAME, SENTINEL_FRAME_COMMAND);
    int is_accepted = state->halted == 0;
    EXPECT(is_accepted ? commands.asked == 1 : commands.told == 0);
    EXPECT(state->grant.gap_to == (is_accepted ? 0 : gap.to));
    EXPECT(is_accepted || memcmp(state->grant.gap_hash32, gap.hash32, 32) == 0);
    const char *wrong = is_accepted ? judge_taken_once() : judge_takes();
    EXPECT(wrong != NULL || (state->halted == 0 && state->grant.gap_to == 0));
    return wrong != NULL ? wrong : judge_witness(count);
}

/* ---- The clock ------------------------------------------------------------------------- */

#define YEAR_NS (365 * 86400 * SECOND_NS)

static int64_t ahead_ns; /* the time that the log has */

/* Opened once while the clock was wrong by ten years. */
static void closed_ahead(void) {
    made();
    engine_close();
    scene.now += 10 * YEAR_NS;
    CHECK_OK(engine_open());
    ahead_ns = engine_state()->last_now_ns;
    engine_close();
    scene.now -= 10 * YEAR_NS;
    base_halted = SENTINEL_USAGE_STATE;
}

static void sign_clock(void) {
    scene_set_clock(&scene, ahead_ns);
    frame_keep();
}

static void run_clock(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_ENGINE_HALTED);
    noted_stop(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    noted_sign();
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
    noted_sign();
}

/* It is set, and the engine's own halt lifted with it, or neither. */
static const char *judge_clock(unsigned count) {
    const sentinel_state *state = engine_state();
    note_steps commands = steps_of(count, NOTE_STOP, SENTINEL_FRAME_COMMAND);
    int is_set = state->last_now_ns < ahead_ns;
    EXPECT(is_set ? commands.asked == 1 : commands.told == 0);
    EXPECT(is_set ? state->halted == 0 : state->last_now_ns == ahead_ns);
    const char *wrong = is_set ? judge_taken_once() : judge_takes();
    EXPECT(wrong != NULL || (state->halted == 0 && state->last_now_ns <= scene.now));
    return wrong;
}

#endif

/* A witness in memory: what `zcp witness` keeps, for tests of the gate. */
#ifndef WITNESS_SCENE_H
#define WITNESS_SCENE_H

#include "gate_scene.h"

typedef struct witness_scene {
    uint64_t epoch, count, horizon, granted; /* horizon: told as known_record_end */
    int64_t spend_horizon, spend_granted;
    uint8_t hash32[32], start_hash32[32];
    uint64_t records; /* size of a grant */
    int64_t spend;
} witness_scene;

/* The answer to a question, as the rules of docs/4-audit.md say. */
static sentinel_grant witness_answer(witness_scene *w, const sentinel_ask *ask) {
    sentinel_grant grant = {.epoch = ask->epoch,
                            .known_epoch = w->epoch,
                            .known_count = w->count,
                            .known_record_end = w->horizon,
                            .known_spend_end = w->spend_horizon};
    memcpy(grant.nonce32, ask->nonce32, 32);
    memcpy(grant.known_hash32, w->hash32, 32);
    int same = ask->epoch == w->epoch && memcmp(ask->start_hash32, w->start_hash32, 32) == 0;
    if (ask->known_count != w->count || memcmp(ask->known_hash32, w->hash32, 32) != 0 ||
        (!same && ask->epoch <= w->epoch)) {
        return grant;
    }
    int is_final = (ask->flags & SENTINEL_ASK_FINAL) != 0;
    uint64_t end = ask->count + (is_final ? 0 : w->records);
    int64_t spend = ask->spent + (is_final ? 0 : w->spend);
    uint64_t before = same ? w->granted : w->horizon;
    int64_t spend_before = same ? w->spend_granted : w->spend_horizon;
    w->horizon = end > before && !is_final ? end : is_final ? end : before;
    w->spend_horizon = spend > spend_before || is_final ? spend : spend_before;
    w->granted = end;
    w->spend_granted = spend;
    w->epoch = ask->epoch;
    w->count = ask->count;
    memcpy(w->hash32, ask->hash32, 32);
    memcpy(w->start_hash32, ask->start_hash32, 32);
    grant.count = ask->count;
    memcpy(grant.hash32, ask->hash32, 32);
    grant.record_end = end;
    grant.spend_end = spend;
    return grant;
}

/* A grant as a frame of the witness's, in scene->frame. */
static inline void witness_frame(gate_scene *s, const sentinel_grant *grant) {
    frame_begin(s, SENTINEL_FRAME_GRANT, grant, sizeof *grant,
                ++s->sequences[SENTINEL_FRAME_GRANT]);
    frame_sign(s, KEY_WITNESS, KEY_WITNESS);
}

static inline sentinel_status witness_round(gate_scene *s, witness_scene *w, uint32_t flags) {
    sentinel_ask ask;
    uint8_t signature64[64];
    CHECK_OK(sentinel_gate_ask(s->context, &ask, signature64, flags));
    sentinel_grant grant = witness_answer(w, &ask);
    witness_frame(s, &grant);
    return scene_take(s);
}

/* A round, an answer that is lost, a witness that is ahead, a gap accepted. */
static inline void witness_step(gate_scene *s, witness_scene *w, uint64_t (*draw)(uint64_t)) {
    if (!sentinel_gate_needs_witness(s->context)) {
        return;
    }
    uint64_t count = sentinel_gate_state(s->context)->record_count;
    const sentinel_grant_state *grant = &sentinel_gate_state(s->context)->grant;
    sentinel_ask ask;
    uint8_t signature64[64];
    w->records = draw(40);
    w->spend = (int64_t)draw(9) * INT64_C(100000000);
    switch (draw(8)) {
    case 0:
        CHECK_OK(sentinel_gate_ask(s->context, &ask, signature64, 0));
        (void)witness_answer(w, &ask);
        break;
    case 1:
        if (draw(4) == 0) {
            w->count = count + draw(9);
            w->epoch += draw(3);
        }
        break;
    default:
        (void)witness_round(s, w, 0);
        break;
    }
    if (grant->gap_to != 0 && draw(2) != 0) {
        sentinel_command accept = {.verb = SENTINEL_COMMAND_RESUME,
                                   .scope = SENTINEL_SCOPE_ENGINE,
                                   .reason_size = 4,
                                   .record = grant->gap_to};
        memcpy(accept.record_hash32, grant->gap_hash32, 32);
        frame_begin(s, SENTINEL_FRAME_COMMAND, &accept, sizeof accept,
                    ++s->sequences[SENTINEL_FRAME_COMMAND]);
        frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
        frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
        CHECK_OK(scene_take(s));
    }
}

#endif

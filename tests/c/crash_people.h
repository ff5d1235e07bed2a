/* What approvers, agents and feeders send, cut off as well. Each row has a
 * judge of its own: what was told is there, the rest whole or not at all. */
#ifndef CRASH_PEOPLE_H
#define CRASH_PEOPLE_H

#include "crash_scene.h"

#define LIVES_NS (600 * SECOND_NS) /* of a request */
#define SILENCE_S 60               /* of agent B */

static void made(void);

static const sentinel_agent_state *agent_of(uint32_t id) {
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    return sentinel_view_agent(view, sentinel_bundle_node(&view->bundle, id));
}

/* How many of a row's steps were asked for, and told. */
typedef struct note_steps {
    unsigned asked;
    unsigned told;
} note_steps;

static note_steps steps_of(unsigned count, note_what what, uint32_t index) {
    note_steps steps = {0};
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        if (row->what == what && row->sequence_index == index) {
            steps.told += row->is_acked;
            steps.asked += !row->is_acked;
        }
    }
    return steps;
}

static void note_step(int is_acked, uint64_t record) {
    note_add(NOTE_STEP, is_acked)->record = record;
    note_done();
}

/* ---- Requests ----------------------------------------------------------------------- */

/* The order that waits, as it was asked for and answered. */
static struct {
    sentinel_order order;
    uint64_t record; /* 0: it was not asked for yet */
    uint8_t hash32[32];
} request;

/* Above 60 USD two approvers are asked; this order is worth 100. */
static void closed_asking(void) {
    made();
    scene_policy_rows(&scene);
    sentinel_constraint *row = add_bound(&scene.build, 90, 0, SENTINEL_RULE_APPROVAL, 60000000);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = 2;
    row->window_ns = LIVES_NS;
    frame_policy();
    CHECK_OK(engine_take());
    CHECK_OK(sentinel_session_open(&scene.session, sentinel_engine_context(engine), AGENT_A));
    memset(&request, 0, sizeof request);
    request.order = scene_place(&scene);
    request.order.place.quantity = decimal(2, 3);
    base_unsigned = 1;
    engine_close();
}

static const sentinel_outcome *ask(void) {
    scene.now += 1000;
    CHECK_OK(sentinel_engine_sign(engine, &scene.outcome, &scene.session, &request.order,
                                  request.order.header.size_bytes, scene.now));
    return &scene.outcome;
}

static void closed_pending(void) {
    closed_asking();
    CHECK_OK(engine_open());
    CHECK_EQ(ask()->verdict, SENTINEL_PENDING);
    request.record = scene.outcome.record;
    memcpy(request.hash32, scene.outcome.record_hash32, 32);
    engine_close();
}

static void sign_answers(uint16_t verb, uint32_t approvers) {
    for (uint32_t i = 0; i < approvers; i++) {
        scene_answer(&scene, verb, request.record, request.hash32);
        frame_sign(&scene, KEY_APPROVER + i, KEY_APPROVER + i);
        frame_keep();
    }
}

static void sign_approvals(void) {
    sign_answers(SENTINEL_COMMAND_APPROVE, 2);
}

static void sign_rejection(void) {
    sign_answers(SENTINEL_COMMAND_REJECT, 1);
}

static void noted_ask(void) {
    note *row = note_add(NOTE_SIGN, 0);
    row->id = request.order.header.action_id;
    note_done();
    if (ask()->verdict == SENTINEL_ALLOWED) {
        row = note_add(NOTE_SIGN, 1);
        row->id = request.order.header.action_id;
        row->record = scene.outcome.record;
        memcpy(row->hash32, scene.outcome.record_hash32, 32);
        note_done();
    }
}

static void run_ask(void) {
    CHECK_OK(engine_open());
    trace_arm();
    note_step(0, 0);
    CHECK_EQ(ask()->verdict, SENTINEL_PENDING);
    note_step(1, scene.outcome.record);
    noted_sign();
}

/* Approved by one, by another, and signed. */
static void run_approve(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_frame(SENTINEL_FRAME_COMMAND);
    noted_ask();
    noted_frame(SENTINEL_FRAME_COMMAND);
    noted_ask();
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
    noted_sign();
}

static void run_reject(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_frame(SENTINEL_FRAME_COMMAND);
    noted_ask();
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_APPROVAL_REJECTED);
    noted_sign();
}

static void run_withdraw(void) {
    uint64_t record;
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    note_step(0, 0);
    CHECK_OK(sentinel_engine_withdraw(engine, &record, &scene.session,
                                      request.order.header.action_id, scene.now));
    note_step(1, record);
    noted_sign();
}

/* The one row that is in use, or null. */
static const sentinel_pending *waiting(void) {
    const sentinel_state *state = engine_state();
    return state->pending_used != 0 ? &state->pending[__builtin_ctzll(state->pending_used)] : NULL;
}

static const char *judge_row(const sentinel_pending *row) {
    uint8_t digest32[32];
    hash_bytes(digest32, &request.order, request.order.header.size_bytes);
    EXPECT((engine_state()->pending_used & (engine_state()->pending_used - 1)) == 0);
    EXPECT(row->agent == AGENT_A && row->action_id == request.order.header.action_id);
    EXPECT(row->quorum == 2 && memcmp(row->order_digest32, digest32, 32) == 0);
    EXPECT(request.record == 0 ||
           (row->record == request.record && memcmp(row->record_hash32, request.hash32, 32) == 0));
    return NULL;
}

static const char *judge_ask(unsigned count) {
    note_steps steps = steps_of(count, NOTE_STEP, 0);
    const sentinel_pending *row = waiting();
    uint64_t record = row != NULL ? row->record : 0;
    EXPECT(row != NULL ? steps.asked == 1 : steps.told == 0);
    for (unsigned i = 0; i < count; i++) {
        EXPECT(notes->rows[i].what != NOTE_STEP || !notes->rows[i].is_acked ||
               notes->rows[i].record == record);
    }
    const char *wrong = row != NULL ? judge_row(row) : NULL;
    EXPECT(ask()->verdict == SENTINEL_PENDING && scene.outcome.recorded == (record == 0));
    EXPECT(record == 0 || scene.outcome.record == record);
    return wrong;
}

/* It is signed once: by the run, or now, and only for two. */
static const char *judge_approve(unsigned count) {
    note_steps approvals = steps_of(count, NOTE_FRAME, SENTINEL_FRAME_COMMAND);
    const sentinel_pending *row = waiting();
    unsigned given = row != NULL ? row->approver_count : 2;
    EXPECT(given >= approvals.told && given <= approvals.asked);
    unsigned told = 0;
    for (unsigned i = 0; i < count; i++) {
        told += notes->rows[i].what == NOTE_SIGN && notes->rows[i].is_acked &&
                notes->rows[i].id == request.order.header.action_id;
    }
    EXPECT(told == 0 || row == NULL);
    const char *wrong = row != NULL ? judge_row(row) : NULL;
    for (uint32_t i = 0; wrong == NULL && row != NULL && i < SENTINEL_APPROVERS_MAX; i++) {
        EXPECT(row->approvers[i] == (i < given ? KEY_APPROVER + i : 0));
    }
    int was_signed = row == NULL;
    unsigned verdict = ask()->verdict;
    EXPECT(verdict == (was_signed   ? SENTINEL_DENIED
                       : given == 2 ? SENTINEL_ALLOWED
                                    : SENTINEL_PENDING));
    EXPECT(!was_signed || scene.outcome.reason == SENTINEL_REASON_DUPLICATE);
    EXPECT(given < 2 || ask()->reason == SENTINEL_REASON_DUPLICATE);
    return wrong;
}

static const char *judge_reject(unsigned count) {
    note_steps answers = steps_of(count, NOTE_FRAME, SENTINEL_FRAME_COMMAND);
    const sentinel_pending *row = waiting();
    EXPECT(row != NULL);
    int is_rejected = row->status == SENTINEL_PENDING_REJECTED;
    EXPECT(is_rejected ? answers.asked == 1 : answers.told == 0);
    EXPECT(row->approver_count == 0);
    const char *wrong = judge_row(row);
    (void)ask();
    EXPECT(scene.outcome.verdict == (is_rejected ? SENTINEL_DENIED : SENTINEL_PENDING));
    EXPECT(!is_rejected || scene.outcome.reason == SENTINEL_REASON_APPROVAL_REJECTED);
    return wrong;
}

static const char *judge_withdraw(unsigned count) {
    note_steps steps = steps_of(count, NOTE_STEP, 0);
    const sentinel_pending *row = waiting();
    EXPECT(row == NULL ? steps.asked == 1 : steps.told == 0);
    const char *wrong = row != NULL ? judge_row(row) : NULL;
    /* What was taken back is another request when it is asked for again. */
    EXPECT(ask()->verdict == SENTINEL_PENDING);
    EXPECT((scene.outcome.record == request.record) == (row != NULL));
    return wrong;
}

/* ---- Heartbeats ----------------------------------------------------------------------- */

/* Agent B has to beat; the orders are agent A's. */
static void closed_beating(void) {
    made();
    scene_policy_rows(&scene);
    (void)scene_beat_rule(&scene, 2, SENTINEL_HALTED, SILENCE_S, 0);
    frame_policy();
    CHECK_OK(engine_take());
    engine_close();
}

#define BEATS 4u
#define BEAT_ITERATIONS 10u /* told by beat n: n times as many */

static void sign_beats(void) {
    for (unsigned i = 1; i <= BEATS; i++) {
        scene_beat(&scene, AGENT_B, i * (uint64_t)BEAT_ITERATIONS, scene.now);
        frame_sign(&scene, KEY_AGENT_B, KEY_AGENT_B);
        frame_keep();
    }
}

/* A frame that has its sequence elsewhere than the state's own table. */
static void step_take(void) {
    uint64_t record;
    (void)frame_use();
    note_step(0, 0);
    CHECK_OK(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now));
    note_step(1, record);
}

/* Of frames that were sent in turn, the last one done is not taken again, and
 * the next one is. */
static const char *judge_next(uint64_t done, unsigned all) {
    frames_used = done > 0 ? (unsigned)done - 1 : 0;
    if (done > 0) {
        (void)frame_use();
        EXPECT(engine_take() == SENTINEL_POLICY_SEQUENCE);
    }
    if (done < all) {
        (void)frame_use();
        EXPECT(engine_take() == SENTINEL_OK);
    }
    frames_used = 0;
    return NULL;
}

static void run_beats(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (unsigned i = 0; i < BEATS; i++) {
        step_take();
    }
    noted_sign();
}

static const char *judge_beats(unsigned count) {
    note_steps steps = steps_of(count, NOTE_STEP, 0);
    const sentinel_agent_state *agent = agent_of(AGENT_B);
    uint64_t done = agent->beat_sequence;
    EXPECT(done >= steps.told && done <= steps.asked);
    EXPECT(agent->beat_ns == 0 && agent->beat_deadline_ns == 0); /* a start forgets it */
    const char *wrong = judge_next(done, BEATS);
    EXPECT(wrong != NULL || done == BEATS ||
           agent->iterations == (done + 1) * (uint64_t)BEAT_ITERATIONS);
    return wrong;
}

/* It beats, then falls silent: the engine stops it before A's next order. */
static void run_silence(void) {
    CHECK_OK(engine_open());
    trace_arm();
    step_take();
    scene.now += (SILENCE_S + 2) * SECOND_NS;
    note_stop(NOTE_STOP, 0, SENTINEL_SCOPE_NODE, AGENT_B, SENTINEL_HALTED, 0, 0);
    noted_sign();
    CHECK_EQ(scene.outcome.verdict, SENTINEL_ALLOWED);
    note_stop(NOTE_STOP, 1, SENTINEL_SCOPE_NODE, AGENT_B, SENTINEL_HALTED, 0, 0);
    noted_sign();
}

static const char *judge_silence(unsigned count) {
    (void)count; /* that an order behind the silence was told says that the stop is there */
    const sentinel_stop_state *stop = place_of(SENTINEL_SCOPE_NODE, AGENT_B);
    EXPECT(stop->mode == SENTINEL_RUNNING || stop->cause == SENTINEL_CAUSE_HEARTBEAT);
    EXPECT(stop->mode == SENTINEL_RUNNING || agent_of(AGENT_B)->beat_sequence == 1);
    return NULL;
}

/* ---- Reports and positions ---------------------------------------------------------------- */

#define REPORTS 3u

/* Orders 1 to 3, each a buy of 0.001 BTC, are filled. */
static void sign_reports(void) {
    for (unsigned i = 1; i <= REPORTS; i++) {
        sentinel_report row = {.agent = AGENT_A,
                               .status = SENTINEL_ORDER_FILLED,
                               .action_id = i,
                               .filled = decimal(1, 3),
                               .time_ns = scene.now};
        scene_reports(&scene, KEY_FEEDER, i, &row, 1);
        frame_keep();
    }
}

static void run_reports(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (unsigned i = 0; i < REPORTS; i++) {
        step_take();
    }
    noted_sign();
}

static uint64_t reported(void) {
    const sentinel_feeder_state *feeders = engine_state()->feeders;
    for (uint32_t i = 0; i < SENTINEL_FEEDERS_MAX; i++) {
        if (feeders[i].key == KEY_FEEDER) {
            return feeders[i].sequence;
        }
    }
    return 0;
}

static const sentinel_position_state *position(void) {
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    return sentinel_view_position(view, sentinel_bundle_instrument(&view->bundle, BTCUSDT));
}

static const char *judge_reports(unsigned count) {
    note_steps steps = steps_of(count, NOTE_STEP, 0);
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    uint64_t done = reported();
    EXPECT(done >= steps.told && done <= steps.asked);
    EXPECT(position()->mantissa == (int64_t)done && (done == 0 || position()->scale == 3));
    for (uint64_t id = 1; id <= REPORTS; id++) {
        const sentinel_book_entry *entry = sentinel_view_book(view, scene.session.node, id);
        EXPECT(entry->action_id == id);
        EXPECT((entry->status == SENTINEL_ORDER_FILLED) == (id <= done));
        EXPECT((entry->filled.mantissa != 0) == (id <= done));
    }
    return judge_next(done, REPORTS);
}

/* An order that was never signed: its agent is stopped, and nothing else changes. */
static void sign_false_report(void) {
    sentinel_report row = {.agent = AGENT_A,
                           .status = SENTINEL_ORDER_FILLED,
                           .action_id = 999,
                           .filled = decimal(1, 3),
                           .time_ns = scene.now};
    scene_reports(&scene, KEY_FEEDER, 1, &row, 1);
    frame_keep();
}

static void run_false_report(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    (void)frame_use();
    note_stop(NOTE_STOP, 0, SENTINEL_SCOPE_NODE, AGENT_A, SENTINEL_HALTED, 0, 0);
    CHECK_EQ(engine_take(), SENTINEL_POLICY_REPORT);
    note_stop(NOTE_STOP, 1, SENTINEL_SCOPE_NODE, AGENT_A, SENTINEL_HALTED, 0, 0);
    noted_sign();
    CHECK_EQ(scene.outcome.reason, SENTINEL_REASON_KILL_SWITCH);
}

static const char *judge_false_report(unsigned count) {
    (void)count;
    const sentinel_stop_state *stop = place_of(SENTINEL_SCOPE_NODE, AGENT_A);
    EXPECT(stop->mode == SENTINEL_RUNNING || stop->cause == SENTINEL_CAUSE_REPORT);
    EXPECT(reported() == 0 && position()->mantissa == 0);
    return NULL;
}

#define POSITIONS 3u

static void sign_positions(void) {
    for (unsigned i = 1; i <= POSITIONS; i++) {
        scene.now += 1; /* a statement that is older is skipped */
        scene_position(&scene, BTCUSDT, decimal(7 * (int64_t)i, 0), scene.now);
        frame_keep();
    }
}

static void run_positions(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (unsigned i = 0; i < POSITIONS; i++) {
        noted_frame(SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_POSITION);
    }
    noted_sign();
}

static const char *judge_positions(unsigned count) {
    (void)count; /* the sequence is judged with the others */
    uint64_t done = engine_state()->sequences[SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_POSITION];
    EXPECT(position()->mantissa == 7 * (int64_t)done);
    return NULL;
}

#endif

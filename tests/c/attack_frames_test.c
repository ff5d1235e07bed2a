/* Every kind of signed frame, forged. Goal: whatever is changed, cut, sent
 * again, sent too late, in another order or to another engine is refused, the
 * refusal is a record, and nothing else of the state is another. Method: one
 * good frame of each kind on an engine in memory; each of its bytes and each of
 * its lengths is tried, then the good one is taken all the same, and sent again. */
#include "gate_internal.h"
#include "witness_scene.h"

static gate_scene scene;
static witness_scene witness;
static struct {
    uint64_t record;
    uint8_t hash32[32];
} request;

static struct {
    _Alignas(8) uint8_t bytes[65536];
    size_t size;
} kept[2];

static unsigned attempts;

static const sentinel_state *state(void) {
    return sentinel_gate_state(scene.context);
}

/* ---- The engine ------------------------------------------------------------------- */

static void give_lease(int64_t lease_s) {
    scene_command_at(&scene, SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0,
                     scene.now + lease_s * SECOND_NS);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
}

/* Each kind has something to do here: a lease and a witness are needed, agent B
 * has to beat, two orders were signed, and a third waits for approvers. */
static void begin(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    s->has_witness = 1;
    scene_authority(s);
    CHECK_OK(scene_take(s));
    scene_policy_rows(s);
    s->build.policy.lease_ns = 300 * SECOND_NS;
    sentinel_constraint *row = add_bound(&s->build, 90, 0, SENTINEL_RULE_APPROVAL, 60000000);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = 2;
    row->window_ns = 600 * SECOND_NS;
    (void)scene_beat_rule(s, 2, SENTINEL_HALTED, 600, 0);
    CHECK_OK(scene_load(s));
    give_lease(100);
    CHECK_OK(scene_take(s));
    witness = (witness_scene){.records = 100000, .spend = INT64_C(1) << 40};
    CHECK_OK(witness_round(s, &witness, 0));
    for (int i = 0; i < 2; i++) {
        sentinel_order order = scene_place(s);
        check_allowed(s, &order);
    }
    sentinel_order order = scene_place(s);
    order.place.quantity = decimal(2, 3);
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_PENDING);
    request.record = s->outcome.record;
    memcpy(request.hash32, s->outcome.record_hash32, 32);
}

/* ---- The kinds ---------------------------------------------------------------------- */

/* The nth good frame of a kind, in scene.frame. */
static void make_halt(unsigned nth) {
    scene_command(&scene, SENTINEL_COMMAND_HALT, nth == 0 ? AGENT_B : AGENT_A);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
}

static void make_resume(unsigned nth) {
    scene_command(&scene, SENTINEL_COMMAND_RESUME, nth == 0 ? AGENT_B : AGENT_A);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
}

static void make_approve(unsigned nth) {
    scene_answer(&scene, SENTINEL_COMMAND_APPROVE, request.record, request.hash32);
    frame_sign(&scene, KEY_APPROVER + nth, KEY_APPROVER + nth);
}

static void make_lease(unsigned nth) {
    give_lease(200 + (int64_t)nth);
}

static void make_beat(unsigned nth) {
    scene_beat(&scene, AGENT_B, nth + 1, scene.now);
    frame_sign(&scene, KEY_AGENT_B, KEY_AGENT_B);
}

static void make_reports(unsigned nth) {
    sentinel_report row = {.agent = AGENT_A,
                           .status = SENTINEL_ORDER_FILLED,
                           .action_id = nth + 1,
                           .filled = decimal(1, 3),
                           .time_ns = scene.now};
    scene_reports(&scene, KEY_FEEDER, nth + 1, &row, 1);
}

static void make_position(unsigned nth) {
    scene_position(&scene, BTCUSDT, decimal(7 + (int64_t)nth, 0), scene.now);
}

static void make_mark(unsigned nth) {
    scene_feed(&scene, BTCUSDT, decimal(5000000 + (int64_t)nth, 2));
}

static void make_policy(unsigned nth) {
    gate_scene *s = &scene;
    s->build.policy.attempt_limit = 900 + nth;
    bundle_pack(&s->build);
    frame_begin(s, SENTINEL_FRAME_POLICY, s->build.frame + sizeof(sentinel_frame_header),
                s->build.frame_size - 8 - sizeof(sentinel_frame_header),
                ++s->sequences[SENTINEL_FRAME_POLICY]);
    frame_sign(s, KEY_POLICY, KEY_POLICY);
}

static void make_authority(unsigned nth) {
    scene.operators_end_ns = scene.now + (1000 + (int64_t)nth) * SECOND_NS;
    scene_authority(&scene);
}

static void make_grant(unsigned nth) {
    sentinel_ask ask;
    uint8_t signature64[64];
    (void)nth;
    CHECK_OK(sentinel_gate_ask(scene.context, &ask, signature64, 0));
    sentinel_grant grant = witness_answer(&witness, &ask);
    witness_frame(&scene, &grant);
}

/* Reports: what is out of its turn is not only refused, it stops the firm. */
static const struct {
    const char *name;
    void (*make)(unsigned nth);
    uint32_t keys[2]; /* that sign the first one; 0: none */
    uint8_t is_report;
} kinds[] = {
    {"halt", make_halt, {KEY_OPERATOR_A, 0}, 0},
    {"resume", make_resume, {KEY_OPERATOR_A, KEY_OPERATOR_B}, 0},
    {"approve", make_approve, {KEY_APPROVER, 0}, 0},
    {"lease", make_lease, {KEY_OPERATOR_A, 0}, 0},
    {"heartbeat feed", make_beat, {KEY_AGENT_B, 0}, 0},
    {"execution feed", make_reports, {KEY_FEEDER, 0}, 1},
    {"position feed", make_position, {KEY_FEEDER, 0}, 0},
    {"mark feed", make_mark, {KEY_FEEDER, 0}, 0},
    {"policy", make_policy, {KEY_POLICY, 0}, 0},
    {"authority", make_authority, {KEY_ROOT, 0}, 0},
    {"grant", make_grant, {KEY_WITNESS, 0}, 0},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static void keep(unsigned index) {
    memcpy(kept[index].bytes, scene.frame, sizeof scene.frame);
    kept[index].size = scene.frame_size;
}

/* ---- Attempts ------------------------------------------------------------------------ */

/* In memory of just that size, so that a sanitizer sees a byte too many. */
static sentinel_status give(const uint8_t *bytes, size_t size) {
    uint8_t *exact = (uint8_t *)malloc(size);
    CHECK(exact != NULL);
    memcpy(exact, bytes, size);
    sentinel_status status = sentinel_gate_take(scene.context, NULL, exact, size, scene.now);
    free(exact);
    return status;
}

/* What the state was, but for what any record changes. */
static void state_copy(uint8_t *to, size_t size) {
    CHECK(state()->size_bytes <= size);
    memcpy(to, state(), state()->size_bytes);
    sentinel_state *copy = (sentinel_state *)to;
    copy->record_count = 0;
    copy->last_now_ns = 0;
    memset(copy->last_hash32, 0, sizeof copy->last_hash32);
}

/* Refused; wanted: for this, or OK for any reason. */
static void check_refused(const uint8_t *bytes, size_t size, sentinel_status wanted) {
    static _Alignas(8) uint8_t before[1 << 20];
    static _Alignas(8) uint8_t after[1 << 20];
    static _Alignas(8) uint8_t record[SENTINEL_RECORD_BYTES_MAX];
    state_copy(before, sizeof before);
    uint64_t count = state()->record_count;
    sentinel_status status = give(bytes, size);
    CHECK(status != SENTINEL_OK && (wanted == SENTINEL_OK || status == wanted));
    state_copy(after, sizeof after);
    CHECK_EQ(state()->record_count, count + 1);
    CHECK_EQ(memcmp(before, after, state()->size_bytes), 0);

    sentinel_record made;
    sentinel_refused refused;
    uint8_t digest32[32];
    const sentinel_record_header header = scene_last_record(&scene, record);
    CHECK_OK(sentinel_record_parse(&made, record, header.size_bytes));
    CHECK_EQ(header.number, count);
    CHECK_EQ(header.type, SENTINEL_RECORD_REFUSED);
    memcpy(&refused, made.subject, sizeof refused);
    hash_bytes(digest32, bytes, size);
    CHECK_EQ(refused.status, status);
    CHECK_BYTES(refused.digest32, digest32, 32);
    attempts++;
}

/* A report out of its turn: nothing of it is believed, and the firm is stopped. */
static void check_stops(const uint8_t *bytes, size_t size) {
    static sentinel_state before;
    before = *state();
    const sentinel_view *view = sentinel_gate_view(scene.context);
    sentinel_position_state position = *sentinel_view_position(view, view->bundle.instruments);
    uint64_t count = state()->record_count;
    CHECK_EQ(give(bytes, size), SENTINEL_POLICY_REPORT);
    CHECK_EQ(state()->record_count, count + 1);
    CHECK_BYTES(before.feeders, state()->feeders, sizeof before.feeders);
    const sentinel_stop_state *firm = sentinel_view_node(view, 0);
    CHECK_EQ(
        memcmp(&position, sentinel_view_position(view, view->bundle.instruments), sizeof position),
        0);
    CHECK_EQ(firm->mode, SENTINEL_HALTED);
    CHECK_EQ(firm->cause, SENTINEL_CAUSE_REPORT);
    attempts++;
}

static void try_bytes_and_lengths(void) {
    static uint8_t bad[2 * sizeof kept[0].bytes];
    const uint8_t *good = kept[0].bytes;
    size_t size = kept[0].size;
    for (size_t at = 0; at < size; at++) {
        memcpy(bad, good, size);
        bad[at] ^= (uint8_t)(1u << at % 8);
        check_refused(bad, size, SENTINEL_OK);
    }
    memcpy(bad, good, size);
    memcpy(bad + size, good, size);
    for (size_t most = 1; most < size; most++) {
        check_refused(bad, most, SENTINEL_OK);
    }
    check_refused(bad, size + 1, SENTINEL_OK);
    check_refused(bad, size + 8, SENTINEL_OK);
    check_refused(bad, 2 * size, SENTINEL_OK);
}

/* Its own signers sign what is for another engine, or another environment. */
static void try_elsewhere(const uint32_t *keys, sentinel_status wanted) {
    sentinel_frame_header *header = (sentinel_frame_header *)scene.frame;
    memcpy(scene.frame, kept[0].bytes, sizeof scene.frame);
    if (wanted == SENTINEL_POLICY_ENGINE) {
        header->engine_id32[31] ^= 1;
    } else {
        header->environment = SENTINEL_ENVIRONMENT_LIVE;
    }
    scene.frame_size = header->size_bytes + 8u;
    memset(scene.frame + header->size_bytes, 0, sizeof scene.frame - header->size_bytes);
    for (unsigned i = 0; i < 2 && keys[i] != 0; i++) {
        frame_sign(&scene, keys[i], keys[i] == KEY_ROOT ? 0 : keys[i]);
    }
    check_refused(scene.frame, scene.frame_size, wanted);
}

static void test_no_altered_frame_of_any_kind_is_taken(void) {
    for (unsigned i = 0; i < KINDS; i++) {
        unsigned before = attempts;
        begin();
        kinds[i].make(0);
        keep(0);
        try_bytes_and_lengths();
        try_elsewhere(kinds[i].keys, SENTINEL_POLICY_ENGINE);
        try_elsewhere(kinds[i].keys, SENTINEL_POLICY_ENVIRONMENT);
        CHECK_OK(give(kept[0].bytes, kept[0].size)); /* it was good all the while */
        check_refused(kept[0].bytes, kept[0].size, SENTINEL_POLICY_SEQUENCE);
        printf("        %-16s %5zu bytes, %5u attempts\n", kinds[i].name, kept[0].size,
               attempts - before);
        scene_end(&scene);
    }
}

static void test_an_old_frame_of_any_kind_does_not_come_again(void) {
    for (unsigned i = 0; i < KINDS; i++) {
        begin();
        kinds[i].make(0);
        keep(0);
        CHECK_OK(give(kept[0].bytes, kept[0].size));
        kinds[i].make(1);
        CHECK_OK(give(scene.frame, scene.frame_size));
        check_refused(scene.frame, scene.frame_size, SENTINEL_POLICY_SEQUENCE);
        if (kinds[i].is_report) {
            check_stops(kept[0].bytes, kept[0].size);
        } else {
            check_refused(kept[0].bytes, kept[0].size, SENTINEL_POLICY_SEQUENCE);
        }
        scene_end(&scene);
    }
}

static void test_frames_of_any_kind_keep_their_order(void) {
    for (unsigned i = 0; i < KINDS; i++) {
        begin();
        for (unsigned nth = 0; nth < 2; nth++) {
            kinds[i].make(nth);
            keep(nth);
        }
        if (kinds[i].is_report) {
            check_stops(kept[1].bytes, kept[1].size); /* one is missing */
        } else {
            CHECK_OK(give(kept[1].bytes, kept[1].size));
            check_refused(kept[0].bytes, kept[0].size, SENTINEL_POLICY_SEQUENCE);
        }
        scene_end(&scene);
    }
}

/* A halt binds whatever its expiry says. */
static int binds_for_ever(unsigned kind) {
    return strcmp(kinds[kind].name, "halt") == 0;
}

static void test_a_frame_of_any_kind_ends(void) {
    for (unsigned i = 0; i < KINDS; i++) {
        for (int past = 1; past >= 0; past--) {
            begin();
            kinds[i].make(0);
            keep(0);
            scene.now = ((const sentinel_frame_header *)kept[0].bytes)->expires_ns - !past;
            if (past && !binds_for_ever(i)) {
                check_refused(kept[0].bytes, kept[0].size, SENTINEL_POLICY_EXPIRED);
            } else {
                CHECK_OK(give(kept[0].bytes, kept[0].size));
            }
            scene_end(&scene);
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_no_altered_frame_of_any_kind_is_taken);
    RUN(test_an_old_frame_of_any_kind_does_not_come_again);
    RUN(test_frames_of_any_kind_keep_their_order);
    RUN(test_a_frame_of_any_kind_ends);
    printf("        %u attempts on %u kinds of frames\n", attempts, (unsigned)KINDS);
    return test_end();
}

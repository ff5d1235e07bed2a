/* What stops the gate: halts, the control page, the clock, floods, and records
 * that cannot be kept. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>

#include "gate_scene.h"

static gate_scene scene;

/* libsodium's own, or on request a library that fails. */
static int signing_fails;
int crypto_scalarmult_ed25519_base_noclamp(unsigned char *point, const unsigned char *scalar) {
    typedef int multiply_function(unsigned char *, const unsigned char *);
    multiply_function *real;
    void *found = dlsym(RTLD_NEXT, "crypto_scalarmult_ed25519_base_noclamp");
    memcpy(&real, &found, sizeof real);
    return signing_fails ? -1 : real(point, scalar);
}

/* ---- Halts, control, clock ------------------------------------------------------- */

static void test_halt_needs_one_operator_and_resume_two(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    CHECK_OK(scene_halt(s, FIRM_ID));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_command(s, SENTINEL_COMMAND_RESUME, FIRM_ID);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE);
    scene_command(s, SENTINEL_COMMAND_RESUME, FIRM_ID);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(scene_take(s), SENTINEL_POLICY_SIGNATURE); /* one person twice */
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    CHECK_OK(scene_resume(s, FIRM_ID));
    check_allowed(s, &order);
    scene_end(s);
}

static void test_halt_of_an_agent_spares_the_others(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    CHECK_OK(scene_halt(s, AGENT_B));
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    sentinel_session other;
    CHECK_OK(sentinel_session_open(&other, s->context, AGENT_B));
    s->session = other;
    order.header.agent = AGENT_B;
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_end(s);
}

static void test_halt_survives_a_new_policy_and_cannot_be_left_out(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    CHECK_OK(scene_halt(s, AGENT_A));
    scene_policy_rows(s);
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_policy_rows(s);
    s->build.nodes[1].id = 7777;
    CHECK_EQ(scene_load(s), SENTINEL_FORMAT_REFERENCE);
    check_denied(s, &order, SENTINEL_REASON_KILL_SWITCH);
    scene_end(s);
}

static void test_control_page_stops_and_lets_go(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_place(s);
    s->control.stop = 1;
    check_denied(s, &order, SENTINEL_REASON_CONTROL_STOP);
    s->control.stop = 0;
    s->control.spool_submitted = 1;
    check_denied(s, &order, SENTINEL_REASON_CONTROL_STOP);
    s->control.spool_applied = 1;
    check_allowed(s, &order);
    scene_end(s);
}

static void test_clock_is_held_within_the_tolerance_and_halts_beyond(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    s->now += 10 * SECOND_NS;
    int64_t last = s->now;
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    s->now = last - SECOND_NS; /* the tolerance */
    order = scene_place(s);
    check_allowed(s, &order);
    CHECK_EQ(s->outcome.now_ns, last);
    s->now = last - SECOND_NS - 1;
    order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    CHECK(s->outcome.decision.reasons[0] >> SENTINEL_REASON_CLOCK & 1);
    s->now = last;
    check_denied(s, &order, SENTINEL_REASON_ENGINE_HALTED);
    CHECK_OK(scene_resume(s, FIRM_ID)); /* operators lift it */
    check_allowed(s, &order);
    scene_end(s);
}

static void test_without_a_policy_everything_is_refused(void) {
    gate_scene *s = &scene;
    scene_bare(s);
    CHECK_OK(sentinel_gate_genesis(s->context, s->now));
    s->session = (sentinel_session){.agent = AGENT_A};
    sentinel_order order = scene_place(s);
    check_denied(s, &order, SENTINEL_REASON_NO_POLICY);
    CHECK_EQ(sentinel_session_open(&s->session, s->context, AGENT_A), SENTINEL_POLICY_ABSENT);
    scene_end(s);
}

/* ---- Floods ---------------------------------------------------------------------- */

static void test_floods_are_summarised(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    s->build.policy.attempt_limit = 3;
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    order.place.instrument = 999;
    uint64_t before = sentinel_gate_state(s->context)->record_count;
    for (unsigned i = 0; i < 10; i++) {
        check_denied(s, &order, SENTINEL_REASON_INSTRUMENT_UNKNOWN);
        CHECK_EQ(s->outcome.recorded, i < 3);
    }
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before + 3);
    s->now += SECOND_NS; /* the next interval: a summary, then the denial */
    check_denied(s, &order, SENTINEL_REASON_INSTRUMENT_UNKNOWN);
    CHECK_EQ(s->outcome.recorded, 1);
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before + 5);
    sentinel_log_reader reader;
    sentinel_record record;
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, before + 3));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer));
    sentinel_log_reader_close(&reader);
    CHECK_EQ(record.header->type, SENTINEL_RECORD_SUMMARY);
    const sentinel_summary *summary = (const sentinel_summary *)record.subject;
    CHECK_EQ(summary->count, 7);
    CHECK_EQ(summary->reasons[0], UINT64_C(1) << SENTINEL_REASON_INSTRUMENT_UNKNOWN);
    scene_end(s);
}

static void test_flush_writes_what_was_only_counted(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    scene_policy_rows(s);
    s->build.policy.attempt_limit = 1;
    CHECK_OK(scene_load(s));
    sentinel_order order = scene_place(s);
    order.place.instrument = 999;
    check_denied(s, &order, SENTINEL_REASON_INSTRUMENT_UNKNOWN);
    check_denied(s, &order, SENTINEL_REASON_INSTRUMENT_UNKNOWN);
    uint64_t before = sentinel_gate_state(s->context)->record_count;
    CHECK_OK(sentinel_gate_flush(s->context, s->now));
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before + 1);
    CHECK_OK(sentinel_gate_flush(s->context, s->now));
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before + 1);
    scene_end(s);
}

/* ---- Records that cannot be kept ------------------------------------------------- */

static void test_no_record_no_signature(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    s->log.failed = 1;
    sentinel_order order = scene_place(s);
    scene_sign(s, &order);
    CHECK_EQ(s->outcome.verdict, SENTINEL_FAILED);
    CHECK_EQ(s->outcome.reason, SENTINEL_REASON_AUDIT_FAILED);
    CHECK(s->outcome.status != SENTINEL_OK);
    CHECK_EQ(s->outcome.recorded, 0);
    sentinel_signature none = {0};
    static const sentinel_request nothing;
    CHECK_BYTES(&s->outcome.signature, &none, sizeof none);
    CHECK_BYTES(&s->outcome.request, &nothing, sizeof nothing);
    order = scene_place(s);
    scene_sign(s, &order);
    CHECK(s->outcome.verdict != SENTINEL_ALLOWED);
    CHECK(s->outcome.decision.reasons[0] >> SENTINEL_REASON_ENGINE_HALTED & 1);
    scene_end(s);
}

static void test_a_signature_that_cannot_be_made_is_recorded_as_failed(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 4;
    memcpy(order.message.text, "test", 4);
    signing_fails = 1;
    scene_sign(s, &order);
    signing_fails = 0;
    CHECK_EQ(s->outcome.reason, SENTINEL_REASON_SIGN_FAILED);
    CHECK_EQ(s->outcome.verdict, SENTINEL_FAILED);
    CHECK_EQ(s->outcome.status, SENTINEL_CRYPTO_FAILED);
    CHECK_EQ(s->outcome.recorded, 1);
    sentinel_signature none = {0};
    CHECK_BYTES(&s->outcome.signature, &none, sizeof none);
    check_denied(s, &order, SENTINEL_REASON_DUPLICATE); /* spent is spent */
    scene_end(s);
}

static void test_a_full_disk_signs_nothing(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    struct rlimit old, small;
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096; /* no second segment can be made */
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    unsigned released = 0;
    for (unsigned i = 0; i < 500 && s->outcome.verdict != SENTINEL_FAILED; i++) {
        sentinel_order order = scene_place(s);
        scene_sign(s, &order);
        released += s->outcome.verdict == SENTINEL_ALLOWED;
    }
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    CHECK_EQ(s->outcome.verdict, SENTINEL_FAILED);
    sentinel_log_reader reader;
    sentinel_record record;
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    unsigned kept = 0;
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, 4));
    while (sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer) == SENTINEL_OK) {
        kept += record.header->verdict == SENTINEL_ALLOWED;
    }
    sentinel_log_reader_close(&reader);
    CHECK(kept >= released);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_halt_needs_one_operator_and_resume_two);
    RUN(test_halt_of_an_agent_spares_the_others);
    RUN(test_halt_survives_a_new_policy_and_cannot_be_left_out);
    RUN(test_control_page_stops_and_lets_go);
    RUN(test_clock_is_held_within_the_tolerance_and_halts_beyond);
    RUN(test_without_a_policy_everything_is_refused);
    RUN(test_floods_are_summarised);
    RUN(test_flush_writes_what_was_only_counted);
    RUN(test_no_record_no_signature);
    RUN(test_a_signature_that_cannot_be_made_is_recorded_as_failed);
    RUN(test_a_full_disk_signs_nothing);
    return test_end();
}

/* The commands that are cut off, and the run of one of them in a process of
 * its own. A new verb of the core gets a row here. */
#ifndef CRASH_COMMANDS_H
#define CRASH_COMMANDS_H

#include "crash_fresh.h"

/* Builds that look at other things than crashes take every so many points. */
#if defined(__SANITIZE_ADDRESS__) || defined(SENTINEL_COVERAGE)
#define CRASH_STRIDE 16u
#else
#define CRASH_STRIDE 1u
#endif

/* ---- Before ------------------------------------------------------------------------ */

static void ready(void) {
    home_begin();
}

static uint8_t durability = SENTINEL_DURABILITY_FSYNC;

static void made(void) {
    home_begin();
    options.durability = durability;
    options.snapshot_every = 16;
    CHECK_OK(engine_create());
    CHECK_OK(engine_open());
    for (int i = 0; i < 6; i++) {
        expect_allowed();
    }
}

static void closed(void) {
    made();
    engine_close();
}

static void closed_halted(void) {
    made();
    frame_command(SENTINEL_COMMAND_HALT);
    CHECK_OK(engine_take());
    engine_close();
}

static void closed_stopped(uint16_t scope, uint32_t target) {
    made();
    make_stop(SENTINEL_COMMAND_HALT, scope, target);
    CHECK_OK(engine_take());
    base_place.scope = scope;
    base_place.target = target;
    engine_close();
}

static void closed_no_venue(void) {
    closed_stopped(SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT);
}

static void closed_no_instrument(void) {
    closed_stopped(SENTINEL_SCOPE_INSTRUMENT, BTCUSDT);
}

/* Where the first segment's frames end. */
static uint64_t first_segment_used(void) {
    int fd = open(in_home("log/00000000000000000000.log"), O_RDONLY);
    off_t at = 64;
    for (uint64_t size = 1; size != 0; at += size != 0 ? (off_t)size + 16 : 0) {
        CHECK_EQ(pread(fd, &size, 8, at), 8);
    }
    close(fd);
    return (uint64_t)at;
}

/* The end of the first segment is near. */
static void closed_full(void) {
    made();
    while (first_segment_used() + 8192 < SENTINEL_SEGMENT_BYTES_MIN) {
        expect_allowed();
    }
    CHECK_EQ(count_files("log"), 2); /* with the head */
    engine_close();
}

static void closed_torn(void) {
    closed();
    off_t at = (off_t)first_segment_used();
    int fd = open(in_home("log/00000000000000000000.log"), O_RDWR);
    CHECK_EQ(pwrite(fd, "\x70\x02\0\0\0\0\0\0torn", 12, at), 12);
    close(fd);
}

/* Tickets wait: a halt, and what lifts it. */
static void closed_spooled(void) {
    closed();
    uint64_t ticket;
    make_stop(SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    make_stop(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
}

/* Nothing but the log: no snapshot. */
static void closed_bare(void) {
    closed_full();
    drop_snapshots();
}

static void make_lease(int64_t lease_s) {
    scene_command_at(&scene, SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0,
                     scene.now + lease_s * SECOND_NS);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
}

/* Without the operators' lease nothing is signed; one was given. */
static void closed_leased(void) {
    made();
    scene_policy_rows(&scene);
    scene.build.policy.lease_ns = 60 * SECOND_NS;
    frame_policy();
    CHECK_OK(engine_take());
    make_lease(30);
    CHECK_OK(engine_take());
    engine_close();
}

/* ---- Under test -------------------------------------------------------------------- */

static void run_create(void) {
    trace_arm();
    note_add(NOTE_CREATE, 0);
    note_done();
    CHECK_OK(engine_create());
    note_add(NOTE_CREATE, 1);
    note_done();
}

static void run_open(void) {
    trace_arm();
    CHECK_OK(engine_open());
    noted_sign();
}

static void run_close(void) {
    CHECK_OK(engine_open());
    noted_sign();
    trace_arm();
    engine_close();
}

static void run_sign(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (int i = 0; i < 20; i++) {
        noted_sign();
    }
    CHECK_EQ(count_files("log"), 3); /* in the second segment */
}

static void sign_stop(uint16_t verb, uint16_t scope, uint32_t target) {
    make_stop(verb, scope, target);
    frame_keep();
}

static void run_stop_at(uint16_t verb, uint16_t scope, uint32_t target) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    noted_stop(verb, scope, target);
    noted_sign();
    noted_sign();
}

#define STOP_COMMAND(name, verb, scope, target) \
    static void sign_##name(void) {             \
        sign_stop((verb), (scope), (target));   \
    }                                           \
    static void run_##name(void) {              \
        run_stop_at((verb), (scope), (target)); \
    }

STOP_COMMAND(halt, SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID)
STOP_COMMAND(halt_agent, SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, AGENT_A)
STOP_COMMAND(halt_venue, SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT)
STOP_COMMAND(halt_instrument, SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_INSTRUMENT, BTCUSDT)
STOP_COMMAND(drain, SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, FIRM_ID)
STOP_COMMAND(resume, SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID)
STOP_COMMAND(resume_venue, SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_VENUE,
             SENTINEL_VENUE_BINANCE_SPOT)
STOP_COMMAND(resume_instrument, SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_INSTRUMENT, BTCUSDT)

static void sign_policy(void) {
    frame_policy();
    frame_keep();
}

static void run_policy(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    noted_frame(SENTINEL_FRAME_POLICY);
    CHECK_OK(sentinel_session_open(&scene.session, sentinel_engine_context(engine), AGENT_A));
    noted_sign();
}

static void sign_authority(void) {
    scene_authority(&scene);
    frame_keep();
}

static void run_authority(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    noted_frame(SENTINEL_FRAME_AUTHORITY);
    noted_sign();
}

static void sign_feeds(void) {
    for (int i = 0; i < 4; i++) {
        scene_feed(&scene, BTCUSDT, (sentinel_decimal){.mantissa = 50000 + i});
        frame_keep();
    }
}

static void run_feed(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (int i = 0; i < 4; i++) {
        noted_frame(SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_MARK);
    }
    noted_sign();
}

static void sign_lease(void) {
    make_lease(50);
    frame_keep();
}

static void run_lease(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_sign();
    noted_frame(SENTINEL_FRAME_COMMAND);
    noted_sign();
}

static void sign_refused(void) {
    scene_command(&scene, SENTINEL_COMMAND_RESUME, FIRM_ID);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A); /* one of two */
    frame_keep();
}

/* A frame that is refused leaves a record, and nothing else. */
static void run_refused(void) {
    CHECK_OK(engine_open());
    trace_arm();
    (void)frame_use();
    for (int i = 0; i < 3; i++) {
        CHECK(engine_take() != SENTINEL_OK);
        noted_sign();
    }
}

static void run_snapshot(void) {
    CHECK_OK(engine_open());
    trace_arm();
    for (int i = 0; i < 4; i++) {
        CHECK_OK(sentinel_engine_snapshot(engine, scene.now));
        noted_sign();
    }
}

static void sign_submit(void) {
    sign_stop(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID);
    sign_stop(SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, AGENT_A);
    sign_stop(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT);
}

/* Submitter and writer, one call after the other. */
static void run_submit(void) {
    CHECK_OK(engine_open());
    noted_sign();
    trace_arm();
    noted_submit(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID);
    noted_sign();
    noted_submit(SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, AGENT_A);
    noted_submit(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT);
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    noted_sign();
}

static void sign_submit_alone(void) {
    sign_stop(SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, FIRM_ID);
    sign_stop(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID);
}

/* A submitter beside no writer. */
static void run_submit_alone(void) {
    trace_arm();
    noted_submit(SENTINEL_COMMAND_DRAIN, SENTINEL_SCOPE_NODE, FIRM_ID);
    noted_submit(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_NODE, FIRM_ID);
}

/* A halt, lifted through the spool by two operators. */
static void run_submit_resume(void) {
    CHECK_OK(engine_open());
    trace_arm();
    noted_submit(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    noted_sign();
}

/* What was only written before is on the medium once `fsync` began. */
static void run_stronger(void) {
    static sentinel_outcome told[20];
    options.durability = SENTINEL_DURABILITY_WRITE;
    CHECK_OK(engine_open());
    for (unsigned i = 0; i < 20; i++) {
        note_add(NOTE_SIGN, 0);
        note_done();
        told[i] = *engine_sign();
        CHECK_EQ(told[i].verdict, SENTINEL_ALLOWED);
    }
    CHECK_EQ(count_files("log"), 3); /* in the second segment */
    engine_close();
    options.durability = SENTINEL_DURABILITY_FSYNC;
    CHECK_OK(engine_open()); /* until here it is `write` that promises */
    trace_arm();
    for (unsigned i = 0; i < 20; i++) {
        note *row = note_add(NOTE_SIGN, 1);
        row->id = scene_before.id + 1 + i;
        row->record = told[i].record;
        memcpy(row->hash32, told[i].record_hash32, 32);
        note_done();
    }
    noted_sign();
    noted_sign();
}

static const crash_command commands[] = {
    {"create", ready, NULL, run_create, SENTINEL_RUNNING, 1, 0, NULL},
    {"open", closed, NULL, run_open, SENTINEL_RUNNING, 0, 0, NULL},
    {"open without a snapshot", closed_bare, NULL, run_open, SENTINEL_RUNNING, 0, 0, NULL},
    {"open a torn log", closed_torn, NULL, run_open, SENTINEL_RUNNING, 0, 0, NULL},
    {"open with tickets", closed_spooled, NULL, run_open, SENTINEL_HALTED, 0, 0, NULL},
    {"open halted", closed_halted, NULL, run_open, SENTINEL_HALTED, 0, 0, NULL},
    {"close", closed, NULL, run_close, SENTINEL_RUNNING, 0, 0, NULL},
    {"sign", closed_full, NULL, run_sign, SENTINEL_RUNNING, 0, 0, NULL},
    {"halt", closed, sign_halt, run_halt, SENTINEL_RUNNING, 0, 0, NULL},
    {"halt an agent", closed, sign_halt_agent, run_halt_agent, SENTINEL_RUNNING, 0, 0, NULL},
    {"halt a venue", closed, sign_halt_venue, run_halt_venue, SENTINEL_RUNNING, 0, 0, NULL},
    {"halt an instrument", closed, sign_halt_instrument, run_halt_instrument, SENTINEL_RUNNING, 0,
     0, NULL},
    {"drain", closed, sign_drain, run_drain, SENTINEL_RUNNING, 0, 0, NULL},
    {"resume", closed_halted, sign_resume, run_resume, SENTINEL_HALTED, 0, 0, NULL},
    {"resume a venue", closed_no_venue, sign_resume_venue, run_resume_venue, SENTINEL_HALTED, 0, 0,
     NULL},
    {"resume an instrument", closed_no_instrument, sign_resume_instrument, run_resume_instrument,
     SENTINEL_HALTED, 0, 0, NULL},
    {"load a policy", closed, sign_policy, run_policy, SENTINEL_RUNNING, 0, 0, NULL},
    {"load an authority", closed, sign_authority, run_authority, SENTINEL_RUNNING, 0, 0, NULL},
    {"feed", closed, sign_feeds, run_feed, SENTINEL_RUNNING, 0, 0, NULL},
    {"lease", closed_leased, sign_lease, run_lease, SENTINEL_RUNNING, 0, 0, NULL},
    {"refuse", closed, sign_refused, run_refused, SENTINEL_RUNNING, 0, 0, NULL},
    {"snapshot", closed, NULL, run_snapshot, SENTINEL_RUNNING, 0, 0, NULL},
    {"submit and apply", closed, sign_submit, run_submit, SENTINEL_RUNNING, 0, 0, NULL},
    {"submit alone", closed, sign_submit_alone, run_submit_alone, SENTINEL_RUNNING, 0, 0, NULL},
    {"submit a resume", closed_halted, sign_resume, run_submit_resume, SENTINEL_HALTED, 0, 0, NULL},
    {"ask approvers", closed_asking, NULL, run_ask, SENTINEL_RUNNING, 0, 0, judge_ask},
    {"approve", closed_pending, sign_approvals, run_approve, SENTINEL_RUNNING, 0, 0, judge_approve},
    {"reject", closed_pending, sign_rejection, run_reject, SENTINEL_RUNNING, 0, 0, judge_reject},
    {"withdraw", closed_pending, NULL, run_withdraw, SENTINEL_RUNNING, 0, 0, judge_withdraw},
    {"beat", closed_beating, sign_beats, run_beats, SENTINEL_RUNNING, 0, 0, judge_beats},
    {"fall silent", closed_beating, sign_beats, run_silence, SENTINEL_RUNNING, 0, SILENCE_S + 10,
     judge_silence},
    {"report", closed, sign_reports, run_reports, SENTINEL_RUNNING, 0, 0, judge_reports},
    {"report what is false", closed, sign_false_report, run_false_report, SENTINEL_RUNNING, 0, 0,
     judge_false_report},
    {"state a position", closed, sign_positions, run_positions, SENTINEL_RUNNING, 0, 0,
     judge_positions},
    {"ask a witness", closed_witnessed, NULL, run_witness, SENTINEL_RUNNING, 0, 0, judge_witness},
    {"accept a gap", closed_gap, sign_gap, run_gap, SENTINEL_RUNNING, 0, 0, judge_gap},
    {"set the clock back", closed_ahead, sign_clock, run_clock, SENTINEL_RUNNING, 0, 0,
     judge_clock},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const crash_command stronger = {"from write to fsync", closed_full, NULL, run_stronger,
                                       SENTINEL_RUNNING,      0,           0,    NULL};

/* ---- One run ------------------------------------------------------------------------ */

/* The engine as it is before each run of the command. */
static void command_prepare(const crash_command *row) {
    command = row;
    if (notes == NULL) {
        notes = (note_book *)syscall(SYS_mmap, NULL, sizeof *notes, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    base_unsigned = 0;
    base_halted = 0;
    base_place.scope = SENTINEL_SCOPE_NODE;
    base_place.target = FIRM_ID;
    row->prepare();
    options.durability = durability;
    options.snapshot_every = 16;
    base_uses = scene.id - base_unsigned;
    scene_before.now = scene.now;
    scene_before.id = scene.id;
    memcpy(scene_before.sequences, scene.sequences, sizeof scene.sequences);
    frames_kept = 0;
    if (row->sign != NULL) {
        row->sign();
        memcpy(scene.sequences, scene_before.sequences, sizeof scene.sequences);
    }
    disk_load(home);
}

static void command_reset(void) {
    disk_restore(home);
    notes->count = 0;
}

/* In a process that is killed at call `at` (0: behind the last), and closes
 * nothing. 1: it was killed. */
static int run_in_child(void (*run)(void), unsigned at, trace_death how) {
    pid_t child = fork();
    if (child == 0) {
        if (setjmp(test_jump) == 0) {
            trace_on = 1;
            die_at = at;
            die_how = how;
            run();
            trace_stores();
            trace->end = trace->count;
            _exit(0);
        }
        _exit(3);
    }
    int state;
    CHECK_EQ(waitpid(child, &state, 0), child);
    int is_killed = WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL;
    CHECK(is_killed || (WIFEXITED(state) && WEXITSTATUS(state) == 0));
    return is_killed;
}

#endif

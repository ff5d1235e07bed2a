/* Power loss. Goal: from every prefix of what a command wrote, with what was
 * not synced there or not, in part, in another order, or torn between sectors,
 * the engine opens to what its durability promised: with `fsync` nothing that
 * was acknowledged is lost, and it goes on; with `write` it may start halted,
 * but never opens to a log that does not verify. Method: one run of the
 * command is recorded (crash_trace.h), its prefixes are laid out as
 * directories (crash_disk.h), and crash_scene.h judges each.
 *
 * SENTINEL_CRASH_SEEDS: random choices of each prefix; 2 by default. */
#include "crash_commands.h"

#define SINGLES_MAX 6u
/* With those of kill -9, at least the 5,000 that the project promises. */
#define POWER_POINTS_MIN 3500u

static unsigned points;
static unsigned failed;
static unsigned damaged; /* `write`: opened halted, or not at all */
static unsigned seeds = 2;
static uint64_t random_state;

static uint64_t random_next(void) {
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* The directory that is left by the chosen items of the first events. */
static void judge_choice(unsigned events, const char *choice, int is_all) {
    int is_weak = durability != SENTINEL_DURABILITY_FSYNC && !is_all;
    disk_put(home);
    points++;
    const char *wrong = judge(notes_before(events), is_weak);
    damaged += judged_damaged != 0;
    if (wrong != NULL && lie == LIE_NOTHING) {
        printf("    %s, power lost behind event %u of %u, %s: %s\n", command->name, events,
               trace->count, choice, wrong);
    }
    failed += wrong != NULL;
}

static void choose_kind(disk_kind kind) {
    for (unsigned i = 0; i < disk.item_count; i++) {
        disk.chosen[i] = (disk.items[i].kind == DISK_NAME) == (kind == DISK_NAME);
    }
}

/* One item alone is there, then all but that one; the latest are tried. */
static void judge_singles(unsigned events) {
    char choice[64];
    unsigned first = disk.item_count > SINGLES_MAX ? disk.item_count - SINGLES_MAX : 0;
    for (unsigned i = first; i < disk.item_count; i++) {
        for (uint8_t is_there = 0; is_there < 2; is_there++) {
            if (disk.item_count < 3 && is_there) {
                continue; /* The same as another's absence. */
            }
            disk_choose_all(is_there);
            disk.chosen[i] = !is_there;
            snprintf(choice, sizeof choice, "%s item %u of %u", is_there ? "without" : "only", i,
                     disk.item_count);
            judge_choice(events, choice, 0);
        }
    }
}

static void judge_prefix(unsigned events) {
    char choice[64];
    /* Stores between two calls are in no order: only all of them are all. */
    int is_amid = durability == SENTINEL_DURABILITY_MAPPED && events < trace->count &&
                  trace->events[events].kind == TRACE_STORE;
    disk_choose_all(1);
    judge_choice(events, "all", !is_amid);
    if (disk.item_count == 0) {
        return;
    }
    disk_choose_all(0);
    judge_choice(events, "nothing that was not synced", 0);
    trace_kind kind = (trace_kind)trace->events[events - 1].kind;
    if (kind == TRACE_STORE || kind == TRACE_MAP) {
        return; /* The next event's choices have these among them. */
    }
    if (disk.item_count > 1 && durability == SENTINEL_DURABILITY_FSYNC) {
        judge_singles(events);
    }
    if (disk.item_count > 2) {
        choose_kind(DISK_NAME);
        judge_choice(events, "names alone", 0);
        choose_kind(DISK_SECTOR);
        judge_choice(events, "bytes alone", 0);
    }
    for (unsigned seed = 0; seed < seeds && disk.item_count > 3; seed++) {
        random_state = events * UINT64_C(1000003) + seed;
        uint64_t density = 1 + seed % 3; /* of 4 */
        for (unsigned i = 0; i < disk.item_count; i++) {
            disk.chosen[i] = random_next() % 4 < density;
        }
        snprintf(choice, sizeof choice, "seed %u", seed);
        judge_choice(events, choice, 0);
    }
}

static void power_command(const crash_command *row) {
    command_prepare(row);
    command_reset();
    CHECK(!run_in_child(row->run, 0, DIE_AFTER));
    for (unsigned i = 0; i < trace->count; i++) {
        disk_apply(&trace->events[i]);
    }
    if (lie == LIE_NOTHING) {
        disk_must_be(home);
    }
    disk_rewind();
    for (unsigned i = 0; i < trace->end; i++) {
        disk_apply(&trace->events[i]);
        if (i + 1 >= trace->begin && i % CRASH_STRIDE == 0) {
            judge_prefix(i + 1);
        }
    }
}

static void power_all(uint8_t mode, const char *name) {
    unsigned points_before = points;
    durability = mode;
    failed = damaged = 0;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        unsigned before = points;
        power_command(&commands[i]);
        printf("        %-26s %5u points\n", commands[i].name, points - before);
    }
    printf("        %s: %u commands, %u points, %u not recovered, %u opened halted or not at all\n",
           name, (unsigned)COMMAND_COUNT, points - points_before, failed, damaged);
    CHECK_EQ(failed, 0);
}

static void test_power_loss_takes_nothing_that_fsync_promised(void) {
    power_all(SENTINEL_DURABILITY_FSYNC, "fsync");
    CHECK_EQ(damaged, 0);
}

static void test_power_loss_with_write_never_opens_to_a_wrong_log(void) {
    power_all(SENTINEL_DURABILITY_WRITE, "write");
}

static void test_power_loss_with_a_mapped_log_never_opens_to_a_wrong_log(void) {
    power_all(SENTINEL_DURABILITY_MAPPED, "mapped");
}

static void test_fsync_keeps_what_was_written_before_it_began(void) {
    durability = SENTINEL_DURABILITY_FSYNC;
    failed = 0;
    unsigned before = points;
    power_command(&stronger);
    printf("        %-26s %5u points\n", stronger.name, points - before);
    CHECK_EQ(failed, 0);
}

/* ---- Killed, opened again, then the power fails --------------------------------------- */

static void run_again(void) {
    scene.now += command->takes_s * SECOND_NS;
    CHECK_OK(engine_open());
    noted_sign();
}

/* What the second run relies on must be on the medium, whoever wrote it. */
static void kill_then_power(const crash_command *row) {
    command_prepare(row);
    command_reset();
    CHECK(!run_in_child(row->run, 0, DIE_AFTER));
    unsigned calls = trace->calls;
    for (unsigned at = 1; at <= calls; at += CRASH_STRIDE) {
        command_reset();
        CHECK(run_in_child(row->run, at, DIE_AFTER));
        CHECK(!run_in_child(run_again, 0, DIE_AFTER));
        for (unsigned i = 0; i < trace->count; i++) {
            disk_apply(&trace->events[i]);
        }
        disk_choose_all(0);
        judge_choice(trace->count, "killed before, nothing that was not synced", 0);
        choose_kind(DISK_SECTOR);
        judge_choice(trace->count, "killed before, bytes alone", 0);
        choose_kind(DISK_NAME);
        judge_choice(trace->count, "killed before, names alone", 0);
    }
}

static void test_power_loss_after_a_kill_takes_nothing_that_fsync_promised(void) {
    unsigned before = points;
    durability = SENTINEL_DURABILITY_FSYNC;
    failed = 0;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (!commands[i].is_new) {
            kill_then_power(&commands[i]);
        }
    }
    printf("        killed, opened, power lost: %u points, %u not recovered\n", points - before,
           failed);
    CHECK_EQ(failed, 0);
}

/* ---- The harness can fail -------------------------------------------------------------- */

static void expect_seen(trace_lie planted, const char *name, void (*run)(void)) {
    durability = SENTINEL_DURABILITY_FSYNC;
    failed = 0;
    lie = planted;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].run == run) {
            power_command(&commands[i]);
        }
    }
    lie = LIE_NOTHING;
    printf("        %-40s %5u points fail\n", name, failed);
    CHECK(failed > 0 || CRASH_STRIDE > 1);
}

static void test_a_sync_that_is_left_out_is_seen(void) {
    unsigned before = points;
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while halting", run_halt);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while signing", run_sign);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while approving", run_approve);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while withdrawing", run_withdraw);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while beating", run_beats);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while reporting", run_reports);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, at a false report", run_false_report);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, while confirmed", run_witness);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, accepting a gap", run_gap);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, setting the clock", run_clock);
    expect_seen(LIE_SYNC_LOG, "no sync of the log, resuming a venue", run_resume_venue);
    expect_seen(LIE_SYNC_NAMES, "no sync of names, while creating", run_create);
    expect_seen(LIE_SYNC_NAMES, "no sync of names, while signing", run_sign);
    expect_seen(LIE_SYNC_NAMES, "no sync of names, while submitting", run_submit_alone);
    expect_seen(LIE_SYNC_SPOOL, "no sync of tickets, while submitting", run_submit_alone);
    points = before; /* They prove the harness, not the core. */
}

static void test_the_points_are_as_many_as_promised(void) {
    CHECK(points >= POWER_POINTS_MIN || CRASH_STRIDE > 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    const char *wanted = getenv("SENTINEL_CRASH_SEEDS");
    seeds = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : seeds;
    scratch = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    RUN(test_power_loss_takes_nothing_that_fsync_promised);
    RUN(test_power_loss_with_write_never_opens_to_a_wrong_log);
    RUN(test_power_loss_with_a_mapped_log_never_opens_to_a_wrong_log);
    RUN(test_fsync_keeps_what_was_written_before_it_began);
    RUN(test_power_loss_after_a_kill_takes_nothing_that_fsync_promised);
    RUN(test_a_sync_that_is_left_out_is_seen);
    RUN(test_the_points_are_as_many_as_promised);
    printf("        power lost at %u points\n", points);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}

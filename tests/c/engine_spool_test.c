/* Control page and spool. Goal: another process stops the writer before its
 * next decision, commands are applied once and in order, and nothing that is
 * left in the spool can start or hang the engine. Method: submissions from
 * child processes; writers that are killed between two steps. */
#include "engine_ack.h"
#include "engine_scene.h"
#include "file_faults.h"

#include <sys/mman.h>

static uint64_t ticket;

/* From a process of its own, as an operator would. */
static void submit(void) {
    int ends[2];
    CHECK_OK(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        uint64_t given = 0;
        sentinel_status status = sentinel_spool_submit(&given, home, scene.frame, scene.frame_size);
        _exit(status == SENTINEL_OK && write(ends[1], &given, 8) == 8 ? 42 : 1);
    }
    int state;
    waitpid(child, &state, 0);
    CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 42);
    CHECK_EQ(read(ends[0], &ticket, 8), 8);
    close(ends[0]);
    close(ends[1]);
}

static void ticket_name(char name[64], uint64_t number, const char *suffix) {
    snprintf(name, 64, "spool/%020llu%s", (unsigned long long)number, suffix);
}

typedef struct answer {
    uint32_t status, reserved;
    uint64_t record;
    sentinel_signed_ack acknowledged;
} answer;

static answer last_answer;

/* What the writer answered; gives the record. */
static uint64_t expect_done(uint64_t number, sentinel_status status) {
    char name[64];
    ticket_name(name, number, "");
    CHECK(!exists(name));
    ticket_name(name, number, ".done");
    int fd = open(in_home(name), O_RDONLY);
    CHECK(fd >= 0);
    memset(&last_answer, 0, sizeof last_answer);
    ssize_t size = read(fd, &last_answer, sizeof last_answer);
    uint8_t more;
    CHECK_EQ(read(fd, &more, 1), 0);
    close(fd);
    CHECK_EQ(last_answer.status, status);
    CHECK_EQ(last_answer.reserved, 0);
    if (size != 16) {
        CHECK_EQ(size, sizeof last_answer);
        CHECK_EQ(status, SENTINEL_OK);
        expect_acknowledged(&last_answer.acknowledged, last_answer.record);
    }
    return last_answer.record;
}

static sentinel_control *control_map(void) {
    int fd = open(in_home("control"), O_RDWR);
    sentinel_control *control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CHECK(control != MAP_FAILED);
    return control;
}

static void test_another_process_stops_and_resumes_the_writer(void) {
    engine_begin();
    sentinel_control *control = control_map();
    CHECK_EQ(control->writer_pid, getpid());
    expect_allowed();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_EQ(ticket, 1);
    CHECK_EQ(control->stop, 0); /* the ticket stops, until it has its answer */
    CHECK_EQ(control->spool_submitted, 1);
    CHECK_EQ(control->spool_applied, 0);
    uint64_t number = engine_state()->record_count;
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(expect_done(1, SENTINEL_OK), number);
    CHECK_EQ(last_answer.acknowledged.ack.verb, SENTINEL_COMMAND_HALT);
    CHECK_EQ(last_answer.acknowledged.ack.target, FIRM_ID);
    CHECK_EQ(control->stop, 0);
    CHECK_EQ(control->spool_applied, 1);
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    frame_command(SENTINEL_COMMAND_RESUME);
    submit();
    expect_allowed();
    CHECK_EQ(expect_done(2, SENTINEL_OK), number + 3);
    engine_close();
    CHECK_EQ(control->writer_pid, 0);
    munmap(control, 4096);
}

static void test_tickets_are_applied_in_order(void) {
    engine_begin();
    for (int i = 0; i < 3; i++) {
        frame_command(SENTINEL_COMMAND_HALT);
        submit();
        frame_command(SENTINEL_COMMAND_RESUME);
        submit();
    }
    CHECK_EQ(ticket, 6);
    uint64_t number = engine_state()->record_count;
    expect_allowed();
    for (uint64_t i = 1; i <= 6; i++) {
        CHECK_EQ(expect_done(i, SENTINEL_OK), number + i - 1);
    }
}

static void test_a_bundle_comes_by_the_spool_as_well(void) {
    engine_begin();
    frame_policy();
    submit();
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    expect_done(1, SENTINEL_OK);
    CHECK_EQ(last_answer.acknowledged.ack.count, 0); /* no command, no acknowledgement */
    CHECK_EQ(count_files("bundles"), 3);
    expect_allowed();
}

static void test_a_refused_command_stops_only_until_it_is_refused(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    scene.frame[scene.frame_size - 1] ^= 1;
    submit();
    sentinel_control *control = control_map();
    CHECK_EQ(control->spool_submitted, control->spool_applied + 1);
    expect_allowed();
    expect_done(1, SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(control->stop, 0);
    munmap(control, 4096);
}

static void test_a_stop_word_without_a_command_stays(void) {
    engine_begin();
    sentinel_control *control = control_map();
    control->stop = 1;
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    CHECK_EQ(control->stop, 1);
    scene_feed(&scene, BTCUSDT, decimal(50000, 0));
    submit(); /* a feed is no command */
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    expect_done(1, SENTINEL_OK);
    engine_close();
    CHECK_OK(engine_open());
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take()); /* the writer's own command counts as well */
    expect_allowed();
    CHECK_EQ(control->stop, 0);
    munmap(control, 4096);
}

/* Approvers answer while an operator is just setting a stop: taken or refused,
 * by the spool or by the writer, their answer lifts nothing. */
static void test_an_answer_of_approvers_lifts_no_stop(void) {
    static const uint8_t hash32[32] = {1};
    engine_begin();
    sentinel_control *control = control_map();
    control->stop = 1;
    scene_answer(&scene, SENTINEL_COMMAND_APPROVE, 1, hash32);
    frame_sign(&scene, KEY_APPROVER, KEY_APPROVER);
    submit();
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    expect_done(1, SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(engine_take(), SENTINEL_POLICY_APPROVAL);
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    CHECK_EQ(control->stop, 1);
    CHECK_EQ(sentinel_engine_withdraw(engine, NULL, &scene.session, 1, scene.now),
             SENTINEL_POLICY_APPROVAL);
    CHECK_EQ(sentinel_engine_withdraw(NULL, NULL, &scene.session, 1, scene.now),
             SENTINEL_USAGE_STATE);
    munmap(control, 4096);
}

/* A page that a power loss set back gives out no ticket again. */
static void test_an_old_page_gives_out_no_ticket_twice(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    frame_command(SENTINEL_COMMAND_RESUME);
    submit();
    expect_allowed();
    engine_close();
    sentinel_control *control = control_map();
    control->spool_submitted = 0;
    control->spool_applied = 0;
    frame_command(SENTINEL_COMMAND_HALT);
    submit(); /* before a writer looked */
    CHECK_EQ(ticket, 3);
    CHECK_OK(engine_open());
    expect_done(3, SENTINEL_OK);
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    munmap(control, 4096);
}

/* Its record is behind no snapshot before it has its answer. */
static void test_an_answer_that_is_owed_outlives_a_clean_close(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_OK(mkdir(in_home("spool/00000000000000000001.done.new"), 0700));
    uint64_t number = engine_state()->record_count;
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    engine_close();
    CHECK_OK(rmdir(in_home("spool/00000000000000000001.done.new")));
    CHECK_OK(engine_open());
    CHECK_EQ(expect_done(1, SENTINEL_OK), number);
}

/* Nor behind another frame: a start looks at the last one alone. */
static void test_an_answer_that_is_owed_comes_before_another_frame(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_OK(mkdir(in_home("spool/00000000000000000001.done.new"), 0700));
    uint64_t number = engine_state()->record_count;
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    CHECK_OK(rmdir(in_home("spool/00000000000000000001.done.new")));
    frame_command(SENTINEL_COMMAND_RESUME);
    CHECK_OK(engine_take());
    CHECK_EQ(expect_done(1, SENTINEL_OK), number);
    expect_allowed();
}

static void test_with_no_writer_the_next_one_applies_the_spool_first(void) {
    engine_begin();
    engine_close();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_OK(engine_open());
    expect_done(1, SENTINEL_OK);
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
}

static void test_what_is_no_frame_is_not_submitted(void) {
    engine_begin();
    uint64_t given;
    CHECK_EQ(sentinel_spool_submit(&given, home, "SENTINEL", 8), SENTINEL_FORMAT_MAGIC);
    frame_command(SENTINEL_COMMAND_HALT);
    scene.frame[0] ^= 1;
    CHECK_EQ(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_MAGIC);
    scene.frame[0] ^= 1;
    CHECK_EQ(sentinel_spool_submit(NULL, home, scene.frame, scene.frame_size),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_spool_submit(&given, NULL, scene.frame, scene.frame_size),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_spool_submit(&given, "/nowhere", scene.frame, scene.frame_size),
             SENTINEL_IO_OPEN);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(sentinel_spool_submit(&given, "/tmp", scene.frame, scene.frame_size),
             SENTINEL_IO_OPEN);
    CHECK_EQ(count_files("spool"), 1); /* the lock */
    expect_allowed();
}

static void test_a_spool_has_its_limits(void) {
    engine_begin();
    engine_close();
    uint64_t given;
    sentinel_control *control = control_map();
    frame_command(SENTINEL_COMMAND_HALT);
    control->spool_submitted = UINT64_MAX;
    CHECK_EQ(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_RANGE);
    control->spool_submitted = UINT64_C(1) << 62;
    CHECK_EQ(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_RANGE);
    control->spool_submitted = 65536; /* that many wait */
    CHECK_EQ(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size),
             SENTINEL_FORMAT_LIMIT);
    control->spool_submitted = 65535;
    CHECK_OK(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size));
    CHECK_EQ(given, 65536);
    control->spool_submitted = control->spool_applied = 0;
    CHECK_OK(engine_open());
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    munmap(control, 4096);
}

/* Whatever else lies under a ticket's name is answered; it may have been a halt. */
static void test_a_ticket_that_is_no_file_is_answered(void) {
    engine_begin();
    sentinel_control *control = control_map();
    CHECK_OK(symlink("/etc/passwd", in_home("spool/00000000000000000001")));
    CHECK_OK(mkfifo(in_home("spool/00000000000000000002"), 0600));
    control->spool_submitted = 1;
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    expect_done(1, SENTINEL_IO_OPEN);
    control->stop = 0;
    control->spool_submitted = 2;
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    expect_done(2, SENTINEL_FORMAT_MAGIC);
    frame_command(SENTINEL_COMMAND_RESUME);
    submit();
    expect_allowed();
    munmap(control, 4096);
}

static void test_a_halt_that_cannot_be_spooled_stops_all_the_same(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    uint64_t given;
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size), SENTINEL_IO_SPACE);
    CHECK_EQ(errno, ENOSPC);
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    CHECK_OK(sentinel_spool_submit(&given, home, scene.frame, scene.frame_size));
    CHECK_EQ(given, 1);
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
}

static void test_a_result_that_cannot_be_written_keeps_the_ticket_open(void) {
    engine_begin();
    scene_feed(&scene, BTCUSDT, decimal(50000, 0));
    submit();
    faults = (file_faults){.rename_error = ENOSPC};
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    CHECK_EQ(sentinel_engine_errno(engine), ENOSPC);
    faults = (file_faults){.most = 0};
    expect_allowed();
    CHECK_EQ(expect_done(1, SENTINEL_OK), 4); /* taken once, the first time */
    CHECK_EQ(engine_state()->record_count, 7);
}

/* ---- Killed and damaged --------------------------------------------------------- */

static void take_and_die(void) {
    if (engine_open() != SENTINEL_OK || !exists("spool/00000000000000000001.done")) {
        _exit(1);
    }
}

static void test_a_writer_killed_before_its_answer_answers_later(void) {
    engine_begin();
    engine_close();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    shell("cp %s/spool/00000000000000000001 %s/copy", home, home);
    in_killed_child(take_and_die);
    uint64_t number = expect_done(1, SENTINEL_OK);
    answer first = last_answer;
    CHECK_EQ(first.acknowledged.ack.record, number);
    /* As if it had been killed right behind the record. */
    shell("rm %s/spool/*.done", home, "");
    shell("mv %s/copy %s/spool/00000000000000000001", home, home);
    sentinel_control *control = control_map();
    control->spool_applied = 0;
    CHECK_OK(engine_open());
    CHECK_EQ(expect_done(1, SENTINEL_OK), number);
    CHECK(memcmp(&last_answer, &first, sizeof first) == 0); /* made again, the same */
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    munmap(control, 4096);
}

/* An answer that somebody put there takes no halt away, whichever ticket it is;
 * and none of the tickets behind the first loses anything. */
static void test_an_answer_that_was_planted_takes_no_halt_away(void) {
    for (int opens = 0; opens < 2; opens++) {
        engine_begin();
        frame_command(SENTINEL_COMMAND_HALT);
        if (opens) {
            engine_close();
        }
        submit();
        shell("touch %s/spool/00000000000000000001.done", home, "");
        if (opens) {
            CHECK_OK(engine_open());
        }
        expect_denied(SENTINEL_REASON_KILL_SWITCH);
        CHECK(!exists("spool/00000000000000000001"));
        frame_command(SENTINEL_COMMAND_RESUME);
        submit();
        shell("touch %s/spool/00000000000000000002.done", home, "");
        expect_allowed();
        (void)expect_done(2, SENTINEL_OK);
        frame_command(SENTINEL_COMMAND_HALT);
        submit(); /* and is gone, with an answer in its place */
        shell("mv %s/spool/00000000000000000003 %s/spool/00000000000000000003.done", home, home);
        expect_denied(SENTINEL_REASON_CONTROL_STOP);
    }
}

static void test_a_writer_killed_behind_its_answer_does_not_apply_again(void) {
    engine_begin();
    engine_close();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    shell("cp %s/spool/00000000000000000001 %s/copy", home, home);
    in_killed_child(take_and_die);
    shell("mv %s/copy %s/spool/00000000000000000001", home, home);
    sentinel_control *control = control_map();
    control->spool_applied = 0;
    uint64_t count = log_count();
    CHECK_OK(engine_open());
    CHECK_EQ(engine_state()->record_count, count + 1); /* its own start */
    expect_done(1, SENTINEL_OK);
    CHECK_EQ(control->spool_applied, 1);
    munmap(control, 4096);
}

static void test_a_lost_control_page_is_worked_out_from_the_files(void) {
    engine_begin();
    expect_allowed();
    for (int i = 0; i < 2; i++) {
        frame_command(SENTINEL_COMMAND_HALT);
        submit();
        frame_command(SENTINEL_COMMAND_RESUME);
        submit();
        if (i == 0) {
            expect_allowed();
        }
    }
    engine_close();
    CHECK_OK(unlink(in_home("control")));
    CHECK_OK(engine_open());
    expect_done(3, SENTINEL_OK);
    expect_done(4, SENTINEL_OK);
    expect_allowed();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_EQ(ticket, 5);
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    engine_close();
    /* Answers alone are left: a ticket's number is not given twice. */
    CHECK_OK(unlink(in_home("control")));
    CHECK_OK(engine_open());
    frame_command(SENTINEL_COMMAND_RESUME);
    submit();
    CHECK_EQ(ticket, 6);
    expect_allowed();
}

static void test_wrong_counts_refuse_until_the_engine_is_opened_again(void) {
    static const struct {
        uint64_t submitted, applied;
    } rows[] = {{0, 1}, {UINT64_MAX, 0}, {UINT64_C(1) << 62, 3}, {70000, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        engine_begin();
        sentinel_control *control = control_map();
        control->spool_submitted = rows[i].submitted;
        control->spool_applied = rows[i].applied;
        CHECK_EQ(sentinel_engine_spool(engine, scene.now), SENTINEL_FORMAT_RANGE);
        expect_denied(SENTINEL_REASON_CONTROL_STOP);
        engine_close();
        CHECK_OK(engine_open());
        expect_allowed();
        CHECK_EQ(control->spool_submitted, control->spool_applied);
        munmap(control, 4096);
    }
}

static void test_a_ticket_without_a_file_is_answered(void) {
    engine_begin();
    frame_command(SENTINEL_COMMAND_HALT);
    submit();
    CHECK_OK(unlink(in_home("spool/00000000000000000001")));
    expect_denied(SENTINEL_REASON_CONTROL_STOP); /* it was a halt */
    expect_done(1, SENTINEL_IO_OPEN);
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
}

/* So is one that went while no writer was there, whether others wait or not. */
static void test_a_ticket_that_went_meanwhile_stops_the_next_writer(void) {
    for (int others = 0; others < 2; others++) {
        engine_begin();
        engine_close();
        frame_command(SENTINEL_COMMAND_HALT);
        submit();
        CHECK_OK(unlink(in_home("spool/00000000000000000001")));
        if (others) {
            scene_feed(&scene, BTCUSDT, decimal(50000, 0));
            submit();
        }
        CHECK_OK(engine_open());
        expect_denied(SENTINEL_REASON_CONTROL_STOP);
        frame_command(SENTINEL_COMMAND_RESUME);
        submit();
        expect_allowed();
    }
}

/* A page that lags behind the answers of a spool is no sign of that. */
static void test_a_page_that_lags_stops_nothing(void) {
    engine_begin();
    sentinel_control *control = control_map();
    for (int i = 0; i < 3; i++) {
        scene_feed(&scene, BTCUSDT, decimal(50000 + i, 0));
        submit();
        expect_allowed();
    }
    engine_close();
    control->spool_applied = 0;
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
    shell("rm %s/spool/*2.done", home, "");
    control->spool_applied = 2; /* an answer that is no longer asked about */
    CHECK_OK(engine_open());
    expect_allowed();
    engine_close();
    control->spool_applied = 1;
    CHECK_OK(engine_open());
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
    engine_close();
    control->stop = 0;
    munmap(control, 4096);
}

static void test_a_frame_that_is_too_large_is_answered(void) {
    engine_begin();
    frame_policy();
    submit();
    CHECK_OK(truncate(in_home("spool/00000000000000000001"), (64 << 20) + 1));
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    expect_done(1, SENTINEL_FORMAT_SIZE);
    expect_allowed();
}

static void test_a_damaged_log_takes_nothing_from_the_spool(void) {
    engine_begin();
    expect_allowed();
    engine_close();
    frame_command(SENTINEL_COMMAND_RESUME);
    submit();
    flip_byte("log/00000000000000000000.log", 3000);
    CHECK_EQ(engine_open(), SENTINEL_AUDIT_CORRUPT);
    CHECK(sentinel_engine_spool(engine, scene.now) != SENTINEL_OK);
    CHECK(exists("spool/00000000000000000001"));
}

static void test_old_answers_are_removed(void) {
    engine_begin();
    sentinel_control *control = control_map();
    control->spool_submitted = control->spool_applied = 5000;
    shell("touch %s/spool/00000000000000000905.done %s/spool/00000000000000000906.done", home,
          home);
    scene_feed(&scene, BTCUSDT, decimal(50000, 0));
    submit();
    CHECK_EQ(ticket, 5001);
    expect_allowed();
    expect_done(5001, SENTINEL_OK);
    CHECK(!exists("spool/00000000000000000905.done"));
    CHECK(exists("spool/00000000000000000906.done"));
    munmap(control, 4096);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_another_process_stops_and_resumes_the_writer);
    RUN(test_tickets_are_applied_in_order);
    RUN(test_a_bundle_comes_by_the_spool_as_well);
    RUN(test_a_refused_command_stops_only_until_it_is_refused);
    RUN(test_a_stop_word_without_a_command_stays);
    RUN(test_an_answer_of_approvers_lifts_no_stop);
    RUN(test_an_old_page_gives_out_no_ticket_twice);
    RUN(test_an_answer_that_is_owed_outlives_a_clean_close);
    RUN(test_an_answer_that_is_owed_comes_before_another_frame);
    RUN(test_with_no_writer_the_next_one_applies_the_spool_first);
    RUN(test_what_is_no_frame_is_not_submitted);
    RUN(test_a_spool_has_its_limits);
    RUN(test_a_ticket_that_is_no_file_is_answered);
    RUN(test_a_halt_that_cannot_be_spooled_stops_all_the_same);
    RUN(test_a_result_that_cannot_be_written_keeps_the_ticket_open);
    RUN(test_a_writer_killed_before_its_answer_answers_later);
    RUN(test_an_answer_that_was_planted_takes_no_halt_away);
    RUN(test_a_writer_killed_behind_its_answer_does_not_apply_again);
    RUN(test_a_lost_control_page_is_worked_out_from_the_files);
    RUN(test_wrong_counts_refuse_until_the_engine_is_opened_again);
    RUN(test_a_ticket_without_a_file_is_answered);
    RUN(test_a_ticket_that_went_meanwhile_stops_the_next_writer);
    RUN(test_a_page_that_lags_stops_nothing);
    RUN(test_a_frame_that_is_too_large_is_answered);
    RUN(test_a_damaged_log_takes_nothing_from_the_spool);
    RUN(test_old_answers_are_removed);
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}

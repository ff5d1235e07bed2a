/* The stop word: a halt that is in no record and in no ticket. Goal: nothing
 * clears it but a record that covers it, whatever lies in the spool, and one
 * that does always can. Method: halts that find no room; then each kind of
 * frame, taken and refused, behind it. */
#include "engine_internal.h"
#include "engine_scene.h"
#include "file_faults.h"

#include <time.h>

static uint64_t ticket;

static void make(uint16_t verb, uint16_t scope, uint32_t target) {
    scene_command_at(&scene, verb, scope, target, 0);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (verb == SENTINEL_COMMAND_RESUME) {
        frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
}

static void lose(void) {
    faults = (file_faults){.write_error = ENOSPC};
    CHECK_EQ(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size),
             SENTINEL_IO_SPACE);
    faults = (file_faults){.most = 0};
}

/* A halt that finds no room in the spool. */
static void lose_halt(uint16_t scope, uint32_t target) {
    make(SENTINEL_COMMAND_HALT, scope, target);
    lose();
}

static void submit(void) {
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
}

static sentinel_status spooled(void) {
    struct {
        uint32_t status, reserved;
        uint64_t record;
    } answer = {0};
    char name[64];
    submit();
    CHECK_OK(sentinel_engine_spool(engine, scene.now));
    snprintf(name, sizeof name, "spool/%020llu.done", (unsigned long long)ticket);
    int fd = open(in_home(name), O_RDONLY);
    CHECK(fd >= 0 && read(fd, &answer, sizeof answer) == sizeof answer);
    close(fd);
    return (sentinel_status)answer.status;
}

static void expect_word(void) {
    expect_denied(SENTINEL_REASON_CONTROL_STOP);
}

static void expect_no_word(void) {
    CHECK_EQ(engine_stop_seen(engine->control).word, 0);
    CHECK(engine_sign()->reason != SENTINEL_REASON_CONTROL_STOP);
}

/* By the spool and by the writer. */
static void expect_word_behind(uint16_t verb, uint16_t scope, uint32_t target) {
    make(verb, scope, target);
    CHECK_OK(spooled());
    expect_word();
    make(verb, scope, target);
    CHECK_OK(engine_take());
    expect_word();
}

static const struct {
    uint16_t scope;
    uint32_t target;
} places[] = {{SENTINEL_SCOPE_NODE, FIRM_ID},
              {SENTINEL_SCOPE_NODE, AGENT_A},
              {SENTINEL_SCOPE_NODE, AGENT_B},
              {SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT},
              {SENTINEL_SCOPE_INSTRUMENT, BTCUSDT}};
#define PLACES (sizeof places / sizeof places[0])

static void test_the_place_alone_clears_the_word(void) {
    for (size_t at = 0; at < PLACES; at++) {
        for (uint16_t verb = SENTINEL_COMMAND_HALT; verb <= SENTINEL_COMMAND_RESUME; verb++) {
            engine_begin();
            lose_halt(places[at].scope, places[at].target);
            expect_word();
            for (size_t i = 0; i < PLACES; i++) {
                if (i != at) {
                    expect_word_behind(SENTINEL_COMMAND_DRAIN, places[i].scope, places[i].target);
                    expect_word_behind(SENTINEL_COMMAND_HALT, places[i].scope, places[i].target);
                    expect_word_behind(SENTINEL_COMMAND_RESUME, places[i].scope, places[i].target);
                }
            }
            /* A drain is less than was asked for. */
            expect_word_behind(SENTINEL_COMMAND_DRAIN, places[at].scope, places[at].target);
            make(verb, places[at].scope, places[at].target);
            CHECK_OK(spooled());
            expect_no_word();
        }
    }
}

/* What is no stop at all, and what is refused. */
static void test_nothing_else_clears_the_word(void) {
    static const uint8_t hash32[32] = {1};
    engine_begin();
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    scene_feed(&scene, BTCUSDT, decimal(50000, 0));
    CHECK_OK(spooled());
    CHECK_EQ(ticket, 1); /* that of the halt which got none */
    expect_word();
    frame_policy();
    CHECK_OK(spooled());
    scene_authority(&scene);
    CHECK_OK(spooled());
    expect_word();
    scene_answer(&scene, SENTINEL_COMMAND_APPROVE, 1, hash32);
    frame_sign(&scene, KEY_APPROVER, KEY_APPROVER);
    CHECK_EQ(spooled(), SENTINEL_POLICY_APPROVAL);
    make(SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0);
    CHECK(spooled() != SENTINEL_OK);
    scene_command(&scene, SENTINEL_COMMAND_RESUME, FIRM_ID);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A); /* one of two */
    CHECK_EQ(spooled(), SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(engine_take(), SENTINEL_POLICY_SIGNATURE);
    expect_word();
    for (uint16_t verb = SENTINEL_COMMAND_HALT; verb <= SENTINEL_COMMAND_DRAIN; verb++) {
        make(verb, SENTINEL_SCOPE_NODE, FIRM_ID);
        scene.frame[scene.frame_size - 1] ^= 1; /* no operator's */
        CHECK_EQ(spooled(), SENTINEL_POLICY_SIGNATURE);
        CHECK_EQ(engine_take(), SENTINEL_POLICY_SIGNATURE);
        expect_word();
    }
    engine_close();
    CHECK_OK(engine_open());
    expect_word();
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_OK(spooled());
    expect_allowed();
}

/* Under the number that the lost halt would have got, the halt itself too. */
static void test_a_refused_halt_clears_no_word_under_any_ticket(void) {
    static uint8_t halt[4096];
    engine_begin();
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    size_t size = scene.frame_size;
    memcpy(halt, scene.frame, size);
    scene.frame[size - 1] ^= 1;
    CHECK_EQ(spooled(), SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(ticket, 1);
    expect_word();
    scene.now += 60 * SECOND_NS; /* its end: it binds all the same */
    memcpy(scene.frame, halt, size);
    CHECK_OK(spooled());
    expect_no_word();
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
}

static void test_the_lost_halt_itself_clears_its_word(void) {
    engine_begin();
    lose_halt(SENTINEL_SCOPE_NODE, AGENT_A);
    CHECK_OK(spooled());
    expect_denied(SENTINEL_REASON_KILL_SWITCH);
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, AGENT_A);
    CHECK_OK(spooled());
    expect_allowed();
}

/* Two places, or none that can be named: the firm's. */
static void test_a_word_without_one_place_is_the_firms(void) {
    static const struct {
        uint16_t scope;
        uint32_t target;
    } rows[] = {{SENTINEL_SCOPE_NODE, 9999}, /* not in the policy */
                {SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_COUNT},
                {SENTINEL_SCOPE_INSTRUMENT, 0},
                {SENTINEL_SCOPE_ENGINE, 0},
                {UINT16_MAX, UINT32_MAX},
                {0, 0},
                {SENTINEL_SCOPE_NODE, AGENT_A}}; /* and another one before it */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        engine_begin();
        if (rows[i].target == AGENT_A) {
            lose_halt(SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT);
        }
        lose_halt(rows[i].scope, rows[i].target);
        expect_word();
        expect_word_behind(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, AGENT_A);
        expect_word_behind(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_VENUE,
                           SENTINEL_VENUE_BINANCE_SPOT);
        make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
        CHECK_OK(spooled());
        expect_allowed();
    }
}

/* Another halt that does get its ticket leaves the word as it was. */
static void test_a_halt_with_a_ticket_leaves_the_word_of_another(void) {
    engine_begin();
    lose_halt(SENTINEL_SCOPE_NODE, AGENT_A);
    engine_stop first = engine_stop_seen(engine->control);
    make(SENTINEL_COMMAND_HALT, SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT);
    submit();
    engine_stop second = engine_stop_seen(engine->control);
    CHECK_EQ(second.word, first.word);
    CHECK_EQ(second.sequence, first.sequence + 1); /* what is older than either clears none */
    expect_word();
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, AGENT_A);
    CHECK_OK(spooled());
    expect_denied(SENTINEL_REASON_VENUE_HALTED);
}

/* ---- Older, newer ------------------------------------------------------------------ */

/* Signed before the halt, by two, and submitted behind it. */
static void test_an_older_resume_does_not_clear_the_word(void) {
    static uint8_t resume[4096];
    for (uint64_t apart = 0; apart < 3; apart++) {
        engine_begin();
        make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
        size_t size = scene.frame_size;
        memcpy(resume, scene.frame, size);
        uint64_t sequence = scene.sequences[SENTINEL_FRAME_COMMAND];
        scene.sequences[SENTINEL_FRAME_COMMAND] = sequence + (apart == 0) - (apart == 2) - 1;
        lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID); /* one above it, the same, one below */
        memcpy(scene.frame, resume, size);
        scene.frame_size = size;
        CHECK_OK(spooled());
        if (apart < 2) {
            expect_word();
        } else {
            expect_allowed();
        }
    }
}

static uint64_t real_ns(void) {
    struct timespec at;
    CHECK_OK(clock_gettime(CLOCK_REALTIME, &at));
    return (uint64_t)at.tv_sec * SECOND_NS + (uint64_t)at.tv_nsec;
}

/* Whatever is asked behind a halt, the sequence is never a lower one. */
static void test_the_sequence_of_a_word_only_grows(void) {
    engine_stop before;
    engine_begin();
    sentinel_control *page = engine->control;
    scene.sequences[SENTINEL_FRAME_COMMAND] = real_ns();
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    uint64_t sequence = scene.sequences[SENTINEL_FRAME_COMMAND];
    CHECK_EQ(page->stop_sequence, sequence);
    page->stop = 0; /* cleared between another one's look and its word */
    scene.sequences[SENTINEL_FRAME_COMMAND] = 0;
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_EQ(page->stop_sequence, sequence);
    (void)engine_stop_ask(page, &before, NULL, 0); /* a ticket that is gone: of now */
    CHECK(page->stop_sequence >= sequence && page->stop_sequence <= real_ns());
    sequence = page->stop_sequence = real_ns() + SENTINEL_FRAME_AHEAD_NS / 2;
    (void)engine_stop_ask(page, &before, NULL, 0);
    CHECK_EQ(page->stop_sequence, sequence);
    /* One that no command can have by now is not taken, nor left on the page. */
    scene.sequences[SENTINEL_FRAME_COMMAND] = UINT64_MAX - 1;
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_EQ(page->stop_sequence, sequence);
    page->stop_sequence = UINT64_MAX;
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK(page->stop_sequence >= sequence - SENTINEL_FRAME_AHEAD_NS / 2);
    CHECK(page->stop_sequence <= real_ns());
}

/* A resume that two signed before a ticket was found to be gone. */
static void test_an_older_resume_does_not_clear_the_word_of_a_ticket_that_is_gone(void) {
    engine_stop before;
    for (int newer = 0; newer < 2; newer++) {
        engine_begin();
        uint64_t now_ns = real_ns();
        (void)engine_stop_ask(engine->control, &before, NULL, 0);
        engine_stop seen = engine_stop_seen(engine->control);
        scene.sequences[SENTINEL_FRAME_COMMAND] = newer ? seen.sequence : now_ns - 1;
        make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
        engine_stop_answer(engine, &seen, scene.frame, scene.frame_size, (int64_t)real_ns());
        CHECK_EQ(engine_stop_seen(engine->control).word == 0, newer);
    }
}

/* It waits in the spool before a halt finds no room there. */
static void test_a_resume_that_waits_does_not_clear_the_word_of_a_later_halt(void) {
    engine_begin();
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    submit();
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    expect_word();
    expect_word();
    CHECK(exists("spool/00000000000000000001.done"));
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_OK(spooled());
    expect_allowed();
}

/* Bytes cannot set a word that no command could ever clear. */
static void test_a_sequence_that_was_made_up_is_not_compared(void) {
    for (uint64_t past = 0; past < 2; past++) {
        engine_begin();
        uint64_t last = scene.sequences[SENTINEL_FRAME_COMMAND];
        scene.sequences[SENTINEL_FRAME_COMMAND] =
            (uint64_t)scene.now + SENTINEL_FRAME_AHEAD_NS - 1 + past;
        lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
        scene.sequences[SENTINEL_FRAME_COMMAND] = last;
        make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
        CHECK_OK(engine_take());
        if (past == 0) {
            expect_word();
        } else {
            expect_allowed();
        }
    }
    engine_begin();
    scene.sequences[SENTINEL_FRAME_COMMAND] = UINT64_MAX - 1;
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    scene.sequences[SENTINEL_FRAME_COMMAND] = 0;
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    CHECK_OK(spooled());
    expect_allowed();
}

/* Once more behind a restart, an old frame is answered with its old record. */
static void test_a_frame_that_is_answered_again_clears_no_word(void) {
    static uint8_t resume[4096];
    engine_begin();
    scene.sequences[SENTINEL_FRAME_COMMAND] = 5;
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    size_t size = scene.frame_size;
    memcpy(resume, scene.frame, size);
    CHECK_OK(spooled());
    engine_close();
    shell("rm %s/snapshots/*", home, ""); /* as if it had been killed */
    scene.sequences[SENTINEL_FRAME_COMMAND] = 0;
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID); /* drafted before that resume */
    memcpy(scene.frame, resume, size);
    scene.frame_size = size;
    submit(); /* it waits when the writer starts */
    CHECK_OK(engine_open());
    CHECK(exists("spool/00000000000000000002.done"));
    expect_word();
}

/* A word that is set again while a command is taken is not that command's. */
static void test_a_word_that_is_set_meanwhile_stays(void) {
    engine_begin();
    lose_halt(SENTINEL_SCOPE_NODE, FIRM_ID);
    engine_stop seen = engine_stop_seen(engine->control);
    lose();
    CHECK(engine_stop_seen(engine->control).word != seen.word);
    make(SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID);
    engine_stop_answer(engine, &seen, scene.frame, scene.frame_size, scene.now);
    expect_word();
    seen = engine_stop_seen(engine->control);
    engine_stop_answer(engine, &seen, scene.frame, sizeof(sentinel_frame_header), scene.now);
    expect_word();
    engine_stop_answer(engine, &seen, scene.frame, scene.frame_size, scene.now);
    expect_allowed();
    /* Nor does a submitter put back what was before, once it is another. */
    engine_stop before;
    engine_stop asked = engine_stop_ask(engine->control, &before, scene.frame, scene.frame_size);
    (void)engine_stop_ask(engine->control, &seen, scene.frame, scene.frame_size);
    engine_stop_drop(engine->control, &asked, &before);
    expect_word();
}

/* However often it is set, it is another word, and never 0. */
static void test_the_count_of_a_word_goes_round(void) {
    engine_begin();
    engine_stop before;
    engine_stop last = {0};
    for (unsigned i = 0; i < 2 * 65536 + 2; i++) {
        engine_stop asked = engine_stop_ask(engine->control, &before, NULL, 0);
        CHECK(asked.word != 0 && asked.word != last.word);
        last = asked;
    }
    expect_word();
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_the_place_alone_clears_the_word);
    RUN(test_nothing_else_clears_the_word);
    RUN(test_a_refused_halt_clears_no_word_under_any_ticket);
    RUN(test_the_lost_halt_itself_clears_its_word);
    RUN(test_a_word_without_one_place_is_the_firms);
    RUN(test_a_halt_with_a_ticket_leaves_the_word_of_another);
    RUN(test_an_older_resume_does_not_clear_the_word);
    RUN(test_the_sequence_of_a_word_only_grows);
    RUN(test_an_older_resume_does_not_clear_the_word_of_a_ticket_that_is_gone);
    RUN(test_a_resume_that_waits_does_not_clear_the_word_of_a_later_halt);
    RUN(test_a_sequence_that_was_made_up_is_not_compared);
    RUN(test_a_frame_that_is_answered_again_clears_no_word);
    RUN(test_a_word_that_is_set_meanwhile_stays);
    RUN(test_the_count_of_a_word_goes_round);
    faults = (file_faults){.most = 0};
    home_begin();
    shell("rm -rf %s", home, "");
    scene_end(&scene);
    return test_end();
}

/* Commands that are cut off, what each told its caller, and the judge: after
 * any crash nothing that was acknowledged is lost, nothing lifts a halt, and
 * the log verifies and replays. */
#ifndef CRASH_SCENE_H
#define CRASH_SCENE_H

#include "engine_scene.h"

#include "crash_disk.h"

#define NOTES_MAX 512u

typedef enum note_what {
    NOTE_CREATE,
    NOTE_SIGN,
    NOTE_STOP,   /* halt, drain or resume, taken by the engine */
    NOTE_SUBMIT, /* the same, handed to the spool */
    NOTE_FRAME,  /* a bundle, a feed, or a command that stops nothing */
    NOTE_STEP,   /* what the row's own judge looks at */
    NOTE_SNAPSHOT
} note_what;

/* What a command was asked for, and what it was told. */
typedef struct note {
    note_what what;
    unsigned event; /* of the trace, behind which it was noted */
    uint8_t is_acked;
    uint8_t mode;
    uint16_t scope;
    uint32_t target;
    uint32_t sequence_index;
    uint64_t id; /* of the action; a frame's sequence; a ticket */
    uint64_t record;
    uint8_t hash32[32]; /* zero: not told */
} note;

typedef struct note_book {
    unsigned count;
    note rows[NOTES_MAX];
} note_book;

static note_book *notes;

/* One command. `prepare` leaves an engine that is closed; `run` opens it,
 * arms the trace at what is under test, and closes it. */
typedef struct crash_command {
    const char *name;
    void (*prepare)(void);
    void (*sign)(void); /* the frames that it takes; null: none */
    void (*run)(void);
    uint8_t mode;                         /* of the firm (base_place), as prepared */
    uint8_t is_new;                       /* there is no engine yet */
    uint8_t takes_s;                      /* the time that passes in it; 0: none to speak of */
    const char *(*judge)(unsigned count); /* of its own effect; may be null */
} crash_command;

static const crash_command *command;
static uint64_t base_uses;
static uint64_t base_unsigned; /* orders before that were not signed */
static uint32_t base_halted;   /* the engine's own halt, as prepared; 0: none */
/* What is in the command's `mode` as prepared. */
static struct {
    uint16_t scope;
    uint32_t target;
} base_place;
static struct {
    int64_t now;
    uint64_t id;
    uint64_t sequences[SENTINEL_SEQUENCES];
} scene_before;

/* Keys do not follow into another process: frames are signed before. */
#define FRAMES_MAX 8u
static struct {
    _Alignas(8) uint8_t bytes[65536];
    size_t size;
} kept_frames[FRAMES_MAX];
static unsigned frames_kept;
static unsigned frames_used;

static void frame_keep(void) {
    CHECK(frames_kept < FRAMES_MAX);
    memcpy(kept_frames[frames_kept].bytes, scene.frame, sizeof scene.frame);
    kept_frames[frames_kept++].size = scene.frame_size;
}

/* In scene.frame again; gives its sequence. */
static uint64_t frame_use(void) {
    CHECK(frames_used < frames_kept);
    memcpy(scene.frame, kept_frames[frames_used].bytes, sizeof scene.frame);
    scene.frame_size = kept_frames[frames_used++].size;
    return ((const sentinel_frame_header *)scene.frame)->sequence;
}

/* ---- Notes ----------------------------------------------------------------------- */

static note *note_add(note_what what, int is_acked) {
    trace_stores();
    CHECK(notes->count < NOTES_MAX);
    note *row = &notes->rows[notes->count];
    *row = (note){.what = what, .event = trace->count, .is_acked = (uint8_t)is_acked};
    return row;
}

static void note_done(void) {
    notes->count++;
    if (options.durability == SENTINEL_DURABILITY_MAPPED) {
        trace_moment(); /* what was just told is kept by stores alone */
    }
}

static void note_stop(note_what what, int is_acked, uint16_t scope, uint32_t target, uint8_t mode,
                      uint64_t sequence, uint64_t record) {
    note *row = note_add(what, is_acked);
    row->scope = scope;
    row->target = target;
    row->mode = mode;
    row->record = record;
    row->sequence_index = SENTINEL_FRAME_COMMAND;
    row->id = sequence;
    note_done();
}

/* ---- What commands do -------------------------------------------------------------- */

static uint64_t venue_uses(void) {
    const sentinel_key_counter *counters = engine_state()->key_counters;
    for (uint32_t i = 0; i < SENTINEL_KEYS_MAX; i++) {
        if (counters[i].key == KEY_VENUE) {
            return counters[i].uses;
        }
    }
    return 0;
}

static void noted_sign(void) {
    note *row = note_add(NOTE_SIGN, 0);
    row->id = scene.id + 1;
    note_done();
    uint32_t made; /* for a mapped log: its pages, and the next segment */
    CHECK_OK(sentinel_engine_fill(engine, &made));
    const sentinel_outcome *outcome = engine_sign();
    if (outcome->verdict == SENTINEL_ALLOWED) {
        row = note_add(NOTE_SIGN, 1);
        row->id = scene.id;
        row->record = outcome->record;
        memcpy(row->hash32, outcome->record_hash32, 32);
        note_done();
    }
}

static void make_stop(uint16_t verb, uint16_t scope, uint32_t target) {
    scene_command_at(&scene, verb, scope, target, 0);
    frame_sign(&scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    if (verb == SENTINEL_COMMAND_RESUME) {
        frame_sign(&scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
    }
}

static uint8_t mode_after(uint16_t verb) {
    return verb == SENTINEL_COMMAND_HALT    ? SENTINEL_HALTED
           : verb == SENTINEL_COMMAND_DRAIN ? SENTINEL_DRAINING
                                            : SENTINEL_RUNNING;
}

/* The next of the kept frames, which is such a command. */
static void noted_stop(uint16_t verb, uint16_t scope, uint32_t target) {
    uint64_t record;
    uint64_t sequence = frame_use();
    note_stop(NOTE_STOP, 0, scope, target, mode_after(verb), sequence, 0);
    CHECK_OK(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now));
    note_stop(NOTE_STOP, 1, scope, target, mode_after(verb), sequence, record);
}

static void noted_submit(uint16_t verb, uint16_t scope, uint32_t target) {
    uint64_t ticket;
    uint64_t sequence = frame_use();
    note_stop(NOTE_SUBMIT, 0, scope, target, mode_after(verb), sequence, 0);
    CHECK_OK(sentinel_spool_submit(&ticket, home, scene.frame, scene.frame_size));
    note_stop(NOTE_SUBMIT, 1, scope, target, mode_after(verb), sequence, ticket);
}

static void note_frame(int is_acked, uint32_t sequence_index, uint64_t sequence, uint64_t record) {
    note *row = note_add(NOTE_FRAME, is_acked);
    row->sequence_index = sequence_index;
    row->id = sequence;
    row->record = record;
    note_done();
}

static void noted_frame(uint32_t sequence_index) {
    uint64_t record;
    uint64_t sequence = frame_use();
    note_frame(0, sequence_index, sequence, 0);
    CHECK_OK(sentinel_engine_take(engine, &record, scene.frame, scene.frame_size, scene.now));
    note_frame(1, sequence_index, sequence, record);
}

/* ---- The judge ------------------------------------------------------------------- */

/* What is wrong, or null. */
#define EXPECT(cond)      \
    do {                  \
        if (!(cond)) {    \
            return #cond; \
        }                 \
    } while (0)

/* The notes that were there when `events` had happened. */
static unsigned notes_before(unsigned events) {
    unsigned count = 0;
    while (count < notes->count && notes->rows[count].event <= events) {
        count++;
    }
    return count;
}

/* Bit n: mode n is possible. */
static unsigned modes_of(unsigned count, uint16_t scope, uint32_t target) {
    int is_base = scope == base_place.scope && target == base_place.target;
    unsigned modes = 1u << (is_base ? command->mode : SENTINEL_RUNNING);
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        if ((row->what == NOTE_STOP || row->what == NOTE_SUBMIT) && row->scope == scope &&
            row->target == target) {
            modes = (row->is_acked ? 0 : modes) | 1u << row->mode;
        }
    }
    return modes;
}

static const sentinel_stop_state *place_of(uint16_t scope, uint32_t target) {
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    if (scope == SENTINEL_SCOPE_VENUE) {
        return sentinel_view_venue(view, (uint16_t)target);
    }
    if (scope == SENTINEL_SCOPE_INSTRUMENT) {
        return sentinel_view_instrument(view, sentinel_bundle_instrument(&view->bundle, target));
    }
    return sentinel_view_node(view, sentinel_bundle_node(&view->bundle, target));
}

/* Everything that was told to somebody is in the state. */
static const char *judge_state(unsigned count, unsigned *halts) {
    const sentinel_state *state = engine_state();
    const sentinel_view *view = sentinel_gate_view(sentinel_engine_context(engine));
    EXPECT(view != NULL && (state->halted == 0 || state->halted == base_halted));
    const sentinel_agent_state *agent = sentinel_view_agent(view, scene.session.node);
    uint64_t asked = 0;
    uint64_t acked = 0;
    uint64_t highest[SENTINEL_SEQUENCES] = {0};
    memcpy(highest, scene_before.sequences, sizeof highest);
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        if (row->what == NOTE_SIGN) {
            asked += !row->is_acked;
            acked += row->is_acked;
            EXPECT(!row->is_acked || (agent->id_highest >= row->id &&
                                      (agent->id_highest - row->id >= SENTINEL_ID_WINDOW ||
                                       agent->id_record[row->id % 64] == row->record)));
        } else if (row->what != NOTE_SNAPSHOT && row->what != NOTE_CREATE &&
                   row->what != NOTE_STEP) {
            EXPECT(!row->is_acked || state->sequences[row->sequence_index] >= row->id);
            highest[row->sequence_index] = row->id;
        }
    }
    EXPECT(venue_uses() >= base_uses + acked && venue_uses() <= base_uses + asked);
    for (unsigned i = 0; i < SENTINEL_SEQUENCES; i++) {
        EXPECT(state->sequences[i] <= highest[i]);
    }
    *halts = 0;
    const note base = {.what = NOTE_STOP, .scope = base_place.scope, .target = base_place.target};
    for (unsigned i = 0; i <= count; i++) {
        const note *row = i < count ? &notes->rows[i] : &base;
        if (row->what == NOTE_STOP || row->what == NOTE_SUBMIT) {
            const sentinel_stop_state *stop = place_of(row->scope, row->target);
            EXPECT((modes_of(count, row->scope, row->target) & 1u << stop->mode) != 0);
            /* The orders are agent A's. */
            int is_other = row->scope == SENTINEL_SCOPE_NODE && row->target == AGENT_B;
            *halts += stop->mode != SENTINEL_RUNNING && !is_other;
        }
    }
    return NULL;
}

/* Every record from the first, and those that were told are the same. */
static const char *judge_log(unsigned count) {
    static _Alignas(8) uint8_t buffer[SENTINEL_RECORD_BYTES_MAX];
    static const uint8_t none32[32];
    sentinel_log_reader reader;
    sentinel_record record;
    unsigned seen = 0;
    unsigned told = 0;
    int fd = open(in_home("log"), O_RDONLY | O_DIRECTORY);
    sentinel_status status = sentinel_log_reader_open(&reader, fd, 0);
    while (status == SENTINEL_OK) {
        status = sentinel_log_reader_next(&reader, &record, buffer, sizeof buffer);
        for (unsigned i = 0; status == SENTINEL_OK && i < count; i++) {
            const note *row = &notes->rows[i];
            if (row->is_acked && row->what != NOTE_SUBMIT && row->record != 0 &&
                row->record == record.header->number) {
                seen += memcmp(row->hash32, none32, 32) == 0 ||
                        memcmp(row->hash32, record.hash32, 32) == 0;
            }
        }
    }
    sentinel_log_reader_close(&reader);
    close(fd);
    EXPECT(status == SENTINEL_AUDIT_END);
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        told += row->is_acked && row->what != NOTE_SUBMIT && row->record != 0;
    }
    EXPECT(seen == told);
    return NULL;
}

static const char *judge_answers(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        char name[64];
        snprintf(name, sizeof name, "spool/%020llu.done", (unsigned long long)row->record);
        EXPECT(row->what != NOTE_SUBMIT || !row->is_acked || exists(name));
    }
    return NULL;
}

/* Signing goes on where nothing stops it, and does not where something does;
 * k of n lift a stop. */
static const char *judge_going_on(unsigned count, unsigned halts) {
    /* An id that a request holds is not free. */
    scene.id =
        sentinel_view_agent(sentinel_gate_view(sentinel_engine_context(engine)), scene.session.node)
            ->id_highest +
        base_unsigned;
    memcpy(scene.sequences, engine_state()->sequences, sizeof scene.sequences);
    /* Who lifts the word of a halt that was cut off knows of that halt. */
    int is_asked = 0;
    uint64_t *last = &scene.sequences[SENTINEL_FRAME_COMMAND];
    for (unsigned i = 0; i < count; i++) {
        const note *row = &notes->rows[i];
        is_asked |= row->what == NOTE_SUBMIT;
        *last = row->what == NOTE_SUBMIT && row->id > *last ? row->id : *last;
    }
    int is_allowed = engine_sign()->verdict == SENTINEL_ALLOWED;
    /* The word of a submitter that was cut off stops, too. */
    int is_control = scene.outcome.reason == SENTINEL_REASON_CONTROL_STOP;
    EXPECT(is_allowed == (halts == 0) || (is_asked && is_control));
    static const struct {
        uint16_t scope;
        uint32_t target;
    } places[] = {{SENTINEL_SCOPE_NODE, FIRM_ID},
                  {SENTINEL_SCOPE_NODE, AGENT_A},
                  {SENTINEL_SCOPE_VENUE, SENTINEL_VENUE_BINANCE_SPOT},
                  {SENTINEL_SCOPE_INSTRUMENT, BTCUSDT}};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        make_stop(SENTINEL_COMMAND_RESUME, places[i].scope, places[i].target);
        EXPECT(engine_take() == SENTINEL_OK);
    }
    EXPECT(engine_sign()->verdict == SENTINEL_ALLOWED);
    return NULL;
}

static void drop_snapshots(void) {
    int fd = open(in_home("snapshots"), O_RDONLY | O_DIRECTORY);
    disk_wipe(fd);
    close(fd);
}

/* From the first record on it comes to the same. */
static const char *judge_replay(void) {
    static sentinel_state kept;
    kept = *engine_state();
    engine_close();
    drop_snapshots();
    EXPECT(engine_open() == SENTINEL_OK);
    EXPECT(memcmp(kept.sequences, engine_state()->sequences, sizeof kept.sequences) == 0);
    EXPECT(memcmp(kept.key_counters, engine_state()->key_counters, sizeof kept.key_counters) == 0);
    EXPECT(memcmp(kept.venues, engine_state()->venues, sizeof kept.venues) == 0);
    EXPECT(memcmp(kept.feeders, engine_state()->feeders, sizeof kept.feeders) == 0);
    EXPECT(kept.pending_used == engine_state()->pending_used);
    EXPECT(memcmp(kept.pending, engine_state()->pending, sizeof kept.pending) == 0);
    EXPECT(kept.lease_until_ns == engine_state()->lease_until_ns);
    EXPECT(kept.grant.count == engine_state()->grant.count);
    EXPECT(memcmp(kept.grant.hash32, engine_state()->grant.hash32, 32) == 0);
    EXPECT(kept.epoch + 1 == engine_state()->epoch);
    engine_close();
    return NULL;
}

static int judged_damaged; /* the last engine was opened halted, or not at all */

static const char *judge_engine(unsigned count, int may_be_damaged) {
    sentinel_status status = engine_open();
    judged_damaged = status != SENTINEL_OK;
    if (may_be_damaged && status != SENTINEL_OK) {
        /* Not opened, or opened and halted for good; a halt's first cause stays. */
        EXPECT(engine == NULL || engine_state()->halted == status ||
               (base_halted != 0 && engine_state()->halted == base_halted));
        scene.session.agent = AGENT_A;
        EXPECT(engine == NULL || engine_sign()->verdict != SENTINEL_ALLOWED);
        return NULL;
    }
    EXPECT(status == SENTINEL_OK);
    unsigned halts;
    const char *wrong = NULL;
    if (!may_be_damaged) {
        wrong = judge_state(count, &halts);
        wrong = wrong != NULL ? wrong : judge_log(count);
        wrong = wrong != NULL ? wrong : judge_answers(count);
        if (wrong == NULL && command->judge != NULL) {
            wrong = command->judge(count);
        }
        wrong = wrong != NULL ? wrong : judge_going_on(count, halts);
    }
    return wrong != NULL ? wrong : judge_replay();
}

/* may_be_damaged: the durability mode promised nothing for this crash. */
static const char *judge(unsigned count, int may_be_damaged) {
    const char *wrong = NULL;
    scene.now = scene_before.now + (2 + command->takes_s) * SECOND_NS;
    if (command->is_new && !exists("genesis")) {
        int is_told = 0;
        for (unsigned i = 0; i < count; i++) {
            is_told |= notes->rows[i].is_acked;
        }
        wrong = is_told && !may_be_damaged ? "the engine that was made is gone" : NULL;
        wrong = engine_open() == SENTINEL_OK ? "half an engine opens" : wrong;
    } else {
        wrong = judge_engine(count, may_be_damaged);
    }
    if (engine != NULL) {
        engine_close();
    }
    scene.now = scene_before.now;
    scene.id = scene_before.id;
    memcpy(scene.sequences, scene_before.sequences, sizeof scene.sequences);
    return wrong;
}

#endif

/* What is recorded and decides nothing: the clock's comparisons, and keys that came
 * to be. Each has one form, replays as it was, and leaves the state as it is. */
#include "gate_scene.h"

static gate_scene scene;
static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX];

static sentinel_clock good_clock(void) {
    return (sentinel_clock){.source = SENTINEL_CLOCK_NSM,
                            .result = SENTINEL_CLOCK_GOOD,
                            .drift_ppm = 1000,
                            .source_ns = START_NS,
                            .offset_ns = -1000000,
                            .bound_ns = 3000000,
                            .until_ns = START_NS + 300 * SECOND_NS,
                            .name = "kvm-clock"};
}

static sentinel_status note_clock(const sentinel_clock *clock) {
    return sentinel_gate_note(scene.context, NULL, SENTINEL_RECORD_CLOCK, clock, sizeof *clock,
                              scene.now);
}

/* The last record, replayed by an engine that stands where this one stood. */
static sentinel_status replay_last(const sentinel_record *record, const sentinel_state *before) {
    gate_scene *s = &scene;
    sentinel_state *state = (sentinel_state *)(uintptr_t)sentinel_gate_state(s->context);
    const char *difference;
    state->record_count = before->record_count;
    state->last_now_ns = before->last_now_ns;
    memcpy(state->last_hash32, before->last_hash32, 32);
    return sentinel_gate_replay(s->context, &difference, record, NULL, 0);
}

static void check_kept(uint16_t type, const void *subject, size_t size,
                       const sentinel_state *before) {
    gate_scene *s = &scene;
    const sentinel_state *state = sentinel_gate_state(s->context);
    sentinel_record_header header = scene_last_record(s, bytes);
    sentinel_record record;
    CHECK_EQ(header.type, type);
    CHECK_EQ(header.subject_size, size);
    CHECK_OK(sentinel_record_parse(&record, bytes, header.size_bytes));
    CHECK_BYTES(record.subject, subject, size);
    CHECK_EQ(state->record_count, before->record_count + 1);
    CHECK_EQ(state->relied_ns, before->relied_ns); /* the clock may be set back before it */
    CHECK_OK(replay_last(&record, before));
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before->record_count + 1);
}

static void test_a_clock_is_noted(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const sentinel_state before = *sentinel_gate_state(s->context);
    const sentinel_clock clock = good_clock();
    uint64_t number = 0;
    s->now += SECOND_NS;
    CHECK_OK(sentinel_gate_note(s->context, &number, SENTINEL_RECORD_CLOCK, &clock, sizeof clock,
                                s->now));
    CHECK_EQ(number, before.record_count);
    check_kept(SENTINEL_RECORD_CLOCK, &clock, sizeof clock, &before);
    sentinel_order order = scene_place(s);
    check_allowed(s, &order);
    scene_end(s);
}

static void test_a_clock_has_its_form(void) {
    gate_scene *s = &scene;
    scene_begin(s);
    const sentinel_state before = *sentinel_gate_state(s->context);
    const struct {
        size_t at;
        uint8_t value;
        sentinel_status status;
    } wrong[] = {
        {offsetof(sentinel_clock, source), 0, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, source), SENTINEL_CLOCK_SOURCE_COUNT, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, result), 0, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, result), SENTINEL_CLOCK_RESULT_COUNT, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, reserved), 1, SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_clock, source_ns) + 7, 0x80, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, bound_ns) + 7, 0x80, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, until_ns) + 7, 0x80, SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, name), '\n', SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_clock, name) + 23, 'x', SENTINEL_FORMAT_RANGE},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sentinel_clock clock = good_clock();
        ((uint8_t *)&clock)[wrong[i].at] = wrong[i].value;
        CHECK_EQ(note_clock(&clock), wrong[i].status);
    }
    sentinel_clock clock = good_clock();
    memset(clock.name, 'x', sizeof clock.name);
    CHECK_EQ(note_clock(&clock), SENTINEL_FORMAT_RANGE); /* no end */
    CHECK_EQ(sentinel_gate_note(s->context, NULL, SENTINEL_RECORD_CLOCK, &clock, 88, s->now),
             SENTINEL_FORMAT_SIZE);
    CHECK_EQ(
        sentinel_gate_note(s->context, NULL, SENTINEL_RECORD_ORDER, &clock, sizeof clock, s->now),
        SENTINEL_FORMAT_SIZE); /* nothing else is noted */
    CHECK_EQ(sentinel_gate_note(s->context, NULL, SENTINEL_RECORD_CLOCK, NULL, sizeof clock, 0),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(note_clock(&clock), SENTINEL_FORMAT_RANGE);
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, before.record_count);
    scene_end(s);
}

/* A frame as it brings a key in; what is in it was judged before. */
static size_t key_of(uint8_t *at, uint8_t origin) {
    gate_scene *s = &scene;
    const uint8_t payload[1000] = {1};
    sentinel_key_record key = {.origin = origin, .info = {.id = 7}};
    memcpy(at, &key, sizeof key);
    if (origin != SENTINEL_KEY_IMPORTED) {
        return sizeof key;
    }
    frame_begin(s, SENTINEL_FRAME_IMPORT, payload, sizeof payload, 1);
    memcpy(at + sizeof key, s->frame, s->frame_size);
    return sizeof key + s->frame_size;
}

static sentinel_status note_key(const uint8_t *key, size_t size) {
    return sentinel_gate_note(scene.context, NULL, SENTINEL_RECORD_KEY, key, size, scene.now);
}

static void test_keys_are_noted(void) {
    static _Alignas(8) uint8_t key[4096];
    gate_scene *s = &scene;
    scene_begin(s);
    for (uint8_t origin = SENTINEL_KEY_MADE; origin < SENTINEL_KEY_ORIGIN_COUNT; origin++) {
        const sentinel_state before = *sentinel_gate_state(s->context);
        size_t size = key_of(key, origin);
        CHECK_OK(note_key(key, size));
        check_kept(SENTINEL_RECORD_KEY, key, size, &before);
    }
    scene_end(s);
}

static void test_a_key_has_its_form(void) {
    static _Alignas(8) uint8_t key[4096];
    gate_scene *s = &scene;
    scene_begin(s);
    const uint64_t count = sentinel_gate_state(s->context)->record_count;
    size_t size = key_of(key, SENTINEL_KEY_IMPORTED);
    CHECK_EQ(note_key(key, size - 8), SENTINEL_FORMAT_SIZE);
    CHECK_EQ(note_key(key, sizeof(sentinel_key_record)), SENTINEL_FORMAT_SIZE); /* no frame */
    key[0] = SENTINEL_KEY_MADE;
    CHECK_EQ(note_key(key, size), SENTINEL_FORMAT_SIZE); /* what is made has none */
    key[0] = SENTINEL_KEY_ORIGIN_COUNT;
    CHECK_EQ(note_key(key, size), SENTINEL_FORMAT_RANGE);
    size = key_of(key, SENTINEL_KEY_MADE);
    key[1] = 1;
    CHECK_EQ(note_key(key, size), SENTINEL_FORMAT_RESERVED);
    size = key_of(key, SENTINEL_KEY_MADE);
    key[offsetof(sentinel_key_record, info)] = 0;
    CHECK_EQ(note_key(key, size), SENTINEL_FORMAT_RANGE); /* no id */
    CHECK_EQ(sentinel_gate_state(s->context)->record_count, count);
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_clock_is_noted);
    RUN(test_a_clock_has_its_form);
    RUN(test_keys_are_noted);
    RUN(test_a_key_has_its_form);
    return test_end();
}

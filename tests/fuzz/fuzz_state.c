/* Any bytes as a restored state, under a bundle with one of everything. What
 * passes judges orders, and what is left must restore again: no debit leads
 * out of the states that are taken back.
 *
 * Input: one byte of form. Even: the state's bytes, after its header. Odd:
 * patches of four bytes (offset, value) to a state in use. */
#include "bundle_builder.h"
#include "fuzz_subject.h"

static bundle_build build;
static build_world world;
static uint8_t *state, *layout;

/* Once: a bundle whose bounds are wide, so that windows fill. */
static void begin(void) {
    bundle_full(&build);
    for (uint32_t i = 0; i < build.counts[SENTINEL_SECTION_CONSTRAINTS]; i++) {
        sentinel_constraint *row = &build.constraints[i];
        if (row->kind <= SENTINEL_RULE_TIMES_IN_FORCE && row->list_count == 0) {
            static const uint32_t masks[] = {0, 0, 0x3fe, 0x7f, 0, 0x7e, 0x6, 0x3f};
            row->mask = masks[row->kind];
        }
        if (row->kind == SENTINEL_RULE_APPROVAL) {
            row->mask = SENTINEL_ASK_VALUE | SENTINEL_ASK_DESTINATION;
        }
        if (row->kind >= SENTINEL_RULE_VALUE_CAP) {
            row->bound = row->kind == SENTINEL_RULE_RATE_LIMIT ? 5 : INT64_MAX / 3;
        }
        if (row->window_ns != 0) {
            row->window_ns = 1000;
        }
    }
    build.policy.book_entries = 2;
    NEED(world_make(&world, &build, NULL) == SENTINEL_OK);
    state = malloc(world.state_size);
    layout = malloc(world.layout_size);
}

static sentinel_status restore(sentinel_view *view) {
    return sentinel_state_restore(view, &world.bundle, layout, world.layout_size, state,
                                  world.state_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (state == NULL) {
        begin();
    }
    if (size == 0) {
        return 0;
    }
    fuzz_input input = {data + 1, size - 1};
    memcpy(state, world.state, world.state_size);
    if ((data[0] & 1) == 0) {
        size_t at = sizeof(sentinel_state), room = world.state_size - at;
        memcpy(state + at, input.bytes, input.size < room ? input.size : room);
    }
    sentinel_view view;
    if (restore(&view) == SENTINEL_OK) {
        feed_all(&view, &input, 0);
        judge_all(&input, &view, 1000000);
    }
    for (uint64_t patches = take(&input, 1) % 16; (data[0] & 1) != 0 && patches > 0; patches--) {
        state[take(&input, 3) % world.state_size] = (uint8_t)take(&input, 1);
    }
    if (restore(&view) == SENTINEL_OK) {
        judge_all(&input, &view, 2000000);
        NEED(restore(&view) == SENTINEL_OK);
    }
    return 0;
}

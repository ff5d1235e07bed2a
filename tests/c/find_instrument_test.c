/* How an instrument is found by its id: its row through the slots of the layout,
 * and its place in a list. Both against plain reading from the first to the last. */
#include "policy_scene.h"
#include "state_internal.h"

enum { MANY = 5000 };

/* A bundle of the firm and these instruments, laid out by hand: the builder's
 * tables are small. */
typedef struct table {
    sentinel_policy policy;
    sentinel_node firm;
    sentinel_instrument rows[MANY];
    sentinel_view view;
    void *layout;
    void *state;
} table;
static table T;

static void lay_out(const uint32_t *ids, uint32_t count) {
    free(T.layout);
    free(T.state);
    T.policy.book_entries = 1;
    T.firm = (sentinel_node){.id = 1, .parent = SENTINEL_NODE_NONE, .kind = SENTINEL_NODE_FIRM};
    for (uint32_t i = 0; i < count; i++) {
        T.rows[i].id = ids[i];
    }
    const sentinel_bundle bundle = {.policy = &T.policy,
                                    .nodes = &T.firm,
                                    .instruments = T.rows,
                                    .node_count = 1,
                                    .instrument_count = count};
    const uint64_t layout = sentinel_layout_bytes(&bundle), state = sentinel_state_bytes(&bundle);
    T.layout = malloc(layout);
    T.state = malloc(state);
    memset(T.layout, 0xff, layout); /* what was there before means nothing */
    CHECK_OK(sentinel_state_make(&T.view, &bundle, T.layout, layout, T.state, state, NULL));
}

/* Those that are there are found, and none of those between them. */
static void check_all(const uint32_t *ids, uint32_t count) {
    lay_out(ids, count);
    CHECK(state_instrument(&T.view, 0) == NULL);
    CHECK(state_instrument(&T.view, UINT32_MAX) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(state_instrument(&T.view, ids[i]) == &T.rows[i]);
        CHECK(ids[i] == 1 || (i > 0 && ids[i] - 1 == ids[i - 1]) ||
              state_instrument(&T.view, ids[i] - 1) == NULL);
    }
}

static void test_every_instrument_is_found_whatever_their_number(void) {
    static uint32_t near[MANY], apart[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        near[i] = i + 1;
        apart[i] = (i + 1) * 400000 + i % 7;
    }
    for (uint32_t count = 0; count <= 40; count++) {
        check_all(near, count);
        check_all(apart, count);
    }
    check_all(near, MANY);
    check_all(apart, MANY);
}

/* Eight ids of one slot, the last of sixteen: the search goes on at the first. */
static void test_ids_that_meet_in_one_slot_are_told_apart(void) {
    enum { COUNT = 8, SLOTS = 16 };
    uint32_t ids[COUNT + 1], found = 0;
    const sentinel_view slots = {.instrument_shift = 28};
    for (uint32_t id = 1; found <= COUNT; id++) {
        if (state_slot_of(&slots, id) == SLOTS - 1) {
            ids[found++] = id;
        }
    }
    lay_out(ids, COUNT);
    CHECK_EQ(T.view.instrument_shift, slots.instrument_shift);
    for (uint32_t i = 0; i < COUNT; i++) {
        CHECK(state_instrument(&T.view, ids[i]) == &T.rows[i]);
    }
    CHECK(state_instrument(&T.view, ids[COUNT]) == NULL);
}

/* At least half of the slots are free, and the layout says how many there are. */
static void test_slots_double_as_the_instruments_do(void) {
    static uint32_t ids[MANY];
    static const uint32_t counts[][2] = {{0, 31}, {1, 31},   {2, 30},   {3, 29},
                                         {4, 29}, {512, 22}, {513, 21}, {4096, 19}};
    for (uint32_t i = 0; i < MANY; i++) {
        ids[i] = i + 1;
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        lay_out(ids, counts[i][0]);
        CHECK_EQ(T.view.instrument_shift, counts[i][1]);
    }
}

/* ---- Lists ------------------------------------------------------------------------ */

static uint16_t listed(const uint32_t *ids, uint32_t count, uint32_t id) {
    static sentinel_constraint row;
    static sentinel_instrument instrument;
    row = S.world.bundle.constraints[0];
    row.kind = SENTINEL_RULE_INSTRUMENTS;
    row.list_count = count;
    instrument = *sentinel_bundle_instrument(&S.world.bundle, SPOT);
    instrument.id = id;
    sentinel_view view = S.world.view;
    view.bundle.ids = ids;
    view.bundle.constraints = &row;
    buy_worth(MICRO)->instrument = &instrument;
    sentinel_policy_evaluate(&S.decision, &view, &S.subject, NOW);
    const sentinel_result *result = result_of(SENTINEL_RULE_INSTRUMENTS);
    CHECK(result != NULL);
    CHECK_EQ(result->value, id);
    CHECK_EQ(result->bound, count);
    return result->result;
}

static void check_list(uint32_t count) {
    static uint32_t ids[MANY];
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = 10 + 2 * i;
    }
    const uint32_t step = count < 200 ? 1 : count / 61;
    for (uint32_t i = 0; i < count; i += step) {
        CHECK_EQ(listed(ids, count, ids[i]), SENTINEL_PASS);
        CHECK_EQ(listed(ids, count, ids[i] + 1), SENTINEL_FAIL);
    }
    CHECK_EQ(listed(ids, count, 9), SENTINEL_FAIL);
    CHECK_EQ(listed(ids, count, 8 + 2 * count), count != 0 ? SENTINEL_PASS : SENTINEL_FAIL);
    CHECK_EQ(listed(ids, count, 10 + 2 * count), SENTINEL_FAIL);
    CHECK_EQ(listed(ids, count, UINT32_MAX), SENTINEL_FAIL);
}

static void test_lists_of_every_length_have_their_ids_and_no_others(void) {
    scene_begin();
    scene_load();
    for (uint32_t count = 0; count <= 70; count++) {
        check_list(count);
    }
    check_list(4095);
    check_list(4096);
    check_list(4097); /* the longer ones are searched otherwise */
    check_list(MANY);
    world_free(&S.world);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_every_instrument_is_found_whatever_their_number);
    RUN(test_ids_that_meet_in_one_slot_are_told_apart);
    RUN(test_slots_double_as_the_instruments_do);
    RUN(test_lists_of_every_length_have_their_ids_and_no_others);
    free(T.layout);
    free(T.state);
    return test_end();
}

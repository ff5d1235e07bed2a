/* Any bytes as a policy bundle. What passes is laid out and judges orders; the
 * state that this leaves must restore, and carry over to the same bundle.
 *
 * Input: one byte of form, by its remainder of 3. 0: a whole frame, and 256
 * bytes of choices at its end. 1: patches of three bytes (offset, value) to a
 * bundle that has one of everything. 2: a tree and constraints made of choices,
 * which are mostly in range. What is left of the input is choices. */
#include "bundle_builder.h"
#include "fuzz_subject.h"

#define STATE_MAX (64u << 20)
#define CHOICES 256u

static bundle_build full, any;
static uint64_t frame_words[(1u << 20) / 8]; /* aligned to 8, as callers must */

/* A firm with more nodes and constraints of any kind, in the order of nodes. */
static void build_any(bundle_build *b, fuzz_input *input) {
    bundle_begin(b);
    add_asset(b, USD)->par_micro_usd = MICRO;
    add_asset(b, BTC);
    add_network(b, NETWORK, BTC);
    add_instruments_of_each_contract(b);
    b->policy.market_band_ppm = (uint32_t)take(input, 2);
    for (uint32_t i = 1; i < 12; i++) {
        uint32_t parent = (uint32_t)take(input, 1) % i;
        if (b->nodes[parent].kind == SENTINEL_NODE_AGENT) {
            parent = FIRM;
        }
        add_node(b, 1000 + i, 2 + take(input, 1) % 2, parent);
    }
    for (uint32_t i = 0; i < 12; i++) {
        for (uint64_t more = take(input, 1) % 4; more > 0; more--) {
            static const uint8_t windows[4] = {1, 2, 4, 7};
            uint32_t id = 1 + b->counts[SENTINEL_SECTION_CONSTRAINTS];
            uint8_t kind = (uint8_t)(2 + take(input, 1) % (SENTINEL_RULE_COUNT - 2));
            sentinel_constraint *row = add_constraint(b, id, i, kind);
            int masked = kind <= SENTINEL_RULE_TIMES_IN_FORCE && kind != SENTINEL_RULE_INSTRUMENTS;
            row->mask = masked ? (uint32_t)take(input, 2) & 0x3e : 0;
            row->bound = kind >= SENTINEL_RULE_VALUE_CAP ? (int64_t)take(input, 1) : 0;
            row->max_age_ns = kind == SENTINEL_RULE_PRICE_COLLAR ? INT64_MAX : 0;
            row->each = kind >= SENTINEL_RULE_DAILY_LIMIT ? take(input, 1) & 1 : 0;
            if (kind == SENTINEL_RULE_HEARTBEAT) {
                row->mask = 2u << (row->bound & 1);
                row->each = SENTINEL_SHARED;
            }
            if (kind == SENTINEL_RULE_APPROVAL) {
                row->mask = SENTINEL_ASK_VALUE | ((uint32_t)row->bound & SENTINEL_ASK_DESTINATION);
                row->quorum = 1 + (uint8_t)(row->bound & 7);
                row->each = SENTINEL_SHARED;
            }
            if (kind >= SENTINEL_RULE_ROLLING_CAP) {
                row->window_ns = 1 + (int64_t)(take(input, windows[take(input, 1) & 3]) >> 4);
            }
        }
    }
    bundle_pack(b);
}

/* A frame in aligned memory; gives its size, and leaves the choices. */
static size_t take_frame(fuzz_input *input) {
    uint8_t *frame = (uint8_t *)frame_words;
    uint8_t form = input->bytes[0] % 3;
    input->bytes++;
    input->size--;
    if (form == 0) {
        size_t size = input->size > CHOICES ? input->size - CHOICES : input->size;
        size = size < sizeof frame_words ? size : sizeof frame_words;
        memcpy(frame, input->bytes, size);
        input->bytes += size;
        input->size -= size;
        return size;
    }
    if (form == 2) {
        build_any(&any, input);
        memcpy(frame, any.frame, any.frame_size);
        return any.frame_size;
    }
    if (full.frame_size == 0) {
        bundle_full(&full);
        bundle_pack(&full);
    }
    memcpy(frame, full.frame, full.frame_size);
    for (uint64_t patches = take(input, 1) % 32; patches > 0; patches--) {
        frame[take(input, 2) % full.frame_size] = (uint8_t)take(input, 1);
    }
    return full.frame_size;
}

static void judge_with(const sentinel_bundle *bundle, fuzz_input *input) {
    uint64_t layout_size = sentinel_layout_bytes(bundle);
    uint64_t state_size = sentinel_state_bytes(bundle);
    if (state_size == 0 || state_size > STATE_MAX) {
        return;
    }
    void *layouts[2] = {malloc(layout_size), malloc(layout_size)};
    void *states[2] = {malloc(state_size), malloc(state_size)};
    sentinel_view view, next;
    if (sentinel_state_make(&view, bundle, layouts[0], layout_size, states[0], state_size, NULL) ==
        SENTINEL_OK) {
        feed_all(&view, input, 0);
        judge_all(input, &view, 0);
        memcpy(states[1], states[0], state_size);
        NEED(sentinel_state_restore(&next, bundle, layouts[1], layout_size, states[1],
                                    state_size) == SENTINEL_OK);
        NEED(sentinel_state_make(&next, bundle, layouts[1], layout_size, states[1], state_size,
                                 &view) == SENTINEL_OK);
        NEED(sentinel_state_restore(&next, bundle, layouts[1], layout_size, states[1],
                                    state_size) == SENTINEL_OK);
    }
    for (int i = 0; i < 2; i++) {
        free(layouts[i]);
        free(states[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    fuzz_input input = {data, size};
    size_t frame_size = take_frame(&input);
    sentinel_bundle bundle;
    if (sentinel_bundle_check(&bundle, frame_words, frame_size) == SENTINEL_OK) {
        judge_with(&bundle, &input);
    }
    return 0;
}

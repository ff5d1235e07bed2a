/* Goal: what travels of an outcome is what the page says, and what is kept is
 * found by the very same order alone. Method: outcomes filled with patterns. */
#include "outcome.h"
#include "sentinel_test.h"

#include <sentinel/order.h>

static sentinel_outcome outcome;
static uint8_t packed[OUTCOME_BYTES_MAX + 8];
static outcome_store store;

static void fill(uint8_t verdict) {
    for (size_t i = 0; i < sizeof outcome; i++) {
        ((uint8_t *)&outcome)[i] = (uint8_t)(i * 7 + i / 251);
    }
    outcome.verdict = verdict;
    memset(packed, 0xa5, sizeof packed);
}

static void test_a_signature_is_packed_up_to_the_end_of_its_text(void) {
    for (uint16_t text = 0; text <= SENTINEL_REQUEST_TEXT_BYTES; text++) {
        fill(SENTINEL_ALLOWED);
        outcome.request.text_size = text;
        size_t whole =
            OUTCOME_HEAD_BYTES + sizeof outcome.signature + offsetof(sentinel_request, text) + text;
        size_t size = outcome_pack(packed, &outcome);
        CHECK_EQ(size, (whole + 7) / 8 * 8);
        CHECK_BYTES(packed, &outcome, OUTCOME_HEAD_BYTES);
        CHECK_BYTES(packed + OUTCOME_HEAD_BYTES, &outcome.signature, sizeof outcome.signature);
        CHECK_BYTES(packed + OUTCOME_HEAD_BYTES + sizeof outcome.signature, &outcome.request,
                    offsetof(sentinel_request, text) + text);
        for (size_t i = whole; i < size; i++) {
            CHECK_EQ(packed[i], 0);
        }
        CHECK_EQ(packed[size], 0xa5);
    }
}

static void test_a_refusal_is_packed_with_its_results(void) {
    for (uint16_t count = 0; count <= SENTINEL_RESULTS_MAX; count++) {
        fill(SENTINEL_DENIED);
        outcome.decision.result_count = count;
        const sentinel_decision *d = &outcome.decision;
        size_t head = OUTCOME_HEAD_BYTES + offsetof(sentinel_decision, results);
        size_t size = outcome_pack(packed, &outcome);
        CHECK_EQ(size, head + count * (sizeof(sentinel_result) + sizeof(int64_t)));
        CHECK_BYTES(packed, &outcome, head);
        CHECK_BYTES(packed + head, d->results, count * sizeof(sentinel_result));
        CHECK_BYTES(packed + head + count * sizeof(sentinel_result), d->retry_at_ns,
                    count * sizeof(int64_t));
        CHECK_EQ(packed[size], 0xa5);
    }
}

static void test_counts_beyond_their_limits_do_not_reach_further(void) {
    fill(SENTINEL_ALLOWED);
    outcome.request.text_size = UINT16_MAX;
    CHECK(outcome_pack(packed, &outcome) <= OUTCOME_BYTES_MAX);
    fill(SENTINEL_PENDING);
    outcome.decision.result_count = UINT16_MAX;
    CHECK(outcome_pack(packed, &outcome) <= OUTCOME_BYTES_MAX);
}

typedef union order {
    sentinel_order_header header;
    uint8_t bytes[SENTINEL_ORDER_BYTES_MAX];
} order;

static order order_of(uint64_t id) {
    order made;
    memset(&made, (int)id, sizeof made);
    made.header.action_id = id;
    return made;
}

static void test_the_last_64_of_an_agent_are_found_by_the_same_order(void) {
    memset(&store, 0, sizeof store);
    outcome_ring *ring = outcome_ring_of(&store, 7, 5);
    CHECK(outcome_find(ring, order_of(0).bytes, 200) == NULL); /* empty, and id 0 */
    for (uint64_t id = 0; id < 100; id++) {
        order made = order_of(id);
        memset(packed, (int)id, 64);
        outcome_keep(ring, &made, 200, packed, 64);
    }
    for (uint64_t id = 0; id < 100; id++) {
        order made = order_of(id);
        const outcome_kept *kept = outcome_find(ring, &made, 200);
        CHECK((kept != NULL) == (id >= 36));
        if (kept != NULL) {
            CHECK_EQ(kept->size, 64);
            CHECK_EQ(kept->packed[63], id);
            CHECK(outcome_find(ring, &made, 192) == NULL);
            CHECK(outcome_find(ring, &made, 208) == NULL);
            made.bytes[199] ^= 1;
            CHECK(outcome_find(ring, &made, 200) == NULL);
        }
    }
    CHECK(outcome_find(ring, order_of(99).bytes, 8) == NULL); /* too short to have an id */
}

static void test_an_agent_finds_its_own_alone(void) {
    memset(&store, 0, sizeof store);
    order made = order_of(5);
    outcome_keep(outcome_ring_of(&store, 1, 5), &made, 200, packed, 64);
    CHECK(outcome_find(outcome_ring_of(&store, 1, 5), &made, 200) != NULL);
    CHECK(outcome_find(outcome_ring_of(&store, 2, 5), &made, 200) == NULL);
    /* As many agents as there are rings, and one more: the one not seen longest goes. */
    for (uint32_t agent = 2; agent <= SENTINEL_AUTHORITY_KEYS_MAX; agent++) {
        (void)outcome_ring_of(&store, agent, 5);
    }
    CHECK(outcome_find(outcome_ring_of(&store, 1, 5), &made, 200) != NULL);
    (void)outcome_ring_of(&store, 1000, 5);
    CHECK(outcome_find(outcome_ring_of(&store, 1, 5), &made, 200) != NULL);
    for (uint32_t agent = 0; agent < SENTINEL_AUTHORITY_KEYS_MAX; agent++) {
        (void)outcome_ring_of(&store, 2000 + agent, 5);
    }
    CHECK(outcome_find(outcome_ring_of(&store, 1, 5), &made, 200) == NULL);
}

static void test_what_is_too_large_is_not_kept(void) {
    memset(&store, 0, sizeof store);
    outcome_ring *ring = outcome_ring_of(&store, 1, 5);
    order made = order_of(5);
    outcome_keep(ring, &made, SENTINEL_ORDER_BYTES_MAX + 1, packed, 64);
    outcome_keep(ring, &made, 200, packed, OUTCOME_BYTES_MAX + 1);
    outcome_keep(ring, &made, 8, packed, 64);
    CHECK_EQ(ring->next, 0);
    outcome_keep(ring, &made, SENTINEL_ORDER_BYTES_MAX, packed, OUTCOME_BYTES_MAX);
    CHECK_EQ(ring->next, 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_signature_is_packed_up_to_the_end_of_its_text);
    RUN(test_a_refusal_is_packed_with_its_results);
    RUN(test_counts_beyond_their_limits_do_not_reach_further);
    RUN(test_the_last_64_of_an_agent_are_found_by_the_same_order);
    RUN(test_an_agent_finds_its_own_alone);
    RUN(test_what_is_too_large_is_not_kept);
    return test_end();
}

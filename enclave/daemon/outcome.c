/* Packed outcomes: what python/sentinel/_core_hot.pxi keeps of one, too. */
#include "outcome.h"

#include <sentinel/order.h>
#include <string.h>

#define KEPT_REQUEST (OUTCOME_HEAD_BYTES + sizeof(sentinel_signature))
#define KEPT_TEXT (KEPT_REQUEST + offsetof(sentinel_request, text))
#define KEPT_RESULTS (OUTCOME_HEAD_BYTES + offsetof(sentinel_decision, results))

SENTINEL_ASSERT_LAYOUT(OUTCOME_HEAD_BYTES % 8 == 0 && KEPT_RESULTS % 8 == 0,
                       "what is packed stays aligned");

size_t outcome_pack(uint8_t *packed, const sentinel_outcome *outcome) {
    memcpy(packed, outcome, OUTCOME_HEAD_BYTES);
    if (outcome->verdict == SENTINEL_ALLOWED) {
        size_t text = outcome->request.text_size;
        text = text < SENTINEL_REQUEST_TEXT_BYTES ? text : SENTINEL_REQUEST_TEXT_BYTES;
        memcpy(packed + OUTCOME_HEAD_BYTES, &outcome->signature, sizeof outcome->signature);
        memcpy(packed + KEPT_REQUEST, &outcome->request, KEPT_TEXT - KEPT_REQUEST + text);
        size_t size = KEPT_TEXT + text;
        size_t padded = (size + 7) & ~(size_t)7;
        memset(packed + size, 0, padded - size);
        return padded;
    }
    size_t count = outcome->decision.result_count;
    count = count < SENTINEL_RESULTS_MAX ? count : SENTINEL_RESULTS_MAX;
    memcpy(packed + OUTCOME_HEAD_BYTES, &outcome->decision, KEPT_RESULTS - OUTCOME_HEAD_BYTES);
    size_t at = KEPT_RESULTS;
    memcpy(packed + at, outcome->decision.results, count * sizeof(sentinel_result));
    at += count * sizeof(sentinel_result);
    memcpy(packed + at, outcome->decision.retry_at_ns, count * sizeof(int64_t));
    return at + count * sizeof(int64_t);
}

static void forget_before(outcome_ring *ring, uint64_t command) {
    if (ring->command != command) {
        for (unsigned i = 0; i < OUTCOMES_KEPT; i++) {
            ring->kept[i].order_size = 0;
        }
        ring->command = command;
    }
}

outcome_ring *outcome_ring_of(outcome_store *store, uint32_t agent, uint64_t command) {
    outcome_ring *oldest = &store->rings[0];
    store->clock++;
    for (unsigned i = 0; i < SENTINEL_AUTHORITY_KEYS_MAX; i++) {
        outcome_ring *ring = &store->rings[i];
        if (ring->agent == agent) {
            ring->used = store->clock;
            forget_before(ring, command);
            return ring;
        }
        if (ring->used < oldest->used) {
            oldest = ring;
        }
    }
    memset(oldest, 0, sizeof *oldest);
    oldest->agent = agent;
    oldest->used = store->clock;
    oldest->command = command;
    return oldest;
}

static uint64_t action_id(const void *order) {
    return ((const sentinel_order_header *)order)->action_id;
}

const outcome_kept *outcome_find(const outcome_ring *ring, const void *order, size_t size) {
    if (size < sizeof(sentinel_order_header)) {
        return NULL;
    }
    uint64_t id = action_id(order);
    for (unsigned i = 0; i < OUTCOMES_KEPT; i++) {
        const outcome_kept *kept = &ring->kept[i];
        if (ring->action_ids[i] == id && kept->order_size == size &&
            memcmp(kept->order, order, size) == 0) {
            return kept;
        }
    }
    return NULL;
}

void outcome_keep(outcome_ring *ring, const void *order, size_t size, const uint8_t *packed,
                  size_t packed_size) {
    outcome_kept *kept = &ring->kept[ring->next];
    if (size < sizeof(sentinel_order_header) || size > sizeof kept->order ||
        packed_size > sizeof kept->packed) {
        return;
    }
    memcpy(kept->order, order, size);
    memcpy(kept->packed, packed, packed_size);
    kept->order_size = (uint32_t)size;
    kept->size = (uint32_t)packed_size;
    ring->action_ids[ring->next] = action_id(order);
    ring->next = (ring->next + 1) % OUTCOMES_KEPT;
}

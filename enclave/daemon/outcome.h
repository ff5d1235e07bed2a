/* Outcomes as they travel, and the last ones of each agent, kept so that a
 * client that lost an answer gets the same bytes again. enclave/PROTOCOL.md,
 * section 5. */
#ifndef OUTCOME_H
#define OUTCOME_H

#include <sentinel/gate.h>

#define OUTCOME_HEAD_BYTES offsetof(sentinel_outcome, decision)
#define OUTCOME_BYTES_MAX ((sizeof(sentinel_outcome) + 7) / 8 * 8)
#define OUTCOMES_KEPT 64u /* of each agent */

/* Packs an outcome; returns its size, a multiple of 8. packed: OUTCOME_BYTES_MAX. */
size_t outcome_pack(uint8_t *packed, const sentinel_outcome *outcome);

typedef struct outcome_kept {
    uint32_t order_size; /* 0: nothing is kept here */
    uint32_t size;
    uint8_t order[SENTINEL_ORDER_BYTES_MAX];
    uint8_t packed[OUTCOME_BYTES_MAX];
} outcome_kept;

typedef struct outcome_ring {
    uint32_t agent; /* node id; 0: free */
    uint32_t next;
    uint64_t used;    /* when it was last; the oldest gives way */
    uint64_t command; /* the last one that was taken when these were kept */
    uint64_t action_ids[OUTCOMES_KEPT];
    outcome_kept kept[OUTCOMES_KEPT];
} outcome_ring;

/* Zeroed memory is an empty store. As many rings as an authority has keys. */
typedef struct outcome_store {
    uint64_t clock;
    outcome_ring rings[SENTINEL_AUTHORITY_KEYS_MAX];
} outcome_store;

/* The ring of an agent; what another one's had is forgotten when there is none.
 * command: the sequence of the last command that was taken. What was kept before
 * it is forgotten: behind a halt that was acknowledged nobody gets a signature. */
outcome_ring *outcome_ring_of(outcome_store *store, uint32_t agent, uint64_t command);

/* What this very order got before; null: nothing that is kept. */
const outcome_kept *outcome_find(const outcome_ring *ring, const void *order, size_t size);

/* Keeps what an order got. */
void outcome_keep(outcome_ring *ring, const void *order, size_t size, const uint8_t *packed,
                  size_t packed_size);

#endif

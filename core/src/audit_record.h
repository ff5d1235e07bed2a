/* A record's check in three steps, so that many records are hashed together. */
#ifndef SENTINEL_AUDIT_RECORD_H
#define SENTINEL_AUDIT_RECORD_H

#include "hash.h"

#include <sentinel/audit.h>

enum { RECORD_MESSAGES = 1 + SENTINEL_RECORD_PARTS };

/* sentinel_record_parse is this, the digests of the messages, and record_judge.
 * Out: what is to be hashed: the header, then each part behind its salt. */
SENTINEL_MUST_USE sentinel_status record_open(sentinel_record *record,
                                              hash_message messages[RECORD_MESSAGES],
                                              const void *bytes, size_t size);

/* The rest of it, and the record's hash. */
SENTINEL_MUST_USE sentinel_status record_judge(sentinel_record *record, uint8_t (*digests)[32]);

/* What is signed and its signature, of which the outcome has digests. They are
 * hashed beside the record's parts, in half the time. */
typedef struct record_late {
    hash_message payload, signature; /* empty: the outcome has its digest already */
    sentinel_outcome_part *outcome;  /* where they go: the parts' own */
} record_late;

/* A header to be hashed, behind the byte that its message begins with. */
typedef struct record_draft {
    uint8_t reserved[7];
    uint8_t leaf; /* 0x00 (RFC 6962) */
    sentinel_record_header header;
} record_draft;

/* The last blocks of a header's hash, and what they go into. */
enum { RECORD_TAIL_BLOCKS = 2 };
typedef struct record_tail {
    hash_chain chain;
    uint8_t blocks[RECORD_TAIL_BLOCKS * 64];
} record_tail;

/* As sentinel_record_build, but nothing is written but what the header lacks, and
 * the record's hash is the tail's chain once the blocks went into it.
 * late: null: none. */
SENTINEL_MUST_USE sentinel_status record_hash(record_tail *tail, record_draft *draft,
                                              const sentinel_record_parts *parts,
                                              const record_late *late);

/* Where a record's bytes lie, one piece behind the other. */
enum { RECORD_PIECES = 5 };
typedef struct record_pieces {
    const void *at[RECORD_PIECES]; /* the first has all of the header */
    size_t size[RECORD_PIECES];
} record_pieces;

record_pieces record_pieces_of(const sentinel_record_header *header,
                               const sentinel_record_parts *parts);

/* Copies them all, but the first `skipped` bytes, which are the header's. */
void record_put(uint8_t *out, const record_pieces *pieces, size_t skipped);

/* For verifiers, which have many records at once. Frames, one behind the other:
 * frame i is at bytes + at[i] and ends at at[i + 1], its size word and its room
 * for a commit word were checked. whole[i]: 1 where the record is right by
 * itself and fits its commit word, else 0; hashes[i]: its hash, zero where it
 * has no form. */
void records_check(uint8_t *whole, uint8_t (*hashes)[32], const uint8_t *bytes, const uint32_t *at,
                   size_t count);

/* As sentinel_tree_add for each. */
void tree_add_many(sentinel_tree *tree, const uint8_t (*leaves)[32], size_t count);

#endif

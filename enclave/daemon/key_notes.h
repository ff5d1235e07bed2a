/* Keys that were made or brought in before there was an engine whose log could say
 * so: kept until it runs, then each becomes a KEY record. docs/4-audit.md, "Keys". */
#ifndef SENTINEL_KEY_NOTES_H
#define SENTINEL_KEY_NOTES_H

#include <sentinel/engine.h>

typedef struct key_notes {
    uint32_t count;
    uint8_t reserved[4];
    struct {
        uint8_t *bytes; /* sentinel_key_record, then the frame */
        size_t size;
    } rows[SENTINEL_KEYRING_KEYS_MAX];
} key_notes;

/* origin: SENTINEL_KEY_*; frame: what brought it, or null. Returns: OK; KEY_FULL; IO_MEMORY. */
SENTINEL_MUST_USE sentinel_status key_notes_add(key_notes *notes, uint8_t origin,
                                                const sentinel_key_info *info, const void *frame,
                                                size_t size);

/* Those of the ring that no note is about, from this place on, but for what signs
 * receipts, as FOUND. */
SENTINEL_MUST_USE sentinel_status key_notes_find(key_notes *notes, const sentinel_keyring *ring,
                                                 uint32_t from);

/* 1: the log in this folder has so many records, of which the last has this hash. A host
 * can write records, but none that have the hash of what came before them.
 * buffer: SENTINEL_RECORD_BYTES_MAX, aligned. */
int key_notes_log_has(int dir_fd, uint64_t count, const uint8_t hash32[32], uint8_t *buffer);

/* Records all of them, in their order. Returns: as sentinel_engine_note. */
SENTINEL_MUST_USE sentinel_status key_notes_record(const key_notes *notes, sentinel_engine *engine,
                                                   int64_t now_ns);

void key_notes_free(key_notes *notes);

#endif

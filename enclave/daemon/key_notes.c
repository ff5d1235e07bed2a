/* Keys that came to be in an enclave, until the log can say so. */
#include "key_notes.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

sentinel_status key_notes_add(key_notes *notes, uint8_t origin, const sentinel_key_info *info,
                              const void *frame, size_t size) {
    const sentinel_key_record head = {.origin = origin, .info = *info};
    if (notes->count == SENTINEL_KEYRING_KEYS_MAX ||
        sizeof head + size > SENTINEL_SUBJECT_BYTES_MAX) {
        return SENTINEL_KEY_FULL;
    }
    uint8_t *bytes = calloc(1, sizeof head + size);
    if (bytes == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    memcpy(bytes, &head, sizeof head);
    if (size != 0) {
        memcpy(bytes + sizeof head, frame, size);
    }
    notes->rows[notes->count].bytes = bytes;
    notes->rows[notes->count].size = sizeof head + size;
    notes->count++;
    return SENTINEL_OK;
}

static int is_noted(const key_notes *notes, uint32_t id) {
    for (uint32_t i = 0; i < notes->count; i++) {
        const sentinel_key_record *row = (const void *)notes->rows[i].bytes;
        if (row->info.id == id) {
            return 1;
        }
    }
    return 0;
}

sentinel_status key_notes_find(key_notes *notes, const sentinel_keyring *ring) {
    for (uint32_t i = 0; i < sentinel_keyring_count(ring); i++) {
        const sentinel_key_info *info = sentinel_keyring_at(ring, i);
        if (info != NULL && info->purpose != SENTINEL_PURPOSE_RECEIPT &&
            !is_noted(notes, info->id)) {
            SENTINEL_TRY(key_notes_add(notes, SENTINEL_KEY_FOUND, info, NULL, 0));
        }
    }
    return SENTINEL_OK;
}

sentinel_status key_notes_record(const key_notes *notes, sentinel_engine *engine, int64_t now_ns) {
    for (uint32_t i = 0; i < notes->count; i++) {
        SENTINEL_TRY(sentinel_engine_note(engine, NULL, SENTINEL_RECORD_KEY, notes->rows[i].bytes,
                                          notes->rows[i].size, now_ns));
    }
    return SENTINEL_OK;
}

void key_notes_free(key_notes *notes) {
    for (uint32_t i = 0; i < notes->count; i++) {
        free(notes->rows[i].bytes);
    }
    memset(notes, 0, sizeof *notes);
}

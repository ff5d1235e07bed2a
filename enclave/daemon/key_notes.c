/* Keys that came to be in an enclave, until the log can say so. */
#include "key_notes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
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

sentinel_status key_notes_find(key_notes *notes, const sentinel_keyring *ring, uint32_t from) {
    for (uint32_t i = from; i < sentinel_keyring_count(ring); i++) {
        const sentinel_key_info *info = sentinel_keyring_at(ring, i);
        if (info != NULL && info->purpose != SENTINEL_PURPOSE_RECEIPT &&
            !is_noted(notes, info->id)) {
            SENTINEL_TRY(key_notes_add(notes, SENTINEL_KEY_FOUND, info, NULL, 0));
        }
    }
    return SENTINEL_OK;
}

int key_notes_log_has(int dir_fd, uint64_t count, const uint8_t hash32[32], uint8_t *buffer) {
    sentinel_log_reader reader = {.segment_fd = -1};
    sentinel_record record;
    int log_fd = openat(dir_fd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int has = log_fd >= 0 && count != 0 &&
              sentinel_log_reader_open(&reader, log_fd, count - 1) == SENTINEL_OK &&
              sentinel_log_reader_next(&reader, &record, buffer, SENTINEL_RECORD_BYTES_MAX) ==
                  SENTINEL_OK &&
              bytes_equal(record.hash32, hash32, 32);
    sentinel_log_reader_close(&reader);
    if (log_fd >= 0) {
        (void)close(log_fd);
    }
    return has;
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

/* From the files to the state: a snapshot, and the records after it. */
#include "engine_internal.h"

#include <errno.h>

/* A snapshot's file, and the record and bundles that go with it. */
static sentinel_status restore_at(sentinel_engine *engine, sentinel_log_reader *reader,
                                  uint64_t number) {
    char name[FILES_NAME_BYTES];
    size_t size;
    size_t authority_size;
    size_t policy_size;
    sentinel_record record;
    SENTINEL_TRY(sentinel_log_reader_open(reader, engine->log_fd, number));
    SENTINEL_TRY(sentinel_log_reader_next(reader, &record, engine->record, sizeof engine->record));
    const sentinel_snapshot_ref *ref = (const sentinel_snapshot_ref *)record.subject;
    if (record.header->type != SENTINEL_RECORD_SNAPSHOT) {
        return SENTINEL_AUDIT_SNAPSHOT;
    }
    if (ref->version != SENTINEL_STATE_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    /* The record, not the file, says how much room there must be. */
    if (ref->size_bytes > engine->config.state_bytes_max) {
        return SENTINEL_POLICY_ARENA;
    }
    files_number_name(name, number, "");
    SENTINEL_TRY(
        files_load(&size, engine->snapshots_fd, name, engine->state, (size_t)ref->size_bytes));
    SENTINEL_TRY(engine_bundle_load(engine, &authority_size, record.header->authority_hash32,
                                    engine->authority, sizeof engine->authority));
    SENTINEL_TRY(engine_bundle_load(engine, &policy_size, record.header->policy_hash32,
                                    engine->frame, engine->config.bundle_bytes_max));
    return sentinel_gate_restore(engine->context, &record, engine->authority, authority_size,
                                 engine->frame, policy_size, engine->state, size);
}

/* The newest snapshot that is good; the reader then stands behind its record.
 * A bad one is passed over: the records say the same, only more slowly. */
static sentinel_status restore_newest(sentinel_engine *engine, sentinel_log_reader *reader,
                                      int *lost) {
    uint64_t at_most = UINT64_MAX;
    for (unsigned i = 0; i < 2 * ENGINE_SNAPSHOTS_KEPT && at_most != 0; i++) {
        uint64_t number;
        sentinel_status status = files_highest(&number, engine->snapshots_fd, "", at_most);
        if (status == SENTINEL_AUDIT_END) {
            break;
        }
        SENTINEL_TRY(status);
        at_most = number - (number != 0);
        if (number >= engine->log.count) {
            *lost = 1; /* Its record is no longer there. */
            continue;
        }
        status = restore_at(engine, reader, number);
        if (status == SENTINEL_OK || status == SENTINEL_POLICY_ARENA) {
            engine->snapshot_at = number + 1;
            return status;
        }
        sentinel_log_reader_close(reader);
    }
    return SENTINEL_AUDIT_END;
}

static sentinel_status replay_one(sentinel_engine *engine, sentinel_log_reader *reader) {
    sentinel_record record;
    const char *difference;
    const void *frame = NULL;
    size_t size = 0;
    SENTINEL_TRY(sentinel_log_reader_next(reader, &record, engine->record, sizeof engine->record));
    uint16_t type = record.header->type;
    if (type == SENTINEL_RECORD_BUNDLE) {
        const sentinel_bundle_ref *ref = (const sentinel_bundle_ref *)record.subject;
        SENTINEL_TRY(engine_bundle_load(engine, &size, ref->hash32, engine->frame,
                                        engine->config.bundle_bytes_max));
        frame = engine->frame;
    }
    SENTINEL_TRY(sentinel_gate_replay(engine->context, &difference, &record, frame, size));
    if (type == SENTINEL_RECORD_COMMAND || type == SENTINEL_RECORD_FEED) {
        frame = record.subject;
        size = record.header->subject_size;
    }
    if (type == SENTINEL_RECORD_COMMAND) {
        engine_acknowledge(engine, frame, size);
    }
    if (frame != NULL) {
        hash_bytes(engine->last_frame32, frame, size);
        engine->last_frame_record = record.header->number;
    }
    return SENTINEL_OK;
}

sentinel_status engine_restore(sentinel_engine *engine) {
    sentinel_log_reader reader = {.segment_fd = -1};
    engine->snapshot_at = 0;
    engine->last_frame_record = 0;
    memset(&engine->ack, 0, sizeof engine->ack);
    int lost = 0;
    sentinel_status status = restore_newest(engine, &reader, &lost);
    if (status == SENTINEL_AUDIT_END) {
        /* Not even a genesis record: the log was there when it was created. */
        status = engine->log.count == 0 ? SENTINEL_AUDIT_TRUNCATED
                                        : sentinel_log_reader_open(&reader, engine->log_fd, 0);
    }
    while (status == SENTINEL_OK && reader.next < engine->log.count) {
        status = replay_one(engine, &reader);
    }
    int error = errno;
    sentinel_log_reader_close(&reader);
    errno = error;
    return status == SENTINEL_OK && lost ? SENTINEL_AUDIT_TRUNCATED : status;
}

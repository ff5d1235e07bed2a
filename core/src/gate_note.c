/* What is recorded and decides nothing: the clock that was compared, keys that
 * came to be. docs/4-audit.md, "The clock", "Keys". */
#include "gate_internal.h"

/* A text, and zeros behind it. */
static int is_name(const char *name, size_t size) {
    size_t length = strnlen(name, size);
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return 0;
        }
    }
    return length < size && bytes_are_zero(name + length, size - length);
}

static sentinel_status clock_check(const sentinel_clock *clock) {
    if (clock->source == 0 || clock->source >= SENTINEL_CLOCK_SOURCE_COUNT || clock->result == 0 ||
        clock->result >= SENTINEL_CLOCK_RESULT_COUNT || clock->source_ns < 0 ||
        clock->bound_ns < 0 || clock->until_ns < 0 || !is_name(clock->name, sizeof clock->name)) {
        return SENTINEL_FORMAT_RANGE;
    }
    return bytes_are_zero(clock->reserved, sizeof clock->reserved) ? SENTINEL_OK
                                                                   : SENTINEL_FORMAT_RESERVED;
}

static sentinel_status key_check(const sentinel_key_record *key, size_t size) {
    sentinel_frame frame;
    int imported = key->origin == SENTINEL_KEY_IMPORTED;
    if (key->origin == 0 || key->origin >= SENTINEL_KEY_ORIGIN_COUNT || key->info.id == 0) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(key->reserved, sizeof key->reserved) ||
        !bytes_are_zero(key->info.reserved, sizeof key->info.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (!imported) {
        return size == sizeof *key ? SENTINEL_OK : SENTINEL_FORMAT_SIZE;
    }
    return sentinel_frame_parse(&frame, key + 1, size - sizeof *key, SENTINEL_FRAME_IMPORT);
}

sentinel_status gate_note_check(uint16_t type, const void *subject, size_t size) {
    if (type == SENTINEL_RECORD_CLOCK && size == sizeof(sentinel_clock)) {
        return clock_check(subject);
    }
    if (type == SENTINEL_RECORD_KEY && size >= sizeof(sentinel_key_record) &&
        size <= SENTINEL_SUBJECT_BYTES_MAX) {
        return key_check(subject, size);
    }
    return SENTINEL_FORMAT_SIZE;
}

sentinel_status sentinel_gate_note(sentinel_context *context, uint64_t *record, uint16_t type,
                                   const void *subject, size_t size, int64_t now_ns) {
    uint32_t flags = 0;
    if (context == NULL || subject == NULL || ((uintptr_t)subject & 7) != 0 || now_ns < 0 ||
        context->expected != NULL || gate_state(context)->record_count == 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    SENTINEL_TRY(gate_note_check(type, subject, size));
    (void)gate_clock(context, &now_ns, &flags);
    if (record != NULL) {
        *record = gate_state(context)->record_count;
    }
    return gate_record_frame(context, type, subject, size, now_ns, flags);
}

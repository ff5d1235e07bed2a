/* Records from anywhere. Any bytes are taken apart or refused; what a header
 * of any content builds can be taken apart again, and no bit of it changes
 * unnoticed.
 *
 * The first byte chooses: even, the rest is a record as it is; odd, the rest
 * is a header and its parts, to be built. */
#include <sentinel/audit.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(8) uint8_t bytes[SENTINEL_RECORD_BYTES_MAX + 64];

static void check_bounds(const sentinel_record *record, size_t size) {
    const uint8_t *end = bytes + size;
    if ((const uint8_t *)record->header != bytes ||
        record->subject + record->header->subject_size != (const uint8_t *)record->results ||
        (const uint8_t *)(record->results + record->header->result_count) > end ||
        (record->outcome != NULL && (const uint8_t *)(record->outcome + 1) != record->salts) ||
        record->salts + SENTINEL_SALTS_BYTES != end) {
        abort();
    }
}

/* A header with sizes that the rest of the input can fill, else anything. */
static int build(const uint8_t *data, size_t size, uint8_t hash32[32], size_t *built) {
    static _Alignas(8) uint8_t parts_bytes[SENTINEL_RECORD_BYTES_MAX + 64];
    sentinel_record_header header;
    if (size < sizeof header || size - sizeof header > sizeof parts_bytes) {
        return 0;
    }
    memcpy(&header, data, sizeof header);
    memset(parts_bytes, 0, sizeof parts_bytes);
    memcpy(parts_bytes, data + sizeof header, size - sizeof header);
    size_t results = header.result_count * sizeof(sentinel_result);
    if (header.subject_size + results + sizeof(sentinel_outcome_part) > sizeof parts_bytes) {
        return 0;
    }
    sentinel_outcome_part outcome;
    sentinel_record_parts parts = {
        .subject = parts_bytes,
        .results = (const sentinel_result *)(parts_bytes + (header.subject_size + 7) / 8 * 8),
        .outcome = &outcome,
    };
    if ((header.subject_size + 7) / 8 * 8 + results > sizeof parts_bytes ||
        (header.outcome_size != 0 && header.outcome_size != sizeof outcome)) {
        return 0;
    }
    memset(&outcome, data[0], sizeof outcome);
    memcpy(parts.salts, header.prev_hash32, 32);
    if (sentinel_record_build(bytes, SENTINEL_RECORD_BYTES_MAX, hash32, &header, &parts) !=
        SENTINEL_OK) {
        return 0;
    }
    *built = header.size_bytes;
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sentinel_record record;
    uint8_t hash32[32];
    size_t built = 0;
    if (size < 8 || size > sizeof bytes) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        memcpy(bytes, data + 1, size - 1);
        if (sentinel_record_parse(&record, bytes, size - 1) == SENTINEL_OK) {
            check_bounds(&record, size - 1);
        }
        return 0;
    }
    if (!build(data + 1, size - 1, hash32, &built)) {
        return 0;
    }
    sentinel_status status = sentinel_record_parse(&record, bytes, built);
    if (status == SENTINEL_FORMAT_RANGE) {
        return 0; /* of a result */
    }
    if (status != SENTINEL_OK || memcmp(record.hash32, hash32, 32) != 0) {
        abort();
    }
    check_bounds(&record, built);
    uint32_t bit;
    memcpy(&bit, data + size - sizeof bit, sizeof bit);
    bit %= (uint32_t)(8 * built);
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (sentinel_record_parse(&record, bytes, built) == SENTINEL_OK &&
        (bit / 8 >= sizeof(sentinel_record_header) || memcmp(record.hash32, hash32, 32) == 0)) {
        abort();
    }
    return 0;
}

/* What replay_random_test.c keeps of a history to replay it: records, the
 * bundles that were taken, snapshots. */
#ifndef REPLAY_KEPT_H
#define REPLAY_KEPT_H

#include "gate_scene.h"

#define RECORDS_MAX 1024u
#define BUNDLES_MAX 64u

typedef struct kept_record {
    sentinel_record record;
    _Alignas(8) uint8_t bytes[8192];
} kept_record;
static kept_record *records;

typedef struct kept_bundle {
    uint64_t record;
    size_t size;
    _Alignas(8) uint8_t bytes[16384];
} kept_bundle;
static kept_bundle *bundles;
static unsigned bundle_count;

typedef struct kept_snapshot {
    uint64_t record;
    uint64_t size;
    uint8_t *bytes;
} kept_snapshot;
static kept_snapshot snapshots[64];
static unsigned snapshot_count;

static void keep_bundle(uint64_t record, const uint8_t *bytes, size_t size) {
    CHECK(bundle_count < BUNDLES_MAX && size <= sizeof bundles->bytes);
    kept_bundle *kept = &bundles[bundle_count++];
    kept->record = record;
    kept->size = size;
    memcpy(kept->bytes, bytes, size);
}

#endif

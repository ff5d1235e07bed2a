/* Sealed blobs. */
#include "sealed.h"

#include <openssl/rand.h>

#include "bytes.h"
#include "check.h"
#include "gcm.h"

#define SEAL_LABEL "sentinel-seal-v1"

static const char magic[] = "SENTSEAL";

static sentinel_status seal_key(uint8_t key32[32], const root *secret,
                                const sentinel_sealed *header) {
    struct {
        uint8_t engine_id32[32];
        uint64_t epoch;
        uint64_t type;
    } context;
    memcpy(context.engine_id32, header->engine_id32, 32);
    context.epoch = header->epoch;
    context.type = header->type;
    return root_key(key32, secret, SEAL_LABEL, &context, sizeof context);
}

static int type_is_known(uint16_t type) {
    return type > 0 && type < SENTINEL_SEALED_TYPE_COUNT;
}

sentinel_status sealed_make(uint8_t *blob, size_t *blob_size, size_t capacity, const root *secret,
                            const uint8_t engine_id32[32], const sealed_place *place,
                            const void *bytes, size_t size) {
    uint8_t key32[32];
    if (!type_is_known(place->type) || place->number == 0 || size == 0 ||
        size > SENTINEL_SEALED_BYTES_MAX) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (capacity < sealed_bytes(size)) {
        return SENTINEL_USAGE_CAPACITY;
    }
    sentinel_sealed header = {
        .version = SENTINEL_SEALED_VERSION,
        .type = place->type,
        .size = (uint32_t)size,
        .epoch = place->epoch,
        .number = place->number,
        .head_number = place->head_number,
    };
    memcpy(header.magic, magic, sizeof header.magic);
    memcpy(header.engine_id32, engine_id32, 32);
    memcpy(header.head_hash32, place->head_hash32, 32);
    if (RAND_bytes(header.nonce12, (int)sizeof header.nonce12) != 1) {
        return SENTINEL_CRYPTO_FAILED;
    }
    sentinel_status status = seal_key(key32, secret, &header);
    if (status == SENTINEL_OK) {
        const gcm_place at = {key32, header.nonce12, &header, sizeof header};
        memcpy(blob, &header, sizeof header);
        status = gcm_seal(blob + sizeof header, blob + sizeof header + size, &at, bytes, size);
    }
    bytes_wipe(key32, sizeof key32);
    *blob_size = status == SENTINEL_OK ? sealed_bytes(size) : 0;
    return status;
}

static sentinel_status header_check(const sentinel_sealed *header, size_t blob_size) {
    if (!bytes_equal(header->magic, magic, sizeof header->magic)) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (header->version != SENTINEL_SEALED_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (!bytes_are_zero(header->reserved, sizeof header->reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (!type_is_known(header->type) || header->number == 0 || header->size == 0 ||
        header->size > SENTINEL_SEALED_BYTES_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    return blob_size == sealed_bytes(header->size) ? SENTINEL_OK : SENTINEL_FORMAT_SIZE;
}

static int is_fresh(const sentinel_sealed *header, const sealed_expect *expect) {
    if (header->number < expect->number_least || header->head_number < expect->confirmed_number) {
        return 0;
    }
    return header->head_number > expect->confirmed_number || expect->confirmed_number == 0 ||
           bytes_equal(header->head_hash32, expect->confirmed_hash32, 32);
}

sentinel_status sealed_open(uint8_t *out, size_t capacity, sentinel_sealed *header,
                            const root *secret, const uint8_t engine_id32[32],
                            const sealed_expect *expect, const uint8_t *blob, size_t blob_size) {
    uint8_t key32[32];
    if (blob_size < sizeof *header) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(header, blob, sizeof *header);
    SENTINEL_TRY(header_check(header, blob_size));
    if (header->type != expect->type) {
        return SENTINEL_ENCLAVE_TYPE;
    }
    if (!bytes_equal(header->engine_id32, engine_id32, 32)) {
        return SENTINEL_ENCLAVE_FOREIGN;
    }
    if (capacity < header->size) {
        return SENTINEL_USAGE_CAPACITY;
    }
    sentinel_status status = seal_key(key32, secret, header);
    if (status == SENTINEL_OK) {
        const gcm_place at = {key32, header->nonce12, header, sizeof *header};
        const uint8_t *sealed = blob + sizeof *header;
        status = gcm_open(out, sealed + header->size, &at, sealed, header->size);
    }
    bytes_wipe(key32, sizeof key32);
    if (status != SENTINEL_OK) {
        return SENTINEL_ENCLAVE_SEAL;
    }
    if (!is_fresh(header, expect)) {
        bytes_wipe(out, header->size);
        return SENTINEL_ENCLAVE_STALE;
    }
    return SENTINEL_OK;
}

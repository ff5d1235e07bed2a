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

static sentinel_status header_make(sentinel_sealed *header, const uint8_t engine_id32[32],
                                   const sealed_place *place, uint64_t size) {
    if (!type_is_known(place->type) || place->number == 0 || size == 0 ||
        size > SENTINEL_SEALED_BYTES_MAX) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    *header = (sentinel_sealed){
        .version = SENTINEL_SEALED_VERSION,
        .type = place->type,
        .size = (uint32_t)size,
        .epoch = place->epoch,
        .number = place->number,
        .head_number = place->head_number,
        .from_record = place->from_record,
    };
    memcpy(header->magic, magic, sizeof header->magic);
    memcpy(header->engine_id32, engine_id32, 32);
    memcpy(header->head_hash32, place->head_hash32, 32);
    return RAND_bytes(header->nonce12, (int)sizeof header->nonce12) == 1 ? SENTINEL_OK
                                                                         : SENTINEL_CRYPTO_FAILED;
}

sentinel_status sealed_make(uint8_t *blob, size_t *blob_size, size_t capacity, const root *secret,
                            const uint8_t engine_id32[32], const sealed_place *place,
                            const void *bytes, size_t size) {
    uint8_t key32[32];
    sentinel_sealed header;
    if (size <= SENTINEL_SEALED_BYTES_MAX && capacity < sealed_bytes(size)) {
        return SENTINEL_USAGE_CAPACITY;
    }
    SENTINEL_TRY(header_make(&header, engine_id32, place, size));
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

static sentinel_status header_check(const sentinel_sealed *header, uint64_t blob_size) {
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
        header->size > SENTINEL_SEALED_BYTES_MAX ||
        (header->type != SENTINEL_SEALED_SNAPSHOT && header->from_record != 0)) {
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

/* ---- Piece by piece ------------------------------------------------------------ */

/* With the header as associated data, and its nonce. */
static sentinel_status stream_begin(sealed_stream *s, const root *secret) {
    uint8_t key32[32];
    int got = 0;
    SENTINEL_TRY(seal_key(key32, secret, &s->header));
    s->context = EVP_CIPHER_CTX_new();
    int done = s->context != NULL &&
               EVP_CipherInit_ex(s->context, EVP_aes_256_gcm(), NULL, key32, s->header.nonce12,
                                 s->is_sealing) == 1 &&
               EVP_CipherUpdate(s->context, NULL, &got, (const uint8_t *)&s->header,
                                (int)sizeof s->header) == 1;
    bytes_wipe(key32, sizeof key32);
    if (!done) {
        sealed_stop(s);
    }
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

sentinel_status sealed_seal_begin(sealed_stream *s, const root *secret,
                                  const uint8_t engine_id32[32], const sealed_place *place,
                                  uint64_t size) {
    *s = (sealed_stream){.is_sealing = 1};
    SENTINEL_TRY(header_make(&s->header, engine_id32, place, size));
    return stream_begin(s, secret);
}

sentinel_status sealed_open_begin(sealed_stream *s, const root *secret,
                                  const uint8_t engine_id32[32], uint16_t type,
                                  const sentinel_sealed *header, uint64_t blob_size) {
    *s = (sealed_stream){.header = *header};
    SENTINEL_TRY(header_check(&s->header, blob_size));
    if (s->header.type != type) {
        return SENTINEL_ENCLAVE_TYPE;
    }
    if (!bytes_equal(s->header.engine_id32, engine_id32, 32)) {
        return SENTINEL_ENCLAVE_FOREIGN;
    }
    return stream_begin(s, secret);
}

sentinel_status sealed_add(sealed_stream *s, uint8_t *out, const uint8_t *bytes, size_t size) {
    int got = 0;
    if (s->context == NULL || size > s->header.size - s->done) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (size != 0 &&
        (EVP_CipherUpdate(s->context, out, &got, bytes, (int)size) != 1 || got != (int)size)) {
        return SENTINEL_CRYPTO_FAILED;
    }
    s->done += size;
    return SENTINEL_OK;
}

sentinel_status sealed_finish(sealed_stream *s, uint8_t tag16[GCM_TAG_BYTES]) {
    uint8_t nothing[GCM_TAG_BYTES];
    int got = 0;
    if (s->context == NULL || s->done != s->header.size) {
        sealed_stop(s);
        return SENTINEL_USAGE_ARGUMENT;
    }
    int done = s->is_sealing ||
               EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_GCM_SET_TAG, GCM_TAG_BYTES, tag16) == 1;
    done = done && EVP_CipherFinal_ex(s->context, nothing, &got) == 1;
    done = done && (!s->is_sealing || EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_GCM_GET_TAG,
                                                          GCM_TAG_BYTES, tag16) == 1);
    sentinel_status wrong = s->is_sealing ? SENTINEL_CRYPTO_FAILED : SENTINEL_ENCLAVE_SEAL;
    sealed_stop(s);
    return done ? SENTINEL_OK : wrong;
}

void sealed_stop(sealed_stream *s) {
    EVP_CIPHER_CTX_free(s->context);
    s->context = NULL;
}

/* Sealed blobs: what the host keeps for the enclave and cannot read.
 *
 *   blob = sentinel_sealed (128 bytes, clear) || ciphertext (size bytes) || tag (16)
 *
 * AES-256-GCM; the whole header is associated data. The key is
 * HKDF-SHA256(root, "sentinel-seal-v1" || 0 || engine id || u64 epoch || u64 type):
 * no blob opens as one of another engine, epoch or type, and a key seals far
 * fewer than the 2^32 blobs that a random nonce is good for. */
#ifndef SENTINEL_SEALED_H
#define SENTINEL_SEALED_H

#include <sentinel/types.h>

#include "gcm.h"
#include "root.h"

#define SENTINEL_SEALED_VERSION 1u
#define SENTINEL_SEALED_BYTES_MAX (UINT32_C(1) << 30) /* of what is sealed */

enum {
    SENTINEL_SEALED_KEYS = 1,     /* the keyring */
    SENTINEL_SEALED_SNAPSHOT = 2, /* the engine's state */
    SENTINEL_SEALED_TYPE_COUNT = 3
};

typedef struct sentinel_sealed {
    char magic[8]; /* "SENTSEAL" */
    uint16_t version;
    uint16_t type; /* SENTINEL_SEALED_* */
    uint32_t size; /* of what is sealed */
    uint8_t engine_id32[32];
    uint64_t epoch;
    uint64_t number;         /* of this type, growing; from 1 */
    uint64_t head_number;    /* records of the log when it was sealed */
    uint8_t head_hash32[32]; /* of the last of them */
    uint8_t nonce12[12];
    uint8_t reserved[4];
    uint64_t from_record; /* SNAPSHOT: the log is needed from this record on; else 0 */
} sentinel_sealed;
SENTINEL_SIZE(sentinel_sealed, 128);
SENTINEL_AT(sentinel_sealed, epoch, 48);
SENTINEL_AT(sentinel_sealed, head_hash32, 72);
SENTINEL_AT(sentinel_sealed, from_record, 120);

/* Where in the engine's life a blob belongs. */
typedef struct sealed_place {
    uint16_t type;
    uint64_t epoch;
    uint64_t number;
    uint64_t head_number;
    uint8_t head_hash32[32];
    uint64_t from_record;
} sealed_place;

/* How much room a blob needs. */
static inline size_t sealed_bytes(size_t size) {
    return sizeof(sentinel_sealed) + size + 16;
}

/* Seals. Returns: OK; USAGE_ARGUMENT; USAGE_CAPACITY; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status sealed_make(uint8_t *blob, size_t *blob_size, size_t capacity,
                                              const root *secret, const uint8_t engine_id32[32],
                                              const sealed_place *place, const void *bytes,
                                              size_t size);

/* What is known better than by the host: an older blob is refused. */
typedef struct sealed_expect {
    uint16_t type;
    uint64_t number_least;     /* 0: any */
    uint64_t confirmed_number; /* records of the head that a witness confirmed; 0: the
       caller replays the records behind the blob's head, and compares their end itself */
    uint8_t confirmed_hash32[32];
} sealed_expect;

/* Opens into `out` (header.size bytes; may not be in the blob) and gives the
 * header. A blob whose head is the confirmed one must have its hash; one whose
 * head is beyond it is newer.
 * Returns: OK; FORMAT_*; ENCLAVE_TYPE; ENCLAVE_FOREIGN; USAGE_CAPACITY; ENCLAVE_SEAL;
 *          ENCLAVE_STALE; in this order. Wiped unless OK. */
SENTINEL_MUST_USE sentinel_status sealed_open(uint8_t *out, size_t capacity,
                                              sentinel_sealed *header, const root *secret,
                                              const uint8_t engine_id32[32],
                                              const sealed_expect *expect, const uint8_t *blob,
                                              size_t blob_size);

/* The same blobs, piece by piece: a state may be large, and orders wait meanwhile.
 * What comes out of an opening is nobody's before sealed_finish says OK. A stream
 * that has begun ends by sealed_finish or sealed_stop. */
typedef struct sealed_stream {
    EVP_CIPHER_CTX *context; /* null: none is open */
    sentinel_sealed header;
    uint64_t done; /* bytes of what is sealed */
    uint8_t is_sealing;
} sealed_stream;

/* size: of all that will be sealed. The header is then in the stream.
 * Returns: OK; USAGE_ARGUMENT; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status sealed_seal_begin(sealed_stream *s, const root *secret,
                                                    const uint8_t engine_id32[32],
                                                    const sealed_place *place, uint64_t size);

/* blob_size: of header, what is sealed, and tag.
 * Returns: OK; FORMAT_*; ENCLAVE_TYPE; ENCLAVE_FOREIGN; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status sealed_open_begin(sealed_stream *s, const root *secret,
                                                    const uint8_t engine_id32[32], uint16_t type,
                                                    const sentinel_sealed *header,
                                                    uint64_t blob_size);

/* out: size bytes; may be `bytes`. Returns: OK; USAGE_ARGUMENT (more than was
 * announced); CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status sealed_add(sealed_stream *s, uint8_t *out, const uint8_t *bytes,
                                             size_t size);

/* Sealing: gives the tag. Opening: judges it. Returns: OK; USAGE_ARGUMENT (less than
 * was announced); CRYPTO_FAILED; ENCLAVE_SEAL. */
SENTINEL_MUST_USE sentinel_status sealed_finish(sealed_stream *s, uint8_t tag16[GCM_TAG_BYTES]);
void sealed_stop(sealed_stream *s);

#endif

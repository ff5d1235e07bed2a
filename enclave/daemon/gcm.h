/* AES-256-GCM over a whole message, HKDF-SHA256 and RSA-OAEP-SHA256, as the
 * enclave's blobs use them. Not for the hot path: OpenSSL allocates here. */
#ifndef SENTINEL_GCM_H
#define SENTINEL_GCM_H

#include <openssl/evp.h>
#include <sentinel/status.h>
#include <stddef.h>
#include <stdint.h>

#define GCM_TAG_BYTES 16u
#define GCM_NONCE_BYTES 12u

typedef struct gcm_place {
    const uint8_t *key32;
    const uint8_t *nonce12;
    const void *beside; /* associated data */
    size_t beside_size;
} gcm_place;

/* out: size bytes; may be `bytes`. Returns: OK; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status gcm_seal(uint8_t *out, uint8_t tag16[GCM_TAG_BYTES],
                                           const gcm_place *place, const void *bytes, size_t size);

/* Nothing is given out, and `out` is wiped, unless the tag is right.
 * Returns: OK; CRYPTO_VERIFY. */
SENTINEL_MUST_USE sentinel_status gcm_open(uint8_t *out, const uint8_t tag16[GCM_TAG_BYTES],
                                           const gcm_place *place, const void *bytes, size_t size);

/* RFC 5869, 32 bytes out. The info is a text, its zero, and then bytes. */
typedef struct hkdf_info {
    const char *label;
    const void *context;
    size_t context_size; /* at most HKDF_CONTEXT_BYTES_MAX */
} hkdf_info;
#define HKDF_CONTEXT_BYTES_MAX 192u
#define HKDF_LABEL_BYTES_MAX 64u
SENTINEL_MUST_USE sentinel_status hkdf_sha256(uint8_t key32[32], const void *secret,
                                              size_t secret_size, const uint8_t salt32[32],
                                              const hkdf_info *info);

/* A fresh RSA-2048 key: the size that KMS is known to encrypt to for a Recipient. */
#define RSA_SPKI_BYTES_MAX 512u
#define RSA_BYTES_MAX 512u
SENTINEL_MUST_USE sentinel_status rsa_make(EVP_PKEY **key);
/* Its public half, DER of a SubjectPublicKeyInfo. */
SENTINEL_MUST_USE sentinel_status rsa_public(uint8_t spki[RSA_SPKI_BYTES_MAX], size_t *size,
                                             EVP_PKEY *key);
/* RSAES-OAEP with SHA-256 for both, and a label. Gives exactly `want` bytes.
 * Returns: OK; CRYPTO_VERIFY, whatever was wrong. */
SENTINEL_MUST_USE sentinel_status rsa_open(uint8_t *out, size_t want, EVP_PKEY *key,
                                           const char *label, const uint8_t *bytes, size_t size);

#endif

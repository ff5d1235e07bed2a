/* The engine's root secret: made here, never seen outside in the clear, and
 * brought back at the next boot by a key-agreement key of KMS.
 *
 * Wrapping. The enclave makes an ECDH key for this once, agrees with KMS's
 * public key, and seals the root under what comes out; it then forgets the
 * private half. KMS alone can agree again: with the public half, and only for
 * whom its key policy allows (DeriveSharedSecret with Recipient). */
#ifndef SENTINEL_ROOT_H
#define SENTINEL_ROOT_H

#include <sentinel/types.h>

#include "nsm.h"

#define SENTINEL_WRAPPED_ROOT_VERSION 1u
#define SENTINEL_KMS_SPKI_BYTES_MAX 160u
#define SENTINEL_SHARED_BYTES_MAX 48u

enum {
    SENTINEL_CURVE_P256 = 1, /* ECC_NIST_P256 */
    SENTINEL_CURVE_P384 = 2, /* ECC_NIST_P384 */
    SENTINEL_CURVE_COUNT = 3
};

/* The root as it lies on the host. Associated data is all before `nonce12`. */
typedef struct sentinel_wrapped_root {
    char magic[8]; /* "SENTROOT" */
    uint16_t version;
    uint16_t curve;
    uint16_t public_key_size;
    uint8_t reserved0[2];
    uint8_t engine_id32[32];
    uint8_t kms_key_hash32[32]; /* SHA-256 of the KMS key's DER SubjectPublicKeyInfo */
    uint8_t commitment32[32];
    uint8_t public_key[SENTINEL_KMS_SPKI_BYTES_MAX]; /* for KMS: DER, then zeros */
    uint8_t nonce12[12];
    uint8_t reserved1[4];
    uint8_t sealed32[32];
    uint8_t tag16[16];
} sentinel_wrapped_root;
SENTINEL_SIZE(sentinel_wrapped_root, 336);
SENTINEL_AT(sentinel_wrapped_root, public_key, 112);
SENTINEL_AT(sentinel_wrapped_root, nonce12, 272);

typedef struct root {
    uint8_t secret32[32];
} root;

/* Locked, guarded memory. Returns: OK; CRYPTO_INIT; KEY_MEMORY. */
SENTINEL_MUST_USE sentinel_status root_new(root **secret);
/* Wipes and releases it. Null is allowed. */
void root_free(root *secret);

/* Makes it: HKDF over 32 bytes of the kernel and 32 of the module, so that
 * neither alone knows it. Returns: OK; ENCLAVE_MODULE; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status root_make(root *secret, nsm *module);

/* SHA-256("sentinel-root-v1" || 0 || root): what the certificate commits to. */
void root_commitment(uint8_t commitment32[32], const root *secret);

/* A key for one use. Returns: OK; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status root_key(uint8_t key32[32], const root *secret, const char *label,
                                           const void *context, size_t context_size);

/* Wraps it to a KMS key. Returns: OK; ENCLAVE_KMS_KEY (no DER of a public key on
 * P-256 or P-384, or not in its one form); CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status root_wrap(sentinel_wrapped_root *wrapped, const root *secret,
                                            const uint8_t engine_id32[32], const uint8_t *kms_spki,
                                            size_t kms_spki_size);

/* The wrapped root's form, and that it is this engine's. Returns: OK; FORMAT_*;
 * ENCLAVE_FOREIGN. */
SENTINEL_MUST_USE sentinel_status root_wrapped_check(const sentinel_wrapped_root *wrapped,
                                                     size_t size, const uint8_t engine_id32[32]);

/* Opens it with the shared secret, and compares it with the certificate's
 * commitment: a root that opened is not yet ours.
 * Returns: OK; ENCLAVE_ANSWER (does not open); ENCLAVE_COMMITMENT. */
SENTINEL_MUST_USE sentinel_status root_unwrap(root *secret, const sentinel_wrapped_root *wrapped,
                                              const uint8_t *shared, size_t shared_size,
                                              const uint8_t commitment32[32]);

#endif

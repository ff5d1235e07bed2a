/* The engine's certificate: k of n operators say which root this engine has,
 * which document they saw it in, and which KMS key may hold it. A signed frame
 * of kind CERTIFICATE (sentinel/frame.h). Nothing opens before one is there. */
#ifndef SENTINEL_CERTIFICATE_H
#define SENTINEL_CERTIFICATE_H

#include <sentinel/frame.h>

#define SENTINEL_CERTIFICATE_VERSION 1u

typedef struct sentinel_certificate {
    uint16_t version;
    uint8_t reserved0[6];
    uint8_t authority_root32[32];     /* as in the document */
    uint8_t attestation_digest32[32]; /* document.digest32 (document.h) */
    uint8_t commitment32[32];         /* of the root */
    uint8_t kms_key_hash32[32];       /* SHA-256 of the KMS key's DER SubjectPublicKeyInfo */
    uint8_t reserved1[24];
} sentinel_certificate;
SENTINEL_SIZE(sentinel_certificate, 160);

/* What an engine is, by what was signed: all of it comes from the host, and
 * stands or falls together. Bytes are aligned to 8. */
typedef struct certificate_papers {
    const void *genesis; /* sentinel_genesis */
    size_t genesis_size;
    const void *authority; /* an authority bundle's frame, signed by the root */
    size_t authority_size;
    const void *certificate; /* a certificate's frame, signed by operators */
    size_t certificate_size;
} certificate_papers;

typedef struct certified {
    sentinel_certificate certificate;
    uint8_t engine_id32[32];
    uint64_t sequence;
    int64_t issued_ns;
    int64_t expires_ns;
    uint8_t environment;
} certified;

/* Verifies all three from the genesis record on. A certificate does not end: its
 * proofs count by the time at which it was issued, and who takes one for the first
 * time looks at expires_ns itself.
 * Returns: OK; FORMAT_*; POLICY_ENGINE; POLICY_ENVIRONMENT; POLICY_SIGNATURE
 * (also for another authority root). */
SENTINEL_MUST_USE sentinel_status certificate_check(certified *out,
                                                    const certificate_papers *papers);

#endif

/* Attestation documents: what this enclave says of itself, signed by Nitro's
 * hypervisor. docs/enclave-keys.md and docs/enclave-attestation.md say who
 * verifies what. */
#ifndef SENTINEL_DOCUMENT_H
#define SENTINEL_DOCUMENT_H

#include <sentinel/frame.h>
#include <sentinel/types.h>

#include "nsm.h"

#define SENTINEL_USER_DATA_VERSION 1u
#define SENTINEL_DOCUMENT_BYTES_MAX NSM_RESPONSE_BYTES_MAX

/* What a document was asked for; one made for one purpose is refused for another. */
enum {
    SENTINEL_DOCUMENT_BOOT = 1,    /* for KMS: the root is to come back */
    SENTINEL_DOCUMENT_SESSION = 2, /* for those who connect */
    SENTINEL_DOCUMENT_IMPORT = 3,  /* for those who seal a key to this enclave */
    SENTINEL_DOCUMENT_GENESIS = 4, /* for operators, who sign a certificate */
    SENTINEL_DOCUMENT_LOG = 5,     /* named by a CLOCK record, and so by receipts */
    SENTINEL_DOCUMENT_PURPOSE_COUNT = 6
};

/* user_data of a document. Hashes are SHA-256, over the DER SubjectPublicKeyInfo
 * of session and import key, over the raw 32 bytes of the receipt key; zero: there
 * is none. */
typedef struct sentinel_user_data {
    uint32_t version;
    uint32_t purpose; /* SENTINEL_DOCUMENT_* */
    uint8_t engine_id32[32];
    uint64_t epoch;
    uint64_t head_number; /* records of the log */
    uint8_t head_hash32[32];
    uint8_t receipt_key_hash32[32];
    uint8_t session_key_hash32[32];
    uint8_t import_key_hash32[32]; /* of the document's own public_key */
    uint8_t authority_root32[32];  /* document_authority_root */
    /* root_commitment (root.h) of the root in use; zero: none yet. Without it here
     * a host could have operators certify a root of the host's own making. */
    uint8_t root_commitment32[32];
    uint8_t reserved[8];
} sentinel_user_data;
SENTINEL_SIZE(sentinel_user_data, 256);
SENTINEL_AT(sentinel_user_data, engine_id32, 8);
SENTINEL_AT(sentinel_user_data, head_hash32, 56);
SENTINEL_AT(sentinel_user_data, import_key_hash32, 152);
SENTINEL_AT(sentinel_user_data, root_commitment32, 216);

typedef struct document {
    size_t size;
    uint64_t time_ms; /* by the hypervisor's clock, Unix time */
    /* What operators sign for: SHA-256 of what the module states of this enclave,
     *   "sentinel-statement-v1" || 0 || u64 time_ms || u32 size, module id ||
     *   u8 count || count x { u8 index, 48 bytes }, ascending ||
     *   u32 size, user_data || u32 size, nonce || u32 size, public key
     * Not of the document: its ECDSA signature has a second form, and its chain of
     * certificates is no part of what is stated. */
    uint8_t digest32[32];
    uint8_t bytes[SENTINEL_DOCUMENT_BYTES_MAX];
} document;

/* SHA-256("sentinel-authority-root-v1" || 0 || k || n || n keys), of a checked
 * genesis record. */
void document_authority_root(uint8_t root32[32], const sentinel_genesis *genesis);

/* Asks the module for a document that says this, to this nonce; spki: the import
 * key. Returns: OK; ENCLAVE_MODULE (also where it says something else). */
SENTINEL_MUST_USE sentinel_status document_make(document *out, nsm *module,
                                                const sentinel_user_data *data,
                                                const uint8_t nonce32[32], const uint8_t *spki,
                                                size_t spki_size);

/* Digest and time of a document, as a module gave it. Returns: OK; ENCLAVE_MODULE. */
SENTINEL_MUST_USE sentinel_status document_read(document *out, const nsm_statement *said);

#endif

/* A key that comes from outside: sealed to the import key of a document, and
 * signed by k of n operators, who so say which key may get in. A signed frame of
 * kind IMPORT (sentinel/frame.h). */
#ifndef SENTINEL_IMPORT_H
#define SENTINEL_IMPORT_H

#include <openssl/evp.h>
#include <sentinel/frame.h>
#include <sentinel/sign.h>

#define SENTINEL_IMPORT_VERSION 1u
#define SENTINEL_IMPORT_LABEL "sentinel-import-v1" /* of RSAES-OAEP */
#define SENTINEL_IMPORT_WRAPPED_BYTES_MAX 512u

/* What is inside. One size for all: it says nothing of the secret. */
typedef struct sentinel_import_secret {
    uint32_t secret_size;
    uint32_t passphrase_size;
    uint8_t secret[SENTINEL_SECRET_BYTES_MAX];          /* then zeros */
    char passphrase[SENTINEL_API_PASSPHRASE_BYTES_MAX]; /* OKX; then zeros */
} sentinel_import_secret;
SENTINEL_SIZE(sentinel_import_secret, 200);

/* `sealed` is AES-256-GCM; associated data: the engine's id, then all before
 * `nonce12`. `wrapped` is its key, RSAES-OAEP-SHA256 to the import key. */
typedef struct sentinel_import {
    uint16_t version;
    uint16_t wrapped_size;
    uint8_t reserved0[4];
    uint8_t attestation_digest32[32]; /* digest32 of the document that vouches */
    sentinel_key_info info; /* purpose, account (api_key) and id; what comes out must be this */
    uint8_t nonce12[12];
    uint8_t reserved1[4];
    uint8_t tag16[16];
    uint8_t sealed[sizeof(sentinel_import_secret)];
    uint8_t wrapped[SENTINEL_IMPORT_WRAPPED_BYTES_MAX]; /* then zeros */
} sentinel_import;
SENTINEL_SIZE(sentinel_import, 1000);
SENTINEL_AT(sentinel_import, info, 40);
SENTINEL_AT(sentinel_import, nonce12, 256);
SENTINEL_AT(sentinel_import, wrapped, 488);

/* Who may have signed it, and when it is. */
typedef struct import_judge {
    const uint8_t *authority; /* the payload of the authority bundle in force */
    size_t authority_size;
    uint8_t engine_id32[32];
    uint8_t environment;
    int64_t now_ns;
} import_judge;

/* Form, engine, time and proofs of a frame; opens nothing.
 * Returns: OK; FORMAT_*; POLICY_ENGINE, _ENVIRONMENT, _EXPIRED, _SIGNATURE. */
SENTINEL_MUST_USE sentinel_status import_check(sentinel_import *out, const void *frame, size_t size,
                                               const import_judge *judge);

/* Opens one that was checked into the keyring.
 * Returns: OK; ENCLAVE_IMPORT, whatever was wrong inside; KEY_EXISTS; KEY_FULL;
 *          KEY_WIPED; KEY_MEMORY. */
SENTINEL_MUST_USE sentinel_status import_open(sentinel_keyring *ring, const sentinel_import *in,
                                              EVP_PKEY *key, const import_judge *judge);

#endif

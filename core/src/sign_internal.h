/* Key slots and the backends behind sign.h. Only sign*.c may include this. */
#ifndef SENTINEL_SIGN_INTERNAL_H
#define SENTINEL_SIGN_INTERNAL_H

#include <secp256k1.h>
#include <secp256k1_extrakeys.h>
#include <sentinel/sign.h>

#include "bytes.h"
#include "check.h"
#include "hash.h"

/* A fact that was computed from a secret and is public by design: whether a
 * scalar is in range, a public key. The constant-time check is told so; in
 * every other build this is nothing. */
#ifdef SENTINEL_CTIME
#include <valgrind/memcheck.h>
#define SIGN_DECLASSIFY(memory, size) ((void)VALGRIND_MAKE_MEM_DEFINED(memory, size))
#else
#define SIGN_DECLASSIFY(memory, size) ((void)0)
#endif

/* HMAC-SHA256 after its key: both pads are hashed already (RFC 2104 section 4). */
typedef struct sign_mac {
    hash_chain inner;
    hash_chain outer;
} sign_mac;

/* An Ed25519 key, expanded from its seed (RFC 8032 section 5.1.5). */
typedef struct sign_ed25519_key {
    uint8_t scalar32[32]; /* modulo the order */
    uint8_t prefix32[32]; /* what a nonce is hashed from, beside the message */
} sign_ed25519_key;

/* Nonces made ahead of time (sign_nonces.h). */
typedef struct sign_pool sign_pool;

/* Salts made for the record that comes next. */
typedef struct sign_ahead {
    uint64_t made; /* SIGN_LIVE: the rest is */
    uint64_t epoch;
    uint64_t record;
    uint8_t salts[SENTINEL_SALTS_BYTES];
} sign_ahead;

typedef struct sign_slot {
    sentinel_key_info info;
    uint64_t uses;
    uint32_t secret_size;
    uint32_t passphrase_size;
    char passphrase[SENTINEL_API_PASSPHRASE_BYTES_MAX]; /* unused bytes are zero */
    uint8_t secret[SENTINEL_SECRET_BYTES_MAX];          /* as imported; unused bytes are zero */
    sign_ed25519_key ed25519;
    secp256k1_keypair keypair; /* BIP340 */
    union {
        sign_mac mac;           /* HMAC_SHA256: the key */
        uint8_t salt_key32[32]; /* RECEIPT: what records are salted with */
    };
    sign_ahead ahead; /* RECEIPT */
    sign_pool *pool;  /* null: signatures are deterministic */
} sign_slot;

/* The whole keyring is one mapping: locked, undumpable, wiped on fork. */
struct sentinel_keyring {
    uint64_t live; /* SIGN_LIVE; a wiped page reads as zero */
    uint32_t count;
    uint32_t ids[SENTINEL_KEYRING_KEYS_MAX]; /* of the slots, packed for the search */
    secp256k1_context *secp256k1;            /* in the bytes behind this struct */
    sign_slot slots[SENTINEL_KEYRING_KEYS_MAX];
};

#define SIGN_LIVE UINT64_C(0x53454e544b455953)

/* The slot of a key; null when there is none. */
static inline const sign_slot *sign_slot_find(const sentinel_keyring *ring, uint32_t id) {
    for (uint32_t i = 0; i < ring->count; i++) {
        if (ring->ids[i] == id) {
            return &ring->slots[i];
        }
    }
    return NULL;
}

static inline int sign_is_live(const sentinel_keyring *ring) {
    return ring->live == SIGN_LIVE;
}

/* A key that signs frames, heads or receipts, and nothing that others chose. */
static inline int sign_is_for_frames(const sign_slot *slot) {
    return slot->info.purpose == SENTINEL_PURPOSE_RECEIPT ||
           slot->info.purpose == SENTINEL_PURPOSE_AUTHORITY;
}

/* Whole pages of locked memory, zeroed; sodium_free wipes and releases them.
 * Returns: OK; IO_MEMORY; KEY_MEMORY. */
SENTINEL_MUST_USE sentinel_status sign_memory_new(void **memory, size_t size);

/* Backends. expand: derives what signing needs, and the public key, from
 * slot->secret; the caller wipes the slot unless OK. The others: 1 is success. */
SENTINEL_MUST_USE sentinel_status sign_ed25519_expand(sign_slot *slot);
SENTINEL_MUST_USE int sign_ed25519(uint8_t sig64[64], const sign_slot *slot, const uint8_t *bytes,
                                   size_t size);
SENTINEL_MUST_USE int sign_ed25519_verify(const uint8_t public_key32[32], const uint8_t sig64[64],
                                          const uint8_t *bytes, size_t size);

size_t sign_secp256k1_context_bytes(void);
SENTINEL_MUST_USE secp256k1_context *sign_secp256k1_context(void *memory);
SENTINEL_MUST_USE sentinel_status sign_secp256k1_expand(const secp256k1_context *context,
                                                        sign_slot *slot);
SENTINEL_MUST_USE int sign_ecdsa(const secp256k1_context *context, sentinel_signature *signature,
                                 const sign_slot *slot, const uint8_t digest32[32]);
SENTINEL_MUST_USE int sign_ecdsa_verify(const uint8_t public_key33[33],
                                        const sentinel_signature *signature,
                                        const uint8_t digest32[32]);
SENTINEL_MUST_USE int sign_bip340(const secp256k1_context *context, uint8_t sig64[64],
                                  const sign_slot *slot, const uint8_t digest32[32]);
SENTINEL_MUST_USE int sign_bip340_verify(const uint8_t public_key32[32], const uint8_t sig64[64],
                                         const uint8_t digest32[32]);

void sign_hmac_key(sign_mac *mac, const uint8_t *secret, size_t size);
void sign_hmac(uint8_t mac32[32], const sign_mac *mac, const void *bytes, size_t size);

#endif

/* The pool of precomputed nonces of one key. Only sign*.c may include this. */
#ifndef SENTINEL_SIGN_NONCES_H
#define SENTINEL_SIGN_NONCES_H

#include <sentinel/nonces.h>

#include "sign_internal.h"

/* One nonce, and what it needs for its signature:
 *   Ed25519  scalar r/a                    shown R = rB
 *   ECDSA    scalar k^-1, product k^-1 r d  shown r = x(kG) mod n, recovery_id
 *   BIP340   scalar k, of even y(kG)       shown x(kG)
 * The scalars are secret for ever, `shown` until its message is fixed. */
typedef struct sign_nonce {
    uint64_t ready; /* its place in the sequence, from 1, once the rest is written; else 0 */
    uint8_t recovery_id;
    uint8_t reserved[23];
    uint8_t scalar32[32];
    uint8_t shown32[32];
    uint8_t product32[32];
} sign_nonce;
_Static_assert(sizeof(sign_nonce) == SENTINEL_NONCE_BYTES, "two cache lines");

/* Whole pages of their own: see sign_memory_new. */
struct sign_pool {
    uint64_t live; /* SIGN_LIVE; a wiped page reads as zero */
    uint32_t capacity;
    uint8_t algorithm;
    uint8_t reserved[3];
    const secp256k1_context *secp256k1; /* the keyring's */
    uint8_t secret32[32];               /* as imported: hedges what is drawn */
    uint64_t origin[5]; /* key, algorithm, process, both clocks: tells pools of one secret apart */
    uint8_t scalar32[32];  /* Ed25519: a mod L. ECDSA: d. BIP340: d of the point with even y */
    uint8_t inverse32[32]; /* Ed25519: of a, modulo L */
    uint8_t public32[32];  /* Ed25519, BIP340 */
    hash_chain challenge;  /* BIP340: after its tag */

    /* Those who sign. */
    _Alignas(64) uint64_t next; /* the place before the next nonce */
    uint64_t used;
    uint64_t burnt;
    uint64_t missed;

    /* The one who fills. */
    _Alignas(64) uint64_t made; /* the place of the last nonce */
    uint64_t drawn;
    uint32_t filling; /* 1: somebody is */
    uint8_t fresh[SENTINEL_NONCES_BATCH][32];
    uint8_t drafts[SENTINEL_NONCES_BATCH][32]; /* ECDSA: k of the batch */
    uint8_t chain[SENTINEL_NONCES_BATCH][32];  /* ECDSA: their products up to each */

    _Alignas(64) sign_nonce nonces[];
};

/* What the algorithms add. prepare: the pool's part of the key. fill: `count`
 * nonces into `made`, without their places. with: the signature; the nonce is
 * whoever called's to erase. 1 is success. */
SENTINEL_MUST_USE int sign_nonces_ed25519_prepare(sign_pool *pool, const sign_slot *slot);
SENTINEL_MUST_USE int sign_nonces_ed25519_fill(sign_pool *pool, sign_nonce *const made[],
                                               uint32_t count);
SENTINEL_MUST_USE int sign_ed25519_with(uint8_t sig64[64], const sign_pool *pool,
                                        const sign_nonce *nonce, const uint8_t *bytes, size_t size);

SENTINEL_MUST_USE int sign_nonces_secp256k1_prepare(sign_pool *pool, const sign_slot *slot);
SENTINEL_MUST_USE int sign_nonces_secp256k1_fill(sign_pool *pool, sign_nonce *const made[],
                                                 uint32_t count);
SENTINEL_MUST_USE int sign_ecdsa_with(sentinel_signature *signature, const sign_pool *pool,
                                      const sign_nonce *nonce, const uint8_t digest32[32]);
SENTINEL_MUST_USE int sign_bip340_with(uint8_t sig64[64], const sign_pool *pool,
                                       const sign_nonce *nonce, const uint8_t digest32[32]);

/* A candidate: SHA-512("sentinel-nonce-v1" || 0x00 || fresh32 || secret32 ||
 * 5 x u64 origin || u64 count). Hedged: it stays unknown while either the
 * machine's randomness or the key is. */
void sign_nonces_draw(uint8_t draw64[64], sign_pool *pool, const uint8_t fresh32[32]);

/* A signature with the pool's next nonce. 0: there is none, or it was burnt. */
SENTINEL_MUST_USE int sign_with_nonce(sentinel_signature *signature, sign_pool *pool,
                                      const uint8_t *bytes, size_t size);

/* Wipes and releases. Null is allowed. */
void sign_pool_free(sign_pool *pool);

#endif

/* Precomputed nonces. What is slow in a signature is the nonce point, and that
 * does not depend on the message: a pool of them, filled beside the hot path,
 * leaves a hash and two multiplications modulo the group order to signing.
 *
 * A nonce that is used twice gives the key away. So: a pool lives in locked
 * memory that is left out of core dumps and reads as empty in a forked child;
 * a nonce is taken by one compare-and-swap, copied and erased in the pool
 * before anything that can fail; it never goes back; the copy is erased before
 * the signature is released. Whatever fails, and an empty pool, falls back to
 * the deterministic signature and is counted. docs/3-sign.md argues for it, and
 * names what it does not close: a machine that is copied while it runs. */
#ifndef SENTINEL_NONCES_H
#define SENTINEL_NONCES_H

#include <sentinel/sign.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_NONCES_MIN 64u
#define SENTINEL_NONCES_MAX (UINT32_C(1) << 20)
#define SENTINEL_NONCES_BATCH 64u /* filled at once; inverses cost one inversion a batch */
#define SENTINEL_NONCE_BYTES 128u /* of locked memory for each */

typedef struct sentinel_nonces {
    uint32_t capacity;
    uint32_t ready;
    uint64_t made; /* ever put into the pool */
    uint64_t used; /* of them, how many signed */
    uint64_t burnt; /* claimed, and then not good for the message */
    uint64_t missed; /* signatures that found the pool empty */
} sentinel_nonces;
SENTINEL_SIZE(sentinel_nonces, 40);

/* Gives a key an empty pool; from then on sentinel_sign and _sign_digest take
 * from it. Whoever calls this accepts the risk of a copied machine; an engine
 * records that it did. Keys of purpose RECEIPT and AUTHORITY, and HMAC keys, have none
 * (KEY_PURPOSE). capacity: a power of two from 64 to 2^20.
 * Returns:  OK; KEY_UNKNOWN; KEY_PURPOSE; KEY_WIPED; USAGE_ARGUMENT;
 *           USAGE_STATE (it has one); IO_MEMORY; KEY_MEMORY (RLIMIT_MEMLOCK).
 * Threads:  as every call on a keyring, in turns with all others. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_nonces_start(sentinel_keyring *ring, uint32_t key, uint32_t capacity);

/* Wipes and releases a key's pool. A key without one is left alone. */
SENTINEL_API void
sentinel_nonces_stop(sentinel_keyring *ring, uint32_t key);

/* Adds up to one batch where there is room. made: how many; 0 when the pool is
 * more than half full and has no room for a batch, or another thread fills it.
 * Returns:  OK; KEY_UNKNOWN; KEY_WIPED; USAGE_STATE (no pool); CRYPTO_FAILED.
 * Threads:  beside signing; not beside a call that changes keys or pools. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_nonces_fill(sentinel_keyring *ring, uint32_t key, uint32_t *made);

/* The pool's figures. Returns: OK; KEY_UNKNOWN; KEY_WIPED; USAGE_STATE. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_nonces_read(const sentinel_keyring *ring, uint32_t key, sentinel_nonces *nonces);

#ifdef __cplusplus
}
#endif
#endif

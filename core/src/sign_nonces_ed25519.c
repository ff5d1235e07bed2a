/* Ed25519 with a nonce made before: s = r + H(R || A || M) a (RFC 8032 section
 * 5.1.6, with r random instead of hashed from the message). */
#include "sign_nonces.h"

int sign_nonces_ed25519_prepare(sign_pool *pool, const sign_slot *slot) {
    uint8_t hash64[64];
    uint8_t wide64[64] = {0};
    (void)crypto_hash_sha512(hash64, slot->secret, 32); /* RFC 8032 section 5.1.5 */
    hash64[0] &= 248;
    hash64[31] &= 127;
    hash64[31] |= 64;
    memcpy(wide64, hash64, 32);
    crypto_core_ed25519_scalar_reduce(pool->scalar32, wide64);
    memcpy(pool->public32, slot->info.public_key, 32);
    bytes_wipe(hash64, sizeof hash64);
    bytes_wipe(wide64, sizeof wide64);
    return 1;
}

/* 512 bits modulo the order: even to 2^-259, so nothing is rejected. */
int sign_nonces_ed25519_fill(sign_pool *pool, sign_nonce *const made[], uint32_t count) {
    uint8_t draw64[64];
    int filled = 1;
    for (uint32_t i = 0; i < count; i++) {
        sign_nonces_draw(draw64, pool, pool->fresh[i]);
        crypto_core_ed25519_scalar_reduce(made[i]->scalar32, draw64);
        int is_point =
            crypto_scalarmult_ed25519_base_noclamp(made[i]->shown32, made[i]->scalar32) == 0;
        SIGN_DECLASSIFY(&is_point, sizeof is_point); /* 0 for r = 0 alone, which has no signature */
        filled &= is_point;
    }
    bytes_wipe(draw64, sizeof draw64);
    return filled;
}

int sign_ed25519_with(uint8_t sig64[64], const sign_pool *pool, const sign_nonce *nonce,
                      const uint8_t *bytes, size_t size) {
    uint8_t hash64[64];
    uint8_t product32[32];
    memcpy(sig64, nonce->shown32, 32);
    SIGN_DECLASSIFY(sig64, 32);
    hash_sha512(hash64, sig64, pool->public32, bytes, size);
    crypto_core_ed25519_scalar_reduce(product32, hash64);
    crypto_core_ed25519_scalar_mul(product32, product32, pool->scalar32);
    crypto_core_ed25519_scalar_add(sig64 + 32, product32, nonce->scalar32);
    bytes_wipe(product32, sizeof product32);
    return 1;
}

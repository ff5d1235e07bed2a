/* Ed25519 with a nonce made before: s = r + H(R || A || M) a (RFC 8032 section
 * 5.1.6, with r random instead of hashed from the message).
 *
 * Kept is r/a instead of r, for s = (r/a + H) a: a sum that need not be reduced
 * before it is multiplied saves one of three reductions on the way of an order. */
#include "sign_nonces.h"
#include "wide.h"

int sign_nonces_ed25519_prepare(sign_pool *pool, const sign_slot *slot) {
    memcpy(pool->scalar32, slot->ed25519.scalar32, 32);
    int has_inverse = crypto_core_ed25519_scalar_invert(pool->inverse32, pool->scalar32) == 0;
    SIGN_DECLASSIFY(&has_inverse, sizeof has_inverse); /* 0 for a = 0 mod L alone: no key */
    memcpy(pool->public32, slot->info.public_key, 32);
    return has_inverse;
}

/* 512 bits modulo the order: even to 2^-259, so nothing is rejected. */
int sign_nonces_ed25519_fill(sign_pool *pool, sign_nonce *const made[], uint32_t count) {
    uint8_t draw64[64];
    uint8_t r32[32];
    int filled = 1;
    for (uint32_t i = 0; i < count; i++) {
        sign_nonces_draw(draw64, pool, pool->fresh[i]);
        crypto_core_ed25519_scalar_reduce(r32, draw64);
        int is_point = crypto_scalarmult_ed25519_base_noclamp(made[i]->shown32, r32) == 0;
        SIGN_DECLASSIFY(&is_point, sizeof is_point); /* 0 for r = 0 alone, which has no signature */
        crypto_core_ed25519_scalar_mul(made[i]->scalar32, r32, pool->inverse32);
        filled &= is_point;
    }
    bytes_wipe(draw64, sizeof draw64);
    bytes_wipe(r32, sizeof r32);
    return filled;
}

/* Both are below 2^253. Words, where sodium_add goes byte by byte. */
static void add(uint8_t sum32[32], const uint8_t other32[32]) {
    uint64_t sum[4], other[4];
    uint64_t carry = 0;
    memcpy(sum, sum32, sizeof sum);
    memcpy(other, other32, sizeof other);
    for (unsigned i = 0; i < 4; i++) {
        const wide_u128 word = (wide_u128)sum[i] + other[i] + carry;
        sum[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
    memcpy(sum32, sum, sizeof sum);
    bytes_wipe(sum, sizeof sum);
    bytes_wipe(other, sizeof other);
}

int sign_ed25519_with(uint8_t sig64[64], const sign_pool *pool, const sign_nonce *nonce,
                      const uint8_t *bytes, size_t size) {
    uint8_t hash64[64];
    uint8_t sum32[32];
    memcpy(sig64, nonce->shown32, 32);
    SIGN_DECLASSIFY(sig64, 32);
    memcpy(sig64 + 32, pool->public32, 32);
    hash_sha512(hash64, sig64, 64, bytes, size);
    crypto_core_ed25519_scalar_reduce(sum32, hash64);
    add(sum32, nonce->scalar32);
    crypto_core_ed25519_scalar_mul(sig64 + 32, sum32, pool->scalar32);
    bytes_wipe(sum32, sizeof sum32);
    return 1;
}

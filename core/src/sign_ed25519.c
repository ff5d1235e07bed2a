/* Ed25519 (RFC 8032), by libsodium. */
#include "sign_internal.h"

/* Below the caller's frame, where the libraries worked. sign_erase_test finds a nonce
 * where nothing is zeroed. */
#define STACK_BYTES 2048u

_Static_assert(crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_SEEDBYTES == 32, "Ed25519 sizes");

sentinel_status sign_ed25519_expand(sign_slot *slot) {
    if (slot->secret_size != crypto_sign_SEEDBYTES) {
        return SENTINEL_KEY_INVALID;
    }
    /* Every seed is valid: it is hashed and clamped (RFC 8032 section 5.1.5). */
    uint8_t pair64[crypto_sign_SECRETKEYBYTES], hash64[64] = {0}, wide64[64] = {0};
    const int made = crypto_sign_seed_keypair(slot->info.public_key, pair64, slot->secret) == 0 &&
                     crypto_hash_sha512(hash64, slot->secret, 32) == 0;
    hash64[0] &= 248;
    hash64[31] &= 127;
    hash64[31] |= 64;
    memcpy(wide64, hash64, 32);
    crypto_core_ed25519_scalar_reduce(slot->ed25519.scalar32, wide64);
    memcpy(slot->ed25519.prefix32, hash64 + 32, 32);
    bytes_wipe(pair64, sizeof pair64);
    bytes_wipe(hash64, sizeof hash64);
    bytes_wipe(wide64, sizeof wide64);
    slot->info.public_key_size = crypto_sign_PUBLICKEYBYTES;
    return made ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

/* RFC 8032 section 5.1.6 by its parts. crypto_sign_detached would hash the seed
 * each time, and its SHA-512 takes nearly twice as long as OpenSSL's.
 *
 * The public key is the slot's, so that none comes from a caller: two signatures
 * over one nonce under different public keys reveal the secret. */
int sign_ed25519(uint8_t sig64[64], const sign_slot *slot, const uint8_t *bytes, size_t size) {
    const sign_ed25519_key *key = &slot->ed25519;
    uint8_t hash64[64], nonce32[32], product32[32];
    hash_sha512(hash64, key->prefix32, sizeof key->prefix32, bytes, size);
    crypto_core_ed25519_scalar_reduce(nonce32, hash64);
    int made = crypto_scalarmult_ed25519_base_noclamp(sig64, nonce32) == 0;
    SIGN_DECLASSIFY(&made, sizeof made); /* 0 for a nonce of 0 alone */
    SIGN_DECLASSIFY(sig64, 32);
    memcpy(sig64 + 32, slot->info.public_key, 32);
    hash_sha512(hash64, sig64, 64, bytes, size);
    crypto_core_ed25519_scalar_reduce(product32, hash64);
    crypto_core_ed25519_scalar_mul(product32, product32, key->scalar32);
    crypto_core_ed25519_scalar_add(sig64 + 32, product32, nonce32);
    bytes_wipe(hash64, sizeof hash64);
    bytes_wipe(nonce32, sizeof nonce32);
    bytes_wipe(product32, sizeof product32);
    sodium_stackzero(STACK_BYTES);
    return made;
}

/* libsodium refuses s not below the order, keys and R of small order, and keys
 * that are not canonical. */
int sign_ed25519_verify(const uint8_t public_key32[32], const uint8_t sig64[64],
                        const uint8_t *bytes, size_t size) {
    return crypto_sign_verify_detached(sig64, bytes, size, public_key32) == 0;
}

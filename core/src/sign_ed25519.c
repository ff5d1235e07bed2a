/* Ed25519 (RFC 8032), by libsodium. */
#include "sign_internal.h"

_Static_assert(crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_SEEDBYTES == 32, "Ed25519 sizes");

sentinel_status sign_ed25519_expand(sign_slot *slot) {
    if (slot->secret_size != crypto_sign_SEEDBYTES) {
        return SENTINEL_KEY_INVALID;
    }
    /* Every seed is valid: it is hashed and clamped (RFC 8032 section 5.1.5). */
    if (crypto_sign_seed_keypair(slot->info.public_key, slot->ed25519, slot->secret) != 0) {
        return SENTINEL_CRYPTO_FAILED;
    }
    slot->info.public_key_size = crypto_sign_PUBLICKEYBYTES;
    return SENTINEL_OK;
}

/* The stored form ends in the public key, so that none comes from a caller: two
 * signatures over one nonce under different public keys reveal the secret. */
int sign_ed25519(uint8_t sig64[64], const sign_slot *slot, const uint8_t *bytes, size_t size) {
    return crypto_sign_detached(sig64, NULL, bytes, size, slot->ed25519) == 0;
}

/* libsodium refuses s not below the order, keys and R of small order, and keys
 * that are not canonical. */
int sign_ed25519_verify(const uint8_t public_key32[32], const uint8_t sig64[64],
                        const uint8_t *bytes, size_t size) {
    return crypto_sign_verify_detached(sig64, bytes, size, public_key32) == 0;
}

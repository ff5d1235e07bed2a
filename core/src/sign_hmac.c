/* HMAC-SHA256 (RFC 2104, RFC 4231). */
#include "sign_internal.h"

void sign_hmac_key(sign_mac *mac, const uint8_t *secret, size_t size) {
    uint8_t pad[SHA256_CBLOCK] = {0};
    if (size > sizeof pad) { /* RFC 2104 section 3: a long key is hashed first */
        hash_bytes(pad, secret, size);
    } else {
        memcpy(pad, secret, size);
    }
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36;
    }
    mac->inner = hash_first;
    hash_blocks(&mac->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    mac->outer = hash_first;
    hash_blocks(&mac->outer, pad, sizeof pad);
    bytes_wipe(pad, sizeof pad);
}

void sign_hmac(uint8_t mac32[32], const sign_mac *mac, const void *bytes, size_t size) {
    uint8_t digest32[32]; /* what a forger lacks: the caller's bytes may be anywhere */
    hash_rest(digest32, &mac->inner, SHA256_CBLOCK, bytes, size);
    hash_rest(mac32, &mac->outer, SHA256_CBLOCK, digest32, sizeof digest32);
    bytes_wipe(digest32, sizeof digest32);
}

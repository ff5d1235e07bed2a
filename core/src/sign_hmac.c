/* HMAC-SHA256 (RFC 2104, RFC 4231). */
#include "sign_internal.h"

void sign_hmac_key(sign_mac *mac, const uint8_t *secret, size_t size) {
    uint8_t pad[SHA256_CBLOCK] = {0};
    hash_init(&mac->inner);
    if (size > sizeof pad) { /* RFC 2104 section 3: a long key is hashed first */
        hash_add(&mac->inner, secret, size);
        hash_final(&mac->inner, pad);
        hash_init(&mac->inner);
    } else {
        memcpy(pad, secret, size);
    }
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36;
    }
    hash_add(&mac->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    hash_init(&mac->outer);
    hash_add(&mac->outer, pad, sizeof pad);
    bytes_wipe(pad, sizeof pad);
}

void sign_hmac(uint8_t mac32[32], const sign_mac *mac, const void *bytes, size_t size) {
    hash_sha256 hash = mac->inner;
    hash_add(&hash, bytes, size);
    hash_final(&hash, mac32);
    hash = mac->outer;
    hash_add(&hash, mac32, 32);
    hash_final(&hash, mac32);
    bytes_wipe(&hash, sizeof hash);
}

/* SHA-256 without an allocation. OpenSSL's own low-level calls use the SHA
 * extensions of the processor; its EVP interface allocates at each use, and
 * libsodium's SHA-256 does not use the extensions. */
#ifndef SENTINEL_HASH_H
#define SENTINEL_HASH_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef SHA256_CTX hash_sha256;

static inline void hash_init(hash_sha256 *hash) {
    (void)SHA256_Init(hash);
}

static inline void hash_add(hash_sha256 *hash, const void *bytes, size_t size) {
    (void)SHA256_Update(hash, bytes, size);
}

static inline void hash_final(hash_sha256 *hash, uint8_t digest32[32]) {
    (void)SHA256_Final(digest32, hash);
}

/* Adds the text and its terminating zero: "sentinel-part-v1" || 0x00. */
static inline void hash_add_prefix(hash_sha256 *hash, const char *prefix) {
    hash_add(hash, prefix, strlen(prefix) + 1);
}

static inline void hash_bytes(uint8_t digest32[32], const void *bytes, size_t size) {
    hash_sha256 hash;
    hash_init(&hash);
    hash_add(&hash, bytes, size);
    hash_final(&hash, digest32);
}

/* SHA-512 of three parts, one behind the other. */
static inline void hash_sha512_3(uint8_t digest64[64], const void *a, size_t a_size, const void *b,
                                 size_t b_size, const void *c, size_t c_size) {
    SHA512_CTX hash;
    (void)SHA512_Init(&hash);
    (void)SHA512_Update(&hash, a, a_size);
    (void)SHA512_Update(&hash, b, b_size);
    (void)SHA512_Update(&hash, c, c_size);
    (void)SHA512_Final(digest64, &hash);
}

#endif

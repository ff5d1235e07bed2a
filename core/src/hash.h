/* SHA-256 without an allocation and without a set-up. OpenSSL's block functions
 * use the SHA extensions of the processor (libsodium's do not); what stands
 * around them there (set-up, padding, a wipe of all of its context) costs a
 * third of a short hash, and is done here instead. Constant time in the bytes,
 * and nothing of them is left in memory; variable in their number. */
#ifndef SENTINEL_HASH_H
#define SENTINEL_HASH_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* SHA-256 between two blocks. */
typedef struct hash_chain {
    uint32_t h[8];
} hash_chain;

extern const hash_chain hash_first; /* before the first block */

/* The next blocks of a chain: size is a multiple of 64, and not 0. */
void hash_blocks(hash_chain *chain, const void *bytes, size_t size);

/* The digest of all that was hashed so far (before: how much, a multiple of 64)
 * and of these bytes, which are the last. */
void hash_rest(uint8_t digest32[32], const hash_chain *chain, uint64_t before, const void *bytes,
               size_t size);

static inline void hash_bytes(uint8_t digest32[32], const void *bytes, size_t size) {
    hash_rest(digest32, &hash_first, 0, bytes, size);
}

/* The same in parts. hash_final leaves nothing of them behind. */
typedef struct hash_sha256 {
    hash_chain chain;
    uint64_t size; /* so far; what is beyond whole blocks stands in `block` */
    uint8_t block[SHA256_CBLOCK];
} hash_sha256;

static inline void hash_init(hash_sha256 *hash) {
    hash->chain = hash_first;
    hash->size = 0;
}

void hash_add(hash_sha256 *hash, const void *bytes, size_t size);
void hash_final(hash_sha256 *hash, uint8_t digest32[32]);

/* Adds the text and its terminating zero: "sentinel-part-v1" || 0x00. */
static inline void hash_add_prefix(hash_sha256 *hash, const char *prefix) {
    hash_add(hash, prefix, strlen(prefix) + 1);
}

/* What is hashed: two parts, one behind the other; either may be empty. */
typedef struct hash_message {
    const void *part[2];
    size_t size[2];
    hash_chain *chain; /* that it goes on with; null: it begins */
    uint64_t before;   /* bytes of that chain, whole blocks */
    int is_open;       /* 1: only whole blocks, which go into the chain; there is no digest */
    uint32_t after;    /* bits: those before it in the call that it is made of, or goes on from */
    uint8_t *to;       /* where the digest goes; null: to its place among the digests */
} hash_message;

void hash_one(uint8_t digest32[32], const hash_message *message);

/* The digests of several messages, in less time than one behind the other where the
 * processor can (hash_two.c): two are on their way at once, and where one ends the
 * next begins, or both wait where it is said to be made of what has not ended. Not
 * for secrets: words of them may stay on the stack. */
void hash_many(uint8_t (*digests)[32], const hash_message *messages, size_t count);

/* Two blocks into a chain, and beside them the digests of two messages of one
 * block each, padded, which may be secret: words of them may stay on the stack. */
void hash_beside(hash_chain *chain, const uint8_t blocks[2 * 64], uint8_t digests[2][32],
                 const uint8_t messages[2][64]);

/* The bytes of a chain's words. */
void hash_words32(uint8_t digest32[32], const uint32_t h[8]);

/* SHA-512 of what Ed25519 hashes: 32 or 64 bytes, and a message. Of both something
 * may stay on the stack. */
void hash_sha512(uint8_t digest64[64], const uint8_t *lead, size_t lead_size, const void *bytes,
                 size_t size);

#endif

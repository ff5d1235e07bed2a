/* SHA-256 and SHA-512 around OpenSSL's block functions (FIPS 180-4). */
#include "hash.h"

#include "bytes.h"

const hash_chain hash_first = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

/* Of the context, OpenSSL reads and writes `h` alone: for one block; for
 * several also the counts, which mean nothing here, and `num`, which is 0. */
static void take_blocks(SHA256_CTX *context, const uint8_t *bytes, size_t size) {
    if (size == SHA256_CBLOCK) {
        SHA256_Transform(context, bytes);
    } else if (size != 0) {
        (void)SHA256_Update(context, bytes, size);
    }
}

static inline void begin(SHA256_CTX *context, const hash_chain *chain) {
    memcpy(context->h, chain->h, sizeof chain->h);
    context->Nl = 0;
    context->Nh = 0;
    context->num = 0;
}

void hash_blocks(hash_chain *chain, const void *bytes, size_t size) {
    SHA256_CTX context;
    begin(&context, chain);
    take_blocks(&context, bytes, size);
    memcpy(chain->h, context.h, sizeof chain->h);
    bytes_wipe(context.h, sizeof context.h);
}

/* Big-endian words, two at a time. */
void hash_words32(uint8_t digest32[32], const uint32_t h[8]) {
    for (unsigned i = 0; i < 4; i++) {
        uint64_t pair;
        memcpy(&pair, h + 2 * i, sizeof pair);
        pair = __builtin_bswap64(pair);
        pair = pair << 32 | pair >> 32;
        memcpy(digest32 + 8 * i, &pair, sizeof pair);
    }
}

static inline void put_size(uint8_t *at, uint64_t size) {
    const uint64_t bits = __builtin_bswap64(size * 8);
    memcpy(at, &bits, sizeof bits);
}

void hash_rest(uint8_t digest32[32], const hash_chain *chain, uint64_t before, const void *bytes,
               size_t size) {
    enum { COUNT_BYTES = 8, BLOCK = SHA256_CBLOCK };
    SHA256_CTX context;
    uint8_t last[2 * BLOCK];
    const size_t rest = size % BLOCK;
    const size_t end = rest < BLOCK - COUNT_BYTES ? BLOCK : 2 * BLOCK;
    /* Before the whole blocks are hashed: what was just written byte by byte
     * cannot be read at once as vectors. */
    memset(last, 0, BLOCK);
    if (end != BLOCK) {
        memset(last + BLOCK, 0, BLOCK);
    }
    if (rest != 0) {
        memcpy(last, (const uint8_t *)bytes + (size - rest), rest);
    }
    last[rest] = 0x80;
    put_size(last + end - COUNT_BYTES, before + size);
    begin(&context, chain);
    take_blocks(&context, bytes, size - rest);
    take_blocks(&context, last, end);
    hash_words32(digest32, context.h);
    bytes_wipe(last, BLOCK); /* a second one holds the count alone */
    bytes_wipe(context.h, sizeof context.h);
}

void hash_add(hash_sha256 *hash, const void *bytes, size_t size) {
    const uint8_t *next = bytes;
    const size_t filled = hash->size % SHA256_CBLOCK;
    hash->size += size;
    if (filled != 0) {
        const size_t room = SHA256_CBLOCK - filled;
        if (size < room) {
            if (size != 0) {
                memcpy(hash->block + filled, next, size);
            }
            return;
        }
        memcpy(hash->block + filled, next, room);
        hash_blocks(&hash->chain, hash->block, SHA256_CBLOCK);
        next += room;
        size -= room;
    }
    const size_t rest = size % SHA256_CBLOCK;
    if (size != rest) {
        hash_blocks(&hash->chain, next, size - rest);
    }
    if (rest != 0) {
        memcpy(hash->block, next + (size - rest), rest);
    }
}

void hash_final(hash_sha256 *hash, uint8_t digest32[32]) {
    const size_t rest = hash->size % SHA256_CBLOCK;
    hash_rest(digest32, &hash->chain, hash->size - rest, hash->block, rest);
    bytes_wipe(hash, sizeof *hash);
}

void hash_sha512(uint8_t digest64[64], const uint8_t *lead, size_t lead_size, const void *bytes,
                 size_t size) {
    static const uint64_t first[8] = {UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
                                      UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
                                      UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
                                      UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179)};
    enum { COUNT_BYTES = 16, BLOCK = SHA512_CBLOCK, BLOCKS = 4 };
    SHA512_CTX context;
    uint8_t part[BLOCKS * BLOCK]; /* blocks in one row are hashed faster than one by one */
    const uint8_t *next = bytes;
    const size_t all = lead_size + size;
    memcpy(context.h, first, sizeof first);
    context.Nl = 0;
    context.Nh = 0;
    context.num = 0;
    size_t filled = lead_size;
    memcpy(part, lead, 32);
    if (lead_size == 64) {
        memcpy(part + 32, lead + 32, 32);
    }
    while (size >= sizeof part - filled - COUNT_BYTES) { /* the padding would not fit */
        const size_t room = sizeof part - filled;
        const size_t taken = size < room ? size : room;
        memcpy(part + filled, next, taken);
        next += taken;
        size -= taken;
        filled += taken;
        const size_t whole = filled - filled % BLOCK;
        (void)SHA512_Update(&context, part, whole);
        filled -= whole;
        memmove(part, part + whole, filled);
    }
    if (size != 0) {
        memcpy(part + filled, next, size);
    }
    filled += size;
    const size_t end = (filled + 1 + COUNT_BYTES + BLOCK - 1) / BLOCK * BLOCK;
    memset(part + filled, 0, end - filled);
    part[filled] = 0x80;
    put_size(part + end - 8, all);
    (void)SHA512_Update(&context, part, end);
    for (unsigned i = 0; i < 8; i++) {
        const uint64_t word = __builtin_bswap64(context.h[i]);
        memcpy(digest64 + 8 * i, &word, sizeof word);
    }
}

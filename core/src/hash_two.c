/* Two SHA-256 at once (FIPS 180-4). Each round waits for the one before, so the
 * processor's SHA unit is idle half of the time; a second message fills it.
 * Messages that are long, and processors without the extensions, are hashed one
 * behind the other. */
#include "hash.h"

enum { BLOCK = SHA256_CBLOCK, COUNT_BYTES = 8, BLOCKS_MAX = 8 };

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* Whether the processor has them: 0 not asked yet, 1 no, 2 yes. Asked once, as a
 * virtual machine's host answers, which takes longer than many hashes. The one
 * thing that changes outside of callers' memory: whoever asks finds the same. */
static int sha_extensions;

/* CPUID leaf 7 (SHA) and leaf 1 (SSSE3, SSE4.1). */
static int ask_processor(void) {
    unsigned a, b, c, d;
    int sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) != 0;
    return sha && __get_cpuid(1, &a, &b, &c, &d) && (c >> 9 & c >> 19 & 1) != 0 ? 2 : 1;
}

static int has_extensions(void) {
    int found = __atomic_load_n(&sha_extensions, __ATOMIC_RELAXED);
    if (found == 0) {
        found = ask_processor();
        __atomic_store_n(&sha_extensions, found, __ATOMIC_RELAXED);
    }
    return found == 2;
}

/* The unit's order of the words: A B E F, and C D G H. */
typedef struct lane {
    __m128i abef, cdgh, w[4];
} lane;

#define TARGET __attribute__((target("sha,sse4.1,ssse3"), always_inline)) static inline

TARGET void lane_load(lane *l, const uint32_t h[8]) {
    const __m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)h);
    const __m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)(h + 4));
    const __m128i cdab = _mm_shuffle_epi32(abcd, 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1b);
    l->abef = _mm_alignr_epi8(cdab, hgfe, 8);
    l->cdgh = _mm_blend_epi16(hgfe, cdab, 0xf0);
}

TARGET void lane_store(uint32_t h[8], const lane *l) {
    const __m128i feba = _mm_shuffle_epi32(l->abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four rounds, the i-th of sixteen; i is a constant wherever this is used. */
TARGET void lane_rounds(lane *l, const uint8_t *block, unsigned i) {
    __m128i *w = l->w;
    if (i < 4) {
        const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
        w[i] = _mm_shuffle_epi8(
            _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * (size_t)i)), order);
    } else {
        const __m128i last = w[(i + 3) % 4];
        const __m128i middle = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
        const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), middle);
        w[i % 4] = _mm_sha256msg2_epu32(sum, last);
    }
    const __m128i k = _mm_loadu_si128((const __m128i *)(const void *)(rounds + 4 * (size_t)i));
    const __m128i wk = _mm_add_epi32(w[i % 4], k);
    l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, wk);
    l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

__attribute__((target("sha,sse4.1,ssse3"))) static void
two_lanes(uint32_t ha[8], const uint8_t *a, uint32_t hb[8], const uint8_t *b, size_t blocks) {
    lane la, lb;
    lane_load(&la, ha);
    lane_load(&lb, hb);
    for (; blocks != 0; blocks--, a += BLOCK, b += BLOCK) {
        const lane before_a = la, before_b = lb;
#define BOTH(i) (lane_rounds(&la, a, i), lane_rounds(&lb, b, i))
        BOTH(0), BOTH(1), BOTH(2), BOTH(3);
        BOTH(4), BOTH(5), BOTH(6), BOTH(7);
        BOTH(8), BOTH(9), BOTH(10), BOTH(11);
        BOTH(12), BOTH(13), BOTH(14), BOTH(15);
#undef BOTH
        la.abef = _mm_add_epi32(la.abef, before_a.abef);
        la.cdgh = _mm_add_epi32(la.cdgh, before_a.cdgh);
        lb.abef = _mm_add_epi32(lb.abef, before_b.abef);
        lb.cdgh = _mm_add_epi32(lb.cdgh, before_b.cdgh);
    }
    lane_store(ha, &la);
    lane_store(hb, &lb);
}
#else
static int has_extensions(void) {
    return 0;
}

static void two_lanes(uint32_t *ha, const uint8_t *a, uint32_t *hb, const uint8_t *b,
                      size_t blocks) {
    (void)ha, (void)a, (void)hb, (void)b, (void)blocks;
}
#endif

static size_t blocks_of(const hash_message *message) {
    return (message->size[0] + message->size[1] + COUNT_BYTES) / BLOCK + 1;
}

/* The whole message with its padding. */
static void lay_out(uint8_t *blocks, size_t count, const hash_message *message) {
    const size_t size = message->size[0] + message->size[1];
    const uint64_t bits = __builtin_bswap64((uint64_t)size * 8);
    for (size_t i = 0, at = 0; i < 2; at += message->size[i], i++) {
        if (message->size[i] != 0) {
            memcpy(blocks + at, message->part[i], message->size[i]);
        }
    }
    memset(blocks + size, 0, count * BLOCK - size);
    blocks[size] = 0x80;
    memcpy(blocks + count * BLOCK - COUNT_BYTES, &bits, sizeof bits);
}

void hash_one(uint8_t digest32[32], const hash_message *message) {
    hash_sha256 hash;
    hash_init(&hash);
    hash_add(&hash, message->part[0], message->size[0]);
    hash_add(&hash, message->part[1], message->size[1]);
    hash_final(&hash, digest32);
}

void hash_two(uint8_t a32[32], const hash_message *a, uint8_t b32[32], const hash_message *b) {
    const size_t count_a = blocks_of(a), count_b = blocks_of(b);
    if (count_a > BLOCKS_MAX || count_b > BLOCKS_MAX || !has_extensions()) {
        hash_one(a32, a);
        hash_one(b32, b);
        return;
    }
    uint8_t blocks[2][BLOCKS_MAX * BLOCK];
    hash_chain chains[2] = {hash_first, hash_first};
    const size_t both = count_a < count_b ? count_a : count_b;
    lay_out(blocks[0], count_a, a);
    lay_out(blocks[1], count_b, b);
    two_lanes(chains[0].h, blocks[0], chains[1].h, blocks[1], both);
    for (unsigned i = 0; i < 2; i++) {
        const size_t rest = (i == 0 ? count_a : count_b) - both;
        if (rest != 0) {
            hash_blocks(&chains[i], blocks[i] + both * BLOCK, rest * BLOCK);
        }
        hash_words32(i == 0 ? a32 : b32, chains[i].h);
    }
}

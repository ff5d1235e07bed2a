/* Two SHA-256 at once (FIPS 180-4). Each round waits for the one before, so the
 * processor's SHA unit is idle half of the time; a second message fills it.
 * Messages that are long, and processors without the extensions, are hashed one
 * behind the other. Blocks are read where they lie; only the first, which joins
 * two parts, and the padded ones are laid out anew. */
#include "hash.h"

enum { BLOCK = SHA256_CBLOCK, COUNT_BYTES = 8, BLOCKS_MAX = 32 };

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

TARGET void lane_add(lane *l, const lane *before) {
    l->abef = _mm_add_epi32(l->abef, before->abef);
    l->cdgh = _mm_add_epi32(l->cdgh, before->cdgh);
}

#define SIXTEEN(step)                                                                          \
    (step(0), step(1), step(2), step(3), step(4), step(5), step(6), step(7), step(8), step(9), \
     step(10), step(11), step(12), step(13), step(14), step(15))

__attribute__((target("sha,sse4.1,ssse3"))) static void
two_lanes(uint32_t ha[8], const uint8_t *const *a, uint32_t hb[8], const uint8_t *const *b,
          size_t blocks) {
    lane la, lb;
    lane_load(&la, ha);
    lane_load(&lb, hb);
    for (; blocks != 0; blocks--, a++, b++) {
        const lane before_a = la, before_b = lb;
#define BOTH(i) (lane_rounds(&la, *a, i), lane_rounds(&lb, *b, i))
        SIXTEEN(BOTH);
#undef BOTH
        lane_add(&la, &before_a);
        lane_add(&lb, &before_b);
    }
    lane_store(ha, &la);
    lane_store(hb, &lb);
}

__attribute__((target("sha,sse4.1,ssse3"))) static void
one_lane(uint32_t h[8], const uint8_t *const *block, size_t blocks) {
    lane l;
    lane_load(&l, h);
    for (; blocks != 0; blocks--, block++) {
        const lane before = l;
#define ONE(i) lane_rounds(&l, *block, i)
        SIXTEEN(ONE);
#undef ONE
        lane_add(&l, &before);
    }
    lane_store(h, &l);
}
#else
static int has_extensions(void) {
    return 0;
}

static void two_lanes(uint32_t *ha, const uint8_t *const *a, uint32_t *hb, const uint8_t *const *b,
                      size_t blocks) {
    (void)ha, (void)a, (void)hb, (void)b, (void)blocks;
}

static void one_lane(uint32_t *h, const uint8_t *const *block, size_t blocks) {
    (void)h, (void)block, (void)blocks;
}
#endif

void hash_one(uint8_t digest32[32], const hash_message *message) {
    hash_sha256 hash;
    hash_init(&hash);
    hash_add(&hash, message->part[0], message->size[0]);
    hash_add(&hash, message->part[1], message->size[1]);
    hash_final(&hash, digest32);
}

static void put(uint8_t *out, const void *bytes, size_t size) {
    if (size != 0) {
        memcpy(out, bytes, size);
    }
}

/* A message on its way through one of the two lanes. */
typedef struct pass {
    const uint8_t *block[BLOCKS_MAX];
    uint8_t made[3][BLOCK]; /* the first; the last, and the one before it */
    size_t next, count;     /* blocks; equal: nothing is on its way */
    hash_chain chain;
    uint8_t *digest32;
} pass;

static void pass_begin(pass *p, uint8_t *digest32, const hash_message *message) {
    const size_t size = message->size[0] + message->size[1], whole = size / BLOCK;
    const uint64_t bits = __builtin_bswap64((uint64_t)size * 8);
    const uint8_t *second = message->part[1];
    size_t rest = size % BLOCK; /* beyond whole blocks */
    uint8_t *last = p->made[1];
    p->chain = hash_first;
    p->digest32 = digest32;
    p->next = 0;
    p->count = (size + COUNT_BYTES) / BLOCK + 1;
    memset(p->made[1], 0, BLOCK); /* two of one size: vectors, and no loop */
    memset(p->made[2], 0, BLOCK);
    if (whole == 0) {
        put(last, message->part[0], message->size[0]);
        put(last + message->size[0], second, message->size[1]);
    } else {
        const size_t begun = BLOCK - message->size[0];
        put(p->made[0], message->part[0], message->size[0]);
        memcpy(p->made[0] + message->size[0], second, begun);
        p->block[0] = p->made[0];
        for (size_t i = 1; i < whole; i++) {
            p->block[i] = second + begun + (i - 1) * BLOCK;
        }
        put(last, second + message->size[1] - rest, rest);
    }
    last[rest] = 0x80;
    for (size_t i = whole; i < p->count; i++, last += BLOCK) {
        p->block[i] = last;
    }
    memcpy(last - COUNT_BYTES, &bits, sizeof bits);
}

/* Whether it has blocks of which all but the first and the last lie in its second part. */
static int fits(const hash_message *message) {
    return message->size[0] < BLOCK &&
           message->size[0] + message->size[1] + COUNT_BYTES < (size_t)BLOCKS_MAX * BLOCK;
}

void hash_many(uint8_t (*digests)[32], const hash_message *messages, size_t count) {
    const int two = has_extensions();
    pass lanes[2];
    size_t begun = 0;
    lanes[0].next = lanes[0].count = lanes[1].next = lanes[1].count = 0;
    for (;;) {
        for (unsigned i = 0; i < 2; i++) {
            while (begun < count && lanes[i].next == lanes[i].count) {
                const hash_message *message = &messages[begun];
                uint8_t *digest32 = digests[begun++];
                if (two && fits(message)) {
                    pass_begin(&lanes[i], digest32, message);
                } else {
                    hash_one(digest32, message);
                }
            }
        }
        pass *a = &lanes[0], *b = &lanes[1];
        const size_t left_a = a->count - a->next, left_b = b->count - b->next;
        const size_t both = left_a < left_b ? left_a : left_b;
        if (both == 0) {
            break;
        }
        two_lanes(a->chain.h, a->block + a->next, b->chain.h, b->block + b->next, both);
        a->next += both, b->next += both;
        for (unsigned i = 0; i < 2; i++) {
            if (lanes[i].next == lanes[i].count) {
                hash_words32(lanes[i].digest32, lanes[i].chain.h);
            }
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        pass *p = &lanes[i];
        if (p->next < p->count) { /* the other lane is idle */
            one_lane(p->chain.h, p->block + p->next, p->count - p->next);
            hash_words32(p->digest32, p->chain.h);
        }
    }
}

/* Two SHA-256 at once (FIPS 180-4). Each round waits for the one before, so the
 * processor's SHA unit is idle half of the time; a second message fills it.
 * Messages that are long, and processors without the extensions, are hashed one
 * behind the other. Blocks are read where they lie; only the first, which joins
 * two parts, and the padded ones are laid out anew. */
#include "hash.h"

#include "bytes.h"

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

/* Of an open message there is no digest, and perhaps no place. */
static uint8_t *place_of(uint8_t (*digests)[32], const hash_message *message, size_t at) {
    return message->to != NULL || message->is_open ? message->to : digests[at];
}

void hash_one(uint8_t digest32[32], const hash_message *message) {
    hash_sha256 hash;
    hash_init(&hash);
    if (message->chain != NULL) {
        hash.chain = *message->chain;
        hash.size = message->before;
    }
    hash_add(&hash, message->part[0], message->size[0]);
    hash_add(&hash, message->part[1], message->size[1]);
    if (!message->is_open) {
        hash_final(&hash, digest32);
    } else if (message->chain != NULL) {
        *message->chain = hash.chain;
    }
}

/* A message on its way through one of the two lanes. Its beginning and its end are
 * laid out by moves of one size, which need no loop: what they write beyond falls
 * into the gaps. */
typedef struct pass {
    const uint8_t *block[BLOCKS_MAX];
    size_t next, count; /* blocks */
    hash_chain chain;
    uint8_t *digest32;
    hash_chain *open; /* null: the last block is the message's end */
    uint32_t bit;     /* for those that wait for it */
    uint8_t first[2 * BLOCK];
    uint8_t end[5 * BLOCK]; /* a gap of a block, one or two blocks, and a gap again */
} pass;

static void put(uint8_t *out, const void *bytes, size_t size) {
    if (size != 0) {
        memcpy(out, bytes, size);
    }
}

/* A part before the first whole block: a salt, or a byte, or nothing. */
static inline void put_lead(uint8_t *out, const uint8_t *bytes, size_t size) {
    if (size == 16) {
        memcpy(out, bytes, 16);
    } else if (size == 1) {
        out[0] = bytes[0];
    } else {
        put(out, bytes, size);
    }
}

/* The blocks that lie in the second part, or join both; `whole` of them. */
static void pass_blocks(pass *p, const hash_message *message, size_t whole) {
    const uint8_t *second = message->part[1];
    const size_t lead = message->size[0], begun = lead != 0 ? BLOCK - lead : 0;
    size_t i = 0;
    if (lead != 0 && whole != 0) {
        put_lead(p->first, message->part[0], lead);
        if (message->size[1] >= BLOCK) {
            memcpy(p->first + lead, second, BLOCK);
        } else {
            memcpy(p->first + lead, second, begun);
        }
        p->block[i++] = p->first;
    }
    for (size_t at = begun; i < whole; i++, at += BLOCK) {
        p->block[i] = second + at;
    }
}

static const uint8_t padding[2 * BLOCK] = {0x80};

static void pass_begin(pass *p, uint8_t *digest32, const hash_message *message) {
    const size_t size = message->size[0] + message->size[1];
    const size_t whole = size / BLOCK, rest = size % BLOCK;
    p->chain = message->chain != NULL ? *message->chain : hash_first;
    p->digest32 = digest32;
    p->open = message->is_open ? message->chain : NULL;
    p->next = 0;
    p->count = whole;
    pass_blocks(p, message, whole);
    if (message->is_open) {
        return;
    }
    uint8_t *last = p->end + BLOCK;
    const uint64_t bits = __builtin_bswap64((message->before + size) * 8);
    const size_t pads = rest < BLOCK - COUNT_BYTES ? 1 : 2;
    if (message->size[1] >= BLOCK) {
        memcpy(last + rest - BLOCK, (const uint8_t *)message->part[1] + message->size[1] - BLOCK,
               BLOCK);
    } else if (whole != 0) {
        put(last, (const uint8_t *)message->part[1] + message->size[1] - rest, rest);
    } else {
        put_lead(last, message->part[0], message->size[0]);
        put(last + message->size[0], message->part[1], message->size[1]);
    }
    /* By moves of a constant size: as one memset, gcc makes a string instruction of it. */
    memcpy(last + rest, padding, BLOCK);
    memcpy(last + rest + BLOCK, padding + BLOCK, BLOCK);
    memcpy(last + pads * BLOCK - COUNT_BYTES, &bits, sizeof bits);
    p->block[whole] = last;
    p->block[whole + 1] = last + BLOCK;
    p->count += pads;
}

static void pass_end(const pass *p) {
    if (p->open != NULL) {
        *p->open = p->chain;
    } else {
        hash_words32(p->digest32, p->chain.h);
    }
}

/* Whether all of it but beginning and end lies in its second part, and is not too long. */
static int fits(const hash_message *message) {
    return message->size[0] < BLOCK &&
           message->size[0] + message->size[1] + COUNT_BYTES < (size_t)(BLOCKS_MAX - 1) * BLOCK;
}

/* Messages that wait for a lane, laid out: what was just stored cannot be read at
 * once as vectors. */
enum { WAITING = 8 };
typedef struct queue {
    pass passes[WAITING];
    size_t begun, taken; /* of passes, counted on */
    uint8_t (*digests)[32];
    const hash_message *messages;
    size_t at, count; /* messages */
    uint32_t ended;   /* bits, of the first 32 */
} queue;

static void queue_fill(queue *q, const pass *const busy[2]) {
    while (q->at < q->count && q->begun - q->taken < WAITING) {
        pass *p = &q->passes[q->begun % WAITING];
        const hash_message *message = &q->messages[q->at];
        if (p == busy[0] || p == busy[1] || (message->after & ~q->ended) != 0) {
            return;
        }
        const uint32_t bit = q->at < 32 ? UINT32_C(1) << q->at : 0;
        uint8_t *digest32 = place_of(q->digests, message, q->at);
        if (fits(message)) {
            pass_begin(p, digest32, message);
            p->bit = bit;
            q->begun++;
        } else {
            hash_one(digest32, message);
            q->ended |= bit;
        }
        q->at++;
    }
}

static pass *queue_take(queue *q) {
    return q->taken < q->begun ? &q->passes[q->taken++ % WAITING] : NULL;
}

static size_t left(const pass *p) {
    return p->count - p->next;
}

void hash_many(uint8_t (*digests)[32], const hash_message *messages, size_t count) {
    if (!has_extensions()) {
        for (size_t i = 0; i < count; i++) {
            hash_one(place_of(digests, &messages[i], i), &messages[i]);
        }
        return;
    }
    queue q;
    pass *lanes[2] = {NULL, NULL};
    q.digests = digests;
    q.messages = messages;
    q.begun = q.taken = q.at = 0;
    q.ended = 0;
    q.count = count;
    for (;;) {
        queue_fill(&q, (const pass *const *)lanes);
        for (unsigned i = 0; i < 2; i++) {
            lanes[i] = lanes[i] == NULL ? queue_take(&q) : lanes[i];
        }
        pass *a = lanes[0], *b = lanes[1];
        if (a == NULL && b == NULL) {
            break;
        }
        size_t blocks;
        if (a != NULL && b != NULL) {
            blocks = left(a) < left(b) ? left(a) : left(b);
            two_lanes(a->chain.h, a->block + a->next, b->chain.h, b->block + b->next, blocks);
        } else { /* the other lane is idle */
            pass *only = a != NULL ? a : b;
            blocks = left(only);
            one_lane(only->chain.h, only->block + only->next, blocks);
        }
        for (unsigned i = 0; i < 2; i++) {
            if (lanes[i] != NULL && (lanes[i]->next += blocks) == lanes[i]->count) {
                pass_end(lanes[i]);
                q.ended |= lanes[i]->bit;
                lanes[i] = NULL;
            }
        }
    }
}

void hash_beside(hash_chain *chain, const uint8_t blocks[2 * BLOCK], uint8_t digests[2][32],
                 const uint8_t messages[2][BLOCK]) {
    const int two = has_extensions();
    if (!two) {
        hash_blocks(chain, blocks, 2 * BLOCK);
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *block = blocks + i * (size_t)BLOCK, *message = messages[i];
        hash_chain other = hash_first;
        if (two) {
            two_lanes(chain->h, &block, other.h, &message, 1);
        } else {
            hash_blocks(&other, message, BLOCK);
        }
        hash_words32(digests[i], other.h);
        bytes_wipe(&other, sizeof other);
    }
}

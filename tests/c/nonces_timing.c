/* Whether the time of a signature, or of filling, depends on a nonce or on the
 * key, on this machine, with the libraries as they are: a test in the manner of
 * dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?",
 * DATE 2017). Two classes of secrets, one fixed, one drawn anew each time, in
 * random order; each call timed alone; the largest times cut off at many
 * percentiles; Welch's t for each cut. What reads the secret does the same in
 * both classes, so noise moves both alike.
 *
 * |t| above 10 in three of three repeats fails (dudect's own bound, and its
 * advice to repeat). A leak that is planted must be seen by the same rule.
 *
 *   nonces_timing [--seconds N] [--json]      N for each of the parts and repeats */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sign_nonces.h"

enum { REPEATS = 3, CUTS = 40, BATCH = 4096, CAPACITY = 64 };
static const double BOUND = 10.0;

#if defined(__x86_64__)
#include <x86intrin.h>
static uint64_t clock_now(void) {
    unsigned int core;
    _mm_lfence();
    const uint64_t now = __rdtscp(&core);
    _mm_lfence();
    return now;
}
#else
static uint64_t clock_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

/* ---- Welch's t, added up as the values come --------------------------------------- */

typedef struct welch {
    double count[2], mean[2], squares[2];
} welch;

static void welch_add(welch *sums, int class, double value) {
    const double step = value - sums->mean[class];
    sums->count[class]++;
    sums->mean[class] += step / sums->count[class];
    sums->squares[class] += step * (value - sums->mean[class]);
}

static double welch_t(const welch *sums) {
    double variance = 0;
    for (int class = 0; class < 2; class ++) {
        if (sums->count[class] < 1000) {
            return 0;
        }
        variance += sums->squares[class] / (sums->count[class] - 1) / sums->count[class];
    }
    return variance == 0 ? 0 : fabs(sums->mean[0] - sums->mean[1]) / sqrt(variance);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* dudect's percentiles: close together at the top. The first batch gives them,
 * and is not used otherwise. */
static void set_cuts(double cuts[CUTS], const double times[BATCH]) {
    static double sorted[BATCH];
    memcpy(sorted, times, sizeof sorted);
    qsort(sorted, BATCH, sizeof sorted[0], compare);
    for (int i = 0; i < CUTS; i++) {
        const double share = 1 - pow(0.5, 10.0 * (i + 1) / CUTS);
        cuts[i] = sorted[(size_t)(share * (BATCH - 1))];
    }
}

/* ---- what is timed ------------------------------------------------------------------ */

static sentinel_keyring *ring;
static sign_pool *pool;
static uint8_t drawn[BATCH][32]; /* a batch's secrets, whatever their class */
static uint8_t fixed[2][32];     /* class 0 */
static uint64_t chance_state = 1;

static uint64_t chance(void) { /* splitmix64: only of the order */
    uint64_t x = chance_state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void open_pool(int algorithm) {
    sentinel_key_info info;
    uint8_t secret32[32];
    uint32_t made = 0;
    memset(secret32, 0x33, sizeof secret32); /* a test key */
    memset(&info, 0, sizeof info);
    info.id = 1;
    info.purpose = SENTINEL_PURPOSE_MESSAGE;
    info.algorithm = (uint8_t)algorithm;
    if (sentinel_keyring_new(&ring) != SENTINEL_OK ||
        sentinel_keyring_import(ring, &info, secret32, 32) != SENTINEL_OK ||
        sentinel_nonces_start(ring, 1, CAPACITY) != SENTINEL_OK ||
        sentinel_nonces_fill(ring, 1, &made) != SENTINEL_OK || made != CAPACITY) {
        (void)fprintf(stderr, "nonces_timing: no pool\n");
        exit(3);
    }
    pool = sign_slot_find(ring, 1)->pool;
}

/* A signature whose nonce's secrets are these; the place is made ready before. */
static uint64_t time_sign(const uint8_t secret32[32], int of_key) {
    static const uint8_t digest32[32] = {7};
    sentinel_signature signature;
    sign_nonce *at = &pool->nonces[pool->next & (CAPACITY - 1)];
    memset(at->shown32, 0x11, 32);
    memcpy(at->product32, secret32, 32);
    memcpy(at->scalar32, secret32, 32);
    if (of_key) {
        memset(at->product32, 0x22, 32);
        memset(at->scalar32, 0x22, 32);
        memcpy(pool->scalar32, secret32, 32);
    }
    at->recovery_id = 0;
    at->ready = pool->next + 1;
    const uint64_t began = clock_now();
    const int made = sign_with_nonce(&signature, pool, digest32, 32);
    const uint64_t ended = clock_now();
    if (!made) {
        (void)fprintf(stderr, "nonces_timing: no signature\n");
        exit(3);
    }
    return ended - began;
}

static uint64_t time_nonce(const uint8_t secret32[32]) {
    return time_sign(secret32, 0);
}

static uint64_t time_key(const uint8_t secret32[32]) {
    return time_sign(secret32, 1);
}

/* One nonce drawn from these fresh bytes: hash, point, inverse, products. */
static uint64_t time_fill(const uint8_t secret32[32]) {
    sign_nonce *place = &pool->nonces[0];
    place->ready = 0;
    memcpy(pool->fresh[0], secret32, 32);
    pool->drawn = 7; /* so that equal bytes draw equal nonces */
    const uint64_t began = clock_now();
    const int filled = pool->algorithm == SENTINEL_ALGORITHM_ED25519
                           ? sign_nonces_ed25519_fill(pool, &place, 1)
                           : sign_nonces_secp256k1_fill(pool, &place, 1);
    const uint64_t ended = clock_now();
    if (!filled) {
        (void)fprintf(stderr, "nonces_timing: no nonce\n");
        exit(3);
    }
    return ended - began;
}

/* Planted: a signature that takes a few steps more for a nonce with a high bit. */
static uint64_t time_leak(const uint8_t secret32[32]) {
    const uint64_t began = clock_now();
    (void)time_sign(secret32, 0);
    for (volatile int i = 0; i < (secret32[16] >> 7) * 16; i++) {
    }
    return clock_now() - began;
}

static int has_odd_y(const uint8_t k32[32]) {
    secp256k1_pubkey point;
    uint8_t point33[33] = {0};
    size_t size = sizeof point33;
    (void)(secp256k1_ec_pubkey_create(pool->secp256k1, &point, k32) &&
           secp256k1_ec_pubkey_serialize(pool->secp256k1, point33, &size, &point,
                                         SECP256K1_EC_COMPRESSED));
    return point33[0] == 3;
}

/* Class 0 is 1, the scalar that a loop over bits would be quickest with. A high
 * s is negated, and a nonce whose y is odd; which of k and -k it then was is seen
 * in the time, and tells nothing of the one that signs, for both were as likely.
 * So class 0 is two secrets that differ in this alone, as often as class 1. */
static void fix_class(uint64_t (*time)(const uint8_t secret32[32])) {
    memset(fixed, 0, sizeof fixed);
    fixed[0][pool->algorithm == SENTINEL_ALGORITHM_ED25519 ? 0 : 31] = 1;
    memcpy(fixed[1], fixed[0], 32);
    if (time == time_nonce && pool->algorithm == SENTINEL_ALGORITHM_ECDSA_SECP256K1 &&
        secp256k1_ec_seckey_negate(pool->secp256k1, fixed[1]) != 1) {
        exit(3);
    }
    for (int odd = 0; time == time_fill && pool->algorithm == SENTINEL_ALGORITHM_BIP340 && odd < 2;
         odd++) {
        uint8_t draw64[64];
        do {
            fixed[odd][0]++;
            pool->drawn = 7;
            sign_nonces_draw(draw64, pool, fixed[odd]);
        } while (has_odd_y(draw64) != odd);
    }
}

typedef struct part {
    const char *name;
    int algorithm;
    uint64_t (*time)(const uint8_t secret32[32]);
    double t[REPEATS];
    double calls;
} part;

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A batch's classes and secrets. What is drawn is below both orders. */
static void draw_batch(int classes[BATCH]) {
    randombytes_buf(drawn, sizeof drawn);
    for (int i = 0; i < BATCH; i++) {
        classes[i] = (int)(chance() & 1);
        drawn[i][0] &= 0x0f;
        drawn[i][31] &= 0x0f;
        const uint8_t *one = fixed[chance() & 1];
        if (classes[i] == 0) {
            memcpy(drawn[i], one, 32);
        }
    }
}

/* The largest |t| of all cuts. */
static double measure(part *it, double seconds) {
    static double times[BATCH];
    static int classes[BATCH];
    welch sums[CUTS + 1];
    double cuts[CUTS];
    double most = 0;
    const double began = seconds_now();
    memset(sums, 0, sizeof sums);
    for (int batch = 0; seconds_now() - began < seconds || batch < 2; batch++) {
        draw_batch(classes);
        for (int i = 0; i < BATCH; i++) {
            times[i] = (double)it->time(drawn[i]);
        }
        if (batch == 0) {
            set_cuts(cuts, times);
            continue;
        }
        it->calls += BATCH;
        for (int i = 0; i < BATCH; i++) {
            welch_add(&sums[CUTS], classes[i], times[i]);
            for (int cut = 0; cut < CUTS; cut++) {
                if (times[i] < cuts[cut]) {
                    welch_add(&sums[cut], classes[i], times[i]);
                }
            }
        }
    }
    for (int i = 0; i <= CUTS; i++) {
        most = fmax(most, welch_t(&sums[i]));
    }
    return most;
}

static int leaks(const part *it) {
    int above = 0;
    for (int i = 0; i < REPEATS; i++) {
        above += it->t[i] > BOUND;
    }
    return above == REPEATS;
}

int main(int argc, char **argv) {
    static part parts[] = {
        {"Ed25519: nonce", SENTINEL_ALGORITHM_ED25519, time_nonce, {0}, 0},
        {"Ed25519: key", SENTINEL_ALGORITHM_ED25519, time_key, {0}, 0},
        {"Ed25519: fill", SENTINEL_ALGORITHM_ED25519, time_fill, {0}, 0},
        {"ECDSA: nonce", SENTINEL_ALGORITHM_ECDSA_SECP256K1, time_nonce, {0}, 0},
        {"ECDSA: fill", SENTINEL_ALGORITHM_ECDSA_SECP256K1, time_fill, {0}, 0},
        {"BIP340: nonce", SENTINEL_ALGORITHM_BIP340, time_nonce, {0}, 0},
        {"BIP340: key", SENTINEL_ALGORITHM_BIP340, time_key, {0}, 0},
        {"BIP340: fill", SENTINEL_ALGORITHM_BIP340, time_fill, {0}, 0},
        {"planted leak", SENTINEL_ALGORITHM_ED25519, time_leak, {0}, 0},
    };
    const size_t count = sizeof parts / sizeof parts[0];
    double seconds = 2;
    int json = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            seconds = atof(argv[++i]);
        }
    }
    if (sodium_init() < 0) {
        return 3;
    }
    for (size_t i = 0; i < count; i++) {
        const int is_plant = i == count - 1;
        open_pool(parts[i].algorithm);
        fix_class(parts[i].time);
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            parts[i].t[repeat] = measure(&parts[i], seconds);
        }
        sentinel_keyring_free(ring);
        failed += leaks(&parts[i]) != is_plant;
        (void)printf(json ? "%s{\"part\": \"%s\", \"t\": [%.2f, %.2f, %.2f], \"calls\": %.0f, "
                            "\"leaks\": %s}%s"
                          : "%s%-16s |t| %6.2f %6.2f %6.2f  of %.0f calls: %s%s",
                     json ? (i == 0 ? "[" : " ") : "", parts[i].name, parts[i].t[0], parts[i].t[1],
                     parts[i].t[2], parts[i].calls,
                     json ? (leaks(&parts[i]) ? "true" : "false")
                          : (leaks(&parts[i]) ? "LEAKS" : "no difference seen"),
                     json ? (is_plant ? "]\n" : ",\n") : "\n");
        (void)fflush(stdout);
    }
    return failed == 0 ? 0 : 1;
}

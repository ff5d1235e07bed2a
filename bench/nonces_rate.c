/* What nonces made ahead cost and save, by algorithm, on this machine: processor
 * time of a fill and of a signature with a nonce, beside the deterministic
 * signature; how many a core fills in a second; how long a pool lasts. Medians of
 * batches, interleaved. Built and run from the top:
 *
 *   make -C core lib && cc -std=c11 -O2 -D_DEFAULT_SOURCE -Icore/include \
 *       -o build/nonces_rate bench/nonces_rate.c build/core/release/libsentinel.a \
 *       -lsodium -lsecp256k1 -lcrypto && build/nonces_rate [--rounds N] [--json] */
#include <sentinel/nonces.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CAPACITY = 1024, BATCH = SENTINEL_NONCES_BATCH, ROUNDS_MAX = 100000, MESSAGE_BYTES = 256 };

typedef struct figures {
    double fill_ns, sign_ns, plain_ns;
} figures;

static double samples[3][ROUNDS_MAX];

static double cpu_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void expect(int fine, const char *what) {
    if (!fine) {
        (void)fprintf(stderr, "nonces_rate: %s\n", what);
        exit(1);
    }
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof values[0], compare);
    return values[count / 2];
}

static void sign_batch(sentinel_keyring *ring, uint32_t key, uint8_t message[MESSAGE_BYTES]) {
    for (int i = 0; i < BATCH; i++) {
        sentinel_signature signature;
        message[0]++;
        expect(sentinel_sign(ring, &signature, key, message, MESSAGE_BYTES) == SENTINEL_OK,
               "a signature failed");
    }
}

/* Key 1 has a pool, key 2 has none. */
static figures measure(uint8_t algorithm, int rounds) {
    static uint8_t message[MESSAGE_BYTES];
    sentinel_keyring *ring = NULL;
    sentinel_nonces nonces;
    expect(sentinel_keyring_new(&ring) == SENTINEL_OK, "no keyring");
    for (uint32_t id = 1; id <= 2; id++) {
        sentinel_key_info info;
        memset(&info, 0, sizeof info);
        info.id = id;
        info.purpose = SENTINEL_PURPOSE_MESSAGE;
        info.algorithm = algorithm;
        expect(sentinel_keyring_generate(ring, &info) == SENTINEL_OK, "no key");
    }
    expect(sentinel_nonces_start(ring, 1, CAPACITY) == SENTINEL_OK, "no pool");
    for (int round = -2; round < rounds; round++) { /* two to warm up */
        uint32_t made = 0;
        const int at = round < 0 ? 0 : round;
        const double began = cpu_ns();
        expect(sentinel_nonces_fill(ring, 1, &made) == SENTINEL_OK && made == BATCH, "no fill");
        const double filled = cpu_ns();
        sign_batch(ring, 1, message);
        const double signed_ = cpu_ns();
        sign_batch(ring, 2, message);
        samples[0][at] = (filled - began) / BATCH;
        samples[1][at] = (signed_ - filled) / BATCH;
        samples[2][at] = (cpu_ns() - signed_) / BATCH;
    }
    expect(sentinel_nonces_read(ring, 1, &nonces) == SENTINEL_OK && nonces.missed == 0,
           "the pool was empty meanwhile");
    sentinel_keyring_free(ring);
    return (figures){median(samples[0], rounds), median(samples[1], rounds),
                     median(samples[2], rounds)};
}

static void say(const char *name, const figures *it, int json, int last) {
    const double refill = 1e9 / it->fill_ns;
    if (json) {
        (void)printf("{\"algorithm\": \"%s\", \"fill_ns\": %.0f, \"sign_ns\": %.0f, "
                     "\"deterministic_ns\": %.0f, \"refill_per_second\": %.0f, "
                     "\"bytes_per_nonce\": %u}%s\n",
                     name, it->fill_ns, it->sign_ns, it->plain_ns, refill, SENTINEL_NONCE_BYTES,
                     last ? "" : ",");
        return;
    }
    (void)printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f |", name, it->sign_ns / 1e3,
                 it->fill_ns / 1e3, (it->sign_ns + it->fill_ns) / 1e3, it->plain_ns / 1e3,
                 (it->sign_ns + it->fill_ns) / it->plain_ns, refill);
    static const double rates[] = {50e3, 100e3, 500e3};
    for (int i = 0; i < 3; i++) { /* of a pool of 65,536, filled by one core meanwhile */
        if (rates[i] > refill) {
            (void)printf(" %.2f s |", 65536 / (rates[i] - refill));
        } else {
            (void)printf(" never |");
        }
    }
    (void)printf("\n");
}

int main(int argc, char **argv) {
    static const char *names[] = {"Ed25519", "ECDSA", "BIP340"};
    int rounds = 300, json = 0;
    for (int i = 1; i < argc; i++) {
        json |= strcmp(argv[i], "--json") == 0;
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = atoi(argv[++i]);
        }
    }
    expect(rounds > 0 && rounds <= ROUNDS_MAX, "--rounds: 1 to 100000");
    (void)printf(json ? "[\n"
                      : "| | with a nonce, us | filled, us | both | deterministic | both over it |"
                        " filled a second and core | 65,536 last at 50,000/s | 100,000/s | "
                        "500,000/s |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 0; i < 3; i++) {
        const figures found = measure((uint8_t)(SENTINEL_ALGORITHM_ED25519 + i), rounds);
        say(names[i], &found, json, i == 2);
    }
    (void)printf(json ? "]\n" : "");
    return 0;
}

/* What nonces_soak.c counts, and what it says at the end: the sample under
 * OpenSSL, the file of it, the figures. */
#ifndef SENTINEL_NONCES_SOAK_H
#define SENTINEL_NONCES_SOAK_H

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SOAK_ED25519 = 0, SOAK_ECDSA = 1, SOAK_BIP340 = 2, SOAK_ALGORITHMS = 3 };
enum { SOAK_NOTHING = 0, SOAK_REPEAT = 1, SOAK_FORGE = 2 };
enum {
    SOAK_CAPACITY = 1024,
    SOAK_THREADS = 2, /* that sign, and that fill, of a worker */
    SOAK_WORKERS_MAX = 64,
    SOAK_CHILD_SIGNS = 256,
    SOAK_FORK_EVERY = 2000,
    SOAK_SAMPLE = 12000, /* of each algorithm, at most */
    SOAK_HOLES = 4096    /* and one in 64: more than kills can make */
};

typedef struct soak_options {
    uint64_t count, seed;
    uint32_t workers;
    uint8_t json, plant, rows_of;
    const char *sample, *rows;
} soak_options;

/* A signature and its message; also a row of the sample's file (144 bytes). */
typedef struct soak_row {
    uint64_t number;
    uint8_t algorithm, recovery_id, written, reserved[5];
    uint8_t signature[64];
    uint8_t message[64];
} soak_row;

typedef struct soak_shown {
    uint64_t low, high; /* the first 16 bytes of R */
} soak_shown;

/* In memory that all processes share. */
typedef struct soak {
    uint64_t places, sample_every;
    uint64_t taken;  /* places given out */
    uint64_t wrong;  /* did not verify */
    uint64_t broken; /* a process found something that must not be */
    uint64_t starts, kills, forks, child_kills;
    uint64_t of_algorithm[SOAK_ALGORITHMS];
    uint64_t sampled[SOAK_ALGORITHMS];
    int planted;
    soak_row sample[SOAK_ALGORITHMS][SOAK_SAMPLE];
    soak_shown shown[];
} soak;

static inline EVP_PKEY *soak_openssl_key(int algorithm, const uint8_t *public_key) {
    if (algorithm == SOAK_ED25519) {
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    }
    OSSL_PARAM parameters[] = {
        {"group", OSSL_PARAM_UTF8_STRING, (void *)(uintptr_t) "secp256k1", 9, 0},
        {"pub", OSSL_PARAM_OCTET_STRING, (void *)(uintptr_t)public_key, 33, 0},
        {NULL, 0, NULL, 0, 0}};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

/* Under OpenSSL's EVP, which has no BIP340. */
static inline int soak_openssl_verifies(EVP_PKEY *key, const soak_row *row) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const int edwards = row->algorithm == SOAK_ED25519;
    unsigned char der[80];
    size_t size = 64;
    int fine = EVP_DigestVerifyInit(context, NULL, edwards ? NULL : EVP_sha256(), NULL, key) == 1;
    if (!edwards) {
        unsigned char *end = der;
        ECDSA_SIG *pair = ECDSA_SIG_new();
        fine &= ECDSA_SIG_set0(pair, BN_bin2bn(row->signature, 32, NULL),
                               BN_bin2bn(row->signature + 32, 32, NULL));
        size = (size_t)i2d_ECDSA_SIG(pair, &end);
        ECDSA_SIG_free(pair);
    }
    fine = fine && EVP_DigestVerify(context, edwards ? row->signature : der, size, row->message,
                                    sizeof row->message) == 1;
    EVP_MD_CTX_free(context);
    return fine;
}

static inline uint64_t soak_sample_count(const soak *common, int algorithm) {
    const uint64_t count = common->sampled[algorithm];
    return count < SOAK_SAMPLE ? count : SOAK_SAMPLE;
}

/* How many of the sample OpenSSL verified; how many it did not goes to wrong. */
static inline uint64_t soak_openssl(soak *common, int algorithm, const uint8_t *public_key) {
    uint64_t verified = 0;
    EVP_PKEY *key = soak_openssl_key(algorithm, public_key);
    for (uint64_t i = 0; i < soak_sample_count(common, algorithm); i++) {
        const soak_row *row = &common->sample[algorithm][i];
        if (row->written == 1) { /* else its process was killed meanwhile */
            const int fine = key != NULL && soak_openssl_verifies(key, row);
            verified += (uint64_t)fine;
            common->wrong += !fine;
        }
    }
    EVP_PKEY_free(key);
    return verified;
}

/* The public keys, 3 x 33 bytes, and the rows. */
static inline int soak_write_sample(const soak *common, const char *path,
                                    uint8_t keys[SOAK_ALGORITHMS][33]) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return 0;
    }
    size_t fine = fwrite(keys, 33, SOAK_ALGORITHMS, file) == SOAK_ALGORITHMS;
    for (int algorithm = 0; algorithm < SOAK_ALGORITHMS; algorithm++) {
        for (uint64_t i = 0; i < soak_sample_count(common, algorithm); i++) {
            const soak_row *row = &common->sample[algorithm][i];
            if (row->written == 1) {
                fine &= fwrite(row, sizeof *row, 1, file);
            }
        }
    }
    return fclose(file) == 0 && fine;
}

typedef struct soak_result {
    uint64_t count, twice, openssl[2];
    double seconds;
} soak_result;

static inline void soak_say(const soak *common, const soak_options *options,
                            const soak_result *result, int passed) {
    static const char *json =
        "{\"passed\": %s, \"signatures\": %llu, \"ed25519\": %llu, \"ecdsa\": %llu, "
        "\"bip340\": %llu, \"repeated_nonces\": %llu, \"failed_to_verify\": %llu, "
        "\"openssl_ed25519\": %llu, \"openssl_ecdsa\": %llu, \"starts\": %llu, "
        "\"kills\": %llu, \"forks\": %llu, \"child_kills\": %llu, \"seconds\": %.1f}\n";
    static const char *text =
        "%s: %llu signatures (Ed25519 %llu, ECDSA %llu, BIP340 %llu)\n"
        "repeated nonces %llu, failed to verify %llu; under OpenSSL also %llu Ed25519, %llu "
        "ECDSA\n%llu starts with the same keys, %llu of them killed, %llu forks, %llu of them "
        "killed; %.1f s\n";
    typedef unsigned long long u;
    const char *word = options->json ? (passed ? "true" : "false") : (passed ? "passed" : "FAILED");
    (void)printf(options->json ? json : text, word, (u)result->count, (u)common->of_algorithm[0],
                 (u)common->of_algorithm[1], (u)common->of_algorithm[2], (u)result->twice,
                 (u)common->wrong, (u)result->openssl[0], (u)result->openssl[1], (u)common->starts,
                 (u)common->kills, (u)common->forks, (u)common->child_kills, result->seconds);
}

#endif

/* What the tests of keys and of key files share. */
#ifndef SENTINEL_SIGN_TEST_H
#define SENTINEL_SIGN_TEST_H

#include <sentinel/sign.h>
#include <sodium.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sentinel_test.h"

/* mlock does nothing and reports success where a sanitizer has replaced it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LOCKS_ARE_REAL = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { LOCKS_ARE_REAL = 0 };
#else
enum { LOCKS_ARE_REAL = 1 };
#endif
#else
enum { LOCKS_ARE_REAL = 1 };
#endif

enum {
    ED25519 = SENTINEL_ALGORITHM_ED25519,
    ECDSA = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
    BIP340 = SENTINEL_ALGORITHM_BIP340,
    HMAC = SENTINEL_ALGORITHM_HMAC_SHA256
};

static sentinel_keyring *ring_new(void) {
    sentinel_keyring *ring = NULL;
    CHECK_OK(sentinel_keyring_new(&ring));
    CHECK(ring != NULL);
    return ring;
}

/* A description that is right: purpose MESSAGE needs nothing else. */
static sentinel_key_info info_of(uint32_t id, int purpose, int algorithm) {
    sentinel_key_info info;
    memset(&info, 0, sizeof info);
    info.id = id;
    info.purpose = (uint8_t)purpose;
    info.algorithm = (uint8_t)algorithm;
    if (purpose == SENTINEL_PURPOSE_VENUE || purpose == SENTINEL_PURPOSE_VENUE_MASTER) {
        info.venue = SENTINEL_VENUE_BINANCE_SPOT;
    }
    return info;
}

/* A secret that is a key of every algorithm. */
static void secret_of(uint8_t secret32[32], uint32_t id) {
    memset(secret32, 0x5a, 32);
    memcpy(secret32, &id, sizeof id);
}

static sentinel_key_info import(sentinel_keyring *ring, uint32_t id, int purpose, int algorithm) {
    uint8_t secret32[32];
    sentinel_key_info info = info_of(id, purpose, algorithm);
    secret_of(secret32, id);
    CHECK_OK(sentinel_keyring_import(ring, &info, secret32, sizeof secret32));
    return info;
}

static sentinel_signature signature_of(sentinel_keyring *ring, uint32_t id, const char *text) {
    sentinel_signature signature;
    CHECK_OK(sentinel_sign(ring, &signature, id, (const uint8_t *)text, strlen(text)));
    return signature;
}

static sentinel_status verify(const sentinel_key_info *info, const sentinel_signature *signature,
                              const char *text) {
    return sentinel_verify(info->algorithm, info->public_key, info->public_key_size, signature,
                           (const uint8_t *)text, strlen(text));
}

/* What a child ran counts for coverage; it ends without its parent's exit. */
#ifdef SENTINEL_COVERAGE
void __gcov_dump(void);
#else
static inline void __gcov_dump(void) {
}
#endif

/* Runs a function in a forked child; gives what it gives, 0 to 99. */
static int in_child(int (*function)(void *data), void *data) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setjmp(test_jump) != 0) {
            _exit(99); /* a CHECK in the child was false */
        }
        int result = function(data);
        __gcov_dump();
        _exit(result);
    }
    CHECK(child > 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#endif

/* Goal: nothing that is done with a secret takes a branch or an address from
 * it. Method: valgrind's memcheck follows every bit of a secret that is marked
 * undefined, and reports each jump and each address that depends on one;
 * results are marked defined again, since they are public. Run it by
 * run_ctime.sh: alone it proves nothing, and says so.
 *
 * "plant" as the argument adds a branch on a secret: the run must then fail. */
#include <sentinel/sign.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "sign_nonces.h"
#include "sign_salts.h"

enum { SECRET_MAX_BYTES = SENTINEL_SECRET_BYTES_MAX };

static int failures;

/* libsodium's source of randomness with every byte drawn marked as a secret;
 * not the canary of its guarded memory, nor salt and nonce of a key file. */
static int draws_are_secret = 0;

static const char *source_name(void) {
    return "secret";
}

static uint32_t source_random(void) {
    return randombytes_sysrandom_implementation.random();
}

static void source_buf(void *const buf, const size_t size) {
    randombytes_sysrandom_implementation.buf(buf, size);
    if (draws_are_secret) {
        (void)VALGRIND_MAKE_MEM_UNDEFINED(buf, size);
    }
}

static randombytes_implementation source = {
    .implementation_name = source_name, .random = source_random, .buf = source_buf};

static void expect_ok(sentinel_status status, const char *what) {
    (void)VALGRIND_MAKE_MEM_DEFINED(&status, sizeof status);
    if (status != SENTINEL_OK) {
        printf("%s: status 0x%04x\n", what, (unsigned)status);
        failures++;
    }
}

/* The parts of a keyring that derive from secrets: everything in its slots
 * but what may be known of the keys. */
static void hide(sentinel_keyring *ring) {
    for (uint32_t i = 0; i < ring->count; i++) {
        sign_slot *slot = &ring->slots[i];
        (void)VALGRIND_MAKE_MEM_UNDEFINED(slot->secret, slot->secret_size);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(&slot->ed25519, sizeof slot->ed25519);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(slot->keypair.data, 32);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(slot->mac.inner.h, sizeof slot->mac.inner.h);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(slot->mac.outer.h, sizeof slot->mac.outer.h);
    }
}

static void import_key(sentinel_keyring *ring, uint32_t id, int purpose, int algorithm,
                       size_t secret_size) {
    uint8_t secret[SECRET_MAX_BYTES];
    sentinel_key_info info;
    memset(secret, 0x6b, sizeof secret);
    memset(&info, 0, sizeof info);
    info.id = id;
    info.purpose = (uint8_t)purpose;
    info.algorithm = (uint8_t)algorithm;
    if (purpose == SENTINEL_PURPOSE_VENUE) {
        info.venue = SENTINEL_VENUE_BINANCE_SPOT;
        info.api_key_size = 4;
        memcpy(info.api_key, "name", 4);
    }
    (void)VALGRIND_MAKE_MEM_UNDEFINED(secret, secret_size);
    expect_ok(sentinel_keyring_import(ring, &info, secret, secret_size), "import");
    sentinel_key_info *kept = &ring->slots[ring->count - 1].info;
    (void)VALGRIND_MAKE_MEM_DEFINED(kept, sizeof *kept);
}

/* One key of each kind that is treated in its own way. */
static void import_keys(sentinel_keyring *ring) {
    import_key(ring, 1, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_ED25519, 32);
    import_key(ring, 2, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_ECDSA_SECP256K1, 32);
    import_key(ring, 3, SENTINEL_PURPOSE_MESSAGE, SENTINEL_ALGORITHM_BIP340, 32);
    import_key(ring, 4, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256, 64);
    import_key(ring, 5, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256, 65);
    import_key(ring, 6, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256, SECRET_MAX_BYTES);
    import_key(ring, 7, SENTINEL_PURPOSE_RECEIPT, SENTINEL_ALGORITHM_ED25519, 32);
    import_key(ring, 8, SENTINEL_PURPOSE_AUTHORITY, SENTINEL_ALGORITHM_ED25519, 32);
}

static void sign_with_each_key(sentinel_keyring *ring) {
    static const uint8_t bytes[300] = "symbol=BTCUSDT&side=BUY";
    const uint8_t digest32[32] = {7};
    sentinel_signature signature;
    uint8_t bytes64[64];
    for (uint32_t id = 1; id <= 6; id++) {
        for (size_t size = 0; size <= sizeof bytes; size += 75) {
            expect_ok(sentinel_sign(ring, &signature, id, bytes, size), "sign");
            (void)VALGRIND_MAKE_MEM_DEFINED(&signature, sizeof signature);
        }
    }
    for (uint32_t id = 2; id <= 3; id++) {
        expect_ok(sentinel_sign_digest(ring, &signature, id, digest32), "sign_digest");
        (void)VALGRIND_MAKE_MEM_DEFINED(&signature, sizeof signature);
    }
    for (uint32_t id = 7; id <= 8; id++) {
        expect_ok(sentinel_sign_frame(ring, bytes64, id, "sentinel-head-v1", digest32),
                  "sign_frame");
    }
    expect_ok(sentinel_sign_salts(ring, bytes64, 7, 1, 2), "sign_salts");
    hash_chain chain = hash_first;
    sign_salts_ahead(ring, 7, 1, 3, &chain, bytes);
    expect_ok(sentinel_sign_salts(ring, bytes64, 7, 1, 3), "sign_salts, made ahead");
}

/* The pool's part of the key and what was drawn are secret, and so is all that
 * was computed from them. A batch is filled, and then used up. */
static void sign_with_nonces(sentinel_keyring *ring) {
    static const uint8_t bytes[300] = "symbol=BTCUSDT&side=BUY";
    for (uint32_t id = 1; id <= 3; id++) {
        uint32_t made = 0;
        sentinel_nonces nonces;
        expect_ok(sentinel_nonces_start(ring, id, SENTINEL_NONCES_MIN), "nonces_start");
        sign_pool *pool = ring->slots[id - 1].pool;
        (void)VALGRIND_MAKE_MEM_UNDEFINED(pool->secret32, 32);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(pool->scalar32, 32);
        expect_ok(sentinel_nonces_fill(ring, id, &made), "nonces_fill");
        for (uint32_t i = 0; i < made; i++) {
            sentinel_signature signature;
            expect_ok(sentinel_sign(ring, &signature, id, bytes, i), "sign with a nonce");
            (void)VALGRIND_MAKE_MEM_DEFINED(&signature, sizeof signature);
        }
        expect_ok(sentinel_nonces_read(ring, id, &nonces), "nonces_read");
        if (made != SENTINEL_NONCES_BATCH || nonces.used != made || nonces.ready != 0) {
            printf("nonces: %u made, %u used\n", (unsigned)made, (unsigned)nonces.used);
            failures++;
        }
        sentinel_nonces_stop(ring, id);
    }
}

/* The passphrase stays defined: Argon2id takes addresses from it by design
 * (RFC 9106, section 3.4.1.2); the secrets that it seals must not. */
static void seal_and_unseal(sentinel_keyring *ring) {
    uint8_t sealed[4096];
    const size_t size = sentinel_keyring_sealed_bytes(ring);
    draws_are_secret = 0;
    expect_ok(sentinel_keyring_seal(ring, sealed, sizeof sealed, "passphrase", 10, 1, 8192),
              "seal");
    (void)VALGRIND_MAKE_MEM_DEFINED(sealed, size);
    sentinel_keyring *back = NULL;
    draws_are_secret = 1;
    expect_ok(sentinel_keyring_new(&back), "new");
    expect_ok(sentinel_keyring_unseal(back, sealed, size, "passphrase", 10), "unseal");
    sentinel_keyring_free(back);
}

static void generate_and_remove(sentinel_keyring *ring) {
    for (uint8_t algorithm = 1; algorithm < SENTINEL_ALGORITHM_COUNT; algorithm++) {
        sentinel_key_info info;
        memset(&info, 0, sizeof info);
        info.id = 100u + algorithm;
        info.purpose = SENTINEL_PURPOSE_MESSAGE;
        info.algorithm = algorithm;
        expect_ok(sentinel_keyring_generate(ring, &info), "generate");
        sentinel_key_info *kept = &ring->slots[ring->count - 1].info;
        (void)VALGRIND_MAKE_MEM_DEFINED(kept, sizeof *kept);
    }
    hide(ring);
    for (uint32_t id = 101; id <= 104; id++) {
        expect_ok(sentinel_keyring_remove(ring, id), "remove");
    }
    expect_ok(sentinel_keyring_remove(ring, 1), "remove");
}

int main(int argc, char **argv) {
    sentinel_keyring *ring = NULL;
    if (!RUNNING_ON_VALGRIND) {
        printf("not under valgrind: this proves nothing; use run_ctime.sh\n");
    }
    if (randombytes_set_implementation(&source) != 0 || sodium_init() < 0) {
        return 1;
    }
    draws_are_secret = 1;
    expect_ok(sentinel_keyring_new(&ring), "new");
    if (ring == NULL) {
        return 1;
    }
    import_keys(ring);
    hide(ring); /* also what the import left in the slots */
    sign_with_each_key(ring);
    sign_with_nonces(ring);
    seal_and_unseal(ring);
    if (argc > 1 && strcmp(argv[1], "plant") == 0 && ring->slots[3].secret[0] == 'k') {
        printf("a planted branch was taken\n");
    }
    generate_and_remove(ring);
    sentinel_keyring_free(ring);
    printf("%s\n", failures == 0 ? "every call was made" : "a call failed");
    return failures == 0 ? 0 : 1;
}

/* Goal: a nonce made before signs once, for what it was claimed, and leaves
 * nothing behind; whatever goes wrong, the deterministic signature is given.
 * Method: the verifying functions of the two libraries; the pool's memory read
 * from inside; forks, threads that break the rule of turns, a broken pool. */
#include <pthread.h>

#include "sign_nonces.h"
#include "sign_test.h"

enum { CAPACITY = 128, THREADS = 4 };

static sign_pool *pool_of_key(sentinel_keyring *ring, uint32_t key) {
    return sign_slot_find(ring, key)->pool;
}

static sentinel_nonces figures(const sentinel_keyring *ring, uint32_t key) {
    sentinel_nonces nonces;
    CHECK_OK(sentinel_nonces_read(ring, key, &nonces));
    return nonces;
}

static void fill_whole(sentinel_keyring *ring, uint32_t key) {
    uint32_t made = 0;
    do {
        CHECK_OK(sentinel_nonces_fill(ring, key, &made));
    } while (made > 0);
}

/* A ring whose key 1 is of this algorithm and has a full pool. */
static sentinel_keyring *ring_with_pool(int algorithm, sentinel_key_info *info) {
    sentinel_keyring *ring = ring_new();
    *info = import(ring, 1, SENTINEL_PURPOSE_MESSAGE, algorithm);
    CHECK_OK(sentinel_nonces_start(ring, 1, CAPACITY));
    fill_whole(ring, 1);
    CHECK_EQ(figures(ring, 1).ready, CAPACITY);
    return ring;
}

static void message_of(char text[16], int i) {
    (void)snprintf(text, 16, "order %d", i);
}

static void every_signature_verifies_and_shows_a_nonce_of_its_own(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info;
        sentinel_keyring *ring = ring_with_pool(algorithm, &info);
        static uint8_t shown[8 * CAPACITY][32];
        int ids = 0;
        for (int i = 0; i < 8 * CAPACITY; i++) {
            char text[16];
            message_of(text, i);
            fill_whole(ring, 1);
            sentinel_signature signature = signature_of(ring, 1, text);
            CHECK_OK(verify(&info, &signature, text));
            memcpy(shown[i], signature.bytes, 32);
            ids |= 1 << signature.recovery_id;
            for (int j = 0; j < i; j++) {
                CHECK(memcmp(shown[i], shown[j], 32) != 0);
            }
        }
        CHECK_EQ(ids, algorithm == ECDSA ? 3 : 1); /* 2 and 3 come once in 2^127 */
        sentinel_nonces nonces = figures(ring, 1);
        CHECK_EQ(nonces.used, 8 * CAPACITY);
        CHECK_EQ(nonces.burnt, 0);
        CHECK_EQ(nonces.missed, 0);
        CHECK_EQ(sentinel_keyring_uses(ring, 1), 8 * CAPACITY);
        sentinel_keyring_free(ring);
    }
}

static void an_empty_pool_gives_the_deterministic_signature(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_keyring *ring = ring_new();
        (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, algorithm);
        sentinel_signature plain = signature_of(ring, 1, "text");
        CHECK_OK(sentinel_nonces_start(ring, 1, SENTINEL_NONCES_MIN));
        sentinel_signature missed = signature_of(ring, 1, "text");
        CHECK_BYTES(&missed, &plain, sizeof plain);
        CHECK_EQ(figures(ring, 1).missed, 1);
        fill_whole(ring, 1);
        for (uint32_t i = 0; i < SENTINEL_NONCES_MIN; i++) {
            sentinel_signature made = signature_of(ring, 1, "text");
            CHECK(memcmp(&made, &plain, sizeof plain) != 0);
        }
        missed = signature_of(ring, 1, "text");
        CHECK_BYTES(&missed, &plain, sizeof plain);
        sentinel_nonces nonces = figures(ring, 1);
        CHECK_EQ(nonces.used, SENTINEL_NONCES_MIN);
        CHECK_EQ(nonces.missed, 2);
        CHECK_EQ(nonces.ready, 0);
        sentinel_keyring_free(ring);
    }
}

/* Whether these bytes stand anywhere in the pool. */
static int pool_holds(const sign_pool *pool, const uint8_t bytes32[32]) {
    const uint8_t *memory = (const uint8_t *)pool;
    const size_t size = sizeof *pool + pool->capacity * sizeof pool->nonces[0];
    for (size_t i = 0; i + 32 <= size; i++) {
        if (memcmp(memory + i, bytes32, 32) == 0) {
            return 1;
        }
    }
    return 0;
}

static void what_was_used_is_erased_in_the_pool(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info;
        sentinel_keyring *ring = ring_with_pool(algorithm, &info);
        sign_pool *pool = pool_of_key(ring, 1);
        for (uint32_t i = 0; i < CAPACITY; i++) {
            const sign_nonce before = pool->nonces[i];
            CHECK_EQ(before.ready, i + 1);
            CHECK(pool_holds(pool, before.scalar32));
            sentinel_signature signature = signature_of(ring, 1, "text");
            CHECK_BYTES(signature.bytes, before.shown32, 32);
            static const sign_nonce nothing;
            CHECK_BYTES(&pool->nonces[i], &nothing, sizeof nothing);
            CHECK(!pool_holds(pool, before.scalar32));
            CHECK(!pool_holds(pool, before.shown32));
        }
        pool->next = 0; /* whatever the count says, an erased place does not sign */
        sentinel_signature unmade;
        CHECK_EQ(sign_with_nonce(&unmade, pool, (const uint8_t *)"text", 4), 0);
        pool->next = CAPACITY;
        static const uint8_t none[SENTINEL_NONCES_BATCH][32];
        CHECK_BYTES(pool->fresh, none, sizeof none);
        CHECK_BYTES(pool->drafts, none, sizeof none);
        CHECK_BYTES(pool->chain, none, sizeof none);
        sentinel_keyring_free(ring);
    }
}

static int child_finds_nothing(void *data) {
    sentinel_keyring *ring = data;
    sentinel_signature signature;
    sentinel_nonces nonces;
    uint32_t made = 0;
    return sentinel_sign(ring, &signature, 1, (const uint8_t *)"text", 4) == SENTINEL_KEY_WIPED &&
                   sentinel_nonces_fill(ring, 1, &made) == SENTINEL_KEY_WIPED &&
                   sentinel_nonces_read(ring, 1, &nonces) == SENTINEL_KEY_WIPED &&
                   sentinel_nonces_start(ring, 1, CAPACITY) == SENTINEL_KEY_WIPED
               ? 0
               : 1;
}

static int child_signs_with_nothing(void *data) {
    sign_pool *pool = data;
    sentinel_signature signature;
    static const sign_nonce nothing;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (memcmp(&pool->nonces[i], &nothing, sizeof nothing) != 0) {
            return 1;
        }
    }
    pool->capacity = CAPACITY; /* as if only the nonces were wiped */
    pool->live = SIGN_LIVE;
    return sign_with_nonce(&signature, pool, (const uint8_t *)"text", 4);
}

static void a_forked_child_has_no_nonces(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info;
        sentinel_keyring *ring = ring_with_pool(algorithm, &info);
        CHECK_EQ(in_child(child_finds_nothing, ring), 0);
        CHECK_EQ(in_child(child_signs_with_nothing, pool_of_key(ring, 1)), 0);
        sentinel_signature signature = signature_of(ring, 1, "text"); /* the parent's are there */
        CHECK_OK(verify(&info, &signature, "text"));
        CHECK_EQ(figures(ring, 1).used, 1);
        sentinel_keyring_free(ring);
    }
}

static void a_pool_is_refused_where_none_belongs(void) {
    static const uint32_t wrong[] = {0, 1, 32, 63, 65, 96, 1u << 21, UINT32_MAX};
    sentinel_keyring *ring = ring_new();
    uint32_t made = 7;
    sentinel_nonces nonces;
    (void)import(ring, 1, SENTINEL_PURPOSE_VENUE, HMAC);
    (void)import(ring, 2, SENTINEL_PURPOSE_RECEIPT, ED25519);
    (void)import(ring, 3, SENTINEL_PURPOSE_AUTHORITY, ED25519);
    (void)import(ring, 4, SENTINEL_PURPOSE_VENUE, ED25519);
    for (uint32_t key = 1; key <= 3; key++) {
        CHECK_EQ(sentinel_nonces_start(ring, key, CAPACITY), SENTINEL_KEY_PURPOSE);
    }
    CHECK_EQ(sentinel_nonces_start(ring, 9, CAPACITY), SENTINEL_KEY_UNKNOWN);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(sentinel_nonces_start(ring, 4, wrong[i]), SENTINEL_USAGE_ARGUMENT);
    }
    CHECK_EQ(sentinel_nonces_fill(ring, 4, &made), SENTINEL_USAGE_STATE);
    CHECK_EQ(made, 0);
    CHECK_EQ(sentinel_nonces_fill(ring, 9, &made), SENTINEL_KEY_UNKNOWN);
    CHECK_EQ(sentinel_nonces_read(ring, 4, &nonces), SENTINEL_USAGE_STATE);
    CHECK_OK(sentinel_nonces_start(ring, 4, SENTINEL_NONCES_MIN));
    CHECK_EQ(sentinel_nonces_start(ring, 4, SENTINEL_NONCES_MIN), SENTINEL_USAGE_STATE);
    sentinel_nonces_stop(ring, 4);
    sentinel_nonces_stop(ring, 4);
    sentinel_nonces_stop(ring, 9);
    CHECK_OK(sentinel_nonces_start(ring, 4, SENTINEL_NONCES_MIN));
    sentinel_keyring_free(ring);
}

/* n - 1, n, n + 1, 0 and the largest: z is 0 for two of them, and then no
 * nonce serves: it is burnt, and the deterministic path signs. */
static void digests_at_the_order_are_signed(void) {
    static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
                                      0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b,
                                      0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
    uint8_t digests[5][32];
    memcpy(digests[0], order, 32);
    digests[0][31]--;
    memcpy(digests[1], order, 32);
    memcpy(digests[2], order, 32);
    digests[2][31]++;
    memset(digests[3], 0, 32);
    memset(digests[4], 0xff, 32);
    for (int algorithm = ECDSA; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info;
        sentinel_keyring *ring = ring_with_pool(algorithm, &info);
        for (size_t i = 0; i < 5; i++) {
            for (int times = 0; times < 8; times++) {
                sentinel_signature signature;
                CHECK_OK(sentinel_sign_digest(ring, &signature, 1, digests[i]));
                CHECK(algorithm == ECDSA
                          ? sign_ecdsa_verify(info.public_key, &signature, digests[i])
                          : sign_bip340_verify(info.public_key, signature.bytes, digests[i]));
            }
        }
        sentinel_nonces nonces = figures(ring, 1);
        CHECK_EQ(nonces.burnt, algorithm == ECDSA ? 16 : 0);
        CHECK_EQ(nonces.used + nonces.burnt, 40);
        CHECK_EQ(nonces.ready, CAPACITY - 40);
        sentinel_keyring_free(ring);
    }
}

static void a_fill_that_fails_leaves_nothing(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info info = import(ring, 1, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    uint32_t made = 7;
    CHECK_OK(sentinel_nonces_start(ring, 1, CAPACITY));
    sign_pool *pool = pool_of_key(ring, 1);
    memset(pool->scalar32, 0, 32); /* no scalar: every product fails */
    CHECK_EQ(sentinel_nonces_fill(ring, 1, &made), SENTINEL_CRYPTO_FAILED);
    CHECK_EQ(made, 0);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        CHECK(bytes_are_zero(&pool->nonces[i], sizeof pool->nonces[i]));
    }
    CHECK(bytes_are_zero(pool->drafts, sizeof pool->drafts));
    CHECK(bytes_are_zero(pool->chain, sizeof pool->chain));
    sentinel_signature signature = signature_of(ring, 1, "text");
    CHECK_OK(verify(&info, &signature, "text"));
    CHECK_EQ(figures(ring, 1).missed, 1);
    CHECK_EQ(figures(ring, 1).made, 0);
    sentinel_keyring_free(ring);
}

static const char *stuck_name(void) {
    return "stuck";
}

static uint32_t stuck_random(void) {
    return 0x5a5a5a5a;
}

static void stuck_buf(void *const buf, const size_t size) {
    memset(buf, 0x5a, size);
}

static sign_nonce stuck_first(sentinel_keyring *ring, uint32_t key) {
    uint32_t made = 0;
    CHECK_OK(sentinel_nonces_start(ring, key, CAPACITY));
    CHECK_OK(sentinel_nonces_fill(ring, key, &made));
    return pool_of_key(ring, key)->nonces[0];
}

/* The count tells candidates of one pool apart, the key those of two keys, the
 * origin those of two pools of one secret. */
static void a_stuck_source_of_randomness_repeats_no_nonce(void) {
    static randombytes_implementation stuck = {
        .implementation_name = stuck_name, .random = stuck_random, .buf = stuck_buf};
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_keyring *ring = ring_new();
        (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, algorithm);
        (void)import(ring, 2, SENTINEL_PURPOSE_MESSAGE, algorithm);
        CHECK_OK(sentinel_nonces_start(ring, 1, CAPACITY));
        CHECK_OK(sentinel_nonces_start(ring, 2, CAPACITY));
        CHECK_EQ(randombytes_set_implementation(&stuck), 0);
        fill_whole(ring, 1);
        fill_whole(ring, 2);
        CHECK_EQ(randombytes_set_implementation(&randombytes_sysrandom_implementation), 0);
        const sign_nonce *first = pool_of_key(ring, 1)->nonces;
        const sign_nonce *second = pool_of_key(ring, 2)->nonces;
        for (int i = 0; i < CAPACITY; i++) {
            for (int j = 0; j < CAPACITY; j++) {
                CHECK(i == j || memcmp(first[i].shown32, first[j].shown32, 32) != 0);
                CHECK(memcmp(first[i].shown32, second[j].shown32, 32) != 0);
            }
        }
        CHECK_EQ(randombytes_set_implementation(&stuck), 0);
        const sign_nonce once = first[0];
        sentinel_nonces_stop(ring, 1);
        const sign_nonce again = stuck_first(ring, 1);
        CHECK(memcmp(once.shown32, again.shown32, 32) != 0);
        sentinel_key_info same = info_of(3, SENTINEL_PURPOSE_MESSAGE, algorithm);
        uint8_t secret32[32];
        secret_of(secret32, 1);
        CHECK_OK(sentinel_keyring_import(ring, &same, secret32, 32));
        const sign_nonce other = stuck_first(ring, 3);
        CHECK(memcmp(other.shown32, once.shown32, 32) != 0);
        CHECK(memcmp(other.shown32, again.shown32, 32) != 0);
        CHECK_EQ(randombytes_set_implementation(&randombytes_sysrandom_implementation), 0);
        sentinel_keyring_free(ring);
    }
}

/* ---- threads ---------------------------------------------------------------- */

static sentinel_keyring *shared_ring;
static sentinel_signature signed_by[THREADS][4096];
static int shown_count[THREADS];
static int stopping;

static void *sign_without_turns(void *data) {
    const int me = (int)(uintptr_t)data;
    sign_pool *pool = pool_of_key(shared_ring, 1);
    while (shown_count[me] < 4096) {
        sentinel_signature signature;
        const uint8_t digest32[32] = {7};
        if (sign_with_nonce(&signature, pool, digest32, 32)) {
            signed_by[me][shown_count[me]++] = signature;
        }
    }
    return NULL;
}

static void *fill_until_told(void *data) {
    uint32_t made = 0;
    (void)data;
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        if (sentinel_nonces_fill(shared_ring, 1, &made) != SENTINEL_OK) {
            abort();
        }
    }
    return NULL;
}

static int compare32(const void *a, const void *b) {
    return memcmp(a, b, 32);
}

static void threads_that_take_no_turns_share_no_nonce(void) {
    static uint8_t all[THREADS * 4096][32];
    pthread_t signers[THREADS];
    pthread_t fillers[2];
    shared_ring = ring_new();
    sentinel_key_info info = import(shared_ring, 1, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    CHECK_OK(sentinel_nonces_start(shared_ring, 1, SENTINEL_NONCES_MIN));
    fill_whole(shared_ring, 1);
    stopping = 0;
    memset(shown_count, 0, sizeof shown_count);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&fillers[i], NULL, fill_until_told, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&signers[i], NULL, sign_without_turns, (void *)(uintptr_t)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(signers[i], NULL), 0);
        for (int j = 0; j < 4096; j++) {
            const uint8_t digest32[32] = {7};
            CHECK(sign_ecdsa_verify(info.public_key, &signed_by[i][j], digest32));
            memcpy(all[i * 4096 + j], signed_by[i][j].bytes, 32);
        }
    }
    __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(fillers[i], NULL), 0);
    }
    qsort(all, THREADS * 4096, 32, compare32);
    for (int i = 1; i < THREADS * 4096; i++) {
        CHECK(memcmp(all[i - 1], all[i], 32) != 0);
    }
    sentinel_nonces nonces = figures(shared_ring, 1);
    CHECK_EQ(nonces.used, THREADS * 4096);
    CHECK_EQ(nonces.made, nonces.used + nonces.ready);
    sentinel_keyring_free(shared_ring);
}

/* ---- memory ----------------------------------------------------------------- */

static long locked_kib(void) {
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmLck: %ld", &kib);
    }
    (void)fclose(file);
    return kib;
}

static void pools_are_locked_and_go_with_their_key(void) {
    const long before = locked_kib();
    const long pool_kib = 1024 * SENTINEL_NONCE_BYTES / 1024;
    sentinel_keyring *ring = ring_new();
    (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, ED25519);
    sentinel_key_info second = import(ring, 2, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    const long with_ring = locked_kib();
    CHECK_OK(sentinel_nonces_start(ring, 1, 1024));
    CHECK_OK(sentinel_nonces_start(ring, 2, 1024));
    fill_whole(ring, 2);
    CHECK(!LOCKS_ARE_REAL || locked_kib() >= with_ring + 2 * pool_kib);
    CHECK_OK(sentinel_keyring_remove(ring, 1)); /* the other key moves up, with its pool */
    CHECK(!LOCKS_ARE_REAL || locked_kib() < with_ring + 2 * pool_kib);
    sentinel_signature signature = signature_of(ring, 2, "text");
    CHECK_OK(verify(&second, &signature, "text"));
    CHECK_EQ(figures(ring, 2).used, 1);
    sentinel_keyring_free(ring);
    CHECK_EQ(locked_kib(), before);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(every_signature_verifies_and_shows_a_nonce_of_its_own);
    RUN(an_empty_pool_gives_the_deterministic_signature);
    RUN(what_was_used_is_erased_in_the_pool);
    RUN(a_forked_child_has_no_nonces);
    RUN(a_pool_is_refused_where_none_belongs);
    RUN(digests_at_the_order_are_signed);
    RUN(a_fill_that_fails_leaves_nothing);
    RUN(a_stuck_source_of_randomness_repeats_no_nonce);
    RUN(threads_that_take_no_turns_share_no_nonce);
    RUN(pools_are_locked_and_go_with_their_key);
    return test_end();
}

/* Goal: a nonce that has signed is nowhere in the memory of its process: pool,
 * heap, the stacks of who filled and who signed; and the key is nowhere but in
 * the pages that are locked for it. Method: a child fills in one thread, signs
 * in another and then stands still; its parent computes every nonce from the
 * signatures and the child's key, and reads all that the child can write
 * (/proc/PID/mem) for any eight bytes of any form in which a library holds it.
 * What is left on purpose must be seen. Once more with an Ed25519 key that has no
 * pool: its nonces are hashed from its prefix, which is a key as well. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "sign_nonces.h"
#include "sign_test.h"

enum { NONCES = 64, TABLE = 1 << 16 };
enum { NOTHING = 0, NONCE_ON_STACK = 1, INVERSE_ON_HEAP = 2, DRAFT_IN_POOL = 3, KEY_ON_STACK = 4 };

/* What child and parent share. */
typedef struct shared {
    int done;             /* 1: all is signed */
    int is_deterministic; /* there is no pool */
    sentinel_signature signatures[NONCES];
    uint8_t public_key[32];
    uint8_t digests[NONCES][32];
    uint8_t secret[32]; /* once all is signed */
    uintptr_t ring, pool;
} shared;

static volatile uint8_t seen; /* so that no compiler leaves a plant out */

/* ---- the child -------------------------------------------------------------- */

typedef struct filler {
    sentinel_keyring *ring;
    int filled;
} filler;

/* Fills, and stands still so that its stack stays as it was left. */
static void *fill_and_stay(void *data) {
    filler *it = data;
    uint32_t made = 0;
    if (sentinel_nonces_fill(it->ring, 1, &made) != SENTINEL_OK || made != NONCES) {
        _exit(3);
    }
    __atomic_store_n(&it->filled, 1, __ATOMIC_RELEASE);
    for (;;) {
        (void)pause();
    }
    return NULL;
}

static void stand_still(shared *common, const sentinel_keyring *ring) {
    common->ring = (uintptr_t)ring;
    common->pool = (uintptr_t)ring->slots[0].pool;
    memcpy(common->secret, ring->slots[0].secret, 32);
    __atomic_store_n(&common->done, 1, __ATOMIC_RELEASE); /* nothing is called any more */
    for (;;) {
    }
}

/* Leaves 32 bytes behind, where a function that forgot to erase would. */
__attribute__((noinline)) static void leave_on_stack(const uint8_t bytes32[32]) {
    volatile uint8_t deep[4096];
    for (int i = 0; i < 32; i++) {
        deep[64 + i] = bytes32[i];
    }
    seen = deep[64];
}

static void child_signs_without_pool(shared *common, sentinel_keyring *ring, int plant) {
    for (int i = 0; i < NONCES; i++) {
        if (sentinel_sign(ring, &common->signatures[i], 1, common->digests[i], 32) != SENTINEL_OK) {
            _exit(6);
        }
    }
    if (plant == KEY_ON_STACK) {
        leave_on_stack(ring->slots[0].ed25519.prefix32);
    }
    stand_still(common, ring);
}

static void child_runs(shared *common, int algorithm, int plant) {
    sentinel_keyring *ring = NULL;
    filler it = {0};
    pthread_t thread;
    static uint8_t kept[NONCES][32];
    sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, algorithm);
    if (sentinel_keyring_new(&ring) != SENTINEL_OK ||
        sentinel_keyring_generate(ring, &info) != SENTINEL_OK) {
        _exit(4);
    }
    sodium_stackzero(1 << 15); /* making a key may leave it here: another matter */
    memcpy(common->public_key, info.public_key, 32);
    if (common->is_deterministic) {
        child_signs_without_pool(common, ring, plant);
    }
    it.ring = ring;
    if (sentinel_nonces_start(ring, 1, NONCES) != SENTINEL_OK ||
        pthread_create(&thread, NULL, fill_and_stay, &it) != 0) {
        _exit(5);
    }
    while (!__atomic_load_n(&it.filled, __ATOMIC_ACQUIRE)) {
    }
    sign_pool *pool = ring->slots[0].pool;
    if (plant == DRAFT_IN_POOL) {
        memcpy(pool->drafts[3], pool->nonces[3].scalar32, 32);
    }
    if (plant == INVERSE_ON_HEAP) {
        memcpy(kept[7], pool->nonces[7].scalar32, 32);
        seen = kept[7][31];
    }
    for (int i = 0; i < NONCES; i++) {
        uint8_t last[32];
        memcpy(last, pool->nonces[i].scalar32, plant == NONCE_ON_STACK ? 32 : 0);
        if (sentinel_sign_digest(ring, &common->signatures[i], 1, common->digests[i]) !=
                SENTINEL_OK &&
            sentinel_sign(ring, &common->signatures[i], 1, common->digests[i], 32) != SENTINEL_OK) {
            _exit(6);
        }
        if (plant == NONCE_ON_STACK) {
            leave_on_stack(last);
            bytes_wipe(last, sizeof last);
        }
    }
    if (plant == KEY_ON_STACK) {
        leave_on_stack(pool->scalar32);
    }
    stand_still(common, ring);
}

/* ---- what is searched for ---------------------------------------------------- */

/* Eight-byte patterns in an open hash table; never what is searched itself. */
static uint64_t table[TABLE];
static int pattern_count;

static void search_anew(void) {
    memset(table, 0, sizeof table);
    pattern_count = 0;
}

static void search_for_word(uint64_t word) {
    uint64_t at = word * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    if (word == 0 || word + 1 == 0) {
        return;
    }
    while (table[at] != 0 && table[at] != word) {
        at = (at + 1) % TABLE;
    }
    pattern_count += table[at] == 0;
    table[at] = word;
}

static int is_searched_for(uint64_t word) {
    uint64_t at = word * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    while (table[at] != 0 && table[at] != word) {
        at = (at + 1) % TABLE;
    }
    return word != 0 && table[at] == word;
}

/* Each limb of 32 bytes, as they are and turned round: libsecp256k1's scalars
 * are four words, the lowest first, of what is passed highest first. */
static void search_for_bytes(const uint8_t x32[32]) {
    uint8_t turned[32];
    uint64_t word;
    for (int i = 0; i < 32; i++) {
        turned[i] = x32[31 - i];
    }
    for (int i = 0; i < 32; i += 8) {
        memcpy(&word, x32 + i, 8);
        search_for_word(word);
        memcpy(&word, turned + i, 8);
        search_for_word(word);
    }
}

/* libsodium multiplies the base point by signed digits of four bits, one in a
 * byte. */
static void search_for_digits(const uint8_t x32[32]) {
    int8_t digits[64];
    uint64_t word;
    int carry = 0;
    for (int i = 0; i < 32; i++) {
        digits[2 * i] = (int8_t)(x32[i] & 15);
        digits[2 * i + 1] = (int8_t)(x32[i] >> 4);
    }
    for (int i = 0; i < 64; i += 8) {
        memcpy(&word, digits + i, 8);
        search_for_word(word);
    }
    for (int i = 0; i < 63; i++) {
        digits[i] = (int8_t)(digits[i] + carry);
        carry = (digits[i] + 8) >> 4;
        digits[i] = (int8_t)(digits[i] - carry * 16);
    }
    for (int i = 0; i < 56; i += 8) { /* the last eight carry into the top */
        memcpy(&word, digits + i, 8);
        search_for_word(word);
    }
}

static secp256k1_context *context;

static const secp256k1_context *curve(void) {
    return context;
}

static void multiply(uint8_t x32[32], const uint8_t y32[32]) {
    CHECK(secp256k1_ec_seckey_tweak_mul(curve(), x32, y32));
}

/* By Fermat, with a loop of its own: n - 2 has ones from the top but in the
 * places that it is asked for. */
static void invert(uint8_t x32[32]) {
    static const uint8_t exponent[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
                                         0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b,
                                         0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x3f};
    uint8_t power[32] = {0};
    power[31] = 1;
    for (int bit = 255; bit >= 0; bit--) {
        uint8_t square[32];
        memcpy(square, power, 32);
        multiply(power, square);
        if ((exponent[31 - bit / 8] >> (bit % 8) & 1) != 0) {
            multiply(power, x32);
        }
    }
    memcpy(x32, power, 32);
}

/* k and -k, their inverses, and k^-1 r d: s and the digest give them. */
static void search_for_ecdsa(const sentinel_signature *signature, const uint8_t key32[32],
                             const uint8_t digest32[32]) {
    uint8_t k[32], inverse[32], product[32];
    memcpy(inverse, signature->bytes + 32, 32);
    invert(inverse);
    memcpy(k, key32, 32);
    multiply(k, signature->bytes);
    CHECK(secp256k1_ec_seckey_tweak_add(curve(), k, digest32));
    multiply(k, inverse); /* k = s^-1 (z + r d) */
    memcpy(inverse, k, 32);
    invert(inverse);
    memcpy(product, inverse, 32);
    multiply(product, signature->bytes);
    multiply(product, key32);
    for (int sign = 0; sign < 2; sign++) {
        search_for_bytes(k);
        search_for_bytes(inverse);
        search_for_bytes(product);
        CHECK(secp256k1_ec_seckey_negate(curve(), k));
        CHECK(secp256k1_ec_seckey_negate(curve(), inverse));
        CHECK(secp256k1_ec_seckey_negate(curve(), product));
    }
}

/* k = s - e d, of the d whose point has an even y. */
static void search_for_bip340(const sentinel_signature *signature, const uint8_t key32[32],
                              const uint8_t public32[32], const uint8_t digest32[32]) {
    static const char tag[] = "BIP0340/challenge";
    uint8_t challenge[32 + 32 + 96], e[32], k[32];
    secp256k1_pubkey point;
    uint8_t point33[33];
    size_t size = sizeof point33;
    CHECK(secp256k1_ec_pubkey_create(curve(), &point, key32));
    CHECK(secp256k1_ec_pubkey_serialize(curve(), point33, &size, &point, SECP256K1_EC_COMPRESSED));
    crypto_hash_sha256(challenge, (const uint8_t *)tag, sizeof tag - 1);
    memcpy(challenge + 32, challenge, 32);
    memcpy(challenge + 64, signature->bytes, 32);
    memcpy(challenge + 96, public32, 32);
    memcpy(challenge + 128, digest32, 32);
    crypto_hash_sha256(e, challenge, sizeof challenge);
    multiply(e, key32);
    if (point33[0] == 2) {
        CHECK(secp256k1_ec_seckey_negate(curve(), e));
    }
    memcpy(k, signature->bytes + 32, 32);
    CHECK(secp256k1_ec_seckey_tweak_add(curve(), k, e));
    for (int sign = 0; sign < 2; sign++) {
        search_for_bytes(k);
        CHECK(secp256k1_ec_seckey_negate(curve(), k));
    }
}

/* r = s - H(R || A || M) a. */
static void search_for_ed25519(const sentinel_signature *signature, const uint8_t key32[32],
                               const uint8_t public32[32], const uint8_t digest32[32]) {
    uint8_t input[96], hash[64], r[32];
    memcpy(input, signature->bytes, 32);
    memcpy(input + 32, public32, 32);
    memcpy(input + 64, digest32, 32);
    crypto_hash_sha512(hash, input, sizeof input);
    crypto_core_ed25519_scalar_reduce(r, hash);
    crypto_core_ed25519_scalar_mul(r, r, key32);
    crypto_core_ed25519_scalar_sub(r, signature->bytes + 32, r);
    uint8_t point[32];
    CHECK_EQ(crypto_scalarmult_ed25519_base_noclamp(point, r), 0);
    CHECK_BYTES(point, signature->bytes, 32); /* it is the nonce */
    search_for_bytes(r);
    search_for_digits(r);
    uint8_t product[32]; /* H a, which s gives r for */
    crypto_core_ed25519_scalar_sub(product, signature->bytes + 32, r);
    search_for_bytes(product);
    uint8_t over[32], sum[32]; /* r/a, which is kept, and r/a + H */
    CHECK_EQ(crypto_core_ed25519_scalar_invert(over, key32), 0);
    crypto_core_ed25519_scalar_mul(over, over, r);
    search_for_bytes(over);
    crypto_core_ed25519_scalar_reduce(sum, hash);
    sodium_add(sum, over, sizeof sum);
    search_for_bytes(sum);
}

/* ---- the search --------------------------------------------------------------- */

/* Where the key may stand. */
static int is_for_keys(const shared *common, uintptr_t at) {
    const size_t pool = sizeof(sign_pool) + NONCES * sizeof(sign_nonce);
    return at - common->ring < sizeof(sentinel_keyring) || at - common->pool < pool ||
           at - (uintptr_t)common < sizeof *common;
}

/* How many places of the child's memory hold a pattern. */
static int places_in(pid_t child, const shared *common, int for_key) {
    static uint8_t chunk[1 << 16];
    char path[64], line[512];
    int found = 0;
    size_t searched = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/mem", (int)child);
    int memory = open(path, O_RDONLY);
    CHECK(memory >= 0);
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
    FILE *maps = fopen(path, "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char access[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, access) != 3 || strncmp(access, "rw", 2) != 0) {
            continue;
        }
        for (unsigned long at = from; at < to; at += sizeof chunk - 8) {
            ssize_t got = pread(memory, chunk, sizeof chunk, (off_t)at);
            for (ssize_t i = 0; i + 8 <= got; i++) {
                uint64_t word;
                memcpy(&word, chunk + i, 8);
                const uintptr_t where = at + (uintptr_t)i;
                if (is_searched_for(word) && !(for_key && is_for_keys(common, where))) {
                    if (found++ < 4) {
                        printf("    at %lx of %s", at + (unsigned long)i, line);
                    }
                }
            }
            searched += got > 0 ? (size_t)got : 0;
        }
    }
    (void)fclose(maps);
    close(memory);
    CHECK(searched > 256 * 1024);
    return found;
}

/* d; of Ed25519, a. */
static void scalar_of(uint8_t scalar32[32], const uint8_t secret32[32], int algorithm) {
    uint8_t hash[64], wide[64] = {0};
    memcpy(scalar32, secret32, 32);
    if (algorithm == ED25519) {
        crypto_hash_sha512(hash, secret32, 32);
        hash[0] &= 248;
        hash[31] &= 127;
        hash[31] |= 64;
        memcpy(wide, hash, 32);
        crypto_core_ed25519_scalar_reduce(scalar32, wide);
    }
}

static void search_for_nonces(const shared *common, int algorithm) {
    uint8_t scalar32[32];
    scalar_of(scalar32, common->secret, algorithm);
    for (int i = 0; i < NONCES; i++) {
        const sentinel_signature *signature = &common->signatures[i];
        if (algorithm == ED25519) {
            search_for_ed25519(signature, scalar32, common->public_key, common->digests[i]);
        } else if (algorithm == ECDSA) {
            search_for_ecdsa(signature, scalar32, common->digests[i]);
        } else {
            search_for_bip340(signature, scalar32, common->public_key, common->digests[i]);
        }
    }
    CHECK(pattern_count >= NONCES * 15);
}

/* What Ed25519 hashes its nonces from: as it is kept, and as SHA-512's first four
 * words with their constants (FIPS 180-4 section 4.2.3), which are laid out ahead. */
static void search_for_prefix(const uint8_t secret32[32]) {
    static const uint64_t constants[4] = {
        UINT64_C(0x428a2f98d728ae22), UINT64_C(0x7137449123ef65cd), UINT64_C(0xb5c0fbcfec4d3b2f),
        UINT64_C(0xe9b5dba58189dbbc)};
    uint8_t hash[64];
    crypto_hash_sha512(hash, secret32, 32);
    search_for_bytes(hash + 32);
    for (int i = 0; i < 4; i++) {
        uint64_t word;
        memcpy(&word, hash + 32 + 8 * i, sizeof word);
        search_for_word(__builtin_bswap64(word) + constants[i]);
    }
}

static void search_for_key(const shared *common, int algorithm) {
    uint8_t scalar32[32];
    scalar_of(scalar32, common->secret, algorithm);
    search_for_bytes(common->secret);
    search_for_bytes(scalar32);
    if (algorithm == ED25519) {
        search_for_prefix(common->secret);
        CHECK_EQ(crypto_core_ed25519_scalar_invert(scalar32, scalar32), 0);
    } else {
        CHECK(secp256k1_ec_seckey_negate(curve(), scalar32));
    }
    search_for_bytes(scalar32);
    CHECK(pattern_count >= 15);
}

typedef struct places {
    int of_nonces;
    int of_key;
} places;

static places places_after_signing(int algorithm, int is_deterministic, int plant) {
    places found;
    shared *common =
        mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(common != MAP_FAILED);
    randombytes_buf(common->digests, sizeof common->digests);
    common->is_deterministic = is_deterministic;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        child_runs(common, algorithm, plant);
    }
    CHECK(child > 0);
    for (int ms = 0; ms < 20000 && !__atomic_load_n(&common->done, __ATOMIC_ACQUIRE); ms++) {
        usleep(1000);
    }
    CHECK_EQ(kill(child, SIGSTOP), 0);
    CHECK_EQ(common->done, 1);
    search_anew();
    search_for_nonces(common, algorithm);
    found.of_nonces = places_in(child, common, 0);
    search_anew();
    search_for_key(common, algorithm);
    found.of_key = places_in(child, common, 1);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)munmap(common, sizeof *common);
    return found;
}

static void a_used_nonce_is_nowhere_in_memory(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        for (int times = 0; times < 20; times++) {
            const places found = places_after_signing(algorithm, 0, NOTHING);
            CHECK_EQ(found.of_nonces, 0);
            CHECK_EQ(found.of_key, 0);
        }
    }
}

static void one_that_is_left_anywhere_is_seen(void) {
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        for (int plant = NONCE_ON_STACK; plant <= KEY_ON_STACK; plant++) {
            const places found = places_after_signing(algorithm, 0, plant);
            CHECK((plant == KEY_ON_STACK ? found.of_key : found.of_nonces) > 0);
            CHECK_EQ(plant == KEY_ON_STACK ? found.of_nonces : found.of_key, 0);
        }
    }
}

static void nor_is_one_that_was_hashed_from_key_and_message(void) {
    for (int times = 0; times < 20; times++) {
        const places found = places_after_signing(ED25519, 1, NOTHING);
        CHECK_EQ(found.of_nonces, 0);
        CHECK_EQ(found.of_key, 0);
    }
    CHECK(places_after_signing(ED25519, 1, KEY_ON_STACK).of_key > 0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 1;
    }
    context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    RUN(a_used_nonce_is_nowhere_in_memory);
    RUN(one_that_is_left_anywhere_is_seen);
    RUN(nor_is_one_that_was_hashed_from_key_and_message);
    secp256k1_context_destroy(context);
    return test_end();
}

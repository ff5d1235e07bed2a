/* Goal: a keyring takes exactly the documented keys, and its memory is locked,
 * left out of core dumps and wiped in a forked child. Method: each limit at
 * the edge and one past it; the kernel's own account of the mapping. */
#include "sign_test.h"

#include <sys/resource.h>

#include "sign_internal.h"

static const uint8_t group_order[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

static void a_secret_has_the_size_of_its_algorithm(void) {
    uint8_t secret[SENTINEL_SECRET_BYTES_MAX + 1];
    memset(secret, 'k', sizeof secret);
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        for (size_t size = 0; size <= sizeof secret; size++) {
            sentinel_keyring *ring = ring_new();
            sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, algorithm);
            const int right =
                algorithm == HMAC ? size >= 1 && size <= SENTINEL_SECRET_BYTES_MAX : size == 32;
            CHECK_EQ(sentinel_keyring_import(ring, &info, secret, size),
                     right ? 0 : SENTINEL_KEY_INVALID);
            CHECK_EQ(sentinel_keyring_count(ring), right);
            if (!right) { /* a refused secret is not left behind */
                CHECK(sodium_is_zero(ring->slots[0].secret, sizeof ring->slots[0].secret));
            }
            sentinel_keyring_free(ring);
        }
    }
}

static void a_scalar_is_between_zero_and_the_order(void) {
    static const struct {
        int from_order, distance, right;
    } rows[] = {{0, 0, 0}, {0, 1, 1}, {1, -1, 1}, {1, 0, 0}, {1, 1, 0}, {1, 0xbe, 0}};
    for (int algorithm = ECDSA; algorithm <= BIP340; algorithm++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            uint8_t scalar[32] = {0};
            sentinel_keyring *ring = ring_new();
            sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, algorithm);
            if (rows[i].from_order) {
                memcpy(scalar, group_order, 32);
            }
            scalar[31] = (uint8_t)(scalar[31] + rows[i].distance);
            CHECK_EQ(sentinel_keyring_import(ring, &info, scalar, 32),
                     rows[i].right ? 0 : SENTINEL_KEY_INVALID);
            CHECK_EQ(sentinel_keyring_count(ring), rows[i].right);
            CHECK_EQ(sodium_is_zero((uint8_t *)&ring->slots[0], sizeof ring->slots[0]),
                     !rows[i].right);
            sentinel_keyring_free(ring);
        }
    }
}

static sentinel_status import_status(const sentinel_key_info *info) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info in = *info;
    uint8_t secret32[32];
    secret_of(secret32, 1);
    sentinel_status imported = sentinel_keyring_import(ring, &in, secret32, sizeof secret32);
    CHECK_EQ(sentinel_keyring_count(ring), imported == SENTINEL_OK);
    sentinel_keyring_free(ring);
    ring = ring_new();
    in = *info;
    CHECK_EQ(sentinel_keyring_generate(ring, &in), imported);
    sentinel_keyring_free(ring);
    return imported;
}

static void a_description_has_each_field_in_its_range(void) {
    sentinel_key_info info;
    for (int purpose = 0; purpose < 256; purpose++) {
        for (int algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
            info = info_of(1, purpose, algorithm);
            const int frames =
                purpose == SENTINEL_PURPOSE_RECEIPT || purpose == SENTINEL_PURPOSE_AUTHORITY;
            const int known = purpose >= 1 && purpose < SENTINEL_PURPOSE_COUNT &&
                              purpose != SENTINEL_PURPOSE_CHAIN && algorithm >= 1 &&
                              algorithm < SENTINEL_ALGORITHM_COUNT;
            const int right = known && (!frames || algorithm == ED25519);
            CHECK_EQ(import_status(&info), right ? 0 : SENTINEL_USAGE_ARGUMENT);
        }
    }
    for (int purpose = 1; purpose < SENTINEL_PURPOSE_COUNT; purpose++) {
        for (int venue = 0; venue <= SENTINEL_VENUE_COUNT; venue++) {
            info = info_of(1, purpose, ED25519);
            info.venue = (uint16_t)venue;
            const int of_venue =
                purpose == SENTINEL_PURPOSE_VENUE || purpose == SENTINEL_PURPOSE_VENUE_MASTER;
            const int right = purpose != SENTINEL_PURPOSE_CHAIN &&
                              (of_venue ? venue >= 1 && venue < SENTINEL_VENUE_COUNT : venue == 0);
            CHECK_EQ(import_status(&info), right ? 0 : SENTINEL_USAGE_ARGUMENT);
        }
    }
    info = info_of(0, SENTINEL_PURPOSE_MESSAGE, ED25519);
    CHECK_EQ(import_status(&info), SENTINEL_USAGE_ARGUMENT);
    info.id = UINT32_MAX;
    CHECK_OK(import_status(&info));
    for (size_t i = 0; i < sizeof info.reserved; i++) {
        info = info_of(1, SENTINEL_PURPOSE_MESSAGE, ED25519);
        info.reserved[i] = 0x80;
        CHECK_EQ(import_status(&info), SENTINEL_USAGE_ARGUMENT);
    }
}

static void the_venues_name_of_a_key_is_visible_ascii(void) {
    sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_VENUE, HMAC);
    memset(info.api_key, 'a', sizeof info.api_key);
    info.api_key_size = SENTINEL_API_KEY_BYTES_MAX;
    CHECK_OK(import_status(&info));
    struct { /* what stands behind is visible too, so that only the size can be refused */
        sentinel_key_info info;
        char more[256 - SENTINEL_API_KEY_BYTES_MAX];
    } longer = {.info = info};
    memset(longer.more, 'a', sizeof longer.more);
    sentinel_keyring *ring = ring_new();
    for (int size = SENTINEL_API_KEY_BYTES_MAX + 1; size < 256; size++) {
        longer.info.api_key_size = (uint8_t)size;
        CHECK_EQ(sentinel_keyring_generate(ring, &longer.info), SENTINEL_USAGE_ARGUMENT);
    }
    info.api_key_size = 3;
    for (int c = 0; c < 256; c++) {
        memset(info.api_key, 'a', 3);
        info.api_key[2] = (char)c;
        CHECK_EQ(import_status(&info), c >= 0x21 && c <= 0x7e ? 0 : SENTINEL_USAGE_ARGUMENT);
    }
    info.api_key[2] = 'a';
    info.api_key[3] = '\n'; /* behind its end: not part of it, and not kept */
    CHECK_OK(sentinel_keyring_generate(ring, &info));
    CHECK(sodium_is_zero((const uint8_t *)info.api_key + 3, sizeof info.api_key - 3));
    sentinel_keyring_free(ring);
}

static void a_keyring_holds_sixty_four_keys_in_order(void) {
    sentinel_keyring *ring = ring_new();
    for (uint32_t i = 0; i < SENTINEL_KEYRING_KEYS_MAX; i++) {
        CHECK_EQ(sentinel_keyring_count(ring), i);
        CHECK(sentinel_keyring_at(ring, i) == NULL);
        (void)import(ring, 1000 - i, SENTINEL_PURPOSE_MESSAGE, (int)(1 + i % 4));
    }
    sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_MESSAGE, ED25519);
    CHECK_EQ(sentinel_keyring_import(ring, &info, group_order, 32), SENTINEL_KEY_FULL);
    CHECK_EQ(sentinel_keyring_generate(ring, &info), SENTINEL_KEY_FULL);
    info.id = 1000;
    CHECK_EQ(sentinel_keyring_generate(ring, &info), SENTINEL_KEY_EXISTS);
    CHECK_EQ(sentinel_keyring_remove(ring, 1), SENTINEL_KEY_UNKNOWN);
    CHECK_OK(sentinel_keyring_remove(ring, 1000 - 20));
    CHECK_OK(sentinel_keyring_remove(ring, 1000 - 63));
    CHECK_OK(sentinel_keyring_remove(ring, 1000));
    CHECK_EQ(sentinel_keyring_remove(ring, 1000), SENTINEL_KEY_UNKNOWN);
    CHECK_EQ(sentinel_keyring_count(ring), 61);
    for (uint32_t i = 0; i < 61; i++) {
        const uint32_t id = 1000 - (i < 19 ? i + 1 : i + 2);
        CHECK_EQ(sentinel_keyring_at(ring, i)->id, id);
        CHECK(sentinel_keyring_find(ring, id) == sentinel_keyring_at(ring, i));
        (void)signature_of(ring, id, "moved keys still sign");
    }
    CHECK(sentinel_keyring_at(ring, 61) == NULL);
    CHECK(sentinel_keyring_at(ring, UINT32_MAX) == NULL);
    CHECK(sentinel_keyring_find(ring, 1000) == NULL);
    CHECK(sentinel_keyring_find(ring, 0) == NULL);
    CHECK(sodium_is_zero((uint8_t *)&ring->slots[61], 3 * sizeof ring->slots[0]));
    (void)import(ring, 1000, SENTINEL_PURPOSE_MESSAGE, HMAC);
    sentinel_keyring_free(ring);
    sentinel_keyring_free(NULL);
}

static void an_id_is_taken_once(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info first = import(ring, 5, SENTINEL_PURPOSE_MESSAGE, ED25519);
    sentinel_key_info again = info_of(5, SENTINEL_PURPOSE_VENUE, HMAC);
    CHECK_EQ(sentinel_keyring_import(ring, &again, group_order, 32), SENTINEL_KEY_EXISTS);
    CHECK_EQ(sentinel_keyring_generate(ring, &again), SENTINEL_KEY_EXISTS);
    CHECK_EQ(sentinel_keyring_count(ring), 1);
    CHECK_BYTES(sentinel_keyring_find(ring, 5), &first, sizeof first);
    sentinel_keyring_free(ring);
}

static void generated_keys_differ_and_sign(void) {
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        sentinel_keyring *ring = ring_new();
        for (uint32_t id = 1; id <= 8; id++) {
            sentinel_key_info info = info_of(id, SENTINEL_PURPOSE_MESSAGE, algorithm);
            CHECK_OK(sentinel_keyring_generate(ring, &info));
            sentinel_signature signature = signature_of(ring, id, "made");
            CHECK(algorithm == HMAC || verify(&info, &signature, "made") == SENTINEL_OK);
            const sign_slot *slot = &ring->slots[id - 1];
            CHECK_EQ(slot->secret_size, algorithm == HMAC ? 64 : 32);
            CHECK_EQ(strspn((const char *)slot->secret, "0123456789abcdef") == 64,
                     algorithm == HMAC);
            CHECK(sodium_is_zero(slot->secret + slot->secret_size, 128 - slot->secret_size));
            for (uint32_t other = 0; other + 1 < id; other++) {
                CHECK(memcmp(slot->secret, ring->slots[other].secret, 32) != 0);
            }
        }
        sentinel_keyring_free(ring);
    }
}

static void a_venues_passphrase_lies_beside_its_key(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info before = import(ring, 5, SENTINEL_PURPOSE_VENUE, HMAC);
    (void)import(ring, 6, SENTINEL_PURPOSE_VENUE, HMAC);
    char longest[SENTINEL_API_PASSPHRASE_BYTES_MAX + 1];
    memset(longest, '~', sizeof longest);
    uint8_t size = 9;
    CHECK(sentinel_keyring_passphrase(ring, 5, &size) == NULL && size == 0);
    CHECK_OK(sentinel_keyring_set_passphrase(ring, 5, longest, sizeof longest - 1));
    const char *text = sentinel_keyring_passphrase(ring, 5, &size);
    CHECK(text != NULL && size == sizeof longest - 1 && memcmp(text, longest, size) == 0);
    CHECK(sentinel_keyring_passphrase(ring, 6, &size) == NULL && size == 0);
    CHECK(sentinel_keyring_passphrase(ring, 7, &size) == NULL && size == 0);
    CHECK_BYTES(sentinel_keyring_find(ring, 5), &before, sizeof before);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 5, longest, sizeof longest),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 5, "a\nb", 3), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 5, "a\x7f", 2), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 7, "a", 1), SENTINEL_KEY_UNKNOWN);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 5, " a", 2), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_set_passphrase(ring, 5, "a ", 2), SENTINEL_USAGE_ARGUMENT);
    CHECK_OK(sentinel_keyring_set_passphrase(ring, 5, "a b", 3)); /* nothing stays of the other */
    text = sentinel_keyring_passphrase(ring, 5, &size);
    CHECK(text != NULL && size == 3 && memcmp(text, "a b\0", 4) == 0);
    CHECK_OK(sentinel_keyring_set_passphrase(ring, 5, "", 0));
    CHECK(sentinel_keyring_passphrase(ring, 5, &size) == NULL && size == 0);
    sentinel_keyring_free(ring);
}

/* The layout of the fingerprint, put together with libsodium alone. */
static void a_fingerprint_is_the_documented_hash(void) {
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        sentinel_keyring *ring = ring_new();
        uint8_t secret32[32], expected32[32], bytes[16 + 5 + 4 + 40] = "sentinel-key-v1";
        sentinel_key_info info = info_of(1, SENTINEL_PURPOSE_VENUE, algorithm);
        info.venue = SENTINEL_VENUE_HYPERLIQUID;
        info.api_key_size = 4;
        memcpy(info.api_key, "name", 4);
        secret_of(secret32, 77);
        CHECK_OK(sentinel_keyring_import(ring, &info, secret32, 32));
        const uint8_t head[9] = {1, (uint8_t)algorithm, 6, 0, 4, 'n', 'a', 'm', 'e'};
        memcpy(bytes + 16, head, sizeof head);
        size_t size = 25;
        if (algorithm == HMAC) {
            crypto_auth_hmacsha256(bytes + size, (const uint8_t *)"sentinel-key-v1", 15, secret32);
            size += 32;
        } else {
            memcpy(bytes + size, info.public_key, info.public_key_size);
            size += info.public_key_size;
        }
        crypto_hash_sha256(expected32, bytes, size);
        CHECK_BYTES(info.fingerprint32, expected32, 32);
        CHECK_BYTES(sentinel_keyring_find(ring, 1), &info, sizeof info);
        sentinel_keyring_free(ring);
    }
}

/* The kernel's own account of the mapping that holds an address. */
static void flags_of(const void *address, char flags[256]) {
    char line[512];
    int inside = 0, found = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    CHECK(file != NULL);
    while (!found && fgets(line, sizeof line, file) != NULL) {
        unsigned long low = 0, high = 0;
        if (sscanf(line, "%lx-%lx ", &low, &high) == 2) {
            inside = (unsigned long)address >= low && (unsigned long)address < high;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            (void)snprintf(flags, 256, "%.250s", line + 8);
            found = 1;
        }
    }
    CHECK_EQ(fclose(file), 0);
    CHECK(found);
}

static void every_page_is_locked_undumpable_and_wiped_on_fork(void) {
    sentinel_keyring *ring = ring_new();
    const uint8_t *first = (const uint8_t *)ring;
    for (size_t at = 0; at < sizeof *ring; at += 512) {
        char flags[256];
        flags_of(first + at, flags);
        CHECK(!LOCKS_ARE_REAL || strstr(flags, " lo") != NULL);
        CHECK(strstr(flags, " dd") != NULL);
        CHECK(strstr(flags, " wf") != NULL);
    }
    char flags[256];
    flags_of(ring->secp256k1, flags); /* libsecp256k1's blinding is secret too */
    CHECK(strstr(flags, " wf") != NULL);
    sentinel_keyring_free(ring);
}

static int child_finds_nothing(void *data) {
    sentinel_keyring *ring = data;
    sentinel_signature signature;
    uint8_t out[2048], zero32[32] = {0};
    sentinel_key_info info = info_of(9, SENTINEL_PURPOSE_MESSAGE, ED25519);
    CHECK(sodium_is_zero((uint8_t *)ring, sizeof *ring));
    CHECK_EQ(sentinel_keyring_count(ring), 0);
    CHECK(sentinel_keyring_at(ring, 0) == NULL);
    CHECK(sentinel_keyring_find(ring, 1) == NULL);
    CHECK_EQ(sentinel_keyring_uses(ring, 1), 0);
    CHECK_EQ(sentinel_keyring_sealed_bytes(ring), 0);
    CHECK_EQ(sentinel_sign(ring, &signature, 1, zero32, 32), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_sign_digest(ring, &signature, 1, zero32), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_sign_frame(ring, out, 2, "sentinel-x", zero32), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_sign_salts(ring, out, 2, 1, 1), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_generate(ring, &info), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_import(ring, &info, group_order, 32), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_import(ring, &info, group_order, 0), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_seal(ring, out, sizeof out, "p", 1, 1, 8192), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_unseal(ring, out, sizeof out, "p", 1), SENTINEL_KEY_WIPED);
    CHECK_EQ(sentinel_keyring_remove(ring, 1), SENTINEL_KEY_UNKNOWN);
    sentinel_keyring_free(ring);
    return 42;
}

static void a_fork_wipes_the_childs_keys_and_not_the_parents(void) {
    sentinel_keyring *ring = ring_new();
    (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    (void)import(ring, 2, SENTINEL_PURPOSE_RECEIPT, ED25519);
    sentinel_signature before = signature_of(ring, 1, "before");
    CHECK_EQ(in_child(child_finds_nothing, ring), 42);
    sentinel_signature after = signature_of(ring, 1, "before");
    CHECK_BYTES(&before, &after, sizeof before);
    sentinel_keyring_free(ring);
}

static int child_may_not_lock(void *data) {
    (void)data;
    struct rlimit limit;
    sentinel_keyring *ring = NULL;
    const uid_t user = geteuid();
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    limit.rlim_cur = 0;
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    CHECK(user != 0 || seteuid(65534) == 0); /* root may lock beyond the limit */
    sentinel_status status = sentinel_keyring_new(&ring);
    CHECK(user != 0 || seteuid(0) == 0);
    CHECK_EQ(status, LOCKS_ARE_REAL ? SENTINEL_KEY_MEMORY : SENTINEL_OK);
    CHECK_EQ(ring == NULL, LOCKS_ARE_REAL);
    return 42;
}

static void memory_that_cannot_be_locked_is_refused(void) {
    CHECK_EQ(in_child(child_may_not_lock, NULL), 42);
}

static int child_has_no_memory(void *data) {
    (void)data;
    struct rlimit limit, none;
    sentinel_keyring *ring = NULL;
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    CHECK_EQ(setrlimit(RLIMIT_AS, &none), 0);
    sentinel_status status = sentinel_keyring_new(&ring);
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    CHECK_EQ(status, SENTINEL_IO_MEMORY);
    CHECK(ring == NULL);
    return 42;
}

static void no_memory_at_all_is_said(void) {
    CHECK_EQ(in_child(child_has_no_memory, NULL), 42);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(a_secret_has_the_size_of_its_algorithm);
    RUN(a_scalar_is_between_zero_and_the_order);
    RUN(a_description_has_each_field_in_its_range);
    RUN(the_venues_name_of_a_key_is_visible_ascii);
    RUN(a_keyring_holds_sixty_four_keys_in_order);
    RUN(an_id_is_taken_once);
    RUN(generated_keys_differ_and_sign);
    RUN(a_fingerprint_is_the_documented_hash);
    RUN(a_venues_passphrase_lies_beside_its_key);
    RUN(every_page_is_locked_undumpable_and_wiped_on_fork);
    RUN(a_fork_wipes_the_childs_keys_and_not_the_parents);
    RUN(memory_that_cannot_be_locked_is_refused);
    RUN(no_memory_at_all_is_said);
    return test_end();
}

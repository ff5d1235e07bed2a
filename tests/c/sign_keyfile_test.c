/* Goal: a key file gives back exactly the keys that went in, and only under
 * its passphrase and with not a bit changed. Method: the documented layout is
 * read and written here a second time, with libsodium alone; every byte of a
 * small file is flipped; each limit at the edge and one past it. */
#include "sign_test.h"

#include <sys/resource.h>

#include "sign_internal.h"

enum { HEADER = 72, ROW = 416, TAG = 16, KEYS = 4, SIZE = HEADER + KEYS * ROW + TAG };

static const char passphrase[] = "correct horse battery staple";
static const size_t passphrase_size = sizeof passphrase - 1;

/* One key of each algorithm; key 1 is the receipt key. */
static sentinel_keyring *four_keys(void) {
    sentinel_keyring *ring = ring_new();
    (void)import(ring, 1, SENTINEL_PURPOSE_RECEIPT, ED25519);
    (void)import(ring, 2, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    (void)import(ring, 3, SENTINEL_PURPOSE_MESSAGE, BIP340);
    sentinel_key_info info = info_of(4, SENTINEL_PURPOSE_VENUE, HMAC);
    info.api_key_size = 5;
    memcpy(info.api_key, "vmPUZ", 5);
    CHECK_OK(sentinel_keyring_import(ring, &info, (const uint8_t *)"NhqPtmdSJYdK", 12));
    CHECK_OK(sentinel_keyring_set_passphrase(ring, 4, "venue's own", 11));
    return ring;
}

static void seal(const sentinel_keyring *ring, uint8_t *out, size_t size) {
    CHECK_EQ(sentinel_keyring_sealed_bytes(ring), size);
    CHECK_OK(sentinel_keyring_seal(ring, out, size, passphrase, passphrase_size, 1, 8192));
}

static sentinel_status unseal(const uint8_t *sealed, size_t size) {
    sentinel_keyring *ring = ring_new();
    sentinel_status status =
        sentinel_keyring_unseal(ring, sealed, size, passphrase, passphrase_size);
    if (status != SENTINEL_OK) { /* nothing of a refused file stays */
        CHECK_EQ(sentinel_keyring_count(ring), 0);
        CHECK(sodium_is_zero((uint8_t *)ring->slots, sizeof ring->slots));
    }
    sentinel_keyring_free(ring);
    return status;
}

/* The key of a file, from what its header says. */
static void key_of(uint8_t key32[32], const uint8_t *sealed) {
    uint64_t opslimit, memlimit;
    memcpy(&opslimit, sealed + 16, 8);
    memcpy(&memlimit, sealed + 24, 8);
    CHECK_EQ(crypto_pwhash(key32, 32, passphrase, passphrase_size, sealed + 32, opslimit,
                           (size_t)memlimit, crypto_pwhash_ALG_ARGON2ID13),
             0);
}

static void open_rows(uint8_t *rows, const uint8_t *sealed, size_t size) {
    uint8_t key32[32];
    key_of(key32, sealed);
    CHECK_EQ(crypto_aead_xchacha20poly1305_ietf_decrypt(rows, NULL, NULL, sealed + HEADER,
                                                        size - HEADER, sealed, HEADER, sealed + 48,
                                                        key32),
             0);
}

static void close_rows(uint8_t *sealed, const uint8_t *rows, size_t rows_size) {
    uint8_t key32[32];
    key_of(key32, sealed);
    CHECK_EQ(crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + HEADER, NULL, rows, rows_size,
                                                        sealed, HEADER, NULL, sealed + 48, key32),
             0);
}

static void keys_come_back_as_they_were(void) {
    sentinel_keyring *ring = four_keys(), *back = ring_new();
    uint8_t sealed[SIZE], salts[48], salts_back[48];
    seal(ring, sealed, sizeof sealed);
    CHECK_OK(sentinel_keyring_unseal(back, sealed, sizeof sealed, passphrase, passphrase_size));
    CHECK_EQ(sentinel_keyring_count(back), KEYS);
    for (uint32_t i = 0; i < KEYS; i++) {
        CHECK_BYTES(sentinel_keyring_at(back, i), sentinel_keyring_at(ring, i),
                    sizeof(sentinel_key_info));
    }
    for (uint32_t id = 2; id <= 4; id++) {
        sentinel_signature before = signature_of(ring, id, "order");
        sentinel_signature after = signature_of(back, id, "order");
        CHECK_BYTES(&before, &after, sizeof before);
    }
    uint8_t text_size = 0;
    CHECK(sentinel_keyring_passphrase(back, 3, &text_size) == NULL && text_size == 0);
    CHECK_BYTES(sentinel_keyring_passphrase(back, 4, &text_size), "venue's own", 11);
    CHECK_EQ(text_size, 11);
    CHECK_OK(sentinel_sign_salts(ring, salts, 1, 2, 3));
    CHECK_OK(sentinel_sign_salts(back, salts_back, 1, 2, 3));
    CHECK_BYTES(salts, salts_back, 48);
    CHECK_EQ(sentinel_keyring_uses(back, 1), 0); /* uses are not in the file */
    sentinel_keyring_free(ring);
    sentinel_keyring_free(back);
}

static void the_layout_is_the_documented_one(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t sealed[SIZE], again[SIZE], rows[KEYS * ROW], secret32[32];
    seal(ring, sealed, sizeof sealed);
    const uint8_t head[32] = {'S', 'E', 'N', 'T', 'K', 'E', 'Y', 'S', 1, 0, 0, 0, 4,
                              0,   0,   0,   1,   0,   0,   0,   0,   0, 0, 0, 0, 32};
    CHECK_BYTES(sealed, head, sizeof head);
    open_rows(rows, sealed, sizeof sealed);
    for (uint32_t i = 0; i < KEYS; i++) {
        const uint8_t *row = rows + i * ROW;
        CHECK_BYTES(row, sentinel_keyring_at(ring, i), 216);
        const uint32_t size = i < 3 ? 32 : 12, text_size = i < 3 ? 0 : 11;
        CHECK_BYTES(row + 216, &size, 4);
        CHECK_BYTES(row + 220, &text_size, 4);
        secret_of(secret32, i + 1);
        CHECK_BYTES(row + 224, i < 3 ? (const char *)secret32 : "NhqPtmdSJYdK", size);
        CHECK(sodium_is_zero(row + 224 + size, 128 - size));
        CHECK_BYTES(row + 352, "venue's own", text_size);
        CHECK(sodium_is_zero(row + 352 + text_size, 64 - text_size));
    }
    seal(ring, again, sizeof again); /* salt and nonce are drawn each time */
    CHECK(memcmp(sealed + 32, again + 32, 16) != 0);
    CHECK(memcmp(sealed + 48, again + 48, 24) != 0);
    sentinel_keyring_free(ring);
}

static void an_empty_and_a_full_keyring_fit(void) {
    enum { FULL = HEADER + SENTINEL_KEYRING_KEYS_MAX * ROW + TAG };
    static uint8_t sealed[FULL];
    sentinel_keyring *ring = ring_new();
    seal(ring, sealed, HEADER + TAG);
    CHECK_OK(unseal(sealed, HEADER + TAG));
    for (uint32_t i = 1; i <= SENTINEL_KEYRING_KEYS_MAX; i++) {
        (void)import(ring, i, SENTINEL_PURPOSE_MESSAGE, (int)(1 + i % 4));
    }
    seal(ring, sealed, FULL);
    CHECK_OK(unseal(sealed, FULL));
    sealed[12] = SENTINEL_KEYRING_KEYS_MAX + 1;
    CHECK_EQ(unseal(sealed, FULL), SENTINEL_FORMAT_LIMIT);
    sentinel_keyring_free(ring);
}

/* Bits of the two limits that would ask for gigabytes are left alone; what
 * they may be is tested below. */
static void every_changed_byte_is_refused(void) {
    enum { ONE = HEADER + ROW + TAG };
    sentinel_keyring *ring = ring_new();
    (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, ED25519);
    uint8_t sealed[ONE];
    seal(ring, sealed, sizeof sealed);
    for (size_t at = 0; at < sizeof sealed; at++) {
        const int limit = at >= 16 && at < 32;
        for (unsigned bit = 0; bit < (limit ? 1u : 8u); bit++) {
            sealed[at] ^= (uint8_t)(1u << bit);
            CHECK(unseal(sealed, sizeof sealed) != SENTINEL_OK);
            sealed[at] ^= (uint8_t)(1u << bit);
        }
    }
    CHECK_OK(unseal(sealed, sizeof sealed));
    for (size_t size = 0; size < sizeof sealed; size++) {
        CHECK_EQ(unseal(sealed, size), SENTINEL_FORMAT_SIZE);
    }
    uint8_t longer[ONE + 1] = {0};
    memcpy(longer, sealed, sizeof sealed);
    CHECK_EQ(unseal(longer, sizeof longer), SENTINEL_FORMAT_SIZE);
    sentinel_keyring_free(ring);
}

static void a_header_out_of_its_form_is_named(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t good[SIZE], bad[SIZE];
    seal(ring, good, sizeof good);
    static const struct {
        size_t at, size;
        uint64_t value;
        sentinel_status status;
    } rows[] = {
        {0, 1, 's', SENTINEL_FORMAT_MAGIC},
        {8, 2, 0, SENTINEL_FORMAT_VERSION},
        {8, 2, 2, SENTINEL_FORMAT_VERSION},
        {10, 2, 1, SENTINEL_FORMAT_RESERVED},
        {10, 2, 256, SENTINEL_FORMAT_RESERVED},
        {12, 4, 3, SENTINEL_FORMAT_SIZE},
        {12, 4, 5, SENTINEL_FORMAT_SIZE},
        {12, 4, UINT32_MAX, SENTINEL_FORMAT_LIMIT},
        {16, 8, 0, SENTINEL_FORMAT_RANGE},
        {16, 8, 64, SENTINEL_KEY_PASSPHRASE}, /* taken, and then not the same file */
        {16, 8, 65, SENTINEL_FORMAT_RANGE},
        {16, 8, UINT64_MAX, SENTINEL_FORMAT_RANGE},
        {24, 8, 8191, SENTINEL_FORMAT_RANGE},
        {24, 8, 8193, SENTINEL_KEY_PASSPHRASE},
        {24, 8, (UINT64_C(4) << 30) + 1, SENTINEL_FORMAT_RANGE},
        {24, 8, UINT64_MAX, SENTINEL_FORMAT_RANGE},
        {32, 1, 0x100, SENTINEL_KEY_PASSPHRASE}, /* salt */
        {48, 1, 0x100, SENTINEL_KEY_PASSPHRASE}, /* nonce */
        {HEADER, 1, 0x100, SENTINEL_KEY_PASSPHRASE},
        {SIZE - 1, 1, 0x100, SENTINEL_KEY_PASSPHRASE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(bad, good, sizeof bad);
        if (rows[i].value == 0x100 && rows[i].size == 1) {
            bad[rows[i].at] ^= 1;
        } else {
            memcpy(bad + rows[i].at, &rows[i].value, rows[i].size);
        }
        CHECK_EQ(unseal(bad, sizeof bad), rows[i].status);
    }
    sentinel_keyring_free(ring);
}

/* Whoever knows the passphrase can still not hand in a row that lies. */
static void a_row_out_of_its_form_is_refused(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t sealed[SIZE], good[KEYS * ROW], bad[KEYS * ROW];
    seal(ring, sealed, sizeof sealed);
    open_rows(good, sealed, sizeof sealed);
    static const struct {
        size_t at;
        uint8_t change; /* xor */
        sentinel_status status;
    } rows[] = {
        {0, 2, SENTINEL_FORMAT_RANGE}, /* id 1 is 3: taken by a later row */
        {0, 1, SENTINEL_FORMAT_RANGE}, /* id 0 */
        {4, 3, SENTINEL_FORMAT_RANGE}, /* no such purpose */
        {5, 8, SENTINEL_FORMAT_RANGE},
        {6, 1, SENTINEL_FORMAT_RANGE},
        {8, 1, SENTINEL_FORMAT_RANGE}, /* size of the public key */
        {9, 1, SENTINEL_FORMAT_RANGE},
        {10, 2, SENTINEL_FORMAT_RANGE}, /* neither of the lab nor not */
        {11, 1, SENTINEL_FORMAT_RESERVED},
        {15, 1, SENTINEL_FORMAT_RESERVED},
        {16, 1, SENTINEL_FORMAT_RANGE},   /* public key */
        {55, 1, SENTINEL_FORMAT_RANGE},   /* unused byte of it */
        {56, 1, SENTINEL_FORMAT_RANGE},   /* fingerprint */
        {88, 'a', SENTINEL_FORMAT_RANGE}, /* unused bytes of the api_key */
        {215, 'a', SENTINEL_FORMAT_RANGE},
        {216, 32 ^ 31, SENTINEL_FORMAT_RANGE}, /* size of the secret */
        {216, 32 ^ 129, SENTINEL_FORMAT_RANGE},
        {219, 0x80, SENTINEL_FORMAT_RANGE},
        {220, 1, SENTINEL_FORMAT_RANGE}, /* size of the venue's passphrase */
        {220, 65, SENTINEL_FORMAT_RANGE},
        {223, 1, SENTINEL_FORMAT_RANGE},
        {224, 1, SENTINEL_FORMAT_RANGE},      /* secret */
        {224 + 32, 1, SENTINEL_FORMAT_RANGE}, /* behind its end */
        {351, 1, SENTINEL_FORMAT_RANGE},
        {352, 'a', SENTINEL_FORMAT_RANGE}, /* the passphrase, behind its end */
        {415, 'a', SENTINEL_FORMAT_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(bad, good, sizeof bad);
        bad[rows[i].at] ^= rows[i].change;
        close_rows(sealed, bad, sizeof bad);
        CHECK_EQ(unseal(sealed, sizeof sealed), rows[i].status);
    }
    memcpy(bad, good, sizeof bad);
    bad[3 * ROW + 352] = '\n'; /* the last row: three keys are in by then, and go again */
    close_rows(sealed, bad, sizeof bad);
    CHECK_EQ(unseal(sealed, sizeof sealed), SENTINEL_FORMAT_RANGE);
    close_rows(sealed, good, sizeof good);
    CHECK_OK(unseal(sealed, sizeof sealed));
    sentinel_keyring_free(ring);
}

static void another_passphrase_opens_nothing(void) {
    sentinel_keyring *ring = four_keys(), *back = ring_new();
    uint8_t sealed[SIZE];
    static char longest[SENTINEL_PASSPHRASE_BYTES_MAX + 1];
    memset(longest, 'p', sizeof longest);
    seal(ring, sealed, sizeof sealed);
    CHECK_EQ(sentinel_keyring_unseal(back, sealed, SIZE, passphrase, passphrase_size - 1),
             SENTINEL_KEY_PASSPHRASE);
    CHECK_EQ(sentinel_keyring_unseal(back, sealed, SIZE, "Correct horse battery staple", 28),
             SENTINEL_KEY_PASSPHRASE);
    CHECK_EQ(sentinel_keyring_unseal(back, sealed, SIZE, longest, SENTINEL_PASSPHRASE_BYTES_MAX),
             SENTINEL_KEY_PASSPHRASE);
    CHECK_EQ(sentinel_keyring_unseal(back, sealed, SIZE, longest, sizeof longest),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_unseal(back, sealed, SIZE, "", 0), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_unseal(ring, sealed, SIZE, passphrase, passphrase_size),
             SENTINEL_USAGE_STATE);
    CHECK_EQ(sentinel_keyring_count(ring), KEYS);
    CHECK_OK(
        sentinel_keyring_seal(ring, sealed, SIZE, longest, SENTINEL_PASSPHRASE_BYTES_MAX, 1, 8192));
    CHECK_OK(sentinel_keyring_unseal(back, sealed, SIZE, longest, SENTINEL_PASSPHRASE_BYTES_MAX));
    sentinel_keyring_free(ring);
    sentinel_keyring_free(back);
}

static void sealing_refuses_what_unsealing_would(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t out[SIZE + 1];
    static const struct {
        size_t out_size, passphrase_size;
        uint64_t opslimit, memlimit;
        sentinel_status status;
    } rows[] = {
        {SIZE, 28, 1, 8192, SENTINEL_OK},
        {SIZE + 1, 28, 1, 8192, SENTINEL_OK},
        {SIZE - 1, 28, 1, 8192, SENTINEL_USAGE_CAPACITY},
        {0, 28, 1, 8192, SENTINEL_USAGE_CAPACITY},
        {SIZE, 0, 1, 8192, SENTINEL_USAGE_ARGUMENT},
        {SIZE, SENTINEL_PASSPHRASE_BYTES_MAX + 1, 1, 8192, SENTINEL_USAGE_ARGUMENT},
        {SIZE, 28, 64, 8192, SENTINEL_OK},
        {SIZE, 28, 65, 8192, SENTINEL_USAGE_ARGUMENT},
        {SIZE, 28, 1, 8191, SENTINEL_USAGE_ARGUMENT},
        {SIZE, 28, 1, (UINT64_C(4) << 30) + 1, SENTINEL_USAGE_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(out, 0xee, sizeof out);
        CHECK_EQ(sentinel_keyring_seal(ring, out, rows[i].out_size, passphrase,
                                       rows[i].passphrase_size, rows[i].opslimit, rows[i].memlimit),
                 rows[i].status);
        CHECK_EQ(out[SIZE], 0xee);
        CHECK_EQ(out[0] == 0xee, rows[i].status != SENTINEL_OK);
    }
    sentinel_keyring_free(ring);
}

static void limits_of_zero_are_moderate(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t sealed[SIZE];
    CHECK_OK(sentinel_keyring_seal(ring, sealed, SIZE, passphrase, passphrase_size, 0, 0));
    const uint64_t limits[2] = {3, UINT64_C(256) << 20};
    CHECK_BYTES(sealed + 16, limits, sizeof limits);
    CHECK_OK(unseal(sealed, SIZE));
    sentinel_keyring_free(ring);
}

/* No room but what is in use already and some more: for pages, not for 4 GiB. */
static int child_is_short_of_memory(void *data) {
    uint8_t *sealed = data;
    unsigned long pages = 0;
    struct rlimit limit, tight;
    sentinel_keyring *ring = four_keys(), *empty = ring_new();
    const uint64_t memlimit = UINT64_C(4) << 30;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL);
    CHECK_EQ(fscanf(file, "%lu", &pages), 1);
    CHECK_EQ(fclose(file), 0);
    memcpy(sealed + 24, &memlimit, 8);
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    for (rlim_t more = 0; more <= 64u << 20; more += 64u << 20) {
        tight = limit;
        tight.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
        CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
        sentinel_status sealing =
            sentinel_keyring_seal(ring, sealed, SIZE, passphrase, passphrase_size, 1, memlimit);
        sentinel_status unsealing =
            sentinel_keyring_unseal(empty, sealed, SIZE, passphrase, passphrase_size);
        CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        CHECK_EQ(sealing, SENTINEL_IO_MEMORY);
        CHECK_EQ(unsealing, SENTINEL_IO_MEMORY);
        CHECK_EQ(sentinel_keyring_count(empty), 0);
    }
    return 42;
}

static void too_little_memory_is_said(void) {
    sentinel_keyring *ring = four_keys();
    uint8_t sealed[SIZE];
    seal(ring, sealed, sizeof sealed);
    CHECK_EQ(in_child(child_is_short_of_memory, sealed), 42);
    sentinel_keyring_free(ring);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(keys_come_back_as_they_were);
    RUN(the_layout_is_the_documented_one);
    RUN(an_empty_and_a_full_keyring_fit);
    RUN(every_changed_byte_is_refused);
    RUN(a_header_out_of_its_form_is_named);
    RUN(a_row_out_of_its_form_is_refused);
    RUN(another_passphrase_opens_nothing);
    RUN(sealing_refuses_what_unsealing_would);
    RUN(limits_of_zero_are_moderate);
    RUN(too_little_memory_is_said);
    return test_end();
}

/* Goal: a blob opens as what it was sealed as, or not at all. Method: every byte of
 * a blob changed, of its header to each of 255 values; blobs swapped between
 * types, engines, epochs and roots; older ones against what is confirmed. */
#include "sealed.h"

#include "check.h"

#include <sodium.h>

#include "sentinel_test.h"

enum { SIZE = 100, BLOB = sizeof(sentinel_sealed) + SIZE + 16 };

static root *secret;
static const uint8_t engine32[32] = {1, 2, 3}, other32[32] = {9};
static uint8_t clear[SIZE], out[SIZE], blob[BLOB];
static sentinel_sealed header;
static sealed_expect expect;

static sealed_place place_of(uint16_t type, uint64_t number) {
    sealed_place place = {.type = type, .epoch = 4, .number = number, .head_number = 50};
    place.head_hash32[0] = 0x55;
    return place;
}

static void make(const sealed_place *place) {
    size_t size = 0;
    CHECK_OK(sealed_make(blob, &size, sizeof blob, secret, engine32, place, clear, SIZE));
    CHECK_EQ(size, sizeof blob);
}

static void begin(void) {
    if (secret == NULL) {
        CHECK_OK(root_new(&secret));
    }
    memset(secret->secret32, 0x42, 32);
    for (size_t i = 0; i < SIZE; i++) {
        clear[i] = (uint8_t)(i * 3 + 1);
    }
    expect = (sealed_expect){.type = SENTINEL_SEALED_SNAPSHOT};
    const sealed_place place = place_of(SENTINEL_SEALED_SNAPSHOT, 7);
    make(&place);
}

static sentinel_status open_blob(const uint8_t *bytes, size_t size) {
    memset(out, 0xee, sizeof out);
    return sealed_open(out, sizeof out, &header, secret, engine32, &expect, bytes, size);
}

static void test_a_blob_comes_back_with_its_place(void) {
    begin();
    CHECK_OK(open_blob(blob, sizeof blob));
    CHECK_BYTES(out, clear, SIZE);
    CHECK_EQ(header.epoch, 4);
    CHECK_EQ(header.number, 7);
    CHECK_EQ(header.head_number, 50);
    CHECK_EQ(header.head_hash32[0], 0x55);
    /* Nothing of it is in the clear, and no two are alike. */
    uint8_t first[BLOB];
    memcpy(first, blob, sizeof blob);
    for (size_t i = 0; i + 8 <= SIZE; i++) {
        CHECK(memmem(blob, sizeof blob, clear + i, 8) == NULL);
    }
    begin();
    CHECK(memcmp(first + sizeof header, blob + sizeof header, SIZE) != 0);
}

static void test_every_changed_byte_is_refused(void) {
    uint8_t bad[BLOB];
    begin();
    for (size_t at = 0; at < sizeof blob; at++) {
        /* All values in the header and the tag; each bit of what is between. */
        int all = at < sizeof header || at >= sizeof blob - 16;
        for (unsigned change = 1; change < 256; change = all ? change + 1 : change << 1) {
            memcpy(bad, blob, sizeof bad);
            bad[at] ^= (uint8_t)change;
            sentinel_status status = open_blob(bad, sizeof bad);
            CHECK(status != SENTINEL_OK);
            CHECK(memcmp(out, clear, 8) != 0);
        }
    }
    for (size_t size = 0; size < sizeof blob; size++) {
        CHECK_EQ(open_blob(blob, size), SENTINEL_FORMAT_SIZE);
    }
}

static void test_each_mistake_has_its_status(void) {
    static const struct {
        size_t at;
        sentinel_status status;
    } changes[] = {
        {offsetof(sentinel_sealed, magic), SENTINEL_FORMAT_MAGIC},
        {offsetof(sentinel_sealed, version), SENTINEL_FORMAT_VERSION},
        {offsetof(sentinel_sealed, reserved) + 3, SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_sealed, from_record), SENTINEL_ENCLAVE_SEAL},
        {offsetof(sentinel_sealed, size), SENTINEL_FORMAT_SIZE},
        {offsetof(sentinel_sealed, engine_id32), SENTINEL_ENCLAVE_FOREIGN},
        {offsetof(sentinel_sealed, epoch), SENTINEL_ENCLAVE_SEAL},
        {offsetof(sentinel_sealed, number) + 1, SENTINEL_ENCLAVE_SEAL},
        {offsetof(sentinel_sealed, head_number), SENTINEL_ENCLAVE_SEAL},
        {offsetof(sentinel_sealed, head_hash32), SENTINEL_ENCLAVE_SEAL},
        {offsetof(sentinel_sealed, nonce12), SENTINEL_ENCLAVE_SEAL},
        {sizeof(sentinel_sealed), SENTINEL_ENCLAVE_SEAL},
        {BLOB - 1, SENTINEL_ENCLAVE_SEAL},
    };
    begin();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        blob[changes[i].at] ^= 1;
        CHECK_EQ(open_blob(blob, sizeof blob), changes[i].status);
        blob[changes[i].at] ^= 1;
    }
    CHECK_OK(open_blob(blob, sizeof blob));
    CHECK_EQ(sealed_open(out, SIZE - 1, &header, secret, engine32, &expect, blob, sizeof blob),
             SENTINEL_USAGE_CAPACITY);
}

/* Of another type, engine or root: refused, and relabelled it does not open. */
static void test_swapped_blobs_are_refused(void) {
    begin();
    const sealed_place keys = place_of(SENTINEL_SEALED_KEYS, 7);
    make(&keys);
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_TYPE);
    blob[offsetof(sentinel_sealed, type)] = SENTINEL_SEALED_SNAPSHOT;
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_SEAL);
    begin();
    CHECK_EQ(sealed_open(out, SIZE, &header, secret, other32, &expect, blob, sizeof blob),
             SENTINEL_ENCLAVE_FOREIGN);
    memcpy(blob + offsetof(sentinel_sealed, engine_id32), other32, 32);
    CHECK_EQ(sealed_open(out, SIZE, &header, secret, other32, &expect, blob, sizeof blob),
             SENTINEL_ENCLAVE_SEAL);
    begin();
    secret->secret32[31] ^= 1;
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_SEAL);
}

static void test_older_blobs_and_other_histories_are_refused(void) {
    begin();
    expect.number_least = 7;
    CHECK_OK(open_blob(blob, sizeof blob));
    expect.number_least = 8;
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_STALE);
    CHECK(sodium_is_zero(out, sizeof out)); /* and what was opened is gone again */
    expect.number_least = 0;
    expect.confirmed_number = 49; /* the blob is beyond what was confirmed */
    CHECK_OK(open_blob(blob, sizeof blob));
    expect.confirmed_number = 51;
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_STALE);
    expect.confirmed_number = 50; /* the same length, but another hash */
    CHECK_EQ(open_blob(blob, sizeof blob), SENTINEL_ENCLAVE_STALE);
    expect.confirmed_hash32[0] = 0x55;
    CHECK_OK(open_blob(blob, sizeof blob));
}

static void test_what_cannot_be_sealed_is_said(void) {
    size_t size = 1;
    begin();
    sealed_place place = place_of(SENTINEL_SEALED_TYPE_COUNT, 1);
    CHECK_EQ(sealed_make(blob, &size, sizeof blob, secret, engine32, &place, clear, SIZE),
             SENTINEL_USAGE_ARGUMENT);
    place = place_of(SENTINEL_SEALED_KEYS, 0);
    CHECK_EQ(sealed_make(blob, &size, sizeof blob, secret, engine32, &place, clear, SIZE),
             SENTINEL_USAGE_ARGUMENT);
    place.number = 1;
    CHECK_EQ(sealed_make(blob, &size, sizeof blob, secret, engine32, &place, clear, 0),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sealed_make(blob, &size, sizeof blob - 1, secret, engine32, &place, clear, SIZE),
             SENTINEL_USAGE_CAPACITY);
    CHECK_EQ(sealed_make(blob, &size, SIZE_MAX, secret, engine32, &place, clear,
                         SENTINEL_SEALED_BYTES_MAX + 1),
             SENTINEL_USAGE_ARGUMENT);
}

/* In pieces of `step` bytes. */
static sentinel_status open_pieces(const uint8_t *bytes, size_t size, size_t step) {
    sealed_stream stream;
    uint8_t tag16[GCM_TAG_BYTES];
    memcpy(&header, bytes, sizeof header);
    SENTINEL_TRY(
        sealed_open_begin(&stream, secret, engine32, SENTINEL_SEALED_SNAPSHOT, &header, size));
    for (size_t at = 0; at < header.size; at += step) {
        size_t piece = header.size - at < step ? header.size - at : step;
        CHECK_OK(sealed_add(&stream, out + at, bytes + sizeof header + at, piece));
    }
    CHECK_EQ(sealed_add(&stream, out, bytes, 1), SENTINEL_USAGE_ARGUMENT);
    memcpy(tag16, bytes + sizeof header + header.size, sizeof tag16);
    return sealed_finish(&stream, tag16);
}

static void test_a_blob_in_pieces_is_the_same_blob(void) {
    sealed_stream stream;
    begin();
    for (size_t step = 1; step <= SIZE; step += 7) {
        memset(out, 0, sizeof out);
        CHECK_OK(open_pieces(blob, sizeof blob, step));
        CHECK_BYTES(out, clear, SIZE);
    }
    const sealed_place place = place_of(SENTINEL_SEALED_SNAPSHOT, 8);
    CHECK_OK(sealed_seal_begin(&stream, secret, engine32, &place, SIZE));
    memcpy(blob, &stream.header, sizeof stream.header);
    CHECK_OK(sealed_add(&stream, blob + sizeof stream.header, clear, 33));
    CHECK_OK(sealed_add(&stream, blob + sizeof stream.header + 33, clear + 33, SIZE - 33));
    CHECK_OK(sealed_finish(&stream, blob + sizeof stream.header + SIZE));
    CHECK_OK(open_blob(blob, sizeof blob));
    CHECK_BYTES(out, clear, SIZE);
    CHECK_EQ(header.number, 8);
}

static void test_pieces_of_another_blob_are_refused(void) {
    sealed_stream stream;
    uint8_t tag16[GCM_TAG_BYTES] = {0};
    begin();
    for (size_t at = 0; at < sizeof blob; at++) {
        blob[at] ^= 1;
        if (at < 12 || at > 15) { /* the size has its own refusal, below */
            CHECK(open_pieces(blob, sizeof blob, 16) != SENTINEL_OK);
        }
        blob[at] ^= 1;
    }
    memcpy(&header, blob, sizeof header);
    CHECK_EQ(sealed_open_begin(&stream, secret, engine32, SENTINEL_SEALED_SNAPSHOT, &header,
                               sizeof blob - 1),
             SENTINEL_FORMAT_SIZE);
    CHECK_EQ(
        sealed_open_begin(&stream, secret, engine32, SENTINEL_SEALED_KEYS, &header, sizeof blob),
        SENTINEL_ENCLAVE_TYPE);
    CHECK_EQ(
        sealed_open_begin(&stream, secret, other32, SENTINEL_SEALED_SNAPSHOT, &header, sizeof blob),
        SENTINEL_ENCLAVE_FOREIGN);
    CHECK_OK(sealed_open_begin(&stream, secret, engine32, SENTINEL_SEALED_SNAPSHOT, &header,
                               sizeof blob));
    CHECK_OK(sealed_add(&stream, out, blob + sizeof header, SIZE - 1));
    CHECK_EQ(sealed_finish(&stream, tag16), SENTINEL_USAGE_ARGUMENT);     /* less than announced */
    CHECK_EQ(sealed_add(&stream, out, blob, 1), SENTINEL_USAGE_ARGUMENT); /* it has ended */
    sealed_stop(&stream);
    const sealed_place place = place_of(SENTINEL_SEALED_SNAPSHOT, 0);
    CHECK_EQ(sealed_seal_begin(&stream, secret, engine32, &place, SIZE), SENTINEL_USAGE_ARGUMENT);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_blob_comes_back_with_its_place);
    RUN(test_every_changed_byte_is_refused);
    RUN(test_each_mistake_has_its_status);
    RUN(test_swapped_blobs_are_refused);
    RUN(test_older_blobs_and_other_histories_are_refused);
    RUN(test_what_cannot_be_sealed_is_said);
    RUN(test_a_blob_in_pieces_is_the_same_blob);
    RUN(test_pieces_of_another_blob_are_refused);
    root_free(secret);
    return test_end();
}

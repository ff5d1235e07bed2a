/* SHA-256 and SHA-512: published digests, every short length, every cut.
 *
 * Method: the digests that NIST's examples publish (FIPS 180-2, appendices B
 * and C); of every length from 0 to 300, the digest over all digests as
 * Python's hashlib gives it; libsodium's, which has code of its own. */
#include "hash.h"

#include <sodium.h>

#include "sentinel_test.h"

enum { MOST = 300, LONG = 1000 };

static uint8_t bytes[64 + LONG];

static int is_hex(const uint8_t *digest, size_t size, const char *hex) {
    char text[129];
    sodium_bin2hex(text, sizeof text, digest, size);
    return strcmp(text, hex) == 0;
}

static int digest_is(const char *text, const char *hex) {
    uint8_t digest32[32];
    hash_bytes(digest32, text, strlen(text));
    return is_hex(digest32, 32, hex);
}

static void gives_the_published_digests(void) {
    CHECK(digest_is("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    CHECK(digest_is("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK(digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    uint8_t digest32[32];
    hash_bytes(digest32, NULL, 0);
    CHECK(is_hex(digest32, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    hash_sha256 hash;
    hash_init(&hash);
    for (int i = 0; i < 1000; i++) { /* a million times "a" */
        char part[1000];
        memset(part, 'a', sizeof part);
        hash_add(&hash, part, sizeof part);
    }
    hash_final(&hash, digest32);
    CHECK(is_hex(digest32, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

static void every_short_length_is_as_others_hash_it(void) {
    static uint8_t all[(MOST + 1) * 32];
    uint8_t digest32[32], expected32[32];
    for (size_t size = 0; size <= MOST; size++) {
        hash_bytes(all + 32 * size, bytes, size);
        (void)crypto_hash_sha256(expected32, bytes, size);
        CHECK_BYTES(all + 32 * size, expected32, 32);
    }
    hash_bytes(digest32, all, sizeof all);
    CHECK(is_hex(digest32, 32, "7d917fbd2cf49ddff9ad0a8706bba32d204e92e71d2e369c5a03d6af29278c9f"));
}

static void parts_are_hashed_as_the_whole(void) {
    uint8_t digest32[32], expected32[32];
    for (size_t size = 0; size <= MOST; size++) {
        hash_bytes(expected32, bytes, size);
        for (size_t cut = 0; cut <= size; cut++) {
            size_t second = cut + (size - cut) / 2;
            hash_sha256 hash;
            hash_init(&hash);
            hash_add(&hash, bytes, cut);
            hash_add(&hash, bytes + cut, second - cut);
            hash_add(&hash, bytes + second, size - second);
            hash_final(&hash, digest32);
            CHECK_BYTES(digest32, expected32, 32);
        }
    }
    hash_sha256 hash;
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-part-v1");
    hash_add(&hash, NULL, 0);
    hash_final(&hash, digest32);
    hash_bytes(expected32, "sentinel-part-v1", 17);
    CHECK_BYTES(digest32, expected32, 32);
}

static void a_chain_goes_on_from_whole_blocks(void) {
    uint8_t digest32[32], expected32[32];
    for (size_t blocks = 0; blocks <= 3; blocks++) {
        hash_chain chain = hash_first;
        if (blocks != 0) {
            hash_blocks(&chain, bytes, 64 * blocks);
        }
        for (size_t size = 0; size <= 130; size++) {
            hash_rest(digest32, &chain, 64 * blocks, bytes + 64 * blocks, size);
            hash_bytes(expected32, bytes, 64 * blocks + size);
            CHECK_BYTES(digest32, expected32, 32);
        }
    }
    hash_bytes(expected32, bytes, 32);
    memcpy(digest32, bytes, 32);
    hash_bytes(digest32, digest32, 32); /* over its own input */
    CHECK_BYTES(digest32, expected32, 32);
}

/* Every length that matters beside every other, cut anywhere. */
static void two_at_once_are_as_others_hash_them(void) {
    static const size_t sizes[] = {0,   1,   16,  54,  55,  56,  63,  64,  65,  111, 112, 119,
                                   120, 183, 247, 311, 375, 439, 502, 503, 504, 505, 600, 4000};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    static uint8_t two[2][4000];
    randombytes_buf(two, sizeof two);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < COUNT; k++) {
            const size_t a = sizes[i], b = sizes[k], cut_a = a / 3, cut_b = b / 2;
            uint8_t got[2][32], expected[2][32];
            const hash_message both[2] = {
                {.part = {two[0], two[0] + cut_a}, .size = {cut_a, a - cut_a}},
                {.part = {two[1], two[1] + cut_b}, .size = {cut_b, b - cut_b}}};
            hash_many(got, both, 2);
            (void)crypto_hash_sha256(expected[0], two[0], a);
            (void)crypto_hash_sha256(expected[1], two[1], b);
            CHECK_BYTES(got, expected, sizeof got);
            hash_one(got[0], &both[1]);
            CHECK_BYTES(got[0], expected[1], 32);
        }
    }
    for (size_t size = 0; size <= 520; size++) {
        uint8_t got[2][32], expected[32];
        const hash_message message = {.part = {NULL, two[0]}, .size = {0, size}};
        hash_many(got, (hash_message[]){message, message}, 2);
        (void)crypto_hash_sha256(expected, two[0], size);
        CHECK_BYTES(got[0], expected, 32);
        CHECK_BYTES(got[1], expected, 32);
    }
}

static void nothing_is_left_of_what_was_hashed(void) {
    static const uint8_t zeros[sizeof(hash_sha256)];
    uint8_t digest32[32];
    hash_sha256 hash;
    hash_init(&hash);
    hash_add(&hash, bytes, 100);
    hash_final(&hash, digest32);
    CHECK_BYTES(&hash, zeros, sizeof hash);
}

static void sha512_is_as_others_hash_it(void) {
    static uint8_t all[(LONG + 1) * 64];
    uint8_t expected64[64], digest32[32];
    for (size_t size = 0; size <= LONG; size++) {
        hash_sha512(all + 64 * size, bytes, 32, bytes + 32, size);
        (void)crypto_hash_sha512(expected64, bytes, 32 + size);
        CHECK_BYTES(all + 64 * size, expected64, 64);
        hash_sha512(all + 64 * size, bytes, 64, bytes + 64, size);
        (void)crypto_hash_sha512(expected64, bytes, 64 + size);
        CHECK_BYTES(all + 64 * size, expected64, 64);
    }
    hash_bytes(digest32, all, sizeof all);
    CHECK(is_hex(digest32, 32, "0cd7ae0effe941549b618374a583287f0ffd56d3b716ea4d927fa00c1e051dc3"));
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + 3);
    }
    RUN(gives_the_published_digests);
    RUN(every_short_length_is_as_others_hash_it);
    RUN(parts_are_hashed_as_the_whole);
    RUN(a_chain_goes_on_from_whole_blocks);
    RUN(two_at_once_are_as_others_hash_them);
    RUN(nothing_is_left_of_what_was_hashed);
    RUN(sha512_is_as_others_hash_it);
    return test_end();
}

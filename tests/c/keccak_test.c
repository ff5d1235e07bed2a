/* Keccak-256: known answers, and every size around the block.
 *
 * Method: published digests (the Keccak team's ShortMsgKAT_256, and texts that
 * Ethereum's documents hash); at and around the rate of 136 bytes, digests of
 * pycryptodome's. tests/python/test_chain_parts.py compares random bytes. */
#include "keccak.h"

#include <sodium.h>

#include "sentinel_test.h"

static int digest_is(const void *bytes, size_t size, const char *hex) {
    uint8_t digest32[32];
    char text[65];
    keccak256(digest32, bytes, size);
    sodium_bin2hex(text, sizeof text, digest32, 32);
    return strcmp(text, hex) == 0;
}

static void test_gives_the_published_digests(void) {
    static const char fox[] = "The quick brown fox jumps over the lazy dog";
    CHECK(digest_is(NULL, 0, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"));
    CHECK(digest_is("\xcc", 1, "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a"));
    CHECK(digest_is("abc", 3, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"));
    CHECK(digest_is(fox, strlen(fox),
                    "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15"));
    CHECK(digest_is("transfer(address,uint256)", 25,
                    "a9059cbb2ab09eb219583f4a59a5d0623ade346d962bcd4e46b11da047c9049b"));
}

static void test_pads_every_size_around_a_block(void) {
    static const struct {
        size_t size;
        const char *hex;
    } sizes[] = {
        {1, "69c322e3248a5dfc29d73c5b0553b0185a35cd5bb6386747517ef7e53b15e287"},
        {135, "00ef96af9cf4b24c7f269d922294444a197d0a33638c2e56634c57e892103a8f"},
        {136, "742061bcad767ed4c4f5883b1dcb1aad11afdcc140dc469d953759b127b9f9ed"},
        {137, "e3371f61e770abf254c34239c3b0099ad90594507415bc81dd0a10b9692bbf2a"},
        {271, "4401c4afbe16ff911bdbf2d38e556e5b861f3fdf0f9d4306b1c46f6ae4f73584"},
        {272, "ac141fd7b0a0ffcd2e967254d508da3ec616596493c36fa304425647d90e6de5"},
        {273, "16192ea86793083e47731cb3c970600f04768414d92bc0540e54ce8607a0fce0"},
    };
    uint8_t bytes[273];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + 3);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK(digest_is(bytes, sizes[i].size, sizes[i].hex));
    }
}

static void test_may_write_over_its_own_input(void) {
    uint8_t bytes[32] = "abc", digest32[32];
    keccak256(digest32, bytes, 3);
    keccak256(bytes, bytes, 3);
    CHECK_BYTES(bytes, digest32, 32);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_gives_the_published_digests);
    RUN(test_pads_every_size_around_a_block);
    RUN(test_may_write_over_its_own_input);
    return test_end();
}

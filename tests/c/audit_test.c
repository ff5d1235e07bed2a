/* Records and the tree. Goal: what is built can be taken apart, nothing else
 * can, and every hash is the documented formula. Method: the formulas are
 * written out again here over libsodium's SHA-256; every bit of a record is
 * flipped; every field is set to its limit and one past it. */
#include "audit_make.h"

static sentinel_status parse(sentinel_record *record, const chain *c) {
    return sentinel_record_parse(record, c->record, c->size);
}

/* SHA-256 over the pieces, in order; a null piece ends them. */
typedef struct piece {
    const void *bytes;
    size_t size;
} piece;
static void sha256(uint8_t out32[32], const piece *pieces) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (; pieces->bytes != NULL; pieces++) {
        crypto_hash_sha256_update(&state, pieces->bytes, pieces->size);
    }
    crypto_hash_sha256_final(&state, out32);
}

static void test_a_record_comes_apart_as_it_was_built(void) {
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    CHECK_OK(parse(&r, &c));
    CHECK_EQ(c.size, 320 + 352 + 48);
    CHECK_BYTES(r.subject, &c.genesis, sizeof c.genesis);
    CHECK(r.outcome == NULL);
    uint8_t prev[32];
    memcpy(prev, c.last_hash32, 32);
    chain_order(&c, 288);
    CHECK_OK(parse(&r, &c));
    CHECK_EQ(c.size, 320 + 288 + 2 * 24 + 64 + 48);
    CHECK_BYTES(r.header->prev_hash32, prev, 32);
    CHECK_BYTES(r.hash32, c.last_hash32, 32);
    CHECK_EQ(r.subject[0], 2);
    CHECK_BYTES(r.results, chain_results, sizeof chain_results);
    CHECK_EQ(r.outcome->signature_digest32[0], 2);
    CHECK((const uint8_t *)r.salts + 48 == c.record + c.size);
}

static void test_every_hash_is_the_documented_formula(void) {
    chain c;
    sentinel_record r;
    uint8_t expected[32], salts[48];
    chain_begin(&c, 3);
    chain_genesis(&c);
    chain_order(&c, 384);
    CHECK_OK(parse(&r, &c));
    sha256(expected, (piece[]){{"\0", 1}, {r.header, 320}, {0}});
    CHECK_BYTES(r.hash32, expected, 32);
    memset(salts, 1, sizeof salts); /* chain_build: the record's number */
    CHECK_BYTES(r.salts, salts, sizeof salts);
    const piece parts[3] = {{r.subject, 384}, {r.results, 48}, {r.outcome, 64}};
    for (uint8_t i = 0; i < 3; i++) {
        sha256(expected, (piece[]){{salts, 16}, parts[i], {0}});
        CHECK_BYTES(r.header->commitments[i], expected, 32);
    }
}

static void test_each_part_has_its_own_salt(void) {
    static const uint8_t zeros[288];
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    chain_header(&c, SENTINEL_RECORD_ORDER, 288);
    sentinel_outcome_part outcome = {0};
    sentinel_record_parts parts = {.subject = zeros, .results = chain_results, .outcome = &outcome};
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t before[3][32];
        CHECK_OK(
            sentinel_record_build(c.record, sizeof c.record, c.last_hash32, &c.header, &parts));
        memcpy(before, c.header.commitments, sizeof before);
        parts.salts[16 * i + 15] ^= 1;
        CHECK_OK(
            sentinel_record_build(c.record, sizeof c.record, c.last_hash32, &c.header, &parts));
        CHECK_OK(sentinel_record_parse(&r, c.record, c.header.size_bytes));
        for (uint8_t part = 0; part < 3; part++) {
            CHECK_EQ(memcmp(before[part], c.header.commitments[part], 32) != 0, part == i);
        }
    }
}

static void test_every_flipped_bit_of_a_record_is_found(void) {
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    chain_order(&c, 288);
    for (size_t bit = 0; bit < 8 * c.size; bit++) {
        c.record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sentinel_status status = parse(&r, &c);
        /* A changed header is another record: its hash is not in the chain. */
        CHECK(status != SENTINEL_OK || memcmp(r.hash32, c.last_hash32, 32) != 0);
        CHECK(bit / 8 < 320 || status != SENTINEL_OK);
        c.record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CHECK_OK(parse(&r, &c));
}

static void test_every_reserved_byte_must_be_zero(void) {
    static const size_t reserved[] = {110, 111, 116, 117, 118, 119};
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        c.record[reserved[i]] = 1;
        CHECK_EQ(parse(&r, &c), SENTINEL_FORMAT_RESERVED);
        c.record[reserved[i]] = 0;
    }
    CHECK_OK(parse(&r, &c));
}

/* Builds an order after `change` was made to the header's field. */
#define EXPECT_HEADER(field, value, expected)                        \
    do {                                                             \
        chain_header(&c, SENTINEL_RECORD_ORDER, 288);                \
        c.header.field = (value);                                    \
        CHECK_EQ(chain_build(&c, zeros, chain_results), (expected)); \
    } while (0)

static void test_every_field_has_its_limit(void) {
    static const uint8_t zeros[SENTINEL_ORDER_BYTES_MAX + 8];
    chain c;
    chain_begin(&c, 3);
    chain_genesis(&c);
    EXPECT_HEADER(version, 0, SENTINEL_FORMAT_VERSION);
    EXPECT_HEADER(version, 2, SENTINEL_FORMAT_VERSION);
    EXPECT_HEADER(type, 0, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(type, SENTINEL_RECORD_TYPE_COUNT, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(now_ns, -1, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(now_ns, 0, SENTINEL_OK);
    EXPECT_HEADER(verdict, SENTINEL_FAILED, SENTINEL_OK);
    EXPECT_HEADER(verdict, SENTINEL_FAILED + 1, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(release_mode, SENTINEL_RELEASE_TO_SUBMITTER, SENTINEL_OK);
    EXPECT_HEADER(release_mode, SENTINEL_RELEASE_TO_SUBMITTER + 1, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(reason, 127, SENTINEL_OK);
    EXPECT_HEADER(reason, 128, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(flags, 63, SENTINEL_OK);
    EXPECT_HEADER(flags, 64, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(pending, c.header.number - 1, SENTINEL_OK);
    EXPECT_HEADER(pending, c.header.number, SENTINEL_FORMAT_RANGE);
    EXPECT_HEADER(subject_size, 384, SENTINEL_OK);
    EXPECT_HEADER(subject_size, 392, SENTINEL_FORMAT_LIMIT);
    EXPECT_HEADER(subject_size, 284, SENTINEL_FORMAT_SIZE);
    EXPECT_HEADER(subject_size, 0, SENTINEL_OK);
    EXPECT_HEADER(outcome_size, 0, SENTINEL_FORMAT_SIZE);
    EXPECT_HEADER(number, 0, SENTINEL_FORMAT_RANGE); /* only genesis is record 0 */
    EXPECT_HEADER(reserved0, 1, SENTINEL_FORMAT_RESERVED);
}

static void test_results_have_their_limits(void) {
    static sentinel_result many[SENTINEL_RESULTS_MAX + 1];
    static const uint8_t zeros[288];
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    for (size_t i = 0; i < SENTINEL_RESULTS_MAX + 1; i++) {
        many[i] = chain_results[1];
    }
    chain_header(&c, SENTINEL_RECORD_ORDER, 288);
    c.header.result_count = SENTINEL_RESULTS_MAX;
    CHECK_OK(chain_build(&c, zeros, many));
    CHECK_OK(parse(&r, &c));
    chain_header(&c, SENTINEL_RECORD_ORDER, 288);
    c.header.result_count = SENTINEL_RESULTS_MAX + 1;
    CHECK_EQ(chain_build(&c, zeros, many), SENTINEL_FORMAT_LIMIT);

    static const struct {
        size_t at;
        uint8_t value;
        sentinel_status status;
    } rows[] = {
        {4, 0, SENTINEL_FORMAT_RANGE}, {4, 64, SENTINEL_FORMAT_RANGE},
        {4, 63, SENTINEL_OK},          {5, 0, SENTINEL_FORMAT_RANGE},
        {5, 4, SENTINEL_FORMAT_RANGE}, {5, 3, SENTINEL_OK},
        {5, 1, SENTINEL_OK},           {6, 3, SENTINEL_OK},
        {6, 4, SENTINEL_FORMAT_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sentinel_result two[2] = {chain_results[0], chain_results[1]};
        ((uint8_t *)&two[1])[rows[i].at] = rows[i].value;
        chain_header(&c, SENTINEL_RECORD_ORDER, 288);
        CHECK_OK(chain_build(&c, zeros, two));
        CHECK_EQ(parse(&r, &c), rows[i].status);
    }
}

static void test_only_orders_have_results_and_an_outcome(void) {
    static const uint8_t zeros[SENTINEL_SUBJECT_BYTES_MAX + 8];
    chain c;
    chain_begin(&c, 3);
    chain_genesis(&c);
    chain_header(&c, SENTINEL_RECORD_FEED, 96);
    c.header.result_count = 1;
    CHECK_EQ(chain_build(&c, zeros, chain_results), SENTINEL_FORMAT_LIMIT);
    chain_header(&c, SENTINEL_RECORD_FEED, 96);
    c.header.outcome_size = 96;
    CHECK_EQ(chain_build(&c, zeros, NULL), SENTINEL_FORMAT_SIZE);
    chain_header(&c, SENTINEL_RECORD_FEED, SENTINEL_SUBJECT_BYTES_MAX);
    CHECK_OK(chain_build(&c, zeros, NULL));
    chain_header(&c, SENTINEL_RECORD_FEED, SENTINEL_SUBJECT_BYTES_MAX + 8);
    CHECK_EQ(chain_build(&c, zeros, NULL), SENTINEL_FORMAT_LIMIT);
}

static void test_subjects_of_one_size_have_no_other(void) {
    static const uint8_t zeros[360];
    static const struct {
        uint16_t type;
        size_t size;
    } rows[] = {
        {SENTINEL_RECORD_START, 64},   {SENTINEL_RECORD_BUNDLE, 56},
        {SENTINEL_RECORD_SUMMARY, 40}, {SENTINEL_RECORD_SNAPSHOT, 48},
        {SENTINEL_RECORD_REFUSED, 48}, {SENTINEL_RECORD_HALT, 8},
    };
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_header(&c, SENTINEL_RECORD_GENESIS, 344);
    CHECK_EQ(chain_build(&c, zeros, NULL), SENTINEL_FORMAT_SIZE);
    chain_genesis(&c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t size = 0; size <= 64; size += 8) {
            chain_header(&c, rows[i].type, size);
            CHECK_EQ(chain_build(&c, zeros, NULL),
                     size == rows[i].size ? SENTINEL_OK : SENTINEL_FORMAT_SIZE);
        }
        chain_header(&c, rows[i].type, rows[i].size);
        CHECK_OK(chain_build(&c, zeros, NULL));
        CHECK_OK(parse(&r, &c));
    }
    chain_header(&c, SENTINEL_RECORD_GENESIS, 352); /* and only record 0 is one */
    CHECK_EQ(chain_build(&c, zeros, NULL), SENTINEL_FORMAT_RANGE);
}

static void test_genesis_follows_nothing(void) {
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    c.record[24] = 1;
    CHECK_EQ(parse(&r, &c), SENTINEL_FORMAT_RANGE);
}

static void test_a_record_of_another_size_than_it_says_is_refused(void) {
    chain c;
    sentinel_record r;
    chain_begin(&c, 3);
    chain_genesis(&c);
    chain_order(&c, 288);
    for (size_t size = 0; size <= c.size + 8; size++) {
        CHECK_EQ(sentinel_record_parse(&r, c.record, size),
                 size == c.size ? SENTINEL_OK : SENTINEL_FORMAT_SIZE);
    }
    CHECK_EQ(sentinel_record_parse(&r, c.record, SENTINEL_RECORD_BYTES_MAX + 8),
             SENTINEL_FORMAT_SIZE);
    CHECK_EQ(sentinel_record_parse(&r, c.record + 4, c.size), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_record_parse(&r, NULL, c.size), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_record_parse(NULL, c.record, c.size), SENTINEL_USAGE_ARGUMENT);
}

static void test_too_little_room_is_refused(void) {
    chain c;
    chain_begin(&c, 3);
    chain_header(&c, SENTINEL_RECORD_GENESIS, sizeof c.genesis);
    sentinel_record_parts parts = {.subject = &c.genesis};
    CHECK_EQ(sentinel_record_build(c.record, 719, c.last_hash32, &c.header, &parts),
             SENTINEL_USAGE_CAPACITY);
    CHECK_OK(sentinel_record_build(c.record, 720, c.last_hash32, &c.header, &parts));
}

/* ---- The tree -------------------------------------------------------------- */

/* RFC 6962, section 2.1, word for word. */
static void naive_root(uint8_t out32[32], const uint8_t (*leaves)[32], size_t count) {
    if (count == 0) {
        crypto_hash_sha256(out32, (const uint8_t *)"", 0);
        return;
    }
    if (count == 1) {
        memcpy(out32, leaves[0], 32);
        return;
    }
    size_t k = 1;
    while (2 * k < count) {
        k *= 2;
    }
    uint8_t left[32], right[32];
    naive_root(left, leaves, k);
    naive_root(right, leaves + k, count - k);
    sha256(out32, (piece[]){{"\1", 1}, {left, 32}, {right, 32}, {0}});
}

static void test_the_tree_is_that_of_rfc_6962(void) {
    enum { COUNT = 300 };
    static uint8_t leaves[COUNT][32];
    sentinel_tree tree = {0};
    uint8_t root[32], expected[32];
    for (size_t i = 0; i <= COUNT; i++) {
        CHECK_EQ(tree.count, i);
        sentinel_tree_root(&tree, root);
        naive_root(expected, (const uint8_t(*)[32])leaves, i);
        CHECK_BYTES(root, expected, 32);
        if (i < COUNT) {
            crypto_hash_sha256(leaves[i], (const uint8_t *)&i, sizeof i);
            sentinel_tree_add(&tree, leaves[i]);
        }
    }
}

/* Inputs and roots of the reference implementation of Certificate Transparency. */
static void test_the_tree_gives_the_known_answers(void) {
    static const char *const inputs[8] = {"",
                                          "00",
                                          "10",
                                          "2021",
                                          "3031",
                                          "40414243",
                                          "5051525354555657",
                                          "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[9] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    sentinel_tree tree = {0};
    for (size_t i = 0; i <= 8; i++) {
        uint8_t root[32], expected[32], leaf[32], input[16];
        size_t size;
        CHECK_OK(sodium_hex2bin(expected, 32, roots[i], 64, NULL, &size, NULL));
        sentinel_tree_root(&tree, root);
        CHECK_BYTES(root, expected, 32);
        if (i < 8) {
            CHECK_OK(sodium_hex2bin(input, 16, inputs[i], strlen(inputs[i]), NULL, &size, NULL));
            sha256(leaf, (piece[]){{"\0", 1}, {input, size}, {0}});
            sentinel_tree_add(&tree, leaf);
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_record_comes_apart_as_it_was_built);
    RUN(test_every_hash_is_the_documented_formula);
    RUN(test_each_part_has_its_own_salt);
    RUN(test_every_flipped_bit_of_a_record_is_found);
    RUN(test_every_reserved_byte_must_be_zero);
    RUN(test_every_field_has_its_limit);
    RUN(test_results_have_their_limits);
    RUN(test_only_orders_have_results_and_an_outcome);
    RUN(test_subjects_of_one_size_have_no_other);
    RUN(test_genesis_follows_nothing);
    RUN(test_a_record_of_another_size_than_it_says_is_refused);
    RUN(test_too_little_room_is_refused);
    RUN(test_the_tree_is_that_of_rfc_6962);
    RUN(test_the_tree_gives_the_known_answers);
    return test_end();
}

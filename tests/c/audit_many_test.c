/* Many records at once. Goal: what is checked together gets the answers that it
 * gets alone. Method: runs of records of every size, of every length, with any
 * one of them damaged anywhere, beside sentinel_record_parse; trees grown by
 * any number of leaves, beside sentinel_tree_add; every mix of lengths hashed
 * together, beside libsodium's SHA-256. */
#include "audit_make.h"
#include "audit_record.h"

enum { MOST = 14, ROOM = 64 << 10, WORD = 8 };

static _Alignas(8) uint8_t log_bytes[ROOM];
static uint32_t at[MOST + 1];

/* A genesis record and orders, as frames. */
static void lay_out(size_t count) {
    static chain c;
    chain_begin(&c, 3);
    at[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0) {
            chain_genesis(&c);
        } else {
            chain_order(&c, 192 + 8 * (i % 5));
        }
        const uint64_t size = c.size;
        uint8_t *next = log_bytes + at[i];
        memcpy(next, &size, WORD);
        memcpy(next + WORD, c.record, c.size);
        memcpy(next + WORD + c.size, c.last_hash32, WORD);
        at[i + 1] = at[i] + (uint32_t)c.size + 2 * WORD;
    }
}

/* Each record alone says the same. Returns how many are right. */
static size_t compare(size_t count) {
    uint8_t whole[MOST + 1], hashes[MOST + 1][32];
    size_t right = 0;
    memset(whole, 7, sizeof whole);
    memset(hashes, 7, sizeof hashes);
    records_check(whole, hashes, log_bytes, at, count);
    CHECK_EQ(whole[count], 7);
    CHECK_EQ(hashes[count][0], 7);
    for (size_t i = 0; i < count; i++) {
        sentinel_record record;
        memset(&record, 0, sizeof record);
        const sentinel_status status = sentinel_record_parse(&record, log_bytes + at[i] + WORD,
                                                             at[i + 1] - at[i] - 2 * (size_t)WORD);
        const int fits = memcmp(record.hash32, log_bytes + at[i + 1] - WORD, WORD) == 0;
        CHECK_EQ(whole[i], status == SENTINEL_OK && fits);
        CHECK_BYTES(hashes[i], record.hash32, 32);
        right += whole[i];
    }
    return right;
}

static void test_many_records_are_checked_as_each_alone(void) {
    for (size_t count = 0; count <= MOST; count++) {
        lay_out(count);
        CHECK_EQ(compare(count), count);
    }
}

static void test_every_damage_is_found_where_it_is(void) {
    lay_out(MOST);
    for (size_t i = 0; i < MOST; i++) {
        for (uint32_t k = at[i] + WORD; k < at[i + 1]; k++) {
            log_bytes[k] ^= 0x10;
            if (k % 7 == i % 7 || k < at[i] + WORD + 24 || k >= at[i + 1] - 2 * WORD) {
                CHECK_EQ(compare(MOST), MOST - 1);
            }
            log_bytes[k] ^= 0x10;
        }
    }
    /* All but one. */
    for (size_t i = 1; i < MOST; i++) {
        log_bytes[at[i] + WORD] ^= 1;
    }
    CHECK_EQ(compare(MOST), 1);
}

static void test_a_tree_grows_by_many_as_by_each(void) {
    enum { LEAVES = 400 };
    static uint8_t leaves[LEAVES][32];
    for (size_t i = 0; i < LEAVES; i++) {
        crypto_hash_sha256(leaves[i], (const uint8_t *)&i, sizeof i);
    }
    for (size_t first = 0; first < 70; first++) {
        for (size_t more = 0; first + more <= LEAVES; more += 1 + more / 8) {
            sentinel_tree one = {0}, many = {0};
            uint8_t root[32], expected[32];
            for (size_t i = 0; i < first + more; i++) {
                sentinel_tree_add(&one, leaves[i]);
            }
            tree_add_many(&many, (const uint8_t(*)[32])leaves, first);
            tree_add_many(&many, (const uint8_t(*)[32])leaves + first, more);
            CHECK_EQ(many.count, one.count);
            sentinel_tree_root(&one, expected);
            sentinel_tree_root(&many, root);
            CHECK_BYTES(root, expected, 32);
        }
    }
}

static void test_any_mix_of_lengths_is_hashed_as_each(void) {
    enum { MESSAGES = 9, LONGEST = 2200 };
    static uint8_t bytes[MESSAGES][LONGEST];
    randombytes_buf(bytes, sizeof bytes);
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t got[MESSAGES][32], expected[32];
        hash_message messages[MESSAGES];
        const size_t count = randombytes_uniform(MESSAGES + 1);
        for (size_t i = 0; i < count; i++) {
            const uint32_t most = randombytes_uniform(2) != 0 ? 150 : LONGEST;
            const size_t size = randombytes_uniform(most + 1);
            const size_t cut = randombytes_uniform(size < 70 ? (uint32_t)size + 1 : 70);
            messages[i] =
                (hash_message){.part = {bytes[i], bytes[i] + cut}, .size = {cut, size - cut}};
        }
        hash_many(got, messages, count);
        for (size_t i = 0; i < count; i++) {
            crypto_hash_sha256(expected, bytes[i], messages[i].size[0] + messages[i].size[1]);
            CHECK_BYTES(got[i], expected, 32);
        }
    }
}

/* Whole blocks of each first, in any mix; then what is left of each. */
static void test_a_message_in_two_goes_is_hashed_as_in_one(void) {
    enum { MESSAGES = 11, LONGEST = 2200, BLOCK = 64 };
    static uint8_t bytes[MESSAGES][LONGEST];
    randombytes_buf(bytes, sizeof bytes);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t got[MESSAGES][32], expected[32];
        hash_message begun[MESSAGES], rest[MESSAGES];
        hash_chain chains[MESSAGES];
        const size_t count = randombytes_uniform(MESSAGES + 1);
        for (size_t i = 0; i < count; i++) {
            const size_t size = randombytes_uniform(randombytes_uniform(2) != 0 ? 150 : LONGEST);
            const size_t first = randombytes_uniform((uint32_t)(size / BLOCK) + 1) * BLOCK;
            const size_t cut = first != 0 ? randombytes_uniform(BLOCK) : 0;
            chains[i] = hash_first;
            begun[i] = (hash_message){.part = {bytes[i], bytes[i] + cut},
                                      .size = {cut, first - cut},
                                      .chain = &chains[i],
                                      .is_open = 1};
            rest[i] = (hash_message){.part = {NULL, bytes[i] + first},
                                     .size = {0, size - first},
                                     .chain = &chains[i],
                                     .before = first};
        }
        hash_many(got, begun, count);
        hash_many(got, rest, count);
        for (size_t i = 0; i < count; i++) {
            crypto_hash_sha256(expected, bytes[i], (size_t)rest[i].before + rest[i].size[1]);
            CHECK_BYTES(got[i], expected, 32);
        }
    }
}

/* Each message is made of digests of some before it, which go to where it lies; and
 * one goes on with a chain that another one of the same call leaves. */
static void test_what_is_made_of_others_waits_for_them(void) {
    enum { MESSAGES = 10, LONGEST = 2200, BLOCK = 64, LAST = MESSAGES - 1 };
    static uint8_t bytes[MESSAGES][LONGEST], same[MESSAGES][LONGEST];
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t got[MESSAGES][32], expected[32];
        hash_message messages[MESSAGES];
        hash_chain begins = hash_first;
        const unsigned begun = randombytes_uniform(LAST);
        randombytes_buf(bytes, sizeof bytes);
        for (unsigned i = 0; i < MESSAGES; i++) {
            const size_t most = randombytes_uniform(4) != 0 ? 300 : LONGEST - 32;
            size_t size = 32 + randombytes_uniform((uint32_t)most);
            size -= i == begun ? size % BLOCK : 0;
            messages[i] = (hash_message){.part = {NULL, bytes[i]}, .size = {0, size}};
        }
        messages[begun].chain = &begins;
        messages[begun].is_open = 1;
        messages[LAST].chain = &begins;
        messages[LAST].before = messages[begun].size[1];
        messages[LAST].after = 1u << begun;
        for (unsigned i = 0; i < LAST; i++) {
            const unsigned for_whom = i + 1 + randombytes_uniform(LAST - i);
            if (i != begun && for_whom != LAST && messages[for_whom].after == 0 &&
                messages[for_whom].size[1] >= 32) {
                messages[i].to = bytes[for_whom];
                messages[for_whom].after = 1u << i;
            }
        }
        memcpy(same, bytes, sizeof bytes);
        hash_many(got, messages, MESSAGES);
        for (unsigned i = 0; i < LAST; i++) {
            crypto_hash_sha256(expected, same[i], messages[i].size[1]);
            if (messages[i].to != NULL) {
                memcpy(same[(messages[i].to - bytes[0]) / LONGEST], expected, 32);
                CHECK_BYTES(messages[i].to, expected, 32);
            } else if (i != begun) {
                CHECK_BYTES(got[i], expected, 32);
            }
        }
        static uint8_t whole[2 * LONGEST];
        const size_t first = messages[begun].size[1], rest = messages[LAST].size[1];
        memcpy(whole, same[begun], first);
        memcpy(whole + first, same[LAST], rest);
        crypto_hash_sha256(expected, whole, first + rest);
        CHECK_BYTES(got[LAST], expected, 32);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_many_records_are_checked_as_each_alone);
    RUN(test_every_damage_is_found_where_it_is);
    RUN(test_a_tree_grows_by_many_as_by_each);
    RUN(test_any_mix_of_lengths_is_hashed_as_each);
    RUN(test_a_message_in_two_goes_is_hashed_as_in_one);
    RUN(test_what_is_made_of_others_waits_for_them);
    return test_end();
}

/* Goal: signatures are those of the standards, keys serve their one purpose,
 * and every refusal is the documented one and leaves nothing behind.
 * Method: known answers of the RFCs and of BIP340 (tests/golden), libsodium's
 * other functions as the second opinion, each limit at the edge and past it. */
#include "sign_test.h"

#include <secp256k1.h>

#include "sign_internal.h"
#include "sign_salts.h"

static const char text[] = "what was judged is what is signed";

static void each_algorithm_verifies_what_it_signs(void) {
    sentinel_keyring *ring = ring_new();
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info =
            import(ring, (uint32_t)algorithm, SENTINEL_PURPOSE_MESSAGE, algorithm);
        sentinel_signature signature = signature_of(ring, info.id, text);
        CHECK_EQ(signature.algorithm, algorithm);
        CHECK_EQ(signature.size, 64);
        CHECK_OK(verify(&info, &signature, text));
        CHECK_EQ(verify(&info, &signature, "what was judged is what is sign"),
                 SENTINEL_CRYPTO_VERIFY);
        for (size_t bit = 0; bit < 8 * 64; bit++) {
            sentinel_signature bad = signature;
            bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_EQ(verify(&info, &bad, text), SENTINEL_CRYPTO_VERIFY);
        }
        for (size_t bit = 0; bit < 8u * info.public_key_size; bit++) {
            sentinel_key_info bad = info;
            bad.public_key[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_EQ(verify(&bad, &signature, text), SENTINEL_CRYPTO_VERIFY);
        }
    }
    sentinel_keyring_free(ring);
}

static void verifying_refuses_each_other_form_of_a_signature(void) {
    sentinel_keyring *ring = ring_new();
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info =
            import(ring, (uint32_t)algorithm, SENTINEL_PURPOSE_MESSAGE, algorithm);
        const sentinel_signature good = signature_of(ring, info.id, text);
        sentinel_signature bad = good;
        for (size_t i = 0; i < sizeof bad.reserved; i++) {
            bad = good;
            bad.reserved[i] = 1;
            CHECK_EQ(verify(&info, &bad, text), SENTINEL_CRYPTO_VERIFY);
        }
        for (int size = 0; size < 256; size++) {
            bad = good;
            bad.size = (uint8_t)size;
            CHECK_EQ(verify(&info, &bad, text), size == 64 ? 0 : SENTINEL_CRYPTO_VERIFY);
        }
        for (int other = 0; other < 256; other++) {
            bad = good;
            bad.algorithm = (uint8_t)other;
            CHECK_EQ(verify(&info, &bad, text), other == algorithm ? 0 : SENTINEL_CRYPTO_VERIFY);
        }
        for (int id = 0; id < 256; id++) {
            bad = good;
            bad.recovery_id = (uint8_t)id;
            CHECK_EQ(verify(&info, &bad, text),
                     id == good.recovery_id ? 0 : SENTINEL_CRYPTO_VERIFY);
        }
    }
    sentinel_keyring_free(ring);
}

static void verifying_refuses_wrong_arguments(void) {
    sentinel_keyring *ring = ring_new();
    for (int algorithm = ED25519; algorithm <= BIP340; algorithm++) {
        sentinel_key_info info =
            import(ring, (uint32_t)algorithm, SENTINEL_PURPOSE_MESSAGE, algorithm);
        sentinel_signature signature = signature_of(ring, info.id, text);
        for (size_t size = 0; size <= 40; size++) {
            CHECK_EQ(sentinel_verify(info.algorithm, info.public_key, size, &signature,
                                     (const uint8_t *)text, strlen(text)),
                     size == info.public_key_size ? 0 : SENTINEL_USAGE_ARGUMENT);
        }
    }
    sentinel_key_info info = import(ring, HMAC, SENTINEL_PURPOSE_MESSAGE, HMAC);
    sentinel_signature signature = signature_of(ring, HMAC, text);
    CHECK_EQ(verify(&info, &signature, text), SENTINEL_USAGE_ARGUMENT);
    for (int algorithm = SENTINEL_ALGORITHM_COUNT; algorithm < 256; algorithm++) {
        info.algorithm = (uint8_t)algorithm;
        CHECK_EQ(verify(&info, &signature, text), SENTINEL_USAGE_ARGUMENT);
    }
    info.algorithm = 0;
    CHECK_EQ(verify(&info, &signature, text), SENTINEL_USAGE_ARGUMENT);
    sentinel_keyring_free(ring);
}

/* (r, n - s) satisfies the equation of ECDSA as well, so it would be a second
 * signature over the same order. */
static void ecdsa_with_a_high_s_is_refused(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info info = import(ring, 7, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    for (int i = 0; i < 64; i++) {
        char order[16];
        (void)snprintf(order, sizeof order, "order %d", i);
        sentinel_signature signature = signature_of(ring, info.id, order);
        CHECK(signature.recovery_id <= 1);
        CHECK(signature.bytes[32] <= 0x7f);
        CHECK_EQ(secp256k1_ec_seckey_negate(secp256k1_context_static, signature.bytes + 32), 1);
        CHECK_EQ(verify(&info, &signature, order), SENTINEL_CRYPTO_VERIFY);
        signature.recovery_id ^= 1;
        CHECK_EQ(verify(&info, &signature, order), SENTINEL_CRYPTO_VERIFY);
    }
    sentinel_keyring_free(ring);
}

static void a_digest_is_signed_like_the_bytes_behind_it(void) {
    sentinel_keyring *ring = ring_new();
    uint8_t digest32[32];
    crypto_hash_sha256(digest32, (const uint8_t *)text, strlen(text));
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        const uint32_t id = (uint32_t)algorithm;
        (void)import(ring, id, SENTINEL_PURPOSE_MESSAGE, algorithm);
        sentinel_signature over_bytes = signature_of(ring, id, text), over_digest;
        memset(&over_digest, 0xff, sizeof over_digest);
        sentinel_status status = sentinel_sign_digest(ring, &over_digest, id, digest32);
        if (algorithm == ECDSA || algorithm == BIP340) {
            CHECK_OK(status);
            CHECK_BYTES(&over_bytes, &over_digest, sizeof over_bytes);
        } else {
            CHECK_EQ(status, SENTINEL_KEY_PURPOSE);
            CHECK(sodium_is_zero((const uint8_t *)&over_digest, sizeof over_digest));
        }
    }
    sentinel_keyring_free(ring);
}

static void signing_is_deterministic_across_keyrings(void) {
    sentinel_keyring *one = ring_new(), *two = ring_new();
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        const uint32_t id = (uint32_t)algorithm;
        (void)import(one, id, SENTINEL_PURPOSE_MESSAGE, algorithm);
        (void)import(two, id, SENTINEL_PURPOSE_MESSAGE, algorithm);
        sentinel_signature first = signature_of(one, id, text);
        sentinel_signature second = signature_of(two, id, text);
        CHECK_BYTES(&first, &second, sizeof first);
    }
    sentinel_keyring_free(one);
    sentinel_keyring_free(two);
}

static void no_bytes_at_all_can_be_signed(void) {
    sentinel_keyring *ring = ring_new();
    for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
        sentinel_signature signature;
        sentinel_key_info info =
            import(ring, (uint32_t)algorithm, SENTINEL_PURPOSE_MESSAGE, algorithm);
        CHECK_OK(sentinel_sign(ring, &signature, info.id, NULL, 0));
        if (algorithm != HMAC) {
            CHECK_OK(sentinel_verify(info.algorithm, info.public_key, info.public_key_size,
                                     &signature, NULL, 0));
        }
    }
    sentinel_keyring_free(ring);
}

static void an_unknown_key_signs_nothing(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_signature signature;
    uint8_t bytes64[64], zero64[64] = {0};
    (void)import(ring, 1, SENTINEL_PURPOSE_RECEIPT, ED25519);
    const uint32_t unknown[] = {0, 2, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        memset(&signature, 0xff, sizeof signature);
        CHECK_EQ(sentinel_sign(ring, &signature, unknown[i], bytes64, 1), SENTINEL_KEY_UNKNOWN);
        CHECK(sodium_is_zero((const uint8_t *)&signature, sizeof signature));
        memset(&signature, 0xff, sizeof signature);
        CHECK_EQ(sentinel_sign_digest(ring, &signature, unknown[i], zero64), SENTINEL_KEY_UNKNOWN);
        CHECK(sodium_is_zero((const uint8_t *)&signature, sizeof signature));
        memset(bytes64, 0xff, sizeof bytes64);
        CHECK_EQ(sentinel_sign_frame(ring, bytes64, unknown[i], "sentinel-head-v1", zero64),
                 SENTINEL_KEY_UNKNOWN);
        CHECK_BYTES(bytes64, zero64, 64);
        memset(bytes64, 0xff, sizeof bytes64);
        CHECK_EQ(sentinel_sign_salts(ring, bytes64, unknown[i], 1, 1), SENTINEL_KEY_UNKNOWN);
        CHECK_BYTES(bytes64, zero64, 32);
    }
    sentinel_keyring_free(ring);
}

/* Which calls each purpose may make. */
static void each_purpose_signs_only_its_own_kind(void) {
    static const struct {
        int purpose, orders, frames, salts;
    } rows[] = {
        {SENTINEL_PURPOSE_VENUE, 1, 0, 0},     {SENTINEL_PURPOSE_VENUE_MASTER, 1, 0, 0},
        {SENTINEL_PURPOSE_MESSAGE, 1, 0, 0},   {SENTINEL_PURPOSE_RECEIPT, 0, 1, 1},
        {SENTINEL_PURPOSE_AUTHORITY, 0, 1, 0},
    };
    const uint8_t digest32[32] = {1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int algorithm = ED25519; algorithm <= HMAC; algorithm++) {
            sentinel_keyring *ring = ring_new();
            if (rows[i].frames && algorithm != ED25519) {
                sentinel_keyring_free(ring); /* such a key cannot be made: see below */
                continue;
            }
            (void)import(ring, 9, rows[i].purpose, algorithm);
            sentinel_signature signature;
            uint8_t bytes64[64];
            const int digests = rows[i].orders && (algorithm == ECDSA || algorithm == BIP340);
            CHECK_EQ(sentinel_sign(ring, &signature, 9, digest32, 32),
                     rows[i].orders ? 0 : SENTINEL_KEY_PURPOSE);
            CHECK_EQ(sodium_is_zero(signature.bytes, 64), !rows[i].orders);
            CHECK_EQ(sentinel_sign_digest(ring, &signature, 9, digest32),
                     digests ? 0 : SENTINEL_KEY_PURPOSE);
            CHECK_EQ(sodium_is_zero(signature.bytes, 64), !digests);
            CHECK_EQ(sentinel_sign_frame(ring, bytes64, 9, "sentinel-head-v1", digest32),
                     rows[i].frames ? 0 : SENTINEL_KEY_PURPOSE);
            CHECK_EQ(sodium_is_zero(bytes64, 64), !rows[i].frames);
            CHECK_EQ(sentinel_sign_salts(ring, bytes64, 9, 1, 1),
                     rows[i].salts ? 0 : SENTINEL_KEY_PURPOSE);
            CHECK_EQ(sodium_is_zero(bytes64, 48), !rows[i].salts);
            sentinel_keyring_free(ring);
        }
    }
}

static void a_frame_is_signed_over_prefix_zero_and_digest(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_key_info info = import(ring, 1, SENTINEL_PURPOSE_AUTHORITY, ED25519);
    uint8_t digest32[32], sig64[64], message[64 + 1 + 32], other32[32];
    char longest[66];
    memset(digest32, 0xd1, 32);
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "sentinel-", 9);
    longest[64] = 0;
    const char *prefixes[] = {"sentinel-", "sentinel-command-v1", longest};
    for (size_t i = 0; i < 3; i++) {
        const size_t size = strlen(prefixes[i]) + 1;
        memcpy(message, prefixes[i], size);
        memcpy(message + size, digest32, 32);
        CHECK_OK(sentinel_sign_frame(ring, sig64, 1, prefixes[i], digest32));
        CHECK_EQ(crypto_sign_verify_detached(sig64, message, size + 32, info.public_key), 0);
        CHECK_OK(sentinel_verify_frame(sig64, info.public_key, prefixes[i], digest32));
        CHECK_EQ(sentinel_verify_frame(sig64, info.public_key, "sentinel-feed-v1", digest32),
                 SENTINEL_CRYPTO_VERIFY);
        for (size_t bit = 0; bit < 256; bit++) {
            memcpy(other32, digest32, 32);
            other32[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK_EQ(sentinel_verify_frame(sig64, info.public_key, prefixes[i], other32),
                     SENTINEL_CRYPTO_VERIFY);
        }
    }
    longest[64] = 'x';
    longest[65] = 0;
    const char *refused[] = {"", "sentinel", "Sentinel-head-v1", "message", longest};
    for (size_t i = 0; i < 5; i++) {
        memset(sig64, 0xff, 64);
        CHECK_EQ(sentinel_sign_frame(ring, sig64, 1, refused[i], digest32),
                 SENTINEL_USAGE_ARGUMENT);
        CHECK(sodium_is_zero(sig64, 64));
        CHECK_EQ(sentinel_verify_frame(sig64, info.public_key, refused[i], digest32),
                 SENTINEL_CRYPTO_VERIFY);
    }
    sentinel_keyring_free(ring);
}

static void salts_are_the_documented_hashes(void) {
    sentinel_keyring *ring = ring_new();
    uint8_t secret32[32], expected[64], salts[48], input[32 + 17];
    const uint8_t name[] = "sentinel-salt-v1";
    (void)import(ring, 3, SENTINEL_PURPOSE_RECEIPT, ED25519);
    secret_of(secret32, 3);
    const uint64_t epoch = UINT64_C(0x0102030405060708), record = UINT64_C(0xf1f2f3f4f5f6f7f8);
    crypto_auth_hmacsha256(input, name, sizeof name - 1, secret32);
    for (size_t i = 0; i < 8; i++) {
        input[32 + i] = (uint8_t)(8 - i);
        input[40 + i] = (uint8_t)(0xf8 - i);
    }
    for (uint8_t i = 0; i < 2; i++) {
        input[48] = i;
        crypto_hash_sha256(expected + 32 * i, input, sizeof input);
    }
    CHECK_OK(sentinel_sign_salts(ring, salts, 3, epoch, record));
    CHECK_BYTES(salts, expected, 48);
    CHECK_OK(sentinel_sign_salts(ring, salts, 3, epoch, record + 1));
    CHECK(memcmp(salts, expected, 48) != 0);
    CHECK_OK(sentinel_sign_salts(ring, salts, 3, epoch + 1, record));
    CHECK(memcmp(salts, expected, 48) != 0);
    sentinel_keyring_free(ring);
}

/* Beside two blocks of something else, which are hashed as if alone; and of no
 * other record, epoch or key than they were made for. */
static void salts_made_ahead_are_the_same(void) {
    sentinel_keyring *ring = ring_new(), *fresh = ring_new();
    uint8_t blocks[128], salts[48], expected[48];
    (void)import(ring, 1, SENTINEL_PURPOSE_RECEIPT, ED25519);
    (void)import(fresh, 1, SENTINEL_PURPOSE_RECEIPT, ED25519);
    randombytes_buf(blocks, sizeof blocks);
    hash_chain alone = hash_first;
    hash_blocks(&alone, blocks, sizeof blocks);
    for (uint32_t key = 1; key < 3; key++) { /* of the second there is none */
        hash_chain chain = hash_first;
        sign_salts_ahead(ring, key, 2, 3, &chain, blocks);
        CHECK_BYTES((const uint8_t *)chain.h, (const uint8_t *)alone.h, sizeof chain.h);
    }
    CHECK_EQ(ring->slots[0].ahead.made, SIGN_LIVE);
    for (uint64_t epoch = 1; epoch < 4; epoch++) {
        for (uint64_t record = 2; record < 5; record++) {
            CHECK_OK(sentinel_sign_salts(ring, salts, 1, epoch, record));
            CHECK_OK(sentinel_sign_salts(fresh, expected, 1, epoch, record));
            CHECK_BYTES(salts, expected, sizeof salts);
        }
    }
    /* Another key under the same id. */
    sentinel_key_info other = info_of(1, SENTINEL_PURPOSE_RECEIPT, ED25519);
    CHECK_OK(sentinel_keyring_remove(ring, 1));
    CHECK_OK(sentinel_keyring_generate(ring, &other));
    CHECK_OK(sentinel_sign_salts(ring, salts, 1, 2, 3));
    CHECK_OK(sentinel_sign_salts(fresh, expected, 1, 2, 3));
    CHECK(memcmp(salts, expected, sizeof salts) != 0);
    sentinel_keyring_free(ring);
    sentinel_keyring_free(fresh);
}

static void uses_count_signatures_and_nothing_else(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_signature signature;
    uint8_t bytes64[64];
    const uint8_t digest32[32] = {0};
    (void)import(ring, 1, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    (void)import(ring, 2, SENTINEL_PURPOSE_RECEIPT, ED25519);
    (void)import(ring, 3, SENTINEL_PURPOSE_MESSAGE, HMAC);
    CHECK_EQ(sentinel_keyring_uses(ring, 1), 0);
    (void)signature_of(ring, 1, text);
    CHECK_EQ(sentinel_keyring_uses(ring, 1), 1);
    CHECK_OK(sentinel_sign_digest(ring, &signature, 1, digest32));
    CHECK_EQ(sentinel_keyring_uses(ring, 1), 2);
    CHECK_EQ(sentinel_sign_frame(ring, bytes64, 1, "sentinel-x", digest32), SENTINEL_KEY_PURPOSE);
    CHECK_EQ(sentinel_keyring_uses(ring, 1), 2);
    CHECK_OK(sentinel_sign_frame(ring, bytes64, 2, "sentinel-x", digest32));
    CHECK_OK(sentinel_sign_salts(ring, bytes64, 2, 1, 1));
    CHECK_EQ(sentinel_sign_frame(ring, bytes64, 2, "other", digest32), SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_keyring_uses(ring, 2), 1);
    CHECK_EQ(sentinel_sign_digest(ring, &signature, 3, digest32), SENTINEL_KEY_PURPOSE);
    CHECK_EQ(sentinel_keyring_uses(ring, 3), 0);
    CHECK_EQ(sentinel_keyring_uses(ring, 4), 0);
    sentinel_keyring_free(ring);
}

/* A library that gives no signature: brought about by breaking the slot. */
static void a_signature_that_was_not_made_is_zero(void) {
    sentinel_keyring *ring = ring_new();
    sentinel_signature signature;
    (void)import(ring, ECDSA, SENTINEL_PURPOSE_MESSAGE, ECDSA);
    (void)import(ring, BIP340, SENTINEL_PURPOSE_MESSAGE, BIP340);
    for (uint32_t i = 0; i < 2; i++) {
        memset(ring->slots[i].secret, 0, 32);
        memset(&ring->slots[i].keypair, 0, sizeof ring->slots[i].keypair);
        memset(&signature, 0xff, sizeof signature);
        CHECK_EQ(sentinel_sign(ring, &signature, ring->ids[i], NULL, 0), SENTINEL_CRYPTO_FAILED);
        CHECK(sodium_is_zero((const uint8_t *)&signature, sizeof signature));
        CHECK_EQ(sentinel_keyring_uses(ring, ring->ids[i]), 0);
    }
    sentinel_keyring_free(ring);
}

/* The address of hyperliquid-python-sdk's own test key. */
static void an_address_is_the_last_bytes_of_the_point(void) {
    static const char address[] = "0x14791697260e4c9a71f18484c9f997b308e59325";
    sentinel_keyring *ring = NULL;
    uint8_t secret32[32];
    char text42[SENTINEL_ADDRESS_TEXT_BYTES];
    for (unsigned i = 0; i < 32; i++) { /* 0123456789012345... in hex */
        secret32[i] = (uint8_t)((2 * i % 10) << 4 | (2 * i + 1) % 10);
    }
    sentinel_key_info info = {.id = 1,
                              .purpose = SENTINEL_PURPOSE_MESSAGE,
                              .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1};
    CHECK_OK(sentinel_keyring_new(&ring));
    CHECK_OK(sentinel_keyring_import(ring, &info, secret32, sizeof secret32));
    CHECK_OK(sentinel_key_address(text42, info.public_key));
    CHECK_BYTES(text42, address, sizeof text42);
    info.public_key[0] = 4; /* no compressed point */
    CHECK_EQ(sentinel_key_address(text42, info.public_key), SENTINEL_USAGE_ARGUMENT);
    sentinel_keyring_free(ring);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(each_algorithm_verifies_what_it_signs);
    RUN(verifying_refuses_each_other_form_of_a_signature);
    RUN(verifying_refuses_wrong_arguments);
    RUN(ecdsa_with_a_high_s_is_refused);
    RUN(a_digest_is_signed_like_the_bytes_behind_it);
    RUN(signing_is_deterministic_across_keyrings);
    RUN(no_bytes_at_all_can_be_signed);
    RUN(an_unknown_key_signs_nothing);
    RUN(each_purpose_signs_only_its_own_kind);
    RUN(a_frame_is_signed_over_prefix_zero_and_digest);
    RUN(salts_are_the_documented_hashes);
    RUN(salts_made_ahead_are_the_same);
    RUN(uses_count_signatures_and_nothing_else);
    RUN(a_signature_that_was_not_made_is_zero);
    RUN(an_address_is_the_last_bytes_of_the_point);
    return test_end();
}

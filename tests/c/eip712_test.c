/* EIP-712: domains and structs of the kinds that the core signs.
 *
 * Method: what the core holds ready is computed again; digests are those of
 * Hyperliquid's own library (tests/golden/venues). tests/python compares
 * random structs with eth-account. */
#include "eip712.h"

#include <sodium.h>

#include "keccak.h"
#include "sentinel_test.h"

static int is_hex_of(const uint8_t bytes32[32], const char *hex) {
    char text[65];
    sodium_bin2hex(text, sizeof text, bytes32, 32);
    return strcmp(text, hex) == 0;
}

static void test_computes_again_what_is_held_ready(void) {
    static const char agent[] = "Agent(string source,bytes32 connectionId)";
    uint8_t hash32[32];
    eip712_domain(hash32, "Exchange", 1337);
    CHECK_BYTES(hash32, eip712_exchange_domain32, 32);
    keccak256(hash32, agent, strlen(agent));
    CHECK_BYTES(hash32, eip712_agent_type32, 32);
    eip712_domain(hash32, "Exchange", 1338);
    CHECK(memcmp(hash32, eip712_exchange_domain32, 32) != 0);
    keccak256(hash32, "a", 1);
    CHECK_BYTES(hash32, eip712_live_source32, 32);
    keccak256(hash32, "b", 1);
    CHECK_BYTES(hash32, eip712_test_source32, 32);
}

/* usdSend of the venue's library, test_sign_usd_transfer_action. */
static void test_hashes_texts_and_numbers(void) {
    eip712_struct value;
    uint8_t domain32[32], digest32[32];
    eip712_domain(domain32, "HyperliquidSignTransaction", 0x66eee);
    eip712_begin(&value,
                 "HyperliquidTransaction:UsdSend(string hyperliquidChain,string destination,"
                 "string amount,uint64 time)");
    eip712_text(&value, "Testnet", 7);
    eip712_text(&value, "0x5e9ee1089755c3435139848e47e6635505d5a13a", 42);
    eip712_text(&value, "1", 1);
    eip712_uint(&value, 1687816341423);
    eip712_digest(digest32, domain32, &value);
    CHECK_EQ(value.overflow, 0);
    CHECK(is_hex_of(digest32, "cacf7585cc49ca60c6c5fb3001e226c0ca03c46252c893eea574c78907b7cebe"));
}

/* The order of test_phantom_agent_creation_matches_production. */
static void test_hashes_words(void) {
    eip712_struct value;
    uint8_t id32[32], digest32[32];
    CHECK_OK(sodium_hex2bin(id32, 32,
                            "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908", 64,
                            NULL, NULL, NULL));
    eip712_begin_hashed(&value, eip712_agent_type32);
    eip712_text(&value, "a", 1);
    eip712_word(&value, id32);
    eip712_digest(digest32, eip712_exchange_domain32, &value);
    CHECK(is_hex_of(digest32, "be5eb0697b77c2acfeaa07a3d4913ae5d06489c63bfd143c5d3d66540a196c43"));
}

static void test_latches_a_field_too_many(void) {
    eip712_struct value;
    eip712_begin(&value, "Many(uint64 a,uint64 b,uint64 c,uint64 d,uint64 e,uint64 f)");
    for (unsigned i = 0; i < EIP712_FIELDS_MAX; i++) {
        eip712_uint(&value, i);
    }
    CHECK_EQ(value.overflow, 0);
    eip712_uint(&value, 7);
    CHECK_EQ(value.overflow, 1);
    CHECK_EQ(value.count, EIP712_FIELDS_MAX + 1);
    eip712_begin(&value, "None()");
    CHECK_EQ(value.overflow, 0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_computes_again_what_is_held_ready);
    RUN(test_hashes_texts_and_numbers);
    RUN(test_hashes_words);
    RUN(test_latches_a_field_too_many);
    return test_end();
}

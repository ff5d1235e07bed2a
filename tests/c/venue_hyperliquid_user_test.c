/* Hyperliquid's user-signed actions: exact bytes, and what is refused.
 *
 * Method: as venue_hyperliquid_test.c. */
#include "hyperliquid_scene.h"

#define USER(fields, type, chain)                                         \
    "{" fields ",\"type\":\"" type "\",\"signatureChainId\":\"0x66eee\"," \
    "\"hyperliquidChain\":\"" chain "\"}"
#define TO "\"destination\":\"" ADDRESS "\""
#define TIME ",\"time\":1700000000001"

#define MOVED(to_perp)                                                    \
    "{\"type\":\"usdClassTransfer\",\"amount\":\"1\",\"toPerp\":" to_perp \
    ",\"nonce\":1700000000001,\"signatureChainId\":\"0x66eee\","          \
    "\"hyperliquidChain\":\"Mainnet\"}"

static void test_withdraws_over_the_bridge(void) {
    set_hyper(SENTINEL_ACTION_WITHDRAW);
    CHECK_ACTION(USER(TO ",\"amount\":\"24.500000\"" TIME, "withdraw3", "Mainnet"));
    s.render.environment = TEST;
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_USDM;
    memcpy(s.order.withdraw.address, "0x5E9EE1089755C3435139848e47e6635505d5a13A", 42);
    set_id(s.network.code, &s.network.code_size, "Arbitrum");
    CHECK_ACTION(USER(TO ",\"amount\":\"24.500000\"" TIME, "withdraw3", "Testnet"));
    for (int field = 0; field < 6; field++) {
        set_hyper(SENTINEL_ACTION_WITHDRAW);
        s.order.header.present = field == 0 ? SENTINEL_PRESENT_MEMO : 0;
        s.order.withdraw.priority = field == 1;
        s.order.withdraw.from_account = field == 2 ? SENTINEL_ACCOUNT_SPOT : 0;
        set_id(s.network.code, &s.network.code_size, field == 3 ? "Ethereum" : "");
        set_id(s.asset.code, &s.asset.code_size, field == 4 ? "USDT" : "USDC");
        s.render.network = field == 5 ? NULL : &s.network;
        CHECK_EQ(render(), UNSUPPORTED);
    }
}

static void test_sends_usdc_and_tokens(void) {
    set_hyper(SENTINEL_ACTION_TRANSFER);
    set_id(s.order.transfer.destination, &s.order.transfer.destination_size, ADDRESS);
    s.order.transfer.from_account = s.order.transfer.to_account = SENTINEL_ACCOUNT_USDM;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_ACTION(USER(TO ",\"amount\":\"1\"" TIME, "usdSend", "Mainnet"));
    s.order.transfer.from_account = s.order.transfer.to_account = SENTINEL_ACCOUNT_SPOT;
    CHECK_EQ(render(), UNSUPPORTED); /* a token without its number */
    static const uint8_t token16[16] = {0xc1, 0xfb, 0x59, 0x3a, 0xef, 0xfb, 0xeb, 0x02,
                                        0xf8, 0x5e, 0x03, 0x08, 0xe9, 0x95, 0x6a, 0x90};
    memcpy(s.asset.token16, token16, 16);
    set_id(s.asset.code, &s.asset.code_size, "PURR");
    CHECK_ACTION(USER(TO ",\"amount\":\"1\","
                         "\"token\":\"PURR:0xc1fb593aeffbeb02f85e0308e9956a90\"" TIME,
                      "spotSend", "Mainnet"));
    s.order.transfer.from_account = s.order.transfer.to_account = SENTINEL_ACCOUNT_USDM;
    CHECK_EQ(render(), UNSUPPORTED); /* perpetuals have USDC alone */
}

static void test_moves_usdc_between_its_two_wallets(void) {
    int rendered = 0;
    for (uint8_t from = 1; from < SENTINEL_ACCOUNT_COUNT; from++) {
        for (uint8_t to = 1; to < SENTINEL_ACCOUNT_COUNT; to++) {
            set_hyper(SENTINEL_ACTION_TRANSFER);
            s.order.transfer.from_account = from;
            s.order.transfer.to_account = to;
            rendered += render() == SENTINEL_REASON_NONE;
        }
    }
    CHECK_EQ(rendered, 2);
    set_hyper(SENTINEL_ACTION_TRANSFER);
    CHECK_ACTION(MOVED("true"));
    s.order.transfer.from_account = SENTINEL_ACCOUNT_USDM;
    s.order.transfer.to_account = SENTINEL_ACCOUNT_SPOT;
    CHECK_ACTION(MOVED("false"));
    set_id(s.asset.code, &s.asset.code_size, "PURR");
    CHECK_EQ(render(), UNSUPPORTED);
}

static void test_takes_addresses_of_42_characters_alone(void) {
    static const char *const bad[] = {
        "0x5e9ee1089755c3435139848e47e6635505d5a13",  "0x5e9ee1089755c3435139848e47e6635505d5a13a0",
        "0X5e9ee1089755c3435139848e47e6635505d5a13a", "0x5e9ee1089755c3435139848e47e6635505d5a13g",
        "005e9ee1089755c3435139848e47e6635505d5a13a", "0x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_hyper(SENTINEL_ACTION_WITHDRAW);
        set_id(s.order.withdraw.address, &s.order.withdraw.address_size, bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
        set_hyper(SENTINEL_ACTION_TRANSFER);
        s.order.transfer.from_account = SENTINEL_ACCOUNT_USDM;
        set_id(s.order.transfer.destination, &s.order.transfer.destination_size, bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_withdraws_over_the_bridge);
    RUN(test_sends_usdc_and_tokens);
    RUN(test_moves_usdc_between_its_two_wallets);
    RUN(test_takes_addresses_of_42_characters_alone);
    return test_end();
}

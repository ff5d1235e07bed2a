/* Bybit: exact bytes of withdrawals and transfers, and what every request has:
 * names, window, host, headers and signature.
 *
 * Method: the expected bytes are written out; signatures are computed with
 * libsodium directly. */
#include "venue_bybit_scene.h"

static void test_withdraws_on_the_chain_from_a_named_account(void) {
    set_bybit(SENTINEL_ACTION_WITHDRAW, 0);
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_FUNDING;
    CHECK_BODY("/v5/asset/withdraw/create",
               "{\"coin\":\"USDT\",\"chain\":\"ETH\",\"address\":\"0xAbc\""
               ",\"amount\":\"24.500000\",\"timestamp\":1700000000000,\"forceChain\":1"
               ",\"accountType\":\"FUND\"}");
    set_client_id("wd0001");
    s.order.header.present = SENTINEL_PRESENT_MEMO;
    set_id(s.order.withdraw.memo, &s.order.withdraw.memo_size, "m-1.2_3");
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_UNIFIED;
    set_id(s.network.code, &s.network.code_size, "Arbitrum One (x)");
    CHECK_BODY("/v5/asset/withdraw/create",
               "{\"coin\":\"USDT\",\"chain\":\"Arbitrum One (x)\",\"address\":\"0xAbc\""
               ",\"tag\":\"m-1.2_3\",\"amount\":\"24.500000\",\"timestamp\":1700000000000"
               ",\"forceChain\":1,\"accountType\":\"UTA\",\"requestId\":\"wd0001\"}");
    for (uint8_t account = 0; account < SENTINEL_ACCOUNT_COUNT; account++) {
        int good = account == SENTINEL_ACCOUNT_FUNDING || account == SENTINEL_ACCOUNT_UNIFIED;
        s.order.withdraw.from_account = account;
        CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : UNSUPPORTED);
    }
}

static void test_refuses_withdrawals_that_the_venue_would_read_otherwise(void) {
    set_bybit(SENTINEL_ACTION_WITHDRAW, 0);
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_FUNDING;
    s.order.withdraw.priority = SENTINEL_PRIORITY_HIGH;
    CHECK_EQ(render(), UNSUPPORTED);
    s.order.withdraw.priority = 0;
    s.network.code_size = 0; /* a forced chain must be named */
    CHECK_EQ(render(), UNSUPPORTED);
    s.network.code_size = 3;
    s.render.network = NULL;
    CHECK_EQ(render(), UNSUPPORTED);
    s.render.network = &s.network;
    s.render.asset = NULL;
    CHECK_EQ(render(), UNSUPPORTED);
    s.render.asset = &s.asset;
    static const char never[] = {'"', '\\', '\n', 0x7f, (char)0x80};
    for (size_t i = 0; i < sizeof never; i++) { /* nothing is escaped: it is not rendered */
        s.network.code[1] = never[i];
        CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
        s.network.code[1] = 'T';
        s.order.withdraw.address[1] = never[i];
        CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
        s.order.withdraw.address[1] = 'x';
    }
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
}

static void set_transfer(uint8_t from, uint8_t to, const char *id) {
    set_bybit(SENTINEL_ACTION_TRANSFER, 0);
    s.order.transfer.from_account = from;
    s.order.transfer.to_account = to;
    set_client_id(id);
}

#define FUND SENTINEL_ACCOUNT_FUNDING
#define UNIFIED SENTINEL_ACCOUNT_UNIFIED
#define HEX "42c0cfb06bcac242bc764e6df6cbcb16"
#define UUID "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16"

static void test_transfers_between_the_wallets_of_an_account(void) {
    set_transfer(UNIFIED, FUND, HEX);
    CHECK_BODY("/v5/asset/transfer/inter-transfer",
               "{\"transferId\":\"" UUID "\",\"coin\":\"USDT\",\"amount\":\"1\""
               ",\"fromAccountType\":\"UNIFIED\",\"toAccountType\":\"FUND\"}");
    set_transfer(FUND, UNIFIED, UUID);
    CHECK_BODY("/v5/asset/transfer/inter-transfer",
               "{\"transferId\":\"" UUID "\",\"coin\":\"USDT\",\"amount\":\"1\""
               ",\"fromAccountType\":\"FUND\",\"toAccountType\":\"UNIFIED\"}");
    int rendered = 0;
    for (uint8_t from = 1; from < SENTINEL_ACCOUNT_COUNT; from++) {
        for (uint8_t to = 1; to < SENTINEL_ACCOUNT_COUNT; to++) {
            set_transfer(from, to, HEX);
            rendered += render() == SENTINEL_REASON_NONE;
        }
    }
    CHECK_EQ(rendered, 2);
    set_transfer(UNIFIED, FUND, HEX);
    set_id(s.order.transfer.destination, &s.order.transfer.destination_size, "592334");
    CHECK_EQ(render(), UNSUPPORTED);
    set_transfer(UNIFIED, FUND, HEX);
    s.render.asset = NULL;
    CHECK_EQ(render(), UNSUPPORTED);
}

static void test_names_transfers_by_a_uuid_alone(void) {
    static const char *const bad[] = {"4",
                                      "42c0cfb06bcac242bc764e6df6cbcb1",
                                      HEX "0",
                                      UUID "0",
                                      "42c0cfb0-6bca-c242-bc76-4e6df6cbcb1",
                                      "42c0cfb06bca-c242--bc76-4e6df6cbcb16",
                                      "42c0cfb0-6bca-c242-bc76-4e6df6cbcb1g",
                                      "g2c0cfb06bcac242bc764e6df6cbcb16",
                                      "42c0cfb0-6bca-c242-bc7604e6df6cbcb16",
                                      "42c0cfb0-6bca-c242-bc76--e6df6cbcb16"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_transfer(UNIFIED, FUND, bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
    static const char edges[] = {'/', ':', '@', 'G', '`', 'g', '-', '"'};
    for (size_t i = 0; i < sizeof edges; i++) {
        set_transfer(UNIFIED, FUND, UUID);
        s.render.client_id[35] = edges[i];
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
    set_transfer(UNIFIED, FUND, "");
    CHECK_EQ(render(), UNSUPPORTED); /* the venue wants one */
    set_transfer(UNIFIED, FUND, "00000000-AFaf-0099-0000-000000000000");
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
}

static void test_checks_the_names_of_orders(void) {
    static const char longest[] = "ABCXYZabcxyz0189_-ABCXYZabcxyz0189_-";
    static const char never[] = {'.', ':', '/', ' ', '"', '\\', 0, '~', (char)0xe9};
    for (size_t target = 0; target < 2; target++) {
        set_bybit(target ? SENTINEL_ACTION_CANCEL : SENTINEL_ACTION_PLACE,
                  SENTINEL_CONTRACT_LINEAR);
        char *id = target ? s.render.target_client_id : s.render.client_id;
        if (target) {
            set_target_client_id(longest);
        } else {
            set_client_id(longest);
        }
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        for (size_t i = 0; i < sizeof never; i++) {
            char good = id[7];
            id[7] = never[i];
            CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
            id[7] = good;
        }
        id[36] = 'x';
        *(target ? &s.render.target_client_id_size : &s.render.client_id_size) = 37;
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
    set_bybit(SENTINEL_ACTION_WITHDRAW, 0);
    s.order.withdraw.from_account = FUND;
    set_client_id(HEX "0");
    CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    s.render.client_id_size = 32;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    for (size_t i = 0; i < 3; i++) {
        s.render.client_id[31] = "._-"[i];
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_refuses_names_that_an_action_has_no_place_for(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        set_bybit(action, SENTINEL_CONTRACT_LINEAR);
        set_client_id(HEX); /* as every record has one */
        set_target_client_id(HEX);
        s.order.withdraw.from_account = action == SENTINEL_ACTION_WITHDRAW ? FUND : 0;
        if (action == SENTINEL_ACTION_TRANSFER) {
            set_transfer(FUND, UNIFIED, HEX);
        }
        int has = action != SENTINEL_ACTION_CANCEL_ALL_AFTER;
        CHECK_EQ(render(), has ? SENTINEL_REASON_NONE : UNSUPPORTED);
        s.order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID;
        int named = action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_WITHDRAW ||
                    action == SENTINEL_ACTION_TRANSFER;
        CHECK_EQ(render(), named ? SENTINEL_REASON_NONE : UNSUPPORTED);
        s.order.header.present &= ~(uint32_t)SENTINEL_PRESENT_LAB_CLIENT_ID;
        s.order.header.present |= SENTINEL_PRESENT_LAB_NONCE;
        CHECK_EQ(render(), UNSUPPORTED);
    }
}

static void test_always_has_a_window_outside_the_lab(void) {
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    static const uint64_t windows[] = {0, 1, 60000, 60001, UINT64_MAX};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        s.render.expiry = windows[i];
        CHECK_EQ(render(), i == 1 || i == 2 ? SENTINEL_REASON_NONE : SENTINEL_REASON_EXPIRY);
    }
    s.render.has_expiry = 0;
    CHECK_EQ(render(), UNSUPPORTED);
    s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 3);
    CHECK_SPAN(s.request.header_names[2], "X-BAPI-TIMESTAMP");
    CHECK_SPAN(s.request.string_to_sign, "1700000000000Key-1" LINEAR "}");
}

static void test_chooses_the_host_by_environment(void) {
    for (uint8_t environment = LIVE; environment <= LAB; environment++) {
        for (uint16_t action = SENTINEL_ACTION_PLACE; action <= SENTINEL_ACTION_TRANSFER;
             action++) {
            if (action == SENTINEL_ACTION_CANCEL_ALL_AFTER) {
                continue;
            }
            set_bybit(action, SENTINEL_CONTRACT_LINEAR);
            s.order.withdraw.from_account = action == SENTINEL_ACTION_WITHDRAW ? FUND : 0;
            if (action == SENTINEL_ACTION_TRANSFER) {
                set_transfer(FUND, UNIFIED, HEX);
            }
            s.render.environment = environment;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            CHECK_SPAN(s.request.host,
                       environment == TEST ? "api-testnet.bybit.com" : "api.bybit.com");
        }
    }
}

static void test_sends_headers_that_nothing_can_end(void) {
    static const char never[] = {'\n', '\r', ' ', ':', '"', 0};
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 4);
    CHECK_SPAN(s.request.header_names[0], "Content-Type");
    CHECK_SPAN(s.request.header_values[0], "application/json");
    CHECK_SPAN(s.request.header_names[1], "X-BAPI-API-KEY");
    CHECK_SPAN(s.request.header_values[1], "Key-1");
    CHECK_SPAN(s.request.header_names[2], "X-BAPI-TIMESTAMP");
    CHECK_SPAN(s.request.header_values[2], "1700000000000");
    CHECK_SPAN(s.request.header_names[3], "X-BAPI-RECV-WINDOW");
    CHECK_SPAN(s.request.header_values[3], "5000");
    for (size_t i = 0; i < sizeof never; i++) {
        s.key.api_key[3] = never[i];
        CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    }
    s.key.api_key[3] = '-';
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.key.api_key_size = 0;
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    set_query(SENTINEL_QUERY_FILLS, SENTINEL_CONTRACT_SPOT, 0); /* no body, no type of it */
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 3);
    CHECK_SPAN(s.request.header_names[0], "X-BAPI-API-KEY");
}

static void test_takes_hmac_keys_of_the_venue_alone(void) {
    for (uint8_t algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
        set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
        s.key.algorithm = algorithm;
        CHECK_EQ(render(), algorithm == HMAC ? SENTINEL_REASON_NONE : UNSUPPORTED);
    }
    for (uint8_t purpose = 0; purpose <= SENTINEL_PURPOSE_COUNT; purpose++) {
        set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
        s.key.purpose = purpose;
        CHECK_EQ(render(), purpose == SENTINEL_PURPOSE_VENUE ? SENTINEL_REASON_NONE : UNSUPPORTED);
    }
}

static void test_fails_on_texts_that_do_not_fit(void) {
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, Q | P);
    s.order.place.price = DEC(-1, 0); /* never passes the check of its form */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    s.instrument.symbol[2] = '"'; /* nor does this one that of its bundle */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    set_place(SENTINEL_CONTRACT_INVERSE, SENTINEL_TYPE_STOP_LIMIT, SENTINEL_TIF_POST_ONLY,
              Q | P | T | SENTINEL_PRESENT_REDUCE_ONLY | SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
    s.order.place.quantity = s.order.place.price = DEC(INT64_MAX, 18); /* the longest order */
    s.order.place.trigger_price = DEC(INT64_MAX, 0);
    s.order.place.trigger_by = SENTINEL_TRIGGER_BY_INDEX;
    s.order.place.position_side = SENTINEL_POSITION_SHORT;
    set_client_id(UUID);
    memset(s.instrument.symbol, 'X', sizeof s.instrument.symbol);
    s.instrument.symbol_size = sizeof s.instrument.symbol;
    memset(s.key.api_key, 'K', sizeof s.key.api_key);
    s.key.api_key_size = sizeof s.key.api_key;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
}

static void test_puts_the_signature_into_the_last_header(void) {
    static const char secret[] = "T1yBXcWqEXJmCe6zkXnQpGgvJ5zkV9cTestS"; /* a test key */
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    set_id(s.key.api_key, &s.key.api_key_size, "XXXXXXXXXX");
    s.render.timestamp_ms = 1700000002012;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    sentinel_signature signature = {.algorithm = HMAC, .size = 32};
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, sizeof secret - 1);
    crypto_auth_hmacsha256_update(&state,
                                  (const uint8_t *)s.request.text + s.request.string_to_sign.offset,
                                  s.request.string_to_sign.size);
    crypto_auth_hmacsha256_final(&state, signature.bytes);
    signature.size = 31;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
    signature.size = 32;
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 5);
    CHECK_SPAN(s.request.header_names[4], "X-BAPI-SIGN");
    CHECK_SPAN(s.request.header_values[4],
               "3738233fa8cec6c4410a802c92ee5f6c517b0c1941c3c4afe348a3ace9eee278");
    CHECK_SPAN(s.request.string_to_sign, "1700000002012XXXXXXXXXX5000" LINEAR "}");
    CHECK_SPAN(s.request.body, LINEAR "}");
    /* Once. */
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature),
             SENTINEL_REASON_RENDER_FAILED);
}

static void test_holds_what_is_released_for_its_window(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        const sentinel_hold *hold = sentinel_venue_hold(BYBIT, action);
        if (action == SENTINEL_ACTION_CANCEL_ALL_AFTER || action == SENTINEL_ACTION_MESSAGE) {
            CHECK(hold == NULL);
            continue;
        }
        int once = action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER;
        CHECK_EQ(hold->expiry, SENTINEL_HOLD_EXPIRY_SIGNED);
        CHECK_EQ(hold->once, once);
        CHECK_EQ(hold->endpoint_covered, 0);
        CHECK_EQ(hold->window_ms, 60000);
    }
    set_bybit(SENTINEL_ACTION_PLACE, SENTINEL_CONTRACT_LINEAR);
    CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, BYBIT), 1700000005000);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_withdraws_on_the_chain_from_a_named_account);
    RUN(test_refuses_withdrawals_that_the_venue_would_read_otherwise);
    RUN(test_transfers_between_the_wallets_of_an_account);
    RUN(test_names_transfers_by_a_uuid_alone);
    RUN(test_checks_the_names_of_orders);
    RUN(test_refuses_names_that_an_action_has_no_place_for);
    RUN(test_always_has_a_window_outside_the_lab);
    RUN(test_chooses_the_host_by_environment);
    RUN(test_sends_headers_that_nothing_can_end);
    RUN(test_takes_hmac_keys_of_the_venue_alone);
    RUN(test_fails_on_texts_that_do_not_fit);
    RUN(test_puts_the_signature_into_the_last_header);
    RUN(test_holds_what_is_released_for_its_window);
    return test_end();
}

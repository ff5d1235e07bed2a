/* Hyperliquid's orders with their rows and key, ready to be rendered. */
#ifndef HYPERLIQUID_SCENE_H
#define HYPERLIQUID_SCENE_H

#include "venue_scene.h"

#define Q SENTINEL_PRESENT_QUANTITY
#define P SENTINEL_PRESENT_PRICE
#define T SENTINEL_PRESENT_TRIGGER_PRICE
#define HYPER SENTINEL_VENUE_HYPERLIQUID
#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define DAYS_2_MS INT64_C(172800000)
#define ADDRESS "0x5e9ee1089755c3435139848e47e6635505d5a13a"
#define VAULT "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
#define CLOID "0x0123456789abcdef0123456789abcdef"

static int moves(uint16_t action) {
    return action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER;
}

/* ETH, number 1, four decimals of size; a transfer moves USDC to spot. */
static void set_hyper(uint16_t action) {
    set_scene(HYPER, action);
    s.instrument.venue_index = 1;
    s.instrument.lot = DEC(1, 4);
    s.key.algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1;
    s.key.purpose = moves(action) ? SENTINEL_PURPOSE_VENUE_MASTER : SENTINEL_PURPOSE_VENUE;
    s.key.api_key_size = 0;
    memset(s.key.api_key, 0, sizeof s.key.api_key);
    set_id(s.asset.code, &s.asset.code_size, "USDC");
    s.network.code_size = 0;
    s.render.nonce = 1700000000001;
    s.render.has_expiry = !moves(action);
    s.render.expiry = moves(action) ? 0 : 1700000005000;
    s.render.side = SENTINEL_SIDE_BUY;
    if (action == SENTINEL_ACTION_PLACE || action == SENTINEL_ACTION_AMEND) {
        s.order.place.price = DEC(65000, 0);
        s.order.amend.price = action == SENTINEL_ACTION_AMEND ? DEC(65000, 0) : s.order.amend.price;
    }
    if (action == SENTINEL_ACTION_AMEND || action == SENTINEL_ACTION_CANCEL) {
        set_target_client_id("0123456789abcdef0123456789abcdef");
    }
    if (action == SENTINEL_ACTION_CANCEL_ALL_AFTER) {
        s.order.cancel_all_after.instrument = 0;
        s.order.cancel_all_after.venue = HYPER;
        s.render.instrument = NULL;
    }
    if (action == SENTINEL_ACTION_WITHDRAW) {
        set_id(s.order.withdraw.address, &s.order.withdraw.address_size, ADDRESS);
    }
}

/* The body so far: from the digest's end to the text's. */
static int body_is(const char *text) {
    sentinel_span span = {s.request.body.offset,
                          (uint16_t)(s.request.text_size - s.request.body.offset)};
    if (!span_is(span, text)) {
        printf("    \"%.*s\"\n    \"%s\"\n", span.size, s.request.text + span.offset, text);
        return 0;
    }
    return 1;
}

/* Renders, and compares the action. */
#define CHECK_ACTION(action_)                                              \
    do {                                                                   \
        CHECK_EQ(render(), SENTINEL_REASON_NONE);                          \
        CHECK_EQ(s.request.method, SENTINEL_METHOD_POST);                  \
        CHECK_SPAN(s.request.path, "/exchange");                           \
        CHECK_EQ(s.request.query.size, 0);                                 \
        CHECK_EQ(s.request.prehashed, 1);                                  \
        CHECK_EQ(s.request.string_to_sign.size, 32);                       \
        CHECK(body_is("{\"action\":" action_ ",\"nonce\":1700000000001")); \
    } while (0)

#endif

/* A Deribit order of each action, ready to be rendered. */
#ifndef VENUE_DERIBIT_SCENE_H
#define VENUE_DERIBIT_SCENE_H

#include "venue_scene.h"

#define Q SENTINEL_PRESENT_QUANTITY
#define P SENTINEL_PRESENT_PRICE
#define T SENTINEL_PRESENT_TRIGGER_PRICE
#define DERIBIT SENTINEL_VENUE_DERIBIT
#define NOW_MS 1700000000000
#define UNTIL "&valid_until=1700000005000"

static const uint16_t all_actions[] = {
    SENTINEL_ACTION_PLACE,      SENTINEL_ACTION_AMEND, SENTINEL_ACTION_CANCEL,
    SENTINEL_ACTION_CANCEL_ALL, SENTINEL_ACTION_QUERY, SENTINEL_ACTION_WITHDRAW,
    SENTINEL_ACTION_TRANSFER,
};
#define ALL_ACTIONS (sizeof all_actions / sizeof *all_actions)

/* Of each action one that renders: an inverse perpetual, amounts in USD. */
static void set_deribit(uint16_t action) {
    set_scene(DERIBIT, action);
    s.instrument.contract = SENTINEL_CONTRACT_INVERSE;
    s.instrument.quantity_unit = SENTINEL_UNIT_QUOTE;
    set_id(s.instrument.symbol, &s.instrument.symbol_size, "BTC-PERPETUAL");
    set_id(s.asset.code, &s.asset.code_size, "BTC");
    memset(&s.network, 0, sizeof s.network); /* the venue chooses it */
    s.render.settle = &s.asset;
    s.render.expiry = NOW_MS + 5000;
    s.render.nonce = 1700000000001;
    if (action == SENTINEL_ACTION_TRANSFER) {
        s.order.transfer.from_account = SENTINEL_ACCOUNT_UNIFIED;
        s.order.transfer.to_account = SENTINEL_ACCOUNT_SUBACCOUNT;
        set_id(s.order.transfer.destination, &s.order.transfer.destination_size, "20");
    }
    if (action == SENTINEL_ACTION_AMEND || action == SENTINEL_ACTION_CANCEL ||
        action == SENTINEL_ACTION_QUERY) {
        set_target_client_id("c-1");
    }
}

/* Renders, and compares host, path, query and the string to sign. */
static void check_get(const char *path, const char *query) {
    char expected[1024];
    snprintf(expected, sizeof expected, "1700000000000\n1700000000001\nGET\n%s%s%s\n\n", path,
             *query ? "?" : "", query);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.method, SENTINEL_METHOD_GET);
    CHECK_SPAN(s.request.host, "www.deribit.com");
    CHECK_SPAN(s.request.path, path);
    CHECK_SPAN(s.request.query, query);
    CHECK_SPAN(s.request.string_to_sign, expected);
    CHECK_EQ(s.request.body.size, 0);
    CHECK_EQ(s.request.header_count, 0); /* made of the signature */
    CHECK_EQ(s.request.endpoint_covered, 1);
    CHECK_EQ(s.request.prehashed, 0);
}

#endif

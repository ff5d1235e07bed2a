/* An order of Bybit with its rows and key, and comparisons of its bytes. */
#ifndef VENUE_BYBIT_SCENE_H
#define VENUE_BYBIT_SCENE_H

#include "venue_scene.h"

#define BYBIT SENTINEL_VENUE_BYBIT
#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define Q SENTINEL_PRESENT_QUANTITY
#define V SENTINEL_PRESENT_QUOTE_QUANTITY
#define P SENTINEL_PRESENT_PRICE
#define T SENTINEL_PRESENT_TRIGGER_PRICE
#define SIGNED_FIRST "1700000000000Key-15000"
#define SYMBOL "\"symbol\":\"BTCUSDT\""
#define LINEAR "{\"category\":\"linear\"," SYMBOL
#define INVERSE "{\"category\":\"inverse\"," SYMBOL
#define SPOT_PAIR "{\"category\":\"spot\"," SYMBOL
#define OPTION "{\"category\":\"option\"," SYMBOL

/* Renders, and compares method, path, body and what is signed. */
#define CHECK_BODY(path_, body_)                                  \
    do {                                                          \
        CHECK_EQ(render(), SENTINEL_REASON_NONE);                 \
        CHECK_EQ(s.request.method, SENTINEL_METHOD_POST);         \
        CHECK_SPAN(s.request.path, path_);                        \
        CHECK_SPAN(s.request.body, body_);                        \
        CHECK_SPAN(s.request.string_to_sign, SIGNED_FIRST body_); \
        CHECK_EQ(s.request.query.size, 0);                        \
        CHECK_EQ(s.request.endpoint_covered, 0);                  \
    } while (0)

#define CHECK_QUERY(path_, query_)                                 \
    do {                                                           \
        CHECK_EQ(render(), SENTINEL_REASON_NONE);                  \
        CHECK_EQ(s.request.method, SENTINEL_METHOD_GET);           \
        CHECK_SPAN(s.request.path, path_);                         \
        CHECK_SPAN(s.request.query, query_);                       \
        CHECK_SPAN(s.request.string_to_sign, SIGNED_FIRST query_); \
        CHECK_EQ(s.request.body.size, 0);                          \
        CHECK_EQ(s.request.endpoint_covered, 0);                   \
    } while (0)

/* The venue's four categories, with their units of quantity. */
static void set_bybit(uint16_t action, uint8_t contract) {
    set_scene(BYBIT, action);
    s.instrument.contract = contract;
    s.instrument.quantity_unit =
        contract == SENTINEL_CONTRACT_INVERSE ? SENTINEL_UNIT_QUOTE : SENTINEL_UNIT_BASE;
}

static void set_place(uint8_t contract, uint8_t type, uint8_t tif, uint32_t present) {
    set_bybit(SENTINEL_ACTION_PLACE, contract);
    set_terms(type, tif, present);
}

static void set_query(uint8_t what, uint8_t contract, int whole_venue) {
    set_bybit(SENTINEL_ACTION_QUERY, contract);
    memset(&s.order.query.target, 0, sizeof s.order.query.target);
    s.order.query.what = what;
    if (whole_venue) {
        s.render.instrument = NULL;
        s.order.query.venue = BYBIT;
        s.order.query.contract = contract;
    } else {
        s.order.query.instrument = 3;
    }
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
}

#endif

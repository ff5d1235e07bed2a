/* An order with its rows and key, ready to be rendered. */
#ifndef VENUE_SCENE_H
#define VENUE_SCENE_H

#include <sentinel/venue.h>
#include <sodium.h>

#include "order_make.h"

#define SPOT SENTINEL_VENUE_BINANCE_SPOT
#define USDM SENTINEL_VENUE_BINANCE_USDM
#define HMAC SENTINEL_ALGORITHM_HMAC_SHA256
#define ED25519 SENTINEL_ALGORITHM_ED25519
#define TAIL "&recvWindow=5000&timestamp=1700000000000"

typedef struct scene {
    sentinel_order order;
    sentinel_instrument instrument;
    sentinel_asset asset;
    sentinel_network network;
    sentinel_key_info key;
    sentinel_render render;
    sentinel_request request;
} scene;

static scene s;

static void set_scene(uint16_t venue, uint16_t action) {
    memset(&s, 0, sizeof s);
    s.order = valid(action);
    s.instrument.venue = venue;
    s.instrument.contract = venue == SPOT ? SENTINEL_CONTRACT_SPOT : SENTINEL_CONTRACT_LINEAR;
    s.instrument.quantity_unit = SENTINEL_UNIT_BASE;
    set_id(s.instrument.symbol, &s.instrument.symbol_size, "BTCUSDT");
    s.asset.venue = venue;
    set_id(s.asset.code, &s.asset.code_size, "USDT");
    set_id(s.network.code, &s.network.code_size, "ETH");
    s.key.venue = action == SENTINEL_ACTION_MESSAGE ? SENTINEL_VENUE_NONE : venue;
    s.key.purpose =
        action == SENTINEL_ACTION_MESSAGE ? SENTINEL_PURPOSE_MESSAGE : SENTINEL_PURPOSE_VENUE;
    s.key.algorithm = HMAC;
    set_id(s.key.api_key, &s.key.api_key_size, "Key-1");
    int wallet = action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER;
    s.render.order = &s.order;
    s.render.key = &s.key;
    s.render.instrument = wallet || action == SENTINEL_ACTION_MESSAGE ? NULL : &s.instrument;
    s.render.asset = wallet ? &s.asset : NULL;
    s.render.network = action == SENTINEL_ACTION_WITHDRAW ? &s.network : NULL;
    s.render.timestamp_ms = 1700000000000;
    s.render.environment = SENTINEL_ENVIRONMENT_LIVE;
    s.render.has_expiry = 1;
    s.render.expiry = 5000;
}

static sentinel_reason render(void) {
    return sentinel_venue_render(&s.request, &s.render);
}

static int span_is(sentinel_span span, const char *text) {
    return span.size == strlen(text) && memcmp(s.request.text + span.offset, text, span.size) == 0;
}

#define CHECK_SPAN(span, expected)                                                            \
    do {                                                                                      \
        if (!span_is(span, expected)) {                                                       \
            printf("    \"%.*s\"\n    \"%s\"\n", (span).size, s.request.text + (span).offset, \
                   expected);                                                                 \
        }                                                                                     \
        CHECK(span_is(span, expected));                                                       \
    } while (0)

/* Renders, and compares method, path and query. */
#define CHECK_REQUEST(method_, path_, query_)                  \
    do {                                                       \
        CHECK_EQ(render(), SENTINEL_REASON_NONE);              \
        CHECK_EQ(s.request.method, SENTINEL_METHOD_##method_); \
        CHECK_SPAN(s.request.path, path_);                     \
        CHECK_SPAN(s.request.query, query_);                   \
        CHECK_SPAN(s.request.string_to_sign, query_);          \
        CHECK_EQ(s.request.body.size, 0);                      \
    } while (0)

static void set_terms(uint8_t type, uint8_t tif, uint32_t present) {
    s.order = place_of(type, tif, present);
}

static void set_client_id(const char *id) {
    s.render.client_id_size = (uint8_t)strlen(id);
    memcpy(s.render.client_id, id, strlen(id));
}

static void set_target_client_id(const char *id) {
    s.render.target_client_id_size = (uint8_t)strlen(id);
    memcpy(s.render.target_client_id, id, strlen(id));
}

static void set_venue_id(sentinel_target *target, const char *id) {
    memset(target, 0, sizeof *target);
    target->by = SENTINEL_TARGET_VENUE_ID;
    set_id(target->id, &target->id_size, id);
}

#endif

/* An order for OKX with its rows, key and passphrase, ready to be rendered. */
#ifndef VENUE_OKX_SCENE_H
#define VENUE_OKX_SCENE_H

#include "venue_scene.h"

#define OKX SENTINEL_VENUE_OKX
#define Q SENTINEL_PRESENT_QUANTITY
#define QQ SENTINEL_PRESENT_QUOTE_QUANTITY
#define P SENTINEL_PRESENT_PRICE
#define T SENTINEL_PRESENT_TRIGGER_PRICE
#define CASH SENTINEL_MARGIN_CASH
#define CROSS SENTINEL_MARGIN_CROSS
#define ISOLATED SENTINEL_MARGIN_ISOLATED
#define TIMESTAMP "2023-11-14T22:13:20.000Z"
#define REFUSED SENTINEL_REASON_UNSUPPORTED

static const char *const kinds[] = {
    [SENTINEL_CONTRACT_SPOT] = "BTC-USDT",
    [SENTINEL_CONTRACT_LINEAR] = "BTC-USDT-SWAP",
    [SENTINEL_CONTRACT_INVERSE] = "BTC-USD-251226",
    [SENTINEL_CONTRACT_OPTION] = "BTC-USD-251226-90000-C",
};

static void set_kind(uint8_t contract) {
    int spot = contract == SENTINEL_CONTRACT_SPOT;
    s.instrument.contract = contract;
    s.instrument.quantity_unit = spot ? SENTINEL_UNIT_BASE : SENTINEL_UNIT_CONTRACTS;
    set_id(s.instrument.symbol, &s.instrument.symbol_size, kinds[contract]);
    if (s.order.header.action == SENTINEL_ACTION_PLACE) {
        s.order.place.margin_mode = spot ? 0 : CROSS;
    }
}

static void set_okx(uint16_t action) {
    set_scene(OKX, action);
    set_kind(SENTINEL_CONTRACT_SPOT);
    s.render.passphrase = "Test-Pass-123!";
    s.render.passphrase_size = 14;
    s.render.has_expiry = 0;
    s.render.expiry = 0;
    if (action == SENTINEL_ACTION_CANCEL_ALL_AFTER) {
        s.render.instrument = NULL;
        s.order.cancel_all_after.instrument = 0;
        s.order.cancel_all_after.venue = OKX;
    }
    if (action == SENTINEL_ACTION_TRANSFER) {
        s.order.transfer.from_account = SENTINEL_ACCOUNT_FUNDING;
        s.order.transfer.to_account = SENTINEL_ACCOUNT_UNIFIED;
    }
    if (action == SENTINEL_ACTION_WITHDRAW) {
        set_id(s.network.code, &s.network.code_size, "USDT-ERC20");
    }
}

static void set_place(uint8_t contract, uint8_t type, uint8_t tif, uint32_t present) {
    set_okx(SENTINEL_ACTION_PLACE);
    set_terms(type, tif, present);
    set_kind(contract);
}

/* Renders, and compares method, path, query, body and what is signed. */
static void check_request(int line, uint8_t method, const char *path, const char *query,
                          const char *body) {
    char signed_text[SENTINEL_REQUEST_TEXT_BYTES];
    sentinel_reason reason = render();
    snprintf(signed_text, sizeof signed_text, "%s%s%s%s%s%s", TIMESTAMP,
             method == SENTINEL_METHOD_GET ? "GET" : "POST", path, *query ? "?" : "", query, body);
    if (reason != SENTINEL_REASON_NONE || !span_is(s.request.body, body)) {
        printf("    line %d: reason %d\n", line, (int)reason);
    }
    CHECK_EQ(reason, SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.method, method);
    CHECK_EQ(s.request.endpoint_covered, 1);
    CHECK_SPAN(s.request.host, "www.okx.com");
    CHECK_SPAN(s.request.path, path);
    CHECK_SPAN(s.request.query, query);
    CHECK_SPAN(s.request.body, body);
    CHECK_SPAN(s.request.string_to_sign, signed_text);
}
#define CHECK_POST(path, body) check_request(__LINE__, SENTINEL_METHOD_POST, path, "", body)
#define CHECK_GET(path, query) check_request(__LINE__, SENTINEL_METHOD_GET, path, query, "")

static int has_header(const char *name, const char *value) {
    int found = 0;
    for (uint8_t i = 0; i < s.request.header_count; i++) {
        if (span_is(s.request.header_names[i], name)) {
            found += value != NULL && span_is(s.request.header_values[i], value) ? 1 : 2;
        }
    }
    return found; /* 1: once, with this value */
}

#endif

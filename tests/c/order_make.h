/* One valid order per action, for tests that change one thing in it. */
#ifndef ORDER_MAKE_H
#define ORDER_MAKE_H

#include <sentinel/order.h>

#include "sentinel_test.h"

#define LIVE SENTINEL_ENVIRONMENT_LIVE
#define TEST SENTINEL_ENVIRONMENT_TEST
#define LAB SENTINEL_ENVIRONMENT_LAB
#define DEC(m, s) ((sentinel_decimal){.mantissa = (m), .scale = (s)})

static sentinel_reason check_as(const sentinel_order *order, uint8_t environment) {
    sentinel_reason reason = SENTINEL_REASON_SUPPRESSED;
    CHECK_OK(sentinel_order_check(&reason, order, order->header.size_bytes, environment));
    return reason;
}

static sentinel_reason check_order(const sentinel_order *order) {
    return check_as(order, LIVE);
}

static sentinel_order begin(uint16_t action) {
    sentinel_order order;
    memset(&order, 0, sizeof order);
    order.header.version = 1;
    order.header.action = action;
    order.header.size_bytes = sentinel_order_bytes(action);
    order.header.agent = 7;
    order.header.action_id = 1;
    order.header.release_mode = SENTINEL_RELEASE_TO_AGENT;
    return order;
}

static void set_id(char *text, uint8_t *size, const char *value) {
    *size = (uint8_t)strlen(value);
    memcpy(text, value, *size);
}

/* A valid order of each action; place is a limit order. */
static sentinel_order valid(uint16_t action) {
    sentinel_order order = begin(action);
    switch (action) {
    case SENTINEL_ACTION_PLACE:
        order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
        order.place.instrument = 3;
        order.place.side = SENTINEL_SIDE_BUY;
        order.place.type = SENTINEL_TYPE_LIMIT;
        order.place.time_in_force = SENTINEL_TIF_GTC;
        order.place.quantity = DEC(100, 3);
        order.place.price = DEC(6500010, 2);
        break;
    case SENTINEL_ACTION_AMEND:
        order.header.present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE;
        order.amend.type = SENTINEL_TYPE_LIMIT;
        order.amend.time_in_force = SENTINEL_TIF_GTC;
        order.amend.target.by = SENTINEL_TARGET_ACTION;
        order.amend.target.action_id = 9;
        order.amend.quantity = DEC(100, 3);
        order.amend.price = DEC(6500010, 2);
        break;
    case SENTINEL_ACTION_CANCEL:
        order.cancel.target.by = SENTINEL_TARGET_ACTION;
        order.cancel.target.action_id = 9;
        break;
    case SENTINEL_ACTION_CANCEL_ALL:
        order.cancel_all.instrument = 3;
        break;
    case SENTINEL_ACTION_CANCEL_ALL_AFTER:
        order.header.present = SENTINEL_PRESENT_TIMEOUT;
        order.cancel_all_after.instrument = 3;
        order.cancel_all_after.timeout_ms = 60000;
        break;
    case SENTINEL_ACTION_QUERY:
        order.query.what = SENTINEL_QUERY_ORDER;
        order.query.target.by = SENTINEL_TARGET_ACTION;
        order.query.target.action_id = 9;
        break;
    case SENTINEL_ACTION_WITHDRAW:
        order.withdraw.asset = 4;
        order.withdraw.network = 5;
        order.withdraw.amount = DEC(24500000, 6);
        set_id(order.withdraw.address, &order.withdraw.address_size, "0xAbc");
        break;
    case SENTINEL_ACTION_TRANSFER:
        order.transfer.asset = 4;
        order.transfer.from_account = SENTINEL_ACCOUNT_SPOT;
        order.transfer.to_account = SENTINEL_ACCOUNT_USDM;
        order.transfer.amount = DEC(1, 0);
        break;
    case SENTINEL_ACTION_MESSAGE:
        order.message.text_size = 4;
        memcpy(order.message.text, "test", 4);
        break;
    default:
        break;
    }
    return order;
}

static sentinel_order place_of(uint8_t type, uint8_t tif, uint32_t present) {
    sentinel_order order = valid(SENTINEL_ACTION_PLACE);
    order.place.type = type;
    order.place.time_in_force = tif;
    order.header.present = present;
    order.place.quantity = present & SENTINEL_PRESENT_QUANTITY ? DEC(1, 0) : DEC(0, 0);
    order.place.quote_quantity = present & SENTINEL_PRESENT_QUOTE_QUANTITY ? DEC(2, 0) : DEC(0, 0);
    order.place.price = present & SENTINEL_PRESENT_PRICE ? DEC(3, 0) : DEC(0, 0);
    order.place.trigger_price = present & SENTINEL_PRESENT_TRIGGER_PRICE ? DEC(4, 0) : DEC(0, 0);
    order.place.expire_ms = present & SENTINEL_PRESENT_EXPIRE ? 1700000000000 : 0;
    return order;
}

#endif

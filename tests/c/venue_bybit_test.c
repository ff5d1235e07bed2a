/* Bybit: exact bytes of orders, amends, cancels and queries, and what is refused.
 *
 * Method: the expected bodies and queries are written out, in the order of
 * the venue's own examples. tests/python compares with the venue's library,
 * ccxt and a parser. */
#include "venue_bybit_scene.h"

static const uint8_t contracts[] = {SENTINEL_CONTRACT_SPOT, SENTINEL_CONTRACT_LINEAR,
                                    SENTINEL_CONTRACT_INVERSE, SENTINEL_CONTRACT_OPTION};
static const char *const categories[] = {"spot", "linear", "inverse", "option"};

static void test_renders_limit_and_market_orders_of_every_category(void) {
    static const char *const tifs[] = {"", "GTC", "IOC", "FOK", "PostOnly"};
    for (size_t i = 0; i < 4; i++) {
        char body[256];
        for (uint8_t tif = SENTINEL_TIF_GTC; tif <= SENTINEL_TIF_POST_ONLY; tif++) {
            set_place(contracts[i], SENTINEL_TYPE_LIMIT, tif, Q | P);
            s.order.place.side = tif % 2 ? SENTINEL_SIDE_BUY : SENTINEL_SIDE_SELL;
            set_client_id("a-1");
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            snprintf(
                body, sizeof body,
                "{\"category\":\"%s\"," SYMBOL ",\"side\":\"%s\",\"orderType\":\"Limit\""
                ",\"qty\":\"1\",\"price\":\"3\",\"timeInForce\":\"%s\",\"orderLinkId\":\"a-1\"}",
                categories[i], tif % 2 ? "Buy" : "Sell", tifs[tif]);
            CHECK_SPAN(s.request.body, body);
        }
        set_place(contracts[i], SENTINEL_TYPE_MARKET, 0, Q);
        set_client_id("a-1");
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body,
                 "{\"category\":\"%s\"," SYMBOL ",\"side\":\"Buy\",\"orderType\":\"Market\""
                 ",\"qty\":\"1\"%s,\"orderLinkId\":\"a-1\"}",
                 categories[i], i == 0 ? ",\"marketUnit\":\"baseCoin\"" : "");
        CHECK_SPAN(s.request.body, body);
    }
}

static void test_says_in_which_currency_a_spot_market_order_is(void) {
    for (uint8_t side = SENTINEL_SIDE_BUY; side <= SENTINEL_SIDE_SELL; side++) {
        char body[256];
        set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_MARKET, 0, V);
        s.order.place.side = side;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body,
                 SPOT_PAIR ",\"side\":\"%s\",\"orderType\":\"Market\",\"qty\":\"2\""
                           ",\"marketUnit\":\"quoteCoin\"}",
                 side == SENTINEL_SIDE_BUY ? "Buy" : "Sell");
        CHECK_SPAN(s.request.body, body);
    }
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_MARKET, 0, V);
    CHECK_EQ(render(), UNSUPPORTED);
    set_place(SENTINEL_CONTRACT_INVERSE, SENTINEL_TYPE_MARKET, 0, V);
    CHECK_EQ(render(), UNSUPPORTED);
    set_place(SENTINEL_CONTRACT_OPTION, SENTINEL_TYPE_MARKET, 0, V);
    set_client_id("a");
    CHECK_EQ(render(), UNSUPPORTED);
}

static const struct {
    uint8_t type, tif;
    uint32_t present;
    const char *middle;
    char buy_direction;
} triggered[] = {
    {SENTINEL_TYPE_STOP_MARKET, 0, Q | T, "\"Market\",\"qty\":\"1\"", '1'},
    {SENTINEL_TYPE_STOP_LIMIT, SENTINEL_TIF_GTC, Q | P | T,
     "\"Limit\",\"qty\":\"1\",\"price\":\"3\",\"timeInForce\":\"GTC\"", '1'},
    {SENTINEL_TYPE_TAKE_PROFIT_MARKET, 0, Q | T, "\"Market\",\"qty\":\"1\"", '2'},
    {SENTINEL_TYPE_TAKE_PROFIT_LIMIT, SENTINEL_TIF_POST_ONLY, Q | P | T,
     "\"Limit\",\"qty\":\"1\",\"price\":\"3\",\"timeInForce\":\"PostOnly\"", '2'},
};

/* A stop to buy waits for a rise, one to sell for a fall; a take profit the
 * other way round. */
static void test_derives_the_direction_of_a_trigger(void) {
    for (size_t i = 0; i < sizeof triggered / sizeof *triggered; i++) {
        for (uint8_t side = SENTINEL_SIDE_BUY; side <= SENTINEL_SIDE_SELL; side++) {
            char body[256];
            int buy = side == SENTINEL_SIDE_BUY;
            char direction =
                buy ? triggered[i].buy_direction : (triggered[i].buy_direction == '1' ? '2' : '1');
            set_place(SENTINEL_CONTRACT_LINEAR, triggered[i].type, triggered[i].tif,
                      triggered[i].present);
            s.order.place.side = side;
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            snprintf(body, sizeof body,
                     LINEAR ",\"side\":\"%s\",\"orderType\":%s,\"triggerDirection\":%c"
                            ",\"triggerPrice\":\"4\"}",
                     buy ? "Buy" : "Sell", triggered[i].middle, direction);
            CHECK_SPAN(s.request.body, body);
            /* Said as well, it must be the same. */
            uint8_t same = direction == '1' ? SENTINEL_TRIGGER_RISE : SENTINEL_TRIGGER_FALL;
            s.order.place.trigger_direction = same;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            CHECK_SPAN(s.request.body, body);
            s.order.place.trigger_direction = (uint8_t)(3 - same);
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            CHECK_EQ(render(), UNSUPPORTED);
        }
    }
}

/* Spot has no directions, and a filter for conditional orders instead. What
 * one buys at the market might be counted in either currency. */
static void test_renders_conditional_spot_orders(void) {
    for (size_t i = 0; i < sizeof triggered / sizeof *triggered; i++) {
        char body[256];
        int limit = triggered[i].tif != 0;
        set_place(SENTINEL_CONTRACT_SPOT, triggered[i].type, triggered[i].tif,
                  triggered[i].present);
        CHECK_EQ(render(), limit ? SENTINEL_REASON_NONE : UNSUPPORTED);
        s.order.place.side = limit ? SENTINEL_SIDE_BUY : SENTINEL_SIDE_SELL;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body,
                 SPOT_PAIR ",\"side\":\"%s\",\"orderType\":%s%s,\"orderFilter\":\"StopOrder\""
                           ",\"triggerPrice\":\"4\"}",
                 limit ? "Buy" : "Sell", triggered[i].middle,
                 limit ? "" : ",\"marketUnit\":\"baseCoin\"");
        CHECK_SPAN(s.request.body, body);
        set_place(SENTINEL_CONTRACT_OPTION, triggered[i].type, triggered[i].tif,
                  triggered[i].present);
        set_client_id("a");
        CHECK_EQ(render(), UNSUPPORTED);
    }
}

static void test_renders_the_fields_that_only_futures_have(void) {
    static const char *const prices[] = {"", "LastPrice", "MarkPrice", "IndexPrice"};
    static const char indexes[] = {0, '1', '2', '0'};
    for (uint8_t n = 1; n <= 3; n++) {
        char body[320];
        set_place(SENTINEL_CONTRACT_INVERSE, SENTINEL_TYPE_STOP_MARKET, 0,
                  Q | T | SENTINEL_PRESENT_REDUCE_ONLY | SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
        s.order.place.side = SENTINEL_SIDE_SELL;
        s.order.place.trigger_by = n;
        s.order.place.position_side = n;
        s.order.place.reduce_only = n % 2;
        s.order.place.close_on_trigger = n == 2;
        set_client_id("a-1_Z");
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body,
                 INVERSE ",\"side\":\"Sell\",\"orderType\":\"Market\",\"qty\":\"1\""
                         ",\"triggerDirection\":2,\"triggerPrice\":\"4\",\"triggerBy\":\"%s\""
                         ",\"positionIdx\":%c,\"orderLinkId\":\"a-1_Z\",\"reduceOnly\":%s"
                         ",\"closeOnTrigger\":%s}",
                 prices[n], indexes[n], n % 2 ? "true" : "false", n == 2 ? "true" : "false");
        CHECK_SPAN(s.request.body, body);
    }
}

static void test_reproduces_the_shared_vectors(void) {
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_IOC,
              Q | P | SENTINEL_PRESENT_REDUCE_ONLY);
    s.order.place.side = SENTINEL_SIDE_SELL;
    s.order.place.quantity = DEC(100, 3);
    s.order.place.price = DEC(6499990, 2);
    s.order.place.reduce_only = 1;
    CHECK_BODY("/v5/order/create",
               LINEAR ",\"side\":\"Sell\",\"orderType\":\"Limit\",\"qty\":\"0.100\""
                      ",\"price\":\"64999.90\",\"timeInForce\":\"IOC\",\"reduceOnly\":true}");
    set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_MARKET, 0, V);
    s.order.place.quote_quantity = DEC(25000, 2);
    CHECK_BODY("/v5/order/create", SPOT_PAIR ",\"side\":\"Buy\",\"orderType\":\"Market\""
                                             ",\"qty\":\"250.00\",\"marketUnit\":\"quoteCoin\"}");
    set_bybit(SENTINEL_ACTION_AMEND, SENTINEL_CONTRACT_LINEAR);
    s.order.amend.quantity = DEC(15, 2);
    s.order.amend.price = DEC(2999900, 2);
    set_target_client_id("agent-7_000001");
    CHECK_BODY("/v5/order/amend", LINEAR ",\"orderLinkId\":\"agent-7_000001\",\"qty\":\"0.15\""
                                         ",\"price\":\"29999.00\"}");
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    CHECK_BODY("/v5/order/cancel-all", LINEAR "}");
}

/* One field that a category lacks, at a time. */
static const char *set_alien_field(int field) {
    sentinel_order_place *place = &s.order.place;
    switch (field) {
    case 0:
        place->position_side = SENTINEL_POSITION_BOTH;
        return "linear inverse";
    case 1: /* false is not absent */
        s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
        return "linear inverse option";
    case 2:
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
        place->trigger_by = SENTINEL_TRIGGER_BY_MARK;
        return "linear inverse";
    case 3:
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
        place->trigger_direction = SENTINEL_TRIGGER_RISE;
        return "linear inverse";
    case 4:
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T | SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
        return "linear inverse";
    case 5:
        place->margin_mode = SENTINEL_MARGIN_CROSS;
        return "";
    case 6:
        set_terms(SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTD, Q | P | SENTINEL_PRESENT_EXPIRE);
        return "";
    case 7: /* the worst price of a market order */
        set_terms(SENTINEL_TYPE_MARKET, 0, Q | P);
        return "";
    case 8:
        set_terms(SENTINEL_TYPE_TAKE_PROFIT_MARKET, 0, Q | P | T);
        return "";
    case 9:
        s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
        return "";
    case 10:
        s.instrument.quantity_unit = s.instrument.contract == SENTINEL_CONTRACT_INVERSE
                                         ? SENTINEL_UNIT_BASE
                                         : SENTINEL_UNIT_QUOTE;
        return "";
    case 11: /* options must be named */
        s.render.client_id_size = 0;
        return "spot linear inverse";
    default:
        return "spot linear inverse option";
    }
}

static void test_refuses_fields_that_a_category_does_not_have(void) {
    for (size_t i = 0; i < 4; i++) {
        for (int field = 0; field <= 12; field++) {
            set_bybit(SENTINEL_ACTION_PLACE, contracts[i]);
            set_client_id("a");
            const char *good = set_alien_field(field);
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            CHECK_EQ(render(), strstr(good, categories[i]) ? SENTINEL_REASON_NONE : UNSUPPORTED);
        }
    }
}

static void test_refuses_instruments_that_the_venue_does_not_have(void) {
    static const uint8_t unknown[] = {0, SENTINEL_CONTRACT_QUANTO, SENTINEL_CONTRACT_COUNT, 255};
    for (uint16_t action = SENTINEL_ACTION_PLACE; action <= SENTINEL_ACTION_QUERY; action++) {
        for (size_t i = 0; i < sizeof unknown; i++) {
            set_bybit(action, unknown[i]);
            CHECK_EQ(render(), UNSUPPORTED);
        }
        set_bybit(action, SENTINEL_CONTRACT_LINEAR);
        s.render.instrument = NULL;
        CHECK_EQ(render(), UNSUPPORTED);
        set_bybit(action, SENTINEL_CONTRACT_LINEAR);
        s.instrument.venue = SPOT; /* of another venue than the key */
        CHECK_EQ(render(), UNSUPPORTED);
    }
    set_bybit(SENTINEL_ACTION_CANCEL, SENTINEL_CONTRACT_LINEAR); /* a cancel needs no unit */
    set_target_client_id("c");
    s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    set_bybit(SENTINEL_ACTION_AMEND, SENTINEL_CONTRACT_LINEAR);
    s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
    CHECK_EQ(render(), UNSUPPORTED);
}

static void set_amend(uint8_t contract, uint8_t type, uint8_t tif, uint32_t present) {
    set_bybit(SENTINEL_ACTION_AMEND, contract);
    s.order.header.present = present;
    s.order.amend.type = type;
    s.order.amend.time_in_force = tif;
    s.order.amend.price = present & P ? DEC(3, 0) : DEC(0, 0);
    s.order.amend.trigger_price = present & T ? DEC(4, 0) : DEC(0, 0);
    set_target_client_id("c");
}

static void test_amends_quantity_and_prices(void) {
    set_amend(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, Q | P);
    CHECK_BODY("/v5/order/amend",
               SPOT_PAIR ",\"orderLinkId\":\"c\",\"qty\":\"0.100\",\"price\":\"3\"}");
    set_amend(SENTINEL_CONTRACT_OPTION, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_POST_ONLY, Q | P);
    CHECK_BODY("/v5/order/amend",
               OPTION ",\"orderLinkId\":\"c\",\"qty\":\"0.100\",\"price\":\"3\"}");
    set_amend(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_STOP_LIMIT, SENTINEL_TIF_IOC, Q | P | T);
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_BODY("/v5/order/amend", LINEAR ",\"orderLinkId\":\"c\",\"qty\":\"0.100\",\"price\":\"3\""
                                         ",\"triggerPrice\":\"4\"}");
    set_amend(SENTINEL_CONTRACT_INVERSE, SENTINEL_TYPE_TAKE_PROFIT_MARKET, 0, Q | T);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.amend.target, "c6f055d9-7f21");
    CHECK_BODY("/v5/order/amend",
               INVERSE ",\"orderId\":\"c6f055d9-7f21\",\"qty\":\"0.100\",\"triggerPrice\":\"4\"}");
}

static void test_refuses_amends_that_change_more(void) {
    set_amend(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, Q | P);
    s.render.target_type = SENTINEL_TYPE_LIMIT; /* as the book has it */
    s.render.target_time_in_force = SENTINEL_TIF_GTC;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.render.target_reduce_only = 1;
    CHECK_EQ(render(), UNSUPPORTED);
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    s.order.amend.reduce_only = 1;
    CHECK_BODY("/v5/order/amend",
               LINEAR ",\"orderLinkId\":\"c\",\"qty\":\"0.100\",\"price\":\"3\"}");
    s.render.target_time_in_force = SENTINEL_TIF_IOC;
    CHECK_EQ(render(), UNSUPPORTED);
    s.render.target_time_in_force = SENTINEL_TIF_GTC;
    s.render.target_type = SENTINEL_TYPE_STOP_LIMIT;
    CHECK_EQ(render(), UNSUPPORTED);
    set_amend(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_MARKET, 0, Q); /* is never open */
    CHECK_EQ(render(), UNSUPPORTED);
    set_amend(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_STOP_MARKET, 0, Q | P | T);
    CHECK_EQ(render(), UNSUPPORTED);
    set_amend(SENTINEL_CONTRACT_OPTION, SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
    CHECK_EQ(render(), UNSUPPORTED);
}

static void test_cancels_and_queries_by_the_id_that_is_known(void) {
    for (size_t i = 0; i < 4; i++) {
        char text[160];
        for (int own = 0; own < 2; own++) {
            set_bybit(SENTINEL_ACTION_CANCEL, contracts[i]);
            set_venue_id(&s.order.cancel.target, "c6f055d9-7f21.1");
            set_target_client_id(own ? "a_b-1" : "");
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            snprintf(text, sizeof text, "{\"category\":\"%s\"," SYMBOL ",\"%s\":\"%s\"}",
                     categories[i], own ? "orderLinkId" : "orderId",
                     own ? "a_b-1" : "c6f055d9-7f21.1");
            CHECK_SPAN(s.request.path, "/v5/order/cancel");
            CHECK_SPAN(s.request.body, text);
            set_bybit(SENTINEL_ACTION_QUERY, contracts[i]);
            set_venue_id(&s.order.query.target, "28457");
            set_target_client_id(own ? "a_b-1" : "");
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            snprintf(text, sizeof text, "category=%s&symbol=BTCUSDT&%s=%s", categories[i],
                     own ? "orderLinkId" : "orderId", own ? "a_b-1" : "28457");
            CHECK_SPAN(s.request.path, "/v5/order/realtime");
            CHECK_SPAN(s.request.query, text);
        }
    }
}

static void test_finds_conditional_spot_orders_where_the_venue_keeps_them(void) {
    for (uint8_t type = 0; type < SENTINEL_TYPE_COUNT; type++) {
        set_bybit(SENTINEL_ACTION_CANCEL, SENTINEL_CONTRACT_SPOT);
        set_target_client_id("c");
        s.render.target_type = type;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK_SPAN(s.request.body, type >= SENTINEL_TYPE_STOP_MARKET ? SPOT_PAIR
                                       ",\"orderLinkId\":\"c\",\"orderFilter\":\"StopOrder\"}"
                                                                     : SPOT_PAIR
                                       ",\"orderLinkId\":\"c\"}");
        set_bybit(SENTINEL_ACTION_CANCEL, SENTINEL_CONTRACT_LINEAR); /* keeps all in one place */
        set_target_client_id("c");
        s.render.target_type = type;
        CHECK_BODY("/v5/order/cancel", LINEAR ",\"orderLinkId\":\"c\"}");
    }
}

static void set_whole_venue(uint8_t contract, int asset) {
    set_bybit(SENTINEL_ACTION_CANCEL_ALL, SENTINEL_CONTRACT_LINEAR);
    s.render.instrument = NULL;
    s.order.cancel_all.instrument = 0;
    s.order.cancel_all.venue = BYBIT;
    s.order.cancel_all.contract = contract;
    s.order.cancel_all.asset = asset ? 4 : 0;
    s.render.asset = asset ? &s.asset : NULL;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
}

static void test_cancels_all_of_a_symbol_or_of_a_category(void) {
    for (size_t i = 0; i < 4; i++) {
        char body[128];
        set_bybit(SENTINEL_ACTION_CANCEL_ALL, contracts[i]);
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body, "{\"category\":\"%s\"," SYMBOL "}", categories[i]);
        CHECK_SPAN(s.request.body, body);
    }
    set_whole_venue(SENTINEL_CONTRACT_SPOT, 0);
    CHECK_BODY("/v5/order/cancel-all", "{\"category\":\"spot\"}");
    set_whole_venue(SENTINEL_CONTRACT_OPTION, 0);
    CHECK_BODY("/v5/order/cancel-all", "{\"category\":\"option\"}");
    set_whole_venue(SENTINEL_CONTRACT_OPTION, 1);
    CHECK_BODY("/v5/order/cancel-all", "{\"category\":\"option\",\"settleCoin\":\"USDT\"}");
    set_whole_venue(SENTINEL_CONTRACT_LINEAR, 1);
    CHECK_BODY("/v5/order/cancel-all", "{\"category\":\"linear\",\"settleCoin\":\"USDT\"}");
    set_whole_venue(SENTINEL_CONTRACT_INVERSE, 1);
    CHECK_BODY("/v5/order/cancel-all", "{\"category\":\"inverse\",\"settleCoin\":\"USDT\"}");
    s.order.cancel_all.venue = SPOT; /* another venue than the key's */
    CHECK_EQ(render(), UNSUPPORTED);
    static const struct {
        uint8_t contract;
        int asset;
    } never[] = {{SENTINEL_CONTRACT_SPOT, 1},
                 {SENTINEL_CONTRACT_LINEAR, 0},
                 {SENTINEL_CONTRACT_INVERSE, 0},
                 {SENTINEL_CONTRACT_QUANTO, 1},
                 {0, 1},
                 {0, 0}};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        set_whole_venue(never[i].contract, never[i].asset);
        CHECK_EQ(render(), UNSUPPORTED);
    }
}

static void test_queries_open_orders_and_fills(void) {
    for (size_t i = 0; i < 4; i++) {
        char text[128];
        for (int fills = 0; fills < 2; fills++) {
            uint8_t what = fills ? SENTINEL_QUERY_FILLS : SENTINEL_QUERY_OPEN_ORDERS;
            set_query(what, contracts[i], 0);
            snprintf(text, sizeof text, "category=%s&symbol=BTCUSDT", categories[i]);
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            CHECK_SPAN(s.request.path, fills ? "/v5/execution/list" : "/v5/order/realtime");
            CHECK_SPAN(s.request.query, text);
            set_query(what, contracts[i], 1);
            snprintf(text, sizeof text, "category=%s", categories[i]);
            int good = fills || contracts[i] != SENTINEL_CONTRACT_LINEAR;
            CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : UNSUPPORTED);
            if (good) {
                CHECK_SPAN(s.request.query, text);
            }
            s.order.query.venue = SPOT; /* another venue than the key's */
            CHECK_EQ(render(), UNSUPPORTED);
        }
    }
    set_query(SENTINEL_QUERY_FILLS, 0, 1);
    CHECK_EQ(render(), UNSUPPORTED);
}

static void test_limits_a_query_of_fills(void) {
    set_query(SENTINEL_QUERY_FILLS, SENTINEL_CONTRACT_LINEAR, 0);
    s.order.header.present = SENTINEL_PRESENT_START | SENTINEL_PRESENT_END | SENTINEL_PRESENT_LIMIT;
    s.order.query.start_ms = 1;
    s.order.query.end_ms = INT64_MAX;
    s.order.query.limit = 100;
    CHECK_QUERY("/v5/execution/list",
                "category=linear&symbol=BTCUSDT&startTime=1&endTime=9223372036854775807&limit=100");
    s.order.query.limit = 101;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_EQ(render(), UNSUPPORTED);
    s.order.header.present = SENTINEL_PRESENT_END;
    s.order.query.limit = 0;
    CHECK_QUERY("/v5/execution/list", "category=linear&symbol=BTCUSDT&endTime=9223372036854775807");
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_renders_limit_and_market_orders_of_every_category);
    RUN(test_says_in_which_currency_a_spot_market_order_is);
    RUN(test_derives_the_direction_of_a_trigger);
    RUN(test_renders_conditional_spot_orders);
    RUN(test_renders_the_fields_that_only_futures_have);
    RUN(test_reproduces_the_shared_vectors);
    RUN(test_refuses_fields_that_a_category_does_not_have);
    RUN(test_refuses_instruments_that_the_venue_does_not_have);
    RUN(test_amends_quantity_and_prices);
    RUN(test_refuses_amends_that_change_more);
    RUN(test_cancels_and_queries_by_the_id_that_is_known);
    RUN(test_finds_conditional_spot_orders_where_the_venue_keeps_them);
    RUN(test_cancels_all_of_a_symbol_or_of_a_category);
    RUN(test_queries_open_orders_and_fills);
    RUN(test_limits_a_query_of_fills);
    return test_end();
}

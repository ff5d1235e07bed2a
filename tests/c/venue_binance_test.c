/* Binance: exact bytes per action and field, and what is refused.
 *
 * Method: the expected queries are written out, in the order of the venue's
 * own libraries. Signatures are computed with libsodium directly.
 * tests/python compares with the venue's libraries. */
#include "venue_scene.h"

#define Q SENTINEL_PRESENT_QUANTITY
#define P SENTINEL_PRESENT_PRICE
#define T SENTINEL_PRESENT_TRIGGER_PRICE

static void test_renders_every_type_of_spot_order(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
        const char *middle;
    } types[] = {
        {1, 1, Q | P, "&type=LIMIT&timeInForce=GTC&quantity=1&price=3"},
        {1, 2, Q | P, "&type=LIMIT&timeInForce=IOC&quantity=1&price=3"},
        {1, 3, Q | P, "&type=LIMIT&timeInForce=FOK&quantity=1&price=3"},
        {1, 4, Q | P, "&type=LIMIT_MAKER&quantity=1&price=3"},
        {2, 0, Q, "&type=MARKET&quantity=1"},
        {2, 0, SENTINEL_PRESENT_QUOTE_QUANTITY, "&type=MARKET&quoteOrderQty=2"},
        {3, 0, Q | T, "&type=STOP_LOSS&quantity=1&stopPrice=4"},
        {4, 1, Q | P | T, "&type=STOP_LOSS_LIMIT&timeInForce=GTC&quantity=1&price=3&stopPrice=4"},
        {5, 0, Q | T, "&type=TAKE_PROFIT&quantity=1&stopPrice=4"},
        {6, 2, Q | P | T, "&type=TAKE_PROFIT_LIMIT&timeInForce=IOC&quantity=1&price=3&stopPrice=4"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char query[256];
        set_scene(SPOT, SENTINEL_ACTION_PLACE);
        set_terms(types[i].type, types[i].tif, types[i].present);
        s.order.place.side = i % 2 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        snprintf(query, sizeof query, "symbol=BTCUSDT&side=%s%s" TAIL, i % 2 ? "SELL" : "BUY",
                 types[i].middle);
        CHECK_REQUEST(POST, "/api/v3/order", query);
    }
}

static void test_renders_every_type_of_usdm_order(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
        const char *path, *first, *middle;
    } types[] = {
        {1, 1, Q | P, "/fapi/v1/order", "", "&type=LIMIT&timeInForce=GTC&quantity=1&price=3"},
        {1, 4, Q | P, "/fapi/v1/order", "", "&type=LIMIT&timeInForce=GTX&quantity=1&price=3"},
        {1, 5, Q | P | SENTINEL_PRESENT_EXPIRE, "/fapi/v1/order", "",
         "&type=LIMIT&timeInForce=GTD&quantity=1&price=3&goodTillDate=1700000000000"},
        {2, 0, Q, "/fapi/v1/order", "", "&type=MARKET&quantity=1"},
        {3, 0, Q | T, "/fapi/v1/algoOrder", "algoType=CONDITIONAL&",
         "&type=STOP_MARKET&quantity=1&triggerPrice=4"},
        {4, 1, Q | P | T, "/fapi/v1/algoOrder", "algoType=CONDITIONAL&",
         "&type=STOP&timeInForce=GTC&quantity=1&price=3&triggerPrice=4"},
        {5, 0, Q | T, "/fapi/v1/algoOrder", "algoType=CONDITIONAL&",
         "&type=TAKE_PROFIT_MARKET&quantity=1&triggerPrice=4"},
        {6, 3, Q | P | T, "/fapi/v1/algoOrder", "algoType=CONDITIONAL&",
         "&type=TAKE_PROFIT&timeInForce=FOK&quantity=1&price=3&triggerPrice=4"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char query[256];
        set_scene(USDM, SENTINEL_ACTION_PLACE);
        set_terms(types[i].type, types[i].tif, types[i].present);
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        snprintf(query, sizeof query, "%ssymbol=BTCUSDT&side=BUY%s" TAIL, types[i].first,
                 types[i].middle);
        CHECK_REQUEST(POST, types[i].path, query);
    }
}

static void test_renders_the_fields_that_only_usdm_has(void) {
    static const char *const sides[] = {"", "LONG", "SHORT", "BOTH"};
    char query[256];
    for (uint8_t side = 1; side < SENTINEL_POSITION_COUNT; side++) {
        set_scene(USDM, SENTINEL_ACTION_PLACE);
        set_terms(SENTINEL_TYPE_MARKET, 0, Q | SENTINEL_PRESENT_REDUCE_ONLY);
        s.order.place.position_side = side;
        s.order.place.reduce_only = side % 2;
        snprintf(query, sizeof query,
                 "symbol=BTCUSDT&side=BUY&type=MARKET&positionSide=%s&reduceOnly=%s"
                 "&quantity=1" TAIL,
                 sides[side], side % 2 ? "true" : "false");
        CHECK_REQUEST(POST, "/fapi/v1/order", query);
    }
    for (uint8_t by = SENTINEL_TRIGGER_BY_LAST; by <= SENTINEL_TRIGGER_BY_MARK; by++) {
        set_scene(USDM, SENTINEL_ACTION_PLACE);
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
        s.order.place.trigger_by = by;
        set_client_id("c-1");
        snprintf(query, sizeof query,
                 "algoType=CONDITIONAL&symbol=BTCUSDT&side=BUY&type=STOP_MARKET&quantity=1"
                 "&triggerPrice=4&workingType=%s&clientAlgoId=c-1" TAIL,
                 by == SENTINEL_TRIGGER_BY_MARK ? "MARK_PRICE" : "CONTRACT_PRICE");
        CHECK_REQUEST(POST, "/fapi/v1/algoOrder", query);
    }
}

static void test_names_the_order_and_keeps_decimals_as_text(void) {
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    s.order.place.quantity = DEC(100000, 8);
    s.order.place.price = DEC(6500010, 2);
    set_client_id("0123456789abcdef0123456789abcdef");
    CHECK_REQUEST(POST, "/api/v3/order",
                  "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.00100000"
                  "&price=65000.10&newClientOrderId=0123456789abcdef0123456789abcdef" TAIL);
    static const uint64_t windows[] = {0, 1, 60000, 60001, UINT64_MAX};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        s.render.expiry = windows[i];
        CHECK_EQ(render(), i == 1 || i == 2 ? SENTINEL_REASON_NONE : SENTINEL_REASON_EXPIRY);
    }
    s.render.has_expiry = 0; /* only where the order waives it, in `lab` */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
    s.render.client_id_size = 0;
    CHECK_REQUEST(POST, "/api/v3/order",
                  "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.00100000"
                  "&price=65000.10&timestamp=1700000000000");
}

static void test_refuses_fields_that_the_venue_does_not_have(void) {
    for (int venue = SPOT; venue <= USDM; venue++) {
        for (int field = 0; field < 12; field++) {
            set_scene((uint16_t)venue, SENTINEL_ACTION_PLACE);
            sentinel_order_place *place = &s.order.place;
            int only_usdm = 0, never = 1;
            switch (field) {
            case 0:
                place->margin_mode = SENTINEL_MARGIN_CROSS;
                break;
            case 1:
                set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
                place->trigger_direction = SENTINEL_TRIGGER_RISE;
                break;
            case 2:
                set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T | SENTINEL_PRESENT_CLOSE_ON_TRIGGER);
                break;
            case 3:
                set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
                place->trigger_by = SENTINEL_TRIGGER_BY_INDEX;
                break;
            case 4:
                set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
                place->trigger_by = SENTINEL_TRIGGER_BY_MARK;
                only_usdm = 1;
                break;
            case 5:
                place->position_side = SENTINEL_POSITION_LONG;
                only_usdm = 1;
                break;
            case 6: /* false is not absent */
                s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
                only_usdm = 1;
                break;
            case 7:
                set_terms(SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTD, Q | P | SENTINEL_PRESENT_EXPIRE);
                only_usdm = 1;
                break;
            case 8: /* no LIMIT_MAKER with a trigger */
                set_terms(SENTINEL_TYPE_STOP_LIMIT, SENTINEL_TIF_POST_ONLY, Q | P | T);
                only_usdm = 1;
                break;
            case 9:
                set_terms(SENTINEL_TYPE_MARKET, 0, SENTINEL_PRESENT_QUOTE_QUANTITY);
                never = venue == USDM;
                only_usdm = 0;
                break;
            case 10:
                s.instrument.contract = SENTINEL_CONTRACT_INVERSE;
                break;
            default:
                s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
                break;
            }
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            int good = only_usdm ? venue == USDM : !never;
            CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
        }
    }
}

static void test_cancels_and_queries_by_the_id_that_is_known(void) {
    static const char *const paths[] = {"/api/v3/order", "/fapi/v1/order"};
    for (int usdm = 0; usdm < 2; usdm++) {
        set_scene(usdm ? USDM : SPOT, SENTINEL_ACTION_CANCEL);
        set_venue_id(&s.order.cancel.target, "28457");
        CHECK_REQUEST(DELETE, paths[usdm], "symbol=BTCUSDT&orderId=28457" TAIL);
        set_target_client_id("agent-7_close.1");
        CHECK_REQUEST(DELETE, paths[usdm], "symbol=BTCUSDT&origClientOrderId=agent-7_close.1" TAIL);
        set_scene(usdm ? USDM : SPOT, SENTINEL_ACTION_QUERY);
        set_venue_id(&s.order.query.target, "28457");
        CHECK_REQUEST(GET, paths[usdm], "symbol=BTCUSDT&orderId=28457" TAIL);
        set_target_client_id("c");
        CHECK_REQUEST(GET, paths[usdm], "symbol=BTCUSDT&origClientOrderId=c" TAIL);
    }
}

static void test_finds_triggered_usdm_orders_where_the_venue_keeps_them(void) {
    for (uint8_t type = 0; type < SENTINEL_TYPE_COUNT; type++) {
        int algo = type >= SENTINEL_TYPE_STOP_MARKET;
        set_scene(USDM, SENTINEL_ACTION_CANCEL);
        s.render.target_type = type;
        set_target_client_id("c");
        CHECK_REQUEST(DELETE, algo ? "/fapi/v1/algoOrder" : "/fapi/v1/order",
                      algo ? "clientAlgoId=c" TAIL : "symbol=BTCUSDT&origClientOrderId=c" TAIL);
        set_scene(USDM, SENTINEL_ACTION_QUERY);
        s.render.target_type = type;
        set_venue_id(&s.order.query.target, "5");
        CHECK_REQUEST(GET, algo ? "/fapi/v1/algoOrder" : "/fapi/v1/order",
                      algo ? "algoId=5" TAIL : "symbol=BTCUSDT&orderId=5" TAIL);
        set_scene(SPOT, SENTINEL_ACTION_CANCEL); /* spot keeps all in one place */
        s.render.target_type = type;
        set_target_client_id("c");
        CHECK_REQUEST(DELETE, "/api/v3/order", "symbol=BTCUSDT&origClientOrderId=c" TAIL);
    }
}

static void set_amend(void) {
    set_scene(USDM, SENTINEL_ACTION_AMEND);
    s.render.side = SENTINEL_SIDE_SELL;
    s.render.target_type = SENTINEL_TYPE_LIMIT;
    s.render.target_time_in_force = SENTINEL_TIF_GTC;
    set_target_client_id("c");
}

static void test_amends_usdm_limit_orders(void) {
    set_amend();
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_REQUEST(
        PUT, "/fapi/v1/order",
        "symbol=BTCUSDT&side=SELL&quantity=0.100&price=65000.10&origClientOrderId=c" TAIL);
    s.render.target_client_id_size = 0; /* `lab`: what the book does not know is believed */
    s.render.target_type = 0;
    s.render.side = SENTINEL_SIDE_BUY;
    set_venue_id(&s.order.amend.target, "28457");
    CHECK_REQUEST(PUT, "/fapi/v1/order",
                  "symbol=BTCUSDT&side=BUY&quantity=0.100&price=65000.10&orderId=28457" TAIL);
    for (uint8_t reduce_only = 0; reduce_only <= 1; reduce_only++) {
        set_amend();
        s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
        s.order.amend.reduce_only = s.render.target_reduce_only = reduce_only;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK_SPAN(s.request.query, reduce_only
                                        ? "symbol=BTCUSDT&side=SELL&quantity=0.100&price=65000.10"
                                          "&origClientOrderId=c&reduceOnly=true" TAIL
                                        : "symbol=BTCUSDT&side=SELL&quantity=0.100&price=65000.10"
                                          "&origClientOrderId=c&reduceOnly=false" TAIL);
    }
}

static void test_refuses_amends_of_anything_else(void) {
    set_amend();
    s.render.target_reduce_only = 1;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_amend();
    s.order.amend.time_in_force = SENTINEL_TIF_POST_ONLY;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.render.target_time_in_force = SENTINEL_TIF_POST_ONLY;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    for (uint8_t type = SENTINEL_TYPE_MARKET; type < SENTINEL_TYPE_COUNT; type++) {
        set_amend();
        s.render.target_type = type; /* triggered orders are kept elsewhere */
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.order.amend.type = type;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.render.target_type = 0;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
    set_amend();
    s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_amend();
    s.instrument.contract = SENTINEL_CONTRACT_INVERSE;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_amend();
    s.render.has_expiry = 0;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_scene(SPOT, SENTINEL_ACTION_AMEND); /* spot has none */
    set_target_client_id("c");
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_cancels_all_of_a_symbol_but_not_of_a_venue(void) {
    set_scene(SPOT, SENTINEL_ACTION_CANCEL_ALL);
    CHECK_REQUEST(DELETE, "/api/v3/openOrders", "symbol=BTCUSDT" TAIL);
    set_scene(USDM, SENTINEL_ACTION_CANCEL_ALL);
    CHECK_REQUEST(DELETE, "/fapi/v1/allOpenOrders", "symbol=BTCUSDT" TAIL);
    s.order.cancel_all.instrument = 0;
    s.order.cancel_all.venue = USDM;
    s.render.instrument = NULL;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_scene(USDM, SENTINEL_ACTION_CANCEL_ALL);
    s.order.cancel_all.asset = 4;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_arms_the_countdown_of_usdm_only(void) {
    set_scene(USDM, SENTINEL_ACTION_CANCEL_ALL_AFTER);
    CHECK_REQUEST(POST, "/fapi/v1/countdownCancelAll", "symbol=BTCUSDT&countdownTime=60000" TAIL);
    s.order.cancel_all_after.timeout_ms = 0;
    CHECK_REQUEST(POST, "/fapi/v1/countdownCancelAll", "symbol=BTCUSDT&countdownTime=0" TAIL);
    s.order.header.present = SENTINEL_PRESENT_AT;
    s.order.cancel_all_after.at_ms = 1;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_scene(USDM, SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.render.instrument = NULL;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_scene(SPOT, SENTINEL_ACTION_CANCEL_ALL_AFTER);
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_queries_open_orders_and_fills(void) {
    for (int usdm = 0; usdm < 2; usdm++) {
        set_scene(usdm ? USDM : SPOT, SENTINEL_ACTION_QUERY);
        memset(&s.order.query.target, 0, sizeof s.order.query.target);
        s.order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
        CHECK_REQUEST(GET, usdm ? "/fapi/v1/openOrders" : "/api/v3/openOrders",
                      "symbol=BTCUSDT" TAIL);
        s.render.instrument = NULL;
        s.order.query.venue = usdm ? USDM : SPOT;
        CHECK_REQUEST(GET, usdm ? "/fapi/v1/openOrders" : "/api/v3/openOrders",
                      "recvWindow=5000&timestamp=1700000000000");
        s.order.query.venue = usdm ? SPOT : USDM; /* another venue than the key's */
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.order.query.venue = usdm ? USDM : SPOT;
        s.order.query.contract = s.instrument.contract; /* the venue has no kinds */
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.order.query.contract = 0;
        s.order.query.what = SENTINEL_QUERY_FILLS; /* of a symbol only */
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        s.render.instrument = &s.instrument;
        CHECK_REQUEST(GET, usdm ? "/fapi/v1/userTrades" : "/api/v3/myTrades",
                      "symbol=BTCUSDT" TAIL);
        s.order.header.present =
            SENTINEL_PRESENT_START | SENTINEL_PRESENT_END | SENTINEL_PRESENT_LIMIT;
        s.order.query.start_ms = 1;
        s.order.query.end_ms = INT64_MAX;
        s.order.query.limit = 1000;
        CHECK_REQUEST(GET, usdm ? "/fapi/v1/userTrades" : "/api/v3/myTrades",
                      "symbol=BTCUSDT&startTime=1&endTime=9223372036854775807&limit=1000" TAIL);
    }
}

static void test_withdraws_by_the_spot_host(void) {
    set_scene(SPOT, SENTINEL_ACTION_WITHDRAW);
    CHECK_REQUEST(POST, "/sapi/v1/capital/withdraw/apply",
                  "coin=USDT&address=0xAbc&amount=24.500000&network=ETH" TAIL);
    set_client_id("wd0001");
    s.order.header.present = SENTINEL_PRESENT_MEMO;
    set_id(s.order.withdraw.memo, &s.order.withdraw.memo_size, "1234");
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_FUNDING;
    CHECK_REQUEST(POST, "/sapi/v1/capital/withdraw/apply",
                  "coin=USDT&address=0xAbc&amount=24.500000&withdrawOrderId=wd0001&network=ETH"
                  "&addressTag=1234&walletType=1" TAIL);
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_SPOT;
    s.network.code_size = 0; /* the coin's default network */
    s.order.header.present = 0;
    CHECK_REQUEST(
        POST, "/sapi/v1/capital/withdraw/apply",
        "coin=USDT&address=0xAbc&amount=24.500000&withdrawOrderId=wd0001&walletType=0" TAIL);
    s.network.code_size = 3;
    s.network.code[1] = '&'; /* as a name with such a character would be sent */
    CHECK_REQUEST(POST, "/sapi/v1/capital/withdraw/apply",
                  "coin=USDT&address=0xAbc&amount=24.500000&withdrawOrderId=wd0001&network=E%26H"
                  "&walletType=0" TAIL);
    for (uint8_t account = SENTINEL_ACCOUNT_USDM; account < SENTINEL_ACCOUNT_COUNT; account++) {
        s.order.withdraw.from_account = account;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
    s.order.withdraw.from_account = 0;
    s.order.withdraw.priority = SENTINEL_PRIORITY_LOW; /* fees are the venue's */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.withdraw.priority = 0;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.render.network = NULL;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_transfers_between_the_wallets_that_the_venue_joins(void) {
    static const char *const names[] = {"",       "MAIN", "FUNDING", "UMFUTURE", "CMFUTURE",
                                        "MARGIN", "",     "OPTION",  ""};
    int rendered = 0;
    for (uint8_t from = 1; from < SENTINEL_ACCOUNT_COUNT; from++) {
        for (uint8_t to = 1; to < SENTINEL_ACCOUNT_COUNT; to++) {
            set_scene(SPOT, SENTINEL_ACTION_TRANSFER);
            s.order.transfer.from_account = from;
            s.order.transfer.to_account = to;
            int coinm = from == SENTINEL_ACCOUNT_COINM || to == SENTINEL_ACCOUNT_COINM;
            int other = from == SENTINEL_ACCOUNT_USDM || to == SENTINEL_ACCOUNT_USDM ||
                        from == SENTINEL_ACCOUNT_OPTION || to == SENTINEL_ACCOUNT_OPTION;
            if (from == to || (coinm && other) || *names[from] == 0 || *names[to] == 0) {
                CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
                continue;
            }
            char query[256];
            snprintf(query, sizeof query, "type=%s_%s&asset=USDT&amount=1" TAIL, names[from],
                     names[to]);
            CHECK_REQUEST(POST, "/sapi/v1/asset/transfer", query);
            rendered++;
        }
    }
    CHECK_EQ(rendered, 26);
    set_scene(SPOT, SENTINEL_ACTION_TRANSFER);
    set_id(s.order.transfer.destination, &s.order.transfer.destination_size, "sub");
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_chooses_the_host_by_environment(void) {
    static const char *const hosts[2][3] = {
        {"api.binance.com", "testnet.binance.vision", "api.binance.com"},
        {"fapi.binance.com", "testnet.binancefuture.com", "fapi.binance.com"},
    };
    for (int usdm = 0; usdm < 2; usdm++) {
        for (uint8_t environment = LIVE; environment <= LAB; environment++) {
            set_scene(usdm ? USDM : SPOT, SENTINEL_ACTION_PLACE);
            s.render.environment = environment;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            CHECK_SPAN(s.request.host, hosts[usdm][environment - LIVE]);
            for (uint16_t action = SENTINEL_ACTION_WITHDRAW; action <= SENTINEL_ACTION_TRANSFER;
                 action++) {
                set_scene(usdm ? USDM : SPOT, action);
                s.render.environment = environment;
                int good = !usdm && environment != TEST;
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
                s.asset.venue = SENTINEL_VENUE_OKX;
                CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
                s.asset.venue = SENTINEL_VENUE_NONE; /* any */
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
            }
        }
    }
}

static void test_refuses_actions_and_lab_fields_that_binance_lacks(void) {
    for (int usdm = 0; usdm < 2; usdm++) {
        set_scene(usdm ? USDM : SPOT, SENTINEL_ACTION_AMEND);
        s.order.header.action = SENTINEL_ACTION_COUNT;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
            set_scene(usdm ? USDM : SPOT, action);
            s.order.header.present |= SENTINEL_PRESENT_LAB_NONCE;
            CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
            set_scene(usdm ? USDM : SPOT, action);
            s.order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID;
            int named =
                action == SENTINEL_ACTION_PLACE || (action == SENTINEL_ACTION_WITHDRAW && !usdm);
            CHECK_EQ(render(), named ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
        }
    }
    char longest[38];
    memset(longest, 'x', sizeof longest);
    longest[36] = 0;
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    set_client_id(longest);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.render.client_id_size = 37;
    CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    set_scene(SPOT, SENTINEL_ACTION_CANCEL);
    set_target_client_id(longest);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.render.target_client_id_size = 37;
    CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
}

static void test_refuses_orders_whose_rows_were_not_found(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        for (int usdm = 0; usdm < 2; usdm++) {
            set_scene(usdm ? USDM : SPOT, action);
            s.render.instrument = NULL;
            s.render.asset = NULL;
            s.render.network = NULL;
            CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
        }
    }
}

static void test_sends_the_key_in_a_header_that_nothing_can_end(void) {
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.header_count, 1);
    CHECK_SPAN(s.request.header_names[0], "X-MBX-APIKEY");
    CHECK_SPAN(s.request.header_values[0], "Key-1");
    CHECK_EQ(s.request.endpoint_covered, 0);
    s.key.api_key[3] = '\n';
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    s.key.api_key[3] = '-';
    s.key.api_key_size = 0;
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
}

static void test_fails_on_a_decimal_without_a_text(void) {
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    s.order.place.price = DEC(-1, 0); /* never passes the check of its form */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    CHECK_EQ(s.request.overflow, 1);
}

static sentinel_signature signature_of(uint8_t algorithm, const char *secret) {
    const uint8_t *bytes = (const uint8_t *)s.request.text + s.request.string_to_sign.offset;
    sentinel_signature signature = {.algorithm = algorithm, .size = algorithm == HMAC ? 32 : 64};
    if (algorithm == HMAC) {
        crypto_auth_hmacsha256_state state;
        crypto_auth_hmacsha256_init(&state, (const uint8_t *)secret, strlen(secret));
        crypto_auth_hmacsha256_update(&state, bytes, s.request.string_to_sign.size);
        crypto_auth_hmacsha256_final(&state, signature.bytes);
    } else {
        uint8_t seed[32], public_key[32], secret_key[64];
        CHECK_OK(sodium_hex2bin(seed, 32, secret, 64, NULL, NULL, NULL));
        crypto_sign_seed_keypair(public_key, secret_key, seed);
        crypto_sign_detached(signature.bytes, NULL, bytes, s.request.string_to_sign.size,
                             secret_key);
    }
    return signature;
}

static void set_official_order(void) {
    set_scene(SPOT, SENTINEL_ACTION_PLACE);
    set_id(s.instrument.symbol, &s.instrument.symbol_size, "LTCBTC");
    s.instrument.symbol[6] = 0;
    s.order.place.quantity = DEC(1, 0);
    s.order.place.price = DEC(1, 1);
    s.render.timestamp_ms = 1499827319559;
}

#define OFFICIAL                                                                             \
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000" \
    "&timestamp=1499827319559"

static void test_puts_the_signature_of_the_venues_own_example_last(void) {
    set_official_order();
    CHECK_REQUEST(POST, "/api/v3/order", OFFICIAL);
    sentinel_signature signature =
        signature_of(HMAC, "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j");
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.string_to_sign, OFFICIAL);
    CHECK_SPAN(s.request.query,
               OFFICIAL "&signature="
                        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71");
}

static void test_writes_ed25519_signatures_in_percent_encoded_base64(void) {
    set_official_order();
    s.key.algorithm = ED25519;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    sentinel_signature signature =
        signature_of(ED25519, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    CHECK_EQ(sentinel_venue_finish(&s.request, &s.render, &signature), SENTINEL_REASON_NONE);
    CHECK_SPAN(s.request.query,
               OFFICIAL "&signature=3fhuDZ9nYMviDQ5OEtJBJS11jUZDTRzRQ%2BTQMarm%2BLErFiJvUiVPQjTz"
                        "DoWZQe4miPX%2ByHk1v%2FZ7TWLYjIbmCA%3D%3D");
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_renders_every_type_of_spot_order);
    RUN(test_renders_every_type_of_usdm_order);
    RUN(test_renders_the_fields_that_only_usdm_has);
    RUN(test_names_the_order_and_keeps_decimals_as_text);
    RUN(test_refuses_fields_that_the_venue_does_not_have);
    RUN(test_cancels_and_queries_by_the_id_that_is_known);
    RUN(test_finds_triggered_usdm_orders_where_the_venue_keeps_them);
    RUN(test_amends_usdm_limit_orders);
    RUN(test_refuses_amends_of_anything_else);
    RUN(test_cancels_all_of_a_symbol_but_not_of_a_venue);
    RUN(test_arms_the_countdown_of_usdm_only);
    RUN(test_queries_open_orders_and_fills);
    RUN(test_withdraws_by_the_spot_host);
    RUN(test_transfers_between_the_wallets_that_the_venue_joins);
    RUN(test_chooses_the_host_by_environment);
    RUN(test_refuses_actions_and_lab_fields_that_binance_lacks);
    RUN(test_refuses_orders_whose_rows_were_not_found);
    RUN(test_sends_the_key_in_a_header_that_nothing_can_end);
    RUN(test_fails_on_a_decimal_without_a_text);
    RUN(test_puts_the_signature_of_the_venues_own_example_last);
    RUN(test_writes_ed25519_signatures_in_percent_encoded_base64);
    return test_end();
}

/* OKX: exact bytes per action and field, and what is refused.
 *
 * Method: the expected bodies and queries are written out, in the order of
 * the venue's documents; what is signed is put together from them.
 * venue_okx_request_test.c has what all requests share. tests/python compares
 * with other people's libraries. */
#include "venue_okx_scene.h"

static void test_renders_every_type_of_order(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
        const char *spot, *swap;
    } types[] = {
        {1, 1, Q | P, "\"limit\",\"px\":\"3\",\"sz\":\"1\"", "\"limit\",\"px\":\"3\",\"sz\":\"1\""},
        {1, 2, Q | P, "\"ioc\",\"px\":\"3\",\"sz\":\"1\"", "\"ioc\",\"px\":\"3\",\"sz\":\"1\""},
        {1, 3, Q | P, "\"fok\",\"px\":\"3\",\"sz\":\"1\"", "\"fok\",\"px\":\"3\",\"sz\":\"1\""},
        {1, 4, Q | P, "\"post_only\",\"px\":\"3\",\"sz\":\"1\"",
         "\"post_only\",\"px\":\"3\",\"sz\":\"1\""},
        {2, 0, Q, "\"market\",\"sz\":\"1\",\"tgtCcy\":\"base_ccy\"", "\"market\",\"sz\":\"1\""},
        {2, 0, QQ, "\"market\",\"sz\":\"2\",\"tgtCcy\":\"quote_ccy\"", NULL},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (uint8_t kind = 1; kind <= SENTINEL_CONTRACT_INVERSE; kind++) {
            char body[256];
            int spot = kind == SENTINEL_CONTRACT_SPOT;
            const char *rest = spot ? types[i].spot : types[i].swap;
            set_place(kind, types[i].type, types[i].tif, types[i].present);
            s.order.place.side = i % 2 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
            CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
            if (rest == NULL) {
                CHECK_EQ(render(), REFUSED);
                continue;
            }
            snprintf(body, sizeof body,
                     "{\"instId\":\"%s\",\"tdMode\":\"%s\",\"side\":\"%s\",\"ordType\":%s}",
                     kinds[kind], spot ? "cash" : "cross", i % 2 ? "sell" : "buy", rest);
            CHECK_POST("/api/v5/trade/order", body);
        }
    }
    set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_LIMIT, 0, Q | P | SENTINEL_PRESENT_LAB_WAIVE);
    CHECK_EQ(check_as(&s.order, LAB), SENTINEL_REASON_NONE);
    CHECK_POST("/api/v5/trade/order",
               "{\"instId\":\"BTC-USDT\",\"tdMode\":\"cash\",\"side\":\"buy\","
               "\"ordType\":\"limit\",\"px\":\"3\",\"sz\":\"1\"}");
}

static void check_triggered(uint8_t kind, int stop, int limit, uint8_t by, int sell) {
    static const char *const prices[] = {"", "last", "mark", "index"};
    char body[512], trigger_by[64] = "";
    int spot = kind == SENTINEL_CONTRACT_SPOT;
    const char *prefix = stop ? "sl" : "tp";
    uint8_t market_type = stop ? SENTINEL_TYPE_STOP_MARKET : SENTINEL_TYPE_TAKE_PROFIT_MARKET;
    set_place(kind, (uint8_t)(market_type + limit), limit ? SENTINEL_TIF_GTC : SENTINEL_TIF_NONE,
              limit ? Q | P | T : Q | T);
    set_client_id("Trig1");
    s.order.place.trigger_by = by;
    s.order.place.side = sell ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    if (spot && by > SENTINEL_TRIGGER_BY_LAST) {
        CHECK_EQ(render(), REFUSED); /* no such price */
        return;
    }
    if (by != 0) {
        snprintf(trigger_by, sizeof trigger_by, ",\"%sTriggerPxType\":\"%s\"", prefix, prices[by]);
    }
    snprintf(
        body, sizeof body,
        "{\"instId\":\"%s\",\"tdMode\":\"%s\",\"algoClOrdId\":\"Trig1\",\"side\":\"%s\","
        "\"ordType\":\"conditional\",\"sz\":\"1\",%s\"%sTriggerPx\":\"4\",\"%sOrdPx\":\"%s\"%s}",
        kinds[kind], spot ? "cash" : "cross", sell ? "sell" : "buy",
        spot && !limit && !sell ? "\"tgtCcy\":\"base_ccy\"," : "", prefix, prefix,
        limit ? "3" : "-1", trigger_by);
    CHECK_POST("/api/v5/trade/order-algo", body);
}

static void test_renders_every_triggered_order_where_the_venue_keeps_them(void) {
    for (uint8_t kind = 1; kind <= SENTINEL_CONTRACT_INVERSE; kind++) {
        for (uint8_t by = 0; by < SENTINEL_TRIGGER_BY_COUNT; by++) {
            for (int bits = 0; bits < 8; bits++) {
                check_triggered(kind, bits & 1, bits >> 1 & 1, by, bits >> 2);
            }
        }
    }
    for (uint8_t tif = SENTINEL_TIF_GTC; tif < SENTINEL_TIF_COUNT; tif++) {
        set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_STOP_LIMIT, tif,
                  Q | P | T | (tif == SENTINEL_TIF_GTD ? SENTINEL_PRESENT_EXPIRE : 0u));
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        CHECK_EQ(render(), tif == SENTINEL_TIF_GTC ? SENTINEL_REASON_NONE : REFUSED);
    }
}

/* only: 0 absent, 1 false, 2 true. */
static void check_position(uint8_t kind, uint8_t position, int sell, int only) {
    static const char *const positions[] = {"", "long", "short", "net"};
    char body[512], side[32] = "", reduce[32] = "";
    int contract = kind == SENTINEL_CONTRACT_LINEAR || kind == SENTINEL_CONTRACT_INVERSE;
    int opens = (position == SENTINEL_POSITION_LONG && !sell) ||
                (position == SENTINEL_POSITION_SHORT && sell);
    set_place(kind, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC,
              Q | P | (only ? SENTINEL_PRESENT_REDUCE_ONLY : 0u));
    s.order.place.side = sell ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
    s.order.place.position_side = position;
    s.order.place.reduce_only = only == 2;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    if ((!contract && (position || only)) || (opens && only == 2)) {
        CHECK_EQ(render(), REFUSED);
        return;
    }
    if (position) {
        snprintf(side, sizeof side, "\"posSide\":\"%s\",", positions[position]);
    }
    if (only) {
        snprintf(reduce, sizeof reduce, ",\"reduceOnly\":%s", only == 2 ? "true" : "false");
    }
    snprintf(body, sizeof body,
             "{\"instId\":\"%s\",\"tdMode\":\"%s\",\"side\":\"%s\",%s\"ordType\":\"limit\","
             "\"px\":\"3\",\"sz\":\"1\"%s}",
             kinds[kind], kind == SENTINEL_CONTRACT_SPOT ? "cash" : "cross", sell ? "sell" : "buy",
             side, reduce);
    CHECK_POST("/api/v5/trade/order", body);
}

static void test_renders_the_fields_that_only_contracts_have(void) {
    for (uint8_t kind = SENTINEL_CONTRACT_SPOT; kind < SENTINEL_CONTRACT_COUNT; kind++) {
        for (uint8_t position = 0; position < SENTINEL_POSITION_COUNT; position++) {
            for (int variant = 0; variant < 6 && kind != SENTINEL_CONTRACT_QUANTO; variant++) {
                check_position(kind, position, variant % 2, variant / 2);
            }
        }
    }
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_STOP_MARKET, 0,
              Q | T | SENTINEL_PRESENT_REDUCE_ONLY);
    s.order.place.reduce_only = 1;
    s.order.place.position_side = SENTINEL_POSITION_BOTH;
    CHECK_POST("/api/v5/trade/order-algo",
               "{\"instId\":\"BTC-USDT-SWAP\",\"tdMode\":\"cross\",\"side\":\"buy\","
               "\"posSide\":\"net\",\"ordType\":\"conditional\",\"sz\":\"1\",\"reduceOnly\":true,"
               "\"slTriggerPx\":\"4\",\"slOrdPx\":\"-1\"}");
}

static void check_trade_mode(uint8_t kind, uint8_t mode, uint8_t side) {
    static const char *const names[] = {"cash", "cash", "cross", "isolated"};
    char body[256];
    int spot = kind == SENTINEL_CONTRACT_SPOT;
    int buys_option = kind == SENTINEL_CONTRACT_OPTION && side == SENTINEL_SIDE_BUY;
    set_place(kind, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, Q | P);
    s.order.place.margin_mode = mode;
    s.order.place.side = side;
    if (mode < CROSS && !spot && !(mode == CASH && buys_option)) {
        CHECK_EQ(render(), REFUSED);
        return;
    }
    snprintf(body, sizeof body,
             "{\"instId\":\"%s\",\"tdMode\":\"%s\",\"side\":\"%s\",\"ordType\":\"limit\","
             "\"px\":\"3\",\"sz\":\"1\"}",
             kinds[kind], names[mode], side == SENTINEL_SIDE_BUY ? "buy" : "sell");
    CHECK_POST("/api/v5/trade/order", body);
}

static void test_takes_the_trade_mode_from_the_margin_mode(void) {
    for (uint8_t kind = SENTINEL_CONTRACT_SPOT; kind < SENTINEL_CONTRACT_COUNT; kind++) {
        for (uint8_t mode = 0; mode < SENTINEL_MARGIN_COUNT; mode++) {
            for (uint8_t side = SENTINEL_SIDE_BUY; side < SENTINEL_SIDE_COUNT; side++) {
                if (kind != SENTINEL_CONTRACT_QUANTO) {
                    check_trade_mode(kind, mode, side);
                }
            }
        }
    }
    set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC,
              Q | P | SENTINEL_PRESENT_REDUCE_ONLY);
    s.order.place.margin_mode = CROSS;
    s.order.place.reduce_only = 1;
    CHECK_POST(
        "/api/v5/trade/order",
        "{\"instId\":\"BTC-USDT\",\"tdMode\":\"cross\",\"side\":\"buy\",\"ordType\":\"limit\","
        "\"px\":\"3\",\"sz\":\"1\",\"reduceOnly\":true}");
    s.order.place.margin_mode = CASH;
    CHECK_EQ(render(), REFUSED);
}

static void test_refuses_market_orders_whose_unit_the_venue_would_choose(void) {
    for (uint8_t mode = 0; mode < SENTINEL_MARGIN_COUNT; mode++) {
        for (int quote = 0; quote < 2; quote++) {
            for (uint8_t side = SENTINEL_SIDE_BUY; side < SENTINEL_SIDE_COUNT; side++) {
                set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_MARKET, 0, quote ? QQ : Q);
                s.order.place.margin_mode = mode;
                s.order.place.side = side;
                int good = mode < CROSS || quote == (side == SENTINEL_SIDE_BUY);
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : REFUSED);
                set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
                s.order.place.margin_mode = mode;
                s.order.place.side = side;
                good = mode < CROSS || side == SENTINEL_SIDE_SELL;
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : REFUSED);
            }
        }
    }
    set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_MARKET, 0, QQ);
    s.order.place.margin_mode = ISOLATED;
    CHECK_POST("/api/v5/trade/order", "{\"instId\":\"BTC-USDT\",\"tdMode\":\"isolated\","
                                      "\"side\":\"buy\",\"ordType\":\"market\",\"sz\":\"2\"}");
}

static void set_unsupported(int field) {
    set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    switch (field) {
    case 0:
        s.order.place.trigger_direction = SENTINEL_TRIGGER_RISE;
        break;
    case 1: /* false is not absent */
        s.order.header.present |= SENTINEL_PRESENT_CLOSE_ON_TRIGGER;
        break;
    case 2:
        set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTD,
                  Q | P | SENTINEL_PRESENT_EXPIRE);
        break;
    case 3: /* a market order's worst price */
        set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_MARKET, 0, Q | P);
        break;
    case 4:
        set_place(SENTINEL_CONTRACT_LINEAR, SENTINEL_TYPE_TAKE_PROFIT_MARKET, 0, Q | P | T);
        break;
    case 5:
        s.instrument.contract = SENTINEL_CONTRACT_QUANTO;
        break;
    case 6:
        s.instrument.quantity_unit = SENTINEL_UNIT_BASE;
        break;
    case 7: /* options have limit orders alone */
        set_kind(SENTINEL_CONTRACT_OPTION);
        break;
    default:
        set_place(SENTINEL_CONTRACT_OPTION, SENTINEL_TYPE_MARKET, 0, Q);
        break;
    }
}

static void test_refuses_what_the_venue_does_not_have(void) {
    for (int field = 0; field < 9; field++) {
        set_unsupported(field);
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        CHECK_EQ(render(), REFUSED);
    }
    for (uint8_t unit = 0; unit <= SENTINEL_UNIT_COUNT; unit++) {
        set_place(SENTINEL_CONTRACT_SPOT, SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, Q | P);
        s.instrument.quantity_unit = unit;
        CHECK_EQ(render(), unit == SENTINEL_UNIT_BASE ? SENTINEL_REASON_NONE : REFUSED);
    }
}

static void test_amends_quantity_and_price_and_keeps_the_rest(void) {
    static const char body[] = "{\"instId\":\"BTC-USDT\",\"clOrdId\":\"c1\",\"newSz\":\"0.100\","
                               "\"newPx\":\"65000.10\"}";
    set_okx(SENTINEL_ACTION_AMEND);
    set_target_client_id("c1");
    CHECK_POST("/api/v5/trade/amend-order", body);
    s.render.target_type = SENTINEL_TYPE_LIMIT;
    s.render.target_time_in_force = SENTINEL_TIF_GTC;
    CHECK_POST("/api/v5/trade/amend-order", body);
    s.render.target_time_in_force = SENTINEL_TIF_POST_ONLY;
    CHECK_EQ(render(), REFUSED);
    s.order.amend.time_in_force = SENTINEL_TIF_POST_ONLY;
    CHECK_POST("/api/v5/trade/amend-order", body);
    s.render.target_reduce_only = 1;
    CHECK_EQ(render(), REFUSED);
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    s.order.amend.reduce_only = 1;
    CHECK_POST("/api/v5/trade/amend-order", body);
    s.render.target_type = SENTINEL_TYPE_STOP_LIMIT;
    CHECK_EQ(render(), REFUSED);
    for (uint8_t type = SENTINEL_TYPE_MARKET; type < SENTINEL_TYPE_COUNT; type++) {
        s.render.target_type = type;
        s.order.amend.type = type;
        CHECK_EQ(render(), REFUSED);
    }
    set_okx(SENTINEL_ACTION_AMEND);
    s.order.amend.time_in_force = SENTINEL_TIF_GTD;
    CHECK_EQ(render(), REFUSED);
    set_okx(SENTINEL_ACTION_AMEND);
    set_kind(SENTINEL_CONTRACT_OPTION);
    set_venue_id(&s.order.amend.target, "590909145319051111");
    CHECK_POST("/api/v5/trade/amend-order",
               "{\"instId\":\"BTC-USD-251226-90000-C\",\"ordId\":\"590909145319051111\","
               "\"newSz\":\"0.100\",\"newPx\":\"65000.10\"}");
    s.instrument.quantity_unit = SENTINEL_UNIT_BASE;
    CHECK_EQ(render(), REFUSED);
}

static void test_cancels_and_queries_where_the_order_is_kept(void) {
    for (uint8_t type = 0; type < SENTINEL_TYPE_COUNT; type++) {
        int algo = type >= SENTINEL_TYPE_STOP_MARKET;
        set_okx(SENTINEL_ACTION_CANCEL);
        s.render.target_type = type;
        set_venue_id(&s.order.cancel.target, "590908157585625111");
        CHECK_POST(algo ? "/api/v5/trade/cancel-algos" : "/api/v5/trade/cancel-order",
                   algo ? "[{\"instId\":\"BTC-USDT\",\"algoId\":\"590908157585625111\"}]"
                        : "{\"instId\":\"BTC-USDT\",\"ordId\":\"590908157585625111\"}");
        set_target_client_id("b15");
        CHECK_POST(algo ? "/api/v5/trade/cancel-algos" : "/api/v5/trade/cancel-order",
                   algo ? "[{\"instId\":\"BTC-USDT\",\"algoClOrdId\":\"b15\"}]"
                        : "{\"instId\":\"BTC-USDT\",\"clOrdId\":\"b15\"}");
        set_okx(SENTINEL_ACTION_QUERY);
        s.render.target_type = type;
        set_venue_id(&s.order.query.target, "5");
        CHECK_GET(algo ? "/api/v5/trade/order-algo" : "/api/v5/trade/order",
                  algo ? "algoId=5" : "instId=BTC-USDT&ordId=5");
        set_target_client_id("b15");
        CHECK_GET(algo ? "/api/v5/trade/order-algo" : "/api/v5/trade/order",
                  algo ? "algoClOrdId=b15" : "instId=BTC-USDT&clOrdId=b15");
    }
}

static void test_queries_open_orders_and_fills(void) {
    set_okx(SENTINEL_ACTION_QUERY);
    s.order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
    memset(&s.order.query.target, 0, sizeof s.order.query.target);
    s.order.query.instrument = 3;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_GET("/api/v5/trade/orders-pending", "instId=BTC-USDT");
    s.order.query.what = SENTINEL_QUERY_FILLS;
    CHECK_GET("/api/v5/trade/fills", "instId=BTC-USDT");
    s.order.header.present = SENTINEL_PRESENT_START | SENTINEL_PRESENT_END | SENTINEL_PRESENT_LIMIT;
    s.order.query.start_ms = 1;
    s.order.query.end_ms = INT64_MAX;
    s.order.query.limit = 100;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_GET("/api/v5/trade/fills", "instId=BTC-USDT&begin=1&end=9223372036854775807&limit=100");
    s.order.query.limit = 101;
    CHECK_EQ(render(), REFUSED);
    s.render.instrument = NULL;
    s.order.header.present = 0;
    s.order.query.instrument = 0;
    s.order.query.venue = OKX;
    CHECK_GET("/api/v5/trade/fills", "");
    s.order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
    CHECK_GET("/api/v5/trade/orders-pending", "");
    s.order.query.contract = SENTINEL_CONTRACT_LINEAR;
    CHECK_EQ(render(), REFUSED);
    s.order.query.contract = 0;
    s.order.query.venue = SENTINEL_VENUE_BYBIT; /* another venue than the key's */
    CHECK_EQ(render(), REFUSED);
}

static void test_arms_the_countdown_of_the_whole_venue(void) {
    static const struct {
        uint64_t ms;
        const char *body;
    } cases[] = {
        {0, "{\"timeOut\":\"0\"}"},
        {10000, "{\"timeOut\":\"10\"}"},
        {99000, "{\"timeOut\":\"99\"}"},
        {120000, "{\"timeOut\":\"120\"}"},
        {1, NULL},
        {9000, NULL},
        {9999, NULL},
        {10001, NULL},
        {121000, NULL},
        {UINT64_MAX, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_okx(SENTINEL_ACTION_CANCEL_ALL_AFTER);
        s.order.cancel_all_after.timeout_ms = cases[i].ms;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        if (cases[i].body == NULL) {
            CHECK_EQ(render(), REFUSED);
        } else {
            CHECK_POST("/api/v5/trade/cancel-all-after", cases[i].body);
        }
    }
    set_okx(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.render.instrument = &s.instrument; /* not of an instrument */
    CHECK_EQ(render(), REFUSED);
    set_okx(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.order.cancel_all_after.venue = SENTINEL_VENUE_DERIBIT;
    CHECK_EQ(render(), REFUSED);
    set_okx(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.order.header.present = SENTINEL_PRESENT_AT;
    s.order.cancel_all_after.timeout_ms = 0;
    s.order.cancel_all_after.at_ms = 1700000010000;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_EQ(render(), REFUSED);
}

static void test_has_no_plain_cancel_all(void) {
    set_okx(SENTINEL_ACTION_CANCEL_ALL);
    CHECK_EQ(render(), REFUSED);
    CHECK(sentinel_venue_hold(OKX, SENTINEL_ACTION_CANCEL_ALL) == NULL);
    CHECK(sentinel_venue_hold(OKX, SENTINEL_ACTION_MESSAGE) == NULL);
}

static void test_withdraws_on_chain_from_the_funding_account(void) {
    set_okx(SENTINEL_ACTION_WITHDRAW);
    CHECK_POST("/api/v5/asset/withdrawal",
               "{\"ccy\":\"USDT\",\"amt\":\"24.500000\",\"dest\":\"4\",\"toAddr\":\"0xAbc\","
               "\"chain\":\"USDT-ERC20\"}");
    set_client_id("wd0001");
    s.order.withdraw.from_account = SENTINEL_ACCOUNT_FUNDING;
    s.order.header.present = SENTINEL_PRESENT_MEMO;
    set_id(s.order.withdraw.memo, &s.order.withdraw.memo_size, "123456");
    set_id(s.network.code, &s.network.code_size, "USDT-Avalanche C-Chain");
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_POST("/api/v5/asset/withdrawal",
               "{\"ccy\":\"USDT\",\"amt\":\"24.500000\",\"dest\":\"4\",\"toAddr\":\"0xAbc:123456\","
               "\"chain\":\"USDT-Avalanche C-Chain\",\"clientId\":\"wd0001\"}");
    s.network.code_size = 0; /* the currency's main chain */
    memset(s.order.withdraw.address, 'A', SENTINEL_ADDRESS_BYTES_MAX);
    memset(s.order.withdraw.memo, 'm', SENTINEL_MEMO_BYTES_MAX);
    s.order.withdraw.address_size = SENTINEL_ADDRESS_BYTES_MAX;
    s.order.withdraw.memo_size = SENTINEL_MEMO_BYTES_MAX;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(s.request.body.size, strlen("{\"ccy\":\"USDT\",\"amt\":\"24.500000\",\"dest\":\"4\","
                                         "\"toAddr\":\":\",\"clientId\":\"wd0001\"}") +
                                      SENTINEL_ADDRESS_BYTES_MAX + SENTINEL_MEMO_BYTES_MAX);
    set_id(s.network.code, &s.network.code_size, "E\"H"); /* never passes the table's check */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    for (uint8_t account = 1; account < SENTINEL_ACCOUNT_COUNT; account++) {
        set_okx(SENTINEL_ACTION_WITHDRAW);
        s.order.withdraw.from_account = account;
        CHECK_EQ(render(), account == SENTINEL_ACCOUNT_FUNDING ? SENTINEL_REASON_NONE : REFUSED);
    }
    set_okx(SENTINEL_ACTION_WITHDRAW);
    s.order.withdraw.priority = SENTINEL_PRIORITY_LOW;
    CHECK_EQ(render(), REFUSED);
    set_okx(SENTINEL_ACTION_WITHDRAW);
    s.render.network = NULL;
    CHECK_EQ(render(), REFUSED);
}

/* True (1) when it was rendered. */
static int check_transfer(uint8_t from, uint8_t to, int sub) {
    static const char *const numbers[SENTINEL_ACCOUNT_COUNT] = {
        [SENTINEL_ACCOUNT_FUNDING] = "6",
        [SENTINEL_ACCOUNT_UNIFIED] = "18",
    };
    char body[256];
    set_okx(SENTINEL_ACTION_TRANSFER);
    set_client_id("t1");
    s.order.transfer.from_account = from;
    s.order.transfer.to_account = to;
    if (sub) {
        set_id(s.order.transfer.destination, &s.order.transfer.destination_size, "mini");
    }
    if (numbers[from] == NULL || numbers[to] == NULL || (from == to && !sub)) {
        CHECK_EQ(render(), REFUSED);
        return 0;
    }
    snprintf(body, sizeof body,
             "{\"ccy\":\"USDT\",\"amt\":\"1\",\"from\":\"%s\",\"to\":\"%s\",%s\"clientId\":\"t1\"}",
             numbers[from], numbers[to], sub ? "\"type\":\"1\",\"subAcct\":\"mini\"," : "");
    CHECK_POST("/api/v5/asset/transfer", body);
    return 1;
}

static void test_transfers_between_the_two_accounts_and_to_sub_accounts(void) {
    int rendered = 0;
    for (uint8_t from = 1; from < SENTINEL_ACCOUNT_COUNT; from++) {
        for (uint8_t to = 1; to < SENTINEL_ACCOUNT_COUNT; to++) {
            rendered += check_transfer(from, to, 0) + check_transfer(from, to, 1);
        }
    }
    CHECK_EQ(rendered, 6);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_renders_every_type_of_order);
    RUN(test_renders_every_triggered_order_where_the_venue_keeps_them);
    RUN(test_renders_the_fields_that_only_contracts_have);
    RUN(test_takes_the_trade_mode_from_the_margin_mode);
    RUN(test_refuses_market_orders_whose_unit_the_venue_would_choose);
    RUN(test_refuses_what_the_venue_does_not_have);
    RUN(test_amends_quantity_and_price_and_keeps_the_rest);
    RUN(test_cancels_and_queries_where_the_order_is_kept);
    RUN(test_queries_open_orders_and_fills);
    RUN(test_arms_the_countdown_of_the_whole_venue);
    RUN(test_has_no_plain_cancel_all);
    RUN(test_withdraws_on_chain_from_the_funding_account);
    RUN(test_transfers_between_the_two_accounts_and_to_sub_accounts);
    return test_end();
}

/* Deribit: exact bytes per action and field, and what is refused.
 *
 * Method: the expected URIs are written out; the string to sign is put
 * together from them. tests/python compares with ccxt and with a computation
 * of its own; venue_deribit_request_test.c has what all actions share. */
#include "venue_deribit_scene.h"

static void test_renders_every_type_of_order(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
        const char *type_text, *rest;
    } types[] = {
        {1, 1, Q | P, "limit", "&price=3&time_in_force=good_til_cancelled"},
        {1, 2, Q | P, "limit", "&price=3&time_in_force=immediate_or_cancel"},
        {1, 3, Q | P, "limit", "&price=3&time_in_force=fill_or_kill"},
        {1, 4, Q | P, "limit",
         "&price=3&time_in_force=good_til_cancelled&post_only=true&reject_post_only=true"},
        {2, 0, Q, "market", ""},
        {3, 0, Q | T, "stop_market", "&trigger=mark_price&trigger_price=4"},
        {4, 1, Q | P | T, "stop_limit",
         "&price=3&time_in_force=good_til_cancelled&trigger=mark_price&trigger_price=4"},
        {4, 4, Q | P | T, "stop_limit",
         "&price=3&time_in_force=good_til_cancelled&post_only=true&reject_post_only=true"
         "&trigger=mark_price&trigger_price=4"},
        {5, 0, Q | T, "take_market", "&trigger=mark_price&trigger_price=4"},
        {6, 2, Q | P | T, "take_limit",
         "&price=3&time_in_force=immediate_or_cancel&trigger=mark_price&trigger_price=4"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char query[512];
        set_deribit(SENTINEL_ACTION_PLACE);
        set_terms(types[i].type, types[i].tif, types[i].present);
        s.order.place.side = i % 2 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
        s.order.place.trigger_by = types[i].present & T ? SENTINEL_TRIGGER_BY_MARK : 0;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        snprintf(query, sizeof query, "instrument_name=BTC-PERPETUAL&amount=1&type=%s%s" UNTIL,
                 types[i].type_text, types[i].rest);
        check_get(i % 2 ? "/api/v2/private/sell" : "/api/v2/private/buy", query);
    }
}

static void test_looks_at_the_price_that_a_triggered_order_names(void) {
    static const char *const names[] = {"", "last_price", "mark_price", "index_price"};
    for (uint8_t type = 1; type < SENTINEL_TYPE_COUNT; type++) {
        for (uint8_t by = 0; by < SENTINEL_TRIGGER_BY_COUNT; by++) {
            int limit = type == 1 || type == 4 || type == 6, triggered = type >= 3;
            char expected[64];
            set_deribit(SENTINEL_ACTION_PLACE);
            set_terms(type, (uint8_t)limit, Q | (limit ? P : 0) | (triggered ? T : 0));
            s.order.place.trigger_by = by;
            if (triggered != (by != 0)) { /* the documents have no default */
                CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
                continue;
            }
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            snprintf(expected, sizeof expected, "&trigger=%s&trigger_price=4" UNTIL, names[by]);
            size_t size = strlen(expected);
            const char *end = s.request.text + s.request.query.offset + s.request.query.size;
            CHECK_EQ(triggered && memcmp(end - size, expected, size) == 0, triggered);
        }
    }
}

static void test_names_the_order_and_keeps_decimals_as_text(void) {
    set_deribit(SENTINEL_ACTION_PLACE);
    s.order.place.quantity = DEC(12345000, 2);
    s.order.place.price = DEC(6500050, 2);
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    set_client_id("0123456789abcdef0123456789abcdef");
    for (uint8_t reduce = 0; reduce < 2; reduce++) {
        s.order.place.reduce_only = reduce; /* false is not absent */
        check_get("/api/v2/private/buy",
                  reduce ? "instrument_name=BTC-PERPETUAL&amount=123450.00&type=limit"
                           "&label=0123456789abcdef0123456789abcdef&price=65000.50"
                           "&time_in_force=good_til_cancelled&reduce_only=true" UNTIL
                         : "instrument_name=BTC-PERPETUAL&amount=123450.00&type=limit"
                           "&label=0123456789abcdef0123456789abcdef&price=65000.50"
                           "&time_in_force=good_til_cancelled&reduce_only=false" UNTIL);
    }
    s.order.header.present = Q | P | SENTINEL_PRESENT_LAB_WAIVE;
    s.order.place.reduce_only = 0;
    s.order.place.time_in_force = SENTINEL_TIF_NONE; /* in `lab` left to the venue */
    s.render.client_id_size = 0;
    CHECK_EQ(check_as(&s.order, LAB), SENTINEL_REASON_NONE);
    check_get("/api/v2/private/buy",
              "instrument_name=BTC-PERPETUAL&amount=123450.00&type=limit&price=65000.50" UNTIL);
}

static void test_trades_amounts_in_the_venues_unit_only(void) {
    static const uint8_t units[SENTINEL_CONTRACT_COUNT] = {
        0, SENTINEL_UNIT_BASE, SENTINEL_UNIT_BASE, SENTINEL_UNIT_QUOTE, 0, SENTINEL_UNIT_BASE};
    for (uint8_t contract = 0; contract <= SENTINEL_CONTRACT_COUNT; contract++) {
        for (uint8_t unit = 0; unit <= SENTINEL_UNIT_COUNT; unit++) {
            int good = unit != 0 && contract < SENTINEL_CONTRACT_COUNT && units[contract] == unit;
            for (uint16_t action = SENTINEL_ACTION_PLACE; action <= SENTINEL_ACTION_AMEND;
                 action++) {
                set_deribit(action);
                s.instrument.contract = contract;
                s.instrument.quantity_unit = unit;
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
                s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
                int spot = contract == SENTINEL_CONTRACT_SPOT; /* nothing to reduce */
                CHECK_EQ(render(),
                         good && !spot ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
            }
            set_deribit(SENTINEL_ACTION_CANCEL); /* which has no amount */
            s.instrument.contract = contract;
            s.instrument.quantity_unit = unit;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
        }
    }
}

static void test_refuses_fields_that_the_venue_does_not_have(void) {
    for (int field = 0; field < 9; field++) {
        set_deribit(SENTINEL_ACTION_PLACE);
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | T);
        sentinel_order_place *place = &s.order.place;
        place->trigger_by = SENTINEL_TRIGGER_BY_LAST;
        switch (field) {
        case 0:
            place->margin_mode = SENTINEL_MARGIN_CROSS;
            break;
        case 1:
            place->trigger_direction = SENTINEL_TRIGGER_RISE;
            break;
        case 2:
            s.order.header.present |= SENTINEL_PRESENT_CLOSE_ON_TRIGGER;
            break;
        case 3:
            place->position_side = SENTINEL_POSITION_BOTH;
            break;
        case 4: /* the worst price to be taken */
            s.order.header.present |= P;
            place->price = DEC(3, 0);
            break;
        case 5:
            set_terms(SENTINEL_TYPE_MARKET, 0, Q | P);
            break;
        case 6:
            set_terms(SENTINEL_TYPE_MARKET, 0, SENTINEL_PRESENT_QUOTE_QUANTITY);
            break;
        case 7:
            set_terms(SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTD, Q | P | SENTINEL_PRESENT_EXPIRE);
            break;
        default: /* the control */
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            continue;
        }
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
}

static void test_amends_by_the_id_that_is_known(void) {
    set_deribit(SENTINEL_ACTION_AMEND);
    check_get("/api/v2/private/edit_by_label",
              "label=c-1&instrument_name=BTC-PERPETUAL&amount=0.100&price=65000.10" UNTIL);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.amend.target, "ETH-SLIS-12");
    check_get("/api/v2/private/edit", "order_id=ETH-SLIS-12&amount=0.100&price=65000.10" UNTIL);
    s.order.amend.time_in_force = SENTINEL_TIF_POST_ONLY;
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    s.order.amend.reduce_only = 1;
    check_get("/api/v2/private/edit",
              "order_id=ETH-SLIS-12&amount=0.100&price=65000.10&post_only=true"
              "&reject_post_only=true&reduce_only=true" UNTIL);
    s.order.amend.type = SENTINEL_TYPE_STOP_LIMIT;
    s.order.amend.time_in_force = SENTINEL_TIF_GTC;
    s.order.amend.reduce_only = 0;
    s.order.amend.trigger_price = DEC(4, 0);
    s.order.header.present |= T;
    check_get("/api/v2/private/edit",
              "order_id=ETH-SLIS-12&amount=0.100&price=65000.10&reduce_only=false"
              "&trigger_price=4" UNTIL);
    s.order.amend.type = SENTINEL_TYPE_STOP_MARKET;
    s.order.amend.time_in_force = SENTINEL_TIF_NONE;
    s.order.header.present = Q | T;
    check_get("/api/v2/private/edit", "order_id=ETH-SLIS-12&amount=0.100&trigger_price=4" UNTIL);
    s.order.header.present = Q | T | P; /* a worst price */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.header.present = Q;
    s.order.amend.type = SENTINEL_TYPE_MARKET; /* which never rests */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_amends_keep_type_time_in_force_and_flags(void) {
    for (uint8_t type = 0; type < SENTINEL_TYPE_COUNT; type++) {
        for (uint8_t tif = 0; tif < SENTINEL_TIF_COUNT; tif++) {
            for (uint8_t reduce = 0; reduce < 2; reduce++) {
                set_deribit(SENTINEL_ACTION_AMEND);
                s.render.target_type = type;
                s.render.target_time_in_force = tif;
                s.render.target_reduce_only = reduce;
                int kept = type == 0 || /* unknown, in `lab` */
                           (type == SENTINEL_TYPE_LIMIT && tif == SENTINEL_TIF_GTC && !reduce);
                CHECK_EQ(render(), kept ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
            }
        }
    }
    set_deribit(SENTINEL_ACTION_AMEND); /* the venue has no time of the order's own */
    s.order.amend.time_in_force = SENTINEL_TIF_GTD;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_cancels_and_queries_by_the_id_that_is_known(void) {
    set_deribit(SENTINEL_ACTION_CANCEL);
    check_get("/api/v2/private/cancel_by_label", "label=c-1");
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.cancel.target, "BTC_USDC-12");
    check_get("/api/v2/private/cancel", "order_id=BTC_USDC-12");
    set_deribit(SENTINEL_ACTION_QUERY);
    check_get("/api/v2/private/get_order_state_by_label", "currency=BTC&label=c-1");
    s.render.settle = NULL;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.query.target, "12");
    check_get("/api/v2/private/get_order_state", "order_id=12");
    for (size_t i = 1; i < ALL_ACTIONS; i++) { /* no id at all */
        uint16_t action = all_actions[i];
        set_deribit(action);
        s.render.target_client_id_size = 0;
        int needs = action == SENTINEL_ACTION_AMEND || action == SENTINEL_ACTION_CANCEL ||
                    action == SENTINEL_ACTION_QUERY;
        CHECK_EQ(render(), needs ? SENTINEL_REASON_UNSUPPORTED : SENTINEL_REASON_NONE);
    }
}

static void test_cancels_all_of_an_instrument_a_currency_or_the_venue(void) {
    set_deribit(SENTINEL_ACTION_CANCEL_ALL);
    check_get("/api/v2/private/cancel_all_by_instrument", "instrument_name=BTC-PERPETUAL");
    s.order.cancel_all.asset = 4; /* not both */
    s.render.asset = &s.asset;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.cancel_all.instrument = 0;
    s.order.cancel_all.venue = DERIBIT;
    s.render.instrument = NULL;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    check_get("/api/v2/private/cancel_all_by_currency", "currency=BTC");
    s.render.asset = NULL; /* its row was not found */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.cancel_all.asset = 0;
    check_get("/api/v2/private/cancel_all", "");
    s.order.cancel_all.contract = SENTINEL_CONTRACT_INVERSE;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.cancel_all.contract = 0;
    s.order.cancel_all.venue = USDM; /* another venue than the key's */
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_queries_open_orders_and_fills(void) {
    set_deribit(SENTINEL_ACTION_QUERY);
    s.render.target_client_id_size = 0;
    memset(&s.order.query.target, 0, sizeof s.order.query.target);
    s.order.query.instrument = 3;
    s.order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
    check_get("/api/v2/private/get_open_orders_by_instrument", "instrument_name=BTC-PERPETUAL");
    s.order.query.what = SENTINEL_QUERY_FILLS;
    check_get("/api/v2/private/get_user_trades_by_instrument", "instrument_name=BTC-PERPETUAL");
    s.order.header.present = SENTINEL_PRESENT_LIMIT;
    s.order.query.limit = 1000;
    check_get("/api/v2/private/get_user_trades_by_instrument",
              "instrument_name=BTC-PERPETUAL&count=1000");
    s.order.header.present = SENTINEL_PRESENT_START;
    s.order.query.start_ms = 1;
    check_get("/api/v2/private/get_user_trades_by_instrument_and_time",
              "instrument_name=BTC-PERPETUAL&start_timestamp=1");
    s.order.header.present = SENTINEL_PRESENT_END | SENTINEL_PRESENT_LIMIT;
    s.order.query.end_ms = INT64_MAX;
    check_get("/api/v2/private/get_user_trades_by_instrument_and_time",
              "instrument_name=BTC-PERPETUAL&end_timestamp=9223372036854775807&count=1000");
    s.order.header.present |= SENTINEL_PRESENT_START;
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    check_get("/api/v2/private/get_user_trades_by_instrument_and_time",
              "instrument_name=BTC-PERPETUAL&start_timestamp=1"
              "&end_timestamp=9223372036854775807&count=1000");
    s.render.instrument = NULL; /* of an instrument only */
    s.order.query.venue = DERIBIT;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.query.what = SENTINEL_QUERY_OPEN_ORDERS;
    check_get("/api/v2/private/get_open_orders", "");
    s.order.query.contract = SENTINEL_CONTRACT_OPTION;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.order.query.contract = 0;
    s.order.query.venue = SPOT;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_withdraws_over_the_network_that_the_venue_chooses(void) {
    static const char *const names[] = {"",     "very_low",  "low",          "mid",
                                        "high", "very_high", "extreme_high", "insane"};
    set_deribit(SENTINEL_ACTION_WITHDRAW);
    check_get("/api/v2/private/withdraw", "currency=BTC&address=0xAbc&amount=24.500000");
    for (uint8_t priority = 1; priority < SENTINEL_PRIORITY_COUNT; priority++) {
        char query[128];
        s.order.withdraw.priority = priority;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        snprintf(query, sizeof query, "currency=BTC&address=0xAbc&amount=24.500000&priority=%s",
                 names[priority]);
        check_get("/api/v2/private/withdraw", query);
    }
    s.order.header.present = SENTINEL_PRESENT_MEMO;
    set_id(s.order.withdraw.memo, &s.order.withdraw.memo_size, "1234");
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    set_deribit(SENTINEL_ACTION_WITHDRAW);
    set_id(s.network.code, &s.network.code_size, "BTC");
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    s.network.code_size = 0;
    for (uint8_t account = 1; account < SENTINEL_ACCOUNT_COUNT; account++) {
        s.order.withdraw.from_account = account;
        CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
    }
    s.order.withdraw.from_account = 0;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    s.render.network = NULL;
    CHECK_EQ(render(), SENTINEL_REASON_UNSUPPORTED);
}

static void test_transfers_to_sub_accounts_by_number(void) {
    static const struct {
        const char *destination;
        sentinel_reason reason;
    } numbers[] = {
        {"1", SENTINEL_REASON_NONE},
        {"10", SENTINEL_REASON_NONE},
        {"999999999999999999", SENTINEL_REASON_NONE},
        {"1000000000000000000", SENTINEL_REASON_ORDER_TEXT},
        {"", SENTINEL_REASON_UNSUPPORTED},
        {"0", SENTINEL_REASON_ORDER_TEXT},
        {"07", SENTINEL_REASON_ORDER_TEXT},
        {"-7", SENTINEL_REASON_ORDER_TEXT},
        {"7.0", SENTINEL_REASON_ORDER_TEXT},
        {"1e3", SENTINEL_REASON_ORDER_TEXT},
        {"sub", SENTINEL_REASON_ORDER_TEXT},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char query[128];
        set_deribit(SENTINEL_ACTION_TRANSFER);
        set_id(s.order.transfer.destination, &s.order.transfer.destination_size,
               numbers[i].destination);
        if (numbers[i].reason != SENTINEL_REASON_NONE) {
            CHECK_EQ(render(), numbers[i].reason);
            continue;
        }
        snprintf(query, sizeof query, "currency=BTC&amount=1&destination=%s",
                 numbers[i].destination);
        check_get("/api/v2/private/submit_transfer_to_subaccount", query);
    }
    for (uint8_t from = 1; from < SENTINEL_ACCOUNT_COUNT; from++) {
        for (uint8_t to = 1; to < SENTINEL_ACCOUNT_COUNT; to++) {
            set_deribit(SENTINEL_ACTION_TRANSFER);
            s.order.transfer.from_account = from;
            s.order.transfer.to_account = to;
            int good = from == SENTINEL_ACCOUNT_UNIFIED && to == SENTINEL_ACCOUNT_SUBACCOUNT;
            CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : SENTINEL_REASON_UNSUPPORTED);
        }
    }
}

static void test_chooses_the_host_by_environment(void) {
    for (uint8_t environment = LIVE; environment <= LAB; environment++) {
        for (size_t i = 0; i < ALL_ACTIONS; i++) {
            set_deribit(all_actions[i]);
            s.render.environment = environment;
            CHECK_EQ(render(), SENTINEL_REASON_NONE);
            CHECK_SPAN(s.request.host,
                       environment == TEST ? "test.deribit.com" : "www.deribit.com");
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_renders_every_type_of_order);
    RUN(test_looks_at_the_price_that_a_triggered_order_names);
    RUN(test_names_the_order_and_keeps_decimals_as_text);
    RUN(test_trades_amounts_in_the_venues_unit_only);
    RUN(test_refuses_fields_that_the_venue_does_not_have);
    RUN(test_amends_by_the_id_that_is_known);
    RUN(test_amends_keep_type_time_in_force_and_flags);
    RUN(test_cancels_and_queries_by_the_id_that_is_known);
    RUN(test_cancels_all_of_an_instrument_a_currency_or_the_venue);
    RUN(test_queries_open_orders_and_fills);
    RUN(test_withdraws_over_the_network_that_the_venue_chooses);
    RUN(test_transfers_to_sub_accounts_by_number);
    RUN(test_chooses_the_host_by_environment);
    return test_end();
}

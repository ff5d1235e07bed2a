/* Hyperliquid: exact bytes per action and field, and what is refused.
 *
 * Method: the expected bodies are written out, in the order of the venue's own
 * library; digests and signatures are those of tests/golden/venues, which that
 * library made. tests/python compares random orders with it. */
#include "hyperliquid_scene.h"

#define ORDER(b, p, size, r, t) \
    "{\"a\":1,\"b\":" b ",\"p\":\"" p "\",\"s\":\"" size "\",\"r\":" r ",\"t\":{" t "}"
#define PLACED(inner) "{\"type\":\"order\",\"orders\":[" inner "}],\"grouping\":\"na\"}"
#define LIMIT(tif) "\"limit\":{\"tif\":\"" tif "\"}"
#define TRIGGER(market, px, kind) \
    "\"trigger\":{\"isMarket\":" market ",\"triggerPx\":\"" px "\",\"tpsl\":\"" kind "\"}"

static void test_renders_every_type_of_order(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
        const char *t;
    } types[] = {
        {1, 1, Q | P, LIMIT("Gtc")},
        {1, 2, Q | P, LIMIT("Ioc")},
        {1, 4, Q | P, LIMIT("Alo")},
        {2, 0, Q | P, LIMIT("Ioc")},
        {3, 0, Q | P | T, TRIGGER("true", "4", "sl")},
        {4, 1, Q | P | T, TRIGGER("false", "4", "sl")},
        {5, 0, Q | P | T, TRIGGER("true", "4", "tp")},
        {6, 1, Q | P | T, TRIGGER("false", "4", "tp")},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char body[512];
        set_hyper(SENTINEL_ACTION_PLACE);
        set_terms(types[i].type, types[i].tif, types[i].present);
        s.order.place.side = i % 2 ? SENTINEL_SIDE_SELL : SENTINEL_SIDE_BUY;
        CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
        snprintf(body, sizeof body,
                 "{\"action\":{\"type\":\"order\",\"orders\":[{\"a\":1,\"b\":%s,\"p\":\"3\","
                 "\"s\":\"1\",\"r\":false,\"t\":{%s}}],\"grouping\":\"na\"},"
                 "\"nonce\":1700000000001",
                 i % 2 ? "false" : "true", types[i].t);
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        CHECK(body_is(body));
    }
}

static void test_refuses_what_its_orders_cannot_say(void) {
    static const struct {
        uint8_t type, tif;
        uint32_t present;
    } types[] = {
        {1, 0, Q | P},
        {1, 3, Q | P},
        {1, 5, Q | P | SENTINEL_PRESENT_EXPIRE},
        {2, 0, Q}, /* without the worst price */
        {2, 0, SENTINEL_PRESENT_QUOTE_QUANTITY | P},
        {3, 0, Q | T},
        {4, 2, Q | P | T},
        {4, 3, Q | P | T},
        {4, 4, Q | P | T},
        {6, 5, Q | P | T | SENTINEL_PRESENT_EXPIRE},
        {3, 0, Q | P | T | SENTINEL_PRESENT_CLOSE_ON_TRIGGER},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        set_hyper(SENTINEL_ACTION_PLACE);
        set_terms(types[i].type, types[i].tif, types[i].present);
        CHECK_EQ(render(), UNSUPPORTED);
    }
    for (uint8_t field = 0; field < 6; field++) {
        set_hyper(SENTINEL_ACTION_PLACE);
        set_terms(SENTINEL_TYPE_STOP_MARKET, 0, Q | P | T);
        sentinel_order_place *place = &s.order.place;
        place->position_side = field == 0;
        place->margin_mode = field == 1;
        place->trigger_direction = field == 2;
        place->trigger_by = field == 3   ? SENTINEL_TRIGGER_BY_LAST
                            : field == 4 ? SENTINEL_TRIGGER_BY_INDEX
                            : field == 5 ? SENTINEL_TRIGGER_BY_MARK
                                         : 0;
        CHECK_EQ(render(), field == 5 ? SENTINEL_REASON_NONE : UNSUPPORTED);
    }
}

static void test_reduces_positions_but_not_balances(void) {
    set_hyper(SENTINEL_ACTION_PLACE);
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    s.order.place.reduce_only = 1;
    CHECK_ACTION(PLACED(ORDER("true", "65000", "0.1", "true", LIMIT("Gtc"))));
    s.instrument.contract = SENTINEL_CONTRACT_SPOT;
    s.instrument.venue_index = 10107;
    CHECK_EQ(render(), UNSUPPORTED);
    s.order.place.reduce_only = 0;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
}

static void test_names_the_order_in_lower_case_hex(void) {
    static const char *const bad[] = {"",
                                      "0123456789abcdef0123456789abcde",
                                      "0123456789ABCDEF0123456789abcdef",
                                      "0123456789abcdef0123456789abcdeg",
                                      "0X0123456789abcdef0123456789abcdef",
                                      "0x0123456789abcdef0123456789abcdeF",
                                      "0x0123456789abcdef0123456789abcdef0"};
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        set_hyper(SENTINEL_ACTION_PLACE);
        set_client_id(CLOID + (prefixed ? 0 : 2));
        CHECK_ACTION(
            PLACED(ORDER("true", "65000", "0.1", "false", LIMIT("Gtc")) ",\"c\":\"" CLOID "\""));
    }
    for (size_t i = 1; i < sizeof bad / sizeof *bad; i++) {
        set_hyper(SENTINEL_ACTION_PLACE);
        set_client_id(bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
        set_hyper(SENTINEL_ACTION_CANCEL);
        set_target_client_id(bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
        set_hyper(SENTINEL_ACTION_AMEND);
        s.render.target_client_id_size = 0;
        set_venue_id(&s.order.amend.target, "7");
        set_client_id(bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_drops_zeros_and_counts_figures_and_decimals(void) {
    static const struct {
        sentinel_decimal price, lot;
        int spot, good;
    } prices[] = {
        {{6500010, 2, {0}}, {1, 5, {0}}, 0, 0}, /* 65000.1: six figures */
        {{650010, 2, {0}}, {1, 4, {0}}, 0, 1},  /* 6500.1 */
        {{123456, 0, {0}}, {1, 4, {0}}, 0, 1},  /* an integer may be long */
        {{123456000, 3, {0}}, {1, 6, {0}}, 0, 1},
        {{1234500, 3, {0}}, {1, 4, {0}}, 0, 1},
        {{123456, 2, {0}}, {1, 0, {0}}, 0, 0},
        {{1234, 6, {0}}, {1, 0, {0}}, 0, 1},  /* 0.001234 */
        {{12345, 7, {0}}, {1, 0, {0}}, 0, 0}, /* 0.0012345: seven decimals */
        {{1234, 5, {0}}, {1, 1, {0}}, 0, 1},  /* 0.01234 at szDecimals 1 */
        {{12345, 6, {0}}, {1, 1, {0}}, 0, 0}, /* 0.012345 */
        {{1234, 7, {0}}, {1, 1, {0}}, 1, 1},  /* 0.0001234 of spot */
        {{1234, 7, {0}}, {1, 2, {0}}, 1, 0},  /* the same at szDecimals 2 */
        {{801, 8, {0}}, {100, 2, {0}}, 1, 1}, /* a lot of 1.00 says 0 */
        {{801, 9, {0}}, {1, 0, {0}}, 1, 0},
        {{15, 1, {0}}, {1, 8, {0}}, 0, 0}, /* no decimal is left */
        {{15, 0, {0}}, {1, 8, {0}}, 0, 1},
        {{801, 8, {0}}, {1, 18, {0}}, 1, 1}, /* a lot that says nothing (lab) */
        {{801, 8, {0}}, {0, 0, {0}}, 1, 1},
        {{6500010, 2, {0}}, {1, 18, {0}}, 0, 1},
        {{801, 9, {0}}, {1, 18, {0}}, 0, 0}, /* what no number of the venue has */
    };
    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++) {
        for (int trigger = 0; trigger < 2; trigger++) {
            set_hyper(SENTINEL_ACTION_PLACE);
            set_terms(trigger ? SENTINEL_TYPE_STOP_LIMIT : SENTINEL_TYPE_LIMIT, 1,
                      trigger ? Q | P | T : Q | P);
            *(trigger ? &s.order.place.trigger_price : &s.order.place.price) = prices[i].price;
            s.instrument.lot = prices[i].lot;
            if (prices[i].spot) {
                s.instrument.contract = SENTINEL_CONTRACT_SPOT;
                s.instrument.venue_index = 10107;
            }
            CHECK_EQ(render(), prices[i].good ? SENTINEL_REASON_NONE : SENTINEL_REASON_TICK);
        }
    }
    set_hyper(SENTINEL_ACTION_PLACE);
    s.order.place.price = DEC(650010000, 5);
    s.order.place.quantity = DEC(100000, 8);
    CHECK_ACTION(PLACED(ORDER("true", "6500.1", "0.001", "false", LIMIT("Gtc"))));
}

static void test_takes_no_size_finer_than_the_lot_or_eight_decimals(void) {
    static const struct {
        sentinel_decimal quantity, lot;
        int good;
    } sizes[] = {
        {{1001, 3, {0}}, {1, 3, {0}}, 1},  {{10010, 4, {0}}, {1, 3, {0}}, 1},
        {{10001, 4, {0}}, {1, 3, {0}}, 0}, {{5, 0, {0}}, {10, 0, {0}}, 1},
        {{1, 8, {0}}, {1, 18, {0}}, 1},    {{1, 9, {0}}, {1, 18, {0}}, 0},
        {{1, 8, {0}}, {0, 0, {0}}, 1},     {{1, 9, {0}}, {0, 0, {0}}, 0},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        set_hyper(SENTINEL_ACTION_PLACE);
        s.order.place.quantity = sizes[i].quantity;
        s.instrument.lot = sizes[i].lot;
        CHECK_EQ(render(), sizes[i].good ? SENTINEL_REASON_NONE : SENTINEL_REASON_LOT);
    }
}

static void test_takes_the_numbers_of_the_markets_that_it_values(void) {
    static const struct {
        uint32_t index;
        int perp, spot;
    } numbers[] = {
        {0, 1, 0},      {9999, 1, 0},   {10000, 0, 1},    {99999, 0, 1},     {100000, 0, 0},
        {109999, 0, 0}, {110000, 1, 0}, {99999999, 1, 0}, {100000000, 0, 0}, {UINT32_MAX, 0, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (uint8_t contract = 0; contract < SENTINEL_CONTRACT_COUNT; contract++) {
            for (uint16_t action = SENTINEL_ACTION_PLACE; action <= SENTINEL_ACTION_CANCEL;
                 action++) {
                int good = (contract == SENTINEL_CONTRACT_LINEAR && numbers[i].perp) ||
                           (contract == SENTINEL_CONTRACT_SPOT && numbers[i].spot);
                set_hyper(action);
                s.instrument.venue_index = numbers[i].index;
                s.instrument.contract = contract;
                CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : UNSUPPORTED);
                s.instrument.quantity_unit = SENTINEL_UNIT_CONTRACTS;
                CHECK_EQ(render(), UNSUPPORTED);
            }
        }
    }
}

#define MODIFIED(oid, inner) \
    "{\"type\":\"batchModify\",\"modifies\":[{\"oid\":" oid ",\"order\":" inner "}}]}"

static void test_amends_by_name_and_keeps_it(void) {
    set_hyper(SENTINEL_ACTION_AMEND);
    set_client_id("ffffffffffffffffffffffffffffffff"); /* of this record; not used */
    CHECK_ACTION(MODIFIED("\"" CLOID "\"", ORDER("true", "65000", "0.1", "false",
                                                 LIMIT("Gtc")) ",\"c\":\"" CLOID "\""));
    s.render.side = SENTINEL_SIDE_SELL;
    s.order.amend.time_in_force = SENTINEL_TIF_POST_ONLY;
    s.order.header.present |= SENTINEL_PRESENT_REDUCE_ONLY;
    s.order.amend.reduce_only = 1;
    CHECK_ACTION(MODIFIED("\"" CLOID "\"", ORDER("false", "65000", "0.1", "true",
                                                 LIMIT("Alo")) ",\"c\":\"" CLOID "\""));
    s.order.header.present = Q | P | SENTINEL_PRESENT_LAB_CLIENT_ID; /* another name */
    s.order.amend.reduce_only = 0;
    CHECK_ACTION(MODIFIED("\"" CLOID "\"",
                          ORDER("false", "65000", "0.1", "false",
                                LIMIT("Alo")) ",\"c\":\"0xffffffffffffffffffffffffffffffff\""));
}

static void test_amends_by_number_and_names_anew(void) {
    set_hyper(SENTINEL_ACTION_AMEND);
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.amend.target, "77738308");
    CHECK_ACTION(MODIFIED("77738308", ORDER("true", "65000", "0.1", "false", LIMIT("Gtc"))));
    set_client_id(CLOID);
    CHECK_ACTION(MODIFIED(
        "77738308", ORDER("true", "65000", "0.1", "false", LIMIT("Gtc")) ",\"c\":\"" CLOID "\""));
}

static void test_amends_only_what_rests(void) {
    for (uint8_t type = 1; type < SENTINEL_TYPE_COUNT; type++) {
        for (uint8_t tif = 0; tif < SENTINEL_TIF_COUNT; tif++) {
            set_hyper(SENTINEL_ACTION_AMEND);
            s.order.header.present |= T;
            s.order.amend.trigger_price = DEC(4, 0);
            s.order.amend.type = type;
            s.order.amend.time_in_force = tif;
            int good = type == 1 && (tif == SENTINEL_TIF_GTC || tif == SENTINEL_TIF_POST_ONLY);
            CHECK_EQ(render(), good ? SENTINEL_REASON_NONE : UNSUPPORTED);
        }
        set_hyper(SENTINEL_ACTION_AMEND);
        s.render.target_type = type;
        CHECK_EQ(render(), type < SENTINEL_TYPE_STOP_MARKET ? SENTINEL_REASON_NONE : UNSUPPORTED);
    }
    set_hyper(SENTINEL_ACTION_AMEND);
    s.order.amend.price = DEC(6500010, 2);
    CHECK_EQ(render(), SENTINEL_REASON_TICK);
}

static void test_cancels_by_name_or_number(void) {
    static const char *const bad[] = {"00", "01", "1a", "-1", "1.0", "18446744073709551616", "."};
    set_hyper(SENTINEL_ACTION_CANCEL);
    CHECK_ACTION("{\"type\":\"cancelByCloid\",\"cancels\":[{\"asset\":1,\"cloid\":\"" CLOID
                 "\"}]}");
    s.render.target_client_id_size = 0;
    set_venue_id(&s.order.cancel.target, "0");
    CHECK_ACTION("{\"type\":\"cancel\",\"cancels\":[{\"a\":1,\"o\":0}]}");
    set_venue_id(&s.order.cancel.target, "18446744073709551615");
    CHECK_ACTION("{\"type\":\"cancel\",\"cancels\":[{\"a\":1,\"o\":18446744073709551615}]}");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_venue_id(&s.order.cancel.target, bad[i]);
        CHECK_EQ(render(), SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_schedules_the_cancelling_of_all(void) {
    set_hyper(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    CHECK_EQ(check_order(&s.order), SENTINEL_REASON_NONE);
    CHECK_ACTION("{\"type\":\"scheduleCancel\",\"time\":1700000060000}");
    s.order.cancel_all_after.timeout_ms = 0;
    CHECK_ACTION("{\"type\":\"scheduleCancel\"}");
    s.order.cancel_all_after.timeout_ms = 5000;
    CHECK_ACTION("{\"type\":\"scheduleCancel\",\"time\":1700000005000}");
    static const uint64_t bad[] = {1, 4999, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s.order.cancel_all_after.timeout_ms = bad[i];
        CHECK_EQ(render(), SENTINEL_REASON_EXPIRY);
    }
    s.order.cancel_all_after.timeout_ms = 0;
    s.order.header.present = SENTINEL_PRESENT_AT;
    s.order.cancel_all_after.at_ms = 1700000005000;
    CHECK_ACTION("{\"type\":\"scheduleCancel\",\"time\":1700000005000}");
    s.order.cancel_all_after.at_ms = 1700000004999;
    CHECK_EQ(render(), SENTINEL_REASON_EXPIRY);
    set_hyper(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.render.instrument = &s.instrument; /* the account is cancelled, not a market */
    CHECK_EQ(render(), UNSUPPORTED);
    set_hyper(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    s.order.cancel_all_after.venue = USDM;
    CHECK_EQ(render(), UNSUPPORTED);
}

static void test_lacks_queries_and_cancelling_at_once(void) {
    set_hyper(SENTINEL_ACTION_QUERY);
    CHECK_EQ(render(), UNSUPPORTED);
    set_hyper(SENTINEL_ACTION_CANCEL_ALL);
    CHECK_EQ(render(), UNSUPPORTED);
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        const sentinel_hold *hold = sentinel_venue_hold(HYPER, action);
        int has = action != SENTINEL_ACTION_QUERY && action != SENTINEL_ACTION_CANCEL_ALL;
        CHECK_EQ(hold != NULL, has);
        if (has) {
            CHECK_EQ(hold->once, 1);
            CHECK_EQ(hold->endpoint_covered, 1);
            CHECK_EQ(hold->expiry,
                     moves(action) ? SENTINEL_HOLD_EXPIRY_NONE : SENTINEL_HOLD_EXPIRY_SIGNED);
        }
    }
}

static void test_signs_each_action_with_its_kind_of_key(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        if (sentinel_venue_hold(HYPER, action) == NULL) {
            continue;
        }
        for (uint8_t purpose = 0; purpose <= SENTINEL_PURPOSE_COUNT; purpose++) {
            int own = moves(action) ? SENTINEL_PURPOSE_VENUE_MASTER : SENTINEL_PURPOSE_VENUE;
            set_hyper(action);
            s.key.purpose = purpose;
            CHECK_EQ(render(), purpose == own ? SENTINEL_REASON_NONE : UNSUPPORTED);
        }
        for (uint8_t algorithm = 0; algorithm <= SENTINEL_ALGORITHM_COUNT; algorithm++) {
            set_hyper(action);
            s.key.algorithm = algorithm;
            CHECK_EQ(render(), algorithm == SENTINEL_ALGORITHM_ECDSA_SECP256K1
                                   ? SENTINEL_REASON_NONE
                                   : UNSUPPORTED);
        }
        set_hyper(action);
        set_id(s.key.api_key, &s.key.api_key_size, VAULT); /* an account: not said */
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
        set_id(s.key.api_key, &s.key.api_key_size, "vault-" VAULT);
        CHECK_EQ(render(), moves(action) ? UNSUPPORTED : SENTINEL_REASON_NONE);
        static const char *const bad[] = {"Key-1",
                                          "vault-",
                                          "vault-0x",
                                          "vaulx-" VAULT,
                                          "0x1719884eb866cb12b2287399b15f7db5e7d775eA",
                                          "vault-0X1719884eb866cb12b2287399b15f7db5e7d775ea"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            set_id(s.key.api_key, &s.key.api_key_size, bad[i]);
            CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
        }
    }
}

static void test_sets_an_expiry_that_means_something(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        if (sentinel_venue_hold(HYPER, action) == NULL) {
            continue;
        }
        set_hyper(action);
        s.order.header.present |= SENTINEL_PRESENT_LAB_EXPIRY;
        CHECK_EQ(render(), moves(action) ? UNSUPPORTED : SENTINEL_REASON_NONE);
        if (moves(action)) {
            continue;
        }
        static const int64_t spans[] = {-1, 0, 1, DAYS_2_MS, DAYS_2_MS + 1, INT64_MAX};
        for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
            s.render.expiry = (uint64_t)s.render.timestamp_ms + (uint64_t)spans[i];
            CHECK_EQ(render(), spans[i] > 0 && spans[i] <= DAYS_2_MS ? SENTINEL_REASON_NONE
                                                                     : SENTINEL_REASON_EXPIRY);
        }
        s.render.has_expiry = 0;
        CHECK_EQ(render(), UNSUPPORTED);
        s.order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
        CHECK_EQ(render(), SENTINEL_REASON_NONE);
    }
}

static void test_says_until_when_released_bytes_are_usable(void) {
    int64_t longest = DAYS_2_MS + 3600000; /* a nonce may be an hour ahead */
    set_hyper(SENTINEL_ACTION_PLACE);
    CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, HYPER), 1700000005000);
    s.render.has_expiry = 0;
    CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, HYPER), 1700000000000 + longest);
    set_hyper(SENTINEL_ACTION_WITHDRAW);
    s.render.has_expiry = 1; /* the key's, which such actions cannot say */
    s.render.expiry = 1700000005000;
    CHECK_EQ(render(), SENTINEL_REASON_NONE);
    CHECK_EQ(sentinel_venue_usable_until_ms(&s.render, HYPER), 1700000000000 + longest);
}

static void test_refuses_names_where_there_is_no_place_for_them(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        if (sentinel_venue_hold(HYPER, action) != NULL) {
            set_hyper(action);
            set_client_id(CLOID);
            CHECK_EQ(render(), SENTINEL_REASON_NONE); /* not wished for, not said */
            s.order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID;
            CHECK_EQ(render(),
                     action <= SENTINEL_ACTION_AMEND ? SENTINEL_REASON_NONE : UNSUPPORTED);
        }
    }
}

static void test_refuses_orders_whose_rows_were_not_found(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_MESSAGE; action++) {
        if (action != SENTINEL_ACTION_CANCEL_ALL_AFTER) {
            set_hyper(action);
            s.render.instrument = NULL;
            s.render.asset = NULL;
            s.render.network = NULL;
            CHECK_EQ(render(), UNSUPPORTED);
        }
    }
}

static void test_fails_on_a_decimal_without_a_text(void) {
    set_hyper(SENTINEL_ACTION_PLACE);
    s.order.place.price = DEC(-1, 0); /* never passes the check of its form */
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
    set_hyper(SENTINEL_ACTION_WITHDRAW);
    s.order.withdraw.amount = DEC(-1, 0);
    CHECK_EQ(render(), SENTINEL_REASON_RENDER_FAILED);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    if (sodium_init() < 0) {
        return 2;
    }
    RUN(test_renders_every_type_of_order);
    RUN(test_refuses_what_its_orders_cannot_say);
    RUN(test_reduces_positions_but_not_balances);
    RUN(test_names_the_order_in_lower_case_hex);
    RUN(test_drops_zeros_and_counts_figures_and_decimals);
    RUN(test_takes_no_size_finer_than_the_lot_or_eight_decimals);
    RUN(test_takes_the_numbers_of_the_markets_that_it_values);
    RUN(test_amends_by_name_and_keeps_it);
    RUN(test_amends_by_number_and_names_anew);
    RUN(test_amends_only_what_rests);
    RUN(test_cancels_by_name_or_number);
    RUN(test_schedules_the_cancelling_of_all);
    RUN(test_lacks_queries_and_cancelling_at_once);
    RUN(test_signs_each_action_with_its_kind_of_key);
    RUN(test_sets_an_expiry_that_means_something);
    RUN(test_says_until_when_released_bytes_are_usable);
    RUN(test_refuses_names_where_there_is_no_place_for_them);
    RUN(test_refuses_orders_whose_rows_were_not_found);
    RUN(test_fails_on_a_decimal_without_a_text);
    return test_end();
}

/* What an order is worth: every formula of docs/2-policy.md, "Value", with
 * numbers worked out by hand, and what happens where it cannot be known. */
#include "policy_scene.h"

static void load(uint32_t band_ppm) {
    scene_begin();
    S.build.policy.market_band_ppm = band_ppm;
    scene_load();
}

static void worth(int64_t micro_usd) {
    int64_t value = -1;
    CHECK_EQ(sentinel_policy_value(&value, &S.world.view, &S.subject, NOW), SENTINEL_REASON_NONE);
    CHECK_EQ(value, micro_usd);
}

static void not_worth(sentinel_reason reason) {
    int64_t value = -1;
    CHECK_EQ(sentinel_policy_value(&value, &S.world.view, &S.subject, NOW), reason);
    CHECK_EQ(value, INT64_MAX);
}

static void marks(int64_t spot, int64_t btc) {
    mark_instrument(SPOT, decimal(spot, 0), NOW);
    mark_instrument(LINEAR, decimal(spot, 0), NOW);
    mark_asset(BTC, decimal(btc, 0), NOW);
}

static sentinel_subject *order(uint8_t side, uint8_t type) {
    return place(SPOT, side, type, decimal(5, 1));
}

static void test_values_a_limit_buy_at_its_limit_without_a_mark(void) {
    load(5000);
    with_price(order(SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT), decimal(30000, 0));
    worth(15000 * MICRO);
}

static void test_values_a_limit_sell_at_the_greater_of_limit_and_mark(void) {
    load(5000);
    with_price(order(SENTINEL_SIDE_SELL, SENTINEL_TYPE_LIMIT), decimal(30000, 0));
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    marks(29999, 1);
    worth(15000 * MICRO);
    marks(30002, 1);
    worth(15001 * MICRO);
}

static void test_values_a_market_order_at_the_mark_and_the_band(void) {
    load(5000);
    marks(30000, 1);
    order(SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET);
    worth(15075 * MICRO);
    order(SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET);
    worth(15075 * MICRO);
    load(0);
    marks(30000, 1);
    order(SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET);
    worth(15000 * MICRO);
}

static void test_values_a_stop_market_order_at_the_greater_of_trigger_and_mark(void) {
    static const uint8_t types[] = {SENTINEL_TYPE_STOP_MARKET, SENTINEL_TYPE_TAKE_PROFIT_MARKET};
    for (int i = 0; i < 2; i++) {
        load(5000);
        with_trigger(order(SENTINEL_SIDE_BUY, types[i]), decimal(40000, 0));
        not_worth(SENTINEL_REASON_MARK_ABSENT);
        marks(30000, 1);
        worth(20100 * MICRO);
        marks(50000, 1);
        worth(25125 * MICRO);
    }
}

static void test_values_a_stop_limit_order_by_side(void) {
    static const uint8_t types[] = {SENTINEL_TYPE_STOP_LIMIT, SENTINEL_TYPE_TAKE_PROFIT_LIMIT};
    for (int i = 0; i < 2; i++) {
        load(5000);
        with_trigger(with_price(order(SENTINEL_SIDE_BUY, types[i]), decimal(30000, 0)),
                     decimal(40000, 0));
        worth(15000 * MICRO);
        S.subject.side = SENTINEL_SIDE_SELL;
        not_worth(SENTINEL_REASON_MARK_ABSENT);
        marks(20000, 1);
        worth(20000 * MICRO); /* trigger */
        marks(50000, 1);
        worth(25000 * MICRO); /* mark */
        S.subject.price = decimal(60000, 0);
        worth(30000 * MICRO); /* limit */
    }
}

/* The worst price that a market order takes is a limit to its value. */
static void test_a_worst_price_takes_the_place_of_the_band(void) {
    static const uint8_t types[] = {SENTINEL_TYPE_MARKET, SENTINEL_TYPE_STOP_MARKET,
                                    SENTINEL_TYPE_TAKE_PROFIT_MARKET};
    for (int i = 0; i < 3; i++) {
        load(5000);
        with_price(order(SENTINEL_SIDE_BUY, types[i]), decimal(30000, 0));
        if (i > 0) {
            with_trigger(&S.subject, decimal(40000, 0));
        }
        worth(15000 * MICRO);
        S.subject.side = SENTINEL_SIDE_SELL;
        not_worth(SENTINEL_REASON_MARK_ABSENT);
        marks(20000, 1);
        worth((i > 0 ? 20000 : 15000) * MICRO); /* trigger; price */
        marks(50000, 1);
        worth(25000 * MICRO); /* mark */
    }
}

static void test_values_linear_contracts_by_their_multiplier(void) {
    load(0);
    with_price(place(LINEAR, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, decimal(7, 0)),
               decimal(30000, 0));
    worth(2100 * MICRO); /* 7 x 0.01 x 30000 */
    S.build.instruments[1].quantity_unit = SENTINEL_UNIT_BASE;
    scene_load();
    with_price(place(LINEAR, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, decimal(7, 0)),
               decimal(30000, 0));
    worth(210000 * MICRO);
}

static void test_values_inverse_contracts_without_a_price(void) {
    load(5000);
    place(INVERSE, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(7, 0));
    worth(70 * MICRO); /* 7 x 10 quote units */
    S.build.instruments[2].quantity_unit = SENTINEL_UNIT_QUOTE;
    scene_load();
    place(INVERSE, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(7, 0));
    worth(7 * MICRO);
}

static void test_values_a_quote_quantity_as_it_is(void) {
    load(5000);
    buy_for(decimal(123456, 3));
    worth(123456000);
}

static void test_values_funds_at_the_mark_of_their_asset(void) {
    load(5000);
    withdraw("a", "", decimal(25, 2));
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_asset(BTC, decimal(3000050, 2), NOW);
    worth(7500125000);
    transfer("", decimal(2, 8));
    worth(601); /* 0.00060001 USD, rounded up */
}

static void test_takes_the_mark_of_the_asset_that_stands_in(void) {
    load(0);
    mark_asset(BTC, decimal(30000, 0), NOW);
    withdraw("a", "", decimal(1, 0))->asset = sentinel_bundle_asset(&S.world.view.bundle, WBTC);
    worth(30000 * MICRO);
    /* One step only: what the stand-in's own stand-in says does not count. */
    S.build.assets[3].mark_asset = WBTC;
    scene_load();
    mark_asset(BTC, decimal(30000, 0), NOW);
    withdraw("a", "", decimal(1, 0))->asset = sentinel_bundle_asset(&S.world.view.bundle, ETH);
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_asset(WBTC, decimal(29000, 0), NOW);
    worth(29000 * MICRO);
    /* The stand-in's par counts, not one's own. */
    S.build.assets[1].par_micro_usd = 5 * MICRO;
    S.build.assets[2].par_micro_usd = 7 * MICRO;
    scene_load();
    withdraw("a", "", decimal(1, 0))->asset = sentinel_bundle_asset(&S.world.view.bundle, WBTC);
    worth(5 * MICRO);
}

static void test_a_quote_asset_off_par_changes_the_value(void) {
    load(0);
    S.build.assets[0].par_micro_usd = 999900;
    scene_load();
    buy(decimal(1, 0), decimal(10000, 0));
    worth(9999 * MICRO);
}

static void test_rounds_up_to_the_micro_dollar(void) {
    load(0);
    buy(decimal(1, 18), decimal(1, 18)); /* 10^-36 */
    worth(1);
    buy(decimal(1, 3), decimal(1, 3));
    worth(1);
    buy(decimal(1, 3), decimal(1001, 6));
    worth(2);
    buy(decimal(0, 0), decimal(1001, 6));
    worth(0);
}

/* quantity, multiplier, price and mark with 18 decimals each, and the band:
 * the product's scale is 78, of which 10^72 does not fit 128 bits. */
static void test_a_value_below_what_128_bits_can_divide_is_one(void) {
    load(1);
    S.build.instruments[1].multiplier = decimal(1, 18);
    S.build.assets[0].par_micro_usd = 0;
    scene_load();
    mark_asset(USD, decimal(1, 18), NOW);
    mark_instrument(LINEAR, decimal(1, 18), NOW);
    place(LINEAR, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(1, 18));
    worth(1);
    S.subject.quantity = decimal(0, 18);
    worth(0);
}

static void test_trailing_zeros_do_not_change_a_value(void) {
    load(0);
    buy(decimal(INT64_C(1000000000000000000), 18), decimal(INT64_C(2000000000000000000), 18));
    worth(2 * MICRO);
    mark_asset(BTC, decimal(INT64_C(3000000000000000000), 18), NOW);
    const sentinel_mark_state *state =
        (const sentinel_mark_state *)((const char *)S.world.state +
                                      S.world.view.state->asset_marks) +
        1;
    CHECK_EQ(state->mantissa, 3);
    CHECK_EQ(state->scale, 0);
}

static void test_a_product_that_leaves_128_bits_overflows_where_it_is_formed(void) {
    load(0);
    S.build.assets[0].par_micro_usd = 0;
    scene_load();
    /* 2^63 x 2^63 fits; with the mark it does not, although the value would. */
    mark_asset(USD, decimal(1234567, 18), NOW);
    buy(decimal(INT64_MAX, 18), decimal(INT64_MAX, 18));
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
    mark_asset(USD, decimal(1, 18), NOW);
    worth(1); /* 9.22 x 9.22 x 10^-18 USD */
}

static void test_the_largest_value_fits_and_one_more_overflows(void) {
    load(0);
    buy(decimal(1, 0), decimal(INT64_MAX, 6));
    worth(INT64_MAX);
    buy(decimal(1, 0), decimal(922337203685477580, 5)); /* ...0.0 micro-dollars below */
    worth(9223372036854775800);
    buy(decimal(1, 0), decimal(922337203685477581, 5));
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
    buy(decimal(INT64_MAX, 7), decimal(10, 0));
    worth(INT64_MAX);
    buy(decimal(9223372036854, 0), decimal(1, 0)); /* scaled up to micro-dollars */
    worth(9223372036854000000);
    buy(decimal(9223372036855, 0), decimal(1, 0));
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
}

static void test_a_mark_is_stale_past_its_age_and_never_from_the_future(void) {
    load(0); /* mark_max_age_ns 1000 */
    order(SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET);
    int64_t value;
    mark_instrument(SPOT, decimal(1, 0), NOW - 1000);
    worth(500000);
    CHECK_EQ(sentinel_policy_value(&value, &S.world.view, &S.subject, NOW + 1),
             SENTINEL_REASON_MARK_STALE);
    mark_instrument(SPOT, decimal(2, 0), INT64_MAX);
    worth(MICRO);
}

static void test_asks_for_the_instruments_mark_before_the_assets(void) {
    load(0);
    S.build.assets[0].par_micro_usd = 0;
    scene_load();
    order(SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET);
    mark_asset(USD, decimal(1, 0), NOW - 5000);
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_instrument(SPOT, decimal(1, 0), NOW);
    not_worth(SENTINEL_REASON_MARK_STALE);
    mark_asset(USD, decimal(1, 0), NOW);
    worth(500000);
}

static void test_values_quanto_contracts_in_their_settle_asset(void) {
    load(5000);
    S.build.assets[0].par_micro_usd = 0; /* the quote's mark is not asked for */
    S.build.instruments[4].settle = BTC;
    S.build.instruments[4].multiplier = decimal(1, 6);
    scene_load();
    with_price(place(QUANTO, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, decimal(20, 0)),
               decimal(3000, 0));
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_asset(BTC, decimal(60000, 0), NOW - 1001);
    not_worth(SENTINEL_REASON_MARK_STALE);
    mark_asset(BTC, decimal(60000, 0), NOW - 1000);
    worth(3600 * MICRO); /* 20 x 0.000001 x 3000 = 0.06 BTC */
    S.subject.side = SENTINEL_SIDE_SELL;
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_instrument(QUANTO, decimal(3500, 0), NOW);
    worth(4200 * MICRO);
    place(QUANTO, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(20, 0));
    worth(4221 * MICRO); /* and the band */
    S.subject.quantity = decimal(1, 18);
    worth(1); /* rounded up */
    S.subject.quantity = decimal(INT64_MAX, 0);
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
}

static void test_values_an_options_buy_at_its_premium(void) {
    load(5000);
    with_price(place(OPTION, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, decimal(25, 1)),
               decimal(1200, 0));
    worth(3000 * MICRO); /* in base units: 2.5 x 1200 USD, whatever the base is worth */
    S.build.instruments[3].quantity_unit = SENTINEL_UNIT_CONTRACTS;
    S.build.instruments[3].multiplier = decimal(1, 2);
    S.build.instruments[3].settle = S.build.instruments[3].quote = BTC;
    scene_load();
    with_price(place(OPTION, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, decimal(25, 0)),
               decimal(5, 2));
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_asset(BTC, decimal(60000, 0), NOW - 1001);
    not_worth(SENTINEL_REASON_MARK_STALE);
    mark_asset(BTC, decimal(60000, 0), NOW);
    worth(750 * MICRO); /* 25 x 0.01 x 0.05 BTC */
    S.subject.price = decimal(50000001, 9);
    worth(750000015);
    S.subject.price = decimal(500000001, 10); /* 750000001.5, rounded up */
    worth(750000002);
    place(OPTION, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(25, 0));
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_instrument(OPTION, decimal(4, 2), NOW);
    worth(603 * MICRO); /* 600 and the band */
}

static void test_values_an_options_sell_at_the_greater_of_strike_and_base(void) {
    load(5000); /* strike 50000 */
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(2, 0));
    not_worth(SENTINEL_REASON_MARK_ABSENT); /* the base's; the instrument's is not asked for */
    mark_asset(BTC, decimal(49999, 0), NOW);
    worth(100000 * MICRO);
    mark_asset(BTC, decimal(50001, 0), NOW);
    worth(100002 * MICRO);
    with_price(&S.subject, decimal(1000000, 0)); /* what is received does not count */
    worth(100002 * MICRO);
    S.build.assets[0].par_micro_usd = 1100000; /* the strike is in the quote asset */
    scene_load();
    mark_asset(BTC, decimal(54999, 0), NOW);
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(2, 0));
    worth(110000 * MICRO);
    mark_asset(BTC, decimal(INT64_C(55000000000000000), 12), NOW);
    worth(110000 * MICRO);
    mark_asset(BTC, decimal(INT64_C(55000000000000001), 12), NOW);
    worth(110000000001);                /* rounded up */
    S.build.instruments[3].quote = BTC; /* the strike is in USD, contracts have a size */
    S.build.instruments[3].settle = BTC;
    S.build.instruments[3].quantity_unit = SENTINEL_UNIT_CONTRACTS;
    S.build.instruments[3].multiplier = decimal(1, 1);
    scene_load();
    mark_asset(BTC, decimal(49999, 0), NOW);
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(20, 0));
    worth(100000 * MICRO);
    mark_asset(BTC, decimal(50001, 0), NOW);
    worth(100002 * MICRO);
}

static void test_asks_for_an_options_quote_before_its_base(void) {
    load(0);
    S.build.assets[0].par_micro_usd = 0;
    scene_load();
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(2, 0));
    mark_asset(BTC, decimal(1, 0), NOW - 1001);
    not_worth(SENTINEL_REASON_MARK_ABSENT);
    mark_asset(USD, decimal(1, 0), NOW - 1001);
    mark_asset(BTC, decimal(1, 0), NOW);
    not_worth(SENTINEL_REASON_MARK_STALE);
    mark_asset(USD, decimal(1, 0), NOW);
    worth(100000 * MICRO);
    scene_load();
    mark_asset(USD, decimal(1, 0), NOW - 1001);
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(2, 0));
    not_worth(SENTINEL_REASON_MARK_STALE);
    mark_asset(USD, decimal(1, 0), NOW);
    not_worth(SENTINEL_REASON_MARK_ABSENT);
}

static void test_an_options_sell_overflows_where_either_product_does(void) {
    load(0);
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(1, 0));
    mark_asset(BTC, decimal(INT64_MAX, 6), NOW);
    worth(INT64_MAX);
    mark_asset(BTC, decimal(922337203685477581, 5), NOW);
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
    S.build.instruments[3].strike = decimal(922337203685477581, 5);
    scene_load();
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(1, 0));
    mark_asset(BTC, decimal(1, 0), NOW);
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
    S.build.instruments[3].strike = decimal(1, 0);
    S.build.instruments[3].quantity_unit = SENTINEL_UNIT_CONTRACTS;
    S.build.instruments[3].multiplier = decimal(INT64_MAX, 18);
    scene_load();
    place(OPTION, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(INT64_MAX, 18));
    mark_asset(BTC, decimal(1, 18), NOW);
    worth(85070592);                            /* 9.22 x 9.22 x 1 USD */
    mark_asset(BTC, decimal(1234567, 18), NOW); /* less, but its product leaves 128 bits */
    not_worth(SENTINEL_REASON_VALUE_OVERFLOW);
}

static void test_a_quote_quantity_is_of_spot_and_linear_alone(void) {
    static const uint32_t instruments[] = {SPOT, LINEAR, INVERSE, OPTION, QUANTO};
    for (int i = 0; i < 5; i++) {
        load(0);
        add_bound(&S.build, 7, AGENT, SENTINEL_RULE_QUANTITY_CAP, INT64_MAX);
        S.build.instruments[i].multiplier = decimal(1, 0);
        S.build.instruments[1].quantity_unit = SENTINEL_UNIT_BASE;
        scene_load();
        place(instruments[i], SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(0, 0));
        S.subject.present = SENTINEL_PRESENT_QUOTE_QUANTITY;
        S.subject.quote_quantity = decimal(12, 0);
        if (i < 2) {
            worth(12 * MICRO);
            mark_instrument(instruments[i], decimal(6, 0), NOW);
            passes(SENTINEL_RULE_QUANTITY_CAP, 2, INT64_MAX);
        } else { /* no mark is asked for */
            not_worth(SENTINEL_REASON_UNSUPPORTED);
            fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_UNKNOWN,
                       SENTINEL_REASON_UNSUPPORTED);
        }
    }
}

static void test_refuses_to_value_what_it_has_no_formula_for(void) {
    static const uint32_t instruments[] = {SPOT, LINEAR, INVERSE, OPTION, QUANTO};
    load(0);
    for (int i = 0; i < 5; i++) {
        for (uint8_t side = SENTINEL_SIDE_BUY; side <= SENTINEL_SIDE_SELL; side++) {
            place(instruments[i], side, SENTINEL_TYPE_MARKET, decimal(0, 0))->present = 0;
            not_worth(SENTINEL_REASON_UNSUPPORTED);
        }
    }
    order_of(SENTINEL_ACTION_CANCEL, SPOT);
    not_worth(SENTINEL_REASON_UNSUPPORTED);
    order_of(SENTINEL_ACTION_PLACE, 0);
    not_worth(SENTINEL_REASON_UNSUPPORTED);
}

static void test_a_cap_on_quantity_refuses_what_it_cannot_measure(void) {
    scene_begin();
    add_bound(&S.build, 7, AGENT, SENTINEL_RULE_QUANTITY_CAP, INT64_MAX);
    scene_load();
    buy(decimal(1, 0), decimal(1, 0))->present &= ~(uint32_t)SENTINEL_PRESENT_QUANTITY;
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_UNSUPPORTED);
    place(LINEAR, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(0, 0))->present =
        SENTINEL_PRESENT_QUOTE_QUANTITY;
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_UNSUPPORTED);
    buy_for(decimal(1, 0));
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_MARK_ABSENT);
    mark_instrument(SPOT, decimal(1, 0), NOW - 1001);
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_MARK_STALE);
}

/* ceil(Q x 10^6 x 10^(scale + s_M) / (M x (10^6 - band) x 10^s_Q)), whose
 * powers of ten are cancelled first. */
static void test_a_quote_quantity_is_measured_at_the_mark_less_the_band(void) {
    scene_begin();
    add_bound(&S.build, 7, AGENT, SENTINEL_RULE_QUANTITY_CAP, INT64_MAX)->bound_scale = 8;
    S.build.policy.market_band_ppm = 100000;
    scene_load();
    mark_instrument(SPOT, decimal(25000, 0), NOW);
    buy_for(decimal(90000, 0));
    passes(SENTINEL_RULE_QUANTITY_CAP, 400000000, INT64_MAX); /* 90000 / 22500 = 4 */
    buy_for(decimal(1, 18));
    passes(SENTINEL_RULE_QUANTITY_CAP, 1, INT64_MAX);
    mark_instrument(SPOT, decimal(INT64_MAX, 18), NOW);
    buy_for(decimal(INT64_MAX, 18)); /* 1 / 0.9, rounded up */
    passes(SENTINEL_RULE_QUANTITY_CAP, 111111112, INT64_MAX);
    S.build.constraints[1].bound_scale = 0;
    scene_load();
    mark_instrument(SPOT, decimal(INT64_MAX, 0), NOW);
    buy_for(decimal(1, 18)); /* the denominator leaves 128 bits */
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_QUANTITY_CAP);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_values_a_limit_buy_at_its_limit_without_a_mark);
    RUN(test_values_a_limit_sell_at_the_greater_of_limit_and_mark);
    RUN(test_values_a_market_order_at_the_mark_and_the_band);
    RUN(test_values_a_stop_market_order_at_the_greater_of_trigger_and_mark);
    RUN(test_values_a_stop_limit_order_by_side);
    RUN(test_a_worst_price_takes_the_place_of_the_band);
    RUN(test_values_linear_contracts_by_their_multiplier);
    RUN(test_values_inverse_contracts_without_a_price);
    RUN(test_values_a_quote_quantity_as_it_is);
    RUN(test_values_funds_at_the_mark_of_their_asset);
    RUN(test_takes_the_mark_of_the_asset_that_stands_in);
    RUN(test_a_quote_asset_off_par_changes_the_value);
    RUN(test_rounds_up_to_the_micro_dollar);
    RUN(test_a_value_below_what_128_bits_can_divide_is_one);
    RUN(test_trailing_zeros_do_not_change_a_value);
    RUN(test_a_product_that_leaves_128_bits_overflows_where_it_is_formed);
    RUN(test_the_largest_value_fits_and_one_more_overflows);
    RUN(test_a_mark_is_stale_past_its_age_and_never_from_the_future);
    RUN(test_asks_for_the_instruments_mark_before_the_assets);
    RUN(test_values_quanto_contracts_in_their_settle_asset);
    RUN(test_values_an_options_buy_at_its_premium);
    RUN(test_values_an_options_sell_at_the_greater_of_strike_and_base);
    RUN(test_asks_for_an_options_quote_before_its_base);
    RUN(test_an_options_sell_overflows_where_either_product_does);
    RUN(test_a_quote_quantity_is_of_spot_and_linear_alone);
    RUN(test_refuses_to_value_what_it_has_no_formula_for);
    RUN(test_a_cap_on_quantity_refuses_what_it_cannot_measure);
    RUN(test_a_quote_quantity_is_measured_at_the_mark_less_the_band);
    return test_end();
}

/* The form of orders, field by field: what goes together per action, what
 * only `lab` may say, and which reason comes first. */
#include "order_make.h"

static void test_wants_price_trigger_and_time_in_force_as_the_type_says(void) {
    /* Every type with every time in force and every set of price, trigger and
     * expiry: exactly the combinations written here pass. A market order's price
     * is the worst that it takes, and may be left out. */
    for (uint8_t type = 1; type < SENTINEL_TYPE_COUNT; type++) {
        for (uint8_t tif = 0; tif < SENTINEL_TIF_COUNT; tif++) {
            for (unsigned set = 0; set < 8; set++) {
                uint32_t present = SENTINEL_PRESENT_QUANTITY;
                present |= set & 1 ? SENTINEL_PRESENT_PRICE : 0u;
                present |= set & 2 ? SENTINEL_PRESENT_TRIGGER_PRICE : 0u;
                present |= set & 4 ? SENTINEL_PRESENT_EXPIRE : 0u;
                unsigned want = type == 1 ? 1 : type == 2 ? 0 : type % 2 ? 2 : 3;
                want |= type != 1 && type % 2 == (type > 2) ? set & 1 : 0;
                int good = type == 1 || (type > 2 && type % 2 == 0) ? tif != 0 : tif == 0;
                want |= tif == SENTINEL_TIF_GTD ? 4u : 0u;
                sentinel_order order = place_of(type, tif, present);
                CHECK_EQ(check_order(&order),
                         good && set == want ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_FIELDS);
            }
        }
    }
}

static void test_may_leave_out_the_time_in_force_in_lab_only(void) {
    sentinel_order order = place_of(SENTINEL_TYPE_LIMIT, SENTINEL_TIF_NONE,
                                    SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE);
    CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_FIELDS);
    order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
    CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_NONE);
    CHECK_EQ(check_as(&order, LIVE), SENTINEL_REASON_ORDER_LAB_ONLY);
    order = place_of(SENTINEL_TYPE_MARKET, SENTINEL_TIF_IOC, SENTINEL_PRESENT_QUANTITY);
    order.header.present |= SENTINEL_PRESENT_LAB_WAIVE; /* which has none to leave out */
    CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_wants_one_quantity_and_quote_quantity_for_market_orders_only(void) {
    const uint32_t base = SENTINEL_PRESENT_QUANTITY, quote = SENTINEL_PRESENT_QUOTE_QUANTITY;
    sentinel_order order = place_of(SENTINEL_TYPE_MARKET, 0, quote);
    order.place.position_side = SENTINEL_POSITION_LONG;
    order.place.margin_mode = SENTINEL_MARGIN_CROSS;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
    order = place_of(SENTINEL_TYPE_MARKET, 0, base | quote);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = place_of(SENTINEL_TYPE_MARKET, 0, 0);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = place_of(SENTINEL_TYPE_LIMIT, SENTINEL_TIF_GTC, quote | SENTINEL_PRESENT_PRICE);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = place_of(SENTINEL_TYPE_STOP_MARKET, 0, quote | SENTINEL_PRESENT_TRIGGER_PRICE);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_PLACE);
    order.place.instrument = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_wants_trigger_details_with_triggers_only(void) {
    for (int which = 0; which < 3; which++) {
        for (int trigger = 0; trigger < 2; trigger++) {
            sentinel_order order =
                trigger ? place_of(SENTINEL_TYPE_STOP_MARKET, 0,
                                   SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_TRIGGER_PRICE)
                        : valid(SENTINEL_ACTION_PLACE);
            order.place.trigger_by = which == 0;
            order.place.trigger_direction = which == 1;
            order.header.present |= which == 2 ? SENTINEL_PRESENT_CLOSE_ON_TRIGGER : 0u;
            CHECK_EQ(check_order(&order),
                     trigger ? SENTINEL_REASON_NONE : SENTINEL_REASON_ORDER_FIELDS);
        }
    }
}

static void set_target(sentinel_order *order, sentinel_target *target, uint32_t *instrument,
                       uint8_t by, const char *id) {
    (void)order;
    memset(target, 0, sizeof *target);
    target->by = by;
    set_id(target->id, &target->id_size, id);
    *instrument = 3;
}

static void test_takes_ids_of_the_venue_in_cancels_and_lab_only(void) {
    for (uint8_t by = SENTINEL_TARGET_VENUE_ID; by <= SENTINEL_TARGET_CLIENT_ID; by++) {
        sentinel_order cancel = valid(SENTINEL_ACTION_CANCEL), amend = valid(SENTINEL_ACTION_AMEND),
                       query = valid(SENTINEL_ACTION_QUERY);
        set_target(&cancel, &cancel.cancel.target, &cancel.cancel.instrument, by, "28457");
        set_target(&amend, &amend.amend.target, &amend.amend.instrument, by, "28457");
        set_target(&query, &query.query.target, &query.query.instrument, by, "28457");
        amend.amend.side = SENTINEL_SIDE_SELL;
        for (uint8_t environment = LIVE; environment <= TEST; environment++) {
            CHECK_EQ(check_as(&cancel, environment), by == SENTINEL_TARGET_VENUE_ID
                                                         ? SENTINEL_REASON_NONE
                                                         : SENTINEL_REASON_ORDER_LAB_ONLY);
            CHECK_EQ(check_as(&amend, environment), SENTINEL_REASON_ORDER_LAB_ONLY);
            CHECK_EQ(check_as(&query, environment), SENTINEL_REASON_ORDER_LAB_ONLY);
        }
        CHECK_EQ(check_as(&cancel, LAB), SENTINEL_REASON_NONE);
        CHECK_EQ(check_as(&amend, LAB), SENTINEL_REASON_NONE);
        CHECK_EQ(check_as(&query, LAB), SENTINEL_REASON_NONE);

        cancel.cancel.instrument = amend.amend.instrument = query.query.instrument = 0;
        CHECK_EQ(check_as(&cancel, LAB), SENTINEL_REASON_ORDER_FIELDS);
        CHECK_EQ(check_as(&amend, LAB), SENTINEL_REASON_ORDER_FIELDS);
        CHECK_EQ(check_as(&query, LAB), SENTINEL_REASON_ORDER_FIELDS);
        cancel.cancel.instrument = amend.amend.instrument = 3;
        amend.amend.side = 0;
        CHECK_EQ(check_as(&amend, LAB), SENTINEL_REASON_ORDER_FIELDS);
        cancel.cancel.target.action_id = 1;
        CHECK_EQ(check_as(&cancel, LAB), SENTINEL_REASON_ORDER_RESERVED);
        cancel.cancel.target.action_id = 0;
        cancel.cancel.target.id_size = 0;
        memset(cancel.cancel.target.id, 0, sizeof cancel.cancel.target.id);
        CHECK_EQ(check_as(&cancel, LAB), SENTINEL_REASON_ORDER_TEXT);
    }
}

static void test_takes_nothing_beside_an_action_as_target(void) {
    sentinel_order order = valid(SENTINEL_ACTION_CANCEL);
    order.cancel.instrument = 3;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_CANCEL);
    order.cancel.target.action_id = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_AMEND);
    order.amend.instrument = 3;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_AMEND);
    order.amend.side = SENTINEL_SIDE_BUY;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_QUERY);
    order.query.instrument = 3;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_QUERY);
    order.query.venue = SENTINEL_VENUE_BINANCE_SPOT;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_wants_complete_terms_in_an_amend(void) {
    sentinel_order order = valid(SENTINEL_ACTION_AMEND);
    order.header.present = SENTINEL_PRESENT_PRICE;
    order.amend.quantity = DEC(0, 0);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_AMEND);
    order.header.present = SENTINEL_PRESENT_QUANTITY;
    order.amend.price = DEC(0, 0);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_AMEND);
    order.amend.time_in_force = SENTINEL_TIF_GTD; /* an amend has no room for the date */
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_AMEND);
    order.amend.time_in_force = SENTINEL_TIF_NONE;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_wants_an_instrument_or_a_venue_not_both(void) {
    sentinel_order all = valid(SENTINEL_ACTION_CANCEL_ALL);
    all.cancel_all.venue = SENTINEL_VENUE_BYBIT;
    CHECK_EQ(check_order(&all), SENTINEL_REASON_ORDER_FIELDS);
    all.cancel_all.instrument = 0;
    CHECK_EQ(check_order(&all), SENTINEL_REASON_NONE);
    all.cancel_all.asset = 4;
    CHECK_EQ(check_order(&all), SENTINEL_REASON_NONE);
    all.cancel_all.venue = 0;
    CHECK_EQ(check_order(&all), SENTINEL_REASON_ORDER_FIELDS);
    all.cancel_all.instrument = 3;
    CHECK_EQ(check_order(&all), SENTINEL_REASON_ORDER_FIELDS); /* an asset beside it */

    sentinel_order after = valid(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    after.cancel_all_after.venue = SENTINEL_VENUE_BYBIT;
    CHECK_EQ(check_order(&after), SENTINEL_REASON_ORDER_FIELDS);
    after.cancel_all_after.instrument = 0;
    CHECK_EQ(check_order(&after), SENTINEL_REASON_NONE);
    after.cancel_all_after.venue = 0;
    CHECK_EQ(check_order(&after), SENTINEL_REASON_ORDER_FIELDS);

    for (uint8_t what = SENTINEL_QUERY_OPEN_ORDERS; what < SENTINEL_QUERY_COUNT; what++) {
        sentinel_order query = begin(SENTINEL_ACTION_QUERY);
        query.query.what = what;
        CHECK_EQ(check_order(&query), SENTINEL_REASON_ORDER_FIELDS);
        query.query.instrument = 3;
        CHECK_EQ(check_order(&query), SENTINEL_REASON_NONE);
        query.query.venue = SENTINEL_VENUE_OKX;
        CHECK_EQ(check_order(&query), SENTINEL_REASON_ORDER_FIELDS);
        query.query.instrument = 0;
        CHECK_EQ(check_order(&query), SENTINEL_REASON_NONE);
        query.query.target.by = SENTINEL_TARGET_ACTION;
        CHECK_EQ(check_order(&query), SENTINEL_REASON_ORDER_RESERVED);
    }
}

static void test_wants_a_timeout_or_a_time_not_both(void) {
    sentinel_order order = valid(SENTINEL_ACTION_CANCEL_ALL_AFTER);
    order.header.present = SENTINEL_PRESENT_TIMEOUT | SENTINEL_PRESENT_AT;
    order.cancel_all_after.at_ms = 1;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order.header.present = SENTINEL_PRESENT_AT;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_RESERVED);
    order.cancel_all_after.timeout_ms = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
    order.header.present = 0;
    order.cancel_all_after.at_ms = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order.header.present = SENTINEL_PRESENT_TIMEOUT; /* zero disarms */
    CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
}

static void test_wants_time_and_limit_in_queries_of_fills_only(void) {
    static const uint32_t bits[] = {SENTINEL_PRESENT_START, SENTINEL_PRESENT_END,
                                    SENTINEL_PRESENT_LIMIT};
    for (int i = 0; i < 3; i++) {
        for (uint8_t what = 1; what < SENTINEL_QUERY_COUNT; what++) {
            sentinel_order order = valid(SENTINEL_ACTION_QUERY);
            if (what != SENTINEL_QUERY_ORDER) {
                order = begin(SENTINEL_ACTION_QUERY);
                order.query.instrument = 3;
            }
            order.query.what = what;
            order.header.present = bits[i];
            order.query.start_ms = i == 0 ? 5 : 0;
            order.query.end_ms = i == 1 ? 5 : 0;
            order.query.limit = i == 2 ? 1000 : 0;
            CHECK_EQ(check_order(&order), what == SENTINEL_QUERY_FILLS
                                              ? SENTINEL_REASON_NONE
                                              : SENTINEL_REASON_ORDER_FIELDS);
        }
    }
    sentinel_order order = begin(SENTINEL_ACTION_QUERY);
    order.query.what = SENTINEL_QUERY_FILLS;
    order.query.instrument = 3;
    order.header.present = SENTINEL_PRESENT_START | SENTINEL_PRESENT_END;
    order.query.start_ms = order.query.end_ms = 5;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_NONE);
    order.query.end_ms = 4;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order = valid(SENTINEL_ACTION_QUERY);
    memset(&order.query.target, 0, sizeof order.query.target); /* an order, but which? */
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_wants_asset_network_and_two_different_accounts(void) {
    sentinel_order withdraw = valid(SENTINEL_ACTION_WITHDRAW);
    withdraw.withdraw.asset = 0;
    CHECK_EQ(check_order(&withdraw), SENTINEL_REASON_ORDER_FIELDS);
    withdraw = valid(SENTINEL_ACTION_WITHDRAW);
    withdraw.withdraw.network = 0;
    CHECK_EQ(check_order(&withdraw), SENTINEL_REASON_ORDER_FIELDS);
    sentinel_order transfer = valid(SENTINEL_ACTION_TRANSFER);
    transfer.transfer.to_account = transfer.transfer.from_account;
    CHECK_EQ(check_order(&transfer), SENTINEL_REASON_ORDER_FIELDS);
    set_id(transfer.transfer.destination, &transfer.transfer.destination_size, "sub-1");
    CHECK_EQ(check_order(&transfer), SENTINEL_REASON_NONE);
    transfer.transfer.asset = 0;
    CHECK_EQ(check_order(&transfer), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_takes_lab_fields_in_lab_only(void) {
    static const uint32_t bits[] = {SENTINEL_PRESENT_LAB_CLIENT_ID, SENTINEL_PRESENT_LAB_NONCE,
                                    SENTINEL_PRESENT_LAB_EXPIRY, SENTINEL_PRESENT_LAB_WAIVE};
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        for (int i = 0; i < 4; i++) {
            sentinel_order order = valid(action);
            order.header.present |= bits[i];
            set_id(order.header.tag, &order.header.tag_size, "name");
            order.header.lab_nonce = i == 1 ? 7 : 0;
            order.header.lab_expiry = i == 2 ? 5000 : 0;
            CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_NONE);
            CHECK_EQ(check_as(&order, LIVE), SENTINEL_REASON_ORDER_LAB_ONLY);
            CHECK_EQ(check_as(&order, TEST), SENTINEL_REASON_ORDER_LAB_ONLY);
        }
    }
    sentinel_order order = valid(SENTINEL_ACTION_PLACE);
    order.header.present |= SENTINEL_PRESENT_LAB_CLIENT_ID; /* but no tag */
    CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_FIELDS);
}

static void test_denies_the_reserved_release_mode(void) {
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        sentinel_order order = valid(action);
        order.header.release_mode = SENTINEL_RELEASE_TO_SUBMITTER;
        CHECK_EQ(check_as(&order, LAB), SENTINEL_REASON_ORDER_RELEASE_MODE);
    }
}

static void test_names_the_first_reason_when_several_apply(void) {
    sentinel_order order = valid(SENTINEL_ACTION_PLACE);
    order.header.release_mode = SENTINEL_RELEASE_TO_SUBMITTER;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_RELEASE_MODE);
    order.header.present |= SENTINEL_PRESENT_LAB_WAIVE;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_LAB_ONLY);
    order.place.instrument = 0;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_FIELDS);
    order.header.tag_size = 1;
    order.header.tag[0] = '&';
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_TEXT);
    order.place.price = DEC(0, 0);
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_DECIMAL);
    order.place.side = 3;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_ENUM);
    order.place.reserved1[0] = 1;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_RESERVED);
    order.header.action = 99;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_ACTION);
    order.header.version = 9;
    CHECK_EQ(check_order(&order), SENTINEL_REASON_ORDER_VERSION);
    sentinel_reason reason;
    CHECK_OK(sentinel_order_check(&reason, &order, 300, LIVE));
    CHECK_EQ(reason, SENTINEL_REASON_ORDER_SIZE);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_wants_price_trigger_and_time_in_force_as_the_type_says);
    RUN(test_may_leave_out_the_time_in_force_in_lab_only);
    RUN(test_wants_one_quantity_and_quote_quantity_for_market_orders_only);
    RUN(test_wants_trigger_details_with_triggers_only);
    RUN(test_takes_ids_of_the_venue_in_cancels_and_lab_only);
    RUN(test_takes_nothing_beside_an_action_as_target);
    RUN(test_wants_complete_terms_in_an_amend);
    RUN(test_wants_an_instrument_or_a_venue_not_both);
    RUN(test_wants_a_timeout_or_a_time_not_both);
    RUN(test_wants_time_and_limit_in_queries_of_fills_only);
    RUN(test_wants_asset_network_and_two_different_accounts);
    RUN(test_takes_lab_fields_in_lab_only);
    RUN(test_denies_the_reserved_release_mode);
    RUN(test_names_the_first_reason_when_several_apply);
    return test_end();
}

/* Allowlists and the sanctions list: below the bound, at it, one past it, and
 * at the ends of types. docs/2-policy.md names these tests. */
#include "policy_scene.h"

static void scene_with_mask(uint8_t kind, uint32_t mask) {
    scene_begin();
    add_mask(&S.build, 7, AGENT, kind, mask);
    scene_load();
}

/* ---- allowlists of enumerations ---------------------------------------------- */

static void test_actions_pass(void) {
    scene_with_mask(SENTINEL_RULE_ACTIONS, 1u << SENTINEL_ACTION_CANCEL_ALL);
    order_of(SENTINEL_ACTION_CANCEL_ALL, SPOT);
    passes(SENTINEL_RULE_ACTIONS, SENTINEL_ACTION_CANCEL_ALL, 1 << SENTINEL_ACTION_CANCEL_ALL);
}

static void test_actions_edge(void) {
    scene_with_mask(SENTINEL_RULE_ACTIONS,
                    1u << SENTINEL_ACTION_PLACE | 1u << SENTINEL_ACTION_MESSAGE);
    order_of(SENTINEL_ACTION_MESSAGE, 0); /* the last action */
    passes(SENTINEL_RULE_ACTIONS, 9, 0x202);
    buy_worth(1); /* the first */
    passes(SENTINEL_RULE_ACTIONS, 1, 0x202);
}

static void test_actions_one_past(void) {
    scene_with_mask(SENTINEL_RULE_ACTIONS, 1u << SENTINEL_ACTION_CANCEL_ALL);
    order_of(SENTINEL_ACTION_CANCEL_ALL_AFTER, SPOT);
    fails(SENTINEL_RULE_ACTIONS, 5, 0x10, SENTINEL_REASON_ACTION_NOT_ALLOWED);
    order_of(SENTINEL_ACTION_CANCEL, SPOT);
    fails(SENTINEL_RULE_ACTIONS, 3, 0x10, SENTINEL_REASON_ACTION_NOT_ALLOWED);
}

static void test_actions_overflow(void) {
    scene_begin();
    scene_load();
    static const uint16_t unknown[] = {0, SENTINEL_ACTION_COUNT, 32, 33, 0xffff};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        order_of(unknown[i], 0);
        judge_at(NOW);
        CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
        CHECK_EQ(S.decision.reason, SENTINEL_REASON_ORDER_ACTION);
        CHECK_EQ(S.decision.result_count, 0);
    }
}

static void test_venues_pass(void) {
    scene_with_mask(SENTINEL_RULE_VENUES, 1u << SENTINEL_VENUE_BINANCE_SPOT);
    buy_worth(1);
    passes(SENTINEL_RULE_VENUES, SENTINEL_VENUE_BINANCE_SPOT, 2);
}

static void test_venues_edge(void) {
    scene_with_mask(SENTINEL_RULE_VENUES,
                    1u << SENTINEL_VENUE_NONE | 1u << SENTINEL_VENUE_HYPERLIQUID);
    order_of(SENTINEL_ACTION_MESSAGE, 0); /* a message's venue is bit 0 */
    passes(SENTINEL_RULE_VENUES, 0, 0x41);
    order_of(SENTINEL_ACTION_CANCEL_ALL, 0)->venue = SENTINEL_VENUE_HYPERLIQUID;
    passes(SENTINEL_RULE_VENUES, 6, 0x41);
}

static void test_venues_one_past(void) {
    scene_with_mask(SENTINEL_RULE_VENUES, 1u << SENTINEL_VENUE_BINANCE_USDM);
    buy_worth(1);
    fails(SENTINEL_RULE_VENUES, 1, 4, SENTINEL_REASON_VENUE_NOT_ALLOWED);
    order_of(SENTINEL_ACTION_CANCEL_ALL, 0)->venue = SENTINEL_VENUE_BYBIT;
    fails(SENTINEL_RULE_VENUES, 3, 4, SENTINEL_REASON_VENUE_NOT_ALLOWED);
}

static void test_venues_overflow(void) {
    scene_with_mask(SENTINEL_RULE_VENUES, 1);
    static const uint16_t unknown[] = {SENTINEL_VENUE_COUNT, 32, 0xffff};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        order_of(SENTINEL_ACTION_CANCEL_ALL, 0)->venue = unknown[i];
        judge_at(NOW);
        CHECK_EQ(S.decision.reason, SENTINEL_REASON_VENUE_UNKNOWN);
        CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
    }
}

static void judge_type(uint8_t type) {
    buy_worth(1)->type = type;
}

static void test_order_types_pass(void) {
    scene_with_mask(SENTINEL_RULE_ORDER_TYPES, 1u << SENTINEL_TYPE_MARKET);
    judge_type(SENTINEL_TYPE_MARKET);
    passes(SENTINEL_RULE_ORDER_TYPES, 2, 4);
}

static void test_order_types_edge(void) {
    scene_with_mask(SENTINEL_RULE_ORDER_TYPES, 0x42);
    judge_type(SENTINEL_TYPE_LIMIT);
    passes(SENTINEL_RULE_ORDER_TYPES, 1, 0x42);
    judge_type(SENTINEL_TYPE_TAKE_PROFIT_LIMIT);
    passes(SENTINEL_RULE_ORDER_TYPES, 6, 0x42);
}

static void test_order_types_one_past(void) {
    scene_with_mask(SENTINEL_RULE_ORDER_TYPES, 1u << SENTINEL_TYPE_STOP_MARKET);
    judge_type(SENTINEL_TYPE_MARKET);
    fails(SENTINEL_RULE_ORDER_TYPES, 2, 8, SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED);
    judge_type(SENTINEL_TYPE_STOP_LIMIT);
    fails(SENTINEL_RULE_ORDER_TYPES, 4, 8, SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED);
}

static void test_order_types_overflow(void) {
    scene_with_mask(SENTINEL_RULE_ORDER_TYPES, 0x7e);
    static const uint8_t unknown[] = {0, SENTINEL_TYPE_COUNT, 31, 32, 33, 255};
    for (size_t i = 0; i < sizeof unknown; i++) {
        judge_type(unknown[i]);
        fails(SENTINEL_RULE_ORDER_TYPES, unknown[i], 0x7e, SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED);
    }
}

static void test_sides_pass(void) {
    scene_with_mask(SENTINEL_RULE_SIDES, 6);
    buy_worth(1);
    passes(SENTINEL_RULE_SIDES, SENTINEL_SIDE_BUY, 6);
}

static void test_sides_edge(void) {
    scene_with_mask(SENTINEL_RULE_SIDES, 1u << SENTINEL_SIDE_SELL);
    buy_worth(1)->side = SENTINEL_SIDE_SELL;
    passes(SENTINEL_RULE_SIDES, SENTINEL_SIDE_SELL, 4);
}

static void test_sides_one_past(void) {
    scene_with_mask(SENTINEL_RULE_SIDES, 1u << SENTINEL_SIDE_SELL);
    buy_worth(1);
    fails(SENTINEL_RULE_SIDES, SENTINEL_SIDE_BUY, 4, SENTINEL_REASON_SIDE_NOT_ALLOWED);
}

static void test_sides_overflow(void) {
    scene_with_mask(SENTINEL_RULE_SIDES, 6);
    static const uint8_t unknown[] = {0, SENTINEL_SIDE_COUNT, 33, 255};
    for (size_t i = 0; i < sizeof unknown; i++) {
        buy_worth(1)->side = unknown[i];
        fails(SENTINEL_RULE_SIDES, unknown[i], 6, SENTINEL_REASON_SIDE_NOT_ALLOWED);
    }
}

static void test_times_in_force_pass(void) {
    scene_with_mask(SENTINEL_RULE_TIMES_IN_FORCE, 1u << SENTINEL_TIF_GTC);
    buy_worth(1);
    passes(SENTINEL_RULE_TIMES_IN_FORCE, SENTINEL_TIF_GTC, 2);
}

static void test_times_in_force_edge(void) {
    scene_with_mask(SENTINEL_RULE_TIMES_IN_FORCE, 0x21);
    buy_worth(1)->time_in_force = SENTINEL_TIF_NONE;
    passes(SENTINEL_RULE_TIMES_IN_FORCE, 0, 0x21);
    buy_worth(1)->time_in_force = SENTINEL_TIF_GTD;
    passes(SENTINEL_RULE_TIMES_IN_FORCE, 5, 0x21);
}

static void test_times_in_force_one_past(void) {
    scene_with_mask(SENTINEL_RULE_TIMES_IN_FORCE, 1u << SENTINEL_TIF_FOK);
    buy_worth(1)->time_in_force = SENTINEL_TIF_IOC;
    fails(SENTINEL_RULE_TIMES_IN_FORCE, 2, 8, SENTINEL_REASON_TIF_NOT_ALLOWED);
    buy_worth(1)->time_in_force = SENTINEL_TIF_POST_ONLY;
    fails(SENTINEL_RULE_TIMES_IN_FORCE, 4, 8, SENTINEL_REASON_TIF_NOT_ALLOWED);
}

static void test_times_in_force_overflow(void) {
    scene_with_mask(SENTINEL_RULE_TIMES_IN_FORCE, 0x3f);
    static const uint8_t unknown[] = {SENTINEL_TIF_COUNT, 32, 37, 255};
    for (size_t i = 0; i < sizeof unknown; i++) {
        buy_worth(1)->time_in_force = unknown[i];
        fails(SENTINEL_RULE_TIMES_IN_FORCE, unknown[i], 0x3f, SENTINEL_REASON_TIF_NOT_ALLOWED);
    }
}

/* ---- allowlists of rows, and the sanctions list ------------------------------- */

static void scene_with_instruments(const uint32_t *ids, uint32_t count) {
    scene_begin();
    add_instrument(&S.build, 0xffffffff, BTC, USD);
    add_instruments(&S.build, 7, AGENT, ids, count);
    scene_load();
}

static void test_instruments_pass(void) {
    scene_with_instruments((const uint32_t[]){SPOT, LINEAR, OPTION}, 3);
    order_of(SENTINEL_ACTION_CANCEL, LINEAR);
    passes(SENTINEL_RULE_INSTRUMENTS, LINEAR, 3);
}

static void test_instruments_edge(void) {
    scene_with_instruments((const uint32_t[]){SPOT, LINEAR, OPTION}, 3);
    buy_worth(1);
    passes(SENTINEL_RULE_INSTRUMENTS, SPOT, 3);
    order_of(SENTINEL_ACTION_QUERY, OPTION);
    passes(SENTINEL_RULE_INSTRUMENTS, OPTION, 3);
}

static void test_instruments_one_past(void) {
    scene_with_instruments((const uint32_t[]){LINEAR, INVERSE}, 2);
    buy_worth(1);
    fails(SENTINEL_RULE_INSTRUMENTS, SPOT, 2, SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED);
    order_of(SENTINEL_ACTION_CANCEL, OPTION);
    fails(SENTINEL_RULE_INSTRUMENTS, OPTION, 2, SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED);
    order_of(SENTINEL_ACTION_CANCEL_ALL, 0)->venue = SENTINEL_VENUE_OKX; /* of a whole venue */
    fails(SENTINEL_RULE_INSTRUMENTS, 0, 2, SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED);
}

static void test_instruments_overflow(void) {
    scene_with_instruments((const uint32_t[]){SPOT, 0xffffffff}, 2);
    order_of(SENTINEL_ACTION_CANCEL, 0xffffffff);
    passes(SENTINEL_RULE_INSTRUMENTS, 0xffffffff, 2);
    scene_with_instruments(NULL, 0); /* nothing is on an empty list */
    order_of(SENTINEL_ACTION_CANCEL, 0xffffffff);
    fails(SENTINEL_RULE_INSTRUMENTS, 0xffffffff, 0, SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED);
}

static void scene_with_destinations(const build_destination *rows, uint32_t count) {
    scene_begin();
    add_destinations(&S.build, 7, AGENT, rows, count);
    scene_load();
}

static const build_destination places[] = {
    {NETWORK, "0xaabb", ""}, {NETWORK, "bc1q", "77"}, {0, "sub-1", ""}};

static void test_destinations_pass(void) {
    scene_with_destinations(places, 3);
    withdraw("bc1q", "77", decimal(1, 0));
    passes(SENTINEL_RULE_DESTINATIONS, 1, 1);
    transfer("sub-1", decimal(1, 0));
    passes(SENTINEL_RULE_DESTINATIONS, 1, 1);
}

static void test_destinations_edge(void) {
    scene_with_destinations(places, 3);
    withdraw("0xAAbB", "", decimal(1, 0)); /* hexadecimal has no case */
    passes(SENTINEL_RULE_DESTINATIONS, 1, 1);
    transfer("", decimal(1, 0)); /* between the account's own wallets */
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
    CHECK(result_of(SENTINEL_RULE_DESTINATIONS) == NULL);
}

static void test_destinations_one_past(void) {
    static const build_destination near[] = {{NETWORK, "BC1Q", "77"}, {NETWORK, "bc1q", "7"},
                                             {NETWORK, "bc1q7", "7"}, {NETWORK, "bc1", "q77"},
                                             {NETWORK, "bc1q", ""},   {NETWORK, "0Xaabb", ""}};
    scene_with_destinations(places, 3);
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        withdraw(near[i].address, near[i].memo, decimal(1, 0));
        fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_DESTINATION_NOT_ALLOWED);
    }
    withdraw("bc1q", "77", decimal(1, 0));
    S.order.withdraw.network++;
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_DESTINATION_NOT_ALLOWED);
    transfer("bc1q", decimal(1, 0));
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_DESTINATION_NOT_ALLOWED);
}

/* The longest address and memo. */
static void test_destinations_overflow(void) {
    char address[SENTINEL_ADDRESS_BYTES_MAX + 1] = {0}, memo[SENTINEL_MEMO_BYTES_MAX + 1] = {0};
    memset(address, 'a', SENTINEL_ADDRESS_BYTES_MAX);
    memset(memo, '1', SENTINEL_MEMO_BYTES_MAX);
    scene_with_destinations((const build_destination[]){{NETWORK, address, memo}}, 1);
    withdraw(address, memo, decimal(1, 0));
    passes(SENTINEL_RULE_DESTINATIONS, 1, 1);
    S.order.withdraw.memo[SENTINEL_MEMO_BYTES_MAX - 1] = '2';
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_DESTINATION_NOT_ALLOWED);
    scene_with_destinations(NULL, 0);
    withdraw(address, memo, decimal(1, 0));
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_DESTINATION_NOT_ALLOWED);
}

/* The destination is granted, so that sanctions alone decide. */
static void scene_with_sanctions(const char *const *addresses, uint32_t count, const char *to) {
    scene_begin();
    add_destinations(&S.build, 6, AGENT, (const build_destination[]){{NETWORK, to, ""}}, 1);
    add_constraint(&S.build, 7, AGENT, SENTINEL_RULE_SANCTIONS);
    for (uint32_t i = 0; i < count; i++) {
        add_sanction(&S.build, addresses[i]);
    }
    scene_load();
    withdraw(to, "", decimal(1, 0));
}

static const char *const sanctioned[] = {"0xDEAD", "TXyz", "bc1qBad"};

static void test_sanctions_pass(void) {
    scene_with_sanctions(sanctioned, 3, "0xbeef");
    passes(SENTINEL_RULE_SANCTIONS, 0, 0);
}

static void test_sanctions_edge(void) {
    scene_with_sanctions(NULL, 0, "0xdead");
    passes(SENTINEL_RULE_SANCTIONS, 0, 0);
    scene_with_sanctions(sanctioned, 3, "0xdea");
    passes(SENTINEL_RULE_SANCTIONS, 0, 0);
    transfer("", decimal(1, 0));
    judge_at(NOW);
    CHECK(result_of(SENTINEL_RULE_SANCTIONS) == NULL);
}

static void test_sanctions_one_past(void) {
    static const char *const forms[] = {"0xdead", "0XDEAD", "txyZ", "BC1QBAD"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        scene_with_sanctions(sanctioned, 3, forms[i]);
        fails(SENTINEL_RULE_SANCTIONS, 1, 0, SENTINEL_REASON_SANCTIONED);
    }
}

static void test_sanctions_overflow(void) {
    char longest[SENTINEL_ADDRESS_BYTES_MAX + 1] = {0};
    memset(longest, 'Z', SENTINEL_ADDRESS_BYTES_MAX);
    const char *const list[] = {longest};
    scene_with_sanctions(list, 1, longest);
    fails(SENTINEL_RULE_SANCTIONS, 1, 0, SENTINEL_REASON_SANCTIONED);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN_FOUR(actions);
    RUN_FOUR(venues);
    RUN_FOUR(instruments);
    RUN_FOUR(order_types);
    RUN_FOUR(sides);
    RUN_FOUR(times_in_force);
    RUN_FOUR(destinations);
    RUN_FOUR(sanctions);
    return test_end();
}

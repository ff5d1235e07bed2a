/* The kill switch, caps and limits: below the bound, at it, one past it, and
 * where a number does not fit. docs/2-policy.md names these tests, and those
 * of policy_list_test.c. */
#include "policy_scene.h"

/* One constraint at the agent, beside the firm's grant of every action. */
static sentinel_constraint *scene_with(uint8_t kind, int64_t bound) {
    scene_begin();
    sentinel_constraint *row = add_bound(&S.build, 7, AGENT, kind, bound);
    row->window_ns =
        kind == SENTINEL_RULE_ROLLING_CAP || kind == SENTINEL_RULE_RATE_LIMIT ? 640 : 0;
    row->max_age_ns = kind == SENTINEL_RULE_PRICE_COLLAR ? 100 : 0;
    return row;
}

/* ---- kill_switch ------------------------------------------------------------- */

static void halt(uint32_t node) {
    uint8_t digest32[32] = {1};
    test_halt(&S.world.view, node, 1, 5, NOW, 2, digest32);
}

static void halts(uint32_t node, int64_t count, unsigned level) {
    halt(node);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    fails(SENTINEL_RULE_KILL_SWITCH, count, 0, SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(S.decision.results[0].level, level);
    CHECK_EQ(S.decision.results[0].rule, SENTINEL_RULE_IMPLICIT);
}

static void test_kill_switch_pass(void) {
    scene_begin();
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    passes(SENTINEL_RULE_KILL_SWITCH, 0, 0);
    CHECK_EQ(S.decision.results[0].level, 2);
}

static void test_kill_switch_edge(void) {
    scene_begin();
    scene_load();
    halt(OTHER); /* the neighbour's halt is not this agent's */
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    passes(SENTINEL_RULE_KILL_SWITCH, 0, 0);
    halts(AGENT, 1, 2);
    test_halt(&S.world.view, AGENT, 0, 0, 0, 0, NULL);
    passes(SENTINEL_RULE_KILL_SWITCH, 0, 0);
}

static void test_kill_switch_one_past(void) {
    scene_begin();
    scene_load();
    halts(GROUP, 1, 1);
    halts(AGENT, 2, 1);
    halts(FIRM, 3, 0);
}

static void test_kill_switch_overflow(void) {
    scene_begin();
    uint32_t node = GROUP;
    for (uint32_t i = 0; i < SENTINEL_DEPTH_MAX - 3; i++) {
        node = add_node(&S.build, 2000 + i, SENTINEL_NODE_GROUP, node);
    }
    uint32_t agent = add_node(&S.build, 3000, SENTINEL_NODE_AGENT, node);
    scene_load();
    CHECK_EQ(S.build.nodes[agent].depth, SENTINEL_DEPTH_MAX - 1);
    for (uint32_t i = 0; i <= agent; i++) {
        halt(i);
    }
    order_of(SENTINEL_ACTION_MESSAGE, 0)->node = agent;
    fails(SENTINEL_RULE_KILL_SWITCH, SENTINEL_DEPTH_MAX, 0, SENTINEL_REASON_KILL_SWITCH);
}

/* ---- caps on one order ---------------------------------------------------------- */

static void test_value_cap_pass(void) {
    scene_with(SENTINEL_RULE_VALUE_CAP, 500 * MICRO);
    scene_load();
    buy(decimal(2, 1), decimal(100000, 2)); /* 0.2 x 1000.00 */
    passes(SENTINEL_RULE_VALUE_CAP, 200 * MICRO, 500 * MICRO);
    CHECK_EQ(S.decision.value_micro_usd, 200 * MICRO);
}

static void test_value_cap_edge(void) {
    scene_with(SENTINEL_RULE_VALUE_CAP, 500 * MICRO);
    scene_load();
    buy_worth(500 * MICRO);
    passes(SENTINEL_RULE_VALUE_CAP, 500 * MICRO, 500 * MICRO);
    scene_with(SENTINEL_RULE_VALUE_CAP, INT64_MAX);
    scene_load();
    buy_worth(INT64_MAX);
    passes(SENTINEL_RULE_VALUE_CAP, INT64_MAX, INT64_MAX);
}

static void test_value_cap_one_past(void) {
    scene_with(SENTINEL_RULE_VALUE_CAP, 500 * MICRO);
    scene_load();
    buy_worth(500 * MICRO + 1);
    fails(SENTINEL_RULE_VALUE_CAP, 500 * MICRO + 1, 500 * MICRO, SENTINEL_REASON_VALUE_CAP);
    buy(decimal(1, 0), decimal(5000000001, 7)); /* a tenth of a micro-dollar above */
    fails(SENTINEL_RULE_VALUE_CAP, 500 * MICRO + 1, 500 * MICRO, SENTINEL_REASON_VALUE_CAP);
    scene_with(SENTINEL_RULE_VALUE_CAP, 0);
    scene_load();
    buy(decimal(1, 18), decimal(1, 18));
    fails(SENTINEL_RULE_VALUE_CAP, 1, 0, SENTINEL_REASON_VALUE_CAP);
}

static void test_value_cap_overflow(void) {
    scene_with(SENTINEL_RULE_VALUE_CAP, INT64_MAX);
    scene_load();
    buy(decimal(2, 0), decimal(INT64_MAX, 6));
    fails_with(SENTINEL_RULE_VALUE_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_VALUE_OVERFLOW);
    CHECK_EQ(S.decision.value_micro_usd, -1);
    buy(decimal(INT64_MAX, 0), decimal(INT64_MAX, 0)); /* leaves 128 bits when scaled */
    fails_with(SENTINEL_RULE_VALUE_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_VALUE_OVERFLOW);
}

static void test_quantity_cap_pass(void) {
    scene_with(SENTINEL_RULE_QUANTITY_CAP, 1500)->bound_scale = 3;
    scene_load();
    buy(decimal(125, 2), decimal(1, 0));
    passes(SENTINEL_RULE_QUANTITY_CAP, 1250, 1500);
}

static void test_quantity_cap_edge(void) {
    scene_with(SENTINEL_RULE_QUANTITY_CAP, 1500)->bound_scale = 3;
    scene_load();
    buy(decimal(1500000, 6), decimal(1, 0));
    passes(SENTINEL_RULE_QUANTITY_CAP, 1500, 1500);
    /* 1500 / (1000 x 1.0): exactly 1.5 at the mark */
    mark_instrument(SPOT, decimal(1000, 0), NOW);
    buy_for(decimal(1500, 0));
    passes(SENTINEL_RULE_QUANTITY_CAP, 1500, 1500);
}

static void test_quantity_cap_one_past(void) {
    scene_with(SENTINEL_RULE_QUANTITY_CAP, 1500)->bound_scale = 3;
    scene_load();
    buy(decimal(1501, 3), decimal(1, 0));
    fails(SENTINEL_RULE_QUANTITY_CAP, 1501, 1500, SENTINEL_REASON_QUANTITY_CAP);
    buy(decimal(15000000000000001, 16), decimal(1, 0)); /* rounded up */
    fails(SENTINEL_RULE_QUANTITY_CAP, 1501, 1500, SENTINEL_REASON_QUANTITY_CAP);
    mark_instrument(SPOT, decimal(1000, 0), NOW);
    buy_for(decimal(150000000001, 8));
    fails(SENTINEL_RULE_QUANTITY_CAP, 1501, 1500, SENTINEL_REASON_QUANTITY_CAP);
    S.build.policy.market_band_ppm = 1; /* the mark may fall by the band */
    scene_load();
    mark_instrument(SPOT, decimal(1000, 0), NOW);
    buy_for(decimal(1500, 0));
    fails(SENTINEL_RULE_QUANTITY_CAP, 1501, 1500, SENTINEL_REASON_QUANTITY_CAP);
}

static void test_quantity_cap_overflow(void) {
    scene_with(SENTINEL_RULE_QUANTITY_CAP, INT64_MAX)->bound_scale = 18;
    scene_load();
    buy(decimal(10, 0), decimal(1, 0));
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_QUANTITY_CAP);
    buy(decimal(INT64_MAX, 18), decimal(1, 0));
    passes(SENTINEL_RULE_QUANTITY_CAP, INT64_MAX, INT64_MAX);
    mark_instrument(SPOT, decimal(1, 18), NOW);
    buy_for(decimal(INT64_MAX, 0));
    fails_with(SENTINEL_RULE_QUANTITY_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_QUANTITY_CAP);
}

static void scene_with_collar(int64_t ppm) {
    scene_with(SENTINEL_RULE_PRICE_COLLAR, ppm);
    scene_load();
    mark_instrument(SPOT, decimal(100000, 2), NOW);
}

static void test_price_collar_pass(void) {
    scene_with_collar(50000);
    buy(decimal(1, 0), decimal(1020, 0));
    passes(SENTINEL_RULE_PRICE_COLLAR, 20000, 50000);
    place(SPOT, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(1, 0)); /* no price at all */
    passes(SENTINEL_RULE_PRICE_COLLAR, 0, 50000);
}

static void test_price_collar_edge(void) {
    scene_with_collar(50000);
    buy(decimal(1, 0), decimal(1050, 0));
    passes(SENTINEL_RULE_PRICE_COLLAR, 50000, 50000);
    buy(decimal(1, 0), decimal(950, 0));
    passes(SENTINEL_RULE_PRICE_COLLAR, 50000, 50000);
    mark_instrument(SPOT, decimal(1000, 0), NOW + 50); /* fresh to the last nanosecond */
    judge_at(NOW + 150);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

static void test_price_collar_one_past(void) {
    scene_with_collar(50000);
    buy(decimal(1, 0), decimal(10500000001, 7));
    fails(SENTINEL_RULE_PRICE_COLLAR, 50001, 50000, SENTINEL_REASON_PRICE_COLLAR);
    buy(decimal(1, 0), decimal(9499999999, 7));
    fails(SENTINEL_RULE_PRICE_COLLAR, 50001, 50000, SENTINEL_REASON_PRICE_COLLAR);
    with_trigger(buy(decimal(1, 0), decimal(1000, 0)), decimal(1050001, 3));
    fails(SENTINEL_RULE_PRICE_COLLAR, 50001, 50000, SENTINEL_REASON_PRICE_COLLAR);
    mark_instrument(SPOT, decimal(1000, 0), NOW + 50);
    buy(decimal(1, 0), decimal(1000, 0));
    judge_at(NOW + 151);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_MARK_STALE);
    CHECK_EQ(result_of(SENTINEL_RULE_PRICE_COLLAR)->flags, SENTINEL_RESULT_UNKNOWN);
    scene_load();
    buy(decimal(1, 0), decimal(1000, 0));
    fails_with(SENTINEL_RULE_PRICE_COLLAR, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_MARK_ABSENT);
}

static void test_price_collar_overflow(void) {
    scene_with_collar(INT64_MAX);
    mark_instrument(SPOT, decimal(1, 18), NOW);
    buy(decimal(1, 0), decimal(INT64_MAX, 0)); /* leaves 128 bits */
    fails_with(SENTINEL_RULE_PRICE_COLLAR, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_PRICE_COLLAR);
    buy(decimal(1, 0), decimal(9223372036855, 18)); /* the last that 63 bits hold */
    passes(SENTINEL_RULE_PRICE_COLLAR, 9223372036854000000, INT64_MAX);
    buy(decimal(1, 0), decimal(9223372036856, 18));
    fails_with(SENTINEL_RULE_PRICE_COLLAR, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_PRICE_COLLAR);
}

/* ---- limits over time ----------------------------------------------------------- */

static void spends(int64_t micro_usd) {
    buy_worth(micro_usd);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
}

static void test_daily_limit_pass(void) {
    scene_with(SENTINEL_RULE_DAILY_LIMIT, 1000);
    scene_load();
    spends(300);
    buy_worth(500);
    passes(SENTINEL_RULE_DAILY_LIMIT, 800, 1000);
    passes(SENTINEL_RULE_DAILY_LIMIT, 800, 1000); /* judging alone spends nothing */
}

static void test_daily_limit_edge(void) {
    scene_with(SENTINEL_RULE_DAILY_LIMIT, 1000);
    scene_load();
    spends(300);
    buy_worth(700);
    passes(SENTINEL_RULE_DAILY_LIMIT, 1000, 1000);
    /* The last nanosecond of the day, and the first of the next. */
    int64_t midnight = (NOW / BUILD_DAY_NS + 1) * BUILD_DAY_NS;
    buy_worth(1000);
    judge_at(midnight - 1);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_DAILY_LIMIT);
    CHECK_EQ(retry_of(SENTINEL_RULE_DAILY_LIMIT), midnight);
    CHECK_EQ(spend_at(midnight), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(midnight), SENTINEL_DENIED);
}

static void test_daily_limit_one_past(void) {
    scene_with(SENTINEL_RULE_DAILY_LIMIT, 1000);
    scene_load();
    spends(300);
    buy_worth(701);
    fails(SENTINEL_RULE_DAILY_LIMIT, 1001, 1000, SENTINEL_REASON_DAILY_LIMIT);
    CHECK(retry_of(SENTINEL_RULE_DAILY_LIMIT) > NOW);
    buy_worth(1001); /* no day will do */
    fails(SENTINEL_RULE_DAILY_LIMIT, 1301, 1000, SENTINEL_REASON_DAILY_LIMIT);
    CHECK_EQ(retry_of(SENTINEL_RULE_DAILY_LIMIT), 0);
    CHECK_EQ(spend_at(NOW), SENTINEL_DENIED); /* what is denied spends nothing */
    buy_worth(700);
    passes(SENTINEL_RULE_DAILY_LIMIT, 1000, 1000);
}

static void test_daily_limit_overflow(void) {
    scene_with(SENTINEL_RULE_DAILY_LIMIT, INT64_MAX);
    scene_load();
    spends(INT64_MAX);
    buy_worth(1);
    fails_with(SENTINEL_RULE_DAILY_LIMIT, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_DAILY_LIMIT);
    buy(decimal(2, 0), decimal(INT64_MAX, 6));
    fails_with(SENTINEL_RULE_DAILY_LIMIT, SENTINEL_RESULT_SATURATED,
               SENTINEL_REASON_VALUE_OVERFLOW);
    CHECK_EQ(retry_of(SENTINEL_RULE_DAILY_LIMIT), 0);
    buy_worth(1);
    judge_at(INT64_MAX); /* another day: the last */
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

static void test_rolling_cap_pass(void) {
    scene_with(SENTINEL_RULE_ROLLING_CAP, 1000);
    scene_load();
    spends(300);
    buy_worth(500);
    passes(SENTINEL_RULE_ROLLING_CAP, 800, 1000);
}

/* A window of 640 has buckets of 10; NOW is a multiple of 10. */
static void test_rolling_cap_edge(void) {
    scene_with(SENTINEL_RULE_ROLLING_CAP, 1000);
    scene_load();
    spends(300);
    buy_worth(700);
    passes(SENTINEL_RULE_ROLLING_CAP, 1000, 1000);
    buy_worth(1000);
    judge_at(NOW + 648);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 1300);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP), NOW + 649);
    judge_at(NOW + 649);
    CHECK_EQ(result_of(SENTINEL_RULE_ROLLING_CAP)->value, 1000);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

static void test_rolling_cap_one_past(void) {
    scene_with(SENTINEL_RULE_ROLLING_CAP, 1000);
    scene_load();
    spends(300);
    buy_worth(701);
    fails(SENTINEL_RULE_ROLLING_CAP, 1001, 1000, SENTINEL_REASON_ROLLING_CAP);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP), NOW + 649);
    buy_worth(1001);
    fails(SENTINEL_RULE_ROLLING_CAP, 1301, 1000, SENTINEL_REASON_ROLLING_CAP);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP), 0);
}

static void test_rolling_cap_overflow(void) {
    scene_with(SENTINEL_RULE_ROLLING_CAP, INT64_MAX);
    scene_load();
    spends(INT64_MAX);
    buy_worth(1);
    fails_with(SENTINEL_RULE_ROLLING_CAP, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_ROLLING_CAP);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP), NOW + 649);
    buy_worth(INT64_MAX); /* what has left the window makes room for as much again */
    CHECK_EQ(spend_at(NOW + 649), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(INT64_MAX), SENTINEL_ALLOWED);
    buy_worth(1);
    judge_at(INT64_MAX);
    CHECK_EQ(retry_of(SENTINEL_RULE_ROLLING_CAP), INT64_MAX);
}

static void test_rate_limit_pass(void) {
    scene_with(SENTINEL_RULE_RATE_LIMIT, 3);
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    passes(SENTINEL_RULE_RATE_LIMIT, 1, 3);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    passes(SENTINEL_RULE_RATE_LIMIT, 2, 3);
}

/* A window of 640: an event counts for 640 nanoseconds, its own included. */
static void test_rate_limit_edge(void) {
    scene_with(SENTINEL_RULE_RATE_LIMIT, 2);
    scene_load();
    order_of(SENTINEL_ACTION_QUERY, SPOT);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    passes(SENTINEL_RULE_RATE_LIMIT, 2, 2);
    CHECK_EQ(spend_at(NOW + 1), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW + 639), SENTINEL_DENIED);
    CHECK_EQ(retry_of(SENTINEL_RULE_RATE_LIMIT), NOW + 640);
    CHECK_EQ(spend_at(NOW + 640), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW + 640), SENTINEL_DENIED);
    CHECK_EQ(retry_of(SENTINEL_RULE_RATE_LIMIT), NOW + 641);
}

static void test_rate_limit_one_past(void) {
    scene_with(SENTINEL_RULE_RATE_LIMIT, 1);
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    fails(SENTINEL_RULE_RATE_LIMIT, 2, 1, SENTINEL_REASON_RATE_LIMIT);
    scene_with(SENTINEL_RULE_RATE_LIMIT, 0);
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    fails(SENTINEL_RULE_RATE_LIMIT, 1, 0, SENTINEL_REASON_RATE_LIMIT);
    CHECK_EQ(retry_of(SENTINEL_RULE_RATE_LIMIT), 0);
}

/* The largest bound and window, up to the last nanosecond there is. */
static void test_rate_limit_overflow(void) {
    scene_with(SENTINEL_RULE_RATE_LIMIT, SENTINEL_RATE_EVENTS_MAX)->window_ns =
        SENTINEL_WINDOW_NS_MAX;
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    for (uint32_t i = 0; i < SENTINEL_RATE_EVENTS_MAX; i++) {
        CHECK_EQ(spend_at(INT64_MAX - 1), SENTINEL_ALLOWED);
    }
    judge_at(INT64_MAX);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_RATE_LIMIT);
    CHECK_EQ(result_of(SENTINEL_RULE_RATE_LIMIT)->value, SENTINEL_RATE_EVENTS_MAX + 1);
    CHECK_EQ(retry_of(SENTINEL_RULE_RATE_LIMIT), INT64_MAX);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN_FOUR(kill_switch);
    RUN_FOUR(value_cap);
    RUN_FOUR(quantity_cap);
    RUN_FOUR(price_collar);
    RUN_FOUR(daily_limit);
    RUN_FOUR(rolling_cap);
    RUN_FOUR(rate_limit);
    return test_end();
}

/* What the gate executes for one order: run by gate_guard.py under callgrind,
 * which counts instructions; alone it only signs a few orders.
 *
 * The order is what `zcp bench` times: a limit order of Binance spot against
 * twelve constraints at three levels beside the kill switch, HMAC, a log. */
#include <valgrind/callgrind.h>

#include "gate_scene.h"

enum { GROUP_ID = 1500, AGENT_C = 2003, WARM_UP = 64, COUNTED = 64 };

static void rows(gate_scene *s) {
    bundle_build *b = &s->build;
    scene_policy_rows(s);
    /* The scene's constraints are replaced by twelve at three levels. */
    b->nodes[0].constraint_count = 0;
    b->counts[SENTINEL_SECTION_CONSTRAINTS] = 0;
    uint32_t group = add_node(b, GROUP_ID, SENTINEL_NODE_GROUP, 0);
    uint32_t agent = add_node(b, AGENT_C, SENTINEL_NODE_AGENT, group);
    const uint32_t ids[] = {BTCUSDT};
    const int64_t usd = 1000000;
    add_mask(b, 1, 0, SENTINEL_RULE_ACTIONS, (1u << SENTINEL_ACTION_COUNT) - 2);
    add_mask(b, 2, 0, SENTINEL_RULE_VENUES, (1u << SENTINEL_VENUE_COUNT) - 1);
    add_bound(b, 3, 0, SENTINEL_RULE_VALUE_CAP, 1000 * usd);
    add_bound(b, 4, 0, SENTINEL_RULE_DAILY_LIMIT, 1000000 * usd);
    add_instruments(b, 5, group, ids, 1);
    add_mask(b, 6, group, SENTINEL_RULE_ORDER_TYPES, (1u << SENTINEL_TYPE_COUNT) - 2);
    add_mask(b, 7, group, SENTINEL_RULE_SIDES, (1u << SENTINEL_SIDE_COUNT) - 2);
    add_mask(b, 8, group, SENTINEL_RULE_TIMES_IN_FORCE, (1u << SENTINEL_TIF_COUNT) - 2);
    sentinel_constraint *collar = add_bound(b, 9, group, SENTINEL_RULE_PRICE_COLLAR, 50000);
    collar->max_age_ns = 60 * SECOND_NS;
    add_bound(b, 10, agent, SENTINEL_RULE_QUANTITY_CAP, 10)->instrument = BTCUSDT;
    add_window(b, 11, agent, SENTINEL_RULE_ROLLING_CAP, 1000000 * usd, 3600 * SECOND_NS);
    add_window(b, 12, agent, SENTINEL_RULE_RATE_LIMIT, 1000, 60 * SECOND_NS);
}

static void sign_orders(gate_scene *s, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        s->now += 1000000;
        sentinel_order order = scene_place(s);
        order.header.agent = AGENT_C;
        CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, &order,
                                    sizeof order.place, s->now));
        CHECK_EQ(s->outcome.verdict, SENTINEL_ALLOWED);
        CHECK_EQ(s->outcome.decision.result_count, 13);
    }
}

static void count_orders(void) {
    static gate_scene scene;
    gate_scene *s = &scene;
    scene_bare(s);
    CHECK_OK(sentinel_gate_genesis(s->context, s->now));
    scene_authority(s);
    CHECK_OK(scene_take(s));
    rows(s);
    CHECK_OK(scene_load(s));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    scene_feed(s, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(scene_take(s));
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_C));
    sign_orders(s, WARM_UP);
    CALLGRIND_ZERO_STATS;
    sign_orders(s, COUNTED);
    CALLGRIND_DUMP_STATS;
    scene_end(s);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(count_orders);
    return test_end();
}

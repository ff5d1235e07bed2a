/* What the gate executes for one order: run by gate_guard.py under callgrind,
 * which counts instructions; alone it only signs a few orders.
 *
 * The order is what `zcp bench` times: a limit order of Binance spot against
 * twelve constraints at three levels beside the kill switch, HMAC, a log. The
 * other case has what people command in force: another agent is halted, a lease
 * runs, an approval is asked for above a bound. The argument names the case. */
#include <valgrind/callgrind.h>

#include "gate_scene.h"

enum { GROUP_ID = 1500, AGENT_C = 2003, WARM_UP = 64, COUNTED = 64 };

/* A thirteenth constraint that does not ask, and a lease that must run. */
static void people_rows(bundle_build *b) {
    sentinel_constraint *row = add_bound(b, 13, 0, SENTINEL_RULE_APPROVAL, 900000000);
    row->mask = SENTINEL_ASK_VALUE;
    row->quorum = 2;
    row->window_ns = 60 * SECOND_NS;
    b->policy.lease_ns = 30 * SECOND_NS;
}

static void people_command(gate_scene *s) {
    scene_command_at(s, SENTINEL_COMMAND_LEASE, SENTINEL_SCOPE_ENGINE, 0, s->now + 30 * SECOND_NS);
    frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
    CHECK_OK(scene_take(s));
    CHECK_OK(scene_halt(s, AGENT_A));
}

static void rows(gate_scene *s, int in_force) {
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
    if (in_force) {
        people_rows(b);
    }
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

static void sign_orders(gate_scene *s, unsigned count, unsigned results) {
    for (unsigned i = 0; i < count; i++) {
        s->now += 1000000;
        sentinel_order order = scene_place(s);
        order.header.agent = AGENT_C;
        CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, &order,
                                    sizeof order.place, s->now));
        CHECK_EQ(s->outcome.verdict, SENTINEL_ALLOWED);
        CHECK_EQ(s->outcome.decision.result_count, results);
    }
}

static void count_orders(int in_force) {
    static gate_scene scene;
    gate_scene *s = &scene;
    scene_bare(s);
    CHECK_OK(sentinel_gate_genesis(s->context, s->now));
    scene_authority(s);
    CHECK_OK(scene_take(s));
    rows(s, in_force);
    CHECK_OK(scene_load(s));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    scene_feed(s, BTCUSDT, decimal(5000000, 2));
    CHECK_OK(scene_take(s));
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_C));
    if (in_force) {
        people_command(s);
    }
    sign_orders(s, WARM_UP, in_force ? 14 : 13);
    CALLGRIND_ZERO_STATS;
    sign_orders(s, COUNTED, in_force ? 14 : 13);
    CALLGRIND_DUMP_STATS;
    scene_end(s);
}

static void nothing_in_force(void) {
    count_orders(0);
}

static void people_in_force(void) {
    count_orders(1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(nothing_in_force);
    RUN(people_in_force);
    return test_end();
}

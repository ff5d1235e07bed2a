/* Stops of nodes, venues and instruments: what a halt and a drain let through,
 * at the end of a drain and one before, and with which reasons. */
#include "policy_scene.h"

static sentinel_stop_state *node(uint32_t index) {
    return sentinel_view_node(&S.world.view, index);
}

static sentinel_stop_state *venue(uint16_t number) {
    return sentinel_view_venue(&S.world.view, number);
}

static sentinel_stop_state *instrument(uint32_t id) {
    const sentinel_view *view = &S.world.view;
    return sentinel_view_instrument(view, sentinel_bundle_instrument(&view->bundle, id));
}

static void put(sentinel_stop_state *place, uint8_t mode, int64_t until_ns) {
    sentinel_stop_state stop = {.mode = mode,
                                .cause = SENTINEL_CAUSE_OPERATOR,
                                .record = 1,
                                .since_ns = 1,
                                .until_ns = until_ns};
    CHECK(place != NULL);
    sentinel_stop_set(&S.world.view, place, &stop);
}

static sentinel_position_state *position(uint32_t id) {
    const sentinel_view *view = &S.world.view;
    return sentinel_view_position(view, sentinel_bundle_instrument(&view->bundle, id));
}

static void begin(void) {
    scene_begin();
    scene_load();
}

/* A reduce-only limit sell of a contract, of which there is one. */
static sentinel_subject *close_of(uint32_t id) {
    sentinel_subject *subject = place(id, SENTINEL_SIDE_SELL, SENTINEL_TYPE_LIMIT, decimal(1, 0));
    with_price(subject, decimal(1, 0));
    subject->present |= SENTINEL_PRESENT_REDUCE_ONLY;
    S.order.header.present = subject->present;
    S.order.place.reduce_only = 1;
    position(id)->mantissa = 1;
    return subject;
}

static void goes(void) {
    passes(SENTINEL_RULE_KILL_SWITCH, 0, 0);
}

static void is_stopped(sentinel_reason reason) {
    fails(SENTINEL_RULE_KILL_SWITCH, 1, 0, reason);
    CHECK_EQ(S.decision.retry_at_ns[0], 0);
}

static void test_a_halt_lets_nothing_through(void) {
    static const sentinel_reason reasons[] = {SENTINEL_REASON_KILL_SWITCH,
                                              SENTINEL_REASON_VENUE_HALTED,
                                              SENTINEL_REASON_INSTRUMENT_HALTED};
    for (unsigned what = 0; what < 3; what++) {
        begin();
        sentinel_stop_state *places[] = {node(GROUP), venue(SENTINEL_VENUE_OKX),
                                         instrument(LINEAR)};
        put(places[what], SENTINEL_HALTED, 0);
        for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
            if (action == SENTINEL_ACTION_WITHDRAW || action == SENTINEL_ACTION_TRANSFER) {
                continue; /* below */
            }
            order_of(action, LINEAR);
            is_stopped(reasons[what]);
        }
        close_of(LINEAR);
        is_stopped(reasons[what]);
    }
}

static void test_a_halted_venue_keeps_its_funds(void) {
    scene_begin();
    static const build_destination to[] = {{NETWORK, "a", ""}, {0, "a", ""}};
    add_destinations(&S.build, 7, FIRM, to, 1);
    scene_load();
    withdraw("a", "", decimal(1, 0));
    goes();
    for (uint8_t mode = SENTINEL_DRAINING; mode <= SENTINEL_HALTED; mode++) {
        sentinel_reason reason =
            mode == SENTINEL_HALTED ? SENTINEL_REASON_VENUE_HALTED : SENTINEL_REASON_DRAINING;
        put(venue(SENTINEL_VENUE_BINANCE_SPOT), mode, 0);
        withdraw("a", "", decimal(1, 0));
        is_stopped(reason);
        transfer("", decimal(1, 0));
        is_stopped(reason);
    }
}

static void test_stops_of_others_are_not_this_orders(void) {
    begin();
    put(venue(SENTINEL_VENUE_DERIBIT), SENTINEL_HALTED, 0);
    put(instrument(INVERSE), SENTINEL_HALTED, 0);
    put(node(OTHER), SENTINEL_HALTED, 0);
    order_of(SENTINEL_ACTION_CANCEL, LINEAR);
    goes();
    order_of(SENTINEL_ACTION_MESSAGE, 0); /* has no venue */
    goes();
    put(instrument(LINEAR), SENTINEL_HALTED, 0);
    order_of(SENTINEL_ACTION_CANCEL_ALL, 0)->venue = SENTINEL_VENUE_OKX; /* names no instrument */
    goes();
    put(venue(SENTINEL_VENUE_OKX), SENTINEL_HALTED, 0);
    is_stopped(SENTINEL_REASON_VENUE_HALTED);
}

static void test_a_drain_lets_through_what_lowers_risk(void) {
    static const uint16_t lower[] = {SENTINEL_ACTION_CANCEL, SENTINEL_ACTION_CANCEL_ALL,
                                     SENTINEL_ACTION_QUERY};
    static const uint16_t rest[] = {SENTINEL_ACTION_PLACE, SENTINEL_ACTION_AMEND,
                                    SENTINEL_ACTION_CANCEL_ALL_AFTER, SENTINEL_ACTION_MESSAGE};
    for (unsigned what = 0; what < 3; what++) {
        begin();
        sentinel_stop_state *places[] = {node(AGENT), venue(SENTINEL_VENUE_OKX),
                                         instrument(LINEAR)};
        put(places[what], SENTINEL_DRAINING, 0);
        for (unsigned i = 0; i < sizeof lower / sizeof *lower; i++) {
            order_of(lower[i], LINEAR);
            goes();
        }
        for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++) {
            order_of(rest[i], LINEAR);
            is_stopped(SENTINEL_REASON_DRAINING);
        }
        close_of(LINEAR);
        goes();
    }
}

static void test_a_close_under_a_drain_is_one_that_every_venue_holds(void) {
    begin();
    put(node(FIRM), SENTINEL_DRAINING, 0);
    close_of(LINEAR);
    goes();
    close_of(INVERSE);
    goes();
    static const uint32_t others[] = {SPOT, OPTION, QUANTO};
    for (unsigned i = 0; i < 3; i++) {
        close_of(others[i]);
        is_stopped(SENTINEL_REASON_DRAINING);
    }
    for (uint8_t side = 0; side < SENTINEL_POSITION_COUNT; side++) {
        close_of(LINEAR);
        S.order.place.position_side = side;
        if (side == 0 || side == SENTINEL_POSITION_BOTH) {
            goes();
        } else {
            is_stopped(SENTINEL_REASON_DRAINING);
        }
    }
    close_of(LINEAR);
    S.order.place.reduce_only = 0;
    is_stopped(SENTINEL_REASON_DRAINING);
    close_of(LINEAR)->present &= ~(uint32_t)SENTINEL_PRESENT_REDUCE_ONLY;
    is_stopped(SENTINEL_REASON_DRAINING);
    sentinel_subject *amend = close_of(LINEAR);
    amend->action = SENTINEL_ACTION_AMEND;
    is_stopped(SENTINEL_REASON_DRAINING);
    close_of(LINEAR)->order = NULL;
    is_stopped(SENTINEL_REASON_DRAINING);
}

/* At the position and one past it, at other scales, on both sides. */
static void test_a_close_under_a_drain_is_within_the_position(void) {
    static const struct {
        sentinel_decimal held;
        uint8_t side;
        sentinel_decimal quantity;
        int goes;
    } closes[] = {
        {{.mantissa = 5}, SENTINEL_SIDE_SELL, {.mantissa = 5}, 1},
        {{.mantissa = 5}, SENTINEL_SIDE_SELL, {.mantissa = 6}, 0},
        {{.mantissa = 5}, SENTINEL_SIDE_BUY, {.mantissa = 1}, 0},
        {{.mantissa = -5}, SENTINEL_SIDE_BUY, {.mantissa = 5}, 1},
        {{.mantissa = -5}, SENTINEL_SIDE_BUY, {.mantissa = 6}, 0},
        {{.mantissa = -5}, SENTINEL_SIDE_SELL, {.mantissa = 1}, 0},
        {{.mantissa = 0}, SENTINEL_SIDE_SELL, {.mantissa = 1}, 0},
        {{.mantissa = 0}, SENTINEL_SIDE_BUY, {.mantissa = 1}, 0},
        {{.mantissa = 15, .scale = 1}, SENTINEL_SIDE_SELL, {.mantissa = 1500, .scale = 3}, 1},
        {{.mantissa = 15, .scale = 1}, SENTINEL_SIDE_SELL, {.mantissa = 1501, .scale = 3}, 0},
        {{.mantissa = 1500, .scale = 3}, SENTINEL_SIDE_SELL, {.mantissa = 2}, 0},
        {{.mantissa = 1, .scale = 18}, SENTINEL_SIDE_SELL, {.mantissa = INT64_MAX}, 0},
        {{.mantissa = INT64_MAX}, SENTINEL_SIDE_SELL, {.mantissa = INT64_MAX, .scale = 18}, 1},
        {{.mantissa = -INT64_MAX}, SENTINEL_SIDE_BUY, {.mantissa = INT64_MAX}, 1},
    };
    begin();
    put(node(FIRM), SENTINEL_DRAINING, 0);
    for (size_t i = 0; i < sizeof closes / sizeof *closes; i++) {
        sentinel_subject *subject = close_of(LINEAR);
        position(LINEAR)->mantissa = closes[i].held.mantissa;
        position(LINEAR)->scale = closes[i].held.scale;
        subject->side = closes[i].side;
        subject->quantity = closes[i].quantity;
        if (closes[i].goes) {
            goes();
        } else {
            is_stopped(SENTINEL_REASON_DRAINING);
        }
    }
    position(LINEAR)->mantissa = 9;
    close_of(LINEAR)->present &= ~(uint32_t)SENTINEL_PRESENT_QUANTITY; /* by what it spends */
    is_stopped(SENTINEL_REASON_DRAINING);
}

static void test_a_drain_halts_at_its_end(void) {
    begin();
    for (unsigned what = 0; what < 3; what++) {
        sentinel_stop_state *places[] = {node(AGENT), venue(SENTINEL_VENUE_OKX),
                                         instrument(LINEAR)};
        static const sentinel_reason reasons[] = {SENTINEL_REASON_KILL_SWITCH,
                                                  SENTINEL_REASON_VENUE_HALTED,
                                                  SENTINEL_REASON_INSTRUMENT_HALTED};
        order_of(SENTINEL_ACTION_CANCEL, LINEAR);
        put(places[what], SENTINEL_DRAINING, NOW + 1);
        goes();
        put(places[what], SENTINEL_DRAINING, NOW);
        is_stopped(reasons[what]);
        put(places[what], SENTINEL_RUNNING, 0);
        goes();
    }
}

static void test_every_stop_counts_once_and_halts_are_named_before_drains(void) {
    begin();
    put(node(FIRM), SENTINEL_DRAINING, 0);
    put(node(AGENT), SENTINEL_DRAINING, 0);
    put(venue(SENTINEL_VENUE_OKX), SENTINEL_DRAINING, 0);
    put(instrument(LINEAR), SENTINEL_DRAINING, 0);
    order_of(SENTINEL_ACTION_PLACE, LINEAR);
    fails(SENTINEL_RULE_KILL_SWITCH, 4, 0, SENTINEL_REASON_DRAINING);
    CHECK_EQ(S.decision.results[0].level, 0);
    put(node(AGENT), SENTINEL_HALTED, 0);
    fails(SENTINEL_RULE_KILL_SWITCH, 4, 0, SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(S.decision.results[0].level, 0);
    order_of(SENTINEL_ACTION_CANCEL, LINEAR); /* the drains let it through */
    fails(SENTINEL_RULE_KILL_SWITCH, 1, 0, SENTINEL_REASON_KILL_SWITCH);
    CHECK_EQ(S.decision.results[0].level, 2);
    put(instrument(LINEAR), SENTINEL_HALTED, 0);
    put(venue(SENTINEL_VENUE_OKX), SENTINEL_HALTED, 0);
    judge_at(NOW);
    CHECK_EQ(S.decision.results[0].value, 3);
    CHECK(has_reason(SENTINEL_REASON_KILL_SWITCH) && has_reason(SENTINEL_REASON_VENUE_HALTED) &&
          has_reason(SENTINEL_REASON_INSTRUMENT_HALTED) && !has_reason(SENTINEL_REASON_DRAINING));
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_VENUE_HALTED);
}

/* Modes, then ends; no end is the latest. */
static void test_what_loosens(void) {
    static const sentinel_stop_state ladder[] = {
        {.mode = SENTINEL_RUNNING},
        {.mode = SENTINEL_DRAINING},
        {.mode = SENTINEL_DRAINING, .until_ns = INT64_MAX - 1},
        {.mode = SENTINEL_DRAINING, .until_ns = NOW + 2},
        {.mode = SENTINEL_DRAINING, .until_ns = NOW + 1},
        {.mode = SENTINEL_HALTED},
    };
    static const sentinel_stop_state over[] = {
        {.mode = SENTINEL_DRAINING, .until_ns = NOW},
        {.mode = SENTINEL_DRAINING, .until_ns = 1},
        {.mode = SENTINEL_HALTED},
    };
    size_t count = sizeof ladder / sizeof *ladder;
    for (size_t from = 0; from < count; from++) {
        for (size_t to = 0; to < count; to++) {
            CHECK_EQ(sentinel_stop_loosens(&ladder[from], &ladder[to], NOW), to < from);
        }
        for (size_t i = 0; i < 3; i++) {
            CHECK_EQ(sentinel_stop_loosens(&over[i], &ladder[from], NOW), from + 1 < count);
            CHECK_EQ(sentinel_stop_loosens(&ladder[from], &over[i], NOW), 0);
        }
    }
}

/* ---- A new version ------------------------------------------------------------- */

static void set_last_now(void) {
    S.world.view.state->last_now_ns = NOW;
}

static void test_an_agent_may_not_move_to_a_weaker_drain(void) {
    static const struct {
        int64_t from, to;
        sentinel_status expected;
    } moves[] = {
        {NOW + 5, NOW + 5, SENTINEL_OK},
        {NOW + 5, NOW + 4, SENTINEL_OK},
        {NOW + 5, NOW + 6, SENTINEL_FORMAT_REFERENCE},
        {NOW + 5, 0, SENTINEL_FORMAT_REFERENCE},
        {0, NOW + 5, SENTINEL_OK},
        {NOW, NOW - 1, SENTINEL_OK}, /* both have ended: halts */
        {NOW, NOW + 1, SENTINEL_FORMAT_REFERENCE},
        {NOW, 0, SENTINEL_FORMAT_REFERENCE},
    };
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        scene_begin();
        uint32_t other = add_node(&S.build, 1200, SENTINEL_NODE_GROUP, FIRM);
        scene_load();
        set_last_now();
        put(node(GROUP), SENTINEL_DRAINING, moves[i].from);
        put(node(other), SENTINEL_DRAINING, moves[i].to);
        scene_begin();
        S.build.counts[SENTINEL_SECTION_NODES] = 2;
        add_node(&S.build, 1200, SENTINEL_NODE_GROUP, FIRM);
        add_node(&S.build, 1110, SENTINEL_NODE_AGENT, 2);
        add_node(&S.build, 1120, SENTINEL_NODE_AGENT, GROUP);
        CHECK_EQ(scene_reload(), moves[i].expected);
    }
}

static sentinel_instrument *row_of(uint32_t id) {
    for (uint32_t i = 0; i < S.build.counts[SENTINEL_SECTION_INSTRUMENTS]; i++) {
        if (S.build.instruments[i].id == id) {
            return &S.build.instruments[i];
        }
    }
    return NULL;
}

/* Neither by leaving it out, nor by another name for the same. */
static void test_a_stopped_instrument_stays_what_it_is(void) {
    for (unsigned change = 0; change < 4; change++) {
        for (uint8_t mode = SENTINEL_RUNNING; mode < SENTINEL_MODE_COUNT; mode++) {
            begin();
            put(instrument(INVERSE), mode, 0);
            sentinel_instrument *row = row_of(INVERSE);
            sentinel_instrument same = *row;
            switch (change) {
            case 0:
                row->symbol[0] ^= 1;
                break;
            case 1:
                row->venue = SENTINEL_VENUE_BYBIT;
                break;
            case 2: /* the same under another id, too */
                row = add_instrument(&S.build, 9000, BTC, USD);
                *row = same;
                row->id = 9000;
                break;
            default:
                row->lot = decimal(7, 0); /* still the same */
                break;
            }
            CHECK_EQ(scene_reload(), mode == SENTINEL_RUNNING || change == 3
                                         ? SENTINEL_OK
                                         : SENTINEL_FORMAT_REFERENCE);
        }
    }
}

/* Hyperliquid knows a market by its number: the symbol is a name of ours. */
static void test_a_stopped_market_of_hyperliquid_is_its_number(void) {
    for (unsigned change = 0; change < 3; change++) {
        begin();
        sentinel_instrument *row = row_of(INVERSE);
        row->venue = SENTINEL_VENUE_HYPERLIQUID;
        row->venue_index = 7;
        CHECK_EQ(scene_reload(), SENTINEL_OK);
        put(instrument(INVERSE), SENTINEL_HALTED, 0);
        sentinel_instrument other = *row;
        if (change == 0) {
            row->venue_index = 8;
        } else {
            row = add_instrument(&S.build, 9000, BTC, USD);
            *row = other;
            row->id = 9000;
            row->symbol[0] ^= 1;
            row->venue_index = change == 1 ? 7 : 8;
        }
        CHECK_EQ(scene_reload(), change == 2 ? SENTINEL_OK : SENTINEL_FORMAT_REFERENCE);
    }
}

/* A firm with two groups of one agent each: what halts the parent, its group or
 * the firm refuses what says that it follows from it. */
static void test_a_parents_stop_is_its_childrens(void) {
    build_world world;
    bundle_build *b = &S.build;
    bundle_begin(b);
    uint32_t left = add_node(b, 10, SENTINEL_NODE_GROUP, 0);
    uint32_t right = add_node(b, 20, SENTINEL_NODE_GROUP, 0);
    uint32_t child = add_node(b, 11, SENTINEL_NODE_AGENT, left);
    uint32_t parent = add_node(b, 21, SENTINEL_NODE_AGENT, right);
    uint32_t other = add_node(b, 22, SENTINEL_NODE_AGENT, right);
    add_mask(b, 1, 0, SENTINEL_RULE_ACTIONS, 2);
    CHECK_OK(world_make(&world, b, NULL));
    sentinel_subject subject = {.node = child, .parent = 21, .action = SENTINEL_ACTION_PLACE};
    const struct {
        uint32_t node;
        int64_t refused; /* how many of what the order touches */
        uint8_t level;
    } cases[] = {{parent, 1, 2}, {right, 1, 2}, {0, 1, 0}, {other, 0, 2}, {left, 1, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sentinel_decision decision;
        const uint8_t why32[32] = {1};
        test_halt(&world.view, cases[i].node, 1, 5, 1, 0, why32);
        sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
        CHECK_EQ(decision.results[0].value, cases[i].refused);
        CHECK_EQ(decision.results[0].level, cases[i].level);
        CHECK_EQ(decision.reason,
                 cases[i].refused != 0 ? SENTINEL_REASON_KILL_SWITCH : SENTINEL_REASON_NONE);
        test_halt(&world.view, cases[i].node, 0, 6, 1, 0, why32);
    }
    sentinel_decision decision;
    sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
    CHECK_EQ(decision.verdict, SENTINEL_ALLOWED);
    subject.parent = 20; /* no agent */
    sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
    CHECK_EQ(decision.reason, SENTINEL_REASON_PARENT_UNKNOWN);
    subject.parent = 9; /* not there */
    sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
    CHECK_EQ(decision.reason, SENTINEL_REASON_PARENT_UNKNOWN);
    CHECK_EQ(decision.results[0].flags, SENTINEL_RESULT_UNKNOWN);
    subject.parent = 21;
    subject.parent_slot = SENTINEL_ID_WINDOW;
    sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
    CHECK_EQ(decision.verdict, SENTINEL_ALLOWED);
    subject.parent_slot = SENTINEL_ID_WINDOW + 1; /* no action has it */
    sentinel_policy_evaluate(&decision, &world.view, &subject, 2);
    CHECK_EQ(decision.reason, SENTINEL_REASON_PARENT_UNKNOWN);
    world_free(&world);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_halt_lets_nothing_through);
    RUN(test_a_halted_venue_keeps_its_funds);
    RUN(test_stops_of_others_are_not_this_orders);
    RUN(test_a_drain_lets_through_what_lowers_risk);
    RUN(test_a_close_under_a_drain_is_one_that_every_venue_holds);
    RUN(test_a_close_under_a_drain_is_within_the_position);
    RUN(test_a_drain_halts_at_its_end);
    RUN(test_every_stop_counts_once_and_halts_are_named_before_drains);
    RUN(test_what_loosens);
    RUN(test_an_agent_may_not_move_to_a_weaker_drain);
    RUN(test_a_stopped_instrument_stays_what_it_is);
    RUN(test_a_stopped_market_of_hyperliquid_is_its_number);
    world_free(&S.world);
    RUN(test_a_parents_stop_is_its_childrens);
    return test_end();
}

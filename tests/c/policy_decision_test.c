/* Who is judged by what, and what the decision says: which constraints apply,
 * their order, every reason, the first reason, and what is denied because
 * nothing granted it. */
#include "policy_scene.h"

static void test_judges_every_constraint_of_the_chain_firm_first(void) {
    scene_begin();
    bundle_build *b = &S.build;
    add_bound(b, 2, FIRM, SENTINEL_RULE_VALUE_CAP, 1);
    add_mask(b, 3, GROUP, SENTINEL_RULE_SIDES, 4);
    add_bound(b, 4, GROUP, SENTINEL_RULE_DAILY_LIMIT, 1);
    add_window(b, 5, AGENT, SENTINEL_RULE_RATE_LIMIT, 0, 10);
    add_bound(b, 6, AGENT, SENTINEL_RULE_VALUE_CAP, 5);
    add_bound(b, 7, OTHER, SENTINEL_RULE_VALUE_CAP, 0); /* not of this chain */
    scene_load();
    buy_worth(3);
    judge_at(NOW);
    static const struct {
        uint32_t rule;
        uint8_t kind, level, result;
    } expected[] = {
        {SENTINEL_RULE_IMPLICIT, SENTINEL_RULE_KILL_SWITCH, 2, SENTINEL_PASS},
        {0, SENTINEL_RULE_ACTIONS, 0, SENTINEL_PASS},
        {1, SENTINEL_RULE_VALUE_CAP, 0, SENTINEL_FAIL},
        {2, SENTINEL_RULE_SIDES, 1, SENTINEL_FAIL},
        {3, SENTINEL_RULE_DAILY_LIMIT, 1, SENTINEL_FAIL},
        {4, SENTINEL_RULE_RATE_LIMIT, 2, SENTINEL_FAIL},
        {5, SENTINEL_RULE_VALUE_CAP, 2, SENTINEL_PASS},
    };
    CHECK_EQ(S.decision.result_count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < S.decision.result_count; i++) {
        CHECK_EQ(S.decision.results[i].rule, expected[i].rule);
        CHECK_EQ(S.decision.results[i].kind, expected[i].kind);
        CHECK_EQ(S.decision.results[i].level, expected[i].level);
        CHECK_EQ(S.decision.results[i].result, expected[i].result);
    }
    CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_SIDE_NOT_ALLOWED);
    CHECK(has_reason(SENTINEL_REASON_VALUE_CAP) && has_reason(SENTINEL_REASON_DAILY_LIMIT));
    CHECK(has_reason(SENTINEL_REASON_RATE_LIMIT));
}

/* Adds a constraint that any buy of spot fails with this reason. */
static void add_refusal(uint32_t id, sentinel_reason reason) {
    static const struct {
        sentinel_reason reason;
        uint8_t kind;
    } kinds[] = {
        {SENTINEL_REASON_ACTION_NOT_ALLOWED, SENTINEL_RULE_ACTIONS},
        {SENTINEL_REASON_VENUE_NOT_ALLOWED, SENTINEL_RULE_VENUES},
        {SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED, SENTINEL_RULE_INSTRUMENTS},
        {SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED, SENTINEL_RULE_ORDER_TYPES},
        {SENTINEL_REASON_SIDE_NOT_ALLOWED, SENTINEL_RULE_SIDES},
        {SENTINEL_REASON_TIF_NOT_ALLOWED, SENTINEL_RULE_TIMES_IN_FORCE},
        {SENTINEL_REASON_MARK_ABSENT, SENTINEL_RULE_PRICE_COLLAR},
        {SENTINEL_REASON_VALUE_CAP, SENTINEL_RULE_VALUE_CAP},
        {SENTINEL_REASON_QUANTITY_CAP, SENTINEL_RULE_QUANTITY_CAP},
        {SENTINEL_REASON_DAILY_LIMIT, SENTINEL_RULE_DAILY_LIMIT},
        {SENTINEL_REASON_ROLLING_CAP, SENTINEL_RULE_ROLLING_CAP},
        {SENTINEL_REASON_RATE_LIMIT, SENTINEL_RULE_RATE_LIMIT},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].reason == reason) {
            sentinel_constraint *row = add_constraint(&S.build, id, AGENT, kinds[i].kind);
            row->window_ns = kinds[i].kind >= SENTINEL_RULE_ROLLING_CAP;
            row->max_age_ns = kinds[i].kind == SENTINEL_RULE_PRICE_COLLAR;
        }
    }
}

/* Every reason that an order can meet, each with a constraint of its own;
 * dropped one by one, from the first in precedence. */
static void test_the_first_reason_in_precedence_is_the_reason(void) {
    static const sentinel_reason order[] = {
        SENTINEL_REASON_KILL_SWITCH,
        SENTINEL_REASON_ACTION_NOT_ALLOWED,
        SENTINEL_REASON_VENUE_NOT_ALLOWED,
        SENTINEL_REASON_INSTRUMENT_NOT_ALLOWED,
        SENTINEL_REASON_ORDER_TYPE_NOT_ALLOWED,
        SENTINEL_REASON_SIDE_NOT_ALLOWED,
        SENTINEL_REASON_TIF_NOT_ALLOWED,
        SENTINEL_REASON_MARK_ABSENT,
        SENTINEL_REASON_VALUE_CAP,
        SENTINEL_REASON_QUANTITY_CAP,
        SENTINEL_REASON_DAILY_LIMIT,
        SENTINEL_REASON_ROLLING_CAP,
        SENTINEL_REASON_RATE_LIMIT,
    };
    size_t count = sizeof order / sizeof *order;
    for (size_t dropped = 0; dropped <= count; dropped++) {
        scene_begin();
        for (size_t i = count; i > dropped; i--) { /* the last in precedence stands first */
            add_refusal((uint32_t)(100 + i), order[i - 1]);
        }
        scene_load();
        uint8_t digest32[32] = {0};
        test_halt(&S.world.view, FIRM, dropped == 0, 1, NOW, 0, digest32);
        buy_worth(3);
        judge_at(NOW);
        CHECK_EQ(S.decision.reason, dropped < count ? order[dropped] : SENTINEL_REASON_NONE);
        CHECK_EQ(S.decision.verdict, dropped < count ? SENTINEL_DENIED : SENTINEL_ALLOWED);
        for (size_t i = 0; i < count; i++) {
            CHECK_EQ(has_reason(order[i]), i >= dropped);
        }
    }
}

static void test_denies_what_no_constraint_grants(void) {
    scene_begin();
    S.build.constraints[0].actions = 1u << SENTINEL_ACTION_MESSAGE; /* the only grant */
    scene_load();
    buy_worth(1);
    fails(SENTINEL_RULE_ACTIONS, SENTINEL_ACTION_PLACE, 0, SENTINEL_REASON_NO_GRANT);
    CHECK_EQ(S.decision.result_count, 2);
    CHECK_EQ(S.decision.results[1].rule, SENTINEL_RULE_IMPLICIT);
    CHECK_EQ(S.decision.results[1].level, 2);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    passes(SENTINEL_RULE_ACTIONS, SENTINEL_ACTION_MESSAGE, 0x3fe);
}

static void test_an_empty_policy_denies_everything(void) {
    scene_begin();
    S.build.counts[SENTINEL_SECTION_CONSTRAINTS] = 0;
    S.build.nodes[FIRM].constraint_count = 0;
    scene_load();
    for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
        order_of(action, action <= SENTINEL_ACTION_QUERY ? SPOT : 0);
        fails(SENTINEL_RULE_ACTIONS, action, 0, SENTINEL_REASON_NO_GRANT);
    }
}

static void test_funds_leave_only_with_a_grant_of_the_destination(void) {
    scene_begin();
    scene_load();
    withdraw("bc1q", "", decimal(1, 0));
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_NO_GRANT);
    transfer("sub", decimal(1, 0));
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_NO_GRANT);
    CHECK_EQ(S.decision.results[2].rule, SENTINEL_RULE_IMPLICIT);
    transfer("", decimal(1, 0));
    passes(SENTINEL_RULE_ACTIONS, SENTINEL_ACTION_TRANSFER, 0x3fe);
    /* A list that does not apply grants nothing. */
    scene_begin();
    add_destinations(&S.build, 9, FIRM, (const build_destination[]){{NETWORK, "bc1q", ""}}, 1)
        ->actions = 1u << SENTINEL_ACTION_TRANSFER;
    scene_load();
    withdraw("bc1q", "", decimal(1, 0));
    fails(SENTINEL_RULE_DESTINATIONS, 0, 1, SENTINEL_REASON_NO_GRANT);
}

/* Without either grant the action's is named, and there is one such result. */
static void test_at_most_one_missing_grant_is_named(void) {
    scene_begin();
    S.build.constraints[0].actions = 1u << SENTINEL_ACTION_MESSAGE;
    scene_load();
    withdraw("bc1q", "", decimal(1, 0));
    fails(SENTINEL_RULE_ACTIONS, SENTINEL_ACTION_WITHDRAW, 0, SENTINEL_REASON_NO_GRANT);
    CHECK_EQ(S.decision.result_count, 2);
}

/* Which actions each kind applies to: docs/2-policy.md. */
static void test_each_kind_applies_to_its_actions(void) {
    static const struct {
        uint8_t kind;
        uint32_t actions;
    } table[] = {
        {SENTINEL_RULE_ACTIONS, 0x3fe},      {SENTINEL_RULE_VENUES, 0x3fe},
        {SENTINEL_RULE_INSTRUMENTS, 0x07e},  {SENTINEL_RULE_ORDER_TYPES, 0x006},
        {SENTINEL_RULE_SIDES, 0x006},        {SENTINEL_RULE_TIMES_IN_FORCE, 0x006},
        {SENTINEL_RULE_DESTINATIONS, 0x180}, {SENTINEL_RULE_SANCTIONS, 0x180},
        {SENTINEL_RULE_VALUE_CAP, 0x186},    {SENTINEL_RULE_QUANTITY_CAP, 0x006},
        {SENTINEL_RULE_PRICE_COLLAR, 0x006}, {SENTINEL_RULE_DAILY_LIMIT, 0x186},
        {SENTINEL_RULE_ROLLING_CAP, 0x186},  {SENTINEL_RULE_RATE_LIMIT, 0x3fe},
        {SENTINEL_RULE_APPROVAL, 0x3fe},
    };
    CHECK_EQ(sizeof table / sizeof *table, SENTINEL_RULE_COUNT - 3);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        scene_begin();
        sentinel_constraint *row = add_constraint(&S.build, 9, AGENT, table[i].kind);
        row->window_ns = table[i].kind >= SENTINEL_RULE_ROLLING_CAP;
        row->quorum = table[i].kind == SENTINEL_RULE_APPROVAL;
        row->max_age_ns = table[i].kind == SENTINEL_RULE_PRICE_COLLAR;
        scene_load();
        for (uint16_t action = 1; action < SENTINEL_ACTION_COUNT; action++) {
            if (action == SENTINEL_ACTION_WITHDRAW) {
                withdraw("a", "", decimal(1, 0));
            } else if (action == SENTINEL_ACTION_TRANSFER) {
                transfer("a", decimal(1, 0));
            } else {
                order_of(action, action == SENTINEL_ACTION_MESSAGE ? 0 : SPOT);
            }
            judge_at(NOW);
            const sentinel_result *result = result_of(table[i].kind);
            int applied = result != NULL && result->rule == 1;
            CHECK_EQ(applied, table[i].actions >> action & 1);
        }
    }
}

static void test_a_constraint_applies_to_its_actions_venues_and_instrument(void) {
    scene_begin();
    sentinel_constraint *row = add_bound(&S.build, 9, FIRM, SENTINEL_RULE_VALUE_CAP, 0);
    row->actions = 1u << SENTINEL_ACTION_PLACE;
    row->venues = 1u << SENTINEL_VENUE_BINANCE_SPOT;
    row->instrument = SPOT;
    scene_load();
    buy_worth(1);
    fails(SENTINEL_RULE_VALUE_CAP, 1, 0, SENTINEL_REASON_VALUE_CAP);
    S.subject.action = SENTINEL_ACTION_AMEND;
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
    buy_worth(1)->venue = SENTINEL_VENUE_BINANCE_USDM;
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
    buy_worth(1)->instrument = sentinel_bundle_instrument(&S.world.view.bundle, INVERSE);
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

static void test_each_agent_has_a_window_of_its_own_and_shared_ones_are_one(void) {
    scene_begin();
    add_window(&S.build, 8, GROUP, SENTINEL_RULE_RATE_LIMIT, 1, 1000)->each = SENTINEL_EACH_AGENT;
    add_window(&S.build, 9, GROUP, SENTINEL_RULE_RATE_LIMIT, 2, 1000);
    scene_load();
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW), SENTINEL_DENIED); /* its own is used up */
    CHECK_EQ(S.decision.results[2].result, SENTINEL_FAIL);
    CHECK_EQ(S.decision.results[3].result, SENTINEL_PASS);
    S.subject.node = OTHER;
    CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    CHECK_EQ(spend_at(NOW + 999), SENTINEL_DENIED);
    CHECK_EQ(S.decision.results[3].value, 3); /* the shared one saw both */
    CHECK_EQ(spend_at(NOW + 1000), SENTINEL_ALLOWED);
}

/* A tree whose rows are not in the order of a walk: ordinals must still give
 * every agent below a node a window, and none two. */
static void test_windows_of_agents_do_not_touch_in_any_tree(void) {
    scene_begin();
    bundle_build *b = &S.build;
    uint32_t agents[24], groups[5] = {FIRM, GROUP};
    for (uint32_t i = 2; i < 5; i++) {
        groups[i] = add_node(b, 2000 + i, SENTINEL_NODE_GROUP, groups[i / 2]);
    }
    for (uint32_t i = 0; i < 24; i++) {
        agents[i] = add_node(b, 3000 + i, SENTINEL_NODE_AGENT, groups[i * 7 % 5]);
    }
    /* Runs of constraints in the order of nodes. */
    for (uint32_t i = 0; i < 5; i++) {
        sentinel_constraint *row = add_bound(b, 50 + i, groups[i], SENTINEL_RULE_DAILY_LIMIT, 1000);
        row->each = SENTINEL_EACH_AGENT;
    }
    scene_load();
    for (uint32_t i = 0; i < 24; i++) {
        buy_worth(i + 1)->node = agents[i];
        CHECK_EQ(spend_at(NOW), SENTINEL_ALLOWED);
    }
    for (uint32_t i = 0; i < 24; i++) {
        buy_worth(0)->node = agents[i];
        judge_at(NOW);
        unsigned seen = 0;
        for (uint32_t k = 0; k < S.decision.result_count; k++) {
            if (S.decision.results[k].kind == SENTINEL_RULE_DAILY_LIMIT) {
                CHECK_EQ(S.decision.results[k].value, i + 1);
                seen++;
            }
        }
        CHECK_EQ(seen, S.build.nodes[agents[i]].depth);
    }
}

static void test_a_value_that_nothing_needs_is_not_worked_out(void) {
    scene_begin();
    scene_load();
    place(SPOT, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(1, 0)); /* no mark was fed */
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
    CHECK_EQ(S.decision.value_micro_usd, -1);
}

static void test_an_unknown_value_fails_every_constraint_that_needs_it(void) {
    scene_begin();
    add_bound(&S.build, 8, AGENT, SENTINEL_RULE_VALUE_CAP, INT64_MAX);
    add_bound(&S.build, 9, AGENT, SENTINEL_RULE_DAILY_LIMIT, INT64_MAX);
    add_window(&S.build, 10, AGENT, SENTINEL_RULE_ROLLING_CAP, INT64_MAX, 10);
    scene_load();
    place(SPOT, SENTINEL_SIDE_SELL, SENTINEL_TYPE_MARKET, decimal(1, 0));
    for (unsigned kind = SENTINEL_RULE_VALUE_CAP; kind <= SENTINEL_RULE_ROLLING_CAP; kind++) {
        if (kind != SENTINEL_RULE_QUANTITY_CAP && kind != SENTINEL_RULE_PRICE_COLLAR) {
            fails_with(kind, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_MARK_ABSENT);
            CHECK_EQ(retry_of(kind), 0);
        }
    }
    CHECK_EQ(S.decision.value_micro_usd, -1);
}

static void test_denies_a_subject_that_is_not_of_this_policy(void) {
    scene_begin();
    scene_load();
    static const uint32_t nodes[] = {FIRM, GROUP, 4, SENTINEL_NODE_NONE};
    for (size_t i = 0; i < 4; i++) {
        order_of(SENTINEL_ACTION_MESSAGE, 0)->node = nodes[i];
        judge_at(NOW);
        CHECK_EQ(S.decision.reason, SENTINEL_REASON_AGENT_UNKNOWN);
        CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
    }
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    judge_at(-1);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_CLOCK);
    judge_at(0);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

static void test_a_denied_order_is_never_charged(void) {
    scene_begin();
    add_bound(&S.build, 8, AGENT, SENTINEL_RULE_DAILY_LIMIT, 10);
    add_mask(&S.build, 9, AGENT, SENTINEL_RULE_SIDES, 4);
    scene_load();
    buy_worth(3);
    CHECK_EQ(spend_at(NOW), SENTINEL_DENIED);
    CHECK_EQ(result_of(SENTINEL_RULE_DAILY_LIMIT)->result, SENTINEL_PASS);
    judge_at(NOW);
    CHECK_EQ(result_of(SENTINEL_RULE_DAILY_LIMIT)->value, 3);
}

static void test_refusing_keeps_the_first_reason_and_all_of_them(void) {
    sentinel_decision decision;
    memset(&decision, 0, sizeof decision);
    decision.verdict = SENTINEL_ALLOWED;
    sentinel_decision_refuse(&decision, SENTINEL_REASON_NONE);
    CHECK_EQ(decision.verdict, SENTINEL_ALLOWED);
    sentinel_decision_refuse(&decision, SENTINEL_REASON_RATE_LIMIT);
    sentinel_decision_refuse(&decision, SENTINEL_REASON_CLOCK);
    sentinel_decision_refuse(&decision, SENTINEL_REASON_SUPPRESSED);
    CHECK_EQ(decision.reason, SENTINEL_REASON_CLOCK);
    CHECK_EQ(decision.verdict, SENTINEL_DENIED);
    CHECK_EQ(decision.reasons[0], UINT64_C(1) << SENTINEL_REASON_CLOCK);
    CHECK_EQ(decision.reasons[1], UINT64_C(1) << (SENTINEL_REASON_RATE_LIMIT - 64) |
                                      UINT64_C(1) << (SENTINEL_REASON_SUPPRESSED - 64));
}

/* 126 constraints from firm to agent, and both implicit results. */
static void test_the_longest_chain_of_constraints_fits(void) {
    scene_begin();
    S.build.constraints[0].actions = 1u << SENTINEL_ACTION_MESSAGE;
    for (uint32_t i = 1; i < SENTINEL_CHAIN_CONSTRAINTS_MAX; i++) {
        add_mask(&S.build, 10 + i, i < 60 ? FIRM : AGENT, SENTINEL_RULE_SIDES, 4);
    }
    S.build.constraints[0].kind = SENTINEL_RULE_VENUES;
    S.build.constraints[0].actions = 0x3fe;
    S.build.constraints[0].mask = 0;
    scene_load();
    buy_worth(1);
    judge_at(NOW);
    CHECK_EQ(S.decision.result_count, SENTINEL_RESULTS_MAX);
    CHECK_EQ(S.decision.results[127].rule, SENTINEL_RULE_IMPLICIT);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_NO_GRANT);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_judges_every_constraint_of_the_chain_firm_first);
    RUN(test_the_first_reason_in_precedence_is_the_reason);
    RUN(test_denies_what_no_constraint_grants);
    RUN(test_an_empty_policy_denies_everything);
    RUN(test_funds_leave_only_with_a_grant_of_the_destination);
    RUN(test_at_most_one_missing_grant_is_named);
    RUN(test_each_kind_applies_to_its_actions);
    RUN(test_a_constraint_applies_to_its_actions_venues_and_instrument);
    RUN(test_each_agent_has_a_window_of_its_own_and_shared_ones_are_one);
    RUN(test_windows_of_agents_do_not_touch_in_any_tree);
    RUN(test_a_value_that_nothing_needs_is_not_worked_out);
    RUN(test_an_unknown_value_fails_every_constraint_that_needs_it);
    RUN(test_denies_a_subject_that_is_not_of_this_policy);
    RUN(test_a_denied_order_is_never_charged);
    RUN(test_refusing_keeps_the_first_reason_and_all_of_them);
    RUN(test_the_longest_chain_of_constraints_fits);
    return test_end();
}

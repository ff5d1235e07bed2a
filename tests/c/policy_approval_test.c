/* Which orders wait for people: the constraint `approval`, the oversight of an
 * action, and the destinations that are remembered. */
#include "policy_scene.h"

#define LIVES INT64_C(60000000000)

static sentinel_constraint *asks(uint32_t id, uint32_t mask, int64_t bound, uint8_t quorum) {
    sentinel_constraint *row = add_bound(&S.build, id, FIRM, SENTINEL_RULE_APPROVAL, bound);
    row->mask = mask;
    row->quorum = quorum;
    row->window_ns = LIVES;
    return row;
}

static void scene_asking(uint32_t mask, int64_t bound) {
    scene_begin();
    asks(9, mask, bound, 2);
    build_destination to[] = {{NETWORK, "cold", ""}, {NETWORK, "warm", ""}, {0, "sub", ""}};
    add_destinations(&S.build, 8, FIRM, to, 3);
    scene_load();
    mark_asset(BTC, decimal(50000, 0), NOW);
}

/* Judges at NOW, and checks that all but this passes, and this waits. */
static void waits(int64_t value, int64_t bound) {
    judge_at(NOW);
    const sentinel_result *result = result_of(SENTINEL_RULE_APPROVAL);
    CHECK(result != NULL);
    CHECK_EQ(result->value, value);
    CHECK_EQ(result->bound, bound);
    CHECK_EQ(result->result, SENTINEL_WAIT);
    CHECK_EQ(result->flags, 0);
    CHECK_EQ(S.decision.verdict, SENTINEL_PENDING);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_APPROVAL);
    CHECK_EQ(S.decision.reasons[0], 0);
    CHECK_EQ(S.decision.reasons[1], UINT64_C(1) << (SENTINEL_REASON_APPROVAL - 64));
}

static void test_approval_pass(void) {
    scene_asking(SENTINEL_ASK_VALUE, 500 * MICRO);
    buy_worth(200 * MICRO);
    passes(SENTINEL_RULE_APPROVAL, 200 * MICRO, 500 * MICRO);
    CHECK_EQ(S.decision.quorum, 0);
}

static void test_approval_edge(void) {
    scene_asking(SENTINEL_ASK_VALUE, 500 * MICRO);
    buy_worth(500 * MICRO);
    passes(SENTINEL_RULE_APPROVAL, 500 * MICRO, 500 * MICRO);
}

static void test_approval_one_past(void) {
    scene_asking(SENTINEL_ASK_VALUE, 500 * MICRO);
    buy_worth(500 * MICRO + 1);
    waits(500 * MICRO + 1, 500 * MICRO);
    CHECK_EQ(S.decision.quorum, 2);
    CHECK_EQ(S.decision.time_to_live_ns, LIVES);
    CHECK_EQ(S.decision.value_micro_usd, 500 * MICRO + 1);
}

static void test_approval_overflow(void) {
    scene_asking(SENTINEL_ASK_VALUE, INT64_MAX);
    buy(decimal(2, 0), decimal(INT64_MAX, 6));
    fails_with(SENTINEL_RULE_APPROVAL, SENTINEL_RESULT_SATURATED, SENTINEL_REASON_VALUE_OVERFLOW);
    buy_worth(INT64_MAX);
    passes(SENTINEL_RULE_APPROVAL, INT64_MAX, INT64_MAX);
    place(SPOT, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(1, 0)); /* no mark was fed */
    fails_with(SENTINEL_RULE_APPROVAL, SENTINEL_RESULT_UNKNOWN, SENTINEL_REASON_MARK_ABSENT);
}

static void test_no_mask_asks_about_everything(void) {
    scene_asking(0, 0);
    buy_worth(1);
    waits(1, 0);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    waits(1, 0);
    CHECK_EQ(S.decision.value_micro_usd, -1);
}

static void test_value_is_asked_about_where_there_is_one(void) {
    scene_asking(SENTINEL_ASK_VALUE, 0);
    order_of(SENTINEL_ACTION_CANCEL, SPOT);
    passes(SENTINEL_RULE_APPROVAL, 0, 0);
    transfer("", decimal(1, 2));
    waits(500 * MICRO, 0);
}

static void test_a_destination_is_new_until_something_was_signed_for_it(void) {
    scene_asking(SENTINEL_ASK_DESTINATION, 0);
    withdraw("cold", "", decimal(1, 2));
    waits(1, 0);
    sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, NOW);
    waits(1, 0); /* what waits is not signed */
    S.decision.verdict = SENTINEL_ALLOWED;
    sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, NOW);
    passes(SENTINEL_RULE_APPROVAL, 0, 0);
    withdraw("warm", "", decimal(1, 2));
    waits(1, 0);
    withdraw("cold", "", decimal(1, 2))->venue = SENTINEL_VENUE_OKX;
    waits(1, 0); /* another venue's books */
    transfer("sub", decimal(1, 2));
    waits(1, 0);
    transfer("", decimal(1, 2)); /* between wallets of one account */
    passes(SENTINEL_RULE_APPROVAL, 0, 0);
}

static void test_the_latest_256_destinations_are_remembered(void) {
    scene_begin();
    scene_load();
    sentinel_state *state = S.world.view.state;
    for (uint32_t i = 0; i <= SENTINEL_DESTINATIONS_KEPT; i++) {
        char address[8];
        CHECK(snprintf(address, sizeof address, "a%u", i) > 0);
        withdraw(address, "", decimal(1, 2));
        S.decision.verdict = SENTINEL_ALLOWED;
        S.decision.result_count = 0;
        sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, NOW);
        sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, NOW); /* once is enough */
        CHECK_EQ(state->destination_next, (i + 1) % SENTINEL_DESTINATIONS_KEPT);
    }
    uint8_t first[32], second[32];
    sentinel_destination_digest(first, NETWORK, "a256", 4, "", 0);
    sentinel_destination_digest(second, NETWORK, "a1", 2, "", 0);
    CHECK_BYTES(state->destinations[0].digest32, first, 32); /* in the place of the oldest */
    CHECK_BYTES(state->destinations[1].digest32, second, 32);
    CHECK_OK(scene_reload());
    CHECK_EQ(S.world.view.state->destination_next, 1);
    CHECK_BYTES(S.world.view.state->destinations[0].digest32, first, 32);
}

static void test_value_or_destination_asks(void) {
    scene_asking(SENTINEL_ASK_VALUE | SENTINEL_ASK_DESTINATION, 600 * MICRO);
    withdraw("cold", "", decimal(1, 2));
    waits(500 * MICRO, 600 * MICRO);
    S.decision.verdict = SENTINEL_ALLOWED;
    sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, NOW);
    passes(SENTINEL_RULE_APPROVAL, 500 * MICRO, 600 * MICRO);
    withdraw("cold", "", decimal(2, 2));
    waits(1000 * MICRO, 600 * MICRO);
}

static void test_the_most_approvers_and_the_shortest_time_count(void) {
    scene_begin();
    asks(9, 0, 0, 1);
    asks(10, 0, 0, 3)->window_ns = LIVES * 2;
    asks(11, 0, 0, 2)->window_ns = LIVES / 2;
    scene_load();
    buy_worth(1);
    waits(1, 0);
    CHECK_EQ(S.decision.quorum, 3);
    CHECK_EQ(S.decision.time_to_live_ns, LIVES / 2);
}

static void test_what_is_refused_does_not_wait(void) {
    scene_begin();
    asks(9, 0, 0, 1);
    add_bound(&S.build, 10, FIRM, SENTINEL_RULE_VALUE_CAP, 5);
    scene_load();
    buy_worth(6);
    fails(SENTINEL_RULE_VALUE_CAP, 6, 5, SENTINEL_REASON_VALUE_CAP);
    CHECK_EQ(result_of(SENTINEL_RULE_APPROVAL)->result, SENTINEL_WAIT);
    CHECK_EQ(S.decision.quorum, 0);
}

static void test_oversight_asks_for_every_one_of_an_action(void) {
    scene_begin();
    S.build.policy.oversight[SENTINEL_ACTION_PLACE] = SENTINEL_OVERSIGHT_APPROVE;
    S.build.policy.oversight[SENTINEL_ACTION_MESSAGE] = SENTINEL_OVERSIGHT_NOTIFY;
    S.build.policy.approval_quorum = 2;
    S.build.policy.approval_ns = LIVES;
    add_bound(&S.build, 10, FIRM, SENTINEL_RULE_VALUE_CAP, 5);
    scene_load();
    buy_worth(5);
    waits(SENTINEL_ACTION_PLACE, 0);
    CHECK_EQ(S.decision.results[S.decision.result_count - 1].rule, SENTINEL_RULE_IMPLICIT);
    CHECK_EQ(S.decision.quorum, 2);
    buy_worth(6);
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
    CHECK(result_of(SENTINEL_RULE_APPROVAL) == NULL);
    order_of(SENTINEL_ACTION_MESSAGE, 0);
    judge_at(NOW);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
}

#define BUNDLE(name, change)                                             \
    do {                                                                 \
        scene_begin();                                                   \
        sentinel_policy *policy = &S.build.policy;                       \
        policy->oversight[SENTINEL_ACTION_PLACE] = 2;                    \
        policy->approval_quorum = 1;                                     \
        policy->approval_ns = 1;                                         \
        sentinel_constraint *row = asks(9, SENTINEL_ASK_VALUE, 5, 1);    \
        (void)row;                                                       \
        change;                                                          \
        sentinel_bundle bundle;                                          \
        CHECK_EQ(bundle_pack_check(&S.build, &bundle), SENTINEL_##name); \
    } while (0)

static void test_a_bundle_says_it_within_its_ranges(void) {
    BUNDLE(OK, row->quorum = SENTINEL_QUORUM_MAX);
    BUNDLE(FORMAT_RANGE, row->quorum = SENTINEL_QUORUM_MAX + 1);
    BUNDLE(FORMAT_RANGE, row->quorum = 0);
    BUNDLE(FORMAT_RANGE, row->window_ns = 0);
    BUNDLE(OK, row->window_ns = SENTINEL_WINDOW_NS_MAX);
    BUNDLE(FORMAT_RANGE, row->window_ns = SENTINEL_WINDOW_NS_MAX + 1);
    BUNDLE(FORMAT_RANGE, row->mask = 4);
    BUNDLE(FORMAT_RANGE, row->bound = -1);
    BUNDLE(FORMAT_RESERVED, row->mask = SENTINEL_ASK_DESTINATION);
    BUNDLE(OK, row->mask = SENTINEL_ASK_DESTINATION; row->bound = 0);
    BUNDLE(OK, policy->approval_quorum = SENTINEL_QUORUM_MAX);
    BUNDLE(FORMAT_RANGE, policy->approval_quorum = SENTINEL_QUORUM_MAX + 1);
    BUNDLE(FORMAT_RANGE, policy->approval_quorum = 0);
    BUNDLE(FORMAT_RANGE, policy->approval_ns = 0);
    BUNDLE(OK, policy->approval_ns = SENTINEL_WINDOW_NS_MAX);
    BUNDLE(FORMAT_RANGE, policy->approval_ns = SENTINEL_WINDOW_NS_MAX + 1);
    BUNDLE(FORMAT_RANGE, policy->oversight[SENTINEL_ACTION_AMEND] = SENTINEL_OVERSIGHT_COUNT);
    BUNDLE(OK, policy->oversight[SENTINEL_ACTION_COUNT - 1] = SENTINEL_OVERSIGHT_APPROVE);
    BUNDLE(FORMAT_RESERVED, policy->oversight[SENTINEL_ACTION_COUNT] = 1);
    BUNDLE(FORMAT_RESERVED, policy->oversight[0] = 1);
    BUNDLE(FORMAT_RESERVED, policy->reserved[6] = 1);
    BUNDLE(FORMAT_RESERVED, policy->oversight[SENTINEL_ACTION_PLACE] = 1);
    BUNDLE(OK, policy->oversight[SENTINEL_ACTION_PLACE] = 1; policy->approval_quorum = 0;
           policy->approval_ns = 0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN_FOUR(approval);
    RUN(test_no_mask_asks_about_everything);
    RUN(test_value_is_asked_about_where_there_is_one);
    RUN(test_a_destination_is_new_until_something_was_signed_for_it);
    RUN(test_the_latest_256_destinations_are_remembered);
    RUN(test_value_or_destination_asks);
    RUN(test_the_most_approvers_and_the_shortest_time_count);
    RUN(test_what_is_refused_does_not_wait);
    RUN(test_oversight_asks_for_every_one_of_an_action);
    RUN(test_a_bundle_says_it_within_its_ranges);
    world_free(&S.world);
    return test_end();
}

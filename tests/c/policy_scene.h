/* A scene for tests of policy: a firm (1000) with a group (1100), in it two
 * agents (1110 at index 2, 1120 at index 3), spot and derivative instruments,
 * marks, and orders to judge. */
#ifndef POLICY_SCENE_H
#define POLICY_SCENE_H

#include "bundle_builder.h"
#include "sentinel_test.h"

#define NOW INT64_C(1700000000000000000)

typedef struct scene {
    bundle_build build;
    build_world world;
    sentinel_order order;
    sentinel_subject subject;
    sentinel_decision decision;
} scene;
static scene S;

/* A firm that allows every action; constraints may be added from the firm on. */
static void scene_begin(void) {
    bundle_build *b = &S.build;
    bundle_begin(b);
    add_node(b, 1100, SENTINEL_NODE_GROUP, FIRM);
    add_node(b, 1110, SENTINEL_NODE_AGENT, GROUP);
    add_node(b, 1120, SENTINEL_NODE_AGENT, GROUP);
    add_asset(b, USD)->par_micro_usd = MICRO;
    add_asset(b, BTC);
    add_asset(b, WBTC)->mark_asset = BTC;
    add_asset(b, ETH);
    add_network(b, NETWORK, BTC);
    add_instruments_of_each_contract(b);
    add_mask(b, 1, FIRM, SENTINEL_RULE_ACTIONS, (1u << SENTINEL_ACTION_COUNT) - 2);
}

static void scene_load(void) {
    world_free(&S.world);
    CHECK_OK(world_make(&S.world, &S.build, NULL));
    memset(&S.subject, 0, sizeof S.subject);
    memset(&S.order, 0, sizeof S.order);
}

/* The next version, with the state carried over. */
static sentinel_status scene_reload(void) {
    build_world old = S.world;
    memset(&S.world, 0, sizeof S.world);
    S.build.sequence++;
    sentinel_status status = world_make(&S.world, &S.build, &old);
    world_free(&old);
    return status;
}

static void mark_instrument(uint32_t id, sentinel_decimal price, int64_t time_ns) {
    feed_mark(&S.world.view, SENTINEL_MARK_INSTRUMENT, id, price, time_ns);
}

static void mark_asset(uint32_t id, sentinel_decimal price, int64_t time_ns) {
    feed_mark(&S.world.view, SENTINEL_MARK_ASSET, id, price, time_ns);
}

/* ---- Orders ------------------------------------------------------------------ */

static sentinel_subject *order_of(uint16_t action, uint32_t instrument) {
    memset(&S.order, 0, sizeof S.order);
    S.order.header.action = action;
    const sentinel_instrument *row = sentinel_bundle_instrument(&S.world.view.bundle, instrument);
    S.subject = (sentinel_subject){
        .order = &S.order,
        .instrument = row,
        .node = AGENT,
        .action = action,
        .venue = row != NULL ? row->venue : SENTINEL_VENUE_NONE,
    };
    return &S.subject;
}

static sentinel_subject *place(uint32_t instrument, uint8_t side, uint8_t type,
                               sentinel_decimal quantity) {
    sentinel_subject *subject = order_of(SENTINEL_ACTION_PLACE, instrument);
    subject->side = side;
    subject->type = type;
    subject->quantity = quantity;
    subject->present = SENTINEL_PRESENT_QUANTITY;
    return subject;
}

static sentinel_subject *with_price(sentinel_subject *subject, sentinel_decimal price) {
    subject->price = price;
    subject->present |= SENTINEL_PRESENT_PRICE;
    return subject;
}

static sentinel_subject *with_trigger(sentinel_subject *subject, sentinel_decimal price) {
    subject->trigger_price = price;
    subject->present |= SENTINEL_PRESENT_TRIGGER_PRICE;
    return subject;
}

/* A limit buy of spot: worth quantity x price. */
static sentinel_subject *buy(sentinel_decimal quantity, sentinel_decimal price) {
    sentinel_subject *subject = place(SPOT, SENTINEL_SIDE_BUY, SENTINEL_TYPE_LIMIT, quantity);
    subject->time_in_force = SENTINEL_TIF_GTC;
    return with_price(subject, price);
}

/* A limit buy that is worth this much. */
static sentinel_subject *buy_worth(int64_t micro_usd) {
    return buy(decimal(1, 0), decimal(micro_usd, 6));
}

/* A market buy that says how much it spends. */
static sentinel_subject *buy_for(sentinel_decimal quote_quantity) {
    sentinel_subject *subject = place(SPOT, SENTINEL_SIDE_BUY, SENTINEL_TYPE_MARKET, decimal(0, 0));
    subject->present = SENTINEL_PRESENT_QUOTE_QUANTITY;
    subject->quote_quantity = quote_quantity;
    return subject;
}

static sentinel_subject *withdraw(const char *address, const char *memo, sentinel_decimal amount) {
    sentinel_subject *subject = order_of(SENTINEL_ACTION_WITHDRAW, 0);
    sentinel_order_withdraw *order = &S.order.withdraw;
    order->asset = BTC;
    order->network = NETWORK;
    order->amount = amount;
    order->address_size = (uint8_t)strlen(address);
    order->memo_size = (uint8_t)strlen(memo);
    memcpy(order->address, address, strlen(address));
    memcpy(order->memo, memo, strlen(memo));
    subject->venue = SENTINEL_VENUE_BINANCE_SPOT;
    subject->asset = sentinel_bundle_asset(&S.world.view.bundle, BTC);
    subject->network = sentinel_bundle_network(&S.world.view.bundle, NETWORK);
    subject->amount = amount;
    return subject;
}

static sentinel_subject *transfer(const char *destination, sentinel_decimal amount) {
    sentinel_subject *subject = order_of(SENTINEL_ACTION_TRANSFER, 0);
    S.order.transfer.destination_size = (uint8_t)strlen(destination);
    memcpy(S.order.transfer.destination, destination, strlen(destination));
    subject->venue = SENTINEL_VENUE_BINANCE_SPOT;
    subject->asset = sentinel_bundle_asset(&S.world.view.bundle, BTC);
    subject->amount = amount;
    return subject;
}

/* ---- Judging ----------------------------------------------------------------- */

static void judge_at(int64_t now_ns) {
    sentinel_policy_evaluate(&S.decision, &S.world.view, &S.subject, now_ns);
}

/* Judges, and charges when allowed; gives the verdict. */
static int spend_at(int64_t now_ns) {
    judge_at(now_ns);
    sentinel_policy_debit(&S.world.view, &S.subject, &S.decision, now_ns);
    return S.decision.verdict;
}

/* The last result of a kind; null when there is none. */
static const sentinel_result *result_of(unsigned kind) {
    for (unsigned i = S.decision.result_count; i > 0; i--) {
        if (S.decision.results[i - 1].kind == kind) {
            return &S.decision.results[i - 1];
        }
    }
    return NULL;
}

static int64_t retry_of(unsigned kind) {
    const sentinel_result *result = result_of(kind);
    return result == NULL ? -1 : S.decision.retry_at_ns[result - S.decision.results];
}

static int has_reason(sentinel_reason reason) {
    return (S.decision.reasons[reason / 64] >> (reason % 64) & 1) != 0;
}

/* Judges at NOW, and checks that all is allowed with this result. */
static void passes(unsigned kind, int64_t value, int64_t bound) {
    judge_at(NOW);
    const sentinel_result *result = result_of(kind);
    CHECK(result != NULL);
    CHECK_EQ(result->value, value);
    CHECK_EQ(result->bound, bound);
    CHECK_EQ(result->result, SENTINEL_PASS);
    CHECK_EQ(result->flags, 0);
    CHECK_EQ(S.decision.reason, SENTINEL_REASON_NONE);
    CHECK_EQ(S.decision.verdict, SENTINEL_ALLOWED);
    CHECK(S.decision.reasons[0] == 0 && S.decision.reasons[1] == 0);
}

/* Judges at NOW, and checks that this alone refuses. */
static void fails(unsigned kind, int64_t value, int64_t bound, sentinel_reason reason) {
    judge_at(NOW);
    const sentinel_result *result = result_of(kind);
    CHECK(result != NULL);
    CHECK_EQ(result->value, value);
    CHECK_EQ(result->bound, bound);
    CHECK_EQ(result->result, SENTINEL_FAIL);
    CHECK_EQ(S.decision.reason, reason);
    CHECK_EQ(S.decision.verdict, SENTINEL_DENIED);
    CHECK(has_reason(reason));
    uint64_t reasons[2] = {S.decision.reasons[0], S.decision.reasons[1]};
    reasons[reason / 64] &= ~(UINT64_C(1) << (reason % 64));
    CHECK(reasons[0] == 0 && reasons[1] == 0);
}

static void fails_with(unsigned kind, unsigned flags, sentinel_reason reason) {
    judge_at(NOW);
    const sentinel_result *result = result_of(kind);
    CHECK(result != NULL);
    fails(kind, INT64_MAX, result->bound, reason);
    CHECK_EQ(result_of(kind)->flags, flags);
}

/* The four tests of a kind of constraint. */
#define RUN_FOUR(kind)           \
    RUN(test_##kind##_pass);     \
    RUN(test_##kind##_edge);     \
    RUN(test_##kind##_one_past); \
    RUN(test_##kind##_overflow)

#endif

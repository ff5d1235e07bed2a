/* A state from a snapshot is bytes from outside.
 *
 * Goal: what the engine can have left behind is taken back as it was, and
 * nothing else is. Method: a busy state is restored and goes on deciding as
 * before; then one field at a time is set to what no engine leaves. */
#include "policy_scene.h"

static uint8_t *copy; /* of the busy state; changed and restored by each test */
static sentinel_view restored;
static void *layout;

/* What commands, reports and heartbeats leave. */
static void busy_stops(const sentinel_view *view, const uint8_t digest32[32]) {
    sentinel_state *state = view->state;
    sentinel_stop_state drain = {
        .mode = SENTINEL_DRAINING,
        .severity = 1,
        .cause = SENTINEL_CAUSE_OPERATOR,
        .record = 6,
        .since_ns = NOW,
        .until_ns = NOW + 1,
    };
    memcpy(drain.reason_digest32, digest32, 32);
    sentinel_stop_set(view, &state->venues[SENTINEL_VENUE_COUNT - 1], &drain);
    sentinel_stop_set(view, sentinel_view_instrument(view, &view->bundle.instruments[1]), &drain);
    sentinel_position_state *held = sentinel_view_position(view, &view->bundle.instruments[1]);
    held->mantissa = -5;
    held->scale = 1;
    held->time_ns = NOW;
    sentinel_agent_state *agent = sentinel_view_agent(view, AGENT);
    agent->beat_sequence = 4;
    agent->beat_ns = NOW;
    agent->iterations = 2;
    agent->running_since_ns = NOW - 1;
    state->lease_until_ns = NOW + 1;
    state->feeders[0] = (sentinel_feeder_state){.key = 9, .sequence = 3};
    state->feeders[1] = (sentinel_feeder_state){.key = 4, .sequence = 1};
    state->record_count = 10;
    state->pending_used = 4;
    state->destinations[0] = (sentinel_destination_state){.digest32 = {3}, .venue = 1};
    state->destination_next = 1;
    state->pending[2] = (sentinel_pending){
        .record = 9,
        .record_hash32 = {1},
        .expires_ns = NOW,
        .action_id = 6,
        .agent = 1110,
        .status = SENTINEL_PENDING_OPEN,
        .quorum = 2,
        .approver_count = 1,
        .approvers = {7},
        .order_digest32 = {2},
    };
}

/* A state in which every table holds something. */
static void busy(void) {
    scene_begin();
    bundle_build *b = &S.build;
    add_bound(b, 20, GROUP, SENTINEL_RULE_DAILY_LIMIT, 1000)->each = SENTINEL_EACH_AGENT;
    add_window(b, 21, GROUP, SENTINEL_RULE_ROLLING_CAP, 1000, 640);
    add_window(b, 22, AGENT, SENTINEL_RULE_RATE_LIMIT, 4, 64);
    add_window(b, 23, OTHER, SENTINEL_RULE_RATE_LIMIT, 0, 64);
    scene_load();
    for (int i = 0; i < 7; i++) {
        buy_worth(10);
        CHECK_EQ(spend_at(NOW + 20 * i), SENTINEL_ALLOWED);
    }
    sentinel_view *view = &S.world.view;
    uint8_t digest32[32] = {7};
    test_halt(view, OTHER, 1, 5, NOW, 2, digest32);
    mark_instrument(SPOT, decimal(5, 1), NOW);
    mark_asset(BTC, decimal(6, 0), NOW);
    sentinel_agent_state *agent = sentinel_view_agent(view, AGENT);
    agent->id_highest = 3;
    agent->id_seen = 5;
    agent->id_record[3] = 9;
    agent->id_parent[3] = 1120;
    agent->id_parent_slot[3] = 4;
    agent->suppressed = 2;
    agent->suppressed_first_ns = 10;
    agent->suppressed_last_ns = 11;
    *sentinel_view_book(view, AGENT, 3) = (sentinel_book_entry){
        .action_id = 3, .record = 9, .instrument = SPOT, .side = 1, .type = 1};
    busy_stops(view, digest32);
    view->state->key_counters[0] = (sentinel_key_counter){.key = 61, .uses = 3};
    view->state->key_counters[1] = (sentinel_key_counter){.key = 62, .uses = 1};
    view->state->last_now_ns = NOW;
    free(copy);
    free(layout);
    copy = malloc(S.world.state_size);
    layout = malloc(S.world.layout_size);
    memcpy(copy, S.world.state, S.world.state_size);
}

static sentinel_status restore(void) {
    return sentinel_state_restore(&restored, &S.world.bundle, layout, S.world.layout_size, copy,
                                  S.world.state_size);
}

static sentinel_state *head(void) {
    return (sentinel_state *)copy;
}

/* The place in the copy of something in the busy state. */
static void *copied(const void *place) {
    return copy + ((const uint8_t *)place - (const uint8_t *)S.world.state);
}

static sentinel_stop_state *node(uint32_t index) {
    return copied(sentinel_view_node(&S.world.view, index));
}

static sentinel_stop_state *venue(uint32_t number) {
    return &head()->venues[number];
}

static sentinel_stop_state *instrument(uint32_t index) {
    return (sentinel_stop_state *)(copy + head()->instruments) + index;
}

static sentinel_position_state *position(uint32_t index) {
    return (sentinel_position_state *)(copy + head()->positions) + index;
}

static sentinel_agent_state *agent(uint32_t index) {
    return copied(sentinel_view_agent(&S.world.view, index));
}

static sentinel_book_entry *entry(uint64_t action_id) {
    return copied(sentinel_view_book(&S.world.view, AGENT, action_id));
}

/* The quantity of entry 3, or what of it is filled. */
static sentinel_decimal *part(int filled) {
    return filled ? &entry(3)->filled : &entry(3)->quantity;
}

static sentinel_mark_state *instrument_mark(uint32_t index) {
    return (sentinel_mark_state *)(copy + head()->instrument_marks) + index;
}

static sentinel_mark_state *asset_mark(uint32_t index) {
    return (sentinel_mark_state *)(copy + head()->asset_marks) + index;
}

/* Constraint 1 is daily, 2 rolling, 3 a rate of 4, 4 a rate of 0. */
static void *window(uint32_t row) {
    return copy + S.world.view.window_offsets[row];
}

static sentinel_daily_state *daily(void) {
    return window(1);
}

static sentinel_rolling_state *rolling(void) {
    return window(2);
}

static sentinel_rate_state *rate(uint32_t row) {
    return window(row);
}

static int64_t *times(uint32_t row) {
    return (int64_t *)(rate(row) + 1);
}

#define EXPECT(status, change)                  \
    do {                                        \
        busy();                                 \
        change;                                 \
        CHECK_EQ(restore(), SENTINEL_##status); \
    } while (0)

static void test_a_restored_state_decides_as_before(void) {
    busy();
    CHECK_OK(restore());
    CHECK_BYTES(copy, S.world.state, S.world.state_size);
    for (int64_t now = NOW + 100; now < NOW + 1000; now += 7) {
        buy_worth(3);
        sentinel_decision decision;
        memset(&decision, 0, sizeof decision);
        sentinel_policy_evaluate(&decision, &restored, &S.subject, now);
        sentinel_policy_debit(&restored, &S.subject, &decision, now);
        memset(&S.decision, 0, sizeof S.decision);
        CHECK_EQ(spend_at(now), decision.verdict);
        CHECK_BYTES(&S.decision, &decision, sizeof decision);
    }
    CHECK_BYTES(copy, S.world.state, S.world.state_size);
}

static void test_a_fresh_state_restores(void) {
    busy();
    scene_load();
    memcpy(copy, S.world.state, S.world.state_size);
    CHECK_OK(restore());
}

static void test_refuses_a_state_of_another_bundle_or_form(void) {
    EXPECT(FORMAT_MAGIC, head()->magic[7] = 0);
    EXPECT(FORMAT_VERSION, head()->version = 2);
    EXPECT(FORMAT_SIZE, head()->size_bytes += 8);
    EXPECT(AUDIT_SNAPSHOT, head()->policy_hash32[31] ^= 1);
    EXPECT(FORMAT_RANGE, head()->nodes += 8);
    EXPECT(FORMAT_RANGE, head()->instruments += 8);
    EXPECT(FORMAT_RANGE, head()->positions -= 8);
    EXPECT(FORMAT_RANGE, head()->agents += 8);
    EXPECT(FORMAT_RANGE, head()->instrument_marks -= 8);
    EXPECT(FORMAT_RANGE, head()->asset_marks = 0);
    EXPECT(FORMAT_RANGE, head()->book = UINT64_MAX);
    EXPECT(FORMAT_RANGE, head()->windows ^= 8);
    EXPECT(FORMAT_RANGE, head()->node_count++);
    EXPECT(FORMAT_RANGE, head()->agent_count++);
    EXPECT(FORMAT_RANGE, head()->instrument_count--);
    EXPECT(FORMAT_RANGE, head()->asset_count--);
    EXPECT(FORMAT_RANGE, head()->book_entries = 32);
    EXPECT(FORMAT_RANGE, head()->last_now_ns = -1);
    EXPECT(OK, head()->lease_until_ns = 0);
    EXPECT(FORMAT_RANGE, head()->lease_until_ns = -1);
    /* A count below what is stopped would let stops be overlooked. */
    EXPECT(FORMAT_RANGE, head()->stopped = 0);
    EXPECT(FORMAT_RANGE, head()->stopped--);
    EXPECT(FORMAT_RANGE, head()->stopped++);
}

static void test_takes_what_was_released_to_venues_that_exist(void) {
    for (unsigned venue = 0; venue < SENTINEL_VENUES_MAX; venue++) {
        int exists = venue != SENTINEL_VENUE_NONE && venue < SENTINEL_VENUE_COUNT;
        if (exists) {
            EXPECT(OK, head()->released.usable_until_ms[venue] = INT64_MAX);
        } else {
            EXPECT(FORMAT_RANGE, head()->released.usable_until_ms[venue] = 1);
        }
        EXPECT(FORMAT_RANGE, head()->released.usable_until_ms[venue] = -1);
    }
    EXPECT(OK, head()->released.nonce_next = UINT64_MAX);
}

static void test_refuses_memory_that_does_not_fit(void) {
    busy();
    build_world *w = &S.world;
    CHECK_EQ(sentinel_state_restore(&restored, &w->bundle, layout, w->layout_size - 1, copy,
                                    w->state_size),
             SENTINEL_POLICY_ARENA);
    CHECK_EQ(sentinel_state_restore(&restored, &w->bundle, layout, w->layout_size, copy,
                                    w->state_size - 8),
             SENTINEL_FORMAT_SIZE);
    CHECK_EQ(sentinel_state_restore(&restored, &w->bundle, layout, w->layout_size, copy + 1,
                                    w->state_size),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_state_restore(NULL, &w->bundle, layout, w->layout_size, copy, w->state_size),
             SENTINEL_USAGE_ARGUMENT);
}

static void test_refuses_counters_of_keys_that_are_no_table(void) {
    EXPECT(FORMAT_RANGE, head()->key_counters[2].uses = 1);
    EXPECT(FORMAT_ORDER, head()->key_counters[3].key = 63);
    EXPECT(FORMAT_ORDER, head()->key_counters[2].key = 61);
    EXPECT(OK, head()->key_counters[2].key = 63);
    EXPECT(FORMAT_ORDER, head()->key_counters[0] = (sentinel_key_counter){0});
    EXPECT(FORMAT_RESERVED, head()->key_counters[0].reserved[3] = 1);
}

static void test_refuses_agents_that_no_gate_leaves(void) {
    EXPECT(FORMAT_RANGE, agent(AGENT)->node = 1120);
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_seen = 4);     /* the highest is always seen */
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_seen = 8 | 1); /* action 0 */
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_highest = 0);
    EXPECT(FORMAT_RANGE, agent(OTHER)->id_seen = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->id_record[63] = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->id_parent[63] = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->id_parent_slot[63] = 1);
    EXPECT(OK, agent(AGENT)->id_parent[0] = 9; agent(AGENT)->id_parent_slot[0] = 64);
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_parent_slot[3] = 65);
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_parent[3] = 0); /* an action of nobody */
    EXPECT(OK, agent(AGENT)->id_parent_slot[3] = 0);
    EXPECT(OK, agent(AGENT)->id_highest = 64; agent(AGENT)->id_seen = UINT64_MAX);
    EXPECT(FORMAT_RANGE, agent(AGENT)->id_highest = 63; agent(AGENT)->id_seen = UINT64_MAX);
    EXPECT(FORMAT_RANGE, agent(AGENT)->attempts_since_ns = -1);
    EXPECT(FORMAT_RANGE, agent(AGENT)->suppressed_first_ns = 12);
    EXPECT(FORMAT_RANGE, agent(AGENT)->suppressed_first_ns = -1);
    EXPECT(OK, agent(AGENT)->suppressed_first_ns = 0);
    EXPECT(FORMAT_RANGE, agent(AGENT)->suppressed = 0);
    EXPECT(FORMAT_RANGE, agent(OTHER)->suppressed_last_ns = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->suppressed_reasons[1] = 1);
    EXPECT(FORMAT_RANGE, agent(AGENT)->beat_sequence = 0);
    EXPECT(OK, agent(AGENT)->beat_sequence = UINT64_MAX);
    EXPECT(FORMAT_RANGE, agent(AGENT)->beat_ns = 0); /* something runs, and nothing beat */
    EXPECT(OK, agent(AGENT)->beat_ns = 0; agent(AGENT)->iterations = 0;
           agent(AGENT)->running_since_ns = 0; agent(AGENT)->beat_deadline_ns = 0);
    EXPECT(FORMAT_RANGE, agent(AGENT)->running_since_ns = agent(AGENT)->beat_ns + 1);
    EXPECT(FORMAT_RANGE, agent(AGENT)->beat_deadline_ns += 1); /* not what its rules say */
    EXPECT(FORMAT_RANGE, head()->strangers.beat_deadline_ns = 1);
    EXPECT(FORMAT_RANGE, agent(AGENT)->beat_ns = -1);
    EXPECT(OK, agent(AGENT)->running_since_ns = 0);
    EXPECT(FORMAT_RANGE, agent(AGENT)->running_since_ns = -1);
    EXPECT(OK, agent(AGENT)->iterations = UINT64_MAX);
    EXPECT(FORMAT_RANGE, agent(OTHER)->beat_ns = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->iterations = 1);
    EXPECT(FORMAT_RANGE, agent(OTHER)->running_since_ns = 1);
    EXPECT(FORMAT_RANGE, head()->strangers.node = 1);
    EXPECT(FORMAT_RANGE, head()->strangers.id_seen = 1);
}

/* A stop is alike wherever it stands: here one that drains, and one that runs. */
#define EXPECT_STOP(drains, runs, number)                                                   \
    do {                                                                                    \
        EXPECT(FORMAT_RANGE, (drains)->id = (number) + 1);                                  \
        EXPECT(FORMAT_RANGE, (drains)->mode = SENTINEL_MODE_COUNT);                         \
        EXPECT(FORMAT_RANGE, (drains)->mode = SENTINEL_HALTED);                             \
        EXPECT(OK, (drains)->mode = SENTINEL_HALTED; (drains)->until_ns = 0);               \
        EXPECT(FORMAT_RANGE, (drains)->mode = SENTINEL_RUNNING);                            \
        EXPECT(FORMAT_RESERVED, (drains)->mode = SENTINEL_RUNNING; (drains)->until_ns = 0); \
        EXPECT(OK, (drains)->severity = 3);                                                 \
        EXPECT(FORMAT_RANGE, (drains)->severity = 4);                                       \
        EXPECT(OK, (drains)->cause = SENTINEL_CAUSE_COUNT - 1);                             \
        EXPECT(FORMAT_RANGE, (drains)->cause = SENTINEL_CAUSE_COUNT);                       \
        EXPECT(FORMAT_RESERVED, (drains)->cause = 0);                                       \
        EXPECT(OK, (drains)->since_ns = 0);                                                 \
        EXPECT(FORMAT_RANGE, (drains)->since_ns = -1);                                      \
        EXPECT(OK, (drains)->until_ns = 0);                                                 \
        EXPECT(OK, (drains)->until_ns = INT64_MAX);                                         \
        EXPECT(FORMAT_RANGE, (drains)->until_ns = -1);                                      \
        EXPECT(FORMAT_RESERVED, (drains)->reserved[0] = 1);                                 \
        EXPECT(FORMAT_RANGE, (runs)->until_ns = 1);                                         \
        EXPECT(FORMAT_RESERVED, (runs)->severity = 1);                                      \
        EXPECT(FORMAT_RESERVED, (runs)->cause = 1);                                         \
        EXPECT(FORMAT_RESERVED, (runs)->record = 1);                                        \
        EXPECT(FORMAT_RESERVED, (runs)->since_ns = 1);                                      \
        EXPECT(FORMAT_RESERVED, (runs)->reason_digest32[31] = 1);                           \
        EXPECT(FORMAT_RESERVED, (runs)->reserved[0] = 1);                                   \
    } while (0)

static void test_refuses_stops_that_no_command_leaves(void) {
    unsigned last = SENTINEL_VENUE_COUNT - 1;
    EXPECT_STOP(venue(last), venue(last - 1), last);
    EXPECT_STOP(instrument(1), instrument(0), S.world.bundle.instruments[1].id);
    for (unsigned i = 0; i < SENTINEL_VENUES_MAX; i++) {
        if (i == SENTINEL_VENUE_NONE || i > last) {
            EXPECT(FORMAT_RESERVED, venue(i)->id = i + 1);
            EXPECT(FORMAT_RESERVED, venue(i)->mode = SENTINEL_HALTED);
        } else {
            EXPECT(FORMAT_RANGE, venue(i)->id = 0);
        }
    }
    EXPECT(FORMAT_RANGE, node(FIRM)->id = 1001);
    EXPECT(FORMAT_RANGE, node(FIRM)->mode = SENTINEL_MODE_COUNT);
    EXPECT(FORMAT_RANGE, node(OTHER)->severity = 4);
    EXPECT(OK, node(OTHER)->severity = 3);
    EXPECT(FORMAT_RANGE, node(OTHER)->since_ns = -1);
    EXPECT(FORMAT_RANGE, node(OTHER)->until_ns = 1); /* halted is for good */
    EXPECT(FORMAT_RESERVED, node(OTHER)->reserved[0] = 1);
    EXPECT(FORMAT_RESERVED, node(OTHER)->cause = 0);
    EXPECT(FORMAT_RESERVED, node(OTHER)->mode = SENTINEL_RUNNING);
}

static void test_refuses_positions_out_of_range(void) {
    EXPECT(FORMAT_RANGE, position(1)->id++);
    EXPECT(OK, position(1)->scale = SENTINEL_SCALE_MAX);
    EXPECT(FORMAT_RANGE, position(1)->scale = SENTINEL_SCALE_MAX + 1);
    EXPECT(OK, position(1)->mantissa = INT64_MAX);
    EXPECT(OK, position(1)->mantissa = -INT64_MAX);
    EXPECT(FORMAT_RANGE, position(1)->mantissa = INT64_MIN);
    EXPECT(OK, position(1)->time_ns = 0);
    EXPECT(FORMAT_RANGE, position(1)->time_ns = -1);
    EXPECT(OK, position(1)->stated_ns = position(1)->time_ns = 7);
    EXPECT(FORMAT_RANGE, position(1)->stated_ns = 8; position(1)->time_ns = 7);
    EXPECT(FORMAT_RANGE, position(1)->stated_ns = -1);
    for (int i = 0; i < 3; i++) {
        EXPECT(FORMAT_RESERVED, position(1)->reserved[i] = 1);
    }
}

static void feeders_fill(uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) {
        head()->feeders[i] = (sentinel_feeder_state){.key = 100 + i, .sequence = 1};
    }
}

static void test_refuses_feeders_that_are_no_table(void) {
    EXPECT(OK, head()->feeders[0].sequence = UINT64_MAX);
    EXPECT(FORMAT_RANGE, head()->feeders[0].sequence = 0);
    EXPECT(FORMAT_RANGE, head()->feeders[1].key = 0);
    EXPECT(FORMAT_RANGE, head()->feeders[2].sequence = 1);
    EXPECT(FORMAT_ORDER, head()->feeders[1].key = 9);
    EXPECT(FORMAT_RANGE, head()->feeders[0] = (sentinel_feeder_state){0});
    EXPECT(FORMAT_RANGE, feeders_fill(3, 4));
    EXPECT(FORMAT_RANGE, head()->feeders[3].frame_hash32[31] = 1);
    EXPECT(OK, head()->feeders[0].frame_hash32[31]++);
    EXPECT(FORMAT_RESERVED, head()->feeders[31].reserved[3] = 1);
    EXPECT(OK, feeders_fill(2, SENTINEL_FEEDERS_MAX));
}

static void keep_destinations(uint32_t count, uint32_t next) {
    for (uint32_t i = 0; i < count; i++) {
        head()->destinations[i] = (sentinel_destination_state){.digest32 = {3}, .venue = 1};
    }
    head()->destination_next = next;
}

static void test_refuses_destinations_that_no_debit_leaves(void) {
    uint32_t most = SENTINEL_DESTINATIONS_KEPT;
    EXPECT(OK, keep_destinations(2, 2));
    EXPECT(FORMAT_RANGE, keep_destinations(2, 1));
    EXPECT(OK, keep_destinations(most, 0));
    EXPECT(OK, keep_destinations(most, most - 1));
    EXPECT(FORMAT_RANGE, keep_destinations(most, most));
    EXPECT(FORMAT_RANGE, head()->destinations[2] = head()->destinations[0];
           head()->destination_next = 2);
    EXPECT(FORMAT_RANGE, head()->destinations[0].venue = SENTINEL_VENUE_COUNT);
    EXPECT(FORMAT_RESERVED, head()->destinations[0].venue = 0);
    EXPECT(FORMAT_RESERVED, head()->destinations[0].reserved[5] = 1);
    EXPECT(FORMAT_RESERVED, head()->reserved1[3] = 1);
}

static sentinel_pending *pending(void) {
    return &head()->pending[2];
}

static void test_refuses_pending_orders_that_no_gate_leaves(void) {
    EXPECT(OK, memset(pending(), 0, sizeof *pending()); head()->pending_used = 0);
    EXPECT(FORMAT_RANGE, memset(pending(), 0, sizeof *pending()));
    EXPECT(FORMAT_RANGE, head()->pending_used = 0);
    EXPECT(FORMAT_RANGE, head()->pending_used |= UINT64_C(1) << 63);
    EXPECT(OK, pending()->quorum = 1);
    EXPECT(OK, pending()->status = SENTINEL_PENDING_REJECTED);
    EXPECT(FORMAT_RANGE, pending()->status = SENTINEL_PENDING_REJECTED + 1);
    EXPECT(FORMAT_RESERVED, pending()->status = 0; head()->pending_used = 0);
    EXPECT(FORMAT_RANGE, pending()->quorum = 0; pending()->approver_count = 0;
           pending()->approvers[0] = 0);
    EXPECT(OK, pending()->quorum = SENTINEL_APPROVERS_MAX);
    EXPECT(FORMAT_RANGE, pending()->quorum = SENTINEL_APPROVERS_MAX + 1);
    EXPECT(OK, pending()->approver_count = 2; pending()->approvers[1] = 8);
    EXPECT(OK, pending()->approver_count = 3; pending()->approvers[1] = 8;
           pending()->approvers[2] = 9);
    EXPECT(FORMAT_RANGE, pending()->approver_count = SENTINEL_APPROVERS_MAX + 1;
           memset(pending()->approvers, 1, sizeof pending()->approvers));
    EXPECT(FORMAT_RANGE, pending()->approver_count = 0);
    EXPECT(FORMAT_RANGE, pending()->approver_count = 2);
    EXPECT(FORMAT_RANGE, pending()->approvers[7] = 1);
    EXPECT(FORMAT_ORDER, pending()->approver_count = 2; pending()->approvers[1] = 7);
    EXPECT(FORMAT_ORDER, pending()[1] = *pending(); head()->pending_used |= 8);
    EXPECT(OK, pending()[1] = *pending(); pending()[1].action_id = 7; head()->pending_used |= 8);
    EXPECT(OK, pending()[1] = *pending(); pending()[1].agent = 7; head()->pending_used |= 8);
    EXPECT(OK, pending()->expires_ns = 1);
    EXPECT(FORMAT_RANGE, pending()->expires_ns = 0);
    EXPECT(FORMAT_RANGE, pending()->agent = 0);
    EXPECT(FORMAT_RANGE, pending()->action_id = 0);
    EXPECT(FORMAT_RANGE, pending()->record = 10); /* which is still to come */
    EXPECT(FORMAT_RESERVED, pending()->reserved0[0] = 1);
    EXPECT(FORMAT_RESERVED, head()->pending[0].order_digest32[31] = 1);
    EXPECT(FORMAT_RESERVED, head()->pending[63].record = 1);
}

static void test_refuses_marks_and_books_out_of_range(void) {
    EXPECT(FORMAT_RANGE, instrument_mark(0)->id = LINEAR);
    EXPECT(FORMAT_RANGE, instrument_mark(0)->kind = SENTINEL_MARK_ASSET);
    EXPECT(FORMAT_RANGE, asset_mark(1)->kind = SENTINEL_MARK_INSTRUMENT);
    EXPECT(FORMAT_RANGE, instrument_mark(0)->mantissa = 0);
    EXPECT(FORMAT_RANGE, instrument_mark(0)->mantissa = 10); /* not normalised */
    EXPECT(OK, asset_mark(1)->mantissa = 10);
    EXPECT(FORMAT_RANGE, instrument_mark(0)->scale = 19);
    EXPECT(FORMAT_RANGE, instrument_mark(1)->mantissa = 1);
    EXPECT(FORMAT_RANGE, asset_mark(0)->time_ns = 1);
    EXPECT(FORMAT_RESERVED, asset_mark(0)->reserved[0] = 1);
    EXPECT(FORMAT_RANGE, entry(3)->action_id = 4);
    EXPECT(OK, entry(3)->action_id = 67);
    EXPECT(FORMAT_RANGE, entry(3)->instrument = 0);
    EXPECT(FORMAT_RANGE, entry(3)->side = 0);
    EXPECT(FORMAT_RANGE, entry(3)->side = SENTINEL_SIDE_COUNT);
    EXPECT(FORMAT_RANGE, entry(3)->type = 0);
    EXPECT(FORMAT_RANGE, entry(3)->type = SENTINEL_TYPE_COUNT);
    EXPECT(FORMAT_RANGE, entry(3)->time_in_force = SENTINEL_TIF_COUNT);
    EXPECT(OK, entry(3)->time_in_force = SENTINEL_TIF_GTD);
    EXPECT(FORMAT_RANGE, entry(3)->reduce_only = 2);
    EXPECT(OK, entry(3)->reduce_only = 1);
    EXPECT(FORMAT_RESERVED, entry(4)->record = 1);
    EXPECT(OK, entry(3)->status = SENTINEL_ORDER_EXPIRED);
    EXPECT(FORMAT_RANGE, entry(3)->status = SENTINEL_ORDER_STATUS_COUNT);
    EXPECT(OK, entry(3)->reported_ns = INT64_MAX);
    EXPECT(FORMAT_RANGE, entry(3)->reported_ns = -1);
    EXPECT(FORMAT_RESERVED, entry(3)->reserved[5] = 1);
    EXPECT(OK, entry(3)->in_quote = 1);
    EXPECT(FORMAT_RANGE, entry(3)->in_quote = 2);
    EXPECT(OK, entry(3)->amended_by = UINT64_MAX);
    EXPECT(FORMAT_RESERVED, entry(4)->status = 1);
    for (int filled = 0; filled < 2; filled++) {
        EXPECT(OK, part(filled)->mantissa = INT64_MAX);
        EXPECT(FORMAT_RANGE, part(filled)->mantissa = -1);
        EXPECT(OK, part(filled)->scale = SENTINEL_SCALE_MAX);
        EXPECT(FORMAT_RANGE, part(filled)->scale = SENTINEL_SCALE_MAX + 1);
        EXPECT(FORMAT_RESERVED, part(filled)->reserved[6] = 1);
    }
}

static void test_refuses_sums_that_do_not_add_up(void) {
    EXPECT(FORMAT_RANGE, daily()->spent = -1);
    EXPECT(FORMAT_RANGE, daily()->day = -1);
    EXPECT(FORMAT_RANGE, daily()->day = INT64_MAX / BUILD_DAY_NS + 1);
    EXPECT(OK, daily()->day = INT64_MAX / BUILD_DAY_NS);
    EXPECT(FORMAT_RANGE, rolling()->sum++);
    EXPECT(FORMAT_RANGE, rolling()->buckets[0]++);
    EXPECT(OK, rolling()->sum++; rolling()->buckets[0]++);
    EXPECT(FORMAT_RANGE, rolling()->sum--; rolling()->buckets[0]--);
    EXPECT(FORMAT_RANGE, rolling()->newest = -1);
    EXPECT(FORMAT_RANGE, rolling()->newest = INT64_MAX / 10 + 1);
    EXPECT(FORMAT_RANGE, rolling()->buckets[0] = INT64_MAX; rolling()->buckets[65] = INT64_MAX;
           rolling()->sum = -2);
}

static void test_refuses_rings_that_debits_do_not_leave(void) {
    busy();
    CHECK(rate(3)->count == 4 && rate(3)->next == 3); /* seven events in a ring of four */
    EXPECT(FORMAT_RANGE, rate(3)->capacity = 3);
    EXPECT(FORMAT_RANGE, memset(rate(3), 0, 48); rate(3)->capacity = rate(3)->count = 3);
    EXPECT(FORMAT_RANGE, rate(3)->count = 5);
    EXPECT(FORMAT_RANGE, rate(3)->count = 2);
    EXPECT(FORMAT_RANGE, rate(3)->next = 4);
    EXPECT(FORMAT_RANGE, rate(3)->next = 2); /* times now fall */
    EXPECT(FORMAT_RANGE, memset(times(3), 0, 32); rate(3)->next = 4);
    EXPECT(OK, memset(times(3), 0, 32); rate(3)->next = 0);
    EXPECT(FORMAT_RANGE, times(3)[3] = -1);
    EXPECT(FORMAT_RANGE, times(3)[2] = times(3)[1] - 1);
    EXPECT(OK, times(3)[2] = times(3)[1]);
    EXPECT(FORMAT_RESERVED, rate(3)->count = 3; times(3)[0] = 1; times(3)[1] = 2; times(3)[2] = 3);
    EXPECT(FORMAT_RESERVED, rate(3)->reserved[0] = 1);
    EXPECT(FORMAT_RANGE, rate(4)->count = 1);
    EXPECT(FORMAT_RANGE, rate(4)->next = 1);
}

/* Any one byte changed: refused, or still a state that can be judged with. */
static void test_any_changed_byte_is_refused_or_harmless(void) {
    busy();
    size_t refused = 0;
    for (size_t i = 0; i < S.world.state_size; i++) {
        uint8_t before = copy[i];
        copy[i] ^= (uint8_t)(1u << i % 8);
        if (restore() != SENTINEL_OK) {
            refused++;
        } else {
            buy_worth(3);
            sentinel_policy_evaluate(&S.decision, &restored, &S.subject, NOW);
            CHECK(S.decision.verdict != SENTINEL_VERDICT_NONE);
        }
        copy[i] = before;
    }
    CHECK(refused > S.world.state_size / 2);
    CHECK_OK(restore());
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_restored_state_decides_as_before);
    RUN(test_a_fresh_state_restores);
    RUN(test_refuses_a_state_of_another_bundle_or_form);
    RUN(test_takes_what_was_released_to_venues_that_exist);
    RUN(test_refuses_memory_that_does_not_fit);
    RUN(test_refuses_counters_of_keys_that_are_no_table);
    RUN(test_refuses_agents_that_no_gate_leaves);
    RUN(test_refuses_stops_that_no_command_leaves);
    RUN(test_refuses_positions_out_of_range);
    RUN(test_refuses_feeders_that_are_no_table);
    RUN(test_refuses_pending_orders_that_no_gate_leaves);
    RUN(test_refuses_destinations_that_no_debit_leaves);
    RUN(test_refuses_marks_and_books_out_of_range);
    RUN(test_refuses_sums_that_do_not_add_up);
    RUN(test_refuses_rings_that_debits_do_not_leave);
    RUN(test_any_changed_byte_is_refused_or_harmless);
    free(copy);
    free(layout);
    return test_end();
}

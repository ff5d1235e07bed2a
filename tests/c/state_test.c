/* The state: how it is laid out, what a feed and a halt change, and what a new
 * version of the policy takes over. */
#include "policy_scene.h"

static sentinel_mark_state *mark_of_instrument(uint32_t index) {
    return (sentinel_mark_state *)((uint8_t *)S.world.state +
                                   S.world.view.state->instrument_marks) +
           index;
}

static sentinel_mark_state *mark_of_asset(uint32_t index) {
    return (sentinel_mark_state *)((uint8_t *)S.world.state + S.world.view.state->asset_marks) +
           index;
}

static void load(void) {
    scene_begin();
    scene_load();
}

/* What an order that is worth this much would come to, by kind. */
static int64_t value_of(unsigned kind, uint32_t node, int64_t amount, int64_t now_ns) {
    buy_worth(amount)->node = node;
    judge_at(now_ns);
    const sentinel_result *result = result_of(kind);
    CHECK(result != NULL);
    return result->value;
}

static void spend(uint32_t node, int64_t amount, int64_t now_ns) {
    buy_worth(amount)->node = node;
    CHECK_EQ(spend_at(now_ns), SENTINEL_ALLOWED);
    S.world.view.state->last_now_ns = now_ns;
}

/* ---- Layout -------------------------------------------------------------------- */

static void test_a_fresh_state_names_its_rows_and_nothing_else(void) {
    load();
    const sentinel_state *state = S.world.view.state;
    CHECK_BYTES(state->magic, "SENTSTAT", 8);
    CHECK_EQ(state->version, 1);
    CHECK_EQ(state->size_bytes, S.world.state_size);
    CHECK_BYTES(state->policy_hash32, S.world.bundle.hash32, 32);
    CHECK_EQ(state->agent_count, 2);
    CHECK_EQ(sentinel_view_node(&S.world.view, GROUP)->id, 1100);
    CHECK_EQ(sentinel_view_agent(&S.world.view, OTHER)->node, 1120);
    CHECK_EQ(mark_of_instrument(2)->id, INVERSE);
    CHECK_EQ(mark_of_asset(3)->id, ETH);
    CHECK(sentinel_view_node(&S.world.view, 4) == NULL);
    CHECK(sentinel_view_agent(&S.world.view, GROUP) == NULL);
    CHECK(sentinel_view_agent(&S.world.view, 4) == NULL);
    CHECK(sentinel_view_book(&S.world.view, FIRM, 1) == NULL);
    sentinel_book_entry *entry = sentinel_view_book(&S.world.view, AGENT, 1);
    CHECK(sentinel_view_book(&S.world.view, AGENT, 65) == entry);
    CHECK(sentinel_view_book(&S.world.view, AGENT, 64) == entry - 1);
    CHECK(sentinel_view_book(&S.world.view, OTHER, 1) != entry);
}

static void test_memory_that_is_too_small_or_unaligned_is_refused(void) {
    load();
    build_world *w = &S.world;
    sentinel_view view;
    CHECK_EQ(sentinel_state_make(&view, &w->bundle, w->layout, w->layout_size - 1, w->state,
                                 w->state_size, NULL),
             SENTINEL_POLICY_ARENA);
    CHECK_EQ(sentinel_state_make(&view, &w->bundle, w->layout, w->layout_size, w->state,
                                 w->state_size - 1, NULL),
             SENTINEL_POLICY_ARENA);
    CHECK_EQ(sentinel_state_make(&view, &w->bundle, (uint8_t *)w->layout + 4, w->layout_size,
                                 w->state, w->state_size, NULL),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_state_make(&view, &w->bundle, w->layout, w->layout_size, NULL, w->state_size,
                                 NULL),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(sentinel_state_make(NULL, &w->bundle, w->layout, w->layout_size, w->state,
                                 w->state_size, NULL),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_OK(sentinel_state_make(&view, &w->bundle, w->layout, w->layout_size, w->state,
                                 w->state_size, NULL));
}

static void test_two_nodes_or_constraints_may_not_share_an_id(void) {
    scene_begin();
    S.build.nodes[OTHER].id = 1000;
    world_free(&S.world);
    CHECK_EQ(world_make(&S.world, &S.build, NULL), SENTINEL_FORMAT_ORDER);
    scene_begin();
    add_bound(&S.build, 5, AGENT, SENTINEL_RULE_VALUE_CAP, 1);
    add_bound(&S.build, 1, OTHER, SENTINEL_RULE_VALUE_CAP, 1);
    world_free(&S.world);
    CHECK_EQ(world_make(&S.world, &S.build, NULL), SENTINEL_FORMAT_ORDER);
    S.build.constraints[2].id = 4;
    world_free(&S.world);
    CHECK_OK(world_make(&S.world, &S.build, NULL));
}

/* A bundle of many agents below one node and as many rate limits as asked
 * for, laid out by hand: the builder's tables are small. */
static uint64_t bytes_for_agents(uint32_t agents, uint32_t book_entries, uint8_t each, int64_t rate,
                                 uint32_t limits) {
    sentinel_policy policy = {.book_entries = book_entries};
    sentinel_node *nodes = calloc(agents + 1u, sizeof *nodes);
    sentinel_constraint *constraints = calloc(limits, sizeof *constraints);
    nodes[0].constraint_count = limits;
    for (uint32_t i = 0; i < limits; i++) {
        constraints[i] =
            (sentinel_constraint){.kind = SENTINEL_RULE_RATE_LIMIT, .each = each, .bound = rate};
    }
    for (uint32_t i = 1; i <= agents; i++) {
        nodes[i].kind = SENTINEL_NODE_AGENT;
        nodes[i].depth = 1;
    }
    sentinel_bundle bundle = {.policy = &policy,
                              .nodes = nodes,
                              .node_count = agents + 1,
                              .constraints = constraints,
                              .constraint_count = limits};
    uint64_t size = sentinel_state_bytes(&bundle);
    free(nodes);
    free(constraints);
    return size;
}

static void test_a_hundred_thousand_agents_fit(void) {
    uint64_t fixed = sizeof(sentinel_state) + 100001 * sizeof(sentinel_stop_state) +
                     100000 * sizeof(sentinel_agent_state);
    uint64_t window = sizeof(sentinel_rate_state) + 8000;
    CHECK_EQ(bytes_for_agents(100000, 1, SENTINEL_SHARED, 1000, 1),
             fixed + 100000 * sizeof(sentinel_book_entry) + window);
    CHECK_EQ(bytes_for_agents(100000, 64, SENTINEL_EACH_AGENT, 1000, 2),
             fixed + 100000 * (64 * sizeof(sentinel_book_entry) + 2 * window));
}

/* 2^17 - 1 agents with a largest window each: 2^37 bytes and a little. */
static void test_a_state_above_its_limit_is_refused(void) {
    uint32_t agents = SENTINEL_NODES_MAX - 1;
    CHECK(bytes_for_agents(agents, 1, SENTINEL_EACH_AGENT, SENTINEL_RATE_EVENTS_MAX, 7) <
          SENTINEL_STATE_BYTES_MAX);
    CHECK(bytes_for_agents(agents, 1, SENTINEL_EACH_AGENT, SENTINEL_RATE_EVENTS_MAX, 7) > 0);
    CHECK_EQ(bytes_for_agents(agents, 1, SENTINEL_EACH_AGENT, SENTINEL_RATE_EVENTS_MAX, 8), 0);
    CHECK_EQ(bytes_for_agents(agents, SENTINEL_BOOK_ENTRIES_MAX, SENTINEL_EACH_AGENT,
                              SENTINEL_RATE_EVENTS_MAX, SENTINEL_CHAIN_CONSTRAINTS_MAX),
             0);
}

/* ---- Feeds and halts ------------------------------------------------------------ */

static void test_a_mark_is_kept_normalised_and_replaced_by_later_ones(void) {
    load();
    mark_instrument(LINEAR, decimal(6500010, 3), 50);
    CHECK_EQ(mark_of_instrument(1)->mantissa, 650001);
    CHECK_EQ(mark_of_instrument(1)->scale, 2);
    CHECK_EQ(mark_of_instrument(1)->time_ns, 50);
    CHECK_EQ(mark_of_instrument(1)->kind, SENTINEL_MARK_INSTRUMENT);
    mark_instrument(LINEAR, decimal(7, 0), 49);
    CHECK_EQ(mark_of_instrument(1)->mantissa, 650001);
    mark_instrument(LINEAR, decimal(7, 0), 50);
    CHECK_EQ(mark_of_instrument(1)->mantissa, 7);
    mark_asset(ETH, decimal(3, 1), 1);
    CHECK_EQ(mark_of_asset(3)->mantissa, 3);
    CHECK_EQ(mark_of_asset(3)->kind, SENTINEL_MARK_ASSET);
}

static void test_marks_of_unknown_rows_and_kinds_are_skipped(void) {
    load();
    void *before = malloc(S.world.state_size);
    memcpy(before, S.world.state, S.world.state_size);
    mark_instrument(LINEAR + 1, decimal(1, 0), 1);
    mark_asset(99, decimal(1, 0), 1);
    feed_mark(&S.world.view, 0, SPOT, decimal(1, 0), 1);
    feed_mark(&S.world.view, 3, BTC, decimal(1, 0), 1);
    mark_instrument(SPOT, decimal(0, 0), 1);
    mark_instrument(SPOT, decimal(-1, 0), 1);
    mark_instrument(SPOT, decimal(1, 19), 1);
    /* Bytes that end before the rows they promise. */
    sentinel_feed feed = {.kind = SENTINEL_FEED_MARK, .count = 64};
    sentinel_policy_feed(&S.world.view, (const uint8_t *)&feed, sizeof feed);
    sentinel_policy_feed(&S.world.view, (const uint8_t *)&feed, sizeof feed - 1);
    int same = memcmp(before, S.world.state, S.world.state_size) == 0;
    free(before);
    CHECK(same);
}

static void test_a_feed_takes_all_its_marks(void) {
    load();
    struct {
        sentinel_feed feed;
        sentinel_mark marks[2];
    } payload = {
        .feed = {.kind = SENTINEL_FEED_MARK, .count = 2},
        .marks = {{.kind = SENTINEL_MARK_ASSET, .id = BTC, .price = {.mantissa = 2}},
                  {.kind = SENTINEL_MARK_ASSET, .id = ETH, .price = {.mantissa = 3}}},
    };
    sentinel_policy_feed(&S.world.view, (const uint8_t *)&payload, sizeof payload);
    CHECK_EQ(mark_of_asset(1)->mantissa, 2);
    CHECK_EQ(mark_of_asset(3)->mantissa, 3);
}

static void test_a_halt_says_why_and_a_release_leaves_nothing(void) {
    load();
    uint8_t digest32[32] = {9};
    test_halt(&S.world.view, GROUP, 1, 77, NOW, 3, digest32);
    const sentinel_stop_state *node = sentinel_view_node(&S.world.view, GROUP);
    CHECK_EQ(node->mode, SENTINEL_HALTED);
    CHECK_EQ(node->record, 77);
    CHECK_EQ(node->since_ns, NOW);
    CHECK_EQ(node->severity, 3);
    CHECK_BYTES(node->reason_digest32, digest32, 32);
    test_halt(&S.world.view, GROUP, 0, 78, NOW, 3, digest32);
    sentinel_stop_state clear = {.id = 1100};
    CHECK_BYTES(node, &clear, sizeof clear);
    test_halt(&S.world.view, 4, 1, 77, NOW, 3, digest32); /* no such node */
}

/* ---- A new version ---------------------------------------------------------------- */

static void test_what_is_the_engines_is_carried_over(void) {
    load();
    sentinel_state *state = S.world.view.state;
    state->halted = 0x0801;
    state->record_count = 5;
    state->epoch = 6;
    state->last_now_ns = 7;
    state->sequences[SENTINEL_FRAME_COMMAND] = 8;
    state->last_hash32[0] = 9;
    state->engine_id32[0] = 10;
    state->limit_hash32[0] = 11;
    state->authority_hash32[0] = 12;
    state->key_counters[0] = (sentinel_key_counter){.key = 13, .uses = 14};
    state->strangers.attempts = 15;
    state->lease_until_ns = 16;
    sentinel_view_venue(&S.world.view, SENTINEL_VENUE_OKX)->record = 17;
    state->feeders[31].sequence = 18;
    state->pending[63].record = 19;
    state->released.nonce_next = 20;
    CHECK_OK(scene_reload());
    state = S.world.view.state;
    CHECK_EQ(state->halted, 0x0801);
    CHECK_EQ(state->record_count, 5);
    CHECK_EQ(state->epoch, 6);
    CHECK_EQ(state->last_now_ns, 7);
    CHECK_EQ(state->sequences[SENTINEL_FRAME_COMMAND], 8);
    CHECK(state->last_hash32[0] == 9 && state->engine_id32[0] == 10);
    CHECK(state->limit_hash32[0] == 11 && state->authority_hash32[0] == 12);
    CHECK(state->key_counters[0].key == 13 && state->key_counters[0].uses == 14);
    CHECK_EQ(state->strangers.attempts, 15);
    CHECK_EQ(state->lease_until_ns, 16);
    CHECK_EQ(sentinel_view_venue(&S.world.view, SENTINEL_VENUE_OKX)->record, 17);
    CHECK_EQ(sentinel_view_venue(&S.world.view, SENTINEL_VENUE_OKX)->id, SENTINEL_VENUE_OKX);
    CHECK_EQ(state->feeders[31].sequence, 18);
    CHECK_EQ(state->pending[63].record, 19);
    CHECK_EQ(state->released.nonce_next, 20);
    CHECK_BYTES(state->policy_hash32, S.world.bundle.hash32, 32);
}

static void test_nodes_agents_and_marks_are_carried_over_by_id(void) {
    load();
    uint8_t digest32[32] = {1};
    test_halt(&S.world.view, AGENT, 1, 7, NOW, 2, digest32);
    sentinel_view_agent(&S.world.view, OTHER)->id_highest = 55;
    mark_instrument(INVERSE, decimal(5, 0), NOW);
    mark_asset(WBTC, decimal(6, 0), NOW);
    /* The nodes change places; a new instrument and a new asset come first. */
    S.build.nodes[AGENT].id = 1120;
    S.build.nodes[OTHER].id = 1110;
    S.build.instruments[0].id = 9;
    S.build.assets[3].id = 5;
    CHECK_OK(scene_reload());
    CHECK_EQ(sentinel_view_node(&S.world.view, OTHER)->mode, SENTINEL_HALTED);
    CHECK_EQ(sentinel_view_node(&S.world.view, OTHER)->record, 7);
    CHECK_EQ(sentinel_view_node(&S.world.view, AGENT)->mode, SENTINEL_RUNNING);
    CHECK_EQ(sentinel_view_agent(&S.world.view, AGENT)->id_highest, 55);
    CHECK_EQ(sentinel_view_agent(&S.world.view, AGENT)->node, 1120);
    CHECK_EQ(mark_of_instrument(2)->mantissa, 5);
    CHECK_EQ(mark_of_instrument(0)->kind, 0);
    CHECK_EQ(mark_of_asset(2)->mantissa, 6);
    CHECK_EQ(mark_of_asset(3)->kind, 0);
}

static void test_a_halted_node_may_not_be_left_out(void) {
    load();
    uint8_t digest32[32] = {1};
    S.build.nodes[OTHER].id = 1130; /* the node 1120 is left out */
    build_world next;
    CHECK_OK(world_make(&next, &S.build, &S.world));
    world_free(&next);
    test_halt(&S.world.view, OTHER, 1, 7, NOW, 2, digest32);
    CHECK_EQ(world_make(&next, &S.build, &S.world), SENTINEL_FORMAT_REFERENCE);
    world_free(&next);
    test_halt(&S.world.view, OTHER, 0, 8, NOW, 0, digest32);
    CHECK_OK(world_make(&next, &S.build, &S.world));
    world_free(&next);
}

static void test_an_agent_that_becomes_a_group_loses_its_ids_and_may_not_be_halted(void) {
    for (int halted = 0; halted < 2; halted++) {
        load();
        uint8_t digest32[32] = {1};
        test_halt(&S.world.view, OTHER, halted, 7, NOW, 2, digest32);
        S.build.nodes[OTHER].kind = SENTINEL_NODE_GROUP;
        build_world next;
        CHECK_EQ(world_make(&next, &S.build, &S.world),
                 halted ? SENTINEL_FORMAT_REFERENCE : SENTINEL_OK);
        CHECK(halted || sentinel_view_agent(&next.view, OTHER) == NULL);
        world_free(&next);
    }
}

/* A group's halt holds for the agents that were below it. */
static void test_an_agent_may_not_move_away_from_under_a_halt(void) {
    static const uint32_t halts[] = {FIRM, GROUP, AGENT};
    for (size_t i = 0; i < 3; i++) {
        load();
        uint8_t digest32[32] = {1};
        S.build.nodes[AGENT].parent = FIRM;
        S.build.nodes[AGENT].depth = 1;
        build_world next;
        CHECK_OK(world_make(&next, &S.build, &S.world));
        world_free(&next);
        test_halt(&S.world.view, halts[i], 1, 7, NOW, 2, digest32);
        CHECK_EQ(world_make(&next, &S.build, &S.world),
                 halts[i] == GROUP ? SENTINEL_FORMAT_REFERENCE : SENTINEL_OK);
        world_free(&next);
    }
}

static void stop(sentinel_stop_state *place, uint8_t mode) {
    sentinel_stop_state how = {
        .mode = mode, .cause = SENTINEL_CAUSE_OPERATOR, .record = 7, .since_ns = NOW};
    sentinel_stop_set(&S.world.view, place, &how);
}

/* From under a group that does one thing to one that does another. */
static void test_an_agent_may_not_move_to_where_less_is_stopped(void) {
    for (uint8_t from = 0; from < SENTINEL_MODE_COUNT; from++) {
        for (uint8_t to = 0; to < SENTINEL_MODE_COUNT; to++) {
            scene_begin();
            uint32_t other = add_node(&S.build, 1200, SENTINEL_NODE_GROUP, FIRM);
            uint32_t mover = add_node(&S.build, 1210, SENTINEL_NODE_AGENT, GROUP);
            scene_load();
            stop(sentinel_view_node(&S.world.view, GROUP), from);
            stop(sentinel_view_node(&S.world.view, other), to);
            S.build.nodes[mover].parent = other;
            build_world next;
            CHECK_EQ(world_make(&next, &S.build, &S.world),
                     from > to ? SENTINEL_FORMAT_REFERENCE : SENTINEL_OK);
            world_free(&next);
        }
    }
}

static const sentinel_instrument *instrument_at(const build_world *world, uint32_t id) {
    return sentinel_bundle_instrument(&world->bundle, id);
}

static void test_instruments_keep_their_stop_and_position_by_id(void) {
    load();
    sentinel_view *view = &S.world.view;
    stop(sentinel_view_instrument(view, instrument_at(&S.world, INVERSE)), SENTINEL_HALTED);
    sentinel_view_position(view, instrument_at(&S.world, INVERSE))->mantissa = -5;
    S.build.instruments[0].id = 9;
    CHECK_OK(scene_reload());
    CHECK_EQ(sentinel_view_instrument(view, instrument_at(&S.world, INVERSE))->mode,
             SENTINEL_HALTED);
    CHECK_EQ(sentinel_view_position(view, instrument_at(&S.world, INVERSE))->mantissa, -5);
    CHECK_EQ(sentinel_view_instrument(view, instrument_at(&S.world, 9))->id, 9);
    CHECK_EQ(sentinel_view_position(view, instrument_at(&S.world, 9))->id, 9);
    for (int mode = SENTINEL_HALTED; mode >= SENTINEL_RUNNING; mode--) {
        stop(sentinel_view_instrument(view, instrument_at(&S.world, 9)), (uint8_t)mode);
        S.build.instruments[0].id = 8; /* 9 is left out */
        build_world next;
        CHECK_EQ(world_make(&next, &S.build, &S.world),
                 mode != SENTINEL_RUNNING ? SENTINEL_FORMAT_REFERENCE : SENTINEL_OK);
        world_free(&next);
    }
}

static void test_what_does_not_run_is_counted(void) {
    load();
    sentinel_view *view = &S.world.view;
    sentinel_stop_state *places[] = {
        sentinel_view_node(view, AGENT),
        sentinel_view_venue(view, SENTINEL_VENUE_COUNT - 1),
        sentinel_view_instrument(view, instrument_at(&S.world, INVERSE)),
    };
    CHECK_EQ(view->state->stopped, 0);
    stop(places[0], SENTINEL_RUNNING); /* as it was */
    CHECK_EQ(view->state->stopped, 0);
    for (uint32_t i = 0; i < 3; i++) {
        stop(places[i], SENTINEL_DRAINING);
        CHECK_EQ(view->state->stopped, i + 1);
        stop(places[i], SENTINEL_HALTED); /* once, however often it is stopped */
        CHECK_EQ(view->state->stopped, i + 1);
    }
    CHECK_OK(scene_reload());
    CHECK_EQ(view->state->stopped, 3);
    stop(sentinel_view_node(view, AGENT), SENTINEL_RUNNING);
    CHECK_EQ(view->state->stopped, 2);
    stop(sentinel_view_venue(view, SENTINEL_VENUE_COUNT - 1), SENTINEL_RUNNING);
    stop(sentinel_view_instrument(view, instrument_at(&S.world, INVERSE)), SENTINEL_RUNNING);
    CHECK_EQ(view->state->stopped, 0);
}

static void test_a_drain_past_its_end_is_a_halt(void) {
    sentinel_stop_state how = {.mode = SENTINEL_DRAINING, .until_ns = NOW};
    CHECK_EQ(sentinel_stop_mode(&how, NOW - 1), SENTINEL_DRAINING);
    CHECK_EQ(sentinel_stop_mode(&how, NOW), SENTINEL_HALTED);
    how.until_ns = 0;
    CHECK_EQ(sentinel_stop_mode(&how, INT64_MAX), SENTINEL_DRAINING);
    how.mode = SENTINEL_RUNNING;
    CHECK_EQ(sentinel_stop_mode(&how, NOW), SENTINEL_RUNNING);
    how.mode = SENTINEL_HALTED;
    CHECK_EQ(sentinel_stop_mode(&how, NOW), SENTINEL_HALTED);
}

static void test_venues_that_do_not_exist_have_no_stop(void) {
    load();
    CHECK(sentinel_view_venue(&S.world.view, SENTINEL_VENUE_NONE) == NULL);
    CHECK(sentinel_view_venue(&S.world.view, SENTINEL_VENUE_COUNT) == NULL);
    for (uint16_t venue = 1; venue < SENTINEL_VENUE_COUNT; venue++) {
        CHECK_EQ(sentinel_view_venue(&S.world.view, venue)->id, venue);
    }
}

static void test_books_of_another_size_keep_the_higher_action_ids(void) {
    load();
    for (uint64_t id = 37; id <= 100; id++) {
        *sentinel_view_book(&S.world.view, AGENT, id) =
            (sentinel_book_entry){.action_id = id, .record = id + 1000, .instrument = SPOT};
    }
    CHECK_OK(scene_reload());
    CHECK_EQ(sentinel_view_book(&S.world.view, AGENT, 37)->record, 1037);
    S.build.policy.book_entries = 16;
    CHECK_OK(scene_reload());
    for (uint64_t id = 85; id <= 100; id++) {
        CHECK_EQ(sentinel_view_book(&S.world.view, AGENT, id)->action_id, id);
        CHECK_EQ(sentinel_view_book(&S.world.view, AGENT, id)->record, id + 1000);
    }
    S.build.policy.book_entries = 128;
    CHECK_OK(scene_reload());
    CHECK_EQ(sentinel_view_book(&S.world.view, AGENT, 85)->action_id, 85);
    CHECK_EQ(sentinel_view_book(&S.world.view, AGENT, 84)->action_id, 0);
    CHECK_EQ(sentinel_view_book(&S.world.view, OTHER, 85)->action_id, 0);
}

static void with_windows(uint8_t each) {
    scene_begin();
    bundle_build *b = &S.build;
    add_bound(b, 20, GROUP, SENTINEL_RULE_DAILY_LIMIT, 1000)->each = each;
    add_window(b, 21, GROUP, SENTINEL_RULE_ROLLING_CAP, 1000, 640)->each = each;
    add_window(b, 22, GROUP, SENTINEL_RULE_RATE_LIMIT, 8, 640)->each = each;
    scene_load();
    for (int i = 0; i < 4; i++) {
        spend(AGENT, 10, NOW + 10 * i);
    }
    spend(OTHER, 5, NOW + 40);
}

static void test_windows_are_carried_over_as_they_are(void) {
    with_windows(SENTINEL_SHARED);
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_DAILY_LIMIT, AGENT, 0, NOW + 41), 45);
    CHECK_EQ(value_of(SENTINEL_RULE_ROLLING_CAP, AGENT, 0, NOW + 41), 45);
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 41), 6);
    CHECK_EQ(value_of(SENTINEL_RULE_ROLLING_CAP, AGENT, 0, NOW + 659), 25);
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 650), 4);
}

static void test_windows_of_each_agent_are_carried_over_by_agent(void) {
    with_windows(SENTINEL_EACH_AGENT);
    S.build.nodes[AGENT].id = 1120; /* they change places */
    S.build.nodes[OTHER].id = 1110;
    CHECK_OK(scene_reload());
    for (unsigned kind = SENTINEL_RULE_DAILY_LIMIT; kind <= SENTINEL_RULE_ROLLING_CAP; kind++) {
        CHECK_EQ(value_of(kind, OTHER, 0, NOW + 41), 40);
        CHECK_EQ(value_of(kind, AGENT, 0, NOW + 41), 5);
    }
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, OTHER, 0, NOW + 41), 5);
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 41), 2);
}

/* The windows follow the constraint's id to another row, and the agent only
 * where it was below the constraint's node. */
static void test_windows_follow_their_constraints_to_other_nodes(void) {
    scene_begin();
    add_bound(&S.build, 20, AGENT, SENTINEL_RULE_DAILY_LIMIT, 1000)->each = SENTINEL_EACH_AGENT;
    scene_load();
    spend(AGENT, 10, NOW);
    scene_begin();
    add_bound(&S.build, 19, GROUP, SENTINEL_RULE_VALUE_CAP, 1000);
    add_bound(&S.build, 20, GROUP, SENTINEL_RULE_DAILY_LIMIT, 500)->each = SENTINEL_EACH_AGENT;
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_DAILY_LIMIT, AGENT, 0, NOW), 10);
    CHECK_EQ(value_of(SENTINEL_RULE_DAILY_LIMIT, OTHER, 0, NOW), 0);
}

static void test_windows_of_another_kind_each_or_id_begin_afresh(void) {
    for (int change = 0; change < 3; change++) {
        with_windows(SENTINEL_SHARED);
        if (change == 0) {
            S.build.constraints[2].kind = SENTINEL_RULE_RATE_LIMIT;
        } else if (change == 1) {
            S.build.constraints[2].each = SENTINEL_EACH_AGENT;
        } else {
            S.build.constraints[2].id = 30;
        }
        CHECK_OK(scene_reload());
        buy_worth(0);
        judge_at(NOW + 41);
        CHECK_EQ(S.decision.results[3].value, change == 0); /* the order itself is an event */
        CHECK_EQ(S.decision.results[2].value, 45);          /* its neighbour is as it was */
        CHECK_EQ(S.decision.results[4].value, 6);
    }
}

/* All that counts at the state's last time is spent at that time. */
static void test_a_rolling_cap_of_another_length_keeps_all_that_counts(void) {
    with_windows(SENTINEL_SHARED);
    spend(AGENT, 1, NOW + 669); /* what was spent up to NOW + 20 counts no more */
    S.build.constraints[2].window_ns = 6400;
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_ROLLING_CAP, AGENT, 0, NOW + 669), 16);
    int64_t last = (NOW + 669) / 100 * 100 + 99 + 6399;
    CHECK_EQ(value_of(SENTINEL_RULE_ROLLING_CAP, AGENT, 0, last), 16);
    CHECK_EQ(value_of(SENTINEL_RULE_ROLLING_CAP, AGENT, 0, last + 1), 0);
}

static void test_a_rate_limit_with_a_lower_bound_keeps_the_latest_events(void) {
    with_windows(SENTINEL_SHARED); /* events at 0, 10, 20, 30, 40 */
    S.build.constraints[3].bound = 3;
    CHECK_OK(scene_reload());
    buy_worth(0);
    judge_at(NOW + 50);
    CHECK_EQ(result_of(SENTINEL_RULE_RATE_LIMIT)->value, 4);
    CHECK_EQ(retry_of(SENTINEL_RULE_RATE_LIMIT), NOW + 20 + 640);
    S.build.constraints[3].bound = 8; /* what was dropped does not come back */
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 50), 4);
    S.build.constraints[3].bound = 0;
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 50), 1);
}

static void test_a_full_ring_is_carried_over_in_order(void) {
    scene_begin();
    add_window(&S.build, 22, AGENT, SENTINEL_RULE_RATE_LIMIT, 3, 25);
    scene_load();
    for (int i = 0; i < 10; i++) {
        spend(AGENT, 0, NOW + 10 * i); /* two of three count each time */
    }
    S.build.constraints[1].bound = 5;
    CHECK_OK(scene_reload());
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 91), 4);
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 95), 3);
    CHECK_EQ(value_of(SENTINEL_RULE_RATE_LIMIT, AGENT, 0, NOW + 115), 1);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_a_fresh_state_names_its_rows_and_nothing_else);
    RUN(test_memory_that_is_too_small_or_unaligned_is_refused);
    RUN(test_two_nodes_or_constraints_may_not_share_an_id);
    RUN(test_a_hundred_thousand_agents_fit);
    RUN(test_a_state_above_its_limit_is_refused);
    RUN(test_a_mark_is_kept_normalised_and_replaced_by_later_ones);
    RUN(test_marks_of_unknown_rows_and_kinds_are_skipped);
    RUN(test_a_feed_takes_all_its_marks);
    RUN(test_a_halt_says_why_and_a_release_leaves_nothing);
    RUN(test_what_is_the_engines_is_carried_over);
    RUN(test_nodes_agents_and_marks_are_carried_over_by_id);
    RUN(test_a_halted_node_may_not_be_left_out);
    RUN(test_an_agent_that_becomes_a_group_loses_its_ids_and_may_not_be_halted);
    RUN(test_an_agent_may_not_move_away_from_under_a_halt);
    RUN(test_an_agent_may_not_move_to_where_less_is_stopped);
    RUN(test_instruments_keep_their_stop_and_position_by_id);
    RUN(test_what_does_not_run_is_counted);
    RUN(test_a_drain_past_its_end_is_a_halt);
    RUN(test_venues_that_do_not_exist_have_no_stop);
    RUN(test_books_of_another_size_keep_the_higher_action_ids);
    RUN(test_windows_are_carried_over_as_they_are);
    RUN(test_windows_of_each_agent_are_carried_over_by_agent);
    RUN(test_windows_follow_their_constraints_to_other_nodes);
    RUN(test_windows_of_another_kind_each_or_id_begin_afresh);
    RUN(test_a_rolling_cap_of_another_length_keeps_all_that_counts);
    RUN(test_a_rate_limit_with_a_lower_bound_keeps_the_latest_events);
    RUN(test_a_full_ring_is_carried_over_in_order);
    return test_end();
}

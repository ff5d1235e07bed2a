/* What a policy bundle may not say.
 *
 * Goal: nothing reaches evaluation that a row, reference, range or reserved
 * byte makes doubtful. Method: one bundle with a row of every table; each test
 * breaks one thing in it and names the status. */
#include "policy_scene.h"

static bundle_build B;

static void full_begin(void) {
    bundle_full(&B);
}

static sentinel_constraint *of_kind(unsigned kind) {
    sentinel_constraint *row = B.constraints;
    while (row->kind != kind) {
        row++;
    }
    return row;
}

static uint32_t rows(void) {
    return B.counts[SENTINEL_SECTION_CONSTRAINTS];
}

static sentinel_status checked(void) {
    sentinel_bundle bundle;
    return bundle_pack_check(&B, &bundle);
}

#define EXPECT(status, change)                  \
    do {                                        \
        full_begin();                           \
        change;                                 \
        CHECK_EQ(checked(), SENTINEL_##status); \
    } while (0)

static void test_takes_one_of_everything_and_finds_rows_by_id(void) {
    full_begin();
    sentinel_bundle bundle;
    CHECK_OK(bundle_pack_check(&B, &bundle));
    CHECK(sentinel_bundle_instrument(&bundle, SPOT) == &bundle.instruments[0]);
    CHECK(sentinel_bundle_instrument(&bundle, QUANTO) == &bundle.instruments[4]);
    CHECK(sentinel_bundle_asset(&bundle, BTC) == &bundle.assets[1]);
    CHECK(sentinel_bundle_network(&bundle, NETWORK + 1) == &bundle.networks[1]);
    CHECK(sentinel_bundle_key(&bundle, 61) == &bundle.keys[0]);
    CHECK_EQ(sentinel_bundle_node(&bundle, 1110), 2);
    CHECK(sentinel_bundle_instrument(&bundle, 11) == NULL);
    CHECK(sentinel_bundle_asset(&bundle, 0) == NULL);
    CHECK(sentinel_bundle_network(&bundle, 0xffffffff) == NULL);
    CHECK(sentinel_bundle_key(&bundle, 63) == NULL);
    CHECK_EQ(sentinel_bundle_node(&bundle, 1111), SENTINEL_NODE_NONE);
    CHECK_EQ(sentinel_bundle_check(NULL, B.frame, B.frame_size), SENTINEL_USAGE_ARGUMENT);
}

static void test_a_firm_alone_is_a_bundle(void) {
    bundle_begin(&B);
    CHECK_OK(checked());
    memset(B.counts, 0, sizeof B.counts); /* and nothing at all is none */
    CHECK_EQ(checked(), SENTINEL_FORMAT_RANGE);
}

/* ---- The payload's beginning and its sections ---------------------------------- */

static void test_refuses_what_the_policy_itself_may_not_say(void) {
    EXPECT(POLICY_SEMANTICS, B.policy.semantics_version = 2);
    EXPECT(POLICY_SEMANTICS, B.policy.semantics_version = 0);
    EXPECT(FORMAT_RANGE, B.policy.attempt_limit = 0);
    EXPECT(FORMAT_RANGE, B.policy.attempt_interval_ns = 0);
    EXPECT(FORMAT_RANGE, B.policy.clock_tolerance_ns = -1);
    EXPECT(OK, B.policy.clock_tolerance_ns = 0);
    EXPECT(FORMAT_RANGE, B.policy.mark_max_age_ns = 0);
    EXPECT(OK, B.policy.mark_max_age_ns = 1);
    EXPECT(FORMAT_RANGE, B.policy.market_band_ppm = 1000000);
    EXPECT(OK, B.policy.market_band_ppm = 999999);
    EXPECT(FORMAT_RANGE, B.policy.book_entries = 0);
    EXPECT(FORMAT_RANGE, B.policy.book_entries = 63);
    EXPECT(OK, B.policy.book_entries = SENTINEL_BOOK_ENTRIES_MAX);
    EXPECT(FORMAT_RANGE, B.policy.book_entries = 2 * SENTINEL_BOOK_ENTRIES_MAX);
}

/* Changes the packed frame instead of the rows. */
#define EXPECT_PACKED(status, change)                                                       \
    do {                                                                                    \
        full_begin();                                                                       \
        bundle_pack(&B);                                                                    \
        sentinel_frame_header *header = (sentinel_frame_header *)B.frame;                   \
        sentinel_policy *policy = (sentinel_policy *)(B.frame + sizeof *header);            \
        sentinel_bundle bundle;                                                             \
        (void)policy;                                                                       \
        change;                                                                             \
        CHECK_EQ(sentinel_bundle_check(&bundle, B.frame, B.frame_size), SENTINEL_##status); \
    } while (0)

static void test_refuses_sections_that_are_not_in_their_places(void) {
    for (unsigned i = 0; i < SENTINEL_SECTION_COUNT; i++) {
        EXPECT_PACKED(FORMAT_RANGE, policy->sections[i].offset += 8);
        EXPECT_PACKED(FORMAT_RANGE, policy->sections[i].offset -= 8);
        EXPECT_PACKED(FORMAT_RANGE, policy->sections[i].offset += 1);
        EXPECT_PACKED(FORMAT_RANGE, policy->sections[i].offset = 0);
        EXPECT_PACKED(FORMAT_LIMIT, policy->sections[i].count = 0xffffffff);
    }
    EXPECT_PACKED(FORMAT_SIZE, policy->sections[SENTINEL_SECTION_TEXT].count += 8);
    EXPECT_PACKED(FORMAT_SIZE, policy->sections[SENTINEL_SECTION_TEXT].count = 0);
    EXPECT_PACKED(FORMAT_SIZE, header->size_bytes = sizeof *header + sizeof *policy - 8);
}

static void test_refuses_a_table_larger_than_its_limit(void) {
    static const uint32_t limits[SENTINEL_SECTION_COUNT] = {
        SENTINEL_NODES_MAX,       SENTINEL_ASSETS_MAX,       SENTINEL_NETWORKS_MAX,
        SENTINEL_INSTRUMENTS_MAX, SENTINEL_KEYS_MAX,         SENTINEL_CONSTRAINTS_MAX,
        SENTINEL_IDS_MAX,         SENTINEL_DESTINATIONS_MAX, SENTINEL_SANCTIONS_MAX,
        SENTINEL_TEXT_MAX};
    for (unsigned i = 0; i < SENTINEL_SECTION_COUNT; i++) {
        EXPECT_PACKED(FORMAT_SIZE, policy->sections[i].count = limits[i]); /* but it is not there */
        EXPECT_PACKED(FORMAT_LIMIT, policy->sections[i].count = limits[i] + 1);
    }
}

static void test_refuses_padding_that_is_not_zero(void) {
    /* Three ids of 4 bytes end on a half; the text of 4 bytes ends the payload. */
    EXPECT_PACKED(FORMAT_RESERVED,
                  ((uint8_t *)policy)[policy->sections[SENTINEL_SECTION_DESTINATIONS].offset - 1] =
                      1);
    EXPECT_PACKED(FORMAT_RESERVED, B.frame[header->size_bytes - 1] = 1);
    EXPECT_PACKED(FORMAT_RESERVED, B.frame[header->size_bytes - 4] = 1);
}

/* ---- Rows ------------------------------------------------------------------------ */

static void test_refuses_nodes_that_are_no_tree(void) {
    EXPECT(FORMAT_RANGE, B.counts[SENTINEL_SECTION_NODES] = 0);
    EXPECT(FORMAT_RANGE, B.nodes[0].id = 0);
    EXPECT(FORMAT_RANGE, B.nodes[0].kind = SENTINEL_NODE_GROUP);
    EXPECT(FORMAT_RANGE, B.nodes[0].depth = 1);
    EXPECT(FORMAT_RANGE, B.nodes[0].parent = 0);
    EXPECT(FORMAT_RANGE, B.nodes[1].kind = SENTINEL_NODE_FIRM);
    EXPECT(FORMAT_RANGE, B.nodes[1].kind = 0);
    EXPECT(FORMAT_RANGE, B.nodes[1].kind = 4);
    EXPECT(FORMAT_REFERENCE, B.nodes[1].parent = 1);
    EXPECT(FORMAT_REFERENCE, B.nodes[1].parent = 2);
    EXPECT(FORMAT_REFERENCE, B.nodes[1].parent = SENTINEL_NODE_NONE);
    EXPECT(FORMAT_REFERENCE, B.nodes[1].kind = SENTINEL_NODE_AGENT); /* has a child */
    EXPECT(FORMAT_RANGE, B.nodes[2].depth = 1);
    EXPECT(FORMAT_RANGE, B.nodes[2].depth = 3);
}

static void test_a_tree_has_ten_levels_and_no_more(void) {
    bundle_begin(&B);
    uint32_t node = FIRM;
    for (uint32_t i = 1; i < SENTINEL_DEPTH_MAX; i++) {
        node = add_node(&B, 2000 + i, SENTINEL_NODE_GROUP, node);
    }
    CHECK_OK(checked());
    add_node(&B, 3000, SENTINEL_NODE_AGENT, node);
    CHECK_EQ(checked(), SENTINEL_FORMAT_RANGE);
}

static void test_refuses_runs_that_are_not_of_their_nodes(void) {
    EXPECT(FORMAT_REFERENCE, B.nodes[0].constraint_count++);
    EXPECT(FORMAT_ORDER, B.nodes[0].constraint_count--);
    EXPECT(FORMAT_REFERENCE, B.nodes[2].constraint_count = 0);
    EXPECT(FORMAT_REFERENCE, B.nodes[2].constraint_count++);
    EXPECT(FORMAT_ORDER, B.nodes[0].constraint_first = 1; B.nodes[0].constraint_count--);
    EXPECT(FORMAT_ORDER, B.nodes[0].constraint_first = 1);
    EXPECT(FORMAT_REFERENCE, B.nodes[1].constraint_first = rows() + 1);
    EXPECT(FORMAT_REFERENCE, B.nodes[2].constraint_count = 0xffffffff);
    EXPECT(FORMAT_REFERENCE, B.constraints[3].node = GROUP);
    EXPECT(FORMAT_REFERENCE, B.constraints[3].node = SENTINEL_NODE_NONE);
    EXPECT(FORMAT_ORDER, B.nodes[1].constraint_first = rows() - 2; B.nodes[1].constraint_count = 1);
}

static void test_a_chain_has_126_constraints_and_no_more(void) {
    full_begin();
    for (uint32_t i = rows(); i < SENTINEL_CHAIN_CONSTRAINTS_MAX; i++) {
        add_bound(&B, 500 + i, AGENT, SENTINEL_RULE_VALUE_CAP, 1);
    }
    CHECK_OK(checked());
    add_bound(&B, 999, AGENT, SENTINEL_RULE_VALUE_CAP, 1);
    CHECK_EQ(checked(), SENTINEL_FORMAT_LIMIT);
}

static void test_refuses_assets_and_networks_out_of_range(void) {
    EXPECT(FORMAT_ORDER, B.assets[0].id = 0);
    EXPECT(FORMAT_ORDER, B.assets[1].id = USD);
    EXPECT(FORMAT_ORDER, B.assets[1].id = WBTC);
    EXPECT(FORMAT_RANGE, B.assets[0].venue = SENTINEL_VENUE_COUNT);
    EXPECT(FORMAT_RANGE, B.assets[0].decimals = 78);
    EXPECT(OK, B.assets[0].decimals = 77);
    EXPECT(FORMAT_RANGE, B.assets[0].code_size = 0);
    EXPECT(FORMAT_RANGE, B.assets[0].code_size = 25);
    EXPECT(FORMAT_RESERVED, B.assets[0].code_size = 2);
    EXPECT(FORMAT_TEXT, B.assets[0].code_size = 4);
    EXPECT(FORMAT_TEXT, B.assets[0].code[1] = '"');
    EXPECT(FORMAT_TEXT, B.assets[0].code[1] = ' ');
    EXPECT(FORMAT_RANGE, B.assets[0].par_micro_usd = -1);
    EXPECT(FORMAT_REFERENCE, B.assets[2].mark_asset = 4);
    EXPECT(FORMAT_ORDER, B.networks[0].id = 0);
    EXPECT(FORMAT_ORDER, B.networks[1].id = NETWORK);
    EXPECT(FORMAT_RANGE, B.networks[0].decimals = 78);
    EXPECT(OK, B.networks[0].decimals = 77);
    EXPECT(FORMAT_REFERENCE, B.networks[0].asset = 4);
    EXPECT(FORMAT_RANGE, B.networks[0].code_size = 39);
    EXPECT(FORMAT_TEXT, B.networks[0].code[0] = '&');
    EXPECT(OK, memcpy(B.networks[0].code, "a ()", 4); B.networks[0].code_size = 4);
    EXPECT(OK, memset(B.networks[0].code, 0, 38); B.networks[0].code_size = 0);
}

static void test_refuses_instruments_out_of_range(void) {
    sentinel_instrument *row = &B.instruments[0];
    EXPECT(FORMAT_ORDER, row->id = 0);
    EXPECT(FORMAT_ORDER, row->id = LINEAR);
    EXPECT(FORMAT_RANGE, row->venue = SENTINEL_VENUE_NONE);
    EXPECT(FORMAT_RANGE, row->venue = SENTINEL_VENUE_COUNT);
    EXPECT(FORMAT_RANGE, row->environment = 0);
    EXPECT(FORMAT_RANGE, row->environment = 4);
    EXPECT(FORMAT_RANGE, row->contract = 0);
    EXPECT(FORMAT_RANGE, row->contract = SENTINEL_CONTRACT_COUNT);
    EXPECT(FORMAT_RANGE, row->contract = 255);
    EXPECT(FORMAT_RANGE, row->quantity_unit = 0);
    EXPECT(FORMAT_RANGE, row->quantity_unit = SENTINEL_UNIT_COUNT);
    EXPECT(FORMAT_RANGE, row->quantity_unit = 32);
    EXPECT(FORMAT_RANGE, row->symbol_size = 0);
    EXPECT(FORMAT_RANGE, row->symbol_size = 49);
    EXPECT(FORMAT_TEXT, row->symbol[0] = '/');
    EXPECT(FORMAT_REFERENCE, row->base = 4);
    EXPECT(FORMAT_REFERENCE, row->quote = 0);
    EXPECT(FORMAT_REFERENCE, row->settle = 4);
    EXPECT(OK, row->settle = 0);
    EXPECT(FORMAT_REFERENCE, B.instruments[1].settle = 0);
    EXPECT(FORMAT_RANGE, row->multiplier = decimal(2, 0));
    EXPECT(OK, row->multiplier = decimal(100, 2));
    EXPECT(FORMAT_RANGE, row->tick = decimal(0, 0));
    EXPECT(FORMAT_RANGE, row->tick = decimal(1, 19));
    EXPECT(FORMAT_RANGE, row->lot = decimal(-1, 0));
    EXPECT(FORMAT_RANGE, B.instruments[1].multiplier = decimal(0, 0));
    EXPECT(FORMAT_RANGE, row->expiry_ms = 1);
    EXPECT(FORMAT_RANGE, B.instruments[1].expiry_ms = -1);
    EXPECT(OK, B.instruments[1].expiry_ms = 1);
    EXPECT(FORMAT_RANGE, row->strike = decimal(1, 0));
    EXPECT(FORMAT_RANGE, row->strike = decimal(0, 1));
    EXPECT(FORMAT_RANGE, B.instruments[3].strike = decimal(0, 0));
}

static void test_a_contracts_quantity_has_units_that_can_be_valued(void) {
    static const struct {
        uint8_t contract, units; /* bits */
    } table[] = {{SENTINEL_CONTRACT_SPOT, 2},
                 {SENTINEL_CONTRACT_LINEAR, 6},
                 {SENTINEL_CONTRACT_INVERSE, 12},
                 {SENTINEL_CONTRACT_QUANTO, 4},
                 {SENTINEL_CONTRACT_OPTION, 6}};
    for (size_t i = 0; i < 5; i++) {
        for (uint8_t unit = 1; unit < SENTINEL_UNIT_COUNT; unit++) {
            full_begin();
            B.instruments[0].contract = table[i].contract;
            B.instruments[0].quantity_unit = unit;
            B.instruments[0].strike.mantissa = table[i].contract == SENTINEL_CONTRACT_OPTION;
            if (table[i].contract == SENTINEL_CONTRACT_INVERSE) {
                B.instruments[0].settle = B.instruments[0].base;
            }
            CHECK_EQ(checked(),
                     (table[i].units >> unit & 1) != 0 ? SENTINEL_OK : SENTINEL_FORMAT_RANGE);
        }
    }
}

/* Whose settle asset does not count for its value has one all the same. */
static void test_a_contract_settles_in_what_it_is_valued_in(void) {
    sentinel_instrument *row = &B.instruments[2]; /* inverse: its base */
    EXPECT(FORMAT_RANGE, row->settle = row->quote);
    EXPECT(FORMAT_RANGE, row->settle = WBTC);
    EXPECT(FORMAT_RANGE, row->base = WBTC);
    EXPECT(OK, row->settle = row->base = WBTC);
    EXPECT(OK, row->quote = row->base);
    EXPECT(FORMAT_REFERENCE, row->settle = 0);
    EXPECT(FORMAT_REFERENCE, row->settle = row->base = 4); /* no such asset */
    row = &B.instruments[3];                               /* an option: its quote */
    EXPECT(FORMAT_RANGE, row->settle = row->base);
    EXPECT(FORMAT_RANGE, row->settle = WBTC);
    EXPECT(FORMAT_RANGE, row->quote = row->base);
    EXPECT(OK, row->settle = row->quote = row->base);
    EXPECT(OK, row->base = row->quote);
    EXPECT(FORMAT_REFERENCE, row->settle = 0);
    for (uint32_t asset = USD; asset <= WBTC; asset++) {
        EXPECT(OK, B.instruments[0].settle = asset); /* spot: not asked for */
        EXPECT(OK, B.instruments[1].settle = asset); /* linear: the margin's, of the same price */
        EXPECT(OK, B.instruments[4].settle = asset); /* quanto: what it is valued by */
    }
}

static void test_refuses_keys_out_of_range(void) {
    EXPECT(FORMAT_ORDER, B.keys[0].id = 0);
    EXPECT(FORMAT_ORDER, B.keys[1].id = 61);
    EXPECT(FORMAT_REFERENCE, B.keys[0].node = 3);
    EXPECT(FORMAT_RANGE, B.keys[0].venue = SENTINEL_VENUE_NONE);
    EXPECT(FORMAT_RANGE, B.keys[0].venue = SENTINEL_VENUE_COUNT);
    EXPECT(FORMAT_RANGE, B.keys[1].venue = SENTINEL_VENUE_BYBIT);
    EXPECT(FORMAT_RANGE, B.keys[0].purpose = 0);
    EXPECT(FORMAT_RANGE, B.keys[0].purpose = SENTINEL_PURPOSE_RECEIPT);
    EXPECT(FORMAT_RANGE, B.keys[0].purpose = SENTINEL_PURPOSE_AUTHORITY);
    EXPECT(OK, B.keys[0].purpose = SENTINEL_PURPOSE_VENUE_MASTER);
    EXPECT(FORMAT_RANGE, B.keys[0].algorithm = 0);
    EXPECT(FORMAT_RANGE, B.keys[0].algorithm = SENTINEL_ALGORITHM_COUNT);
    EXPECT(FORMAT_RESERVED, B.keys[0].flags = 4);
    EXPECT(FORMAT_RANGE, B.keys[0].products = 0); /* good for nothing */
    EXPECT(OK, B.keys[0].products = SENTINEL_PRODUCT_WALLET);
    EXPECT(OK, B.keys[0].products = 1u << SENTINEL_CONTRACT_OPTION);
    EXPECT(FORMAT_RANGE, B.keys[0].products = 1u << SENTINEL_CONTRACT_COUNT);
    EXPECT(FORMAT_RANGE, B.keys[0].products |= 1u << 15);
    EXPECT(FORMAT_RANGE, B.keys[1].products = SENTINEL_PRODUCT_WALLET); /* of messages */
}

static void test_only_hyperliquid_has_numbers_of_tokens(void) {
    EXPECT(FORMAT_RESERVED, B.assets[0].token16[0] = 1);
    EXPECT(FORMAT_RESERVED, B.assets[0].token16[15] = 1);
    EXPECT(FORMAT_RESERVED, B.assets[0].venue = SENTINEL_VENUE_DERIBIT; B.assets[0].token16[7] = 1);
    EXPECT(OK, B.assets[0].venue = SENTINEL_VENUE_HYPERLIQUID; B.assets[0].token16[7] = 1);
}

static void test_refuses_constraints_out_of_range(void) {
    sentinel_constraint *row = of_kind(SENTINEL_RULE_VALUE_CAP);
    EXPECT(FORMAT_RANGE, row->id = 0);
    EXPECT(FORMAT_RANGE, row->kind = 0);
    EXPECT(FORMAT_RANGE, row->kind = SENTINEL_RULE_KILL_SWITCH);
    EXPECT(FORMAT_RANGE, row->kind = SENTINEL_RULE_COUNT);
    EXPECT(FORMAT_RANGE, row->kind = 255);
    EXPECT(FORMAT_RANGE, row->actions = 0);
    EXPECT(FORMAT_RANGE, row->actions |= 1);
    EXPECT(FORMAT_RANGE, row->actions |= 1u << SENTINEL_ACTION_COUNT);
    EXPECT(FORMAT_RANGE, row->venues = 0);
    EXPECT(FORMAT_RANGE, row->venues |= 1u << SENTINEL_VENUE_COUNT);
    EXPECT(FORMAT_REFERENCE, row->instrument = 11);
    EXPECT(OK, row->instrument = SPOT);
    EXPECT(FORMAT_RANGE, row->bound = -1);
    EXPECT(OK, row->bound = INT64_MAX);
    EXPECT(FORMAT_REFERENCE, row->name = 5);
    EXPECT(FORMAT_REFERENCE, row->name_size = 5);
    EXPECT(FORMAT_REFERENCE, row->name = 0xffffffff);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_QUANTITY_CAP)->bound_scale = 19);
    EXPECT(OK, of_kind(SENTINEL_RULE_QUANTITY_CAP)->bound_scale = 18);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_PRICE_COLLAR)->max_age_ns = 0);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_PRICE_COLLAR)->max_age_ns = -1);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_ROLLING_CAP)->window_ns = 0);
    EXPECT(FORMAT_RANGE,
           of_kind(SENTINEL_RULE_ROLLING_CAP)->window_ns = SENTINEL_WINDOW_NS_MAX + 1);
    EXPECT(OK, of_kind(SENTINEL_RULE_RATE_LIMIT)->window_ns = SENTINEL_WINDOW_NS_MAX);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_RATE_LIMIT)->window_ns = -1);
    EXPECT(OK, of_kind(SENTINEL_RULE_RATE_LIMIT)->bound = SENTINEL_RATE_EVENTS_MAX);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_RATE_LIMIT)->bound = SENTINEL_RATE_EVENTS_MAX + 1);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_DAILY_LIMIT)->each = 2);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_HEARTBEAT)->window_ns = 0);
    EXPECT(OK, of_kind(SENTINEL_RULE_HEARTBEAT)->bound = 0);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_HEARTBEAT)->mask = 0);
    EXPECT(FORMAT_RANGE, of_kind(SENTINEL_RULE_HEARTBEAT)->mask = 6); /* one mode, not both */
}

/* Which kinds have which fields; all others refuse anything but zero. */
static void test_refuses_fields_that_a_kind_has_no_use_for(void) {
    for (unsigned kind = SENTINEL_RULE_ACTIONS; kind < SENTINEL_RULE_COUNT; kind++) {
        sentinel_constraint *row = of_kind(kind);
        int beats = kind == SENTINEL_RULE_HEARTBEAT;
        int mask =
            (kind <= SENTINEL_RULE_TIMES_IN_FORCE && kind != SENTINEL_RULE_INSTRUMENTS) || beats;
        int list = kind == SENTINEL_RULE_INSTRUMENTS || kind == SENTINEL_RULE_DESTINATIONS;
        int windows =
            kind == SENTINEL_RULE_ROLLING_CAP || kind == SENTINEL_RULE_RATE_LIMIT || beats;
        int each = (windows && !beats) || kind == SENTINEL_RULE_DAILY_LIMIT;
        int asks = kind == SENTINEL_RULE_APPROVAL;
        int bound = kind >= SENTINEL_RULE_VALUE_CAP && !asks; /* only with its bit */
#define ONLY_IF(used, change)                            \
    do {                                                 \
        full_begin();                                    \
        change;                                          \
        CHECK_EQ(checked() == SENTINEL_OK, (used) != 0); \
    } while (0)
        ONLY_IF(mask, row->mask = 4);
        ONLY_IF(list, row->list_first = 1; row->list_count = 1);
        ONLY_IF(list, row->list_first = 1; row->list_count = 0);
        ONLY_IF(bound, row->bound = 1);
        ONLY_IF(kind == SENTINEL_RULE_QUANTITY_CAP, row->bound_scale = 1);
        ONLY_IF(windows || asks, row->window_ns = 5);
        ONLY_IF(asks, row->quorum = 2);
        ONLY_IF(kind == SENTINEL_RULE_PRICE_COLLAR, row->max_age_ns = 5);
        ONLY_IF(each, row->each = SENTINEL_EACH_AGENT);
    }
}

static void test_a_mask_has_only_bits_that_exist(void) {
    static const struct {
        uint8_t kind;
        uint32_t bits;
    } table[] = {{SENTINEL_RULE_ACTIONS, 0x3fe},       {SENTINEL_RULE_VENUES, 0x7f},
                 {SENTINEL_RULE_ORDER_TYPES, 0x7e},    {SENTINEL_RULE_SIDES, 0x6},
                 {SENTINEL_RULE_TIMES_IN_FORCE, 0x3f}, {SENTINEL_RULE_HEARTBEAT, 0x6},
                 {SENTINEL_RULE_APPROVAL, 0x3}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            full_begin();
            of_kind(table[i].kind)->mask = 1u << bit;
            CHECK_EQ(checked(),
                     (table[i].bits >> bit & 1) != 0 ? SENTINEL_OK : SENTINEL_FORMAT_RANGE);
        }
    }
}

static void test_refuses_lists_that_do_not_ascend(void) {
    sentinel_constraint *ids = of_kind(SENTINEL_RULE_INSTRUMENTS);
    sentinel_constraint *to = of_kind(SENTINEL_RULE_DESTINATIONS);
    EXPECT(FORMAT_ORDER, B.ids[1] = SPOT);
    EXPECT(FORMAT_ORDER, B.ids[1] = OPTION);
    EXPECT(FORMAT_REFERENCE, B.ids[2] = INVERSE + 1);
    EXPECT(OK, B.ids[2] = LINEAR; ids->list_count = 2); /* order is that of the run */
    EXPECT(FORMAT_REFERENCE, ids->list_count = 4);
    EXPECT(FORMAT_REFERENCE, ids->list_first = 4; ids->list_count = 0);
    EXPECT(FORMAT_REFERENCE, ids->list_first = 1);
    EXPECT(FORMAT_REFERENCE, ids->list_first = 0xffffffff; ids->list_count = 2);
    EXPECT(FORMAT_REFERENCE, to->list_count = 3);
    EXPECT(FORMAT_ORDER, memcpy(B.destinations[1], B.destinations[0], 32));
    EXPECT(FORMAT_ORDER, memset(B.destinations[0], 255, 32));
    EXPECT(FORMAT_ORDER, memcpy(B.sanctions[1], B.sanctions[0], 16));
    EXPECT(FORMAT_ORDER, memset(B.sanctions[0], 255, 16));
}

static void name_the_firm(const char *text, size_t size) {
    full_begin();
    memcpy(B.text, text, size);
    B.counts[SENTINEL_SECTION_TEXT] = (uint32_t)size;
    for (uint32_t i = 0; i < B.counts[SENTINEL_SECTION_NODES]; i++) {
        B.nodes[i].name_size = (uint16_t)size;
    }
    for (uint32_t i = 0; i < B.counts[SENTINEL_SECTION_CONSTRAINTS]; i++) {
        B.constraints[i].name_size = (uint16_t)size;
    }
}

static void test_names_are_printable_utf8(void) {
    static const char *const good[] = {"",       " ~",         "\u00a0",    "\u00df",
                                       "\ud7ff", "\ue000",     "\u2027",    "\u202f",
                                       "\u2065", "\U00010000", "\U0010ffff"};
    static const char *const bad[] = {"\x1f",
                                      "\x7f",
                                      "\n",
                                      "\xc2\x80",
                                      "\xc2\x9f",
                                      "\xc2",
                                      "\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf9\x80\x80\x80",
                                      "\xff",
                                      "\u2028",
                                      "\u202e",
                                      "\u2066",
                                      "\u2069",
                                      "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        name_the_firm(good[i], strlen(good[i]));
        CHECK_OK(checked());
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        name_the_firm(bad[i], strlen(bad[i]));
        CHECK_EQ(checked(), SENTINEL_FORMAT_TEXT);
    }
    name_the_firm("\0", 1);
    CHECK_EQ(checked(), SENTINEL_FORMAT_TEXT);
    name_the_firm("\u00e9", 2); /* a name may not begin or end inside a character */
    B.nodes[1].name = 1;
    B.nodes[1].name_size = 1;
    CHECK_EQ(checked(), SENTINEL_FORMAT_TEXT);
    B.nodes[1].name = 0;
    CHECK_EQ(checked(), SENTINEL_FORMAT_TEXT);
}

/* ---- Every byte -------------------------------------------------------------------- */

#define AREA(section, row, field) \
    { section, sizeof(row), offsetof(row, field), sizeof(((row *)0)->field) }

static void test_refuses_each_reserved_byte_of_each_row(void) {
    static const struct {
        unsigned section;
        size_t row_bytes, offset, size;
    } areas[] = {
        AREA(SENTINEL_SECTION_NODES, sentinel_node, reserved),
        AREA(SENTINEL_SECTION_ASSETS, sentinel_asset, reserved0),
        AREA(SENTINEL_SECTION_NETWORKS, sentinel_network, reserved),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, reserved0),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, reserved1),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, multiplier.reserved),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, tick.reserved),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, lot.reserved),
        AREA(SENTINEL_SECTION_INSTRUMENTS, sentinel_instrument, strike.reserved),
        AREA(SENTINEL_SECTION_KEYS, sentinel_key, reserved0),
        AREA(SENTINEL_SECTION_KEYS, sentinel_key, reserved1),
        AREA(SENTINEL_SECTION_CONSTRAINTS, sentinel_constraint, reserved1),
    };
    full_begin();
    bundle_pack(&B);
    sentinel_bundle bundle;
    const sentinel_policy *policy =
        (const sentinel_policy *)(B.frame + sizeof(sentinel_frame_header));
    for (size_t i = 0; i < sizeof areas / sizeof *areas; i++) {
        for (uint32_t row = 0; row < policy->sections[areas[i].section].count; row++) {
            uint8_t *bytes = B.frame + sizeof(sentinel_frame_header) +
                             policy->sections[areas[i].section].offset + row * areas[i].row_bytes +
                             areas[i].offset;
            for (size_t k = 0; k < areas[i].size; k++) {
                bytes[k] = 1;
                CHECK_EQ(sentinel_bundle_check(&bundle, B.frame, B.frame_size),
                         SENTINEL_FORMAT_RESERVED);
                bytes[k] = 0;
            }
        }
    }
    /* What people approve by oversight needs an action. */
    size_t later = offsetof(sentinel_policy, lease_ns) + sizeof policy->lease_ns;
    for (size_t i = later; i < sizeof *policy; i++) {
        B.frame[sizeof(sentinel_frame_header) + i] = 1;
        CHECK_EQ(sentinel_bundle_check(&bundle, B.frame, B.frame_size), SENTINEL_FORMAT_RESERVED);
        B.frame[sizeof(sentinel_frame_header) + i] = 0;
    }
    CHECK_OK(sentinel_bundle_check(&bundle, B.frame, B.frame_size));
}

static void test_every_flipped_bit_is_refused_or_changes_the_hash(void) {
    full_begin();
    sentinel_bundle before, after;
    CHECK_OK(bundle_pack_check(&B, &before));
    size_t refused = 0;
    for (size_t i = 0; i < B.frame_size * 8; i++) {
        B.frame[i / 8] ^= (uint8_t)(1u << i % 8);
        if (sentinel_bundle_check(&after, B.frame, B.frame_size) != SENTINEL_OK) {
            refused++;
        } else {
            CHECK(memcmp(before.hash32, after.hash32, 32) != 0);
        }
        B.frame[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    CHECK(refused > B.frame_size * 4);
}

static void test_refuses_every_shorter_and_longer_frame(void) {
    full_begin();
    bundle_pack(&B);
    sentinel_bundle bundle;
    for (size_t size = 0; size < B.frame_size + 64; size++) {
        if (size != B.frame_size) {
            CHECK(sentinel_bundle_check(&bundle, B.frame, size) != SENTINEL_OK);
        }
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_takes_one_of_everything_and_finds_rows_by_id);
    RUN(test_a_firm_alone_is_a_bundle);
    RUN(test_refuses_what_the_policy_itself_may_not_say);
    RUN(test_refuses_sections_that_are_not_in_their_places);
    RUN(test_refuses_a_table_larger_than_its_limit);
    RUN(test_refuses_padding_that_is_not_zero);
    RUN(test_refuses_nodes_that_are_no_tree);
    RUN(test_a_tree_has_ten_levels_and_no_more);
    RUN(test_refuses_runs_that_are_not_of_their_nodes);
    RUN(test_a_chain_has_126_constraints_and_no_more);
    RUN(test_refuses_assets_and_networks_out_of_range);
    RUN(test_refuses_instruments_out_of_range);
    RUN(test_a_contracts_quantity_has_units_that_can_be_valued);
    RUN(test_a_contract_settles_in_what_it_is_valued_in);
    RUN(test_refuses_keys_out_of_range);
    RUN(test_only_hyperliquid_has_numbers_of_tokens);
    RUN(test_refuses_constraints_out_of_range);
    RUN(test_refuses_fields_that_a_kind_has_no_use_for);
    RUN(test_a_mask_has_only_bits_that_exist);
    RUN(test_refuses_lists_that_do_not_ascend);
    RUN(test_names_are_printable_utf8);
    RUN(test_refuses_each_reserved_byte_of_each_row);
    RUN(test_every_flipped_bit_is_refused_or_changes_the_hash);
    RUN(test_refuses_every_shorter_and_longer_frame);
    return test_end();
}

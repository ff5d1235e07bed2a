/* Builds policy frames in memory, for tests: rows are added in any order of
 * sections and packed together by bundle_pack. Proofs are left out; a bundle's
 * check does not look at them. Names are all one word of TEXT. */
#ifndef BUNDLE_BUILDER_H
#define BUNDLE_BUILDER_H

#include <sentinel/state.h>
#include <stdlib.h>
#include <string.h>

#define BUILD_ROWS_MAX 512
#define BUILD_FRAME_MAX (1u << 20)
#define BUILD_DAY_NS INT64_C(86400000000000)

typedef struct bundle_build {
    sentinel_policy policy;
    sentinel_node nodes[BUILD_ROWS_MAX];
    sentinel_asset assets[64];
    sentinel_network networks[64];
    sentinel_instrument instruments[64];
    sentinel_key keys[16];
    sentinel_constraint constraints[BUILD_ROWS_MAX];
    uint32_t ids[256];
    uint8_t destinations[64][32];
    uint8_t sanctions[64][16];
    char text[256];
    uint32_t counts[SENTINEL_SECTION_COUNT];
    _Alignas(8) uint8_t frame[BUILD_FRAME_MAX];
    size_t frame_size;
    uint64_t sequence;
} bundle_build;

static inline sentinel_decimal decimal(int64_t mantissa, unsigned scale) {
    return (sentinel_decimal){.mantissa = mantissa, .scale = (uint8_t)scale};
}

/* An operator's halt of a node by index, or the end of one. */
static inline void test_halt(const sentinel_view *view, uint32_t node, int halted, uint64_t record,
                             int64_t now_ns, uint8_t severity, const uint8_t reason_digest32[32]) {
    sentinel_stop_state stop = {
        .mode = halted ? SENTINEL_HALTED : SENTINEL_RUNNING,
        .severity = severity,
        .cause = SENTINEL_CAUSE_OPERATOR,
        .record = record,
        .since_ns = now_ns,
    };
    if (halted) {
        memcpy(stop.reason_digest32, reason_digest32, 32);
    }
    sentinel_stop_set(view, sentinel_view_node(view, node), &stop);
}

/* ---- Rows -------------------------------------------------------------------- */

/* Adds a node below a parent's index; gives its own. The firm is made by
 * bundle_begin. */
static inline uint32_t add_node(bundle_build *b, uint32_t id, uint8_t kind, uint32_t parent) {
    uint32_t index = b->counts[SENTINEL_SECTION_NODES]++;
    b->nodes[index] = (sentinel_node){
        .id = id,
        .parent = parent,
        .kind = kind,
        .depth = index == 0 ? 0 : (uint8_t)(b->nodes[parent].depth + 1),
        .name_size = 4,
    };
    return index;
}

/* The row last added, to be changed in place. */
static inline sentinel_asset *add_asset(bundle_build *b, uint32_t id) {
    sentinel_asset *row = &b->assets[b->counts[SENTINEL_SECTION_ASSETS]++];
    *row = (sentinel_asset){.id = id, .decimals = 8, .code_size = 3, .code = "BTC"};
    return row;
}

static inline sentinel_network *add_network(bundle_build *b, uint32_t id, uint32_t asset) {
    sentinel_network *row = &b->networks[b->counts[SENTINEL_SECTION_NETWORKS]++];
    *row =
        (sentinel_network){.id = id, .asset = asset, .decimals = 8, .code_size = 3, .code = "ERC"};
    return row;
}

/* Spot, in base units, quoted in asset 1. */
static inline sentinel_instrument *add_instrument(bundle_build *b, uint32_t id, uint32_t base,
                                                  uint32_t quote) {
    sentinel_instrument *row = &b->instruments[b->counts[SENTINEL_SECTION_INSTRUMENTS]++];
    *row = (sentinel_instrument){
        .id = id,
        .venue = SENTINEL_VENUE_BINANCE_SPOT,
        .environment = SENTINEL_ENVIRONMENT_TEST,
        .contract = SENTINEL_CONTRACT_SPOT,
        .base = base,
        .quote = quote,
        .settle = quote,
        .quantity_unit = SENTINEL_UNIT_BASE,
        .symbol_size = 7,
        .symbol = "BTCUSDT",
        .multiplier = {.mantissa = 1},
        .tick = {.mantissa = 1, .scale = 2},
        .lot = {.mantissa = 1, .scale = 8},
    };
    return row;
}

/* Good for every product of its venue, whatever the endpoint. */
static inline sentinel_key *add_key(bundle_build *b, uint32_t id, uint32_t node) {
    sentinel_key *row = &b->keys[b->counts[SENTINEL_SECTION_KEYS]++];
    *row = (sentinel_key){
        .id = id,
        .node = node,
        .venue = SENTINEL_VENUE_BINANCE_SPOT,
        .purpose = SENTINEL_PURPOSE_VENUE,
        .algorithm = SENTINEL_ALGORITHM_HMAC_SHA256,
        .flags = SENTINEL_KEY_ENDPOINT_GRANT,
        .products = SENTINEL_PRODUCTS_ALL,
    };
    return row;
}

/* Applies to every action, venue and instrument. Rows of a node must be added
 * together, in the order of the nodes. */
static inline sentinel_constraint *add_constraint(bundle_build *b, uint32_t id, uint32_t node,
                                                  uint8_t kind) {
    sentinel_constraint *row = &b->constraints[b->counts[SENTINEL_SECTION_CONSTRAINTS]];
    *row = (sentinel_constraint){
        .id = id,
        .node = node,
        .kind = kind,
        .actions = (1u << SENTINEL_ACTION_COUNT) - 2,
        .venues = (1u << SENTINEL_VENUE_COUNT) - 1,
        .name_size = 4,
    };
    if (b->nodes[node].constraint_count++ == 0) {
        b->nodes[node].constraint_first = b->counts[SENTINEL_SECTION_CONSTRAINTS];
    }
    b->counts[SENTINEL_SECTION_CONSTRAINTS]++;
    return row;
}

static inline sentinel_constraint *add_mask(bundle_build *b, uint32_t id, uint32_t node,
                                            uint8_t kind, uint32_t mask) {
    sentinel_constraint *row = add_constraint(b, id, node, kind);
    row->mask = mask;
    return row;
}

static inline sentinel_constraint *add_bound(bundle_build *b, uint32_t id, uint32_t node,
                                             uint8_t kind, int64_t bound) {
    sentinel_constraint *row = add_constraint(b, id, node, kind);
    row->bound = bound;
    return row;
}

static inline sentinel_constraint *add_window(bundle_build *b, uint32_t id, uint32_t node,
                                              uint8_t kind, int64_t bound, int64_t window_ns) {
    sentinel_constraint *row = add_bound(b, id, node, kind, bound);
    row->window_ns = window_ns;
    return row;
}

/* A list of instruments: `count` ids, which must ascend. */
static inline sentinel_constraint *add_instruments(bundle_build *b, uint32_t id, uint32_t node,
                                                   const uint32_t *ids, uint32_t count) {
    sentinel_constraint *row = add_constraint(b, id, node, SENTINEL_RULE_INSTRUMENTS);
    row->list_first = b->counts[SENTINEL_SECTION_IDS];
    row->list_count = count;
    for (uint32_t i = 0; i < count; i++) {
        b->ids[b->counts[SENTINEL_SECTION_IDS]++] = ids[i];
    }
    return row;
}

static inline int compare32(const void *a, const void *b) {
    return memcmp(a, b, 32);
}

static inline int compare16(const void *a, const void *b) {
    return memcmp(a, b, 16);
}

typedef struct build_destination {
    uint32_t network;
    const char *address;
    const char *memo;
} build_destination;

static inline sentinel_constraint *add_destinations(bundle_build *b, uint32_t id, uint32_t node,
                                                    const build_destination *rows, uint32_t count) {
    sentinel_constraint *row = add_constraint(b, id, node, SENTINEL_RULE_DESTINATIONS);
    uint32_t first = b->counts[SENTINEL_SECTION_DESTINATIONS];
    row->list_first = first;
    row->list_count = count;
    for (uint32_t i = 0; i < count; i++) {
        sentinel_destination_digest(b->destinations[first + i], rows[i].network, rows[i].address,
                                    strlen(rows[i].address), rows[i].memo, strlen(rows[i].memo));
    }
    qsort(b->destinations[first], count, 32, compare32);
    b->counts[SENTINEL_SECTION_DESTINATIONS] += count;
    return row;
}

static inline void add_sanction(bundle_build *b, const char *address) {
    uint32_t count = b->counts[SENTINEL_SECTION_SANCTIONS]++;
    sentinel_sanction_digest(b->sanctions[count], address, strlen(address));
    qsort(b->sanctions, count + 1, 16, compare16);
}

/* ---- The frame --------------------------------------------------------------- */

static inline void bundle_begin(bundle_build *b) {
    memset(b, 0, offsetof(bundle_build, frame));
    b->frame_size = 0;
    b->policy = (sentinel_policy){
        .semantics_version = SENTINEL_SEMANTICS_VERSION,
        .attempt_limit = 10,
        .attempt_interval_ns = 1000000000,
        .clock_tolerance_ns = 1000000,
        .mark_max_age_ns = 1000,
        .book_entries = 64,
    };
    memcpy(b->text, "name", 4);
    b->counts[SENTINEL_SECTION_TEXT] = 4;
    b->sequence = 1;
    add_node(b, 1000, SENTINEL_NODE_FIRM, SENTINEL_NODE_NONE);
    b->nodes[0].parent = SENTINEL_NODE_NONE;
}

static inline void pack_section(bundle_build *b, unsigned section, const void *rows,
                                size_t row_bytes) {
    size_t base = sizeof(sentinel_frame_header), size = b->counts[section] * row_bytes;
    sentinel_policy *policy = (sentinel_policy *)(b->frame + base);
    policy->sections[section].offset = (uint32_t)(b->frame_size - base);
    policy->sections[section].count = b->counts[section];
    memcpy(b->frame + b->frame_size, rows, size);
    memset(b->frame + b->frame_size + size, 0, (8 - size % 8) % 8);
    b->frame_size += (size + 7) / 8 * 8;
}

/* Packs everything; the frame may be changed and checked afterwards. */
static inline void bundle_pack(bundle_build *b) {
    memcpy(b->frame + sizeof(sentinel_frame_header), &b->policy, sizeof b->policy);
    b->frame_size = sizeof(sentinel_frame_header) + sizeof b->policy;
    pack_section(b, SENTINEL_SECTION_NODES, b->nodes, sizeof *b->nodes);
    pack_section(b, SENTINEL_SECTION_ASSETS, b->assets, sizeof *b->assets);
    pack_section(b, SENTINEL_SECTION_NETWORKS, b->networks, sizeof *b->networks);
    pack_section(b, SENTINEL_SECTION_INSTRUMENTS, b->instruments, sizeof *b->instruments);
    pack_section(b, SENTINEL_SECTION_KEYS, b->keys, sizeof *b->keys);
    pack_section(b, SENTINEL_SECTION_CONSTRAINTS, b->constraints, sizeof *b->constraints);
    pack_section(b, SENTINEL_SECTION_IDS, b->ids, sizeof *b->ids);
    pack_section(b, SENTINEL_SECTION_DESTINATIONS, b->destinations, 32);
    pack_section(b, SENTINEL_SECTION_SANCTIONS, b->sanctions, 16);
    pack_section(b, SENTINEL_SECTION_TEXT, b->text, 1);
    sentinel_frame_header *header = (sentinel_frame_header *)b->frame;
    *header = (sentinel_frame_header){
        .version = SENTINEL_FRAME_VERSION,
        .kind = SENTINEL_FRAME_POLICY,
        .environment = SENTINEL_ENVIRONMENT_TEST,
        .size_bytes = (uint32_t)b->frame_size,
        .sequence = b->sequence,
        .issued_ns = 1,
        .expires_ns = 2,
    };
    memcpy(header->magic, SENTINEL_FRAME_MAGIC, 8);
    memset(b->frame + b->frame_size, 0, 8);
    b->frame_size += 8; /* no proofs */
}

static inline sentinel_status bundle_pack_check(bundle_build *b, sentinel_bundle *bundle) {
    bundle_pack(b);
    return sentinel_bundle_check(bundle, b->frame, b->frame_size);
}

/* ---- Whole bundles ---------------------------------------------------------- */

enum { FIRM = 0, GROUP = 1, AGENT = 2, OTHER = 3 };                      /* indexes of nodes */
enum { USD = 1, BTC = 2, WBTC = 3, ETH = 4 };                            /* assets */
enum { SPOT = 10, LINEAR = 20, INVERSE = 30, OPTION = 40, QUANTO = 50 }; /* instruments */
enum { NETWORK = 5 };
#define MICRO INT64_C(1000000)

static inline void add_instruments_of_each_contract(bundle_build *b) {
    add_instrument(b, SPOT, BTC, USD);
    sentinel_instrument *row = add_instrument(b, LINEAR, BTC, USD);
    row->venue = SENTINEL_VENUE_OKX;
    row->contract = SENTINEL_CONTRACT_LINEAR;
    row->quantity_unit = SENTINEL_UNIT_CONTRACTS;
    row->multiplier = decimal(10, 3); /* 0.01 */
    row = add_instrument(b, INVERSE, BTC, USD);
    row->venue = SENTINEL_VENUE_DERIBIT;
    row->contract = SENTINEL_CONTRACT_INVERSE;
    row->settle = row->base;
    row->quantity_unit = SENTINEL_UNIT_CONTRACTS;
    row->multiplier = decimal(10, 0);
    row = add_instrument(b, OPTION, BTC, USD);
    row->venue = SENTINEL_VENUE_DERIBIT;
    row->contract = SENTINEL_CONTRACT_OPTION;
    row->strike = decimal(50000, 0);
    row->expiry_ms = 1900000000000;
    row = add_instrument(b, QUANTO, BTC, USD);
    row->venue = SENTINEL_VENUE_DERIBIT;
    row->contract = SENTINEL_CONTRACT_QUANTO;
    row->quantity_unit = SENTINEL_UNIT_CONTRACTS;
}

/* A bundle with one of everything: constraints of every kind at the firm. */
static inline void bundle_full(bundle_build *b) {
    bundle_begin(b);
    add_node(b, 1100, SENTINEL_NODE_GROUP, FIRM);
    add_node(b, 1110, SENTINEL_NODE_AGENT, GROUP);
    add_asset(b, USD)->par_micro_usd = MICRO;
    add_asset(b, BTC);
    add_asset(b, WBTC)->mark_asset = BTC;
    add_network(b, NETWORK, BTC);
    add_network(b, NETWORK + 1, USD);
    add_instruments_of_each_contract(b);
    add_key(b, 61, FIRM);
    sentinel_key *key = add_key(b, 62, AGENT);
    key->purpose = SENTINEL_PURPOSE_MESSAGE;
    key->venue = SENTINEL_VENUE_NONE;
    key->flags = 0;
    key->products = 0;
    for (uint8_t kind = SENTINEL_RULE_ACTIONS; kind < SENTINEL_RULE_COUNT; kind++) {
        if (kind == SENTINEL_RULE_INSTRUMENTS) {
            add_instruments(b, 100u + kind, FIRM, (const uint32_t[]){SPOT, LINEAR, INVERSE}, 3);
        } else if (kind == SENTINEL_RULE_DESTINATIONS) {
            static const build_destination to[] = {{NETWORK, "a", ""}, {NETWORK, "b", ""}};
            add_destinations(b, 100u + kind, FIRM, to, 2);
        } else {
            sentinel_constraint *row = add_constraint(b, 100u + kind, FIRM, kind);
            row->max_age_ns = kind == SENTINEL_RULE_PRICE_COLLAR;
            row->window_ns = kind == SENTINEL_RULE_ROLLING_CAP ||
                             kind == SENTINEL_RULE_RATE_LIMIT || kind == SENTINEL_RULE_HEARTBEAT ||
                             kind == SENTINEL_RULE_APPROVAL;
            row->mask = kind == SENTINEL_RULE_HEARTBEAT ? 1u << SENTINEL_HALTED : row->mask;
            row->quorum = kind == SENTINEL_RULE_APPROVAL;
        }
    }
    add_bound(b, 200, AGENT, SENTINEL_RULE_DAILY_LIMIT, 5)->each = SENTINEL_EACH_AGENT;
    add_sanction(b, "x");
    add_sanction(b, "y");
}

/* ---- A world: a bundle with its state ---------------------------------------- */

typedef struct build_world {
    sentinel_bundle bundle;
    sentinel_view view;
    void *frame;
    void *layout;
    void *state;
    uint64_t layout_size;
    uint64_t state_size;
} build_world;

/* Packs, checks and lays out; with a world before, carries its state over.
 * The world has its own copy of the frame, so that the build can go on. */
static inline sentinel_status world_make(build_world *world, bundle_build *b,
                                         const build_world *old) {
    memset(world, 0, sizeof *world);
    bundle_pack(b);
    world->frame = malloc(b->frame_size);
    memcpy(world->frame, b->frame, b->frame_size);
    sentinel_status status = sentinel_bundle_check(&world->bundle, world->frame, b->frame_size);
    if (status != SENTINEL_OK) {
        return status;
    }
    world->layout_size = sentinel_layout_bytes(&world->bundle);
    world->state_size = sentinel_state_bytes(&world->bundle);
    world->layout = malloc(world->layout_size);
    world->state = malloc(world->state_size);
    return sentinel_state_make(&world->view, &world->bundle, world->layout, world->layout_size,
                               world->state, world->state_size, old != NULL ? &old->view : NULL);
}

static inline void world_free(build_world *world) {
    free(world->frame);
    free(world->layout);
    free(world->state);
    memset(world, 0, sizeof *world);
}

static inline void feed_mark(const sentinel_view *view, uint16_t kind, uint32_t id,
                             sentinel_decimal price, int64_t time_ns) {
    struct {
        sentinel_feed feed;
        sentinel_mark mark;
    } payload = {
        .feed = {.kind = SENTINEL_FEED_MARK, .count = 1},
        .mark = {.kind = kind, .id = id, .price = price, .time_ns = time_ns},
    };
    sentinel_policy_feed(view, (const uint8_t *)&payload, sizeof payload);
}

#endif

/* What the gate executes for one order: run by gate_guard.py under callgrind,
 * which counts instructions; alone it only signs a few orders.
 *
 * The order is what `zcp bench` times: a limit order of Binance spot against
 * twelve constraints at three levels beside the kill switch, HMAC, a log. Other
 * cases have what people command in force (another agent is halted, a lease
 * runs, an approval is asked for above a bound), or sign by Ed25519, or for
 * Hyperliquid by ECDSA, with nonces made ahead. The argument names the case.
 *
 * Linked with --wrap, it also counts the bytes that the gate has hashed. */
#include <sentinel/nonces.h>
#include <valgrind/callgrind.h>

#include "gate_scene.h"

enum { GROUP_ID = 1500, AGENT_C = 2003, WARM_UP = 64, COUNTED = 64 };
enum { KEY_ED25519 = 4, KEY_HYPERLIQUID = 5, PERP = 31, NONCES = 256 };

/* One case: what is different from the plain order. */
typedef struct guard_case {
    uint32_t key; /* 0: HMAC */
    uint32_t instrument;
    int in_force; /* what people command */
    unsigned results;
} guard_case;

/* ---- Bytes that are hashed: functions of libcrypto and libsodium with a size ---- */

static struct {
    const char *name;
    uint64_t bytes;
} hashed[] = {{"SHA256_Update", 0}, {"SHA512_Update", 0}, {"crypto_sign_detached", 0}};

int __real_SHA256_Update(SHA256_CTX *context, const void *bytes, size_t size);
int __wrap_SHA256_Update(SHA256_CTX *context, const void *bytes, size_t size);
int __wrap_SHA256_Update(SHA256_CTX *context, const void *bytes, size_t size) {
    hashed[0].bytes += size;
    return __real_SHA256_Update(context, bytes, size);
}

int __real_SHA512_Update(SHA512_CTX *context, const void *bytes, size_t size);
int __wrap_SHA512_Update(SHA512_CTX *context, const void *bytes, size_t size);
int __wrap_SHA512_Update(SHA512_CTX *context, const void *bytes, size_t size) {
    hashed[1].bytes += size;
    return __real_SHA512_Update(context, bytes, size);
}

int __real_crypto_sign_detached(uint8_t *signature, unsigned long long *written,
                                const uint8_t *bytes, unsigned long long size, const uint8_t *key);
int __wrap_crypto_sign_detached(uint8_t *signature, unsigned long long *written,
                                const uint8_t *bytes, unsigned long long size, const uint8_t *key);
int __wrap_crypto_sign_detached(uint8_t *signature, unsigned long long *written,
                                const uint8_t *bytes, unsigned long long size, const uint8_t *key) {
    hashed[2].bytes += size;
    return __real_crypto_sign_detached(signature, written, bytes, size, key);
}

/* ---- The scene ------------------------------------------------------------------ */

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

static void make_keys(gate_scene *s) {
    scene_key(s->ring, KEY_ED25519, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_ED25519,
              SENTINEL_VENUE_BINANCE_SPOT);
    sentinel_key_info info = {.id = KEY_HYPERLIQUID,
                              .purpose = SENTINEL_PURPOSE_VENUE,
                              .algorithm = SENTINEL_ALGORITHM_ECDSA_SECP256K1,
                              .venue = SENTINEL_VENUE_HYPERLIQUID};
    CHECK_OK(sentinel_keyring_generate(s->ring, &info));
}

static void key_rows(gate_scene *s) {
    scene_contract(s, PERP, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_CONTRACT_LINEAR,
                   SENTINEL_UNIT_BASE, "BTC")
        ->lot = decimal(1, 5);
    scene_venue_key(s, KEY_ED25519, SENTINEL_VENUE_BINANCE_SPOT, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_SPOT)
        ->flags = SENTINEL_KEY_ENDPOINT_CHECKED;
    scene_venue_key(s, KEY_HYPERLIQUID, SENTINEL_VENUE_HYPERLIQUID, SENTINEL_PURPOSE_VENUE,
                    1u << SENTINEL_CONTRACT_LINEAR);
}

static void rows(gate_scene *s, const guard_case *of) {
    bundle_build *b = &s->build;
    scene_policy_rows(s);
    if (of->key != 0) {
        key_rows(s);
    }
    /* The scene's constraints are replaced by twelve at three levels. */
    b->nodes[0].constraint_count = 0;
    b->counts[SENTINEL_SECTION_CONSTRAINTS] = 0;
    uint32_t group = add_node(b, GROUP_ID, SENTINEL_NODE_GROUP, 0);
    uint32_t agent = add_node(b, AGENT_C, SENTINEL_NODE_AGENT, group);
    const uint32_t ids[] = {BTCUSDT, PERP};
    const int64_t usd = 1000000;
    add_mask(b, 1, 0, SENTINEL_RULE_ACTIONS, (1u << SENTINEL_ACTION_COUNT) - 2);
    add_mask(b, 2, 0, SENTINEL_RULE_VENUES, (1u << SENTINEL_VENUE_COUNT) - 1);
    add_bound(b, 3, 0, SENTINEL_RULE_VALUE_CAP, 1000 * usd);
    add_bound(b, 4, 0, SENTINEL_RULE_DAILY_LIMIT, 1000000 * usd);
    if (of->in_force) {
        people_rows(b);
    }
    add_instruments(b, 5, group, ids, of->key != 0 ? 2 : 1);
    add_mask(b, 6, group, SENTINEL_RULE_ORDER_TYPES, (1u << SENTINEL_TYPE_COUNT) - 2);
    add_mask(b, 7, group, SENTINEL_RULE_SIDES, (1u << SENTINEL_SIDE_COUNT) - 2);
    add_mask(b, 8, group, SENTINEL_RULE_TIMES_IN_FORCE, (1u << SENTINEL_TIF_COUNT) - 2);
    sentinel_constraint *collar = add_bound(b, 9, group, SENTINEL_RULE_PRICE_COLLAR, 50000);
    collar->max_age_ns = 60 * SECOND_NS;
    add_bound(b, 10, agent, SENTINEL_RULE_QUANTITY_CAP, 10)->instrument = of->instrument;
    add_window(b, 11, agent, SENTINEL_RULE_ROLLING_CAP, 1000000 * usd, 3600 * SECOND_NS);
    add_window(b, 12, agent, SENTINEL_RULE_RATE_LIMIT, 1000, 60 * SECOND_NS);
}

static void make_nonces(gate_scene *s, uint32_t key) {
    CHECK_OK(sentinel_nonces_start(s->ring, key, NONCES));
    uint32_t made;
    do {
        CHECK_OK(sentinel_nonces_fill(s->ring, key, &made));
    } while (made != 0);
}

static void sign_orders(gate_scene *s, const guard_case *of, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        s->now += 1000000;
        sentinel_order order = scene_place(s);
        order.header.agent = AGENT_C;
        order.header.key = of->key;
        order.place.instrument = of->instrument;
        if (of->instrument == PERP) {
            order.place.price = decimal(50000, 0);
        }
        CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, &order,
                                    sizeof order.place, s->now));
        CHECK_EQ(s->outcome.verdict, SENTINEL_ALLOWED);
        CHECK_EQ(s->outcome.decision.result_count, of->results);
    }
}

static void count_orders(const guard_case *of) {
    static gate_scene scene;
    gate_scene *s = &scene;
    scene_bare(s);
    make_keys(s);
    CHECK_OK(sentinel_gate_genesis(s->context, s->now));
    scene_authority(s);
    CHECK_OK(scene_take(s));
    rows(s, of);
    CHECK_OK(scene_load(s));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    scene_feed(s, of->instrument, decimal(5000000, 2));
    CHECK_OK(scene_take(s));
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_C));
    if (of->in_force) {
        people_command(s);
    }
    if (of->key != 0) {
        make_nonces(s, of->key);
    }
    sign_orders(s, of, WARM_UP);
    for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++) {
        hashed[i].bytes = 0;
    }
    CALLGRIND_ZERO_STATS;
    sign_orders(s, of, COUNTED);
    CALLGRIND_DUMP_STATS;
    for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++) {
        printf("bytes %s %llu\n", hashed[i].name, (unsigned long long)hashed[i].bytes);
    }
    scene_end(s);
}

static void nothing_in_force(void) {
    const guard_case of = {.instrument = BTCUSDT, .results = 13};
    count_orders(&of);
}

static void people_in_force(void) {
    const guard_case of = {.instrument = BTCUSDT, .in_force = 1, .results = 14};
    count_orders(&of);
}

static void ed25519_ahead(void) {
    const guard_case of = {.key = KEY_ED25519, .instrument = BTCUSDT, .results = 13};
    count_orders(&of);
}

static void ecdsa_ahead(void) {
    const guard_case of = {.key = KEY_HYPERLIQUID, .instrument = PERP, .results = 13};
    count_orders(&of);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(nothing_in_force);
    RUN(people_in_force);
    RUN(ed25519_ahead);
    RUN(ecdsa_ahead);
    return test_end();
}

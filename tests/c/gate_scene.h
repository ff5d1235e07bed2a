/* A whole engine in memory for tests of the gate: keys, authority, a policy of
 * one firm with two agents, and a log in a directory of its own. */
#ifndef GATE_SCENE_H
#define GATE_SCENE_H

#include <fcntl.h>
#include <sentinel/sentinel.h>
#include <stdlib.h>
#include <unistd.h>

#include "bundle_builder.h"
#include "hash.h"
#include "sentinel_test.h"

enum {
    KEY_RECEIPT = 1,
    KEY_VENUE = 2, /* HMAC, Binance spot, the firm's */
    KEY_MESSAGE = 3,
    KEY_ROOT = 11,
    KEY_POLICY = 12,
    KEY_OPERATOR_A = 13,
    KEY_OPERATOR_B = 14,
    KEY_FEEDER = 15,  /* of marks, reports and positions */
    KEY_AGENT_A = 16, /* agent A's own */
    KEY_AGENT_B = 17,
    KEY_REPORTER = 18, /* of reports alone */
    KEY_WITNESS = 19,
    KEY_APPROVER = 81, /* and the two after it */
    FIRM_ID = 1000,
    AGENT_A = 2001,
    AGENT_B = 2002,
    BTCUSDT = 30
};
#define START_NS INT64_C(1700000000000000000)
#define SECOND_NS INT64_C(1000000000)

typedef struct gate_scene {
    bundle_build build;
    sentinel_config config;
    sentinel_keyring *ring; /* the engine's */
    sentinel_keyring *people;
    sentinel_context *context;
    void *memory;
    sentinel_log log;
    sentinel_control control;
    sentinel_session session; /* of agent A */
    sentinel_outcome outcome;
    char dir[64];
    int dir_fd;
    int64_t now;
    uint64_t id;
    uint64_t sequences[SENTINEL_SEQUENCES];
    uint8_t engine_id32[32];
    struct {
        int64_t expires_ns; /* 0: not in the authority */
        uint32_t key;       /* whose public key stands under the id */
    } approvers[3];
    int64_t operators_end_ns; /* of both keys; 0: never */
    int has_witness;          /* 1: the authority has one */
    _Alignas(8) uint8_t frame[65536];
    size_t frame_size;
    _Alignas(8) uint8_t authority[8192];
    size_t authority_size;
} gate_scene;

/* ---- Frames -------------------------------------------------------------------- */

static const char *const scene_prefixes[] = {"", "sentinel-authority-v1", "sentinel-policy-v1",
                                             "", "sentinel-command-v1",   "sentinel-feed-v1",
                                             "", "sentinel-grant-v1"};

/* A frame in scene->frame: header and payload, no proofs yet. */
static void frame_begin(gate_scene *s, uint16_t kind, const void *payload, size_t size,
                        uint64_t sequence) {
    sentinel_frame_header header = {
        .version = SENTINEL_FRAME_VERSION,
        .kind = kind,
        .environment = SENTINEL_ENVIRONMENT_TEST,
        .size_bytes = (uint32_t)(sizeof header + size),
        .sequence = sequence,
        .issued_ns = s->now,
        .expires_ns = s->now + 60 * SECOND_NS,
    };
    memcpy(header.magic, SENTINEL_FRAME_MAGIC, 8);
    memcpy(header.engine_id32, s->engine_id32, 32);
    memset(s->frame, 0, sizeof s->frame);
    memcpy(s->frame, &header, sizeof header);
    memcpy(s->frame + sizeof header, payload, size);
    s->frame_size = sizeof header + size + 8;
}

static void frame_sign(gate_scene *s, uint32_t key, uint32_t named) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)s->frame;
    uint8_t digest32[32];
    hash_bytes(digest32, s->frame, header->size_bytes);
    uint32_t count;
    memcpy(&count, s->frame + header->size_bytes, 4);
    count++;
    memcpy(s->frame + header->size_bytes, &count, 4);
    sentinel_proof proof = {.key = named, .scheme = SENTINEL_PROOF_ED25519, .size = 64};
    memcpy(s->frame + s->frame_size, &proof, sizeof proof);
    CHECK_OK(sentinel_sign_frame(s->people, s->frame + s->frame_size + sizeof proof, key,
                                 scene_prefixes[header->kind], digest32));
    s->frame_size += sizeof proof + 64;
}

static sentinel_status scene_take(gate_scene *s) {
    return sentinel_gate_take(s->context, NULL, s->frame, s->frame_size, s->now);
}

/* The last record, read from the log (of RECORD_BYTES_MAX, aligned to 8); its header. */
static sentinel_record_header scene_last_record(const gate_scene *s, uint8_t *bytes) {
    sentinel_log_reader reader;
    sentinel_record record;
    CHECK_OK(sentinel_log_reader_open(&reader, s->dir_fd, s->log.count - 1));
    CHECK_OK(sentinel_log_reader_next(&reader, &record, bytes, SENTINEL_RECORD_BYTES_MAX));
    sentinel_log_reader_close(&reader);
    return *record.header;
}

/* ---- Policy, commands, marks ------------------------------------------------------ */

static void scene_policy_rows(gate_scene *s) {
    bundle_build *b = &s->build;
    bundle_begin(b);
    b->policy.clock_tolerance_ns = SECOND_NS;
    b->policy.mark_max_age_ns = 60 * SECOND_NS;
    b->policy.attempt_limit = 1000;
    b->policy.attempt_interval_ns = SECOND_NS;
    add_node(b, AGENT_A, SENTINEL_NODE_AGENT, 0);
    add_node(b, AGENT_B, SENTINEL_NODE_AGENT, 0);
    add_asset(b, 10)->par_micro_usd = 1000000;
    add_asset(b, 11)->par_micro_usd = INT64_C(50000000000);
    add_network(b, 20, 10);
    add_network(b, 21, 11);
    add_instrument(b, BTCUSDT, 11, 10);
    uint32_t keys[] = {KEY_VENUE, KEY_MESSAGE};
    for (unsigned i = 0; i < 2; i++) {
        const sentinel_key_info *info = sentinel_keyring_find(s->ring, keys[i]);
        sentinel_key *row = add_key(b, keys[i], 0);
        row->venue = info->venue;
        row->purpose = info->purpose;
        row->algorithm = info->algorithm;
        row->flags = info->venue != 0 ? SENTINEL_KEY_ENDPOINT_GRANT : 0;
        row->products = info->venue != 0 ? SENTINEL_PRODUCTS_ALL : 0;
        row->expiry_ms = info->venue != 0 ? 5000 : 0;
        memcpy(row->fingerprint32, info->fingerprint32, 32);
    }
    add_mask(b, 1, 0, SENTINEL_RULE_ACTIONS, (1u << SENTINEL_ACTION_COUNT) - 2);
    build_destination destination = {20, "TCold", ""};
    add_destinations(b, 2, 0, &destination, 1);
    add_bound(b, 3, 0, SENTINEL_RULE_VALUE_CAP, INT64_C(1000000000)); /* 1,000 USD */
}

/* A key of a venue, good for these products; the key is in the ring. */
static inline sentinel_key *scene_venue_key(gate_scene *s, uint32_t id, uint16_t venue,
                                            uint8_t purpose, uint16_t products) {
    const sentinel_key_info *info = sentinel_keyring_find(s->ring, id);
    sentinel_key *row = add_key(&s->build, id, 0);
    row->venue = venue;
    row->purpose = purpose;
    row->algorithm = info->algorithm;
    row->products = products;
    row->expiry_ms = 3000;
    memcpy(row->fingerprint32, info->fingerprint32, 32);
    return row;
}

/* An instrument of another venue, like BTCUSDT. */
static inline sentinel_instrument *scene_contract(gate_scene *s, uint32_t id, uint16_t venue,
                                                  uint8_t contract, uint8_t unit,
                                                  const char *symbol) {
    sentinel_instrument *row = add_instrument(&s->build, id, 11, 10);
    row->venue = venue;
    row->contract = contract;
    row->settle = contract == SENTINEL_CONTRACT_INVERSE ? row->base : row->quote;
    row->quantity_unit = unit;
    memset(row->symbol, 0, sizeof row->symbol);
    memcpy(row->symbol, symbol, strlen(symbol));
    row->symbol_size = (uint8_t)strlen(symbol);
    return row;
}

static sentinel_status scene_load(gate_scene *s) {
    bundle_pack(&s->build);
    frame_begin(s, SENTINEL_FRAME_POLICY, s->build.frame + sizeof(sentinel_frame_header),
                s->build.frame_size - 8 - sizeof(sentinel_frame_header),
                ++s->sequences[SENTINEL_FRAME_POLICY]);
    frame_sign(s, KEY_POLICY, KEY_POLICY);
    return scene_take(s);
}

static void scene_command_at(gate_scene *s, uint16_t verb, uint16_t scope, uint32_t target,
                             int64_t until_ns) {
    sentinel_command command = {.verb = verb,
                                .scope = scope,
                                .target = target,
                                .reason_size = 4,
                                .severity = 2,
                                .until_ns = until_ns};
    hash_bytes(command.reason_digest32, "test", 4);
    frame_begin(s, SENTINEL_FRAME_COMMAND, &command, sizeof command,
                ++s->sequences[SENTINEL_FRAME_COMMAND]);
}

/* A command about a pending record, unsigned; approver n signs with frame_sign. */
static inline void scene_answer(gate_scene *s, uint16_t verb, uint64_t record,
                                const uint8_t hash32[32]) {
    sentinel_command command = {
        .verb = verb, .scope = SENTINEL_SCOPE_RECORD, .reason_size = 4, .record = record};
    memcpy(command.record_hash32, hash32, 32);
    hash_bytes(command.reason_digest32, "test", 4);
    frame_begin(s, SENTINEL_FRAME_COMMAND, &command, sizeof command,
                ++s->sequences[SENTINEL_FRAME_COMMAND]);
}

static void scene_command(gate_scene *s, uint16_t verb, uint32_t node) {
    scene_command_at(s, verb, SENTINEL_SCOPE_NODE, node, 0);
}

static sentinel_status scene_halt(gate_scene *s, uint32_t node) {
    scene_command(s, SENTINEL_COMMAND_HALT, node);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    return scene_take(s);
}

static sentinel_status scene_resume(gate_scene *s, uint32_t node) {
    scene_command(s, SENTINEL_COMMAND_RESUME, node);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
    return scene_take(s);
}

/* The log's time, which must be this, is set back to now; to be taken. */
static inline void scene_set_clock(gate_scene *s, int64_t before_ns) {
    scene_command_at(s, SENTINEL_COMMAND_RESUME, SENTINEL_SCOPE_NODE, FIRM_ID, before_ns);
    frame_sign(s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_sign(s, KEY_OPERATOR_B, KEY_OPERATOR_B);
}

static void scene_feed(gate_scene *s, uint32_t instrument, sentinel_decimal price) {
    struct {
        sentinel_feed feed;
        sentinel_mark mark;
    } payload = {
        .feed = {.kind = SENTINEL_FEED_MARK, .count = 1},
        .mark = {.kind = SENTINEL_MARK_INSTRUMENT,
                 .id = instrument,
                 .price = price,
                 .time_ns = s->now},
    };
    frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload,
                ++s->sequences[SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_MARK]);
    frame_sign(s, KEY_FEEDER, KEY_FEEDER);
}

/* A heartbeat as it is now, to be signed. */
static inline void scene_beat(gate_scene *s, uint32_t agent, uint64_t iterations,
                              int64_t running_since_ns) {
    struct {
        sentinel_feed feed;
        sentinel_heartbeat beat;
    } payload = {
        .feed = {.kind = SENTINEL_FEED_HEARTBEAT, .count = 1},
        .beat = {.agent = agent, .iterations = iterations, .running_since_ns = running_since_ns},
    };
    frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload,
                ++s->sequences[SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_HEARTBEAT]);
}

/* The same, signed by the agent and taken. */
static inline sentinel_status scene_beat_take(gate_scene *s, uint32_t agent, uint64_t iterations,
                                              int64_t running_since_ns) {
    scene_beat(s, agent, iterations, running_since_ns);
    uint32_t key = agent == AGENT_A ? KEY_AGENT_A : KEY_AGENT_B;
    frame_sign(s, key, key);
    return scene_take(s);
}

/* A rule of heartbeats, to be loaded: silence and iterations of so many seconds. */
static inline sentinel_constraint *scene_beat_rule(gate_scene *s, uint32_t node, uint8_t mode,
                                                   int64_t silence_s, int64_t iteration_s) {
    sentinel_constraint *row =
        add_bound(&s->build, 80 + node, node, SENTINEL_RULE_HEARTBEAT, iteration_s * SECOND_NS);
    row->window_ns = silence_s * SECOND_NS;
    row->mask = 1u << mode;
    return row;
}

/* Reports by a feeder, with its sequence; signed, not taken. */
static inline void scene_reports(gate_scene *s, uint32_t key, uint64_t sequence,
                                 const sentinel_report *reports, uint32_t count) {
    struct {
        sentinel_feed feed;
        sentinel_report rows[SENTINEL_FEED_REPORTS_MAX + 1];
    } payload = {.feed = {.kind = SENTINEL_FEED_EXECUTION, .count = (uint16_t)count}};
    memcpy(payload.rows, reports, count * sizeof *reports);
    frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload.feed + count * sizeof *reports,
                sequence);
    frame_sign(s, key, key);
}

static inline void scene_position(gate_scene *s, uint32_t instrument, sentinel_decimal quantity,
                                  int64_t time_ns) {
    struct {
        sentinel_feed feed;
        sentinel_position position;
    } payload = {
        .feed = {.kind = SENTINEL_FEED_POSITION, .count = 1},
        .position = {.instrument = instrument, .quantity = quantity, .time_ns = time_ns},
    };
    frame_begin(s, SENTINEL_FRAME_FEED, &payload, sizeof payload,
                ++s->sequences[SENTINEL_SEQUENCE_FEED + SENTINEL_FEED_POSITION]);
    frame_sign(s, KEY_FEEDER, KEY_FEEDER);
}

/* ---- Setting up ------------------------------------------------------------------- */

static void scene_key(sentinel_keyring *ring, uint32_t id, uint8_t purpose, uint8_t algorithm,
                      uint16_t venue) {
    sentinel_key_info info = {.id = id, .purpose = purpose, .algorithm = algorithm, .venue = venue};
    if (venue != 0) {
        info.api_key_size = 4;
        memcpy(info.api_key, "test", 4);
    }
    CHECK_OK(sentinel_keyring_generate(ring, &info));
}

static void scene_authority(gate_scene *s) {
    struct {
        sentinel_authority head;
        sentinel_authority_key rows[11];
    } authority = {.head = {.key_count = 7}};
    static const struct {
        uint32_t key, powers, node;
    } holders[7] = {{KEY_POLICY, 1u << SENTINEL_POWER_POLICY, 0},
                    {KEY_OPERATOR_A, 1u << SENTINEL_POWER_OPERATOR, 0},
                    {KEY_OPERATOR_B, 1u << SENTINEL_POWER_OPERATOR, 0},
                    {KEY_FEEDER,
                     1u << SENTINEL_POWER_FEED_MARK | 1u << SENTINEL_POWER_FEED_EXECUTION |
                         1u << SENTINEL_POWER_FEED_POSITION,
                     0},
                    {KEY_AGENT_A, 1u << SENTINEL_POWER_AGENT, AGENT_A},
                    {KEY_AGENT_B, 1u << SENTINEL_POWER_AGENT, AGENT_B},
                    {KEY_REPORTER, 1u << SENTINEL_POWER_FEED_EXECUTION, 0}};
    for (unsigned i = 0; i < 7; i++) {
        authority.rows[i] = (sentinel_authority_key){
            .id = holders[i].key,
            .powers = holders[i].powers,
            .node = holders[i].node,
            .scheme = SENTINEL_PROOF_ED25519,
            .expires_ns = INT64_MAX,
        };
        memcpy(authority.rows[i].public_key32,
               sentinel_keyring_find(s->people, holders[i].key)->public_key, 32);
        if (s->operators_end_ns != 0 && holders[i].powers == 1u << SENTINEL_POWER_OPERATOR) {
            authority.rows[i].expires_ns = s->operators_end_ns;
        }
    }
    if (s->has_witness) {
        sentinel_authority_key *row = &authority.rows[authority.head.key_count++];
        *row = authority.rows[0];
        row->id = KEY_WITNESS;
        row->powers = 1u << SENTINEL_POWER_WITNESS;
        memcpy(row->public_key32, sentinel_keyring_find(s->people, KEY_WITNESS)->public_key, 32);
        authority.head.threshold[SENTINEL_POWER_WITNESS] = 1;
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (s->approvers[i].expires_ns != 0) {
            sentinel_authority_key *row = &authority.rows[authority.head.key_count++];
            *row = authority.rows[0];
            row->id = KEY_APPROVER + i;
            row->powers = 1u << SENTINEL_POWER_APPROVER;
            row->expires_ns = s->approvers[i].expires_ns;
            memcpy(row->public_key32,
                   sentinel_keyring_find(s->people, s->approvers[i].key)->public_key, 32);
            authority.head.threshold[SENTINEL_POWER_APPROVER] = 1;
        }
    }
    authority.head.threshold[SENTINEL_POWER_POLICY] = 1;
    authority.head.threshold[SENTINEL_POWER_OPERATOR] = 2;
    authority.head.threshold[SENTINEL_POWER_FEED_MARK] = 1;
    authority.head.threshold[SENTINEL_POWER_AGENT] = 1;
    authority.head.threshold[SENTINEL_POWER_FEED_EXECUTION] = 1;
    authority.head.threshold[SENTINEL_POWER_FEED_POSITION] = 1;
    frame_begin(s, SENTINEL_FRAME_AUTHORITY, &authority,
                sizeof authority.head + authority.head.key_count * sizeof authority.rows[0],
                ++s->sequences[SENTINEL_FRAME_AUTHORITY]);
    frame_sign(s, KEY_ROOT, 0);
    memcpy(s->authority, s->frame, s->frame_size);
    s->authority_size = s->frame_size;
}

static void scene_context(gate_scene *s, sentinel_keyring *ring, sentinel_log *log) {
    uint64_t bytes = sentinel_context_bytes(&s->config);
    CHECK(bytes != 0);
    free(s->memory);
    s->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    CHECK(s->memory != NULL);
    CHECK_OK(
        sentinel_context_init(&s->context, s->memory, bytes, &s->config, ring, log, &s->control));
}

/* Keys, genesis and an empty context: nothing is loaded. */
static void scene_bare(gate_scene *s) {
    memset(s, 0, sizeof *s);
    s->now = START_NS;
    CHECK_OK(sentinel_keyring_new(&s->ring));
    CHECK_OK(sentinel_keyring_new(&s->people));
    scene_key(s->ring, KEY_RECEIPT, SENTINEL_PURPOSE_RECEIPT, SENTINEL_ALGORITHM_ED25519, 0);
    scene_key(s->ring, KEY_VENUE, SENTINEL_PURPOSE_VENUE, SENTINEL_ALGORITHM_HMAC_SHA256,
              SENTINEL_VENUE_BINANCE_SPOT);
    scene_key(s->ring, KEY_MESSAGE, SENTINEL_PURPOSE_MESSAGE, SENTINEL_ALGORITHM_ED25519, 0);
    for (uint32_t key = KEY_ROOT; key <= KEY_WITNESS; key++) {
        scene_key(s->people, key, SENTINEL_PURPOSE_AUTHORITY, SENTINEL_ALGORITHM_ED25519, 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t key = KEY_APPROVER + i;
        scene_key(s->people, key, SENTINEL_PURPOSE_AUTHORITY, SENTINEL_ALGORITHM_ED25519, 0);
        s->approvers[i].expires_ns = INT64_MAX;
        s->approvers[i].key = key;
    }
    sentinel_genesis *genesis = &s->config.genesis;
    memcpy(genesis->magic, "SENTGENE", 8);
    genesis->version = 1;
    genesis->environment = SENTINEL_ENVIRONMENT_TEST;
    genesis->root_threshold = 1;
    genesis->root_count = 1;
    genesis->created_ns = s->now;
    memcpy(genesis->identity_key32, sentinel_keyring_find(s->ring, KEY_RECEIPT)->public_key, 32);
    memcpy(genesis->root_keys[0], sentinel_keyring_find(s->people, KEY_ROOT)->public_key, 32);
    CHECK_OK(sentinel_genesis_check(s->engine_id32, genesis, sizeof *genesis));
    s->config.bundle_bytes_max = 1 << 20;
    s->config.state_bytes_max = 1 << 20;
    s->config.receipt_key = KEY_RECEIPT;
    strcpy(s->dir, "/tmp/sentinel-gate-XXXXXX");
    CHECK(mkdtemp(s->dir) != NULL);
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY);
    CHECK(s->dir_fd >= 0);
    CHECK_OK(sentinel_log_open(&s->log, s->dir_fd, s->engine_id32, SENTINEL_DURABILITY_WRITE,
                               SENTINEL_SEGMENT_BYTES_MIN));
    scene_context(s, s->ring, &s->log);
}

/* An engine that is ready: records 0 to 3 are genesis, authority, policy, start. */
static void scene_begin(gate_scene *s) {
    scene_bare(s);
    CHECK_OK(sentinel_gate_genesis(s->context, s->now));
    scene_authority(s);
    CHECK_OK(scene_take(s));
    scene_policy_rows(s);
    CHECK_OK(scene_load(s));
    CHECK_OK(sentinel_gate_start(s->context, 0, s->now));
    CHECK_OK(sentinel_session_open(&s->session, s->context, AGENT_A));
}

static void scene_end(gate_scene *s) {
    sentinel_log_close(&s->log);
    close(s->dir_fd);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    CHECK_EQ(system(command), 0);
    sentinel_keyring_free(s->ring);
    sentinel_keyring_free(s->people);
    free(s->memory);
}

/* ---- Orders ----------------------------------------------------------------------- */

/* A buy of 0.001 BTC at 50,000.00: worth 50 USD. */
static sentinel_order scene_place(gate_scene *s) {
    sentinel_order order;
    memset(&order, 0, sizeof order);
    order.place = (sentinel_order_place){
        .header =
            {
                .version = SENTINEL_ORDER_VERSION,
                .action = SENTINEL_ACTION_PLACE,
                .size_bytes = sizeof order.place,
                .agent = AGENT_A,
                .action_id = ++s->id,
                .present = SENTINEL_PRESENT_QUANTITY | SENTINEL_PRESENT_PRICE,
                .release_mode = SENTINEL_RELEASE_TO_AGENT,
            },
        .instrument = BTCUSDT,
        .side = SENTINEL_SIDE_BUY,
        .type = SENTINEL_TYPE_LIMIT,
        .time_in_force = SENTINEL_TIF_GTC,
        .quantity = decimal(1, 3),
        .price = decimal(5000000, 2),
    };
    return order;
}

static sentinel_order scene_order(gate_scene *s, uint16_t action) {
    sentinel_order order = scene_place(s);
    sentinel_order_header header = order.header;
    memset(&order, 0, sizeof order);
    header.action = action;
    header.size_bytes = sentinel_order_bytes(action);
    header.present = 0;
    order.header = header;
    return order;
}

static inline sentinel_order scene_message(gate_scene *s) {
    sentinel_order order = scene_order(s, SENTINEL_ACTION_MESSAGE);
    order.message.text_size = 1;
    order.message.text[0] = 'a';
    return order;
}

static void scene_sign(gate_scene *s, const sentinel_order *order) {
    CHECK_OK(sentinel_gate_sign(s->context, &s->outcome, &s->session, order,
                                order->header.size_bytes, s->now));
}

/* The verdict of an order is a denial for this reason, and nothing leaks. */
static void check_denied(gate_scene *s, const sentinel_order *order, sentinel_reason reason) {
    scene_sign(s, order);
    CHECK_EQ(s->outcome.reason, reason);
    CHECK_EQ(s->outcome.verdict, SENTINEL_DENIED);
    sentinel_signature none = {0};
    CHECK_BYTES(&s->outcome.signature, &none, sizeof none);
    CHECK_EQ(s->outcome.request.text_size, 0);
    CHECK_EQ(s->outcome.request.text[0], 0);
}

static void check_allowed(gate_scene *s, const sentinel_order *order) {
    scene_sign(s, order);
    CHECK_EQ(s->outcome.reason, SENTINEL_REASON_NONE);
    CHECK_EQ(s->outcome.verdict, SENTINEL_ALLOWED);
    CHECK_EQ(s->outcome.recorded, 1);
}

#endif

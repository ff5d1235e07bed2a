/* Policy: the signed bundle, and the decision over one order.
 *
 * A policy bundle is a frame (frame.h) of kind POLICY whose payload is
 * sentinel_policy, then the sections, each aligned to 8 and in the order of
 * their numbers, with nothing between but zero padding (an empty section too
 * has its offset), and zeros to a multiple of 8. Rows refer to rows
 * by index, texts by offset, so the bundle can lie anywhere in memory.
 * docs/2-policy.md has the semantics; tests/model decides the same. */
#ifndef SENTINEL_POLICY_H
#define SENTINEL_POLICY_H

#include <sentinel/frame.h>
#include <sentinel/order.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits of tables, in rows unless said otherwise. */
#define SENTINEL_NODES_MAX 131072u
#define SENTINEL_DEPTH_MAX 10u /* nodes from firm to agent */
#define SENTINEL_ASSETS_MAX 4096u
#define SENTINEL_NETWORKS_MAX 8192u
#define SENTINEL_INSTRUMENTS_MAX 16384u
#define SENTINEL_KEYS_MAX 256u
#define SENTINEL_CONSTRAINTS_MAX 262144u
#define SENTINEL_CHAIN_CONSTRAINTS_MAX 126u /* from firm to one agent */
#define SENTINEL_IDS_MAX 1048576u
#define SENTINEL_DESTINATIONS_MAX 65536u
#define SENTINEL_SANCTIONS_MAX 4194304u
#define SENTINEL_TEXT_MAX 4194304u /* bytes */
#define SENTINEL_RATE_EVENTS_MAX 131072u /* bound of one rate limit */
#define SENTINEL_ROLLING_BUCKETS 66u
#define SENTINEL_BOOK_ENTRIES_MAX 65536u /* per agent, a power of two */
#define SENTINEL_WINDOW_NS_MAX INT64_C(34560000000000000) /* 400 days */
#define SENTINEL_NODE_NONE 0xffffffffu

enum {
    SENTINEL_SECTION_NODES = 0,
    SENTINEL_SECTION_ASSETS = 1,
    SENTINEL_SECTION_NETWORKS = 2,
    SENTINEL_SECTION_INSTRUMENTS = 3,
    SENTINEL_SECTION_KEYS = 4,
    SENTINEL_SECTION_CONSTRAINTS = 5,
    SENTINEL_SECTION_IDS = 6, /* u32 */
    SENTINEL_SECTION_DESTINATIONS = 7, /* 32 bytes each */
    SENTINEL_SECTION_SANCTIONS = 8, /* 16 bytes each, ascending, unique */
    SENTINEL_SECTION_TEXT = 9, /* bytes: names, UTF-8 */
    SENTINEL_SECTION_COUNT = 10
};
typedef struct sentinel_section {
    uint32_t offset; /* from the payload's beginning, a multiple of 8 */
    uint32_t count; /* rows */
} sentinel_section;
SENTINEL_SIZE(sentinel_section, 8);

typedef struct sentinel_policy {
    uint32_t semantics_version;
    uint32_t attempt_limit; /* denials recorded per agent and interval; > 0 */
    int64_t attempt_interval_ns; /* > 0 */
    int64_t clock_tolerance_ns; /* a step back up to this reuses the last time */
    int64_t mark_max_age_ns; /* for values; > 0 */
    uint32_t market_band_ppm; /* added to the mark for market orders; < 1e6 */
    uint32_t book_entries; /* per agent; a power of two */
    uint8_t source_digest32[32]; /* SHA-256 of the text it was compiled from */
    sentinel_section sections[SENTINEL_SECTION_COUNT];
    uint8_t oversight[16]; /* by action: SENTINEL_OVERSIGHT_* */
    int64_t lease_ns; /* the longest operator lease; 0: none is needed */
    int64_t approval_ns; /* oversight: time to live of a request; 0: none is made */
    uint8_t approval_quorum; /* oversight: approvers needed */
    uint8_t reserved[7];
} sentinel_policy;
SENTINEL_SIZE(sentinel_policy, 192);
SENTINEL_AT(sentinel_policy, market_band_ppm, 32);
SENTINEL_AT(sentinel_policy, source_digest32, 40);
SENTINEL_AT(sentinel_policy, sections, 72);

/* How far humans are in the loop, per action. */
enum {
    SENTINEL_OVERSIGHT_AUTONOMOUS = 0,
    SENTINEL_OVERSIGHT_NOTIFY = 1, /* signed; the record carries the mark */
    SENTINEL_OVERSIGHT_APPROVE = 2, /* every one waits for approvers */
    SENTINEL_OVERSIGHT_COUNT = 3
};

enum {
    SENTINEL_NODE_FIRM = 1,
    SENTINEL_NODE_GROUP = 2,
    SENTINEL_NODE_AGENT = 3
};

/* Row 0 is the firm; a parent stands before its children; ids are unique.
 * The constraints of a node are one run of the constraint table; the runs
 * stand in the order of their nodes, without gaps. */
typedef struct sentinel_node {
    uint32_t id; /* not 0; stable over versions */
    uint32_t parent; /* index; the firm: SENTINEL_NODE_NONE */
    uint8_t kind;
    uint8_t depth; /* the firm: 0 */
    uint16_t name_size;
    uint32_t name; /* offset into TEXT */
    uint32_t constraint_first;
    uint32_t constraint_count;
    uint8_t reserved[8];
} sentinel_node;
SENTINEL_SIZE(sentinel_node, 32);

typedef struct sentinel_asset {
    uint32_t id; /* ascending, unique, not 0 */
    uint16_t venue; /* 0: any */
    uint8_t decimals;
    uint8_t code_size;
    char code[24]; /* as the venue writes it; [A-Za-z0-9._-] */
    uint32_t mark_asset; /* id of the asset whose mark serves; 0: its own */
    uint8_t reserved0[4];
    int64_t par_micro_usd; /* > 0: a fixed mark set by policy; 0: fed */
    uint8_t token16[16]; /* the venue's number of it (Hyperliquid spot); else zero */
} sentinel_asset;
SENTINEL_SIZE(sentinel_asset, 64);

typedef struct sentinel_network {
    uint32_t id; /* ascending, unique, not 0 */
    uint32_t asset; /* id */
    uint8_t decimals;
    uint8_t code_size;
    char code[38]; /* as the venue writes it; [A-Za-z0-9._ ()-]; may be empty */
    uint8_t reserved[16];
} sentinel_network;
SENTINEL_SIZE(sentinel_network, 64);

typedef struct sentinel_instrument {
    uint32_t id; /* ascending, unique, not 0 */
    uint16_t venue;
    uint8_t environment;
    uint8_t contract;
    uint32_t base; /* asset ids */
    uint32_t quote;
    uint32_t settle; /* of an inverse contract the base, of an option the quote */
    uint32_t venue_index; /* the venue's own number (Hyperliquid) */
    uint8_t quantity_unit;
    uint8_t symbol_size;
    uint8_t market; /* the venue's product class; 0 where it has none */
    uint8_t reserved0[5];
    char symbol[48]; /* [A-Za-z0-9._-] */
    sentinel_decimal multiplier; /* base per contract (inverse: quote; quanto:
        settle, per unit of price); spot: 1 */
    sentinel_decimal tick; /* > 0; prices are multiples of it */
    sentinel_decimal lot; /* > 0; quantities are multiples of it */
    int64_t expiry_ms; /* dated contracts; 0: none */
    sentinel_decimal strike; /* options; else zero */
    uint8_t reserved1[8];
} sentinel_instrument;
SENTINEL_SIZE(sentinel_instrument, 160);
SENTINEL_AT(sentinel_instrument, quantity_unit, 24);
SENTINEL_AT(sentinel_instrument, symbol, 32);
SENTINEL_AT(sentinel_instrument, multiplier, 80);

enum {
    SENTINEL_KEY_ENDPOINT_CHECKED = 1u << 0, /* the venue limits it to its product */
    SENTINEL_KEY_ENDPOINT_GRANT = 1u << 1 /* it is not limited, and that is granted */
};
/* The products of a venue, for which its own key is good: bit n for contract
 * kind n, and this one for withdrawals and transfers. */
#define SENTINEL_PRODUCT_WALLET (1u << 0)
#define SENTINEL_PRODUCTS_ALL ((1u << SENTINEL_CONTRACT_COUNT) - 1u)
/* Which key may be used by whom, and for what. Where a venue's signatures
 * leave the endpoint open, one product is checked or granted, and several
 * are granted; else the bundle is refused. */
typedef struct sentinel_key {
    uint32_t id; /* ascending, unique, not 0 */
    uint32_t node; /* index: usable by this node and all below it */
    uint16_t venue; /* SENTINEL_VENUE_NONE for messages */
    uint8_t purpose;
    uint8_t algorithm;
    uint32_t expiry_ms; /* validity of what it signs, where the venue offers it */
    uint32_t flags;
    uint16_t products; /* bits SENTINEL_PRODUCT_*; messages: 0 */
    uint8_t reserved0[2];
    uint8_t fingerprint32[32]; /* of the key in the keyring (sign.h) */
    uint8_t reserved1[8];
} sentinel_key;
SENTINEL_SIZE(sentinel_key, 64);
SENTINEL_AT(sentinel_key, fingerprint32, 24);

/* Kinds of constraint. Evaluated and recorded for each that applies. */
enum {
    SENTINEL_RULE_KILL_SWITCH = 1, /* always applies; no row */
    SENTINEL_RULE_ACTIONS = 2,
    SENTINEL_RULE_VENUES = 3,
    SENTINEL_RULE_INSTRUMENTS = 4,
    SENTINEL_RULE_ORDER_TYPES = 5,
    SENTINEL_RULE_SIDES = 6,
    SENTINEL_RULE_TIMES_IN_FORCE = 7,
    SENTINEL_RULE_DESTINATIONS = 8,
    SENTINEL_RULE_SANCTIONS = 9,
    SENTINEL_RULE_VALUE_CAP = 10,
    SENTINEL_RULE_QUANTITY_CAP = 11,
    SENTINEL_RULE_PRICE_COLLAR = 12,
    SENTINEL_RULE_DAILY_LIMIT = 13,
    SENTINEL_RULE_ROLLING_CAP = 14,
    SENTINEL_RULE_RATE_LIMIT = 15,
    SENTINEL_RULE_HEARTBEAT = 16,
    SENTINEL_RULE_APPROVAL = 17,
    SENTINEL_RULE_COUNT = 18,
    SENTINEL_RULE_NUMBERS = 64 /* room for later kinds */
};

/* What an approval asks about, as bits of its mask; none: everything. */
enum {
    SENTINEL_ASK_VALUE = 1u << 0, /* a value above the bound */
    SENTINEL_ASK_DESTINATION = 1u << 1 /* a destination that is used for the first time */
};
#define SENTINEL_QUORUM_MAX 8u

enum {
    SENTINEL_SHARED = 0, /* one state for the node and all below it */
    SENTINEL_EACH_AGENT = 1 /* every agent below has a state of its own */
};

typedef struct sentinel_constraint {
    uint32_t id; /* unique, not 0, stable over versions: names its state */
    uint32_t node; /* index */
    uint8_t kind;
    uint8_t each; /* SENTINEL_SHARED or SENTINEL_EACH_AGENT */
    uint8_t bound_scale; /* quantity cap: decimals of the bound */
    uint8_t quorum; /* approval: how many approvers */
    uint32_t actions; /* bit n: applies to action n; not 0 */
    uint32_t venues; /* bit n: applies to venue n; not 0 */
    uint32_t instrument; /* id; 0: any */
    uint32_t mask; /* allowlists of enumerations: bit n allows n; heartbeat: bit of
        the mode that it leads to; approval: SENTINEL_ASK_* */
    uint32_t list_first; /* allowlists of rows: a run of IDS or DESTINATIONS, */
    uint32_t list_count; /* ascending and unique within the run */
    uint32_t name; /* offset into TEXT */
    int64_t bound; /* micro-USD, count, ppm, or quantity; heartbeat: ns an iteration
        may run, 0: any time */
    int64_t window_ns; /* rolling cap, rate limit; heartbeat: longest silence;
        approval: time to live */
    int64_t max_age_ns; /* price collar */
    uint16_t name_size;
    uint8_t reserved1[30];
} sentinel_constraint;
SENTINEL_SIZE(sentinel_constraint, 96);
SENTINEL_AT(sentinel_constraint, actions, 12);
SENTINEL_AT(sentinel_constraint, bound, 40);
SENTINEL_AT(sentinel_constraint, name_size, 64);

/* The result of one constraint; also its form in the record. */
enum {
    SENTINEL_PASS = 1,
    SENTINEL_FAIL = 2,
    SENTINEL_WAIT = 3 /* for approvers */
};
enum {
    SENTINEL_RESULT_SATURATED = 1u << 0, /* value did not fit; it is INT64_MAX */
    SENTINEL_RESULT_UNKNOWN = 1u << 1 /* value could not be known (no mark); FAIL */
};
#define SENTINEL_RULE_IMPLICIT 0xffffffffu
typedef struct sentinel_result {
    uint32_t rule; /* index into CONSTRAINTS; SENTINEL_RULE_IMPLICIT */
    uint8_t kind;
    uint8_t result; /* SENTINEL_PASS, _FAIL or _WAIT */
    uint8_t flags;
    uint8_t level; /* depth of the node that the constraint is attached to */
    int64_t value;
    int64_t bound;
} sentinel_result;
SENTINEL_SIZE(sentinel_result, 24);

#define SENTINEL_RESULTS_MAX 128u /* chain constraints and two implicit ones */

/* What policy said of one order. */
typedef struct sentinel_decision {
    uint8_t verdict; /* ALLOWED, DENIED or PENDING */
    uint8_t quorum; /* PENDING: approvers needed */
    uint8_t reserved[2];
    uint16_t reason; /* the first in precedence */
    uint16_t result_count;
    uint64_t reasons[2]; /* bit n of the pair: reason n applies */
    int64_t value_micro_usd; /* -1 when not known or not needed */
    int64_t time_to_live_ns; /* PENDING: of the request */
    sentinel_result results[SENTINEL_RESULTS_MAX];
    int64_t retry_at_ns[SENTINEL_RESULTS_MAX]; /* a FAIL that time heals; else 0 */
} sentinel_decision;

/* Adds a reason to the bitmap, and makes it the reason if it comes first. */
SENTINEL_API void
sentinel_decision_refuse(sentinel_decision *decision, sentinel_reason reason);

/* Tables of a checked bundle; points into it. */
typedef struct sentinel_bundle {
    const sentinel_frame_header *frame;
    const sentinel_policy *policy;
    const sentinel_node *nodes;
    const sentinel_asset *assets;
    const sentinel_network *networks;
    const sentinel_instrument *instruments;
    const sentinel_key *keys;
    const sentinel_constraint *constraints;
    const uint32_t *ids;
    const uint8_t *destinations; /* 32 bytes each */
    const uint8_t *sanctions; /* 16 bytes each */
    const char *text;
    uint32_t node_count, asset_count, network_count, instrument_count, key_count;
    uint32_t constraint_count, id_count, destination_count, sanction_count, text_size;
    uint8_t hash32[32];
} sentinel_bundle;

/* Checks every row, reference, range and reserved byte of a bundle.
 * Whether ids of nodes and constraints are unique is found when its state is
 * laid out (state.h).
 * Returns:  OK; FORMAT_*; POLICY_SEMANTICS; USAGE_ARGUMENT.
 * Out:      bundle: the tables, valid while the bytes are.
 * In:       bytes: a whole policy frame, aligned to 8. Proofs are not looked
 *           at (sentinel_frame_verify does that).
 * Timing:   variable, linear. Allocates: never. Threads: any. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_bundle_check(sentinel_bundle *bundle, const void *bytes, size_t size);

/* Rows by id; null when there is none. */
SENTINEL_API const sentinel_instrument *
sentinel_bundle_instrument(const sentinel_bundle *bundle, uint32_t id);
SENTINEL_API const sentinel_asset *
sentinel_bundle_asset(const sentinel_bundle *bundle, uint32_t id);
SENTINEL_API const sentinel_network *
sentinel_bundle_network(const sentinel_bundle *bundle, uint32_t id);
SENTINEL_API const sentinel_key *
sentinel_bundle_key(const sentinel_bundle *bundle, uint32_t id);

/* Index of the node with this id; SENTINEL_NODE_NONE when there is none.
 * Linear: sessions keep the index. */
SENTINEL_API uint32_t
sentinel_bundle_node(const sentinel_bundle *bundle, uint32_t id);

/* The forms in which lists hold addresses. Sizes are at most 255.
 * destination: SHA-256("sentinel-destination-v1" || 0x00 || u32 network id ||
 *              u8 address size || address || u8 memo size || memo), where
 *              "0x" addresses are lower-cased;
 * sanction:    the first 16 bytes of SHA-256("sentinel-sanction-v1" || 0x00 ||
 *              the address with every ASCII letter lower-cased). */
SENTINEL_API void
sentinel_destination_digest(uint8_t digest32[32], uint32_t network, const char *address,
                            size_t address_size, const char *memo, size_t memo_size);
SENTINEL_API void
sentinel_sanction_digest(uint8_t digest16[16], const char *address, size_t address_size);

#ifdef __cplusplus
}
#endif
#endif

/* Signed frames: what people and feeders tell the engine.
 *
 * frame  = signed part || proofs
 * signed = sentinel_frame_header || payload          (header.size_bytes long)
 * proofs = u32 count || u32 reserved || count x { sentinel_proof || bytes,
 *          padded with zeros to 8 }
 *
 * Each proof is over "sentinel-<kind>-v1" || 0x00 || SHA-256(signed part),
 * where <kind> is "authority", "policy", "command", "feed", "grant",
 * "certificate" or "import". The SHA-256 of the signed part is the frame's
 * hash. */
#ifndef SENTINEL_FRAME_H
#define SENTINEL_FRAME_H

#include <sentinel/status.h>
#include <sentinel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_FRAME_VERSION 1u
#define SENTINEL_FRAME_MAGIC "SENTINEL" /* 8 bytes, no terminating zero */
#define SENTINEL_PROOFS_MAX 16u
#define SENTINEL_PROOF_BYTES_MAX 1024u
#define SENTINEL_AUTHORITY_KEYS_MAX 64u
#define SENTINEL_ROOT_KEYS_MAX 8u
#define SENTINEL_FEED_MARKS_MAX 64u

/* How far a signer's clock may be ahead of the engine's: a halt must not be
 * lost to that. Sequences, which often are times, end there too, so that no
 * one frame uses up those of everybody else. Feeds are never of the future. */
#define SENTINEL_FRAME_AHEAD_NS INT64_C(5000000000)

enum {
    SENTINEL_FRAME_AUTHORITY = 1,
    SENTINEL_FRAME_POLICY = 2,
    SENTINEL_FRAME_LIMIT = 3, /* reserved */
    SENTINEL_FRAME_COMMAND = 4,
    SENTINEL_FRAME_FEED = 5,
    SENTINEL_FRAME_PERMIT = 6, /* reserved */
    SENTINEL_FRAME_GRANT = 7, /* of a witness: how far the engine may go */
    SENTINEL_FRAME_CERTIFICATE = 8, /* k of n operators: what an enclave's root must be */
    SENTINEL_FRAME_IMPORT = 9, /* k of n operators: a key, sealed to an enclave */
    SENTINEL_FRAME_COUNT = 10
};

typedef struct sentinel_frame_header {
    char magic[8];
    uint16_t version; /* SENTINEL_FRAME_VERSION */
    uint16_t kind;
    uint8_t environment; /* of the engine */
    uint8_t reserved0[3];
    uint32_t size_bytes; /* of the signed part */
    uint8_t reserved1[4];
    uint8_t engine_id32[32];
    uint64_t sequence; /* grows per kind (feeds: per feed kind), from 1 */
    int64_t issued_ns; /* Unix nanoseconds */
    int64_t expires_ns; /* refused at and after this time */
    uint8_t reserved2[16];
} sentinel_frame_header;
SENTINEL_SIZE(sentinel_frame_header, 96);
SENTINEL_AT(sentinel_frame_header, environment, 12);
SENTINEL_AT(sentinel_frame_header, size_bytes, 16);
SENTINEL_AT(sentinel_frame_header, engine_id32, 24);
SENTINEL_AT(sentinel_frame_header, sequence, 56);
SENTINEL_AT(sentinel_frame_header, expires_ns, 72);

/* Schemes of proof. 2 is reserved for passkeys (docs/commands.md, "Passkeys")
 * and refused: a frame with such a proof by POLICY_SIGNATURE, an authority
 * bundle with such a key by FORMAT_RANGE. */
enum {
    SENTINEL_PROOF_ED25519 = 1 /* 64 bytes */
};
typedef struct sentinel_proof {
    uint32_t key; /* id of a row of the authority bundle; root: index */
    uint16_t scheme; /* SENTINEL_PROOF_ED25519 */
    uint16_t size; /* of the bytes that follow, before padding */
} sentinel_proof;
SENTINEL_SIZE(sentinel_proof, 8);

/* Powers, as bits of sentinel_authority_key.powers. The root of the genesis
 * record signs authority bundles. */
enum {
    SENTINEL_POWER_POLICY = 0,
    SENTINEL_POWER_LIMIT = 1,
    SENTINEL_POWER_OPERATOR = 2, /* k of n to resume; any one stops */
    SENTINEL_POWER_APPROVER = 3,
    SENTINEL_POWER_FEED_MARK = 4,
    SENTINEL_POWER_FEED_EXECUTION = 5,
    SENTINEL_POWER_FEED_POSITION = 6,
    SENTINEL_POWER_PERMIT = 7,
    SENTINEL_POWER_WITNESS = 8,
    SENTINEL_POWER_AGENT = 9,
    SENTINEL_POWER_KEEPER = 10, /* copies the log and carries grants; proves nothing */
    SENTINEL_POWER_COUNT = 16
};

typedef struct sentinel_authority_key {
    uint32_t id; /* ascending, unique, not 0 */
    uint32_t powers; /* bit n: power n; AGENT and KEEPER stand alone */
    uint32_t node; /* AGENT: the agent's node id; else 0 */
    uint16_t scheme; /* SENTINEL_PROOF_ED25519 */
    uint16_t flags; /* SENTINEL_AUTHORITY_* */
    int64_t expires_ns; /* a proof at or after this time does not count */
    uint8_t public_key32[32];
    uint32_t uid; /* PEER: the user id that the kernel names; else 0 */
    uint8_t reserved1[68]; /* room for passkeys: P-256 key, hash of the rpId */
} sentinel_authority_key;
SENTINEL_SIZE(sentinel_authority_key, 128);
SENTINEL_AT(sentinel_authority_key, expires_ns, 16);
SENTINEL_AT(sentinel_authority_key, uid, 56);
enum {
    /* AGENT: on the daemon's own host a process of user `uid` is this agent, as
     * the kernel says who it is (enclave/PROTOCOL.md, section 6). */
    SENTINEL_AUTHORITY_PEER = 1u << 0
};

/* Payload of an authority bundle: this, then key_count rows. */
typedef struct sentinel_authority {
    uint32_t key_count;
    uint8_t reserved[4];
    uint8_t threshold[SENTINEL_POWER_COUNT]; /* k by power; 0 where unused */
} sentinel_authority;
SENTINEL_SIZE(sentinel_authority, 24);

/* The subject of record 0. engine_id = SHA-256 of these bytes. */
typedef struct sentinel_genesis {
    char magic[8]; /* "SENTGENE" */
    uint16_t version; /* 1 */
    uint8_t environment;
    uint8_t root_threshold; /* k */
    uint8_t root_count; /* n */
    uint8_t reserved0[3];
    int64_t created_ns;
    uint8_t random32[32]; /* two engines never have one id */
    uint8_t identity_key32[32]; /* Ed25519; signs heads and receipts */
    uint8_t root_keys[SENTINEL_ROOT_KEYS_MAX][32]; /* Ed25519; unused: zero */
    uint8_t reserved1[8];
} sentinel_genesis;
SENTINEL_SIZE(sentinel_genesis, 352);
SENTINEL_AT(sentinel_genesis, created_ns, 16);
SENTINEL_AT(sentinel_genesis, identity_key32, 56);
SENTINEL_AT(sentinel_genesis, root_keys, 88);

enum {
    SENTINEL_COMMAND_HALT = 1, /* any one operator */
    SENTINEL_COMMAND_RESUME = 2, /* k of n operators */
    SENTINEL_COMMAND_DRAIN = 3, /* any one operator: only what lowers risk */
    SENTINEL_COMMAND_APPROVE = 4, /* approvers, each for itself: a pending record */
    SENTINEL_COMMAND_REJECT = 5, /* any one approver */
    SENTINEL_COMMAND_LEASE = 6, /* any one operator: the engine may go on */
    SENTINEL_COMMAND_COUNT = 7
};
enum {
    SENTINEL_SCOPE_NODE = 1, /* target: a firm's, group's or agent's id */
    SENTINEL_SCOPE_VENUE = 2, /* target: the venue's number */
    SENTINEL_SCOPE_INSTRUMENT = 3, /* target: the instrument's id */
    SENTINEL_SCOPE_RECORD = 4, /* APPROVE, REJECT: record and its hash */
    SENTINEL_SCOPE_ENGINE = 5, /* LEASE; RESUME: a gap is accepted, by record and hash */
    SENTINEL_SCOPE_COUNT = 6
};

/* Payload of a command. The reason's text is kept beside the log. */
typedef struct sentinel_command {
    uint16_t verb;
    uint16_t scope;
    uint32_t target; /* id or number by the scope; else 0 */
    uint16_t reason_size; /* bytes of UTF-8; not 0 */
    uint8_t severity; /* 0 to 3 */
    uint8_t reserved0[5];
    /* DRAIN: then it is a halt, 0 never; LEASE: its end; RESUME of the firm: the
     * log's time, which is set back, 0 not; else 0 */
    int64_t until_ns;
    /* APPROVE, REJECT: number of the pending record; RESUME of ENGINE: records
     * of the head that a witness confirmed (sentinel_witness.gap_to); else 0 */
    uint64_t record;
    uint8_t record_hash32[32]; /* and its hash; else zero */
    uint8_t reason_digest32[32]; /* SHA-256 of the text */
    uint8_t reserved1[32];
} sentinel_command;
SENTINEL_SIZE(sentinel_command, 128);
SENTINEL_AT(sentinel_command, until_ns, 16);
SENTINEL_AT(sentinel_command, record_hash32, 32);
SENTINEL_AT(sentinel_command, reason_digest32, 64);

enum {
    SENTINEL_FEED_MARK = 1,
    SENTINEL_FEED_EXECUTION = 2, /* sequences per feeder, without gaps */
    SENTINEL_FEED_HEARTBEAT = 3, /* by agents; sequences per agent */
    SENTINEL_FEED_POSITION = 4,
    SENTINEL_FEED_COUNT = 5
};
enum {
    SENTINEL_MARK_INSTRUMENT = 1,
    SENTINEL_MARK_ASSET = 2
};

/* Price of an instrument in its quote asset, or of an asset in USD. */
typedef struct sentinel_mark {
    uint16_t kind;
    uint8_t reserved0[2];
    uint32_t id; /* of the instrument or asset */
    sentinel_decimal price; /* above 0 */
    int64_t time_ns; /* when it held, not after the frame's issued_ns */
} sentinel_mark;
SENTINEL_SIZE(sentinel_mark, 32);

/* Payload of a feed of marks: this, then count rows. Marks of instruments
 * and assets that are not in the policy are skipped. A mark older than the
 * one it would replace is skipped. */
typedef struct sentinel_feed {
    uint16_t kind; /* SENTINEL_FEED_* */
    uint16_t count; /* rows: from 1 to the kind's own limit */
    uint8_t reserved[4];
} sentinel_feed;
SENTINEL_SIZE(sentinel_feed, 8);

/* What a venue said of an order that was signed: the feed's header, then
 * count rows. One that is wrong makes the whole frame wrong. */
enum {
    SENTINEL_ORDER_SIGNED = 0, /* nothing was reported yet */
    SENTINEL_ORDER_ACKNOWLEDGED = 1,
    SENTINEL_ORDER_PARTLY_FILLED = 2,
    SENTINEL_ORDER_FILLED = 3,
    SENTINEL_ORDER_CANCELLED = 4,
    SENTINEL_ORDER_REJECTED = 5,
    SENTINEL_ORDER_EXPIRED = 6,
    SENTINEL_ORDER_STATUS_COUNT = 7
};
#define SENTINEL_FEED_REPORTS_MAX 32u /* with 16 proofs beside them in one record */
typedef struct sentinel_report {
    uint32_t agent; /* node id */
    uint8_t status; /* SENTINEL_ORDER_*, not SIGNED */
    uint8_t reserved0[3];
    uint64_t action_id; /* of the place, or of an amend of it by action */
    sentinel_decimal filled; /* in all, in the instrument's unit; may be zero */
    sentinel_decimal price; /* average; zero: not known */
    int64_t time_ns; /* by the venue, not after the frame's issued_ns */
    uint8_t reserved1[8];
} sentinel_report;
SENTINEL_SIZE(sentinel_report, 64);

/* What is held of an instrument: the feed's header, then count rows. Those of
 * instruments that are not in the policy, and those that are older than what
 * is known, are skipped. */
#define SENTINEL_FEED_POSITIONS_MAX 64u
typedef struct sentinel_position {
    uint32_t instrument; /* id */
    uint8_t reserved[4];
    sentinel_decimal quantity; /* in the instrument's unit; below 0: short */
    int64_t time_ns; /* when it held, not after the frame's issued_ns */
} sentinel_position;
SENTINEL_SIZE(sentinel_position, 32);

/* Payload of a heartbeat: the feed's header with count 1, then this. */
typedef struct sentinel_heartbeat {
    uint32_t agent; /* node id; the proof is by its AGENT key */
    uint8_t reserved0[4];
    uint64_t iterations; /* done; while it stands still, so does the running one */
    int64_t running_since_ns; /* when the running one began; 0: none runs */
    uint8_t reserved1[8];
} sentinel_heartbeat;
SENTINEL_SIZE(sentinel_heartbeat, 32);

/* Payload of a grant, a witness's answer to an engine's question (sentinel_ask
 * in gate.h). "Known" is what the witness had before the question. */
typedef struct sentinel_grant {
    uint8_t nonce32[32]; /* of the question */
    uint64_t epoch; /* of the question */
    uint64_t known_epoch; /* the last one confirmed; 0: none */
    uint64_t known_count; /* records of the last head confirmed; 0: none */
    uint8_t known_hash32[32]; /* of its last record */
    uint64_t known_record_end; /* how far grants before this one went */
    int64_t known_spend_end;
    uint64_t count; /* records of the head confirmed now; 0: refused, and the rest is zero */
    uint8_t hash32[32]; /* of its last record */
    uint64_t record_end; /* orders may become records below this number */
    int64_t spend_end; /* micro-USD that may be signed for in all */
} sentinel_grant;
SENTINEL_SIZE(sentinel_grant, 160);
SENTINEL_AT(sentinel_grant, known_hash32, 56);
SENTINEL_AT(sentinel_grant, count, 104);

/* What a frame must name. */
typedef struct sentinel_frame_expect {
    uint8_t engine_id32[32];
    uint64_t sequence_above; /* the last one taken */
    int64_t now_ns;
    uint8_t environment;
    uint8_t reserved[7];
} sentinel_frame_expect;
SENTINEL_SIZE(sentinel_frame_expect, 56);

/* A frame, taken apart. Points into the caller's bytes. */
typedef struct sentinel_frame {
    const sentinel_frame_header *header;
    const uint8_t *payload;
    size_t payload_size;
    const uint8_t *proofs; /* first sentinel_proof */
    size_t proofs_size;
    uint32_t proof_count;
    uint8_t hash32[32]; /* SHA-256 of the signed part */
} sentinel_frame;

/* Takes a frame apart and checks its form; verifies nothing.
 * Returns:  OK; FORMAT_*. In: bytes: aligned to 8. Timing: variable. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_frame_parse(sentinel_frame *frame, const void *bytes, size_t size, uint16_t kind);

/* Checks engine, environment, sequence (above the last one, and no further
 * ahead of the time than SENTINEL_FRAME_AHEAD_NS), issue and expiry.
 * Returns:  OK; POLICY_ENGINE, POLICY_ENVIRONMENT, POLICY_SEQUENCE,
 *           POLICY_EXPIRED, in this precedence. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_frame_expects(const sentinel_frame *frame, const sentinel_frame_expect *expect);

/* Checks the payload of an authority bundle. Returns: OK; FORMAT_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_authority_check(const uint8_t *payload, size_t size);

/* Verifies that at least `threshold` distinct, unexpired keys of this power
 * made a valid proof; every proof that is present must be valid.
 * Returns:  OK; POLICY_SIGNATURE.
 * In:       authority: a checked payload. threshold 0: the authority's own. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_frame_verify(const sentinel_frame *frame, const uint8_t *authority, size_t authority_size,
                      unsigned power, unsigned threshold, int64_t now_ns);

/* The same for an authority bundle, against the genesis record's root. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_frame_verify_root(const sentinel_frame *frame, const sentinel_genesis *genesis);

/* Checks the form of a genesis record and gives the engine's id.
 * Returns: OK; FORMAT_*. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_genesis_check(uint8_t engine_id32[32], const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif
#endif

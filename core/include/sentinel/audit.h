/* Audit: records, the log, its head and its verification.
 *
 * record = sentinel_record_header || subject || results || outcome || salts
 *
 * subject:  the order's struct; or a frame (COMMAND, FEED); or
 *           sentinel_bundle_ref, sentinel_start, sentinel_summary,
 *           sentinel_snapshot_ref, sentinel_withdrawn, sentinel_genesis; or
 *           sentinel_auto_stop, and behind it the frame that it follows from; or
 *           sentinel_clock; or sentinel_key_record, and behind it the frame that
 *           brought the key; a multiple of 8 long
 * results:  result_count x sentinel_result
 * outcome:  sentinel_outcome_part (orders only)
 * salts:    3 x 16 bytes
 *
 * The hash of a record is SHA-256(0x00 || header), its RFC 6962 leaf hash.
 * The header commits to each part:
 *   commitment[i] = SHA-256(salt[i] || part i)
 * salts: of sentinel_sign_salts; zero in genesis and start records.
 * docs/4-audit.md has it all. */
#ifndef SENTINEL_AUDIT_H
#define SENTINEL_AUDIT_H

#include <sentinel/policy.h>
#include <sentinel/sign.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_RECORD_VERSION 1u
#define SENTINEL_RECORD_PARTS 3u
#define SENTINEL_RECORD_BYTES_MAX 24576u
#define SENTINEL_SUBJECT_BYTES_MAX 20480u

enum {
    SENTINEL_RECORD_GENESIS = 1,
    SENTINEL_RECORD_START = 2, /* a writer started: a new epoch */
    SENTINEL_RECORD_BUNDLE = 3, /* an authority or policy bundle was taken */
    SENTINEL_RECORD_COMMAND = 4,
    SENTINEL_RECORD_FEED = 5,
    SENTINEL_RECORD_ORDER = 6,
    SENTINEL_RECORD_SUMMARY = 7, /* denials that were counted, not recorded */
    SENTINEL_RECORD_SNAPSHOT = 8,
    SENTINEL_RECORD_REFUSED = 9, /* a frame that was refused: sentinel_refused */
    SENTINEL_RECORD_HALT = 10, /* the engine halted itself: sentinel_self_halt */
    SENTINEL_RECORD_STOP = 11, /* the engine stopped a node: sentinel_auto_stop */
    SENTINEL_RECORD_WITHDRAWN = 12, /* an agent took a request back: sentinel_withdrawn */
    SENTINEL_RECORD_WITNESS = 13, /* a witness answered: sentinel_witness, then the frame */
    SENTINEL_RECORD_CLOCK = 14, /* the clock was compared: sentinel_clock */
    SENTINEL_RECORD_KEY = 15, /* a key came to be: sentinel_key_record, then the frame */
    SENTINEL_RECORD_TYPE_COUNT = 16
};

enum {
    SENTINEL_RECORD_ENDPOINT_OPEN = 1u << 0, /* the signature does not cover the endpoint */
    SENTINEL_RECORD_ENDPOINT_GRANT = 1u << 1, /* and the venue's key is not limited */
    SENTINEL_RECORD_UNPROVEN = 1u << 2, /* no witness confirmed this epoch */
    SENTINEL_RECORD_CLOCK_HELD = 1u << 3, /* the clock stepped back; last time used */
    SENTINEL_RECORD_LAB = 1u << 4,
    SENTINEL_RECORD_NOTIFY = 1u << 5, /* signed without people, who want to know */
    SENTINEL_RECORD_CLOCK_SET = 1u << 6 /* a command set the time back to this record's */
};

typedef struct sentinel_record_header {
    uint16_t version;
    uint16_t type;
    uint32_t size_bytes; /* of the whole record */
    uint64_t number; /* from 0 */
    uint64_t epoch;
    uint8_t prev_hash32[32]; /* record 0: zero */
    int64_t now_ns;
    uint32_t agent; /* node id; 0 where none */
    uint8_t verdict;
    uint8_t release_mode;
    uint16_t reason;
    uint64_t reasons[2];
    uint32_t semantics_version;
    uint32_t key;
    uint64_t key_counter; /* uses of the key by this engine, this one included */
    uint16_t subject_size; /* bytes */
    uint16_t result_count;
    uint16_t outcome_size; /* bytes: 0 or sizeof(sentinel_outcome_part) */
    uint16_t reserved0;
    uint32_t flags; /* SENTINEL_RECORD_* */
    uint8_t reserved1[4];
    uint8_t policy_hash32[32]; /* of the bundles in force; zero: none */
    uint8_t limit_hash32[32];
    uint8_t authority_hash32[32];
    uint8_t commitments[SENTINEL_RECORD_PARTS][32];
    uint64_t pending; /* record of the request that this one answers; 0: none */
} sentinel_record_header;
SENTINEL_SIZE(sentinel_record_header, 320);
SENTINEL_AT(sentinel_record_header, prev_hash32, 24);
SENTINEL_AT(sentinel_record_header, now_ns, 56);
SENTINEL_AT(sentinel_record_header, reasons, 72);
SENTINEL_AT(sentinel_record_header, key_counter, 96);
SENTINEL_AT(sentinel_record_header, flags, 112);
SENTINEL_AT(sentinel_record_header, policy_hash32, 120);
SENTINEL_AT(sentinel_record_header, commitments, 216);

typedef struct sentinel_outcome_part {
    uint8_t payload_digest32[32]; /* SHA-256(string to sign); zero if none */
    uint8_t signature_digest32[32]; /* SHA-256(signature bytes); zero if none */
} sentinel_outcome_part;
SENTINEL_SIZE(sentinel_outcome_part, 64);

/* 12 constraints, the largest order: within the promised 1,152 bytes. */
SENTINEL_ASSERT_LAYOUT(sizeof(sentinel_record_header) + SENTINEL_ORDER_BYTES_MAX +
                               12 * sizeof(sentinel_result) + sizeof(sentinel_outcome_part) +
                               SENTINEL_SALTS_BYTES <=
                           1152,
                       "a record with 12 constraints is too large");

typedef struct sentinel_bundle_ref {
    uint16_t kind; /* SENTINEL_FRAME_AUTHORITY or _POLICY */
    uint8_t reserved0[6];
    uint64_t sequence;
    uint64_t size_bytes; /* of the frame's file */
    uint8_t hash32[32]; /* the frame's hash: its file's name */
} sentinel_bundle_ref;
SENTINEL_SIZE(sentinel_bundle_ref, 56);

/* Where the nonces of venues' signatures come from, from a start on. */
enum {
    SENTINEL_NONCES_DETERMINISTIC = 0, /* from key and message */
    SENTINEL_NONCES_SNAPSHOT_RISK = 1, /* made ahead, the risk of a copied machine accepted */
    SENTINEL_NONCES_COUNT
};

typedef struct sentinel_start {
    uint64_t epoch;
    uint64_t records_before; /* found intact */
    uint64_t torn_bytes; /* set aside */
    uint8_t nonces; /* SENTINEL_NONCES_* */
    uint8_t reserved[3];
    uint32_t keys; /* how many the writer has */
    uint8_t keyring_hash32[32]; /* sentinel_keyring_hash of all of them */
} sentinel_start;
SENTINEL_SIZE(sentinel_start, 64);

typedef struct sentinel_summary {
    uint64_t count;
    int64_t first_ns;
    int64_t last_ns;
    uint64_t reasons[2]; /* of all that were counted */
} sentinel_summary;
SENTINEL_SIZE(sentinel_summary, 40);

typedef struct sentinel_snapshot_ref {
    uint64_t size_bytes;
    uint8_t digest32[32]; /* SHA-256 of the state */
    uint32_t version; /* SENTINEL_STATE_VERSION of the writer */
    uint8_t reserved[4];
} sentinel_snapshot_ref;
SENTINEL_SIZE(sentinel_snapshot_ref, 48);

typedef struct sentinel_refused {
    uint32_t status; /* why */
    uint16_t kind; /* of the frame, as far as it could be read */
    uint8_t reserved[2];
    uint64_t sequence;
    uint8_t digest32[32]; /* SHA-256 of all bytes given */
} sentinel_refused;
SENTINEL_SIZE(sentinel_refused, 48);

typedef struct sentinel_withdrawn {
    uint64_t record; /* of verdict PENDING */
    uint8_t record_hash32[32];
    uint64_t action_id;
} sentinel_withdrawn;
SENTINEL_SIZE(sentinel_withdrawn, 48);

typedef struct sentinel_self_halt {
    uint32_t status; /* why */
    uint32_t reason;
} sentinel_self_halt;
SENTINEL_SIZE(sentinel_self_halt, 8);

/* What is wrong with a report (docs/2-policy.md, "Reports"). */
enum {
    SENTINEL_REPORT_GAP = 1, /* frames of this feeder are missing before it */
    SENTINEL_REPORT_REPLAYED = 2, /* its sequence was taken before */
    SENTINEL_REPORT_UNSIGNED = 3, /* no such order is in the agent's book */
    SENTINEL_REPORT_ABOVE = 4, /* more is filled than was ordered */
    SENTINEL_REPORT_SHRANK = 5, /* less is filled than before */
    SENTINEL_REPORT_CLOSED = 6, /* the order had ended otherwise before */
    SENTINEL_REPORT_POSITION = 7, /* the position does not fit */
    SENTINEL_REPORT_FAULT_COUNT = 8
};

/* What the engine stopped by itself. Nothing but a resume lifts it. */
typedef struct sentinel_auto_stop {
    uint16_t scope; /* SENTINEL_SCOPE_NODE */
    uint8_t mode; /* SENTINEL_DRAINING or SENTINEL_HALTED */
    uint8_t cause; /* SENTINEL_CAUSE_*, not OPERATOR */
    uint32_t target; /* id of the node */
    int64_t deadline_ns; /* HEARTBEAT, PROGRESS: the time that was passed */
    uint64_t sequence; /* of the agent's last heartbeat; REPORT: of the frame */
    uint32_t rule; /* HEARTBEAT, PROGRESS: id of the constraint */
    uint32_t key; /* REPORT: id of the feeder's key */
    uint16_t detail; /* REPORT: SENTINEL_REPORT_* */
    uint16_t row; /* REPORT: index of the row in the frame; else 0 */
    uint8_t reserved[4];
} sentinel_auto_stop;
SENTINEL_SIZE(sentinel_auto_stop, 40);

/* What followed from a witness's answer. */
enum {
    SENTINEL_WITNESS_GRANTED = 1,
    SENTINEL_WITNESS_KNOWN = 2, /* refused, for a head that is here: ask again with it */
    SENTINEL_WITNESS_EPOCH = 3, /* refused: another engine took this epoch, or a later one */
    SENTINEL_WITNESS_GAP = 4, /* refused: confirmed records are not here; halted */
    SENTINEL_WITNESS_OUTCOME_COUNT = 5
};
typedef struct sentinel_witness {
    uint8_t outcome;
    uint8_t reserved[7];
    uint64_t counted_orders; /* charged to every rate window: may have been signed */
    int64_t counted_spend; /* micro-USD, charged to every other window */
    uint64_t gap_from;
    uint64_t gap_to; /* GAP: records that are missing, up to gap_to - 1; else 0 */
} sentinel_witness;
SENTINEL_SIZE(sentinel_witness, 40);

/* Whose word the clock was compared with. */
enum {
    SENTINEL_CLOCK_NSM = 1, /* the time of a document of the security module */
    SENTINEL_CLOCK_KERNEL = 2, /* what the kernel says of itself (adjtimex) */
    SENTINEL_CLOCK_SOURCE_COUNT = 3
};
enum {
    SENTINEL_CLOCK_GOOD = 1,
    SENTINEL_CLOCK_EXCEEDED = 2, /* beyond the bound that was stated, or the limit: halted */
    SENTINEL_CLOCK_UNSYNCED = 3, /* KERNEL: nobody sets this clock right; no bound */
    SENTINEL_CLOCK_RESULT_COUNT = 4
};
/* What is known of the engine's clock. From this record to until_ns its time less
 * the source's is within bound_ns + drift_ppm of what went by since. */
typedef struct sentinel_clock {
    uint8_t source; /* SENTINEL_CLOCK_NSM, _KERNEL */
    uint8_t result; /* SENTINEL_CLOCK_GOOD, ... */
    uint8_t reserved[2];
    uint32_t drift_ppm; /* the worst rate that is counted with, millionths */
    int64_t source_ns; /* NSM: what it said; KERNEL: 0 */
    int64_t offset_ns; /* the engine's time less the source's, the middle of what it can be */
    int64_t bound_ns; /* the same, the farthest from 0 that it can be */
    int64_t until_ns; /* how long this holds; then it must have been compared again */
    char name[24]; /* the kernel's name of its clock source, then zeros */
    uint8_t document32[32]; /* NSM: the document's statement digest, where it is kept; else 0 */
} sentinel_clock;
SENTINEL_SIZE(sentinel_clock, 96);
SENTINEL_AT(sentinel_clock, source_ns, 8);
SENTINEL_AT(sentinel_clock, name, 40);
SENTINEL_AT(sentinel_clock, document32, 64);

/* How a key came to be in an enclave. */
enum {
    SENTINEL_KEY_MADE = 1, /* inside */
    SENTINEL_KEY_IMPORTED = 2, /* by the frame IMPORT behind this: who signed, what vouched */
    SENTINEL_KEY_FOUND = 3, /* came back sealed, of a time whose records did not */
    SENTINEL_KEY_ORIGIN_COUNT = 4
};
typedef struct sentinel_key_record {
    uint8_t origin;
    uint8_t reserved[7];
    sentinel_key_info info; /* id, purpose, venue, account, public key, fingerprint */
} sentinel_key_record;
SENTINEL_SIZE(sentinel_key_record, 224);

/* A record, taken apart. Points into the caller's bytes. */
typedef struct sentinel_record {
    const sentinel_record_header *header;
    const uint8_t *subject;
    const sentinel_result *results;
    const sentinel_outcome_part *outcome; /* null when outcome_size is 0 */
    const uint8_t *salts;
    uint8_t hash32[32];
} sentinel_record;

/* Takes one record apart and checks form and commitments.
 * Returns:  OK; FORMAT_*; AUDIT_CORRUPT. In: bytes aligned to 8. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_record_parse(sentinel_record *record, const void *bytes, size_t size);

/* The parts of a record to be made. */
typedef struct sentinel_record_parts {
    const void *subject;
    const sentinel_result *results;
    const sentinel_outcome_part *outcome; /* may be null */
    uint8_t salts[SENTINEL_SALTS_BYTES];
} sentinel_record_parts;

/* Builds a record: fills size_bytes and the commitments, writes all parts.
 * header: everything else set, subject_size, result_count and outcome_size
 * included.
 * Returns:  OK; USAGE_CAPACITY; FORMAT_* (what sentinel_record_parse would
 *           refuse). Out: hash32 of the record. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_record_build(uint8_t *out, size_t out_size, uint8_t hash32[32],
                      sentinel_record_header *header, const sentinel_record_parts *parts);

/* ---- The log on disk ------------------------------------------------------
 *
 * <dir>/00000000000000000000.log, ...: segments, named by their first record,
 * preallocated. A segment begins with sentinel_segment; frames follow, each
 * u64 size || record || u64 commit word (the first 8 bytes of the record's
 * hash). A size of 0 ends the segment.
 * <dir>/head: the head page, mapped; two slots written in turn, each in a
 * sector of its own. */
#define SENTINEL_HEAD_BYTES 4096u
#define SENTINEL_HEAD_SLOT_BYTES 2048u /* from one slot to the next */
#define SENTINEL_SEGMENT_BYTES_DEFAULT (16u << 20)
#define SENTINEL_SEGMENT_BYTES_MIN (64u << 10)

typedef struct sentinel_segment {
    char magic[8]; /* "SENTSEGM" */
    uint16_t version; /* 1 */
    uint8_t reserved0[6];
    uint8_t engine_id32[32];
    uint64_t first_record;
    uint64_t size_bytes; /* preallocated */
} sentinel_segment;
SENTINEL_SIZE(sentinel_segment, 64);

typedef struct sentinel_log_head {
    uint64_t count; /* records committed */
    uint64_t synced; /* records known to be on the medium */
    uint64_t epoch;
    uint64_t generation; /* the slot with the higher one, if intact, counts */
    uint8_t last_hash16[16]; /* first half of the last record's hash */
    uint8_t check16[16]; /* of the 48 bytes before */
} sentinel_log_head;
SENTINEL_SIZE(sentinel_log_head, 64); /* a line of the cache, written in one go */

enum {
    SENTINEL_DURABILITY_NONE = 1, /* nothing is written; simulation only */
    SENTINEL_DURABILITY_WRITE = 2, /* survives the process */
    SENTINEL_DURABILITY_FSYNC = 3, /* survives the machine */
    SENTINEL_DURABILITY_MAPPED = 4 /* as WRITE, into mapped pages: sentinel_log_ahead */
};

typedef struct sentinel_log {
    int dir_fd;
    int segment_fd;
    void *head_page; /* 4096 bytes, mapped; null with DURABILITY_NONE */
    uint64_t segment_bytes; /* size to preallocate */
    uint64_t segment_end; /* size of the open segment */
    uint64_t segment_offset; /* next frame in it */
    uint64_t count;
    uint64_t synced; /* of the head */
    uint64_t generation; /* of the head */
    uint64_t epoch;
    uint64_t torn_bytes; /* set aside when opened */
    int last_errno; /* beside an IO_* status */
    uint8_t durability;
    uint8_t failed; /* 1: an append failed; the log takes no more */
    uint8_t reserved[2];
    uint32_t turn; /* MAPPED: which segment is where in `room` */
    uint8_t reserved1[4];
    uint8_t *segment; /* MAPPED: the open one; else null */
    uint8_t *room; /* MAPPED: places for three segments */
    uint64_t place_bytes; /* of each */
    uint8_t last_hash32[32];
    uint8_t engine_id32[32];
} sentinel_log;

/* Opens a log for appending; dir_fd stays the caller's. Makes the first
 * segment when there is none. Reads the last segment through, sets a torn
 * tail aside under <dir>/torn-<record> and zeroes it; compares with the head.
 * DURABILITY_NONE: dir_fd may be -1; a log that is there is only read.
 * Returns:  OK; USAGE_ARGUMENT; IO_*; FORMAT_VERSION; AUDIT_FOREIGN. With
 *           AUDIT_CORRUPT and AUDIT_TRUNCATED (the caller starts halted) the
 *           intact records are counted, nothing is changed, and the log takes
 *           no more; close it as well. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_open(sentinel_log *log, int dir_fd, const uint8_t engine_id32[32], uint8_t durability,
                  uint64_t segment_bytes);

/* Appends one record; with FSYNC also syncs (unless `later`).
 * Returns:  OK; AUDIT_FULL; IO_*; INTERNAL (not the next record). After a
 *           failure the log takes no more (AUDIT_FULL). Allocates: never. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_append(sentinel_log *log, const uint8_t *record, size_t size, const uint8_t hash32[32],
                    int later);

/* MAPPED: makes ahead what appending will need, which it else makes itself, only
 * later: at most 1 MiB of pages, and the next segment once the open one is half
 * full. To be called every millisecond or so; nothing to do for other logs.
 * Returns:  OK; IO_* (errno; the log goes on).
 * Threads:  beside every other call on the log but open and close. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_ahead(sentinel_log *log);

/* Syncs what was appended with `later`. Returns: OK; AUDIT_FULL; IO_SYNC. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_sync(sentinel_log *log);

/* Brings the head up to date and releases the files; safe to call again. */
SENTINEL_API void
sentinel_log_close(sentinel_log *log);

/* Reads records in order, from any process. */
typedef struct sentinel_log_reader {
    int dir_fd;
    int segment_fd;
    uint64_t next; /* number of the next record */
    uint64_t offset;
    uint64_t segment_first;
    uint64_t ahead_offset; /* of the bytes that were read ahead */
    uint64_t ahead_bytes;
    uint8_t engine_id32[32]; /* of the first segment read */
    uint8_t prev_hash32[32]; /* of the record before `next`, once one was read */
    uint8_t have_prev;
    uint8_t reserved[7];
} sentinel_log_reader;

/* Starts at record `first` (its segment is searched).
 * Returns: OK; AUDIT_END (no such record); IO_*; FORMAT_VERSION;
 *          AUDIT_CORRUPT, AUDIT_TRUNCATED. Close it whatever was returned. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_reader_open(sentinel_log_reader *reader, int dir_fd, uint64_t first);

/* Reads the next record into `buffer` (at least SENTINEL_RECORD_BYTES_MAX,
 * aligned to 8) and checks frame, form, commitments, number and chain. What the
 * buffer has beyond that is read ahead into, many records at once; it must then
 * be the same buffer, untouched, at every call.
 * At the end, what lies behind the last record must be zero and the head must
 * agree. May run beside the writer.
 * Returns:  OK; AUDIT_END; AUDIT_CORRUPT (reader->next and ->offset name the
 *           place); AUDIT_TRUNCATED; AUDIT_FOREIGN; IO_READ; IO_OPEN;
 *           USAGE_CAPACITY. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_reader_next(sentinel_log_reader *reader, sentinel_record *record, uint8_t *buffer,
                         size_t buffer_size);

/* Releases the file; dir_fd stays the caller's. */
SENTINEL_API void
sentinel_log_reader_close(sentinel_log_reader *reader);

/* Reads <dir>/head. Returns: OK; IO_*; AUDIT_CORRUPT (no intact slot). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_log_head_read(sentinel_log_head *head, int dir_fd);

/* ---- Merkle tree (RFC 6962, section 2.1) ---------------------------------- */

/* Incremental root over record hashes; off the hot path. */
typedef struct sentinel_tree {
    uint64_t count;
    uint8_t peaks[64][32];
} sentinel_tree;

/* Adds a leaf. A zeroed tree is empty. */
SENTINEL_API void
sentinel_tree_add(sentinel_tree *tree, const uint8_t leaf_hash32[32]);

/* The root over all leaves so far; SHA-256 of nothing for none. */
SENTINEL_API void
sentinel_tree_root(const sentinel_tree *tree, uint8_t root32[32]);

#ifdef __cplusplus
}
#endif
#endif

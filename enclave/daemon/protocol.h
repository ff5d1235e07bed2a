/* The protocol's layouts. enclave/PROTOCOL.md explains every field; both sides
 * and the tests read them from here. Little-endian, no implicit padding,
 * reserved bytes zero and checked. */
#ifndef SENTINEL_PROTOCOL_H
#define SENTINEL_PROTOCOL_H

#include <sentinel/types.h>

#define SENTINEL_PROTOCOL_VERSION 1u
#define SENTINEL_VSOCK_PORT 5700u

/* Limits. */
#define SENTINEL_SESSIONS_MAX 1024u
#define SENTINEL_KEY_SESSIONS_MAX 16u    /* of one key; of all root keys together */
#define SENTINEL_HANDSHAKES_MAX 128u     /* without a WELCOME yet */
#define SENTINEL_USER_HANDSHAKES_MAX 32u /* of one user, on a Unix socket */
#define SENTINEL_SESSION_QUEUE_MAX 64u   /* requests of a session that wait or are unanswered */
#define SENTINEL_CHANNEL_BYTES_MAX \
    (UINT32_C(4) << 20) /* payload of a message, all frames together */
/* What may be longer goes in pieces: of one piece, and of all together. */
#define SENTINEL_PIECE_BYTES_MAX (UINT32_C(1) << 20)
#define SENTINEL_PIECES_BYTES_MAX (UINT64_C(160) << 20) /* rows of 131,072 agents */
#define SENTINEL_BOOKS_BYTES_MAX (UINT64_C(16) << 20)   /* a state that is given with its books */
#define SENTINEL_HANDSHAKE_NS INT64_C(5000000000)       /* from accept to WELCOME */
#ifndef SENTINEL_CHANNEL_NS                             /* a test's hour is shorter */
#define SENTINEL_CHANNEL_NS INT64_C(3600000000000)      /* then a new handshake */
#endif
#define SENTINEL_STALL_NS \
    INT64_C(10000000000) /* answers that nobody reads for so long end a session */

#define SENTINEL_DOCUMENT_NS INT64_C(100000000) /* one document in so long: the module is slow */

#define SENTINEL_EXPORTER_LABEL "EXPORTER-sentinel-channel-v1"

/* Who asks. The role is claimed in HELLO and must be covered by the powers of
 * the key of the TLS certificate, in the authority bundle in force. */
enum {
    SENTINEL_ROLE_AGENT = 1,   /* AGENT, of this node */
    SENTINEL_ROLE_COMMAND = 2, /* POLICY, LIMIT, OPERATOR, APPROVER, WITNESS, or the root */
    SENTINEL_ROLE_FEEDER = 3,  /* FEED_MARK, FEED_EXECUTION, FEED_POSITION */
    SENTINEL_ROLE_KEEPER = 4,  /* KEEPER: the process on the host that copies and carries */
    SENTINEL_ROLE_COUNT = 5
};

typedef struct sentinel_hello {
    char magic[8]; /* "SENTHELO" */
    uint16_t version;
    uint16_t role;
    uint32_t agent; /* AGENT: node id; else 0 */
    uint32_t key;   /* id of the row of the authority bundle; PEER: the same */
    uint8_t reserved0[4];
    uint8_t engine_id32[32]; /* zero: any (the client then reads it from WELCOME) */
    uint8_t reserved1[40];
} sentinel_hello;
SENTINEL_SIZE(sentinel_hello, 96);

/* In the place of TLS: who is there? Answered by sentinel_document_given and the
 * document, and the daemon closes. */
typedef struct sentinel_document_wanted {
    char magic[8]; /* "DOCUMENT" */
    uint8_t nonce32[32];
} sentinel_document_wanted;
SENTINEL_SIZE(sentinel_document_wanted, 40);
typedef struct sentinel_document_given {
    uint32_t status; /* not OK: size is 0 */
    uint32_t size;
} sentinel_document_given;
SENTINEL_SIZE(sentinel_document_given, 8);

typedef struct sentinel_welcome {
    char magic[8]; /* "SENTWELC" */
    uint16_t version;
    uint16_t role;
    uint32_t status;  /* sentinel_status; not OK: the rest is zero, and the daemon closes */
    uint64_t channel; /* never used twice in one boot, from 1 */
    uint64_t epoch;
    uint8_t engine_id32[32];
    int64_t until_ns; /* Unix time: no request is taken at and after it on this channel */
    uint32_t agent;
    uint32_t queue;     /* requests that may be unanswered */
    uint32_t transport; /* SENTINEL_TRANSPORT_* */
    uint8_t reserved[44];
} sentinel_welcome;
SENTINEL_SIZE(sentinel_welcome, 128);

enum {
    SENTINEL_TRANSPORT_SEALED = 1, /* AES-256-GCM frames */
    SENTINEL_TRANSPORT_PEER = 2    /* clear frames on a Unix socket whose peer the kernel names */
};

/* Input of the exporter: one key and one IV for each direction. */
enum { SENTINEL_DIRECTION_REQUEST = 1, SENTINEL_DIRECTION_ANSWER = 2 };
typedef struct sentinel_exporter_context {
    uint8_t engine_id32[32];
    uint64_t channel;
    uint64_t epoch;
    uint32_t agent;
    uint16_t role;
    uint16_t direction;
    uint8_t reserved[8];
} sentinel_exporter_context;
SENTINEL_SIZE(sentinel_exporter_context, 64);
typedef struct sentinel_channel_key {
    uint8_t key32[32];
    uint8_t iv12[12];
} sentinel_channel_key;
SENTINEL_SIZE(sentinel_channel_key, 44);

/* frame = sentinel_seal || ciphertext, as long as its class says || 16 bytes tag */
enum {
    SENTINEL_CLASS_SMALL = 1,  /* 512 bytes: every request for an order */
    SENTINEL_CLASS_MIDDLE = 2, /* 1,024 bytes: the least of an answer */
    SENTINEL_CLASS_BROAD = 3,  /* 2,048 bytes */
    SENTINEL_CLASS_LARGE = 4,  /* 32,768 bytes */
    SENTINEL_CLASS_COUNT = 5
};
#define SENTINEL_SMALL_BYTES 512u
#define SENTINEL_MIDDLE_BYTES 1024u
#define SENTINEL_BROAD_BYTES 2048u
#define SENTINEL_LARGE_BYTES 32768u
#define SENTINEL_TAG_GCM_BYTES 16u

/* In clear, and authenticated as associated data. */
typedef struct sentinel_seal {
    uint16_t version;
    uint16_t class_;
    uint8_t reserved[4];
    uint64_t counter; /* of the direction, from 0, without a gap */
} sentinel_seal;
SENTINEL_SIZE(sentinel_seal, 16);

/* What is inside: this, then size bytes, then zeros. */
typedef struct sentinel_message {
    uint16_t kind;       /* SENTINEL_ASK_* of a request; of an answer the same with bit 15 */
    uint16_t flags;      /* SENTINEL_MESSAGE_* */
    uint32_t size;       /* payload in this frame */
    uint64_t id;         /* of the request, from 1, growing; of an answer the same */
    int64_t deadline_ns; /* request: Unix time at which it is no longer served, 0 none; answer: 0 */
    uint32_t status;     /* answer: sentinel_status; request: 0 */
    uint32_t total;      /* payload of the whole message; the same in all of its frames */
} sentinel_message;
SENTINEL_SIZE(sentinel_message, 32);
enum {
    SENTINEL_MESSAGE_MORE = 1u << 0 /* the payload goes on in the next frame */
};
#define SENTINEL_ANSWER 0x8000u

enum {
    SENTINEL_REQUEST_SIGN = 1,     /* agent: an order's struct -> packed outcome */
    SENTINEL_REQUEST_WITHDRAW = 2, /* agent: u64 action id -> u64 record */
    SENTINEL_REQUEST_BEAT = 3,     /* agent: a heartbeat's frame -> u64 record */
    SENTINEL_REQUEST_TAKE =
        4, /* command, feeder, keeper: a signed frame -> sentinel_taken, or _signed_ack */
    SENTINEL_REQUEST_STATUS = 5,  /* all: nothing -> sentinel_daemon_status */
    SENTINEL_REQUEST_BUNDLE = 6,  /* all: sentinel_bundle_wanted -> sentinel_bundle_piece, bytes */
    SENTINEL_REQUEST_RECORDS = 7, /* command: sentinel_records_wanted -> records */
    SENTINEL_REQUEST_HEAD = 8,    /* all: nothing -> sentinel_head || signature64 */
    SENTINEL_REQUEST_ATTEST = 9,  /* all: nonce32 -> the attestation document */
    SENTINEL_REQUEST_ASK =
        10, /* command, keeper: u32 flags -> sentinel_ask || signature64, for a witness */
    SENTINEL_REQUEST_STATE = 11, /* command: sentinel_state_wanted -> u64 size of it, bytes */
    SENTINEL_REQUEST_KEYS = 12,  /* all: nothing -> sentinel_key_info rows, public parts */
    SENTINEL_REQUEST_FILE =
        13, /* command, keeper: sentinel_file_wanted -> u64 size of the file, bytes */
    SENTINEL_REQUEST_PUT = 14, /* command: sentinel_put_piece, bytes -> u64 bytes so far */
    SENTINEL_REQUEST_COUNT = 15
};

typedef struct sentinel_taken {
    uint64_t record;
    uint32_t held; /* 1: the answer waits for a witness: ask, and hand in its grant */
    uint8_t reserved[4];
} sentinel_taken;
SENTINEL_SIZE(sentinel_taken, 16);

/* A piece of the bundle in force. */
typedef struct sentinel_bundle_wanted {
    uint16_t kind; /* SENTINEL_FRAME_POLICY or _AUTHORITY */
    uint8_t reserved[2];
    uint32_t bytes_max;
    uint64_t offset;
    uint8_t hash32[32]; /* of the bundle that the pieces before were of; zero: that in force */
} sentinel_bundle_wanted;
SENTINEL_SIZE(sentinel_bundle_wanted, 48);
typedef struct sentinel_bundle_piece {
    uint64_t total; /* bytes of the whole frame; some of them follow */
    uint8_t hash32[32];
} sentinel_bundle_piece;
SENTINEL_SIZE(sentinel_bundle_piece, 40);

/* A piece of the state: its rows, or with BOOKS the whole of it, as a snapshot has
 * it. Offset 0 begins with the state as it is then. */
enum { SENTINEL_STATE_BOOKS = 1u << 0 };
typedef struct sentinel_state_wanted {
    uint64_t offset;
    uint32_t bytes_max;
    uint32_t flags; /* SENTINEL_STATE_*, the same for all pieces */
} sentinel_state_wanted;
SENTINEL_SIZE(sentinel_state_wanted, 16);

/* A piece of a frame that is longer than a message: then TAKE without a payload. */
typedef struct sentinel_put_piece {
    uint64_t total;  /* bytes of the whole frame */
    uint64_t offset; /* what was put so far; 0 begins anew */
} sentinel_put_piece;
SENTINEL_SIZE(sentinel_put_piece, 16);

typedef struct sentinel_records_wanted {
    uint64_t first;     /* number */
    uint32_t bytes_max; /* whole records, at least one */
    uint8_t reserved[4];
} sentinel_records_wanted;
SENTINEL_SIZE(sentinel_records_wanted, 16);

/* A file of the log or a bundle, as it lies in the engine's folder; no name: the
 * names of all, a line each. */
typedef struct sentinel_file_wanted {
    uint64_t offset;
    uint32_t bytes_max;
    uint8_t reserved[4];
    char name[96]; /* and zeros: log/head, log/<number>.log, bundles/<hash> */
} sentinel_file_wanted;
SENTINEL_SIZE(sentinel_file_wanted, 112);

typedef struct sentinel_daemon_status {
    uint8_t engine_id32[32];
    uint64_t epoch;
    uint64_t records;
    uint8_t last_hash32[32];
    int64_t now_ns;  /* the daemon's clock */
    uint64_t served; /* requests, in this boot */
    uint64_t refused_busy;
    uint32_t sessions;
    uint32_t halted;            /* 1: the engine signs nothing; sentinel_state says why */
    uint32_t next_action_known; /* agent: 1 */
    uint8_t reserved[4];
    uint64_t next_action; /* agent: the lowest id above all that were used */
    uint8_t policy_hash32[32];
    uint8_t authority_hash32[32];
    /* command, keeper; to others zero: how far the witness lets the engine go */
    uint64_t grant_epoch; /* that the grant is for */
    uint64_t confirmed;   /* records of the last head that it confirmed */
    uint64_t record_end;  /* orders may become records below this number */
    int64_t spend_end;    /* micro-USD */
    int64_t spent;
    uint32_t witness; /* SENTINEL_WITNESS_* */
    uint8_t reserved1[4];
} sentinel_daemon_status;
SENTINEL_SIZE(sentinel_daemon_status, 240);
enum {
    SENTINEL_WITNESS_NEEDED = 1u << 0,
    SENTINEL_WITNESS_HELD = 1u << 1,   /* a command waits until it is confirmed */
    SENTINEL_WITNESS_MISSING = 1u << 2 /* records that it confirmed are not here: people decide */
};

#endif

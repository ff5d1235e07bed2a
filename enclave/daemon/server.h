/* The daemon's parts and what they share. One thread runs all of it; another
 * one only makes nonces and pages ahead. */
#ifndef SERVER_H
#define SERVER_H

#include "channel.h"
#include "outcome.h"
#include "patience.h"
#include "ring.h"

#include <openssl/types.h>
#include <sentinel/engine.h>
#include <sys/types.h>

/* Roots have seats of their own: no other key takes those. */
#define SERVER_ROOT_SESSIONS_MAX SENTINEL_KEY_SESSIONS_MAX
#define SERVER_CONNS_MAX \
    (SENTINEL_SESSIONS_MAX + SERVER_ROOT_SESSIONS_MAX + SENTINEL_HANDSHAKES_MAX)
#define SERVER_RINGS_MAX 64u /* sessions with a ring */
#define SERVER_POLLS 1024    /* of the rings, between two looks at the sockets, with --busy-poll */
#define SERVER_WIDES 16u     /* buffers for messages of several frames, of all sessions */
#define SERVER_WIDE_BYTES \
    ((SENTINEL_CHANNEL_BYTES_MAX / CHANNEL_LARGE_ROOM + 1) * (size_t)CHANNEL_FRAME_BYTES_MAX)
#define SERVER_HELDS 2u /* rooms for what goes in pieces, of all sessions */
#define SERVER_CURSOR_BYTES (SENTINEL_RECORD_BYTES_MAX + ((size_t)256 << 10))
/* Of a LARGE frame the most that is no whole one, and the piece of a ring that ends it. */
#define SERVER_IN_BYTES ((size_t)CHANNEL_FRAME_BYTES_MAX + SENTINEL_RING_PIECE_BYTES)
#define SERVER_NOTES_MAX (2 * SENTINEL_SESSION_QUEUE_MAX)
#define SERVER_SCAN_NS INT64_C(250000000) /* how exact the limits of time are */
#define SERVER_TICK_NS INT64_C(1000000000)
#define SERVER_STOP_NS INT64_C(2000000000) /* to answer what is queued */

enum {
    CONN_FREE = 0,
    CONN_NEW = 1,    /* its first byte says what it speaks */
    CONN_SHAKES = 2, /* TLS */
    CONN_GREETS = 3, /* HELLO is on its way, in TLS or in clear */
    CONN_OPEN = 4,
    CONN_ASKS = 5 /* for a document, and goes */
};

/* A request that waits for its turn. */
typedef struct conn_request {
    const uint8_t *payload; /* aligned to 8 */
    uint32_t size;
    uint32_t refusal; /* status that it is answered with, undone */
    uint64_t id;
    int64_t deadline_ns;
    uint16_t kind;
    uint8_t is_small; /* 1: the payload is in a slot */
    uint8_t is_big;   /* 1: in `big` or a wide buffer */
} conn_request;

typedef struct conn {
    int fd;
    uint32_t generation; /* of its place in the table: events of another are stale */
    uint32_t watched;    /* EPOLL* */
    uint8_t state;
    uint8_t is_tls;
    uint8_t is_runnable; /* 1: in the list of those to serve */
    uint8_t is_paused;   /* 1: not read, as there is no room */
    uint8_t wants_write; /* TLS */
    SSL *ssl;            /* until WELCOME */
    uid_t uid;           /* of the peer; a vsock has none */
    int64_t since_ns;    /* of the handshake; then, of the message that is not whole */
    int64_t stalled_ns;  /* since when an answer waits to be written; 0: none does */
    struct conn *next;   /* of those to serve */

    uint16_t role;
    uint32_t agent;
    uint32_t key;    /* id of its row; 0: root */
    uint32_t powers; /* of its row */
    uint64_t channel;
    int64_t until_ns;
    int64_t expires_ns;      /* of its row */
    uint8_t authority32[32]; /* under which its row was looked up */
    uint8_t public_key32[32];
    sentinel_session seat;

    channel_side from, to;
    sentinel_ring ring; /* without memory: frames go over the socket */
    channel_parts parts;
    uint64_t next_id;
    uint8_t parts_refused; /* 1: the message on its way is not kept */
    uint8_t big_used;
    uint8_t *wide_in, *wide_out; /* null: none */
    uint32_t first, count;       /* of requests */
    uint32_t slot_next, slot_count;
    conn_request requests[SERVER_NOTES_MAX];
    size_t in_size;
    const uint8_t *out_at; /* what is left to write */
    size_t out_size;
    uint8_t *memory; /* conn_in and so on */
} conn;

/* A connection's own memory, mapped, so that what is never used costs nothing. */
typedef struct conn_memory {
    uint8_t in[SERVER_IN_BYTES];
    uint8_t slots[SENTINEL_SESSION_QUEUE_MAX][CHANNEL_SMALL_ROOM];
    uint8_t big[CHANNEL_LARGE_ROOM];
    uint8_t out[CHANNEL_FRAME_BYTES_MAX];
} conn_memory;
#define SERVER_CONN_BYTES ((sizeof(conn_memory) + 4095) / 4096 * 4096)

typedef struct server_wide {
    uint8_t *bytes;
    uint32_t key;
    uint8_t is_used;
    uint8_t is_in;
    uint8_t reserved[2];
} server_wide;

/* A state that is given, or a frame that comes, in pieces; of one session. */
typedef struct server_held {
    uint8_t *bytes;    /* SENTINEL_PIECES_BYTES_MAX; what is not used costs nothing */
    const conn *owner; /* null: free */
    uint64_t total, got;
    int64_t since_ns; /* of its last piece */
    uint32_t key;
    uint32_t flags; /* SENTINEL_STATE_* */
    uint8_t is_put; /* 1: it comes; 0: it is given */
    uint8_t reserved[7];
} server_held;

/* Where reading of the log stopped, so that it can go on there. */
typedef struct log_cursor {
    sentinel_log_reader reader;
    uint8_t *buffer;
    uint8_t is_open;
} log_cursor;

typedef struct lobby lobby;
typedef struct document document;

typedef struct server {
    sentinel_engine *engine;
    sentinel_context *context;
    SSL_CTX *tls;
    lobby *lobby; /* null: no enclave */
    int epoll_fd, listen_fd, signal_fd, log_fd, bundles_fd;
    int sealed_fd; /* -1: no enclave */
    uint8_t is_vsock;
    uint8_t is_stopping;
    uint8_t is_polling;     /* --busy-poll */
    uint8_t is_deaf;        /* 1: too few descriptors to listen */
    uint8_t has_processors; /* 1: a client can run while the loop looks for its request */
    uint32_t shakes;        /* steps of handshakes left in this round */
    uint32_t handshakes, sessions;
    uint32_t ring_count;
    conn *rings[SERVER_RINGS_MAX];
    uint64_t channels; /* given out so far */
    uint64_t served, refused_busy;
    int64_t now_ns;                         /* when the request's turn came: Unix time */
    int64_t attested_ns;                    /* when the last document was made; 0: none yet */
    int64_t scanned_ns, ticked_ns, stop_ns; /* by the clock that only runs */
    patience patience;
    int64_t until_ns; /* how long the clock's last comparison holds */
    conn *run_first, *run_last;
    conn *conns;
    outcome_store *outcomes;
    uint8_t *scratch; /* SENTINEL_CHANNEL_BYTES_MAX, for answers */
    sentinel_tree tree;
    log_cursor tree_cursor, record_cursor;
    uint64_t command_record; /* of the last command that was taken here; 0: none */
    uint8_t command_hash32[32];
    server_wide wides[SERVER_WIDES];
    server_held helds[SERVER_HELDS];
} server;

typedef struct server_options {
    const char *dir;
    const char *unix_path; /* or: */
    uint32_t vsock_port;   /* not 0 */
    uint8_t is_polling;
    uint8_t reserved[3];
} server_options;

/* ---- server.c: the loop --------------------------------------------------- */

/* Makes all that the loop needs, and listens. Says on stderr what is wrong.
 * Returns: 0 or -1. */
int server_begin(server *s, const server_options *options, sentinel_engine *engine, SSL_CTX *tls);

/* Runs until a signal ends it. Returns: 0 or -1. */
int server_run(server *s);

/* Closes every connection. */
void server_end(server *s);

/* flags: SOCK_NONBLOCK or 0. Returns: the socket; -1, said on stderr. */
int server_vsock_listen(uint32_t port, int flags);

/* Zeroed memory that costs nothing where it is not used; null: there is none. */
void *server_room(size_t size);

/* Gives its pages back; what was in them is gone. */
void server_forget(void *memory, size_t size);

int64_t server_running_ns(void); /* a clock that only runs */
int64_t server_wall_ns(void);

/* ---- conn.c: one connection's bytes ---------------------------------------- */

void conn_accept(server *s);
void conn_close(server *s, conn *c);
void conn_event(server *s, conn *c, uint32_t events);

/* What it waits for now. */
void conn_watch(server *s, conn *c);

/* Writes what is left, as far as it goes now. Returns: 1; 0: it cannot: close. */
int conn_send(server *s, conn *c);

/* The same; closes when it cannot. Returns: 1: it is still there. */
int conn_flush(server *s, conn *c);

/* Puts it at the end of those to serve, if there is something to serve. */
void conn_ready(server *s, conn *c);

/* ---- input.c: from bytes to requests ---------------------------------------- */

/* Reads what is there, and queues it. May close. */
void conn_input(server *s, conn *c);

/* Queues what was read before and had no room. May close. */
void conn_parse(server *s, conn *c);

/* Takes the first request off the queue. */
void conn_pop(server *s, conn *c);

uint8_t *server_wide_take(server *s, uint32_t key, int is_in);
void server_wide_give(server *s, uint8_t *bytes);

/* ---- ring_conn.c: sessions with a ring ---------------------------------------- */

/* After the byte that asks for one. Returns: 1; 0: the session ends. */
int ring_begin(server *s, conn *c);
void ring_end(server *s, conn *c);

/* What came on the socket of a ring. Returns: 1; 0: the session ends. */
int ring_bell(conn *c);

/* Puts what is to be written, as far as there is room. Returns: 1: all of it. */
int ring_flush(conn *c);

/* Looks at every ring once. Returns: 1: something came. */
int ring_poll(server *s);

/* Says to every client that this side sleeps, until ring_rise. Returns: -1; 0: no,
 * there is something to do; 1: for a millisecond at most. */
int ring_doze(server *s);
void ring_rise(server *s);

/* ---- session.c: who may come in --------------------------------------------- */

/* Judges a HELLO and fills the connection's seat and keys' context.
 * public_key32: of TLS; null: a peer that the kernel names. */
sentinel_status session_greet(server *s, conn *c, const sentinel_hello *hello,
                              const uint8_t *public_key32);

/* Whether the session's row still is in force. Returns: 1 or 0. */
int session_holds(const server *s, conn *c, int64_t now_ns);

/* Writes the WELCOME. */
void session_welcome(const server *s, const conn *c, sentinel_welcome *welcome,
                     sentinel_status status);

/* ---- serve.c: from requests to the engine ----------------------------------- */

typedef struct serve_answer {
    sentinel_status status;
    const void *payload; /* the engine's, or in server.scratch */
    size_t size;
    uint8_t is_kept; /* 1: serve_settle keeps it for a client that asks again */
} serve_answer;

/* A document of this daemon, for a session. Returns: OK; USAGE_STATE (this is no
 * enclave); USAGE_CAPACITY (there was one just now); as enclave_attest. */
sentinel_status serve_document(server *s, document *out, const uint8_t nonce32[32]);

/* Serves one request. Returns: 1; 0: not yet, it keeps its place. */
int serve_request(server *s, conn *c, const conn_request *request, serve_answer *answer);

/* What of a request needs not be done before its answer is sent, but before
 * anything else is. */
void serve_settle(server *s, const conn *c, const conn_request *request,
                  const serve_answer *answer);

/* ---- pieces.c: what may be longer than a message ------------------------------ */

int serve_bundle(server *s, conn *c, const conn_request *request, serve_answer *answer);
int serve_state(server *s, conn *c, const conn_request *request, serve_answer *answer);
int serve_put(server *s, conn *c, const conn_request *request, serve_answer *answer);

/* An answer of so many bytes must have its buffer before anything is read or changed
 * for it: what must wait is asked again in each round. Returns: 1; 0: not yet. */
int pieces_buffer(server *s, conn *c, size_t size);

/* The frame that the session put whole, until pieces_end. Null: there is none. */
const uint8_t *pieces_put(server *s, const conn *c, size_t *size);

/* Up to *size bytes of a file, and how long it is. Returns: OK; IO_*. */
sentinel_status pieces_file(uint64_t *total, size_t *size, void *bytes, int folder_fd,
                            const char *name, uint64_t offset);

/* Gives back what the session holds. */
void pieces_end(server *s, const conn *c);

/* Gives back what nobody went on with in time. */
void pieces_scan(server *s, int64_t now_ns);

#endif

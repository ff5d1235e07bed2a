/* The client's parts: connect.c (handshake), wire.c (frames), client.c (calls),
 * pieces.c (what is longer than a message). */
#ifndef SENTINEL_CLIENT_INTERNAL_H
#define SENTINEL_CLIENT_INTERNAL_H

#include <openssl/types.h>

#include "channel.h"
#include "ring.h"
#include "sentinel_client.h"

#define CLIENT_PATH_BYTES_MAX 108u /* sun_path */

enum { CLIENT_UNIX = 1, CLIENT_RING = 2, CLIENT_VSOCK = 3 };

typedef struct client_address {
    uint32_t kind;
    uint32_t cid;
    uint32_t port;
    char path[CLIENT_PATH_BYTES_MAX];
} client_address;

struct sentinel_client {
    client_address address;
    sentinel_client_options options; /* without the seed: `tls` has the key */
    char *pin_file;                  /* a copy; null: none */
    SSL_CTX *tls;                    /* null: PEER */
    int fd;                          /* -1: not connected */
    uint8_t *alive;                  /* a page that is wiped in a child of ours */
    int64_t receive_ns;              /* SO_RCVTIMEO of fd */
    uint8_t may_wait;                /* 1: this call has waited for nothing yet */
    channel_side to, from;
    sentinel_ring ring;
    uint64_t next_id;     /* of a request */
    uint64_t next_action; /* 0: not known */
    int64_t now_ns;       /* by the clock that only runs: when this attempt began */
    int64_t renew_ns;     /* by the clock that only runs: then a new handshake */
    sentinel_client_facts facts;

    size_t in_size;   /* bytes received that belong to no frame opened yet */
    size_t in_opened; /* of the frame that lies at the front, opened */
    uint8_t *wide;    /* a message of several frames */
    size_t wide_size;
    uint8_t *whole; /* what came in pieces, or the piece that goes */
    size_t whole_size;
    _Alignas(64) uint8_t out[CHANNEL_FRAME_BYTES_MAX];
    _Alignas(64) uint8_t in[CHANNEL_FRAME_BYTES_MAX + SENTINEL_RING_PIECE_BYTES];
};

int64_t client_running_ns(void); /* a clock that only runs */
int64_t client_wall_ns(void);

/* ---- client.c ------------------------------------------------------------ */

#define CLIENT_RESENDS_MAX 16u

/* One request and its answer, on as many sessions as it takes. */
SENTINEL_MUST_USE sentinel_status client_call(sentinel_client *client, const uint8_t **answer,
                                              size_t *answer_size, uint16_t request,
                                              const void *payload, size_t size, int64_t end_ns);

/* Waits a little, longer each time, and not beyond the end. */
void client_pause(unsigned attempt, int64_t end_ns);

/* ---- pieces.c ------------------------------------------------------------ */

/* TAKE of a frame of any length. */
SENTINEL_MUST_USE sentinel_status client_take_bytes(sentinel_client *client, const uint8_t **answer,
                                                    size_t *answer_size, const void *frame,
                                                    size_t size);

/* ---- connect.c ----------------------------------------------------------- */

/* Returns: OK; USAGE_ARGUMENT. */
SENTINEL_MUST_USE sentinel_status client_address_parse(client_address *address, const char *text);

/* Socket, handshake, WELCOME, ring. After any other status but OK nothing is open. */
SENTINEL_MUST_USE sentinel_status client_connect(sentinel_client *client, int64_t end_ns);

/* Safe to call again. */
void client_drop(sentinel_client *client);

/* ---- wire.c ---------------------------------------------------------------- */

/* Waits until the socket is ready. Returns: OK; IO_READ (the time is over). */
SENTINEL_MUST_USE sentinel_status client_poll(sentinel_client *client, short events,
                                              int64_t end_ns);

/* Bytes to the socket, outside of any frame. Returns: OK; IO_WRITE; IO_READ. */
SENTINEL_MUST_USE sentinel_status client_write(sentinel_client *client, const void *bytes,
                                               size_t size, int64_t end_ns);

/* Exactly so many bytes from the socket. Returns: OK; IO_READ. */
SENTINEL_MUST_USE sentinel_status client_read(sentinel_client *client, void *bytes, size_t size,
                                              int64_t end_ns);

/* One request and its answer on the open channel, from client->now_ns on.
 * Returns: OK (answered: status says what); IO_*; FORMAT_*; CRYPTO_*. */
SENTINEL_MUST_USE sentinel_status client_exchange(sentinel_client *client, sentinel_status *status,
                                                  const uint8_t **answer, size_t *answer_size,
                                                  uint16_t request, const void *payload,
                                                  size_t size, int64_t end_ns);

#endif

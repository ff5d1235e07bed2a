/* The client of sentineld: the same calls whether the engine is behind a Unix
 * socket, a ring in shared memory or a vsock (enclave/PROTOCOL.md).
 *
 * A call blocks until its answer, or its time is over. A connection that is lost
 * is opened anew, and the same request is sent again: a SIGN then gives the same
 * bytes, or is denied as DUPLICATE with the number of the record, and never
 * signs twice. Before a channel's hour is over there is a new handshake.
 *
 * Context argument first, then outputs, then inputs, as in sentinel/sentinel.h.
 * Statuses are the core's. One thread at a time may use a client. Only opening,
 * and what is longer than one frame, allocate: a SIGN never does. */
#ifndef SENTINEL_CLIENT_H
#define SENTINEL_CLIENT_H

#include <sentinel/gate.h>

#include "protocol.h"

typedef struct sentinel_client sentinel_client;

enum {
    /* The daemon knows us by our user id (PROTOCOL.md, section 6): no TLS. */
    SENTINEL_CLIENT_PEER = 1u << 0,
    /* On a ring: spin for the answer instead of sleeping. Takes a processor. */
    SENTINEL_CLIENT_BUSY_POLL = 1u << 1
};

#define SENTINEL_CLIENT_TIMEOUT_NS INT64_C(5000000000)

typedef struct sentinel_client_options {
    uint8_t seed32[32];      /* of our Ed25519 key; PEER: not used */
    uint8_t pin32[32];       /* SHA-256 of the daemon's SubjectPublicKeyInfo; PEER: not used */
    uint8_t engine_id32[32]; /* zero: any */
    const char *pin_file;    /* null, or: 64 hex digits, read anew at each handshake */
    int64_t timeout_ns;      /* of each call; 0: SENTINEL_CLIENT_TIMEOUT_NS */
    uint32_t key;            /* id of our row of the authority bundle; 0: a root key */
    uint32_t agent;          /* AGENT: node id; else 0 */
    uint16_t role;           /* SENTINEL_ROLE_* */
    uint16_t flags;          /* SENTINEL_CLIENT_* */
    uint8_t reserved[4];
} sentinel_client_options;

/* Connects: address is "unix:///path", "shm:///path" or "vsock://CID:PORT".
 * Returns:  OK; USAGE_ARGUMENT (address, options); IO_OPEN (nobody listens;
 *           errno); IO_READ (no answer in time); CRYPTO_VERIFY (another daemon
 *           than the pin's); FORMAT_VERSION; and what WELCOME says: POLICY_ENGINE,
 *           POLICY_SIGNATURE, POLICY_SCOPE, USAGE_CAPACITY, USAGE_STATE.
 * In:       options: copied; the caller wipes the seed. */
SENTINEL_MUST_USE sentinel_status sentinel_client_open(sentinel_client **client,
                                                       const char *address,
                                                       const sentinel_client_options *options);

/* Ends the session and wipes its keys. Null is allowed. */
void sentinel_client_close(sentinel_client *client);

/* How long a call may take from now on. Returns: OK; USAGE_ARGUMENT. */
SENTINEL_MUST_USE sentinel_status sentinel_client_set_timeout(sentinel_client *client,
                                                              int64_t timeout_ns);

/* Signs one order, or refuses it.
 * Returns:  OK (the verdict says the rest); what the daemon says instead:
 *           POLICY_EXPIRED (its turn came too late: not decided),
 *           USAGE_CAPACITY (full: not decided), POLICY_SCOPE; or, with
 *           facts.is_answer 0, IO_READ, IO_OPEN, CRYPTO_*, FORMAT_*: it may have
 *           been decided, and the same struct asks for it again.
 * Out:      outcome: all of it, or zeros.
 * In:       order_bytes: agent 0 is filled in, and so is action id 0: the next
 *           one above all that the agent has used. */
SENTINEL_MUST_USE sentinel_status sentinel_client_sign(sentinel_client *client,
                                                       sentinel_outcome *outcome,
                                                       const void *order_bytes, size_t size);

/* The same without unpacking: packed points into the client until its next call,
 * and was checked. stamped: null, or room for the order as it was sent. */
SENTINEL_MUST_USE sentinel_status sentinel_client_sign_packed(sentinel_client *client,
                                                              const uint8_t **packed,
                                                              size_t *packed_size, void *stamped,
                                                              const void *order_bytes, size_t size);

/* Checks a packed outcome (PROTOCOL.md, section 5) and unpacks it.
 * Returns: OK; FORMAT_SIZE; FORMAT_RANGE. Out: outcome: may be null. */
SENTINEL_MUST_USE sentinel_status sentinel_outcome_unpack(sentinel_outcome *outcome,
                                                          const uint8_t *packed, size_t size);

/* Takes back a request of ours that waits for approvers. */
SENTINEL_MUST_USE sentinel_status sentinel_client_withdraw(sentinel_client *client,
                                                           uint64_t *record, uint64_t action_id);

/* Hands in a heartbeat's frame. */
SENTINEL_MUST_USE sentinel_status sentinel_client_beat(sentinel_client *client, uint64_t *record,
                                                       const void *frame, size_t size);

/* Hands in a signed frame; one that is longer than a message goes in pieces.
 * Returns: as sentinel_gate_take; a repeated one after a lost answer gives
 * POLICY_SEQUENCE, where facts.is_resent is 1; FORMAT_LIMIT.
 * Out: taken, or, where ack_is_there becomes 1, the acknowledgement of a command. */
SENTINEL_MUST_USE sentinel_status sentinel_client_take(sentinel_client *client,
                                                       sentinel_taken *taken,
                                                       sentinel_signed_ack *ack, int *ack_is_there,
                                                       const void *frame, size_t size);

SENTINEL_MUST_USE sentinel_status sentinel_client_status(sentinel_client *client,
                                                         sentinel_daemon_status *status);

/* These give bytes that stay until the next call. A bundle and the state come in
 * pieces where they are long, and all pieces are of one bundle, and of one moment.
 * state: its rows, as sentinel_state says; with SENTINEL_STATE_BOOKS all of it, as
 * a snapshot has it, or USAGE_CAPACITY where that is too much. */
SENTINEL_MUST_USE sentinel_status sentinel_client_state(sentinel_client *client,
                                                        const uint8_t **state, size_t *size,
                                                        uint32_t flags);
SENTINEL_MUST_USE sentinel_status sentinel_client_bundle(sentinel_client *client,
                                                         const uint8_t **frame, size_t *size,
                                                         uint16_t kind);
SENTINEL_MUST_USE sentinel_status sentinel_client_records(sentinel_client *client,
                                                          const uint8_t **records, size_t *size,
                                                          uint64_t first, uint32_t bytes_max);
SENTINEL_MUST_USE sentinel_status sentinel_client_attest(sentinel_client *client,
                                                         const uint8_t **document, size_t *size,
                                                         const uint8_t nonce32[32]);

/* Rows of sentinel_key_info: what may be known of the engine's keys. */
SENTINEL_MUST_USE sentinel_status sentinel_client_keys(sentinel_client *client,
                                                       const uint8_t **rows, size_t *size);
/* Bytes of one of the engine's files from an offset, at most 1 MiB, and how long
 * the file is; an empty name: the names of all, a line each, and total 0. Returns:
 * what the daemon says; USAGE_ARGUMENT (the name is too long). */
SENTINEL_MUST_USE sentinel_status sentinel_client_file(sentinel_client *client,
                                                       const uint8_t **bytes, size_t *size,
                                                       uint64_t *total, const char *name,
                                                       uint64_t offset, uint32_t bytes_max);

SENTINEL_MUST_USE sentinel_status sentinel_client_head(sentinel_client *client, sentinel_head *head,
                                                       uint8_t signature64[64]);
SENTINEL_MUST_USE sentinel_status sentinel_client_ask(sentinel_client *client, sentinel_ask *ask,
                                                      uint8_t signature64[64], uint32_t flags);

/* Any request of section 5. answer: until the next call; null and 0 without one. */
SENTINEL_MUST_USE sentinel_status sentinel_client_call(sentinel_client *client,
                                                       const uint8_t **answer, size_t *answer_size,
                                                       uint16_t request, const void *payload,
                                                       size_t size);

/* What is known of the session and of the last call. */
typedef struct sentinel_client_facts {
    uint8_t engine_id32[32];
    uint64_t epoch;
    uint64_t channel;
    int64_t until_ns;
    uint64_t connects; /* handshakes so far */
    uint64_t resent;   /* requests that were sent more than once */
    uint32_t agent;
    uint32_t transport;
    uint8_t is_answer; /* 1: the last status is the daemon's own */
    uint8_t is_resent; /* 1: the last request was sent more than once */
    uint8_t is_sent;   /* 1: the last request may have reached the daemon */
    uint8_t is_ring;
    int32_t last_errno; /* behind an IO_* status */
} sentinel_client_facts;
void sentinel_client_facts_get(const sentinel_client *client, sentinel_client_facts *facts);

/* The seed of an Ed25519 key of purpose AUTHORITY, for options.seed32; the caller
 * wipes it. Returns: OK; KEY_UNKNOWN; KEY_PURPOSE; KEY_WIPED. */
SENTINEL_MUST_USE sentinel_status sentinel_client_seed(uint8_t seed32[32],
                                                       const sentinel_keyring *ring, uint32_t id);

#endif

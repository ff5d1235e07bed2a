/* What an enclave's host does before there is an engine to ask: a root is made
 * or brought back, keys come in, the engine begins or goes on. One stream on a
 * port of its own, one request at a time; the host is believed nothing, for all
 * that counts is signed, sealed or in the document. enclave/PROTOCOL.md,
 * section 8. */
#ifndef SENTINEL_LOBBY_H
#define SENTINEL_LOBBY_H

#include <sentinel/engine.h>

#include "clock.h"
#include "enclave.h"

#define SENTINEL_LOBBY_PORT 5701u
#define SENTINEL_LOBBY_BYTES_MAX (UINT32_C(20) << 20) /* of a request's payload */
#define SENTINEL_LOBBY_SEGMENT_BYTES (UINT64_C(1) << 20)
#define SENTINEL_LOBBY_NAME_BYTES_MAX 96u
#define SENTINEL_LOBBY_DIR "/engine"

/* A request, and behind it `size` bytes. Parts: each u32 size and so many bytes,
 * padded with zeros to 8, behind 4 reserved ones. */
typedef struct sentinel_lobby_request {
    uint32_t kind;
    uint32_t size;
} sentinel_lobby_request;
SENTINEL_SIZE(sentinel_lobby_request, 8);
typedef struct sentinel_lobby_answer {
    uint32_t status; /* not OK: no payload */
    uint32_t size;
} sentinel_lobby_answer;
SENTINEL_SIZE(sentinel_lobby_answer, 8);

enum {
    SENTINEL_LOBBY_GENESIS = 1,   /* sentinel_lobby_genesis -> sentinel_genesis */
    SENTINEL_LOBBY_ATTEST = 2,    /* sentinel_lobby_attest -> the document */
    SENTINEL_LOBBY_CERTIFY = 3,   /* authority, certificate, KMS key -> sentinel_wrapped_root */
    SENTINEL_LOBBY_UNWRAP = 4,    /* genesis, authority, certificate, wrapped root, KMS's answer */
    SENTINEL_LOBBY_KEYS = 5,      /* the sealed keys, after UNWRAP */
    SENTINEL_LOBBY_FILE = 6,      /* name, bytes: of the log or a bundle, after UNWRAP */
    SENTINEL_LOBBY_MAKE = 7,      /* sentinel_key_info -> the same, complete */
    SENTINEL_LOBBY_IMPORT = 8,    /* a frame IMPORT -> sentinel_key_info */
    SENTINEL_LOBBY_CREATE = 9,    /* policy -> the sealed keys; the engine runs */
    SENTINEL_LOBBY_RESUME = 10,   /* nothing -> the sealed keys, and the root if CERTIFY
          wrapped it anew; the engine runs */
    SENTINEL_LOBBY_SNAPSHOT = 11, /* sentinel_lobby_snapshot, a piece of a sealed snapshot */
    SENTINEL_LOBBY_COUNT = 12
};

typedef struct sentinel_lobby_snapshot {
    uint64_t offset; /* of the piece, which follows; the one at 0 begins anew */
    uint64_t total;  /* of the blob */
} sentinel_lobby_snapshot;
SENTINEL_SIZE(sentinel_lobby_snapshot, 16);

typedef struct sentinel_lobby_genesis {
    uint8_t environment;
    uint8_t root_threshold;
    uint8_t root_count;
    uint8_t reserved[5];
    uint8_t root_keys[SENTINEL_ROOT_KEYS_MAX][32];
} sentinel_lobby_genesis;
SENTINEL_SIZE(sentinel_lobby_genesis, 264);

typedef struct sentinel_lobby_attest {
    uint32_t purpose; /* SENTINEL_DOCUMENT_* */
    uint8_t reserved[4];
    uint8_t nonce32[32];
} sentinel_lobby_attest;
SENTINEL_SIZE(sentinel_lobby_attest, 40);

typedef struct lobby lobby; /* opaque */

/* dir: an empty folder's name, made here, in memory. session_spki: of the key
 * that sessions will be held with. Sets the clock by the module's, if it is off.
 * Returns: OK; IO_*; KEY_*; ENCLAVE_MODULE. */
SENTINEL_MUST_USE sentinel_status lobby_begin(lobby **out, enclave *e, const char *dir,
                                              const uint8_t *session_spki, size_t session_spki_size,
                                              const sentinel_engine_options *options);

/* The names that the engine itself gives. CLEAR: log/head, log/<number>.log,
 * bundles/<hash>; SEALED: sealed/keys, sealed/<number>.snapshot. 0: none of them. */
enum { LOBBY_FILE_CLEAR = 1, LOBBY_FILE_SEALED = 2 };
int lobby_file_name(const char *name);

/* Of an engine that comes back; a new one makes its folders itself. */
SENTINEL_MUST_USE sentinel_status lobby_folders_make(int dir_fd);

/* Serves streams that come to this listening socket, one behind the other, until
 * the engine runs. Returns: the engine; null: the socket failed. */
sentinel_engine *lobby_serve(lobby *l, int listen_fd);

/* In an enclave the host could drop a halt and roll the state back. Both the
 * operators' lease and a witness are needed there: no policy is taken that asks
 * for no lease, no authority without a witness.
 * Returns: OK; POLICY_LEASE; POLICY_GRANT; FORMAT_*. In: frame: aligned to 8. */
SENTINEL_MUST_USE sentinel_status lobby_frame_check(const void *frame, size_t size);

/* A document of the running engine, for a session. Returns: as enclave_attest. */
SENTINEL_MUST_USE sentinel_status lobby_attest(lobby *l, document *out, const uint8_t nonce32[32]);

/* The snapshots of the engine that runs. */
typedef struct snapshots snapshots;
snapshots *lobby_snapshots(lobby *l);

/* Compares the running engine's clock with the module's: module_clock.h. is_kept: the
 * document, too. Returns: as module_clock_compare. */
SENTINEL_MUST_USE sentinel_status lobby_compare(lobby *l, int is_kept);

/* What was said of the clock last. */
clock_watch *lobby_watch(lobby *l);

/* Wipes all but the engine and the enclave. Null is allowed. */
void lobby_end(lobby *l);

#endif

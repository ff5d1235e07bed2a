/* From nothing, or from what a host kept, to an engine that runs. */
#include "lobby.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "check.h"
#include "files.h"
#include "key_notes.h"
#include "lobby_stream.h"
#include "module_clock.h"
#include "server.h"
#include "snapshot.h"

#include <sentinel/policy.h>

#define RECEIPT_KEY 1u
#define FIRST_VENUE_KEY 2u
#define COMPARED_AT_START 3 /* times, where the module is slow */
#define KEYS_BYTES_MAX \
    (SENTINEL_KEYFILE_HEADER_BYTES + SENTINEL_KEYRING_KEYS_MAX * SENTINEL_KEYFILE_ROW_BYTES + 16)
#define KEYS_OPSLIMIT 1 /* the passphrase is 256 random bits: there is nothing to slow down */
#define KEYS_MEMLIMIT 8192

struct lobby {
    enclave *e;
    const char *dir;
    int dir_fd;
    sentinel_engine_options options;
    sentinel_engine *engine;
    sentinel_keyring *ring;
    sentinel_genesis genesis;
    uint8_t has_genesis;
    uint8_t is_restored; /* 1: the root was brought back, not made */
    uint8_t has_imports;
    uint8_t is_rewrapped; /* 1: `wrapped` waits for the engine to say who may certify */
    size_t spki_size;
    uint8_t spki[64];
    uint8_t *authority; /* frame that the papers name */
    size_t authority_size;
    uint64_t keys_number; /* of the sealed keys that were brought */
    char passphrase[65];
    uint8_t *in;  /* SENTINEL_LOBBY_BYTES_MAX, aligned */
    uint8_t *out; /* answers */
    size_t out_size;
    uint8_t certifier_hash32[32]; /* of the authority's frame that `wrapped` rests on */
    sentinel_wrapped_root wrapped;
    document made;
    snapshots snaps;
    clock_watch watch;
    uint64_t keys_head;      /* records of the log when they were sealed */
    uint8_t keys_hash32[32]; /* of the last of them */
    uint32_t keys_count;
    key_notes notes;
};

static void give(lobby *l, const void *bytes, size_t size) {
    memcpy(l->out, bytes, size);
    l->out_size = size;
}

/* ---- The root --------------------------------------------------------------------- */

static sentinel_status do_genesis(lobby *l, const uint8_t *bytes, size_t size) {
    sentinel_lobby_genesis asked;
    sentinel_key_info info = {.id = RECEIPT_KEY,
                              .purpose = SENTINEL_PURPOSE_RECEIPT,
                              .algorithm = SENTINEL_ALGORITHM_ED25519};
    if (l->has_genesis) {
        return SENTINEL_USAGE_STATE;
    }
    if (size != sizeof asked) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&asked, bytes, sizeof asked);
    if (!bytes_are_zero(asked.reserved, sizeof asked.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    sentinel_genesis genesis = {.magic = {'S', 'E', 'N', 'T', 'G', 'E', 'N', 'E'},
                                .version = 1,
                                .environment = asked.environment,
                                .root_threshold = asked.root_threshold,
                                .root_count = asked.root_count,
                                .created_ns = server_wall_ns()};
    memcpy(genesis.root_keys, asked.root_keys, sizeof genesis.root_keys);
    SENTINEL_TRY(sentinel_keyring_generate(l->ring, &info));
    memcpy(genesis.identity_key32, info.public_key, 32);
    if (getentropy(genesis.random32, sizeof genesis.random32) != 0) {
        return SENTINEL_CRYPTO_FAILED;
    }
    sentinel_status status = enclave_genesis(l->e, &genesis);
    if (status != SENTINEL_OK) {
        SENTINEL_TRY(sentinel_keyring_remove(l->ring, RECEIPT_KEY));
        return status;
    }
    l->genesis = genesis;
    l->has_genesis = 1;
    give(l, &genesis, sizeof genesis);
    return SENTINEL_OK;
}

/* What is true of the engine now. Nothing of it comes from the host. */
static enclave_facts facts_now(const lobby *l) {
    enclave_facts facts = {.genesis = l->has_genesis ? &l->genesis : NULL,
                           .receipt_key32 = l->has_genesis ? l->genesis.identity_key32 : NULL,
                           .session_spki = l->spki,
                           .session_spki_size = l->spki_size};
    if (l->engine != NULL) {
        const sentinel_state *state = sentinel_gate_state(sentinel_engine_context(l->engine));
        facts.epoch = state->epoch;
        facts.head_number = state->record_count;
        memcpy(facts.head_hash32, state->last_hash32, 32);
    }
    return facts;
}

static sentinel_status clock_set(lobby *l) {
    const enclave_facts facts = facts_now(l);
    return module_clock_set(l->e, &facts, &l->made);
}

static sentinel_status do_attest(lobby *l, const uint8_t *bytes, size_t size) {
    sentinel_lobby_attest asked;
    if (size != sizeof asked) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&asked, bytes, sizeof asked);
    if (!bytes_are_zero(asked.reserved, sizeof asked.reserved)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    const enclave_facts facts = facts_now(l);
    SENTINEL_TRY(enclave_attest(l->e, &l->made, asked.purpose, &facts, asked.nonce32));
    give(l, l->made.bytes, l->made.size);
    return SENTINEL_OK;
}

/* Keeps the authority's frame for imports and for the engine's beginning. */
static sentinel_status authority_keep(lobby *l, const lobby_part *frame) {
    uint8_t *kept = calloc(1, (size_t)bytes_round_up(frame->size, 8));
    if (kept == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    memcpy(kept, frame->bytes, frame->size);
    free(l->authority);
    l->authority = kept;
    l->authority_size = frame->size;
    return SENTINEL_OK;
}

/* An engine's root, wrapped once more. Whether these operators still may say so is
 * known when the log is read; the host gets it then. */
static sentinel_status rewrap_keep(lobby *l, const sentinel_wrapped_root *wrapped,
                                   const lobby_part *authority) {
    sentinel_frame frame;
    SENTINEL_TRY(
        sentinel_frame_parse(&frame, authority->bytes, authority->size, SENTINEL_FRAME_AUTHORITY));
    memcpy(l->certifier_hash32, frame.hash32, 32);
    l->wrapped = *wrapped;
    l->is_rewrapped = 1;
    return SENTINEL_OK;
}

static sentinel_status do_certify(lobby *l, const uint8_t *bytes, size_t size) {
    lobby_part p[3];
    sentinel_wrapped_root wrapped;
    if (!lobby_parts(p, 3, bytes, size)) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!l->has_genesis) {
        return SENTINEL_USAGE_STATE;
    }
    const certificate_papers papers = {&l->genesis, sizeof l->genesis, p[0].bytes,
                                       p[0].size,   p[1].bytes,        p[1].size};
    SENTINEL_TRY(enclave_certify(l->e, &wrapped, &papers, p[2].bytes, p[2].size, server_wall_ns()));
    if (l->is_restored) {
        return rewrap_keep(l, &wrapped, &p[0]);
    }
    SENTINEL_TRY(authority_keep(l, &p[0]));
    give(l, &wrapped, sizeof wrapped);
    return SENTINEL_OK;
}

static sentinel_status do_unwrap(lobby *l, const uint8_t *bytes, size_t size) {
    lobby_part p[5];
    if (!lobby_parts(p, 5, bytes, size) || p[0].size != sizeof l->genesis) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (l->has_genesis) {
        return SENTINEL_USAGE_STATE;
    }
    const certificate_papers papers = {p[0].bytes, p[0].size,  p[1].bytes,
                                       p[1].size,  p[2].bytes, p[2].size};
    SENTINEL_TRY(
        enclave_unwrap(l->e, (const void *)p[3].bytes, p[3].size, &papers, p[4].bytes, p[4].size));
    memcpy(&l->genesis, p[0].bytes, sizeof l->genesis);
    l->has_genesis = l->is_restored = 1;
    SENTINEL_TRY(lobby_folders_make(l->dir_fd));
    return authority_keep(l, &p[1]);
}

/* ---- Keys --------------------------------------------------------------------------- */

/* The passphrase of keys/engine comes from the root: the file opens here alone. */
static sentinel_status passphrase_make(lobby *l) {
    uint8_t key32[32];
    SENTINEL_TRY(enclave_key(l->e, key32, "sentinel-keyfile-v1"));
    bytes_to_hex(l->passphrase, key32, sizeof key32);
    bytes_wipe(key32, sizeof key32);
    l->options.passphrase = l->passphrase;
    l->options.passphrase_size = 64;
    return SENTINEL_OK;
}

static sentinel_status do_keys(lobby *l, const uint8_t *bytes, size_t size) {
    _Alignas(8) uint8_t file[KEYS_BYTES_MAX];
    sentinel_sealed header;
    const sealed_expect expect = {.type = SENTINEL_SEALED_KEYS};
    if (!l->is_restored || sentinel_keyring_count(l->ring) != 0) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(passphrase_make(l));
    SENTINEL_TRY(enclave_unseal(l->e, file, sizeof file, &header, &expect, bytes, size));
    sentinel_status status = sentinel_keyring_unseal(l->ring, file, header.size, l->passphrase, 64);
    bytes_wipe(file, sizeof file);
    l->keys_number = header.number;
    l->keys_head = header.head_number;
    memcpy(l->keys_hash32, header.head_hash32, 32);
    l->keys_count = sentinel_keyring_count(l->ring);
    l->options.keys_grow = 1; /* Any host has older ones: the log says which are the newest. */
    return status;
}

/* Whoever has keys made or brought in needs a root that people certified: before
 * that nothing of it could come back. */
static sentinel_status keys_may_come(const lobby *l) {
    return enclave_is_ready(l->e) && sentinel_keyring_count(l->ring) != 0 ? SENTINEL_OK
                                                                          : SENTINEL_USAGE_STATE;
}

/* A key that no record can tell of is not kept. */
static sentinel_status note_key(lobby *l, uint8_t origin, const sentinel_key_info *info,
                                const void *frame, size_t size) {
    sentinel_status status = key_notes_add(&l->notes, origin, info, frame, size);
    if (status != SENTINEL_OK) {
        SENTINEL_TRY(sentinel_keyring_remove(l->ring, info->id));
    }
    return status;
}

static sentinel_status do_make(lobby *l, const uint8_t *bytes, size_t size) {
    sentinel_key_info info;
    SENTINEL_TRY(keys_may_come(l));
    if (size != sizeof info) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&info, bytes, sizeof info);
    if (info.id < FIRST_VENUE_KEY || info.purpose == SENTINEL_PURPOSE_RECEIPT ||
        info.purpose == SENTINEL_PURPOSE_AUTHORITY) {
        return SENTINEL_KEY_PURPOSE;
    }
    SENTINEL_TRY(sentinel_keyring_generate(l->ring, &info));
    give(l, &info, sizeof info);
    return note_key(l, SENTINEL_KEY_MADE, &info, NULL, 0);
}

static sentinel_status do_import(lobby *l, const uint8_t *bytes, size_t size) {
    sentinel_key_info info;
    sentinel_frame frame;
    SENTINEL_TRY(keys_may_come(l));
    SENTINEL_TRY(
        sentinel_frame_parse(&frame, l->authority, l->authority_size, SENTINEL_FRAME_AUTHORITY));
    SENTINEL_TRY(enclave_import(l->e, l->ring, &info, bytes, size, frame.payload,
                                frame.payload_size, server_wall_ns()));
    l->has_imports = 1;
    give(l, &info, sizeof info);
    return note_key(l, SENTINEL_KEY_IMPORTED, &info, bytes, size);
}

/* ---- Files -------------------------------------------------------------------------- */

/* The engine judges the bytes when it opens: chain, hashes and signatures. */
static sentinel_status do_file(lobby *l, const uint8_t *bytes, size_t size) {
    lobby_part p[2];
    char name[SENTINEL_LOBBY_NAME_BYTES_MAX + 1] = {0};
    if (!l->is_restored) {
        return SENTINEL_USAGE_STATE;
    }
    if (!lobby_parts(p, 2, bytes, size) || p[0].size > SENTINEL_LOBBY_NAME_BYTES_MAX) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(name, p[0].bytes, p[0].size);
    if (strlen(name) != p[0].size || lobby_file_name(name) != LOBBY_FILE_CLEAR) {
        return SENTINEL_FORMAT_TEXT;
    }
    return files_save(l->dir_fd, name, p[1].bytes, p[1].size, 0);
}

static sentinel_status keys_write(const lobby *l) {
    _Alignas(8) uint8_t file[KEYS_BYTES_MAX];
    size_t size = sentinel_keyring_sealed_bytes(l->ring);
    sentinel_status status = sentinel_keyring_seal(l->ring, file, sizeof file, l->passphrase, 64,
                                                   KEYS_OPSLIMIT, KEYS_MEMLIMIT);
    return status == SENTINEL_OK ? files_save(l->dir_fd, "keys/engine", file, size, 0) : status;
}

/* The keys for the host to keep, as of this engine's epoch and head. */
static sentinel_status keys_give(lobby *l) {
    _Alignas(8) uint8_t file[KEYS_BYTES_MAX];
    const sentinel_state *state = sentinel_gate_state(sentinel_engine_context(l->engine));
    sealed_place place = {.type = SENTINEL_SEALED_KEYS,
                          .epoch = state->epoch,
                          .number = l->keys_number + 1,
                          .head_number = state->record_count};
    size_t size;
    memcpy(place.head_hash32, state->last_hash32, 32);
    SENTINEL_TRY(files_load(&size, l->dir_fd, "keys/engine", file, sizeof file));
    SENTINEL_TRY(
        enclave_seal(l->e, l->out, &l->out_size, SENTINEL_LOBBY_BYTES_MAX, &place, file, size));
    /* For a host that lost the answer: FILE gives it, too. */
    if (mkdirat(l->dir_fd, "sealed", 0700) != 0 && errno != EEXIST) {
        return SENTINEL_IO_WRITE;
    }
    return files_save(l->dir_fd, "sealed/keys", l->out, l->out_size, 0);
}

/* ---- The engine --------------------------------------------------------------------- */

/* What a log brings back was checked when it was taken; it is asked once more. */
static sentinel_status must_be_bounded(sentinel_engine *engine) {
    const sentinel_context *context = sentinel_engine_context(engine);
    const sentinel_view *view = sentinel_gate_view(context);
    if (!sentinel_gate_needs_witness(context)) {
        return SENTINEL_POLICY_GRANT;
    }
    return view != NULL && view->bundle.policy->lease_ns != 0 ? SENTINEL_OK : SENTINEL_POLICY_LEASE;
}

/* An import, or the root wrapped anew, was judged by an authority that the host
 * showed. Is that the one in force? It could be from before an operator lost the
 * power. */
static sentinel_status papers_hold(const lobby *l) {
    sentinel_frame frame;
    const sentinel_state *state = sentinel_gate_state(sentinel_engine_context(l->engine));
    if (l->is_rewrapped && !bytes_equal(l->certifier_hash32, state->authority_hash32, 32)) {
        return SENTINEL_POLICY_SIGNATURE;
    }
    if (!l->has_imports) {
        return SENTINEL_OK;
    }
    SENTINEL_TRY(
        sentinel_frame_parse(&frame, l->authority, l->authority_size, SENTINEL_FRAME_AUTHORITY));
    return bytes_equal(frame.hash32, state->authority_hash32, 32) ? SENTINEL_OK
                                                                  : SENTINEL_POLICY_SIGNATURE;
}

static sentinel_status do_snapshot(lobby *l, const uint8_t *bytes, size_t size) {
    return l->is_restored ? snapshots_request(&l->snaps, l->out, bytes, size)
                          : SENTINEL_USAGE_STATE;
}

sentinel_status lobby_compare(lobby *l, int is_kept) {
    const enclave_facts facts = facts_now(l);
    return module_clock_compare(&l->watch, l->engine, l->e, &facts, &l->made,
                                is_kept ? l->dir_fd : -1);
}

clock_watch *lobby_watch(lobby *l) {
    return &l->watch;
}

static sentinel_status clock_begin(lobby *l) {
    sentinel_status status = SENTINEL_ENCLAVE_MODULE;
    for (int i = 0; status == SENTINEL_ENCLAVE_MODULE && i < COMPARED_AT_START; i++) {
        status = lobby_compare(l, 1);
    }
    return status;
}

/* How many of the keys, from the first on, surely have their records in this engine's
 * log. How long it is says nothing: it may be another history's, or the host's own. */
static uint32_t keys_told(const lobby *l) {
    const snapshot_taker *t = &l->snaps.taker;
    uint8_t hash32[32];
    if (key_notes_log_has(l->dir_fd, l->keys_head, l->keys_hash32, l->in)) {
        return l->keys_count;
    }
    return t->has && sentinel_keyring_hash(hash32, l->ring, t->keys) == SENTINEL_OK &&
                   bytes_equal(hash32, t->keyring_hash32, 32)
               ? t->keys
               : 0;
}

/* Before their sealed form leaves. */
static sentinel_status keys_record(lobby *l) {
    SENTINEL_TRY(key_notes_find(&l->notes, l->ring, keys_told(l)));
    return key_notes_record(&l->notes, l->engine, server_wall_ns());
}

static sentinel_status engine_run(lobby *l) {
    SENTINEL_TRY(clock_set(l)); /* the host may have let it wait for days */
    SENTINEL_TRY(sentinel_engine_open(&l->engine, l->dir, &l->options, server_wall_ns()));
    SENTINEL_TRY(clock_begin(l));
    SENTINEL_TRY(must_be_bounded(l->engine));
    SENTINEL_TRY(papers_hold(l));
    SENTINEL_TRY(keys_record(l));
    SENTINEL_TRY(snapshots_join(&l->snaps, l->dir_fd, l->engine));
    SENTINEL_TRY(keys_give(l));
    if (l->is_rewrapped) {
        memcpy(l->out + l->out_size, &l->wrapped, sizeof l->wrapped);
        l->out_size += sizeof l->wrapped;
    }
    return SENTINEL_OK;
}

static sentinel_status engine_start(lobby *l) {
    sentinel_status status = engine_run(l);
    if (status != SENTINEL_OK && l->engine != NULL) {
        sentinel_engine_close(l->engine, server_wall_ns());
        l->engine = NULL;
    }
    if (status != SENTINEL_OK) { /* The host may give others. */
        snapshots_forget(&l->snaps, l->dir_fd);
        return status;
    }
    snapshot_drop(&l->snaps.taker); /* The engine has its own, and its own keys. */
    sentinel_keyring_free(l->ring);
    l->ring = NULL;
    return SENTINEL_OK;
}

static sentinel_status do_create(lobby *l, const uint8_t *bytes, size_t size) {
    lobby_part policy;
    if (!lobby_parts(&policy, 1, bytes, size)) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (l->is_restored || !enclave_is_ready(l->e)) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(lobby_frame_check(l->authority, l->authority_size));
    SENTINEL_TRY(lobby_frame_check(policy.bytes, policy.size));
    SENTINEL_TRY(passphrase_make(l));
    SENTINEL_TRY(keys_write(l));
    SENTINEL_TRY(sentinel_engine_create(l->dir, &l->genesis, l->authority, l->authority_size,
                                        policy.bytes, policy.size, &l->options, server_wall_ns()));
    return engine_start(l);
}

static sentinel_status do_resume(lobby *l, const uint8_t *bytes, size_t size) {
    (void)bytes;
    if (size != 0) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!l->is_restored || sentinel_keyring_count(l->ring) == 0) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(keys_write(l));
    SENTINEL_TRY(files_save(l->dir_fd, "genesis", &l->genesis, sizeof l->genesis, 0));
    return engine_start(l);
}

/* ---- The stream --------------------------------------------------------------------- */

typedef sentinel_status lobby_function(lobby *l, const uint8_t *bytes, size_t size);

static lobby_function *const requests[SENTINEL_LOBBY_COUNT] = {
    [SENTINEL_LOBBY_GENESIS] = do_genesis,   [SENTINEL_LOBBY_ATTEST] = do_attest,
    [SENTINEL_LOBBY_CERTIFY] = do_certify,   [SENTINEL_LOBBY_UNWRAP] = do_unwrap,
    [SENTINEL_LOBBY_KEYS] = do_keys,         [SENTINEL_LOBBY_FILE] = do_file,
    [SENTINEL_LOBBY_MAKE] = do_make,         [SENTINEL_LOBBY_IMPORT] = do_import,
    [SENTINEL_LOBBY_CREATE] = do_create,     [SENTINEL_LOBBY_RESUME] = do_resume,
    [SENTINEL_LOBBY_SNAPSHOT] = do_snapshot,
};

/* One request. Returns: 1; 0: the stream is over. */
static int serve_one(lobby *l, int fd) {
    sentinel_lobby_request request;
    if (!lobby_take_all(fd, &request, sizeof request) || request.kind == 0 ||
        request.kind >= SENTINEL_LOBBY_COUNT || request.size > SENTINEL_LOBBY_BYTES_MAX ||
        !lobby_take_all(fd, l->in, request.size)) {
        return 0;
    }
    l->out_size = 0;
    sentinel_status status = requests[request.kind](l, l->in, request.size);
    const sentinel_lobby_answer answer = {
        .status = (uint32_t)status, .size = status == SENTINEL_OK ? (uint32_t)l->out_size : 0};
    if (status != SENTINEL_OK) {
        (void)fprintf(stderr, "sentineld: lobby %u: %s\n", request.kind,
                      sentinel_status_name(status));
    }
    return lobby_send_all(fd, &answer, sizeof answer) && lobby_send_all(fd, l->out, answer.size);
}

sentinel_engine *lobby_serve(lobby *l, int listen_fd) {
    while (l->engine == NULL) {
        int fd = accept(listen_fd, NULL, NULL);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED) {
            (void)fprintf(stderr, "sentineld: lobby: %s\n", strerror(errno));
            return NULL;
        }
        while (fd >= 0 && l->engine == NULL && serve_one(l, fd)) {
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return l->engine;
}

sentinel_status lobby_attest(lobby *l, document *out, const uint8_t nonce32[32]) {
    const enclave_facts facts = facts_now(l);
    return enclave_attest(l->e, out, SENTINEL_DOCUMENT_SESSION, &facts, nonce32);
}

/* ---- Beginning and end ---------------------------------------------------------------- */

static sentinel_status dir_make(lobby *l) {
    if (mkdir(l->dir, 0700) != 0) {
        return SENTINEL_IO_OPEN;
    }
    l->dir_fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return l->dir_fd >= 0 && mkdirat(l->dir_fd, "keys", 0700) == 0 ? SENTINEL_OK : SENTINEL_IO_OPEN;
}

sentinel_status lobby_begin(lobby **out, enclave *e, const char *dir, const uint8_t *session_spki,
                            size_t session_spki_size, const sentinel_engine_options *options) {
    lobby *l = calloc(1, sizeof *l);
    *out = NULL;
    if (l == NULL || session_spki_size > sizeof l->spki) {
        free(l);
        return SENTINEL_IO_MEMORY;
    }
    l->e = e;
    l->dir = dir;
    l->dir_fd = l->snaps.taker.fd = -1;
    l->options = *options;
    l->options.segment_bytes = SENTINEL_LOBBY_SEGMENT_BYTES;
    memcpy(l->spki, session_spki, session_spki_size);
    l->spki_size = session_spki_size;
    l->in = server_room(SENTINEL_LOBBY_BYTES_MAX);
    l->out = server_room(SENTINEL_LOBBY_BYTES_MAX);
    sentinel_status status =
        l->in != NULL && l->out != NULL ? sentinel_keyring_new(&l->ring) : SENTINEL_IO_MEMORY;
    if (status == SENTINEL_OK) {
        status = dir_make(l);
        l->snaps = (snapshots){.taker = {.e = e, .dir_fd = l->dir_fd, .fd = -1}, .buffer = l->in};
    }
    if (status == SENTINEL_OK) {
        clock_name(l->watch.name);
        l->watch.every_ns = CLOCK_EVERY_NS;
        l->watch.holds_ns = CLOCK_HOLDS_NS;
        status = clock_set(l);
    }
    if (status != SENTINEL_OK) {
        lobby_end(l);
        return status;
    }
    *out = l;
    return SENTINEL_OK;
}

snapshots *lobby_snapshots(lobby *l) {
    return &l->snaps;
}

void lobby_end(lobby *l) {
    if (l == NULL) {
        return;
    }
    snapshots_end(&l->snaps);
    sentinel_keyring_free(l->ring);
    key_notes_free(&l->notes);
    free(l->authority);
    if (l->dir_fd >= 0) {
        (void)close(l->dir_fd);
    }
    if (l->in != NULL) {
        (void)munmap(l->in, SENTINEL_LOBBY_BYTES_MAX);
    }
    if (l->out != NULL) {
        (void)munmap(l->out, SENTINEL_LOBBY_BYTES_MAX);
    }
    bytes_wipe(l, sizeof *l);
    free(l);
}

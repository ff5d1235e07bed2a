/* Sealed snapshots: made in steps, taken in pieces, joined to the log. */
#include "snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "check.h"
#include "files.h"

#define FRESH ".snapshot"           /* not listed, not restored from */
#define TAKEN "snapshots/.snapshot" /* below the engine's folder */

/* ---- Making -------------------------------------------------------------------- */

static int folder_below(const char *dir, const char *name) {
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int fd = at >= 0 ? openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (at >= 0) {
        (void)close(at);
    }
    return fd;
}

int snapshot_maker_begin(snapshot_maker *m, const enclave *e, const char *dir,
                         const sentinel_tree *tree, uint8_t *buffer) {
    *m = (snapshot_maker){.e = e, .tree = *tree, .buffer = buffer, .in_fd = -1, .out_fd = -1};
    m->snapshots_fd = folder_below(dir, "snapshots");
    m->sealed_fd = folder_below(dir, "sealed");
    m->log_fd = folder_below(dir, "log");
    m->last = tree->count - (tree->count != 0);
    return m->snapshots_fd >= 0 && m->sealed_fd >= 0 && m->log_fd >= 0 ? 0 : -1;
}

static void maker_rest(snapshot_maker *m) {
    sealed_stop(&m->stream);
    if (m->in_fd >= 0) {
        (void)close(m->in_fd);
    }
    if (m->out_fd >= 0) {
        (void)close(m->out_fd);
    }
    m->in_fd = m->out_fd = -1;
    m->is_busy = 0;
}

void snapshot_maker_end(snapshot_maker *m) {
    const int fds[] = {m->snapshots_fd, m->sealed_fd, m->log_fd};
    if (m->e == NULL) {
        return;
    }
    maker_rest(m);
    if (m->is_reading) {
        sentinel_log_reader_close(&m->reader);
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    m->e = NULL;
}

/* The state says itself where it belongs. */
static sentinel_status maker_begin(snapshot_maker *m, uint64_t number) {
    static sentinel_state state; /* one thread */
    char name[FILES_NAME_BYTES];
    struct stat is;
    size_t got = 0;
    files_number_name(name, number, "");
    m->in_fd = openat(m->snapshots_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (m->in_fd < 0 || fstat(m->in_fd, &is) != 0) {
        return SENTINEL_IO_OPEN;
    }
    SENTINEL_TRY(files_read_at(&got, m->in_fd, &state, sizeof state, 0));
    m->state_bytes = (uint64_t)is.st_size;
    if (got != sizeof state || state.record_count != number || number < m->tree.count) {
        return SENTINEL_AUDIT_SNAPSHOT;
    }
    sealed_place place = {.type = SENTINEL_SEALED_SNAPSHOT,
                          .epoch = state.epoch,
                          .number = number,
                          .head_number = number};
    memcpy(place.head_hash32, state.last_hash32, 32);
    /* A witness may name any head behind the last one that it confirmed. */
    place.from_record = state.grant.count < number ? state.grant.count : number;
    SENTINEL_TRY(enclave_seal_begin(m->e, &m->stream, &place, sizeof m->tree + m->state_bytes));
    m->out_fd =
        openat(m->sealed_fd, FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return m->out_fd < 0 ? SENTINEL_IO_OPEN
                         : files_write_at(m->out_fd, &m->stream.header, sizeof m->stream.header, 0);
}

static void maker_fails(snapshot_maker *m, sentinel_status status) {
    (void)fprintf(stderr, "sentineld: a snapshot is not sealed: %s: %s\n",
                  sentinel_status_name(status), sentinel_status_text(status));
    maker_rest(m);
}

void snapshot_look(snapshot_maker *m) {
    uint64_t number = 0;
    if (m->is_busy || files_highest(&number, m->snapshots_fd, "", UINT64_MAX) != SENTINEL_OK ||
        number <= m->last) {
        return;
    }
    m->last = number;
    sentinel_status status = maker_begin(m, number);
    if (status != SENTINEL_OK) {
        maker_fails(m, status);
        return;
    }
    m->is_busy = 1;
}

/* The records before the snapshot's, a few at a time. */
static sentinel_status tree_step(snapshot_maker *m) {
    sentinel_record record;
    for (unsigned i = 0; i < SNAPSHOT_STEP_RECORDS && m->tree.count < m->last; i++) {
        if (!m->is_reading || m->reader.next != m->tree.count) {
            if (m->is_reading) {
                sentinel_log_reader_close(&m->reader);
            }
            m->is_reading = 1;
            SENTINEL_TRY(sentinel_log_reader_open(&m->reader, m->log_fd, m->tree.count));
        }
        SENTINEL_TRY(sentinel_log_reader_next(&m->reader, &record, m->buffer, SNAPSHOT_READ_BYTES));
        sentinel_tree_add(&m->tree, record.hash32);
    }
    return SENTINEL_OK;
}

static sentinel_status seal_step(snapshot_maker *m) {
    uint64_t at = m->stream.done;
    size_t size = 0;
    if (at == 0) {
        size = sizeof m->tree;
        memcpy(m->buffer, &m->tree, size);
    } else {
        uint64_t left = m->stream.header.size - at;
        size = left < SNAPSHOT_STEP_BYTES ? (size_t)left : SNAPSHOT_STEP_BYTES;
        size_t want = size;
        SENTINEL_TRY(files_read_at(&size, m->in_fd, m->buffer, want, at - sizeof m->tree));
        if (size != want) {
            return SENTINEL_AUDIT_SNAPSHOT;
        }
    }
    SENTINEL_TRY(sealed_add(&m->stream, m->buffer, m->buffer, size));
    return files_write_at(m->out_fd, m->buffer, size, sizeof m->stream.header + at);
}

static sentinel_status seal_end(snapshot_maker *m) {
    char name[FILES_NAME_BYTES];
    uint8_t tag16[GCM_TAG_BYTES];
    uint64_t number = m->last;
    SENTINEL_TRY(sealed_finish(&m->stream, tag16));
    SENTINEL_TRY(files_write_at(m->out_fd, tag16, sizeof tag16,
                                sizeof m->stream.header + m->stream.header.size));
    files_number_name(name, number, SNAPSHOT_SUFFIX);
    if (renameat(m->sealed_fd, FRESH, m->sealed_fd, name) != 0) {
        return SENTINEL_IO_WRITE;
    }
    for (unsigned kept = 1; number > 0; kept++) {
        if (files_highest(&number, m->sealed_fd, SNAPSHOT_SUFFIX, number - 1) != SENTINEL_OK) {
            break;
        }
        files_number_name(name, number, SNAPSHOT_SUFFIX);
        if (kept >= SNAPSHOT_KEPT) {
            (void)unlinkat(m->sealed_fd, name, 0);
        }
    }
    return SENTINEL_OK;
}

int snapshot_step(snapshot_maker *m) {
    if (!m->is_busy) {
        return 0;
    }
    sentinel_status status;
    int ends = 0;
    if (m->tree.count < m->last) {
        status = tree_step(m);
    } else if (m->stream.done < m->stream.header.size) {
        status = seal_step(m);
    } else {
        status = seal_end(m);
        ends = 1;
    }
    if (status != SENTINEL_OK) {
        maker_fails(m, status);
    } else if (ends) {
        maker_rest(m);
    }
    return m->is_busy;
}

/* ---- Taking -------------------------------------------------------------------- */

static void taken_name(char *name, const snapshot_taker *t) {
    static const char folder[] = "snapshots/";
    memcpy(name, folder, sizeof folder);
    files_number_name(name + sizeof folder - 1, t->stream.header.head_number, "");
}

void snapshot_drop(snapshot_taker *t) {
    char name[FILES_NAME_BYTES + sizeof "snapshots/"];
    sealed_stop(&t->stream);
    if (t->fd >= 0) {
        (void)close(t->fd);
        (void)unlinkat(t->dir_fd, TAKEN, 0);
    }
    if (t->has) {
        taken_name(name, t);
        (void)unlinkat(t->dir_fd, name, 0);
    }
    t->fd = -1;
    t->has = 0;
    t->got = 0;
}

static sentinel_status take_begin(snapshot_taker *t, uint64_t total, const uint8_t *bytes,
                                  size_t size) {
    sentinel_sealed header;
    if (size < sizeof header) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&header, bytes, sizeof header);
    SENTINEL_TRY(enclave_open_begin(t->e, &t->stream, SENTINEL_SEALED_SNAPSHOT, &header, total));
    if (header.size < sizeof t->tree + sizeof(sentinel_state)) {
        return SENTINEL_FORMAT_SIZE;
    }
    t->got = sizeof header;
    t->fd = openat(t->dir_fd, TAKEN, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return t->fd >= 0 ? SENTINEL_OK : SENTINEL_IO_OPEN;
}

/* Clear bytes at a place of what was sealed: the tree first, then the file. */
static sentinel_status take_clear(snapshot_taker *t, uint64_t at, const uint8_t *bytes,
                                  size_t size) {
    if (at < sizeof t->tree) {
        size_t part = sizeof t->tree - (size_t)at;
        part = size < part ? size : part;
        memcpy((uint8_t *)&t->tree + at, bytes, part);
        bytes += part;
        size -= part;
        at += part;
    }
    return size == 0 ? SENTINEL_OK : files_write_at(t->fd, bytes, size, at - sizeof t->tree);
}

/* It is whole. What it says of itself must be what its header says. */
static sentinel_status take_end(snapshot_taker *t) {
    static sentinel_state state; /* one thread */
    char name[FILES_NAME_BYTES + sizeof "snapshots/"];
    const sentinel_sealed *header = &t->stream.header;
    size_t got = 0;
    SENTINEL_TRY(sealed_finish(&t->stream, t->tag16));
    SENTINEL_TRY(files_read_at(&got, t->fd, &state, sizeof state, 0));
    if (memcmp(state.magic, "SENTSTAT", 8) != 0 || state.version != SENTINEL_STATE_VERSION) {
        return SENTINEL_FORMAT_VERSION; /* another release's */
    }
    if (state.record_count != header->head_number || t->tree.count != header->head_number ||
        state.epoch != header->epoch || !bytes_equal(state.last_hash32, header->head_hash32, 32)) {
        return SENTINEL_AUDIT_SNAPSHOT;
    }
    taken_name(name, t);
    if (renameat(t->dir_fd, TAKEN, t->dir_fd, name) != 0) {
        return SENTINEL_IO_WRITE;
    }
    (void)close(t->fd);
    t->fd = -1;
    t->keys = state.keys;
    memcpy(t->keyring_hash32, state.keyring_hash32, 32);
    t->has = 1;
    return SENTINEL_OK;
}

static sentinel_status take_piece(snapshot_taker *t, uint8_t *out, const uint8_t *bytes,
                                  size_t size) {
    const uint64_t sealed = t->stream.header.size, blob = sealed_bytes((size_t)sealed);
    if (size > blob - t->got) {
        return SENTINEL_FORMAT_SIZE;
    }
    uint64_t left = sealed - t->stream.done;
    size_t clear = size < left ? size : (size_t)left;
    uint64_t at = t->stream.done;
    SENTINEL_TRY(sealed_add(&t->stream, out, bytes, clear));
    SENTINEL_TRY(take_clear(t, at, out, clear));
    if (clear < size) {
        size_t tag_at = (size_t)(t->got + clear - sizeof t->stream.header - sealed);
        memcpy(t->tag16 + tag_at, bytes + clear, size - clear);
    }
    t->got += size;
    return t->got == blob ? take_end(t) : SENTINEL_OK;
}

sentinel_status snapshot_take(snapshot_taker *t, uint8_t *out, uint64_t offset, uint64_t total,
                              const uint8_t *bytes, size_t size) {
    sentinel_status status = SENTINEL_OK;
    if (offset == 0) {
        snapshot_drop(t);
        status = take_begin(t, total, bytes, size);
        bytes += sizeof(sentinel_sealed);
        size -= status == SENTINEL_OK ? sizeof(sentinel_sealed) : 0;
    } else if (t->fd < 0 || offset != t->got ||
               total != sealed_bytes((size_t)t->stream.header.size)) {
        status = SENTINEL_FORMAT_RANGE;
    }
    if (status == SENTINEL_OK) {
        status = take_piece(t, out, bytes, size);
    }
    if (status != SENTINEL_OK) {
        snapshot_drop(t);
    }
    return status;
}

/* ---- Joining ------------------------------------------------------------------- */

static sentinel_status segments_count(unsigned *count, int log_fd) {
    int fd = openat(log_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t number;
    if (list == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return SENTINEL_IO_OPEN;
    }
    *count = 0;
    for (struct dirent *at; (at = readdir(list)) != NULL;) {
        *count += files_number_parse(&number, at->d_name, ".log") != 0;
    }
    (void)closedir(list);
    return SENTINEL_OK;
}

typedef struct walk {
    sentinel_log_reader reader;
    const snapshot_taker *t; /* null: there is no snapshot */
    sentinel_tree *tree;
    uint8_t last32[32];
    unsigned segments;
} walk;

static sentinel_status walk_one(walk *w, uint8_t *buffer) {
    sentinel_record record;
    uint64_t number = w->reader.next, segment = w->reader.segment_first;
    SENTINEL_TRY(sentinel_log_reader_next(&w->reader, &record, buffer, SNAPSHOT_READ_BYTES));
    w->segments += w->reader.segment_first != segment;
    memcpy(w->last32, record.hash32, 32);
    if (w->t != NULL && number == w->t->stream.header.head_number &&
        !bytes_equal(record.header->prev_hash32, w->t->stream.header.head_hash32, 32)) {
        return SENTINEL_ENCLAVE_STALE;
    }
    if (number == w->tree->count) {
        sentinel_tree_add(w->tree, record.hash32);
    }
    return SENTINEL_OK;
}

sentinel_status snapshot_walk(sentinel_tree *tree, int log_fd, const sentinel_state *state,
                              const snapshot_taker *t, uint8_t *buffer) {
    uint64_t lowest = 0, highest = 0;
    unsigned files = 0;
    walk w = {.t = t->has ? t : NULL, .tree = tree, .segments = 1};
    memset(tree, 0, sizeof *tree);
    SENTINEL_TRY(files_numbers(&lowest, &highest, log_fd, ".log", UINT64_MAX));
    SENTINEL_TRY(segments_count(&files, log_fd));
    if (lowest != 0) {
        if (w.t == NULL || lowest > w.t->stream.header.from_record) {
            return SENTINEL_AUDIT_TRUNCATED;
        }
        *tree = w.t->tree;
    }
    sentinel_status status = sentinel_log_reader_open(&w.reader, log_fd, lowest);
    while (status == SENTINEL_OK && w.reader.next < state->record_count) {
        status = walk_one(&w, buffer);
    }
    sentinel_log_reader_close(&w.reader);
    SENTINEL_TRY(status);
    return bytes_equal(w.last32, state->last_hash32, 32) && w.segments == files &&
                   tree->count == state->record_count
               ? SENTINEL_OK
               : SENTINEL_AUDIT_CORRUPT;
}

/* ---- All of it ------------------------------------------------------------------ */

sentinel_status snapshots_request(snapshots *s, uint8_t *out, const uint8_t *bytes, size_t size) {
    sentinel_lobby_snapshot piece;
    if (size < sizeof piece) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(&piece, bytes, sizeof piece);
    return snapshot_take(&s->taker, out, piece.offset, piece.total, bytes + sizeof piece,
                         size - sizeof piece);
}

sentinel_status snapshots_join(snapshots *s, int dir_fd, sentinel_engine *engine) {
    int log_fd = openat(dir_fd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (log_fd < 0) {
        return SENTINEL_IO_OPEN;
    }
    const sentinel_context *context = sentinel_engine_context(engine);
    sentinel_status status =
        snapshot_walk(&s->tree, log_fd, sentinel_gate_state(context), &s->taker, s->buffer);
    (void)close(log_fd);
    return status;
}

void snapshots_forget(snapshots *s, int dir_fd) {
    char name[FILES_NAME_BYTES];
    uint64_t number;
    snapshot_drop(&s->taker);
    int fd = openat(dir_fd, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    while (fd >= 0 && files_highest(&number, fd, "", UINT64_MAX) == SENTINEL_OK) {
        files_number_name(name, number, "");
        if (unlinkat(fd, name, 0) != 0) {
            break;
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

int snapshots_run(snapshots *s, const char *dir) {
    return snapshot_maker_begin(&s->maker, s->taker.e, dir, &s->tree, s->buffer);
}

/* The record that drained or halted the firm; 0: it runs. */
static uint64_t firm_stopped_by(const sentinel_context *context) {
    const sentinel_state *state = sentinel_gate_state(context);
    const sentinel_view *view = sentinel_gate_view(context);
    const sentinel_stop_state *nodes =
        (const sentinel_stop_state *)((const uint8_t *)state + state->nodes);
    for (uint32_t i = 0; view != NULL && i < view->bundle.node_count; i++) {
        if (view->bundle.nodes[i].kind == SENTINEL_NODE_FIRM) {
            return nodes[i].mode != SENTINEL_RUNNING ? nodes[i].record : 0;
        }
    }
    return 0;
}

void snapshots_tick(snapshots *s, sentinel_engine *engine, int64_t now_ns) {
    uint64_t stopped_by = firm_stopped_by(sentinel_engine_context(engine));
    if (stopped_by != 0 && stopped_by != s->stopped_by) {
        sentinel_status status = sentinel_engine_snapshot(engine, now_ns);
        if (status != SENTINEL_OK) {
            (void)fprintf(stderr, "sentineld: no snapshot: %s\n", sentinel_status_name(status));
        }
    }
    s->stopped_by = stopped_by;
    snapshot_look(&s->maker);
}

void snapshots_end(snapshots *s) {
    snapshot_maker_end(&s->maker);
    snapshot_drop(&s->taker);
}

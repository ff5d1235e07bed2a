/* The loop: whoever has something queued is served in turn, one request each.
 * enclave/PROTOCOL.md, section 5, "Turns". */
#include "server.h"

#include "bytes.h"
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64
#define SERVES_AT_ONCE 64 /* between two looks at the sockets */
#define SHAKES_AT_ONCE 4u
#define SLEEP_MS 100
#define BACKLOG 128
#define LISTENER UINT64_MAX
#define SIGNALS (UINT64_MAX - 1)

static int64_t clock_ns(clockid_t which) {
    struct timespec t;
    (void)clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t server_running_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t corrected_ns; /* one thread */

int64_t server_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME) + corrected_ns;
}

static int failed(const char *what) {
    (void)fprintf(stderr, "sentineld: %s: %s\n", what, strerror(errno));
    return -1;
}

/* ---- Making it ---------------------------------------------------------------- */

void *server_room(size_t size) {
    void *made = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return made == MAP_FAILED ? NULL : made;
}

void server_forget(void *memory, size_t size) {
    if (size == 0 || madvise(memory, size, MADV_DONTNEED) == 0) {
        return;
    }
#ifdef MADV_DONTNEED_LOCKED
    if (madvise(memory, size, MADV_DONTNEED_LOCKED) == 0) {
        return;
    }
#endif
    bytes_wipe(memory, size);
}

static int memory_make(server *s) {
    s->conns = server_room(SERVER_CONNS_MAX * sizeof *s->conns);
    s->outcomes = server_room(sizeof *s->outcomes);
    s->scratch = server_room(SENTINEL_CHANNEL_BYTES_MAX);
    s->tree_cursor.buffer = server_room(SERVER_CURSOR_BYTES);
    s->record_cursor.buffer = server_room(SERVER_CURSOR_BYTES);
    uint8_t *memory = server_room(SERVER_CONNS_MAX * SERVER_CONN_BYTES);
    uint8_t *wides = server_room(SERVER_WIDES * SERVER_WIDE_BYTES);
    uint8_t *helds = server_room(SERVER_HELDS * SENTINEL_PIECES_BYTES_MAX);
    if (s->conns == NULL || s->outcomes == NULL || s->scratch == NULL || memory == NULL ||
        wides == NULL || helds == NULL || s->tree_cursor.buffer == NULL ||
        s->record_cursor.buffer == NULL) {
        return failed("no memory");
    }
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        s->conns[i].fd = -1;
        s->conns[i].memory = memory + i * SERVER_CONN_BYTES;
    }
    for (uint32_t i = 0; i < SERVER_HELDS; i++) {
        s->helds[i].bytes = helds + i * SENTINEL_PIECES_BYTES_MAX;
    }
    for (uint32_t i = 0; i < SERVER_WIDES; i++) {
        s->wides[i].bytes = wides + i * SERVER_WIDE_BYTES;
    }
    return 0;
}

/* A socket that a daemon before this one left is taken away; nothing else is. */
static int unix_listen(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat there;
    if (path == NULL || strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        return failed("--unix");
    }
    memcpy(at.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode)) {
        (void)unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Who may knock is a matter of the folder's rights; who comes in, of keys. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || chmod(path, 0666) != 0 ||
        listen(fd, BACKLOG) != 0) {
        (void)failed(path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

int server_vsock_listen(uint32_t port, int flags) {
    struct sockaddr_vm at = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0) {
        (void)failed("vsock");
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

static int watch(const server *s, int fd, uint64_t what) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int folder_open(const char *dir, const char *name) {
    int fd = -1;
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at >= 0) {
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
    }
    return fd;
}

int server_begin(server *s, const server_options *options, sentinel_engine *engine, SSL_CTX *tls) {
    sigset_t signals;
    s->engine = engine;
    s->context = sentinel_engine_context(engine);
    s->tls = tls;
    s->is_vsock = options->unix_path == NULL;
    s->is_polling = options->is_polling;
    s->epoll_fd = s->listen_fd = s->signal_fd = s->log_fd = s->bundles_fd = s->sealed_fd = -1;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (memory_make(s) != 0) {
        return -1;
    }
    s->log_fd = folder_open(options->dir, "log");
    s->bundles_fd = folder_open(options->dir, "bundles");
    if (s->lobby != NULL) {
        s->sealed_fd = folder_open(options->dir, "sealed");
        if (s->sealed_fd < 0 || snapshots_run(lobby_snapshots(s->lobby), options->dir) != 0) {
            return failed(options->dir);
        }
        s->tree = lobby_snapshots(s->lobby)->tree;
    }
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->log_fd < 0 || s->bundles_fd < 0 || s->epoll_fd < 0 || s->signal_fd < 0) {
        return failed(options->dir);
    }
    s->listen_fd = s->is_vsock ? server_vsock_listen(options->vsock_port, SOCK_NONBLOCK)
                               : unix_listen(options->unix_path);
    if (s->listen_fd < 0) {
        return -1;
    }
    if (watch(s, s->listen_fd, LISTENER) != 0 || watch(s, s->signal_fd, SIGNALS) != 0) {
        return failed("epoll");
    }
    s->scanned_ns = s->ticked_ns = server_running_ns();
    s->has_processors = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    s->until_ns = s->lobby != NULL ? lobby_watch(s->lobby)->until_ns : INT64_MAX;
    return 0;
}

void server_end(server *s) {
    if (s->context == NULL) {
        return; /* never begun */
    }
    const int fds[] = {s->listen_fd, s->signal_fd,  s->epoll_fd,
                       s->log_fd,    s->bundles_fd, s->sealed_fd};
    for (uint32_t i = 0; s->conns != NULL && i < SERVER_CONNS_MAX; i++) {
        conn_close(s, &s->conns[i]);
    }
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    if (s->tree_cursor.is_open) {
        sentinel_log_reader_close(&s->tree_cursor.reader);
    }
    if (s->record_cursor.is_open) {
        sentinel_log_reader_close(&s->record_cursor.reader);
    }
}

/* ---- Turns -------------------------------------------------------------------- */

void conn_ready(server *s, conn *c) {
    if (c->state != CONN_OPEN || c->is_runnable || c->count == 0 || c->out_size != 0) {
        return;
    }
    c->is_runnable = 1;
    c->next = NULL;
    if (s->run_last != NULL) {
        s->run_last->next = c;
    } else {
        s->run_first = c;
    }
    s->run_last = c;
}

static conn *run_take(server *s) {
    conn *c = s->run_first;
    s->run_first = c->next;
    if (s->run_first == NULL) {
        s->run_last = NULL;
    }
    c->is_runnable = 0;
    c->next = NULL;
    return c;
}

/* Seals the answer to where it is written from. Returns: 1; 0: no room yet;
 * -1: the session ends. */
static int answer_seal(server *s, conn *c, const conn_request *request,
                       const serve_answer *answer) {
    sentinel_message message = {.kind = request->kind | SENTINEL_ANSWER,
                                .id = request->id,
                                .status = (uint32_t)answer->status};
    uint8_t *out = ((conn_memory *)c->memory)->out;
    if (channel_message_bytes(SENTINEL_CLASS_MIDDLE, answer->size) > CHANNEL_FRAME_BYTES_MAX) {
        if (c->wide_out == NULL) {
            c->wide_out = server_wide_take(s, c->key, 0);
        }
        out = c->wide_out;
        if (out == NULL) {
            return 0;
        }
    }
    c->out_at = out;
    c->out_size = channel_seal_message(&c->to, out, SENTINEL_CLASS_MIDDLE, &message,
                                       answer->payload, answer->size);
    return c->out_size != 0 ? 1 : -1;
}

/* What is left to do once the answer is on its way, while its client opens it. */
static void answer_settle(server *s, conn *c, const conn_request *request,
                          const serve_answer *answer) {
    serve_settle(s, c, request, answer);
    channel_ahead(&c->from, SENTINEL_CLASS_SMALL);
    channel_ahead(&c->to, SENTINEL_CLASS_MIDDLE);
    conn_pop(s, c);
}

/* Compares the clock, where it is time to; what nothing holds for halts. */
static void watch_clock(server *s, int64_t now) {
    clock_watch *w = lobby_watch(s->lobby);
    corrected_ns += clock_step(w, now);
    if (clock_is_due(w, now)) {
        sentinel_status status = lobby_compare(s->lobby, 0);
        if (status != SENTINEL_OK) {
            (void)fprintf(stderr, "sentineld: the clock was not compared: %s\n",
                          sentinel_status_name(status));
        }
    }
    int64_t wall = server_wall_ns();
    if (wall > w->until_ns) {
        sentinel_gate_halt(s->context, SENTINEL_ENCLAVE_CLOCK, wall);
    }
    s->until_ns = w->until_ns;
}

/* One request of one session. Returns: 1: it was answered; 0: it must wait. */
static int serve_one(server *s, conn *c) {
    const conn_request *request = &c->requests[c->first];
    serve_answer answer = {.status = SENTINEL_OK};
    s->now_ns = server_wall_ns();
    if (s->now_ns > s->until_ns) { /* nothing is judged by a clock that nobody compared */
        watch_clock(s, server_running_ns());
        s->now_ns = server_wall_ns();
    }
    if (!session_holds(s, c, s->now_ns)) {
        conn_close(s, c);
        return 1;
    }
    int sealed = 0;
    if (request->refusal != 0) {
        answer.status = (sentinel_status)request->refusal;
        sealed = answer_seal(s, c, request, &answer);
    } else if (serve_request(s, c, request, &answer)) {
        sealed = answer_seal(s, c, request, &answer);
    }
    if (sealed != 0) {
        int is_there = sealed > 0 && conn_send(s, c);
        s->served += sealed > 0;
        answer_settle(s, c, request, &answer);
        if (!is_there) {
            conn_close(s, c);
            return 1;
        }
        if (c->is_paused) {
            conn_parse(s, c);
        }
    }
    conn_ready(s, c);
    if (c->state != CONN_FREE) {
        conn_watch(s, c);
    }
    return sealed;
}

/* Returns: 1: there is more to do at once. */
static int serve_round(server *s) {
    int progress = 0;
    for (int i = 0; i < SERVES_AT_ONCE && s->run_first != NULL; i++) {
        conn *c = run_take(s);
        if (c->state == CONN_OPEN && c->count != 0 && c->out_size == 0) {
            progress |= serve_one(s, c);
        }
    }
    return progress && s->run_first != NULL;
}

/* Serves who has something queued. Where rings are polled, a look at the sockets
 * is a call of the system: so the rings are looked at many times before it. */
static int serve_rings(server *s) {
    int more = 0;
    for (int i = 0; i < (s->is_polling && s->ring_count != 0 ? SERVER_POLLS : 1); i++) {
        if (!ring_poll(s) && s->run_first == NULL) {
            sentinel_ring_pause();
        }
        more = serve_round(s);
    }
    return more;
}

/* ---- Time ---------------------------------------------------------------------- */

/* Ends what takes too long, and sessions that are over. */
static void scan(server *s, int64_t now) {
    int64_t wall = server_wall_ns();
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        conn *c = &s->conns[i];
        int ends = 0;
        if (c->state == CONN_OPEN) {
            ends = (c->stalled_ns != 0 && now - c->stalled_ns >= SENTINEL_STALL_NS) ||
                   (c->parts.more && now - c->since_ns >= SENTINEL_STALL_NS) ||
                   !session_holds(s, c, wall);
        } else if (c->state != CONN_FREE) {
            ends = now - c->since_ns >= SENTINEL_HANDSHAKE_NS;
        }
        if (ends) {
            conn_close(s, c);
        }
    }
    pieces_scan(s, now);
    if (s->is_deaf) {
        s->is_deaf = 0;
        (void)watch(s, s->listen_fd, LISTENER);
    }
    s->scanned_ns = now;
}

static void tick(server *s, int64_t now) {
    if (s->lobby != NULL) {
        watch_clock(s, now);
    }
    sentinel_status status = sentinel_engine_spool(s->engine, server_wall_ns());
    if (status != SENTINEL_OK) {
        (void)fprintf(stderr, "sentineld: %s: %s\n", sentinel_status_name(status),
                      sentinel_status_text(status));
    }
    if (s->lobby != NULL) {
        snapshots_tick(lobby_snapshots(s->lobby), s->engine, server_wall_ns());
    }
    s->ticked_ns = now;
}

/* No new work: what is queued is answered, then all ends. */
static void stop_begin(server *s, int64_t now) {
    s->is_stopping = 1;
    s->stop_ns = now;
    (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        conn *c = &s->conns[i];
        if (c->state == CONN_OPEN) {
            conn_watch(s, c);
        } else {
            conn_close(s, c);
        }
    }
}

static int is_done(const server *s, int64_t now) {
    if (now - s->stop_ns >= SERVER_STOP_NS) {
        return 1;
    }
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        if (s->conns[i].state == CONN_OPEN && (s->conns[i].count || s->conns[i].out_size)) {
            return 0;
        }
    }
    return 1;
}

static void handle(server *s, const struct epoll_event *event, int64_t now) {
    if (event->data.u64 == LISTENER) {
        conn_accept(s);
        if (s->is_deaf) {
            (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, s->listen_fd, NULL);
        }
    } else if (event->data.u64 == SIGNALS) {
        struct signalfd_siginfo info;
        if (read(s->signal_fd, &info, sizeof info) == sizeof info && !s->is_stopping) {
            stop_begin(s, now);
        }
    } else {
        conn *c = &s->conns[(uint32_t)event->data.u64];
        if (c->state != CONN_FREE && c->generation == event->data.u64 >> 32) {
            conn_event(s, c, event->events);
        }
    }
}

/* How long to wait for something to happen, in milliseconds. */
static int wait_time(server *s, int more, int64_t now) {
    if (more || s->is_polling || (s->has_processors && patience_lasts(&s->patience, now))) {
        return 0;
    }
    return s->run_first != NULL ? 1 : SLEEP_MS;
}

int server_run(server *s) {
    struct epoll_event events[EVENTS_AT_ONCE];
    int more = 0;
    int64_t now = 0;
    for (;;) {
        int wait_ms = wait_time(s, more, now);
        int dozes = wait_ms != 0 ? ring_doze(s) : 0;
        int timeout_ms = dozes >= 0 && dozes < wait_ms ? dozes : wait_ms;
        int count = epoll_wait(s->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);
        if (wait_ms != 0) {
            ring_rise(s);
        }
        if (count < 0 && errno != EINTR) {
            return failed("epoll_wait");
        }
        now = server_running_ns();
        s->shakes = SHAKES_AT_ONCE;
        for (int i = 0; i < count; i++) {
            handle(s, &events[i], now);
        }
        uint64_t before = s->served;
        more = serve_rings(s);
        if (s->served != before) {
            patience_begin(&s->patience, now);
        }
        if (now - s->scanned_ns >= SERVER_SCAN_NS) {
            scan(s, now);
        }
        if (now - s->ticked_ns >= SERVER_TICK_NS) {
            tick(s, now);
        }
        if (s->lobby != NULL && snapshot_step(&lobby_snapshots(s->lobby)->maker)) {
            more = 1;
        }
        if (s->is_stopping && is_done(s, now)) {
            return 0;
        }
    }
}

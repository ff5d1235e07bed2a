/* One connection: from accept over the handshake to WELCOME, then its bytes. */
#include "server.h"

#include "bytes.h"
#include "lobby.h"
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 16
#define FIRST_BYTE_TLS 0x16
#define FIRST_BYTE_DOCUMENT 'D'

void conn_watch(server *s, conn *c) {
    int is_open = c->state == CONN_OPEN;
    int has_ring = c->ring.memory != NULL; /* its socket only rings, and ends */
    int writes = is_open ? !has_ring && c->out_size != 0 : c->wants_write;
    /* Nor is read from who has an answer to take: what it sends waits in its socket. */
    int reads = !writes && (!is_open || has_ring || (!c->is_paused && !s->is_stopping));
    uint32_t wanted = writes ? EPOLLOUT : reads ? EPOLLIN : 0;
    if (wanted != c->watched) {
        struct epoll_event event = {
            .events = wanted, .data.u64 = (uint64_t)c->generation << 32 | (uint32_t)(c - s->conns)};
        if (epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) != 0) {
            conn_close(s, c);
            return;
        }
        c->watched = wanted;
    }
}

/* ---- Coming and going ------------------------------------------------------- */

void conn_close(server *s, conn *c) {
    if (c->state == CONN_FREE) {
        return;
    }
    if (c->state == CONN_OPEN) {
        s->sessions--;
    } else {
        s->handshakes--;
    }
    SSL_free(c->ssl);
    (void)close(c->fd); /* and out of epoll: nobody else has this descriptor */
    ring_end(s, c);
    channel_side_end(&c->from);
    channel_side_end(&c->to);
    server_wide_give(s, c->wide_in);
    server_wide_give(s, c->wide_out);
    pieces_end(s, c);
    server_forget(c->memory, SERVER_CONN_BYTES); /* What it said is gone. */
    uint8_t is_runnable = c->is_runnable;        /* server.c takes it off the list */
    uint32_t generation = c->generation;
    uint8_t *memory = c->memory;
    conn *next = c->next;
    bytes_wipe(c, sizeof *c);
    c->fd = -1;
    c->generation = generation + 1;
    c->memory = memory;
    c->is_runnable = is_runnable;
    c->next = next;
}

/* A place in the table, and in the count of those who only knock. */
static conn *conn_new(server *s, uid_t uid) {
    conn *free_one = NULL;
    uint32_t of_user = 0;
    for (uint32_t i = 0; i < SERVER_CONNS_MAX; i++) {
        conn *c = &s->conns[i];
        if (c->state == CONN_FREE && !c->is_runnable) {
            free_one = free_one == NULL ? c : free_one;
        } else if (c->state != CONN_FREE && c->state != CONN_OPEN) {
            of_user += c->uid == uid;
        }
    }
    if (free_one == NULL || s->handshakes >= SENTINEL_HANDSHAKES_MAX ||
        (!s->is_vsock && of_user >= SENTINEL_USER_HANDSHAKES_MAX)) {
        return NULL;
    }
    return free_one;
}

static void conn_begin(server *s, int fd) {
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    if (!s->is_vsock && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        (void)close(fd);
        return;
    }
    conn *c = conn_new(s, peer.uid);
    if (c == NULL) {
        s->refused_busy++;
        (void)close(fd);
        return;
    }
    struct epoll_event event = {
        .events = EPOLLIN, .data.u64 = (uint64_t)c->generation << 32 | (uint32_t)(c - s->conns)};
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        (void)close(fd);
        return;
    }
    c->fd = fd;
    c->watched = EPOLLIN;
    c->uid = peer.uid;
    c->state = CONN_NEW;
    c->since_ns = server_running_ns();
    s->handshakes++;
}

void conn_accept(server *s) {
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Without a descriptor the next look would find the same, at once. */
            s->is_deaf = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
            return;
        }
        conn_begin(s, fd);
    }
}

/* ---- The handshake ----------------------------------------------------------- */

/* What SSL wants: 1: to go on later; 0: it failed. */
static int tls_waits(conn *c, int result) {
    int why = SSL_get_error(c->ssl, result);
    ERR_clear_error();
    c->wants_write = why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

/* The first byte: TLS, or a HELLO in clear. Returns: 1; 0: close. */
static int step_first(server *s, conn *c) {
    uint8_t first;
    ssize_t got = recv(c->fd, &first, 1, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 1;
    }
    if (got == 1 && first == 'S' && !s->is_vsock) {
        c->state = CONN_GREETS;
        return 1;
    }
    if (got == 1 && first == FIRST_BYTE_DOCUMENT) {
        c->state = CONN_ASKS;
        return 1;
    }
    if (got != 1 || first != FIRST_BYTE_TLS) {
        return 0;
    }
    c->ssl = SSL_new(s->tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        return 0;
    }
    SSL_set_accept_state(c->ssl);
    c->is_tls = 1;
    c->state = CONN_SHAKES;
    return 1;
}

static int step_shake(conn *c) {
    int result = SSL_do_handshake(c->ssl);
    if (result != 1) {
        return tls_waits(c, result);
    }
    c->wants_write = 0;
    c->state = CONN_GREETS;
    return 1;
}

/* Reads on towards the first thing said. Returns: 1: it is whole; 0: not yet; -1:
 * close. */
static int first_read(conn *c, size_t whole) {
    uint8_t *in = ((conn_memory *)c->memory)->in;
    while (c->in_size < whole) {
        size_t left = whole - c->in_size;
        ssize_t got;
        if (c->is_tls) {
            got = SSL_read(c->ssl, in + c->in_size, (int)left);
            if (got <= 0) {
                return tls_waits(c, (int)got) ? 0 : -1;
            }
        } else {
            got = recv(c->fd, in + c->in_size, left, 0);
            if (got <= 0) {
                return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
            }
        }
        c->in_size += (size_t)got;
    }
    c->in_size = 0;
    /* Nothing may stand behind it in TLS: it would be lost with that. */
    return !c->is_tls || SSL_has_pending(c->ssl) == 0 ? 1 : -1;
}

static int welcome_write(conn *c, const sentinel_welcome *welcome) {
    if (c->is_tls) {
        int written = SSL_write(c->ssl, welcome, sizeof *welcome);
        ERR_clear_error();
        return written == sizeof *welcome;
    }
    return send(c->fd, welcome, sizeof *welcome, MSG_NOSIGNAL) == sizeof *welcome;
}

/* HELLO, WELCOME, and the session is open. Returns: 1; 0: close. */
static int step_greet(server *s, conn *c) {
    sentinel_hello hello;
    sentinel_welcome welcome;
    uint8_t public_key32[32];
    int whole = first_read(c, sizeof hello);
    if (whole != 1) {
        return whole == 0;
    }
    memcpy(&hello, ((conn_memory *)c->memory)->in, sizeof hello);
    if (c->is_tls && tls_peer_key(public_key32, c->ssl) != SENTINEL_OK) {
        return 0;
    }
    sentinel_status status = session_greet(s, c, &hello, c->is_tls ? public_key32 : NULL);
    session_welcome(s, c, &welcome, status);
    /* A WELCOME always fits into a socket that nothing was written to. */
    if (!welcome_write(c, &welcome) || status != SENTINEL_OK) {
        return 0;
    }
    SSL_free(c->ssl); /* with its keys */
    c->ssl = NULL;
    c->state = CONN_OPEN;
    s->handshakes--;
    s->sessions++;
    return 1;
}

/* Who is there? Whoever asks may know: a document proves itself. Returns: 1; 0:
 * close, also when it was answered. */
static int step_ask(server *s, conn *c) {
    static document made; /* one thread */
    conn_memory *memory = (conn_memory *)c->memory;
    sentinel_document_wanted wanted;
    int whole = first_read(c, sizeof wanted);
    if (whole != 1) {
        return whole == 0;
    }
    memcpy(&wanted, memory->in, sizeof wanted);
    if (memcmp(wanted.magic, "DOCUMENT", sizeof wanted.magic) != 0) {
        return 0;
    }
    sentinel_status status = serve_document(s, &made, wanted.nonce32);
    const sentinel_document_given given = {.status = (uint32_t)status,
                                           .size = status == SENTINEL_OK ? (uint32_t)made.size : 0};
    memcpy(memory->out, &given, sizeof given);
    memcpy(memory->out + sizeof given, made.bytes, given.size);
    /* It fits into a socket that nothing was written to. */
    (void)send(c->fd, memory->out, sizeof given + given.size, MSG_NOSIGNAL);
    return 0;
}

/* As far as it goes now. Returns: 1; 0: close. */
static int step(server *s, conn *c) {
    uint8_t before;
    do {
        before = c->state;
        int goes_on = before == CONN_NEW      ? step_first(s, c)
                      : before == CONN_SHAKES ? step_shake(c)
                      : before == CONN_ASKS   ? step_ask(s, c)
                                              : step_greet(s, c);
        if (!goes_on) {
            return 0;
        }
    } while (c->state != before && c->state != CONN_OPEN);
    return 1;
}

/* ---- Answers ----------------------------------------------------------------- */

int conn_send(server *s, conn *c) {
    if (c->ring.memory != NULL && !ring_flush(c)) {
        if (c->stalled_ns == 0) {
            c->stalled_ns = server_running_ns();
        }
        return 1;
    }
    while (c->out_size != 0) {
        ssize_t sent = send(c->fd, c->out_at, c->out_size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno != EAGAIN) {
            return 0;
        }
        if (sent < 0) {
            if (c->stalled_ns == 0) {
                c->stalled_ns = server_running_ns();
            }
            return 1;
        }
        c->out_at += sent;
        c->out_size -= (size_t)sent;
    }
    c->stalled_ns = 0;
    server_wide_give(s, c->wide_out);
    c->wide_out = NULL;
    return 1;
}

int conn_flush(server *s, conn *c) {
    if (conn_send(s, c)) {
        return 1;
    }
    conn_close(s, c);
    return 0;
}

void conn_event(server *s, conn *c, uint32_t events) {
    if (c->state != CONN_OPEN) {
        /* Public-key operations take their time: a few of them in each round. */
        if (s->shakes == 0) {
            return;
        }
        s->shakes--;
        if (!step(s, c)) {
            conn_close(s, c);
            return;
        }
    } else if (c->ring.memory != NULL) {
        if (!ring_bell(c)) {
            conn_close(s, c);
            return;
        }
    } else if ((events & EPOLLOUT) != 0 && c->out_size != 0) {
        if (!conn_flush(s, c)) {
            return;
        }
        conn_ready(s, c);
    } else if ((events & EPOLLIN) != 0) {
        conn_input(s, c);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        conn_close(s, c);
    }
    if (c->state != CONN_FREE) {
        conn_watch(s, c);
    }
}

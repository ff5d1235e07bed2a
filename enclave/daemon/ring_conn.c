/* Sessions whose frames go through a ring: PROTOCOL.md, section 7. What the
 * socket is for others, the ring is here; the socket itself only rings. */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends the memory's descriptor beside the answer's one byte. Returns: 1 or 0. */
static int descriptor_send(int fd, int descriptor) {
    uint8_t byte = SENTINEL_RING_ASK;
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(fd, &message, MSG_NOSIGNAL) == 1;
}

int ring_begin(server *s, conn *c) {
    static const uint8_t none = SENTINEL_RING_NONE;
    int descriptor;
    if (s->is_vsock || c->ring.memory != NULL || c->from.counter != 0) {
        return 0;
    }
    if (s->ring_count == SERVER_RINGS_MAX ||
        sentinel_ring_create(&c->ring, &descriptor) != SENTINEL_OK) {
        s->refused_busy++;
        (void)send(c->fd, &none, 1, MSG_NOSIGNAL);
        return 0;
    }
    s->rings[s->ring_count++] = c;
    int sent = descriptor_send(c->fd, descriptor);
    (void)close(descriptor);
    return sent;
}

void ring_end(server *s, conn *c) {
    for (uint32_t i = 0; i < s->ring_count; i++) {
        if (s->rings[i] == c) {
            s->rings[i] = s->rings[--s->ring_count];
        }
    }
    sentinel_ring_close(&c->ring);
}

int ring_bell(conn *c) {
    uint8_t bells[256];
    ssize_t got = recv(c->fd, bells, sizeof bells, 0);
    for (ssize_t i = 0; i < got; i++) {
        if (bells[i] != SENTINEL_RING_BELL) {
            return 0;
        }
    }
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Takes what there is room for. Returns: 1: it took something. */
static int ring_input(server *s, conn *c) {
    uint8_t *in = ((conn_memory *)c->memory)->in;
    int took = 0;
    while (c->state == CONN_OPEN && c->out_size == 0 && !c->is_paused &&
           SERVER_IN_BYTES - c->in_size >= SENTINEL_RING_PIECE_BYTES) {
        uint32_t size;
        if (sentinel_ring_take(&c->ring, in + c->in_size, &size) != SENTINEL_OK) {
            conn_close(s, c);
            return 1;
        }
        if (size == 0) {
            break;
        }
        took = 1;
        c->in_size += size;
        conn_parse(s, c);
    }
    return took;
}

int ring_flush(conn *c) {
    int sleeps;
    size_t done = sentinel_ring_put(&c->ring, c->out_at, c->out_size, &sleeps);
    c->out_at += done;
    c->out_size -= done;
    if (sleeps) {
        sentinel_ring_wake(&c->ring);
    }
    return c->out_size == 0;
}

int ring_poll(server *s) {
    int took = 0;
    for (uint32_t i = s->ring_count; i-- > 0;) {
        conn *c = s->rings[i];
        if (c->out_size != 0) {
            if (!conn_flush(s, c)) {
                continue;
            }
            conn_ready(s, c);
        }
        if (!s->is_stopping) {
            took |= ring_input(s, c);
        }
    }
    return took;
}

int ring_doze(server *s) {
    for (uint32_t i = 0; i < s->ring_count; i++) {
        conn *c = s->rings[i];
        if (c->out_size != 0) {
            return 1; /* The client does not say when it has made room. */
        }
        if (!c->is_paused && !s->is_stopping && !sentinel_ring_doze(&c->ring)) {
            return 0;
        }
    }
    return -1;
}

void ring_rise(server *s) {
    for (uint32_t i = 0; i < s->ring_count; i++) {
        sentinel_ring_rise(&s->rings[i]->ring);
    }
}

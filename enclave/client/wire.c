/* Frames out and in, over the socket or the ring: PROTOCOL.md, sections 4 and 7. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "bytes.h"
#include "check.h"
#include "client_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define SLEEP_NS INT64_C(20000000) /* on the ring, between two looks at the socket */
#define SPINS 512u                 /* between two looks at the clock */
#define SPIN_LOOK_NS INT64_C(1000000)

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

int64_t client_running_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t client_wall_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

static sentinel_status failed(sentinel_client *client, sentinel_status status, int number) {
    client->facts.last_errno = number;
    return status;
}

/* ---- The socket ------------------------------------------------------------- */

sentinel_status client_poll(sentinel_client *client, short events, int64_t end_ns) {
    struct pollfd wanted = {.fd = client->fd, .events = events};
    client->may_wait = 0;
    for (;;) {
        int64_t left = end_ns - client_running_ns();
        if (left <= 0) {
            return failed(client, SENTINEL_IO_READ, ETIMEDOUT);
        }
        struct timespec timeout = {(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
        int ready = ppoll(&wanted, 1, &timeout, NULL);
        if (ready > 0) {
            return SENTINEL_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return failed(client, SENTINEL_IO_READ, errno);
        }
    }
}

sentinel_status client_write(sentinel_client *client, const void *bytes, size_t size,
                             int64_t end_ns) {
    const uint8_t *from = bytes;
    while (size != 0) {
        ssize_t sent = send(client->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            from += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN) {
            SENTINEL_TRY(client_poll(client, POLLOUT, end_ns));
        } else if (errno != EINTR) {
            return failed(client, SENTINEL_IO_WRITE, errno);
        }
    }
    return SENTINEL_OK;
}

/* What is there, at least one byte. The first wait of a call is the receive
 * itself, which is one call of the system less than asking before; what comes in
 * drops may not wait anew for each. */
static sentinel_status socket_receive(sentinel_client *client, void *into, size_t room,
                                      size_t *size, int64_t end_ns) {
    int flags = client->receive_ns != 0 && client->may_wait ? 0 : MSG_DONTWAIT;
    client->may_wait = 0;
    for (;;) {
        ssize_t got = recv(client->fd, into, room, flags);
        if (got > 0) {
            *size = (size_t)got;
            return SENTINEL_OK;
        }
        if (got == 0) {
            return failed(client, SENTINEL_IO_READ, ECONNRESET);
        }
        if (errno != EAGAIN && errno != EINTR) {
            return failed(client, SENTINEL_IO_READ, errno);
        }
        flags = MSG_DONTWAIT;
        SENTINEL_TRY(client_poll(client, POLLIN, end_ns));
    }
}

sentinel_status client_read(sentinel_client *client, void *bytes, size_t size, int64_t end_ns) {
    uint8_t *into = bytes;
    client->receive_ns = 0;
    while (size != 0) {
        size_t got;
        SENTINEL_TRY(socket_receive(client, into, size, &got, end_ns));
        into += got;
        size -= got;
    }
    return SENTINEL_OK;
}

/* A wait in recv ends with the call's time. Set only when that changes. */
static void receive_within(sentinel_client *client, int64_t end_ns) {
    int64_t left = end_ns - client->now_ns;
    int64_t wanted = client->options.timeout_ns;
    client->may_wait = 1;
    if (left < wanted - wanted / 16) {
        client->receive_ns = 0; /* Some of it is used up: ask the clock each time. */
        return;
    }
    if (client->receive_ns == wanted) {
        return;
    }
    struct timeval timeout = {(time_t)(wanted / SECOND_NS),
                              (suseconds_t)(wanted % SECOND_NS / 1000 + 1)};
    client->receive_ns =
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 ? wanted : 0;
}

/* ---- The ring ---------------------------------------------------------------- */

/* The daemon says nothing on the socket of a ring; its end is all it can say. */
static sentinel_status ring_is_alive(sentinel_client *client, int64_t end_ns) {
    uint8_t byte;
    ssize_t got = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        return failed(client, SENTINEL_IO_READ, got == 0 ? ECONNRESET : errno);
    }
    return client_running_ns() < end_ns ? SENTINEL_OK : failed(client, SENTINEL_IO_READ, ETIMEDOUT);
}

static sentinel_status ring_receive(sentinel_client *client, uint8_t *into, size_t *size,
                                    int64_t end_ns) {
    uint32_t got = 0;
    int64_t looked_ns = 0;
    for (;;) {
        for (unsigned i = 0; i < SPINS; i++) {
            SENTINEL_TRY(sentinel_ring_take(&client->ring, into, &got));
            if (got != 0) {
                *size = got;
                return SENTINEL_OK;
            }
            if ((client->options.flags & SENTINEL_CLIENT_BUSY_POLL) == 0) {
                break;
            }
            sentinel_ring_pause();
        }
        int64_t now_ns = client_running_ns();
        if ((client->options.flags & SENTINEL_CLIENT_BUSY_POLL) == 0) {
            int64_t left = end_ns - now_ns;
            sentinel_ring_wait(&client->ring, left < SLEEP_NS ? left : SLEEP_NS);
            SENTINEL_TRY(sentinel_ring_take(&client->ring, into, &got));
            if (got != 0) {
                *size = got;
                return SENTINEL_OK;
            }
        } else if (now_ns - looked_ns < SPIN_LOOK_NS) {
            continue;
        }
        looked_ns = now_ns;
        SENTINEL_TRY(ring_is_alive(client, end_ns));
    }
}

static sentinel_status ring_send(sentinel_client *client, const uint8_t *bytes, size_t size,
                                 int64_t end_ns) {
    static const uint8_t bell = SENTINEL_RING_BELL;
    for (;;) {
        int sleeps;
        size_t done = sentinel_ring_put(&client->ring, bytes, size, &sleeps);
        bytes += done;
        size -= done;
        if (sleeps) {
            SENTINEL_TRY(client_write(client, &bell, 1, end_ns));
        }
        if (size == 0) {
            return SENTINEL_OK;
        }
        SENTINEL_TRY(ring_is_alive(client, end_ns));
        sentinel_ring_pause();
    }
}

/* ---- Messages ----------------------------------------------------------------- */

static sentinel_status send_frame(sentinel_client *client, size_t size, int64_t end_ns) {
    client->facts.is_sent = 1;
    return client->ring.memory != NULL ? ring_send(client, client->out, size, end_ns)
                                       : client_write(client, client->out, size, end_ns);
}

/* All frames of a request, each sealed and sent before the next. */
static sentinel_status send_request(sentinel_client *client, sentinel_message *message,
                                    const uint8_t *payload, size_t size, int64_t end_ns) {
    uint16_t class_ = channel_class(SENTINEL_CLASS_SMALL, size);
    size_t done = 0;
    message->total = (uint32_t)size;
    do {
        size_t left = size - done;
        message->size = (uint32_t)(left < CHANNEL_LARGE_ROOM ? left : CHANNEL_LARGE_ROOM);
        message->flags = left > message->size ? SENTINEL_MESSAGE_MORE : 0;
        size_t frame = channel_seal(&client->to, client->out, class_, message,
                                    size != 0 ? payload + done : client->out);
        if (frame == 0) {
            return SENTINEL_CRYPTO_FAILED;
        }
        SENTINEL_TRY(send_frame(client, frame, end_ns));
        done += message->size;
    } while (done < size);
    return SENTINEL_OK;
}

/* The next frame, opened at the front of `in`. */
static sentinel_status next_frame(sentinel_client *client, const sentinel_message **message,
                                  uint16_t *class_, int64_t end_ns) {
    if (client->in_opened != 0) {
        client->in_size -= client->in_opened;
        memmove(client->in, client->in + client->in_opened, client->in_size);
        client->in_opened = 0;
    }
    for (;;) {
        if (client->in_size >= sizeof(sentinel_seal)) {
            size_t size = channel_expect(&client->from, client->in);
            if (size == 0) {
                return SENTINEL_FORMAT_ORDER;
            }
            if (client->in_size >= size) {
                memcpy(class_, client->in + offsetof(sentinel_seal, class_), sizeof *class_);
                SENTINEL_TRY(channel_open(&client->from, message, client->in, size));
                client->in_opened = size;
                return SENTINEL_OK;
            }
        }
        size_t got;
        uint8_t *into = client->in + client->in_size;
        SENTINEL_TRY(
            client->ring.memory != NULL
                ? ring_receive(client, into, &got, end_ns)
                : socket_receive(client, into, sizeof client->in - client->in_size, &got, end_ns));
        client->in_size += got;
    }
}

static sentinel_status wide_room(sentinel_client *client, size_t size) {
    if (client->wide_size >= size) {
        return SENTINEL_OK;
    }
    uint8_t *grown = realloc(client->wide, size);
    if (grown == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    client->wide = grown;
    client->wide_size = size;
    return SENTINEL_OK;
}

/* Where the answer lies: in its only frame, or put together in `wide`. */
static sentinel_status receive_answer(sentinel_client *client, channel_parts *parts,
                                      const uint8_t **answer, int64_t end_ns) {
    const sentinel_message *message;
    uint16_t class_;
    do {
        SENTINEL_TRY(next_frame(client, &message, &class_, end_ns));
        SENTINEL_TRY(channel_follow(parts, message, class_));
        *answer = (const uint8_t *)(message + 1);
        if (parts->total > message->size) {
            SENTINEL_TRY(wide_room(client, parts->total));
            memcpy(client->wide + (parts->got - message->size), message + 1, message->size);
            *answer = client->wide;
        }
    } while (parts->more);
    return SENTINEL_OK;
}

sentinel_status client_exchange(sentinel_client *client, sentinel_status *status,
                                const uint8_t **answer, size_t *answer_size, uint16_t request,
                                const void *payload, size_t size, int64_t end_ns) {
    sentinel_message message = {.kind = request, .id = client->next_id};
    channel_parts parts = {0};
    int64_t left = end_ns - client->now_ns;
    if (left <= 0) {
        return failed(client, SENTINEL_IO_READ, ETIMEDOUT);
    }
    message.deadline_ns = client_wall_ns() + left;
    client->next_id++;
    receive_within(client, end_ns);
    SENTINEL_TRY(send_request(client, &message, payload, size, end_ns));
    /* While the daemon works: what the answer is opened with, and the next request. */
    channel_ahead(&client->from, SENTINEL_CLASS_MIDDLE);
    channel_ahead(&client->to, SENTINEL_CLASS_SMALL);
    SENTINEL_TRY(receive_answer(client, &parts, answer, end_ns));
    if (parts.kind != (request | SENTINEL_ANSWER) || parts.id != message.id ||
        parts.deadline_ns != 0) {
        return SENTINEL_FORMAT_ORDER;
    }
    *status = (sentinel_status)parts.status;
    *answer_size = parts.total;
    return SENTINEL_OK;
}

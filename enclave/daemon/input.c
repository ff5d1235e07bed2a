/* From bytes to requests: frames are opened where they lie, and their payloads
 * wait in the connection's own memory. enclave/PROTOCOL.md, sections 4 and 5. */
#include "server.h"

#include "bytes.h"

#include <errno.h>
#include <sys/socket.h>

static conn_memory *memory_of(const conn *c) {
    return (conn_memory *)c->memory;
}

/* ---- Room ------------------------------------------------------------------- */

/* One in and one out for each key, so that none takes them all. */
uint8_t *server_wide_take(server *s, uint32_t key, int is_in) {
    server_wide *free_one = NULL;
    for (unsigned i = 0; i < SERVER_WIDES; i++) {
        server_wide *wide = &s->wides[i];
        if (wide->is_used && wide->key == key && wide->is_in == is_in) {
            return NULL;
        }
        free_one = wide->is_used ? free_one : wide;
    }
    if (free_one == NULL) {
        return NULL;
    }
    free_one->is_used = 1;
    free_one->is_in = is_in != 0;
    free_one->key = key;
    return free_one->bytes;
}

void server_wide_give(server *s, uint8_t *bytes) {
    for (unsigned i = 0; i < SERVER_WIDES; i++) {
        if (bytes != NULL && s->wides[i].bytes == bytes) {
            s->wides[i].is_used = 0;
        }
    }
}

/* Requests that will be decided; the others are only answered. */
static uint32_t kept_count(const conn *c) {
    return c->slot_count + c->big_used;
}

static conn_request *request_new(conn *c, const sentinel_message *message) {
    conn_request *made = &c->requests[(c->first + c->count) % SERVER_NOTES_MAX];
    *made = (conn_request){.size = message->total,
                           .id = message->id,
                           .deadline_ns = message->deadline_ns,
                           .kind = message->kind};
    c->count++;
    return made;
}

void conn_pop(server *s, conn *c) {
    conn_request *done = &c->requests[c->first];
    if (done->is_small) {
        c->slot_count--;
    }
    if (done->is_big) {
        c->big_used = 0;
        server_wide_give(s, c->wide_in);
        c->wide_in = NULL;
    }
    c->first = (c->first + 1) % SERVER_NOTES_MAX;
    c->count--;
}

/* ---- Messages --------------------------------------------------------------- */

/* Keeps the payload of a frame. Returns: 1; 0: there is no place for it. */
static int payload_keep(server *s, conn *c, const sentinel_message *message, uint8_t **at) {
    conn_memory *memory = memory_of(c);
    int begins = c->parts.got == message->size;
    if (message->total <= CHANNEL_SMALL_ROOM) {
        *at = memory->slots[c->slot_next];
    } else if (message->total <= CHANNEL_LARGE_ROOM) {
        *at = memory->big;
    } else {
        if (begins) {
            c->wide_in = server_wide_take(s, c->key, 1);
        }
        if (c->wide_in == NULL) {
            return 0;
        }
        *at = c->wide_in;
    }
    memcpy(*at + (c->parts.got - message->size), message + 1, message->size);
    return 1;
}

/* A request with a deadline and no answer yet; nothing of an answer is in it. */
static int message_is_request(const conn *c, const sentinel_message *message) {
    return message->kind != 0 && message->kind < SENTINEL_REQUEST_COUNT && message->status == 0 &&
           message->deadline_ns >= 0 && message->id == c->next_id;
}

/* Returns: 1; 0: the session ends. */
static int message_take(server *s, conn *c, const sentinel_message *message, uint16_t class_) {
    int begins = !c->parts.more;
    if (!message_is_request(c, message) ||
        channel_follow(&c->parts, message, class_) != SENTINEL_OK ||
        (message->total > CHANNEL_LARGE_ROOM && c->role != SENTINEL_ROLE_COMMAND)) {
        return 0;
    }
    uint8_t *at = NULL;
    if (begins) {
        c->parts_refused = kept_count(c) >= SENTINEL_SESSION_QUEUE_MAX;
        if (c->parts.more) {
            c->since_ns = server_running_ns();
        }
    }
    if (!c->parts_refused && !payload_keep(s, c, message, &at)) {
        c->parts_refused = 1;
    }
    if (c->parts.more) {
        return 1;
    }
    conn_request *made = request_new(c, message);
    c->next_id++;
    if (c->parts_refused) {
        made->refusal = SENTINEL_USAGE_CAPACITY;
        s->refused_busy++;
        return 1;
    }
    made->payload = at;
    made->is_small = message->total <= CHANNEL_SMALL_ROOM;
    made->is_big = !made->is_small;
    if (made->is_small) {
        c->slot_next = (c->slot_next + 1) % SENTINEL_SESSION_QUEUE_MAX;
        c->slot_count++;
    } else {
        c->big_used = 1;
    }
    return 1;
}

/* Whether the frame that comes next must wait: what it says could not be kept. */
static int must_wait(const conn *c, uint16_t class_) {
    return c->count == SERVER_NOTES_MAX ||
           (class_ != SENTINEL_CLASS_SMALL && c->big_used &&
            kept_count(c) < SENTINEL_SESSION_QUEUE_MAX && !c->parts.more);
}

void conn_parse(server *s, conn *c) {
    uint8_t *in = memory_of(c)->in;
    size_t at = 0;
    int64_t now_ns = c->in_size >= sizeof(sentinel_seal) ? server_wall_ns() : 0;
    c->is_paused = 0;
    while (c->in_size - at >= sizeof(sentinel_seal)) {
        const sentinel_message *message;
        uint16_t class_;
        size_t size = channel_expect(&c->from, in + at);
        if (size == 0) {
            conn_close(s, c);
            return;
        }
        memcpy(&class_, in + at + offsetof(sentinel_seal, class_), sizeof class_);
        if (must_wait(c, class_)) {
            c->is_paused = 1;
            break;
        }
        if (c->in_size - at < size) {
            break;
        }
        if (channel_open(&c->from, &message, in + at, size) != SENTINEL_OK ||
            now_ns >= c->until_ns || !message_take(s, c, message, class_)) {
            conn_close(s, c);
            return;
        }
        at += size;
    }
    memmove(in, in + at, c->in_size - at);
    c->in_size -= at;
    conn_ready(s, c);
}

void conn_input(server *s, conn *c) {
    size_t room = SERVER_IN_BYTES - c->in_size;
    if (room == 0) {
        return; /* paused: a whole frame waits */
    }
    ssize_t got = recv(c->fd, memory_of(c)->in + c->in_size, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        conn_close(s, c);
        return;
    }
    if (got == 1 && c->in_size == 0 && memory_of(c)->in[0] == SENTINEL_RING_ASK) {
        if (!ring_begin(s, c)) {
            conn_close(s, c);
        }
        return;
    }
    c->in_size += (size_t)got;
    conn_parse(s, c);
}

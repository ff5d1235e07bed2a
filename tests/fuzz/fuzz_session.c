/* What a client says to sentineld: a HELLO that anybody wrote, then frames of a
 * session whose keys the attacker has, for he may be an agent. Whatever comes,
 * the queue stays within its bounds, what is queued lies where it may be read,
 * and a session that was ended stays so.
 *
 * The input: 96 bytes that are XORed onto a HELLO that would be taken, one that
 * says whose it is; then steps, a byte each and what it takes. */
#include "gate_scene.h"

#include "../../enclave/daemon/channel.c"
#include "../../enclave/daemon/frame_cipher.c"
#include "../../enclave/daemon/input.c"
#include "../../enclave/daemon/session.c"

#define STREAM_BYTES (1u << 18)

static gate_scene scene;
static server s;
static uint8_t stream[STREAM_BYTES] __attribute__((aligned(16)));
static size_t stream_size, stream_at;
static uint8_t wides[SERVER_WIDES][SERVER_WIDE_BYTES];
static const sentinel_channel_key channel_key = {.key32 = {1, 2, 3}, .iv12 = {4, 5, 6}};

/* ---- What the parts under test call ---------------------------------------- */

sentinel_status tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                const sentinel_exporter_context *context) {
    (void)ssl;
    (void)context;
    *key = channel_key;
    return SENTINEL_OK;
}

int64_t server_wall_ns(void) {
    return scene.now;
}

int64_t server_running_ns(void) {
    return 1;
}

void conn_close(server *server_, conn *c) {
    server_wide_give(server_, c->wide_in);
    channel_side_end(&c->from);
    channel_side_end(&c->to);
    c->wide_in = NULL;
    c->state = CONN_FREE;
}

void conn_ready(server *server_, conn *c) {
    (void)server_;
    (void)c;
}

int ring_begin(server *server_, conn *c) {
    (void)server_;
    (void)c;
    return 0;
}

/* ---- The client --------------------------------------------------------------- */

typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static void take(input *from, void *out, size_t size) {
    size_t got = from->left < size ? from->left : size;
    memset(out, 0, size);
    memcpy(out, from->at, got);
    from->at += got;
    from->left -= got;
}

/* A frame, sealed rightly; its fields are the input's, but for those set right. */
static void send_frame(channel_side *to, input *from, const conn *c, uint8_t step) {
    static uint8_t payload[SENTINEL_LARGE_BYTES];
    sentinel_message message;
    uint16_t class_ = (uint16_t)(1 + (step >> 4) % (SENTINEL_CLASS_COUNT - 1));
    size_t bytes = channel_frame_bytes(class_);
    take(from, &message, sizeof message);
    if ((step & 4) != 0) {
        message.id = c->next_id;
        message.kind = (uint16_t)(1 + message.kind % (SENTINEL_REQUEST_COUNT - 1));
        message.flags &= SENTINEL_MESSAGE_MORE;
        message.status = 0;
        message.deadline_ns &= INT64_MAX;
        message.size %= CHANNEL_ROOM((uint32_t)(bytes - CHANNEL_AROUND_BYTES)) + 1;
        message.total = (step & 8) != 0 ? message.size : message.total;
    }
    if (stream_size + bytes <= STREAM_BYTES) {
        stream_size += channel_seal(to, stream + stream_size, class_, &message, payload);
    }
}

static void check_queue(const conn *c) {
    const conn_memory *memory = memory_of(c);
    uint32_t kept = 0;
    uint64_t sum = 0;
    if (c->count > SERVER_NOTES_MAX || c->slot_count > SENTINEL_SESSION_QUEUE_MAX ||
        c->in_size > SERVER_IN_BYTES) {
        abort();
    }
    for (uint32_t i = 0; i < c->count; i++) {
        const conn_request *r = &c->requests[(c->first + i) % SERVER_NOTES_MAX];
        if (r->kind == 0 || r->kind >= SENTINEL_REQUEST_COUNT ||
            r->id != c->next_id - c->count + i) {
            abort();
        }
        if (r->refusal != 0) {
            continue;
        }
        kept++;
        const uint8_t *end = r->is_small ? (const uint8_t *)(memory->slots + 64) : NULL;
        if (r->is_small == r->is_big || ((uintptr_t)r->payload & 7) != 0 ||
            (r->is_small && (r->payload < memory->slots[0] || r->payload + r->size > end))) {
            abort();
        }
        for (uint32_t at = 0; at < r->size; at++) {
            sum += r->payload[at];
        }
    }
    if (kept > SENTINEL_SESSION_QUEUE_MAX || kept != kept_count(c) || sum == 1) {
        abort();
    }
}

static void step_take(channel_side *to, input *from, conn *c) {
    uint8_t step;
    take(from, &step, 1);
    switch (step & 3) {
    case 0:
        send_frame(to, from, c, step);
        break;
    case 1: /* bytes that nobody sealed */
        if (stream_size + 64 <= STREAM_BYTES) {
            take(from, stream + stream_size, step >> 2);
            stream_size += step >> 2;
        }
        break;
    case 2: { /* a bit on its way */
        uint16_t at;
        take(from, &at, sizeof at);
        if (stream_at + at < stream_size) {
            stream[stream_at + at] ^= (uint8_t)(1u << (step >> 5));
        }
        break;
    }
    default: /* the daemon reads, and serves some */
        for (unsigned i = 0; i < (unsigned)(step >> 2) && c->count != 0; i++) {
            conn_pop(&s, c);
        }
        size_t room = SERVER_IN_BYTES - c->in_size;
        size_t some = stream_size - stream_at < room ? stream_size - stream_at : room;
        memcpy(memory_of(c)->in + c->in_size, stream + stream_at, some);
        stream_at += some;
        c->in_size += some;
        conn_parse(&s, c);
    }
}

static void set_up(void) {
    if (setjmp(test_jump) != 0) {
        abort();
    }
    char command[128];
    scene_begin(&scene);
    snprintf(command, sizeof command, "rm -rf %s", scene.dir);
    CHECK_EQ(system(command), 0); /* its log is open, and nobody reads it again */
    s.context = scene.context;
    s.conns = calloc(SERVER_CONNS_MAX, sizeof *s.conns);
    s.conns[0].memory = aligned_alloc(4096, SERVER_CONN_BYTES);
    for (unsigned i = 0; i < SERVER_WIDES; i++) {
        s.wides[i].bytes = wides[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct {
        uint32_t key, purpose;
        uint16_t role;
    } people[] = {{KEY_AGENT_A, AGENT_A, SENTINEL_ROLE_AGENT},
                  {KEY_OPERATOR_A, 0, SENTINEL_ROLE_COMMAND},
                  {KEY_FEEDER, 0, SENTINEL_ROLE_FEEDER}};
    if (s.context == NULL) {
        set_up();
    }
    input from = {data, size};
    uint8_t who, others[sizeof(sentinel_hello)];
    sentinel_hello hello = {.magic = "SENTHELO", .version = SENTINEL_PROTOCOL_VERSION};
    take(&from, others, sizeof others);
    take(&from, &who, 1);
    hello.role = people[who % 3].role;
    hello.agent = people[who % 3].purpose;
    hello.key = people[who % 3].key;
    for (size_t i = 0; i < sizeof hello; i++) {
        ((uint8_t *)&hello)[i] ^= others[i];
    }
    conn *c = &s.conns[0];
    uint8_t *memory = c->memory;
    memset(c, 0, sizeof *c);
    c->memory = memory;
    c->is_tls = who < 128;
    stream_size = stream_at = 0;
    const sentinel_key_info *key = sentinel_keyring_find(scene.people, people[who % 3].key);
    channel_side to;
    sentinel_status status = session_greet(&s, c, &hello, c->is_tls ? key->public_key : NULL);
    if (status == SENTINEL_OK &&
        channel_side_begin(&to, c->is_tls ? &channel_key : NULL) == SENTINEL_OK) {
        if (!c->is_tls) {
            abort(); /* No row of the scene is of a peer. */
        }
        c->state = CONN_OPEN;
        while (from.left != 0 && c->state == CONN_OPEN) {
            step_take(&to, &from, c);
            if (c->state == CONN_OPEN) {
                check_queue(c);
            }
        }
        channel_side_end(&to);
    }
    conn_close(&s, c);
    return 0;
}

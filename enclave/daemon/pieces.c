/* What may be longer than a message goes in pieces: the state and bundles on
 * their way out, a frame on its way in. enclave/PROTOCOL.md, section 5. */
#include "answer.h"

#include "bytes.h"
#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define WARM_PAGES 256u /* in one turn */

/* ---- Rooms ----------------------------------------------------------------------- */

static void room_give(server_held *room) {
    server_forget(room->bytes, (size_t)room->total);
    *room = (server_held){.bytes = room->bytes};
}

void pieces_end(server *s, const conn *c) {
    for (unsigned i = 0; i < SERVER_HELDS; i++) {
        if (s->helds[i].owner == c) {
            room_give(&s->helds[i]);
        }
    }
}

void pieces_scan(server *s, int64_t now_ns) {
    for (unsigned i = 0; i < SERVER_HELDS; i++) {
        if (s->helds[i].owner != NULL && now_ns - s->helds[i].since_ns >= SENTINEL_STALL_NS) {
            room_give(&s->helds[i]);
        }
    }
}

/* What the session holds; null: nothing, or something else. */
static server_held *room_of(server *s, const conn *c, uint8_t is_put) {
    for (unsigned i = 0; i < SERVER_HELDS; i++) {
        if (s->helds[i].owner == c && s->helds[i].is_put == is_put) {
            s->helds[i].since_ns = server_running_ns();
            return &s->helds[i];
        }
    }
    return NULL;
}

/* A room, empty: the one that the session has, or a free one. One for each key,
 * so that none takes them all. */
static server_held *room_take(server *s, const conn *c, uint8_t is_put, uint64_t total) {
    server_held *free_one = NULL;
    pieces_end(s, c);
    for (unsigned i = 0; i < SERVER_HELDS; i++) {
        if (s->helds[i].owner != NULL && s->helds[i].key == c->key) {
            return NULL;
        }
        free_one = s->helds[i].owner == NULL ? &s->helds[i] : free_one;
    }
    if (free_one == NULL || total > SENTINEL_PIECES_BYTES_MAX) {
        return NULL;
    }
    free_one->owner = c;
    free_one->key = c->key;
    free_one->total = total;
    free_one->is_put = is_put;
    free_one->since_ns = server_running_ns();
    return free_one;
}

/* ---- Out ------------------------------------------------------------------------- */

/* How much of `left` bytes goes now. Others than people get one frame at a time:
 * buffers for more are few. */
static size_t piece_size(const conn *c, uint32_t wanted, uint64_t left, size_t head) {
    uint64_t most =
        c->role == SENTINEL_ROLE_COMMAND ? SENTINEL_PIECE_BYTES_MAX : CHANNEL_LARGE_ROOM - head;
    most = wanted < most ? wanted : most;
    return (size_t)(left < most ? left : most);
}

int pieces_buffer(server *s, conn *c, size_t size) {
    if (size > CHANNEL_LARGE_ROOM && c->wide_out == NULL) {
        c->wide_out = server_wide_take(s, c->key, 0);
        return c->wide_out != NULL;
    }
    return 1;
}

sentinel_status pieces_file(uint64_t *total, size_t *size, void *bytes, int folder_fd,
                            const char *name, uint64_t offset) {
    struct stat is;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &is) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return SENTINEL_IO_OPEN;
    }
    *total = (uint64_t)is.st_size;
    sentinel_status status = files_read_at(size, fd, bytes, *size, offset);
    (void)close(fd);
    return status;
}

int serve_bundle(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    sentinel_bundle_wanted wanted;
    sentinel_bundle_piece piece = {0};
    char name[65];
    if (request->size != sizeof wanted) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&wanted, request->payload, sizeof wanted);
    if (!bytes_are_zero(wanted.reserved, sizeof wanted.reserved)) {
        return say(answer, SENTINEL_FORMAT_RESERVED);
    }
    if (wanted.kind != SENTINEL_FRAME_AUTHORITY && wanted.kind != SENTINEL_FRAME_POLICY) {
        return say(answer, SENTINEL_FORMAT_RANGE);
    }
    memcpy(piece.hash32,
           wanted.kind == SENTINEL_FRAME_POLICY ? state->policy_hash32 : state->authority_hash32,
           32);
    /* Another one came in between: what was given of the one before is of no use. */
    if (!bytes_are_zero(wanted.hash32, 32) && !bytes_equal(wanted.hash32, piece.hash32, 32)) {
        return say(answer, SENTINEL_USAGE_STATE);
    }
    size_t size = piece_size(c, wanted.bytes_max, UINT64_MAX, sizeof piece);
    /* Who is to halt needs it: it never waits for another session of its key. */
    if (!pieces_buffer(s, c, sizeof piece + size)) {
        size = CHANNEL_LARGE_ROOM - sizeof piece;
    }
    bytes_to_hex(name, piece.hash32, 32);
    name[64] = 0;
    sentinel_status status = pieces_file(&piece.total, &size, s->scratch + sizeof piece,
                                         s->bundles_fd, name, wanted.offset);
    if (status != SENTINEL_OK) {
        return say(answer, status);
    }
    if (wanted.offset > piece.total) {
        return say(answer, SENTINEL_FORMAT_RANGE);
    }
    memcpy(s->scratch, &piece, sizeof piece);
    return give(answer, s->scratch, sizeof piece + size);
}

/* The rows that people look at; books and windows, which are most of it, are
 * behind them. */
static uint64_t rows_end(const sentinel_state *state) {
    return state->book != 0 ? state->book : state->size_bytes;
}

/* The pages of a room are got a few in each turn, before the copy, which then takes
 * a fifth of the time. Returns: 1: all are there. */
static int room_warm(server_held *room) {
    for (unsigned i = 0; i < WARM_PAGES && room->got < room->total; i++) {
        room->bytes[room->got] = 0;
        room->got += PAGE_BYTES;
    }
    return room->got >= room->total;
}

/* All pieces of a state are of one moment: what does not fit one piece is copied,
 * and given from the copy. Null: refused, the answer says why; or, with OK, not yet. */
static const uint8_t *state_from(server *s, conn *c, const sentinel_state_wanted *wanted,
                                 uint64_t *total, serve_answer *answer) {
    const sentinel_state *state = sentinel_gate_state(s->context);
    if (wanted->offset != 0) {
        const server_held *room = room_of(s, c, 0);
        if (room == NULL || room->flags != wanted->flags) {
            answer->status = SENTINEL_USAGE_STATE;
            return NULL;
        }
        *total = room->total;
        return room->bytes;
    }
    int books = (wanted->flags & SENTINEL_STATE_BOOKS) != 0;
    *total = books ? state->size_bytes : rows_end(state);
    if (books && *total > SENTINEL_BOOKS_BYTES_MAX) {
        answer->status = SENTINEL_USAGE_CAPACITY;
        return NULL;
    }
    if (*total <= piece_size(c, wanted->bytes_max, UINT64_MAX, sizeof *total)) {
        return (const uint8_t *)state;
    }
    server_held *room = room_of(s, c, 0);
    if (room == NULL || room->total != *total || room->got >= room->total) {
        room = room_take(s, c, 0, *total);
    }
    if (room == NULL) {
        answer->status = SENTINEL_USAGE_CAPACITY;
        return NULL;
    }
    if (!room_warm(room)) {
        return NULL;
    }
    room->flags = wanted->flags;
    memcpy(room->bytes, state, (size_t)*total);
    return room->bytes;
}

int serve_state(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    sentinel_state_wanted wanted;
    uint64_t total = 0;
    if (request->size != sizeof wanted) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&wanted, request->payload, sizeof wanted);
    if ((wanted.flags & ~(uint32_t)SENTINEL_STATE_BOOKS) != 0) {
        return say(answer, SENTINEL_FORMAT_RESERVED);
    }
    if (!pieces_buffer(s, c, sizeof total + piece_size(c, wanted.bytes_max, UINT64_MAX, 0))) {
        return 0;
    }
    const uint8_t *from = state_from(s, c, &wanted, &total, answer);
    if (from == NULL) {
        return answer->status != SENTINEL_OK;
    }
    if (wanted.offset > total) {
        return say(answer, SENTINEL_FORMAT_RANGE);
    }
    size_t size = piece_size(c, wanted.bytes_max, total - wanted.offset, sizeof total);
    memcpy(s->scratch, &total, sizeof total);
    memcpy(s->scratch + sizeof total, from + wanted.offset, size);
    if (from != (const uint8_t *)sentinel_gate_state(s->context) && wanted.offset + size == total) {
        pieces_end(s, c); /* that was the last one */
    }
    return give(answer, s->scratch, sizeof total + size);
}

/* ---- In -------------------------------------------------------------------------- */

int serve_put(server *s, conn *c, const conn_request *request, serve_answer *answer) {
    sentinel_put_piece piece;
    uint64_t most = sentinel_gate_config(s->context)->bundle_bytes_max;
    if (request->size <= sizeof piece) {
        return say(answer, SENTINEL_FORMAT_SIZE);
    }
    memcpy(&piece, request->payload, sizeof piece);
    size_t size = request->size - sizeof piece;
    most = most < SENTINEL_PIECES_BYTES_MAX ? most : SENTINEL_PIECES_BYTES_MAX;
    if (piece.total > most) {
        return say(answer, SENTINEL_FORMAT_LIMIT);
    }
    server_held *room = piece.offset == 0 ? room_take(s, c, 1, piece.total) : room_of(s, c, 1);
    if (room == NULL) {
        return say(answer, piece.offset == 0 ? SENTINEL_USAGE_CAPACITY : SENTINEL_USAGE_STATE);
    }
    if (piece.total != room->total || piece.offset != room->got || size > room->total - room->got) {
        room_give(room);
        return say(answer, SENTINEL_FORMAT_ORDER);
    }
    memcpy(room->bytes + room->got, request->payload + sizeof piece, size);
    room->got += size;
    memcpy(s->scratch, &room->got, sizeof room->got);
    return give(answer, s->scratch, sizeof room->got);
}

const uint8_t *pieces_put(server *s, const conn *c, size_t *size) {
    const server_held *room = room_of(s, c, 1);
    if (room == NULL || room->got != room->total) {
        return NULL;
    }
    *size = (size_t)room->total;
    return room->bytes;
}

/* The ring: two queues in memory that client and daemon both map (PROTOCOL.md
 * section 7). Each has one producer and one consumer. A slot holds a frame, or
 * a piece of a LARGE one: together they are a stream, as a socket is one.
 *
 * What lies in the shared memory can be changed by the other side at any time.
 * So whoever consumes copies a piece out before it looks at it, positions are
 * kept in memory of one's own, and no index is ever read from the ring. */
#ifndef SENTINEL_RING_H
#define SENTINEL_RING_H

#include <sentinel/status.h>
#include <stdatomic.h>

#include "protocol.h"

#define SENTINEL_RING_VERSION 1u
#define SENTINEL_RING_MAGIC "SENTRING"
#define SENTINEL_RING_SLOTS SENTINEL_SESSION_QUEUE_MAX /* of each queue; a power of two */
#define SENTINEL_RING_PIECE_BYTES 2080u                /* a whole BROAD frame */
SENTINEL_ASSERT_LAYOUT(SENTINEL_RING_PIECE_BYTES ==
                           sizeof(sentinel_seal) + SENTINEL_BROAD_BYTES + SENTINEL_TAG_GCM_BYTES,
                       "a BROAD frame fills a slot");

/* Bytes on the socket: what the client sends once it has WELCOME, and gets back
 * with the memory's descriptor; or, where there is none for it; and, later,
 * whenever the daemon sleeps. */
#define SENTINEL_RING_ASK 'R'
#define SENTINEL_RING_NONE 'N'
#define SENTINEL_RING_BELL 'W'

typedef struct sentinel_ring_slot {
    _Atomic uint64_t sequence; /* position + 1 once the piece is there */
    uint32_t size;
    uint8_t reserved[4];
    uint8_t piece[SENTINEL_RING_PIECE_BYTES];
    uint8_t padding[16]; /* no two slots share a line of the cache */
} sentinel_ring_slot;
SENTINEL_SIZE(sentinel_ring_slot, 33 * 64);

/* consumed is on a line of its own, as the consumer writes it for each piece. */
typedef struct sentinel_ring_queue {
    _Atomic uint64_t consumed; /* pieces that were copied out */
    uint8_t padding0[56];
    _Atomic uint32_t sleeping; /* 1: the consumer sleeps, on this word or on its socket */
    uint8_t padding1[60];
    sentinel_ring_slot slots[SENTINEL_RING_SLOTS];
} sentinel_ring_queue;
SENTINEL_SIZE(sentinel_ring_queue, 128 + 64 * 33 * 64);

typedef struct sentinel_ring_memory {
    char magic[8]; /* SENTINEL_RING_MAGIC */
    uint32_t version;
    uint32_t slots;
    uint32_t slot_bytes;
    uint8_t reserved[44];
    sentinel_ring_queue requests; /* client to daemon */
    sentinel_ring_queue answers;
} sentinel_ring_memory;
SENTINEL_SIZE(sentinel_ring_memory, 64 + 2 * (128 + 64 * 33 * 64));

/* One side's end. Positions count pieces, from 0, and never turn around. */
typedef struct sentinel_ring {
    sentinel_ring_memory *memory; /* null: there is no ring */
    sentinel_ring_queue *out;
    sentinel_ring_queue *in;
    uint64_t produced;
    uint64_t consumed; /* of `out`, as far as it was seen */
    uint64_t taken;    /* of `in` */
    uint32_t is_claimed;
    uint32_t reserved;
} sentinel_ring;

/* The daemon's end: makes the memory, sealed against growing and shrinking.
 * Returns:  OK; IO_MEMORY.
 * Out:      descriptor: of the memory, for the client; the caller closes it. */
SENTINEL_MUST_USE sentinel_status sentinel_ring_create(sentinel_ring *ring, int *descriptor);

/* The client's end, of a descriptor that the daemon sent; it may be closed then.
 * Returns: OK; IO_MEMORY; FORMAT_SIZE (or not sealed); FORMAT_MAGIC; FORMAT_VERSION. */
SENTINEL_MUST_USE sentinel_status sentinel_ring_attach(sentinel_ring *ring, int descriptor);

/* Safe to call again, and on a ring of zeros. */
void sentinel_ring_close(sentinel_ring *ring);

/* Room for the next piece, SENTINEL_RING_PIECE_BYTES; null when the queue is full,
 * or the other side's count is a lie. One claim at a time. */
uint8_t *sentinel_ring_claim(sentinel_ring *ring);

/* Hands the claimed piece over. Returns: true (1) when the other side sleeps: the
 * caller wakes it (sentinel_ring_wake, or the bell). */
int sentinel_ring_commit(sentinel_ring *ring, uint32_t size);

/* Gives the claim back: nothing of it is seen, and the next one is the same slot. */
void sentinel_ring_abort(sentinel_ring *ring);

/* Claims, copies and commits pieces as long as there is room.
 * Returns:  how many bytes went. Out: sleeps: 1 when the other side does. */
size_t sentinel_ring_put(sentinel_ring *ring, const uint8_t *bytes, size_t size, int *sleeps);

/* Copies the next piece out.
 * Returns:  OK; FORMAT_SIZE (no piece is so long: the other side is broken).
 * Out:      piece; size: 0 when there is none yet. */
SENTINEL_MUST_USE sentinel_status sentinel_ring_take(sentinel_ring *ring,
                                                     uint8_t piece[SENTINEL_RING_PIECE_BYTES],
                                                     uint32_t *size);

/* Between two looks at a slot: the other side may be the same core's other half. */
static inline void sentinel_ring_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Says that this side is about to sleep. Returns: true (1) when it may, false
 * when a piece is there already. */
int sentinel_ring_doze(sentinel_ring *ring);

/* Takes that back; whoever dozed calls it before it takes anything. */
void sentinel_ring_rise(sentinel_ring *ring);

/* Sleeps until a piece is there, for at most so long; may return earlier. */
void sentinel_ring_wait(sentinel_ring *ring, int64_t timeout_ns);

/* Wakes the other side, where it sleeps in sentinel_ring_wait. */
void sentinel_ring_wake(sentinel_ring *ring);

#endif

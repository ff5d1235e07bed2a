/* The ring, both ends. All cross-process order is in three places: the slot's
 * sequence (release by the producer, acquire by the consumer), `consumed` (the
 * other way round), and `sleeping`, which with the sequence forms Dekker's
 * pattern and therefore is sequentially consistent. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS, syscall */
#endif
#include "ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOT(queue, position) (&(queue)->slots[(position) & (SENTINEL_RING_SLOTS - 1)])
#define LINE 64u
#define FIRST_BYTES                                                               \
    (LINE - offsetof(sentinel_ring_slot, piece)) /* of a piece, in its first line \
                                                  */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert((SENTINEL_RING_SLOTS & (SENTINEL_RING_SLOTS - 1)) == 0, "positions wrap by a mask");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics between processes have no lock");

static sentinel_status map(sentinel_ring *ring, int descriptor) {
    void *memory = mmap(NULL, sizeof(sentinel_ring_memory), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, descriptor, 0);
    if (memory == MAP_FAILED) {
        return SENTINEL_IO_MEMORY;
    }
    memset(ring, 0, sizeof *ring);
    ring->memory = memory;
    return SENTINEL_OK;
}

sentinel_status sentinel_ring_create(sentinel_ring *ring, int *descriptor) {
    memset(ring, 0, sizeof *ring);
    *descriptor = -1;
    int fd = memfd_create("sentinel-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return SENTINEL_IO_MEMORY;
    }
    if (ftruncate(fd, sizeof(sentinel_ring_memory)) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ||
        map(ring, fd) != SENTINEL_OK) {
        (void)close(fd);
        return SENTINEL_IO_MEMORY;
    }
    memcpy(ring->memory->magic, SENTINEL_RING_MAGIC, sizeof ring->memory->magic);
    ring->memory->version = SENTINEL_RING_VERSION;
    ring->memory->slots = SENTINEL_RING_SLOTS;
    ring->memory->slot_bytes = sizeof(sentinel_ring_slot);
    ring->out = &ring->memory->answers;
    ring->in = &ring->memory->requests;
    *descriptor = fd;
    return SENTINEL_OK;
}

static sentinel_status head_check(const sentinel_ring_memory *memory) {
    if (memcmp(memory->magic, SENTINEL_RING_MAGIC, sizeof memory->magic) != 0) {
        return SENTINEL_FORMAT_MAGIC;
    }
    return memory->version == SENTINEL_RING_VERSION && memory->slots == SENTINEL_RING_SLOTS &&
                   memory->slot_bytes == sizeof(sentinel_ring_slot)
               ? SENTINEL_OK
               : SENTINEL_FORMAT_VERSION;
}

sentinel_status sentinel_ring_attach(sentinel_ring *ring, int descriptor) {
    struct stat stat;
    memset(ring, 0, sizeof *ring);
    int seals = fcntl(descriptor, F_GET_SEALS);
    /* Without the seals the other side could cut the memory away below us. */
    if (fstat(descriptor, &stat) != 0 || seals < 0 || (seals & SEALS) != SEALS ||
        stat.st_size != (off_t)sizeof(sentinel_ring_memory)) {
        return SENTINEL_FORMAT_SIZE;
    }
    sentinel_status status = map(ring, descriptor);
    if (status == SENTINEL_OK) {
        status = head_check(ring->memory);
    }
    if (status != SENTINEL_OK) {
        sentinel_ring_close(ring);
        return status;
    }
    ring->out = &ring->memory->requests;
    ring->in = &ring->memory->answers;
    return SENTINEL_OK;
}

void sentinel_ring_close(sentinel_ring *ring) {
    if (ring->memory != NULL) {
        (void)munmap(ring->memory, sizeof *ring->memory);
    }
    memset(ring, 0, sizeof *ring);
}

uint8_t *sentinel_ring_claim(sentinel_ring *ring) {
    if (ring->is_claimed) {
        return NULL;
    }
    if (ring->produced - ring->consumed == SENTINEL_RING_SLOTS) {
        uint64_t consumed = atomic_load_explicit(&ring->out->consumed, memory_order_acquire);
        /* More than was produced, or less than it said before, is a lie: full. */
        if (consumed > ring->produced || consumed <= ring->consumed) {
            return NULL;
        }
        ring->consumed = consumed;
    }
    ring->is_claimed = 1;
    return SLOT(ring->out, ring->produced)->piece;
}

/* The lines of the next slot are the other side's, which has read them: they are
 * asked for, to be written, while nobody waits. Its first line is what the other
 * side looks at. Without the target gcc would ask for them to be read, and each
 * store would wait again. Where a processor has no PREFETCHW it does nothing. */
#if defined(__x86_64__)
__attribute__((target("prfchw")))
#endif
static void
claim_ahead(const sentinel_ring *ring, uint32_t size) {
    const uint8_t *slot = (const uint8_t *)SLOT(ring->out, ring->produced);
    for (uint32_t at = LINE; at < size; at += LINE) {
        __builtin_prefetch(slot + at, 1, 3);
    }
}

int sentinel_ring_commit(sentinel_ring *ring, uint32_t size) {
    if (!ring->is_claimed) {
        return 0;
    }
    sentinel_ring_slot *slot = SLOT(ring->out, ring->produced);
    slot->size = size;
    ring->is_claimed = 0;
    ring->produced++;
    atomic_store_explicit(&slot->sequence, ring->produced, memory_order_seq_cst);
    int sleeps = atomic_load_explicit(&ring->out->sleeping, memory_order_seq_cst) != 0;
    claim_ahead(ring, size);
    return sleeps;
}

void sentinel_ring_abort(sentinel_ring *ring) {
    ring->is_claimed = 0;
}

/* The slot's first line, on which the other side looks, is written last, with the
 * sequence: else that side would take it away in between. */
static void fill(uint8_t *room, const uint8_t *bytes, size_t size) {
    if (size > FIRST_BYTES) {
        memcpy(room + FIRST_BYTES, bytes + FIRST_BYTES, size - FIRST_BYTES);
        memcpy(room, bytes, FIRST_BYTES);
    } else {
        memcpy(room, bytes, size);
    }
}

size_t sentinel_ring_put(sentinel_ring *ring, const uint8_t *bytes, size_t size, int *sleeps) {
    size_t done = 0;
    *sleeps = 0;
    while (done < size) {
        uint8_t *room = sentinel_ring_claim(ring);
        if (room == NULL) {
            break;
        }
        size_t piece =
            size - done < SENTINEL_RING_PIECE_BYTES ? size - done : SENTINEL_RING_PIECE_BYTES;
        fill(room, bytes + done, piece);
        *sleeps = sentinel_ring_commit(ring, (uint32_t)piece);
        done += piece;
    }
    return done;
}

static int is_ready(const sentinel_ring *ring, memory_order order) {
    return atomic_load_explicit(&SLOT(ring->in, ring->taken)->sequence, order) == ring->taken + 1;
}

sentinel_status sentinel_ring_take(sentinel_ring *ring, uint8_t piece[SENTINEL_RING_PIECE_BYTES],
                                   uint32_t *size) {
    *size = 0;
    if (!is_ready(ring, memory_order_acquire)) {
        return SENTINEL_OK;
    }
    const sentinel_ring_slot *slot = SLOT(ring->in, ring->taken);
    /* Read once: what is checked is what is used. */
    const uint32_t found = *(const volatile uint32_t *)&slot->size;
    if (found == 0 || found > SENTINEL_RING_PIECE_BYTES) {
        return SENTINEL_FORMAT_SIZE;
    }
    for (uint32_t at = LINE; at < found; at += LINE) {
        __builtin_prefetch((const uint8_t *)slot + at, 0, 3); /* all at once, not in turn */
    }
    memcpy(piece, slot->piece, found);
    ring->taken++;
    atomic_store_explicit(&ring->in->consumed, ring->taken, memory_order_release);
    *size = found;
    return SENTINEL_OK;
}

int sentinel_ring_doze(sentinel_ring *ring) {
    atomic_store_explicit(&ring->in->sleeping, 1, memory_order_seq_cst);
    if (!is_ready(ring, memory_order_seq_cst)) {
        return 1;
    }
    sentinel_ring_rise(ring);
    return 0;
}

void sentinel_ring_rise(sentinel_ring *ring) {
    atomic_store_explicit(&ring->in->sleeping, 0, memory_order_relaxed);
}

void sentinel_ring_wait(sentinel_ring *ring, int64_t timeout_ns) {
    if (timeout_ns <= 0 || !sentinel_ring_doze(ring)) {
        return;
    }
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    /* Not a private futex: the one who wakes is another process. */
    (void)syscall(SYS_futex, &ring->in->sleeping, FUTEX_WAIT, 1u, &timeout, NULL, 0);
    sentinel_ring_rise(ring);
}

void sentinel_ring_wake(sentinel_ring *ring) {
    atomic_store_explicit(&ring->out->sleeping, 0, memory_order_seq_cst);
    (void)syscall(SYS_futex, &ring->out->sleeping, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Goal: the ring of PROTOCOL.md section 7 loses, repeats and tears nothing, and
 * whatever the other side writes into the shared memory, this side stays within
 * its own. Method: both ends in one process; two threads, so that a build with
 * ThreadSanitizer sees every access; and a process that scribbles over it all. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <sentinel_test.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 20000u
#define WAIT_NS INT64_C(5000000000)

static sentinel_ring server, client;
static uint8_t piece[SENTINEL_RING_PIECE_BYTES];

static void both(void) {
    int fd;
    sentinel_ring_close(&server);
    sentinel_ring_close(&client);
    CHECK_OK(sentinel_ring_create(&server, &fd));
    CHECK_OK(sentinel_ring_attach(&client, fd));
    CHECK_EQ(close(fd), 0);
}

static int put_number(sentinel_ring *ring, uint32_t number) {
    uint8_t *room = sentinel_ring_claim(ring);
    CHECK(room != NULL);
    memset(room, (int)(number & 0xff), SENTINEL_RING_PIECE_BYTES);
    memcpy(room, &number, sizeof number);
    return sentinel_ring_commit(ring, 8 + number % (SENTINEL_RING_PIECE_BYTES - 8));
}

/* 1: the next piece, and it is whole; 0: there is none. */
static int take_number(sentinel_ring *ring, uint32_t number) {
    uint8_t got[SENTINEL_RING_PIECE_BYTES];
    uint32_t size, found;
    CHECK_OK(sentinel_ring_take(ring, got, &size));
    if (size == 0) {
        return 0;
    }
    memcpy(&found, got, sizeof found);
    CHECK_EQ(found, number);
    CHECK_EQ(size, 8 + number % (SENTINEL_RING_PIECE_BYTES - 8));
    for (uint32_t i = 4; i < size; i++) {
        CHECK_EQ(got[i], number & 0xff);
    }
    return 1;
}

static void test_pieces_go_both_ways_in_order(void) {
    both();
    CHECK_EQ(take_number(&server, 0), 0);
    for (uint32_t i = 0; i < 10 * SENTINEL_RING_SLOTS; i += 2) {
        (void)put_number(&client, i);
        (void)put_number(&client, i + 1);
        CHECK_EQ(take_number(&server, i), 1);
        (void)put_number(&server, i);
        CHECK_EQ(take_number(&client, i), 1);
        CHECK_EQ(take_number(&server, i + 1), 1);
        CHECK_EQ(take_number(&server, i + 2), 0);
        (void)put_number(&server, i + 1);
        CHECK_EQ(take_number(&client, i + 1), 1);
        CHECK_EQ(take_number(&client, i + 2), 0);
    }
}

static void test_a_queue_is_full_after_its_slots(void) {
    both();
    for (uint32_t i = 0; i < SENTINEL_RING_SLOTS; i++) {
        (void)put_number(&client, i);
    }
    CHECK(sentinel_ring_claim(&client) == NULL);
    CHECK_EQ(take_number(&server, 0), 1);
    (void)put_number(&client, SENTINEL_RING_SLOTS);
    CHECK(sentinel_ring_claim(&client) == NULL);
    for (uint32_t i = 1; i <= SENTINEL_RING_SLOTS; i++) {
        CHECK_EQ(take_number(&server, i), 1);
    }
    CHECK_EQ(take_number(&server, SENTINEL_RING_SLOTS + 1), 0);
}

static void test_an_aborted_claim_is_never_seen(void) {
    both();
    uint8_t *room = sentinel_ring_claim(&client);
    CHECK(room != NULL);
    memset(room, 0xee, SENTINEL_RING_PIECE_BYTES);
    CHECK(sentinel_ring_claim(&client) == NULL); /* one at a time */
    sentinel_ring_abort(&client);
    CHECK_EQ(take_number(&server, 0), 0);
    CHECK_EQ(sentinel_ring_commit(&client, 8), 0); /* nothing is claimed */
    CHECK_EQ(take_number(&server, 0), 0);
    CHECK(sentinel_ring_claim(&client) == room);
    sentinel_ring_abort(&client);
    (void)put_number(&client, 0);
    CHECK_EQ(take_number(&server, 0), 1);
}

static void test_a_large_frame_goes_in_pieces(void) {
    static uint8_t sent[3 * 32800], got[sizeof sent];
    both();
    for (size_t i = 0; i < sizeof sent; i++) {
        sent[i] = (uint8_t)(i * 131 >> 3);
    }
    size_t out = 0, in = 0;
    while (in < sizeof sent) {
        int sleeps;
        out += sentinel_ring_put(&server, sent + out, sizeof sent - out, &sleeps);
        CHECK_EQ(sleeps, 0);
        uint32_t size;
        CHECK_OK(sentinel_ring_take(&client, piece, &size));
        CHECK(size > 0 && in + size <= sizeof sent);
        memcpy(got + in, piece, size);
        in += size;
    }
    CHECK_BYTES(got, sent, sizeof sent);
}

static void test_a_size_that_no_piece_has_ends_it(void) {
    static const uint32_t sizes[] = {0, SENTINEL_RING_PIECE_BYTES + 1, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        both();
        (void)put_number(&client, 0);
        client.memory->requests.slots[0].size = sizes[i];
        uint32_t size;
        CHECK_EQ(sentinel_ring_take(&server, piece, &size), SENTINEL_FORMAT_SIZE);
        CHECK_EQ(size, 0);
    }
}

static void test_a_lie_about_what_was_consumed_gives_no_room(void) {
    static const uint64_t lies[] = {SENTINEL_RING_SLOTS + 1, UINT64_MAX, UINT64_C(1) << 63};
    for (unsigned i = 0; i < 3; i++) {
        both();
        for (uint32_t n = 0; n < SENTINEL_RING_SLOTS; n++) {
            put_number(&server, n);
        }
        atomic_store(&client.memory->answers.consumed, lies[i]);
        CHECK(sentinel_ring_claim(&server) == NULL);
        CHECK_EQ(take_number(&client, 0), 1); /* writes the truth */
        (void)put_number(&server, SENTINEL_RING_SLOTS);
        atomic_store(&client.memory->answers.consumed, UINT64_C(0)); /* and back */
        CHECK(sentinel_ring_claim(&server) == NULL);
    }
}

static void test_memory_that_could_be_cut_away_is_not_mapped(void) {
    int fd;
    sentinel_ring_close(&server);
    sentinel_ring_close(&client);
    CHECK_OK(sentinel_ring_create(&server, &fd));
    CHECK(ftruncate(fd, 0) != 0);
    CHECK(ftruncate(fd, 2 * sizeof(sentinel_ring_memory)) != 0);
    CHECK_EQ(close(fd), 0);
    fd = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK_EQ(ftruncate(fd, sizeof(sentinel_ring_memory)), 0);
    CHECK_EQ(sentinel_ring_attach(&client, fd), SENTINEL_FORMAT_SIZE);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    CHECK_EQ(sentinel_ring_attach(&client, fd), SENTINEL_FORMAT_MAGIC);
    CHECK(client.memory == NULL);
    CHECK_EQ(close(fd), 0);
    fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK_EQ(ftruncate(fd, sizeof(sentinel_ring_memory) - 1), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    CHECK_EQ(sentinel_ring_attach(&client, fd), SENTINEL_FORMAT_SIZE);
    CHECK_EQ(close(fd), 0);
}

static void test_another_version_is_not_mapped(void) {
    int fd;
    sentinel_ring_close(&server);
    sentinel_ring_close(&client);
    CHECK_OK(sentinel_ring_create(&server, &fd));
    server.memory->version++;
    CHECK_EQ(sentinel_ring_attach(&client, fd), SENTINEL_FORMAT_VERSION);
    server.memory->version--;
    server.memory->slots++;
    CHECK_EQ(sentinel_ring_attach(&client, fd), SENTINEL_FORMAT_VERSION);
    server.memory->slots--;
    CHECK_OK(sentinel_ring_attach(&client, fd));
    CHECK_EQ(close(fd), 0);
}

static void test_who_dozes_is_said_to_sleep(void) {
    both();
    CHECK_EQ(sentinel_ring_doze(&server), 1);
    CHECK(sentinel_ring_claim(&client) != NULL);
    CHECK_EQ(sentinel_ring_commit(&client, 8), 1);
    sentinel_ring_rise(&server);
    CHECK(sentinel_ring_claim(&client) != NULL);
    CHECK_EQ(sentinel_ring_commit(&client, 8), 0);
    CHECK_EQ(sentinel_ring_doze(&server), 0); /* there is something */
    sentinel_ring_wait(&server, WAIT_NS);     /* and so does not wait */
}

static void wait_number(sentinel_ring *ring, uint32_t number) {
    while (!take_number(ring, number)) {
        sentinel_ring_wait(ring, WAIT_NS);
    }
}

/* Answers each piece with itself. Its checks are the main thread's. */
static void *answering(void *unused) {
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t got[SENTINEL_RING_PIECE_BYTES];
        uint32_t size = 0;
        int sleeps;
        while (sentinel_ring_take(&server, got, &size) == SENTINEL_OK && size == 0) {
            sentinel_ring_wait(&server, WAIT_NS);
        }
        (void)sentinel_ring_put(&server, got, size, &sleeps);
        if (sleeps) {
            sentinel_ring_wake(&server);
        }
    }
    return unused;
}

static void test_two_threads_lose_no_piece_and_no_waking(void) {
    pthread_t thread;
    both();
    CHECK_EQ(pthread_create(&thread, NULL, answering, NULL), 0);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        for (; asked < ROUNDS && asked < i + 1 + i % SENTINEL_RING_SLOTS; asked++) {
            if (put_number(&client, asked)) {
                sentinel_ring_wake(&client);
            }
        }
        wait_number(&client, i);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* Writes anything anywhere, and what is likely to hurt at the right places. */
static void scribble(sentinel_ring_memory *memory) {
    uint64_t random = 0x9e3779b97f4a7c15;
    for (;;) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ((uint8_t *)memory)[random % sizeof *memory] = (uint8_t)(random >> 56);
        sentinel_ring_queue *queue = random & 1 ? &memory->requests : &memory->answers;
        sentinel_ring_slot *slot = &queue->slots[random >> 20 & (SENTINEL_RING_SLOTS - 1)];
        slot->size = random & 2 ? (uint32_t)(random >> 32) : SENTINEL_RING_PIECE_BYTES;
        atomic_store(&slot->sequence, random & 4 ? random >> 40 : random >> 60);
        atomic_store(&queue->consumed, random & 8 ? random : random >> 58);
        atomic_store(&queue->sleeping, (uint32_t)(random >> 7 & 1));
    }
}

static void test_a_side_that_scribbles_hurts_only_itself(void) {
    struct {
        uint8_t before[64], piece[SENTINEL_RING_PIECE_BYTES], after[64];
    } guarded;
    memset(&guarded, 0x5a, sizeof guarded);
    both();
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0) {
        scribble(client.memory);
    }
    uint32_t taken = 0, put = 0;
    /* Some tens of milliseconds, once the other process writes at all. */
    for (uint32_t i = 0; i < 200000 || (taken < 1000 && i < UINT32_C(200000000)); i++) {
        uint32_t size;
        sentinel_status status = sentinel_ring_take(&server, guarded.piece, &size);
        CHECK(status == SENTINEL_OK || (status == SENTINEL_FORMAT_SIZE && size == 0));
        CHECK(size <= SENTINEL_RING_PIECE_BYTES);
        taken += size != 0;
        server.taken = i % 16; /* A daemon would end the session; here it goes on. */
        uint8_t *room = sentinel_ring_claim(&server);
        if (room != NULL) {
            CHECK(room >= (uint8_t *)server.memory->answers.slots &&
                  room < (uint8_t *)(server.memory + 1));
            memset(room, 1, SENTINEL_RING_PIECE_BYTES);
            put += (unsigned)(sentinel_ring_commit(&server, 8) | 1);
        } else {
            server.consumed = server.produced;
        }
        (void)sentinel_ring_doze(&server);
        sentinel_ring_rise(&server);
        for (unsigned b = 0; b < 64; b++) {
            CHECK(guarded.before[b] == 0x5a && guarded.after[b] == 0x5a);
        }
    }
    CHECK_EQ(kill(other, SIGKILL), 0);
    CHECK_EQ(waitpid(other, NULL, 0), other);
    CHECK(put > 0 && taken > 0);
    printf("    %u pieces taken and %u put beside a scribbling process\n", taken, put);
}

static void test_closing_twice_does_nothing(void) {
    both();
    sentinel_ring_close(&client);
    sentinel_ring_close(&client);
    CHECK(client.memory == NULL);
    sentinel_ring_close(&server);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_pieces_go_both_ways_in_order);
    RUN(test_a_queue_is_full_after_its_slots);
    RUN(test_an_aborted_claim_is_never_seen);
    RUN(test_a_large_frame_goes_in_pieces);
    RUN(test_a_size_that_no_piece_has_ends_it);
    RUN(test_a_lie_about_what_was_consumed_gives_no_room);
    RUN(test_memory_that_could_be_cut_away_is_not_mapped);
    RUN(test_another_version_is_not_mapped);
    RUN(test_who_dozes_is_said_to_sleep);
    RUN(test_two_threads_lose_no_piece_and_no_waking);
    RUN(test_a_side_that_scribbles_hurts_only_itself);
    RUN(test_closing_twice_does_nothing);
    return test_end();
}

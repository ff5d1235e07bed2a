/* Keccak-f[1600] with a rate of 136 bytes (the Keccak reference, version 3.0,
 * sections 1.2 and 4). Lanes are little-endian, as the machine is. */
#include "keccak.h"

#include <string.h>

#define RATE_BYTES 136u
#define LANES 25u
#define ROUNDS 24u

static const uint64_t round_constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

/* Rho and pi in one walk: the lanes in the order in which pi visits them from
 * lane 1 on, and how far rho turns each. */
static const uint8_t walk[LANES - 1] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                        15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};
static const uint8_t turns[LANES - 1] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                         27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};

static inline uint64_t turn(uint64_t lane, unsigned by) {
    return lane << by | lane >> (64 - by); /* by: 1 to 63 */
}

static inline __attribute__((always_inline)) void theta(uint64_t lanes[LANES]) {
    uint64_t columns[5];
#pragma GCC unroll 5
    for (unsigned x = 0; x < 5; x++) {
        columns[x] = lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20];
    }
#pragma GCC unroll 5
    for (unsigned x = 0; x < 5; x++) {
        uint64_t mixed = columns[(x + 4) % 5] ^ turn(columns[(x + 1) % 5], 1);
#pragma GCC unroll 5
        for (unsigned y = 0; y < LANES; y += 5) {
            lanes[y + x] ^= mixed;
        }
    }
}

static inline __attribute__((always_inline)) void rho_and_pi(uint64_t lanes[LANES]) {
    uint64_t carried = lanes[1];
#pragma GCC unroll 24
    for (unsigned i = 0; i < LANES - 1; i++) {
        uint64_t next = lanes[walk[i]];
        lanes[walk[i]] = turn(carried, turns[i]);
        carried = next;
    }
}

static inline __attribute__((always_inline)) void chi(uint64_t lanes[LANES]) {
#pragma GCC unroll 5
    for (unsigned y = 0; y < LANES; y += 5) {
        uint64_t row[5];
        memcpy(row, lanes + y, sizeof row);
#pragma GCC unroll 5
        for (unsigned x = 0; x < 5; x++) {
            lanes[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
    }
}

/* The state is a copy of its own and each step unrolled, so that all lanes are
 * variables at fixed places: a quarter of the instructions. */
static void permute(uint64_t state[LANES]) {
    uint64_t lanes[LANES];
    memcpy(lanes, state, sizeof lanes);
    for (unsigned round = 0; round < ROUNDS; round++) {
        theta(lanes);
        rho_and_pi(lanes);
        chi(lanes);
        lanes[0] ^= round_constants[round];
    }
    memcpy(state, lanes, sizeof lanes);
}

static void absorb(uint64_t lanes[LANES], const uint8_t block[RATE_BYTES]) {
    for (unsigned i = 0; i < RATE_BYTES / 8; i++) {
        uint64_t lane;
        memcpy(&lane, block + (size_t)8 * i, sizeof lane);
        lanes[i] ^= lane;
    }
    permute(lanes);
}

void keccak256(uint8_t digest32[32], const void *bytes, size_t size) {
    uint64_t lanes[LANES] = {0};
    uint8_t last[RATE_BYTES] = {0};
    const uint8_t *at = bytes;
    for (; size >= RATE_BYTES; size -= RATE_BYTES, at += RATE_BYTES) {
        absorb(lanes, at);
    }
    if (size > 0) { /* `bytes` may be null when there are none */
        memcpy(last, at, size);
    }
    last[size] = 0x01;
    last[RATE_BYTES - 1] |= 0x80;
    absorb(lanes, last);
    memcpy(digest32, lanes, 32);
}

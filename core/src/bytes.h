/* Bytes: zero checks, wiping, hex. */
#ifndef SENTINEL_BYTES_H
#define SENTINEL_BYTES_H

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Never left out by the compiler: it must think that the zeros are read, as
 * sodium_memzero and explicit_bzero make it. In line, as most sizes are small. */
static inline void bytes_wipe(void *memory, size_t size) {
    memset(memory, 0, size);
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}

/* Public data only: may stop early. Every byte is its neighbour, and the first
 * is zero: so the C library compares many at once. */
static inline int bytes_are_zero(const void *memory, size_t size) {
    const uint8_t *bytes = memory;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static inline int bytes_equal(const void *a, const void *b, size_t size) {
    return memcmp(a, b, size) == 0;
}

/* Lower-case hex, two characters a byte, no terminating zero. */
static inline void bytes_to_hex(char *text, const uint8_t *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static inline uint64_t bytes_round_up(uint64_t size, uint64_t to) {
    return (size + to - 1) / to * to;
}

#endif

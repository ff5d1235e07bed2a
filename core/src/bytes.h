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

/* Lower-case hex, two characters a byte, no terminating zero. Four bytes at once,
 * a nibble in each of eight: without a table, so that no line of one is read. */
static inline void bytes_to_hex(char *text, const uint8_t *bytes, size_t size) {
    for (; size >= 4; size -= 4, bytes += 4, text += 8) {
        uint32_t four;
        memcpy(&four, bytes, sizeof four);
        uint64_t spread = (four | (uint64_t)four << 16) & UINT64_C(0x0000ffff0000ffff);
        spread = (spread | spread << 8) & UINT64_C(0x00ff00ff00ff00ff);
        spread = (spread >> 4 | spread << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        /* 1 in each that is above 9: from '9' + 1 to 'a' there are 39 to add. */
        const uint64_t letters =
            (spread + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
        spread += UINT64_C(0x3030303030303030) + letters * ('a' - '9' - 1);
        memcpy(text, &spread, sizeof spread);
    }
    for (size_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
}

static inline uint64_t bytes_round_up(uint64_t size, uint64_t to) {
    return (size + to - 1) / to * to;
}

#endif

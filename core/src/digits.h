/* Decimal digits, two at a time. */
#ifndef SENTINEL_DIGITS_H
#define SENTINEL_DIGITS_H

#include <stdint.h>
#include <string.h>

#define DIGITS_MAX 20u /* of 64 bits */

/* 10^n for n below DIGITS_MAX. */
static inline uint64_t digits_power(unsigned n) {
    static const uint64_t powers[DIGITS_MAX] = {1u,
                                                10u,
                                                100u,
                                                1000u,
                                                10000u,
                                                100000u,
                                                1000000u,
                                                10000000u,
                                                100000000u,
                                                1000000000u,
                                                10000000000u,
                                                100000000000u,
                                                1000000000000u,
                                                10000000000000u,
                                                100000000000000u,
                                                1000000000000000u,
                                                10000000000000000u,
                                                100000000000000000u,
                                                1000000000000000000u,
                                                10000000000000000000u};
    return powers[n];
}

/* How many digits a number has; of 0 it is 1. */
static inline unsigned digits_count(uint64_t value) {
    value |= 1; /* 0 has as many as 1; no even power is passed by it */
    /* 1233 / 4096 is log10(2), near enough for up to 64 bits. */
    const unsigned least = (64u - (unsigned)__builtin_clzll(value)) * 1233u >> 12;
    return least + (value >= digits_power(least));
}

/* The last `count` digits of a number, into text; gives what stands before them. */
static inline uint64_t digits_put(char *text, uint64_t value, unsigned count) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    while (count >= 2) {
        const uint64_t rest = value / 100;
        count -= 2;
        memcpy(text + count, pairs + 2 * (value - 100 * rest), 2);
        value = rest;
    }
    if (count != 0) {
        text[0] = (char)('0' + value % 10);
        value /= 10;
    }
    return value;
}

#endif

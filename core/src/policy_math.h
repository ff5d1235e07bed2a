/* Arithmetic of policy: non-negative integers in 128 bits, decimals that are
 * normalised, divisions that round up. Nothing wraps unnoticed. */
#ifndef SENTINEL_POLICY_MATH_H
#define SENTINEL_POLICY_MATH_H

#include <sentinel/types.h>

#include "digits.h"
#include "wide.h"

/* 10^38 is the largest power of ten in 128 bits. */
#define MATH_POWER_MAX 38u
#define MATH_PPM 1000000u

/* 10^n for n up to MATH_POWER_MAX. */
static inline wide_u128 math_power(unsigned n) {
    return n < DIGITS_MAX
               ? digits_power(n)
               : (wide_u128)digits_power(DIGITS_MAX - 1) * digits_power(n - (DIGITS_MAX - 1));
}

/* Drops trailing zeros while the scale is above 0, so that equal values have
 * equal forms. At most 19 turns: a mantissa has no more digits. */
static inline sentinel_decimal math_normal(sentinel_decimal value) {
    uint64_t mantissa = (uint64_t)value.mantissa;
    unsigned scale = mantissa == 0 ? 0 : value.scale;
    for (uint64_t tenth; scale > 0 && (tenth = mantissa / 10) * 10 == mantissa; scale--) {
        mantissa = tenth;
    }
    return (sentinel_decimal){.mantissa = (int64_t)mantissa, .scale = (uint8_t)scale};
}

/* The mantissa of a non-negative decimal at a scale that is not below its
 * own, at most SENTINEL_SCALE_MAX: below 2^63 x 10^18, so within 128 bits. */
static inline wide_u128 math_at_scale(sentinel_decimal value, unsigned scale) {
    return (uint64_t)value.mantissa * math_power(scale - value.scale);
}

/* The greater of two normalised decimals; of equal ones the first. */
static inline sentinel_decimal math_greater(sentinel_decimal a, sentinel_decimal b) {
    unsigned scale = a.scale > b.scale ? a.scale : b.scale;
    return math_at_scale(b, scale) > math_at_scale(a, scale) ? b : a;
}

/* Multiplies in place; 0 when the product leaves 128 bits. */
static inline int math_multiply(wide_u128 *product, wide_u128 factor) {
    return !__builtin_mul_overflow(*product, factor, product);
}

/* ceil(numerator / denominator), or -1 when that is above 2^63 - 1. */
static inline int64_t math_ceiling(wide_u128 numerator, wide_u128 denominator) {
    wide_u128 quotient;
    if (((numerator | denominator) >> 64) == 0) {
        /* The common case, and many times faster than a 128-bit division. */
        uint64_t n = (uint64_t)numerator, d = (uint64_t)denominator;
        quotient = (wide_u128)(n / d) + (n % d != 0);
    } else {
        quotient = numerator / denominator;
        quotient += quotient * denominator != numerator;
    }
    return quotient > INT64_MAX ? -1 : (int64_t)quotient;
}

/* floor(value / width) for a width above 0, of any sign. */
static inline int64_t math_floor(int64_t value, int64_t width) {
    int64_t quotient = value / width;
    return quotient - (value % width < 0);
}

/* The sum of two values that are not negative; at most 2^63 - 1. */
static inline int64_t math_sum(int64_t a, int64_t b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Whether more than `span` (not negative) has passed since `then`. */
static inline int math_is_past(int64_t then, int64_t now, int64_t span) {
    return then < now && (uint64_t)now - (uint64_t)then > (uint64_t)span;
}

#endif

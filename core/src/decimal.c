/* Decimals that keep their text: to and from text, and compared by value. */
#include <sentinel/order.h>

#include "digits.h"

size_t sentinel_decimal_write(char *text, const sentinel_decimal *decimal) {
    if (decimal->mantissa < 0 || decimal->scale > SENTINEL_SCALE_MAX) {
        return 0;
    }
    /* At least one digit stands before the point: 19 digits and a point at most. */
    const unsigned scale = decimal->scale;
    uint64_t mantissa = (uint64_t)decimal->mantissa;
    const unsigned count = digits_count(mantissa);
    const unsigned whole = count > scale ? count - scale : 1;
    if (scale != 0) {
        text[whole] = '.';
        mantissa = digits_put(text + whole + 1, mantissa, scale);
    }
    (void)digits_put(text, mantissa, whole);
    return scale != 0 ? whole + 1 + scale : whole;
}

sentinel_status sentinel_decimal_read(sentinel_decimal *decimal, const char *text, size_t size) {
    int64_t mantissa = 0;
    size_t point = size;
    int too_large = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.' && point == size) {
            point = i;
            continue;
        }
        if (text[i] < '0' || text[i] > '9') {
            return SENTINEL_FORMAT_TEXT;
        }
        too_large |= __builtin_mul_overflow(mantissa, 10, &mantissa);
        too_large |= __builtin_add_overflow(mantissa, text[i] - '0', &mantissa);
    }
    /* One digit at least on each side of the point, and no leading zero. */
    if (point == 0 || point + 1 == size || (text[0] == '0' && point > 1)) {
        return SENTINEL_FORMAT_TEXT;
    }
    size_t scale = point == size ? 0 : size - point - 1;
    if (too_large || scale > SENTINEL_SCALE_MAX) {
        return SENTINEL_FORMAT_RANGE;
    }
    *decimal = (sentinel_decimal){.mantissa = mantissa, .scale = (uint8_t)scale};
    return SENTINEL_OK;
}

/* The mantissa at a higher scale; UINT64_MAX, above every mantissa of an
 * int64, when that leaves 64 bits. */
static uint64_t scaled(const sentinel_decimal *decimal, unsigned scale) {
    uint64_t value = (uint64_t)decimal->mantissa;
    for (unsigned s = decimal->scale; s < scale; s++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value)) {
            return UINT64_MAX;
        }
    }
    return value;
}

int sentinel_decimal_compare(const sentinel_decimal *a, const sentinel_decimal *b) {
    /* Only the one with fewer decimals is scaled, so the other's mantissa is
     * below 2^63 and a saturated value is rightly the larger one. */
    unsigned scale = a->scale > b->scale ? a->scale : b->scale;
    uint64_t left = scaled(a, scale), right = scaled(b, scale);
    return (left > right) - (left < right);
}

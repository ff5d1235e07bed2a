/* Builds a request inside sentinel_request.text. What does not fit latches
 * request->overflow, and a request that overflowed is never signed. */
#ifndef SENTINEL_VENUE_TEXT_H
#define SENTINEL_VENUE_TEXT_H

#include <sentinel/venue.h>
#include <string.h>

#include "digits.h"

static inline void text_add(sentinel_request *request, const char *text, size_t size) {
    if (size > SENTINEL_REQUEST_TEXT_BYTES - request->text_size) {
        request->overflow = 1;
        return;
    }
    memcpy(request->text + request->text_size, text, size);
    request->text_size = (uint16_t)(request->text_size + size);
}

static inline void text_string(sentinel_request *request, const char *text) {
    text_add(request, text, strlen(text));
}

static inline void text_integer(sentinel_request *request, uint64_t value) {
    const unsigned count = digits_count(value);
    if (count > SENTINEL_REQUEST_TEXT_BYTES - request->text_size) {
        request->overflow = 1;
        return;
    }
    (void)digits_put(request->text + request->text_size, value, count);
    request->text_size = (uint16_t)(request->text_size + count);
}

/* A decimal that is out of range has no text: that latches overflow too. */
static inline void text_decimal(sentinel_request *request, const sentinel_decimal *decimal) {
    if (SENTINEL_DECIMAL_TEXT_MAX > SENTINEL_REQUEST_TEXT_BYTES - request->text_size) {
        request->overflow = 1;
        return;
    }
    const size_t size = sentinel_decimal_write(request->text + request->text_size, decimal);
    request->overflow |= (uint8_t)(size == 0);
    request->text_size = (uint16_t)(request->text_size + size);
}

/* Percent-encoding (RFC 3986, 2.1): all but unreserved characters, so that no
 * value can end its parameter or begin another. */
static inline void text_encoded(sentinel_request *request, const char *text, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    if (sentinel_text_is_id(text, size)) { /* nearly always */
        text_add(request, text, size);
        return;
    }
    if (size > (SENTINEL_REQUEST_TEXT_BYTES - (size_t)request->text_size) / 3) {
        request->overflow = 1; /* that it just might fit is not worth a count */
        return;
    }
    char *at = request->text + request->text_size;
    for (size_t i = 0; i < size; i++) {
        const uint8_t c = (uint8_t)text[i];
        const uint8_t letter = (uint8_t)((c | 0x20) - 'a');
        const uint8_t digit = (uint8_t)(c - '0');
        if (letter < 26 || digit < 10 || c == '-' || c == '.' || c == '_' || c == '~') {
            *at++ = (char)c;
        } else {
            at[0] = '%';
            at[1] = digits[c >> 4];
            at[2] = digits[c & 15];
            at += 3;
        }
    }
    request->text_size = (uint16_t)(at - request->text);
}

/* Standard base64 with padding (RFC 4648, 4). text: 4 * ceil(size / 3). */
static inline size_t text_base64(char *text, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t written = 0;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < size ? bytes[i + 2] : 0;
        text[written++] = digits[group >> 18];
        text[written++] = digits[group >> 12 & 63];
        text[written++] = i + 1 < size ? digits[group >> 6 & 63] : '=';
        text[written++] = i + 2 < size ? digits[group & 63] : '=';
    }
    return written;
}

/* The same, percent-encoded: a signature in a query. Of each digit of base64 its
 * text and that text's size, so that nothing is guessed of bytes that are random;
 * each writes four characters, of which the next overwrites what is not its own. */
static inline void text_base64_encoded(sentinel_request *request, const uint8_t *bytes,
                                       size_t size) {
#define PLAIN(c) ((uint32_t)(c) | UINT32_C(1) << 24)
#define CODED(high, low) ('%' | (high) << 8 | (low) << 16 | UINT32_C(3) << 24)
#define FOUR(a, b, c, d) PLAIN(a), PLAIN(b), PLAIN(c), PLAIN(d)
    static const uint32_t digits[64] = {FOUR('A', 'B', 'C', 'D'),
                                        FOUR('E', 'F', 'G', 'H'),
                                        FOUR('I', 'J', 'K', 'L'),
                                        FOUR('M', 'N', 'O', 'P'),
                                        FOUR('Q', 'R', 'S', 'T'),
                                        FOUR('U', 'V', 'W', 'X'),
                                        FOUR('Y', 'Z', 'a', 'b'),
                                        FOUR('c', 'd', 'e', 'f'),
                                        FOUR('g', 'h', 'i', 'j'),
                                        FOUR('k', 'l', 'm', 'n'),
                                        FOUR('o', 'p', 'q', 'r'),
                                        FOUR('s', 't', 'u', 'v'),
                                        FOUR('w', 'x', 'y', 'z'),
                                        FOUR('0', '1', '2', '3'),
                                        FOUR('4', '5', '6', '7'),
                                        PLAIN('8'),
                                        PLAIN('9'),
                                        CODED('2', 'B'),
                                        CODED('2', 'F')};
    static const uint32_t pad = CODED('3', 'D');
#undef FOUR
#undef CODED
#undef PLAIN
    if ((size + 2) / 3 * 12 + 4 > SENTINEL_REQUEST_TEXT_BYTES - (size_t)request->text_size) {
        request->overflow = 1; /* that it just might fit is not worth a count */
        return;
    }
    char *at = request->text + request->text_size;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        group |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < size ? bytes[i + 2] : 0;
        const uint32_t four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                                  i + 1 < size ? digits[group >> 6 & 63] : pad,
                                  i + 2 < size ? digits[group & 63] : pad};
        for (unsigned k = 0; k < 4; k++) {
            memcpy(at, &four[k], sizeof four[k]); /* little-endian: see types.h */
            at += four[k] >> 24;
        }
    }
    request->text_size = (uint16_t)(at - request->text);
}

/* A span from where it began to the end of the text. */
static inline sentinel_span text_since(const sentinel_request *request, size_t offset) {
    return (sentinel_span){(uint16_t)offset, (uint16_t)(request->text_size - offset)};
}

static inline sentinel_span text_span(sentinel_request *request, const char *text) {
    size_t offset = request->text_size;
    text_string(request, text);
    return text_since(request, offset);
}

static inline void text_header(sentinel_request *request, const char *name, const char *value,
                               size_t value_size) {
    if (request->header_count == SENTINEL_REQUEST_HEADERS_MAX) {
        request->overflow = 1;
        return;
    }
    uint8_t header = request->header_count++;
    request->header_names[header] = text_span(request, name);
    size_t offset = request->text_size;
    text_add(request, value, value_size);
    request->header_values[header] = text_since(request, offset);
}

/* The query grows at the end of the text; request->query.offset is where it
 * began. */
static inline void text_key(sentinel_request *request, const char *key) {
    if (request->text_size > request->query.offset) {
        text_add(request, "&", 1);
    }
    text_string(request, key);
    text_add(request, "=", 1);
}

static inline void text_pair(sentinel_request *request, const char *key, const char *value,
                             size_t size) {
    text_key(request, key);
    text_encoded(request, value, size);
}

/* A value that has unreserved characters alone: our own names, and hex. */
static inline void text_pair_plain(sentinel_request *request, const char *key, const char *value,
                                   size_t size) {
    text_key(request, key);
    text_add(request, value, size);
}

static inline void text_pair_name(sentinel_request *request, const char *key, const char *value) {
    text_pair_plain(request, key, value, strlen(value));
}

static inline void text_pair_integer(sentinel_request *request, const char *key, uint64_t value) {
    text_key(request, key);
    text_integer(request, value);
}

static inline void text_pair_decimal(sentinel_request *request, const char *key,
                                     const sentinel_decimal *value) {
    text_key(request, key);
    text_decimal(request, value);
}

/* Of which time an order asks, and for how many rows: by the venue's names. */
static inline void text_pairs_window(sentinel_request *request, const sentinel_order_query *order,
                                     const char *start, const char *end, const char *limit) {
    if ((order->header.present & SENTINEL_PRESENT_START) != 0) {
        text_pair_integer(request, start, (uint64_t)order->start_ms);
    }
    if ((order->header.present & SENTINEL_PRESENT_END) != 0) {
        text_pair_integer(request, end, (uint64_t)order->end_ms);
    }
    if ((order->header.present & SENTINEL_PRESENT_LIMIT) != 0) {
        text_pair_integer(request, limit, order->limit);
    }
}

/* JSON, compact. A member or element is parted from the one before it; a text
 * with a character that would have to be escaped latches overflow, so that no
 * value can end its own. */
static inline void text_json_next(sentinel_request *request) {
    char before = request->text_size > 0 ? request->text[request->text_size - 1] : '{';
    if (before != '{' && before != '[' && before != ':') {
        text_add(request, ",", 1);
    }
}

static inline void text_json_quoted(sentinel_request *request, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        request->overflow |= (uint8_t)(c < 0x20 || c > 0x7e || c == '"' || c == '\\');
    }
    text_add(request, "\"", 1);
    text_add(request, text, size);
    text_add(request, "\"", 1);
}

static inline void text_json_key(sentinel_request *request, const char *key) {
    text_json_next(request);
    text_json_quoted(request, key, strlen(key));
    text_add(request, ":", 1);
}

static inline void text_json_text(sentinel_request *request, const char *key, const char *value,
                                  size_t size) {
    text_json_key(request, key);
    text_json_quoted(request, value, size);
}

static inline void text_json_name(sentinel_request *request, const char *key, const char *value) {
    text_json_text(request, key, value, strlen(value));
}

static inline void text_json_integer(sentinel_request *request, const char *key, uint64_t value) {
    text_json_key(request, key);
    text_integer(request, value);
}

static inline void text_json_bool(sentinel_request *request, const char *key, int value) {
    text_json_key(request, key);
    text_string(request, value ? "true" : "false");
}

/* Venues take decimals as texts. */
static inline void text_json_decimal(sentinel_request *request, const char *key,
                                     const sentinel_decimal *value) {
    text_json_key(request, key);
    text_add(request, "\"", 1);
    text_decimal(request, value);
    text_add(request, "\"", 1);
}

#endif

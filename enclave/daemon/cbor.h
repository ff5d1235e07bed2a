/* CBOR (RFC 8949), as much of it as a security module speaks, strict and
 * bounded: definite lengths in their shortest form, no tags, no floats, no
 * value but false, true and null; nothing allocates and nothing recurses. */
#ifndef SENTINEL_CBOR_H
#define SENTINEL_CBOR_H

#include <sentinel/status.h>
#include <stddef.h>
#include <stdint.h>

#define CBOR_MAP_ENTRIES_MAX 32u
#define CBOR_KEY_BYTES_MAX 64u

/* Major types, as RFC 8949 numbers them. */
typedef enum cbor_type {
    CBOR_UINT = 0,
    CBOR_NEGATIVE = 1, /* -1 - number */
    CBOR_BYTES = 2,
    CBOR_TEXT = 3,
    CBOR_ARRAY = 4,
    CBOR_MAP = 5,
    CBOR_SIMPLE = 7 /* 20 false, 21 true, 22 null */
} cbor_type;
#define CBOR_FALSE 20u
#define CBOR_TRUE 21u
#define CBOR_NULL 22u

/* ---- Writing ----------------------------------------------------------------- */

typedef struct cbor_writer {
    uint8_t *at;
    size_t size; /* written so far */
    size_t capacity;
    int overflow; /* 1: it did not fit, and what is there is of no use */
} cbor_writer;

/* A head: an integer, or a container's number of items. */
void cbor_put(cbor_writer *writer, cbor_type type, uint64_t number);
void cbor_put_text(cbor_writer *writer, const char *text);
/* Null where there are no bytes: what is optional is so left out. */
void cbor_put_bytes(cbor_writer *writer, const void *bytes, size_t size);

/* ---- Reading ----------------------------------------------------------------- */

typedef struct cbor_reader {
    const uint8_t *at;
    size_t left;
} cbor_reader;

/* One item. bytes, size: of BYTES and TEXT their content, of ARRAY and MAP all
 * items that are inside. Points into the caller's bytes. */
typedef struct cbor_item {
    cbor_type type;
    uint64_t number; /* integer, simple value, items of an array, pairs of a map */
    const uint8_t *bytes;
    size_t size;
} cbor_item;

/* Takes the next item, whole. Returns: OK; FORMAT_SIZE (cut short, or longer
 * than it says); FORMAT_RANGE (a form that is not taken). */
SENTINEL_MUST_USE sentinel_status cbor_take(cbor_reader *reader, cbor_item *item);

/* The one item that these bytes are, of this type. Returns: as above; FORMAT_MAGIC
 * (another type); FORMAT_SIZE (something follows it). */
SENTINEL_MUST_USE sentinel_status cbor_whole(cbor_item *item, cbor_type type, const void *bytes,
                                             size_t size);

/* What is wanted of a map, by its key. An entry that is absent leaves type ==
 * CBOR_SIMPLE and number == 0, which is no value that is taken. */
typedef struct cbor_want {
    const char *key;
    cbor_item item;
} cbor_want;

/* Looks up entries of a map whose keys are texts. Order is free, other entries
 * are passed over; a key that is there twice is refused, whichever it is.
 * Returns: as cbor_take; FORMAT_LIMIT; FORMAT_ORDER (a key twice). */
SENTINEL_MUST_USE sentinel_status cbor_find(cbor_want *wants, size_t want_count,
                                            const cbor_item *map);

static inline int cbor_is(const cbor_item *item, cbor_type type) {
    return item->type == type && !(type == CBOR_SIMPLE && item->number == 0);
}

#endif

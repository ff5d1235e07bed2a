/* CBOR, strict and bounded. */
#include "cbor.h"

#include <string.h>

#include "check.h"

/* ---- Writing ----------------------------------------------------------------- */

static void put_raw(cbor_writer *writer, const void *bytes, size_t size) {
    if (writer->overflow || size > writer->capacity - writer->size) {
        writer->overflow = 1;
        return;
    }
    if (size != 0) {
        memcpy(writer->at + writer->size, bytes, size);
    }
    writer->size += size;
}

void cbor_put(cbor_writer *writer, cbor_type type, uint64_t number) {
    uint8_t head[9];
    unsigned more = number < 24            ? 0
                    : number <= UINT8_MAX  ? 1
                    : number <= UINT16_MAX ? 2
                    : number <= UINT32_MAX ? 4
                                           : 8;
    /* 24, 25, 26, 27: one, two, four, eight bytes follow (RFC 8949, 3). */
    unsigned info = more == 0   ? (unsigned)number
                    : more == 1 ? 24
                    : more == 2 ? 25
                    : more == 4 ? 26
                                : 27;
    head[0] = (uint8_t)((unsigned)type << 5 | info);
    for (unsigned i = 0; i < more; i++) {
        head[1 + i] = (uint8_t)(number >> 8 * (more - 1 - i));
    }
    put_raw(writer, head, 1 + more);
}

void cbor_put_text(cbor_writer *writer, const char *text) {
    size_t size = strlen(text);
    cbor_put(writer, CBOR_TEXT, size);
    put_raw(writer, text, size);
}

void cbor_put_bytes(cbor_writer *writer, const void *bytes, size_t size) {
    if (bytes == NULL) {
        cbor_put(writer, CBOR_SIMPLE, CBOR_NULL);
        return;
    }
    cbor_put(writer, CBOR_BYTES, size);
    put_raw(writer, bytes, size);
}

/* ---- Reading ----------------------------------------------------------------- */

/* The bytes of a number behind a head, and that none shorter would do. */
static sentinel_status take_number(cbor_reader *reader, uint64_t *number, unsigned info) {
    static const uint64_t above[] = {23, UINT8_MAX, UINT16_MAX, UINT32_MAX};
    if (info < 24) {
        *number = info;
        return SENTINEL_OK;
    }
    if (info > 27) { /* reserved, or an indefinite length */
        return SENTINEL_FORMAT_RANGE;
    }
    size_t size = (size_t)1 << (info - 24);
    if (reader->left < size) {
        return SENTINEL_FORMAT_SIZE;
    }
    *number = 0;
    for (size_t i = 0; i < size; i++) {
        *number = *number << 8 | reader->at[i];
    }
    reader->at += size;
    reader->left -= size;
    return *number > above[info - 24] ? SENTINEL_OK : SENTINEL_FORMAT_RANGE;
}

/* A head and, of bytes and texts, what belongs to it; of containers the head alone. */
static sentinel_status take_head(cbor_reader *reader, cbor_item *item) {
    if (reader->left == 0) {
        return SENTINEL_FORMAT_SIZE;
    }
    unsigned type = reader->at[0] >> 5, info = reader->at[0] & 31;
    reader->at++;
    reader->left--;
    if (type == 6 || (type == CBOR_SIMPLE && (info < CBOR_FALSE || info > CBOR_NULL))) {
        return SENTINEL_FORMAT_RANGE;
    }
    item->type = (cbor_type)type;
    SENTINEL_TRY(take_number(reader, &item->number, info));
    item->bytes = reader->at;
    item->size = 0;
    if (type == CBOR_BYTES || type == CBOR_TEXT) {
        if (item->number > reader->left) {
            return SENTINEL_FORMAT_SIZE;
        }
        item->size = (size_t)item->number;
        reader->at += item->size;
        reader->left -= item->size;
    }
    return SENTINEL_OK;
}

/* How many items a head says that follow it: each of them takes a byte at least. */
static sentinel_status items_inside(uint64_t *count, const cbor_reader *reader,
                                    const cbor_item *item) {
    *count = 0;
    if (item->type == CBOR_ARRAY || item->type == CBOR_MAP) {
        uint64_t each = item->type == CBOR_MAP ? 2 : 1;
        if (item->number > reader->left / each) {
            return SENTINEL_FORMAT_SIZE;
        }
        *count = item->number * each;
    }
    return SENTINEL_OK;
}

sentinel_status cbor_take(cbor_reader *reader, cbor_item *item) {
    SENTINEL_TRY(take_head(reader, item));
    uint64_t pending, inside;
    SENTINEL_TRY(items_inside(&pending, reader, item));
    if (pending == 0) {
        return SENTINEL_OK;
    }
    /* Counted, not descended into: nesting of any depth costs nothing. */
    while (pending > 0) {
        cbor_item inner;
        SENTINEL_TRY(take_head(reader, &inner));
        SENTINEL_TRY(items_inside(&inside, reader, &inner));
        pending += inside - 1;
        if (pending > reader->left) {
            return SENTINEL_FORMAT_SIZE;
        }
    }
    item->size = (size_t)(reader->at - item->bytes);
    return SENTINEL_OK;
}

sentinel_status cbor_whole(cbor_item *item, cbor_type type, const void *bytes, size_t size) {
    cbor_reader reader = {bytes, size};
    SENTINEL_TRY(cbor_take(&reader, item));
    if (reader.left != 0) {
        return SENTINEL_FORMAT_SIZE;
    }
    return item->type == type ? SENTINEL_OK : SENTINEL_FORMAT_MAGIC;
}

static int same_text(const cbor_item *a, const cbor_item *b) {
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

sentinel_status cbor_find(cbor_want *wants, size_t want_count, const cbor_item *map) {
    cbor_item keys[CBOR_MAP_ENTRIES_MAX];
    cbor_reader reader = {map->bytes, map->size};
    if (map->type != CBOR_MAP) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (map->number > CBOR_MAP_ENTRIES_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    for (size_t i = 0; i < want_count; i++) {
        wants[i].item = (cbor_item){.type = CBOR_SIMPLE};
    }
    for (uint64_t i = 0; i < map->number; i++) {
        cbor_item value;
        SENTINEL_TRY(cbor_take(&reader, &keys[i]));
        SENTINEL_TRY(cbor_take(&reader, &value));
        if (keys[i].type != CBOR_TEXT || keys[i].size > CBOR_KEY_BYTES_MAX) {
            return SENTINEL_FORMAT_RANGE;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (same_text(&keys[i], &keys[j])) {
                return SENTINEL_FORMAT_ORDER;
            }
        }
        for (size_t j = 0; j < want_count; j++) {
            size_t size = strlen(wants[j].key);
            if (keys[i].size == size && memcmp(keys[i].bytes, wants[j].key, size) == 0) {
                wants[j].item = value;
            }
        }
    }
    return SENTINEL_OK;
}

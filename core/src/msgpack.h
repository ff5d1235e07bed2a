/* MessagePack into a fixed buffer, always in the shortest form (the format's
 * specification, "Serialization: type to format conversion"). What does not
 * fit latches overflow, and nothing that overflowed is hashed. */
#ifndef SENTINEL_MSGPACK_H
#define SENTINEL_MSGPACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct msgpack_writer {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    int overflow;
} msgpack_writer;

static inline void msgpack_bytes(msgpack_writer *writer, const void *bytes, size_t size) {
    if (size > writer->capacity - writer->size) {
        writer->overflow = 1;
        return;
    }
    memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

/* The low `size` bytes of a number, the highest first. */
static inline void msgpack_big_endian(msgpack_writer *writer, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    }
    msgpack_bytes(writer, bytes + 8 - size, size);
}

static inline void msgpack_head(msgpack_writer *writer, uint8_t head, uint64_t value, size_t size) {
    msgpack_bytes(writer, &head, 1);
    msgpack_big_endian(writer, value, size);
}

static inline void msgpack_nil(msgpack_writer *writer) {
    msgpack_head(writer, 0xc0, 0, 0);
}

static inline void msgpack_bool(msgpack_writer *writer, int value) {
    msgpack_head(writer, value ? 0xc3 : 0xc2, 0, 0);
}

static inline void msgpack_uint(msgpack_writer *writer, uint64_t value) {
    if (value < 0x80) {
        msgpack_big_endian(writer, value, 1);
    } else if (value <= UINT8_MAX) {
        msgpack_head(writer, 0xcc, value, 1);
    } else if (value <= UINT16_MAX) {
        msgpack_head(writer, 0xcd, value, 2);
    } else if (value <= UINT32_MAX) {
        msgpack_head(writer, 0xce, value, 4);
    } else {
        msgpack_head(writer, 0xcf, value, 8);
    }
}

/* At most 65535 bytes, members or elements; more latches overflow. */
static inline void msgpack_text(msgpack_writer *writer, const char *text, size_t size) {
    if (size < 32) {
        msgpack_head(writer, (uint8_t)(0xa0 | size), 0, 0);
    } else if (size <= UINT8_MAX) {
        msgpack_head(writer, 0xd9, size, 1);
    } else {
        msgpack_head(writer, 0xda, size, 2);
    }
    writer->overflow |= size > UINT16_MAX;
    msgpack_bytes(writer, text, size);
}

/* Then come `count` elements, or `count` keys with a value each. */
static inline void msgpack_array(msgpack_writer *writer, size_t count) {
    if (count < 16) {
        msgpack_head(writer, (uint8_t)(0x90 | count), 0, 0);
    } else {
        msgpack_head(writer, 0xdc, count, 2);
    }
    writer->overflow |= count > UINT16_MAX;
}

static inline void msgpack_map(msgpack_writer *writer, size_t count) {
    if (count < 16) {
        msgpack_head(writer, (uint8_t)(0x80 | count), 0, 0);
    } else {
        msgpack_head(writer, 0xde, count, 2);
    }
    writer->overflow |= count > UINT16_MAX;
}

#endif

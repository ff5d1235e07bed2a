/* The lobby's stream: enclave/PROTOCOL.md, section 8. */
#ifndef SENTINEL_LOBBY_STREAM_H
#define SENTINEL_LOBBY_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* A byte string in a payload. */
typedef struct lobby_part {
    const uint8_t *bytes;
    size_t size;
} lobby_part;

/* Takes a payload apart. Returns: 1 when it is just these parts. */
int lobby_parts(lobby_part *parts, size_t count, const uint8_t *bytes, size_t size);

/* All of it, however often the system has to be asked. Returns: 1; 0: the stream is over. */
int lobby_take_all(int fd, void *bytes, size_t size);
int lobby_send_all(int fd, const void *bytes, size_t size);

#endif

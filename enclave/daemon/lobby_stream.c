/* Requests of the lobby as bytes: whole ones, and their parts. */
#include "lobby_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"

int lobby_parts(lobby_part *parts, size_t count, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < count; i++) {
        uint32_t head[2];
        if (size < sizeof head) {
            return 0;
        }
        memcpy(head, bytes, sizeof head);
        size_t padded = (size_t)bytes_round_up(head[0], 8);
        if (head[1] != 0 || padded > size - sizeof head ||
            !bytes_are_zero(bytes + sizeof head + head[0], padded - head[0])) {
            return 0;
        }
        parts[i] = (lobby_part){bytes + sizeof head, head[0]};
        bytes += sizeof head + padded;
        size -= sizeof head + padded;
    }
    return size == 0;
}

int lobby_take_all(int fd, void *bytes, size_t size) {
    uint8_t *at = bytes;
    while (size != 0) {
        ssize_t got = recv(fd, at, size, 0);
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            return 0;
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return 1;
}

int lobby_send_all(int fd, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    while (size != 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0 && !(sent < 0 && errno == EINTR)) {
            return 0;
        }
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
        }
    }
    return 1;
}

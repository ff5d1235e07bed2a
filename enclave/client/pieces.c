/* What may be longer than a message: state and bundles as they come, and a frame
 * as it goes, piece by piece. A session that is lost on the way, or a bundle that
 * is replaced, begins it anew, within the call's time. PROTOCOL.md, section 5. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "client_internal.h"

/* ---- In ---------------------------------------------------------------------------- */

static sentinel_status room_grow(uint8_t **room, size_t *room_size, size_t size) {
    if (*room_size >= size) {
        return SENTINEL_OK;
    }
    uint8_t *grown = realloc(*room, size);
    if (grown == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    *room = grown;
    *room_size = size;
    return SENTINEL_OK;
}

/* One piece, behind those that are there. head: bytes of the answer before it; they
 * begin with how long the whole is. */
static sentinel_status piece_get(sentinel_client *client, uint16_t request, const void *wanted,
                                 size_t wanted_size, uint64_t *got, uint64_t *total, uint8_t *head,
                                 size_t head_size, int64_t end_ns) {
    const uint8_t *answer;
    size_t size;
    uint64_t whole;
    SENTINEL_TRY(client_call(client, &answer, &size, request, wanted, wanted_size, end_ns));
    if (size < head_size) {
        return SENTINEL_FORMAT_SIZE;
    }
    memcpy(head, answer, head_size);
    memcpy(&whole, answer, sizeof whole);
    size -= head_size;
    if (whole > SENTINEL_PIECES_BYTES_MAX || (*got != 0 && whole != *total) ||
        size > whole - *got || (size == 0 && whole != *got)) {
        return SENTINEL_FORMAT_SIZE;
    }
    SENTINEL_TRY(room_grow(&client->whole, &client->whole_size, (size_t)whole));
    memcpy(client->whole + *got, answer + head_size, size);
    *got += size;
    *total = whole;
    return SENTINEL_OK;
}

static sentinel_status state_get(sentinel_client *client, size_t *size, uint32_t flags,
                                 int64_t end_ns) {
    sentinel_state_wanted wanted = {.bytes_max = SENTINEL_PIECE_BYTES_MAX, .flags = flags};
    uint64_t total = 0;
    uint8_t head[sizeof total];
    do {
        SENTINEL_TRY(piece_get(client, SENTINEL_REQUEST_STATE, &wanted, sizeof wanted,
                               &wanted.offset, &total, head, sizeof head, end_ns));
    } while (wanted.offset < total);
    *size = (size_t)total;
    return SENTINEL_OK;
}

static sentinel_status bundle_get(sentinel_client *client, size_t *size, uint16_t kind,
                                  int64_t end_ns) {
    sentinel_bundle_wanted wanted = {.kind = kind, .bytes_max = SENTINEL_PIECE_BYTES_MAX};
    sentinel_bundle_piece piece;
    uint64_t total = 0;
    do {
        SENTINEL_TRY(piece_get(client, SENTINEL_REQUEST_BUNDLE, &wanted, sizeof wanted,
                               &wanted.offset, &total, (uint8_t *)&piece, sizeof piece, end_ns));
        memcpy(wanted.hash32, piece.hash32, 32);
    } while (wanted.offset < total);
    *size = (size_t)total;
    return SENTINEL_OK;
}

/* Whether to begin anew: what was held for us is gone, or there was no room for it. */
static int begins_anew(sentinel_client *client, sentinel_status status, unsigned attempt,
                       int64_t end_ns) {
    if (!client->facts.is_answer || attempt >= CLIENT_RESENDS_MAX ||
        (status != SENTINEL_USAGE_STATE && status != SENTINEL_USAGE_CAPACITY)) {
        return 0;
    }
    client_pause(attempt, end_ns);
    return client_running_ns() < end_ns;
}

sentinel_status sentinel_client_state(sentinel_client *client, const uint8_t **state, size_t *size,
                                      uint32_t flags) {
    int64_t end_ns = client_running_ns() + client->options.timeout_ns;
    *state = NULL;
    *size = 0;
    for (unsigned attempt = 0;; attempt++) {
        sentinel_status status = state_get(client, size, flags, end_ns);
        if (status == SENTINEL_OK) {
            *state = client->whole;
            return status;
        }
        /* With its books it may be too large at any time. */
        if ((status == SENTINEL_USAGE_CAPACITY && flags != 0) ||
            !begins_anew(client, status, attempt, end_ns)) {
            return status;
        }
    }
}

sentinel_status sentinel_client_bundle(sentinel_client *client, const uint8_t **frame, size_t *size,
                                       uint16_t kind) {
    int64_t end_ns = client_running_ns() + client->options.timeout_ns;
    *frame = NULL;
    *size = 0;
    for (unsigned attempt = 0;; attempt++) {
        sentinel_status status = bundle_get(client, size, kind, end_ns);
        if (status == SENTINEL_OK) {
            *frame = client->whole;
            return status;
        }
        if (!begins_anew(client, status, attempt, end_ns)) {
            return status;
        }
    }
}

/* ---- Out --------------------------------------------------------------------------- */

static sentinel_status frame_put(sentinel_client *client, const uint8_t *frame, size_t size,
                                 int64_t end_ns) {
    const uint8_t *answer;
    size_t answer_size;
    sentinel_put_piece piece = {.total = size};
    SENTINEL_TRY(room_grow(&client->whole, &client->whole_size, SENTINEL_PIECE_BYTES_MAX));
    while (piece.offset < size) {
        size_t left = size - (size_t)piece.offset;
        size_t most = SENTINEL_PIECE_BYTES_MAX - sizeof piece;
        size_t now = left < most ? left : most;
        uint64_t got;
        memcpy(client->whole, &piece, sizeof piece);
        memcpy(client->whole + sizeof piece, frame + piece.offset, now);
        SENTINEL_TRY(client_call(client, &answer, &answer_size, SENTINEL_REQUEST_PUT, client->whole,
                                 sizeof piece + now, end_ns));
        if (answer_size != sizeof got) {
            return SENTINEL_FORMAT_SIZE;
        }
        memcpy(&got, answer, sizeof got);
        piece.offset += now;
        if (got != piece.offset) {
            return SENTINEL_FORMAT_ORDER;
        }
    }
    return SENTINEL_OK;
}

sentinel_status client_take_bytes(sentinel_client *client, const uint8_t **answer,
                                  size_t *answer_size, const void *frame, size_t size) {
    int64_t end_ns = client_running_ns() + client->options.timeout_ns;
    if (size <= SENTINEL_CHANNEL_BYTES_MAX) {
        return client_call(client, answer, answer_size, SENTINEL_REQUEST_TAKE, frame, size, end_ns);
    }
    uint8_t resent = 0;
    for (unsigned attempt = 0;; attempt++) {
        sentinel_status status = frame_put(client, frame, size, end_ns);
        int taking = status == SENTINEL_OK;
        if (taking) {
            status =
                client_call(client, answer, answer_size, SENTINEL_REQUEST_TAKE, NULL, 0, end_ns);
        }
        /* A TAKE whose answer was lost finds nothing on its new session. */
        resent |= taking && client->facts.is_resent;
        if (status == SENTINEL_OK || !begins_anew(client, status, attempt, end_ns)) {
            client->facts.is_resent = resent;
            return status;
        }
    }
}

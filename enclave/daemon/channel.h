/* A channel: frames in and out, sealed with AES-256-GCM, or clear for a peer
 * that the kernel names. Both sides use this. enclave/PROTOCOL.md, sections 3
 * to 5. Nothing here allocates but channel_side_begin. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "frame_cipher.h"
#include "protocol.h"

#include <sentinel/status.h>

/* Around the body of a frame, and the largest frame of all. */
#define CHANNEL_AROUND_BYTES (sizeof(sentinel_seal) + SENTINEL_TAG_GCM_BYTES)
#define CHANNEL_FRAME_BYTES_MAX (SENTINEL_LARGE_BYTES + CHANNEL_AROUND_BYTES)
/* Payload that a frame of a class has room for. */
#define CHANNEL_ROOM(class_bytes) ((class_bytes) - (uint32_t)sizeof(sentinel_message))
#define CHANNEL_SMALL_ROOM CHANNEL_ROOM(SENTINEL_SMALL_BYTES)
#define CHANNEL_MIDDLE_ROOM CHANNEL_ROOM(SENTINEL_MIDDLE_BYTES)
#define CHANNEL_BROAD_ROOM CHANNEL_ROOM(SENTINEL_BROAD_BYTES)
#define CHANNEL_LARGE_ROOM CHANNEL_ROOM(SENTINEL_LARGE_BYTES)
/* Where the payload of a frame is; a multiple of 8. */
#define CHANNEL_PAYLOAD_AT (sizeof(sentinel_seal) + sizeof(sentinel_message))

/* One direction: what seals, or what opens. */
typedef struct channel_side {
    frame_cipher *cipher; /* null: PEER, or not begun */
    uint64_t counter;     /* of the next frame */
    uint32_t transport;   /* SENTINEL_TRANSPORT_*; 0: not begun, or ended: nothing goes through */
    uint32_t reserved;
} channel_side;

/* Begins a direction. key: null for PEER. Returns: OK; CRYPTO_INIT. */
SENTINEL_MUST_USE sentinel_status channel_side_begin(channel_side *side,
                                                     const sentinel_channel_key *key);

/* Makes the key stream of the next frame, of this class or smaller, ahead: to be
 * called when nobody waits. Without it the frame only takes longer. */
void channel_ahead(channel_side *side, uint16_t class_);

/* Wipes it; nothing goes through any more. Safe to call again. */
void channel_side_end(channel_side *side);

/* Bytes of a whole frame of a class; 0: there is no such class. */
size_t channel_frame_bytes(uint16_t class_);

/* The smallest class, of at least `least`, whose frame has room; LARGE when none has. */
uint16_t channel_class(uint16_t least, size_t payload_size);

/* Writes the next frame of a direction. payload: message->size bytes, which may
 * lie at frame + CHANNEL_PAYLOAD_AT already. frame: aligned to 8.
 * Returns: its size; 0: it does not fit the class, or the direction has ended. */
size_t channel_seal(channel_side *side, uint8_t *frame, uint16_t class_,
                    const sentinel_message *message, const void *payload);

/* The size of the frame that begins with these 16 bytes; 0: none may follow. */
size_t channel_expect(const channel_side *side, const uint8_t seal16[16]);

/* Opens the next frame of a direction, in place: message points to what is
 * inside, its payload follows at once. Whatever is wrong ends the direction.
 * frame: aligned to 8. size: what channel_expect gave.
 * Returns: OK; FORMAT_*; CRYPTO_VERIFY; USAGE_STATE. */
SENTINEL_MUST_USE sentinel_status channel_open(channel_side *side, const sentinel_message **message,
                                               uint8_t *frame, size_t size);

/* A message whose payload is spread over frames, on its way in. Zero: none. */
typedef struct channel_parts {
    uint16_t kind;
    uint16_t more; /* 1: further frames belong to it */
    uint32_t status;
    uint32_t total;
    uint32_t got; /* payload before and with the last frame */
    uint64_t id;
    int64_t deadline_ns;
} channel_parts;

/* Checks that a frame begins a message, or goes on with the one that is open.
 * Its payload belongs at parts->got - message->size. class_: of the frame.
 * Returns: OK (parts->more says whether it is whole); FORMAT_*. */
SENTINEL_MUST_USE sentinel_status channel_follow(channel_parts *parts,
                                                 const sentinel_message *message, uint16_t class_);

/* How many bytes the frames of a message take; `least` is the smallest class. */
size_t channel_message_bytes(uint16_t least, size_t payload_size);

/* Writes all frames of a message. message: kind, id, deadline or status; the
 * rest is set here. out: channel_message_bytes, aligned to 8. Returns: bytes
 * written; 0: too long, or the direction has ended. */
size_t channel_seal_message(channel_side *side, uint8_t *out, uint16_t least,
                            const sentinel_message *message, const void *payload,
                            size_t payload_size);

#endif

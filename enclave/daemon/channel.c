/* Sealing and opening frames. */
#include "channel.h"

#include "bytes.h"
#include "check.h"

SENTINEL_ASSERT_LAYOUT(CHANNEL_PAYLOAD_AT % 8 == 0, "payloads are aligned");

static const uint32_t class_bytes[SENTINEL_CLASS_COUNT] = {
    [SENTINEL_CLASS_SMALL] = SENTINEL_SMALL_BYTES,
    [SENTINEL_CLASS_MIDDLE] = SENTINEL_MIDDLE_BYTES,
    [SENTINEL_CLASS_BROAD] = SENTINEL_BROAD_BYTES,
    [SENTINEL_CLASS_LARGE] = SENTINEL_LARGE_BYTES,
};

sentinel_status channel_side_begin(channel_side *side, const sentinel_channel_key *key) {
    memset(side, 0, sizeof *side);
    if (key == NULL) {
        side->transport = SENTINEL_TRANSPORT_PEER;
        return SENTINEL_OK;
    }
    side->cipher = frame_cipher_new(key);
    if (side->cipher == NULL) {
        return SENTINEL_CRYPTO_INIT;
    }
    side->transport = SENTINEL_TRANSPORT_SEALED;
    return SENTINEL_OK;
}

void channel_side_end(channel_side *side) {
    frame_cipher_free(side->cipher);
    bytes_wipe(side, sizeof *side);
}

void channel_ahead(channel_side *side, uint16_t class_) {
    if (side->transport == SENTINEL_TRANSPORT_SEALED) {
        frame_cipher_ahead(side->cipher, side->counter, class_bytes[class_]);
    }
}

size_t channel_frame_bytes(uint16_t class_) {
    return class_ > 0 && class_ < SENTINEL_CLASS_COUNT ? class_bytes[class_] + CHANNEL_AROUND_BYTES
                                                       : 0;
}

uint16_t channel_class(uint16_t least, size_t payload_size) {
    uint16_t class_ = least;
    while (class_ < SENTINEL_CLASS_LARGE && payload_size > CHANNEL_ROOM(class_bytes[class_])) {
        class_++;
    }
    return class_;
}

size_t channel_seal(channel_side *side, uint8_t *frame, uint16_t class_,
                    const sentinel_message *message, const void *payload) {
    size_t size = channel_frame_bytes(class_);
    if (side->transport == 0 || side->counter == UINT64_MAX || size == 0 ||
        message->size > CHANNEL_ROOM(class_bytes[class_])) {
        return 0;
    }
    sentinel_seal seal = {
        .version = SENTINEL_PROTOCOL_VERSION, .class_ = class_, .counter = side->counter};
    uint8_t *body = frame + sizeof seal;
    uint8_t *tag = body + class_bytes[class_];
    if (message->size != 0) {
        memmove(frame + CHANNEL_PAYLOAD_AT, payload, message->size);
    }
    memcpy(frame, &seal, sizeof seal);
    memcpy(body, message, sizeof *message);
    memset(frame + CHANNEL_PAYLOAD_AT + message->size, 0,
           size - CHANNEL_PAYLOAD_AT - message->size);
    if (side->transport == SENTINEL_TRANSPORT_SEALED &&
        !frame_cipher_seal(side->cipher, &seal, body, class_bytes[class_], tag)) {
        bytes_wipe(frame, size); /* A half-made frame never leaves. */
        channel_side_end(side);
        return 0;
    }
    side->counter++;
    return size;
}

size_t channel_expect(const channel_side *side, const uint8_t seal16[16]) {
    sentinel_seal seal;
    memcpy(&seal, seal16, sizeof seal);
    if (side->transport == 0 || side->counter == UINT64_MAX ||
        seal.version != SENTINEL_PROTOCOL_VERSION || seal.counter != side->counter ||
        !bytes_are_zero(seal.reserved, sizeof seal.reserved)) {
        return 0;
    }
    return channel_frame_bytes(seal.class_);
}

static sentinel_status open_body(const channel_side *side, const sentinel_seal *seal, uint8_t *body,
                                 size_t body_size) {
    uint8_t *tag = body + body_size;
    if (side->transport == SENTINEL_TRANSPORT_PEER) {
        return bytes_are_zero(tag, SENTINEL_TAG_GCM_BYTES) ? SENTINEL_OK : SENTINEL_FORMAT_RESERVED;
    }
    return frame_cipher_open(side->cipher, seal, body, body_size, tag) ? SENTINEL_OK
                                                                       : SENTINEL_CRYPTO_VERIFY;
}

sentinel_status channel_open(channel_side *side, const sentinel_message **message, uint8_t *frame,
                             size_t size) {
    if (side->transport == 0) {
        return SENTINEL_USAGE_STATE;
    }
    sentinel_seal seal;
    sentinel_status status = SENTINEL_FORMAT_SIZE;
    if (size >= sizeof seal && size == channel_expect(side, frame)) {
        memcpy(&seal, frame, sizeof seal);
        status = open_body(side, &seal, frame + sizeof seal, size - CHANNEL_AROUND_BYTES);
    }
    if (status == SENTINEL_OK) {
        const sentinel_message *inside = (const sentinel_message *)(frame + sizeof seal);
        size_t room = CHANNEL_ROOM(class_bytes[seal.class_]);
        if (inside->size > room) {
            status = SENTINEL_FORMAT_SIZE;
        } else if (!bytes_are_zero(frame + CHANNEL_PAYLOAD_AT + inside->size,
                                   room - inside->size)) {
            status = SENTINEL_FORMAT_RESERVED;
        } else {
            *message = inside;
            side->counter++;
            return SENTINEL_OK;
        }
    }
    channel_side_end(side);
    return status;
}

sentinel_status channel_follow(channel_parts *parts, const sentinel_message *message,
                               uint16_t class_) {
    uint16_t more = message->flags & SENTINEL_MESSAGE_MORE;
    if (message->flags != more) {
        return SENTINEL_FORMAT_RESERVED;
    }
    if (message->total > SENTINEL_CHANNEL_BYTES_MAX) {
        return SENTINEL_FORMAT_LIMIT;
    }
    if (!parts->more) {
        *parts = (channel_parts){.kind = message->kind,
                                 .status = message->status,
                                 .total = message->total,
                                 .id = message->id,
                                 .deadline_ns = message->deadline_ns};
    } else if (message->kind != parts->kind || message->id != parts->id ||
               message->total != parts->total || message->status != parts->status ||
               message->deadline_ns != parts->deadline_ns || class_ != SENTINEL_CLASS_LARGE) {
        return SENTINEL_FORMAT_ORDER;
    }
    /* A frame that is not the last is full, so a message has one form only. */
    uint32_t left = parts->total - parts->got;
    if (more ? class_ != SENTINEL_CLASS_LARGE || message->size != CHANNEL_LARGE_ROOM ||
                   left <= message->size
             : message->size != left) {
        return SENTINEL_FORMAT_SIZE;
    }
    parts->got += message->size;
    parts->more = more != 0;
    return SENTINEL_OK;
}

size_t channel_message_bytes(uint16_t least, size_t payload_size) {
    if (payload_size <= CHANNEL_LARGE_ROOM) {
        return channel_frame_bytes(channel_class(least, payload_size));
    }
    return (payload_size + CHANNEL_LARGE_ROOM - 1) / CHANNEL_LARGE_ROOM * CHANNEL_FRAME_BYTES_MAX;
}

size_t channel_seal_message(channel_side *side, uint8_t *out, uint16_t least,
                            const sentinel_message *message, const void *payload,
                            size_t payload_size) {
    if (payload_size > SENTINEL_CHANNEL_BYTES_MAX) {
        return 0;
    }
    sentinel_message each = *message;
    each.total = (uint32_t)payload_size;
    uint16_t class_ = channel_class(least, payload_size);
    size_t written = 0;
    size_t done = 0;
    do {
        size_t left = payload_size - done;
        each.size = (uint32_t)(left < CHANNEL_LARGE_ROOM ? left : CHANNEL_LARGE_ROOM);
        each.flags = left > each.size ? SENTINEL_MESSAGE_MORE : 0;
        size_t size =
            channel_seal(side, out + written, class_, &each, (const uint8_t *)payload + done);
        if (size == 0) {
            return 0;
        }
        written += size;
        done += each.size;
    } while (done < payload_size);
    return written;
}

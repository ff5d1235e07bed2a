/* Chooses the venue's renderer, renders messages, and derives client ids. */
#include "venue.h"

#include <string.h>

#include "bytes.h"
#include "venue_text.h"

static sentinel_reason message_render(sentinel_request *request, const sentinel_render *render) {
    static const char prefix[] = "sentinel-message-v1"; /* with its terminating zero */
    const sentinel_order_message *message = &render->order->message;
    uint32_t size = message->text_size; /* little-endian, as the machine is */
    if (render->key->purpose != SENTINEL_PURPOSE_MESSAGE) {
        return SENTINEL_REASON_UNSUPPORTED;
    }
    text_add(request, prefix, sizeof prefix);
    text_add(request, (const char *)&size, sizeof size);
    text_add(request, message->text, message->text_size);
    request->string_to_sign = text_since(request, 0);
    return SENTINEL_REASON_NONE;
}

static sentinel_reason message_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    (void)request, (void)render, (void)signature; /* the signature stands beside a message */
    return SENTINEL_REASON_NONE;
}

/* A message can be shown for ever: it says only what it says. */
static const sentinel_hold message_holds[SENTINEL_ACTION_COUNT] = {
    [SENTINEL_ACTION_MESSAGE] = {.endpoint_covered = 1, .window_ms = INT64_MAX},
};
static const venue_table venue_none = {
    .name = "none", .holds = message_holds, .render = message_render, .finish = message_finish};

static const venue_table *const venues[SENTINEL_VENUE_COUNT] = {
    [SENTINEL_VENUE_NONE] = &venue_none,
    [SENTINEL_VENUE_BINANCE_SPOT] = &venue_binance_spot,
    [SENTINEL_VENUE_BINANCE_USDM] = &venue_binance_usdm,
    [SENTINEL_VENUE_BYBIT] = &venue_bybit,
    [SENTINEL_VENUE_OKX] = &venue_okx,
    [SENTINEL_VENUE_DERIBIT] = &venue_deribit,
    [SENTINEL_VENUE_HYPERLIQUID] = &venue_hyperliquid,
};

const venue_table *venue_row(uint16_t number) {
    return number < SENTINEL_VENUE_COUNT ? venues[number] : NULL;
}

const char *sentinel_venue_name(uint16_t number) {
    const venue_table *row = venue_row(number);
    return row != NULL ? row->name : NULL;
}

const sentinel_hold *sentinel_venue_hold(uint16_t number, uint16_t action) {
    const venue_table *row = venue_row(number);
    if (row == NULL || action >= SENTINEL_ACTION_COUNT || row->holds[action].window_ms == 0) {
        return NULL;
    }
    return &row->holds[action];
}

int64_t sentinel_venue_usable_until_ms(const sentinel_render *render, uint16_t number) {
    const sentinel_hold *hold = sentinel_venue_hold(number, render->order->header.action);
    int64_t from = render->timestamp_ms, until;
    if (hold == NULL || __builtin_add_overflow(from, hold->window_ms, &until)) {
        return INT64_MAX;
    }
    if (hold->expiry == SENTINEL_HOLD_EXPIRY_SIGNED && render->has_expiry) {
        uint64_t end = render->expiry + (venue_row(number)->expiry_is_time ? 0 : (uint64_t)from);
        uint64_t least = (uint64_t)from + hold->floor_ms;
        if (end >= render->expiry && end < (uint64_t)until) {
            until = (int64_t)(end > least ? end : least);
        }
    }
    return until;
}

/* The row that renders; null when the venue has no such action, or when the
 * order's rows are of another venue than the key. */
static const venue_table *venue_of(const sentinel_render *render) {
    uint16_t number = render->key->venue, action = render->order->header.action;
    const venue_table *row = venue_row(number);
    if (sentinel_venue_hold(number, action) == NULL ||
        (render->instrument != NULL && render->instrument->venue != number) ||
        (render->asset != NULL && render->asset->venue != SENTINEL_VENUE_NONE &&
         render->asset->venue != number) ||
        (!row->nonced && venue_has(render, SENTINEL_PRESENT_LAB_NONCE))) {
        return NULL;
    }
    return row;
}

sentinel_reason sentinel_venue_render(sentinel_request *request, const sentinel_render *render) {
    memset(request, 0, offsetof(sentinel_request, text));
    const venue_table *own = venue_of(render);
    if (own == NULL) {
        return SENTINEL_REASON_UNSUPPORTED;
    }
    sentinel_reason reason = own->render(request, render);
    request->endpoint_covered = own->holds[render->order->header.action].endpoint_covered;
    if (reason == SENTINEL_REASON_NONE && request->overflow) {
        reason = SENTINEL_REASON_RENDER_FAILED;
    }
    return reason;
}

sentinel_reason sentinel_venue_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    const venue_table *own = venue_of(render);
    if (own == NULL || request->overflow || request->string_to_sign.size == 0 ||
        signature->algorithm != render->key->algorithm) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    sentinel_reason reason = own->finish(request, render, signature);
    if (reason == SENTINEL_REASON_NONE && request->overflow) {
        reason = SENTINEL_REASON_RENDER_FAILED;
    }
    return reason;
}

void sentinel_client_id(char text32[SENTINEL_CLIENT_ID_BYTES], const uint8_t engine_id32[32],
                        uint64_t epoch, uint64_t record) {
    uint8_t id[16];
    const uint32_t epoch32 = __builtin_bswap32((uint32_t)epoch);
    const uint64_t record64 = __builtin_bswap64(record);
    memcpy(id, engine_id32, 4);
    memcpy(id + 4, &epoch32, sizeof epoch32);
    memcpy(id + 8, &record64, sizeof record64);
    bytes_to_hex(text32, id, sizeof id);
}

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
    request->endpoint_covered = 1; /* a message has none that could be changed */
    return SENTINEL_REASON_NONE;
}

static sentinel_reason message_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    (void)request, (void)render, (void)signature; /* the signature stands beside a message */
    return SENTINEL_REASON_NONE;
}

static const venue venues[SENTINEL_VENUE_COUNT] = {
    [SENTINEL_VENUE_NONE] = {"none", message_render, message_finish},
    [SENTINEL_VENUE_BINANCE_SPOT] = {"binance_spot", venue_binance_render, venue_binance_finish},
    [SENTINEL_VENUE_BINANCE_USDM] = {"binance_usdm", venue_binance_render, venue_binance_finish},
    [SENTINEL_VENUE_BYBIT] = {"bybit", NULL, NULL},
    [SENTINEL_VENUE_OKX] = {"okx", NULL, NULL},
    [SENTINEL_VENUE_DERIBIT] = {"deribit", NULL, NULL},
    [SENTINEL_VENUE_HYPERLIQUID] = {"hyperliquid", NULL, NULL},
};

const char *sentinel_venue_name(uint16_t number) {
    return number < SENTINEL_VENUE_COUNT ? venues[number].name : NULL;
}

/* The renderer of the key's venue; null when there is none, or when the
 * order's rows are of another venue than the key. */
static const venue *venue_of(const sentinel_render *render) {
    uint16_t number = render->key->venue;
    int is_message = render->order->header.action == SENTINEL_ACTION_MESSAGE;
    if (number >= SENTINEL_VENUE_COUNT || (number == SENTINEL_VENUE_NONE) != is_message ||
        (render->instrument != NULL && render->instrument->venue != number)) {
        return NULL;
    }
    return venues[number].render != NULL ? &venues[number] : NULL;
}

sentinel_reason sentinel_venue_render(sentinel_request *request, const sentinel_render *render) {
    memset(request, 0, sizeof *request);
    const venue *own = venue_of(render);
    sentinel_reason reason =
        own != NULL ? own->render(request, render) : SENTINEL_REASON_UNSUPPORTED;
    if (reason == SENTINEL_REASON_NONE && request->overflow) {
        reason = SENTINEL_REASON_RENDER_FAILED;
    }
    return reason;
}

sentinel_reason sentinel_venue_finish(sentinel_request *request, const sentinel_render *render,
                                      const sentinel_signature *signature) {
    const venue *own = venue_of(render);
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
    memcpy(id, engine_id32, 4);
    for (unsigned i = 0; i < 4; i++) {
        id[4 + i] = (uint8_t)(epoch >> (24 - 8 * i));
    }
    for (unsigned i = 0; i < 8; i++) {
        id[8 + i] = (uint8_t)(record >> (56 - 8 * i));
    }
    bytes_to_hex(text32, id, sizeof id);
}

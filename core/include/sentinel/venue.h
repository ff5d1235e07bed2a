/* Rendering: the exact bytes of a venue's request, from a checked order. */
#ifndef SENTINEL_VENUE_H
#define SENTINEL_VENUE_H

#include <sentinel/policy.h>
#include <sentinel/sign.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_REQUEST_TEXT_BYTES 4096u
#define SENTINEL_REQUEST_HEADERS_MAX 8u
#define SENTINEL_CLIENT_ID_BYTES 32u

enum {
    SENTINEL_METHOD_NONE = 0, /* messages */
    SENTINEL_METHOD_GET = 1,
    SENTINEL_METHOD_POST = 2,
    SENTINEL_METHOD_PUT = 3,
    SENTINEL_METHOD_DELETE = 4,
    SENTINEL_METHOD_COUNT = 5
};

/* A part of sentinel_request.text. */
typedef struct sentinel_span {
    uint16_t offset;
    uint16_t size;
} sentinel_span;

typedef struct sentinel_request {
    uint8_t method;
    uint8_t header_count;
    uint8_t endpoint_covered; /* 1: the signature covers method and path */
    uint8_t overflow; /* 1: the text did not fit; nothing may be signed */
    uint16_t text_size;
    uint8_t prehashed; /* 1: string_to_sign is the 32-byte digest that is signed */
    uint8_t reserved[1];
    sentinel_span host;
    sentinel_span path;
    sentinel_span query; /* without "?"; with the signature when finished */
    sentinel_span body;
    sentinel_span string_to_sign;
    sentinel_span header_names[SENTINEL_REQUEST_HEADERS_MAX];
    sentinel_span header_values[SENTINEL_REQUEST_HEADERS_MAX];
    char text[SENTINEL_REQUEST_TEXT_BYTES];
} sentinel_request;
SENTINEL_SIZE(sentinel_request, 4188);

/* Everything that rendering needs, looked up beforehand. Null where the
 * action has none. */
typedef struct sentinel_render {
    const sentinel_order *order;
    const sentinel_instrument *instrument;
    const sentinel_asset *asset;
    const sentinel_network *network;
    const sentinel_asset *settle; /* of the instrument; of spot, its quote */
    const sentinel_key_info *key;
    const char *passphrase; /* beside the key; of passphrase_size */
    int64_t timestamp_ms;
    uint64_t expiry; /* as the venue writes it; meaningful if has_expiry */
    uint64_t nonce; /* venues that need one */
    uint8_t has_expiry;
    uint8_t side; /* of the order that an amend means */
    uint8_t client_id_size; /* 0: none (lab) */
    uint8_t target_client_id_size; /* 0: target.id is the venue's own */
    uint8_t environment; /* which hosts: the engine's; `lab` as `live` */
    /* The target's terms from the book; its type is 0 when they are unknown. */
    uint8_t target_type;
    uint8_t target_time_in_force;
    uint8_t target_reduce_only;
    uint8_t passphrase_size;
    uint8_t reserved[7];
    char client_id[SENTINEL_TAG_BYTES_MAX]; /* what this request is called */
    char target_client_id[SENTINEL_TAG_BYTES_MAX]; /* what the target is called */
} sentinel_render;

/* Renders everything but the signature.
 * Out:      request: all of it but text beyond text_size.
 * Returns:  NONE; UNSUPPORTED (the venue has no such action or field);
 *           ORDER_TEXT (an id that the venue does not take); TICK (a price
 *           with more digits than it takes); LOT (a size with more); EXPIRY;
 *           RENDER_FAILED (it does not fit).
 * Timing:   variable. Allocates: never. Threads: any. */
SENTINEL_API SENTINEL_MUST_USE sentinel_reason
sentinel_venue_render(sentinel_request *request, const sentinel_render *render);

/* Puts the signature where the venue wants it.
 * Returns: NONE; RENDER_FAILED. */
SENTINEL_API SENTINEL_MUST_USE sentinel_reason
sentinel_venue_finish(sentinel_request *request, const sentinel_render *render,
                      const sentinel_signature *signature);

/* The client order id of a record: 32 hex digits of the first 4 bytes of the
 * engine id, then u32 epoch and u64 record number, big-endian. */
SENTINEL_API void
sentinel_client_id(char text32[SENTINEL_CLIENT_ID_BYTES], const uint8_t engine_id32[32],
                   uint64_t epoch, uint64_t record);

/* What becomes of a signature that was released and not used, per venue and
 * action, from the venues' documents (docs/3-sign.md, "Hold and replay"). */
enum {
    SENTINEL_HOLD_EXPIRY_NONE = 0, /* nothing limits it but window_ms */
    SENTINEL_HOLD_EXPIRY_SIGNED = 1, /* the key's validity is signed with it */
    SENTINEL_HOLD_EXPIRY_UNSIGNED = 2 /* sent beside it: a carrier can leave it out */
};
typedef struct sentinel_hold {
    uint8_t expiry;
    uint8_t once; /* 1: the venue takes these bytes at most once */
    uint8_t endpoint_covered; /* 1: the signature covers method and path */
    uint8_t reserved[1];
    uint32_t floor_ms; /* a carrier can make any validity this long; 0: it cannot */
    int64_t window_ms; /* the longest that it is usable from its timestamp */
} sentinel_hold;
SENTINEL_SIZE(sentinel_hold, 16);

/* Null when the venue has no such action. */
SENTINEL_API const sentinel_hold *
sentinel_venue_hold(uint16_t venue, uint16_t action);

/* When the bytes rendered for a venue stop being usable, Unix milliseconds by
 * its clock; INT64_MAX: never. The carrier may do its worst. */
SENTINEL_API int64_t
sentinel_venue_usable_until_ms(const sentinel_render *render, uint16_t venue);

/* The venue's name as used in files, such as "binance_spot"; null if unknown. */
SENTINEL_API const char *
sentinel_venue_name(uint16_t venue);

#ifdef __cplusplus
}
#endif
#endif

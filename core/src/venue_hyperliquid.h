/* What the two kinds of Hyperliquid's actions have in common. */
#ifndef SENTINEL_VENUE_HYPERLIQUID_H
#define SENTINEL_VENUE_HYPERLIQUID_H

#include "eip712.h"
#include "venue.h"
#include "venue_text.h"

#define UNSUPPORTED SENTINEL_REASON_UNSUPPORTED
#define NONE SENTINEL_REASON_NONE

#define ADDRESS_CHARS 42u /* "0x" and 40 digits */

/* Lower-case alone: the venue writes ids and addresses so before it hashes. */
static inline int is_hex(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f')) {
            return 0;
        }
    }
    return 1;
}

static inline int is_prefixed_hex(const char *text, size_t size, size_t expected) {
    return size == expected && text[0] == '0' && text[1] == 'x' && is_hex(text + 2, size - 2);
}

/* Host, path and header, and room for the digest; the body begins here and
 * ends the text. */
static inline void hyperliquid_begin(sentinel_request *request, const sentinel_render *render) {
    static const char digest[32] = {0};
    request->method = SENTINEL_METHOD_POST;
    request->host = text_span(request, venue_is_test(render) ? "api.hyperliquid-testnet.xyz"
                                                             : "api.hyperliquid.xyz");
    request->path = text_span(request, "/exchange");
    text_header(request, "Content-Type", "application/json", strlen("application/json"));
    size_t offset = request->text_size;
    text_add(request, digest, sizeof digest);
    request->string_to_sign = text_since(request, offset);
    request->prehashed = 1;
    request->body.offset = request->text_size;
    text_string(request, "{");
    text_json_key(request, "action");
}

/* The signature follows the nonce, so the body is left open. */
static inline sentinel_reason hyperliquid_end(sentinel_request *request,
                                              const sentinel_render *render,
                                              const uint8_t domain32[32],
                                              const eip712_struct *signed_struct) {
    text_json_integer(request, "nonce", render->nonce);
    if (request->overflow || signed_struct->overflow) {
        return SENTINEL_REASON_RENDER_FAILED;
    }
    eip712_digest((uint8_t *)request->text + request->string_to_sign.offset, domain32,
                  signed_struct);
    return NONE;
}

/* User-signed actions, for master keys. */
sentinel_reason hyperliquid_withdraw(sentinel_request *request, const sentinel_render *render);
sentinel_reason hyperliquid_transfer(sentinel_request *request, const sentinel_render *render);

#endif

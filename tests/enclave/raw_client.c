/* The client's half of a session in pieces, for tests that put them together
 * wrongly. A library for ctypes (raw_client.py); its functions are tests' own. */
#include "channel.h"
#include "outcome.h"
#include "tls.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef struct raw_channel {
    channel_side to, from;
} raw_channel;

EXPORT SSL *raw_handshake(int fd, const uint8_t *seed32, uint8_t *peer32) {
    uint8_t own32[32];
    SSL_CTX *context = tls_context(own32, 0, seed32);
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;
    SSL_CTX_free(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 ||
        tls_peer_key(peer32, ssl) != SENTINEL_OK) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

EXPORT int raw_tls_write(SSL *ssl, const void *bytes, int size) {
    return SSL_write(ssl, bytes, size);
}

EXPORT int raw_tls_read(SSL *ssl, void *bytes, int size) {
    return SSL_read(ssl, bytes, size);
}

EXPORT void raw_tls_free(SSL *ssl) {
    SSL_free(ssl);
}

EXPORT void raw_spki_hash(uint8_t *hash32, const uint8_t *public_key32) {
    tls_spki_hash(hash32, public_key32);
}

/* ssl: null: a peer that the kernel names. */
EXPORT raw_channel *raw_begin(SSL *ssl, const uint8_t *engine32, uint64_t channel, uint64_t epoch,
                              uint32_t agent, uint16_t role) {
    raw_channel *made = calloc(1, sizeof *made);
    sentinel_exporter_context context = {
        .channel = channel, .epoch = epoch, .agent = agent, .role = role};
    sentinel_channel_key key;
    memcpy(context.engine_id32, engine32, 32);
    for (uint16_t direction = 1; made != NULL && direction <= 2; direction++) {
        channel_side *side = direction == 1 ? &made->to : &made->from;
        context.direction = direction;
        if (ssl != NULL && tls_channel_key(&key, ssl, &context) != SENTINEL_OK) {
            return NULL;
        }
        if (channel_side_begin(side, ssl != NULL ? &key : NULL) != SENTINEL_OK) {
            return NULL;
        }
    }
    return made;
}

EXPORT void raw_end(raw_channel *raw) {
    channel_side_end(&raw->to);
    channel_side_end(&raw->from);
    free(raw);
}

EXPORT uint64_t *raw_counter(raw_channel *raw) {
    return &raw->to.counter;
}

EXPORT size_t raw_seal(raw_channel *raw, uint8_t *frame, uint16_t class_,
                       const sentinel_message *message, const void *payload) {
    return channel_seal(&raw->to, frame, class_, message, payload);
}

EXPORT size_t raw_seal_message(raw_channel *raw, uint8_t *out, const sentinel_message *message,
                               const void *payload, size_t size) {
    return channel_seal_message(&raw->to, out, SENTINEL_CLASS_SMALL, message, payload, size);
}

EXPORT int raw_open(raw_channel *raw, uint8_t *frame, size_t size) {
    const sentinel_message *message;
    return (int)channel_open(&raw->from, &message, frame, size);
}

EXPORT size_t raw_outcome_head(void) {
    return OUTCOME_HEAD_BYTES;
}

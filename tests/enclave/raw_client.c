/* The client's half of a session in pieces, for tests that put them together
 * wrongly. A library for ctypes (raw_client.py); its functions are tests' own. */
#include "channel.h"
#include "outcome.h"
#include "tls.h"

#include <openssl/err.h>
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

/* One context a key: making its certificate takes longer than a session. */
static SSL_CTX *quiet_context(const uint8_t *seed32) {
    static struct {
        uint8_t seed32[32];
        SSL_CTX *context;
    } kept[16];
    static unsigned next;
    uint8_t own32[32];
    for (unsigned i = 0; i < 16; i++) {
        if (kept[i].context != NULL && memcmp(kept[i].seed32, seed32, 32) == 0) {
            return kept[i].context;
        }
    }
    unsigned at = next++ % 16;
    SSL_CTX_free(kept[at].context);
    memcpy(kept[at].seed32, seed32, 32);
    kept[at].context = tls_context(own32, 0, seed32);
    return kept[at].context;
}

/* The same without a socket: what came is put in, what is to go is taken out. */
EXPORT SSL *raw_quiet_new(const uint8_t *seed32) {
    SSL_CTX *context = quiet_context(seed32);
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;
    if (ssl != NULL) {
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

EXPORT void raw_quiet_put(SSL *ssl, const void *bytes, int size) {
    (void)BIO_write(SSL_get_rbio(ssl), bytes, size);
}

EXPORT int raw_quiet_take(SSL *ssl, void *bytes, int size) {
    return BIO_read(SSL_get_wbio(ssl), bytes, size);
}

/* Returns: 1: done, and the daemon's key is in peer32; 0: it waits; -1: it failed. */
EXPORT int raw_quiet_shake(SSL *ssl, uint8_t *peer32) {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl);
    if (result == 1) {
        return tls_peer_key(peer32, ssl) == SENTINEL_OK ? 1 : -1;
    }
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Returns: how many bytes; 0: it waits; -1: it failed. */
EXPORT int raw_quiet_read(SSL *ssl, void *bytes, int size) {
    ERR_clear_error();
    int got = SSL_read(ssl, bytes, size);
    return got > 0 ? got : SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ ? 0 : -1;
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

/* Where any of these runs of eight bytes is. seen: 2^20 bits, zero. Returns: the
 * offset behind `from` of the first; size: none. */
EXPORT size_t raw_scan(const uint8_t *bytes, size_t size, size_t from, const uint64_t *sorted,
                       size_t count, uint8_t *seen) {
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t run;
    if (from == 0) {
        for (size_t i = 0; i < count; i++) {
            uint64_t at = sorted[i] * odd >> 44;
            seen[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    for (size_t i = from; i + 8 <= size; i++) {
        memcpy(&run, bytes + i, 8);
        uint64_t at = run * odd >> 44;
        if ((seen[at / 8] >> at % 8 & 1) == 0) {
            continue;
        }
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (sorted[middle] == run) {
                return i;
            }
            low = sorted[middle] < run ? middle + 1 : low;
            high = sorted[middle] < run ? high : middle;
        }
    }
    return size;
}

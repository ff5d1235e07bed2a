/* The handshake of a session: TLS 1.3 in one form only, with an Ed25519 key and
 * a certificate made in memory on either side. Both sides use this.
 * enclave/PROTOCOL.md, sections 2 and 3. */
#ifndef TLS_H
#define TLS_H

#include "protocol.h"

#include <openssl/types.h>
#include <sentinel/status.h>

/* The DER SubjectPublicKeyInfo of an Ed25519 key: 12 fixed bytes and the key. */
#define TLS_SPKI_BYTES 44u

/* A context for one side. seed32: of the Ed25519 key; null: a fresh key.
 * public_key32: of it. Null: OpenSSL could not. */
SSL_CTX *tls_context(uint8_t public_key32[32], int is_server, const uint8_t *seed32);

void tls_spki(uint8_t spki[TLS_SPKI_BYTES], const uint8_t public_key32[32]);

/* What a daemon is pinned by: SHA-256 of its key's SubjectPublicKeyInfo. */
void tls_spki_hash(uint8_t hash32[32], const uint8_t public_key32[32]);

/* The peer's key, proven by a finished handshake.
 * Returns: OK; USAGE_STATE (not finished); CRYPTO_VERIFY (no Ed25519 key). */
SENTINEL_MUST_USE sentinel_status tls_peer_key(uint8_t public_key32[32], const SSL *ssl);

/* The key of a direction. The caller wipes it. Returns: OK; CRYPTO_FAILED;
 * USAGE_STATE (not finished). */
SENTINEL_MUST_USE sentinel_status tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                                  const sentinel_exporter_context *context);

#endif

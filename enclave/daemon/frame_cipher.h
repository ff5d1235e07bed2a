/* AES-256-GCM of a channel's frames. The nonces are counters, so both ends know
 * the next one: its key stream is made while nobody waits, and what is left when
 * a frame comes is XOR and GHASH. The bytes are those of any AES-256-GCM. */
#ifndef FRAME_CIPHER_H
#define FRAME_CIPHER_H

#include "protocol.h"

/* Key stream that is kept ahead: the first block masks the tag. */
#define FRAME_CIPHER_AHEAD_BYTES (16u + SENTINEL_MIDDLE_BYTES)

typedef struct frame_cipher frame_cipher;

/* Allocates. Returns: null: there is no memory, or OpenSSL failed. */
frame_cipher *frame_cipher_new(const sentinel_channel_key *key);

/* Wipes it. Safe with null. */
void frame_cipher_free(frame_cipher *cipher);

/* Makes the key stream of a frame ahead, for a body of so many bytes; what is
 * there already is not made again. A frame without it makes its own. */
void frame_cipher_ahead(frame_cipher *cipher, uint64_t counter, size_t body_size);

/* Turns the body into its ciphertext where it lies; size: a multiple of 16.
 * Returns: 1; 0: OpenSSL failed, and the body is wiped. */
int frame_cipher_seal(frame_cipher *cipher, const sentinel_seal *seal, uint8_t *body, size_t size,
                      uint8_t tag16[SENTINEL_TAG_GCM_BYTES]);

/* The way back. Returns: 1; 0: the tag is another one, and the body is wiped. */
int frame_cipher_open(frame_cipher *cipher, const sentinel_seal *seal, uint8_t *body, size_t size,
                      const uint8_t tag16[SENTINEL_TAG_GCM_BYTES]);

#endif

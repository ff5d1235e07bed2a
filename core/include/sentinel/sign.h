/* Keys and signatures. The keyring holds secrets in locked, guarded memory
 * that is left out of core dumps and wiped in a forked child; a wiped key is
 * unusable, never zero. Every signing call is constant time in the secret. */
#ifndef SENTINEL_SIGN_H
#define SENTINEL_SIGN_H

#include <sentinel/status.h>
#include <sentinel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENTINEL_KEYRING_KEYS_MAX 64u
#define SENTINEL_SECRET_BYTES_MAX 128u
#define SENTINEL_API_KEY_BYTES_MAX 128u
#define SENTINEL_API_PASSPHRASE_BYTES_MAX 64u
#define SENTINEL_PASSPHRASE_BYTES_MAX 1024u

/* What may be known of a key. */
typedef struct sentinel_key_info {
    uint32_t id; /* not 0 */
    uint8_t purpose;
    uint8_t algorithm;
    uint16_t venue; /* SENTINEL_PURPOSE_VENUE*: which one; else 0 */
    uint8_t public_key_size; /* 32 (Ed25519, BIP340), 33 (ECDSA), 0 (HMAC) */
    uint8_t api_key_size;
    uint8_t lab; /* 1: made for the environment `lab`, and usable there alone */
    uint8_t reserved[5];
    uint8_t public_key[40]; /* unused bytes are zero */
    uint8_t fingerprint32[32]; /* SHA-256("sentinel-key-v1" || 0x00 || purpose ||
        algorithm || u16 venue || u8 api_key_size || api_key || tail), where tail is
        the public key, or for HMAC: HMAC-SHA256(secret, "sentinel-key-v1") */
    /* The venue's name of the key; not secret. Hyperliquid: whom it acts for,
     * as "0x" and 40 lower-case hex digits (a vault: "vault-0x..."); empty: itself. */
    char api_key[SENTINEL_API_KEY_BYTES_MAX];
} sentinel_key_info;
SENTINEL_SIZE(sentinel_key_info, 216);

typedef struct sentinel_signature {
    uint8_t algorithm;
    uint8_t size; /* 64, or 32 for HMAC */
    uint8_t recovery_id; /* ECDSA: 0 to 3; else 0 */
    uint8_t reserved[5];
    uint8_t bytes[64]; /* ECDSA: r || s, s low */
} sentinel_signature;
SENTINEL_SIZE(sentinel_signature, 72);

typedef struct sentinel_keyring sentinel_keyring; /* opaque; locked memory */

/* Makes an empty keyring. Allocates once: locked and guarded pages.
 * Returns:  OK; CRYPTO_INIT; IO_MEMORY; KEY_MEMORY (RLIMIT_MEMLOCK too low).
 * Threads:  calls on one keyring take turns outside. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_new(sentinel_keyring **ring);

/* Wipes and releases a keyring. Null is allowed. */
SENTINEL_API void
sentinel_keyring_free(sentinel_keyring *ring);

/* Makes a fresh key. Ed25519: a seed; secp256k1: a scalar by rejection; HMAC:
 * 32 random bytes as 64 hex characters. info: id, purpose, algorithm, venue,
 * api_key in; everything out.
 * Returns: OK; KEY_EXISTS; KEY_FULL; KEY_WIPED; USAGE_ARGUMENT. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_generate(sentinel_keyring *ring, sentinel_key_info *info);

/* Takes a secret: 32 bytes (Ed25519 seed, secp256k1 scalar), or the HMAC
 * secret's own 1 to 128 bytes. The caller wipes its copy.
 * Returns: as above; KEY_INVALID. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_import(sentinel_keyring *ring, sentinel_key_info *info, const uint8_t *secret,
                        size_t secret_size);

/* Sets the text that a venue wants beside the key (OKX's passphrase): printable
 * ASCII without a space at either end, or none. It is sealed with the key, but
 * is no part of its fingerprint.
 * Returns: OK; KEY_UNKNOWN; KEY_WIPED; USAGE_ARGUMENT. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_set_passphrase(sentinel_keyring *ring, uint32_t id, const char *text, size_t size);

/* The same text, and its size; null when the key has none. */
SENTINEL_API const char *
sentinel_keyring_passphrase(const sentinel_keyring *ring, uint32_t id, uint8_t *size);

/* Removes and wipes one key. Returns: OK; KEY_UNKNOWN. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_remove(sentinel_keyring *ring, uint32_t id);

/* SHA-256 over the sentinel_key_info of its first `count` keys, as they came in:
 * which keys these are, fingerprints of secrets included. A key file keeps that
 * order. Returns: OK; USAGE_ARGUMENT (it has not so many); KEY_WIPED. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_hash(uint8_t hash32[32], const sentinel_keyring *ring, uint32_t count);

/* How many keys the ring holds. */
SENTINEL_API uint32_t
sentinel_keyring_count(const sentinel_keyring *ring);

/* The key at a position below sentinel_keyring_count, or by id; null when
 * there is none or the memory was wiped. */
SENTINEL_API const sentinel_key_info *
sentinel_keyring_at(const sentinel_keyring *ring, uint32_t position);
SENTINEL_API const sentinel_key_info *
sentinel_keyring_find(const sentinel_keyring *ring, uint32_t id);

/* The address of a secp256k1 key: "0x" and the last 20 bytes of the Keccak-256
 * of its point, in lower-case hex, without a terminating zero. Returns: OK;
 * USAGE_ARGUMENT (the bytes are no compressed public key). */
#define SENTINEL_ADDRESS_TEXT_BYTES 42u
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_key_address(char text42[SENTINEL_ADDRESS_TEXT_BYTES], const uint8_t public_key33[33]);

/* Key file: the keyring sealed under a passphrase.
 *
 *   0  8  magic "SENTKEYS"      8  2  version 1      10  2  reserved
 *  12  4  count of keys        16  8  Argon2id opslimit
 *  24  8  Argon2id memlimit (bytes)                  32 16  salt
 *  48 24  nonce                72  XChaCha20-Poly1305(rows), header as AD
 *
 * row: sentinel_key_info, u32 secret size, u32 passphrase size, 128 bytes
 * secret, 64 bytes of the venue's passphrase. */
#define SENTINEL_KEYFILE_HEADER_BYTES 72u
#define SENTINEL_KEYFILE_ROW_BYTES 416u
SENTINEL_API size_t
sentinel_keyring_sealed_bytes(const sentinel_keyring *ring);

/* memlimit and opslimit 0: libsodium's "moderate". Returns: OK;
 * USAGE_ARGUMENT (limits that unsealing refuses, or an empty passphrase);
 * USAGE_CAPACITY; KEY_WIPED; KEY_MEMORY; IO_MEMORY. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_seal(const sentinel_keyring *ring, uint8_t *out, size_t out_size,
                      const char *passphrase, size_t passphrase_size, uint64_t opslimit,
                      uint64_t memlimit);

/* Fills an empty keyring, or leaves it empty. Returns: OK; FORMAT_*;
 * KEY_PASSPHRASE; USAGE_STATE (not empty); USAGE_ARGUMENT (as above);
 * KEY_WIPED; KEY_MEMORY; IO_MEMORY. Limits above 4 GiB or 64 passes: FORMAT_RANGE. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_keyring_unseal(sentinel_keyring *ring, const uint8_t *sealed, size_t size,
                        const char *passphrase, size_t passphrase_size);

/* Signs bytes with a key. A key with a pool of nonces signs with the next of
 * them (nonces.h); else, and whenever there is none: Ed25519: RFC 8032 over the
 * bytes. ECDSA: over the SHA-256 of the bytes, RFC 6979. BIP340: over the SHA-256
 * of the bytes, auxiliary randomness zero. HMAC-SHA256: over the bytes. Counts
 * the use.
 * Keys of purpose AUTHORITY and RECEIPT are refused (KEY_PURPOSE).
 * Returns:  OK; KEY_UNKNOWN; KEY_PURPOSE; KEY_WIPED; CRYPTO_FAILED (signature
 *           zeroed).
 * Timing:   constant in the secret. Allocates: never. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_sign(sentinel_keyring *ring, sentinel_signature *signature, uint32_t key,
              const uint8_t *bytes, size_t size);

/* The same over a digest (ECDSA, BIP340 only; else KEY_PURPOSE). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_sign_digest(sentinel_keyring *ring, sentinel_signature *signature, uint32_t key,
                     const uint8_t digest32[32]);

/* Verifies what sentinel_sign made: ECDSA with a low s and the right recovery
 * id. HMAC has no public key (USAGE_ARGUMENT). public_key: of the algorithm's
 * size. Returns: OK; CRYPTO_VERIFY; USAGE_ARGUMENT. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_verify(uint8_t algorithm, const uint8_t *public_key, size_t public_key_size,
                const sentinel_signature *signature, const uint8_t *bytes, size_t size);

/* Ed25519 over prefix || 0x00 || digest: how frames and heads are signed.
 * Only with keys of purpose AUTHORITY or RECEIPT (else KEY_PURPOSE); prefix
 * begins with "sentinel-" and is at most 64 characters.
 * Returns: as sentinel_sign; USAGE_ARGUMENT (another prefix). */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_sign_frame(sentinel_keyring *ring, uint8_t signature64[64], uint32_t key,
                    const char *prefix, const uint8_t digest32[32]);

/* Verifies the same. Returns: OK; CRYPTO_VERIFY. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_verify_frame(const uint8_t signature64[64], const uint8_t public_key32[32],
                      const char *prefix, const uint8_t digest32[32]);

/* A record's salts, one for each of its three parts: the first 48 bytes of
 * SHA-256(k || u64 epoch || u64 record || u8 0) || SHA-256(the same, u8 1),
 * k = HMAC-SHA256(receipt key's secret, "sentinel-salt-v1"). All that is hashed
 * has one length, so nothing can be appended. Returns: as sign. */
SENTINEL_API SENTINEL_MUST_USE sentinel_status
sentinel_sign_salts(const sentinel_keyring *ring, uint8_t salts[SENTINEL_SALTS_BYTES], uint32_t key,
                    uint64_t epoch, uint64_t record);

/* How often a key has signed since the keyring was made. */
SENTINEL_API uint64_t
sentinel_keyring_uses(const sentinel_keyring *ring, uint32_t key);

#ifdef __cplusplus
}
#endif
#endif

/* Signing and verifying: the choice of key, purpose and algorithm. */
#include "sign_salts.h"

#include "sign_nonces.h"

#define STACK_SALTS_BYTES 512u /* below, where two messages were hashed at once */
#define FRAME_PREFIX_CHARS_MAX 64u
#define FRAME_MESSAGE_BYTES_MAX (FRAME_PREFIX_CHARS_MAX + 1u + 32u)

enum { FOR_ORDERS = 0, FOR_FRAMES = 1 };

/* The slot of a key, if its purpose allows this use: a key that signs frames
 * and heads never signs bytes that somebody else chose. */
static sentinel_status slot_for(const sign_slot **slot, const sentinel_keyring *ring, uint32_t key,
                                int use) {
    if (!sign_is_live(ring)) {
        return SENTINEL_KEY_WIPED;
    }
    const sign_slot *found = sign_slot_find(ring, key);
    if (found == NULL) {
        return SENTINEL_KEY_UNKNOWN;
    }
    if ((sign_is_for_frames(found) ? FOR_FRAMES : FOR_ORDERS) != use) {
        return SENTINEL_KEY_PURPOSE;
    }
    *slot = found;
    return SENTINEL_OK;
}

static sentinel_status count_use(sentinel_keyring *ring, const sign_slot *slot) {
    ring->slots[slot - ring->slots].uses++;
    return SENTINEL_OK;
}

/* Completes a signature, or wipes whatever a backend left. In a child that was
 * forked amid the signing the key read as zeros meanwhile. */
static sentinel_status complete(sentinel_keyring *ring, const sign_slot *slot,
                                sentinel_signature *signature, int made) {
    if (!made || !sign_is_live(ring)) {
        bytes_wipe(signature, sizeof *signature);
        return SENTINEL_CRYPTO_FAILED;
    }
    signature->algorithm = slot->info.algorithm;
    signature->size = slot->info.algorithm == SENTINEL_ALGORITHM_HMAC_SHA256 ? 32 : 64;
    return count_use(ring, slot);
}

sentinel_status sentinel_sign(sentinel_keyring *ring, sentinel_signature *signature, uint32_t key,
                              const uint8_t *bytes, size_t size) {
    const sign_slot *slot = NULL;
    uint8_t digest32[32];
    memset(signature, 0, sizeof *signature);
    SENTINEL_TRY(slot_for(&slot, ring, key, FOR_ORDERS));
    switch (slot->info.algorithm) {
    case SENTINEL_ALGORITHM_ED25519:
        return complete(
            ring, slot, signature,
            (slot->pool != NULL && sign_with_nonce(signature, slot->pool, bytes, size)) ||
                sign_ed25519(signature->bytes, slot, bytes, size));
    case SENTINEL_ALGORITHM_HMAC_SHA256:
        sign_hmac(signature->bytes, &slot->mac, bytes, size);
        return complete(ring, slot, signature, 1);
    default:
        hash_bytes(digest32, bytes, size);
        return sentinel_sign_digest(ring, signature, key, digest32);
    }
}

sentinel_status sentinel_sign_digest(sentinel_keyring *ring, sentinel_signature *signature,
                                     uint32_t key, const uint8_t digest32[32]) {
    const sign_slot *slot = NULL;
    memset(signature, 0, sizeof *signature);
    SENTINEL_TRY(slot_for(&slot, ring, key, FOR_ORDERS));
    if (slot->pool != NULL && slot->info.algorithm != SENTINEL_ALGORITHM_ED25519 &&
        sign_with_nonce(signature, slot->pool, digest32, 32)) {
        return complete(ring, slot, signature, 1);
    }
    switch (slot->info.algorithm) {
    case SENTINEL_ALGORITHM_ECDSA_SECP256K1:
        return complete(ring, slot, signature,
                        sign_ecdsa(ring->secp256k1, signature, slot, digest32));
    case SENTINEL_ALGORITHM_BIP340:
        return complete(ring, slot, signature,
                        sign_bip340(ring->secp256k1, signature->bytes, slot, digest32));
    default:
        return SENTINEL_KEY_PURPOSE;
    }
}

/* A signature in the one form that complete() gives. */
static int signature_is_valid(const sentinel_signature *signature, uint8_t algorithm) {
    return signature->algorithm == algorithm && signature->size == 64 &&
           (algorithm == SENTINEL_ALGORITHM_ECDSA_SECP256K1 || signature->recovery_id == 0) &&
           bytes_are_zero(signature->reserved, sizeof signature->reserved);
}

sentinel_status sentinel_verify(uint8_t algorithm, const uint8_t *public_key,
                                size_t public_key_size, const sentinel_signature *signature,
                                const uint8_t *bytes, size_t size) {
    static const uint8_t key_sizes[SENTINEL_ALGORITHM_COUNT] = {
        [SENTINEL_ALGORITHM_ED25519] = 32,
        [SENTINEL_ALGORITHM_ECDSA_SECP256K1] = 33,
        [SENTINEL_ALGORITHM_BIP340] = 32,
    };
    uint8_t digest32[32];
    int verified = 0;
    if (algorithm >= SENTINEL_ALGORITHM_COUNT || key_sizes[algorithm] == 0 ||
        public_key_size != key_sizes[algorithm]) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (!signature_is_valid(signature, algorithm)) {
        return SENTINEL_CRYPTO_VERIFY;
    }
    switch (algorithm) {
    case SENTINEL_ALGORITHM_ED25519:
        verified = sign_ed25519_verify(public_key, signature->bytes, bytes, size);
        break;
    case SENTINEL_ALGORITHM_ECDSA_SECP256K1:
        hash_bytes(digest32, bytes, size);
        verified = sign_ecdsa_verify(public_key, signature, digest32);
        break;
    default:
        hash_bytes(digest32, bytes, size);
        verified = sign_bip340_verify(public_key, signature->bytes, digest32);
        break;
    }
    return verified ? SENTINEL_OK : SENTINEL_CRYPTO_VERIFY;
}

/* prefix || 0x00 || digest. Gives its size; 0 when the prefix is not one of
 * ours. A prefix has no zero inside, so no two of them can be confused. */
static size_t frame_message(uint8_t message[FRAME_MESSAGE_BYTES_MAX], const char *prefix,
                            const uint8_t digest32[32]) {
    static const char ours[] = "sentinel-";
    const size_t chars = strnlen(prefix, FRAME_PREFIX_CHARS_MAX + 1);
    if (chars > FRAME_PREFIX_CHARS_MAX || strncmp(prefix, ours, sizeof ours - 1) != 0) {
        return 0;
    }
    memcpy(message, prefix, chars + 1);
    memcpy(message + chars + 1, digest32, 32);
    return chars + 1 + 32;
}

sentinel_status sentinel_sign_frame(sentinel_keyring *ring, uint8_t signature64[64], uint32_t key,
                                    const char *prefix, const uint8_t digest32[32]) {
    const sign_slot *slot = NULL;
    uint8_t message[FRAME_MESSAGE_BYTES_MAX];
    const size_t size = frame_message(message, prefix, digest32);
    memset(signature64, 0, 64);
    SENTINEL_TRY(slot_for(&slot, ring, key, FOR_FRAMES));
    if (size == 0) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    if (!sign_ed25519(signature64, slot, message, size) || !sign_is_live(ring)) {
        bytes_wipe(signature64, 64);
        return SENTINEL_CRYPTO_FAILED;
    }
    return count_use(ring, slot);
}

sentinel_status sentinel_verify_frame(const uint8_t signature64[64], const uint8_t public_key32[32],
                                      const char *prefix, const uint8_t digest32[32]) {
    uint8_t message[FRAME_MESSAGE_BYTES_MAX];
    const size_t size = frame_message(message, prefix, digest32);
    return size > 0 && sign_ed25519_verify(public_key32, signature64, message, size)
               ? SENTINEL_OK
               : SENTINEL_CRYPTO_VERIFY;
}

/* The slot of a key that records are salted with. */
static sentinel_status slot_for_salts(const sign_slot **slot, const sentinel_keyring *ring,
                                      uint32_t key) {
    SENTINEL_TRY(slot_for(slot, ring, key, FOR_FRAMES));
    return (*slot)->info.purpose == SENTINEL_PURPOSE_RECEIPT ? SENTINEL_OK : SENTINEL_KEY_PURPOSE;
}

/* What salts are digests of, each a block with its padding. */
static void salt_messages(uint8_t messages[2][SHA256_CBLOCK], const sign_slot *slot, uint64_t epoch,
                          uint64_t record) {
    enum { KEY = sizeof slot->salt_key32, SIZE = KEY + 17, BITS = 8 * SIZE };
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t *at = messages[i];
        memset(at, 0, SHA256_CBLOCK);
        memcpy(at, slot->salt_key32, KEY);
        memcpy(at + KEY, &epoch, 8); /* little-endian: see types.h */
        memcpy(at + KEY + 8, &record, 8);
        at[KEY + 16] = i;
        at[SIZE] = 0x80;
        at[SHA256_CBLOCK - 2] = BITS >> 8;
        at[SHA256_CBLOCK - 1] = BITS & 0xff;
    }
}

sentinel_status sentinel_sign_salts(const sentinel_keyring *ring,
                                    uint8_t salts[SENTINEL_SALTS_BYTES], uint32_t key,
                                    uint64_t epoch, uint64_t record) {
    const sign_slot *slot = NULL;
    memset(salts, 0, SENTINEL_SALTS_BYTES);
    SENTINEL_TRY(slot_for_salts(&slot, ring, key));
    const sign_ahead *ahead = &slot->ahead;
    if (ahead->made == SIGN_LIVE && ahead->epoch == epoch && ahead->record == record) {
        memcpy(salts, ahead->salts, SENTINEL_SALTS_BYTES);
        return SENTINEL_OK;
    }
    uint8_t messages[2][SHA256_CBLOCK], digests[2][32];
    salt_messages(messages, slot, epoch, record);
    for (unsigned i = 0; i < 2; i++) {
        hash_chain chain = hash_first;
        hash_blocks(&chain, messages[i], SHA256_CBLOCK);
        hash_words32(digests[i], chain.h);
        bytes_wipe(&chain, sizeof chain);
    }
    memcpy(salts, digests, SENTINEL_SALTS_BYTES);
    bytes_wipe(messages, sizeof messages);
    bytes_wipe(digests, sizeof digests);
    return SENTINEL_OK;
}

void sign_salts_ahead(sentinel_keyring *ring, uint32_t key, uint64_t epoch, uint64_t record,
                      hash_chain *chain, const uint8_t blocks[SIGN_BESIDE_BLOCKS * 64]) {
    const sign_slot *slot = NULL;
    if (slot_for_salts(&slot, ring, key) != SENTINEL_OK) {
        hash_blocks(chain, blocks, SIGN_BESIDE_BLOCKS * SHA256_CBLOCK);
        return;
    }
    sign_ahead *ahead = &ring->slots[slot - ring->slots].ahead;
    uint8_t messages[2][SHA256_CBLOCK], digests[2][32];
    ahead->made = 0;
    salt_messages(messages, slot, epoch, record);
    hash_beside(chain, blocks, digests, (const uint8_t(*)[SHA256_CBLOCK])messages);
    ahead->epoch = epoch;
    ahead->record = record;
    memcpy(ahead->salts, digests, SENTINEL_SALTS_BYTES);
    ahead->made = SIGN_LIVE;
    bytes_wipe(messages, sizeof messages);
    bytes_wipe(digests, sizeof digests);
    sodium_stackzero(STACK_SALTS_BYTES);
}

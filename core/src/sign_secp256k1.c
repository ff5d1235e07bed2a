/* ECDSA and BIP340 on secp256k1, by libsecp256k1. */
#include <secp256k1_preallocated.h>
#include <secp256k1_recovery.h>
#include <secp256k1_schnorrsig.h>

#include "sign_internal.h"

size_t sign_secp256k1_context_bytes(void) {
    return secp256k1_context_preallocated_size(SECP256K1_CONTEXT_NONE);
}

/* libsecp256k1 calls this when an argument of ours is wrong, and gives 0
 * afterwards; its own default aborts, which no release build may do. */
static void refuse(const char *message, void *data) {
    (void)message;
    (void)data;
}

/* Blinded with fresh entropy, against side channels that constant time does
 * not close. It is in the keyring, for it is secret and there are no globals. */
secp256k1_context *sign_secp256k1_context(void *memory) {
    uint8_t seed32[32];
    secp256k1_context *context =
        secp256k1_context_preallocated_create(memory, SECP256K1_CONTEXT_NONE);
    secp256k1_context_set_illegal_callback(context, refuse, NULL);
    randombytes_buf(seed32, sizeof seed32);
    int blinded = secp256k1_context_randomize(context, seed32);
    bytes_wipe(seed32, sizeof seed32);
    return blinded == 1 ? context : NULL;
}

sentinel_status sign_secp256k1_expand(const secp256k1_context *context, sign_slot *slot) {
    if (slot->secret_size != 32) {
        return SENTINEL_KEY_INVALID;
    }
    int valid = secp256k1_keypair_create(context, &slot->keypair, slot->secret);
    SIGN_DECLASSIFY(&valid, sizeof valid); /* 1 <= scalar < n; the caller is told */
    if (valid != 1) {
        return SENTINEL_KEY_INVALID;
    }
    /* The second part of libsecp256k1's keypair is its public key. */
    SIGN_DECLASSIFY(slot->keypair.data + 32, sizeof slot->keypair.data - 32);
    secp256k1_pubkey public_key;
    secp256k1_xonly_pubkey xonly;
    size_t size = 33;
    int made;
    if (slot->info.algorithm == SENTINEL_ALGORITHM_BIP340) {
        size = 32;
        made = secp256k1_keypair_xonly_pub(context, &xonly, NULL, &slot->keypair) &&
               secp256k1_xonly_pubkey_serialize(context, slot->info.public_key, &xonly);
    } else {
        made = secp256k1_keypair_pub(context, &public_key, &slot->keypair) &&
               secp256k1_ec_pubkey_serialize(context, slot->info.public_key, &size, &public_key,
                                             SECP256K1_EC_COMPRESSED);
    }
    slot->info.public_key_size = (uint8_t)size;
    return made ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

/* Nonce of RFC 6979; libsecp256k1 gives s in the lower half, and the
 * recovery id that belongs to it. */
int sign_ecdsa(const secp256k1_context *context, sentinel_signature *signature,
               const sign_slot *slot, const uint8_t digest32[32]) {
    secp256k1_ecdsa_recoverable_signature recoverable;
    int recovery_id = 0;
    int made =
        secp256k1_ecdsa_sign_recoverable(context, &recoverable, digest32, slot->secret, NULL, NULL);
    SIGN_DECLASSIFY(&made, sizeof made);
    SIGN_DECLASSIFY(&recoverable, sizeof recoverable);
    made = made && secp256k1_ecdsa_recoverable_signature_serialize_compact(
                       context, signature->bytes, &recovery_id, &recoverable);
    signature->recovery_id = (uint8_t)recovery_id;
    return made;
}

/* Also the recovery id must be right, since venues find the signer by it:
 * secp256k1_ecdsa_verify refuses a high s, but never sees the id. */
int sign_ecdsa_verify(const uint8_t public_key33[33], const sentinel_signature *signature,
                      const uint8_t digest32[32]) {
    const secp256k1_context *context = secp256k1_context_static;
    secp256k1_ecdsa_recoverable_signature recoverable;
    secp256k1_ecdsa_signature plain;
    secp256k1_pubkey given, recovered;
    return signature->recovery_id <= 3 &&
           secp256k1_ec_pubkey_parse(context, &given, public_key33, 33) &&
           secp256k1_ecdsa_recoverable_signature_parse_compact(
               context, &recoverable, signature->bytes, signature->recovery_id) &&
           secp256k1_ecdsa_recoverable_signature_convert(context, &plain, &recoverable) &&
           secp256k1_ecdsa_verify(context, &plain, digest32, &given) &&
           secp256k1_ecdsa_recover(context, &recovered, &recoverable, digest32) &&
           secp256k1_ec_pubkey_cmp(context, &given, &recovered) == 0;
}

/* BIP340 with auxiliary randomness of zero bytes, so that equal inputs give
 * equal signatures (null means that to libsecp256k1). */
int sign_bip340(const secp256k1_context *context, uint8_t sig64[64], const sign_slot *slot,
                const uint8_t digest32[32]) {
    int made = secp256k1_schnorrsig_sign32(context, sig64, digest32, &slot->keypair, NULL);
    SIGN_DECLASSIFY(&made, sizeof made);
    return made;
}

int sign_bip340_verify(const uint8_t public_key32[32], const uint8_t sig64[64],
                       const uint8_t digest32[32]) {
    secp256k1_xonly_pubkey public_key;
    return secp256k1_xonly_pubkey_parse(secp256k1_context_static, &public_key, public_key32) &&
           secp256k1_schnorrsig_verify(secp256k1_context_static, sig64, digest32, 32, &public_key);
}

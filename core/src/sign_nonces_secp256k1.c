/* ECDSA (SEC 1 section 4.1.3) and BIP340 with a nonce made before, by public
 * functions of libsecp256k1, which are constant time in their scalars. */
#include "sign_nonces.h"

/* The group order n, and (n - 1) / 2 (SEC 2 section 2.4.1). */
static const uint8_t ORDER32[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
static const uint8_t HALF32[32] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                                   0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

/* Modulo n, of what everybody may know: 1 when it was not below n. */
static int reduce_public(uint8_t x32[32]) {
    if (memcmp(x32, ORDER32, 32) < 0) {
        return 0;
    }
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        int digit = x32[i] - ORDER32[i] - borrow;
        borrow = digit < 0;
        x32[i] = (uint8_t)digit;
    }
    return 1;
}

/* x = x y mod n. Both are from 1 to n - 1, or it fails. */
static int times(const sign_pool *pool, uint8_t x32[32], const uint8_t y32[32]) {
    int fine = secp256k1_ec_seckey_tweak_mul(pool->secp256k1, x32, y32);
    SIGN_DECLASSIFY(&fine, sizeof fine); /* 0 only for what is no scalar */
    return fine;
}

/* x = x^(n-2) mod n, the inverse (Fermat). The exponent is public. */
static int invert(const sign_pool *pool, uint8_t x32[32]) {
    uint8_t exponent32[32];
    uint8_t base32[32];
    uint8_t square32[32];
    memcpy(exponent32, ORDER32, 32);
    exponent32[31] -= 2;
    memcpy(base32, x32, 32); /* the exponent's highest bit */
    int fine = 1;
    for (int bit = 254; bit >= 0; bit--) {
        memcpy(square32, x32, 32);
        fine &= times(pool, x32, square32);
        if ((exponent32[31 - bit / 8] >> (bit % 8) & 1) != 0) {
            fine &= times(pool, x32, base32);
        }
    }
    bytes_wipe(base32, sizeof base32);
    bytes_wipe(square32, sizeof square32);
    return fine;
}

int sign_nonces_secp256k1_prepare(sign_pool *pool, const sign_slot *slot) {
    static const char tag[] = "BIP0340/challenge";
    uint8_t tag64[64];
    memcpy(pool->scalar32, slot->secret, 32);
    if (slot->info.algorithm != SENTINEL_ALGORITHM_BIP340) {
        return 1;
    }
    secp256k1_xonly_pubkey xonly;
    int is_odd = 0;
    int fine = secp256k1_keypair_xonly_pub(pool->secp256k1, &xonly, &is_odd, &slot->keypair);
    if (is_odd) {
        fine &= secp256k1_ec_seckey_negate(pool->secp256k1, pool->scalar32);
    }
    SIGN_DECLASSIFY(&fine, sizeof fine);
    memcpy(pool->public32, slot->info.public_key, 32);
    hash_bytes(tag64, tag, sizeof tag - 1);
    memcpy(tag64 + 32, tag64, 32);
    pool->challenge = hash_first;
    hash_blocks(&pool->challenge, tag64, sizeof tag64);
    return fine;
}

/* k from 1 to n - 1, evenly: a candidate that is not is thrown away (FIPS 186-5
 * section A.3.2). The second candidate is hashed from the same fresh bytes with
 * another count. point65: 0x04, x, y. */
static int draw(sign_pool *pool, uint8_t k32[32], uint8_t point65[65], const uint8_t fresh32[32]) {
    uint8_t draw64[64];
    int valid = 0;
    for (int tries = 0; tries < 4 && !valid; tries++) {
        sign_nonces_draw(draw64, pool, fresh32);
        valid = secp256k1_ec_seckey_verify(pool->secp256k1, draw64);
        SIGN_DECLASSIFY(&valid, sizeof valid); /* of a candidate that is not used if it is 0 */
    }
    memcpy(k32, draw64, 32);
    bytes_wipe(draw64, sizeof draw64);
    secp256k1_pubkey point;
    size_t size = 65;
    int made = valid && secp256k1_ec_pubkey_create(pool->secp256k1, &point, k32);
    /* Once it has signed, everybody sees x, and y by the recovery id. Until then
     * it is kept secret, but no scalar follows from it. */
    SIGN_DECLASSIFY(&made, sizeof made);
    SIGN_DECLASSIFY(&point, sizeof point);
    made = made && secp256k1_ec_pubkey_serialize(pool->secp256k1, point65, &size, &point,
                                                 SECP256K1_EC_UNCOMPRESSED);
    bytes_wipe(&point, sizeof point);
    return made;
}

static int fill_bip340(sign_pool *pool, sign_nonce *const made[], uint32_t count) {
    uint8_t point65[65] = {0};
    int fine = 1;
    for (uint32_t i = 0; i < count && fine; i++) {
        fine = draw(pool, made[i]->scalar32, point65, pool->fresh[i]);
        memcpy(made[i]->shown32, point65 + 1, 32);
        if ((point65[64] & 1) != 0) {
            fine &= secp256k1_ec_seckey_negate(pool->secp256k1, made[i]->scalar32);
            SIGN_DECLASSIFY(&fine, sizeof fine);
        }
    }
    bytes_wipe(point65, sizeof point65);
    return fine;
}

/* One inversion for the whole batch (Montgomery's trick): the inverse of the
 * product of all k, times all but one of them, is the inverse of that one. */
static int fill_ecdsa(sign_pool *pool, sign_nonce *const made[], uint32_t count) {
    uint8_t point65[65] = {0};
    uint8_t inverse32[32] = {0};
    int fine = 1;
    for (uint32_t i = 0; i < count && fine; i++) {
        fine = draw(pool, pool->drafts[i], point65, pool->fresh[i]);
        memcpy(made[i]->shown32, point65 + 1, 32);
        made[i]->recovery_id = (uint8_t)(reduce_public(made[i]->shown32) << 1 | (point65[64] & 1));
        memcpy(inverse32, pool->drafts[i], 32);
        fine = fine && (i == 0 || times(pool, inverse32, pool->chain[i - 1]));
        memcpy(pool->chain[i], inverse32, 32);
    }
    fine = fine && invert(pool, inverse32);
    for (uint32_t i = count; i-- > 0 && fine;) {
        sign_nonce *nonce = made[i];
        memcpy(nonce->scalar32, inverse32, 32);
        fine = (i == 0 || times(pool, nonce->scalar32, pool->chain[i - 1])) &&
               times(pool, inverse32, pool->drafts[i]);
        memcpy(nonce->product32, nonce->scalar32, 32);
        fine = fine && times(pool, nonce->product32, pool->scalar32) &&
               times(pool, nonce->product32, nonce->shown32);
    }
    bytes_wipe(point65, sizeof point65);
    bytes_wipe(inverse32, sizeof inverse32);
    return fine;
}

int sign_nonces_secp256k1_fill(sign_pool *pool, sign_nonce *const made[], uint32_t count) {
    return pool->algorithm == SENTINEL_ALGORITHM_BIP340 ? fill_bip340(pool, made, count)
                                                        : fill_ecdsa(pool, made, count);
}

/* x = x y + z mod n: 0 where y or the sum is 0. */
static int times_plus(const sign_pool *pool, uint8_t x32[32], const uint8_t y32[32],
                      const uint8_t z32[32]) {
    int fine = times(pool, x32, y32) && secp256k1_ec_seckey_tweak_add(pool->secp256k1, x32, z32);
    SIGN_DECLASSIFY(&fine, sizeof fine);
    return fine;
}

/* s = k^-1 z + k^-1 r d, or its negative where that is lower. */
int sign_ecdsa_with(sentinel_signature *signature, const sign_pool *pool, const sign_nonce *nonce,
                    const uint8_t digest32[32]) {
    uint8_t z32[32];
    uint8_t s32[32]; /* not in the caller's memory before it is a signature */
    memcpy(z32, digest32, 32);
    (void)reduce_public(z32);
    memcpy(s32, nonce->scalar32, 32);
    int made = times_plus(pool, s32, z32, nonce->product32);
    if (made) {
        SIGN_DECLASSIFY(s32, 32); /* (r, s) and (r, -s) are the same to all */
        const int high = memcmp(s32, HALF32, 32) > 0;
        made = !high || secp256k1_ec_seckey_negate(pool->secp256k1, s32);
        memcpy(signature->bytes, nonce->shown32, 32);
        memcpy(signature->bytes + 32, s32, 32);
        signature->recovery_id = nonce->recovery_id ^ (uint8_t)high;
    }
    bytes_wipe(s32, sizeof s32);
    return made;
}

/* s = e d + k with e = H(x(R) || x(P) || m) (BIP340, default signing). */
int sign_bip340_with(uint8_t sig64[64], const sign_pool *pool, const sign_nonce *nonce,
                     const uint8_t digest32[32]) {
    uint8_t e32[32];
    uint8_t s32[32]; /* as above: it begins as the key */
    uint8_t hashed[96];
    memcpy(hashed, nonce->shown32, 32);
    memcpy(hashed + 32, pool->public32, 32);
    memcpy(hashed + 64, digest32, 32);
    hash_rest(e32, &pool->challenge, SHA256_CBLOCK, hashed, sizeof hashed);
    SIGN_DECLASSIFY(e32, 32);
    (void)reduce_public(e32);
    memcpy(s32, pool->scalar32, 32);
    const int made = times_plus(pool, s32, e32, nonce->scalar32);
    if (made) {
        memcpy(sig64, nonce->shown32, 32);
        memcpy(sig64 + 32, s32, 32);
    }
    bytes_wipe(s32, sizeof s32);
    return made;
}

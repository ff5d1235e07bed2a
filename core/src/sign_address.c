/* The address of a secp256k1 key, as Ethereum and Hyperliquid name it. */
#include "keccak.h"
#include "sign_internal.h"

sentinel_status sentinel_key_address(char text42[SENTINEL_ADDRESS_TEXT_BYTES],
                                     const uint8_t public_key33[33]) {
    secp256k1_pubkey point;
    uint8_t bytes[65], digest32[32];
    size_t size = sizeof bytes;
    const secp256k1_context *context = secp256k1_context_static;
    if (secp256k1_ec_pubkey_parse(context, &point, public_key33, 33) != 1 ||
        secp256k1_ec_pubkey_serialize(context, bytes, &size, &point, SECP256K1_EC_UNCOMPRESSED) !=
            1) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    /* The last 20 bytes of the digest of both coordinates (Yellow Paper, appendix F). */
    keccak256(digest32, bytes + 1, sizeof bytes - 1);
    text42[0] = '0';
    text42[1] = 'x';
    bytes_to_hex(text42 + 2, digest32 + 12, 20);
    return SENTINEL_OK;
}

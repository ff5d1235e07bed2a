/* Keys from outside: judged first, then opened. */
#include "import.h"

#include "bytes.h"
#include "check.h"
#include "gcm.h"

#define BESIDE_BYTES (32 + offsetof(sentinel_import, nonce12))

static sentinel_status form_check(const sentinel_import *in, uint8_t environment) {
    if (in->version != SENTINEL_IMPORT_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (in->wrapped_size == 0 || in->wrapped_size > sizeof in->wrapped || in->info.id == 0 ||
        in->info.lab != (environment == SENTINEL_ENVIRONMENT_LAB)) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(in->reserved0, sizeof in->reserved0) ||
        !bytes_are_zero(in->reserved1, sizeof in->reserved1) ||
        !bytes_are_zero(in->info.reserved, sizeof in->info.reserved) ||
        !bytes_are_zero(in->wrapped + in->wrapped_size, sizeof in->wrapped - in->wrapped_size)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    /* What signs for the engine and for people is made where it is used. */
    if (in->info.purpose == SENTINEL_PURPOSE_RECEIPT ||
        in->info.purpose == SENTINEL_PURPOSE_AUTHORITY) {
        return SENTINEL_FORMAT_RANGE;
    }
    return SENTINEL_OK;
}

sentinel_status import_check(sentinel_import *out, const void *frame, size_t size,
                             const import_judge *judge) {
    sentinel_frame parsed;
    sentinel_frame_expect expect = {.now_ns = judge->now_ns, .environment = judge->environment};
    memcpy(expect.engine_id32, judge->engine_id32, 32);
    SENTINEL_TRY(sentinel_frame_parse(&parsed, frame, size, SENTINEL_FRAME_IMPORT));
    if (parsed.payload_size != sizeof *out) {
        return SENTINEL_FORMAT_SIZE;
    }
    SENTINEL_TRY(sentinel_frame_expects(&parsed, &expect));
    SENTINEL_TRY(sentinel_frame_verify(&parsed, judge->authority, judge->authority_size,
                                       SENTINEL_POWER_OPERATOR, 0, judge->now_ns));
    memcpy(out, parsed.payload, sizeof *out);
    return form_check(out, judge->environment);
}

static int rest_is_zero(const void *bytes, size_t used, size_t size) {
    return used <= size && sodium_is_zero((const uint8_t *)bytes + used, size - used);
}

/* The secret goes through the keyring's own door; what comes out must be what
 * operators signed for: the same public key, fingerprint and account. */
static sentinel_status admit(sentinel_keyring *ring, const sentinel_import *in,
                             const sentinel_import_secret *clear) {
    sentinel_key_info info = in->info;
    if (!rest_is_zero(clear->secret, clear->secret_size, sizeof clear->secret) ||
        !rest_is_zero(clear->passphrase, clear->passphrase_size, sizeof clear->passphrase)) {
        return SENTINEL_ENCLAVE_IMPORT;
    }
    sentinel_status status =
        sentinel_keyring_import(ring, &info, clear->secret, clear->secret_size);
    if (status != SENTINEL_OK) {
        int is_ours = status == SENTINEL_KEY_EXISTS || status == SENTINEL_KEY_FULL ||
                      status == SENTINEL_KEY_WIPED || status == SENTINEL_KEY_MEMORY;
        return is_ours ? status : SENTINEL_ENCLAVE_IMPORT;
    }
    if (bytes_equal(&info, &in->info, sizeof info) &&
        sentinel_keyring_set_passphrase(ring, info.id, clear->passphrase, clear->passphrase_size) ==
            SENTINEL_OK) {
        return SENTINEL_OK;
    }
    status = sentinel_keyring_remove(ring, info.id);
    return status == SENTINEL_OK ? SENTINEL_ENCLAVE_IMPORT : status;
}

sentinel_status import_open(sentinel_keyring *ring, const sentinel_import *in, EVP_PKEY *key,
                            const import_judge *judge) {
    uint8_t key32[32], beside[BESIDE_BYTES];
    sentinel_import_secret *clear =
        sodium_init() < 0 ? NULL : sodium_malloc(sizeof(sentinel_import_secret));
    if (clear == NULL) {
        return SENTINEL_KEY_MEMORY;
    }
    memcpy(beside, judge->engine_id32, 32);
    memcpy(beside + 32, in, sizeof beside - 32);
    sentinel_status status =
        rsa_open(key32, sizeof key32, key, SENTINEL_IMPORT_LABEL, in->wrapped, in->wrapped_size);
    if (status == SENTINEL_OK) {
        const gcm_place place = {key32, in->nonce12, beside, sizeof beside};
        status = gcm_open((uint8_t *)clear, in->tag16, &place, in->sealed, sizeof in->sealed);
    }
    bytes_wipe(key32, sizeof key32);
    status = status == SENTINEL_OK ? admit(ring, in, clear) : SENTINEL_ENCLAVE_IMPORT;
    sodium_free(clear);
    return status;
}

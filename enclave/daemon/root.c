/* The root secret: made, committed to, wrapped and brought back. */
#include "root.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <sys/random.h>

#include "bytes.h"
#include "check.h"
#include "gcm.h"
#include "hash.h"

#define WRAP_LABEL "sentinel-root-wrap-v1"
#define MAKE_LABEL "sentinel-root-make-v1"

static const char magic[] = "SENTROOT";
static const uint8_t zero_salt32[32]; /* RFC 5869, 2.2: none is zeros */

sentinel_status root_new(root **secret) {
    *secret = NULL;
    if (sodium_init() < 0) {
        return SENTINEL_CRYPTO_INIT;
    }
    *secret = sodium_malloc(sizeof **secret);
    if (*secret == NULL) {
        return SENTINEL_KEY_MEMORY;
    }
    bytes_wipe(*secret, sizeof **secret);
    return SENTINEL_OK;
}

void root_free(root *secret) {
    sodium_free(secret);
}

/* Not RAND_bytes: the kernel's own, so that no library's state stands between. */
static int kernel_random(uint8_t *bytes, size_t size) {
    return getrandom(bytes, size, 0) == (ssize_t)size;
}

sentinel_status root_make(root *secret, nsm *module) {
    uint8_t both[64];
    const hkdf_info info = {.label = MAKE_LABEL};
    sentinel_status status = kernel_random(both, 32) ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
    if (status == SENTINEL_OK) {
        status = nsm_random(module, both + 32, 32);
    }
    if (status == SENTINEL_OK) {
        status = hkdf_sha256(secret->secret32, both, sizeof both, zero_salt32, &info);
    }
    bytes_wipe(both, sizeof both);
    return status;
}

void root_commitment(uint8_t commitment32[32], const root *secret) {
    hash_sha256 hash;
    hash_init(&hash);
    hash_add_prefix(&hash, "sentinel-root-v1");
    hash_add(&hash, secret->secret32, sizeof secret->secret32);
    hash_final(&hash, commitment32);
}

sentinel_status root_key(uint8_t key32[32], const root *secret, const char *label,
                         const void *context, size_t context_size) {
    const hkdf_info info = {label, context, context_size};
    return hkdf_sha256(key32, secret->secret32, sizeof secret->secret32, zero_salt32, &info);
}

/* ---- The KMS key and the key that agrees with it ------------------------------ */

static uint16_t curve_of(EVP_PKEY *key) {
    char name[32] = {0};
    if (EVP_PKEY_get_group_name(key, name, sizeof name, NULL) != 1) {
        return 0;
    }
    return strcmp(name, "prime256v1") == 0  ? SENTINEL_CURVE_P256
           : strcmp(name, "secp384r1") == 0 ? SENTINEL_CURVE_P384
                                            : 0;
}

/* A key from its DER; null unless it is on a curve of ours, a point of it, and
 * written in the one form that its hash is over. */
static EVP_PKEY *public_read(const uint8_t *spki, size_t size) {
    uint8_t again[SENTINEL_KMS_SPKI_BYTES_MAX], *to = again;
    const uint8_t *at = spki;
    if (size == 0 || size > SENTINEL_KMS_SPKI_BYTES_MAX) {
        return NULL;
    }
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)size);
    EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    int good = context != NULL && at == spki + size && EVP_PKEY_is_a(key, "EC") &&
               curve_of(key) != 0 && EVP_PKEY_public_check(context) == 1 &&
               i2d_PUBKEY(key, NULL) == (int)size && i2d_PUBKEY(key, &to) == (int)size &&
               memcmp(again, spki, size) == 0;
    EVP_PKEY_CTX_free(context);
    if (!good) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static sentinel_status agree(uint8_t shared[SENTINEL_SHARED_BYTES_MAX], size_t *size, EVP_PKEY *own,
                             EVP_PKEY *other) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(own, NULL);
    *size = SENTINEL_SHARED_BYTES_MAX;
    int done = context != NULL && EVP_PKEY_derive_init(context) == 1 &&
               EVP_PKEY_derive_set_peer(context, other) == 1 &&
               EVP_PKEY_derive(context, shared, size) == 1;
    EVP_PKEY_CTX_free(context);
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

/* Both public keys and the engine are in the key: no other three give it. */
static sentinel_status wrap_key(uint8_t key32[32], const sentinel_wrapped_root *wrapped,
                                const uint8_t *shared, size_t shared_size) {
    struct {
        uint8_t engine_id32[32];
        uint8_t kms_key_hash32[32];
        uint8_t public_key_hash32[32];
    } context;
    const hkdf_info info = {WRAP_LABEL, &context, sizeof context};
    memcpy(context.engine_id32, wrapped->engine_id32, 32);
    memcpy(context.kms_key_hash32, wrapped->kms_key_hash32, 32);
    hash_bytes(context.public_key_hash32, wrapped->public_key, wrapped->public_key_size);
    return hkdf_sha256(key32, shared, shared_size, zero_salt32, &info);
}

static gcm_place place_of(const sentinel_wrapped_root *wrapped, const uint8_t *key32) {
    return (gcm_place){.key32 = key32,
                       .nonce12 = wrapped->nonce12,
                       .beside = wrapped,
                       .beside_size = offsetof(sentinel_wrapped_root, nonce12)};
}

/* Fills the public key of a key made for this once, and what it agrees on. */
static sentinel_status agree_once(sentinel_wrapped_root *wrapped,
                                  uint8_t shared[SENTINEL_SHARED_BYTES_MAX], size_t *size,
                                  EVP_PKEY *kms) {
    wrapped->curve = curve_of(kms);
    EVP_PKEY *own = EVP_EC_gen(wrapped->curve == SENTINEL_CURVE_P256 ? "P-256" : "P-384");
    uint8_t *at = wrapped->public_key;
    int wanted = own != NULL ? i2d_PUBKEY(own, NULL) : 0;
    sentinel_status status = SENTINEL_CRYPTO_FAILED;
    if (wanted > 0 && (size_t)wanted <= sizeof wrapped->public_key) {
        wrapped->public_key_size = (uint16_t)i2d_PUBKEY(own, &at);
        status = agree(shared, size, own, kms);
    }
    EVP_PKEY_free(own);
    return status;
}

sentinel_status root_wrap(sentinel_wrapped_root *wrapped, const root *secret,
                          const uint8_t engine_id32[32], const uint8_t *kms_spki,
                          size_t kms_spki_size) {
    uint8_t shared[SENTINEL_SHARED_BYTES_MAX], key32[32];
    size_t shared_size = 0;
    EVP_PKEY *kms = public_read(kms_spki, kms_spki_size);
    if (kms == NULL) {
        return SENTINEL_ENCLAVE_KMS_KEY;
    }
    memset(wrapped, 0, sizeof *wrapped);
    memcpy(wrapped->magic, magic, sizeof wrapped->magic);
    wrapped->version = SENTINEL_WRAPPED_ROOT_VERSION;
    memcpy(wrapped->engine_id32, engine_id32, 32);
    hash_bytes(wrapped->kms_key_hash32, kms_spki, kms_spki_size);
    root_commitment(wrapped->commitment32, secret);
    sentinel_status status = agree_once(wrapped, shared, &shared_size, kms);
    EVP_PKEY_free(kms);
    if (status == SENTINEL_OK) {
        status = wrap_key(key32, wrapped, shared, shared_size);
    }
    if (status == SENTINEL_OK && RAND_bytes(wrapped->nonce12, (int)sizeof wrapped->nonce12) != 1) {
        status = SENTINEL_CRYPTO_FAILED;
    }
    if (status == SENTINEL_OK) {
        const gcm_place place = place_of(wrapped, key32);
        status = gcm_seal(wrapped->sealed32, wrapped->tag16, &place, secret->secret32, 32);
    }
    bytes_wipe(shared, sizeof shared);
    bytes_wipe(key32, sizeof key32);
    return status;
}

sentinel_status root_wrapped_check(const sentinel_wrapped_root *wrapped, size_t size,
                                   const uint8_t engine_id32[32]) {
    if (size != sizeof *wrapped) {
        return SENTINEL_FORMAT_SIZE;
    }
    if (!bytes_equal(wrapped->magic, magic, sizeof wrapped->magic)) {
        return SENTINEL_FORMAT_MAGIC;
    }
    if (wrapped->version != SENTINEL_WRAPPED_ROOT_VERSION) {
        return SENTINEL_FORMAT_VERSION;
    }
    if (wrapped->curve == 0 || wrapped->curve >= SENTINEL_CURVE_COUNT ||
        wrapped->public_key_size == 0 || wrapped->public_key_size > sizeof wrapped->public_key) {
        return SENTINEL_FORMAT_RANGE;
    }
    if (!bytes_are_zero(wrapped->reserved0, sizeof wrapped->reserved0) ||
        !bytes_are_zero(wrapped->reserved1, sizeof wrapped->reserved1) ||
        !bytes_are_zero(wrapped->public_key + wrapped->public_key_size,
                        sizeof wrapped->public_key - wrapped->public_key_size)) {
        return SENTINEL_FORMAT_RESERVED;
    }
    return bytes_equal(wrapped->engine_id32, engine_id32, 32) ? SENTINEL_OK
                                                              : SENTINEL_ENCLAVE_FOREIGN;
}

sentinel_status root_unwrap(root *secret, const sentinel_wrapped_root *wrapped,
                            const uint8_t *shared, size_t shared_size,
                            const uint8_t commitment32[32]) {
    uint8_t key32[32], found32[32];
    sentinel_status status = wrap_key(key32, wrapped, shared, shared_size);
    if (status == SENTINEL_OK) {
        const gcm_place place = place_of(wrapped, key32);
        status = gcm_open(secret->secret32, wrapped->tag16, &place, wrapped->sealed32, 32);
    }
    bytes_wipe(key32, sizeof key32);
    if (status != SENTINEL_OK) {
        return SENTINEL_ENCLAVE_ANSWER;
    }
    root_commitment(found32, secret);
    if (!bytes_equal(found32, commitment32, 32)) {
        bytes_wipe(secret, sizeof *secret);
        return SENTINEL_ENCLAVE_COMMITMENT;
    }
    return SENTINEL_OK;
}

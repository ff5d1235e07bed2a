/* AES-256-GCM, HKDF-SHA256, RSA-OAEP: OpenSSL's, with one way to fail. */
#include "gcm.h"

#include <limits.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "bytes.h"
#include "check.h"

static int sizes_fit(const gcm_place *place, size_t size) {
    return size <= INT_MAX && place->beside_size <= INT_MAX;
}

sentinel_status gcm_seal(uint8_t *out, uint8_t tag16[GCM_TAG_BYTES], const gcm_place *place,
                         const void *bytes, size_t size) {
    EVP_CIPHER_CTX *context = sizes_fit(place, size) ? EVP_CIPHER_CTX_new() : NULL;
    uint8_t nothing[GCM_TAG_BYTES];
    int got = 0;
    int done =
        context != NULL &&
        EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, place->key32, place->nonce12) == 1 &&
        EVP_EncryptUpdate(context, NULL, &got, place->beside, (int)place->beside_size) == 1 &&
        EVP_EncryptUpdate(context, out, &got, bytes, (int)size) == 1 && got == (int)size &&
        EVP_EncryptFinal_ex(context, nothing, &got) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, GCM_TAG_BYTES, tag16) == 1;
    EVP_CIPHER_CTX_free(context);
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

sentinel_status gcm_open(uint8_t *out, const uint8_t tag16[GCM_TAG_BYTES], const gcm_place *place,
                         const void *bytes, size_t size) {
    EVP_CIPHER_CTX *context = sizes_fit(place, size) ? EVP_CIPHER_CTX_new() : NULL;
    uint8_t tag[GCM_TAG_BYTES], nothing[GCM_TAG_BYTES];
    int got = 0;
    memcpy(tag, tag16, sizeof tag);
    int done =
        context != NULL &&
        EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, place->key32, place->nonce12) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1 &&
        EVP_DecryptUpdate(context, NULL, &got, place->beside, (int)place->beside_size) == 1 &&
        EVP_DecryptUpdate(context, out, &got, bytes, (int)size) == 1 && got == (int)size &&
        EVP_DecryptFinal_ex(context, nothing, &got) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!done) {
        bytes_wipe(out, size);
    }
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_VERIFY;
}

sentinel_status hkdf_sha256(uint8_t key32[32], const void *secret, size_t secret_size,
                            const uint8_t salt32[32], const hkdf_info *info) {
    uint8_t prk[32], message[HKDF_LABEL_BYTES_MAX + HKDF_CONTEXT_BYTES_MAX + 2];
    size_t label = strlen(info->label) + 1;
    unsigned size = 0;
    if (label > HKDF_LABEL_BYTES_MAX || info->context_size > HKDF_CONTEXT_BYTES_MAX ||
        secret_size > INT_MAX) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    memcpy(message, info->label, label);
    if (info->context_size != 0) {
        memcpy(message + label, info->context, info->context_size);
    }
    message[label + info->context_size] = 1; /* the one block (RFC 5869, 2.3) */
    int done = HMAC(EVP_sha256(), salt32, 32, secret, secret_size, prk, &size) != NULL &&
               HMAC(EVP_sha256(), prk, sizeof prk, message, label + info->context_size + 1, key32,
                    &size) != NULL;
    bytes_wipe(prk, sizeof prk);
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

sentinel_status rsa_make(EVP_PKEY **key) {
    *key = EVP_RSA_gen(2048);
    return *key != NULL ? SENTINEL_OK : SENTINEL_CRYPTO_FAILED;
}

sentinel_status rsa_public(uint8_t spki[RSA_SPKI_BYTES_MAX], size_t *size, EVP_PKEY *key) {
    int wanted = i2d_PUBKEY(key, NULL);
    if (wanted <= 0 || (size_t)wanted > RSA_SPKI_BYTES_MAX) {
        return SENTINEL_CRYPTO_FAILED;
    }
    uint8_t *at = spki;
    *size = (size_t)i2d_PUBKEY(key, &at);
    return SENTINEL_OK;
}

/* The context takes the label's memory. */
static int set_label(EVP_PKEY_CTX *context, const char *label) {
    size_t size = strlen(label);
    void *own = OPENSSL_memdup(label, size);
    if (own == NULL || EVP_PKEY_CTX_set0_rsa_oaep_label(context, own, (int)size) != 1) {
        OPENSSL_free(own);
        return 0;
    }
    return 1;
}

sentinel_status rsa_open(uint8_t *out, size_t want, EVP_PKEY *key, const char *label,
                         const uint8_t *bytes, size_t size) {
    uint8_t room[RSA_BYTES_MAX];
    size_t got = sizeof room;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    int done = context != NULL && EVP_PKEY_decrypt_init(context) == 1 &&
               EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1 &&
               set_label(context, label) && EVP_PKEY_decrypt(context, room, &got, bytes, size) == 1;
    done = done && got == want;
    if (done) {
        memcpy(out, room, want);
    }
    EVP_PKEY_CTX_free(context);
    bytes_wipe(room, sizeof room);
    return done ? SENTINEL_OK : SENTINEL_CRYPTO_VERIFY;
}

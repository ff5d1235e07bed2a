/* OpenSSL, narrowed down to the one handshake that there is. */
#include "tls.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#define CERTIFICATE_BYTES_MAX 4096
#define CERTIFICATE_SECONDS (10 * 365 * 86400L) /* nobody looks: its key counts */

/* RFC 8410: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING (32 bytes) } */
static const uint8_t spki_prefix[TLS_SPKI_BYTES - 32] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                         0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

static EVP_PKEY *key_make(const uint8_t *seed32) {
    return seed32 != NULL ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed32, 32)
                          : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/* Self-signed; nothing in it but the key means anything. */
static X509 *certificate_make(EVP_PKEY *key) {
    X509 *made = X509_new();
    X509_NAME *name = made != NULL ? X509_get_subject_name(made) : NULL;
    if (name == NULL || X509_set_version(made, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(made), 1) != 1 ||
        X509_gmtime_adj(X509_getm_notBefore(made), -86400L) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(made), CERTIFICATE_SECONDS) == NULL ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"sentinel", -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(made, name) != 1 || X509_set_pubkey(made, key) != 1 ||
        X509_sign(made, key, NULL) == 0) {
        X509_free(made);
        return NULL;
    }
    return made;
}

/* The raw key of a certificate. 1: it is an Ed25519 key. */
static int certificate_key(uint8_t public_key32[32], const X509 *certificate) {
    const EVP_PKEY *key = certificate != NULL ? X509_get0_pubkey(certificate) : NULL;
    size_t size = 32;
    return key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 &&
           EVP_PKEY_get_raw_public_key(key, public_key32, &size) == 1 && size == 32;
}

/* In place of a chain's verification: any Ed25519 key will do here. That the
 * peer holds it, TLS proves; whether it may come in, is asked of the key. */
static int certificate_accept(X509_STORE_CTX *store, void *unused) {
    uint8_t public_key32[32];
    (void)unused;
    if (certificate_key(public_key32, X509_STORE_CTX_get0_cert(store))) {
        return 1;
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

static int context_narrow(SSL_CTX *context) {
    SSL_CTX_set_cert_verify_callback(context, certificate_accept, NULL);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_quiet_shutdown(context, 1);
    SSL_CTX_set_max_cert_list(context, CERTIFICATE_BYTES_MAX);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519") == 1 &&
           SSL_CTX_set1_sigalgs_list(context, "ed25519") == 1 &&
           SSL_CTX_set1_client_sigalgs_list(context, "ed25519") == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 && SSL_CTX_set_max_early_data(context, 0) == 1;
}

SSL_CTX *tls_context(uint8_t public_key32[32], int is_server, const uint8_t *seed32) {
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    EVP_PKEY *key = key_make(seed32);
    X509 *certificate = key != NULL ? certificate_make(key) : NULL;
    size_t size = 32;
    int done = context != NULL && certificate != NULL && context_narrow(context) &&
               SSL_CTX_use_certificate(context, certificate) == 1 &&
               SSL_CTX_use_PrivateKey(context, key) == 1 &&
               EVP_PKEY_get_raw_public_key(key, public_key32, &size) == 1 && size == 32;
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!done) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

void tls_spki(uint8_t spki[TLS_SPKI_BYTES], const uint8_t public_key32[32]) {
    memcpy(spki, spki_prefix, sizeof spki_prefix);
    memcpy(spki + sizeof spki_prefix, public_key32, 32);
}

void tls_spki_hash(uint8_t hash32[32], const uint8_t public_key32[32]) {
    uint8_t spki[TLS_SPKI_BYTES];
    tls_spki(spki, public_key32);
    SHA256(spki, sizeof spki, hash32);
}

sentinel_status tls_peer_key(uint8_t public_key32[32], const SSL *ssl) {
    if (!SSL_is_init_finished(ssl)) {
        return SENTINEL_USAGE_STATE;
    }
    return certificate_key(public_key32, SSL_get0_peer_certificate(ssl)) ? SENTINEL_OK
                                                                         : SENTINEL_CRYPTO_VERIFY;
}

sentinel_status tls_channel_key(sentinel_channel_key *key, SSL *ssl,
                                const sentinel_exporter_context *context) {
    static const char label[] = SENTINEL_EXPORTER_LABEL;
    if (!SSL_is_init_finished(ssl)) {
        return SENTINEL_USAGE_STATE;
    }
    if (SSL_export_keying_material(ssl, (uint8_t *)key, sizeof *key, label, sizeof label - 1,
                                   (const uint8_t *)context, sizeof *context, 1) != 1) {
        OPENSSL_cleanse(key, sizeof *key);
        return SENTINEL_CRYPTO_FAILED;
    }
    return SENTINEL_OK;
}

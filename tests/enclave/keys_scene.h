/* What the tests of an enclave's keys share: an engine with operators, frames
 * that they sign, and a stand-in for KMS. All keys are made by the test. */
#ifndef KEYS_SCENE_H
#define KEYS_SCENE_H

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sodium.h>

#include "enclave.h"
#include "fake_nsm.h"
#include "gcm.h"
#include "hash.h"
#include "sentinel_test.h"

enum { KEY_ROOT = 1, KEY_OPERATOR_A = 2, KEY_OPERATOR_B = 3, KEY_FEEDER = 4, KEY_COUNT = 5 };
#define SCENE_NOW INT64_C(1700000000000000000)
#define SCENE_HOUR INT64_C(3600000000000)
#define SCENE_FRAME_MAX 4096

typedef struct scene_frame {
    _Alignas(8) uint8_t bytes[SCENE_FRAME_MAX];
    size_t size;
} scene_frame;

typedef struct keys_scene {
    sentinel_keyring *people;
    uint8_t public_keys[KEY_COUNT][32];
    _Alignas(8) sentinel_genesis genesis;
    uint8_t engine_id32[32];
    scene_frame authority, certificate, import;
    fake_nsm fake;
    enclave *e;
    EVP_PKEY *kms; /* the key in KMS */
    uint8_t kms_spki[SENTINEL_KMS_SPKI_BYTES_MAX];
    size_t kms_spki_size;
    document document;
    sentinel_wrapped_root wrapped;
} keys_scene;

static uint8_t scene_nonce32[32] = {7};

/* ---- Frames ------------------------------------------------------------------- */

static void frame_begin(scene_frame *frame, const keys_scene *s, uint16_t kind, const void *payload,
                        size_t size) {
    memset(frame, 0, sizeof *frame);
    sentinel_frame_header *header = (sentinel_frame_header *)frame->bytes;
    memcpy(header->magic, SENTINEL_FRAME_MAGIC, 8);
    header->version = SENTINEL_FRAME_VERSION;
    header->kind = kind;
    header->environment = s->genesis.environment;
    header->size_bytes = (uint32_t)(sizeof *header + size);
    memcpy(header->engine_id32, s->engine_id32, 32);
    header->sequence = 1;
    header->issued_ns = SCENE_NOW;
    header->expires_ns = SCENE_NOW + SCENE_HOUR;
    memcpy(header + 1, payload, size);
    frame->size = header->size_bytes + 8;
}

/* Adds a proof by one of the people's keys, under the row's id. */
static void frame_prove(scene_frame *frame, const keys_scene *s, uint32_t key, uint32_t row) {
    static const char *const prefixes[] = {
        [SENTINEL_FRAME_AUTHORITY] = "sentinel-authority-v1",
        [SENTINEL_FRAME_CERTIFICATE] = "sentinel-certificate-v1",
        [SENTINEL_FRAME_IMPORT] = "sentinel-import-v1",
    };
    const sentinel_frame_header *header = (const sentinel_frame_header *)frame->bytes;
    uint8_t digest32[32], signature64[64];
    uint32_t count;
    hash_bytes(digest32, frame->bytes, header->size_bytes);
    CHECK_OK(sentinel_sign_frame(s->people, signature64, key, prefixes[header->kind], digest32));
    const sentinel_proof proof = {.key = row, .scheme = SENTINEL_PROOF_ED25519, .size = 64};
    memcpy(&count, frame->bytes + header->size_bytes, sizeof count);
    count++;
    memcpy(frame->bytes + header->size_bytes, &count, sizeof count);
    memcpy(frame->bytes + frame->size, &proof, sizeof proof);
    memcpy(frame->bytes + frame->size + sizeof proof, signature64, 64);
    frame->size += sizeof proof + 64;
}

/* As if nobody had signed it. */
static void frame_unprove(scene_frame *frame) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)frame->bytes;
    memset(frame->bytes + header->size_bytes, 0, sizeof frame->bytes - header->size_bytes);
    frame->size = header->size_bytes + 8;
}

/* ---- The engine and its people ------------------------------------------------- */

static void scene_people(keys_scene *s) {
    CHECK_OK(sentinel_keyring_new(&s->people));
    for (uint32_t id = KEY_ROOT; id < KEY_COUNT; id++) {
        sentinel_key_info info = {.id = id,
                                  .purpose = SENTINEL_PURPOSE_AUTHORITY,
                                  .algorithm = SENTINEL_ALGORITHM_ED25519};
        CHECK_OK(sentinel_keyring_generate(s->people, &info));
        memcpy(s->public_keys[id], info.public_key, 32);
    }
}

static void scene_authority(keys_scene *s) {
    struct {
        sentinel_authority head;
        sentinel_authority_key rows[3];
    } payload = {.head = {.key_count = 3}};
    for (uint32_t i = 0; i < 3; i++) {
        payload.rows[i] = (sentinel_authority_key){.id = KEY_OPERATOR_A + i,
                                                   .powers = i < 2 ? 1u << SENTINEL_POWER_OPERATOR
                                                                   : 1u << SENTINEL_POWER_FEED_MARK,
                                                   .scheme = SENTINEL_PROOF_ED25519,
                                                   .expires_ns = SCENE_NOW + SCENE_HOUR};
        memcpy(payload.rows[i].public_key32, s->public_keys[KEY_OPERATOR_A + i], 32);
    }
    payload.head.threshold[SENTINEL_POWER_OPERATOR] = 2;
    payload.head.threshold[SENTINEL_POWER_FEED_MARK] = 1;
    frame_begin(&s->authority, s, SENTINEL_FRAME_AUTHORITY, &payload, sizeof payload);
    frame_prove(&s->authority, s, KEY_ROOT, 0);
}

static void scene_genesis(keys_scene *s, uint8_t seed) {
    s->genesis = (sentinel_genesis){.version = 1,
                                    .environment = SENTINEL_ENVIRONMENT_TEST,
                                    .root_threshold = 1,
                                    .root_count = 1,
                                    .created_ns = SCENE_NOW};
    memcpy(s->genesis.magic, "SENTGENE", 8);
    s->genesis.random32[0] = seed;
    memcpy(s->genesis.root_keys[0], s->public_keys[KEY_ROOT], 32);
    CHECK_OK(sentinel_genesis_check(s->engine_id32, &s->genesis, sizeof s->genesis));
}

static void scene_boot(keys_scene *s) {
    enclave_close(s->e);
    s->e = NULL;
    CHECK_OK(enclave_open_carrier(&s->e, fake_nsm_carry, &s->fake));
}

static void scene_kms(keys_scene *s, const char *curve) {
    uint8_t *at = s->kms_spki;
    EVP_PKEY_free(s->kms);
    s->kms = EVP_EC_gen(curve);
    s->kms_spki_size = (size_t)i2d_PUBKEY(s->kms, &at);
}

static void scene_begin(keys_scene *s) {
    memset(s, 0, sizeof *s);
    fake_nsm_begin(&s->fake);
    scene_people(s);
    scene_genesis(s, 1);
    scene_authority(s);
    scene_kms(s, "P-256");
    scene_boot(s);
}

static void scene_end(keys_scene *s) {
    enclave_close(s->e);
    sentinel_keyring_free(s->people);
    EVP_PKEY_free(s->kms);
    s->e = NULL;
    s->people = NULL;
    s->kms = NULL;
}

/* ---- The life of an enclave ---------------------------------------------------- */

static enclave_facts scene_facts(const keys_scene *s) {
    return (enclave_facts){.genesis = &s->genesis, .epoch = 1};
}

static void scene_attest(keys_scene *s, uint32_t purpose) {
    const enclave_facts facts = scene_facts(s);
    CHECK_OK(enclave_attest(s->e, &s->document, purpose, &facts, scene_nonce32));
}

/* The user_data of a document: the one byte string of 256 bytes in it. */
static sentinel_user_data said_by(const document *in) {
    static const uint8_t head[] = {0x69, 'u', 's', 'e', 'r', '_', 'd', 'a', 't', 'a', 0x59, 1, 0};
    sentinel_user_data data = {0};
    for (size_t at = 0; at + sizeof head + sizeof data <= in->size; at++) {
        if (memcmp(in->bytes + at, head, sizeof head) == 0) {
            memcpy(&data, in->bytes + at + sizeof head, sizeof data);
        }
    }
    return data;
}

/* A certificate of the document that was just given, as operators would sign it. */
static sentinel_certificate scene_certificate(const keys_scene *s) {
    const sentinel_user_data data = said_by(&s->document);
    sentinel_certificate certificate = {.version = SENTINEL_CERTIFICATE_VERSION};
    memcpy(certificate.authority_root32, data.authority_root32, 32);
    memcpy(certificate.attestation_digest32, s->document.digest32, 32);
    memcpy(certificate.commitment32, data.root_commitment32, 32);
    hash_bytes(certificate.kms_key_hash32, s->kms_spki, s->kms_spki_size);
    return certificate;
}

static void scene_sign_certificate(keys_scene *s, const sentinel_certificate *certificate,
                                   uint64_t sequence) {
    frame_begin(&s->certificate, s, SENTINEL_FRAME_CERTIFICATE, certificate, sizeof *certificate);
    ((sentinel_frame_header *)s->certificate.bytes)->sequence = sequence;
    frame_prove(&s->certificate, s, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_prove(&s->certificate, s, KEY_OPERATOR_B, KEY_OPERATOR_B);
}

static certificate_papers scene_papers(const keys_scene *s) {
    return (certificate_papers){&s->genesis,       sizeof s->genesis,    s->authority.bytes,
                                s->authority.size, s->certificate.bytes, s->certificate.size};
}

static sentinel_status scene_certify(keys_scene *s) {
    const certificate_papers papers = scene_papers(s);
    return enclave_certify(s->e, &s->wrapped, &papers, s->kms_spki, s->kms_spki_size, SCENE_NOW);
}

/* From nothing to an enclave that is ready. */
static void scene_first_boot(keys_scene *s) {
    CHECK_OK(enclave_genesis(s->e, &s->genesis));
    scene_attest(s, SENTINEL_DOCUMENT_GENESIS);
    const sentinel_certificate certificate = scene_certificate(s);
    scene_sign_certificate(s, &certificate, 1);
    CHECK_OK(scene_certify(s));
    CHECK(enclave_is_ready(s->e));
}

/* ---- KMS ----------------------------------------------------------------------- */

/* The public key of the last document: the byte string behind its name. */
static EVP_PKEY *kms_recipient(const document *in) {
    static const uint8_t head[] = {0x6a, 'p', 'u', 'b', 'l', 'i', 'c', '_', 'k', 'e', 'y', 0x59};
    for (size_t at = 0; at + sizeof head + 2 <= in->size; at++) {
        if (memcmp(in->bytes + at, head, sizeof head) == 0) {
            const uint8_t *der = in->bytes + at + sizeof head + 2;
            return d2i_PUBKEY(NULL, &der, (long)(in->size - at));
        }
    }
    return NULL;
}

/* A certificate around a public key: OpenSSL takes recipients in that form only. */
static X509 *kms_certificate(EVP_PKEY *key) {
    EVP_PKEY *issuer = EVP_EC_gen("P-256");
    X509 *made = X509_new();
    X509V3_CTX context;
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    X509V3_set_ctx(&context, made, made, NULL, NULL, 0);
    X509_EXTENSION *id = X509V3_EXT_conf_nid(NULL, &context, NID_subject_key_identifier, "hash");
    X509_add_ext(made, id, -1);
    X509_EXTENSION_free(id);
    CHECK(X509_sign(made, issuer, EVP_sha256()) > 0);
    EVP_PKEY_free(issuer);
    return made;
}

typedef struct kms_form {
    int padding; /* RSA_PKCS1_OAEP_PADDING, as KMS does */
    const EVP_MD *md;
    unsigned recipients;
    unsigned flags; /* CMS_STREAM: BER */
} kms_form;

static kms_form kms_usual(void) {
    return (kms_form){RSA_PKCS1_OAEP_PADDING, EVP_sha256(), 1, CMS_STREAM};
}

/* CiphertextForRecipient of these bytes. */
static size_t kms_envelope(uint8_t *out, size_t capacity, EVP_PKEY *key, const void *bytes,
                           size_t size, const kms_form *form) {
    X509 *certificate = kms_certificate(key);
    unsigned flags = CMS_BINARY | CMS_PARTIAL | form->flags;
    CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), flags);
    for (unsigned i = 0; i < form->recipients; i++) {
        CMS_RecipientInfo *recipient =
            CMS_add1_recipient_cert(cms, certificate, CMS_KEY_PARAM | CMS_USE_KEYID);
        EVP_PKEY_CTX *context = CMS_RecipientInfo_get0_pkey_ctx(recipient);
        EVP_PKEY_CTX_set_rsa_padding(context, form->padding);
        if (form->padding == RSA_PKCS1_OAEP_PADDING) {
            EVP_PKEY_CTX_set_rsa_oaep_md(context, form->md);
            EVP_PKEY_CTX_set_rsa_mgf1_md(context, form->md);
        }
    }
    BIO *in = BIO_new_mem_buf(bytes, (int)size), *to = BIO_new(BIO_s_mem());
    uint8_t *made = NULL;
    if ((form->flags & CMS_STREAM) != 0) {
        CHECK_EQ(i2d_CMS_bio_stream(to, cms, in, (int)flags), 1);
    } else {
        CHECK_EQ(CMS_final(cms, in, NULL, flags), 1);
        CHECK_EQ(i2d_CMS_bio(to, cms), 1);
    }
    long got = BIO_get_mem_data(to, (char **)&made);
    CHECK(got > 0 && (size_t)got <= capacity);
    memcpy(out, made, (size_t)got);
    BIO_free(in);
    BIO_free(to);
    CMS_ContentInfo_free(cms);
    X509_free(certificate);
    return (size_t)got;
}

/* ECDH of KMS's private key with the wrapped root's public key. */
static size_t kms_shared(uint8_t shared[SENTINEL_SHARED_BYTES_MAX], const keys_scene *s) {
    const uint8_t *at = s->wrapped.public_key;
    size_t size = SENTINEL_SHARED_BYTES_MAX;
    EVP_PKEY *peer = d2i_PUBKEY(NULL, &at, s->wrapped.public_key_size);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(s->kms, NULL);
    CHECK(peer != NULL && EVP_PKEY_derive_init(context) == 1 &&
          EVP_PKEY_derive_set_peer(context, peer) == 1 &&
          EVP_PKEY_derive(context, shared, &size) == 1);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    return size;
}

/* DeriveSharedSecret with the last document as Recipient. */
static size_t kms_answer(uint8_t *out, size_t capacity, const keys_scene *s) {
    uint8_t shared[SENTINEL_SHARED_BYTES_MAX];
    size_t size = kms_shared(shared, s);
    EVP_PKEY *key = kms_recipient(&s->document);
    CHECK(key != NULL);
    const kms_form form = kms_usual();
    size_t got = kms_envelope(out, capacity, key, shared, size, &form);
    EVP_PKEY_free(key);
    return got;
}

static sentinel_status scene_unwrap(keys_scene *s, const uint8_t *answer, size_t size) {
    const certificate_papers papers = scene_papers(s);
    return enclave_unwrap(s->e, &s->wrapped, sizeof s->wrapped, &papers, answer, size);
}

#endif

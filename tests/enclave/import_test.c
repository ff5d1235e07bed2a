/* Goal: a key gets in as operators signed for it, sealed to a document of this
 * boot, or not at all. Method: one good import, changed in each field, signed
 * again or not; sealed to another enclave; secrets that are not what they say. */
#include "keys_scene.h"

static keys_scene scene;
static sentinel_keyring *ring;
static sentinel_import made;
static sentinel_import_secret inside;

/* What a keyring makes of the secret: the sender does the same. */
static sentinel_key_info announce(uint32_t id, int algorithm) {
    sentinel_keyring *own = NULL;
    sentinel_key_info info = {.id = id,
                              .purpose = SENTINEL_PURPOSE_VENUE,
                              .algorithm = (uint8_t)algorithm,
                              .venue = SENTINEL_VENUE_OKX};
    if (algorithm == SENTINEL_ALGORITHM_HMAC_SHA256) {
        memcpy(info.api_key, "key-1", 5);
        info.api_key_size = 5;
    } else {
        info.purpose = SENTINEL_PURPOSE_MESSAGE;
        info.venue = 0;
    }
    CHECK_OK(sentinel_keyring_new(&own));
    CHECK_OK(sentinel_keyring_import(own, &info, inside.secret, inside.secret_size));
    sentinel_keyring_free(own);
    return info;
}

/* Seals to the last document's key, as the host's tool does. */
static void seal_to(EVP_PKEY *key) {
    uint8_t key32[32], beside[32 + offsetof(sentinel_import, nonce12)];
    size_t size = sizeof made.wrapped;
    CHECK_EQ(RAND_bytes(key32, 32), 1);
    CHECK_EQ(RAND_bytes(made.nonce12, 12), 1);
    memset(made.wrapped, 0, sizeof made.wrapped);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    CHECK(EVP_PKEY_encrypt_init(context) == 1 &&
          EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
          EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
          EVP_PKEY_CTX_set0_rsa_oaep_label(context, OPENSSL_strdup(SENTINEL_IMPORT_LABEL),
                                           (int)strlen(SENTINEL_IMPORT_LABEL)) == 1 &&
          EVP_PKEY_encrypt(context, made.wrapped, &size, key32, 32) == 1);
    EVP_PKEY_CTX_free(context);
    made.wrapped_size = (uint16_t)size;
    memcpy(beside, scene.engine_id32, 32);
    memcpy(beside + 32, &made, sizeof beside - 32);
    const gcm_place place = {key32, made.nonce12, beside, sizeof beside};
    CHECK_OK(gcm_seal(made.sealed, made.tag16, &place, &inside, sizeof inside));
}

static void sign_import(void) {
    frame_begin(&scene.import, &scene, SENTINEL_FRAME_IMPORT, &made, sizeof made);
    frame_prove(&scene.import, &scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    frame_prove(&scene.import, &scene, KEY_OPERATOR_B, KEY_OPERATOR_B);
}

static void seal_import(void) {
    EVP_PKEY *key = kms_recipient(&scene.document);
    seal_to(key);
    EVP_PKEY_free(key);
}

static sentinel_status import_at(int64_t now_ns) {
    const sentinel_frame_header *header = (const sentinel_frame_header *)scene.authority.bytes;
    sentinel_key_info info;
    return enclave_import(scene.e, ring, &info, scene.import.bytes, scene.import.size,
                          (const uint8_t *)(header + 1), header->size_bytes - sizeof *header,
                          now_ns);
}

static sentinel_status import_now(void) {
    return import_at(SCENE_NOW);
}

static void begin(int algorithm) {
    sentinel_keyring_free(ring);
    scene_end(&scene);
    scene_begin(&scene);
    scene_first_boot(&scene);
    CHECK_OK(sentinel_keyring_new(&ring));
    scene_attest(&scene, SENTINEL_DOCUMENT_IMPORT);
    memset(&inside, 0, sizeof inside);
    inside.secret_size = 32;
    memset(inside.secret, 0x31, 32);
    if (algorithm == SENTINEL_ALGORITHM_HMAC_SHA256) {
        inside.passphrase_size = 4;
        memcpy(inside.passphrase, "word", 4);
    }
    memset(&made, 0, sizeof made);
    made.version = SENTINEL_IMPORT_VERSION;
    memcpy(made.attestation_digest32, scene.document.digest32, 32);
    made.info = announce(9, algorithm);
    seal_import();
    sign_import();
}

static void test_keys_of_every_algorithm_get_in(void) {
    for (int algorithm = 1; algorithm < SENTINEL_ALGORITHM_COUNT; algorithm++) {
        begin(algorithm);
        CHECK_OK(import_now());
        CHECK_EQ(sentinel_keyring_count(ring), 1);
        CHECK_BYTES(sentinel_keyring_find(ring, 9), &made.info, sizeof made.info);
        uint8_t size = 0;
        const char *passphrase = sentinel_keyring_passphrase(ring, 9, &size);
        if (algorithm == SENTINEL_ALGORITHM_HMAC_SHA256) {
            CHECK(size == 4 && memcmp(passphrase, "word", 4) == 0);
        }
        CHECK_EQ(import_now(), SENTINEL_KEY_EXISTS); /* a repeated frame */
    }
}

/* Not one bit of what operators signed, nor of their proofs. */
static void test_every_changed_byte_is_refused(void) {
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    for (size_t at = 0; at < scene.import.size; at++) {
        scene.import.bytes[at] ^= 1;
        CHECK(import_now() != SENTINEL_OK);
        scene.import.bytes[at] ^= 1;
    }
    CHECK_EQ(sentinel_keyring_count(ring), 0);
    CHECK_OK(import_now());
}

/* As before, but operators signed what the host had changed. */
static void test_what_was_sealed_cannot_be_relabelled(void) {
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    const sentinel_import good = made;
    for (size_t at = 0; at < sizeof made; at++) {
        made = good;
        ((uint8_t *)&made)[at] ^= 1;
        sign_import();
        CHECK(import_now() != SENTINEL_OK);
    }
    CHECK_EQ(sentinel_keyring_count(ring), 0);
}

static void test_each_mistake_has_its_status(void) {
    static const struct {
        size_t at;
        sentinel_status status;
    } changes[] = {
        {offsetof(sentinel_import, version), SENTINEL_FORMAT_VERSION},
        {offsetof(sentinel_import, reserved0), SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_import, reserved1), SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_import, wrapped) + 511, SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_import, info) + offsetof(sentinel_key_info, lab), SENTINEL_FORMAT_RANGE},
        {offsetof(sentinel_import, attestation_digest32), SENTINEL_ENCLAVE_DOCUMENT},
        {offsetof(sentinel_import, info) + offsetof(sentinel_key_info, api_key),
         SENTINEL_ENCLAVE_IMPORT},
        {offsetof(sentinel_import, wrapped), SENTINEL_ENCLAVE_IMPORT},
        {offsetof(sentinel_import, sealed), SENTINEL_ENCLAVE_IMPORT},
    };
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    const sentinel_import good = made;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        made = good;
        ((uint8_t *)&made)[changes[i].at] ^= 1;
        sign_import();
        CHECK_EQ(import_now(), changes[i].status);
    }
    made = good;
    sign_import();
    CHECK_EQ(import_at(SCENE_NOW + SCENE_HOUR), SENTINEL_POLICY_EXPIRED);
    frame_unprove(&scene.import);
    frame_prove(&scene.import, &scene, KEY_OPERATOR_A, KEY_OPERATOR_A);
    CHECK_EQ(import_now(), SENTINEL_POLICY_SIGNATURE);
    CHECK_EQ(sentinel_keyring_count(ring), 0);
}

/* Sealed to another key, or for a document of another purpose or boot. */
static void test_only_a_document_of_this_boot_vouches(void) {
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    EVP_PKEY *other;
    CHECK_OK(rsa_make(&other));
    seal_to(other);
    EVP_PKEY_free(other);
    sign_import();
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_IMPORT);
    scene_attest(&scene, SENTINEL_DOCUMENT_SESSION);
    memcpy(made.attestation_digest32, scene.document.digest32, 32);
    seal_import();
    sign_import();
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_DOCUMENT);
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    const scene_frame kept = scene.import;
    scene_boot(&scene);
    CHECK_EQ(import_now(), SENTINEL_USAGE_STATE);
    scene_first_boot(&scene);
    scene.import = kept;
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_DOCUMENT);
}

/* Documents are kept in a ring: an old one is forgotten, and the key with it. */
static void test_an_old_document_no_longer_vouches(void) {
    begin(SENTINEL_ALGORITHM_HMAC_SHA256);
    for (unsigned i = 0; i < ENCLAVE_DOCUMENTS_KEPT - 1; i++) {
        scene_attest(&scene, SENTINEL_DOCUMENT_SESSION);
    }
    const scene_frame kept = scene.import;
    CHECK_OK(import_now());
    CHECK_OK(sentinel_keyring_remove(ring, 9));
    scene_attest(&scene, SENTINEL_DOCUMENT_SESSION);
    scene.import = kept;
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_DOCUMENT);
}

/* Sealed rightly, signed rightly, and wrong all the same. */
static void test_a_secret_that_is_not_as_announced_is_refused(void) {
    begin(SENTINEL_ALGORITHM_ED25519);
    inside.secret[0] ^= 1; /* another key than the public one that operators saw */
    seal_import();
    sign_import();
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_IMPORT);
    begin(SENTINEL_ALGORITHM_ECDSA_SECP256K1);
    memset(inside.secret, 0xff, 32); /* no scalar */
    seal_import();
    sign_import();
    CHECK_EQ(import_now(), SENTINEL_ENCLAVE_IMPORT);
    static const uint32_t sizes[] = {0, 31, SENTINEL_SECRET_BYTES_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        begin(SENTINEL_ALGORITHM_ED25519);
        inside.secret_size = sizes[i];
        seal_import();
        sign_import();
        CHECK_EQ(import_now(), SENTINEL_ENCLAVE_IMPORT);
        begin(SENTINEL_ALGORITHM_HMAC_SHA256);
        inside.passphrase_size = sizes[i] == 0 ? 3 : sizes[i];
        seal_import();
        sign_import();
        CHECK_EQ(import_now(), SENTINEL_ENCLAVE_IMPORT);
    }
    CHECK_EQ(sentinel_keyring_count(ring), 0);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_keys_of_every_algorithm_get_in);
    RUN(test_every_changed_byte_is_refused);
    RUN(test_what_was_sealed_cannot_be_relabelled);
    RUN(test_each_mistake_has_its_status);
    RUN(test_only_a_document_of_this_boot_vouches);
    RUN(test_an_old_document_no_longer_vouches);
    RUN(test_a_secret_that_is_not_as_announced_is_refused);
    sentinel_keyring_free(ring);
    scene_end(&scene);
    return test_end();
}

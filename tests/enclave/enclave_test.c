/* Goal: an enclave has a root that operators certified, or none; what the host
 * swaps, repeats, forges or leaves out opens nothing. Method: whole lives, with
 * fakes of the security module and of KMS; each paper changed in each way. */
#include "keys_scene.h"
#include "kms.h"

static keys_scene scene;
static uint8_t answer[KMS_ANSWER_BYTES_MAX];
static const uint8_t word[] = "state of an engine";
static uint8_t blob[512], clear[64];
static size_t blob_size;

static sentinel_status seal_word(uint64_t number) {
    const sealed_place place = {
        .type = SENTINEL_SEALED_SNAPSHOT, .epoch = 1, .number = number, .head_number = 5};
    return enclave_seal(scene.e, blob, &blob_size, sizeof blob, &place, word, sizeof word);
}

static sentinel_status unseal_word(uint64_t least) {
    const sealed_expect expect = {.type = SENTINEL_SEALED_SNAPSHOT, .number_least = least};
    sentinel_sealed header;
    return enclave_unseal(scene.e, clear, sizeof clear, &header, &expect, blob, blob_size);
}

static void test_without_a_module_there_is_no_enclave(void) {
    enclave *e = NULL;
    CHECK_EQ(enclave_open(&e), SENTINEL_ENCLAVE_ABSENT);
    CHECK(e == NULL);
    fake_nsm fake;
    fake_nsm_begin(&fake);
    fake.refusal = "InternalError";
    CHECK_EQ(enclave_open_carrier(&e, fake_nsm_carry, &fake), SENTINEL_ENCLAVE_MODULE);
    CHECK(e == NULL);
}

static void test_a_life_from_genesis_over_a_restart(void) {
    scene_begin(&scene);
    scene_first_boot(&scene);
    CHECK_OK(seal_word(1));
    for (int boot = 0; boot < 2; boot++) {
        scene_boot(&scene);
        CHECK(!enclave_is_ready(scene.e));
        CHECK(enclave_engine_id(scene.e) == NULL);
        CHECK_EQ(unseal_word(1), SENTINEL_USAGE_STATE);
        CHECK_EQ(seal_word(2), SENTINEL_USAGE_STATE);
        scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
        size_t size = kms_answer(answer, sizeof answer, &scene);
        CHECK_OK(scene_unwrap(&scene, answer, size));
        CHECK(enclave_is_ready(scene.e));
        CHECK_BYTES(enclave_engine_id(scene.e), scene.engine_id32, 32);
        CHECK_OK(unseal_word(1));
        CHECK_BYTES(clear, word, sizeof word);
        CHECK_EQ(unseal_word(2), SENTINEL_ENCLAVE_STALE);
    }
    scene_end(&scene);
}

static void test_a_document_says_who_the_engine_is(void) {
    uint8_t hash32[32], receipt32[32] = {1}, session[91] = {2};
    scene_begin(&scene);
    CHECK_OK(enclave_genesis(scene.e, &scene.genesis));
    enclave_facts facts = scene_facts(&scene);
    facts.head_number = 77;
    facts.head_hash32[31] = 9;
    facts.receipt_key32 = receipt32;
    facts.session_spki = session;
    facts.session_spki_size = sizeof session;
    CHECK_OK(
        enclave_attest(scene.e, &scene.document, SENTINEL_DOCUMENT_SESSION, &facts, scene_nonce32));
    CHECK(scene.document.time_ms == scene.fake.time_ms);
    const sentinel_user_data data = said_by(&scene.document);
    CHECK_EQ(data.version, 1);
    CHECK_EQ(data.purpose, SENTINEL_DOCUMENT_SESSION);
    CHECK_BYTES(data.engine_id32, scene.engine_id32, 32);
    CHECK_EQ(data.epoch, 1);
    CHECK_EQ(data.head_number, 77);
    CHECK_EQ(data.head_hash32[31], 9);
    hash_bytes(hash32, receipt32, 32);
    CHECK_BYTES(data.receipt_key_hash32, hash32, 32);
    hash_bytes(hash32, session, sizeof session);
    CHECK_BYTES(data.session_key_hash32, hash32, 32);
    document_authority_root(hash32, &scene.genesis);
    CHECK_BYTES(data.authority_root32, hash32, 32);
    CHECK(!sodium_is_zero(data.root_commitment32, 32));
    CHECK(sodium_is_zero(data.reserved, sizeof data.reserved));
    CHECK_EQ(enclave_attest(scene.e, &scene.document, 0, &facts, scene_nonce32),
             SENTINEL_USAGE_ARGUMENT);
    CHECK_EQ(enclave_attest(scene.e, &scene.document, SENTINEL_DOCUMENT_PURPOSE_COUNT, &facts,
                            scene_nonce32),
             SENTINEL_USAGE_ARGUMENT);
    /* Never a root of one engine beside the id of another. */
    sentinel_genesis other = scene.genesis;
    other.random32[5] ^= 1;
    facts.genesis = &other;
    CHECK_EQ(
        enclave_attest(scene.e, &scene.document, SENTINEL_DOCUMENT_SESSION, &facts, scene_nonce32),
        SENTINEL_USAGE_ARGUMENT);
    facts.genesis = NULL;
    CHECK_EQ(
        enclave_attest(scene.e, &scene.document, SENTINEL_DOCUMENT_SESSION, &facts, scene_nonce32),
        SENTINEL_USAGE_ARGUMENT);
    scene_end(&scene);
}

/* ---- Certificates ---------------------------------------------------------------- */

static sentinel_certificate begin_certificate(void) {
    scene_begin(&scene);
    CHECK_OK(enclave_genesis(scene.e, &scene.genesis));
    CHECK_EQ(enclave_genesis(scene.e, &scene.genesis), SENTINEL_USAGE_STATE);
    scene_attest(&scene, SENTINEL_DOCUMENT_GENESIS);
    return scene_certificate(&scene);
}

static void test_a_certificate_must_fit_in_every_field(void) {
    static const struct {
        size_t at;
        sentinel_status status;
    } changes[] = {
        {offsetof(sentinel_certificate, version), SENTINEL_FORMAT_VERSION},
        {offsetof(sentinel_certificate, reserved0), SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_certificate, reserved1) + 23, SENTINEL_FORMAT_RESERVED},
        {offsetof(sentinel_certificate, authority_root32), SENTINEL_POLICY_SIGNATURE},
        {offsetof(sentinel_certificate, attestation_digest32) + 31, SENTINEL_ENCLAVE_DOCUMENT},
        {offsetof(sentinel_certificate, commitment32), SENTINEL_ENCLAVE_COMMITMENT},
        {offsetof(sentinel_certificate, kms_key_hash32), SENTINEL_ENCLAVE_KMS_KEY},
    };
    const sentinel_certificate good = begin_certificate();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        sentinel_certificate bad = good;
        ((uint8_t *)&bad)[changes[i].at] ^= 1;
        scene_sign_certificate(&scene, &bad, 1);
        CHECK_EQ(scene_certify(&scene), changes[i].status);
        CHECK(!enclave_is_ready(scene.e));
        CHECK_EQ(seal_word(1), SENTINEL_USAGE_STATE);
    }
    scene_sign_certificate(&scene, &good, 1);
    CHECK_OK(scene_certify(&scene));
    CHECK_OK(seal_word(1));
    scene_end(&scene);
}

static void test_a_certificate_needs_k_operators(void) {
    static const struct {
        uint32_t keys[2], rows[2];
    } proofs[] = {
        {{KEY_OPERATOR_A, 0}, {KEY_OPERATOR_A, 0}},                           /* one of two */
        {{KEY_OPERATOR_A, KEY_OPERATOR_A}, {KEY_OPERATOR_A, KEY_OPERATOR_A}}, /* one twice */
        {{KEY_OPERATOR_A, KEY_OPERATOR_A}, {KEY_OPERATOR_A, KEY_OPERATOR_B}}, /* for another */
        {{KEY_OPERATOR_A, KEY_FEEDER}, {KEY_OPERATOR_A, KEY_FEEDER}},         /* no operator */
        {{KEY_OPERATOR_A, KEY_ROOT}, {KEY_OPERATOR_A, 0}},
        {{0, 0}, {0, 0}},
    };
    const sentinel_certificate good = begin_certificate();
    for (size_t i = 0; i < sizeof proofs / sizeof *proofs; i++) {
        scene_sign_certificate(&scene, &good, 1);
        frame_unprove(&scene.certificate);
        for (size_t k = 0; k < 2; k++) {
            if (proofs[i].keys[k] != 0) {
                frame_prove(&scene.certificate, &scene, proofs[i].keys[k], proofs[i].rows[k]);
            }
        }
        CHECK_EQ(scene_certify(&scene), SENTINEL_POLICY_SIGNATURE);
    }
    /* Operators of an authority bundle that the root did not sign. */
    scene_sign_certificate(&scene, &good, 1);
    frame_unprove(&scene.authority);
    frame_prove(&scene.authority, &scene, KEY_OPERATOR_A, 0);
    CHECK_EQ(scene_certify(&scene), SENTINEL_POLICY_SIGNATURE);
    scene_end(&scene);
}

static void test_a_certificate_is_of_its_engine_and_time(void) {
    const sentinel_certificate good = begin_certificate();
    scene_sign_certificate(&scene, &good, 1);
    certificate_papers papers = scene_papers(&scene);
    for (size_t size = 0; size < scene.certificate.size; size += 8) {
        papers.certificate_size = size;
        CHECK(enclave_certify(scene.e, &scene.wrapped, &papers, scene.kms_spki, scene.kms_spki_size,
                              SCENE_NOW) != SENTINEL_OK);
    }
    papers = scene_papers(&scene);
    CHECK_EQ(enclave_certify(scene.e, &scene.wrapped, &papers, scene.kms_spki, scene.kms_spki_size,
                             SCENE_NOW + SCENE_HOUR),
             SENTINEL_POLICY_EXPIRED);
    CHECK_EQ(enclave_certify(scene.e, &scene.wrapped, &papers, scene.kms_spki, scene.kms_spki_size,
                             SCENE_NOW - SCENE_HOUR),
             SENTINEL_POLICY_EXPIRED);
    scene_genesis(&scene, 2); /* the papers of another engine of the same people */
    scene_authority(&scene);
    scene_sign_certificate(&scene, &good, 1);
    CHECK_EQ(scene_certify(&scene), SENTINEL_POLICY_ENGINE);
    scene_end(&scene);
}

/* A later certificate moves the root to another KMS key: so an image is renewed. */
static void test_the_root_moves_to_another_kms_key(void) {
    scene_begin(&scene);
    scene_first_boot(&scene);
    CHECK_OK(seal_word(1));
    const sentinel_wrapped_root before = scene.wrapped;
    scene_kms(&scene, "P-384");
    scene_attest(&scene, SENTINEL_DOCUMENT_GENESIS);
    sentinel_certificate next = scene_certificate(&scene);
    scene_sign_certificate(&scene, &next, 1);
    CHECK_EQ(scene_certify(&scene), SENTINEL_POLICY_SEQUENCE);
    scene_sign_certificate(&scene, &next, 2);
    CHECK_OK(scene_certify(&scene));
    CHECK_BYTES(scene.wrapped.commitment32, before.commitment32, 32);
    scene_boot(&scene);
    scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
    size_t size = kms_answer(answer, sizeof answer, &scene);
    const sentinel_wrapped_root after = scene.wrapped;
    scene.wrapped = before; /* the old wrapping under the new certificate */
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_KMS_KEY);
    scene.wrapped = after;
    CHECK_OK(scene_unwrap(&scene, answer, size));
    CHECK_OK(unseal_word(1));
    scene_end(&scene);
}

/* ---- Answers --------------------------------------------------------------------- */

static void begin_restart(void) {
    scene_begin(&scene);
    scene_first_boot(&scene);
    scene_boot(&scene);
    scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
}

static void test_an_answer_is_tried_once(void) {
    begin_restart();
    size_t size = kms_answer(answer, sizeof answer, &scene);
    answer[size / 2] ^= 1;
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_ANSWER);
    answer[size / 2] ^= 1;
    /* The right one comes too late: its key is gone. */
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_USAGE_STATE);
    scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_ANSWER);
    scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
    size = kms_answer(answer, sizeof answer, &scene);
    CHECK_OK(scene_unwrap(&scene, answer, size));
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_USAGE_STATE);
    scene_end(&scene);
}

static void test_no_answer_counts_that_was_not_asked_for(void) {
    scene_begin(&scene);
    scene_first_boot(&scene);
    scene_boot(&scene);
    scene_attest(&scene, SENTINEL_DOCUMENT_SESSION);
    size_t size = kms_answer(answer, sizeof answer, &scene);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_USAGE_STATE);
    scene_end(&scene);
}

/* The host knows every public key, and so can answer in KMS's place: with a root of
 * its own, wrapped for a KMS key of its own. */
static void test_a_forged_answer_starts_no_engine(void) {
    begin_restart();
    root *hosts;
    CHECK_OK(root_new(&hosts));
    memset(hosts->secret32, 0x66, 32);
    const sentinel_wrapped_root genuine = scene.wrapped;
    scene_kms(&scene, "P-256");
    CHECK_OK(
        root_wrap(&scene.wrapped, hosts, scene.engine_id32, scene.kms_spki, scene.kms_spki_size));
    size_t size = kms_answer(answer, sizeof answer, &scene);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_KMS_KEY);
    /* It names the certified key, as which the host's own key cannot be known. */
    memcpy(scene.wrapped.kms_key_hash32, genuine.kms_key_hash32, 32);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_ANSWER);
    /* Or any secret at all for the genuine wrapping. */
    scene.wrapped = genuine;
    const kms_form form = kms_usual();
    scene_attest(&scene, SENTINEL_DOCUMENT_BOOT);
    EVP_PKEY *key = kms_recipient(&scene.document);
    uint8_t guess[32] = {0};
    size = kms_envelope(answer, sizeof answer, key, guess, sizeof guess, &form);
    EVP_PKEY_free(key);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_ANSWER);
    CHECK(!enclave_is_ready(scene.e));
    root_free(hosts);
    scene_end(&scene);
}

/* The host agrees in the enclave's place: it seals a root of its own under a secret
 * that it knows, and labels it as the certificate wants it. Only the commitment
 * stands against that. */
static void test_a_root_that_opens_is_not_yet_ours(void) {
    begin_restart();
    root *hosts;
    uint8_t shared[32] = {0x77}, key32[32];
    struct {
        uint8_t engine32[32], kms32[32], public32[32];
    } context;
    CHECK_OK(root_new(&hosts));
    memset(hosts->secret32, 0x66, 32);
    memcpy(context.engine32, scene.wrapped.engine_id32, 32);
    memcpy(context.kms32, scene.wrapped.kms_key_hash32, 32);
    hash_bytes(context.public32, scene.wrapped.public_key, scene.wrapped.public_key_size);
    const hkdf_info info = {"sentinel-root-wrap-v1", &context, sizeof context};
    static const uint8_t salt32[32];
    CHECK_OK(hkdf_sha256(key32, shared, sizeof shared, salt32, &info));
    const gcm_place place = {key32, scene.wrapped.nonce12, &scene.wrapped,
                             offsetof(sentinel_wrapped_root, nonce12)};
    CHECK_OK(gcm_seal(scene.wrapped.sealed32, scene.wrapped.tag16, &place, hosts->secret32, 32));
    EVP_PKEY *key = kms_recipient(&scene.document);
    const kms_form form = kms_usual();
    size_t size = kms_envelope(answer, sizeof answer, key, shared, sizeof shared, &form);
    EVP_PKEY_free(key);
    CHECK_EQ(scene_unwrap(&scene, answer, size), SENTINEL_ENCLAVE_COMMITMENT);
    CHECK(!enclave_is_ready(scene.e));
    root_free(hosts);
    scene_end(&scene);
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_without_a_module_there_is_no_enclave);
    RUN(test_a_life_from_genesis_over_a_restart);
    RUN(test_a_document_says_who_the_engine_is);
    RUN(test_a_certificate_must_fit_in_every_field);
    RUN(test_a_certificate_needs_k_operators);
    RUN(test_a_certificate_is_of_its_engine_and_time);
    RUN(test_the_root_moves_to_another_kms_key);
    RUN(test_an_answer_is_tried_once);
    RUN(test_no_answer_counts_that_was_not_asked_for);
    RUN(test_a_forged_answer_starts_no_engine);
    RUN(test_a_root_that_opens_is_not_yet_ours);
    return test_end();
}

/* Goal: the root comes back to whom KMS's private key answered, and to nobody
 * else; an answer of another form, or a forged one, opens nothing. Method: both
 * curves; every byte of a wrapped root and of an answer changed; answers made by a
 * host that knows every public key. */
#include "keys_scene.h"
#include "kms.h"

static keys_scene scene;
static root *one, *two;
static uint8_t shared[SENTINEL_SHARED_BYTES_MAX], commitment32[32];
static size_t shared_size;

static void begin(const char *curve) {
    scene_begin(&scene);
    scene_kms(&scene, curve);
    CHECK_OK(root_new(&one));
    CHECK_OK(root_new(&two));
    nsm module;
    nsm_open_carrier(&module, fake_nsm_carry, &scene.fake);
    CHECK_OK(root_make(one, &module));
    root_commitment(commitment32, one);
    CHECK_OK(
        root_wrap(&scene.wrapped, one, scene.engine_id32, scene.kms_spki, scene.kms_spki_size));
    shared_size = kms_shared(shared, &scene);
}

static void end(void) {
    root_free(one);
    root_free(two);
    scene_end(&scene);
}

static sentinel_status unwrap(void) {
    return root_unwrap(two, &scene.wrapped, shared, shared_size, commitment32);
}

static void test_the_root_comes_back_on_both_curves(void) {
    static const char *const curves[] = {"P-256", "P-384"};
    for (size_t i = 0; i < 2; i++) {
        begin(curves[i]);
        CHECK_EQ(scene.wrapped.curve, i + 1);
        CHECK_OK(root_wrapped_check(&scene.wrapped, sizeof scene.wrapped, scene.engine_id32));
        CHECK_OK(unwrap());
        CHECK_BYTES(one->secret32, two->secret32, 32);
        CHECK(memmem(&scene.wrapped, sizeof scene.wrapped, one->secret32, 8) == NULL);
        end();
    }
}

/* Neither side's randomness alone makes a root that is known. */
static void test_a_root_is_of_both_sources(void) {
    begin("P-256");
    nsm module;
    scene.fake.zero_random = 1;
    nsm_open_carrier(&module, fake_nsm_carry, &scene.fake);
    CHECK_OK(root_make(one, &module));
    CHECK_OK(root_make(two, &module));
    CHECK(memcmp(one->secret32, two->secret32, 32) != 0);
    scene.fake.refusal = "InternalError";
    CHECK_EQ(root_make(one, &module), SENTINEL_ENCLAVE_MODULE);
    end();
}

static void test_every_changed_byte_of_a_wrapped_root_is_refused(void) {
    begin("P-256");
    const sentinel_wrapped_root good = scene.wrapped;
    for (size_t at = 0; at < sizeof good; at++) {
        for (unsigned change = 1; change < 256; change++) {
            scene.wrapped = good;
            ((uint8_t *)&scene.wrapped)[at] ^= (uint8_t)change;
            sentinel_status status =
                root_wrapped_check(&scene.wrapped, sizeof scene.wrapped, scene.engine_id32);
            if (status == SENTINEL_OK) {
                status = unwrap();
            }
            CHECK(status != SENTINEL_OK);
        }
    }
    for (size_t size = 0; size < sizeof good; size++) {
        CHECK_EQ(root_wrapped_check(&good, size, scene.engine_id32), SENTINEL_FORMAT_SIZE);
    }
    end();
}

static void test_each_mistake_has_its_status(void) {
    begin("P-256");
    scene.wrapped.engine_id32[0] ^= 1;
    CHECK_EQ(root_wrapped_check(&scene.wrapped, sizeof scene.wrapped, scene.engine_id32),
             SENTINEL_ENCLAVE_FOREIGN);
    scene.wrapped.engine_id32[0] ^= 1;
    shared[0] ^= 1;
    CHECK_EQ(unwrap(), SENTINEL_ENCLAVE_ANSWER);
    shared[0] ^= 1;
    shared_size--;
    CHECK_EQ(unwrap(), SENTINEL_ENCLAVE_ANSWER);
    shared_size++;
    commitment32[0] ^= 1;
    CHECK_EQ(unwrap(), SENTINEL_ENCLAVE_COMMITMENT);
    CHECK(sodium_is_zero(two->secret32, 32)); /* what opened is gone again */
    end();
}

/* A host that makes root, KMS key and answer itself: all opens, and is not ours. */
static void test_a_root_of_the_hosts_making_is_refused(void) {
    begin("P-256");
    root *hosts;
    CHECK_OK(root_new(&hosts));
    memset(hosts->secret32, 0x66, 32);
    scene_kms(&scene, "P-256");
    CHECK_OK(
        root_wrap(&scene.wrapped, hosts, scene.engine_id32, scene.kms_spki, scene.kms_spki_size));
    shared_size = kms_shared(shared, &scene);
    CHECK_EQ(unwrap(), SENTINEL_ENCLAVE_COMMITMENT);
    root_free(hosts);
    end();
}

static void test_only_keys_of_kms_are_wrapped_to(void) {
    uint8_t spki[SENTINEL_KMS_SPKI_BYTES_MAX + 64];
    begin("P-256");
    static const char *const others[] = {"secp256k1", "P-521"};
    for (size_t i = 0; i < 2; i++) {
        EVP_PKEY *key = EVP_EC_gen(others[i]);
        uint8_t *at = spki;
        size_t size = (size_t)i2d_PUBKEY(key, &at);
        CHECK_EQ(root_wrap(&scene.wrapped, one, scene.engine_id32, spki, size),
                 SENTINEL_ENCLAVE_KMS_KEY);
        EVP_PKEY_free(key);
    }
    /* Cut short, with something behind, off the curve, or not there. */
    for (size_t size = 0; size < scene.kms_spki_size; size++) {
        CHECK_EQ(root_wrap(&scene.wrapped, one, scene.engine_id32, scene.kms_spki, size),
                 SENTINEL_ENCLAVE_KMS_KEY);
    }
    memcpy(spki, scene.kms_spki, scene.kms_spki_size);
    spki[scene.kms_spki_size] = 0;
    CHECK_EQ(root_wrap(&scene.wrapped, one, scene.engine_id32, spki, scene.kms_spki_size + 1),
             SENTINEL_ENCLAVE_KMS_KEY);
    spki[scene.kms_spki_size - 1] ^= 1;
    CHECK_EQ(root_wrap(&scene.wrapped, one, scene.engine_id32, spki, scene.kms_spki_size),
             SENTINEL_ENCLAVE_KMS_KEY);
    end();
}

/* ---- Answers ------------------------------------------------------------------- */

static uint8_t answer[KMS_ANSWER_BYTES_MAX], got[SENTINEL_SHARED_BYTES_MAX];
static size_t got_size;

static sentinel_status open_answer(EVP_PKEY *key, size_t size) {
    return kms_open(got, &got_size, sizeof got, key, answer, size);
}

static void test_an_answer_is_taken_in_ber_and_in_der(void) {
    EVP_PKEY *key;
    begin("P-256");
    CHECK_OK(rsa_make(&key));
    kms_form form = kms_usual();
    size_t size = kms_envelope(answer, sizeof answer, key, shared, shared_size, &form);
    CHECK(answer[1] == 0x80); /* indefinite, as KMS writes it */
    CHECK_OK(open_answer(key, size));
    CHECK_EQ(got_size, shared_size);
    CHECK_BYTES(got, shared, shared_size);
    form.flags = 0;
    size = kms_envelope(answer, sizeof answer, key, shared, shared_size, &form);
    CHECK(answer[1] != 0x80);
    CHECK_OK(open_answer(key, size));
    CHECK_BYTES(got, shared, shared_size);
    EVP_PKEY_free(key);
    end();
}

static void test_answers_of_another_form_are_refused(void) {
    EVP_PKEY *key, *other;
    uint8_t more[SENTINEL_SHARED_BYTES_MAX + 1] = {1};
    begin("P-256");
    CHECK_OK(rsa_make(&key));
    CHECK_OK(rsa_make(&other));
    const kms_form bad[] = {{RSA_PKCS1_PADDING, NULL, 1, CMS_STREAM},
                            {RSA_PKCS1_OAEP_PADDING, EVP_sha1(), 1, CMS_STREAM},
                            {RSA_PKCS1_OAEP_PADDING, EVP_sha384(), 1, CMS_STREAM},
                            {RSA_PKCS1_OAEP_PADDING, EVP_sha256(), 2, CMS_STREAM}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t size = kms_envelope(answer, sizeof answer, key, shared, shared_size, &bad[i]);
        CHECK_EQ(open_answer(key, size), SENTINEL_ENCLAVE_ANSWER);
    }
    const kms_form form = kms_usual();
    size_t size = kms_envelope(answer, sizeof answer, key, more, sizeof more, &form);
    CHECK_EQ(open_answer(key, size), SENTINEL_ENCLAVE_ANSWER); /* longer than any secret */
    size = kms_envelope(answer, sizeof answer, other, shared, shared_size, &form);
    CHECK_EQ(open_answer(key, size) == SENTINEL_OK && got_size == shared_size &&
                 memcmp(got, shared, shared_size) == 0,
             0); /* for another document */
    size = kms_envelope(answer, sizeof answer, key, shared, shared_size, &form);
    answer[size] = 0;
    CHECK_EQ(open_answer(key, size + 1), SENTINEL_ENCLAVE_ANSWER); /* something behind */
    for (size_t less = 0; less < size; less++) {
        CHECK_EQ(open_answer(key, less), SENTINEL_ENCLAVE_ANSWER);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    end();
}

/* CBC has no tag: some changes open, as other bytes. They unwrap nothing. */
static void test_no_changed_byte_of_an_answer_unwraps_the_root(void) {
    EVP_PKEY *key;
    begin("P-256");
    CHECK_OK(rsa_make(&key));
    const kms_form form = kms_usual();
    size_t size = kms_envelope(answer, sizeof answer, key, shared, shared_size, &form);
    for (size_t at = 0; at < size; at++) {
        for (unsigned change = 1; change < 256; change <<= 1) {
            answer[at] ^= (uint8_t)change;
            sentinel_status status = open_answer(key, size);
            /* What opened to the same bytes was changed where it means nothing. */
            if (status == SENTINEL_OK &&
                (got_size != shared_size || memcmp(got, shared, shared_size) != 0)) {
                CHECK_EQ(root_unwrap(two, &scene.wrapped, got, got_size, commitment32),
                         SENTINEL_ENCLAVE_ANSWER);
            }
            answer[at] ^= (uint8_t)change;
        }
    }
    EVP_PKEY_free(key);
    end();
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_the_root_comes_back_on_both_curves);
    RUN(test_a_root_is_of_both_sources);
    RUN(test_every_changed_byte_of_a_wrapped_root_is_refused);
    RUN(test_each_mistake_has_its_status);
    RUN(test_a_root_of_the_hosts_making_is_refused);
    RUN(test_only_keys_of_kms_are_wrapped_to);
    RUN(test_an_answer_is_taken_in_ber_and_in_der);
    RUN(test_answers_of_another_form_are_refused);
    RUN(test_no_changed_byte_of_an_answer_unwraps_the_root);
    return test_end();
}

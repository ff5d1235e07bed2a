/* Goal: what the security module says is taken in its one form, and a refusal is
 * never taken for an answer. Method: a fake module in the device's place; every
 * byte of its answers changed, and every shorter answer. */
#include "nsm.h"

#include "fake_nsm.h"
#include "sentinel_test.h"

static nsm module;
static fake_nsm fake;

static void begin(void) {
    fake_nsm_begin(&fake);
    nsm_open_carrier(&module, fake_nsm_carry, &fake);
}

static void test_without_a_device_there_is_no_module(void) {
    CHECK_EQ(nsm_open(&module, "/nonexistent/nsm"), SENTINEL_ENCLAVE_ABSENT);
    /* A device that knows no such call is no module either. */
    CHECK_OK(nsm_open(&module, "/dev/null"));
    nsm_description description;
    CHECK_EQ(nsm_describe(&module, &description), SENTINEL_ENCLAVE_MODULE);
    nsm_close(&module);
}

static void test_it_describes_itself_and_its_registers(void) {
    begin();
    nsm_description description;
    CHECK_OK(nsm_describe(&module, &description));
    CHECK_EQ(description.version_major, 1);
    CHECK_EQ(description.max_pcrs, NSM_PCRS_MAX);
    CHECK(strncmp(description.module_id, "i-", 2) == 0);
    nsm_pcr pcr;
    CHECK_OK(nsm_describe_pcr(&module, &pcr, 0));
    CHECK(pcr.locked);
    CHECK_BYTES(pcr.value48, fake.pcrs[0], sizeof pcr.value48);
    CHECK_OK(nsm_describe_pcr(&module, &pcr, 16));
    CHECK(!pcr.locked);
    CHECK_EQ(nsm_describe_pcr(&module, &pcr, NSM_PCRS_MAX), SENTINEL_ENCLAVE_MODULE);
    CHECK(strcmp(module.error, "InvalidIndex") == 0);
}

static void test_randomness_comes_in_any_size_and_is_not_kept(void) {
    static uint8_t bytes[1000], zeros[1000], response[NSM_RESPONSE_BYTES_MAX];
    begin();
    CHECK_OK(nsm_random(&module, bytes, sizeof bytes));
    CHECK_EQ(fake.asked, 4); /* 256 at once */
    CHECK(memcmp(bytes + 700, zeros, 300) != 0);
    CHECK_BYTES(module.response, response, sizeof response);
    fake.broken = SENTINEL_ENCLAVE_MODULE;
    CHECK_EQ(nsm_random(&module, bytes, sizeof bytes), SENTINEL_ENCLAVE_MODULE);
    CHECK_BYTES(bytes, zeros, sizeof bytes);
}

static void test_a_refusal_keeps_its_word(void) {
    uint8_t byte;
    begin();
    fake.refusal = "ReadOnlyIndex";
    CHECK_EQ(nsm_random(&module, &byte, 1), SENTINEL_ENCLAVE_MODULE);
    CHECK(strcmp(module.error, "ReadOnlyIndex") == 0);
    /* Longer than there is room for, and nothing that a terminal would obey. */
    fake.refusal = "\x1b[2J-0123456789012345678901234567890123456789";
    CHECK_EQ(nsm_random(&module, &byte, 1), SENTINEL_ENCLAVE_MODULE);
    CHECK_EQ(strlen(module.error), NSM_ERROR_BYTES - 1);
    CHECK(module.error[0] == '?');
    fake.refusal = NULL;
    CHECK_OK(nsm_random(&module, &byte, 1));
    CHECK(module.error[0] == 0);
}

static void test_statements_have_the_modules_limits(void) {
    static uint8_t bytes[NSM_PUBLIC_KEY_BYTES_MAX + 1];
    const uint8_t *document;
    size_t size;
    begin();
    nsm_statement good = {bytes, NSM_USER_DATA_BYTES_MAX, bytes, NSM_NONCE_BYTES_MAX,
                          bytes, NSM_PUBLIC_KEY_BYTES_MAX};
    CHECK_OK(nsm_attest(&module, &document, &size, &good));
    CHECK(size > 1024);
    nsm_statement bad = good;
    bad.user_data_size++;
    CHECK_EQ(nsm_attest(&module, &document, &size, &bad), SENTINEL_USAGE_ARGUMENT);
    bad = good;
    bad.nonce_size++;
    CHECK_EQ(nsm_attest(&module, &document, &size, &bad), SENTINEL_USAGE_ARGUMENT);
    bad = good;
    bad.public_key_size++;
    CHECK_EQ(nsm_attest(&module, &document, &size, &bad), SENTINEL_USAGE_ARGUMENT);
    bad = (nsm_statement){.nonce = bytes};
    CHECK_EQ(nsm_attest(&module, &document, &size, &bad), SENTINEL_USAGE_ARGUMENT);
    bad = (nsm_statement){.nonce_size = 1};
    CHECK_EQ(nsm_attest(&module, &document, &size, &bad), SENTINEL_USAGE_ARGUMENT);
    nsm_statement least = {0};
    CHECK_OK(nsm_attest(&module, &document, &size, &least));
}

#define ANSWER(text) \
    { text, sizeof(text) - 1 }
static const struct {
    const char *bytes;
    size_t size;
} bad_answers[] = {
    ANSWER(""),
    ANSWER("\x69GetRandom"),
    ANSWER("\xa1\x69GetRandom\xa0"),
    ANSWER("\xa1\x69GetRandom\xa1\x66random\x40"),             /* none, for ever */
    ANSWER("\xa1\x69GetRandom\xa1\x66random\x83\x01\x02\x03"), /* numbers */
    ANSWER("\xa1\x69GetRandom\xa1\x66random\x61x"),            /* a text */
    ANSWER("\xa1\x69GetRandom\xa1\x66random\x41x\x00"),        /* something follows */
    ANSWER("\xa1\153DescribePCR\xa1\x66random\x41x"),          /* of another request */
    ANSWER("\xa1\145Error\x40"),
    ANSWER("\xa2\x69GetRandom\xa1\x66random\x41x\145Error\x61x"),
};

/* Answers of another request, of another form, or of none. */
static void test_other_answers_are_refused(void) {
    static const char good[] = "\xa1\x69GetRandom\xa1\x66random\x41x";
    uint8_t byte;
    begin();
    for (size_t i = 0; i < sizeof bad_answers / sizeof *bad_answers; i++) {
        fake.raw = (const uint8_t *)bad_answers[i].bytes;
        fake.raw_size = bad_answers[i].size;
        CHECK_EQ(nsm_random(&module, &byte, 1), SENTINEL_ENCLAVE_MODULE);
    }
    fake.raw = (const uint8_t *)good;
    fake.raw_size = sizeof good - 1;
    CHECK_OK(nsm_random(&module, &byte, 1));
    CHECK_EQ(byte, 'x');
}

static void test_any_changed_byte_of_a_description_is_safe(void) {
    static uint8_t good[NSM_RESPONSE_BYTES_MAX], bytes[NSM_RESPONSE_BYTES_MAX];
    nsm_description description;
    begin();
    CHECK_OK(nsm_describe(&module, &description));
    size_t size = sizeof good;
    CHECK_OK(fake_nsm_carry(&fake, good, &size,
                            (const uint8_t *)"\x6b"
                                             "DescribeNSM",
                            12));
    for (size_t at = 0; at < size; at++) {
        for (unsigned value = 0; value < 256; value++) {
            memcpy(bytes, good, size);
            bytes[at] = (uint8_t)value;
            fake.raw = bytes;
            fake.raw_size = size;
            sentinel_status status = nsm_describe(&module, &description);
            CHECK(status == SENTINEL_OK || status == SENTINEL_ENCLAVE_MODULE);
        }
        fake.raw = good;
        fake.raw_size = at;
        CHECK_EQ(nsm_describe(&module, &description), SENTINEL_ENCLAVE_MODULE);
    }
}

int main(int argc, char **argv) {
    test_begin(argc, argv);
    RUN(test_without_a_device_there_is_no_module);
    RUN(test_it_describes_itself_and_its_registers);
    RUN(test_randomness_comes_in_any_size_and_is_not_kept);
    RUN(test_a_refusal_keeps_its_word);
    RUN(test_statements_have_the_modules_limits);
    RUN(test_other_answers_are_refused);
    RUN(test_any_changed_byte_of_a_description_is_safe);
    return test_end();
}

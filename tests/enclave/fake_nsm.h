/* A stand-in for the Nitro Security Module: a carrier in the device's place,
 * with registers of its own. It signs nothing, as QEMU's does not: whoever needs
 * a signed document has fake_nitro.py sign its payload, under that module's own
 * root. For tests alone; no release binary has any of it. */
#ifndef FAKE_NSM_H
#define FAKE_NSM_H

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cbor.h"
#include "nsm.h"

#define FAKE_NSM_MARK "fake-nsm: for tests alone"

typedef struct fake_nsm {
    uint8_t pcrs[NSM_PCRS_MAX][NSM_PCR_BYTES];
    uint8_t locked[NSM_PCRS_MAX];
    uint64_t time_ms;
    uint64_t (*clock_ms)(void); /* asked instead, where it is set */
    unsigned asked;             /* requests so far */
    const char *refusal;        /* answers with this error alone */
    int zero_random;            /* randomness that is none: the host's friend */
    const uint8_t *raw;         /* answers with these bytes alone */
    size_t raw_size;
    sentinel_status broken; /* the carrier itself fails */
} fake_nsm;

static void fake_nsm_begin(fake_nsm *fake) {
    memset(fake, 0, sizeof *fake);
    fake->time_ms = UINT64_C(1700000000000);
    for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
        fake->locked[i] = i < 16;
    }
    for (unsigned i = 0; i < 3; i++) {
        memset(fake->pcrs[i], (int)(0xa0 + i), NSM_PCR_BYTES);
    }
}

static void fake_nsm_copy(cbor_writer *to, const char *key, const cbor_item *item) {
    cbor_put_text(to, key);
    cbor_put_bytes(to, cbor_is(item, CBOR_BYTES) ? item->bytes : NULL, item->size);
}

static size_t fake_nsm_payload(const fake_nsm *fake, uint8_t *bytes, size_t capacity,
                               const cbor_want wants[3]) {
    cbor_writer to = {.at = bytes, .capacity = capacity};
    unsigned locked = 0;
    for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
        locked += fake->locked[i];
    }
    cbor_put(&to, CBOR_MAP, 9);
    cbor_put_text(&to, "module_id");
    cbor_put_text(&to, "i-0123456789abcdef0-enc0123456789abcdef");
    cbor_put_text(&to, "digest");
    cbor_put_text(&to, "SHA384");
    cbor_put_text(&to, "timestamp");
    cbor_put(&to, CBOR_UINT, fake->clock_ms != NULL ? fake->clock_ms() : fake->time_ms);
    cbor_put_text(&to, "pcrs");
    cbor_put(&to, CBOR_MAP, locked);
    for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
        if (fake->locked[i]) {
            cbor_put(&to, CBOR_UINT, i);
            cbor_put_bytes(&to, fake->pcrs[i], NSM_PCR_BYTES);
        }
    }
    cbor_put_text(&to, "certificate");
    cbor_put_bytes(&to, "", 0);
    cbor_put_text(&to, "cabundle");
    cbor_put(&to, CBOR_ARRAY, 0);
    fake_nsm_copy(&to, "public_key", &wants[2].item);
    fake_nsm_copy(&to, "user_data", &wants[0].item);
    fake_nsm_copy(&to, "nonce", &wants[1].item);
    return to.overflow ? 0 : to.size;
}

static void fake_nsm_attest(fake_nsm *fake, cbor_writer *to, const cbor_item *arguments) {
    static const uint8_t head[] = {0xa1, 0x01, 0x20}, sig96[96] = {0};
    static uint8_t payload[NSM_RESPONSE_BYTES_MAX], made[NSM_RESPONSE_BYTES_MAX];
    cbor_want wants[] = {{.key = "user_data"}, {.key = "nonce"}, {.key = "public_key"}};
    if (cbor_find(wants, 3, arguments) != SENTINEL_OK) {
        abort();
    }
    size_t size = fake_nsm_payload(fake, payload, sizeof payload, wants);
    cbor_writer cose = {.at = made, .capacity = sizeof made};
    cbor_put(&cose, CBOR_ARRAY, 4);
    cbor_put_bytes(&cose, head, sizeof head);
    cbor_put(&cose, CBOR_MAP, 0);
    cbor_put_bytes(&cose, payload, size);
    cbor_put_bytes(&cose, sig96, sizeof sig96);
    cbor_put_text(to, "Attestation");
    cbor_put(to, CBOR_MAP, 1);
    cbor_put_text(to, "document");
    cbor_put_bytes(to, made, cose.size);
}

static void fake_nsm_describe(const fake_nsm *fake, cbor_writer *to) {
    cbor_put_text(to, "DescribeNSM");
    cbor_put(to, CBOR_MAP, 7);
    cbor_put_text(to, "digest");
    cbor_put_text(to, "SHA384");
    cbor_put_text(to, "max_pcrs");
    cbor_put(to, CBOR_UINT, NSM_PCRS_MAX);
    cbor_put_text(to, "module_id");
    cbor_put_text(to, "i-0123456789abcdef0-enc0123456789abcdef");
    cbor_put_text(to, "locked_pcrs");
    cbor_put(to, CBOR_ARRAY, 16);
    for (unsigned i = 0; i < 16; i++) {
        cbor_put(to, CBOR_UINT, i);
    }
    cbor_put_text(to, "version_major");
    cbor_put(to, CBOR_UINT, 1);
    cbor_put_text(to, "version_minor");
    cbor_put(to, CBOR_UINT, 0);
    cbor_put_text(to, "version_patch");
    cbor_put(to, CBOR_UINT, 0);
    (void)fake;
}

static void fake_nsm_pcr(const fake_nsm *fake, cbor_writer *to, const cbor_item *arguments) {
    cbor_want index = {.key = "index"};
    if (cbor_find(&index, 1, arguments) != SENTINEL_OK || index.item.number >= NSM_PCRS_MAX) {
        cbor_put_text(to, "Error");
        cbor_put_text(to, "InvalidIndex");
        return;
    }
    cbor_put_text(to, "DescribePCR");
    cbor_put(to, CBOR_MAP, 2);
    cbor_put_text(to, "lock");
    cbor_put(to, CBOR_SIMPLE, fake->locked[index.item.number] ? CBOR_TRUE : CBOR_FALSE);
    cbor_put_text(to, "data");
    cbor_put_bytes(to, fake->pcrs[index.item.number], NSM_PCR_BYTES);
}

static void fake_nsm_random(const fake_nsm *fake, cbor_writer *to) {
    uint8_t random[256] = {0};
    if (!fake->zero_random && RAND_bytes(random, sizeof random) != 1) {
        abort();
    }
    cbor_put_text(to, "GetRandom");
    cbor_put(to, CBOR_MAP, 1);
    cbor_put_text(to, "random");
    cbor_put_bytes(to, random, sizeof random);
}

static int fake_nsm_is(const cbor_item *item, const char *text) {
    return cbor_is(item, CBOR_TEXT) && item->size == strlen(text) &&
           memcmp(item->bytes, text, item->size) == 0;
}

/* The carrier: nsm_open_carrier(&module, fake_nsm_carry, &fake). */
static sentinel_status fake_nsm_carry(void *with, uint8_t *response, size_t *response_size,
                                      const uint8_t *request, size_t request_size) {
    fake_nsm *fake = with;
    cbor_writer to = {.at = response, .capacity = *response_size};
    cbor_reader from = {request, request_size};
    cbor_item asked;
    fake->asked++;
    if (fake->broken != SENTINEL_OK) {
        return fake->broken;
    }
    if (fake->raw != NULL) {
        memcpy(response, fake->raw, fake->raw_size);
        *response_size = fake->raw_size;
        return SENTINEL_OK;
    }
    if (cbor_take(&from, &asked) != SENTINEL_OK || from.left != 0) {
        fprintf(stderr, FAKE_NSM_MARK "\n");
        abort();
    }
    cbor_put(&to, CBOR_MAP, 1);
    cbor_want wants[] = {{.key = "Attestation"}, {.key = "DescribePCR"}};
    if (fake->refusal != NULL) {
        cbor_put_text(&to, "Error");
        cbor_put_text(&to, fake->refusal);
    } else if (fake_nsm_is(&asked, "DescribeNSM")) {
        fake_nsm_describe(fake, &to);
    } else if (fake_nsm_is(&asked, "GetRandom")) {
        fake_nsm_random(fake, &to);
    } else if (cbor_find(wants, 2, &asked) == SENTINEL_OK && cbor_is(&wants[0].item, CBOR_MAP)) {
        fake_nsm_attest(fake, &to, &wants[0].item);
    } else if (cbor_is(&wants[1].item, CBOR_MAP)) {
        fake_nsm_pcr(fake, &to, &wants[1].item);
    } else {
        cbor_put_text(&to, "Error");
        cbor_put_text(&to, "InvalidOperation");
    }
    *response_size = to.size;
    return to.overflow ? SENTINEL_ENCLAVE_MODULE : SENTINEL_OK;
}

#endif

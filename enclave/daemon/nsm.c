/* The Nitro Security Module: one ioctl that carries CBOR both ways. */
#include "nsm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bytes.h"
#include "cbor.h"
#include "check.h"

/* As in the kernel's linux/nsm.h, which Debian 12's headers are too old for. */
typedef struct nsm_vector {
    uint64_t address;
    uint64_t size;
} nsm_vector;
typedef struct nsm_raw {
    nsm_vector request;
    nsm_vector response;
} nsm_raw;
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, nsm_raw)
_Static_assert(NSM_IOCTL_RAW == NSM_IOCTL, "the ioctl's number holds its argument's size");

static sentinel_status carry_device(void *with, uint8_t *response, size_t *response_size,
                                    const uint8_t *request, size_t request_size) {
    const nsm *module = with;
    nsm_raw raw = {{(uintptr_t)request, request_size}, {(uintptr_t)response, *response_size}};
    int got;
    do {
        got = ioctl(module->fd, NSM_IOCTL_RAW, &raw);
    } while (got < 0 && errno == EINTR);
    if (got < 0 || raw.response.size > *response_size) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    *response_size = (size_t)raw.response.size;
    return SENTINEL_OK;
}

sentinel_status nsm_open(nsm *module, const char *path) {
    memset(module, 0, sizeof *module);
    module->fd = open(path, O_RDWR | O_CLOEXEC);
    if (module->fd < 0) {
        return SENTINEL_ENCLAVE_ABSENT;
    }
    module->carry = carry_device;
    module->with = module;
    return SENTINEL_OK;
}

void nsm_open_carrier(nsm *module, nsm_carry carry, void *with) {
    memset(module, 0, sizeof *module);
    module->fd = -1;
    module->carry = carry;
    module->with = with;
}

void nsm_close(nsm *module) {
    if (module->fd >= 0) {
        close(module->fd);
    }
    bytes_wipe(module, sizeof *module); /* random bytes were in it */
    module->fd = -1;
}

static cbor_writer begin(nsm *module) {
    return (cbor_writer){.at = module->request, .capacity = sizeof module->request};
}

/* {"Error": "ReadOnlyIndex"}: the module's own word, kept for whoever reports it. */
static void keep_error(nsm *module, const cbor_item *error) {
    size_t size = error->size < sizeof module->error - 1 ? error->size : sizeof module->error - 1;
    for (size_t i = 0; i < size; i++) {
        char c = (char)error->bytes[i];
        module->error[i] = c > ' ' && c < 0x7f ? c : '?';
    }
    module->error[size] = 0;
}

/* Carries the request that was written, and gives the map behind the answer's
 * one key, which is the request's own name. */
static sentinel_status ask(nsm *module, const cbor_writer *request, const char *name,
                           cbor_item *answer) {
    module->error[0] = 0;
    size_t size = sizeof module->response;
    if (request->overflow) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    SENTINEL_TRY(
        module->carry(module->with, module->response, &size, module->request, request->size));
    cbor_item whole;
    cbor_want wants[] = {{.key = name}, {.key = "Error"}};
    if (size > sizeof module->response ||
        cbor_whole(&whole, CBOR_MAP, module->response, size) != SENTINEL_OK || whole.number != 1 ||
        cbor_find(wants, 2, &whole) != SENTINEL_OK) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    if (cbor_is(&wants[1].item, CBOR_TEXT)) {
        keep_error(module, &wants[1].item);
    }
    if (!cbor_is(&wants[0].item, CBOR_MAP)) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    *answer = wants[0].item;
    return SENTINEL_OK;
}

static sentinel_status number16(uint16_t *number, const cbor_item *item) {
    if (!cbor_is(item, CBOR_UINT) || item->number > UINT16_MAX) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    *number = (uint16_t)item->number;
    return SENTINEL_OK;
}

sentinel_status nsm_describe(nsm *module, nsm_description *description) {
    cbor_writer request = begin(module);
    cbor_put_text(&request, "DescribeNSM");
    cbor_item answer;
    SENTINEL_TRY(ask(module, &request, "DescribeNSM", &answer));
    cbor_want wants[] = {{.key = "version_major"}, {.key = "version_minor"},
                         {.key = "version_patch"}, {.key = "max_pcrs"},
                         {.key = "module_id"},     {.key = "digest"}};
    if (cbor_find(wants, sizeof wants / sizeof *wants, &answer) != SENTINEL_OK) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    memset(description, 0, sizeof *description);
    SENTINEL_TRY(number16(&description->version_major, &wants[0].item));
    SENTINEL_TRY(number16(&description->version_minor, &wants[1].item));
    SENTINEL_TRY(number16(&description->version_patch, &wants[2].item));
    SENTINEL_TRY(number16(&description->max_pcrs, &wants[3].item));
    const cbor_item *id = &wants[4].item, *digest = &wants[5].item;
    if (!cbor_is(id, CBOR_TEXT) || id->size >= sizeof description->module_id ||
        !cbor_is(digest, CBOR_TEXT) || digest->size != 6 ||
        memcmp(digest->bytes, "SHA384", 6) != 0) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    memcpy(description->module_id, id->bytes, id->size);
    return SENTINEL_OK;
}

sentinel_status nsm_describe_pcr(nsm *module, nsm_pcr *pcr, uint16_t index) {
    cbor_writer request = begin(module);
    cbor_put(&request, CBOR_MAP, 1);
    cbor_put_text(&request, "DescribePCR");
    cbor_put(&request, CBOR_MAP, 1);
    cbor_put_text(&request, "index");
    cbor_put(&request, CBOR_UINT, index);
    cbor_item answer;
    SENTINEL_TRY(ask(module, &request, "DescribePCR", &answer));
    cbor_want wants[] = {{.key = "lock"}, {.key = "data"}};
    if (cbor_find(wants, 2, &answer) != SENTINEL_OK || !cbor_is(&wants[0].item, CBOR_SIMPLE) ||
        wants[0].item.number == CBOR_NULL || !cbor_is(&wants[1].item, CBOR_BYTES) ||
        wants[1].item.size != sizeof pcr->value48) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    pcr->locked = wants[0].item.number == CBOR_TRUE;
    memcpy(pcr->value48, wants[1].item.bytes, sizeof pcr->value48);
    return SENTINEL_OK;
}

static sentinel_status random_some(nsm *module, uint8_t *bytes, size_t *size) {
    cbor_writer request = begin(module);
    cbor_put_text(&request, "GetRandom");
    cbor_item answer;
    SENTINEL_TRY(ask(module, &request, "GetRandom", &answer));
    cbor_want want = {.key = "random"};
    if (cbor_find(&want, 1, &answer) != SENTINEL_OK || !cbor_is(&want.item, CBOR_BYTES) ||
        want.item.size == 0) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    *size = want.item.size < *size ? want.item.size : *size;
    memcpy(bytes, want.item.bytes, *size);
    return SENTINEL_OK;
}

sentinel_status nsm_random(nsm *module, void *bytes, size_t size) {
    sentinel_status status = SENTINEL_OK;
    uint8_t *at = bytes;
    for (size_t left = size; left > 0 && status == SENTINEL_OK;) {
        size_t some = left;
        status = random_some(module, at, &some);
        at += status == SENTINEL_OK ? some : 0;
        left -= status == SENTINEL_OK ? some : 0;
    }
    bytes_wipe(module->response, sizeof module->response);
    if (status != SENTINEL_OK) {
        bytes_wipe(bytes, size);
    }
    return status;
}

static int fits(const void *bytes, size_t size, size_t most) {
    return bytes == NULL ? size == 0 : size > 0 && size <= most;
}

sentinel_status nsm_attest(nsm *module, const uint8_t **document, size_t *size,
                           const nsm_statement *s) {
    if (!fits(s->user_data, s->user_data_size, NSM_USER_DATA_BYTES_MAX) ||
        !fits(s->nonce, s->nonce_size, NSM_NONCE_BYTES_MAX) ||
        !fits(s->public_key, s->public_key_size, NSM_PUBLIC_KEY_BYTES_MAX)) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    cbor_writer request = begin(module);
    cbor_put(&request, CBOR_MAP, 1);
    cbor_put_text(&request, "Attestation");
    cbor_put(&request, CBOR_MAP, 3);
    cbor_put_text(&request, "user_data");
    cbor_put_bytes(&request, s->user_data, s->user_data_size);
    cbor_put_text(&request, "nonce");
    cbor_put_bytes(&request, s->nonce, s->nonce_size);
    cbor_put_text(&request, "public_key");
    cbor_put_bytes(&request, s->public_key, s->public_key_size);
    cbor_item answer;
    SENTINEL_TRY(ask(module, &request, "Attestation", &answer));
    cbor_want want = {.key = "document"};
    if (cbor_find(&want, 1, &answer) != SENTINEL_OK || !cbor_is(&want.item, CBOR_BYTES) ||
        want.item.size == 0) {
        return SENTINEL_ENCLAVE_MODULE;
    }
    *document = want.item.bytes;
    *size = want.item.size;
    return SENTINEL_OK;
}

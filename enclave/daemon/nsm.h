/* The Nitro Security Module, by /dev/nsm. What it says is read strictly, but it
 * is trusted: it is the hypervisor's, and no host stands between.
 *
 * Statuses: ENCLAVE_ABSENT (no device); ENCLAVE_MODULE (it refused, or its
 * answer has another form; `error` then has its own word, if it gave one). */
#ifndef SENTINEL_NSM_H
#define SENTINEL_NSM_H

#include <sentinel/status.h>
#include <stddef.h>
#include <stdint.h>

#define NSM_DEVICE "/dev/nsm"
/* The ioctl, for the filter of system calls. */
#define NSM_IOCTL UINT32_C(0xc0200a00)
#define NSM_REQUEST_BYTES_MAX 0x1000u
#define NSM_RESPONSE_BYTES_MAX 0x3000u
#define NSM_PCR_BYTES 48u
#define NSM_PCRS_MAX 32u
#define NSM_ERROR_BYTES 32u
#define NSM_MODULE_ID_BYTES 128u
#define NSM_USER_DATA_BYTES_MAX 512u
#define NSM_NONCE_BYTES_MAX 512u
#define NSM_PUBLIC_KEY_BYTES_MAX 1024u

/* Carries one request to the module; the one seam of the device. */
typedef sentinel_status (*nsm_carry)(void *with, uint8_t *response, size_t *response_size,
                                     const uint8_t *request, size_t request_size);

typedef struct nsm {
    nsm_carry carry;
    void *with;                  /* handed to carry */
    int fd;                      /* of the device; -1: another carrier */
    char error[NSM_ERROR_BYTES]; /* the module's last own word of refusal, or empty */
    uint8_t request[NSM_REQUEST_BYTES_MAX];
    uint8_t response[NSM_RESPONSE_BYTES_MAX];
} nsm;

typedef struct nsm_description {
    char module_id[NSM_MODULE_ID_BYTES];
    uint16_t version_major;
    uint16_t version_minor;
    uint16_t version_patch;
    uint16_t max_pcrs;
} nsm_description;

typedef struct nsm_pcr {
    uint8_t value48[NSM_PCR_BYTES];
    int locked;
} nsm_pcr;

/* Opens the device. Returns: OK; ENCLAVE_ABSENT. */
SENTINEL_MUST_USE sentinel_status nsm_open(nsm *module, const char *path);
/* Another carrier in the device's place. */
void nsm_open_carrier(nsm *module, nsm_carry carry, void *with);
void nsm_close(nsm *module);

/* Who the module is; refuses one whose digest is not SHA384. */
SENTINEL_MUST_USE sentinel_status nsm_describe(nsm *module, nsm_description *description);

SENTINEL_MUST_USE sentinel_status nsm_describe_pcr(nsm *module, nsm_pcr *pcr, uint16_t index);

/* The module's own random bytes. */
SENTINEL_MUST_USE sentinel_status nsm_random(nsm *module, void *bytes, size_t size);

/* What a document is to say; null with size 0 is left out. */
typedef struct nsm_statement {
    const void *user_data;
    size_t user_data_size;
    const void *nonce;
    size_t nonce_size;
    const void *public_key;
    size_t public_key_size;
} nsm_statement;

/* A document (COSE_Sign1) that says so. It stands in the module's own memory,
 * and is good until its next call.
 * Returns: as above; USAGE_ARGUMENT (larger than a module takes). */
SENTINEL_MUST_USE sentinel_status nsm_attest(nsm *module, const uint8_t **document, size_t *size,
                                             const nsm_statement *statement);

#endif

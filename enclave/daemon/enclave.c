/* An enclave's keys and state: what may happen when. */
#include "enclave.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "bytes.h"
#include "check.h"
#include "gcm.h"
#include "hash.h"
#include "kms.h"

enum { STATE_EMPTY = 0, STATE_ROOT = 1, STATE_READY = 2 };

typedef struct kept_document {
    uint8_t digest32[32];
    uint32_t purpose; /* 0: none */
} kept_document;

struct enclave {
    nsm module;
    root *secret;
    int state;
    int asked_kms; /* 1: a BOOT document of the present key was given out */
    EVP_PKEY *key; /* KMS answers to it, imports are sealed to it */
    size_t spki_size;
    uint8_t spki[RSA_SPKI_BYTES_MAX];
    uint8_t engine_id32[32];
    uint8_t environment;
    uint64_t sequence; /* of the last certificate */
    size_t kept_next;
    kept_document kept[ENCLAVE_DOCUMENTS_KEPT];
};

/* A new key. What was said of the old one no longer counts. */
static sentinel_status renew_key(enclave *e) {
    EVP_PKEY_free(e->key);
    e->key = NULL;
    e->spki_size = 0;
    e->asked_kms = 0;
    memset(e->kept, 0, sizeof e->kept);
    SENTINEL_TRY(rsa_make(&e->key));
    return rsa_public(e->spki, &e->spki_size, e->key);
}

static sentinel_status open_with(enclave **out, nsm_carry carry, void *with) {
    nsm_description description;
    enclave *e = calloc(1, sizeof *e);
    *out = NULL;
    if (e == NULL) {
        return SENTINEL_IO_MEMORY;
    }
    sentinel_status status = SENTINEL_OK;
    if (carry != NULL) {
        nsm_open_carrier(&e->module, carry, with);
    } else {
        status = nsm_open(&e->module, NSM_DEVICE);
    }
    if (status == SENTINEL_OK) {
        status = nsm_describe(&e->module, &description);
    }
    if (status == SENTINEL_OK) {
        status = root_new(&e->secret);
    }
    if (status == SENTINEL_OK) {
        status = renew_key(e);
    }
    if (status != SENTINEL_OK) {
        enclave_close(e);
        return status;
    }
    *out = e;
    return SENTINEL_OK;
}

sentinel_status enclave_open(enclave **out) {
    return open_with(out, NULL, NULL);
}

sentinel_status enclave_open_carrier(enclave **out, nsm_carry carry, void *with) {
    return open_with(out, carry, with);
}

void enclave_close(enclave *e) {
    if (e == NULL) {
        return;
    }
    nsm_close(&e->module);
    root_free(e->secret);
    EVP_PKEY_free(e->key);
    bytes_wipe(e, sizeof *e);
    free(e);
}

int enclave_is_ready(const enclave *e) {
    return e->state == STATE_READY;
}

const char *enclave_module_error(const enclave *e) {
    return e->module.error;
}

const uint8_t *enclave_engine_id(const enclave *e) {
    return e->state == STATE_EMPTY ? NULL : e->engine_id32;
}

/* ---- Documents ---------------------------------------------------------------- */

static sentinel_status state_facts(const enclave *e, sentinel_user_data *data,
                                   const enclave_facts *facts) {
    if (facts->genesis != NULL) {
        SENTINEL_TRY(
            sentinel_genesis_check(data->engine_id32, facts->genesis, sizeof *facts->genesis));
        document_authority_root(data->authority_root32, facts->genesis);
    }
    if (e->state != STATE_EMPTY) {
        /* A root is of one engine: a document never pairs it with another. */
        if (!bytes_equal(data->engine_id32, e->engine_id32, 32)) {
            return SENTINEL_USAGE_ARGUMENT;
        }
        root_commitment(data->root_commitment32, e->secret);
    }
    data->epoch = facts->epoch;
    data->head_number = facts->head_number;
    memcpy(data->head_hash32, facts->head_hash32, 32);
    if (facts->receipt_key32 != NULL) {
        hash_bytes(data->receipt_key_hash32, facts->receipt_key32, 32);
    }
    if (facts->session_spki != NULL) {
        hash_bytes(data->session_key_hash32, facts->session_spki, facts->session_spki_size);
    }
    return SENTINEL_OK;
}

static sentinel_status statement(enclave *e, document *out, uint32_t purpose,
                                 const enclave_facts *facts, const uint8_t nonce32[32]) {
    sentinel_user_data data = {.version = SENTINEL_USER_DATA_VERSION, .purpose = purpose};
    if (e->key == NULL) { /* an earlier attempt to make one failed */
        SENTINEL_TRY(renew_key(e));
    }
    SENTINEL_TRY(state_facts(e, &data, facts));
    hash_bytes(data.import_key_hash32, e->spki, e->spki_size);
    return document_make(out, &e->module, &data, nonce32, e->spki, e->spki_size);
}

/* No frame may name it, so it takes no place among those that are kept. */
sentinel_status enclave_time(enclave *e, document *out, const enclave_facts *facts) {
    return statement(e, out, SENTINEL_DOCUMENT_LOG, facts, facts->head_hash32);
}

sentinel_status enclave_attest(enclave *e, document *out, uint32_t purpose,
                               const enclave_facts *facts, const uint8_t nonce32[32]) {
    if (purpose == 0 || purpose >= SENTINEL_DOCUMENT_LOG) {
        return SENTINEL_USAGE_ARGUMENT;
    }
    SENTINEL_TRY(statement(e, out, purpose, facts, nonce32));
    kept_document *kept = &e->kept[e->kept_next++ % ENCLAVE_DOCUMENTS_KEPT];
    memcpy(kept->digest32, out->digest32, 32);
    kept->purpose = purpose;
    e->asked_kms = e->asked_kms || purpose == SENTINEL_DOCUMENT_BOOT;
    return SENTINEL_OK;
}

static int gave_document(const enclave *e, const uint8_t digest32[32], uint32_t purpose) {
    for (size_t i = 0; i < ENCLAVE_DOCUMENTS_KEPT; i++) {
        if (e->kept[i].purpose == purpose && bytes_equal(e->kept[i].digest32, digest32, 32)) {
            return 1;
        }
    }
    return 0;
}

/* ---- The root ----------------------------------------------------------------- */

sentinel_status enclave_genesis(enclave *e, const sentinel_genesis *genesis) {
    uint8_t engine_id32[32];
    if (e->state != STATE_EMPTY) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(sentinel_genesis_check(engine_id32, genesis, sizeof *genesis));
    SENTINEL_TRY(root_make(e->secret, &e->module));
    memcpy(e->engine_id32, engine_id32, 32);
    e->environment = genesis->environment;
    e->state = STATE_ROOT;
    return SENTINEL_OK;
}

/* What a certificate must be that is taken for the first time. */
static sentinel_status take_certificate(const enclave *e, const certified *papers,
                                        const uint8_t *kms_spki, size_t kms_spki_size,
                                        int64_t now_ns) {
    uint8_t commitment32[32], kms32[32];
    if (!bytes_equal(papers->engine_id32, e->engine_id32, 32)) {
        return SENTINEL_POLICY_ENGINE;
    }
    if (papers->sequence <= e->sequence) {
        return SENTINEL_POLICY_SEQUENCE;
    }
    if (now_ns >= papers->expires_ns || papers->issued_ns - now_ns > SENTINEL_FRAME_AHEAD_NS) {
        return SENTINEL_POLICY_EXPIRED;
    }
    if (!gave_document(e, papers->certificate.attestation_digest32, SENTINEL_DOCUMENT_GENESIS)) {
        return SENTINEL_ENCLAVE_DOCUMENT;
    }
    root_commitment(commitment32, e->secret);
    if (!bytes_equal(commitment32, papers->certificate.commitment32, 32)) {
        return SENTINEL_ENCLAVE_COMMITMENT;
    }
    hash_bytes(kms32, kms_spki, kms_spki_size);
    return bytes_equal(kms32, papers->certificate.kms_key_hash32, 32) ? SENTINEL_OK
                                                                      : SENTINEL_ENCLAVE_KMS_KEY;
}

sentinel_status enclave_certify(enclave *e, sentinel_wrapped_root *wrapped,
                                const certificate_papers *papers, const uint8_t *kms_spki,
                                size_t kms_spki_size, int64_t now_ns) {
    certified checked;
    if (e->state == STATE_EMPTY) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(certificate_check(&checked, papers));
    SENTINEL_TRY(take_certificate(e, &checked, kms_spki, kms_spki_size, now_ns));
    SENTINEL_TRY(root_wrap(wrapped, e->secret, e->engine_id32, kms_spki, kms_spki_size));
    e->sequence = checked.sequence;
    e->state = STATE_READY;
    return SENTINEL_OK;
}

static sentinel_status unwrap_with(enclave *e, const sentinel_wrapped_root *wrapped,
                                   const certified *papers, const uint8_t *answer,
                                   size_t answer_size) {
    uint8_t shared[SENTINEL_SHARED_BYTES_MAX];
    size_t shared_size = 0;
    sentinel_status status =
        kms_open(shared, &shared_size, sizeof shared, e->key, answer, answer_size);
    if (status == SENTINEL_OK) {
        status =
            root_unwrap(e->secret, wrapped, shared, shared_size, papers->certificate.commitment32);
    }
    bytes_wipe(shared, sizeof shared);
    return status;
}

sentinel_status enclave_unwrap(enclave *e, const sentinel_wrapped_root *wrapped,
                               size_t wrapped_size, const certificate_papers *papers,
                               const uint8_t *answer, size_t answer_size) {
    certified checked;
    if (e->state != STATE_EMPTY || !e->asked_kms || e->key == NULL) {
        return SENTINEL_USAGE_STATE;
    }
    SENTINEL_TRY(certificate_check(&checked, papers));
    SENTINEL_TRY(root_wrapped_check(wrapped, wrapped_size, checked.engine_id32));
    if (!bytes_equal(wrapped->kms_key_hash32, checked.certificate.kms_key_hash32, 32)) {
        return SENTINEL_ENCLAVE_KMS_KEY;
    }
    sentinel_status status = unwrap_with(e, wrapped, &checked, answer, answer_size);
    /* CBC has no tag: a host that could try again, byte by byte, would read the
     * secret off which attempts fail. One answer, one key. */
    sentinel_status renewed = renew_key(e);
    if (status != SENTINEL_OK) {
        return status;
    }
    memcpy(e->engine_id32, checked.engine_id32, 32);
    e->environment = checked.environment;
    e->sequence = checked.sequence;
    e->state = STATE_READY;
    return renewed;
}

/* ---- What rests on the root --------------------------------------------------- */

sentinel_status enclave_seal(const enclave *e, uint8_t *blob, size_t *blob_size, size_t capacity,
                             const sealed_place *place, const void *bytes, size_t size) {
    if (e->state != STATE_READY) {
        return SENTINEL_USAGE_STATE;
    }
    return sealed_make(blob, blob_size, capacity, e->secret, e->engine_id32, place, bytes, size);
}

sentinel_status enclave_unseal(const enclave *e, uint8_t *out, size_t capacity,
                               sentinel_sealed *header, const sealed_expect *expect,
                               const uint8_t *blob, size_t blob_size) {
    if (e->state != STATE_READY) {
        return SENTINEL_USAGE_STATE;
    }
    return sealed_open(out, capacity, header, e->secret, e->engine_id32, expect, blob, blob_size);
}

sentinel_status enclave_seal_begin(const enclave *e, sealed_stream *s, const sealed_place *place,
                                   uint64_t size) {
    if (e->state != STATE_READY) {
        return SENTINEL_USAGE_STATE;
    }
    return sealed_seal_begin(s, e->secret, e->engine_id32, place, size);
}

sentinel_status enclave_open_begin(const enclave *e, sealed_stream *s, uint16_t type,
                                   const sentinel_sealed *header, uint64_t blob_size) {
    if (e->state != STATE_READY) {
        return SENTINEL_USAGE_STATE;
    }
    return sealed_open_begin(s, e->secret, e->engine_id32, type, header, blob_size);
}

sentinel_status enclave_key(const enclave *e, uint8_t key32[32], const char *label) {
    if (e->state != STATE_READY) {
        return SENTINEL_USAGE_STATE;
    }
    return root_key(key32, e->secret, label, e->engine_id32, sizeof e->engine_id32);
}

sentinel_status enclave_import(enclave *e, sentinel_keyring *ring, sentinel_key_info *out,
                               const void *frame, size_t size, const uint8_t *authority,
                               size_t authority_size, int64_t now_ns) {
    sentinel_import in;
    import_judge judge = {.authority = authority,
                          .authority_size = authority_size,
                          .environment = e->environment,
                          .now_ns = now_ns};
    if (e->state != STATE_READY || e->key == NULL) {
        return SENTINEL_USAGE_STATE;
    }
    memcpy(judge.engine_id32, e->engine_id32, 32);
    SENTINEL_TRY(import_check(&in, frame, size, &judge));
    if (!gave_document(e, in.attestation_digest32, SENTINEL_DOCUMENT_IMPORT)) {
        return SENTINEL_ENCLAVE_DOCUMENT;
    }
    SENTINEL_TRY(import_open(ring, &in, e->key, &judge));
    *out = in.info;
    return SENTINEL_OK;
}

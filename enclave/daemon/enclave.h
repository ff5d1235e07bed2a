/* An enclave's keys and state, for the daemon: the one header that it needs.
 *
 *   enclave_open                     the module is there, an import key is made
 *   first boot:  enclave_genesis     a root is made
 *                enclave_attest      GENESIS: operators verify, and sign a certificate
 *                enclave_certify     the root leaves, wrapped to the certified KMS key
 *   later boots: enclave_attest      BOOT: for the host's call to KMS
 *                enclave_unwrap      the root is back, and is the certified one
 *   then:        enclave_seal, enclave_unseal, enclave_import, enclave_attest
 *
 * Before enclave_certify or enclave_unwrap was OK nothing is sealed, opened or
 * imported: USAGE_STATE. One thread at a time; allocates; never on the hot path. */
#ifndef SENTINEL_ENCLAVE_H
#define SENTINEL_ENCLAVE_H

#include <sentinel/sign.h>

#include "certificate.h"
#include "document.h"
#include "import.h"
#include "root.h"
#include "sealed.h"

/* Documents of this boot that a frame may name: the last ones. */
#define ENCLAVE_DOCUMENTS_KEPT 16u

typedef struct enclave enclave; /* opaque */

/* Returns: OK; ENCLAVE_ABSENT; ENCLAVE_MODULE; CRYPTO_*; IO_MEMORY; KEY_MEMORY. */
SENTINEL_MUST_USE sentinel_status enclave_open(enclave **out);
/* The same with another carrier in the device's place. */
SENTINEL_MUST_USE sentinel_status enclave_open_carrier(enclave **out, nsm_carry carry, void *with);
/* Wipes and releases all. Null is allowed. */
void enclave_close(enclave *e);

/* 1 once the root is there and certified. */
int enclave_is_ready(const enclave *e);
/* The module's own last word of refusal; empty if it said none. */
const char *enclave_module_error(const enclave *e);
/* Of the engine; null before genesis or unwrap. */
const uint8_t *enclave_engine_id(const enclave *e);

/* What the daemon knows and a document says. */
typedef struct enclave_facts {
    const sentinel_genesis *genesis; /* null: no engine yet; its id is then zero */
    uint64_t epoch;
    uint64_t head_number;
    uint8_t head_hash32[32];
    const uint8_t *receipt_key32; /* null: none */
    const uint8_t *session_spki;  /* DER; null: none */
    size_t session_spki_size;
} enclave_facts;

/* A document for this purpose and nonce. Returns: OK; ENCLAVE_MODULE; USAGE_ARGUMENT. */
SENTINEL_MUST_USE sentinel_status enclave_attest(enclave *e, document *out, uint32_t purpose,
                                                 const enclave_facts *facts,
                                                 const uint8_t nonce32[32]);

/* A document for the purpose LOG, whose nonce is the head's hash: for its time, and
 * for those who read the log. Nobody asks for one from outside.
 * Returns: OK; ENCLAVE_MODULE. */
SENTINEL_MUST_USE sentinel_status enclave_time(enclave *e, document *out,
                                               const enclave_facts *facts);

/* Makes the root of a new engine. Returns: OK; USAGE_STATE (there is one). */
SENTINEL_MUST_USE sentinel_status enclave_genesis(enclave *e, const sentinel_genesis *genesis);

/* Takes the certificate and gives the root, wrapped to the KMS key that it names.
 * Again with a later certificate: the same root, wrapped to another KMS key, whose
 * policy is for another image.
 * Returns: OK; FORMAT_*; POLICY_*; ENCLAVE_DOCUMENT; ENCLAVE_COMMITMENT;
 *          ENCLAVE_KMS_KEY; USAGE_STATE. */
SENTINEL_MUST_USE sentinel_status enclave_certify(enclave *e, sentinel_wrapped_root *wrapped,
                                                  const certificate_papers *papers,
                                                  const uint8_t *kms_spki, size_t kms_spki_size,
                                                  int64_t now_ns);

/* Takes KMS's answer to the last BOOT document. Once: whatever comes of it, the
 * key of that document is gone, and the next attempt needs a new document.
 * Returns: OK; FORMAT_*; POLICY_*; ENCLAVE_FOREIGN; ENCLAVE_KMS_KEY;
 *          ENCLAVE_ANSWER; ENCLAVE_COMMITMENT; USAGE_STATE. */
SENTINEL_MUST_USE sentinel_status enclave_unwrap(enclave *e, const sentinel_wrapped_root *wrapped,
                                                 size_t wrapped_size,
                                                 const certificate_papers *papers,
                                                 const uint8_t *answer, size_t answer_size);

/* Seals and opens blobs of this engine: sealed.h. */
SENTINEL_MUST_USE sentinel_status enclave_seal(const enclave *e, uint8_t *blob, size_t *blob_size,
                                               size_t capacity, const sealed_place *place,
                                               const void *bytes, size_t size);
SENTINEL_MUST_USE sentinel_status enclave_unseal(const enclave *e, uint8_t *out, size_t capacity,
                                                 sentinel_sealed *header,
                                                 const sealed_expect *expect, const uint8_t *blob,
                                                 size_t blob_size);

/* The same, piece by piece. Returns: USAGE_STATE; as sealed_seal_begin, sealed_open_begin. */
SENTINEL_MUST_USE sentinel_status enclave_seal_begin(const enclave *e, sealed_stream *s,
                                                     const sealed_place *place, uint64_t size);
SENTINEL_MUST_USE sentinel_status enclave_open_begin(const enclave *e, sealed_stream *s,
                                                     uint16_t type, const sentinel_sealed *header,
                                                     uint64_t blob_size);

/* A key for one use, from the root (root.h). Returns: OK; USAGE_STATE; CRYPTO_FAILED. */
SENTINEL_MUST_USE sentinel_status enclave_key(const enclave *e, uint8_t key32[32],
                                              const char *label);

/* Imports a key that operators signed for: import.h. authority: the payload of the
 * bundle in force. out: what is now in the ring. Returns: as import_check and
 * import_open; ENCLAVE_DOCUMENT; USAGE_STATE. */
SENTINEL_MUST_USE sentinel_status enclave_import(enclave *e, sentinel_keyring *ring,
                                                 sentinel_key_info *out, const void *frame,
                                                 size_t size, const uint8_t *authority,
                                                 size_t authority_size, int64_t now_ns);

#endif

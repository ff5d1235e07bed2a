/* What KMS answers to a Recipient: CiphertextForRecipient, a CMS EnvelopedData
 * in BER, made for the RSA key of an attestation document. The host carries it;
 * whatever it is, it is tried once, and the key is then gone (enclave.c). */
#ifndef SENTINEL_KMS_H
#define SENTINEL_KMS_H

#include <openssl/evp.h>
#include <sentinel/status.h>
#include <stddef.h>
#include <stdint.h>

#define KMS_ANSWER_BYTES_MAX 8192u

/* Opens it. Taken in one form: EnvelopedData, one recipient by RSAES-OAEP with
 * SHA-256, and nothing behind it. That it opens proves nothing: anybody can
 * encrypt to a public key. root_unwrap proves it.
 * Out: secret, size (at most capacity). Returns: OK; ENCLAVE_ANSWER, whatever was
 * wrong: one status, so that the host learns nothing of the padding. */
SENTINEL_MUST_USE sentinel_status kms_open(uint8_t *secret, size_t *size, size_t capacity,
                                           EVP_PKEY *key, const uint8_t *answer,
                                           size_t answer_size);

#endif

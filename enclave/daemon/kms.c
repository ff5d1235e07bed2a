/* CMS EnvelopedData of KMS, opened with OpenSSL. */
#include "kms.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "bytes.h"

/* SHA-256 for the padding and for its mask (RFC 8017, A.2.1). */
static int is_oaep_sha256(const X509_ALGOR *algorithm) {
    const ASN1_OBJECT *oid;
    const void *parameters;
    int type;
    X509_ALGOR_get0(&oid, &type, &parameters, algorithm);
    if (OBJ_obj2nid(oid) != NID_rsaesOaep || type != V_ASN1_SEQUENCE) {
        return 0;
    }
    RSA_OAEP_PARAMS *oaep =
        ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_OAEP_PARAMS), algorithm->parameter);
    int good = oaep != NULL && oaep->hashFunc != NULL && oaep->maskGenFunc != NULL &&
               oaep->pSourceFunc == NULL && OBJ_obj2nid(oaep->hashFunc->algorithm) == NID_sha256 &&
               OBJ_obj2nid(oaep->maskGenFunc->algorithm) == NID_mgf1;
    if (good) {
        X509_ALGOR *mask =
            ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), oaep->maskGenFunc->parameter);
        good = mask != NULL && OBJ_obj2nid(mask->algorithm) == NID_sha256;
        X509_ALGOR_free(mask);
    }
    RSA_OAEP_PARAMS_free(oaep);
    return good;
}

static int form_is_kms(CMS_ContentInfo *cms) {
    if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_enveloped) {
        return 0;
    }
    STACK_OF(CMS_RecipientInfo) *all = CMS_get0_RecipientInfos(cms);
    if (sk_CMS_RecipientInfo_num(all) != 1) {
        return 0;
    }
    CMS_RecipientInfo *one = sk_CMS_RecipientInfo_value(all, 0);
    X509_ALGOR *algorithm = NULL;
    return CMS_RecipientInfo_type(one) == CMS_RECIPINFO_TRANS &&
           CMS_RecipientInfo_ktri_get0_algs(one, NULL, NULL, &algorithm) == 1 &&
           algorithm != NULL && is_oaep_sha256(algorithm);
}

static int decrypt(uint8_t *secret, size_t *size, size_t capacity, CMS_ContentInfo *cms,
                   EVP_PKEY *key) {
    BIO *out = BIO_new(BIO_s_secmem());
    char *bytes = NULL;
    int done = 0;
    if (out != NULL && CMS_decrypt(cms, key, NULL, NULL, out, CMS_BINARY) == 1) {
        long got = BIO_get_mem_data(out, &bytes);
        done = got > 0 && (size_t)got <= capacity;
        if (done) {
            *size = (size_t)got;
            memcpy(secret, bytes, *size);
        }
        if (got > 0) {
            bytes_wipe(bytes, (size_t)got);
        }
    }
    BIO_free(out);
    return done;
}

sentinel_status kms_open(uint8_t *secret, size_t *size, size_t capacity, EVP_PKEY *key,
                         const uint8_t *answer, size_t answer_size) {
    *size = 0;
    if (answer_size == 0 || answer_size > KMS_ANSWER_BYTES_MAX) {
        return SENTINEL_ENCLAVE_ANSWER;
    }
    const uint8_t *at = answer;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)answer_size);
    int done = cms != NULL && at == answer + answer_size && form_is_kms(cms) &&
               decrypt(secret, size, capacity, cms, key);
    CMS_ContentInfo_free(cms);
    ERR_clear_error();
    return done ? SENTINEL_OK : SENTINEL_ENCLAVE_ANSWER;
}

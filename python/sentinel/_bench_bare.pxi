# The bare libraries, one call each: what a signature costs without a guard. A part of _bench.pyx.
#
# Each signs what the gate signed last (`bare_source`), so that gate and library have the same bytes
# or the same digest. Copying it is not timed.

cdef extern from "sodium.h" nogil:
    const char *sodium_version_string()
    int crypto_sign_keypair(uint8_t *pk, uint8_t *sk)
    int crypto_sign_detached(uint8_t *sig, unsigned long long *size, const uint8_t *message,
                             unsigned long long message_size, const uint8_t *sk)

cdef extern from "openssl/sha.h" nogil:
    uint8_t *SHA256(const uint8_t *data, size_t size, uint8_t *digest32)

cdef extern from "keccak.h" nogil:
    void keccak256(uint8_t *digest32, const void *data, size_t size)

cdef extern from "secp256k1.h" nogil:
    ctypedef struct secp256k1_context:
        pass
    ctypedef struct secp256k1_ecdsa_signature:
        pass
    unsigned SECP256K1_CONTEXT_NONE
    secp256k1_context *secp256k1_context_create(unsigned flags)
    void secp256k1_context_destroy(secp256k1_context *context)
    int secp256k1_ecdsa_sign(const secp256k1_context *context, secp256k1_ecdsa_signature *sig,
                             const uint8_t *digest32, const uint8_t *secret32, void *nonce_function,
                             const void *nonce_data)

cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_PKEY:
        pass
    ctypedef struct EVP_PKEY_CTX:
        pass
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_MD:
        pass
    EVP_PKEY *EVP_PKEY_Q_keygen(void *libctx, const char *propq, const char *type, ...)
    void EVP_PKEY_free(EVP_PKEY *key)
    EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *key, void *engine)
    void EVP_PKEY_CTX_free(EVP_PKEY_CTX *context)
    int EVP_PKEY_sign_init(EVP_PKEY_CTX *context)
    int EVP_PKEY_sign(EVP_PKEY_CTX *context, uint8_t *sig, size_t *size, const uint8_t *digest,
                      size_t digest_size)
    EVP_MD_CTX *EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX *context)
    int EVP_DigestSignInit(EVP_MD_CTX *context, EVP_PKEY_CTX **key_context, const EVP_MD *type,
                           void *engine, EVP_PKEY *key)
    int EVP_DigestSign(EVP_MD_CTX *context, uint8_t *sig, size_t *size, const uint8_t *message,
                       size_t message_size)

cdef extern from "openssl/crypto.h" nogil:
    const char *OpenSSL_version(int what)
    int OPENSSL_VERSION_STRING

cdef struct bare_keys:
    gate_lane *source
    secp256k1_context *secp
    uint8_t public_key[32]
    uint8_t ed25519[64]
    uint8_t ecdsa[32]
    EVP_PKEY *ossl_ed25519
    EVP_MD_CTX *ossl_message
    EVP_PKEY *ossl_ecdsa
    EVP_PKEY_CTX *ossl_digest
    size_t size
    uint8_t message[8192]


cdef void bare_source(bare_keys *bare) noexcept nogil:
    """Takes over what the gate signed last; before there is a gate, 256 equal bytes."""
    cdef sentinel_request *request
    if bare.source == NULL:
        return
    request = &bare.source.outcome.request
    bare.size = request.string_to_sign.size
    memcpy(bare.message, request.text + request.string_to_sign.offset, bare.size)


cdef uint64_t bare_ed25519(void *self) noexcept nogil:
    cdef bare_keys *bare = <bare_keys *>self
    cdef uint8_t signature[64]
    cdef uint64_t begin
    bare_source(bare)
    begin = now_ns()
    crypto_sign_detached(signature, NULL, bare.message, bare.size, bare.ed25519)
    return now_ns() - begin


cdef uint64_t bare_ecdsa(void *self) noexcept nogil:
    """Over a digest: the first 32 bytes are one where the gate signs one, and do for one else."""
    cdef bare_keys *bare = <bare_keys *>self
    cdef secp256k1_ecdsa_signature signature
    cdef uint64_t begin
    bare_source(bare)
    begin = now_ns()
    secp256k1_ecdsa_sign(bare.secp, &signature, bare.message, bare.ecdsa, NULL, NULL)
    return now_ns() - begin


cdef uint64_t bare_openssl_ed25519(void *self) noexcept nogil:
    cdef bare_keys *bare = <bare_keys *>self
    cdef uint8_t signature[64]
    cdef size_t size = sizeof(signature)
    cdef uint64_t begin
    bare_source(bare)
    begin = now_ns()
    if (EVP_DigestSignInit(bare.ossl_message, NULL, NULL, NULL, bare.ossl_ed25519) != 1
            or EVP_DigestSign(bare.ossl_message, signature, &size, bare.message, bare.size) != 1):
        return LANE_FAILED
    return now_ns() - begin


cdef uint64_t bare_openssl_ecdsa(void *self) noexcept nogil:
    cdef bare_keys *bare = <bare_keys *>self
    cdef uint8_t signature[80]
    cdef size_t size = sizeof(signature)
    cdef uint64_t begin
    bare_source(bare)
    begin = now_ns()
    if EVP_PKEY_sign(bare.ossl_digest, signature, &size, bare.message, 32) != 1:
        return LANE_FAILED
    return now_ns() - begin


cdef uint64_t bare_sha256(void *self) noexcept nogil:
    cdef bare_keys *bare = <bare_keys *>self
    cdef uint8_t digest[32]
    cdef uint64_t begin
    bare_source(bare)
    begin = now_ns()
    SHA256(bare.message, bare.size, digest)
    return now_ns() - begin


cdef uint64_t bare_keccak(void *self) noexcept nogil:
    """One block of 136 bytes with its padding."""
    cdef bare_keys *bare = <bare_keys *>self
    cdef uint8_t digest[32]
    cdef uint64_t begin = now_ns()
    keccak256(digest, bare.message, 135)
    return now_ns() - begin


cdef class Bare(Lane):
    """One call of a bare library, over what the gate of `source` signed last.

    `kind`: one of Bare.KINDS. Raises ValueError for another, MemoryError.
    """
    cdef bare_keys *bare
    cdef object source

    KINDS = ("ed25519", "ecdsa", "openssl_ed25519", "openssl_ecdsa", "sha256", "keccak")

    def __init__(self, str kind, Gate source=None, *, str name=""):
        cdef lane_once[6] calls = [bare_ed25519, bare_ecdsa, bare_openssl_ed25519,
                                   bare_openssl_ecdsa, bare_sha256, bare_keccak]
        if kind not in self.KINDS:
            raise ValueError(f"{kind}: none of {', '.join(self.KINDS)}")
        self.name = name or kind
        self.lane.once = calls[self.KINDS.index(kind)]
        self.bare = <bare_keys *>calloc(1, sizeof(bare_keys))
        if self.bare == NULL:
            raise MemoryError
        self.lane.self, self.source = self.bare, source
        self.bare.source = NULL if source is None else &source.gate
        self.bare.size = 256
        memset(self.bare.message, 7, 256)
        memset(self.bare.ecdsa, 7, 32)  # a test key
        crypto_sign_keypair(self.bare.public_key, self.bare.ed25519)
        self.bare.secp = secp256k1_context_create(SECP256K1_CONTEXT_NONE)
        if kind == "openssl_ed25519":
            self.bare.ossl_ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
            self.bare.ossl_message = EVP_MD_CTX_new()
        elif kind == "openssl_ecdsa":
            self.bare.ossl_ecdsa = EVP_PKEY_Q_keygen(NULL, NULL, "EC", <char *>"secp256k1")
            self.bare.ossl_digest = EVP_PKEY_CTX_new(self.bare.ossl_ecdsa, NULL)
            if EVP_PKEY_sign_init(self.bare.ossl_digest) != 1:
                raise MemoryError

    def __dealloc__(self):
        if self.bare == NULL:
            return
        secp256k1_context_destroy(self.bare.secp)
        EVP_MD_CTX_free(self.bare.ossl_message)
        EVP_PKEY_free(self.bare.ossl_ed25519)
        EVP_PKEY_CTX_free(self.bare.ossl_digest)
        EVP_PKEY_free(self.bare.ossl_ecdsa)
        free(self.bare)


def openssl_version():
    """Of the library that is loaded, such as "3.0.17"."""
    return OpenSSL_version(OPENSSL_VERSION_STRING).decode()


def sodium_version():
    """Of the library that is loaded."""
    return sodium_version_string().decode()

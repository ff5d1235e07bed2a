# Keys: the keyring, its key files, what it signs. A part of _core.pyx.


cdef _key_info(const sentinel_key_info *info):
    return _types.KeyInfo(
        info.id, info.purpose, info.algorithm, info.venue,
        _copy(info.api_key, info.api_key_size).decode(),
        _copy(info.public_key, info.public_key_size), _copy(info.fingerprint32, 32),
    )


def key_address(const uint8_t[::1] public_key):
    cdef char text[42]
    _sized(public_key, 33, "public key")
    _raise_status(sentinel_key_address(text, _at(public_key)), "public key")
    return _copy(text, 42).decode()


cdef class Keyring:
    cdef sentinel_keyring *ring

    def __cinit__(self):
        _raise_status(sentinel_keyring_new(&self.ring), "keyring")

    def __dealloc__(self):
        sentinel_keyring_free(self.ring)

    cdef int _describe(self, sentinel_key_info *info, uint32_t id, uint8_t purpose,
                       uint8_t algorithm, uint16_t venue, str api_key, bint lab) except -1:
        cdef bytes name = api_key.encode()
        memset(info, 0, sizeof(info[0]))
        if len(name) > SENTINEL_API_KEY_BYTES_MAX:
            raise UsageError(f"the API key has more than {SENTINEL_API_KEY_BYTES_MAX} bytes")
        info.id, info.purpose, info.algorithm, info.venue = id, purpose, algorithm, venue
        info.api_key_size = <uint8_t>len(name)
        info.lab = lab
        memcpy(info.api_key, _of(name), len(name))
        return 0

    def generate(self, uint32_t id, uint8_t purpose, uint8_t algorithm, *, uint16_t venue=0,
                 str api_key="", bint lab=False):
        cdef sentinel_key_info info
        self._describe(&info, id, purpose, algorithm, venue, api_key, lab)
        _raise_status(sentinel_keyring_generate(self.ring, &info), f"key {id}")
        return _key_info(&info)

    def import_(self, uint32_t id, uint8_t purpose, uint8_t algorithm, const uint8_t[::1] secret,
                *, uint16_t venue=0, str api_key="", bint lab=False):
        cdef sentinel_key_info info
        self._describe(&info, id, purpose, algorithm, venue, api_key, lab)
        _raise_status(sentinel_keyring_import(self.ring, &info, _at(secret), secret.shape[0]),
                      f"key {id}")
        return _key_info(&info)

    def set_passphrase(self, uint32_t id, str text):
        cdef bytes raw = text.encode()
        _raise_status(sentinel_keyring_set_passphrase(self.ring, id, <const char *>_of(raw),
                                                      len(raw)), f"key {id}: its passphrase")

    def remove(self, uint32_t id):
        _raise_status(sentinel_keyring_remove(self.ring, id), f"key {id}")

    def list(self):
        cdef const sentinel_key_info *info
        cdef list keys = []
        cdef uint32_t i
        for i in range(sentinel_keyring_count(self.ring)):
            info = sentinel_keyring_at(self.ring, i)
            if info == NULL:
                _raise_status(SENTINEL_KEY_WIPED, "keyring")
            keys.append(_key_info(info))
        return keys

    def seal(self, const uint8_t[::1] passphrase, *, uint64_t opslimit=0, uint64_t memlimit=0):
        cdef size_t size = sentinel_keyring_sealed_bytes(self.ring)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef const uint8_t *phrase = _at(passphrase)
        cdef size_t phrase_size = passphrase.shape[0]
        cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(out)
        cdef sentinel_status status
        with nogil:
            status = sentinel_keyring_seal(self.ring, target, size, <const char *>phrase,
                                           phrase_size, opslimit, memlimit)
        _raise_status(status, "key file")
        return out

    def unseal(self, const uint8_t[::1] sealed, const uint8_t[::1] passphrase):
        cdef const uint8_t *source = _at(sealed)
        cdef size_t size = sealed.shape[0]
        cdef const uint8_t *phrase = _at(passphrase)
        cdef size_t phrase_size = passphrase.shape[0]
        cdef sentinel_status status
        with nogil:
            status = sentinel_keyring_unseal(self.ring, source, size, <const char *>phrase,
                                             phrase_size)
        _raise_status(status, "key file")

    def sign(self, uint32_t key, const uint8_t[::1] data):
        cdef sentinel_signature signature
        _raise_status(sentinel_sign(self.ring, &signature, key, _at(data), data.shape[0]),
                      f"key {key}")
        return _signature(&signature)

    def sign_digest(self, uint32_t key, const uint8_t[::1] digest):
        cdef sentinel_signature signature
        _sized(digest, 32, "digest")
        _raise_status(sentinel_sign_digest(self.ring, &signature, key, _at(digest)), f"key {key}")
        return _signature(&signature)

    def sign_frame(self, uint32_t key, str prefix, const uint8_t[::1] digest):
        cdef uint8_t signature[64]
        cdef bytes text = prefix.encode()
        _sized(digest, 32, "digest")
        _raise_status(sentinel_sign_frame(self.ring, signature, key, <const char *>_of(text),
                                          _at(digest)), f"key {key}")
        return _copy(signature, 64)

    def nonces_start(self, uint32_t key, uint32_t capacity):
        _raise_status(sentinel_nonces_start(self.ring, key, capacity), f"key {key}")

    def nonces_fill(self, uint32_t key):
        cdef uint32_t made = 0
        _raise_status(sentinel_nonces_fill(self.ring, key, &made), f"key {key}")
        return made

    def nonces(self, uint32_t key):
        cdef sentinel_nonces found
        _raise_status(sentinel_nonces_read(self.ring, key, &found), f"key {key}")
        return _nonces(&found)

    def uses(self, uint32_t key):
        return sentinel_keyring_uses(self.ring, key)


cdef _nonces(const sentinel_nonces *found):
    return _types.Nonces(found.capacity, found.ready, found.made, found.used, found.burnt,
                         found.missed)


cdef _signature(const sentinel_signature *signature):
    return _types.Signature(signature.algorithm, signature.recovery_id,
                            _copy(signature.bytes, signature.size))

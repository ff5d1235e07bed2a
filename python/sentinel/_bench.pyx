"""Timings in nanoseconds, taken in C without the interpreter lock: the gate and its steps, and the
bare libraries on the same bytes, interleaved. What they mean is in bench.py."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

from cpython.bytes cimport PyBytes_AS_STRING

from sentinel._core cimport (
    SENTINEL_ALLOWED,
    SENTINEL_OK,
    sentinel_context,
    sentinel_engine,
    sentinel_engine_close,
    sentinel_engine_context,
    sentinel_engine_open,
    sentinel_engine_options,
    sentinel_engine_sign,
    sentinel_outcome,
    sentinel_session,
    sentinel_session_open,
    sentinel_status,
)
from sentinel.errors import raise_status

import array


cdef extern from "sentinel/audit.h" nogil:
    enum:
        SENTINEL_DURABILITY_WRITE

cdef extern from "sentinel/gate.h" nogil:
    enum:
        SENTINEL_STEP_COUNT
    ctypedef struct sentinel_trace:
        uint64_t (*clock)() noexcept nogil
        uint64_t ends[SENTINEL_STEP_COUNT]
        uint64_t begin
    void sentinel_gate_trace(sentinel_context *context, sentinel_trace *trace)

cdef extern from "sodium.h" nogil:
    int crypto_sign_keypair(uint8_t *pk, uint8_t *sk)
    int crypto_sign_detached(uint8_t *sig, unsigned long long *size, const uint8_t *message,
                             unsigned long long message_size, const uint8_t *sk)

cdef extern from "hash.h" nogil:
    void hash_bytes(uint8_t *digest32, const void *data, size_t size)

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

STEPS = ("decode", "policy", "render", "reserve", "sign", "record")


cdef uint64_t now_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <uint64_t>t.tv_sec * 1000000000 + <uint64_t>t.tv_nsec


cdef int64_t unix_ns() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_REALTIME, &t)
    return <int64_t>t.tv_sec * 1000000000 + <int64_t>t.tv_nsec


cdef struct Bare:
    secp256k1_context *context
    uint8_t ed_public[32]
    uint8_t ed_secret[64]
    uint8_t secret[32]
    uint8_t message[256]


cdef uint64_t bare_ed25519(Bare *bare) noexcept nogil:
    """libsodium over 256 bytes: what a bare signer of a request would call."""
    cdef uint8_t signature[64]
    cdef uint64_t begin = now_ns()
    crypto_sign_detached(signature, NULL, bare.message, sizeof(bare.message), bare.ed_secret)
    return now_ns() - begin


cdef uint64_t bare_ecdsa(Bare *bare) noexcept nogil:
    """libsecp256k1 over the SHA-256 of 256 bytes."""
    cdef secp256k1_ecdsa_signature signature
    cdef uint8_t digest[32]
    cdef uint64_t begin = now_ns()
    hash_bytes(digest, bare.message, sizeof(bare.message))
    secp256k1_ecdsa_sign(bare.context, &signature, digest, bare.secret, NULL, NULL)
    return now_ns() - begin


cdef uint64_t empty_timer() noexcept nogil:
    cdef uint64_t begin = now_ns()
    return now_ns() - begin


def measure(directory, const uint8_t[::1] passphrase, uint32_t agent, bytes order,
            uint64_t first_action_id, Py_ssize_t rounds, Py_ssize_t warm_up, progress=None):
    """Signs one order again and again with fresh action ids; every round also times each bare
    library once. Returns arrays of nanoseconds by name: "gate" (not traced), "traced" and each of
    STEPS, "ed25519", "ecdsa", "timer". Raises what opening the engine raises, and ValueError when
    the order is refused."""
    cdef sentinel_engine *engine = NULL
    cdef sentinel_engine_options options
    cdef sentinel_session session
    cdef sentinel_outcome outcome
    cdef sentinel_trace trace
    cdef Bare bare
    cdef bytearray text = bytearray(order)
    cdef uint8_t[::1] bytes_of_order = text
    cdef bytes path = str(directory).encode()
    cdef const char *path_text = PyBytes_AS_STRING(path)
    cdef uint64_t action_id = first_action_id, begin
    cdef Py_ssize_t i, j, size = len(order)
    cdef sentinel_status status
    cdef int refused = 0
    names = ("gate", "traced", *STEPS, "ed25519", "ecdsa", "timer")
    results = {name: array.array("Q", bytes(8 * rounds)) for name in names}
    cdef uint64_t[::1] gate = results["gate"], traced = results["traced"]
    cdef uint64_t[::1] ed25519 = results["ed25519"], ecdsa = results["ecdsa"]
    cdef uint64_t[::1] timer = results["timer"]
    cdef uint64_t[:, ::1] steps = array_2d(SENTINEL_STEP_COUNT, rounds)

    memset(&options, 0, sizeof(options))
    options.passphrase = <const char *>&passphrase[0]
    options.passphrase_size = passphrase.shape[0]
    options.durability = SENTINEL_DURABILITY_WRITE
    memset(&bare, 7, sizeof(bare))
    bare.context = secp256k1_context_create(SECP256K1_CONTEXT_NONE)
    crypto_sign_keypair(bare.ed_public, bare.ed_secret)
    memset(&trace, 0, sizeof(trace))
    trace.clock = now_ns
    try:
        status = sentinel_engine_open(&engine, path_text, &options, unix_ns())
        if status == SENTINEL_OK:
            status = sentinel_session_open(&session, sentinel_engine_context(engine), agent)
        if status != SENTINEL_OK:
            raise_status(status, f"{directory}")
        for i in range(-warm_up, rounds):
            with nogil:
                action_id += 1
                memcpy(&bytes_of_order[16], &action_id, 8)
                begin = now_ns()
                status = sentinel_engine_sign(engine, &outcome, &session, &bytes_of_order[0],
                                              size, unix_ns())
                begin = now_ns() - begin
                refused |= outcome.verdict != SENTINEL_ALLOWED
                action_id += 1
                memcpy(&bytes_of_order[16], &action_id, 8)
                sentinel_gate_trace(sentinel_engine_context(engine), &trace)
                status = sentinel_engine_sign(engine, &outcome, &session, &bytes_of_order[0],
                                              size, unix_ns())
                sentinel_gate_trace(sentinel_engine_context(engine), NULL)
                refused |= outcome.verdict != SENTINEL_ALLOWED
                if i >= 0:
                    gate[i] = begin
                    traced[i] = trace.ends[SENTINEL_STEP_COUNT - 1] - trace.begin
                    for j in range(SENTINEL_STEP_COUNT):
                        steps[j, i] = trace.ends[j] - (trace.begin if j == 0 else trace.ends[j - 1])
                    ed25519[i] = bare_ed25519(&bare)
                    ecdsa[i] = bare_ecdsa(&bare)
                    timer[i] = empty_timer()
            if refused:
                raise ValueError(f"the order was refused with reason {outcome.reason}")
            if progress is not None and i >= 0 and i % 256 == 0:
                progress(i)
    finally:
        sentinel_engine_close(engine, unix_ns())
        secp256k1_context_destroy(bare.context)
    for j, name in enumerate(STEPS):
        results[name] = array.array("Q", bytes(memoryview(steps[j])))
    return results


cdef array_2d(Py_ssize_t rows, Py_ssize_t columns):
    return memoryview(bytearray(8 * rows * columns)).cast("B").cast("Q", (rows, columns))

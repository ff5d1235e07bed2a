# cython: language_level=3, boundscheck=False, wraparound=False
"""Thin bindings of the C client of sentineld: convert, call, raise. Types: `_client.pyi`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import os
import threading
from collections import namedtuple

from sentinel.errors import UsageError


cdef extern from "client_internal.h" nogil:
    ctypedef int sentinel_status
    ctypedef struct sentinel_keyring
    ctypedef struct sentinel_client
    ctypedef struct sentinel_client_options:
        uint8_t seed32[32]
        uint8_t pin32[32]
        uint8_t engine_id32[32]
        const char *pin_file
        int64_t timeout_ns
        uint32_t key
        uint32_t agent
        uint16_t role
        uint16_t flags
    ctypedef struct sentinel_client_facts:
        uint8_t engine_id32[32]
        uint64_t epoch
        uint64_t channel
        int64_t until_ns
        uint64_t connects
        uint64_t resent
        uint32_t agent
        uint32_t transport
        uint8_t is_answer
        uint8_t is_resent
        uint8_t is_sent
        uint8_t is_ring
        int last_errno
    enum:
        SENTINEL_CLIENT_PEER
        SENTINEL_CLIENT_BUSY_POLL
        SENTINEL_STATE_BOOKS
        SENTINEL_ORDER_BYTES_MAX
    sentinel_status sentinel_client_open(sentinel_client **client, const char *address,
                                         const sentinel_client_options *options)
    void sentinel_client_close(sentinel_client *client)
    sentinel_status sentinel_client_set_timeout(sentinel_client *client, int64_t timeout_ns)
    sentinel_status sentinel_client_sign_packed(sentinel_client *client, const uint8_t **packed,
                                                size_t *packed_size, void *stamped,
                                                const void *order, size_t size)
    sentinel_status sentinel_client_call(sentinel_client *client, const uint8_t **answer,
                                         size_t *answer_size, uint16_t request,
                                         const void *payload, size_t size)
    sentinel_status sentinel_client_state(sentinel_client *client, const uint8_t **state,
                                          size_t *size, uint32_t flags)
    sentinel_status sentinel_client_bundle(sentinel_client *client, const uint8_t **frame,
                                           size_t *size, uint16_t kind)
    sentinel_status client_take_bytes(sentinel_client *client, const uint8_t **answer,
                                      size_t *answer_size, const void *frame, size_t size)
    void sentinel_client_facts_get(const sentinel_client *client, sentinel_client_facts *facts)
    sentinel_status sentinel_client_seed(uint8_t *seed32, const sentinel_keyring *ring,
                                         uint32_t id)

cdef extern from "bytes.h" nogil:
    void bytes_wipe(void *memory, size_t size)


ctypedef int (*door_sign)(void *client, const uint8_t **packed, size_t *packed_size, void *stamped,
                          const void *order, size_t size) noexcept nogil
cdef struct client_door:  # As in _bench_service.pxi.
    void *client
    door_sign sign


cdef int sign_door(void *client, const uint8_t **packed, size_t *packed_size, void *stamped,
                   const void *order, size_t size) noexcept nogil:
    return sentinel_client_sign_packed(<sentinel_client *>client, packed, packed_size, stamped,
                                       order, size)


Facts = namedtuple("Facts", (
    "engine_id", "epoch", "channel", "until_ns", "connects", "resent", "agent", "transport",
    "is_answer", "is_resent", "is_sent", "is_ring", "errno"))


cdef int _take(uint8_t *into, object given, str what) except -1:
    """32 bytes; None leaves the zeros."""
    cdef bytes raw
    if given is not None:
        raw = bytes(given)
        if len(raw) != 32:
            raise UsageError(f"{what}: {len(raw)} bytes given, 32 needed")
        memcpy(into, PyBytes_AS_STRING(raw), 32)
    return 0


cdef class Connection:
    """One client of the C library. Threads take turns."""
    cdef sentinel_client *client
    cdef object lock
    cdef object refused
    cdef client_door opened

    def __init__(self, address, refused, *, role, agent=0, key=0, capsule=None, key_in_ring=0,
                 pin=None, pin_file=None, engine_id=None, timeout_ns=0, peer=False,
                 busy_poll=False):
        cdef sentinel_client_options options
        cdef bytes where = os.fsencode(address), file
        cdef const char *name = where
        cdef sentinel_status status = 0
        cdef int number = 0
        if self.client != NULL:
            raise UsageError("this connection is open")
        memset(&options, 0, sizeof(options))
        self.lock, self.refused = threading.Lock(), refused
        options.role, options.agent, options.key = role, agent, key
        options.timeout_ns = timeout_ns
        options.flags = ((SENTINEL_CLIENT_PEER if peer else 0)
                         | (SENTINEL_CLIENT_BUSY_POLL if busy_poll else 0))
        _take(options.pin32, pin, "pin")
        _take(options.engine_id32, engine_id, "engine id")
        if pin_file is not None:
            file = os.fsencode(pin_file)
            options.pin_file = file
        try:
            if capsule is not None:
                status = sentinel_client_seed(
                    options.seed32,
                    <const sentinel_keyring *>PyCapsule_GetPointer(capsule, "sentinel_keyring"),
                    key_in_ring)
            if status == 0:
                with nogil:
                    status = sentinel_client_open(&self.client, name, &options)
                    number = errno
        finally:
            bytes_wipe(&options, sizeof(options))
        if status != 0:
            raise refused(status, None, number)

    def __dealloc__(self):
        sentinel_client_close(self.client)

    def close(self):
        cdef sentinel_client *client
        with self.lock:
            client, self.client = self.client, NULL
            with nogil:
                sentinel_client_close(client)

    cdef int _live(self) except -1:
        if self.client == NULL:
            raise UsageError("the connection is closed")
        return 0

    cdef _facts(self):
        cdef sentinel_client_facts f
        sentinel_client_facts_get(self.client, &f)
        return Facts(
            PyBytes_FromStringAndSize(<const char *>f.engine_id32, 32), f.epoch, f.channel,
            f.until_ns, f.connects, f.resent, f.agent, f.transport, bool(f.is_answer),
            bool(f.is_resent), bool(f.is_sent), bool(f.is_ring), f.last_errno)

    @property
    def facts(self):
        with self.lock:
            self._live()
            return self._facts()

    def door(self):
        """For sentinel._bench, which times in C; of no use once this is closed."""
        self._live()
        self.opened.client, self.opened.sign = self.client, sign_door
        return PyCapsule_New(&self.opened, "sentinel_client_door", NULL)

    def set_timeout(self, int64_t timeout_ns):
        with self.lock:
            self._live()
            if sentinel_client_set_timeout(self.client, timeout_ns) != 0:
                raise UsageError("a deadline is above 0 and at most an hour")

    def sign(self, bytes order not None, action_id=None):
        """The packed outcome, and the order as it was sent."""
        cdef uint8_t stamped[SENTINEL_ORDER_BYTES_MAX]
        cdef const uint8_t *packed = NULL
        cdef size_t packed_size = 0, size = len(order)
        cdef sentinel_status status
        cdef uint64_t wanted
        if size < 24 or size > SENTINEL_ORDER_BYTES_MAX:
            raise UsageError(f"an order has at most {SENTINEL_ORDER_BYTES_MAX} bytes")
        memcpy(stamped, PyBytes_AS_STRING(order), size)
        if action_id is not None:
            wanted = action_id
            memcpy(stamped + 16, &wanted, 8)
        with self.lock:
            self._live()
            with nogil:
                status = sentinel_client_sign_packed(self.client, &packed, &packed_size, stamped,
                                                     stamped, size)
            if status != 0:
                raise self.refused(status, self._facts(), 0)
            return (PyBytes_FromStringAndSize(<const char *>packed, packed_size),
                    PyBytes_FromStringAndSize(<const char *>stamped, size))

    def call(self, uint16_t request, payload=b""):
        """Any other request: its answer's bytes."""
        cdef bytes raw = bytes(payload)
        cdef const char *source = PyBytes_AS_STRING(raw)
        cdef const uint8_t *answer = NULL
        cdef size_t answer_size = 0, size = len(raw)
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = sentinel_client_call(self.client, &answer, &answer_size, request, source,
                                              size)
            if status != 0:
                raise self.refused(status, self._facts(), 0)
            return PyBytes_FromStringAndSize(<const char *>answer, answer_size)

    def take(self, bytes frame not None):
        """Hands in a frame of any length: its answer's bytes."""
        cdef const char *source = PyBytes_AS_STRING(frame)
        cdef const uint8_t *answer = NULL
        cdef size_t answer_size = 0, size = len(frame)
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = client_take_bytes(self.client, &answer, &answer_size, source, size)
            if status != 0:
                raise self.refused(status, self._facts(), 0)
            return PyBytes_FromStringAndSize(<const char *>answer, answer_size)

    cdef _whole(self, int is_state, uint32_t what):
        cdef const uint8_t *found = NULL
        cdef size_t size = 0
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                if is_state:
                    status = sentinel_client_state(self.client, &found, &size, what)
                else:
                    status = sentinel_client_bundle(self.client, &found, &size, <uint16_t>what)
            if status != 0:
                raise self.refused(status, self._facts(), 0)
            return PyBytes_FromStringAndSize(<const char *>found, size)

    def bundle(self, uint16_t kind):
        """The bundle in force, whole."""
        return self._whole(0, kind)

    def state(self, bint books=False):
        """The engine's state at one moment: its rows, or with its books all of it."""
        return self._whole(1, SENTINEL_STATE_BOOKS if books else 0)

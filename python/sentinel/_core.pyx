# cython: language_level=3, boundscheck=False, wraparound=False
"""Thin bindings of the C core: convert, call, raise. Types and meanings: `_core.pyi`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset
from posix.stdlib cimport posix_memalign

from sentinel._core cimport *

import os
import threading

from sentinel import _types
from sentinel.errors import AuditCorrupt, OrderInvalid, SentinelError, UsageError, raise_status

_METHODS = ("", "GET", "POST", "PUT", "DELETE")
RECORD_BYTES_MAX = SENTINEL_RECORD_BYTES_MAX


cdef int _raise_status(sentinel_status status, str context="", int number=0) except -1:
    """The one place where a status becomes an exception."""
    if status != SENTINEL_OK:
        raise_status(<int>status, context, errno=number)
    return 0


cdef inline const uint8_t *_at(const uint8_t[::1] view) noexcept:
    """Where a buffer begins; any valid address when it is empty."""
    return &view[0] if view.shape[0] > 0 else <const uint8_t *>b""


cdef inline const uint8_t *_of(bytes data) noexcept:
    """Where a bytes object begins: always aligned to 8, as frames and records must be."""
    return <const uint8_t *>PyBytes_AS_STRING(data)


cdef inline bytes _copy(const void *source, size_t size):
    return PyBytes_FromStringAndSize(<const char *>source, size)


cdef int _sized(const uint8_t[::1] view, Py_ssize_t size, str what) except -1:
    if view.shape[0] != size:
        raise UsageError(f"{what}: {view.shape[0]} bytes given, {size} needed")
    return 0


def status_name(int status):
    return sentinel_status_name(<sentinel_status>status).decode()


def status_text(int status):
    return sentinel_status_text(<sentinel_status>status).decode()


def reason_code(int reason):
    return sentinel_reason_code(<sentinel_reason>reason).decode()


def reason_text(int reason):
    return sentinel_reason_text(<sentinel_reason>reason).decode()


# One module, in parts by subject: a second module would carry its own copy of the core.
include "_core_turn.pxi"
include "_core_order.pxi"
include "_core_policy.pxi"
include "_core_sign.pxi"
include "_core_audit.pxi"
include "_core_verify.pxi"
include "_core_gate.pxi"
include "_core_engine.pxi"
include "_core_hot.pxi"
include "_core_prepared.pxi"
include "_core_pack.pxi"
include "_core_batch.pxi"
include "_core_remote.pxi"

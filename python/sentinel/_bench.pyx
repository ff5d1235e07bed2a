"""Timings in nanoseconds, taken in C without the interpreter lock.

A lane is one thing that is timed: the gate (`Gate`, an order drawn at random each time), a bare
library (`Bare`), a Python call (`Call`), the timer itself (`Timer`). `measure` takes one time of
each in turn, round after round, so that what disturbs one disturbs all; `offer` calls one at fixed
times. What the figures mean is in bench/README.md.
"""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.time cimport (
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID,
    clock_gettime,
    clockid_t,
    timespec,
)

import os

from sentinel._core cimport (
    SENTINEL_ALLOWED,
    SENTINEL_OK,
    sentinel_context,
    sentinel_engine,
    sentinel_engine_close,
    sentinel_engine_context,
    sentinel_engine_fill,
    sentinel_engine_nonces,
    sentinel_engine_open,
    sentinel_engine_options,
    sentinel_engine_sign,
    sentinel_engine_take,
    sentinel_nonces,
    sentinel_outcome,
    sentinel_request,
    sentinel_session,
    sentinel_session_open,
    sentinel_status,
)
from sentinel._types import Nonces
from sentinel.errors import raise_status

import array


cdef extern from "sentinel/gate.h" nogil:
    enum:
        SENTINEL_STEP_COUNT
    ctypedef struct sentinel_trace:
        uint64_t (*clock)() noexcept nogil
        uint64_t ends[SENTINEL_STEP_COUNT]
        uint64_t begin
    void sentinel_gate_trace(sentinel_context *context, sentinel_trace *trace)

cdef extern from "sentinel/gate.h" nogil:
    # The index that the gate keeps in a session: known here without a search in 100,000 nodes.
    ctypedef struct bench_session "sentinel_session":
        uint32_t agent
        uint32_t node
        uint64_t generation

ctypedef uint64_t (*lane_once)(void *self) noexcept nogil
cdef uint64_t LANE_FAILED = <uint64_t>-1

STEPS = ("decode", "policy", "render", "reserve", "sign", "record")


cdef uint64_t clock_ns(clockid_t which) noexcept nogil:
    cdef timespec t
    clock_gettime(which, &t)
    return <uint64_t>t.tv_sec * 1000000000 + <uint64_t>t.tv_nsec


cdef uint64_t now_ns() noexcept nogil:
    return clock_ns(CLOCK_MONOTONIC)


def thread_cpu_ns():
    """Processor time of this thread."""
    return clock_ns(CLOCK_THREAD_CPUTIME_ID)


def process_cpu_ns():
    """Processor time of all threads."""
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID)


cdef struct lane_call:
    lane_once once  # one time in nanoseconds; LANE_FAILED: it failed
    void *self
    uint64_t *times


cdef class Lane:
    """One thing that is timed. `name` is that of its row."""
    cdef lane_call lane
    cdef readonly str name

    def why(self):
        """What failed, as an exception."""
        return ValueError(f"{self.name} failed")


cdef uint64_t timer_once(void *self) noexcept nogil:
    cdef uint64_t begin = now_ns()
    return now_ns() - begin


cdef class Timer(Lane):
    """Two readings of the clock with nothing between."""

    def __init__(self, *, str name="timer"):
        self.name, self.lane.once = name, timer_once


cdef uint64_t call_once(void *self) noexcept with gil:
    cdef Call call = <Call>self
    cdef object function = call.function
    cdef uint64_t begin
    try:
        if call.prepare is not None:
            call.argument = call.prepare()
        begin = now_ns()
        function(call.argument)
        return now_ns() - begin
    except BaseException as error:
        call.error = error
        return LANE_FAILED


cdef class Call(Lane):
    """A Python call with one argument; `prepare` makes the argument each time, untimed."""
    cdef object function, argument, prepare, error

    def __init__(self, function, argument=None, *, str name, prepare=None):
        self.name, self.lane.once, self.lane.self = name, call_once, <void *>self
        self.function, self.argument, self.prepare = function, argument, prepare

    def why(self):
        return self.error


include "_bench_gate.pxi"
include "_bench_bare.pxi"
include "_bench_decide.pxi"
include "_bench_service.pxi"


def measure(lanes, Py_ssize_t rounds, Py_ssize_t warm_up=0, progress=None, *,
            Py_ssize_t block=1):
    """Times every lane `rounds` times, in turn, `block` calls of one behind each other; arrays of
    nanoseconds by name, in the order of the calls.

    A traced gate adds an array for each of STEPS, under "name.step". `progress` is told how many
    rounds are done. Raises what a lane's `why` says when one fails.
    """
    cdef Py_ssize_t count = len(lanes), done = -warm_up, until, i, j = 0, failed = -1
    cdef lane_call *calls = <lane_call *>calloc(count, sizeof(lane_call))
    cdef uint64_t[::1] view
    cdef Lane lane
    if calls == NULL:
        raise MemoryError
    results = {}
    try:
        for i, lane in enumerate(lanes):
            calls[i] = lane.lane
            view = results[lane.name] = array.array("Q", bytes(8 * max(rounds, 1)))
            calls[i].times = &view[0]
            if isinstance(lane, Gate):
                (<Gate>lane).begin(rounds, warm_up)
        while done < rounds and failed < 0:
            until = min(done + block, rounds if done >= 0 else 0)
            with nogil:
                for j in range(count):
                    if run_block(&calls[j], done, until) == LANE_FAILED:
                        failed = j
                        break
            done = until
            if progress is not None and done >= 0:
                progress(done)
        if failed >= 0:
            raise (<Lane>lanes[failed]).why()
    finally:
        free(calls)
        for lane in lanes:
            if isinstance(lane, Gate):
                (<Gate>lane).end(results)
    return results


cdef uint64_t run_block(lane_call *call, Py_ssize_t done, Py_ssize_t until) noexcept nogil:
    """The calls from `done` to `until`; those before 0 are warm-up, and not kept."""
    cdef uint64_t took
    cdef Py_ssize_t i
    for i in range(done, until):
        took = call.once(call.self)
        if took == LANE_FAILED:
            return LANE_FAILED
        if i >= 0:
            call.times[i] = took
    return 0


def offer(Lane lane, double per_second, Py_ssize_t count, progress=None):
    """Calls a lane at fixed times, whatever it takes; an array of nanoseconds from the time that
    each call was due to its end. So one that is late delays the next, and is seen doing it."""
    cdef uint64_t[::1] times
    cdef uint64_t due, begin
    cdef double apart = 1e9 / per_second
    cdef Py_ssize_t i = 0, until, failed = 0
    result = array.array("Q", bytes(8 * count))
    times = result
    begin = now_ns() + 100000
    while i < count and not failed:
        until = min(i + 1 + <Py_ssize_t>(per_second / 10), count)
        with nogil:
            while i < until:
                due = begin + <uint64_t>(i * apart)
                while now_ns() < due:
                    pass
                if lane.lane.once(lane.lane.self) == LANE_FAILED:
                    failed = 1
                    break
                times[i] = now_ns() - due
                i += 1
        if progress is not None:
            progress(i)
    if failed:
        raise lane.why()
    return result

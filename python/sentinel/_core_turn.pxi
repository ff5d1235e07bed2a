# Whose turn it is: a lock that knows how many wait for it. A part of _core.pyx.


cdef extern from "pythread.h":
    ctypedef void *PyThread_type_lock
    ctypedef enum PyLockStatus:
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    int NOWAIT_LOCK
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    void PyThread_release_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) nogil
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds,
                                             int interrupts) nogil

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef extern from * nogil:
    """
    #define turn_waits(count) __atomic_load_n(&(count), __ATOMIC_RELAXED)
    #define turn_count(count, by) ((void)__atomic_fetch_add(&(count), (by), __ATOMIC_RELAXED))
    """
    int turn_waits(int count)
    void turn_count(int count, int by)


cdef class Turn:
    """A lock as `threading.Lock`; a batch sees that somebody waits, and lets them in."""
    cdef PyThread_type_lock lock
    cdef int waiting
    cdef uint64_t taken

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef int take(self) except -1:
        cdef PyLockStatus status
        if PyThread_acquire_lock(self.lock, NOWAIT_LOCK) == 0:
            turn_count(self.waiting, 1)
            try:
                while True:
                    with nogil:
                        status = PyThread_acquire_lock_timed(self.lock, -1, 1)
                    if status == PY_LOCK_ACQUIRED:
                        break
                    PyErr_CheckSignals()
            finally:
                turn_count(self.waiting, -1)
        self.taken += 1
        return 0

    cdef void give(self) noexcept:
        PyThread_release_lock(self.lock)

    def __enter__(self):
        self.take()

    def __exit__(self, *_):
        self.give()

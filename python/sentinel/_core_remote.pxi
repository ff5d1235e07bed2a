# What a daemon answered, as the objects that an engine of this process gives. The C client checked
# the packed outcomes. A part of _core.pyx.

from cpython.pycapsule cimport PyCapsule_New


def released(type made not None, bytes packed not None, bytes order_bytes not None, order, origin):
    """A signed order, of a packed outcome that was ALLOWED and of the struct that was sent."""
    cdef Released signed = <Released>made.__new__(made)
    cdef size_t at = len(packed), size = len(order_bytes)
    cdef const sentinel_request *request
    if at < KEPT_TEXT:
        raise UsageError("a packed outcome is longer")
    request = <const sentinel_request *>(_of(packed) + KEPT_REQUEST)
    if (<const sentinel_outcome *>_of(packed)).verdict != SENTINEL_ALLOWED or (
            at != _up8(KEPT_TEXT + request.text_size)):
        raise UsageError("this packed outcome is of no signed order")
    signed.kept = <uint8_t *>malloc(at + sizeof(size_t) + _up8(size))
    if signed.kept == NULL:
        raise MemoryError
    memcpy(signed.kept, _of(packed), at)
    memcpy(signed.kept + at, &size, sizeof(size))
    memcpy(signed.kept + at + sizeof(size), _of(order_bytes), size)
    signed.order, signed.origin = order, origin
    return signed


def is_allowed(bytes packed not None):
    return len(packed) >= KEPT_TEXT and (
        (<const sentinel_outcome *>_of(packed)).verdict == SENTINEL_ALLOWED)


def refused(bytes packed not None):
    """The outcome of a refusal."""
    cdef size_t size = len(packed), count
    if size < KEPT_RESULTS:
        raise UsageError("a packed outcome is longer")
    count = (<const sentinel_decision *>(_of(packed) + KEPT_HEAD)).result_count
    if count > SENTINEL_RESULTS_MAX or (
            size != KEPT_RESULTS + count * (sizeof(sentinel_result) + sizeof(int64_t))):
        raise UsageError("this packed outcome is of no refusal")
    return _kept_outcome(_of(packed))


def key_infos(bytes rows not None):
    """What may be known of keys, of rows of sentinel_key_info."""
    cdef const sentinel_key_info *row = <const sentinel_key_info *>_of(rows)
    cdef size_t i, size = len(rows)
    if size % sizeof(sentinel_key_info):
        raise UsageError("these are no rows of keys")
    return [_key_info(&row[i]) for i in range(size // sizeof(sentinel_key_info))]


cdef int _fits(uint64_t size, uint64_t at, uint64_t count, uint64_t each) except -1:
    if at > size or count > (size - at) // each:
        raise UsageError("this is no state of an engine")
    return 0


def state_of(bytes raw not None):
    """An engine's state, or its rows, as its daemon gives it. Its tables are where they may be."""
    cdef const sentinel_state *s = <const sentinel_state *>_of(raw)
    cdef uint64_t size = len(raw)
    if size < sizeof(sentinel_state) or s.size_bytes < size:
        raise UsageError("this is no state of an engine")
    _fits(size, s.agents, s.agent_count, sizeof(sentinel_agent_state))
    _fits(size, s.nodes, s.node_count, sizeof(sentinel_stop_state))
    _fits(size, s.instruments, s.instrument_count, sizeof(sentinel_stop_state))
    _fits(size, s.asset_marks, s.asset_count, sizeof(sentinel_mark_state))
    _fits(size, s.instrument_marks, s.instrument_count, sizeof(sentinel_mark_state))
    return _state(s), _feeders(s)


def book_of(bytes raw not None):
    """The orders in a state's book, None where only its rows came; and the positions."""
    cdef const sentinel_state *s = <const sentinel_state *>_of(raw)
    state_of(raw)
    cdef uint64_t size = len(raw)
    _fits(size, s.positions, s.instrument_count, sizeof(sentinel_position_state))
    if size != s.size_bytes or s.agent_count == 0:
        return None if size != s.size_bytes else (), _positions(s)
    _fits(size, s.book, <uint64_t>s.agent_count * s.book_entries, sizeof(sentinel_book_entry))
    return _book(s)


def keyring_capsule(Keyring ring not None):
    """Where a keyring is, for the C client of this process: no secret becomes an object."""
    return PyCapsule_New(ring.ring, "sentinel_keyring", NULL)

# The short way from an order to its signature: no object is made that nobody asked for. A part of
# _core.pyx.

cimport cython
from cpython.object cimport PyObject
from libc.string cimport memcmp
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec


cdef extern from * nogil:
    """
    #include <stddef.h>
    enum {
        /* What is kept of an outcome: its head; then signature and request as far as it has text,
           or the decision as far as it has results; then the order, of which a signed one that is
           kept alone has the header here. */
        KEPT_HEAD = offsetof(sentinel_outcome, decision),
        KEPT_REQUEST = KEPT_HEAD + sizeof(sentinel_signature),
        KEPT_TEXT = KEPT_REQUEST + offsetof(sentinel_request, text),
        KEPT_RESULTS = KEPT_HEAD + offsetof(sentinel_decision, results),
        KEPT_BYTES_MAX = sizeof(sentinel_outcome) + 16 + sizeof(sentinel_order)
    };
    _Static_assert(KEPT_HEAD % 8 == 0 && KEPT_RESULTS % 8 == 0, "what is kept stays aligned");
    """
    enum:
        KEPT_HEAD
        KEPT_REQUEST
        KEPT_TEXT
        KEPT_RESULTS
        KEPT_BYTES_MAX


cdef inline int64_t _clock() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_REALTIME, &t)
    return <int64_t>t.tv_sec * 1000000000 + <int64_t>t.tv_nsec


cdef inline size_t _up8(size_t size) noexcept nogil:
    return (size + 7) & ~<size_t>7


cdef size_t _keep(uint8_t *kept, const sentinel_outcome *o, const uint8_t *order,
                  size_t order_size) noexcept nogil:
    """Writes what is kept of an outcome; how many bytes. The order stands at their end."""
    cdef size_t at, count
    memcpy(kept, o, KEPT_HEAD)
    if o.verdict == SENTINEL_ALLOWED:
        memcpy(kept + KEPT_HEAD, &o.signature, sizeof(sentinel_signature))
        memcpy(kept + KEPT_REQUEST, &o.request, KEPT_TEXT - KEPT_REQUEST + o.request.text_size)
        at = _up8(KEPT_TEXT + o.request.text_size)
    else:
        count = min(o.decision.result_count, SENTINEL_RESULTS_MAX)
        memcpy(kept + KEPT_HEAD, &o.decision, KEPT_RESULTS - KEPT_HEAD)
        memcpy(kept + KEPT_RESULTS, &o.decision.results[0], count * sizeof(sentinel_result))
        at = KEPT_RESULTS + count * sizeof(sentinel_result)
        memcpy(kept + at, &o.decision.retry_at_ns[0], count * sizeof(int64_t))
        at += count * sizeof(int64_t)
    memcpy(kept + at, &order_size, sizeof(order_size))
    memcpy(kept + at + sizeof(order_size), order, order_size)
    return at + sizeof(order_size) + _up8(order_size)


cdef size_t _order_at(const uint8_t *kept) noexcept nogil:
    """Where the order's size stands in what was kept; the order is behind it."""
    cdef const sentinel_outcome *head = <const sentinel_outcome *>kept
    cdef const sentinel_request *request = <const sentinel_request *>(kept + KEPT_REQUEST)
    cdef const sentinel_decision *decision = <const sentinel_decision *>(kept + KEPT_HEAD)
    if head.verdict == SENTINEL_ALLOWED:
        return _up8(KEPT_TEXT + request.text_size)
    return KEPT_RESULTS + (min(decision.result_count, SENTINEL_RESULTS_MAX)
                           * (sizeof(sentinel_result) + sizeof(int64_t)))


cdef _kept_outcome(const uint8_t *kept):
    """The outcome of a refusal, from what was kept of it."""
    cdef sentinel_outcome o
    cdef size_t count, at = KEPT_RESULTS
    memset(&o, 0, sizeof(o))
    memcpy(&o, kept, KEPT_HEAD)
    memcpy(&o.decision, kept + KEPT_HEAD, KEPT_RESULTS - KEPT_HEAD)
    count = min(o.decision.result_count, SENTINEL_RESULTS_MAX)
    memcpy(&o.decision.results[0], kept + at, count * sizeof(sentinel_result))
    at += count * sizeof(sentinel_result)
    memcpy(&o.decision.retry_at_ns[0], kept + at, count * sizeof(int64_t))
    return _outcome(&o)


@cython.auto_pickle(False)
cdef class Packed:
    """What an order keeps of its packing: its struct, without agent and action id."""
    cdef bytes blank


cdef bytes _blank(Packed order):
    if order.blank is None:
        order.blank = (<Plan>order.PLAN).pack(order)
        if order.blank is None:  # So that Python says what is wrong, or packs the rest.
            order.blank = order.pack(agent=0, action_id=0)
    return order.blank


def blank(Packed order not None):
    return _blank(order)


@cython.auto_pickle(False)
cdef class Released:
    """A signature as the core gave it; its parts become objects when they are asked for."""
    cdef uint8_t *kept
    cdef object order
    cdef object origin          # which keeps no engine open

    def __dealloc__(self):
        free(self.kept)

    cdef int _has(self) except -1:
        if self.kept == NULL:
            raise AttributeError("this signed order was not made by an engine")
        return 0

    @property
    def _released(self):
        return self.kept != NULL

    @property
    def _origin(self):
        self._has()
        return self.origin

    @property
    def _numbers(self):
        self._has()
        cdef const sentinel_outcome *o = <const sentinel_outcome *>self.kept
        return o.record, o.epoch, o.now_ns, o.usable_until_ms, o.venue, o.key

    @property
    def _client_id(self):
        self._has()
        cdef const sentinel_outcome *o = <const sentinel_outcome *>self.kept
        return _copy(o.client_id, o.client_id_size).decode()

    @property
    def _signature(self):
        self._has()
        return _signature(<const sentinel_signature *>(self.kept + KEPT_HEAD))

    @property
    def _request(self):
        self._has()
        return _request(<const sentinel_request *>(self.kept + KEPT_REQUEST))

    @property
    def _signed_bytes(self):
        self._has()
        cdef const sentinel_request *r = <const sentinel_request *>(self.kept + KEPT_REQUEST)
        return (_copy(r.text + r.string_to_sign.offset, r.string_to_sign.size),
                bool(r.prehashed))

    @property
    def _order(self):
        """The order, or its struct's bytes."""
        self._has()
        return _kept_order(self.kept) if self.order is None else self.order

    @property
    def _action_id(self):
        self._has()
        return (<const sentinel_order_header *>(
            self.kept + _order_at(self.kept) + sizeof(size_t))).action_id


cdef bytes _kept_order(const uint8_t *kept):
    cdef const uint8_t *order = kept + _order_at(kept)
    return _copy(order + sizeof(size_t), (<const size_t *>order)[0])


cdef class Ids:
    """The next action id of an agent; all its sessions share it. 0: not asked for yet."""
    cdef uint64_t next


cdef class Seat:
    """An agent's place at an engine: who asks, whose turn it is, which action id is next."""
    cdef readonly Session session
    cdef Turn turn
    cdef Ids ids
    cdef object desk
    cdef object origin
    cdef type made

    def __init__(self, Session session not None, Turn turn not None, Ids ids not None, desk, origin,
                 type made not None):
        self.session, self.turn, self.ids = session, turn, ids
        self.desk, self.origin, self.made = desk, origin, made

    @property
    def agent(self):
        return self.session.session.agent

    cdef int _begin(self, object now_ns) except -1:
        """Takes both turns; on return the engine is open, and a witness was asked if need be.

        One turn for id, time and signature: a thread that took the first two and then waited
        would fall behind the window of ids, or let the clock seem to step back.
        """
        cdef Gate gate = self.session.gate
        self.turn.take()
        try:
            gate.lock.take()
            try:
                gate._live()
                if sentinel_gate_needs_witness(gate.context):
                    gate.lock.give()
                    try:
                        self.desk.before_order(now_ns)
                    finally:
                        gate.lock.take()
                    gate._live()
                if self.ids.next == 0:
                    self.ids.next = _first_id(gate.context, self.session.session.agent)
            except BaseException:
                gate.lock.give()
                raise
        except BaseException:
            self.turn.give()
            raise
        return 0

    cdef void _end(self) noexcept:
        self.session.gate.lock.give()
        self.turn.give()

    cdef sentinel_status _decide(self, sentinel_outcome *outcome, uint8_t *order, size_t size,
                                 const uint64_t *wanted, int64_t now_ns) noexcept nogil:
        """Stamps the order, and lets the gate decide. Between _begin and _end."""
        cdef sentinel_order_header *header = <sentinel_order_header *>order
        cdef uint64_t chosen = self.ids.next if wanted == NULL else wanted[0]
        if chosen >= self.ids.next and chosen + 1 != 0:
            self.ids.next = chosen + 1
        if header.agent == 0:
            header.agent = self.session.session.agent
        header.action_id = chosen
        return self.session.gate._sign(outcome, &self.session.session, order, size, now_ns)

    cdef object _answer(self, const uint8_t *text, size_t size, object order, object action_id,
                        object now_ns):
        """Signs one struct: what was signed. Raises the refusal."""
        cdef sentinel_outcome outcome
        cdef uint8_t stamped[SENTINEL_ORDER_BYTES_MAX + 8]
        cdef uint64_t wanted = 0
        cdef bint has_id = action_id is not None
        cdef bint has_time = now_ns is not None
        cdef int64_t now = 0
        cdef sentinel_status status
        cdef Released made
        cdef size_t kept
        memcpy(stamped, text, size)  # First of all: another thread may stamp the order anew.
        if has_id:
            wanted = _action_id(action_id)
        if has_time:
            now = now_ns
        self._begin(now_ns)
        with nogil:
            status = self._decide(&outcome, stamped, size, &wanted if has_id else NULL,
                                  now if has_time else _clock())
        self._end()
        _raise_status(status, "sign")
        if outcome.verdict != SENTINEL_ALLOWED:
            raise self.desk.refused(
                self.session.session.agent, _copy(stamped, size) if order is None else order,
                (<sentinel_order_header *>stamped).action_id, _outcome(&outcome))
        # Two small pieces are quicker to get than one of more than a kilobyte.
        if order is None:
            order = _copy(stamped, size)
        size = sizeof(sentinel_order_header)
        made = <Released>self.made.__new__(self.made)
        kept = _up8(KEPT_TEXT + outcome.request.text_size) + sizeof(size_t) + _up8(size)
        made.kept = <uint8_t *>malloc(kept)
        if made.kept == NULL:
            raise MemoryError
        _keep(made.kept, &outcome, stamped, size)
        made.order, made.origin = order, self.origin
        return made

    def sign(self, Packed order not None, action_id=None, now_ns=None):
        cdef bytes blank = _blank(order)
        return self._answer(_of(blank), len(blank), order, action_id, now_ns)


@cython.auto_pickle(False)
cdef class Signing:
    """`Session.sign`: an order object goes to the core without a call of Python's between."""
    cdef public object _seat

    def sign(self, order, *, action_id=None, reasons=None, now_ns=None):
        """Signs one order, or refuses it.

        `order`: an order, or JSON data with names (`order.from_json`). An order object keeps its
        packed form, so signing it again is quicker. `action_id`: default the next above the
        agent's highest; a second use of one is refused as a duplicate. `reasons`: why the agent
        asks; kept beside the log, its digest in the record. `now_ns`: Unix nanoseconds.

        Raises OrderPending (it waits for approvers), PolicyDenied (with every constraint that
        failed), SigningFailed, EngineHalted, OrderInvalid.
        """
        cdef bytes blank
        if reasons is None and isinstance(order, Packed) and type(self._seat) is Seat:
            blank = _blank(<Packed>order)
            return (<Seat>self._seat)._answer(_of(blank), len(blank), order, action_id, now_ns)
        return self._sign_other(order, action_id, reasons, now_ns)


cdef uint64_t _action_id(object number) except? 0:
    try:
        return <uint64_t>number
    except OverflowError:
        raise OrderInvalid(f"action_id: {number} is not within 0 to 2^64-1") from None


cdef uint64_t _first_id(const sentinel_context *context, uint32_t agent) noexcept nogil:
    """One above every id that the agent used, or asked approval for."""
    cdef const sentinel_state *s = sentinel_gate_state(context)
    cdef const sentinel_agent_state *agents = (
        <const sentinel_agent_state *>(<const uint8_t *>s + s.agents))
    cdef uint64_t highest = 0
    cdef uint32_t i
    for i in range(s.agent_count):
        if agents[i].node == agent and agents[i].id_highest > highest:
            highest = agents[i].id_highest
    for i in range(SENTINEL_PENDING_MAX):
        if (s.pending[i].status != 0 and s.pending[i].agent == agent
                and s.pending[i].action_id > highest):
            highest = s.pending[i].action_id
    return highest + 1 if highest + 1 != 0 else highest

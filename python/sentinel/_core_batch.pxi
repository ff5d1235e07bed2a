# Many orders in one call. A part of _core.pyx.

from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_FULL_RO,
    PyBUF_ND,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from libc.stdlib cimport realloc
from posix.time cimport nanosleep

cdef extern from * nogil:
    """
    /* One order's answer; a row of zeros was not decided. Offsets are into the batch's text. */
    typedef struct batch_row {
        uint64_t action_id;
        uint64_t record;
        uint64_t epoch;
        int64_t now_ns;
        int64_t usable_until_ms;
        int64_t value_micro_usd;
        uint64_t reasons[2];
        uint32_t key;
        uint32_t status;
        uint32_t host_at, path_at, query_at, body_at, signed_at;
        uint16_t host_size, path_size, query_size, body_size, signed_size;
        uint16_t reason;
        uint16_t venue;
        uint8_t verdict;
        uint8_t recorded;
        uint8_t method;
        uint8_t algorithm;
        uint8_t recovery_id;
        uint8_t prehashed;
        uint8_t signature_size;
        uint8_t approvals_needed;
        uint8_t approvals;
        uint8_t reserved[5];
        uint8_t signature[64];
        char client_id[64];
        uint64_t entry; /* where it is kept; the core's own layout */
    } batch_row;
    _Static_assert(sizeof(batch_row) == 256, "batch_row has 256 bytes");
    _Static_assert(offsetof(batch_row, entry) == 248, "batch_row.entry is at 248");
    static const char batch_row_format[] =
        "T{<Q:action_id:<Q:record:<Q:epoch:<q:now_ns:<q:usable_until_ms:<q:value_micro_usd:"
        "(2)<Q:reasons:<I:key:<I:status:<I:host_at:<I:path_at:<I:query_at:<I:body_at:"
        "<I:signed_at:<H:host_size:<H:path_size:<H:query_size:<H:body_size:<H:signed_size:"
        "<H:reason:<H:venue:B:verdict:B:recorded:B:method:B:algorithm:B:recovery_id:"
        "B:prehashed:B:signature_size:B:approvals_needed:B:approvals:(5)B:reserved:"
        "(64)B:signature:64s:client_id:<Q:entry:}";
    """
    ctypedef struct batch_row:
        uint64_t action_id
        uint64_t record
        uint64_t epoch
        int64_t now_ns
        int64_t usable_until_ms
        int64_t value_micro_usd
        uint64_t reasons[2]
        uint32_t key
        uint32_t status
        uint32_t host_at
        uint32_t path_at
        uint32_t query_at
        uint32_t body_at
        uint32_t signed_at
        uint16_t host_size
        uint16_t path_size
        uint16_t query_size
        uint16_t body_size
        uint16_t signed_size
        uint16_t reason
        uint16_t venue
        uint8_t verdict
        uint8_t recorded
        uint8_t method
        uint8_t algorithm
        uint8_t recovery_id
        uint8_t prehashed
        uint8_t signature_size
        uint8_t approvals_needed
        uint8_t approvals
        uint8_t signature[64]
        char client_id[64]
        uint64_t entry
    const char *batch_row_format

SIGN_MANY_MAX = 65536
cdef enum:
    ROWS_MAX = 65536
    ENTRY_GUESS = 1536
    SIGNALS_EVERY = 8
    SIGNALS_NS = 50000000
    TURN_NS = 100000
    PATIENCE = 20


cdef class _Text:
    """The batch's text, read-only."""
    cdef SignedBatch batch

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.batch.text, self.batch.text_used, 1, flags)
        self.batch.views += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.batch.views -= 1


cdef class SignedBatch:
    """What came of many orders: a row each, and the text that the rows point into."""
    cdef batch_row *rows
    cdef Py_ssize_t count       # decided
    cdef Py_ssize_t room        # rows
    cdef uint8_t *text
    cdef uint64_t text_used
    cdef uint64_t text_room
    cdef int views
    cdef bint busy
    cdef Seat seat
    cdef object policy          # that judged: the one in force, where it did not change
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]

    def __dealloc__(self):
        free(self.rows)
        free(self.text)

    def __len__(self):
        return self.count

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("a batch is read-only")
        self.shape[0], self.strides[0] = self.count, sizeof(batch_row)
        buffer.buf, buffer.obj, buffer.readonly = self.rows, self, 1
        buffer.itemsize = sizeof(batch_row) if flags & PyBUF_ND else 1
        buffer.len = self.count * sizeof(batch_row)
        buffer.ndim = 1
        buffer.format = <char *>batch_row_format if flags & PyBUF_FORMAT else NULL
        buffer.shape = self.shape if flags & PyBUF_ND else NULL
        buffer.strides = self.strides if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        buffer.suboffsets, buffer.internal = NULL, NULL
        self.views += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.views -= 1

    @property
    def text(self):
        cdef _Text text = _Text.__new__(_Text)
        text.batch = self
        return memoryview(text)

    @property
    def allowed(self):
        cdef Py_ssize_t i, found = 0
        for i in range(self.count):
            found += self.rows[i].verdict == SENTINEL_ALLOWED
        return found

    def __getitem__(self, Py_ssize_t index):
        cdef Py_ssize_t at = index + self.count if index < 0 else index
        cdef const uint8_t *kept
        cdef size_t size
        cdef Released made
        if not 0 <= at < self.count:
            raise IndexError(f"{index} of {self.count} orders")
        kept = self.text + self.rows[at].entry
        if self.rows[at].verdict != SENTINEL_ALLOWED:
            return self.seat.desk.refused_by(
                self.policy, self.seat.session.session.agent, _kept_order(kept),
                self.rows[at].action_id, _kept_outcome(kept))
        size = _order_at(kept)
        size += sizeof(size_t) + _up8((<const size_t *>(kept + size))[0])
        made = <Released>self.seat.made.__new__(self.seat.made)
        made.kept = <uint8_t *>malloc(size)
        if made.kept == NULL:
            raise MemoryError
        memcpy(made.kept, kept, size)
        made.origin = self.seat.origin
        return made

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            yield self[i]

    cdef int _empty(self, Seat seat) except -1:
        if self.busy or self.views:
            raise UsageError("the batch is in use: another call fills it, or a view of it is left")
        self.seat, self.policy, self.count, self.text_used = seat, None, 0, 0
        return 0

    cdef int _make_room(self, Py_ssize_t count) except -1:
        cdef void *rows
        if count > self.room:
            rows = realloc(self.rows, count * sizeof(batch_row))
            if rows == NULL:
                raise MemoryError
            self.rows, self.room = <batch_row *>rows, count
        if not self._text_room(count * <uint64_t>ENTRY_GUESS):
            raise MemoryError
        return 0

    cdef bint _text_room(self, uint64_t wanted) noexcept nogil:
        cdef void *text
        if wanted <= self.text_room:
            return True
        if wanted < 2 * self.text_room:
            wanted = 2 * self.text_room
        text = realloc(self.text, wanted)
        if text == NULL:
            return False
        self.text, self.text_room = <uint8_t *>text, wanted
        return True

    cdef void _add(self, const sentinel_outcome *o, const uint8_t *order,
                   size_t size) noexcept nogil:
        """There is room for one more of any size."""
        cdef batch_row *row = &self.rows[self.count]
        cdef const sentinel_request *r = &o.request
        cdef uint32_t text = <uint32_t>self.text_used + KEPT_TEXT
        memset(row, 0, sizeof(batch_row))
        row.entry = self.text_used
        row.action_id = (<const sentinel_order_header *>order).action_id
        row.record, row.epoch, row.now_ns = o.record, o.epoch, o.now_ns
        row.value_micro_usd = o.decision.value_micro_usd
        row.reasons[0], row.reasons[1] = o.decision.reasons[0], o.decision.reasons[1]
        row.key, row.status, row.reason, row.venue = o.key, o.status, o.reason, o.venue
        row.verdict, row.recorded = o.verdict, o.recorded
        row.approvals_needed, row.approvals = o.approvals_needed, o.approvals
        if o.verdict == SENTINEL_ALLOWED:
            row.usable_until_ms = o.usable_until_ms
            row.host_at, row.host_size = text + r.host.offset, r.host.size
            row.path_at, row.path_size = text + r.path.offset, r.path.size
            row.query_at, row.query_size = text + r.query.offset, r.query.size
            row.body_at, row.body_size = text + r.body.offset, r.body.size
            row.signed_at = text + r.string_to_sign.offset
            row.signed_size = r.string_to_sign.size
            row.method, row.prehashed = r.method, r.prehashed
            row.algorithm, row.recovery_id = o.signature.algorithm, o.signature.recovery_id
            row.signature_size = o.signature.size
            memcpy(row.signature, o.signature.bytes, sizeof(row.signature))
            memcpy(row.client_id, o.client_id, min(o.client_id_size, sizeof(row.client_id)))
        self.text_used += _keep(self.text + self.text_used, o, order, size)
        self.count += 1


cdef struct Orders:
    # Fixed steps; or, with a step of 0, structs as long as they say.
    const uint8_t *at
    const uint8_t *end
    Py_ssize_t step
    Py_ssize_t size
    Py_ssize_t count
    Py_ssize_t left


cdef size_t _next_order(uint8_t *order, Orders *orders) noexcept nogil:
    """Copies the next order, and gives its size; one that says a wrong size is refused for it.
    0: somebody changed the bytes since they were counted.
    """
    cdef uint32_t said
    cdef size_t size = orders.size
    cdef size_t i
    memcpy(&said, orders.at + 4, 4)
    if orders.step == 0:
        size = said
        if not (sizeof(sentinel_order_header) <= size <= SENTINEL_ORDER_BYTES_MAX
                and <Py_ssize_t>size <= orders.end - orders.at):
            return 0
        memcpy(order, orders.at, size)
        orders.at += size
    else:
        memcpy(order, orders.at, size)
        orders.at += orders.step
        if sizeof(sentinel_order_header) <= said < size:
            i = said
            while i < size and order[i] == 0:
                i += 1
            if i == size:
                size = said
    orders.left -= 1
    return size


cdef int _walk(Orders *orders, const Py_buffer *view) except -1:
    """Structs one behind the other: how many. Raises before any is signed."""
    cdef const uint8_t *at = <const uint8_t *>view.buf
    cdef Py_ssize_t done = 0
    cdef uint32_t size
    if not PyBuffer_IsContiguous(view, b"C"):
        raise UsageError("orders: the bytes are not contiguous")
    while done < view.len:
        size = 0
        if view.len - done >= <Py_ssize_t>sizeof(sentinel_order_header):
            memcpy(&size, at + done + 4, 4)
        if not (sizeof(sentinel_order_header) <= size <= SENTINEL_ORDER_BYTES_MAX
                and size <= view.len - done):
            raise UsageError(f"orders: at byte {done} no whole order begins")
        done += size
        orders.count += 1
    orders.at, orders.end, orders.step, orders.left = at, at + view.len, 0, orders.count
    return 0


cdef int _orders_of(Orders *orders, const Py_buffer *view) except -1:
    cdef uint16_t action
    memset(orders, 0, sizeof(orders[0]))
    if view.format != NULL and (b">" in view.format or b"!" in view.format):
        raise UsageError("orders: the fields are big-endian; orders are little-endian")
    if view.itemsize == 1:
        _walk(orders, view)
    else:
        sizes = {sentinel_order_bytes(action) for action in range(1, 32)} - {0}
        sizes.add(SENTINEL_ORDER_BYTES_MAX)
        if view.itemsize not in sizes:
            raise UsageError(f"orders: items of {view.itemsize} bytes; an order's struct has"
                             f" {', '.join(map(str, sorted(sizes)))}")
        if view.ndim != 1:
            raise UsageError(f"orders: {view.ndim} dimensions; one is needed")
        orders.at, orders.size = <const uint8_t *>view.buf, view.itemsize
        orders.count = orders.left = view.shape[0]
        orders.step = view.itemsize if view.strides == NULL else view.strides[0]
        if orders.step == 0:
            raise UsageError("orders: one struct, repeated without its bytes; copy the array")
    if orders.count > ROWS_MAX:
        raise UsageError(f"orders: {orders.count}; one call takes {ROWS_MAX}")
    return 0


cdef void _let_in(Turn turn, Turn inner) noexcept:
    """Both are free: whoever waits has a millisecond to take one."""
    cdef uint64_t seen = turn.taken + inner.taken
    cdef timespec pause
    cdef int i
    pause.tv_sec, pause.tv_nsec = 0, 50000
    for i in range(PATIENCE):
        with nogil:
            nanosleep(&pause, NULL)
        if turn.taken + inner.taken != seen:
            break


cdef sentinel_status _slice(Seat seat, SignedBatch batch, Orders *orders, const int64_t *now_ns,
                            bint one) noexcept nogil:
    """Decides until all are, or the threads that wait or the signals want to be looked at."""
    cdef sentinel_outcome outcome
    cdef uint8_t order[SENTINEL_ORDER_BYTES_MAX]
    cdef sentinel_order_header *header = <sentinel_order_header *>order
    cdef int64_t begin = _clock()
    cdef uint64_t given
    cdef size_t size
    cdef sentinel_status status
    cdef int done = 0
    while orders.left > 0:
        if not batch._text_room(batch.text_used + KEPT_BYTES_MAX):
            return SENTINEL_IO_MEMORY
        size = _next_order(order, orders)
        if size == 0:
            return SENTINEL_USAGE_ARGUMENT
        given = header.action_id
        status = seat._decide(&outcome, order, size, NULL if given == 0 else &given,
                              _clock() if now_ns == NULL else now_ns[0])
        if status != SENTINEL_OK:
            return status
        batch._add(&outcome, order, size)
        done += 1
        if one:
            break
        if (turn_waits(seat.turn.waiting) or turn_waits(seat.session.gate.lock.waiting)) and (
                not 0 <= _clock() - begin < TURN_NS):
            break
        if done % SIGNALS_EVERY == 0 and not 0 <= _clock() - begin < SIGNALS_NS:
            break
    return SENTINEL_OK


cdef int _sign_all(Seat seat, SignedBatch batch, Orders *orders, object now_ns) except -1:
    cdef int64_t now = 0 if now_ns is None else now_ns
    cdef const int64_t *time = NULL if now_ns is None else &now
    cdef sentinel_status status
    cdef bint one
    while orders.left > 0:
        seat._begin(now_ns)
        try:
            one = sentinel_gate_needs_witness(seat.session.gate.context)
            with nogil:
                status = _slice(seat, batch, orders, time, one)
        finally:
            seat._end()
        _raise_status(status, "sign")
        PyErr_CheckSignals()
        if seat.turn.waiting or seat.session.gate.lock.waiting:
            _let_in(seat.turn, seat.session.gate.lock)
    return 0


def is_buffer(thing):
    return PyObject_CheckBuffer(thing)


def sign_many(Seat seat not None, source, SignedBatch batch, now_ns):
    cdef Py_buffer view
    cdef Orders orders
    if batch is None:
        batch = SignedBatch.__new__(SignedBatch)
    try:
        PyObject_GetBuffer(source, &view, PyBUF_FULL_RO)
    except (BufferError, ValueError) as error:
        raise UsageError(f"orders: {error}") from None
    try:
        _orders_of(&orders, &view)
        batch._empty(seat)
        batch._make_room(orders.count)
        batch.busy = True
        try:
            policy = seat.desk.policy()
            _sign_all(seat, batch, &orders, now_ns)
        finally:
            batch.busy = False
        if seat.desk.policy() is policy:
            batch.policy = policy
    finally:
        PyBuffer_Release(&view)
    return batch

# An engine: a directory and its one writer; the spool. A part of _core.pyx.


cdef int _options(sentinel_engine_options *options, bytes passphrase, uint8_t durability,
                  uint64_t segment_bytes, uint64_t state_bytes, uint64_t snapshot_every,
                  uint32_t nonces=0, bint snapshot_risk=False) except -1:
    memset(options, 0, sizeof(options[0]))
    options.passphrase, options.passphrase_size = <const char *>_of(passphrase), len(passphrase)
    options.segment_bytes, options.state_bytes_min = segment_bytes, state_bytes
    options.snapshot_every, options.durability = snapshot_every, durability
    options.nonces, options.snapshot_risk = nonces, snapshot_risk
    return 0


cdef class Engine(Gate):
    """An engine's one writer."""
    cdef sentinel_engine *engine
    cdef readonly int open_status
    cdef object pid
    cdef object filling  # held while nonces are made, which may be beside all else but the end

    @staticmethod
    def create(directory, genesis, authority, policy, bytes passphrase not None, int64_t now_ns,
               *, uint8_t durability=2, uint64_t segment_bytes=0):
        cdef sentinel_engine_options options
        cdef bytes root = bytes(genesis), rows = bytes(authority), bundle = bytes(policy)
        cdef bytes path = os.fsencode(directory)
        cdef const char *name = path
        cdef sentinel_status status
        genesis_check(root)
        _options(&options, passphrase, durability, segment_bytes, 0, 0)
        status = sentinel_engine_create(
            name, <const sentinel_genesis *>_of(root), _of(rows), len(rows), _of(bundle),
            len(bundle), &options, now_ns)
        _raise_status(status, os.fsdecode(directory), errno)

    @staticmethod
    def open(directory, bytes passphrase not None, int64_t now_ns, *, uint8_t durability=2,
             uint64_t segment_bytes=0, uint64_t state_bytes=0, uint64_t snapshot_every=0,
             uint32_t nonces=0, bint snapshot_risk=False):
        cdef Engine self = Engine.__new__(Engine)
        cdef sentinel_engine_options options
        cdef bytes path = os.fsencode(directory)
        cdef const char *name = path
        cdef sentinel_status status
        _options(&options, passphrase, durability, segment_bytes, state_bytes, snapshot_every,
                 nonces, snapshot_risk)
        with nogil:
            status = sentinel_engine_open(&self.engine, name, &options, now_ns)
        # A corrupt or truncated log leaves an engine that is open, halted, and can be asked.
        if self.engine == NULL or status not in (
                SENTINEL_OK, SENTINEL_AUDIT_CORRUPT, SENTINEL_AUDIT_TRUNCATED):
            _raise_status(status, os.fsdecode(directory), errno)
        self.open_status = <int>status
        self.lock = Turn()
        self.pid, self.filling = os.getpid(), threading.Lock()
        self.context = sentinel_engine_context(self.engine)
        return self

    def __dealloc__(self):
        if self.engine != NULL:
            sentinel_engine_close(self.engine, sentinel_gate_state(self.context).last_now_ns)

    cdef sentinel_status _sign(self, sentinel_outcome *outcome, sentinel_session *session,
                               const uint8_t *order, size_t size, int64_t now_ns) noexcept nogil:
        return sentinel_engine_sign(self.engine, outcome, session, order, size, now_ns)

    cdef sentinel_status _take(self, uint64_t *record, const uint8_t *frame, size_t size,
                               int64_t now_ns) noexcept nogil:
        return sentinel_engine_take(self.engine, record, frame, size, now_ns)

    cdef sentinel_status _withdraw(self, uint64_t *record, sentinel_session *session,
                                   uint64_t action_id, int64_t now_ns) noexcept nogil:
        return sentinel_engine_withdraw(self.engine, record, session, action_id, now_ns)

    cdef int _errno(self) noexcept:
        return sentinel_engine_errno(self.engine)

    def spool(self, int64_t now_ns):
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = sentinel_engine_spool(self.engine, now_ns)
            _raise_status(status, "spool", self._errno())

    @property
    def is_held(self):
        with self.lock:
            self._live()
            return sentinel_engine_is_held(self.engine) != 0

    def ack(self):
        cdef sentinel_signed_ack found
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = sentinel_engine_ack(self.engine, &found)
            if status == SENTINEL_USAGE_STATE:
                return None
            _raise_status(status, "acknowledgement")
        return _copy(&found, sizeof(found))

    def snapshot(self, int64_t now_ns):
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = sentinel_engine_snapshot(self.engine, now_ns)
            _raise_status(status, "snapshot", self._errno())

    def fill(self):
        cdef sentinel_status status
        cdef uint32_t made = 0
        with self.filling:
            self._live()
            with nogil:
                status = sentinel_engine_fill(self.engine, &made)
            _raise_status(status, "nonces")
        return made

    def nonces(self):
        cdef sentinel_nonces found
        with self.lock:
            self._live()
            _raise_status(sentinel_engine_nonces(self.engine, &found), "nonces")
        return _nonces(&found)

    def close(self, int64_t now_ns):
        if self.pid != os.getpid():  # forked: the thread that may hold it is not here
            self.filling = threading.Lock()
        with self.filling, self.lock:
            if self.engine != NULL:
                self.context = NULL
                with nogil:
                    sentinel_engine_close(self.engine, now_ns)
                self.engine = NULL


def spool_submit(directory, frame):
    cdef bytes raw = bytes(frame), path = os.fsencode(directory)
    cdef const char *name = path
    cdef uint64_t ticket = 0
    cdef const uint8_t *source = _of(raw)
    cdef size_t size = len(raw)
    cdef sentinel_status status
    with nogil:
        status = sentinel_spool_submit(&ticket, name, source, size)
    _raise_status(status, os.fsdecode(directory), errno)
    return ticket

# What venues hold; the gate: sessions, decisions, state; a context. A part of _core.pyx.


def hold(uint16_t venue, uint16_t action):
    cdef const sentinel_hold *row = sentinel_venue_hold(venue, action)
    return None if row == NULL else _types.Hold(
        row.expiry, bool(row.once), bool(row.endpoint_covered), row.floor_ms,
        row.window_ms)


cdef str _span(const sentinel_request *request, sentinel_span span):
    return _copy(request.text + span.offset, span.size).decode()


cdef _request(const sentinel_request *r):
    cdef uint8_t i
    return _types.Request(
        _METHODS[r.method], _span(r, r.host), _span(r, r.path), _span(r, r.query),
        _span(r, r.body),
        tuple([(_span(r, r.header_names[i]), _span(r, r.header_values[i]))
               for i in range(r.header_count)]),
        _copy(r.text + r.string_to_sign.offset, r.string_to_sign.size), bool(r.endpoint_covered),
        bool(r.prehashed),
    )


cdef _outcome(const sentinel_outcome *o):
    cdef bint allowed = o.verdict == SENTINEL_ALLOWED
    cdef const sentinel_decision *d = &o.decision
    cdef list results = []
    cdef uint16_t i
    for i in range(min(d.result_count, SENTINEL_RESULTS_MAX)):
        results.append(_types.Result(
            d.results[i].rule, d.results[i].kind, d.results[i].result == SENTINEL_PASS,
            d.results[i].flags, d.results[i].level, d.results[i].value, d.results[i].bound,
            d.retry_at_ns[i], d.results[i].result == SENTINEL_WAIT))
    return _types.Outcome(
        o.verdict, bool(o.recorded), o.reason, o.status, o.record, o.epoch, o.now_ns,
        _copy(o.record_hash32, 32), d.reasons[0] | (<object>d.reasons[1] << 64),
        d.value_micro_usd, tuple(results), _signature(&o.signature) if allowed else None,
        _request(&o.request) if allowed else None, o.venue, o.key,
        _copy(o.client_id, o.client_id_size).decode(), o.usable_until_ms,
        o.pending_until_ns, o.approvals_needed, o.approvals,
    )


cdef list _stops(int scope, const sentinel_stop_state *rows, uint32_t count):
    cdef list found = []
    cdef uint32_t i
    for i in range(count):
        if rows[i].mode:
            found.append(_types.StopState(
                scope, rows[i].id, rows[i].mode, rows[i].severity, rows[i].cause, rows[i].record,
                rows[i].since_ns, rows[i].until_ns, _copy(rows[i].reason_digest32, 32)))
    return found


cdef tuple _pending(const sentinel_state *s):
    cdef list found = []
    cdef const sentinel_pending *row
    cdef uint32_t i
    for i in range(SENTINEL_PENDING_MAX):
        row = &s.pending[i]
        if row.status:
            found.append(_types.PendingState(
                row.record, _copy(row.record_hash32, 32), row.expires_ns, row.action_id, row.agent,
                row.status == 2, row.quorum, tuple(row.approvers)[:row.approver_count],
                _copy(row.order_digest32, 32)))
    return tuple(sorted(found, key=lambda row: row.record))


cdef _state(const sentinel_state *s):
    cdef const uint8_t *base = <const uint8_t *>s
    cdef const sentinel_agent_state *agents = <const sentinel_agent_state *>(base + s.agents)
    cdef const sentinel_mark_state *marks
    cdef uint32_t i, table, count
    cdef list agent_rows = [], mark_rows = []
    cdef list stops = _stops(1, <const sentinel_stop_state *>(base + s.nodes), s.node_count)
    stops += _stops(2, s.venues, SENTINEL_VENUES_MAX)
    stops += _stops(3, <const sentinel_stop_state *>(base + s.instruments), s.instrument_count)
    for i in range(s.agent_count):
        agent_rows.append(_types.AgentState(agents[i].node, agents[i].id_highest,
                                            agents[i].attempts, agents[i].suppressed,
                                            agents[i].beat_sequence, agents[i].beat_ns,
                                            agents[i].iterations, agents[i].running_since_ns,
                                            agents[i].beat_deadline_ns))
    for table in range(2):
        marks = <const sentinel_mark_state *>(base + (s.asset_marks if table
                                                      else s.instrument_marks))
        count = s.asset_count if table else s.instrument_count
        for i in range(count):
            if marks[i].kind:
                mark_rows.append(_types.Mark(marks[i].kind, marks[i].id, marks[i].mantissa,
                                             marks[i].scale, marks[i].time_ns))
    return _types.EngineState(
        _copy(s.engine_id32, 32), s.halted, s.record_count, s.epoch, s.last_now_ns,
        tuple([s.sequences[i] for i in range(SENTINEL_SEQUENCES)]), _copy(s.last_hash32, 32),
        _copy(s.policy_hash32, 32), _copy(s.authority_hash32, 32), tuple(stops),
        tuple(agent_rows), tuple(mark_rows), s.released.nonce_next,
        tuple([s.released.usable_until_ms[i] for i in range(SENTINEL_VENUES_MAX)]), _pending(s),
        s.lease_until_ns, s.relied_ns,
        _types.GrantState(s.grant.epoch, s.grant.count, _copy(s.grant.hash32, 32),
                          s.grant.record_end, s.grant.spend_end, s.grant.spent, s.grant.gap_from,
                          s.grant.gap_to, _copy(s.grant.gap_hash32, 32)),
    )


cdef dict _feeders(const sentinel_state *s):
    return {s.feeders[i].key: s.feeders[i].sequence
            for i in range(SENTINEL_FEEDERS_MAX) if s.feeders[i].key}


cdef tuple _book(const sentinel_state *s):
    cdef const uint8_t *base = <const uint8_t *>s
    cdef const sentinel_agent_state *agents = <const sentinel_agent_state *>(base + s.agents)
    cdef const sentinel_book_entry *rows = <const sentinel_book_entry *>(base + s.book)
    cdef list found = []
    cdef uint64_t i
    for i in range(<uint64_t>s.agent_count * s.book_entries):
        if rows[i].action_id:
            found.append(_types.BookEntry(
                rows[i].record, agents[i // s.book_entries].node, rows[i].action_id,
                rows[i].instrument, rows[i].type, rows[i].time_in_force, rows[i].amended_by,
                rows[i].status))
    return tuple(sorted(found, key=lambda row: row.record)), _positions(s)


cdef tuple _positions(const sentinel_state *s):
    cdef const uint8_t *base = <const uint8_t *>s
    cdef const sentinel_position_state *held = <const sentinel_position_state *>(base + s.positions)
    cdef uint64_t i
    return tuple([
        _types.PositionState(held[i].id, held[i].mantissa, held[i].scale)
        for i in range(s.instrument_count) if held[i].time_ns])


cdef class Session:
    """Who asks. Belongs to one gate; of no use with another."""
    cdef sentinel_session session
    cdef readonly Gate gate

    @property
    def agent(self):
        return self.session.agent


cdef class Gate:
    """What an engine and a context share. Threads take turns at the lock."""
    cdef sentinel_context *context
    cdef Turn lock

    def __init__(self):
        raise TypeError("use Engine.open or Context")

    cdef int _live(self) except -1:
        if self.context == NULL:
            raise UsageError("the engine is closed")
        return 0

    cdef sentinel_status _sign(self, sentinel_outcome *outcome, sentinel_session *session,
                               const uint8_t *order, size_t size, int64_t now_ns) noexcept nogil:
        return sentinel_gate_sign(self.context, outcome, session, order, size, now_ns)

    cdef sentinel_status _take(self, uint64_t *record, const uint8_t *frame, size_t size,
                               int64_t now_ns) noexcept nogil:
        return sentinel_gate_take(self.context, record, frame, size, now_ns)

    def session(self, uint32_t agent):
        cdef Session session = Session.__new__(Session)
        with self.lock:
            self._live()
            _raise_status(sentinel_session_open(&session.session, self.context, agent),
                          f"agent {agent}")
        session.gate = self
        return session

    def sign(self, Session session not None, const uint8_t[::1] order, int64_t now_ns):
        cdef sentinel_outcome outcome
        cdef sentinel_status status
        cdef const uint8_t *source = _at(order)
        cdef size_t size = order.shape[0]
        if session.gate is not self:
            raise UsageError("the session belongs to another engine")
        with self.lock:
            self._live()
            with nogil:
                status = self._sign(&outcome, &session.session, source, size, now_ns)
        _raise_status(status, "sign")
        return _outcome(&outcome)

    def take(self, frame, int64_t now_ns):
        cdef bytes raw = bytes(frame)
        cdef const uint8_t *source = _of(raw)
        cdef size_t size = len(raw)
        cdef uint64_t record = 0
        cdef sentinel_status status
        with self.lock:
            self._live()
            with nogil:
                status = self._take(&record, source, size, now_ns)
        _raise_status(status, "frame", self._errno())
        return record

    cdef sentinel_status _withdraw(self, uint64_t *record, sentinel_session *session,
                                   uint64_t action_id, int64_t now_ns) noexcept nogil:
        return sentinel_gate_withdraw(self.context, record, session, action_id, now_ns)

    def withdraw(self, Session session not None, uint64_t action_id, int64_t now_ns):
        cdef uint64_t record = 0
        cdef sentinel_status status
        if session.gate is not self:
            raise UsageError("the session belongs to another engine")
        with self.lock:
            self._live()
            with nogil:
                status = self._withdraw(&record, &session.session, action_id, now_ns)
        _raise_status(status, f"action {action_id}", self._errno())
        return record

    cdef int _errno(self) noexcept:
        return 0

    def check(self, frame, int64_t now_ns):
        cdef bytes raw = bytes(frame)
        with self.lock:
            self._live()
            _raise_status(sentinel_gate_check(self.context, _of(raw), len(raw), now_ns), "frame")

    def state(self):
        with self.lock:
            self._live()
            return _state(sentinel_gate_state(self.context))

    def book(self):
        with self.lock:
            self._live()
            return _book(sentinel_gate_state(self.context))

    def feeders(self):
        with self.lock:
            self._live()
            return _feeders(sentinel_gate_state(self.context))

    def policy(self):
        cdef const sentinel_view *view
        with self.lock:
            self._live()
            view = sentinel_gate_view(self.context)
            if view == NULL:
                return None
            return _copy(view.bundle.frame, view.bundle.frame.size_bytes)

    @property
    def policy_hash(self):
        with self.lock:
            self._live()
            return _copy(sentinel_gate_state(self.context).policy_hash32, 32)

    def sign_head(self, uint64_t epoch, uint64_t count, const uint8_t[::1] last_hash,
                  const uint8_t[::1] root):
        cdef sentinel_head head
        cdef uint8_t signature[64]
        _sized(last_hash, 32, "last hash")
        _sized(root, 32, "root")
        with self.lock:
            self._live()
            memcpy(head.engine_id32, sentinel_gate_state(self.context).engine_id32, 32)
            head.epoch, head.count = epoch, count
            memcpy(head.last_hash32, _at(last_hash), 32)
            memcpy(head.root32, _at(root), 32)
            _raise_status(sentinel_gate_sign_head(self.context, signature, &head), "head")
        return _copy(&head, sizeof(head)), _copy(signature, 64)

    @property
    def needs_witness(self):
        with self.lock:
            self._live()
            return sentinel_gate_needs_witness(self.context) != 0

    def ask(self, uint32_t flags=0):
        cdef sentinel_ask ask
        cdef uint8_t signature[64]
        with self.lock:
            self._live()
            _raise_status(sentinel_gate_ask(self.context, &ask, signature, flags), "ask")
        return _copy(&ask, sizeof(ask)), _copy(signature, 64)

    def acknowledge(self, frame):
        cdef bytes raw = bytes(frame)
        cdef sentinel_ack ack
        with self.lock:
            self._live()
            _raise_status(
                sentinel_gate_acknowledge(self.context, &ack, _of(raw), len(raw)), "command")
        return _copy(&ack, sizeof(ack))


cdef class Context(Gate):
    """A gate in memory, without a directory: for simulation, rendering and replay."""
    cdef void *memory
    cdef readonly object keyring

    def __init__(self, genesis, Keyring keyring=None, *, uint32_t receipt_key=0,
                 uint64_t bundle_bytes=1 << 20, uint64_t state_bytes=1 << 24):
        cdef sentinel_config config
        cdef bytes raw = bytes(genesis)
        cdef uint64_t size
        genesis_check(raw)
        self.lock = Turn()
        self.keyring = keyring
        memset(&config, 0, sizeof(config))
        memcpy(&config.genesis, _of(raw), sizeof(config.genesis))
        config.bundle_bytes_max, config.state_bytes_max = bundle_bytes, state_bytes
        config.receipt_key = receipt_key
        size = sentinel_context_bytes(&config)
        if size == 0:
            raise UsageError("the context's sizes are out of range")
        if self.memory != NULL or posix_memalign(&self.memory, 64, size) != 0:
            raise MemoryError
        _raise_status(
            sentinel_context_init(&self.context, self.memory, size, &config,
                                  NULL if keyring is None else keyring.ring, NULL, NULL),
            "context")

    def __dealloc__(self):
        free(self.memory)

    def genesis(self, int64_t now_ns):
        _raise_status(sentinel_gate_genesis(self.context, now_ns), "genesis")

    def start(self, int64_t now_ns):
        _raise_status(sentinel_gate_start(self.context, 0, now_ns), "start")

    def replay(self, record, bundle=b""):
        cdef bytes raw = bytes(record), frame = bytes(bundle)
        cdef sentinel_record parsed
        cdef const char *difference = NULL
        cdef sentinel_status status
        _raise_status(sentinel_record_parse(&parsed, _of(raw), len(raw)), "record")
        with self.lock:
            status = sentinel_gate_replay(self.context, &difference, &parsed,
                                          _of(frame) if frame else NULL, len(frame))
        if status == SENTINEL_AUDIT_MISMATCH:
            return "unknown" if difference == NULL else difference.decode()
        _raise_status(status, f"record {parsed.header.number}")
        return None

    def replay_log(self, LogReader reader not None, uint64_t last, uint32_t most):
        """Up to `most` records, up to number `last`, without the interpreter lock. Ends before a
        bundle, which is left to replay(). Gives how many records, how many decisions among them,
        and the record that it ended at with the difference, if there is one."""
        cdef sentinel_record parsed
        cdef const char *difference = NULL
        cdef sentinel_status read = SENTINEL_OK, status = SENTINEL_OK
        cdef uint32_t records = 0, decisions = 0
        cdef bint bundle = False
        with self.lock, nogil:
            while records < most and reader.reader.next <= last:
                read = sentinel_log_reader_next(&reader.reader, &parsed, reader.buffer,
                                                READ_AHEAD_BYTES)
                if read != SENTINEL_OK:
                    break
                bundle = parsed.header.type == SENTINEL_RECORD_BUNDLE
                if bundle:
                    break
                status = sentinel_gate_replay(self.context, &difference, &parsed, NULL, 0)
                if status != SENTINEL_OK:
                    break
                records += 1
                decisions += parsed.header.type == SENTINEL_RECORD_ORDER
        if bundle:
            return records, decisions, reader.raw(&parsed), None
        if status == SENTINEL_AUDIT_MISMATCH:
            name = "unknown" if difference == NULL else difference.decode()
            return records, decisions, reader.raw(&parsed), name
        if status != SENTINEL_OK:
            try:
                _raise_status(status, f"record {parsed.header.number}")
            except SentinelError as error:
                return records, decisions, reader.raw(&parsed), error.message
        if read != SENTINEL_OK and read != SENTINEL_AUDIT_END:
            reader.check(read)
        return records, decisions, None, None

    def restore(self, record, authority, policy, state):
        cdef bytes raw = bytes(record), rows = bytes(authority), bundle = bytes(policy)
        cdef bytes flat = bytes(state)
        cdef sentinel_record parsed
        _raise_status(sentinel_record_parse(&parsed, _of(raw), len(raw)), "record")
        with self.lock:
            _raise_status(
                sentinel_gate_restore(self.context, &parsed, _of(rows), len(rows), _of(bundle),
                                      len(bundle), _of(flat), len(flat)),
                f"snapshot of record {parsed.header.number}")

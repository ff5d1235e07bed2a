# cython: language_level=3, boundscheck=False, wraparound=False
"""Thin bindings of the C core: convert, call, raise. Types and meanings: `_core.pyi`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from sentinel._core cimport *

import os
import threading

from sentinel import _types
from sentinel.errors import AuditCorrupt, UsageError, raise_status

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


# ---- order --------------------------------------------------------------------------------------


def order_bytes(uint16_t action):
    return sentinel_order_bytes(action)


def order_check(const uint8_t[::1] order, uint8_t environment):
    cdef sentinel_reason reason = SENTINEL_REASON_NONE
    _raise_status(sentinel_order_check(&reason, _at(order), order.shape[0], environment),
                  "order")
    return <int>reason


def decimal_write(int64_t mantissa, uint8_t scale):
    cdef sentinel_decimal decimal
    cdef char text[SENTINEL_DECIMAL_TEXT_MAX]
    memset(&decimal, 0, sizeof(decimal))
    decimal.mantissa, decimal.scale = mantissa, scale
    return _copy(text, sentinel_decimal_write(text, &decimal)).decode()


def decimal_read(str text):
    cdef sentinel_decimal decimal
    cdef bytes raw = text.encode()
    _raise_status(sentinel_decimal_read(&decimal, <const char *>_of(raw), len(raw)), text)
    return decimal.mantissa, decimal.scale


# ---- frame, policy ------------------------------------------------------------------------------


cdef _frame(const sentinel_frame *frame):
    cdef const sentinel_frame_header *header = frame.header
    return _types.Frame(
        header.kind, header.environment, _copy(header.engine_id32, 32), header.sequence,
        header.issued_ns, header.expires_ns, _copy(frame.payload, frame.payload_size),
        frame.proof_count, _copy(frame.hash32, 32),
    )


def unsafe_parse_frame(frame, uint16_t kind):
    cdef bytes raw = bytes(frame)
    cdef sentinel_frame parsed
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), kind), "frame")
    return _frame(&parsed)


def verify_frame(frame, uint16_t kind, authority, unsigned power, unsigned threshold,
                 int64_t now_ns):
    cdef bytes raw = bytes(frame), rows = bytes(authority)
    cdef sentinel_frame parsed
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), kind), "frame")
    _raise_status(sentinel_authority_check(_of(rows), len(rows)), "authority")
    _raise_status(sentinel_frame_verify(&parsed, _of(rows), len(rows), power, threshold, now_ns),
                  "frame")
    return _frame(&parsed)


def verify_authority_frame(frame, genesis):
    cdef bytes raw = bytes(frame), root = bytes(genesis)
    cdef sentinel_frame parsed
    genesis_check(root)
    _raise_status(sentinel_frame_parse(&parsed, _of(raw), len(raw), 1), "authority bundle")
    _raise_status(sentinel_authority_check(parsed.payload, parsed.payload_size),
                  "authority bundle")
    _raise_status(sentinel_frame_verify_root(&parsed, <const sentinel_genesis *>_of(root)),
                  "authority bundle")
    return _frame(&parsed)


def genesis_check(genesis):
    cdef bytes raw = bytes(genesis)
    cdef uint8_t engine_id[32]
    _raise_status(sentinel_genesis_check(engine_id, _of(raw), len(raw)), "genesis")
    return _copy(engine_id, 32)


def bundle_check(frame):
    cdef bytes raw = bytes(frame)
    cdef sentinel_bundle b
    _raise_status(sentinel_bundle_check(&b, _of(raw), len(raw)), "policy bundle")
    return _types.BundleCounts(
        b.node_count, b.asset_count, b.network_count, b.instrument_count, b.key_count,
        b.constraint_count, b.id_count, b.destination_count, b.sanction_count, b.text_size,
        _copy(b.hash32, 32),
    )


def bundle_memory(frame):
    cdef bytes raw = bytes(frame)
    cdef sentinel_bundle bundle
    _raise_status(sentinel_bundle_check(&bundle, _of(raw), len(raw)), "policy bundle")
    return sentinel_layout_bytes(&bundle), sentinel_state_bytes(&bundle)


def destination_digest(uint32_t network, str address, str memo=""):
    cdef uint8_t digest[32]
    cdef bytes a = address.encode(), m = memo.encode()
    sentinel_destination_digest(digest, network, <const char *>_of(a), len(a),
                                <const char *>_of(m), len(m))
    return _copy(digest, 32)


def sanction_digest(str address):
    cdef uint8_t digest[16]
    cdef bytes a = address.encode()
    sentinel_sanction_digest(digest, <const char *>_of(a), len(a))
    return _copy(digest, 16)


# ---- sign ---------------------------------------------------------------------------------------


cdef _key_info(const sentinel_key_info *info):
    return _types.KeyInfo(
        info.id, info.purpose, info.algorithm, info.venue,
        _copy(info.api_key, info.api_key_size).decode(),
        _copy(info.public_key, info.public_key_size), _copy(info.fingerprint32, 32),
    )


def key_address(const uint8_t[::1] public_key):
    cdef char text[42]
    _sized(public_key, 33, "public key")
    _raise_status(sentinel_key_address(text, _at(public_key)), "public key")
    return _copy(text, 42).decode()


cdef class Keyring:
    cdef sentinel_keyring *ring

    def __cinit__(self):
        _raise_status(sentinel_keyring_new(&self.ring), "keyring")

    def __dealloc__(self):
        sentinel_keyring_free(self.ring)

    cdef int _describe(self, sentinel_key_info *info, uint32_t id, uint8_t purpose,
                       uint8_t algorithm, uint16_t venue, str api_key, bint lab) except -1:
        cdef bytes name = api_key.encode()
        memset(info, 0, sizeof(info[0]))
        if len(name) > SENTINEL_API_KEY_BYTES_MAX:
            raise UsageError(f"the API key has more than {SENTINEL_API_KEY_BYTES_MAX} bytes")
        info.id, info.purpose, info.algorithm, info.venue = id, purpose, algorithm, venue
        info.api_key_size = <uint8_t>len(name)
        info.lab = lab
        memcpy(info.api_key, _of(name), len(name))
        return 0

    def generate(self, uint32_t id, uint8_t purpose, uint8_t algorithm, *, uint16_t venue=0,
                 str api_key="", bint lab=False):
        cdef sentinel_key_info info
        self._describe(&info, id, purpose, algorithm, venue, api_key, lab)
        _raise_status(sentinel_keyring_generate(self.ring, &info), f"key {id}")
        return _key_info(&info)

    def import_(self, uint32_t id, uint8_t purpose, uint8_t algorithm, const uint8_t[::1] secret,
                *, uint16_t venue=0, str api_key="", bint lab=False):
        cdef sentinel_key_info info
        self._describe(&info, id, purpose, algorithm, venue, api_key, lab)
        _raise_status(sentinel_keyring_import(self.ring, &info, _at(secret), secret.shape[0]),
                      f"key {id}")
        return _key_info(&info)

    def set_passphrase(self, uint32_t id, str text):
        cdef bytes raw = text.encode()
        _raise_status(sentinel_keyring_set_passphrase(self.ring, id, <const char *>_of(raw),
                                                      len(raw)), f"key {id}: its passphrase")

    def remove(self, uint32_t id):
        _raise_status(sentinel_keyring_remove(self.ring, id), f"key {id}")

    def list(self):
        cdef const sentinel_key_info *info
        cdef list keys = []
        cdef uint32_t i
        for i in range(sentinel_keyring_count(self.ring)):
            info = sentinel_keyring_at(self.ring, i)
            if info == NULL:
                _raise_status(SENTINEL_KEY_WIPED, "keyring")
            keys.append(_key_info(info))
        return keys

    def seal(self, const uint8_t[::1] passphrase, *, uint64_t opslimit=0, uint64_t memlimit=0):
        cdef size_t size = sentinel_keyring_sealed_bytes(self.ring)
        cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
        cdef const uint8_t *phrase = _at(passphrase)
        cdef size_t phrase_size = passphrase.shape[0]
        cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(out)
        cdef sentinel_status status
        with nogil:
            status = sentinel_keyring_seal(self.ring, target, size, <const char *>phrase,
                                           phrase_size, opslimit, memlimit)
        _raise_status(status, "key file")
        return out

    def unseal(self, const uint8_t[::1] sealed, const uint8_t[::1] passphrase):
        cdef const uint8_t *source = _at(sealed)
        cdef size_t size = sealed.shape[0]
        cdef const uint8_t *phrase = _at(passphrase)
        cdef size_t phrase_size = passphrase.shape[0]
        cdef sentinel_status status
        with nogil:
            status = sentinel_keyring_unseal(self.ring, source, size, <const char *>phrase,
                                             phrase_size)
        _raise_status(status, "key file")

    def sign(self, uint32_t key, const uint8_t[::1] data):
        cdef sentinel_signature signature
        _raise_status(sentinel_sign(self.ring, &signature, key, _at(data), data.shape[0]),
                      f"key {key}")
        return _signature(&signature)

    def sign_digest(self, uint32_t key, const uint8_t[::1] digest):
        cdef sentinel_signature signature
        _sized(digest, 32, "digest")
        _raise_status(sentinel_sign_digest(self.ring, &signature, key, _at(digest)), f"key {key}")
        return _signature(&signature)

    def sign_frame(self, uint32_t key, str prefix, const uint8_t[::1] digest):
        cdef uint8_t signature[64]
        cdef bytes text = prefix.encode()
        _sized(digest, 32, "digest")
        _raise_status(sentinel_sign_frame(self.ring, signature, key, <const char *>_of(text),
                                          _at(digest)), f"key {key}")
        return _copy(signature, 64)

    def uses(self, uint32_t key):
        return sentinel_keyring_uses(self.ring, key)


cdef _signature(const sentinel_signature *signature):
    return _types.Signature(signature.algorithm, signature.recovery_id,
                            _copy(signature.bytes, signature.size))


# ---- audit --------------------------------------------------------------------------------------


cdef class LogReader:
    """Iterates over the records of a log directory; each was checked by the core."""
    cdef sentinel_log_reader reader
    cdef uint8_t *buffer
    cdef int dir_fd
    cdef bint open

    def __cinit__(self, directory, *, uint64_t first=0):
        cdef sentinel_status status
        self.dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self.buffer = <uint8_t *>malloc(SENTINEL_RECORD_BYTES_MAX)
        if self.buffer == NULL:
            raise MemoryError
        status = sentinel_log_reader_open(&self.reader, self.dir_fd, first)
        self.open = True
        _raise_status(status, os.fsdecode(directory), errno)

    def __dealloc__(self):
        if self.open:
            sentinel_log_reader_close(&self.reader)
        free(self.buffer)
        if self.dir_fd > 0:
            os.close(self.dir_fd)

    def __iter__(self):
        return self

    def __next__(self):
        cdef sentinel_record record
        cdef sentinel_status status
        with nogil:
            status = sentinel_log_reader_next(&self.reader, &record, self.buffer,
                                              SENTINEL_RECORD_BYTES_MAX)
        if status == SENTINEL_AUDIT_END:
            raise StopIteration
        if status == SENTINEL_AUDIT_CORRUPT:
            raise AuditCorrupt(
                f"record {self.reader.next} is not intact, segment "
                f"{self.reader.segment_first:020d}.log, offset {self.reader.offset}",
                status=<int>status, record=self.reader.next, offset=self.reader.offset)
        _raise_status(status, f"record {self.reader.next}", errno)
        return _types.RawRecord(record.header.number, _copy(record.hash32, 32),
                                _copy(record.header, record.header.size_bytes))


def log_head(directory):
    cdef sentinel_log_head head
    cdef int dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _raise_status(sentinel_log_head_read(&head, dir_fd), os.fsdecode(directory), errno)
    finally:
        os.close(dir_fd)
    return _types.Head(head.count, head.synced, head.epoch, _copy(head.last_hash32, 32))


cdef class Tree:
    """The RFC 6962 root over record hashes, grown one leaf at a time."""
    cdef sentinel_tree tree

    def add(self, const uint8_t[::1] leaf_hash):
        _sized(leaf_hash, 32, "leaf hash")
        sentinel_tree_add(&self.tree, _at(leaf_hash))

    def root(self):
        cdef uint8_t root[32]
        sentinel_tree_root(&self.tree, root)
        return _copy(root, 32)

    def __len__(self):
        return self.tree.count


# ---- venue --------------------------------------------------------------------------------------


def hold(uint16_t venue, uint16_t action):
    cdef const sentinel_hold *row = sentinel_venue_hold(venue, action)
    return None if row == NULL else _types.Hold(
        row.expiry, bool(row.once), bool(row.endpoint_covered), row.floor_ms,
        row.window_ms)


# ---- gate ---------------------------------------------------------------------------------------


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
        s.lease_until_ns,
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
    cdef const sentinel_position_state *held = <const sentinel_position_state *>(base + s.positions)
    cdef list found = []
    cdef uint64_t i
    for i in range(<uint64_t>s.agent_count * s.book_entries):
        if rows[i].action_id:
            found.append(_types.BookEntry(
                rows[i].record, agents[i // s.book_entries].node, rows[i].action_id,
                rows[i].instrument, rows[i].type, rows[i].time_in_force, rows[i].amended_by,
                rows[i].status))
    return tuple(sorted(found, key=lambda row: row.record)), tuple([
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
    cdef object lock

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
        self.lock = threading.Lock()
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


# ---- engine -------------------------------------------------------------------------------------


cdef int _options(sentinel_engine_options *options, bytes passphrase, uint8_t durability,
                  uint64_t segment_bytes, uint64_t state_bytes,
                  uint64_t snapshot_every) except -1:
    memset(options, 0, sizeof(options[0]))
    options.passphrase, options.passphrase_size = <const char *>_of(passphrase), len(passphrase)
    options.segment_bytes, options.state_bytes_min = segment_bytes, state_bytes
    options.snapshot_every, options.durability = snapshot_every, durability
    return 0


cdef class Engine(Gate):
    """An engine's one writer."""
    cdef sentinel_engine *engine
    cdef readonly int open_status

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
             uint64_t segment_bytes=0, uint64_t state_bytes=0, uint64_t snapshot_every=0):
        cdef Engine self = Engine.__new__(Engine)
        cdef sentinel_engine_options options
        cdef bytes path = os.fsencode(directory)
        cdef const char *name = path
        cdef sentinel_status status
        _options(&options, passphrase, durability, segment_bytes, state_bytes, snapshot_every)
        with nogil:
            status = sentinel_engine_open(&self.engine, name, &options, now_ns)
        # A corrupt or truncated log leaves an engine that is open, halted, and can be asked.
        if self.engine == NULL or status not in (
                SENTINEL_OK, SENTINEL_AUDIT_CORRUPT, SENTINEL_AUDIT_TRUNCATED):
            _raise_status(status, os.fsdecode(directory), errno)
        self.open_status = <int>status
        self.lock = threading.Lock()
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

    def close(self, int64_t now_ns):
        with self.lock:
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

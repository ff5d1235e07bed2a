# A throw-away engine, and the gate as a lane. A part of _bench.pyx.

cdef extern from "sentinel/audit.h" nogil:
    enum:
        SENTINEL_DURABILITY_MAPPED

cdef enum:
    FILL_EVERY = 128  # calls: a block of the suites, so that a block's first call comes behind it

cdef struct engine_run:
    sentinel_engine *engine
    int64_t now_ns  # the engine's time: an input, so it runs as the bench says
    int64_t step_ns
    uint64_t action_id
    uint64_t random
    uint32_t since_fill
    int is_filled  # by the lane itself, untimed


cdef uint32_t draw(engine_run *run, uint32_t below) noexcept nogil:
    """Uniform: xorshift64*, and the high bits of a product."""
    run.random ^= run.random >> 12
    run.random ^= run.random << 25
    run.random ^= run.random >> 27
    return <uint32_t>(((run.random * <uint64_t>2685821657736338717 >> 32) * below) >> 32)


cdef class Engine:
    """The one writer of an engine's directory, with a time of its own that begins at `now_ns` and
    goes on by `step_ns` with each order. With `nonces` the pools begin full, and `is_filled` keeps
    them so, and a mapped log ahead, between the timed calls. Raises what opening raises."""
    cdef engine_run run

    def __cinit__(self, directory, const uint8_t[::1] passphrase, int64_t now_ns, *,
                  int64_t step_ns=1250000, uint32_t nonces=0, uint8_t durability=2,
                  uint64_t snapshot_every=0, uint64_t state_bytes=0, bint is_filled=True,
                  uint64_t first_action_id=1):
        cdef sentinel_engine_options options
        cdef bytes path = os.fsencode(directory)
        cdef const char *name = path
        cdef sentinel_status status
        memset(&options, 0, sizeof(options))
        options.passphrase = <const char *>&passphrase[0]
        options.passphrase_size = passphrase.shape[0]
        options.durability, options.snapshot_every = durability, snapshot_every
        options.nonces, options.snapshot_risk = nonces, nonces != 0
        options.state_bytes_min = state_bytes
        self.run.now_ns, self.run.step_ns, self.run.random = now_ns, step_ns, 0x9e3779b97f4a7c15
        self.run.is_filled = is_filled and (nonces != 0 or durability == SENTINEL_DURABILITY_MAPPED)
        self.run.action_id = first_action_id
        with nogil:
            status = sentinel_engine_open(&self.run.engine, name, &options, now_ns)
        if status != SENTINEL_OK:
            raise_status(status, f"{directory}: {os.strerror(errno)}" if errno else f"{directory}")
        while nonces and self.fill():
            pass

    def __dealloc__(self):
        self.close()

    def close(self):
        """Safe to call again."""
        cdef sentinel_engine *engine = self.run.engine
        self.run.engine = NULL
        if engine != NULL:
            with nogil:
                sentinel_engine_close(engine, self.run.now_ns)

    def fill(self):
        """Adds a batch of nonces to each pool that has room; how many in all. Other threads may."""
        cdef uint32_t made = 0
        cdef sentinel_status status
        with nogil:
            status = sentinel_engine_fill(self.run.engine, &made)
        if status != SENTINEL_OK:
            raise_status(status, "nonces")
        return made

    def take(self, bytes frame not None):
        """Takes a signed frame. Raises what refuses it."""
        cdef const char *raw = frame
        cdef size_t size = len(frame)
        cdef sentinel_status status
        with nogil:
            status = sentinel_engine_take(self.run.engine, NULL, raw, size, self.run.now_ns)
        if status != SENTINEL_OK:
            raise_status(status, "frame")

    @property
    def now_ns(self):
        """Where its time is."""
        return self.run.now_ns

    @property
    def nonces(self):
        """The figures of all pools."""
        cdef sentinel_nonces found
        cdef sentinel_status status = sentinel_engine_nonces(self.run.engine, &found)
        if status != SENTINEL_OK:
            raise_status(status, "nonces")
        return Nonces(found.capacity, found.ready, found.made, found.used, found.burnt,
                      found.missed)


cdef struct gate_lane:
    engine_run *run
    bench_session *sessions
    uint32_t session_count
    const uint8_t *orders
    uint32_t order_count
    uint32_t order_bytes
    uint8_t order[4096]
    int is_traced
    sentinel_trace trace
    uint64_t *steps  # room for [STEP][round]; NULL: not wanted
    Py_ssize_t rounds
    Py_ssize_t done  # negative: warm-up
    sentinel_status status
    sentinel_outcome *outcome


cdef uint64_t gate_once(void *self) noexcept nogil:
    """An agent and an order drawn at random; the struct is made before the clock is read."""
    cdef gate_lane *gate = <gate_lane *>self
    cdef engine_run *run = gate.run
    cdef bench_session *session = &gate.sessions[draw(run, gate.session_count)]
    cdef uint32_t drawn = draw(run, gate.order_count)
    cdef uint64_t begin, took
    cdef uint32_t made
    if run.is_filled:
        if run.since_fill >= FILL_EVERY:
            run.since_fill, made = 0, 1
            while made != 0:
                if sentinel_engine_fill(run.engine, &made) != SENTINEL_OK:
                    return LANE_FAILED
        run.since_fill += 1
    run.action_id += 1
    run.now_ns += run.step_ns
    memcpy(gate.order, gate.orders + drawn * gate.order_bytes, gate.order_bytes)
    memcpy(gate.order + 8, &session.agent, 4)
    memcpy(gate.order + 16, &run.action_id, 8)
    if gate.is_traced:
        sentinel_gate_trace(sentinel_engine_context(run.engine), &gate.trace)
    begin = now_ns()
    gate.status = sentinel_engine_sign(run.engine, gate.outcome, <sentinel_session *>session,
                                       gate.order, gate.order_bytes, run.now_ns)
    took = now_ns() - begin
    if gate.is_traced:
        sentinel_gate_trace(sentinel_engine_context(run.engine), NULL)
        gate_steps(gate)
    if gate.status != SENTINEL_OK or gate.outcome.verdict != SENTINEL_ALLOWED:
        return LANE_FAILED
    return took


cdef void gate_steps(gate_lane *gate) noexcept nogil:
    cdef uint64_t last = gate.trace.begin
    cdef int step
    if gate.steps != NULL and 0 <= gate.done < gate.rounds:
        for step in range(SENTINEL_STEP_COUNT):
            gate.steps[step * gate.rounds + gate.done] = gate.trace.ends[step] - last
            last = gate.trace.ends[step]
    gate.done += 1


cdef class Gate(Lane):
    """Signing by an engine: each time one of `agents` (ids) asks for one of `orders` (packed).

    `nodes`: the agents' indices in the policy, where they are known; else each is looked up.
    `is_traced` notes the clock at the end of each step. Raises ValueError for orders of several
    sizes, and what opening a session raises.
    """
    cdef gate_lane gate
    cdef Engine engine
    cdef bytes orders
    cdef object steps

    def __init__(self, Engine engine not None, agents, orders, *, str name="gate",
                 bint is_traced=False, nodes=None):
        cdef Py_ssize_t i
        if len({len(order) for order in orders}) != 1 or not agents:
            raise ValueError("one or more agents, and orders of one size")
        self.name, self.engine, self.orders = name, engine, b"".join(orders)
        self.lane.once, self.lane.self = gate_once, &self.gate
        self.gate.run, self.gate.is_traced = &engine.run, is_traced
        self.gate.trace.clock = now_ns
        self.gate.orders = <const uint8_t *><const char *>self.orders
        self.gate.order_count, self.gate.order_bytes = len(orders), len(orders[0])
        self.gate.session_count = len(agents)
        self.gate.sessions = <bench_session *>calloc(len(agents), sizeof(bench_session))
        self.gate.outcome = <sentinel_outcome *>calloc(1, sizeof(sentinel_outcome))
        if self.gate.sessions == NULL or self.gate.outcome == NULL:
            raise MemoryError
        for i, agent in enumerate(agents):
            if nodes is None or i == 0:
                self.open(&self.gate.sessions[i], agent)
            else:
                self.gate.sessions[i] = self.gate.sessions[0]
                self.gate.sessions[i].agent, self.gate.sessions[i].node = agent, nodes[i]

    cdef int open(self, bench_session *session, uint32_t agent) except -1:
        cdef sentinel_status status = sentinel_session_open(
            <sentinel_session *>session, sentinel_engine_context(self.engine.run.engine), agent)
        if status != SENTINEL_OK:
            raise_status(status, f"agent {agent}")
        return 0

    cdef int begin(self, Py_ssize_t rounds, Py_ssize_t warm_up) except -1:
        if self.gate.is_traced:
            self.steps = bytearray(8 * SENTINEL_STEP_COUNT * max(rounds, 1))
            self.gate.steps = <uint64_t *><char *>self.steps
            self.gate.rounds, self.gate.done = rounds, -warm_up
        return 0

    cdef int end(self, dict results) except -1:
        """Hands the times of the steps over, as "name.step"."""
        cdef Py_ssize_t i, size = 8 * self.gate.rounds
        if self.gate.steps != NULL:
            self.gate.steps = NULL
            for i, step in enumerate(STEPS):
                results[f"{self.name}.{step}"] = array.array(
                    "Q", bytes(self.steps[i * size:(i + 1) * size]))
        return 0

    def why(self):
        return ValueError(f"{self.name}: refused with reason {self.gate.outcome.reason}, "
                          f"status {self.gate.outcome.status or self.gate.status}")

    @property
    def request(self):
        """The bytes that were signed last."""
        cdef sentinel_request *request = &self.gate.outcome.request
        return <bytes>request.text[request.string_to_sign.offset:
                                   request.string_to_sign.offset + request.string_to_sign.size]

    @property
    def constraints(self):
        """How many constraints were evaluated for the last order."""
        return self.gate.outcome.decision.result_count

    def __dealloc__(self):
        free(self.gate.sessions)
        free(self.gate.outcome)

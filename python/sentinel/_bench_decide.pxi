# Policy alone: what every constraint says of a new order. A part of _bench.pyx.

from libc.stdint cimport uint16_t

from sentinel._core cimport sentinel_reason

cdef extern from "sentinel/order.h" nogil:
    ctypedef struct decide_header "sentinel_order_header":
        uint16_t action
        uint32_t agent
        uint32_t present
    ctypedef struct decide_decimal "sentinel_decimal":
        int64_t mantissa
        uint8_t scale
    ctypedef struct decide_order "sentinel_order_place":
        decide_header header
        uint32_t instrument
        uint8_t side
        uint8_t type
        uint8_t time_in_force
        uint8_t reduce_only
        decide_decimal quantity
        decide_decimal quote_quantity
        decide_decimal price
        decide_decimal trigger_price
    enum:
        SENTINEL_ACTION_PLACE
        SENTINEL_PRESENT_PARENT
    sentinel_status decide_check "sentinel_order_check"(
        sentinel_reason *reason, const void *order, size_t size, uint8_t environment)

cdef extern from "sentinel/state.h" nogil:
    ctypedef struct decide_instrument "sentinel_instrument":
        uint16_t venue
        uint8_t environment
    ctypedef struct decide_subject "sentinel_subject":
        const void *order
        const decide_instrument *instrument
        uint32_t node
        uint32_t present
        uint16_t action
        uint16_t venue
        uint8_t side
        uint8_t type
        uint8_t time_in_force
        uint8_t reduce_only
        decide_decimal quantity
        decide_decimal quote_quantity
        decide_decimal price
        decide_decimal trigger_price
    ctypedef struct decide_decision "sentinel_decision":
        uint8_t verdict
        uint16_t reason
        uint16_t result_count
    ctypedef struct decide_bundle "sentinel_bundle":
        pass
    ctypedef struct decide_view "sentinel_view":
        decide_bundle bundle
    enum:
        DECIDE_NO_NODE "SENTINEL_NODE_NONE"
    const decide_view *decide_view_of "sentinel_gate_view"(const sentinel_context *context)
    uint32_t decide_node "sentinel_bundle_node"(const decide_bundle *bundle, uint32_t id)
    const decide_instrument *decide_find "sentinel_bundle_instrument"(
        const decide_bundle *bundle, uint32_t id)
    void decide_evaluate "sentinel_policy_evaluate"(
        decide_decision *decision, const decide_view *view, const decide_subject *subject,
        int64_t now_ns)


cdef struct policy_run:
    const decide_view *view
    int64_t now_ns
    uint64_t evaluating  # nanoseconds in sentinel_policy_evaluate; only when is_timed
    uint32_t agent
    uint32_t node
    uint8_t environment
    int is_timed


cdef int policy_once(policy_run *run, decide_decision *decision, const decide_order *order,
                     size_t size) noexcept nogil:
    """The reason why an order is refused; 0: it is not. As the gate decides, less what is no
    policy: ids, ticks and lots, keys, rendering. Changes no state."""
    cdef decide_subject subject
    cdef sentinel_reason reason
    cdef uint64_t begin
    if decide_check(&reason, order, size, run.environment) != SENTINEL_OK:
        return -1
    if reason != 0:
        return <int>reason
    if (order.header.action != SENTINEL_ACTION_PLACE or order.header.agent != run.agent or
            (order.header.present & SENTINEL_PRESENT_PARENT) != 0):
        return -1  # not what this looks at
    memset(&subject, 0, sizeof(subject))
    subject.instrument = decide_find(&run.view.bundle, order.instrument)
    if subject.instrument == NULL or subject.instrument.environment != run.environment:
        return -1
    subject.order, subject.node, subject.action = order, run.node, SENTINEL_ACTION_PLACE
    subject.present, subject.venue = order.header.present, subject.instrument.venue
    subject.side, subject.type = order.side, order.type
    subject.time_in_force, subject.reduce_only = order.time_in_force, order.reduce_only
    subject.quantity, subject.quote_quantity = order.quantity, order.quote_quantity
    subject.price, subject.trigger_price = order.price, order.trigger_price
    if run.is_timed:
        begin = now_ns()
        decide_evaluate(decision, run.view, &subject, run.now_ns)
        run.evaluating = now_ns() - begin
    else:
        decide_evaluate(decision, run.view, &subject, run.now_ns)
    return 0 if decision.verdict == SENTINEL_ALLOWED else <int>decision.reason


cdef class Policy:
    """The policy in force of an engine, as it judges new orders of one agent, by id; the engine
    stays open meanwhile. Raises ValueError for an agent that the policy lacks."""
    cdef policy_run run
    cdef Engine engine
    cdef decide_decision decision

    def __init__(self, Engine engine not None, uint32_t agent, uint8_t environment):
        self.engine, self.run.agent, self.run.environment = engine, agent, environment
        self.run.view = decide_view_of(sentinel_engine_context(engine.run.engine))
        self.run.now_ns = engine.run.now_ns
        if self.run.view == NULL:
            raise ValueError("no policy is in force")
        self.run.node = decide_node(&self.run.view.bundle, agent)
        if self.run.node == DECIDE_NO_NODE:
            raise ValueError(f"the policy has no agent {agent}")

    def decide(self, const uint8_t[::1] order):
        """The reason why an order is refused; 0: every constraint passes. Raises ValueError for
        what is no order of the agent for an instrument that the policy has."""
        cdef uint8_t copy[512]
        cdef size_t size = order.shape[0]
        cdef int reason = -1
        if 0 < size <= sizeof(copy):
            memcpy(copy, &order[0], size)
            reason = policy_once(&self.run, &self.decision, <const decide_order *>copy, size)
        if reason < 0:
            raise ValueError("not a new order of this agent")
        return reason

    @property
    def constraints(self):
        """How many constraints were evaluated for the last order."""
        return self.decision.result_count


cdef struct policy_lane:
    policy_run *runs
    uint32_t run_count
    uint32_t order_count
    const uint8_t *orders
    uint32_t order_bytes
    uint64_t random
    decide_decision *decision


cdef uint64_t policy_lane_once(void *self) noexcept nogil:
    cdef policy_lane *lane = <policy_lane *>self
    cdef uint8_t copy[512]
    cdef policy_run *run
    lane.random = lane.random * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
    run = &lane.runs[(lane.random >> 33) % lane.run_count]
    memcpy(copy, lane.orders + (lane.random >> 40) % lane.order_count * lane.order_bytes,
           lane.order_bytes)
    memcpy(copy + 8, &run.agent, 4)
    if policy_once(run, lane.decision, <const decide_order *>copy, lane.order_bytes) != 0:
        return LANE_FAILED
    return run.evaluating


cdef class Judge(Lane):
    """sentinel_policy_evaluate alone, in C: an agent and an order drawn at random each time."""
    cdef policy_lane policy
    cdef list policies
    cdef bytes orders

    def __init__(self, policies, orders, *, str name="policy"):
        cdef Py_ssize_t i
        cdef Policy policy
        if len({len(order) for order in orders}) != 1 or not policies:
            raise ValueError("one or more policies, and orders of one size")
        self.name, self.policies, self.orders = name, list(policies), b"".join(orders)
        self.lane.once, self.lane.self = policy_lane_once, &self.policy
        self.policy.orders = <const uint8_t *><const char *>self.orders
        self.policy.order_count, self.policy.order_bytes = len(orders), len(orders[0])
        self.policy.run_count, self.policy.random = len(policies), 7
        self.policy.runs = <policy_run *>calloc(len(policies), sizeof(policy_run))
        self.policy.decision = <decide_decision *>calloc(1, sizeof(decide_decision))
        if self.policy.runs == NULL or self.policy.decision == NULL:
            raise MemoryError
        for i, policy in enumerate(self.policies):
            self.policy.runs[i] = policy.run
            self.policy.runs[i].is_timed = 1

    @property
    def constraints(self):
        """How many constraints were evaluated for the last order."""
        return self.policy.decision.result_count

    def why(self):
        return ValueError(f"{self.name}: refused with reason {self.policy.decision.reason}")

    def __dealloc__(self):
        free(self.policy.runs)
        free(self.policy.decision)

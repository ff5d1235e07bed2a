# A daemon, and an echo of its frames, as lanes. A part of _bench.pyx.

from cpython.pycapsule cimport PyCapsule_GetPointer


cdef extern from "sys/socket.h" nogil:
    ctypedef long ssize_t
    int MSG_WAITALL
    ssize_t recv(int fd, void *into, size_t size, int flags)
    ssize_t send(int fd, const void *bytes, size_t size, int flags)

# Of a connection of sentinel._client, which has the C client in it: this module needs no copy.
ctypedef int (*door_sign)(void *client, const uint8_t **packed, size_t *packed_size, void *stamped,
                          const void *order, size_t size) noexcept nogil
cdef struct client_door:
    void *client
    door_sign sign

cdef struct service_lane:
    client_door *door
    const uint8_t *orders
    uint32_t order_count
    uint32_t order_bytes
    uint32_t agent
    uint8_t order[4096]
    uint64_t random
    int status
    uint8_t verdict
    uint16_t reason


cdef uint64_t service_once(void *self) noexcept nogil:
    """An order drawn at random, the client stamps the next action id."""
    cdef service_lane *lane = <service_lane *>self
    cdef const uint8_t *packed = NULL
    cdef size_t size = 0
    cdef uint64_t begin, took, none = 0
    lane.random ^= lane.random >> 12
    lane.random ^= lane.random << 25
    lane.random ^= lane.random >> 27
    memcpy(lane.order, lane.orders + (lane.random >> 33) % lane.order_count * lane.order_bytes,
           lane.order_bytes)
    memcpy(lane.order + 8, &lane.agent, 4)
    memcpy(lane.order + 16, &none, 8)
    begin = now_ns()
    lane.status = lane.door.sign(lane.door.client, &packed, &size, NULL, lane.order,
                                 lane.order_bytes)
    took = now_ns() - begin
    if lane.status != 0:
        return LANE_FAILED
    lane.verdict = packed[0]
    memcpy(&lane.reason, packed + 2, 2)
    return took if lane.verdict == SENTINEL_ALLOWED else LANE_FAILED


cdef class Service(Lane):
    """Signing by a daemon: `connection`'s agent asks for one of `orders` (packed) each time."""
    cdef service_lane service
    cdef object connection
    cdef bytes orders

    def __init__(self, connection, orders, *, str name="service"):
        if len({len(order) for order in orders}) != 1:
            raise ValueError("orders of one size")
        self.name, self.connection, self.orders = name, connection, b"".join(orders)
        self.lane.once, self.lane.self = service_once, &self.service
        self.service.door = <client_door *>PyCapsule_GetPointer(
            connection.door(), "sentinel_client_door")
        self.service.orders = <const uint8_t *><const char *>self.orders
        self.service.order_count, self.service.order_bytes = len(orders), len(orders[0])
        self.service.agent = connection.facts.agent
        self.service.random = 0x9e3779b97f4a7c15

    def why(self):
        return ValueError(f"{self.name}: status {self.service.status:#06x}, verdict "
                          f"{self.service.verdict}, reason {self.service.reason}")


cdef struct echo_lane:
    int fd
    size_t out
    size_t back
    uint8_t bytes[65536]


cdef uint64_t echo_once(void *self) noexcept nogil:
    cdef echo_lane *lane = <echo_lane *>self
    cdef uint64_t begin = now_ns()
    if (send(lane.fd, lane.bytes, lane.out, 0) != <ssize_t>lane.out
            or recv(lane.fd, lane.bytes, lane.back, MSG_WAITALL) != <ssize_t>lane.back):
        return LANE_FAILED
    return now_ns() - begin


cdef class Echo(Lane):
    """Frames of `out` bytes to another process (`echo`), which answers with `back` bytes."""
    cdef echo_lane echo

    def __init__(self, int fd, size_t out, size_t back, *, str name="echo"):
        if max(out, back) > sizeof(self.echo.bytes):
            raise ValueError("frames have at most 64 KiB")
        self.name, self.lane.once, self.lane.self = name, echo_once, &self.echo
        self.echo.fd, self.echo.out, self.echo.back = fd, out, back


def echo(int fd, size_t out, size_t back):
    """Answers each `out` bytes with `back` bytes, until the other side is gone."""
    cdef uint8_t buffer[65536]
    if max(out, back) > sizeof(buffer):
        raise ValueError("frames have at most 64 KiB")
    with nogil:
        memset(buffer, 0, sizeof(buffer))
        while (recv(fd, buffer, out, MSG_WAITALL) == <ssize_t>out
               and send(fd, buffer, back, 0) == <ssize_t>back):
            pass

"""A fake of the parent's side of vsock: a vhost-user device for QEMU in plain Python.

Goal: tests open streams to ports of an enclave that QEMU runs, and take the streams that it opens,
with no vsock in this machine's kernel. Method: one thread speaks vhost-user with QEMU over a Unix
socket (virtio 1.2, 5.10; QEMU's docs/interop/vhost-user.rst), maps the guest's memory, and moves
bytes between its two queues and ordinary sockets. Only the standard library.

    with FakeVsock(path) as vsock:            # then: qemu -chardev socket,path=...
        accepted = vsock.listen(9000)         # streams that the guest opens
        stream = vsock.connect(5700)          # a socket; what it carries goes into the guest
        vsock.forward(5700, unix_path)        # each client of a Unix socket gets such a stream

The guest sees the parent as CID 3, as under Nitro.
"""

from __future__ import annotations

import queue
import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from fake_vhost_user import Control, Queue

PARENT_CID = 3
GUEST_CID = 16
STREAM = 1
SHUT_RECEIVE, SHUT_SEND = 1, 2

# What a stream may have on its way to the host's reader; the guest stops at it.
ROOM_BYTES = 256 * 1024
HEADER = struct.Struct("<QQIIIHHIII")
WRAP = 0xFFFFFFFF


class Op(IntEnum):
    """What a packet does (virtio 1.2, 5.10.6)."""

    REQUEST = 1
    RESPONSE = 2
    RST = 3
    SHUTDOWN = 4
    RW = 5
    CREDIT_UPDATE = 6
    CREDIT_REQUEST = 7


class Packet(NamedTuple):
    """The header of a packet."""

    source_cid: int
    target_cid: int
    source_port: int
    target_port: int
    size: int
    type: int
    op: int
    flags: int
    room: int
    read: int


class Stream:
    """One stream: a socket of this process, and what is known of the guest's end."""

    def __init__(self, end: socket.socket, parent_port: int, guest_port: int) -> None:
        end.setblocking(False)
        self.socket = end
        self.parent_port = parent_port
        self.guest_port = guest_port
        self.parent_cid = PARENT_CID
        self.opened: Future[None] | None = None
        self.established = False
        self.pending: deque[memoryview] = deque()
        self.written = 0
        self.told = 0
        self.guest_room = 0
        self.guest_read = 0
        self.sent = 0
        self.guest_shut = 0
        self.end_shut = False
        self.end_done = False
        self.watched = 0

    @property
    def credit(self) -> int:
        """How many bytes the guest has room for."""
        return self.guest_room - ((self.sent - self.guest_read) & WRAP)


class FakeVsock:
    """The device, and the thread that is it. A context manager."""

    def __init__(self, path: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._selector.register(self._listener, selectors.EVENT_READ, self._attach)
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain)
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._control: Control | None = None
        self._to_guest = Queue()
        self._from_guest = Queue()
        self._replies: deque[bytes] = deque()
        self._streams: dict[tuple[int, int], Stream] = {}
        self._accepting: dict[int, queue.Queue[socket.socket]] = {}
        self._forwards: list[socket.socket] = []
        self._port = 1 << 30
        self._running = True
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fake vsock", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._wake.send(b"x")
        self._thread.join(10)
        self._wake.close()
        self._woken.close()

    # --- what tests call, in any thread ---------------------------------------------------------

    def connect(self, port: int, timeout: float = 10.0) -> socket.socket:
        """A stream to a port of the guest. Raises OSError when nobody takes it in time."""
        ours, theirs = socket.socketpair()
        opened: Future[None] = Future()
        self._do(partial(self._open, theirs, port, opened))
        try:
            opened.result(timeout)
        except BaseException:
            ours.close()
            raise
        return ours

    def listen(self, port: int) -> queue.Queue[socket.socket]:
        """The streams that the guest opens to a port of its parent, as they come."""
        made: queue.Queue[socket.socket] = queue.Queue()
        self._accepting[port] = made
        return made

    def forward(self, port: int, path: Path) -> None:
        """Makes a Unix socket whose every client gets a stream to a port of the guest."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen(16)
        self._forwards.append(listening)
        took = partial(self._take_client, listening, port)
        self._do(lambda: self._add(listening, selectors.EVENT_READ, took))

    def _do(self, work: Callable[[], None]) -> None:
        if not self._thread.is_alive():
            raise ConnectionError("the fake vsock has ended") from self.error
        self._work.put(work)
        self._wake.send(b"x")

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._running:
                for key, events in self._selector.select():
                    key.data(events)
                self._take_packets()
                self._give_packets()
                for stream in self._streams.values():
                    self._watch(stream)
        except BaseException as error:  # Told to whoever calls next.
            self.error = error
        finally:
            self._close()

    def _close(self) -> None:
        for stream in list(self._streams.values()):
            self._drop(stream)
        for end in (self._listener, *self._forwards):
            end.close()
        if self._control is not None:
            self._control.close()
        self._selector.close()

    def _add(self, end: Any, events: int, call: Callable[[int], None]) -> None:
        self._selector.register(end, events, call)

    def _drain(self, _events: int) -> None:
        self._woken.recv(4096)
        while not self._work.empty():
            self._work.get()()

    def _attach(self, _events: int) -> None:
        connected, _ = self._listener.accept()
        queues = (self._to_guest, self._from_guest, Queue())
        self._control = Control(connected, queues, self._selector, GUEST_CID)
        self._add(connected, selectors.EVENT_READ, self._controlled)

    def _controlled(self, _events: int) -> None:
        assert self._control is not None
        if not self._control.serve():
            self._running = False  # QEMU has ended, and the guest with it.

    def _take_client(self, listening: socket.socket, port: int, _events: int) -> None:
        client, _ = listening.accept()
        self._open(client, port, None)

    def _open(self, end: socket.socket, port: int, opened: Future[None] | None) -> None:
        self._port += 1
        stream = Stream(end, self._port, port)
        stream.opened = opened
        self._streams[self._port, port] = stream
        self._reply(stream, Op.REQUEST)

    # --- packets of the guest -------------------------------------------------------------------

    def _take_packets(self) -> None:
        for raw in self._from_guest.take():
            packet = Packet(*HEADER.unpack_from(raw))
            payload = raw[HEADER.size : HEADER.size + packet.size]
            stream = self._streams.get((packet.target_port, packet.source_port))
            if packet.op == Op.REQUEST:
                self._requested(packet)
            elif stream is not None:
                stream.guest_room, stream.guest_read = packet.room, packet.read
                self._received(stream, packet, payload)
            elif packet.op != Op.RST:
                self._refuse(packet)

    def _requested(self, packet: Packet) -> None:
        accepting = self._accepting.get(packet.target_port)
        if accepting is None:
            self._refuse(packet)
            return
        ours, theirs = socket.socketpair()
        stream = Stream(theirs, packet.target_port, packet.source_port)
        stream.parent_cid = packet.target_cid
        stream.guest_room, stream.guest_read = packet.room, packet.read
        stream.established = True
        self._streams[packet.target_port, packet.source_port] = stream
        self._reply(stream, Op.RESPONSE)
        accepting.put(ours)

    def _received(self, stream: Stream, packet: Packet, payload: bytes) -> None:
        if packet.op == Op.RST:
            self._drop(stream)
            return
        if packet.op == Op.RESPONSE:
            stream.established = True
            if stream.opened is not None:
                stream.opened.set_result(None)
        elif packet.op == Op.RW:
            stream.pending.append(memoryview(payload))
        elif packet.op == Op.CREDIT_REQUEST:
            self._reply(stream, Op.CREDIT_UPDATE)
        elif packet.op == Op.SHUTDOWN:
            stream.guest_shut |= packet.flags
        self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        """Writes what the guest sent to the socket, as far as that takes it."""
        try:
            while stream.pending:
                count = stream.socket.send(stream.pending[0])
                stream.written = (stream.written + count) & WRAP
                if count == len(stream.pending[0]):
                    stream.pending.popleft()
                else:
                    stream.pending[0] = stream.pending[0][count:]
        except BlockingIOError:
            pass
        except OSError:  # The reader has gone.
            self._reset(stream)
            return
        if ((stream.written - stream.told) & WRAP) >= ROOM_BYTES // 4:
            self._reply(stream, Op.CREDIT_UPDATE)
        if stream.pending:
            return
        if stream.guest_shut & SHUT_SEND and not stream.end_shut:
            stream.end_shut = True
            try:
                stream.socket.shutdown(socket.SHUT_WR)
            except OSError:
                stream.end_done = True
        if stream.guest_shut == SHUT_SEND | SHUT_RECEIVE or (
            stream.guest_shut & SHUT_SEND and stream.end_done
        ):
            self._reset(stream)

    # --- packets to the guest -------------------------------------------------------------------

    def _header(self, stream: Stream, op: Op, size: int = 0, flags: int = 0) -> bytes:
        stream.told = stream.written
        ends = (stream.parent_cid, GUEST_CID, stream.parent_port, stream.guest_port)
        return HEADER.pack(*ends, size, STREAM, op, flags, ROOM_BYTES, stream.written)

    def _reply(self, stream: Stream, op: Op, flags: int = 0) -> None:
        self._replies.append(self._header(stream, op, flags=flags))

    def _refuse(self, packet: Packet) -> None:
        ends = (packet.target_cid, packet.source_cid, packet.target_port, packet.source_port)
        self._replies.append(HEADER.pack(*ends, 0, STREAM, Op.RST, 0, 0, 0))

    def _reset(self, stream: Stream) -> None:
        self._reply(stream, Op.RST)
        self._drop(stream)

    def _give_packets(self) -> None:
        self._give_replies()
        for stream in list(self._streams.values()):
            if stream.established and not stream.end_done:
                self._give_bytes(stream)
        self._give_replies()
        self._to_guest.notify()

    def _give_replies(self) -> None:
        while self._replies and self._to_guest.available():
            self._to_guest.put(self._replies.popleft())

    def _give_bytes(self, stream: Stream) -> None:
        while stream.credit > 0 and (room := self._to_guest.room()) > HEADER.size:
            try:
                got = stream.socket.recv(min(stream.credit, room - HEADER.size))
            except BlockingIOError:
                return
            except OSError:
                got = b""
            if not got:
                stream.end_done = True
                self._reply(stream, Op.SHUTDOWN, SHUT_SEND)
                self._flush(stream)
                return
            self._to_guest.put(self._header(stream, Op.RW, len(got)) + got)
            stream.sent = (stream.sent + len(got)) & WRAP

    # --- the sockets ----------------------------------------------------------------------------

    def _watch(self, stream: Stream) -> None:
        """Waits only for what could be done now, or the thread would turn without end."""
        wanted = 0
        giving = stream.established and not stream.end_done
        if giving and stream.credit > 0 and self._to_guest.available():
            wanted |= selectors.EVENT_READ
        if stream.pending:
            wanted |= selectors.EVENT_WRITE
        if wanted == stream.watched:
            return
        if stream.watched:
            self._selector.unregister(stream.socket)
        if wanted:
            self._add(stream.socket, wanted, partial(self._ready, stream))
        stream.watched = wanted

    def _ready(self, stream: Stream, events: int) -> None:
        alive = self._streams.get((stream.parent_port, stream.guest_port)) is stream
        if alive and events & selectors.EVENT_WRITE:
            self._flush(stream)

    def _drop(self, stream: Stream) -> None:
        self._streams.pop((stream.parent_port, stream.guest_port), None)
        if stream.watched:
            self._selector.unregister(stream.socket)
            stream.watched = 0
        stream.socket.close()
        if stream.opened is not None and not stream.opened.done():
            stream.opened.set_exception(
                ConnectionRefusedError(f"the guest refuses port {stream.guest_port}")
            )

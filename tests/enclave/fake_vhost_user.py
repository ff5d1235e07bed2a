"""The part of fake_vsock.py that speaks vhost-user: QEMU's requests, guest memory, split queues."""

from __future__ import annotations

import mmap
import os
import selectors
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum

MESSAGE = struct.Struct("<III")
REPLY_FLAGS = 0x5
DESCRIPTORS_MAX = 16

VIRTIO_F_VERSION_1 = 1 << 32
VHOST_USER_F_PROTOCOL_FEATURES = 1 << 30
PROTOCOL_F_MQ = 1 << 0
PROTOCOL_F_CONFIG = 1 << 9

DESC_F_NEXT = 1
AVAIL_F_NO_INTERRUPT = 1
NO_DESCRIPTOR = 0x100


class Request(IntEnum):
    """The requests of vhost-user that need something done."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    GET_CONFIG = 24


class Place:
    """A place in mapped guest memory."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        self.memory = memory
        self.offset = offset

    def get(self, layout: str, offset: int = 0) -> tuple[int, ...]:
        return struct.unpack_from("<" + layout, self.memory, self.offset + offset)

    def set(self, layout: str, offset: int, *values: int) -> None:
        struct.pack_into("<" + layout, self.memory, self.offset + offset, *values)


class GuestMemory:
    """The regions of the guest's memory; addresses of the guest's and of QEMU's own."""

    def __init__(self) -> None:
        self._regions: list[tuple[int, int, int, mmap.mmap]] = []

    def add(self, guest: int, size: int, user: int, offset: int, descriptor: int) -> None:
        memory = mmap.mmap(descriptor, size, offset=offset)
        os.close(descriptor)
        self._regions.append((guest, size, user, memory))

    def guest(self, address: int, size: int) -> Place:
        for start, length, _, memory in self._regions:
            if start <= address and address + size <= start + length:
                return Place(memory, address - start)
        raise ValueError(f"no guest memory at {address:#x}")

    def user(self, address: int) -> Place:
        for _, length, start, memory in self._regions:
            if start <= address < start + length:
                return Place(memory, address - start)
        raise ValueError(f"no memory of QEMU's at {address:#x}")


class Queue:
    """A split virtqueue, seen from the device."""

    def __init__(self) -> None:
        self.size = 0
        self.next = 0
        self.kick = -1
        self.call = -1
        self.addresses: tuple[int, int, int] | None = None
        self._memory: GuestMemory | None = None
        self._table: Place | None = None
        self._used: Place | None = None
        self._offered: Place | None = None
        self._told = True

    def place(self, memory: GuestMemory) -> None:
        """Finds the queue's three parts; again after each new memory table."""
        if self.addresses is None:
            return
        self._memory = memory
        self._table, self._used, self._offered = (memory.user(at) for at in self.addresses)

    def available(self) -> int:
        """How many buffers the guest offers."""
        if self._offered is None or self.kick < 0:
            return 0
        return (self._offered.get("H", 2)[0] - self.next) & 0xFFFF

    def _chain(self) -> tuple[int, list[tuple[int, int]]]:
        assert self._offered is not None
        assert self._table is not None
        head = at = self._offered.get("H", 4 + 2 * (self.next % self.size))[0]
        parts = []
        while True:
            address, length, flags, following = self._table.get("QIHH", 16 * at)
            parts.append((address, length))
            if not flags & DESC_F_NEXT:
                return head, parts
            if len(parts) > self.size:
                raise ValueError("a chain of descriptors has no end")
            at = following

    def _done(self, head: int, written: int) -> None:
        assert self._used is not None
        self.next = (self.next + 1) & 0xFFFF
        index = self._used.get("H", 2)[0]
        self._used.set("II", 4 + 8 * (index % self.size), head, written)
        self._used.set("H", 2, (index + 1) & 0xFFFF)
        self._told = False

    def take(self) -> Iterator[bytes]:
        """All that the guest has put in; each buffer is given back."""
        while self.available():
            head, parts = self._chain()
            assert self._memory is not None
            found = []
            for address, length in parts:
                place = self._memory.guest(address, length)
                found.append(place.memory[place.offset : place.offset + length])
            self._done(head, 0)
            yield b"".join(found)
        self.notify()

    def room(self) -> int:
        """The size of the next buffer that the guest offers; 0 when there is none."""
        return sum(length for _, length in self._chain()[1]) if self.available() else 0

    def put(self, data: bytes) -> None:
        """Fills the next buffer, which must be large enough."""
        head, parts = self._chain()
        assert self._memory is not None
        written = 0
        for address, length in parts:
            piece = data[written : written + length]
            if not piece:
                break
            place = self._memory.guest(address, len(piece))
            place.memory[place.offset : place.offset + len(piece)] = piece
            written += len(piece)
        if written != len(data):
            raise ValueError("the guest's buffer is too small")
        self._done(head, written)

    def notify(self) -> None:
        """Interrupts the guest if something was done and it wants to know."""
        if self._told or self._offered is None:
            return
        self._told = True
        if self.call >= 0 and not self._offered.get("H")[0] & AVAIL_F_NO_INTERRUPT:
            os.write(self.call, struct.pack("<Q", 1))


class Control:
    """QEMU's end of the control socket, and what it asks for."""

    def __init__(
        self,
        connected: socket.socket,
        queues: tuple[Queue, ...],
        selector: selectors.BaseSelector,
        guest_cid: int,
    ) -> None:
        self._socket = connected
        self._queues = queues
        self._selector = selector
        self._config = struct.pack("<Q", guest_cid)
        self._memory = GuestMemory()

    def close(self) -> None:
        """Closes what QEMU gave."""
        self._socket.close()
        for made in self._queues:
            for descriptor in (made.kick, made.call):
                if descriptor >= 0:
                    os.close(descriptor)

    def _read(self, size: int) -> tuple[bytes, list[int]]:
        data, descriptors = b"", []
        while len(data) < size:
            piece, given, _, _ = socket.recv_fds(self._socket, size - len(data), DESCRIPTORS_MAX)
            descriptors += given
            if not piece:
                break
            data += piece
        return data, descriptors

    def serve(self) -> bool:
        """Does one request. False when QEMU has gone."""
        head, descriptors = self._read(MESSAGE.size)
        if len(head) < MESSAGE.size:
            return False
        number, _, size = MESSAGE.unpack(head)
        body, more = self._read(size)
        reply = self._answer(Request(number), body, descriptors + more)
        if reply is not None:
            self._socket.sendall(MESSAGE.pack(number, REPLY_FLAGS, len(reply)) + reply)
        return True

    def _answer(self, request: Request, body: bytes, descriptors: list[int]) -> bytes | None:
        match request:
            case Request.GET_FEATURES:
                return struct.pack("<Q", VIRTIO_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES)
            case Request.GET_PROTOCOL_FEATURES:
                return struct.pack("<Q", PROTOCOL_F_MQ | PROTOCOL_F_CONFIG)
            case Request.GET_QUEUE_NUM:
                return struct.pack("<Q", len(self._queues))
            case Request.GET_CONFIG:
                offset, size, flags = struct.unpack_from("<III", body)
                found = self._config[offset : offset + size].ljust(size, b"\0")
                return struct.pack("<III", offset, size, flags) + found
            case Request.SET_MEM_TABLE:
                self._map(body, descriptors)
            case Request.SET_VRING_NUM:
                index, size = struct.unpack("<II", body)
                self._queues[index].size = size
            case Request.SET_VRING_ADDR:
                index, _, table, used, offered, _ = struct.unpack("<IIQQQQ", body)
                self._queues[index].addresses = (table, used, offered)
                self._queues[index].place(self._memory)
            case Request.SET_VRING_BASE:
                index, start = struct.unpack("<II", body)
                self._queues[index].next = start
            case Request.GET_VRING_BASE:
                index, _ = struct.unpack("<II", body)
                self._kicked_by(self._queues[index], -1)
                return struct.pack("<II", index, self._queues[index].next)
            case Request.SET_VRING_KICK | Request.SET_VRING_CALL | Request.SET_VRING_ERR:
                self._descriptor(request, struct.unpack("<Q", body)[0], descriptors)
        return None

    def _map(self, body: bytes, descriptors: list[int]) -> None:
        count = struct.unpack_from("<I", body)[0]
        self._memory = GuestMemory()
        for index, descriptor in enumerate(descriptors[:count]):
            self._memory.add(*struct.unpack_from("<QQQQ", body, 8 + 32 * index), descriptor)
        for made in self._queues:
            made.place(self._memory)

    def _descriptor(self, request: Request, value: int, descriptors: list[int]) -> None:
        made = self._queues[value & 0xFF]
        given = -1 if value & NO_DESCRIPTOR else descriptors[0]
        if request is Request.SET_VRING_KICK:
            self._kicked_by(made, given)
        elif request is Request.SET_VRING_CALL:
            if made.call >= 0:
                os.close(made.call)
            made.call = given
        elif given >= 0:
            os.close(given)

    def _kicked_by(self, made: Queue, descriptor: int) -> None:
        if made.kick >= 0:
            self._selector.unregister(made.kick)
            os.close(made.kick)
        made.kick = descriptor
        if descriptor >= 0:
            os.set_blocking(descriptor, False)
            self._selector.register(
                descriptor, selectors.EVENT_READ, lambda _: self._heard(descriptor)
            )

    @staticmethod
    def _heard(descriptor: int) -> None:
        with suppress(BlockingIOError):
            os.read(descriptor, 8)

"""A session through a hostile host: what it does to the bytes of both directions.

One blow a time: what goes up or comes down is dropped, cut, changed, doubled, swapped, replayed,
held back, given to another, or given slowly; and time can pass meanwhile.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from hosted_engine import HOUR, SECOND
from quiet_client import QuietClient
from raw_client import CLASS_BYTES

if TYPE_CHECKING:
    from hostile_host import Machine, Schedule

BLOWS: Final = (
    "drop",
    "cut",
    "flip",
    "double",
    "garbage",
    "replay",
    "hold",
    "swap",
    "drop_frame",
    "redirect",
    "trickle",
    "late",
)
_ROUNDS: Final = 200


class Link:
    """One client, one daemon, and the host between them."""

    def __init__(self, schedule: Schedule, machine: Machine, who: int) -> None:
        self.schedule, self.machine, self.who = schedule, machine, who
        people = machine.hosted.people
        self.client = QuietClient(people.seed(who), people.hello(who), machine.pin)
        self.sock = machine.boot.session()
        self.is_cut = False
        self.waiting: dict[int, tuple[str, object]] = {}
        self.taken = 0
        self.blow: tuple[str, str] | None = None

    @property
    def is_open(self) -> bool:
        return self.client.state == "open" and not self.is_cut

    def close(self) -> None:
        self.client.close()
        self.sock.close()
        self.is_cut = True

    def pump(self, blow: tuple[str, str] | None = None) -> None:
        """Carries until nothing moves. `blow`: direction and kind, once. Raises Died."""
        self.blow = blow
        for _ in range(_ROUNDS):
            up = self.client.take()
            if up:
                self.up(self._strike("up", up))
            self.machine.boot.ring()
            down = self._drain()
            if down:
                for piece in self._strike("down", down):
                    self.client.feed(piece)
            if not up and not down:
                break
        if self.client.state == "over":
            self.is_cut = True

    def up(self, pieces: list[bytes]) -> None:
        """Gives bytes to the daemon."""
        for piece in pieces:
            left = memoryview(piece)
            for _ in range(_ROUNDS):
                try:
                    left = left[self.sock.send(left) :]
                except BlockingIOError:
                    pass
                except OSError:
                    self.is_cut = True
                    return
                if not left:
                    break
                self.machine.boot.ring()
            if len(pieces) > 1:
                self.machine.boot.ring()

    def _drain(self) -> bytes:
        found = bytearray()
        with contextlib.suppress(BlockingIOError):
            try:
                while piece := self.sock.recv(1 << 20):
                    found += piece
                self.is_cut = True
            except ConnectionError:
                self.is_cut = True
        self.schedule.left += found
        return bytes(found)

    # ---- Blows --------------------------------------------------------------------------------

    def _strike(self, direction: str, data: bytes) -> list[bytes]:
        schedule = self.schedule
        recorded = schedule.flights[direction]
        if len(data) < 1 << 16:
            recorded.append(data)
        if self.blow is None or self.blow[0] != direction:
            return [data]
        kind, self.blow = self.blow[1], None
        schedule.tally[f"session {direction} {kind}"] += 1
        struck: list[bytes] = getattr(self, f"_{kind}")(direction, data)
        return struck

    def _drop(self, direction: str, data: bytes) -> list[bytes]:
        return []

    def _cut(self, direction: str, data: bytes) -> list[bytes]:
        self.is_cut = True
        size = self.schedule.choice.randrange(len(data))
        if direction == "up":
            with contextlib.suppress(OSError):
                self.sock.send(data[:size])
            self.sock.close()
            self.sock = self.machine.boot.session()  # whoever is written to there is nobody
            return []
        return [data[:size]]

    def _flip(self, direction: str, data: bytes) -> list[bytes]:
        changed = bytearray(data)
        at = self.schedule.choice.randrange(len(data))
        changed[at] ^= 1 << self.schedule.choice.randrange(8)
        return [bytes(changed)]

    def _double(self, direction: str, data: bytes) -> list[bytes]:
        return [data + data]

    def _garbage(self, direction: str, data: bytes) -> list[bytes]:
        choice = self.schedule.choice
        at, junk = choice.randrange(len(data) + 1), choice.randbytes(choice.randrange(1, 700))
        return [data[:at] + junk + data[at:]]

    def _replay(self, direction: str, data: bytes) -> list[bytes]:
        old = self.schedule.choice.choice(self.schedule.flights[direction])
        return [data + old] if self.schedule.choice.random() < 0.5 else [old]

    def _hold(self, direction: str, data: bytes) -> list[bytes]:
        self.schedule.held.append((self, direction, data))
        return []

    def _swap(self, direction: str, data: bytes) -> list[bytes]:
        frames = frames_of(data)
        if len(frames) < 2:
            middle = len(data) // 2
            return [data[middle:] + data[:middle]]
        frames[0], frames[1] = frames[1], frames[0]
        return [b"".join(frames)]

    def _drop_frame(self, direction: str, data: bytes) -> list[bytes]:
        frames = frames_of(data)
        del frames[self.schedule.choice.randrange(len(frames))]
        return [b"".join(frames)]

    def _redirect(self, direction: str, data: bytes) -> list[bytes]:
        others = [one for one in self.schedule.links() if one is not self and one.is_open]
        if not others:
            return []
        other = self.schedule.choice.choice(others)
        if direction == "up":
            other.up([data])
        else:
            other.client.feed(data)
        return []

    def _trickle(self, direction: str, data: bytes) -> list[bytes]:
        size = max(len(data) // 5, 1)
        return [data[at : at + size] for at in range(0, len(data), size)]

    def _late(self, direction: str, data: bytes) -> list[bytes]:
        choice = self.schedule.choice
        much = HOUR + SECOND if choice.random() < 0.1 else choice.randrange(20 * SECOND)
        self.schedule.clock.pass_(much)
        return [data]


def frames_of(data: bytes) -> list[bytes]:
    """The frames of a flight; it as a whole, where it is none of frames."""
    frames, at = [], 0
    while at + 16 <= len(data):
        size = CLASS_BYTES.get(int.from_bytes(data[at + 2 : at + 4], "little"))
        if data[at : at + 2] != b"\1\0" or size is None or at + 32 + size > len(data):
            return [data]
        frames.append(data[at : at + 32 + size])
        at += 32 + size
    return frames if at == len(data) and frames else [data]

"""A schedule of a hostile host: what it does, step by step, out of a seed.

The host stands between clients, operators, witness, KMS and the engine, owns what is kept, and
starts and ends enclaves at will, two at once if it likes. Clients, people, the witness and KMS are
honest. `Judge` (hostile_judge.py) says what must hold of all that came of it.
"""

from __future__ import annotations

import contextlib
import random
import signal
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fake_boots import Boot, Boots, Died
from hosted_engine import (
    AGENTS,
    ALICE,
    BOB,
    FEEDER,
    HOUR,
    KEEPER,
    MAKER,
    MICRO,
    POLICY,
    SECOND,
    TAKER,
    Clock,
    Hosted,
    People,
)
from hostile_link import BLOWS, Link
from hostile_lobby import STARTS, Message, attacked_genesis, bring_up
from plain_log import START, Plain, records_of
from raw_client import Answer, Ask

from sentinel import _layout
from sentinel._enclave_papers import SEALED
from sentinel._enums import Command, Scope
from sentinel._frame import FrameKind
from sentinel.errors import SentinelError
from sentinel.order import from_json
from sentinel.policy import stable_id

OUTCOME = struct.Struct("<BBHIQQq32s")
FIRM = stable_id("node", "firm")
PRICE = 65_000
_ASKS = [ask for ask in Ask if ask not in (Ask.SIGN, Ask.ASK)]
_PROOF_BYTES = _layout.PROOF.size + 64


@dataclass
class Asked:
    """An order that an agent made. `sent`: how often it was asked for."""

    agent: int
    action_id: int
    struct: bytes
    text: str
    value: int
    sent: int = 0


@dataclass(frozen=True)
class Signed:
    """A signature that a client got. `order`: its place among all that happened."""

    machine: Machine
    asked: Asked
    number: int
    epoch: int
    record_hash: bytes
    signature: bytes
    signed_bytes: bytes
    at_ns: int
    order: int


@dataclass(eq=False)
class Machine:
    """One boot, and what came of it."""

    boot: Boot
    hosted: Hosted
    pin: bytes = bytes(32)
    is_running: bool = False
    start_hashes: dict[int, bytes] = field(default_factory=dict)
    epoch: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return not self.boot.is_over

    def now(self) -> dict[str, bytes]:
        """Its files, as judges see them."""
        return self.boot.files() if self.is_alive else self.files

    def records(self) -> list[Plain]:
        return list(records_of(self.now()))

    def start_hash_of(self, epoch: int) -> bytes:
        return self.start_hashes.get(epoch, b"")


class Schedule:
    """One seed's. `run` gives what must not be."""

    def __init__(
        self,
        boots: Boots,
        clock: Clock,
        engine: Hosted,
        foreign: Hosted,
        seed: int,
        tally: Counter[str],
    ) -> None:
        self.boots, self.clock, self.seed, self.tally = boots, clock, seed, tally
        self.told: list[str] = []
        self.choice = random.Random(seed)
        self.hosted, self.foreign = engine, foreign
        self.problems: list[str] = []
        self.machines: list[Machine] = []
        self.left = bytearray()
        self.flights: dict[str, list[bytes]] = {"up": [b"\x16"], "down": [b"\x16"]}
        self.held: list[tuple[Link, str, bytes]] = []
        self.answers: list[bytes] = []
        self.messages: list[Message] = []
        self.questions: list[bytes] = []
        self.grants: list[bytes] = []
        self.asked: dict[tuple[int, int], Asked] = {}
        self.open: list[Asked] = []
        self.signed: list[Signed] = []
        self.copies: list[dict[str, bytes]] = list(engine.files)
        self.template_records = engine.records
        self.earlier = {(one.asked.agent, one.asked.action_id): one.asked for one in engine.earlier}
        self.first_action = 5000 if engine.earlier else 1000
        self.order, self.is_honest = 1, False
        self.rsa = self.choice.randrange(24)
        engine.kms.choice = self.choice

    # ---- Steps --------------------------------------------------------------------------------

    def run(self) -> None:
        self.step_boot()
        if self.choice.random() < 0.1:
            self.step_genesis()
        steps: list[tuple[int, Callable[[], None]]] = [
            (30, self.step_order),
            (12, self.step_grant),
            (10, self.step_operator),
            (11, self.step_keep),
            (6, self.step_ask),
            (5, self.step_end),
            (5, self.step_boot),
            (6, self.step_time),
            (6, self.step_release),
            (4, self.step_junk),
        ]
        kinds, weights = [call for _, call in steps], [weight for weight, _ in steps]
        for _ in range(self.choice.randrange(8, 22)):
            self.order += 1
            step = self.choice.choices(kinds, weights)[0]
            self.tally[step.__name__] += 1
            self.told.append(step.__name__)
            step()
            if not any(machine.is_running and machine.is_alive for machine in self.machines):
                self.step_boot()
        for machine in self.machines:
            if machine.is_alive:
                self.end(machine, self.choice.choice((signal.SIGKILL, signal.SIGTERM)))

    def links(self) -> Iterator[Link]:
        for machine in self.machines:
            if machine.is_alive:
                yield from machine.links

    def running(self) -> Machine | None:
        found = [machine for machine in self.machines if machine.is_alive and machine.is_running]
        return self.choice.choice(found) if found else None

    def step_boot(self) -> None:
        """Another enclave; at most two live, and five in all."""
        alive = [machine for machine in self.machines if machine.is_alive]
        if len(alive) >= 2 or len(self.machines) >= 5:
            return
        boot = self.boots.boot(self.seed * 64 + len(self.machines), self.rsa)
        self.rsa += 6
        machine = Machine(boot, self.hosted)
        self.machines.append(machine)
        self.tally["boots"] += 1
        few = self.choice.choices((0, 1, 2, 3), (35, 40, 15, 10))[0]
        try:
            if not bring_up(self, machine, self.choice.sample(STARTS, few)):
                # Once more, as an honest host would.
                self.tally["starts that were refused"] += 1
                if not bring_up(self, machine, []):
                    self.end(machine, signal.SIGKILL)
        except Died as died:
            self.died(machine, died)
            return
        if machine.is_running and self.choice.random() < 0.7:
            self.settle(machine)

    def step_genesis(self) -> None:
        """Another engine begins, and the host does something to what is said meanwhile."""
        other = self.foreign
        people = People(self.clock, f"engine {self.seed} ")
        hosted = Hosted(people, other.hypervisor, other.kms, other.spki)
        machine = Machine(self.boots.boot(self.seed * 64 + 63, self.rsa), hosted)
        self.rsa += 6
        self.machines.append(machine)
        self.tally["boots"] += 1
        self.tally[f"genesis: {attacked_genesis(self, machine)}"] += 1
        self.end(machine, signal.SIGKILL)

    def settle(self, machine: Machine) -> None:
        """What an honest host and its people do when an engine runs again."""
        link = self.link(machine, ALICE)
        for _ in range(2):
            told = self.ask(link, Ask.ASK, bytes(4), blow=False) if link else None
            if link is None or told is None or told.status != 0:
                return
            self.questions.append(told.payload)
            self.grants.append(self.grant(told.payload))
            self.ask(link, Ask.TAKE, self.grants[-1], blow=False)
        if machine.hosted.people.lease_end_ns < self.clock.wall_ns + HOUR // 4:
            self.command(link, Command.LEASE, blow=False)

    def command(self, link: Link, verb: Command, blow: bool = True) -> None:
        """A command of two operators."""
        people = link.machine.hosted.people
        is_lease = verb is Command.LEASE
        until = self.clock.wall_ns + HOUR // 2 if is_lease else 0
        scope, target = (Scope.ENGINE, 0) if is_lease else (Scope.NODE, FIRM)
        part = _layout.command(verb, target, "why", people.terms(), scope=scope, until_ns=until)
        frame = people.signed(FrameKind.COMMAND, part, ALICE, BOB)
        people.lease_end_ns = max(people.lease_end_ns, until)
        self.tally[f"people: {verb.name.lower()}"] += 1
        mind = self.choice.random() if blow else 1.0
        if mind < 0.05:
            frame = self.bent(frame)
        elif mind < 0.15:  # one operator's proof is taken off
            self.tally["proof taken off"] += 1
            frame = frame[:-_PROOF_BYTES]
            frame = frame[: len(part)] + struct.pack("<II", 1, 0) + frame[len(part) + 8 :]
        self.ask(link, Ask.TAKE, frame, blow)

    def started(self, machine: Machine, answer: bytes) -> None:
        """RESUME said OK."""
        size = SEALED.size + SEALED.unpack(answer[: SEALED.size])["size"] + 16
        machine.hosted.sealed.append(answer[:size])
        if answer[size:]:
            machine.hosted.wrapped = answer[size:]
            machine.hosted.wraps.append(machine.hosted.wrapped)
        machine.boot.ring()
        log = machine.records()
        starts = {record.epoch: record.hash for record in log if record.type == START}
        machine.start_hashes, machine.epoch = starts, max(starts)
        known = {r.hash for files in machine.hosted.files[:2] for r in records_of(files)}
        for other in self.machines:
            known |= {record.hash for record in other.records()} if other is not machine else set()
        if any(r.hash not in known for r in log if r.epoch < machine.epoch):
            self.problems.append("an engine goes on with records that no enclave wrote")
        machine.is_running = True
        self.tally["starts"] += 1

    def end(self, machine: Machine, how: int) -> None:
        """Ends a boot, and looks at how it ended."""
        for link in machine.links:
            link.close()
        machine.links.clear()
        status = machine.boot.end(how)
        wanted = {signal.SIGKILL} if how == signal.SIGKILL else {0, signal.SIGTERM}
        if how == signal.SIGTERM and machine.is_running:
            wanted = {0}
        if status not in wanted:
            self.problems.append(f"boot {machine.boot.pid} ended with {status}, not {wanted}")
        # What a graceful end wrote counts as well.
        machine.files = machine.boot.files() if machine.is_running else {}
        self.tally[f"ends by {signal.Signals(how).name.lower()}"] += 1

    def died(self, machine: Machine, died: Died) -> None:
        status = machine.boot.end(signal.SIGKILL) if machine.is_alive else 0
        for link in machine.links:
            link.close()
        text = machine.boot.console().decode(errors="replace")[-2000:]
        self.problems.append(f"crash: {died}, status {status}: {text}")

    # ---- Sessions -----------------------------------------------------------------------------

    def blow(self) -> tuple[str, str] | None:
        if self.is_honest or self.choice.random() < 0.62:
            return None
        return self.choice.choice(("up", "down")), self.choice.choice(BLOWS)

    def link(self, machine: Machine, who: int) -> Link | None:
        """An open session, an old one or a new; None: the host did not let it come about."""
        old = [one for one in machine.links if one.who == who and one.is_open]
        if old and self.choice.random() < 0.7:
            return self.choice.choice(old)
        link = Link(self, machine, who)
        machine.links.append(link)
        self.pump(link, self.blow() if self.choice.random() < 0.3 else None)
        if not link.is_open:
            link.close()
            machine.links.remove(link)
            return None
        return link

    def pump(self, link: Link, blow: tuple[str, str] | None) -> None:
        """Carries, and takes in what was answered."""
        try:
            link.pump(blow)
        except Died as died:
            self.died(link.machine, died)
            return
        self.take_answers(link)

    def take_answers(self, link: Link) -> None:
        for answer in link.client.answers[link.taken :]:
            link.taken += 1
            self.left += answer.payload.rstrip(b"\0")
            kind, about = link.waiting.pop(answer.id)
            if kind == "order":
                assert isinstance(about, Asked)
                self.outcome(link, about, answer)
            elif isinstance(about, list):
                about.append(answer)

    def ask(self, link: Link, kind: int, payload: bytes = b"", blow: bool = True) -> Answer | None:
        """One request and its answer, if the host lets it through."""
        if not link.is_open:
            return None
        found: list[Answer] = []
        link.waiting[link.client.ask(kind, payload)] = ("other", found)
        self.pump(link, self.blow() if blow else None)
        return found[0] if found else None

    # ---- Agents -------------------------------------------------------------------------------

    def new_order(self, who: int) -> Asked:
        agent = AGENTS[who]
        action_id = 1 + max(
            (key[1] for key in self.asked if key[0] == agent), default=self.first_action
        )
        text, value = f"schedule {self.seed} {action_id}", 0
        said: dict[str, object] = {"action": "message", "text": text}
        if self.choice.random() < 0.5:
            lots = self.choice.randrange(1, 20)  # above 15 it is more than the policy allows
            text, value = f"{lots / 1000:.3f}".rstrip("0"), lots * PRICE * MICRO // 1000
            said |= {"action": "place", "instrument": "SPOT", "side": "buy", "type": "limit"}
            said |= {"time_in_force": "gtc", "quantity": text, "price": str(PRICE)}
            del said["text"]
        order = from_json(said, resolve=stable_id)
        made = Asked(agent, action_id, order.pack(agent=agent, action_id=action_id), text, value)
        self.asked[(agent, action_id)] = made
        return made

    def step_order(self) -> None:
        """New ones, several at once perhaps, or what is unanswered once more."""
        machine = self.running()
        who = self.choice.choice((MAKER, TAKER))
        link = self.link(machine, who) if machine is not None else None
        if link is None:
            return
        for _ in range(self.choice.choice((1, 1, 1, 2, 4))):
            again = [one for one in self.asked.values() if one.agent == AGENTS[who]]
            if again and self.choice.random() < 0.3:
                asked = self.choice.choice(again)
            else:
                asked = self.new_order(who)
            asked.sent += 1
            link.waiting[link.client.ask(Ask.SIGN, asked.struct)] = ("order", asked)
        self.pump(link, self.blow())

    def outcome(self, link: Link, asked: Asked, answer: Answer) -> None:
        if answer.status != 0:
            self.tally[f"order status {answer.status:#x}"] += 1
            return
        verdict, _, reason, _, number, epoch, at_ns, hash_ = OUTCOME.unpack_from(answer.payload)
        if verdict != 1:
            self.tally[f"orders refused, reason {reason}"] += 1
            return
        at = self.boots.outcome_head
        size = answer.payload[at + 1]
        signature, request = answer.payload[at + 8 : at + 8 + size], answer.payload[at + 72 :]
        offset, length = struct.unpack_from("<HH", request, 24)
        signed_bytes = request[92 + offset : 92 + offset + length]
        self.tally["signatures"] += 1
        self.signed.append(
            Signed(
                *(link.machine, asked, number, epoch, hash_, signature, signed_bytes),
                *(at_ns, self.order),
            )
        )

    # ---- Witness and people -------------------------------------------------------------------

    def step_grant(self) -> None:
        """The host carries the engine's question to the witness, and an answer back."""
        machine = self.running()
        link = (
            self.link(machine, self.choice.choice((ALICE, KEEPER))) if machine is not None else None
        )
        if link is None:
            return
        final = self.choice.random() < 0.03
        told = self.ask(link, Ask.ASK, struct.pack("<I", final))
        if told is not None and told.status == 0:
            self.questions.append(told.payload)
        mind = self.choice.random()
        if not self.questions or mind < 0.05:
            return
        question = self.questions[-1] if mind < 0.85 else self.choice.choice(self.questions)
        if 0.8 < mind < 0.85:
            question = self.bent(question)
        try:
            self.grants.append(self.grant(question))
        except SentinelError:
            self.tally["witness refuses a forged question"] += 1
        if self.grants:
            self.give_grant(link)

    def grant(self, question: bytes) -> bytes:
        witness = self.hosted.witness
        assert witness is not None
        return witness.grant(question, self.clock, self.order)

    def give_grant(self, link: Link) -> None:
        mind = self.choice.random()
        frame = self.grants[-1]
        if mind < 0.08:
            frame = self.choice.choice(self.grants)
            self.tally["grant replayed"] += 1
        elif mind < 0.14:
            frame = self.bent(frame)
            self.tally["grant changed"] += 1
        elif mind < 0.18:
            self.tally["grant kept back"] += 1
            return
        elif mind < 0.22:
            frame = self.own_grant(frame)
            self.tally["grant forged"] += 1
        if self.ask(link, Ask.TAKE, frame) is not None and mind > 0.9:
            self.ask(link, Ask.TAKE, frame)

    def bent(self, data: bytes) -> bytes:
        changed = bytearray(data)
        changed[self.choice.randrange(len(data))] ^= 1 << self.choice.randrange(8)
        return bytes(changed)

    def own_grant(self, frame: bytes) -> bytes:
        """More than was granted, signed by a key that the host has: of another engine's witness,
        or of an agent."""
        found = _layout.FRAME_HEADER.unpack(frame[: _layout.FRAME_HEADER.size])
        part = bytearray(frame[: found["size_bytes"]])
        struct.pack_into("<QQ", part, _layout.FRAME_HEADER.size + 144, 10**9, 10**15)
        people = self.choice.choice((self.foreign.people, self.hosted.people))
        own = people is self.hosted.people
        made = set(people.made)
        forged = people.signed(FrameKind.GRANT, bytes(part), MAKER if own else 8)
        people.made = made
        return forged

    def step_operator(self) -> None:
        """A command, or a bundle; mostly the lease, without which nothing is signed."""
        machine = self.running()
        link = self.link(machine, ALICE) if machine is not None else None
        if link is None or machine is None:
            return
        verb = self.choice.choices(
            (Command.LEASE, Command.HALT, Command.RESUME, Command.DRAIN, None),
            (60, 10, 15, 3, 12),
        )[0]
        if verb is not None:
            self.command(link, verb)
            return
        self.tally["people: policy"] += 1
        other = self.link(machine, POLICY)
        if other is not None:
            self.ask(other, Ask.TAKE, machine.hosted.people.policy(machine.hosted.keys))

    # ---- What the host keeps, asks and does ---------------------------------------------------

    def step_keep(self) -> None:
        """A copy of the engine's files."""
        machine = self.running()
        link = (
            self.link(machine, self.choice.choice((ALICE, KEEPER))) if machine is not None else None
        )
        if link is None or machine is None:
            return
        blow = self.choice.random() < 0.3
        names = self.ask(link, Ask.FILE, struct.pack("<QI4x96s", 0, 0, b""), blow)
        if names is None or names.status != 0:
            return
        kept: dict[str, bytes] = {}
        for name in names.payload.decode().split():
            asked = struct.pack("<QI4x96s", 0, 1 << 20, name.encode())
            told = self.ask(link, Ask.FILE, asked, blow)
            if told is None or told.status != 0:
                break
            assert int.from_bytes(told.payload[:8], "little") == len(told.payload) - 8
            if not name.startswith("sealed/"):
                kept[name] = told.payload[8:]
            elif name == "sealed/keys" and told.payload[8:] not in machine.hosted.sealed:
                self.problems.append("the sealed keys are not those that RESUME gave")
        else:
            machine.hosted.files.append(kept)
            self.tally["copies"] += 1
        self.copies.append(kept)

    def step_ask(self) -> None:
        """Whatever else there is to ask, also by who may not."""
        machine = self.running()
        who = self.choice.choice((ALICE, MAKER, FEEDER, POLICY, KEEPER))
        link = self.link(machine, who) if machine is not None else None
        if link is None:
            return
        kind = self.choice.choice(_ASKS)
        fits = {
            Ask.WITHDRAW: struct.pack("<Q", self.choice.randrange(1, 1100)),
            Ask.BUNDLE: struct.pack("<H", self.choice.choice((1, 2))),
            Ask.RECORDS: struct.pack("<QI4x", self.choice.randrange(30), 1 << 16),
            Ask.ATTEST: self.choice.randbytes(32),
        }
        payload = fits.get(kind, b"")
        if kind in (Ask.TAKE, Ask.BEAT) or self.choice.random() < 0.15:
            payload = self.choice.randbytes(self.choice.randrange(300))
        self.ask(link, kind, payload)

    def step_end(self) -> None:
        machine = self.running()
        if machine is not None:
            self.end(machine, self.choice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))

    def step_time(self) -> None:
        """Time passes, or an enclave is paused; then what is late is seen."""
        mind = self.choice.random()
        if mind < 0.75:
            self.clock.pass_(self.choice.randrange(1, 400) * SECOND)
        elif mind < 0.9:
            self.clock.pass_(self.choice.randrange(25, 70) * 60 * SECOND)
        else:
            self.tally["paused"] += 1
            self.clock.pass_(SECOND, paused_ns=self.choice.randrange(1, 200) * SECOND)
        for machine in self.machines:
            if machine.is_alive and machine.is_running:
                with contextlib.suppress(Died):
                    machine.boot.ring()

    def step_release(self) -> None:
        """What was held back comes late: to where it was to go, or to another."""
        if not self.held:
            return
        at = self.choice.randrange(len(self.held))
        link, direction, data = self.held.pop(at)
        if self.choice.random() < 0.3:
            link = self.choice.choice([*self.links(), link])
        self.tally[f"held back, {direction}"] += 1
        if not link.machine.is_alive or link.is_cut:
            return
        if direction == "up":
            link.up([data])
        else:
            link.client.feed(data)
        self.pump(link, None)

    def step_junk(self) -> None:
        """Bytes of no use, at the door of sessions."""
        machine = self.running()
        if machine is None:
            return
        kind = self.choice.randrange(4)
        data = self.choice.randbytes(self.choice.randrange(1, 900))
        if kind == 1:
            data = b"DOCUMENT" + self.choice.randbytes(self.choice.choice((31, 32, 33)))
        elif kind == 2:
            data = b"\x16" + data
        elif kind == 3:
            data = self.choice.choice(self.flights["up"])
        stream = machine.boot.session()
        with contextlib.suppress(OSError):
            stream.send(data)
            machine.boot.ring()
            self.left += stream.recv(1 << 16)
        stream.close()
        self.tally["junk"] += 1

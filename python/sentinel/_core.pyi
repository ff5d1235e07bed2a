"""The C core, one to one. Numbers are the core's; every failure is a `SentinelError`.

Bytes go in as anything that has the buffer protocol, and come out as `bytes`. Times are Unix
nanoseconds. Nothing here prints, reads a clock or starts a thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from os import PathLike
from typing import Any, TypeAlias, TypeVar, final

from typing_extensions import Buffer, TypeIs

from sentinel._desk import Desk, Origin, Terms
from sentinel._enums import Side
from sentinel._order import DecimalText, Order
from sentinel._signed import SignedOrder
from sentinel._types import (
    BookEntry,
    BundleCounts,
    EngineState,
    Frame,
    Head,
    Hold,
    KeyInfo,
    Nonces,
    Outcome,
    PositionState,
    RawRecord,
    Request,
    Signature,
)
from sentinel.errors import SentinelError

RECORD_BYTES_MAX: int

def status_name(status: int) -> str: ...
def status_text(status: int) -> str: ...
def reason_code(reason: int) -> str: ...
def reason_text(reason: int) -> str: ...

# order

def order_bytes(action: int) -> int:
    """Size of an action's struct; 0 for an unknown action."""

def order_check(order: Buffer, environment: int) -> int:
    """The first reason that the order's form gives, 0 when it is well formed."""

def decimal_write(mantissa: int, scale: int) -> str:
    """The decimal's text, trailing zeros kept; empty when it has none."""

def decimal_read(text: str) -> tuple[int, int]:
    """Mantissa and scale of a canonical decimal."""

# frame, policy

def unsafe_parse_frame(frame: Buffer, kind: int) -> Frame:
    """Takes a frame apart and checks its form; verifies no signature."""

def verify_frame(
    frame: Buffer, kind: int, authority: Buffer, power: int, threshold: int, now_ns: int
) -> Frame:
    """Takes a frame apart and verifies its proofs. `authority`: the payload of a bundle.

    `threshold` 0 is the authority's own.
    """

def verify_authority_frame(frame: Buffer, genesis: Buffer) -> Frame:
    """Takes an authority bundle apart and verifies it against the genesis record's root."""

def genesis_check(genesis: Buffer) -> bytes:
    """Checks the form of a genesis record; the engine's id."""

def bundle_check(frame: Buffer) -> BundleCounts:
    """Checks every row, reference and reserved byte of a policy bundle; not its proofs."""

def bundle_memory(frame: Buffer) -> tuple[int, int]:
    """Bytes that a policy bundle's layout arrays and its state take."""

def destination_digest(network: int, address: str, memo: str = "") -> bytes: ...
def sanction_digest(address: str) -> bytes: ...

# sign

def key_address(public_key: Buffer) -> str:
    """The address of a secp256k1 key: 0x and 40 hex digits."""

@final
class Keyring:
    """Keys in locked memory. One thread at a time."""

    def __init__(self) -> None: ...
    def generate(
        self,
        id: int,
        purpose: int,
        algorithm: int,
        *,
        venue: int = 0,
        api_key: str = "",
        lab: bool = False,
    ) -> KeyInfo: ...
    def import_(
        self,
        id: int,
        purpose: int,
        algorithm: int,
        secret: Buffer,
        *,
        venue: int = 0,
        api_key: str = "",
        lab: bool = False,
    ) -> KeyInfo: ...
    def set_passphrase(self, id: int, text: str) -> None:
        """The text that a venue wants beside the key (OKX)."""

    def remove(self, id: int) -> None: ...
    def list(self) -> list[KeyInfo]: ...
    def seal(self, passphrase: Buffer, *, opslimit: int = 0, memlimit: int = 0) -> bytes:
        """The key file. Limits of Argon2id; 0 is libsodium's "moderate"."""

    def unseal(self, sealed: Buffer, passphrase: Buffer) -> None:
        """Fills an empty keyring from a key file."""

    def sign(self, key: int, data: Buffer) -> Signature: ...
    def sign_digest(self, key: int, digest: Buffer) -> Signature: ...
    def sign_frame(self, key: int, prefix: str, digest: Buffer) -> bytes:
        """Ed25519 over prefix, a zero byte and the digest; authority and receipt keys only."""

    def uses(self, key: int) -> int: ...
    def nonces_start(self, key: int, capacity: int) -> None:
        """Gives a key an empty pool of nonces made ahead (docs/3-sign.md)."""

    def nonces_fill(self, key: int) -> int:
        """Adds up to one batch; how many."""

    def nonces(self, key: int) -> Nonces: ...

# audit

@final
class LogReader:
    """Iterates over the records of a log directory from record `first` on."""

    def __init__(self, directory: str | PathLike[str], *, first: int = 0) -> None: ...
    def __iter__(self) -> Iterator[RawRecord]: ...
    def __next__(self) -> RawRecord:
        """The next record. Raises AuditCorrupt with the place where the log is not intact."""

def log_head(directory: str | PathLike[str]) -> Head: ...

@final
class OrderScan:
    """What a verifier checks of runs of orders, at the speed of hashing, and every record's hash.

    `pool`: an executor whose threads share the hashing.
    """

    def __init__(self, pool: Executor | None = None) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> bytes: ...
    def append(self, hash32: Buffer) -> None: ...
    def root(self) -> bytes: ...
    def use(self, key: int, counter: int) -> bool: ...
    def verdict_counts(self) -> list[int]: ...
    def run(
        self,
        data: Buffer,
        at: int,
        epoch: int,
        now_ns: int,
        policy_hash: Buffer,
        authority_hash: Buffer,
    ) -> tuple[int, int]:
        """From the frame at `at` on, over orders of this epoch under these bundles.

        Gives the place behind the last that is right, and its time.
        """

@final
class Tree:
    """The RFC 6962 root over record hashes."""

    def __init__(self) -> None: ...
    def add(self, leaf_hash: Buffer) -> None: ...
    def root(self) -> bytes: ...
    def __len__(self) -> int: ...

# venue

def hold(venue: int, action: int) -> Hold | None:
    """What becomes of a released signature; None when the venue has no such action."""

# gate

@final
class Session:
    """Who asks. Made by `Gate.session`."""

    @property
    def agent(self) -> int: ...
    @property
    def gate(self) -> Gate: ...

class Gate:
    """What an engine and a context share. Threads take turns at its lock."""

    def session(self, agent: int) -> Session: ...
    def sign(self, session: Session, order: Buffer, now_ns: int) -> Outcome: ...
    def take(self, frame: Buffer, now_ns: int) -> int:
        """Takes a signed frame; the number of its record."""

    def withdraw(self, session: Session, action_id: int, now_ns: int) -> int:
        """Takes a request for approval back; the number of the record."""

    def check(self, frame: Buffer, now_ns: int) -> None:
        """Checks a frame as `take` would; changes nothing."""

    def state(self) -> EngineState: ...
    def book(self) -> tuple[tuple[BookEntry, ...], tuple[PositionState, ...]]:
        """What was signed and not yet displaced, by record; and the positions that were fed."""

    def feeders(self) -> dict[int, int]:
        """The last sequence of reports taken, by the feeder's key."""

    def policy(self) -> bytes | None:
        """The signed part of the policy in force."""

    @property
    def policy_hash(self) -> bytes:
        """The hash of the policy in force; zeros before one is loaded."""

    @property
    def needs_witness(self) -> bool: ...
    def ask(self, flags: int = 0) -> tuple[bytes, bytes]: ...
    def sign_head(
        self, epoch: int, count: int, last_hash: Buffer, root: Buffer
    ) -> tuple[bytes, bytes]:
        """The head's bytes and the engine's signature over them."""

    def acknowledge(self, frame: Buffer) -> bytes:
        """What the command did that was just taken or replayed: a sentinel_ack, unsigned."""

@final
class Context(Gate):
    """A gate in memory, without a directory: for simulation, rendering and replay."""

    def __init__(
        self,
        genesis: Buffer,
        keyring: Keyring | None = None,
        *,
        receipt_key: int = 0,
        bundle_bytes: int = ...,
        state_bytes: int = ...,
    ) -> None: ...
    @property
    def keyring(self) -> Keyring | None: ...
    def genesis(self, now_ns: int) -> None: ...
    def start(self, now_ns: int) -> None: ...
    def replay_log(
        self, reader: LogReader, last: int, most: int
    ) -> tuple[int, int, RawRecord | None, str | None]:
        """Decides up to `most` records again, up to number `last`.

        Gives how many, how many of them are orders, and where it ended before that: a bundle
        (None as the difference), which is left to `replay`; or a record and how it differs.
        Raises AuditCorrupt where the log is not intact.
        """
    def replay(self, record: Buffer, bundle: Buffer = b"") -> str | None:
        """Decides the next record again; what differs, or None.

        `bundle` is the frame that a BUNDLE record names.
        """

    def restore(self, record: Buffer, authority: Buffer, policy: Buffer, state: Buffer) -> None:
        """Restores the snapshot that a SNAPSHOT record names."""

# engine

@final
class Engine(Gate):
    """An engine's one writer."""

    @staticmethod
    def create(
        directory: str | PathLike[str],
        genesis: Buffer,
        authority: Buffer,
        policy: Buffer,
        passphrase: bytes,
        now_ns: int,
        *,
        durability: int = 2,
        segment_bytes: int = 0,
    ) -> None: ...
    @staticmethod
    def open(
        directory: str | PathLike[str],
        passphrase: bytes,
        now_ns: int,
        *,
        durability: int = 2,
        segment_bytes: int = 0,
        state_bytes: int = 0,
        snapshot_every: int = 0,
        nonces: int = 0,
        snapshot_risk: bool = False,
    ) -> Engine: ...
    @property
    def open_status(self) -> int:
        """0, or the status because of which the engine opened halted."""

    def spool(self, now_ns: int) -> None: ...
    @property
    def is_held(self) -> bool: ...
    def ack(self) -> bytes | None:
        """The last command's sentinel_signed_ack; None when there was none since the opening."""

    def snapshot(self, now_ns: int) -> None: ...
    def fill(self) -> int:
        """Adds a batch of nonces to each pool that has room; how many. Beside any other call."""

    def nonces(self) -> Nonces:
        """The figures of all pools together."""

    def close(self, now_ns: int) -> None: ...

@final
class Turn:
    """A lock: `with turn:`. A batch of orders sees that somebody waits, and lets them in."""

    def __init__(self) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...

@final
class Plan:
    """Where each attribute of a kind of order stands in its struct.

    `fields`: name, kind (0 number, 1 flag, 2 decimal, 3 text, 4 bit, 5 other, 6 target), offset,
    size, offset of its size or kind, presence bit, the most that it holds.
    """

    def __init__(
        self,
        version: int,
        action: int,
        size: int,
        fields: Sequence[tuple[str, int, int, int, int, int, int]],
    ) -> None: ...

class Packed:
    """What an order keeps of its packing."""

def blank(order: Packed) -> bytes:
    """The order's struct, packed once, without agent and action id."""

class Released:
    """A signature as the core gave it; its parts become objects when they are asked for.

    `_numbers`: record, epoch, time, end of use, venue, key. `_signed_bytes`: and whether they are
    a digest. `_order`: the order, or its struct. All but `_released` raise AttributeError where no
    engine made it.
    """

    @property
    def _released(self) -> bool: ...
    @property
    def _origin(self) -> Origin: ...
    @property
    def _numbers(self) -> tuple[int, int, int, int, int, int]: ...
    @property
    def _client_id(self) -> str: ...
    @property
    def _signature(self) -> Signature: ...
    @property
    def _request(self) -> Request: ...
    @property
    def _signed_bytes(self) -> tuple[bytes, bool]: ...
    @property
    def _order(self) -> Order | bytes: ...
    @property
    def _action_id(self) -> int: ...

@final
class Ids:
    """The next action id of an agent; all its sessions share it."""

    def __init__(self) -> None: ...

@final
class Seat:
    """An agent's place at an engine: who asks, whose turn it is, which action id is next."""

    def __init__(
        self,
        session: Session,
        turn: Turn,
        ids: Ids,
        desk: Desk,
        origin: Origin,
        made: type[SignedOrder],
    ) -> None: ...
    @property
    def agent(self) -> int: ...
    @property
    def session(self) -> Session: ...
    def sign(
        self, order: Packed, action_id: int | None = None, now_ns: int | None = None
    ) -> SignedOrder: ...

class Signing:
    """`Session.sign`."""

    _seat: Seat
    def sign(
        self,
        order: Order | Mapping[str, Any],
        *,
        action_id: int | None = None,
        reasons: str | None = None,
        now_ns: int | None = None,
    ) -> SignedOrder:
        """Signs one order, or refuses it."""

_Decimal: TypeAlias = DecimalText | tuple[int, int]

@final
class PreparedOrder:
    """An order that is packed once, and signed again and again: `Session.prepare`.

    A new term is an argument of `sign` or `stamp`, and stays until the next. Decimals are text,
    `decimal.Decimal` or a tuple of integers: (6499010, 2) is 64990.10. `quantity` is in the
    instrument's unit, `price` and `trigger_price` in its quote asset, `quote_quantity` an amount of
    that, `amount` of the asset that is moved. `side`: a `Side` or its name. `target_action`: of an
    order that was prepared with one.

    The struct itself can be written, too: it is a buffer (`order.dtype`). Agent and action id in it
    are filled in at each signature. Threads may share it: each `sign` takes its own terms.
    """

    def __init__(self, seat: Seat, order: Order, terms: type[Terms]) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def order(self) -> Order:
        """The order as it stands. Raises OrderInvalid when its struct is none."""

    def stamp(
        self,
        *,
        price: _Decimal | None = None,
        quantity: _Decimal | None = None,
        quote_quantity: _Decimal | None = None,
        trigger_price: _Decimal | None = None,
        amount: _Decimal | None = None,
        side: Side | str | None = None,
        target_action: int | None = None,
    ) -> None:
        """Writes new terms; all of them, or none.

        Raises OrderInvalid for what is no decimal, UsageError for a term that the order has not.
        """

    def sign(
        self,
        *,
        price: _Decimal | None = None,
        quantity: _Decimal | None = None,
        quote_quantity: _Decimal | None = None,
        trigger_price: _Decimal | None = None,
        amount: _Decimal | None = None,
        side: Side | str | None = None,
        target_action: int | None = None,
        action_id: int | None = None,
        now_ns: int | None = None,
    ) -> SignedOrder:
        """Stamps the order, and signs it under the next action id; raises as `Session.sign`."""

SIGN_MANY_MAX: int

@final
class SignedBatch:
    """What came of many orders: `Session.sign_many`. The n-th answer is of the n-th order.

    `batch[n]` and iterating give a `SignedOrder`, or the exception (not raised) that `Session.sign`
    would have raised. `numpy.asarray(batch)` is an array of the rows, not copied: of each decision
    verdict, reason, status, record, epoch, action_id, signature and the rest (docs/3-sign.md). A
    row's `body_at` and `body_size`, and so on, are places in `text`.
    """

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int:
        """How many are decided: all, unless an exception ended the call."""

    def __getitem__(self, index: int, /) -> SignedOrder | SentinelError: ...
    def __iter__(self) -> Iterator[SignedOrder | SentinelError]: ...
    @property
    def allowed(self) -> int:
        """How many were signed."""

    @property
    def text(self) -> memoryview:
        """Requests and signed bytes, read-only. It is in use while the view lives."""

def is_buffer(thing: object) -> TypeIs[Buffer]:
    """Whether it has the buffer protocol."""

def sign_many(
    seat: Seat, source: Buffer, batch: SignedBatch | None, now_ns: int | None
) -> SignedBatch: ...
def spool_submit(directory: str | PathLike[str], frame: Buffer) -> int:
    """Hands a frame to the engine's writer; the ticket."""

_Made = TypeVar("_Made", bound=Released)

def released(
    made: type[_Made], packed: bytes, order_bytes: bytes, order: object, origin: object
) -> _Made: ...
def is_allowed(packed: bytes) -> bool: ...
def refused(packed: bytes) -> Outcome: ...
def key_infos(rows: bytes) -> list[KeyInfo]: ...
def state_of(raw: bytes) -> tuple[EngineState, dict[int, int]]: ...
def book_of(raw: bytes) -> tuple[tuple[BookEntry, ...] | None, tuple[PositionState, ...]]: ...
def keyring_capsule(ring: Keyring) -> object: ...

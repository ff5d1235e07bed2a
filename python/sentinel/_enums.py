"""The core's enumerations and limits (types.h, order.h, frame.h, policy.h), once.

In text (policies, orders, output) a member is its name in lower case: "binance_spot".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Final


class Environment(IntEnum):
    """What an engine may trade on."""

    LIVE = 1
    TEST = 2
    LAB = 3


class Venue(IntEnum):
    """Where an action goes; NONE is for messages."""

    NONE = 0
    BINANCE_SPOT = 1
    BINANCE_USDM = 2
    BYBIT = 3
    OKX = 4
    DERIBIT = 5
    HYPERLIQUID = 6


class Action(IntEnum):
    """What an order does."""

    PLACE = 1
    AMEND = 2
    CANCEL = 3
    CANCEL_ALL = 4
    CANCEL_ALL_AFTER = 5
    QUERY = 6
    WITHDRAW = 7
    TRANSFER = 8
    MESSAGE = 9


class Side(IntEnum):
    """Buy or sell."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """Types of orders."""

    LIMIT = 1
    MARKET = 2
    STOP_MARKET = 3
    STOP_LIMIT = 4
    TAKE_PROFIT_MARKET = 5
    TAKE_PROFIT_LIMIT = 6


class TimeInForce(IntEnum):
    """How long an order stands; NONE is for orders without a limit price."""

    NONE = 0
    GTC = 1
    IOC = 2
    FOK = 3
    POST_ONLY = 4
    GTD = 5


class PositionSide(IntEnum):
    """Which position of a hedged account."""

    LONG = 1
    SHORT = 2
    BOTH = 3


class MarginMode(IntEnum):
    """What secures a position."""

    CASH = 1
    CROSS = 2
    ISOLATED = 3


class TriggerBy(IntEnum):
    """The price that a trigger watches."""

    LAST = 1
    MARK = 2
    INDEX = 3


class TriggerDirection(IntEnum):
    """Which way the price must cross a trigger."""

    RISE = 1
    FALL = 2


class Account(IntEnum):
    """Wallets of one venue account."""

    SPOT = 1
    FUNDING = 2
    USDM = 3
    COINM = 4
    MARGIN = 5
    UNIFIED = 6
    OPTION = 7
    SUBACCOUNT = 8


class ReleaseMode(IntEnum):
    """Who gets the signed bytes; TO_SUBMITTER is reserved."""

    TO_AGENT = 1
    TO_SUBMITTER = 2


class TargetBy(IntEnum):
    """How an order names an earlier one."""

    ACTION = 1
    VENUE_ID = 2
    CLIENT_ID = 3


class QueryWhat(IntEnum):
    """What a query asks for."""

    ORDER = 1
    OPEN_ORDERS = 2
    FILLS = 3


class Present(IntFlag):
    """Presence bits of an order's header."""

    QUANTITY = 1 << 0
    QUOTE_QUANTITY = 1 << 1
    PRICE = 1 << 2
    TRIGGER_PRICE = 1 << 3
    REDUCE_ONLY = 1 << 4
    CLOSE_ON_TRIGGER = 1 << 5
    EXPIRE = 1 << 6
    PARENT = 1 << 7
    REASONS = 1 << 8
    MEMO = 1 << 9
    START = 1 << 10
    END = 1 << 11
    LIMIT = 1 << 12
    TIMEOUT = 1 << 13
    AT = 1 << 14
    LAB_TESTNET = 1 << 26
    LAB_CLIENT_ID = 1 << 27
    LAB_NONCE = 1 << 28
    LAB_EXPIRY = 1 << 29
    LAB_WAIVE = 1 << 30


class Priority(IntEnum):
    """How much a withdrawal pays to be confirmed soon."""

    VERY_LOW = 1
    LOW = 2
    MID = 3
    HIGH = 4
    VERY_HIGH = 5
    EXTREME_HIGH = 6
    INSANE = 7


class Contract(IntEnum):
    """Kinds of instruments."""

    SPOT = 1
    LINEAR = 2
    INVERSE = 3
    QUANTO = 4
    OPTION = 5


class Unit(IntEnum):
    """What an instrument's quantities count."""

    BASE = 1
    CONTRACTS = 2
    QUOTE = 3


class Product(IntEnum):
    """What a venue's own key is good for; bits of its row: a kind of instrument, or the wallet."""

    WALLET = 0
    SPOT = 1
    LINEAR = 2
    INVERSE = 3
    QUANTO = 4
    OPTION = 5


class Algorithm(IntEnum):
    """Signature algorithms."""

    ED25519 = 1
    ECDSA_SECP256K1 = 2
    BIP340 = 3
    HMAC_SHA256 = 4


class Purpose(IntEnum):
    """What a key was made for."""

    VENUE = 1
    VENUE_MASTER = 2
    MESSAGE = 3
    RECEIPT = 4
    CHAIN = 5
    AUTHORITY = 6


class NodeKind(IntEnum):
    """Firm, group or agent."""

    FIRM = 1
    GROUP = 2
    AGENT = 3


class Rule(IntEnum):
    """Kinds of constraints."""

    KILL_SWITCH = 1
    ACTIONS = 2
    VENUES = 3
    INSTRUMENTS = 4
    ORDER_TYPES = 5
    SIDES = 6
    TIMES_IN_FORCE = 7
    DESTINATIONS = 8
    SANCTIONS = 9
    VALUE_CAP = 10
    QUANTITY_CAP = 11
    PRICE_COLLAR = 12
    DAILY_LIMIT = 13
    ROLLING_CAP = 14
    RATE_LIMIT = 15
    HEARTBEAT = 16
    APPROVAL = 17


class Oversight(IntEnum):
    """How far people are in the loop, for one action."""

    AUTONOMOUS = 0
    NOTIFY = 1
    APPROVE = 2


class Ask(IntEnum):
    """What an approval asks about, as bits of its mask; none: everything."""

    VALUE = 1
    DESTINATION = 2


class Section(IntEnum):
    """Tables of a policy bundle."""

    NODES = 0
    ASSETS = 1
    NETWORKS = 2
    INSTRUMENTS = 3
    KEYS = 4
    CONSTRAINTS = 5
    IDS = 6
    DESTINATIONS = 7
    SANCTIONS = 8
    TEXT = 9


class Power(IntEnum):
    """Powers of authority keys; bits of their row."""

    POLICY = 0
    LIMIT = 1
    OPERATOR = 2
    APPROVER = 3
    FEED_MARK = 4
    FEED_EXECUTION = 5
    FEED_POSITION = 6
    PERMIT = 7
    WITNESS = 8
    AGENT = 9
    KEEPER = 10


class Command(IntEnum):
    """Verbs of commands."""

    HALT = 1
    RESUME = 2
    DRAIN = 3
    APPROVE = 4
    REJECT = 5
    LEASE = 6


class Scope(IntEnum):
    """What a command is about."""

    NODE = 1
    VENUE = 2
    INSTRUMENT = 3
    RECORD = 4
    ENGINE = 5


class Mode(IntEnum):
    """How far something may go on."""

    RUNNING = 0
    DRAINING = 1
    HALTED = 2


class Cause(IntEnum):
    """Who or what stopped something."""

    NONE = 0
    OPERATOR = 1
    HEARTBEAT = 2
    PROGRESS = 3
    REPORT = 4


class FeedKind(IntEnum):
    """What a feed tells of."""

    MARK = 1
    EXECUTION = 2
    HEARTBEAT = 3
    POSITION = 4


FEED_POWERS: Final[dict[FeedKind, Power]] = {
    FeedKind.MARK: Power.FEED_MARK,
    FeedKind.EXECUTION: Power.FEED_EXECUTION,
    FeedKind.HEARTBEAT: Power.AGENT,
    FeedKind.POSITION: Power.FEED_POSITION,
}
"""Whose proof a feed carries."""


class OrderStatus(IntEnum):
    """What became of an order that was signed."""

    SIGNED = 0
    ACKNOWLEDGED = 1
    PARTLY_FILLED = 2
    FILLED = 3
    CANCELLED = 4
    REJECTED = 5
    EXPIRED = 6


class MarkKind(IntEnum):
    """What a mark is of."""

    INSTRUMENT = 1
    ASSET = 2


SEMANTICS_VERSION: Final = 1
NODES_MAX: Final = 131_072
DEPTH_MAX: Final = 10
ASSETS_MAX: Final = 4096
NETWORKS_MAX: Final = 8192
INSTRUMENTS_MAX: Final = 16_384
KEYS_MAX: Final = 256
CONSTRAINTS_MAX: Final = 262_144
CHAIN_CONSTRAINTS_MAX: Final = 126
IDS_MAX: Final = 1_048_576
DESTINATIONS_MAX: Final = 65_536
SANCTIONS_MAX: Final = 4_194_304
TEXT_MAX: Final = 4_194_304
RATE_EVENTS_MAX: Final = 131_072
BOOK_ENTRIES_MAX: Final = 65_536
WINDOW_NS_MAX: Final = 34_560_000_000_000_000
NODE_NONE: Final = 0xFFFFFFFF
AUTHORITY_KEYS_MAX: Final = 64
ROOT_KEYS_MAX: Final = 8
FEED_MARKS_MAX: Final = 64
FEED_POSITIONS_MAX: Final = 64
FEED_REPORTS_MAX: Final = 32
PROOFS_MAX: Final = 16
ORDER_VERSION: Final = 1
ORDER_BYTES_MAX: Final = 384
TAG_BYTES_MAX: Final = 64
API_KEY_BYTES_MAX: Final = 128
API_PASSPHRASE_BYTES_MAX: Final = 64
ID_BYTES_MAX: Final = 64
ADDRESS_BYTES_MAX: Final = 128
MEMO_BYTES_MAX: Final = 64
MESSAGE_BYTES_MAX: Final = 216

VALUE_ACTIONS: Final = (Action.PLACE, Action.AMEND, Action.WITHDRAW, Action.TRANSFER)
ORDER_ACTIONS: Final = (Action.PLACE, Action.AMEND)
CANCEL_ACTIONS: Final = (Action.CANCEL, Action.CANCEL_ALL, Action.CANCEL_ALL_AFTER)
FUND_ACTIONS: Final = (Action.WITHDRAW, Action.TRANSFER)
INSTRUMENT_ACTIONS: Final = (*ORDER_ACTIONS, *CANCEL_ACTIONS, Action.QUERY)
VENUE_ACTIONS: Final = (*INSTRUMENT_ACTIONS, *FUND_ACTIONS)

RULE_ACTIONS: Final[dict[Rule, tuple[Action, ...]]] = {
    Rule.ACTIONS: tuple(Action),
    Rule.VENUES: tuple(Action),
    Rule.INSTRUMENTS: INSTRUMENT_ACTIONS,
    Rule.ORDER_TYPES: ORDER_ACTIONS,
    Rule.SIDES: ORDER_ACTIONS,
    Rule.TIMES_IN_FORCE: ORDER_ACTIONS,
    Rule.DESTINATIONS: FUND_ACTIONS,
    Rule.SANCTIONS: FUND_ACTIONS,
    Rule.VALUE_CAP: VALUE_ACTIONS,
    Rule.QUANTITY_CAP: ORDER_ACTIONS,
    Rule.PRICE_COLLAR: ORDER_ACTIONS,
    Rule.DAILY_LIMIT: VALUE_ACTIONS,
    Rule.ROLLING_CAP: VALUE_ACTIONS,
    Rule.RATE_LIMIT: tuple(Action),
    Rule.HEARTBEAT: tuple(Action),
    Rule.APPROVAL: tuple(Action),
}
"""Actions to which a kind of constraint can apply (docs/2-policy.md)."""

MASK_ENUMS: Final[dict[Rule, type[IntEnum]]] = {
    Rule.ACTIONS: Action,
    Rule.VENUES: Venue,
    Rule.ORDER_TYPES: OrderType,
    Rule.SIDES: Side,
    Rule.TIMES_IN_FORCE: TimeInForce,
}
"""What the bits of an allowlist's mask mean."""


def label(member: IntEnum) -> str:
    """The name of a member as it stands in text."""
    return member.name.lower()


def mask_of(members: Iterable[int]) -> int:
    """Bit n for each n."""
    mask = 0
    for member in members:
        mask |= 1 << member
    return mask


def members_of(mask: int, kind: type[IntEnum]) -> tuple[IntEnum, ...]:
    """The members whose bit is set."""
    return tuple(member for member in kind if mask >> member & 1)

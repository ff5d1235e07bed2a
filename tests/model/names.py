"""The numbers of the layouts, as the public headers and reason.def give them.

Written by hand from the headers, so that a number that changes by mistake in the core shows up
as a disagreement here.
"""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    ALLOWED = 1
    DENIED = 2
    PENDING = 3
    FAILED = 4


class Environment(IntEnum):
    LIVE = 1
    TEST = 2
    LAB = 3


class Venue(IntEnum):
    NONE = 0
    BINANCE_SPOT = 1
    BINANCE_USDM = 2
    BYBIT = 3
    OKX = 4
    DERIBIT = 5
    HYPERLIQUID = 6


class Action(IntEnum):
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
    BUY = 1
    SELL = 2


class Type(IntEnum):
    LIMIT = 1
    MARKET = 2
    STOP_MARKET = 3
    STOP_LIMIT = 4
    TAKE_PROFIT_MARKET = 5
    TAKE_PROFIT_LIMIT = 6


class Tif(IntEnum):
    NONE = 0
    GTC = 1
    IOC = 2
    FOK = 3
    POST_ONLY = 4
    GTD = 5


class Contract(IntEnum):
    SPOT = 1
    LINEAR = 2
    INVERSE = 3
    QUANTO = 4
    OPTION = 5


class Unit(IntEnum):
    BASE = 1
    CONTRACTS = 2
    QUOTE = 3


class Account(IntEnum):
    SPOT = 1
    FUNDING = 2
    USDM = 3
    SUBACCOUNT = 8


class Algorithm(IntEnum):
    ED25519 = 1
    ECDSA_SECP256K1 = 2
    HMAC_SHA256 = 4


class Purpose(IntEnum):
    VENUE = 1
    VENUE_MASTER = 2
    MESSAGE = 3
    RECEIPT = 4
    AUTHORITY = 6


class By(IntEnum):
    """How an order names its target."""

    ACTION = 1
    VENUE_ID = 2
    CLIENT_ID = 3


class Query(IntEnum):
    ORDER = 1
    OPEN_ORDERS = 2
    FILLS = 3


class NodeKind(IntEnum):
    FIRM = 1
    GROUP = 2
    AGENT = 3


class MarkKind(IntEnum):
    INSTRUMENT = 1
    ASSET = 2


class FrameKind(IntEnum):
    AUTHORITY = 1
    POLICY = 2
    COMMAND = 4
    FEED = 5


class Verb(IntEnum):
    HALT = 1
    RESUME = 2
    DRAIN = 3
    APPROVE = 4
    REJECT = 5
    LEASE = 6


class Scope(IntEnum):
    NODE = 1
    VENUE = 2
    INSTRUMENT = 3
    RECORD = 4
    ENGINE = 5


class Cause(IntEnum):
    """Why something is stopped (SENTINEL_CAUSE_*)."""

    NONE = 0
    OPERATOR = 1
    HEARTBEAT = 2
    PROGRESS = 3
    REPORT = 4


class Position(IntEnum):
    LONG = 1
    SHORT = 2
    BOTH = 3


class Kind(IntEnum):
    """Kinds of constraint (SENTINEL_RULE_*)."""

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


class Reason(IntEnum):
    NONE = 0
    ENGINE_HALTED = 1
    CONTROL_STOP = 2
    NO_POLICY = 3
    CLOCK = 4
    LEASE = 5
    GRANT = 6
    ORDER_SIZE = 10
    ORDER_VERSION = 11
    ORDER_ACTION = 12
    ORDER_RESERVED = 13
    ORDER_ENUM = 14
    ORDER_DECIMAL = 15
    ORDER_TEXT = 16
    ORDER_FIELDS = 17
    ORDER_LAB_ONLY = 18
    ORDER_RELEASE_MODE = 19
    AGENT_UNKNOWN = 25
    AGENT_MISMATCH = 26
    DUPLICATE = 27
    ID_TOO_OLD = 28
    PARENT_UNKNOWN = 29
    INSTRUMENT_UNKNOWN = 30
    ASSET_UNKNOWN = 31
    NETWORK_UNKNOWN = 32
    TARGET_UNKNOWN = 33
    VENUE_UNKNOWN = 34
    ENVIRONMENT = 35
    TICK = 36
    LOT = 37
    KEY_NONE = 38
    KEY_AMBIGUOUS = 39
    KEY_NOT_GRANTED = 40
    KEY_UNAVAILABLE = 41
    UNSUPPORTED = 42
    NONCE = 43
    EXPIRY = 44
    LINEAGE = 45
    VENUE_HALTED = 47
    INSTRUMENT_HALTED = 48
    DRAINING = 49
    KILL_SWITCH = 50
    NO_GRANT = 51
    ACTION_NOT_ALLOWED = 52
    VENUE_NOT_ALLOWED = 53
    INSTRUMENT_NOT_ALLOWED = 54
    ORDER_TYPE_NOT_ALLOWED = 55
    SIDE_NOT_ALLOWED = 56
    TIF_NOT_ALLOWED = 57
    DESTINATION_NOT_ALLOWED = 58
    SANCTIONED = 59
    MARK_ABSENT = 60
    MARK_STALE = 61
    VALUE_OVERFLOW = 62
    VALUE_CAP = 63
    QUANTITY_CAP = 64
    PRICE_COLLAR = 65
    DAILY_LIMIT = 66
    ROLLING_CAP = 67
    RATE_LIMIT = 68
    HEARTBEAT = 69
    PROGRESS = 70
    APPROVAL = 71
    APPROVAL_REJECTED = 72
    APPROVAL_EXPIRED = 73
    APPROVALS_FULL = 74
    RENDER_FAILED = 100
    SIGN_FAILED = 101
    AUDIT_FAILED = 102
    SUPPRESSED = 110


PASS = 1
FAIL = 2
WAIT = 3
SATURATED = 1  # flags of a result
UNKNOWN = 2
IMPLICIT = 0xFFFFFFFF  # rule of an implicit result

INT64_MAX = 2**63 - 1
UINT128_MAX = 2**128 - 1
DAY_NS = 86_400 * 10**9
ID_WINDOW = 64

USAGE_STATE = 0x0102  # statuses that the model needs
FORMAT_RANGE = 0x0205
FORMAT_REFERENCE = 0x0207
FORMAT_LIMIT = 0x0209
POLICY_ENVIRONMENT = 0x0302
POLICY_SEQUENCE = 0x0303
POLICY_SIGNATURE = 0x0305
POLICY_SCOPE = 0x0309
POLICY_ENDPOINT = 0x030A
POLICY_STOPPED = 0x030B
POLICY_APPROVAL = 0x030C
POLICY_REPORT = 0x030D
POLICY_LEASE = 0x030E
POLICY_CLOCK = 0x0310

WALLET = 1 << 0  # a key's products: bit n for contract kind n, this one for funds
ALL_PRODUCTS = 0x3F
ASK_VALUE = 1 << 0  # what an approval asks about
ASK_DESTINATION = 1 << 1
OVERSIGHT_APPROVE = 2
ENDPOINT_CHECKED = 1 << 0  # flags of a key
ENDPOINT_GRANT = 1 << 1

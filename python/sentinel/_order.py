"""What every order has: its header, how its fields stand in the struct, decimals as text."""

from __future__ import annotations

import dataclasses
import decimal
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

from ._core import Packed, Plan
from ._enums import (
    ID_BYTES_MAX,
    ORDER_VERSION,
    TAG_BYTES_MAX,
    Action,
    Present,
    ReleaseMode,
    TargetBy,
    label,
)
from ._layout import Layout
from ._status import Reason
from .errors import OrderInvalid, SentinelError

DecimalText: TypeAlias = str | decimal.Decimal
"""A decimal above zero with at most 18 digits after the point; kept as text."""

Resolve: TypeAlias = Callable[[str, str], int]
"""Gives the id of a name: `resolve("instrument", "BTCUSDT")`; raises for an unknown one."""

Name: TypeAlias = Callable[[str, int], str]
"""Gives the name of an id, the inverse of `Resolve`."""

_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)
_PLAIN: Final = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?", re.ASCII)
"""Decimals that are canonical as they stand, and fit."""
_ID: Final = re.compile(r"[A-Za-z0-9._-]*", re.ASCII)
_INT64_MAX: Final = 2**63 - 1


def decimal_of(value: DecimalText, name: str = "value") -> tuple[int, int]:
    """Mantissa and scale of a decimal: "65000.10" is (6500010, 2).

    Raises TypeError for a float, OrderInvalid for what is no decimal or does not fit.
    """
    if isinstance(value, float):
        raise TypeError(
            f"{name}: {value!r} is a float, which has no exact text; write it"
            " as a string, such as '0.10', or as decimal.Decimal"
        )
    if isinstance(value, decimal.Decimal):
        value = format(value, "f") if value.is_finite() else str(value)
    if not isinstance(value, str):
        raise TypeError(f"{name}: a decimal is a str or decimal.Decimal, not {value!r}")
    match = _DECIMAL.fullmatch(value)
    if match is None:
        raise OrderInvalid(
            f"{name}: {value!r} is no decimal such as 5, 0.10 or 65000.10",
            reason=Reason.ORDER_DECIMAL,
        )
    scale = len(match[2] or "")
    mantissa = int(match[1] + (match[2] or "")) if len(value) <= 40 else _INT64_MAX + 1
    if mantissa > _INT64_MAX or scale > 18:
        raise OrderInvalid(
            f"{name}: {value} has too many digits (19 in all, 18 after the point)",
            reason=Reason.ORDER_DECIMAL,
        )
    return mantissa, scale


def decimal_text(mantissa: int, scale: int) -> str:
    """The text of a decimal, trailing zeros kept."""
    digits = str(mantissa).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


class Field(NamedTuple):
    """How one attribute stands in the struct; `bit` is its presence bit, if it has one."""

    name: str
    kind: str  # id, enum, flag, int, decimal, text, utf8, digest
    bit: Present = Present(0)
    of: Any = None  # id: kind of name; enum: its class; text: bytes that fit


HEADER: Final = (
    "version:H action:H size_bytes:I agent:I key:I action_id:Q parent_action_id:Q parent_agent:I"
    " present:I reasons_digest:32s lab_nonce:Q lab_expiry:Q release_mode:B tag_size:B _:6 tag:64s"
)
TARGET: Final = "target_by:B target_id_size:B _:6 target_action_id:Q target_id:64s"

COMMON: Final = (
    Field("key", "id", of="key"),
    Field("tag", "text", of=TAG_BYTES_MAX),
    Field("parent_agent", "id", Present.PARENT, "agent"),
    Field("parent_action_id", "int", Present.PARENT),
    Field("reasons_digest", "digest", Present.REASONS),
    Field("release_mode", "enum", of=ReleaseMode),
    Field("lab_nonce", "int", Present.LAB_NONCE),
    Field("lab_expiry", "int", Present.LAB_EXPIRY),
)
BITS: Final = {
    "lab_testnet": Present.LAB_TESTNET,
    "lab_client_id": Present.LAB_CLIENT_ID,
    "lab_waive": Present.LAB_WAIVE,
}
TARGETS: Final = {
    "target_action": TargetBy.ACTION,
    "target_venue_id": TargetBy.VENUE_ID,
    "target_client_id": TargetBy.CLIENT_ID,
}


def layout_of(action: str, size: int, fields: str) -> Layout:
    return Layout(f"order_{action}", size, f"{HEADER} {fields}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Packed):
    """What every order has.

    `key`: id of the key, or 0 for the agent's only one. `tag`: the agent's own, up to 64
    letters, digits, `.`, `_`, `-`. `parent_agent` and `parent_action_id`: the decision that this
    action follows from. `reasons_digest`: SHA-256 of the agent's stated reasons. The fields
    `lab_*` are for the environment `lab`: `lab_testnet` means the venue's test network,
    `lab_client_id` makes the tag the client order id, `lab_nonce` and `lab_expiry` are used as
    they are, `lab_waive` leaves out what is always set.
    """

    ACTION: ClassVar[Action]
    LAYOUT: ClassVar[Layout]
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    HAS_TARGET: ClassVar[bool] = False
    PLAN: ClassVar[Plan]
    _DECIMALS: ClassVar[tuple[Field, ...]] = ()
    _ENUMS: ClassVar[tuple[Field, ...]] = ()

    key: int = 0
    tag: str = ""
    parent_agent: int | None = None
    parent_action_id: int | None = None
    reasons_digest: bytes | None = None
    release_mode: ReleaseMode = ReleaseMode.TO_AGENT
    lab_testnet: bool = False
    lab_client_id: bool = False
    lab_nonce: int | None = None
    lab_expiry: int | None = None
    lab_waive: bool = False

    def __post_init__(self) -> None:
        """Brings decimals to text and numbers to their enumerations.

        Raises TypeError for a float, OrderInvalid for what is no decimal or no member.
        """
        for field in self._DECIMALS:
            value = getattr(self, field.name)
            if value is not None and not (type(value) is str and _PLAIN.fullmatch(value)):
                value = decimal_text(*decimal_of(value, field.name))
                object.__setattr__(self, field.name, value)
        for field in self._ENUMS:
            value = getattr(self, field.name)
            if value is not None and type(value) is not field.of:
                object.__setattr__(self, field.name, _member(field, value))

    def __init_subclass__(cls) -> None:
        """Once for each kind of order, so that building and packing one looks nothing up."""
        fields = cls.FIELDS + COMMON
        cls._DECIMALS = tuple(field for field in fields if field.kind == "decimal")
        cls._ENUMS = tuple(field for field in fields if field.kind == "enum")
        cls.PLAN = _plan(cls)

    def pack(self, *, agent: int, action_id: int) -> bytes:
        """The struct's bytes. The core checks them; here they only have to fit.

        Raises OrderInvalid for what does not fit into its field.
        """
        present = Present(0)
        values: dict[str, Any] = {
            "version": ORDER_VERSION,
            "action": self.ACTION,
            "size_bytes": self.LAYOUT.size,
            "agent": agent,
            "action_id": action_id,
        }
        for field in self.FIELDS + COMMON:
            value = getattr(self, field.name)
            if value is None:
                continue
            present |= field.bit
            values |= _packed(field, value)
        for name, bit in BITS.items():
            present |= bit if getattr(self, name) else 0
        if self.HAS_TARGET:
            values |= self._packed_target()
        try:
            return self.LAYOUT.pack(present=present, **values)
        except SentinelError as error:
            raise OrderInvalid(f"{label(self.ACTION)}: {error}") from None

    def _packed_target(self) -> dict[str, Any]:
        given = [name for name in TARGETS if getattr(self, name) is not None]
        if len(given) > 1:
            raise OrderInvalid(
                f"{label(self.ACTION)}: {' and '.join(given)} name two orders; give one",
                reason=Reason.ORDER_FIELDS,
            )
        if not given:
            return {}
        value = getattr(self, given[0])
        packed: dict[str, Any] = {"target_by": TARGETS[given[0]]}
        if given[0] == "target_action":
            return packed | {"target_action_id": value}
        data = _ascii(given[0], value, ID_BYTES_MAX)
        return packed | {"target_id": data, "target_id_size": len(data)}

    def to_json(self, name: Name | None = None) -> dict[str, Any]:
        """The order as JSON, for `from_json`; ids as names where `name` is given."""
        out: dict[str, Any] = {"action": label(self.ACTION)}
        kinds = {field.name: field for field in self.FIELDS + COMMON}
        for attribute in dataclasses.fields(self):
            value = getattr(self, attribute.name)
            if value == attribute.default:
                continue
            field = kinds.get(attribute.name)
            if field is not None and field.kind == "id" and name is not None:
                value = name(field.of, value)
            elif isinstance(value, IntEnum):
                value = label(value)
            elif isinstance(value, bytes):
                value = value.hex()
            out[attribute.name] = value
        return out

    def describe(self, name: Name | None = None) -> str:
        """The order in one line of plain words; ids as names where `name` is given."""
        raise NotImplementedError

    def _name(self, kind: str, value: int, name: Name | None) -> str:
        return name(kind, value) if name else f"{kind} {value}"


def _plan(cls: type[Order]) -> Plan:
    """What the core needs to pack the order by itself; all else it leaves to `Order.pack`."""
    kinds = {"id": 0, "enum": 0, "int": 0, "flag": 1, "decimal": 2, "text": 3}
    offsets, rows = cls.LAYOUT.offsets, []
    for field in cls.FIELDS + COMMON:
        width, most = cls.LAYOUT.number(field.name)
        size_at = offsets.get(f"{field.name}_size", 0)
        rows.append(
            (
                *(field.name, kinds.get(field.kind, 5), offsets[field.name]),
                *(field.of if field.kind == "text" else width, size_at, int(field.bit), most),
            )
        )
    rows += [(name, 4, 0, 0, 0, int(bit), 0) for name, bit in BITS.items()]
    if cls.HAS_TARGET:
        at, width, most = offsets["target_action_id"], *cls.LAYOUT.number("target_action_id")
        rows.append(("target_action", 6, at, width, offsets["target_by"], 0, most))
        rows += [(name, 5, 0, 0, 0, 0, 0) for name in TARGETS if name != "target_action"]
    return Plan(ORDER_VERSION, cls.ACTION, cls.LAYOUT.size, rows)


def _member(field: Field, value: Any) -> IntEnum:
    kind: type[IntEnum] = field.of
    if isinstance(value, kind):
        return value
    try:
        if isinstance(value, str):
            return kind[value.upper()] if value == value.lower() else kind(-1)
        return kind(value)
    except (KeyError, ValueError):
        known = ", ".join(label(member) for member in kind)
        raise OrderInvalid(
            f"{field.name}: {value!r} is none of {known}", reason=Reason.ORDER_ENUM
        ) from None


def _ascii(name: str, value: str, size: int) -> bytes:
    if len(value) > size or not _ID.fullmatch(value):
        raise OrderInvalid(
            f"{name}: {value!r} is not 1 to {size} letters, digits, '.', '_' or '-'",
            reason=Reason.ORDER_TEXT,
        )
    return value.encode("ascii")


def _packed(field: Field, value: Any) -> dict[str, Any]:
    name, size = field.name, f"{field.name}_size"
    if field.kind == "decimal":
        return {name: decimal_of(value, name)}
    if field.kind == "text":
        data = _ascii(name, value, field.of)
        return {name: data, size: len(data)}
    if field.kind == "utf8":
        data = value.encode()
        if not 0 < len(data) <= field.of or b"\0" in data:
            raise OrderInvalid(
                f"{name}: {len(data)} bytes; a message has 1 to {field.of}, none of them zero",
                reason=Reason.ORDER_TEXT,
            )
        return {name: data, size: len(data)}
    if field.kind == "digest":
        if len(value) != 32:
            raise OrderInvalid(f"{name}: {len(value)} bytes; a SHA-256 digest has 32")
        return {name: bytes(value)}
    if not isinstance(value, int) or (isinstance(value, bool) and field.kind != "flag"):
        raise OrderInvalid(f"{name}: {value!r} is no integer")
    if value < 0:
        raise OrderInvalid(
            f"{name}: {value} is negative", next_step="give a number that is not below 0"
        )
    return {name: int(value)}

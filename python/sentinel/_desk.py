"""What stands beside an engine when its agents sign: where answers come from, and refusals in
words.
"""

from __future__ import annotations

from typing import Final, Protocol

from . import _core
from ._denied import denial
from ._engine_halt import why_halted
from ._enums import Environment, Present, Side
from ._order import Field, Order, _member, decimal_of
from ._record import Verdict
from ._status import REASON_CODE, Reason
from ._status import Status as StatusCode
from ._types import Outcome
from .config import Installed, public_keys
from .errors import EngineHalted, OrderInvalid, SigningFailed
from .order import unpack
from .pending import pending
from .policy import Policy, decode_policy
from .witness import Client

_SIDE: Final = Field("side", "enum", of=Side)


class Origin:
    """Which engine a signature is of. Keeps no engine open."""

    __slots__ = ("_accounts", "_directory", "engine_id", "environment")

    def __init__(self, installed: Installed) -> None:
        self.engine_id: bytes = installed.engine_id
        self.environment: Environment = Environment(installed.environment)
        self._directory = installed.directory
        self._accounts: dict[int, str] = {}

    def account(self, key: int) -> str:
        """The venue's name of a key."""
        if key not in self._accounts:
            named = public_keys(self._directory)
            self._accounts = {row.info.id: row.info.api_key or row.address for row in named}
        return self._accounts.get(key, "").removeprefix("vault-")


class WitnessWords(Protocol):
    """Whoever asks a witness, or knows who does."""

    error: str

    def before_order(self, now_ns: int | None) -> None:
        """Asks where that is due."""


class Desk:
    """An engine's witness and policy, for the seats of its agents."""

    def __init__(self, engine: _core.Engine, witness: Client) -> None:
        self._engine = engine
        self._witness: WitnessWords = witness
        self._policy: Policy | None = None

    def before_order(self, now_ns: int | None) -> None:
        """Asks the witness where that is due; with nobody's turn at the engine taken."""
        self._witness.before_order(now_ns)

    def policy(self) -> Policy | None:
        """The policy in force; the same object until there is another one."""
        digest = self._engine.policy_hash
        known = self._policy
        if known is None or known.hash != digest:
            signed_part = self._engine.policy()
            # Proofs were verified when it was taken; none stand behind the part in memory.
            known = None if signed_part is None else decode_policy(signed_part + bytes(8))
            self._policy = known
        return known

    def refused(
        self, agent: int, order: Order | bytes, action_id: int, outcome: Outcome
    ) -> Exception:
        """The refusal of an order, by the policy that is in force now."""
        return self.refused_by(self.policy(), agent, order, action_id, outcome)

    def refused_by(
        self,
        policy: Policy | None,
        agent: int,
        order: Order | bytes,
        action_id: int,
        outcome: Outcome,
    ) -> Exception:
        """The refusal of an order. Without a policy it names no constraints."""
        if outcome.verdict == Verdict.FAILED and outcome.reason != Reason.ENGINE_HALTED:
            return SigningFailed(
                REASON_CODE.get(outcome.reason, str(outcome.reason)),
                status=outcome.status or None,
                record=outcome.record if outcome.recorded else None,
                epoch=outcome.epoch,
            )
        if outcome.reason == Reason.ENGINE_HALTED:
            return self._halted()
        read = _read(order)
        if outcome.verdict == Verdict.PENDING and read is not None:
            return pending(policy, agent, read, action_id, outcome)
        cause = self._witness.error if outcome.reason == Reason.GRANT else ""
        return denial(policy, agent, read, outcome, cause)

    def _halted(self) -> EngineHalted:
        halted = self._engine.state().halted
        return EngineHalted(
            f"the engine halted itself: {why_halted(halted)}",
            status=halted,
            next_step="set the clock right; then zcp resume --reason TEXT, unless"
            " zcp status says that the log's time is ahead, and what to do then"
            if halted == StatusCode.USAGE_STATE
            else "",
        )


def _read(order: Order | bytes) -> Order | None:
    """The order of a struct; None for a struct that is none: it was refused for that."""
    if isinstance(order, Order):
        return order
    try:
        return unpack(order).order
    except OrderInvalid:
        return None


class Terms:
    """How the core's prepared orders read and write what is no number."""

    decimal = staticmethod(decimal_of)

    @staticmethod
    def place(order: Order, name: str) -> tuple[int, int]:
        """Where a field stands in the order's struct, -1 where it has none; its presence bit."""
        bits = {field.name: field.bit for field in order.FIELDS}
        if name == "target_action_id" and getattr(order, "target_action", None) is None:
            return -1, 0
        return order.LAYOUT.offsets.get(name, -1), int(bits.get(name, Present(0)))

    @staticmethod
    def side(value: Side | str) -> int:
        """The number of a side, by its name or member."""
        return int(_member(_SIDE, value))

    @staticmethod
    def unpack(data: bytes) -> Order:
        """The order of a struct."""
        return unpack(data).order

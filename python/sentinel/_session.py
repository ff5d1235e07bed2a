"""One agent's session: what it signs, one by one or many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import Buffer

from . import _core
from ._core import PreparedOrder, SignedBatch, Signing
from ._desk import Terms
from ._order import Order
from ._signed import SignedOrder
from .config import keep_text
from .errors import UsageError
from .order import from_json
from .pending import Waiting

if TYPE_CHECKING:
    from .sign import Signer


class Session(Waiting, Signing):
    """One agent's session. Orders that name another agent cannot come from it."""

    def __init__(self, signer: Signer, path: str, seat: _core.Seat) -> None:
        """Use `Signer.session`."""
        self._signer = signer
        self._seat = seat
        self._sign = seat.sign
        self.path = path

    @property
    def agent(self) -> int:
        """The agent's id."""
        return self._seat.agent

    def _sign_other(
        self,
        order: Order | Mapping[str, Any],
        action_id: int | None,
        reasons: str | None,
        now_ns: int | None,
    ) -> SignedOrder:
        """What `sign` does with anything but an order object alone."""
        order = self._order(order)
        if reasons is not None:
            digest = keep_text(self._signer.installed.directory, reasons)
            order = replace(order, reasons_digest=digest)
        return self._sign(order, action_id, now_ns)

    def prepare(self, order: Order | Mapping[str, Any]) -> PreparedOrder:
        """An order for hot paths: packed once, stamped with new terms and signed again and again.

            quote = session.prepare(Place(...))
            signed = quote.sign(price="64990.10", quantity="0.001")

        Raises OrderInvalid as `sign`; nothing is signed by this.
        """
        return PreparedOrder(self._seat, self._order(order), Terms)

    def sign_many(
        self,
        orders: Buffer | Iterable[Order | Mapping[str, Any]],
        *,
        now_ns: int | None = None,
        into: SignedBatch | None = None,
    ) -> SignedBatch:
        """Signs or refuses each of many orders, in their order; one that is refused stops none.

        `orders`: structs in anything with the buffer protocol: an array of one struct's dtype
        (`order.dtype`) or of 384 bytes an item, or bytes with one struct behind the other; or
        order objects. At most `SIGN_MANY_MAX`. An agent or action id of 0 is filled in: this
        session's, and the next one. `now_ns`: one Unix time for all; default the clock, anew for
        each. `into`: an earlier batch to be filled again, which saves memory; no view of it may be
        left.

        The interpreter's lock is released, and other threads that sign or operate the engine get
        their turns in between. An engine that halts refuses the rest. A batch is returned whatever
        was refused; UsageError, for what is no array of orders, comes before anything is signed.
        An exception in the midst (a signal handler's, a closed engine) leaves in `into` what was
        decided; all of that is recorded.
        """
        if _core.is_buffer(orders):
            return _core.sign_many(self._seat, orders, into, now_ns)
        structs = [_core.blank(self._order(order)) for order in orders]
        return _core.sign_many(self._seat, b"".join(structs), into, now_ns)

    def _order(self, order: Order | Mapping[str, Any]) -> Order:
        if isinstance(order, Order):
            return order
        if isinstance(order, Mapping):
            return from_json(order, resolve=self._signer.resolve)
        raise UsageError(f"an order, or JSON data of one, is needed, not {type(order).__name__}")

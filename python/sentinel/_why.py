"""Why an order was refused, in the terms of its venue, and what to change.

The core gives one reason; this says what of the order it means. It is advice alone: nothing here
decides, and where it knows nothing, the general advice stands.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from ._advice import Advice
from ._enums import Action, Product, Purpose, Venue, label, members_of
from ._order import Order, decimal_of, decimal_text
from ._status import Reason
from ._why_venue import FUNDS, Case, unsupported
from .order import CancelAllAfter, Place
from .policy import Key, Node, Policy
from .units import Quantity

__all__ = ["CLIENT_IDS", "case_of", "why"]

CLIENT_IDS: Final = {
    Venue.BINANCE_SPOT: "1 to 36 letters, digits, '.', '_' or '-'",
    Venue.BINANCE_USDM: "1 to 36 letters, digits, '.', '_' or '-'",
    Venue.BYBIT: "1 to 36 letters, digits, '_' or '-'",
    Venue.OKX: "1 to 32 letters or digits",
    Venue.DERIBIT: "1 to 64 letters, digits, '.', '_' or '-'",
    Venue.HYPERLIQUID: "32 hexadecimal digits in lower case, with or without 0x before them",
}
"""What a client order id may be."""

_WINDOW_MS_MAX: Final = 60_000


def case_of(policy: Policy, agent: Node, order: Order, now_ms: int) -> Case:
    """A case of a policy's engine: rows are looked up. What the engine's book alone knows (what an
    earlier action was about) stays unknown.
    """
    row = policy.instruments.get(getattr(order, "instrument", None) or 0)
    venue = Venue(row.venue if row is not None else getattr(order, "venue", None) or Venue.NONE)
    if order.ACTION in FUNDS:
        asset = policy.assets.get(getattr(order, "asset", 0))
        venue = asset.venue if asset is not None else Venue.NONE
        keys = [key for key in _keys_of(policy, agent) if _is_for(key, order, Product.WALLET)]
        if not venue and len(keys) == 1:
            venue = keys[0].venue
    return Case(
        order=order,
        venue=venue,
        now_ms=now_ms,
        name=row.name if row is not None else "",
        contract=row.contract if row is not None else None,
        unit=row.unit if row is not None else None,
        tick=row.tick if row is not None else None,
        lot=row.lot if row is not None else None,
        is_test=label(policy.environment) == "test",
        policy=policy,
        agent=agent,
    )


def why(reason: int, case: Case) -> Advice | None:
    """The likely cause and the next step; None where the reason says all that is known."""
    explain = _EXPLAIN.get(reason)
    return explain(case) if explain is not None else None


# ---- The grid ------------------------------------------------------------------------------------


def _steps(value: tuple[int, int], step: Quantity) -> tuple[str, str] | None:
    """The multiples of a step below and above; None for a multiple of it."""
    scale = max(value[1], step.scale)
    number = value[0] * 10 ** (scale - value[1])
    unit = step.mantissa * 10 ** (scale - step.scale)
    if number % unit == 0:
        return None
    below = number // unit * step.mantissa
    return decimal_text(below, step.scale), decimal_text(below + step.mantissa, step.scale)


def _off_grid(case: Case, fields: tuple[str, ...], step: Quantity | None, what: str) -> Advice:
    for field in fields:
        text = getattr(case.order, field, None)
        if text is None or step is None:
            continue
        near = _steps(decimal_of(text, field), step)
        if near is not None:
            size = decimal_text(step.mantissa, step.scale)
            below = f"{near[0]} or " if decimal_of(near[0])[0] else ""
            return Advice(
                f"{field} {text} is no multiple of {size}, the {what} of {case.name}",
                f"round it: {below}{near[1]}",
            )
    if case.venue is Venue.HYPERLIQUID and what == "tick":
        return Advice(
            "hyperliquid takes prices of at most five significant figures, with 6 decimals (spot:"
            " 8) less those of the lot, or whole numbers",
            "round the price to five significant figures",
        )
    return Advice(f"it is finer than the {what} of the instrument", f"round it to the {what}")


def _tick(case: Case) -> Advice:
    return _off_grid(case, ("price", "trigger_price"), case.tick, "tick")


def _lot(case: Case) -> Advice:
    return _off_grid(case, ("quantity",), case.lot, "lot")


# ---- Times, ids ----------------------------------------------------------------------------------


def _time(ms: int) -> str:
    try:
        return f"{ms} ({datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ})"
    except (ValueError, OverflowError, OSError):
        return f"{ms}"


def _expiry(case: Case) -> Advice:
    order = case.order
    if isinstance(order, Place) and order.expire_ms is not None and order.expire_ms <= case.now_ms:
        return Advice(
            f"expire_ms {_time(order.expire_ms)} had passed at {_time(case.now_ms)}",
            "give a later expire_ms, in Unix milliseconds",
        )
    if isinstance(order, CancelAllAfter):
        return Advice(
            f"{case.at} takes a time that is at least 5 seconds ahead",
            "give a later at_ms, or a longer timeout_ms",
        )
    given = order.lab_expiry
    if given is None:
        return Advice(
            f"{case.at} does not take the validity that the policy gives to the key",
            "shorten `validity:` of the key in the policy",
        )
    if case.venue in (Venue.BINANCE_SPOT, Venue.BINANCE_USDM, Venue.BYBIT):
        return Advice(
            f"recvWindow {given} is not 1 to {_WINDOW_MS_MAX} milliseconds",
            f"give 1 to {_WINDOW_MS_MAX}, or leave it out",
        )
    return Advice(
        f"the expiry {_time(given)} is not after the timestamp {_time(case.now_ms)}, or further"
        f" from it than {case.at} takes",
        "give a time shortly after the timestamp, in Unix milliseconds, or leave it out",
    )


def _nonce(case: Case) -> Advice | None:
    given = case.order.lab_nonce
    if given is None:
        return Advice(
            "nonces follow the time, and the last one is more than an hour ahead of it",
            "set the clock right, or wait until it has caught up",
        )
    return Advice(
        f"the nonce {given} is not above the last one of this engine; {case.at} takes each once",
        "give a higher one, or leave it out: the engine counts by itself",
    )


def _text(case: Case) -> Advice | None:
    order = case.order
    target = getattr(order, "target_venue_id", None)
    if target is not None and case.venue is Venue.HYPERLIQUID:
        return Advice(
            f"hyperliquid's order ids are whole numbers, and {target!r} is none",
            "give the venue's number of the order, without leading zeros",
        )
    if case.venue is Venue.HYPERLIQUID and order.ACTION in FUNDS:
        return Advice(
            "hyperliquid's addresses are 0x and 40 hexadecimal digits",
            "write the address so, also in the policy's `destinations:`",
        )
    if case.venue in CLIENT_IDS and (
        order.lab_client_id or getattr(order, "target_client_id", None) is not None
    ):
        return Advice(
            f"a client order id of {case.at} has {CLIENT_IDS[case.venue]}", "give such a one"
        )
    return None


def _lab_only(case: Case) -> Advice:
    names = ("lab_testnet", "lab_client_id", "lab_nonce", "lab_expiry", "lab_waive")
    given = [n for n in names if getattr(case.order, n) not in (None, False)]
    given += [n for n in ("target_venue_id", "target_client_id") if case.has(n)]
    what = ", ".join(given) or "a field"
    return Advice(
        f"{what}: outside of the environment lab, the engine chooses it",
        "leave it out" + ("; name the order by target_action" if "target" in what else ""),
    )


# ---- Keys ----------------------------------------------------------------------------------------


def _keys_of(policy: Policy, agent: Node) -> list[Key]:
    chain = {node.index for node in policy.chain(agent)}
    return [key for key in policy.keys.values() if key.node in chain]


def _product(case: Case) -> Product | None:
    if case.order.ACTION in FUNDS:
        return Product.WALLET
    contract = case.contract or getattr(case.order, "contract", None)
    return Product(contract) if contract else None


def _is_for(key: Key, order: Order, product: Product | None) -> bool:
    """Purpose and product fit, as the gate judges it."""
    funds = order.ACTION in FUNDS
    master = key.venue is Venue.HYPERLIQUID and funds
    fits = product is None or bool(key.products >> product & 1)
    return key.purpose is (Purpose.VENUE_MASTER if master else Purpose.VENUE) and fits


def _good_for(key: Key) -> str:
    products = ", ".join(label(product) for product in members_of(key.products, Product))
    master = ", a master key" if key.purpose is Purpose.VENUE_MASTER else ""
    return f"{key.name} ({label(key.venue)}: {products or 'messages'}{master})"


def _only_masters(case: Case) -> Advice | None:
    if case.venue is not Venue.HYPERLIQUID:
        return None
    if case.order.ACTION in FUNDS:
        return Advice(
            "at hyperliquid only a master key moves funds; an agent key trades, and cannot",
            "import the master key with --master, and grant it in the policy with"
            " `purpose: venue_master`",
        )
    return None


def _key_none(case: Case) -> Advice | None:
    if case.policy is None or case.agent is None:
        return None
    if case.order.ACTION is Action.MESSAGE:
        return Advice(
            f"{case.agent.path} has no message key", "grant one in the policy: `purpose: message`"
        )
    mastered = _only_masters(case)
    if mastered is not None:
        return mastered
    product = _product(case)
    what = f"{label(product)} at {case.at}" if product is not None else case.at
    own = [key for key in _keys_of(case.policy, case.agent) if key.venue is case.venue]
    if not own:
        return Advice(
            f"{case.agent.path} has no key of {case.at}",
            "grant it one in the policy: `keys:`, `for:`",
        )
    return Advice(
        f"no key of {case.agent.path} is good for {what}; it has {', '.join(map(_good_for, own))}",
        "make a key for it at the venue, and grant it in the policy with `products:`",
    )


def _key_not_granted(case: Case) -> Advice | None:
    if case.policy is None or case.agent is None:
        return None
    key = case.policy.keys.get(case.order.key)
    another = _another(case.policy, case.agent)
    if key is None:
        if not case.order.key:
            return Advice(
                "its signature does not cover the endpoint, and the policy does not say that the"
                " key was limited",
                "write `endpoint: checked` or `endpoint: granted` at the key",
            )
        return Advice("the policy has no such key", another)
    if key.node not in {node.index for node in case.policy.chain(case.agent)}:
        node = case.policy.nodes[key.node].path
        return Advice(f"{_good_for(key)} is for {node}, not {case.agent.path}", another)
    if key.purpose is Purpose.VENUE_MASTER and case.order.ACTION not in FUNDS:
        return Advice(f"{_good_for(key)} moves funds and nothing else", "trade with an agent key")
    if key.venue is Venue.HYPERLIQUID and case.order.ACTION in FUNDS:
        return _only_masters(Case(case.order, key.venue, case.now_ms))
    if case.venue and key.venue is not case.venue:
        return Advice(f"{_good_for(key)} is not of {case.at}", another)
    product = _product(case)
    what = label(product) if product is not None else label(case.order.ACTION)
    return Advice(f"{_good_for(key)} is not good for {what}", another)


def _another(policy: Policy, agent: Node) -> str:
    own = ", ".join(map(_good_for, _keys_of(policy, agent)))
    return f"leave `key` out, or name one of: {own or 'none is granted'}"


def _fitting(case: Case, policy: Policy, agent: Node) -> list[str]:
    """Names of the keys that the order could be signed with."""
    product, named = _product(case), case.order.key
    return [
        key.name
        for key in _keys_of(policy, agent)
        if named in (0, key.id)
        and _is_for(key, case.order, product)
        and case.venue in (Venue.NONE, key.venue)
    ]


def _key_unavailable(case: Case) -> Advice | None:
    if case.policy is None or case.agent is None:
        return None
    names = " or ".join(_fitting(case, case.policy, case.agent)) or "the key"
    if case.venue is Venue.OKX:
        return Advice(
            f"{names} has no passphrase here, is not in this engine's keyring, or was imported anew"
            " since the policy was loaded",
            "see zcp key list; import it with --api-passphrase-file, then load the policy again",
        )
    return Advice(
        f"{names} is not in this engine's keyring, or was imported anew since the policy was"
        " loaded",
        "see zcp key list; import it, then load the policy again",
    )


def _key_ambiguous(case: Case) -> Advice | None:
    if case.policy is None or case.agent is None:
        return None
    fitting = _fitting(case, case.policy, case.agent)
    return Advice(
        f"{case.agent.path} may use several: {', '.join(fitting)}",
        f'name one in the order, such as "key": "{fitting[0] if fitting else ""}"',
    )


def _render_failed(case: Case) -> Advice | None:
    if case.venue is Venue.HYPERLIQUID:
        return Advice(
            "whom the key acts for is neither an account nor a vault, or a number is too long",
            "import the key with --account or --vault: 0x and 40 hex digits in lower case",
        )
    if case.venue:
        return Advice(
            f"the key has no API key, which {case.at} wants in a header",
            "import it with --api-key, and load the policy again",
        )
    return None


_EXPLAIN: Final[dict[int, Callable[[Case], Any]]] = {
    Reason.TICK: _tick,
    Reason.LOT: _lot,
    Reason.EXPIRY: _expiry,
    Reason.NONCE: _nonce,
    Reason.ORDER_TEXT: _text,
    Reason.ORDER_LAB_ONLY: _lab_only,
    Reason.KEY_NONE: _key_none,
    Reason.KEY_NOT_GRANTED: _key_not_granted,
    Reason.KEY_AMBIGUOUS: _key_ambiguous,
    Reason.KEY_UNAVAILABLE: _key_unavailable,
    Reason.RENDER_FAILED: _render_failed,
    Reason.UNSUPPORTED: unsupported,
}

"""A fake of Hyperliquid: signed actions on /exchange, public questions on /info.

Facts: the venue's documents (exchange endpoint, info endpoint, nonces and API wallets, tick and lot
size, error responses) and its Python SDK. The signer is recovered over the action as this venue
reads it: its own order of names, decimals without trailing zeros. Whoever signed other bytes is
another address, and that is what the answer says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from tests.venues.fields import boolean, first_wrong, integer, like, word
from tests.venues.hyperliquid_sign import USER_TYPES, l1_digest, recover, user_digest
from tests.venues.loopback import (
    Answer,
    BookOrder,
    Instrument,
    LoopbackVenue,
    Refused,
    Request,
    load_object,
    text_of,
)

DAY_MS = 86_400_000
NONCES_KEPT = 100
SCHEDULE_AHEAD_MS_MIN = 5_000
PRICE_FIGURES_MAX = 5
VALUE_MIN = Decimal(10)
Action = dict[str, Any]
TIFS = word("Gtc", "Ioc", "Alo")
cloid_text = like(r"0x[0-9a-f]{32}")
decimal = like(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,8})?")
address_text = like(r"0x[0-9a-f]{40}")
token_text = like(r"[A-Za-z0-9]{1,12}:0x[0-9a-f]{32}")
GONE = "Order was never placed, already canceled, or filled."


class Hyperliquid(LoopbackVenue):
    """`keys` say who may act: addresses of accounts, and of agents with their `account`."""

    name = "hyperliquid"

    def __init__(
        self,
        *,
        mainnet: bool = False,
        vaults: Iterable[str] = (),
        builders: Iterable[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.builders = set(builders)
        self.signers = {
            key.api_key.lower(): (key.account or key.api_key).lower() for key in self.keys.values()
        }
        self.mainnet = mainnet
        self.vaults = {vault.lower() for vault in vaults}
        self.nonces: dict[str, list[int]] = {}
        self.by_index = {row.index: row for row in self.instruments.values()}

    def refusal(self, code: str, text: str) -> Refused:
        return Refused(code, Answer({"status": "err", "response": text}))

    def unreadable(self, why: str) -> Refused:
        text = "Failed to deserialize the JSON body into the target type"
        return Refused("422", Answer(f"{text}: {why}", 422))

    def rate_limited(self) -> Answer:
        return Answer("null", 429, (("Retry-After", "1"),))

    def handle(self, request: Request) -> Answer:
        body = load_object(request.body)
        if request.method != "POST" or request.path not in ("/exchange", "/info"):
            raise Refused("404", Answer("404 Not Found", 404))
        if body is None or request.headers.get("content-type") != "application/json":
            raise self.unreadable("not an object")
        if request.path == "/info":
            return self._info(request, body)
        return self._exchange(request, body)

    # Signed actions.

    def _exchange(self, request: Request, body: dict[str, Any]) -> Answer:
        envelope = {
            "action": lambda value: isinstance(value, dict),
            "nonce": integer,
            "signature": lambda value: isinstance(value, dict) and set(value) == {"r", "s", "v"},
            "vaultAddress": lambda value: value is None or address_text(value),
            "expiresAfter": lambda value: value is None or integer(value),
        }
        wrong = first_wrong(body, envelope, ("action", "nonce", "signature"))
        kind = body.get("action", {}).get("type") if wrong is None else None
        if wrong is not None or (kind not in READERS and kind not in USER_TYPES):
            raise self.unreadable(" ".join(wrong or ("unknown action", str(kind))))
        action, nonce, vault = body["action"], body["nonce"], body.get("vaultAddress")
        if kind in USER_TYPES:
            user = self._user_signer(body, action)
            self._take_nonce(user, nonce)
            return self._move(request, user, action)
        try:
            action = READERS[kind](action)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self.unreadable(str(error)) from None
        expires = body.get("expiresAfter")
        digest = l1_digest(action, nonce, vault, expires, mainnet=self.mainnet)
        signer = recover(digest, body["signature"])
        if signer is None:
            raise self.refusal("signature", "Unable to recover signer.")
        if signer not in self.signers:
            text = f"User or API Wallet {signer} does not exist."
            raise self.refusal("signature", text)
        if vault is not None and vault not in self.vaults:
            raise self.refusal("vault", f"Vault not registered: {vault}")
        if expires is not None and self.now_ms() > expires:
            raise self.refusal("expired", "Action already expired")
        self._take_nonce(signer, nonce)
        return ACTIONS[kind](self, request, action)

    def _take_nonce(self, signer: str, nonce: int) -> None:
        """Of each signer the 100 highest are kept; a new one is above the lowest and not one."""
        kept = self.nonces.setdefault(signer, [])
        now = self.now_ms()
        if nonce in kept:
            self.duplicates["nonce"] += 1
            raise self.refusal("nonce", f"Invalid nonce: duplicate nonce {nonce}")
        if nonce <= now - 2 * DAY_MS:
            text = f"Invalid nonce: nonce too low {nonce} < {now - 2 * DAY_MS}"
            raise self.refusal("nonce", text)
        if nonce >= now + DAY_MS:
            raise self.refusal("nonce", f"Invalid nonce: nonce too high {nonce}")
        if len(kept) == NONCES_KEPT:
            if nonce < kept[0]:
                raise self.refusal("nonce", f"Invalid nonce: nonce too low {nonce} < {kept[0]}")
            kept.pop(0)
        kept.append(nonce)
        kept.sort()

    # Orders.

    def _order_error(self, wire: Action) -> str | None:
        """Why a wire order cannot be; the venue's own words."""
        row = self.by_index.get(wire["a"])
        if row is None:
            return "Invalid asset"
        price, size = Decimal(wire["p"]), Decimal(wire["s"])
        trigger = wire["t"].get("trigger")
        if size == 0:
            return "Order has zero size."
        if -size.normalize().as_tuple().exponent > row.size_decimals:  # type: ignore[operator]
            return "Order has invalid size."
        for value in (price, *([Decimal(trigger["triggerPx"])] if trigger else [])):
            if value == 0:
                return "Order has invalid price."
            if not self._is_price(row, value):
                return "Price must be divisible by tick size."
        if size * price < VALUE_MIN and not wire["r"]:
            return "Order must have minimum value of $10."
        return None

    def _is_price(self, row: Instrument, value: Decimal) -> bool:
        """At most five figures and 6 (spot: 8) less the size's decimals; whole numbers always."""
        if value == value.to_integral_value():
            return True
        digits = value.normalize().as_tuple()
        decimals = -int(digits.exponent)
        spot = row.index >= 10_000
        most = (8 if spot else 6) - row.size_decimals
        return len(digits.digits) <= PRICE_FIGURES_MAX and decimals <= most

    def _enter(self, wire: Action) -> dict[str, Any]:
        row = self.by_index[wire["a"]]
        number, now = 77_738_308 + len(self.orders), self.now_ms()
        trigger, limit = wire["t"].get("trigger"), wire["t"].get("limit")
        cloid = wire.get("c", "")
        if cloid and cloid in self.by_client_id:
            self.duplicates["client id"] += 1  # the documents do not promise that it is refused
        order = BookOrder(
            number,
            str(number),
            cloid,
            row.symbol,
            "buy" if wire["b"] else "sell",
            "Trigger" if trigger else "Limit",
            limit["tif"] if limit else "",
            Decimal(wire["s"]),
            Decimal(wire["p"]),
            Decimal(trigger["triggerPx"]) if trigger else None,
            now,
            now,
            terms=wire,
        )
        self.enter(order)
        own = {"cloid": cloid} if cloid else {}
        if trigger:
            order.state = "untriggered"
        elif order.time_in_force == "Ioc":
            self.fill(order)
            total, average = text_of(order.filled), text_of(order.average)
            return {"filled": {"totalSz": total, "avgPx": average, "oid": number, **own}}
        return {"resting": {"oid": number, **own}}

    def order(self, request: Request, action: Action) -> Answer:
        if "builder" in action and action["builder"]["b"] not in self.builders:
            raise self.refusal("builder", "Builder fee has not been approved.")
        statuses: list[Any] = []
        for wire in action["orders"]:
            error = self._order_error(wire)
            if error is not None:
                self.refused[error] += 1
                statuses.append({"error": f"{error} asset={wire['a']}"})
                continue
            statuses.append(self._enter(wire))
            terms = {name: value for name, value in wire.items() if name != "c"}
            self.accept(request, "place", terms, wire.get("c", ""), self.orders[-1].id)
        return done("order", statuses)

    def batch_modify(self, request: Request, action: Action) -> Answer:
        """The old order goes, a new one with a number of its own comes."""
        statuses: list[Any] = []
        for modify in action["modifies"]:
            wire = modify["order"]
            old = self._find(modify["oid"])
            error: str | None = "Cannot modify canceled or filled order"
            if old is not None and old.is_live and self.by_index.get(wire["a"]) is not None:
                same = self.by_index[wire["a"]].symbol == old.symbol
                error = self._order_error(wire) if same else error
            if error is not None or old is None:
                self.refused[str(error)] += 1
                statuses.append({"error": error})
                continue
            self.cancel(old)
            if old.client_id and old.client_id == wire.get("c"):
                del self.by_client_id[old.client_id]
            statuses.append(self._enter(wire))
            self.orders[-1].amends = old.amends + 1
            self.accept(request, "amend", modify, wire.get("c", ""), self.orders[-1].id)
        return done("order", statuses)

    def _find(self, oid: int | str) -> BookOrder | None:
        if isinstance(oid, int):
            return self.by_id.get(str(oid))
        return self.by_client_id.get(oid)

    def cancel_some(self, request: Request, action: Action) -> Answer:
        statuses: list[Any] = []
        for item in action["cancels"]:
            asset = item.get("a", item.get("asset"))
            order = self._find(item.get("o", item.get("cloid")))
            row = self.by_index.get(asset)
            if order is None or not order.is_live or row is None or row.symbol != order.symbol:
                self.refused[GONE] += 1
                statuses.append({"error": f"{GONE} asset={asset}"})
                continue
            self.cancel(order)
            self.accept(request, "cancel", item, order.client_id, order.id)
            statuses.append("success")
        return done("cancel", statuses)

    def schedule_cancel(self, request: Request, action: Action) -> Answer:
        at = action.get("time")
        if at is not None and at < self.now_ms() + SCHEDULE_AHEAD_MS_MIN:
            raise self.refusal("schedule", "Scheduled cancel time too early")
        self.timers.pop("", None)
        if at is not None:
            self.timers[""] = at
        self.accept(request, "cancel_all_after", action)
        return Answer({"status": "ok", "response": {"type": "default"}})

    # Money: the account's own key signs, its agents never.

    def _user_signer(self, body: dict[str, Any], action: Action) -> str:
        names = USER_TYPES[action["type"]].fields
        table = {name: USER_FIELDS[name] for name, _ in names} | USER_FRAME
        wrong = first_wrong(action, table, tuple(table))
        if wrong is not None or body.get("vaultAddress") is not None:
            raise self.unreadable(" ".join(wrong or ("vaultAddress",)))
        time = action.get("time", action.get("nonce"))
        chain = "Mainnet" if self.mainnet else "Testnet"
        if time != body["nonce"] or action["hyperliquidChain"] != chain:
            raise self.refusal("chain", "Invalid chain or nonce of the action")
        signer = recover(user_digest(action), body["signature"])
        if signer is None:
            raise self.refusal("signature", "Unable to recover signer.")
        if signer not in self.signers.values():
            text = f"Must deposit before performing actions. User: {signer}"
            raise self.refusal("signature", text)
        return signer

    def _move(self, request: Request, user: str, action: Action) -> Answer:
        kind = action["type"]
        asset = action.get("token", "USDC").partition(":")[0]
        if not self.debit(asset, Decimal(action["amount"])):
            text = "Insufficient balance for " + ("withdrawal" if kind == "withdraw3" else "token "
                                                  "transfer")  # fmt: skip
            raise self.refusal("balance", text)
        name = "withdraw" if kind == "withdraw3" else "transfer"
        terms = {key: value for key, value in action.items() if key not in ("time", "nonce")}
        self.accept(request, name, terms | {"user": user})
        return Answer({"status": "ok", "response": {"type": "default"}})

    # Public questions.

    def _info(self, request: Request, body: dict[str, Any]) -> Answer:
        kind, user = body.get("type"), body.get("user")
        if not isinstance(user, str) or kind not in INFO:
            raise self.unreadable("an unknown question")
        known = user.lower() in {*self.signers.values(), *self.vaults}
        self.accept(request, "query", body)
        return Answer(INFO[kind](self, body, known))

    def order_status(self, body: dict[str, Any], known: bool) -> object:
        oid = body.get("oid")
        if not (integer(oid) or cloid_text(oid)):
            raise self.unreadable("oid")
        order = self._find(oid) if known else None  # type: ignore[arg-type]
        if order is None:
            return {"status": "unknownOid"}
        states = {"untriggered": "open", "cancelled": "canceled"}
        inner = self._row(order) | {
            "triggerCondition": "N/A",
            "isTrigger": order.trigger_price is not None,
            "triggerPx": text_of(order.trigger_price or Decimal(0)),
            "children": [],
            "isPositionTpsl": False,
            "reduceOnly": order.terms["r"],
            "orderType": order.type,
            "tif": order.time_in_force or None,
            "cloid": order.client_id or None,
        }
        state = states.get(order.state, order.state)
        outer = {"order": inner, "status": state, "statusTimestamp": order.updated_ms}
        return {"status": "order", "order": outer}

    def open_orders(self, body: dict[str, Any], known: bool) -> object:
        rows = [self._row(order) for order in self.live()] if known else []
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    def _row(self, order: BookOrder) -> dict[str, Any]:
        return {
            "coin": order.symbol,
            "side": "B" if order.side == "buy" else "A",
            "limitPx": text_of(order.price or Decimal(0)),
            "sz": text_of(order.quantity - order.filled),
            "oid": order.number,
            "timestamp": order.created_ms,
            "origSz": text_of(order.quantity),
            "cloid": order.client_id or None,
        }

    def user_fills(self, body: dict[str, Any], known: bool) -> object:
        start, end = body.get("startTime", 0), body.get("endTime", 10**15)
        return [
            {
                "coin": fill.order.symbol,
                "px": text_of(fill.price),
                "sz": text_of(fill.quantity),
                "side": "B" if fill.order.side == "buy" else "A",
                "time": fill.at_ms,
                "startPosition": "0.0",
                "dir": "Open Long" if fill.order.side == "buy" else "Open Short",
                "closedPnl": "0.0",
                "hash": f"0x{fill.number:064x}",
                "oid": fill.order.number,
                "crossed": True,
                "fee": "0.0",
                "feeToken": "USDC",
                "tid": fill.number,
                "cloid": fill.order.client_id or None,
            }
            for fill in reversed(self.fills)
            if known and start <= fill.at_ms <= end
        ]


def done(kind: str, statuses: list[Any]) -> Answer:
    return Answer({"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}})


# Readers: an action as the venue holds it, its names in its own order, or an exception.


def _check(ok: bool, what: str) -> None:
    if not ok:
        raise ValueError(what)


def _only(value: Action, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    _check(isinstance(value, dict), "not an object")
    _check(set(names) <= set(value) <= {*names, *optional}, f"names {sorted(value)}")


def _number(value: Any) -> str:
    """A decimal text, as the venue writes it again: without zeros at its end."""
    _check(decimal(value), f"number {json.dumps(value, default=str)}")
    return text_of(Decimal(value)).rstrip("0").rstrip(".") if "." in value else str(value)


def _wire(value: Action) -> Action:
    _only(value, ("a", "b", "p", "s", "r", "t"), ("c",))
    _check(integer(value["a"]) and boolean(value["b"]) and boolean(value["r"]), "types")
    kind = value["t"]
    if "limit" in kind:
        _only(kind, ("limit",))
        _only(kind["limit"], ("tif",))
        _check(TIFS(kind["limit"]["tif"]), "tif")
    else:
        _only(kind, ("trigger",))
        inner = kind["trigger"]
        _only(inner, ("isMarket", "triggerPx", "tpsl"))
        _check(boolean(inner["isMarket"]) and word("tp", "sl")(inner["tpsl"]), "trigger")
        price = _number(inner["triggerPx"])
        kind = {"trigger": {"isMarket": inner["isMarket"], "triggerPx": price}}
        kind["trigger"]["tpsl"] = inner["tpsl"]
    wire = {"a": value["a"], "b": value["b"], "p": _number(value["p"]), "s": _number(value["s"])}
    wire |= {"r": value["r"], "t": kind}
    if "c" in value:
        _check(cloid_text(value["c"]), "cloid")
        wire["c"] = value["c"]
    return wire


def _read_order(action: Action) -> Action:
    _only(action, ("type", "orders", "grouping"), ("builder",))
    _check(action["grouping"] == "na" and len(action["orders"]) > 0, "grouping")
    read: Action = {
        "type": "order",
        "orders": [_wire(o) for o in action["orders"]],
        "grouping": "na",
    }
    if "builder" in action:
        builder = action["builder"]
        _only(builder, ("b", "f"))
        _check(address_text(builder["b"]) and integer(builder["f"]), "builder")
        read["builder"] = {"b": builder["b"], "f": builder["f"]}
    return read


def _read_modify(action: Action) -> Action:
    _only(action, ("type", "modifies"))
    modifies = []
    for item in action["modifies"]:
        _only(item, ("oid", "order"))
        _check(integer(item["oid"]) or cloid_text(item["oid"]), "oid")
        modifies.append({"oid": item["oid"], "order": _wire(item["order"])})
    return {"type": "batchModify", "modifies": modifies}


def _read_cancel(action: Action) -> Action:
    _only(action, ("type", "cancels"))
    for item in action["cancels"]:
        _only(item, ("a", "o"))
        _check(integer(item["a"]) and integer(item["o"]), "cancel")
    cancels = [{"a": item["a"], "o": item["o"]} for item in action["cancels"]]
    return {"type": "cancel", "cancels": cancels}


def _read_cancel_by_cloid(action: Action) -> Action:
    _only(action, ("type", "cancels"))
    for item in action["cancels"]:
        _only(item, ("asset", "cloid"))
        _check(integer(item["asset"]) and cloid_text(item["cloid"]), "cancel")
    cancels = [{"asset": item["asset"], "cloid": item["cloid"]} for item in action["cancels"]]
    return {"type": "cancelByCloid", "cancels": cancels}


def _read_schedule(action: Action) -> Action:
    _only(action, ("type",), ("time",))
    _check("time" not in action or integer(action["time"]), "time")
    found: Action = {"type": "scheduleCancel"}
    return found | ({"time": action["time"]} if "time" in action else {})


READERS: dict[str, Callable[[Action], Action]] = {
    "order": _read_order,
    "batchModify": _read_modify,
    "cancel": _read_cancel,
    "cancelByCloid": _read_cancel_by_cloid,
    "scheduleCancel": _read_schedule,
}
ACTIONS: dict[str, Callable[[Hyperliquid, Request, Action], Answer]] = {
    "order": Hyperliquid.order,
    "batchModify": Hyperliquid.batch_modify,
    "cancel": Hyperliquid.cancel_some,
    "cancelByCloid": Hyperliquid.cancel_some,
    "scheduleCancel": Hyperliquid.schedule_cancel,
}
INFO: dict[str, Callable[[Hyperliquid, dict[str, Any], bool], object]] = {
    "orderStatus": Hyperliquid.order_status,
    "openOrders": Hyperliquid.open_orders,
    "frontendOpenOrders": Hyperliquid.open_orders,
    "userFills": Hyperliquid.user_fills,
    "userFillsByTime": Hyperliquid.user_fills,
}
USER_FIELDS = {
    "hyperliquidChain": word("Mainnet", "Testnet"),
    "destination": address_text,
    "token": token_text,
    "amount": like(r"(0|[1-9][0-9]*)(\.[0-9]+)?( subaccount:0x[0-9a-f]{40})?"),
    "toPerp": boolean,
    "time": integer,
    "nonce": integer,
}
USER_FRAME = {"type": word(*USER_TYPES), "signatureChainId": like(r"0x[0-9a-f]+")}

"""Random policies and their next versions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from random import Random
from typing import Any

from tests.model import model, value
from tests.model.names import (
    ASK_DESTINATION,
    ASK_VALUE,
    INT64_MAX,
    Contract,
    Environment,
    Kind,
    MarkKind,
    NodeKind,
    Scope,
    Type,
    Unit,
    Venue,
)
from tests.model.tables import (
    Asset,
    Constraint,
    Decimal,
    Destination,
    Instrument,
    Network,
    Node,
    Policy,
)

ALL_ACTIONS = 0x3FE
ALL_VENUES = 0x7F
ADDRESSES = ("0xAbCdEf01", "0xabcdef02", "bc1qOne", "bc1qTwo", "TRON-9", "sub_1", "sub_2")
MEMOS = ("", "7", "memo.A")
MASKS = {  # kind: bits that exist
    Kind.ACTIONS: range(1, 10),
    Kind.VENUES: range(7),
    Kind.ORDER_TYPES: range(1, 7),
    Kind.SIDES: range(1, 3),
    Kind.TIMES_IN_FORCE: range(6),
}
GRANTS = {Kind.ACTIONS, Kind.DESTINATIONS}


@dataclass(frozen=True)
class Style:
    """What one level of the comparison wants of a policy."""

    venues: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    contracts: tuple[Contract, ...] = (
        *Contract,
        *(3 * [Contract.SPOT, Contract.LINEAR, Contract.OPTION]),
    )
    types: tuple[Type, ...] = tuple(Type)
    environment: Environment = Environment.TEST
    lots: bool = False  # orders go through the gate: ticks, lots, keys and books matter


@dataclass
class World:
    """A policy as it changes, and what the generator remembers beside it."""

    policy: Policy
    style: Style
    unit_ns: int  # windows and steps of time are small multiples of it
    money: int  # micro-USD; caps are near it
    typical: dict[tuple[int, int], Decimal]  # prices, by MarkKind and id
    next_id: int
    retries: list[int] = field(default_factory=list)  # times that denials named


def chance(rng: Random, percent: int) -> bool:
    return rng.randrange(100) < percent


def some_decimal(rng: Random) -> Decimal:
    return Decimal(rng.randint(1, 10 ** rng.randint(1, 6)), rng.randint(0, 5))


def padded(rng: Random, value: Decimal) -> Decimal:
    """The same value, sometimes with trailing zeros."""
    zeros = rng.choice((0, 0, 0, 1, 3))
    if value.scale + zeros > 18 or value.mantissa * 10**zeros > INT64_MAX:
        return value
    return Decimal(value.mantissa * 10**zeros, value.scale + zeros)


def at_scale(value: Fraction, scale: int, ulps: int = 0) -> Decimal:
    """The value rounded down to a scale, moved by some units of the last place; at least 1."""
    while scale > 0 and value * 10**scale >= INT64_MAX:
        scale -= 1
    return Decimal(min(max(int(value * 10**scale) + ulps, 1), INT64_MAX), scale)


def fraction(value: Decimal) -> Fraction:
    return Fraction(value.mantissa, 10**value.scale)


# ---- Policies --------------------------------------------------------------


def new_world(rng: Random, style: Style) -> World:
    world = World(
        policy=Policy((), (), (), (), (), ()),
        style=style,
        unit_ns=rng.choice((1, 1, 1000, 10**9, 60 * 10**9)),
        money=10 ** rng.randint(6, 13),
        typical={},
        next_id=1,
    )
    assets = some_assets(rng, world)
    instruments = some_instruments(rng, world, assets)
    nodes = some_nodes(rng, world)
    networks = tuple(
        Network(10 + number, rng.choice(assets).id, f"NET{number}") for number in range(3)
    )
    policy = Policy(
        nodes=nodes,
        assets=assets,
        networks=networks,
        instruments=instruments,
        keys=(),
        constraints=(),
        sanctions=frozenset(rng.sample(ADDRESSES, rng.choice((0, 1, 2)))),
        mark_max_age_ns=some_window(rng, world),
        market_band_ppm=rng.choice((0, 1, 5000, 100_000, 999_999)),
        attempt_limit=rng.choice((1, 3, 20, 4_000_000)),
        attempt_interval_ns=some_window(rng, world),
        clock_tolerance_ns=rng.choice((0, 1, 1000, 10**9)),
        book_entries=rng.choice((4, 16, 64, 64, 128)),
        **some_oversight(rng, world),
        lease_ns=some_lease(rng, world),
    )
    world.policy = policy
    world.policy = replace(policy, constraints=some_constraints(rng, world))
    return world


def some_oversight(rng: Random, world: World) -> dict[str, Any]:
    """Mostly none; sometimes people approve some action."""
    if not chance(rng, 20):
        return {"oversight": (), "approval_ns": 0, "approval_quorum": 0}
    modes = tuple((action, rng.choice((0, 1, 2))) for action in (1, 2, 3, 7, 8, 9))
    asks = any(mode == 2 for _, mode in modes)
    return {
        "oversight": modes,
        "approval_ns": long_window(rng, world) if asks else 0,
        "approval_quorum": rng.choice((1, 2)) if asks else 0,
    }


def some_lease(rng: Random, world: World) -> int:
    """Mostly none is needed."""
    longest = min(some_window(rng, world) * 50, 34_560_000_000_000_000)
    return longest if world.style.lots and chance(rng, 15) else 0


def some_window(rng: Random, world: World) -> int:
    window = world.unit_ns * rng.choice((1, 2, 5, 63, 64, 65, 100, 1000, 86_400))
    return max(1, min(window + rng.choice((-1, 0, 0, 1)), 34_560_000_000_000_000))


def long_window(rng: Random, world: World) -> int:
    """So long that people can do something in it, mostly."""
    window = some_window(rng, world) * rng.choice((1, 100_000, 10**7))
    return min(window, 34_560_000_000_000_000)


def some_assets(rng: Random, world: World) -> tuple[Asset, ...]:
    """A dollar at par, one at an odd par, two that are fed, one that takes another's mark."""
    rows = [
        Asset(1, "USD", par_micro_usd=1_000_000),
        Asset(2, "USDX", par_micro_usd=rng.choice((999_999, 1_010_000, 7, INT64_MAX))),
        Asset(3, "BTC", venue=rng.choice((0, *world.style.venues))),
        Asset(4, "ETH", mark_asset=rng.choice((0, 1, 3))),
        Asset(5, "WBTC", mark_asset=rng.choice((3, 4))),
    ]
    for row in rows:
        world.typical[MarkKind.ASSET, row.id] = some_decimal(rng)
    return tuple(rows)


def some_instruments(
    rng: Random, world: World, assets: tuple[Asset, ...]
) -> tuple[Instrument, ...]:
    rows = []
    for number in range(rng.randint(2, 5)):
        venue = rng.choice(world.style.venues)
        contract = rng.choice(world.style.contracts)
        if world.style.lots:
            contract = Contract.SPOT if venue == Venue.BINANCE_SPOT else Contract.LINEAR
        units = {
            Contract.SPOT: (Unit.BASE,),
            Contract.INVERSE: (Unit.CONTRACTS, Unit.QUOTE),
            Contract.QUANTO: (Unit.CONTRACTS,),
        }.get(contract, (Unit.BASE, Unit.CONTRACTS))
        unit = Unit.BASE if world.style.lots else rng.choice(units)
        fed = (3, 3, 4, 5)
        base, quote = rng.choice(fed), rng.choice((1, 1, 1, *(asset.id for asset in assets)))
        settle = {  # as the bundle must say it; of the others any, and it does not count
            Contract.INVERSE: base,
            Contract.OPTION: quote,
            Contract.QUANTO: rng.choice(fed),
        }.get(contract, rng.choice((1, 3)))
        row = Instrument(
            id=20 + 3 * number,
            venue=venue,
            contract=contract,
            base=base,
            quote=quote,
            settle=settle,
            unit=unit,
            symbol=f"SYM{number}",
            environment=world.style.environment,
            multiplier=Decimal(1, 0) if contract == Contract.SPOT else some_decimal(rng),
            tick=rng.choice((Decimal(1, 2), Decimal(5, 1), Decimal(1, 8), Decimal(10, 4))),
            lot=rng.choice((Decimal(1, 3), Decimal(1, 8), Decimal(1, 12), Decimal(30, 9))),
            strike=some_strike(rng, world) if contract == Contract.OPTION else Decimal(0, 0),
            expiry_ms=1_900_000_000_000 if contract == Contract.OPTION else 0,
            venue_index=number if venue == Venue.HYPERLIQUID else 0,
        )
        rows.append(row)
        priced = Decimal(rng.randint(100, 10**7), 2) if world.style.lots else some_decimal(rng)
        world.typical[MarkKind.INSTRUMENT, row.id] = priced
    return tuple(rows)


def some_strike(rng: Random, world: World) -> Decimal:
    """Near the base's price more often than not, so that either product may be the greater."""
    if chance(rng, 15):
        return Decimal(rng.randint(1, 9), rng.randint(6, 18))
    if chance(rng, 5):
        return Decimal(rng.randint(1, INT64_MAX), rng.randint(0, 18))
    typical = fraction(world.typical[MarkKind.ASSET, 3])
    return padded(rng, at_scale(typical * Fraction(rng.randint(90, 110), 100), rng.randint(2, 8)))


def some_nodes(rng: Random, world: World) -> tuple[Node, ...]:
    """A firm, groups nested up to four deep, and agents anywhere below."""
    nodes = [Node(fresh_id(world), NodeKind.FIRM, None)]
    inner = [0]
    for _ in range(rng.randint(0, 3)):
        nodes.append(Node(fresh_id(world), NodeKind.GROUP, rng.choice(inner[-2:])))
        inner.append(len(nodes) - 1)
    for _ in range(rng.randint(1, 4)):
        nodes.append(Node(fresh_id(world), NodeKind.AGENT, rng.choice(inner)))
    return tuple(nodes)


def fresh_id(world: World) -> int:
    world.next_id += 1
    return world.next_id


def some_constraints(rng: Random, world: World) -> tuple[Constraint, ...]:
    rows: list[Constraint] = []
    for index in range(len(world.policy.nodes)):
        kinds = [rng.choice(list(Kind)[1:]) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
        if index == 0:
            kinds += [Kind.ACTIONS] * chance(rng, 95) + [Kind.DESTINATIONS] * chance(rng, 85)
            kinds += [rng.choice((Kind.RATE_LIMIT, Kind.ROLLING_CAP, Kind.DAILY_LIMIT))]
            rng.shuffle(kinds)
        rows += [some_constraint(rng, world, index, kind) for kind in kinds]
    return tuple(rows)


def some_constraint(rng: Random, world: World, node: int, kind: Kind) -> Constraint:
    row = Constraint(fresh_id(world), node, kind)
    if node == 0 and kind in GRANTS and chance(rng, 90):
        return replace(row, **terms(rng, world, kind))  # what grants, so that orders can pass
    if chance(rng, 30):
        row = replace(row, actions=rng.randrange(1, 512) << 1)
    if chance(rng, 15):
        row = replace(row, venues=rng.randrange(1, 128))
    if chance(rng, 20) or kind == Kind.QUANTITY_CAP:
        row = replace(row, instrument=rng.choice(world.policy.instruments).id)
    return replace(row, **terms(rng, world, kind))


def terms(rng: Random, world: World, kind: Kind) -> dict[str, Any]:
    """What is particular to a kind."""
    money = rng.choice((world.money, world.money * 10, rng.randint(0, 10 * world.money)))
    if chance(rng, 4):
        money = rng.choice((0, INT64_MAX, INT64_MAX - 1))
    if kind in MASKS:
        bits = MASKS[kind]
        kept = [bit for bit in bits if chance(rng, 75)] if chance(rng, 25) else list(bits)
        return {"mask": sum(1 << bit for bit in kept) or 1 << bits[-1]}
    match kind:
        case Kind.INSTRUMENTS:
            ids = [row.id for row in world.policy.instruments]
            return {
                "instruments": tuple(rng.sample(ids, rng.randint(max(1, len(ids) - 1), len(ids))))
            }
        case Kind.DESTINATIONS:
            pool = destinations(world)
            return {"destinations": tuple(rng.sample(pool, rng.randint(len(pool) // 2, len(pool))))}
        case Kind.VALUE_CAP:
            return {"bound": money}
        case Kind.QUANTITY_CAP:
            return {
                "bound": rng.choice((1, 1000, 10**9, INT64_MAX)),
                "bound_scale": rng.randint(0, 8),
            }
        case Kind.PRICE_COLLAR:
            return {
                "bound": rng.choice((0, 1, 5000, 50_000, 500_000)),
                "max_age_ns": some_window(rng, world),
            }
        case Kind.DAILY_LIMIT:
            return {"bound": money, "each_agent": chance(rng, 50)}
        case Kind.ROLLING_CAP:
            return {
                "bound": money,
                "each_agent": chance(rng, 50),
                "window_ns": some_window(rng, world),
            }
        case Kind.HEARTBEAT:
            return {
                "bound": rng.choice((0, some_window(rng, world))),
                "window_ns": some_window(rng, world),
                "mask": rng.choice((2, 4)),
            }
        case Kind.APPROVAL:
            mask = rng.choice((ASK_VALUE, ASK_VALUE, ASK_DESTINATION, 3, 0))
            return {
                "mask": mask,
                "bound": money if mask & ASK_VALUE else 0,
                "quorum": rng.choice((1, 1, 1, 2, 2, 3, 8)),
                "window_ns": long_window(rng, world),
            }
        case Kind.RATE_LIMIT:
            return {
                "bound": rng.choice((0, 1, 2, 3, 5, 8, 40)),
                "each_agent": chance(rng, 50),
                "window_ns": some_window(rng, world),
            }
    return {}


def destinations(world: World) -> list[Destination]:
    """Every destination that orders may name."""
    pool = [
        (network.id, address, memo)
        for network in world.policy.networks
        for address in ADDRESSES
        for memo in MEMOS
    ]
    seen: dict[Destination, Destination] = {}
    for destination in pool + [(0, address, "") for address in ADDRESSES]:
        seen.setdefault(model.canonical(destination), destination)
    return list(seen.values())


def otherwise(rng: Random, policy: Policy, row: Instrument) -> Instrument:
    """Another base, multiplier or venue, or the same multiplier in other digits."""
    one, ten = row.multiplier, row.multiplier.mantissa * 10
    match rng.randrange(4):
        case 0 if row.contract in (Contract.SPOT, Contract.LINEAR):
            return replace(row, base=rng.choice(policy.assets).id)
        case 1 if row.contract != Contract.SPOT and ten < INT64_MAX and one.scale < 18:
            return replace(row, multiplier=Decimal(ten, one.scale + 1))
        case 2 if row.contract != Contract.SPOT and ten < INT64_MAX:
            return replace(row, multiplier=Decimal(ten, one.scale))
        case _:
            return replace(row, tick=Decimal(row.tick.mantissa + 1, row.tick.scale))


def revised(rng: Random, world: World, state: value.State) -> Policy:
    """The next version: some of its rows changed, gone or new; most often rows with events."""
    by_id = {row.id: row for row in world.policy.constraints}
    live = {
        constraint
        for (constraint, _), events in state.windows.items()
        if model.counted(by_id[constraint], events, state.last_now)
    }
    policy = world.policy
    nodes, constraints = list(policy.nodes), list(policy.constraints)
    instruments = policy.instruments
    held = [i for i, n in enumerate(nodes) if i and (Scope.NODE, n.id) in state.stops]
    groups = [i for i in held if nodes[i].kind == NodeKind.GROUP]
    below = [i for i, n in enumerate(nodes) if n.kind == NodeKind.AGENT and n.parent in groups]
    if len(groups) > 1 and below and chance(rng, 70):  # from one stop to another
        at = rng.choice(below)
        nodes[at] = replace(nodes[at], parent=rng.choice(groups))
    for _ in range(rng.randint(1, 3)):
        match rng.choice((0, 1, 2, 2, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9)):
            case 0 if constraints and (row := rng.choice(constraints)).kind not in GRANTS:
                constraints.remove(row)
            case 1:
                node = rng.randrange(len(nodes))
                constraints.append(some_constraint(rng, world, node, rng.choice(list(Kind)[1:])))
            case 2 if constraints:
                stateful = [i for i, row in enumerate(constraints) if row.id in live]
                at = rng.choice(stateful or range(len(constraints)))
                constraints[at] = changed(rng, world, constraints[at])
            case 3:
                inner = [i for i, node in enumerate(nodes) if node.kind != NodeKind.AGENT]
                nodes.append(Node(fresh_id(world), NodeKind.AGENT, rng.choice(inner)))
            case 4 if len([n for n in nodes if n.kind == NodeKind.AGENT]) > 1 and chance(rng, 50):
                agents = [i for i, node in enumerate(nodes) if node.kind == NodeKind.AGENT]
                nodes, constraints = without_node(nodes, constraints, rng.choice(agents))
            case 5 if len(instruments) > 2 and chance(rng, 50):
                gone = rng.choice(instruments)
                instruments = tuple(row for row in instruments if row is not gone)
            case 6:
                at = rng.choice([i for i, n in enumerate(nodes) if n.kind == NodeKind.AGENT])
                inner = [i for i, node in enumerate(nodes) if node.kind != NodeKind.AGENT]
                nodes[at] = replace(nodes[at], parent=rng.choice(inner))
            case 7 if constraints:
                at = rng.randrange(len(constraints))
                if constraints[at].kind not in GRANTS:
                    constraints[at] = replace(constraints[at], node=rng.randrange(len(nodes)))
            case 8 if chance(rng, 50):  # the same id for another market
                stopped = [row for row in instruments if (Scope.INSTRUMENT, row.id) in state.stops]
                other = rng.choice(stopped if stopped and chance(rng, 80) else instruments)
                renamed = replace(other, symbol=(other.symbol + "9")[-20:])
                instruments = tuple(renamed if row is other else row for row in instruments)
            case 9:  # the same id, counted otherwise
                number = rng.choice([*state.positions, instruments[0].id])
                instruments = tuple(
                    otherwise(rng, policy, row) if row.id == number else row for row in instruments
                )
            case _:
                pass
    for gone in set(policy.instruments) - set(instruments):
        constraints = [without_instrument(c, gone.id, instruments) for c in constraints]
    constraints.sort(key=lambda row: row.node)  # stable: the rows of a node stand together
    keys = tuple(key for key in policy.keys if key.node < len(nodes))
    return replace(
        policy,
        nodes=tuple(nodes),
        constraints=tuple(constraints),
        instruments=instruments,
        keys=keys,
        mark_max_age_ns=some_window(rng, world) if chance(rng, 20) else policy.mark_max_age_ns,
        book_entries=rng.choice((16, 64, 128, *(3 * (policy.book_entries,)))),
        attempt_limit=rng.choice((policy.attempt_limit, 2)),
        **(some_oversight(rng, world) if chance(rng, 20) else {}),
    )


def changed(rng: Random, world: World, row: Constraint) -> Constraint:
    """The same id with other terms; sometimes of another kind."""
    if chance(rng, 20) and row.kind not in GRANTS:
        kinds = (Kind.DAILY_LIMIT, Kind.ROLLING_CAP, Kind.RATE_LIMIT, Kind.VALUE_CAP)
        other = some_constraint(rng, world, row.node, rng.choice(kinds))
        return replace(other, id=row.id)
    fresh_terms = terms(rng, world, row.kind)
    if row.window_ns and chance(rng, 70):
        near = row.window_ns * rng.choice((1, 2, 3)) // rng.choice((1, 2)) + rng.choice((-1, 0, 1))
        fresh_terms["window_ns"] = max(1, min(near, 34_560_000_000_000_000))
    if row.kind == Kind.RATE_LIMIT and chance(rng, 70):
        fresh_terms["bound"] = max(1, row.bound + rng.choice((-2, -1, 1)))
    names = sorted(fresh_terms)
    kept = rng.sample(names, rng.randint(1, len(names))) if names else []
    if row.kind == Kind.APPROVAL:
        kept = names  # mask and bound go together
    return replace(row, **{name: fresh_terms[name] for name in kept})


def without_node(
    nodes: list[Node], constraints: list[Constraint], gone: int
) -> tuple[list[Node], list[Constraint]]:
    """Only for agents: nothing is below them."""
    kept = [node for index, node in enumerate(nodes) if index != gone]
    moved = [
        replace(
            node, parent=node.parent - (node.parent > gone) if node.parent is not None else None
        )
        for node in kept
    ]
    rows = [replace(c, node=c.node - (c.node > gone)) for c in constraints if c.node != gone]
    return moved, rows


def without_instrument(row: Constraint, gone: int, left: tuple[Instrument, ...]) -> Constraint:
    listed = tuple(i for i in row.instruments if i != gone)
    if row.kind == Kind.INSTRUMENTS and not listed:
        listed = (left[0].id,)
    return replace(
        row,
        instrument=left[0].id if row.instrument == gone else row.instrument,
        instruments=listed,
    )

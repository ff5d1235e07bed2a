"""Goal: a policy is compiled exactly as written.

Method: bundles are read by the core through cffi and compared with what the text says; every
reserved byte and many fields are changed, and the core must refuse the bundle.
"""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path
from typing import Any

import pytest
from core_abi import ffi, lib
from policy_samples import FIRM, TABLES, TERMS, checked, compiled, firm, refused

from sentinel import _layout
from sentinel._enums import Action, Algorithm, Environment, Purpose, Rule, Venue
from sentinel._types import KeyInfo
from sentinel.errors import ConfigError
from sentinel.policy import INITIAL_POLICY, check_policy, compile_policy, stable_id
from sentinel.policy_compile import constraint_id

# ---- The keyring ---------------------------------------------------------------

KEYED = "version: 1\nfirm: {agents: {bot: {}}}\nkeys:\n  k: {algorithm: ed25519, for: bot}\n"


def info(**changes: Any) -> KeyInfo:
    row: dict[str, Any] = {
        "id": stable_id("key", "k"),
        "purpose": Purpose.MESSAGE,
        "algorithm": Algorithm.ED25519,
        "venue": Venue.NONE,
        "api_key": "",
        "public_key": bytes(32),
        "fingerprint": bytes(range(32)),
    }
    return KeyInfo(**{**row, **changes})


def test_takes_fingerprints_from_the_keyring() -> None:
    bundle, _keep = checked(compile_policy(KEYED, TERMS, keyring=[info()]))
    assert bytes(bundle.keys[0].fingerprint32) == bytes(range(32))
    assert bundle.keys[0].node == 1


@pytest.mark.parametrize(
    ("keyring", "problem"),
    [
        ([], "the keyring has no key 'k'"),
        ([info(id=5)], "the keyring has no key 'k'"),
        ([info(purpose=Purpose.RECEIPT)], "made with the purpose receipt, not message"),
        ([info(algorithm=Algorithm.BIP340)], "made with the algorithm bip340, not ed25519"),
        ([info(venue=Venue.OKX)], "made with the venue okx, not none"),
    ],
)
def test_refuses_keys_that_the_keyring_has_otherwise(keyring: list[KeyInfo], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_policy(KEYED, TERMS, keyring=keyring, file="p.yaml")
    assert problem in caught.value.message
    assert (caught.value.line, caught.value.column) == (4, 3)
    assert caught.value.next_step


ACCOUNT = "0x" + "5a" * 20
MEANT = f"""
version: 1
firm: {{agents: {{bot: {{}}}}}}
keys:
  k:
    venue: hyperliquid
    algorithm: ecdsa_secp256k1
    account: "{ACCOUNT}"
"""


def held(api_key: str) -> list[KeyInfo]:
    algorithm = Algorithm.ECDSA_SECP256K1
    return [
        info(purpose=Purpose.VENUE, venue=Venue.HYPERLIQUID, algorithm=algorithm, api_key=api_key)
    ]


def test_an_account_must_be_the_keys_own() -> None:
    bundle, _keep = checked(compile_policy(MEANT, TERMS, keyring=held(ACCOUNT)))
    assert bundle.keys[0].products == 0b111110
    for other in ("", f"vault-{ACCOUNT}", "0x" + "5b" * 20):
        with pytest.raises(ConfigError) as caught:
            compile_policy(MEANT, TERMS, keyring=held(other), file="p.yaml")
        assert repr(ACCOUNT) in caught.value.message
        assert repr(other) in caught.value.message
        assert (caught.value.line, caught.value.column) == (8, 14)
        assert caught.value.next_step


# ---- What the core reads -------------------------------------------------------


def rows(bundle: Any) -> dict[str, Any]:
    """Constraints by "node index/name"."""
    out = {}
    for i in range(bundle.constraint_count):
        row = bundle.constraints[i]
        name = ffi.buffer(bundle.text + row.name, row.name_size)[:].decode()
        out[f"{row.node}/{name}"] = row
    return out


def bits(*members: int) -> int:
    return sum(1 << member for member in members)


ALL_VENUES = bits(*Venue)
SPENDING = bits(Action.PLACE, Action.AMEND, Action.WITHDRAW, Action.TRANSFER)


def test_the_initial_policy_allows_messages_to_one_agent_and_nothing_else() -> None:
    bundle, _keep = compiled(INITIAL_POLICY)
    assert (bundle.node_count, bundle.constraint_count, bundle.key_count) == (2, 1, 1)
    row = rows(bundle)["1/actions"]
    assert (row.kind, row.mask, row.actions) == (
        Rule.ACTIONS,
        bits(Action.MESSAGE),
        bits(*Action),
    )
    key = bundle.keys[0]
    assert (key.purpose, key.algorithm, key.node) == (Purpose.MESSAGE, Algorithm.ED25519, 1)
    assert (bundle.nodes[1].id, bundle.nodes[1].depth) == (stable_id("node", "firm/agent"), 1)


def test_every_kind_of_constraint_has_the_numbers_that_were_written(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("0xABCDEF\nTAddress\n")
    bundle, _keep = compiled(
        firm(
            """
            allow:
              actions: [place, cancel]
              venues: [binance_spot, okx]
              instruments: [BTCUSDT]
              order_types: [limit, stop_market]
              sides: [sell]
              times_in_force: [none, gtc]
            destinations: [cold]
            sanctions: true
            max_value: 500k USD
            max_quantity: {BTCUSDT: 2.50}
            price_collar: {within: 30 bps, max_age: 5s}
            daily_limit: {cap: 10M, each: true}
            rolling: {cap: 2M USD, window: 1h}
            rate: 1000/min
            query_rate: {limit: 5/s, each: true}
            heartbeat: {silence: 5s, iteration: 2s, then: drain}
            """,
            TABLES + "sanctions: {file: s.txt}\n",
        ),
        tmp_path,
    )
    row = rows(bundle)
    assert [r.kind for r in row.values()] == sorted(
        [*range(Rule.ACTIONS, Rule.HEARTBEAT + 1), Rule.RATE_LIMIT, Rule.RATE_LIMIT]
    )
    assert row["0/actions"].mask == bits(Action.PLACE, Action.CANCEL)
    beats = row["0/heartbeat"]
    assert (beats.window_ns, beats.bound, beats.mask) == (5 * 10**9, 6 * 10**9, 2)
    assert row["0/venues"].mask == bits(Venue.BINANCE_SPOT, Venue.OKX)
    assert not row["0/venues"].actions & bits(Action.MESSAGE)
    assert row["0/order_types"].mask == bits(1, 3)
    assert row["0/sides"].mask == bits(2)
    assert row["0/times_in_force"].mask == bits(0, 1)
    instrument = stable_id("instrument", "BTCUSDT")
    listed = row["0/instruments"]
    assert (listed.list_count, bundle.ids[listed.list_first]) == (1, instrument)
    to = row["0/destinations"]
    digest = ffi.new("uint8_t[32]")
    network = stable_id("network", "TRX")
    lib.sentinel_destination_digest(digest, network, b"TAddress", 8, b"", 0)
    assert to.list_count == 1
    assert bytes(ffi.buffer(bundle.destinations, 32)) == bytes(digest)
    assert row["0/sanctions"].actions == bits(Action.WITHDRAW, Action.TRANSFER)
    assert row["0/max_value"].bound == 500_000 * 10**6
    assert row["0/max_value"].actions == SPENDING
    cap = row["0/max_quantity.BTCUSDT"]
    assert (cap.bound, cap.bound_scale, cap.instrument) == (250, 2, instrument)
    collar = row["0/price_collar"]
    assert (collar.bound, collar.max_age_ns) == (3000, 5 * 10**9)
    assert (row["0/daily_limit"].bound, row["0/daily_limit"].each) == (10**13, 1)
    assert (row["0/rolling"].bound, row["0/rolling"].window_ns) == (2 * 10**12, 3600 * 10**9)
    rate = row["0/rate"]
    assert (rate.bound, rate.window_ns, rate.each) == (1000, 60 * 10**9, 0)
    assert rate.actions == SPENDING | bits(Action.MESSAGE)
    cancels = row["0/cancel_rate"]
    assert (cancels.bound, cancels.window_ns) == (1000, 60 * 10**9)
    assert cancels.actions == bits(3, 4, 5)
    assert (row["0/query_rate"].actions, row["0/query_rate"].each) == (bits(Action.QUERY), 1)
    assert {r.venues for r in row.values()} == {ALL_VENUES}
    assert {r.instrument for n, r in row.items() if "quantity" not in n} == {0}
    for name, r in row.items():
        assert r.id == constraint_id("firm", name.removeprefix("0/"))


def test_the_core_finds_the_addresses_of_the_sanctions_list(tmp_path: Path) -> None:
    addresses = ["0xAbCdEf", "TAddress", "bc1qxyz", "TAddress"]
    (tmp_path / "s.txt").write_text("\n".join(addresses))
    source = "version: 1\nfirm: {}\nsanctions: {file: s.txt}\n"
    bundle, _keep = compiled(source, tmp_path)
    listed = bytes(ffi.buffer(bundle.sanctions, 16 * bundle.sanction_count))
    expected = []
    for address in {a.lower() for a in addresses}:
        digest = ffi.new("uint8_t[16]")
        lib.sentinel_sanction_digest(digest, address.upper().encode(), len(address))
        expected.append(bytes(digest))
    assert listed == b"".join(sorted(expected))


@pytest.mark.parametrize(
    ("network", "address", "memo"),
    [
        ("TRX", "TAddress", ""),
        ("TRX", "0xABcd", "77"),
        ("TRX", "0XABcd", "00123"),
        (None, "sub.account_1", ""),
    ],
)
def test_destinations_have_the_digests_of_the_core(
    network: str | None, address: str, memo: str
) -> None:
    row = f"{{account: {address}}}"
    if network:
        row = f"{{network: {network}, address: '{address}'" + (f", memo: {memo}}}" if memo else "}")
    tables = TABLES.replace("{network: TRX, address: TAddress}", row)
    bundle, _keep = compiled(firm("destinations: [cold]", tables))
    digest = ffi.new("uint8_t[32]")
    id_ = stable_id("network", network) if network else 0
    lib.sentinel_destination_digest(
        digest, id_, address.encode(), len(address), memo.encode(), len(memo)
    )
    assert bytes(ffi.buffer(bundle.destinations, 32)) == bytes(digest)


def test_selectors_narrow_a_constraint() -> None:
    bundle, _keep = compiled(
        firm(
            """
            max_value:
              - {cap: 1k}
              - name: narrow
                cap: 10
                when: {actions: [place], venues: [okx, bybit], instrument: BTCUSDT}
            allow:
              - {sides: [buy, sell]}
              - {name: okx, sides: [buy], when: {venues: [okx]}}
            """
        )
    )
    row = rows(bundle)
    narrow = row["0/narrow"]
    assert narrow.actions == bits(Action.PLACE)
    assert narrow.venues == bits(Venue.OKX, Venue.BYBIT)
    assert narrow.instrument == stable_id("instrument", "BTCUSDT")
    assert (row["0/okx.sides"].venues, row["0/okx.sides"].mask) == (bits(Venue.OKX), bits(1))
    assert row["0/max_value"].venues == ALL_VENUES


def test_cancels_get_a_budget_of_their_own_unless_one_is_written() -> None:
    bundle, _keep = compiled(firm("rate: [{limit: 5/s, each: true}, {name: slow, limit: 90/h}]"))
    row = rows(bundle)
    assert (row["0/cancel_rate"].bound, row["0/cancel_rate"].each) == (5, 1)
    assert row["0/slow.cancels"].bound == 90
    bundle, _keep = compiled(firm("rate: 5/s\ncancel_rate: 7/s"))
    assert rows(bundle)["0/cancel_rate"].bound == 7
    narrow = "rate: {limit: 5/s, when: {actions: [withdraw]}}"
    bundle, _keep = compiled(firm(narrow))
    assert set(rows(bundle)) == {"0/rate"}


def test_instruments_have_the_fields_that_were_written() -> None:
    source = """
    version: 1
    firm: {}
    assets: {BTC: {id: 3}, USDT: {id: 4, code: USD-T, decimals: 6, par: 0.999}, USD: {mark: USDT},
      PURR: {venue: hyperliquid, token: "0xc4bf3f870c0e9465323c0b6ed28096c2"}}
    instruments:
      spot: {id: 9, venue: binance_spot, symbol: BTCUSDT, base: BTC, quote: USDT, tick: 0.010,
        lot: 0.00001}
      call:
        venue: okx
        contract: option
        base: BTC
        quote: BTC
        settle: BTC
        unit: contracts
        multiplier: 0.01
        tick: 5
        lot: 1
        market: 3
        expiry: 2026-03-27T08:00:00Z
        strike: 65000.50
      perp: {venue: hyperliquid, contract: linear, index: 77, base: BTC, quote: USDT, tick: 1,
        lot: 1}
      inverse: {venue: deribit, contract: inverse, unit: quote, base: BTC, quote: USDT, tick: 1,
        lot: 10}
      quanto: {venue: okx, contract: quanto, base: BTC, quote: USDT, settle: USD,
        multiplier: 0.000001, tick: 1, lot: 10}
    """
    bundle, _keep = compiled(textwrap.dedent(source))
    spot = lib.sentinel_bundle_instrument(bundle, 9)
    assert ffi.buffer(spot.symbol, spot.symbol_size)[:] == b"BTCUSDT"
    assert (spot.venue, spot.environment, spot.contract) == (1, Environment.TEST, 1)
    assert (spot.base, spot.quote, spot.settle, spot.quantity_unit) == (3, 4, 4, 1)
    assert (spot.tick.mantissa, spot.tick.scale, spot.lot.mantissa, spot.lot.scale) == (10, 3, 1, 5)
    assert (spot.multiplier.mantissa, spot.multiplier.scale) == (1, 0)
    call = lib.sentinel_bundle_instrument(bundle, stable_id("instrument", "call"))
    assert (call.contract, call.settle, call.quantity_unit, call.market) == (5, 3, 2, 3)
    assert (call.venue_index, call.expiry_ms) == (0, 1774598400000)
    perp = lib.sentinel_bundle_instrument(bundle, stable_id("instrument", "perp"))
    assert (perp.contract, perp.settle, perp.quantity_unit, perp.venue_index) == (2, 4, 1, 77)
    inverse = lib.sentinel_bundle_instrument(bundle, stable_id("instrument", "inverse"))
    assert (inverse.contract, inverse.settle, inverse.quantity_unit) == (3, 3, 3)
    quanto = lib.sentinel_bundle_instrument(bundle, stable_id("instrument", "quanto"))
    assert (quanto.contract, quanto.quantity_unit) == (4, 2)
    assert quanto.settle == stable_id("asset", "USD")
    assert (quanto.multiplier.mantissa, quanto.multiplier.scale) == (1, 6)
    assert (call.strike.mantissa, call.strike.scale) == (6500050, 2)
    usdt = lib.sentinel_bundle_asset(bundle, 4)
    assert (usdt.par_micro_usd, usdt.decimals) == (999_000, 6)
    assert ffi.buffer(usdt.code, usdt.code_size)[:] == b"USD-T"
    usd = lib.sentinel_bundle_asset(bundle, stable_id("asset", "USD"))
    assert (usd.mark_asset, usd.decimals, usd.par_micro_usd) == (4, 8, 0)
    assert bytes(usd.token16) == bytes(16)
    purr = lib.sentinel_bundle_asset(bundle, stable_id("asset", "PURR"))
    assert bytes(purr.token16).hex() == "c4bf3f870c0e9465323c0b6ed28096c2"


def test_settings_are_those_that_were_written_or_the_documented_defaults() -> None:
    source = "version: 1\nfirm: {}\n"
    policy = compiled(source)[0].policy
    assert (policy.attempt_limit, policy.attempt_interval_ns) == (100, 60 * 10**9)
    assert (policy.clock_tolerance_ns, policy.mark_max_age_ns) == (10**8, 5 * 10**9)
    assert (policy.market_band_ppm, policy.book_entries) == (10_000, 1024)
    source += (
        "attempts: {limit: 7/h}\nclock: {tolerance: 2s}\n"
        "marks: {max_age: 1h, market_band: 99.9999 %}\nbook: {entries: 65536}\n"
    )
    bundle, _keep = compiled(source)
    policy = bundle.policy
    assert (policy.attempt_limit, policy.attempt_interval_ns) == (7, 3600 * 10**9)
    assert (policy.clock_tolerance_ns, policy.mark_max_age_ns) == (2 * 10**9, 3600 * 10**9)
    assert (policy.market_band_ppm, policy.book_entries) == (999_999, 65536)


def test_the_frame_names_engine_environment_version_and_times() -> None:
    bundle, _keep = compiled(INITIAL_POLICY)
    header = bundle.frame
    assert bytes(header.engine_id32) == TERMS.engine_id
    assert (header.environment, header.sequence) == (Environment.TEST, 3)
    assert (header.issued_ns, header.expires_ns) == (TERMS.issued_ns, TERMS.expires_ns)


def test_keys_have_the_fields_that_were_written() -> None:
    source = """
    version: 1
    firm: {groups: {g: {agents: {bot: {}}}}}
    keys:
      a: {id: 1, venue: binance_usdm, algorithm: hmac_sha256, for: g, endpoint: checked}
      b: {id: 2, venue: bybit, algorithm: hmac_sha256, for: firm/g/bot, endpoint: granted,
        validity: 250ms, products: [linear, wallet]}
      c: {id: 3, venue: hyperliquid, purpose: venue_master, algorithm: ecdsa_secp256k1}
      d: {id: 4, algorithm: bip340}
      e: {id: 5, venue: hyperliquid, algorithm: ecdsa_secp256k1}
      f: {id: 6, venue: okx, algorithm: hmac_sha256}
      g: {id: 7, venue: binance_spot, algorithm: ed25519, endpoint: checked}
      h: {id: 8, venue: deribit, algorithm: hmac_sha256, products: [option]}
    """
    bundle, _keep = compiled(textwrap.dedent(source))
    found = [
        (k.id, k.venue, k.purpose, k.algorithm, k.node, k.expiry_ms, k.flags, k.products)
        for k in (bundle.keys[i] for i in range(8))
    ]
    assert found == [
        (1, Venue.BINANCE_USDM, 1, 4, 1, 5000, 1, 0b000100),
        (2, Venue.BYBIT, 1, 4, 2, 250, 2, 0b000101),
        (3, Venue.HYPERLIQUID, 2, 2, 0, 5000, 0, 0b000001),
        (4, Venue.NONE, 3, 3, 0, 0, 0, 0),
        (5, Venue.HYPERLIQUID, 1, 2, 0, 5000, 0, 0b111110),
        (6, Venue.OKX, 1, 4, 0, 5000, 0, 0b111111),
        (7, Venue.BINANCE_SPOT, 1, 1, 0, 5000, 1, 0b000010),
        (8, Venue.DERIBIT, 1, 4, 0, 5000, 0, 0b100000),
    ]


def test_ids_do_not_depend_on_what_else_is_in_the_policy() -> None:
    alone = check_policy("version: 1\nfirm: {agents: {a: {max_value: 5}}}\n")
    more = check_policy("version: 1\nfirm: {rate: 1/s, agents: {b: {}, a: {max_value: 6}}}\n")
    a, b = alone.agents()[0], more.agents()[1]
    assert a.id == b.id == stable_id("node", "firm/a")
    assert {row.id for row in alone.constraints} < {row.id for row in more.constraints}


def test_an_id_that_two_names_share_is_refused() -> None:
    seen: dict[int, str] = {}
    for number in range(400_000):
        name = f"n{number}"
        other = seen.setdefault(constraint_id("firm", name), name)
        if other != name:
            break
    else:
        pytest.fail("no two names share an id")
    caps = f"max_value: [{{name: {other}, cap: 1}}, ‸{{name: {name}, cap: 2}}]"
    error = refused(firm(caps))
    assert f"the id of {name!r} is that of {other!r} of 'firm'" in error.message
    assert error.next_step == "give it another `name:`"


def test_a_name_whose_id_is_zero_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentinel._policy_tables.stable_id", lambda kind, name: 0)
    error = refused("version: 1\n‸firm: {}\n")
    assert "the same id 0 as 'none'" in error.message
    assert "`id:` of its own" in error.next_step


def test_the_same_text_gives_the_same_bytes() -> None:
    text = FIRM.read_text()
    parts = {compile_policy(text, TERMS, keyring=None, file=str(FIRM)) for _ in range(3)}
    assert len(parts) == 1
    assert compile_policy(text + "# \n", TERMS, keyring=None, file=str(FIRM)) not in parts


# ---- Mutated bundles -------------------------------------------------------------


def status_of(data: bytes) -> int:
    memory = ffi.new("uint64_t[]", (len(data) + 7) // 8)
    ffi.memmove(memory, data, len(data))
    return int(lib.sentinel_bundle_check(ffi.new("sentinel_bundle *"), memory, len(data)))


def sections(data: bytes) -> list[tuple[int, int]]:
    table = _layout.POLICY.unpack(data, 96)["sections"]
    return [(96 + table[2 * i], table[2 * i + 1]) for i in range(10)]


ROWS = [
    _layout.NODE,
    _layout.ASSET,
    _layout.NETWORK,
    _layout.INSTRUMENT,
    _layout.KEY,
    _layout.CONSTRAINT,
]


@functools.cache
def frame_of_firm() -> bytes:
    part = compile_policy(FIRM.read_text(), TERMS, keyring=None, file=str(FIRM))
    return _layout.attach_proofs(part, [])


@pytest.mark.parametrize("section", range(6), ids=[row.name for row in ROWS])
def test_the_core_refuses_a_reserved_byte_in_any_row(section: int) -> None:
    data = frame_of_firm()
    assert status_of(data) == 0
    offset, count = sections(data)[section]
    layout = ROWS[section]
    reserved = [at for at, _ in layout._reserved for at in range(at, at + _)]
    assert count > 0
    for row in range(count):
        for at in reserved:
            changed = bytearray(data)
            changed[offset + row * layout.size + at] ^= 0x80
            assert status_of(bytes(changed)) != 0, (row, at)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        (0, "id", 0),
        (0, "kind", 4),
        (0, "parent", 3),
        (0, "depth", 9),
        (0, "name", 2**31),
        (0, "constraint_first", 2**31),
        (0, "constraint_count", 2**31),
        (1, "id", 0),
        (1, "venue", 7),
        (1, "mark_asset", 1),
        (1, "code_size", 25),
        (2, "asset", 1),
        (2, "code_size", 39),
        (3, "venue", 0),
        (3, "environment", 4),
        (3, "contract", 6),
        (3, "quantity_unit", 0),
        (3, "base", 1),
        (3, "quote", 1),
        (3, "settle", 1),
        (3, "symbol_size", 0),
        (4, "node", 2**31),
        (4, "venue", 7),
        (4, "purpose", 7),
        (4, "algorithm", 5),
        (4, "flags", 4),
        (5, "id", 0),
        (5, "node", 2**31),
        (5, "kind", 16),
        (5, "each", 2),
        (5, "actions", 0),
        (5, "actions", 1),
        (5, "venues", 0),
        (5, "venues", 1 << 7),
        (5, "instrument", 1),
        (5, "mask", 1 << 31),
        (5, "list_count", 2**31),
        (5, "list_first", 2**31),
        (5, "bound", -1),
        (5, "window_ns", -1),
        (5, "max_age_ns", -1),
        (5, "name", 2**31),
        (5, "bound_scale", 19),
    ],
)
def test_the_core_refuses_a_row_with_a_wrong_field(section: int, field: str, value: int) -> None:
    data = frame_of_firm()
    offset, count = sections(data)[section]
    layout = ROWS[section]
    for row in range(1 if section == 0 else 0, count):
        at = offset + row * layout.size
        values = layout.unpack(data, at)
        values[field] = value
        changed = data[:at] + layout.pack(**values) + data[at + layout.size :]
        assert status_of(changed) != 0, row


@pytest.mark.parametrize("section", [1, 2, 3, 4, 8])
def test_the_core_refuses_rows_out_of_order(section: int) -> None:
    data = frame_of_firm()
    offset, count = sections(data)[section]
    size = ROWS[section].size if section < 6 else 16
    assert count > 1
    first, second = data[offset : offset + size], data[offset + size : offset + 2 * size]
    for rows_ in (second + first, first + first):
        assert status_of(data[:offset] + rows_ + data[offset + 2 * size :]) != 0


def test_the_core_refuses_every_shorter_bundle() -> None:
    data = frame_of_firm()
    for size in range(0, len(data), 8):
        assert status_of(data[:size]) != 0

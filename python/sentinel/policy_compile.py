"""The policy language: YAML, checked, and compiled to the signed part of a bundle.

>>> from sentinel.policy_compile import check_policy
>>> draft = check_policy('''
... version: 1
... firm:
...   max_value: 500k USD
...   agents:
...     agent: {allow: {actions: [message]}}
... ''')
>>> [(row.name, row.bound) for row in draft.constraints]
[('max_value', 500000000000), ('actions', 0)]

docs/policy-language.md describes the language; `policy_schema.json` is its JSON Schema.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import _layout
from ._enums import (
    NODE_NONE,
    SEMANTICS_VERSION,
    TEXT_MAX,
    Environment,
    Section,
    label,
)
from ._frame import FrameKind
from ._layout import FrameTerms, attach_proofs, frame_hash, pad8, proof_message
from ._policy_check import schema, validate
from ._policy_draft import (
    Draft,
    DraftAsset,
    DraftConstraint,
    DraftInstrument,
    DraftKey,
    DraftNetwork,
    constraint_id,
    stable_id,
)
from ._policy_resolve import Resolver
from ._policy_yaml import load
from ._types import KeyInfo
from .errors import ConfigError

__all__ = [
    "INITIAL_POLICY",
    "Environment",
    "FrameTerms",
    "attach_proofs",
    "check_policy",
    "compile_policy",
    "constraint_id",
    "encode_policy",
    "frame_hash",
    "proof_message",
    "schema",
    "stable_id",
]

INITIAL_POLICY: Final = """\
# The policy of this engine: who may do what, where and how much.
# docs/policy-language.md explains every key; `zcp policy lint` checks a change.
version: 1

firm:
  name: firm
  agents:
    agent:
      # What no allowlist names is refused.
      allow:
        actions: [message]

keys:
  message:
    purpose: message
    algorithm: ed25519
    for: agent
"""
"""What `zcp init` writes: one agent, which may only sign messages."""


def check_policy(
    source: str | bytes, *, file: str = "policy.yaml", base: Path | None = None
) -> Draft:
    """Reads and checks a policy without compiling it.

    `file` is named in errors; files that the policy names are looked for in `base` (default:
    the folder of `file`). Raises ConfigError.
    """
    document = load(source, file)
    validate(document)
    return Resolver(document, base if base is not None else Path(file).parent).draft()


def compile_policy(
    source: str | bytes,
    terms: FrameTerms,
    *,
    keyring: Iterable[KeyInfo] | None,
    file: str = "policy.yaml",
    base: Path | None = None,
) -> bytes:
    """The signed part of a policy bundle; `terms.sequence` is the policy's version.

    Every key that the policy names must be in the keyring, as it was made. Only for a look
    without an engine is `keyring` None: such a bundle's keys sign nothing.
    Raises ConfigError.
    """
    draft = check_policy(source, file=file, base=base)
    return encode_policy(draft, terms, keyring=keyring)


def encode_policy(draft: Draft, terms: FrameTerms, *, keyring: Iterable[KeyInfo] | None) -> bytes:
    """The signed part of the bundle of a checked policy. Raises ConfigError."""
    return _layout.frame(
        FrameKind.POLICY, _Encoder(draft, terms.environment, keyring).payload(), terms
    )


def directory(draft: Draft) -> str:
    """The end of the TEXT section: names of rows that have no name of their own.

    "kind/id/name" for assets, networks, instruments and keys, with a destination's digest (16
    hexadecimal digits) for its id; spaces between. The core does not read it.
    """
    tables: dict[str, Iterable[DraftAsset | DraftNetwork | DraftInstrument | DraftKey]] = {
        "asset": draft.assets.values(),
        "network": draft.networks.values(),
        "instrument": draft.instruments.values(),
        "key": draft.keys.values(),
    }
    entries = [f"{kind}/{row.id}/{row.name}" for kind, rows in tables.items() for row in rows]
    entries += [
        f"destination/{row.digest.hex()[:16]}/{row.name}" for row in draft.destinations.values()
    ]
    return " ".join(entries)


class _Text:
    """The TEXT section: each text once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._at: dict[bytes, int] = {}

    def add(self, text: str) -> tuple[int, int]:
        raw = text.encode()
        at = self._at.setdefault(raw, len(self.data))
        if at == len(self.data):
            self.data += raw
        return at, len(raw)


class _Encoder:
    def __init__(
        self, draft: Draft, environment: Environment, keyring: Iterable[KeyInfo] | None
    ) -> None:
        self._draft = draft
        self._environment = environment
        self._keyring = None if keyring is None else {info.id: info for info in keyring}
        self._text = _Text()
        self._ids: list[int] = []
        self._digests: list[bytes] = []

    def payload(self) -> bytes:
        draft = self._draft
        nodes = self._nodes()
        constraints = b"".join(self._constraint(row) for row in draft.constraints)
        sections = {
            Section.NODES: (nodes, len(draft.nodes)),
            Section.ASSETS: (self._assets(), len(draft.assets)),
            Section.NETWORKS: (self._networks(), len(draft.networks)),
            Section.INSTRUMENTS: (self._instruments(), len(draft.instruments)),
            Section.KEYS: (self._keys(), len(draft.keys)),
            Section.CONSTRAINTS: (constraints, len(draft.constraints)),
            Section.IDS: (struct.pack(f"<{len(self._ids)}I", *self._ids), len(self._ids)),
            Section.DESTINATIONS: (b"".join(self._digests), len(self._digests)),
            Section.SANCTIONS: (b"".join(draft.sanctions), len(draft.sanctions)),
        }
        self._text.data += directory(draft).encode()
        sections[Section.TEXT] = (bytes(self._text.data), len(self._text.data))
        if len(self._text.data) > TEXT_MAX:
            raise draft.document.error((), f"all names together are longer than {TEXT_MAX} bytes")
        table: list[int] = []

        parts: list[bytes] = []
        offset = _layout.POLICY.size
        for section in Section:
            body, count = sections[section]
            table += [offset, count]
            parts.append(pad8(body))
            offset += len(parts[-1])
        head = _layout.POLICY.pack(
            semantics_version=SEMANTICS_VERSION,
            attempt_limit=draft.attempt_limit,
            attempt_interval_ns=draft.attempt_interval_ns,
            clock_tolerance_ns=draft.clock_tolerance_ns,
            lease_ns=draft.lease_ns,
            mark_max_age_ns=draft.mark_max_age_ns,
            market_band_ppm=draft.market_band_ppm,
            book_entries=draft.book_entries,
            source_digest32=hashlib.sha256(draft.document.text.encode()).digest(),
            sections=table,
            oversight=draft.oversight,
            approval_ns=draft.approval_ns,
            approval_quorum=draft.approval_quorum,
        )
        return head + b"".join(parts)

    def _nodes(self) -> bytes:
        counts = [0] * len(self._draft.nodes)
        for constraint in self._draft.constraints:
            counts[constraint.node] += 1
        out = bytearray()
        first = 0
        for node in self._draft.nodes:
            at, size = self._text.add(node.name)
            out += _layout.NODE.pack(
                id=node.id,
                parent=NODE_NONE if node.parent is None else node.parent,
                kind=node.kind,
                depth=node.depth,
                name_size=size,
                name=at,
                constraint_first=first,
                constraint_count=counts[node.index],
            )
            first += counts[node.index]
        return bytes(out)

    def _assets(self) -> bytes:
        assets = self._draft.assets
        return b"".join(
            _layout.ASSET.pack(
                id=row.id,
                venue=row.venue,
                decimals=row.decimals,
                code_size=len(row.code),
                code=row.code.encode(),
                mark_asset=assets[row.mark].id if row.mark is not None else 0,
                par_micro_usd=row.par_micro_usd,
                token16=row.token,
            )
            for row in sorted(assets.values(), key=lambda row: row.id)
        )

    def _networks(self) -> bytes:
        return b"".join(
            _layout.NETWORK.pack(
                id=row.id,
                asset=self._draft.assets[row.asset].id,
                decimals=row.decimals,
                code_size=len(row.code),
                code=row.code.encode(),
            )
            for row in sorted(self._draft.networks.values(), key=lambda row: row.id)
        )

    def _instruments(self) -> bytes:
        assets = self._draft.assets
        return b"".join(
            _layout.INSTRUMENT.pack(
                id=row.id,
                venue=row.venue,
                environment=self._environment,
                contract=row.contract,
                base=assets[row.base].id,
                quote=assets[row.quote].id,
                settle=assets[row.settle].id,
                venue_index=row.index,
                quantity_unit=row.unit,
                symbol_size=len(row.symbol),
                market=row.market,
                symbol=row.symbol.encode(),
                multiplier=row.multiplier,
                tick=row.tick,
                lot=row.lot,
                expiry_ms=row.expiry_ms,
                strike=row.strike,
            )
            for row in sorted(self._draft.instruments.values(), key=lambda row: row.id)
        )

    def _keys(self) -> bytes:
        return b"".join(
            _layout.KEY.pack(
                id=row.id,
                node=row.node,
                venue=row.venue,
                purpose=row.purpose,
                algorithm=row.algorithm,
                expiry_ms=row.expiry_ms,
                flags=row.flags,
                products=row.products,
                fingerprint32=self._fingerprint(row),
            )
            for row in sorted(self._draft.keys.values(), key=lambda row: row.id)
        )

    def _fingerprint(self, row: DraftKey) -> bytes:
        if self._keyring is None:
            return bytes(32)
        info = self._keyring.get(row.id)
        if info is None:
            raise self._key_error(
                row,
                f"the keyring has no key {row.name!r} (id {row.id})",
                f"make it (generate) or bring it (import): zcp key generate {row.name}"
                f" --algorithm {label(row.algorithm)}"
                + (f" --venue {label(row.venue)}" if row.venue else ""),
            )
        for field, wanted, found in (
            ("purpose", row.purpose, info.purpose),
            ("venue", row.venue, info.venue),
            ("algorithm", row.algorithm, info.algorithm),
        ):
            if wanted != found:
                known = type(wanted)
                made = label(known(found)) if found in set(known) else str(found)
                raise self._key_error(
                    row,
                    f"the key {row.name!r} was made with the {field} {made}, not {label(wanted)}",
                    "write here what the key was made for, or make another key",
                )
        if row.account is not None and row.account != info.api_key:
            raise self._key_error(
                row,
                f"the key {row.name!r} is for the account {row.account!r},"
                f" but the keyring's acts for {info.api_key!r}",
                "write the account that the key has, or import the key of this account",
                "account",
            )
        return info.fingerprint

    def _key_error(
        self, row: DraftKey, message: str, next_step: str, field: str = ""
    ) -> ConfigError:
        at = (*row.at, field) if field else row.at
        return self._draft.document.error(at, message, key=not field, next_step=next_step)

    def _constraint(self, row: DraftConstraint) -> bytes:
        at, size = self._text.add(row.name)
        first = 0
        if row.ids:
            first = len(self._ids)
            self._ids += row.ids
        elif row.digests:
            first = len(self._digests)
            self._digests += row.digests
        instruments = self._draft.instruments
        return _layout.CONSTRAINT.pack(
            id=row.id,
            node=row.node,
            kind=row.kind,
            each=int(row.each),
            bound_scale=row.bound_scale,
            quorum=row.quorum,
            actions=row.actions,
            venues=row.venues,
            instrument=instruments[row.instrument].id if row.instrument is not None else 0,
            mask=row.mask,
            list_first=first,
            list_count=len(row.ids) or len(row.digests),
            name=at,
            bound=row.bound,
            window_ns=row.window_ns,
            max_age_ns=row.max_age_ns,
            name_size=size,
        )

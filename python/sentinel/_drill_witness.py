"""A witness of the drill's own, for a copy of an engine that needs one.

The engine's own witness is never asked about a copy: it would confirm the copy's epoch, and the
engine itself would get no more grants. So the root names another one, in the copy alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from typing import Final

from . import _witness_store as store
from ._authority_edit import Change, Holder
from ._drafts import Draft, sign_draft
from ._enums import Power
from ._frame import FrameKind
from ._people import Public, SigningKeys, person_id
from .audit import restore
from .config import Installed, write_file
from .errors import EngineHalted, KeyFileError
from .sign import Signer
from .witness import CONFIG_FILE, Server, WitnessError, configure

RECORDS: Final = 1000
SPEND_USD: Final = 10**9
_NAME: Final = "drill-witness"
_LEAST: Final = (1, 8192)  # of Argon2id: the key lives as long as the drill, under random bytes


def needs_witness(public: Public) -> bool:
    """Whether the authority in force asks for a witness."""
    return public.authority.threshold[Power.WITNESS] > 0


def forget_witness(directory: Path) -> None:
    """Makes sure that a copy asks nobody."""
    (directory / CONFIG_FILE).unlink(missing_ok=True)


def roots_here(public: Public, keys: Sequence[SigningKeys]) -> list[SigningKeys]:
    """Who is there of the root, each key once. Raises KeyFileError when it takes more."""
    genesis = public.genesis
    found = {root: one for one in keys for root in genesis.root_keys if root in one.ids}
    k = genesis.root_threshold
    if len(found) < k:
        raise KeyFileError(
            f"the engine needs a witness, and its copy must not ask that one: it takes {k} of"
            f" {len(genesis.root_keys)} root keys to give the copy another, and {len(found)} are"
            " here",
            cause="a copy that asked it would take the engine's epoch: the engine would sign no"
            " more",
            next_step="give the root's key files with --key, too; or drill the engine: --live",
        )
    return list(found.values())[:k]


class OwnWitness:
    """The witness of a drill, in this process."""

    def __init__(self, engine: Path, place: Path) -> None:
        """Use `own_witness`."""
        self._engine = engine
        self._place = place
        self.person = store.init(place, _NAME, secret := token_bytes(32), _LEAST)
        state = restore(engine).state()
        if state.grant.gap_to:
            raise EngineHalted(
                "records that a witness confirmed are missing: there is no drill before that is"
                " accepted",
                next_step="zcp status; then zcp resume --gap",
            )
        genesis = (engine / "genesis").read_bytes()
        found = store.pin(place, genesis)
        self._entry = place / "engines" / f"{found.engine_id.hex()}.json"
        grant = state.grant
        store.adopt(self._entry, grant.epoch, grant.count, grant.hash)
        self.witness = store.Witness(place, secret, RECORDS, SPEND_USD)

    def close(self) -> None:
        """Ends it."""
        self.witness.close()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is done to another copy meanwhile is forgotten: each stands for the same engine."""
        kept = self._entry.read_bytes()
        try:
            yield
        finally:
            write_file(self._entry, kept)

    def forgive(self) -> None:
        """What a kill may have hidden is not charged to the policy's limits: they would end the
        drill. Nobody asks meanwhile.
        """
        store.forgive(self._entry)

    def name(self, public: Public, roots: Sequence[SigningKeys], passphrase: bytes) -> None:
        """Has the root name it in the copy, instead of the engine's own witnesses."""
        before = Change.of(public.authority)
        holders = {}
        for id_, one in before.holders.items():
            powers = one.powers - {Power.WITNESS}
            if powers:
                holders[id_] = replace(one, powers=powers)
        id_, expires = person_id(_NAME), max(one.expires_ns for one in before.holders.values())
        holders[id_] = Holder(id_, frozenset({Power.WITNESS}), self.person.public_key, expires)
        after = Change(holders, {**before.thresholds, Power.WITNESS: 1})
        with Signer.open(self._engine, passphrase=passphrase) as signer:
            now = restore(self._engine).state().last_now_ns
            part = after.part(signer.installed.terms(public.sequence + 1, now))
            draft = Draft(FrameKind.AUTHORITY, part)
            for keys in roots:
                draft, _ = sign_draft(draft, keys, public, now)
            with suppress(WitnessError):  # It is in force, and asked from the next start on.
                signer.take(draft.raw)


@contextmanager
def own_witness(
    engine: Path, place: Path, keys: Sequence[SigningKeys], passphrase: bytes
) -> Iterator[OwnWitness]:
    """Gives the copy of an engine a witness of its own, for as long as the drill goes.

    Raises KeyFileError where the root is not here, EngineHalted where confirmed records are
    missing.
    """
    public = Public.of_engine(Installed(engine))
    roots = roots_here(public, keys)
    forget_witness(engine)
    with closing(OwnWitness(engine, place)) as own, Server(own.witness, "127.0.0.1:0") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            own.name(public, roots, passphrase)
            configure(engine, f"http://127.0.0.1:{server.server_address[1]}")
            yield own
        finally:
            server.shutdown()
            thread.join()
            forget_witness(engine)

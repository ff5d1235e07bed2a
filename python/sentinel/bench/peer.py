"""What a user would pick instead of the gate, behind one small interface.

    class Mine:
        name, label, algorithm, takes = "mine", "my signer", "ed25519", "message"

        def sign(self, message: bytes) -> bytes: ...
        def close(self) -> None: ...

The suite `peers` measures every `Peer` beside the gate, one signature of each a round, in turn. A
peer makes its key, and connects, before it is returned; `sign` does what is timed and nothing else.
`zcp bench --against WHERE` adds a user's own: `open_peer` finds who opens such a place by the
scheme of WHERE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ..errors import UsageError

__all__ = ["OPENERS", "Peer", "PeerMissing", "open_peer"]


class Peer(Protocol):
    """A signer that is measured beside ours."""

    name: str
    """Of its row, without spaces: "pynacl"."""
    label: str
    """For people: "PyNaCl"."""
    algorithm: str
    """ed25519, ecdsa_secp256k1, bip340, ecdsa_p256, rsa_sha256 or hmac_sha256."""
    takes: str
    """What `sign` is given: "message" (a request's bytes) or "digest" (32 bytes)."""

    def sign(self, message: bytes) -> bytes:
        """One signature. Raises when it fails: the peer is then left out, with that text."""

    def close(self) -> None:
        """Ends connections and processes, removes what was made. Safe to call again."""


class PeerMissing(Exception):
    """A peer that cannot be measured here; its text says what to install or to give."""


OPENERS: Final[dict[str, Callable[[str], Sequence[Peer]]]] = {}
"""Who opens a place, by scheme: "pkcs11", "aws-kms", "http", "https". Each gets the whole text of
--against, and raises PeerMissing or UsageError. `peers` fills it."""


def open_peer(where: str) -> Sequence[Peer]:
    """The peers of one --against; several where a place has several algorithms.

    Raises UsageError for a scheme that nobody opens, and what the opener raises.
    """
    scheme = where.partition(":")[0]
    if scheme not in OPENERS:
        raise UsageError(
            f"--against: {where!r} is no place of a signer",
            next_step=f"name one that begins with {', '.join(f'{name}:' for name in OPENERS)}",
        )
    return OPENERS[scheme](where)

"""What each venue trades, what quantities count there, which keys it takes. The core decides."""

from __future__ import annotations

from typing import Final

from ._enums import Algorithm, Contract, Unit, Venue, label

__all__ = ["algorithm_refusal", "not_traded", "rsa_refusal", "unit_at"]

_SEVERAL: Final = (Contract.SPOT, Contract.LINEAR, Contract.INVERSE, Contract.OPTION)
_TRADED: Final = {
    Venue.BINANCE_SPOT: (Contract.SPOT,),
    Venue.BINANCE_USDM: (Contract.LINEAR,),
    Venue.BYBIT: _SEVERAL,
    Venue.OKX: _SEVERAL,
    Venue.DERIBIT: _SEVERAL,
    Venue.HYPERLIQUID: (Contract.SPOT, Contract.LINEAR),
}

_RSA: Final = {
    Venue.BINANCE_SPOT: "make an Ed25519 or HMAC key at Binance: ed25519 or hmac_sha256",
    Venue.BINANCE_USDM: "make an Ed25519 or HMAC key at Binance: ed25519 or hmac_sha256",
    Venue.BYBIT: "make an HMAC key at Bybit (system-generated): hmac_sha256",
    Venue.OKX: "make an HMAC key at OKX: hmac_sha256",
    Venue.DERIBIT: "make a client id and secret at Deribit: hmac_sha256",
    Venue.HYPERLIQUID: "use an agent key of Hyperliquid: ecdsa_secp256k1",
}
"""What the venues take instead of an RSA key."""

_ALGORITHMS: Final = {
    Venue.BINANCE_SPOT: (Algorithm.HMAC_SHA256, Algorithm.ED25519),
    Venue.BINANCE_USDM: (Algorithm.HMAC_SHA256, Algorithm.ED25519),
    Venue.BYBIT: (Algorithm.HMAC_SHA256,),
    Venue.OKX: (Algorithm.HMAC_SHA256,),
    Venue.DERIBIT: (Algorithm.HMAC_SHA256,),
    Venue.HYPERLIQUID: (Algorithm.ECDSA_SECP256K1,),
}
"""With what a venue's requests can be signed; the core renders no others."""


def unit_at(venue: Venue, contract: Contract) -> Unit:
    """What a quantity counts at a venue."""
    if venue is Venue.OKX and contract is not Contract.SPOT:
        return Unit.CONTRACTS
    return Unit.QUOTE if contract is Contract.INVERSE else Unit.BASE


def not_traded(
    name: str, venue: Venue, contract: Contract, unit: Unit | None
) -> tuple[str, str] | None:
    """Why orders of an instrument are refused, and what to do; None where they are not."""
    if contract not in _TRADED[venue]:
        return (
            f"{name} is {label(contract)}, which is not traded at {label(venue)} from here",
            "trade one of another kind",
        )
    wanted = unit_at(venue, contract)
    if unit in (None, wanted):
        return None
    return (
        f"quantities of {label(contract)} count {label(wanted)} at {label(venue)}, and the policy's"
        f" row of {name} says {label(unit)}",
        f"write `unit: {label(wanted)}` there: zcp venue instruments makes such rows",
    )


def rsa_refusal(venue: Venue) -> tuple[str, str]:
    """Why there are no RSA keys, and what to do."""
    other = _RSA.get(venue, "use ed25519, hmac_sha256 or ecdsa_secp256k1, as the venue has it")
    return "RSA keys are refused: the core has no RSA, which is slow and large", other


def algorithm_refusal(venue: Venue, algorithm: Algorithm) -> tuple[str, str] | None:
    """Why a venue takes no such key, and what to do; None where it does."""
    known = _ALGORITHMS.get(venue, tuple(Algorithm))
    if algorithm in known:
        return None
    names = " or ".join(label(other) for other in known)
    return f"{label(venue)} has no requests signed with {label(algorithm)}", f"use {names}"

"""Enclave images: built, measured and signed with AWS's own crate. See `zcp enclave`."""

from __future__ import annotations

import json
from typing import Any

from ._native import EifError, build, inspect_json, measure, sign

__all__ = ["EifError", "build", "inspect", "measure", "sign"]


def inspect(path: str) -> dict[str, Any]:
    """What an image says of itself, with its measurements. Raises EifError."""
    found: dict[str, Any] = json.loads(inspect_json(path))
    return found

"""Types of the compiled module."""

from collections.abc import Sequence
from os import PathLike

__all__ = ["EifError", "build", "inspect_json", "measure", "sign"]

class EifError(Exception):
    """An image, or what it is to be made of, is not as it must be."""

def build(
    out: str | PathLike[str],
    *,
    kernel: str | PathLike[str],
    cmdline: str,
    ramdisks: Sequence[str | PathLike[str]],
    name: str,
    version: str,
    kernel_version: str,
    built_at: str,
    key: str | PathLike[str] | None = None,
    certificate: str | PathLike[str] | None = None,
) -> dict[str, str]:
    """Builds an image and returns its measurements. Raises EifError."""

def measure(path: str | PathLike[str]) -> dict[str, str]:
    """The measurements of an image. Raises EifError."""

def inspect_json(path: str | PathLike[str]) -> str:
    """What an image says of itself, with its measurements, as JSON. Raises EifError."""

def sign(
    path: str | PathLike[str],
    out: str | PathLike[str],
    *,
    key: str | PathLike[str],
    certificate: str | PathLike[str],
) -> dict[str, str]:
    """Signs an image into another file and returns its measurements. Raises EifError."""

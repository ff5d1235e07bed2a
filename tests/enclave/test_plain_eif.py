"""The tests' own reader of images: an oracle must itself be right.

Goal: it takes what the format allows, and refuses every changed byte. Method: images that it wrote.
"""

from __future__ import annotations

import hashlib

import pytest
from plain_eif import Image, Kind, Section, measure, pcrs, read, write

IMAGE = Image(
    0,
    (
        Section(Kind.KERNEL, b"kernel"),
        Section(Kind.CMDLINE, b"console=ttyS0"),
        Section(Kind.METADATA, b"{}"),
        Section(Kind.RAMDISK, b"first"),
        Section(Kind.RAMDISK, b"second"),
        Section(Kind.RAMDISK, b"third"),
    ),
)


def test_reads_what_it_wrote() -> None:
    assert read(write(IMAGE)) == IMAGE


def test_refuses_every_flipped_byte_and_every_cut() -> None:
    raw = write(IMAGE)
    for index in range(len(raw)):
        changed = bytearray(raw)
        changed[index] ^= 0x01
        with pytest.raises(ValueError, match=r"^(not an|the|a section|too|bytes)"):
            read(bytes(changed))
        with pytest.raises(ValueError, match=r"^(not an|the|a section|too)"):
            read(raw[:index])


def test_measures_by_the_formula() -> None:
    def extended(data: bytes) -> str:
        return hashlib.sha384(b"\0" * 48 + hashlib.sha384(data).digest()).hexdigest()

    found = pcrs(IMAGE, b"certificate")
    assert found == {
        "PCR0": extended(b"kernelconsole=ttyS0firstsecondthird"),
        "PCR1": extended(b"kernelconsole=ttyS0first"),
        "PCR2": extended(b"secondthird"),
        "PCR8": extended(b"certificate"),
    }
    # By hand, with sha384sum: an image without a second ramdisk has this PCR2.
    assert measure() == (
        "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c"
        "10edb30948c90ba67310f7b964fc500a"
    )

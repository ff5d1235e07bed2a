"""A reader of enclave images and their measurements, written from the format alone.

Goal: an oracle that shares no code with the crate that builds them. Method: the layout of EIF 4
(big-endian: a header of 548 bytes, then sections of a 12-byte header and data) and the formula

    PCR = SHA-384(48 zero bytes || SHA-384(data))

with PCR0 = kernel, command line, all ramdisks; PCR1 = the same with the first ramdisk only; PCR2 =
the other ramdisks; PCR8 = the signing certificate (DER).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b".eif"
VERSION = 4
SECTIONS_MAX = 32
HEADER = struct.Struct(f">4sHHQQHH{SECTIONS_MAX}Q{SECTIONS_MAX}QII")
SECTION = struct.Struct(">HHQ")


class Kind(IntEnum):
    """What a section holds."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


@dataclass(frozen=True, slots=True)
class Section:
    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    flags: int
    sections: tuple[Section, ...]

    def all(self, kind: Kind) -> list[bytes]:
        return [section.data for section in self.sections if section.kind is kind]

    def one(self, kind: Kind) -> bytes:
        (found,) = self.all(kind)
        return found


def read(raw: bytes) -> Image:
    """The image. Raises ValueError for whatever is not exactly as the format says."""
    if len(raw) < HEADER.size:
        raise ValueError("too short for a header")
    magic, version, flags, _, _, reserved, count, *rest = HEADER.unpack_from(raw)
    offsets, sizes = rest[:SECTIONS_MAX], rest[SECTIONS_MAX : 2 * SECTIONS_MAX]
    unused, crc = rest[-2:]
    if magic != MAGIC or version != VERSION:
        raise ValueError("not an image of version 4")
    if reserved or unused or not 0 < count <= SECTIONS_MAX or any(offsets[count:] + sizes[count:]):
        raise ValueError("the header has what it may not have")
    if crc != zlib.crc32(raw[HEADER.size :], zlib.crc32(raw[: HEADER.size - 4])):
        raise ValueError("the checksum is another")
    sections, at = [], HEADER.size
    for offset, size in zip(offsets[:count], sizes[:count], strict=True):
        if offset != at:
            raise ValueError("a section lies elsewhere")
        kind, section_flags, length = SECTION.unpack_from(raw, at)
        at += SECTION.size + length
        if section_flags or length != size or at > len(raw):
            raise ValueError("a section's header is another")
        sections.append(Section(Kind(kind), raw[at - length : at]))
    if at != len(raw):
        raise ValueError("bytes follow the last section")
    return Image(flags, tuple(sections))


def write(image: Image) -> bytes:
    """The bytes of an image: for images that no honest tool makes."""
    body, offsets, sizes = b"", [], []
    for section in image.sections:
        offsets.append(HEADER.size + len(body))
        sizes.append(len(section.data))
        body += SECTION.pack(section.kind, 0, len(section.data)) + section.data
    rest = [0] * (SECTIONS_MAX - len(sizes))
    fields = (MAGIC, VERSION, image.flags, 1 << 30, 2, 0, len(sizes))
    head = HEADER.pack(*fields, *offsets, *rest, *sizes, *rest, 0, 0)[:-4]
    return head + struct.pack(">I", zlib.crc32(body, zlib.crc32(head))) + body


def measure(*parts: bytes) -> str:
    """A register that was extended once, by the hash of all parts."""
    digest = hashlib.sha384(b"".join(parts)).digest()
    return hashlib.sha384(bytes(48) + digest).hexdigest()


def pcrs(image: Image, certificate: bytes | None = None) -> dict[str, str]:
    """The registers of an image; PCR8 with the certificate (DER) that signed it."""
    kernel, cmdline = image.one(Kind.KERNEL), image.one(Kind.CMDLINE)
    first, *others = image.all(Kind.RAMDISK)
    found = {
        "PCR0": measure(kernel, cmdline, first, *others),
        "PCR1": measure(kernel, cmdline, first),
        "PCR2": measure(*others),
    }
    if certificate is not None:
        found["PCR8"] = measure(certificate)
    return found

"""Images by `sentinel_eif` and `zcp enclave`, against the tests' own reader.

Goal: what is built is what was meant, its measurements are right, and nothing else is taken.
Method: small files that look like a kernel and ramdisks; plain_eif.py reads the results.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import sentinel_eif
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from plain_eif import Image, Kind, Section, pcrs, read, write
from sentinel_eif import EifError

from sentinel._cli import main

KERNEL = bytes(0x202) + b"HdrS" + b"kernel" * 20
CMDLINE = "console=ttyS0 panic=-1"
TEXTS: dict[str, Any] = {
    "name": "sentinel",
    "version": "1",
    "kernel_version": "6.12",
    "built_at": "1970-01-01T00:00:00+00:00",
}


def parts(folder: Path) -> dict[str, Any]:
    """The files of an image, in a folder, as `build` takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bzImage").write_bytes(KERNEL)
    ramdisks = []
    for number in range(3):
        ramdisks.append(folder / f"{number}.cpio")
        ramdisks[-1].write_bytes(b"ramdisk %d " % number * (number + 1))
    return {"kernel": folder / "bzImage", "cmdline": CMDLINE, "ramdisks": ramdisks, **TEXTS}


def key_pair(folder: Path, key: Any, *, name: str = "signer", days: int = 30) -> tuple[Path, Path]:
    """A key of tests and its certificate, as files."""
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests only")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(named, named, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA384())
    )
    private = folder / f"{name}.key"
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    certificate = folder / f"{name}.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    return private, certificate


def der_of(certificate: Path) -> bytes:
    return x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path, ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    out = tmp_path / "image.eif"
    sentinel_eif.build(out, **parts(tmp_path / "parts"))
    return out


def test_measures_as_the_independent_reader_does(tmp_path: Path) -> None:
    out = tmp_path / "image.eif"
    built = sentinel_eif.build(out, **parts(tmp_path / "parts"))
    found = read(out.read_bytes())
    assert built == sentinel_eif.measure(out) == pcrs(found)
    assert found.one(Kind.KERNEL) == KERNEL
    assert found.one(Kind.CMDLINE) == CMDLINE.encode()
    assert [len(data) for data in found.all(Kind.RAMDISK)] == [10, 20, 30]


def test_is_the_same_from_another_folder(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two/deeper"):
        out = tmp_path / name / "image.eif"
        sentinel_eif.build(out, **parts(out.parent))
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_says_what_it_was_told_and_asks_no_clock(image: Path) -> None:
    found = sentinel_eif.inspect(str(image))
    metadata = json.loads(read(image.read_bytes()).one(Kind.METADATA))
    assert found["metadata"] == metadata
    assert metadata["BuildMetadata"]["BuildTime"] == TEXTS["built_at"]
    assert (metadata["ImageName"], metadata["ImageVersion"]) == ("sentinel", "1")
    assert found["cmdline"] == CMDLINE
    kinds = [section["kind"] for section in found["sections"]]
    assert kinds == ["kernel", "cmdline", "metadata", "ramdisk", "ramdisk", "ramdisk"]


def test_refuses_every_flipped_byte_and_every_cut(image: Path, tmp_path: Path) -> None:
    raw = image.read_bytes()
    changed = tmp_path / "changed.eif"
    for index in range(len(raw)):
        for data in (raw[:index] + bytes([raw[index] ^ 0x80]) + raw[index + 1 :], raw[:index]):
            changed.write_bytes(data)
            with pytest.raises(EifError):
                sentinel_eif.measure(changed)
    changed.write_bytes(raw + b"\0")
    with pytest.raises(EifError, match="bytes follow"):
        sentinel_eif.measure(changed)


def sections(*kinds: Kind, data: bytes = b"{}") -> Image:
    return Image(0, tuple(Section(kind, data) for kind in kinds))


@pytest.mark.parametrize(
    "strange",
    [
        sections(),
        sections(Kind.KERNEL),
        sections(Kind.KERNEL, Kind.CMDLINE, Kind.METADATA),
        sections(Kind.CMDLINE, Kind.KERNEL, Kind.RAMDISK, Kind.METADATA),
        sections(Kind.KERNEL, Kind.CMDLINE, Kind.RAMDISK),
        sections(Kind.KERNEL, Kind.KERNEL, Kind.CMDLINE, Kind.RAMDISK, Kind.METADATA),
        sections(Kind.KERNEL, Kind.CMDLINE, Kind.RAMDISK, Kind.METADATA, Kind.SIGNATURE),
        # An empty list of signatures: the crate would take its first.
        Image(0, (*sections(Kind.KERNEL, Kind.CMDLINE, Kind.RAMDISK).sections,
                  Section(Kind.METADATA, b"null"), Section(Kind.SIGNATURE, b"\x80"))),
        sections(Kind.KERNEL, Kind.CMDLINE, Kind.RAMDISK, Kind.METADATA, data=b"not json"),
    ],
)  # fmt: skip
def test_refuses_an_image_of_another_shape(tmp_path: Path, strange: Image) -> None:
    path = tmp_path / "strange.eif"
    path.write_bytes(write(strange))
    with pytest.raises(EifError):
        sentinel_eif.measure(path)
    with pytest.raises(EifError):
        sentinel_eif.inspect(str(path))


def test_refuses_what_no_image_can_be_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    good = parts(folder)
    empty = folder / "empty"
    empty.write_bytes(b"")
    plain = folder / "plain"
    plain.write_bytes(b"x" * 1000)
    bad: list[dict[str, Any]] = [
        {"kernel": folder / "none"},
        {"kernel": folder},
        {"kernel": empty},
        {"kernel": plain},
        {"cmdline": ""},
        {"cmdline": "a\0b"},
        {"cmdline": "zwei\nZeilen"},
        {"cmdline": "é"},
        {"cmdline": "x" * 1025},
        {"ramdisks": []},
        {"ramdisks": [folder / "none"]},
        {"ramdisks": [empty]},
        {"ramdisks": [plain] * 29},
        {"ramdisks": [Path("/dev/zero")]},
        {"name": ""},
        {"version": "x" * 129},
        {"kernel_version": "a\nb"},
        {"built_at": ""},
        {"key": plain},
        {"certificate": plain},
        {"key": plain, "certificate": plain},
        {"key": Path("arn:aws:kms:eu-west-1:123456789012:key/a"), "certificate": plain},
    ]
    for change in bad:
        out = tmp_path / "out.eif"
        with pytest.raises(EifError):
            sentinel_eif.build(out, **good | change)
        assert not list(tmp_path.glob("out*")), change
    with pytest.raises(EifError):
        sentinel_eif.build(tmp_path / "no folder" / "out.eif", **good)
    at_the_limit = good | {"cmdline": "x" * 1024, "ramdisks": [plain] * 28, "name": "n" * 128}
    out = tmp_path / "out.eif"
    assert sentinel_eif.build(out, **at_the_limit) == pcrs(read(out.read_bytes()))


def test_a_signed_image_has_the_certificate_in_pcr8(
    image: Path, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    key, certificate = pair
    before = sentinel_eif.measure(image)
    signed = sentinel_eif.sign(image, tmp_path / "signed.eif", key=key, certificate=certificate)
    expected = pcrs(read((tmp_path / "signed.eif").read_bytes()), der_of(certificate))
    assert signed == expected == before | {"PCR8": expected["PCR8"]}
    built = sentinel_eif.build(
        tmp_path / "built.eif", **parts(tmp_path / "parts"), key=key, certificate=certificate
    )
    assert built == signed
    with pytest.raises(EifError, match="it is signed"):
        sentinel_eif.sign(
            tmp_path / "signed.eif", tmp_path / "again.eif", key=key, certificate=certificate
        )


def test_refuses_a_signature_of_another_image(
    image: Path, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    signed = tmp_path / "signed.eif"
    sentinel_eif.sign(image, signed, key=pair[0], certificate=pair[1])
    found = read(signed.read_bytes())
    moved = [s for s in found.sections if s.kind is not Kind.RAMDISK]
    moved.insert(3, Section(Kind.RAMDISK, b"another"))
    signed.write_bytes(write(Image(0, tuple(moved))))
    with pytest.raises(EifError, match="signature"):
        sentinel_eif.measure(signed)


def test_refuses_a_key_that_cannot_sign(image: Path, tmp_path: Path) -> None:
    good = key_pair(tmp_path, ec.generate_private_key(ec.SECP384R1()), name="good")
    other = key_pair(tmp_path, ec.generate_private_key(ec.SECP384R1()), name="other")
    long = key_pair(tmp_path, rsa.generate_private_key(65537, 2048), name="rsa")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"tests only")
        )
    )
    out = tmp_path / "signed.eif"
    for key, certificate in (
        (good[0], other[1]),
        long,
        (locked, good[1]),
        (good[1], good[0]),
        (tmp_path / "none", good[1]),
    ):
        with pytest.raises(EifError):
            sentinel_eif.sign(image, out, key=key, certificate=certificate)
        assert not out.exists()


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any]:
    """Exit status and JSON of a command."""
    try:
        status = main([*map(str, words), "--json"])
    except SystemExit as ended:
        status = ended.code
    return int(status or 0), json.loads(capsys.readouterr().out)


def test_the_command_builds_measures_inspects_and_signs(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = parts(tmp_path / "parts")
    cmdline, out = tmp_path / "cmdline", tmp_path / "image.eif"
    cmdline.write_text(CMDLINE + "\n", "ascii")
    ramdisks = [word for path in given["ramdisks"] for word in ("--ramdisk", path)]
    words = ["--kernel", given["kernel"], "--cmdline", cmdline, "--kernel-version", "6.12"]
    status, built = run(capsys, "enclave", "build", out, *words, *ramdisks)
    assert status == 0
    assert built["measurements"] == pcrs(read(out.read_bytes()))
    assert run(capsys, "enclave", "measure", out) == (0, built)
    status, shown = run(capsys, "enclave", "inspect", out)
    assert (status, shown["measurements"]) == (0, built["measurements"])
    signed = tmp_path / "signed.eif"
    keys = ["--key", pair[0], "--certificate", pair[1]]
    status, made = run(capsys, "enclave", "sign", out, signed, *keys)
    assert (status, sorted(made["measurements"])) == (0, ["PCR0", "PCR1", "PCR2", "PCR8"])
    raw = bytearray(out.read_bytes())
    raw[600] ^= 1
    out.write_bytes(raw)
    status, error = run(capsys, "enclave", "measure", out)
    assert status == 8
    assert "checksum" in error["error"]["message"]

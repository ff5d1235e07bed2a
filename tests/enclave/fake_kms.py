"""A fake of KMS: keys for agreement that answer only to enclaves whom the key policy allows.

Documents are judged by the product's own verifier, under a test's own root; the policy's conditions
are evaluated here, the few that such policies use. Answers are CMS in BER, by `openssl cms`, as KMS
writes them. It can be used as a client of boto3 is (`client.derive_shared_secret(...)`).
"""

from __future__ import annotations

import datetime as dt
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

from sentinel.attestation import (
    Expectation,
    TrustRoot,
    unsafe_parse_without_verification,
    verify,
)
from sentinel.errors import SentinelError

ROLE = "arn:aws:iam::111122223333:role/sentinel-parent"
OAEP = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")


def refused(operation: str, code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def envelope(spki: bytes, secret: bytes) -> bytes:
    """CiphertextForRecipient: EnvelopedData in BER, the recipient by subjectKeyIdentifier."""
    issuer = ec.generate_private_key(ec.SECP256R1())
    key = load_der_public_key(spki)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "recipient, tests only")])
    now = dt.datetime.now(dt.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)  # type: ignore[arg-type]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(identifier, critical=False)
        .sign(issuer, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "recipient.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        command = ["openssl", "cms", "-encrypt", "-binary", "-stream", "-aes-256-cbc"]
        command += ["-outform", "DER", "-recip", str(path), "-keyid"]
        for option in OAEP:
            command += ["-keyopt", option]
        done = subprocess.run(command, input=secret, capture_output=True, check=True)
    return done.stdout


@dataclass
class FakeKms:
    """One key and its policy, in an account. `root`: whose documents count."""

    policy: Mapping[str, Any]
    root: TrustRoot
    now: Callable[[], dt.datetime]
    principal: str = ROLE
    curve: ec.EllipticCurve = field(default_factory=ec.SECP256R1)
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "KeyUsage": "KEY_AGREEMENT",
            "KeySpec": "ECC_NIST_P256",
            "Origin": "AWS_KMS",
            "KeyState": "Enabled",
            "MultiRegion": False,
        }
    )
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(self.curve)

    def describe_key(self, KeyId: str) -> dict[str, Any]:
        self.calls.append("describe_key")
        return {"KeyMetadata": self.metadata}

    def get_public_key(self, KeyId: str) -> dict[str, Any]:
        self.calls.append("get_public_key")
        form = PublicFormat.SubjectPublicKeyInfo
        return {"PublicKey": self.key.public_key().public_bytes(Encoding.DER, form)}

    def derive_shared_secret(
        self,
        KeyId: str,
        KeyAgreementAlgorithm: str,
        PublicKey: bytes,
        Recipient: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        self.calls.append("derive_shared_secret")
        if KeyAgreementAlgorithm != "ECDH":
            raise refused("DeriveSharedSecret", "ValidationException")
        context: dict[str, str] = {}
        spki = None
        if Recipient is not None:
            if Recipient["KeyEncryptionAlgorithm"] != "RSAES_OAEP_SHA_256":
                raise refused("DeriveSharedSecret", "ValidationException")
            spki, context = self._judge(Recipient["AttestationDocument"])
        if not self._allows("kms:DeriveSharedSecret", context):
            raise refused("DeriveSharedSecret", "AccessDeniedException", "no statement allows it")
        peer = load_der_public_key(PublicKey)
        if not isinstance(peer, ec.EllipticCurvePublicKey) or peer.curve.name != self.curve.name:
            raise refused("DeriveSharedSecret", "ValidationException")
        shared = self.key.exchange(ec.ECDH(), peer)
        if spki is None:
            return {"SharedSecret": shared}
        return {"CiphertextForRecipient": envelope(spki, shared)}

    def _judge(self, document: bytes) -> tuple[bytes, dict[str, str]]:
        """The recipient's key and the condition keys of a genuine document."""
        try:
            told = unsafe_parse_without_verification(document)
            # Whatever it measures: the policy judges that. But it must be signed, and fresh.
            measured = {index: told.pcrs[index] for index in (0, 1, 2)}
            found = verify(
                document,
                expectation=Expectation(measured, None),
                nonce=None,
                now=self.now(),
                root=self.root,
            )
        except SentinelError as error:
            raise refused(
                "DeriveSharedSecret", "ValidationException", f"document: {error}"
            ) from None
        if found.public_key is None:
            raise refused("DeriveSharedSecret", "ValidationException", "no public key")
        keys = {
            f"kms:RecipientAttestation:PCR{index}": pcr.hex() for index, pcr in found.pcrs.items()
        }
        keys["kms:RecipientAttestation:ImageSha384"] = found.pcrs[0].hex()
        return found.public_key, keys

    def _allows(self, action: str, context: Mapping[str, str]) -> bool:
        effects = {
            statement["Effect"]
            for statement in self.policy["Statement"]
            if self._applies(statement, action, context)
        }
        return effects == {"Allow"}

    def _applies(
        self, statement: Mapping[str, Any], action: str, context: Mapping[str, str]
    ) -> bool:
        actions = statement["Action"]
        if action not in ([actions] if isinstance(actions, str) else actions):
            return False
        principal = statement["Principal"]
        if principal not in ("*", {"AWS": "*"}, {"AWS": self.principal}):
            return False
        return all(
            _holds(operator, key, values, context)
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )


def _holds(operator: str, key: str, values: Any, context: Mapping[str, str]) -> bool:
    wanted = [values] if isinstance(values, str) else values
    found = context.get(key)
    if operator == "Null":
        return (found is None) == (wanted[0] == "true")
    if operator == "StringEquals":
        return found in wanted
    if operator == "StringEqualsIgnoreCase":
        return found is not None and found.lower() in [one.lower() for one in wanted]
    if operator == "StringNotEquals":
        return found not in wanted
    if operator == "StringNotEqualsIgnoreCase":
        return found is None or found.lower() not in [one.lower() for one in wanted]
    raise AssertionError(f"the fake does not know {operator}")

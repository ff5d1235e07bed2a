"""A key management service over HTTP: moto's server on loopback, and a user's own AWS KMS.

moto is an emulation in Python: it shows what a request through boto3 to such a program costs,
without a network, TLS or a hardware module, and not what a real KMS takes. AWS is called for
`--against aws-kms:KEY_ID` alone, with the credentials and region that boto3 finds in its usual
places.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from ..errors import UsageError
from .peer import PeerMissing
from .peers_python import CallPeer, end_together, need

__all__ = ["AWS_CALLS", "moto_peers", "open_aws_kms", "parse_aws_kms"]

AWS_CALLS: Final = 200
"""Signatures that one --against aws-kms asks for, warm-up included: each is billed."""
AWS_CALLS_MIN: Final = 20
AWS_CALLS_MAX: Final = 10_000
"""Where ?calls= says another number. Fewer are no measurement."""

FORM: Final = "aws-kms:KEY_ID, aws-kms:alias/NAME or aws-kms:ARN; ?calls=N for N signatures"

ALGORITHMS: Final = {
    "ECC_SECG_P256K1": ("ecdsa_secp256k1", "ECDSA_SHA_256"),
    "ECC_NIST_P256": ("ecdsa_p256", "ECDSA_SHA_256"),
    "ECC_NIST_EDWARDS25519": ("ed25519", "ED25519_SHA_512"),
    "RSA_2048": ("rsa_sha256", "RSASSA_PKCS1_V1_5_SHA_256"),
    "RSA_3072": ("rsa_sha256", "RSASSA_PKCS1_V1_5_SHA_256"),
    "RSA_4096": ("rsa_sha256", "RSASSA_PKCS1_V1_5_SHA_256"),
    "HMAC_256": ("hmac_sha256", "HMAC_SHA_256"),
}
"""By the spec of a key: ours, and what KMS calls it."""

PRIVATE: Final = ("AWS_", "ZCP_")
"""Beginnings of the names of variables that may hold secrets."""
WRONG_CREDENTIALS: Final = (
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
)

# The server ends when its standard input does: with us, however we end. It may use other
# processors than the one that we are pinned to: a service does not share its client's.
SERVER: Final = """\
import os, sys
from moto.server import ThreadedMotoServer
os.sched_setaffinity(0, map(int, sys.argv[1:]))
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""


def _sign(client: Any, key: str, spec: str) -> Callable[[bytes], bytes]:
    """One signature, or MAC, by a key of this spec."""
    named = ALGORITHMS[spec][1]

    def mac(message: bytes) -> bytes:
        answer = client.generate_mac(KeyId=key, Message=message, MacAlgorithm=named)
        tag: bytes = answer["Mac"]
        return tag

    def whole(message: bytes) -> bytes:  # KMS hashes it: moto takes a digest for a message
        answer = client.sign(KeyId=key, Message=message, MessageType="RAW", SigningAlgorithm=named)
        signature: bytes = answer["Signature"]
        return signature

    return mac if spec == "HMAC_256" else whole


def _config(**more: Any) -> Any:
    config, _ = need("botocore.config", "botocore")
    # One attempt each: a retry would be timed as one slow call, and billed as two.
    return config.Config(
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=10,
        tcp_keepalive=True,
        **more,
    )


@contextlib.contextmanager
def _server(allowed: Sequence[int]) -> Iterator[int]:
    """Moto's server in a process of its own; the port that it listens at."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, *map(str, allowed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # No credentials of the user's: nothing of theirs is needed there.
        env={name: text for name, text in os.environ.items() if not name.startswith(PRIVATE)},
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.strip().isdigit():
                raise PeerMissing("moto's server did not start: pip install 'moto[kms,server]'")
            yield int(line)
        finally:
            process.terminate()


def _loopback_client(port: int) -> Any:
    """A client of the server alone: nothing of the user's AWS settings is read."""
    session, _ = need("botocore.session", "boto3")
    nothing = (None, None, None, None)
    aside = session.Session(
        dict.fromkeys(("profile", "config_file", "credentials_file", "ca_bundle"), nothing)
    )
    boto3, _ = need("boto3", "boto3")
    return boto3.Session(
        botocore_session=aside, aws_access_key_id="none", aws_secret_access_key="none"
    ).client(
        "kms",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=_config(proxies={}, ignore_configured_endpoint_urls=True),
    )


def moto_peers(allowed: Sequence[int] = ()) -> list[CallPeer]:
    """Moto's KMS: a key of each kind that it offers. The server ends with the last peer.

    `allowed`: the processors that the server may use; without, those of this process.
    Raises PeerMissing.
    """
    need("boto3", "boto3")
    _, version = need("moto", "moto", "'moto[kms,server]'")
    need("flask", "flask", "'moto[kms,server]'")
    with contextlib.ExitStack() as stack:
        client = _loopback_client(
            stack.enter_context(_server(allowed or sorted(os.sched_getaffinity(0))))
        )
        stack.callback(client.close)
        peers = []
        for spec in ("ECC_SECG_P256K1", "ECC_NIST_P256", "HMAC_256"):
            usage = "GENERATE_VERIFY_MAC" if spec == "HMAC_256" else "SIGN_VERIFY"
            key = client.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
            public: Any = client  # only the service can verify its MACs
            if usage == "SIGN_VERIFY":
                public = client.get_public_key(KeyId=key)["PublicKey"]
            peers.append(
                CallPeer(
                    name=f"moto_{ALGORITHMS[spec][0]}",
                    label="moto's KMS on loopback (an emulation; no HSM, no network)",
                    algorithm=ALGORITHMS[spec][0],
                    sign=_sign(client, key, spec),
                    version=version,
                    public=public if usage == "SIGN_VERIFY" else (client, key),
                )
            )
        end_together(peers, stack.pop_all())
        return peers


def parse_aws_kms(where: str) -> tuple[str, int]:
    """The key that --against aws-kms:… names, and for how many signatures it is asked at most.

    Raises UsageError; calls nobody.
    """
    rest = where.partition(":")[2]
    found = re.fullmatch(r"([\w:/-]{1,2048})(?:\?calls=(\d{1,5}))?", rest, re.ASCII)
    if found is None:
        raise UsageError(f"--against: {where!r} names no key", next_step=FORM)
    calls = int(found[2] or AWS_CALLS)
    if not AWS_CALLS_MIN <= calls <= AWS_CALLS_MAX:
        raise UsageError(
            f"--against: calls={calls} is not within {AWS_CALLS_MIN} to {AWS_CALLS_MAX:,}"
        )
    return found[1], calls


def open_aws_kms(where: str) -> list[CallPeer]:
    """A user's own key in AWS KMS (--against aws-kms:KEY_ID). Makes one request: DescribeKey.

    Raises PeerMissing, and UsageError for a form, credentials, region or key that are no good.
    """
    key, calls = parse_aws_kms(where)
    boto3, version = need("boto3", "boto3")
    exceptions, _ = need("botocore.exceptions", "botocore")
    region = key.split(":")[3] if key.startswith("arn:") and key.count(":") >= 5 else None
    try:
        client = boto3.Session().client("kms", region_name=region, config=_config())
        told = client.describe_key(KeyId=key)["KeyMetadata"]
    except (exceptions.BotoCoreError, exceptions.ClientError) as refused:
        raise UsageError(f"--against: AWS KMS: {refused}", next_step=_advice(refused)) from refused
    spec = told["KeySpec"]
    if spec not in ALGORITHMS or told["KeyUsage"] not in ("SIGN_VERIFY", "GENERATE_VERIFY_MAC"):
        raise UsageError(
            f"--against: a KMS key of spec {spec} for {told['KeyUsage']} is not measured",
            next_step=f"{', '.join(ALGORITHMS)} are",
        )
    algorithm = ALGORITHMS[spec][0]
    return [
        CallPeer(
            name=f"own_kms_{algorithm}",
            label=f"yours: AWS KMS in {client.meta.region_name}",
            algorithm=algorithm,
            sign=_sign(client, key, spec),
            version=f"boto3 {version}",
            end=client.close,
            calls_max=calls,
        )
    ]


def _advice(refused: Exception) -> str:
    """What to do about what boto3 said."""
    kind = type(refused).__name__
    code = getattr(refused, "response", {}).get("Error", {}).get("Code", "")
    if kind == "NoRegionError":
        return "set AWS_REGION, or give the key's ARN"
    if "Credential" in kind or kind == "ProfileNotFound":
        return "give boto3 credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID …, or a role"
    if code in (
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "ExpiredTokenException",
    ):
        return "these credentials are wrong or expired: `aws sts get-caller-identity` tells"
    if code == "AccessDeniedException":
        return "the role needs kms:DescribeKey, and kms:Sign or kms:GenerateMac, on this key"
    if code == "NotFoundException":
        return f"{FORM}; in another region? set AWS_REGION"
    return f"{FORM}; kms:DescribeKey and kms:Sign are called"
